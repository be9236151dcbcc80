//! Runs somebody else's command under supervision: its own process group, a time
//! limit, a way to interrupt it, bounded output, and an end that leaves nothing
//! behind.
//!
//! A child can leave its process group (`setsid`) and its parent (a double
//! fork). On Linux we are made the reaper of such orphans, and a variable that
//! only this run's processes carry tells whose they are. Elsewhere the process
//! group is all that can be ended. Whoever survives may still hold the output
//! pipe, so nobody here waits for its end without a limit.

#![expect(clippy::disallowed_methods, reason = "durations are measured here")]

use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use super::process::{Call, ProcessError};

/// How long a command has between the request to end and its end.
const GRACE: Duration = Duration::from_secs(5);
/// How long the rest of the output is awaited once the command has ended.
const DRAIN: Duration = Duration::from_millis(500);
/// The variable that marks every process of a run.
const MARK: &str = "COUNTERSIGN_RUN";

/// How a supervised command came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Exited(i32),
    /// By a signal that we did not send.
    Killed(i32),
    TimedOut,
    Interrupted,
}

/// What supervision saw.
#[derive(Clone, Copy, Debug)]
pub struct Supervised {
    pub ended: Ended,
    pub duration: Duration,
}

/// When to end a command early.
#[derive(Clone, Copy, Debug)]
pub struct Limits<'a> {
    pub timeout: Duration,
    pub interrupted: &'a AtomicBool,
}

/// Returns the flag that SIGINT and SIGTERM set, from now on instead of ending
/// this process; the second of them ends it at once with status 130.
pub fn interruption() -> Arc<AtomicBool> {
    static FLAG: std::sync::OnceLock<Arc<AtomicBool>> = std::sync::OnceLock::new();
    let flag = FLAG.get_or_init(|| {
        let flag = Arc::new(AtomicBool::new(false));
        #[cfg(unix)]
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            // Registration fails for forbidden signals only, which these are not;
            // without it the signal ends us, as it would have.
            signal_hook::flag::register_conditional_shutdown(signal, 130, flag.clone()).ok();
            signal_hook::flag::register(signal, flag.clone()).ok();
        }
        flag
    });
    flag.clone()
}

/// Runs `call` to its end, handing what it prints on both streams to `output`
/// as it comes. Everything that the command started is ended with it.
pub fn supervise(
    call: &Call,
    limits: Limits<'_>,
    output: impl FnMut(&[u8]) + Send + 'static,
) -> Result<Supervised, ProcessError> {
    let io = |source| ProcessError::Io { program: call.name(), source };
    let mark = mark();
    let _active = Active::begin();
    let (mut reader, writer) = std::io::pipe().map_err(io)?;
    let mut command = call.command();
    command
        .env(MARK, &mark)
        .stdin(std::process::Stdio::null())
        .stdout(writer.try_clone().map_err(io)?)
        .stderr(writer);
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    #[cfg(unix)]
    tree::adopt_orphans();
    let start = Instant::now();
    let mut child =
        command.spawn().map_err(|source| ProcessError::Spawn { program: call.name(), source })?;
    // The command holds the pipe's other end; as long as ours were open too, it would never end.
    drop(command);

    // The reader may outlive this call, if a survivor holds the pipe. It must
    // then no longer speak.
    let output = Arc::new(Mutex::new(Some(output)));
    let (finished, drained) = mpsc::channel::<()>();
    let sink = output.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        while let Ok(count @ 1..) = reader.read(&mut buffer) {
            match sink.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
                Some(output) => output(&buffer[..count]),
                None => return,
            }
        }
        finished.send(()).ok();
    });

    let ended = watch(&mut child, start, limits, &mark).map_err(io)?;
    let duration = start.elapsed();
    drained.recv_timeout(DRAIN).ok();
    output.lock().unwrap_or_else(PoisonError::into_inner).take();
    Ok(Supervised { ended, duration })
}

/// How many commands are supervised now.
static ACTIVE: AtomicUsize = AtomicUsize::new(0);

/// Counts a supervised command for as long as the value lives.
struct Active;

