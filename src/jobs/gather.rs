//! The gate's questions put to the adapters. An answer that could not be had
//! is kept with its reason; the gate decides what it means.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::adapters::git::{GitError, Revisions};
use crate::adapters::ledger::{Wanted, Words};
use crate::adapters::signature;
use crate::gate::change::{Commit, Oid, RepoPath};
use crate::gate::debt;
use crate::gate::evidence::{
    Answer, BlobMerge, Bounds, Dated, Evidence, Landing, LedgerView, MergeResult, Moves, Need,
    Waived,
};
use crate::gate::obligation::{Case, Obligation};
use crate::gate::order;
use crate::gate::policy::TestCommand;
use crate::gate::record::{SignatureState, SshSignature};
use crate::gate::requirement::approval_needs::further_needs;
use crate::gate::requirement::{coverage, tests};
use crate::gate::run::key;
use crate::gate::weakening::{Weakened, guard};

use super::inputs::{Depends, Head};
use super::trusted::{Trusted, Vantage};
use super::world::World;
use super::{Error, modules, publish};

/// Records, then merges and digests, then what stands and what landed on the
/// target, then merges with that. What would take more is not looked up.
const MOST_ROUNDS: usize = 8;

/// Answers every need, and those that follow from the records for these obligations.
pub fn gather(
    world: &World,
    trusted: &Trusted,
    case: &Case<'_>,
    vantage: Vantage<'_>,
    needs: &BTreeSet<Need>,
    obligations: &[Obligation<'_>],
) -> Result<Evidence, Error> {
    let mut evidence = Evidence::default();
    // Which runs are looked for follows from the tests' inputs, so these come first.
    let (inputs, others): (Vec<_>, Vec<_>) =
        needs.iter().partition(|need| matches!(need, Need::Inputs(_)));
    for need in inputs.into_iter().chain(others) {
        answer(world, trusted, case, vantage, need, &mut evidence)?;
    }
    if let Ok(ledger) = &evidence.ledger {
        for need in &debt::needs(case, ledger) {
            answer(world, trusted, case, vantage, need, &mut evidence)?;
        }
    }
    // An answer may raise the next question; each is asked once, so this comes to an end.
    for _ in 0..MOST_ROUNDS {
        let further = further_needs(case, obligations, &evidence);
        if further.is_empty() {
            break;
        }
        for need in &further {
            answer(world, trusted, case, vantage, need, &mut evidence)?;
        }
    }
    let mut texts = coverage::texts(case, obligations, &evidence);
    texts.extend(tests::texts(case, obligations, &evidence));
    if !texts.is_empty() {
        answer(world, trusted, case, vantage, &Need::Texts(texts), &mut evidence)?;
    }
    Ok(evidence)
}

fn answer(
    world: &World,
    trusted: &Trusted,
    case: &Case<'_>,
    vantage: Vantage<'_>,
    need: &Need,
    evidence: &mut Evidence,
) -> Result<(), Error> {
    match need {
        Need::Records => {
            evidence.ledger = Ok(records(world, trusted, case, vantage, &evidence.inputs)?)
        }
        Need::Inputs(test) => {
            let depends = match case.policy.tests.get(test) {
                Some(command) => tree_of(world, trusted, case, vantage, command, evidence)
                    .and_then(|tree| Head::new(&world.git, case.change, &tree).depends(command)),
                None => Err(format!("the policy has no test `{test}`")),
            };
            if let Ok(Depends { packages: Some(affected), .. }) = &depends {
                evidence.packages.insert(test.clone(), affected.clone());
            }
            evidence.inputs.insert(test.clone(), depends.map(|it| it.digest));
        }
        Need::CommitSigners => evidence.commit_signers = signers(world, case),
        Need::LedgerCut(commit) => {
            let ids = publish::ledger(world, trusted)
                .at(commit)
                .map_err(|error| Error::from(error).chain());
            evidence.ledger_cuts.insert(commit.clone(), ids);
        }
        Need::Target(paths) => target(world, trusted, case, vantage, paths, evidence),
        Need::Texts(blobs) => texts(world, blobs, evidence),
        Need::Digests(blobs) => digests(world, blobs, evidence),
        Need::RecordsAbout(paths) => {
            let words = paths.iter().fold(Words::default(), Words::path);
            let further = view(world, trusted, vantage, &Wanted::Evidence(words))?;
            if let Ok(ledger) = &mut evidence.ledger {
                let known: HashSet<String> =
                    ledger.records.iter().map(|it| it.record.id.clone()).collect();
                let new = further.records.into_iter().filter(|it| !known.contains(&it.record.id));
                ledger.records.extend(new);
            }
        }
        Need::Times(records) => {
            let tip = evidence.ledger.as_ref().ok().and_then(|ledger| ledger.tip.clone());
            evidence.times = times(world, trusted, tip.as_ref(), records);
        }
        Need::Landed(waived) => {
            let landing = landing(world, trusted, case, vantage, waived);
            evidence.landed.insert(waived.record.clone(), landing.map_err(|error| error.chain()));
        }
        Need::Modules(root) => {
            let change = case.change;
            let both = [&change.base, &change.head_tree]
                .map(|tree| modules::closure(&world.git, tree, root));
            let [before, after] = both;
            let all = before.and_then(|before| Ok(after?.into_iter().chain(before).collect()));
            evidence.modules.insert(root.clone(), all);
        }
        Need::CleanMerges => {
            evidence.clean_merges = world
                .git
                .clean_merges(&case.change.commits)
                .map_err(|error| Error::from(error).chain());
        }
        Need::Merges(merges) => match world.git.merge_blobs(merges) {
            Ok(answers) => evidence.merges.extend(answers),
            Err(error) => {
                let reason = Error::from(error).chain();
                let unknown = |merge: &BlobMerge| (merge.clone(), Err(reason.clone()));
                evidence.merges.extend(merges.iter().map(unknown));
            }
        },
        Need::History { since, paths } => {
            let answer = history(world, trusted, case, vantage, since, paths);
            let answer = answer.map_err(|error| with_hint(&error));
            match (evidence.history.get_mut(since), answer) {
                (Some(Ok(known)), Ok(landings)) => known.extend(landings),
                (_, answer) => drop(evidence.history.insert(since.clone(), answer)),
            }
        }
    }
    Ok(())
}

/// What became of paths on the target since a commit. Where the head has
/// landed already, what counts is what was there before it.
fn history(
    world: &World,
    trusted: &Trusted,
    case: &Case<'_>,
    vantage: Vantage<'_>,
    since: &Oid,
    paths: &BTreeSet<RepoPath>,
) -> Result<Moves, Error> {
    let nothing = || paths.iter().map(|path| (path.clone(), Vec::new())).collect();
    let Some(tip) = trusted.tip(world, case.target, vantage)? else { return Ok(nothing()) };
    if tip == *since {
        return Ok(nothing());
    }
    let landed = match case.has_ids().then(|| world.git.is_ancestor(&case.change.head, &tip)) {
        Some(Ok(landed)) => landed,
        // "No" only makes more history count; whether that is whole is asked of its own.
        Some(Err(GitError::Shallow(_))) | None => false,
        Some(Err(error)) => return Err(error.into()),
    };
    let until = if landed { case.change.base.clone() } else { tip };
    if until == world.git.empty_tree() {
        return Ok(nothing());
    }
    Ok(world.git.landings(since, &until, paths)?)
}

/// An error with the command that helps: it ends up in a finding.
fn with_hint(error: &Error) -> String {
    match error.hints.first() {
        Some(hint) => format!("{}; {hint}", error.chain()),
        None => error.chain(),
    }
}

/// The records that bear on this change. A ledger that shrank is an error, not
/// an answer: then nothing can be decided.
fn records(
    world: &World,
    trusted: &Trusted,
    case: &Case<'_>,
    vantage: Vantage<'_>,
    inputs: &BTreeMap<String, Answer<String>>,
) -> Result<LedgerView, Error> {
    let mut view = view(world, trusted, vantage, &wanted(case, inputs))?;
    if case.server {
        view.records.iter_mut().for_each(|signed| signed.own = false);
    }
    Ok(view)
}

/// The ledger's records of lines in these files, or of these commits, that agents wrote.
pub fn attributions<'a>(
    world: &World,
    trusted: &Trusted,
    vantage: Vantage<'_>,
    paths: impl Iterator<Item = &'a RepoPath>,
    commits: impl Iterator<Item = &'a Oid>,
) -> Result<LedgerView, Error> {
    let words = paths.fold(Words::default(), Words::path);
    let words = commits.fold(words, |words, commit| words.id(commit.as_str()));
    view(world, trusted, vantage, &Wanted::Attributions(words))
}

