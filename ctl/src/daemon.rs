//! `mcpbridged` as a program: where it is, how to run it, what it says when it fails.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output};

use crate::context::Context;
use crate::error::Failure;
use crate::exit::Exit;

const NAME: &str = if cfg!(windows) {
    "mcpbridged.exe"
} else {
    "mcpbridged"
};

/// The daemon that was installed beside this program, else the one on `PATH`.
pub fn program() -> PathBuf {
    std::env::current_exe()
        .and_then(|exe| exe.canonicalize())
        .ok()
        .map(|exe| exe.with_file_name(NAME))
        .filter(|beside| beside.is_file())
        .unwrap_or_else(|| PathBuf::from(NAME))
}

/// The arguments that make it serve this context.
pub fn arguments(context: &Context) -> Vec<OsString> {
    let mut arguments = vec!["--config-dir".into(), context.config_dir.clone().into()];
    if let Some(socket) = &context.socket {
        let absolute = std::path::absolute(socket).unwrap_or_else(|_| socket.clone());
        arguments.extend(["--socket".into(), absolute.into()]);
    }
    arguments
}

/// It could not be run at all.
pub fn not_runnable(program: &Path, cause: &std::io::Error) -> Failure {
    Failure::local(format!("cannot run {}", program.display()), cause)
        .hint("install mcpbridged beside mcpbridgectl, or put it on PATH")
}

/// What it said on stderr before it ended, as our own failure.
pub fn failure(status: ExitStatus, stderr: &str) -> Failure {
    let exit = Exit::from_daemon(status.code());
    let after = |label: &'static str| {
        stderr
            .lines()
            .filter_map(move |line| line.trim().strip_prefix(label))
            .map(str::trim)
    };
    let message = after("error:")
        .next()
        .or_else(|| stderr.lines().rev().find(|line| !line.trim().is_empty()));
    let failure = match message {
        Some(message) => Failure::new(exit, message),
        None => Failure::new(exit, format!("mcpbridged ended at once ({status})")),
    };
    after("hint:").fold(failure, Failure::hint)
}

/// Its standard output when it succeeded.
pub fn succeeded(output: &Output) -> Result<String, Failure> {
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(failure(
            output.status,
            &String::from_utf8_lossy(&output.stderr),
        ))
    }
}

/// Whether a process has not ended. Ended ones that nobody has waited for yet do not count.
pub fn is_alive(pid: u32) -> bool {
    #[cfg(target_os = "linux")]
    {
        // The state follows the name, which is in parentheses and may itself hold some (proc_pid_stat(5)).
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
            let state = stat.rsplit(')').next().unwrap_or_default().trim_start();
            !state.starts_with(['Z', 'X'])
        })
    }
    #[cfg(all(unix, not(target_os = "linux")))]
    {
        i32::try_from(pid)
            .ok()
            .and_then(rustix::process::Pid::from_raw)
            .is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
    }
    #[cfg(windows)]
    {
        // The pipe goes with the process, and whoever asks waits for that as well.
        let _ = pid;
        false
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn report(code: i32, stderr: &str) -> (Exit, String, Vec<String>) {
        match failure(ExitStatus::from_raw(code << 8), stderr) {
            Failure::Report(report) => (report.exit, report.message, report.hints),
            Failure::BrokenPipe => panic!("broken pipe"),
        }
    }

    #[test]
    fn error_and_hint_of_the_daemon_become_ours() {
        let stderr = "noise\nerror: port 3000 is in use\nhint: choose another with --port\n";
        assert_eq!(
            report(5, stderr),
            (
                Exit::Conflict,
                "port 3000 is in use".to_owned(),
                vec!["choose another with --port".to_owned()]
            )
        );
    }

    #[test]
    fn a_daemon_that_says_nothing_is_still_reported() {
        let (exit, message, hints) = report(1, "\n");
        assert_eq!(exit, Exit::Fault);
        assert!(message.contains("ended at once"), "{message}");
        assert!(hints.is_empty());
    }

    #[test]
    fn processes_are_told_from_their_remains() {
        assert!(is_alive(std::process::id()));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert!(!is_alive(child.id()));
    }
}
