//! Where secrets live, and what happens when that place is damaged.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use mcpbridge_tests::ctl::Output;
use mcpbridge_tests::daemon::Home;
use mcpbridge_tests::keyring::Keyring;
use mcpbridge_tests::{Ctl, Scenario, TestDaemon};
use serde_json::json;
use tokio::process::Command;

type Damage = fn(&mut Vec<u8>);

async fn greets(scenario: &Scenario) {
    let answer = scenario
        .call("hello", "hello_world", json!({ "name": "V" }))
        .await;
    answer.assert_text("Hello, V!");
}

/// The daemon ends at once, and says `why`.
async fn does_not_start(scenario: &mut Scenario, why: &str) {
    scenario.daemon.spawn();
    assert!(!scenario.daemon.wait().await.success());
    let said = scenario.daemon.output();
    assert!(said.contains(why), "{said}");
}

#[tokio::test]
async fn a_damaged_vault_stops_the_daemon_and_is_not_touched() {
    let damages: [(&str, Damage); 4] = [
        ("flipped", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }),
        ("truncated", |bytes| bytes.truncate(bytes.len() - 7)),
        ("emptied", Vec::clear),
        ("replaced", |bytes| *bytes = b"not a vault".to_vec()),
    ];
    for (what, damage) in damages {
        let mut scenario = Scenario::start().await;
        scenario.add("hello").await;
        scenario.daemon.stop().await;
        let good = fs::read(scenario.tokens_file()).unwrap();
        let mut bad = good.clone();
        damage(&mut bad);
        fs::write(scenario.tokens_file(), &bad).unwrap();
        scenario.daemon.spawn();
        assert!(!scenario.daemon.wait().await.success(), "{what}");
        let said = scenario.daemon.output();
        assert!(
            said.contains("tokens.enc") && said.contains("hint:"),
            "{what}: {said}"
        );
        assert_eq!(fs::read(scenario.tokens_file()).unwrap(), bad, "{what}");
        fs::write(scenario.tokens_file(), &good).unwrap();
        scenario.daemon.launch().await;
        greets(&scenario).await;
        scenario.finish().await;
    }
}

