//! Composition: builds every part bottom-up, runs them, and ends them in order.

mod prepare;

use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use mcpbridge_proto::Endpoint;
use mcpbridge_proto::transport::Listener;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use self::prepare::{AppError, config_dir, fail, key_options, prepare};
pub use self::prepare::{StartError, init};
use crate::admin::{self, Admin};
use crate::approval::Approvals;
use crate::audit::{Audit, Event, Kind};
use crate::catalog::Catalog;
use crate::cli::Cli;
use crate::clients::Clients;
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Config};
use crate::control::{Control, Facts};
use crate::conversations::Conversations;
use crate::credentials::Credentials;
use crate::error::chain;
use crate::http::sessions::Sessions;
use crate::lifecycle::Lifecycle;
use crate::paths::ConfigDir;
use crate::pipeline::{Parts, Pipeline};
use crate::registry::Registry;
use crate::server::HttpServer;
use crate::store::Store;
use crate::telemetry;
use crate::vault::Vault;
use crate::vendors::{self, Vendors};
use crate::{adapters, desktop, net, proxy, web};

/// How long calls that are being answered may go on after the daemon was told to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// How long the control socket waits for its clients at the very end.
const CONTROL_FAREWELL: Duration = Duration::from_secs(1);

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
    let store = Store::open(&dir.state_file()).map_err(fail)?;
    // One thread, because a call's steps on both connections then never wait for another thread to
    // wake: a third of the latency. Slow work (files, keys) is on the blocking pool anyway.
    let sleeper = log.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .on_thread_park(move || sleeper.before_sleep())
        .enable_all()
        .build()
        .map_err(|error| fail(AppError::Runtime(error)))?;
    let code = runtime.block_on(async {
        let destination = log.destination.to_string();
        let app = App::build(cli, &dir, config, vault, store, destination).await?;
        Ok(app.run().await)
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    log.leave();
    drop(lock);
    code
}

/// All parts, bound and ready, nothing serving yet.
struct App {
    lifecycle: Lifecycle,
    http: HttpServer,
    routes: axum::Router,
    control: Control,
    socket: Listener,
    audit: Audit,
    desktop_notifications: bool,
}

impl App {
    async fn build(
        cli: &Cli,
        dir: &ConfigDir,
        mut config: Config,
        vault: Vault,
        store: Store,
        log_destination: String,
    ) -> Result<Self, StartError> {
        // Compares the file with what it said, not with what the command line said instead.
        let registry = Registry::new(dir.clone(), &config);
        if let Some(host) = &cli.host {
            config.proxy_host.clone_from(host);
        }
        if let Some(port) = cli.port {
            config.proxy_port = port;
        }
        let key_store = vault.key_source().to_string();
        let lifecycle = Lifecycle::new();
        let clock = Arc::new(SystemClock);
        let audit = Audit::new(
            store.clone(),
            clock.clone(),
            lifecycle.clone(),
            config.audit.clone(),
        );
        let http = HttpServer::bind(&config).await.map_err(fail)?;
        let base_url = http.base_url();

        let config_dir = cli.config_dir.as_ref().map(|_| dir.path());
        let endpoint = Endpoint::resolve(cli.socket.as_deref(), config_dir)
            .map_err(|error| fail(AppError::from(error)))?;
        let socket = Listener::bind(&endpoint)
            .await
            .map_err(|error| fail(AppError::from(error)))?;

        let approvals = Approvals::open(store.clone(), clock.clone(), lifecycle.clone())
            .await
            .map_err(fail)?;
        let catalog = Catalog::open(store.clone(), clock.clone(), lifecycle.clone())
            .await
            .map_err(fail)?;
        let credentials = Credentials::new(
            vault.clone(),
            audit.clone(),
            net::Client::new(),
            clock.clone(),
            lifecycle.clone(),
            format!("{base_url}/callback"),
        );
        // Only loopback can be bound; were it otherwise, whoever reaches the port would have to say who
        // it is.
        let token_required = config.require_client_token || !http.is_loopback();
        let clients = Clients::open(
            store.clone(),
            clock.clone(),
            lifecycle.clone(),
            token_required,
        )
        .await
        .map_err(fail)?;
        let parts = Parts {
            registry: registry.clone(),
            credentials: credentials.clone(),
            clients: clients.clone(),
            catalog: catalog.clone(),
            approvals: approvals.clone(),
            audit: audit.clone(),
            vault: vault.clone(),
            clock: clock.clone(),
            lifecycle: lifecycle.clone(),
            base_url: base_url.clone(),
        };
        let pipeline = Pipeline::new(&config, parts);
        let vendors = Vendors::new(
            &config.ai,
            vendors::Parts {
                vault,
                clients: clients.clone(),
                audit: audit.clone(),
                clock: clock.clone(),
            },
        );
        let vendors = vendors.map_err(fail)?;

        let sessions = Sessions::new(clock.clone(), http.port());
        let admin = Admin::new(admin::Parts {
            registry: registry.clone(),
            credentials: credentials.clone(),
            approvals: approvals.clone(),
            catalog: catalog.clone(),
            audit: audit.clone(),
            lifecycle: lifecycle.clone(),
        });
        let web = web::Web {
            admin: admin.clone(),
            registry: registry.clone(),
            credentials: credentials.clone(),
            approvals: approvals.clone(),
            catalog: catalog.clone(),
            audit: audit.clone(),
            sessions: sessions.clone(),
            lifecycle: lifecycle.clone(),
            base_url: base_url.clone(),
        };
        let keep = Duration::from_secs(u64::from(config.ai.keep_days) * 24 * 60 * 60);
        let conversations = Conversations::open(store, clock.clone(), lifecycle.clone(), keep);
        let models = adapters::Parts {
            vendors: vendors.clone(),
            pipeline: pipeline.clone(),
            conversations,
            approvals: approvals.clone(),
            lifecycle: lifecycle.clone(),
            clock: clock.clone(),
            port: http.port(),
        };
        let models = adapters::router(&config, models);
        let routes = proxy::router(pipeline.clone())
            .merge(models)
            .merge(web::router(web));
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
            admin,
            registry,
            credentials,
            approvals,
            catalog,
            clients,
            vendors,
            audit: audit.clone(),
            pipeline,
            sessions,
            lifecycle: lifecycle.clone(),
            facts,
        };
        Ok(Self {
            lifecycle,
            http,
            routes,
            control,
            socket,
            audit,
            desktop_notifications: config.approvals.desktop_notifications,
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
            audit,
            desktop_notifications,
        } = self;
        let mut termination = Termination::listen();
        match audit.started().await {
            Ok(true) => {}
            Ok(false) => tracing::warn!("the daemon before this one did not end cleanly"),
            Err(error) => tracing::error!(
                error = chain(&error),
                "the audit log cannot be written: no tool will be called"
            ),
        }
        if let Err(error) = control.approvals.resume().await {
            tracing::error!(
                error = chain(&error),
                "calls that ran when the last daemon ended are shown as running"
            );
        }
        control.admin.sync().await;
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
        audit.keep_pruned(&lifecycle);
        if desktop_notifications {
            desktop::start(control.approvals.clone(), &lifecycle);
        }
        control.admin.record_edits_while_away();
        control.follow_config_file();

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
        let failed = lifecycle.failed();
        let stopped = Event::new(Kind::DaemonStopped).detail(json!({ "failed": failed }));
        if let Err(error) = audit.record_durable(stopped).await {
            tracing::error!(error = chain(&error), "the end is not in the audit log");
        }
        drop(socket);
        tracing::info!("stopped");
        if failed {
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
