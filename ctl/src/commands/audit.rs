//! `audit`: what happened, and whether the log of it is whole.

use clap::{Args, Subcommand};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use mcpbridge_proto::v1::{
    AuditFilter, AuditRecord, FollowAuditRequest, ListAuditRequest, VerifyAuditRequest,
};
use mcpbridge_proto::visible_line;
use serde::Serialize;

use crate::context::Context;
use crate::error::Failure;
use crate::exit::Exit;
use crate::output::text;
use crate::output::time::{now, rfc3339};
use crate::view::{AuditView, some};

/// Characters of a record's details in its line.
const DETAIL_WIDTH: usize = 240;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct AuditArgs {
    #[command(subcommand)]
    command: Option<AuditCommand>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Keep printing what is added
    #[arg(long, short)]
    follow: bool,
    /// Print this many of the last records
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50)]
    lines: u32,
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Check that no record was altered, removed, inserted or moved; names the first that was
    Verify,
}

#[derive(Args)]
struct FilterArgs {
    /// Only records about this server
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// Only records about this tool
    #[arg(long, value_name = "NAME")]
    tool: Option<String>,
    /// Only records of this kind, such as call.refused, or of a group such as approval
    #[arg(long)]
    kind: Option<String>,
    /// Only what somebody did whose description contains this
    #[arg(long, value_name = "TEXT")]
    actor: Option<String>,
    /// Only records about this approval
    #[arg(long, value_name = "ID")]
    approval: Option<String>,
    /// Only records since then: 30m, 12h, 7d, 2026-11-21 or 2026-11-21T10:54:25Z
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    since: Option<Timestamp>,
}

impl From<FilterArgs> for AuditFilter {
    fn from(args: FilterArgs) -> Self {
        Self {
            kind: args.kind.unwrap_or_default(),
            server: args.server.unwrap_or_default(),
            tool: args.tool.unwrap_or_default(),
            actor: args.actor.unwrap_or_default(),
            approval: args.approval.unwrap_or_default(),
            since: args.since.map_or(0, Timestamp::as_microsecond),
        }
    }
}

pub async fn run(context: &Context, args: AuditArgs) -> Result<(), Failure> {
    match args.command {
        Some(AuditCommand::Verify) => verify(context).await,
        None if args.follow => follow(context, args.filter.into(), args.lines).await,
        None => list(context, args.filter.into(), args.lines).await,
    }
}

async fn list(context: &Context, filter: AuditFilter, count: u32) -> Result<(), Failure> {
    let client = context.connect().await?;
    let mut audit = client.audit();
    let mut records: Vec<AuditRecord> = Vec::new();
    let mut limit = count;
    while limit > 0 {
        let request = ListAuditRequest {
            filter: Some(filter.clone()),
            before: records.last().map_or(0, |oldest| oldest.seq),
            limit,
        };
        let page = audit.list_audit(request).await?.into_inner().records;
        if page.is_empty() {
            break;
        }
        limit = limit.saturating_sub(u32::try_from(page.len()).unwrap_or(u32::MAX));
        records.extend(page);
    }
    for record in records.iter().rev() {
        print(context, record)?;
    }
    Ok(())
}

async fn follow(context: &Context, filter: AuditFilter, last: u32) -> Result<(), Failure> {
    let client = context.connect().await?;
    let request = FollowAuditRequest {
        filter: Some(filter),
        last,
    };
    let mut records = client.audit().follow_audit(request).await?.into_inner();
    while let Some(record) = records.message().await? {
        print(context, &record)?;
    }
    Ok(())
}

async fn verify(context: &Context) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Verified<'a> {
        intact: bool,
        records: Option<u64>,
        newest: Option<u64>,
        head: Option<&'a str>,
        broken: Option<u64>,
        fault: Option<&'a str>,
    }

    let client = context.connect().await?;
    let reply = client.audit().verify_audit(VerifyAuditRequest {}).await?;
    let reply = reply.into_inner();
    if context.printer.is_json() {
        context.printer.json(&Verified {
            intact: reply.intact,
            records: reply.intact.then_some(reply.records),
            newest: reply.intact.then_some(reply.newest),
            head: some(&reply.head),
            broken: (!reply.intact).then_some(reply.broken_seq),
            fault: some(&reply.fault),
        })?;
    } else if reply.intact {
        context.printer.line(&format!(
            "intact: {} records; the newest is {} with hash {}",
            reply.records, reply.newest, reply.head
        ))?;
    }
    if reply.intact {
        return Ok(());
    }
    let message = format!("the audit log is broken: {}", reply.fault);
    Err(Failure::new(Exit::Fault, message).hint(format!(
        "`{}` shows what is around it",
        context.command("audit -n 1000")
    )))
}

