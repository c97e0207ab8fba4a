//! Time and room.

use std::sync::Mutex;

use super::*;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test]
async fn a_conversation_that_is_used_stays_as_a_whole() {
    let bench = Bench::new();
    bench.put(answer("a", None)).await;
    bench.put(answer("other", None)).await;
    bench.advance(KEEP - HOUR);
    bench.put(answer("b", Some("a"))).await;
    bench.advance(2 * HOUR);
    assert_eq!(bench.find("other").await, None, "expired, though not swept");
    bench.sweep().await;
    assert_eq!(bench.count("conversation_answers").await, 2);
    assert_eq!(bench.chain("b").await, Some(pairs(&["a", "b"])));
    bench.advance(KEEP);
    assert_eq!(bench.chain("b").await, None);
    bench.sweep().await;
    assert_eq!(bench.count("conversation_answers").await, 0);
    assert_eq!(bench.count("conversations").await, 0);
}

#[tokio::test]
async fn looking_something_up_lets_it_live_on() {
    let bench = Bench::new();
    let kept = Saved {
        body: None,
        fragments: pairs(&["item"]),
        ..answer("a", None)
    };
    bench.put(kept).await;
    let item = names(&["item"]);
    let look = || async {
        let found = bench.conversations.fragments(alice(), &item);
        found.await.unwrap().len()
    };
    let stored = || async {
        let mut commits = bench.store.commits();
        let used = |db: &Connection| -> rusqlite::Result<i64> {
            db.query_row("SELECT used_at FROM conversations", [], |row| row.get(0))
        };
        while bench.store.read(used).await.unwrap() != bench.conversations.now() {
            commits.changed().await.unwrap();
        }
    };
    bench.advance(KEEP - HOUR);
    assert_eq!(look().await, 1);
    stored().await;
    bench.advance(KEEP - HOUR);
    assert_eq!(look().await, 1, "used {:?} ago", KEEP - HOUR);
    stored().await;
    bench.advance(DAY - HOUR);
    assert_eq!(look().await, 1);
    bench.advance(KEEP - DAY + 2 * HOUR);
    assert_eq!(look().await, 0, "uses of the same day are not stored");
}

#[tokio::test]
async fn steps_go_soon_after_the_answer_and_a_day_after_a_crash() {
    let bench = Bench::new();
    let it = &bench.conversations;
    let (cut, done) = (Digest::of(b"cut off"), Digest::of(b"done"));
    let unfinished = it.begin(alice(), cut, &[], Vec::new()).await.unwrap();
    it.step(unfinished, 0, "{}".to_owned()).await.unwrap();
    let finished = it.begin(alice(), done, &[], Vec::new()).await.unwrap();
    it.step(finished, 0, "{}".to_owned()).await.unwrap();
    let complete = Saved {
        run: Some(finished),
        ..answer("a", None)
    };
    bench.put(complete).await;
    bench.advance(Duration::from_secs(9 * 60));
    bench.sweep().await;
    assert!(it.journal(alice(), done).await.unwrap().is_some());
    bench.advance(Duration::from_secs(2 * 60));
    assert!(it.journal(alice(), done).await.unwrap().is_none());
    bench.sweep().await;
    assert_eq!(bench.count("conversation_steps").await, 1);
    assert!(it.journal(alice(), cut).await.unwrap().is_some());
    bench.advance(DAY);
    assert!(it.journal(alice(), cut).await.unwrap().is_none());
    bench.sweep().await;
    assert_eq!(bench.count("conversation_runs").await, 0);
    assert_eq!(bench.count("conversation_steps").await, 0);
}

