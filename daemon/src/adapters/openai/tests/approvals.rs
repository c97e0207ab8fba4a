//! Approvals, both ways of continuing.

use serde_json::{Value, json};

use super::rig::{Rig, answered, body, call, message};
use crate::adapters::record::{Found, Kept, Record};

const HI: fn() -> Value = || json!({ "type": "message", "role": "user", "content": "hi" });

struct Asked {
    output: Vec<Value>,
    record: Record,
    kept: Kept,
}

/// An answer that asks about two calls.
fn asked() -> Asked {
    let body = body("always", json!([HI()]), json!({}));
    let mut rig = Rig::begin(&body, "resp_mb1", Found::default()).unwrap();
    let calls = [
        call("a", "s__write", r#"{"n":1.0}"#),
        call("b", "s__do_it_b8b1a2b7", "{}"),
    ];
    let hashed = rig.dialog.table().listings()[0].tools[2].function.clone();
    let mut calls = calls;
    calls[1]["name"] = json!(hashed);
    rig.turn(&calls, || unreachable!());
    let (object, record, kept) = rig.finish();
    Asked {
        output: object["output"].as_array().unwrap().clone(),
        record: record.unwrap(),
        kept,
    }
}

impl Asked {
    fn chained(&self) -> Found {
        Found {
            chain: vec![self.record.clone()],
            ..self.resent()
        }
    }

    fn resent(&self) -> Found {
        let open = self.kept.open.iter().cloned();
        Found {
            open: open.map(|open| (open.approval.clone(), open)).collect(),
            fragments: self.kept.fragments.iter().cloned().collect(),
            pins: self.kept.pins.iter().cloned().collect(),
            ..Found::default()
        }
    }

    fn input(&self, answers: &[Value]) -> Value {
        let mut input = vec![HI()];
        input.extend(self.output.iter().cloned());
        input.extend(answers.iter().cloned());
        json!(input)
    }
}

fn answer(id: &str, approve: bool) -> Value {
    json!({ "type": "mcp_approval_response", "approval_request_id": id, "approve": approve, "reason": "no" })
}

fn chained(input: Value) -> Value {
    body(
        "always",
        input,
        json!({ "previous_response_id": "resp_mb1" }),
    )
}

#[test]
fn requests_are_shown_whole_and_kept_open() {
    let asked = asked();
    assert_eq!(
        asked.output[1],
        json!({
            "id": "mcpr_a", "type": "mcp_approval_request", "server_label": "s", "name": "write",
            "arguments": r#"{"n":1.0}"#,
        })
    );
    assert_eq!(asked.output[2]["name"], "do.it");
    let open: Vec<&str> = asked.kept.open.iter().map(|open| &*open.approval).collect();
    assert_eq!(open, ["mcpr_a", "mcpr_b"]);
}

#[test]
fn approved_calls_run_as_asked_and_declined_ones_are_told_to_the_model_only() {
    let asked = asked();
    // In another order than asked.
    let answers = [answer("mcpr_b", false), answer("mcpr_a", true)];
    let by_record = (chained(json!(answers)), asked.chained());
    let by_items = (
        body("always", asked.input(&answers), json!({})),
        asked.resent(),
    );
    let mut bodies = Vec::new();
    for (body, found) in [by_record, by_items] {
        let mut rig = Rig::begin(&body, "resp_mb2", found).unwrap();
        let decided: Vec<(&str, bool)> = rig
            .dialog
            .decided()
            .iter()
            .map(|decided| (&*decided.approval, decided.approve))
            .collect();
        assert_eq!(decided, [("mcpr_a", true), ("mcpr_b", false)]);
        rig.settle(|| answered("ran"));
        bodies.push(rig.body()["input"].clone());
        rig.turn(&[message("1", "ok")], || unreachable!());
        let (object, ..) = rig.finish();
        let items = object["output"].as_array().unwrap();
        assert_eq!(items.len(), 2, "{items:?}");
        assert_eq!(items[0]["approval_request_id"], "mcpr_a");
        assert_eq!(items[0]["arguments"], r#"{"n":1.0}"#);
        assert_eq!(items[0]["output"], "ran");
    }
    assert_eq!(bodies[0], bodies[1]);
    let told: Vec<Value> = bodies[0].as_array().unwrap()[3..]
        .iter()
        .map(|item| json!([item["call_id"], item["output"]]))
        .collect();
    assert_eq!(
        json!(told),
        json!([
            ["call_b", "The user declined this call. Reason: no"],
            ["call_a", "ran"]
        ])
    );
}

#[test]
fn the_turn_after_an_approval_begins_as_the_one_with_it() {
    let asked = asked();
    let answers = [answer("mcpr_a", true), answer("mcpr_b", false)];
    let first = body("always", asked.input(&answers), json!({}));
    let mut rig = Rig::begin(&first, "resp_mb2", asked.resent()).unwrap();
    rig.settle(|| answered("ran"));
    let before = rig.body()["input"].as_array().unwrap().clone();
    rig.turn(&[message("1", "ok")], || unreachable!());
    let (object, _, kept) = rig.finish();

    let mut input = first["input"].as_array().unwrap().clone();
    input.extend(object["output"].as_array().unwrap().clone());
    input.push(json!({ "role": "user", "content": "more" }));
    let next = body("always", json!(input), json!({}));
    let mut found = asked.resent();
    found.used = std::mem::take(&mut found.open);
    found.fragments.extend(kept.fragments);
    for found in [found, Found::default()] {
        let rig = Rig::begin(&next, "resp_mb3", found).unwrap();
        assert!(rig.dialog.decided().is_empty());
        let now = rig.body()["input"].as_array().unwrap().clone();
        assert_eq!(now[..before.len()], before[..]);
        assert_eq!(now.len(), before.len() + 2);
    }
}

#[test]
fn decisions_that_do_not_fit_are_refused() {
    let asked = asked();
    let (yes, both) = (
        answer("mcpr_a", true),
        vec![answer("mcpr_a", true), answer("mcpr_b", true)],
    );
    let used = Found {
        used: asked.chained().open,
        open: std::collections::HashMap::new(),
        ..asked.chained()
    };
    let altered = |key: &str, value: &str| {
        let mut input = asked.input(&both);
        input[2][key] = json!(value);
        body("always", input, json!({}))
    };
    let mut no_server = chained(json!(both));
    no_server["tools"] = json!([]);
    let mut other_server = chained(json!(both));
    other_server["tools"][0]["server_url"] = json!("mcp://other");
    let undecided =
        json!([{ "type": "mcp_approval_response", "approval_request_id": "mcpr_a" }, both[1]]);
    for (case, body, found, told) in [
        (
            "partial",
            chained(json!([yes])),
            asked.chained(),
            "Missing: mcpr_b",
        ),
        (
            "none",
            chained(json!("never mind")),
            asked.chained(),
            "Missing: mcpr_a, mcpr_b",
        ),
        (
            "partial resent",
            body_of(&asked, std::slice::from_ref(&yes)),
            asked.resent(),
            "Missing: mcpr_b",
        ),
        (
            "unknown",
            chained(json!([answer("mcpr_x", true)])),
            asked.chained(),
            "no open approval request",
        ),
        (
            "duplicate",
            chained(json!([yes, yes])),
            asked.chained(),
            "answered twice",
        ),
        ("used", chained(json!(both)), used, "answered already"),
        (
            "altered arguments",
            altered("arguments", r#"{"n":2}"#),
            asked.resent(),
            "not as it was made",
        ),
        (
            "altered name",
            altered("name", "read"),
            asked.resent(),
            "not as it was made",
        ),
        (
            "altered label",
            altered("server_label", "t"),
            asked.resent(),
            "not as it was made",
        ),
        (
            "no server",
            no_server,
            asked.chained(),
            "does not have in 'tools'",
        ),
        (
            "other server",
            other_server,
            asked.chained(),
            "does not have in 'tools'",
        ),
        (
            "undecided",
            chained(undecided),
            asked.chained(),
            "input[0].approve",
        ),
        (
            "expired",
            body_of(&asked, &both),
            Found::default(),
            "has expired",
        ),
    ] {
        let refusal = Rig::begin(&body, "resp_mb2", found).err().expect(case);
        assert!(refusal.message.contains(told), "{case}: {refusal}");
        assert_eq!(refusal.status, 400, "{case}");
        assert!(refusal.param.unwrap().starts_with("input"), "{case}");
    }
}

fn body_of(asked: &Asked, answers: &[Value]) -> Value {
    body("always", asked.input(answers), json!({}))
}
