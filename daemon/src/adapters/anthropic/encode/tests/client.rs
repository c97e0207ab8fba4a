//! What a client makes of a stream.

use serde_json::Value;

/// The events of a stream, each by its name and its JSON.
pub(super) fn parsed(frames: &str) -> Vec<(String, Value)> {
    let frames = frames.split_terminator("\n\n").map(|frame| {
        let (name, data) = frame.split_once('\n').unwrap();
        let json: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        let name = name.strip_prefix("event: ").unwrap();
        assert_eq!(json["type"], name);
        (name.to_owned(), json)
    });
    frames.collect()
}

/// The message that the frames add up to, as the vendor's own libraries do it.
pub(super) fn added_up(frames: &str) -> Value {
    let mut message = Value::Null;
    let mut inputs = std::collections::HashMap::<u64, String>::new();
    for (name, event) in parsed(frames) {
        let index = event["index"].as_u64().unwrap_or_default();
        let at = usize::try_from(index).unwrap();
        match name.as_str() {
            "message_start" => {
                assert!(message.is_null(), "a second message_start");
                message = event["message"].clone();
            }
            "content_block_start" => {
                let content = message["content"].as_array_mut().unwrap();
                assert_eq!(content.len(), at, "a gap");
                content.push(event["content_block"].clone());
            }
            "content_block_delta" => {
                let block = &mut message["content"][at];
                let delta = &event["delta"];
                let mut append = |key: &str, more: &Value| {
                    let text = block[key].as_str().unwrap().to_owned() + more.as_str().unwrap();
                    block[key] = Value::from(text);
                };
                match delta["type"].as_str().unwrap() {
                    "text_delta" => append("text", &delta["text"]),
                    "thinking_delta" => append("thinking", &delta["thinking"]),
                    "signature_delta" => block["signature"] = delta["signature"].clone(),
                    "citations_delta" => {
                        let citations = block["citations"].as_array_mut().unwrap();
                        citations.push(delta["citation"].clone());
                    }
                    "input_json_delta" => {
                        let json = inputs.entry(index).or_default();
                        json.push_str(delta["partial_json"].as_str().unwrap());
                    }
                    other => panic!("{other}"),
                }
            }
            "content_block_stop" => {
                if let Some(json) = inputs.remove(&index) {
                    message["content"][at]["input"] = serde_json::from_str(&json).unwrap();
                }
            }
            "message_delta" => {
                for part in [&event["delta"], &event] {
                    for (key, value) in part.as_object().unwrap() {
                        match key.as_str() {
                            "type" | "delta" => {}
                            "usage" => {
                                value.as_object().unwrap().iter().for_each(|(key, value)| {
                                    assert!(!value.is_null());
                                    message["usage"][key] = value.clone();
                                })
                            }
                            key => message[key] = value.clone(),
                        }
                    }
                }
            }
            "message_stop" => {}
            other => panic!("{other}"),
        }
    }
    message
}
