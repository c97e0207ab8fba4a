//! The vault as a whole, against its file. No test here asks the keyring of the machine.

use std::fs;

use serde_json::Value;

use super::*;
use crate::error::{Classify, chain};
use crate::paths::write_atomic;
use crate::types::Secret;

struct Home {
    dir: ConfigDir,
    options: KeyOptions,
    _temp: tempfile::TempDir,
}

impl Home {
    /// A home whose vault has its key in a key file: the fastest source.
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        Self {
            dir: ConfigDir::new(temp.path()),
            options: KeyOptions {
                choice: Some(KeySource::KeyFile),
                ..KeyOptions::default()
            },
            _temp: temp,
        }
    }

    async fn with_records(records: &[(&str, &str)]) -> Self {
        let home = Self::new();
        let vault = home.open().unwrap();
        for (id, secret) in records {
            vault.put(id, secret.as_bytes()).await.unwrap();
        }
        home
    }

    fn open(&self) -> Result<Vault, VaultError> {
        Vault::open(&self.dir, &self.options)
    }

    fn content(&self) -> Vec<u8> {
        fs::read(self.dir.tokens_file()).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.content()).unwrap()
    }

    fn set_content(&self, content: &[u8]) {
        write_atomic(&self.dir.tokens_file(), content).unwrap();
    }

    /// Opens the vault with its file replaced, and checks that the file stays as it is.
    fn open_altered(&self, content: &[u8]) -> Result<Vault, VaultError> {
        self.set_content(content);
        let result = self.open();
        assert_eq!(self.content(), content);
        result
    }

    fn previous(&self) -> std::path::PathBuf {
        self.dir.path().join("tokens.enc.prev")
    }
}

fn text(vault: &Vault, id: &str) -> Option<String> {
    let secret = vault.get(id).unwrap()?;
    Some(String::from_utf8(secret.to_vec()).unwrap())
}

#[tokio::test]
async fn secrets_come_back_after_reopening_and_vaults_do_not_mix() {
    let one = Home::with_records(&[("a", "first"), ("b", "second"), ("a", "third")]).await;
    let two = Home::with_records(&[("a", "other")]).await;
    let vault = one.open().unwrap();
    assert_eq!(vault.ids(), ["a", "b"]);
    assert_eq!(text(&vault, "a").as_deref(), Some("third"));
    assert_eq!(text(&vault, "c"), None);
    vault.remove("a").await.unwrap();
    vault.remove("never there").await.unwrap();
    assert_eq!(one.open().unwrap().ids(), ["b"]);
    assert_eq!(text(&two.open().unwrap(), "a").as_deref(), Some("other"));
    let error = one.open_altered(&two.content()).unwrap_err();
    assert!(matches!(error, VaultError::WrongKey { .. }), "{error:?}");
}

#[tokio::test]
async fn nothing_readable_is_on_disk_or_in_debug_output() {
    let home = Home::with_records(&[("a", "hunter2-hunter2")]).await;
    let file = String::from_utf8(home.content()).unwrap();
    assert!(!file.contains("hunter2"));
    let key = fs::read_to_string(home.dir.key_file()).unwrap();
    assert!(!file.contains(key.trim()));
    assert_eq!(
        format!("{:?}", home.open().unwrap()),
        "Vault { key_source: KeyFile, .. }"
    );
    let left: Vec<_> = fs::read_dir(home.dir.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "the vault and its key, nothing else");
}

#[test]
fn opening_writes_no_vault_and_creating_does_once() {
    let home = Home::new();
    home.open().unwrap();
    assert!(!home.dir.tokens_file().exists());
    Vault::create(&home.dir, &home.options).unwrap();
    let content = home.content();
    Vault::create(&home.dir, &home.options).unwrap();
    assert_eq!(home.content(), content);
    // The choice sticks.
    let vault = Vault::open(&home.dir, &KeyOptions::default()).unwrap();
    assert_eq!(vault.key_source(), KeySource::KeyFile);
}

