//! `ai` in `config.json`: the model APIs that requests go on to, and what one answer may take.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use url::Url;

use super::schema::unique_keys;
use super::validate::{InvalidSetting, check_server_url};
use crate::types::{Pattern, VendorName};

/// The language a model API speaks, and the path under which clients reach it here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    Openai,
    Anthropic,
}

impl Api {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::Anthropic => "anthropic",
        }
    }
}

/// The endpoints for AI SDKs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AiConfig {
    /// `openai` and `anthropic` are always among them: the paths lead there.
    #[serde(deserialize_with = "with_defaults")]
    pub vendors: BTreeMap<VendorName, VendorConfig>,
    /// Who has a model, by a pattern of its name. The one that spells out most counts; a model that
    /// none fits is with the vendor of the path.
    #[serde(deserialize_with = "unique_keys")]
    pub models: BTreeMap<Pattern, VendorName>,
    /// How often the model is asked for one answer.
    pub max_rounds: u32,
    /// Of one tool's result; the model is told that a larger one was too large.
    pub max_result_bytes: u64,
    /// How long one answer may take, the waits for people not counted.
    pub max_seconds: u64,
    /// How long answers can be continued by their id.
    pub keep_days: u32,
}

/// One model API.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VendorConfig {
    pub url: Url,
    pub api: Api,
    /// Without, no key is ever sent: for servers of one's own such as Ollama.
    #[serde(default = "yes")]
    pub needs_key: bool,
}

fn yes() -> bool {
    true
}

impl Default for AiConfig {
    fn default() -> Self {
        let models = default_vendors()
            .into_iter()
            .filter_map(|(vendor, config)| {
                let pattern = match config.api {
                    Api::Openai => "gpt-*",
                    Api::Anthropic => "claude-*",
                };
                Some((Pattern::parse(pattern).ok()?, vendor))
            });
        Self {
            vendors: default_vendors(),
            models: models.collect(),
            max_rounds: 32,
            max_result_bytes: 1024 * 1024,
            max_seconds: 1800,
            keep_days: 30,
        }
    }
}

fn default_vendors() -> BTreeMap<VendorName, VendorConfig> {
    let defaults = [
        (Api::Openai, "https://api.openai.com/v1"),
        (Api::Anthropic, "https://api.anthropic.com"),
    ];
    let named = defaults.into_iter().filter_map(|(api, url)| {
        let vendor = VendorConfig {
            url: Url::parse(url).ok()?,
            api,
            needs_key: true,
        };
        Some((VendorName::from(api), vendor))
    });
    named.collect()
}

impl From<Api> for VendorName {
    /// The vendor of a path.
    fn from(api: Api) -> Self {
        Self::fixed(api.as_str())
    }
}

fn with_defaults<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<VendorName, VendorConfig>, D::Error> {
    let mut vendors = default_vendors();
    vendors.extend(unique_keys(deserializer)?);
    Ok(vendors)
}

impl AiConfig {
    pub(super) fn validate(&self) -> Result<(), InvalidSetting> {
        for (name, vendor) in &self.vendors {
            vendor
                .validate(name)
                .map_err(|error| error.within(&format!("vendors.{name}")))?;
        }
        for (pattern, vendor) in &self.models {
            if !self.vendors.contains_key(vendor) {
                let key = format!("models.{pattern}");
                let reason = format!("{vendor} is not in ai.vendors");
                return Err(InvalidSetting::new(&key, reason));
            }
        }
        for (key, value, bounds) in [
            ("max_rounds", self.max_rounds.into(), 1..=1000),
            ("max_result_bytes", self.max_result_bytes, 1024..=1 << 30),
            ("max_seconds", self.max_seconds, 1..=86_400),
            ("keep_days", self.keep_days.into(), 1..=3650),
        ] {
            if !bounds.contains(&value) {
                let reason = format!("must be from {} to {}", bounds.start(), bounds.end());
                return Err(InvalidSetting::new(key, reason));
            }
        }
        Ok(())
    }
}

