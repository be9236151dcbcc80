//! Enough of the assisted added lines are executed by the tests.
//!
//! Of the lines that agents added, those count of which a report has data: a
//! comment, a blank line or a closing brace has none. A file that no report
//! names is unmeasured, which is never "all of it": it blocks, unless it is a
//! test itself or of a kind that nobody measures (documents, settings, data),
//! and no report in use measures any file of that kind either.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Outcome, moved};
use crate::gate::change::{FileChange, LineRange, Oid, RepoPath};
use crate::gate::coverage::measured::{Measured, MeasuredFile, kind_of, write_ranges};
use crate::gate::evidence::{Answer, Evidence};
use crate::gate::language::Languages;
use crate::gate::obligation::{Case, Obligation};
use crate::gate::order;
use crate::gate::policy::{Policy, TestCommand};
use crate::gate::record::Run;
use crate::gate::requirement::Requirement;
use crate::gate::run::{Counting, counting_passes, key};
use crate::gate::verdict::{Code, Finding, State};

/// How many places a verdict names.
const MAX_PLACES: usize = 200;
/// How many lines of a place are shown, and how many characters of a line.
const MAX_EXCERPT: usize = 30;
const MAX_WIDTH: usize = 160;
/// How many files a line of text names.
const NAMED: usize = 3;
/// Of how many files the text is looked up.
const MAX_TEXTS: usize = 200;

/// What is known of the assisted added lines.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    pub files: Vec<FileNumbers>,
    /// Tests whose reports should be there, without a pass that counts.
    pub missing: Vec<String>,
    /// The records that were read.
    pub runs: BTreeSet<String>,
}

/// The assisted added lines of one file.
#[derive(Clone, Debug, Serialize)]
pub struct FileNumbers {
    #[serde(serialize_with = "path_text")]
    pub path: RepoPath,
    /// Executed by a test.
    pub covered: u64,
    /// Not executed by any.
    pub missed: Vec<LineRange>,
    /// Lines without code.
    pub excluded: u64,
    /// Lines that no report tells of, though one should.
    pub unmeasured: Vec<LineRange>,
    /// Why they are unmeasured, or why it is no matter that the file is.
    pub reason: Option<String>,
}

fn path_text<S: serde::Serializer>(path: &RepoPath, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_text())
}

/// The tests whose reports tell of an obligation's files: those that its rule
/// names and that leave a report; where it names none, all that do and whose
/// inputs it touches.
pub fn sources<'p>(policy: &'p Policy, obligation: &Obligation<'_>) -> Vec<&'p TestCommand> {
    let reporting = |test: &&TestCommand| !test.reports.coverage.is_empty();
    let mut named: Vec<&TestCommand> = Vec::new();
    for staged in &obligation.rule.require {
        match &staged.requirement {
            Requirement::Tests(names) => {
                named.extend(names.iter().filter_map(|it| policy.tests.get(it)).filter(reporting));
            }
            Requirement::Approvals(_)
            | Requirement::Coverage(_)
            | Requirement::Preview(_)
            | Requirement::Disclosure => {}
        }
    }
    if !named.is_empty() {
        return named;
    }
    let touched = |test: &&TestCommand| {
        let inputs = test.inputs.as_ref();
        inputs.is_none_or(|it| obligation.files.iter().any(|file| it.matches(&file.path)))
    };
    policy.tests.values().filter(reporting).filter(touched).collect()
}

