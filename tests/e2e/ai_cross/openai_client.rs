//! OpenAI Responses, answered by a Claude model.

use super::*;

const PATH: &str = "/openai/v1/responses";

fn tools() -> Value {
    json!([{ "type": "mcp", "server_label": "hello", "server_url": "mcp://hello",
             "require_approval": "never", "allowed_tools": ["echo"] }])
}

fn output_types(object: &Value) -> Vec<&str> {
    let output = object["output"].as_array().unwrap();
    output
        .iter()
        .map(|item| item["type"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn text_images_effort_usage_and_limits_mean_the_same() {
    let cross = Cross::start().await;
    let body = json!({
        "model": CLAUDE, "instructions": "Be brief.", "max_output_tokens": 5000, "temperature": 0.2,
        "reasoning": { "effort": "high", "summary": "auto" }, "store": false,
        "input": [{ "role": "user", "content": [
            { "type": "input_text", "text": "What is this?" },
            { "type": "input_image", "image_url": format!("data:image/png;base64,{PNG}"), "detail": "auto" },
        ]}],
    });
    let answers = cross
        .a_picture(
            &cross.anthropic,
            (PATH, lint::responses),
            &body,
            "temperature",
        )
        .await;
    for answer in &answers {
        assert_eq!(answer["status"], "completed");
        assert_eq!(answer["model"], CLAUDE);
        assert_eq!(output_types(answer), ["reasoning", "message"]);
        assert_eq!(answer["output"][0]["summary"][0]["text"], "Hm.");
        assert_eq!(answer["output"][1]["content"][0]["text"], "A picture.");
        let expected = json!({
            "input_tokens": 15, "input_tokens_details": { "cached_tokens": 3, "cache_write_tokens": 2 },
            "output_tokens": 7, "output_tokens_details": { "reasoning_tokens": 0 }, "total_tokens": 22,
        });
        assert_eq!(answer["usage"], expected);
    }
    let seen = cross.anthropic.turn(1).await;
    assert!(seen.header("anthropic-version").is_some());
    let sent = seen.json();
    assert_eq!(sent["max_tokens"], 5000);
    assert_eq!(
        sent["thinking"],
        json!({ "type": "adaptive", "display": "summarized" })
    );
    assert_eq!(sent["output_config"], json!({ "effort": "high" }));
    assert_eq!(
        sent["system"],
        json!([{ "type": "text", "text": "Be brief." }])
    );
    let image = json!({ "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": PNG } });
    assert_eq!(sent["messages"][0]["content"][1], image);
    cross.finish().await;
}

/// A tool in the first request, and another question afterwards; `next` makes the second request's body
/// of the first answer.
async fn two_requests(next: impl Fn(&Value) -> Value) {
    let cross = Cross::start().await;
    let first = json!({ "model": CLAUDE, "input": "Say it.", "tools": tools(), "stream": true,
                        "reasoning": { "effort": "low" } });
    cross.anthropic.push(
        Turn::new()
            .thinking("A tool.")
            .and_text("Wait.")
            .call("*echo", ARGUMENTS),
    );
    cross
        .anthropic
        .push(Turn::new().redacted_thinking().and_text("Said."));
    let answer = streamed(cross.post(PATH, &first).await, lint::responses).await;
    lint::policy(&first, &answer).unwrap();
    assert_eq!(
        output_types(&answer),
        [
            "mcp_list_tools",
            "reasoning",
            "message",
            "mcp_call",
            "reasoning",
            "message"
        ]
    );
    assert_eq!(answer["output"][3]["arguments"], ARGUMENTS);
    assert_eq!(cross.scenario.mcp.executions("echo"), 1);

    cross
        .anthropic
        .push(Turn::new().thinking("Easy.").and_text("Again."));
    let mut body = next(&answer);
    for field in ["model", "tools", "reasoning"] {
        body[field] = first[field].clone();
    }
    let again = object(cross.post(PATH, body).await).await;
    assert_eq!(output_types(&again), ["reasoning", "message"]);
    let turns = cross.anthropic.turns();
    turns[1].assert_continues(&turns[0]);
    turns[2].assert_continues(&turns[1]);
    assert!(
        turns[1].elements("messages")[1].contains(ARGUMENTS),
        "{:?}",
        turns[1].elements("messages")
    );
    cross.finish().await;
}

#[tokio::test]
async fn a_conversation_with_tools_goes_on_by_its_id() {
    two_requests(|answer| json!({ "input": "Again!", "previous_response_id": answer["id"] })).await;
}

#[tokio::test]
async fn a_conversation_with_tools_goes_on_with_what_the_client_returns() {
    two_requests(|answer| {
        let mut input = vec![json!({ "role": "user", "content": "Say it." })];
        input.extend(answer["output"].as_array().unwrap().clone());
        input.push(json!({ "role": "user", "content": "Again!" }));
        json!({ "input": input, "store": false })
    })
    .await;
}

#[tokio::test]
async fn the_clients_own_functions_are_called_and_answered() {
    let cross = Cross::start().await;
    let tools = json!([{ "type": "function", "name": "weather", "strict": false,
                         "parameters": { "type": "object", "properties": { "at": { "type": "string" } } } }]);
    cross
        .anthropic
        .push(Turn::call_only("weather", r#"{"at":"Rome"}"#).with_id("toolu_1"));
    let first = json!({ "model": CLAUDE, "input": "Weather?", "tools": tools, "tool_choice": "required",
                        "parallel_tool_calls": false, "stream": true });
    let answer = streamed(cross.post(PATH, &first).await, lint::responses).await;
    assert_eq!(answer["status"], "completed");
    let call = &answer["output"][0];
    assert_eq!(
        (&call["type"], &call["name"]),
        (&json!("function_call"), &json!("weather"))
    );
    assert_eq!(
        (&call["call_id"], &call["arguments"]),
        (&json!("toolu_1"), &json!(r#"{"at":"Rome"}"#))
    );
    let choice = json!({ "type": "any", "disable_parallel_tool_use": true });
    assert_eq!(cross.anthropic.turn(1).await.json()["tool_choice"], choice);

    cross.anthropic.push(Turn::text("Sunny."));
    let output = json!([{ "type": "input_text", "text": "sun" },
                        { "type": "input_image", "image_url": format!("data:image/png;base64,{PNG}") }]);
    let next = json!({ "model": CLAUDE, "tools": tools, "previous_response_id": answer["id"],
                       "input": [{ "type": "function_call_output", "call_id": "toolu_1", "output": output }] });
    let answer = object(cross.post(PATH, next).await).await;
    assert_eq!(answer["output"][0]["content"][0]["text"], "Sunny.");
    let seen = cross.anthropic.turn(2).await.json();
    let result = &seen["messages"][2]["content"][0];
    assert_eq!(result["tool_use_id"], "toolu_1");
    assert_eq!(result["content"][1]["source"]["data"], PNG);
    cross.finish().await;
}

#[tokio::test]
async fn each_end_of_a_turn_has_its_word() {
    let cross = Cross::start().await;
    for (turn, status, reason) in [
        (
            Turn::text("x").length(),
            "incomplete",
            Some("max_output_tokens"),
        ),
        (
            Turn::text("x").context_window_exceeded(),
            "incomplete",
            Some("max_output_tokens"),
        ),
        (
            Turn::new().refusal("no"),
            "incomplete",
            Some("content_filter"),
        ),
        (Turn::text("x").stop_sequence("x"), "completed", None),
    ] {
        cross.anthropic.push(turn);
        let asked = json!({ "model": CLAUDE, "input": "q", "stream": true });
        let answer = streamed(cross.post(PATH, asked).await, lint::responses).await;
        assert_eq!(answer["status"], status, "{answer}");
        assert_eq!(answer["incomplete_details"]["reason"].as_str(), reason);
    }
    cross
        .anthropic
        .push(Turn::text("x").failed("overloaded_error", "too much"));
    let asked = json!({ "model": CLAUDE, "input": "q", "stream": true });
    let answer = streamed(cross.post(PATH, asked).await, lint::responses).await;
    assert_eq!(answer["status"], "failed");
    assert_eq!(answer["error"]["code"], "server_error");
    let said = answer["error"]["message"].as_str().unwrap();
    assert!(said.contains("too much"), "{said}");
    cross.finish().await;
}

#[tokio::test]
async fn refusals_of_the_vendor_have_the_clients_shape() {
    let cross = Cross::start().await;
    for (status, shown, kind, code) in [
        (400, 400, "invalid_request_error", None),
        (403, 403, "invalid_request_error", None),
        (404, 404, "invalid_request_error", None),
        (429, 429, "rate_limit_error", Some("rate_limit_exceeded")),
        (500, 500, "server_error", Some("server_error")),
        (529, 503, "server_error", Some("server_error")),
    ] {
        let refusal = Turn::error(status).header("retry-after", "7");
        cross
            .anthropic
            .push(refusal.header("retry-after-ms", "6500"));
        let response = cross
            .post(PATH, json!({ "model": CLAUDE, "input": "q" }))
            .await;
        assert_eq!(response.status(), shown);
        assert_eq!(response.headers()["retry-after"], "7");
        assert_eq!(response.headers()["retry-after-ms"], "6500");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["error"]["type"], kind, "{body}");
        assert_eq!(body["error"]["code"].as_str(), code);
        let said = body["error"]["message"].as_str().unwrap();
        assert!(said.contains(&format!("scripted {status}")), "{said}");
    }
    cross.finish().await;
}

#[tokio::test]
async fn what_a_claude_model_cannot_do_is_refused_by_name() {
    let cross = Cross::start().await;
    for (fields, param) in [
        (
            json!({ "input": "q", "tools": [{ "type": "web_search" }] }),
            "tools[0].type",
        ),
        (
            json!({ "input": "q", "tools": [{ "type": "file_search" }] }),
            "tools[0].type",
        ),
        (json!({ "input": "q", "top_logprobs": 2 }), "top_logprobs"),
        (
            json!({ "input": "q", "include": ["message.output_text.logprobs"] }),
            "include[0]",
        ),
        (json!({ "input": "q", "prompt": { "id": "p" } }), "prompt"),
        (
            json!({ "input": [{ "role": "user", "content": [{ "type": "input_image", "file_id": "file_1" }] }] }),
            "input[0].content[0].file_id",
        ),
        (
            json!({ "input": [{ "role": "user", "content": [{ "type": "input_audio", "data": "" }] }] }),
            "input[0].content[0].type",
        ),
    ] {
        let mut body = fields.clone();
        body["model"] = json!(CLAUDE);
        let response = cross.post(PATH, body).await;
        assert_eq!(response.status(), 400, "{fields}");
        let error: Value = response.json().await.unwrap();
        assert_eq!(error["error"]["param"], param, "{error}");
        assert_eq!(error["error"]["type"], "invalid_request_error");
    }
    assert!(cross.anthropic.turns().is_empty(), "nothing went up");
    cross.finish().await;
}

#[tokio::test]
async fn a_conversation_may_change_the_model() {
    let cross = Cross::start().await;
    cross
        .anthropic
        .push(Turn::new().thinking("Hm.").and_text("One."));
    let first = json!({ "model": CLAUDE, "input": "Count.", "reasoning": { "effort": "low" } });
    let one = object(cross.post(PATH, first).await).await;
    cross
        .openai
        .push(Turn::new().thinking("Oh.").and_text("Two."));
    let next = |answer: &Value, model: &str| {
        json!({ "model": model, "input": "Go on.", "previous_response_id": answer["id"],
                "reasoning": { "effort": "low" } })
    };
    let two = object(cross.post(PATH, next(&one, GPT)).await).await;
    let seen = cross.openai.turn(1).await;
    assert_eq!(texts(&seen), ["Count.", "One.", "Go on."]);
    cross.anthropic.push(Turn::text("Three."));
    object(cross.post(PATH, next(&two, CLAUDE)).await).await;
    let turns = cross.anthropic.turns();
    turns[1].assert_continues(&turns[0]);
    cross.finish().await;
}

/// The texts of a Responses request; reasoning would be among them as nothing.
fn texts(seen: &Seen) -> Vec<String> {
    let items = seen.json();
    assert!(items["input"].is_array(), "{items}");
    let text = |item: &Value| {
        let content = &item["content"];
        let text = content.as_str().or(content[0]["text"].as_str());
        text.unwrap_or_default().to_owned()
    };
    items["input"]
        .as_array()
        .unwrap()
        .iter()
        .map(text)
        .collect()
}

#[tokio::test]
async fn a_model_of_the_own_vendor_takes_a_conversation_over() {
    let cross = Cross::start().await;
    cross
        .anthropic
        .push(Turn::new().thinking("Hm.").and_text("Four."));
    let question = json!({ "role": "user", "content": "2 + 2?" });
    let first = json!({ "model": CLAUDE, "input": [question], "store": false,
                        "reasoning": { "effort": "low" } });
    let answer = object(cross.post(PATH, first).await).await;
    assert_eq!(output_types(&answer), ["reasoning", "message"]);

    let again = json!({ "role": "user", "content": "Sure?" });
    let (thought, said) = (&answer["output"][0], &answer["output"][1]);
    let next = json!({ "model": GPT, "input": [question, thought, said, again], "store": false });
    cross.openai.push(Turn::text("Yes."));
    let sure = object(cross.post(PATH, next).await).await;
    assert_eq!(sure["output"][0]["content"][0]["text"], "Yes.");
    let seen = cross.openai.turn(1).await.json();
    assert_eq!(seen["input"], json!([question, said, again]));
    cross.finish().await;
}
