//! Why a model API was not asked, or its answer cannot be used.

use crate::clients::ClientError;
use crate::error::{Classify, ErrorKind};
use crate::types::VendorName;
use crate::upstream::UpstreamError;
use crate::vault::VaultError;

#[derive(Debug, thiserror::Error)]
pub enum VendorError {
    #[error("config.json has no vendor named {name}: there are {}", listed(.known))]
    Unknown {
        name: VendorName,
        known: Vec<VendorName>,
    },
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The daemon's key is for clients that say who they are.
    #[error(
        "this bridge holds the key of {0} and uses it for clients with a token of its own only"
    )]
    NoToken(VendorName),
    #[error("there is no key for {0}")]
    NoKey(VendorName),
    #[error("the key of {0} was stored for another URL than it has in config.json now")]
    Moved(VendorName),
    #[error("{0} takes no key: needs_key is false in config.json")]
    TakesNoKey(VendorName),
    #[error("no key is held for {0}")]
    NoKeyHeld(VendorName),
    #[error("this is no key: {0}")]
    NotAKey(&'static str),
    #[error("{vendor} cannot be asked")]
    Upstream {
        vendor: VendorName,
        #[source]
        source: UpstreamError,
    },
    #[error(
        "{vendor} answers with HTTP status {status}, which no model API does; it is not followed"
    )]
    Unasked { vendor: VendorName, status: u16 },
    #[error(transparent)]
    Vault(#[from] VaultError),
}

fn listed(names: &[VendorName]) -> String {
    let names: Vec<&str> = names.iter().map(VendorName::as_str).collect();
    names.join(", ")
}

impl VendorError {
    /// Whether the client has to present something else.
    pub fn is_authentication(&self) -> bool {
        matches!(
            self,
            Self::Client(_) | Self::NoToken(_) | Self::NoKey(_) | Self::Moved(_)
        )
    }
}

impl Classify for VendorError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Unknown { .. } | Self::NoKeyHeld(_) => ErrorKind::NotFound,
            Self::Client(error) => error.kind(),
            Self::NoToken(_) => ErrorKind::Denied,
            Self::NoKey(_) | Self::Moved(_) => ErrorKind::NeedsLogin,
            Self::TakesNoKey(_) => ErrorKind::Conflict,
            Self::NotAKey(_) => ErrorKind::InvalidInput,
            Self::Upstream { source, .. } => source.kind(),
            Self::Unasked { .. } => ErrorKind::UpstreamFault,
            Self::Vault(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { .. } => Some(
                "add it to ai.vendors in config.json, then `mcpbridgectl restart`".to_owned(),
            ),
            Self::Client(ClientError::Missing) | Self::NoToken(_) => Some(
                "the user can run `mcpbridgectl client add NAME` and let the client use what it \
                 prints as its API key"
                    .to_owned(),
            ),
            Self::Client(ClientError::Malformed) => Some(
                "send the token alone: as the API key, or in X-MCPBridge-Token beside the vendor's \
                 own key"
                    .to_owned(),
            ),
            Self::Client(error) => error.hint(),
            Self::NoKey(vendor) | Self::Moved(vendor) => Some(format!(
                "the user can run `mcpbridgectl key set {vendor} --stdin` and give the key that the \
                 vendor issued"
            )),
            Self::TakesNoKey(vendor) => Some(format!(
                "remove needs_key from ai.vendors.{vendor} in config.json, then `mcpbridgectl restart`"
            )),
            Self::NoKeyHeld(_) => Some("`mcpbridgectl key list` shows the vendors".to_owned()),
            Self::NotAKey(_) => None,
            Self::Upstream { vendor, source } => match source {
                UpstreamError::Connect { .. } | UpstreamError::Address(_) => Some(format!(
                    "check the network, and ai.vendors.{vendor}.url in config.json"
                )),
                _ => None,
            },
            Self::Unasked { vendor, .. } => {
                Some(format!("check ai.vendors.{vendor}.url in config.json"))
            }
            Self::Vault(error) => error.hint(),
        }
    }
}
