//! The lines that agents recorded: matched when a commit is made, kept in the
//! ledger, found again in every later change.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::adapters::git::{Detail, GitError};
use crate::adapters::store::Unpublished;
use crate::gate::attribution::Attribution;
use crate::gate::blame::Known;
use crate::gate::change::{Change, FileChange, LineRange, Oid, RepoPath};
use crate::gate::matching::{MatchedRange, match_lines};
use crate::gate::narrow::Written;
use crate::gate::order;
use crate::gate::record::{Record, SignatureState, SignedRecord};
use crate::gate::recorded::{
    self, RecordedLines, bodies, keep, locate, new_lines, relocate, without_moved,
};
use crate::gate::signal::{Signal, SignalKind, Strength};
use crate::gate::told::lines::{Told, restored};
use crate::gate::trace::{TracedEdit, git_ai};

use super::trusted::{Trusted, Vantage};
use super::world::World;
use super::{Error, gather, moved, running, sessions};

/// The largest file in which lines are looked for, in bytes. Of a larger one,
/// every added line counts.
pub(super) const FILE_LIMIT: u64 = 32 << 20;

/// What agents recorded of the staged lines.
///
/// `formatted`: lines also count that a formatter changed since; `marks` are
/// those of the surroundings.
pub fn staged(
    world: &World,
    change: &Change,
    formatted: bool,
    marks: &[Signal],
) -> Result<Vec<RecordedLines>, Error> {
    let paths: Vec<&RepoPath> =
        change.files.iter().filter(|it| is_text(it)).map(|it| &it.path).collect();
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let renames = staged_renames(world, change)?;
    let paths: BTreeSet<&RepoPath> = order::set(paths.into_iter().chain(renames.keys()));
    let paths: Vec<&RepoPath> = paths.into_iter().collect();
    // What was written under a file's old name counts under its new one.
    let mut told: BTreeMap<RepoPath, Vec<Told>> = BTreeMap::new();
    for (path, edits) in sessions::told(world, &paths)?.0 {
        let path = renames.get(&path).cloned().unwrap_or(path);
        told.entry(path).or_default().extend(edits);
    }
    for (path, edit) in running::told(world, change, marks)? {
        told.entry(path).or_default().push(edit);
    }
    let is_new = |file: &&FileChange| {
        let begun = told.get(&file.path).is_some_and(|it| it.iter().any(Told::begins));
        file.old.is_none()
            && is_text(file)
            && !begun
            && !renames.values().any(|it| *it == file.path)
    };
    let new = change.files.iter().filter(is_new).map(|it| &it.path).collect();
    let mut claims = moved::Claims::read(world)?;
    let names = claims.of(&change.files);
    let traces = sessions::recorded(world, paths, new, &names)?;
    let mut edits: BTreeMap<&RepoPath, Vec<&TracedEdit>> = BTreeMap::new();
    for recorded in traces.edits.iter().chain(&traces.elsewhere.moved) {
        let path = renames.get(&recorded.path).unwrap_or(&recorded.path);
        edits.entry(path).or_default().push(&recorded.edit);
    }
    let origins = moved::staged(world, change, &traces.elsewhere, &mut claims, formatted)?;
    for (path, gone) in origins.recorded {
        edits.entry(path).or_default().extend(gone);
    }
    for (path, gone) in origins.told {
        told.entry(path.clone()).or_default().extend(gone);
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
        order::sort_by_key(&mut edits, |it| it.time);
        kept.extend(keep(
            &file.path,
            &content,
            &match_lines(&content, &file.added, &edits, formatted),
        ));
    }
    Ok(kept)
}

