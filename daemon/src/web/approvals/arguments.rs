//! The arguments of a call, for the person who decides: laid out to be read, and as they will be sent.

use maud::{Markup, html};
use serde_json::value::RawValue;

use crate::types::Level;
use crate::web::text::{Shown, beginning, folded, size};

/// Beyond these the layout stops, and the text as it will be sent is what there is.
const MAX_DEPTH: usize = 24;
const MAX_VALUES: usize = 1_000;

/// How much of a long text a page shows at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// One item among others; the rest is on its own page.
    Listed,
    /// The item's own page.
    Whole,
}

impl Extent {
    fn limit(self) -> usize {
        match self {
            Self::Listed => 16 * 1024,
            Self::Whole => usize::MAX,
        }
    }
}

/// `text`, the JSON text that will be sent.
pub(super) fn arguments(text: &str, extent: Extent) -> Markup {
    let laid_out = (text.len() <= extent.limit())
        .then(|| laid_out(text))
        .flatten();
    html! {
        div.arguments {
            @if let Some(laid_out) = laid_out {
                (laid_out)
                details.exact {
                    summary { "Exact text as it will be sent (" (size(text.len())) ")" }
                    pre { (Shown(text)) }
                }
            } @else {
                p.hint { "Too much to lay out (" (size(text.len())) "). As it will be sent:" }
                (exact(text, extent))
            }
        }
    }
}

/// JSON text, one member or element a line. None when it is not JSON, or too much.
pub(in crate::web) fn laid_out(text: &str) -> Option<Markup> {
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    let mut budget = MAX_VALUES;
    value(raw, MAX_DEPTH, &mut budget)
}

fn exact(text: &str, extent: Extent) -> Markup {
    let shown = beginning(text, extent.limit());
    html! {
        pre tabindex="0" aria-label="Exact text" { (Shown(shown)) }
        @if shown.len() < text.len() {
            p.warning-text { "Only the beginning is shown here. “Details” shows all of it." }
        }
    }
}

/// None when there is more than a layout should hold.
fn value(raw: &RawValue, depth: usize, budget: &mut usize) -> Option<Markup> {
    *budget = budget.checked_sub(1)?;
    let depth = depth.checked_sub(1)?;
    Some(match Level::read(raw) {
        Some(Level::Object(members)) if members.is_empty() => html! { code.scalar { "{ }" } },
        Some(Level::Array(items)) if items.is_empty() => html! { code.scalar { "[ ]" } },
        Some(Level::Object(members)) => {
            let mut rows = Vec::with_capacity(members.len());
            for (key, member) in &members {
                rows.push((key, value(member, depth, budget)?));
            }
            html! {
                dl.object {
                    @for (key, row) in rows { dt { bdi { (Shown(key)) } } dd { (row) } }
                }
            }
        }
        Some(Level::Array(items)) => {
            let mut rows = Vec::with_capacity(items.len());
            for item in items {
                rows.push(value(item, depth, budget)?);
            }
            html! { ol.array { @for row in rows { li { (row) } } } }
        }
        Some(Level::Text(text)) if text.is_empty() => html! { span.hint { "(empty text)" } },
        Some(Level::Text(text)) => folded(&text),
        Some(Level::Null | Level::Bool(_) | Level::Number(_)) | None => {
            html! { code.scalar { (Shown(raw.get())) } }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        arguments(text, Extent::Listed).into_string()
    }

    #[test]
    fn values_are_laid_out_with_every_digit_and_in_order() {
        let html = shown(r#"{"b":1e400,"a":[true,null,{"x":"y"}],"n":12345678901234567890}"#);
        assert!(html.contains("<dt><bdi>b</bdi></dt><dd><code class=\"scalar\">1e400</code>"));
        assert!(html.contains("12345678901234567890"));
        assert!(html.find("<bdi>b<").unwrap() < html.find("<bdi>a<").unwrap());
        assert!(html.contains("<dt><bdi>x</bdi></dt><dd><bdi class=\"text\">y</bdi>"));
    }

    #[test]
    fn hostile_keys_and_texts_stay_text_and_are_seen() {
        let html = shown(r#"{"<script>":"\u202egnp.exe","k":"<img src=x onerror=1>"}"#);
        assert!(!html.contains("<script>") && !html.contains("<img"));
        assert!(html.contains(">U+202E</span>gnp.exe"), "{html}");
    }

    #[test]
    fn a_long_text_is_folded_and_all_there() {
        let long = "word ".repeat(200);
        let html = shown(&format!(r#"{{"body":"{long}"}}"#));
        assert!(html.contains("<details class=\"long\">") && html.contains(&long));
    }

    #[test]
    fn what_is_too_much_to_lay_out_is_shown_as_it_is_sent() {
        let deep = format!("{}1{}", "[".repeat(60), "]".repeat(60));
        let html = shown(&deep);
        assert!(html.contains("Too much") && html.contains(&deep));
        let wide = format!("[{}1]", "1,".repeat(2_000));
        assert!(shown(&wide).contains(&wide));
        let large = format!("\"{}\"", "x".repeat(20_000));
        let html = shown(&large);
        assert!(html.contains("Only the beginning") && html.len() < 18_000);
        let whole = arguments(&large, Extent::Whole).into_string();
        assert!(whole.contains(&"x".repeat(20_000)) && !whole.contains("Only the beginning"));
    }

    #[test]
    fn half_of_a_pair_is_shown_as_it_is_written() {
        assert!(shown(r#"{"a":"\ud800"}"#).contains(r"\ud800"));
    }
}
