//! Where agents' records are: the folders, and the files in them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::super::env::Env;
use super::super::fs::{self, Entry, Plain};
use super::super::git::Layout;
use super::super::sqlite;
use super::{Notes, seconds};
use crate::gate::order;
use crate::gate::time::Timestamp;
use crate::gate::trace::source::{Format, Pattern, SOURCES, Source, fits, is_session_id};
use crate::gate::trace::stored::Stored;

/// A file of records.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) source: &'static Source,
    pub(super) path: PathBuf,
    /// What names the session if the file does not: see [`Source::reader`].
    pub(super) name: String,
    pub(super) plain: Plain,
}

impl Candidate {
    pub(super) fn is_document(&self) -> bool {
        matches!(self.source.format, Format::Document(_))
    }

    pub(super) fn database(&self) -> Option<Stored> {
        self.source.database()
    }
}

/// The records of one agent in one folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    pub agent: &'static str,
    pub folder: PathBuf,
    pub sessions: u64,
    pub bytes: u64,
    /// When the newest was written.
    pub newest: Option<Timestamp>,
    /// Folders below that could not be listed.
    pub unreadable: u64,
}

/// What agents keep on this machine, in the order of the table; folders that
/// are not there, or hold no records, are left out.
pub fn holdings(env: &Env) -> Vec<Holding> {
    let mut holdings = Vec::new();
    for source in SOURCES {
        for folder in folders(env, source, &[]) {
            let mut found = Vec::new();
            let mut notes = Notes::default();
            walk(source, &folder, Search::default(), &mut found, &mut notes);
            // Other programs keep their files there, too.
            if found.is_empty() && notes.unreadable == 0 {
                continue;
            }
            let newest = found.iter().map(|it| it.plain.modified).max();
            holdings.push(Holding {
                agent: source.agent,
                folder,
                sessions: found.len() as u64,
                bytes: found.iter().map(|it| it.plain.size).sum(),
                newest: newest.map(seconds),
                unreadable: notes.unreadable,
            });
        }
    }
    holdings
}

/// The work trees that share this repository, this one first.
pub(super) fn work_trees(layout: &Layout) -> Vec<PathBuf> {
    const LIMIT: u64 = 64 << 10;
    let mut trees: Vec<PathBuf> = layout.toplevel.iter().cloned().collect();
    if layout.common_dir.file_name().is_some_and(|it| it == ".git") {
        trees.extend(layout.common_dir.parent().map(Path::to_owned));
    }
    for folder in fs::list(&layout.common_dir.join("worktrees")).unwrap_or_default() {
        let link = fs::read(&folder.join("gitdir"), LIMIT).ok().flatten().unwrap_or_default();
        let link = String::from_utf8(link).unwrap_or_default();
        let link = folder.join(link.trim_end_matches('\n'));
        trees.extend(link.parent().filter(|it| it.is_absolute()).map(Path::to_owned));
    }
    let mut seen = BTreeSet::new();
    trees.retain(|it| seen.insert(it.clone()));
    trees
}

/// The folders of a source that are there, links resolved, each once.
pub(super) fn folders(env: &Env, source: &Source, trees: &[PathBuf]) -> Vec<PathBuf> {
    if source.is_in_tree() {
        return trees.to_vec();
    }
    let place = |pattern: &str| {
        let (start, rest) = pattern.split_once('/').unwrap_or((pattern, ""));
        let base = match start.strip_prefix('$') {
            Some(name) => PathBuf::from(env.get_os(name).filter(|it| !it.is_empty())?),
            None => env.home()?,
        };
        Some(if rest.is_empty() { base } else { base.join(rest) })
    };
    let mut folders = Vec::new();
    for pattern in source.folders {
        let folder = place(pattern).filter(|it| it.is_absolute());
        let Some(folder) = folder.and_then(|it| fs::resolve(&it).ok()) else { continue };
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}

/// The files to look at: where the environment names sessions, theirs alone.
pub(super) fn find(
    env: &Env,
    trees: &[PathBuf],
    since: Timestamp,
    notes: &mut Notes,
) -> Vec<Candidate> {
    let mut found = Vec::new();
    for source in SOURCES {
        let id = source.session.and_then(|name| env.get(name));
        let Some(id) = id.filter(|id| is_session_id(id)) else { continue };
        for folder in folders(env, source, trees) {
            let search = Search { id: Some(id), since: None };
            walk(source, &folder, search, &mut found, notes);
        }
    }
    if found.is_empty() {
        for source in SOURCES {
            for folder in folders(env, source, trees) {
                let search = Search { id: None, since: Some(since) };
                walk(source, &folder, search, &mut found, notes);
            }
        }
    }
    found
}

/// Which files.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Search<'a> {
    /// Of this session only.
    id: Option<&'a str>,
    /// Not those that are certainly older.
    since: Option<Timestamp>,
}

/// Adds a folder's files of records.
pub(super) fn walk(
    source: &'static Source,
    folder: &Path,
    search: Search<'_>,
    found: &mut Vec<Candidate>,
    notes: &mut Notes,
) {
    let patterns = source.patterns(search.id);
    let oldest = search.since.filter(|_| source.is_written_once());
    let mut open: Vec<(PathBuf, usize, Vec<&Pattern>)> =
        vec![(folder.to_owned(), 0, patterns.iter().collect())];
    while let Some((folder, depth, patterns)) = open.pop() {
        if depth > 0 && oldest.is_some_and(|oldest| is_older(&folder, oldest)) {
            continue;
        }
        let parts: BTreeSet<&str> =
            order::set(patterns.iter().filter_map(|it| it.parts.get(depth)).map(String::as_str));
        // A folder of which the names are known is not listed.
        let entries = match parts.iter().any(|it| it.contains('*')) {
            true => fs::entries(&folder),
            false => Ok(parts.iter().filter_map(|name| fs::entry(&folder, name)).collect()),
        };
        let Ok(entries) = entries else {
            notes.unreadable += 1;
            continue;
        };
        for entry in entries {
            let (name, plain) = match entry {
                Entry::Folder(name) => (name, None),
                Entry::File(name, plain) => (name, Some(plain)),
            };
            let fitting = patterns.iter().filter(|it| {
                let last = it.parts.len() == depth + 1;
                last == plain.is_some() && it.parts.get(depth).is_some_and(|it| fits(it, &name))
            });
            let fitting: Vec<&Pattern> = fitting.copied().collect();
            let Some(first) = fitting.first() else { continue };
            let path = folder.join(&name);
            match plain {
                None => open.push((path, depth + 1, fitting)),
                Some(mut plain) => {
                    // What was written last may stand in the log beside it alone.
                    if let Some(log) = source.database().and_then(|_| sqlite::log_of(&path)) {
                        plain.size = plain.size.saturating_add(log.size);
                        plain.modified = plain.modified.max(log.modified);
                    }
                    let named = if first.named { path.file_stem() } else { folder.file_name() };
                    let name = match source.is_in_tree() {
                        true => folder.to_string_lossy().into_owned(),
                        false => named.unwrap_or_default().to_string_lossy().into_owned(),
                    };
                    found.push(Candidate { source, path, name, plain });
                }
            }
        }
    }
}

/// Whether nothing was made in a folder since then.
fn is_older(folder: &Path, time: Timestamp) -> bool {
    let modified = fs::modified(folder).ok().flatten();
    let since = modified.and_then(|it| it.duration_since(std::time::UNIX_EPOCH).ok());
    since.is_some_and(|it| i64::try_from(it.as_secs()).is_ok_and(|it| it <= time.0))
}
