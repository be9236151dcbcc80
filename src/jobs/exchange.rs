//! Attribution out to other tools' forms, and in from them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::adapters::fs;
use crate::adapters::git::{GitError, NewCommit};
use crate::adapters::ledger::Wanted;
use crate::adapters::store::Unpublished;
use crate::gate::blame::Known;
use crate::gate::change::{Oid, RepoPath};
use crate::gate::exchange::{Row, Traced, note, parse_row, parse_trace, rows};
use crate::gate::matching::MatchedRange;
use crate::gate::order;
use crate::gate::record::{Body, Record, SignedRecord};
use crate::gate::recorded::{RecordedLines, bodies, keep};

use super::recorded::{FILE_LIMIT, of_ledger, of_notes};
use super::trusted::{Trusted, Vantage};
use super::world::World;
use super::{Error, publish};

/// The ref of git-ai's notes.
const NOTES: &str = "refs/notes/ai";

/// What is exported, by commit.
#[derive(Clone, Debug, Default)]
pub struct Exported {
    /// Agent Trace records, as they stand in the ledger.
    pub traces: Vec<Value>,
    pub rows: Vec<Row>,
    /// A note of git-ai for each commit.
    pub notes: BTreeMap<Oid, String>,
}

/// What came of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Runs of lines that were taken over.
    pub runs: usize,
    /// Records that were written for them.
    pub records: usize,
    /// What was no attribution, or named what is not here.
    pub passed_over: usize,
}

/// Returns what the ledger knows of lines: of the commits of a range `A..B`, or
/// of all.
pub fn export(world: &World, range: Option<&str>) -> Result<Exported, Error> {
    let trusted = Trusted::read(world, None, Vantage::Clone)?;
    let records = records(world, &trusted, range)?;
    let known = of_ledger(&records);
    let mut by_commit: BTreeMap<Oid, Vec<&Known>> = BTreeMap::new();
    for it in &known {
        if let Some(commit) = &it.commit {
            by_commit.entry(commit.clone()).or_default().push(it);
        }
    }
    let notes = by_commit.into_iter().filter_map(|(commit, known)| {
        let note = note(&commit, &known)?;
        Some((commit, note))
    });
    let notes = notes.collect();
    Ok(Exported { traces: records.iter().filter_map(trace).collect(), rows: rows(&known), notes })
}

fn records(
    world: &World,
    trusted: &Trusted,
    range: Option<&str>,
) -> Result<Vec<SignedRecord>, Error> {
    let mut records = publish::ledger(world, trusted).read(&Wanted::All)?.records;
    let commits = match range {
        Some(text) => Some(commits_of(world, text)?),
        None => None,
    };
    records.retain(|it| match &it.record.body {
        Body::Attribution(value) => {
            let value = value.value();
            let commit = value.get("commit").and_then(Value::as_str).and_then(Oid::parse);
            commits.as_ref().is_none_or(|commits| commit.is_some_and(|it| commits.contains(&it)))
        }
        Body::Approval(_)
        | Body::Rejection(_)
        | Body::Withdrawal(_)
        | Body::Run(_)
        | Body::Waiver(_)
        | Body::Preview(_)
        | Body::Verdict(_) => false,
    });
    order::sort_by(&mut records, |one, other| {
        (one.record.body.at(), &one.record.id).cmp(&(other.record.body.at(), &other.record.id))
    });
    Ok(records)
}

fn commits_of(world: &World, text: &str) -> Result<BTreeSet<Oid>, Error> {
    let Some((from, to)) = text.split_once("..") else {
        return Err(Error::usage("a range is written A..B"));
    };
    let commit = |text: &str| -> Result<Oid, Error> {
        let missing = || {
            let text = crate::gate::change::printable(text);
            Error::usage(format!("`{text}` names no commit"))
                .hint("`git log --oneline -5` shows some")
        };
        world.git.resolve_commit(if text.is_empty() { "HEAD" } else { text })?.ok_or_else(missing)
    };
    let revisions = crate::adapters::git::Revisions::between(&commit(from)?, &commit(to)?);
    Ok(order::set(world.git.commits(&revisions)?.into_iter().map(|it| it.id)))
}

