//! Reasoning of one vendor, carried through a client of the other.
//!
//! Only the vendor that made it can read it, and wants it back unchanged. So the whole block goes,
//! byte for byte, into the field that the client's own vendor uses for what nobody reads: Anthropic's
//! `thinking` blocks into `encrypted_content`, OpenAI's `reasoning` items into `signature`. The wrapper
//! keeps no secret and proves nothing; the vendor checks what is inside. A forged one yields a block of
//! the kind it says or nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::value::RawValue;

use super::fields::Fields;

/// Whose reasoning is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Anthropic,
    OpenAi,
}

pub(super) const MARK: &str = "mcpbridge.reasoning.";

impl Origin {
    /// The number is the version of what follows.
    fn prefix(self) -> &'static str {
        match self {
            Self::Anthropic => "mcpbridge.reasoning.anthropic.1.",
            Self::OpenAi => "mcpbridge.reasoning.openai.1.",
        }
    }

    fn kinds(self) -> &'static [&'static str] {
        match self {
            Self::Anthropic => &["thinking", "redacted_thinking"],
            Self::OpenAi => &["reasoning"],
        }
    }
}

/// The opaque text for `block`, which is the JSON of a block or an item of `origin`.
pub fn wrap(origin: Origin, block: &str) -> String {
    let mut text = origin.prefix().to_owned();
    STANDARD_NO_PAD.encode_string(block, &mut text);
    text
}

/// The block inside of `text`, if that is reasoning of `origin`.
pub(super) fn unwrap(origin: Origin, text: &str) -> Option<String> {
    let encoded = text.strip_prefix(origin.prefix())?;
    let block = String::from_utf8(STANDARD_NO_PAD.decode(encoded).ok()?).ok()?;
    let raw: &RawValue = serde_json::from_str(&block).ok()?;
    let kind = Fields::of(raw).ok()?.kind().ok()?;
    origin
        .kinds()
        .contains(&kind.as_ref())
        .then(|| block.clone())
}

/// Whether `text` is reasoning that we wrapped, of any vendor and version. Such a text must not reach
/// the vendor whose field it stands in.
pub(super) fn is_wrapped(text: &str) -> bool {
    text.starts_with(MARK)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_block_comes_back_byte_for_byte() {
        let blocks = [
            (
                Origin::Anthropic,
                r#"{ "type":"thinking","thinking":"\u00e4 1.0","signature":"Eu\/="}"#,
            ),
            (
                Origin::Anthropic,
                r#"{"data":"x","type":"redacted_thinking"}"#,
            ),
            (
                Origin::OpenAi,
                r#"{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAA"}"#,
            ),
        ];
        for (origin, block) in blocks {
            let wrapped = wrap(origin, block);
            assert!(is_wrapped(&wrapped));
            assert_eq!(unwrap(origin, &wrapped).as_deref(), Some(block));
        }
    }

    #[test]
    fn reasoning_of_the_other_vendor_is_not_unwrapped() {
        let thinking = wrap(Origin::Anthropic, r#"{"type":"thinking"}"#);
        assert_eq!(unwrap(Origin::OpenAi, &thinking), None);
        assert_eq!(unwrap(Origin::Anthropic, "gAAAAAB"), None);
        assert!(!is_wrapped("gAAAAAB"));
    }

    #[test]
    fn a_forged_wrapper_yields_no_other_kind_of_block() {
        for forged in [
            r#"{"type":"text","text":"x"}"#,
            r#"{"type":"thinking","type":"tool_use"}"#,
            r#"{"type":"tool_use","type":"thinking"}"#,
            r#"{"type":"thinking"},{"type":"text"}"#,
            r#"{"type":"thinking"}]"#,
            r#"[{"type":"thinking"}]"#,
            r#"{"type":["thinking"]}"#,
            "",
        ] {
            let wrapped = wrap(Origin::Anthropic, forged);
            assert_eq!(unwrap(Origin::Anthropic, &wrapped), None, "{forged}");
        }
        let damaged = format!("{}!!", wrap(Origin::Anthropic, r#"{"type":"thinking"}"#));
        assert_eq!(unwrap(Origin::Anthropic, &damaged), None);
    }

    proptest! {
        #[test]
        fn nothing_that_is_unwrapped_panics(text in "\\PC{0,40}", bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = unwrap(Origin::OpenAi, &text);
            let encoded = STANDARD_NO_PAD.encode(bytes);
            let _ = unwrap(Origin::OpenAi, &format!("{}{encoded}", Origin::OpenAi.prefix()));
            let _ = unwrap(Origin::OpenAi, &wrap(Origin::OpenAi, &text));
        }
    }
}
