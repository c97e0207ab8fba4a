//! `refresh`: gets a new access token now.

use mcpbridge_proto::v1::RefreshRequest;

use crate::context::Context;
use crate::error::Failure;
use crate::output::time;
use crate::view::ServerView;

pub async fn run(context: &Context, name: String) -> Result<(), Failure> {
    let client = context.connect().await?;
    let reply = client
        .credentials()
        .refresh(RefreshRequest { name })
        .await?;
    let server = context.server(reply.into_inner().server.unwrap_or_default());
    let said = match time::for_people(server.expires_at) {
        Some(expiry) => format!("refreshed {}; expires {expiry}", server.name),
        None => format!("refreshed {}", server.name),
    };
    context.printer.done(&ServerView::from(&server), &said)
}
