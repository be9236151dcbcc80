//! What every record in the ledger is about, kept beside it, so that a check
//! reads only the records that it wants: those alone are parsed whole, and
//! verified (`verified`).
//!
//! Two files: one holds what stood at some tip and is written rarely, the other
//! what was added since. They are caches: what does not read is made anew.

use super::reading::{self, Blobs, Read};
use super::segment::Segment;
use super::verified::Verified;
use super::wanted::{Wanted, glance};
use super::{Ledger, LedgerError, MAX_NAMED, Pair, RECORDS, Tips, pair, unsized_files};
use crate::adapters::fs::FsError;
use crate::adapters::git::{Detail, Listed};
use crate::adapters::signature;
use crate::adapters::store::Store;
use crate::gate::change::{Entry, FileStatus, Oid, RepoPath, printable};
use crate::gate::record::{Record, SignatureState};

/// The caches' names; a new format takes new ones.
const NAME: &str = "ledger-4";
const ADDED: &str = "ledger-4-added";

/// What was added since is put to the rest from so many records on, if it is
/// also an eighth of them.
const MANY_ADDED: usize = 1_000;

/// The index.
#[derive(Debug, Default)]
pub(super) struct Index {
    rest: Segment,
    /// What comes after it, and what only the other tip has.
    added: Segment,
}

/// One record's line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) id: String,
    /// Where it stands in the ledger's tree.
    pub(super) path: String,
    pub(super) blob: Oid,
    pub(super) signature_blob: Option<Oid>,
}

/// A record that was read and verified.
pub(super) struct Examined {
    pub(super) record: Record,
    pub(super) bytes: Vec<u8>,
    /// As it stands beside the record.
    pub(super) signature: Option<Vec<u8>>,
    pub(super) state: SignatureState,
}

impl Index {
    /// The lines of the records that are wanted.
    pub(super) fn wanted(&self, wanted: &Wanted) -> Result<Vec<Line>, FsError> {
        let mut lines = self.rest.wanted(wanted)?;
        lines.extend(self.added.wanted(wanted)?);
        Ok(lines)
    }

    /// Why which file is no record.
    pub(super) fn unreadable(&self) -> Vec<String> {
        let lines = self.rest.strange().lines().chain(self.added.strange().lines());
        let mut why: Vec<String> = lines.map(str::to_owned).collect();
        if why.len() > MAX_NAMED {
            let more = why.len() - MAX_NAMED;
            why.truncate(MAX_NAMED);
            why.push(format!("and {more} more"));
        }
        why
    }

    /// What is kept; empty where it is not there, or not whole.
    fn open(store: &Store) -> Result<Index, FsError> {
        let Some(rest) = Segment::open(store, NAME)? else { return Ok(Index::default()) };
        let added = Segment::open(store, ADDED)?.filter(|it| it.after == rest.base);
        let added = added.unwrap_or_else(|| Segment::after(&rest));
        Ok(Index { rest, added })
    }

    /// Begins anew with what stands at `base`.
    fn begin(&mut self, mut all: Segment, base: &Oid) {
        all.settle(base);
        let added = Segment::after(&all);
        *self = Index { rest: all, added };
    }

    /// A folder that cannot be written costs time, not the answer.
    fn keep(&self, store: &Store, rest_too: bool) -> Result<(), FsError> {
        if !rest_too || store.write_cache(NAME, &self.rest.bytes()?).is_ok() {
            store.write_cache(ADDED, &self.added.bytes()?).ok();
        }
        Ok(())
    }
}

