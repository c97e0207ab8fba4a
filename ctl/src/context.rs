//! What every command needs: where the daemon is, and how to talk to the person.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mcpbridge_proto::v1::Server;
use mcpbridge_proto::{Client, ConnectError, Endpoint, default_config_dir};

use crate::cli::Global;
use crate::error::Failure;
use crate::exit::Exit;
use crate::output::{Format, Printer, Talk};

const NAME: &str = "mcpbridgectl";

pub struct Context {
    pub printer: Printer,
    pub endpoint: Endpoint,
    /// Absolute.
    pub config_dir: PathBuf,
    /// As given, for starting a daemon with the same one.
    pub socket: Option<PathBuf>,
    is_default_dir: bool,
}

impl Global {
    pub fn printer(&self) -> Printer {
        let format = if self.json {
            Format::Json
        } else {
            Format::Human
        };
        let talk = match (self.quiet, self.verbose) {
            (true, _) => Talk::Quiet,
            (_, true) => Talk::Verbose,
            _ => Talk::Normal,
        };
        Printer::new(format, talk)
    }
}

impl Context {
    pub fn new(global: &Global, printer: Printer) -> Result<Self, Failure> {
        let default_dir = default_config_dir();
        let config_dir = match &global.config_dir {
            Some(dir) => std::path::absolute(dir)
                .map_err(|e| Failure::local(format!("cannot use {}", dir.display()), &e))?,
            None => default_config_dir()?,
        };
        Ok(Self {
            endpoint: Endpoint::resolve(global.socket.as_deref(), Some(&config_dir))?,
            is_default_dir: default_dir.is_ok_and(|default| default == config_dir),
            socket: global.socket.clone(),
            config_dir,
            printer,
        })
    }

    /// Connects to the running daemon, waiting a moment for one that is starting.
    pub async fn connect(&self) -> Result<Client, Failure> {
        match Client::connect(&self.endpoint).await {
            Ok(client) => {
                self.greet(&client);
                Ok(client)
            }
            Err(error) => Err(self.unreachable(&error)),
        }
    }

    /// Connects if a daemon answers by the end of `grace`; None when nothing listens.
    pub async fn try_connect(&self, grace: Duration) -> Result<Option<Client>, Failure> {
        match Client::connect_within(&self.endpoint, grace).await {
            Ok(client) => Ok(Some(client)),
            Err(ConnectError::NotRunning { .. }) => Ok(None),
            Err(error) => Err(self.unreachable(&error)),
        }
    }

    /// A command line for the person to run, with the options that lead to the same daemon.
    pub fn command(&self, arguments: &str) -> String {
        format!("{} {arguments}", self.program())
    }

    /// `text` of the daemon, with every command in it leading to that daemon. The daemon cannot
    /// know how it was found, and writes plain `mcpbridgectl`; commands of our own have their options.
    pub fn addressed(&self, text: &str) -> String {
        let program = self.program();
        let mut parts = text.split("mcpbridgectl ");
        let mut addressed = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let has_options = part.starts_with("--");
            addressed.push_str(if has_options { NAME } else { &program });
            addressed.push(' ');
            addressed.push_str(part);
        }
        addressed
    }

    /// A server of the daemon, as a person is shown it.
    pub fn server(&self, server: Server) -> Server {
        Server {
            remedy: self.addressed(&server.remedy),
            ..server
        }
    }

    fn program(&self) -> String {
        let mut line = NAME.to_owned();
        if !self.is_default_dir {
            line.push_str(&format!(" --config-dir {}", quoted(&self.config_dir)));
        }
        if let Some(socket) = &self.socket {
            line.push_str(&format!(" --socket {}", quoted(socket)));
        }
        line
    }

    fn greet(&self, client: &Client) {
        let info = client.info();
        self.printer.detail(&format!(
            "connected to mcpbridged {} (pid {}) at {}",
            info.version, info.pid, self.endpoint
        ));
        if let Some(skew) = client.skew() {
            self.printer.warn(&format!(
                "the running daemon is version {} and this command {}: run `{}`",
                skew.daemon,
                skew.client,
                self.command("restart")
            ));
        }
    }

    fn unreachable(&self, error: &ConnectError) -> Failure {
        if matches!(error, ConnectError::NotRunning { .. }) {
            self.printer
                .detail(&format!("nothing listens on {}", self.endpoint));
            return Failure::new(
                Exit::Unreachable,
                format!(
                    "the daemon is not running: start it with `{}`",
                    self.command("start")
                ),
            );
        }
        let failure = Failure::new(Exit::Unreachable, error.to_string());
        match std::error::Error::source(error) {
            Some(cause) => failure.because(cause),
            None => failure,
        }
    }
}

/// Quoted for a POSIX shell when it has to be.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=\\".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(config_dir: Option<&str>) -> Context {
        let global = Global {
            config_dir: config_dir.map(PathBuf::from),
            socket: None,
            json: false,
            quiet: false,
            verbose: false,
        };
        Context::new(&global, global.printer()).unwrap()
    }

    #[test]
    fn suggested_commands_lead_to_the_same_daemon() {
        assert_eq!(
            context(Some("/srv/my bridge")).command("start"),
            "mcpbridgectl --config-dir '/srv/my bridge' start"
        );
    }

    #[test]
    fn commands_the_daemon_suggests_lead_to_the_same_daemon_once() {
        let context = context(Some("/srv/b"));
        let hint = "`mcpbridgectl remove s`, then `mcpbridgectl add`; mcpbridged and \
                    `mcpbridgectl --config-dir /srv/b start` stay";
        let addressed = "`mcpbridgectl --config-dir /srv/b remove s`, then \
                         `mcpbridgectl --config-dir /srv/b add`; \
                         mcpbridged and `mcpbridgectl --config-dir /srv/b start` stay";
        assert_eq!(context.addressed(hint), addressed);
        let server = Server {
            remedy: "mcpbridgectl login s".to_owned(),
            ..Server::default()
        };
        assert_eq!(
            context.server(server).remedy,
            "mcpbridgectl --config-dir /srv/b login s"
        );
    }

    #[test]
    fn the_default_daemon_needs_no_options() {
        let text = "run `mcpbridgectl login s`";
        assert_eq!(context(None).addressed(text), text);
    }

    #[test]
    fn ordinary_paths_are_not_quoted() {
        assert_eq!(quoted(Path::new("/tmp/a-b_c.d")), "/tmp/a-b_c.d");
        assert_eq!(quoted(Path::new("/it's")), r"'/it'\''s'");
    }
}
