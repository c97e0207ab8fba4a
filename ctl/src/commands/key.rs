//! `key`: keys of model APIs that the daemon holds, so that clients need not have them.

use clap::{Args, Subcommand};
use mcpbridge_proto::Client;
use mcpbridge_proto::v1::{
    KeyHolder, ListKeysRequest, RemoveKeyRequest, SetKeyRequest, VendorInfo,
};
use serde::Serialize;

use super::remove::confirmed;
use crate::context::Context;
use crate::error::Failure;
use crate::input;
use crate::output::table::Table;
use crate::output::time::{brief, rfc3339};

#[derive(Subcommand)]
pub enum KeyCommand {
    /// Store the key of a model API; clients then need a token of the bridge instead
    #[command(after_help = "\
The key is read from standard input and sealed in the vault. No command shows it again. Clients use what
`mcpbridgectl client add NAME` prints as their API key.")]
    Set {
        /// Name of the vendor: openai, anthropic, or one in config.json
        name: String,
        /// Read the key from standard input, also when that is no terminal
        #[arg(long)]
        stdin: bool,
    },
    /// List the model APIs and whose key each gets
    List,
    /// Forget a key; clients then send their own
    Remove(RemoveArgs),
}

#[derive(Args)]
pub struct RemoveArgs {
    /// Name of the vendor
    name: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

#[derive(Serialize)]
struct VendorView<'a> {
    name: &'a str,
    /// None when it is configured no longer.
    api: Option<&'a str>,
    url: &'a str,
    key: &'static str,
    set_at: Option<String>,
}

#[derive(Serialize)]
struct Stored<'a> {
    set: &'a str,
}

#[derive(Serialize)]
struct Removed<'a> {
    removed: Option<&'a str>,
}

pub async fn run(context: &Context, command: KeyCommand) -> Result<(), Failure> {
    match command {
        KeyCommand::Set { name, .. } => set(context, name).await,
        KeyCommand::List => list(context).await,
        KeyCommand::Remove(args) => remove(context, args).await,
    }
}

async fn set(context: &Context, name: String) -> Result<(), Failure> {
    let client = context.connect().await?;
    let key = input::secret("key")?;
    let request = SetKeyRequest {
        name: name.clone(),
        key,
    };
    client.keys().set_key(request).await?;
    let add = context.command("client add NAME");
    let said =
        format!("the key of {name} is stored; clients use what `{add}` prints as their API key");
    context.printer.done(&Stored { set: &name }, &said)
}

async fn list(context: &Context) -> Result<(), Failure> {
    let client = context.connect().await?;
    let vendors = vendors(&client).await?;
    if context.printer.is_json() {
        let views: Vec<_> = vendors.iter().map(view).collect();
        return context.printer.json(&views);
    }
    context.printer.table(&table(&vendors))?;
    for vendor in vendors.iter().filter(|v| v.key() == KeyHolder::OtherUrl) {
        let set = context.command(&format!("key set {}", vendor.name));
        let remove = context.command(&format!("key remove {}", vendor.name));
        context.printer.note(&format!(
            "the key of {} is for another URL and not used: `{set}` or `{remove}`",
            vendor.name
        ));
    }
    Ok(())
}

async fn vendors(client: &Client) -> Result<Vec<VendorInfo>, Failure> {
    let reply = client.keys().list_keys(ListKeysRequest {}).await?;
    Ok(reply.into_inner().vendors)
}

fn table(vendors: &[VendorInfo]) -> Table<5> {
    let mut table = Table::new(["NAME", "API", "KEY", "STORED", "URL"]).ending_whole();
    for vendor in vendors {
        let stored = match vendor.set_at {
            0 => "-".to_owned(),
            at => brief(at),
        };
        let api = match vendor.api.as_str() {
            "" => "-",
            api => api,
        };
        table.row([
            vendor.name.as_str().into(),
            api.into(),
            holder(vendor).1.into(),
            stored.as_str().into(),
            vendor.url.as_str().into(),
        ]);
    }
    table
}

