//! One call after another.

use std::collections::HashMap;

use super::*;

#[tokio::test]
async fn an_approved_call_runs_exactly_once() {
    let bench = Bench::new().await;
    let ticket = bench.submit(action("{}")).await;
    assert_eq!(ticket.item().state, State::Pending);
    bench.approve(ticket.id()).await;
    assert_eq!(ticket.decided().await.state, State::Approved);
    let execution = ticket.claim().await.unwrap();
    assert_eq!(execution.arguments(), "{}");
    assert!(ticket.claim().await.is_err());
    execution.settle(Settled::Done);
    ticket.until(|item| item.state == State::Done).await;
    assert!(ticket.claim().await.is_err());
    let again = bench.submit(action("{}")).await;
    assert_ne!(again.id(), ticket.id());
}

#[tokio::test]
async fn the_second_answer_is_told_of_the_first() {
    let bench = Bench::new().await;
    let ticket = bench.submit(action("{}")).await;
    let denied = Verdict::Deny {
        reason: Some("not today".to_owned()),
    };
    bench.decide(ticket.id(), denied).await.unwrap();
    let late = bench.decide(ticket.id(), Verdict::approve()).await;
    let told = late.unwrap_err().to_string();
    assert!(told.contains("already denied by the web page"), "{told}");
    assert!(told.contains("2027-01-15T08:00:00Z"), "{told}");
    let again = bench.submit(action("{}")).await;
    assert_eq!(again.id(), ticket.id(), "a repetition has the same answer");
    bench.clock.advance(SignedDuration::from_secs(60));
    let later = bench.submit(action("{}")).await;
    assert_ne!(later.id(), ticket.id());
}

#[tokio::test]
async fn a_call_that_joins_a_question_while_it_is_answered_has_the_answer() {
    let bench = Bench::new().await;
    let first = bench.submit(action("{}")).await;
    let denied = Verdict::Deny { reason: None };
    // Both are left before either is made, so they are made together.
    let turn = bench.approvals.inner.turn.lock().await;
    let release = async {
        while bench.approvals.inner.waiting.lock().unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
        drop(turn);
    };
    let (joined, decided, ()) = tokio::join!(
        bench.submit(action("{}")),
        bench.decide(first.id(), denied),
        release,
    );
    decided.unwrap();
    assert_eq!(joined.id(), first.id());
    assert_eq!(joined.item().state, State::Denied);
    assert_eq!(joined.decided().await.state, State::Denied);
}

