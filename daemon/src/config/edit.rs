//! Changes that commands make to `config.json`.
//!
//! The file is the person's. An edit changes the text of one entry and leaves everything else as it was
//! written. A file that is not valid is not edited.
//! The caller makes sure that only one edit runs at a time.

use std::fs;

use serde::Serialize;
use serde_json::json;
use serde_json::value::to_raw_value;

use super::load::{parse, read};
use super::rules::PolicyConfig;
use super::schema::{Config, ServerConfig, VERSION};
use super::{ConfigError, text};
use crate::paths::{ConfigDir, write_atomic};
use crate::types::ServerName;

/// Writes a file with the defaults a person is most likely to change. False when there is one
/// already, which stays as it is.
///
/// # Errors
/// The file cannot be written.
pub fn write_default(dir: &ConfigDir) -> Result<bool, ConfigError> {
    if read(&dir.config_file())?.is_some() {
        return Ok(false);
    }
    save(dir, Some(default_text()))?;
    Ok(true)
}

/// Adds a server, or replaces the settings of the one with this name.
///
/// # Errors
/// The server breaks a rule, or the file is not valid or cannot be written; it is then unchanged.
pub fn upsert_server(
    dir: &ConfigDir,
    name: &ServerName,
    server: &ServerConfig,
) -> Result<(), ConfigError> {
    server.validate().map_err(ConfigError::Refused)?;
    let file = open(dir)?;
    let config = parse(&dir.config_file(), file.as_bytes())?;
    let old = config.servers.get(name);
    save(dir, set(&file, &["servers", name.as_str()], old, server))
}

/// Removes a server. False when there is none of this name.
///
/// # Errors
/// The file is not valid or cannot be written; it is then unchanged.
pub fn remove_server(dir: &ConfigDir, name: &ServerName) -> Result<bool, ConfigError> {
    let file = open(dir)?;
    match text::remove(&file, &["servers", name.as_str()]) {
        Some(edited) => save(dir, Some(edited)).map(|()| true),
        None => Ok(false),
    }
}

/// Replaces the policy of a server, and whether it is trusted.
///
/// # Errors
/// There is no such server, the policy breaks a rule, or the file is not valid or cannot be
/// written; it is then unchanged.
pub fn set_policy(
    dir: &ConfigDir,
    name: &ServerName,
    policy: &PolicyConfig,
    trusted: bool,
) -> Result<(), ConfigError> {
    policy.validate().map_err(ConfigError::Refused)?;
    let file = open(dir)?;
    let config = parse(&dir.config_file(), file.as_bytes())?;
    let Some(server) = config.servers.get(name) else {
        return Err(ConfigError::UnknownServer(name.clone()));
    };
    let server_path = ["servers", name.as_str()];
    let path = |key: &'static str| [server_path[0], server_path[1], key];
    let mut edited = Some(file);
    if server.policy != *policy {
        edited = edited.and_then(|file| set(&file, &path("policy"), Some(&server.policy), policy));
    }
    if server.trusted != trusted {
        edited = edited.and_then(|file| match trusted {
            true => set(&file, &path("trusted"), None, &true),
            false => text::remove(&file, &path("trusted")),
        });
    }
    save(dir, edited)
}

fn set<T: Serialize>(file: &str, path: &[&str], old: Option<&T>, new: &T) -> Option<String> {
    let old = match old {
        Some(old) => Some(to_raw_value(old).ok()?),
        None => None,
    };
    text::set(file, path, old.as_deref(), &to_raw_value(new).ok()?)
}

/// The file as it is, or the file `init` would write. It is valid.
fn open(dir: &ConfigDir) -> Result<String, ConfigError> {
    let path = dir.config_file();
    let Some(bytes) = read(&path)? else {
        return Ok(default_text());
    };
    parse(&path, &bytes)?;
    // JSON is UTF-8, as parsing has shown.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn default_text() -> String {
    let defaults = Config::default();
    let file = json!({
        "version": VERSION,
        "proxy_host": defaults.proxy_host,
        "proxy_port": defaults.proxy_port,
        "servers": {},
    });
    format!("{file:#}\n")
}

