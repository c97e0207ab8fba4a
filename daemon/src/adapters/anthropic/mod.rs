//! The Messages API: a client's requests with `mcp_servers`, and a vendor's answers.
//!
//! Everything here is a function of its arguments. What goes to the vendor is a list of messages whose
//! bytes depend on nothing but what was said (`json`, `block`), because models reject thinking whose
//! prefix has changed.

#![cfg_attr(not(test), expect(dead_code, reason = "requests are not read yet"))]

mod block;
pub mod decode;
mod json;
mod usage;
