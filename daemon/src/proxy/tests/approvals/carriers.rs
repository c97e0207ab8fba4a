//! How the asking client itself is told.

use super::*;
use crate::types::Effect;

const VERSION: (&str, &str) = ("mcp-protocol-version", "2026-07-28");
const METHOD: (&str, &str) = ("mcp-method", "tools/call");
const NAME: (&str, &str) = ("mcp-name", "ask_me");
const OURS: &str = "io.github.mcp-oauth-bridge/approval";

/// A call of 2026-07-28 by a client that can elicit like this.
fn modern(id: u64, arguments: Value, elicitation: Value) -> Value {
    let mut body = ask(id);
    body["params"]["arguments"] = arguments;
    body["params"]["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": elicitation},
        "io.modelcontextprotocol/clientInfo": {"name": "Tester", "version": "1"},
    });
    body
}

fn again(first: &Value, id: u64, answer: &Value, response: Value) -> Value {
    let mut body = first.clone();
    body["id"] = json!(id);
    body["params"]["requestState"] = answer["result"]["requestState"].clone();
    body["params"]["inputResponses"] = response;
    body
}

impl Bridge {
    async fn modern(&self, body: &Value) -> Value {
        let response = self.open(body, &[VERSION, METHOD, NAME]).await;
        assert_eq!(response.status(), 200);
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        match serde_json::from_str(&text) {
            Ok(json) => json,
            Err(_) => {
                let mut last = text.lines().filter_map(|line| line.strip_prefix("data: "));
                serde_json::from_str(last.next_back().unwrap()).unwrap()
            }
        }
    }
}

fn accepted() -> Value {
    json!({OURS: {"action": "accept"}})
}

#[tokio::test]
async fn a_modern_client_is_sent_to_the_page_and_comes_back_with_a_sealed_state() {
    let sent = Sent::default();
    let bridge = holding(60, server(&sent, done)).await;
    let first = modern(1, json!({"n": 1}), json!({"url": {}}));
    let asked = bridge.modern(&first).await;
    let item = bridge.asked().await;
    assert_eq!(asked["result"]["resultType"], "input_required");
    let request = &asked["result"]["inputRequests"][OURS];
    assert_eq!(request["method"], "elicitation/create");
    assert_eq!(request["params"]["mode"], "url");
    let url = format!("http://localhost:3000/approvals/{}", item.id);
    assert_eq!(request["params"]["url"], url);
    assert_eq!(item.action.caller.client_info.as_deref(), Some("Tester 1"));

    let retry = again(&first, 2, &asked, accepted());
    let deciding = async {
        while bridge.approvals.waiting(item.id) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        bridge.decide(item.id, Verdict::approve()).await;
    };
    let (answer, ()) = tokio::join!(bridge.modern(&retry), deciding);
    assert_eq!((&answer["id"], text_of(&answer)), (&json!(2), "done"));
    let sent = sent.messages();
    assert_eq!(sent.len(), 1);
    let params = sent[0]["params"].as_object().unwrap();
    assert!(!params.contains_key("requestState"), "{params:?}");
    assert!(!params.contains_key("inputResponses"), "{params:?}");
}

