use super::super::super::{Origin, wrap};
use super::*;

#[test]
fn system_blocks_are_joined() {
    gives(
        &format!(
            r#""system":[{{"type":"text","text":"a\u00e4"}},{{"type":"text","text":"b"}}],{ASKING}"#
        ),
        "instructions",
        r#""a\u00e4\nb""#,
    );
    gives(&format!(r#""system":[],{ASKING}"#), "instructions", "");
    refuses(
        &format!(r#""system":[{{"type":"image"}}],{ASKING}"#),
        "system[0].type",
    );
}

#[test]
fn calls_and_results_are_items_of_their_own() {
    gives(
        r#""messages":[{"role":"user","content":"q"},
          {"role":"assistant","content":[{"type":"text","text":"on it"},{"type":"text","text":"now"},
            {"type":"tool_use","id":"toolu_1","name":"a","input":{"z": 1.0, "a":"\u00e4", "n":12345678901234567890123}},
            {"type":"tool_use","id":"toolu_2","name":"b","input":{}}]},
          {"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"1.0"},
            {"type":"tool_result","tool_use_id":"toolu_2","is_error":true,"content":[{"type":"text","text":"no"},{"type":"text","text":"way"}]},
            {"type":"text","text":"and?"}]}]"#,
        "input",
        concat!(
            r#"[{"type":"message","role":"user","content":[{"type":"input_text","text":"q"}]},"#,
            r#"{"type":"message","role":"assistant","content":[{"type":"output_text","text":"on it"},{"type":"output_text","text":"now"}]},"#,
            r#"{"type":"function_call","call_id":"toolu_1","name":"a","arguments":"{\"z\": 1.0, \"a\":\"\\u00e4\", \"n\":12345678901234567890123}"},"#,
            r#"{"type":"function_call","call_id":"toolu_2","name":"b","arguments":"{}"},"#,
            r#"{"type":"function_call_output","call_id":"toolu_1","output":"1.0"},"#,
            r#"{"type":"function_call_output","call_id":"toolu_2","output":"Error: no\nway"},"#,
            r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"and?"}]}]"#
        ),
    );
    gives(
        r#""messages":[{"role":"user","content":"q"},{"role":"system","content":[{"type":"text","text":"new"}]}]"#,
        "input",
        concat!(
            r#"[{"type":"message","role":"user","content":[{"type":"input_text","text":"q"}]},"#,
            r#"{"type":"message","role":"developer","content":[{"type":"input_text","text":"new"}]}]"#
        ),
    );
}

