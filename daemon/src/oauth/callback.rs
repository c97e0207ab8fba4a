//! What the browser brings back: the redirect's query, and the checks before its code is used.

use url::{Url, form_urlencoded};

use super::error::OAuthError;
use crate::error::{Classify, ErrorKind};
use crate::types::Secret;

/// Larger than any authorization server's redirect, small enough to look at.
const MAX_QUERY: usize = 16 * 1024;

/// A parsed redirect. The code comes out of it only through [`Callback::code`], after the issuer
/// check.
#[derive(Debug)]
pub struct Callback {
    /// Names the login this belongs to.
    pub state: Secret,
    iss: Option<String>,
    outcome: Result<Secret, OAuthError>,
}

/// The issuer recorded when the login began.
#[derive(Debug, Clone, Copy)]
pub struct ExpectedIssuer<'a> {
    /// The `issuer` of the metadata document, as it is written there.
    pub issuer: &'a str,
    /// `authorization_response_iss_parameter_supported`.
    pub advertised: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    #[error("this is not an OAuth redirect: {0}")]
    Malformed(&'static str),
    #[error("the parameter {0} is there more than once")]
    Repeated(&'static str),
    /// Says nothing about the response's other contents: they are not to be believed.
    #[error("the answer did not come from the authorization server {expected} that was asked")]
    WrongIssuer { expected: String },
    #[error("the authorization server refused: {0}")]
    Refused(OAuthError),
}

impl Classify for CallbackError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Malformed(_) | Self::Repeated(_) => ErrorKind::InvalidInput,
            Self::WrongIssuer { .. } => ErrorKind::UpstreamFault,
            Self::Refused(_) => ErrorKind::Denied,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Malformed(_) => {
                Some("Paste the whole URL that the browser was sent to after consent.".to_owned())
            }
            _ => None,
        }
    }
}

impl Callback {
    /// Reads the query string of a redirect, without `?`.
    pub fn parse(query: &str) -> Result<Self, CallbackError> {
        if query.len() > MAX_QUERY {
            return Err(CallbackError::Malformed("it is too long"));
        }
        let take = |name| single(query, name);
        let state = take("state")?.ok_or(CallbackError::Malformed("it has no state"))?;
        let iss = take("iss")?;
        let description = take("error_description")?;
        let outcome = match (take("code")?, take("error")?) {
            (Some(code), None) => Ok(Secret::new(code)),
            (None, Some(error)) => Err(OAuthError::new(&error, description.as_deref())),
            (Some(_), Some(_)) => {
                return Err(CallbackError::Malformed("it has both a code and an error"));
            }
            (None, None) => return Err(CallbackError::Malformed("it has no code")),
        };
        Ok(Self {
            state: Secret::new(state),
            iss,
            outcome,
        })
    }

    /// Reads what a person pasted: the whole redirect URL.
    pub fn parse_pasted(text: &str) -> Result<Self, CallbackError> {
        let url = Url::parse(text.trim()).map_err(|_| CallbackError::Malformed("it is no URL"))?;
        Self::parse(url.query().unwrap_or_default())
    }

    /// The code, if the response came from the issuer that was asked: RFC 9207 §2.4 as MCP
    /// 2026-07-28 tightens it. An error is reported only after the same check.
    pub fn code(self, expected: ExpectedIssuer<'_>) -> Result<Secret, CallbackError> {
        // Plain strings: no normalisation of case, port, slash or escapes.
        let trusted = match &self.iss {
            Some(iss) => iss == expected.issuer,
            None => !expected.advertised,
        };
        if !trusted {
            return Err(CallbackError::WrongIssuer {
                expected: expected.issuer.to_owned(),
            });
        }
        self.outcome.map_err(CallbackError::Refused)
    }
}

/// The value of a parameter that may be there once (RFC 6749 §3.1); empty counts as absent.
fn single(query: &str, name: &'static str) -> Result<Option<String>, CallbackError> {
    let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
    let first = values.next();
    if values.next().is_some() {
        return Err(CallbackError::Repeated(name));
    }
    Ok(first
        .map(|(_, value)| value.into_owned())
        .filter(|value| !value.is_empty()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_issuer_table_holds_for_codes_and_errors() {
        let same = "&iss=https%3A%2F%2Fas.example";
        let slash = "&iss=https%3A%2F%2Fas.example%2F";
        let port = "&iss=https%3A%2F%2Fas.example%3A443";
        let case = "&iss=https%3A%2F%2FAS.example";
        let table = [
            (true, same, true),
            (true, "", false),
            (true, "&iss=", false),
            (true, slash, false),
            (false, same, true),
            (false, slash, false),
            (false, port, false),
            (false, case, false),
            (false, "&iss=https%3A%2F%2Fevil.example", false),
            (false, "", true),
        ];
        for (advertised, iss, passes) in table {
            let expected = ExpectedIssuer {
                issuer: "https://as.example",
                advertised,
            };
            let code = Callback::parse(&format!("state=s&code=c{iss}"))
                .unwrap()
                .code(expected);
            assert_eq!(code.is_ok(), passes, "{advertised} {iss}");

            let error = format!("state=s&error=access_denied&error_description=no{iss}");
            let error = Callback::parse(&error).unwrap().code(expected).unwrap_err();
            assert_eq!(
                error.to_string().contains("access_denied (no)"),
                passes,
                "{error}"
            );
        }
    }

    #[test]
    fn ambiguous_and_incomplete_redirects_are_refused() {
        use CallbackError::{Malformed, Repeated};
        let table = [
            ("", Malformed("it has no state")),
            ("code=c", Malformed("it has no state")),
            ("state=s", Malformed("it has no code")),
            ("state=s&code=", Malformed("it has no code")),
            (
                "state=s&code=c&error=e",
                Malformed("it has both a code and an error"),
            ),
            ("state=s&state=t&code=c", Repeated("state")),
            ("state=s&code=c&code=d", Repeated("code")),
            ("state=s&code=c&iss=a&iss=a", Repeated("iss")),
            ("state=s&code=c&co%64e=d", Repeated("code")),
        ];
        for (query, expected) in table {
            assert_eq!(Callback::parse(query).unwrap_err(), expected, "{query}");
        }
        let long = format!("state=s&code={}", "x".repeat(MAX_QUERY));
        assert_eq!(
            Callback::parse(&long).unwrap_err(),
            Malformed("it is too long")
        );
    }

    #[test]
    fn a_pasted_redirect_is_read_like_a_received_one() {
        let pasted = " http://localhost:3000/callback?state=s%2B&code=a+b#frag\n";
        let callback = Callback::parse_pasted(pasted).unwrap();
        assert_eq!(callback.state.expose(), "s+");
        let issuer = ExpectedIssuer {
            issuer: "https://as.example",
            advertised: false,
        };
        assert_eq!(callback.code(issuer).unwrap().expose(), "a b");
        assert!(Callback::parse_pasted("just text").is_err());
        assert!(Callback::parse_pasted("http://localhost:3000/callback").is_err());
    }

    #[test]
    fn a_callback_does_not_show_its_code() {
        let callback = Callback::parse("state=hush1&code=hush2").unwrap();
        assert!(!format!("{callback:?}").contains("hush"));
    }

    proptest! {
        #[test]
        fn any_query_is_survived(query in "\\PC{0,200}") {
            let _ = Callback::parse(&query);
            let _ = Callback::parse_pasted(&query);
        }

        #[test]
        fn any_escapes_are_survived(query in "(state|code|iss|error|&|=|%[0-9a-f]{0,2}|\\+){0,40}") {
            let _ = Callback::parse(&query);
        }
    }
}
