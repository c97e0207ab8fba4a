//! Reading `config.json`, and saying exactly what is wrong with it.

use std::fs;
use std::io;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::ConfigError;
use super::objects::{self, members};
use super::schema::{Config, VERSION};
use super::validate::InvalidSetting;
use crate::paths::ConfigDir;
use crate::types::Level;

/// Reads the settings. A missing file means the defaults; nothing is written.
///
/// # Errors
/// The file cannot be read, is not valid, or was written by a newer version.
pub fn load(dir: &ConfigDir) -> Result<Config, ConfigError> {
    let path = dir.config_file();
    match read(&path)? {
        Some(text) => parse(&path, &text),
        None => Ok(Config::default()),
    }
}

/// [`load`] while the daemon runs: a file that is gone has not been emptied.
///
/// # Errors
/// As [`load`]; or there is no file.
pub fn reload(dir: &ConfigDir) -> Result<Config, ConfigError> {
    let path = dir.config_file();
    match read(&path)? {
        Some(text) => parse(&path, &text),
        None => Err(ConfigError::Gone(path)),
    }
}

/// The bytes of the file, or None when there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, ConfigError> {
    match fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ConfigError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Parses and validates. `path` is only named in errors.
pub(super) fn parse(path: &Path, text: &[u8]) -> Result<Config, ConfigError> {
    let setting = |source| ConfigError::Setting {
        path: path.to_owned(),
        source,
    };
    // Reading it as a tree finds better words for what is wrong.
    let json: Box<RawValue> = decode(path, text).map_err(|error| {
        decode::<serde_json::Value>(path, text)
            .err()
            .unwrap_or(error)
    })?;
    objects::check(&json).map_err(setting)?;
    check_version(path, &json)?;
    let config: Config = decode(path, text)?;
    config.validate().map_err(setting)?;
    Ok(config)
}

/// Looks at the version alone, before the keys of a newer one are called unknown.
fn check_version(path: &Path, json: &RawValue) -> Result<(), ConfigError> {
    let version = members(json).into_iter().find(|(key, _)| key == "version");
    let reason = match version.map(|(_, value)| (value, Level::read(value))) {
        Some((_, Some(Level::Text(version)))) if version == VERSION => return Ok(()),
        Some((_, Some(Level::Text(version)))) if is_newer(&version) => {
            return Err(ConfigError::Newer {
                path: path.to_owned(),
                version: version.into_owned(),
            });
        }
        Some((_, Some(Level::Null))) | None => {
            format!("is missing; add \"version\": {VERSION:?}")
        }
        Some((other, _)) => format!("{other} is not a known version; use {VERSION:?}"),
    };
    Err(ConfigError::Setting {
        path: path.to_owned(),
        source: InvalidSetting::new("version", reason),
    })
}

fn is_newer(version: &str) -> bool {
    match (numbers(version), numbers(VERSION)) {
        (Some(theirs), Some(ours)) => theirs > ours,
        _ => false,
    }
}

fn numbers(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

pub(super) fn decode<T: DeserializeOwned>(path: &Path, text: &[u8]) -> Result<T, ConfigError> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let key = error.path().to_string();
        explain(path, &key, error.inner())
    })?;
    json.end().map_err(|error| explain(path, ".", &error))?;
    Ok(value)
}

fn explain(path: &Path, key: &str, error: &serde_json::Error) -> ConfigError {
    let path = path.to_owned();
    let (line, column) = (error.line(), error.column());
    // serde_json ends its text with the position, which we put in front.
    let text = error.to_string();
    let position = format!(" at line {line} column {column}");
    let reason = text.strip_suffix(&position).unwrap_or(&text).to_owned();
    if !error.is_data() {
        return ConfigError::Syntax {
            path,
            line,
            column,
            reason,
        };
    }
    if reason.starts_with("unknown field ") {
        return ConfigError::UnknownKey {
            path,
            line,
            column,
            nearest: nearest_key(key, &reason),
            key: key.to_owned(),
        };
    }
    let key = key.to_owned();
    ConfigError::Value {
        path,
        line,
        column,
        key,
        reason,
    }
}

