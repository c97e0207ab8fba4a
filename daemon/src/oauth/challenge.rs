//! `WWW-Authenticate` as an upstream writes it (RFC 9110 §11.6.1, RFC 6750 §3, RFC 9728 §5.1).
//!
//! One header may hold several challenges and several headers may be sent; commas separate both
//! challenges and their parameters. The input is hostile: whatever cannot be read is skipped, in
//! one pass over the bytes.

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

/// The parameters of a Bearer challenge that a client acts on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BearerChallenge {
    pub resource_metadata: Option<String>,
    pub scope: Option<String>,
    pub error: Option<String>,
    pub error_description: Option<String>,
}

impl BearerChallenge {
    pub fn is_insufficient_scope(&self) -> bool {
        self.error.as_deref() == Some("insufficient_scope")
    }
}

/// The Bearer challenge in `headers`. Of several, the one that names its metadata is the one that
/// can be answered.
pub fn bearer_challenge(headers: &HeaderMap) -> Option<BearerChallenge> {
    let mut found: Vec<BearerChallenge> = headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .flat_map(|value| parse(value.as_bytes()))
        .filter(|challenge| challenge.scheme.eq_ignore_ascii_case("bearer"))
        .map(BearerChallenge::from)
        .collect();
    let with_metadata = found
        .iter()
        .position(|challenge| challenge.resource_metadata.is_some());
    (!found.is_empty()).then(|| found.swap_remove(with_metadata.unwrap_or(0)))
}

#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl From<Challenge> for BearerChallenge {
    /// The first of a repeated parameter counts.
    fn from(challenge: Challenge) -> Self {
        let mut bearer = Self::default();
        for (name, value) in challenge.parameters {
            let slot = match name.to_ascii_lowercase().as_str() {
                "resource_metadata" => &mut bearer.resource_metadata,
                "scope" => &mut bearer.scope,
                "error" => &mut bearer.error,
                "error_description" => &mut bearer.error_description,
                _ => continue,
            };
            slot.get_or_insert(value);
        }
        bearer
    }
}

fn parse(header: &[u8]) -> Vec<Challenge> {
    let mut input = Input {
        bytes: header,
        at: 0,
    };
    let mut challenges: Vec<Challenge> = Vec::new();
    loop {
        input.skip(|b| matches!(b, b' ' | b'\t' | b','));
        if input.peek().is_none() {
            return challenges;
        }
        let word = input.take(is_token);
        if word.is_empty() {
            input.skip(|b| b != b',');
            continue;
        }
        let before_space = input.at;
        input.skip(is_space);
        if input.peek() == Some(b'=') {
            input.at += 1;
            input.skip(is_space);
            let value = input.value();
            if let Some(challenge) = challenges.last_mut() {
                challenge.parameters.push((word, value));
            }
            continue;
        }
        challenges.push(Challenge {
            scheme: word,
            parameters: Vec::new(),
        });
        if input.at > before_space {
            input.skip_token68();
        }
    }
}

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Input<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip(&mut self, matches: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&matches) {
            self.at += 1;
        }
    }

    fn take(&mut self, matches: impl Fn(u8) -> bool) -> String {
        let start = self.at;
        self.skip(matches);
        String::from_utf8_lossy(&self.bytes[start..self.at]).into_owned()
    }

    /// A quoted string, or anything up to a separator: some servers do not quote URLs.
    fn value(&mut self) -> String {
        if self.peek() == Some(b'"') {
            self.at += 1;
            self.quoted()
        } else {
            self.take(|b| !is_space(b) && b != b',')
        }
    }

    /// The rest of a quoted string whose opening quote is gone; the closing one may be missing.
    fn quoted(&mut self) -> String {
        let mut text = Vec::new();
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'"' => break,
                b'\\' => {
                    text.extend(self.peek());
                    self.at += 1;
                }
                other => text.push(other),
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// `Negotiate YII…==` carries no parameters; it must not be read as one.
    fn skip_token68(&mut self) {
        let start = self.at;
        self.skip(|b| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b));
        let has_text = self.at > start;
        self.skip(|b| b == b'=');
        self.skip(is_space);
        let ends = self.peek().is_none_or(|b| b == b',');
        if !(has_text && ends) {
            self.at = start;
        }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values
            .iter()
            .map(|value| {
                (
                    WWW_AUTHENTICATE,
                    HeaderValue::from_bytes(value.as_bytes()).unwrap(),
                )
            })
            .collect()
    }

    /// `resource_metadata|scope|error` with `-` for absent.
    fn summary(values: &[&str]) -> Option<String> {
        let challenge = bearer_challenge(&headers(values))?;
        let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        Some(format!(
            "{}|{}|{}",
            text(challenge.resource_metadata),
            text(challenge.scope),
            text(challenge.error)
        ))
    }

    #[test]
    fn challenges_are_read_as_servers_write_them() {
        let table: &[(&[&str], Option<&str>)] = &[
            (&[], None),
            (&[""], None),
            (&["Basic realm=\"x\""], None),
            (&["Bearer"], Some("-|-|-")),
            (&["bEaReR SCOPE=\"a b\""], Some("-|a b|-")),
            (
                &["Bearer resource_metadata=\"https://a/b\""],
                Some("https://a/b|-|-"),
            ),
            (
                &["Bearer resource_metadata=https://a/b, scope=x"],
                Some("https://a/b|x|-"),
            ),
            (
                &["Bearer error = \"invalid_token\" , scope=\"x\""],
                Some("-|x|invalid_token"),
            ),
            (
                &["Bearer realm=\"a, Basic b=\\\"c\", scope=\"x\""],
                Some("-|x|-"),
            ),
            (
                &["Basic realm=\"a\", Bearer scope=\"x\", Digest nonce=\"n\""],
                Some("-|x|-"),
            ),
            (&["Negotiate YIIabc==, Bearer scope=x"], Some("-|x|-")),
            (&["Negotiate, Bearer scope=x"], Some("-|x|-")),
            (&["Basic realm=\"b\"", "Bearer scope=x"], Some("-|x|-")),
            (
                &["Bearer scope=x", "Bearer resource_metadata=\"u\""],
                Some("u|-|-"),
            ),
            (
                &["Bearer scope=\"first\", scope=\"second\""],
                Some("-|first|-"),
            ),
            (&["Bearer scope=\"unterminated"], Some("-|unterminated|-")),
            (
                &["Bearer scope=\"ends in a backslash\\"],
                Some("-|ends in a backslash|-"),
            ),
            (&[",,, Bearer ,, scope=x ,"], Some("-|x|-")),
            (&["=, Bearer scope=x"], Some("-|x|-")),
            (&["scope=x"], None),
            (&["Bearer scope=\"\""], Some("-||-")),
        ];
        for (values, expected) in table {
            assert_eq!(summary(values).as_deref(), *expected, "{values:?}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            parse(&bytes);
        }

        #[test]
        fn any_punctuation_is_survived(text in "[Bearscop=\",\\\\ \t/]{0,60}") {
            parse(text.as_bytes());
        }

        #[test]
        fn a_quoted_value_comes_back_as_it_was(value in "[ -~]{0,60}") {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
            let header = format!("Basic realm=\"x\", Bearer a=b, scope=\"{escaped}\", error=e");
            prop_assert_eq!(summary(&[&header]), Some(format!("-|{value}|e")));
        }
    }
}
