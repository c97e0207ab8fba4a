//! Which scopes to ask for.

/// The scopes of a first authorization request; empty means that the parameter is left out.
///
/// A person's own choice wins. Else the challenge is authoritative for the operation, else all that
/// the resource lists (MCP 2026-07-28, scope selection). `offline_access` joins them when the
/// authorization server knows it, as some issue no refresh token otherwise; alone it would narrow
/// an unlimited request to nothing, so it never stands alone.
pub fn initial(
    chosen: &[String],
    challenge: Option<&str>,
    resource_scopes: Option<&[String]>,
    server_scopes: Option<&[String]>,
) -> Vec<String> {
    if !chosen.is_empty() {
        return union(chosen, &[]);
    }
    let mut scopes = match challenge.map(split).filter(|scopes| !scopes.is_empty()) {
        Some(scopes) => scopes,
        None => union(resource_scopes.unwrap_or_default(), &[]),
    };
    let offline = "offline_access";
    let offered = server_scopes.is_some_and(|list| list.iter().any(|scope| scope == offline));
    if offered && !scopes.is_empty() && !scopes.iter().any(|scope| scope == offline) {
        scopes.push(offline.to_owned());
    }
    scopes
}

/// Both lists, each scope once, in order.
pub fn union(first: &[String], second: &[String]) -> Vec<String> {
    let mut scopes: Vec<String> = Vec::with_capacity(first.len() + second.len());
    for scope in first.iter().chain(second) {
        if is_scope(scope) && !scopes.contains(scope) {
            scopes.push(scope.clone());
        }
    }
    scopes
}

/// The scopes of a space-separated list.
pub fn split(list: &str) -> Vec<String> {
    let scopes: Vec<String> = list.split_ascii_whitespace().map(str::to_owned).collect();
    union(&scopes, &[])
}

/// RFC 6749 §3.3: one scope is visible ASCII without `"` and `\`.
fn is_scope(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initial_scopes_follow_the_order_of_authority() {
        // chosen, challenge, resource, server -> expected
        let table = [
            ("", None, None, None, ""),
            ("", None, None, Some("offline_access"), ""),
            ("", None, Some("a b"), None, "a b"),
            ("", Some("c"), Some("a b"), None, "c"),
            ("", Some(" "), Some("a b"), None, "a b"),
            ("", Some("c c \"x\" d"), None, None, "c d"),
            (
                "",
                None,
                Some("a"),
                Some("a offline_access"),
                "a offline_access",
            ),
            (
                "",
                Some("a offline_access"),
                None,
                Some("offline_access"),
                "a offline_access",
            ),
            ("", None, Some("a"), Some("b"), "a"),
            ("mine", Some("c"), Some("a"), Some("offline_access"), "mine"),
        ];
        for (chosen, challenge, resource, server, expected) in table {
            let resource = resource.map(split);
            let server = server.map(split);
            let scopes = initial(
                &split(chosen),
                challenge,
                resource.as_deref(),
                server.as_deref(),
            );
            assert_eq!(scopes.join(" "), expected);
        }
    }

    #[test]
    fn a_union_keeps_order_and_drops_repeats() {
        assert_eq!(union(&split("b a"), &split("a c b")).join(" "), "b a c");
    }
}
