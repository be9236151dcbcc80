//! The mutation proof: a language's own tool changes the assisted lines, and the
//! tests have to notice. What comes of each mutant is read from the tool's
//! report, a format a file, found by content.

pub mod cargo_mutants;
pub mod elements;
pub mod infection;
pub mod mutmut;
pub mod mutmut_show;
pub mod pit;
mod xml;

use serde_json::Value;

use super::change::{LineRange, RepoPath, printable};
use super::proof::{Proof, Result as ProofResult, Source};
use crate::gate::order;

/// How many ranges of lines with surviving mutants a proof names.
const MAX_SURVIVORS: usize = 100;
/// How many characters of a mutant's description are kept.
const MAX_SHOWN: usize = 120;

/// What came of one mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// As the report names the file.
    pub file: String,
    pub place: Place,
    /// What was changed.
    pub what: String,
    pub fate: Fate,
}

/// Where a mutant is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// These lines of the file.
    Lines(LineRange),
    /// Where these lines stand in a function.
    Passage(Passage),
}

/// Lines of a function, as a report quotes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    pub function: String,
    /// Which line of the function the first of them is, from 1.
    pub first: u64,
    /// Without the space around them.
    pub lines: Vec<String>,
    /// Which of them the mutant changes, from 0.
    pub changed: std::ops::RangeInclusive<usize>,
}

/// Whether the tests noticed a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A test failed.
    Killed,
    /// Nothing failed, or no test executes it.
    Survived,
    /// The tests did not end in time: neither.
    TimedOut,
    /// It could not be built, or was left out on purpose: neither.
    Unusable,
    /// The tool ended, or failed, before it was tried.
    Untried,
}

/// What a report may be.
const KNOWN: &str = "cargo-mutants, Stryker, Infection, PIT and mutmut";

/// Reads a report.
pub fn parse(bytes: &[u8]) -> Result<Vec<Mutant>, String> {
    let bytes = bytes.trim_ascii_start();
    if bytes.starts_with(b"<") {
        return xml::parse(&String::from_utf8_lossy(bytes));
    }
    if bytes.starts_with(b"# ") {
        return mutmut_show::read(&String::from_utf8_lossy(bytes));
    }
    let document: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let known = cargo_mutants::read(&document)
        .or_else(|| elements::read(&document))
        .or_else(|| infection::read(&document));
    known.ok_or_else(|| format!("it is none of {KNOWN}"))
}

/// What a report says of the assisted hunks. A mutant with which the tests do
/// not end is noticed, as in every one of these tools' own counts, but it alone
/// is no proof: a slow machine looks the same.
pub fn conclude(subject: &str, sources: &[Source], report: Result<Vec<Mutant>, String>) -> Proof {
    let mut proof = Proof {
        subject: subject.to_owned(),
        result: ProofResult::Inconclusive,
        tests: Vec::new(),
        hunks: Vec::new(),
        why: None,
        attempts: 0,
        duration_ms: 0,
    };
    let mutants = match report {
        Ok(mutants) => mutants,
        Err(why) => return Proof { why: Some(why), ..proof },
    };
    let (mut killed, mut timed_out, mut untried) = (0, 0, 0);
    let mut survivors = Vec::new();
    for mutant in &mutants {
        let Some((path, lines)) = place(mutant, sources) else { continue };
        match mutant.fate {
            Fate::Killed => killed += 1,
            Fate::TimedOut => timed_out += 1,
            Fate::Unusable => {}
            Fate::Untried => untried += 1,
            Fate::Survived => {
                if proof.why.is_none() {
                    proof.why = Some(shown(mutant));
                }
                survivors.push((path.clone(), lines));
            }
        }
    }
    proof.hunks = joined(survivors);
    proof.hunks.truncate(MAX_SURVIVORS);
    proof.attempts = killed + timed_out;
    if !proof.hunks.is_empty() {
        proof.result = ProofResult::NotNoticed;
    } else if untried > 0 {
        proof.why = Some(format!("the tool did not try {}", counted(untried)));
    } else if killed > 0 {
        proof.result = ProofResult::Noticed;
    } else if timed_out > 0 {
        proof.why = Some(format!("the tests did not end with {}", counted(timed_out)));
    } else {
        proof.why = Some("the tool tried no mutant of the assisted lines".to_owned());
    }
    proof
}

