//! What each server offers, what changed about it since a person began to rely on it, and the approval
//! of such changes.

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use maud::{Markup, html};
use serde::Deserialize;

use super::Web;
use super::form::Posted;
use super::page::{Section, csrf, not_done, page, pin_field, refusal};
use super::policies::{effects, is_plain};
use super::text::{Shown, beginning, diff, folded, moment, size};
use super::visit::Visit;
use crate::catalog::{Change, ChangeKind, ServerTools, Standing, Subject, ToolEntry};
use crate::http::Problem;
use crate::http::sessions::Session;
use crate::policy::{Call, CallerFacts};
use crate::registry::Server;
use crate::types::{Digest, Effect};

/// Tools that a page shows; the search finds the others.
const MAX_LISTED: usize = 200;
/// Of one definition among others.
const MAX_DEFINITION: usize = 16 * 1024;

/// A caller about whom nothing is known.
struct Anybody;

impl CallerFacts for Anybody {
    fn client(&self) -> Option<&str> {
        None
    }

    fn uid(&self) -> Option<u32> {
        None
    }

    fn exe(&self) -> Option<&str> {
        None
    }
}

/// `GET /ui/tools`
pub(super) async fn overview(State(web): State<Web>, visit: Visit) -> Response {
    let snapshot = web.registry.snapshot();
    let content = html! {
        h1 { "Tools" }
        @if snapshot.is_empty() {
            div.empty {
                p { "Tools belong to servers, and none is configured. Add one with" }
                pre { code { "mcpbridgectl add stripe https://mcp.stripe.com" } }
            }
        }
        div data-refresh {
            @for server in snapshot.iter() {
                @let known = web.catalog.server(&server.name);
                article.card aria-labelledby=(format!("server-{}", server.name)) {
                    div.card-head {
                        h2 id=(format!("server-{}", server.name)) {
                            a href=(address(server)) { (server.name) }
                        }
                        (summary(known.as_deref()))
                    }
                    @if known.is_none() { (never_listed(server)) }
                }
            }
        }
    };
    page(&visit.session, Section::Tools, "Tools", &content)
}

/// Where the tools of `server` are shown.
pub(super) fn address(server: &Server) -> String {
    format!("/ui/tools/{}", server.name)
}

/// In a word, for lists of servers.
pub(super) fn summary(known: Option<&ServerTools>) -> Markup {
    let Some(known) = known else {
        return html! { span.chip { "not listed yet" } };
    };
    let count = known.tools().count();
    html! {
        span.hint { (count) @if count == 1 { " tool" } @else { " tools" } }
        @match known.held() {
            0 => span.chip.good { "as approved" },
            1 => span.chip.warning { "1 change waits" },
            held => span.chip.warning { (held) " changes wait" },
        }
    }
}

