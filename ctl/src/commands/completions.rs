//! `completions`: a script for the person's shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::context::Context;
use crate::error::Failure;

#[derive(Args)]
pub struct CompletionsArgs {
    shell: Shell,
}

pub fn run(context: &Context, args: CompletionsArgs) -> Result<(), Failure> {
    let mut command = Cli::command();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "mcpbridgectl", &mut script);
    context.printer.data(&String::from_utf8_lossy(&script))
}
