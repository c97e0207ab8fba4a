//! Each deviation of the reference's tables is made from a sound stream and must be found.

mod chat;
mod messages;
mod policy;
mod responses;

use serde_json::Value;

type Change = fn(&mut Vec<Value>);

/// Frames as a vendor writes them; the name of each is the type of its data.
fn stream(events: &[Value]) -> Vec<u8> {
    let frame = |event: &Value| {
        format!(
            "event: {}\ndata: {event}\n\n",
            event["type"].as_str().unwrap()
        )
    };
    events.iter().map(frame).collect::<String>().into_bytes()
}

fn rejects(
    lint: fn(&[u8]) -> Result<Value, Vec<String>>,
    sound: &[Value],
    rows: &[(&str, &str, Change)],
) {
    for (row, finding, change) in rows {
        let mut events = sound.to_vec();
        change(&mut events);
        let found = lint(&stream(&events)).expect_err(row);
        assert!(
            found.iter().any(|one| one.contains(finding)),
            "{row}: {found:#?}"
        );
    }
}
