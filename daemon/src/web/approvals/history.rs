//! `GET /approvals/history`: what was asked so far, and what became of it.

use axum::extract::{Query, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use maud::{Markup, html};
use serde::Deserialize;

use super::super::Web;
use super::super::page::{Section, call_fields, earlier, page, refusal};
use super::super::text::{Shown, midnight, moment};
use super::super::visit::Visit;
use super::card::state_chip;
use super::{Part, parts};
use crate::approval::{Filter, Item, State as Standing};
use crate::error::chain;
use crate::http::Problem;

const PAGE: u32 = 50;

/// What the form at the top says. Empty fields mean "all".
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    state: String,
    server: String,
    tool: String,
    /// A day, as browsers write it; both ends count.
    from: String,
    until: String,
    before: String,
}

impl Wanted {
    fn filter(&self) -> Result<Filter, String> {
        let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let states = match said(&self.state) {
            None => Vec::new(),
            Some(state) => vec![state.parse().map_err(|error| chain(&error))?],
        };
        let server = said(&self.server).map(|server| server.parse());
        let before = said(&self.before).map(|before| before.parse());
        Ok(Filter {
            states,
            server: server.transpose().map_err(|error| chain(&error))?,
            tool: said(&self.tool),
            since: said(&self.from).map(|day| midnight(&day, 0)).transpose()?,
            until: said(&self.until).map(|day| midnight(&day, 1)).transpose()?,
            before: before.transpose().map_err(|error| chain(&error))?,
            // One more tells whether there is another page.
            limit: PAGE + 1,
        })
    }

    /// The address of the page that begins after `last`.
    fn next(&self, last: &Item) -> String {
        let fields = [
            ("state", &self.state),
            ("server", &self.server),
            ("tool", &self.tool),
            ("from", &self.from),
            ("until", &self.until),
        ];
        earlier("/approvals/history", &fields, last.id.as_str())
    }
}

pub(super) async fn history(
    State(web): State<Web>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
    visit: Visit,
) -> Response {
    let filter = match wanted.filter() {
        Ok(filter) => filter,
        Err(detail) => {
            return refusal(&headers, Problem::new(StatusCode::BAD_REQUEST, detail));
        }
    };
    let mut items = match web.approvals.history(filter).await {
        Ok(items) => items,
        Err(error) => return refusal(&headers, Problem::from(&error)),
    };
    let more = items.len() > PAGE as usize;
    items.truncate(PAGE as usize);
    let content = html! {
        h1 { "History" }
        (parts(Part::History))
        (form(&web, &wanted))
        @if items.is_empty() {
            div.empty {
                p { "Nothing was asked that fits. Every call that asks first is kept here, with the answer." }
                p { "In a terminal:" }
                pre { code { "mcpbridgectl approvals list --all" } }
            }
        } @else {
            (table(&items))
        }
        @if let (true, Some(last)) = (more, items.last()) {
            p { a href=(wanted.next(last)) rel="next" { "Earlier" } }
        }
    };
    page(&visit.session, Section::Approvals, "History", &content)
}

fn form(web: &Web, wanted: &Wanted) -> Markup {
    html! {
        form.filters method="get" action="/approvals/history" {
            label { "State"
                select name="state" {
                    option value="" { "all" }
                    @for state in Standing::ALL {
                        option value=(state) selected[wanted.state == state.as_str()] { (state.as_str().replace('_', " ")) }
                    }
                }
            }
            (call_fields(web, &wanted.server, &wanted.tool))
            label { "From" input type="date" name="from" value=(wanted.from); }
            label { "Until" input type="date" name="until" value=(wanted.until); }
            button { "Show" }
        }
    }
}

/// Items, newest first.
pub(super) fn table(items: &[Item]) -> Markup {
    html! {
        div.table tabindex="0" role="region" aria-label="Calls and their answers" {
            table {
                thead { tr { th { "Call" } th { "State" } th { "Answer" } th { "Asked" } } }
                tbody {
                    @for item in items {
                        tr data-id=(item.id) data-state=(item.state) {
                            td { a href=(format!("/approvals/{}", item.id)) { bdi { (Shown(&item.action.tool)) } } " on " (item.action.server) }
                            td { (state_chip(item.state)) }
                            td { (answer(item)) }
                            td data-label="Asked " { (moment(item.asked_at)) }
                        }
                    }
                }
            }
        }
    }
}

fn answer(item: &Item) -> Markup {
    html! {
        @match &item.decision {
            Some(decision) => {
                (Shown(&decision.by.to_string())) ", " (moment(decision.at))
                @if let Some(reason) = &decision.reason { ": “" (Shown(reason)) "”" }
            }
            None if item.state == Standing::Expired => "nobody answered in time",
            None => (Shown(item.outcome.as_deref().unwrap_or("–"))),
        }
        @if let (Some(_), Some(outcome)) = (&item.decision, &item.outcome) { br; span.hint { (Shown(outcome)) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_form_says_becomes_a_filter() {
        let wanted = Wanted {
            state: "denied".to_owned(),
            server: "shop".to_owned(),
            from: "2026-11-21".to_owned(),
            until: "2026-11-21".to_owned(),
            ..Wanted::default()
        };
        let filter = wanted.filter().unwrap();
        assert_eq!(filter.states, [Standing::Denied]);
        assert_eq!(filter.since, Some("2026-11-21T00:00:00Z".parse().unwrap()));
        assert_eq!(filter.until, Some("2026-11-22T00:00:00Z".parse().unwrap()));
        assert!(Wanted::default().filter().unwrap().states.is_empty());
        for wrong in ["asleep", "<script>"] {
            let wanted = Wanted {
                state: wrong.to_owned(),
                ..Wanted::default()
            };
            assert!(wanted.filter().is_err());
        }
    }
}