/// Judges the obligation's files.
pub fn judge(
    case: &Case<'_>,
    obligation: &Obligation<'_>,
    thousandths: u64,
    evidence: &Evidence,
) -> Outcome {
    let numbers = match numbers(case, obligation, evidence) {
        Ok(numbers) => numbers,
        Err(reason) => return Outcome::undecided(Code::CoverageUnmeasured, &reason),
    };
    let unmeasured = numbers.unmeasured();
    // What a test that did not run yet would tell is not held against the change.
    let low = numbers.missing.is_empty() && numbers.is_below(thousandths);
    if !low && unmeasured.is_empty() && numbers.missing.is_empty() {
        return Outcome::satisfied(numbers.describe());
    }
    let mut parts = Vec::new();
    if low {
        let asked = percent(thousandths, 1000);
        parts.push(format!("{} ({asked} asked)", numbers.describe()));
    }
    if !numbers.missing.is_empty() {
        let names = listed(numbers.missing.iter().map(|it| format!("`{it}`")));
        parts.push(format!("{names} has no counted pass for this tree whose report would tell"));
    } else if !unmeasured.is_empty() {
        parts.push(not_measured(&unmeasured));
    }
    let left = |name: &String| super::tests::deferred(case, evidence, name).is_some();
    let deferred = !low && !numbers.missing.is_empty() && numbers.missing.iter().all(left);
    let again = case.next("test");
    let explain = format!("countersign explain {} --rule {}", case.range, obligation.rule.id);
    let next = if numbers.missing.is_empty() { explain } else { again };
    Outcome {
        state: match (low, deferred) {
            (true, _) => State::Failed,
            (false, true) => State::Deferred,
            (false, false) => State::Missing,
        },
        code: match (low, deferred) {
            (true, _) => Code::CoverageLow,
            (false, true) => Code::TestsDeferred,
            (false, false) => Code::CoverageUnmeasured,
        },
        detail: parts.join("; "),
        next: Some(next),
        people: Vec::new(),
    }
}

/// The places that a failed outcome is about, each with its lines.
pub fn places(case: &Case<'_>, obligation: &Obligation<'_>, evidence: &Evidence) -> Vec<Finding> {
    let Ok(numbers) = numbers(case, obligation, evidence) else { return Vec::new() };
    let mut findings = Vec::new();
    if !numbers.missing.is_empty() {
        return findings;
    }
    for file in &numbers.files {
        let text = text_of(case, &file.path, evidence);
        let missed = file.missed.iter().map(|lines| (Code::CoverageLow, lines, "no test executes"));
        let unmeasured = file
            .unmeasured
            .iter()
            .map(|lines| (Code::CoverageUnmeasured, lines, "no report measures"));
        for (code, lines, what) in missed.chain(unmeasured) {
            if findings.len() == MAX_PLACES {
                return findings;
            }
            let finding = Finding::block(code, format!("{what} {}", described(lines)))
                .path(file.path.clone())
                .lines(*lines, excerpt(text, lines));
            findings.push(finding);
        }
    }
    findings
}

/// `line 7`, `lines 7-9`
pub(super) fn described(lines: &LineRange) -> String {
    let noun = if lines.start == lines.end { "line" } else { "lines" };
    format!("{noun} {}", write_ranges(&[*lines]))
}

pub(super) fn excerpt(text: Option<&str>, lines: &LineRange) -> Vec<String> {
    let Some(text) = text else { return Vec::new() };
    let first = usize::try_from(lines.start.saturating_sub(1)).unwrap_or(usize::MAX);
    let count = usize::try_from(lines.lines()).unwrap_or(usize::MAX).min(MAX_EXCERPT);
    let line = |it: &str| it.chars().take(MAX_WIDTH).collect();
    text.lines().skip(first).take(count).map(line).collect()
}

pub(super) fn text_of<'e>(
    case: &Case<'_>,
    path: &RepoPath,
    evidence: &'e Evidence,
) -> Option<&'e str> {
    let file = case.change.files.iter().find(|file| file.path == *path)?;
    evidence.texts.get(&file.new.as_ref()?.oid)?.as_deref().ok()
}

