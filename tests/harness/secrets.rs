//! Every secret the fakes handed out or saw, for the leak search.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};

/// Shared by all fakes of a scenario.
#[derive(Debug, Clone, Default)]
pub struct Secrets(Arc<Mutex<BTreeMap<String, &'static str>>>);

impl Secrets {
    /// A fresh secret of `kind`, remembered. Its alphabet includes `+` and `/`, so that a product which
    /// encodes it wrongly fails loudly.
    pub fn issue(&self, kind: &'static str) -> String {
        let value = format!("{kind}-{}", STANDARD.encode(random::<24>()));
        self.remember(kind, &value);
        value
    }

    /// Remembers a secret that somebody else made.
    pub fn remember(&self, kind: &'static str, value: &str) {
        self.0.lock().unwrap().insert(value.to_owned(), kind);
    }

    /// Pairs of value and kind.
    pub fn all(&self) -> Vec<(String, &'static str)> {
        let known = self.0.lock().unwrap();
        known
            .iter()
            .map(|(value, kind)| (value.clone(), *kind))
            .collect()
    }
}

/// An identifier that nobody can guess and that is not a secret.
pub fn random_id() -> String {
    URL_SAFE_NO_PAD.encode(random::<12>())
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).unwrap();
    bytes
}