/// Validates what is about to be written and replaces the file.
fn save(dir: &ConfigDir, edited: Option<String>) -> Result<(), ConfigError> {
    let path = dir.config_file();
    let Some(text) = edited else {
        return Err(ConfigError::NotEdited(path));
    };
    parse(&path, text.as_bytes())?;
    // A link to a file kept elsewhere stays a link.
    let target = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
    write_atomic(&target, text.as_bytes()).map_err(|source| ConfigError::Write { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Effect;

    const FILE: &str = r#"{
  "version": "1.0",
  "servers": {
    "zeta": {
      "policy": {
        "tools": {
          "b_*": "deny",
          "a_*": "allow"
        },
        "default": "ask"
      },
      "url": "https://zeta.example/"
    },
    "alpha": {
      "url": "https://alpha.example/"
    }
  },
  "proxy_port": 3001
}
"#;

    fn home(content: &str) -> (tempfile::TempDir, ConfigDir) {
        let home = tempfile::tempdir().unwrap();
        let dir = ConfigDir::new(home.path());
        write_atomic(&dir.config_file(), content.as_bytes()).unwrap();
        (home, dir)
    }

    fn content(dir: &ConfigDir) -> String {
        fs::read_to_string(dir.config_file()).unwrap()
    }

    fn name(text: &str) -> ServerName {
        text.parse().unwrap()
    }

    fn server(url: &str) -> ServerConfig {
        ServerConfig::new(url.parse().unwrap())
    }

    #[test]
    fn init_writes_a_file_once() {
        let home = tempfile::tempdir().unwrap();
        let dir = ConfigDir::new(home.path());
        assert!(write_default(&dir).unwrap());
        assert_eq!(crate::config::load(&dir).unwrap(), Config::default());
        let before = content(&dir);
        assert!(!write_default(&dir).unwrap());
        assert_eq!(content(&dir), before);
    }

    #[test]
    fn a_new_server_is_added_last_and_the_rest_stays() {
        let (_home, dir) = home(FILE);
        upsert_server(&dir, &name("new"), &server("https://new.example/")).unwrap();
        let alpha = "    \"alpha\": {\n      \"url\": \"https://alpha.example/\"\n    }";
        let added = ",\n    \"new\": {\n      \"url\": \"https://new.example/\"\n    }";
        assert_eq!(
            content(&dir),
            FILE.replace(alpha, &format!("{alpha}{added}"))
        );
    }

    #[test]
    fn a_changed_server_keeps_its_place_and_the_order_of_its_keys() {
        let (_home, dir) = home(FILE);
        let mut zeta = crate::config::load(&dir).unwrap().servers["zeta"].clone();
        zeta.url = "https://other.example/".parse().unwrap();
        zeta.policy
            .tools
            .insert("b_*".parse().unwrap(), Effect::Allow);
        upsert_server(&dir, &name("zeta"), &zeta).unwrap();
        let expected = FILE
            .replace("zeta.example", "other.example")
            .replace("\"b_*\": \"deny\"", "\"b_*\": \"allow\"");
        assert_eq!(content(&dir), expected);
    }

    #[test]
    fn removing_the_first_server_leaves_the_others_in_order() {
        let (_home, dir) = home(FILE);
        upsert_server(&dir, &name("beta"), &server("https://beta.example/")).unwrap();
        assert!(remove_server(&dir, &name("zeta")).unwrap());
        assert!(!remove_server(&dir, &name("zeta")).unwrap());
        let text = content(&dir);
        assert!(!text.contains("zeta"));
        assert!(text.find("alpha").unwrap() < text.find("beta").unwrap());
    }

    #[test]
    fn setting_a_policy_changes_only_the_policy() {
        let (_home, dir) = home(FILE);
        let policy = PolicyConfig {
            default: Effect::Deny,
            ..PolicyConfig::default()
        };
        set_policy(&dir, &name("alpha"), &policy, false).unwrap();
        let config = crate::config::load(&dir).unwrap();
        assert_eq!(config.servers["alpha"].policy, policy);
        assert_eq!(config.servers["zeta"].policy.tools.len(), 2);
        let missing = set_policy(&dir, &name("nope"), &policy, false).unwrap_err();
        assert!(matches!(missing, ConfigError::UnknownServer(_)));
    }

    #[test]
    fn rules_written_by_hand_stay_as_they_are_when_one_is_added_or_removed() {
        let by_hand = r#"{"version": "1.0",
  "servers": {
    "pay": { "url": "https://pay.example/",
      "policy": {
        "rules": [
          {"effect": "allow", "tools": "create_*", "arguments": {"/amount": {"max": 1000.00}}},
          { "callers": [ "uid:1000" ], "effect": "deny" }
        ],
        "default": "ask" } } } }
"#;
        let (_home, dir) = home(by_hand);
        let policy = || {
            crate::config::load(&dir).unwrap().servers["pay"]
                .policy
                .clone()
        };
        let mut longer = policy();
        longer.rules.push(
            serde_json::from_str(r#"{"tools":"x","callers":["uid:1"],"effect":"ask"}"#).unwrap(),
        );
        set_policy(&dir, &name("pay"), &longer, true).unwrap();
        let last = "{ \"callers\": [ \"uid:1000\" ], \"effect\": \"deny\" }";
        let added = [
            last,
            ",\n          {\n            \"tools\": \"x\",\n            \"callers\": [\n",
            "              \"uid:1\"\n            ],\n            \"effect\": \"ask\"\n          }",
        ];
        let expected = by_hand.replace(last, &added.concat()).replace(
            "\"ask\" } } } }",
            "\"ask\" },\n      \"trusted\": true } } }",
        );
        assert_eq!(content(&dir), expected);
        let mut shorter = policy();
        shorter.rules.pop();
        set_policy(&dir, &name("pay"), &shorter, false).unwrap();
        assert_eq!(content(&dir), by_hand);
        shorter.rules.remove(0);
        set_policy(&dir, &name("pay"), &shorter, false).unwrap();
        assert!(content(&dir).contains(&format!("\"rules\": [\n          {last}\n        ]")));
    }

    #[test]
    fn servers_are_added_without_a_file_and_without_a_servers_key() {
        let home = tempfile::tempdir().unwrap();
        let dir = ConfigDir::new(home.path());
        assert!(!remove_server(&dir, &name("a")).unwrap());
        upsert_server(&dir, &name("a"), &server("https://a.example/")).unwrap();
        assert!(crate::config::load(&dir).unwrap().servers.contains_key("a"));

        write_atomic(&dir.config_file(), b"{\"version\": \"1.0\"}").unwrap();
        assert!(!remove_server(&dir, &name("a")).unwrap());
        assert!(set_policy(&dir, &name("a"), &PolicyConfig::default(), false).is_err());
        upsert_server(&dir, &name("a"), &server("https://a.example/")).unwrap();
        assert!(crate::config::load(&dir).unwrap().servers.contains_key("a"));
    }

    #[test]
    fn nothing_is_written_over_an_invalid_file_or_with_an_invalid_server() {
        let broken = "{\"version\": \"1.0\", \"oops\": 1}";
        let (_home, dir) = home(broken);
        let good = server("https://a.example/");
        assert!(upsert_server(&dir, &name("a"), &good).is_err());
        assert!(remove_server(&dir, &name("a")).is_err());
        assert!(set_policy(&dir, &name("a"), &PolicyConfig::default(), false).is_err());
        assert!(!write_default(&dir).unwrap());
        assert_eq!(content(&dir), broken);
    }

    #[test]
    fn a_server_that_breaks_a_rule_is_not_written() {
        let (_home, dir) = home(FILE);
        let error = upsert_server(&dir, &name("a"), &server("http://a.example/")).unwrap_err();
        assert!(matches!(error, ConfigError::Refused(_)), "{error:?}");
        assert_eq!(content(&dir), FILE);
    }

    #[test]
    fn a_write_that_fails_says_so() {
        let home = tempfile::tempdir().unwrap();
        let dir = ConfigDir::new(home.path().join("gone"));
        let error = upsert_server(&dir, &name("a"), &server("https://a.example/")).unwrap_err();
        assert!(matches!(error, ConfigError::Write { .. }), "{error:?}");
    }

    #[cfg(unix)]
    #[test]
    fn a_linked_file_stays_a_link() {
        let (_elsewhere, real) = home(FILE);
        let home = tempfile::tempdir().unwrap();
        let dir = ConfigDir::new(home.path());
        std::os::unix::fs::symlink(real.config_file(), dir.config_file()).unwrap();
        assert!(remove_server(&dir, &name("alpha")).unwrap());
        assert!(dir.config_file().is_symlink());
        assert!(!content(&real).contains("alpha"));
    }
}
