//! Agents' session records on this machine: found, and read as far as they are
//! new.
//!
//! A record is a file that an agent keeps for itself, with prompts and answers
//! in it. Nothing of them leaves that file: what we keep, below the git common
//! folder, is how far each file was read and at which offsets an edit of which
//! file stands, paths as hashes. The text is read again where a change needs it.
//!
//! Whatever is wrong with a record costs only itself: it is counted, and never
//! an error.

mod database;
mod elsewhere;
mod find;
mod index;
mod lines;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use find::{Candidate, Search, find, folders, walk, work_trees};
use index::{Index, Known, Place, Stamp, file_key, path_key};
use lines::Lines;
use serde::Serialize;

use super::env::Env;
use super::fs::{self, FsError};
use super::git::Git;
use super::store::Store;
use crate::gate::change::RepoPath;
use crate::gate::order;
use crate::gate::time::Timestamp;
use crate::gate::trace::moved::Move;
use crate::gate::trace::place::Places;
use crate::gate::trace::source::CURSOR_TRACKING;
use crate::gate::trace::stored::Stored;
use crate::gate::trace::{Found, TracedEdit};

pub use find::{Holding, holdings};

/// In how many lines, of how many bytes together, a session names its folder.
const HEAD_LINES: usize = 64;
const HEAD_BYTES: u64 = 4 << 20;
/// The most bytes that are read of Cursor's own count.
const TRACKING: u64 = 64 << 20;
/// What is read at once.
const CHUNK: usize = 256 << 10;
const SMALL_CHUNK: usize = 16 << 10;

/// Bounds of one reading.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of records, over all files, the newest first.
    pub bytes: u64,
    /// Bytes of one line; a longer one is passed over.
    pub line: usize,
    /// Bytes of one document; a larger one is not read.
    pub document: u64,
    /// Bytes of edits' texts that are handed out.
    pub texts: usize,
    /// Files that are looked at, the newest first.
    pub files: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { bytes: 2 << 30, line: 8 << 20, document: 16 << 20, texts: 32 << 20, files: 50_000 }
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// The files of the change, both names of a renamed one.
    pub paths: Vec<&'a RepoPath>,
    /// Those of them that are new: where no record tells how one began, what
    /// was recorded under other names is asked for as well.
    pub new: Vec<&'a RepoPath>,
    /// What was recorded under these names, by their keys, is of those files:
    /// see [`crate::gate::told::lines::path_key`], and where git does not tell
    /// cases apart, the same of the path in small letters.
    pub names: &'a [(String, RepoPath)],
    /// Records that were not written since then are not opened.
    pub since: Timestamp,
    pub limits: Limits,
}

/// An edit of a file of this repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    pub path: RepoPath,
    pub edit: TracedEdit,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Traces {
    /// Oldest first; those without a time come before.
    pub edits: Vec<Recorded>,
    /// What was recorded under other names.
    pub elsewhere: Elsewhere,
    pub notes: Notes,
}

/// What may be of new files although it was recorded under other names: these
/// were moved before they were ever committed.
#[derive(Clone, Debug, Default)]
pub struct Elsewhere {
    /// By the new file's path: an agent's own command moved it.
    pub moved: Vec<Recorded>,
    /// From which name each of them came, and its own.
    pub renames: Vec<(RepoPath, RepoPath)>,
    /// The new files of which the records do not tell how they began.
    pub unknown: Vec<RepoPath>,
    /// Of files that stand in no work tree.
    pub nowhere: Vec<Recorded>,
}

/// What the reading cost, and what it left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Notes {
    /// Files of sessions that concern this repository.
    pub sessions: u64,
    /// Bytes that were read for the first time.
    pub read: u64,
    /// Lines that are malformed or too long.
    pub skipped: u64,
    /// Files and folders that could not be read.
    pub unreadable: u64,
    /// Files that a limit kept from being read to their beginning, or at all.
    pub left: u64,
}

