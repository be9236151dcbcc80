//! git's configuration, as git itself resolves it (includes, scopes, the
//! environment), read once.

use super::{Git, GitError};

/// The arguments that list all of it.
pub(super) const LIST: [&str; 3] = ["config", "--list", "-z"];

/// What the hooks of a commit ask for: these sections alone are remembered from
/// one hook to the next.
pub(super) const SECTIONS: [&str; 8] = [
    "author.",
    "branch.",
    "committer.",
    "core.",
    "countersign.",
    "extensions.",
    "remote.",
    "user.",
];

/// Every key and value, in the order in which later ones win.
#[derive(Clone, Debug, Default)]
pub struct Config {
    entries: Vec<(String, Option<String>)>,
    /// Holds [`SECTIONS`] only.
    partial: bool,
}

impl Config {
    /// Parses `git config --list -z`: `key LF value NUL`, and without the line
    /// break for a key that has no value (which means true).
    pub fn parse(bytes: &[u8]) -> Config {
        let text = String::from_utf8_lossy(bytes);
        let entries = text
            .split_terminator('\0')
            .map(|entry| match entry.split_once('\n') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                None => (entry.to_owned(), None),
            })
            .collect();
        Config::of(entries)
    }

    /// Keys and values, the winning ones last.
    pub(super) fn of(entries: Vec<(String, Option<String>)>) -> Config {
        Config { entries, partial: false }
    }

    /// The same as [`Config::parse`], of [`SECTIONS`] alone.
    pub(super) fn parse_part(bytes: &[u8]) -> Config {
        Config { partial: true, ..Config::parse(bytes) }
    }

    /// Asking for what is not remembered would read as "not set".
    fn covers(&self, key: &str) -> bool {
        !self.partial || SECTIONS.iter().any(|section| key.starts_with(section))
    }

    /// Returns the value that wins; `None` if the key is not set. A key
    /// without a value reads as the empty text.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.get_all(key).last()
    }

    /// Returns the value of whichever of these keys was set last, each as git
    /// lists it (in lower case).
    pub fn last_of(&self, keys: &[&str]) -> Option<&str> {
        debug_assert!(keys.iter().all(|key| self.covers(key)), "{keys:?} are not remembered");
        let set = self.entries.iter().rfind(|(name, _)| keys.contains(&name.as_str()));
        set.map(|(_, value)| value.as_deref().unwrap_or_default())
    }

    /// Returns every value of a key, the winning one last.
    pub fn get_all(&self, key: &str) -> impl Iterator<Item = &str> {
        let key = normal(key);
        debug_assert!(self.covers(&key), "{key} is not remembered");
        self.entries
            .iter()
            .filter(move |(name, _)| *name == key)
            .map(|(_, value)| value.as_deref().unwrap_or_default())
    }

    /// Returns a boolean as git reads it: `yes`, `on`, `true`, any number but 0
    /// and a key without a value are true. Other words are an error.
    pub fn bool(&self, key: &str) -> Result<Option<bool>, GitError> {
        let name = normal(key);
        debug_assert!(self.covers(&name), "{name} is not remembered");
        let Some((_, value)) = self.entries.iter().rfind(|(it, _)| *it == name) else {
            return Ok(None);
        };
        let Some(value) = value else { return Ok(Some(true)) };
        match value.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Ok(Some(true)),
            "false" | "no" | "off" | "" => Ok(Some(false)),
            other => match other.parse::<i64>() {
                Ok(number) => Ok(Some(number != 0)),
                Err(_) => {
                    Err(GitError::NotABoolean { key: key.to_owned(), value: value.to_owned() })
                }
            },
        }
    }

    /// Whether the repository's own configuration was read, and says nothing
    /// about where its parts lie or how they are kept, but for the kind of ids.
    pub(super) fn is_plain(&self) -> bool {
        let bare = self.bool("core.bare");
        matches!(bare, Ok(Some(false)))
            && self.get("core.repositoryformatversion").is_some()
            && self.get("core.worktree").is_none()
            && self
                .entries
                .iter()
                .all(|(key, _)| !key.starts_with("extensions.") || key == "extensions.objectformat")
    }

    /// Whether object ids are SHA-256's.
    pub(super) fn says_sha256(&self) -> bool {
        self.get("extensions.objectformat").is_some_and(|it| it.eq_ignore_ascii_case("sha256"))
    }

    /// Returns the middle parts of all keys `section.<middle>.name`: the names
    /// of remotes are `subsections("remote", "url")`.
    pub fn subsections<'a>(&'a self, section: &str, name: &str) -> Vec<&'a str> {
        debug_assert!(self.covers(&format!("{section}.")), "{section} is not remembered");
        let mut found = Vec::new();
        for (key, _) in &self.entries {
            let middle = key
                .strip_prefix(section)
                .and_then(|rest| rest.strip_prefix('.'))
                .and_then(|rest| rest.strip_suffix(name))
                .and_then(|rest| rest.strip_suffix('.'));
            if let Some(middle) = middle.filter(|middle| !found.contains(middle)) {
                found.push(middle);
            }
        }
        found
    }
}

/// Writes a key as git lists it: section and name in lower case, what stands
/// between them as it is.
fn normal(key: &str) -> String {
    match (key.find('.'), key.rfind('.')) {
        (Some(first), Some(last)) => format!(
            "{}{}{}",
            key[..first].to_ascii_lowercase(),
            &key[first..last],
            key[last..].to_ascii_lowercase()
        ),
        _ => key.to_ascii_lowercase(),
    }
}

impl Git {
    /// Returns the configuration; the first call asks git, later ones do not.
    pub fn config(&self) -> Result<&Config, GitError> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let bytes = self.output(self.call().args(LIST))?;
        Ok(self.config.get_or_init(|| Config::parse(&bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_booleans_read_as_git_reads_them() {
        let config = Config::parse(
            b"core.bare\nfalse\0remote.Big.One.url\na\nb\0remote.x.url\nc\0core.bare\nYES\0a.b\0c.d\nmaybe\0e.f\n0\0",
        );
        assert_eq!(config.get("Core.Bare"), Some("YES"));
        assert_eq!(config.get_all("core.bare").collect::<Vec<_>>(), ["false", "YES"]);
        assert_eq!(config.get("REMOTE.Big.One.URL"), Some("a\nb"));
        assert_eq!(config.get("remote.big.one.url"), None);
        assert_eq!(config.subsections("remote", "url"), ["Big.One", "x"]);
        assert_eq!(config.bool("core.bare").ok(), Some(Some(true)));
        assert_eq!(config.bool("a.b").ok(), Some(Some(true)));
        assert_eq!(config.bool("e.f").ok(), Some(Some(false)));
        assert_eq!(config.bool("g.h").ok(), Some(None));
        assert!(config.bool("c.d").is_err());
    }
}
