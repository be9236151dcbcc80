//! The lines that agents recorded: matched when a commit is made, kept in the
//! ledger, found again in every later change.

use std::collections::{BTreeMap, BTreeSet};

use crate::adapters::git::{Detail, GitError};
use crate::adapters::store::Unpublished;
use crate::gate::attribution::Attribution;
use crate::gate::change::{Change, FileChange, LineRange, Oid, RepoPath};
use crate::gate::matching::{MatchedRange, match_lines};
use crate::gate::record::Record;
use crate::gate::recorded::{self, RecordedLines, bodies, keep, locate, new_lines};
use crate::gate::signal::{Signal, SignalKind, Strength};
use crate::gate::told::lines::{Told, restored};
use crate::gate::trace::{TracedEdit, git_ai};

use super::world::World;
use super::{Error, sessions};

/// The largest file in which lines are looked for, in bytes. Of a larger one,
/// every added line counts.
const FILE_LIMIT: u64 = 32 << 20;

/// What agents recorded of the staged lines.
pub fn staged(world: &World, change: &Change) -> Result<Vec<RecordedLines>, Error> {
    let paths: Vec<&RepoPath> =
        change.files.iter().filter(|it| is_text(it)).map(|it| &it.path).collect();
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let traces = sessions::recorded(world, paths.clone())?;
    let (told, _) = sessions::told(world, &paths)?;
    let mut edits: BTreeMap<&RepoPath, Vec<&TracedEdit>> = BTreeMap::new();
    for recorded in &traces.edits {
        edits.entry(&recorded.path).or_default().push(&recorded.edit);
    }
    if edits.is_empty() && told.is_empty() {
        return Ok(Vec::new());
    }
    // Which lines are added is asked only now: hardly any commit comes here.
    let lines = world.git.staged(None, Detail::Lines)?;
    let mut kept = Vec::new();
    for file in lines.files.iter().filter(|it| is_text(it)) {
        let (recorded, told) = (edits.get(&file.path), told.get(&file.path));
        let Some(new) = file.new.as_ref().filter(|_| recorded.is_some() || told.is_some()) else {
            continue;
        };
        let content = world.git.blob(&new.oid, FILE_LIMIT)?;
        let recorded = recorded.map_or(&[][..], Vec::as_slice);
        let told: Vec<&Told> = told.into_iter().flatten().collect();
        let told = restored(&content, &told, recorded);
        let mut edits: Vec<&TracedEdit> = recorded.iter().copied().chain(&told).collect();
        edits.sort_by_key(|it| it.time);
        kept.extend(keep(&file.path, &content, &match_lines(&content, &file.added, &edits)));
    }
    Ok(kept)
}

/// The marks that these lines are on the commit that brings them.
pub fn signals(kept: &[RecordedLines]) -> Vec<Signal> {
    let signals: BTreeSet<Signal> = kept
        .iter()
        .map(|it| Signal {
            agent: it.agent.clone(),
            kind: SignalKind::Session,
            strength: Strength::Recorded,
            value: format!("session {}", it.session),
            model: it.model.clone(),
            in_trailer_block: None,
        })
        .collect();
    signals.into_iter().collect()
}

/// Keeps, until it is published, what was recorded of a commit's lines.
pub fn bind(world: &World, commit: &Oid, kept: &[RecordedLines]) -> Result<(), Error> {
    for body in bodies(commit, world.env.now, kept) {
        let (record, bytes) = Record::write(&body).map_err(Error::repository)?;
        world.store.keep(&Unpublished { id: record.id, bytes, signature: None })?;
    }
    Ok(())
}

