//! Where a path leads. By path alone: headers do not tell the APIs apart.

use http::Method;

use super::event::Wire;
use crate::config::Api;

/// What is asked, in the vendor's own terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) api: Api,
    /// Behind the vendor's URL: `/responses`, `/v1/messages`.
    pub(super) path: String,
}

/// Where there may be something for us in a request. All else is the vendor's alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Responses,
    Chat,
    Messages,
    CountTokens,
    Batches,
}

impl Target {
    /// What `path` of a request means. Base URLs with and without the version lead to the same place,
    /// and so does one that has it twice, as SDKs make it of a base URL that ends in `/v1`.
    pub(super) fn of(path: &str) -> Option<Self> {
        if let Some(rest) = path.strip_prefix("/openai/") {
            let path = format!("/{}", rest.strip_prefix("v1/").unwrap_or(rest));
            let api = Api::Openai;
            return Some(Self { api, path });
        }
        let mut rest = path.strip_prefix("/anthropic/")?;
        while let Some(inner) = rest.strip_prefix("v1/") {
            rest = inner;
        }
        Some(Self {
            api: Api::Anthropic,
            path: format!("/v1/{rest}"),
        })
    }

    pub(super) fn endpoint(&self, method: &Method) -> Option<Endpoint> {
        if method != Method::POST {
            return None;
        }
        match (self.api, self.path.as_str()) {
            (Api::Openai, "/responses") => Some(Endpoint::Responses),
            (Api::Openai, "/chat/completions") => Some(Endpoint::Chat),
            (Api::Anthropic, "/v1/messages") => Some(Endpoint::Messages),
            (Api::Anthropic, "/v1/messages/count_tokens") => Some(Endpoint::CountTokens),
            (Api::Anthropic, "/v1/messages/batches") => Some(Endpoint::Batches),
            _ => None,
        }
    }

    /// In whose shape errors are told.
    pub(super) fn wire(&self) -> Wire {
        match self.api {
            Api::Openai if self.path == "/chat/completions" => Wire::Chat,
            Api::Openai => Wire::Responses,
            Api::Anthropic => Wire::Messages,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls_with_and_without_the_version_lead_to_the_same_place() {
        for (path, api, expected, wire) in [
            (
                "/openai/v1/responses",
                Api::Openai,
                "/responses",
                Wire::Responses,
            ),
            (
                "/openai/responses",
                Api::Openai,
                "/responses",
                Wire::Responses,
            ),
            (
                "/openai/chat/completions",
                Api::Openai,
                "/chat/completions",
                Wire::Chat,
            ),
            (
                "/openai/v1/models/a%20b",
                Api::Openai,
                "/models/a%20b",
                Wire::Responses,
            ),
            (
                "/anthropic/v1/messages",
                Api::Anthropic,
                "/v1/messages",
                Wire::Messages,
            ),
            (
                "/anthropic/messages",
                Api::Anthropic,
                "/v1/messages",
                Wire::Messages,
            ),
            (
                "/anthropic/v1/v1/messages",
                Api::Anthropic,
                "/v1/messages",
                Wire::Messages,
            ),
        ] {
            let target = Target::of(path).unwrap();
            assert_eq!(
                (target.api, target.path.as_str()),
                (api, expected),
                "{path}"
            );
            assert_eq!(target.wire(), wire, "{path}");
        }
        assert_eq!(Target::of("/mcp/openai/v1"), None);
        assert_eq!(Target::of("/openaiv1/x"), None);
    }
}
