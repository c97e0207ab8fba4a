//! Composition: builds every part bottom-up, runs them, and ends them in order.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use mcpbridge_proto::Endpoint;
use mcpbridge_proto::transport::Listener;
use tokio_util::sync::CancellationToken;

use crate::cli::Cli;
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Config};
use crate::control::{Control, Facts};
use crate::credentials::Credentials;
use crate::error::{Classify, ErrorKind, chain};
use crate::lifecycle::Lifecycle;
use crate::paths::{ConfigDir, sync_dir};
use crate::pipeline::Pipeline;
use crate::registry::Registry;
use crate::server::HttpServer;
use crate::telemetry;
use crate::types::Secret;
use crate::vault::{KeyOptions, KeySource, Vault};
use crate::{net, proxy, web};

/// How long calls that are being answered may go on after the daemon was told to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// How long the control socket waits for its clients at the very end.
const CONTROL_FAREWELL: Duration = Duration::from_secs(1);

/// Any error that keeps the daemon from starting, or `init` from finishing.
pub type StartError = Box<dyn Classify + Send + Sync>;

#[derive(Debug, thiserror::Error)]
enum AppError {
    #[error("the directory {} cannot be used", path.display())]
    Directory {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("mcpbridged runs already for {}{}", dir.display(), pid.as_ref().map(|pid| format!(" as process {pid}")).unwrap_or_default())]
    Running { dir: PathBuf, pid: Option<String> },
    #[error("the passphrase cannot be read from {from}")]
    Passphrase {
        from: String,
        #[source]
        source: std::io::Error,
    },
    #[error("the passphrase from {from} is empty")]
    EmptyPassphrase { from: String },
    #[error("the control socket cannot be set up")]
    Endpoint(#[from] mcpbridge_proto::EndpointError),
    #[error("the control socket cannot be set up")]
    Control(#[from] mcpbridge_proto::transport::BindError),
    #[error("the runtime cannot be started")]
    Runtime(#[source] std::io::Error),
    #[error(transparent)]
    Telemetry(#[from] telemetry::TelemetryError),
    #[error(transparent)]
    KeyStore(#[from] crate::vault::InvalidKeySource),
}

impl Classify for AppError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Directory { .. } | Self::Control(_) | Self::Runtime(_) => ErrorKind::Unavailable,
            Self::Running { .. } => ErrorKind::Conflict,
            Self::Passphrase { .. }
            | Self::EmptyPassphrase { .. }
            | Self::Endpoint(_)
            | Self::Telemetry(_)
            | Self::KeyStore(_) => ErrorKind::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Running { .. } => {
                Some("`mcpbridgectl status` shows it; `mcpbridgectl stop` ends it".to_owned())
            }
            Self::Directory { .. } => {
                Some("check its owner and mode, or choose another with --config-dir".to_owned())
            }
            _ => None,
        }
    }
}

/// Moves any error of ours into the box that `main` reports.
fn fail<E: Classify + Send + Sync + 'static>(error: E) -> StartError {
    Box::new(error)
}

/// `mcpbridged init`: directory, `config.json` and vault; says what there is now as one JSON object.
pub fn init(cli: &Cli, key_store: Option<&str>) -> Result<ExitCode, StartError> {
    let dir = config_dir(cli)?;
    let _lock = prepare(&dir)?;
    let choice = key_store
        .map(str::parse::<KeySource>)
        .transpose()
        .map_err(|e| fail(AppError::from(e)))?;
    // What is there must be sound before anything is added to it.
    config::load(&dir).map_err(fail)?;
    let had_vault = dir.tokens_file().exists();
    // The vault first: without a place for its key nothing is made, and `init` can be run again.
    let vault = Vault::create(&dir, &key_options(cli, choice)?).map_err(fail)?;
    let wrote_config = config::write_default(&dir).map_err(fail)?;
    let created = wrote_config || !had_vault;
    let made = serde_json::json!({
        "config_dir": dir.path(),
        "config_file": dir.config_file(),
        "key_store": vault.key_source().to_string(),
        "created": created,
    });
    // A reader that has gone away does not make the work undone.
    let _ = writeln!(std::io::stdout(), "{made}");
    Ok(ExitCode::SUCCESS)
}

/// Runs the daemon until it is told to stop.
pub fn run(cli: &Cli) -> Result<ExitCode, StartError> {
    #[cfg(unix)]
    if cli.new_session {
        // Fails only when we lead a session already, which is what we want.
        let _ = rustix::process::setsid();
    }
    let dir = config_dir(cli)?;
    let lock = prepare(&dir)?;
    let log = telemetry::init(&cli.log_level, cli.log_dir.as_deref())
        .map_err(|error| fail(AppError::from(error)))?;
    telemetry::log_panics();
    let config = config::load(&dir).map_err(fail)?;
    let vault = Vault::open(&dir, &key_options(cli, None)?).map_err(fail)?;
    // One worker, because a call's steps on both connections then never wait for another thread to
    // wake: a third of the latency. Slow work (files, keys) is on the blocking pool anyway.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| fail(AppError::Runtime(error)))?;
    let code = runtime.block_on(async {
        let app = App::build(cli, &dir, config, vault, log.to_string()).await?;
        Ok(app.run().await)
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    drop(lock);
    code
}

fn config_dir(cli: &Cli) -> Result<ConfigDir, StartError> {
    match &cli.config_dir {
        Some(path) => std::path::absolute(path)
            .map(ConfigDir::new)
            .map_err(|source| {
                fail(AppError::Directory {
                    path: path.clone(),
                    source,
                })
            }),
        None => mcpbridge_proto::default_config_dir()
            .map(ConfigDir::new)
            .map_err(|error| fail(AppError::from(error))),
    }
}

/// Makes the directory and takes the lock: two daemons would invalidate each other's rotated tokens.
fn prepare(dir: &ConfigDir) -> Result<File, StartError> {
    let unusable = |source| {
        fail(AppError::Directory {
            path: dir.path().to_owned(),
            source,
        })
    };
    dir.ensure().map_err(unusable)?;
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(dir.lock_file()).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let _ = file.read_to_string(&mut text);
            let pid = Some(text.trim().to_owned()).filter(|pid| !pid.is_empty());
            return Err(fail(AppError::Running {
                dir: dir.path().to_owned(),
                pid,
            }));
        }
        Err(TryLockError::Error(source)) => return Err(unusable(source)),
    }
    // The pid is for the message above; the lock itself is what counts.
    let write_pid = |file: &mut File| {
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        writeln!(file, "{}", std::process::id())
    };
    write_pid(&mut file).map_err(unusable)?;
    dir.remove_debris();
    sync_dir(dir.path()).map_err(unusable)?;
    Ok(file)
}

fn key_options(cli: &Cli, choice: Option<KeySource>) -> Result<KeyOptions, StartError> {
    let file = match (cli.passphrase_fd, &cli.passphrase_file) {
        (Some(fd), _) => Some(PathBuf::from(format!("/dev/fd/{fd}"))),
        // Set and empty counts as not set, as for any environment variable.
        (None, Some(file)) if !file.is_empty() => Some(PathBuf::from(file)),
        (None, _) => None,
    };
    Ok(KeyOptions {
        choice,
        service_credential_dir: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        passphrase: file.as_deref().map(read_passphrase).transpose()?,
    })
}

/// The first line of `path`.
fn read_passphrase(path: &Path) -> Result<Secret, StartError> {
    let from = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map(zeroize::Zeroizing::new)
        .map_err(|source| {
            fail(AppError::Passphrase {
                from: from.clone(),
                source,
            })
        })?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(fail(AppError::EmptyPassphrase { from }));
    }
    Ok(Secret::new(line))
}

