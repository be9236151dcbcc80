//! The whole story in a throw-away repository, with the real program, git and
//! ssh-keygen: an assisted change is stopped, tested, countersigned and let through.
//!
//! Everything that is started sees variables of its own, so that nothing of the
//! person's configuration, keys or agents takes part. The countersigning runs
//! as a job, with surroundings handed over as values: what `approve` refuses
//! an agent is refused for real records, and these keys sign nothing real.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::adapters::env::{self, Env};
use crate::adapters::fs;
use crate::adapters::git::Git;
use crate::adapters::marks::Marks;
use crate::adapters::process::{Call, Output, ProcessError};
use crate::adapters::store::Store;

use super::ambient::Surroundings;
use super::approve::{self, Decision, Signed};
use super::test::interruption;
use super::world::World;
use super::{Error, ErrorKind};

/// What a missing program is needed for, and how to get it.
const PROGRAMS: [(&str, &[&str], &str); 2] = [
    ("git", &["version"], "install git (https://git-scm.com)"),
    // It has no call that does nothing; this one fails, but it runs.
    ("ssh-keygen", &["-l", "-f", "none"], "install OpenSSH; ssh-keygen comes with its client"),
];

const PRICES: &str = "total() { echo $(( $1 * 120 / 100 )); }\n";
const DISCOUNT: &str = "discount() { echo $(( $1 * 90 / 100 )); }\n";
const SNEAKED: &str = "discount() { echo $(( $1 * 9 / 100 )); }\n";
const TEST: &str = ". ./prices/prices.sh\ntest \"$(total 100)\" = 120 && echo \"total: ok\"\n";
const MESSAGE: &str = "prices: add a discount\n\nCo-Authored-By: Claude <noreply@anthropic.com>\n";

/// How the story is told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The repositories stay where they are.
    pub keep: bool,
    /// Programs may colour what they print.
    pub colour: bool,
}

