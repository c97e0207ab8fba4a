//! Compiles the schema with protox, so that no `protoc` is needed.

const SCHEMA: [&str; 5] = [
    "mcpbridge/v1/daemon.proto",
    "mcpbridge/v1/servers.proto",
    "mcpbridge/v1/credentials.proto",
    "mcpbridge/v1/tools.proto",
    "mcpbridge/v1/policy.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for file in SCHEMA {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(SCHEMA, ["."])?;
    tonic_prost_build::configure()
        // These requests carry secrets from the person to the vault; a stray `{:?}` must not print them.
        .skip_debug([
            "mcpbridge.v1.OAuthOptions",
            "mcpbridge.v1.Header",
            "mcpbridge.v1.CompleteLoginRequest",
        ])
        .compile_fds(descriptors)?;
    Ok(())
}
