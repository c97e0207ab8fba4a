//! A command at a terminal: what a person sees, and the keys they press.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use tokio::process::{Child, Command};

use crate::wait;

/// A terminal that draws starts each screen with this.
const NEW_SCREEN: &str = "\x1b[?2026h";

#[derive(Debug)]
pub struct Terminal {
    child: Child,
    master: File,
    /// Kept open, so that the terminal outlives the command.
    line: OwnedFd,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Runs `command` at a terminal of 80 columns and 24 rows.
    pub fn spawn(command: Command) -> Self {
        Self::start(command, None)
    }

    /// The same with its standard output in `file`: only talk and questions are at the terminal.
    pub fn spawn_into(command: Command, file: File) -> Self {
        Self::start(command, Some(file))
    }

    fn start(mut command: Command, output: Option<File>) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let line = rustix::fs::open(&*name, flags, Mode::empty()).unwrap();
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&line, size).unwrap();
        let end = || Stdio::from(line.try_clone().unwrap());
        let child = command
            .env("TERM", "xterm-256color")
            .stdin(end())
            .stdout(output.map_or_else(end, Stdio::from))
            .stderr(end())
            .spawn()
            .unwrap();
        let master = File::from(master);
        let mut output = master.try_clone().unwrap();
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&written);
        // Ends with the terminal.
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut chunk) {
                sink.lock().unwrap().extend_from_slice(&chunk[..count]);
            }
        });
        Self {
            child,
            master,
            line,
            written,
        }
    }

    pub fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Everything that was written to the terminal, as it was written.
    pub fn written(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    /// The last whole screen, without its colours, a line for a row.
    pub fn screen(&self) -> String {
        let written = self.written();
        let whole = written.rfind("\x1b[?2026l").unwrap_or(0);
        let begun = written[..whole].rfind(NEW_SCREEN).unwrap_or(0);
        without_sequences(&written[begun..whole])
    }

    /// Waits until the screen shows `text`.
    pub async fn shows(&self, text: &str) -> String {
        let seen = async || Some(self.screen()).filter(|screen| screen.contains(text));
        let what = || format!("{text:?} on\n{}", self.screen());
        wait::until_or(what, wait::PATIENCE, seen).await
    }

    /// Waits until `text` was written `times` times, by a command that draws no screens.
    pub async fn wrote(&self, text: &str, times: usize) {
        let what = format!("{text:?}, {times} times");
        wait::until_true(&what, || self.written().matches(text).count() >= times).await;
    }

    /// Waits for the end of the command; its exit code, -1 when a signal ended it.
    pub async fn wait(&mut self) -> i32 {
        let status = wait::within("the command to end", self.child.wait()).await;
        status.unwrap().code().unwrap_or(-1)
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = self.child.id().expect("the command runs");
        let pid = rustix::process::Pid::from_raw(id.cast_signed()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Whether lines are edited and keys are shown, as a shell wants it.
    pub fn is_as_before(&self) -> bool {
        let modes = tcgetattr(&self.line).unwrap().local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }
}

/// Text with every control sequence taken out; a move of the cursor begins a line.
fn without_sequences(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("\x1b[") {
        plain.push_str(&rest[..at]);
        let sequence = &rest[at + 2..];
        let end = sequence
            .find(|c: char| ('@'..='~').contains(&c))
            .unwrap_or(sequence.len() - 1);
        if sequence.as_bytes()[end] == b'H' {
            plain.push('\n');
        }
        rest = &sequence[end + 1..];
    }
    plain + rest
}
