//! Which requests are ours, and which of those are refused.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::rig::{Rig, body, listing};
use crate::adapters::openai::{Parsed, ids, parse};
use crate::adapters::record::Found;
use crate::adapters::refusal::Refusal;
use crate::adapters::target::{Gateway, Target};

fn read(body: &str) -> Result<Parsed, Refusal> {
    let gateway = Gateway::new(3000, &[]);
    parse(body, &|url| gateway.target(url), false)
}

fn refused(body: &Value) -> Refusal {
    match read(&body.to_string()) {
        Err(refusal) => refusal,
        Ok(_) => panic!("taken: {body}"),
    }
}

fn mcp(more: Value) -> Value {
    let mut entry = json!({ "type": "mcp", "server_label": "s", "server_url": "mcp://s" });
    entry
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    entry
}

fn with(tools: Value) -> Value {
    json!({ "model": "gpt-5", "input": "hi", "tools": tools })
}

#[test]
fn entries_are_refused_as_the_vendor_refuses_them() {
    let missing = Some("missing_required_parameter");
    for (tools, param, code) in [
        (
            json!([{ "type": "mcp", "server_url": "mcp://s" }]),
            "tools[0].server_label",
            missing,
        ),
        (
            json!([mcp(json!({ "server_label": "" }))]),
            "tools[0].server_label",
            missing,
        ),
        (
            json!([mcp(json!({ "server_label": "1s" }))]),
            "tools[0].server_label",
            Some("invalid_value"),
        ),
        (
            json!([mcp(json!({ "server_label": "a b" }))]),
            "tools[0].server_label",
            Some("invalid_value"),
        ),
        (
            json!([mcp(json!({})), { "type": "function", "name": "f" }, mcp(json!({ "server_label": "S" }))]),
            "tools[2].server_label",
            Some("invalid_value"),
        ),
        (
            json!([mcp(json!({})), { "type": "mcp", "server_label": "t" }]),
            "tools[1].server_url",
            missing,
        ),
        (
            json!([mcp(json!({ "connector_id": "connector_gmail" }))]),
            "tools[0].server_url",
            Some("invalid_value"),
        ),
        (
            json!([mcp(json!({ "tunnel_id": "t" }))]),
            "tools[0].server_url",
            Some("invalid_value"),
        ),
        (
            json!([mcp(json!({ "require_approval": "maybe" }))]),
            "tools[0].require_approval",
            Some("invalid_value"),
        ),
        (
            json!([mcp(json!({ "allowed_callers": ["programmatic"] }))]),
            "tools[0].allowed_callers",
            Some("invalid_value"),
        ),
        (
            json!([mcp(json!({ "allowed_callers": "direct" }))]),
            "tools[0].allowed_callers",
            Some("invalid_value"),
        ),
        (
            json!([mcp(json!({ "allowed_tools": "a" }))]),
            "tools[0].allowed_tools",
            Some("invalid_value"),
        ),
        (
            json!([mcp(json!({})), mcp(json!({ "server_label": 7 }))]),
            "tools[1]",
            None,
        ),
    ] {
        let refusal = refused(&with(tools.clone()));
        assert_eq!(refusal.status, 400, "{tools}");
        assert_eq!(refusal.param.as_deref(), Some(param), "{tools}");
        assert_eq!(refusal.code, code, "{tools}");
    }
}

#[test]
fn addresses_that_no_vendor_can_reach_are_refused_with_the_way_out() {
    for url in [
        "http://localhost:9999/mcp/s",
        "http://10.0.0.7/mcp",
        "http://u:secret@192.168.0.1/x?k=secret",
    ] {
        let refusal = refused(&with(json!([mcp(json!({ "server_url": url }))])));
        assert_eq!(refusal.param.as_deref(), Some("tools[0].server_url"));
        assert!(
            refusal.message.contains("never reach it")
                && refusal.message.contains("mcpbridgectl add")
        );
        assert!(!refusal.message.contains("secret"), "{refusal}");
    }
}

