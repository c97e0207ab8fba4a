//! Names under which a model is offered tools.
//!
//! Vendors take 64 characters of `[A-Za-z0-9_-]`; MCP names may be longer and have dots, slashes and
//! blanks. The name of a tool is decided once, when its listing is pinned, and looked up from then on:
//! nothing ever takes a name apart.

use crate::types::Digest;

/// Goes into every record: a conversation that was begun with other rules keeps its names, because
/// they are stored with its listing.
pub const VERSION: u32 = 1;
const MAX: usize = 64;
const KEPT: usize = 55;
const TAG: usize = 8;

/// The name for `tool` of the server labelled `label`, where `taken` names are not free.
pub fn mangle(label: &str, tool: &str, taken: impl Fn(&str) -> bool) -> String {
    let plain = format!("{label}__{tool}");
    let clean: String = plain.chars().map(cleaned).collect();
    if clean == plain && clean.len() <= MAX && !taken(&clean) {
        return clean;
    }
    let base: String = clean.chars().take(KEPT).collect();
    let mut text = format!("{label}\0{tool}");
    loop {
        let digest = Digest::of(text.as_bytes()).to_string();
        let name = format!("{base}_{}", &digest[..TAG]);
        if !taken(&name) {
            return name;
        }
        text.push('\0');
    }
}

fn cleaned(c: char) -> char {
    match c {
        c if c.is_ascii_alphanumeric() || c == '_' || c == '-' => c,
        _ => '_',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_name_stays_readable() {
        assert_eq!(
            mangle("stripe", "list_invoices", |_| false),
            "stripe__list_invoices"
        );
    }

    #[test]
    fn what_vendors_refuse_is_replaced_and_told_apart() {
        let dotted = mangle("s", "a.b", |_| false);
        let slashed = mangle("s", "a/b", |_| false);
        assert!(dotted.starts_with("s__a_b_") && slashed.starts_with("s__a_b_"));
        assert_ne!(dotted, slashed);
        let long = mangle("s", &"x".repeat(128), |_| false);
        assert_eq!(long.len(), MAX);
        assert_ne!(long, mangle("s", &"x".repeat(127), |_| false));
    }

    #[test]
    fn a_taken_name_is_not_given_again() {
        let first = mangle("s", "t", |name| name == "s__t");
        assert_ne!(first, "s__t");
        let second = mangle("s", "t", |name| name == "s__t" || name == first);
        assert!(second != first && second.len() <= MAX);
    }
}
