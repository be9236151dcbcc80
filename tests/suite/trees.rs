//! Differences that are read in process are those that git tells.

use countersign::adapters::git::Detail;
use countersign::gate::change::{FileChange, Oid};
use proptest::prelude::*;

use crate::fixture::TestRepo;

/// What one commit does to a path.
#[derive(Clone, Debug)]
struct Step {
    path: &'static str,
    what: usize,
}

/// Names that sort differently as files and as folders, and a folder that a
/// file may become.
const PATHS: [&str; 9] = [
    "a",
    "a/b",
    "a/b/c",
    "a-",
    "a.b",
    "a0",
    "deep/er/and/deeper/x",
    "deep/y",
    "\"z \\303\\244\\n\"",
];

fn step() -> impl Strategy<Value = Step> {
    (prop::sample::select(&PATHS[..]), 0..8usize).prop_map(|(path, what)| Step { path, what })
}

impl Step {
    fn write(&self, stream: &mut String) {
        let Step { path, what } = self;
        stream.push_str(&match what {
            0 | 1 => format!("D {path}\n"),
            2 => format!("M 100755 inline {path}\ndata 2\nx\n"),
            3 => format!("M 120000 inline {path}\ndata 1\nl\n"),
            4 => format!("M 160000 {} {path}\n", "1".repeat(40)),
            other => format!("M 100644 inline {path}\ndata 2\n{other}\n"),
        });
    }
}

fn names(files: Vec<FileChange>) -> Vec<FileChange> {
    let plain = |file| FileChange { added: Vec::new(), removed: 0, binary: false, ..file };
    files.into_iter().map(plain).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn files_differ_as_git_tells(
        commits in prop::collection::vec(prop::collection::vec(step(), 1..6), 6..14),
    ) {
        let repo = TestRepo::new();
        let mut stream = String::new();
        for steps in &commits {
            stream.push_str("commit refs/heads/random\ncommitter ana <ana@example.com> 1 +0000\ndata 0\n");
            steps.iter().for_each(|step| step.write(&mut stream));
        }
        repo.git_with_input(&["fast-import", "--quiet", "--force"], stream.as_bytes());
        let listed = repo.git(&["rev-list", "random"]);
        let ids: Vec<Oid> = listed.lines().map(|line| Oid::parse(line).unwrap()).collect();
        let git = repo.open();
        for pair in ids.windows(2) {
            // Line numbers are always asked of git, and its list of files with them.
            let told = git.differences(&pair[1], &pair[0], Detail::Lines).unwrap();
            prop_assert_eq!(git.differences(&pair[1], &pair[0], Detail::Files).unwrap(), names(told));
        }
        repo.git(&["read-tree", &format!("{}^{{tree}}", ids[0])]);
        let head = git.layout().head.clone().unwrap_or_else(|| git.empty_tree());
        let told = git.staged(Some(&head), Detail::Lines).unwrap();
        let read = git.staged(Some(&head), Detail::Files).unwrap();
        prop_assert_eq!(read.files, names(told.files));
        prop_assert_eq!(read.head_tree, repo.oid(&format!("{}^{{tree}}", ids[0])));
    }
}
