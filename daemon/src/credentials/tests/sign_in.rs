//! From the first probe to the first token.

use serde_json::json;

use super::*;
use crate::error::{Classify, ErrorKind};

#[tokio::test]
async fn a_sign_in_ends_with_a_stored_token() {
    let mut world = World::new().await;
    assert_eq!(world.status().state, State::LoggedOut);
    world.sign_in().await;
    let exchange = &world.fake.token_requests()[0];
    assert_eq!(exchange["code"], "code-secret");
    assert_eq!(exchange["resource"], world.fake.server_url().as_str());
    assert!(exchange.contains_key("code_verifier"));
    world.restart().await;
    assert_eq!(world.token().await.unwrap(), "access-1");
}

#[tokio::test]
async fn two_logins_of_one_server_share_one_request() {
    let world = World::new().await;
    let (mut first, mut second) = (world.login(false), world.login(true));
    let (a, b) = (
        authorization_request(&mut first).await,
        authorization_request(&mut second).await,
    );
    assert_eq!(a["state"], b["state"]);
    world.redirect(&a["state"]).await;
    for steps in [&mut first, &mut second] {
        let last = steps.wait_for(|step| matches!(step, Step::Completed)).await;
        assert!(last.is_ok());
    }
    assert_eq!(world.fake.token_requests().len(), 1);
}

#[tokio::test]
async fn a_login_for_more_scopes_does_not_join_one_for_fewer() {
    let mut world = World::new().await;
    let mut first = world.login(true);
    authorization_request(&mut first).await;
    world.config.oauth.scopes = vec!["admin".to_owned()];
    let mut second = world.login(true);
    assert_eq!(authorization_request(&mut second).await["scope"], "admin");
    let given_up = first.wait_for(|step| matches!(step, Step::Failed(_))).await;
    assert!(given_up.is_ok());
}

#[tokio::test]
async fn a_state_works_once() {
    let world = World::new().await;
    let asked = authorization_request(&mut world.login(true)).await;
    let first = world.redirect(&asked["state"]).await;
    assert!(matches!(first, CallbackOutcome::Completed(_)));
    let again = world.redirect(&asked["state"]).await;
    assert!(matches!(again, CallbackOutcome::Unknown));
    assert_eq!(world.fake.token_requests().len(), 1);
}

#[tokio::test]
async fn a_wrong_state_leaves_the_sign_in_waiting() {
    let world = World::new().await;
    let asked = authorization_request(&mut world.login(true)).await;
    assert!(matches!(
        world.redirect("guess").await,
        CallbackOutcome::Unknown
    ));
    let other = "y".parse().unwrap();
    let callback = Callback::parse(&format!("state={}&code=c", asked["state"])).unwrap();
    let misdirected = world
        .credentials
        .complete_login(callback, Some(&other))
        .await;
    assert!(matches!(misdirected, CallbackOutcome::Misdirected(_)));
    assert!(world.fake.token_requests().is_empty());
    let right = world.redirect(&asked["state"]).await;
    assert!(matches!(right, CallbackOutcome::Completed(_)));
}

#[tokio::test]
async fn an_answer_of_another_issuer_costs_no_code() {
    let world = World::signed_in().await;
    let asked = authorization_request(&mut world.login(true)).await;
    let query = format!(
        "state={}&code=c&iss=https%3A%2F%2Fevil.example",
        asked["state"]
    );
    let callback = Callback::parse(&query).unwrap();
    let outcome = world.credentials.complete_login(callback, None).await;
    let CallbackOutcome::Failed { error, .. } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(error.kind(), ErrorKind::UpstreamFault);
    assert_eq!(world.fake.token_requests().len(), 1, "the code stays here");
    assert_eq!(
        world.token().await.unwrap(),
        "access-1",
        "the old sign-in is untouched"
    );
}

#[tokio::test]
async fn a_failed_login_can_be_started_again() {
    let world = World::new().await;
    let asked = authorization_request(&mut world.login(true)).await;
    world.fake.refuse("invalid_grant");
    let failed = world.redirect(&asked["state"]).await;
    assert!(matches!(failed, CallbackOutcome::Failed { .. }));
    assert_eq!(world.status().state, State::LoggedOut);
    world.sign_in().await;
    assert_eq!(world.token().await.unwrap(), "access-1");
}

