//! Arguments that a person wrote.

use super::error::ApprovalError;
use super::item::Edited;
use crate::mcp::canonical;

/// More than anybody types.
const MAX_BYTES: usize = 1024 * 1024;

/// Takes `text` as the arguments to send.
///
/// # Errors
/// It is too large or no JSON object, or a key occurs twice, on which readers would disagree.
pub(super) fn edited(text: &str) -> Result<Edited, ApprovalError> {
    let refuse = |why: String, source| ApprovalError::Arguments { why, source };
    if text.len() > MAX_BYTES {
        let why = format!("they are larger than {MAX_BYTES} bytes");
        return Err(refuse(why, None));
    }
    let text = text.trim();
    if !text.starts_with('{') {
        return Err(refuse("they must be a JSON object".to_owned(), None));
    }
    let argument_digest = canonical::digest(text)
        .map_err(|error| refuse("they are not usable JSON".to_owned(), Some(error)))?;
    Ok(Edited {
        arguments: text.to_owned(),
        argument_digest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unambiguous_object_is_taken() {
        let taken = edited(" {\"b\": 1, \"a\": [2]}\n").unwrap();
        assert_eq!(taken.arguments, "{\"b\": 1, \"a\": [2]}");
        assert_eq!(
            taken.argument_digest,
            edited("{\"a\":[2],\"b\":1}").unwrap().argument_digest
        );
        let too_large = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_BYTES));
        for bad in [
            "",
            "[]",
            "1",
            "null",
            "{",
            "{} {}",
            r#"{"a":1,"a":2}"#,
            r#"{"a":{"b":1,"\u0062":2}}"#,
            &too_large,
        ] {
            assert!(edited(bad).is_err(), "{:.40}", bad);
        }
    }
}