#[tokio::test]
async fn without_room_the_oldest_of_the_largest_owner_goes() {
    let bench = Bench::new();
    let it = &bench.conversations;
    let large = |id: &str, parent| Saved {
        body: Some("x".repeat(1_000)),
        ..answer(id, parent)
    };
    it.put(mallory(), large("oldest of all", None))
        .await
        .unwrap();
    for number in 0..100 {
        bench.advance(Duration::from_secs(1));
        bench.put(large(&number.to_string(), None)).await;
    }
    bench.put(large("0b", Some("0"))).await;

    it.sweep(102_000).await.unwrap();
    assert_eq!(
        bench.count("conversation_answers").await,
        102,
        "just enough"
    );
    it.sweep(50_000).await.unwrap();
    assert_eq!(bench.count("conversation_answers").await, 50);
    let of_other = it.find(mallory(), "oldest of all").await.unwrap();
    assert!(of_other.is_some(), "who has little loses nothing");
    assert!(bench.chain("0b").await.is_some(), "used last");
    assert!(bench.find("52").await.is_none());
    assert!(bench.find("53").await.is_some());

    it.sweep(0).await.unwrap();
    assert_eq!(bench.count("conversations").await, 0);
    let run = it.begin(alice(), key(), &[], Vec::new()).await.unwrap();
    it.step(run, 0, "x".repeat(1_000)).await.unwrap();
    it.sweep(0).await.unwrap();
    it.step(run, 1, "{}".to_owned()).await.unwrap();
    bench.advance(2 * HOUR);
    it.sweep(0).await.unwrap();
    assert_eq!(bench.count("conversation_steps").await, 0);
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let bench = Bench::new();
    let it = &bench.conversations;
    let large = || "x".repeat(MAX_BODY + 1);
    let long = "k".repeat(MAX_KEY + 1);
    let many: Vec<String> = (0..=MAX_READ).map(|n| n.to_string()).collect();
    let refused = [
        Saved {
            body: Some(large()),
            ..answer("a", None)
        },
        Saved {
            fragments: vec![("item".to_owned(), large())],
            ..answer("a", None)
        },
        Saved {
            fragments: vec![(long.clone(), "{}".to_owned())],
            ..answer("a", None)
        },
        Saved {
            open: many
                .iter()
                .map(|id| (id.clone(), "{}".to_owned()))
                .collect(),
            ..answer("a", None)
        },
        answer(&long, None),
    ];
    for saved in refused {
        let error = it.put(alice(), saved).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().len() < 200);
    }
    let run = it.begin(alice(), key(), &[], Vec::new()).await.unwrap();
    let step = it.step(run, 0, large()).await.unwrap_err();
    assert_eq!(step.kind(), ErrorKind::InvalidInput);
    assert!(it.fragments(alice(), &many).await.is_err());
    assert!(it.begin(alice(), key(), &many, Vec::new()).await.is_err());
    let unknown = it
        .begin(alice(), key(), &[long.repeat(9)], Vec::new())
        .await;
    assert!(unknown.unwrap_err().to_string().len() < 300);
    assert_eq!(bench.count("conversations").await, 0);
}

#[tokio::test]
async fn answers_that_continue_each_other_without_end_are_refused() {
    let bench = Bench::new();
    bench.put(answer("a", Some("b"))).await;
    bench.put(answer("b", Some("a"))).await;
    let endless = bench.conversations.chain(alice(), "b").await;
    assert!(matches!(
        endless.unwrap_err(),
        ConversationError::TooLong { .. }
    ));
}

/// Takes in all that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn bodies_are_in_no_log_and_no_error() {
    const TOKEN: &str = "planted-token";
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let bench = Bench::new();
    let it = &bench.conversations;
    let planted = || Saved {
        body: Some(TOKEN.to_owned()),
        fragments: vec![("item".to_owned(), TOKEN.to_owned())],
        open: vec![("mcpr_1".to_owned(), TOKEN.to_owned())],
        ..answer("a", None)
    };
    bench.put(planted()).await;
    let again = it.put(alice(), planted()).await.unwrap_err();
    let run = it.begin(alice(), key(), &[], Vec::new()).await.unwrap();
    let early = it.step(run, 7, TOKEN.to_owned()).await.unwrap_err();
    for error in [again, early] {
        assert!(!format!("{error:?} {}", chain(&error)).contains(TOKEN));
    }
    it.sweep(0).await.unwrap();
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("forgot the oldest"), "the log is seen");
    assert!(!logged.contains(TOKEN));
}
