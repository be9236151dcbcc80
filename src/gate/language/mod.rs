//! What is known of languages: `languages.toml`, and nothing beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use serde::Deserialize;

use super::change::RepoPath;
use super::policy::Globs;
use super::preview::matches_stars;
use crate::gate::order;

/// The table, made ready.
#[derive(Debug)]
pub struct Languages {
    unmeasured: BTreeSet<String>,
    scripts: BTreeSet<String>,
    tests: Globs,
    assertions: Vec<String>,
    comparisons: Vec<String>,
    trivial: Vec<String>,
    snapshots: Globs,
    entries: Vec<String>,
    thresholds: Vec<Threshold>,
    mutations: Vec<Mutation>,
    rows: Vec<Language>,
    by_extension: BTreeMap<String, usize>,
}

/// A row of the table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Language {
    pub id: String,
    extensions: Vec<String>,
    #[serde(default)]
    comments: Vec<String>,
    #[serde(default)]
    declarations: Vec<String>,
    /// Declarations end with their line.
    #[serde(default)]
    unended: bool,
    /// How comments of several lines begin and end.
    #[serde(default)]
    blocks: Vec<(String, String)>,
    #[serde(default)]
    test_marks: Vec<String>,
    #[serde(default)]
    assertions: Vec<String>,
    #[serde(default)]
    loose: Vec<String>,
    #[serde(default)]
    truths: Vec<String>,
    #[serde(default)]
    skips: Vec<String>,
    #[serde(default)]
    focus: Vec<String>,
    #[serde(default)]
    lints: Vec<String>,
}

/// What a line of a test is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It begins a test.
    Test,
    Assertion,
    /// It asserts nothing, or only that something is there.
    Loose,
    /// It asks whether something is true, and no more.
    Truth,
    /// It keeps a test from running.
    Skip,
    /// It keeps all other tests from running.
    Focus,
    /// It silences a lint or a measurement.
    Lint,
}

/// A setting that says how much is enough.
#[derive(Debug)]
pub struct Threshold {
    pub files: Globs,
    /// One of these has to stand in the file as well; none: whatever stands there.
    pub near: Vec<String>,
    /// After which the number stands.
    pub words: Vec<String>,
    /// Whether more of it is looser.
    pub more: bool,
}

/// The usual tool that changes lines.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutation {
    /// Files at the root, of which one has to be there.
    pub marks: Vec<String>,
    pub run: Vec<String>,
    pub report: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ThresholdRow {
    files: Vec<String>,
    #[serde(default)]
    near: Vec<String>,
    words: Vec<String>,
    #[serde(default)]
    more: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    unmeasured: BTreeSet<String>,
    scripts: BTreeSet<String>,
    tests: Vec<String>,
    assertions: Vec<String>,
    comparisons: Vec<String>,
    trivial: Vec<String>,
    snapshots: Vec<String>,
    entries: Vec<String>,
    threshold: Vec<ThresholdRow>,
    mutation: Vec<Mutation>,
    language: Vec<Language>,
}

