//! What the audit log hears of tokens.

use serde_json::json;

use super::*;
use crate::audit::{Filter, Record};

impl World {
    /// All records, once there are `count` of them; oldest first.
    async fn records(&self, count: usize) -> Vec<Record> {
        let mut moved = self.audit.subscribe();
        let enough = async {
            loop {
                let added = self.audit.added(Filter::default(), 0, 100).await.unwrap();
                if added.records.len() >= count {
                    return added.records;
                }
                moved.changed().await.unwrap();
            }
        };
        let patience = Duration::from_secs(20);
        tokio::time::timeout(patience, enough).await.unwrap()
    }
}

#[tokio::test]
async fn the_life_of_a_token_is_recorded_without_the_token() {
    let world = World::signed_in().await;
    world.credentials.refresh(&name()).await.unwrap();
    world.fake.answer(500, json!({}));
    world.credentials.refresh(&name()).await.unwrap_err();
    world.wait(3600);
    world.fake.answer(400, json!({ "error": "invalid_grant" }));
    world.token().await.unwrap_err();
    world.records(4).await;
    world.sign_in().await;
    let farewell = world.credentials.logout(&name()).await.unwrap();
    farewell.revoke().await;

    let records = world.records(6).await;
    let kinds: Vec<&str> = records.iter().map(|record| record.kind.as_str()).collect();
    let expected = [
        "token.issued",
        "token.refreshed",
        "token.refresh_failed",
        "login.needed",
        "token.issued",
        "token.revoked",
    ];
    assert_eq!(kinds, expected);
    assert!(records[3].detail.contains("invalid_grant"));
    for record in records {
        assert_eq!(record.server.as_deref(), Some("x"));
        for secret in ["access-", "refresh-", "code-secret"] {
            assert!(!record.detail.contains(secret), "{}", record.detail);
        }
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_written_does_not_lose_a_rotated_token() {
    let world = World::signed_in().await;
    world.audit.spoil().await;
    world.credentials.refresh(&name()).await.unwrap();
    assert_eq!(world.token().await.unwrap(), "access-2");
    let stored = world.on_disk().tokens.refresh_token.unwrap();
    assert_eq!(stored.expose(), "refresh-2");
}
