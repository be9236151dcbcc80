//! The ledger branch: reading records, appending, publishing.
//!
//! A ledger is a set of files that only grows, so two clones never conflict.
//! What is read is the union of the local branch, the trusted remote's and what
//! this clone did not publish yet. Losing a record that allows can only deny;
//! because some records restrict, growth is enforced: the last tip seen stays in
//! a ref, and a tip that lost anything is an error.

use std::collections::{BTreeMap, BTreeSet};

use super::fs::FsError;
use super::git::{Git, GitError, Listed};
use super::signature;
use super::store::{Store, Unpublished};
use crate::gate::audit;
use crate::gate::change::{Entry, FileStatus, Oid, RepoPath};
use crate::gate::evidence::{Bounds, Dated, LedgerView};
use crate::gate::record::canonical::is_sha256;
use crate::gate::record::{Record, SignatureState, SignedRecord};
use crate::gate::time::Timestamp;

mod index;
mod push;
mod reading;
mod segment;
mod sync;
mod verified;
mod wanted;

use index::Examined;
pub use sync::Synced;
pub use wanted::{Wanted, Words};

/// Remembers the last published tip that was read.
const SEEN: &str = "refs/countersign/seen";

/// The folder of the ledger's tree that holds records.
const RECORDS: &str = "records";

/// How many unreadable records are named one by one.
const MAX_NAMED: usize = 100;

/// What went wrong with the ledger.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Fs(#[from] FsError),
    #[error(
        "the ledger was rewound: `{tip}` does not descend from `{seen}`, which was read before"
    )]
    Rewound { tip: Oid, seen: Oid },
    #[error("the ledger is gone; `{seen}` was read before")]
    Gone { seen: Oid },
    #[error("the ledger lost or changed `{path}`, which was read before")]
    Lost { path: String },
    #[error("`{remote}` refused the ledger: {reason}")]
    Refused { remote: String, reason: String },
    #[error("others were faster on `{remote}`, {attempts} times in a row")]
    TooBusy { remote: String, attempts: u32 },
    #[error("no record's id begins with `{0}`")]
    NoSuchRecord(String),
    #[error("{count} records' ids begin with `{prefix}`")]
    Ambiguous { prefix: String, count: usize },
}

impl LedgerError {
    /// What the person can do.
    pub fn hints(&self) -> Vec<String> {
        match self {
            LedgerError::Git(error) => error.hints(),
            LedgerError::Rewound { .. } | LedgerError::Lost { .. } => vec![
                "somebody rewrote the ledger on the remote; find out who, and restore it: `git push <remote> refs/countersign/seen:refs/heads/<ledger>`".into(),
            ],
            LedgerError::Gone { .. } => vec!["fetch or restore it: `countersign ledger sync`".into()],
            LedgerError::TooBusy { .. } => vec!["nothing is lost; again: `countersign ledger sync`".into()],
            LedgerError::NoSuchRecord(_) | LedgerError::Ambiguous { .. } => {
                vec!["list them: `countersign ledger show`".into()]
            }
            LedgerError::Fs(_) | LedgerError::Refused { .. } => Vec::new(),
        }
    }
}

/// The ledger of one repository.
#[derive(Clone, Debug)]
pub struct Ledger<'a> {
    git: &'a Git,
    store: &'a Store,
    /// The branch's full name.
    reference: String,
    /// The trusted remote, if there is one.
    remote: Option<String>,
}

/// Where the ledger stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tips {
    pub(super) local: Option<Oid>,
    pub(super) tracking: Option<Oid>,
    pub(super) seen: Option<Oid>,
}

/// One record with its bytes.
#[derive(Clone, Debug)]
pub struct Found {
    pub signed: SignedRecord,
    pub bytes: Vec<u8>,
    /// As it stands beside the record.
    pub signature: Option<Vec<u8>>,
    /// It was not published yet.
    pub unpublished: bool,
}

