//! What a run keeps of its coverage reports: for each file of the tree, by its
//! content, the lines that were executed and those that were not. It is enough
//! to judge any change that ends at the same tree, offline and elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use super::lines::Lines;
use crate::gate::change::{Entry, LineRange, Oid, RepoPath, printable};

/// How many bytes of text the lines of one run may take in its record, beyond
/// which only the change's own files are kept.
const MAX_TEXT: usize = 256 << 10;
/// The most that even these may take.
const MAX_OWN_TEXT: usize = 2 << 20;
/// How many files a record names.
const MAX_FILES: usize = 10_000;
/// How many names that could not be placed are kept, and how long each may be.
const MAX_UNCLEAR: usize = 20;
const MAX_NAME: usize = 300;
/// How many kinds of files are kept.
const MAX_KINDS: usize = 64;

/// What the tests of a run executed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    pub files: BTreeMap<RepoPath, MeasuredFile>,
    /// Kinds of files that the reports measured at all (see [`kind_of`]).
    pub kinds: BTreeSet<String>,
    /// The words of the reports' formats.
    pub formats: BTreeSet<String>,
    /// Number of measured files that are left out here.
    pub omitted: u64,
    /// Names of the reports that could be a file of the tree, and why it is not clear which.
    pub unclear: Vec<Unclear>,
}

/// The lines of one file that have data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeasuredFile {
    /// The content that was tested.
    pub blob: Oid,
    /// Ascending, no overlap.
    pub covered: Vec<LineRange>,
    pub missed: Vec<LineRange>,
}

/// A name that could not be placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unclear {
    /// Printable.
    pub name: String,
    pub why: String,
}

impl Measured {
    /// Keeps what a record holds: all files if they are few enough, else those
    /// of the change first.
    pub fn keep(
        lines: &BTreeMap<RepoPath, Lines>,
        tree: &BTreeMap<RepoPath, Entry>,
        change: &BTreeSet<&RepoPath>,
    ) -> Measured {
        let mut measured = Measured::default();
        let mut room = MAX_TEXT;
        let mut own_room = MAX_OWN_TEXT;
        let (own, others): (Vec<_>, Vec<_>) =
            lines.iter().partition(|(path, _)| change.contains(path));
        for (is_own, (path, lines)) in
            own.into_iter().map(|it| (true, it)).chain(others.into_iter().map(|it| (false, it)))
        {
            if measured.kinds.len() < MAX_KINDS {
                measured.kinds.insert(kind_of(path));
            }
            let Some(entry) = tree.get(path) else { continue };
            // Most of a large report do not fit, which needs no text to be told.
            let ranges = (2 * lines.least_ranges()).saturating_sub(2);
            let least = path.as_bytes().len() + 80 + ranges;
            if least > if is_own { own_room } else { room } {
                measured.omitted += 1;
                continue;
            }
            let file = MeasuredFile {
                blob: entry.oid.clone(),
                covered: lines.covered(),
                missed: lines.missed(),
            };
            let length = path.as_bytes().len()
                + 80
                + write_ranges(&file.covered).len()
                + write_ranges(&file.missed).len();
            let fits = if is_own { length <= own_room } else { length <= room };
            if !fits || measured.files.len() >= MAX_FILES {
                measured.omitted += 1;
                continue;
            }
            room = room.saturating_sub(length);
            own_room = own_room.saturating_sub(length);
            measured.files.insert(path.clone(), file);
        }
        measured
    }

    /// Notes names that could not be placed.
    pub fn add_unclear(&mut self, names: impl IntoIterator<Item = (Vec<u8>, String)>) {
        for (name, why) in names {
            if self.unclear.len() == MAX_UNCLEAR {
                return;
            }
            let name = printable(&String::from_utf8_lossy(&name));
            let name = name.chars().take(MAX_NAME).collect();
            self.unclear.push(Unclear { name, why: why.chars().take(MAX_NAME).collect() });
        }
    }

    /// Whether it says all that the reports said of these files.
    pub fn answers_for<'a>(&self, mut paths: impl Iterator<Item = &'a RepoPath>) -> bool {
        self.omitted == 0 || paths.all(|path| self.files.contains_key(path))
    }
}

