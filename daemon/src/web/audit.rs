//! The audit log, newest first, and the check that it is whole.

use axum::extract::{Query, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Web;
use super::approvals::laid_out;
use super::form::Posted;
use super::page::{Section, call_fields, csrf, earlier, page, refusal};
use super::text::{Shown, beginning, midnight, moment};
use super::visit::Visit;
use crate::audit::{Filter, Kind, Record, Verdict};
use crate::http::Problem;
use crate::http::sessions::Session;

const PAGE: usize = 50;
/// What a folded detail shows.
const SUMMARY: usize = 90;

/// What the form at the top says. Empty fields mean "all".
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    kind: String,
    server: String,
    tool: String,
    actor: String,
    approval: String,
    /// A day, as browsers write it.
    since: String,
    before: String,
}

impl Wanted {
    fn filter(&self) -> Result<Filter, String> {
        let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        if !self.kind.is_empty() && !kinds().any(|kind| kind == self.kind) {
            return Err("kind: there is no such kind of record".to_owned());
        }
        Ok(Filter {
            kind: said(&self.kind),
            server: said(&self.server),
            tool: said(&self.tool),
            actor: said(&self.actor),
            approval: said(&self.approval),
            since: said(&self.since).map(|day| midnight(&day, 0)).transpose()?,
        })
    }

    fn before(&self) -> Result<Option<u64>, String> {
        let before = (!self.before.is_empty()).then(|| self.before.parse());
        before
            .transpose()
            .map_err(|_| "before: the number of a record is expected".to_owned())
    }

    /// The address of the page of what is older than `last`.
    fn next(&self, last: u64) -> String {
        let fields = [
            ("kind", &self.kind),
            ("server", &self.server),
            ("tool", &self.tool),
            ("actor", &self.actor),
            ("approval", &self.approval),
            ("since", &self.since),
        ];
        earlier("/ui/audit", &fields, &last.to_string())
    }
}

/// Groups and the kinds in them: `call`, `call.started`, …
fn kinds() -> impl Iterator<Item = &'static str> {
    let mut group = "";
    Kind::ALL.iter().flat_map(move |kind| {
        let name = kind.as_str();
        let its_group = name.split('.').next().unwrap_or(name);
        let begins = its_group != group;
        group = its_group;
        begins.then_some(its_group).into_iter().chain([name])
    })
}

/// `GET /ui/audit`
pub(super) async fn audit(
    State(web): State<Web>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
    visit: Visit,
) -> Response {
    audit_page(&web, &visit.session, &wanted, &headers, None).await
}

/// `POST /ui/audit/verify`: reads the whole log, so it is no page that loads by itself.
pub(super) async fn verify(State(web): State<Web>, posted: Posted) -> Response {
    let verdict = match web.audit.verify().await {
        Ok(verdict) => verdict,
        Err(error) => return refusal(&posted.headers, Problem::from(&error)),
    };
    let notice = html! {
        @match verdict {
            Verdict::Intact { records, newest, head } => {
                p.notice.good role="status" {
                    strong { "The log is whole." } " " (records) " records, the newest is number " (newest)
                    ". Note its hash elsewhere to notice later that the log was built anew: " code { (head) }
                }
            }
            Verdict::Broken(fault) => {
                p.notice.bad role="alert" { strong { "The log is not as it was written: " } (fault.to_string()) "." }
            }
        }
    };
    let wanted = Wanted::default();
    audit_page(
        &web,
        &posted.session,
        &wanted,
        &posted.headers,
        Some(notice),
    )
    .await
}

