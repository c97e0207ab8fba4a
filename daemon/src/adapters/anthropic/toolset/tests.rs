use super::super::request::MessagesRequest;
use super::super::testing::{
    BETA_2025, BETA_2026, BETA_OLD, dialog, gateway, listing, member, request,
};
use crate::adapters::dialect::{Request as _, ToolFilter};
use crate::adapters::record::Found;
use crate::adapters::refusal::THREADS_UNSUPPORTED;

fn body(servers: &str, tools: &str) -> String {
    format!(
        r#"{{"model":"m","mcp_servers":{servers},"tools":{tools},"messages":[],"unknown":1.0}}"#
    )
}

const S: &str =
    r#"{"type":"url","name":"s","url":"http://localhost:3000/mcp/s","authorization_token":"t"}"#;
const PUBLIC: &str =
    r#"{"type":"url","name":"v","url":"https://mcp.example/x","authorization_token":"t"}"#;
const SET: &str = r#"{"type":"mcp_toolset","mcp_server_name":"s"}"#;

fn refused(body: &str, beta: &str) -> (String, String) {
    let refusal = MessagesRequest::parse(body, beta, &gateway()).unwrap_err();
    assert_eq!(refusal.status, 400);
    (refusal.param.unwrap_or_default(), refusal.message)
}

