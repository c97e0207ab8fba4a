use super::super::super::{Origin, wrap};
use super::*;

#[test]
fn a_plain_question_is_one_user_message() {
    let body = translated(
        "claude-sonnet-5-5",
        r#""input":"hi","stream":true,"store":true"#,
    )
    .unwrap();
    assert_eq!(
        body.body,
        r#"{"model":"claude-sonnet-5-5","max_tokens":64000,"stream":true,"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]}"#
    );
    assert!(body.dropped.is_empty());
}

#[test]
fn functions_keep_their_schema() {
    gives(
        r#""input":"q","tools":[{"type":"function","name":"a","description":"A \u00e4","parameters":{"type":"object","properties":{"n":{"maximum":1.0}}},"strict":true},{"type":"function","name":"b","strict":false},{"type":"function","name":"c","parameters":{"properties":{}}}]"#,
        "tools",
        concat!(
            r#"[{"name":"a","description":"A \u00e4","input_schema":{"type":"object","properties":{"n":{"maximum":1.0}}},"strict":true},"#,
            r#"{"name":"b","input_schema":{"type":"object","properties":{}}},"#,
            r#"{"name":"c","input_schema":{"properties":{},"type":"object"}}]"#,
        ),
    );
    gives(
        r#""input":[{"type":"custom_tool_call","call_id":"c","name":"d","input":"x\u00e4"},{"type":"custom_tool_call_output","call_id":"c","output":"y"}]"#,
        "messages",
        concat!(
            r#"[{"role":"assistant","content":[{"type":"tool_use","id":"c","name":"d","input":{"input":"x\u00e4"}}]},"#,
            r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","content":"y"}]}]"#
        ),
    );
    for tool in [
        "custom",
        "web_search",
        "web_search_preview",
        "file_search",
        "code_interpreter",
        "mcp",
        "namespace",
        "shell",
        "",
    ] {
        refuses(
            &format!(
                r#""input":"q","tools":[{{"type":"function","name":"a"}},{{"type":"{tool}"}}]"#
            ),
            "tools[1].type",
        );
    }
}

