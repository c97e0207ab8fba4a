//! The `anthropic-beta` header: which form of the MCP feature a client speaks, and what of it the
//! vendor is sent.

/// How the answer shows MCP. Each takes what those before it take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum McpBeta {
    /// `mcp-client-2025-04-04`: `tool_configuration` at the server.
    Configuration,
    /// `mcp-client-2025-11-20`: a toolset for each server.
    Toolsets,
    /// `mcp-client-2026-09-15`: the answer begins with what was listed.
    Listings,
}

const PREFIX: &str = "mcp-client-";

impl McpBeta {
    /// The newest that `header` names. Clients that name none are taken by what they send.
    pub(super) fn of(header: &str) -> Option<Self> {
        values(header).filter_map(Self::named).max()
    }

    fn named(value: &str) -> Option<Self> {
        match value {
            "mcp-client-2025-04-04" => Some(Self::Configuration),
            "mcp-client-2025-11-20" => Some(Self::Toolsets),
            "mcp-client-2026-09-15" => Some(Self::Listings),
            _ => None,
        }
    }
}

fn values(header: &str) -> impl Iterator<Item = &str> {
    header.split(',').map(str::trim).filter(|it| !it.is_empty())
}

/// `header` without what is done here. None if nothing is left.
///
/// Where the vendor runs servers of its own for the request (`keeps_mcp`), it gets all of it.
pub fn upstream(header: &str, keeps_mcp: bool) -> Option<String> {
    let kept: Vec<&str> = values(header)
        .filter(|value| keeps_mcp || !value.starts_with(PREFIX))
        .collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_form_counts() {
        for (header, beta) in [
            ("", None),
            ("files-api-2025-04-14", None),
            ("mcp-client-2031-01-01", None),
            ("mcp-client-2025-04-04", Some(McpBeta::Configuration)),
            ("a, mcp-client-2025-11-20 ,b", Some(McpBeta::Toolsets)),
            (
                "mcp-client-2026-09-15,mcp-client-2025-04-04",
                Some(McpBeta::Listings),
            ),
        ] {
            assert_eq!(McpBeta::of(header), beta, "{header}");
        }
    }

    #[test]
    fn the_vendor_gets_every_other_value() {
        let header = "a, mcp-client-2025-11-20,,b";
        assert_eq!(upstream(header, false).as_deref(), Some("a,b"));
        assert_eq!(
            upstream(header, true).as_deref(),
            Some("a,mcp-client-2025-11-20,b")
        );
        assert_eq!(upstream("mcp-client-2025-04-04", false), None);
    }
}
