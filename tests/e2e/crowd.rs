//! Many clients whose calls wait at the same time, decided in any order by every way there is at once.
//!
//! `MCPBRIDGE_TEST_SEED` repeats the order of a run, which prints its own.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use mcpbridge_tests::client::{McpAnswer, Messages};
use mcpbridge_tests::{Ctl, McpClient, Queue, Scenario, WebSession, wait};
use serde_json::{Value, json};
use tokio::sync::{Barrier, oneshot};
use tokio::task::JoinSet;

const CLIENTS: usize = 20;
const CALLS: usize = 10;

/// The bridge's own key in questions to clients of 2026-07-28.
const INPUT_KEY: &str = "io.github.mcp-oauth-bridge/approval";

/// How a decision that came by the client's own form is told from others.
const BY_CLIENT: &str = "the asking client";

/// SplitMix64: the same numbers from the same seed.
struct Random(u64);

impl Random {
    #[expect(clippy::print_stderr, reason = "with it a failure can be repeated")]
    fn seeded() -> Self {
        let seed = match std::env::var("MCPBRIDGE_TEST_SEED") {
            Ok(given) => given.parse().unwrap(),
            Err(_) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
                u64::from(now.subsec_nanos()) ^ now.as_secs()
            }
        };
        eprintln!("MCPBRIDGE_TEST_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(end).unwrap()).unwrap()
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// How a client waits, and whether it can answer by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// 2026-07-28 without elicitation: its calls are held.
    Plain,
    /// 2025-11-25 with forms: asked on the stream of the call.
    OnStream,
    /// 2026-07-28 with forms: asked by `input_required`.
    ByRetry,
}

impl Kind {
    fn of(client: usize) -> Self {
        [Self::Plain, Self::OnStream, Self::ByRetry][client % 3]
    }

    async fn connect(self, url: &str, token: &str) -> McpClient {
        let forms = json!({ "elicitation": { "form": {} } });
        let client = McpClient::modern(url).with_token(token);
        match self {
            Self::Plain => client,
            Self::OnStream => client.with_capabilities(forms).in_session().await,
            Self::ByRetry => client.with_capabilities(forms),
        }
    }
}

/// The only way by which a call is decided, so that each surely decides some; None for a race of any.
fn alone(key: &str, kind: Kind) -> Option<&'static str> {
    match key.rsplit_once('/')?.1 {
        "0" if kind != Kind::Plain => Some(BY_CLIENT),
        "1" => Some("web"),
        "2" if kind == Kind::Plain => Some("ctl"),
        _ => None,
    }
}

/// What a decider wants of one call. The reason names the decider.
#[derive(Debug, Clone)]
enum Verdict {
    Approve,
    Deny(String),
}

impl Verdict {
    fn any(random: &mut Random, decider: &str, call: &str) -> Self {
        match random.below(2) {
            0 => Self::Approve,
            _ => Self::Deny(format!("{decider} says no to {call}")),
        }
    }

    /// What a person fills into the client's form; None for somebody who leaves it to others.
    fn form(verdict: Option<&Self>) -> Value {
        match verdict {
            None => json!({ "action": "accept" }),
            Some(Self::Approve) => {
                json!({ "action": "accept", "content": { "decision": "approve" } })
            }
            Some(Self::Deny(reason)) => {
                json!({ "action": "accept", "content": { "decision": "deny", "reason": reason } })
            }
        }
    }
}

/// Calls `echo` and stays until the answer. `told` says what its user answers, if they are asked.
async fn call(
    client: Arc<McpClient>,
    kind: Kind,
    arguments: Value,
    told: oneshot::Receiver<Option<Verdict>>,
) -> Value {
    let params = client.call_params("echo", arguments);
    match kind {
        Kind::Plain => answered(client.request("tools/call", params).await),
        Kind::OnStream => {
            let message = client.message("tools/call", params);
            let mut messages = Messages::of(client.post(&message).await);
            let mut told = Some(told);
            loop {
                let said = messages.next().await.expect("an answer before the end");
                if said["method"] == "elicitation/create" {
                    assert_eq!(said["params"].get("url"), None, "a form: {said}");
                    let Some(told) = told.take() else {
                        panic!("asked twice: {said}")
                    };
                    let form = Verdict::form(told.await.unwrap().as_ref());
                    let answer = json!({ "jsonrpc": "2.0", "id": said["id"], "result": form });
                    let accepted = client.post(&answer).await;
                    assert_eq!(accepted.status().as_u16(), 202, "{accepted:?}");
                } else if said["id"] == message["id"] {
                    return said;
                }
            }
        }
        Kind::ByRetry => {
            let mut answer = answered(client.request("tools/call", params.clone()).await);
            let mut verdict = told.await.unwrap();
            while answer["result"]["resultType"] == "input_required" {
                let mut retry = params.clone();
                retry["requestState"] = answer["result"]["requestState"].clone();
                retry["inputResponses"] = json!({ INPUT_KEY: Verdict::form(verdict.as_ref()) });
                verdict = None;
                answer = answered(client.request("tools/call", retry).await);
            }
            answer
        }
    }
}