/// The known key most like the last segment of `key`, from serde's list "expected one of `a`, `b`".
fn nearest_key(key: &str, reason: &str) -> Option<String> {
    const LIKE_ENOUGH: f64 = 0.7;
    let unknown = key.rsplit('.').next()?;
    let (_, expected) = reason.rsplit_once(", expected ")?;
    expected
        .split('`')
        .skip(1)
        .step_by(2)
        .map(|known| (strsim::jaro_winkler(unknown, known), known))
        .filter(|(likeness, _)| *likeness >= LIKE_ENOUGH)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AuditArguments;
    use crate::error::{Classify, chain};

    fn parse_text(text: &str) -> Result<Config, ConfigError> {
        parse(Path::new("config.json"), text.as_bytes())
    }

    /// Everything a person gets to read about the error.
    fn shown(text: &str) -> String {
        let error = parse_text(text).unwrap_err();
        format!("{} [{}]", chain(&error), error.hint().unwrap_or_default())
    }

    #[test]
    fn a_missing_file_means_defaults_and_stays_missing() {
        let home = tempfile::tempdir().unwrap();
        let dir = ConfigDir::new(home.path());
        assert_eq!(load(&dir).unwrap(), Config::default());
        assert!(!dir.config_file().exists());
    }

    #[test]
    fn the_documented_example_is_read() {
        let config = parse_text(
            r#"{ "version": "1.0", "proxy_host": "localhost", "proxy_port": 3001,
                 "servers": { "stripe": {
                   "url": "https://mcp.stripe.com",
                   "oauth": { "issuer": "https://as.stripe.com", "client_id": "c", "scopes": ["a"],
                              "resource": "none", "redirect_uri": "http://localhost:9/callback" },
                   "policy": { "default": "ask",
                               "tools": { "list_*": "allow", "delete_*": "deny" } } } } }"#,
        )
        .unwrap();
        assert_eq!(config.proxy_port, 3001);
        let stripe = &config.servers["stripe"];
        assert_eq!(stripe.policy.tools.len(), 2);
        assert_eq!(stripe.oauth.scopes, ["a"]);
    }

    #[test]
    fn the_settings_of_approvals_are_read() {
        let config = parse_text(
            r#"{ "version": "1.0", "require_client_token": true,
                 "approvals": { "hold_seconds": 0, "desktop_notifications": false },
                 "audit": { "keep_days": 30, "arguments": "redact" } }"#,
        )
        .unwrap();
        assert!(config.require_client_token);
        assert_eq!(config.approvals.expiry_seconds, 900);
        assert_eq!(config.approvals.hold_seconds, 0);
        assert!(!config.approvals.desktop_notifications);
        assert_eq!(config.audit.arguments, AuditArguments::Redact);
    }

    #[test]
    fn errors_name_place_key_and_remedy() {
        let server = |body: &str| {
            format!(
                r#"{{"version": "1.0", "servers": {{"s": {{"url": "https://a.example"{body}}}}}}}"#
            )
        };
        for (text, expected) in [
            (
                "{\n  \"version\": \"1.0\",\n  \"proxy_prot\": 1\n}".to_owned(),
                "config.json:3:14: unknown key \"proxy_prot\" [did you mean \"proxy_port\"?",
            ),
            (
                server(r#", "oauth": {"scope": []}"#),
                "unknown key \"servers.s.oauth.scope\" [did you mean \"scopes\"?",
            ),
            (
                server(r#", "zzz": 1"#),
                "unknown key \"servers.s.zzz\" [fix the file or move it away",
            ),
            (
                server(r#", "policy": {"default": "maybe"}"#),
                "servers.s.policy.default: unknown variant `maybe`",
            ),
            (
                server(r#", "policy": {"tools": {"x": "deny", "x": "allow"}}"#),
                "servers.s.policy.tools: x appears twice",
            ),
            (
                server(r#", "policy": {"tools": {"[a]": "deny"}}"#),
                "servers.s.policy.tools.[a]: the pattern \"[a]\" is not valid",
            ),
            (
                server(r#", "policy": {"rules": [{"effect": "deny", "argument": {}}]}"#),
                "unknown key \"servers.s.policy.rules[0].argument\" [did you mean \"arguments\"?",
            ),
            (
                server(r#", "policy": {"rules": [{"effect": "ask", "arguments": {"a": {}}}]}"#),
                "servers.s.policy.rules[0].arguments.a: \"a\" is not a JSON pointer",
            ),
            (
                server(
                    r#", "policy": {"rules": [{"effect": "ask", "arguments": {"/a": {"minn": 1}}}]}"#,
                ),
                "\"servers.s.policy.rules[0].arguments./a.minn\" [did you mean \"min\"?",
            ),
            (
                server(
                    r#", "policy": {"rules": [{"effect": "ask", "arguments": {"/a": {"min": "1"}}}]}"#,
                ),
                "servers.s.policy.rules[0].arguments./a.min: \"\\\"1\\\"\" is not a number",
            ),
            (
                server(
                    r#", "policy": {"rules": [{"effect": "ask", "arguments": {"/a": {}, "/a": {}}}]}"#,
                ),
                "servers.s.policy.rules[0].arguments: /a appears twice",
            ),
            (
                server(r#", "policy": {"rules": [{"effect": "ask", "arguments": {"/a": {}}}]}"#),
                "servers.s.policy.rules[0].arguments./a: says nothing",
            ),
            (
                server(
                    r#", "policy": {"rules": [{"effect": "ask",
                        "arguments": {"/a": {"min": 1e400, "max": 1e399}}}]}"#,
                ),
                "servers.s.policy.rules[0].arguments./a: min is more than max",
            ),
            (
                server(
                    r#", "policy": {"rules": [{"effect": "ask",
                        "arguments": {"/a": {"equals": {"x": 1, "x": 2}}}}]}"#,
                ),
                "arguments./a.equals: the key \"x\" occurs twice",
            ),
            (
                server(
                    r#", "policy": {"rules": [{"effect": "ask", "annotations": {"readOnly": true}}]}"#,
                ),
                "servers.s.policy.rules[0].annotations.readOnly: \"readOnly\" is not an annotation",
            ),
            (
                server(r#", "policy": {"rules": [{"effect": "ask", "callers": ["uid:1", "ci"]}]}"#),
                "servers.s.policy.rules[0].callers[1]: \"ci\" is not a caller",
            ),
            (
                server(
                    r#", "policy": {"rules": [{"tools": "x", "effect": "ask"}, {"tools": "x", "effect": "deny"}]}"#,
                ),
                "servers.s.policy.rules[1]: is about the same calls as rules[0]",
            ),
            (
                server(
                    r#", "policy": {"tools": {"x": "deny"}, "rules": [{"tools": "x", "effect": "allow"}]}"#,
                ),
                "servers.s.policy.rules[0]: is about the same calls as tools.x",
            ),
            (
                server(r#", "policy": {"rules": [["x"]]}"#),
                "servers.s.policy.rules[0]: must be an object",
            ),
            (server(r#", "trustd": true"#), "[did you mean \"trusted\"?"),
            (
                r#"{"version": "1.0", "approvals": {"expiry_secs": 5}}"#.to_owned(),
                "unknown key \"approvals.expiry_secs\" [did you mean \"expiry_seconds\"?",
            ),
            (
                r#"{"version": "1.0", "approvals": {"expiry_seconds": 9}}"#.to_owned(),
                "approvals.expiry_seconds: must be from 10 to 86400",
            ),
            (
                r#"{"version": "1.0", "approvals": {"hold_seconds": 700}}"#.to_owned(),
                "approvals.max_hold_seconds: must not be less than hold_seconds, 700",
            ),
            (
                r#"{"version": "1.0", "audit": {"arguments": "drop"}}"#.to_owned(),
                "audit.arguments: unknown variant `drop`, expected `keep` or `redact`",
            ),
            (
                r#"{"version": "1.0", "proxy_port": 70000}"#.to_owned(),
                "config.json:1:38: proxy_port: invalid value: integer `70000`",
            ),
            (
                r#"{"version": "1.0", "servers": {"a/b": {"url": "https://a.example"}}}"#
                    .to_owned(),
                "server name \"a/b\" is not usable",
            ),
            (
                r#"{"version": "1.0", "servers": {"s": {"url": "http://a.example"}}}"#.to_owned(),
                "config.json: servers.s.url: must be https",
            ),
            (
                r#"{"version": "1.0", "version": "1.0"}"#.to_owned(),
                "duplicate field `version`",
            ),
            (
                "{\n\"version\": \"1.0\",\n}".to_owned(),
                "config.json:3:1: not valid JSON: trailing comma",
            ),
            (String::new(), "config.json:1:0: not valid JSON: EOF"),
            (
                "{\"version\": \"1.0\"} x".to_owned(),
                "not valid JSON: trailing",
            ),
            ("[]".to_owned(), "config.json: the file: must be an object"),
            (
                "{}".to_owned(),
                "version: is missing; add \"version\": \"1.0\"",
            ),
            (
                "{\"version\": 1}".to_owned(),
                "version: 1 is not a known version",
            ),
            (
                server(r#", "policy": []"#),
                "servers.s.policy: must be an object",
            ),
            (
                r#"{"version": "1.0", "servers": {"s": ["https://a.example"]}}"#.to_owned(),
                "servers.s: must be an object",
            ),
            ("3".to_owned(), "is missing"),
            (
                r#"{"version": "1.0", "servers": []}"#.to_owned(),
                "servers: invalid type: sequence, expected an object",
            ),
            (
                r#"{"version": "0.9"}"#.to_owned(),
                "version: \"0.9\" is not a known version",
            ),
            (
                r#"{"version": "1.1", "shiny": true}"#.to_owned(),
                "written by a newer version (format 1.1, this one reads 1.0)",
            ),
            (
                r#"{"version": "2.0"}"#.to_owned(),
                "[install the version that wrote the file",
            ),
        ] {
            let shown = shown(&text);
            assert!(shown.contains(expected), "{text}\n{shown}\n{expected}");
        }
    }

    #[test]
    fn an_unreadable_file_is_an_error_not_a_default() {
        let home = tempfile::tempdir().unwrap();
        let dir = ConfigDir::new(home.path());
        // A directory in its place cannot be read, even by root.
        fs::create_dir(dir.config_file()).unwrap();
        let error = load(&dir).unwrap_err();
        assert!(matches!(error, ConfigError::Read { .. }), "{error:?}");
        assert!(error.hint().unwrap().contains("readable"));
    }

    #[test]
    fn bytes_that_are_not_text_are_an_error() {
        let error = parse(Path::new("config.json"), b"{\"version\": \"1\xff\"}").unwrap_err();
        assert!(matches!(error, ConfigError::Syntax { .. }), "{error:?}");
    }
}
