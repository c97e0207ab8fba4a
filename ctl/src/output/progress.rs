//! A line that shows that waiting goes on; only on a terminal.

use std::io::{self, Write};
use std::time::Duration;

use mcpbridge_proto::visible_line;

use super::{Printer, text};

pub struct Progress {
    visible: bool,
    drawn: bool,
}

impl Progress {
    pub fn new(printer: &Printer) -> Self {
        Self {
            visible: printer.shows_progress(),
            drawn: false,
        }
    }

    pub fn update(&mut self, waiting_for: &str, elapsed: Duration) {
        if self.visible {
            self.drawn = true;
            let line = format!("waiting for {waiting_for} … {} s", elapsed.as_secs());
            draw(&text::truncate(&visible_line(&line), 79));
        }
    }

    /// Takes the line away, so that something lasting can be printed.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            draw("");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn draw(line: &str) {
    let mut err = io::stderr().lock();
    // A terminal that went away has nothing to show progress to.
    let _ = write!(err, "\r\x1b[K{line}");
    let _ = err.flush();
}
