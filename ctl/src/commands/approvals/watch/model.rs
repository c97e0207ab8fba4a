//! What the screen shows and what keys mean. Pure: what is to be done is returned.

use std::time::{Duration, Instant};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use mcpbridge_proto::v1::remember::Remember as Asked;
use mcpbridge_proto::v1::{Always, Approval};

use super::prompt::Prompt;
use crate::commands::approvals::decide::lasts;
use crate::commands::approvals::describe::Extent;
use crate::duration;
use crate::output::style::Style;

/// A key that was meant for what was shown before must not decide about what has just appeared.
const LOOK_FIRST: Duration = Duration::from_millis(500);

pub struct Model {
    /// Pending ones, oldest first, and the selected one until the person moves on.
    pub items: Vec<Approval>,
    pub selected: usize,
    /// When the selected one appeared without a key.
    appeared: Option<Instant>,
    pub mode: Mode,
    pub extent: Extent,
    /// Lines of the details above the screen.
    pub scroll: usize,
    pub note: Option<(String, Style)>,
    pub connected: bool,
}

pub enum Mode {
    Browse,
    Help,
    Reason(Prompt),
    Length(Prompt),
    /// For any arguments, or for these?
    Always,
    /// Arguments that were edited: send them?
    Edited(String),
    Pin(Prompt, Answer),
}

/// What the person says to a question.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Approve {
        /// None for once.
        remember: Option<Asked>,
        /// To be sent instead.
        arguments: Option<String>,
    },
    Deny {
        reason: String,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    Nothing,
    Quit,
    Interrupt,
    /// About the selected one. The PIN is there when it was asked for.
    Decide {
        answer: Answer,
        pin: Option<String>,
    },
    /// The arguments of the selected one.
    Edit,
}

impl Model {
    pub fn new() -> Self {
        Self {
            items: Vec::new(),
            selected: 0,
            appeared: None,
            mode: Mode::Browse,
            extent: Extent::Folded,
            scroll: 0,
            note: None,
            connected: true,
        }
    }

    pub fn current(&self) -> Option<&Approval> {
        self.items.get(self.selected)
    }

    pub fn pending(&self) -> usize {
        let pending = |item: &&Approval| item.state == "pending";
        self.items.iter().filter(pending).count()
    }

    pub fn say(&mut self, text: impl Into<String>, style: Style) {
        self.note = Some((text.into(), style));
    }

    /// Takes all live approvals; whether one is new among them.
    pub fn reset(&mut self, live: Vec<Approval>, now: Instant) -> bool {
        self.connected = true;
        let known: Vec<String> = self.items.iter().map(|item| item.id.clone()).collect();
        let current = self.current().map(|item| item.id.clone());
        self.items = live;
        self.items
            .retain(|item| item.state == "pending" || Some(&item.id) == current.as_ref());
        let kept = self
            .items
            .iter()
            .position(|item| Some(&item.id) == current.as_ref());
        if kept.is_none() {
            self.appear(now);
        }
        self.selected = kept.unwrap_or(0);
        self.items.iter().any(|item| !known.contains(&item.id))
    }

    /// Takes one that has changed; whether it is a new question.
    pub fn change(&mut self, approval: Approval, now: Instant) -> bool {
        let pending = approval.state == "pending";
        match self.items.iter().position(|item| item.id == approval.id) {
            Some(at) if pending || at == self.selected => {
                self.items[at] = approval;
                false
            }
            Some(at) => {
                self.items.remove(at);
                self.selected -= usize::from(at < self.selected);
                false
            }
            None if pending => {
                if self.items.is_empty() {
                    self.appear(now);
                }
                self.items.push(approval);
                true
            }
            None => false,
        }
    }

    pub fn ask_pin(&mut self, answer: Answer) {
        self.mode = Mode::Pin(Prompt::hidden("approval PIN:"), answer);
    }

    pub fn paste(&mut self, text: &str) {
        if let Some(prompt) = self.prompt() {
            prompt.insert(text);
        }
    }

    pub fn prompt(&mut self) -> Option<&mut Prompt> {
        match &mut self.mode {
            Mode::Reason(prompt) | Mode::Length(prompt) | Mode::Pin(prompt, _) => Some(prompt),
            Mode::Browse | Mode::Help | Mode::Always | Mode::Edited(_) => None,
        }
    }

    pub fn key(&mut self, key: KeyEvent, now: Instant) -> Wish {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && key.code == KeyCode::Char('c') {
            return Wish::Interrupt;
        }
        if key.code == KeyCode::Esc {
            self.mode = Mode::Browse;
            self.note = None;
            return Wish::Nothing;
        }
        if let Some(prompt) = self.prompt() {
            match key.code {
                KeyCode::Enter => return self.answered(),
                KeyCode::Backspace => prompt.erase(),
                KeyCode::Char('u') if control => prompt.clear(),
                KeyCode::Char(c) if !control => prompt.insert(c.encode_utf8(&mut [0; 4])),
                _ => {}
            }
            return Wish::Nothing;
        }
        if control || key.modifiers.contains(KeyModifiers::ALT) {
            return Wish::Nothing;
        }
        self.note = None;
        match std::mem::replace(&mut self.mode, Mode::Browse) {
            Mode::Always => self.for_always(key.code),
            Mode::Edited(arguments) => self.edited(key.code, arguments),
            Mode::Help => Wish::Nothing,
            _ => self.browse(key.code, now),
        }
    }

