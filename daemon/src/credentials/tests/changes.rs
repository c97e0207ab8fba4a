//! Servers that come, change and go.

use super::*;
use crate::config::AuthMode;
use crate::error::{Classify, ErrorKind};

#[tokio::test]
async fn a_url_changed_by_hand_does_not_get_the_old_token() {
    let world = World::signed_in().await;
    let elsewhere = ServerConfig::new(Url::parse("https://evil.example/mcp").unwrap());
    // Before the change has arrived here, and after.
    for _ in 0..2 {
        let asked = world
            .credentials
            .authorization(&name(), &elsewhere.url, None)
            .await;
        let error = asked.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NeedsLogin);
        assert!(error.to_string().contains("URL"), "{error}");
        world.sync(&elsewhere).await;
    }
    assert_eq!(world.status().state, State::LoggedOut);
    world.sync(&world.config).await;
    assert_eq!(
        world.token().await.unwrap(),
        "access-1",
        "the edit was undone"
    );
}

#[tokio::test]
async fn a_server_written_into_the_file_is_taken_charge_of() {
    let world = World::signed_in().await;
    let other: ServerName = "y".parse().unwrap();
    let mut open = ServerConfig::new(Url::parse("https://open.example/mcp").unwrap());
    open.auth = AuthMode::None;
    let unknown = world
        .credentials
        .authorization(&other, &open.url, None)
        .await;
    assert_eq!(unknown.unwrap_err().kind(), ErrorKind::NotFound);
    world
        .credentials
        .sync([(&name(), &world.config), (&other, &open)])
        .await;
    let known = world
        .credentials
        .authorization(&other, &open.url, None)
        .await;
    assert!(known.unwrap().headers.is_empty());
    assert_eq!(world.token().await.unwrap(), "access-1");
}

#[tokio::test]
async fn a_server_taken_out_of_the_file_and_put_back_is_still_signed_in() {
    let mut world = World::signed_in().await;
    world.credentials.sync([]).await;
    assert_eq!(world.token().await.unwrap_err().kind(), ErrorKind::NotFound);
    world.credentials.sweep().await.unwrap();
    world.restart().await;
    assert_eq!(world.token().await.unwrap(), "access-1");
}

#[tokio::test]
async fn logout_revokes_the_newest_tokens_and_nothing_comes_back_after_restart() {
    let mut world = World::signed_in().await;
    world.fake.hold(true);
    let credentials = world.credentials.clone();
    let refresh = world
        .lifecycle
        .spawn("caller", async move { credentials.refresh(&name()).await });
    world.fake.arrived(2).await;
    let release = async { world.fake.hold(false) };
    let server = name();
    let (farewell, ()) = tokio::join!(world.credentials.logout(&server), release);
    assert!(farewell.unwrap().revoke().await.is_empty());
    refresh.await.unwrap().unwrap();
    let revoked = world.fake.revoked();
    let tokens: Vec<&str> = revoked.iter().map(|form| form["token"].as_str()).collect();
    assert_eq!(tokens, ["refresh-2", "access-2"]);
    assert_eq!(world.status().state, State::LoggedOut);
    world.restart().await;
    assert_eq!(
        world.token().await.unwrap_err().kind(),
        ErrorKind::NeedsLogin
    );
    world.sign_in().await;
    assert_eq!(world.token().await.unwrap(), "access-3");
}

#[tokio::test]
async fn forget_leaves_nothing_in_the_vault_and_the_name_is_free() {
    let world = World::signed_in().await;
    let farewell = world.credentials.forget(&name()).await.unwrap();
    assert!(vault(&world.home).ids().is_empty());
    assert!(farewell.revoke().await.is_empty());
    assert_eq!(world.fake.revoked().len(), 2);
    world.sync(&world.config).await;
    assert_eq!(world.status().state, State::LoggedOut);
    world.sign_in().await;
    assert_eq!(world.token().await.unwrap(), "access-2");
}

#[tokio::test]
async fn a_server_whose_url_was_changed_by_hand_is_forgotten_whole() {
    let world = World::signed_in().await;
    let elsewhere = ServerConfig::new(Url::parse("https://other.example/mcp").unwrap());
    world.sync(&elsewhere).await;
    let farewell = world.credentials.forget(&name()).await.unwrap();
    farewell.revoke().await;
    assert!(vault(&world.home).ids().is_empty());
}

