//! Trailers, as `git interpret-trailers --no-divider` reads and places them,
//! and the trailer-shaped lines that git misses.
//!
//! The rules are those of git's `trailer.c` (2.47), with its default
//! configuration: `:` separates, `#` begins a comment, and the block is the
//! last paragraph after the subject's if it holds nothing but trailers, or a
//! trailer that git itself writes and at least a quarter of trailers.
//!
//! Git's block alone loses one agent's mark in twenty: a second paragraph of
//! trailers, a footer directly above, a `wip` below. And a parser that stops at
//! a `---` line loses whole messages, hence never `--divider` here.

use std::ops::Range;

/// A `Key: value` line of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// As it stands there.
    pub key: String,
    /// Without space around it; a folded value in one line.
    pub value: String,
    /// Whether git sees it.
    pub in_block: bool,
}

/// Returns the trailers that `git interpret-trailers --parse --no-divider`
/// prints for a message, in order.
pub fn block(message: &str) -> Vec<Trailer> {
    let range = block_range(message);
    entries(&message[range]).into_iter().filter_map(Entry::into_trailer).collect()
}

/// Returns where git's trailer block stands, in bytes; empty, at the place
/// where git would put one, if there is none.
pub fn block_range(message: &str) -> Range<usize> {
    let end = end_of_text(message);
    block_start(message, end)..end
}

/// Appends a trailer where `git interpret-trailers --no-divider
/// --if-exists addIfDifferent --trailer` puts it: at the end of the block, or
/// in a new paragraph, above trailing comments and the scissors line. A message
/// that has the trailer already is returned as it is.
pub fn append(message: &str, key: &str, value: &str) -> String {
    let mut message = message.to_owned();
    if !message.is_empty() && !message.ends_with('\n') {
        message.push('\n');
    }
    let range = block_range(&message);
    let entries = entries(&message[range.clone()]);
    if entries.iter().any(|entry| entry.is(key, value)) {
        return message;
    }
    let (before, after) = (&message[..range.start], &message[range.end..]);
    let mut text = String::with_capacity(message.len() + key.len() + value.len() + 4);
    text.push_str(before);
    if last_line(before, before.len()).is_none_or(|start| !is_blank(&before[start..])) {
        text.push('\n');
    }
    for entry in &entries {
        entry.print(&mut text);
    }
    text.push_str(&format!("{key}: {value}\n"));
    text.push_str(after);
    text
}

/// Whether a message could hold a trailer of one of these keys, in whatever case:
/// false for almost every message, at the price of a look for its colons.
pub fn may_hold(message: &str, keys: &[&str]) -> bool {
    message.match_indices(':').any(|(at, _)| {
        let before = message[..at].trim_end().as_bytes();
        keys.iter().any(|key| {
            before
                .len()
                .checked_sub(key.len())
                .is_some_and(|start| before[start..].eq_ignore_ascii_case(key.as_bytes()))
        })
    })
}

/// Splits a line into key and value, if it has the shape of a trailer.
pub fn split(line: &str) -> Option<(&str, &str)> {
    let at = separator(line)?;
    Some((trim(&line[..at]), trim(&line[at + 1..])))
}

/// Whether a byte is white space to git, whatever the locale.
pub fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Puts a folded value in one line, as `git interpret-trailers --unfold` does.
pub fn unfold(value: &str) -> String {
    let mut lines = value.split('\n');
    let mut text = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        let rest = line.trim_start_matches(space);
        // An empty line is swallowed by the fold before it.
        if !rest.is_empty() {
            text.push(' ');
            text.push_str(rest);
        }
    }
    trim(&text).to_owned()
}

const COMMENT: &str = "#";
const SCISSORS: &str = "# ------------------------ >8 ------------------------";
/// Lines that git itself writes: with one of them, a block may hold other text.
const WRITTEN_BY_GIT: &[&str] = &["Signed-off-by: ", "(cherry picked from commit "];

/// One entry of a block: a trailer with its continuation lines, or other text.
enum Entry<'a> {
    Trailer { key: &'a str, value: &'a str },
    Text(&'a str),
}

impl Entry<'_> {
    fn into_trailer(self) -> Option<Trailer> {
        match self {
            Entry::Trailer { key, value } => {
                Some(Trailer { key: key.to_owned(), value: unfold(value), in_block: true })
            }
            Entry::Text(_) => None,
        }
    }

    fn is(&self, key: &str, value: &str) -> bool {
        match self {
            Entry::Trailer { key: own, value: text } => {
                own.eq_ignore_ascii_case(key) && unfold(text).eq_ignore_ascii_case(value)
            }
            Entry::Text(_) => false,
        }
    }

    fn print(&self, text: &mut String) {
        match self {
            Entry::Trailer { key, value } => text.push_str(&format!("{key}: {value}\n")),
            Entry::Text(line) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
}

fn entries(block: &str) -> Vec<Entry<'_>> {
    let mut spans: Vec<Range<usize>> = Vec::new();
    let mut open = false;
    let mut start = 0;
    for line in block.split_inclusive('\n') {
        let end = start + line.len();
        match spans.last_mut() {
            Some(last) if open && line.starts_with(space) => last.end = end,
            _ => {
                open = separator(line).is_some();
                spans.push(start..end);
            }
        }
        start = end;
    }
    spans.into_iter().map(|span| &block[span]).filter_map(entry).collect()
}

fn entry(text: &str) -> Option<Entry<'_>> {
    if text.starts_with(COMMENT) {
        return None;
    }
    Some(match split(text) {
        Some((key, value)) => Entry::Trailer { key, value },
        None => Entry::Text(text.strip_suffix('\n').unwrap_or(text)),
    })
}

