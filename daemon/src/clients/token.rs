//! The token of a client: made here, hashed here, and found in a request here.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::ClientError;
use crate::types::{CLIENT_TOKEN_PREFIX as PREFIX, Digest, Secret, may_hold_client_token};

const SCHEME: &str = "bearer";

/// Where a client may say who it is beside a key for somebody else.
const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-mcpbridge-token");
/// Where clients of model APIs put a key, besides `Authorization`.
pub const API_KEY_HEADERS: [HeaderName; 2] = [
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
];

pub(super) fn generate() -> Result<Secret, ClientError> {
    let random = Secret::random().map_err(|_| ClientError::NoRandomness)?;
    Ok(Secret::new(format!("{PREFIX}{}", random.expose())))
}

/// What is kept of a token. A plain hash is enough: nobody guesses 256 random bits.
pub(super) fn hash(token: &str) -> Digest {
    Digest::of(token.as_bytes())
}

/// The hash of the token in `headers`, if there is one of ours.
pub(super) fn presented(headers: &HeaderMap) -> Result<Option<Digest>, ClientError> {
    let values = headers.get_all(AUTHORIZATION);
    only(values.iter().map(|value| ours(value, Some(SCHEME))))
}

/// As [`presented`], wherever a client of a model API may have put it.
pub(super) fn presented_as_key(headers: &HeaderMap) -> Result<Option<Digest>, ClientError> {
    let bearer = headers.get_all(AUTHORIZATION).iter();
    let bearer = bearer.map(|value| ours(value, Some(SCHEME)));
    let keys = API_KEY_HEADERS
        .into_iter()
        .flat_map(|name| headers.get_all(name));
    let keys = keys.map(|value| ours(value, None));
    let own = headers.get_all(TOKEN_HEADER).iter().map(|value| {
        // Nothing else belongs there.
        ours(value, None)?.map(Some).ok_or(ClientError::Unknown)
    });
    only(bearer.chain(keys).chain(own))
}

fn only(
    tokens: impl Iterator<Item = Result<Option<Digest>, ClientError>>,
) -> Result<Option<Digest>, ClientError> {
    let mut found = None;
    for token in tokens {
        let Some(token) = token? else { continue };
        if found.is_some_and(|other| other != token) {
            return Err(ClientError::Malformed);
        }
        found = Some(token);
    }
    Ok(found)
}

/// A value in which a token of ours stands must be nothing else than that token: what is not
/// understood must not make the client an anonymous one.
fn ours(value: &HeaderValue, scheme: Option<&str>) -> Result<Option<Digest>, ClientError> {
    if !may_hold_client_token(value.as_bytes()) {
        return Ok(None);
    }
    let value = String::from_utf8_lossy(value.as_bytes());
    let words = value.split(|c: char| c.is_whitespace() || c == ',');
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    match (words.as_slice(), scheme) {
        ([given, token], Some(scheme))
            if given.eq_ignore_ascii_case(scheme) && token.starts_with(PREFIX) =>
        {
            Ok(Some(hash(token)))
        }
        ([token], None) if token.starts_with(PREFIX) => Ok(Some(hash(token))),
        (words, _) if words.iter().any(|word| word.starts_with(PREFIX)) => {
            Err(ClientError::Malformed)
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

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
    #[test]
    fn a_model_clients_token_is_found_in_every_place_for_a_key() {
        let ours = Ok(Some(hash("mcpb_x")));
        for (pairs, expected) in [
            (&[("authorization", "Bearer mcpb_x")][..], ours),
            (&[("x-api-key", "mcpb_x")], ours),
            (&[("api-key", "mcpb_x")], ours),
            (
                &[("x-mcpbridge-token", "mcpb_x"), ("x-api-key", "sk")],
                ours,
            ),
            (
                &[("x-api-key", "sk"), ("authorization", "Bearer sk")],
                Ok(None),
            ),
            (
                &[("x-api-key", "mcpb_x"), ("authorization", "Bearer mcpb_y")],
                Err(()),
            ),
            (&[("x-api-key", "Bearer mcpb_x")], Err(())),
            (&[("x-mcpbridge-token", "sk")], Err(())),
            (&[("x-mcpbridge-token", "")], Err(())),
        ] {
            let entries = pairs.iter().map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            });
            let found = presented_as_key(&entries.collect()).map_err(drop);
            assert_eq!(found, expected, "{pairs:?}");
        }
    }
}
