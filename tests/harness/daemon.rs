//! A real daemon in a throwaway home.

use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::ctl::Ctl;
use crate::wait::{self, PATIENCE};
use crate::{bins, ctl};

/// A user's home, and everything the commands said.
#[derive(Debug)]
pub struct Home {
    root: TempDir,
    /// What daemons print goes here, which is writable and has room when the home has not.
    output: TempDir,
    /// Output of every command run, for the leak search.
    pub transcript: Mutex<String>,
    /// Environment variables of the product's processes, besides the fixed ones.
    pub environment: Mutex<Vec<(String, String)>>,
}

impl Home {
    pub fn create() -> Arc<Self> {
        Self::create_in(&std::env::temp_dir())
    }

    /// A home on another file system.
    pub fn create_in(parent: &Path) -> Arc<Self> {
        let root = tempfile::Builder::new()
            .prefix("mcpb-")
            .tempdir_in(parent)
            .unwrap();
        let output = tempfile::Builder::new()
            .prefix("mcpb-out-")
            .tempdir()
            .unwrap();
        // Others may look in here, so that only the product's own modes keep them out.
        fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
        for (name, mode) in [("home", 0o755), ("run", 0o700)] {
            let path = root.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        }
        Arc::new(Self {
            root,
            output,
            transcript: Mutex::default(),
            environment: Mutex::default(),
        })
    }

    pub fn path(&self) -> &Path {
        self.root.path()
    }

    pub fn output_dir(&self) -> &Path {
        self.output.path()
    }

    pub fn config_dir(&self) -> PathBuf {
        self.path().join("home/bridge")
    }

    pub fn config_file(&self) -> PathBuf {
        self.config_dir().join("config.json")
    }

    pub fn tokens_file(&self) -> PathBuf {
        self.config_dir().join("tokens.enc")
    }

    pub fn state_file(&self) -> PathBuf {
        self.config_dir().join("state.db")
    }

    pub fn socket(&self) -> PathBuf {
        self.config_dir().join("control.sock")
    }

    /// Sets an environment variable of processes started from now on.
    pub fn set_env(&self, name: &str, value: &str) {
        self.environment
            .lock()
            .unwrap()
            .push((name.to_owned(), value.to_owned()));
    }

    /// `program` with nothing of the test's environment but the search path.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path().join("home"))
            .env("XDG_RUNTIME_DIR", self.path().join("run"))
            .env("RUST_BACKTRACE", "1")
            .envs(self.environment.lock().unwrap().iter().cloned())
            .kill_on_drop(true);
        command
    }

    /// Chooses where the vault key lives.
    pub async fn init(self: &Arc<Self>, key_store: &str) {
        Ctl::new(self)
            .run(&["init", "--key-store", key_store])
            .await
            .success();
    }

    /// Whether `init` still has to choose where the vault key lives.
    fn is_fresh(&self) -> bool {
        !self.config_dir().exists()
    }
}

