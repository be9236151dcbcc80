//! What every record in the ledger is about, kept beside it, so that a check
//! reads only the records that it wants: those alone are parsed whole, and
//! verified (`verified`).
//!
//! A text file, a line a record: `<type> <words> <id> <path> <blob> <signature
//! blob>`, or `! <why>` for what is no record. It is a cache: one that does not
//! read is made anew.

use super::verified::Verified;
use super::wanted::{Wanted, glance};
use super::{Ledger, LedgerError, MAX_NAMED, Pair, RECORDS, Tips, pair};
use crate::adapters::git::Detail;
use crate::adapters::signature;
use crate::gate::change::{Entry, FileStatus, Oid, RepoPath, printable};
use crate::gate::record::{MAX_BYTES, Record, RecordType, SignatureState};

/// The cache's name; a new format takes a new one.
const NAME: &str = "ledger-3";

const HEADER: &str = "countersign ledger index 3";

/// The index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    /// The tip whose records `lines` are about.
    base: Option<Oid>,
    lines: String,
    /// The other tip, and the records that only it has.
    side: Option<Oid>,
    side_lines: String,
}

/// One record's line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) id: String,
    /// Where it stands in the ledger's tree.
    path: String,
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
    pub(super) fn wanted(&self, wanted: &Wanted) -> Vec<Line> {
        let lines = self.lines.lines().chain(self.side_lines.lines());
        lines.filter_map(|line| parse_line(line, wanted)).collect()
    }

    /// Why which file is no record.
    pub(super) fn unreadable(&self) -> Vec<String> {
        let lines = self.lines.lines().chain(self.side_lines.lines());
        let mut why: Vec<String> =
            lines.filter_map(|line| line.strip_prefix("! ")).map(str::to_owned).collect();
        if why.len() > MAX_NAMED {
            let more = why.len() - MAX_NAMED;
            why.truncate(MAX_NAMED);
            why.push(format!("and {more} more"));
        }
        why
    }

    fn write(&self) -> String {
        let tip = |tip: &Option<Oid>| tip.as_ref().map_or("-".to_owned(), Oid::to_string);
        let (base, side) = (tip(&self.base), tip(&self.side));
        let count = self.lines.lines().count();
        format!("{HEADER} {base} {side} {count}\n{}{}end\n", self.lines, self.side_lines)
    }

    fn parse(text: &str) -> Option<Index> {
        let (first, rest) = text.strip_suffix("end\n")?.split_once('\n')?;
        let mut words = first.strip_prefix(HEADER)?.strip_prefix(' ')?.split(' ');
        let (base, side, count) = (words.next()?, words.next()?, words.next()?);
        let count: usize = count.parse().ok()?;
        let split = match count {
            0 => 0,
            _ => rest.match_indices('\n').nth(count - 1)?.0 + 1,
        };
        let (lines, side_lines) = rest.split_at(split);
        Some(Index {
            base: Oid::parse(base),
            lines: lines.to_owned(),
            side: Oid::parse(side),
            side_lines: side_lines.to_owned(),
        })
    }
}