/// All withdrawals, and all waivers.
pub fn withdrawals(
    world: &World,
    trusted: &Trusted,
    vantage: Vantage<'_>,
) -> Result<LedgerView, Error> {
    view(world, trusted, vantage, &Wanted::About(Words::default()))
}

fn view(
    world: &World,
    trusted: &Trusted,
    vantage: Vantage<'_>,
    wanted: &Wanted,
) -> Result<LedgerView, Error> {
    let ledger = publish::ledger(world, trusted);
    let pushed = match vantage {
        Vantage::Server { updates } => {
            updates.iter().find(|it| it.name == trusted.policy.trust.ledger)
        }
        Vantage::Clone | Vantage::Commit | Vantage::Push { .. } => None,
    };
    Ok(match (vantage, pushed) {
        // A server sees the ledger as this push leaves it, and nothing beside it.
        (Vantage::Server { .. }, Some(update)) => ledger.read_at(update.new.as_ref(), wanted)?,
        (Vantage::Server { .. }, None) => {
            let tip = world.git.reference(&trusted.policy.trust.ledger)?;
            ledger.read_at(tip.as_ref(), wanted)?
        }
        (Vantage::Clone | Vantage::Commit | Vantage::Push { .. }, _) => ledger.read(wanted)?,
    })
}

