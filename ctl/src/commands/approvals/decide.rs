//! `approve` and `deny`: the first answer to each call counts.

use std::time::Duration;

use clap::Args;
use mcpbridge_proto::v1::decide_outcome::Refusal;
use mcpbridge_proto::v1::decide_request::{Approve, Deny, Verdict};
use mcpbridge_proto::v1::remember::Remember as Asked;
use mcpbridge_proto::v1::{Always, Approval, DecideOutcome, DecideRequest, Remember};
use mcpbridge_proto::{Fault, Reason};
use serde::Serialize;
use serde_json::{Map, Value};

use super::describe::remember_in_words;
use super::view::ApprovalView;
use crate::context::Context;
use crate::duration;
use crate::error::Failure;
use crate::exit::Exit;
use crate::input;
use crate::pin::PinArgs;

#[derive(Args)]
#[command(after_help = "\
Examples:
  mcpbridgectl approve k3v9
  mcpbridgectl approve k3v9 --for 10m
  mcpbridgectl approve k3v9 --arguments '{\"amount\": 5}'

An id may be given by its beginning, from 4 characters on. Exits with 4 when there is no such
approval, with 5 when it was decided already, with 7 when the PIN is missing, wrong or locked.")]
pub struct ApproveArgs {
    /// Ids of the approvals
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// Also all calls of the tool by the same caller for this long, such as 10m or 8h
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
    lasting: Option<Duration>,
    /// Also all calls of the tool by anybody, until the tool changes or the grant is revoked
    #[arg(long, conflicts_with = "lasting")]
    always: bool,
    /// With --always: only calls with the same arguments
    #[arg(long, requires = "always")]
    these_arguments: bool,
    /// Send these instead, a JSON object; `@FILE` reads them from a file, `-` from standard input
    #[arg(long, value_name = "JSON")]
    arguments: Option<String>,
    #[command(flatten)]
    pin: PinArgs,
}

#[derive(Args)]
pub struct DenyArgs {
    /// Ids of the approvals, or their beginnings
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// Why, for the model to read
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Serialize)]
struct OutcomeView<'a> {
    /// As it was given.
    id: &'a str,
    /// Whether this command decided.
    decided: bool,
    /// As it is now. None when there is no such approval.
    approval: Option<ApprovalView<'a>>,
    error: Option<RefusalView<'a>>,
}

#[derive(Serialize)]
struct RefusalView<'a> {
    reason: &'a str,
    message: &'a str,
    hint: Option<&'a str>,
}

pub async fn approve(context: &Context, args: ApproveArgs) -> Result<Exit, Failure> {
    let arguments = args.arguments.as_deref();
    if arguments.is_some() && args.ids.len() > 1 {
        return Err(Failure::usage(
            "--arguments belong to one call: give one id",
        ));
    }
    if arguments == Some("-") && args.pin.take_stdin() {
        return Err(
            Failure::usage("standard input cannot hold the arguments and the PIN")
                .hint("give the arguments as `--arguments @FILE`"),
        );
    }
    let arguments = arguments.map(read).transpose()?;
    let remember = match (args.lasting, args.always) {
        (Some(lasting), _) => Some(lasts(lasting)?),
        (None, true) => Some(Asked::Always(Always {
            these_arguments: args.these_arguments,
        })),
        (None, false) => None,
    };
    let client = context.connect().await?;
    let request = DecideRequest {
        ids: args.ids,
        verdict: Some(Verdict::Approve(Approve {
            remember: remember.map(|remember| Remember {
                remember: Some(remember),
            }),
            arguments,
        })),
        pin: String::new(),
    };
    let decide = async |pin: String| {
        let mut request = request.clone();
        request.pin = pin;
        client.approvals().decide(request).await
    };
    let reply = args.pin.send(context, &client, decide).await?;
    report(context, &request.ids, &reply.outcomes)
}

pub async fn deny(context: &Context, args: DenyArgs) -> Result<Exit, Failure> {
    let client = context.connect().await?;
    let request = DecideRequest {
        ids: args.ids.clone(),
        verdict: Some(Verdict::Deny(Deny {
            reason: args.reason.unwrap_or_default(),
        })),
        pin: String::new(),
    };
    let reply = client.approvals().decide(request).await?;
    report(context, &args.ids, &reply.into_inner().outcomes)
}

