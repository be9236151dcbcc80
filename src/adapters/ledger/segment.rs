//! A part of the ledger's index, in memory or in a file of which only what is
//! asked for is read.
//!
//! A line of text, then three tables: the words (8 bytes) with the number of
//! the record that has each (4), a row of [`ROW`] bytes a record, and a line of
//! text for each file that is no record; at last `end`. Numbers are
//! little-endian.

use std::borrow::Cow;
use std::rc::Rc;

use super::index::Line;
use super::wanted::{ALWAYS, Wanted, always};
use super::{Pair, path_of};
use crate::adapters::fs::{FsError, Parts};
use crate::adapters::store::Store;
use crate::gate::change::Oid;
use crate::gate::record::RecordType;

const HEADER: &str = "countersign ledger index 4";
const END: &[u8] = b"end\n";

/// How long the first line can be: three ids, four numbers.
const MAX_HEADER: usize = 512;
/// A word and its record's number.
const WORD: usize = 12;
/// The type, the kinds of ids, the date in the path, and three ids.
const ROW: usize = 8 + 3 * 32;
/// From so many records on, all rows are read at once.
const MANY: usize = 1_000;
/// The most bytes that a table may have.
const MAX_TABLE: u64 = 1 << 30;
/// The bits of a filter of words.
const FILTER: usize = 1 << 12;

/// The records that stand at `base`, and those beside them that only `side` has.
#[derive(Debug, Default)]
pub(super) struct Segment {
    /// The tip that the records before these ones stand at; `None`: there are none before.
    pub(super) after: Option<Oid>,
    pub(super) base: Option<Oid>,
    pub(super) side: Option<Oid>,
    /// How many of the records stand at `base`.
    of_base: usize,
    records: usize,
    words: Table,
    rows: Table,
    /// A line a file.
    strange: String,
    /// How many bytes of them stand at `base`.
    strange_of_base: usize,
}

/// Bytes that are here, or still in a file.
#[derive(Debug, Default)]
struct Table {
    here: Vec<u8>,
    there: Option<(Rc<Parts>, u64, usize)>,
}

impl Table {
    fn there(file: &Rc<Parts>, at: u64, length: usize) -> Table {
        Table { here: Vec::new(), there: Some((file.clone(), at, length)) }
    }

    fn whole(&self) -> Result<Cow<'_, [u8]>, FsError> {
        match &self.there {
            None => Ok(Cow::Borrowed(&self.here)),
            Some((file, at, length)) => file.read(*at, *length).map(Cow::Owned),
        }
    }

    /// The bytes, held here from now on.
    fn held(&mut self) -> Result<&mut Vec<u8>, FsError> {
        if let Some((file, at, length)) = &self.there {
            self.here = file.read(*at, *length)?;
            self.there = None;
        }
        Ok(&mut self.here)
    }
}

impl Segment {
    /// Nothing yet, to come after another one.
    pub(super) fn after(other: &Segment) -> Segment {
        let base = other.base.clone();
        Segment { after: base.clone(), base, ..Segment::default() }
    }

    /// Opens the file of this name; `None` if it is none of ours, or not whole.
    pub(super) fn open(store: &Store, name: &str) -> Result<Option<Segment>, FsError> {
        let Some(file) = store.cache_parts(name)? else { return Ok(None) };
        let head = file.read(0, MAX_HEADER.min(usize::try_from(file.size()).unwrap_or(0)))?;
        let Some(length) = head.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
        let header = std::str::from_utf8(&head[..length]).ok().and_then(parse_header);
        let Some((mut segment, words)) = header else { return Ok(None) };
        let rows = segment.records * ROW;
        let at = length as u64 + 1;
        let text = at + words as u64 + rows as u64;
        let Some(rest) = file.size().checked_sub(text).filter(|rest| *rest <= MAX_TABLE) else {
            return Ok(None);
        };
        let rest = file.read(text, usize::try_from(rest).unwrap_or(0))?;
        let Some(strange) = rest.strip_suffix(END).and_then(|it| std::str::from_utf8(it).ok())
        else {
            return Ok(None);
        };
        if !strange.is_char_boundary(segment.strange_of_base) {
            return Ok(None);
        }
        segment.strange = strange.to_owned();
        let file = Rc::new(file);
        segment.words = Table::there(&file, at, words);
        segment.rows = Table::there(&file, at + words as u64, rows);
        Ok(Some(segment))
    }

