//! The process that holds a socket, from `/proc` (proc(5)).
//!
//! A socket knows its user, not its process, so the descriptors of that user's processes are looked
//! through. Everything about one process is read through one open directory, which dies with the
//! process: a number that was given to another process in the meantime cannot be mistaken for it.

use std::ffi::{CStr, CString};
use std::fs;
use std::os::fd::OwnedFd;

use rustix::fs::{CWD, Dir, Mode, OFlags, openat, readlinkat};

use crate::types::Process;

/// Descriptors looked at in one search. A process with more must not keep us busy for it; its own
/// connections stay without a process.
const MAX_DESCRIPTORS: usize = 1 << 18;
const DELETED: &[u8] = b" (deleted)";

/// The process of `uid` that holds the socket with this inode.
///
/// When several do, it is the one that runs the longest: a socket is inherited by children, so the
/// oldest is the one that made it, or the closest to it.
pub(super) fn holding(uid: u32, inode: u64) -> Process {
    let socket = format!("socket:[{inode}]").into_bytes();
    let mut left = MAX_DESCRIPTORS;
    let holders = pids().filter_map(|pid| {
        let directory = open(pid, uid)?;
        let descriptor = descriptor_of(&directory, &socket, &mut left)?;
        Some((started(&directory)?, pid, directory, descriptor))
    });
    let oldest = holders.min_by_key(|(started, pid, ..)| (*started, *pid));
    let found = oldest.and_then(|(_, pid, directory, descriptor)| {
        let process = describe(&directory, uid, pid);
        // Gone, or another program since: then its paths are not those of the one that connected.
        is_socket(&directory, &descriptor, &socket).then_some(process)
    });
    found.unwrap_or_else(|| unknown(uid))
}

/// The process `pid` of `uid`, while it is still that user's.
pub(super) fn numbered(uid: u32, pid: u32) -> Process {
    match open(pid, uid) {
        Some(directory) => describe(&directory, uid, pid),
        None => Process {
            pid: Some(pid),
            ..unknown(uid)
        },
    }
}

fn unknown(uid: u32) -> Process {
    Process {
        uid: Some(uid),
        ..Process::default()
    }
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The directory of a process. It belongs to the process's user.
fn open(pid: u32, uid: u32) -> Option<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = openat(CWD, format!("/proc/{pid}"), flags, Mode::empty()).ok()?;
    let owner = rustix::fs::fstat(&directory).ok()?.st_uid;
    (owner == uid).then_some(directory)
}

/// The name of the descriptor that is `socket`, in `fd`.
fn descriptor_of(directory: &OwnedFd, socket: &[u8], left: &mut usize) -> Option<CString> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let descriptors = openat(directory, c"fd", flags, Mode::empty()).ok()?;
    for entry in Dir::read_from(descriptors).ok()? {
        *left = left.checked_sub(1)?;
        let entry = entry.ok()?;
        let path = in_fd(entry.file_name());
        if is_socket(directory, &path, socket) {
            return Some(path);
        }
    }
    None
}

fn in_fd(name: &CStr) -> CString {
    let mut path = b"fd/".to_vec();
    path.extend_from_slice(name.to_bytes());
    CString::new(path).unwrap_or_default()
}

fn is_socket(directory: &OwnedFd, descriptor: &CStr, socket: &[u8]) -> bool {
    readlinkat(directory, descriptor, Vec::new()).is_ok_and(|target| target.as_bytes() == socket)
}