/// Reads what the agents recorded about these files of this repository.
/// Nothing is found where there is no work tree.
pub fn read(env: &Env, git: &Git, store: &Store, wanted: &Wanted<'_>) -> Traces {
    let ignore_case = git
        .config()
        .ok()
        .and_then(|config| config.bool("core.ignorecase").ok().flatten())
        .unwrap_or(false);
    let trees = work_trees(git.layout());
    let places = Places::new(trees.iter().filter_map(|it| it.to_str()), ignore_case);
    let mut reading = Reading {
        places,
        resolved: HashMap::new(),
        limits: wanted.limits,
        notes: Notes::default(),
        budget: wanted.limits.bytes,
        again: u64::MAX,
    };
    let mut index = Index::load(store, &trees);
    let mut files = find(env, &trees, wanted.since, &mut reading.notes);
    order::sort_by_key(&mut files, |it| std::cmp::Reverse(it.plain.modified));
    reading.notes.left += files.len().saturating_sub(wanted.limits.files) as u64;
    files.truncate(wanted.limits.files);
    for file in &files {
        reading.update(file, wanted.since, &mut index);
    }
    if index.changed {
        index.save(store, wanted.since);
    }
    let mut edits = reading.collect(&files, &index, &wanted.paths, wanted.names);
    let mut elsewhere = reading.elsewhere(&files, &index, wanted, &edits, &trees);
    // What came away under another name is no longer of the file of the old one.
    edits.retain(|it| !elsewhere.moved.iter().any(|moved| moved.edit == it.edit));
    for edits in [&mut edits, &mut elsewhere.moved, &mut elsewhere.nowhere] {
        name_models(env, edits, wanted);
    }
    Traces { edits, elsewhere, notes: reading.notes }
}

/// Adds the models that Cursor's transcripts do not tell and its own count does.
fn name_models(env: &Env, edits: &mut [Recorded], wanted: &Wanted<'_>) {
    let unnamed = |it: &Recorded| it.edit.agent == CURSOR_TRACKING.agent && it.edit.model.is_none();
    if !edits.iter().any(unnamed) {
        return;
    }
    let mut found = Vec::new();
    for folder in folders(env, &CURSOR_TRACKING, &[]) {
        walk(&CURSOR_TRACKING, &folder, Search::default(), &mut found, &mut Notes::default());
    }
    for file in found {
        let models = database::models(&file.path, wanted.since, TRACKING);
        for recorded in edits.iter_mut().filter(|it| unnamed(it)) {
            recorded.edit.model = models.get(&recorded.edit.session).cloned();
        }
    }
}

/// One reading of all files.
struct Reading {
    places: Places,
    /// Folders that sessions name, as they were resolved.
    resolved: HashMap<String, bool>,
    limits: Limits,
    notes: Notes,
    /// Bytes that may still be read.
    budget: u64,
    /// Bytes of lines that may still be read again.
    again: u64,
}

/// The key of the places at which files are moved: those of all names.
const MOVES: &str = "";

/// What is taken of lines that are read again.
#[derive(Default)]
struct Taken {
    edits: Vec<Recorded>,
    moves: Vec<Move>,
}

impl Reading {
    /// Reads what is new in a file into the index.
    fn update(&mut self, file: &Candidate, since: Timestamp, index: &mut Index) {
        let key = file_key(&file.path);
        let stamp = Some(Stamp::of(&file.plain));
        let known = index.files.get(&key).filter(|it| it.is_of(&file.plain));
        let is_new = match known {
            Some(known) => !known.foreign && known.stamp != stamp,
            None => seconds(file.plain.modified) > since,
        };
        if is_new && self.budget == 0 {
            self.notes.left += 1;
        } else if is_new {
            let mut known = match known.is_some() {
                true => index.files.remove(&key).unwrap_or_default(),
                false => Known::default(),
            };
            index.changed = true;
            if self.read_on(file, since, &mut known).is_err() {
                self.notes.unreadable += 1;
                return;
            }
            known.stamp = stamp;
            index.files.insert(key.clone(), known);
        }
        if let Some(known) = index.files.get(&key).filter(|it| !it.foreign) {
            self.notes.sessions += 1;
            self.notes.skipped += known.skipped;
        }
    }

    /// Reads a file from where it was left.
    fn read_on(
        &mut self,
        file: &Candidate,
        since: Timestamp,
        known: &mut Known,
    ) -> Result<(), FsError> {
        if file.is_document() {
            return self.read_whole(file, known);
        }
        if let Some(stored) = file.database() {
            return self.read_rows(file, stored, since, known);
        }
        let (handle, plain) = fs::open_plain(&file.path)?;
        let mut reader = file.source.reader(&file.name);
        let mut lines = Lines::new(&file.path, handle, self.limits.line, CHUNK);
        let mut found = Vec::new();
        for at in &known.needs {
            if let Some(line) = lines.line_at(*at)? {
                reader.line(*at, line, &mut found).ok();
            }
        }
        found.clear();
        lines.go_to(known.read)?;
        let mut undecided = known.read == 0;
        let mut jump = !undecided;
        let mut count = 0;
        let mut from = known.read;
        loop {
            if std::mem::take(&mut jump) && plain.size.saturating_sub(from) > self.budget {
                // What is newest stands at the end.
                self.notes.left += 1;
                lines.go_near(plain.size.saturating_sub(self.budget))?;
                from = lines.whole;
            }
            let Some((at, line)) = lines.next()? else { break };
            count += 1;
            if undecided {
                match line.and_then(|line| reader.directory(line)) {
                    Some(folder) if !self.concerns(&folder) => {
                        known.foreign = true;
                        return Ok(());
                    }
                    Some(_) => undecided = false,
                    None => undecided = count < HEAD_LINES && at < HEAD_BYTES,
                }
                jump = !undecided;
            }
            match line.map(|line| reader.line(at, line, &mut found)) {
                Some(Ok(())) => {}
                Some(Err(_)) | None => known.skipped += 1,
            }
            for found in found.drain(..) {
                if let Some(place) = self.entry(&found)
                    && known.add(place)
                {
                    self.notes.left += 1;
                }
            }
        }
        let read = lines.whole.saturating_sub(from);
        self.notes.read += read;
        self.budget = self.budget.saturating_sub(read);
        known.read = lines.whole;
        known.needs = reader.needs();
        known.open = reader.open().iter().filter_map(|it| self.entry(it)).collect();
        known.open.dedup();
        Ok(())
    }