#[tokio::test]
async fn a_state_is_good_for_one_call_of_one_tool_with_the_same_arguments() {
    let sent = Sent::default();
    let bridge = holding(0, server(&sent, done)).await;
    let first = modern(1, json!({"n": 1}), json!({"url": {}}));
    let asked = bridge.modern(&first).await;
    let item = bridge.asked().await;

    let mut changed = again(&first, 2, &asked, accepted());
    changed["params"]["arguments"] = json!({"n": 2});
    let answer = bridge.modern(&changed).await;
    assert_eq!(
        answer["result"]["resultType"], "input_required",
        "asked anew"
    );
    assert_eq!(bridge.approvals.pending().len(), 2);

    let mut forged = again(&first, 3, &asked, accepted());
    let state = asked["result"]["requestState"].as_str().unwrap();
    let other = if &state[20..21] == "A" { "B" } else { "A" };
    let changed = [&state[..20], other, &state[21..]].concat();
    forged["params"]["requestState"] = json!(changed);
    let answer = bridge.modern(&forged).await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");

    let mut foreign = again(&first, 4, &asked, accepted());
    foreign["params"]["name"] = json!("ask_other");
    let headers = [VERSION, METHOD, ("mcp-name", "ask_other")];
    let response = bridge.open(&foreign, &headers).await;
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(answer["error"]["code"], -32602, "{answer}");

    bridge.decide(item.id, Verdict::approve()).await;
    let retry = again(&first, 5, &asked, accepted());
    assert_eq!(text_of(&bridge.modern(&retry).await), "done");
    bridge.until(item.id, State::Done).await;
    let replayed = bridge.modern(&again(&first, 6, &asked, accepted())).await;
    assert_eq!(replayed["error"]["code"], -32602, "{replayed}");
    assert_eq!(sent.calls(), 1);
}

#[tokio::test]
async fn an_undecided_modern_call_is_asked_about_again() {
    let bridge = holding(0, server(&Sent::default(), done)).await;
    let first = modern(1, json!({}), json!({"url": {}}));
    let asked = bridge.modern(&first).await;
    let again = bridge.modern(&again(&first, 2, &asked, accepted())).await;
    assert_eq!(again["result"]["resultType"], "input_required");
    assert_ne!(
        again["result"]["requestState"],
        asked["result"]["requestState"]
    );
    assert_eq!(bridge.approvals.pending().len(), 1);
}

#[tokio::test]
async fn a_client_that_declines_by_reflex_is_held_instead() {
    let sent = Sent::default();
    let bridge = holding(60, server(&sent, done)).await;
    let first = modern(1, json!({}), json!({"url": {}}));
    let asked = bridge.modern(&first).await;
    let item = bridge.asked().await;
    let response = json!({OURS: {"action": "decline"}});
    let retry = again(&first, 2, &asked, response);
    let deciding = async {
        while bridge.approvals.waiting(item.id) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        bridge.decide(item.id, Verdict::approve()).await;
    };
    let (answer, ()) = tokio::join!(bridge.modern(&retry), deciding);
    assert_eq!(text_of(&answer), "done");
}

