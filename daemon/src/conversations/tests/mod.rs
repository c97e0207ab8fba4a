mod approvals;
mod histories;
mod limits;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::clock::ManualClock;
use crate::error::{Classify, ErrorKind};

const KEEP: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The service over a store, with a clock that moves when told to.
struct Bench {
    conversations: Conversations,
    store: Store,
    clock: Arc<ManualClock>,
}

impl Bench {
    fn new() -> Self {
        Self::over(Store::temporary())
    }

    fn over(store: Store) -> Self {
        let clock = ManualClock::at(Timestamp::from_second(1_700_000_000).unwrap());
        let lifecycle = Lifecycle::new();
        Self {
            conversations: Conversations::open(store.clone(), clock.clone(), lifecycle, KEEP),
            store,
            clock,
        }
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(SignedDuration::try_from(by).unwrap());
    }

    async fn put(&self, saved: Saved) {
        self.conversations.put(alice(), saved).await.unwrap();
    }

    async fn chain(&self, id: &str) -> Option<Vec<(String, String)>> {
        self.conversations.chain(alice(), id).await.unwrap()
    }

    async fn find(&self, id: &str) -> Option<String> {
        self.conversations.find(alice(), id).await.unwrap()
    }

    async fn sweep(&self) {
        self.conversations.sweep(i64::MAX).await.unwrap();
    }

    async fn execute(&self, statement: &'static str) {
        let execute = move |tx: &Transaction<'_>| tx.execute_batch(statement);
        let done = self.store.write(Durability::Process, execute).await;
        done.unwrap();
    }

    async fn count(&self, table: &'static str) -> i64 {
        let count = format!("SELECT count(*) FROM {table}");
        let read = move |db: &Connection| db.query_row(&count, [], |row| row.get(0));
        self.store.read(read).await.unwrap()
    }
}

fn alice() -> Digest {
    Digest::of(b"alice")
}

fn mallory() -> Digest {
    Digest::of(b"mallory")
}

fn key() -> Digest {
    Digest::of(b"POST /responses")
}

