//! The rules that apply to this change and to which files; the needs that follow.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::attribution::Attribution;
use super::change::{Change, FileChange, RepoPath};
use super::evidence::Need;
use super::policy::{
    ApprovalRule, Carry, Comparison, Policy, Presence, Rule, Scope, Stage, StagedRequirement, When,
};
use super::requirement::Requirement;
use super::time::Timestamp;
use super::weakening::guard::TEST_WEAKENED;
use crate::gate::order;

/// The id of the built-in rule that guards the policy and the gate.
pub const POLICY_CHANGE: &str = "policy-change";

/// The name of the policy's file, at the root of the repository.
pub const POLICY_FILE: &str = "countersign.toml";

/// Everything that is judged together, and from where we look at it.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    pub policy: &'a Policy,
    pub change: &'a Change,
    pub attribution: &'a Attribution,
    pub stage: Stage,
    /// The full ref name that the change is to land on.
    pub target: &'a str,
    /// The range as a person would type it, for the commands that findings name.
    pub range: &'a str,
    /// A server counts no unsigned record.
    pub server: bool,
    pub now: Timestamp,
    /// Who pushes, where a server knows it.
    pub pusher: Option<&'a str>,
}

impl Case<'_> {
    /// Whether there are commits, and they are made: the one being made has no
    /// id yet, whether or not its message is known.
    pub fn has_ids(&self) -> bool {
        self.change.commits.iter().any(|commit| !commit.id.is_zero())
    }

    /// The command of ours by which people go on with this change. What is only
    /// staged has to be committed first.
    pub fn next(&self, command: &str) -> String {
        match self.range {
            "--staged" => format!("git commit, then countersign {command}"),
            range => format!("countersign {command} {range}"),
        }
    }
}

/// How a rule and a change met, for `explain`.
#[derive(Clone, Debug)]
pub struct Match<'a> {
    pub rule: Cow<'a, Rule>,
    pub files: Vec<MatchedFile<'a>>,
    /// Each condition of `when`, what it met, and whether it holds.
    pub conditions: Vec<Condition>,
}

/// A file under a rule, and the pattern that put it there.
#[derive(Clone, Copy, Debug)]
pub struct MatchedFile<'a> {
    pub file: &'a FileChange,
    /// `None`: the rule names no paths.
    pub pattern: Option<&'a str>,
}

/// One condition of `when`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `assisted = true`
    pub text: String,
    /// `claude-code in 2 of 3 files`
    pub met: String,
    pub holds: bool,
}

impl Match<'_> {
    /// Whether the rule applies (an `unless` aside, which evidence decides).
    pub fn applies(&self) -> bool {
        !self.files.is_empty() && self.conditions.iter().all(|condition| condition.holds)
    }
}

/// A rule that applies, with the files it applies to.
#[derive(Clone, Debug)]
pub struct Obligation<'a> {
    pub rule: Cow<'a, Rule>,
    pub files: Vec<&'a FileChange>,
}

impl Obligation<'_> {
    /// Whether a path lies under the rule.
    pub fn covers(&self, path: &RepoPath, policy: &Policy) -> bool {
        if self.rule.id == POLICY_CHANGE {
            // A rewrite of a protected ref puts every file of the change under this rule.
            return guarded(policy, path)
                || guards_further(&self.rule, path)
                || self.files.iter().any(|file| file.path == *path);
        }
        if self.rule.id == TEST_WEAKENED {
            return self.files.iter().any(|file| file.path == *path);
        }
        self.rule.scope.pattern(path).is_some()
    }
}

/// How every rule of the policy met this change, the built-in one included.
pub fn matches<'a>(case: &Case<'a>) -> Vec<Match<'a>> {
    let sorted = is_sorted(case.change);
    let mut matches: Vec<Match<'a>> = case
        .policy
        .rules
        .iter()
        // These two say who is asked by the built-in rules of their names.
        .filter(|rule| rule.id != POLICY_CHANGE && rule.id != TEST_WEAKENED)
        .map(|rule| meet(case, sorted, rule))
        .collect();
    matches.extend(policy_change(case));
    matches
}

/// The rules that apply.
pub fn obligations<'a>(case: &Case<'a>) -> Vec<Obligation<'a>> {
    matches(case)
        .into_iter()
        .filter(Match::applies)
        .map(|it| Obligation {
            rule: it.rule,
            files: it.files.iter().map(|matched| matched.file).collect(),
        })
        .collect()
}

/// Whether any rule asks about lines, so that they have to be counted.
pub fn asks_about_lines(policy: &Policy) -> bool {
    let proves = policy.tests.values().any(|test| test.prove.is_some());
    proves
        || policy.rules.iter().any(|rule| {
            rule.when.share.is_some()
                || rule.when.lines.is_some()
                || rule.require.iter().any(|it| matches!(it.requirement, Requirement::Coverage(_)))
        })
}

