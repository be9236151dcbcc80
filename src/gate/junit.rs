//! JUnit reports: what the tests said about themselves (`quick-xml` lives here).
//!
//! There is no standard, only what tools write. The shapes met here are those of
//! pytest, cargo-nextest, jest-junit, Maven Surefire and go-junit-report
//! (<https://github.com/testmoapp/junitxml> collects them). Only `testcase`
//! elements are counted, never the totals in attributes, which many tools leave
//! out and some get wrong.

use std::collections::BTreeSet;

use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use super::record::TestCounts;
use super::xml::attribute;

/// How deep elements may be nested.
const MAX_DEPTH: usize = 128;
/// How many failed tests are named.
const MAX_FAILURES: usize = 50;
/// How many characters of a failed test's name are kept.
const MAX_NAME: usize = 200;
/// How many tests are told apart by name.
const MAX_NAMES: usize = 200_000;

/// Why a report could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ParseError {
    #[error("not well-formed XML near byte {at}: {what}")]
    Malformed { at: u64, what: String },
    #[error("the root element is `{0}`, not `testsuites` or `testsuite`")]
    NotJunit(String),
    #[error("the report is empty")]
    Empty,
    #[error("the report ends in the middle")]
    Truncated,
    #[error("elements are nested more than {MAX_DEPTH} deep")]
    TooDeep,
}

/// Counts the tests of a report. A test that failed and then passed when it was
/// run again (`flakyFailure`, `flakyError`) passed; an error or failure of a
/// whole suite counts as one failed test.
pub fn parse(bytes: &[u8]) -> Result<TestCounts, ParseError> {
    let mut walk = Walk::default();
    walk.read(bytes)?;
    walk.finish()
}

/// Which tests passed and which failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    pub passed: BTreeSet<String>,
    pub failed: BTreeSet<String>,
}

impl Names {
    /// Adds the tests of one more report. A test of which one case failed failed.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), ParseError> {
        let mut walk = Walk { names: Some(std::mem::take(self)), ..Walk::default() };
        walk.read(bytes)?;
        *self = walk.names.take().unwrap_or_default();
        let Names { passed, failed } = self;
        passed.retain(|name| !failed.contains(name));
        walk.finish().map(drop)
    }
}

/// Adds the counts of one more report.
pub fn add(total: &mut TestCounts, more: TestCounts) {
    total.passed += more.passed;
    total.failed += more.failed;
    total.skipped += more.skipped;
    let room = MAX_FAILURES.saturating_sub(total.failures.len());
    total.failures.extend(more.failures.into_iter().take(room));
}

/// Whether a report says that nothing was executed.
pub fn nothing_ran(counts: &TestCounts) -> bool {
    counts.passed + counts.failed == 0
}

/// Where in the report we are.
#[derive(Default)]
struct Walk {
    depth: usize,
    seen_root: bool,
    /// The test we are in, and the depth of its element.
    case: Option<(usize, Case)>,
    /// The depth of the `testsuite` we are directly in; deeper elements are no suite's own.
    suites: Vec<usize>,
    counts: TestCounts,
    names: Option<Names>,
}

struct Case {
    name: String,
    failed: bool,
    skipped: bool,
}

impl Walk {
    fn read(&mut self, bytes: &[u8]) -> Result<(), ParseError> {
        let text = String::from_utf8_lossy(bytes);
        let mut reader = Reader::from_str(&text);
        loop {
            let event = reader.read_event().map_err(|error| ParseError::Malformed {
                at: reader.error_position(),
                what: super::change::printable(&error.to_string()),
            })?;
            if let Event::Eof = event {
                return Ok(());
            } else if let Event::Start(element) = event {
                self.open(&element)?;
            } else if let Event::Empty(element) = event {
                self.open(&element)?;
                self.close();
            } else if let Event::End(_) = event {
                self.close();
            }
        }
    }

    /// Notes a test's result by its name, where names are asked for.
    fn name(&mut self, name: &str, failed: bool) {
        let Some(names) = &mut self.names else { return };
        if names.passed.len() + names.failed.len() < MAX_NAMES {
            let name = super::change::printable(name).chars().take(MAX_NAME).collect();
            if failed { &mut names.failed } else { &mut names.passed }.insert(name);
        }
    }

    fn open(&mut self, element: &BytesStart<'_>) -> Result<(), ParseError> {
        let name = element.local_name();
        let name = name.as_ref();
        if self.depth == 0 {
            if !matches!(name, "testsuites" | "testsuite") {
                let name: String = name.chars().take(40).collect();
                return Err(ParseError::NotJunit(super::change::printable(&name)));
            }
            self.seen_root = true;
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(ParseError::TooDeep);
        }
        let depth = self.depth;
        match (&mut self.case, name) {
            (None, "testcase") => self.case = Some((depth, Case::new(element))),
            (None, "testsuite" | "testsuites") => self.suites.push(depth),
            (None, "failure" | "error") if self.suites.last() == Some(&(depth - 1)) => {
                self.fail(
                    attribute(element, "message").unwrap_or("a whole suite failed".to_owned()),
                );
            }
            (Some((at, case)), "failure" | "error") if *at == depth - 1 => case.failed = true,
            (Some((at, case)), "skipped" | "disabled") if *at == depth - 1 => case.skipped = true,
            (Some(_), _) | (None, _) => {}
        }
        Ok(())
    }

