//! One question: what would run, for whom, why it is asked, and the ways to answer.

use maud::{Markup, html};

use super::arguments::{Extent, arguments, laid_out};
use crate::approval::{Action, CallerView, ChangeView, Item, Remember, State};
use crate::http::sessions::Session;
use crate::types::{Digest, ServerName};
use crate::web::page::{csrf, pin_field};
use crate::web::text::{Shown, diff, editable, folded, moment};

/// What "for a time" may mean, in seconds.
const DURATIONS: [(u32, &str); 5] = [
    (900, "15 minutes"),
    (3_600, "1 hour"),
    (28_800, "8 hours"),
    (86_400, "1 day"),
    (604_800, "7 days"),
];

/// What the forms of a card need besides the item.
pub(super) struct Asking<'a> {
    pub session: &'a Session,
    pub pin_is_set: bool,
    /// Calls that wait at the item now.
    pub waiting: usize,
}

/// A pending item with its forms.
pub(super) fn question(item: &Item, asking: &Asking<'_>, extent: Extent) -> Markup {
    let id = item.id.as_str();
    let action = &item.action;
    html! {
        article.card.item id=(format!("item-{id}")) data-id=(id) tabindex="-1"
            aria-labelledby=(format!("name-{id}")) {
            div.card-head {
                @if extent == Extent::Listed {
                    label.pick title="Select" {
                        input type="checkbox" form="batch" name="id" value=(id);
                        span.visually-hidden { "Select " (Shown(&action.tool)) " " (id) }
                    }
                }
                (heading(item, &format!("name-{id}")))
                span.chip data-expires=(item.expires_at) { "expires " (moment(item.expires_at)) }
            }
            (facts(item))
            @if item.earlier.is_some() { (earlier(item)) }
            @if let Some(change) = &action.change { (changed(&action.server, change)) }
            (describes(action, extent))
            div.sent {
                h3 { "Arguments" }
                (arguments(&action.arguments, extent))
            }
            p.hint.waiting data-part="waiting" { (waiting(asking.waiting)) }
            (forms(item, asking))
            @if extent == Extent::Listed {
                a.details href=(format!("/approvals/{id}")) { "Details" }
            }
        }
    }
}

/// An item that needs no answer any more, on its page.
pub(super) fn answered(item: &Item) -> Markup {
    let id = item.id.as_str();
    html! {
        article.card.item data-id=(id) data-answered tabindex="-1" aria-labelledby=(format!("name-{id}")) {
            div.card-head {
                (heading(item, &format!("name-{id}")))
                (state_chip(item.state))
            }
            (standing(item))
            (facts(item))
            @if item.earlier.is_some() { (earlier(item)) }
            @if let Some(change) = &item.action.change { (changed(&item.action.server, change)) }
            (describes(&item.action, Extent::Whole))
            @if let Some(edited) = &item.edited {
                div.sent {
                    h3 { "Arguments, as the person who approved changed them" }
                    (arguments(&edited.arguments, Extent::Whole))
                }
            }
            div.sent {
                h3 { @if item.edited.is_some() { "Arguments, as they were asked for" } @else { "Arguments" } }
                (arguments(&item.action.arguments, Extent::Whole))
            }
        }
    }
}

/// What became of it: who, when, how it ended.
pub(super) fn standing(item: &Item) -> Markup {
    html! {
        dl.facts {
            @if let Some(decision) = &item.decision {
                dt { @if decision.approved { "Approved by" } @else { "Denied by" } }
                dd { (Shown(&decision.by.to_string())) " at " (moment(decision.at)) }
                @if let Some(reason) = &decision.reason { dt { "Reason" } dd { (Shown(reason)) } }
                @if decision.approved { dt { "Counts" } dd { (counts(decision.remember)) } }
                @if let Some(grant) = &decision.grant {
                    dt { "Permission" }
                    dd { "given with " a href=(format!("/approvals/{grant}")) { code { (grant) } } }
                }
            }
            @if item.state == State::Approved {
                dt { "Waits" } dd { "for the call to come again, until " (moment(item.expires_at)) }
            }
            @if let Some(at) = item.started_at { dt { "Sent" } dd { (moment(at)) @if item.runs > 1 { ", " (item.runs) " times handed over" } } }
            @if let Some(at) = item.ended_at { dt { "Ended" } dd { (moment(at)) } }
            @if let Some(outcome) = &item.outcome { dt { "Outcome" } dd { (Shown(outcome)) } }
        }
        @if item.state == State::OutcomeUnknown {
            p.notice.warning { "Whether it has run is not known: the answer was lost. It is not sent again on its own." }
        }
    }
}

