//! Hostile and broken peers: a clear error, and what worked before works on.

mod answers;
mod discovery;

use mcpbridge_tests::authz::Endpoint;
use mcpbridge_tests::ctl::{Output, Running};
use mcpbridge_tests::{AsOptions, FakeAs, FakeMcp, Fault, Scenario};
use serde_json::json;

/// A working server to lose, and another one that misbehaves.
struct Story {
    scenario: Scenario,
    evil: FakeAs,
    server: FakeMcp,
}

impl Story {
    async fn begin() -> Self {
        let scenario = Scenario::start().await;
        scenario.add("kept").await;
        let (evil, server) = scenario.another(AsOptions::default()).await;
        Self {
            scenario,
            evil,
            server,
        }
    }

    fn adding(&self) -> Running {
        let url = self.server.url();
        let arguments = ["add", "evil", &url, "--no-browser", "--policy", "allow"];
        self.scenario.ctl.spawn(&arguments)
    }

    /// `add` fails with `code` before anybody is asked to open a URL, and says each of `words`.
    async fn add_is_refused(&self, code: i32, words: &[&str]) {
        let mut adding = self.adding();
        adding.close_input();
        let output = adding.wait().await.expect_code(code);
        let asked = output.stdout.lines().any(|line| line.starts_with("http"));
        assert!(!asked, "{words:?}: {}", output.stdout);
        says(&output, words);
    }

    async fn end(self) {
        let scenario = self.scenario;
        let answer = scenario
            .call("kept", "hello_world", json!({ "name": "A" }))
            .await;
        answer.assert_text("Hello, A!");
        assert_eq!(scenario.show("kept").await["state"], "active");
        scenario.finish().await;
    }
}

/// The error and its own hints say each of `words`. What came before it (whom the command asked) and
/// the hint of every failed `add` do not count.
#[track_caller]
fn says(output: &Output, words: &[&str]) {
    assert!(!words.is_empty(), "nothing is asserted");
    let lines = output.stderr.lines();
    let error: String = lines
        .skip_while(|line| !line.starts_with("error:"))
        .filter(|line| !line.contains("stays configured"))
        .collect::<Vec<_>>()
        .join("\n");
    for word in words {
        assert!(
            error.contains(word),
            "expected {word:?} in the error of:\n{}",
            output.stderr
        );
    }
}
