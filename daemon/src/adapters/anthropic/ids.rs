//! Ids of calls: the vendor's own, and those that clients see. One follows from the other.

use crate::types::Digest;

const VISIBLE: &str = "mcptoolu_";
const VENDORS: &str = "toolu_";
/// Of a model of the other vendor.
const OTHERS: &str = "call_";

/// The id under which a client sees the call `id`.
pub(super) fn visible(id: &str) -> String {
    format!("{VISIBLE}{}", id.strip_prefix(VENDORS).unwrap_or(id))
}

/// Whether `id` is that of a call of an MCP tool, as a client sees it.
pub(super) fn is_visible(id: &str) -> bool {
    id.starts_with(VISIBLE)
}

/// The vendor's id of the call that a client sees as `id`.
pub(super) fn hidden(id: &str) -> String {
    let rest = id.strip_prefix(VISIBLE).unwrap_or(id);
    if rest.starts_with(VENDORS) || rest.starts_with(OTHERS) {
        return rest.to_owned();
    }
    format!("{VENDORS}{rest}")
}

/// What a thinking block is found by: it has no id, and no two have the same signature.
pub(super) fn of_thinking(signature: &str) -> String {
    format!("thinking:{}", Digest::of(signature.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_id_leads_to_the_other() {
        for (own, seen) in [
            ("toolu_01A", "mcptoolu_01A"),
            ("toolu_bdrk_01", "mcptoolu_bdrk_01"),
            ("call_x", "mcptoolu_call_x"),
        ] {
            assert_eq!(visible(own), seen);
            assert_eq!(hidden(seen), own);
        }
    }
}
