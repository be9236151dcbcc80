//! Whether the files of a checkout still stand as git left them, by what git
//! noted of each of them in its index: a look at every file, and no process.
//!
//! What is seen here is only ever "as it was noted" or "git has to say": a file
//! that differs in anything is no finding yet, since git knows of filters and
//! line ends. A file passes by all that its place on the disk says of it, times
//! to the nanosecond, and none of its times may be as late as the index: then
//! nothing has written to it since git did.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::gate::change::{Oid, RepoPath};

/// The entries of an index (<https://git-scm.com/docs/index-format>), in its order.
pub(super) struct Noted<'a> {
    entries: Vec<Entry<'a>>,
    hash: usize,
}

struct Entry<'a> {
    path: &'a [u8],
    /// Ten numbers: both times of change, the place, mode, owner and size.
    numbers: &'a [u8],
    oid: &'a [u8],
}

/// Where the numbers of an entry stand.
const CHANGED: usize = 0;
const MODIFIED: usize = 2;
const INODE: usize = 5;
const MODE: usize = 6;
const USER: usize = 7;
const GROUP: usize = 8;
const SIZE: usize = 9;
const NUMBERS: usize = 40;

const FOLDER: u32 = 0o040_000;
const LINK: u32 = 0o120_000;
const REPOSITORY: u32 = 0o160_000;

/// How the files stand.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// The tracked files of which git has to say whether they are modified.
    pub(super) unsure: Vec<RepoPath>,
    /// What lies beside the tracked files: a file or a whole folder each. It may
    /// be ignored.
    pub(super) strays: Vec<RepoPath>,
}

impl<'a> Noted<'a> {
    /// Reads an index of version 2 or 3; `hash` is the length of an id in bytes.
    /// `None`: git has to be asked, since it is of another kind, a part of it
    /// stands elsewhere, or an entry is none of a plain checkout.
    pub(super) fn parse(bytes: &'a [u8], hash: usize) -> Option<Noted<'a>> {
        let body = bytes.get(..bytes.len().checked_sub(hash)?)?;
        let is_known = body.starts_with(b"DIRC") && matches!(number(body, 1)?, 2 | 3);
        let count = usize::try_from(number(body, 2)?).ok().filter(|_| is_known)?;
        let mut entries = Vec::with_capacity(count.min(body.len() / (NUMBERS + hash)));
        let mut at = 12;
        for _ in 0..count {
            let numbers = body.get(at..at + NUMBERS)?;
            let oid = body.get(at + NUMBERS..at + NUMBERS + hash)?;
            let start = at + NUMBERS + hash + 2;
            let flags = u16::from_be_bytes(body.get(start - 2..start)?.try_into().ok()?);
            // Only the length of the name: nothing unmerged, assumed or extended.
            if flags & 0xf000 != 0 {
                return None;
            }
            let rest = body.get(start..)?;
            let length = match usize::from(flags) {
                0xfff => memchr::memchr(0, rest)?,
                length => length,
            };
            entries.push(Entry { path: rest.get(..length)?, numbers, oid });
            // One to eight NULs follow, so that entries are multiples of eight long.
            at += (NUMBERS + hash + 2 + length + 8) & !7;
        }
        while at < body.len() {
            let extension = body.get(at..at + 8)?;
            // What must be understood begins with a small letter.
            if !extension[0].is_ascii_uppercase() {
                return None;
            }
            at += 8 + usize::try_from(number(extension, 1)?).ok()?;
        }
        (at == body.len()).then_some(Noted { entries, hash })
    }

    /// The submodules, by path.
    pub(super) fn submodules(&self) -> impl Iterator<Item = (RepoPath, Oid)> + '_ {
        let links = self.entries.iter().filter(|it| it.number(MODE) == Some(REPOSITORY));
        links.filter_map(|it| Some((RepoPath::new(it.path), it.oid()?)))
    }

    /// Looks at every file below `root`, the folder that this index is of, which
    /// was written at `written`.
    pub(super) fn look(&self, root: &Path, written: SystemTime) -> std::io::Result<Standing> {
        let empty = match self.hash {
            20 => EMPTY_SHA1,
            _ => EMPTY_SHA256,
        };
        let since = written.duration_since(UNIX_EPOCH).map_err(std::io::Error::other)?;
        let seconds = i64::try_from(since.as_secs()).map_err(std::io::Error::other)?;
        let written = (seconds, i64::from(since.subsec_nanos()));
        let mut look = Look { written, empty, standing: Standing::default() };
        look.folder(root, &self.entries, 0)?;
        Ok(look.standing)
    }
}

/// The blob without content.
const EMPTY_SHA1: &str = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";
const EMPTY_SHA256: &str = "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813";

impl Entry<'_> {
    fn number(&self, which: usize) -> Option<u32> {
        number(self.numbers, which)
    }

    fn oid(&self) -> Option<Oid> {
        Oid::parse(&self.oid.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }
}

