//! Flags of `mcpbridged`. People mostly meet them through `mcpbridgectl start` and service files.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Owner of MCP credentials and proxy on localhost. Runs in the foreground until it is told to stop.
#[derive(Debug, Parser)]
#[command(name = "mcpbridged", version)]
pub struct Cli {
    /// Directory of config.json and tokens.enc [default: ~/.mcp-oauth-bridge]
    #[arg(long, value_name = "DIR", env = "MCPBRIDGE_CONFIG_DIR", global = true)]
    pub config_dir: Option<PathBuf>,

    /// Host name clients use; overrides proxy_host of config.json
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,

    /// Port of the proxy; overrides proxy_port of config.json. 0 lets the system choose
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,

    /// Control socket
    #[arg(long, value_name = "SOCKET", env = "MCPBRIDGE_SOCKET")]
    pub socket: Option<PathBuf>,

    /// error, warn, info, debug (with request and response bodies, secrets redacted) or trace
    #[arg(
        long,
        value_name = "LEVEL",
        default_value = "info",
        env = "MCPBRIDGE_LOG_LEVEL"
    )]
    pub log_level: String,

    /// Log to DIR/mcpbridged.log instead of stderr
    #[arg(long, value_name = "DIR")]
    pub log_dir: Option<PathBuf>,

    /// Leave the terminal's session, as `mcpbridgectl start` wants it
    #[arg(long, hide = true)]
    pub new_session: bool,

    /// Read the vault's passphrase from this open file descriptor
    #[arg(long, value_name = "FD", global = true)]
    pub passphrase_fd: Option<u32>,

    /// Read the vault's passphrase from this file
    #[arg(
        long,
        value_name = "FILE",
        env = "MCPBRIDGE_PASSPHRASE_FILE",
        global = true
    )]
    pub passphrase_file: Option<OsString>,

    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create the directory, config.json and the vault, print what was made as JSON, and exit
    Init {
        /// Where the vault's key comes from: keyring, service-credential, passphrase or key-file
        #[arg(long, value_name = "STORE")]
        key_store: Option<String>,
    },
}