/// All parts, bound and ready, nothing serving yet.
struct App {
    lifecycle: Lifecycle,
    http: HttpServer,
    routes: axum::Router,
    control: Control,
    socket: Listener,
}

impl App {
    async fn build(
        cli: &Cli,
        dir: &ConfigDir,
        mut config: Config,
        vault: Vault,
        log_destination: String,
    ) -> Result<Self, StartError> {
        if let Some(host) = &cli.host {
            config.proxy_host.clone_from(host);
        }
        if let Some(port) = cli.port {
            config.proxy_port = port;
        }
        let key_store = vault.key_source().to_string();
        let lifecycle = Lifecycle::new();
        let clock = Arc::new(SystemClock);
        let http = HttpServer::bind(&config).await.map_err(fail)?;
        let base_url = http.base_url();

        let config_dir = cli.config_dir.as_ref().map(|_| dir.path());
        let endpoint = Endpoint::resolve(cli.socket.as_deref(), config_dir)
            .map_err(|error| fail(AppError::from(error)))?;
        let socket = Listener::bind(&endpoint)
            .await
            .map_err(|error| fail(AppError::from(error)))?;

        let registry = Registry::new(dir.clone(), &config).map_err(fail)?;
        let credentials = Credentials::new(
            vault,
            net::Client::new(),
            clock.clone(),
            lifecycle.clone(),
            format!("{base_url}/callback"),
        );
        let pipeline = Pipeline::new(
            &config,
            registry.clone(),
            credentials.clone(),
            lifecycle.clone(),
        );

        let web = web::Web {
            registry: registry.clone(),
            credentials: credentials.clone(),
            base_url: base_url.clone(),
        };
        let routes = proxy::router(pipeline.clone()).merge(web::router(web));
        let facts = Facts {
            started_at: clock.now(),
            config_dir: dir.path().display().to_string(),
            socket: endpoint.to_string(),
            listen: http.urls(),
            base_url,
            key_store,
            log_destination,
        };
        let control = Control {
            registry,
            credentials,
            pipeline,
            lifecycle: lifecycle.clone(),
            facts,
            changing: Arc::default(),
        };
        Ok(Self {
            lifecycle,
            http,
            routes,
            control,
            socket,
        })
    }

