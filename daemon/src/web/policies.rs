//! What happens to calls, by server and tool: the rules of `config.json`, and changes of them.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use maud::{Markup, html};

use super::Web;
use super::form::Posted;
use super::page::{Section, csrf, not_done, page, pin_field, refusal};
use super::text::Shown;
use super::tools::effect;
use super::visit::Visit;
use crate::admin::ChangeError;
use crate::approval::PinError;
use crate::http::Problem;
use crate::http::sessions::Session;
use crate::policy::{Rule, rules};
use crate::registry::{PolicyChange, RegistryError, RuleKey, Server};
use crate::types::visible::visible;
use crate::types::{Effect, Pattern};

const ADDRESS: &str = "/ui/policies";
/// Rules and names of tools that a page shows of one server.
const MAX_LISTED: usize = 200;

const EFFECTS: [Effect; 3] = [Effect::Allow, Effect::Ask, Effect::Deny];

/// `GET /ui/policies`
pub(super) async fn policies(State(web): State<Web>, visit: Visit) -> Response {
    let snapshot = web.registry.snapshot();
    let content = html! {
        h1 { "Policies" }
        @if snapshot.is_empty() {
            div.empty {
                p { "Rules belong to servers, and none is configured. Add one with" }
                pre { code { "mcpbridgectl add stripe https://mcp.stripe.com" } }
            }
        } @else {
            p.hint {
                "The most specific rule decides; among equals, never allow before always ask before always allow. Which one that is for a call, says "
                code { "mcpbridgectl policy test SERVER TOOL '{}'" } "."
            }
        }
        @for server in snapshot.iter() { (card(&web, &visit.session, server)) }
    };
    page(&visit.session, Section::Policies, "Policies", &content)
}

fn card(web: &Web, session: &Session, server: &Server) -> Markup {
    let name = server.name.as_str();
    let policy = &server.config.policy;
    html! {
        article.card id=(format!("server-{name}")) aria-labelledby=(format!("name-{name}")) {
            div.card-head {
                h2 id=(format!("name-{name}")) { (name) }
                a href=(super::tools::address(server)) { "Tools" }
            }
            form.inline method="post" action=(format!("{ADDRESS}/{name}/set")) {
                (csrf(session))
                label { "Where no rule fits: " (effects(policy.default)) }
                button { "Set" }
            }
            (listed(session, server))
            details {
                summary { "Add a rule" }
                (addition(web, session, server))
            }
            details {
                summary { "Trust" }
                (options(session, server))
            }
        }
    }
}

pub(super) fn effects(selected: Effect) -> Markup {
    html! {
        select name="effect" {
            @for effect in EFFECTS {
                option value=(effect) selected[effect == selected] { (effect.in_words()) }
            }
        }
    }
}

fn listed(session: &Session, server: &Server) -> Markup {
    let all: Vec<Rule> = rules(&server.config.policy).collect();
    html! {
        @if !all.is_empty() {
            div.table tabindex="0" role="region" aria-label=(format!("Rules of {}", server.name)) {
                table {
                    thead { tr { th scope="col" { "Calls of" } th scope="col" { "What happens" } } }
                    tbody { @for rule in all.iter().take(MAX_LISTED) { (row(session, server, rule)) } }
                }
            }
            @if all.len() > MAX_LISTED {
                p.hint { (all.len() - MAX_LISTED) " more: " code { "mcpbridgectl policy list " (server.name) } }
            }
        }
    }
}

fn row(session: &Session, server: &Server, rule: &Rule) -> Markup {
    let conditions = rule.config.conditions_json();
    let pattern = rule.config.tools.as_str();
    html! {
        tr {
            td {
                (Shown(&rule.to_string()))
            }
            td {
                form.inline method="post" action=(format!("{ADDRESS}/{}/set", server.name)) {
                    (csrf(session))
                    input type="hidden" name="tool" value=(pattern);
                    input type="hidden" name="conditions" value=(conditions);
                    (effect(rule.effect()))
                    label { span.visually-hidden { "What happens to " (Shown(pattern)) } (effects(rule.effect())) }
                    button { "Set" }
                    button.quiet.danger formaction=(format!("{ADDRESS}/{}/unset", server.name)) { "Remove" }
                }
            }
        }
    }
}

fn addition(web: &Web, session: &Session, server: &Server) -> Markup {
    let name = server.name.as_str();
    let known = web.catalog.server(&server.name);
    let mut tools: Vec<String> = known.map_or_else(Vec::new, |known| {
        let names = known.tools().map(|(name, _)| name);
        names
            .filter(|name| is_plain(name))
            .map(str::to_owned)
            .collect()
    });
    tools.sort();
    html! {
        form.stacked method="post" action=(format!("{ADDRESS}/{name}/set")) {
            (csrf(session))
            label for=(format!("tool-{name}")) { "Tool; " code { "*" } " stands for any text, " code { "?" } " for one character" }
            input type="text" id=(format!("tool-{name}")) name="tool" required list=(format!("tools-{name}")) maxlength="200" autocomplete="off" spellcheck="false";
            datalist id=(format!("tools-{name}")) { @for tool in tools.iter().take(MAX_LISTED) { option value=(tool); } }
            label { "What happens " (effects(Effect::Ask)) }
            label for=(format!("conditions-{name}")) { "Only under these conditions (JSON; may stay empty)" }
            textarea id=(format!("conditions-{name}")) name="conditions" rows="3" spellcheck="false" autocomplete="off"
                placeholder=r#"{"arguments": {"/amount": {"max": 1000}}, "callers": ["client:ci"]}"# {}
            div.actions { button { "Add the rule" } }
        }
    }
}