/// What [`Ledger::verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    pub tip: Option<Oid>,
    pub records: usize,
    pub signed: usize,
    pub unsigned: usize,
    /// Records whose signature does not hold, and files that are no records.
    pub problems: Vec<String>,
}

impl<'a> Ledger<'a> {
    /// The ledger on the branch `reference` (a full name), shared through
    /// `remote`. Nothing is read yet.
    pub fn new(
        git: &'a Git,
        store: &'a Store,
        reference: &str,
        remote: Option<&str>,
    ) -> Ledger<'a> {
        Ledger { git, store, reference: reference.to_owned(), remote: remote.map(str::to_owned) }
    }

    /// Where the trusted remote's ledger stands in this clone.
    pub fn tracking(&self) -> Option<String> {
        let branch = self.reference.strip_prefix("refs/heads/").unwrap_or(&self.reference);
        self.remote.as_ref().map(|remote| format!("refs/remotes/{remote}/{branch}"))
    }

    /// Reads the records that are wanted, from everywhere. An unreadable record
    /// costs only itself and is named; a ledger that shrank is an error.
    pub fn read(&self, wanted: &Wanted) -> Result<LedgerView, LedgerError> {
        let tips = self.tips()?;
        let mut view = self.published(&tips, wanted)?;
        let known: BTreeSet<String> = view.records.iter().map(|it| it.record.id.clone()).collect();
        let mut further = Vec::new();
        for unpublished in self.store.unpublished_bytes()? {
            if !known.contains(&unpublished.id) && wanted::wants(wanted, &unpublished.bytes) {
                further.extend(verified(&unpublished));
            }
        }
        let tips: Vec<Oid> = tips.tracking.into_iter().chain(tips.local).collect();
        view.records.extend(further);
        self.accept(&tips, &mut view.records)?;
        Ok(view)
    }

    /// Reads the records that stand at `tip` and nothing beside them: what a
    /// server believes. `None`: there is no ledger yet.
    pub fn read_at(&self, tip: Option<&Oid>, wanted: &Wanted) -> Result<LedgerView, LedgerError> {
        let Tips { seen, local, .. } = self.tips()?;
        let read = Tips { local: tip.cloned(), tracking: None, seen };
        let mut view = self.published(&read, wanted)?;
        view.shared = tip.cloned();
        // What comes with this very push is accepted now, whatever its commit says.
        let tips: Vec<Oid> = local.into_iter().collect();
        self.accept(&tips, &mut view.records)?;
        Ok(view)
    }

    /// Says of the records that came with certificates when the ledger took
    /// them: by the first commit that holds them, which is no older than any
    /// that came before it. What stands on none of these tips is accepted now.
    fn accept(&self, tips: &[Oid], records: &mut [SignedRecord]) -> Result<(), LedgerError> {
        let mut chains: Option<Vec<Vec<(Oid, i64)>>> = None;
        for signed in records {
            let SignatureState::Good(good) = &mut signed.signature else { continue };
            let Some(certificate) = &mut good.certificate else { continue };
            let chains = match &mut chains {
                Some(chains) => chains,
                None => {
                    let chain = |tip| self.git.first_parents(tip, i64::MIN);
                    let read = tips.iter().map(chain).collect::<Result<_, _>>()?;
                    chains.insert(read)
                }
            };
            let path = RepoPath::new(signed.record.ledger_path());
            let mut accepted = None;
            for chain in chains.iter().filter(|chain| !chain.is_empty()) {
                if accepted.is_none() && self.git.entry_at(&chain[0].0, &path)?.is_some() {
                    let since = &chain[self.first_holding(chain, &path)?..];
                    accepted = since.iter().map(|(_, time)| Timestamp(*time)).max();
                }
            }
            certificate.accepted = Some(accepted.unwrap_or_else(super::env::now));
        }
        Ok(())
    }

    fn published(&self, tips: &Tips, wanted: &Wanted) -> Result<LedgerView, LedgerError> {
        let index = self.index(tips)?;
        let own = self.store.own()?;
        let mut view = LedgerView {
            tip: tips.tracking.clone().or(tips.local.clone()),
            shared: self.published_tip(tips).cloned(),
            records: Vec::new(),
            unreadable: index.unreadable(),
        };
        let lines = index.wanted(wanted)?;
        // All of them are asked for once in a while, and would drive out the others.
        let keep = !matches!(wanted, Wanted::All);
        self.examine(&lines, keep, &mut |line, examined| match examined {
            Ok(Examined { record, state, .. }) => {
                let own = own.contains(&line.id);
                view.records.push(SignedRecord { record, signature: state, own });
            }
            Err(why) if view.unreadable.len() < MAX_NAMED => view.unreadable.push(why),
            Err(_) => {}
        })?;
        Ok(view)
    }

    /// Returns what the history of the ledger at `tip` says of records' times,
    /// by their ids. A ledger commit's own time is its writer's word, too; but
    /// every later commit by anybody else bounds it further.
    pub fn bounds(
        &self,
        tip: Option<&Oid>,
        records: &BTreeMap<String, Dated>,
    ) -> Result<BTreeMap<String, Bounds>, LedgerError> {
        let oldest = records.values().map(|dated| dated.at.0).min().unwrap_or(i64::MAX);
        let chain = match tip {
            Some(tip) => self.git.first_parents(tip, oldest)?,
            None => Vec::new(),
        };
        let mut bounds = BTreeMap::new();
        for (id, dated) in records {
            // A tip that this clone does not have says nothing.
            let named = match &dated.ledger {
                Some(named) => self.git.resolve_commit(named.as_str())?,
                None => None,
            };
            let since = match named {
                Some(named) => Some(Timestamp(self.git.committed(&named)?)),
                None => None,
            };
            // Where the newest older commit lacks it, all that hold it are younger.
            let older = chain.iter().find(|(_, time)| *time < dated.at.0);
            let path = RepoPath::new(dated.path.as_str());
            let until = match older {
                Some((commit, _)) if self.git.entry_at(commit, &path)?.is_some() => {
                    let chain = self.git.first_parents(commit, i64::MIN)?;
                    let holds = &chain[..=self.first_holding(&chain, &path)?];
                    holds.iter().map(|(_, time)| Timestamp(*time)).min()
                }
                Some(_) | None => None,
            };
            bounds.insert(id.clone(), Bounds { since, until });
        }
        Ok(bounds)
    }

    /// The place of the first commit that holds a path, in a chain whose first,
    /// the newest, holds it. What stands in a ledger stays, so that halving finds it.
    fn first_holding(&self, chain: &[(Oid, i64)], path: &RepoPath) -> Result<usize, LedgerError> {
        let (mut holds, mut lacks) = (0, chain.len());
        while lacks - holds > 1 {
            let middle = holds + (lacks - holds) / 2;
            match self.git.entry_at(&chain[middle].0, path)? {
                Some(_) => holds = middle,
                None => lacks = middle,
            }
        }
        Ok(holds)
    }

    /// Returns the tip that others have as well, for commits that name it.
    pub fn shared_tip(&self) -> Result<Option<Oid>, LedgerError> {
        let tips = self.tips()?;
        self.enforce_growth(&tips)?;
        Ok(self.published_tip(&tips).cloned())
    }

    /// Returns the ids of the records that stood in the ledger at a commit.
    pub fn at(&self, commit: &Oid) -> Result<BTreeSet<String>, LedgerError> {
        let files = self.git.list(commit, &RepoPath::new(RECORDS))?;
        Ok(files.iter().filter_map(|(path, _)| place(path)).map(|it| it.id.to_owned()).collect())
    }

    /// Keeps new records of our own and commits them on the local branch. They
    /// are in the store first: whatever fails later, nothing is lost.
    pub fn append(&self, records: &[Unpublished], now: Timestamp) -> Result<(), LedgerError> {
        for record in records {
            self.store.keep(record)?;
        }
        let tips = self.commit_locally(records, now)?;
        if self.remote.is_none() {
            for record in records {
                self.store.published(&record.id)?;
            }
            self.remember(&tips);
        }
        Ok(())
    }

    /// Finds the one record whose id begins with `prefix`.
    pub fn find(&self, prefix: &str) -> Result<Found, LedgerError> {
        let tips = self.tips()?;
        let index = self.index(&tips)?;
        let own = self.store.own()?;
        let mut found: BTreeMap<String, Found> = BTreeMap::new();
        let mut lines = index.wanted(&Wanted::All)?;
        lines.retain(|line| line.id.starts_with(prefix));
        self.examine(&lines, false, &mut |line, examined| {
            let Ok(Examined { record, bytes, signature, state }) = examined else { return };
            let own = own.contains(&line.id);
            let signed = SignedRecord { record, signature: state, own };
            found.insert(line.id.clone(), Found { signed, bytes, signature, unpublished: false });
        })?;
        let unpublished = self.store.unpublished_bytes()?;
        for it in unpublished.into_iter().filter(|it| it.id.starts_with(prefix)) {
            if let Some(signed) = verified(&it) {
                let (bytes, signature) = (it.bytes, it.signature);
                found.insert(it.id, Found { signed, bytes, signature, unpublished: true });
            }
        }
        let count = found.len();
        match found.into_values().next() {
            Some(found) if count == 1 => Ok(found),
            Some(_) => Err(LedgerError::Ambiguous { prefix: prefix.to_owned(), count }),
            None => Err(LedgerError::NoSuchRecord(crate::gate::change::printable(prefix))),
        }
    }

    /// Verifies everything: that the ledger only grew, in this clone's memory
    /// and in every commit of its history, that every file is a record under its
    /// own name, and every signature.
    pub fn verify(&self) -> Result<Verification, LedgerError> {
        let tips = self.tips()?;
        let index = self.index(&Tips { ..tips.clone() })?;
        let mut verification = Verification {
            tip: tips.tracking.clone().or(tips.local.clone()),
            problems: index.unreadable(),
            ..Verification::default()
        };
        let lines = index.wanted(&Wanted::All)?;
        let mut anchors: BTreeMap<Oid, String> = BTreeMap::new();
        self.examine(&lines, false, &mut |line, examined| {
            let state = match examined {
                Ok(examined) => {
                    if let Some(anchor) = audit::ledger_of(&examined.record.body) {
                        anchors.entry(anchor).or_insert_with(|| line.id.clone());
                    }
                    examined.state
                }
                Err(why) => return verification.problems.push(why),
            };
            verification.records += 1;
            match state {
                SignatureState::Good(_) => verification.signed += 1,
                SignatureState::Unsigned => verification.unsigned += 1,
                SignatureState::Bad(why) => {
                    let problem = format!("record `{}`: bad signature: {why}", line.id);
                    verification.problems.push(problem);
                }
            }
        })?;
        for tip in tips.tracking.iter().chain(&tips.local) {
            verification.problems.extend(self.shrinking_commits(tip)?);
        }
        let tips: Vec<&Oid> = tips.tracking.iter().chain(&tips.local).collect();
        verification.problems.extend(self.cut_off(&anchors, &tips)?);
        Ok(verification)
    }

    /// Verdicts that name a state of the ledger which is not among its history.
    fn cut_off(
        &self,
        anchors: &BTreeMap<Oid, String>,
        tips: &[&Oid],
    ) -> Result<Vec<String>, LedgerError> {
        if anchors.is_empty() || tips.is_empty() {
            return Ok(Vec::new());
        }
        let call = self.git.call().args(["rev-list", "--end-of-options"]);
        let text = self.git.output(call.args(tips.iter().map(|tip| tip.as_str())))?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let history: BTreeSet<&str> = text.lines().collect();
        let missing = anchors.iter().filter(|(anchor, _)| !history.contains(anchor.as_str()));
        let problem = |(anchor, id): (&Oid, &String)| {
            format!(
                "verdict `{id}` names the ledger at `{anchor}`, which is not in its history: it was cut off or rolled back, or this clone is shallow"
            )
        };
        Ok(missing.map(problem).collect())
    }

    fn shrinking_commits(&self, tip: &Oid) -> Result<Vec<String>, LedgerError> {
        let call = self.git.call().args(["log", "-m", "--no-renames", "--diff-filter=MDT"]);
        let call = call.args(["--format=%H", "--end-of-options", tip.as_str(), "--", RECORDS]);
        let text = self.git.output(call)?;
        let commits = String::from_utf8_lossy(&text).into_owned();
        Ok(commits
            .lines()
            .map(|commit| format!("commit `{commit}` removes or changes records"))
            .collect())
    }

    fn tips(&self) -> Result<Tips, LedgerError> {
        let tracking = self.tracking();
        let mut names = vec![self.reference.clone(), SEEN.to_owned()];
        names.extend(tracking.clone());
        self.git.look_up(&names)?;
        let tracking = match &tracking {
            Some(name) => self.git.reference(name)?,
            None => None,
        };
        Ok(Tips {
            local: self.git.reference(&self.reference)?,
            tracking,
            seen: self.git.reference(SEEN)?,
        })
    }

    /// The published tip: the remote's, or the local branch where that is all
    /// there is to be.
    fn published_tip<'t>(&self, tips: &'t Tips) -> Option<&'t Oid> {
        tips.tracking.as_ref().or(tips.local.as_ref().filter(|_| self.remote.is_none()))
    }

    /// Whether the published ledger only grew since it was read last.
    fn enforce_growth(&self, tips: &Tips) -> Result<(), LedgerError> {
        let Some(seen) = &tips.seen else { return Ok(()) };
        let Some(tip) = self.published_tip(tips).or(tips.local.as_ref()) else {
            return Err(LedgerError::Gone { seen: seen.clone() });
        };
        if tip == seen {
            return Ok(());
        }
        match self.git.is_ancestor(seen, tip) {
            Ok(true) => {}
            Ok(false) => return Err(LedgerError::Rewound { tip: tip.clone(), seen: seen.clone() }),
            // A shallow fetch hides the history; the trees tell what matters.
            Err(GitError::Shallow(_)) => {}
            Err(error) => return Err(error.into()),
        }
        self.enforce_superset(seen, tip)
    }

    fn enforce_superset(&self, old: &Oid, new: &Oid) -> Result<(), LedgerError> {
        match self.shrunk(old, new)? {
            Some(path) => Err(LedgerError::Lost { path: path.to_display() }),
            None => Ok(()),
        }
    }

    /// A record file that `new` lost or changed, if there is one.
    fn shrunk(&self, old: &Oid, new: &Oid) -> Result<Option<RepoPath>, LedgerError> {
        let files = self.git.differences(old, new, super::git::Detail::Files)?;
        let shrinks = |file: &&crate::gate::change::FileChange| {
            file.path.as_bytes().starts_with(b"records/") && file.status() != FileStatus::Added
        };
        Ok(files.iter().find(shrinks).map(|file| file.path.clone()))
    }

    /// Remembers the published tip. Where no ref can be moved (a server's
    /// quarantine) the older memory stays, which is weaker and still true.
    fn remember(&self, tips: &Tips) {
        if let Some(tip) = self.published_tip(tips)
            && tips.seen.as_ref() != Some(tip)
        {
            self.git.update_ref(SEEN, tip, tips.seen.as_ref()).ok();
        }
    }
}