/// The Agent Trace record in one of ours: without what only the ledger needs.
fn trace(signed: &SignedRecord) -> Option<Value> {
    let Body::Attribution(value) = &signed.record.body else { return None };
    let mut value = value.value();
    let fields = value.as_object_mut()?;
    fields.remove("at");
    fields.remove("commit");
    Some(value)
}

/// Writes notes of git-ai on the commits that have none, and returns how many.
pub fn write_notes(world: &World, exported: &Exported) -> Result<usize, Error> {
    let commits: BTreeSet<&Oid> = order::set(exported.notes.keys());
    let standing = world.git.notes(NOTES, &commits)?;
    let path = |commit: &Oid| {
        let (folder, rest) = commit.as_str().split_at(2);
        RepoPath::new(format!("{folder}/{rest}"))
    };
    let new: Vec<(RepoPath, Vec<u8>)> = exported
        .notes
        .iter()
        .filter(|(commit, _)| !standing.contains_key(*commit))
        .map(|(commit, note)| (path(commit), note.clone().into_bytes()))
        .collect();
    if new.is_empty() {
        return Ok(0);
    }
    let tip = world.git.reference(NOTES)?;
    let tree = match &tip {
        Some(tip) => world.git.tree_of(tip)?,
        None => world.git.empty_tree(),
    };
    let tree = world.git.write_files(&tree, &new)?;
    let commit = world.git.write_commit(&NewCommit {
        tree,
        parents: tip.iter().cloned().collect(),
        message: "Notes added by 'countersign export --write-notes'\n".to_owned(),
        at: world.env.now,
    })?;
    world.git.update_ref(NOTES, &commit, tip.as_ref())?;
    Ok(new.len())
}

/// The largest file that is taken in, in bytes.
const FILE: u64 = 256 << 20;