/// What is told while it happens.
#[derive(Debug)]
pub enum Told {
    /// A part of the story begins.
    Part(&'static str),
    /// A person types a command.
    Typed { who: &'static str, command: String },
    /// What the command printed.
    Printed(String),
    /// A person signed.
    Signed { signed: Box<Signed>, person: String, fingerprint: String },
    /// What has just been seen.
    Remark(&'static str),
}

/// How the story ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// To its end; the folder, if it was kept.
    Told(Option<PathBuf>),
    Interrupted,
}

/// Tells the story. Everything it made is removed at the end, however that comes.
pub fn demo(env: &Env, options: Options, tell: &mut dyn FnMut(Told)) -> Result<Ended, Error> {
    let interrupted = interruption();
    let folder = fs::scratch_folder()?;
    let mut stage = Stage::set(env, options, folder.path(), &interrupted, tell)?;
    let end = stage.play();
    if interrupted.load(Ordering::Relaxed) {
        return Ok(Ended::Interrupted);
    }
    end?;
    Ok(Ended::Told(options.keep.then(|| folder.keep())))
}

/// The throw-away folder: the shared repository `hub.git`, a clone a person,
/// and a home of its own.
struct Stage<'a> {
    folder: PathBuf,
    program: PathBuf,
    variables: Vec<(OsString, OsString)>,
    interrupted: &'a AtomicBool,
    tell: &'a mut dyn FnMut(Told),
}

impl<'a> Stage<'a> {
    fn set(
        env: &Env,
        options: Options,
        folder: &Path,
        interrupted: &'a AtomicBool,
        tell: &'a mut dyn FnMut(Told),
    ) -> Result<Stage<'a>, Error> {
        let folder = fs::resolve(folder)?;
        let home = folder.join("home");
        fs::create_folder(&home)?;
        let Some(program) = env.executable.clone() else {
            let message = "failed to find the countersign program that the hooks would start";
            return Err(Error::new(ErrorKind::Internal, message));
        };
        let stage = Stage {
            variables: variables(env, &home, options.colour),
            folder,
            program,
            interrupted,
            tell,
        };
        for (name, arguments, cure) in PROGRAMS {
            match stage.call(name, "home").args(arguments).run() {
                Ok(_) => {}
                Err(ProcessError::Spawn { source, .. })
                    if source.kind() == std::io::ErrorKind::NotFound =>
                {
                    let message = format!("the demo needs `{name}`, which is not on PATH");
                    return Err(Error::usage(message).hint(cure));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(stage)
    }

    fn play(&mut self) -> Result<(), Error> {
        self.open()?;
        self.assist()?;
        self.stop()?;
        self.countersign()?;
        self.sneak()?;
        self.land()
    }

    /// Ana's repository with a policy, her clone with hooks, and bo's clone.
    fn open(&mut self) -> Result<(), Error> {
        self.part("ana and bo share a repository; its policy and the hooks are in place");
        self.silently(".", &["init", "-q", "--bare", "hub.git"])?;
        self.silently("hub.git", &["symbolic-ref", "HEAD", "refs/heads/main"])?;
        self.clone("ana")?;
        self.silently("ana", &["symbolic-ref", "HEAD", "refs/heads/main"])?;
        let policy = self.policy()?;
        self.write("ana/countersign.toml", &policy)?;
        self.write("ana/prices/prices.sh", PRICES)?;
        self.write("ana/tests/prices.sh", TEST)?;
        self.silently("ana", &["add", "."])?;
        self.silently("ana", &["commit", "-q", "-m", "prices, their test, and a policy"])?;
        self.silently("ana", &["push", "-q", "origin", "main"])?;
        let rules = policy.find("[[rule]]").map_or("", |at| &policy[at..]);
        self.typed("ana", "cat countersign.toml   # the rule, and the test it asks for");
        self.print(rules);
        self.passes("ana", &["countersign", "install"])
    }

    fn assist(&mut self) -> Result<(), Error> {
        self.part("an agent writes code for ana, and says so in a trailer");
        self.silently("ana", &["switch", "-q", "-c", "discount"])?;
        self.write("ana/prices/prices.sh", &format!("{PRICES}{DISCOUNT}"))?;
        self.typed("ana", "git commit -a");
        self.print(MESSAGE);
        let output = self.run("ana", &["git", "commit", "-q", "-a", "-m", MESSAGE])?;
        self.expect(&["git", "commit"], &output, true)
    }

    fn stop(&mut self) -> Result<(), Error> {
        self.part("the branch can be pushed for review, but nobody can push it to main yet");
        self.passes("ana", &["git", "push", "-q", "origin", "discount"])?;
        self.remark("The required test ran on a checkout of exactly that tree, and passed.");
        self.blocks("ana", &["git", "push", "-q", "origin", "discount:main"])
    }

    fn countersign(&mut self) -> Result<(), Error> {
        self.part("bo reads the change, and countersigns exactly this content with an ssh key");
        self.clone("bo")?;
        self.silently("bo", &["switch", "-q", "discount"])?;
        self.passes("bo", &["git", "diff", "main...discount", "--stat"])?;
        self.typed("bo", "countersign approve");
        self.approve("bo")?;
        self.passes("bo", &["countersign", "ledger", "sync"])
    }

    fn sneak(&mut self) -> Result<(), Error> {
        self.part("one line is changed after the review: the approval does not cover it");
        self.silently("ana", &["branch", "-q", "reviewed"])?;
        self.write("ana/prices/prices.sh", &format!("{PRICES}{SNEAKED}"))?;
        self.passes("ana", &["git", "diff", "-U0"])?;
        self.passes("ana", &["git", "commit", "-q", "-a", "--amend", "--no-edit"])?;
        self.passes("ana", &["git", "fetch", "-q"])?;
        self.blocks("ana", &["git", "push", "-q", "origin", "discount:main"])
    }

    fn land(&mut self) -> Result<(), Error> {
        self.part("what was reviewed goes through, and CI reaches the same verdict");
        self.passes("ana", &["git", "reset", "-q", "--hard", "reviewed"])?;
        self.passes("ana", &["countersign", "test", "--sign"])?;
        self.remark("The earlier result stands; now it is signed, and others can count it.");
        self.clone("ci")?;
        self.silently("ci", &["switch", "-q", "discount"])?;
        self.passes("ana", &["git", "push", "-q", "origin", "discount:main"])?;
        self.remark("Not a word: everything that the policy asks for is there.");
        self.passes("ci", &["git", "fetch", "-q", "origin", "countersign-ledger"])?;
        self.passes("ci", &["countersign", "check", "--require-policy"])?;
        self.passes("ci", &["countersign", "ledger", "verify"])
    }

    /// A clone with the person's name.
    fn clone(&self, who: &'static str) -> Result<(), Error> {
        self.silently(".", &["clone", "-q", "hub.git", who])?;
        self.silently(who, &["config", "user.name", who])?;
        self.silently(who, &["config", "user.signingkey", &format!("../home/{who}")])?;
        self.silently(who, &["config", "user.email", &format!("{who}@example.com")])
    }

    /// The policy, with a new key for each person.
    fn policy(&self) -> Result<String, Error> {
        let mut people = String::new();
        for who in ["ana", "bo"] {
            let arguments = ["-q", "-t", "ed25519", "-N", "", "-C", who, "-f", who];
            let output = self.call("ssh-keygen", "home").args(arguments).run()?;
            self.expect(&["ssh-keygen"], &output, true)?;
            let public = fs::read(&self.folder.join("home").join(format!("{who}.pub")), 4096)?;
            let public = String::from_utf8_lossy(&public.unwrap_or_default()).trim().to_owned();
            people.push_str(&format!(
                "[people.{who}]\nkind = \"human\"\nemails = [\"{who}@example.com\"]\nkeys = [{{ key = \"{public}\" }}]\n\n"
            ));
        }
        Ok(format!(
            "schema = 1\n\n[trust]\nrepo_id = \"demo-shop\"\n\n{people}[groups]\nsenior = [\"ana\", \"bo\"]\n\n\
             [[rule]]\nid = \"assisted-prices\"\n\
             why = \"assisted changes to prices need a senior who did not write or prompt them\"\n\
             paths = [\"/prices/**\"]\nwhen = {{ assisted = true }}\n\
             require.approvals = [{{ from = [\"senior\"] }}]\nrequire.tests = [\"prices\"]\n\n\
             [test.prices]\nrun = \"sh tests/prices.sh\"\n"
        ))
    }

    /// Signs as the command does, once it has found a person at the terminal.
    fn approve(&mut self, who: &'static str) -> Result<(), Error> {
        let dir = self.folder.join(who);
        let git = Git::open_elsewhere(&dir, self.variables.clone())?;
        let layout = git.layout();
        let (common, own) = (layout.common_dir.clone(), layout.git_dir.clone());
        let env = Env {
            dir,
            variables: self.variables.clone(),
            now: env::now(),
            stdin_is_terminal: false,
            stdout_is_terminal: false,
            stderr_is_terminal: false,
            executable: None,
        };
        let (store, marks) = (Store::new(&common), Marks::open(&common, &own));
        let world = World { env, git, store, marks };
        let key = Some(self.folder.join("home").join(who));
        let options = approve::Options { key, ..approve::Options::default() };
        let decision = Decision::Approve { rules: Vec::new(), note: None };
        let draft = approve::prepare(&world, &options, &decision, &Surroundings::default())?;
        let (person, fingerprint) = (draft.hand.person.clone(), draft.hand.fingerprint.clone());
        let signed = Box::new(draft.sign(&world)?);
        (self.tell)(Told::Signed { signed, person, fingerprint });
        Ok(())
    }

    /// Runs a command as a person would type it; it must succeed.
    fn passes(&mut self, who: &'static str, words: &[&str]) -> Result<(), Error> {
        self.shows(who, words, true)
    }

    /// The same; it must be refused.
    fn blocks(&mut self, who: &'static str, words: &[&str]) -> Result<(), Error> {
        self.shows(who, words, false)
    }

    fn shows(&mut self, who: &'static str, words: &[&str], passes: bool) -> Result<(), Error> {
        let typed: Vec<&str> = words.iter().copied().filter(|word| *word != "-q").collect();
        self.typed(who, &typed.join(" "));
        let output = self.run(who, words)?;
        self.print(&text(&output));
        self.expect(words, &output, passes)
    }

    /// Runs git without telling; it must succeed.
    fn silently(&self, dir: &str, arguments: &[&str]) -> Result<(), Error> {
        let words = [&["git"], arguments].concat();
        let output = self.run(dir, &words)?;
        self.expect(&words, &output, true)
    }

    fn run(&self, dir: &str, words: &[&str]) -> Result<Output, Error> {
        let Some((program, arguments)) = words.split_first() else {
            return Err(Error::new(ErrorKind::Internal, "the demo has an empty command"));
        };
        Ok(self.call(program, dir).args(arguments).run()?)
    }

    fn call(&self, program: &str, dir: &str) -> Call {
        let program =
            if program == "countersign" { self.program.clone() } else { PathBuf::from(program) };
        let call = Call::new(program, &self.folder.join(dir)).only_these_variables();
        self.variables.iter().fold(call, |call, (name, value)| call.env(name, value))
    }

    /// The story goes on only where it went as told.
    fn expect(&self, words: &[&str], output: &Output, passes: bool) -> Result<(), Error> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(Error::usage("interrupted"));
        }
        if output.success() == passes {
            return Ok(());
        }
        let what = if passes { "failed" } else { "was not stopped" };
        let message = format!("the demo's `{}` {what}: {}", words.join(" "), output.complaint());
        Err(Error::new(ErrorKind::Internal, message))
    }