/// The lines that come along with staged files that were moved: a squash of
/// the branch will know nothing of their old names.
pub fn moved(
    world: &World,
    trusted: &Trusted,
    change: &Change,
) -> Result<Vec<RecordedLines>, Error> {
    let renames = staged_renames(world, change)?;
    if renames.is_empty() {
        return Ok(Vec::new());
    }
    let none = std::iter::empty();
    // That the ledger cannot be read is said where it decides something: at the push.
    let Ok(view) = gather::attributions(world, trusted, Vantage::Commit, renames.keys(), none)
    else {
        return Ok(Vec::new());
    };
    let known = of_ledger(&view.records);
    let mut moved = Vec::new();
    for (from, to) in &renames {
        let from = from.to_text();
        let records: Vec<&RecordedLines> =
            known.iter().map(|it| &it.lines).filter(|it| it.path == from).collect();
        let file = change.files.iter().find(|it| it.path == *to);
        let Some(new) = file.and_then(|it| it.new.as_ref()).filter(|_| !records.is_empty()) else {
            continue;
        };
        let content = world.git.blob(&new.oid, FILE_LIMIT)?;
        let whole = LineRange { start: 1, end: content.len() as u64 + 1 };
        let found = relocate(to, &content, &[whole], &records);
        moved.extend(found.into_iter().map(|it| RecordedLines { moved: true, ..it }));
    }
    Ok(moved)
}

/// The staged files that were moved, by their old names: as git finds them,
/// and where too little is left for that, the new file of the same name, or the
/// only one. A wrong guess finds no line: what an agent wrote must stand there.
fn staged_renames(world: &World, change: &Change) -> Result<BTreeMap<RepoPath, RepoPath>, Error> {
    let gone = || change.files.iter().filter(|it| it.new.is_none()).map(|it| &it.path);
    let new: Vec<&RepoPath> = change
        .files
        .iter()
        .filter(|it| it.old.is_none() && is_text(it))
        .map(|it| &it.path)
        .collect();
    if gone().next().is_none() || new.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut renames: BTreeMap<RepoPath, RepoPath> = order::map(world.git.staged_renames()?);
    let name =
        |path: &RepoPath| path.as_bytes().rsplit(|it| *it == b'/').next().map(<[u8]>::to_vec);
    for from in gone() {
        let same: Vec<&&RepoPath> = new.iter().filter(|to| name(to) == name(from)).collect();
        let to = match (same.as_slice(), new.as_slice()) {
            ([to], _) => **to,
            (_, [to]) => *to,
            _ => continue,
        };
        renames.entry(from.clone()).or_insert_with(|| to.clone());
    }
    Ok(renames)
}

/// The names that the files of a change had before, in its own commits: what
/// was recorded under an old name is found under the new one.
pub fn old_names(world: &World, change: &Change) -> Result<OldNames, Error> {
    let mut names = OldNames::new();
    if !change.files.iter().any(|it| it.old.is_none() && is_text(it)) {
        return Ok(names);
    }
    let commits: Vec<Oid> = change.commits.iter().map(|it| it.id.clone()).collect();
    let renames = world.git.renames(&commits)?;
    for (from, to) in commits.iter().filter_map(|it| renames.get(it)).flatten() {
        let earlier = names.get(from).cloned().unwrap_or_default();
        let of = names.entry(to.clone()).or_default();
        of.extend(earlier);
        of.insert(from.clone());
    }
    Ok(names)
}

/// For each file that was moved, what it was called before.
pub type OldNames = BTreeMap<RepoPath, BTreeSet<RepoPath>>;

/// The marks that these lines are on the commit that brings them.
pub fn signals(kept: &[RecordedLines]) -> Vec<Signal> {
    let signals: BTreeSet<Signal> =
        order::set(kept.iter().filter(|it| !it.moved).map(|it| Signal {
            agent: it.agent.clone(),
            kind: SignalKind::Session,
            strength: Strength::Recorded,
            value: format!("session {}", it.session),
            model: it.model.clone(),
            in_trailer_block: None,
        }));
    signals.into_iter().collect()
}

