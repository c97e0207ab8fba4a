use std::io::Write;
use std::time::Duration;

use url::Url;

use super::*;
use crate::error::{Classify, ErrorKind};
use crate::policy::Call;
use crate::types::{Caller, Channel, Effect, Process};

fn server(url: &str) -> ServerConfig {
    ServerConfig::new(Url::parse(url).unwrap())
}

fn registry() -> (tempfile::TempDir, Registry, ServerName) {
    let temp = tempfile::tempdir().unwrap();
    let dir = ConfigDir::new(temp.path());
    let registry = Registry::new(dir, &Config::default());
    (temp, registry, "stripe".parse().unwrap())
}

#[tokio::test]
async fn the_same_server_twice_is_no_error_and_a_different_one_is() {
    let (_dir, registry, name) = registry();
    let wanted = server("https://mcp.stripe.com");
    assert_eq!(
        registry.add(&name, wanted.clone()).await.unwrap(),
        Added::New
    );
    assert_eq!(
        registry.add(&name, wanted.clone()).await.unwrap(),
        Added::AlreadyPresent
    );
    let other = registry
        .add(&name, server("https://mcp.example.com"))
        .await
        .unwrap_err();
    assert_eq!(other.kind(), ErrorKind::Conflict);
    assert_eq!(registry.get("stripe").unwrap().config, wanted);
}

fn rule(json: &str) -> RuleKey {
    RuleKey::Rule(Box::new(serde_json::from_str(json).unwrap()))
}

fn write(dir: &tempfile::TempDir, text: &str) {
    let path = ConfigDir::new(dir.path()).config_file();
    crate::paths::write_atomic(&path, text.as_bytes()).unwrap();
}

fn effect(registry: &Registry, tool: &str) -> Effect {
    let call = Call {
        tool,
        arguments: None,
        annotations: None,
        caller: &Caller::new(Channel::Http, Process::default()),
    };
    let server = registry.get("stripe").unwrap();
    server.policy.evaluate(&call).effect
}

async fn with_server() -> (tempfile::TempDir, Registry, ServerName) {
    let (dir, registry, name) = registry();
    let added = registry.add(&name, server("https://mcp.stripe.com")).await;
    assert_eq!(added.unwrap(), Added::New);
    (dir, registry, name)
}

#[tokio::test]
async fn a_rule_is_in_the_file_before_it_counts_and_goes_with_unset() {
    let (dir, registry, name) = with_server().await;
    let lists = r#"{"tools":"list_*","effect":"allow"}"#;
    let pays = r#"{"tools":"pay","arguments":{"/amount":{"max":1000.0}},"effect":"allow"}"#;
    let mut change = registry.propose(&name).await.unwrap();
    change.set(rule(lists), Effect::Allow);
    change.set(rule(pays), Effect::Allow);
    assert!(change.is_loosening());
    registry.apply(change).await.unwrap();
    assert_eq!(effect(&registry, "list_all"), Effect::Allow);
    assert_eq!(effect(&registry, "pay"), Effect::Ask);
    let reloaded = config::load(&ConfigDir::new(dir.path())).unwrap();
    let policy = &reloaded.servers[&name].policy;
    assert_eq!(policy.tools["list_*"], Effect::Allow);
    assert_eq!(policy.rules, [serde_json::from_str(pays).unwrap()]);

    let mut change = registry.propose(&name).await.unwrap();
    change.set(rule(pays), Effect::Deny);
    change.unset(&rule(lists)).unwrap();
    assert!(!change.is_loosening());
    let again = change.unset(&rule(lists)).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::NotFound);
    registry.apply(change).await.unwrap();
    assert_eq!(effect(&registry, "list_all"), Effect::Ask);
    let policy = &registry.get("stripe").unwrap().config.policy;
    assert_eq!(policy.rules.len(), 1);
    assert_eq!(policy.rules[0].effect, Effect::Deny);
}

