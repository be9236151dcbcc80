//! git's blame of a file, with what is known of each line: agent, session, how
//! we know, and who approved it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use crate::adapters::git::{Annotated, Revisions};
pub use crate::adapters::git::{AnnotatedCommit, AnnotatedLine};
use crate::adapters::ledger::{Wanted, Words};
use crate::gate::approval::{human, signer, withdrawn};
use crate::gate::blame::{Approved, History, Known, Mark, Matched, Origin, approvers, marks};
use crate::gate::change::{LineRange, Oid, RepoPath};
use crate::gate::evidence::Answer;
use crate::gate::matching::match_lines;
use crate::gate::order;
use crate::gate::policy::{Narrow, Policy};
use crate::gate::record::{Body, SignedRecord};
use crate::gate::recorded::{RecordedLines, without_moved};
use crate::gate::signal::{Signal, SignalKind, Strength, detect};
use crate::gate::told::lines::{Told, restored};
use crate::gate::trace::TracedEdit;

use super::judgement::catalogue;
use super::trusted::{Trusted, Vantage, trusted_remote};
use super::world::World;
use super::{Error, moved, narrow, publish, recorded, sessions};

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub file: PathBuf,
    /// `None`: the file as it stands in the work tree.
    pub revision: Option<String>,
    /// As `git blame -L` takes them.
    pub lines: Vec<String>,
}

/// A file, line by line.
#[derive(Clone, Debug)]
pub struct Blame {
    pub path: RepoPath,
    pub revision: Option<Oid>,
    pub annotated: Annotated,
    pub rows: Vec<Row>,
    /// What could not be looked up, for people.
    pub notes: Vec<String>,
}

/// What is known of a line of [`Annotated::lines`], in the same order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    pub mark: Option<Mark>,
    /// People of the policy who approved the content that brought the line.
    pub approved: BTreeSet<String>,
}

/// Blames a file.
pub fn blame(world: &World, options: &Options) -> Result<Blame, Error> {
    let path = path_of(world, &options.file)?;
    let revision = match &options.revision {
        Some(text) => Some(world.git.resolve_commit(text)?.ok_or_else(|| no_commit(text))?),
        // Without a work tree there is only what is committed.
        None if world.git.layout().toplevel.is_none() => {
            Some(world.git.resolve_commit("HEAD")?.ok_or_else(|| no_commit("HEAD"))?)
        }
        None => None,
    };
    let annotated = world.git.annotate(&path, revision.as_ref(), &options.lines)?;
    let mut notes = Vec::new();
    let trusted = trusted(world, &mut notes)?;
    let mut rows = committed(world, &trusted, revision.as_ref(), &annotated)?;
    uncommitted(world, &trusted.policy, &path, &annotated.lines, &mut rows)?;
    Ok(Blame { path, revision, annotated, rows, notes })
}

/// The policy says whose approvals count and which further agents there are;
/// without one, what is recorded is shown all the same.
fn trusted(world: &World, notes: &mut Vec<String>) -> Result<Trusted, Error> {
    match Trusted::read(world, None, Vantage::Clone) {
        Ok(trusted) => Ok(trusted),
        Err(error) => {
            notes.push(format!("no approvals are shown: {}", error.chain()));
            let remote = trusted_remote(&world.git).unwrap_or_default();
            Ok(Trusted { policy: Policy::built_in(), commit: None, remote, absent: true })
        }
    }
}

