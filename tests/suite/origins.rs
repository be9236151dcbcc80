//! Where the added lines of a range came from, on random histories with merges
//! and moves: what `check` says against what `git blame` says.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::Value;

use crate::fixture::TestRepo;

/// One step of a history; the numbers choose a file, a place and an amount.
#[derive(Clone, Copy, Debug)]
enum Step {
    Edit {
        file: usize,
        at: usize,
        lines: usize,
        assisted: bool,
    },
    Remove {
        file: usize,
        at: usize,
        assisted: bool,
    },
    Move {
        file: usize,
        assisted: bool,
    },
    /// A branch that changes the top of a file, while the bottom of the same
    /// one changes here, and the merge of both.
    Merge {
        file: usize,
        at: usize,
        assisted: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let (file, at, assisted) = (0usize..8, 0usize..60, any::<bool>());
    prop_oneof![
        4 => (file.clone(), at.clone(), 1usize..5, assisted)
            .prop_map(|(file, at, lines, assisted)| Step::Edit { file, at, lines, assisted }),
        1 => (file.clone(), at.clone(), assisted)
            .prop_map(|(file, at, assisted)| Step::Remove { file, at, assisted }),
        1 => (file.clone(), assisted).prop_map(|(file, assisted)| Step::Move { file, assisted }),
        2 => (file, at, assisted).prop_map(|(file, at, assisted)| Step::Merge { file, at, assisted }),
    ]
}

struct History {
    repo: TestRepo,
    files: Vec<String>,
    counter: usize,
    assisted: BTreeSet<String>,
}

impl History {
    fn new() -> History {
        let repo = TestRepo::new();
        for name in ["one", "two", "three"] {
            let text: String = (0..40).map(|at| format!("{name} begins with {at}\n")).collect();
            repo.write(format!("{name}.txt"), text);
        }
        repo.commit("ana", "begin");
        let files = ["one.txt", "two.txt", "three.txt"].map(str::to_owned).to_vec();
        let mut history = History { repo, files, counter: 0, assisted: BTreeSet::new() };
        history.edit(0, 5, 1, false);
        history.edit(1, 5, 1, true);
        history
    }

    fn commit(&mut self, assisted: bool) {
        self.counter += 1;
        let mark = if assisted { "\n\nAssisted-by: claude-code:claude-opus-4-5" } else { "" };
        let id = self.repo.commit("ana", &format!("Step {}{mark}", self.counter));
        if assisted {
            self.assisted.insert(id.to_string());
        }
    }

    fn change(&self, file: usize, change: impl FnOnce(&mut Vec<String>)) {
        let path = &self.files[file % self.files.len()];
        let text = std::fs::read_to_string(self.repo.path().join(path)).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        change(&mut lines);
        self.repo.write(path, lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    }

    fn edit(&mut self, file: usize, at: usize, lines: usize, assisted: bool) {
        let number = self.counter;
        self.change(file, |text| {
            let at = at % (text.len() + 1);
            let new = (0..lines).map(|line| format!("step {number} wrote {line}"));
            text.splice(at..at, new).for_each(drop);
        });
        self.commit(assisted);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Edit { file, at, lines, assisted } => self.edit(file, at, lines, assisted),
            Step::Remove { file, at, assisted } => {
                self.change(file, |text| {
                    let at = at % text.len();
                    if text.len() > 30 {
                        text.remove(at);
                    }
                });
                self.commit(assisted);
            }
            Step::Move { file, assisted } => {
                let count = self.files.len();
                let to = format!("moved_{}.txt", self.counter);
                let from = std::mem::replace(&mut self.files[file % count], to.clone());
                self.repo.git(&["mv", &from, &to]);
                self.commit(assisted);
            }
            Step::Merge { file, at, assisted } => {
                self.repo.git(&["checkout", "-q", "-b", "side"]);
                self.edit(file, at % 8, 2, assisted);
                self.repo.git(&["checkout", "-q", "main"]);
                self.edit(file, 20 + at % 8, 2, !assisted);
                self.repo.git(&["merge", "-q", "--no-ff", "--no-edit", "side"]);
                self.repo.git(&["branch", "-q", "-D", "side"]);
            }
        }
    }

    /// The assisted added lines by plain git.
    fn expected(&self, base: &str) -> BTreeMap<String, BTreeSet<u64>> {
        let diff = ["diff", "-U0", "--no-renames", "--diff-algorithm=myers", base, "HEAD", "--"];
        let mut expected = BTreeMap::new();
        for path in &self.files {
            let mut added = BTreeSet::new();
            let text = self.repo.git(&[&diff[..], &[path]].concat());
            for header in text.lines().filter(|line| line.starts_with("@@ ")) {
                let new = header.split(' ').nth(2).unwrap().trim_start_matches('+');
                let (start, count) = new.split_once(',').unwrap_or((new, "1"));
                let start: u64 = start.parse().unwrap();
                added.extend(start..start + count.parse::<u64>().unwrap());
            }
            let blame = self.repo.git(&["blame", "--line-porcelain", "HEAD", "--", path]);
            let lines = blame.lines().filter(|line| !line.starts_with('\t')).filter_map(|line| {
                let words: Vec<&str> = line.split(' ').collect();
                let is_header = matches!(words.len(), 3 | 4) && words[0].len() >= 40;
                let number: u64 = words.get(2).filter(|_| is_header)?.parse().ok()?;
                self.assisted.contains(words[0]).then_some(number)
            });
            let lines: BTreeSet<u64> = lines.filter(|number| added.contains(number)).collect();
            if !lines.is_empty() {
                expected.insert(path.clone(), lines);
            }
        }
        expected
    }

    /// The same by `check`.
    fn found(&self, base: &str) -> BTreeMap<String, BTreeSet<u64>> {
        let output =
            self.repo.countersign(&["check", &format!("{base}..HEAD"), "--format", "json"]);
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        let mut found: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        for file in report["attribution"]["files"].as_array().unwrap() {
            let path = file["path"].as_str().unwrap();
            for range in file["ranges"].as_array().unwrap() {
                let lines = range["start"].as_u64().unwrap()..=range["end"].as_u64().unwrap();
                found.entry(path.to_owned()).or_default().extend(lines);
            }
        }
        found
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, ..ProptestConfig::default() })]
    #[test]
    fn assisted_lines_of_a_range_are_those_that_git_blame_gives_to_its_commits(
        steps in prop::collection::vec(step(), 1..9),
    ) {
        let mut history = History::new();
        let base = history.repo.git(&["rev-parse", "HEAD~2"]);
        for step in steps {
            history.step(step);
        }
        prop_assert_eq!(history.found(&base), history.expected(&base));
    }
}
