//! `env`: the variables by which AI SDKs find the bridge.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use mcpbridge_proto::v1::{GetStatusRequest, KeyHolder, ListKeysRequest};

use crate::context::Context;
use crate::error::Failure;

#[derive(Args)]
#[command(after_help = "\
Examples:
    eval \"$(mcpbridgectl env)\"
    mcpbridgectl env --shell fish | source
    mcpbridgectl env --shell powershell | Out-String | Invoke-Expression")]
pub struct EnvArgs {
    /// For one vendor's SDKs only [default: both]
    vendor: Option<Vendor>,
    /// Whose syntax to write
    #[arg(long, default_value = if cfg!(windows) { "powershell" } else { "sh" })]
    shell: Shell,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Vendor {
    Openai,
    Anthropic,
}

#[derive(Clone, Copy, ValueEnum)]
enum Shell {
    Sh,
    Fish,
    Powershell,
}

impl Vendor {
    const ALL: [Self; 2] = [Self::Openai, Self::Anthropic];

    fn name(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::Anthropic => "anthropic",
        }
    }

    /// Where its SDKs look for a base URL, and for a key.
    fn variables(self) -> (&'static str, &'static str) {
        match self {
            Self::Openai => ("OPENAI_BASE_URL", "OPENAI_API_KEY"),
            Self::Anthropic => ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"),
        }
    }

    /// Its SDKs bring the version in the path, or do not.
    fn path(self) -> &'static str {
        match self {
            Self::Openai => "/openai/v1",
            Self::Anthropic => "/anthropic",
        }
    }
}

impl Shell {
    fn export(self, name: &str, value: &str) -> String {
        match self {
            Self::Sh => format!("export {name}={}", value.quoted(r"'\''")),
            Self::Fish => format!("set -gx {name} {}", value.quoted(r"\'")),
            Self::Powershell => format!("$env:{name} = {}", value.quoted("''")),
        }
    }

    fn apply(self, command: &str) -> String {
        match self {
            Self::Sh => format!("eval \"$({command})\""),
            Self::Fish => format!("{command} --shell fish | source"),
            Self::Powershell => {
                format!("{command} --shell powershell | Out-String | Invoke-Expression")
            }
        }
    }
}

trait Quoted {
    /// In single quotes, with `quote` for one that is inside.
    fn quoted(&self, quote: &str) -> String;
}

impl Quoted for str {
    fn quoted(&self, quote: &str) -> String {
        format!("'{}'", self.replace('\'', quote))
    }
}

pub async fn run(context: &Context, args: EnvArgs) -> Result<(), Failure> {
    let client = context.connect().await?;
    let status = client.daemon().get_status(GetStatusRequest {}).await?;
    let base = status.into_inner().base_url;
    let wanted = |vendor: &Vendor| args.vendor.is_none_or(|only| only == *vendor);
    let vendors: Vec<_> = Vendor::ALL.into_iter().filter(wanted).collect();
    let url = |vendor: &Vendor| format!("{base}{}", vendor.path());
    if context.printer.is_json() {
        let variables = vendors.iter().map(|v| (v.variables().0, url(v)));
        return context.printer.json(&variables.collect::<BTreeMap<_, _>>());
    }
    for vendor in &vendors {
        let (variable, _) = vendor.variables();
        context
            .printer
            .line(&args.shell.export(variable, &url(vendor)))?;
    }
    let command = context.command("env");
    context
        .printer
        .note(&format!("set them with: {}", args.shell.apply(&command)));
    let reply = client.keys().list_keys(ListKeysRequest {}).await?;
    for held in reply.into_inner().vendors {
        let vendor = vendors.iter().find(|vendor| vendor.name() == held.name);
        if let (Some(vendor), KeyHolder::Daemon) = (vendor, held.key()) {
            context.printer.note(&format!(
                "{} is what `{}` prints: the daemon holds the key of {}",
                vendor.variables().1,
                context.command("client add NAME"),
                held.name
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shell_gets_its_own_syntax() {
        let url = "http://localhost:3000/openai/v1";
        for (shell, expected) in [
            (Shell::Sh, "export X='http://localhost:3000/openai/v1'"),
            (Shell::Fish, "set -gx X 'http://localhost:3000/openai/v1'"),
            (
                Shell::Powershell,
                "$env:X = 'http://localhost:3000/openai/v1'",
            ),
        ] {
            assert_eq!(shell.export("X", url), expected);
        }
        assert_eq!(Shell::Sh.export("X", "a'b"), r"export X='a'\''b'");
    }
}