    /// Nothing fails from here on. That matters: the first credentials may be refreshed at once, and
    /// a process that ends in the middle of that loses the login.
    async fn run(self) -> ExitCode {
        let Self {
            lifecycle,
            http,
            routes,
            control,
            socket,
        } = self;
        let mut termination = Termination::listen();
        control.sync().await;
        if let Err(error) = control.credentials.sweep().await {
            tracing::warn!(
                error = chain(&error),
                "unused credentials stay in the vault"
            );
        }
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            url = control.facts.base_url,
            key_store = control.facts.key_store,
            servers = control.registry.snapshot().len(),
            "ready"
        );
        http.spawn(&lifecycle, routes);

        let farewell = CancellationToken::new();
        let incoming = socket.incoming(|peer| {
            tracing::warn!(%peer, "refused a control connection of another user");
        });
        let mut control = pin!(control.serve(incoming, farewell.clone()));
        tokio::select! {
            ended = &mut control => {
                let error = ended.err().map(|error| chain(&error)).unwrap_or_default();
                tracing::error!(error, "the control API ended");
                lifecycle.abort();
                lifecycle.drain(DRAIN).await;
                return ExitCode::FAILURE;
            }
            () = until_drained(&lifecycle, &mut termination) => {}
        }
        farewell.cancel();
        let _ = tokio::time::timeout(CONTROL_FAREWELL, control).await;
        drop(socket);
        tracing::info!("stopped");
        if lifecycle.failed() {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }
}

/// Waits for the end: the first signal asks for an orderly one, the second for a quick one that still
/// finishes what must be finished, the third for one at once.
async fn until_drained(lifecycle: &Lifecycle, termination: &mut Termination) {
    tokio::select! {
        signal = termination.asked() => lifecycle.begin_shutdown(signal),
        () = lifecycle.stopping() => {}
    }
    let mut drained = pin!(lifecycle.drain(DRAIN));
    tokio::select! {
        () = &mut drained => return,
        _ = termination.asked() => lifecycle.abort(),
    }
    tokio::select! {
        () = drained => {}
        _ = termination.asked() => {}
    }
}

/// The signals that ask for the end, received from its making on, so that none is missed.
struct Termination {
    #[cfg(unix)]
    signals: Option<[tokio::signal::unix::Signal; 2]>,
}

impl Termination {
    #[cfg(unix)]
    fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let terminate = signal(SignalKind::terminate());
        let interrupt = signal(SignalKind::interrupt());
        // Without a handler a signal ends the process by itself.
        let signals = terminate.and_then(|first| Ok([first, interrupt?])).ok();
        Self { signals }
    }

    #[cfg(unix)]
    async fn asked(&mut self) -> &'static str {
        let Some([terminate, interrupt]) = &mut self.signals else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    }

    #[cfg(not(unix))]
    fn listen() -> Self {
        Self {}
    }

    #[cfg(not(unix))]
    async fn asked(&mut self) -> &'static str {
        match tokio::signal::ctrl_c().await {
            Ok(()) => "Ctrl-C",
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn init_without_a_place_for_the_key_makes_nothing_and_can_be_repeated() {
        let home = tempfile::tempdir().unwrap();
        let dir = ConfigDir::new(home.path().join("bridge"));
        let cli = Cli::parse_from([
            "mcpbridged".as_ref(),
            "--config-dir".as_ref(),
            dir.path().as_os_str(),
        ]);
        dir.ensure().unwrap();
        crate::paths::write_atomic(&dir.key_file(), b"not a key").unwrap();
        assert!(init(&cli, Some("key-file")).is_err());
        assert!(!dir.config_file().exists());
        assert!(!dir.tokens_file().exists());
        std::fs::remove_file(dir.key_file()).unwrap();
        init(&cli, Some("key-file")).unwrap_or_else(|error| unreachable!("{error}"));
        assert!(dir.config_file().exists());
        assert!(dir.tokens_file().exists());
    }

    #[cfg(unix)]
    #[test]
    fn the_lock_file_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let dir = ConfigDir::new(home.path());
        let lock = prepare(&dir).unwrap_or_else(|error| unreachable!("{error}"));
        let mode = lock.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