/// The kind of a file: its last extension in lower case, or its name where it has none.
pub fn kind_of(path: &RepoPath) -> String {
    let path = path.to_text();
    let name = path.trim_end_matches('"').rsplit('/').next().unwrap_or_default();
    let kind = match name.rsplit_once('.') {
        Some((front, extension)) if !front.is_empty() => extension,
        Some(_) | None => name,
    };
    kind.chars().take(40).collect::<String>().to_lowercase()
}

/// Ranges as records write them: `1-5,7`.
pub fn write_ranges(ranges: &[LineRange]) -> String {
    let mut text = String::new();
    for range in ranges {
        if !text.is_empty() {
            text.push(',');
        }
        write_number(range.start, &mut text);
        if range.start != range.end {
            text.push('-');
            write_number(range.end, &mut text);
        }
    }
    text
}

/// Records of large reports hold hundred thousands of numbers, for which
/// `format!` takes most of the time.
fn write_number(mut number: u64, text: &mut String) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    text.extend(digits[at..].iter().map(|digit| char::from(*digit)));
}

/// Reads what [`write_ranges`] wrote: ascending, with room between any two.
pub fn read_ranges(text: &str) -> Option<Vec<LineRange>> {
    let mut ranges: Vec<LineRange> = Vec::new();
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let (start, end) = part.split_once('-').unwrap_or((part, part));
        let (start, end) = (super::number(start.as_bytes())?, super::number(end.as_bytes())?);
        let after = ranges.last().is_none_or(|last| last.end < start && last.end + 1 < start);
        if !after || start == 0 || end < start || end >= u64::MAX / 2 {
            return None;
        }
        ranges.push(LineRange { start, end });
    }
    Some(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, valid: bool) {
        let ranges = read_ranges(text);
        assert_eq!(ranges.is_some(), valid, "{text}");
        if let Some(ranges) = ranges {
            assert_eq!(write_ranges(&ranges), text);
        }
    }

    #[test]
    fn ranges_have_one_spelling() {
        for text in ["", "1", "1-2", "1,3-9,11", "7-8,10"] {
            check(text, true);
        }
        for text in
            ["0", "2-1", "1,2", "3,1", "1-2,2", "1-", "-", ",", "1,,3", "99999999999999999999"]
        {
            check(text, false);
        }
    }

    #[test]
    fn numbers_are_written_whole() {
        for number in [0, 1, 9, 10, 99, 100, 12_345, u64::MAX] {
            let mut text = String::new();
            write_number(number, &mut text);
            assert_eq!(text, number.to_string());
        }
    }

    #[test]
    fn kinds_are_extensions() {
        for (path, kind) in [
            ("src/a.rs", "rs"),
            ("a.test.TSX", "tsx"),
            ("Makefile", "makefile"),
            (".gitignore", ".gitignore"),
            ("a\u{ff}.py", "py"),
        ] {
            assert_eq!(kind_of(&RepoPath::new(path)), kind);
        }
    }

    #[test]
    fn the_change_s_own_files_are_kept_first() {
        let oid = Oid::parse(&"1".repeat(40)).unwrap();
        let mut lines = BTreeMap::new();
        let mut tree = BTreeMap::new();
        for number in 0..200 {
            let path = RepoPath::new(format!("src/{number:03}.rs"));
            let mut of = Lines::default();
            (1..2_000).for_each(|line| assert!(of.mark(line * 2, line * 2, line % 2 == 0)));
            lines.insert(path.clone(), of);
            tree.insert(path, Entry { mode: 0o100_644, oid: oid.clone() });
        }
        let own = RepoPath::new("src/199.rs");
        let measured = Measured::keep(&lines, &tree, &BTreeSet::from([&own]));
        assert!(measured.files.contains_key(&own));
        assert!(measured.omitted > 0 && measured.files.len() + measured.omitted as usize == 200);
        assert!(measured.answers_for([&own].into_iter()));
        assert!(!measured.answers_for(tree.keys()));
    }
}