impl Languages {
    /// The table that is built in.
    pub fn built_in() -> &'static Languages {
        static LANGUAGES: OnceLock<Languages> = OnceLock::new();
        LANGUAGES.get_or_init(|| {
            let json = include_str!(concat!(env!("OUT_DIR"), "/languages.json"));
            let table: Table = serde_json::from_str(json).expect("a test reads the built-in table");
            let globs = |patterns: &[String]| {
                Globs::new(patterns).expect("a test compiles the built-in patterns")
            };
            let thresholds = table.threshold.into_iter().map(|row| Threshold {
                files: globs(&row.files),
                near: row.near,
                words: row.words,
                more: row.more,
            });
            let extensions = table.language.iter().enumerate().flat_map(|(number, row)| {
                row.extensions.iter().map(move |extension| (extension.clone(), number))
            });
            let by_extension = order::map(extensions);
            Languages {
                unmeasured: table.unmeasured,
                scripts: table.scripts,
                tests: globs(&table.tests),
                assertions: table.assertions,
                comparisons: table.comparisons,
                trivial: table.trivial,
                snapshots: globs(&table.snapshots),
                entries: table.entries,
                thresholds: thresholds.collect(),
                mutations: table.mutation,
                rows: table.language,
                by_extension,
            }
        })
    }

    /// Whether no coverage report is expected of files of this kind
    /// ([`kind_of`](super::coverage::measured::kind_of)).
    pub fn is_unmeasured(&self, kind: &str) -> bool {
        self.unmeasured.contains(kind) || self.scripts.contains(kind)
    }

    /// Whether files of this kind are code, so that tests could notice a change of them.
    pub fn is_code(&self, kind: &str) -> bool {
        !self.unmeasured.contains(kind)
    }

    /// Which paths are tests, where the policy does not say.
    pub fn tests(&self) -> &Globs {
        &self.tests
    }

    /// Whether an assertion's text compares something.
    pub fn compares(&self, text: &str) -> bool {
        // Arrows are none.
        let text = text.replace("->", " ").replace("=>", " ");
        self.comparisons.iter().any(|it| text.contains(it.as_str()))
    }

    /// Whether a value says no more than whether something is true, or there.
    pub fn is_trivial(&self, value: &str) -> bool {
        self.trivial.iter().any(|it| it == value)
    }

    /// Whether tests compare with what stands at this path.
    pub fn is_snapshot(&self, path: &RepoPath) -> bool {
        self.snapshots.matches(path)
    }

    /// Whether a line of a snapshot begins an entry.
    pub fn is_entry(&self, line: &str) -> bool {
        self.entries.iter().any(|pattern| matches_stars(pattern, line))
    }

    /// The settings that say how much is enough.
    pub fn thresholds(&self) -> &[Threshold] {
        &self.thresholds
    }

    /// The usual tools that change lines, by what stands at the root.
    pub fn mutations(&self) -> &[Mutation] {
        &self.mutations
    }

    /// The row of a kind of file.
    pub fn of(&self, kind: &str) -> Option<&Language> {
        self.by_extension.get(kind).map(|number| &self.rows[*number])
    }

    /// Whether a line of a file of this kind surely holds nothing that could be
    /// executed: it is blank, a comment, or only declares.
    pub fn is_without_code(&self, kind: &str, line: &str) -> bool {
        let line = line.trim();
        let Some(language) = self.of(kind) else { return line.is_empty() };
        let begins = |prefixes: &[String]| prefixes.iter().any(|it| line.starts_with(it.as_str()));
        let ended = language.unended || line.ends_with(';');
        let plain = !line.contains(['(', '=']) && line.matches(';').count() <= 1;
        line.is_empty()
            || begins(&language.comments)
            || (ended && plain && begins(&language.declarations))
    }
}

/// Which of a language's patterns a line of one text may match at all: hardly
/// any line begins as one of them does, and what may stand anywhere in a line
/// mostly stands nowhere in the text.
#[derive(Debug)]
pub struct Marks<'a> {
    language: &'a Language,
    /// The bytes that patterns begin with.
    first: [bool; 256],
    /// Patterns that begin with any text.
    anywhere: Vec<(Mark, &'a str)>,
}

impl Marks<'_> {
    /// Whether a line, without the space around it, may be about anything, or
    /// begin a comment.
    pub fn may_bear(&self, line: &str) -> bool {
        !self.anywhere.is_empty()
            || line.bytes().next().is_some_and(|it| self.first[usize::from(it)])
    }

    /// Whether such a line is about that; also calls count that assert by their
    /// names, in whatever language.
    pub fn bears(&self, mark: Mark, line: &str) -> bool {
        let of = |it: &&(Mark, &str)| it.0 == mark;
        self.language.patterns(mark).any(|it| !it.starts_with('*') && matches_stars(it, line))
            || self.anywhere.iter().filter(of).any(|(_, it)| matches_stars(it, line))
    }

    /// Whether a line is a comment as a whole.
    pub fn is_comment(&self, line: &str) -> bool {
        self.language.comments.iter().any(|it| line.starts_with(it.as_str()))
            && !self.bears(Mark::Test, line)
            && !self.bears(Mark::Skip, line)
    }
}

impl Language {
    /// Whether a line, without the space around it, is about that.
    pub fn bears(&self, mark: Mark, line: &str) -> bool {
        self.patterns(mark).any(|pattern| matches_stars(pattern, line))
    }

