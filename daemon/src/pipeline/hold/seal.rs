//! `requestState` of our own (2026-07-28): what a client must bring back when it makes a call again.
//!
//! The client is no place for trust, so the state is sealed (AES-256-GCM) and says for whom and for
//! what it was made. Inside it lies the state that the server gave, if it gave one, so that both
//! questions share the one round trip. That it is used once is the queue's business: the approval it
//! names can be used once, and once more for each question of the server's, with the state that came
//! with that.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use crate::clock::SharedClock;
use crate::types::{ApprovalId, Digest, ServerName};
use crate::vault::{Vault, VaultError};

/// How a state of ours begins; all others are a server's.
const PREFIX: &str = "mcpbridge1.";
const KEY_RECORD: &str = "approval/state-key";

/// What a state says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pipeline) struct Sealed {
    pub(super) principal: String,
    pub(super) server: ServerName,
    pub(super) tool: String,
    pub(super) argument_digest: Digest,
    pub(super) approval: ApprovalId,
    /// Which run of it the server ended with a question, if that is what the client was given.
    pub(super) run: Option<u32>,
    pub(super) made_at: Timestamp,
    pub(super) expires_at: Timestamp,
    /// What the server gave, to be handed back to it.
    pub(super) inner: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("the key that seals requestState cannot be had")]
    Vault(#[from] VaultError),
    #[error("this machine has no random numbers")]
    NoRandomness,
    #[error("requestState cannot be sealed")]
    Crypto,
}

/// Where the key is. It is made when it is first needed, and kept in the vault, so that a state is
/// good after a restart too.
pub(in crate::pipeline) struct Sealer {
    vault: Vault,
    key: OnceCell<Arc<Key>>,
}

/// Seals and opens.
pub(super) struct Key(LessSafeKey);

impl Sealer {
    pub(in crate::pipeline) fn new(vault: Vault) -> Self {
        Self {
            vault,
            key: OnceCell::new(),
        }
    }

    pub(super) async fn key(&self) -> Result<Arc<Key>, SealError> {
        let key = self.key.get_or_try_init(|| async {
            let key = UnboundKey::new(&AES_256_GCM, &self.bytes().await?);
            let key = key.map_err(|_| SealError::Crypto)?;
            Ok::<_, SealError>(Arc::new(Key(LessSafeKey::new(key))))
        });
        Ok(Arc::clone(key.await?))
    }

    async fn bytes(&self) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let kept = self.vault.get(KEY_RECORD)?;
        if let Some(kept) = kept.filter(|bytes| bytes.len() == AES_256_GCM.key_len()) {
            return Ok(kept);
        }
        let mut fresh = Zeroizing::new(vec![0; AES_256_GCM.key_len()]);
        SystemRandom::new()
            .fill(&mut fresh)
            .map_err(|_| SealError::NoRandomness)?;
        self.vault.put(KEY_RECORD, &fresh).await?;
        Ok(fresh)
    }
}

impl Key {
    pub(super) fn seal(&self, state: &Sealed) -> Result<String, SealError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new()
            .fill(&mut nonce)
            .map_err(|_| SealError::NoRandomness)?;
        let mut bytes = serde_json::to_vec(state).map_err(|_| SealError::Crypto)?;
        let aad = Aad::from(PREFIX.as_bytes());
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut bytes)
            .map_err(|_| SealError::Crypto)?;
        let sealed = [&nonce[..], &bytes].concat();
        Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// None if it was not made here, or has been changed since.
    pub(super) fn open(&self, text: &str) -> Option<Sealed> {
        let sealed = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let (nonce, bytes) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut bytes = bytes.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let aad = Aad::from(PREFIX.as_bytes());
        let plain = self.0.open_in_place(nonce, aad, &mut bytes).ok()?;
        serde_json::from_slice(plain).ok()
    }
}

/// Whether `state` claims to be one of ours.
pub(in crate::pipeline) fn is_ours(state: &str) -> bool {
    state.starts_with(PREFIX)
}

impl Sealed {
    /// Whether it is too old to count.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }

    /// The run of an approval that a call with this state goes on from.
    pub(super) fn round(&self) -> Option<(ApprovalId, u32)> {
        self.run.map(|run| (self.approval, run))
    }

    /// Whether the server has asked the client something.
    pub(super) fn is_of_server(&self) -> bool {
        self.run.is_some() || self.inner.is_some()
    }

    /// How long ago the client got it.
    pub(super) fn age(&self, now: Timestamp) -> SignedDuration {
        now.duration_since(self.made_at)
    }
}

/// Makes the states of one call.
#[derive(Clone)]
pub(super) struct Stamp {
    pub(super) key: Arc<Key>,
    pub(super) clock: SharedClock,
    /// Without times and without a server's state.
    pub(super) call: Sealed,
    pub(super) lifetime: SignedDuration,
}

impl Stamp {
    /// A state with `inner`, what the server gave, inside.
    pub(super) fn seal(&self, inner: Option<String>) -> Result<String, SealError> {
        let now = self.clock.now();
        self.key.seal(&Sealed {
            made_at: now,
            expires_at: now.checked_add(self.lifetime).unwrap_or(Timestamp::MAX),
            inner,
            ..self.call.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::ConfigDir;
    use crate::vault::{KeyOptions, KeySource};

    fn vault(dir: &ConfigDir) -> Vault {
        let options = KeyOptions {
            choice: Some(KeySource::KeyFile),
            ..KeyOptions::default()
        };
        Vault::open(dir, &options).unwrap()
    }

    fn state() -> Sealed {
        Sealed {
            principal: "uid:1".to_owned(),
            server: "up".parse().unwrap(),
            tool: "drop".to_owned(),
            argument_digest: Digest::of(b"{}"),
            approval: ApprovalId::random().unwrap(),
            run: None,
            made_at: Timestamp::UNIX_EPOCH,
            expires_at: Timestamp::UNIX_EPOCH,
            inner: Some("theirs".to_owned()),
        }
    }

    #[tokio::test]
    async fn a_state_opens_after_a_restart_and_only_as_it_was_made() {
        let home = tempfile::tempdir().unwrap();
        let dir = ConfigDir::new(home.path());
        let made = state();
        let key = Sealer::new(vault(&dir)).key().await.unwrap();
        let text = key.seal(&made).unwrap();
        assert!(is_ours(&text) && !text.contains("theirs"));
        let again = Sealer::new(vault(&dir)).key().await.unwrap();
        assert_eq!(again.open(&text), Some(made));
        for at in [0, 1, 20, 40] {
            let mut bytes = URL_SAFE_NO_PAD.decode(&text[PREFIX.len()..]).unwrap();
            bytes[at] ^= 1;
            let changed = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
            assert_eq!(again.open(&changed), None, "{at}");
        }
        for foreign in ["", "x", PREFIX, "mcpbridge1.AAAA"] {
            assert_eq!(again.open(foreign), None, "{foreign}");
        }
    }
}
