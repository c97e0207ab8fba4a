//! Arguments in the person's own editor.

use std::io::Write as _;
use std::process::{Command, ExitStatus};

use crate::error::Failure;
use crate::output::json;

/// `arguments` as they were left in the editor; None when nothing was changed. What would not be seen
/// there stands as its escape.
pub fn edit(arguments: &str) -> Result<Option<String>, Failure> {
    let before = json::escaped(&json::laid_out(arguments, false).join("\n"));
    // Readable by nobody else; gone afterwards.
    let mut file = tempfile::Builder::new()
        .prefix("mcpbridge-arguments-")
        .suffix(".json")
        .tempfile()
        .map_err(|error| Failure::local("cannot make a file for the editor", &error))?;
    writeln!(file, "{before}")
        .map_err(|error| Failure::local("cannot write the file for the editor", &error))?;
    let path = file.into_temp_path();
    let editor = chosen();
    let status = start(&editor, &path)
        .map_err(|error| Failure::local(format!("cannot run the editor {editor}"), &error))?;
    if !status.success() {
        return Err(Failure::usage(format!(
            "the editor {editor} failed; nothing was changed"
        )));
    }
    let after = std::fs::read_to_string(&path)
        .map_err(|error| Failure::local("cannot read what the editor wrote", &error))?;
    let changed = json::compact(&after) != json::compact(&before);
    Ok(changed.then(|| after.trim().to_owned()))
}

fn chosen() -> String {
    let named = ["VISUAL", "EDITOR"].into_iter();
    named
        .filter_map(|name| std::env::var(name).ok())
        .find(|editor| !editor.trim().is_empty())
        .unwrap_or_else(|| if cfg!(windows) { "notepad" } else { "vi" }.to_owned())
}

/// The variable may hold options as well, so a shell reads it, as it does for other programs.
#[cfg(unix)]
fn start(editor: &str, path: &std::path::Path) -> std::io::Result<ExitStatus> {
    let line = format!("{editor} \"$1\"");
    Command::new("sh")
        .args(["-c", &line, "sh"])
        .arg(path)
        .status()
}

#[cfg(windows)]
fn start(editor: &str, path: &std::path::Path) -> std::io::Result<ExitStatus> {
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("notepad");
    Command::new(program).args(words).arg(path).status()
}