/// What is known of the lines that are committed.
fn committed(
    world: &World,
    trusted: &Trusted,
    revision: Option<&Oid>,
    annotated: &Annotated,
) -> Result<Vec<Row>, Error> {
    let origins: Vec<Origin> = annotated.lines.iter().map(origin).collect();
    let commits: BTreeSet<&Oid> = order::set(origins.iter().filter_map(|it| it.commit.as_ref()));
    let names: BTreeSet<RepoPath> = order::set(origins.iter().map(|it| it.path.clone()));
    let words = names.iter().fold(Words::default(), Words::path);
    // Whether lines of a commit are known, a record of any file of it tells.
    let kept = world.marks.by_commit()?;
    let narrows = trusted.policy.trust.narrow == Narrow::Signed;
    let words = commits
        .iter()
        .filter(|commit| narrows || kept.contains_key(**commit))
        .fold(words, |words, commit| words.id(commit.as_str()));
    let view = publish::ledger(world, trusted).read(&Wanted::About(words))?;
    let mut known = recorded::of_ledger(&view.records);
    let of_ledger: BTreeSet<Oid> = order::set(known.iter().filter_map(|it| it.commit.clone()));
    let noted = recorded::of_notes(world, &commits)?;
    known.extend(noted.lines.into_iter().map(|(commit, lines)| Known {
        commit: Some(commit),
        lines,
        noted: true,
    }));
    // A record of another file of the same commit tells nothing here.
    known.retain(|it| RepoPath::from_text(&it.lines.path).is_some_and(|it| names.contains(&it)));
    let first: Vec<RecordedLines> =
        without_moved(known.iter().map(|it| &it.lines)).cloned().collect();
    known.retain(|it| !it.lines.moved || first.contains(&it.lines));
    let approved = approved(world, trusted, &view.records, &names)?;
    let head = revision.or(world.git.layout().head.as_ref());
    let history = match head {
        Some(head) if !known.is_empty() || !approved.is_empty() => {
            world.git.history(head, &names.iter().cloned().collect::<Vec<_>>())?
        }
        Some(_) | None => History::default(),
    };
    let mut signals = signals(world, &trusted.policy, &commits, kept, &of_ledger)?;
    narrow_down(world, trusted, &mut signals, &view.records)?;
    let texts: Vec<String> =
        annotated.lines.iter().map(|it| String::from_utf8_lossy(&it.text).into_owned()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let people = approvers(&history, &approved);
    let marks = marks(&texts, &origins, &known, &signals, &history);
    let row = |(mark, origin): (Option<Mark>, &Origin)| Row {
        mark,
        approved: origin
            .commit
            .as_ref()
            .and_then(|commit| people.get(commit))
            .cloned()
            .unwrap_or_default(),
    };
    Ok(marks.into_iter().zip(&origins).map(row).collect())
}

fn origin(line: &AnnotatedLine) -> Origin {
    Origin {
        commit: (!line.commit.is_zero()).then(|| line.commit.clone()),
        path: line.path.clone(),
        number: line.original,
    }
}

/// The marks on these commits. What this clone saw nearby when one was made
/// tells nothing of lines, but a session whose lines were lost covers all.
fn signals(
    world: &World,
    policy: &Policy,
    commits: &BTreeSet<&Oid>,
    kept: BTreeMap<Oid, Vec<Signal>>,
    of_ledger: &BTreeSet<Oid>,
) -> Result<BTreeMap<Oid, Vec<Signal>>, Error> {
    let revisions = Revisions {
        from: commits.iter().map(|it| (*it).clone()).collect(),
        alone: true,
        ..Revisions::default()
    };
    let catalogue = catalogue(policy);
    let mut signals: BTreeMap<Oid, Vec<Signal>> = order::map(
        world
            .git
            .commits(&revisions)?
            .into_iter()
            .map(|commit| (commit.id.clone(), detect(&catalogue, &commit))),
    );
    for (commit, marks) in kept {
        if let Some(signals) = signals.get_mut(&commit).filter(|_| !of_ledger.contains(&commit)) {
            signals.extend(marks.into_iter().filter(|it| it.kind == SignalKind::Session));
        }
    }
    Ok(signals)
}

/// Takes the trailers off commits that are narrowed to what is recorded of them.
fn narrow_down(
    world: &World,
    trusted: &Trusted,
    signals: &mut BTreeMap<Oid, Vec<Signal>>,
    records: &[SignedRecord],
) -> Result<(), Error> {
    let all: Vec<(Oid, Vec<Signal>)> =
        signals.iter().map(|(commit, marks)| (commit.clone(), marks.clone())).collect();
    for commit in narrow::narrowed(world, trusted, Vantage::Clone, &all, records)?.keys() {
        if let Some(marks) = signals.get_mut(commit) {
            marks.retain(|it| it.kind != SignalKind::Trailer);
        }
    }
    Ok(())
}

/// The approvals of these files that count by their signature: a human's of
/// the policy, for this repository, not taken back.
fn approved(
    world: &World,
    trusted: &Trusted,
    records: &[SignedRecord],
    names: &BTreeSet<RepoPath>,
) -> Result<Vec<Approved>, Error> {
    let policy = &trusted.policy;
    let is_approval = |it: &&SignedRecord| matches!(it.record.body, Body::Approval(_));
    if !records.iter().any(|it| is_approval(&it)) {
        return Ok(Vec::new());
    }
    let revoked = policy.revoked.iter().filter_map(|it| it.after.clone());
    let cuts: BTreeMap<Oid, Answer<BTreeSet<String>>> = order::map(revoked.map(|commit| {
        let ids = publish::ledger(world, trusted).at(&commit);
        (commit, ids.map_err(|error| Error::from(error).chain()))
    }));
    let withdrawn = withdrawn(records, policy, &cuts);
    let mut approved = Vec::new();
    for signed in records.iter().filter(is_approval) {
        let (Ok(person), Some(content)) =
            (signer(signed, policy, &cuts), signed.record.body.content())
        else {
            continue;
        };
        let counts = human(person).is_ok()
            && policy.trust.repo_id.as_ref() == Some(&content.repo)
            && !withdrawn.contains(&signed.record.id);
        for file in content.files.iter().filter(|file| counts && names.contains(&file.path)) {
            if let Some(new) = &file.new {
                approved.push(Approved {
                    person: person.name.clone(),
                    path: file.path.clone(),
                    old: file.old.as_ref().map(|side| side.oid.clone()),
                    new: new.oid.clone(),
                });
            }
        }
    }
    Ok(approved)
}

/// What agents recorded of the lines that are not committed yet.
fn uncommitted(
    world: &World,
    policy: &Policy,
    path: &RepoPath,
    lines: &[AnnotatedLine],
    rows: &mut [Row],
) -> Result<(), Error> {
    let open: Vec<LineRange> = (1u64..)
        .zip(lines)
        .filter(|(_, line)| line.commit.is_zero())
        .map(|(number, _)| LineRange { start: number, end: number })
        .collect();
    if open.is_empty() {
        return Ok(());
    }
    let new = if open.len() == lines.len() { vec![path] } else { Vec::new() };
    let traces = sessions::recorded(world, vec![path], new, &[])?;
    let elsewhere = &traces.elsewhere;
    let edits = traces.edits.iter().chain(&elsewhere.moved);
    let mut edits: Vec<&TracedEdit> = edits.map(|it| &it.edit).collect();
    let content: Vec<u8> =
        lines.iter().flat_map(|it| [it.text.as_slice(), b"\n"].concat()).collect();
    let formatted = policy.trust.reformatted;
    edits.extend(moved::of_work_tree(world, elsewhere, &content, formatted)?);
    let told = sessions::told(world, &[path])?.0;
    let told: Vec<&Told> = told.values().flatten().collect();
    let told = restored(&content, &told, &edits);
    edits.extend(&told);
    order::sort_by_key(&mut edits, |it| it.time);
    for range in match_lines(&content, &open, &edits, formatted) {
        let matched = if range.reformatted { Matched::Reformatted } else { Matched::Exact };
        let place = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let first = place(range.lines.start.saturating_sub(1));
        for row in rows.iter_mut().take(place(range.lines.end)).skip(first) {
            row.mark = Some(Mark {
                agent: range.agent.clone(),
                session: Some(range.session.clone()),
                model: range.model.clone(),
                strength: Strength::Recorded,
                matched,
            });
        }
    }
    Ok(())
}

/// The file's path from the top of the work tree, as git stores it.
fn path_of(world: &World, file: &Path) -> Result<RepoPath, Error> {
    let text = |path: &Path| RepoPath::new(path.as_os_str().as_encoded_bytes());
    let Some(top) = &world.git.layout().toplevel else { return Ok(text(file)) };
    let dir = world.env.dir.canonicalize().unwrap_or_else(|_| world.env.dir.clone());
    let mut path = PathBuf::new();
    for part in dir.join(file).components() {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => path.push(part),
        }
    }
    path.strip_prefix(top).map(text).map_err(|_| {
        let file = crate::gate::change::printable(&file.to_string_lossy());
        Error::usage(format!("`{file}` is not in this repository"))
    })
}

fn no_commit(text: &str) -> Error {
    let text = crate::gate::change::printable(text);
    Error::usage(format!("`{text}` names no commit")).hint("`git log --oneline -5` shows some")
}
