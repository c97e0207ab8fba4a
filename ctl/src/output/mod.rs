//! The only way to the terminal: data to stdout, talk to stderr.

pub mod json;
pub mod line;
pub mod progress;
pub mod style;
pub mod table;
pub mod text;
pub mod time;

use std::io::{self, IsTerminal, Write};

use mcpbridge_proto::{visible, visible_line};
use serde::Serialize;

use crate::error::{Failure, Report};
use line::Line;
use style::{Style, paint};
use table::Table;

/// Width of tables when nobody says how wide the terminal is.
const DEFAULT_WIDTH: usize = 80;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Human,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Talk {
    Quiet,
    Normal,
    Verbose,
}

pub struct Printer {
    format: Format,
    talk: Talk,
    out_is_terminal: bool,
    err_is_terminal: bool,
    color_out: bool,
    color_err: bool,
}

impl Printer {
    pub fn new(format: Format, talk: Talk) -> Self {
        let out_is_terminal = io::stdout().is_terminal();
        let err_is_terminal = io::stderr().is_terminal();
        Self {
            format,
            talk,
            out_is_terminal,
            err_is_terminal,
            color_out: style::wanted(out_is_terminal),
            color_err: style::wanted(err_is_terminal),
        }
    }

    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether [`Self::note`] says anything.
    pub fn talks(&self) -> bool {
        self.talk > Talk::Quiet && !self.is_json()
    }

    /// Whether stdout and the keys are a person's, and can be drawn on.
    pub fn can_draw(&self) -> bool {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        self.out_is_terminal && io::stdin().is_terminal() && !self.is_json() && !dumb
    }

    pub fn colors(&self) -> bool {
        self.color_out
    }

    /// Whether a person can see what changes on stderr.
    pub fn shows_progress(&self) -> bool {
        self.err_is_terminal && self.talks()
    }

    /// Data for people: text that ends its own lines. Safe for a terminal, unchanged for a pipe.
    pub fn data(&self, data: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        if self.out_is_terminal {
            out.write_all(visible(data).as_bytes())?;
        } else {
            out.write_all(data.as_bytes())?;
        }
        out.flush()?;
        Ok(())
    }

    /// What a person needs to see before [`Self::confirm`]; beside the data when those are JSON.
    pub fn for_question(&self, data: &str) -> Result<(), Failure> {
        if !self.is_json() {
            return self.data(data);
        }
        io::stderr().lock().write_all(visible(data).as_bytes())?;
        Ok(())
    }

    pub fn line(&self, line: &str) -> Result<(), Failure> {
        self.data(&format!("{line}\n"))
    }

    pub fn table<const N: usize>(&self, table: &Table<N>) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        // Cells are safe already, and the colours between them must not be taken out.
        let width = if self.out_is_terminal {
            width(&out)
        } else {
            DEFAULT_WIDTH
        };
        out.write_all(table.render(width, self.color_out).as_bytes())?;
        out.flush()?;
        Ok(())
    }

    /// Lines that are safe already, broken to the width of a terminal.
    pub fn lines(&self, lines: &[Line]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let width = if self.out_is_terminal {
            width(&out)
        } else {
            usize::MAX
        };
        for line in lines.iter().flat_map(|line| line.wrapped(width)) {
            writeln!(out, "{}", line.painted(self.color_out))?;
        }
        out.flush()?;
        Ok(())
    }

    /// One document, for commands that answer once.
    pub fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        self.line(&serde_json::to_string_pretty(value).map_err(io::Error::from)?)
    }

    /// One line of NDJSON, for commands that answer as things happen.
    pub fn event(&self, value: &impl Serialize) -> Result<(), Failure> {
        self.line(&serde_json::to_string(value).map_err(io::Error::from)?)
    }

    /// The end of a command whose answer is that it was done.
    pub fn done(&self, value: &impl Serialize, said: &str) -> Result<(), Failure> {
        if self.is_json() {
            return self.json(value);
        }
        self.note(said);
        Ok(())
    }

    /// Talk; silent under `--quiet` and `--json`.
    pub fn note(&self, message: &str) {
        if self.talks() {
            self.say(&self.fitted(message));
        }
    }

    /// What the command waits for; one line of JSON under `--json`, and silent under `--quiet`.
    pub fn waiting(&self, message: &str, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(json) if self.is_json() && self.talk > Talk::Quiet => self.say(&json),
            _ => self.note(message),
        }
    }

    /// Details under `--verbose`.
    pub fn detail(&self, message: &str) {
        if self.talk == Talk::Verbose {
            self.say(&self.fitted(message));
        }
    }

    /// Silent under `--json`, whose answers carry warnings of their own.
    pub fn warn(&self, message: &str) {
        if !self.is_json() {
            self.labelled("warning", Style::Warning, message);
        }
    }

    pub fn failure(&self, report: &Report) {
        self.labelled("error", Style::Bad, &report.message);
        for cause in &report.causes {
            self.say(&self.fitted(&format!("  caused by: {cause}")));
        }
        for hint in &report.hints {
            self.labelled("hint", Style::Hint, hint);
        }
        if self.is_json() {
            self.say(&report.to_json());
        }
    }

    /// A failure of one of several things, after which the command goes on.
    pub fn refusal(&self, failure: &Failure) {
        if let Failure::Report(report) = failure {
            self.failure(report);
        }
    }

    pub fn can_ask(&self) -> bool {
        self.err_is_terminal && io::stdin().is_terminal()
    }

    /// Asks a question of a person; None when there is no terminal to ask on.
    pub fn confirm(&self, question: &str) -> io::Result<Option<bool>> {
        if !self.can_ask() {
            return Ok(None);
        }
        let mut err = io::stderr().lock();
        write!(err, "{} [y/N] ", visible_line(question))?;
        err.flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        let answer = answer.trim();
        Ok(Some(
            answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes"),
        ))
    }

    fn labelled(&self, label: &str, style: Style, message: &str) {
        let label = format!("{label}:");
        let told = self.fitted(&format!("{label} {message}"));
        let message = told.strip_prefix(&label).unwrap_or(&told);
        self.say(&format!(
            "{}{message}",
            paint(&label, style, self.color_err)
        ));
    }

    /// Talk that is safe for a terminal, and broken to its width there.
    fn fitted(&self, message: &str) -> String {
        let message = visible_line(message);
        if self.err_is_terminal {
            text::wrap(&message, width(&io::stderr()))
        } else {
            message
        }
    }

    fn say(&self, line: &str) {
        // Nobody is left to tell when stderr is closed.
        let _ = writeln!(io::stderr().lock(), "{line}");
    }
}

#[cfg(unix)]
fn width(terminal: &impl std::os::fd::AsFd) -> usize {
    match rustix::termios::tcgetwinsize(terminal) {
        Ok(size) if size.ws_col > 0 => size.ws_col.into(),
        _ => DEFAULT_WIDTH,
    }
}

#[cfg(windows)]
fn width<T>(_terminal: &T) -> usize {
    DEFAULT_WIDTH
}