/// Lines in order, those that touch as one range.
fn joined(mut places: Vec<(RepoPath, LineRange)>) -> Vec<(RepoPath, LineRange)> {
    order::sort(&mut places);
    let mut joined: Vec<(RepoPath, LineRange)> = Vec::new();
    for (path, lines) in places {
        match joined.last_mut() {
            Some((last, range)) if *last == path && lines.start <= range.end + 1 => {
                range.end = range.end.max(lines.end);
            }
            Some(_) | None => joined.push((path, lines)),
        }
    }
    joined
}

/// Whether a report has a reason for its tool to fail: not every mutant was killed.
pub fn has_losses(mutants: &[Mutant]) -> bool {
    mutants.iter().any(|it| it.fate != Fate::Killed)
}

fn counted(mutants: u64) -> String {
    if mutants == 1 { "a mutant".to_owned() } else { format!("{mutants} mutants") }
}

/// The file whose assisted hunks a mutant lies in, and which of their lines.
fn place<'a>(mutant: &Mutant, sources: &'a [Source]) -> Option<(&'a RepoPath, LineRange)> {
    let named = mutant.file.replace('\\', "/");
    let is_named = |path: &RepoPath| {
        let path = path.to_text();
        let ends = |long: &str, short: &str| {
            long.strip_suffix(short).is_some_and(|it| it.is_empty() || it.ends_with('/'))
        };
        // Reports name files from the root or from their package, or by the whole path.
        ends(&path, named.trim_start_matches("./")) || ends(&named, &path)
    };
    let within = |source: &Source, lines: &LineRange| {
        let hunks = source.hunks.iter().map(super::proof::Hunk::lines);
        hunks.into_iter().find_map(|hunk| {
            let (start, end) = (hunk.start.max(lines.start), hunk.end.min(lines.end));
            (start <= end).then_some(LineRange { start, end })
        })
    };
    sources.iter().filter(|it| is_named(&it.path)).find_map(|source| {
        let places = match &mutant.place {
            Place::Lines(lines) => vec![*lines],
            Place::Passage(passage) => passage.find(&source.new_lines()),
        };
        places.iter().find_map(|it| within(source, it)).map(|lines| (&source.path, lines))
    })
}

impl Passage {
    /// Where the changed lines stand in a file: everywhere where these lines stand
    /// as many lines below the beginning of a function of that name.
    fn find(&self, file: &[&[u8]]) -> Vec<LineRange> {
        let file: Vec<_> = file.iter().map(|it| String::from_utf8_lossy(it.trim_ascii())).collect();
        let above = usize::try_from(self.first.saturating_sub(1)).unwrap_or(usize::MAX);
        let stands = |at: usize| {
            let these = file.iter().skip(at).zip(&self.lines);
            at + self.lines.len() <= file.len()
                && these.into_iter().all(|(there, line)| there == line.as_str())
                && at.checked_sub(above).is_some_and(|begin| self.begins(&file[begin..]))
        };
        let line = |at: usize| at as u64 + 1;
        let places = (0..file.len()).filter(|at| !self.lines.is_empty() && stands(*at));
        let lines = places.map(|at| LineRange {
            start: line(at + self.changed.start()),
            end: line(at + self.changed.end()),
        });
        lines.collect()
    }

    /// Whether the function begins here, after what belongs to it above its name.
    fn begins(&self, lines: &[std::borrow::Cow<'_, str>]) -> bool {
        let above = |it: &&std::borrow::Cow<'_, str>| {
            it.is_empty() || it.starts_with('@') || it.starts_with('#')
        };
        let named = |it: &std::borrow::Cow<'_, str>| {
            let rest = it.strip_prefix("async ").unwrap_or(it).strip_prefix("def ");
            let rest = rest.and_then(|it| it.trim_start().strip_prefix(self.function.as_str()));
            rest.is_some_and(|it| it.trim_start().starts_with(['(', '[']))
        };
        lines.iter().find(|it| !above(it)).is_some_and(named)
    }
}

