use serde_json::{Value, json};

use crate::ai::lint::policy;

#[test]
fn answers_that_a_tool_runner_rejects_are_found() {
    let tool = |approval: Value| {
        json!({ "type": "mcp", "server_label": "s", "server_url": "u",
                                         "allowed_tools": ["echo", "pay"], "require_approval": approval })
    };
    let call = |approval: Value| {
        json!({ "id": "mcp_1", "type": "mcp_call", "server_label": "s", "name": "echo",
                                         "arguments": "{}", "approval_request_id": approval })
    };
    let asked = json!({ "id": "mcpr_1", "type": "mcp_approval_request", "server_label": "s", "name": "echo", "arguments": "{}" });
    let answer = |approve: bool| json!({ "type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": approve });
    let run = |approval: &Value, input: Vec<Value>, output: Value| {
        let request = json!({ "tools": [tool(approval.clone())], "input": input });
        policy(&request, &json!({ "output": [output] }))
    };
    let (always, never) = (json!("always"), json!("never"));
    let names = json!({ "never": { "tool_names": ["echo"] } });
    run(&never, vec![], call(Value::Null)).unwrap();
    run(&names, vec![], call(Value::Null)).unwrap();
    run(&Value::Null, vec![], asked.clone()).unwrap();
    run(
        &always,
        vec![asked.clone(), answer(true)],
        call(json!("mcpr_1")),
    )
    .unwrap();
    let mut other = call(Value::Null);
    other["name"] = json!("other");
    let mut altered = call(json!("mcpr_1"));
    altered["arguments"] = json!("{ }");
    let mut stranger = call(Value::Null);
    stranger["server_label"] = json!("t");
    let listing =
        json!({ "id": "mcpl_1", "type": "mcp_list_tools", "server_label": "s", "tools": [] });
    let mut again = listing.clone();
    again["id"] = json!("mcpl_2");
    let others = json!({ "always": { "tool_names": ["echo"] } });
    let rows = [
        (
            "always, no approval",
            &always,
            vec![],
            call(Value::Null),
            "without the approval",
        ),
        (
            "omitted, no approval",
            &Value::Null,
            vec![],
            call(Value::Null),
            "without the approval",
        ),
        (
            "listed, no approval",
            &others,
            vec![],
            call(Value::Null),
            "without the approval",
        ),
        (
            "never, asked",
            &never,
            vec![],
            asked.clone(),
            "does not want",
        ),
        (
            "denied, ran",
            &always,
            vec![asked.clone(), answer(false)],
            call(json!("mcpr_1")),
            "was not approved",
        ),
        (
            "altered",
            &always,
            vec![asked.clone(), answer(true)],
            altered,
            "changed after",
        ),
        (
            "id repeated",
            &always,
            vec![asked.clone()],
            asked.clone(),
            "occurred before",
        ),
        (
            "undeclared label",
            &never,
            vec![],
            stranger,
            "is not declared",
        ),
        ("tool not allowed", &never, vec![], other, "is not among"),
        ("listed again", &never, vec![listing], again, "listed again"),
    ];
    for (row, approval, input, output, finding) in rows {
        let found = run(approval, input, output).expect_err(row);
        assert!(
            found.iter().any(|one| one.contains(finding)),
            "{row}: {found:#?}"
        );
    }
}
