//! An approval of the client counts once, whatever comes at the same time.

use super::*;

const ATTEMPTS: usize = 40;

async fn asking(bench: &Bench, ids: &[&str]) {
    let saved = Saved {
        open: pairs(ids),
        ..answer("a", None)
    };
    bench.put(saved).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_requests_that_act_on_it_one_begins() {
    let bench = Bench::new();
    asking(&bench, &["mcpr_1", "mcpr_2"]).await;
    let lifecycle = Lifecycle::new();
    let attempts: Vec<_> = (0..ATTEMPTS)
        .map(|number| {
            let it = bench.conversations.clone();
            // In either order, alone or together.
            let ids = match number % 3 {
                0 => names(&["mcpr_1", "mcpr_2"]),
                1 => names(&["mcpr_2", "mcpr_1"]),
                _ => names(&["mcpr_1"]),
            };
            lifecycle.spawn("request", async move {
                let key = Digest::of(&number.to_be_bytes());
                (it.begin(alice(), key, &ids, Vec::new()).await, ids)
            })
        })
        .collect();
    let mut acted_on = Vec::new();
    for attempt in attempts {
        match attempt.await.unwrap() {
            (Ok(_), ids) => acted_on.extend(ids),
            (Err(error), _) => assert!(matches!(error, ConversationError::Used(_))),
        }
    }
    let times = |id: &str| acted_on.iter().filter(|acted| *acted == id).count();
    assert_eq!(times("mcpr_1"), 1);
    assert!(times("mcpr_2") <= 1);
    let runs = bench.count("conversation_runs").await;
    assert_eq!(runs, 1, "who was refused left no run");
    let both = names(&["mcpr_1", "mcpr_2"]);
    let asked = bench.conversations.approvals(alice(), &both).await.unwrap();
    assert_eq!(asked.used.len(), acted_on.len());
    assert_eq!(asked.open.len(), 2 - acted_on.len());
}

#[tokio::test]
async fn all_of_them_are_used_or_none() {
    let bench = Bench::new();
    let it = &bench.conversations;
    asking(&bench, &["mcpr_1", "mcpr_2"]).await;
    let begin = |ids: &[&str]| {
        let ids = names(ids);
        async move { it.begin(alice(), key(), &ids, Vec::new()).await }
    };
    let unknown = begin(&["mcpr_1", "mcpr_9"]).await.unwrap_err();
    assert!(matches!(unknown, ConversationError::Unknown(id) if id == "mcpr_9"));
    let twice = begin(&["mcpr_2", "mcpr_2"]).await.unwrap_err();
    assert!(matches!(twice, ConversationError::Used(id) if id == "mcpr_2"));
    assert_eq!(bench.count("conversation_runs").await, 0);
    begin(&["mcpr_1"]).await.unwrap();
    let used = begin(&["mcpr_2", "mcpr_1"]).await.unwrap_err();
    assert!(matches!(used, ConversationError::Used(id) if id == "mcpr_1"));
    begin(&["mcpr_2"]).await.unwrap();
}

#[tokio::test]
async fn an_id_is_not_opened_again() {
    let bench = Bench::new();
    let it = &bench.conversations;
    asking(&bench, &["mcpr_1"]).await;
    let again = |id: &str| Saved {
        open: pairs(&["mcpr_2", "mcpr_1"]),
        ..answer(id, None)
    };
    let taken = it.put(alice(), again("b")).await.unwrap_err();
    assert!(matches!(taken, ConversationError::Taken(id) if id == "mcpr_1"));
    it.begin(alice(), key(), &names(&["mcpr_1"]), Vec::new())
        .await
        .unwrap();
    assert!(it.put(alice(), again("b")).await.is_err(), "used, too");
    let equal = Saved {
        open: pairs(&["mcpr_3", "mcpr_3"]),
        ..answer("c", None)
    };
    assert!(it.put(alice(), equal).await.is_err());
    assert_eq!(bench.count("conversation_items").await, 1);
}

#[tokio::test]
async fn an_expired_one_says_so_until_it_is_forgotten() {
    let bench = Bench::new();
    let it = &bench.conversations;
    asking(&bench, &["mcpr_1"]).await;
    bench.advance(KEEP + Duration::from_secs(1));
    let ids = names(&["mcpr_1"]);
    assert!(it.approvals(alice(), &ids).await.unwrap().open.is_empty());
    let expired = it
        .begin(alice(), key(), &ids, Vec::new())
        .await
        .unwrap_err();
    assert!(matches!(expired, ConversationError::Expired(_)));
    bench.sweep().await;
    let unknown = it
        .begin(alice(), key(), &ids, Vec::new())
        .await
        .unwrap_err();
    assert!(matches!(unknown, ConversationError::Unknown(_)));
}

#[tokio::test]
async fn it_is_used_together_with_the_first_steps_or_not_at_all() {
    let bench = Bench::new();
    let it = &bench.conversations;
    asking(&bench, &["mcpr_1"]).await;
    let ids = names(&["mcpr_1"]);
    let begin = |steps: &[&str]| it.begin(alice(), key(), &ids, names(steps));
    let is_untouched = async || {
        let asked = it.approvals(alice(), &ids).await.unwrap();
        asked.open.len() == 1 && bench.count("conversation_runs").await == 0
    };
    // As far as it gets before the power goes.
    bench
        .execute(
            "CREATE TRIGGER crash BEFORE INSERT ON conversation_steps WHEN NEW.n = 1
             BEGIN SELECT RAISE(ABORT, 'crash'); END",
        )
        .await;
    begin(&["opened", "listed"]).await.unwrap_err();
    assert!(is_untouched().await);
    bench.execute("DROP TRIGGER crash").await;
    let large = "x".repeat(MAX_BODY + 1);
    let refused = begin(&["opened", &large]).await.unwrap_err();
    assert!(matches!(refused, ConversationError::TooLarge { .. }));
    assert!(is_untouched().await);

    let run = begin(&["opened", "listed"]).await.unwrap();
    it.step(run, 2, "next".to_owned()).await.unwrap();
    let journal = it.journal(alice(), key()).await.unwrap().unwrap();
    assert_eq!(journal.steps, names(&["opened", "listed", "next"]));
    assert_eq!(it.approvals(alice(), &ids).await.unwrap().used.len(), 1);
}
