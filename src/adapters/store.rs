//! What stays on this machine, below `countersign/` in the git common folder.
//!
//! Nothing here is evidence for anybody else. Losing all of it costs caches,
//! records that were not published yet, and the knowledge of which unsigned
//! runs are our own: it can only deny.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::fs::{self, FsError};
use crate::gate::order;
use crate::gate::record::canonical::{is_sha256, sha256};
use crate::gate::record::{MAX_BYTES, Record};

/// Only this user may look: records name people, and caches save verifying.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// The most bytes of a signature file.
const MAX_SIGNATURE: u64 = 64 << 10;

/// The most bytes of a cache or a list of ours that are read.
const MAX_FILE: u64 = 256 << 20;

/// When the audit log has this many bytes, it is set aside and begun anew.
const MAX_LOG: u64 = 8 << 20;

/// The folder.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// A record that was not published yet, as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpublished {
    pub id: String,
    pub bytes: Vec<u8>,
    pub signature: Option<Vec<u8>>,
}

impl Store {
    /// The store of the repository with this git common folder. Nothing is
    /// created before something is kept.
    pub fn new(common_folder: &Path) -> Store {
        Store { root: common_folder.join("countersign") }
    }

    /// Where the store lies.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Keeps a record of our own until it is published. The signature goes
    /// first: a record that is there has its signature.
    pub fn keep(&self, record: &Unpublished) -> Result<(), FsError> {
        self.mark_own(&record.id)?;
        let folder = self.folder("records")?;
        if let Some(signature) = &record.signature {
            fs::write_atomically(&folder.join(format!("{}.sig", record.id)), signature, FILE_MODE)?;
        }
        fs::write_atomically(&folder.join(format!("{}.json", record.id)), &record.bytes, FILE_MODE)
    }

    /// The records that were not published yet, by id. What is no record, or
    /// does not have the id that its name says, is left out.
    pub fn unpublished(&self) -> Result<Vec<Unpublished>, FsError> {
        let mut records = self.unpublished_bytes()?;
        records.retain(|it| Record::parse(&it.bytes).is_ok());
        Ok(records)
    }

    /// The same, but whether the bytes are a record is for the caller to see.
    pub fn unpublished_bytes(&self) -> Result<Vec<Unpublished>, FsError> {
        let mut records = Vec::new();
        for path in fs::list(&self.root.join("records"))? {
            let Some(id) = record_id(&path) else { continue };
            let Some(bytes) = fs::read(&path, MAX_BYTES as u64)? else { continue };
            if sha256(&bytes) == id {
                let signature = fs::read(&path.with_extension("sig"), MAX_SIGNATURE)?;
                records.push(Unpublished { id, bytes, signature });
            }
        }
        Ok(records)
    }

    /// Forgets a record that was published; that it is our own stays known.
    pub fn published(&self, id: &str) -> Result<(), FsError> {
        let folder = self.root.join("records");
        fs::remove_file(&folder.join(format!("{id}.json")))?;
        fs::remove_file(&folder.join(format!("{id}.sig")))
    }

    /// Ids of the records that this clone wrote.
    pub fn own(&self) -> Result<BTreeSet<String>, FsError> {
        let bytes = fs::read(&self.root.join("own"), MAX_FILE)?.unwrap_or_default();
        let lines = bytes.split(|byte| *byte == b'\n');
        Ok(order::set(
            lines
                .filter_map(|line| std::str::from_utf8(line).ok())
                .filter(|line| is_sha256(line))
                .map(str::to_owned),
        ))
    }

    fn mark_own(&self, id: &str) -> Result<(), FsError> {
        let folder = self.folder("")?;
        fs::append_line(&folder.join("own"), id, FILE_MODE)
    }

    /// Reads a cache; `None` if there is none.
    pub fn cache(&self, name: &str) -> Result<Option<Vec<u8>>, FsError> {
        fs::read(&self.root.join("cache").join(name), MAX_FILE)
    }

    /// Opens a cache of which only parts are read; `None` if it is not there.
    pub fn cache_parts(&self, name: &str) -> Result<Option<fs::Parts>, FsError> {
        fs::Parts::open(&self.root.join("cache").join(name))
    }

    /// Writes a cache.
    pub fn write_cache(&self, name: &str, bytes: &[u8]) -> Result<(), FsError> {
        fs::write_atomically(&self.folder("cache")?.join(name), bytes, FILE_MODE)
    }

    /// Writes a cache that costs nothing to lose in a power cut.
    pub fn replace_cache(&self, name: &str, bytes: &[u8]) -> Result<(), FsError> {
        fs::replace(&self.folder("cache")?.join(name), bytes, FILE_MODE)
    }

    /// Reads what a reviewer decided and did not sign yet; `None` if nothing is kept.
    pub fn review(&self, name: &str) -> Result<Option<Vec<u8>>, FsError> {
        fs::read(&self.root.join("reviews").join(name), MAX_FILE)
    }