    fn patterns(&self, mark: Mark) -> impl Iterator<Item = &str> {
        let (patterns, further): (&[String], &[String]) = match mark {
            Mark::Test => (&self.test_marks, &[]),
            Mark::Assertion => (&self.assertions, &Languages::built_in().assertions),
            Mark::Loose => (&self.loose, &[]),
            Mark::Truth => (&self.truths, &[]),
            Mark::Skip => (&self.skips, &[]),
            Mark::Focus => (&self.focus, &[]),
            Mark::Lint => (&self.lints, &[]),
        };
        patterns.iter().chain(further).map(String::as_str)
    }

    /// What the lines of a text can be about.
    pub fn marks(&self, text: &str) -> Marks<'_> {
        let mut marks = Marks { language: self, first: [false; 256], anywhere: Vec::new() };
        let mut begins = |text: &str| {
            if let Some(first) = text.bytes().next() {
                marks.first[usize::from(first)] = true;
            }
        };
        self.comments.iter().for_each(|it| begins(it));
        self.blocks.iter().for_each(|(it, _)| begins(it));
        for mark in [Mark::Test, Mark::Assertion, Mark::Skip, Mark::Focus, Mark::Lint] {
            for pattern in self.patterns(mark) {
                let Some(rest) = pattern.strip_prefix('*') else {
                    begins(pattern);
                    continue;
                };
                let needle = rest.split('*').next().unwrap_or_default();
                if memchr::memmem::find(text.as_bytes(), needle.as_bytes()).is_some() {
                    marks.anywhere.push((mark, pattern));
                }
            }
        }
        marks
    }

    /// How a comment of several lines that begins with this line begins and ends.
    pub fn block(&self, line: &str) -> Option<(&str, &str)> {
        let found = self.blocks.iter().find(|(opening, _)| line.starts_with(opening.as_str()));
        found.map(|(opening, closing)| (opening.as_str(), closing.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Language {
        fn is_comment(&self, line: &str) -> bool {
            self.comments.iter().any(|it| line.starts_with(it.as_str()))
                && !self.bears(Mark::Test, line)
                && !self.bears(Mark::Skip, line)
        }
    }

    #[track_caller]
    fn check(kind: &str, line: &str, without_code: bool) {
        assert_eq!(Languages::built_in().is_without_code(kind, line), without_code, "{line}");
    }

    #[test]
    fn lines_without_code() {
        check("rs", "  pub mod coverage;", true);
        check("rs", "use a::{b, c};", true);
        check("rs", "mod a { fn f() { g(); } }", false);
        check("rs", "use a; f();", false);
        check("rs", "    // why", true);
        check("rs", "}", false);
        check("py", "", true);
        check("py", "import os", false);
        check("java", "import static x.Y.*;", true);
        check("java", "import x; static int y = f();", false);
        check("zig", "// why", false);
        check("zig", "  ", true);
    }

    #[test]
    fn what_a_text_cannot_hold_is_passed_over_and_nothing_else() {
        let marks = [Mark::Test, Mark::Assertion, Mark::Skip, Mark::Focus, Mark::Lint];
        for language in &Languages::built_in().rows {
            let patterns = marks.iter().flat_map(|mark| language.patterns(*mark));
            let mut lines: Vec<String> = patterns.map(|it| it.replace('*', "x y")).collect();
            lines.extend(language.comments.iter().map(|it| format!("{it} why")));
            let text = lines.join("\n");
            for line in &lines {
                for text in [&text, line] {
                    let of_text = language.marks(text);
                    assert!(of_text.may_bear(line), "{}: {line}", language.id);
                    assert_eq!(of_text.is_comment(line), language.is_comment(line), "{line}");
                    for mark in marks {
                        assert_eq!(of_text.bears(mark, line), language.bears(mark, line), "{line}");
                    }
                }
            }
            assert!(!language.marks("~").may_bear("~"), "{}", language.id);
        }
    }

    #[test]
    fn tests_are_known_by_their_paths() {
        let tests = Languages::built_in().tests();
        for (path, is_test) in [
            ("tests/a.rs", true),
            ("src/test/java/x/CartTest.java", true),
            ("src/cart.test.ts", true),
            ("cart/cart_test.go", true),
            ("test_cart.py", true),
            ("src/latest.rs", false),
            ("src/contest.py", false),
            ("src/testing.rs", false),
            ("lib/attest.c", false),
        ] {
            assert_eq!(tests.matches(&RepoPath::new(path)), is_test, "{path}");
        }
    }
}
