//! `ui`: a browser session, by a link that works once.

use std::io;
use std::time::Duration;

use clap::Args;
use mcpbridge_proto::v1::CreateUiLinkRequest;
use serde::Serialize;

use crate::browser;
use crate::context::Context;
use crate::error::Failure;
use crate::output::time::rfc3339;

/// An opener that is still running then has opened something: some stay until the browser is closed.
const OPENING_TIME: Duration = Duration::from_secs(5);

#[derive(Args)]
pub struct UiArgs {
    /// Print the link and leave opening it to you
    #[arg(long)]
    no_browser: bool,
}

#[derive(Serialize)]
struct LinkView<'a> {
    url: &'a str,
    expires_at: Option<String>,
}

pub async fn run(context: &Context, args: UiArgs) -> Result<(), Failure> {
    let client = context.connect().await?;
    let reply = client.ui().create_ui_link(CreateUiLinkRequest {}).await?;
    let link = reply.into_inner();
    if context.printer.is_json() {
        return context.printer.json(&LinkView {
            url: &link.url,
            expires_at: rfc3339(link.expires_at),
        });
    }
    let why_not = if args.no_browser {
        None
    } else {
        match opened(&link.url).await {
            Ok(()) => {
                context.printer.note("opened the pages in the browser");
                return Ok(());
            }
            Err(error) => Some(error),
        }
    };
    if let Some(error) = why_not {
        context.printer.detail(&error.to_string());
        context.printer.warn("no browser could be opened");
    }
    context
        .printer
        .note("open this link within 30 seconds; it works once:");
    context.printer.line(&link.url)
}

/// The link is not printed as well when this succeeds: it would be used already.
async fn opened(url: &str) -> io::Result<()> {
    let mut opening = browser::open(url)?;
    match tokio::time::timeout(OPENING_TIME, opening.finished()).await {
        Ok(Ok(status)) if !status.success() => {
            Err(io::Error::other(format!("the opener ended with {status}")))
        }
        Ok(Err(error)) => Err(error),
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}
