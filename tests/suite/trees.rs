//! Differences that are read in process are those that git tells.

use countersign::adapters::git::{Detail, Revisions};
use countersign::gate::change::{Entry, FileChange, LineRange, Oid, RepoPath};
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

/// What git says of the files that differ; `None`: it refuses.
fn told(repo: &TestRepo, words: &[&str]) -> Option<Vec<FileChange>> {
    let options = ["-r", "-z", "--raw", "--no-abbrev", "--no-renames", "--ignore-submodules=none"];
    let words = [&words[..1], &options, &words[1..], &["--"]].concat();
    let output = repo.git_command(&words).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut fields = text.split('\0').filter(|it| !it.is_empty());
    let mut files = Vec::new();
    while let (Some(numbers), Some(path)) = (fields.next(), fields.next()) {
        let numbers: Vec<&str> = numbers.trim_start_matches(':').split(' ').collect();
        let side = |mode: &str, id: &str| {
            let mode = u32::from_str_radix(mode, 8).unwrap();
            (mode != 0).then(|| Entry { mode, oid: Oid::parse(id).unwrap() })
        };
        files.push(FileChange {
            path: RepoPath::new(path),
            old: side(numbers[0], numbers[2]),
            new: side(numbers[1], numbers[3]),
            added: Vec::new(),
            removed: 0,
            binary: false,
        });
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    output.status.success().then_some(files)
}

/// What git says of a file's lines without context: added ranges and removed lines.
fn lines_told(repo: &TestRepo, old: &Oid, new: &Oid, path: &str) -> (Vec<LineRange>, u64) {
    let words = ["diff-tree", "-p", "-U0", "--text", "--no-ext-diff", "--diff-algorithm=myers"];
    let words = [&words[..], &["--inter-hunk-context=0", old.as_str(), new.as_str(), "--", path]];
    let text = repo.git(&words.concat());
    let (mut added, mut removed) = (Vec::new(), 0);
    for numbers in text.lines().filter_map(|line| line.strip_prefix("@@ -")?.split_once(" @@")) {
        let (minus, plus) = numbers.0.split_once(" +").unwrap();
        let parse = |text: &str| -> (u64, u64) {
            let (start, count) = text.split_once(',').unwrap_or((text, "1"));
            (start.parse().unwrap(), count.parse().unwrap())
        };
        let ((_, gone), (start, count)) = (parse(minus), parse(plus));
        removed += gone;
        if count > 0 {
            added.push(LineRange { start, end: start + count - 1 });
        }
    }
    (added, removed)
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
            let told = told(&repo, &["diff-tree", pair[1].as_str(), pair[0].as_str()]);
            prop_assert_eq!(git.differences(&pair[1], &pair[0], Detail::Files).ok(), told);
        }
        // So many that two threads share them; without their trees git is asked.
        let all: Vec<Oid> = ids.iter().cycle().take(ids.len() * 300).cloned().collect();
        let known = git.commits(&Revisions { from: vec![ids[0].clone()], ..Revisions::default() });
        prop_assert_eq!(
            git.touched_by(&all, &known.unwrap()).unwrap(),
            git.touched_by(&ids, &[]).unwrap()
        );
        repo.git(&["read-tree", &format!("{}^{{tree}}", ids[0])]);
        let head = git.layout().head.clone().unwrap_or_else(|| git.empty_tree());
        let told = told(&repo, &["diff-index", "--cached", head.as_str()]);
        let read = git.staged(Some(&head), Detail::Files).unwrap();
        prop_assert_eq!(Some(read.files), told);
        prop_assert_eq!(read.head_tree, repo.oid(&format!("{}^{{tree}}", ids[0])));
    }

    /// Texts of few different lines, so that much of them could stand elsewhere.
    #[test]
    fn lines_differ_as_git_tells(
        versions in prop::collection::vec(
            prop::collection::vec((prop::sample::select(&LINES[..]), 0..4usize), 0..9),
            40..60,
        ),
    ) {
        let repo = TestRepo::new();
        let mut stream = String::new();
        let mut text: Vec<&str> = Vec::new();
        for (number, steps) in versions.iter().enumerate() {
            // Some versions are like the last one but for a line or two.
            match number % 3 {
                0 => text = steps.iter().map(|it| it.0).collect(),
                _ => for (line, what) in steps.iter().take(2) {
                    let at = (what * 7 + number) % (text.len() + 1);
                    if what % 2 == 0 || at == text.len() { text.insert(at, line) } else { text.remove(at); }
                },
            }
            let content = text.concat();
            let content = if number % 5 == 0 { content.trim_end() } else { &content };
            stream.push_str("commit refs/heads/random\ncommitter ana <ana@example.com> 1 +0000\ndata 0\n");
            stream.push_str(&format!("M 100644 inline a\ndata {}\n{content}\n", content.len()));
        }
        repo.git_with_input(&["fast-import", "--quiet", "--force"], stream.as_bytes());
        let listed = repo.git(&["rev-list", "random"]);
        let ids: Vec<Oid> = listed.lines().map(|line| Oid::parse(line).unwrap()).collect();
        let git = repo.open();
        for pair in ids.windows(2) {
            let files = git.differences(&pair[1], &pair[0], Detail::Lines).unwrap();
            let ours = files.first().map(|it| (it.added.clone(), it.removed)).unwrap_or_default();
            prop_assert_eq!(ours, lines_told(&repo, &pair[1], &pair[0], "a"), "{} {}", &pair[1], &pair[0]);
        }
    }
}

