//! `logs`: the end of the daemon's log, and what is added to it.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use mcpbridge_proto::v1::GetStatusRequest;
use serde::Serialize;
use tokio::time::sleep;

use crate::context::Context;
use crate::error::Failure;
use crate::exit::Exit;

const FILE: &str = "mcpbridged.log";
const LOOK_EVERY: Duration = Duration::from_millis(200);
const UNIT: &str = "mcpbridged";

#[derive(Args)]
pub struct LogsArgs {
    /// Keep printing what is added
    #[arg(long, short)]
    follow: bool,
    /// Print this many of the last lines
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100)]
    lines: usize,
}

#[derive(Serialize)]
struct Line<'a> {
    line: &'a str,
}

pub async fn run(context: &Context, args: LogsArgs) -> Result<(), Failure> {
    let path = match destination(context).await?.as_deref() {
        Some("journald") => return journal(context, &args),
        Some("stderr") => {
            return Err(Failure::new(
                Exit::NotFound,
                "the daemon runs in the foreground and logs to its own terminal",
            ));
        }
        Some(path) => PathBuf::from(path),
        // The log of a daemon that ended is often the one that is wanted.
        None => context.config_dir.join("logs").join(FILE),
    };
    let failed = |e: io::Error| unreadable(context, &path, &e);
    let mut log = Follower::open(&path).map_err(failed)?;
    for line in log.last(args.lines).map_err(failed)? {
        print(context, &line)?;
    }
    if !args.follow {
        return Ok(());
    }
    loop {
        sleep(LOOK_EVERY).await;
        for line in log.added().map_err(failed)? {
            print(context, &line)?;
        }
    }
}

/// Where the running daemon logs to; None when none is running.
async fn destination(context: &Context) -> Result<Option<String>, Failure> {
    let Some(client) = context.try_connect(Duration::ZERO).await? else {
        return Ok(None);
    };
    let status = client.daemon().get_status(GetStatusRequest {}).await?;
    Ok(Some(status.into_inner().log_destination))
}

fn print(context: &Context, line: &str) -> Result<(), Failure> {
    if context.printer.is_json() {
        context.printer.event(&Line { line })
    } else {
        context.printer.line(line)
    }
}

fn unreadable(context: &Context, path: &Path, error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::NotFound {
        return Failure::new(
            Exit::NotFound,
            format!("there is no log at {}", path.display()),
        )
        .hint(format!(
            "a daemon started with `{}` writes one",
            context.command("start")
        ));
    }
    Failure::local(format!("cannot read {}", path.display()), error)
}

fn journal(context: &Context, args: &LogsArgs) -> Result<(), Failure> {
    let mut command = std::process::Command::new("journalctl");
    command.args(["--user", "--unit", UNIT, "--no-pager"]);
    command.arg(format!("--lines={}", args.lines));
    if args.follow {
        command.arg("--follow");
    }
    if context.printer.is_json() {
        command.arg("--output=json");
    }
    let status = command
        .status()
        .map_err(|e| Failure::local("cannot run journalctl", &e))?;
    match status.success() {
        true => Ok(()),
        false => Err(Failure::new(
            Exit::Fault,
            format!("journalctl failed ({status})"),
        )),
    }
}

/// Reads a log file that is rotated by renaming it.
struct Follower {
    path: PathBuf,
    reader: BufReader<File>,
    /// A line whose end is not written yet.
    partial: String,
}

