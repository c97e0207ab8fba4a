//! `mcpbridgectl`: the command line of mcp-oauth-bridge.
//!
//! A client of the control API and nothing else; it never links the daemon.

#![allow(
    unreachable_pub,
    reason = "nothing links a program; here pub means visible outside its module"
)]

mod browser;
mod cli;
mod commands;
mod context;
mod daemon;
mod duration;
mod error;
mod exit;
mod input;
mod output;
mod pin;
mod view;

use std::process::ExitCode;

use clap::Parser;

use cli::Cli;
use context::Context;
use error::Failure;
use exit::Exit;
use output::Printer;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version arrive here too; a reader that left early is no fault.
        Err(message) => {
            let _ = message.print();
            return if message.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            }
            .into();
        }
    };
    match run(cli) {
        Ok(exit) => exit.into(),
        Err((printer, failure)) => {
            if let Failure::Report(report) = &failure {
                printer.failure(report);
            }
            failure.exit().into()
        }
    }
}

fn run(cli: Cli) -> Result<Exit, (Printer, Failure)> {
    let context = Context::new(&cli.global, cli.global.printer())
        .map_err(|failure| (cli.global.printer(), failure))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| (cli.global.printer(), Failure::local("cannot start", &e)))?;
    let result = runtime.block_on(commands::run(&context, cli.command));
    result.map_err(|failure| {
        let failure = failure.rewritten(|text| context.addressed(text));
        (context.printer, failure)
    })
}
