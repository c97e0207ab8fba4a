//! A call whose client loses patience again and again, and whose daemon ends in between, is one question
//! and runs once.
//!
//! `MCPBRIDGE_TEST_WAIT_SECONDS=600` (`tests/run slow`) does it in real time: with the settings a user
//! has, and a client that waits a minute for each answer.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use mcpbridge_tests::client::McpAnswer;
use mcpbridge_tests::{McpClient, Queue, Scenario, wait};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

struct Story {
    /// What passes at least before the daemon ends, and before it ends again.
    phase: Duration,
    /// How long a call is held; None for as long as it is for users.
    hold_seconds: Option<u64>,
    /// How long the client waits for an answer.
    patience: Duration,
}

impl Story {
    fn told() -> Self {
        match std::env::var("MCPBRIDGE_TEST_WAIT_SECONDS") {
            Ok(seconds) => Self {
                phase: Duration::from_secs(seconds.parse().unwrap()) / 3,
                hold_seconds: None,
                patience: Duration::from_secs(60),
            },
            Err(_) => Self {
                phase: Duration::ZERO,
                hold_seconds: Some(1),
                patience: Duration::from_millis(1_500),
            },
        }
    }

    /// Waits until the client has called again and again.
    async fn goes_on(&self, called: &mut watch::Receiver<usize>) {
        let (since, before) = (Instant::now(), *called.borrow());
        // With each kind of patience that the client has.
        let enough = called.wait_for(|calls| *calls > before + 3 && since.elapsed() >= self.phase);
        let outcome = tokio::time::timeout(self.phase + wait::PATIENCE, enough).await;
        outcome.expect("it calls again").unwrap();
    }

    /// Every third time the client waits for less than a call is held.
    fn patience_of(&self, call: usize) -> Duration {
        match call % 3 {
            0 => self.patience / 4,
            _ => self.patience,
        }
    }
}

/// What the client does: calls until it has a result, and says how often it has called. From the moment
/// that it is `calm` it hears every answer out: an approval is used up by a call that was sent with it,
/// whether or not its client is there to see the result.
async fn insist(
    (client, port): (McpClient, u16),
    story: Arc<Story>,
    calls: watch::Sender<usize>,
    calm: watch::Receiver<bool>,
) -> McpAnswer {
    for call in 1.. {
        calls.send_replace(call);
        let patience = match *calm.borrow() {
            true => wait::PATIENCE,
            false => story.patience_of(call),
        };
        // Without a progress token, so that nothing tells the client to be patient.
        let params = json!({ "name": "echo", "arguments": { "n": 1 }, "_meta": {} });
        let message = client.message("tools/call", params);
        let asked = async { McpAnswer::try_read(client.prepare(&message).send().await?).await };
        let answer = tokio::time::timeout(patience, asked).await;
        let Ok(Ok(answer)) = answer else {
            // It gave up, or there is no daemon at this moment: programs try again when there is.
            let address = (Ipv4Addr::LOCALHOST, port);
            let listens = move || async move { TcpStream::connect(address).await.ok() };
            wait::until("the daemon to listen", wait::PATIENCE, listens).await;
            continue;
        };
        let state = &answer.message["result"]["_meta"]["io.github.mcp-oauth-bridge/approval"];
        if state["state"] != "pending" {
            return answer;
        }
        assert!(answer.is_tool_error(), "{:?}", answer.message);
        assert!(answer.text().contains("again"), "{}", answer.text());
    }
    unreachable!("there is always another call")
}

#[tokio::test]
async fn a_call_outlives_the_patience_of_its_client_and_the_daemon() {
    let story = Arc::new(Story::told());
    let mut scenario = Scenario::under("ask").await;
    if let Some(seconds) = story.hold_seconds {
        let short = |config: &mut Value| config["approvals"] = json!({ "hold_seconds": seconds });
        scenario.configure(short).await;
    }
    let started = Instant::now();
    let (calls, mut called) = watch::channel(0);
    let (calm_down, calm) = watch::channel(false);
    let (client, port) = (scenario.client("hello"), scenario.daemon.port());
    let calling = tokio::spawn(insist((client, port), Arc::clone(&story), calls, calm));
    let item = Queue::of(&scenario.home).await.pending(1).await.remove(0);

    story.goes_on(&mut called).await;
    scenario.daemon.restart().await;
    story.goes_on(&mut called).await;
    scenario.daemon.kill().await;
    scenario.daemon.launch().await;
    story.goes_on(&mut called).await;
    calm_down.send_replace(true);
    let after = *called.borrow();
    let called_calmly = called.wait_for(|calls| *calls > after);
    wait::within("another call", called_calmly).await.unwrap();
    assert!(!calling.is_finished(), "it still waits");
    assert_eq!(scenario.mcp.executions("echo"), 0);

    let queue = Queue::of(&scenario.home).await;
    assert_eq!(queue.pending(1).await[0].id, item.id, "the same question");
    queue.approve(&item.id).await.unwrap();
    let answer = wait::within("the result", calling).await.unwrap();
    answer.assert_text(r#"{"n":1}"#);
    queue.until(&item.id, "done").await;
    assert_eq!(queue.all().await.len(), 1, "one question in all");
    assert_eq!(scenario.mcp.executions("echo"), 1);
    let calls = *called.borrow();
    report(started.elapsed(), calls, &item.id);
    scenario.finish().await;
}

#[expect(clippy::print_stderr, reason = "the run by hand is there to be read")]
fn report(waited: Duration, calls: usize, id: &str) {
    let seconds = waited.as_secs();
    eprintln!("approval {id}: decided after {seconds} s and {calls} calls; executed once");
}
