//! What a client says about itself. Nothing here is proven.

use http::HeaderMap;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::mcp::Params;
use crate::mcp::version::PROTOCOL_VERSION;

/// Of the name a client gives itself.
const NAME: usize = 200;
/// The revisions that brought elicitation, by form and by URL.
const FORM_SINCE: &str = "2025-06-18";
const URL_SINCE: &str = "2025-11-25";

/// Name and abilities of a client, as it says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ClientView {
    pub(super) name: Option<String>,
    /// It can show its user a form, or open a URL for them.
    pub(super) form: bool,
    pub(super) url: bool,
}

#[derive(Deserialize, Default)]
struct Capabilities {
    #[serde(default)]
    elicitation: Option<Elicitation>,
}

#[derive(Deserialize)]
struct Elicitation {
    #[serde(default)]
    form: Option<IgnoredAny>,
    #[serde(default)]
    url: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Info {
    name: String,
    #[serde(default)]
    version: Option<String>,
}

impl ClientView {
    /// What a modern request, or `initialize`, says.
    pub(super) fn of(params: &Params<'_>) -> Self {
        let elicitation = params
            .capabilities
            .and_then(|json| serde_json::from_str::<Capabilities>(json.get()).ok())
            .and_then(|capabilities| capabilities.elicitation);
        let (form, url) = match elicitation {
            None => (false, false),
            // Without a word about modes it is the form, which came first.
            Some(Elicitation { form, url }) => (form.is_some() || url.is_none(), url.is_some()),
        };
        Self {
            name: params.client_info.and_then(name),
            form,
            url,
        }
    }

    /// As far as the revision that the request's header names has it.
    pub(super) fn limited_to(mut self, headers: &HeaderMap) -> Self {
        let version = headers.get(PROTOCOL_VERSION);
        let version = version
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        self.form &= version >= FORM_SINCE;
        self.url &= version >= URL_SINCE;
        self
    }

    pub(super) fn shown(&self) -> String {
        match &self.name {
            Some(name) => name.clone(),
            None => "a client without a name".to_owned(),
        }
    }
}

fn name(info: &RawValue) -> Option<String> {
    let Info { name, version } = serde_json::from_str(info.get()).ok()?;
    let version = version.map(|version| format!(" {version}"));
    let shown = format!("{name}{}", version.unwrap_or_default());
    Some(
        shown
            .chars()
            .filter(|c| !c.is_control())
            .take(NAME)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::mcp::Envelope;

    fn view(capabilities: &str) -> (bool, bool) {
        let body = format!(
            r#"{{"id":1,"method":"initialize","params":{{"capabilities":{capabilities}}}}}"#
        );
        let envelope = Envelope::parse(body.as_bytes(), false).unwrap();
        let view = ClientView::of(&envelope.messages()[0].params);
        (view.form, view.url)
    }

    #[test]
    fn elicitation_without_modes_means_forms() {
        for (capabilities, form, url) in [
            ("{}", false, false),
            ("[]", false, false),
            (r#"{"elicitation":{}}"#, true, false),
            (r#"{"elicitation":{"form":{}}}"#, true, false),
            (r#"{"elicitation":{"url":{}}}"#, false, true),
            (r#"{"elicitation":{"url":{},"form":{}}}"#, true, true),
        ] {
            assert_eq!(view(capabilities), (form, url), "{capabilities}");
        }
    }

    #[test]
    fn a_mode_counts_from_the_revision_that_has_it() {
        for (version, form, url) in [
            (None, false, false),
            (Some("2025-03-26"), false, false),
            (Some("2025-06-18"), true, false),
            (Some("2025-11-25"), true, true),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(version) = version {
                headers.insert(PROTOCOL_VERSION, HeaderValue::from_static(version));
            }
            let all = ClientView {
                name: None,
                form: true,
                url: true,
            };
            let limited = all.limited_to(&headers);
            assert_eq!((limited.form, limited.url), (form, url), "{version:?}");
        }
    }

    #[test]
    fn a_clients_name_is_short_and_in_one_line() {
        let info = format!(
            r#"{{"name":"Claude\nCode{}","version":"2"}}"#,
            "x".repeat(500)
        );
        let info = RawValue::from_string(info).unwrap();
        let name = name(&info).unwrap();
        assert!(name.starts_with("ClaudeCodexxx") && name.chars().count() == NAME);
    }
}
