//! Runs `mcpbridgectl` as a person or a script does.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use crate::bins;
use crate::daemon::Home;
use crate::wait;

#[derive(Debug, Clone)]
pub struct Ctl {
    home: Arc<Home>,
}

/// A command that ended.
#[derive(Debug, Clone)]
pub struct Output {
    pub arguments: String,
    /// -1 when a signal ended it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// # Panics
    /// Unless the exit code is 0.
    #[track_caller]
    pub fn success(self) -> Self {
        self.expect_code(0)
    }

    /// # Panics
    /// Unless the exit code is `code`.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        let Self {
            arguments,
            stdout,
            stderr,
            ..
        } = &self;
        assert_eq!(
            self.code, code,
            "mcpbridgectl {arguments}\n{stdout}\n{stderr}"
        );
        self
    }

    /// stdout as one JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_str(&self.stdout) {
            Ok(value) => value,
            Err(error) => panic!("mcpbridgectl {}: {error}\n{}", self.arguments, self.stdout),
        }
    }

    /// stdout as one JSON document per line.
    pub fn json_lines(&self) -> Vec<Value> {
        let lines = self.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Ctl {
    pub fn new(home: &Arc<Home>) -> Self {
        Self { home: home.clone() }
    }

    pub async fn run(&self, arguments: &[&str]) -> Output {
        self.run_with_input(arguments, "").await
    }

    /// Runs with `input` as the whole of stdin.
    pub async fn run_with_input(&self, arguments: &[&str], input: &str) -> Output {
        let mut running = self.spawn(arguments);
        running.write(input).await;
        running.close_input();
        running.wait().await
    }

    /// Runs a command whose output is not searched for secrets: it polls, or shows one on purpose.
    pub async fn run_quietly(&self, arguments: &[&str]) -> Output {
        let output = self
            .command(arguments)
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        Output {
            arguments: arguments.join(" "),
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs to its end on a terminal of its own, and returns what that would show.
    pub async fn run_in_terminal(&self, arguments: &[&str]) -> String {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
        let config_dir = self.home.config_dir();
        let mut words = vec![quoted(bins::mcpbridgectl().to_str().unwrap())];
        words.push(quoted("--config-dir"));
        words.push(quoted(config_dir.to_str().unwrap()));
        words.extend(arguments.iter().map(|one| quoted(one)));
        let mut script = self.home.command(Path::new("script"));
        script
            .args([
                "--quiet",
                "--return",
                "--command",
                &words.join(" "),
                "/dev/null",
            ])
            .env("TERM", "xterm-256color")
            .stdin(Stdio::null());
        let output = wait::within("the command to end", script.output()).await;
        let shown = String::from_utf8(output.unwrap().stdout).unwrap();
        self.home.transcript.lock().unwrap().push_str(&shown);
        shown
    }

    /// Starts a command that talks while it runs.
    pub fn spawn(&self, arguments: &[&str]) -> Running {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let stderr = tokio::spawn(async move {
            let mut text = String::new();
            stderr.read_to_string(&mut text).await.unwrap();
            text
        });
        Running {
            home: self.home.clone(),
            arguments: arguments.join(" "),
            input: child.stdin.take(),
            lines: BufReader::new(child.stdout.take().unwrap()).lines(),
            seen: String::new(),
            stderr,
            child,
        }
    }

    /// A command line, for a test that runs it in its own way.
    pub fn command(&self, arguments: &[&str]) -> Command {
        // Whoever runs the tests in the background has SIGINT ignored, and so have its children.
        let mut command = self.home.command(Path::new("/usr/bin/env"));
        command
            .arg("--default-signal=INT")
            .arg(bins::mcpbridgectl())
            .arg("--config-dir")
            .arg(self.home.config_dir())
            .args(arguments);
        command
    }
}

/// A command that still runs.
#[derive(Debug)]
pub struct Running {
    home: Arc<Home>,
    arguments: String,
    child: Child,
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    seen: String,
    stderr: JoinHandle<String>,
}

impl Running {
    /// The next line of stdout; None at its end.
    pub async fn line(&mut self) -> Option<String> {
        let next = wait::within("a line of output", self.lines.next_line()).await;
        let line = next.unwrap()?;
        self.seen += &line;
        self.seen.push('\n');
        Some(line)
    }

    /// The authorization URL, which `add --no-browser` and `login --no-browser` print alone on a line.
    ///
    /// # Panics
    /// When the command ends without one.
    pub async fn authorization_url(&mut self) -> String {
        while let Some(line) = self.line().await {
            if line.starts_with("http://") || line.starts_with("https://") {
                return line;
            }
        }
        let code = wait::within("the end", self.child.wait()).await.unwrap();
        let stderr = (&mut self.stderr).await.unwrap();
        panic!(
            "no URL from mcpbridgectl {}: {code}\n{}\n{stderr}",
            self.arguments, self.seen
        );
    }

    pub async fn write(&mut self, text: &str) {
        let input = self.input.as_mut().expect("stdin is open");
        // A command that does not read may be gone already.
        let _ = input.write_all(text.as_bytes()).await;
    }

    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// Ends the command as Ctrl-C does.
    pub fn interrupt(&self) {
        let id = self.child.id().expect("the command runs");
        let pid = rustix::process::Pid::from_raw(id.cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    }

    /// Waits for the end. Stdin stays as it is: a login may be waiting for a pasted URL there.
    pub async fn wait(mut self) -> Output {
        while self.line().await.is_some() {}
        let status = wait::within("the command to end", self.child.wait())
            .await
            .unwrap();
        let stderr = wait::within("the end of stderr", self.stderr)
            .await
            .unwrap();
        // Without the arguments: those are the test's own words.
        let transcript = format!("{}\n{stderr}\n", self.seen);
        self.home.transcript.lock().unwrap().push_str(&transcript);
        Output {
            arguments: self.arguments,
            code: status.code().unwrap_or(-1),
            stdout: self.seen,
            stderr,
        }
    }
}