    fn browse(&mut self, key: KeyCode, now: Instant) -> Wish {
        let decides = matches!(key, KeyCode::Char('a' | 'A' | 'd' | 't' | 'e'));
        if decides && !self.may_decide(now) {
            return Wish::Nothing;
        }
        self.appeared = None;
        match key {
            KeyCode::Char('q') => return Wish::Quit,
            KeyCode::Char('?' | 'h') => self.mode = Mode::Help,
            KeyCode::Char('j') | KeyCode::Down => self.select(self.selected + 1),
            KeyCode::Char('k') | KeyCode::Up => self.select(self.selected.saturating_sub(1)),
            KeyCode::Char(' ') | KeyCode::PageDown => self.scroll += 10,
            KeyCode::Char('b') | KeyCode::PageUp => self.scroll = self.scroll.saturating_sub(10),
            KeyCode::Char('i') | KeyCode::Enter => {
                self.extent = match self.extent {
                    Extent::Folded => Extent::Whole,
                    Extent::Whole => Extent::Folded,
                };
            }
            KeyCode::Char('a') => return approve(None, None),
            KeyCode::Char('A') => self.mode = Mode::Always,
            KeyCode::Char('d') => {
                let question = "why not (Enter for no reason, Esc to leave it):";
                self.mode = Mode::Reason(Prompt::new(question, ""));
            }
            KeyCode::Char('t') => {
                let question = "approve this tool for this caller, for how long:";
                self.mode = Mode::Length(Prompt::new(question, "10m"));
            }
            KeyCode::Char('e') => return Wish::Edit,
            _ => {}
        }
        Wish::Nothing
    }

    /// Whether there is something to decide, and the person can have seen it.
    fn may_decide(&mut self, now: Instant) -> bool {
        let Some(item) = self.current() else {
            return false;
        };
        let refusal = if item.state != "pending" {
            Some("it is decided already; j and k lead to others")
        } else if self
            .appeared
            .is_some_and(|at| now.duration_since(at) < LOOK_FIRST)
        {
            Some("this has only just appeared: look at it, then press the key again")
        } else if !self.connected {
            Some("nothing can be decided while the daemon is away")
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.say(refusal, Style::Warning);
        }
        refusal.is_none()
    }

    fn select(&mut self, at: usize) {
        let at = at.min(self.items.len().saturating_sub(1));
        if at == self.selected {
            return;
        }
        // What was decided has been seen, and goes.
        let left = self.selected;
        self.selected = at;
        self.scroll = 0;
        self.extent = Extent::Folded;
        if self.items[left].state != "pending" {
            self.items.remove(left);
            self.selected -= usize::from(left < self.selected);
        }
    }

    fn appear(&mut self, now: Instant) {
        self.appeared = Some(now);
        self.scroll = 0;
        self.extent = Extent::Folded;
        // What was being answered is gone.
        self.mode = Mode::Browse;
    }

    fn answered(&mut self) -> Wish {
        match std::mem::replace(&mut self.mode, Mode::Browse) {
            Mode::Reason(prompt) => Wish::Decide {
                answer: Answer::Deny {
                    reason: prompt.text().to_owned(),
                },
                pin: None,
            },
            Mode::Length(prompt) => match duration::parse(prompt.text()) {
                Ok(length) => match lasts(length) {
                    Ok(lasting) => approve(Some(lasting), None),
                    Err(_) => {
                        self.say("that is longer than a year", Style::Bad);
                        Wish::Nothing
                    }
                },
                Err(error) => {
                    self.say(error, Style::Bad);
                    Wish::Nothing
                }
            },
            Mode::Pin(prompt, answer) => Wish::Decide {
                answer,
                pin: Some(prompt.text().to_owned()),
            },
            mode => {
                self.mode = mode;
                Wish::Nothing
            }
        }
    }

    fn for_always(&mut self, key: KeyCode) -> Wish {
        let these_arguments = match key {
            KeyCode::Char('a') => false,
            KeyCode::Char('t') => true,
            _ => {
                self.say("nothing was decided", Style::Plain);
                return Wish::Nothing;
            }
        };
        approve(Some(Asked::Always(Always { these_arguments })), None)
    }

    fn edited(&mut self, key: KeyCode, arguments: String) -> Wish {
        match key {
            KeyCode::Char('y') => approve(None, Some(arguments)),
            KeyCode::Char('n') => {
                self.say("the arguments stay as they were asked for", Style::Plain);
                Wish::Nothing
            }
            KeyCode::Char(' ') | KeyCode::PageDown => {
                self.scroll += 10;
                self.mode = Mode::Edited(arguments);
                Wish::Nothing
            }
            _ => {
                self.mode = Mode::Edited(arguments);
                Wish::Nothing
            }
        }
    }
}

fn approve(remember: Option<Asked>, arguments: Option<String>) -> Wish {
    Wish::Decide {
        answer: Answer::Approve {
            remember,
            arguments,
        },
        pin: None,
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
