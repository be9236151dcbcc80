//! The one door to other processes.
//!
//! Two kinds of child exist (git-access of the design): git on the repository
//! under judgment keeps git's variables, because the index and the quarantine
//! of the running hook live there; every other child has them removed, or a
//! test run by a hook would act on the wrong repository.

#![expect(clippy::disallowed_methods, reason = "this is the door")]

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What `git rev-parse --local-env-vars` prints (git 2.47), removed from every
/// child that is not git on the repository under judgment.
pub const GIT_LOCAL_VARIABLES: &[&str] = &[
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT",
    "GIT_OBJECT_DIRECTORY",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_REPLACE_REF_BASE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_COMMON_DIR",
];

/// A process that could not be started, fed, read or awaited.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("failed to start `{program}`")]
    Spawn {
        program: String,
        #[source]
        source: std::io::Error,
    },
    #[error("failed to talk to `{program}`")]
    Io {
        program: String,
        #[source]
        source: std::io::Error,
    },
    #[error("`{program}` printed more than {limit} bytes")]
    TooMuch { program: String, limit: u64 },
}

/// A call of another program: its words, directory, environment and input.
#[derive(Clone, Debug)]
pub struct Call {
    program: OsString,
    arguments: Vec<OsString>,
    dir: PathBuf,
    set: Vec<(OsString, OsString)>,
    removed: Vec<OsString>,
    clear: bool,
    stdin: Option<Vec<u8>>,
    limit: u64,
}

/// What a call gave back.
#[derive(Debug)]
pub struct Output {
    /// `None`: ended by a signal.
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    /// The first 64 KiB.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Whether the program said 0.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// The error text in one line, without git's advice about the empty file of
    /// grafts that it is given.
    pub fn complaint(&self) -> String {
        let text = String::from_utf8_lossy(&self.stderr);
        let advises = text.contains("info/grafts is deprecated");
        let lines = text.trim().lines().filter(|it| !(advises && it.starts_with("hint:")));
        lines.collect::<Vec<&str>>().join("; ")
    }
}

impl Call {
    /// A call of `program` in `dir`, with an empty standard input, and git's
    /// variables removed.
    pub fn new(program: impl AsRef<OsStr>, dir: &Path) -> Call {
        Call {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            dir: dir.to_owned(),
            set: Vec::new(),
            removed: GIT_LOCAL_VARIABLES.iter().map(OsString::from).collect(),
            clear: false,
            stdin: None,
            limit: 1 << 30,
        }
    }

    /// A call of git on the repository under judgment: git's variables are
    /// kept, replace refs are off, nothing is fetched lazily, no lock is taken
    /// for an optional refresh, and messages are in English.
    pub fn git(dir: &Path) -> Call {
        let mut call = Call::git_elsewhere(dir);
        call.removed.clear();
        call
    }

    /// The same on any other repository: git's variables are removed first, or
    /// a running hook's would lead it to the wrong one.
    pub fn git_elsewhere(dir: &Path) -> Call {
        Call::new("git", dir)
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C")
            .arg("--no-replace-objects")
    }

    /// A call of another hook of the repository: it is git's child as much as
    /// we are, and gets git's variables as they came.
    pub fn hook(program: impl AsRef<OsStr>, dir: &Path) -> Call {
        let mut call = Call::new(program, dir);
        call.removed.clear();
        call
    }

