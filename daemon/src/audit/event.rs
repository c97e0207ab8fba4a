//! What is recorded.

use serde_json::Value;

use crate::types::{ApprovalId, ServerName};

macro_rules! kinds {
    ($($name:ident = $text:literal,)*) => {
        /// What happened. The text is for files, the wire and people, and never changes its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind {
            $($name,)*
        }

        impl Kind {
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

kinds! {
    CallStarted = "call.started",
    CallFinished = "call.finished",
    CallRefused = "call.refused",
    ApprovalRequested = "approval.requested",
    ApprovalDecided = "approval.decided",
    ApprovalExpired = "approval.expired",
    ApprovalWithdrawn = "approval.withdrawn",
    ApprovalExecuting = "approval.executing",
    ApprovalSettled = "approval.settled",
    GrantAdded = "grant.added",
    GrantRevoked = "grant.revoked",
    PolicyChanged = "policy.changed",
    ConfigRejected = "config.rejected",
    ToolPinned = "tool.pinned",
    ToolChanged = "tool.changed",
    ToolApproved = "tool.approved",
    InstructionsChanged = "instructions.changed",
    TokenIssued = "token.issued",
    TokenRefreshed = "token.refreshed",
    TokenRefreshFailed = "token.refresh_failed",
    TokenRevoked = "token.revoked",
    LoginNeeded = "login.needed",
    ClientAdded = "client.added",
    ClientRevoked = "client.revoked",
    ClientRefused = "client.refused",
    KeySet = "key.set",
    KeyRemoved = "key.removed",
    PinSet = "pin.set",
    PinCleared = "pin.cleared",
    PinWrong = "pin.wrong",
    UiSession = "ui.session",
    DaemonStarted = "daemon.started",
    DaemonStopped = "daemon.stopped",
    AuditPruned = "audit.pruned",
}

/// One thing that happened, before it has a place in the log. Holds no secret.
#[derive(Debug, Clone)]
pub struct Event {
    pub(super) kind: Kind,
    pub(super) server: Option<ServerName>,
    pub(super) tool: Option<String>,
    pub(super) actor: Option<String>,
    pub(super) approval: Option<ApprovalId>,
    pub(super) detail: Value,
}

impl Event {
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            server: None,
            tool: None,
            actor: None,
            approval: None,
            detail: Value::Object(serde_json::Map::new()),
        }
    }

    #[must_use]
    pub fn server(mut self, server: &ServerName) -> Self {
        self.server = Some(server.clone());
        self
    }

    #[must_use]
    pub fn tool(mut self, tool: impl Into<String>) -> Self {
        self.tool = Some(tool.into());
        self
    }

    /// Who did it, in words: a caller, a decider.
    #[must_use]
    pub fn actor(mut self, actor: impl ToString) -> Self {
        self.actor = Some(actor.to_string());
        self
    }

    #[must_use]
    pub fn approval(mut self, approval: ApprovalId) -> Self {
        self.approval = Some(approval);
        self
    }

    /// The rest, as a JSON object.
    #[must_use]
    pub fn detail(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }
}
