//! Databases of other programs: read without locks, without writing, and with
//! what their write-ahead log holds. That a database changed while it was read
//! is seen afterwards, and then it is read again.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::fs::{self, FsError, Plain};
use crate::gate::sqlite::wal::{self, Wal};
use crate::gate::sqlite::{Database, HEADER, Header, Pages};

/// How often a database is read that changes meanwhile.
const ATTEMPTS: usize = 3;

/// The largest write-ahead log that is read, in bytes; SQLite's own is written
/// back at 4 MB.
const WAL_LIMIT: u64 = 256 << 20;

/// The first bytes of a journal that has to be played back before the database
/// makes sense.
const JOURNAL: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

/// What must be the same before and after.
#[derive(PartialEq, Eq)]
struct State {
    plain: (u64, i64, (u64, u64)),
    header: Vec<u8>,
    log: Vec<u8>,
}

/// A database's pages: its own, and newer ones in the log.
struct Opened {
    file: File,
    page_size: u32,
    log: Option<(File, HashMap<u32, u64>)>,
    /// Bytes that may still be read.
    left: u64,
}

/// The name of a file beside a database.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// The write-ahead log's size and time of change, if there is one.
pub fn log_of(path: &Path) -> Option<Plain> {
    fs::open_plain(&beside(path, "-wal")).ok().map(|(_, plain)| plain)
}

/// Reads a database. `run` is called again, from the beginning, where it
/// changed meanwhile. Returns its answer, and how many bytes were read.
pub fn read<T>(
    path: &Path,
    limit: u64,
    mut run: impl FnMut(&mut Database<'_>) -> T,
) -> Result<(T, u64), FsError> {
    let mut left = limit;
    for _ in 0..ATTEMPTS {
        let before = state(path)?;
        let mut pages = open(path, &before, left)?;
        let answer = Database::open(&mut pages).map(|mut database| run(&mut database));
        left = pages.left;
        if state(path)? == before {
            let answer = answer.map_err(|error| failed(path, std::io::Error::other(error)))?;
            return Ok((answer, limit - left));
        }
    }
    Err(failed(path, std::io::Error::other("it changed all the while")))
}

fn failed(path: &Path, source: std::io::Error) -> FsError {
    FsError::Io { action: "read", path: path.to_owned(), source }
}

/// The state of a database; an error while a transaction is half written.
fn state(path: &Path) -> Result<State, FsError> {
    let (mut file, plain) = fs::open_plain(path)?;
    let journal = beginning_of(&beside(path, "-journal"), JOURNAL.len());
    if journal == JOURNAL {
        return Err(failed(path, std::io::Error::other("it is being written to")));
    }
    Ok(State {
        plain: (plain.size, plain.modified, plain.identity),
        header: beginning(&mut file, HEADER),
        log: beginning_of(&beside(path, "-wal"), wal::HEADER),
    })
}

fn beginning_of(path: &Path, length: usize) -> Vec<u8> {
    fs::open_plain(path).map(|(mut file, _)| beginning(&mut file, length)).unwrap_or_default()
}

/// The first bytes, fewer where there are not as many.
fn beginning(file: &mut File, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.take(length as u64).read_to_end(&mut bytes).ok();
    bytes
}

fn open(path: &Path, state: &State, limit: u64) -> Result<Opened, FsError> {
    let header =
        Header::parse(&state.header).map_err(|error| failed(path, std::io::Error::other(error)))?;
    let (file, _) = fs::open_plain(path)?;
    let log = match Wal::parse(&state.log) {
        Some(log) if log.page_size == header.page_size => Some(read_log(path, log)?),
        // A log that does not hold is none: SQLite begins it anew.
        Some(_) | None => None,
    };
    Ok(Opened { file, page_size: header.page_size, log, left: limit })
}

/// Where the newest committed version of each page stands in the log.
fn read_log(path: &Path, mut log: Wal) -> Result<(File, HashMap<u32, u64>), FsError> {
    let path = beside(path, "-wal");
    let (mut file, plain) = fs::open_plain(&path)?;
    if plain.size > WAL_LIMIT {
        return Err(FsError::TooLarge { path, limit: WAL_LIMIT });
    }
    let mut at = wal::HEADER as u64;
    file.seek(SeekFrom::Start(at)).map_err(|error| failed(&path, error))?;
    let mut reader = std::io::BufReader::with_capacity(256 << 10, file);
    let mut bytes = vec![0; wal::FRAME + log.page_size as usize];
    let (mut committed, mut open) = (HashMap::new(), Vec::new());
    while reader.read_exact(&mut bytes).is_ok() {
        let (header, page) = bytes.split_at(wal::FRAME);
        let Some(frame) = log.frame(header, page) else { break };
        open.push((frame.page, at + wal::FRAME as u64));
        if frame.commits {
            committed.extend(open.drain(..));
        }
        at += bytes.len() as u64;
    }
    Ok((reader.into_inner(), committed))
}

impl Pages for Opened {
    fn page(&mut self, number: u32) -> Option<Vec<u8>> {
        let size = u64::from(self.page_size);
        self.left = self.left.checked_sub(size)?;
        let own = u64::from(number.checked_sub(1)?) * size;
        let (file, at) = match &mut self.log {
            Some((file, pages)) if pages.contains_key(&number) => (file, *pages.get(&number)?),
            Some(_) | None => (&mut self.file, own),
        };
        let mut bytes = vec![0; self.page_size as usize];
        file.seek(SeekFrom::Start(at)).ok()?;
        file.read_exact(&mut bytes).ok()?;
        Some(bytes)
    }
}