    /// Keeps what a reviewer decided.
    pub fn write_review(&self, name: &str, bytes: &[u8]) -> Result<(), FsError> {
        fs::write_atomically(&self.folder("reviews")?.join(name), bytes, FILE_MODE)
    }

    /// Appends a line to the local audit log. `line` holds no line break.
    pub fn log(&self, line: &str) -> Result<(), FsError> {
        let path = self.folder("")?.join("log");
        if fs::size(&path)? > MAX_LOG {
            fs::rename(&path, &path.with_extension("old"))?;
        }
        fs::append_line(&path, &line.replace('\n', " "), FILE_MODE)
    }

    /// The last `limit` lines of the local audit log, newest first.
    pub fn last_log_lines(&self, limit: usize) -> Result<Vec<String>, FsError> {
        let mut lines = Vec::new();
        for name in ["log", "log.old"] {
            let bytes = fs::read(&self.root.join(name), 2 * MAX_LOG)?.unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            lines.extend(text.lines().rev().take(limit - lines.len()).map(str::to_owned));
        }
        Ok(lines)
    }

    fn folder(&self, name: &str) -> Result<PathBuf, FsError> {
        let path = if name.is_empty() { self.root.clone() } else { self.root.join(name) };
        if !fs::stands(&path) {
            fs::create_folder(&path)?;
            fs::set_mode(&self.root, FOLDER_MODE)?;
            fs::set_mode(&path, FOLDER_MODE)?;
        }
        Ok(path)
    }
}

fn record_id(path: &Path) -> Option<String> {
    let id = path.file_name()?.to_str()?.strip_suffix(".json")?;
    is_sha256(id).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::record::Body;

    fn record(at: &str) -> Unpublished {
        let body = Body::Verdict(serde_json::json!({ "at": at }));
        let (record, bytes) = Record::write(&body).expect("a valid record");
        Unpublished { id: record.id, bytes, signature: None }
    }

    #[test]
    fn records_are_kept_until_published_and_stay_our_own() {
        let folder = fs::scratch_folder().expect("a scratch folder");
        let store = Store::new(folder.path());
        assert_eq!(store.unpublished().expect("reads"), []);
        let signed = Unpublished { signature: Some(b"sig".to_vec()), ..record("2026-11-23") };
        store.keep(&signed).expect("keeps");
        assert_eq!(store.unpublished().expect("reads"), std::slice::from_ref(&signed));
        store.published(&signed.id).expect("forgets");
        assert_eq!(store.unpublished().expect("reads"), []);
        assert_eq!(store.own().expect("reads"), BTreeSet::from([signed.id]));
    }

    #[test]
    fn what_is_no_record_costs_only_itself() {
        let folder = fs::scratch_folder().expect("a scratch folder");
        let store = Store::new(folder.path());
        let (good, other) = (record("2026-11-23"), record("2026-11-24"));
        store.keep(&good).expect("keeps");
        let misnamed = Unpublished { id: other.id.clone(), ..good.clone() };
        store.keep(&misnamed).expect("keeps");
        let cut_off = format!("records/{}.json", "0".repeat(64));
        fs::write_atomically(&store.root.join(cut_off), b"{\"_ty", 0o600).expect("writes");
        fs::append_line(&store.root.join("own"), "0123", 0o600).expect("appends");
        assert_eq!(store.unpublished().expect("reads"), std::slice::from_ref(&good));
        assert_eq!(store.own().expect("reads"), BTreeSet::from([good.id, other.id]));
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_look() {
        use std::os::unix::fs::PermissionsExt;
        let folder = fs::scratch_folder().expect("a scratch folder");
        let store = Store::new(folder.path());
        store.keep(&record("2026-11-23")).expect("keeps");
        store.write_cache("index", b"x").expect("writes");
        store.write_review("a.json", b"{}").expect("writes");
        assert_eq!(store.review("a.json").expect("reads").as_deref(), Some(&b"{}"[..]));
        let mode = |name: &str| {
            let path = store.root.join(name);
            std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777
        };
        let folders = ["", "records", "cache", "reviews"];
        assert_eq!(folders.map(mode), [0o700; 4]);
        assert_eq!(["own", "cache/index", "reviews/a.json"].map(mode), [0o600; 3]);
    }

    #[test]
    fn the_log_reads_newest_first() {
        let folder = fs::scratch_folder().expect("a scratch folder");
        let store = Store::new(folder.path());
        for line in ["one", "two\nlines", "three"] {
            store.log(line).expect("logs");
        }
        assert_eq!(store.last_log_lines(2).expect("reads"), ["three", "two lines"]);
        assert_eq!(store.last_log_lines(0).expect("reads"), [""; 0]);
    }
}