    /// The bytes of its file.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, FsError> {
        let tip = |tip: &Option<Oid>| tip.as_ref().map_or("-".to_owned(), Oid::to_string);
        let (words, rows) = (self.words.whole()?, self.rows.whole()?);
        let header = format!(
            "{HEADER} {} {} {} {} {} {} {}\n",
            tip(&self.after),
            tip(&self.base),
            tip(&self.side),
            self.of_base,
            self.records,
            words.len() / WORD,
            self.strange_of_base
        );
        Ok([header.as_bytes(), &words, &rows, self.strange.as_bytes(), END].concat())
    }

    /// How many records it has.
    pub(super) fn len(&self) -> usize {
        self.records
    }

    /// Adds a record that is about these words.
    pub(super) fn add(
        &mut self,
        pair: &Pair,
        record_type: RecordType,
        words: &[u64],
    ) -> Result<(), FsError> {
        let number = u32::try_from(self.records).unwrap_or(u32::MAX).to_le_bytes();
        let table = self.words.held()?;
        for word in words.iter().chain(always(record_type)) {
            table.extend_from_slice(&word.to_le_bytes());
            table.extend_from_slice(&number);
        }
        self.rows.held()?.extend_from_slice(&row(pair, record_type));
        self.records += 1;
        Ok(())
    }

    /// Adds a file that is no record.
    pub(super) fn add_strange(&mut self, why: &str) {
        self.strange.push_str(why);
        self.strange.push('\n');
    }

    /// Says that all that was added stands at this tip.
    pub(super) fn settle(&mut self, base: &Oid) {
        self.base = Some(base.clone());
        self.of_base = self.records;
        self.strange_of_base = self.strange.len();
    }

    /// Forgets what does not stand at `base`.
    pub(super) fn drop_side(&mut self) -> Result<(), FsError> {
        self.side = None;
        self.records = self.of_base;
        self.strange.truncate(self.strange_of_base);
        self.rows.held()?.truncate(self.of_base * ROW);
        let words = self.words.held()?;
        let number = |entry: &[u8]| u32::from_le_bytes(entry[8..].try_into().unwrap_or_default());
        let kept = words.chunks_exact(WORD).take_while(|it| (number(it) as usize) < self.of_base);
        let kept = kept.count() * WORD;
        words.truncate(kept);
        Ok(())
    }

    /// Takes over what the other has, which comes after this one.
    pub(super) fn take(&mut self, other: &Segment) -> Result<(), FsError> {
        let before = u32::try_from(self.records).unwrap_or(u32::MAX);
        let words = self.words.held()?;
        for entry in other.words.whole()?.chunks_exact(WORD) {
            let (word, number) = entry.split_at(8);
            let number = u32::from_le_bytes(number.try_into().unwrap_or_default());
            words.extend_from_slice(word);
            words.extend_from_slice(&number.saturating_add(before).to_le_bytes());
        }
        self.rows.held()?.extend_from_slice(&other.rows.whole()?);
        self.records += other.records;
        self.strange.push_str(&other.strange);
        Ok(())
    }

    /// What its files that are no records are, a line each.
    pub(super) fn strange(&self) -> &str {
        &self.strange
    }

    /// The lines of the records that are wanted, in order.
    pub(super) fn wanted(&self, wanted: &Wanted) -> Result<Vec<Line>, FsError> {
        let numbers = match wanted.words() {
            None => (0..self.records).collect(),
            Some(_) => self.numbers(wanted)?,
        };
        let take = |row: &[u8]| {
            let (record_type, line) = parse_row(row)?;
            wanted.takes(record_type).then_some(line)
        };
        match &self.rows.there {
            Some((file, at, _)) if numbers.len() < MANY => {
                let mut lines = Vec::with_capacity(numbers.len());
                for number in numbers {
                    lines.extend(take(&file.read(at + (number * ROW) as u64, ROW)?));
                }
                Ok(lines)
            }
            Some(_) | None => {
                let rows = self.rows.whole()?;
                let row = |number: usize| rows.get(number * ROW..(number + 1) * ROW);
                Ok(numbers.into_iter().filter_map(row).filter_map(take).collect())
            }
        }
    }

    /// The numbers of the records that have a wanted word.
    fn numbers(&self, wanted: &Wanted) -> Result<Vec<usize>, FsError> {
        let place = |word: u64| (word as usize) & (FILTER - 1);
        let mut filter = vec![false; FILTER];
        for word in wanted.words().into_iter().flatten().chain([&ALWAYS]) {
            filter[place(*word)] = true;
        }
        let words = self.words.whole()?;
        let mut numbers = Vec::new();
        for entry in words.chunks_exact(WORD) {
            let (word, number) = entry.split_at(8);
            let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
            if filter[place(word)] && wanted.asks(word) {
                let number = u32::from_le_bytes(number.try_into().unwrap_or_default()) as usize;
                if number < self.records && numbers.last() != Some(&number) {
                    numbers.push(number);
                }
            }
        }
        Ok(numbers)
    }
}

