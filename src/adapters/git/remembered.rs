//! git's configuration as it was told to an earlier hook, for as long as
//! nothing has changed from which git reads it.
//!
//! A commit's hooks are early feedback, and a process of git for each would be
//! felt at every commit. Kept are the sections that hooks ask for, beside what
//! the file system says of every file that git read, or would read if it were
//! there (git-config, *FILES* and *Includes*), and the variables that name
//! them. Whatever could escape that, above all conditions that depend on more
//! than files, is not remembered; then git is asked again.

use std::path::{Path, PathBuf};

use super::config::{Config, SECTIONS};
use super::objects::hex_sha256;
use crate::adapters::env::Env;
use crate::adapters::fs;
use crate::gate::order;
use crate::gate::time::Timestamp;

/// The arguments that list the configuration with the place of every entry.
pub(super) const LIST: [&str; 4] = ["config", "--list", "--show-origin", "-z"];

/// The first field of what is kept.
const VERSION: &str = "countersign-config 1";

/// The most that is kept and read, in bytes.
const LIMIT: u64 = 256 << 10;

/// A file changed so shortly ago may change again in the same tick of its clock.
const TICK: i64 = 2;

/// Variables that say what git reads.
const NAMING: [&str; 8] = [
    "HOME",
    "XDG_CONFIG_HOME",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_EXEC_PATH",
    "GIT_DIR",
    "PATH",
];

/// Variables that hold configuration.
const HOLDING: [&str; 3] = ["GIT_CONFIG", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"];

/// One entry as `git config --list --show-origin -z` prints it.
struct Listed<'a> {
    origin: &'a str,
    key: &'a str,
    value: Option<&'a str>,
}

/// The configuration that is remembered of a plain repository, if it still holds.
pub(super) fn recall(env: &Env, common_dir: &Path) -> Option<Config> {
    let kept = fs::read(&place(common_dir), LIMIT).ok()??;
    let kept = std::str::from_utf8(&kept).ok()?;
    let rest = kept.strip_prefix(&header(env)?)?;
    let (stamps, entries) = rest.split_once("\0\0")?;
    let holds = |line: &str| {
        let (path, stamp) = line.split_once('\n')?;
        (fs::stamp(Path::new(path)).unwrap_or_default() == stamp).then_some(())
    };
    stamps.split('\0').try_for_each(holds)?;
    Some(Config::parse_part(entries.as_bytes()))
}

/// Reads what git printed for [`LIST`].
pub(super) fn read(printed: &[u8]) -> Option<Config> {
    let text = String::from_utf8_lossy(printed);
    let entries = entries(&text)?;
    let entry = |it: Listed<'_>| (it.key.to_owned(), it.value.map(str::to_owned));
    Some(Config::of(entries.into_iter().map(entry).collect()))
}

/// Remembers what git printed for [`LIST`], where that can be told to hold later
/// on. That it could not be kept costs time only.
pub(super) fn remember(env: &Env, common_dir: &Path, printed: &[u8]) {
    if let Some(kept) = text(env, common_dir, printed).filter(|it| it.len() as u64 <= LIMIT) {
        let place = place(common_dir);
        let folder = place.parent().map_or(Ok(()), fs::create_private_folder);
        folder.and_then(|()| fs::replace(&place, kept.as_bytes(), 0o600)).ok();
    }
}

fn place(common_dir: &Path) -> PathBuf {
    common_dir.join("countersign").join("config")
}

/// `None`: variables hold configuration, or are no text.
fn header(env: &Env) -> Option<String> {
    if HOLDING.iter().any(|name| env.get_os(name).is_some()) {
        return None;
    }
    let mut named = String::new();
    for name in NAMING {
        match env.get_os(name) {
            Some(value) => named.push_str(&format!("{name}={}\0", value.to_str()?)),
            None => named.push('\0'),
        }
    }
    Some(format!("{VERSION}\0{}\0", hex_sha256(named.as_bytes())))
}