    fn close(&mut self) {
        if let Some((_, case)) = self.case.take_if(|(at, _)| *at == self.depth) {
            if case.failed {
                self.name(&case.name, true);
                self.fail(case.name);
            } else if case.skipped {
                self.counts.skipped += 1;
            } else {
                self.name(&case.name, false);
                self.counts.passed += 1;
            }
        }
        self.suites.pop_if(|at| *at == self.depth);
        self.depth = self.depth.saturating_sub(1);
    }

    fn fail(&mut self, name: String) {
        self.counts.failed += 1;
        if self.counts.failures.len() < MAX_FAILURES {
            self.counts.failures.push(name.chars().take(MAX_NAME).collect());
        }
    }

    fn finish(self) -> Result<TestCounts, ParseError> {
        if !self.seen_root {
            return Err(ParseError::Empty);
        }
        if self.depth != 0 {
            return Err(ParseError::Truncated);
        }
        Ok(self.counts)
    }
}

impl Case {
    fn new(element: &BytesStart<'_>) -> Case {
        let name = attribute(element, "name").unwrap_or_default();
        let class = attribute(element, "classname").unwrap_or_default();
        // GoogleTest writes a disabled test as a `testcase` without children.
        let skipped = attribute(element, "status").is_some_and(|it| it == "notrun")
            || attribute(element, "result").is_some_and(|it| it == "suppressed");
        let name = match (class.is_empty(), name.is_empty()) {
            (true, true) => "a test without a name".to_owned(),
            (true, false) => name,
            (false, true) => class,
            (false, false) => format!("{class}::{name}"),
        };
        Case { name, failed: false, skipped }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `passed/failed/skipped: failures`, or the error.
    #[track_caller]
    fn check(report: &str, expected: &str) {
        let found = match parse(report.as_bytes()) {
            Ok(it) => {
                format!("{}/{}/{}: {}", it.passed, it.failed, it.skipped, it.failures.join(", "))
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected);
    }

    macro_rules! fixture {
        ($name:literal) => {
            include_str!(concat!("../../tests/fixtures/junit/", $name))
        };
    }

    #[test]
    fn reports_as_tools_write_them() {
        check(
            fixture!("pytest.xml"),
            "2/2/1: tests.test_cart::test_total[3-\u{20ac}], tests.test_money",
        );
        check(fixture!("nextest.xml"), "2/1/0: checkout::pay::declines_expired_card");
        check(
            fixture!("jest.xml"),
            "1/2/1: cart adds <items>::cart adds <items>, src/broken.test.js::src/broken.test.js Test suite failed to run",
        );
        check(
            fixture!("surefire.xml"),
            "2/2/1: com.example.CartTest::total, com.example.CartTest::initializationError",
        );
        check(fixture!("go-junit.xml"), "1/1/1: example.com/shop/cart::TestTotal/negative");
    }

    #[test]
    fn references_in_names_are_what_they_stand_for() {
        check(
            r#"<testsuite><testcase classname="a&amp;b" name="&#60;c&#x3e; &eacute;"><failure/></testcase></testsuite>"#,
            "0/1/0: a&b::&#60;c&#x3e; &eacute;",
        );
        check(
            r#"<testsuite><testcase classname="a&amp;b" name="&#60;c&#x3e; &quot;"><failure/></testcase></testsuite>"#,
            "0/1/0: a&b::<c> \"",
        );
    }

    #[test]
    fn nothing_ran_is_seen() {
        for report in [
            r#"<testsuites tests="3"/>"#,
            r#"<testsuite name="empty" tests="0"></testsuite>"#,
            r#"<testsuite><testcase name="a"><skipped/></testcase></testsuite>"#,
        ] {
            assert!(nothing_ran(&parse(report.as_bytes()).unwrap()), "{report}");
        }
    }

    #[test]
    fn suites_nest_and_attributes_may_lack() {
        check(
            "<testsuite><testsuite><testcase/></testsuite><testcase><failure/></testcase></testsuite>",
            "1/1/0: a test without a name",
        );
        check(
            r#"<testsuites><testsuite><error message="no &quot;setup&quot;"/></testsuite></testsuites>"#,
            "0/1/0: no \"setup\"",
        );
        check(
            r#"<testsuite><testcase name="a"><system-out><failure/></system-out></testcase></testsuite>"#,
            "1/0/0: ",
        );
        check(
            r#"<testsuite><testcase name="&unknown;"><error/></testcase></testsuite>"#,
            "0/1/0: &unknown;",
        );
    }

    #[test]
    fn what_is_no_report_is_an_error() {
        check("", "the report is empty");
        check("nothing at all", "the report is empty");
        check("<html></html>", "the root element is `html`, not `testsuites` or `testsuite`");
        check("<testsuite><testcase name='a'>", "the report ends in the middle");
        check(
            "<testsuite></testsuites>",
            "not well-formed XML near byte 11: ill-formed document: expected `</testsuite>`, but `</testsuites>` was found",
        );
        check(&"<testsuite>".repeat(MAX_DEPTH + 1), "elements are nested more than 128 deep");
    }

    #[test]
    fn a_flood_of_failures_is_counted_and_not_kept() {
        let report = format!(
            "<testsuite>{}</testsuite>",
            r#"<testcase name="a"><failure/></testcase>"#.repeat(1_000)
        );
        let counts = parse(report.as_bytes()).unwrap();
        assert_eq!((counts.failed, counts.failures.len()), (1_000, MAX_FAILURES));
    }
}
