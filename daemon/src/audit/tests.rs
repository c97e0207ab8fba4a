use serde_json::json;

use super::*;
use crate::clock::ManualClock;

fn temporary() -> Audit {
    let clock = ManualClock::at(jiff::Timestamp::UNIX_EPOCH);
    Audit::new(Store::temporary(), clock)
}

#[tokio::test]
async fn records_are_numbered_without_gaps() {
    let audit = temporary();
    for seq in 1..=3 {
        let event = Event::new(Kind::CallStarted).detail(json!({ "n": seq }));
        assert_eq!(audit.record(event).await.unwrap(), seq);
    }
}

#[tokio::test]
async fn a_record_goes_with_the_change_it_tells_of() {
    let audit = temporary();
    let failed = audit.store.write(Durability::Process, |tx| {
        append(tx, jiff::Timestamp::UNIX_EPOCH, &Event::new(Kind::PinSet))?;
        tx.execute("INSERT INTO nowhere VALUES (1)", [])
    });
    assert!(failed.await.is_err());
    assert_eq!(audit.record(Event::new(Kind::PinSet)).await.unwrap(), 1);
}

#[tokio::test]
async fn a_start_tells_whether_the_end_before_was_clean() {
    let audit = temporary();
    assert!(audit.started().await.unwrap(), "the first start");
    let stopped = Event::new(Kind::DaemonStopped);
    audit.record_durable(stopped).await.unwrap();
    assert!(audit.started().await.unwrap());
    assert!(!audit.started().await.unwrap(), "nobody recorded an end");
}
