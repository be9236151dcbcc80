//! What agents' hooks told, below `countersign/told/` in the git common folder:
//! edits, one a line, and for each call under way how files stood before it.
//! Hashes and ids only.
//!
//! A hook must be quick and must never fail its agent: nothing is synced, and
//! what is lost is an edit that nobody knows of. How often that happened is
//! counted in the user's cache folder, since the store itself may be what fails.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::env::Env;
use super::fs::{self, FsError};
use super::git::Layout;
use crate::gate::change::RepoPath;
use crate::gate::record::canonical::{is_sha256, sha256};
use crate::gate::time::Timestamp;
use crate::gate::told::lines::Told;
use crate::gate::told::others::{self, Lined};

/// When the edits have this many bytes, they are set aside and begun anew.
const LIMIT: u64 = 8 << 20;

/// As many bytes of edits are looked over for those of files that are gone.
const NEWEST: u64 = 4 << 20;

/// The most bytes of one snapshot.
const SNAPSHOT_LIMIT: u64 = 64 << 20;

/// How long a call may last, in seconds: what was not ended by then is forgotten.
const FORGOTTEN: i64 = 24 * 60 * 60;

/// The place of one repository's told edits.
#[derive(Clone, Debug)]
pub struct ToldStore {
    folder: PathBuf,
}

/// How files stood before a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Seconds since the Unix epoch.
    pub time: i64,
    /// The commit on which HEAD stood.
    pub head: Option<String>,
    /// Whose shell command it is that runs now; `None` for another call, and
    /// for a command that only moves what others wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Running>,
    /// By the hash of the path: the keys of the lines, or `None` where no file
    /// stood or its lines cannot be told.
    pub files: BTreeMap<String, Option<String>>,
}

/// A shell command under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// The agent's id in the catalogue.
    pub agent: String,
    pub session: String,
    pub model: Option<String>,
}

/// How often a hook's call could not be kept, and why the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    pub count: u64,
    /// Seconds since the Unix epoch.
    pub last: i64,
    pub reason: String,
}

impl ToldStore {
    /// The store of the repository with this git common folder. Nothing is
    /// created before something is kept.
    pub fn new(common_folder: &Path) -> ToldStore {
        ToldStore { folder: common_folder.join("countersign").join("told") }
    }

    /// Whether any edit was ever told here.
    pub fn is_used(&self) -> bool {
        fs::stands(&self.folder.join("edits"))
    }

    /// Keeps edits.
    pub fn add(&self, told: &[Told]) -> Result<(), FsError> {
        if told.is_empty() {
            return Ok(());
        }
        self.create()?;
        let path = self.folder.join("edits");
        if fs::size(&path)? > LIMIT {
            fs::rename(&path, &path.with_extension("old"))?;
        }
        let mut text = String::new();
        for one in told {
            text.push_str(&serde_json::to_string(one).expect("plain strings always serialise"));
            text.push('\n');
        }
        fs::append(&path, text.as_bytes(), 0o600)
    }

