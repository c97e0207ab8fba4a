//! A real desktop keyring (gnome-keyring) on a session bus of its own.

use std::process::Stdio;
use std::sync::Arc;

use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

use crate::daemon::Home;
use crate::desktop::session_bus;
use crate::wait::{self, PATIENCE};

#[derive(Debug)]
pub struct Keyring {
    home: Arc<Home>,
    address: String,
    _bus: Child,
    _keyring: Child,
}

impl Keyring {
    /// Starts the bus and an unlocked keyring, and lets processes of `home` find them.
    ///
    /// # Panics
    /// When the Debian packages dbus-daemon, dbus-bin, gnome-keyring and libsecret-tools are missing.
    pub async fn start(home: &Arc<Home>) -> Self {
        let (bus, address) = session_bus(home).await;
        let mut keyring = home
            .command("gnome-keyring-daemon".as_ref())
            .args(["--foreground", "--unlock", "--components=secrets"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("gnome-keyring is installed");
        // The keyring's password ends with the input.
        let mut password = keyring.stdin.take().unwrap();
        password.write_all(b"a password").await.unwrap();
        drop(password);
        let started = Self {
            home: home.clone(),
            address,
            _bus: bus,
            _keyring: keyring,
        };
        wait::until("the keyring", PATIENCE, async || {
            started.is_ready().await.then_some(())
        })
        .await;
        started
    }

    /// The vault key as the keyring has it; None when there is none.
    pub async fn key(&self) -> Option<String> {
        let search = ["lookup", "service", "mcp-oauth-bridge"];
        let found = self.command("secret-tool").args(search).output().await;
        let found = found.expect("libsecret-tools is installed").stdout;
        (!found.is_empty()).then(|| String::from_utf8(found).unwrap())
    }

    async fn is_ready(&self) -> bool {
        let question = "org.freedesktop.DBus.NameHasOwner";
        let answer = self
            .command("dbus-send")
            .args([
                "--session",
                "--print-reply",
                "--dest=org.freedesktop.DBus",
                "/",
                question,
            ])
            .arg("string:org.freedesktop.secrets")
            .output()
            .await
            .expect("dbus-bin is installed");
        String::from_utf8_lossy(&answer.stdout).contains("boolean true")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.home.command(program.as_ref());
        command.env("DBUS_SESSION_BUS_ADDRESS", &self.address);
        command
    }
}
