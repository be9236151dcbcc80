//! Path patterns against their oracle, `git check-ignore`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use countersign::gate::change::RepoPath;
use countersign::gate::policy::Globs;

const PATTERN_PIECES: &[&str] = &[
    "a",
    "b",
    "ab",
    ".",
    "-",
    "*",
    "*",
    "**",
    "**",
    "?",
    "/",
    "/",
    "/",
    "[ab]",
    "[!a]",
    "[^b]",
    "[a-c]",
    "[]a]",
    "[!]a]",
    "[[:alpha:]]",
    "[[:punct:]b]",
    "[a-]",
    "\\*",
    "\\a",
    "{a,b}",
    "[\\]]",
    "]",
    "}",
];
const PATH_PIECES: &[&[u8]] =
    &[b"a", b"b", b"ab", b"c", b".", b"-", b"*", b"]", b"/", b"/", b"/", b"\xff", b"{a,b}", b"A"];

/// A small generator, the same on every machine (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }

    fn pattern(&mut self) -> String {
        (0..=self.below(5)).map(|_| PATTERN_PIECES[self.below(PATTERN_PIECES.len())]).collect()
    }

    fn path(&mut self) -> Vec<u8> {
        loop {
            let pieces = 1 + self.below(7);
            let path = (0..pieces)
                .map(|_| PATH_PIECES[self.below(PATH_PIECES.len())])
                .collect::<Vec<_>>()
                .concat();
            let valid = |part: &[u8]| !matches!(part, b"" | b"." | b"..");
            if path.split(|&byte| byte == b'/').all(valid) {
                return path;
            }
        }
    }
}

#[test]
fn patterns_match_what_git_would_ignore() {
    const PATTERNS: usize = 700;
    const PATHS: usize = 30;
    let repository = tempfile::tempdir().unwrap();
    let git = |arguments: &[&str]| hermetic_git(repository.path(), arguments);
    assert!(git(&["init", "-q"]).status().unwrap().success());
    let mut random = Random(0x5eed_c0de);
    let mut cases = Vec::new();
    let mut questions = Vec::new();
    while cases.len() < PATTERNS * PATHS {
        let pattern = random.pattern();
        // git cuts off what comes before the first wildcard, and then takes the
        // `**/` of `a**/b` for one that stands alone. Ours means what it says.
        if pattern
            .match_indices("**/")
            .any(|(at, _)| !pattern[..at].ends_with(['/', '*']) && at > 0)
        {
            continue;
        }
        let Ok(globs) = Globs::new(std::slice::from_ref(&pattern)) else { continue };
        // One folder a pattern, so that one process answers for all.
        let folder = format!("folder{}", cases.len() / PATHS);
        std::fs::create_dir(repository.path().join(&folder)).unwrap();
        std::fs::write(repository.path().join(&folder).join(".gitignore"), format!("{pattern}\n"))
            .unwrap();
        for _ in 0..PATHS {
            let path = random.path();
            questions.extend([folder.as_bytes(), b"/", &path, b"\0"].concat());
            let ours = globs.matches(&RepoPath::new(path.clone()));
            cases.push((pattern.clone(), RepoPath::new(path), ours));
        }
    }
    let mut child = git(&["check-ignore", "--no-index", "--stdin", "-z", "-v", "-n"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&questions));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let fields = output.stdout.split(|&byte| byte == 0).collect::<Vec<_>>();
    let answers = fields.chunks_exact(4).map(|it| !it[0].is_empty()).collect::<Vec<_>>();
    assert_eq!(answers.len(), cases.len());
    assert!(answers.iter().filter(|it| **it).count() > cases.len() / 20, "the cases are too easy");
    let mut wrong = String::new();
    for ((pattern, path, ours), theirs) in cases.iter().zip(answers) {
        if *ours != theirs {
            writeln!(wrong, "{pattern} on {path:?}: git says {theirs}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn hermetic_git(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command
        .args(arguments)
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null");
    command
}
