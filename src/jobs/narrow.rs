//! A person's word on which lines of their commits agents wrote: signed, and
//! what it takes off a disclosure that our own hook wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::adapters::fs;
use crate::adapters::git::{Detail, Revisions, Start};
use crate::gate::approval::withdrawn;
use crate::gate::attribution::detect_all;
use crate::gate::change::{Change, Commit, Oid, RepoPath};
use crate::gate::narrow::{Wide, Written, may_narrow, narrowed_by};
use crate::gate::order;
use crate::gate::policy::Narrow;
use crate::gate::record::{SignatureState, SignedRecord};
use crate::gate::recorded::{self, RecordedLines, bodies, relocate};
use crate::gate::signal::{Signal, Strength};

use super::ambient::Surroundings;
use super::check::change_range;
use super::judgement::catalogue;
use super::recorded::{FILE_LIMIT, of_ledger, old_names};
use super::signing::Hand;
use super::trusted::{Trusted, Vantage};
use super::world::World;
use super::{Error, ErrorKind, gather};

/// What came of signing.
#[derive(Clone, Debug, Default)]
pub struct Signed {
    /// Who signed; `None`: there was nothing to sign.
    pub person: Option<String>,
    pub commits: Vec<Oid>,
    /// Commits whose disclosure stays as wide as they are, and why.
    pub left: Vec<(Oid, String)>,
}

