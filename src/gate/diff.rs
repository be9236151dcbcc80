//! Compares sequences by Myers' algorithm (`similar` lives here).

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;

use similar::algorithms::{Capture, Compact, Replace, myers};
use similar::{DiffOp, DiffTag};

/// What makes `old` into `new`, in their order and without gaps.
///
/// The items are numbered first, so that the comparison is compiled once for
/// all kinds of them: it is large.
pub fn operations<T: Hash + Eq>(old: &[T], new: &[T]) -> Vec<DiffOp> {
    let mut numbers: HashMap<&T, usize> = HashMap::with_capacity(old.len() + new.len());
    let mut number = |item| {
        let next = numbers.len();
        *numbers.entry(item).or_insert(next)
    };
    let old: Vec<usize> = old.iter().map(&mut number).collect();
    let new: Vec<usize> = new.iter().map(&mut number).collect();
    of_numbers(&old, &new)
}

fn of_numbers(old: &[usize], new: &[usize]) -> Vec<DiffOp> {
    let mut hook = Compact::new(Replace::new(Capture::new()), old, new);
    match myers::diff(&mut hook, old, 0..old.len(), new, 0..new.len()) {
        Ok(()) => hook.into_inner().into_inner().into_ops(),
        Err(never) => match never {},
    }
}

/// How alike two words are, from 0 to 1: twice the letters that both share,
/// of all.
pub fn likeness(one: &str, other: &str) -> f32 {
    let letters = |word: &str| word.chars().collect::<Vec<_>>();
    let (one, other) = (letters(one), letters(other));
    similar::diff_ratio(&operations(&one, &other), one.len(), other.len())
}

/// What makes the lines `old` into `new` as git and diff(1) show it, with three
/// lines around each change.
pub fn unified<L: AsRef<str> + Hash + Eq>(old: &[L], new: &[L]) -> String {
    let mut text = String::new();
    for hunk in similar::group_diff_ops(operations(old, new), 3) {
        let (Some(first), Some(last)) = (hunk.first(), hunk.last()) else { continue };
        let removed = range(first.old_range().start..last.old_range().end);
        let added = range(first.new_range().start..last.new_range().end);
        text += &format!("@@ -{removed} +{added} @@\n");
        let mut push = |mark: char, line: &L| {
            text.extend([mark.encode_utf8(&mut [0; 4]), line.as_ref(), "\n"]);
        };
        for operation in &hunk {
            if operation.tag() == DiffTag::Equal {
                old[operation.old_range()].iter().for_each(|line| push(' ', line));
                continue;
            }
            old[operation.old_range()].iter().for_each(|line| push('-', line));
            new[operation.new_range()].iter().for_each(|line| push('+', line));
        }
    }
    text
}

/// A range of lines as a hunk's header gives it: counted from 1, and an empty
/// one by the line before it.
fn range(lines: Range<usize>) -> String {
    match lines.len() {
        0 => format!("{},0", lines.start),
        1 => (lines.start + 1).to_string(),
        count => format!("{},{count}", lines.start + 1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn operations_are_those_of_the_items_themselves(
            old in prop::collection::vec("[abc]{0,2}", 0..24),
            new in prop::collection::vec("[abc]{0,2}", 0..24),
        ) {
            let expected = similar::capture_diff_slices(similar::Algorithm::Myers, &old, &new);
            prop_assert_eq!(operations(&old, &new), expected);
        }

        #[test]
        fn unified_differences_are_those_of_the_library(
            old in prop::collection::vec("[abc]", 0..40),
            new in prop::collection::vec("[abc]", 0..40),
        ) {
            let lines = |items: &[String]| items.iter().map(|it| format!("{it}\n")).collect::<String>();
            let expected =
                similar::TextDiff::from_lines(lines(&old), lines(&new)).unified_diff().to_string();
            let (old, new): (Vec<&str>, Vec<&str>) =
                (old.iter().map(String::as_str).collect(), new.iter().map(String::as_str).collect());
            prop_assert_eq!(unified(&old, &new), expected);
        }
    }
}
