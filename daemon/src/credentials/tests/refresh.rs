//! The life of a token.

use futures_util::future::join_all;
use serde_json::json;

use super::*;
use crate::error::{Classify, ErrorKind, chain};

#[tokio::test]
async fn rotated_token_is_stored_before_it_is_served() {
    let world = World::signed_in().await;
    let Source::OAuth(handle) = world.credentials.slot(&name()).unwrap().source else {
        panic!("not signed in");
    };
    let mut view = handle.view();
    let watched = async {
        let renewed = |view: &handle::View| {
            view.token
                .as_ref()
                .is_some_and(|token| bearer(&token.authorization) == "access-2")
        };
        view.wait_for(renewed).await.unwrap();
        world.on_disk()
    };
    world.wait(3600);
    let (record, token) = tokio::join!(watched, world.token());
    assert_eq!(record.tokens.access_token.expose(), "access-2");
    assert_eq!(record.tokens.refresh_token.unwrap().expose(), "refresh-2");
    assert_eq!(token.unwrap(), "access-2");
}

#[tokio::test]
async fn fifty_callers_of_an_expired_token_share_one_refresh() {
    let world = World::signed_in().await;
    world.wait(3600);
    let tokens = join_all((0..50).map(|_| world.token())).await;
    assert!(tokens.into_iter().all(|token| token.unwrap() == "access-2"));
    assert_eq!(world.fake.refreshes(), 1);
}

/// The token has ended again when it arrives; whoever waited for it gets it all the same.
#[tokio::test]
async fn callers_share_a_refresh_that_takes_longer_than_its_token_lives() {
    let world = World::signed_in().await;
    world.fake.set_lifetime(Some(1));
    world.wait(3600);
    world.fake.hold(true);
    let slow = async {
        world.fake.arrived(2).await;
        world.wait(2);
        world.fake.hold(false);
    };
    let (tokens, ()) = tokio::join!(join_all((0..50).map(|_| world.token())), slow);
    assert!(tokens.into_iter().all(|token| token.unwrap() == "access-2"));
    assert_eq!(world.fake.refreshes(), 1);
}

#[tokio::test]
async fn a_token_of_one_second_is_served_while_it_lasts() {
    let world = World::signed_in().await;
    world.fake.set_lifetime(Some(1));
    world.wait(3600);
    for _ in 0..3 {
        assert_eq!(world.token().await.unwrap(), "access-2");
    }
    assert_eq!(world.status().next_refresh_at, None, "only when asked for");
    world.wait(1);
    assert_eq!(world.token().await.unwrap(), "access-3");
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_for_all_who_held_it() {
    let world = World::signed_in().await;
    let refused = world.authorization(None).await.unwrap().token;
    let newer = join_all((0..50).map(|_| world.authorization(refused))).await;
    for authorization in newer {
        assert_eq!(bearer(&authorization.unwrap()), "access-2");
    }
    assert_eq!(world.fake.refreshes(), 1);
}

#[tokio::test]
async fn a_token_refused_right_after_its_predecessor_is_not_replaced_again() {
    let world = World::signed_in().await;
    let first = world.authorization(None).await.unwrap();
    let second = world.authorization(first.token).await.unwrap();
    for _ in 0..3 {
        let error = world.authorization(second.token).await.unwrap_err();
        assert!(
            matches!(error, CredentialError::FreshTokenRefused { .. }),
            "{error}"
        );
    }
    assert_eq!(world.fake.refreshes(), 1);
    assert_eq!(
        world.token().await.unwrap(),
        "access-2",
        "others may fare better"
    );
    world.wait(31);
    let third = world.authorization(second.token).await.unwrap();
    assert_eq!(bearer(&third), "access-3");
}

#[tokio::test]
async fn a_refused_token_that_cannot_be_replaced_still_serves_others() {
    let world = World::new().await;
    world.fake.issue_refresh_tokens(false);
    world.sign_in().await;
    let refused = world.authorization(None).await.unwrap().token;
    let error = world.authorization(refused).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NeedsLogin, "{error}");
    assert_eq!(world.status().state, State::NeedsLogin);
    assert_eq!(world.token().await.unwrap(), "access-1");

    let world = World::signed_in().await;
    world.fake.answer(503, json!({}));
    let refused = world.authorization(None).await.unwrap().token;
    let error = world.authorization(refused).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert_eq!(
        world.token().await.unwrap(),
        "access-1",
        "the last good token"
    );
}

