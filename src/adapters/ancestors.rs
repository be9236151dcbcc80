//! The processes above this one, by the names of their executables.
//!
//! An agent's shell runs git, git runs the hook, the hook runs us: so the agent
//! stands among our ancestors. Where they cannot be read the answer is empty,
//! with the reason; nothing may be decided from an absence anyway.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::fs;
use super::process::Call;

/// How far up we look; a chain this long is a loop or a joke.
const DEPTH: usize = 64;
/// The most that is read of a process's status or command line.
const LIMIT: u64 = 256 << 10;

/// What stands above this process, nearest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ancestors {
    /// Names of executables, and of the scripts that interpreters run; no paths.
    pub names: Vec<String>,
    /// Why the chain is not known to its end, if so.
    pub incomplete: Option<String>,
}

/// A process, told apart from a later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ProcessId {
    number: u32,
    /// When it was started, in the clock ticks of `/proc`.
    started: u64,
}

impl std::fmt::Display for ProcessId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.number, self.started)
    }
}

/// The process that started this one; `None` where nothing tells when it was started.
pub fn parent_process() -> Option<ProcessId> {
    if !has_own_table() {
        return None;
    }
    let number = parent();
    let stat = fs::read(Path::new(&format!("/proc/{number}/stat")), LIMIT).ok()??;
    let started = parse_started(&String::from_utf8_lossy(&stat))?;
    Some(ProcessId { number, started })
}

/// Whether `/proc` is there and speaks of this process under the number that it has
/// for itself. One of another PID namespace tells of others under our numbers.
pub fn has_own_table() -> bool {
    let stat = fs::read(Path::new("/proc/self/stat"), LIMIT).ok().flatten().unwrap_or_default();
    parse_number(&String::from_utf8_lossy(&stat)) == Some(std::process::id())
}

/// The first field.
fn parse_number(stat: &str) -> Option<u32> {
    stat.split_once(' ')?.0.parse().ok()
}

/// The 22nd field; the third is the first after the name.
fn parse_started(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Reads the chain: on Linux from `/proc`, elsewhere on Unix from one `ps`.
pub fn ancestors() -> Ancestors {
    let read = match std::env::consts::OS {
        "linux" if !has_own_table() => {
            Err("/proc is absent, or of another PID namespace".to_owned())
        }
        "linux" => chain(parent(), |pid| from_proc(Path::new("/proc"), pid)),
        "macos" | "freebsd" | "netbsd" | "openbsd" => from_ps(),
        system => Err(format!("the processes of {system} are not read")),
    };
    read.unwrap_or_else(|reason| Ancestors { names: Vec::new(), incomplete: Some(reason) })
}

/// One process.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Process {
    parent: u32,
    names: Vec<String>,
}

#[cfg(unix)]
fn parent() -> u32 {
    std::os::unix::process::parent_id()
}

#[cfg(not(unix))]
fn parent() -> u32 {
    0
}

fn chain(
    first: u32,
    mut read: impl FnMut(u32) -> Result<Option<Process>, String>,
) -> Result<Ancestors, String> {
    let mut ancestors = Ancestors::default();
    let mut pid = first;
    for _ in 0..DEPTH {
        // 0 stands above init, or outside this namespace.
        if pid == 0 {
            return Ok(ancestors);
        }
        match read(pid) {
            Ok(Some(process)) => {
                ancestors.names.extend(process.names);
                pid = process.parent;
            }
            Ok(None) => {
                ancestors.incomplete = Some(format!("process {pid} is not visible"));
                return Ok(ancestors);
            }
            Err(reason) if ancestors.names.is_empty() => return Err(reason),
            Err(reason) => {
                ancestors.incomplete = Some(reason);
                return Ok(ancestors);
            }
        }
    }
    ancestors.incomplete = Some(format!("more than {DEPTH} ancestors"));
    Ok(ancestors)
}

fn from_proc(proc: &Path, pid: u32) -> Result<Option<Process>, String> {
    let folder = proc.join(pid.to_string());
    let read = |name: &str| fs::read(&folder.join(name), LIMIT);
    let Some(stat) = read("stat").map_err(|error| error.to_string())? else { return Ok(None) };
    let stat = String::from_utf8_lossy(&stat);
    let (parent, name) =
        parse_stat(&stat).ok_or_else(|| format!("the status of process {pid} is malformed"))?;
    // Another user's command line may be hidden; the name is not.
    let line = read("cmdline").ok().flatten().unwrap_or_default();
    let words: Vec<String> = line
        .split(|byte| *byte == 0)
        .take(8)
        .map(|it| String::from_utf8_lossy(it).into_owned())
        .collect();
    let mut names = vec![name.to_owned()];
    names.extend(names_of(&words));
    names.dedup();
    Ok(Some(Process { parent, names }))
}

