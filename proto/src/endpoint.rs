//! Where the control API listens: the one place that knows the order of defaults.

use std::fmt;
use std::path::{Path, PathBuf};

/// Directory below the home directory, and below `XDG_RUNTIME_DIR` without the dot.
const NAME: &str = "mcp-oauth-bridge";
const SOCKET_FILE: &str = "control.sock";

/// `sun_path` holds 108 bytes on Linux and 104 on the BSDs and macOS, the closing NUL included.
const SOCKET_PATH_MAX: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// The address of one daemon's control API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A Unix domain socket.
    Unix(PathBuf),
    /// A Windows named pipe, without the leading `\\.\pipe\`.
    Pipe(String),
}

#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    #[error("the home directory is unknown: set HOME, or name a directory with --config-dir")]
    NoHome,
    #[error(
        "the socket path {} is {length} bytes long, and this system allows {SOCKET_PATH_MAX}: \
         choose a shorter one with --socket",
        path.display()
    )]
    PathTooLong { path: PathBuf, length: usize },
    #[error("cannot make {} an absolute path", path.display())]
    NotAbsolute {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// What the environment says, read once so that the rules below can be tested.
struct Surroundings {
    default_config_dir: Result<PathBuf, EndpointError>,
    runtime_dir: Option<PathBuf>,
}

/// `~/.mcp-oauth-bridge`.
///
/// # Errors
/// The home directory is unknown.
pub fn default_config_dir() -> Result<PathBuf, EndpointError> {
    std::env::home_dir()
        .filter(|home| !home.as_os_str().is_empty())
        .map(|home| home.join(format!(".{NAME}")))
        .ok_or(EndpointError::NoHome)
}

impl Endpoint {
    /// Chooses the endpoint: the override, else the runtime directory for the default configuration
    /// directory, else a socket inside the configuration directory.
    ///
    /// # Errors
    /// The path does not fit a socket address, or the home directory is needed and unknown.
    pub fn resolve(
        override_socket: Option<&Path>,
        config_dir: Option<&Path>,
    ) -> Result<Self, EndpointError> {
        let surroundings = Surroundings {
            default_config_dir: default_config_dir(),
            // The XDG base directory specification says to ignore relative paths.
            runtime_dir: std::env::var_os("XDG_RUNTIME_DIR")
                .map(PathBuf::from)
                .filter(|dir| dir.is_absolute()),
        };
        if cfg!(windows) {
            pipe(override_socket, config_dir, surroundings)
        } else {
            socket(override_socket, config_dir, surroundings)
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Pipe(name) => write!(f, r"\\.\pipe\{name}"),
        }
    }
}

fn socket(
    override_socket: Option<&Path>,
    config_dir: Option<&Path>,
    surroundings: Surroundings,
) -> Result<Endpoint, EndpointError> {
    let path = match override_socket {
        Some(path) => absolute(path)?,
        None => match (custom_dir(config_dir, &surroundings)?, surroundings) {
            (Some(dir), _) => dir.join(SOCKET_FILE),
            (
                None,
                Surroundings {
                    runtime_dir: Some(dir),
                    ..
                },
            ) => dir.join(NAME).join(SOCKET_FILE),
            (None, surroundings) => surroundings.default_config_dir?.join(SOCKET_FILE),
        },
    };
    let length = path.as_os_str().len();
    if length > SOCKET_PATH_MAX {
        return Err(EndpointError::PathTooLong { path, length });
    }
    Ok(Endpoint::Unix(path))
}

fn pipe(
    override_name: Option<&Path>,
    config_dir: Option<&Path>,
    surroundings: Surroundings,
) -> Result<Endpoint, EndpointError> {
    if let Some(name) = override_name {
        let name = name.to_string_lossy();
        let bare = name.strip_prefix(r"\\.\pipe\").unwrap_or(&name);
        return Ok(Endpoint::Pipe(bare.to_owned()));
    }
    let user = std::env::var("USERNAME").unwrap_or_default();
    Ok(Endpoint::Pipe(
        match custom_dir(config_dir, &surroundings)? {
            None => format!("{NAME}-{user}"),
            // Pipe names are flat: a digest of the directory keeps two daemons of one user apart.
            Some(dir) => format!("{NAME}-{user}-{:016x}", fnv1a(&dir.to_string_lossy())),
        },
    ))
}

/// The configuration directory when it is not the default one.
fn custom_dir(
    config_dir: Option<&Path>,
    surroundings: &Surroundings,
) -> Result<Option<PathBuf>, EndpointError> {
    let Some(dir) = config_dir else {
        return Ok(None);
    };
    let dir = absolute(dir)?;
    let is_default = surroundings
        .default_config_dir
        .as_ref()
        .is_ok_and(|default| *default == dir);
    Ok((!is_default).then_some(dir))
}

/// Absolute and without `.` components or a trailing slash, so that spellings of one path compare equal.
fn absolute(path: &Path) -> Result<PathBuf, EndpointError> {
    let absolute = std::path::absolute(path).map_err(|source| EndpointError::NotAbsolute {
        path: path.to_owned(),
        source,
    })?;
    Ok(absolute.components().collect())
}

/// FNV-1a: both processes must compute the same digest, whichever toolchain built them.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surroundings(runtime_dir: Option<&str>) -> Surroundings {
        Surroundings {
            default_config_dir: Ok(PathBuf::from("/home/ada/.mcp-oauth-bridge")),
            runtime_dir: runtime_dir.map(PathBuf::from),
        }
    }

    fn resolved(socket_path: Option<&str>, dir: Option<&str>, runtime: Option<&str>) -> String {
        socket(
            socket_path.map(Path::new),
            dir.map(Path::new),
            surroundings(runtime),
        )
        .unwrap()
        .to_string()
    }

    #[cfg(unix)]
    #[test]
    fn the_default_directory_uses_the_runtime_directory() {
        let in_runtime = "/run/user/1/mcp-oauth-bridge/control.sock";
        let runtime = Some("/run/user/1");
        assert_eq!(resolved(None, None, runtime), in_runtime);
        let spelled_out = Some("/home/ada/./.mcp-oauth-bridge/");
        assert_eq!(resolved(None, spelled_out, runtime), in_runtime);
    }

    #[cfg(unix)]
    #[test]
    fn without_a_runtime_directory_the_socket_lies_in_the_default_directory() {
        let expected = "/home/ada/.mcp-oauth-bridge/control.sock";
        assert_eq!(resolved(None, None, None), expected);
    }

    #[cfg(unix)]
    #[test]
    fn any_other_directory_holds_its_own_socket() {
        let runtime = Some("/run/user/1");
        let expected = "/srv/bridge/control.sock";
        assert_eq!(resolved(None, Some("/srv/bridge"), runtime), expected);
    }

    #[cfg(unix)]
    #[test]
    fn an_override_wins() {
        let runtime = Some("/run/user/1");
        assert_eq!(resolved(Some("/s.sock"), Some("/srv"), runtime), "/s.sock");
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_no_socket_can_have_is_refused_with_the_way_out() {
        let dir = format!("/{}", "d".repeat(120));
        let error = socket(None, Some(Path::new(&dir)), surroundings(None)).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("choose a shorter one with --socket"),
            "{error}"
        );
    }

    #[test]
    fn pipes_of_two_directories_differ() {
        let of = |dir| pipe(None, dir, surroundings(None)).unwrap();
        assert_ne!(of(None), of(Some(Path::new("/srv/a"))));
        assert_ne!(of(Some(Path::new("/srv/b"))), of(Some(Path::new("/srv/a"))));
    }
}