const LINES: [&str; 6] = ["a\n", "b\n", "}\n", "\n", "long enough to be told apart\n", "c\n"];

/// An entry as it stands in a tree.
fn entry(mode: &str, name: &str, id: &Oid) -> Vec<u8> {
    let digits = id.as_str().as_bytes().chunks(2).map(|two| std::str::from_utf8(two).unwrap());
    let raw = digits.map(|two| u8::from_str_radix(two, 16).unwrap());
    [mode, " ", name, "\0"].concat().into_bytes().into_iter().chain(raw).collect()
}

/// Whatever git makes of trees that it would not write, so do we: files with modes of
/// old, folders with a zero in front, names twice or out of order, and no tree at all.
#[test]
fn trees_that_git_would_not_write() {
    let repo = TestRepo::new();
    let write = |kind: &str, bytes: &[u8]| {
        let words = ["hash-object", "-t", kind, "-w", "--literally", "--stdin"];
        Oid::parse(repo.git_with_input(&words, bytes).trim_end()).unwrap()
    };
    let [one, two] = ["1\n", "2\n"].map(|content| write("blob", content.as_bytes()));
    let [folder, other] = [&one, &two].map(|id| write("tree", &entry("100644", "x", id)));
    let tree = |entries: &[(&str, &str, &Oid)]| {
        let entries: Vec<_> =
            entries.iter().map(|(mode, name, id)| entry(mode, name, id)).collect();
        write("tree", &entries.concat())
    };
    let trees = [
        tree(&[("100644", "a", &one), ("40000", "b", &folder)]),
        tree(&[("100664", "a", &one), ("40000", "b", &folder)]),
        tree(&[("100664", "a", &two), ("040000", "b", &folder)]),
        tree(&[("100644", "a", &one), ("040000", "b", &other)]),
        tree(&[("100644", "a", &one), ("100644", "a", &two), ("40000", "b", &other)]),
        tree(&[("40000", "b", &other), ("100644", "a", &one)]),
        tree(&[("40000", "b", &folder), ("100644", "a", &two), ("100644", "c", &two)]),
        tree(&[("100644", "b", &one), ("40000", "b", &folder)]),
        tree(&[("40000", "b", &one)]),
        tree(&[("100644", "b", &folder)]),
    ];
    let git = repo.open();
    for old in &trees {
        for new in &trees {
            let read = git.differences(old, new, Detail::Files);
            match told(&repo, &["diff-tree", old.as_str(), new.as_str()]) {
                Some(told) => assert_eq!(read.unwrap(), told, "{old} {new}"),
                // A folder's tree that is none, and a file that is a folder.
                None => assert!([&trees[8], &trees[9]].iter().any(|it| [old, new].contains(it))),
            }
        }
    }
}

/// What changed in several places git is asked about once, wherever we were started.
#[test]
fn a_subfolder_asks_no_more() {
    let repo = TestRepo::new();
    let text = |ends: [&str; 2]| format!("{}\n1\n2\n3\n4\n5\n{}\n", ends[0], ends[1]);
    repo.write("top", text(["a", "b"])).write("sub/x", text(["a", "b"])).commit("ana", "begin");
    repo.write("top", text(["c", "d"])).write("sub/x", text(["c", "d"])).commit("ana", "go on");
    let trace = repo.home().join("trace");
    let check = |folder: &str| {
        std::fs::write(&trace, "").unwrap();
        let mut command =
            repo.countersign_command(&["-C", folder, "check", "--format", "json", "HEAD~1..HEAD"]);
        let output = command.env("GIT_TRACE", &trace).output().unwrap();
        let asked = std::fs::read_to_string(&trace).unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (asked.matches("built-in: git diff-tree").count(), report["attribution"]["files"].clone())
    };
    let (asked, files) = check(".");
    assert_eq!(asked, 1);
    let added: Vec<u64> = (0..2).filter_map(|at| files[at]["added"].as_u64()).collect();
    assert_eq!(added, [2, 2], "{files}");
    assert_eq!(check("sub"), (asked, files));
}