    /// The edits of files with these folded keys since then, in the order in
    /// which they were told, and how many lines could not be read.
    pub fn edits(
        &self,
        folded: &std::collections::BTreeSet<String>,
        since: Timestamp,
    ) -> Result<(Vec<Told>, u64), FsError> {
        let (mut edits, mut skipped) = (Vec::new(), 0);
        for name in ["edits.old", "edits"] {
            let Some(bytes) = fs::read(&self.folder.join(name), 4 * LIMIT)? else { continue };
            for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                match key_of(line) {
                    Some(key) if !folded.contains(key) => {}
                    Some(_) => match serde_json::from_slice::<Told>(line) {
                        Ok(told) if Timestamp(told.time) >= since => edits.push(told),
                        Ok(_) => {}
                        Err(_) => skipped += 1,
                    },
                    None => skipped += 1,
                }
            }
        }
        Ok((edits, skipped))
    }

    /// The newest edits of all other files than those with these folded keys,
    /// since then, in the order in which they were told.
    pub fn others(
        &self,
        folded: &std::collections::BTreeSet<String>,
        since: Timestamp,
    ) -> Vec<Told> {
        let bytes = newest(&self.folder.join("edits"), NEWEST);
        let lines = bytes.split(|&byte| byte == b'\n');
        let lines = lines.filter(|it| key_of(it).is_some_and(|key| !folded.contains(key)));
        let told = lines.filter_map(|line| serde_json::from_slice::<Told>(line).ok());
        told.filter(|it| Timestamp(it.time) >= since).collect()
    }

    /// Keeps how files stand before a call.
    pub fn keep(&self, call: &str, snapshot: &Snapshot) -> Result<(), FsError> {
        self.create()?;
        self.sweep(Timestamp(snapshot.time));
        let bytes = serde_json::to_vec(snapshot).expect("plain strings always serialise");
        fs::replace(&self.before(call), &bytes, 0o600)
    }

    /// How files stood before a call, which is forgotten with this.
    pub fn take(&self, call: &str) -> Result<Option<Snapshot>, FsError> {
        let path = self.before(call);
        let Some(bytes) = fs::read(&path, SNAPSHOT_LIMIT)? else { return Ok(None) };
        fs::remove_file(&path)?;
        Ok(serde_json::from_slice(&bytes).ok())
    }

    /// How files stood before the calls that are under way, begun since then.
    pub fn running(&self, since: Timestamp) -> Vec<Snapshot> {
        let mut snapshots = Vec::new();
        for entry in fs::entries(&self.folder).unwrap_or_default() {
            let fs::Entry::File(name, plain) = entry else { continue };
            if !name.starts_with("before-") || plain.modified / 1_000_000_000 < since.0 {
                continue;
            }
            let bytes = fs::read_plain(&self.folder.join(&name), SNAPSHOT_LIMIT);
            let snapshot = bytes.ok().and_then(|it| serde_json::from_slice(&it).ok());
            snapshots.extend(snapshot.filter(|it: &Snapshot| it.time >= since.0));
        }
        snapshots
    }

    fn before(&self, call: &str) -> PathBuf {
        self.folder.join(format!("before-{call}"))
    }

    fn create(&self) -> Result<(), FsError> {
        if let Some(parent) = self.folder.parent() {
            fs::create_private_folder(parent)?;
        }
        fs::create_private_folder(&self.folder)
    }

    /// Forgets calls that were never ended: refused ones, or a crash's.
    fn sweep(&self, now: Timestamp) {
        for entry in fs::entries(&self.folder).unwrap_or_default() {
            let fs::Entry::File(name, plain) = entry else { continue };
            let age = now.0 - plain.modified / 1_000_000_000;
            if name.starts_with("before-") && age > FORGOTTEN {
                fs::remove_file(&self.folder.join(name)).ok();
            }
        }
    }
}

/// The most bytes of git-ai's and Agent Trace's lists that are read, the newest.
const OTHERS: u64 = 64 << 20;

/// The largest file whose lines are looked at, in bytes.
const FILE_LIMIT: u64 = 4 << 20;

/// How much later than its record a file may have been written, in seconds.
const SAME: i64 = 2;

/// What git-ai's working logs and Agent Trace's records tell of these files, and
/// how many of their lines could not be read. A content of which we cannot be
/// sure that it is the one that was recorded tells nothing.
pub fn of_others(layout: &Layout, paths: &[&RepoPath], now: Timestamp) -> (Vec<Told>, u64) {
    let (mut told, mut skipped) = (Vec::new(), 0);
    let head = layout.head.as_ref().map_or("initial", |it| it.as_str());
    let mut places = vec![layout.git_dir.join("ai"), layout.common_dir.join("ai")];
    places.dedup();
    for place in places {
        let log = place.join("working_logs").join(head);
        let initial = fs::read_plain(&log.join("INITIAL"), OTHERS).unwrap_or_default();
        let (files, bad) =
            others::working_log(&initial, &newest(&log.join("checkpoints.jsonl"), OTHERS));
        skipped += bad;
        for (path, lined) in wanted(paths, &files) {
            let Some(name) = lined.content.as_deref().filter(|it| is_sha256(it)) else { continue };
            let blob = fs::read_plain(&log.join("blobs").join(name), FILE_LIMIT);
            if let Ok(content) = blob.as_ref().map_err(drop)
                && sha256(content) == name
            {
                told.extend(others::edits(path.as_bytes(), content, lined, now));
            }
        }
    }
    let Some(top) = &layout.toplevel else { return (told, skipped) };
    let (files, bad) = others::agent_trace(&newest(&top.join(".agent-trace/traces.jsonl"), OTHERS));
    skipped += bad;
    for (path, lined) in wanted(paths, &files) {
        let Ok(file) = fs::resolve(&top.join(path.to_text())) else { continue };
        // The numbers are those of the moment; afterwards nobody wrote the file.
        let written = fs::open_plain(&file).map(|(_, plain)| plain.modified / 1_000_000_000);
        let same = written.is_ok_and(|it| lined.time.is_some_and(|time| it <= time.0 + SAME));
        if same && let Ok(content) = fs::read_plain(&file, FILE_LIMIT) {
            told.extend(others::edits(path.as_bytes(), &content, lined, now));
        }
    }
    (told, skipped)
}

