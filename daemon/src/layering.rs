//! Architecture as a test: who may import whom, and how long a file may get.
//!
//! A module uses modules of rows below its own, never of its own row (the first and last rows
//! excepted), never above. The table is the one in `ARCHITECTURE.md`.

mod reach;

use std::fs;
use std::path::{Path, PathBuf};

/// Bottom row first.
const LAYERS: [&[&str]; 7] = [
    &["types", "clock", "error", "paths", "telemetry", "lifecycle"],
    &["config", "store", "net"],
    &["vault", "audit", "mcp", "oauth", "policy"],
    &[
        "registry",
        "credentials",
        "approval",
        "catalog",
        "clients",
        "conversations",
        "upstream",
    ],
    &["pipeline", "http", "admin", "vendors"],
    &["proxy", "adapters", "web", "control", "desktop"],
    &["app", "server", "cli", "main", "lib", "layering"],
];

/// Below the surfaces, and still not theirs: secrets go through `credentials`, records through the
/// service that owns them, calls through `pipeline`.
const NOT_FOR_SURFACES: [&str; 3] = ["vault", "store", "upstream"];

const MAX_LINES: usize = 500;

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
}

/// Modules named by `crate::x` paths in `source`; `use crate::{a, b::c}` included.
fn imports(source: &str) -> Vec<String> {
    let code: String = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut found = Vec::new();
    for prefix in ["crate::", "mcpbridge_daemon::"] {
        for (at, _) in code.match_indices(prefix) {
            let rest = &code[at + prefix.len()..];
            match rest.strip_prefix('{') {
                Some(group) => found.extend(group_heads(group)),
                None => found.push(identifier(rest)),
            }
        }
    }
    found.retain(|name| layer_of(name).is_some());
    found
}

/// First path segments of a `{a, b::{c, d}, e}` group whose opening brace is already gone.
fn group_heads(group: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let mut depth = 0;
    let mut expect_head = true;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expect_head = true,
            c if expect_head && !c.is_whitespace() => {
                heads.push(identifier(&group[at..]));
                expect_head = false;
            }
            _ => {}
        }
    }
    heads
}

fn identifier(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect()
}

/// The violation, if code of `module` must not import `target`.
fn violation(module: &str, target: &str) -> Option<String> {
    if module == target {
        return None;
    }
    let (from, to) = (layer_of(module)?, layer_of(target)?);
    let free_row = from == 0 || from == LAYERS.len() - 1;
    let surface = LAYERS[5].contains(&module);
    let reaches_around = surface && NOT_FOR_SURFACES.contains(&target);
    let allowed = (to < from || (to == from && free_row)) && !reaches_around;
    (!allowed).then(|| format!("{module} (row {from}) imports {target} (row {to})"))
}

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "target") {
                rust_files(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_module_imports_upwards_or_sideways() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let mut violations = Vec::new();
    for file in files {
        let relative = file.strip_prefix(&src).unwrap();
        let first = relative.components().next().unwrap();
        let module = Path::new(first.as_os_str())
            .file_stem()
            .unwrap()
            .to_str()
            .unwrap();
        if layer_of(module).is_none() {
            violations.push(format!("{module} is in no layer: add it to the table"));
            continue;
        }
        // This file shows imports as data.
        if module == "layering" {
            continue;
        }
        // Tests of a surface put together what they need.
        let builds_its_own = relative.components().any(|part| {
            Path::new(part.as_os_str())
                .file_stem()
                .is_some_and(|stem| stem == "tests")
        });
        for target in imports(&fs::read_to_string(&file).unwrap()) {
            if builds_its_own && NOT_FOR_SURFACES.contains(&target.as_str()) {
                continue;
            }
            violations.extend(
                violation(module, &target).map(|text| format!("{}: {text}", relative.display())),
            );
        }
    }
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn a_planted_upward_import_is_caught() {
    let source = "use crate::{types::Secret, proxy::{handler, reply}};\nlet x = crate::net::get();";
    let found = imports(source);
    assert_eq!(found, ["types", "proxy", "net"]);
    assert!(violation("policy", "proxy").is_some(), "upwards");
    assert!(violation("policy", "oauth").is_some(), "sideways");
    assert!(
        violation("proxy", "upstream").is_some(),
        "around the pipeline"
    );
    assert!(violation("policy", "types").is_none(), "downwards");
    assert!(violation("app", "server").is_none(), "composition is free");
}

#[test]
fn no_source_file_is_longer_than_one_idea() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for part in ["proto", "daemon", "ctl", "tests"] {
        rust_files(&root.join(part), &mut files);
    }
    assert!(!files.is_empty(), "the walk found the sources");
    let long: Vec<String> = files
        .iter()
        .map(|file| (file, fs::read_to_string(file).unwrap().lines().count()))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(file, lines)| format!("{}: {lines} lines", file.display()))
        .collect();
    assert!(
        long.is_empty(),
        "longer than {MAX_LINES} lines:\n{}",
        long.join("\n")
    );
}