/// How a person lets their key be used.
#[derive(Clone, Copy)]
pub enum Consent<'a> {
    /// They ask for it now, perhaps with this key.
    Asked(Option<&'a Path>),
    /// They said so before, in this clone's configuration. What tells them to
    /// touch a security key, if they can be told.
    Configured(Option<&'a dyn Fn()>),
}

/// Signs what is recorded of the commits that the target does not have.
pub fn sign(
    world: &World,
    key: Option<&Path>,
    surroundings: &Surroundings,
) -> Result<Signed, Error> {
    let trusted = Trusted::read(world, None, Vantage::Clone)?;
    require_narrow(&trusted)?;
    let target = trusted.policy.trust.target.clone();
    let range = change_range(world, &trusted, None, &target)?;
    let commits = world.git.change(&range.start, &range.head, Detail::Files)?.commits;
    sign_commits(world, &trusted, &commits, Consent::Asked(key), surroundings)
}

/// Signs what is recorded of the commit that was just made, where git config
/// `countersign.signAttribution` asks for it and the policy makes something of it.
/// `touch` tells a person to touch their security key; it is not called where
/// nobody reads what it says, or where git makes many commits in a row.
pub fn sign_new(
    world: &World,
    surroundings: &Surroundings,
    touch: &dyn Fn(),
) -> Result<Signed, Error> {
    let wanted = is_wanted(world)?;
    let Some(commit) = world.git.layout().head.as_ref().filter(|_| wanted) else {
        return Ok(Signed::default());
    };
    let trusted = Trusted::read(world, None, Vantage::Commit)?;
    if trusted.policy.trust.narrow != Narrow::Signed {
        return Ok(Signed::default());
    }
    let revisions = Revisions { from: vec![commit.clone()], alone: true, ..Revisions::default() };
    let commits = world.git.commits(&revisions)?;
    let replays = ["rebase-merge", "rebase-apply", "sequencer"]
        .iter()
        .any(|it| fs::stands(&world.git.layout().git_dir.join(it)));
    let touch = (world.env.stderr_is_terminal && !replays).then_some(touch);
    sign_commits(world, &trusted, &commits, Consent::Configured(touch), surroundings)
}

/// Whether this clone's configuration asks for it.
pub fn is_wanted(world: &World) -> Result<bool, Error> {
    Ok(world.git.config()?.bool("countersign.signattribution")?.unwrap_or(false))
}

fn require_narrow(trusted: &Trusted) -> Result<(), Error> {
    if trusted.policy.trust.narrow == Narrow::Signed {
        return Ok(());
    }
    let message =
        "the policy makes nothing of a signed attribution: declared marks cover whole commits";
    let hint = "have `narrow = \"signed\"` written under [trust] in countersign.toml on the target";
    Err(Error::new(ErrorKind::Policy, message).hint(hint))
}

fn sign_commits(
    world: &World,
    trusted: &Trusted,
    commits: &[Commit],
    consent: Consent<'_>,
    surroundings: &Surroundings,
) -> Result<Signed, Error> {
    let kept = world.marks.by_commit()?;
    let mut signed = Signed::default();
    let mut hand: Option<Hand> = None;
    for (commit, mut marks) in detect_all(&catalogue(&trusted.policy), commits) {
        if !marks.iter().any(|it| it.assists() && it.strength == Strength::Declared) {
            continue;
        }
        marks.extend(kept.get(&commit).into_iter().flatten().cloned());
        let of = commits.iter().find(|it| it.id == commit);
        let parents = of.map(|it| it.parents.as_slice()).unwrap_or_default();
        let draft = match draft(world, trusted, &commit, parents, &marks)? {
            Draft::Stands => continue,
            Draft::Left(why) => {
                signed.left.push((commit, why));
                continue;
            }
            Draft::New(written, lines) => bodies(&commit, world.env.now, &lines, Some(&written)),
        };
        let [body] = &draft[..] else {
            signed.left.push((commit, "it has more lines than one record holds".to_owned()));
            continue;
        };
        let hand = match &hand {
            Some(hand) => hand,
            None => hand.insert(Hand::take_for(world, &trusted.policy, consent, surroundings)?),
        };
        hand.sign(world, trusted, body)?;
        signed.person = Some(hand.person.clone());
        signed.commits.push(commit);
    }
    Ok(signed)
}

enum Draft {
    /// Somebody's word on it stands already.
    Stands,
    /// It stays as it is, for this reason.
    Left(String),
    New(Written, Vec<RecordedLines>),
}

/// What there is to be signed of a commit.
fn draft(
    world: &World,
    trusted: &Trusted,
    commit: &Oid,
    parents: &[Oid],
    marks: &[Signal],
) -> Result<Draft, Error> {
    let start = match parents {
        [] => Start::at(world.git.empty_tree()),
        [parent] => Start::at(parent.clone()),
        _ => return Ok(Draft::Left("it is a merge".to_owned())),
    };
    let change = world.git.change(&start, commit, Detail::Lines)?;
    let names = old_names(world, &change)?;
    let paths = change.files.iter().map(|it| &it.path).chain(names.values().flatten());
    let view = gather::attributions(world, trusted, Vantage::Clone, paths, [commit].into_iter())?;
    let only = [(commit.clone(), marks.to_vec())];
    if !narrowed(world, trusted, Vantage::Clone, &only, &view.records)?.is_empty() {
        return Ok(Draft::Stands);
    }
    // Only of this clone's own hook it is known what it wrote.
    let author = world.git.author(commit)?;
    let own = view.records.iter().filter(|it| it.own);
    let trailers: BTreeSet<String> = order::set(
        own.filter_map(|it| recorded::written(&it.record.body))
            .filter(|it| it.author == author)
            .flat_map(|it| it.trailers),
    );
    let stands = |it: &&String| marks.iter().any(|mark| mark.value == **it);
    let trailers: Vec<String> = trailers.iter().filter(stands).cloned().collect();
    let lines = lines_of(world, commit, &change, &names, &view.records)?;
    Ok(match may_narrow(marks, &trailers, &lines) {
        Ok(()) => Draft::New(Written { author, trailers }, lines),
        Err(Wide::NotOurs) => Draft::Left(format!("{}, as far as is known here", Wide::NotOurs)),
        Err(why) => Draft::Left(why.to_string()),
    })
}

/// The lines of a commit that agents wrote: as they were recorded of it, where
/// nothing was rewritten since, else as they are found by content.
fn lines_of(
    world: &World,
    commit: &Oid,
    change: &Change,
    names: &super::recorded::OldNames,
    records: &[SignedRecord],
) -> Result<Vec<RecordedLines>, Error> {
    let known = of_ledger(records);
    let mut found = Vec::new();
    for file in &change.files {
        let Some(new) = file.new.as_ref().filter(|_| !file.added.is_empty()) else { continue };
        let names: BTreeSet<String> = order::set(
            names.get(&file.path).into_iter().flatten().chain([&file.path]).map(RepoPath::to_text),
        );
        let of_file = known.iter().map(|it| &it.lines).filter(|it| names.contains(&it.path));
        let records: Vec<&RecordedLines> = of_file.collect();
        if !records.is_empty() {
            let content = world.git.blob(&new.oid, FILE_LIMIT)?;
            found.extend(relocate(&file.path, &content, &file.added, &records));
        }
    }
    let own: Vec<RecordedLines> = known
        .into_iter()
        .filter(|it| it.commit.as_ref() == Some(commit))
        .map(|it| it.lines)
        .collect();
    let count = |lines: &[RecordedLines]| -> usize {
        lines.iter().flat_map(|it| &it.runs).map(|run| run.lines.len()).sum()
    };
    Ok(if count(&own) == count(&found) { own } else { found })
}

/// The commits whose declared marks are narrowed to what is recorded of them,
/// and on whose word. `signals`: the marks on each commit.
pub fn narrowed(
    world: &World,
    trusted: &Trusted,
    vantage: Vantage<'_>,
    signals: &[(Oid, Vec<Signal>)],
    records: &[SignedRecord],
) -> Result<BTreeMap<Oid, String>, Error> {
    let mut narrowed = BTreeMap::new();
    if trusted.policy.trust.narrow != Narrow::Signed {
        return Ok(narrowed);
    }
    let says = |it: &&SignedRecord| {
        matches!(it.signature, SignatureState::Good(_))
            && recorded::written(&it.record.body).is_some()
    };
    let candidates: Vec<SignedRecord> = records.iter().filter(says).cloned().collect();
    if candidates.is_empty() {
        return Ok(narrowed);
    }
    let marks: BTreeMap<&Oid, &[Signal]> =
        order::map(signals.iter().map(|(commit, marks)| (commit, marks.as_slice())));
    let mut all = gather::withdrawals(world, trusted, vantage)?.records;
    all.extend(candidates.iter().cloned());
    let withdrawn = withdrawn(&all, &trusted.policy, &BTreeMap::new());
    for signed in &candidates {
        let Some((Some(commit), _)) = recorded::read(&signed.record.body) else { continue };
        let Some(marks) = marks.get(&commit) else { continue };
        // What cannot be read narrows nothing.
        let mut content = |path: &str| {
            let path = RepoPath::from_text(path)?;
            Some(world.git.blob_at(&commit, &path, FILE_LIMIT).ok()??.1)
        };
        let person = narrowed_by(&trusted.policy, &commit, marks, signed, &withdrawn, &mut content);
        if let Some(person) = person {
            narrowed.insert(commit.clone(), person.to_owned());
        }
    }
    Ok(narrowed)
}
