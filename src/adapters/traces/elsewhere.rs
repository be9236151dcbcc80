//! What was recorded under other names than those of new files: files that were
//! moved before they were ever committed. Looked for only where no record tells
//! how a new file began, and among what is newest.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;

use super::index::{Index, Place, file_key, path_key};
use super::{Candidate, Elsewhere, MOVES, Reading, Recorded, Taken, Wanted};
use crate::adapters::fs;
use crate::gate::change::RepoPath;
use crate::gate::order;
use crate::gate::time::Timestamp;
use crate::gate::trace::moved::{Move, names_before};

/// The most moves that are read, the newest.
const COMMANDS: usize = 256;
/// The most files of which it is looked whether they still stand, those that
/// were written last.
const PATHS: usize = 256;
/// The most places of edits that are looked over for their files.
const PLACES: usize = 20_000;
/// As many bytes are read again for the names of these files, and as many for
/// what was written into them; and texts of as many bytes are kept.
const NAMED: u64 = 4 << 20;
const AGAIN: u64 = 16 << 20;
const TEXTS: usize = 4 << 20;
/// How many lines are read before it is looked whether there is room for more.
const BATCH: usize = 16;

impl Reading {
    /// What may be of the wanted new files of which `edits` do not tell how
    /// they began.
    pub(super) fn elsewhere(
        &mut self,
        files: &[Candidate],
        index: &Index,
        wanted: &Wanted<'_>,
        edits: &[Recorded],
        trees: &[PathBuf],
    ) -> Elsewhere {
        let mut found = Elsewhere::default();
        let begun: BTreeSet<&RepoPath> =
            order::set(edits.iter().filter(|it| it.edit.old.is_none()).map(|it| &it.path));
        let unknown = wanted.new.iter().filter(|it| !begun.contains(**it));
        let mut unknown: Vec<RepoPath> = unknown.map(|it| (*it).clone()).collect();
        if unknown.is_empty() {
            return found;
        }
        // What is left out here is nothing that was to be found.
        let (notes, limits, again) = (self.notes, self.limits, self.again);
        (self.again, self.limits.texts) = (AGAIN, TEXTS);
        (found.moved, found.renames) = self.by_name(files, index, &unknown);
        let told: BTreeSet<&RepoPath> = order::set(found.moved.iter().map(|it| &it.path));
        unknown.retain(|it| !told.contains(it));
        if !unknown.is_empty() {
            let mut paths = self.nowhere(files, index, &wanted.paths, trees);
            paths.retain(|path| !found.renames.iter().any(|(from, _)| from == path));
            let paths: Vec<&RepoPath> = paths.iter().collect();
            (self.again, self.limits.texts) = (AGAIN, TEXTS);
            found.nowhere = self.collect(files, index, &paths, &[]);
            found.unknown = unknown;
        }
        (self.notes, self.limits, self.again) = (notes, limits, again);
        found
    }

    /// The edits of the names that these files had before agents moved them, and
    /// these names.
    fn by_name(
        &mut self,
        files: &[Candidate],
        index: &Index,
        new: &[RepoPath],
    ) -> (Vec<Recorded>, Vec<(RepoPath, RepoPath)>) {
        let moves = self.moves(files, index);
        let mut names: BTreeMap<RepoPath, Vec<(&RepoPath, Option<Timestamp>)>> = BTreeMap::new();
        for path in new.iter().filter(|_| !moves.is_empty()) {
            for (name, until) in names_before(path, &moves) {
                names.entry(name).or_default().push((path, until));
            }
        }
        let paths: Vec<&RepoPath> = names.keys().collect();
        let (mut moved, mut renames) = (Vec::new(), BTreeSet::new());
        for recorded in self.collect(files, index, &paths, &[]) {
            for (path, until) in names.get(&recorded.path).into_iter().flatten() {
                // What was written there later is another file's.
                if until.is_none_or(|until| recorded.edit.time.is_none_or(|it| it <= until)) {
                    moved.push(Recorded { path: (*path).clone(), edit: recorded.edit.clone() });
                    renames.insert((recorded.path.clone(), (*path).clone()));
                }
            }
        }
        (moved, renames.into_iter().collect())
    }

    /// The moves that agents' own commands made, the oldest first.
    fn moves(&mut self, files: &[Candidate], index: &Index) -> Vec<Move> {
        let mut taken = Taken::default();
        for file in files {
            let Some(known) = index.files.get(&file_key(&file.path)) else { continue };
            let places = known.edits.iter().chain(&known.open).rev();
            let places = places.take(PLACES).filter(|it| it.path == MOVES);
            let places: Vec<&Place> = places.take(COMMANDS - taken.moves.len()).collect();
            if !places.is_empty() {
                self.read_again(file, &offsets(&places), None, &mut taken).ok();
            }
            if taken.moves.len() >= COMMANDS {
                break;
            }
        }
        order::sort_by_key(&mut taken.moves, |it| it.time);
        taken.moves
    }

    /// The files that were written last and stand in no work tree any more.
    fn nowhere(
        &mut self,
        files: &[Candidate],
        index: &Index,
        wanted: &[&RepoPath],
        trees: &[PathBuf],
    ) -> BTreeSet<RepoPath> {
        let own: Vec<String> = wanted.iter().map(|it| path_key(&self.places, it)).collect();
        let mut seen: HashSet<&str> = own.iter().map(String::as_str).collect();
        seen.insert(MOVES);
        let mut nowhere = BTreeSet::new();
        let (mut paths, mut places) = (PATHS, PLACES);
        self.again = NAMED;
        for file in files {
            let Some(known) = index.files.get(&file_key(&file.path)) else { continue };
            let newest = known.edits.iter().chain(&known.open).rev().take(places);
            places = places.saturating_sub(known.edits.len() + known.open.len());
            let newest = newest.filter(|it| seen.insert(&it.path));
            let newest: Vec<&Place> = newest.take(paths).collect();
            paths -= newest.len();
            // A document is read whole, however little is asked for.
            let is_whole = file.is_document() || file.database().is_some();
            for some in newest.chunks(if is_whole { PATHS } else { BATCH }) {
                if self.again == 0 {
                    return nowhere;
                }
                self.limits.texts = TEXTS;
                let mut taken = Taken::default();
                self.read_again(file, &offsets(some), None, &mut taken).ok();
                for Recorded { path, .. } in taken.edits {
                    let name = String::from_utf8_lossy(path.as_bytes());
                    if !trees.iter().any(|tree| fs::stands(&tree.join(&*name))) {
                        nowhere.insert(path);
                    }
                }
            }
        }
        nowhere
    }
}

fn offsets(places: &[&Place]) -> BTreeSet<u64> {
    order::set(places.iter().flat_map(|it| it.lines.iter().copied()))
}
