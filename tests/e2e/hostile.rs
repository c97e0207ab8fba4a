//! Hostile and broken peers: a clear error, and what worked before works on.

use mcpbridge_tests::authz::Endpoint;
use mcpbridge_tests::ctl::{Output, Running};
use mcpbridge_tests::script::set_param;
use mcpbridge_tests::{AsOptions, FakeAs, FakeMcp, Fault, Scenario, browser, mcp};
use serde_json::json;

/// A working server to lose, and another one that misbehaves.
struct Story {
    scenario: Scenario,
    evil: FakeAs,
    server: FakeMcp,
}

impl Story {
    async fn begin() -> Self {
        let scenario = Scenario::start().await;
        scenario.add("kept").await;
        let (evil, server) = scenario.another(AsOptions::default()).await;
        Self {
            scenario,
            evil,
            server,
        }
    }

    fn adding(&self) -> Running {
        let url = self.server.url();
        let arguments = ["add", "evil", &url, "--no-browser", "--policy", "allow"];
        self.scenario.ctl.spawn(&arguments)
    }

    /// `add` fails with `code` before anybody is asked to open a URL, and says each of `words`.
    async fn add_is_refused(&self, code: i32, words: &[&str]) {
        let mut adding = self.adding();
        adding.close_input();
        let output = adding.wait().await.expect_code(code);
        let asked = output.stdout.lines().any(|line| line.starts_with("http"));
        assert!(!asked, "{words:?}: {}", output.stdout);
        says(&output, words);
    }

    async fn end(self) {
        let scenario = self.scenario;
        let answer = scenario
            .call("kept", "hello_world", json!({ "name": "A" }))
            .await;
        answer.assert_text("Hello, A!");
        assert_eq!(scenario.show("kept").await["state"], "active");
        scenario.finish().await;
    }
}

/// The error and its own hints say each of `words`. What came before it (whom the command asked) and
/// the hint of every failed `add` do not count.
#[track_caller]
fn says(output: &Output, words: &[&str]) {
    assert!(!words.is_empty(), "nothing is asserted");
    let lines = output.stderr.lines();
    let error: String = lines
        .skip_while(|line| !line.starts_with("error:"))
        .filter(|line| !line.contains("stays configured"))
        .collect::<Vec<_>>()
        .join("\n");
    for word in words {
        assert!(
            error.contains(word),
            "expected {word:?} in the error of:\n{}",
            output.stderr
        );
    }
}

const FORBIDDEN: &str = "which this server may not reach";
const WRONG_ISS: &str = "the answer did not come from the authorization server";

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
async fn a_wrong_or_missing_iss_stops_the_login_before_the_code_leaves() {
    for iss in [Some("https://evil.example"), None] {
        let story = Story::begin().await;
        let fault = Fault::edit_redirect(move |url| set_param(url, "iss", iss));
        story.evil.once(Endpoint::Authorize, fault);
        let mut adding = story.adding();
        let url = adding.authorization_url().await;
        let page = browser::visit(&url).await;
        assert!(page.status >= 400, "{iss:?}: {}", page.body);
        let output = adding.wait().await;
        assert_ne!(output.code, 0);
        says(&output, &[WRONG_ISS, &story.evil.issuer()]);
        assert_eq!(story.evil.code_exchanges(), 0);
        story.end().await;
    }
}

#[tokio::test]
async fn an_iss_that_differs_by_a_slash_is_another_issuer() {
    let story = Story::begin().await;
    let with_slash = format!("{}/", story.evil.issuer());
    let fault = Fault::edit_redirect(move |url| set_param(url, "iss", Some(&with_slash)));
    story.evil.once(Endpoint::Authorize, fault);
    let mut adding = story.adding();
    let url = adding.authorization_url().await;
    browser::visit(&url).await;
    let output = adding.wait().await;
    assert_ne!(output.code, 0);
    says(&output, &[WRONG_ISS]);
    assert_eq!(story.evil.code_exchanges(), 0);
    story.end().await;
}

#[tokio::test]
async fn a_forged_state_changes_nothing_and_the_real_answer_still_counts() {
    let story = Story::begin().await;
    let mut adding = story.adding();
    let url = adding.authorization_url().await;
    let redirect = browser::redirect_url(&url).await;
    for state in [Some("forged"), Some(""), None] {
        let mut forged = redirect.clone();
        set_param(&mut forged, "state", state);
        let page = browser::visit(forged.as_str()).await;
        assert!(page.status >= 400, "{state:?}: {}", page.body);
    }
    assert_eq!(story.evil.code_exchanges(), 0);
    let page = browser::visit(redirect.as_str()).await;
    assert_eq!(page.status, 200, "{}", page.body);
    adding.wait().await.success();
    story.end().await;
}

