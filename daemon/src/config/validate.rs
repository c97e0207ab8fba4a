//! What the types of the schema cannot say: the rules a value must keep to.

use std::collections::HashMap;

use url::Url;

use super::rules::{PolicyConfig, Predicate, RuleConfig};
use super::schema::{ApprovalsConfig, Config, ResourceSetting, ServerConfig};
use crate::error::{Classify, ErrorKind};
use crate::types::{is_confidential, is_loopback};

/// A value that has the right type but breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct InvalidSetting {
    /// Dotted path, from the top of the file or from the server.
    pub key: String,
    pub reason: String,
}

impl Classify for InvalidSetting {
    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }
}

impl InvalidSetting {
    pub(super) fn new(key: &str, reason: impl Into<String>) -> Self {
        Self {
            key: key.to_owned(),
            reason: reason.into(),
        }
    }

    pub(super) fn within(self, parent: &str) -> Self {
        Self {
            key: format!("{parent}.{}", self.key),
            reason: self.reason,
        }
    }
}

impl Config {
    /// # Errors
    /// The first setting that breaks a rule.
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        if self.proxy_host.trim().is_empty() {
            return Err(InvalidSetting::new("proxy_host", "must not be empty"));
        }
        for (key, zero) in [
            ("max_request_bytes", self.max_request_bytes == 0),
            ("max_connections", self.max_connections == 0),
            ("max_streams", self.max_streams == 0),
        ] {
            if zero {
                return Err(InvalidSetting::new(key, "must be at least 1"));
            }
        }
        self.approvals
            .validate()
            .map_err(|error| error.within("approvals"))?;
        self.ai.validate().map_err(|error| error.within("ai"))?;
        for (name, server) in &self.servers {
            server
                .validate()
                .map_err(|error| error.within(&format!("servers.{name}")))?;
        }
        Ok(())
    }
}

impl ServerConfig {
    /// # Errors
    /// The first setting that breaks a rule, its key relative to the server.
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        check_server_url(&self.url).map_err(|reason| InvalidSetting::new("url", reason))?;
        let oauth = &self.oauth;
        for (key, value, check) in [
            ("issuer", &oauth.issuer, check_issuer as Check),
            ("client_id", &oauth.client_id, check_client_id),
            (
                "client_metadata_url",
                &oauth.client_metadata_url,
                check_client_metadata_url,
            ),
            ("redirect_uri", &oauth.redirect_uri, check_redirect_uri),
        ] {
            if let Some(text) = value {
                check(text).map_err(|reason| InvalidSetting::new(key, reason).within("oauth"))?;
            }
        }
        if let ResourceSetting::Uri(uri) = &oauth.resource {
            check_resource(uri)
                .map_err(|reason| InvalidSetting::new("resource", reason).within("oauth"))?;
        }
        if let Some(scope) = oauth.scopes.iter().find(|scope| !is_scope_token(scope)) {
            let reason = format!(
                "{scope:?} is not a scope: a scope is printable ASCII without spaces, '\"' and '\\'"
            );
            return Err(InvalidSetting::new("scopes", reason).within("oauth"));
        }
        self.policy
            .validate()
            .map_err(|error| error.within("policy"))
    }
}

impl ApprovalsConfig {
    fn validate(&self) -> Result<(), InvalidSetting> {
        for (key, value, bounds) in [
            ("expiry_seconds", self.expiry_seconds, 10..=86_400),
            ("hold_seconds", self.hold_seconds, 0..=3600),
            ("max_hold_seconds", self.max_hold_seconds, 0..=3600),
        ] {
            if !bounds.contains(&value) {
                let reason = format!("must be from {} to {}", bounds.start(), bounds.end());
                return Err(InvalidSetting::new(key, reason));
            }
        }
        if self.max_hold_seconds < self.hold_seconds {
            let reason = format!("must not be less than hold_seconds, {}", self.hold_seconds);
            return Err(InvalidSetting::new("max_hold_seconds", reason));
        }
        Ok(())
    }
}