#[tokio::test]
async fn a_vault_opens_with_the_source_in_its_header() {
    let mut home = Home::new();
    write_atomic(&home.dir.path().join("mcp-oauth-bridge-key"), &[9; 40]).unwrap();
    for source in [KeySource::ServiceCredential, KeySource::Passphrase] {
        home.options = KeyOptions {
            choice: Some(source),
            service_credential_dir: Some(home.dir.path().to_owned()),
            passphrase: Some(Secret::new("correct horse")),
        };
        home.open().unwrap().put("a", b"x").await.unwrap();
        home.options.choice = None;
        let vault = home.open().unwrap();
        assert_eq!(vault.key_source(), source);
        assert_eq!(text(&vault, "a").as_deref(), Some("x"));

        home.options.choice = Some(KeySource::KeyFile);
        let error = home.open().unwrap_err();
        assert!(matches!(error, VaultError::OtherKeySource { .. }));

        home.options = KeyOptions::default();
        let error = home.open().unwrap_err();
        assert!(matches!(error, VaultError::Key { origin, .. } if origin == source));
        fs::remove_file(home.dir.tokens_file()).unwrap();
    }
}

#[tokio::test]
async fn a_wrong_passphrase_and_altered_rounds_do_not_open() {
    let mut home = Home::new();
    home.options = KeyOptions {
        choice: Some(KeySource::Passphrase),
        passphrase: Some(Secret::new("right")),
        ..KeyOptions::default()
    };
    Vault::create(&home.dir, &home.options).unwrap();
    let good = String::from_utf8(home.content()).unwrap();
    for (rounds, expected) in [
        ("599999", "rounds of key derivation"),
        ("10000001", "rounds of key derivation"),
        ("600001", "does not open with the key from the passphrase"),
    ] {
        let altered = good.replace("600000", rounds);
        assert_ne!(altered, good);
        let error = home.open_altered(altered.as_bytes()).unwrap_err();
        assert!(chain(&error).contains(expected), "{}", chain(&error));
        assert!(error.hint().is_some());
    }
    home.options.passphrase = Some(Secret::new("wrong"));
    let error = home.open_altered(good.as_bytes()).unwrap_err();
    assert!(matches!(error, VaultError::WrongKey { .. }), "{error:?}");
    assert!(error.hint().unwrap().starts_with("check the passphrase"));
}

#[tokio::test]
async fn a_lost_or_foreign_key_file_does_not_open() {
    let home = Home::with_records(&[("a", "x")]).await;
    let content = home.content();
    fs::remove_file(home.dir.key_file()).unwrap();
    let error = home.open().unwrap_err();
    assert!(chain(&error).contains("there is no key file"));
    assert!(!home.dir.key_file().exists(), "no new key for an old vault");
    keyfile::create(&home.dir.key_file()).unwrap();
    let error = home.open().unwrap_err();
    assert!(matches!(error, VaultError::WrongKey { .. }), "{error:?}");
    assert_eq!(home.content(), content);
}

#[tokio::test]
async fn a_file_cut_at_any_length_is_called_truncated() {
    let home = Home::with_records(&[("a", "x"), ("b", "y")]).await;
    let good = home.content();
    for length in 0..good.len() {
        let error = home.open_altered(&good[..length]).unwrap_err();
        assert!(
            matches!(error, VaultError::Truncated { .. }),
            "{length}: {error:?}"
        );
        assert!(error.hint().is_some());
    }
    assert!(home.open_altered(&good).is_ok());
}

#[tokio::test]
async fn a_file_with_any_bit_flipped_does_not_open() {
    let home = Home::with_records(&[("a", "x"), ("b", "y")]).await;
    let mut bytes = home.content();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            // Not through `write_atomic`: thousands of syncs take too long.
            overwrite(&home, &bytes);
            let error = home.open().unwrap_err();
            assert!(error.hint().is_some(), "byte {at} bit {bit}: {error:?}");
            assert_eq!(home.content(), bytes);
            bytes[at] ^= 1 << bit;
        }
    }
    overwrite(&home, &bytes);
    assert!(home.open().is_ok());
}

fn overwrite(home: &Home, content: &[u8]) {
    use std::io::Write;
    let mut file = fs::File::create(home.dir.tokens_file()).unwrap();
    file.write_all(content).unwrap();
}

