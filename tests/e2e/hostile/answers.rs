//! What comes back from the browser and the token endpoint.

use mcpbridge_tests::browser;
use mcpbridge_tests::script::set_param;

use super::*;

const WRONG_ISS: &str = "the answer did not come from the authorization server";

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