/// Each pair: a name, and a body that is told from others.
fn pairs(names: &[&str]) -> Vec<(String, String)> {
    let pair = |name: &&str| ((*name).to_owned(), format!("{{\"of\":\"{name}\"}}"));
    names.iter().map(pair).collect()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn answer(id: &str, parent: Option<&str>) -> Saved {
    let body = pairs(&[id]).pop().map(|(_, body)| body);
    Saved {
        id: id.to_owned(),
        parent: parent.map(str::to_owned),
        body,
        fragments: Vec::new(),
        pins: Vec::new(),
        open: Vec::new(),
        run: None,
    }
}

#[tokio::test]
async fn a_chain_is_read_oldest_first_and_only_as_a_whole() {
    let bench = Bench::new();
    bench.put(answer("a", None)).await;
    bench.put(answer("b", Some("a"))).await;
    bench.put(answer("b2", Some("a"))).await;
    bench.put(answer("c", Some("b"))).await;
    assert_eq!(bench.chain("c").await, Some(pairs(&["a", "b", "c"])));
    assert_eq!(bench.chain("b2").await, Some(pairs(&["a", "b2"])));
    assert_eq!(bench.chain("d").await, None);

    bench.put(answer("orphan", Some("never"))).await;
    assert_eq!(bench.chain("orphan").await, None);
    assert!(bench.find("orphan").await.is_some());
}

#[tokio::test]
async fn a_deleted_answer_is_gone_for_clients_and_stays_for_what_continues_it() {
    let bench = Bench::new();
    bench.put(answer("a", None)).await;
    let left = Saved {
        fragments: pairs(&["item"]),
        pins: pairs(&["pin"]),
        open: pairs(&["mcpr_1"]),
        ..answer("b", Some("a"))
    };
    bench.put(left).await;
    bench.put(answer("c", Some("b"))).await;
    let it = &bench.conversations;

    assert!(it.delete(alice(), "b").await.unwrap());
    assert!(!it.delete(alice(), "b").await.unwrap(), "only once");
    assert_eq!(bench.find("b").await, None);
    assert_eq!(bench.chain("b").await, None, "nothing new continues it");
    assert_eq!(bench.chain("c").await, Some(pairs(&["a", "b", "c"])));
    let item = names(&["item"]);
    assert!(it.fragments(alice(), &item).await.unwrap().is_empty());
    assert_eq!(it.pins(alice(), &names(&["pin"])).await.unwrap().len(), 1);
    let asked = it.approvals(alice(), &names(&["mcpr_1"])).await.unwrap();
    assert!(asked.open.is_empty() && asked.used.is_empty());

    assert!(it.delete(alice(), "c").await.unwrap());
    assert_eq!(bench.count("conversation_answers").await, 1, "b went too");
    assert_eq!(bench.chain("a").await, Some(pairs(&["a"])));
}

#[tokio::test]
async fn what_one_owner_left_does_not_exist_for_another() {
    let bench = Bench::new();
    let it = &bench.conversations;
    let run = it.begin(alice(), key(), &[], Vec::new()).await.unwrap();
    it.step(run, 0, "{}".to_owned()).await.unwrap();
    let left = || Saved {
        fragments: pairs(&["item"]),
        pins: pairs(&["pin"]),
        open: pairs(&["mcpr_1"]),
        ..answer("a", None)
    };
    bench.put(left()).await;

    assert_eq!(it.find(mallory(), "a").await.unwrap(), None);
    assert_eq!(it.chain(mallory(), "a").await.unwrap(), None);
    assert!(!it.delete(mallory(), "a").await.unwrap());
    let (item, pin, asked) = (names(&["item"]), names(&["pin"]), names(&["mcpr_1"]));
    assert!(it.fragments(mallory(), &item).await.unwrap().is_empty());
    assert!(it.pins(mallory(), &pin).await.unwrap().is_empty());
    let known = it.approvals(mallory(), &asked).await.unwrap();
    assert!(known.open.is_empty() && known.used.is_empty());
    let used = it.begin(mallory(), key(), &asked, Vec::new()).await;
    assert!(matches!(used, Err(ConversationError::Unknown(id)) if id == "mcpr_1"));
    assert!(it.journal(mallory(), key()).await.unwrap().is_none());

    // The same names under another owner are other things.
    it.put(mallory(), left()).await.unwrap();
    assert!(it.delete(mallory(), "a").await.unwrap());
    assert_eq!(bench.chain("a").await, Some(pairs(&["a"])));
    assert_eq!(it.fragments(alice(), &item).await.unwrap().len(), 1);
    it.begin(alice(), key(), &asked, Vec::new()).await.unwrap();
    // Nor does another owner's answer lend its conversation.
    it.put(mallory(), answer("m", Some("a"))).await.unwrap();
    assert_eq!(it.chain(mallory(), "m").await.unwrap(), None);
}

#[tokio::test]
async fn without_a_body_only_what_leads_on_is_kept() {
    let bench = Bench::new();
    let it = &bench.conversations;
    let left = Saved {
        body: None,
        fragments: pairs(&["item"]),
        ..answer("a", None)
    };
    bench.put(left).await;
    assert_eq!(bench.find("a").await, None);
    assert!(!it.delete(alice(), "a").await.unwrap());
    let keys = names(&["item", "other", "item"]);
    assert_eq!(
        it.fragments(alice(), &keys).await.unwrap(),
        pairs(&["item"]).into_iter().collect::<HashMap<_, _>>()
    );
}

#[tokio::test]
async fn a_refused_answer_leaves_nothing() {
    let bench = Bench::new();
    bench.put(answer("a", None)).await;
    let again = Saved {
        fragments: pairs(&["item"]),
        ..answer("a", None)
    };
    let refused = bench.conversations.put(alice(), again).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(bench.count("conversation_items").await, 0);
}

#[tokio::test]
async fn a_run_goes_on_where_a_crash_cut_it_off() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let before = Bench::over(Store::open(&path).unwrap());
    let it = &before.conversations;
    let asking = Saved {
        open: pairs(&["mcpr_1"]),
        ..answer("a", None)
    };
    before.put(asking).await;
    let asked = names(&["mcpr_1"]);
    let run = it.begin(alice(), key(), &asked, Vec::new()).await.unwrap();
    for n in 0..2 {
        it.step(run, n, format!("{n}")).await.unwrap();
    }

    // The first process is not told to close anything.
    let after = Bench::over(Store::open(&path).unwrap());
    let again = &after.conversations;
    let journal = again.journal(alice(), key()).await.unwrap().unwrap();
    assert_eq!((journal.run, journal.finished), (run, None));
    assert_eq!(journal.steps, ["0", "1"]);
    let used = again
        .begin(alice(), key(), &asked, Vec::new())
        .await
        .unwrap_err();
    assert!(matches!(used, ConversationError::Used(_)));

    again.step(run, 2, "2".to_owned()).await.unwrap();
    // Whoever goes on without having seen that step does not get far.
    let stale = it.step(run, 2, "other".to_owned()).await.unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Conflict);
    let complete = |id: &str| Saved {
        run: Some(run),
        ..answer(id, Some("a"))
    };
    after.put(complete("b")).await;
    let twice = it.put(alice(), complete("c")).await.unwrap_err();
    assert!(matches!(twice, ConversationError::RunOver));
    assert_eq!(before.find("c").await, None);
    let late = again.step(run, 3, "3".to_owned()).await.unwrap_err();
    assert!(matches!(late, ConversationError::RunOver));
    let journal = again.journal(alice(), key()).await.unwrap().unwrap();
    assert_eq!(journal.finished.as_deref(), Some("b"));
    assert_eq!(journal.steps, ["0", "1", "2"]);
}

#[tokio::test]
async fn the_newest_of_equal_requests_is_the_one_that_is_found() {
    let bench = Bench::new();
    let it = &bench.conversations;
    let first = it.begin(alice(), key(), &[], Vec::new()).await.unwrap();
    let second = it.begin(alice(), key(), &[], Vec::new()).await.unwrap();
    it.step(first, 0, "first".to_owned()).await.unwrap();
    it.step(second, 0, "second".to_owned()).await.unwrap();
    let journal = it.journal(alice(), key()).await.unwrap().unwrap();
    assert_eq!(journal.run, second);
    assert_eq!(journal.steps, ["second"]);
    let other = Digest::of(b"other");
    assert!(it.journal(alice(), other).await.unwrap().is_none());
}
