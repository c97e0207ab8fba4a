//! `init`: creates the configuration. The daemon's program does it, because the vault is its own.

use std::process::{Output, Stdio};

use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::process::Command;

use crate::context::Context;
use crate::daemon;
use crate::error::Failure;
use crate::exit::Exit;

#[derive(Args)]
pub struct InitArgs {
    /// Where the vault key is kept [default: the first of the list that works, a key file only when confirmed]
    #[arg(long, value_enum, value_name = "KIND")]
    key_store: Option<KeyStore>,
    /// Read the passphrase from this open file descriptor
    #[arg(long, value_name = "N")]
    passphrase_fd: Option<u32>,
}

#[derive(Clone, Copy, ValueEnum)]
enum KeyStore {
    /// The keyring of the desktop session
    Keyring,
    /// A credential that systemd hands to the service
    ServiceCredential,
    /// A passphrase, from a file descriptor or MCPBRIDGE_PASSPHRASE_FILE
    Passphrase,
    /// A file that only its permissions protect
    KeyFile,
}

/// What `mcpbridged init` prints.
#[derive(Deserialize)]
struct Initialized {
    config_dir: String,
    config_file: String,
    key_store: String,
    created: bool,
}

pub async fn run(context: &Context, args: InitArgs) -> Result<(), Failure> {
    let mut output = daemon_init(context, &args, args.key_store).await?;
    let no_key_store = output.status.code() == Some(Exit::Unavailable as i32);
    if no_key_store && args.key_store.is_none() {
        let failure = daemon::failure(output.status, &String::from_utf8_lossy(&output.stderr));
        if !accepts_key_file(context, &failure)? {
            return Err(failure);
        }
        output = daemon_init(context, &args, Some(KeyStore::KeyFile)).await?;
    }
    let document = daemon::succeeded(&output)?;
    if context.printer.is_json() {
        let document: Box<RawValue> = parsed(&document)?;
        return context.printer.line(document.get().trim());
    }
    let done: Initialized = parsed(&document)?;
    let what = if done.created {
        "created"
    } else {
        "already there"
    };
    context.printer.note(&format!(
        "configuration {what}: {} (vault key: {})",
        done.config_file, done.key_store
    ));
    context
        .printer
        .detail(&format!("configuration directory: {}", done.config_dir));
    context.printer.note(&format!(
        "next: `{}`, then `{}`",
        context.command("start"),
        context.command("add NAME URL")
    ));
    Ok(())
}

fn accepts_key_file(context: &Context, why: &Failure) -> Result<bool, Failure> {
    if let (true, Failure::Report(report)) = (context.printer.can_ask(), why) {
        context.printer.warn(&report.message);
    }
    let answer = context
        .printer
        .confirm("store the key in a file protected only by file permissions?")
        .map_err(|e| Failure::local("cannot ask", &e))?;
    Ok(answer == Some(true))
}

async fn daemon_init(
    context: &Context,
    args: &InitArgs,
    key_store: Option<KeyStore>,
) -> Result<Output, Failure> {
    let program = daemon::program();
    let mut command = Command::new(&program);
    command.args(daemon::arguments(context));
    if let Some(descriptor) = args.passphrase_fd {
        command.arg("--passphrase-fd").arg(descriptor.to_string());
    }
    command.arg("init");
    if let Some(name) = key_store.and_then(|kind| kind.to_possible_value()) {
        command.arg("--key-store").arg(name.get_name());
    }
    if args.passphrase_fd != Some(0) {
        command.stdin(Stdio::null());
    }
    command
        .output()
        .await
        .map_err(|e| daemon::not_runnable(&program, &e))
}

fn parsed<'a, T: Deserialize<'a>>(document: &'a str) -> Result<T, Failure> {
    serde_json::from_str(document)
        .map_err(|e| Failure::local("mcpbridged init answered something unexpected", &e))
}
