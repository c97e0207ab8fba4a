//! The check that stands before every route: the connection's owner, then `Host` and `Origin`.

use http::{HeaderMap, Uri};

use super::origin::OriginCheck;
use super::peer::ForeignPeer;
use super::problem::Problem;
use crate::types::Caller;

/// One for all connections of the HTTP port.
#[derive(Debug)]
pub struct Gate {
    origins: OriginCheck,
}

impl Gate {
    pub fn new(origins: OriginCheck) -> Self {
        Self { origins }
    }

    /// Lets a request in as the caller its connection belongs to.
    pub fn admit<'p>(
        &self,
        peer: &'p Result<Caller, ForeignPeer>,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<&'p Caller, Problem> {
        let caller = peer.as_ref().map_err(Problem::from)?;
        self.origins
            .check(uri, headers)
            .map_err(|foreign| Problem::from(&foreign))?;
        Ok(caller)
    }
}
