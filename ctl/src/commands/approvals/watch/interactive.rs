//! The loop of the interactive watch: keys, news and the clock in, the screen and decisions out.

use std::io;
use std::time::{Duration, Instant};

use crossterm::event::{Event, EventStream, KeyEventKind};
use mcpbridge_proto::Client;
use mcpbridge_proto::v1::decide_request::{Approve, Deny, Verdict};
use mcpbridge_proto::v1::{DecideOutcome, DecideRequest, GetPinRequest, Remember};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tonic::Status;

use super::draw::frame;
use super::editor;
use super::feed::Update;
use super::model::{Answer, Mode, Model, Wish};
use super::screen::Screen;
use crate::commands::approvals::decide::{check_arguments, decided, refused};
use crate::context::Context;
use crate::error::Failure;
use crate::exit::Exit;
use crate::output::style::Style;

/// Times that are left are shown in these steps.
const TICK: Duration = Duration::from_secs(1);

struct Watch {
    model: Model,
    screen: Screen,
    keys: EventStream,
    client: Option<Client>,
}

pub async fn run(context: &Context, mut feed: mpsc::Receiver<Update>) -> Result<Exit, Failure> {
    let screen = Screen::enter(context.printer.colors()).map_err(|e| lost_terminal(&e))?;
    let mut watch = Watch {
        model: Model::new(),
        screen,
        keys: EventStream::new(),
        client: None,
    };
    let mut clock = tokio::time::interval(TICK);
    let mut ended = std::pin::pin!(asked_to_end());
    loop {
        watch.draw()?;
        let wish = tokio::select! {
            // News first, so that a key is for what is on the screen.
            biased;
            () = &mut ended => Wish::Interrupt,
            update = feed.recv() => match update {
                Some(update) => watch.take(update)?,
                None => Wish::Quit,
            },
            event = watch.keys.next() => match event {
                Some(event) => watch.event(&event.map_err(|e| lost_terminal(&e))?),
                None => Wish::Quit,
            },
            _ = clock.tick() => Wish::Nothing,
        };
        match wish {
            Wish::Nothing => {}
            Wish::Quit => return Ok(Exit::Done),
            Wish::Interrupt => return Ok(Exit::Interrupted),
            Wish::Edit => watch.edit()?,
            Wish::Decide { answer, pin } => watch.decide(answer, pin).await?,
        }
    }
}

impl Watch {
    fn draw(&mut self) -> Result<(), Failure> {
        let (width, height) = self.screen.size();
        let lines = frame(&mut self.model, width, height);
        Ok(self.screen.show(&lines)?)
    }

    fn take(&mut self, update: Update) -> Result<Wish, Failure> {
        let now = Instant::now();
        let new = match update {
            Update::Connected(client) => {
                self.client = Some(client);
                false
            }
            Update::Snapshot(live) => self.model.reset(live, now),
            Update::Changed(approval) => self.model.change(*approval, now),
            Update::Lost(_) => {
                self.client = None;
                self.model.connected = false;
                false
            }
            Update::Failed(failure) => return Err(failure),
        };
        if new {
            self.screen.ring()?;
        }
        Ok(Wish::Nothing)
    }

    fn event(&mut self, event: &Event) -> Wish {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => {
                self.model.key(*key, Instant::now())
            }
            Event::Paste(text) => {
                self.model.paste(text);
                Wish::Nothing
            }
            _ => Wish::Nothing,
        }
    }

    /// Decides about the selected one; asks for the PIN first when it needs one.
    async fn decide(&mut self, answer: Answer, pin: Option<String>) -> Result<(), Failure> {
        let (Some(client), Some(item)) = (self.client.clone(), self.model.current()) else {
            return Ok(());
        };
        let id = item.id.clone();
        if pin.is_none() && matches!(answer, Answer::Approve { .. }) {
            match client.approvals().get_pin(GetPinRequest {}).await {
                Ok(state) if state.get_ref().set_at != 0 => {
                    self.model.ask_pin(answer);
                    return Ok(());
                }
                Ok(_) => {}
                Err(status) => {
                    self.fail(status.into());
                    return Ok(());
                }
            }
        }
        if pin.is_some() {
            self.model.say("checking the PIN …", Style::Plain);
            self.draw()?;
        }
        let request = DecideRequest {
            ids: vec![id],
            verdict: Some(verdict(answer)),
            pin: pin.unwrap_or_default(),
        };
        let reply = client.approvals().decide(request).await;
        self.report(reply.map(|reply| reply.into_inner().outcomes));
        Ok(())
    }

    fn report(&mut self, outcomes: Result<Vec<DecideOutcome>, Status>) {
        let outcome = match outcomes {
            Ok(mut outcomes) => outcomes.pop().unwrap_or_default(),
            Err(status) => return self.fail(status.into()),
        };
        match (outcome.refusal, &outcome.approval) {
            (Some(refusal), _) => self.fail(refused(&refusal)),
            (None, Some(approval)) => {
                let style = match approval.decision.as_ref().is_some_and(|d| d.approved) {
                    true => Style::Good,
                    false => Style::Bad,
                };
                self.model.say(decided(approval), style);
            }
            (None, None) => {}
        }
        // The feed tells it too, and may be later than the next key.
        if let Some(approval) = outcome.approval {
            self.model.change(approval, Instant::now());
        }
    }

    fn edit(&mut self) -> Result<(), Failure> {
        let Some(item) = self.model.current() else {
            return Ok(());
        };
        if !item.editable {
            let fixed = "the arguments of this call cannot be changed";
            self.model.say(fixed, Style::Warning);
            return Ok(());
        }
        let arguments = item.arguments.clone();
        // It would take keys from the editor.
        self.keys = EventStream::new();
        let edited = self.screen.lend(|| editor::edit(&arguments))?;
        self.keys = EventStream::new();
        match edited {
            Ok(None) => self.model.say("nothing was changed", Style::Plain),
            Ok(Some(arguments)) => match check_arguments(&arguments) {
                Ok(()) => {
                    self.model.scroll = 0;
                    self.model.mode = Mode::Edited(arguments);
                }
                Err(failure) => self.fail(failure),
            },
            Err(failure) => self.fail(failure),
        }
        Ok(())
    }

    fn fail(&mut self, failure: Failure) {
        if let Failure::Report(report) = failure {
            let mut text = report.message;
            for more in report.causes.iter().chain(&report.hints) {
                text.push_str("; ");
                text.push_str(more);
            }
            self.model.say(text, Style::Bad);
        }
    }
}

fn verdict(answer: Answer) -> Verdict {
    match answer {
        Answer::Deny { reason } => Verdict::Deny(Deny { reason }),
        Answer::Approve {
            remember,
            arguments,
        } => Verdict::Approve(Approve {
            remember: remember.map(|remember| Remember {
                remember: Some(remember),
            }),
            arguments,
        }),
    }
}

fn lost_terminal(error: &io::Error) -> Failure {
    Failure::local("cannot use the terminal", error)
}

/// Resolves on a signal that would end the process and leave the terminal as it is.
#[cfg(unix)]
async fn asked_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ];
    let [interrupt, terminate, hangup] = kinds.map(signal);
    if let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) = (interrupt, terminate, hangup) {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    } else {
        std::future::pending().await
    }
}

#[cfg(windows)]
async fn asked_to_end() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}