impl VendorConfig {
    fn validate(&self, name: &VendorName) -> Result<(), InvalidSetting> {
        let wrong_url = |reason: String| InvalidSetting::new("url", reason);
        check_server_url(&self.url).map_err(wrong_url)?;
        // The paths of this API begin with it.
        if self.api == Api::Anthropic && self.url.path().trim_end_matches('/').ends_with("/v1") {
            return Err(wrong_url(
                "must not end in /v1: requests bring it".to_owned(),
            ));
        }
        let other = match self.api {
            Api::Openai => Api::Anthropic,
            Api::Anthropic => Api::Openai,
        };
        if name.as_str() == other.as_str() {
            let reason = format!("must be {name}: the path /{name} leads here");
            return Err(InvalidSetting::new("api", reason));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;
    use crate::config::load::parse;
    use crate::error::{Classify, chain};

    fn read(ai: &str) -> Result<AiConfig, String> {
        let text = format!(r#"{{"version": "1.0", "ai": {ai}}}"#);
        parse(Path::new("config.json"), text.as_bytes())
            .map(|config| config.ai)
            .map_err(|error| format!("{} [{}]", chain(&error), error.hint().unwrap_or_default()))
    }

    #[test]
    fn the_vendors_of_the_paths_are_there_beside_others() {
        let ai = read(
            r#"{ "vendors": { "ollama": { "url": "http://localhost:11434/v1", "api": "openai",
                                          "needs_key": false } },
                 "models": { "claude-*": "anthropic", "llama*": "ollama" }, "max_rounds": 8 }"#,
        )
        .unwrap();
        let names: Vec<_> = ai.vendors.keys().map(VendorName::as_str).collect();
        assert_eq!(names, ["anthropic", "ollama", "openai"]);
        assert!(!ai.vendors["ollama"].needs_key);
        assert_eq!(
            ai.vendors["openai"].url.as_str(),
            "https://api.openai.com/v1"
        );
        assert_eq!(
            (ai.models.len(), ai.max_rounds, ai.max_seconds),
            (2, 8, 1800)
        );
        assert_eq!(read("{}").unwrap(), Config::default().ai);
        assert_eq!(AiConfig::default().models.len(), 2);
        AiConfig::default().validate().unwrap();
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_place() {
        for (ai, said) in [
            ("[]", "ai: must be an object"),
            (r#"{"vendors": []}"#, "ai.vendors: must be an object"),
            (
                r#"{"vendors": {"x": []}}"#,
                "ai.vendors.x: must be an object",
            ),
            (r#"{"vendor": {}}"#, r#"did you mean "vendors"?"#),
            (
                r#"{"vendors": {"x": {"url": "https://a.test", "api": "openai", "key": "k"}}}"#,
                r#"unknown key "ai.vendors.x.key""#,
            ),
            (
                r#"{"vendors": {"x": {"url": "https://a.test", "api": "gemini"}}}"#,
                "unknown variant `gemini`",
            ),
            (
                r#"{"vendors": {"x": {"url": "http://192.168.1.5/v1", "api": "openai"}}}"#,
                "ai.vendors.x.url: must be https",
            ),
            (
                r#"{"vendors": {"x": {"url": "https://a.test/v1/", "api": "anthropic"}}}"#,
                "ai.vendors.x.url: must not end in /v1",
            ),
            (
                r#"{"vendors": {"openai": {"url": "https://a.test", "api": "anthropic"}}}"#,
                "ai.vendors.openai.api: must be openai",
            ),
            (
                r#"{"models": {"x*": "other"}}"#,
                "ai.models.x*: other is not in ai.vendors",
            ),
            (r#"{"models": {"[x]": "openai"}}"#, "have no meaning here"),
            (
                r#"{"max_rounds": 0}"#,
                "ai.max_rounds: must be from 1 to 1000",
            ),
            (r#"{"keep_days": 0}"#, "ai.keep_days: must be"),
        ] {
            let error = read(ai).unwrap_err();
            assert!(error.contains(said), "{ai}: {error}");
        }
    }
}
