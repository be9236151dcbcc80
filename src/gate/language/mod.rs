//! What is known of languages: `languages.toml`, and nothing beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use serde::Deserialize;

use super::policy::Globs;

/// The table, made ready.
#[derive(Debug)]
pub struct Languages {
    unmeasured: BTreeSet<String>,
    scripts: BTreeSet<String>,
    tests: Globs,
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
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    unmeasured: BTreeSet<String>,
    scripts: BTreeSet<String>,
    tests: Vec<String>,
    language: Vec<Language>,
}

impl Languages {
    /// The table that is built in.
    pub fn built_in() -> &'static Languages {
        static LANGUAGES: OnceLock<Languages> = OnceLock::new();
        LANGUAGES.get_or_init(|| {
            let json = include_str!(concat!(env!("OUT_DIR"), "/languages.json"));
            let table: Table = serde_json::from_str(json).expect("a test reads the built-in table");
            let tests = Globs::new(&table.tests).expect("a test compiles the built-in patterns");
            let extensions = table.language.iter().enumerate().flat_map(|(number, row)| {
                row.extensions.iter().map(move |extension| (extension.clone(), number))
            });
            let by_extension = extensions.collect();
            Languages {
                unmeasured: table.unmeasured,
                scripts: table.scripts,
                tests,
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

#[cfg(test)]
mod tests {
    use super::super::change::RepoPath;
    use super::*;

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