fn text(env: &Env, common_dir: &Path, printed: &[u8]) -> Option<String> {
    let mut kept = header(env)?;
    let printed = std::str::from_utf8(printed).ok()?;
    let listed = entries(printed)?;
    let mut files = places(env, common_dir)?;
    for entry in &listed {
        let file = env.dir.join(entry.origin.strip_prefix("file:")?);
        files.extend(included(env, &file, entry)?);
        files.push(file);
    }
    order::sort(&mut files);
    files.dedup();
    for file in files {
        if fs::changed_since(&file, Timestamp(env.now.0 - TICK)) {
            return None;
        }
        let path = file.to_str().filter(|path| !path.contains('\n'))?;
        let stamp = fs::stamp(&file);
        kept.push_str(&format!("{path}\n{}\0", stamp.unwrap_or_default()));
    }
    kept.push('\0');
    for entry in listed.iter().filter(|it| SECTIONS.iter().any(|name| it.key.starts_with(name))) {
        let value = entry.value.map_or(String::new(), |value| format!("\n{value}"));
        kept.push_str(&format!("{}{value}\0", entry.key));
    }
    Some(kept)
}

fn entries(printed: &str) -> Option<Vec<Listed<'_>>> {
    let fields: Vec<&str> = printed.split_terminator('\0').collect();
    let (pairs, []) = fields.as_chunks::<2>() else { return None };
    Some(pairs.iter().map(|[origin, entry]| listed(origin, entry)).collect())
}

fn listed<'a>(origin: &'a str, entry: &'a str) -> Listed<'a> {
    match entry.split_once('\n') {
        Some((key, value)) => Listed { origin, key, value: Some(value) },
        None => Listed { origin, key: entry, value: None },
    }
}

/// Where git looks for configuration, whether or not it is there.
fn places(env: &Env, common_dir: &Path) -> Option<Vec<PathBuf>> {
    let home = env.home()?;
    let user = env.get_os("XDG_CONFIG_HOME").filter(|it| !it.is_empty());
    let user = user.map_or_else(|| home.join(".config"), PathBuf::from);
    let mut places = vec![
        common_dir.join("config"),
        common_dir.join("config.worktree"),
        home.join(".gitconfig"),
        user.join("git/config"),
        PathBuf::from("/etc/gitconfig"),
    ];
    for name in ["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"] {
        places.extend(env.get_os(name).map(|path| env.dir.join(path)));
    }
    // A git that was built for another prefix than `/usr` looks below that.
    let git = std::env::split_paths(env.get_os("PATH")?).map(|folder| folder.join("git"));
    let git = git.into_iter().find(|git| fs::is_executable(git))?;
    places.extend(git.ancestors().skip(1).map(|it| it.join("etc/gitconfig")));
    let real = fs::resolve(&git).ok()?;
    places.extend(real.ancestors().skip(1).map(|it| it.join("etc/gitconfig")));
    places.push(git);
    Some(places)
}

