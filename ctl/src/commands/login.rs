//! `login`, and the following of a login that `add` shares with it.

use std::time::Duration;

use clap::Args;
use mcpbridge_proto::Client;
use mcpbridge_proto::v1::login_event::{AuthorizationRequired, Event};
use mcpbridge_proto::v1::{CompleteLoginRequest, LoginEvent, LoginRequest, Server};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval};
use tonic::Status;

use crate::browser::{self, Opening};
use crate::context::Context;
use crate::error::Failure;
use crate::exit::Exit;
use crate::input;
use crate::output::progress::Progress;
use crate::output::time::rfc3339;
use crate::view::{LoginView, ServerView};

#[derive(Args)]
pub struct LoginArgs {
    /// Name of the server
    name: String,
    /// Request this scope as well; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    #[command(flatten)]
    browser: BrowserArgs,
}

#[derive(Args, Clone, Copy)]
pub struct BrowserArgs {
    /// Print the URL to open; then wait for the redirect, or for the redirect URL on standard input
    #[arg(long)]
    pub no_browser: bool,
}

pub async fn run(context: &Context, args: LoginArgs) -> Result<(), Failure> {
    let client = context.connect().await?;
    let request = LoginRequest {
        name: args.name,
        scopes: split_scopes(&args.scopes),
        force: true,
    };
    follow(context, &client, request, args.browser).await
}

/// Scopes given one by one or, as servers write them, separated by blanks.
pub fn split_scopes(given: &[String]) -> Vec<String> {
    given
        .iter()
        .flat_map(|scopes| scopes.split_whitespace())
        .map(str::to_owned)
        .collect()
}

/// The login goes on in the daemon; this shows it, and brings the person to the consent page.
pub async fn follow(
    context: &Context,
    client: &Client,
    request: LoginRequest,
    browser: BrowserArgs,
) -> Result<(), Failure> {
    let name = request.name.clone();
    let again = request.force;
    let mut follower = Follower {
        context,
        client,
        name: &name,
        browser,
        url: String::new(),
        opening: None,
        pasted: None,
        waiting_since: None,
        progress: Progress::new(&context.printer),
    };
    tokio::select! {
        result = follower.run(request) => result,
        _ = tokio::signal::ctrl_c() => Err(interrupted(context, &name, again)),
    }
}

/// The last thing a login says.
pub fn completed(context: &Context, server: &Server) -> Result<(), Failure> {
    if context.printer.is_json() {
        let server = Box::new(ServerView::from(server));
        return context.printer.event(&LoginView::Completed { server });
    }
    context.printer.note(&format!(
        "{} is ready: point clients at {}",
        server.name, server.proxy_url
    ));
    Ok(())
}

struct Follower<'a> {
    context: &'a Context,
    client: &'a Client,
    name: &'a str,
    browser: BrowserArgs,
    /// The page where the person consents.
    url: String,
    opening: Option<Opening>,
    pasted: Option<mpsc::Receiver<String>>,
    waiting_since: Option<Instant>,
    progress: Progress,
}