pub(super) fn state_chip(state: State) -> Markup {
    let (tone, words) = match state {
        State::Pending => ("warning", "waits for an answer"),
        State::Approved => ("good", "approved"),
        State::Denied => ("bad", "denied"),
        State::Expired => ("", "expired"),
        State::Withdrawn => ("", "withdrawn"),
        State::Executing => ("good", "running"),
        State::Done => ("good", "done"),
        State::Failed => ("bad", "failed"),
        State::OutcomeUnknown => ("warning", "outcome unknown"),
    };
    html! { span.chip.(tone) { (words) } }
}

fn heading(item: &Item, id: &str) -> Markup {
    let action = &item.action;
    html! {
        h2 id=(id) {
            bdi { (Shown(&action.tool)) }
            @if let Some(title) = title(action) { " " span.title { "“" bdi { (Shown(&title)) } "”" } }
            " " span.on { "on " (action.server) }
        }
    }
}

fn title(action: &Action) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Titled {
        title: Option<String>,
    }
    let titled: Titled = serde_json::from_str(action.tool_definition.as_deref()?).ok()?;
    let title = titled.title.filter(|title| *title != action.tool)?;
    Some(title.chars().take(200).collect())
}

/// What the server says the tool does; on the item's own page, all of the definition.
fn describes(action: &Action, extent: Extent) -> Markup {
    #[derive(serde::Deserialize)]
    struct Described {
        description: Option<String>,
    }
    let definition = action.tool_definition.as_deref();
    let described = definition.and_then(|json| serde_json::from_str::<Described>(json).ok());
    let description = described.and_then(|described| described.description);
    html! {
        @if let Some(description) = description.filter(|text| !text.trim().is_empty()) {
            div.sent {
                h3 { "What the server says it does" }
                div.text.quoted { (folded(&description)) }
            }
        }
        @if let (Some(definition), Extent::Whole) = (definition, extent) {
            details {
                summary { "Definition of the tool" }
                @match laid_out(definition) {
                    Some(laid_out) => div.arguments { (laid_out) },
                    None => pre tabindex="0" aria-label="Definition" { (Shown(definition)) },
                }
            }
        }
    }
}

fn facts(item: &Item) -> Markup {
    let action = &item.action;
    html! {
        dl.facts {
            (caller(&action.caller))
            dt { "Why it asks" } dd { (Shown(&action.reason)) }
            dt { "Asked" } dd { (moment(item.asked_at)) }
        }
    }
}

fn caller(caller: &CallerView) -> Markup {
    html! {
        dt { "Who asks" }
        dd {
            @match &caller.exe {
                Some(exe) => code { (Shown(exe)) },
                None => (Shown(&caller.text)),
            }
            @if let Some(pid) = caller.pid { " (pid " (pid) ")" }
            @if let Some(cwd) = &caller.cwd { " in " code { (Shown(cwd)) } }
        }
        @if let Some(client) = &caller.client { dt { "Client" } dd { "holds the token “" (Shown(client)) "”" } }
        @if let Some(info) = &caller.client_info { dt { "Says it is" } dd { bdi { (Shown(info)) } } }
    }
}

fn earlier(item: &Item) -> Markup {
    html! {
        @if let Some(earlier) = &item.earlier {
            p.notice.warning {
                "The same call was made before, and it is still running or what became of it is not known: "
                a href=(format!("/approvals/{earlier}")) { code { (earlier) } }
                ". Approving this may do it twice."
            }
        }
    }
}

fn changed(server: &ServerName, change: &ChangeView) -> Markup {
    html! {
        div.change {
            h3 {
                @if change.severity == "new" { "This tool is new" } @else { "This tool has changed" }
                " " span.chip.warning { (change.severity) }
            }
            (diff(&change.diff))
            p.hint.small {
                "Its calls ask until you " a href=(format!("/ui/tools/{server}")) { "approve the change" } "."
            }
        }
    }
}

