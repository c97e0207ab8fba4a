//! Anthropic Messages, answered by a GPT model.

use super::*;

const PATH: &str = "/anthropic/v1/messages";

fn with_server(cross: &Cross, mut body: Value) -> Value {
    let url = cross.scenario.daemon.mcp_url("hello");
    body["mcp_servers"] = json!([{ "type": "url", "name": "hello", "url": url }]);
    body["tools"] = json!([{ "type": "mcp_toolset", "mcp_server_name": "hello",
                             "default_config": { "enabled": false }, "configs": { "echo": { "enabled": true } } }]);
    body
}

fn block_types(object: &Value) -> Vec<&str> {
    let content = object["content"].as_array().unwrap();
    content
        .iter()
        .map(|block| block["type"].as_str().unwrap())
        .collect()
}

fn asking(text: &str) -> Value {
    json!({ "model": GPT, "max_tokens": 5000, "messages": [{ "role": "user", "content": text }] })
}

#[tokio::test]
async fn text_images_effort_usage_and_limits_mean_the_same() {
    let cross = Cross::start().await;
    let body = json!({
        "model": GPT, "system": [{ "type": "text", "text": "Be brief.", "cache_control": { "type": "ephemeral" } }],
        "max_tokens": 5000, "top_k": 3,
        "thinking": { "type": "enabled", "budget_tokens": 4096, "display": "summarized" },
        "messages": [{ "role": "user", "content": [
            { "type": "text", "text": "What is this?" },
            { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": PNG } },
        ]}],
    });
    let answers = cross
        .a_picture(&cross.openai, (PATH, lint::messages), &body, "top_k")
        .await;
    for answer in &answers {
        assert_eq!(answer["stop_reason"], "end_turn");
        assert_eq!(answer["model"], GPT);
        assert_eq!(block_types(answer), ["thinking", "text"]);
        assert_eq!(answer["content"][0]["thinking"], "Hm.");
        assert_eq!(answer["content"][1]["text"], "A picture.");
        let counted = &answer["usage"];
        assert_eq!(counted["input_tokens"], 10, "{counted}");
        assert_eq!(counted["cache_read_input_tokens"], 3);
        assert_eq!(counted["cache_creation_input_tokens"], 2);
        assert_eq!(counted["output_tokens"], 7);
    }
    let seen = cross.openai.turn(1).await.json();
    assert_eq!(seen["max_output_tokens"], 5000);
    assert_eq!(seen["instructions"], "Be brief.");
    assert_eq!(
        seen["reasoning"],
        json!({ "effort": "high", "summary": "auto" })
    );
    assert_eq!(seen["store"], false);
    assert_eq!(seen["include"], json!(["reasoning.encrypted_content"]));
    let image = json!({ "type": "input_image", "detail": "auto", "image_url": format!("data:image/png;base64,{PNG}") });
    assert_eq!(seen["input"][0]["content"][1], image);
    cross.finish().await;
}

#[tokio::test]
async fn a_conversation_with_tools_goes_on_with_what_the_client_returns() {
    let cross = Cross::start().await;
    let mut body = with_server(&cross, asking("Say it."));
    body["thinking"] = json!({ "type": "adaptive", "display": "summarized" });
    body["stream"] = json!(true);
    cross
        .openai
        .push(Turn::new().thinking("A tool.").call("*echo", ARGUMENTS));
    cross
        .openai
        .push(Turn::new().thinking("Fine.").and_text("Said."));
    let answer = streamed(cross.post(PATH, &body).await, lint::messages).await;
    assert_eq!(
        block_types(&answer),
        [
            "thinking",
            "mcp_tool_use",
            "mcp_tool_result",
            "thinking",
            "text"
        ]
    );
    assert_eq!(answer["stop_reason"], "end_turn");
    assert_eq!(cross.scenario.mcp.executions("echo"), 1);

    cross.openai.push(Turn::text("Again."));
    let said = json!({ "role": "assistant", "content": answer["content"] });
    let messages = body["messages"].as_array_mut().unwrap();
    messages.extend([said, json!({ "role": "user", "content": "Again!" })]);
    body["stream"] = json!(false);
    let again = object(cross.post(PATH, body).await).await;
    assert_eq!(block_types(&again), ["text"]);
    let turns = cross.openai.turns();
    turns[1].assert_continues(&turns[0]);
    turns[2].assert_continues(&turns[1]);
    cross.finish().await;
}

#[tokio::test]
async fn the_clients_own_tools_are_called_and_answered() {
    let cross = Cross::start().await;
    let mut body = asking("Weather?");
    body["tools"] =
        json!([{ "name": "weather", "input_schema": { "type": "object", "properties": {} } }]);
    body["tool_choice"] = json!({ "type": "any", "disable_parallel_tool_use": true });
    body["stream"] = json!(true);
    cross
        .openai
        .push(Turn::call_only("weather", ARGUMENTS).with_id("call_1"));
    let answer = streamed(cross.post(PATH, &body).await, lint::messages).await;
    assert_eq!(answer["stop_reason"], "tool_use");
    let call = &answer["content"][0];
    assert_eq!(
        (&call["id"], &call["name"]),
        (&json!("call_1"), &json!("weather"))
    );
    assert_eq!(call["input"]["a"], "ä");
    let seen = cross.openai.turn(1).await.json();
    assert_eq!(seen["tool_choice"], "required");
    assert_eq!(seen["parallel_tool_calls"], false);

    cross.openai.push(Turn::text("Sunny."));
    let result = json!({ "type": "tool_result", "tool_use_id": "call_1", "is_error": true, "content": [
        { "type": "text", "text": "sun" },
        { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": PNG } },
    ]});
    let messages = body["messages"].as_array_mut().unwrap();
    messages.push(json!({ "role": "assistant", "content": answer["content"] }));
    messages.push(json!({ "role": "user", "content": [result] }));
    let answer = streamed(cross.post(PATH, body).await, lint::messages).await;
    assert_eq!(answer["content"][0]["text"], "Sunny.");
    let seen = cross.openai.turn(2).await.json();
    let output = &seen["input"][2];
    assert_eq!(
        (&output["type"], &output["call_id"]),
        (&json!("function_call_output"), &json!("call_1"))
    );
    assert_eq!(output["output"][0]["text"], "Error: ");
    assert_eq!(
        output["output"][2]["image_url"],
        format!("data:image/png;base64,{PNG}")
    );
    cross.finish().await;
}

#[tokio::test]
async fn each_end_of_a_turn_has_its_word() {
    let cross = Cross::start().await;
    for (turn, reason) in [
        (Turn::text("x").length(), "max_tokens"),
        (Turn::text("x").content_filter(), "refusal"),
        (Turn::new().refusal("no"), "refusal"),
        (Turn::text("x"), "end_turn"),
    ] {
        cross.openai.push(turn);
        let mut body = asking("q");
        body["stream"] = json!(true);
        let answer = streamed(cross.post(PATH, body).await, lint::messages).await;
        assert_eq!(answer["stop_reason"], reason, "{answer}");
    }
    cross.finish().await;
}

#[tokio::test]
async fn refusals_of_the_vendor_have_the_clients_shape() {
    let cross = Cross::start().await;
    for (status, kind) in [
        (400, "invalid_request_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (503, "overloaded_error"),
    ] {
        let refusal = Turn::error(status).header("retry-after", "7");
        cross.openai.push(refusal.header("retry-after-ms", "6500"));
        let response = cross.post(PATH, asking("q")).await;
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["retry-after"], "7");
        assert_eq!(response.headers()["retry-after-ms"], "6500");
        let body: Value = response.json().await.unwrap();
        assert_eq!(
            (&body["type"], &body["error"]["type"]),
            (&json!("error"), &json!(kind))
        );
        let said = body["error"]["message"].as_str().unwrap();
        assert!(said.contains(&format!("scripted {status}")), "{said}");
    }
    // In the middle of a stream it is its own event, and the last.
    cross
        .openai
        .push(Turn::text("x").failed("rate_limit_exceeded", "too much"));
    let mut body = asking("q");
    body["stream"] = json!(true);
    let stream = cross.post(PATH, body).await.text().await.unwrap();
    let last = stream.trim_end().rsplit("\n\n").next().unwrap();
    assert!(last.starts_with("event: error\n"), "{stream}");
    assert!(
        last.contains("too much") && last.contains("rate_limit_error"),
        "{last}"
    );
    cross.finish().await;
}

#[tokio::test]
async fn what_a_gpt_model_cannot_do_is_refused_by_name() {
    let cross = Cross::start().await;
    for (field, value, param) in [
        ("stop_sequences", json!(["x"]), "stop_sequences"),
        (
            "tools",
            json!([{ "type": "web_search_20250305", "name": "web_search" }]),
            "tools[0].type",
        ),
        (
            "tools",
            json!([{ "type": "bash_20250124", "name": "bash" }]),
            "tools[0].type",
        ),
        ("container", json!("c"), "container"),
        ("thread", json!({ "id": "t" }), "thread"),
        (
            "messages",
            json!([{ "role": "user", "content": [{ "type": "image", "source": { "type": "file", "file_id": "f" } }] }]),
            "messages[0].content[0].source.type",
        ),
        (
            "messages",
            json!([{ "role": "user", "content": "q" }, { "role": "assistant", "content": "Sure," }]),
            "messages[1]",
        ),
    ] {
        let mut body = asking("q");
        body[field] = value;
        let response = cross.post(PATH, body).await;
        assert_eq!(response.status(), 400, "{field}");
        let error: Value = response.json().await.unwrap();
        assert_eq!(error["error"]["type"], "invalid_request_error");
        let said = error["error"]["message"].as_str().unwrap();
        assert!(said.starts_with(&format!("{param}: ")), "{said}");
        // By this SDKs know that they have to send the history themselves.
        let code = (param == "thread").then_some("thread_unsupported_request");
        assert_eq!(error["error"]["details"]["error_code"].as_str(), code);
    }
    assert!(cross.openai.turns().is_empty(), "nothing went up");
    cross.finish().await;
}

#[tokio::test]
async fn a_model_of_the_own_vendor_takes_a_conversation_over() {
    let cross = Cross::start().await;
    cross
        .openai
        .push(Turn::new().thinking("Hm.").and_text("Four."));
    let mut body = asking("2 + 2?");
    body["thinking"] = json!({ "type": "adaptive" });
    let answer = object(cross.post(PATH, &body).await).await;
    assert_eq!(block_types(&answer), ["thinking", "text"]);

    body["model"] = json!(CLAUDE);
    let messages = body["messages"].as_array_mut().unwrap();
    messages.extend([
        json!({ "role": "assistant", "content": answer["content"] }),
        json!({ "role": "user", "content": "Sure?" }),
    ]);
    cross.anthropic.push(Turn::text("Yes."));
    let sure = object(cross.post(PATH, &body).await).await;
    assert_eq!(sure["content"][0]["text"], "Yes.");
    let seen = cross.anthropic.turn(1).await.json();
    assert_eq!(
        seen["messages"][1]["content"],
        json!([answer["content"][1]])
    );
    cross.finish().await;
}
