//! Who asked for something, as far as the operating system or a token tells.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::{Client, ClientName, ServerName};

/// By which door a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// The HTTP port.
    Http,
    /// The control socket.
    Control,
}

/// A process, as far as it is known: what could not be found out for certain is None.
///
/// The paths are chosen by whoever started the process. In them every character is visible: control
/// and formatting characters, backslashes, and bytes that are no text are written as escapes. They
/// tell which program connects; they do not prove it, because a process can be made to run foreign
/// code by anyone of its own user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Process {
    pub uid: Option<u32>,
    pub pid: Option<u32>,
    /// The program it runs.
    pub exe: Option<String>,
    pub cwd: Option<String>,
}

/// The process at the other end of a connection, and the client it says it is by a token.
///
/// Cheap to clone. All requests of a connection share what was found out about its process.
#[derive(Clone)]
pub struct Caller {
    connection: Arc<Connection>,
    client: Option<Client>,
}

type Find = dyn Fn() -> Process + Send + Sync;

struct Connection {
    channel: Channel,
    /// What the connection itself tells.
    known: Process,
    /// Tells more, at the price of a few milliseconds.
    find: Option<Box<Find>>,
    found: OnceLock<Process>,
}

impl Caller {
    /// A caller of which nothing more can be found out than `known`.
    pub fn new(channel: Channel, known: Process) -> Self {
        Self::with(channel, known, None)
    }

    /// A caller of which `find` tells more than `known`. It is called at most once, when somebody asks.
    pub fn found_by(
        channel: Channel,
        known: Process,
        find: impl Fn() -> Process + Send + Sync + 'static,
    ) -> Self {
        Self::with(channel, known, Some(Box::new(find)))
    }

    fn with(channel: Channel, known: Process, find: Option<Box<Find>>) -> Self {
        let connection = Connection {
            channel,
            known,
            find,
            found: OnceLock::new(),
        };
        Self {
            connection: Arc::new(connection),
            client: None,
        }
    }

    /// The same caller, for a request that carries the token of `client`.
    #[must_use]
    pub fn with_client(&self, client: Client) -> Self {
        Self {
            connection: Arc::clone(&self.connection),
            client: Some(client),
        }
    }

    pub fn channel(&self) -> Channel {
        self.connection.channel
    }

    pub fn uid(&self) -> Option<u32> {
        self.connection.known.uid
    }

    /// The name of the client whose token the request carries.
    pub fn client(&self) -> Option<&ClientName> {
        self.client.as_ref().map(Client::name)
    }

    /// The token's client, with what it may do.
    pub fn authenticated(&self) -> Option<&Client> {
        self.client.as_ref()
    }

    /// Whether its token, if it has one, is made for anything of `server`.
    pub fn may_use(&self, server: &ServerName) -> bool {
        self.client
            .as_ref()
            .is_none_or(|client| client.may_use(server))
    }

    /// Whether its token, if it has one, is made for `tool` of `server`.
    pub fn may(&self, server: &ServerName, tool: &str) -> bool {
        self.client
            .as_ref()
            .is_none_or(|client| client.may(server, tool))
    }

    /// Finds the process without blocking, so that [`Caller::process`] and [`Caller::principal`] do not
    /// block afterwards. Calls for which nobody needs to know must not pay for it.
    pub async fn resolve(&self) {
        let connection = &self.connection;
        if connection.find.is_some() && connection.found.get().is_none() {
            let connection = Arc::clone(connection);
            let finding = tokio::task::spawn_blocking(move || {
                connection.process();
            });
            // Fails only while the runtime ends.
            let _ = finding.await;
        }
    }

    /// The process. Blocks for some milliseconds where [`Caller::resolve`] was not awaited before.
    pub fn process(&self) -> &Process {
        self.connection.process()
    }

    /// Tells this caller from others, across connections and restarts of the daemon: the client token
    /// if there is one, else user and program. Blocks as [`Caller::process`] does.
    pub fn principal(&self) -> String {
        if let Some(client) = &self.client {
            return client.principal();
        }
        let uid = number(self.uid());
        match self.channel() {
            Channel::Control => format!("control uid:{uid}"),
            Channel::Http => match &self.process().exe {
                Some(exe) => format!("uid:{uid} exe:{exe}"),
                None => format!("uid:{uid}"),
            },
        }
    }
}

impl Connection {
    fn process(&self) -> &Process {
        match &self.find {
            Some(find) => self.found.get_or_init(find),
            None => &self.known,
        }
    }

    /// What is known without looking.
    fn so_far(&self) -> &Process {
        self.found.get().unwrap_or(&self.known)
    }
}

fn number(number: Option<u32>) -> String {
    number.map_or_else(|| "?".to_owned(), |number| number.to_string())
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Process { uid, pid, .. } = self.connection.so_far();
        match self.channel() {
            Channel::Http => write!(f, "http(uid {}", number(*uid))?,
            Channel::Control => write!(f, "control(uid {}", number(*uid))?,
        }
        if let Some(pid) = pid {
            write!(f, ", pid {pid}")?;
        }
        if let Some(client) = &self.client {
            write!(f, ", client {}", client.name())?;
        }
        f.write_str(")")
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::types::{Digest, Scope};

    fn node() -> Process {
        Process {
            uid: Some(1000),
            pid: Some(42),
            exe: Some("/usr/bin/node".to_owned()),
            cwd: None,
        }
    }

    fn known() -> Process {
        Process {
            uid: Some(1000),
            ..Process::default()
        }
    }

    #[tokio::test]
    async fn the_process_is_looked_for_once_and_only_when_asked() {
        let looked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&looked);
        let caller = Caller::found_by(Channel::Http, known(), move || {
            counted.fetch_add(1, Ordering::Relaxed);
            node()
        });
        assert_eq!(caller.to_string(), "http(uid 1000)");
        let ci = Client::named("ci".parse().unwrap(), Scope::default());
        let other = caller.with_client(ci);
        assert_eq!(other.principal(), "client:ci");
        let token = Digest::from_bytes([0xab; 32]);
        let issued = Client::issued("ci".parse().unwrap(), Scope::default(), token);
        let issued = caller.with_client(issued).principal();
        assert_eq!(issued, "client:ci token:abababababab");
        assert_eq!(looked.load(Ordering::Relaxed), 0);
        caller.resolve().await;
        assert_eq!(other.process(), &node());
        assert_eq!(caller.principal(), "uid:1000 exe:/usr/bin/node");
        assert_eq!(other.to_string(), "http(uid 1000, pid 42, client ci)");
        assert_eq!(looked.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn what_is_not_known_is_not_made_up() {
        let nobody = Caller::new(Channel::Http, Process::default());
        assert_eq!(nobody.principal(), "uid:?");
        let control = Caller::new(Channel::Control, node());
        assert_eq!(control.principal(), "control uid:1000");
        assert_eq!(control.to_string(), "control(uid 1000, pid 42)");
    }
}