fn shown(mutant: &Mutant) -> String {
    printable(&mutant.what.replace('\n', " ").chars().take(MAX_SHOWN).collect::<String>())
}

/// Lines of a report, from 1; where it names no end, one line.
fn lines(start: u64, end: Option<u64>) -> Place {
    Place::Lines(LineRange { start, end: end.unwrap_or(start).max(start) })
}

/// The assisted hunks as a unified diff without context, as cargo-mutants'
/// `--in-diff` reads it.
pub fn diff(sources: &[Source]) -> Vec<u8> {
    let mut diff = Vec::new();
    for source in sources {
        let path = source.path.to_text();
        diff.extend_from_slice(format!("--- a/{path}\n+++ b/{path}\n").as_bytes());
        for hunk in &source.hunks {
            let (old, new) = source.sides(hunk);
            let from = |range: &std::ops::Range<usize>| {
                let start = if range.is_empty() { range.start } else { range.start + 1 };
                format!("{start},{}", range.len())
            };
            let (removed, added) = hunk.ranges();
            let header = format!("@@ -{} +{} @@\n", from(removed), from(added));
            diff.extend_from_slice(header.as_bytes());
            for (sign, lines) in [(b'-', old), (b'+', new)] {
                for line in lines {
                    diff.push(sign);
                    diff.extend_from_slice(line);
                    if !line.ends_with(b"\n") {
                        diff.extend_from_slice(b"\n\\ No newline at end of file\n");
                    }
                }
            }
        }
    }
    diff
}

/// The assisted hunks as `path:from-to`, as StrykerJS's `--mutate` reads them.
pub fn ranges(sources: &[Source]) -> Vec<String> {
    let of_source = |source: &Source| -> Vec<String> {
        let lines = source.hunks.iter().filter(|hunk| !hunk.ranges().1.is_empty());
        let lines = lines.map(|hunk| hunk.lines());
        lines.map(|it| format!("{}:{}-{}", source.path.to_text(), it.start, it.end)).collect()
    };
    sources.iter().flat_map(of_source).collect()
}

