//! Opens a URL in the person's browser, without a shell.

use std::io;
use std::process::{ExitStatus, Stdio};

use tokio::process::{Child, Command};
use url::Url;

/// A browser that was asked to open a page.
pub struct Opening(Child);

/// Asks the desktop to open `url`.
///
/// # Errors
/// The URL is not one of a web page, or no opener is installed.
pub fn open(url: &str) -> io::Result<Opening> {
    let url = web_page(url)?;
    let mut command = opener();
    command
        .arg(url.as_str())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // Ctrl-C is meant for us, not for a browser that the opener started.
    #[cfg(unix)]
    command.process_group(0);
    command.spawn().map(Opening)
}

impl Opening {
    /// Waits for the opener; a failure means that nobody has seen the page.
    ///
    /// Cancel-safe.
    pub async fn finished(&mut self) -> io::Result<ExitStatus> {
        self.0.wait().await
    }
}

/// Openers run whatever handles a scheme, so only web pages may reach them. The parsed form is what is
/// passed on: it holds no blanks, quotes or control characters and cannot begin with a dash.
fn web_page(url: &str) -> io::Result<Url> {
    let url = Url::parse(url).map_err(io::Error::other)?;
    match url.scheme() {
        "https" | "http" => Ok(url),
        other => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("a browser is not opened for `{other}:` URLs"),
        )),
    }
}

fn opener() -> Command {
    if cfg!(target_os = "macos") {
        Command::new("open")
    } else if cfg!(windows) {
        let mut command = Command::new("rundll32");
        command.arg("url.dll,FileProtocolHandler");
        command
    } else {
        Command::new("xdg-open")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_pages_are_opened() {
        for refused in [
            "javascript:alert(1)",
            "file:///etc/passwd",
            "vscode://x",
            "-h",
            "",
        ] {
            assert!(web_page(refused).is_err(), "{refused}");
        }
        assert!(web_page("https://as.example/authorize?a=b&c=d").is_ok());
    }

    #[test]
    fn what_a_shell_would_read_is_encoded() {
        let url = web_page("https://as.example/\"`$(id)` ;'\n").unwrap();
        assert!(!url.as_str().contains([' ', '"', '`', '\n']), "{url}");
    }
}