impl Ledger<'_> {
    /// The index of what stands at these tips: from the cache, extended by what
    /// was added since. Enforces growth, and remembers what was seen.
    pub(super) fn index(&self, tips: &Tips) -> Result<Index, LedgerError> {
        self.enforce_growth(tips)?;
        let base = tips.tracking.as_ref().or(tips.local.as_ref());
        let side = tips.local.as_ref().filter(|local| Some(*local) != base);
        let cached = self.store.cache(NAME)?.and_then(|bytes| String::from_utf8(bytes).ok());
        let cached = cached.and_then(|text| Index::parse(&text)).unwrap_or_default();
        if (cached.base.as_ref(), cached.side.as_ref()) == (base, side) {
            self.remember(tips);
            return Ok(cached);
        }
        let mut index = match base {
            Some(base) => self.base_index(cached, base)?,
            None => Index::default(),
        };
        if let (Some(base), Some(side)) = (base, side) {
            index.side_lines = self.lines(self.added(base, side)?)?;
            index.side = Some(side.clone());
        }
        // A folder that cannot be written costs time, not the answer.
        self.store.write_cache(NAME, index.write().as_bytes()).ok();
        self.remember(tips);
        Ok(index)
    }

    fn base_index(&self, cached: Index, base: &Oid) -> Result<Index, LedgerError> {
        let lines = match cached.base {
            Some(old) if old == *base => cached.lines,
            // A cut-off history may have lost the old tip; then all is read again.
            Some(old) if self.shrunk(&old, base).is_ok_and(|shrunk| shrunk.is_none()) => {
                // A signature that came after its record changes the record's line.
                let added = self.added(&old, base)?;
                if added.iter().any(|(path, _)| is_late_signature(path, &added)) {
                    self.lines(self.git.list(base, &RepoPath::new(RECORDS))?)?
                } else {
                    cached.lines + &self.lines(added)?
                }
            }
            Some(_) | None => self.lines(self.git.list(base, &RepoPath::new(RECORDS))?)?,
        };
        Ok(Index { base: Some(base.clone()), lines, ..Index::default() })
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

    /// Looks at records, and writes their lines: one process for all.
    fn lines(&self, files: Vec<(RepoPath, Entry)>) -> Result<String, LedgerError> {
        let (pairs, strange) = pair(files);
        let mut text: String = strange.iter().map(|why| format!("! {why}\n")).collect();
        let blobs: Vec<Oid> = pairs.iter().map(|pair| pair.record.clone()).collect();
        let mut pairs = pairs.into_iter();
        self.git.blobs(&blobs, MAX_BYTES as u64, &mut |bytes| {
            let Some(pair) = pairs.next() else { return };
            match bytes {
                Ok(bytes) => write_line(&pair, &bytes, &mut text),
                Err(error) => {
                    let why = printable(&error.to_string());
                    text.push_str(&format!("! record `{}`: {why}\n", pair.id));
                }
            }
        })?;
        Ok(text)
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
        let blobs: Vec<Oid> = lines
            .iter()
            .flat_map(|line| std::iter::once(&line.blob).chain(&line.signature_blob))
            .cloned()
            .collect();
        let mut rest = lines.iter();
        let mut open: Option<(&Line, Result<Vec<u8>, String>)> = None;
        self.git.blobs(&blobs, MAX_BYTES as u64, &mut |bytes| {
            let bytes = bytes.map_err(|error| error.to_string());
            match open.take() {
                Some((line, record)) => {
                    // An unreadable blob is bytes that are no signature.
                    let signature = Some(bytes.unwrap_or_default());
                    each(line, examined(line, record, signature, &mut verified));
                }
                None => match rest.next() {
                    Some(line) if line.signature_blob.is_some() => open = Some((line, bytes)),
                    Some(line) => each(line, examined(line, bytes, None, &mut verified)),
                    None => {}
                },
            }
        })?;
        if keep {
            verified.save(self.store);
        }
        Ok(())
    }
}

fn examined(
    line: &Line,
    bytes: Result<Vec<u8>, String>,
    signature: Option<Vec<u8>>,
    verified: &mut Verified,
) -> Result<Examined, String> {
    let why = |why: String| format!("record `{}`: {}", line.id, printable(&why));
    let bytes = bytes.map_err(why)?;
    let record = Record::parse(&bytes).map_err(|error| why(error.to_string()))?;
    if record.id != line.id || record.ledger_path() != line.path {
        return Err(why("its name does not follow from its bytes".to_owned()));
    }
    let state = match &signature {
        None => SignatureState::Unsigned,
        Some(signature) => verified.state(line, || {
            signature::verify(&bytes, signature, &record.record_type().namespace())
        }),
    };
    Ok(Examined { record, bytes, signature, state })
}

fn is_late_signature(path: &RepoPath, added: &[(RepoPath, Entry)]) -> bool {
    let Some(stem) = path.as_bytes().strip_suffix(b".sig") else { return false };
    let record = RepoPath::new([stem, b".json"].concat());
    !added.iter().any(|(path, _)| *path == record)
}

/// Writes a record's line, or why it is none.
fn write_line(pair: &Pair, bytes: &[u8], text: &mut String) {
    match glance(bytes) {
        Ok((record_type, words)) => {
            text.push_str(record_type.word());
            text.push(' ');
            for (at, word) in words.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                text.push_str(word);
            }
            let signature = pair.signature.as_ref().map_or("-", Oid::as_str);
            for word in [pair.id.as_str(), &pair.path.to_text(), pair.record.as_str(), signature] {
                text.push(' ');
                text.push_str(word);
            }
            text.push('\n');
        }
        Err(error) => {
            let why = printable(&error.to_string());
            text.push_str(&format!("! record `{}`: {why}\n", pair.id));
        }
    }
}

fn parse_line(line: &str, wanted: &Wanted) -> Option<Line> {
    let mut fields = line.splitn(6, ' ');
    let word = fields.next().filter(|word| *word != "!")?;
    let record_type = RecordType::ALL.iter().copied().find(|it| it.word() == word)?;
    if !wanted.takes(record_type, fields.next()?.split(',')) {
        return None;
    }
    let (id, path, blob) = (fields.next()?, fields.next()?, fields.next()?);
    Some(Line {
        id: id.to_owned(),
        path: path.to_owned(),
        blob: Oid::parse(blob)?,
        signature_blob: Oid::parse(fields.next()?),
    })
}
