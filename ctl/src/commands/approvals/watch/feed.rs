//! What the daemon tells about held calls, across its restarts.

use std::time::Duration;

use mcpbridge_proto::v1::approval_event::Event;
use mcpbridge_proto::v1::{Approval, WatchApprovalsRequest};
use mcpbridge_proto::{Client, ConnectError, Endpoint, is_disconnect};
use tokio::sync::mpsc;
use tonic::{Code, Status};

use crate::error::Failure;
use crate::exit::Exit;

const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(2);

pub enum Update {
    /// Comes first, and after every loss.
    Connected(Client),
    /// All live ones, oldest first; what is not among them is over.
    Snapshot(Vec<Approval>),
    Changed(Box<Approval>),
    /// It is tried again.
    Lost(String),
    /// It is of no use to try again.
    Failed(Failure),
}

#[expect(
    clippy::disallowed_methods,
    reason = "named tasks belong to the daemon; this one ends with the command"
)]
pub fn start(endpoint: Endpoint, client: Client, server: String) -> mpsc::Receiver<Update> {
    let (updates, receiver) = mpsc::channel(16);
    tokio::spawn(follow(endpoint, client, server, updates));
    receiver
}

/// Ends when nobody listens any more.
async fn follow(
    endpoint: Endpoint,
    mut client: Client,
    server: String,
    updates: mpsc::Sender<Update>,
) {
    loop {
        let lost = match pass_on(client, &server, &updates).await {
            Ok(()) => "the daemon has stopped".to_owned(),
            Err(status) if is_lost(&status) => "the connection to the daemon was lost".to_owned(),
            Err(status) => {
                let _ = updates.send(Update::Failed(status.into())).await;
                return;
            }
        };
        if updates.send(Update::Lost(lost)).await.is_err() {
            return;
        }
        client = match reconnect(&endpoint, &updates).await {
            Some(client) => client,
            None => return,
        };
    }
}

async fn pass_on(
    client: Client,
    server: &str,
    updates: &mpsc::Sender<Update>,
) -> Result<(), Status> {
    let request = WatchApprovalsRequest {
        server: server.to_owned(),
    };
    let mut events = client
        .approvals()
        .watch_approvals(request)
        .await?
        .into_inner();
    let mut greeting = Some(Update::Connected(client));
    loop {
        let update = match greeting.take() {
            Some(greeting) => greeting,
            None => match events.message().await?.map(|event| event.event) {
                None => return Ok(()),
                Some(Some(Event::Snapshot(snapshot))) => Update::Snapshot(snapshot.approvals),
                Some(Some(Event::Changed(approval))) => Update::Changed(Box::new(approval)),
                // Of a newer daemon.
                Some(None) => continue,
            },
        };
        if updates.send(update).await.is_err() {
            return Ok(());
        }
    }
}

async fn reconnect(endpoint: &Endpoint, updates: &mpsc::Sender<Update>) -> Option<Client> {
    let mut pause = FIRST_RETRY;
    loop {
        match Client::connect_within(endpoint, Duration::ZERO).await {
            Ok(client) => return Some(client),
            Err(ConnectError::NotRunning { .. } | ConnectError::Silent { .. }) => {}
            // Half of a start or of an end looks like this; so does a stranger at the socket.
            Err(ConnectError::Handshake { .. }) => {}
            Err(error @ ConnectError::Refused { .. }) => {
                let failure = Failure::new(Exit::Unreachable, error.to_string());
                let _ = updates.send(Update::Failed(failure)).await;
                return None;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = updates.closed() => return None,
        }
        pause = (pause * 2).min(LAST_RETRY);
    }
}

fn is_lost(status: &Status) -> bool {
    is_disconnect(status) || status.code() == Code::Unavailable
}
