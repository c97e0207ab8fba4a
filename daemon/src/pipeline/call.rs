//! [`Pipeline::call`]: what is decided about a request before anything is sent.

use std::sync::Arc;

use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, Method, Response};
use serde_json::value::RawValue;
use tokio::sync::OwnedSemaphorePermit;

use super::body::{FinishAnyway, OnDisconnect, RelayBody};
use super::error::CallError;
use super::exchange::exchange;
use super::record::Record;
use super::{Inner, Pipeline, RelayRequest};
use crate::clients;
use crate::mcp::{Envelope, Era, canonical, headers, version};
use crate::policy;
use crate::registry::Server;
use crate::types::{Caller, Effect};
use crate::upstream::{Outgoing, keep_relayable};

/// A request that may go out.
pub(super) struct Admitted {
    pub(super) server: Arc<Server>,
    pub(super) outgoing: Outgoing,
    pub(super) traits: Traits,
    permit: OwnedSemaphorePermit,
}

/// What a message says about the stream that answers it.
#[derive(Default)]
pub(super) struct Traits {
    /// `server/discover`: the question by which clients find out a server's era.
    pub(super) is_probe: bool,
    /// The client leaving does not end the exchange.
    outlives_client: bool,
    /// The answer has no end of its own.
    is_endless: bool,
}

impl Pipeline {
    /// Sends `request` to its server if policy allows, and answers with what the server says.
    ///
    /// Dropping the future, or the body of its answer, cancels a modern exchange; an older one is
    /// carried to its end in the background.
    pub async fn call(&self, mut request: RelayRequest) -> Result<Response<RelayBody>, CallError> {
        let identified = self.inner.identify(&mut request);
        let mut record = Record::start(&request);
        if let Err(error) = identified {
            record.refused(&error);
            return Err(error);
        }
        let admitted = match self.inner.admit(request, &mut record) {
            Ok(admitted) => admitted,
            Err(error) => {
                record.refused(&error);
                return Err(error);
            }
        };
        let inner = Arc::clone(&self.inner);
        if admitted.traits.outlives_client {
            FinishAnyway::new(
                inner.forward(admitted, record),
                self.inner.lifecycle.clone(),
            )
            .await
        } else {
            inner.forward(admitted, record).await
        }
    }
}

impl Inner {
    /// Takes the client's token out of the request, and refuses what it is not made for.
    fn identify(&self, request: &mut RelayRequest) -> Result<(), CallError> {
        let headers = &mut request.headers;
        let identified = self.clients.identify(&request.caller, headers);
        headers.remove(AUTHORIZATION);
        request.caller = identified?;
        Ok(clients::cover(&request.caller, &request.server, None)?)
    }

    fn admit(&self, request: RelayRequest, record: &mut Record) -> Result<Admitted, CallError> {
        let RelayRequest {
            server,
            method,
            path,
            query,
            headers,
            body,
            caller,
        } = request;
        let envelope = read(&method, &headers, &body)?;
        if let Some(envelope) = &envelope {
            record.describe(envelope, &method, &body);
        }
        let server = self.server(server.as_str())?;
        if let Some(envelope) = &envelope {
            judge(&server, &headers, envelope, &caller)?;
        }
        let traits = traits(&method, &headers, envelope.as_ref());
        drop(envelope);
        let permit = Arc::clone(&self.streams)
            .try_acquire_owned()
            .map_err(|_| CallError::Busy(self.max_streams))?;
        let aim = (method, path.as_str(), query.as_deref());
        let outgoing = Outgoing::new(&server.config.url, server.addresses, aim, headers, body)?;
        Ok(Admitted {
            server,
            outgoing,
            traits,
            permit,
        })
    }

    fn server(&self, name: &str) -> Result<Arc<Server>, CallError> {
        self.registry
            .snapshot()
            .get(name)
            .cloned()
            .ok_or(CallError::UnknownServer)
    }