impl PolicyConfig {
    /// # Errors
    /// The first setting that breaks a rule, its key relative to the policy.
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        let mut seen = HashMap::new();
        for (index, rule) in self.rules.iter().enumerate() {
            let key = format!("rules[{index}]");
            rule.validate().map_err(|error| error.within(&key))?;
            let said = rule.conditions();
            if let Some(first) = seen.insert(said, index) {
                let reason = format!("is about the same calls as rules[{first}]; keep one of them");
                return Err(InvalidSetting::new(&key, reason));
            }
            if rule.is_bare() && self.tools.contains_key(&rule.tools) {
                let reason = format!("is about the same calls as tools.{}", rule.tools);
                return Err(InvalidSetting::new(&key, reason));
            }
        }
        Ok(())
    }
}

impl RuleConfig {
    fn validate(&self) -> Result<(), InvalidSetting> {
        for (pointer, predicate) in &self.arguments {
            let wrong = |reason: &str| InvalidSetting::new(&format!("arguments.{pointer}"), reason);
            if *predicate == Predicate::default() {
                return Err(wrong("says nothing; use equals, glob, min or max"));
            }
            if let (Some(min), Some(max)) = (&predicate.min, &predicate.max)
                && min > max
            {
                return Err(wrong("min is more than max, so no number fits"));
            }
        }
        Ok(())
    }
}

type Check = fn(&str) -> Result<(), String>;

fn parse(text: &str) -> Result<Url, String> {
    Url::parse(text).map_err(|error| format!("{text:?} is not an absolute URL: {error}"))
}

pub(super) fn check_server_url(url: &Url) -> Result<(), String> {
    if !is_confidential(url) {
        return Err("must be https, or http on a loopback address".to_owned());
    }
    no_userinfo(url)?;
    no_fragment(url)
}

/// RFC 8414 §2: https, without query and fragment.
fn check_issuer(text: &str) -> Result<(), String> {
    let url = parse(text)?;
    if !is_confidential(&url) {
        return Err("must be https, or http on a loopback address".to_owned());
    }
    if url.query().is_some() {
        return Err("must not have a query".to_owned());
    }
    no_userinfo(&url)?;
    no_fragment(&url)
}

/// RFC 6749 appendix A.1: printable ASCII.
fn check_client_id(text: &str) -> Result<(), String> {
    let printable = |c: char| c == ' ' || c.is_ascii_graphic();
    if text.is_empty() || !text.chars().all(printable) {
        return Err("must be printable ASCII and not empty".to_owned());
    }
    Ok(())
}

/// A client id that is a URL is https and has a path, so that it cannot be a bare origin.
fn check_client_metadata_url(text: &str) -> Result<(), String> {
    let url = parse(text)?;
    if !is_confidential(&url) {
        return Err("must be https".to_owned());
    }
    if url.path() == "/" {
        return Err("must have a path".to_owned());
    }
    no_userinfo(&url)?;
    no_fragment(&url)
}

/// RFC 8252 §7.3 and RFC 6749 §3.1.2: loopback http or https, absolute, no fragment.
fn check_redirect_uri(text: &str) -> Result<(), String> {
    let url = parse(text)?;
    let loopback = url.scheme() == "http" && is_loopback(&url);
    if !loopback && url.scheme() != "https" {
        return Err("must be http on a loopback address, or https".to_owned());
    }
    no_userinfo(&url)?;
    no_fragment(&url)
}

/// RFC 8707 §2: an absolute URI without a fragment.
fn check_resource(text: &str) -> Result<(), String> {
    let url = Url::parse(text)
        .map_err(|error| format!("must be auto, none or an absolute URI ({text:?}: {error})"))?;
    no_fragment(&url)
}

fn no_userinfo(url: &Url) -> Result<(), String> {
    if url.username().is_empty() && url.password().is_none() {
        Ok(())
    } else {
        Err("must not contain a user name or password".to_owned())
    }
}

