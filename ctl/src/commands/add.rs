//! `add`: configures a server and signs in to it.

use clap::Args;
use mcpbridge_proto::v1::{
    AddServerRequest, AuthMode, CredentialState, Header, LoginRequest, OAuthOptions, Server,
};

use crate::cli::Effect;
use crate::commands::login::{self, BrowserArgs};
use crate::context::Context;
use crate::error::Failure;
use crate::exit::Exit;
use crate::input;
use crate::pin::PinArgs;

#[derive(Args)]
#[command(after_long_help = "\
Examples:
  Sign in with the browser:
    mcpbridgectl add stripe https://mcp.stripe.com

  On a machine without a browser:
    mcpbridgectl add stripe https://mcp.stripe.com --no-browser

  With a client registered by hand:
    mcpbridgectl add github https://api.githubcopilot.com/mcp \\
      --client-id Iv1.abc --client-secret-stdin < secret.txt

  With a fixed token, all of whose calls may run:
    mcpbridgectl add ci https://mcp.example.com --bearer-stdin \\
      --policy allow < token.txt

The command returns when the server is usable. When the sign-in fails, the server
stays configured, and `mcpbridgectl login NAME` tries again.")]
pub struct AddArgs {
    /// Name for the server, used in http://localhost:PORT/mcp/NAME
    name: String,
    /// URL of the MCP server
    url: String,
    #[command(flatten)]
    browser: BrowserArgs,
    /// What happens to tool calls that no rule names [default: ask]
    #[arg(long, value_enum)]
    policy: Option<Effect>,
    /// Allow the server to be on a private network
    #[arg(long)]
    allow_private_network: bool,
    #[command(flatten)]
    pin: PinArgs,
    #[command(flatten)]
    oauth: OAuthArgs,
    #[command(flatten)]
    fixed: FixedArgs,
}

#[derive(Args)]
#[command(next_help_heading = "OAuth")]
struct OAuthArgs {
    /// Client registered with the authorization server
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// Read the client's secret from standard input
    #[arg(long, requires = "client_id")]
    client_secret_stdin: bool,
    /// URL of a client ID metadata document, where the server supports one
    #[arg(long, value_name = "URL")]
    client_metadata_url: Option<String>,
    /// Request this scope; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// Redirect URI registered for the client [default: the daemon's own]
    #[arg(long, value_name = "URI")]
    redirect_uri: Option<String>,
    /// Resource indicator to send: auto, none or a URI [default: auto]
    #[arg(long, value_name = "URI")]
    resource: Option<String>,
    /// Authorization server, when the MCP server names none or another one
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
}

#[derive(Args)]
#[command(next_help_heading = "Without OAuth")]
struct FixedArgs {
    /// Read a bearer token from standard input
    #[arg(long, conflicts_with_all = OAUTH)]
    bearer_stdin: bool,
    /// Send this header with every request; may be repeated
    #[arg(long = "header", value_name = "K: V", conflicts_with_all = OAUTH)]
    headers: Vec<String>,
    /// The server needs no authentication
    #[arg(long, conflicts_with_all = OAUTH, conflicts_with_all = ["bearer_stdin", "headers", "no_browser"])]
    no_auth: bool,
}

const OAUTH: [&str; 7] = [
    "client_id",
    "client_secret_stdin",
    "client_metadata_url",
    "scopes",
    "redirect_uri",
    "resource",
    "issuer",
];

pub async fn run(context: &Context, args: AddArgs) -> Result<(), Failure> {
    let (browser, pin) = (args.browser, args.pin);
    let request = request(args)?;
    let client = context.connect().await?;
    let add = async |pin| {
        let request = AddServerRequest {
            pin,
            ..request.clone()
        };
        client.servers().add_server(request).await
    };
    let reply = pin.send(context, &client, add).await?;
    let server = context.server(reply.server.unwrap_or_default());
    if reply.already_present {
        context
            .printer
            .note(&format!("{} is already configured", server.name));
    }
    if !needs_login(&server, reply.already_present) {
        return login::completed(context, &server);
    }
    let login = LoginRequest {
        name: server.name.clone(),
        scopes: Vec::new(),
        force: false,
    };
    login::follow(context, &client, login, browser)
        .await
        .map_err(|failure| explain(context, &server.name, failure))
}

/// A new OAuth server always goes through a login: it is there that discovery finds what it needs.
fn needs_login(server: &Server, already_present: bool) -> bool {
    let signed_out = matches!(
        server.state(),
        CredentialState::LoggedOut | CredentialState::NeedsLogin | CredentialState::Unspecified
    );
    server.auth() == AuthMode::Oauth && (signed_out || !already_present)
}

fn explain(context: &Context, name: &str, failure: Failure) -> Failure {
    match failure.exit() {
        Exit::Done | Exit::Interrupted | Exit::Unreachable => failure,
        _ => failure.hint(format!(
            "{name} stays configured: `{}` tries again; to add it with other options, first run `{}`",
            context.command(&format!("login {name}")),
            context.command(&format!("remove {name}"))
        )),
    }
}