#[tokio::test]
async fn a_command_keeps_the_rules_that_were_written_by_hand_since() {
    let (dir, registry, name) = with_server().await;
    let file = r#"{"version": "1.0", "servers": {"stripe": {"url": "https://mcp.stripe.com",
        "policy": {"tools": {"by_hand": "deny"}}}}}"#;
    write(&dir, file);
    let mut change = registry.propose(&name).await.unwrap();
    change.set(RuleKey::Default, Effect::Deny);
    // And once more while somebody thinks about it.
    write(&dir, &file.replace("by_hand", "by_hand_too"));
    let crossed = registry.apply(change).await.unwrap_err();
    assert!(matches!(crossed, RegistryError::Crossed), "{crossed}");
    let mut change = registry.propose(&name).await.unwrap();
    change.set(RuleKey::Default, Effect::Deny);
    registry.apply(change).await.unwrap();
    let policy = &registry.get("stripe").unwrap().config.policy;
    assert_eq!(policy.default, Effect::Deny);
    assert_eq!(policy.tools["by_hand_too"], Effect::Deny);
}

#[tokio::test]
async fn rules_changed_by_hand_are_told_from_those_changed_by_command() {
    let (dir, registry, name) = with_server().await;
    assert!(registry.take_hand_edits().is_empty(), "added by command");
    let file = |policy: &str| {
        let server = format!(r#"{{"url": "https://mcp.stripe.com", "policy": {policy}}}"#);
        format!(r#"{{"version": "1.0", "servers": {{"stripe": {server}}}}}"#)
    };
    write(&dir, &file(r#"{"tools": {"a": "deny"}}"#));
    registry.reload().await.unwrap();
    write(&dir, &file(r#"{"default": "allow"}"#));
    let mut change = registry.propose(&name).await.unwrap();
    let edits = registry.take_hand_edits();
    assert_eq!(edits.len(), 1, "two changes are one");
    let edit = edits.first().unwrap();
    assert_eq!(edit.before.as_ref().unwrap().config.policy.tools.len(), 0);
    let after = &edit.after.as_ref().unwrap().config.policy;
    assert_eq!(after.default, Effect::Allow);
    assert!(edit.is_loosening());
    change.set(RuleKey::Default, Effect::Deny);
    registry.apply(change).await.unwrap();
    assert!(registry.take_hand_edits().is_empty());
    // There and back is no change, and neither is another setting.
    write(&dir, &file(r#"{"default": "ask"}"#));
    registry.reload().await.unwrap();
    write(&dir, &file(r#"{"default": "deny"}, "trusted": false"#));
    registry.reload().await.unwrap();
    assert!(registry.take_hand_edits().is_empty());
    write(&dir, r#"{"version": "1.0"}"#);
    registry.reload().await.unwrap();
    let gone = registry.take_hand_edits();
    assert!(gone.first().unwrap().after.is_none());
}

#[tokio::test]
async fn a_file_that_is_not_valid_is_told_until_it_is() {
    let (dir, registry, _name) = with_server().await;
    let mut file = registry.file();
    let valid = std::fs::read_to_string(ConfigDir::new(dir.path()).config_file()).unwrap();
    write(&dir, "{\n  \"version\": \"1.0\",\n  \"servrs\": {}\n}");
    assert!(registry.reload().await.is_err());
    let rejected = file.borrow_and_update().rejected.clone().unwrap();
    assert!(
        rejected.reason.contains("config.json:3:10: unknown key"),
        "{}",
        rejected.reason
    );
    assert!(
        rejected.remedy.contains("\"servers\""),
        "{}",
        rejected.remedy
    );
    assert!(registry.get("stripe").is_ok());
    assert!(registry.reload().await.is_err());
    assert!(
        !file.has_changed().unwrap(),
        "the same once more is no news"
    );
    write(&dir, &valid);
    registry.reload().await.unwrap();
    assert_eq!(file.borrow_and_update().rejected, None);
}

#[tokio::test]
async fn a_file_that_is_gone_for_a_moment_takes_no_server_along() {
    let (dir, registry, name) = with_server().await;
    let path = ConfigDir::new(dir.path()).config_file();
    let kept = path.with_extension("json~");
    std::fs::rename(&path, &kept).unwrap();
    assert!(registry.reload().await.is_err());
    assert!(registry.get("stripe").is_ok());
    let rejected = registry.file().borrow().rejected.clone().unwrap();
    assert!(rejected.reason.ends_with("config.json is gone"));
    assert!(registry.propose(&name).await.is_err());
    assert!(!path.exists(), "no command writes a new one");
    std::fs::rename(&kept, &path).unwrap();
    registry.reload().await.unwrap();
    assert_eq!(registry.file().borrow().rejected, None);
}

#[tokio::test]
async fn settings_that_count_after_a_restart_are_named() {
    let (dir, registry, _name) = with_server().await;
    write(
        &dir,
        r#"{"version": "1.0", "proxy_port": 4, "approvals": {"hold_seconds": 1}}"#,
    );
    registry.reload().await.unwrap();
    assert_eq!(
        registry.file().borrow().restart,
        ["proxy_port", "approvals"]
    );
}

#[tokio::test]
async fn a_file_that_says_what_it_said_wakes_nobody() {
    let (dir, registry, name) = with_server().await;
    let mut published = registry.subscribe();
    published.borrow_and_update();
    let path = ConfigDir::new(dir.path()).config_file();
    let text = std::fs::read_to_string(&path).unwrap();
    write(&dir, &text.replace("  ", "\t"));
    registry.reload().await.unwrap();
    assert!(!published.has_changed().unwrap());
    let mut change = registry.propose(&name).await.unwrap();
    change.set(RuleKey::Default, Effect::Deny);
    registry.apply(change).await.unwrap();
    assert!(published.has_changed().unwrap());
}

#[tokio::test]
async fn an_edit_is_noticed_and_reading_and_other_files_are_not() {
    let (dir, registry, _name) = with_server().await;
    let mut watch = registry.watch_file().unwrap();
    let path = ConfigDir::new(dir.path()).config_file();
    write(&dir, "{}");
    assert!(watch.touched().await, "replaced");
    let mut in_place = std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap();
    in_place.write_all(b"\n").unwrap();
    assert!(watch.touched().await, "written in place");
    std::fs::read(&path).unwrap();
    crate::paths::write_atomic(&dir.path().join("state.db"), b"x").unwrap();
    let quiet = tokio::time::timeout(Duration::from_millis(300), watch.touched());
    assert!(quiet.await.is_err());
}

#[tokio::test]
async fn a_broken_file_keeps_the_servers_that_were_read_before() {
    let (dir, registry, name) = registry();
    registry
        .add(&name, server("https://mcp.stripe.com"))
        .await
        .unwrap();
    let path = ConfigDir::new(dir.path()).config_file();
    crate::paths::write_atomic(&path, b"{ not json").unwrap();
    assert!(registry.propose(&name).await.is_err());
    assert_eq!(
        registry.get("stripe").unwrap().config.policy.default,
        Effect::Ask
    );
    assert_eq!(std::fs::read(&path).unwrap(), b"{ not json");
}

#[tokio::test]
async fn a_rule_that_cannot_be_used_in_the_file_keeps_it_from_being_changed() {
    let (dir, registry, name) = registry();
    let path = ConfigDir::new(dir.path()).config_file();
    let file = br#"{"version": "1.0", "servers": {"x": {"url": "https://x.example/",
        "policy": {"tools": {"[a-z]": "allow"}}}}}"#;
    crate::paths::write_atomic(&path, file).unwrap();
    let error = registry
        .add(&name, server("https://mcp.stripe.com"))
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::Config(_)), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), file);
    assert!(registry.get("stripe").is_err());
}
