//! [`Pipeline::call`]: the one way to a server.

use std::sync::Arc;

use http::{Response, StatusCode};
use hyper::body::Incoming;

use super::admit::{Admission, Admitted};
use super::body::{FinishAnyway, OnDisconnect, RelayBody};
use super::error::CallError;
use super::exchange::{Aimed, exchange};
use super::listing::Watched;
use super::record::Record;
use super::sessions::SessionKey;
use super::{Asked, Inner, Pipeline, RelayRequest, SESSION_ID};
use crate::clients;
use crate::upstream::keep_relayable;

impl Pipeline {
    /// Sends `request` to its server if policy or a person allows, and answers with what the server
    /// says. Where a person has to be asked, the answer begins before the decision.
    ///
    /// Dropping the future, or the body of its answer, cancels a modern exchange; an older one is
    /// carried to its end in the background once it was sent.
    ///
    /// # Errors
    /// The call was not sent, or the answer must not reach the client.
    pub async fn call(&self, mut request: RelayRequest) -> Result<Response<RelayBody>, CallError> {
        let identified = self.inner.identify(&mut request);
        let mut record = Record::start(&request);
        if let Err(error) = identified {
            record.refused(&error);
            return Err(error);
        }
        let admission = match self.inner.admit(request, &mut record).await {
            Ok(admission) => admission,
            Err(error) => {
                record.refused(&error);
                return Err(error);
            }
        };
        let inner = Arc::clone(&self.inner);
        match admission {
            Admission::Forward(admitted) if admitted.traits.outlives_client => {
                let lifecycle = inner.lifecycle.clone();
                FinishAnyway::new(inner.forward(*admitted, record), lifecycle).await
            }
            Admission::Forward(admitted) => inner.forward(*admitted, record).await,
            // The rare cases are many times as large as the common one, and every call would make room
            // for them.
            Admission::Ask(call, question, permit) => {
                Box::pin(inner.ask(*call, &question, record, permit)).await
            }
            Admission::Taken => {
                let mut accepted = Response::new(RelayBody::whole(bytes::Bytes::new(), record));
                *accepted.status_mut() = StatusCode::ACCEPTED;
                Ok(accepted)
            }
        }
    }
}

impl Inner {
    /// Takes the client's token out of the request, and refuses what it is not made for.
    fn identify(&self, request: &mut RelayRequest) -> Result<(), CallError> {
        let headers = &mut request.headers;
        let identified = self.clients.identify(&request.caller, headers);
        headers.remove(http::header::AUTHORIZATION);
        request.caller = identified?;
        Ok(clients::cover(&request.caller, &request.server, None)?)
    }

    async fn forward(
        self: Arc<Self>,
        admitted: Admitted,
        mut record: Record,
    ) -> Result<Response<RelayBody>, CallError> {
        let (relayed, incoming) = match self.answer(&admitted).await {
            Ok(response) => relayable(response),
            Err(error) => {
                record.refused(&error);
                return Err(error);
            }
        };
        record.answered(relayed.status(), relayed.headers());
        let caller = &admitted.request.caller;
        if let Some(client) = admitted.greeting
            && let Some(session) = relayed.headers().get(SESSION_ID)
            && let Ok(session) = session.to_str()
        {
            caller.resolve().await;
            let session = SessionKey {
                server: admitted.server.name.clone(),
                session: session.to_owned(),
                principal: caller.principal(),
            };
            self.sessions.begin(session, client);
        }
        if let Some(expected) = admitted.expected {
            let watched = Watched {
                inner: self,
                server: admitted.server,
                caller: admitted.request.caller,
                outlives_client: admitted.traits.outlives_client && !expected.is_endless(),
                expected,
            };
            return Box::pin(watched.pass(relayed, incoming, record, admitted.permit)).await;
        }
        let on_disconnect = if admitted.traits.outlives_client {
            OnDisconnect::Finish(self.lifecycle.clone())
        } else {
            OnDisconnect::Cancel
        };
        let body = RelayBody::relayed(incoming, record, admitted.permit, on_disconnect, None);
        Ok(relayed.map(|()| body))
    }

    async fn answer(&self, admitted: &Admitted) -> Result<Response<Incoming>, CallError> {
        let authorization = self.authorize(&admitted.server).await?;
        Asked::let_go(admitted.request.asked.as_ref()).await?;
        self.still_stands(admitted).await?;
        let aimed = Aimed {
            server: &admitted.server,
            outgoing: &admitted.outgoing,
            is_probe: admitted.traits.is_probe,
        };
        exchange(self, aimed, authorization).await
    }
}

/// The head that a client gets, and the body. The server's HTTP version and connection state stay
/// between it and us.
pub(super) fn relayable(response: Response<Incoming>) -> (Response<()>, Incoming) {
    let (mut head, incoming) = response.into_parts();
    keep_relayable(&mut head.headers);
    let mut relayed = Response::new(());
    *relayed.status_mut() = head.status;
    *relayed.headers_mut() = head.headers;
    (relayed, incoming)
}
