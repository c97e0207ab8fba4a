//! What models take, as far as their names tell.
//!
//! Only old names are listed: a model that is not known is taken for a new one.

/// How a Claude model is told to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thinks {
    Never,
    /// With a number of tokens for it.
    Budget,
    /// As much as it sees fit, with an effort.
    Adaptive,
}

pub(super) struct Claude {
    pub(super) thinks: Thinks,
    /// The most tokens of one answer, where that is known.
    pub(super) most: Option<u64>,
    /// `max_tokens`, which the API requires, where a client sets no limit.
    pub(super) usual: u64,
}

impl Claude {
    pub(super) fn of(model: &str) -> Self {
        let known = |thinks, most| Self {
            thinks,
            most: Some(most),
            usual: most.min(32_000),
        };
        match generation(model) {
            Some((..=2, _) | (3, ..=4)) => known(Thinks::Never, 4_096),
            Some((3, ..=6)) => known(Thinks::Never, 8_192),
            Some((3, _)) => known(Thinks::Budget, 64_000),
            Some((4, ..=1)) if model.contains("opus") => known(Thinks::Budget, 32_000),
            Some((4, ..=5)) => known(Thinks::Budget, 64_000),
            _ => Self {
                thinks: Thinks::Adaptive,
                most: None,
                usual: 64_000,
            },
        }
    }
}

/// The first one or two small numbers of a name: `claude-sonnet-4-5-20250929` is (4, 5).
fn generation(model: &str) -> Option<(u32, u32)> {
    let small = |part: &str| (part.len() <= 2).then(|| part.parse().ok()).flatten();
    let mut parts = model
        .split(['-', '.', '@', ':', '/', '_'])
        .map(small)
        .skip_while(Option::is_none);
    let major = parts.next()??;
    Some((major, parts.next().flatten().unwrap_or(0)))
}

/// Whether an OpenAI model reasons before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reasons {
    Never,
    /// Always, at least a little.
    Always,
    /// Unless it is told not to.
    Unless,
    /// A compatible server's model.
    Unknown,
}

pub(super) struct Gpt {
    pub(super) reasons: Reasons,
    /// The most tokens of one answer, reasoning included, where that is known.
    pub(super) most: Option<u64>,
}

impl Gpt {
    pub(super) fn of(model: &str) -> Self {
        let name = model.rsplit('/').next().unwrap_or(model);
        let name = name.strip_prefix("ft:").unwrap_or(name);
        let name = name.strip_prefix("chat").unwrap_or(name);
        let is = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
        let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
        let model = |reasons, most| Self { reasons, most };
        if is(&["gpt-4.1"]) {
            model(Reasons::Never, Some(32_768))
        } else if is(&["gpt-4o", "gpt-4.5"]) {
            model(Reasons::Never, Some(16_384))
        } else if is(&["gpt-4", "gpt-3"]) {
            model(Reasons::Never, Some(4_096))
        } else if is(&["o1", "o3", "o4"]) {
            model(Reasons::Always, Some(100_000))
        } else if is(&["gpt-5"]) && has(&["-chat"]) {
            model(Reasons::Never, Some(16_384))
        } else if is(&["gpt-5."]) && !has(&["codex", "pro"]) {
            model(Reasons::Unless, Some(128_000))
        } else if is(&["gpt-5"]) {
            model(Reasons::Always, Some(128_000))
        } else {
            model(Reasons::Unknown, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claude_model_is_known_by_its_numbers() {
        for (model, thinks, most, usual) in [
            ("claude-2.1", Thinks::Never, Some(4_096), 4_096),
            ("claude-3-haiku-20240307", Thinks::Never, Some(4_096), 4_096),
            (
                "claude-3-5-sonnet-20241022",
                Thinks::Never,
                Some(8_192),
                8_192,
            ),
            (
                "claude-3-7-sonnet-latest",
                Thinks::Budget,
                Some(64_000),
                32_000,
            ),
            (
                "claude-opus-4-20250514",
                Thinks::Budget,
                Some(32_000),
                32_000,
            ),
            (
                "claude-sonnet-4-5@20250929",
                Thinks::Budget,
                Some(64_000),
                32_000,
            ),
            ("claude-opus-4-6", Thinks::Adaptive, None, 64_000),
            ("claude-sonnet-5-5", Thinks::Adaptive, None, 64_000),
            ("claude-latest", Thinks::Adaptive, None, 64_000),
            ("", Thinks::Adaptive, None, 64_000),
        ] {
            let claude = Claude::of(model);
            assert_eq!(
                (claude.thinks, claude.most, claude.usual),
                (thinks, most, usual),
                "{model}"
            );
        }
    }

    #[test]
    fn a_gpt_model_is_known_by_its_prefix() {
        for (model, reasons, most) in [
            ("gpt-4o-mini", Reasons::Never, Some(16_384)),
            ("chatgpt-4o-latest", Reasons::Never, Some(16_384)),
            ("ft:gpt-4.1:acme::x", Reasons::Never, Some(32_768)),
            ("openai/gpt-3.5-turbo", Reasons::Never, Some(4_096)),
            ("o3-mini", Reasons::Always, Some(100_000)),
            ("gpt-5-mini", Reasons::Always, Some(128_000)),
            ("gpt-5-chat-latest", Reasons::Never, Some(16_384)),
            ("gpt-5.4", Reasons::Unless, Some(128_000)),
            ("gpt-5.1-codex", Reasons::Always, Some(128_000)),
            ("llama3.3", Reasons::Unknown, None),
            ("gpt-oss-120b", Reasons::Unknown, None),
        ] {
            let gpt = Gpt::of(model);
            assert_eq!((gpt.reasons, gpt.most), (reasons, most), "{model}");
        }
    }
}
