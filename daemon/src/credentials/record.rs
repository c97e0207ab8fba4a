//! What the vault holds for us, as JSON inside sealed records.
//!
//! Two kinds: `credential/{id}` is one OAuth credential, keyed by (issuer, resource, client) and
//! never by a display name; `server/{name}` says which credential a server uses and keeps the
//! secrets a person typed in for it. Both carry the URL they were made for, so that a hand-edited
//! config.json cannot send a token to another place.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use crate::oauth::client::{AuthMethod, ClientIdentity};
use crate::types::{Secret, ServerName};

pub(super) const CREDENTIAL_PREFIX: &str = "credential/";
pub(super) const SERVER_PREFIX: &str = "server/";

/// Identity of a credential. Its text form is the vault record's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct CredentialId(String);

impl CredentialId {
    /// The digest of (issuer, resource, client): fixed length, and nothing to escape.
    pub(super) fn of(issuer: &str, resource: Option<&str>, client_id: &str) -> Self {
        use base64::Engine;
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        for part in [issuer, resource.unwrap_or_default(), client_id] {
            // Lengths first: ("a", "bc") and ("ab", "c") are different keys.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let digest = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(context.finish());
        Self(format!("{CREDENTIAL_PREFIX}{digest}"))
    }

    pub(super) fn record_id(&self) -> &str {
        &self.0
    }
}

pub(super) fn server_record_id(server: &ServerName) -> String {
    format!("{SERVER_PREFIX}{server}")
}

/// Sealed under `server/{name}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerRecord {
    /// The server URL all of this belongs to.
    pub url: Url,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialId>,
    /// Discovery found that the server asks for no sign-in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub open: bool,
    /// Fixed headers of a static server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderRecord>,
    /// Secret of a pre-registered client.
    #[serde(
        default,
        with = "optional_secret",
        skip_serializing_if = "Option::is_none"
    )]
    pub client_secret: Option<Secret>,
}

impl ServerRecord {
    pub(super) fn new(url: Url) -> Self {
        Self {
            url,
            credential: None,
            open: false,
            headers: Vec::new(),
            client_secret: None,
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeaderRecord {
    pub name: String,
    #[serde(with = "secret")]
    pub value: Secret,
}

/// Sealed under `credential/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CredentialRecord {
    /// Made from issuer, resource and the client of the sign-in; stays when the client is registered
    /// anew.
    pub id: CredentialId,
    pub issuer: String,
    /// The `resource` parameter (RFC 8707), byte for byte as it was sent; None when it is not sent.
    pub resource: Option<String>,
    pub client: ClientRecord,
    pub token_endpoint: Url,
    pub revocation_endpoint: Option<Url>,
    pub registration_endpoint: Option<Url>,
    pub tokens: Tokens,
    /// Why a person has to sign in again, once the authorization server said `invalid_grant`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
}

/// A client at one authorization server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClientRecord {
    pub id: String,
    #[serde(
        default,
        with = "optional_secret",
        skip_serializing_if = "Option::is_none"
    )]
    pub secret: Option<Secret>,
    pub auth_method: AuthMethod,
    /// Whether dynamic client registration made it, so that it can be made anew.
    pub dynamic: bool,
    pub redirect_uri: String,
    #[serde(
        default,
        with = "optional_secret",
        skip_serializing_if = "Option::is_none"
    )]
    pub registration_access_token: Option<Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_client_uri: Option<String>,
}

impl ClientRecord {
    pub(super) fn identity(&self) -> ClientIdentity {
        ClientIdentity {
            client_id: self.id.clone(),
            client_secret: self.secret.clone(),
            auth_method: self.auth_method,
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tokens {
    #[serde(with = "secret")]
    pub access_token: Secret,
    #[serde(
        default,
        with = "optional_secret",
        skip_serializing_if = "Option::is_none"
    )]
    pub refresh_token: Option<Secret>,
    pub scopes: Vec<String>,
    pub issued_at: Timestamp,
    pub expires_at: Option<Timestamp>,
}

#[derive(Debug, thiserror::Error)]
#[error("the vault record {id} is not understood; a newer version may have written it")]
pub struct UnreadableRecord {
    id: String,
    #[source]
    source: serde_json::Error,
}

/// The bytes to seal. Zeroed when dropped.
pub(super) fn encode<T: Serialize>(record: &T) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(serde_json::to_vec(record).expect("records are structs of texts and numbers"))
}

pub(super) fn decode<'a, T: Deserialize<'a>>(
    id: &str,
    bytes: &'a [u8],
) -> Result<T, UnreadableRecord> {
    serde_json::from_slice(bytes).map_err(|source| UnreadableRecord {
        id: id.to_owned(),
        source,
    })
}

/// Serde for secrets, visible only to records that get sealed.
mod secret {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::types::Secret;

    pub(super) fn serialize<S: Serializer>(secret: &Secret, out: S) -> Result<S::Ok, S::Error> {
        secret.expose().serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Secret, D::Error> {
        String::deserialize(input).map(Secret::new)
    }
}

mod optional_secret {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::types::Secret;

    pub(super) fn serialize<S: Serializer>(
        secret: &Option<Secret>,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        secret.as_ref().map(Secret::expose).serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        input: D,
    ) -> Result<Option<Secret>, D::Error> {
        Ok(Option::<String>::deserialize(input)?.map(Secret::new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credential_ids_do_not_collide_across_field_borders() {
        let id = |i, r, c| CredentialId::of(i, r, c);
        assert_ne!(id("a", Some("b"), "c"), id("ab", None, "c"));
        assert_ne!(id("a", Some("b"), "c"), id("a", Some("bc"), ""));
        assert_eq!(id("a", Some("b"), "c"), id("a", Some("b"), "c"));
    }

    #[test]
    fn a_record_survives_the_round_trip_and_hides_its_secrets() {
        let record = ServerRecord {
            headers: vec![HeaderRecord {
                name: "x-key".into(),
                value: Secret::new("hunter2"),
            }],
            client_secret: Some(Secret::new("hunter3")),
            ..ServerRecord::new(Url::parse("https://mcp.example/mcp").unwrap())
        };
        let back: ServerRecord = decode("server/x", &encode(&record)).unwrap();
        assert_eq!(back.headers[0].value.expose(), "hunter2");
        assert_eq!(back.client_secret.as_ref().unwrap().expose(), "hunter3");
        assert!(!format!("{back:?}").contains("hunter"));
    }
}