#[tokio::test]
async fn another_key_stops_the_daemon_and_nothing_is_overwritten() {
    let mut scenario = Scenario::start().await;
    scenario.add("hello").await;
    scenario.daemon.stop().await;
    let other = Home::create();
    Ctl::new(&other)
        .run(&["init", "--key-store", "key-file"])
        .await
        .success();
    let mut second = TestDaemon::prepare(&other, &[]).await;
    second.launch().await;
    second.stop().await;
    let key = scenario.home.config_dir().join("vault.key");
    let (good, vault) = (
        fs::read(&key).unwrap(),
        fs::read(scenario.tokens_file()).unwrap(),
    );
    fs::copy(other.config_dir().join("vault.key"), &key).unwrap();
    scenario.daemon.spawn();
    assert_eq!(scenario.daemon.wait().await.code(), Some(5));
    let said = scenario.daemon.output();
    for words in [
        "tokens.enc does not open with the key from the key-file",
        "hint: restore the key file from a backup",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!(fs::read(scenario.tokens_file()).unwrap(), vault);
    fs::write(&key, good).unwrap();
    scenario.daemon.launch().await;
    greets(&scenario).await;
    scenario.finish().await;
}

#[tokio::test]
async fn a_passphrase_file_opens_the_vault_and_a_wrong_one_does_not() {
    let home = Home::create();
    let phrase = home.path().join("home/phrase");
    private_file(&phrase, "correct horse battery staple\n");
    home.set_env("MCPBRIDGE_PASSPHRASE_FILE", phrase.to_str().unwrap());
    let mut scenario = Scenario::builder()
        .home(home)
        .key_store("passphrase")
        .start()
        .await;
    scenario
        .secrets
        .remember("passphrase", "correct horse battery staple");
    assert_eq!(scenario.daemon.status().await["key_store"], "passphrase");
    scenario.add("hello").await;
    scenario.daemon.restart().await;
    greets(&scenario).await;
    scenario.daemon.stop().await;
    let vault = fs::read(scenario.tokens_file()).unwrap();
    private_file(&phrase, "wrong\n");
    does_not_start(&mut scenario, "passphrase").await;
    assert_eq!(fs::read(scenario.tokens_file()).unwrap(), vault);
    fs::remove_file(&phrase).unwrap();
    scenario.finish().await;
}

#[tokio::test]
async fn the_key_is_stored_in_a_real_keyring_and_read_back() {
    let home = Home::create();
    let keyring = Keyring::start(&home).await;
    let mut scenario = Scenario::builder()
        .home(home)
        .key_store("keyring")
        .start()
        .await;
    assert_eq!(scenario.daemon.status().await["key_store"], "keyring");
    let key = keyring.key().await.expect("the keyring has the key");
    scenario.secrets.remember("vault key", &key);
    scenario.add("hello").await;
    scenario.daemon.restart().await;
    greets(&scenario).await;
    assert!(!scenario.home.config_dir().join("vault.key").exists());
    scenario.finish().await;
}

#[tokio::test]
async fn the_keyring_is_not_replaced_when_it_is_missing_later() {
    let home = Home::create();
    let keyring = Keyring::start(&home).await;
    let mut scenario = Scenario::builder()
        .home(home)
        .key_store("keyring")
        .start()
        .await;
    scenario.add("hello").await;
    scenario.daemon.stop().await;
    let vault = fs::read(scenario.tokens_file()).unwrap();
    drop(keyring);
    does_not_start(&mut scenario, "keyring").await;
    assert_eq!(fs::read(scenario.tokens_file()).unwrap(), vault);
    scenario.finish().await;
}

#[tokio::test]
async fn without_a_chosen_key_store_and_without_a_keyring_the_daemon_says_how_to_choose() {
    let home = Home::create();
    fs::create_dir(home.config_dir()).unwrap();
    let mut daemon = TestDaemon::prepare(&home, &[]).await;
    daemon.spawn();
    assert!(!daemon.wait().await.success());
    let said = daemon.output();
    assert!(said.contains("mcpbridgectl init"), "{said}");
    assert!(!home.tokens_file().exists());
}

#[tokio::test]
async fn a_full_disk_loses_nothing() {
    let disk = SmallDisk::mount().await;
    let home = Home::create_in(&disk.path);
    let mut scenario = Scenario::builder().home(home).start().await;
    scenario.add("hello").await;
    let vault = fs::read(scenario.tokens_file()).unwrap();
    let config = fs::read(scenario.home.config_file()).unwrap();
    disk.fill();
    let url = scenario.mcp.url();
    let output = scenario
        .ctl
        .run(&["add", "second", &url, "--no-auth"])
        .await;
    let output = output.expect_code(9);
    names_the_full_disk(&output, "config.json");
    // A rotated token that cannot be stored must not be served, nor the stored one be lost.
    let output = scenario.ctl.run(&["refresh", "hello"]).await.expect_code(9);
    names_the_full_disk(&output, "tokens.enc");
    // What cannot be recorded does not run.
    let name = json!({ "name": "V" });
    let refused = scenario.call("hello", "hello_world", name).await;
    assert!(refused.is_tool_error(), "{:?}", refused.message);
    assert!(
        refused.text().contains("disk is full"),
        "{}",
        refused.text()
    );
    assert_eq!(scenario.mcp.executions("hello_world"), 0);
    assert_eq!(fs::read(scenario.tokens_file()).unwrap(), vault);
    assert_eq!(fs::read(scenario.home.config_file()).unwrap(), config);
    disk.empty();
    greets(&scenario).await;
    scenario.ctl.run(&["refresh", "hello"]).await.success();
    scenario.daemon.restart().await;
    assert_eq!(scenario.show("hello").await["state"], "active");
    greets(&scenario).await;
    // The rotated refresh token is what survived: it still buys access, and nobody signed in again.
    scenario.authz.expire_access_tokens();
    greets(&scenario).await;
    let authz = &scenario.authz;
    assert_eq!((authz.code_exchanges(), authz.reuse_detected()), (1, 0));
    let absent = scenario.ctl.run(&["show", "second"]).await;
    absent.expect_code(4);
    scenario.finish().await;
}

#[track_caller]
fn names_the_full_disk(output: &Output, file: &str) {
    let reason = format!("{file} cannot be written");
    for words in [&reason, "No space left on device", "check the free space"] {
        assert!(output.stderr.contains(words), "{words}: {}", output.stderr);
    }
}

#[tokio::test]
async fn a_read_only_directory_is_named() {
    let disk = SmallDisk::mount().await;
    let home = Home::create_in(&disk.path);
    let mut scenario = Scenario::builder().home(home).start().await;
    scenario.add("hello").await;
    scenario.daemon.stop().await;
    disk.remount("ro").await;
    let directory = scenario.home.config_dir();
    does_not_start(&mut scenario, directory.to_str().unwrap()).await;
    disk.remount("rw").await;
    scenario.daemon.launch().await;
    greets(&scenario).await;
    scenario.finish().await;
}

fn private_file(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A file system of one megabyte, for tests that fill it.
struct SmallDisk {
    path: std::path::PathBuf,
    _directory: tempfile::TempDir,
}

impl SmallDisk {
    async fn mount() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("mcpb-disk-")
            .tempdir()
            .unwrap();
        let path = directory.path().to_owned();
        let target = path.to_str().unwrap();
        run(
            "mount",
            &["-t", "tmpfs", "-o", "size=1m,mode=755", "mcpb", target],
        )
        .await;
        Self {
            path,
            _directory: directory,
        }
    }

    fn fill(&self) {
        use std::io::Write as _;
        let mut file = fs::File::create(self.path.join("filler")).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        while file.write_all(&[0]).is_ok() {}
    }

    fn empty(&self) {
        fs::remove_file(self.path.join("filler")).unwrap();
    }

    async fn remount(&self, mode: &str) {
        let options = format!("remount,{mode}");
        run("mount", &["-o", &options, self.path.to_str().unwrap()]).await;
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, because files of a failed test may still be open.
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.path)
            .status();
    }
}

async fn run(program: &str, arguments: &[&str]) {
    let root = rustix::process::geteuid().is_root();
    let mut command = Command::new(if root { program } else { "sudo" });
    if !root {
        command.args(["-n", program]);
    }
    let output = command.args(arguments).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "{program} {arguments:?} (needs root or sudo): {said}"
    );
}
