use super::super::super::{Origin, wrap};
use super::*;

#[test]
fn what_the_developer_says_first_is_the_system() {
    gives(
        r#""instructions":"A","input":[{"role":"developer","content":"B"},{"role":"system","content":[{"type":"input_text","text":"C\u00e4"}]},{"role":"user","content":"q"}]"#,
        "system",
        r#"[{"type":"text","text":"A"},{"type":"text","text":"B"},{"type":"text","text":"C\u00e4"}]"#,
    );
    gives(
        r#""input":[{"role":"user","content":"q"},{"role":"assistant","content":"a"},{"role":"developer","content":"now \"this\""}]"#,
        "messages",
        r#"[{"role":"user","content":[{"type":"text","text":"q"}]},{"role":"assistant","content":[{"type":"text","text":"a"}]},{"role":"user","content":[{"type":"text","text":"<system>\nnow \"this\"\n</system>"}]}]"#,
    );
}

#[test]
fn calls_and_outputs_of_a_turn_are_one_message_each() {
    gives(
        r#""input":[{"role":"user","content":"q"},
          {"type":"message","role":"assistant","id":"msg_1","content":[{"type":"output_text","text":"on it","annotations":[]},{"type":"refusal","refusal":"not that"}]},
          {"type":"function_call","id":"fc_1","call_id":"call_1","name":"a","arguments":"{\"z\": 1.0, \"a\":\"\\u00e4\", \"n\":12345678901234567890123}"},
          {"type":"function_call","call_id":"functions.b:0","name":"b","arguments":""},
          {"type":"function_call_output","call_id":"call_1","output":"1.0"},
          {"role":"user","content":"and?"},
          {"type":"function_call_output","call_id":"functions.b:0","output":[{"type":"input_text","text":"see"},{"type":"input_image","image_url":"data:image/png;base64,aGk="}]}]"#,
        "messages",
        concat!(
            r#"[{"role":"user","content":[{"type":"text","text":"q"}]},"#,
            r#"{"role":"assistant","content":[{"type":"text","text":"on it"},{"type":"text","text":"not that"},"#,
            r#"{"type":"tool_use","id":"call_1","name":"a","input":{"z": 1.0, "a":"\u00e4", "n":12345678901234567890123}},"#,
            r#"{"type":"tool_use","id":"call_b0c2eecbb519e65ffbd1592e29085d1a","name":"b","input":{}}]},"#,
            r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1","content":"1.0"},"#,
            r#"{"type":"tool_result","tool_use_id":"call_b0c2eecbb519e65ffbd1592e29085d1a","content":[{"type":"text","text":"see"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"aGk="}}]},"#,
            r#"{"type":"text","text":"and?"}]}]"#
        ),
    );
}