/// Adds to an attribution the lines that these records tell of.
pub fn add(
    world: &World,
    change: &Change,
    records: &[RecordedLines],
    attribution: &mut Attribution,
) -> Result<(), Error> {
    let mut by_path: BTreeMap<&str, Vec<&RecordedLines>> = BTreeMap::new();
    for record in records {
        by_path.entry(&record.path).or_default().push(record);
    }
    if by_path.is_empty() {
        return Ok(());
    }
    for file in change.files.iter().filter(|it| is_text(it)) {
        let (Some(records), Some(new)) = (by_path.get(file.path.to_text().as_str()), &file.new)
        else {
            continue;
        };
        let content = match world.git.blob(&new.oid, FILE_LIMIT) {
            Ok(content) => content,
            Err(GitError::TooLarge { .. }) => {
                let agents = records.iter().map(|it| it.agent.clone());
                attribution.add_touched(&file.path, agents.collect());
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let added = added(world, file, &content)?;
        attribution.add_recorded(&file.path, &file.added, locate(&content, &added, records));
    }
    Ok(())
}

/// The added lines, by git where it was asked for them.
fn added(world: &World, file: &FileChange, content: &[u8]) -> Result<Vec<LineRange>, Error> {
    if !file.added.is_empty() {
        return Ok(file.added.clone());
    }
    let old = match file.old.as_ref().filter(|old| old.mode & 0o170_000 == 0o100_000) {
        Some(old) => world.git.blob(&old.oid, FILE_LIMIT)?,
        None => Vec::new(),
    };
    Ok(new_lines(&old, content))
}

/// What notes tell of commits.
#[derive(Clone, Debug, Default)]
pub struct Noted {
    pub lines: Vec<RecordedLines>,
    /// The marks that this is on each commit.
    pub marks: BTreeMap<Oid, Vec<Signal>>,
    /// Files that are there no more, or are too large, by the agent that wrote in them.
    pub touched: Vec<(RepoPath, String)>,
}

/// The ref of git-ai's notes.
const NOTES: &str = "refs/notes/ai";
/// The longest note that is read, in bytes.
const NOTE_LIMIT: u64 = 8 << 20;

/// Reads git-ai's notes on the commits of a change, and turns lines of these
/// commits into what is found by content. A note that is no text tells nothing.
pub fn of_notes(world: &World, change: &Change) -> Result<Noted, Error> {
    let commits: BTreeSet<&Oid> = change.commits.iter().map(|it| &it.id).collect();
    let mut noted = Noted::default();
    if commits.is_empty() {
        return Ok(noted);
    }
    for (commit, blob) in world.git.notes(NOTES, &commits)? {
        let note = match world.git.blob(&blob, NOTE_LIMIT) {
            Ok(bytes) => String::from_utf8(bytes).unwrap_or_default(),
            Err(GitError::TooLarge { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        let mut kept = Vec::new();
        for entry in git_ai::read(&note) {
            let content = match world.git.blob_at(&commit, &entry.path, FILE_LIMIT) {
                Ok(Some((_, content))) => content,
                Ok(None) => continue,
                Err(GitError::TooLarge { .. } | GitError::Missing(_)) => {
                    noted.touched.push((entry.path, entry.agent));
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let range = |lines: &LineRange| MatchedRange {
                lines: *lines,
                agent: entry.agent.clone(),
                session: entry.session.clone(),
                model: entry.model.clone(),
                reformatted: false,
            };
            let ranges: Vec<MatchedRange> = entry.ranges.iter().map(range).collect();
            kept.extend(keep(&entry.path, &content, &ranges));
        }
        let marks =
            signals(&kept).into_iter().map(|it| Signal { kind: SignalKind::Note, ..it }).collect();
        noted.marks.insert(commit, marks);
        noted.lines.extend(kept);
    }
    Ok(noted)
}

/// Whether the file has lines: a symlink or a submodule has none.
fn is_text(file: &FileChange) -> bool {
    file.new.as_ref().is_some_and(|new| new.mode & 0o170_000 == 0o100_000)
}

/// The commits of which the ledger holds lines, and the lines, of these records.
pub fn of_ledger<'a>(
    records: impl Iterator<Item = &'a Record>,
) -> (BTreeSet<Oid>, Vec<RecordedLines>) {
    let (mut commits, mut lines) = (BTreeSet::new(), Vec::new());
    for (commit, recorded) in records.filter_map(|record| recorded::read(&record.body)) {
        commits.extend(commit);
        lines.extend(recorded);
    }
    (commits, lines)
}