#[test]
fn what_is_not_for_us_passes() {
    let elsewhere =
        json!({ "type": "mcp", "server_label": "s", "server_url": "https://mcp.example.com" });
    for body in [
        json!({ "model": "gpt-5", "input": "hi" }),
        with(json!([{ "type": "function", "name": "mcp" }])),
        with(json!([elsewhere])),
        with(
            json!([{ "type": "mcp" }, { "type": "mcp", "server_label": "S", "connector_id": "c" }]),
        ),
        with(json!({ "type": "mcp" })),
        with(json!("mcp")),
        with(json!(null)),
        json!({ "model": "gpt-5", "input": "hi", "background": true, "conversation": "c" }),
        json!({ "model": "gpt-5", "input": "hi", "previous_response_id": "resp_68aa" }),
        json!([]),
        json!(7),
    ] {
        assert!(
            matches!(read(&body.to_string()), Ok(Parsed::Plain)),
            "{body}"
        );
    }
    assert!(matches!(read("{"), Ok(Parsed::Plain)));
}

#[test]
fn answers_of_ours_are_ours_without_servers_too() {
    let id = ids::response("00");
    let listing =
        json!([{ "type": "mcp_list_tools", "id": ids::made("mcpl", &id, "0"), "tools": [] }]);
    let plain = json!({ "model": "claude-5", "input": "hi" }).to_string();
    let taken = parse(&plain, &|_| Target::Elsewhere, true);
    assert!(
        matches!(taken, Ok(Parsed::Ours(_))),
        "of another vendor's model"
    );
    for body in [
        json!({ "model": "gpt-5", "input": "hi", "previous_response_id": id }),
        json!({ "model": "gpt-5", "input": listing }),
    ] {
        assert!(
            matches!(read(&body.to_string()), Ok(Parsed::Ours(_))),
            "{body}"
        );
    }
}

#[test]
fn what_cannot_be_meant_together_with_servers_of_ours_is_refused() {
    let ours = json!([mcp(json!({}))]);
    for (key, value) in [
        ("background", json!(true)),
        ("conversation", json!("conv_1")),
        ("conversation", json!({ "id": "conv_1" })),
        ("model", json!(null)),
        ("model", json!(7)),
        ("stream", json!("yes")),
        ("store", json!(1)),
        ("max_tool_calls", json!(-1)),
        ("max_output_tokens", json!("many")),
        ("previous_response_id", json!(7)),
    ] {
        let mut body = with(ours.clone());
        body[key] = value;
        assert_eq!(refused(&body).param.as_deref(), Some(key), "{body}");
    }
    let twice = r#"{"model":"m","input":"a","input":"b","tools":[{"type":"mcp","server_label":"s","server_url":"mcp://s"}]}"#;
    assert_eq!(read(twice).err().unwrap().param.as_deref(), Some("input"));
    let mut harmless = with(ours);
    harmless["background"] = json!(false);
    harmless["conversation"] = json!(null);
    assert!(matches!(read(&harmless.to_string()), Ok(Parsed::Ours(_))));
}

#[test]
fn entries_of_others_and_unknown_fields_go_up_untouched_and_in_order() {
    let text = r#"{ "zeta": 1.0, "model":"gpt-5","tools":[ {"type":"web_search" , "x":1e3},{"type":"mcp","server_label":"s","server_url":"stripe"},{"type":"mcp","server_label":"out","server_url":"https://mcp.example.com","headers":{"k":"v"}}],"input":[ {"role":"user","content":"\u00e9"} ],"text":{"b":1,"a":2},"max_tool_calls":3 }"#;
    let Ok(Parsed::Ours(request)) = read(text) else {
        panic!("not taken");
    };
    assert_eq!(request.servers()[0].server.as_str(), "stripe");
    assert_eq!(request.servers()[0].param, "tools[1]");
    let dialog = request
        .bind(Found::default(), vec![listing("s", &["a"])])
        .unwrap();
    assert_eq!(
        dialog.body(&[]).unwrap(),
        concat!(
            r#"{"zeta":1.0,"model":"gpt-5","tools":[{"type":"web_search" , "x":1e3},"#,
            r#"{"type":"function","name":"s__a","description":"Does a","#,
            r#""parameters":{"type":"object","properties":{"n":{"minimum":1.0}}},"strict":false},"#,
            r#"{"type":"mcp","server_label":"out","server_url":"https://mcp.example.com","headers":{"k":"v"}}],"#,
            r#""input":[{"role":"user","content":"\u00e9"}],"text":{"b":1,"a":2},"max_tool_calls":3,"#,
            r#""stream":true,"store":false,"include":["reasoning.encrypted_content"]}"#,
        )
    );
}

