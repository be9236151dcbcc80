//! What commands of a policy see of the environment.

use std::ffi::OsString;

use crate::gate::order;
use crate::gate::policy::TestCommand;
use crate::gate::record::canonical::sha256;

/// Variables that every test may see, with their values: what tools need to
/// find themselves, their caches and the user's language.
pub const ALLOWED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TERM",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "GOPATH",
    "GOROOT",
    "GOCACHE",
    "GOMODCACHE",
    "JAVA_HOME",
    "M2_HOME",
    "MAVEN_HOME",
    "GRADLE_USER_HOME",
    "ANDROID_HOME",
    "NVM_DIR",
    "VOLTA_HOME",
    "PNPM_HOME",
    "PYENV_ROOT",
    "RBENV_ROOT",
    "ASDF_DATA_DIR",
    "DOTNET_ROOT",
    "NIX_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    // Windows programs do not start without these.
    "SYSTEMROOT",
    "SYSTEMDRIVE",
    "WINDIR",
    "COMSPEC",
    "PATHEXT",
    "TEMP",
    "TMP",
    "USERPROFILE",
    "APPDATA",
    "LOCALAPPDATA",
    "PROGRAMDATA",
    "PROGRAMFILES",
    "PROGRAMFILES(X86)",
];

/// Names and values of the variables that a test sees, sorted by name. git puts
/// its own programs' folder in front of `PATH` for hooks; it is dropped, so that
/// a test sees the same whoever started it.
pub fn environment(
    variables: &[(OsString, OsString)],
    test: &TestCommand,
) -> Vec<(OsString, OsString)> {
    let allowed = |name: &str| {
        ALLOWED.contains(&name) || name.starts_with("LC_") || test.env.iter().any(|it| it == name)
    };
    let mut seen: Vec<(OsString, OsString)> = variables
        .iter()
        .filter(|(name, _)| name.to_str().is_some_and(allowed))
        .filter(|(name, _)| {
            !super::super::process::GIT_LOCAL_VARIABLES.iter().any(|git| name == git)
        })
        .map(|(name, value)| match name.to_str() {
            Some("PATH") => (name.clone(), without_git_core(value)),
            _ => (name.clone(), value.clone()),
        })
        .collect();
    order::sort(&mut seen);
    seen.dedup_by(|later, earlier| later.0 == earlier.0);
    seen
}

fn without_git_core(path: &OsString) -> OsString {
    let kept = std::env::split_paths(path).filter(|folder| !folder.ends_with("git-core"));
    std::env::join_paths(kept).unwrap_or_else(|_| path.clone())
}

/// The same as records keep it: the values' digests.
pub fn environment_digests(environment: &[(OsString, OsString)]) -> Vec<(String, String)> {
    let row = |(name, value): &(OsString, OsString)| {
        (name.to_string_lossy().into_owned(), sha256(value.as_encoded_bytes()))
    };
    environment.iter().map(row).collect()
}

/// The platform that records name: `linux x86_64`.
pub fn platform() -> String {
    format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)
}