fn request(args: AddArgs) -> Result<AddServerRequest, Failure> {
    let mut headers = args
        .fixed
        .headers
        .iter()
        .map(|header| parse_header(header))
        .collect::<Result<Vec<_>, _>>()?;
    if args.fixed.bearer_stdin {
        headers.push(Header {
            name: "Authorization".to_owned(),
            value: format!("Bearer {}", bearer(input::secret("bearer token")?)?),
        });
    }
    let auth = match (args.fixed.no_auth, headers.is_empty()) {
        (true, _) => AuthMode::None,
        (false, false) => AuthMode::Static,
        (false, true) => AuthMode::Oauth,
    };
    let oauth = match auth {
        AuthMode::Oauth => Some(oauth(args.oauth)?),
        _ => None,
    };
    Ok(AddServerRequest {
        pin: String::new(),
        name: args.name,
        url: args.url,
        auth: auth.into(),
        oauth,
        headers,
        policy: args
            .policy
            .map(Effect::as_str)
            .unwrap_or_default()
            .to_owned(),
        allow_private_network: args.allow_private_network,
    })
}

fn oauth(args: OAuthArgs) -> Result<OAuthOptions, Failure> {
    let client_secret = match args.client_secret_stdin {
        true => input::secret("client secret")?,
        false => String::new(),
    };
    Ok(OAuthOptions {
        client_id: args.client_id.unwrap_or_default(),
        client_secret,
        client_metadata_url: args.client_metadata_url.unwrap_or_default(),
        scopes: login::split_scopes(&args.scopes),
        redirect_uri: args.redirect_uri.unwrap_or_default(),
        resource: args.resource.unwrap_or_default(),
        issuer: args.issuer.unwrap_or_default(),
    })
}

/// `b68token` of RFC 6750 §2.1 is what the header allows; only what would break the header is refused.
fn bearer(token: String) -> Result<String, Failure> {
    if token.chars().all(|c| c.is_ascii_graphic()) {
        Ok(token)
    } else {
        Err(Failure::usage(
            "the bearer token holds blanks or characters that a header cannot carry",
        ))
    }
}

/// Here and not in clap, which repeats a value that it refuses; this one may be a secret.
fn parse_header(text: &str) -> Result<Header, Failure> {
    let refused = |why: &str| {
        Failure::usage(format!("--header: {why}")).hint("write it as --header 'Name: value'")
    };
    let (name, value) = text
        .split_once(':')
        .ok_or_else(|| refused("it has no colon"))?;
    let (name, value) = (name.trim(), value.trim());
    // RFC 9110 §5.6.2.
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(is_token) {
        return Err(refused("the part before the colon is not a header name"));
    }
    if value.is_empty() {
        return Err(refused(&format!("{name} has no value")));
    }
    let is_value = |c: char| c == '\t' || c == ' ' || c.is_ascii_graphic();
    if !value.chars().all(is_value) {
        return Err(refused(&format!(
            "the value of {name} holds characters that a header cannot carry"
        )));
    }
    Ok(Header {
        name: name.to_owned(),
        value: value.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        match parse_header(text) {
            Err(Failure::Report(report)) => report.message,
            _ => panic!("accepted"),
        }
    }

    #[test]
    fn headers_are_split_at_the_first_colon() {
        let header = parse_header("X-Api-Key:  a:b c ").unwrap();
        assert_eq!(
            (header.name.as_str(), header.value.as_str()),
            ("X-Api-Key", "a:b c")
        );
    }

    #[test]
    fn broken_headers_are_refused_without_telling_the_value() {
        assert!(error("secret").ends_with("it has no colon"));
        assert!(error(": v").contains("not a header name"));
        assert!(error("a b: v").contains("not a header name"));
        assert!(error("k:").contains("no value"));
        for split in ["k: se\r\ncret: x", "k: se\u{e9}cret"] {
            let error = error(split);
            assert!(
                error.contains("cannot carry") && !error.contains("cret"),
                "{error}"
            );
        }
    }

    #[test]
    fn tokens_with_blanks_are_refused() {
        assert!(bearer("abc.DEF-123~+/=".to_owned()).is_ok());
        assert!(bearer("two words".to_owned()).is_err());
    }

    #[test]
    fn an_active_server_added_again_is_left_alone() {
        let mut server = Server {
            auth: AuthMode::Oauth.into(),
            state: CredentialState::Active.into(),
            ..Server::default()
        };
        assert!(!needs_login(&server, true));
        assert!(needs_login(&server, false));
        server.state = CredentialState::NeedsLogin.into();
        assert!(needs_login(&server, true));
        server.auth = AuthMode::Static.into();
        assert!(!needs_login(&server, false));
    }
}
