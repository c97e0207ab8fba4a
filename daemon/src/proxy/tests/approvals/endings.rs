//! How a call ends, and what is recorded of it.

use super::*;
use crate::lifecycle::Lifecycle;
use crate::store::Durability;

fn fails(_: &Value) -> Value {
    json!({"isError": true, "content": [{"type": "text", "text": "it broke"}]})
}

#[tokio::test]
async fn a_tool_that_reports_an_error_has_failed() {
    let bridge = holding(60, server(&Sent::default(), fails)).await;
    let open = bridge.open(&ask(1), &[]).await;
    let item = bridge.asked().await;
    bridge.decide(item.id, Verdict::approve()).await;
    assert_eq!(text_of(&events(open).await.pop().unwrap()), "it broke");
    let item = bridge.until(item.id, State::Failed).await;
    assert_eq!(item.outcome.as_deref(), Some("the tool reported an error"));
}

#[tokio::test]
async fn a_connection_that_breaks_after_sending_leaves_the_outcome_unknown() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let accepted = Arc::new(Mutex::new(0));
    let count = Arc::clone(&accepted);
    let lifecycle = Lifecycle::new();
    lifecycle.spawn("breaking server", async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = [0; 1024];
            let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut bytes).await;
            *count.lock().unwrap() += 1;
        }
    });
    let bridge = Bridge::before_address(address, lifecycle, |_, _| {}).await;
    let open = bridge.open(&ask(1), &[]).await;
    let item = bridge.asked().await;
    bridge.decide(item.id, Verdict::approve()).await;
    let answer = events(open).await.pop().unwrap();
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    bridge.until(item.id, State::OutcomeUnknown).await;
    assert_eq!(*accepted.lock().unwrap(), 1, "nothing is sent again");
}

#[tokio::test]
async fn a_server_that_is_not_reached_leaves_the_approval_to_be_used() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let lifecycle = Lifecycle::new();
    let bridge = Bridge::before_address(address, lifecycle, |_, _| {}).await;
    let open = bridge.open(&ask(1), &[]).await;
    let item = bridge.asked().await;
    bridge.decide(item.id, Verdict::approve()).await;
    let answer = events(open).await.pop().unwrap();
    assert!(text_of(&answer).contains("could not connect"), "{answer}");
    let item = bridge.until(item.id, State::Approved).await;
    assert_eq!(item.runs, 1);
}

#[tokio::test]
async fn an_allowed_call_is_recorded_before_and_after() {
    let bridge = holding(60, server(&Sent::default(), fails)).await;
    bridge.post(&call(json!(1), "fine")).await;
    let mut records = bridge.recorded(2).await;
    let kinds: Vec<&str> = records.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["call.started", "call.finished"]);
    let (_, finished) = records.pop().unwrap();
    assert_eq!(finished["outcome"], "complete");
    assert_eq!(
        (&finished["status"], &finished["is_error"]),
        (&json!(200), &json!(true))
    );
    assert!(finished["result"].is_string() && finished["bytes"].is_number());
    bridge.post(&call(json!(2), "drop")).await;
    assert_eq!(bridge.recorded(3).await.pop().unwrap().0, "call.refused");
}

#[tokio::test]
async fn what_cannot_be_recorded_does_not_run() {
    let sent = Sent::default();
    let bridge = holding(0, server(&sent, done)).await;
    let broken = bridge.store.write(Durability::Process, |tx| {
        tx.execute_batch("DROP TABLE audit; DROP TABLE approvals")
    });
    broken.await.unwrap();
    for tool in ["fine", "ask_me"] {
        let (status, answer) = bridge.post(&call(json!(1), tool)).await;
        assert_eq!(status, 200);
        assert_eq!(answer["result"]["isError"], true, "{answer}");
    }
    assert_eq!(sent.calls(), 0);
}

impl Bridge {
    /// Kind and details of all records, oldest first.
    /// The records, as soon as there are `count`: the last one is written when the client has its answer.
    async fn recorded(&self, count: usize) -> Vec<(String, Value)> {
        loop {
            let records = self.records().await;
            if records.len() >= count {
                return records;
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    async fn records(&self) -> Vec<(String, Value)> {
        let read = self.store.read(|connection| {
            let mut all = connection.prepare("SELECT kind, detail FROM audit ORDER BY seq")?;
            let rows = all.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        });
        let rows: Vec<(String, String)> = read.await.unwrap();
        rows.into_iter()
            .map(|(kind, detail)| (kind, serde_json::from_str(&detail).unwrap()))
            .collect()
    }
}

#[tokio::test]
async fn of_too_many_repetitions_the_oldest_are_to_be_made_again() {
    let sent = Sent::default();
    let bridge = holding(60, server(&sent, done)).await;
    let oldest = bridge.open(&ask(0), &[]).await;
    let mut newer = Vec::new();
    for id in 1..=8 {
        newer.push(bridge.open(&ask(id), &[]).await);
    }
    let answer = events(oldest).await.pop().unwrap();
    assert!(text_of(&answer).contains("Approval pending"), "{answer}");
    let item = bridge.asked().await;
    assert_eq!(bridge.approvals.waiting(item.id), 8);
    bridge.decide(item.id, Verdict::approve()).await;
    let newest = events(newer.pop().unwrap()).await.pop().unwrap();
    assert_eq!(text_of(&newest), "done");
    assert_eq!(sent.calls(), 1);
}
