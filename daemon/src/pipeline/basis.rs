//! Whether what allowed a request still does when it is about to be sent: between lie its record on
//! the disk and, perhaps, a token that is being renewed.

use std::sync::Arc;

use tokio::sync::watch;

use super::Inner;
use super::admit::Admitted;
use super::error::CallError;
use super::judge::Judgement;
use super::media::read;
use crate::mcp::Envelope;
use crate::{catalog, registry};

/// What a judgement rests on.
pub(super) struct Basis {
    rules: watch::Receiver<Arc<registry::Snapshot>>,
    tools: watch::Receiver<catalog::Snapshot>,
}

impl Basis {
    /// Notices what changes from now on.
    pub(super) fn of(inner: &Inner) -> Self {
        Self {
            rules: inner.registry.subscribe(),
            tools: inner.catalog.subscribe(),
        }
    }

    fn is_same(&self) -> bool {
        // Whatever is gone does not change any more.
        let changed = [self.rules.has_changed(), self.tools.has_changed()];
        !changed.into_iter().any(|changed| changed.unwrap_or(false))
    }
}

impl Inner {
    /// Judges once more what was admitted, where anything it was judged by has changed.
    pub(super) async fn still_stands(&self, admitted: &Admitted) -> Result<(), CallError> {
        let request = &admitted.request;
        self.clients.recheck(&request.caller)?;
        if admitted.basis.is_same() {
            return Ok(());
        }
        let server = self.server(request.server.as_str())?;
        let overtaken = || CallError::Overtaken(server.name.clone());
        if server.config.url != admitted.server.config.url {
            return Err(overtaken());
        }
        let envelope = read(&request.method, &request.headers, &request.body)?;
        for message in envelope.iter().flat_map(Envelope::messages) {
            let Some(tool) = message.tool() else {
                continue;
            };
            match self.judge_call(&server, request, message, tool).await? {
                Judgement::Allow { .. } => {}
                Judgement::Deny(error) => return Err(error),
                Judgement::Ask(_) => return Err(overtaken()),
            }
        }
        Ok(())
    }
}
