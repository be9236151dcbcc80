//! What changed in a file, line by line, with the words that differ and the
//! agents that wrote the added lines.

use serde::Serialize;
use similar::DiffTag;

use super::super::attribution::AttributedRange;
use super::super::change::unsafe_for_terminals;
use super::super::diff;
use super::super::signal::Strength;

/// The largest run of changed lines in which words are compared, in lines and
/// in bytes: comparing costs the product of both sides.
const WORDS_LINES: usize = 120;
const WORDS_BYTES: usize = 8 << 10;

/// How many columns a tabulator takes.
const TAB: usize = 4;

/// One run of changed lines with the lines around it, as a comparison of two
/// texts gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawHunk {
    /// The first line on each side, counted from 1; 0 where a side is empty.
    pub old_start: u64,
    pub new_start: u64,
    pub lines: Vec<RawLine>,
}

/// A line of a [`RawHunk`], without its line break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawLine {
    pub side: Side,
    pub bytes: Vec<u8>,
    /// The file ends with this line, and without a line break.
    pub unended: bool,
}

/// Where a line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// In both texts.
    Kept,
    Removed,
    Added,
}

/// A hunk as it is shown. All its text is safe to print.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hunk {
    pub old_start: u64,
    pub old_lines: u64,
    pub new_start: u64,
    pub new_lines: u64,
    pub lines: Vec<Line>,
}

/// A line as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    pub side: Side,
    /// Its number in the old text, and in the new one.
    pub old: Option<u64>,
    pub new: Option<u64>,
    pub pieces: Vec<Piece>,
    /// Who wrote it, where an agent did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unended: bool,
}

/// A part of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Piece {
    pub text: String,
    /// These words are what differs between the removed and the added line.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub differs: bool,
}

/// The agent that wrote a line, and how we know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mark {
    pub agent: String,
    pub strength: Strength,
}

impl Line {
    /// The whole text.
    pub fn text(&self) -> String {
        self.pieces.iter().map(|piece| piece.text.as_str()).collect()
    }
}

impl Hunk {
    /// `@@ -1,3 +1,4 @@`, as git writes it.
    pub fn header(&self) -> String {
        let side = |start: u64, lines: u64| match lines {
            1 => start.to_string(),
            _ => format!("{start},{lines}"),
        };
        let (old, new) =
            (side(self.old_start, self.old_lines), side(self.new_start, self.new_lines));
        format!("@@ -{old} +{new} @@")
    }
}

/// Shows hunks: numbers their lines, compares the words of neighbouring
/// removed and added lines, and marks what agents wrote.
pub fn shown(hunks: &[RawHunk], ranges: &[AttributedRange]) -> Vec<Hunk> {
    hunks.iter().map(|hunk| show(hunk, ranges)).collect()
}

fn show(hunk: &RawHunk, ranges: &[AttributedRange]) -> Hunk {
    let pieces = pieces(&hunk.lines);
    let (mut old, mut new) = (hunk.old_start, hunk.new_start);
    let mut lines = Vec::with_capacity(hunk.lines.len());
    for (line, pieces) in hunk.lines.iter().zip(pieces) {
        let in_old = line.side != Side::Added;
        let in_new = line.side != Side::Removed;
        let mark = (line.side == Side::Added).then(|| mark(new, ranges)).flatten();
        lines.push(Line {
            side: line.side,
            old: in_old.then_some(old),
            new: in_new.then_some(new),
            pieces,
            mark,
            unended: line.unended,
        });
        old += u64::from(in_old);
        new += u64::from(in_new);
    }
    Hunk {
        old_start: hunk.old_start,
        old_lines: old - hunk.old_start,
        new_start: hunk.new_start,
        new_lines: new - hunk.new_start,
        lines,
    }
}

fn mark(number: u64, ranges: &[AttributedRange]) -> Option<Mark> {
    let range = ranges.iter().find(|it| it.lines.start <= number && number <= it.lines.end)?;
    Some(Mark { agent: printable_line(&range.agent), strength: range.strength })
}

