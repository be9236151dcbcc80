//! The revert proof: do the tests notice the assisted lines?
//!
//! After a test passed at the head, the assisted hunks of source files are taken
//! out and it runs again. A test that passed and is now reported failed is
//! proof. That nothing fails is a finding. What says neither (the build breaks,
//! a report or a test is missing) is inconclusive, and smaller parts are tried.

use std::collections::BTreeSet;
use std::ops::Range;

use similar::DiffOp;

use super::attribution::Attribution;
use super::change::{Change, Entry, LineRange, Oid, RepoPath};
use super::coverage::measured::{kind_of, write_ranges};
use super::diff;
use super::junit::Names;
use super::language::Languages;
use super::policy::{Prove, TestCommand};
use super::record::canonical::sha256;
use crate::gate::order;

/// A file with more lines is one hunk.
const MAX_LINES: usize = 50_000;
/// How many tests and hunks a proof names.
const MAX_NAMED: usize = 5;
const MAX_HUNKS: usize = 100;

/// The assisted part of a change's sources that a test has to notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// What a proof is bound to: SHA-256 over the files' contents and lines.
    pub digest: String,
    pub files: Vec<SubjectFile>,
}

/// One file of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectFile {
    pub path: RepoPath,
    pub old: Option<Oid>,
    pub new: Option<Oid>,
    /// The assisted added lines.
    pub lines: Vec<LineRange>,
    /// Only agents changed it, so that what it lost is theirs as well.
    pub whole: bool,
}

/// What is to be proven for a test; `None`: the policy asks for no proof, or
/// there is no assisted source that it depends on.
pub fn subject(change: &Change, attribution: &Attribution, test: &TestCommand) -> Option<Subject> {
    let kind = match test.prove? {
        Prove::Revert => "proof",
        Prove::Mutate => "mutation",
    };
    let languages = Languages::built_in();
    let regular =
        |entry: &Option<Entry>| entry.as_ref().is_none_or(|it| it.mode & 0o170_000 == 0o100_000);
    let mut files = Vec::new();
    for file in &change.files {
        let Some(known) = attribution.files.get(&file.path).filter(|it| it.assisted) else {
            continue;
        };
        let source = !test.is_test(&file.path)
            && languages.is_code(&kind_of(&file.path))
            && test.inputs.as_ref().is_none_or(|it| it.matches(&file.path));
        let whole = !known.unattributed;
        if !source
            || file.binary
            || !regular(&file.old)
            || !regular(&file.new)
            || (known.ranges.is_empty() && !whole)
        {
            continue;
        }
        files.push(SubjectFile {
            path: file.path.clone(),
            old: file.old.as_ref().map(|it| it.oid.clone()),
            new: file.new.as_ref().map(|it| it.oid.clone()),
            lines: known.ranges.iter().map(|it| it.lines).collect(),
            whole,
        });
    }
    if files.is_empty() {
        return None;
    }
    let mut text = format!("countersign.{kind}/1\n");
    for file in &files {
        let id = |oid: &Option<Oid>| oid.as_ref().map_or("-", Oid::as_str).to_owned();
        let path = file.path.to_text().replace('\n', "\\n");
        let lines = write_ranges(&file.lines);
        text.push_str(&format!(
            "{} {} {lines} {} {path}\n",
            id(&file.old),
            id(&file.new),
            file.whole
        ));
    }
    Some(Subject { digest: sha256(text.as_bytes()), files })
}

/// A file as it is and as it was, and the hunks that agents made.
#[derive(Clone, Debug)]
pub struct Source {
    pub path: RepoPath,
    /// `None`: it is added or deleted.
    old: Option<Vec<u8>>,
    new: Option<Vec<u8>>,
    pub hunks: Vec<Hunk>,
}

/// Lines of the old file that became lines of the new one, both counted from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunk {
    old: Range<usize>,
    new: Range<usize>,
}

impl Hunk {
    /// Its lines before and after, both counted from 0.
    pub fn ranges(&self) -> (&Range<usize>, &Range<usize>) {
        (&self.old, &self.new)
    }

    /// The lines in the new file; where only lines were removed, the one before them.
    pub fn lines(&self) -> LineRange {
        let (start, end) = (self.new.start as u64 + 1, self.new.end as u64);
        if start > end {
            let line = end.max(1);
            return LineRange { start: line, end: line };
        }
        LineRange { start, end }
    }
}

