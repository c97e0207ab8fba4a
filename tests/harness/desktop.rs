//! A desktop session: a real session bus, and a service on it that shows notifications.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;
use zbus::object_server::SignalEmitter;
use zbus::zvariant::OwnedValue;
use zbus::{Connection, interface};

use crate::daemon::Home;
use crate::wait::{self, PATIENCE};

const NAME: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";

/// A notification as it was handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub id: u32,
    pub summary: String,
    pub body: String,
    /// Keys and labels in turn.
    pub actions: Vec<String>,
}

impl Shown {
    /// The key of the button with this label.
    pub fn key(&self, label: &str) -> Option<&str> {
        let mut pairs = self.actions.chunks(2);
        pairs.find_map(|pair| (pair[1] == label).then_some(pair[0].as_str()))
    }
}

#[derive(Debug, Default)]
struct Screen {
    visible: Vec<Shown>,
    last_id: u32,
}

#[derive(Debug)]
pub struct Desktop {
    _bus: Child,
    address: String,
    service: Mutex<Option<Connection>>,
    screen: Arc<Mutex<Screen>>,
    capabilities: Vec<String>,
}

struct Service {
    screen: Arc<Mutex<Screen>>,
    capabilities: Vec<String>,
}

#[interface(name = "org.freedesktop.Notifications")]
impl Service {
    fn get_capabilities(&self) -> Vec<String> {
        self.capabilities.clone()
    }

    #[expect(clippy::too_many_arguments, reason = "the specification has so many")]
    fn notify(
        &self,
        _application: String,
        _replaces: u32,
        _icon: String,
        summary: String,
        body: String,
        actions: Vec<String>,
        _hints: HashMap<String, OwnedValue>,
        _timeout: i32,
    ) -> u32 {
        let mut screen = self.screen.lock().unwrap();
        screen.last_id += 1;
        let id = screen.last_id;
        screen.visible.push(Shown {
            id,
            summary,
            body,
            actions,
        });
        id
    }

    fn close_notification(&self, id: u32) {
        self.screen
            .lock()
            .unwrap()
            .visible
            .retain(|shown| shown.id != id);
    }

    #[zbus(signal)]
    async fn action_invoked(emitter: &SignalEmitter<'_>, id: u32, key: &str) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn notification_closed(
        emitter: &SignalEmitter<'_>,
        id: u32,
        reason: u32,
    ) -> zbus::Result<()>;
}

/// Starts a bus that processes of `home` find; its address.
pub(crate) async fn session_bus(home: &Home) -> (Child, String) {
    let mut bus = home
        .command("dbus-daemon".as_ref())
        .args(["--session", "--nofork", "--print-address"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("dbus-daemon is installed");
    let mut lines = BufReader::new(bus.stdout.take().unwrap()).lines();
    let address = wait::within("the bus", lines.next_line()).await;
    let address = address.unwrap().unwrap();
    home.set_env("DBUS_SESSION_BUS_ADDRESS", &address);
    (bus, address)
}

impl Desktop {
    /// Starts a bus that processes of `home` find, and a service with these capabilities on it.
    ///
    /// # Panics
    /// When the Debian package dbus-daemon is missing.
    pub async fn start(home: &Home, capabilities: &[&str]) -> Self {
        let (bus, address) = session_bus(home).await;
        let desktop = Self {
            _bus: bus,
            address,
            service: Mutex::default(),
            screen: Arc::default(),
            capabilities: capabilities.iter().map(|one| (*one).to_owned()).collect(),
        };
        desktop.start_service().await;
        desktop
    }

    /// Starts the service anew: nothing is visible, and numbers begin again.
    pub async fn start_service(&self) {
        let old = self.service.lock().unwrap().take();
        if let Some(old) = old {
            old.release_name(NAME).await.unwrap();
            old.close().await.unwrap();
        }
        *self.screen.lock().unwrap() = Screen::default();
        let service = Service {
            screen: self.screen.clone(),
            capabilities: self.capabilities.clone(),
        };
        let builder = zbus::connection::Builder::address(self.address.as_str()).unwrap();
        let builder = builder.serve_at(PATH, service).unwrap();
        let connection = builder.name(NAME).unwrap().build().await.unwrap();
        *self.service.lock().unwrap() = Some(connection);
    }

    pub fn visible(&self) -> Vec<Shown> {
        self.screen.lock().unwrap().visible.clone()
    }

    /// Waits until exactly `count` notifications are visible.
    pub async fn shows(&self, count: usize) -> Vec<Shown> {
        let what = format!("{count} notifications");
        wait::until(&what, PATIENCE, async || {
            Some(self.visible()).filter(|visible| visible.len() == count)
        })
        .await
    }

    /// Presses a button, as a service tells it.
    pub async fn press(&self, id: u32, key: &str) {
        let connection = self.service.lock().unwrap().clone().unwrap();
        let emitter = SignalEmitter::new(&connection, PATH).unwrap();
        Service::action_invoked(&emitter, id, key).await.unwrap();
    }

    /// Takes a notification away, as its person does.
    pub async fn dismiss(&self, id: u32) {
        self.screen
            .lock()
            .unwrap()
            .visible
            .retain(|shown| shown.id != id);
        let connection = self.service.lock().unwrap().clone().unwrap();
        let emitter = SignalEmitter::new(&connection, PATH).unwrap();
        Service::notification_closed(&emitter, id, 2).await.unwrap();
    }

    /// Says of a button that it was pressed, as another program on the bus can.
    pub async fn forge(&self, id: u32, key: &str) {
        let address = zbus::connection::Builder::address(self.address.as_str()).unwrap();
        let connection = address.build().await.unwrap();
        let emitter = SignalEmitter::new(&connection, PATH).unwrap();
        Service::action_invoked(&emitter, id, key).await.unwrap();
    }
}