/// The contents that have to be looked at to tell which lines hold code, and to
/// show them.
pub fn texts(
    case: &Case<'_>,
    obligations: &[Obligation<'_>],
    evidence: &Evidence,
) -> BTreeSet<Oid> {
    let mut blobs = BTreeSet::new();
    for obligation in obligations {
        let asks = |it: &crate::gate::policy::StagedRequirement| {
            matches!(it.requirement, Requirement::Coverage(_))
        };
        if !obligation.rule.require.iter().any(asks) {
            continue;
        }
        let Ok(numbers) = numbers(case, obligation, evidence) else { continue };
        let open =
            numbers.files.iter().filter(|it| !it.missed.is_empty() || !it.unmeasured.is_empty());
        for file in open.take(MAX_TEXTS) {
            let change = obligation.files.iter().find(|it| it.path == file.path);
            blobs.extend(change.and_then(|it| it.new.as_ref()).map(|it| it.oid.clone()));
            blobs.extend(change.into_iter().flat_map(|it| moved::texts(case, it)));
        }
    }
    blobs
}

/// Looks every assisted added line up in what the counting runs measured.
pub fn numbers(
    case: &Case<'_>,
    obligation: &Obligation<'_>,
    evidence: &Evidence,
) -> Result<Numbers, String> {
    let mut numbers = Numbers::default();
    let assisted: Vec<(&FileChange, Vec<LineRange>)> = obligation
        .files
        .iter()
        .filter_map(|file| {
            let known = case.attribution.files.get(&file.path)?;
            let lines: Vec<LineRange> = known.ranges.iter().map(|it| it.lines).collect();
            if lines.is_empty() || !is_regular(file) || moved::is_moved(case, file) {
                return None;
            }
            // What was only moved here, nobody wrote now.
            let lines = without(&joined(lines), &joined(moved::lines(case, file, evidence)));
            (!lines.is_empty()).then_some((*file, lines))
        })
        .collect();
    if assisted.is_empty() {
        return Ok(numbers);
    }
    let tests = sources(case.policy, obligation);
    if tests.is_empty() {
        return Err("no `[test.…]` of the policy names a coverage report".to_owned());
    }
    let measured = measured(case, &tests, evidence, &mut numbers)?;
    let kinds: BTreeSet<&str> = order::set(measured.kinds());
    for (file, lines) in assisted {
        numbers.files.push(measured.file(case, &tests, &kinds, file, lines, evidence));
    }
    Ok(numbers)
}

fn is_regular(file: &FileChange) -> bool {
    file.new.as_ref().is_some_and(|entry| entry.mode & 0o170_000 == 0o100_000)
}

/// What all counting runs measured.
struct AllMeasured<'e> {
    runs: Vec<(&'e str, &'e Measured)>,
    /// Tests whose reports could not be read, and why.
    unread: Vec<(String, &'e str)>,
}

fn measured<'e>(
    case: &Case<'_>,
    tests: &[&TestCommand],
    evidence: &'e Evidence,
    numbers: &mut Numbers,
) -> Result<AllMeasured<'e>, String> {
    let ledger = evidence.ledger.as_ref().map_err(Clone::clone)?;
    let counting =
        Counting { policy: case.policy, stage: case.stage, ledger_cuts: &evidence.ledger_cuts };
    let mut all = AllMeasured { runs: Vec::new(), unread: Vec::new() };
    for test in tests {
        let digest = match evidence.inputs.get(&test.name) {
            Some(Ok(digest)) => digest,
            Some(Err(reason)) => return Err(reason.clone()),
            None => return Err(format!("the inputs of `{}` were not looked up", test.name)),
        };
        let passes = counting_passes(&ledger.records, &key(test, digest), test, &counting);
        let before = all.runs.len() + all.unread.len();
        for (id, run) in passes {
            take(&mut all, numbers, id, run);
        }
        if all.runs.len() + all.unread.len() == before {
            numbers.missing.push(test.name.clone());
        }
    }
    Ok(all)
}

fn take<'e>(all: &mut AllMeasured<'e>, numbers: &mut Numbers, id: &'e str, run: &'e Run) {
    match &run.coverage {
        Some(Ok(measured)) => all.runs.push((id, measured)),
        Some(Err(why)) => all.unread.push((run.test.clone(), why)),
        // A run of a version that kept no coverage does not tell.
        None => return,
    }
    numbers.runs.insert(id.to_owned());
}