#[tokio::test]
async fn a_restart_keeps_questions_and_approvals_but_not_the_outcome_of_a_running_call() {
    let bench = Bench::new().await;
    let pending = bench.submit(action(r#"{"a":1}"#)).await;
    let approved = bench.submit(action(r#"{"a":2}"#)).await;
    bench.approve(approved.id()).await;
    let running = bench.submit(action(r#"{"a":3}"#)).await;
    bench.approve(running.id()).await;
    let execution = running.claim().await.unwrap();

    let next = bench.restarted().await;
    let of = async |id| next.get(id).await.unwrap().state;
    assert_eq!(of(pending.id()).await, State::Pending);
    assert_eq!(of(approved.id()).await, State::Approved);
    assert_eq!(of(running.id()).await, State::OutcomeUnknown);
    let repeated = next.submit(action(r#"{"a":2}"#), PATIENCE).await.unwrap();
    assert_eq!(repeated.id(), approved.id());
    assert!(repeated.claim().await.is_ok());
    let repeated = next.submit(action(r#"{"a":3}"#), PATIENCE).await.unwrap();
    assert_eq!(repeated.item().state, State::Pending);
    assert_eq!(repeated.item().earlier, Some(running.id()));
    drop(execution);
}

#[tokio::test]
async fn time_denies_and_the_newest_waiting_call_takes_the_approval() {
    let bench = Bench::new().await;
    let old = bench.submit(action("{}")).await;
    let new = bench.submit(action("{}")).await;
    assert_eq!(old.id(), new.id());
    assert_eq!(bench.approvals.waiting(old.id()), 2);
    bench.approve(old.id()).await;
    let (first, second) = tokio::join!(old.claim(), new.claim());
    assert!(matches!(first, Err(ClaimError::Unclaimable(_))));
    second.unwrap().settle(Settled::Done);

    let ticket = bench.submit(action(r#"{"b":1}"#)).await;
    bench.clock.advance(SignedDuration::from_secs(900));
    let late = bench.decide(ticket.id(), Verdict::approve()).await;
    assert!(matches!(late, Err(ApprovalError::AlreadyDecided(_))));
    assert_eq!(ticket.decided().await.state, State::Expired);
}

#[tokio::test]
async fn an_older_call_takes_the_approval_when_the_newer_one_has_gone() {
    let bench = Bench::new().await;
    let old = bench.submit(action("{}")).await;
    let new = bench.submit(action("{}")).await;
    bench.approve(old.id()).await;
    let waiting = old.claim();
    tokio::pin!(waiting);
    let early = futures_util::poll!(&mut waiting);
    assert!(early.is_pending(), "the newer one is first");
    drop(new);
    waiting.await.unwrap().settle(Settled::Done);
}

#[tokio::test]
async fn an_approval_that_was_taken_by_nobody_is_put_back() {
    let bench = Bench::new().await;
    let ticket = bench.submit(action("{}")).await;
    bench.approve(ticket.id()).await;
    {
        let claim = ticket.claim();
        tokio::pin!(claim);
        assert!(futures_util::poll!(&mut claim).is_pending());
        // The client has gone while the record was written.
    }
    let execution = loop {
        match ticket.claim().await {
            Ok(execution) => break execution,
            // It tells how the item is by now, which may be put back already.
            Err(ClaimError::Unclaimable(item)) => {
                assert!(matches!(item.state, State::Executing | State::Approved));
            }
            Err(ClaimError::Store(error)) => panic!("{error}"),
        }
        ticket.until(|item| item.state == State::Approved).await;
    };
    drop(execution);
    let ended = ticket.until(|item| !item.state.is_live()).await;
    assert_eq!(
        ended.state,
        State::OutcomeUnknown,
        "a claim that was used is used"
    );
}

#[tokio::test]
async fn what_is_sent_is_what_the_person_wrote() {
    let bench = Bench::new().await;
    let edit = |arguments: &str| Verdict::Approve {
        remember: Remember::Always { arguments: true },
        arguments: Some(arguments.to_owned()),
    };
    let ticket = bench.submit(action(r#"{"amount":100}"#)).await;
    for bad in ["[]", "{", r#"{"amount":1,"amount":2}"#] {
        let refused = bench.decide(ticket.id(), edit(bad)).await;
        assert!(
            matches!(refused, Err(ApprovalError::Arguments { .. })),
            "{bad}"
        );
    }
    bench
        .decide(ticket.id(), edit(r#"{"amount": 5}"#))
        .await
        .unwrap();
    let execution = ticket.claim().await.unwrap();
    assert!(execution.is_edited());
    assert_eq!(execution.arguments(), r#"{"amount": 5}"#);
    let item = execution.item();
    assert_eq!(item.action.arguments, r#"{"amount":100}"#, "both are kept");
    let grants = bench.approvals.grants().await.unwrap();
    assert_eq!(grants[0].argument_digest, Some(item.argument_digest()));

    let mut fixed = action(r#"{"amount":7}"#);
    fixed.editable = false;
    let ticket = bench.submit(fixed).await;
    let refused = bench.decide(ticket.id(), edit(r#"{"amount": 5}"#)).await;
    assert!(matches!(refused, Err(ApprovalError::NotEditable { .. })));
}

#[tokio::test]
async fn arguments_that_are_not_to_be_kept_are_gone_when_the_call_is_over() {
    let bench = Bench::new().await;
    let mut secret = action(r#"{"card":"4242"}"#);
    secret.keep_arguments = false;
    let ticket = bench.submit(secret).await;
    bench.approve(ticket.id()).await;
    ticket.claim().await.unwrap().settle(Settled::Done);
    ticket.until(|item| item.state == State::Done).await;
    let everything = bench.store.read(|connection| {
        let sql = "SELECT item FROM approvals UNION ALL SELECT detail FROM audit";
        let mut rows = connection.prepare(sql)?;
        rows.query_map([], |row| row.get::<_, String>(0))?
            .collect::<rusqlite::Result<Vec<_>>>()
    });
    let everything = everything.await.unwrap().join("\n");
    assert!(!everything.contains("4242"), "{everything}");
    assert!(everything.contains(&ticket.item().action.argument_digest.to_string()));
}

#[tokio::test]
async fn neither_padding_nor_a_token_keeps_a_call_out_of_the_records() {
    let bench = Bench::new().await;
    let token = format!("mcpb_{}", "t".repeat(43));
    for arguments in [
        format!(r#"{{"card":"4242","pad":"{}"}}"#, "x".repeat(300_000)),
        format!(r#"{{"card":"4242","note":"{token} mcpb_docs"}}"#),
    ] {
        let call = action(&arguments);
        let (principal, digest) = (call.caller.principal.clone(), call.argument_digest);
        let ticket = bench.submit(call).await;
        bench.approve(ticket.id()).await;
        let execution = ticket.claim().await.unwrap();
        assert_eq!(
            execution.arguments(),
            arguments,
            "it is sent as it was asked"
        );
        execution.settle(Settled::Done);
        ticket.until(|item| item.state == State::Done).await;
        let id = ticket.id();
        let records = bench.store.read(move |connection| {
            let sql = "SELECT detail FROM audit WHERE approval = ?1 ORDER BY seq";
            let mut rows = connection.prepare(sql)?;
            rows.query_map([id.as_str()], |row| row.get::<_, String>(0))?
                .collect::<rusqlite::Result<Vec<_>>>()
        });
        let records = records.await.unwrap();
        let requested: serde_json::Value = serde_json::from_str(&records[0]).unwrap();
        assert_eq!(requested["principal"], principal.as_str());
        assert_eq!(requested["argument_digest"], digest.to_string());
        let decided: serde_json::Value = serde_json::from_str(&records[1]).unwrap();
        assert_eq!(decided["approved"], true);
        assert!(!records.join("").contains(&token));
        let over = &ticket.item().action.arguments;
        assert!(over.contains("4242") && !over.contains(&token));
        match arguments.len() > 300_000 {
            true => assert_eq!(requested["arguments"]["bytes"], arguments.len()),
            false => assert!(records[0].contains("4242") && records[0].contains("mcpb_docs")),
        }
    }
}

#[tokio::test]
async fn what_is_not_on_the_disk_has_not_happened() {
    let bench = Bench::new().await;
    let ticket = bench.submit(action("{}")).await;
    let sabotage =
        "CREATE TRIGGER full BEFORE UPDATE ON approvals BEGIN SELECT RAISE(ABORT, 'full'); END";
    bench.run(sabotage).await;
    let decided = bench.decide(ticket.id(), Verdict::approve()).await;
    assert!(matches!(decided, Err(ApprovalError::Store(_))));
    assert_eq!(ticket.item().state, State::Pending);
    bench.run("DROP TRIGGER full").await;
    bench.approve(ticket.id()).await;
    bench.run(sabotage).await;
    assert!(matches!(ticket.claim().await, Err(ClaimError::Store(_))));
    bench.run("DROP TRIGGER full").await;
    ticket.claim().await.unwrap().settle(Settled::Done);
}

#[tokio::test]
async fn a_prefix_names_an_item_as_long_as_it_is_the_only_one() {
    let bench = Bench::new().await;
    let id = bench.submit(action("{}")).await.id();
    let found = bench.approvals.resolve(&id.as_str()[..4]).await;
    assert_eq!(found.unwrap(), id);
    for (wrong, error) in [
        ("zzzz", "there is no approval"),
        ("%%%%", "there is no approval"),
        ("abc", "beginning of several"),
        ("", "beginning of several"),
    ] {
        let refused = bench
            .approvals
            .resolve(wrong)
            .await
            .unwrap_err()
            .to_string();
        assert!(refused.contains(error), "{refused}");
    }
}

#[tokio::test]
async fn a_server_that_is_gone_takes_its_questions_and_grants_along() {
    let bench = Bench::new().await;
    let asked = bench.submit(action("{}")).await;
    let always = Verdict::Approve {
        remember: Remember::Always { arguments: false },
        arguments: None,
    };
    bench.decide(asked.id(), always).await.unwrap();
    bench
        .approvals
        .sync(&["other".parse().unwrap()])
        .await
        .unwrap();
    assert_eq!(asked.item().state, State::Withdrawn);
    assert!(bench.approvals.grants().await.unwrap().is_empty());
    let again = bench.submit(action("{}")).await;
    assert_eq!(again.item().state, State::Pending);
}

#[tokio::test]
async fn what_nobody_waits_for_ends_with_the_policy_it_was_asked_under() {
    let bench = Bench::new().await;
    let left = bench.submit(action("{}")).await.id();
    let used = bench.submit(action(r#"{"approved":true}"#)).await.id();
    bench.approve(used).await;
    let waits = bench.submit(action(r#"{"waits":true}"#)).await;
    let now = |policy: &[u8]| HashMap::from([("stripe".parse().unwrap(), Digest::of(policy))]);
    let states = async || {
        let mut states = Vec::new();
        for id in [left, used, waits.id()] {
            states.push(bench.approvals.get(id).await.unwrap().state);
        }
        states
    };
    let same = now(b"policy");
    bench.approvals.withdraw_outdated(same).await.unwrap();
    assert_eq!(
        states().await,
        [State::Pending, State::Approved, State::Pending]
    );
    let other = now(b"another");
    bench.approvals.withdraw_outdated(other).await.unwrap();
    assert_eq!(
        states().await,
        [State::Withdrawn, State::Withdrawn, State::Pending]
    );
}

#[tokio::test]
async fn the_history_is_read_from_the_newest_backwards() {
    let bench = Bench::new().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        let ticket = bench.submit(action(&format!("{{\"n\":{number}}}"))).await;
        ids.insert(0, ticket.id());
        bench.clock.advance(SignedDuration::from_secs(1));
    }
    bench.approve(ids[1]).await;
    let page = async |filter: Filter| {
        let page = bench.approvals.history(filter).await.unwrap();
        page.iter().map(|item| item.id).collect::<Vec<_>>()
    };
    let filter = |before, limit| Filter {
        before,
        limit,
        ..Filter::default()
    };
    assert_eq!(page(filter(None, 2)).await, ids[..2]);
    assert_eq!(page(filter(Some(ids[1]), 10)).await, ids[2..]);
    let approved = Filter {
        states: vec![State::Approved, State::Done],
        server: Some("stripe".parse().unwrap()),
        ..filter(None, 10)
    };
    assert_eq!(page(approved).await, ids[1..2]);
}

#[tokio::test(start_paused = true)]
async fn a_question_ends_by_itself_when_its_time_is_over() {
    let bench = Bench::new().await;
    let ticket = bench.submit(action("{}")).await;
    bench.clock.advance(SignedDuration::from_secs(900));
    assert_eq!(ticket.decided().await.state, State::Expired);
}

#[tokio::test]
async fn a_question_is_overtaken_by_one_call_and_never_after_an_answer() {
    let bench = Bench::new().await;
    let (older, newer) = (
        bench.submit(action("{}")).await,
        bench.submit(action("{}")).await,
    );
    let (first, second) = tokio::join!(older.overtake("a rule"), newer.overtake("a rule"));
    assert!(second.is_ok() && first.is_err(), "the newest, alone");
    assert_eq!(older.item().state, State::Withdrawn);

    let ticket = bench.submit(action("{}")).await;
    let deny = Verdict::Deny { reason: None };
    bench.decide(ticket.id(), deny).await.unwrap();
    let refused = ticket.overtake("a rule").await;
    assert!(matches!(refused, Err(ClaimError::Unclaimable(item)) if item.state == State::Denied));
}
