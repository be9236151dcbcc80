//! The rules, as they are after validation.
//!
//! `file` holds the policy as people write it; nothing here can be built from
//! a file that did not validate.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::packages::{self, Ecosystem, Selection};
use super::requirement::Requirement;
use super::time::Timestamp;
use crate::gate::order;

/// A validated policy: what `countersign.toml` means, nested files included.
#[derive(Clone, Debug)]
pub struct Policy {
    pub source: Source,
    pub mode: Mode,
    pub trust: Trust,
    /// By the name that groups and records use.
    pub people: BTreeMap<String, Person>,
    /// Group name to the names of its people (nested groups are resolved).
    pub groups: BTreeMap<String, BTreeSet<String>>,
    pub revoked: Vec<Revoked>,
    pub disclosure: Disclosure,
    /// Every rule, in the order of the file, then those of nested files. Order never matters.
    pub rules: Vec<Rule>,
    pub tests: BTreeMap<String, TestCommand>,
    pub previews: BTreeMap<String, PreviewCommand>,
    /// `None`: nobody may waive anything.
    pub waiver: Option<WaiverRule>,
    /// Where nested policies may lie.
    pub nested: Option<Globs>,
    /// Agents that the policy adds to the catalogue.
    pub agents: Vec<super::signal::catalogue::Agent>,
    pub examples: Vec<Example>,
}

/// Where the policy was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// `<commit>:countersign.toml`, or `built-in`.
    pub from: String,
    /// SHA-256 of the file's bytes; with nested files, of the lines that `sha256sum` prints
    /// for the root's file and theirs, in path order. `None` for the built-in policy.
    pub sha256: Option<String>,
}

/// Whether findings block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    #[default]
    Enforce,
    /// Report everything, block nothing.
    Observe,
}

/// Where in a change's life a requirement is enforced. Ordered: what is asked
/// at one stage is asked at every later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    Commit,
    Push,
    Merge,
}

/// `[trust]`
#[derive(Clone, Debug)]
pub struct Trust {
    /// A full ref name.
    pub target: String,
    /// Patterns over full ref names; `*` matches within one path component, `**` across.
    pub protect: RefPatterns,
    /// A full ref name below `refs/heads/`.
    pub ledger: String,
    pub repo_id: Option<String>,
    /// Paths whose change is a policy change.
    pub gate: Globs,
    pub solo: bool,
    pub narrow: Narrow,
    /// Lines that a formatter changed since an agent recorded them are still its.
    pub reformatted: bool,
    pub unverified_authors: UnverifiedAuthors,
    /// The variable that names the pusher on a server.
    pub pusher_env: Option<String>,
}

/// Whether a signed attribution record may narrow a declared mark to lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Narrow {
    #[default]
    Never,
    Signed,
}

/// How many people must approve what somebody wrote whose commits do not prove
/// it: an address alone proves nothing, so that one person could write under
/// another's and approve as themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnverifiedAuthors {
    /// As many as the rule asks for.
    #[default]
    One,
    /// At least two: one of them is not the author.
    Two,
}

/// `[people.NAME]`
#[derive(Clone, Debug)]
pub struct Person {
    pub name: String,
    pub kind: PersonKind,
    /// Lower-cased.
    pub emails: Vec<String>,
    pub keys: Vec<Key>,
}

/// What a person of the policy is. Only humans can satisfy an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PersonKind {
    Human,
    Agent,
    Service,
}

/// A public key in OpenSSH's one-line form, without its comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// `<type> <base64>`, exactly one space.
    pub openssh: String,
    /// `SHA256:…`, as ssh-keygen prints it.
    pub fingerprint: String,
    /// The least presence that this key's signatures always carry, as the
    /// policy's author says; of an authority, those of the keys that it certifies.
    pub presence: Presence,
    /// It signs nothing itself: the OpenSSH certificates that it gave for one of
    /// the person's addresses count as the person's keys.
    pub cert_authority: bool,
}

/// What a security key saw when it signed. Ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    #[default]
    None,
    /// A touch: flag 0x01 of the SSHSIG.
    Touch,
    /// A PIN or a fingerprint: flag 0x04 of the SSHSIG.
    Pin,
}

/// `[[revoked]]`
#[derive(Clone, Debug)]
pub struct Revoked {
    /// `SHA256:…`
    pub key: String,
    /// The ledger commit whose records stay valid; `None`: no record of this key counts.
    pub after: Option<super::change::Oid>,
    pub why: Option<String>,
}