#[test]
fn arguments_that_are_no_object_are_told_with_the_output() {
    gives(
        r#""input":[{"type":"function_call","call_id":"c","name":"a","arguments":"{oops"},{"type":"function_call_output","call_id":"c","output":"bad"}]"#,
        "messages",
        concat!(
            r#"[{"role":"assistant","content":[{"type":"tool_use","id":"c","name":"a","input":{}}]},"#,
            r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","content":[{"type":"text","text":"The arguments of this call were not a JSON object, so it was read as {}: {oops"},{"type":"text","text":"bad"}]}]}]"#
        ),
    );
}

#[test]
fn images_and_files_keep_their_content() {
    for (part, block) in [
        (
            r#"{"type":"input_image","image_url":"https://x/y.png","detail":"auto"}"#,
            r#"{"type":"image","source":{"type":"url","url":"https://x/y.png"}}"#,
        ),
        (
            r#"{"type":"input_image","image_url":"data:image/jpg;base64,\/9j"}"#,
            r#"{"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"/9j"}}"#,
        ),
        (
            r#"{"type":"input_file","file_data":"data:application/pdf;base64,JVBE","filename":"a.pdf"}"#,
            r#"{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"},"title":"a.pdf"}"#,
        ),
        (
            r#"{"type":"input_file","file_data":"JVBERi0x"}"#,
            r#"{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBERi0x"}}"#,
        ),
        (
            r#"{"type":"input_file","file_data":"data:text/csv;base64,w6Q="}"#,
            r#"{"type":"document","source":{"type":"text","media_type":"text/plain","data":"ä"}}"#,
        ),
        (
            r#"{"type":"input_file","file_url":"https://x/a.pdf"}"#,
            r#"{"type":"document","source":{"type":"url","url":"https://x/a.pdf"}}"#,
        ),
    ] {
        gives(
            &format!(r#""input":[{{"role":"user","content":[{part}]}}]"#),
            "messages",
            &format!(r#"[{{"role":"user","content":[{block}]}}]"#),
        );
    }
}

#[test]
fn content_without_a_counterpart_is_refused_where_it_stands() {
    for (part, param) in [
        (r#"{"type":"input_audio","data":""}"#, "type"),
        (r#"{"type":"input_image","file_id":"file_1"}"#, "file_id"),
        (
            r#"{"type":"input_image","image_url":"ftp://x"}"#,
            "image_url",
        ),
        (
            r#"{"type":"input_image","image_url":"data:image/tiff;base64,AA=="}"#,
            "image_url",
        ),
        (r#"{"type":"input_image"}"#, "image_url"),
        (r#"{"type":"input_file","file_id":"file_1"}"#, "file_id"),
        (
            r#"{"type":"input_file","file_data":"data:application/zip;base64,AA=="}"#,
            "file_data",
        ),
        (r#"{"type":"input_file","filename":"a"}"#, "file_data"),
        (r#"{"type":"input_text"}"#, "text"),
        (r#"{"type":"input_text","text":1}"#, "text"),
    ] {
        refuses(
            &format!(
                r#""input":[{{"role":"user","content":[{{"type":"input_text","text":"x"}},{part}]}}]"#
            ),
            &format!("input[0].content[1].{param}"),
        );
    }
}

#[test]
fn items_without_a_counterpart_are_refused_where_they_stand() {
    for (item, param) in [
        (r#"{"type":"item_reference","id":"x"}"#, "input[0].type"),
        (
            r#"{"type":"compaction","encrypted_content":"x"}"#,
            "input[0].type",
        ),
        (r#"{"type":"web_search_call"}"#, "input[0].type"),
        (r#"{"role":"tool","content":"x"}"#, "input[0].role"),
        (
            r#"{"type":"function_call","name":"a","arguments":"{}"}"#,
            "input[0].call_id",
        ),
        (
            r#"{"type":"function_call","call_id":"c","name":"a","namespace":"n"}"#,
            "input[0].namespace",
        ),
        (
            r#"{"type":"function_call_output","call_id":"c"}"#,
            "input[0].output",
        ),
        ("{}", "input[0].type"),
        ("[]", "input[0]"),
        (r#"{"role":"user","role":"user","content":"x"}"#, "input[0]"),
    ] {
        refuses(&format!(r#""input":[{item}]"#), param);
    }
}

#[test]
fn a_request_that_asks_nothing_is_refused() {
    refuses(r#""input":[]"#, "input");
    refuses(r#""input":"  ""#, "input");
    refuses(r#""input":7"#, "input");
    refuses(r#""instructions":"x""#, "input");
    refuses(r#""input":[{"role":"system","content":"x"}]"#, "input");
    refuses(
        r#""input":[{"role":"user","content":"x"},{"role":"assistant","content":"y"}]"#,
        "input",
    );
    assert_eq!(to_messages("[]").unwrap_err().param, "body");
    assert_eq!(to_messages("{").unwrap_err().param, "body");
    assert_eq!(to_messages(r#"{"input":"x"}"#).unwrap_err().param, "model");
}

#[test]
fn thinking_comes_back_in_its_place_and_foreign_reasoning_does_not() {
    let block = r#"{"signature":"Eu\/8=","thinking":"\u00e4 1.0","type":"thinking"}"#;
    let wrapped = wrap(Origin::Anthropic, block);
    let fields = format!(
        r#""input":[{{"role":"user","content":"q"}},{{"type":"reasoning","summary":[],"encrypted_content":"{wrapped}"}},{{"type":"reasoning","summary":[],"encrypted_content":"gAAA"}},{{"role":"assistant","content":"a"}},{{"role":"user","content":"r"}}]"#
    );
    let translated = translated("claude-opus-5-5", &fields).unwrap();
    assert_eq!(translated.dropped, ["input.reasoning"]);
    assert!(translated.body.contains(&format!(
        r#"{{"role":"assistant","content":[{block},{{"type":"text","text":"a"}}]}}"#
    )));
}

#[test]
fn depth_costs_nothing() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let arguments = format!(r#"{{\"a\":{deep}}}"#);
    let fields = format!(
        r#""input":[{{"type":"function_call","call_id":"c","name":"a","arguments":"{arguments}"}},{{"type":"function_call_output","call_id":"c","output":"1"}}],"tools":[{{"type":"function","name":"a","parameters":{{"x":{deep}}}}}],"metadata":{deep}"#
    );
    assert!(
        translated("claude-opus-5-5", &fields)
            .unwrap()
            .body
            .contains(&deep)
    );
    refuses(&format!(r#""input":{deep}"#), "input[0]");
}
