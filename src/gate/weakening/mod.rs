//! The weakening guard: what an assisted change takes from the tests. Tests that
//! are gone or skipped, assertions that are gone or ask less, snapshots that are
//! gone, lints that are newly silenced and thresholds that were lowered are for
//! a person to look at.
//!
//! A false alarm costs more than a miss, since other rules look at the tests as
//! well: what was moved, renamed, split or merged is no loss, and of the lines
//! only what the change has fewer of counts. How such lines look is data
//! (`languages.toml`).

pub mod guard;
pub mod strength;
#[cfg(test)]
mod tests;
pub mod text;
pub mod threshold;

use std::collections::{BTreeSet, HashMap, HashSet};

use super::change::{LineRange, RepoPath, printable};
use super::diff;
use super::language::Languages;
use crate::gate::order;
use strength::Strength;
use text::{Line, Test, Text};

/// How many places of one kind are named.
const MAX_PLACES: usize = 20;
/// How many characters of a line are shown.
const MAX_SHOWN: usize = 80;
/// Which part of a removed test's words has to stand in new tests, so that it
/// counts as moved, renamed, split or merged: in percent.
const SAME_PERCENT: usize = 60;

/// A file before and after.
#[derive(Clone, Debug)]
pub struct Sides<'a> {
    pub path: &'a RepoPath,
    /// Its kind ([`kind_of`](super::coverage::measured::kind_of)).
    pub kind: String,
    pub is_test: bool,
    /// Whether an agent had a part in it. Of another file only what it gained
    /// is looked at: something may have moved there.
    pub is_assisted: bool,
    /// The assisted added lines; `None`: whatever it gained is assisted.
    pub assisted: Option<Vec<LineRange>>,
    /// Empty: it was not there.
    pub old: &'a str,
    /// Empty: it is gone.
    pub new: &'a str,
}

/// One loss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weakened {
    pub kind: Kind,
    pub path: RepoPath,
    /// A line of the new file; `None`: it is gone.
    pub line: Option<u64>,
    /// Printable.
    pub what: String,
}

/// What kind of loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A person has to have seen it.
    Loss,
    /// Tests expect something else than before, and the code is another: as every
    /// change of behaviour looks, but also a test that was bent. It is only said.
    Rewritten,
}

/// A file's texts, taken apart.
struct File<'a> {
    sides: &'a Sides<'a>,
    old: Text<'a>,
    new: Text<'a>,
    /// Names of tests that it has no more, with their lines; and those it newly has.
    lost: Vec<Test>,
    gained: Vec<Test>,
    /// Where only some lines are assisted: which lines became which, both from 1.
    hunks: Vec<(LineRange, LineRange)>,
}

