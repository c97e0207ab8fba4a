//! Who may use the port and the socket.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use mcpbridge_tests::{Scenario, bins, client};
use serde_json::json;
use tokio::process::Command;

/// `program` run as the user nobody, who exists everywhere and owns nothing.
pub(crate) fn nobodys(program: &str) -> Command {
    let root = rustix::process::geteuid().is_root();
    let mut command = Command::new(if root { "runuser" } else { "sudo" });
    command.args(if root {
        &["-u", "nobody", "--"][..]
    } else {
        &["-n", "-u", "nobody", "--"]
    });
    command.arg(program).current_dir("/").stdin(Stdio::null());
    command
}

async fn as_nobody(program: &str, arguments: &[&str]) -> std::process::Output {
    nobodys(program)
        .args(arguments)
        .output()
        .await
        .expect("runuser (as root) or sudo is there")
}

#[tokio::test]
async fn another_user_cannot_call_through_the_port() {
    let scenario = Scenario::signed_in().await;
    let port = scenario.daemon.port();
    let before = scenario.mcp.requests();
    for path in ["/mcp/hello", "/", "/config/servers"] {
        let script = format!(
            "exec 3<>/dev/tcp/127.0.0.1/{port} || exit 9
             printf 'GET {path} HTTP/1.1\\r\\nHost: localhost:{port}\\r\\nConnection: close\\r\\n\\r\\n' >&3
             cat <&3"
        );
        let output = as_nobody("bash", &["-c", &script]).await;
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        let refused = answer.starts_with("HTTP/1.1 403");
        assert!(
            refused,
            "{path}: {answer} {}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(
            answer.contains("allowed_uids"),
            "names the setting: {answer}"
        );
    }
    assert_eq!(scenario.mcp.requests(), before);
    scenario.finish().await;
}

#[tokio::test]
async fn another_user_cannot_use_the_socket() {
    let scenario = Scenario::signed_in().await;
    // A copy, because the build directory may be private.
    let ctl = scenario.home.path().join("mcpbridgectl");
    fs::copy(bins::mcpbridgectl(), &ctl).unwrap();
    let socket = scenario.home.socket();
    let arguments = ["--socket", socket.to_str().unwrap(), "--json", "list"];
    // The copy can be run by nobody, so that what follows is no failed exec.
    let version = as_nobody(ctl.to_str().unwrap(), &["--version"]).await;
    assert!(version.status.success(), "{version:?}");
    let refused = async |why: &str| {
        let output = as_nobody(ctl.to_str().unwrap(), &arguments).await;
        assert_eq!(output.status.code(), Some(3), "{why}: {output:?}");
        assert!(output.stdout.is_empty(), "{why}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        for words in ["cannot connect to the daemon at", why] {
            assert!(said.contains(words), "{words}: {said}");
        }
    };
    refused("Permission denied").await;
    // Even when the file modes were loosened, the command refuses the daemon of another user.
    for path in [scenario.home.config_dir(), socket.clone()] {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let own = rustix::process::geteuid().as_raw();
    refused(&format!("it is served by uid {own}")).await;
    // And the daemon refuses a program that does not ask who it is: curl gets no HTTP/2 from it.
    let call = [
        "--silent",
        "--max-time",
        "10",
        "--http2-prior-knowledge",
        "--unix-socket",
        socket.to_str().unwrap(),
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_version}",
        "http://localhost/",
    ];
    let ours = Command::new("curl").args(call).output().await.unwrap();
    assert_eq!(ours.stdout, b"2", "{ours:?}");
    let theirs = as_nobody("curl", &call).await;
    assert!(!theirs.status.success(), "{theirs:?}");
    assert_eq!(theirs.stdout, b"0", "{theirs:?}");
    // curl's exit code depends on how far it got; the log shows that it reached the daemon.
    let said = scenario.daemon.output();
    let logged = said.matches("refused a control connection of another user");
    assert_eq!(logged.count(), 2, "of mcpbridgectl and of curl: {said}");
    scenario.finish().await;
}