/// The files that hold assisted lines.
pub fn files(sources: &[Source]) -> Vec<String> {
    let some = sources.iter().filter(|it| it.hunks.iter().any(|hunk| !hunk.ranges().1.is_empty()));
    some.map(|it| it.path.to_text()).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::change::Oid;
    use super::super::proof::SubjectFile;
    use super::*;

    fn at(place: &Place) -> String {
        match place {
            Place::Lines(it) if it.start == it.end => it.start.to_string(),
            Place::Lines(it) => format!("{}-{}", it.start, it.end),
            Place::Passage(it) => {
                format!("{}+{}: {:?}", it.function, it.first, &it.lines[it.changed.clone()])
            }
        }
    }

    #[track_caller]
    fn check(report: &str, expected: &[&str]) {
        let found: Vec<String> = match parse(report.as_bytes()) {
            Ok(mutants) => mutants
                .iter()
                .map(|it| format!("{:?} {}:{} {}", it.fate, it.file, at(&it.place), it.what))
                .collect(),
            Err(error) => vec![error],
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn cargo_mutants_outcomes() {
        let mutant = |line: u64, summary: &str| {
            format!(
                r#"{{"scenario":{{"Mutant":{{"name":"src/lib.rs:{line}:5: replace total -> u32 with 0","package":"shop","file":"src/lib.rs","function":{{"function_name":"total","return_type":"-> u32","span":{{"start":{{"line":1,"column":1}},"end":{{"line":4,"column":2}}}}}},"span":{{"start":{{"line":{line},"column":5}},"end":{{"line":{line},"column":9}}}},"replacement":"0","genre":"FnValue"}}}},"summary":"{summary}","log_path":"log/x.log","diff_path":null,"phase_results":[]}}"#
            )
        };
        let report = format!(
            r#"{{"outcomes":[{{"scenario":"Baseline","summary":"Success","log_path":"log/baseline.log","phase_results":[]}},{},{},{},{}],"total_mutants":4,"missed":1,"caught":1,"timeout":1,"unviable":1,"success":0}}"#,
            mutant(2, "CaughtMutant"),
            mutant(3, "MissedMutant"),
            mutant(4, "Timeout"),
            mutant(5, "Unviable")
        );
        check(
            &report,
            &[
                "Killed src/lib.rs:2 replace total -> u32 with 0",
                "Survived src/lib.rs:3 replace total -> u32 with 0",
                "TimedOut src/lib.rs:4 replace total -> u32 with 0",
                "Unusable src/lib.rs:5 replace total -> u32 with 0",
            ],
        );
    }

    #[test]
    fn stryker_s_elements() {
        check(
            r#"{"schemaVersion":"1.0","thresholds":{"high":80,"low":60,"break":null},"files":{"src/cart.js":{"language":"javascript","source":"…","mutants":[
                {"id":"0","mutatorName":"ArithmeticOperator","replacement":"a - b","status":"Survived","location":{"start":{"line":2,"column":10},"end":{"line":2,"column":15}}},
                {"id":"1","mutatorName":"BlockStatement","replacement":"{}","status":"Killed","location":{"start":{"line":1,"column":25},"end":{"line":3,"column":2}}},
                {"id":"2","mutatorName":"StringLiteral","replacement":"\"\"","status":"NoCoverage","location":{"start":{"line":7,"column":1},"end":{"line":7,"column":4}}},
                {"id":"3","mutatorName":"StringLiteral","status":"Timeout","location":{"start":{"line":8,"column":1},"end":{"line":8,"column":4}}},
                {"id":"4","mutatorName":"StringLiteral","status":"Ignored","location":{"start":{"line":9,"column":1},"end":{"line":9,"column":4}}}]}}}"#,
            &[
                "Survived src/cart.js:2 ArithmeticOperator: a - b",
                "Killed src/cart.js:1-3 BlockStatement: {}",
                "Survived src/cart.js:7 StringLiteral: \"\"",
                "TimedOut src/cart.js:8 StringLiteral",
                "Unusable src/cart.js:9 StringLiteral",
            ],
        );
    }

    #[test]
    fn infection_s_json() {
        check(
            r#"{"stats":{"totalMutantsCount":2,"killedCount":1,"escapedCount":1,"msi":50},
                "escaped":[{"mutator":{"mutatorName":"Plus","originalSourceCode":"…","mutatedSourceCode":"…","originalFilePath":"/app/src/Cart.php","originalStartLine":9},"diff":"--- Original\n+++ New\n","processOutput":""}],
                "timeouted":[],"killed":[{"mutator":{"mutatorName":"ReturnRemoval","originalFilePath":"/app/src/Cart.php","originalStartLine":10},"diff":"","processOutput":""}],"errored":[],"uncovered":[]}"#,
            &["Killed /app/src/Cart.php:10 ReturnRemoval", "Survived /app/src/Cart.php:9 Plus"],
        );
    }

    #[test]
    fn pit_s_xml() {
        check(
            r#"<?xml version="1.0" encoding="UTF-8"?><mutations partial="true">
<mutation detected='true' status='KILLED' numberOfTestsRun='1'><sourceFile>Cart.java</sourceFile><mutatedClass>com.shop.Cart$Line</mutatedClass><mutatedMethod>total</mutatedMethod><methodDescription>()I</methodDescription><lineNumber>7</lineNumber><mutator>org.pitest.mutationtest.engine.gregor.mutators.MathMutator</mutator><description>Replaced integer addition with subtraction</description></mutation>
<mutation detected='false' status='SURVIVED' numberOfTestsRun='1'><sourceFile>Cart.java</sourceFile><mutatedClass>com.shop.Cart</mutatedClass><lineNumber>9</lineNumber><killingTest/><description>negated conditional</description></mutation>
<mutation detected='false' status='NO_COVERAGE'><sourceFile>A.java</sourceFile><mutatedClass>A</mutatedClass><mutatedMethod>&#60;init&#62;</mutatedMethod><lineNumber>1</lineNumber><description>x &#60; y &lt; z</description></mutation>
<mutation detected='false' status='RUN_ERROR' numberOfTestsRun='0'><sourceFile>&#214;l.java</sourceFile><mutatedClass>&#246;l.&#214;l</mutatedClass><lineNumber>3</lineNumber></mutation>
<mutation detected='true' status='TIMED_OUT'><sourceFile>A.java</sourceFile><mutatedClass>A</mutatedClass><lineNumber>2</lineNumber></mutation></mutations>"#,
            &[
                "Killed com/shop/Cart.java:7 Replaced integer addition with subtraction",
                "Survived com/shop/Cart.java:9 negated conditional",
                "Survived A.java:1 x < y < z",
                "Untried öl/Öl.java:3 ",
                "TimedOut A.java:2 ",
            ],
        );
    }

    #[test]
    fn mutmut_s_junit() {
        check(
            r#"<testsuites><testsuite name="mutmut" tests="3" failures="1"><testcase name="Mutant #1" file="src/cart.py" line="2"/><testcase name="Mutant #2" file="src/cart.py" line="3"><failure type="failure" message="bad_survived">diff</failure></testcase><testcase name="Mutant #3" file="src/cart.py" line="4"><error type="error" message="bad_timeout"/></testcase></testsuite></testsuites>"#,
            &[
                "Killed src/cart.py:2 Mutant #1",
                "Survived src/cart.py:3 Mutant #2",
                "TimedOut src/cart.py:4 Mutant #3",
            ],
        );
    }

    #[test]
    fn mutmut_2_without_mutants() {
        check("<testsuites><testsuite name=\"mutmut\" tests=\"0\"/></testsuites>", &[]);
        check(
            r#"<testsuite name="mutmut"><testcase name="Mutant #1" file="a.py" line="2"><error type="error" message="untested"/></testcase></testsuite>"#,
            &["Untried a.py:2 Mutant #1"],
        );
    }

    /// A function's lines are found where it stands, below what decorates it.
    #[test]
    fn mutmut_3_s_functions() {
        let shown = |name: &str, word: &str| {
            format!(
                "# shop.{name}__mutmut_7: {word}\n--- src/shop.py\n+++ src/shop.py\n@@ -2,3 +2,3 @@\n     if it:\n-        return it + 1\n+        return it - 1\n     return 0\n"
            )
        };
        let report = shown("xǁCartǁadd", "survived") + &shown("x_sum", "no tests");
        check(
            &report,
            &[
                "Survived src/shop.py:add+2: [\"return it + 1\"] return it - 1",
                "Survived src/shop.py:sum+2: [\"return it + 1\"] return it - 1",
            ],
        );
        for (word, fate) in [
            ("killed", Fate::Killed),
            ("caught by type check", Fate::Killed),
            ("timeout", Fate::TimedOut),
            ("segfault", Fate::Unusable),
            ("not checked", Fate::Untried),
            ("check was interrupted by user", Fate::Untried),
        ] {
            assert_eq!(parse(shown("x_sum", word).as_bytes()).unwrap()[0].fate, fate, "{word}");
        }
        let body = "    if it:\n        return it + 1\n    return 0\n";
        let class = |name: &str| {
            let body = body.replace("    ", "        ");
            format!("    @cached\n\n    # adds\n    def {name}(self, it):\n{body}")
        };
        let text = format!(
            "def add_all(it):\n{body}class Cart:\n{}{}async def sum(it):\n{body}",
            class("other"),
            class("add")
        );
        let lines: Vec<&[u8]> = text.lines().map(str::as_bytes).collect();
        let found = |name: &str| {
            let mutants = parse(shown(name, "killed").as_bytes()).unwrap();
            let Place::Passage(passage) = &mutants[0].place else { panic!("{mutants:?}") };
            passage.find(&lines).iter().map(|it| it.start).collect::<Vec<u64>>()
        };
        let named = |line: &str| {
            let at = text.lines().position(|it| it.trim().starts_with(line)).unwrap();
            vec![at as u64 + 3]
        };
        assert_eq!(found("x_sum"), named("async def sum("));
        assert_eq!(found("xǁCartǁadd"), named("def add(self"));
        assert_eq!(found("x_total"), [0; 0]);
    }

    #[test]
    fn other_files_are_refused() {
        let none = format!("it is none of {KNOWN}");
        for other in ["{}", "<coverage/>", "# Change log\n", "# a: b\n# c: d\n"] {
            check(other, &[&none]);
        }
        check("", &["EOF while parsing a value at line 1 column 0"]);
    }

    fn source() -> Vec<Source> {
        let file = SubjectFile {
            path: RepoPath::new("shop/src/lib.rs"),
            old: Oid::parse(&"1".repeat(40)),
            new: Oid::parse(&"2".repeat(40)),
            lines: vec![LineRange { start: 2, end: 3 }],
            whole: false,
        };
        let bytes = |text: &str| Some(text.as_bytes().to_vec());
        Source::new(&file, bytes("a\nb\nd\ne\n"), bytes("a\nB\nC\nd\nE\n")).into_iter().collect()
    }

    #[test]
    fn only_mutants_of_assisted_lines_count() {
        let mutant = |line: u64, fate: Fate| Mutant {
            file: "src/lib.rs".to_owned(),
            place: lines(line, None),
            what: "x".to_owned(),
            fate,
        };
        let check = |mutants: &[(u64, Fate)], expected: ProofResult, hunks: usize| {
            let mutants = mutants.iter().map(|(line, fate)| mutant(*line, *fate)).collect();
            let proof = conclude("s", &source(), Ok(mutants));
            assert_eq!((proof.result, proof.hunks.len()), (expected, hunks), "{proof:?}");
        };
        check(&[(2, Fate::Killed), (5, Fate::Survived)], ProofResult::Noticed, 0);
        check(&[(2, Fate::Killed), (3, Fate::Survived)], ProofResult::NotNoticed, 1);
        check(&[(2, Fate::Killed), (3, Fate::TimedOut)], ProofResult::Noticed, 0);
        check(&[(3, Fate::TimedOut)], ProofResult::Inconclusive, 0);
        check(&[(2, Fate::Killed), (3, Fate::Untried)], ProofResult::Inconclusive, 0);
        check(&[(2, Fate::Survived), (3, Fate::Untried)], ProofResult::NotNoticed, 1);
        check(&[(2, Fate::Unusable)], ProofResult::Inconclusive, 0);
        check(&[], ProofResult::Inconclusive, 0);
        // Lines that touch are one range; of a function's body, the assisted lines.
        check(&[(3, Fate::Survived), (2, Fate::Survived)], ProofResult::NotNoticed, 1);
        let body = Mutant { place: lines(1, Some(5)), ..mutant(1, Fate::Survived) };
        let proof = conclude("s", &source(), Ok(vec![body]));
        assert_eq!(
            proof.hunks,
            [(RepoPath::new("shop/src/lib.rs"), LineRange { start: 2, end: 3 })]
        );
        let none = conclude("s", &source(), Err("no report".to_owned()));
        assert_eq!(none.why.as_deref(), Some("no report"));
    }

    #[test]
    fn the_lines_are_handed_over() {
        assert_eq!(
            String::from_utf8(diff(&source())).unwrap(),
            "--- a/shop/src/lib.rs\n+++ b/shop/src/lib.rs\n@@ -2,1 +2,2 @@\n-b\n+B\n+C\n"
        );
        assert_eq!(ranges(&source()), ["shop/src/lib.rs:2-3"]);
        assert_eq!(files(&source()), ["shop/src/lib.rs"]);
    }
}