/// Looks for losses, in the order of the files.
pub fn weakened(files: &[Sides<'_>]) -> Vec<Weakened> {
    let files: Vec<File<'_>> = files.iter().map(File::new).collect();
    let mut found = Vec::new();
    let merged = lost_tests(&files, &mut found);
    lost_assertions(&files, &merged, &mut found);
    for file in files.iter().filter(|it| it.sides.is_assisted) {
        skips(file, &mut found);
    }
    silenced(&files, &mut found);
    rewritten(&files, &mut found);
    snapshots(&files, &mut found);
    let sides: Vec<&Sides<'_>> = files.iter().map(|it| it.sides).collect();
    found.extend(threshold::loosened(&sides));
    order::sort_by(&mut found, |one, other| (&one.path, one.line).cmp(&(&other.path, other.line)));
    found
}

impl<'a> File<'a> {
    fn new(sides: &'a Sides<'a>) -> File<'a> {
        let old = Text::read(sides, sides.old, true);
        let new = Text::read(sides, sides.new, false);
        let mut names: HashMap<&str, usize> = HashMap::new();
        new.tests.iter().for_each(|it| *names.entry(it.name.as_str()).or_default() += 1);
        let lost = rest(&old.tests, &mut names, |it| it.name.as_str());
        let mut names: HashMap<&str, usize> = HashMap::new();
        old.tests.iter().for_each(|it| *names.entry(it.name.as_str()).or_default() += 1);
        let gained = rest(&new.tests, &mut names, |it| it.name.as_str());
        let hunks = match &sides.assisted {
            Some(_) if sides.is_assisted => hunks(sides.old, sides.new),
            Some(_) | None => Vec::new(),
        };
        File { sides, old, new, lost, gained, hunks }
    }

    /// Lines of the new text that the old one has not, by number from 1.
    fn fresh(&self) -> BTreeSet<u64> {
        let (old, new) = (self.sides.old, self.sides.new);
        // As far as both begin alike, each line has its like.
        let alike = old.lines().zip(new.lines()).take_while(|(old, new)| old == new).count();
        let mut lines: HashMap<&str, usize> = HashMap::new();
        old.lines().skip(alike).for_each(|it| *lines.entry(it.trim()).or_default() += 1);
        let numbered: Vec<Line<'_>> = (1..).zip(new.lines().map(str::trim)).skip(alike).collect();
        rest(&numbered, &mut lines, |it| it.1).into_iter().map(|it| it.0).collect()
    }

    fn is_theirs(&self, line: u64) -> bool {
        let within = |it: &LineRange| it.start <= line && line <= it.end;
        self.sides.is_assisted
            && self.sides.assisted.as_ref().is_none_or(|ranges| ranges.iter().any(within))
    }

    /// Whether it may have been an agent who took a line of the old text away. In a
    /// file of several hands, it was not where the lines in its place are all
    /// somebody else's.
    fn is_their_loss(&self, line: u64) -> bool {
        let hunk = self.hunks.iter().find(|(old, _)| old.start <= line && line <= old.end);
        hunk.is_none_or(|(_, new)| {
            new.start > new.end || (new.start..=new.end).any(|it| self.is_theirs(it))
        })
    }

    fn weakened(&self, line: Option<u64>, what: String) -> Weakened {
        Weakened { kind: Kind::Loss, path: self.sides.path.clone(), line, what }
    }

    /// Whether an agent changed what stands outside of tests.
    fn changes_code(&self) -> bool {
        let first = self.new.tests.first().map_or(u64::MAX, |it| it.line);
        let is_code = Languages::built_in().of(&self.sides.kind).is_some() && !self.sides.is_test;
        is_code
            && self.sides.is_assisted
            && self.fresh().iter().any(|it| *it < first && self.is_theirs(*it))
    }

    /// The first line that is new, as near to a loss as the new file tells.
    fn place(&self) -> Option<u64> {
        let same = self.sides.old.lines().zip(self.sides.new.lines());
        let same = same.take_while(|(old, new)| old == new).count();
        let lines = self.sides.new.lines().count();
        (lines > 0).then(|| (same + 1).min(lines) as u64)
    }
}

/// Which lines became which, both counted from 1; an empty range ends before it starts.
fn hunks(old: &str, new: &str) -> Vec<(LineRange, LineRange)> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let mut hunks: Vec<(LineRange, LineRange)> = Vec::new();
    for operation in diff::operations(&old, &new) {
        if matches!(operation, similar::DiffOp::Equal { .. }) {
            continue;
        }
        let range = |it: std::ops::Range<usize>| LineRange {
            start: it.start as u64 + 1,
            end: it.end as u64,
        };
        let (old, new) = (range(operation.old_range()), range(operation.new_range()));
        match hunks.last_mut() {
            Some(last) if last.0.end + 1 == old.start && last.1.end + 1 == new.start => {
                (last.0.end, last.1.end) = (old.end, new.end);
            }
            Some(_) | None => hunks.push((old, new)),
        }
    }
    hunks
}