/// Keeps, until it is published, what was recorded of a commit's lines.
pub fn bind(
    world: &World,
    commit: &Oid,
    kept: &[RecordedLines],
    written: Option<&Written>,
) -> Result<(), Error> {
    for body in bodies(commit, world.env.now, kept, written) {
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
    names: &OldNames,
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
        let Some(new) = &file.new else { continue };
        let paths = names.get(&file.path).into_iter().flatten().chain([&file.path]);
        let of = |path: &RepoPath| by_path.get(path.to_text().as_str()).cloned();
        let records: Vec<&RecordedLines> = paths.filter_map(of).flatten().collect();
        let records: Vec<&RecordedLines> = without_moved(records.into_iter()).collect();
        if records.is_empty() {
            continue;
        }
        let content = match world.git.blob_kept(&new.oid, FILE_LIMIT) {
            Ok(content) => content,
            Err(GitError::TooLarge { .. }) => {
                let agents = records.iter().map(|it| it.agent.clone());
                attribution.add_touched(&file.path, agents.collect());
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let added = added(world, file, &content)?;
        attribution.add_recorded(&file.path, &file.added, locate(&content, &added, &records));
    }
    Ok(())
}

/// The added lines, by git where it was asked for them.
fn added(world: &World, file: &FileChange, content: &[u8]) -> Result<Vec<LineRange>, Error> {
    if !file.added.is_empty() {
        return Ok(file.added.clone());
    }
    let old = match file.old.as_ref().filter(|old| old.mode & 0o170_000 == 0o100_000) {
        Some(old) => world.git.blob_kept(&old.oid, FILE_LIMIT)?,
        None => Vec::new(),
    };
    Ok(new_lines(&old, content))
}

/// What notes tell of commits.
#[derive(Clone, Debug, Default)]
pub struct Noted {
    /// The lines of each commit, as they stand there.
    pub lines: Vec<(Oid, RecordedLines)>,
    /// The marks that this is on each commit.
    pub marks: BTreeMap<Oid, Vec<Signal>>,
    /// Files that are there no more, or are too large, by the agent that wrote in them.
    pub touched: Vec<(RepoPath, String)>,
}

/// The ref of git-ai's notes.
const NOTES: &str = "refs/notes/ai";
/// The longest note that is read, in bytes.
const NOTE_LIMIT: u64 = 8 << 20;

/// Reads git-ai's notes on these commits, and turns lines of them into what is
/// found by content. A note that is no text tells nothing.
pub fn of_notes(world: &World, commits: &BTreeSet<&Oid>) -> Result<Noted, Error> {
    let mut noted = Noted::default();
    if commits.is_empty() {
        return Ok(noted);
    }
    for (commit, blob) in world.git.notes(NOTES, commits)? {
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
        noted.lines.extend(kept.into_iter().map(|it| (commit.clone(), it)));
        noted.marks.insert(commit, marks);
    }
    Ok(noted)
}

/// Whether the file has lines: a symlink or a submodule has none.
fn is_text(file: &FileChange) -> bool {
    file.new.as_ref().is_some_and(|new| new.mode & 0o170_000 == 0o100_000)
}

/// What these records of the ledger tell of lines, each with its commit.
pub fn of_ledger(records: &[SignedRecord]) -> Vec<Known> {
    let mut known: Vec<Known> = Vec::new();
    let is_signed = |it: &&SignedRecord| matches!(it.signature, SignatureState::Good(_));
    let (signed, unsigned): (Vec<_>, Vec<_>) = records.iter().partition(is_signed);
    let read = |signed: &SignedRecord, known: &mut Vec<Known>| {
        if let Some((commit, recorded)) = recorded::read(&signed.record.body) {
            let of = |lines| Known { commit: commit.clone(), lines, noted: false };
            known.extend(recorded.into_iter().map(of));
        }
    };
    unsigned.into_iter().for_each(|it| read(it, &mut known));
    let mut further = Vec::new();
    signed.into_iter().for_each(|it| read(it, &mut further));
    if !further.is_empty() {
        // What somebody signed says what the hook recorded once more.
        let said: HashSet<(Option<&Oid>, &RecordedLines)> =
            known.iter().map(|it| (it.commit.as_ref(), &it.lines)).collect();
        further.retain(|it| !said.contains(&(it.commit.as_ref(), &it.lines)));
        known.extend(further);
    }
    known
}