/// The pieces of every line. Words are compared between a run of removed lines
/// and the run of added lines that follows it.
fn pieces(lines: &[RawLine]) -> Vec<Vec<Piece>> {
    let mut all = Vec::with_capacity(lines.len());
    let mut rest = lines;
    while let Some(first) = rest.first() {
        if first.side == Side::Kept {
            all.push(plain(&first.bytes));
            rest = &rest[1..];
            continue;
        }
        let removed = rest.iter().take_while(|it| it.side == Side::Removed).count();
        let added = rest[removed..].iter().take_while(|it| it.side == Side::Added).count();
        let (run, after) = rest.split_at(removed + added);
        all.extend(compared(&run[..removed], &run[removed..]));
        rest = after;
    }
    all
}

fn compared(removed: &[RawLine], added: &[RawLine]) -> Vec<Vec<Piece>> {
    let plainly = || removed.iter().chain(added).map(|line| plain(&line.bytes)).collect();
    let bytes: usize = removed.iter().chain(added).map(|line| line.bytes.len()).sum();
    if removed.is_empty()
        || added.is_empty()
        || removed.len() + added.len() > WORDS_LINES
        || bytes > WORDS_BYTES
    {
        return plainly();
    }
    let text = |line: &RawLine| String::from_utf8_lossy(&line.bytes).into_owned();
    let (old, new): (Vec<String>, Vec<String>) =
        (removed.iter().map(text).collect(), added.iter().map(text).collect());
    let (old_words, new_words) = (words(&old), words(&new));
    let operations = diff::operations(&old_words, &new_words);
    let mut alike = (vec![false; old_words.len()], vec![false; new_words.len()]);
    for operation in operations.iter().filter(|it| it.tag() == DiffTag::Equal) {
        alike.0[operation.old_range()].fill(true);
        alike.1[operation.new_range()].fill(true);
    }
    // Where little is alike, what differs is everything.
    if letters(&old_words, &alike.0) * 3 < letters(&old_words, &[])
        && letters(&new_words, &alike.1) * 3 < letters(&new_words, &[])
    {
        return plainly();
    }
    let mut all = marked(&old_words, &alike.0);
    all.extend(marked(&new_words, &alike.1));
    all
}

/// The words of lines: runs of letters and digits, runs of blanks, and every
/// other character alone. A line break ends each line.
fn words(lines: &[String]) -> Vec<&str> {
    let kind = |it: char| match it {
        it if it.is_alphanumeric() || it == '_' => 1,
        it if it.is_whitespace() => 2,
        _ => 3,
    };
    let mut words = Vec::new();
    for line in lines {
        let mut rest = line.as_str();
        while let Some(first) = rest.chars().next() {
            let end = match kind(first) {
                3 => first.len_utf8(),
                of => rest.find(|it| kind(it) != of).unwrap_or(rest.len()),
            };
            let (word, after) = rest.split_at(end);
            words.push(word);
            rest = after;
        }
        words.push("\n");
    }
    words
}

/// How many bytes of words that say something are chosen; all where none are named.
fn letters(words: &[&str], chosen: &[bool]) -> usize {
    let says = |it: &str| it.chars().any(|it| it.is_alphanumeric());
    let is_chosen = |index: usize| chosen.get(index).copied().unwrap_or(chosen.is_empty());
    let words = words.iter().enumerate().filter(|(index, it)| is_chosen(*index) && says(it));
    words.map(|(_, it)| it.len()).sum()
}

/// The pieces of each line, given which words are in both texts.
fn marked(words: &[&str], alike: &[bool]) -> Vec<Vec<Piece>> {
    let mut lines = Vec::new();
    let (mut pieces, mut column): (Vec<Piece>, usize) = (Vec::new(), 0);
    for (word, alike) in words.iter().zip(alike) {
        if *word == "\n" {
            lines.push(std::mem::take(&mut pieces));
            column = 0;
            continue;
        }
        let text = safe(word, &mut column);
        match pieces.last_mut() {
            Some(last) if last.differs != *alike => last.text.push_str(&text),
            Some(_) | None => pieces.push(Piece { text, differs: !alike }),
        }
    }
    lines
}

fn plain(bytes: &[u8]) -> Vec<Piece> {
    vec![Piece { text: safe(&String::from_utf8_lossy(bytes), &mut 0), differs: false }]
}

fn printable_line(text: &str) -> String {
    safe(text, &mut 0)
}