impl Source {
    /// The hunks of a file that are an agent's; `None` if there is none.
    pub fn new(file: &SubjectFile, old: Option<Vec<u8>>, new: Option<Vec<u8>>) -> Option<Source> {
        let (before, after) = (old.as_deref().map(lines), new.as_deref().map(lines));
        let hunks = match (&before, &after) {
            (None, None) => Vec::new(),
            (None, Some(after)) => vec![Hunk { old: 0..0, new: 0..after.len() }],
            (Some(before), None) => vec![Hunk { old: 0..before.len(), new: 0..0 }],
            (Some(before), Some(after)) => hunks(before, after),
        };
        let assisted = |hunk: &Hunk| {
            let lines = hunk.lines();
            let any = file.lines.iter().any(|it| it.start <= lines.end && lines.start <= it.end);
            if hunk.new.is_empty() { file.whole } else { any }
        };
        let hunks: Vec<Hunk> = hunks.into_iter().filter(assisted).collect();
        let path = file.path.clone();
        (!hunks.is_empty()).then_some(Source { path, old, new, hunks })
    }

    /// The lines of the new file, with their ends.
    pub fn new_lines(&self) -> Vec<&[u8]> {
        self.new.as_deref().map(lines).unwrap_or_default()
    }

    /// A hunk's lines with their ends, before and after.
    pub fn sides(&self, hunk: &Hunk) -> (Vec<&[u8]>, Vec<&[u8]>) {
        let all = |bytes| Option::<&Vec<u8>>::map_or(bytes, Vec::new(), |it| lines(it));
        let cut = |bytes, range: &Range<usize>| -> Vec<&[u8]> {
            all(bytes).into_iter().skip(range.start).take(range.len()).collect()
        };
        (cut(self.old.as_ref(), &hunk.old), cut(self.new.as_ref(), &hunk.new))
    }

    /// The file without these of its hunks; `None`: it is not there.
    pub fn without(&self, hunks: &[Hunk]) -> Option<Vec<u8>> {
        let (Some(old), Some(new)) = (&self.old, &self.new) else { return self.old.clone() };
        let (before, after) = (lines(old), lines(new));
        let mut result = Vec::with_capacity(new.len());
        let mut at = 0;
        for hunk in hunks {
            after[at..hunk.new.start].iter().for_each(|line| result.extend_from_slice(line));
            before[hunk.old.clone()].iter().for_each(|line| result.extend_from_slice(line));
            at = hunk.new.end;
        }
        after[at..].iter().for_each(|line| result.extend_from_slice(line));
        Some(result)
    }
}

/// Lines with their ends.
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').collect()
}

fn hunks(before: &[&[u8]], after: &[&[u8]]) -> Vec<Hunk> {
    if before.len().max(after.len()) > MAX_LINES {
        return vec![Hunk { old: 0..before.len(), new: 0..after.len() }];
    }
    let mut hunks: Vec<Hunk> = Vec::new();
    for operation in diff::operations(before, after) {
        if matches!(operation, DiffOp::Equal { .. }) {
            continue;
        }
        let (old, new) = (operation.old_range(), operation.new_range());
        match hunks.last_mut() {
            Some(last) if last.old.end == old.start && last.new.end == new.start => {
                last.old.end = old.end;
                last.new.end = new.end;
            }
            Some(_) | None => hunks.push(Hunk { old, new }),
        }
    }
    hunks
}

/// A part of the hunks that is taken out at once: hunks by file.
pub type Part<'a> = Vec<(&'a Source, Vec<Hunk>)>;

/// What is tried one after the other: everything, each file, each hunk. What
/// would be tried twice is left out.
pub fn parts(sources: &[Source]) -> Vec<Part<'_>> {
    let mut parts: Vec<Part<'_>> = vec![sources.iter().map(|it| (it, it.hunks.clone())).collect()];
    if sources.len() > 1 {
        parts.extend(sources.iter().map(|it| vec![(it, it.hunks.clone())]));
    }
    for source in sources.iter().filter(|it| it.hunks.len() > 1) {
        parts.extend(source.hunks.iter().map(|hunk| vec![(source, vec![hunk.clone()])]));
    }
    parts
}

/// What one attempt says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// These tests passed at the head, and are reported failed.
    Noticed(Vec<String>),
    NotNoticed,
    Inconclusive(String),
}