#[tokio::test]
async fn invalid_grant_ends_the_sign_in_and_is_remembered_after_restart() {
    let mut world = World::signed_in().await;
    world.fake.answer(
        400,
        json!({ "error": "invalid_grant", "error_description": "revoked" }),
    );
    world.wait(3600);
    for restarted in [false, true] {
        let error = world.token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NeedsLogin, "{error}");
        let status = world.status();
        assert_eq!(status.state, State::NeedsLogin);
        assert!(status.reason.unwrap().contains("invalid_grant (revoked)"));
        if !restarted {
            world.restart().await;
        }
    }
    assert_eq!(world.fake.refreshes(), 1);
}

#[tokio::test]
async fn a_server_error_backs_off_and_keeps_the_old_token() {
    let world = World::signed_in().await;
    for _ in 0..2 {
        world.fake.answer(500, json!({}));
    }
    world.credentials.refresh(&name()).await.unwrap_err();
    assert_eq!(world.status().state, State::Backoff);
    assert_eq!(world.token().await.unwrap(), "access-1");
    assert_eq!(
        world.on_disk().tokens.refresh_token.unwrap().expose(),
        "refresh-1"
    );

    world.wait(3600);
    let errors = join_all((0..50).map(|_| world.token())).await;
    for error in errors {
        let error = error.unwrap_err();
        assert!(matches!(error, CredentialError::Backoff { .. }), "{error}");
    }
    assert_eq!(
        world.fake.refreshes(),
        2,
        "callers wait for the backoff like the task"
    );
    world.wait(5);
    assert_eq!(world.token().await.unwrap(), "access-2");
    assert_eq!(world.status().state, State::Active);
}

#[tokio::test]
async fn a_clock_that_was_set_back_does_not_prolong_a_backoff() {
    let world = World::signed_in().await;
    world.fake.answer(500, json!({}));
    world.wait(3600);
    world.token().await.unwrap_err();
    world.wait(-1800);
    // The token counts as valid again at this hour; refused, it is replaced at once.
    let held = world.authorization(None).await.unwrap();
    assert_eq!(
        bearer(&world.authorization(held.token).await.unwrap()),
        "access-2"
    );
}

#[tokio::test]
async fn an_unknown_client_is_registered_anew_once() {
    let world = World::signed_in().await;
    world.fake.refuse("invalid_client");
    world.wait(3600);
    assert_eq!(world.token().await.unwrap(), "access-2");
    assert_eq!(world.fake.clients(), 2);
    assert_eq!(world.token_requests_of("client-2"), 1);
    assert_eq!(world.on_disk().client.id, "client-2");

    for _ in 0..4 {
        world.fake.refuse("invalid_client");
    }
    for _ in 0..3 {
        world.wait(3600);
        let error = world.token().await.unwrap_err();
        assert!(matches!(error, CredentialError::Backoff { .. }), "{error}");
    }
    assert_eq!(
        world.fake.clients(),
        3,
        "a server that knows no client is not flooded with more"
    );
    world.wait(3600);
    assert_eq!(world.token().await.unwrap(), "access-3");
    let last = world.fake.token_requests().pop().unwrap();
    assert_eq!(
        last["client_id"], "client-2",
        "the refresh token belongs to this one"
    );
}

