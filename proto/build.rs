//! Compiles the schema with protox, so that no `protoc` is needed.

const SCHEMA: [&str; 10] = [
    "mcpbridge/v1/clients.proto",
    "mcpbridge/v1/daemon.proto",
    "mcpbridge/v1/servers.proto",
    "mcpbridge/v1/credentials.proto",
    "mcpbridge/v1/keys.proto",
    "mcpbridge/v1/tools.proto",
    "mcpbridge/v1/policy.proto",
    "mcpbridge/v1/ui.proto",
    "mcpbridge/v1/approvals.proto",
    "mcpbridge/v1/audit.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for file in SCHEMA {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(SCHEMA, ["."])?;
    tonic_prost_build::configure()
        // These messages carry secrets; a stray `{:?}` must not print them.
        .skip_debug([
            "mcpbridge.v1.AddClientRequest",
            "mcpbridge.v1.AddClientResponse",
            "mcpbridge.v1.OAuthOptions",
            "mcpbridge.v1.Header",
            "mcpbridge.v1.CompleteLoginRequest",
            "mcpbridge.v1.DecideRequest",
            "mcpbridge.v1.SetPinRequest",
            "mcpbridge.v1.ClearPinRequest",
            "mcpbridge.v1.ApproveChangesRequest",
            "mcpbridge.v1.AddServerRequest",
            "mcpbridge.v1.SetPolicyRequest",
            "mcpbridge.v1.UnsetPolicyRequest",
            "mcpbridge.v1.SetPolicyOptionsRequest",
            "mcpbridge.v1.CreateUiLinkResponse",
            "mcpbridge.v1.SetKeyRequest",
        ])
        .compile_fds(descriptors)?;
    Ok(())
}