    async fn forward(
        self: Arc<Self>,
        admitted: Admitted,
        mut record: Record,
    ) -> Result<Response<RelayBody>, CallError> {
        let response = match exchange(&self, &admitted).await {
            Ok(response) => response,
            Err(error) => {
                record.refused(&error);
                return Err(error);
            }
        };
        let (mut head, incoming) = response.into_parts();
        record.answered(head.status, &head.headers);
        keep_relayable(&mut head.headers);
        // The server's HTTP version and connection state stay between it and us.
        let mut relayed = Response::new(());
        *relayed.status_mut() = head.status;
        *relayed.headers_mut() = head.headers;
        let Traits {
            outlives_client,
            is_endless,
            ..
        } = admitted.traits;
        let on_disconnect = if outlives_client {
            OnDisconnect::Finish(self.lifecycle.clone())
        } else {
            OnDisconnect::Cancel
        };
        let until = is_endless.then(|| self.lifecycle.stopping_token().cancelled_owned());
        let body = RelayBody::new(incoming, record, admitted.permit, on_disconnect, until);
        Ok(relayed.map(|()| body))
    }
}

/// The envelope of a body. A request other than POST may have none, and then carries no message.
fn read<'b>(
    method: &Method,
    headers: &HeaderMap,
    body: &'b [u8],
) -> Result<Option<Envelope<'b>>, CallError> {
    if body.is_empty() && method != Method::POST {
        return Ok(None);
    }
    check_media(headers)?;
    Ok(Some(Envelope::parse(body, version::allows_batch(headers))?))
}

/// The server must read the same text we read: not another encoding of these bytes.
fn check_media(headers: &HeaderMap) -> Result<(), CallError> {
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(CallError::Media("send the body without Content-Encoding"));
    }
    const WRONG_TYPE: CallError =
        CallError::Media("send the body with Content-Type: application/json, in UTF-8");
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(WRONG_TYPE);
    };
    let value = value.to_str().map_err(|_| WRONG_TYPE)?;
    let mut parts = value.split(';').map(str::trim);
    let is_json = parts
        .next()
        .is_some_and(|media| media.eq_ignore_ascii_case("application/json"));
    let is_utf8 = parts.all(|parameter| match parameter.split_once('=') {
        Some((name, charset)) if name.trim().eq_ignore_ascii_case("charset") => charset
            .trim()
            .trim_matches('"')
            .eq_ignore_ascii_case("utf-8"),
        _ => true,
    });
    if is_json && is_utf8 {
        Ok(())
    } else {
        Err(WRONG_TYPE)
    }
}

/// Every message must be what its headers say, and every tool in it allowed. One refusal refuses
/// the whole body, because it can only be forwarded whole.
fn judge(
    server: &Server,
    headers: &HeaderMap,
    envelope: &Envelope<'_>,
    caller: &Caller,
) -> Result<(), CallError> {
    for message in envelope.messages() {
        headers::validate(headers, message)?;
        let Some(tool) = message.tool() else { continue };
        // Two readers may take different values for a key that occurs twice.
        canonical::digest(message.params.arguments.map_or("{}", RawValue::get))?;
        clients::cover(caller, &server.name, Some(tool))?;
        let verdict = server.policy.evaluate(&policy::Call {
            tool,
            arguments: message.params.arguments,
            annotations: None,
            caller,
        });
        // Until approvals exist there is nobody to ask, so `ask` refuses as `deny` does.
        if verdict.effect != Effect::Allow {
            return Err(CallError::Refused {
                server: server.name.clone(),
                tool: tool.to_owned(),
                effect: verdict.effect,
                rule: verdict.rule.map(ToString::to_string),
            });
        }
    }
    Ok(())
}

fn traits(method: &Method, headers: &HeaderMap, envelope: Option<&Envelope<'_>>) -> Traits {
    let Some(envelope) = envelope else {
        return Traits {
            is_endless: method == Method::GET,
            ..Traits::default()
        };
    };
    let Envelope::Single(message) = envelope else {
        return Traits {
            outlives_client: true,
            ..Traits::default()
        };
    };
    Traits {
        is_probe: message.method == "server/discover",
        outlives_client: Era::of(message, headers) == Era::Legacy,
        is_endless: message.method == "subscriptions/listen",
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn media(content_type: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        check_media(&headers).is_ok()
    }

    #[test]
    fn only_json_in_utf8_is_read() {
        for good in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
        ] {
            assert!(media(good), "{good}");
        }
        for bad in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/json; charset=utf-7",
            "application/json; x=y; charset=utf-16",
            "",
        ] {
            assert!(!media(bad), "{bad}");
        }
        let mut headers = HeaderMap::new();
        assert!(check_media(&headers).is_err(), "no type at all");
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert!(check_media(&headers).is_err(), "compressed");
    }
}
