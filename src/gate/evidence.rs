//! What the outside world answered.

use std::collections::{BTreeMap, BTreeSet};

use super::change::{Commit, Entry, Oid, RepoPath};
use super::packages::Affected;
use super::record::{SignedRecord, SshSignature};
use super::shared_modules::Modules;
use super::time::Timestamp;
use super::weakening::Weakened;

/// An answer, or the reason why it could not be had. A missing answer never
/// means "pass"; the gate decides what it means.
pub type Answer<T> = Result<T, String>;

/// What merging a head into its target gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeResult {
    /// The target's tip; the head itself where it contains that already, or there is no target.
    pub onto: Oid,
    /// A commit of that tree.
    pub commit: Oid,
    pub tree: Oid,
}

/// Tests that a push had no time for and their policy lets it leave out, with
/// the reason: what is asked at `push` is then asked at `merge`.
pub type Deferred = BTreeMap<String, String>;

/// A question that the gate puts to the adapters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// The records of the ledger and this clone's own, unpublished ones.
    Records,
    /// The identity of what a test depends on, at the head's tree.
    Inputs(String),
    /// Who signed the commits of the range.
    CommitSigners,
    /// The records that stood in the ledger at this commit.
    LedgerCut(Oid),
    /// What stands at these paths on the target's tip.
    Target(BTreeSet<RepoPath>),
    /// SHA-256 of these blobs' bytes.
    Digests(BTreeSet<Oid>),
    /// Which merge commits of the range only merged.
    CleanMerges,
    /// The text of these blobs.
    Texts(BTreeSet<Oid>),
    /// The folders of the local modules that a root of infrastructure uses, before or after.
    Modules(String),
    /// Further records: those that list one of these paths.
    RecordsAbout(BTreeSet<RepoPath>),
    /// Between which of the ledger's commits these records were made, by id.
    Times(BTreeMap<String, Dated>),
    /// Whether what was waived came to stand on the target.
    Landed(Waived),
    /// What driver-free merges of blobs give.
    Merges(BTreeSet<BlobMerge>),
    /// What became of these paths on the target since a commit (or since its
    /// beginning, for the empty tree), up to where the change starts.
    History { since: Oid, paths: BTreeSet<RepoPath> },
}

/// A record whose own word about its time is to be bounded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dated {
    /// Its place in the ledger's tree.
    pub path: String,
    /// When it says that it was made.
    pub at: Timestamp,
    /// The ledger's tip that its signer says to have seen.
    pub ledger: Option<Oid>,
}

/// What is known of a record's time beside its own word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// It names a ledger commit of this time: it is no older. `None`: it names none.
    pub since: Option<Timestamp>,
    /// A ledger commit of this time holds it already, before the time that it
    /// claims: it is no younger. `None`: nothing contradicts its claim.
    pub until: Option<Timestamp>,
}

/// The content of one waiver.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waived {
    /// The record's id.
    pub record: String,
    pub base: Oid,
    pub head: Oid,
    pub paths: BTreeSet<RepoPath>,
}

/// What became of waived content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Landing {
    /// What each path held on the target since, the newest first; a path that
    /// did not change there has no row.
    pub held: BTreeMap<RepoPath, Vec<Option<Entry>>>,
    /// The commits that brought it: the waived ones, or, where they are gone
    /// (squashed, rebased), those of the target that touched its paths.
    pub commits: Vec<Commit>,
}

/// A three-way merge of one file's blobs, and the blob that it should give.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlobMerge {
    pub base: Oid,
    pub ours: Oid,
    pub theirs: Oid,
    pub result: Oid,
}

/// What a [`BlobMerge`] gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merged {
    /// Exactly the bytes of `result`; with the SHA-256 of the bytes of `ours`.
    Equal { ours_sha256: String },
    /// Other bytes.
    Differs,
    /// Both sides changed the same lines.
    Conflict,
    /// One of them holds a NUL byte.
    Binary,
    /// One of them is too large to be merged.
    TooLarge,
}

/// One change of a file on the target: a commit of its first-parent history,
/// and what stood before and after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    pub commit: Oid,
    pub old: Option<Entry>,
    pub new: Option<Entry>,
}

/// A file's changes on the target, the oldest first; a path that is not there
/// was not looked at.
pub type Moves = BTreeMap<RepoPath, Vec<Moved>>;

/// The answers, each kept with its reason where it could not be had.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// Every record that may matter, verified; see [`LedgerView`].
    pub ledger: Answer<LedgerView>,
    /// Test name to the digest of its inputs at the head's tree (`gate::run`).
    pub inputs: BTreeMap<String, Answer<String>>,
    /// What merging the head into the target gives; `None`: no test runs on that.
    pub merge_result: Option<Answer<MergeResult>>,
    /// By the name of a test, why a push leaves it to the server.
    pub deferred: Deferred,
    /// By the name of a test, the packages that it runs for; absent: for all there is.
    pub packages: BTreeMap<String, Affected>,
    /// Commit to the good signature over it; `None`, or not there: not signed.
    pub commit_signers: Answer<BTreeMap<Oid, Option<SshSignature>>>,
    /// Ids of the records that stood in the ledger at a commit.
    pub ledger_cuts: BTreeMap<Oid, Answer<BTreeSet<String>>>,
    /// What stands on the target's tip.
    pub target: BTreeMap<RepoPath, Answer<Option<Entry>>>,
    /// SHA-256 of blobs' bytes.
    pub sha256: BTreeMap<Oid, Answer<String>>,
    /// Merge commits whose tree is what a driver-free merge of their parents gives.
    pub clean_merges: Answer<BTreeSet<Oid>>,
    /// See [`Modules`].
    pub modules: Modules,
    /// Record id to the bounds of its time, for those that were asked about.
    pub times: Answer<BTreeMap<String, Bounds>>,
    /// Waiver's id to what became of its content.
    pub landed: BTreeMap<String, Answer<Landing>>,
    /// The text of blobs; bytes that are not UTF-8 are replaced.
    pub texts: BTreeMap<Oid, Answer<String>>,
    pub merges: BTreeMap<BlobMerge, Answer<Merged>>,
    /// By the commit since when.
    pub history: BTreeMap<Oid, Answer<Moves>>,
    /// What the change takes from the tests: follows from the texts.
    pub losses: Vec<Weakened>,
}

/// The union of the local ledger, the remote-tracking one and what is not pushed yet.
#[derive(Clone, Debug, Default)]
pub struct LedgerView {
    /// The tip that was read; `None`: there is no ledger ref at all.
    pub tip: Option<Oid>,
    /// The tip that others have as well: a commit that stays.
    pub shared: Option<Oid>,
    pub records: Vec<SignedRecord>,
    /// Records that could not be read, with their reasons: they cost only themselves.
    pub unreadable: Vec<String>,
}

impl Default for Evidence {
    /// Nothing was asked.
    fn default() -> Evidence {
        Evidence {
            ledger: Err("the ledger was not read".to_owned()),
            inputs: BTreeMap::new(),
            merge_result: None,
            deferred: Deferred::new(),
            packages: BTreeMap::new(),
            commit_signers: Err("the commits' signatures were not read".to_owned()),
            ledger_cuts: BTreeMap::new(),
            target: BTreeMap::new(),
            sha256: BTreeMap::new(),
            modules: Modules::new(),
            clean_merges: Err("the merges were not looked at".to_owned()),
            times: Err("the ledger's history was not read".to_owned()),
            landed: BTreeMap::new(),
            texts: BTreeMap::new(),
            merges: BTreeMap::new(),
            history: BTreeMap::new(),
            losses: Vec::new(),
        }
    }
}