impl Follower<'_> {
    async fn run(&mut self, request: LoginRequest) -> Result<(), Failure> {
        let mut events = self.client.credentials().login(request).await?.into_inner();
        let mut tick = interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                event = events.message() => {
                    self.progress.clear();
                    if let Some(server) = self.event(event)? {
                        return completed(self.context, &server);
                    }
                }
                line = pasted_line(&mut self.pasted) => self.complete(line).await?,
                () = opening_failed(&mut self.opening) => self.no_browser_opened()?,
                _ = tick.tick() => self.show_waiting(),
            }
        }
    }

    /// The server when this was the last event.
    fn event(
        &mut self,
        event: Result<Option<LoginEvent>, Status>,
    ) -> Result<Option<Server>, Failure> {
        let Some(event) = event? else {
            return Err(Failure::new(
                Exit::Unreachable,
                "the daemon ended the login without a result",
            ));
        };
        match event.event {
            Some(Event::Progress(progress)) => self.say(&progress.message)?,
            Some(Event::AuthorizationRequired(required)) => self.ask_for_consent(&required)?,
            Some(Event::Completed(completed)) => {
                let server = completed.server.unwrap_or_default();
                return Ok(Some(self.context.server(server)));
            }
            // An event of a newer daemon.
            None => {}
        }
        Ok(None)
    }

    fn ask_for_consent(&mut self, required: &AuthorizationRequired) -> Result<(), Failure> {
        let printer = &self.context.printer;
        self.waiting_since = Some(Instant::now());
        self.url.clone_from(&required.url);
        if printer.is_json() {
            printer.event(&LoginView::AuthorizationRequired {
                url: &required.url,
                issuer: &required.issuer,
                redirect_uri: &required.redirect_uri,
                expires_at: rfc3339(required.expires_at),
            })?;
        } else if self.browser.no_browser {
            printer.line(&required.url)?;
        }
        if self.browser.no_browser {
            printer.note("open this URL; when the browser cannot reach this machine, paste the URL it ends on");
            self.accept_pasted();
            return Ok(());
        }
        match browser::open(&required.url) {
            Ok(opening) => {
                self.opening = Some(opening);
                printer.note(&format!(
                    "opening {} in the browser; if nothing opens, visit:",
                    required.issuer
                ));
                printer.note(&required.url);
                Ok(())
            }
            Err(error) => {
                printer.detail(&error.to_string());
                self.no_browser_opened()
            }
        }
    }

    fn no_browser_opened(&mut self) -> Result<(), Failure> {
        self.progress.clear();
        // What was to be opened has been shown, unless only warnings are.
        let shown = self.opening.take().is_some() && self.context.printer.talks();
        let (which, url) = if shown {
            ("the URL above", String::new())
        } else {
            ("this URL", format!(": {}", self.url))
        };
        self.accept_pasted();
        self.warn(&format!(
            "no browser could be opened; open {which}, and when the browser cannot reach this machine, \
             paste here the URL it ends on{url}"
        ))
    }

    fn accept_pasted(&mut self) {
        if self.pasted.is_none() {
            self.pasted = Some(input::lines());
        }
    }

    /// Hands a pasted redirect URL to the daemon. A wrong one is no reason to give up.
    async fn complete(&mut self, redirect_url: String) -> Result<(), Failure> {
        let request = CompleteLoginRequest {
            name: self.name.to_owned(),
            redirect_url,
        };
        let reply = self.client.credentials().complete_login(request).await;
        match reply.map_err(Failure::from) {
            Err(Failure::Report(report)) if report.exit != Exit::Unreachable => {
                self.warn(&format!("that URL was not accepted: {}", report.message))
            }
            Err(failure) => Err(failure),
            Ok(_) => Ok(()),
        }
    }

    fn show_waiting(&mut self) {
        // While somebody may be typing here, nothing is drawn.
        if let (Some(since), None) = (self.waiting_since, &self.pasted) {
            self.progress
                .update("consent in the browser", since.elapsed());
        }
    }

    fn say(&self, message: &str) -> Result<(), Failure> {
        if self.context.printer.is_json() {
            return self.context.printer.event(&LoginView::Progress { message });
        }
        self.context.printer.note(message);
        Ok(())
    }

    fn warn(&self, message: &str) -> Result<(), Failure> {
        if self.context.printer.is_json() {
            return self.context.printer.event(&LoginView::Warning { message });
        }
        self.context.printer.warn(message);
        Ok(())
    }
}

/// The next pasted line; never, when nothing is read or there is nothing left: the redirect may still come.
async fn pasted_line(lines: &mut Option<mpsc::Receiver<String>>) -> String {
    if let Some(lines) = lines
        && let Some(line) = lines.recv().await
    {
        return line;
    }
    std::future::pending().await
}

/// Returns when the opener reports that it opened nothing.
async fn opening_failed(opening: &mut Option<Opening>) {
    if let Some(running) = opening {
        let opened = running
            .finished()
            .await
            .is_ok_and(|status| status.success());
        if !opened {
            return;
        }
        *opening = None;
    }
    std::future::pending().await
}

fn interrupted(context: &Context, name: &str, again: bool) -> Failure {
    let state = if again {
        "as it was"
    } else {
        "listed as needing a login"
    };
    Failure::new(
        Exit::Interrupted,
        format!("interrupted; {name} stays {state}"),
    )
    .hint(format!(
        "to sign in later, run `{}`",
        context.command(&format!("login {name}"))
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_may_be_given_one_by_one_or_together() {
        let given = ["read write".to_owned(), "admin".to_owned()];
        assert_eq!(split_scopes(&given), ["read", "write", "admin"]);
    }
}
