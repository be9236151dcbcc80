//! What is kept of an edit that a hook told of: marks and hashes of its lines,
//! no text; and how the lines become an edit again beside a file's content.
//!
//! A line's key is sixteen digits of SHA-256 of what is left of it without
//! blanks and without commas and semicolons at its end, and four digits of a
//! checksum of all of it: the first find a line again that was formatted, the
//! last tell whether it was.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use similar::ChangeTag;

use super::super::diff;
use super::super::record::canonical::sha256;
use super::super::time::Timestamp;
use super::super::trace::TracedEdit;

/// The most lines, old and new, that are compared in order.
const COMPARED: usize = 4000;

/// The most lines of one file that are looked at.
pub const LINES: usize = 50_000;

/// Equal lines that are kept before and behind changed ones.
const CONTEXT: usize = 3;

/// A line: see above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    loose: u64,
    exact: u16,
}

/// How a line stands to an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The agent put it there.
    Added,
    /// The agent took it away.
    Removed,
    /// It stood there before.
    Kept,
}

/// Lines of an edit, in order.
pub type Lines = Vec<(Mark, Key)>;

/// One edit that a hook told of. The shape of a line of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// See [`path_key`]: of the path in small letters. It comes first, so that
    /// a reader can pass over other files' lines.
    #[serde(rename = "p")]
    pub folded: String,
    /// The same of the path as it is.
    #[serde(rename = "e")]
    pub path: String,
    /// Seconds since the Unix epoch.
    #[serde(rename = "t")]
    pub time: i64,
    #[serde(rename = "a")]
    pub agent: String,
    #[serde(rename = "s")]
    pub session: String,
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The agent's id of the call; `None` where it gives none.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// See [`written`].
    #[serde(rename = "l")]
    pub lines: String,
}

impl Told {
    /// Whether nothing was left or taken away: the file may have begun so.
    pub fn begins(&self) -> bool {
        self.lines.as_bytes().chunks(21).all(|it| it.first() == Some(&b'+'))
    }
}

/// A path without its text: sixteen digits of SHA-256.
pub fn path_key(path: &[u8]) -> String {
    sha256(path).chars().take(16).collect()
}

/// The same of the path in small letters: for file systems that do not tell
/// cases apart.
pub fn folded_path_key(path: &[u8]) -> String {
    path_key(String::from_utf8_lossy(path).to_lowercase().as_bytes())
}

impl Key {
    /// The key of a line, without its line break.
    pub fn of(line: &str) -> Key {
        let line = line.trim_end();
        let plain: String =
            line.trim_end_matches([',', ';']).chars().filter(|it| !it.is_whitespace()).collect();
        let digest = sha256(plain.as_bytes());
        let loose = digest.get(..16).and_then(|it| u64::from_str_radix(it, 16).ok());
        Key { loose: loose.unwrap_or_default(), exact: checksum(line.as_bytes()) }
    }

    /// What is left of it when the line was formatted.
    pub fn loose(self) -> u64 {
        self.loose
    }

    fn digits(self) -> String {
        format!("{:016x}{:04x}", self.loose, self.exact)
    }

    fn parse(text: &str) -> Option<Key> {
        let (loose, exact) = text.split_at_checked(16)?;
        let exact = u16::from_str_radix(exact, 16).ok()?;
        Some(Key { loose: u64::from_str_radix(loose, 16).ok()?, exact })
    }
}

