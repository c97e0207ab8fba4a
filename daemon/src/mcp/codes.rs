//! JSON-RPC error codes: those of the protocol, and ours.

pub const PARSE_ERROR: i32 = -32700;
pub const INVALID_REQUEST: i32 = -32600;
pub const METHOD_NOT_FOUND: i32 = -32601;
pub const INVALID_PARAMS: i32 = -32602;
pub const INTERNAL_ERROR: i32 = -32603;
/// 2026-07-28: an `Mcp-*` header is missing, malformed or unequal to the body.
pub const HEADER_MISMATCH: i32 = -32020;

// Ours lie outside -32768…-32000, which JSON-RPC and MCP keep for themselves.

/// A person has to sign in before this server can be used.
pub const LOGIN_NEEDED: i32 = -31001;
/// Policy, or the server itself, refuses the call.
pub const DENIED: i32 = -31002;
/// The server could not be reached or broke its contract.
pub const UPSTREAM_FAULT: i32 = -31003;
/// The bridge cannot serve this request now, or at all.
pub const REFUSED: i32 = -31004;
