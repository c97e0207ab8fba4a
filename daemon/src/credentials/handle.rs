//! The outside of a credential's task: what it can be asked, and the token without asking.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use super::error::CredentialError;
use super::record::CredentialRecord;
use super::state::{Authorization, Status, TokenId};
use crate::clock::SharedClock;
use crate::net::AddressPolicy;
use crate::types::ServerName;
use crate::vault::VaultError;

/// How long a caller waits for a refresh that is under way.
const CALLER_PATIENCE: Duration = Duration::from_secs(40);

/// Cloneable access to one credential's task.
#[derive(Clone)]
pub(super) struct Handle {
    commands: mpsc::Sender<Command>,
    view: watch::Receiver<View>,
    clock: SharedClock,
    policy: AddressPolicy,
}

impl Handle {
    pub(super) fn new(
        commands: mpsc::Sender<Command>,
        view: watch::Receiver<View>,
        clock: SharedClock,
        policy: AddressPolicy,
    ) -> Self {
        Self {
            commands,
            view,
            clock,
            policy,
        }
    }

    /// Where the credential's endpoints may be.
    pub(super) fn policy(&self) -> AddressPolicy {
        self.policy
    }

    /// The token to use. Waits for a refresh when there is none, or when `refused` is the current one.
    pub(super) async fn token(
        &self,
        server: &ServerName,
        refused: Option<TokenId>,
    ) -> Result<Authorization, CredentialError> {
        let seen = {
            let view = self.view.borrow();
            if let Some(token) = &view.token
                && refused != Some(token.id)
                && token.is_usable(self.clock.now())
            {
                return Ok(token.authorization.clone());
            }
            view.newest()
        };
        self.ask(server, |reply| Command::Token {
            refused,
            seen,
            reply,
        })
        .await
    }

    pub(super) async fn refresh(&self, server: &ServerName) -> Result<(), CredentialError> {
        let seen = self.view.borrow().newest();
        self.ask(server, |reply| Command::Refresh { seen, reply })
            .await
    }

    /// Waits for a refresh that is under way. Those who need the task while they hold a lock wait
    /// here first, without it: the authorization server decides how long that takes.
    pub(super) async fn quiet(&self, server: &ServerName) -> Result<(), CredentialError> {
        self.ask(server, |reply| Command::Quiet { reply }).await
    }

    pub(super) async fn install(
        &self,
        server: &ServerName,
        record: CredentialRecord,
    ) -> Result<(), CredentialError> {
        self.ask(server, |reply| Command::Install {
            record: Box::new(record),
            reply,
        })
        .await
    }

    pub(super) async fn forget(
        &self,
        server: &ServerName,
    ) -> Result<Box<CredentialRecord>, CredentialError> {
        self.ask(server, |reply| Command::Forget { reply }).await
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.commands.same_channel(&other.commands)
    }

    pub(super) fn view(&self) -> watch::Receiver<View> {
        self.view.clone()
    }

    async fn ask<T>(
        &self,
        server: &ServerName,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, CredentialError> {
        let exchange = async {
            let (reply, answer) = oneshot::channel();
            self.commands
                .send(command(reply))
                .await
                .map_err(|_| CredentialError::Stopping)?;
            let answer = answer.await.map_err(|_| CredentialError::Stopping)?;
            answer.map_err(|refusal| refusal.named(server.clone()))
        };
        tokio::time::timeout(CALLER_PATIENCE, exchange)
            .await
            .unwrap_or_else(|_| {
                Err(CredentialError::TimedOut {
                    server: server.clone(),
                })
            })
    }
}

/// What the outside sees of a credential.
pub(super) struct View {
    pub(super) status: Status,
    pub(super) token: Option<LiveToken>,
}

impl View {
    fn newest(&self) -> Option<TokenId> {
        self.token.as_ref().map(|token| token.id)
    }
}

#[derive(Clone)]
pub(super) struct LiveToken {
    pub(super) authorization: Authorization,
    pub(super) id: TokenId,
    /// None for a token that does not say when it ends.
    pub(super) usable_until: Option<Timestamp>,
}

impl LiveToken {
    pub(super) fn is_usable(&self, now: Timestamp) -> bool {
        self.usable_until.is_none_or(|end| now < end)
    }
}

pub(super) enum Command {
    /// A token that is not `refused`. What is newer than `seen`, the newest when this was asked,
    /// is the outcome of a refresh that this caller waited for, and good enough.
    Token {
        refused: Option<TokenId>,
        seen: Option<TokenId>,
        reply: Reply<Authorization>,
    },
    /// Refresh now, whatever the schedule says, unless that happened since `seen`.
    Refresh {
        seen: Option<TokenId>,
        reply: Reply<()>,
    },
    /// Nothing: it is answered when what was under way is done.
    Quiet { reply: Reply<()> },
    /// Replaces the tokens with those of a new login.
    Install {
        record: Box<CredentialRecord>,
        reply: Reply<()>,
    },
    /// Forgets the credential; answers with it, for revocation. The task ends.
    Forget { reply: Reply<Box<CredentialRecord>> },
}

pub(super) type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// Why the task has nothing to give. It serves all servers that share the credential, so it does
/// not name one; [`Handle::ask`] does.
pub(super) enum Refusal {
    NeedsLogin(String),
    Backoff(String),
    FreshTokenRefused,
    NotRefreshable,
    Vault(VaultError),
}

impl Refusal {
    fn named(self, server: ServerName) -> CredentialError {
        match self {
            Self::NeedsLogin(reason) => CredentialError::NeedsLogin { server, reason },
            Self::Backoff(reason) => CredentialError::Backoff { server, reason },
            Self::FreshTokenRefused => CredentialError::FreshTokenRefused { server },
            Self::NotRefreshable => CredentialError::NotRefreshable { server },
            Self::Vault(source) => CredentialError::Vault { server, source },
        }
    }
}