/// FNV-1a, folded to sixteen bits.
fn checksum(bytes: &[u8]) -> u16 {
    let sum = bytes
        .iter()
        .fold(0x811c_9dc5_u32, |sum, &byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (sum >> 16) as u16 ^ (sum & 0xffff) as u16
}

/// The keys of a file's lines; `None` if it is no text, or too long.
pub fn keys(content: &[u8]) -> Option<Vec<Key>> {
    if content.iter().take(8000).any(|&byte| byte == 0) {
        return None;
    }
    let text = String::from_utf8_lossy(content);
    let keys: Vec<Key> = text.lines().take(LINES + 1).map(Key::of).collect();
    (keys.len() <= LINES).then_some(keys)
}

/// Keys as text, twenty digits each.
pub fn keys_written(keys: &[Key]) -> String {
    keys.iter().map(|key| key.digits()).collect()
}

/// Reads what [`keys_written`] writes.
pub fn keys_read(text: &str) -> Option<Vec<Key>> {
    let mut keys = Vec::with_capacity(text.len() / 20);
    let mut rest = text;
    while !rest.is_empty() {
        let (key, behind) = rest.split_at_checked(20)?;
        keys.push(Key::parse(key)?);
        rest = behind;
    }
    Some(keys)
}

/// Lines as text: a mark (`+`, `-` or a blank) and the key's digits, each.
pub fn written(lines: &[(Mark, Key)]) -> String {
    let one = |(mark, key): &(Mark, Key)| {
        let mark = match mark {
            Mark::Added => '+',
            Mark::Removed => '-',
            Mark::Kept => ' ',
        };
        format!("{mark}{}", key.digits())
    };
    lines.iter().map(one).collect()
}

/// Reads what [`written`] writes.
pub fn read(text: &str) -> Option<Lines> {
    let mut lines = Vec::with_capacity(text.len() / 21);
    let mut rest = text;
    while !rest.is_empty() {
        let (line, behind) = rest.split_at_checked(21)?;
        let mark = match line.as_bytes().first()? {
            b'+' => Mark::Added,
            b'-' => Mark::Removed,
            b' ' => Mark::Kept,
            _ => return None,
        };
        lines.push((mark, Key::parse(line.get(1..)?)?));
        rest = behind;
    }
    Some(lines)
}

/// What made the old lines into the new ones; `None` for a file that was
/// written whole. Only changed lines are kept, and some around them.
pub fn changes(old: Option<&[Key]>, new: &[Key]) -> Lines {
    let Some(old) = old else { return new.iter().map(|key| (Mark::Added, *key)).collect() };
    let same = old.iter().zip(new).take_while(|(one, other)| one == other).count();
    let (old, new) = (&old[same.saturating_sub(CONTEXT)..], &new[same.saturating_sub(CONTEXT)..]);
    let rest = old.len().min(new.len()) - same.min(CONTEXT);
    let ends = old.iter().rev().zip(new.iter().rev()).take(rest);
    let ends = ends.take_while(|(one, other)| one == other).count().saturating_sub(CONTEXT);
    let (old, new) = (&old[..old.len() - ends], &new[..new.len() - ends]);
    let lines =
        if old.len() + new.len() <= COMPARED { compared(old, new) } else { counted(old, new) };
    nearby(lines)
}

fn compared(old: &[Key], new: &[Key]) -> Lines {
    let operations = diff::operations(old, new);
    let all = operations.iter().flat_map(|it| it.iter_changes(old, new));
    all.map(|change| {
        let mark = match change.tag() {
            ChangeTag::Insert => Mark::Added,
            ChangeTag::Delete => Mark::Removed,
            ChangeTag::Equal => Mark::Kept,
        };
        (mark, change.value())
    })
    .collect()
}

/// Very many lines, by how often each is there.
fn counted(old: &[Key], new: &[Key]) -> Lines {
    let mut left: HashMap<Key, usize> = HashMap::new();
    for key in old {
        *left.entry(*key).or_default() += 1;
    }
    let mut lines = Vec::with_capacity(new.len());
    for key in new {
        let mark = match left.get_mut(key) {
            Some(count) if *count > 0 => {
                *count -= 1;
                Mark::Kept
            }
            Some(_) | None => Mark::Added,
        };
        lines.push((mark, *key));
    }
    for key in old {
        if let Some(count) = left.get_mut(key).filter(|count| **count > 0) {
            *count -= 1;
            lines.push((Mark::Removed, *key));
        }
    }
    lines
}

/// The changed lines and those around them.
fn nearby(lines: Lines) -> Lines {
    let mut near = vec![false; lines.len()];
    for (at, _) in lines.iter().enumerate().filter(|(_, (mark, _))| *mark != Mark::Kept) {
        let end = (at + CONTEXT + 1).min(lines.len());
        near[at.saturating_sub(CONTEXT)..end].fill(true);
    }
    lines.into_iter().zip(near).filter_map(|(line, near)| near.then_some(line)).collect()
}

/// Takes back what a command merely moved or formatted: lines that it removed
/// here, or from another file, and put here in another form.
pub fn forget_moved(lines: &mut Lines, elsewhere: &mut HashMap<u64, usize>) {
    for (_, key) in lines.iter().filter(|(mark, _)| *mark == Mark::Removed) {
        *elsewhere.entry(key.loose).or_default() += 1;
    }
    for (mark, key) in lines.iter_mut().filter(|(mark, _)| *mark == Mark::Added) {
        if let Some(count) = elsewhere.get_mut(&key.loose).filter(|count| **count > 0) {
            *count -= 1;
            *mark = Mark::Kept;
        }
    }
}

/// How often each line is there, without its form: for [`forget_moved`].
pub fn counts(keys: &[Key]) -> HashMap<u64, usize> {
    let mut counts = HashMap::new();
    for key in keys {
        *counts.entry(key.loose).or_default() += 1;
    }
    counts
}

/// Leaves the marks of those added lines that the text has: a replacement
/// wherever it stood, beside what others did to the file.
pub fn keep_only(lines: &mut Lines, text: &str) {
    let own = counts(&text.lines().map(Key::of).collect::<Vec<_>>());
    for (mark, key) in lines.iter_mut() {
        if *mark == Mark::Added && !own.contains_key(&key.loose) {
            *mark = Mark::Kept;
        }
    }
}

/// Whether any line is the agent's.
pub fn adds(lines: &[(Mark, Key)]) -> bool {
    lines.iter().any(|(mark, _)| *mark == Mark::Added)
}

/// How many lines are the agent's.
pub fn added(told: &Told) -> usize {
    let lines = read(&told.lines).unwrap_or_default();
    lines.iter().filter(|(mark, _)| *mark == Mark::Added).count()
}

/// The told edits of one file as edits that can be matched to its content: the
/// lines that the content has get their text back, the others some that
/// nothing has. What the agents' own records tell as well is told once:
/// `recorded` are the edits of the same file that were read there.
pub fn restored(content: &[u8], told: &[&Told], recorded: &[&TracedEdit]) -> Vec<TracedEdit> {
    let text = String::from_utf8_lossy(content);
    let mut exact: HashMap<Key, &str> = HashMap::new();
    let mut loose: HashMap<u64, &str> = HashMap::new();
    for line in text.lines() {
        let key = Key::of(line);
        exact.entry(key).or_insert(line);
        loose.entry(key.loose).or_insert(line);
    }
    let line_of = |key: &Key| match (exact.get(key), loose.get(&key.loose)) {
        (Some(line), _) => (*line).to_owned(),
        // Not quite this line, but one that a formatter made of it.
        (None, Some(line)) => format!(" {line}"),
        (None, None) => format!("\u{1}{}", key.digits()),
    };
    let mut known: BTreeMap<&str, HashMap<u64, usize>> = BTreeMap::new();
    for edit in recorded {
        let counts = known.entry(&edit.agent).or_default();
        let lines = |text: &str| text.lines().map(Key::of).collect::<Vec<_>>();
        let old = edit.old.as_deref().map(lines);
        for (mark, key) in changes(old.as_deref(), &lines(&edit.new)) {
            if mark == Mark::Added {
                *counts.entry(key.loose).or_default() += 1;
            }
        }
    }
    let mut edits = Vec::new();
    for one in told {
        let Some(mut lines) = read(&one.lines) else { continue };
        if let Some(known) = known.get_mut(one.agent.as_str()) {
            for (mark, key) in lines.iter_mut().filter(|(mark, _)| *mark == Mark::Added) {
                if let Some(count) = known.get_mut(&key.loose).filter(|count| **count > 0) {
                    *count -= 1;
                    *mark = Mark::Kept;
                }
            }
        }
        if !adds(&lines) {
            continue;
        }
        let side = |gone: Mark| {
            let side = lines.iter().filter(|(mark, _)| *mark != gone);
            side.map(|(_, key)| line_of(key) + "\n").collect::<String>()
        };
        edits.push(TracedEdit {
            agent: one.agent.clone(),
            session: one.session.clone(),
            model: one.model.clone(),
            time: Some(Timestamp(one.time)),
            cwd: None,
            path: String::new(),
            old: Some(side(Mark::Added)),
            new: side(Mark::Removed),
            everywhere: false,
            from: None,
        });
    }
    edits
}

/// Leaves out what was told twice: the same call, or the same lines of the same
/// session within seconds where one of both has no id.
pub fn once(told: Vec<Told>) -> Vec<Told> {
    const TWICE: i64 = 5;
    let mut kept: Vec<Told> = Vec::new();
    let mut by_lines: HashMap<(String, String, String), Vec<usize>> = HashMap::new();
    for one in told {
        let key = (one.session.clone(), one.path.clone(), one.lines.clone());
        let places = by_lines.entry(key).or_default();
        let is_same = |at: &usize| {
            let other = &kept[*at];
            match (&one.call, &other.call) {
                (Some(one), Some(other)) => one == other,
                (Some(_) | None, Some(_) | None) => (one.time - other.time).abs() <= TWICE,
            }
        };
        if !places.iter().any(is_same) {
            places.push(kept.len());
            kept.push(one);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::gate::change::LineRange;
    use crate::gate::matching::match_lines;

    fn keys_of(text: &str) -> Vec<Key> {
        keys(text.as_bytes()).unwrap()
    }

    fn told(old: Option<&str>, new: &str) -> Told {
        let lines = changes(old.map(keys_of).as_deref(), &keys_of(new));
        Told {
            folded: folded_path_key(b"a"),
            path: path_key(b"a"),
            time: 1_800_000_000,
            agent: "codex".to_owned(),
            session: "s1".to_owned(),
            model: None,
            call: Some("t1".to_owned()),
            lines: written(&lines),
        }
    }

    fn traced(old: Option<&str>, new: &str) -> TracedEdit {
        let told = told(old, new);
        TracedEdit {
            agent: told.agent,
            session: told.session,
            model: None,
            time: None,
            cwd: None,
            path: "a".to_owned(),
            old: old.map(str::to_owned),
            new: new.to_owned(),
            everywhere: false,
            from: None,
        }
    }

    /// `expected`: `x` for each line of the file that is matched, `X` where it
    /// was reformatted.
    #[track_caller]
    fn check(file: &str, told: &[Told], recorded: &[TracedEdit], expected: &str) {
        let told: Vec<&Told> = told.iter().collect();
        let recorded: Vec<&TracedEdit> = recorded.iter().collect();
        let restored = restored(file.as_bytes(), &told, &recorded);
        let edits: Vec<&TracedEdit> = recorded.into_iter().chain(&restored).collect();
        let count = file.lines().count();
        let added = [LineRange { start: 1, end: count as u64 }];
        let mut marks = vec!['.'; count];
        for range in match_lines(file.as_bytes(), &added, &edits, true) {
            for number in range.lines.start..=range.lines.end {
                marks[number as usize - 1] = if range.reformatted { 'X' } else { 'x' };
            }
        }
        assert_eq!(marks.into_iter().collect::<String>(), expected, "{file}");
    }

    #[test]
    fn a_told_edit_marks_the_lines_that_it_adds() {
        let one = told(Some("first();\n"), "first();\nsecond();\n}\n");
        check("first();\nsecond();\n}\nthird();\n", std::slice::from_ref(&one), &[], ".xx.");
        check("first();\r\n\tsecond()\r\n", std::slice::from_ref(&one), &[], ".X");
        check("first();\nother();\n", &[one], &[], "..");
        check("whole();\nfile();\n", &[told(None, "whole();\nfile();\n")], &[], "xx");
    }

    #[test]
    fn what_a_record_tells_as_well_counts_once() {
        let (old, new) = (Some(""), "print(total);\n");
        let file = "print(total);\nhuman();\nprint(total);\n";
        check(file, &[told(old, new)], &[], "x..");
        check(file, &[told(old, new)], &[traced(old, new)], "x..");
        let more = told(old, "print(total);\nshell();\n");
        check("print(total);\nshell();\n", &[more], &[traced(old, new)], "xx");
    }

    #[test]
    fn the_same_call_counts_once() {
        let one = told(None, "a\n");
        let unnamed = Told { call: None, ..one.clone() };
        let later = Told { call: None, time: one.time + 60, ..one.clone() };
        let other = Told { call: Some("t2".to_owned()), ..one.clone() };
        let all = vec![one.clone(), one.clone(), unnamed, later.clone(), other.clone()];
        assert_eq!(once(all), [one, later, other]);
    }

    #[test]
    fn what_was_only_moved_or_formatted_is_not_written() {
        let change = |old: &str, new: &str, elsewhere: &str| {
            let mut lines = changes(Some(&keys_of(old)), &keys_of(new));
            forget_moved(&mut lines, &mut counts(&keys_of(elsewhere)));
            lines.iter().filter(|(mark, _)| *mark == Mark::Added).count()
        };
        assert_eq!(change("a( b )\nc\n", "a(b);\nc\nd\n", ""), 1);
        assert_eq!(change("", "x\ny\n", "y\n"), 1);
        assert_eq!(change("x\n", "x\n", ""), 0);
    }

    #[test]
    fn only_changed_lines_and_their_neighbours_are_kept() {
        let old: String = (0..9000).map(|it| format!("line {it}\n")).collect();
        let new = old.replace("line 4500\n", "line 4500\nnew\n");
        let lines = changes(Some(&keys_of(&old)), &keys_of(&new));
        let marks: Vec<Mark> = lines.iter().map(|(mark, _)| *mark).collect();
        assert_eq!(marks.len(), 2 * CONTEXT + 1);
        assert_eq!(marks.iter().filter(|it| **it == Mark::Added).count(), 1);
        let shuffled: String = (0..9000).rev().map(|it| format!("line {it}\n")).collect();
        assert!(!adds(&changes(Some(&keys_of(&old)), &keys_of(&shuffled))));
    }

    #[test]
    fn what_is_no_text_has_no_lines() {
        assert_eq!(keys(b"a\0b"), None);
        assert_eq!(keys("a\n".repeat(LINES + 1).as_bytes()), None);
        assert_eq!(read("+12"), None);
        assert_eq!(read(&"é".repeat(21)), None);
        assert_eq!(keys_read("é2345678901234567890"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(old in "[ab\n]{0,40}", new in "[ab\n]{0,40}") {
            let lines = changes(Some(&keys_of(&old)), &keys_of(&new));
            prop_assert_eq!(read(&written(&lines)), Some(lines.clone()));
            let keys = keys_of(&new);
            prop_assert_eq!(keys_read(&keys_written(&keys)), Some(keys));
            // As many lines as the new text has more than the old are added.
            let added = lines.iter().filter(|(mark, _)| *mark == Mark::Added).count();
            let removed = lines.iter().filter(|(mark, _)| *mark == Mark::Removed).count();
            prop_assert_eq!(
                old.lines().count() + added, new.lines().count() + removed
            );
        }

        #[test]
        fn hostile_text_is_refused_or_read(text in "\\PC{0,60}") {
            read(&text);
            keys_read(&text);
        }
    }
}
