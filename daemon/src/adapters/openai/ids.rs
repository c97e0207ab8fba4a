//! Ids that the client sees. Those of calls are derived from the vendor's, so that a resent item leads
//! back to its call without any record.

/// How ids begin that are made up here, so that they are recognised when they come back. Vendors' ids are
/// hexadecimal.
const RESPONSE: &str = "resp_mb";
const LISTING: &str = "mcpl_mb";

const MCP: &str = "mcp_";
const APPROVAL: &str = "mcpr_";
const CALL: &str = "call_";
/// Prefixes of vendors' call ids that stay on: OpenAI's own is left out.
const FOREIGN: &str = "toolu_";

/// A response's own id; `random` is 32 hexadecimal digits or more.
pub fn response(random: &str) -> String {
    format!("{RESPONSE}{random}")
}

/// Whether it was made up here, of a response or a listing.
pub fn is_made(id: &str) -> bool {
    id.starts_with(RESPONSE) || id.starts_with(LISTING)
}

/// Whether `text` may hold the id of a listing that was made up here.
pub fn has_listing(text: &str) -> bool {
    text.contains(LISTING)
}

/// For an item of the response `response` that has no id of the vendor's.
pub fn made(prefix: &str, response: &str, place: &str) -> String {
    let rest = response.strip_prefix("resp_").unwrap_or(response);
    format!("{prefix}_{rest}_{place}")
}

pub fn mcp_call(call_id: &str) -> String {
    derived(MCP, call_id)
}

pub fn approval(call_id: &str) -> String {
    derived(APPROVAL, call_id)
}

fn derived(prefix: &str, call_id: &str) -> String {
    format!("{prefix}{}", call_id.strip_prefix(CALL).unwrap_or(call_id))
}

/// The call that the item `id` (`mcp_…`, `mcpr_…`) was derived from.
pub fn call_of(id: &str) -> String {
    let rest = id
        .strip_prefix(MCP)
        .or_else(|| id.strip_prefix(APPROVAL))
        .unwrap_or(id);
    match rest.starts_with(FOREIGN) || rest.starts_with(CALL) {
        true => rest.to_owned(),
        false => format!("{CALL}{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_found_again_by_the_id_of_its_item() {
        for (call, item, request) in [
            ("call_a1", "mcp_a1", "mcpr_a1"),
            ("toolu_01X", "mcp_toolu_01X", "mcpr_toolu_01X"),
        ] {
            assert_eq!(mcp_call(call), item);
            assert_eq!(approval(call), request);
            assert_eq!(call_of(item), call);
            assert_eq!(call_of(request), call);
        }
    }

    #[test]
    fn own_ids_are_recognised() {
        let id = response("00ff");
        assert!(is_made(&id) && is_made(&made("mcpl", &id, "0")));
        assert!(!is_made("resp_68a0") && !is_made("mb00") && !is_made("mcp_mb00"));
        assert_eq!(made("msg", &id, "0_1"), "msg_mb00ff_0_1");
    }
}