#[tokio::test]
async fn a_form_decides_only_where_policy_takes_the_clients_word() {
    for accepted in [false, true] {
        let sent = Sent::default();
        let bridge = configured(server(&sent, done), |config, server| {
            config.approvals.hold_seconds = 0;
            server.policy.accept_weak_approval = accepted;
        })
        .await;
        let first = modern(1, json!({"n": 1}), json!({}));
        let answer = bridge.modern(&first).await;
        if !accepted {
            assert!(text_of(&answer).contains("Approval pending"), "{answer}");
            continue;
        }
        let request = &answer["result"]["inputRequests"][OURS]["params"];
        assert_eq!(request["mode"], "form");
        assert!(request["message"].as_str().unwrap().contains(r#"{"n":1}"#));
        let content = json!({"decision": "approve"});
        let response = json!({OURS: {"action": "accept", "content": content}});
        let answer = bridge.modern(&again(&first, 2, &answer, response)).await;
        assert_eq!(text_of(&answer), "done");
        assert_eq!(sent.calls(), 1);
    }
}

#[tokio::test]
async fn an_answer_to_a_question_that_was_withdrawn_does_not_answer_the_next() {
    let sent = Sent::default();
    let bridge = configured(server(&sent, done), |_, server| {
        server.policy.accept_weak_approval = true;
    })
    .await;
    let first = modern(1, json!({"n": 1}), json!({}));
    let asked = bridge.modern(&first).await;
    bridge.rule("other", Effect::Ask).await;
    let content = json!({"decision": "approve"});
    let response = json!({OURS: {"action": "accept", "content": content}});
    let answer = bridge
        .modern(&again(&first, 2, &asked, response.clone()))
        .await;
    assert_eq!(answer["result"]["resultType"], "input_required", "{answer}");
    assert_eq!((sent.calls(), bridge.approvals.pending().len()), (0, 1));
    let answer = bridge.modern(&again(&first, 3, &answer, response)).await;
    assert_eq!(text_of(&answer), "done");
}

/// Asks its client once, then is done.
fn asks_back(message: &Value) -> Value {
    match message["params"]["requestState"].as_str() {
        None => json!({
            "resultType": "input_required",
            "inputRequests": {"theirs": {"method": "roots/list"}},
            "requestState": "their \"state\"",
        }),
        Some(_) => json!({"resultType": "complete", "content": [{"type": "text", "text": "done"}]}),
    }
}

#[tokio::test]
async fn the_servers_own_question_shares_the_state_and_nobody_is_asked_twice() {
    let sent = Sent::default();
    let bridge = holding(60, server(&sent, asks_back)).await;
    let first = modern(1, json!({"n": 1}), json!({"url": {}}));
    let asked = bridge.modern(&first).await;
    let item = bridge.asked().await;
    bridge.decide(item.id, Verdict::approve()).await;
    let theirs = bridge.modern(&again(&first, 2, &asked, accepted())).await;
    assert_eq!(theirs["result"]["resultType"], "input_required");
    assert_eq!(
        theirs["result"]["inputRequests"],
        json!({"theirs": {"method": "roots/list"}})
    );
    let state = theirs["result"]["requestState"].as_str().unwrap();
    assert!(state.starts_with("mcpbridge1."), "{state}");
    bridge.until(item.id, State::Approved).await;

    let roots = json!({"theirs": {"roots": []}});
    let answer = bridge
        .modern(&again(&first, 3, &theirs, roots.clone()))
        .await;
    assert_eq!(text_of(&answer), "done");
    let last = sent.messages().pop().unwrap();
    assert_eq!(last["params"]["requestState"], "their \"state\"");
    assert_eq!(last["params"]["inputResponses"], roots);
    bridge.until(item.id, State::Done).await;
    assert_eq!(sent.calls(), 2);
}

#[tokio::test]
async fn a_call_that_the_server_asks_back_about_runs_on_with_its_latest_state_alone() {
    let sent = Sent::default();
    let bridge = holding(0, server(&sent, asks_back)).await;
    let first = modern(1, json!({"n": 1}), json!({"url": {}}));
    let asked = bridge.modern(&first).await;
    let item = bridge.asked().await;
    bridge.decide(item.id, Verdict::approve()).await;
    let theirs = bridge.modern(&again(&first, 2, &asked, accepted())).await;
    bridge.until(item.id, State::Approved).await;

    let bare = bridge.modern(&first).await;
    assert!(bare["result"]["inputRequests"][OURS].is_object(), "{bare}");
    assert_ne!(bridge.asked().await.id, item.id);
    let old = bridge.modern(&again(&first, 3, &asked, accepted())).await;
    assert_eq!(old["error"]["code"], -32602, "{old}");
    assert_eq!(sent.calls(), 1);

    let answer = bridge.modern(&again(&first, 4, &theirs, json!({}))).await;
    assert_eq!(text_of(&answer), "done");
}

#[tokio::test]
async fn a_servers_state_passes_untouched_where_nobody_was_asked() {
    let sent = Sent::default();
    let bridge = holding(60, server(&sent, asks_back)).await;
    let mut first = modern(1, json!({}), json!({"url": {}}));
    first["params"]["name"] = json!("fine");
    let headers = [VERSION, METHOD, ("mcp-name", "fine")];
    let response = bridge.open(&first, &headers).await;
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(answer["result"]["requestState"], "their \"state\"");
}

const SESSION: [(&str, &str); 2] = [
    ("mcp-session-id", "s-1"),
    ("mcp-protocol-version", "2025-11-25"),
];

impl Bridge {
    /// Opens the session `s-1` as a client that can elicit like this.
    async fn initialize(&self, elicitation: Value) {
        let params = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {"elicitation": elicitation},
            "clientInfo": {"name": "Old Tester", "version": "1"},
        });
        let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        let response = self.open(&hello, &[]).await;
        response.into_body().collect().await.unwrap();
    }
}

