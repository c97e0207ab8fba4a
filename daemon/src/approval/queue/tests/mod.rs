//! The rules alone: no disk, no tasks, and the time that a test says.

mod histories;
mod rules;

use super::*;
use crate::approval::item::CallerView;

const START: i64 = 1_800_000_000;
const PATIENCE: u32 = 100;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(START + second).unwrap()
}

fn call(caller: u8, arguments: u8, policy: u8) -> Action {
    let arguments = format!("{{\"n\":{arguments}}}");
    Action {
        caller: CallerView {
            principal: format!("uid:{caller}"),
            ..CallerView::default()
        },
        server: "server".parse().unwrap(),
        address: "https://mcp.example".to_owned(),
        tool: "tool".to_owned(),
        tool_digest: Some(Digest::of(b"definition")),
        tool_definition: None,
        change: None,
        argument_digest: Digest::of(arguments.as_bytes()),
        arguments,
        policy_version: Digest::of(&[policy]),
        reason: String::new(),
        editable: true,
        accepts_weak: false,
        keep_arguments: true,
    }
}

fn person() -> Decider {
    Decider::Notification
}

fn approve(remember: Remember) -> Ruling {
    Ruling::Approve {
        remember,
        edited: None,
    }
}

fn deny() -> Ruling {
    Ruling::Deny { reason: None }
}
