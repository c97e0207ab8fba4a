//! What the bridge remembers of clients of the `initialize` era: who they said they are when their
//! session began, which of their calls are held, and what they were asked.
//!
//! All of it is in memory and bounded. What is forgotten costs a question in the client's own window,
//! never a decision: those are in the queue.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::bounded::Bounded;
use super::client::ClientView;
use crate::types::{ApprovalId, ServerName};

const SESSIONS: usize = 4096;
const QUESTIONS: usize = 4096;
const HELD: usize = 4096;

/// A session of one caller with one server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SessionKey {
    pub(super) server: ServerName,
    /// `Mcp-Session-Id`, which the server chose.
    pub(super) session: String,
    pub(super) principal: String,
}

/// A question that went to a client as a request of ours.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) session: SessionKey,
    pub(super) approval: ApprovalId,
    pub(super) asked_at: Timestamp,
    pub(super) client: Arc<ClientView>,
}

/// A request of a session, by the text of its id.
type RequestKey = (SessionKey, String);

#[derive(Clone)]
pub(super) struct Sessions {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    clients: Bounded<SessionKey, Arc<ClientView>>,
    questions: Bounded<String, Question>,
    held: Bounded<RequestKey, CancellationToken>,
}

impl Sessions {
    pub(super) fn new() -> Self {
        let inner = Inner {
            clients: Bounded::new(SESSIONS),
            questions: Bounded::new(QUESTIONS),
            held: Bounded::new(HELD),
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
        }
    }

    pub(super) fn begin(&self, session: SessionKey, client: ClientView) {
        self.lock().clients.insert(session, Arc::new(client));
    }

    pub(super) fn client(&self, session: &SessionKey) -> Option<Arc<ClientView>> {
        self.lock().clients.get(session).cloned()
    }

    /// Remembers what was asked under the request id `id`.
    pub(super) fn ask(&self, id: String, question: Question) {
        self.lock().questions.insert(id, question);
    }

    /// The question that `session` answers, once.
    pub(super) fn answered(&self, id: &str, session: &SessionKey) -> Option<Question> {
        let mut inner = self.lock();
        let theirs = inner.questions.get(id)?.session == *session;
        if theirs {
            inner.questions.remove(id)
        } else {
            None
        }
    }

    /// Notes that the request is held; the token tells when the client does not want it any more.
    pub(super) fn hold(&self, session: SessionKey, id: &str) -> Held {
        let key = (session, id.to_owned());
        let cancelled = CancellationToken::new();
        self.lock().held.insert(key.clone(), cancelled.clone());
        Held {
            sessions: self.clone(),
            key,
            cancelled,
        }
    }

    pub(super) fn holds_any(&self) -> bool {
        !self.lock().held.is_empty()
    }

    /// Ends the hold of a request; false if it is not held.
    pub(super) fn cancel(&self, session: SessionKey, id: &str) -> bool {
        let held = self.lock().held.remove(&(session, id.to_owned()));
        held.inspect(CancellationToken::cancel).is_some()
    }

    /// Ends what is held in a session that is over.
    pub(super) fn end(&self, session: &SessionKey) {
        let mut inner = self.lock();
        inner.clients.remove(session);
        inner
            .questions
            .take(|_, question| question.session == *session);
        for cancelled in inner.held.take(|(of, _), _| of == session) {
            cancelled.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request is held as long as this lives.
pub(super) struct Held {
    sessions: Sessions,
    key: RequestKey,
    pub(super) cancelled: CancellationToken,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.sessions.lock().held.remove(&self.key);
    }
}