/// The end of a list, from the beginning of a line; nothing where it cannot be read.
fn newest(path: &Path, limit: u64) -> Vec<u8> {
    let mut bytes = fs::read_end(path, limit).unwrap_or_default();
    if bytes.len() as u64 >= limit {
        let line = bytes.iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |it| it + 1);
        bytes.drain(..line);
    }
    bytes
}

fn wanted<'a>(
    paths: &'a [&'a RepoPath],
    files: &'a BTreeMap<String, Lined>,
) -> impl Iterator<Item = (&'a RepoPath, &'a Lined)> {
    paths.iter().filter_map(|path| Some((*path, files.get(&path.to_text())?)))
}

/// The key at a line's beginning.
fn key_of(line: &[u8]) -> Option<&str> {
    let rest = line.strip_prefix(b"{\"p\":\"")?;
    let end = rest.iter().take(64).position(|&byte| byte == b'"')?;
    std::str::from_utf8(rest.get(..end)?).ok()
}

impl Failures {
    /// What was counted so far.
    pub fn read(env: &Env) -> Failures {
        let bytes = place(env).and_then(|path| fs::read(&path, 64 << 10).ok().flatten());
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Counts one more. Where even that cannot be written, nothing is said.
    pub fn count(env: &Env, reason: &str) {
        let Some(path) = place(env) else { return };
        let known = Failures::read(env);
        let reason = reason.chars().take(300).collect();
        let next = Failures { count: known.count + 1, last: env.now.0, reason };
        let bytes = serde_json::to_vec(&next).unwrap_or_default();
        if let Some(folder) = path.parent() {
            fs::create_folder(folder).ok();
        }
        fs::replace(&path, &bytes, 0o600).ok();
    }
}

fn place(env: &Env) -> Option<PathBuf> {
    Some(env.cache_home()?.join("countersign").join("record-failures"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::gate::told::lines::{folded_path_key, path_key};

    fn told(path: &str, time: i64) -> Told {
        Told {
            folded: folded_path_key(path.as_bytes()),
            path: path_key(path.as_bytes()),
            time,
            agent: "codex".to_owned(),
            session: "s".to_owned(),
            model: None,
            call: None,
            lines: String::new(),
        }
    }

    #[test]
    fn edits_are_kept_and_found_by_their_file() {
        let folder = fs::scratch_folder().expect("a scratch folder");
        let store = ToldStore::new(folder.path());
        let wanted = BTreeSet::from([folded_path_key(b"a")]);
        assert_eq!(store.edits(&wanted, Timestamp(0)).expect("reads"), (Vec::new(), 0));
        store.add(&[told("a", 1), told("b", 2), told("A", 3)]).expect("keeps");
        fs::append(&store.folder.join("edits"), b"{\"p\":\"cut", 0o600).expect("a crash");
        let (found, skipped) = store.edits(&wanted, Timestamp(2)).expect("reads");
        assert_eq!((found, skipped), (vec![told("A", 3)], 1));
    }

    #[test]
    fn many_edits_are_set_aside_and_still_read() {
        let folder = fs::scratch_folder().expect("a scratch folder");
        let store = ToldStore::new(folder.path());
        let long = Told { lines: " ".repeat(5 << 20), ..told("a", 1) };
        for _ in 0..4 {
            store.add(std::slice::from_ref(&long)).expect("keeps");
        }
        let wanted = BTreeSet::from([folded_path_key(b"a")]);
        assert_eq!(store.edits(&wanted, Timestamp(0)).expect("reads").0.len(), 4);
        for _ in 0..2 {
            store.add(std::slice::from_ref(&long)).expect("keeps");
        }
        assert_eq!(store.edits(&wanted, Timestamp(0)).expect("reads").0.len(), 4);
    }

    #[test]
    fn a_snapshot_is_taken_once() {
        let folder = fs::scratch_folder().expect("a scratch folder");
        let store = ToldStore::new(folder.path());
        let snapshot = Snapshot { time: 1_800_000_000, ..Snapshot::default() };
        assert_eq!(store.take("1").expect("reads"), None);
        store.keep("1", &snapshot).expect("keeps");
        assert_eq!(store.running(Timestamp(1_800_000_001)), []);
        assert_eq!(store.running(Timestamp(1)), std::slice::from_ref(&snapshot));
        assert_eq!(store.take("1").expect("reads"), Some(snapshot));
        assert_eq!(store.take("1").expect("reads"), None);
    }
}
