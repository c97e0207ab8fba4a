//! Notices when somebody changes `config.json`.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use super::Registry;

/// Editors write a file in several steps.
const QUIET: Duration = Duration::from_millis(100);
/// A file that is written again and again is read all the same.
const PATIENCE: Duration = Duration::from_secs(1);

/// Watches directories, because most editors put a new file in the place of the old one.
pub struct FileWatch {
    /// Ends the watch when it goes.
    _watcher: RecommendedWatcher,
    touched: mpsc::Receiver<()>,
}

impl Registry {
    /// Begins to watch the file, and the one it links to.
    ///
    /// # Errors
    /// The system offers no more watches. Edits are then noticed by the next command.
    pub fn watch_file(&self) -> notify::Result<FileWatch> {
        let file = self.dir.config_file();
        let target = std::fs::canonicalize(&file).unwrap_or_else(|_| file.clone());
        let names: Vec<OsString> = [&file, &target]
            .into_iter()
            .filter_map(|path| name(path))
            .collect();
        let (touch, touched) = mpsc::channel(1);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.map_or(true, |event| concerns(&event, &names)) {
                // Full means that a look is due already.
                let _ = touch.try_send(());
            }
        })?;
        let mut directories: Vec<&Path> = [&file, &target]
            .into_iter()
            .filter_map(|p| p.parent())
            .collect();
        directories.dedup();
        for directory in directories {
            watcher.watch(directory, RecursiveMode::NonRecursive)?;
        }
        Ok(FileWatch {
            _watcher: watcher,
            touched,
        })
    }
}

impl FileWatch {
    /// Waits until the file was touched and has come to rest. False when the watch has ended.
    pub async fn touched(&mut self) -> bool {
        if self.touched.recv().await.is_none() {
            return false;
        }
        let rest = async {
            while let Ok(Some(())) = tokio::time::timeout(QUIET, self.touched.recv()).await {}
        };
        let _ = tokio::time::timeout(PATIENCE, rest).await;
        true
    }
}

fn name(path: &Path) -> Option<OsString> {
    path.file_name().map(OsStr::to_owned)
}

/// Reading the file is no change, or each look would lead to the next. Other files of the directory
/// change all the time.
fn concerns(event: &Event, names: &[OsString]) -> bool {
    let is_change = !matches!(event.kind, EventKind::Access(_));
    let mut touched = event.paths.iter().filter_map(|path| name(path));
    event.need_rescan() || (is_change && touched.any(|name| names.contains(&name)))
}
