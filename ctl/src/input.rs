//! What comes from standard input: secrets, and redirect URLs that a person pastes.

use std::io::{self, BufRead, IsTerminal};

use mcpbridge_proto::Client;
use mcpbridge_proto::v1::GetPinRequest;
use tokio::sync::mpsc;

use crate::error::Failure;

/// Reads one line that must not be empty; it is not echoed on a terminal.
///
/// `what` names it, such as "bearer token".
pub fn secret(what: &str) -> Result<String, Failure> {
    let hidden = io::stdin().is_terminal().then(|| echo::hide(what));
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    drop(hidden);
    read.map_err(|e| Failure::local(format!("cannot read the {what} from standard input"), &e))?;
    let secret = line.trim();
    if secret.is_empty() {
        return Err(Failure::usage(format!(
            "standard input holds no {what}: give it on the first line"
        )));
    }
    Ok(secret.to_owned())
}

/// The PIN that approvals need, or nothing where none is set.
pub async fn approval_pin(client: &Client) -> Result<String, Failure> {
    let pin = client.approvals().get_pin(GetPinRequest {}).await?;
    match pin.into_inner().set_at {
        0 => Ok(String::new()),
        _ => secret("approval PIN"),
    }
}

/// Reads all of standard input.
pub fn everything(what: &str) -> Result<String, Failure> {
    io::read_to_string(io::stdin())
        .map_err(|e| Failure::local(format!("cannot read the {what} from standard input"), &e))
}

/// Lines of standard input that are not empty; the channel closes at its end.
///
/// A thread and not a task: a read of stdin cannot be cancelled, and must not hold up the exit.
pub fn lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            let line = line.trim();
            if !line.is_empty() && sender.blocking_send(line.to_owned()).is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(unix)]
mod echo {
    use std::io::{self, Write};

    use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

    /// Shows what is typed again when dropped.
    pub(super) struct Hidden(Option<Termios>);

    pub(super) fn hide(what: &str) -> Hidden {
        let mut err = io::stderr().lock();
        // The prompt is a courtesy; reading works without it.
        let _ = write!(err, "{what}: ");
        let _ = err.flush();
        let Ok(before) = tcgetattr(io::stdin()) else {
            return Hidden(None);
        };
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        match tcsetattr(io::stdin(), OptionalActions::Now, &silent) {
            Ok(()) => Hidden(Some(before)),
            Err(_) => Hidden(None),
        }
    }

    impl Drop for Hidden {
        fn drop(&mut self) {
            if let Some(before) = &self.0 {
                let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
                let _ = writeln!(io::stderr().lock());
            }
        }
    }
}

#[cfg(windows)]
mod echo {
    use std::io::{self, Write};

    pub(super) struct Hidden;

    pub(super) fn hide(what: &str) -> Hidden {
        let _ = write!(io::stderr().lock(), "{what} (visible while you type): ");
        Hidden
    }
}
