//! The records of a call that a rule allowed: one before it is sent, one when it is over.
//!
//! What cannot be recorded does not run. A call that a person decided has its records from the queue.

use std::time::Instant;

use serde_json::{Value, json};

use super::error::CallError;
use crate::approval::Settled;
use crate::audit::{Audit, Begun, Event, Kind};
use crate::types::{Caller, Digest, ServerName};

/// What a record says of any call.
pub(super) struct Subject<'a> {
    pub(super) caller: &'a Caller,
    pub(super) server: &'a ServerName,
    pub(super) tool: &'a str,
}

impl Subject<'_> {
    fn event(&self, kind: Kind) -> Event {
        Event::new(kind)
            .server(self.server)
            .tool(self.tool)
            .actor(self.caller)
    }
}

/// A call that has begun. Dropping it says that it was given up.
pub(super) struct Trail {
    audit: Audit,
    /// The record of the end, but for its details.
    end: Option<Event>,
    begun: Begun,
    since: Instant,
}

impl Trail {
    /// Records that the call begins.
    ///
    /// # Errors
    /// It could not be recorded: the call must not be sent.
    pub(super) async fn begin(
        audit: &Audit,
        subject: Subject<'_>,
        (arguments, digest): (&str, Digest),
        rule: Option<String>,
    ) -> Result<Self, CallError> {
        let detail = json!({ "arguments": audit.arguments(arguments, &digest), "rule": rule });
        let begin = subject.event(Kind::CallStarted).detail(detail);
        let since = Instant::now();
        let begun = audit.begin(begin).await.map_err(CallError::NotRecorded)?;
        Ok(Self {
            audit: audit.clone(),
            end: Some(subject.event(Kind::CallFinished)),
            begun,
            since,
        })
    }

    /// Records how it ended.
    pub(super) fn end(mut self, detail: Value) {
        self.write(detail);
    }

    pub(super) fn settle(self, settled: &Settled) {
        let (outcome, why) = match settled {
            Settled::Done => ("complete", None),
            Settled::InputRequired => ("input required", None),
            Settled::Failed { why } => ("failed", Some(why)),
            Settled::NotSent { why } => ("not sent", Some(why)),
            Settled::Unknown { why } => ("unknown", Some(why)),
        };
        self.end(json!({ "outcome": outcome, "why": why }));
    }

    fn write(&mut self, mut detail: Value) {
        let Some(end) = self.end.take() else { return };
        let took = self.since.elapsed().as_millis();
        detail["duration_ms"] = json!(u64::try_from(took).unwrap_or(u64::MAX));
        self.audit.end(self.begun.clone(), end.detail(detail));
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        self.write(json!({ "outcome": "abandoned" }));
    }
}

/// Records that a call was refused.
pub(super) fn refused(audit: &Audit, subject: &Subject<'_>, why: &str) {
    let event = subject
        .event(Kind::CallRefused)
        .detail(json!({ "why": why }));
    audit.record_in_background(event);
}