pub(super) fn waiting(count: usize) -> String {
    match count {
        0 => {
            "The client does not wait at this moment; approved, the call runs when it calls again."
                .to_owned()
        }
        1 => "The client waits for the answer.".to_owned(),
        more => format!("{more} calls wait for this answer."),
    }
}

fn forms(item: &Item, asking: &Asking<'_>) -> Markup {
    let id = item.id.as_str();
    let approve = format!("/approvals/{id}/approve");
    let deny = format!("/approvals/{id}/deny");
    let lasting = item.action.tool_digest.is_some();
    html! {
        form.decide method="post" action=(approve) data-decide="approve" {
            (csrf(asking.session))
            @if asking.pin_is_set { (pin_field(&format!("pin-{id}"), "")) }
            div.actions {
                button.primary name="remember" value="once" { "Approve once" }
                @if lasting {
                    span.joined {
                        button name="remember" value="for" { "Approve for" }
                        select name="for_seconds" aria-label="How long" {
                            @for (seconds, words) in DURATIONS {
                                option value=(seconds) selected[seconds == 3_600] { (words) }
                            }
                        }
                    }
                    button name="remember" value="always" { "Always allow" }
                    button name="remember" value="always_arguments" { "Always with these arguments" }
                }
            }
            @if lasting {
                p.hint.small { "For a time: any call of this tool by this caller. Always: by anybody, until the tool changes." }
            } @else {
                p.hint.small { "The definition of this tool is not known, so it can only be approved once." }
            }
        }
        form.deny method="post" action=(deny) data-decide="deny" {
            (csrf(asking.session))
            label for=(format!("reason-{id}")) { "Reason, for the model to read" }
            div.actions {
                input type="text" name="reason" id=(format!("reason-{id}")) maxlength="2000" autocomplete="off";
                button.danger { "Deny" }
            }
        }
        @if item.action.editable {
            details.edit {
                summary { "Edit the arguments" }
                form method="post" action=(approve) data-decide="approve" {
                    (csrf(asking.session))
                    label for=(format!("edit-{id}")) { "What will be sent instead, as a JSON object" }
                    textarea name="arguments" id=(format!("edit-{id}")) rows="8" spellcheck="false" autocomplete="off" { "\n" (editable(&item.action.arguments)) }
                    @if asking.pin_is_set { (pin_field(&format!("edit-pin-{id}"), "")) }
                    div.actions { button name="remember" value="once" { "Approve once as edited" } }
                }
            }
        }
    }
}

fn counts(remember: Remember) -> String {
    match remember {
        Remember::Once => "once".to_owned(),
        Remember::For { seconds } => format!(
            "for {}, for any call of this tool by this caller",
            match seconds {
                3_600 => "1 hour".to_owned(),
                86_400 => "1 day".to_owned(),
                seconds if seconds % 86_400 == 0 => format!("{} days", seconds / 86_400),
                seconds if seconds % 3_600 == 0 => format!("{} hours", seconds / 3_600),
                seconds if seconds % 60 == 0 => format!("{} minutes", seconds / 60),
                seconds => format!("{seconds} seconds"),
            }
        ),
        Remember::Always { arguments: false } => "always, until the tool changes".to_owned(),
        Remember::Always { arguments: true } => {
            "always with these arguments, until the tool changes".to_owned()
        }
    }
}

/// For people who compare two.
pub(super) fn digests(item: &Item) -> Markup {
    let row = |name: &str, digest: Option<Digest>| {
        html! { @if let Some(digest) = digest { dt { (name) } dd { code title=(digest) { (digest.short()) } } } }
    };
    html! {
        details.card.binding {
            summary { "What an approval is bound to" }
            dl.facts {
                dt { "Id" } dd { code { (item.id) } }
                dt { "Caller" } dd { code { (Shown(&item.action.caller.principal)) } }
                (row("Tool definition", item.action.tool_digest))
                (row("Arguments", Some(item.argument_digest())))
                (row("Rules", Some(item.action.policy_version)))
            }
        }
    }
}