impl Ledger<'_> {
    /// The index of what stands at these tips: from the cache, extended by what
    /// was added since. Enforces growth, and remembers what was seen.
    pub(super) fn index(&self, tips: &Tips) -> Result<Index, LedgerError> {
        self.enforce_growth(tips)?;
        let base = tips.tracking.as_ref().or(tips.local.as_ref());
        let side = tips.local.as_ref().filter(|local| Some(*local) != base);
        let mut index = Index::open(self.store)?;
        if (index.added.base.as_ref(), index.added.side.as_ref()) == (base, side) {
            self.remember(tips);
            return Ok(index);
        }
        let Some(base) = base else { return Ok(Index::default()) };
        let mut anew = self.bring(&mut index, base)?;
        if index.added.len() >= MANY_ADDED.max(index.rest.len() / 8) {
            let mut all = std::mem::take(&mut index.rest);
            all.take(&index.added)?;
            index.begin(all, base);
            anew = true;
        }
        if let Some(side) = side {
            self.look_at(unsized_files(self.added(base, side)?), &mut index.added)?;
            index.added.side = Some(side.clone());
        }
        index.keep(self.store, anew)?;
        self.remember(tips);
        Ok(index)
    }

    /// Brings the index to what stands at `base`; returns whether all of it is new.
    fn bring(&self, index: &mut Index, base: &Oid) -> Result<bool, LedgerError> {
        index.added.drop_side()?;
        match index.added.base.clone() {
            Some(old) if old == *base => return Ok(false),
            // A cut-off history may have lost the old tip; then all is read again.
            Some(old) if self.shrunk(&old, base).is_ok_and(|shrunk| shrunk.is_none()) => {
                let added = self.added(&old, base)?;
                // A signature that came after its record changes the record's row.
                if !added.iter().any(|(path, _)| is_late_signature(path, &added)) {
                    self.look_at(unsized_files(added), &mut index.added)?;
                    index.added.settle(base);
                    return Ok(false);
                }
            }
            Some(_) | None => {}
        }
        let mut all = Segment::default();
        self.look_at(self.git.list_sized(base, &RepoPath::new(RECORDS))?, &mut all)?;
        index.begin(all, base);
        Ok(true)
    }

    /// The record files that `new` has and `old` has not.
    pub(super) fn added(
        &self,
        old: &Oid,
        new: &Oid,
    ) -> Result<Vec<(RepoPath, Entry)>, LedgerError> {
        let files = self.git.differences(old, new, Detail::Files)?;
        let added = files.into_iter().filter(|file| {
            file.status() == FileStatus::Added && file.path.as_bytes().starts_with(b"records/")
        });
        Ok(added.filter_map(|file| Some((file.path, file.new?))).collect())
    }

    /// Looks at records, and notes what they are about: one process for all.
    fn look_at(&self, files: Vec<Listed>, into: &mut Segment) -> Result<(), LedgerError> {
        let (pairs, strange) = pair(files);
        strange.iter().for_each(|why| into.add_strange(why));
        let blobs =
            |pair: &Pair| Blobs { record: pair.record.clone(), size: pair.size, signature: None };
        let blobs: Vec<Blobs> = pairs.iter().map(blobs).collect();
        let work = |_, read: Read| {
            read.record.and_then(|bytes| glance(&bytes).map_err(|error| error.to_string()))
        };
        let mut pairs = pairs.iter();
        let mut result = Ok(());
        reading::read(self.git, &blobs, &work, &mut |seen| {
            let Some(pair) = pairs.next() else { return };
            match seen {
                Ok((record_type, words)) if result.is_ok() => {
                    result = into.add(pair, record_type, &words);
                }
                Ok(_) => {}
                Err(why) => into.add_strange(&format!("record `{}`: {}", pair.id, printable(&why))),
            }
        })?;
        Ok(result?)
    }

    /// Reads these records whole and verifies their signatures, one process for
    /// all, and hands them over in order; or why one is no record. `keep`: what
    /// is verified is not verified again the next time.
    pub(super) fn examine(
        &self,
        lines: &[Line],
        keep: bool,
        each: &mut dyn FnMut(&Line, Result<Examined, String>),
    ) -> Result<(), LedgerError> {
        let mut verified = Verified::load(self.store, lines)?;
        let blobs = |line: &Line| Blobs {
            record: line.blob.clone(),
            size: None,
            signature: line.signature_blob.clone(),
        };
        let blobs: Vec<Blobs> = lines.iter().map(blobs).collect();
        let known: Vec<Option<SignatureState>> =
            lines.iter().map(|line| verified.known(line).cloned()).collect();
        let work = |place: usize, read| examined(&lines[place], read, known[place].as_ref());
        let mut rest = lines.iter();
        reading::read(self.git, &blobs, &work, &mut |examined| {
            let Some(line) = rest.next() else { return };
            if let Ok(examined) = &examined {
                verified.learn(line, &examined.state);
            }
            each(line, examined);
        })?;
        if keep {
            verified.save(self.store);
        }
        Ok(())
    }
}

/// What a record's bytes are worth; `known`: its signature was verified before.
fn examined(
    line: &Line,
    Read { record: bytes, signature }: Read,
    known: Option<&SignatureState>,
) -> Result<Examined, String> {
    let why = |why: String| format!("record `{}`: {}", line.id, printable(&why));
    let bytes = bytes.map_err(why)?;
    let record = Record::parse(&bytes).map_err(|error| why(error.to_string()))?;
    if record.id != line.id || record.ledger_path() != line.path {
        return Err(why("its name does not follow from its bytes".to_owned()));
    }
    let state = match (&signature, known) {
        (None, _) => SignatureState::Unsigned,
        (Some(_), Some(known)) => known.clone(),
        (Some(signature), None) => {
            signature::verify(&bytes, signature, &record.record_type().namespace())
        }
    };
    Ok(Examined { record, bytes, signature, state })
}

/// Whether a file is a signature whose record is not among those that were
/// added with it, sorted by path.
fn is_late_signature(path: &RepoPath, added: &[(RepoPath, Entry)]) -> bool {
    let Some(stem) = path.as_bytes().strip_suffix(b".sig") else { return false };
    let record = [stem, b".json"].concat();
    added.binary_search_by(|(path, _)| path.as_bytes().cmp(&record)).is_err()
}