impl Follower {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            reader: BufReader::new(File::open(path)?),
            partial: String::new(),
        })
    }

    /// The last `count` lines, with those of the previous file when this one has fewer.
    fn last(&mut self, count: usize) -> io::Result<Vec<String>> {
        let mut lines = tail(self.reader.get_mut(), count)?;
        let mut previous = self.path.clone().into_os_string();
        previous.push(".1");
        if lines.len() < count
            && let Ok(mut file) = File::open(previous)
        {
            let mut older = tail(&mut file, count - lines.len())?;
            older.append(&mut lines);
            lines = older;
        }
        Ok(lines)
    }

    /// Lines added since the last call, across a rotation.
    fn added(&mut self) -> io::Result<Vec<String>> {
        let mut lines = Vec::new();
        let rotated = self.is_rotated();
        // Asked first: what is written between the question and the rename is still read here.
        self.read_lines(&mut lines)?;
        if rotated {
            *self = Self::open(&self.path)?;
            self.read_lines(&mut lines)?;
        }
        Ok(lines)
    }

    fn read_lines(&mut self, lines: &mut Vec<String>) -> io::Result<()> {
        let mut bytes = Vec::new();
        while self.reader.read_until(b'\n', &mut bytes)? > 0 {
            self.partial.push_str(&String::from_utf8_lossy(&bytes));
            bytes.clear();
            if self.partial.ends_with('\n') {
                lines.push(self.partial.trim_end().to_owned());
                self.partial.clear();
            }
        }
        Ok(())
    }

    fn is_rotated(&mut self) -> bool {
        // No file for a moment means that the new one is about to appear.
        let (Ok(now), Ok(open)) = (fs::metadata(&self.path), self.reader.get_ref().metadata())
        else {
            return false;
        };
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            (now.dev(), now.ino()) != (open.dev(), open.ino())
        }
        #[cfg(windows)]
        {
            now.len() < open.len()
        }
    }
}

/// The last `count` lines of `file`, read from its end; leaves the file at its end.
fn tail(file: &mut File, count: usize) -> io::Result<Vec<String>> {
    const CHUNK: u64 = 64 * 1024;
    let end = file.seek(SeekFrom::End(0))?;
    let mut start = end;
    let mut bytes: Vec<u8> = Vec::new();
    // One line end more than lines: the first line must be whole.
    while start > 0 && bytes.iter().filter(|byte| **byte == b'\n').count() <= count {
        let size = start.min(CHUNK);
        start -= size;
        file.seek(SeekFrom::Start(start))?;
        let mut chunk = Vec::new();
        file.by_ref().take(size).read_to_end(&mut chunk)?;
        chunk.append(&mut bytes);
        bytes = chunk;
    }
    file.seek(SeekFrom::Start(end))?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.len().saturating_sub(count);
    Ok(lines[first..]
        .iter()
        .map(|line| (*line).to_owned())
        .collect())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn append(path: &Path, text: &str) {
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn the_last_lines_come_from_both_files_when_needed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        append(&dir.path().join("mcpbridged.log.1"), "one\ntwo\n");
        append(&path, "three\nfour\n");
        let mut log = Follower::open(&path).unwrap();
        assert_eq!(log.last(1).unwrap(), ["four"]);
        assert_eq!(log.last(3).unwrap(), ["two", "three", "four"]);
        assert_eq!(log.last(9).unwrap(), ["one", "two", "three", "four"]);
    }

    #[test]
    fn long_files_are_read_from_their_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let text: String = (0..20_000).map(|n| format!("line number {n}\n")).collect();
        append(&path, &text);
        let lines = Follower::open(&path).unwrap().last(10_000).unwrap();
        assert_eq!(lines.len(), 10_000);
        assert_eq!(lines[0], "line number 10000");
        assert_eq!(lines[9_999], "line number 19999");
    }

    #[test]
    fn following_survives_rotation_and_half_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        append(&path, "old\n");
        let mut log = Follower::open(&path).unwrap();
        log.last(1).unwrap();
        append(&path, "a\nhal");
        assert_eq!(log.added().unwrap(), ["a"]);
        append(&path, "f\nb\n");
        fs::rename(&path, dir.path().join("mcpbridged.log.1")).unwrap();
        append(&path, "c\n");
        assert_eq!(log.added().unwrap(), ["half", "b", "c"]);
        assert!(log.added().unwrap().is_empty());
    }
}
