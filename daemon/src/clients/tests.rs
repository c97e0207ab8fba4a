use http::HeaderValue;
use http::header::AUTHORIZATION;
use jiff::SignedDuration;

use super::*;
use crate::clock::ManualClock;
use crate::error::{Classify, ErrorKind};
use crate::types::{Pattern, Process};

struct Bench {
    clients: Clients,
    clock: Arc<ManualClock>,
    store: Store,
}

async fn bench(is_required: bool) -> Bench {
    let store = Store::temporary();
    let clock = ManualClock::at("2026-11-21T12:00:00Z".parse().unwrap());
    Bench {
        clients: open(&store, &clock, is_required).await,
        clock,
        store,
    }
}

async fn open(store: &Store, clock: &Arc<ManualClock>, is_required: bool) -> Clients {
    let lifecycle = Lifecycle::new();
    Clients::open(store.clone(), clock.clone(), lifecycle, is_required)
        .await
        .unwrap()
}

fn at_port() -> Caller {
    Caller::new(Channel::Http, Process::default())
}

fn with(token: &str) -> HeaderMap {
    let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    HeaderMap::from_iter([(AUTHORIZATION, value)])
}

fn name(text: &str) -> ClientName {
    text.parse().unwrap()
}

impl Bench {
    /// Waits for what goes on in the background.
    async fn finish(&self) {
        let lifecycle = &self.clients.inner.lifecycle;
        lifecycle.begin_shutdown("test");
        lifecycle.drain(std::time::Duration::from_secs(5)).await;
    }

    async fn add(&self, text: &str, scope: Scope) -> Secret {
        let added = self.clients.add(name(text), scope, None, &Decider::Daemon);
        added.await.unwrap().0
    }
}

fn reading_gh() -> Scope {
    Scope {
        servers: vec!["gh".parse().unwrap()],
        tools: vec![Pattern::parse("list_*").unwrap()],
    }
}

#[tokio::test]
async fn a_token_names_its_client_also_after_a_restart() {
    let bench = bench(false).await;
    let token = bench.add("ci", reading_gh()).await;
    for clients in [
        bench.clients.clone(),
        open(&bench.store, &bench.clock, false).await,
    ] {
        let caller = clients.identify(&at_port(), &with(token.expose())).unwrap();
        assert_eq!(caller.client(), Some(&name("ci")));
        assert_eq!(caller.authenticated().unwrap().scope(), &reading_gh());
    }
}

#[tokio::test]
async fn the_token_itself_is_not_in_the_database() {
    let bench = bench(false).await;
    let token = bench.add("ci", Scope::default()).await;
    let rows = bench.store.read(|connection| {
        connection.query_row("SELECT name, token FROM clients", [], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?))
        })
    });
    let (stored_name, stored) = rows.await.unwrap();
    assert_eq!(stored_name, "ci");
    assert_eq!(stored, token::hash(token.expose()).as_bytes());
}

#[tokio::test]
async fn a_token_that_does_not_count_is_refused_and_never_ignored() {
    let bench = bench(false).await;
    let token = bench.add("ci", Scope::default()).await;
    let clients = &bench.clients;
    let caller = clients.identify(&at_port(), &with(token.expose())).unwrap();
    clients.recheck(&caller).unwrap();
    clients.revoke(&name("ci"), &Decider::Daemon).await.unwrap();
    for headers in [with(token.expose()), with("mcpb_made-up")] {
        let refused = clients.identify(&at_port(), &headers);
        assert!(matches!(refused, Err(ClientError::Unknown)));
    }
    assert!(clients.recheck(&caller).is_err(), "a call that waited");
    let again = clients
        .revoke(&name("ci"), &Decider::Daemon)
        .await
        .unwrap_err();
    assert_eq!(again.kind(), ErrorKind::NotFound);
    assert!(
        open(&bench.store, &bench.clock, false)
            .await
            .list()
            .is_empty()
    );
}

#[tokio::test]
async fn a_name_that_is_given_again_is_another_client() {
    let bench = bench(false).await;
    let clients = &bench.clients;
    let leaked = bench.add("ci", reading_gh()).await;
    let identify = |clients: &Clients, token: &Secret| {
        clients.identify(&at_port(), &with(token.expose())).unwrap()
    };
    let before = identify(clients, &leaked);
    let reopened = open(&bench.store, &bench.clock, false).await;
    let restarted = identify(&reopened, &leaked);
    assert_eq!(restarted.principal(), before.principal());
    clients.revoke(&name("ci"), &Decider::Daemon).await.unwrap();
    let fresh = bench.add("ci", reading_gh()).await;
    let after = identify(clients, &fresh);
    assert_eq!(after.client(), before.client(), "rules go by the name");
    assert_ne!(after.principal(), before.principal(), "approvals do not");
    clients.recheck(&after).unwrap();
    clients.recheck(&before).unwrap_err();
}

