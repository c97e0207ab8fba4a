//! What the model is sent, from one request of a conversation to the next.

use super::*;

#[test]
fn images_of_results_reach_the_model_once_all_calls_of_the_turn_are_answered() {
    let dialog = dialog(&body("[]", ""), Found::default());
    let turn = calls(
        "",
        &[("call_1", "s__echo", "{}"), ("call_2", "s__drop", "{}")],
    );
    let Step::Results(results) = answered(&*dialog, &turn, "r") else {
        panic!("results");
    };
    // One after the other, as calls run that must not overlap.
    let mut steps = vec![Step::Turn(turn)];
    steps.extend(
        results
            .into_iter()
            .map(|result| Step::Results(vec![result])),
    );
    let last = says("Seen.");
    steps.push(Step::Turn(last));
    let second: Value = serde_json::from_str(&dialog.body(&steps).unwrap()).unwrap();
    let messages = second["messages"].as_array().unwrap();
    let roles: Vec<_> = messages.iter().map(|one| one["role"].as_str()).collect();
    let expected = ["assistant", "tool", "tool", "user", "assistant"];
    assert_eq!(roles, expected.map(Some));
    let image =
        json!({ "type": "image_url", "image_url": { "url": "data:image/png;base64,aGk=" } });
    let text = |name: &str| {
        let text = format!("Images in the result of {name}:");
        json!({ "type": "text", "text": text })
    };
    let parts = json!([
        text("s__echo (call_1)"),
        image,
        text("s__drop (call_2)"),
        image
    ]);
    assert_eq!(messages[3]["content"], parts);
    let text = json!([{ "type": "text", "text": "no image" }]);
    let plain = with_content(&*dialog, &calls("", &[("call_3", "s__echo", "{}")]), &text);
    let body = dialog.body(&[plain]).unwrap();
    assert!(!body.contains("image_url"), "{body}");
}

/// The messages of a body, as they are written.
fn messages(body: &str) -> String {
    let begin = body.find(r#""messages":["#).unwrap();
    let end = body.find(r#","tools":"#).unwrap();
    body[begin..end - 1].to_owned()
}

/// Vendors refuse anything else between a call and its answer.
fn assert_answers_follow_calls(body: &str) {
    let body: Value = serde_json::from_str(body).unwrap();
    let messages = body["messages"].as_array().unwrap();
    for pair in messages.windows(2) {
        let [before, role] = [&pair[0]["role"], &pair[1]["role"]];
        let follows = before == "tool" || pair[0]["tool_calls"].is_array();
        assert!(role != "tool" || follows, "{body}");
    }
}

fn found(kept: Vec<Kept>) -> Found {
    let mut found = Found::default();
    for kept in kept {
        found.fragments.extend(kept.fragments);
        found.pins.extend(kept.pins);
    }
    found
}

#[test]
fn what_the_model_was_sent_begins_each_later_request_byte_for_byte() {
    let mut visible =
        vec![json!({ "role": "user", "content": [{ "type": "text", "text": "q 1.0" }] })];
    let (mut kept, mut before) = (Vec::new(), r#""messages":["#.to_owned());
    for number in 0..5 {
        let text = Value::from(visible.clone()).to_string();
        let dialog = dialog(&body(&text, ""), found(kept.clone()));
        let is_known = dialog.table().listings()[0].known;
        assert_eq!(is_known, number > 0, "listed once");
        let first = dialog.body(&[]).unwrap();
        assert!(messages(&first).starts_with(&before), "{number}: {first}");
        assert_answers_follow_calls(&first);
        // A call of a tool; every other time one of the client's beside it.
        let id = format!("call_{number}");
        let own = format!("call_own{number}");
        let mut asked = vec![(id.as_str(), "s__echo", "{}")];
        let is_mixed = number % 2 == 1;
        if is_mixed {
            asked.push((&own, "mine", r#"{"a":1}"#));
        }
        let turn = calls("Let me see.", &asked);
        let mut steps = vec![Step::Turn(turn.clone()), answered(&*dialog, &turn, "r")];
        if !is_mixed {
            steps.push(Step::Turn(says("It is so.")));
        }
        // Where the client has to answer first, nothing was sent after the turn.
        let sent = if is_mixed { &steps[..1] } else { &steps };
        before = messages(&dialog.body(sent).unwrap());
        let (object, _) = shown(&*dialog, &steps, Ending::Model(End::Complete));
        let (record, new) = dialog.keep("chatcmpl-mb1", &steps, &object.to_string());
        assert!(record.is_none());
        kept.push(new);
        // The client writes the message anew.
        let message = &object["choices"][0]["message"];
        let mut again = json!({ "content": message["content"], "role": "assistant" });
        if is_mixed {
            again["tool_calls"] = message["tool_calls"].clone();
            visible.push(again);
            visible.push(json!({ "role": "tool", "tool_call_id": own, "content": "mine" }));
        } else {
            visible.push(again);
            visible.push(json!({ "role": "user", "content": "and?" }));
        }
    }
    // Other words before it are another conversation.
    visible[0] = json!({ "role": "user", "content": "else" });
    let text = Value::from(visible.clone()).to_string();
    let other = dialog(&body(&text, ""), found(kept));
    assert_eq!(
        messages(&other.body(&[]).unwrap())
            .matches("s__echo")
            .count(),
        0
    );
}