fn never_listed(server: &Server) -> Markup {
    html! {
        div.empty {
            p { "Nobody has listed the tools of this server yet. They are pinned when a client does, or" }
            pre { code { "mcpbridgectl tools " (server.name) } }
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    /// A part of a tool's name.
    q: String,
}

/// `GET /ui/tools/{server}`
pub(super) async fn tools(
    State(web): State<Web>,
    Path(server): Path<String>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
    visit: Visit,
) -> Response {
    match web.registry.get(&server) {
        Ok(server) => tools_page(&web, &visit.session, &server, &wanted, None).await,
        Err(error) => refusal(&headers, Problem::from(&error)),
    }
}

async fn tools_page(
    web: &Web,
    session: &Session,
    server: &Server,
    wanted: &Wanted,
    notice: Option<Markup>,
) -> Response {
    let known = web.catalog.server(&server.name);
    let changes = web.catalog.changes(&server.name);
    let pin_is_set = web.approvals.pin_state().await.set_at.is_some();
    let content = html! {
        div.page-head {
            h1 { "Tools of " (server.name) }
            (summary(known.as_deref()))
            a href="/ui/tools" { "All servers" }
        }
        @if let Some(notice) = notice { (notice) }
        @if !changes.is_empty() {
            section.changes aria-labelledby="changes" {
                h2 #changes { "Changes that wait" }
                p.hint { "Until you approve them, calls of these tools ask, whatever the rules say." }
                (approve_all(session, server, &changes, pin_is_set))
                @for change in &changes { (change_card(session, server, change, pin_is_set)) }
            }
        }
        @match known {
            Some(known) => (list(session, server, &known, wanted)),
            None => (never_listed(server)),
        }
    };
    page(
        session,
        Section::Tools,
        &format!("Tools of {}", server.name),
        &content,
    )
}

fn is_approvable(change: &Change) -> bool {
    !matches!(change.kind, ChangeKind::Unpinnable(_))
}

fn approve_all(session: &Session, server: &Server, changes: &[Change], pin_is_set: bool) -> Markup {
    let approvable: Vec<&Change> = changes.iter().filter(|one| is_approvable(one)).collect();
    html! {
        @if approvable.len() > 1 {
            form.inline method="post" action=(format!("{}/approve", address(server))) {
                (csrf(session))
                @for change in &approvable { input type="hidden" name="definition" value=(change.digest); }
                @if pin_is_set { (pin_field("pin-all", "")) }
                button { "Approve all " (approvable.len()) " as shown below" }
            }
        }
    }
}

fn change_card(session: &Session, server: &Server, change: &Change, pin_is_set: bool) -> Markup {
    let id = change.digest.short();
    html! {
        article.card.change aria-labelledby=(format!("change-{id}")) {
            div.card-head {
                h3 id=(format!("change-{id}")) {
                    @match &change.subject {
                        Subject::Instructions => "Instructions of the server",
                        Subject::Tool(name) => bdi { (Shown(name)) },
                    }
                }
                span.chip.warning { (kind(&change.kind)) }
            }
            @if let Some(since) = change.since { p.hint { "Since " (moment(since)) } }
            @if let Some(problem) = change.kind.problem() {
                p.notice.warning { "It cannot be approved as a whole: " (Shown(problem)) ". Each call of it is asked about." }
            }
            (diff(&change.diff_text()))
            @if is_approvable(change) {
                form.inline method="post" action=(format!("{}/approve", address(server))) {
                    (csrf(session))
                    input type="hidden" name="definition" value=(change.digest);
                    @if pin_is_set { (pin_field(&format!("pin-{id}"), "")) }
                    button.primary { "Approve this change" }
                }
            }
        }
    }
}

fn kind(kind: &ChangeKind) -> String {
    match kind {
        ChangeKind::New => "new".to_owned(),
        ChangeKind::Changed(severity) => format!("changed: {severity}"),
        ChangeKind::Unpinnable(_) => "cannot be relied on".to_owned(),
    }
}

fn list(session: &Session, server: &Server, known: &ServerTools, wanted: &Wanted) -> Markup {
    let search = wanted.q.to_lowercase();
    let mut tools: Vec<_> = known
        .tools()
        .filter(|(name, _)| name.to_lowercase().contains(&search))
        .collect();
    tools.sort_by_key(|(name, _)| *name);
    let total = tools.len();
    tools.truncate(MAX_LISTED);
    html! {
        section aria-labelledby="all" {
            div.page-head {
                h2 #all { "All tools" }
                form.filters method="get" {
                    label { "Name contains" input type="search" name="q" value=(wanted.q) maxlength="200"; }
                    button { "Search" }
                }
            }
            @if tools.is_empty() {
                div.empty {
                    p { "No tool fits. What the server offers now is listed by" }
                    pre { code { "mcpbridgectl tools " (server.name) } }
                }
            } @else {
                div.table tabindex="0" role="region" aria-label="Tools" {
                    table {
                        thead { tr { th scope="col" { "Tool" } th scope="col" { "A call of it" } th scope="col" { "Definition" } } }
                        tbody { @for (name, entry) in &tools { (row(session, server, name, entry)) } }
                    }
                }
            }
            @if total > MAX_LISTED {
                p.hint { (total - MAX_LISTED) " more fit. Search for a part of the name." }
            }
        }
    }
}

fn row(session: &Session, server: &Server, name: &str, entry: &ToolEntry) -> Markup {
    let call = Call {
        tool: name,
        arguments: None,
        annotations: entry.annotations.as_ref(),
        caller: &Anybody,
    };
    let verdict = server.policy.evaluate(&call);
    let definition = entry.definition.readable();
    html! {
        tr {
            td {
                bdi.name { (Shown(name)) }
                (description(&entry.definition.json))
                details {
                    summary { "Definition" }
                    pre tabindex="0" { (Shown(beginning(&definition, MAX_DEFINITION))) }
                    @if definition.len() > MAX_DEFINITION {
                        p.hint { "Only the beginning of " (size(definition.len())) "; all of it: " code { "mcpbridgectl tools " (server.name) " --json" } }
                    }
                }
            }
            td {
                (effect(verdict.effect))
                p.hint.small { (Shown(&verdict.explanation())) }
                (rule_form(session, server, name, verdict.effect))
            }
            td { (standing(&entry.standing)) }
        }
    }
}

/// What policy says, as a chip.
pub(super) fn effect(effect: Effect) -> Markup {
    let tone = match effect {
        Effect::Allow => "good",
        Effect::Ask => "warning",
        Effect::Deny => "bad",
    };
    html! { span.chip.(tone) { (effect.in_words()) } }
}

/// Sets the rule for this tool alone.
fn rule_form(session: &Session, server: &Server, name: &str, present: Effect) -> Markup {
    html! {
        @if is_plain(name) {
            details {
                summary { "Change" }
                form.inline method="post" action=(format!("/ui/policies/{}/set", server.name)) {
                    (csrf(session))
                    input type="hidden" name="tool" value=(name);
                    input type="hidden" name="back" value="tools";
                    label { span.visually-hidden { "What happens to " (Shown(name)) } (effects(present)) }
                    button { "Set" }
                }
            }
        }
    }
}

fn standing(standing: &Standing) -> Markup {
    html! {
        @match standing {
            Standing::Pinned => span.chip.good { "as approved" },
            Standing::New => span.chip.warning { "new" },
            Standing::Changed { .. } => span.chip.warning { "changed" },
            Standing::Unpinnable { .. } => span.chip.bad { "cannot be relied on" },
        }
    }
}

fn description(json: &str) -> Markup {
    #[derive(Deserialize)]
    struct Described {
        title: Option<String>,
        description: Option<String>,
    }
    let described: Option<Described> = serde_json::from_str(json).ok();
    html! {
        @if let Some(Described { title, description }) = described {
            @if let Some(title) = title { " " span.title { "“" bdi { (Shown(beginning(&title, 200))) } "”" } }
            @if let Some(description) = description { div.description { (folded(&description)) } }
        }
    }
}

/// `POST /ui/tools/{server}/approve`: relies on the definitions that were shown.
pub(super) async fn approve(
    State(web): State<Web>,
    Path(server): Path<String>,
    posted: Posted,
) -> Response {
    let server = match web.registry.get(&server) {
        Ok(server) => server,
        Err(error) => return refusal(&posted.headers, Problem::from(&error)),
    };
    match approve_definitions(&web, &server, &posted).await {
        Ok(()) => posted.done(&address(&server)),
        Err(problem) if posted.wants_page() => {
            let notice = Some(not_done(&problem));
            let wanted = Wanted::default();
            let page = tools_page(&web, &posted.session, &server, &wanted, notice).await;
            (problem.status, page).into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

/// A form names what was shown by its digest, which covers a tool's name too.
async fn approve_definitions(web: &Web, server: &Server, posted: &Posted) -> Result<(), Problem> {
    let bad = |detail: &str| Problem::new(StatusCode::BAD_REQUEST, detail);
    let held = web.catalog.changes(&server.name);
    let mut what = Vec::new();
    for digest in posted.all("definition") {
        let digest: Digest = digest
            .parse()
            .map_err(|_| bad("definition: a digest is expected"))?;
        let change = held.iter().find(|change| change.digest == digest);
        let change = change.ok_or_else(|| {
            let gone =
                "what was shown does not wait any more: it was approved, or it changed again";
            Problem::new(StatusCode::CONFLICT, gone)
        })?;
        what.push((change.subject.clone(), digest));
    }
    if what.is_empty() {
        return Err(bad("definition: name at least one"));
    }
    let by = posted.decider();
    let pin = posted.pin();
    let allowed = web.approvals.authorize(pin.as_ref(), &by).await;
    allowed.map_err(|error| Problem::from(&error))?;
    let approved = web.catalog.approve(&server.name, what, &by).await;
    approved.map_err(|error| Problem::from(&error))
}