/// The file that an entry includes. `None`: what it depends on cannot be told.
fn included(env: &Env, origin: &Path, entry: &Listed<'_>) -> Option<Option<PathBuf>> {
    let condition = match entry.key {
        "include.path" => "",
        key => match key.strip_prefix("includeif.").and_then(|it| it.strip_suffix(".path")) {
            Some(condition) => condition,
            None => return Some(None),
        },
    };
    let told = ["gitdir:", "gitdir/i:", "hasconfig:"];
    if !condition.is_empty() && !told.iter().any(|it| condition.starts_with(it)) {
        return None;
    }
    let path = entry.value?;
    Some(Some(match path.strip_prefix("~/") {
        Some(below) => env.home()?.join(below),
        None if path.starts_with(['~', '%']) => return None,
        None => origin.parent()?.join(path),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Place {
            Place(fs::scratch_folder().expect("a scratch folder"))
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// Surroundings a minute later than every file was written.
        fn env(&self, variables: &[(&str, &str)]) -> Env {
            let mut all = vec![
                ("HOME".into(), self.0.path().into()),
                ("PATH".into(), self.path("bin").into()),
            ];
            all.extend(variables.iter().map(|(name, value)| (name.into(), value.into())));
            let mut env = Env::read().expect("a working directory");
            env.dir = self.0.path().to_owned();
            env.now = Timestamp(env.now.0 + 60);
            Env { variables: all, ..env }
        }

        fn write(&self, name: &str, text: &str) {
            let path = self.path(name);
            fs::create_folder(path.parent().expect("below the place")).expect("creates");
            fs::write_atomically(&path, text.as_bytes(), 0o700).expect("writes");
        }

        /// What is recalled in `env` of a key, after `listed` was remembered there.
        fn recall(&self, env: &Env, key: &str) -> Option<String> {
            let config = recall(env, &self.path(".git"))?;
            Some(config.get(key).unwrap_or_default().to_owned())
        }
    }

    const LISTED: &str = "file:.git/config\0core.bare\nfalse\0file:.git/config\0user.name\nana\0file:.git/config\0http.extraheader\nsecret\0";

    fn remembered(more: &str) -> (Place, Env) {
        let place = Place::new();
        place.write(".git/config", "");
        place.write("bin/git", "");
        let env = place.env(&[]);
        remember(&env, &place.path(".git"), format!("{LISTED}{more}").as_bytes());
        (place, env)
    }

    #[test]
    fn what_is_kept_holds_until_a_file_changes_that_git_reads_or_would_read() {
        for (changed, holds) in [
            ("unrelated", true),
            (".git/config", false),
            (".git/config.worktree", false),
            (".gitconfig", false),
            (".config/git/config", false),
            ("etc/gitconfig", false),
            ("bin/git", false),
        ] {
            let (place, env) = remembered("");
            assert_eq!(place.recall(&env, "user.name").as_deref(), Some("ana"));
            place.write(changed, "x");
            assert_eq!(place.recall(&env, "user.name").is_some(), holds, "{changed}");
        }
    }

    #[test]
    fn other_variables_ask_git() {
        let (place, _) = remembered("");
        for (name, value) in [
            ("GIT_CONFIG_COUNT", "0"),
            ("GIT_CONFIG_PARAMETERS", "'a.b=c'"),
            ("XDG_CONFIG_HOME", "/elsewhere"),
            ("GIT_CONFIG_GLOBAL", "/elsewhere"),
        ] {
            assert_eq!(place.recall(&place.env(&[(name, value)]), "user.name"), None, "{name}");
        }
        assert!(place.recall(&place.env(&[]), "user.name").is_some());
    }

    #[test]
    fn includes_are_followed_and_conditions_on_more_than_files_are_not_kept() {
        let include = |key: &str, path: &str| format!("file:.git/config\0{key}\n{path}\0");
        for (key, path, kept) in [
            ("include.path", "../more", true),
            ("include.path", "~/more", true),
            ("includeif.gitdir:~/src/.path", "../more", true),
            ("includeif.onbranch:main.path", "../more", false),
            ("include.path", "~bo/more", false),
            ("include.path", "%(prefix)/more", false),
        ] {
            let (place, env) = remembered(&include(key, path));
            assert_eq!(place.recall(&env, "user.name").is_some(), kept, "{key} {path}");
            place.write("more", "x");
            assert_eq!(place.recall(&env, "user.name"), None, "{key} {path}");
        }
        let (place, env) = remembered("command line:\0a.b\nc\0");
        assert_eq!(place.recall(&env, "user.name"), None);
    }

    #[test]
    fn nothing_is_kept_of_files_that_changed_just_now_nor_of_other_sections() {
        let place = Place::new();
        place.write(".git/config", "");
        place.write("bin/git", "");
        let env = place.env(&[]);
        let now = Env { now: Timestamp(env.now.0 - 60), ..env.clone() };
        remember(&now, &place.path(".git"), LISTED.as_bytes());
        assert_eq!(place.recall(&env, "user.name"), None);
        remember(&env, &place.path(".git"), LISTED.as_bytes());
        let kept = fs::read(&super::place(&place.path(".git")), LIMIT).expect("reads");
        let kept = String::from_utf8(kept.expect("was kept")).expect("is text");
        assert!(kept.contains("user.name") && !kept.contains("secret"), "{kept}");
    }
}
