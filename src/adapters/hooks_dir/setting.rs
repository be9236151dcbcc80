//! What the repository's configuration says of hooks, and where it says so.

use std::ffi::OsString;
use std::path::Path;

use super::super::process::Call;
use super::bytes::os_string;
use super::{HooksError, unexpected};

/// Where a git setting was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    System,
    Global,
    Local,
    Worktree,
    /// `-c`, or the environment.
    Command,
}

impl Scope {
    fn parse(word: &[u8]) -> Scope {
        match word {
            b"system" => Scope::System,
            b"global" => Scope::Global,
            b"local" => Scope::Local,
            b"worktree" => Scope::Worktree,
            _ => Scope::Command,
        }
    }

    /// git's word.
    pub fn word(self) -> &'static str {
        match self {
            Scope::System => "system",
            Scope::Global => "global",
            Scope::Local => "local",
            Scope::Worktree => "worktree",
            Scope::Command => "command",
        }
    }

    /// Whether only this repository has it.
    pub fn is_own(self) -> bool {
        matches!(self, Scope::Local | Scope::Worktree)
    }
}

/// One setting, in git's order: of two with the same key the later one counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub scope: Scope,
    /// Section and name in lower case, a subsection as written.
    pub key: String,
    pub value: OsString,
}

pub(super) fn last<'a>(settings: &'a [Setting], key: &str) -> Option<&'a Setting> {
    settings.iter().rev().find(|it| it.key == key)
}

pub(super) fn settings(dir: &Path) -> Result<Vec<Setting>, HooksError> {
    let pattern = r"^(core\.(hookspath|sharedrepository)|countersign\..*|hook\..*)$";
    let output = Call::git(dir)
        .args(["config", "-z", "--show-scope", "--get-regexp", pattern])
        .limit(16 << 20)
        .run()?;
    match output.code {
        // Nothing matches.
        Some(1) => Ok(Vec::new()),
        Some(0) => parse_settings(&output.stdout)
            .ok_or_else(|| unexpected("read the repository's configuration")),
        Some(_) | None => {
            let complaint = output.complaint();
            Err(HooksError::Git { action: "read the repository's configuration", complaint })
        }
    }
}

/// `scope NUL key LF value NUL`; a key without `=` has no LF.
fn parse_settings(bytes: &[u8]) -> Option<Vec<Setting>> {
    let mut parts = bytes.split(|byte| *byte == 0);
    let mut settings = Vec::new();
    while let Some(scope) = parts.next().filter(|it| !it.is_empty()) {
        let entry = parts.next().filter(|it| !it.is_empty())?;
        let end = entry.iter().position(|byte| *byte == b'\n').unwrap_or(entry.len());
        settings.push(Setting {
            scope: Scope::parse(scope),
            key: String::from_utf8_lossy(&entry[..end]).into_owned(),
            value: os_string(entry.get(end + 1..).unwrap_or_default().to_vec()),
        });
    }
    Some(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_with_their_scope() {
        let bytes = b"local\0core.hookspath\n.husky/_\0global\0hook.x.enabled\0";
        let setting = |scope, key: &str, value: &str| Setting {
            scope,
            key: key.to_owned(),
            value: value.into(),
        };
        assert_eq!(
            parse_settings(bytes),
            Some(vec![
                setting(Scope::Local, "core.hookspath", ".husky/_"),
                setting(Scope::Global, "hook.x.enabled", ""),
            ])
        );
        assert_eq!(parse_settings(b"local\0"), None);
    }
}
