//! The HTTP routes of the daemon, read out of its sources.

use std::fs;
use std::path::{Path, PathBuf};

/// What adds routes to an axum router in a way that [`literals`] does not read. `merge` joins routers
/// whose own routes are read where they are made.
const UNREADABLE: [&str; 6] = [
    ".nest(",
    ".nest_service(",
    ".route_service(",
    ".fallback_service(",
    ".on(",
    "MethodFilter",
];

/// Every route in the product's sources.
pub(super) fn in_sources(daemon: &Path) -> Result<Vec<String>, String> {
    let mut files = Vec::new();
    walk(&daemon.join("src"), &mut files);
    let mut routes = Vec::new();
    for file in files {
        let name = file.display().to_string();
        if name.ends_with("tests.rs") || name.contains("/tests/") || name.contains("/layering") {
            continue;
        }
        let source = fs::read_to_string(&file).unwrap();
        let product = source.split("\nmod tests {").next().unwrap_or_default();
        routes.extend(literals(product).map_err(|why| format!("{name}: {why}"))?);
    }
    routes.sort();
    routes.dedup();
    Ok(routes)
}

/// The paths of `.route("…"` in `source`.
pub(super) fn literals(source: &str) -> Result<Vec<String>, String> {
    let lines = source.lines().map(str::trim);
    let code: String = lines.filter(|line| !line.starts_with("//")).collect();
    if !code.contains("Router") {
        return Ok(Vec::new());
    }
    if let Some(form) = UNREADABLE.iter().find(|form| code.contains(**form)) {
        return Err(format!("teach tests/e2e/reach/routes.rs to read `{form}`"));
    }
    let calls = code.split(".route(").skip(1);
    calls
        .map(|call| {
            let path = call.trim_start().strip_prefix('"');
            let path = path.and_then(|path| path.split('"').next());
            let shown: String = call.chars().take(40).collect();
            path.map(str::to_owned)
                .ok_or_else(|| format!("the path of a route is no literal: .route({shown}"))
        })
        .collect()
}

/// `route` with its parameters filled in.
pub(super) fn filled(
    route: &str,
    value: impl Fn(&str) -> Option<String>,
) -> Result<String, String> {
    let mut path = String::new();
    let mut rest = route;
    while let Some((before, parameter)) = rest.split_once('{') {
        let (name, after) = parameter.split_once('}').ok_or("a brace without its end")?;
        let value = value(name).ok_or_else(|| {
            format!("{route}: say in tests/e2e/reach/mod.rs what to put for {{{name}}}")
        })?;
        path = path + before + &value;
        rest = after;
    }
    Ok(path + rest)
}

fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}
