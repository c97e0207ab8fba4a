//! RFC 8414 and OpenID Connect discovery documents.

use serde_json::{Value, json};

use super::{Iss, MetadataAt, State};
use crate::wire::Answer;

pub(super) fn answer(state: &State, path: &str) -> Answer {
    let tenant = &state.options.issuer_path;
    let here = match state.options.metadata {
        MetadataAt::OAuth => format!("/.well-known/oauth-authorization-server{tenant}"),
        MetadataAt::OidcInserted => format!("/.well-known/openid-configuration{tenant}"),
        MetadataAt::OidcAppended => format!("{tenant}/.well-known/openid-configuration"),
        MetadataAt::Nowhere => String::new(),
    };
    if path == here {
        Answer::json(200, &document(state))
    } else {
        Answer::text(404, "text/plain", "not found")
    }
}

fn document(state: &State) -> Value {
    let (origin, options) = (&state.origin, &state.options);
    let mut document = json!({
        "issuer": state.issuer(),
        "authorization_endpoint": format!("{origin}/authorize"),
        "token_endpoint": format!("{origin}/token"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": [options.client_auth.name()],
        "scopes_supported": options.scopes,
    });
    let mut set = |name: &str, value: Value| document[name] = value;
    if options.pkce_advertised {
        set("code_challenge_methods_supported", json!(["S256"]));
    }
    if options.registration {
        set("registration_endpoint", json!(format!("{origin}/register")));
    }
    if options.revocation {
        set("revocation_endpoint", json!(format!("{origin}/revoke")));
    }
    if options.cimd {
        set("client_id_metadata_document_supported", json!(true));
    }
    if options.iss == Iss::Advertised {
        set(
            "authorization_response_iss_parameter_supported",
            json!(true),
        );
    }
    if matches!(
        options.metadata,
        MetadataAt::OidcInserted | MetadataAt::OidcAppended
    ) {
        set("jwks_uri", json!(format!("{origin}/jwks")));
        set("subject_types_supported", json!(["public"]));
        set("id_token_signing_alg_values_supported", json!(["RS256"]));
    }
    document
}