impl Drop for Home {
    /// A daemon that `mcpbridgectl start` left running outlives a failed test; it names itself in the
    /// lock file.
    fn drop(&mut self) {
        let lock = self.config_dir().join("daemon.lock");
        let pid = fs::read_to_string(lock).unwrap_or_default();
        let command = fs::read(format!("/proc/{}/cmdline", pid.trim())).unwrap_or_default();
        let ours = String::from_utf8_lossy(&command).contains(self.path().to_str().unwrap());
        if let Some(pid) = pid
            .trim()
            .parse()
            .ok()
            .and_then(Pid::from_raw)
            .filter(|_| ours)
        {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

#[derive(Debug)]
pub struct TestDaemon {
    home: Arc<Home>,
    child: Option<Child>,
    /// Of the first start; a restart listens there again, as registered redirect URIs say.
    port: u16,
    base_url: String,
    arguments: Vec<String>,
}

impl TestDaemon {
    /// Starts a daemon on a free port, its vault key in a key file, and waits until it answers.
    pub async fn start(home: &Arc<Home>) -> Self {
        Self::start_with(home, &[]).await
    }

    /// `arguments` come after the usual ones.
    pub async fn start_with(home: &Arc<Home>, arguments: &[&str]) -> Self {
        let mut daemon = Self::prepare(home, arguments).await;
        daemon.launch().await;
        daemon
    }

    /// A daemon that was initialised and not started.
    pub async fn prepare(home: &Arc<Home>, arguments: &[&str]) -> Self {
        if home.is_fresh() {
            Ctl::new(home)
                .run(&["init", "--key-store", "key-file"])
                .await
                .success();
        }
        Self {
            home: home.clone(),
            child: None,
            port: 0,
            base_url: String::new(),
            arguments: arguments.iter().map(|one| (*one).to_owned()).collect(),
        }
    }

    /// Starts the process and waits until it answers.
    pub async fn launch(&mut self) {
        self.spawn();
        let ctl = Ctl::new(&self.home);
        let status = wait::until("the daemon to answer", PATIENCE, async || {
            let exited = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(
                exited.is_none(),
                "the daemon ended: {exited:?}\n{}",
                self.output()
            );
            let status = ctl.run_quietly(&["status", "--json"]).await;
            (status.code == 0).then(|| status.json())
        })
        .await;
        self.base_url = status["base_url"].as_str().unwrap().to_owned();
        self.port = url::Url::parse(&self.base_url).unwrap().port().unwrap();
    }

    /// Starts the process without waiting, for tests of a start that fails.
    pub fn spawn(&mut self) {
        let sink = |name: &str| -> File {
            let path = self.home.output_dir().join(name);
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .unwrap()
        };
        let mut command = self.home.command(&bins::mcpbridged());
        command
            .arg("--config-dir")
            .arg(self.home.config_dir())
            .args(["--port", &self.port.to_string()])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(sink("daemon.out"))
            .stderr(sink("daemon.err"));
        self.child = Some(command.spawn().unwrap());
    }

    /// Waits for the process to end by itself.
    pub async fn wait(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the daemon was started");
        wait::within("the daemon to end", child.wait())
            .await
            .unwrap()
    }

    /// SIGKILL: nothing of the daemon's own runs any more.
    pub async fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait().await;
    }

    /// SIGTERM, as a service manager stops it.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait().await
    }

    pub async fn restart(&mut self) {
        if self.child.is_some() {
            self.stop().await;
        }
        self.launch().await;
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    pub fn pid(&self) -> Pid {
        let id = self
            .child
            .as_ref()
            .and_then(Child::id)
            .expect("the daemon runs");
        Pid::from_raw(id.cast_signed()).unwrap()
    }

    pub fn is_started(&self) -> bool {
        self.child.is_some()
    }

    pub fn home(&self) -> &Arc<Home> {
        &self.home
    }

    /// Where the next start listens; 0 picks a free port.
    pub fn use_port(&mut self, port: u16) {
        self.port = port;
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Such as `http://localhost:41234`.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// What a client is pointed at.
    pub fn mcp_url(&self, server: &str) -> String {
        format!("{}/mcp/{server}", self.base_url)
    }

    /// [`Self::output`] when `text` is in it: lines of a call may come a moment after its answer.
    pub async fn wrote(&self, text: &str) -> String {
        let what = || format!("{text:?} in the log:\n{}", self.output());
        wait::until_or(what, PATIENCE, async || {
            Some(self.output()).filter(|output| output.contains(text))
        })
        .await
    }

    /// What the daemon wrote to stdout, stderr and its log files, over all its starts.
    pub fn output(&self) -> String {
        let mut text = String::new();
        for name in ["daemon.out", "daemon.err"] {
            text += &fs::read_to_string(self.home.output_dir().join(name)).unwrap_or_default();
        }
        for entry in fs::read_dir(self.home.config_dir().join("logs"))
            .into_iter()
            .flatten()
        {
            text += &fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
        }
        text
    }

    pub async fn status(&self) -> Value {
        ctl::Ctl::new(&self.home)
            .run(&["status", "--json"])
            .await
            .success()
            .json()
    }
}
