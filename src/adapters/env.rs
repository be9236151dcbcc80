//! The process's surroundings, read once, in `main`.

#![expect(clippy::disallowed_methods, reason = "this is the door")]

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::gate::time::Timestamp;

/// Everything that the outside tells a process at its start.
#[derive(Clone, Debug)]
pub struct Env {
    pub dir: PathBuf,
    /// All variables, in no order.
    pub variables: Vec<(OsString, OsString)>,
    pub now: Timestamp,
    pub stdin_is_terminal: bool,
    pub stdout_is_terminal: bool,
    pub stderr_is_terminal: bool,
    /// This binary, as it was started.
    pub executable: Option<PathBuf>,
}

impl Env {
    /// Reads the surroundings. Fails only where the working directory is gone.
    pub fn read() -> std::io::Result<Env> {
        Ok(Env {
            dir: std::env::current_dir()?,
            variables: std::env::vars_os().collect(),
            now: now(),
            stdin_is_terminal: std::io::stdin().is_terminal(),
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
            executable: std::env::current_exe().ok(),
        })
    }

    /// Returns a variable's value if it is set, not empty, and UTF-8.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_os(name).and_then(|value| value.to_str()).filter(|value| !value.is_empty())
    }

    /// Returns a variable's value if it is set.
    pub fn get_os(&self, name: &str) -> Option<&std::ffi::OsStr> {
        self.variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_os_str())
    }

    /// The user's home folder.
    pub fn home(&self) -> Option<PathBuf> {
        self.get_os("HOME")
            .or_else(|| self.get_os("USERPROFILE"))
            .filter(|it| !it.is_empty())
            .map(PathBuf::from)
    }

    /// Where caches of this user live: `$XDG_CACHE_HOME`, else `~/Library/Caches`
    /// (macOS), `%LOCALAPPDATA%` (Windows) or `~/.cache`.
    pub fn cache_home(&self) -> Option<PathBuf> {
        let given =
            |name: &str| self.get_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        given("XDG_CACHE_HOME").or_else(|| match std::env::consts::OS {
            "macos" => self.home().map(|home| home.join("Library/Caches")),
            "windows" => given("LOCALAPPDATA"),
            _ => self.home().map(|home| home.join(".cache")),
        })
    }
}

/// A variable of this process: for adapters that hand a changed one to git.
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// The time now, to the second.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// 128 bits that nobody used before, in hexadecimal: what keeps two records
/// that say the same apart. Not a secret.
pub fn nonce() -> String {
    use std::hash::{BuildHasher, Hasher};
    let word = || std::hash::RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", word(), word())
}
