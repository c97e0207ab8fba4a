//! End-to-end: the real binaries against the fakes. Each test is one story and ends with the leak search.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests: a failed expectation is a panic, and the product's handles are out of reach"
)]

mod add;
mod ai_anthropic;
mod ai_bounds;
mod ai_chat;
mod ai_cross;
mod ai_keys;
mod ai_login;
mod ai_loop;
mod ai_once;
mod ai_openai;
mod ai_pass;
mod ai_streams;
mod ai_uploads;
mod approvals;
mod approvals_ctl;
mod approvals_watch;
mod attacks;
mod audit;
mod catalog;
mod cli;
mod clients;
mod crowd;
mod desktop;
mod hostile;
mod kill;
mod lifecycle;
mod login;
mod patience;
mod policy;
mod proxy;
mod reach;
mod refresh;
mod relay;
mod security;
mod vault;