#[tokio::test]
async fn a_full_disk_keeps_the_old_token_and_stores_the_new_one_later() {
    let world = World::signed_in().await;
    world.break_disk(true);
    let error = world.credentials.refresh(&name()).await.unwrap_err();
    assert!(matches!(error, CredentialError::Vault { .. }), "{error}");
    assert_eq!(
        world.token().await.unwrap(),
        "access-1",
        "what is not stored is not served"
    );
    assert_eq!(world.status().state, State::Backoff);

    world.break_disk(false);
    world.credentials.refresh(&name()).await.unwrap();
    assert_eq!(world.token().await.unwrap(), "access-2");
    assert_eq!(
        world.on_disk().tokens.refresh_token.unwrap().expose(),
        "refresh-2"
    );
    assert_eq!(
        world.fake.refreshes(),
        1,
        "the token that was issued is the one that counts"
    );
}

#[tokio::test]
async fn a_token_that_could_not_be_stored_is_stored_at_the_latest_on_shutdown() {
    let mut world = World::signed_in().await;
    world.break_disk(true);
    world.credentials.refresh(&name()).await.unwrap_err();
    world.break_disk(false);
    world.restart().await;
    assert_eq!(world.token().await.unwrap(), "access-2");
}

#[tokio::test]
async fn shutdown_waits_for_a_refresh_under_way() {
    let mut world = World::signed_in().await;
    world.fake.hold(true);
    let fake = world.fake.clone();
    let credentials = world.credentials.clone();
    let refresh = world
        .lifecycle
        .spawn("caller", async move { credentials.refresh(&name()).await });
    fake.arrived(2).await;
    let answer = async {
        world.lifecycle.stopping().await;
        fake.hold(false);
    };
    let stop = async {
        world.lifecycle.begin_shutdown("test");
        // As after a second signal: no patience for anything else.
        world.lifecycle.abort();
        world.lifecycle.drain(Duration::ZERO).await;
    };
    tokio::join!(answer, stop);
    assert_eq!(
        world.on_disk().tokens.refresh_token.unwrap().expose(),
        "refresh-2"
    );
    refresh.await.unwrap().unwrap();
    world.restart().await;
    assert_eq!(world.token().await.unwrap(), "access-2");
}

#[tokio::test]
async fn a_refresh_goes_on_when_its_caller_leaves_and_others_join_it() {
    let world = World::signed_in().await;
    world.fake.hold(true);
    let credentials = world.credentials.clone();
    let leaving = world
        .lifecycle
        .spawn("caller", async move { credentials.refresh(&name()).await });
    world.fake.arrived(2).await;
    leaving.abort();
    let credentials = &world.credentials;
    let joining = join_all((0..5).map(|_| async { credentials.refresh(&name()).await }));
    let release = async { world.fake.hold(false) };
    let (joined, ()) = tokio::join!(joining, release);
    assert!(joined.iter().all(Result::is_ok));
    assert_eq!(world.fake.refreshes(), 1);
    assert_eq!(world.token().await.unwrap(), "access-2");
}

#[tokio::test]
async fn a_laptop_that_slept_refreshes_within_30_seconds_of_waking() {
    let world = World::signed_in().await;
    // Timers stand still while a machine sleeps, the clock on the wall does not.
    world.wait(8 * 3600);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(21)).await;
    tokio::time::resume();
    world.fake.arrived(2).await;
    assert_eq!(world.fake.refreshes(), 1, "nobody asked for a token");
}

#[tokio::test]
async fn what_a_server_repeats_of_a_secret_is_not_shown() {
    let world = World::signed_in().await;
    let echo = json!({ "error": "invalid_grant", "error_description": "refresh-1 was revoked" });
    world.fake.answer(400, echo);
    world.wait(3600);
    let error = world.token().await.unwrap_err();
    assert!(!chain(&error).contains("refresh-1"), "{error}");
    assert!(chain(&error).contains("invalid_grant"), "{error}");
}

impl World {
    fn token_requests_of(&self, client: &str) -> usize {
        let requests = self.fake.token_requests();
        requests
            .iter()
            .filter(|form| form["client_id"] == client)
            .count()
    }
}