/// `[disclosure]`
#[derive(Clone, Debug)]
pub struct Disclosure {
    pub trailer: DisclosureTrailer,
    /// The trailer's key, `Assisted-by` unless the policy says otherwise.
    pub key: String,
    /// Only `key` itself satisfies `require`.
    pub strict: bool,
    /// commit-msg adds the trailer when the hook knows better than the message.
    pub write: bool,
}

/// What is asked of disclosure trailers on assisted commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DisclosureTrailer {
    Require,
    #[default]
    Allow,
    Forbid,
}

/// `[[rule]]`
#[derive(Clone, Debug)]
pub struct Rule {
    /// For nested policies `<folder>:<id>`.
    pub id: String,
    pub why: Option<String>,
    pub scope: Scope,
    pub when: When,
    pub unless: Option<Unless>,
    pub require: Vec<StagedRequirement>,
    /// No approval can satisfy it.
    pub deny: bool,
    /// The stage at which `deny` is enforced.
    pub deny_stage: Stage,
}

/// A requirement and the stage from which on it is enforced.
#[derive(Clone, Debug)]
pub struct StagedRequirement {
    pub requirement: Requirement,
    pub stage: Stage,
}

/// The paths that a rule is about.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Below which folder this rule reaches at all, with its final slash; empty for the root policy.
    pub folder: String,
    /// Match whole paths, and nothing outside `folder`. `None`: every path.
    pub paths: Option<Globs>,
    pub except: Globs,
}

/// `when = { … }`: all that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct When {
    pub assisted: Option<bool>,
    pub unattributed: Option<bool>,
    /// Any of these agents.
    pub agents: Option<Vec<String>>,
    /// The assisted part of the added lines, in the rule's files.
    pub share: Option<Comparison>,
    /// Added lines in the rule's files.
    pub lines: Option<Comparison>,
    /// Number of the rule's files in the change.
    pub files: Option<Comparison>,
}

/// `">0.5"`, `">=400"`: a threshold that can only be reached from below, so
/// that more assistance or a bigger change never lifts a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// `true` for `>=`, `false` for `>`.
    pub or_equal: bool,
    /// The bound in thousandths, so that no float decides.
    pub thousandths: u64,
}

/// `unless = { author = [groups] }`
#[derive(Clone, Debug)]
pub struct Unless {
    /// Groups or people.
    pub author: Vec<String>,
}

/// `[test.NAME]`
#[derive(Clone, Debug)]
pub struct TestCommand {
    /// For nested policies `<folder>:<name>`.
    pub name: String,
    /// Never empty.
    pub run: Vec<String>,
    pub setup: Option<Vec<String>>,
    pub setup_inputs: Option<Globs>,
    /// `None`: the whole tree.
    pub inputs: Option<Globs>,
    pub timeout: Duration,
    pub reports: Reports,
    /// Which paths are tests; `None`: those that usually are
    /// ([`Languages::tests`](super::language::Languages::tests)).
    pub tests: Option<Globs>,
    /// How it shows that it notices the assisted lines; `None`: it need not.
    pub prove: Option<Prove>,
    /// Whether it runs on what merging the head into the target gives, rather than on the head.
    pub on_merge: bool,
    /// Whether a push that has no time for it may leave it to the server.
    pub tier: Tier,
    /// How often it may try again after it failed.
    pub retries: usize,
    /// Words in front of `run`; empty: none.
    pub wrap: Vec<String>,
    /// Whether it may reach a network; if not, a result counts only if it could not.
    pub network: bool,
    /// `None`: what is usual for the language.
    pub mutate: Option<MutationTool>,
    /// Of which packages it runs those that the change affects; `None`: it runs for all.
    pub packages: Option<Selection>,
    /// Empty: not written, so that the stage decides.
    pub accept: BTreeSet<Accept>,
    /// Names of further variables that the command may see.
    pub env: Vec<String>,
    /// Fields that this version does not evaluate (none at present): they block.
    pub not_evaluable: Vec<String>,
    /// SHA-256 of the definition in canonical form: part of a run's key.
    pub digest: String,
}

/// `tier = …`: what a push does with a test when it has no time for all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// Runs before others.
    Fast,
    /// Not written: blocks if there is no time for it.
    #[default]
    Normal,
    /// Is deferred to the server if there is no time for it.
    Slow,
}

/// `prove = …`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prove {
    /// The test fails without them (see [`proof`](super::proof)).
    Revert,
    /// The test fails where a tool changes them (see [`mutation`](super::mutation)).
    Mutate,
}

