//! The command line (`clap` lives here), and nothing else.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Keep AI-assisted changes from shipping unreviewed and untested
///
/// A policy file in the repository says what an assisted change must show before it may land: approvals by
/// named people, tests on exactly that tree, disclosure. Git hooks, this command and CI reach the same verdict.
#[derive(Debug, Parser)]
#[command(name = "countersign", version, disable_help_subcommand = true, max_term_width = 100)]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

impl Arguments {
    /// Reads the words of `hook EVENT [ARGS…]` as the shims write them, without
    /// building the whole command line first, for which every commit would
    /// pay several times. `None`: clap reads them, and says what is wrong.
    pub fn of_shim(words: &[OsString]) -> Option<Arguments> {
        let [_, command, rest @ ..] = words else { return None };
        if command == "record" {
            return Arguments::of_agents_hook(rest);
        }
        let [event, arguments @ ..] = rest else { return None };
        let event = HookEvent::from_str(event.to_str()?, false).ok()?;
        let plain = |word: &OsString| !word.as_encoded_bytes().starts_with(b"-");
        (command == "hook" && arguments.iter().all(plain))
            .then(|| Arguments::plain(Command::Hook(Hook { event, arguments: arguments.to_vec() })))
    }

    /// The same for `record [--agent ID] [--guard]`, as `agents connect` writes it
    /// into agents' hooks.
    fn of_agents_hook(mut words: &[OsString]) -> Option<Arguments> {
        let (mut agent, mut guard) = (None, false);
        while let [word, rest @ ..] = words {
            match (word.to_str()?, rest) {
                ("--agent", [id, rest @ ..]) if agent.is_none() => {
                    agent = Some(id.to_str().filter(|it| !it.starts_with('-'))?.to_owned());
                    words = rest;
                }
                ("--guard", rest) if !guard => {
                    guard = true;
                    words = rest;
                }
                _ => return None,
            }
        }
        Some(Arguments::plain(Command::Record(Record { agent, guard })))
    }

    fn plain(command: Command) -> Arguments {
        let global = Global {
            directory: None,
            color: Color::Auto,
            quiet: false,
            verbose: false,
            format: Format::Text,
        };
        Arguments { global, command }
    }

    /// Whether a command line that could not be understood asks for JSON: what
    /// stands behind `--` is no option.
    pub fn asks_for_json(words: &[OsString]) -> bool {
        let options: Vec<&OsString> = words.iter().take_while(|word| *word != "--").collect();
        options.iter().any(|word| *word == "--format=json")
            || options.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json")
    }
}

/// What every command takes.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Run as if started in DIR
    #[arg(short = 'C', value_name = "DIR", global = true)]
    pub directory: Option<PathBuf>,
    /// When to use colour
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto")]
    pub color: Color,
    /// Print only what blocks
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print more
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// How to print the result
    #[arg(long, value_name = "FORMAT", global = true, default_value = "text")]
    pub format: Format,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}

/// How to print the result. Not every command knows every format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
    Sarif,
    Junit,
    Github,
    Gitlab,
    Markdown,
    Porcelain,
    AgentTrace,
    GitAi,
    Jsonl,
}

/// A stage, as the command line spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StageName {
    Commit,
    Push,
    Merge,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Install the git hooks in this repository
    Install(Install),
    /// Remove exactly what install added
    Uninstall(Uninstall),
    /// Say what would really run for every hook, and what is wrong
    Doctor,
    /// Write a countersign.toml from what the repository shows
    Init(Init),
    /// Judge a change by the trusted policy
    Check(Check),
    /// Detect AI assistance in commits; needs no policy
    Scan(Scan),
    /// Show who wrote and approved the lines of a file: git blame with agent, session, strength
    Blame(Blame),
    /// Print what the ledger knows of agents' lines in other tools' forms
    Export(Export),
    /// Take attribution of lines over from other tools' forms; it only ever adds
    Import(Import),
    /// Show the agents that keep records on this machine
    Agents(Agents),
    /// Take what an agent's hook tells of an edit, as JSON on standard input
    Record(Record),
    /// Read a change hunk by hunk, then approve what you approved of it
    Review(Review),
    /// Approve exactly this content with your ssh key
    Approve(Approve),
    /// Reject exactly this content with your ssh key
    Reject(Reject),
    /// Take back a record that you signed
    Withdraw(Withdraw),
    /// Run the required tests on exactly that tree and record the results
    Test(Test),
    /// Make the required previews of exactly that tree and record what they show
    Preview(Preview),
    /// Waive one rule for exactly this content, for a short time, with a debt
    Waive(Waive),
    /// Say why this verdict, and what would change it
    Explain(Explain),
    /// Name the smallest sets of people who could satisfy the approvals
    WhoCan(WhoCan),
    /// Check, show and test the policy
    #[command(subcommand)]
    Policy(Policy),
    /// Synchronise, verify and show the shared records
    #[command(subcommand)]
    Ledger(Ledger),
    /// List what was judged here
    Log(Log),
    /// Show the evidence for a range, and whether it is complete
    Audit(Audit),
    /// Show the whole story in a throw-away repository
    Demo(Demo),
    /// What git's hooks call
    #[command(hide = true)]
    Hook(Hook),
    /// Print a completion script
    Completions(Completions),
    /// Print the manual page
    Man,
}