fn number(bytes: &[u8], which: usize) -> Option<u32> {
    let bytes = bytes.get(which * 4..which * 4 + 4)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

struct Look {
    written: (i64, i64),
    empty: &'static str,
    standing: Standing,
}

/// A file or folder that a folder should have.
struct Child<'a> {
    name: &'a [u8],
    /// Its entries: one file's, or all below the folder.
    entries: &'a [Entry<'a>],
    is_folder: bool,
    seen: bool,
}

impl Look {
    /// `start` is how much of the entries' paths names this folder.
    fn folder(&mut self, path: &Path, entries: &[Entry<'_>], start: usize) -> std::io::Result<()> {
        let folder = entries.first().and_then(|it| it.path.get(..start)).unwrap_or_default();
        let mut children = children(entries, start);
        for found in std::fs::read_dir(path)? {
            let found = found?;
            let name = found.file_name();
            let name = name.as_encoded_bytes();
            if start == 0 && name == b".git" {
                continue;
            }
            let place = children.binary_search_by(|it| it.name.cmp(name));
            let Some(child) = place.ok().and_then(|it| children.get_mut(it)) else {
                let mut stray = folder.to_vec();
                stray.extend_from_slice(name);
                self.standing.strays.push(RepoPath::new(stray));
                continue;
            };
            child.seen = true;
            let [entry, ..] = child.entries else { continue };
            if child.is_folder {
                match found.file_type()?.is_dir() {
                    true => self.folder(&found.path(), child.entries, start + name.len() + 1)?,
                    // A link or a file in the folder's place.
                    false => self.unsure(child.entries),
                }
            } else if entry.number(MODE) == Some(REPOSITORY) {
                // Its files are looked at by themselves.
                if !found.file_type()?.is_dir() {
                    self.unsure(child.entries);
                }
            } else if !self.is_as_noted(entry, &found.metadata()?) {
                self.unsure(child.entries);
            }
        }
        for child in children.iter().filter(|it| !it.seen) {
            self.unsure(child.entries);
        }
        Ok(())
    }

    fn unsure(&mut self, entries: &[Entry<'_>]) {
        self.standing.unsure.extend(entries.iter().map(|it| RepoPath::new(it.path)));
    }

    #[cfg(unix)]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "git keeps the lower 32 bits of each"
    )]
    fn is_as_noted(&self, entry: &Entry<'_>, found: &std::fs::Metadata) -> bool {
        use std::os::unix::fs::MetadataExt;
        let is = |which: usize, number: u64| entry.number(which) == Some(number as u32);
        let changed = (found.ctime(), found.ctime_nsec());
        let modified = (found.mtime(), found.mtime_nsec());
        // A size of nothing may be git's note that it has to look again.
        let size = found.size() > 0 || entry.oid().is_some_and(|it| it.as_str() == self.empty);
        changed.max(modified) < self.written
            && is(CHANGED, changed.0 as u64)
            && is(CHANGED + 1, changed.1 as u64)
            && is(MODIFIED, modified.0 as u64)
            && is(MODIFIED + 1, modified.1 as u64)
            && is(INODE, found.ino())
            && is(MODE, u64::from(mode(found)))
            && is(USER, u64::from(found.uid()))
            && is(GROUP, u64::from(found.gid()))
            && is(SIZE, found.size())
            && size
    }

    #[cfg(not(unix))]
    fn is_as_noted(&self, _: &Entry<'_>, _: &std::fs::Metadata) -> bool {
        let _ = (self.written, self.empty);
        false
    }
}

/// The mode that git gives a file.
#[cfg(unix)]
fn mode(found: &std::fs::Metadata) -> u32 {
    use std::os::unix::fs::MetadataExt;
    match found.file_type() {
        it if it.is_symlink() => LINK,
        it if it.is_file() && found.mode() & 0o100 != 0 => 0o100_755,
        it if it.is_file() => 0o100_644,
        _ => FOLDER,
    }
}

/// What a folder should have, by name.
fn children<'a>(entries: &'a [Entry<'a>], start: usize) -> Vec<Child<'a>> {
    let mut children: Vec<Child<'a>> = Vec::new();
    let mut rest = entries;
    while let [entry, ..] = rest {
        let name = entry.path.get(start..).unwrap_or_default();
        let slash = memchr::memchr(b'/', name);
        let name = &name[..slash.unwrap_or(name.len())];
        let count = match slash {
            // All that begin like this one stand together.
            Some(_) => {
                let whole = &entry.path[..start + name.len() + 1];
                rest.iter().take_while(|it| it.path.starts_with(whole)).count()
            }
            None => 1,
        };
        let (here, after) = rest.split_at(count);
        children.push(Child { name, entries: here, is_folder: slash.is_some(), seen: false });
        rest = after;
    }
    // A folder is sorted as if its name ended in a slash.
    children.sort_unstable_by_key(|it| it.name);
    children
}
