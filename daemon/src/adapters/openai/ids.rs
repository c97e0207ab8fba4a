//! Ids that the client sees. Those of calls are derived from the vendor's, so that a resent item leads
//! back to its call without any record.

/// How ids begin that are made up here, so that they are recognised when they come back. Vendors' ids are
/// hexadecimal.
const RESPONSE: &str = "resp_mb";
const LISTING: &str = "mcpl_mb";

/// Before the part of a response's id that is in others. Hexadecimal digits of a vendor do not begin so.
const MARK: &str = "mb";
/// How many digits of it; SDKs and databases expect ids of 64 characters at most.
const OF_RESPONSE: usize = 16;

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

/// Of a call that the answer `response` shows.
pub fn mcp_call(response: &str, call_id: &str) -> String {
    derived(MCP, response, call_id)
}

/// Of the request for the client's approval, in the answer `response`.
pub fn approval(response: &str, call_id: &str) -> String {
    derived(APPROVAL, response, call_id)
}

/// Some vendors count their calls from 0 in every answer, so the answer's own id is a part of it.
fn derived(prefix: &str, response: &str, call_id: &str) -> String {
    let call = call_id.strip_prefix(CALL).unwrap_or(call_id);
    let random = response.strip_prefix(RESPONSE);
    match random.and_then(|random| random.get(..OF_RESPONSE)) {
        Some(part) => format!("{prefix}{MARK}{part}_{call}"),
        None => format!("{prefix}{call}"),
    }
}

/// The rest of an id behind what it has of its response.
fn of_call(rest: &str) -> &str {
    let marked = rest.strip_prefix(MARK);
    let parts = marked.and_then(|marked| marked.split_at_checked(OF_RESPONSE));
    let is_part = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    match parts.map(|(part, call)| (is_part(part), call.strip_prefix('_'))) {
        Some((true, Some(call))) => call,
        _ => rest,
    }
}

/// The call that the item `id` (`mcp_…`, `mcpr_…`) was derived from.
pub fn call_of(id: &str) -> String {
    let rest = id
        .strip_prefix(MCP)
        .or_else(|| id.strip_prefix(APPROVAL))
        .unwrap_or(id);
    let rest = of_call(rest);
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
            // As they were made before, and still come back.
            assert_eq!(mcp_call("resp_68a0", call), item);
            assert_eq!(approval("resp_68a0", call), request);
            assert_eq!(call_of(item), call);
            assert_eq!(call_of(request), call);
            let (one, two) = (response(&"0f".repeat(24)), response(&"0e".repeat(24)));
            assert_eq!(call_of(&mcp_call(&one, call)), call);
            assert_eq!(call_of(&approval(&two, call)), call);
            assert_ne!(approval(&one, call), approval(&two, call));
            assert!(approval(&one, "toolu_01ABCDEFGHIJKLMNOPQRSTUV").len() <= 64);
        }
        assert_eq!(call_of("mcp_mb0"), "call_mb0");
        assert_eq!(
            call_of("mcp_mb0123456789abcdex_1"),
            "call_mb0123456789abcdex_1"
        );
    }

    #[test]
    fn own_ids_are_recognised() {
        let id = response("00ff");
        assert!(is_made(&id) && is_made(&made("mcpl", &id, "0")));
        assert!(!is_made("resp_68a0") && !is_made("mb00") && !is_made("mcp_mb00"));
        assert_eq!(made("msg", &id, "0_1"), "msg_mb00ff_0_1");
    }
}