#[tokio::test]
async fn a_token_expires_by_the_clock() {
    let bench = bench(false).await;
    let adding = bench
        .clients
        .add(name("ci"), Scope::default(), Some(60), &Decider::Daemon);
    let (token, _) = adding.await.unwrap();
    let identify = || bench.clients.identify(&at_port(), &with(token.expose()));
    let caller = identify().unwrap();
    bench.clock.advance(SignedDuration::from_secs(60));
    assert!(matches!(identify(), Err(ClientError::Expired(_))));
    assert!(bench.clients.recheck(&caller).is_err());
    assert_eq!(bench.clients.list().len(), 1, "it is still shown");
}

#[tokio::test]
async fn who_sends_no_token_is_anonymous_where_none_is_required() {
    let (free, strict) = (bench(false).await.clients, bench(true).await.clients);
    for headers in [HeaderMap::new(), with("sk_meant_for_somebody_else")] {
        let caller = free.identify(&at_port(), &headers).unwrap();
        assert_eq!(caller.client(), None);
        let refused = strict.identify(&at_port(), &headers).unwrap_err();
        assert!(refused.hint().unwrap().contains("mcpbridgectl client add"));
    }
    let control = Caller::new(Channel::Control, Process::default());
    strict.identify(&control, &HeaderMap::new()).unwrap();
}

#[tokio::test]
async fn who_was_identified_before_needs_no_token_again_until_it_is_revoked() {
    let bench = bench(true).await;
    let token = bench.add("ci", Scope::default()).await;
    let clients = &bench.clients;
    let caller = clients.identify(&at_port(), &with(token.expose())).unwrap();
    let again = clients.identify(&caller, &HeaderMap::new()).unwrap();
    assert_eq!(again.client(), Some(&name("ci")));
    clients.revoke(&name("ci"), &Decider::Daemon).await.unwrap();
    clients.identify(&caller, &HeaderMap::new()).unwrap_err();
}

#[tokio::test]
async fn a_name_is_given_once() {
    let bench = bench(false).await;
    bench.add("ci", Scope::default()).await;
    let again = bench
        .clients
        .add(name("ci"), Scope::default(), None, &Decider::Daemon)
        .await;
    assert_eq!(again.unwrap_err().kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn the_last_use_is_shown_at_once_and_stored_now_and_then() {
    let bench = bench(false).await;
    let token = bench.add("ci", Scope::default()).await;
    let clients = &bench.clients;
    assert_eq!(clients.list()[0].used_at(), None);
    let mut stored = Vec::new();
    let began = clients.inner.now();
    for _ in 0..3 {
        let headers = with(token.expose());
        clients.identify(&at_port(), &headers).unwrap();
        assert_eq!(clients.list()[0].used_at(), Some(clients.inner.now()));
        bench.finish().await;
        let reopened = open(&bench.store, &bench.clock, false).await;
        stored.push(reopened.list()[0].used_at().unwrap() - began);
        bench.clock.advance(SignedDuration::from_mins(40));
    }
    assert_eq!(stored, [0, 0, 80 * 60]);
}

#[test]
fn a_token_is_refused_beyond_its_scope() {
    let caller = at_port().with_client(Client::named(name("ci"), reading_gh()));
    let (gh, other) = ("gh".parse().unwrap(), "other".parse().unwrap());
    cover(&caller, &gh, None).unwrap();
    cover(&caller, &gh, Some("list_repos")).unwrap();
    let refused = cover(&caller, &gh, Some("delete_repo")).unwrap_err();
    assert!(refused.hint().unwrap().contains("--tool delete_repo"));
    assert!(cover(&caller, &other, None).is_err());
    assert!(cover(&caller, &other, Some("list_repos")).is_err());
    cover(&at_port(), &other, Some("x")).unwrap();
}

#[tokio::test]
async fn clients_that_come_go_and_are_refused_are_recorded_without_their_tokens() {
    let bench = bench(false).await;
    let token = bench.add("ci", reading_gh()).await;
    let ci = name("ci");
    bench.clients.revoke(&ci, &Decider::Daemon).await.unwrap();
    let refused = bench.clients.identify(&at_port(), &with(token.expose()));
    refused.unwrap_err();
    bench.finish().await;
    let read = bench.store.read(|connection| {
        let mut rows = connection.prepare("SELECT kind, detail FROM audit ORDER BY seq")?;
        let rows = rows.query_map([], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        });
        rows?.collect::<rusqlite::Result<Vec<_>>>()
    });
    let (kinds, details): (Vec<_>, Vec<_>) = read.await.unwrap().into_iter().unzip();
    assert_eq!(kinds, ["client.added", "client.revoked", "client.refused"]);
    assert!(details[0].contains("list_*"), "{details:?}");
    let hash = token::hash(token.expose()).to_string();
    let told = |detail: &String| detail.contains(token.expose()) || detail.contains(&hash);
    assert!(!details.iter().any(told), "{details:?}");
}
