//! Answers that are kept: to be read again, and to be gone.

use mcpbridge_tests::ai::Turn;
use reqwest::Method;
use serde_json::json;

use super::{answer, get, refused, request, world};
use crate::ai_pass::sent;

#[tokio::test]
async fn an_answer_can_be_read_listed_and_deleted() {
    let mut world = world("allow").await;
    world.openai.push(Turn::new().call("*echo", r#"{"n":1.0}"#));
    world.openai.push(Turn::text("Done."));
    let mut body = request(&world, &json!("never"), json!("hi"));
    body["stream"] = json!(true);
    let done = answer(&world, &body).await;
    let path = format!("/openai/v1/responses/{}", done["id"].as_str().unwrap());
    world.scenario.daemon.restart().await;

    assert_eq!(get(&world, Method::GET, &path).await, (200, done.clone()));
    let (status, items) = get(
        &world,
        Method::GET,
        &format!("{path}/input_items?order=asc"),
    )
    .await;
    assert_eq!((status, &items["data"][0]["content"]), (200, &json!("hi")));
    let (status, error) = get(
        &world,
        Method::GET,
        &format!("{path}?stream=true&starting_after=3"),
    )
    .await;
    assert_eq!((status, &error["error"]["param"]), (400, &json!("stream")));
    let (status, error) = get(&world, Method::POST, &format!("{path}/cancel")).await;
    assert_eq!(status, 400, "{error}");

    let (status, deleted) = get(&world, Method::DELETE, &path).await;
    assert_eq!((status, &deleted["deleted"]), (200, &json!(true)));
    assert_eq!(get(&world, Method::GET, &path).await.0, 404);
    body["previous_response_id"] = done["id"].clone();
    let (status, error) = refused(&world, &body).await;
    assert_eq!(
        (status, &error["code"]),
        (400, &json!("previous_response_not_found"))
    );
    world.scenario.finish().await;
}

#[tokio::test]
async fn an_answer_that_is_not_to_be_kept_is_not() {
    let world = world("allow").await;
    world.openai.push(Turn::text("Done."));
    let mut body = request(&world, &json!("never"), json!("hi"));
    body["store"] = json!(false);
    let done = answer(&world, &body).await;
    let path = format!("/openai/v1/responses/{}", done["id"].as_str().unwrap());
    assert_eq!(get(&world, Method::GET, &path).await.0, 404);
    world.scenario.finish().await;
}

#[tokio::test]
async fn the_vendors_own_answers_are_asked_of_the_vendor() {
    let world = world("allow").await;
    let request = world.request(Method::DELETE, "/openai/v1/responses/resp_68aa");
    let response = sent(request.bearer_auth(world.openai.key())).await;
    assert_eq!(response.headers()["x-echo-path"], "/v1/responses/resp_68aa");
    let seen = world.openai.requests().pop().unwrap();
    assert_eq!(seen.path, "/v1/responses/resp_68aa");
    world.scenario.finish().await;
}