/// What the ledger's history says of these records' times.
fn times(
    world: &World,
    trusted: &Trusted,
    tip: Option<&Oid>,
    records: &BTreeMap<String, Dated>,
) -> Answer<BTreeMap<String, Bounds>> {
    publish::ledger(world, trusted).bounds(tip, records).map_err(|error| Error::from(error).chain())
}

/// Whether waived content came to stand on the target, and who brought it.
fn landing(
    world: &World,
    trusted: &Trusted,
    case: &Case<'_>,
    vantage: Vantage<'_>,
    waived: &Waived,
) -> Result<Landing, Error> {
    let Some(tip) = trusted.tip(world, case.target, vantage)? else {
        return Ok(Landing::default());
    };
    let git = &world.git;
    let paths: Vec<RepoPath> = waived.paths.iter().cloned().collect();
    let held = git.held_since(&waived.base, &tip, &paths)?;
    if held.is_empty() {
        return Ok(Landing::default());
    }
    let between = |head: &Oid| match waived.base == git.empty_tree() {
        true => Revisions { not: Vec::new(), ..Revisions::between(&waived.base, head) },
        false => Revisions::between(&waived.base, head),
    };
    let commits = match git.resolve_commit(waived.head.as_str())? {
        Some(head) => git.commits(&between(&head))?,
        None => {
            let commits = git.commits(&between(&tip))?;
            let ids: Vec<Oid> = commits.iter().map(|commit| commit.id.clone()).collect();
            let touched = git.touched_by(&ids, &commits)?;
            let brings = |commit: &Commit| {
                let paths = touched.get(&commit.id);
                paths.is_some_and(|paths| paths.iter().any(|path| waived.paths.contains(path)))
            };
            commits.into_iter().filter(brings).collect()
        }
    };
    Ok(Landing { held, commits })
}

/// Records about the change's paths, its head and tree, and the keys of the
/// tests that could be asked for.
fn wanted(case: &Case<'_>, inputs: &BTreeMap<String, Answer<String>>) -> Wanted {
    let mut words =
        Words::default().id(case.change.head.as_str()).id(case.change.head_tree.as_str());
    for file in &case.change.files {
        words = words.path(&file.path);
    }
    for (name, digest) in inputs {
        if let (Some(test), Ok(digest)) = (case.policy.tests.get(name), digest) {
            words = words.id(&key(test, digest));
        }
    }
    Wanted::Evidence(words)
}

/// The tree on which a test runs: the head's, or that of its merge into the
/// target, which is then made once.
fn tree_of(
    world: &World,
    trusted: &Trusted,
    case: &Case<'_>,
    vantage: Vantage<'_>,
    test: &TestCommand,
    evidence: &mut Evidence,
) -> Answer<Oid> {
    if !test.on_merge {
        return Ok(case.change.head_tree.clone());
    }
    let merged = evidence.merge_result.get_or_insert_with(|| {
        merge_result(world, trusted, case, vantage).unwrap_or_else(|error| Err(with_hint(&error)))
    });
    let target = case.target;
    merged
        .as_ref()
        .map(|it| it.tree.clone())
        .map_err(|why| format!("`{}` runs on the merge with {target}: {why}", test.name))
}

fn merge_result(
    world: &World,
    trusted: &Trusted,
    case: &Case<'_>,
    vantage: Vantage<'_>,
) -> Result<Answer<MergeResult>, Error> {
    let head = &case.change.head;
    let as_it_is = MergeResult {
        onto: head.clone(),
        commit: head.clone(),
        tree: case.change.head_tree.clone(),
    };
    // An index is no commit; what it becomes is judged again.
    let (true, Some(tip)) = (case.has_ids(), trusted.tip(world, case.target, vantage)?) else {
        return Ok(Ok(as_it_is));
    };
    let contains = |one: &Oid, other: &Oid| world.git.is_ancestor(one, other);
    if contains(&tip, head)? || contains(head, &tip)? {
        return Ok(Ok(as_it_is));
    }
    Ok(world.git.merge_result(&tip, head)?)
}