/// The change that a command is about.
#[derive(Clone, Debug, Default, Args)]
pub struct RangeArguments {
    /// Commits to judge, as A..B [default: TARGET..HEAD]
    #[arg(value_name = "RANGE")]
    pub range: Option<String>,
    /// Where the change lands [default: the policy's target]
    #[arg(long, value_name = "REF")]
    pub target: Option<String>,
    /// Read the policy from REF instead of the trusted ref
    #[arg(long, value_name = "REF")]
    pub policy_from: Option<String>,
}

#[derive(Debug, Args)]
pub struct Install {
    /// How to install [default: shim, or config where another manager owns the hooks and git can]
    #[arg(long, value_name = "MODE")]
    pub mode: Option<InstallMode>,
    /// Install the server's hooks (pre-receive, post-receive)
    #[arg(long)]
    pub server: bool,
    /// Show what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// How hooks are installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum InstallMode {
    /// A small file in the hooks folder
    Shim,
    /// git's own config hooks (git 2.54 and newer)
    Config,
    /// Print what to add to another hook manager
    Snippet,
}

#[derive(Debug, Args)]
pub struct Uninstall {
    /// Show what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct Init {
    /// Take every proposal
    #[arg(long, short)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    pub range: RangeArguments,
    /// Judge the index instead of a range
    #[arg(long, conflicts_with = "range")]
    pub staged: bool,
    /// Fail where the trusted ref holds no policy
    #[arg(long)]
    pub require_policy: bool,
    /// Judge as at this stage [default: merge; commit with --staged]
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<StageName>,
}

#[derive(Debug, Args)]
pub struct Scan {
    /// Commits to look at, as A..B [default: HEAD's whole history]
    #[arg(value_name = "RANGE", conflicts_with = "all")]
    pub range: Option<String>,
    /// Look at every ref
    #[arg(long)]
    pub all: bool,
    /// Show the edits that agents recorded of the files that are not committed yet
    #[arg(long, conflicts_with_all = ["range", "all"])]
    pub sessions: bool,
}

#[derive(Debug, Args)]
pub struct Blame {
    /// The file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The file as it stands in REV [default: in the work tree]
    #[arg(long, value_name = "REV")]
    pub rev: Option<String>,
    /// Only these lines, as git blame takes them: 10,20 or 10,+5 or /regex/; may be repeated
    #[arg(short = 'L', value_name = "START,END")]
    pub lines: Vec<String>,
    /// Print for programs: git's own porcelain, with further headers for each line
    #[arg(long, conflicts_with = "format")]
    pub porcelain: bool,
}

#[derive(Debug, Args)]
pub struct Export {
    /// Commits, as A..B [default: all that the ledger knows]; as --format: agent-trace [the default], git-ai, jsonl
    #[arg(value_name = "RANGE")]
    pub range: Option<String>,
    /// Write git-ai's notes into refs/notes/ai, where a commit has none
    #[arg(long)]
    pub write_notes: bool,
}

