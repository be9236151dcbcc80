//! Publishing: local-only records are replayed on the fetched tip, linearly,
//! and pushed without force; whoever loses the race fetches and replays again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Ledger, LedgerError, SEEN, Tips, files_of};
use crate::adapters::git::{GitError, NewCommit, RefOutcome};
use crate::adapters::store::Unpublished;
use crate::gate::change::{Oid, RepoPath};
use crate::gate::order;
use crate::gate::record::MAX_BYTES;
use crate::gate::time::Timestamp;

/// How often a push is tried before giving up. Nothing is lost by giving up.
const ATTEMPTS: u32 = 12;

/// Files of the ledger's tree, by their paths.
type Files = BTreeMap<RepoPath, Vec<u8>>;

/// What a synchronisation did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Synced {
    /// The shared tip now; `None`: there is no ledger yet, and nothing to put there.
    pub tip: Option<Oid>,
    /// How many records were published.
    pub published: usize,
    /// The shared tip moved since this clone looked last.
    pub fetched: bool,
    /// How often it was tried: more than once where others published meanwhile.
    pub tries: u32,
}

impl Ledger<'_> {
    /// Fetches the shared records and publishes our own. Without a remote, what
    /// is pending is committed on the local branch, which then is the ledger.
    pub fn sync(&self, now: Timestamp) -> Result<Synced, LedgerError> {
        let Some(remote) = self.remote.clone() else { return self.settle(now) };
        let mut fetched = false;
        let mut took = Duration::ZERO;
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                std::thread::sleep(pause(attempt, took));
            }
            let tries = attempt + 1;
            #[expect(clippy::disallowed_methods, reason = "how long a try takes is measured here")]
            let began = Instant::now();
            let before = self.tips()?;
            let shared = self.fetch(&remote, &before)?;
            let tips = self.tips()?;
            fetched |= before.tracking != tips.tracking;
            self.enforce_growth(&tips).or_else(|error| self.forgive(error, &tips))?;
            let base = tips.tracking.clone().or_else(|| tips.seen.clone());
            let (files, pending) = self.pending(base.as_ref(), &tips)?;
            let published = files.keys().filter(|path| path.as_bytes().ends_with(b".json")).count();
            if files.is_empty() && (shared.is_some() || base.is_none()) {
                self.landed(base.as_ref(), &tips, &pending)?;
                return Ok(Synced { tip: base, published: 0, fetched, tries });
            }
            let tip = match files.is_empty() {
                true => base.clone(),
                false => Some(self.commit(base.as_ref(), files, now)?),
            };
            let Some(tip) = tip else { continue };
            match self.push(&remote, &tip)? {
                RefOutcome::Done => {
                    self.landed(Some(&tip), &tips, &pending)?;
                    return Ok(Synced { tip: Some(tip), published, fetched, tries });
                }
                RefOutcome::Moved => took = began.elapsed(),
                RefOutcome::Refused(reason) => return Err(LedgerError::Refused { remote, reason }),
            }
        }
        Err(LedgerError::TooBusy { remote, attempts: ATTEMPTS })
    }

    /// Fetches the shared records; says whether there is news.
    pub fn refresh(&self) -> Result<bool, LedgerError> {
        let Some(remote) = &self.remote else { return Ok(false) };
        let before = self.tips()?;
        self.fetch(remote, &before)?;
        Ok(self.tips()?.tracking != before.tracking)
    }

    /// How many records of this clone are not published yet.
    pub fn pending_count(&self) -> Result<usize, LedgerError> {
        let tips = self.tips()?;
        let (files, _) = self.pending(tips.tracking.as_ref(), &tips)?;
        Ok(files.keys().filter(|path| path.as_bytes().ends_with(b".json")).count())
    }

    /// Commits records on the local branch; tried again if it moves meanwhile.
    pub(super) fn commit_locally(
        &self,
        records: &[Unpublished],
        now: Timestamp,
    ) -> Result<Tips, LedgerError> {
        let mut result = Err(LedgerError::Git(GitError::RefMoved(self.reference.clone())));
        for _ in 0..ATTEMPTS {
            let tips = self.tips()?;
            let base = tips.local.as_ref().or(tips.tracking.as_ref());
            let files = records.iter().filter_map(files_of).flatten().collect();
            let files = self.not_in(base, files)?;
            if files.is_empty() {
                return Ok(tips);
            }
            let tip = self.commit(base, files, now)?;
            match self.git.update_ref(&self.reference, &tip, tips.local.as_ref()) {
                Ok(()) => return Ok(Tips { local: Some(tip), ..tips }),
                Err(error @ GitError::RefMoved(_)) => result = Err(error.into()),
                Err(error) => return Err(error.into()),
            }
        }
        result
    }

    fn settle(&self, now: Timestamp) -> Result<Synced, LedgerError> {
        let pending = self.store.unpublished()?;
        let tips = self.tips()?;
        self.enforce_growth(&tips)?;
        let tips = self.commit_locally(&pending, now)?;
        for record in &pending {
            self.store.published(&record.id)?;
        }
        self.remember(&tips);
        Ok(Synced { tip: tips.local, published: pending.len(), fetched: false, tries: 1 })
    }

    /// Fetches the shared ledger, never forced; returns what stood on the remote.
    fn fetch(&self, remote: &str, tips: &Tips) -> Result<Option<Oid>, LedgerError> {
        let refs = self.git.remote_refs(remote, &[&self.reference])?;
        let Some(shared) = refs.into_iter().map(|(_, oid)| oid).next() else { return Ok(None) };
        if tips.tracking.as_ref() == Some(&shared) {
            return Ok(Some(shared));
        }
        let Some(tracking) = self.tracking() else { return Ok(Some(shared)) };
        match self.git.fetch(remote, &[format!("{}:{tracking}", self.reference)]) {
            Ok(()) => Ok(Some(shared)),
            Err(error) => match &tips.tracking {
                // git does not always say why; what it fetched tells.
                Some(seen) if matches!(self.git.is_ancestor(seen, &shared), Ok(false)) => {
                    Err(LedgerError::Rewound { tip: shared, seen: seen.clone() })
                }
                Some(_) | None => Err(error.into()),
            },
        }
    }

    /// What a synchronisation mends. A ledger that is gone from the remote is
    /// put back as it was seen. One that began here, before there was a remote,
    /// meets the remote's own and does not descend from what was seen here; all
    /// that still stands on the local branch, and is published now.
    fn forgive(&self, error: LedgerError, tips: &Tips) -> Result<(), LedgerError> {
        match (&error, &tips.seen, &tips.local) {
            (LedgerError::Gone { .. }, _, _) => Ok(()),
            (LedgerError::Rewound { .. }, Some(seen), Some(local)) => {
                let met = match &tips.tracking {
                    Some(tracking) => self.git.merge_bases(tracking, seen)?.is_empty(),
                    None => false,
                };
                match met && (seen == local || self.git.is_ancestor(seen, local)?) {
                    true => Ok(()),
                    false => Err(error),
                }
            }
            _ => Err(error),
        }
    }

    /// The files that are to be published on `base`: the store's records, and
    /// what only the local branch has. With them the store's records themselves.
    fn pending(
        &self,
        base: Option<&Oid>,
        tips: &Tips,
    ) -> Result<(Files, Vec<Unpublished>), LedgerError> {
        let unpublished = self.store.unpublished()?;
        let mut files: Files = order::map(unpublished.iter().filter_map(files_of).flatten());
        if let Some(local) = tips.local.as_ref().filter(|local| Some(*local) != base) {
            let empty = self.git.empty_tree();
            for (path, entry) in self.added(base.unwrap_or(&empty), local)? {
                if super::place(&path).is_some() && !files.contains_key(&path) {
                    files.insert(path, self.git.blob(&entry.oid, MAX_BYTES as u64)?);
                }
            }
        }
        Ok((self.not_in(base, files)?, unpublished))
    }

    /// The files that do not stand in `base` yet.
    fn not_in(&self, base: Option<&Oid>, mut files: Files) -> Result<Files, LedgerError> {
        if let Some(base) = base.filter(|_| !files.is_empty()) {
            let paths: Vec<RepoPath> = files.keys().cloned().collect();
            for (path, entry) in self.git.entries(base, &paths)? {
                if entry.is_some() {
                    files.remove(&path);
                }
            }
        }
        Ok(files)
    }

    fn commit(&self, base: Option<&Oid>, files: Files, now: Timestamp) -> Result<Oid, LedgerError> {
        let count = files.keys().filter(|path| path.as_bytes().ends_with(b".json")).count();
        let files: Vec<_> = files.into_iter().collect();
        let empty = self.git.empty_tree();
        let tree = self.git.write_files(base.unwrap_or(&empty), &files)?;
        let records = if count == 1 { "record" } else { "records" };
        Ok(self.git.write_commit(&NewCommit {
            tree,
            parents: base.cloned().into_iter().collect(),
            message: format!("ledger: add {count} {records}\n\n[skip ci]\n"),
            at: now,
        })?)
    }

    fn push(&self, remote: &str, tip: &Oid) -> Result<RefOutcome, LedgerError> {
        let pushed = self.git.push(remote, &[format!("{tip}:{}", self.reference)])?;
        let refused = || RefOutcome::Refused("it did not answer".to_owned());
        Ok(pushed.into_iter().next().map_or_else(refused, |pushed| pushed.outcome))
    }

    /// Records that `tip` is what the remote has, and forgets what is published.
    fn landed(
        &self,
        tip: Option<&Oid>,
        tips: &Tips,
        published: &[Unpublished],
    ) -> Result<(), LedgerError> {
        let Some(tip) = tip else { return Ok(()) };
        for (name, old) in [
            (self.tracking(), &tips.tracking),
            (Some(self.reference.clone()), &tips.local),
            (Some(SEEN.to_owned()), &tips.seen),
        ] {
            let moves = old.as_ref() != Some(tip);
            // git itself may have moved the tracking ref; another process of
            // ours may have appended meanwhile, which the next one publishes.
            match name.filter(|_| moves).map(|name| self.git.update_ref(&name, tip, old.as_ref())) {
                None | Some(Ok(()) | Err(GitError::RefMoved(_))) => {}
                Some(Err(error)) => return Err(error.into()),
            }
        }
        for record in published {
            self.store.published(&record.id)?;
        }
        Ok(())
    }
}

/// A pause that grows, with jitter, so that clones that met once do not meet
/// again: somewhere within the time that eight tries like the last one take.
/// The seed of the standard library's hashes is random enough for that.
fn pause(attempt: u32, took: Duration) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let jitter = RandomState::new().hash_one(attempt) % 1000;
    let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let longest = took.saturating_mul(8).min(3_000).max(50 << attempt.min(5));
    Duration::from_millis(20 + longest * jitter / 1000)
}
