//! `mcpbridged`: flags in, exit code out.

use std::process::ExitCode;

use clap::Parser;
use mcpbridge_daemon::app;
use mcpbridge_daemon::cli::{Cli, Command};
use mcpbridge_daemon::error::{Classify, ErrorKind, chain};

/// Requests and answers are many short-lived pieces of all sizes, for which other allocators take several
/// percent of all processor time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match &cli.command {
        Some(Command::Init { key_store }) => app::init(&cli, key_store.as_deref()),
        None => app::run(&cli),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            report(error.as_ref());
            ExitCode::from(exit_code(error.kind()))
        }
    }
}

/// `mcpbridgectl start` shows this to the person, so it goes to stderr wherever the log goes.
fn report(error: &dyn Classify) {
    use std::io::Write;
    let mut stderr = std::io::stderr();
    let _ = writeln!(stderr, "error: {}", chain_of(error));
    if let Some(hint) = error.hint() {
        let _ = writeln!(stderr, "hint: {hint}");
    }
}

fn chain_of(error: &dyn Classify) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

/// The same numbers that `mcpbridgectl` uses.
fn exit_code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::UpstreamFault | ErrorKind::Internal => 1,
        ErrorKind::InvalidInput => 2,
        ErrorKind::NotFound => 4,
        ErrorKind::Conflict => 5,
        ErrorKind::NeedsLogin => 6,
        ErrorKind::Denied => 7,
        ErrorKind::TimedOut => 8,
        ErrorKind::Unavailable => 9,
    }
}