/// Text that a terminal only shows: tabulators become blanks, and what would
/// move its cursor or hide text is written out. A carriage return at the end
/// of a line is shown too, since it may be all that changed.
fn safe(text: &str, column: &mut usize) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        let shown = match character {
            '\t' => " ".repeat(TAB - *column % TAB),
            '\r' => "\\r".to_owned(),
            '\0' => "\\0".to_owned(),
            it if unsafe_for_terminals(it) => it.escape_unicode().to_string(),
            it => {
                *column += 1;
                safe.push(it);
                continue;
            }
        };
        *column += shown.len();
        safe.push_str(&shown);
    }
    safe
}

#[cfg(test)]
mod tests {
    use snapbox::IntoData;

    use super::super::super::change::LineRange;
    use super::*;

    /// Hunks in a notation of their own: `[…]` are the words that differ,
    /// `«…»` who wrote the line.
    fn written(hunks: &[Hunk]) -> String {
        let mut text = String::new();
        for hunk in hunks {
            text.push_str(&format!("{}\n", hunk.header()));
            for line in &hunk.lines {
                let number = |it: Option<u64>| it.map_or("-".to_owned(), |it| it.to_string());
                let sign = match line.side {
                    Side::Kept => ' ',
                    Side::Removed => '-',
                    Side::Added => '+',
                };
                let pieces: String = line
                    .pieces
                    .iter()
                    .map(|it| if it.differs { format!("[{}]", it.text) } else { it.text.clone() })
                    .collect();
                let mark =
                    line.mark.as_ref().map(|it| format!("  «{} {:?}»", it.agent, it.strength));
                text.push_str(&format!(
                    "{:>3} {:>3} {sign}{pieces}{}{}\n",
                    number(line.old),
                    number(line.new),
                    mark.unwrap_or_default(),
                    if line.unended { " ⏎?" } else { "" }
                ));
            }
        }
        text
    }

    fn hunk(start: u64, lines: &[&str]) -> RawHunk {
        let line = |text: &&str| RawLine {
            side: match text.as_bytes()[0] {
                b'+' => Side::Added,
                b'-' => Side::Removed,
                _ => Side::Kept,
            },
            bytes: text.as_bytes()[1..].to_vec(),
            unended: false,
        };
        RawHunk { old_start: start, new_start: start, lines: lines.iter().map(line).collect() }
    }

    #[track_caller]
    fn check(lines: &[&str], assisted: &[(u64, u64)], expected: snapbox::data::Inline) {
        let range = |(start, end): &(u64, u64)| AttributedRange {
            lines: LineRange { start: *start, end: *end },
            agent: "claude-code".to_owned(),
            strength: Strength::Declared,
        };
        let ranges: Vec<AttributedRange> = assisted.iter().map(range).collect();
        snapbox::assert_data_eq!(written(&shown(&[hunk(4, lines)], &ranges)), expected.raw());
    }

    #[test]
    fn lines_are_numbered_marked_and_compared_by_words() {
        check(
            &[
                " fn total() {",
                "-    sum(prices)",
                "+    round(sum(prices))",
                "+    // cents",
                " }",
            ],
            &[(5, 5)],
            snapbox::str![[r#"
@@ -4,3 +4,4 @@
  4   4  fn total() {
  5   - -    sum(prices)
  -   5 +    [round(]sum(prices)[)]  «claude-code Declared»
  -   6 +[    // cents]
  6   7  }

"#]],
        );
    }

    #[test]
    fn unlike_lines_are_not_compared() {
        check(
            &["-alpha beta", "+something else entirely"],
            &[],
            snapbox::str![[r#"
@@ -4 +4 @@
  4   - -alpha beta
  -   4 +something else entirely

"#]],
        );
    }

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        check(
            &["-a\tb\r", "+a\tb", "+\u{1b}[31mred\u{202e}evil\0"],
            &[],
            snapbox::str![[r#"
@@ -4 +4,2 @@
  4   - -a   b[\r]
  -   4 +a   b
  -   5 +[\u{1b}[31mred\u{202e}evil\0]

"#]],
        );
    }

    #[test]
    fn a_long_run_is_shown_without_words() {
        let mut lines: Vec<String> = (0..80).map(|it| format!("-same {it}")).collect();
        lines.extend((0..80).map(|it| format!("+same {it}!")));
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let hunks = shown(&[hunk(1, &lines)], &[]);
        assert!(hunks[0].lines.iter().all(|line| line.pieces.iter().all(|it| !it.differs)));
        assert_eq!(hunks[0].header(), "@@ -1,80 +1,80 @@");
    }
}
