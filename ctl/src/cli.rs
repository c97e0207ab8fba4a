//! The command line as a whole; each command's own options are beside its code.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands::{
    add, approvals, audit, call, client, completions, env, init, key, login, logs, policy, remove,
    restart, start, tools, ui,
};

/// Control mcp-oauth-bridge: sign in to MCP servers once, use them on localhost
#[derive(Parser)]
#[command(name = "mcpbridgectl", version, max_term_width = 100)]
#[command(after_help = "\
Exit codes: 0 done, 1 fault, 2 usage, 3 daemon unreachable, 4 not found,
5 conflict, 6 login needed, 7 denied, 8 timed out, 9 unavailable")]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Configuration directory of the daemon [default: ~/.mcp-oauth-bridge]
    #[arg(long, global = true, value_name = "DIR", env = "MCPBRIDGE_CONFIG_DIR")]
    pub config_dir: Option<PathBuf>,
    /// Control socket of the daemon, when it is not at its usual place
    #[arg(long, global = true, value_name = "PATH", env = "MCPBRIDGE_SOCKET")]
    pub socket: Option<PathBuf>,
    /// Print JSON: one document, or one object per line for events
    #[arg(long, global = true)]
    pub json: bool,
    /// Print results, warnings and errors only
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say what is being done
    #[arg(long, short, global = true)]
    pub verbose: bool,
}

#[derive(Subcommand)]
pub enum Command {
    /// Create the configuration and choose where the vault key is kept
    Init(init::InitArgs),
    /// Start the daemon and wait until it is ready
    Start(start::StartArgs),
    /// Stop the daemon; calls under way may finish
    Stop,
    /// Stop the daemon and start it again
    Restart(restart::RestartArgs),
    /// Show the daemon and what needs attention
    Status,
    /// Show the daemon's log
    Logs(logs::LogsArgs),
    /// Add an MCP server and sign in to it
    Add(Box<add::AddArgs>),
    /// List the configured servers
    List,
    /// Show one server in full
    Show(ServerName),
    /// Sign out of a server and remove it
    Remove(remove::RemoveArgs),
    /// Sign in to a server, again or for more scopes
    Login(login::LoginArgs),
    /// Revoke and forget a server's tokens; the server stays configured
    Logout(ServerName),
    /// Refresh a server's access token now
    Refresh(ServerName),
    /// List a server's tools, and approve what changed about them
    Tools(tools::ToolsArgs),
    /// Call a tool, under the same policy as any client
    Call(call::CallArgs),
    /// Show the calls that wait for a decision, and what was decided
    Approvals(approvals::ApprovalsArgs),
    /// Let calls run that wait for a decision
    Approve(approvals::ApproveArgs),
    /// Refuse calls that wait for a decision
    Deny(approvals::DenyArgs),
    /// Decide which tool calls run
    Policy {
        #[command(subcommand)]
        command: policy::PolicyCommand,
    },
    /// Open the pages in the browser: approvals, servers, rules, audit
    Ui(ui::UiArgs),
    /// Give clients tokens of their own, and take them back
    Client {
        #[command(subcommand)]
        command: client::ClientCommand,
    },
    /// Keep the keys of model APIs, so that clients need none
    Key {
        #[command(subcommand)]
        command: key::KeyCommand,
    },
    /// Print the variables by which AI SDKs find the bridge
    Env(env::EnvArgs),
    /// Show what happened: calls, decisions, sign-ins, changes
    Audit(audit::AuditArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
}

#[derive(Args)]
pub struct ServerName {
    /// Name of the server
    pub name: String,
}

/// What happens to a tool call.
#[derive(Clone, Copy, ValueEnum)]
pub enum Effect {
    /// It waits for a person
    Ask,
    /// It runs
    Allow,
    /// It never runs
    Deny,
}

impl Effect {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parses(line: &str) -> bool {
        Cli::try_parse_from(line.split(' ')).is_ok()
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_go_before_and_after_the_command() {
        assert!(parses("mcpbridgectl --json list"));
        assert!(parses("mcpbridgectl list --json --config-dir /x"));
        assert!(!parses("mcpbridgectl -q -v list"));
    }

    /// An option that shares its name with a global one is only noticed when it is read.
    #[test]
    fn every_command_can_be_read_with_the_global_options() {
        for command in [
            "init --key-store key-file --passphrase-fd 3",
            "start --host h --port 1 --log-level debug --foreground",
            "stop",
            "restart --port 1",
            "status",
            "logs -f -n 3",
            "add n https://s --no-browser --policy allow --resource auto --issuer https://i",
            "list",
            "show n",
            "remove n -y",
            "login n --scope s --no-browser",
            "logout n",
            "refresh n",
            "tools n",
            "call n t {}",
            "approvals",
            "approvals --all --server s",
            "approvals list --state denied --state done -n 3 --before k3v9",
            "approvals show k3v9",
            "approvals watch --server s",
            "approvals grants",
            "approvals grants list",
            "approvals grants revoke k3v9",
            "approvals pin",
            "approvals pin set --stdin",
            "approvals pin clear --stdin",
            "approve k3v9 m2x4 --for 10m --pin-stdin",
            "approve k3v9 --always --these-arguments --arguments {}",
            "deny k3v9 m2x4 --reason no",
            "policy list n",
            "policy set n t allow --arg /a<=1 --annotation readOnlyHint=true --caller uid:1",
            "policy unset n t --arg /a<=1",
            "policy unset n --rule 2",
            "policy trust n off",
            "policy weak-approval n",
            "policy test n t {} --caller client:ci --annotation readOnlyHint=true",
            "policy set n t allow --pin-stdin",
            "ui --no-browser",
            "client add n --server s --tool t --expires 30d --pin-stdin",
            "tools n --approve t --pin-stdin",
            "client list",
            "client revoke n",
            "audit --server s --tool t --kind call --since 2h -n 5 -f",
            "key set openai --stdin",
            "key list",
            "key remove openai --yes",
            "env openai --shell fish",
            "audit verify",
            "completions bash",
        ] {
            let line = format!("mcpbridgectl --config-dir d --socket s --json -v {command}");
            assert!(parses(&line), "{line}");
        }
    }

    #[test]
    fn a_policy_is_set_with_and_without_a_tool() {
        assert!(parses("mcpbridgectl policy set stripe allow"));
        assert!(parses("mcpbridgectl policy set stripe list_* allow"));
        assert!(!parses("mcpbridgectl policy set stripe list_* perhaps"));
    }

    #[test]
    fn an_approval_lasts_in_one_way() {
        assert!(parses("mcpbridgectl approve k3v9"));
        assert!(!parses("mcpbridgectl approve"));
        assert!(!parses("mcpbridgectl deny"));
        assert!(!parses("mcpbridgectl approve k3v9 --for 10m --always"));
        assert!(!parses("mcpbridgectl approve k3v9 --these-arguments"));
        assert!(!parses("mcpbridgectl approve k3v9 --for 0s"));
    }

    #[test]
    fn kinds_of_authentication_exclude_each_other() {
        assert!(parses(
            "mcpbridgectl add s https://s --bearer-stdin --header K:V"
        ));
        assert!(!parses(
            "mcpbridgectl add s https://s --bearer-stdin --no-auth"
        ));
        assert!(!parses("mcpbridgectl add s https://s --no-auth --scope x"));
        assert!(!parses(
            "mcpbridgectl add s https://s --header K:V --client-id c"
        ));
        assert!(!parses(
            "mcpbridgectl add s https://s --client-secret-stdin"
        ));
        assert!(parses(
            "mcpbridgectl add s https://s --client-id c --client-secret-stdin"
        ));
    }
}
