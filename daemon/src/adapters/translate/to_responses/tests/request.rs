use super::*;

#[test]
fn a_plain_question_is_one_message_and_nothing_is_stored() {
    let translated = translated(
        "gpt-5.4",
        r#""system":"s","max_tokens":1000,"stream":true,"messages":[{"role":"user","content":"q"}]"#,
    );
    let translated = translated.unwrap();
    assert_eq!(
        translated.body,
        concat!(
            r#"{"model":"gpt-5.4","instructions":"s","reasoning":{"effort":"none"},"max_output_tokens":1000,"stream":true,"#,
            r#""store":false,"include":["reasoning.encrypted_content"],"#,
            r#""input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"q"}]}]}"#
        )
    );
    assert!(translated.dropped.is_empty());
}

#[test]
fn tools_keep_their_schema() {
    let strict = r#"{"type":"object","properties":{"n":{"maximum":1.0}},"required":["n"],"additionalProperties":false}"#;
    let loose = r#"{"type":"object","properties":{"n":{"maximum":1.0}}}"#;
    let fields = format!(
        r#"{ASKING},"tools":[{{"name":"a","description":"A \u00e4","input_schema":{strict},"strict":true}},{{"type":"custom","name":"b","input_schema":{loose},"input_examples":[{{"n":1.0}}],"allowed_callers":["direct"]}},{{"name":"c","description":"C","input_schema":{loose},"strict":true,"input_examples":[{{"n":1.0}}]}}]"#
    );
    gives(
        &fields,
        "tools",
        &format!(
            r#"[{{"type":"function","name":"a","description":"A \u00e4","parameters":{strict},"strict":true}},{{"type":"function","name":"b","description":"Example input: {{\"n\":1.0}}","parameters":{loose},"strict":false}},{{"type":"function","name":"c","description":"C\nExample input: {{\"n\":1.0}}","parameters":{loose},"strict":false}}]"#
        ),
    );
    assert_eq!(
        translated("gpt-5.4", &fields).unwrap().dropped,
        ["tools.strict"]
    );
    for kind in [
        "web_search_20250305",
        "bash_20250124",
        "computer_20250124",
        "mcp_toolset",
    ] {
        refuses(
            &format!(r#"{ASKING},"tools":[{{"type":"{kind}","name":"x"}}]"#),
            "tools[0].type",
        );
    }
    refuses(
        &format!(r#"{ASKING},"tools":[{{"name":"x"}}]"#),
        "tools[0].input_schema",
    );
    refuses(
        &format!(
            r#"{ASKING},"tools":[{{"name":"x","input_schema":{{}},"allowed_callers":["code_execution_20250825"]}}]"#
        ),
        "tools[0].allowed_callers",
    );
}

#[test]
fn a_schema_of_an_object_is_completed_and_another_is_refused() {
    gives(
        &format!(r#"{ASKING},"tools":[{{"name":"a","input_schema":{{"type":"object"}}}}]"#),
        "tools",
        r#"[{"type":"function","name":"a","parameters":{"type":"object","properties":{}},"strict":false}]"#,
    );
    refuses(
        &format!(r#"{ASKING},"tools":[{{"name":"a","input_schema":{{"type":"string"}}}}]"#),
        "tools[0].input_schema",
    );
}

#[test]
fn the_choice_of_tools_is_said_in_the_other_words() {
    for (choice, expected, parallel) in [
        (r#"{"type":"auto"}"#, r#""auto""#, ""),
        (
            r#"{"type":"any","disable_parallel_tool_use":true}"#,
            r#""required""#,
            "false",
        ),
        (r#"{"type":"none"}"#, r#""none""#, ""),
        (
            r#"{"type":"tool","name":"a"}"#,
            r#"{"type":"function","name":"a"}"#,
            "",
        ),
    ] {
        let fields = format!(
            r#"{ASKING},"tools":[{{"name":"a","input_schema":{{}}}}],"tool_choice":{choice}"#
        );
        gives(&fields, "tool_choice", expected);
        gives(&fields, "parallel_tool_calls", parallel);
    }
    gives(
        &format!(r#"{ASKING},"tool_choice":{{"type":"any"}}"#),
        "tool_choice",
        "",
    );
    refuses(
        &format!(
            r#"{ASKING},"tools":[{{"name":"a","input_schema":{{}}}}],"tool_choice":{{"type":"mcp"}}"#
        ),
        "tool_choice.type",
    );
}

#[test]
fn thinking_is_an_effort_and_leaves_room_for_the_answer() {
    let ask = |model: &str, fields: &str| {
        let body = translated(model, &format!(r#"{ASKING},"max_tokens":5000,{fields}"#)).unwrap();
        let of = |key| field(&body.body, key);
        (
            of("reasoning"),
            of("max_output_tokens"),
            body.dropped.join(","),
        )
    };
    let is = |model: &str, fields: &str, reasoning: &str, limit: &str, dropped: &str| {
        let expected = (reasoning.to_owned(), limit.to_owned(), dropped.to_owned());
        assert_eq!(ask(model, fields), expected, "{model} {fields}");
    };
    for (budget, effort) in [
        (1024, "low"),
        (2048, "medium"),
        (4096, "high"),
        (60_000, "high"),
    ] {
        let fields = format!(r#""thinking":{{"type":"enabled","budget_tokens":{budget}}}"#);
        is(
            "gpt-5.4",
            &fields,
            &format!(r#"{{"effort":"{effort}"}}"#),
            "5000",
            "",
        );
    }
    for effort in ["low", "medium", "high", "xhigh", "max"] {
        let fields =
            format!(r#""thinking":{{"type":"adaptive"}},"output_config":{{"effort":"{effort}"}}"#);
        assert_eq!(
            ask("gpt-5.4", &fields).0,
            format!(r#"{{"effort":"{effort}"}}"#)
        );
    }
    is(
        "gpt-5.4",
        r#""thinking":{"type":"adaptive","display":"summarized"}"#,
        r#"{"summary":"auto"}"#,
        "13192",
        "",
    );
    is(
        "gpt-5.4",
        r#""thinking":{"type":"disabled"}"#,
        r#"{"effort":"none"}"#,
        "5000",
        "",
    );
    is(
        "o3",
        r#""thinking":{"type":"disabled"}"#,
        r#"{"effort":"low"}"#,
        "7048",
        "",
    );
    is(
        "gpt-5",
        r#""thinking":null"#,
        r#"{"effort":"low"}"#,
        "7048",
        "",
    );
    is("llama3.3", r#""thinking":null"#, "", "5000", "");
    is(
        "gpt-4o",
        r#""thinking":{"type":"adaptive"}"#,
        "",
        "5000",
        "thinking",
    );
    is("gpt-4o", r#""max_tokenz":1"#, "", "5000", "max_tokenz");
    refuses(
        &format!(r#"{ASKING},"thinking":{{"type":"enabled"}}"#),
        "thinking.budget_tokens",
    );
    refuses(
        &format!(r#"{ASKING},"thinking":{{"type":"deep"}}"#),
        "thinking.type",
    );
    refuses(
        &format!(r#"{ASKING},"output_config":{{"effort":"utmost"}}"#),
        "output_config.effort",
    );
    for (model, max, limit) in [("gpt-5.4", 1, "16"), ("gpt-4o", 100_000, "16384")] {
        let body = translated(model, &format!(r#"{ASKING},"max_tokens":{max}"#))
            .unwrap()
            .body;
        assert_eq!(field(&body, "max_output_tokens"), limit);
    }
}

#[test]
fn models_that_do_not_reason_keep_sampling_and_are_not_asked_for_reasoning() {
    let fields = format!(r#"{ASKING},"temperature":1.0,"top_p":0.5"#);
    let old = translated("gpt-4o", &fields).unwrap();
    assert_eq!(field(&old.body, "temperature"), "1.0");
    assert_eq!(field(&old.body, "include"), "");
    assert!(old.dropped.is_empty());
    let new = translated("gpt-5.4", &fields).unwrap();
    assert_eq!(field(&new.body, "temperature"), "");
    assert_eq!(new.dropped, ["temperature", "top_p"]);
    refuses(&format!(r#"{ASKING},"temperature":"hot""#), "temperature");
}

#[test]
fn the_format_of_the_answer_is_kept() {
    let strict = r#"{"type":"object","properties":{},"additionalProperties":false}"#;
    for (key, inner, schema, is_strict) in [
        ("output_config", true, strict, "true"),
        ("output_format", false, r#"{"type":"object"}"#, "false"),
    ] {
        let format = format!(r#"{{"type":"json_schema","schema":{schema}}}"#);
        let value = if inner {
            format!(r#"{{"format":{format}}}"#)
        } else {
            format
        };
        gives(
            &format!(r#"{ASKING},"{key}":{value}"#),
            "text",
            &format!(
                r#"{{"format":{{"type":"json_schema","name":"answer","schema":{schema},"strict":{is_strict}}}}}"#
            ),
        );
    }
    refuses(
        &format!(r#"{ASKING},"output_config":{{"format":{{"type":"xml"}}}}"#),
        "output_config.format.type",
    );
}

#[test]
fn what_is_marked_for_caching_gets_a_key_that_stays() {
    let key = |fields: &str| {
        field(
            &translated("gpt-5.4", fields).unwrap().body,
            "prompt_cache_key",
        )
    };
    let mark = r#""cache_control":{"type":"ephemeral"}"#;
    let first = format!(r#"{{"role":"user","content":[{{"type":"text","text":"q",{mark}}}]}}"#);
    let one = key(&format!(r#""messages":[{first}]"#));
    let two = key(&format!(
        r#""messages":[{first},{{"role":"assistant","content":"a"}},{{"role":"user","content":"r"}}]"#
    ));
    assert_eq!(one.len(), 34);
    assert_eq!(one, two);
    assert_ne!(
        one,
        key(&format!(
            r#"{ASKING},"system":[{{"type":"text","text":"s",{mark}}}]"#
        ))
    );
    assert!(!key(&format!(r#"{ASKING},{mark}"#)).is_empty());
    assert!(
        !key(&format!(
            r#"{ASKING},"tools":[{{"name":"a","input_schema":{{}},{mark}}}]"#
        ))
        .is_empty()
    );
    assert!(key(ASKING).is_empty());
}

#[test]
fn what_only_tunes_is_dropped_by_name() {
    let fields = r#""messages":[{"role":"user","content":[{"type":"document","context":"c","citations":{"enabled":true},"source":{"type":"url","url":"https://x"}}]}],"top_k":5,"metadata":{"user_id":"u","x":1},"service_tier":"fast","thinking":{"type":"adaptive","block_binding":{}},"context_management":{"edits":[]},"tools":[{"name":"a","input_schema":{},"defer_loading":true}]"#;
    let translated = translated("gpt-5.4", fields).unwrap();
    assert_eq!(field(&translated.body, "safety_identifier"), "\"u\"");
    let mut dropped = translated.dropped;
    dropped.sort();
    assert_eq!(
        dropped,
        [
            "citations",
            "context_management",
            "document.context",
            "metadata",
            "service_tier",
            "thinking.block_binding",
            "tools.defer_loading",
            "top_k"
        ]
    );
    gives(
        &format!(r#"{ASKING},"service_tier":"standard_only""#),
        "service_tier",
        "\"default\"",
    );
}

#[test]
fn what_changes_the_meaning_is_refused_by_name() {
    refuses(
        &format!(r#"{ASKING},"stop_sequences":["x"]"#),
        "stop_sequences",
    );
    gives(&format!(r#"{ASKING},"stop_sequences":[]"#), "stop", "");
    refuses(&format!(r#"{ASKING},"container":"c""#), "container");
    refuses(
        &format!(r#"{ASKING},"thread":{{"type":"create"}}"#),
        "thread",
    );
    refuses(
        &format!(r#"{ASKING},"mcp_servers":[{{"name":"x"}}]"#),
        "mcp_servers",
    );
    refuses(&format!(r#"{ASKING},"max_tokens":"many""#), "max_tokens");
}