/// What became of each; the first that was not decided gives the exit code.
fn report(context: &Context, ids: &[String], outcomes: &[DecideOutcome]) -> Result<Exit, Failure> {
    if context.printer.is_json() {
        let each = ids.iter().zip(outcomes);
        let views: Vec<_> = each.map(|(id, outcome)| view(id, outcome)).collect();
        context.printer.json(&views)?;
    }
    let mut exit = Exit::Done;
    for outcome in outcomes {
        match (&outcome.refusal, &outcome.approval) {
            (Some(refusal), _) => {
                let failure = refused(refusal).rewritten(|text| context.addressed(text));
                if exit == Exit::Done {
                    exit = failure.exit();
                }
                context.printer.refusal(&failure);
            }
            (None, Some(approval)) => context.printer.note(&decided(approval)),
            (None, None) => {}
        }
    }
    Ok(exit)
}

/// What was decided, in words.
pub fn decided(approval: &Approval) -> String {
    let call = format!("{}: {} of {}", approval.id, approval.tool, approval.server);
    let decision = approval.decision.as_ref();
    match decision.filter(|decision| decision.approved) {
        None => format!("denied {call}"),
        Some(decision) => {
            let remember = remember_in_words(decision.remember.as_ref());
            let when = match approval.waiting {
                0 => "; it runs when it is called again",
                _ => "",
            };
            format!("approved {call}, {remember}{when}")
        }
    }
}

pub fn refused(refusal: &Refusal) -> Failure {
    let known = Reason::ALL.into_iter();
    let reason = known
        .into_iter()
        .find(|reason| reason.as_str() == refusal.reason)
        .unwrap_or(Reason::Internal);
    Failure::from(Fault {
        reason,
        message: refusal.message.clone(),
        hint: (!refusal.hint.is_empty()).then(|| refusal.hint.clone()),
    })
}

pub fn lasts(lasting: Duration) -> Result<Asked, Failure> {
    let seconds = u32::try_from(lasting.as_secs());
    let seconds = seconds.map_err(|_| Failure::usage("that is longer than a year"))?;
    Ok(Asked::ForSeconds(seconds))
}

/// Whether it can be sent; the daemon looks closer.
pub fn check_arguments(text: &str) -> Result<(), Failure> {
    match serde_json::from_str::<Map<String, Value>>(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::usage("the arguments must be one JSON object")
            .because(&error)
            .hint(r#"such as '{"amount": 5}'"#)),
    }
}

fn read(given: &str) -> Result<String, Failure> {
    let text = match (given, given.strip_prefix('@')) {
        ("-", _) => input::everything("arguments")?,
        (_, Some(path)) => std::fs::read_to_string(path)
            .map_err(|error| Failure::local(format!("cannot read {path}"), &error))?,
        (text, None) => text.to_owned(),
    };
    check_arguments(&text)?;
    Ok(text)
}

fn view<'a>(id: &'a str, outcome: &'a DecideOutcome) -> OutcomeView<'a> {
    let refusal = outcome.refusal.as_ref();
    OutcomeView {
        id,
        decided: refusal.is_none(),
        approval: outcome.approval.as_ref().map(ApprovalView::from),
        error: refusal.map(|refusal| RefusalView {
            reason: &refusal.reason,
            message: &refusal.message,
            hint: crate::view::some(&refusal.hint),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_its_exit_code() {
        for (reason, exit) in [
            ("NOT_FOUND", Exit::NotFound),
            ("CONFLICT", Exit::Conflict),
            ("DENIED", Exit::Denied),
            ("SOMETHING_NEW", Exit::Fault),
        ] {
            let refusal = Refusal {
                reason: reason.to_owned(),
                message: "no".to_owned(),
                hint: String::new(),
            };
            assert_eq!(refused(&refusal).exit(), exit, "{reason}");
        }
    }

    #[test]
    fn arguments_are_taken_as_they_are_written_and_must_be_an_object() {
        let as_written = r#"{"n": 1.50}"#;
        assert_eq!(read(as_written).unwrap(), as_written);
        for wrong in ["[]", "3", "{", "@/nonexistent/file"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_decision_is_told_in_one_clause() {
        let mut approval = Approval {
            id: "abcdefghijkl".to_owned(),
            tool: "pay".to_owned(),
            server: "stripe".to_owned(),
            ..Approval::default()
        };
        assert_eq!(decided(&approval), "denied abcdefghijkl: pay of stripe");
        approval.decision = Some(mcpbridge_proto::v1::Decision {
            approved: true,
            ..mcpbridge_proto::v1::Decision::default()
        });
        assert_eq!(
            decided(&approval),
            "approved abcdefghijkl: pay of stripe, for this call; it runs when it is called again"
        );
    }
}
