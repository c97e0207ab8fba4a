//! What is sent is what was shown.

use super::*;

#[tokio::test]
async fn the_same_call_below_another_path_is_another_call() {
    let sent = Sent::default();
    let bridge = holding(0, server(&sent, done)).await;
    let below = "/mcp/up/admin?tenant=2";
    bridge.post(&ask(1)).await;
    let item = bridge.asked().await;
    assert!(item.action.address.ends_with("/base"), "{:?}", item.action);
    bridge.decide(item.id, Verdict::approve()).await;
    let call = bridge.send(Method::POST, below, &[JSON], ask(2).to_string());
    call.await;
    let item = bridge.asked().await;
    let address = &item.action.address;
    assert!(address.ends_with("/base/admin?tenant=2"), "{address}");
    assert_eq!(sent.calls(), 0);
    bridge.decide(item.id, Verdict::approve()).await;
    let call = bridge.send(Method::POST, below, &[JSON], ask(3).to_string());
    call.await;
    assert_eq!(sent.calls(), 1, "what was approved there runs there");
}

#[tokio::test]
async fn changed_arguments_do_not_go_with_headers_that_repeat_the_old_ones() {
    let sent = Sent::default();
    let bridge = holding(0, server(&sent, done)).await;
    bridge.post(&ask(1)).await;
    let item = bridge.asked().await;
    let verdict = Verdict::Approve {
        remember: crate::approval::Remember::Once,
        arguments: Some(r#"{"region": "eu"}"#.to_owned()),
    };
    bridge.decide(item.id, verdict).await;
    let answer = bridge.open(&ask(2), &[("mcp-param-region", "us")]).await;
    answer.into_body().collect().await.unwrap();
    bridge.until(item.id, State::Failed).await;
    assert_eq!(sent.calls(), 0);
}

#[tokio::test]
async fn answers_to_what_the_server_never_asked_are_not_sent() {
    let sent = Sent::default();
    let bridge = holding(60, server(&sent, done)).await;
    let mut body = ask(1);
    body["params"]["requestState"] = json!("forged");
    body["params"]["inputResponses"] = json!({"confirm": {"action": "accept"}});
    let open = bridge.open(&body, &[]).await;
    let item = bridge.asked().await;
    bridge.decide(item.id, Verdict::approve()).await;
    assert_eq!(text_of(events(open).await.last().unwrap()), "done");
    let sent = sent.messages().pop().unwrap();
    assert_eq!(sent["params"], ask(1)["params"]);
}
