//! What changes while a call waits counts when it is sent.

use super::*;
use crate::approval::Remember;
use crate::store::Durability;
use crate::types::Effect;

#[tokio::test]
async fn a_change_of_the_rules_is_seen_by_calls_that_wait() {
    for (effect, expected) in [(Effect::Allow, "done"), (Effect::Deny, "denied")] {
        let sent = Sent::default();
        let bridge = holding(60, server(&sent, done)).await;
        let open = bridge.open(&ask(1), &[]).await;
        let item = bridge.asked().await;
        bridge.rule("ask_me", effect).await;
        let answer = events(open).await.pop().unwrap();
        assert!(text_of(&answer).contains(expected), "{answer}");
        assert_eq!(sent.calls(), usize::from(expected == "done"));
        bridge.until(item.id, State::Withdrawn).await;
    }
}

#[tokio::test]
async fn a_question_asked_under_other_rules_is_asked_anew() {
    let sent = Sent::default();
    let bridge = holding(60, server(&sent, done)).await;
    let open = bridge.open(&ask(1), &[]).await;
    let first = bridge.asked().await;
    bridge.rule("other", Effect::Ask).await;
    bridge.until(first.id, State::Withdrawn).await;
    let second = bridge.asked().await;
    bridge.decide(second.id, Verdict::approve()).await;
    let answer = events(open).await.pop().unwrap();
    assert_eq!(text_of(&answer), "done");
    assert_eq!(sent.calls(), 1);
}

/// Asks about calls, and never lets `n` be more than 10.
async fn limited(sent: &Sent) -> Bridge {
    configured(server(sent, done), |_, server| {
        let rule = json!({"tools": "ask_me", "arguments": {"/n": {"min": 11}}, "effect": "deny"});
        server
            .policy
            .rules
            .push(serde_json::from_value(rule).unwrap());
    })
    .await
}

#[tokio::test]
async fn arguments_that_a_person_put_in_are_judged_too() {
    let sent = Sent::default();
    let bridge = limited(&sent).await;
    let mut body = ask(1);
    body["params"]["arguments"] = json!({"n": 1});
    let open = bridge.open(&body, &[]).await;
    let item = bridge.asked().await;
    let verdict = Verdict::Approve {
        remember: Remember::Once,
        arguments: Some(r#"{"n": 11}"#.to_owned()),
    };
    bridge.decide(item.id, verdict).await;
    let answer = events(open).await.pop().unwrap();
    assert!(text_of(&answer).contains("is denied by"), "{answer}");
    bridge.until(item.id, State::Failed).await;
    assert_eq!(sent.calls(), 0);
}

#[tokio::test]
async fn an_approval_given_under_other_rules_is_not_used() {
    let sent = Sent::default();
    let bridge = holding(0, server(&sent, done)).await;
    bridge.post(&ask(1)).await;
    let first = bridge.asked().await;
    bridge.decide(first.id, Verdict::approve()).await;
    bridge.rule("other", Effect::Ask).await;
    let (_, answer) = bridge.post(&ask(2)).await;
    assert!(text_of(&answer).contains("Approval pending"), "{answer}");
    bridge.until(first.id, State::Withdrawn).await;
    assert_ne!(bridge.asked().await.id, first.id);
    assert_eq!(sent.calls(), 0);
}

#[tokio::test]
async fn a_token_that_is_revoked_while_its_call_waits_lets_nothing_run() {
    let sent = Sent::default();
    let bridge = holding(60, server(&sent, done)).await;
    let token = bridge.token("ci", &[], &[]).await;
    let bearer = format!("Bearer {}", token.expose());
    let open = bridge.open(&ask(1), &[("authorization", &bearer)]).await;
    let item = bridge.asked().await;
    assert_eq!(item.action.caller.client.as_deref(), Some("ci"));
    let ci = "ci".parse().unwrap();
    bridge.clients.revoke(&ci, &Decider::Daemon).await.unwrap();
    let answer = events(open).await.pop().unwrap();
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    bridge.until(item.id, State::Withdrawn).await;
    assert_eq!(sent.calls(), 0);
}

#[tokio::test]
async fn the_end_of_a_session_ends_the_waiting_in_it() {
    let sent = Sent::default();
    let bridge = holding(60, server(&sent, done)).await;
    let session = [("mcp-session-id", "s-1")];
    let open = bridge.open(&ask(1), &session).await;
    let item = bridge.asked().await;
    for other in ["s-2", "s-1"] {
        assert_eq!(
            bridge.approvals.waiting(item.id),
            1,
            "before the end of {other}"
        );
        let end = [("mcp-session-id", other)];
        bridge.send(Method::DELETE, "/mcp/up", &end, "").await;
    }
    assert_eq!(events(open).await, Vec::<Value>::new());
    assert_eq!(bridge.approvals.waiting(item.id), 0);
    bridge.decide(item.id, Verdict::approve()).await;
    assert_eq!(sent.calls(), 0);
}

#[tokio::test]
async fn a_call_that_a_rule_comes_to_allow_runs_once_however_often_it_waits() {
    let sent = Sent::default();
    let bridge = holding(60, server(&sent, done)).await;
    let older = bridge.open(&ask(1), &[]).await;
    let item = bridge.asked().await;
    let newer = bridge.open(&ask(2), &[]).await;
    while bridge.approvals.waiting(item.id) < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    bridge.rule("ask_me", Effect::Allow).await;
    let (older, newer) = tokio::join!(events(older), events(newer));
    assert_eq!(text_of(newer.last().unwrap()), "done");
    let told = text_of(older.last().unwrap());
    assert!(told.contains("let its latest repetition run"), "{told}");
    assert_eq!(sent.calls(), 1);
}

#[tokio::test]
async fn what_was_approved_for_one_address_is_asked_about_at_another() {
    let (here, there) = (Sent::default(), Sent::default());
    let bridge = holding(60, server(&here, done)).await;
    let _open = bridge.open(&ask(1), &[]).await;
    let first = bridge.asked().await;
    bridge.move_to(server(&there, done)).await;
    bridge.until(first.id, State::Withdrawn).await;
    let second = bridge.asked().await;
    assert_ne!(second.action.address, first.action.address);
    assert_eq!((here.calls(), there.calls()), (0, 0));
}

#[tokio::test]
async fn a_call_that_a_rule_allowed_is_not_sent_when_it_is_denied_by_then() {
    let sent = Sent::default();
    let bridge = holding(60, server(&sent, done)).await;
    let (release, released) = std::sync::mpsc::channel::<()>();
    // Its record waits behind this one, and it waits for its record.
    let busy = bridge.store.write(Durability::Process, move |_| {
        let _ = released.recv();
        Ok(())
    });
    let body = call(json!(1), "fine");
    let idle = bridge.registry.followers();
    let changing = async {
        while bridge.registry.followers() == idle {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        bridge.rule("fine", Effect::Deny).await;
        release.send(()).unwrap();
    };
    let (_, (_, answer), ()) = tokio::join!(busy, bridge.post(&body), changing);
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    assert_eq!(sent.calls(), 0);
}