fn no_fragment(url: &Url) -> Result<(), String> {
    match url.fragment() {
        Some(_) => Err("must not have a fragment".to_owned()),
        None => Ok(()),
    }
}

/// RFC 6749 §3.3 `scope-token`.
fn is_scope_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> ServerConfig {
        ServerConfig::new(url.parse().unwrap())
    }

    #[test]
    fn server_urls_are_https_or_loopback_and_carry_no_extras() {
        for good in [
            "https://mcp.example/mcp?tenant=1",
            "http://localhost:8080/mcp",
            "http://[::1]:1/",
        ] {
            assert_eq!(server(good).validate(), Ok(()), "{good}");
        }
        for bad in [
            "http://mcp.example/mcp",
            "http://192.168.1.1/mcp",
            "ftp://localhost/",
            "file:///etc/passwd",
            "https://user@mcp.example/",
            "https://:pass@mcp.example/",
            "https://mcp.example/#x",
        ] {
            assert_eq!(server(bad).validate().unwrap_err().key, "url", "{bad}");
        }
    }

    #[test]
    fn oauth_settings_name_the_key_that_is_wrong() {
        let some = |text: &str| Some(text.to_owned());
        type Set = Box<dyn Fn(&mut ServerConfig, &str)>;
        let cases: Vec<(&str, Set, &[&str], &[&str])> = vec![
            (
                "oauth.issuer",
                Box::new(move |s, v| s.oauth.issuer = some(v)),
                &["https://as.example", "http://127.0.0.1:9/as"],
                &[
                    "http://as.example",
                    "as.example",
                    "https://a.example/?x",
                    "https://a.example/#f",
                ],
            ),
            (
                "oauth.redirect_uri",
                Box::new(move |s, v| s.oauth.redirect_uri = some(v)),
                &["http://localhost:3000/callback", "https://me.example/cb"],
                &[
                    "http://me.example/cb",
                    "myapp://cb",
                    "javascript:alert(1)",
                    "http://localhost/#f",
                ],
            ),
            (
                "oauth.client_metadata_url",
                Box::new(move |s, v| s.oauth.client_metadata_url = some(v)),
                &["https://me.example/client.json"],
                &["https://me.example", "http://me.example/c.json", "x"],
            ),
            (
                "oauth.client_id",
                Box::new(move |s, v| s.oauth.client_id = some(v)),
                &["abc 123", "https://me.example"],
                &["", "a\nb", "ä"],
            ),
            (
                "oauth.resource",
                Box::new(|s, v| s.oauth.resource = v.parse().unwrap()),
                &["auto", "none", "https://mcp.example", "urn:example:x"],
                &["mcp.example", "", "https://mcp.example/#f"],
            ),
            (
                "oauth.scopes",
                Box::new(|s, v| s.oauth.scopes = vec!["ok".to_owned(), v.to_owned()]),
                &["read:all", "https://scopes.example/x"],
                &["", "two words", "quo\"te", "back\\slash", "ü"],
            ),
        ];
        for (key, set, good, bad) in cases {
            for value in good {
                let mut server = server("https://mcp.example/");
                set(&mut server, value);
                assert_eq!(server.validate(), Ok(()), "{key} {value}");
            }
            for value in bad {
                let mut server = server("https://mcp.example/");
                set(&mut server, value);
                assert_eq!(server.validate().unwrap_err().key, key, "{value}");
            }
        }
    }

    #[test]
    fn a_file_level_error_names_the_whole_path() {
        let mut config = Config::default();
        let mut stripe = server("https://mcp.stripe.com");
        stripe.oauth.scopes = vec!["a b".to_owned()];
        config.servers.insert("stripe".parse().unwrap(), stripe);
        assert_eq!(
            config.validate().unwrap_err().key,
            "servers.stripe.oauth.scopes"
        );
        assert_eq!(
            Config {
                max_streams: 0,
                ..Config::default()
            }
            .validate()
            .unwrap_err()
            .key,
            "max_streams"
        );
    }
}