async fn remove(context: &Context, args: RemoveArgs) -> Result<(), Failure> {
    let client = context.connect().await?;
    let name = args.name;
    if !args.yes && is_held(&client, &name).await? && !agreed(context, &name)? {
        let nothing = Removed { removed: None };
        return context.printer.done(&nothing, "nothing was removed");
    }
    let request = RemoveKeyRequest { name: name.clone() };
    client.keys().remove_key(request).await?;
    let said = format!("the key of {name} is forgotten; clients send their own");
    let removed = Removed {
        removed: Some(&name),
    };
    context.printer.done(&removed, &said)
}

/// Looked at before the question, so that nobody confirms a typing error; the daemon refuses that.
async fn is_held(client: &Client, name: &str) -> Result<bool, Failure> {
    let held = |vendor: &VendorInfo| match vendor.key() {
        KeyHolder::Daemon | KeyHolder::OtherUrl => vendor.name == name,
        KeyHolder::Client | KeyHolder::NotNeeded | KeyHolder::Unspecified => false,
    };
    Ok(vendors(client).await?.iter().any(held))
}

fn agreed(context: &Context, name: &str) -> Result<bool, Failure> {
    let what = format!("the key of {name}");
    let question = format!("forget {what}? No command shows it again");
    confirmed(context, &question, &what, &format!("key remove {name} -y"))
}

fn view(vendor: &VendorInfo) -> VendorView<'_> {
    VendorView {
        name: &vendor.name,
        api: Some(vendor.api.as_str()).filter(|api| !api.is_empty()),
        url: &vendor.url,
        key: holder(vendor).0,
        set_at: rfc3339(vendor.set_at),
    }
}

/// Whose key it gets, for programs and for people.
fn holder(vendor: &VendorInfo) -> (&'static str, &'static str) {
    match vendor.key() {
        KeyHolder::Daemon => ("daemon", "held here"),
        KeyHolder::Client => ("client", "the client's own"),
        KeyHolder::OtherUrl => ("other_url", "for another URL"),
        KeyHolder::NotNeeded => ("not_needed", "not needed"),
        KeyHolder::Unspecified => ("unknown", "unknown"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vendor(name: &str, api: &str, url: &str, key: KeyHolder, set_at: i64) -> VendorInfo {
        VendorInfo {
            name: name.to_owned(),
            api: api.to_owned(),
            url: url.to_owned(),
            key: key.into(),
            set_at,
        }
    }

    fn long_ago() -> i64 {
        crate::output::time::now() - 400 * 86_400
    }

    #[test]
    fn the_usual_vendors_fit_80_columns_whole() {
        let vendors = [
            vendor(
                "anthropic",
                "anthropic",
                "https://api.anthropic.com/",
                KeyHolder::Client,
                0,
            ),
            vendor(
                "openai",
                "openai",
                "https://api.openai.com/v1",
                KeyHolder::Daemon,
                long_ago(),
            ),
            vendor(
                "ollama",
                "openai",
                "http://localhost:11434/v1",
                KeyHolder::NotNeeded,
                0,
            ),
        ];
        let rendered = table(&vendors).render(80, false);
        assert!(rendered.lines().all(|line| line.chars().count() <= 80));
        assert!(!rendered.contains('…'), "{rendered}");
        assert!(rendered.contains("held here         400 days ago  https://api.openai.com/v1"));
    }

    #[test]
    fn a_long_url_is_whole_and_cuts_nothing_else() {
        let url = format!("https://models.example.com/{}v1", "path/".repeat(20));
        let name = "a-gateway-with-a-long-name";
        let vendors = [vendor(name, "openai", &url, KeyHolder::Daemon, long_ago())];
        let rendered = table(&vendors).render(80, false);
        let row = format!("{name}  openai  held here  400 days ago  {url}\n");
        assert!(rendered.ends_with(&row), "{rendered}");
    }
}
