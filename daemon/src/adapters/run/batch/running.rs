//! The calls of one batch: those that wait for their turn, those that are under way, and how the others
//! ended.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc;

use crate::adapters::run::calls::{Note, Notes, Pending};
use crate::adapters::run::drive::Halt;
use crate::adapters::run::outlet::Outlet;
use crate::adapters::step::CallResult;
use crate::types::ApprovalId;

/// Under way together, those that wait for a person among them.
const AT_ONCE: usize = 16;

pub(super) struct Running {
    /// With their places.
    line: VecDeque<(usize, Pending)>,
    under_way: FuturesUnordered<BoxFuture<'static, (usize, Option<CallResult>)>>,
    /// Where those under way wait for a person.
    questions: HashMap<usize, Option<ApprovalId>>,
    /// Whether one ever did.
    has_asked: bool,
    /// In the order of the model.
    ended: Vec<Option<CallResult>>,
    note: mpsc::Sender<(usize, Note)>,
    notes: mpsc::Receiver<(usize, Note)>,
    /// Nobody has listened for a while: what is under way is carried to its end, and nothing else is begun.
    is_deserted: bool,
    /// Resolves when nobody has listened for a while.
    gone: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// What happens next.
pub(super) enum Event {
    /// The call at this place says something.
    Noted(usize, Note),
    /// It has a result, or was not sent.
    Ended(usize, Option<CallResult>),
    /// Nothing is under way.
    Idle,
    /// Nobody has listened for a while, and that matters.
    Deserted,
}

impl Running {
    pub(super) fn new(calls: Vec<Pending>, outlet: &Outlet) -> Self {
        let mut ended = Vec::with_capacity(calls.len());
        let mut line = VecDeque::new();
        for (at, pending) in calls.into_iter().enumerate() {
            match pending {
                Pending::Ended(result) => ended.push(Some(result)),
                pending => {
                    ended.push(None);
                    line.push_back((at, pending));
                }
            }
        }
        let (note, notes) = mpsc::channel(AT_ONCE);
        Self {
            line,
            under_way: FuturesUnordered::new(),
            questions: HashMap::new(),
            has_asked: false,
            ended,
            note,
            notes,
            is_deserted: false,
            gone: desertion(outlet),
        }
    }

    /// Those whose turn it is.
    pub(super) fn take_next(&mut self) -> Vec<(usize, Pending)> {
        let free = match self.is_deserted {
            true => 0,
            false => AT_ONCE - self.under_way.len(),
        };
        self.line.drain(..free.min(self.line.len())).collect()
    }

    /// Begins the call at this place, which says on the way what it is handed.
    pub(super) fn begin<F>(&mut self, at: usize, call: impl FnOnce(Notes) -> F)
    where
        F: Future<Output = Option<CallResult>> + Send + 'static,
    {
        let notes = self.note.clone();
        let call = call(Notes { at, notes });
        self.under_way
            .push(Box::pin(async move { (at, call.await) }));
        self.questions.insert(at, None);
    }

    pub(super) async fn next(&mut self) -> Event {
        let may_end = self.only_asks().is_some() || !(self.is_deserted || self.line.is_empty());
        tokio::select! {
            biased;
            Some((at, note)) = self.notes.recv() => Event::Noted(at, note),
            ended = self.under_way.next() => match ended {
                Some((at, result)) => Event::Ended(at, result),
                None => Event::Idle,
            },
            () = &mut self.gone, if may_end => Event::Deserted,
        }
    }

    pub(super) fn waits_at(&mut self, at: usize, question: ApprovalId) {
        self.has_asked = true;
        // It may have ended before this was heard.
        if let Some(waits_at) = self.questions.get_mut(&at) {
            *waits_at = Some(question);
        }
    }

    /// The question that the call has waited at until now.
    pub(super) fn waits_no_more(&mut self, at: usize) -> Option<ApprovalId> {
        self.questions.remove(&at).flatten()
    }

    /// Whether a call has waited for a person.
    pub(super) fn has_asked(&self) -> bool {
        self.has_asked
    }

    /// The questions that all that is under way waits at; None where something does not.
    pub(super) fn only_asks(&self) -> Option<Vec<ApprovalId>> {
        self.questions.values().copied().collect()
    }

    pub(super) fn ended(&mut self, at: usize, result: CallResult) {
        self.ended[at] = Some(result);
    }

    /// Whether all have begun.
    pub(super) fn is_begun(&self) -> bool {
        self.line.is_empty()
    }

    /// # Errors
    /// Nobody listens.
    pub(super) fn go_on(&mut self, outlet: &Outlet) -> Result<(), Halt> {
        if outlet.give_up() {
            return Err(Halt::Abandoned);
        }
        self.is_deserted = false;
        self.gone = desertion(outlet);
        Ok(())
    }

    /// Nobody has listened for a while.
    pub(super) fn begin_no_more(&mut self, outlet: &Outlet) {
        self.is_deserted = true;
        self.gone = desertion(outlet);
    }

    pub(super) fn into_results(self) -> Vec<CallResult> {
        self.ended.into_iter().flatten().collect()
    }
}

fn desertion(outlet: &Outlet) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let outlet = outlet.clone();
    Box::pin(async move { outlet.deserted().await })
}
