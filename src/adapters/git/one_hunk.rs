//! What git says of two texts that differ in one place, told without git.
//!
//! git cuts off what both texts begin and end with, and compares the rest (xdiff's
//! `xdl_trim_ends`). Where nothing of the one rest stands in the other, all of both
//! has changed; and where no line beside them is like one at their ends, the change
//! can stand nowhere else (`xdl_change_compact`). `None` always means "ask git".

use std::collections::HashSet;

use crate::gate::change::LineRange;

/// What differs between two texts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) added: Option<LineRange>,
    /// Lines.
    pub(super) removed: u64,
    /// A changed line holds a NUL byte.
    pub(super) binary: bool,
}

/// Tells the one hunk of the difference without context; a side that is not there
/// is empty.
pub(super) fn one_hunk(old: &[u8], new: &[u8]) -> Option<Change> {
    let same = old.iter().zip(new).take_while(|(one, other)| one == other).count();
    let begin = memchr::memrchr(b'\n', &old[..same]).map_or(0, |at| at + 1);
    let (before, old, new) = (&old[..begin], &old[begin..], &new[begin..]);
    let end = common_end(old, new);
    let after = &old[old.len() - end..];
    let (old, new) = (&old[..old.len() - end], &new[..new.len() - end]);
    // Which of several equal lines were taken away is all one.
    let moves = |side: &[u8]| {
        let lines = || side.split_inclusive(|&byte| byte == b'\n');
        let up = !before.is_empty() && last(before) == last(side);
        let down = lines().next().is_some_and(|it| Some(it) == first(after));
        !side.is_empty() && (up || down)
    };
    let held: HashSet<&[u8]> = old.split_inclusive(|&byte| byte == b'\n').collect();
    let shared = new.split_inclusive(|&byte| byte == b'\n').any(|line| held.contains(line));
    if shared || moves(new) || (!new.is_empty() && moves(old)) {
        return None;
    }
    let count = |side: &[u8]| side.split_inclusive(|&byte| byte == b'\n').count() as u64;
    let start = count(before) + 1;
    let added = count(new);
    Some(Change {
        added: (added > 0).then(|| LineRange { start, end: start + added - 1 }),
        removed: count(old),
        binary: [old, new].iter().any(|side| side.contains(&0)),
    })
}

/// As many bytes at the ends are alike, in whole lines.
fn common_end(old: &[u8], new: &[u8]) -> usize {
    let same = old.iter().rev().zip(new.iter().rev()).take_while(|(one, other)| one == other);
    let mut length = same.count();
    let begins = |side: &[u8], length: usize| {
        let at = side.len() - length;
        at == 0 || side[at - 1] == b'\n'
    };
    while length > 0 && !(begins(old, length) && begins(new, length)) {
        let rest = &old[old.len() - length..];
        length = memchr::memchr(b'\n', rest).map_or(0, |at| rest.len() - at - 1);
    }
    length
}

fn first(text: &[u8]) -> Option<&[u8]> {
    text.split_inclusive(|&byte| byte == b'\n').next()
}

fn last(text: &[u8]) -> Option<&[u8]> {
    let inner = text.strip_suffix(b"\n").unwrap_or(text);
    let start = memchr::memrchr(b'\n', inner).map_or(0, |at| at + 1);
    text.get(start..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(old: &str, new: &str, expected: Option<&str>) {
        let found = one_hunk(old.as_bytes(), new.as_bytes()).map(|hunk| {
            let added = hunk.added.map_or(String::new(), |it| format!("{}-{}", it.start, it.end));
            format!("+{added} -{}{}", hunk.removed, if hunk.binary { " nul" } else { "" })
        });
        assert_eq!(found.as_deref(), expected, "{old:?} {new:?}");
    }

    #[test]
    fn one_place_that_can_be_no_other() {
        check("", "a\nb", Some("+1-2 -0"));
        check("a\nb\n", "", Some("+ -2"));
        check("a\nb\n", "a\nx\ny\nb\n", Some("+2-3 -0"));
        check("a\nb\n", "a\nx\nb\n", Some("+2-2 -0"));
        check("a\nx\ny\nb\n", "a\nz\nb\n", Some("+2-2 -2"));
        check("a", "a\nb", Some("+1-2 -1"));
        check("a\nb\n", "a\nb", Some("+2-2 -1"));
        check("a\n", "a\n\0\n", Some("+2-2 -0 nul"));
        check("\0\na\n", "\0\n", Some("+ -1"));
        check("xa\n", "ya\n", Some("+1-1 -1"));
    }

    #[test]
    fn what_could_stand_elsewhere_is_left_to_git() {
        for (old, new) in [
            ("a\n", "a\na\n"),
            ("a\n}\n", "a\n}\nb\n}\n"),
            ("a\nb\nc\n", "a\nx\nb\ny\nc\n"),
            ("a\nb\n", "b\na\n"),
            ("a\nx\nb\n", "a\ny\na\nb\n"),
            ("x\nb\n", "b\ny\nb\n"),
        ] {
            check(old, new, None);
        }
        // Of equal lines one is gone, whichever.
        check("a\na\n", "a\n", Some("+ -1"));
    }
}