/// A record file's place in the ledger's tree.
struct Place<'a> {
    id: &'a str,
    /// Year, month and day in its path.
    date: (u16, u8, u8),
    /// `false`: the signature beside the record.
    record: bool,
}

/// Reads `records/<yyyy>/<mm>/<dd>/<id>.json` or `.sig`; `None` for any other path.
fn place(path: &RepoPath) -> Option<Place<'_>> {
    let text = std::str::from_utf8(path.as_bytes()).ok()?;
    let mut parts = text.split('/');
    let [folder, year, month, day, name] =
        std::array::from_fn(|_| parts.next().unwrap_or_default());
    let digits = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let dated = folder == RECORDS && digits(year, 4) && digits(month, 2) && digits(day, 2);
    if !dated || parts.next().is_some() {
        return None;
    }
    let (id, record) = match name.strip_suffix(".json") {
        Some(id) => (id, true),
        None => (name.strip_suffix(".sig")?, false),
    };
    let date = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    is_sha256(id).then_some(Place { id, date, record })
}

/// The files of a record in the ledger's tree.
fn files_of(record: &Unpublished) -> Option<Vec<(RepoPath, Vec<u8>)>> {
    let path = Record::parse(&record.bytes).ok()?.ledger_path();
    let signature = record.signature.as_ref().map(|signature| {
        let path = format!("{}.sig", path.trim_end_matches(".json"));
        (RepoPath::new(path), signature.clone())
    });
    let mut files = vec![(RepoPath::new(path), record.bytes.clone())];
    files.extend(signature);
    Some(files)
}

