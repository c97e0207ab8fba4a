//! The peers of `packaging/demo`, and the two things a person would do by hand.
//!
//! `serve` runs an OAuth-protected MCP server with its authorization server on loopback; `consent` plays
//! the browser; `call` shows one MCP call as the HTTP text that goes over the wire.

#![allow(
    clippy::print_stdout,
    reason = "standard output is what this program is for"
)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Parser;
use mcpbridge_tests::authz::{AsOptions, Consent, Endpoint, FakeAs};
use mcpbridge_tests::mcp::{Access, FakeMcp, MODERN, McpOptions};
use mcpbridge_tests::secrets::Secrets;
use mcpbridge_tests::{McpClient, browser};
use serde_json::Value;
use url::Url;

#[derive(Parser)]
enum Command {
    /// Run the servers until killed; prints a line per request to the authorization server.
    Serve {
        /// Seconds an access token lives.
        #[arg(long, default_value_t = 3600)]
        lifetime: u64,
        #[arg(long, default_value_t = 0)]
        mcp_port: u16,
        #[arg(long, default_value_t = 0)]
        as_port: u16,
        /// Print each call of a tool, and take lines like `describe echo Returns nothing` from
        /// standard input.
        #[arg(long)]
        interactive: bool,
    },
    /// Open an authorization URL and agree.
    Consent { url: String },
    /// Call a tool over plain HTTP and print both messages.
    Call {
        /// Such as `http://localhost:3000/mcp/hello`.
        url: Url,
        tool: String,
        #[arg(default_value = "{}")]
        arguments: String,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Serve {
            lifetime,
            mcp_port,
            as_port,
            interactive,
        } => {
            let mcp = serve(lifetime, mcp_port, as_port).await;
            if interactive {
                print_calls(&mcp);
                let mcp = mcp.clone();
                std::thread::spawn(move || take_commands(&mcp));
            }
            tokio::signal::ctrl_c()
                .await
                .context("cannot wait for Ctrl-C")
        }
        Command::Consent { url } => {
            let page = browser::consent(&url).await;
            for step in &page.visited {
                println!(
                    "visited {}{}",
                    step.origin().ascii_serialization(),
                    step.path()
                );
            }
            if page.status != 200 {
                bail!("the login did not succeed: {} {}", page.status, page.body);
            }
            Ok(())
        }
        Command::Call {
            url,
            tool,
            arguments,
        } => call(&url, &tool, &arguments),
    }
}

async fn serve(lifetime: u64, mcp_port: u16, as_port: u16) -> FakeMcp {
    let secrets = Secrets::default();
    let options = AsOptions {
        access_lifetime: Duration::from_secs(lifetime),
        consent: Consent::Page,
        port: as_port,
        ..AsOptions::default()
    };
    let authz = FakeAs::start(options, &secrets).await;
    authz.journal().observe(|entry| {
        let what = match entry.endpoint {
            Endpoint::Metadata => "metadata",
            Endpoint::Register => "client registration",
            Endpoint::Authorize => "consent page",
            Endpoint::Consent => "consent given",
            Endpoint::Token => match entry.param("grant_type") {
                Some("refresh_token") => "token refresh",
                _ => "token for code",
            },
            Endpoint::Revoke => "revocation",
            Endpoint::Unknown => "unknown request",
        };
        let status = entry.status.unwrap_or_default();
        println!("{what}: {} {} -> {status}", entry.method, entry.path);
    });
    let mut options = McpOptions::new(Access::OAuth(authz.clone()));
    options.port = mcp_port;
    let mcp = FakeMcp::start(options, &secrets).await;
    println!("authorization server: {}", authz.issuer());
    println!("mcp server: {}", mcp.url());
    mcp
}

fn print_calls(mcp: &FakeMcp) {
    mcp.journal().observe(|entry| {
        let Ok(message) = serde_json::from_slice::<Value>(&entry.body) else {
            return;
        };
        if message["method"] == "tools/call" {
            let params = &message["params"];
            println!(
                "tool call: {} {}",
                params["name"].as_str().unwrap_or_default(),
                params["arguments"]
            );
        }
    });
}

/// Until standard input ends.
fn take_commands(mcp: &FakeMcp) {
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let mut words = line.splitn(3, ' ');
        if let (Some("describe"), Some(tool), Some(text)) =
            (words.next(), words.next(), words.next())
        {
            mcp.offer(|offer| offer.tool(tool)["description"] = serde_json::json!(text));
            println!("described {tool}");
        } else {
            println!("not a command: {line}");
        }
    }
}

fn call(url: &Url, tool: &str, arguments: &str) -> anyhow::Result<()> {
    let arguments: Value = serde_json::from_str(arguments).context("the arguments are not JSON")?;
    let client = McpClient::modern(url.as_str());
    let params = serde_json::json!({ "name": tool, "arguments": arguments });
    let body = client.message("tools/call", params).to_string();
    let host = url.host_str().context("the URL has no host")?;
    let port = url.port_or_known_default().context("the URL has no port")?;
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: {MODERN}\r\n\
         Mcp-Method: tools/call\r\nMcp-Name: {tool}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}",
        path = url.path(),
        length = body.len(),
    );
    let mut connection = TcpStream::connect((host, port)).context("cannot connect")?;
    connection.write_all(request.as_bytes())?;
    let mut response = String::new();
    connection.read_to_string(&mut response)?;
    show('>', &request);
    println!();
    show('<', &response);
    let status = response.split(' ').nth(1).unwrap_or_default();
    if status != "200" || response.contains("\"isError\":true") || response.contains("\"error\":") {
        bail!("the call failed");
    }
    Ok(())
}

fn show(mark: char, text: &str) {
    for line in text.lines() {
        println!("{mark} {line}");
    }
}
