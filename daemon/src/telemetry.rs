//! Where log lines go: journald under systemd, a rotated file when started detached, else stderr.

mod batch;
mod line;

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use self::batch::Batch;
use self::line::Line;

/// A log file beyond this size is moved aside.
const MAX_FILE_BYTES: u64 = 10 * 1024 * 1024;
/// How many old files are kept: `mcpbridged.log.1` is the newest of them.
const KEPT_FILES: u32 = 4;
pub const LOG_FILE: &str = "mcpbridged.log";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    Journald,
    File(PathBuf),
    Stderr,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Journald => f.write_str("journald"),
            Self::Stderr => f.write_str("stderr"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// The log as it was opened.
#[derive(Clone)]
pub struct Log {
    pub destination: Destination,
    /// None where every line is a message of its own.
    batch: Option<Batch>,
}

impl Log {
    /// Called by the thread of the runtime when it goes to sleep.
    pub fn before_sleep(&self) {
        if let Some(batch) = &self.batch {
            batch.before_sleep();
        }
    }

    /// Called by it when the runtime has ended: nothing is gathered any more.
    pub fn leave(&self) {
        if let Some(batch) = &self.batch {
            batch.leave();
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("--log-level {0:?} is not a level: use error, warn, info, debug or trace")]
    Level(String),
    #[error("cannot write the log file {path}")]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Starts logging. `log_dir` asks for a file; without it journald is used when stderr is connected
/// to it, which is how systemd starts its services.
pub fn init(level: &str, log_dir: Option<&Path>) -> Result<Log, TelemetryError> {
    let level: tracing::Level = level
        .parse()
        .map_err(|_| TelemetryError::Level(level.to_owned()))?;
    // Libraries get a voice only for what goes wrong: some of them log what they send at debug.
    let filter = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_targets([("mcpbridge_daemon", level), ("mcpbridged", level)]);
    let registry = tracing_subscriber::registry().with(filter);

    #[cfg(target_os = "linux")]
    if log_dir.is_none()
        && stderr_is_the_journal()
        && let Ok(layer) = tracing_journald::layer()
    {
        registry.with(layer).init();
        return Ok(Log {
            destination: Destination::Journald,
            batch: None,
        });
    }
    let (destination, batch) = match log_dir {
        Some(dir) => {
            let path = dir.join(LOG_FILE);
            let file = RotatingFile::open(&path).map_err(|source| TelemetryError::File {
                path: path.clone(),
                source,
            })?;
            (Destination::File(path), Batch::new(file))
        }
        None => (Destination::Stderr, Batch::new(io::stderr())),
    };
    let layer = tracing_subscriber::fmt::layer()
        .event_format(Line)
        .with_writer(batch.clone());
    registry.with(layer).init();
    Ok(Log {
        destination,
        batch: Some(batch),
    })
}

/// A panic is logged like any other error. The default hook writes to stderr, which is a closed
/// pipe once `mcpbridgectl start` has gone.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        // The payload may quote data; the place is enough to find the bug.
        tracing::error!(place, "a task panicked");
    }));
}

/// systemd tells a service the device and inode of its log stream in `JOURNAL_STREAM`.
#[cfg(target_os = "linux")]
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    rustix::fs::fstat(rustix::stdio::stderr())
        .is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// A log file that moves itself aside when it has grown.
struct RotatingFile {
    path: PathBuf,
    file: File,
    written: u64,
}

fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

impl RotatingFile {
    fn open(path: &Path) -> io::Result<Self> {
        if let Some(dir) = path.parent() {
            crate::paths::create_private_dir(dir)?;
        }
        let file = open_private(path)?;
        let written = file.metadata()?.len();
        Ok(Self {
            path: path.to_owned(),
            file,
            written,
        })
    }

    fn rotate(&mut self) -> io::Result<()> {
        let numbered = |n: u32| PathBuf::from(format!("{}.{n}", self.path.display()));
        for n in (1..KEPT_FILES).rev() {
            if numbered(n).exists() {
                fs::rename(numbered(n), numbered(n + 1))?;
            }
        }
        fs::rename(&self.path, numbered(1))?;
        self.file = open_private(&self.path)?;
        self.written = 0;
        Ok(())
    }
}

impl Write for RotatingFile {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        if self.written >= MAX_FILE_BYTES {
            // When moving aside fails, a long log is better than no log.
            let _ = self.rotate();
        }
        let written = self.file.write(lines)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grown_log_file_is_moved_aside_and_the_oldest_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logs").join(LOG_FILE);
        let mut log = RotatingFile::open(&path).unwrap();
        for n in 0..KEPT_FILES + 3 {
            log.write_all(format!("file {n}\n").as_bytes()).unwrap();
            log.written = MAX_FILE_BYTES;
        }
        log.write_all(b"last\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "last\n");
        let newest = fs::read_to_string(path.with_extension("log.1")).unwrap();
        assert_eq!(newest, format!("file {}\n", KEPT_FILES + 2));
        let files = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(files, 1 + KEPT_FILES as usize);
    }
}
