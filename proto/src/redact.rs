//! `Debug` for the messages that carry a secret from the person to the daemon.

use std::fmt;

use crate::v1::{
    AddServerRequest, ApproveChangesRequest, ClearPinRequest, CompleteLoginRequest, DecideRequest,
    Header, OAuthOptions, SetPinRequest, SetPolicyOptionsRequest, SetPolicyRequest,
    UnsetPolicyRequest,
};

impl fmt::Debug for OAuthOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthOptions")
            .field("client_id", &self.client_id)
            .field("scopes", &self.scopes)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CompleteLoginRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompleteLoginRequest")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for DecideRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecideRequest")
            .field("ids", &self.ids)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SetPinRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetPinRequest").finish_non_exhaustive()
    }
}

impl fmt::Debug for ClearPinRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClearPinRequest").finish_non_exhaustive()
    }
}

impl fmt::Debug for ApproveChangesRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApproveChangesRequest")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for AddServerRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AddServerRequest")
            .field("name", &self.name)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SetPolicyRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetPolicyRequest")
            .field("rule", &self.rule)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for UnsetPolicyRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnsetPolicyRequest")
            .field("server", &self.server)
            .field("tool", &self.tool)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SetPolicyOptionsRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetPolicyOptionsRequest")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}