    /// Reads a document: what is known of it was read of another one.
    fn read_whole(&mut self, file: &Candidate, known: &mut Known) -> Result<(), FsError> {
        *known = Known::default();
        if file.plain.size > self.limits.document.min(self.budget) {
            self.notes.left += 1;
            return Ok(());
        }
        let bytes = fs::read_plain(&file.path, self.limits.document)?;
        self.notes.read += bytes.len() as u64;
        self.budget = self.budget.saturating_sub(bytes.len() as u64);
        let mut reader = file.source.reader(&file.name);
        if let Some(folder) = reader.directory(&bytes)
            && !self.concerns(&folder)
        {
            known.foreign = true;
            return Ok(());
        }
        let mut found = Vec::new();
        if reader.line(0, &bytes, &mut found).is_err() {
            known.skipped += 1;
        }
        found.extend(reader.open());
        let places: BTreeSet<Place> = order::set(found.iter().filter_map(|it| self.entry(it)));
        known.edits = places.into_iter().collect();
        Ok(())
    }

    /// Reads the newest rows of a database.
    fn read_rows(
        &mut self,
        file: &Candidate,
        stored: Stored,
        since: Timestamp,
        known: &mut Known,
    ) -> Result<(), FsError> {
        *known = Known::default();
        let query = stored.query();
        let (rows, read) = database::newest(&file.path, query, since, self.budget)?;
        self.spend(read);
        known.skipped = rows.skipped;
        let mut reader = file.source.reader(&file.name);
        let mut places = BTreeSet::new();
        let mut ids = rows.ids.as_slice();
        while !ids.is_empty() {
            let (some, read) = database::lines(&file.path, query, ids, self.budget)?;
            self.spend(read);
            ids = ids.get(some.done..).unwrap_or_default();
            let mut found = Vec::new();
            for (id, line) in some.lines {
                known.skipped += u64::from(reader.line(id, &line, &mut found).is_err());
            }
            places.extend(found.iter().filter_map(|it| self.entry(it)));
        }
        known.edits = places.into_iter().collect();
        Ok(())
    }

    fn spend(&mut self, read: u64) {
        self.notes.read += read;
        self.budget = self.budget.saturating_sub(read);
    }

    /// Where an edit stands; `None` if it is of no file of this repository.
    fn entry(&mut self, found: &Found) -> Option<Place> {
        let path = match found.edit.from {
            Some(_) => self.moved(&found.edit).map(|_| MOVES.to_owned())?,
            None => {
                let path = self.locate(&found.edit)?;
                path_key(&self.places, &path)
            }
        };
        Some(Place { path, lines: found.lines.clone() })
    }

    /// The move that an edit is, if it is one within the repository.
    fn moved(&mut self, edit: &TracedEdit) -> Option<Move> {
        let from = TracedEdit { path: edit.from.clone()?, ..edit.clone() };
        Some(Move { from: self.locate(&from)?, to: self.locate(edit)?, time: edit.time })
    }

    /// The file that an edit is of.
    fn locate(&mut self, edit: &TracedEdit) -> Option<RepoPath> {
        let cwd = edit.cwd.as_deref();
        let found = self.places.repo_path(cwd, &edit.path);
        // Its folder may be one that a link leads to.
        found.or_else(|| {
            self.concerns(cwd?);
            self.places.repo_path(cwd, &edit.path)
        })
    }