/// An unpublished record of our own, verified.
fn verified(unpublished: &Unpublished) -> Option<SignedRecord> {
    let record = Record::parse(&unpublished.bytes).ok()?;
    let namespace = record.record_type().namespace();
    let signature = match &unpublished.signature {
        Some(signature) => signature::verify(&unpublished.bytes, signature, &namespace),
        None => SignatureState::Unsigned,
    };
    Some(SignedRecord { record, signature, own: true })
}

/// Files whose sizes nobody knows.
fn unsized_files(files: Vec<(RepoPath, Entry)>) -> Vec<Listed> {
    files.into_iter().map(|(path, entry)| Listed { path, entry, size: None }).collect()
}

/// Pairs the record files of a listing with the signatures beside them; what is
/// neither is named. A file in another folder is another file: it takes nothing
/// away from the one under the right name.
fn pair(mut files: Vec<Listed>) -> (Vec<Pair>, Vec<String>) {
    // A record comes right before its signature.
    files.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    let mut complete: Vec<Pair> = Vec::with_capacity(files.len());
    let mut strange = Vec::new();
    for Listed { path, entry, size } in files {
        match place(&path).filter(|_| entry.mode == 0o100_644) {
            Some(Place { id, date, record: true }) => {
                let id = id.to_owned();
                complete.push(Pair { id, date, record: entry.oid, size, signature: None });
            }
            Some(Place { id, date, record: false }) => match complete.last_mut() {
                Some(last) if last.id == id && last.date == date && last.signature.is_none() => {
                    last.signature = Some(entry.oid);
                }
                Some(_) | None => strange.push(format!("signature `{id}` has no record")),
            },
            None => strange.push(format!("`{}` is no record file", path.to_display())),
        }
    }
    (complete, strange)
}

/// A record's file and its signature.
struct Pair {
    id: String,
    /// Year, month and day in its path.
    date: (u16, u8, u8),
    record: Oid,
    /// The record's size in bytes, where it is known.
    size: Option<u64>,
    signature: Option<Oid>,
}

impl Pair {
    /// Where the record stands in the ledger's tree.
    fn path(&self) -> String {
        path_of(self.date, &self.id)
    }
}

fn path_of((year, month, day): (u16, u8, u8), id: &str) -> String {
    format!("{RECORDS}/{year:04}/{month:02}/{day:02}/{id}.json")
}
