//! Server-sent events as both vendors frame them: an `event` line, a `data` line, an empty line.

use serde_json::Value;

use super::Findings;

#[derive(Debug)]
pub(super) struct Frame {
    pub(super) event: Option<String>,
    pub(super) data: String,
}

/// Comments are left out; they may stand anywhere.
pub(super) fn frames(stream: &[u8], findings: &mut Findings) -> Vec<Frame> {
    let Ok(stream) = std::str::from_utf8(stream) else {
        findings.note("the stream is not UTF-8");
        return Vec::new();
    };
    let mut frames = Vec::new();
    let (whole, rest) = stream.rsplit_once("\n\n").unwrap_or(("", stream));
    findings.check(rest.is_empty(), || {
        format!("the stream ends inside a frame: {rest:?}")
    });
    for block in whole.split("\n\n") {
        let mut event = None;
        let mut data = Vec::new();
        for line in block.lines().filter(|line| !line.starts_with(':')) {
            match line.split_once(": ") {
                Some(("event", name)) if event.is_none() => event = Some(name.to_owned()),
                Some(("data", text)) => data.push(text),
                _ => findings.note(format!("a line that is no part of a frame: {line:?}")),
            }
        }
        match data.as_slice() {
            [] => findings.check(event.is_none(), || {
                format!("no data in the frame of {event:?}")
            }),
            [one] => frames.push(Frame {
                event,
                data: (*one).to_owned(),
            }),
            _ => findings.note(format!("several data lines in one frame: {block:?}")),
        }
    }
    frames
}

/// The events of a stream in which every frame has a name, which is the type of its data.
pub(super) fn named_events(stream: &[u8], findings: &mut Findings) -> Vec<Value> {
    let mut events = Vec::new();
    for Frame { event, data } in frames(stream, findings) {
        let Ok(value) = serde_json::from_str::<Value>(&data) else {
            findings.note(format!("data that is not JSON: {data}"));
            continue;
        };
        findings.check(event.as_deref() == value["type"].as_str(), || {
            format!("the event line says {event:?}, the data {}", value["type"])
        });
        events.push(value);
    }
    events
}