#[tokio::test]
async fn a_replayed_callback_is_refused_and_the_login_stands() {
    let story = Story::begin().await;
    let mut adding = story.adding();
    let url = adding.authorization_url().await;
    let page = browser::visit(&url).await;
    adding.wait().await.success();
    let replayed = browser::visit(page.url().as_str()).await;
    assert!(replayed.status >= 400, "{}", replayed.body);
    assert_eq!(story.evil.code_exchanges(), 1);
    let answer = story
        .scenario
        .call("evil", "hello_world", json!({ "name": "Z" }))
        .await;
    answer.assert_text("Hello, Z!");
    story.end().await;
}

#[tokio::test]
async fn a_code_meant_for_another_server_is_not_exchanged() {
    let story = Story::begin().await;
    let (other, second) = story.scenario.another(AsOptions::default()).await;
    let second_url = second.url();
    let arguments = [
        "add",
        "other",
        &second_url,
        "--no-browser",
        "--policy",
        "allow",
    ];
    let mut one = story.adding();
    let mut two = story.scenario.ctl.spawn(&arguments);
    let (first_url, second_url) = (one.authorization_url().await, two.authorization_url().await);
    let from_evil = browser::redirect_url(&first_url).await;
    let expected = browser::redirect_url(&second_url).await;
    // The evil server's code, brought back under the other login's state.
    let state = expected
        .query_pairs()
        .find(|(name, _)| name == "state")
        .unwrap()
        .1
        .into_owned();
    let mut mixed = from_evil.clone();
    set_param(&mut mixed, "state", Some(&state));
    let page = browser::visit(mixed.as_str()).await;
    assert!(page.status >= 400, "{}", page.body);
    assert_eq!(
        (story.evil.code_exchanges(), other.code_exchanges()),
        (0, 0)
    );
    let output = two.wait().await;
    assert_ne!(output.code, 0);
    says(&output, &[WRONG_ISS, &other.issuer()]);
    assert_eq!(browser::visit(from_evil.as_str()).await.status, 200);
    one.wait().await.success();
    story.end().await;
}

#[tokio::test]
async fn a_pasted_url_of_another_login_is_not_accepted() {
    let story = Story::begin().await;
    let mut adding = story.adding();
    let url = adding.authorization_url().await;
    adding
        .write("not a url\nhttps://evil.example/callback?code=x&state=y\n")
        .await;
    let page = browser::visit(&url).await;
    assert_eq!(page.status, 200, "{}", page.body);
    adding.wait().await.success();
    story.end().await;
}

#[tokio::test]
async fn a_token_answer_that_is_none_fails_the_login_with_its_reason() {
    let faults = [
        (
            Fault::html(200),
            1,
            "answered text/html, not JSON, to the token request",
        ),
        (
            Fault::html(502),
            9,
            "answered the token request with status 502",
        ),
        (
            Fault::error_with_200("org_policy_denied"),
            1,
            "refused the token request: org_policy_denied",
        ),
        (
            Fault::oauth_error("invalid_grant"),
            6,
            "refused the token request: invalid_grant (scripted)",
        ),
        (
            Fault::json(200, &json!({})),
            1,
            "an unusable token: it has no access_token",
        ),
        (Fault::CutAfter, 9, "the exchange with 127.0.0.1 broke off"),
        (
            Fault::redirect("https://evil.example/token"),
            1,
            "answered the token request with status 302",
        ),
    ];
    for (fault, code, reason) in faults {
        let story = Story::begin().await;
        let what = format!("{fault:?} {reason}");
        story.evil.once(Endpoint::Token, fault);
        let mut adding = story.adding();
        let url = adding.authorization_url().await;
        let page = browser::visit(&url).await;
        assert_ne!(page.status, 200, "{what}: {}", page.body);
        assert!(page.body.contains(reason), "{what}: {}", page.body);
        assert!(
            !page.body.contains("<h1>Bad gateway"),
            "foreign markup in our page"
        );
        let output = adding.wait().await.expect_code(code);
        says(&output, &[reason]);
        story.end().await;
    }
}

#[tokio::test]
async fn an_error_description_cannot_inject_markup_or_terminal_escapes() {
    let story = Story::begin().await;
    let fault = Fault::edit_redirect(|url| {
        set_param(url, "code", None);
        set_param(url, "error", Some("access_denied"));
        let text = "<script>alert(1)</script>\u{1b}[31mred\u{7}";
        set_param(url, "error_description", Some(text));
    });
    story.evil.once(Endpoint::Authorize, fault);
    let mut adding = story.adding();
    let url = adding.authorization_url().await;
    let page = browser::visit(&url).await;
    assert!(!page.body.contains("<script>"), "{}", page.body);
    let output = adding.wait().await;
    assert_ne!(output.code, 0);
    says(&output, &["access_denied"]);
    assert!(!output.stderr.contains('\u{1b}') && !output.stderr.contains('\u{7}'));
    story.end().await;
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