#[test]
fn the_choice_of_tools_is_said_in_the_other_words() {
    let ask = |fields: &str, expected: &str| {
        gives(
            &format!(
                r#""input":"q","tools":[{{"type":"function","name":"a"}},{{"type":"function","name":"b"}}],{fields}"#
            ),
            "tool_choice",
            expected,
        );
    };
    ask(r#""tool_choice":"auto""#, "");
    ask(r#""tool_choice":"required""#, r#"{"type":"any"}"#);
    ask(r#""tool_choice":"none""#, r#"{"type":"none"}"#);
    ask(
        r#""tool_choice":{"type":"function","name":"a"}"#,
        r#"{"type":"tool","name":"a"}"#,
    );
    ask(r#""parallel_tool_calls":true"#, "");
    ask(
        r#""parallel_tool_calls":false"#,
        r#"{"type":"auto","disable_parallel_tool_use":true}"#,
    );
    ask(
        r#""parallel_tool_calls":false,"tool_choice":"required""#,
        r#"{"type":"any","disable_parallel_tool_use":true}"#,
    );
    ask(
        r#""tool_choice":{"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"b"}]}"#,
        r#"{"type":"tool","name":"b"}"#,
    );
    gives(r#""input":"q","tool_choice":"required""#, "tool_choice", "");
    gives(
        r#""input":"q","tools":[{"type":"function","name":"a"},{"type":"function","name":"b"}],"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"b"}]}"#,
        "tools",
        r#"[{"name":"b","input_schema":{"type":"object","properties":{}}}]"#,
    );
    refuses(r#""input":"q","tool_choice":"maybe""#, "tool_choice");
    refuses(
        r#""input":"q","tool_choice":{"type":"web_search_preview"}"#,
        "tool_choice.type",
    );
    refuses(
        r#""input":"q","tool_choice":{"type":"allowed_tools","tools":[{"type":"mcp","server_label":"x"}]}"#,
        "tool_choice.tools[0].type",
    );
}

#[test]
fn effort_is_a_word_for_new_models_and_a_budget_for_old_ones() {
    let ask = |model: &str, fields: &str| {
        let body = translated(model, &format!(r#""input":"q",{fields}"#)).unwrap();
        (
            field(&body.body, "thinking"),
            field(&body.body, "output_config"),
            body.dropped,
        )
    };
    for (effort, word) in [
        ("minimal", "low"),
        ("low", "low"),
        ("medium", "medium"),
        ("high", "high"),
        ("xhigh", "xhigh"),
        ("max", "max"),
    ] {
        let (thinking, output, _) = ask(
            "claude-opus-5-5",
            &format!(r#""reasoning":{{"effort":"{effort}"}}"#),
        );
        assert_eq!(thinking, r#"{"type":"adaptive","display":"omitted"}"#);
        assert_eq!(output, format!(r#"{{"effort":"{word}"}}"#));
    }
    for (effort, budget) in [
        ("minimal", 1024),
        ("low", 1024),
        ("medium", 2048),
        ("high", 4096),
        ("xhigh", 8192),
        ("max", 16_384),
    ] {
        let (thinking, output, _) = ask(
            "claude-sonnet-4-5",
            &format!(r#""reasoning":{{"effort":"{effort}"}}"#),
        );
        assert_eq!(
            thinking,
            format!(r#"{{"type":"enabled","budget_tokens":{budget}}}"#)
        );
        assert_eq!(output, "");
    }
    let summary = ask("claude-opus-5-5", r#""reasoning":{"summary":"auto"}"#);
    assert_eq!(summary.0, r#"{"type":"adaptive","display":"summarized"}"#);
    assert_eq!(
        ask("claude-opus-5-5", r#""reasoning":{"effort":"none"}"#).0,
        r#"{"type":"disabled"}"#
    );
    assert_eq!(ask("claude-opus-5-5", r#""reasoning":null"#).0, "");
    let small = ask(
        "claude-sonnet-4-5",
        r#""reasoning":{"effort":"high"},"max_output_tokens":2000"#,
    );
    assert_eq!(small.0, r#"{"type":"enabled","budget_tokens":1999}"#);
    let least = ask(
        "claude-sonnet-4-5",
        r#""reasoning":{"effort":"high"},"max_output_tokens":1024"#,
    );
    assert_eq!(
        (least.0.as_str(), least.2),
        ("", vec!["reasoning".to_owned()])
    );
    let old = ask(
        "claude-3-5-haiku-latest",
        r#""reasoning":{"effort":"high"}"#,
    );
    assert_eq!((old.0.as_str(), old.2), ("", vec!["reasoning".to_owned()]));
    refuses(
        r#""input":"q","reasoning":{"effort":"utmost"}"#,
        "reasoning.effort",
    );
}

#[test]
fn thinking_gives_way_to_what_it_does_not_go_with() {
    let forced = r#""input":"q","tools":[{"type":"function","name":"a"}],"tool_choice":"required","reasoning":{"effort":"high"}"#;
    let body = translated("claude-opus-5-5", forced).unwrap();
    assert_eq!(field(&body.body, "thinking"), "");
    assert_eq!(body.dropped, ["reasoning"]);
    // A model with budgets wants the turn that made the calls to begin with thinking.
    let thinking = wrap(
        Origin::Anthropic,
        r#"{"type":"thinking","thinking":"","signature":"s"}"#,
    );
    for (encrypted, expected) in [
        (
            thinking.as_str(),
            r#"{"type":"enabled","budget_tokens":4096}"#,
        ),
        ("gAAAA", ""),
    ] {
        let fields = format!(
            r#""reasoning":{{"effort":"high"}},"input":[{{"type":"reasoning","encrypted_content":"{encrypted}"}},{{"type":"function_call","call_id":"c","name":"a","arguments":"{{}}"}},{{"type":"function_call_output","call_id":"c","output":"1"}}]"#
        );
        let body = translated("claude-sonnet-4-5", &fields).unwrap().body;
        assert_eq!(field(&body, "thinking"), expected);
    }
}

#[test]
fn the_format_of_the_answer_is_kept() {
    let schema = r#"{"type":"object","properties":{"b":{"minimum":1.0}}}"#;
    gives(
        &format!(
            r#""input":"q","text":{{"format":{{"type":"json_schema","name":"n","schema":{schema},"strict":true}}}}"#
        ),
        "output_config",
        &format!(r#"{{"format":{{"type":"json_schema","schema":{schema}}}}}"#),
    );
    gives(
        r#""input":"q","text":{"format":{"type":"json_object"}}"#,
        "system",
        r#"[{"type":"text","text":"Answer with one JSON object and nothing else."}]"#,
    );
    gives(
        r#""input":"q","text":{"format":{"type":"text"}}"#,
        "output_config",
        "",
    );
    refuses(
        r#""input":"q","text":{"format":{"type":"grammar"}}"#,
        "text.format.type",
    );
    refuses(
        r#""input":"q","text":{"format":{"type":"json_schema"}}"#,
        "text.format.schema",
    );
}

#[test]
fn where_the_model_has_to_stop_is_said_whichever_way_it_is_written() {
    gives(
        r#""input":"q","stop":"\u00e4""#,
        "stop_sequences",
        r#"["\u00e4"]"#,
    );
    gives(
        r#""input":"q","stop":["a","b"]"#,
        "stop_sequences",
        r#"["a","b"]"#,
    );
    for nothing in ["null", "[]"] {
        gives(
            &format!(r#""input":"q","stop":{nothing}"#),
            "stop_sequences",
            "",
        );
    }
    for wrong in ["7", "[7]", "{}"] {
        refuses(&format!(r#""input":"q","stop":{wrong}"#), "stop");
    }
    refuses(
        r#""input":"q","tools":[{"type":"function","name":"a","allowed_callers":["programmatic"]}]"#,
        "tools[0].allowed_callers",
    );
}

#[test]
fn limits_tiers_and_users_are_said_in_the_other_words() {
    gives(r#""input":"q","max_output_tokens":77"#, "max_tokens", "77");
    for (model, limit, expected) in [
        ("claude-3-5-sonnet-latest", "", "8192"),
        (
            "claude-3-5-sonnet-latest",
            r#","max_output_tokens":100000"#,
            "8192",
        ),
        ("claude-sonnet-4-5", "", "32000"),
    ] {
        let body = translated(model, &format!(r#""input":"q"{limit}"#))
            .unwrap()
            .body;
        assert_eq!(field(&body, "max_tokens"), expected);
    }
    gives(
        r#""input":"q","user":"u","safety_identifier":"s""#,
        "metadata",
        r#"{"user_id":"s"}"#,
    );
    gives(
        r#""input":"q","user":"u""#,
        "metadata",
        r#"{"user_id":"u"}"#,
    );
    gives(
        r#""input":"q","service_tier":"default""#,
        "service_tier",
        "\"standard_only\"",
    );
    gives(
        r#""input":"q","instructions":"i","prompt_cache_key":"k""#,
        "system",
        r#"[{"type":"text","text":"i","cache_control":{"type":"ephemeral"}}]"#,
    );
    gives(
        r#""input":"q","tools":[{"type":"function","name":"a"}],"prompt_cache_key":"k""#,
        "tools",
        r#"[{"name":"a","input_schema":{"type":"object","properties":{}},"cache_control":{"type":"ephemeral"}}]"#,
    );
}

#[test]
fn what_only_tunes_is_dropped_by_name() {
    let fields = r#""input":[{"role":"user","content":[{"type":"input_image","image_url":"https://x","detail":"low"}]},{"role":"assistant","content":"a","phase":"commentary"},{"role":"user","content":"x"}],"temperature":0.5,"top_p":1,"truncation":"auto","service_tier":"flex","text":{"verbosity":"low"},"reasoning":{"context":"auto"},"context_management":[],"metadata":{"a":"b"},"moderation":null,"bad name\n":1,"tools":[{"type":"function","name":"c","defer_loading":true}]"#;
    let mut dropped = translated("claude-opus-5-5", fields).unwrap().dropped;
    dropped.sort();
    assert_eq!(
        dropped,
        [
            "context_management",
            "input.phase",
            "input_image.detail",
            "reasoning.context",
            "service_tier",
            "temperature",
            "text.verbosity",
            "tools.defer_loading",
            "top_p",
            "truncation",
        ]
    );
}

#[test]
fn what_changes_the_meaning_is_refused_by_name() {
    refuses(
        r#""input":"q","previous_response_id":"resp_1""#,
        "previous_response_id",
    );
    refuses(r#""input":"q","conversation":{"id":"c"}"#, "conversation");
    refuses(r#""input":"q","background":true"#, "background");
    refuses(r#""input":"q","prompt":{"id":"p"}"#, "prompt");
    refuses(r#""input":"q","top_logprobs":3"#, "top_logprobs");
    refuses(
        r#""input":"q","include":["reasoning.encrypted_content","message.output_text.logprobs"]"#,
        "include[1]",
    );
    refuses(
        r#""input":"q","max_output_tokens":1.5"#,
        "max_output_tokens",
    );
    refuses(r#""input":"q","stream":"yes""#, "stream");
    refuses(r#""input":"q","model":"again""#, "body");
}
