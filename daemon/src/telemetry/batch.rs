//! Lines that are written together. Every call writes one, and a system call for each costs more than
//! the line; so what the runtime's worker logs in one turn is written when it goes to sleep.

use std::cell::Cell;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// A worker that is never idle writes whenever it has so much.
const MOST: usize = 32 * 1024;

thread_local! {
    /// Whether this thread tells when it goes to sleep.
    static TELLS: Cell<bool> = const { Cell::new(false) };
}

/// Cloneable handle.
#[derive(Clone)]
pub(super) struct Batch(Arc<Mutex<Pending>>);

struct Pending {
    lines: Vec<u8>,
    out: Box<dyn Write + Send>,
}

impl Pending {
    fn write(&mut self) {
        // There is nowhere left to say that the log cannot be written.
        let _ = self.out.write_all(&self.lines);
        self.lines.clear();
    }
}

impl Batch {
    pub(super) fn new(out: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Pending {
            lines: Vec::new(),
            out: Box::new(out),
        })))
    }

    /// Writes what waits, on behalf of a thread that calls this whenever it goes to sleep.
    pub(super) fn before_sleep(&self) {
        TELLS.set(true);
        let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !pending.lines.is_empty() {
            pending.write();
        }
    }

    /// Writes what waits, on behalf of a thread that tells of its sleep no longer.
    pub(super) fn leave(&self) {
        self.before_sleep();
        TELLS.set(false);
    }

    fn take(&self, line: &[u8], at_once: bool) {
        let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pending.lines.extend_from_slice(line);
        if at_once || !TELLS.get() || pending.lines.len() >= MOST {
            pending.write();
        }
    }
}

pub(super) struct Writer<'a> {
    batch: &'a Batch,
    at_once: bool,
}

impl Write for Writer<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.batch.take(line, self.at_once);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Batch {
    type Writer = Writer<'a>;

    fn make_writer(&'a self) -> Writer<'a> {
        Writer {
            batch: self,
            at_once: true,
        }
    }

    /// What went wrong may be the last thing that is said.
    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Writer<'a> {
        Writer {
            batch: self,
            at_once: *event.level() <= Level::WARN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The writes as they came.
    #[derive(Clone, Default)]
    struct Writes(Arc<Mutex<Vec<String>>>);

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            self.0.lock().unwrap().push(text);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Writes {
        fn count(&self) -> usize {
            self.0.lock().unwrap().len()
        }
    }

    /// What `log` makes of a subscriber over a batch, in a thread of its own.
    fn logged(log: impl FnOnce(&Batch, &Writes) + Send) {
        let writes = Writes::default();
        let batch = Batch::new(writes.clone());
        let subscriber = tracing_subscriber::fmt()
            .event_format(super::super::line::Line)
            .with_writer(batch.clone())
            .finish();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                tracing::subscriber::with_default(subscriber, || log(&batch, &writes));
            });
        });
    }

    #[test]
    fn a_thread_that_tells_when_it_sleeps_writes_its_lines_together() {
        logged(|batch, writes| {
            batch.before_sleep();
            assert_eq!(writes.count(), 0, "there was nothing to write");
            tracing::info!("one");
            tracing::info!("two");
            assert_eq!(writes.count(), 0);
            batch.before_sleep();
            let written = writes.0.lock().unwrap().clone();
            assert_eq!(written.len(), 1);
            let lines: Vec<_> = written[0].lines().collect();
            assert!(lines[0].ends_with(": one") && lines[1].ends_with(": two"));
        });
    }

    #[test]
    fn other_threads_and_what_goes_wrong_wait_for_nobody() {
        logged(|batch, writes| {
            tracing::info!("of a thread that never tells");
            assert_eq!(writes.count(), 1);
            batch.before_sleep();
            tracing::info!("before");
            tracing::warn!("it goes wrong");
            let written = writes.0.lock().unwrap().clone();
            assert!(written[1].contains("before") && written[1].contains("it goes wrong"));
        });
    }

    #[test]
    fn a_thread_that_has_left_waits_for_nobody() {
        logged(|batch, writes| {
            batch.before_sleep();
            tracing::info!("before");
            batch.leave();
            assert_eq!(writes.count(), 1);
            tracing::info!("after");
            assert_eq!(writes.count(), 2);
        });
    }

    #[test]
    fn a_thread_that_never_sleeps_writes_before_much_has_gathered() {
        logged(|batch, writes| {
            batch.before_sleep();
            for _ in 0..1_000 {
                tracing::info!("{}", "x".repeat(100));
            }
            assert!((2..10).contains(&writes.count()), "{}", writes.count());
        });
    }
}