impl<'e> AllMeasured<'e> {
    fn kinds(&self) -> impl Iterator<Item = &'e str> {
        self.runs.iter().flat_map(|(_, it)| &it.kinds).map(String::as_str)
    }

    fn file(
        &self,
        case: &Case<'_>,
        tests: &[&TestCommand],
        kinds: &BTreeSet<&str>,
        file: &FileChange,
        lines: Vec<LineRange>,
        evidence: &Evidence,
    ) -> FileNumbers {
        let blob = file.new.as_ref().map(|entry| &entry.oid);
        let of_file = |(_, it): &(&str, &'e Measured)| it.files.get(&file.path);
        let known: Vec<&MeasuredFile> =
            self.runs.iter().filter_map(of_file).filter(|it| Some(&it.blob) == blob).collect();
        let mut numbers = FileNumbers {
            path: file.path.clone(),
            covered: 0,
            missed: Vec::new(),
            excluded: 0,
            unmeasured: Vec::new(),
            reason: None,
        };
        if known.is_empty() {
            let kind = kind_of(&file.path);
            let idle = if tests.iter().any(|test| test.is_test(&file.path)) {
                Some("it is a test, and no report measures it")
            } else if Languages::built_in().is_unmeasured(&kind) && !kinds.contains(kind.as_str()) {
                Some("no report measures files of its kind")
            } else {
                None
            };
            let all: u64 = lines.iter().map(LineRange::lines).sum();
            numbers.unmeasured = match idle {
                Some(_) => Vec::new(),
                None => with_code(&kind, lines, text_of(case, &file.path, evidence)),
            };
            let left: u64 = numbers.unmeasured.iter().map(LineRange::lines).sum();
            numbers.excluded = all - left;
            numbers.reason = Some(match idle {
                Some(idle) => idle.to_owned(),
                None if left == 0 => "no line of it holds code".to_owned(),
                None => self.why_unmeasured(&file.path),
            });
            return numbers;
        }
        let covered = joined(known.iter().flat_map(|it| it.covered.clone()).collect());
        let missed = joined(known.iter().flat_map(|it| it.missed.clone()).collect());
        let total: u64 = lines.iter().map(LineRange::lines).sum();
        numbers.covered = common(&lines, &covered).iter().map(LineRange::lines).sum();
        numbers.missed = without(&common(&lines, &missed), &covered);
        let missed: u64 = numbers.missed.iter().map(LineRange::lines).sum();
        numbers.excluded = total - numbers.covered - missed;
        numbers
    }

    fn why_unmeasured(&self, path: &RepoPath) -> String {
        if let Some((test, why)) = self.unread.first() {
            return format!("the report of `{test}` could not be read: {why}");
        }
        let text = path.to_text();
        let last = text.rsplit('/').next().unwrap_or_default();
        let unclear = self.runs.iter().flat_map(|(_, it)| &it.unclear);
        let similar = |name: &str| name.rsplit(['/', '\\']).next() == Some(last);
        if let Some(it) = unclear.clone().find(|it| similar(&it.name)) {
            return format!("a report names `{}`: {}", it.name, it.why);
        }
        if self.runs.iter().any(|(_, it)| it.files.contains_key(path)) {
            return "the reports are about another content of it".to_owned();
        }
        if let Some((_, it)) = self.runs.iter().find(|(_, it)| it.omitted > 0) {
            return format!(
                "the record left {} files out for their size; run the tests for this range",
                it.omitted
            );
        }
        "no report names it".to_owned()
    }
}

impl Numbers {
    /// Lines that were executed.
    pub fn covered(&self) -> u64 {
        self.files.iter().map(|it| it.covered).sum()
    }

    /// Lines with data that were not.
    pub fn missed(&self) -> u64 {
        self.files.iter().flat_map(|it| &it.missed).map(LineRange::lines).sum()
    }

    fn unmeasured(&self) -> Vec<&FileNumbers> {
        self.files.iter().filter(|it| !it.unmeasured.is_empty()).collect()
    }

    /// Whether fewer lines are covered than asked.
    fn is_below(&self, thousandths: u64) -> bool {
        let (covered, measured) = (self.covered(), self.covered() + self.missed());
        u128::from(covered) * 1000 < u128::from(thousandths) * u128::from(measured)
    }

