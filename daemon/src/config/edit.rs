//! Changes that commands make to `config.json`.
//!
//! The file is the person's. An edit reads it as plain JSON, changes one entry and writes it back
//! with everything else as it was, order included. A file that is not valid is not edited.
//! The caller makes sure that only one edit runs at a time.

use std::fs;

use serde_json::{Value, json};

use super::ConfigError;
use super::load::{decode, parse, read};
use super::rules::PolicyConfig;
use super::schema::{Config, ServerConfig, VERSION};
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
    save(dir, &empty())?;
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
    let mut file = open(dir)?;
    merge(&mut file["servers"][name.as_str()], json!(server));
    save(dir, &file)
}

/// Removes a server. False when there is none of this name.
///
/// # Errors
/// The file is not valid or cannot be written; it is then unchanged.
pub fn remove_server(dir: &ConfigDir, name: &ServerName) -> Result<bool, ConfigError> {
    let mut file = open(dir)?;
    let Some(servers) = file["servers"].as_object_mut() else {
        return Ok(false);
    };
    // Not `remove`: it would move the last entry to the place of the removed one.
    if servers.shift_remove(name.as_str()).is_none() {
        return Ok(false);
    }
    save(dir, &file)?;
    Ok(true)
}

/// Replaces the policy of a server.
///
/// # Errors
/// There is no such server, the policy breaks a rule, or the file is not valid or cannot be
/// written; it is then unchanged.
pub fn set_policy(
    dir: &ConfigDir,
    name: &ServerName,
    policy: &PolicyConfig,
) -> Result<(), ConfigError> {
    let mut file = open(dir)?;
    if file["servers"].get(name.as_str()).is_none() {
        return Err(ConfigError::UnknownServer(name.clone()));
    }
    merge(&mut file["servers"][name.as_str()]["policy"], json!(policy));
    save(dir, &file)
}

/// The file as it is, or the file `init` would write.
///
/// It is valid, so what the schema calls an object is one, and indexing it by key cannot panic.
fn open(dir: &ConfigDir) -> Result<Value, ConfigError> {
    let path = dir.config_file();
    let Some(text) = read(&path)? else {
        return Ok(empty());
    };
    parse(&path, &text)?;
    decode(&path, &text)
}

fn empty() -> Value {
    let defaults = Config::default();
    json!({
        "version": VERSION,
        "proxy_host": defaults.proxy_host,
        "proxy_port": defaults.proxy_port,
        "servers": {},
    })
}

/// Validates what is about to be written and replaces the file.
fn save(dir: &ConfigDir, file: &Value) -> Result<(), ConfigError> {
    let path = dir.config_file();
    let text = format!("{file:#}\n");
    parse(&path, text.as_bytes())?;
    // A link to a file kept elsewhere stays a link.
    let target = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
    write_atomic(&target, text.as_bytes()).map_err(|source| ConfigError::Write { path, source })
}

/// Makes `old` equal to `new`, while keys that both have keep their place.
fn merge(old: &mut Value, new: Value) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            old.retain(|key, _| new.contains_key(key));
            for (key, value) in new {
                merge(old.entry(key).or_insert(Value::Null), value);
            }
        }
        (old, new) => *old = new,
    }
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

    fn text(dir: &ConfigDir) -> String {
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
        let before = text(&dir);
        assert!(!write_default(&dir).unwrap());
        assert_eq!(text(&dir), before);
    }

    #[test]
    fn a_new_server_is_added_last_and_the_rest_stays() {
        let (_home, dir) = home(FILE);
        upsert_server(&dir, &name("new"), &server("https://new.example/")).unwrap();
        let alpha = "    \"alpha\": {\n      \"url\": \"https://alpha.example/\"\n    }";
        let added = ",\n    \"new\": {\n      \"url\": \"https://new.example/\"\n    }";
        assert_eq!(text(&dir), FILE.replace(alpha, &format!("{alpha}{added}")));
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
        assert_eq!(text(&dir), expected);
    }

    #[test]
    fn removing_the_first_server_leaves_the_others_in_order() {
        let (_home, dir) = home(FILE);
        upsert_server(&dir, &name("beta"), &server("https://beta.example/")).unwrap();
        assert!(remove_server(&dir, &name("zeta")).unwrap());
        assert!(!remove_server(&dir, &name("zeta")).unwrap());
        let text = text(&dir);
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
        set_policy(&dir, &name("alpha"), &policy).unwrap();
        let config = crate::config::load(&dir).unwrap();
        assert_eq!(config.servers["alpha"].policy, policy);
        assert_eq!(config.servers["zeta"].policy.tools.len(), 2);
        let missing = set_policy(&dir, &name("nope"), &policy).unwrap_err();
        assert!(matches!(missing, ConfigError::UnknownServer(_)));
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
        assert!(set_policy(&dir, &name("a"), &PolicyConfig::default()).is_err());
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
        assert!(set_policy(&dir, &name("a"), &PolicyConfig::default()).is_err());
        assert!(!write_default(&dir).unwrap());
        assert_eq!(text(&dir), broken);
    }

    #[test]
    fn a_server_that_breaks_a_rule_is_not_written() {
        let (_home, dir) = home(FILE);
        let error = upsert_server(&dir, &name("a"), &server("http://a.example/")).unwrap_err();
        assert!(matches!(error, ConfigError::Refused(_)), "{error:?}");
        assert_eq!(text(&dir), FILE);
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
        assert!(!text(&real).contains("alpha"));
    }
}
