//! Repositories to test on: real git in a folder of their own, the same on
//! every machine.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use countersign::adapters::git::{Git, GitError};
use countersign::gate::change::Oid;

/// Held while a test runs commands of a policy within this process; written by
/// those that need to be the only one, since processes that hid all their
/// descent are only ended where no other run could own them.
static RUNS: std::sync::RwLock<()> = std::sync::RwLock::new(());

/// Calls `run` beside others that run commands of a policy.
pub(crate) fn beside_other_runs<T>(run: impl FnOnce() -> T) -> T {
    let _shared = RUNS.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    run()
}

/// Calls `run` while nobody else runs commands of a policy here.
pub(crate) fn as_the_only_run<T>(run: impl FnOnce() -> T) -> T {
    let _alone = RUNS.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    run()
}

/// The first commit's date; each later one is a minute younger.
const START: i64 = 1_760_000_000;

/// A repository below a temporary folder, with its own home beside it. Nothing
/// of the machine's configuration or environment reaches it, and names and
/// dates are fixed, so that ids are the same everywhere.
#[must_use]
pub(crate) struct TestRepo {
    folder: std::sync::Arc<tempfile::TempDir>,
    path: PathBuf,
    variables: Vec<(String, String)>,
    clock: std::cell::Cell<i64>,
}

impl TestRepo {
    /// An empty repository on the branch `main`.
    pub(crate) fn new() -> TestRepo {
        TestRepo::init(&[])
    }

    /// An empty repository made with further options of `git init`.
    pub(crate) fn init(options: &[&str]) -> TestRepo {
        let repo = TestRepo::try_init(options);
        repo.unwrap_or_else(|complaint| panic!("git init {options:?}: {complaint}"))
    }

    /// The same, but `Err` with git's complaint where this git cannot.
    pub(crate) fn try_init(options: &[&str]) -> Result<TestRepo, String> {
        let folder = tempfile::Builder::new().prefix("suite-").tempdir().unwrap();
        std::fs::create_dir(folder.path().join("home")).unwrap();
        let path = folder.path().canonicalize().unwrap().join("repo");
        std::fs::create_dir(&path).unwrap();
        let repo = TestRepo {
            folder: std::sync::Arc::new(folder),
            path,
            variables: Vec::new(),
            clock: std::cell::Cell::new(START),
        };
        let words = [&["init", "-q", "-b", "main"], options].concat();
        let output = repo.git_command(&words).output().unwrap();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        Ok(repo)
    }

    /// A repository at another path of the same temporary folder (a clone, a
    /// linked work tree, a bare remote).
    pub(crate) fn beside(&self, name: &str) -> TestRepo {
        TestRepo {
            folder: self.folder.clone(),
            path: self.folder.path().canonicalize().unwrap().join(name),
            variables: self.variables.clone(),
            clock: std::cell::Cell::new(self.clock.get()),
        }
    }

    /// A bare repository next door, known here as the remote `origin`.
    pub(crate) fn bare_remote(&self) -> TestRepo {
        self.init_remote(&[])
    }

    /// The same, made with further options of `git init`.
    pub(crate) fn init_remote(&self, options: &[&str]) -> TestRepo {
        let bare = self.beside("origin.git");
        let path = bare.path.to_str().unwrap().to_owned();
        self.git(&[&["init", "-q", "--bare", "-b", "main"], options, &[path.as_str()]].concat());
        self.git(&["remote", "add", "origin", &path]);
        bare
    }

    /// A clone of this repository (through `file://`, so that `--depth` and
    /// `--filter` hold), made with further options.
    pub(crate) fn clone_as(&self, name: &str, options: &[&str]) -> TestRepo {
        let clone = self.beside(name);
        let url = format!("file://{}", self.path.display());
        let words =
            [&["clone", "-q"], options, &[url.as_str(), clone.path.to_str().unwrap()]].concat();
        self.git(&words);
        clone
    }

