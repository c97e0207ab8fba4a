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

use std::env;
use std::process::ExitCode;

use clap::Parser;

use cli::Cli;
use context::Context;
use error::{Failure, Report};
use exit::Exit;
use output::{Format, Printer, Talk};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misread(&error).into(),
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

/// The end of a command line that is none. Help and version arrive here too.
fn misread(error: &clap::Error) -> Exit {
    let wants_json = env::args_os()
        .take_while(|argument| argument != "--")
        .any(|argument| argument == "--json");
    if error.use_stderr() && wants_json {
        let printer = Printer::new(Format::Json, Talk::Normal);
        printer.failure(&Report::from(error));
    } else {
        // A reader that left early is no fault.
        let _ = error.print();
    }
    if error.use_stderr() {
        Exit::Usage
    } else {
        Exit::Done
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