#[tokio::test]
async fn files_and_socket_are_private() {
    let scenario = Scenario::signed_in().await;
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let directory = scenario.home.config_dir();
    assert_eq!(mode(&directory), 0o700);
    for entry in fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
        }
    }
    scenario.finish().await;
}

#[tokio::test]
async fn a_foreign_host_or_origin_is_refused() {
    let scenario = Scenario::signed_in().await;
    let before = scenario.mcp.requests();
    let mcp = scenario.client("hello");
    let message = mcp.message("tools/call", mcp.call_params("echo", json!({})));
    let port = scenario.daemon.port();
    let hosts = [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        format!("localhost.evil.example:{port}"),
        format!("127.0.0.1.evil.example:{port}"),
    ];
    for host in hosts {
        let answer = mcp
            .prepare(&message)
            .header("host", &host)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), 403, "Host: {host}");
    }
    let origins = [
        "https://evil.example".to_owned(),
        "null".to_owned(),
        format!("http://localhost.evil.example:{port}"),
        "http://localhost:1".to_owned(),
    ];
    for origin in origins {
        let answer = mcp
            .prepare(&message)
            .header("origin", &origin)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), 403, "Origin: {origin}");
        let url = format!("{}/config/servers", scenario.daemon.base_url());
        let answer = client::http()
            .get(url)
            .header("origin", &origin)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), 403, "Origin: {origin}");
    }
    assert_eq!(scenario.mcp.requests(), before);
    let own = format!("http://localhost:{port}");
    let answer = mcp
        .prepare(&message)
        .header("origin", own)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    scenario.finish().await;
}

#[tokio::test]
async fn every_loopback_name_is_served() {
    let scenario = Scenario::signed_in().await;
    let port = scenario.daemon.port();
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        let url = format!("http://{host}:{port}/mcp/hello");
        let client = mcpbridge_tests::McpClient::modern(&url);
        let answer = client.call("hello_world", json!({ "name": host })).await;
        answer.assert_text(&format!("Hello, {host}!"));
    }
    scenario.finish().await;
}

#[tokio::test]
async fn nothing_secret_is_in_the_command_line_or_environment_of_the_daemon() {
    let scenario = Scenario::signed_in().await;
    let pid = scenario.daemon.pid().as_raw_nonzero();
    for file in ["cmdline", "environ"] {
        let content = fs::read(format!("/proc/{pid}/{file}")).unwrap();
        let content = String::from_utf8_lossy(&content).into_owned();
        for (secret, kind) in scenario.secrets.all() {
            assert!(!content.contains(&secret), "a {kind} in {file}");
        }
    }
    scenario.finish().await;
}

#[tokio::test]
async fn debug_logs_show_bodies_and_no_secret() {
    let scenario = Scenario::builder()
        .daemon(&["--log-level", "debug"])
        .start()
        .await;
    scenario.add("hello").await;
    let name = json!({ "name": "visible-in-the-log" });
    scenario
        .call("hello", "hello_world", name)
        .await
        .assert_text("Hello, visible-in-the-log!");
    scenario.ctl.run(&["refresh", "hello"]).await.success();
    scenario.authz.expire_access_tokens();
    scenario.call("hello", "echo", json!({})).await;
    scenario.ctl.run(&["logout", "hello"]).await.success();
    let output = scenario.daemon.output();
    assert!(output.contains("visible-in-the-log"), "{output}");
    scenario.finish().await;
}

#[tokio::test]
async fn trace_logs_of_every_dependency_show_no_secret() {
    let scenario = Scenario::builder()
        .daemon(&["--log-level", "trace"])
        .start()
        .await;
    scenario.add("hello").await;
    scenario.call("hello", "echo", json!({})).await;
    scenario.ctl.run(&["refresh", "hello"]).await.success();
    scenario.call("hello", "echo", json!({})).await;
    scenario.ctl.run(&["remove", "hello", "-y"]).await.success();
    scenario.finish().await;
}