/// Reads what is to be imported; `-` is standard input.
pub fn read(world: &World, file: &std::path::Path) -> Result<String, Error> {
    let bytes = match file.as_os_str() == "-" {
        true => fs::read_stdin(FILE)?,
        false => {
            let name = crate::gate::change::printable(&file.to_string_lossy());
            let missing = || Error::usage(format!("there is no file `{name}`"));
            fs::read(&world.env.dir.join(file), FILE)?.ok_or_else(missing)?
        }
    };
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What comes in.
#[derive(Clone, Debug)]
pub enum Import<'a> {
    /// Agent Trace records, one a line.
    AgentTrace(&'a str),
    /// What [`Exported::rows`] are, one a line.
    Jsonl(&'a str),
    /// The notes of `refs/notes/ai`.
    GitAi,
}

/// Takes attribution over into the ledger. It is somebody's word, unsigned: it
/// only ever adds lines to what is assisted.
pub fn import(world: &World, what: &Import<'_>) -> Result<Imported, Error> {
    let trusted = Trusted::read(world, None, Vantage::Clone)?;
    let mut imported = Imported::default();
    let known = match what {
        Import::Jsonl(text) => parse_lines(text, &mut imported, parse_row),
        Import::AgentTrace(text) => traced(world, text, &mut imported)?,
        Import::GitAi => noted(world)?,
    };
    // What is there already is not written twice.
    let there = records(world, &trusted, None)?;
    let there: BTreeSet<String> = order::set(
        of_ledger(&there)
            .iter()
            .flat_map(|it| rows(std::slice::from_ref(it)))
            .filter_map(|row| serde_json::to_string(&row).ok()),
    );
    let mut by_commit: BTreeMap<Oid, Vec<RecordedLines>> = BTreeMap::new();
    for it in known {
        let is_new = |row: &Row| serde_json::to_string(row).is_ok_and(|it| !there.contains(&it));
        let Some(commit) = it.commit.clone() else {
            imported.passed_over += 1;
            continue;
        };
        if rows(std::slice::from_ref(&it)).iter().any(is_new) {
            imported.runs += it.lines.runs.len();
            by_commit.entry(commit).or_default().push(it.lines);
        }
    }
    let mut unpublished = Vec::new();
    for (commit, lines) in &by_commit {
        for body in bodies(commit, world.env.now, lines, None) {
            let (record, bytes) = Record::write(&body).map_err(Error::repository)?;
            unpublished.push(Unpublished { id: record.id, bytes, signature: None });
        }
    }
    imported.records = unpublished.len();
    if !unpublished.is_empty() {
        publish::ledger(world, &trusted).append(&unpublished, world.env.now)?;
    }
    Ok(imported)
}

fn parse_lines<T>(
    text: &str,
    imported: &mut Imported,
    parse: impl Fn(&str) -> Option<T>,
) -> Vec<T> {
    let mut parsed = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        match parse(line) {
            Some(it) => parsed.push(it),
            None => imported.passed_over += 1,
        }
    }
    parsed
}

/// Records of Agent Trace: ours with their hashes, others' by the numbers of
/// lines at their revision, or where that lacks them at the commit made of it.
fn traced(world: &World, text: &str, imported: &mut Imported) -> Result<Vec<Known>, Error> {
    let values: Vec<Value> = parse_lines(text, imported, |line| serde_json::from_str(line).ok());
    let mut known = Vec::new();
    for value in values {
        let mut own = value.clone();
        if let (Some(fields), Some(revision)) =
            (own.as_object_mut(), value.get("vcs").and_then(|it| it.get("revision")).cloned())
        {
            fields.insert("commit".to_owned(), revision);
        }
        if let Some((commit, lines)) = crate::gate::recorded::read_text(&own.to_string()) {
            let of = |lines| Known { commit: commit.clone(), lines, noted: false };
            known.extend(lines.into_iter().map(of));
            continue;
        }
        let Some(parsed) = parse_trace(&value) else {
            imported.passed_over += 1;
            continue;
        };
        for it in parsed {
            let lines = at_revision(world, &it)?;
            imported.passed_over += usize::from(lines.is_empty());
            known.extend(lines.into_iter().map(|lines| Known {
                commit: Some(it.commit.clone()),
                lines,
                noted: false,
            }));
        }
    }
    Ok(known)
}

fn at_revision(world: &World, traced: &Traced) -> Result<Vec<RecordedLines>, Error> {
    let content = match world.git.blob_at(&traced.commit, &traced.path, FILE_LIMIT) {
        Ok(Some((_, content))) => content,
        Ok(None) | Err(GitError::TooLarge { .. } | GitError::Missing(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let count = String::from_utf8_lossy(&content).lines().count() as u64;
    let range = |lines: &crate::gate::change::LineRange| MatchedRange {
        lines: *lines,
        agent: traced.agent.clone(),
        session: traced.session.clone(),
        model: traced.model.clone(),
        reformatted: false,
    };
    let there = traced.ranges.iter().filter(|it| it.start <= count);
    Ok(keep(&traced.path, &content, &there.map(range).collect::<Vec<_>>()))
}

/// What git-ai's notes tell, of every commit that `HEAD` reaches.
fn noted(world: &World) -> Result<Vec<Known>, Error> {
    let Some(head) = world.git.layout().head.clone() else { return Ok(Vec::new()) };
    let revisions = crate::adapters::git::Revisions { from: vec![head], ..Default::default() };
    let mut commits = BTreeSet::new();
    world.git.for_each_commit(&revisions, &mut |commit| {
        commits.insert(commit.id);
        Ok(())
    })?;
    let noted = of_notes(world, &commits.iter().collect())?;
    let known = |(commit, lines)| Known { commit: Some(commit), lines, noted: false };
    Ok(noted.lines.into_iter().map(known).collect())
}