    /// One more argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Call {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// More arguments.
    pub fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Call {
        self.arguments.extend(arguments.into_iter().map(|it| it.as_ref().to_owned()));
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Call {
        self.set.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Removes a variable, also one that was set before.
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Call {
        self.set.retain(|(set, _)| set != name.as_ref());
        self.removed.push(name.as_ref().to_owned());
        self
    }

    /// What the program reads.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Call {
        self.stdin = Some(bytes.into());
        self
    }

    /// The most that it may print, in bytes; 1 GiB unless told.
    pub fn limit(mut self, bytes: u64) -> Call {
        self.limit = bytes;
        self
    }

    /// Starts from no variables at all: only those set on the call are seen.
    pub fn only_these_variables(mut self) -> Call {
        self.clear = true;
        self
    }

    /// The program and its subcommand, for messages.
    pub fn name(&self) -> String {
        let first = self.arguments.iter().find(|it| !it.to_string_lossy().starts_with('-'));
        match first {
            Some(word) => format!("{} {}", self.program.to_string_lossy(), word.to_string_lossy()),
            None => self.program.to_string_lossy().into_owned(),
        }
    }

    /// The command as it would be started, but for its three streams.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if self.clear {
            command.env_clear();
        }
        command.args(&self.arguments).current_dir(&self.dir);
        for name in &self.removed {
            command.env_remove(name);
        }
        command.envs(self.set.iter().map(|(name, value)| (name, value)));
        command
    }

    fn spawn(&self) -> Result<Child, ProcessError> {
        self.command()
            .stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| ProcessError::Spawn { program: self.name(), source })
    }

    /// Runs the call to its end and returns what it printed.
    pub fn run(&self) -> Result<Output, ProcessError> {
        let mut stdout = Vec::with_capacity(8 << 10);
        let (code, stderr) = self.stream(|reader| {
            let mut limited = reader.take(self.limit.saturating_add(1));
            limited.read_to_end(&mut stdout).map(|_| ())
        })?;
        if stdout.len() as u64 > self.limit {
            return Err(ProcessError::TooMuch { program: self.name(), limit: self.limit });
        }
        Ok(Output { code, stdout, stderr })
    }

    /// Runs the call while `read` consumes its standard output; returns the
    /// exit code and the first 64 KiB of its error text.
    pub fn stream(
        &self,
        read: impl FnOnce(&mut dyn Read) -> std::io::Result<()>,
    ) -> Result<(Option<i32>, Vec<u8>), ProcessError> {
        let io = |source| ProcessError::Io { program: self.name(), source };
        let mut child = self.spawn()?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take();
        let stderr = child.stderr.take();
        let (read_result, errors) = std::thread::scope(|scope| {
            if let (Some(mut pipe), Some(bytes)) = (stdin, self.stdin.as_ref()) {
                // A child that does not read its input to the end is no error.
                scope.spawn(move || pipe.write_all(bytes).ok());
            }
            both(scope, stdout, stderr, read)
        });
        if read_result.is_err() {
            child.kill().ok();
        }
        let status = child.wait().map_err(io)?;
        read_result.map_err(io)?;
        Ok((status.code(), errors))
    }

    /// Runs the call with our own standard input, output and error: for
    /// programs that talk to the person (ssh-keygen asking for a touch).
    pub fn run_interactively(&self) -> Result<Option<i32>, ProcessError> {
        let status = self
            .command()
            .status()
            .map_err(|source| ProcessError::Spawn { program: self.name(), source })?;
        Ok(status.code())
    }

    /// Becomes the program, with all that this process has; where a process
    /// cannot, runs it to its end. Returns the exit status only in that case.
    pub fn become_it(&self) -> Result<u8, ProcessError> {
        #[cfg(unix)]
        {
            let source = std::os::unix::process::CommandExt::exec(&mut self.command());
            Err(ProcessError::Spawn { program: self.name(), source })
        }
        #[cfg(not(unix))]
        {
            let code = self.run_interactively()?;
            Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
        }
    }

    /// Runs the call with our own standard output and error, and with our
    /// standard input unless it was given its own.
    pub fn run_passing_through(&self) -> Result<Option<i32>, ProcessError> {
        let mut child = self
            .command()
            .stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::inherit() })
            .spawn()
            .map_err(|source| ProcessError::Spawn { program: self.name(), source })?;
        if let (Some(mut pipe), Some(bytes)) = (child.stdin.take(), self.stdin.as_ref()) {
            // A child that does not read its input to the end is no error.
            pipe.write_all(bytes).ok();
        }
        let status =
            child.wait().map_err(|source| ProcessError::Io { program: self.name(), source })?;
        Ok(status.code())
    }
}

/// The most that is kept of a child's error text, in bytes.
const ERRORS_LIMIT: usize = 64 << 10;

/// Lets `read` consume the output, and collects the error text meanwhile.
#[cfg(unix)]
fn both<'scope>(
    _: &'scope std::thread::Scope<'scope, '_>,
    stdout: Option<std::process::ChildStdout>,
    stderr: Option<std::process::ChildStderr>,
    read: impl FnOnce(&mut dyn Read) -> std::io::Result<()>,
) -> (std::io::Result<()>, Vec<u8>) {
    let mut pipes = Pipes { stdout, stderr, errors: Vec::new() };
    let result = read(&mut pipes);
    // A child that still writes shall see that nobody reads.
    pipes.stdout = None;
    while pipes.stderr.is_some() {
        pipes.take_errors();
    }
    (result, pipes.errors)
}

/// The same where two pipes cannot be waited for at once: with a thread.
#[cfg(not(unix))]
fn both<'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    stdout: Option<std::process::ChildStdout>,
    stderr: Option<std::process::ChildStderr>,
    read: impl FnOnce(&mut dyn Read) -> std::io::Result<()>,
) -> (std::io::Result<()>, Vec<u8>) {
    let errors = scope.spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = stderr {
            (&mut pipe).take(ERRORS_LIMIT as u64).read_to_end(&mut bytes).ok();
            std::io::copy(&mut pipe, &mut std::io::sink()).ok();
        }
        bytes
    });
    let result = match stdout {
        Some(mut pipe) => read(&mut pipe),
        None => Ok(()),
    };
    (result, errors.join().unwrap_or_default())
}

/// A child's two outputs. Whoever reads the first also empties the second, so
/// that the child never waits for us; `None` is a pipe that has ended.
#[cfg(unix)]
struct Pipes {
    stdout: Option<std::process::ChildStdout>,
    stderr: Option<std::process::ChildStderr>,
    errors: Vec<u8>,
}

#[cfg(unix)]
impl Pipes {
    /// Reads what the error pipe has, waiting for it if there is nothing yet.
    fn take_errors(&mut self) {
        let Some(pipe) = &mut self.stderr else { return };
        let mut buffer = [0; 4 << 10];
        match pipe.read(&mut buffer) {
            Ok(0) => self.stderr = None,
            Ok(count) => {
                let room = ERRORS_LIMIT.saturating_sub(self.errors.len());
                self.errors.extend_from_slice(&buffer[..count.min(room)]);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => self.stderr = None,
        }
    }
}

#[cfg(unix)]
impl Read for Pipes {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        use rustix::event::{PollFd, PollFlags, poll};
        loop {
            let Some(stdout) = &mut self.stdout else { return Ok(0) };
            let Some(stderr) = &self.stderr else { return stdout.read(buffer) };
            let mut ready =
                [PollFd::new(&*stdout, PollFlags::IN), PollFd::new(stderr, PollFlags::IN)];
            match poll(&mut ready, None) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            let [has_output, has_errors] = ready.map(|it| !it.revents().is_empty());
            if has_errors {
                self.take_errors();
            }
            if has_output {
                return match &mut self.stdout {
                    Some(stdout) => stdout.read(buffer),
                    None => Ok(0),
                };
            }
        }
    }
}