#[test]
fn servers_and_toolsets_belong_together() {
    for (servers, tools, beta, param, says) in [
        (
            &format!("[{S}]"),
            "[]".to_owned(),
            BETA_2025,
            "mcp_servers[0]",
            "no toolset names",
        ),
        (
            &format!("[{S}]"),
            "[]".to_owned(),
            BETA_2026,
            "mcp_servers[0]",
            "no toolset names",
        ),
        (
            &"[]".to_owned(),
            format!("[{SET}]"),
            BETA_2025,
            "tools[0].mcp_server_name",
            "no entry",
        ),
        (
            &format!("[{S}]"),
            format!("[{SET},{SET}]"),
            BETA_2025,
            "tools[1]",
            "a toolset already",
        ),
        (
            &format!("[{S},{S}]"),
            format!("[{SET}]"),
            BETA_2025,
            "mcp_servers[1].name",
            "used twice",
        ),
        (
            &format!(
                "[{}]",
                S.replace(r#""name""#, r#""tool_configuration":{},"name""#)
            ),
            format!("[{SET}]"),
            BETA_2025,
            "mcp_servers[0].tool_configuration",
            "default_config",
        ),
        (
            &format!("[{}]", S.replace("localhost:3000", "192.168.0.2")),
            format!("[{SET}]"),
            BETA_2025,
            "mcp_servers[0].url",
            "could never have reached",
        ),
        (
            &r#"[{"name":"s"}]"#.to_owned(),
            "[]".to_owned(),
            BETA_OLD,
            "mcp_servers[0]",
            "missing field `url`",
        ),
        (
            &"7".to_owned(),
            "[]".to_owned(),
            BETA_OLD,
            "mcp_servers",
            "must be a list",
        ),
        (
            &format!("[{S}]"),
            format!(
                "[{}]",
                SET.replace('}', r#","tools":[{"name":"a","input_schema":[]}]}"#)
            ),
            BETA_2026,
            "tools[0].tools[0].input_schema",
            "schema of an object",
        ),
    ] {
        let (at, message) = refused(&body(servers, &tools), beta);
        assert_eq!(at, param);
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn what_is_enabled_decides_what_is_offered() {
    let names = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    for (set, filter) in [
        ("", ToolFilter::default()),
        (
            r#","default_config":{"enabled":false},"configs":{"a":{"enabled":true},"b":{},"c":{"enabled":false}}"#,
            ToolFilter {
                names: Some(names(&["a"])),
                except: names(&["c"]),
                read_only: None,
            },
        ),
        (
            r#","default_config":null,"configs":{"a":null,"b":{"enabled":false}}"#,
            ToolFilter {
                names: None,
                except: names(&["b"]),
                read_only: None,
            },
        ),
    ] {
        let set = SET.replace('}', &format!("{set}}}"));
        let request = request(&body(&format!("[{S}]"), &format!("[{set}]")), BETA_2025);
        assert_eq!(request.servers()[0].filter, filter);
    }
    for (configuration, filter) in [
        ("{}", Some(None)),
        (r#"{"allowed_tools":["a"]}"#, Some(Some(names(&["a"])))),
        (r#"{"allowed_tools":null,"enabled":null}"#, Some(None)),
        (r#"{"enabled":false}"#, None),
    ] {
        let server = S.replace('{', &format!(r#"{{"tool_configuration":{configuration},"#));
        let request = request(&body(&format!("[{server}]"), "null"), BETA_OLD);
        let first = request.servers().first().map(|it| it.filter.names.clone());
        assert_eq!(first, filter);
    }
}

#[test]
fn functions_stand_where_the_toolset_stood() {
    let set = SET.replace(
        '}',
        r#","cache_control":{"type":"ephemeral"},"default_config":{"defer_loading":true},"configs":{"b.c":{"defer_loading":false}}}"#,
    );
    let before = r#"{"name":"x", "input_schema":{"type":"object"}}"#;
    let after = r#"{"type":"web_search_20250305","name":"web_search"}"#;
    let dialog = dialog(
        &body(&format!("[{S}]"), &format!("[{before},{set},{after}]")),
        BETA_2025,
        Found::default(),
    );
    let sent = dialog.body(&[]).unwrap();
    let schema = listing().tools[0].input_schema.get().to_owned();
    assert_eq!(
        member(&sent, "tools"),
        format!(
            r#"[{before},{{"name":"s__a","description":"does a","input_schema":{schema},"defer_loading":true}},{{"name":"s__b_c_12345678","description":"does b.c","input_schema":{schema},"cache_control":{{"type":"ephemeral"}}}},{after}]"#
        )
    );
    assert!(!sent.contains("mcp_servers") && !sent.contains("authorization_token"));
    assert!(sent.ends_with(r#""messages":[],"unknown":1.0,"stream":true}"#));
}

#[test]
fn a_mark_for_the_cache_is_on_the_last_tool_that_is_loaded() {
    let sent = |configs: &str| {
        let mark = format!(r#","cache_control":{{"type":"ephemeral"}},{configs}}}"#);
        let body = body(&format!("[{S}]"), &format!("[{}]", SET.replace('}', &mark)));
        let sent = dialog(&body, BETA_2025, Found::default())
            .body(&[])
            .unwrap();
        let tools: Vec<serde_json::Value> = serde_json::from_str(&member(&sent, "tools")).unwrap();
        let has = |tool: &serde_json::Value, key: &str| tool.get(key).is_some();
        tools
            .iter()
            .map(|tool| (has(tool, "defer_loading"), has(tool, "cache_control")))
            .collect::<Vec<_>>()
    };
    let last_deferred = r#""configs":{"b.c":{"defer_loading":true}}"#;
    assert_eq!(sent(last_deferred), [(false, true), (true, false)]);
    let all_deferred = r#""default_config":{"defer_loading":true}"#;
    assert_eq!(sent(all_deferred), [(true, false), (true, false)]);
}

#[test]
fn tools_that_only_code_may_call_are_refused_and_others_are_not() {
    for (configs, param) in [
        (
            r#""default_config":{"allowed_callers":["code_execution_20250825"]}"#,
            Some("tools[0].default_config.allowed_callers"),
        ),
        (
            r#""configs":{"a":{"allowed_callers":[]}}"#,
            Some("tools[0].configs.a.allowed_callers"),
        ),
        (
            r#""configs":{"a":{"allowed_callers":["direct","code_execution_20250825"]}}"#,
            None,
        ),
        (r#""default_config":{"allowed_callers":null}"#, None),
    ] {
        let set = SET.replace('}', &format!(",{configs}}}"));
        let body = body(&format!("[{S}]"), &format!("[{set}]"));
        let parsed = MessagesRequest::parse(&body, BETA_2025, &gateway());
        let refused = parsed.err().and_then(|refusal| refusal.param);
        assert_eq!(refused.as_deref(), param, "{configs}");
    }
}

#[test]
fn servers_of_others_are_left_to_the_vendor() {
    let set = SET.replace(r#""s""#, r#""v""#);
    let both = body(&format!("[{S},{PUBLIC}]"), &format!("[{set},{SET}]"));
    let request = request(&both, BETA_2025);
    assert!(request.keeps_mcp() && !request.is_plain());
    assert_eq!(request.servers().len(), 1);
    let sent = dialog(&both, BETA_2025, Found::default())
        .body(&[])
        .unwrap();
    assert_eq!(member(&sent, "mcp_servers"), format!("[{PUBLIC}]"));
    assert!(member(&sent, "tools").starts_with(&format!("[{set},")));
    let begun = body(&format!("[{PUBLIC}]"), &format!("[{set}]"));
    assert!(super::super::testing::request(&begun, BETA_2025).is_plain());
    for (server, is_plain) in [("v", true), ("s", false)] {
        let call = format!(
            r#"{{"type":"mcp_tool_use","id":"mcptoolu_1","name":"x","server_name":"{server}","input":{{}}}}"#
        );
        let said = format!(r#""messages":[{{"role":"assistant","content":[{call}]}}]"#);
        let continued = begun.replace(r#""messages":[]"#, &said);
        let request = super::super::testing::request(&continued, BETA_2025);
        assert_eq!(request.is_plain(), is_plain, "{server}");
    }
}

#[test]
fn names_of_the_client_are_taken() {
    let tools = format!(
        r#"[{{"type":"bash_20250124","name":"bash"}},{{"name":"x","input_schema":{{}}}},{SET}]"#
    );
    let body = body(&format!("[{S}]"), &tools).replace(
        r#""messages":[]"#,
        r#""messages":[{"role":"system","content":[{"type":"tool_addition","tools":[{"name":"y"}]},{"type":"tool_addition","tool":{"name":"z"}}]}]"#,
    );
    assert_eq!(
        request(&body, BETA_2025).reserved(),
        ["bash", "x", "y", "z"]
    );
}

#[test]
fn what_cannot_work_is_refused() {
    let good = body(&format!("[{S}]"), &format!("[{SET}]"));
    for (from, to, param) in [
        (r#""model":"m""#, r#""model":1"#, "model"),
        (r#""messages":[]"#, r#""messages":1"#, "messages"),
        (r#""messages":[]"#, r#""messages":[1]"#, "messages[0]"),
        (r#""unknown":1.0"#, r#""stream":"yes""#, "stream"),
        (
            r#""unknown":1.0"#,
            r#""thread":{"type":"create"}"#,
            "thread",
        ),
        (
            r#""messages":[]"#,
            r#""messages":[{"role":"system","content":[{"type":"tool_addition","tool":{"type":"mcp_toolset"}}]}]"#,
            "messages[0]",
        ),
    ] {
        assert_eq!(refused(&good.replace(from, to), BETA_2025).0, param);
    }
    refused("[]", "");
}

#[test]
fn a_tool_runner_learns_that_it_has_to_send_the_whole_conversation() {
    let body = body(&format!("[{S}]"), &format!("[{SET}]"));
    let body = body.replace(r#""unknown":1.0"#, r#""thread":{"type":"create"}"#);
    let refusal = MessagesRequest::parse(&body, BETA_2025, &gateway()).unwrap_err();
    assert_eq!(refusal.code, Some(THREADS_UNSUPPORTED));
}

#[test]
fn a_forced_tool_is_forced_once() {
    use super::super::testing::{answered, events, play};
    let call = (
        r#"{"type":"tool_use","id":"toolu_1","name":"s__a","input":{}}"#,
        &[][..],
    );
    let turns = [events(&[call], "tool_use"), events(&[], "end_turn")];
    for (choice, later) in [
        (
            r#"{"type":"any","disable_parallel_tool_use":true}"#,
            r#"{"type":"auto","disable_parallel_tool_use":true}"#,
        ),
        (r#"{"type":"tool","name":"x"}"#, r#"{"type":"auto"}"#),
        (r#"{"type":"auto"}"#, r#"{"type":"auto"}"#),
        (r#"{"type":"none"}"#, r#"{"type":"none"}"#),
    ] {
        let body = body(&format!("[{S}]"), &format!("[{SET}]"));
        let body = body.replace(r#""unknown":1.0"#, &format!(r#""tool_choice":{choice}"#));
        let dialog = dialog(&body, BETA_2025, Found::default());
        assert_eq!(dialog.limits().parallel, !choice.contains("disable"));
        let played = play(&*dialog, &turns, &[], |_| answered("{}"));
        assert_eq!(member(&played.bodies[0], "tool_choice"), choice);
        assert_eq!(member(&played.bodies[1], "tool_choice"), later);
    }
}

#[test]
fn tokens_are_counted_of_what_the_model_would_get() {
    let body = body(&format!("[{S}]"), &format!("[{SET}]"));
    let counted = request(&body, BETA_2025)
        .count(Found::default(), vec![listing()])
        .unwrap();
    let sent = dialog(&body, BETA_2025, Found::default())
        .body(&[])
        .unwrap();
    assert_eq!(
        sent,
        counted.replace(r#""unknown":1.0}"#, r#""unknown":1.0,"stream":true}"#)
    );
}
