//! Searches what the product wrote for every secret the fakes issued.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::daemon::Home;
use crate::secrets::Secrets;

/// A run this long does not occur by chance.
const FRAGMENT: usize = 12;

/// Where a secret was found, one line each: the kind and the place, not the secret.
pub fn search(home: &Home, secrets: &Secrets) -> Vec<String> {
    let mut places: Vec<(String, String)> = [files(home.path()), files(home.output_dir())]
        .concat()
        .into_iter()
        .map(|path| {
            let content = fs::read(&path).unwrap_or_default();
            let content = String::from_utf8_lossy(&content).into_owned();
            (path.display().to_string(), content)
        })
        .collect();
    places.push((
        "output of mcpbridgectl".to_owned(),
        home.transcript.lock().unwrap().clone(),
    ));
    let mut found = Vec::new();
    for (secret, kind) in secrets.all() {
        let forms = forms(&secret);
        for (place, content) in &places {
            if let Some(form) = forms
                .iter()
                .find(|form| content.contains(form.text.as_str()))
            {
                found.push(format!("a {kind} ({}) in {place}", form.name));
            }
        }
    }
    found
}

struct Form {
    name: &'static str,
    text: String,
}

/// The ways a secret may appear in text.
fn forms(secret: &str) -> Vec<Form> {
    let mut forms = vec![
        Form {
            name: "plain",
            text: secret.to_owned(),
        },
        Form {
            name: "hexadecimal",
            text: hex(secret),
        },
        Form {
            name: "percent-encoded",
            text: url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        },
    ];
    // A run of letters and digits survives every escaping, so this finds JSON and partial ones, too.
    let runs = secret.split(|c: char| !c.is_ascii_alphanumeric());
    let longest = runs.max_by_key(|run| run.len()).unwrap_or_default();
    if longest.len() >= FRAGMENT {
        forms.push(Form {
            name: "in part",
            text: longest.to_owned(),
        });
    }
    // Inside a longer text, base64 of the secret starts at one of three alignments; its first and last
    // characters depend on the neighbours.
    for lead in 0..3 {
        let padded = [&vec![b'.'; lead][..], secret.as_bytes()].concat();
        let whole = padded.len() / 3 * 3;
        let skip = if lead == 0 { 0 } else { 4 };
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let text = engine.encode(&padded[..whole])[skip..].to_owned();
            forms.push(Form {
                name: "base64",
                text,
            });
        }
    }
    forms
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        let kind = fs::symlink_metadata(&path).map(|metadata| metadata.file_type());
        match kind {
            Ok(kind) if kind.is_dir() => found.extend(files(&path)),
            Ok(kind) if kind.is_file() => found.push(path),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn leaks_of(content: &str, secret: &str) -> Vec<String> {
        let home = Home::create();
        fs::create_dir_all(home.config_dir().join("logs")).unwrap();
        fs::write(home.config_dir().join("logs/today.log"), content).unwrap();
        let secrets = Secrets::default();
        secrets.remember("token", secret);
        search(&home, &secrets)
    }

    #[test]
    fn a_secret_is_found_in_every_form_it_may_take() {
        let secret = "access-token-aB3+dE6/gH9jK2mN5pQ8";
        let leaks = [
            format!("Authorization: Bearer {secret}"),
            "callback?code=access-token-aB3%2BdE6%2FgH9jK2mN5pQ8".to_owned(),
            format!("Basic {}", STANDARD.encode(format!("id:{secret}"))),
            format!("Basic {}", STANDARD.encode(format!("ids:{secret}:"))),
            hex(secret),
            "{\"t\":\"aB3+dE6\\/gH9jK2mN5pQ8\"}".to_owned(),
        ];
        for leak in leaks {
            assert_eq!(leaks_of(&leak, secret).len(), 1, "{leak}");
        }
    }

    #[test]
    fn text_without_the_secret_is_clean() {
        let found = leaks_of(
            "access-token [redacted]",
            "access-token-aB3+dE6/gH9jK2mN5pQ8",
        );
        assert!(found.is_empty(), "{found:?}");
    }
}