/// The good signatures over the commits of the range.
fn signers(world: &World, case: &Case<'_>) -> Answer<BTreeMap<Oid, Option<SshSignature>>> {
    let commits = &case.change.commits;
    let signed: Vec<Oid> = commits.iter().filter(|it| it.signed).map(|it| it.id.clone()).collect();
    let signatures = match signed.is_empty() {
        true => BTreeMap::new(),
        false => world.git.commit_signatures(&signed).map_err(|it| Error::from(it).chain())?,
    };
    let signer = |commit: Oid| {
        let state = signatures
            .get(&commit)
            .and_then(Option::as_ref)
            .map(|signed| signature::verify_commit(&signed.payload, &signed.signature));
        // Nothing but its own word says when a commit was made: a certificate has to be valid now.
        let signature = match state {
            Some(SignatureState::Good(signature)) => Some(signature.accepted_at(case.now)),
            Some(SignatureState::Unsigned | SignatureState::Bad(_)) | None => None,
        };
        (commit, signature)
    };
    Ok(order::map(signed.into_iter().map(signer)))
}

fn target(
    world: &World,
    trusted: &Trusted,
    case: &Case<'_>,
    vantage: Vantage<'_>,
    paths: &BTreeSet<RepoPath>,
    evidence: &mut Evidence,
) {
    let paths: Vec<RepoPath> = paths.iter().cloned().collect();
    let answer = trusted.tip(world, case.target, vantage).and_then(|tip| match tip {
        Some(tip) => Ok(world.git.entries(&tip, &paths)?),
        None => Ok(paths.iter().map(|path| (path.clone(), None)).collect()),
    });
    match answer {
        Ok(entries) => {
            evidence.target.extend(entries.into_iter().map(|(path, entry)| (path, Ok(entry))))
        }
        Err(error) => {
            let reason = error.chain();
            evidence.target.extend(paths.into_iter().map(|path| (path, Err(reason.clone()))));
        }
    }
}

/// What the change takes from the tests. The texts are not kept: they can be many.
pub fn losses(world: &World, case: &Case<'_>) -> Vec<Weakened> {
    let blobs = guard::texts(case);
    if blobs.is_empty() {
        return Vec::new();
    }
    let mut evidence = Evidence::default();
    texts(world, &blobs, &mut evidence);
    guard::losses(case, &evidence.texts)
}

/// A file with more bytes is not read.
const MAX_TEXT: u64 = 4 << 20;
/// Nor are further ones, once as many bytes were: all are held at once.
const MAX_TEXTS: usize = 64 << 20;

fn texts(world: &World, blobs: &BTreeSet<Oid>, evidence: &mut Evidence) {
    let blobs: Vec<Oid> = blobs.iter().cloned().collect();
    let mut texts = Vec::new();
    let mut room = MAX_TEXTS;
    let read = world.git.blobs(&blobs, MAX_TEXT, &mut |bytes| {
        let text = bytes.map(text_of);
        texts.push(
            text.map_err(|error| Error::from(error).chain()).and_then(|it| fits(it, &mut room)),
        );
    });
    // What was not handed over is not there, with the reason.
    let reason = read.err().map(|error| Error::from(error).chain()).unwrap_or_default();
    texts.resize(blobs.len(), Err(reason));
    evidence.texts.extend(blobs.into_iter().zip(texts));
}

fn text_of(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|broken| String::from_utf8_lossy(broken.as_bytes()).into_owned())
}

/// Takes a text's length from the room that is left, if there is enough.
fn fits(text: String, room: &mut usize) -> Answer<String> {
    match room.checked_sub(text.len()) {
        Some(rest) => {
            *room = rest;
            Ok(text)
        }
        None => Err(format!("the texts to be read hold more than {} MiB", MAX_TEXTS >> 20)),
    }
}

fn digests(world: &World, blobs: &BTreeSet<Oid>, evidence: &mut Evidence) {
    let blobs: Vec<Oid> = blobs.iter().cloned().collect();
    match world.git.sha256_of(&blobs) {
        Ok(digests) => {
            evidence.sha256.extend(digests.into_iter().map(|(blob, digest)| (blob, Ok(digest))))
        }
        Err(error) => {
            let reason = Error::from(error).chain();
            evidence.sha256.extend(blobs.into_iter().map(|blob| (blob, Err(reason.clone()))));
        }
    }
}

#[cfg(test)]
mod room_tests {
    use super::*;

    #[test]
    fn texts_are_held_as_long_as_there_is_room() {
        let mut room = 5;
        let lengths =
            ["abc", "abc", "ab", "", "a"].map(|it| fits(it.to_owned(), &mut room).is_ok());
        assert_eq!(lengths, [true, false, true, true, false]);
    }
}
