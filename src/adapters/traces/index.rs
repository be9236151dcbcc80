//! What is remembered of the records: how far each was read, and where the
//! edits of this repository's files stand in it. Names are kept as hashes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::seconds;
use crate::adapters::fs::Plain;
use crate::adapters::store::Store;
use crate::gate::change::RepoPath;
use crate::gate::time::Timestamp;
use crate::gate::trace::place::Places;

/// The cache's name in the store.
const CACHE: &str = "sessions";
const VERSION: u32 = 3;

/// How much older than the records asked for (in seconds) a file may be that is
/// still remembered.
const KEPT: i64 = 60 * 24 * 60 * 60;

/// The most edits that are remembered, of one file and of all, the newest first.
const EDITS_OF_FILE: usize = 50_000;
const EDITS: usize = 200_000;

/// What is remembered of all files.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Index {
    version: u32,
    /// Tells the work trees apart: where they are others, sessions that did not
    /// concern the repository may do so now.
    trees: String,
    /// By [`file_key`].
    pub(super) files: BTreeMap<String, Known>,
    #[serde(skip)]
    pub(super) changed: bool,
}

/// What is remembered of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    #[serde(default)]
    pub(super) stamp: Option<Stamp>,
    /// The offset up to which it was read.
    #[serde(default)]
    pub(super) read: u64,
    /// The session's folder lies elsewhere.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) foreign: bool,
    #[serde(default)]
    pub(super) skipped: u64,
    /// See [`crate::gate::trace::Reader::needs`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) needs: Vec<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) edits: Vec<Place>,
    /// Edits whose outcome is not told yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) open: Vec<Place>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    size: u64,
    modified: i64,
    identity: (u64, u64),
}

/// Where an edit stands: the hash of its path ([`super::MOVES`] where a file was
/// moved), and its lines' offsets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "(String, Vec<u64>)", into = "(String, Vec<u64>)")]
pub(super) struct Place {
    pub(super) path: String,
    pub(super) lines: Vec<u64>,
}

impl From<(String, Vec<u64>)> for Place {
    fn from((path, lines): (String, Vec<u64>)) -> Place {
        Place { path, lines }
    }
}

impl From<Place> for (String, Vec<u64>) {
    fn from(place: Place) -> (String, Vec<u64>) {
        (place.path, place.lines)
    }
}

impl Stamp {
    pub(super) fn of(plain: &Plain) -> Stamp {
        Stamp { size: plain.size, modified: plain.modified, identity: plain.identity }
    }
}

impl Known {
    /// Remembers an edit; returns whether older ones had to go.
    pub(super) fn add(&mut self, place: Place) -> bool {
        if self.edits.last() == Some(&place) {
            return false;
        }
        let full = self.edits.len() >= EDITS_OF_FILE;
        if full {
            self.edits.drain(..EDITS_OF_FILE / 2);
        }
        self.edits.push(place);
        full
    }

    /// Whether this is still the file that was read: the same, and not shorter.
    pub(super) fn is_of(&self, plain: &Plain) -> bool {
        self.stamp.as_ref().is_some_and(|it| it.identity == plain.identity)
            && self.read <= plain.size
    }
}

impl Index {
    /// What cannot be read, or is of another version, counts as empty.
    pub(super) fn load(store: &Store, trees: &[PathBuf]) -> Index {
        let trees = digest(trees.iter().flat_map(|it| [it.as_os_str().as_encoded_bytes(), b"\0"]));
        let bytes = store.cache(CACHE).ok().flatten().unwrap_or_default();
        let mut index: Index = serde_json::from_slice(&bytes).unwrap_or_default();
        if index.version != VERSION {
            index = Index { version: VERSION, ..Index::default() };
        }
        if index.trees != trees {
            index.trees = trees;
            index.files.retain(|_, known| !known.foreign);
        }
        index
    }

    /// Keeps it for the next time. That it could not be written costs time only.
    pub(super) fn save(&mut self, store: &Store, since: Timestamp) {
        let oldest = since.0.saturating_sub(KEPT);
        let age = |known: &Known| known.stamp.as_ref().map_or(i64::MIN, |it| it.modified);
        let mut ages: Vec<(i64, usize)> =
            self.files.values().map(|it| (age(it), it.edits.len())).collect();
        ages.sort_unstable_by_key(|(age, _)| std::cmp::Reverse(*age));
        let mut room = EDITS;
        let fitting = ages.iter().take_while(|(_, edits)| {
            let fits = room.checked_sub(*edits);
            room = fits.unwrap_or(0);
            fits.is_some()
        });
        let last = fitting.last().map_or(i64::MAX, |(age, _)| *age);
        self.files.retain(|_, it| age(it) >= last && seconds(age(it)).0 > oldest);
        if let Ok(bytes) = serde_json::to_vec(self) {
            store.replace_cache(CACHE, &bytes).ok();
        }
    }
}

pub(super) fn file_key(path: &Path) -> String {
    digest([path.as_os_str().as_encoded_bytes()])
}

pub(super) fn path_key(places: &Places, path: &RepoPath) -> String {
    digest([places.key(path).as_slice()])
}

/// The first 64 bits of a SHA-256, in hexadecimal: enough to find a name again.
fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    parts.into_iter().for_each(|part| hash.update(part));
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
