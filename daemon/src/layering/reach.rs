//! The chain from a tool back to what asked for it, as a test: each link stands in one place.
//!
//! A connection to a server is opened by `upstream`, which only `pipeline` imports, which sends in
//! one file; and `vendors`, which sends to model APIs that `config.json` names. What reaches a tool has therefore come through `pipeline`. That every route and RPC
//! really does is shown from outside, in `tests/e2e/reach.rs`.

use std::fs;
use std::path::Path;

use super::{imports, rust_files};

/// What must not stand just anywhere.
struct Link {
    /// A module that is imported, or text of the source, blanks left out.
    what: What,
    /// Directories and files of `src` where it may stand.
    only: &'static [&'static str],
}

#[derive(Debug)]
enum What {
    Import(&'static str),
    Code(&'static str),
}

const CHAIN: [Link; 10] = [
    Link {
        what: What::Code("TcpStream::connect("),
        only: &["net/", "upstream/"],
    },
    Link {
        what: What::Code("hyper_util::client"),
        only: &["net/", "upstream/"],
    },
    Link {
        what: What::Code("hyper::client"),
        only: &["upstream/"],
    },
    Link {
        what: What::Code("reqwest::"),
        only: &["net/"],
    },
    Link {
        // The client of sign-ins, which the composition makes and hands to `credentials`.
        what: What::Code("Client::new("),
        only: &["net/", "app/", "oauth/token.rs"],
    },
    Link {
        what: What::Import("upstream"),
        only: &["upstream/", "pipeline/", "vendors/"],
    },
    Link {
        what: What::Code("Upstream::new("),
        only: &["pipeline/mod.rs", "vendors/mod.rs"],
    },
    Link {
        what: What::Code("upstream.send("),
        only: &["pipeline/exchange.rs", "vendors/mod.rs"],
    },
    Link {
        what: What::Code("upstream.pass("),
        only: &["vendors/mod.rs"],
    },
    Link {
        what: What::Code(".upstream.clone("),
        only: &[],
    },
];

impl Link {
    fn is_broken_by(&self, file: &str, source: &str) -> bool {
        let stands = match self.what {
            What::Import(module) => imports(source).iter().any(|name| name == module),
            What::Code(text) => {
                let lines = source.lines().map(str::trim_start);
                let code: String = lines.filter(|line| !line.starts_with("//")).collect();
                code.split_whitespace().collect::<String>().contains(text)
            }
        };
        stands && !self.only.iter().any(|place| file.starts_with(place))
    }
}

/// What stands where it must not in `file`, a path below `src`.
fn broken_links(file: &str, source: &str) -> Vec<String> {
    // Unit tests stand at the end of a file, and may connect to what they start themselves.
    let product = source.split("\nmod tests {").next().unwrap_or_default();
    CHAIN
        .iter()
        .filter(|link| link.is_broken_by(file, product))
        .map(|link| format!("{file}: {:?} belongs in {:?} only", link.what, link.only))
        .collect()
}

#[test]
fn nothing_but_the_pipeline_sends_to_a_server() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let mut broken = Vec::new();
    for file in &files {
        let relative = file.strip_prefix(&src).unwrap();
        let relative = relative.to_str().unwrap().replace('\\', "/");
        let of_tests = relative.ends_with("tests.rs") || relative.contains("/tests/");
        if !of_tests && !relative.starts_with("layering") {
            broken.extend(broken_links(&relative, &fs::read_to_string(file).unwrap()));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_link_of_the_chain_is_still_there() {
    // A link whose text no longer occurs where it belongs guards nothing.
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let sends = fs::read_to_string(src.join("pipeline/exchange.rs")).unwrap();
    assert!(!broken_links("pipeline/planted.rs", &sends).is_empty());
    let connects = fs::read_to_string(src.join("upstream/pool.rs")).unwrap();
    assert!(!broken_links("web/planted.rs", &connects).is_empty());
    let makes = fs::read_to_string(src.join("pipeline/mod.rs")).unwrap();
    assert!(!broken_links("pipeline/planted.rs", &makes).is_empty());
}

#[test]
fn a_planted_bypass_is_caught() {
    let planted = [
        "use crate::{types::Secret, upstream::Upstream};",
        "let answer = crate::upstream::Upstream::new(LIMIT);",
        "let answer = inner\n    .upstream\n    // once\n    .send(&outgoing, &headers)\n    .await;",
        "let mine = self.inner.upstream.clone();",
        "let client = crate::net::Client::new();",
        "let client = reqwest::Client::new();",
        "TcpStream::connect(address).await",
        "use hyper_util::client::legacy;",
        "use hyper::client::conn;",
    ];
    for source in planted {
        for file in ["control/tools.rs", "web/approvals.rs", "proxy/handler.rs"] {
            assert!(!broken_links(file, source).is_empty(), "{file}: {source}");
        }
    }
    let own = "fn f() {}\n#[cfg(test)]\nmod tests {\n    TcpStream::connect(address)\n}";
    assert!(broken_links("server.rs", own).is_empty(), "a test's own");
}