    /// All numbers in one line.
    pub fn describe(&self) -> String {
        let (covered, missed) = (self.covered(), self.missed());
        if self.files.is_empty() {
            return "no assisted line was added".to_owned();
        }
        let excluded: u64 = self.files.iter().map(|it| it.excluded).sum();
        let unmeasured: u64 =
            self.files.iter().flat_map(|it| &it.unmeasured).map(LineRange::lines).sum();
        let mut text = if covered + missed == 0 {
            "no assisted line is measured".to_owned()
        } else {
            let whole = covered + missed;
            let part = percent(covered, whole);
            format!("tests execute {covered} of {whole} assisted lines, {part}")
        };
        if unmeasured > 0 {
            text.push_str(&format!(", {unmeasured} not measured"));
        }
        if excluded > 0 {
            text.push_str(&format!(", {excluded} without code"));
        }
        text
    }
}

/// Of each unmeasured file, how many lines and why.
fn not_measured(files: &[&FileNumbers]) -> String {
    let one = |file: &&FileNumbers| {
        let count: u64 = file.unmeasured.iter().map(LineRange::lines).sum();
        let noun = if count == 1 { "line" } else { "lines" };
        let why = file.reason.as_deref().unwrap_or("no report names it");
        format!("{} ({count} assisted {noun}: {why})", file.path.to_display())
    };
    format!("not measured: {}", listed(files.iter().map(one)))
}

fn listed(names: impl ExactSizeIterator<Item = String>) -> String {
    let more = names.len().saturating_sub(NAMED);
    let mut text = names.take(NAMED).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// `77.5 %`, rounded down, so that what is too low never reads as enough.
fn percent(part: u64, whole: u64) -> String {
    let tenths = u128::from(part) * 1000 / u128::from(whole.max(1));
    if tenths % 10 == 0 {
        format!("{} %", tenths / 10)
    } else {
        format!("{}.{} %", tenths / 10, tenths % 10)
    }
}

/// The lines that may hold code, as far as the text tells.
fn with_code(kind: &str, lines: Vec<LineRange>, text: Option<&str>) -> Vec<LineRange> {
    let Some(text) = text else { return lines };
    let texts: Vec<&str> = text.lines().collect();
    let languages = Languages::built_in();
    let holds_code = |line: &u64| {
        let at = usize::try_from(line - 1).unwrap_or(usize::MAX);
        texts.get(at).is_none_or(|text| !languages.is_without_code(kind, text))
    };
    let left = lines.iter().flat_map(|it| it.start..=it.end).filter(holds_code);
    joined(left.map(|line| LineRange { start: line, end: line }).collect())
}

/// The same lines in order, neighbours put together.
fn joined(mut ranges: Vec<LineRange>) -> Vec<LineRange> {
    order::sort(&mut ranges);
    let mut result: Vec<LineRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match result.last_mut() {
            Some(last) if range.start <= last.end + 1 => last.end = last.end.max(range.end),
            Some(_) | None => result.push(range),
        }
    }
    result
}

/// Lines of both; both are in order.
fn common(one: &[LineRange], other: &[LineRange]) -> Vec<LineRange> {
    let (mut left, mut right) = (one.iter().peekable(), other.iter().peekable());
    let mut result = Vec::new();
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let (start, end) = (a.start.max(b.start), a.end.min(b.end));
        if start <= end {
            result.push(LineRange { start, end });
        }
        if a.end <= b.end {
            left.next();
        } else {
            right.next();
        }
    }
    result
}

/// Lines of the first that are not of the second; both are in order.
fn without(one: &[LineRange], other: &[LineRange]) -> Vec<LineRange> {
    let mut result = Vec::new();
    for range in one {
        let mut start = range.start;
        for hole in common(&[*range], other) {
            if hole.start > start {
                result.push(LineRange { start, end: hole.start - 1 });
            }
            start = hole.end + 1;
        }
        if start <= range.end {
            result.push(LineRange { start, end: range.end });
        }
    }
    result
}

/// Whether a recorded run tells all that a later judgement of these files asks.
pub fn tells(coverage: Option<&Answer<Measured>>, test: &TestCommand, files: &[RepoPath]) -> bool {
    test.reports.coverage.is_empty()
        || matches!(coverage, Some(Ok(measured)) if measured.answers_for(files.iter()))
}