/// Whether any rule asks which files commits without marks touched.
pub fn asks_about_unattributed(policy: &Policy) -> bool {
    policy.rules.iter().any(|rule| rule.when.unattributed == Some(true))
}

/// What must be looked up before these obligations can be judged.
pub fn needs(case: &Case<'_>, obligations: &[Obligation<'_>]) -> BTreeSet<Need> {
    let mut needs = BTreeSet::new();
    for obligation in obligations {
        if obligation.rule.unless.is_some() && case.has_ids() {
            needs.insert(Need::CommitSigners);
        }
        // Whatever is asked, a waiver could stand among the records.
        if case.policy.waiver.is_some() && !obligation.rule.require.is_empty() {
            needs.insert(Need::Records);
        }
        for staged in &obligation.rule.require {
            match &staged.requirement {
                // What is over a limit needs approvals, too.
                Requirement::Approvals(_) | Requirement::Preview(_) => {
                    needs.insert(Need::Records);
                    if case.change.commits.iter().any(|commit| commit.parents.len() > 1) {
                        needs.insert(Need::CleanMerges);
                    }
                    // A signer is a maker too, whatever address the commit bears.
                    if case.has_ids() {
                        needs.insert(Need::CommitSigners);
                    }
                }
                Requirement::Tests(names) => {
                    needs.insert(Need::Records);
                    needs.extend(names.iter().cloned().map(Need::Inputs));
                }
                Requirement::Coverage(_) => {
                    needs.insert(Need::Records);
                    let tests = super::requirement::coverage::sources(case.policy, obligation);
                    needs.extend(tests.iter().map(|test| Need::Inputs(test.name.clone())));
                }
                Requirement::Disclosure => {}
            }
        }
    }
    // A waiver's debt is asked about whatever the change touches, once it is pushed.
    if case.policy.waiver.is_some() && case.stage > Stage::Commit {
        needs.insert(Need::Records);
    }
    if needs.contains(&Need::Records) {
        needs.extend(
            case.policy.revoked.iter().filter_map(|it| it.after.clone()).map(Need::LedgerCut),
        );
    }
    needs
}

impl Scope {
    /// The pattern that puts `path` under this scope: `Some(None)` where no
    /// pattern is written, `None` where it is not under it.
    pub fn pattern(&self, path: &RepoPath) -> Option<Option<&str>> {
        if !path.as_bytes().starts_with(self.folder.as_bytes()) {
            return None;
        }
        // Most rules are about other paths: `except` is asked last.
        let pattern = match &self.paths {
            None => None,
            Some(paths) => Some(paths.which(path)?),
        };
        (!self.except.matches(path)).then_some(pattern)
    }
}

impl Comparison {
    /// Whether `part / whole` exceeds (or reaches) the bound, without a float.
    pub fn holds(&self, part: u64, whole: u64) -> bool {
        let (left, right) =
            (u128::from(part) * 1000, u128::from(self.thousandths) * u128::from(whole));
        if self.or_equal { left >= right } else { left > right }
    }
}

fn is_sorted(change: &Change) -> bool {
    change.files.is_sorted_by(|one, other| one.path < other.path)
}

/// Files that a rule may be about. Those of a change are sorted, so that the
/// ones with a beginning stand together: a thousand rules, each about a folder
/// of its own, are not tried on every file.
fn candidates<'a>(files: &'a [FileChange], sorted: bool, rule: &Rule) -> Vec<&'a FileChange> {
    let beginnings = rule.scope.paths.as_ref().and_then(|paths| paths.beginnings());
    let Some(mut beginnings) = beginnings.filter(|_| sorted) else {
        return files.iter().collect();
    };
    order::sort(&mut beginnings);
    let mut found: Vec<&FileChange> = Vec::new();
    for beginning in &beginnings {
        let from = files.partition_point(|file| file.path.as_bytes() < beginning.as_slice());
        let these =
            files[from..].iter().take_while(|file| file.path.as_bytes().starts_with(beginning));
        // One beginning may begin another: what was found stands before what is new.
        let last = found.last().map(|file| &file.path);
        let new: Vec<&FileChange> =
            these.filter(|file| last.is_none_or(|last| file.path > *last)).collect();
        found.extend(new);
    }
    found
}

fn meet<'a>(case: &Case<'a>, sorted: bool, rule: &'a Rule) -> Match<'a> {
    let files: Vec<MatchedFile<'a>> = candidates(&case.change.files, sorted, rule)
        .into_iter()
        .filter_map(|file| {
            let pattern = rule.scope.pattern(&file.path)?;
            Some(MatchedFile { file, pattern })
        })
        .collect();
    let conditions =
        if files.is_empty() { Vec::new() } else { conditions(case, &rule.when, &files) };
    Match { rule: Cow::Borrowed(rule), files, conditions }
}