impl Answer {
    /// What this run and another of the same part say together: a test that fails
    /// only sometimes notices nothing.
    pub fn and(self, other: Answer) -> Answer {
        match (self, other) {
            (Answer::Noticed(mut tests), Answer::Noticed(others)) => {
                tests.retain(|it| others.contains(it));
                match tests.first() {
                    Some(_) => Answer::Noticed(tests),
                    None => {
                        let why = "no test fails each time without the lines, only some at times";
                        Answer::Inconclusive(why.to_owned())
                    }
                }
            }
            (Answer::Noticed(_), other) => other,
            (answer @ (Answer::NotNoticed | Answer::Inconclusive(_)), _) => answer,
        }
    }
}

/// Compares what the reports say at the head and without a part of it. What
/// failed in an earlier attempt at the head, though the run passed, fails at
/// times and says nothing.
pub fn compare(head: &Names, without: &Names, exit: Option<i32>) -> Answer {
    let noticed: Vec<String> = head.passed.intersection(&without.failed).cloned().collect();
    if !noticed.is_empty() {
        return Answer::Noticed(noticed);
    }
    if let Some(missing) = head.passed.difference(&without.passed).next() {
        return Answer::Inconclusive(format!("`{missing}` is not reported without the lines"));
    }
    let at_times = !without.failed.is_empty() && without.failed.is_subset(&head.failed);
    match exit {
        Some(0) => Answer::NotNoticed,
        Some(_) if at_times => Answer::NotNoticed,
        Some(_) | None => {
            Answer::Inconclusive("the command fails, and no test is reported failed".to_owned())
        }
    }
}

/// What a run says about the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Result {
    Noticed,
    NotNoticed,
    Inconclusive,
}

impl Result {
    /// Every result.
    pub const ALL: &[Result] = &[Result::Noticed, Result::NotNoticed, Result::Inconclusive];

    /// The word of records.
    pub fn word(self) -> &'static str {
        match self {
            Result::Noticed => "noticed",
            Result::NotNoticed => "not-noticed",
            Result::Inconclusive => "inconclusive",
        }
    }
}

/// What a run's record keeps of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// [`Subject::digest`].
    pub subject: String,
    pub result: Result,
    /// Some of the tests that noticed.
    pub tests: Vec<String>,
    /// The hunks that were taken out: those that were noticed, or those that were not.
    pub hunks: Vec<(RepoPath, LineRange)>,
    /// Why it is inconclusive.
    pub why: Option<String>,
    /// How often the tests ran for it, and how long, in milliseconds.
    pub attempts: u64,
    pub duration_ms: u64,
}

