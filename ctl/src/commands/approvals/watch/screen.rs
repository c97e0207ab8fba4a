//! The terminal while it is drawn on, and the way back from that.

use std::io::{self, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::style::Print;
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, DisableLineWrap, EnableLineWrap,
    EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode, size,
};
use crossterm::{execute, queue};

use crate::output::line::Line;

static DRAWING: AtomicBool = AtomicBool::new(false);

/// Gives the terminal back when dropped, and in a panic before the message of it.
pub struct Screen {
    color: bool,
}

impl Screen {
    pub fn enter(color: bool) -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let usual = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                leave();
                usual(panic);
            }));
        });
        let screen = Self { color };
        screen.resume()?;
        Ok(screen)
    }

    /// Columns and rows.
    pub fn size(&self) -> (usize, usize) {
        let (columns, rows) = size().unwrap_or((80, 24));
        (columns.into(), rows.into())
    }

    /// Shows `lines`, one a row.
    pub fn show(&self, lines: &[Line]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        queue!(out, BeginSynchronizedUpdate)?;
        for (row, line) in (0..).zip(lines) {
            let painted = line.painted(self.color);
            // Cleared first: after a full row the cursor is still on its last column.
            queue!(
                out,
                MoveTo(0, row),
                Clear(ClearType::UntilNewLine),
                Print(painted)
            )?;
        }
        queue!(out, EndSynchronizedUpdate)?;
        out.flush()
    }

    /// Something has come for somebody who looks elsewhere.
    pub fn ring(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(b"\x07")?;
        out.flush()
    }

    /// Gives the terminal to another program for as long as `program` runs.
    pub fn lend<T>(&self, program: impl FnOnce() -> T) -> io::Result<T> {
        leave();
        let result = program();
        self.resume()?;
        Ok(result)
    }

    fn resume(&self) -> io::Result<()> {
        DRAWING.store(true, Ordering::SeqCst);
        enable_raw_mode()?;
        execute!(
            io::stdout(),
            EnterAlternateScreen,
            EnableBracketedPaste,
            DisableLineWrap,
            Hide,
            Clear(ClearType::All)
        )
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

fn leave() {
    if DRAWING.swap(false, Ordering::SeqCst) {
        // A terminal that is gone needs nothing back.
        let _ = execute!(
            io::stdout(),
            EnableLineWrap,
            DisableBracketedPaste,
            Show,
            LeaveAlternateScreen
        );
        let _ = disable_raw_mode();
    }
}