fn conditions(case: &Case<'_>, when: &When, files: &[MatchedFile<'_>]) -> Vec<Condition> {
    let known: Vec<_> =
        files.iter().filter_map(|matched| case.attribution.files.get(&matched.file.path)).collect();
    let assisted = known.iter().filter(|file| file.assisted).count();
    let agents: BTreeSet<&str> =
        order::set(known.iter().flat_map(|file| &file.agents).map(String::as_str));
    let added: u64 = files.iter().map(|matched| matched.file.added_lines()).sum();
    let assisted_added: u64 = known.iter().map(|file| file.assisted_added()).sum();
    let mut conditions = Vec::new();
    let mut push =
        |text: String, met: String, holds: bool| conditions.push(Condition { text, met, holds });
    if let Some(wanted) = when.assisted {
        let met = match assisted {
            0 => "no mark on these files".to_owned(),
            some => format!("{} in {some} of {} files", join(&agents), files.len()),
        };
        push(format!("assisted = {wanted}"), met, !wanted || assisted > 0);
    }
    if let Some(wanted) = when.unattributed {
        let count = known.iter().filter(|file| file.unattributed).count();
        push(
            format!("unattributed = {wanted}"),
            format!("{count} of {} files without a mark", files.len()),
            !wanted || count > 0,
        );
    }
    if let Some(wanted) = &when.agents {
        let found = wanted.iter().any(|agent| agents.contains(agent.as_str()));
        push(format!("agents = [{}]", wanted.join(", ")), join(&agents), found);
    }
    if let Some(bound) = &when.share {
        push(
            format!("share {bound}"),
            format!("{assisted_added} of {added} added lines"),
            bound.holds(assisted_added, added),
        );
    }
    if let Some(bound) = &when.lines {
        push(format!("lines {bound}"), format!("{added} added lines"), bound.holds(added, 1));
    }
    if let Some(bound) = &when.files {
        let count = files.len() as u64;
        push(format!("files {bound}"), format!("{count} files"), bound.holds(count, 1));
    }
    conditions
}

/// Whether all that a rule's `when` gives holds for these files.
pub fn holds(case: &Case<'_>, when: &When, files: &[&FileChange]) -> bool {
    let files: Vec<MatchedFile<'_>> =
        files.iter().map(|file| MatchedFile { file, pattern: None }).collect();
    conditions(case, when, &files).iter().all(|condition| condition.holds)
}

fn join(agents: &BTreeSet<&str>) -> String {
    if agents.is_empty() {
        "no agent".to_owned()
    } else {
        agents.iter().copied().collect::<Vec<_>>().join(", ")
    }
}

impl std::fmt::Display for Comparison {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.or_equal { ">=" } else { ">" };
        let (whole, rest) = (self.thousandths / 1000, self.thousandths % 1000);
        if rest == 0 {
            return write!(formatter, "{sign}{whole}");
        }
        write!(formatter, "{sign}{whole}.{}", format!("{rest:03}").trim_end_matches('0'))
    }
}

/// Whether a change of this path is a change of the policy or of the gate
/// around it. Case is ignored for the policy's own name, since a file system
/// may ignore it too.
pub fn guarded(policy: &Policy, path: &RepoPath) -> bool {
    path.as_bytes().eq_ignore_ascii_case(POLICY_FILE.as_bytes())
        || policy.is_nested_file(path)
        || is_nested_in_another_case(policy, path)
        || policy.trust.gate.matches(path)
}

/// Whether a file system that ignores case would take this for a nested policy.
fn is_nested_in_another_case(policy: &Policy, path: &RepoPath) -> bool {
    let bytes = path.as_bytes();
    let Some(folder) = bytes.len().checked_sub(POLICY_FILE.len()) else { return false };
    let (folder, name) = bytes.split_at(folder);
    let spelled = |folder: &[u8]| RepoPath::new([folder, POLICY_FILE.as_bytes()].concat());
    name.eq_ignore_ascii_case(POLICY_FILE.as_bytes())
        && [spelled(folder), spelled(&folder.to_ascii_lowercase())]
            .iter()
            .any(|path| policy.is_nested_file(path))
}

/// Whether the written rule that guards the policy names this path of its own accord.
fn guards_further(rule: &Rule, path: &RepoPath) -> bool {
    rule.scope.paths.is_some() && rule.scope.pattern(path).is_some()
}