/// Reads `PID (NAME) STATE PARENT …`; the name may hold blanks and brackets.
fn parse_stat(stat: &str) -> Option<(u32, &str)> {
    let (head, rest) = stat.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let parent = rest.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some((parent, name))
}

fn from_ps() -> Result<Ancestors, String> {
    let output = Call::new("ps", Path::new("/"))
        .args(["-A", "-o", "pid=,ppid=,comm="])
        .env("LC_ALL", "C")
        .limit(16 << 20)
        .run()
        .map_err(|error| error.to_string())?;
    if !output.success() {
        return Err(format!("`ps` failed: {}", output.complaint()));
    }
    let table = parse_ps(&String::from_utf8_lossy(&output.stdout));
    chain(parent(), |pid| Ok(table.get(&pid).cloned()))
}

/// Reads lines of `PID PARENT COMMAND`; the command may be a path with blanks.
fn parse_ps(text: &str) -> HashMap<u32, Process> {
    let row = |line: &str| {
        let (pid, rest) = line.trim().split_once(char::is_whitespace)?;
        let (parent, command) = rest.trim().split_once(char::is_whitespace)?;
        let names = names_of(&[command.trim().to_owned()]);
        Some((pid.parse().ok()?, Process { parent: parent.parse().ok()?, names }))
    };
    text.lines().filter_map(row).collect()
}

/// The executable's name, and the script's if it is an interpreter.
fn names_of(words: &[String]) -> Vec<String> {
    let base = |word: &String| {
        let name = PathBuf::from(word).file_name()?.to_str()?.to_owned();
        // A login shell is called `-bash`.
        Some(name.strip_prefix('-').map(str::to_owned).unwrap_or(name))
    };
    let Some(first) = words.first().and_then(base) else { return Vec::new() };
    let interpreter =
        matches!(first.as_str(), "node" | "bun" | "deno") || first.starts_with("python");
    let script = words.iter().skip(1).find(|word| !word.starts_with('-')).filter(|_| interpreter);
    let script = script.and_then(base).map(|name| {
        let stem = [".js", ".mjs", ".cjs", ".py"].iter().find_map(|end| name.strip_suffix(end));
        stem.map(str::to_owned).unwrap_or(name)
    });
    [Some(first), script].into_iter().flatten().filter(|it| !it.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(words: &[&str], expected: &[&str]) {
        let words: Vec<String> = words.iter().map(|it| (*it).to_owned()).collect();
        assert_eq!(names_of(&words), expected);
    }

    #[test]
    fn a_process_is_called_by_its_executable_or_script() {
        check(&["/usr/bin/claude", "--resume"], &["claude"]);
        check(&["-bash"], &["bash"]);
        check(&["node", "--no-warnings", "/opt/bin/gemini.js"], &["node", "gemini"]);
        check(&["/usr/bin/python3", "/home/ana/.local/bin/aider"], &["python3", "aider"]);
        check(&["vim", "codex"], &["vim"]);
        check(&[], &[]);
    }

    #[test]
    fn a_name_may_hold_brackets() {
        assert_eq!(parse_stat("12 (a (b) c) S 7 12 12 0"), Some((7, "a (b) c")));
        assert_eq!(parse_stat("12 a S 7"), None);
    }

    #[test]
    fn the_chain_ends_at_init_or_says_why_not() {
        let table = parse_ps(
            "    1     0 /sbin/launchd\n   50     1 /Applications/My Tool/claude\n   60    50 -zsh\n",
        );
        let read = |pid| Ok(table.get(&pid).cloned());
        let names = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let whole = Ancestors { names: names(&["zsh", "claude", "launchd"]), incomplete: None };
        assert_eq!(chain(60, read), Ok(whole));
        assert_eq!(
            chain(61, read).unwrap().incomplete.as_deref(),
            Some("process 61 is not visible")
        );
        let looped = chain(1, |_| Ok(Some(Process { parent: 1, names: names(&["a"]) }))).unwrap();
        assert_eq!((looped.names.len(), looped.incomplete.is_some()), (DEPTH, true));
        assert_eq!(chain(60, |_| Err("gone".to_owned())), Err("gone".to_owned()));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_a_parent() {
        let ancestors = ancestors();
        assert!(!ancestors.names.is_empty(), "{ancestors:?}");
    }
}
