//! What a server and its authorization server say about themselves, before anybody signs in.

use mcpbridge_tests::mcp;

use super::*;

const FORBIDDEN: &str = "which this server may not reach";

fn metadata(name: &'static str, value: &'static str) -> Fault {
    Fault::edit_json(move |document| document[name] = json!(value))
}

#[tokio::test]
async fn metadata_of_another_issuer_is_refused() {
    let story = Story::begin().await;
    let fault = metadata("issuer", "https://login.example");
    story.evil.script().always(Endpoint::Metadata, fault);
    story
        .add_is_refused(1, &["https://login.example", &story.evil.issuer(), "hint:"])
        .await;
    assert_eq!(story.evil.registrations(), 0);
    story.end().await;
}

#[tokio::test]
async fn an_authorization_endpoint_that_is_no_web_address_is_refused() {
    let endpoints = [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "data:text/html,x",
        "http://evil.example/authorize",
        "$(touch /tmp/pwned)",
        "; touch /tmp/pwned",
        "--version",
        "https://user:pass@as.example/authorize",
    ];
    for endpoint in endpoints {
        let story = Story::begin().await;
        let fault = metadata("authorization_endpoint", endpoint);
        story.evil.script().always(Endpoint::Metadata, fault);
        story
            .add_is_refused(1, &["authorization_endpoint is", "cannot be used"])
            .await;
        story.end().await;
    }
}

#[tokio::test]
async fn a_token_endpoint_without_tls_elsewhere_is_refused() {
    let story = Story::begin().await;
    let fault = metadata("token_endpoint", "http://evil.example/token");
    story.evil.script().always(Endpoint::Metadata, fault);
    let reason = "https is required outside this machine";
    story
        .add_is_refused(1, &["token_endpoint is", reason])
        .await;
    story.end().await;
}

#[tokio::test]
async fn metadata_without_s256_is_refused() {
    let story = Story::begin().await;
    let fault = Fault::edit_json(|document| {
        document["code_challenge_methods_supported"] = json!(["plain"]);
    });
    story.evil.script().always(Endpoint::Metadata, fault);
    story.add_is_refused(1, &["not with S256"]).await;
    story.end().await;
}

#[tokio::test]
async fn a_redirect_to_a_metadata_or_private_address_is_not_followed() {
    let targets = [
        (
            "http://169.254.169.254/latest/meta-data/",
            "the cloud metadata address 169.254.169.254",
        ),
        (
            "https://169.254.169.254/latest/meta-data/",
            "the cloud metadata address 169.254.169.254",
        ),
        ("https://10.0.0.1/", "the private address 10.0.0.1"),
        (
            "https://[fd00:ec2::254]/",
            "the cloud metadata address fd00:ec2::254",
        ),
        (
            "https://[::ffff:169.254.169.254]/",
            "the cloud metadata address ::ffff:169.254.169.254",
        ),
        ("http://0.0.0.0/", "the reserved address 0.0.0.0"),
    ];
    for (target, address) in targets {
        let story = Story::begin().await;
        story
            .evil
            .script()
            .always(Endpoint::Metadata, Fault::redirect(target));
        story
            .server
            .script()
            .always(mcp::Endpoint::Prm, Fault::Pass);
        story.add_is_refused(7, &[address, FORBIDDEN]).await;
        story.end().await;
    }
}

#[tokio::test]
async fn resource_metadata_that_redirects_inside_or_names_another_server_is_refused() {
    let story = Story::begin().await;
    let elsewhere = Fault::redirect("http://169.254.169.254/latest/");
    story
        .server
        .script()
        .times(mcp::Endpoint::Prm, 8, elsewhere);
    let address = "the cloud metadata address 169.254.169.254";
    story.add_is_refused(7, &[address, FORBIDDEN]).await;
    story.server.script().clear(mcp::Endpoint::Prm);
    let other = Fault::edit_json(|document| document["resource"] = json!("https://bank.example/"));
    story.server.script().always(mcp::Endpoint::Prm, other);
    story
        .add_is_refused(1, &["https://bank.example/, which does not cover"])
        .await;
    assert_eq!(story.evil.authorizations(), 0);
    story.end().await;
}

#[tokio::test]
async fn a_huge_metadata_body_is_cut_short() {
    let story = Story::begin().await;
    story
        .evil
        .script()
        .always(Endpoint::Metadata, Fault::Huge(1 << 30));
    story
        .add_is_refused(1, &["answered with more than 1048576 bytes"])
        .await;
    let pid = story.scenario.daemon.pid().as_raw_nonzero();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 200 * 1024, "peak memory {peak} kB");
    story.end().await;
}

#[tokio::test]
async fn a_body_that_drips_ends_by_the_clock() {
    let story = Story::begin().await;
    story.evil.script().always(Endpoint::Metadata, Fault::Drip);
    story
        .add_is_refused(8, &["did not answer completely within 30 s"])
        .await;
    story.end().await;
}

#[tokio::test]
async fn metadata_that_is_no_metadata_is_refused() {
    let faults = [
        (Fault::html(200), "publishes no metadata"),
        (Fault::json(200, &json!([1])), "publishes no metadata"),
        (Fault::json(200, &json!({})), "missing field `issuer`"),
    ];
    for (fault, reason) in faults {
        let story = Story::begin().await;
        story.evil.script().always(Endpoint::Metadata, fault);
        story.add_is_refused(1, &[reason]).await;
        story.end().await;
    }
}

#[tokio::test]
async fn a_refused_registration_shows_the_servers_reason() {
    let story = Story::begin().await;
    let body = json!({ "error": "invalid_redirect_uri", "error_description": "no loopback here" });
    story
        .evil
        .script()
        .always(Endpoint::Register, Fault::json(400, &body));
    story
        .add_is_refused(
            1,
            &["invalid_redirect_uri (no loopback here)", "--client-id"],
        )
        .await;
    story.end().await;
}