fn print(context: &Context, record: &AuditRecord) -> Result<(), Failure> {
    if context.printer.is_json() {
        context.printer.event(&AuditView::from(record))
    } else {
        context.printer.line(&line(record))
    }
}

/// One record as one line. Its texts come from servers and clients.
fn line(record: &AuditRecord) -> String {
    let time = rfc3339(record.at.div_euclid(1_000_000)).unwrap_or_default();
    let mut parts = vec![format!("{} {time} {}", record.seq, record.kind)];
    let subject = [&record.server, &record.tool].map(|text| some(text));
    match subject {
        [Some(server), Some(tool)] => parts.push(format!("{tool} of {server}")),
        [Some(one), None] | [None, Some(one)] => parts.push(one.to_owned()),
        [None, None] => {}
    }
    if let Some(approval) = some(&record.approval) {
        parts.push(format!("approval {approval}"));
    }
    if let Some(actor) = some(&record.actor) {
        parts.push(format!("by {actor}"));
    }
    if record.detail_json != "{}" {
        parts.push(text::truncate(&record.detail_json, DETAIL_WIDTH));
    }
    visible_line(&parts.join("  "))
}

/// A point in time, or how long ago it was.
fn parse_since(text: &str) -> Result<Timestamp, String> {
    if let Some(seconds) = duration(text) {
        let since = now().checked_sub(seconds).map(Timestamp::from_second);
        return since
            .and_then(Result::ok)
            .ok_or_else(|| "that is before all times".to_owned());
    }
    if let Ok(date) = text.parse::<Date>()
        && let Ok(midnight) = date.to_zoned(TimeZone::UTC)
        && !text.contains('T')
    {
        return Ok(midnight.timestamp());
    }
    text.parse()
        .map_err(|_| "use 30m, 12h, 7d, a date, or a time such as 2026-11-21T10:54:25Z".to_owned())
}

/// The seconds in a number with a unit.
fn duration(text: &str) -> Option<i64> {
    let unit = match text.chars().next_back()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let number: u32 = text[..text.len() - 1].parse().ok()?;
    Some(i64::from(number) * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_harmless_line() {
        let record = AuditRecord {
            seq: 7,
            at: 1_700_000_000_500_000,
            kind: "call.refused".to_owned(),
            server: "stripe".to_owned(),
            tool: "pay\x1b[2J\n\u{202e}me".to_owned(),
            actor: "node (pid 3)".to_owned(),
            detail_json: r#"{"why":"a rule"}"#.to_owned(),
            ..AuditRecord::default()
        };
        let line = line(&record);
        assert!(!line.contains(['\x1b', '\n', '\u{202e}']), "{line:?}");
        assert!(
            line.starts_with("7 2023-11-14T22:13:20Z call.refused  pay"),
            "{line}"
        );
        assert!(
            line.ends_with(r#"of stripe  by node (pid 3)  {"why":"a rule"}"#),
            "{line}"
        );
    }

    #[test]
    fn a_time_is_given_as_such_or_as_an_age() {
        assert_eq!(
            parse_since("2023-11-14").unwrap().to_string(),
            "2023-11-14T00:00:00Z"
        );
        assert_eq!(
            parse_since("2023-11-14T22:13:20+02:00")
                .unwrap()
                .to_string(),
            "2023-11-14T20:13:20Z"
        );
        let age = now() - parse_since("2h").unwrap().as_second();
        assert!((7_200..7_210).contains(&age), "{age}");
        for bad in ["", "h", "-3h", "2y", "yesterday", "é"] {
            assert!(parse_since(bad).is_err(), "{bad}");
        }
    }
}