    /// The top of the work tree (of a bare repository: itself).
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The home folder that every process started here sees.
    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join("home")
    }

    /// Sets a variable for every process started from here on.
    pub(crate) fn set_variable(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// The hermetic environment: all that a process started here sees, but for `PATH`.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let home = self.home().to_str().unwrap().to_owned();
        let mut variables: Vec<(String, String)> = [
            ("HOME", home.as_str()),
            ("XDG_CONFIG_HOME", &format!("{home}/.config")),
            ("XDG_CACHE_HOME", &format!("{home}/.cache")),
            ("LC_ALL", "C"),
            ("TZ", "UTC"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_SYSTEM", "/dev/null"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_EDITOR", ":"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        variables.extend(self.variables.clone());
        variables
    }

    /// A command of any program in this repository, in the hermetic environment.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.path)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null());
        self.identity(&mut command, "ana");
        command.envs(self.variables());
        command
    }

    fn identity(&self, command: &mut Command, author: &str) {
        let date = format!("{} +0000", self.clock.get());
        // `Name <address>`, or one of our people by name alone.
        let (name, email) = match author.split_once(" <") {
            Some((name, rest)) => (name.to_owned(), rest.trim_end_matches('>').to_owned()),
            None => (author.to_owned(), format!("{author}@example.com")),
        };
        command
            .env("GIT_AUTHOR_NAME", &name)
            .env("GIT_AUTHOR_EMAIL", &email)
            .env("GIT_AUTHOR_DATE", &date)
            .env("GIT_COMMITTER_NAME", &name)
            .env("GIT_COMMITTER_EMAIL", &email)
            .env("GIT_COMMITTER_DATE", &date);
    }

    /// git as a command that has not run yet.
    pub(crate) fn git_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command("git");
        command.args(arguments);
        command
    }

    /// Runs git, which must succeed; returns what it printed, without the last line break.
    #[track_caller]
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let output = self.git_command(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "git {arguments:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
    }

    /// Runs git, feeding it `input`; it must succeed.
    #[track_caller]
    pub(crate) fn git_with_input(&self, arguments: &[&str], input: &[u8]) -> String {
        let output = feed(self.git_command(arguments), input);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "git {arguments:?}: {complaint}");
        String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
    }

    /// Writes a file of the work tree, with its folders. `path` may be bytes.
    pub(crate) fn write(&self, path: impl AsRef<OsStr>, content: impl AsRef<[u8]>) -> &TestRepo {
        let path = self.path.join(path.as_ref());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    /// Stages everything and commits it; `author` is `ana`, `bo`, `chi`, or
    /// `Name <address>`. No hooks run. Returns the commit.
    #[track_caller]
    pub(crate) fn commit(&self, author: &str, message: &str) -> Oid {
        self.git(&["add", "-A"]);
        self.clock.set(self.clock.get() + 60);
        let words =
            ["commit", "-q", "--no-verify", "--allow-empty", "--cleanup=verbatim", "-F", "-"];
        let mut command = self.git_command(&words);
        self.identity(&mut command, author);
        let output = feed(command, message.as_bytes());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.oid("HEAD")
    }

    /// Writes one file and commits it.
    #[track_caller]
    pub(crate) fn commit_file(
        &self,
        author: &str,
        path: &str,
        content: &str,
        message: &str,
    ) -> Oid {
        self.write(path, content).commit(author, message)
    }

    /// The id of a revision.
    #[track_caller]
    pub(crate) fn oid(&self, revision: &str) -> Oid {
        let text = self.git(&["rev-parse", "--verify", revision]);
        Oid::parse(&text).unwrap_or_else(|| panic!("{revision} is {text}"))
    }

    /// The tree of the index, as `git write-tree` says.
    #[track_caller]
    pub(crate) fn oid_of_index(&self) -> Oid {
        Oid::parse(&self.git(&["write-tree", "--missing-ok"])).unwrap()
    }

    /// The built binary as a command that has not run yet.
    pub(crate) fn countersign_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_countersign"));
        command.args(arguments);
        command
    }

    /// Runs the built binary to its end, whatever its exit status.
    pub(crate) fn countersign(&self, arguments: &[&str]) -> Output {
        self.countersign_command(arguments).output().unwrap()
    }

    /// The repository as our adapter sees it, in the hermetic environment.
    #[track_caller]
    pub(crate) fn open(&self) -> Git {
        self.try_open(&self.path).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same from another folder.
    pub(crate) fn try_open(&self, folder: &Path) -> Result<Git, GitError> {
        self.open_with(folder, &[])
    }

    /// The same with further variables.
    pub(crate) fn open_with(
        &self,
        folder: &Path,
        further: &[(&str, &str)],
    ) -> Result<Git, GitError> {
        let mut variables = self.variables();
        variables.extend(further.iter().map(|(name, value)| ((*name).into(), (*value).into())));
        let variables = variables.into_iter();
        Git::open_elsewhere(folder, variables.map(|(name, value)| (name.into(), value.into())))
    }
}

/// The folders that hold different gits here: every one must do.
pub(crate) fn folders_of_gits() -> Vec<PathBuf> {
    let mut versions = Vec::new();
    let mut folders = Vec::new();
    for folder in std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()) {
        let Ok(output) = Command::new(folder.join("git")).arg("--version").output() else {
            continue;
        };
        if !versions.contains(&output.stdout) {
            versions.push(output.stdout);
            folders.push(folder);
        }
    }
    folders
}

/// Runs a command with `input` as its standard input.
pub(crate) fn feed(mut command: Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read its input to the end is no failure.
    child.stdin.take().unwrap().write_all(input).ok();
    child.wait_with_output().unwrap()
}

/// Whether an agent's process stands above this test, so that every commit made
/// here with hooks is marked, and says so past the harness's capture. The
/// environment is cleared for every process of a test; ancestors cannot be.
pub(crate) fn is_below_an_agent() -> bool {
    let ancestors = countersign::adapters::ancestors::ancestors().names;
    let surroundings =
        countersign::jobs::ambient::Surroundings { variables: Vec::new(), ancestors };
    let catalogue = countersign::gate::signal::catalogue::Catalogue::built_in();
    let below = !surroundings.marks(catalogue).is_empty();
    if below {
        skipped("an agent's process stands above this test, and marks commits made by hand");
    }
    below
}

/// Says, past the test harness's capture, that something could not be tried here.
pub(crate) fn skipped(reason: &str) {
    let line = format!("skipped: {reason}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// The same of a Python package, which `.ci/run` installs: there it must not be missing.
pub(crate) fn skipped_unless_installed(package: &str) {
    let required = std::env::var_os("COUNTERSIGN_TEST_PYTHON").is_some();
    assert!(!required, "`.ci/run` installs {package} of PyPI, and it is not there");
    skipped(&format!("{package} of PyPI is not installed"));
}