impl Active {
    fn begin() -> Active {
        ACTIVE.fetch_add(1, Ordering::SeqCst);
        Active
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        ACTIVE.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Something that no other run on this machine carries now.
fn mark() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("{}.{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Waits for the end, brings it about where a limit says so, and clears up.
#[cfg(unix)]
fn watch(
    child: &mut std::process::Child,
    start: Instant,
    limits: Limits<'_>,
    mark: &str,
) -> std::io::Result<Ended> {
    use rustix::process::Signal;
    use std::os::unix::process::ExitStatusExt;

    let pid = rustix::process::Pid::from_child(child);
    let mut forced = None;
    let mut pause = Duration::from_millis(1);
    // The child is not reaped until its group is gone: until then its id, which
    // is the group's, cannot become somebody else's.
    while !tree::has_ended(pid)? {
        forced = match forced {
            None if limits.interrupted.load(Ordering::Relaxed) => Some(Ended::Interrupted),
            None if start.elapsed() >= limits.timeout => Some(Ended::TimedOut),
            other => other,
        };
        if forced.is_some() {
            tree::signal(pid, mark, Signal::TERM);
            let asked = Instant::now();
            while !tree::has_ended(pid)? && asked.elapsed() < GRACE {
                std::thread::sleep(Duration::from_millis(5));
            }
            break;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    tree::kill(pid, mark);
    let status = child.wait()?;
    Ok(forced.unwrap_or(match status.code() {
        Some(code) => Ended::Exited(code),
        None => Ended::Killed(status.signal().unwrap_or(0)),
    }))
}

#[cfg(not(unix))]
fn watch(
    child: &mut std::process::Child,
    start: Instant,
    limits: Limits<'_>,
    _mark: &str,
) -> std::io::Result<Ended> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code().map_or(Ended::Killed(0), Ended::Exited));
        }
        let interrupted = limits.interrupted.load(Ordering::Relaxed);
        if interrupted || start.elapsed() >= limits.timeout {
            child.kill()?;
            child.wait()?;
            return Ok(if interrupted { Ended::Interrupted } else { Ended::TimedOut });
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The processes of a run.
#[cfg(unix)]
mod tree {
    use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

    /// Makes us the parent of those whose parents ended.
    pub(super) fn adopt_orphans() {
        #[cfg(target_os = "linux")]
        rustix::process::set_child_subreaper(Some(rustix::process::getpid())).ok();
    }

    /// Whether the child has ended; it stays there to be reaped.
    pub(super) fn has_ended(pid: Pid) -> std::io::Result<bool> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        loop {
            match rustix::process::waitid(WaitId::Pid(pid), options) {
                Ok(status) => return Ok(status.is_some()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Signals the process group and whoever of the run left it.
    pub(super) fn signal(group: Pid, mark: &str, signal: Signal) {
        // They are found before their parents end, and told by them.
        let others = members(group, mark);
        // A process that is gone already is what was wanted.
        rustix::process::kill_process_group(group, signal).ok();
        for pid in others {
            rustix::process::kill_process(pid, signal).ok();
        }
    }

    /// Ends all of them. A process that forks while we look is found in the next
    /// round; the rounds are limited, since a fork bomb must not hold us.
    pub(super) fn kill(group: Pid, mark: &str) {
        for _ in 0..100 {
            let others = members(group, mark);
            rustix::process::kill_process_group(group, Signal::KILL).ok();
            if others.is_empty() {
                return;
            }
            for pid in others {
                rustix::process::kill_process(pid, Signal::KILL).ok();
                // Only those that became ours can be reaped; the others are not ours to wait for.
                rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::NOHANG).ok();
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// The living processes of a run, other than its first: those that carry its
    /// mark, those below them, and orphans that hid both their descent and their
    /// environment, where no other run could own them.
    #[cfg(target_os = "linux")]
    fn members(group: Pid, mark: &str) -> Vec<Pid> {
        use std::collections::{BTreeMap, BTreeSet};
        use std::sync::atomic::Ordering;

        let wanted = format!("{}={mark}", super::MARK);
        let us = rustix::process::getpid().as_raw_nonzero().get();
        // Read here, not asked of getsid(2): for a leader outside our PID namespace the
        // kernel says 0, which a `Pid` cannot hold.
        let own = Stat::read(std::path::Path::new("/proc/self"));
        // The table of another PID namespace would have us signal strangers.
        let Some(own) = own.filter(|_| crate::adapters::ancestors::has_own_table()) else {
            return Vec::new();
        };
        let alone = super::ACTIVE.load(Ordering::SeqCst) == 1;
        let first = group.as_raw_nonzero().get();
        let mut parents = BTreeMap::new();
        let mut found = BTreeSet::from([first]);
        for path in crate::adapters::fs::list(std::path::Path::new("/proc")).unwrap_or_default() {
            let name = path.file_name().and_then(|name| name.to_str());
            let Some(pid) = name.and_then(|name| name.parse::<i32>().ok()) else { continue };
            let Some(stat) = Stat::read(&path).filter(|stat| !stat.zombie) else { continue };
            parents.insert(pid, stat.parent);
            let adopted = stat.parent == us && stat.session != own.session;
            let environment = crate::adapters::fs::read(&path.join("environ"), 4 << 20);
            let marked = environment.ok().flatten().is_some_and(|bytes| {
                bytes.split(|byte| *byte == 0).any(|it| it == wanted.as_bytes())
            });
            if marked || (alone && adopted) {
                found.insert(pid);
            }
        }
        loop {
            let more: Vec<i32> = parents
                .iter()
                .filter(|(pid, parent)| found.contains(parent) && !found.contains(pid))
                .map(|(pid, _)| *pid)
                .collect();
            if more.is_empty() {
                found.remove(&first);
                return found.into_iter().filter_map(Pid::from_raw).collect();
            }
            found.extend(more);
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn members(_group: Pid, _mark: &str) -> Vec<Pid> {
        Vec::new()
    }

    /// What `/proc/<pid>/stat` says (proc_pid_stat(5)).
    #[cfg(target_os = "linux")]
    struct Stat {
        parent: i32,
        /// 0 where its leader lies outside our PID namespace.
        session: i32,
        zombie: bool,
    }

    #[cfg(target_os = "linux")]
    impl Stat {
        fn read(path: &std::path::Path) -> Option<Stat> {
            let bytes = crate::adapters::fs::read(&path.join("stat"), 64 << 10).ok()??;
            // The name in brackets may hold anything, brackets too.
            let end = bytes.iter().rposition(|byte| *byte == b')')?;
            let rest = String::from_utf8_lossy(bytes.get(end + 1..)?).into_owned();
            let mut fields = rest.split_ascii_whitespace();
            let zombie = matches!(fields.next()?, "Z" | "X");
            let parent = fields.next()?.parse().ok()?;
            let session = fields.nth(1)?.parse().ok()?;
            Some(Stat { parent, session, zombie })
        }
    }
}