#[tokio::test]
async fn a_sign_in_that_ends_after_its_server_was_removed_leaves_nothing() {
    let world = World::new().await;
    let asked = authorization_request(&mut world.login(true)).await;
    world.fake.hold(true);
    let credentials = world.credentials.clone();
    let callback = Callback::parse(&format!("state={}&code=c", asked["state"])).unwrap();
    let page = world.lifecycle.spawn("caller", async move {
        credentials.complete_login(callback, None).await
    });
    world.fake.arrived(1).await;
    world
        .credentials
        .forget(&name())
        .await
        .unwrap()
        .revoke()
        .await;
    world.fake.hold(false);
    assert!(matches!(
        page.await.unwrap(),
        CallbackOutcome::Failed { .. }
    ));
    assert!(vault(&world.home).ids().is_empty());
}

/// Two names for one server, with a client registered by hand: one credential.
#[tokio::test]
async fn servers_that_share_a_credential_share_its_task_and_its_end() {
    let mut world = World::new().await;
    world.config.oauth.client_id = Some("by-hand".to_owned());
    let other: ServerName = "y".parse().unwrap();
    let config = world.config.clone();
    world
        .credentials
        .sync([(&name(), &config), (&other, &config)])
        .await;
    world.sign_in().await;
    let options = LoginOptions { force: true };
    let mut steps = world.credentials.login(&other, &config, options).unwrap();
    let asked = authorization_request(&mut steps).await;
    world.redirect(&asked["state"]).await;
    world.wait(3600);
    let ask = |name: ServerName| {
        let (credentials, url) = (world.credentials.clone(), config.url.clone());
        async move { bearer(&credentials.authorization(&name, &url, None).await.unwrap()) }
    };
    let (a, b) = tokio::join!(ask(name()), ask(other.clone()));
    assert_eq!((a.as_str(), b.as_str()), ("access-3", "access-3"));
    assert_eq!(world.fake.refreshes(), 1);

    world
        .credentials
        .forget(&other)
        .await
        .unwrap()
        .revoke()
        .await;
    assert!(
        world.fake.revoked().is_empty(),
        "the other one still uses it"
    );
    assert_eq!(world.token().await.unwrap(), "access-3");
    let farewell = world.credentials.logout(&name()).await.unwrap();
    farewell.revoke().await;
    assert_eq!(world.fake.revoked().len(), 2);
}

#[tokio::test]
async fn typed_in_secrets_reach_a_server_and_a_new_one_replaces_the_old() {
    let mut world = World::new().await;
    world.config.auth = AuthMode::Static;
    for value in ["Bearer one", "Bearer two"] {
        let secrets = ServerSecrets {
            headers: vec![(
                http::header::AUTHORIZATION,
                crate::types::Secret::new(value),
            )],
            client_secret: None,
        };
        world
            .credentials
            .store_secrets(&name(), &world.config, secrets)
            .await
            .unwrap();
        world.sync(&world.config).await;
        assert_eq!(format!("Bearer {}", world.token().await.unwrap()), value);
    }
}

#[tokio::test]
async fn a_credential_that_a_crash_left_without_a_server_is_swept() {
    let mut world = World::signed_in().await;
    let vault = vault(&world.home);
    let left = record::CredentialId::of("https://as.example", None, "gone");
    vault.put(left.record_id(), b"{}").await.unwrap();
    world.restart().await;
    world.credentials.sweep().await.unwrap();
    assert_eq!(world.on_disk().tokens.access_token.expose(), "access-1");
}

#[tokio::test]
async fn a_record_that_cannot_be_read_stops_only_its_own_server() {
    let mut world = World::signed_in().await;
    let vault = vault(&world.home);
    vault
        .put("server/y", br#"{"of":"a newer version"}"#)
        .await
        .unwrap();
    world.restart().await;
    let other: ServerName = "y".parse().unwrap();
    world
        .credentials
        .sync([(&name(), &world.config), (&other, &world.config)])
        .await;
    world.credentials.sweep().await.unwrap();
    assert_eq!(world.token().await.unwrap(), "access-1");
    let reason = world.credentials.status(&other).reason.unwrap();
    assert!(reason.contains("newer version"), "{reason}");
    world
        .credentials
        .forget(&other)
        .await
        .unwrap()
        .revoke()
        .await;
    assert_eq!(world.token().await.unwrap(), "access-1");
}