/// The built-in rule: whoever changes the policy, or what runs the gate, needs
/// the old policy's consent.
fn policy_change<'a>(case: &Case<'a>) -> Option<Match<'a>> {
    let written = case.policy.rules.iter().find(|rule| rule.id == POLICY_CHANGE);
    // The built-in policy guards nothing: there is nobody yet whose consent could be asked.
    case.policy.source.sha256.as_ref()?;
    let mut files: Vec<MatchedFile<'a>> = case
        .change
        .files
        .iter()
        .filter(|file| guarded(case.policy, &file.path))
        .map(|file| MatchedFile { file, pattern: None })
        .collect();
    if let Some(rule) = written {
        // The rule may guard more than the built-in paths, never less.
        for matched in meet(case, is_sorted(case.change), rule).files {
            if guards_further(rule, &matched.file.path)
                && !files.iter().any(|it| it.file.path == matched.file.path)
            {
                files.push(matched);
            }
        }
    }
    if files.is_empty() {
        return None;
    }
    let rule = Cow::Owned(policy_change_rule(case.policy));
    Some(Match { rule, files, conditions: Vec::new() })
}

/// The rule that guards the policy: the one with that id, for every guarded
/// path and whatever its `when` says; else the built-in one, whose approvals
/// are also asked where the written rule asks for none.
pub fn policy_change_rule(policy: &Policy) -> Rule {
    let Some(written) = policy.rules.iter().find(|rule| rule.id == POLICY_CHANGE) else {
        return default_policy_change(policy);
    };
    let mut rule = Rule { when: When::default(), unless: None, ..written.clone() };
    if !rule.require.iter().any(|it| matches!(it.requirement, Requirement::Approvals(_))) {
        rule.require.extend(default_policy_change(policy).require);
    }
    rule
}

/// One approval from each group that any rule names; if none is named, one
/// from any human of the policy.
fn default_policy_change(policy: &Policy) -> Rule {
    let groups: BTreeSet<&String> = order::set(
        policy
            .rules
            .iter()
            .flat_map(|rule| &rule.require)
            .flat_map(|staged| match &staged.requirement {
                Requirement::Approvals(approvals) => approvals.as_slice(),
                Requirement::Tests(_)
                | Requirement::Coverage(_)
                | Requirement::Preview(_)
                | Requirement::Disclosure => &[],
            })
            .flat_map(|approval| &approval.from)
            .filter(|name| policy.groups.contains_key(*name)),
    );
    let approval = |from: Vec<String>| ApprovalRule {
        count: 1,
        from,
        presence: Presence::None,
        carry: Carry::Exact,
        max_age: None,
    };
    let approvals = if groups.is_empty() {
        vec![approval(Vec::new())]
    } else {
        groups.into_iter().map(|group| approval(vec![group.clone()])).collect()
    };
    Rule {
        id: POLICY_CHANGE.to_owned(),
        why: Some(
            "a change of the policy or of the gate needs the old policy's consent".to_owned(),
        ),
        scope: Scope {
            folder: String::new(),
            paths: None,
            except: super::policy::Globs::default(),
        },
        when: When::default(),
        unless: None,
        require: vec![StagedRequirement {
            requirement: Requirement::Approvals(approvals),
            stage: Stage::Merge,
        }],
        deny: false,
        deny_stage: Stage::Commit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::policy::Globs;

    fn files(paths: &[&str]) -> Vec<FileChange> {
        let file = |path: &&str| FileChange {
            path: RepoPath::new(*path),
            old: None,
            new: None,
            added: Vec::new(),
            removed: 0,
            binary: false,
        };
        paths.iter().map(file).collect()
    }

    /// Whatever candidates leaves out, no pattern of the rule matches.
    #[track_caller]
    fn check(patterns: &[&str], paths: &[&str], expected: &[&str]) {
        let patterns: Vec<String> = patterns.iter().map(|it| (*it).to_owned()).collect();
        let globs = Globs::new(&patterns).expect("valid patterns");
        let files = files(paths);
        let mut rule = default_policy_change(&Policy::built_in());
        rule.scope.paths = Some(globs.clone());
        let found: Vec<String> =
            candidates(&files, true, &rule).iter().map(|file| file.path.to_text()).collect();
        assert_eq!(found, expected);
        let matching = files.iter().filter(|file| globs.matches(&file.path));
        assert!(matching.map(|file| file.path.to_text()).all(|path| found.contains(&path)));
    }

    #[test]
    fn only_files_with_the_patterns_beginnings_are_tried() {
        let paths = ["a/b/c", "a/b/d", "a/bc", "a/c/d", "b", "src/x.rs", "src/y.md"];
        check(&["/a/b/**"], &paths, &["a/b/c", "a/b/d", "a/bc"]);
        check(
            &["/a/b/**", "/a/**", "/src/*.rs"],
            &paths,
            &["a/b/c", "a/b/d", "a/bc", "a/c/d", "src/x.rs", "src/y.md"],
        );
        check(&["/a/b/c", "/b"], &paths, &["a/b/c", "b"]);
        check(&["*.md", "/b"], &paths, &paths);
        check(&["/none/**"], &paths, &[]);
    }
}