/// Returns the place of the `:` after a key of letters, digits and `-`.
fn separator(line: &str) -> Option<usize> {
    let mut spaced = false;
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            b':' => return (at > 0).then_some(at),
            b'-' if !spaced => {}
            _ if !spaced && byte.is_ascii_alphanumeric() => {}
            b' ' | b'\t' if at > 0 => spaced = true,
            _ => return None,
        }
    }
    None
}

/// Returns where the text ends: before the scissors line, and before trailing
/// comments, blank lines and the `Conflicts:` lists of old gits.
fn end_of_text(message: &str) -> usize {
    let cutoff = scissors(message).unwrap_or(message.len());
    // As in git, 0 stands for "none": comments at the very start begin no tail.
    let mut tail = 0;
    let mut in_conflicts = false;
    let mut start = 0;
    while start < cutoff {
        let line = line_at(message, start);
        let conflicts = line.strip_suffix('\n').unwrap_or(line) == "Conflicts:";
        in_conflicts |= conflicts;
        if line.starts_with(COMMENT) || line.starts_with('\n') || conflicts {
            tail = if tail == 0 { start } else { tail };
        } else if !(in_conflicts && line.starts_with('\t')) && tail != 0 {
            tail = 0;
            in_conflicts = false;
        }
        start += line.len();
    }
    if tail == 0 { cutoff } else { tail }
}

fn scissors(message: &str) -> Option<usize> {
    message.match_indices(SCISSORS).map(|(at, _)| at).find(|at| {
        let rest = message.as_bytes().get(at + SCISSORS.len());
        (*at == 0 || message.as_bytes()[at - 1] == b'\n') && matches!(rest, None | Some(b'\n'))
    })
}

fn block_start(message: &str, end: usize) -> usize {
    let title = end_of_title(message, end);
    let (mut seen_text, mut written_by_git) = (false, false);
    let (mut trailers, mut others, mut continuations) = (0_usize, 0_usize, 0_usize);
    let mut position = last_line(message, end);
    while let Some(start) = position.filter(|start| *start >= title) {
        position = last_line(message, start);
        let line = line_at(message, start);
        if line.starts_with(COMMENT) {
            others += std::mem::take(&mut continuations);
        } else if is_blank(line) {
            if !seen_text {
                continue;
            }
            others += continuations;
            let block = (written_by_git && trailers * 3 >= others) || (trailers > 0 && others == 0);
            return if block { start + line.len() } else { end };
        } else {
            seen_text = true;
            if WRITTEN_BY_GIT.iter().any(|prefix| line.starts_with(prefix)) {
                trailers += 1;
                continuations = 0;
                written_by_git = true;
            } else if separator(line).is_some() {
                trailers += 1;
                continuations = 0;
            } else if line.starts_with(space) {
                continuations += 1;
            } else {
                others += 1 + std::mem::take(&mut continuations);
            }
        }
    }
    end
}

/// The first paragraph is the title and can hold no trailers.
fn end_of_title(message: &str, end: usize) -> usize {
    let mut start = 0;
    while start < end {
        let line = line_at(message, start);
        if !line.starts_with(COMMENT) && is_blank(line) {
            break;
        }
        start += line.len();
    }
    start
}

fn line_at(message: &str, start: usize) -> &str {
    let rest = &message[start..];
    rest.find('\n').map_or(rest, |at| &rest[..=at])
}

fn last_line(message: &str, end: usize) -> Option<usize> {
    let before = end.checked_sub(1)?;
    Some(
        message.as_bytes()[..before].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1),
    )
}

fn is_blank(line: &str) -> bool {
    line.bytes().take_while(|byte| *byte != b'\n').all(is_space)
}

fn space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

fn trim(text: &str) -> &str {
    text.trim_matches(space)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, expected: &[(&str, &str)]) {
        let found = block(message);
        let found: Vec<(&str, &str)> =
            found.iter().map(|it| (it.key.as_str(), it.value.as_str())).collect();
        assert_eq!(found, expected);
        assert!(found.iter().all(|(key, _)| may_hold(message, &["other", &key.to_uppercase()])));
        assert!(!may_hold(message, &["no-such-key"]));
    }

    #[test]
    fn the_block_is_the_last_paragraph_of_trailers() {
        check("subject\n\nbody\n\nA: 1\nB: 2\n", &[("A", "1"), ("B", "2")]);
        check("subject\n\nA: 1\n\nwip\n", &[]);
        check("A: 1\n", &[]);
        check("subject\n\ntext\nA: 1\n", &[]);
        check("subject\n\ntext\nSigned-off-by: Ana\n", &[("Signed-off-by", "Ana")]);
        check("subject\n\ntext\n---\n\nA: 1\n", &[("A", "1")]);
    }

    #[test]
    fn folded_values_are_unfolded() {
        check("subject\n\nA: 1\n  2\n\t3\nB: 4\n", &[("A", "1 2 3"), ("B", "4")]);
        check("subject\r\n\r\nA: 1\r\n 2\r\n", &[("A", "1\r 2")]);
    }

    #[test]
    fn comments_and_scissors_end_the_text() {
        let message = "subject\n\nA: 1\n# note\n# ------------------------ >8 ------------------------\nB: 2\n";
        check(message, &[("A", "1")]);
        assert_eq!(
            append(message, "B", "3"),
            "subject\n\nA: 1\nB: 3\n# note\n# ------------------------ >8 ------------------------\nB: 2\n"
        );
    }

    #[test]
    fn append_never_duplicates() {
        assert_eq!(append("subject", "A", "1"), "subject\n\nA: 1\n");
        assert_eq!(append("subject\n\na: 1\n", "A", "1"), "subject\n\na: 1\n");
        assert_eq!(append("", "A", "1"), "\nA: 1\n");
    }
}
