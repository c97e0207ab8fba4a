//! The dialect as a whole: from a request to what the model and the client get.

mod approvals;
mod conversation;
mod parsing;
mod rig;
mod shown;
mod stream;

pub(super) use rig::listing;
