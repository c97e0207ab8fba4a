//! What comes before the parts are built: the directory, its lock, the key of the vault, `init`.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::Cli;
use crate::config;
use crate::error::{Classify, ErrorKind};
use crate::paths::{ConfigDir, sync_dir};
use crate::telemetry;
use crate::types::Secret;
use crate::vault::{KeyOptions, KeySource, Vault};

/// Any error that keeps the daemon from starting, or `init` from finishing.
pub type StartError = Box<dyn Classify + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub(super) enum AppError {
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
pub(super) fn fail<E: Classify + Send + Sync + 'static>(error: E) -> StartError {
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

pub(super) fn config_dir(cli: &Cli) -> Result<ConfigDir, StartError> {
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
pub(super) fn prepare(dir: &ConfigDir) -> Result<File, StartError> {
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

pub(super) fn key_options(cli: &Cli, choice: Option<KeySource>) -> Result<KeyOptions, StartError> {
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