/// `mutate = { … }`: the tool that changes the assisted lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MutationTool {
    /// `{diff}`, `{lines}` and `{files}` stand for the assisted lines.
    pub run: Vec<String>,
    /// A pattern, as in [`Reports`].
    pub report: String,
    /// How long it may take.
    pub timeout: Duration,
}

/// `reports = { junit = …, coverage = … }`: paths below the checkout's root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reports {
    pub junit: Vec<String>,
    pub coverage: Vec<String>,
}

/// Whose recorded results count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accept {
    Local,
    Ci,
}

/// `[preview.NAME]`. Parsed and validated; evaluated by `requirement::preview`.
#[derive(Clone, Debug)]
pub struct PreviewCommand {
    pub name: String,
    pub engine: String,
    /// The folder of the configuration, in which the command runs.
    pub root: Option<String>,
    pub run: Option<Vec<String>>,
    pub max_age: Option<Duration>,
    /// Empty: not written, so that the stage decides.
    pub accept: BTreeSet<Accept>,
    /// Names of further variables that the command may see.
    pub env: Vec<String>,
    pub timeout: Duration,
    /// Files that the engine may read beside those of the tree: a tool of the
    /// team's writes them before the plan is made.
    pub generated: Globs,
    /// `deletes`, `replaces`, `removals`, `forgets`, `places`; a limit not written is no limit.
    pub limits: BTreeMap<String, u64>,
    pub protect: Vec<PreviewProtect>,
}

/// One row of `[preview.NAME] protect`.
#[derive(Clone, Debug)]
pub struct PreviewProtect {
    pub types: Vec<String>,
    pub actions: Vec<String>,
    pub from: Vec<String>,
    pub count: usize,
}

/// `[waiver]`
#[derive(Clone, Debug)]
pub struct WaiverRule {
    pub from: Vec<String>,
    pub max: Duration,
    pub review_within: Option<Duration>,
    pub never: Vec<String>,
}

/// `[[example]]`: the policy's own test.
#[derive(Clone, Debug)]
pub struct Example {
    pub name: String,
    pub files: Vec<String>,
    pub assisted: bool,
    pub agents: Vec<String>,
    pub author: Option<String>,
    pub target: Option<String>,
    /// Added lines of the change, spread over its files.
    pub lines: Option<u64>,
    /// Exactly these rules apply; `None`: not asked.
    pub expect_rules: Option<BTreeSet<String>>,
    /// `true`: block, with no evidence at hand.
    pub expect_block: Option<bool>,
}

/// An approval that a rule asks for: one entry of `require.approvals`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalRule {
    pub count: usize,
    /// Groups or people, united; empty: any human of the policy.
    pub from: Vec<String>,
    pub presence: Presence,
    pub carry: Carry,
    pub max_age: Option<Duration>,
}

/// Whether an approval survives a rewrite of the change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Carry {
    #[default]
    Exact,
    CleanMerge,
    Never,
}

pub use error::{Place, PolicyError};
pub use glob::{GlobError, Globs, RefPatterns};
pub use key::KeyError;
pub use validate::{DEFAULT_GATE, FILE_NAME};

pub mod compare;
mod error;
pub mod file;
pub mod glob;
pub mod key;
pub mod lint;
pub mod resolved;
pub mod schema;
mod validate;

impl TestCommand {
    /// A command of which nothing is said but what it runs and how long at the most.
    pub fn plain(name: &str, run: Vec<String>, timeout: Duration) -> TestCommand {
        TestCommand {
            name: name.to_owned(),
            run,
            setup: None,
            setup_inputs: None,
            inputs: None,
            timeout,
            reports: Reports::default(),
            tests: None,
            prove: None,
            on_merge: false,
            tier: Tier::default(),
            retries: 0,
            wrap: Vec::new(),
            network: true,
            mutate: None,
            packages: None,
            accept: BTreeSet::new(),
            env: Vec::new(),
            not_evaluable: Vec::new(),
            digest: String::new(),
        }
    }

    /// Whether a path is a test, and no source that is tested.
    pub fn is_test(&self, path: &super::change::RepoPath) -> bool {
        let usual = super::language::Languages::built_in().tests();
        self.tests.as_ref().unwrap_or(usual).matches(path)
    }
}