/// Whether a rule can be about exactly this tool, and a person can see which one that is.
pub(super) fn is_plain(name: &str) -> bool {
    let is_name = Pattern::parse(name).is_ok_and(|pattern| pattern.is_exact());
    is_name && visible(name) == name
}

fn options(session: &Session, server: &Server) -> Markup {
    let yes_or_no = |name: &str, value: bool| {
        html! {
            select name=(name) {
                option value="false" selected[!value] { "no" }
                option value="true" selected[value] { "yes" }
            }
        }
    };
    html! {
        form.stacked method="post" action=(format!("{ADDRESS}/{}/options", server.name)) {
            (csrf(session))
            label { "Rules may believe what this server says about its tools (annotations) " (yes_or_no("trusted", server.config.trusted)) }
            label { "The client that asks may answer for you (weak approval) " (yes_or_no("accept_weak_approval", server.config.policy.accept_weak_approval)) }
            div.actions { button { "Set" } }
        }
    }
}

/// `POST /ui/policies/{server}/set`: a rule, which is added if it is new, or the default.
pub(super) async fn set(web: State<Web>, server: Path<String>, posted: Posted) -> Response {
    let wanted = key(&posted).and_then(|key| {
        let effect = posted.field("effect").unwrap_or_default();
        let effect = effect
            .parse::<Effect>()
            .map_err(|error| bad(&error.to_string()))?;
        Ok((key, effect))
    });
    let (key, effect) = match wanted {
        Ok(wanted) => wanted,
        Err(problem) => return refusal(&posted.headers, problem),
    };
    let what = format!("{}: {}", described(&posted), effect.in_words());
    let edit = move |change: &mut PolicyChange| {
        change.set(key, effect);
        Ok(())
    };
    changed(&web, &server, &posted, "set", &what, edit).await
}

/// `POST /ui/policies/{server}/unset`
pub(super) async fn unset(web: State<Web>, server: Path<String>, posted: Posted) -> Response {
    let key = match key(&posted) {
        Ok(key) => key,
        Err(problem) => return refusal(&posted.headers, problem),
    };
    let what = format!("{}: no rule any more", described(&posted));
    let edit = move |change: &mut PolicyChange| change.unset(&key);
    changed(&web, &server, &posted, "unset", &what, edit).await
}

/// `POST /ui/policies/{server}/options`: what is not said stays as it is.
pub(super) async fn options_set(web: State<Web>, server: Path<String>, posted: Posted) -> Response {
    let truth = |name: &str| posted.field(name).map(|value| value == "true");
    let (trusted, weak) = (truth("trusted"), truth("accept_weak_approval"));
    let edit = move |change: &mut PolicyChange| {
        change.new.trusted = trusted.unwrap_or(change.new.trusted);
        let policy = &mut change.new.policy;
        policy.accept_weak_approval = weak.unwrap_or(policy.accept_weak_approval);
        Ok(())
    };
    changed(&web, &server, &posted, "options", "more trust", edit).await
}

/// The form writes the server's default as no tool.
fn key(posted: &Posted) -> Result<RuleKey, Problem> {
    let tool = posted.field("tool").unwrap_or_default();
    let conditions = posted.field("conditions").unwrap_or_default();
    RuleKey::read(tool, conditions.trim()).map_err(|error| Problem::from(&error))
}

fn bad(detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

fn described(posted: &Posted) -> String {
    let tool = posted.field("tool").unwrap_or("where no rule fits");
    match posted.field("conditions") {
        Some(conditions) => format!("{tool} under {}", conditions.trim()),
        None => tool.to_owned(),
    }
}

async fn changed(
    web: &Web,
    server: &str,
    posted: &Posted,
    act: &str,
    what: &str,
    edit: impl FnOnce(&mut PolicyChange) -> Result<(), RegistryError> + Send + 'static,
) -> Response {
    let server = match web.registry.get(server) {
        Ok(server) => server,
        Err(error) => return refusal(&posted.headers, Problem::from(&error)),
    };
    let (pin, by) = (posted.pin(), posted.decider());
    let change = web.admin.change_rules(server.name.clone(), pin, by, edit);
    match change.await {
        Ok(()) if posted.field("back") == Some("tools") => {
            posted.done(&super::tools::address(&server))
        }
        Ok(()) => posted.done(&format!("{ADDRESS}#server-{}", server.name)),
        Err(ChangeError::Pin(error)) if posted.wants_page() => {
            ask_for_pin(posted, &server, act, what, &error)
        }
        Err(error) => refusal(&posted.headers, Problem::from(&error)),
    }
}

/// The same form once more, with a field for the PIN: only what loosens the rules needs one, and that
/// is known only now.
fn ask_for_pin(
    posted: &Posted,
    server: &Server,
    act: &str,
    what: &str,
    error: &PinError,
) -> Response {
    let problem = Problem::from(error);
    let content = html! {
        h1 { "This lets more through" }
        @if *error != PinError::Required { (not_done(&problem)) }
        form.card method="post" action=(format!("{ADDRESS}/{}/{act}", server.name)) {
            (csrf(&posted.session))
            p { "On " strong { (server.name) } ", " bdi { (Shown(what)) } }
            @for (name, value) in posted.fields().filter(|(name, _)| !matches!(*name, "csrf" | "pin")) {
                input type="hidden" name=(name) value=(value);
            }
            (pin_field("pin", ""))
            div.actions {
                button.primary { "Change the rules" }
                a href=(ADDRESS) { "Leave them as they are" }
            }
        }
    };
    let page = page(
        &posted.session,
        Section::Policies,
        "This lets more through",
        &content,
    );
    (problem.status, page).into_response()
}