/// The next message of an open stream.
async fn next(stream: &mut Incoming) -> Value {
    loop {
        let frame = stream.frame().await.unwrap().unwrap();
        let text = String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap();
        let mut data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        if let Some(data) = data.next() {
            return serde_json::from_str(data).unwrap();
        }
    }
}

#[tokio::test]
async fn an_older_client_is_asked_on_the_stream_of_its_call() {
    let sent = Sent::default();
    let bridge = configured(server(&sent, done), |_, server| {
        server.policy.accept_weak_approval = true;
    })
    .await;
    bridge.initialize(json!({})).await;
    let mut stream = bridge.open(&ask(1), &SESSION).await.into_body();
    let request = next(&mut stream).await;
    assert_eq!(request["method"], "elicitation/create");
    let answer = |id: &Value| {
        let result = json!({"action": "accept", "content": {"decision": "approve"}});
        json!({"jsonrpc": "2.0", "id": id, "result": result})
    };
    // Another session cannot answer for this one.
    let foreign = [("mcp-session-id", "s-2"), SESSION[1]];
    let taken = bridge.open(&answer(&request["id"]), &foreign).await;
    assert_eq!(taken.status(), 202);
    assert_eq!(bridge.approvals.pending().len(), 1);
    let taken = bridge.open(&answer(&request["id"]), &SESSION).await;
    assert_eq!(taken.status(), 202);
    assert_eq!(text_of(&next(&mut stream).await), "done");
    let methods: Vec<Value> = sent
        .messages()
        .iter()
        .map(|m| m["method"].clone())
        .collect();
    assert_eq!(
        methods,
        ["initialize", "tools/call"],
        "the answer was for us"
    );
}

#[tokio::test]
async fn an_older_client_that_opens_urls_hears_when_it_is_decided() {
    let bridge = holding(60, server(&Sent::default(), done)).await;
    bridge.initialize(json!({"url": {}})).await;
    let mut stream = bridge.open(&ask(1), &SESSION).await.into_body();
    let request = next(&mut stream).await;
    assert_eq!(request["params"]["mode"], "url");
    let item = bridge.asked().await;
    bridge.decide(item.id, Verdict::approve()).await;
    let complete = next(&mut stream).await;
    assert_eq!(complete["method"], "notifications/elicitation/complete");
    let id = &complete["params"]["elicitationId"];
    assert_eq!(*id, request["params"]["elicitationId"]);
    assert_eq!(text_of(&next(&mut stream).await), "done");
}

#[tokio::test]
async fn an_older_client_can_take_its_call_back() {
    let sent = Sent::default();
    let bridge = holding(60, server(&sent, done)).await;
    bridge.initialize(json!({})).await;
    let open = bridge.open(&ask(5), &SESSION).await;
    let item = bridge.asked().await;
    let cancel = |id: u64| {
        let params = json!({"requestId": id});
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})
    };
    bridge.open(&cancel(6), &SESSION).await;
    let taken = bridge.open(&cancel(5), &SESSION).await;
    assert_eq!(taken.status(), 202);
    assert_eq!(events(open).await, Vec::<Value>::new());
    let item = bridge.approvals.get(item.id).await.unwrap();
    assert_eq!(item.state, State::Pending, "it can still be decided");
    let cancels = sent.messages();
    let ids: Vec<_> = cancels
        .iter()
        .filter_map(|m| m["params"].get("requestId"))
        .collect();
    assert_eq!(ids, [&json!(6)], "only what is not ours reaches the server");
}
