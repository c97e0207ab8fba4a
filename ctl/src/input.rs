//! What comes from standard input: secrets, and redirect URLs that a person pastes.

use std::io::{self, BufRead, IsTerminal};

use tokio::sync::mpsc;

use crate::error::Failure;
use crate::exit::Exit;

/// Reads one line that must not be empty; it is not shown on a terminal.
///
/// `what` names it, such as "bearer token".
pub fn secret(what: &str) -> Result<String, Failure> {
    let unread =
        |e: io::Error| Failure::local(format!("cannot read the {what} from standard input"), &e);
    let line = if io::stdin().is_terminal() {
        let typed = hidden::line(what).map_err(unread)?;
        let given_up = || Failure::new(Exit::Interrupted, format!("no {what} was given"));
        typed.ok_or_else(given_up)?
    } else {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map_err(unread)?;
        line
    };
    let secret = line.trim();
    if secret.is_empty() {
        return Err(Failure::usage(format!(
            "standard input holds no {what}: give it on the first line"
        )));
    }
    Ok(secret.to_owned())
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

/// A line that is typed and not shown.
mod hidden {
    use std::io::{self, Write as _};

    use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, read};
    use crossterm::terminal::{disable_raw_mode, enable_raw_mode};

    /// Keys come one by one, Ctrl-C among them, so that the terminal is given back after that too.
    struct Raw;

    impl Raw {
        fn enter() -> io::Result<Self> {
            enable_raw_mode()?;
            Ok(Self)
        }
    }

    impl Drop for Raw {
        fn drop(&mut self) {
            // A terminal that is gone needs nothing back.
            let _ = disable_raw_mode();
        }
    }

    /// None when the person gave up.
    pub(super) fn line(what: &str) -> io::Result<Option<String>> {
        #[cfg(unix)]
        ended::give_back();
        let mut err = io::stderr().lock();
        // The prompt is a courtesy; reading works without it.
        let _ = write!(err, "{what}: ");
        let _ = err.flush();
        let raw = Raw::enter()?;
        let typed = keys();
        drop(raw);
        let _ = writeln!(err);
        typed
    }

    fn keys() -> io::Result<Option<String>> {
        let mut line = String::new();
        loop {
            let key = match read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release => key,
                _ => continue,
            };
            let control = key.modifiers.contains(KeyModifiers::CONTROL);
            match key.code {
                KeyCode::Enter => return Ok(Some(line)),
                KeyCode::Char('j') if control => return Ok(Some(line)),
                KeyCode::Char('c' | 'd') if control => return Ok(None),
                KeyCode::Char('u') if control => line.clear(),
                KeyCode::Char(c) if !control => line.push(c),
                KeyCode::Backspace => {
                    line.pop();
                }
                _ => {}
            }
        }
    }

    /// Signals that would end the process and leave the terminal without lines and echo.
    #[cfg(unix)]
    mod ended {
        use std::io;
        use std::sync::Once;
        use std::sync::mpsc::{SyncSender, sync_channel};

        use crossterm::terminal::disable_raw_mode;
        use tokio::signal::unix::{SignalKind, signal};

        use crate::exit::Exit;

        /// From now on they give the terminal back first.
        pub(super) fn give_back() {
            static ONCE: Once = Once::new();
            ONCE.call_once(|| {
                let (ready, registered) = sync_channel(1);
                // A thread, because the one that reads keys waits for nothing else; and to the end,
                // because a signal that is listened to once does nothing by itself any more.
                std::thread::spawn(move || listen(&ready));
                // The sender is gone when that failed, and reading works without it.
                let _ = registered.recv();
            });
        }

        #[expect(
            clippy::disallowed_methods,
            reason = "unheard, the signal ends the process without destructors too"
        )]
        fn listen(ready: &SyncSender<()>) -> io::Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .build()?;
            runtime.block_on(async {
                let mut hangup = signal(SignalKind::hangup())?;
                let mut terminate = signal(SignalKind::terminate())?;
                let _ = ready.send(());
                tokio::select! {
                    _ = hangup.recv() => {}
                    _ = terminate.recv() => {}
                }
                io::Result::Ok(())
            })?;
            // A terminal that is gone needs nothing back.
            let _ = disable_raw_mode();
            std::process::exit(i32::from(Exit::Interrupted as u8))
        }
    }
}
