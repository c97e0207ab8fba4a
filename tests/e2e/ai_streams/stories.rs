//! What a model may do, and what its clients are shown of it.

use mcpbridge_tests::ai::Turn;

use super::ODD;

pub(super) struct Story {
    pub(super) name: &'static str,
    pub(super) turns: Vec<Turn>,
    /// Types of the output items, and the status.
    pub(super) responses: (&'static str, &'static str),
    /// Types of the blocks, and the stop reason.
    pub(super) messages: (&'static str, &'static str),
    /// How many calls of tools of the server it has.
    pub(super) calls: usize,
}

pub(super) fn stories() -> Vec<Story> {
    let done = || Turn::text("Done.");
    let echo = |text: &str| Turn::new().call("*echo", text);
    let once = ("mcp_list_tools mcp_call message", "completed");
    let used = ("mcp_tool_use mcp_tool_result text", "end_turn");
    let story = |name, turns, responses, messages, calls| Story {
        name,
        turns,
        responses,
        messages,
        calls,
    };
    vec![
        story("a call", vec![echo(ODD), done()], once, used, 1),
        story(
            "no arguments",
            vec![Turn::call_only("*server_info", ""), done()],
            once,
            used,
            1,
        ),
        story(
            "arguments at once",
            vec![echo(ODD).without_deltas(), done()],
            once,
            used,
            1,
        ),
        story(
            "a stream in pieces",
            vec![echo(ODD).fragmented(7), done().fragmented(1)],
            once,
            used,
            1,
        ),
        story(
            "a tool that fails",
            vec![Turn::call_only("*fail", "{}"), done()],
            once,
            used,
            1,
        ),
        story(
            "a large result",
            vec![Turn::call_only("*big", r#"{"bytes":300000}"#), done()],
            once,
            used,
            1,
        ),
        story(
            "two calls at once",
            vec![echo("{}").call("*server_info", "{}"), done()],
            ("mcp_list_tools mcp_call mcp_call message", "completed"),
            (
                "mcp_tool_use mcp_tool_use mcp_tool_result mcp_tool_result text",
                "end_turn",
            ),
            2,
        ),
        story(
            "a call after another",
            vec![echo("{}"), Turn::text("Again.").call("*echo", "{}"), done()],
            (
                "mcp_list_tools mcp_call message mcp_call message",
                "completed",
            ),
            (
                "mcp_tool_use mcp_tool_result text mcp_tool_use mcp_tool_result text",
                "end_turn",
            ),
            2,
        ),
        story(
            "thinking",
            vec![
                Turn::new().thinking("Hm.").call("*echo", ODD),
                Turn::new().thinking("So.").and_text("Done."),
            ],
            (
                "mcp_list_tools reasoning mcp_call reasoning message",
                "completed",
            ),
            (
                "thinking mcp_tool_use mcp_tool_result thinking text",
                "end_turn",
            ),
            1,
        ),
        story(
            "a call for the client beside one for the server",
            vec![echo("{}").call("add", r#"{"n":1}"#)],
            ("mcp_list_tools mcp_call function_call", "completed"),
            ("mcp_tool_use tool_use mcp_tool_result", "tool_use"),
            1,
        ),
        story(
            "the end of the tokens",
            vec![Turn::text("Don").length()],
            ("mcp_list_tools message", "incomplete"),
            ("text", "max_tokens"),
            0,
        ),
    ]
}