#[tokio::test]
async fn a_forgotten_client_is_replaced_in_the_same_sign_in() {
    let world = World::signed_in().await;
    let mut steps = world.login(true);
    let first = authorization_request(&mut steps).await;
    assert_eq!(first["client_id"], "client-1", "kept from the last sign-in");
    world.fake.refuse("invalid_client");
    let outcome = world.redirect(&first["state"]).await;
    assert!(
        matches!(outcome, CallbackOutcome::AskedAnew(_)),
        "{outcome:?}"
    );
    let second = authorization_request(&mut steps).await;
    assert_eq!(second["client_id"], "client-2");
    let outcome = world.redirect(&second["state"]).await;
    assert!(
        matches!(outcome, CallbackOutcome::Completed(_)),
        "{outcome:?}"
    );
    assert_eq!(world.on_disk().client.id, "client-2", "and the only one");
}

/// A server that has forgotten a client says so in the browser, and nothing comes back.
#[tokio::test]
async fn a_kept_client_that_got_no_answer_is_not_used_again() {
    let world = World::signed_in().await;
    let mut steps = world.login(true);
    assert_eq!(
        authorization_request(&mut steps).await["client_id"],
        "client-1"
    );
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(601)).await;
    tokio::time::resume();
    let expired = steps.wait_for(|step| matches!(step, Step::Failed(_))).await;
    assert!(expired.is_ok());
    let asked = authorization_request(&mut world.login(true)).await;
    assert_eq!(asked["client_id"], "client-2");
    assert_eq!(world.token().await.unwrap(), "access-1");
}

#[tokio::test]
async fn a_code_that_was_brought_back_is_used_although_the_daemon_stops() {
    let mut world = World::new().await;
    let asked = authorization_request(&mut world.login(true)).await;
    world.fake.hold(true);
    let credentials = world.credentials.clone();
    let callback = Callback::parse(&format!("state={}&code=c", asked["state"])).unwrap();
    let page = world.lifecycle.spawn("caller", async move {
        credentials.complete_login(callback, None).await
    });
    world.fake.arrived(1).await;
    world.lifecycle.begin_shutdown("test");
    world.fake.hold(false);
    assert!(matches!(page.await.unwrap(), CallbackOutcome::Completed(_)));
    world.restart().await;
    assert_eq!(world.token().await.unwrap(), "access-1");
}

#[tokio::test]
async fn a_stopping_daemon_gives_up_logins_that_wait_for_consent() {
    let world = World::new().await;
    let mut steps = world.login(true);
    authorization_request(&mut steps).await;
    world.lifecycle.begin_shutdown("test");
    let failed = steps.wait_for(|step| matches!(step, Step::Failed(_))).await;
    assert!(failed.is_ok());
}

#[tokio::test]
async fn a_page_that_belongs_to_a_given_up_login_does_not_hang() {
    let mut world = World::new().await;
    let old = authorization_request(&mut world.login(true)).await;
    world.config.oauth.scopes = vec!["more".to_owned()];
    let mut steps = world.login(true);
    let outcome = world.redirect(&old["state"]).await;
    assert!(
        matches!(outcome, CallbackOutcome::Failed { .. }),
        "{outcome:?}"
    );
    authorization_request(&mut steps).await;
}

#[tokio::test]
async fn secrets_of_a_sign_in_are_not_in_its_errors() {
    let world = World::new().await;
    let asked = authorization_request(&mut world.login(true)).await;
    let echo = json!({ "error": "invalid_request", "error_description": "bad code code-secret" });
    world.fake.answer(400, echo);
    let outcome = world.redirect(&asked["state"]).await;
    let CallbackOutcome::Failed { error, .. } = &outcome else {
        panic!("{outcome:?}");
    };
    let shown = format!("{outcome:?} {}", crate::error::chain(error));
    assert!(!shown.contains("code-secret"), "{shown}");
    assert!(shown.contains("invalid_request"), "{shown}");
}

#[tokio::test]
async fn a_server_that_lets_all_in_is_usable_without_a_sign_in() {
    let world = World::new().await;
    world.fake.let_all_in(true);
    let done = world
        .login(true)
        .wait_for(|step| matches!(step, Step::Completed))
        .await
        .is_ok();
    assert!(done);
    assert!(world.authorization(None).await.unwrap().headers.is_empty());
}

#[tokio::test]
async fn a_server_that_lets_all_in_for_a_moment_costs_no_sign_in() {
    let world = World::signed_in().await;
    world.fake.let_all_in(true);
    let mut steps = world.login(true);
    let failed = steps.wait_for(|step| matches!(step, Step::Failed(_))).await;
    assert!(failed.is_ok());
    assert_eq!(world.token().await.unwrap(), "access-1");
}