#[test]
fn a_result_says_that_it_failed() {
    for (result, output) in [
        ("", r#""""#),
        (r#","is_error":true"#, r#""Error: ""#),
        (r#","content":"x","is_error":true"#, r#""Error: x""#),
        (r#","content":"x","is_error":false"#, r#""x""#),
        (r#","content":[]"#, r#""""#),
        (
            r#","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"aGk="}}],"is_error":true"#,
            r#"[{"type":"input_text","text":"Error: "},{"type":"input_image","detail":"auto","image_url":"data:image/png;base64,aGk="}]"#,
        ),
    ] {
        gives(
            &format!(
                r#""messages":[{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"t"{result}}}]}}]"#
            ),
            "input",
            &format!(r#"[{{"type":"function_call_output","call_id":"t","output":{output}}}]"#),
        );
    }
}

#[test]
fn images_documents_and_search_results_keep_their_content() {
    for (block, part) in [
        (
            r#"{"type":"image","source":{"type":"url","url":"https://x/y"}}"#,
            r#"{"type":"input_image","detail":"auto","image_url":"https://x/y"}"#,
        ),
        (
            r#"{"type":"document","title":"t.pdf","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"}}"#,
            r#"{"type":"input_file","filename":"t.pdf","file_data":"data:application/pdf;base64,JVBE"}"#,
        ),
        (
            r#"{"type":"document","source":{"type":"url","url":"https://x/a.pdf"}}"#,
            r#"{"type":"input_file","file_url":"https://x/a.pdf"}"#,
        ),
        (
            r#"{"type":"document","title":"t","source":{"type":"text","media_type":"text/plain","data":"d"}}"#,
            r#"{"type":"input_text","text":"t\nd"}"#,
        ),
        (
            r#"{"type":"document","source":{"type":"content","content":[{"type":"text","text":"d"},{"type":"text","text":"e"}]}}"#,
            r#"{"type":"input_text","text":"d\ne"}"#,
        ),
        (
            r#"{"type":"search_result","title":"t","source":"https://s","content":[{"type":"text","text":"c"}]}"#,
            r#"{"type":"input_text","text":"t\nhttps://s\nc"}"#,
        ),
    ] {
        gives(
            &format!(r#""messages":[{{"role":"user","content":[{block}]}}]"#),
            "input",
            &format!(r#"[{{"type":"message","role":"user","content":[{part}]}}]"#),
        );
    }
}

#[test]
fn content_without_a_counterpart_is_refused_where_it_stands() {
    for (block, param) in [
        (
            r#"{"type":"image","source":{"type":"file","file_id":"f"}}"#,
            "source.type",
        ),
        (
            r#"{"type":"image","source":{"type":"base64","media_type":"image/tiff","data":""}}"#,
            "source.media_type",
        ),
        (r#"{"type":"image"}"#, "source"),
        (
            r#"{"type":"document","source":{"type":"file","file_id":"f"}}"#,
            "source.type",
        ),
        (
            r#"{"type":"document","source":{"type":"content","content":[{"type":"image"}]}}"#,
            "source.content[0].type",
        ),
        (r#"{"type":"container_upload","file_id":"f"}"#, "type"),
        (r#"{"type":"tool_result","content":"x"}"#, "tool_use_id"),
        (
            r#"{"type":"tool_result","tool_use_id":"t","content":[{"type":"tool_reference"}]}"#,
            "content[0].type",
        ),
    ] {
        refuses(
            &format!(r#""messages":[{{"role":"user","content":[{block}]}}]"#),
            &format!("messages[0].content[0].{param}"),
        );
    }
    for kind in ["server_tool_use", "mcp_tool_use", "compaction", "image"] {
        refuses(
            &format!(r#""messages":[{{"role":"assistant","content":[{{"type":"{kind}"}}]}}]"#),
            "messages[0].content[0].type",
        );
    }
}

#[test]
fn a_request_that_asks_nothing_is_refused() {
    refuses(r#""messages":[]"#, "messages");
    refuses(r#""max_tokens":1"#, "messages");
    refuses(
        r#""messages":[{"role":"user","content":"q"},{"role":"assistant","content":"Sure, "}]"#,
        "messages[1]",
    );
    refuses(
        r#""messages":[{"role":"tool","content":"q"}]"#,
        "messages[0].role",
    );
    refuses(r#""messages":[{"role":"user"}]"#, "messages[0].content");
    refuses(
        r#""messages":[{"role":"user","content":7}]"#,
        "messages[0].content",
    );
    refuses(r#""messages":[7]"#, "messages[0]");
    assert_eq!(to_responses("x").unwrap_err().param, "body");
}

#[test]
fn reasoning_comes_back_in_its_place_and_foreign_thinking_does_not() {
    let item = r#"{"id":"rs_1","type":"reasoning","summary":[],"encrypted_content":"gA\/A"}"#;
    let signature = wrap(Origin::OpenAi, item);
    let fields = format!(
        r#""messages":[{{"role":"user","content":"q"}},{{"role":"assistant","content":[{{"type":"thinking","thinking":"t","signature":"{signature}"}},{{"type":"thinking","thinking":"t","signature":"Eu8="}},{{"type":"redacted_thinking","data":"x"}},{{"type":"text","text":"a"}}]}},{{"role":"user","content":"r"}}]"#
    );
    let translated = translated("gpt-5.4", &fields).unwrap();
    assert_eq!(translated.dropped, ["messages.thinking"]);
    assert!(translated.body.contains(&format!(
        r#",{item},{{"type":"message","role":"assistant","content":[{{"type":"output_text","text":"a"}}]}},"#
    )));
}

#[test]
fn depth_costs_nothing() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let fields = format!(
        r#""messages":[{{"role":"assistant","content":[{{"type":"tool_use","id":"t","name":"a","input":{{"x":{deep}}}}}]}},{{"role":"user","content":"q"}}],"tools":[{{"name":"a","input_schema":{{"x":{deep}}},"strict":true}}]"#
    );
    assert!(translated("gpt-5.4", &fields).unwrap().body.contains(&deep));
    refuses(
        &format!(r#""messages":[{{"role":"user","content":{deep}}}]"#),
        "messages[0].content[0]",
    );
}