/// The first line without its end, and how many bytes the words take.
fn parse_header(line: &str) -> Option<(Segment, usize)> {
    let mut fields = line.strip_prefix(HEADER)?.strip_prefix(' ')?.split(' ');
    let mut tip = || fields.next().map(Oid::parse);
    let (after, base, side) = (tip()?, tip()?, tip()?);
    let mut number = || fields.next()?.parse::<u32>().ok().map(|it| it as usize);
    let (of_base, records, words, strange_of_base) = (number()?, number()?, number()?, number()?);
    if of_base > records || fields.next().is_some() {
        return None;
    }
    let segment =
        Segment { after, base, side, of_base, records, strange_of_base, ..Segment::default() };
    Some((segment, words.checked_mul(WORD)?))
}

/// A record's row. Its path follows from its date and its id.
fn row(pair: &Pair, record_type: RecordType) -> [u8; ROW] {
    let mut row = [0; ROW];
    let kind = RecordType::ALL.iter().position(|it| *it == record_type);
    row[0] = kind.and_then(|it| u8::try_from(it).ok()).unwrap_or(u8::MAX);
    let (year, month, day) = pair.date;
    row[2..4].copy_from_slice(&year.to_le_bytes());
    (row[4], row[5]) = (month, day);
    let ids = [Some(pair.id.as_str()), Some(pair.record.as_str())];
    let ids = ids.into_iter().chain([pair.signature.as_ref().map(Oid::as_str)]);
    for (place, id) in row[8..].chunks_exact_mut(32).zip(ids) {
        let Some(id) = id else { continue };
        for (byte, digits) in place.iter_mut().zip(id.as_bytes().chunks_exact(2)) {
            *byte = digit(digits[0]) << 4 | digit(digits[1]);
        }
    }
    row[1] = u8::from(pair.record.as_str().len() == 64) | u8::from(pair.signature.is_some()) << 1;
    row
}

/// The value of a lower-case hexadecimal digit.
fn digit(digit: u8) -> u8 {
    if digit.is_ascii_digit() { digit - b'0' } else { digit.wrapping_sub(b'a' - 10) & 15 }
}

fn parse_row(row: &[u8]) -> Option<(RecordType, Line)> {
    let record_type = *RecordType::ALL.get(usize::from(row[0]))?;
    let length = if row[1] & 1 == 1 { 32 } else { 20 };
    let hex = |bytes: &[u8]| -> String {
        let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value & 15)]);
        bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
    };
    let id = hex(&row[8..40]);
    let year = u16::from_le_bytes([row[2], row[3]]);
    let line = Line {
        path: path_of((year, row[4], row[5]), &id),
        id,
        blob: Oid::parse(&hex(&row[40..40 + length]))?,
        signature_blob: match row[1] & 2 {
            0 => None,
            _ => Some(Oid::parse(&hex(&row[72..72 + length]))?),
        },
    };
    Some((record_type, line))
}

#[cfg(test)]
mod tests {
    use super::super::wanted::Words;
    use super::*;
    use crate::gate::change::RepoPath;

    fn pair(number: usize, signed: bool, length: usize) -> Pair {
        let oid = |seed: usize| Oid::parse(&format!("{seed:0length$x}")).expect("an id");
        Pair {
            id: format!("{number:064x}"),
            date: (2026, 2, 28),
            record: oid(number + 1),
            size: None,
            signature: signed.then(|| oid(number + 0xabc)),
        }
    }

    fn hashes(wanted: &Wanted) -> Vec<u64> {
        wanted.words().into_iter().flatten().copied().collect()
    }