    /// Whether a session of this folder concerns the repository. A folder that
    /// a link leads to counts as the one it leads to.
    fn concerns(&mut self, folder: &str) -> bool {
        if self.places.concerns(folder) {
            return true;
        }
        // Only a path of this system can be looked at, and none of a network.
        let path = Path::new(folder);
        if !path.is_absolute() || folder.starts_with("//") || folder.starts_with(r"\\") {
            return false;
        }
        if let Some(known) = self.resolved.get(folder) {
            return *known;
        }
        let target = fs::resolve(path).ok().and_then(|it| it.to_str().map(str::to_owned));
        let concerns = target.is_some_and(|target| {
            let concerns = self.places.concerns(&target);
            if concerns {
                self.places.alias(folder, &target);
            }
            concerns
        });
        self.resolved.insert(folder.to_owned(), concerns);
        concerns
    }

    /// Reads the wanted edits again, the newest files first, and puts them in order.
    fn collect(
        &mut self,
        files: &[Candidate],
        index: &Index,
        paths: &[&RepoPath],
        names: &[(String, RepoPath)],
    ) -> Vec<Recorded> {
        let names = names.iter().map(|(key, path)| (key.clone(), path));
        let paths = paths.iter().map(|path| (path_key(&self.places, path), *path));
        let wanted: BTreeMap<String, &RepoPath> = order::map(names.chain(paths));
        let mut taken = Taken::default();
        for file in files {
            let Some(known) = index.files.get(&file_key(&file.path)) else { continue };
            let places = known.edits.iter().chain(&known.open);
            let places = places.filter(|it| wanted.contains_key(&it.path));
            let lines: BTreeSet<u64> = order::set(places.flat_map(|it| it.lines.iter().copied()));
            if lines.is_empty() {
                continue;
            }
            if self.read_again(file, &lines, Some(&wanted), &mut taken).is_err() {
                self.notes.unreadable += 1;
            }
        }
        order::sort_by_key(&mut taken.edits, |it| it.edit.time);
        taken.edits
    }

    /// Adds the wanted edits that these lines of a file tell of, as long as
    /// there is room for their texts; without `wanted` all.
    fn read_again(
        &mut self,
        file: &Candidate,
        offsets: &BTreeSet<u64>,
        wanted: Option<&BTreeMap<String, &RepoPath>>,
        taken: &mut Taken,
    ) -> Result<(), FsError> {
        let mut reader = file.source.reader(&file.name);
        if file.is_document() {
            let mut found = Vec::new();
            let bytes = fs::read_plain(&file.path, self.limits.document)?;
            reader.line(0, &bytes, &mut found).ok();
            found.extend(reader.open());
            self.again = self.again.saturating_sub(bytes.len() as u64);
            self.keep(&mut found, wanted, taken);
            return Ok(());
        }
        let mut found = Vec::new();
        if let Some(stored) = file.database() {
            let all: Vec<u64> = offsets.iter().copied().collect();
            let mut ids = all.as_slice();
            while !ids.is_empty() {
                let (some, read) =
                    database::lines(&file.path, stored.query(), ids, self.limits.bytes)?;
                self.again = self.again.saturating_sub(read);
                ids = ids.get(some.done..).unwrap_or_default();
                for (id, line) in some.lines {
                    reader.line(id, &line, &mut found).ok();
                    self.keep(&mut found, wanted, taken);
                }
            }
            return Ok(());
        }
        let (handle, _) = fs::open_plain(&file.path)?;
        let mut lines = Lines::new(&file.path, handle, self.limits.line, SMALL_CHUNK);
        for at in offsets {
            if self.again == 0 {
                break;
            }
            if let Some(line) = lines.line_at(*at)? {
                self.again = self.again.saturating_sub(line.len() as u64);
                reader.line(*at, line, &mut found).ok();
            }
            self.keep(&mut found, wanted, taken);
        }
        found.extend(reader.open());
        self.keep(&mut found, wanted, taken);
        Ok(())
    }

    fn keep(
        &mut self,
        found: &mut Vec<Found>,
        wanted: Option<&BTreeMap<String, &RepoPath>>,
        taken: &mut Taken,
    ) {
        for Found { edit, .. } in found.drain(..) {
            if edit.from.is_some() {
                taken.moves.extend(self.moved(&edit));
                continue;
            }
            let Some(path) = self.locate(&edit) else { continue };
            let path = match wanted {
                None => path,
                Some(wanted) => match wanted.get(&path_key(&self.places, &path)) {
                    Some(path) => (*path).clone(),
                    None => continue,
                },
            };
            let bytes = edit.new.len() + edit.old.as_deref().map_or(0, str::len);
            match self.limits.texts.checked_sub(bytes) {
                Some(room) => {
                    self.limits.texts = room;
                    taken.edits.push(Recorded { path, edit });
                }
                None => self.notes.left += 1,
            }
        }
    }
}

fn seconds(nanoseconds: i64) -> Timestamp {
    Timestamp(nanoseconds.div_euclid(1_000_000_000))
}
