//! The shape of `config.json`. A field at its default is left out when a server is written.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use url::Url;

use super::ai::AiConfig;
use super::rules::PolicyConfig;
use crate::types::ServerName;

/// The format this program reads and writes.
pub(super) const VERSION: &str = "1.0";

/// All of `config.json`. What is missing in the file has its default here.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub version: String,
    pub proxy_host: String,
    /// 0 lets the system choose.
    pub proxy_port: u16,
    /// Largest request body that is accepted, in bytes.
    pub max_request_bytes: u64,
    /// Open connections to the HTTP port.
    pub max_connections: usize,
    /// Calls that are being answered at the same time, event streams included.
    pub max_streams: usize,
    /// Local users that may use the port, besides the one who runs the daemon.
    pub allowed_uids: Vec<u32>,
    /// `Host` values that are accepted besides the loopback names.
    pub allowed_hosts: Vec<String>,
    /// `Origin` values that are accepted besides our own.
    pub allowed_origins: Vec<String>,
    /// Refuses calls that present no client token.
    pub require_client_token: bool,
    pub approvals: ApprovalsConfig,
    pub audit: AuditConfig,
    pub ai: AiConfig,
    #[serde(deserialize_with = "unique_keys")]
    pub servers: BTreeMap<ServerName, ServerConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            version: VERSION.to_owned(),
            proxy_host: "localhost".to_owned(),
            proxy_port: 3000,
            max_request_bytes: 16 * 1024 * 1024,
            max_connections: 1024,
            max_streams: 1024,
            allowed_uids: Vec::new(),
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            require_client_token: false,
            approvals: ApprovalsConfig::default(),
            audit: AuditConfig::default(),
            ai: AiConfig::default(),
            servers: BTreeMap::new(),
        }
    }
}

/// How long a person has to decide, and how they hear of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApprovalsConfig {
    /// A call nobody decided about by then is denied; an approved one must have been made by then.
    pub expiry_seconds: u64,
    /// How long a call waits for the decision before its client is told to call again.
    pub hold_seconds: u64,
    /// The same where the client is kept informed, so that it does not give up.
    pub max_hold_seconds: u64,
    pub desktop_notifications: bool,
}

impl Default for ApprovalsConfig {
    fn default() -> Self {
        Self {
            expiry_seconds: 900,
            hold_seconds: 50,
            max_hold_seconds: 600,
            desktop_notifications: true,
        }
    }
}

/// What the record of all calls and decisions keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditConfig {
    /// 0 keeps everything.
    pub keep_days: u32,
    pub arguments: AuditArguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuditArguments {
    #[default]
    Keep,
    /// Only their digest is recorded.
    Redact,
}

/// One upstream MCP server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    pub url: Url,
    #[serde(default, skip_serializing_if = "is_default")]
    pub auth: AuthMode,
    #[serde(default, skip_serializing_if = "is_default")]
    pub oauth: OAuthConfig,
    /// Believes what the server says about its tools, for rules that ask for it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub trusted: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub policy: PolicyConfig,
    /// Lets this server, and the authorization server it names, have private addresses.
    #[serde(default, skip_serializing_if = "is_default")]
    pub allow_private_network: bool,
}

impl ServerConfig {
    /// A server with everything but its URL at the default.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            auth: AuthMode::default(),
            oauth: OAuthConfig::default(),
            trusted: false,
            policy: PolicyConfig::default(),
            allow_private_network: false,
        }
    }
}

/// How requests to a server are authorised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    #[default]
    Oauth,
    /// Fixed headers, kept in the vault.
    Static,
    None,
}

/// What a person decides about the login; everything else is discovered.
///
/// URLs that are compared or sent verbatim are texts here, because `Url` normalises them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OAuthConfig {
    /// The authorization server to use when the resource offers several, or none.
    #[serde(skip_serializing_if = "is_default")]
    pub issuer: Option<String>,
    /// A client registered by hand.
    #[serde(skip_serializing_if = "is_default")]
    pub client_id: Option<String>,
    /// A client id metadata document, which is its own client id.
    #[serde(skip_serializing_if = "is_default")]
    pub client_metadata_url: Option<String>,
    /// Scopes to ask for, instead of those the challenge or the metadata names.
    #[serde(skip_serializing_if = "is_default")]
    pub scopes: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub resource: ResourceSetting,
    /// Takes PKCE with S256 for granted where the metadata does not state it: Entra ID and Amazon
    /// Cognito do it without saying so.
    #[serde(skip_serializing_if = "is_default")]
    pub assume_s256: bool,
    /// Where the browser returns to, instead of the daemon's own callback.
    #[serde(skip_serializing_if = "is_default")]
    pub redirect_uri: Option<String>,
}

