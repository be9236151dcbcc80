//! The mutation proof: a language's own tool changes the assisted lines, and the
//! tests have to notice. What comes of each mutant is read from the tool's
//! report, a format a file, found by content.

pub mod cargo_mutants;
pub mod elements;
pub mod infection;
pub mod mutmut;
pub mod pit;
mod xml;

use serde_json::Value;

use super::change::{LineRange, RepoPath, printable};
use super::proof::{Proof, Result as ProofResult, Source};

/// How many surviving mutants a proof names.
const MAX_SURVIVORS: usize = 100;
/// How many characters of a mutant's description are kept.
const MAX_SHOWN: usize = 120;

/// What came of one mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// As the report names the file.
    pub file: String,
    /// From 1.
    pub line: u64,
    /// What was changed.
    pub what: String,
    pub fate: Fate,
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
    /// It could not be built, or was left out: neither.
    Unusable,
}

/// Reads a report.
pub fn parse(bytes: &[u8]) -> Result<Vec<Mutant>, String> {
    let bytes = bytes.trim_ascii_start();
    if bytes.starts_with(b"<") {
        return xml::parse(&String::from_utf8_lossy(bytes));
    }
    let document: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let known = cargo_mutants::read(&document)
        .or_else(|| elements::read(&document))
        .or_else(|| infection::read(&document));
    known
        .ok_or_else(|| "it is none of cargo-mutants, Stryker, Infection, PIT and mutmut".to_owned())
}

/// What a report says of the assisted hunks.
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
    let (mut killed, mut timed_out) = (0, 0);
    for mutant in &mutants {
        let Some(path) = place(mutant, sources) else { continue };
        match mutant.fate {
            Fate::Killed => killed += 1,
            Fate::TimedOut => timed_out += 1,
            Fate::Unusable => {}
            Fate::Survived => {
                let lines = LineRange { start: mutant.line, end: mutant.line };
                if proof.why.is_none() {
                    proof.why = Some(shown(mutant));
                }
                if !proof.hunks.contains(&(path.clone(), lines)) {
                    proof.hunks.push((path.clone(), lines));
                }
            }
        }
    }
    proof.hunks.sort();
    proof.hunks.truncate(MAX_SURVIVORS);
    proof.attempts = killed;
    if !proof.hunks.is_empty() {
        proof.result = ProofResult::NotNoticed;
    } else if timed_out > 0 {
        proof.why = Some(format!("the tests did not end with {timed_out} mutants"));
    } else if killed == 0 {
        proof.why = Some("the tool tried no mutant of the assisted lines".to_owned());
    } else {
        proof.result = ProofResult::Noticed;
    }
    proof
}

/// The file whose assisted hunks a mutant lies in.
fn place<'a>(mutant: &Mutant, sources: &'a [Source]) -> Option<&'a RepoPath> {
    let named = mutant.file.replace('\\', "/");
    let is_named = |path: &RepoPath| {
        let path = path.to_text();
        let ends = |long: &str, short: &str| {
            long.strip_suffix(short).is_some_and(|it| it.is_empty() || it.ends_with('/'))
        };
        // Reports name files from the root or from their package, or by the whole path.
        ends(&path, named.trim_start_matches("./")) || ends(&named, &path)
    };
    let found = sources.iter().find(|it| {
        is_named(&it.path)
            && it.hunks.iter().any(|hunk| {
                let lines = hunk.lines();
                lines.start <= mutant.line && mutant.line <= lines.end
            })
    });
    found.map(|it| &it.path)
}

fn shown(mutant: &Mutant) -> String {
    printable(&mutant.what.replace('\n', " ").chars().take(MAX_SHOWN).collect::<String>())
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

    #[track_caller]
    fn check(report: &str, expected: &[&str]) {
        let found: Vec<String> = match parse(report.as_bytes()) {
            Ok(mutants) => mutants
                .iter()
                .map(|it| format!("{:?} {}:{} {}", it.fate, it.file, it.line, it.what))
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
                "Killed src/cart.js:1 BlockStatement: {}",
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
<mutation detected='false' status='NO_COVERAGE'><sourceFile>A.java</sourceFile><mutatedClass>A</mutatedClass><lineNumber>1</lineNumber><description>x &lt; y</description></mutation>
<mutation detected='true' status='TIMED_OUT'><sourceFile>A.java</sourceFile><mutatedClass>A</mutatedClass><lineNumber>2</lineNumber></mutation></mutations>"#,
            &[
                "Killed com/shop/Cart.java:7 Replaced integer addition with subtraction",
                "Survived com/shop/Cart.java:9 negated conditional",
                "Survived A.java:1 x  y",
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
    fn other_files_are_refused() {
        check("{}", &["it is none of cargo-mutants, Stryker, Infection, PIT and mutmut"]);
        check("<coverage/>", &["it is none of cargo-mutants, Stryker, Infection, PIT and mutmut"]);
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
            line,
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
        check(&[(2, Fate::Killed), (3, Fate::TimedOut)], ProofResult::Inconclusive, 0);
        check(&[(2, Fate::Unusable)], ProofResult::Inconclusive, 0);
        check(&[], ProofResult::Inconclusive, 0);
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