    fn write(&self, path: &str, content: &str) -> Result<(), Error> {
        let path = self.folder.join(path);
        if let Some(folder) = path.parent() {
            fs::create_folder(folder)?;
        }
        Ok(fs::write_atomically(&path, content.as_bytes(), 0o644)?)
    }

    fn part(&mut self, title: &'static str) {
        (self.tell)(Told::Part(title));
    }

    fn remark(&mut self, remark: &'static str) {
        (self.tell)(Told::Remark(remark));
    }

    fn typed(&mut self, who: &'static str, command: &str) {
        (self.tell)(Told::Typed { who, command: command.to_owned() });
    }

    fn print(&mut self, text: &str) {
        (self.tell)(Told::Printed(text.to_owned()));
    }
}

/// All that the started programs see: where programs and scratch files are,
/// and a home without anything in it.
fn variables(env: &Env, home: &Path, colour: bool) -> Vec<(OsString, OsString)> {
    let kept = ["PATH", "TMPDIR", "TMP", "TEMP", "SYSTEMROOT", "COMSPEC"];
    let mut variables: Vec<(OsString, OsString)> = kept
        .iter()
        .filter_map(|name| Some((OsString::from(name), env.get_os(name)?.to_owned())))
        .collect();
    let mut set = |name: &str, value: &std::ffi::OsStr| {
        variables.push((name.into(), value.to_owned()));
    };
    for name in ["HOME", "USERPROFILE"] {
        set(name, home.as_os_str());
    }
    for (name, value) in [
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_SYSTEM", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("LC_ALL", "C"),
    ] {
        set(name, value.as_ref());
    }
    if colour {
        set("CLICOLOR_FORCE", "1".as_ref());
    }
    variables
}

/// What a command printed, in the order in which a person reads it.
fn text(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    format!("{out}{err}")
}