#[derive(Debug, Args)]
pub struct Import {
    /// A file of Agent Trace records, one a line, or with --format jsonl what export prints; `-` for standard
    /// input. With --format git-ai the notes in refs/notes/ai are read, and no file
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Agents {
    #[command(subcommand)]
    pub command: Option<AgentsCommand>,
}

#[derive(Clone, Debug, Subcommand)]
pub enum AgentsCommand {
    /// List what agents keep on this machine, where, and how much [the default]
    List,
    /// Let an agent's own hooks tell countersign of each edit and command
    Connect(Connect),
    /// Take that out of an agent's hooks again
    Disconnect(Disconnect),
}

#[derive(Clone, Debug, Args)]
pub struct Connect {
    /// The agent
    #[arg(value_name = "ID")]
    pub agent: String,
    /// For this user in every repository, or for everybody in this one
    #[arg(long, value_name = "SCOPE", default_value = "user")]
    pub scope: ScopeName,
    /// Also refuse commands that an agent is not to run, such as `git commit --no-verify`
    #[arg(long)]
    pub guard: bool,
    /// Show what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Clone, Debug, Args)]
pub struct Disconnect {
    /// The agent
    #[arg(value_name = "ID")]
    pub agent: String,
    /// Only there [default: wherever it is connected]
    #[arg(long, value_name = "SCOPE")]
    pub scope: Option<ScopeName>,
    /// Show what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Whose configuration of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScopeName {
    Project,
    User,
}

#[derive(Debug, Args)]
pub struct Record {
    /// The agent whose hook this is [default: as its JSON tells]
    #[arg(long, value_name = "ID")]
    pub agent: Option<String>,
    /// Refuse commands that an agent is not to run
    #[arg(long)]
    pub guard: bool,
}

#[derive(Debug, Args)]
pub struct Review {
    #[command(flatten)]
    pub range: RangeArguments,
    /// Review and approve for this rule only; may be repeated
    #[arg(long = "rule", value_name = "ID")]
    pub rules: Vec<String>,
    /// Show only what an earlier approval does not cover
    #[arg(long)]
    pub since_approved: bool,
    /// Sign with this key [default: git's user.signingkey]
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// A note for the record
    #[arg(short = 'm', long = "message", value_name = "NOTE")]
    pub note: Option<String>,
}

#[derive(Debug, Args)]
pub struct Approve {
    #[command(flatten)]
    pub range: RangeArguments,
    /// Approve for this rule only; may be repeated
    #[arg(long = "rule", value_name = "ID")]
    pub rules: Vec<String>,
    /// Sign with this key [default: git's user.signingkey]
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// A note for the record
    #[arg(short = 'm', long = "message", value_name = "NOTE")]
    pub note: Option<String>,
}

#[derive(Debug, Args)]
pub struct Reject {
    #[command(flatten)]
    pub range: RangeArguments,
    /// Sign with this key [default: git's user.signingkey]
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// The reason, for the record
    #[arg(short = 'm', long = "message", value_name = "NOTE")]
    pub note: Option<String>,
}

#[derive(Debug, Args)]
pub struct Withdraw {
    /// The record's id, or an unambiguous beginning of it
    #[arg(value_name = "RECORD")]
    pub record: String,
    /// Sign with this key [default: git's user.signingkey]
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// The reason, for the record
    #[arg(short = 'm', long = "message", value_name = "NOTE")]
    pub note: Option<String>,
}

#[derive(Debug, Args)]
pub struct Test {
    #[command(flatten)]
    pub range: RangeArguments,
    /// Run this test only; may be repeated
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// Sign the results with your ssh key
    #[arg(long)]
    pub sign: bool,
    /// Print what would run as JSON, for a CI matrix, and run nothing
    #[arg(long, conflicts_with_all = ["sign", "import"])]
    pub plan: bool,
    /// Also write the results to FILE, for a job that imports them
    #[arg(long, value_name = "FILE", conflicts_with = "plan")]
    pub output: Option<PathBuf>,
    /// Take results that other jobs wrote with --output (a file, or a folder of them), and run nothing
    #[arg(long, value_name = "FILE")]
    pub import: Vec<PathBuf>,
    /// Sign with this key [default: git's user.signingkey]
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Do not ask before running
    #[arg(long, short)]
    pub yes: bool,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Preview {
    #[command(subcommand)]
    pub action: Option<PreviewAction>,
    #[command(flatten)]
    pub range: RangeArguments,
    /// Make this preview only; may be repeated
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// Take a plan made elsewhere: the engine's own file, or its JSON
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// The JSON of the engine's own plan; else the engine prints it
    #[arg(long, value_name = "FILE", requires = "plan")]
    pub plan_json: Option<PathBuf>,
    /// Sign the records with your ssh key
    #[arg(long)]
    pub sign: bool,
    /// Sign with this key [default: git's user.signingkey]
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Do not ask before running
    #[arg(long, short)]
    pub yes: bool,
}

#[derive(Debug, Subcommand)]
pub enum PreviewAction {
    /// Apply a plan only if that very file was previewed, and approved where it has to be
    ApplyGuard(ApplyGuard),
}

#[derive(Debug, Args)]
pub struct ApplyGuard {
    #[command(flatten)]
    pub range: RangeArguments,
    /// The command, as `terraform apply PLAN`
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub struct Waive {
    #[command(flatten)]
    pub range: RangeArguments,
    /// The rule to waive
    #[arg(long, value_name = "ID")]
    pub rule: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Until when: a length (4h) or a time (2026-11-23T18:00:00Z)
    #[arg(long, value_name = "D")]
    pub expires: String,
    /// Sign with this key [default: git's user.signingkey]
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Explain {
    #[command(flatten)]
    pub range: RangeArguments,
    /// Judge the index instead of a range
    #[arg(long, conflicts_with = "range")]
    pub staged: bool,
    /// This rule only
    #[arg(long, value_name = "ID")]
    pub rule: Option<String>,
    /// Judge as at this stage [default: merge]
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<StageName>,
}

#[derive(Debug, Args)]
pub struct WhoCan {
    #[command(flatten)]
    pub range: RangeArguments,
}

#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Look for mistakes in the policy of the work tree
    Lint(PolicyFile),
    /// Show the policy as it is understood
    Show {
        #[command(flatten)]
        file: PolicyFile,
        /// Print its keys as an allowed_signers file for ssh-keygen
        #[arg(long)]
        allowed_signers: bool,
    },
    /// Compare two revisions of the policy, rule by rule
    Diff {
        /// The old revision
        #[arg(value_name = "A")]
        old: String,
        /// The new revision
        #[arg(value_name = "B")]
        new: String,
    },
    /// Run the policy's own examples
    Test(PolicyFile),
    /// Print the JSON Schema of countersign.toml
    Schema,
}

/// Which policy a `policy` command reads.
#[derive(Debug, Args)]
pub struct PolicyFile {
    /// A policy file [default: countersign.toml at the root of the work tree]
    #[arg(value_name = "FILE", conflicts_with = "policy_from")]
    pub file: Option<PathBuf>,
    /// Read the policy from REF
    #[arg(long, value_name = "REF")]
    pub policy_from: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// Fetch the shared records and publish your own
    Sync {
        /// The remote [default: the trusted remote]
        #[arg(value_name = "REMOTE")]
        remote: Option<String>,
        /// First sign which lines of your commits agents wrote (`narrow = "signed"`)
        #[arg(long)]
        sign: bool,
        /// Sign with this key [default: git's user.signingkey]
        #[arg(long, value_name = "FILE", requires = "sign")]
        key: Option<PathBuf>,
    },
    /// Verify growth, ids, canonical form and signatures of every record
    Verify,
    /// Print the trailer by which a merge commit names the ledger as it is now
    Anchor,
    /// Show one record, or list all
    Show {
        /// The record's id, or an unambiguous beginning of it
        #[arg(value_name = "ID")]
        id: Option<String>,
    },
}

#[derive(Debug, Args)]
pub struct Audit {
    #[command(flatten)]
    pub range: RangeArguments,
}

#[derive(Debug, Args)]
pub struct Log {
    /// Show at most N entries
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    pub limit: usize,
}

#[derive(Debug, Args)]
pub struct Demo {
    /// Keep the repository and say where it is
    #[arg(long)]
    pub keep: bool,
}

#[derive(Debug, Args)]
pub struct Hook {
    /// The hook's name
    #[arg(value_name = "EVENT")]
    pub event: HookEvent,
    /// What git gave the hook
    #[arg(value_name = "ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<OsString>,
}

/// The hooks that we serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HookEvent {
    PreCommit,
    CommitMsg,
    PreMergeCommit,
    PrePush,
    PostCommit,
    PreReceive,
    PostReceive,
}

#[derive(Debug, Args)]
pub struct Completions {
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(words: &[&str], short: bool) {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let by_clap = Arguments::try_parse_from(&words).map(|it| format!("{it:?}")).ok();
        let by_hand = Arguments::of_shim(&words).map(|it| format!("{it:?}"));
        assert_eq!(by_hand.is_some(), short, "{words:?}");
        assert!(by_hand.is_none() || by_hand == by_clap, "{words:?}: {by_hand:?}, {by_clap:?}");
    }

    #[test]
    fn what_the_shims_write_reads_as_clap_reads_it() {
        check(&["countersign", "hook", "pre-commit"], true);
        check(&["countersign", "hook", "commit-msg", ".git/COMMIT_EDITMSG"], true);
        check(&["countersign", "hook", "pre-push", "origin", "https://example.com/a"], true);
        check(&["countersign", "hook", "pre-push", "", "a b"], true);
        check(&["countersign", "hook", "pre-receive"], true);
        check(&["countersign", "hook", "pre-push", "--quiet", "a"], false);
        check(&["countersign", "hook", "pre-push", "a", "--"], false);
        check(&["countersign", "--format", "json", "hook", "pre-commit"], false);
        check(&["countersign", "hook", "no-such-hook"], false);
        check(&["countersign", "hook"], false);
        check(&["countersign", "record"], true);
        check(&["countersign", "record", "--agent", "codex", "--guard"], true);
        check(&["countersign", "record", "--agent"], false);
        check(&["countersign", "record", "--guard", "--guard"], false);
        check(&["countersign", "check"], false);
    }
}