async fn audit_page(
    web: &Web,
    session: &Session,
    wanted: &Wanted,
    headers: &HeaderMap,
    notice: Option<Markup>,
) -> Response {
    let (filter, before) = match (wanted.filter(), wanted.before()) {
        (Ok(filter), Ok(before)) => (filter, before),
        (Err(detail), _) | (_, Err(detail)) => {
            return refusal(headers, Problem::new(StatusCode::BAD_REQUEST, detail));
        }
    };
    let records = match web.audit.page(filter, before, PAGE).await {
        Ok(records) => records,
        Err(error) => return refusal(headers, Problem::from(&error)),
    };
    let content = html! {
        div.page-head {
            h1 { "Audit" }
            form method="post" action="/ui/audit/verify" {
                (csrf(session))
                button { "Check that the log is whole" }
            }
        }
        @if let Some(notice) = notice { (notice) }
        (form(web, wanted))
        @if records.is_empty() {
            div.empty {
                p { "No record fits. Calls, decisions, changes of rules and tools, and what becomes of tokens are recorded." }
                p { "To see records as they come, run" }
                pre { code { "mcpbridgectl audit --follow" } }
            }
        } @else {
            (table(&records))
            // A page may be short because its records are long; the last page is empty then.
            @if let Some(last) = records.last().filter(|last| last.seq > 1) {
                p { a href=(wanted.next(last.seq)) rel="next" { "Earlier" } }
            }
        }
    };
    page(session, Section::Audit, "Audit", &content)
}

fn form(web: &Web, wanted: &Wanted) -> Markup {
    html! {
        form.filters method="get" action="/ui/audit" {
            label { "What"
                select name="kind" {
                    option value="" { "all" }
                    @for kind in kinds() {
                        option value=(kind) selected[wanted.kind == kind] {
                            @if kind.contains('.') { "\u{2003}" (kind) } @else { (kind) }
                        }
                    }
                }
            }
            (call_fields(web, &wanted.server, &wanted.tool))
            label { "By" input type="search" name="actor" value=(wanted.actor) maxlength="200"; }
            label { "Approval" input type="search" name="approval" value=(wanted.approval) maxlength="40"; }
            label { "Since" input type="date" name="since" value=(wanted.since); }
            button { "Show" }
        }
    }
}

fn table(records: &[Record]) -> Markup {
    html! {
        div.table tabindex="0" role="region" aria-label="Records" {
            table {
                thead { tr {
                    th scope="col" { "When" } th scope="col" { "What" } th scope="col" { "By" } th scope="col" { "Details" }
                } }
                tbody { @for record in records { (row(record)) } }
            }
        }
    }
}

fn row(record: &Record) -> Markup {
    html! {
        tr {
            td { (moment(record.at)) " " span.hint.small title="Number of the record" { "#" (record.seq) } }
            td {
                code.kind { (record.kind) }
                @if let Some(tool) = &record.tool { br; bdi { (Shown(tool)) } }
                @if let Some(server) = &record.server { @if record.tool.is_none() { br; } " on " (Shown(server)) }
            }
            td { @match &record.actor { Some(actor) => (Shown(actor)), None => "–" } }
            td {
                @if let Some(approval) = &record.approval {
                    "Approval " a href=(format!("/approvals/{approval}")) { code { (Shown(approval)) } }
                }
                (detail(&record.detail))
            }
        }
    }
}

fn detail(json: &str) -> Markup {
    html! {
        @if json != "{}" {
            details.long {
                summary { (Shown(&members(json))) }
                div.arguments {
                    @match laid_out(json) { Some(laid_out) => (laid_out), None => pre { (Shown(json)) } }
                }
            }
        }
    }
}

/// What the details are about: the names of the members, or the beginning of what is no object.
fn members(json: &str) -> String {
    let object = serde_json::from_str::<Map<String, Value>>(json);
    let text = match &object {
        Ok(object) => object
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", "),
        Err(_) => json.to_owned(),
    };
    beginning(&text, SUMMARY).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_stand_below_their_group_once() {
        let all: Vec<_> = kinds().collect();
        assert_eq!(all[..3], ["call", "call.started", "call.finished"]);
        let unique: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(unique.len(), all.len(), "{all:?}");
    }

    #[test]
    fn details_are_summed_up_by_what_they_are_about() {
        assert_eq!(members(r#"{"old":{"a":1},"new":2}"#), "old, new");
        assert_eq!(members("forged"), "forged");
    }

    #[test]
    fn the_address_of_the_next_page_keeps_the_filters() {
        let wanted = Wanted {
            kind: "call".to_owned(),
            actor: "a&b".to_owned(),
            ..Wanted::default()
        };
        assert_eq!(wanted.next(7), "/ui/audit?kind=call&actor=a%26b&before=7");
        let wrong = Wanted {
            kind: "<b>".to_owned(),
            ..Wanted::default()
        };
        assert!(wrong.filter().is_err());
    }
}
