//! `logout`: revokes and forgets a server's tokens.

use mcpbridge_proto::v1::LogoutRequest;
use serde::Serialize;

use crate::context::Context;
use crate::error::Failure;

#[derive(Serialize)]
struct LoggedOut<'a> {
    logged_out: &'a str,
    warnings: &'a [String],
}

pub async fn run(context: &Context, name: String) -> Result<(), Failure> {
    let client = context.connect().await?;
    let request = LogoutRequest { name: name.clone() };
    let warnings = client
        .credentials()
        .logout(request)
        .await?
        .into_inner()
        .warnings;
    for warning in &warnings {
        context.printer.warn(warning);
    }
    let logged_out = LoggedOut {
        logged_out: &name,
        warnings: &warnings,
    };
    let said = format!("signed out of {name}");
    context.printer.done(&logged_out, &said)
}