#[test]
fn names_of_the_clients_functions_are_taken() {
    let body = with(json!([
        mcp(json!({})),
        { "type": "function", "name": "f" },
        { "type": "custom", "name": "g" },
        { "type": "namespace", "name": "n", "tools": [{ "type": "function", "name": "h" }] },
    ]));
    let mut body = body;
    body["input"] =
        json!([{ "type": "additional_tools", "tools": [{ "type": "function", "name": "i" }] }]);
    let Ok(Parsed::Ours(request)) = read(&body.to_string()) else {
        panic!("not taken");
    };
    let reserved = request.reserved();
    for name in ["f", "g", "h", "i", "computer_call"] {
        assert!(reserved.iter().any(|taken| taken == name), "{name}");
    }
    body["tools"][1]["name"] = json!("s__read");
    let refusal = Rig::begin(&body, "resp_mb1", Found::default())
        .err()
        .unwrap();
    assert!(refusal.message.contains("s__read"));
}

#[test]
fn a_pinned_listing_is_filtered_by_what_the_request_allows_now() {
    let pinned = listing("s", &["read", "write"]);
    let id = ids::made("mcpl", &ids::response("00"), "0");
    let mut body = body(
        "never",
        json!([{ "type": "mcp_list_tools", "id": id, "server_label": "s", "tools": [] }]),
        json!({}),
    );
    body["tools"][0]["allowed_tools"] = json!(["read"]);
    let found = Found {
        pins: [(id, vec![pinned])].into(),
        ..Found::default()
    };
    let rig = Rig::begin(&body, "resp_mb1", found).unwrap();
    let names: Vec<Value> = rig.body()["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].clone())
        .collect();
    assert_eq!(names, ["s__read"]);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}") {
        let _ = read(&text);
    }

    #[test]
    fn no_item_makes_it_panic(
        kind in prop::sample::select(vec!["message", "mcp_call", "mcp_approval_request", "mcp_approval_response", "mcp_list_tools", "item_reference", "reasoning", "function_call", ""]),
        key in prop::sample::select(vec!["id", "call_id", "output", "error", "tools", "name", "arguments", "approve", "approval_request_id", "server_label", "content", "role"]),
        value in prop::sample::select(vec!["null", "7", "\"s\"", "\"mcp_x\"", "[]", "[null]", "{}", "true", "[{\"name\":\"a\",\"input_schema\":7}]"]),
        count in 0_usize..4,
    ) {
        let item = format!(r#"{{"type":"{kind}","{key}":{value},"id2":1}}"#);
        let input = vec![item; count].join(",");
        let text = format!(r#"{{"model":"m","input":[{input}],"tools":[{{"type":"mcp","server_label":"s","server_url":"mcp://s"}}]}}"#);
        if let Ok(Parsed::Ours(request)) = read(&text) {
            let entry = request.servers()[0].clone();
            let pinned = request.pinned(&entry, &Found::default());
            let listings = vec![pinned.unwrap_or_else(|| listing("s", &["a"]))];
            if let Ok(dialog) = request.bind(Found::default(), listings) {
                let body = dialog.body(&[]).unwrap();
                prop_assert!(serde_json::from_str::<Value>(&body).is_ok());
            }
        }
    }
}
