//! The data path's way out: one request to one configured server, relayed without rewriting.

mod body;
mod headers;
mod http;
mod pool;

pub use self::body::PassingBody;
pub use self::headers::keep_relayable;
pub use self::http::{Outgoing, Upstream, UpstreamError, address};