/// The RFC 8707 `resource` parameter.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum ResourceSetting {
    /// The one that the protected resource metadata names.
    #[default]
    Auto,
    /// Not sent, for authorization servers that refuse it.
    None,
    Uri(String),
}

impl From<String> for ResourceSetting {
    fn from(text: String) -> Self {
        match text.as_str() {
            "auto" => Self::Auto,
            "none" => Self::None,
            _ => Self::Uri(text),
        }
    }
}

impl From<ResourceSetting> for String {
    fn from(setting: ResourceSetting) -> Self {
        setting.to_string()
    }
}

impl FromStr for ResourceSetting {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.to_owned().into())
    }
}

impl fmt::Display for ResourceSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::None => "none",
            Self::Uri(uri) => uri,
        })
    }
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A map in which a key that appears twice is an error: the one a reader overlooks could be the
/// one that counts.
pub(super) fn unique_keys<'de, D, K, V>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord + fmt::Display,
    V: Deserialize<'de>,
{
    struct UniqueKeys<K, V>(PhantomData<(K, V)>);

    impl<'de, K, V> Visitor<'de> for UniqueKeys<K, V>
    where
        K: Deserialize<'de> + Ord + fmt::Display,
        V: Deserialize<'de>,
    {
        type Value = BTreeMap<K, V>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some(key) = access.next_key::<K>()? {
                if map.contains_key(&key) {
                    return Err(A::Error::custom(format!("{key} appears twice")));
                }
                map.insert(key, access.next_value()?);
            }
            Ok(map)
        }
    }

    deserializer.deserialize_map(UniqueKeys(PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Effect;

    #[test]
    fn a_server_is_written_without_its_defaults() {
        let mut server = ServerConfig::new("https://mcp.example/mcp".parse().unwrap());
        assert_eq!(
            serde_json::to_string(&server).unwrap(),
            r#"{"url":"https://mcp.example/mcp"}"#
        );
        server.auth = AuthMode::Static;
        server.policy.default = Effect::Allow;
        assert_eq!(
            serde_json::to_string(&server).unwrap(),
            r#"{"url":"https://mcp.example/mcp","auth":"static","policy":{"default":"allow"}}"#
        );
    }

    #[test]
    fn every_field_of_a_server_survives_a_round_trip() {
        let server = ServerConfig {
            url: "https://mcp.example/mcp?x=1".parse().unwrap(),
            auth: AuthMode::None,
            oauth: OAuthConfig {
                issuer: Some("https://as.example".to_owned()),
                client_id: Some("id".to_owned()),
                client_metadata_url: Some("https://me.example/client.json".to_owned()),
                scopes: vec!["a".to_owned(), "b".to_owned()],
                resource: ResourceSetting::Uri("https://mcp.example".to_owned()),
                assume_s256: true,
                redirect_uri: Some("http://localhost:9/cb".to_owned()),
            },
            trusted: true,
            policy: PolicyConfig {
                default: Effect::Deny,
                tools: BTreeMap::from([("list_*".parse().unwrap(), Effect::Allow)]),
                rules: vec![
                    serde_json::from_str(r#"{"annotations":{"readOnlyHint":true},"effect":"ask"}"#)
                        .unwrap(),
                ],
                accept_weak_approval: true,
            },
            allow_private_network: true,
        };
        let text = serde_json::to_string(&server).unwrap();
        assert_eq!(serde_json::from_str::<ServerConfig>(&text).unwrap(), server);
    }

    #[test]
    fn resource_setting_keeps_a_uri_verbatim() {
        for text in [
            "auto",
            "none",
            "https://mcp.example",
            "https://mcp.example/",
        ] {
            assert_eq!(text.parse::<ResourceSetting>().unwrap().to_string(), text);
        }
    }
}