#[tokio::test]
async fn records_cannot_be_rearranged_within_a_file() {
    let home = Home::with_records(&[("a", "old")]).await;
    let old = home.json();
    let vault = home.open().unwrap();
    vault.put("a", b"new").await.unwrap();
    vault.put("b", b"other").await.unwrap();
    let good = home.json();
    type Alter = fn(&mut Value, &Value);
    let alterations: [(&str, Alter); 7] = [
        ("swap", |file, _| {
            let a = file["records"]["a"].take();
            file["records"]["a"] = file["records"]["b"].take();
            file["records"]["b"] = a;
        }),
        ("copy", |file, _| {
            file["records"]["a"] = file["records"]["b"].clone()
        }),
        ("remove", |file, _| {
            file["records"].as_object_mut().unwrap().remove("b");
        }),
        ("add", |file, _| {
            file["records"]["c"] = file["records"]["b"].clone()
        }),
        ("roll a record back", |file, old| {
            file["records"]["a"] = old["records"]["a"].clone();
        }),
        ("roll the list back", |file, old| {
            file["manifest"] = old["manifest"].clone();
        }),
        ("manifest as record", |file, _| {
            file["records"]["a"] = file["manifest"].clone();
        }),
    ];
    for (name, alter) in alterations {
        let mut file = good.clone();
        alter(&mut file, &old);
        let error = home.open_altered(file.to_string().as_bytes()).unwrap_err();
        assert!(
            matches!(error, VaultError::Damaged { .. }),
            "{name}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_newer_version_is_named_and_left_alone() {
    let home = Home::with_records(&[("a", "x")]).await;
    let mut file = home.json();
    file["version"] = 2.into();
    file["something"] = "new".into();
    let error = home.open_altered(file.to_string().as_bytes()).unwrap_err();
    assert!(
        matches!(error, VaultError::Newer { version: 2, .. }),
        "{error:?}"
    );
    let error = home
        .open_altered(b"{\"format\": \"x\", \"version\": 1}")
        .unwrap_err();
    assert!(chain(&error).contains("it is not a vault file"));
}

#[tokio::test]
async fn the_previous_generation_is_used_only_when_there_is_no_other() {
    let home = Home::with_records(&[("a", "x")]).await;
    let good = home.content();
    write_atomic(&home.previous(), &good).unwrap();
    let error = home.open_altered(b"{").unwrap_err();
    assert!(error.hint().unwrap().contains("tokens.enc.prev"));
    assert_eq!(fs::read(home.previous()).unwrap(), good);

    fs::remove_file(home.dir.tokens_file()).unwrap();
    assert_eq!(text(&home.open().unwrap(), "a").as_deref(), Some("x"));
    assert_eq!(home.content(), good);
    assert!(!home.previous().exists());

    // One that does not verify is not taken either, and stays where it is.
    fs::remove_file(home.dir.tokens_file()).unwrap();
    write_atomic(&home.previous(), b"{").unwrap();
    let error = home.open().unwrap_err();
    assert!(matches!(
        error,
        VaultError::Truncated { previous: None, .. }
    ));
    assert!(!home.dir.tokens_file().exists());
    assert!(home.previous().exists());
}

#[tokio::test]
async fn a_write_that_fails_changes_nothing() {
    let home = Home::with_records(&[("a", "old")]).await;
    let vault = home.open().unwrap();
    let before = home.content();
    let elsewhere = tempfile::tempdir().unwrap();
    let hidden = elsewhere.path().join("hidden");
    fs::rename(home.dir.path(), &hidden).unwrap();
    let error = vault.put("a", b"new").await.unwrap_err();
    assert!(matches!(error, VaultError::Write { .. }), "{error:?}");
    assert!(vault.remove("a").await.is_err());
    assert_eq!(text(&vault, "a").as_deref(), Some("old"));
    fs::rename(&hidden, home.dir.path()).unwrap();
    assert_eq!(home.content(), before);
    vault.put("a", b"new").await.unwrap();
    assert_eq!(text(&home.open().unwrap(), "a").as_deref(), Some("new"));
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writers_lose_nothing() {
    let home = Home::new();
    let vault = home.open().unwrap();
    let writes = (0..20).map(|n| {
        let vault = vault.clone();
        async move { vault.put(&format!("id{n}"), b"x").await }
    });
    for result in futures_util::future::join_all(writes).await {
        result.unwrap();
    }
    assert_eq!(home.open().unwrap().ids().len(), 20);
}