/// Puts the attempts together, in the order of [`parts`]. One noticed part is
/// enough; otherwise what was not noticed counts once no part was inconclusive.
pub fn conclude(subject: &str, parts: &[Part<'_>], answers: &[Answer]) -> Proof {
    let of = |part: &Part<'_>| -> Vec<(RepoPath, LineRange)> {
        let hunks = part.iter().flat_map(|(source, hunks)| {
            hunks.iter().map(|hunk| (source.path.clone(), hunk.lines()))
        });
        hunks.take(MAX_HUNKS).collect()
    };
    let mut proof = Proof {
        subject: subject.to_owned(),
        result: Result::NotNoticed,
        tests: Vec::new(),
        hunks: Vec::new(),
        why: None,
        attempts: answers.len() as u64,
        duration_ms: 0,
    };
    for (part, answer) in parts.iter().zip(answers) {
        match answer {
            Answer::Noticed(tests) => {
                let tests = tests.iter().take(MAX_NAMED).cloned().collect();
                let hunks = of(part);
                return Proof { result: Result::Noticed, tests, hunks, why: None, ..proof };
            }
            Answer::NotNoticed => {
                proof.hunks.extend(of(part));
                // Nothing fails without all of it: its parts need not be asked.
                if proof.attempts == 1 {
                    return proof;
                }
            }
            Answer::Inconclusive(why) => {
                // Of the whole, the parts say more.
                if answers.len() == 1 || parts.len() == 1 || proof.why.is_none() {
                    proof.why = Some(why.clone());
                }
                proof.result = Result::Inconclusive;
            }
        }
    }
    let seen: BTreeSet<_> = order::set(std::mem::take(&mut proof.hunks));
    proof.hunks = seen.into_iter().take(MAX_HUNKS).collect();
    proof
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(lines: &[(u64, u64)], whole: bool) -> SubjectFile {
        let oid = Oid::parse(&"1".repeat(40));
        SubjectFile {
            path: RepoPath::new("a"),
            old: oid.clone(),
            new: oid,
            lines: lines.iter().map(|&(start, end)| LineRange { start, end }).collect(),
            whole,
        }
    }

    /// What is left without the assisted hunks, then without each alone.
    #[track_caller]
    fn check(old: &str, new: &str, lines: &[(u64, u64)], whole: bool, expected: &[&str]) {
        let bytes = |text: &str| Some(text.as_bytes().to_vec());
        let Some(source) = Source::new(&file(lines, whole), bytes(old), bytes(new)) else {
            assert!(expected.is_empty());
            return;
        };
        let sources = [source];
        let texts: Vec<String> = parts(&sources)
            .iter()
            .map(|part| {
                let (source, hunks) = &part[0];
                String::from_utf8(source.without(hunks).unwrap()).unwrap()
            })
            .collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn only_assisted_hunks_are_taken_out() {
        check("a\nb\nc\n", "a\nB\nc\n", &[(2, 2)], false, &["a\nb\nc\n"]);
        check("a\nb\nc\n", "A\nb\nC\n", &[(3, 3)], false, &["A\nb\nc\n"]);
        check(
            "a\nb\nc\n",
            "A\nb\nC\nd\n",
            &[(1, 4)],
            true,
            &["a\nb\nc\n", "a\nb\nC\nd\n", "A\nb\nc\n"],
        );
        // A line that is gone is an agent's where nobody else touched the file.
        check("a\nb\n", "a\n", &[], true, &["a\nb\n"]);
        check("a\nb\n", "a\n", &[], false, &[]);
        check("a", "a\nb", &[(1, 2)], false, &["a"]);
    }

    fn names(passed: &[&str], failed: &[&str]) -> Names {
        let set = |it: &[&str]| it.iter().map(|it| (*it).to_owned()).collect();
        Names { passed: set(passed), failed: set(failed) }
    }

    #[test]
    fn only_a_reported_failure_is_proof() {
        let head = names(&["a", "b"], &[]);
        let check = |without: Names, exit, expected: &str| {
            let answer = compare(&head, &without, exit);
            assert!(format!("{answer:?}").starts_with(expected), "{answer:?}");
        };
        check(names(&["a"], &["b"]), Some(1), "Noticed([\"b\"])");
        check(names(&["a", "b"], &[]), Some(0), "NotNoticed");
        check(names(&["a", "b"], &["new"]), Some(1), "Inconclusive");
        check(names(&["a"], &[]), Some(0), "Inconclusive");
        check(names(&[], &[]), Some(101), "Inconclusive");
        check(names(&["a", "b"], &[]), None, "Inconclusive");
        // `c` failed at the head before it passed.
        let head = names(&["a", "b"], &["c"]);
        let check = |without: Names, exit, expected: &str| {
            let answer = compare(&head, &without, exit);
            assert!(format!("{answer:?}").starts_with(expected), "{answer:?}");
        };
        check(names(&["a", "b"], &["c"]), Some(1), "NotNoticed");
        check(names(&["a"], &["b", "c"]), Some(1), "Noticed([\"b\"])");
        check(names(&["a", "b"], &["c", "new"]), Some(1), "Inconclusive");
    }

    #[test]
    fn a_test_that_fails_at_times_notices_nothing() {
        let noticed =
            |tests: &[&str]| Answer::Noticed(tests.iter().map(|it| (*it).to_owned()).collect());
        assert_eq!(noticed(&["a", "b"]).and(noticed(&["b", "c"])), noticed(&["b"]));
        assert_eq!(noticed(&["a"]).and(Answer::NotNoticed), Answer::NotNoticed);
        assert!(matches!(noticed(&["a"]).and(noticed(&["b"])), Answer::Inconclusive(_)));
        assert_eq!(Answer::NotNoticed.and(noticed(&["a"])), Answer::NotNoticed);
    }

    #[test]
    fn one_noticed_part_is_enough() {
        let source = |path: &str| Source {
            path: RepoPath::new(path),
            old: None,
            new: Some(b"x\n".to_vec()),
            hunks: vec![Hunk { old: 0..0, new: 0..1 }],
        };
        let sources = [source("a"), source("b")];
        let parts = parts(&sources);
        assert_eq!(parts.len(), 3);
        let broken = || Answer::Inconclusive("the build breaks".to_owned());
        let check = |answers: &[Answer], expected: Result| {
            assert_eq!(conclude("s", &parts, answers).result, expected, "{answers:?}");
        };
        check(&[Answer::NotNoticed], Result::NotNoticed);
        check(&[broken(), Answer::NotNoticed, Answer::Noticed(vec![])], Result::Noticed);
        check(&[broken(), Answer::NotNoticed, broken()], Result::Inconclusive);
        check(&[broken()], Result::Inconclusive);
    }
}