impl Policy {
    /// Returns the humans that `from` (groups or people) names; every human of the policy if it is empty.
    pub fn humans<'a>(&'a self, from: &[String]) -> BTreeSet<&'a str> {
        order::set(
            self.people
                .values()
                .filter(|person| person.kind == PersonKind::Human)
                .filter(|person| {
                    from.is_empty() || from.iter().any(|it| self.is_member(&person.name, it))
                })
                .map(|person| person.name.as_str()),
        )
    }

    /// Whether `person` is `group_or_person` or one of its members.
    pub fn is_member(&self, person: &str, group_or_person: &str) -> bool {
        person == group_or_person
            || self.groups.get(group_or_person).is_some_and(|group| group.contains(person))
    }

    /// Returns the person who owns the key with this fingerprint (`SHA256:…`).
    /// A key that two people claim proves neither of them.
    pub fn owner(&self, fingerprint: &str) -> Option<&Person> {
        let is_this = |key: &Key| !key.cert_authority && key.fingerprint == fingerprint;
        let owns = |person: &&Person| person.keys.iter().any(is_this);
        let mut owners = self.people.values().filter(owns);
        owners.next().filter(|_| owners.next().is_none())
    }

    /// Returns the first person with this address; addresses compare case-insensitively.
    pub fn by_email(&self, email: &str) -> Option<&Person> {
        let email = email.to_lowercase();
        self.people.values().find(|person| person.emails.contains(&email))
    }

    /// Returns everybody whose address this may be, under another spelling too:
    /// a `+tag` in it, or a forge's own form (`123+ana@users.noreply.github.com`)
    /// of their name. Who is excluded as an author is excluded even where two
    /// people claim the address; a false "yes" only asks for one more reviewer.
    pub fn everybody_with_email(&self, email: &str) -> impl Iterator<Item = &Person> {
        let email = email.to_lowercase();
        let (plain, login) = (without_tag(&email), login(&email).map(str::to_owned));
        self.people.values().filter(move |person| {
            let emails = &person.emails;
            emails.iter().any(|it| *it == email || without_tag(it) == plain)
                || login.as_ref().is_some_and(|login| {
                    let local =
                        |it: &String| without_tag(it).split('@').next() == Some(login.as_str());
                    person.name.eq_ignore_ascii_case(login) || emails.iter().any(local)
                })
        })
    }

    /// Whether the policy knows a service, so that CI's results are signed.
    pub fn has_service(&self) -> bool {
        self.people.values().any(|person| person.kind == PersonKind::Service)
    }

    /// The time until which a record made at `made` counts under `max_age`.
    pub fn age_limit(made: Timestamp, max_age: Option<Duration>) -> Option<Timestamp> {
        max_age.map(|length| made.plus(length))
    }
}

/// An address without the `+tag` of its local part.
fn without_tag(email: &str) -> String {
    match email.split_once('@') {
        Some((local, domain)) => {
            let local = local.split('+').next().filter(|it| !it.is_empty()).unwrap_or(local);
            format!("{local}@{domain}")
        }
        None => email.to_owned(),
    }
}

/// The login in a forge's address that takes no mail: `123+ana@users.noreply.github.com`,
/// `123-ana@users.noreply.gitlab.com`, `ana@noreply.codeberg.org`.
fn login(email: &str) -> Option<&str> {
    let (local, domain) = email.split_once('@')?;
    if !domain.split('.').any(|label| label == "noreply") {
        return None;
    }
    let rest = local.trim_start_matches(|character: char| character.is_ascii_digit());
    Some(match rest.strip_prefix(['+', '-']) {
        Some(login) if rest.len() < local.len() => login,
        Some(_) | None => local,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(email: &str, expected: &[&str]) {
        let policy = "[people.ana]\nkind = \"human\"\nemails = [\"ana@example.com\", \"ana.b+work@example.org\"]\n";
        let policy = Policy::parse(&format!("schema = 1\n{policy}"), "test").expect("a policy");
        let found: Vec<&str> =
            policy.everybody_with_email(email).map(|it| it.name.as_str()).collect();
        assert_eq!(found, expected, "{email}");
    }

    #[test]
    fn an_address_has_many_spellings() {
        for email in [
            "ana@example.com",
            "Ana@Example.COM",
            "ana+x@example.com",
            "ana+x+y@example.com",
            "ana.b@example.org",
            "ana@users.noreply.github.com",
            "12+Ana@users.noreply.github.com",
            "12-ana.b@users.noreply.gitlab.com",
            "ana@noreply.codeberg.org",
        ] {
            check(email, &["ana"]);
        }
        for email in [
            "",
            "@",
            "+@example.com",
            "anna@example.com",
            "ana@example.net",
            "12+bo@users.noreply.github.com",
            "12+ana@users.noreplies.example.com",
        ] {
            check(email, &[]);
        }
    }
}