/// What is left of `items` after as many of each key were taken away as are counted.
fn rest<'a, T: Clone>(
    items: &'a [T],
    counted: &mut HashMap<&str, usize>,
    key: impl Fn(&'a T) -> &'a str,
) -> Vec<T> {
    let is_left = |item: &&'a T| match counted.get_mut(key(item)) {
        Some(left) if *left > 0 => {
            *left -= 1;
            false
        }
        Some(_) | None => true,
    };
    items.iter().filter(is_left).cloned().collect()
}

/// Tests that are gone. Returns the names of lost tests, by path, whose
/// assertions are not to be counted: what is gone was said already, and of
/// several tests that became one nobody can tell how many are needed.
fn lost_tests<'a>(
    files: &'a [File<'a>],
    found: &mut Vec<Weakened>,
) -> HashSet<(&'a RepoPath, &'a str)> {
    let mut gained: HashMap<&str, usize> = HashMap::new();
    let all: Vec<(&File<'_>, &Test)> =
        files.iter().flat_map(|file| file.gained.iter().map(move |it| (file, it))).collect();
    all.iter().for_each(|(_, it)| *gained.entry(it.name.as_str()).or_default() += 1);
    let words: HashSet<&str> = all.iter().flat_map(|(file, it)| file.new.words(it)).collect();
    let (mut excused, mut left) = (HashSet::new(), all.len());
    for file in files.iter().filter(|it| it.sides.is_assisted) {
        let mut unmoved = rest(&file.lost, &mut gained, |it| it.name.as_str());
        left = left.saturating_sub(file.lost.len() - unmoved.len());
        unmoved.retain(|it| file.is_their_loss(it.line));
        let (renamed, gone): (Vec<&Test>, Vec<&Test>) =
            unmoved.iter().partition(|it| !all.is_empty() && stand_in(&file.old.words(it), &words));
        // Each new test can be what one of the old ones became; beyond that they were merged.
        let merged = renamed.len() > left;
        left = left.saturating_sub(renamed.len());
        let lost = |name: &str| file.lost.iter().find(|it| it.name == name);
        let names = gone.iter().chain(renamed.iter().filter(|_| merged));
        let kept = names.filter_map(|it| lost(&it.name));
        excused.extend(kept.map(|it| (file.sides.path, it.name.as_str())));
        if gone.is_empty() {
            continue;
        }
        let what = if file.sides.new.is_empty() && file.new.tests.is_empty() {
            match gone.len() {
                1 => format!("a test is gone with its file: {}", named(&gone)),
                more => format!("{more} tests are gone with their file: {}", named(&gone)),
            }
        } else {
            match gone.len() {
                1 => format!("a test is gone: {}", named(&gone)),
                more => format!("{more} tests are gone: {}", named(&gone)),
            }
        };
        found.push(file.weakened(file.place(), what));
    }
    excused
}

fn named(tests: &[&Test]) -> String {
    let names: Vec<String> =
        tests.iter().take(3).map(|it| format!("`{}`", shown(&it.name))).collect();
    let more = tests.len().saturating_sub(names.len());
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{rest}", names.join(", "))
}

/// Whether so many of a test's words stand among these that it is there still.
fn stand_in(test: &HashSet<&str>, words: &HashSet<&str>) -> bool {
    let there = test.iter().filter(|it| words.contains(**it)).count();
    there * 100 >= test.len() * SAME_PERCENT
}

/// Assertions that are gone, or that ask less than before.
fn lost_assertions(
    files: &[File<'_>],
    merged: &HashSet<(&RepoPath, &str)>,
    found: &mut Vec<Weakened>,
) {
    let mut balances: Vec<(Vec<Line<'_>>, Vec<Line<'_>>)> = files
        .iter()
        .map(|file| {
            let counts = |test: &Option<usize>| {
                let name = test.map(|it| file.old.tests[it].name.as_str());
                name.is_none_or(|it| !merged.contains(&(file.sides.path, it)))
            };
            let old = file.old.assertions.iter().filter(|it| counts(&it.1));
            let new = file.new.assertions.iter();
            difference(old.map(|it| it.0).collect(), new.map(|it| it.0).collect())
        })
        .collect();
    without_moved(&mut balances);
    // Tests that moved to another file, and were changed there, took theirs along.
    let surplus = |it: &(Vec<Line<'_>>, Vec<Line<'_>>)| it.1.len().saturating_sub(it.0.len());
    let of_new_tests = files.iter().zip(&balances).filter(|(file, _)| !file.gained.is_empty());
    let mut spare: usize = of_new_tests.map(|(_, balance)| surplus(balance)).sum();
    for (file, (removed, added)) in files.iter().zip(&balances) {
        let removed: Vec<Line<'_>> =
            removed.iter().filter(|it| file.is_their_loss(it.0)).copied().collect();
        let added: Vec<Line<'_>> =
            added.iter().filter(|it| file.is_theirs(it.0)).copied().collect();
        if !file.sides.is_assisted || removed.is_empty() {
            continue;
        }
        let asked = |line: &Line<'_>| file.old.strength(line.0);
        let mut fewer = removed.len().saturating_sub(added.len());
        if !file.lost.is_empty() {
            let moved = fewer.min(spare);
            (fewer, spare) = (fewer - moved, spare - moved);
        }
        if fewer > 0 {
            let plural = if fewer == 1 { "" } else { "s" };
            let line = removed.iter().find(|it| asked(it) > Some(Strength::Loose));
            let line = line.unwrap_or(&removed[0]);
            let what = format!("{fewer} assertion{plural} fewer: `{}`", shown(line.1));
            found.push(file.weakened(file.place(), what));
        } else {
            elsewhere(file, &removed, &added, found);
        }
        asking_less(file, &removed, &added, found);
    }
}

/// Assertions that are gone from tests that are still there, while others, about
/// something else, came to other tests of the file. What is about the same may
/// have moved, and where tests are gone or renamed nothing is certain.
fn elsewhere(file: &File<'_>, removed: &[Line<'_>], added: &[Line<'_>], found: &mut Vec<Weakened>) {
    if !file.lost.is_empty() {
        return;
    }
    let test = |text: &Text<'_>, line: &Line<'_>| -> Option<String> {
        let row = text.assertions.iter().find(|(it, _)| it.0 == line.0)?;
        Some(text.tests[row.1?].name.clone())
    };
    let mut left: Vec<(&Line<'_>, Option<String>)> =
        added.iter().map(|it| (it, test(&file.new, it))).collect();
    let mut gone: Vec<(&Line<'_>, String)> =
        removed.iter().filter_map(|it| Some((it, test(&file.old, it)?))).collect();
    gone.retain(|(_, name)| {
        let same = left.iter().position(|(_, other)| other.as_ref() == Some(name));
        same.map(|it| left.swap_remove(it)).is_none()
    });
    gone.retain(|(line, _)| {
        let alike = left.iter().position(|(it, _)| strength::is_about_the_same(line.1, it.1));
        alike.map(|it| left.swap_remove(it)).is_none()
    });
    gone.retain(|(line, _)| file.old.strength(line.0) > Some(Strength::Loose));
    for (line, name) in gone.into_iter().take(MAX_PLACES) {
        let place = file.new.tests.iter().find(|it| it.name == name).map(|it| it.line);
        let (name, text) = (shown(&name), shown(line.1));
        let what = format!("`{name}` has an assertion fewer: `{text}`");
        found.push(file.weakened(place.or_else(|| file.place()), what));
    }
}

/// Assertions that ask less than those in whose place they are: within a test by
/// what it lost and gained itself, so that another test makes up for nothing; among
/// tests that came and went, by all of them together.
fn asking_less(
    file: &File<'_>,
    removed: &[Line<'_>],
    added: &[Line<'_>],
    found: &mut Vec<Weakened>,
) {
    let names = |text: &Text<'_>| -> HashSet<String> {
        text.tests.iter().map(|it| it.name.clone()).collect()
    };
    let (before, after) = (names(&file.old), names(&file.new));
    let tests = |text: &Text<'_>| -> HashMap<u64, String> {
        let within = |test: &Option<usize>| {
            let name = test.map(|it| text.tests[it].name.clone());
            let kept = name.filter(|it| before.contains(it) && after.contains(it));
            kept.unwrap_or_default()
        };
        text.assertions.iter().map(|(line, test)| (line.0, within(test))).collect()
    };
    let (old, new) = (tests(&file.old), tests(&file.new));
    let groups: BTreeSet<&String> = removed.iter().filter_map(|it| old.get(&it.0)).collect();
    for group in groups {
        let removed: Vec<_> = removed.iter().filter(|it| old.get(&it.0) == Some(group)).collect();
        let added: Vec<_> = added.iter().filter(|it| new.get(&it.0) == Some(group)).collect();
        let fewer = removed.len().saturating_sub(added.len());
        // Each is named once.
        let mut named: BTreeSet<u64> = BTreeSet::new();
        for least in [Strength::Truth, Strength::Comparison] {
            let asked = |it: &Line<'_>| file.old.strength(it.0) >= Some(least);
            let asks = |it: &Line<'_>| file.new.strength(it.0) >= Some(least);
            let before = removed.iter().filter(|it| asked(it)).count();
            let after = added.iter().filter(|it| asks(it)).count();
            let less = before.saturating_sub(after).saturating_sub(fewer);
            let known = removed.len() - before;
            for line in added.iter().filter(|it| !asks(it)).skip(known).take(less) {
                if named.insert(line.0) {
                    let what = format!("an assertion asks less: `{}`", shown(line.1));
                    found.push(file.weakened(Some(line.0), what));
                }
            }
        }
    }
}

/// Assertions of which only the expected values are others than before, while an
/// agent changed code as well.
fn rewritten(files: &[File<'_>], found: &mut Vec<Weakened>) {
    if !files.iter().any(File::changes_code) {
        return;
    }
    for file in files.iter().filter(|it| it.sides.is_assisted) {
        let old = file.old.assertions.iter().map(|it| it.0).collect();
        let new = file.new.assertions.iter().map(|it| it.0).collect();
        let (removed, added) = difference(old, new);
        let mut shapes: HashMap<String, Vec<&str>> = HashMap::new();
        for (_, text) in &removed {
            shapes.entry(strength::without_values(text)).or_default().push(text);
        }
        let mut pairs = added.iter().filter(|it| file.is_theirs(it.0)).filter_map(|line| {
            let old = shapes.get_mut(&strength::without_values(line.1))?.pop()?;
            Some((old, line))
        });
        let Some((old, first)) = pairs.next() else { continue };
        let more = match pairs.count() {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        let what = format!(
            "a test expects something else: `{}`, before `{}`{more}",
            shown(first.1),
            shown(old)
        );
        found.push(Weakened { kind: Kind::Rewritten, ..file.weakened(Some(first.0), what) });
    }
}

/// Tests that are newly kept from running. A test that is new as well takes
/// nothing away.
fn skips(file: &File<'_>, found: &mut Vec<Weakened>) {
    let (removed, added) = difference(file.old.skips.clone(), file.new.skips.clone());
    let gained = added.len().saturating_sub(removed.len());
    let mut new_tests = file.new.tests.len().saturating_sub(file.old.tests.len());
    let fresh = if gained > 0 { file.fresh() } else { BTreeSet::new() };
    let is_fresh = |line: u64| fresh.contains(&line) || line == 0;
    for (line, text) in added.into_iter().filter(|it| file.is_theirs(it.0)).take(gained) {
        let alone = file.new.tests.iter().any(|it| it.line == line);
        let surrounded = is_fresh(line + 1) && (alone || is_fresh(line - 1));
        if surrounded && new_tests > 0 {
            new_tests -= 1;
            continue;
        }
        found.push(file.weakened(Some(line), format!("a test is skipped: `{}`", shown(text))));
    }
    let (removed, added) = difference(file.old.focus.clone(), file.new.focus.clone());
    let gained = added.len().saturating_sub(removed.len());
    for (line, text) in added.into_iter().filter(|it| file.is_theirs(it.0)).take(gained) {
        let what = format!("all other tests are skipped: `{}`", shown(text));
        found.push(file.weakened(Some(line), what));
    }
}

/// Lints and measurements that are newly silenced.
fn silenced(files: &[File<'_>], found: &mut Vec<Weakened>) {
    let mut balances: Vec<_> = files
        .iter()
        .map(|file| difference(file.old.lints.clone(), file.new.lints.clone()))
        .collect();
    without_moved(&mut balances);
    for (file, (removed, added)) in files.iter().zip(balances) {
        let gained = added.len().saturating_sub(removed.len());
        let theirs = added.into_iter().filter(|it| file.is_theirs(it.0));
        for (line, text) in theirs.take(gained).take(MAX_PLACES) {
            let what = format!("a lint is silenced: `{}`", shown(text));
            found.push(file.weakened(Some(line), what));
        }
    }
}

/// Snapshots that are gone: files, and entries of files.
fn snapshots(files: &[File<'_>], found: &mut Vec<Weakened>) {
    let languages = Languages::built_in();
    let is_snapshot = |file: &&File<'_>| languages.is_snapshot(file.sides.path);
    let of_them: Vec<&File<'_>> = files.iter().filter(is_snapshot).collect();
    let entries = |text: &str| match text.lines().filter(|it| languages.is_entry(it)).count() {
        0 => usize::from(!text.trim().is_empty()),
        more => more,
    };
    let mut spare: usize = of_them
        .iter()
        .map(|file| entries(file.sides.new).saturating_sub(entries(file.sides.old)))
        .sum();
    for file in of_them.iter().filter(|it| it.sides.is_assisted) {
        let fewer = entries(file.sides.old).saturating_sub(entries(file.sides.new));
        let moved = fewer.min(spare);
        spare -= moved;
        match fewer - moved {
            0 => {}
            1 => found.push(file.weakened(file.place(), "a snapshot is gone".to_owned())),
            more => found.push(file.weakened(file.place(), format!("{more} snapshots are gone"))),
        }
    }
}

fn difference<'a>(old: Vec<Line<'a>>, new: Vec<Line<'a>>) -> (Vec<Line<'a>>, Vec<Line<'a>>) {
    let count = |lines: &[Line<'a>]| {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        lines.iter().for_each(|(_, text)| *counts.entry(text).or_default() += 1);
        counts
    };
    let (mut of_old, mut of_new) = (count(&old), count(&new));
    (rest(&old, &mut of_new, |it| it.1), rest(&new, &mut of_old, |it| it.1))
}

/// Takes away what one file lost and another gained.
fn without_moved(balances: &mut [(Vec<Line<'_>>, Vec<Line<'_>>)]) {
    let mut gained: HashMap<String, usize> = HashMap::new();
    for (_, text) in balances.iter().flat_map(|it| &it.1) {
        *gained.entry((*text).to_owned()).or_default() += 1;
    }
    let mut moved: HashMap<String, usize> = HashMap::new();
    let take = |counts: &mut HashMap<String, usize>, text: &str| match counts.get_mut(text) {
        Some(left) if *left > 0 => {
            *left -= 1;
            true
        }
        Some(_) | None => false,
    };
    for (removed, _) in balances.iter_mut() {
        removed.retain(|(_, text)| {
            let is_moved = take(&mut gained, text);
            if is_moved {
                *moved.entry((*text).to_owned()).or_default() += 1;
            }
            !is_moved
        });
    }
    for (_, added) in balances.iter_mut() {
        added.retain(|(_, text)| !take(&mut moved, text));
    }
}

fn shown(text: &str) -> String {
    printable(&text.chars().take(MAX_SHOWN).collect::<String>())
}
