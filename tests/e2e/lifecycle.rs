//! Starting, stopping, and the faults of the machine the daemon runs on.

use std::fs;
use std::net::TcpListener;

use mcpbridge_tests::daemon::Home;
use mcpbridge_tests::{Ctl, Scenario, TestDaemon, wait};
use serde_json::json;

/// Starts a daemon that must not come up; what it said.
async fn refused(daemon: &mut TestDaemon) -> String {
    daemon.spawn();
    let status = daemon.wait().await;
    assert!(!status.success(), "{}", daemon.output());
    daemon.output()
}

#[tokio::test]
async fn a_second_daemon_is_refused_and_told_who_runs() {
    let scenario = Scenario::start().await;
    scenario.add("hello").await;
    let mut second = TestDaemon::prepare(&scenario.home, &[]).await;
    let said = refused(&mut second).await;
    let pid = scenario.daemon.pid().as_raw_nonzero().to_string();
    assert!(said.contains(&pid), "{said}");
    let answer = scenario
        .call("hello", "hello_world", json!({ "name": "1" }))
        .await;
    answer.assert_text("Hello, 1!");
    scenario.finish().await;
}

#[tokio::test]
async fn what_a_killed_daemon_left_behind_does_not_stop_the_next() {
    let mut scenario = Scenario::start().await;
    scenario.add("hello").await;
    scenario.daemon.kill().await;
    assert!(scenario.home.socket().exists(), "a stale socket");
    scenario.daemon.launch().await;
    let answer = scenario
        .call("hello", "hello_world", json!({ "name": "2" }))
        .await;
    answer.assert_text("Hello, 2!");
    scenario.finish().await;
}

#[tokio::test]
async fn a_port_in_use_is_named_with_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let home = Home::create();
    let mut daemon = TestDaemon::prepare(&home, &[]).await;
    daemon.use_port(port);
    let said = refused(&mut daemon).await;
    assert!(
        said.contains(&port.to_string()) && said.contains("--port"),
        "{said}"
    );
    assert!(!home.socket().exists());
}

#[tokio::test]
async fn start_detaches_and_stop_ends_it() {
    let home = Home::create();
    let ctl = Ctl::new(&home);
    ctl.run(&["init", "--key-store", "key-file"])
        .await
        .success();
    ctl.run(&["status"]).await.expect_code(3);
    ctl.run(&["start", "--port", "0"]).await.success();
    let status = ctl.run(&["--json", "status"]).await.success().json();
    assert_eq!(status["key_store"], "key-file");
    let again = ctl.run(&["start", "--port", "0"]).await;
    let pid = status["pid"].as_u64().unwrap().to_string();
    assert!(
        again.stderr.contains(&pid) || again.stdout.contains(&pid),
        "{again:?}"
    );
    ctl.run(&["restart", "--port", "0"]).await.success();
    let after = ctl.run(&["--json", "status"]).await.success().json();
    assert_ne!(after["pid"], status["pid"]);
    let logs = ctl.run(&["logs"]).await.success();
    assert!(!logs.stdout.is_empty());
    ctl.run(&["stop"]).await.success();
    ctl.run(&["status"]).await.expect_code(3);
    let socket = home.socket();
    wait::until_true("the socket to go", || !socket.exists()).await;
}

#[tokio::test]
async fn commands_say_how_to_start_a_daemon_that_is_not_running() {
    let home = Home::create();
    let ctl = Ctl::new(&home);
    for arguments in [
        &["list"][..],
        &["status"],
        &["add", "x", "http://127.0.0.1:9"],
        &["tools", "x"],
    ] {
        let output = ctl.run(arguments).await.expect_code(3);
        assert!(output.stderr.contains(" start`"), "{}", output.stderr);
    }
}

#[tokio::test]
async fn an_invalid_configuration_stops_the_daemon_and_is_not_touched() {
    let broken = [
        (
            "{ \"version\": \"1.0\",\n  \"proxy_prot\": 3000 }",
            "proxy_port",
        ),
        ("{ \"version\": \"1.0\",\n  \"servers\": ", "config.json"),
        ("not json", "config.json"),
        ("{ \"version\": \"9.0\" }", "9.0"),
        (
            "{ \"version\": \"1.0\", \"servers\": { \"a\": { \"url\": \"ftp://x\" } } }",
            "servers.a.url",
        ),
    ];
    for (text, word) in broken {
        let home = Home::create();
        let mut daemon = TestDaemon::prepare(&home, &[]).await;
        fs::write(home.config_file(), text).unwrap();
        let said = refused(&mut daemon).await;
        assert!(
            said.contains(word) && said.contains("config.json"),
            "{word}: {said}"
        );
        assert_eq!(fs::read_to_string(home.config_file()).unwrap(), text);
    }
}

#[tokio::test]
async fn what_a_person_wrote_into_the_configuration_is_kept() {
    let mut scenario = Scenario::start().await;
    scenario.add("hello").await;
    let before = fs::read_to_string(scenario.home.config_file()).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&before).unwrap();
    config["max_request_bytes"] = json!(1_000_000);
    scenario.daemon.stop().await;
    fs::write(scenario.home.config_file(), config.to_string()).unwrap();
    scenario.daemon.launch().await;
    scenario
        .ctl
        .run(&["policy", "set", "hello", "echo", "deny"])
        .await
        .success();
    let after = fs::read_to_string(scenario.home.config_file()).unwrap();
    let after: serde_json::Value = serde_json::from_str(&after).unwrap();
    assert_eq!(after["max_request_bytes"], 1_000_000);
    assert_eq!(after["servers"]["hello"]["policy"]["tools"]["echo"], "deny");
    scenario.finish().await;
}

#[tokio::test]
async fn stopping_lets_a_running_call_finish() {
    let mut scenario = Scenario::start().await;
    scenario.add("hello").await;
    let gate = scenario.mcp.hold("echo");
    let client = scenario.client("hello");
    let calling = tokio::spawn(async move { client.call("echo", json!({ "a": 1 })).await });
    gate.reached().await;
    scenario.daemon.signal(rustix::process::Signal::TERM);
    // The port closes first; then the call is let go.
    let port = scenario.daemon.port();
    wait::until("the port to close", wait::PATIENCE, async || {
        tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_err()
            .then_some(())
    })
    .await;
    gate.release();
    let answer = calling.await.unwrap();
    answer.assert_text("{\"a\":1}");
    assert!(scenario.daemon.wait().await.success());
    scenario.finish().await;
}

#[tokio::test]
async fn servers_and_logins_survive_a_restart() {
    let mut scenario = Scenario::start().await;
    scenario.add("hello").await;
    scenario.daemon.restart().await;
    let answer = scenario
        .call("hello", "hello_world", json!({ "name": "3" }))
        .await;
    answer.assert_text("Hello, 3!");
    let authz = &scenario.authz;
    assert_eq!((authz.registrations(), authz.refreshes()), (1, 0));
    scenario.finish().await;
}