    /// What is found, by number, here and after it was written and opened.
    #[track_caller]
    fn check(segment: &Segment, wanted: &Wanted, expected: &[usize]) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::new(folder.path());
        store.write_cache("x", &segment.bytes().expect("bytes")).expect("written");
        let opened = Segment::open(&store, "x").expect("read").expect("whole");
        let tips = |it: &Segment| (it.after.clone(), it.base.clone(), it.side.clone());
        assert_eq!(tips(&opened), tips(segment));
        assert_eq!(opened.strange(), segment.strange());
        assert_eq!(opened.bytes().expect("bytes"), segment.bytes().expect("bytes"));
        for segment in [segment, &opened] {
            let lines = segment.wanted(wanted).expect("lines");
            let ids: Vec<String> = lines.iter().map(|it| it.id.clone()).collect();
            let names: Vec<String> = expected.iter().map(|it| format!("{it:064x}")).collect();
            assert_eq!(ids, names);
        }
    }

    #[test]
    fn what_is_wanted_is_found_again() {
        let about = |path: &str| Wanted::About(Words::default().path(&RepoPath::new(path)));
        let mut segment = Segment::default();
        let types = [RecordType::Approval, RecordType::Run, RecordType::Waiver];
        for number in 0..3_000 {
            let record_type = if number % 1_000 == 999 { types[2] } else { types[number % 2] };
            let words = [hashes(&about("a"))[0], hashes(&about("b"))[0]];
            let words = &words[..usize::from(number % 7 == 0) + usize::from(number % 70 == 0)];
            segment.add(&pair(number, number % 2 == 0, 40), record_type, words).expect("added");
        }
        segment.add_strange("record `ä`: broken");
        let base = Oid::parse(&"b".repeat(40)).expect("an id");
        segment.settle(&base);
        let every = |step: usize| (0..3_000).filter(move |it| it % step == 0);
        let expected = |step: usize| {
            let mut numbers: Vec<usize> = every(step).chain([999, 1_999, 2_999]).collect();
            numbers.sort_unstable();
            numbers.dedup();
            numbers
        };
        check(&segment, &about("a"), &expected(7));
        check(&segment, &about("b"), &expected(70));
        check(&segment, &about("c"), &[999, 1_999, 2_999]);
        check(&segment, &Wanted::All, &every(1).collect::<Vec<_>>());
        let words = Words::default().path(&RepoPath::new("a"));
        check(&segment, &Wanted::Attributions(words), &[]);
        // What only the side has comes and goes.
        let whole = segment.bytes().expect("bytes");
        segment.side = Some(Oid::parse(&"c".repeat(40)).expect("an id"));
        segment.add(&pair(3_000, true, 40), RecordType::Withdrawal, &[]).expect("added");
        segment.add_strange("another");
        check(&segment, &about("c"), &[999, 1_999, 2_999, 3_000]);
        segment.drop_side().expect("dropped");
        assert_eq!(segment.bytes().expect("bytes"), whole);
        // One after the other.
        let mut later = Segment::default();
        later.add(&pair(4_000, false, 40), RecordType::Run, &hashes(&about("b"))).expect("added");
        segment.take(&later).expect("taken");
        segment.settle(&base);
        let mut both = expected(70);
        both.push(4_000);
        check(&segment, &about("b"), &both);
    }

    #[test]
    fn a_row_says_what_a_record_s_name_and_blobs_are() {
        for (number, signed, length) in [(1, true, 40), (2, false, 40), (3, true, 64)] {
            let pair = pair(number, signed, length);
            let (record_type, line) = parse_row(&row(&pair, RecordType::Verdict)).expect("a row");
            assert_eq!(record_type, RecordType::Verdict);
            assert_eq!(line.path, format!("records/2026/02/28/{}.json", pair.id));
            assert_eq!((line.id, line.blob), (pair.id, pair.record));
            assert_eq!(line.signature_blob, pair.signature);
        }
    }

    #[test]
    fn what_is_cut_off_is_no_index() {
        let mut segment = Segment::default();
        segment.add(&pair(1, true, 40), RecordType::Run, &[7]).expect("added");
        segment.add_strange("x");
        let bytes = segment.bytes().expect("bytes");
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::new(folder.path());
        for length in 0..bytes.len() {
            store.write_cache("x", &bytes[..length]).expect("written");
            assert!(Segment::open(&store, "x").expect("read").is_none(), "{length}");
        }
        assert!(Segment::open(&store, "nothing").expect("read").is_none());
    }
}
