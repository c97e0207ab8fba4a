//! The daemon of mcp-oauth-bridge as a library; `main.rs` is a thin shell around it.
//!
//! Modules in reading order, bottom layer first. `ARCHITECTURE.md` explains the layers and
//! `layering.rs` fails the build's tests when a module reaches up or sideways.

// 0 base
pub mod clock;
pub mod error;
pub mod lifecycle;
pub mod paths;
pub mod telemetry;
pub mod types;

// 1 resources
pub mod config;
pub mod net;
pub mod store;

// 2 protocol
pub mod audit;
pub mod mcp;
pub mod oauth;
pub mod policy;
pub mod vault;

// 3 services
pub mod approval;
pub mod catalog;
pub mod clients;
pub mod conversations;
pub mod credentials;
pub mod registry;
pub mod upstream;

// 4 shared path
pub mod admin;
pub mod http;
pub mod pipeline;
pub mod vendors;

// 5 surfaces
pub mod adapters;
pub mod control;
pub mod desktop;
pub mod proxy;
pub mod web;

// 6 composition
pub mod app;
pub mod cli;
pub mod server;

#[cfg(test)]
mod layering;