fn answered(answer: McpAnswer) -> Value {
    assert_eq!(
        answer.status,
        200,
        "{}",
        String::from_utf8_lossy(&answer.raw)
    );
    answer.message
}

/// Decides by one way; whether this was the answer that counts.
#[derive(Clone)]
enum Decider {
    Web(Arc<WebSession>),
    Rpc(Queue),
    Ctl(Ctl),
}

impl Decider {
    async fn decide(self, id: String, verdict: Verdict) -> bool {
        match self {
            Self::Web(session) => {
                let (action, fields) = match &verdict {
                    Verdict::Approve => ("approve", vec![]),
                    Verdict::Deny(reason) => ("deny", vec![("reason", reason.as_str())]),
                };
                let path = format!("/approvals/{id}/{action}");
                let answer = session.post(&path, &fields).await;
                match answer.status().as_u16() {
                    200 => true,
                    409 => {
                        let problem = answer.text().await.unwrap();
                        assert!(problem.contains("already"), "{problem}");
                        false
                    }
                    _ => panic!("{answer:?}"),
                }
            }
            Self::Rpc(queue) => {
                let decided = match verdict {
                    Verdict::Approve => queue.approve(&id).await,
                    Verdict::Deny(reason) => queue.deny(&id, &reason).await,
                };
                let lost = decided.as_ref().err();
                assert!(lost.is_none_or(|why| why.contains("already")), "{lost:?}");
                decided.is_ok()
            }
            Self::Ctl(ctl) => {
                let decided = match &verdict {
                    Verdict::Approve => ctl.run(&["approve", &id]).await,
                    Verdict::Deny(reason) => ctl.run(&["deny", &id, "--reason", reason]).await,
                };
                let lost = decided.code == 5 && decided.stderr.contains("already");
                assert!(decided.code == 0 || lost, "{decided:?}");
                decided.code == 0
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_held_calls_are_each_decided_and_run_once() {
    let mut random = Random::seeded();
    let mut scenario = Scenario::under("ask").await;
    let accept = |config: &mut Value| {
        config["servers"]["hello"]["policy"]["accept_weak_approval"] = json!(true);
    };
    scenario.configure(accept).await;
    let queue = Queue::of(&scenario.home).await;
    let mut calls = JoinSet::new();
    let mut ways_to_tell = HashMap::new();
    for number in 0..CLIENTS {
        let name = format!("client-{number}");
        let token = scenario.client_token(&name).await;
        let kind = Kind::of(number);
        let client = kind
            .connect(&scenario.daemon.mcp_url("hello"), &token)
            .await;
        let client = Arc::new(client);
        for call_number in 0..CALLS {
            let key = format!("{name}/{call_number}");
            let arguments = json!({ "call": key, "secret of it": random.below(usize::MAX) });
            let (tell, told) = oneshot::channel();
            ways_to_tell.insert(key.clone(), (kind, tell));
            let client = client.clone();
            calls.spawn(async move {
                let answer = call(client, kind, arguments.clone(), told).await;
                (key, (arguments, answer))
            });
        }
    }
    let mut waiting = queue.pending(CLIENTS * CALLS).await;
    assert_eq!(scenario.mcp.executions("echo"), 0);

    let session = Arc::new(WebSession::open(&scenario.ctl).await);
    let mut deciding = JoinSet::new();
    random.shuffle(&mut waiting);
    for item in &waiting {
        let arguments: Value = serde_json::from_str(&item.arguments).unwrap();
        let key = arguments["call"].as_str().unwrap().to_owned();
        let caller = item.caller.as_ref().unwrap();
        assert_eq!(key.split('/').next(), Some(caller.client.as_str()));
        let (kind, tell) = ways_to_tell.remove(&key).unwrap();
        let only = alone(&key, kind);
        let mut deciders = vec![
            ("web", Decider::Web(session.clone())),
            ("rpc", Decider::Rpc(queue.clone())),
        ];
        // Starting a process is slow beside the others, so only some race with one.
        if only == Some("ctl") || random.below(10) == 0 {
            deciders.push(("ctl", Decider::Ctl(scenario.ctl.clone())));
        }
        random.shuffle(&mut deciders);
        if let Some(way) = only {
            deciders.sort_by_key(|(name, _)| *name != way);
        }
        let asks_client = match only {
            Some(way) => way == BY_CLIENT,
            None => kind != Kind::Plain && random.below(2) == 0,
        };
        // At least one answers, and all of them at once when several do.
        let least = usize::from(!asks_client);
        deciders.truncate(match only {
            Some(_) => least,
            None => least + random.below(deciders.len() + 1 - least),
        });
        let answer = asks_client.then(|| Verdict::any(&mut random, "elicitation", &key));
        let start = Arc::new(Barrier::new(deciders.len() + 1));
        for (name, decider) in deciders {
            let verdict = Verdict::any(&mut random, name, &key);
            let (id, start) = (item.id.clone(), start.clone());
            deciding.spawn(async move {
                start.wait().await;
                let won = decider.decide(id.clone(), verdict).await;
                (id, won)
            });
        }
        deciding.spawn(async move {
            start.wait().await;
            // The call is over when another decider was faster and its client was never asked.
            let _ = tell.send(answer);
            (String::new(), false)
        });
    }
    let mut wins: HashMap<String, usize> = HashMap::new();
    for (id, won) in wait::within("the deciders", deciding.join_all()).await {
        *wins.entry(id).or_default() += usize::from(won);
    }
    let answers = wait::within("the answers", calls.join_all()).await;
    let answers: BTreeMap<String, (Value, Value)> = answers.into_iter().collect();
    assert_eq!(answers.len(), CLIENTS * CALLS);

    // The record of an end may come after the answer.
    let ended = wait::until("every call to end", wait::PATIENCE, async || {
        queue.live().await.is_empty().then_some(())
    });
    ended.await;
    let ended = queue.all().await;
    assert_eq!(ended.len(), CLIENTS * CALLS, "one question for each call");
    let mut by_way: BTreeMap<&str, usize> = BTreeMap::new();
    for item in &ended {
        let asked: Value = serde_json::from_str(&item.arguments).unwrap();
        let (arguments, answer) = &answers[asked["call"].as_str().unwrap()];
        assert_eq!(&asked, arguments, "the arguments are the caller's own");
        let decision = item.decision.as_ref().unwrap();
        let by_client = decision.by.contains(BY_CLIENT);
        let wins = wins.get(&item.id).copied().unwrap_or_default() + usize::from(by_client);
        assert_eq!(wins, 1, "one answer counts: {item:?}");
        let way = [BY_CLIENT, "web", "mcpbridgectl", "e2e"];
        let way = way.into_iter().find(|way| decision.by.contains(way));
        let way = way.unwrap_or_else(|| panic!("decided by somebody else: {item:?}"));
        *by_way.entry(way).or_default() += 1;
        let text = answer["result"]["content"][0]["text"].as_str().unwrap();
        if decision.approved {
            assert_eq!(item.state, "done", "{item:?}");
            assert_eq!(text, arguments.to_string(), "the result of its own call");
            assert_ne!(answer["result"]["isError"], true);
        } else {
            assert_eq!(item.state, "denied", "{item:?}");
            assert_eq!(answer["result"]["isError"], true, "{answer}");
            let ending = format!(" says no to {}", asked["call"].as_str().unwrap());
            assert!(text.contains(&ending), "{text}");
            assert!(text.contains(&decision.reason), "{text}: {item:?}");
        }
    }
    for way in [BY_CLIENT, "web", "mcpbridgectl"] {
        assert!(by_way.contains_key(way), "{way} decided some: {by_way:?}");
    }

    let executed = executions(&scenario);
    for item in &ended {
        let asked: Value = serde_json::from_str(&item.arguments).unwrap();
        let approved = item.decision.as_ref().unwrap().approved;
        let times = executed
            .get(&asked.to_string())
            .copied()
            .unwrap_or_default();
        assert_eq!(times, usize::from(approved), "{item:?}");
    }
    scenario.finish().await;
}

/// How often the server was called, by arguments.
fn executions(scenario: &Scenario) -> HashMap<String, usize> {
    let mut executed = HashMap::new();
    for entry in scenario.mcp.journal().entries() {
        let body: Value = serde_json::from_slice(&entry.body).unwrap_or_default();
        if body["method"] == "tools/call" {
            let arguments = body["params"]["arguments"].to_string();
            *executed.entry(arguments).or_default() += 1;
        }
    }
    executed
}