/// When the process began, in ticks since the machine did.
fn started(directory: &OwnedFd) -> Option<u64> {
    let flags = OFlags::CLOEXEC;
    let file = openat(directory, c"stat", flags, Mode::empty()).ok()?;
    let stat = std::io::read_to_string(fs::File::from(file)).ok()?;
    // The name in parentheses is chosen by the process and may itself contain some.
    let (_, fields) = stat.rsplit_once(')')?;
    // `starttime` is field 22, and the one behind the name is field 3.
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

fn describe(directory: &OwnedFd, uid: u32, pid: u32) -> Process {
    let link = |name: &CStr| Some(readlinkat(directory, name, Vec::new()).ok()?.into_bytes());
    let is_deleted = || {
        rustix::fs::statat(directory, c"exe", rustix::fs::AtFlags::empty())
            .is_ok_and(|file| file.st_nlink == 0)
    };
    let exe = link(c"exe").map(|mut exe| {
        // An update replaces the file of a program that runs on; it is the same program.
        if exe.ends_with(DELETED) && is_deleted() {
            exe.truncate(exe.len() - DELETED.len());
        }
        exe
    });
    Process {
        uid: Some(uid),
        pid: Some(pid),
        exe: exe.map(|exe| visible(&exe)),
        cwd: link(c"cwd").map(|cwd| visible(&cwd)),
    }
}

/// `path` with everything escaped that cannot be seen, and with the escape character itself, so that
/// two paths never look the same.
fn visible(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\'' | '"' => text.push(c),
                c => text.extend(c.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn own_uid() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    fn inode(socket: &impl AsFd) -> u64 {
        rustix::fs::fstat(socket).unwrap().st_ino
    }

    fn own_path(link: &str) -> Option<String> {
        let path = fs::read_link(link).unwrap();
        Some(path.to_str().unwrap().to_owned())
    }

    #[test]
    fn our_own_socket_is_held_by_this_program() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let process = holding(own_uid(), inode(&client));
        assert_eq!(process.pid, Some(std::process::id()));
        assert_eq!(process.exe, own_path("/proc/self/exe"));
        assert_eq!(process.cwd, own_path("/proc/self/cwd"));
    }

    /// Runs until it is killed, with a copy of `socket` as its standard input.
    fn inheriting(socket: &TcpStream) -> Child {
        let copy = socket.as_fd().try_clone_to_owned().unwrap();
        let mut command = Command::new("sleep");
        command.arg("1000").stdin(Stdio::from(copy));
        command.spawn().unwrap()
    }

    #[test]
    fn of_several_holders_the_oldest_is_named_and_after_it_the_next() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let inode = inode(&client);
        let mut child = inheriting(&client);
        assert_eq!(holding(own_uid(), inode).pid, Some(std::process::id()));
        drop(client);
        let process = holding(own_uid(), inode);
        assert_eq!(process.pid, Some(child.id()));
        assert!(process.exe.unwrap().contains("/"), "a path");
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(holding(own_uid(), inode), unknown(own_uid()));
    }

    #[test]
    fn a_socket_nobody_holds_has_no_process() {
        assert_eq!(holding(own_uid(), u64::MAX), unknown(own_uid()));
    }

    #[test]
    fn a_process_of_another_user_is_not_described() {
        let process = numbered(own_uid() + 1, std::process::id());
        assert_eq!(process.exe, None);
        let process = numbered(own_uid(), std::process::id());
        assert_eq!(process.exe, own_path("/proc/self/exe"));
    }

    #[test]
    fn a_program_that_was_replaced_keeps_its_name() {
        let dir = tempfile::tempdir().unwrap();
        // One that is really called so is not taken for a deleted one.
        for (name, remove) in [("gone", true), ("x (deleted)", false)] {
            let path = dir.path().join(name);
            // Not copied by us: what a thread is writing cannot be run while another one forks.
            let copied = Command::new("cp").arg("/bin/sleep").arg(&path).status();
            assert!(copied.unwrap().success());
            let mut child = Command::new(&path).arg("1000").spawn().unwrap();
            if remove {
                fs::remove_file(&path).unwrap();
            }
            let process = numbered(own_uid(), child.id());
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(process.exe.unwrap(), path.to_str().unwrap());
        }
    }

    #[test]
    fn paths_cannot_hide_anything() {
        assert_eq!(visible(b"/usr/bin/it's"), "/usr/bin/it's");
        assert_eq!(visible("/höhe".as_bytes()), "/höhe");
        assert_eq!(visible(b"/a\nb\x1b[2J\\n"), r"/a\nb\u{1b}[2J\\n");
        assert_eq!(visible("/\u{202e}x".as_bytes()), r"/\u{202e}x");
        assert_eq!(visible(b"/\xff"), r"/\xff");
    }
}
