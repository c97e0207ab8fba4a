//! The token of a client: made here, hashed here, and found in a request here.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::ClientError;
use crate::types::{CLIENT_TOKEN_PREFIX as PREFIX, Digest, Secret};

const SCHEME: &str = "bearer";

/// 256 random bits.
pub(super) fn generate() -> Result<Secret, ClientError> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    SystemRandom::new()
        .fill(bytes.as_mut())
        .map_err(|_| ClientError::NoRandomness)?;
    let random = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_ref()));
    Ok(Secret::new(format!("{PREFIX}{}", random.as_str())))
}

/// What is kept of a token. A plain hash is enough: nobody guesses 256 random bits.
pub(super) fn hash(token: &str) -> Digest {
    Digest::of(token.as_bytes())
}

/// The hash of the token in `headers`, if there is one of ours.
pub(super) fn presented(headers: &HeaderMap) -> Result<Option<Digest>, ClientError> {
    let mut found = None;
    for value in headers.get_all(AUTHORIZATION) {
        let Some(token) = ours(value)? else { continue };
        if found.is_some_and(|other| other != token) {
            return Err(ClientError::Malformed);
        }
        found = Some(token);
    }
    Ok(found)
}

/// A value in which a token of ours stands must be nothing else than that token: what is not
/// understood must not make the client an anonymous one.
fn ours(value: &HeaderValue) -> Result<Option<Digest>, ClientError> {
    let value = String::from_utf8_lossy(value.as_bytes());
    let words = value.split(|c: char| c.is_whitespace() || c == ',');
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    match words.as_slice() {
        [scheme, token] if scheme.eq_ignore_ascii_case(SCHEME) && token.starts_with(PREFIX) => {
            Ok(Some(hash(token)))
        }
        words if words.iter().any(|word| word.starts_with(PREFIX)) => Err(ClientError::Malformed),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_token_is_long_random_and_fits_a_header() {
        let (one, other) = (generate().unwrap(), generate().unwrap());
        assert_ne!(one, other);
        let random = one.expose().strip_prefix(PREFIX).unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(random).unwrap().len(), 32);
        assert_eq!(random.len(), 43);
    }

    #[test]
    fn only_tokens_of_ours_are_taken_and_none_is_overlooked() {
        let ours = Some(hash("mcpb_x"));
        for (values, expected) in [
            (&["Bearer mcpb_x"][..], Ok(ours)),
            (&["bearer   mcpb_x "], Ok(ours)),
            (&["Bearer sk_other", "Bearer mcpb_x"], Ok(ours)),
            (&["Bearer mcpb_x", "Bearer mcpb_x"], Ok(ours)),
            (&[], Ok(None)),
            (&["Bearer sk_other"], Ok(None)),
            (&["Basic bWNwYl94"], Ok(None)),
            (&["Bearer"], Ok(None)),
            (&["Bearer mcpb_x", "Bearer mcpb_y"], Err(())),
            (&["Bearer\tmcpb_x"], Ok(ours)),
            (&["mcpb_x"], Err(())),
            (&["Basic mcpb_x"], Err(())),
            (&["Bearer sk_other, Bearer mcpb_x"], Err(())),
        ] {
            let found = presented(&headers(values)).map_err(drop);
            assert_eq!(found, expected, "{values:?}");
        }
    }
}
