//! The policy's own tests: what each `[[example]]` expects, and what it gets.

use std::collections::BTreeSet;

use super::attribution::{Origins, attribute};
use super::change::{Change, Commit, Entry, FileChange, Identity, LineRange, Oid, RepoPath};
use super::evidence::{Evidence, LedgerView};
use super::judge::judge;
use super::obligation::{Case, obligations};
use super::policy::{Example, Policy, Stage};
use super::signal::catalogue::UNKNOWN;
use super::signal::{Signal, SignalKind, Strength};
use super::time::Timestamp;
use crate::gate::order;

/// What an example got.
#[derive(Clone, Debug)]
pub struct Tried<'a> {
    pub example: &'a Example,
    /// Ids of the rules that apply.
    pub rules: BTreeSet<String>,
    /// Whether the change is blocked at `merge`, with no approvals and no runs at hand.
    pub blocked: bool,
}

/// Tries every example of the policy.
pub fn try_all(policy: &Policy) -> Vec<Tried<'_>> {
    policy.examples.iter().map(|example| try_one(policy, example)).collect()
}

impl Tried<'_> {
    /// What differs from what was expected; empty if nothing does.
    pub fn differences(&self) -> Vec<String> {
        let mut differences = Vec::new();
        if let Some(expected) = self.example.expect_rules.as_ref().filter(|it| **it != self.rules) {
            let (expected, found) = (join(expected), join(&self.rules));
            differences.push(format!("expected the rules {expected}, and {found} apply"));
        }
        match self.example.expect_block {
            Some(true) if !self.blocked => differences.push("expected block, and it passes".into()),
            Some(false) if self.blocked => differences.push("expected pass, and it blocks".into()),
            Some(_) | None => {}
        }
        differences
    }
}

fn join(rules: &BTreeSet<String>) -> String {
    match rules.is_empty() {
        true => "none".to_owned(),
        false => rules.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", "),
    }
}

fn try_one<'a>(policy: &'a Policy, example: &'a Example) -> Tried<'a> {
    let agents = agents(example);
    let change = change(policy, example, &agents);
    let signals = agents.iter().map(|agent| signal(agent)).collect::<Vec<_>>();
    let marks = change.commits.iter().map(|it| (it.id.clone(), signals.clone())).collect();
    let attribution = attribute(&change, marks, &Origins::default());
    let case = Case {
        policy,
        change: &change,
        attribution: &attribution,
        stage: Stage::Merge,
        target: example.target.as_deref().unwrap_or(&policy.trust.target),
        range: "BASE..HEAD",
        server: false,
        now: Timestamp(0),
        pusher: None,
    };
    let obligations = obligations(&case);
    let rules = obligations.iter().map(|it| it.rule.id.clone()).collect();
    let unsigned = change.commits.iter().map(|it| (it.id.clone(), None)).collect();
    let evidence = Evidence {
        ledger: Ok(LedgerView::default()),
        commit_signers: Ok(unsigned),
        ..Evidence::default()
    };
    let blocked = !judge(&case, &obligations, &evidence).passes();
    Tried { example, rules, blocked }
}

fn agents(example: &Example) -> Vec<String> {
    match (example.assisted, example.agents.is_empty()) {
        (_, false) => example.agents.clone(),
        (true, true) => vec![UNKNOWN.to_owned()],
        (false, true) => Vec::new(),
    }
}

/// The strongest mark there is, so that an example is about the policy and
/// not about detection.
fn signal(agent: &str) -> Signal {
    Signal {
        agent: agent.to_owned(),
        kind: SignalKind::Trailer,
        strength: Strength::Declared,
        value: format!("Assisted-by: {agent}"),
        model: None,
        in_trailer_block: Some(true),
    }
}

/// One commit that adds the files; its lines are spread over them.
fn change(policy: &Policy, example: &Example, agents: &[String]) -> Change {
    let oid = |digit: &str| Oid::parse(&digit.repeat(40)).expect("40 digits are an id");
    let author = identity(policy, example.author.as_deref().unwrap_or("somebody"));
    let key = &policy.disclosure.key;
    let trailers = agents.iter().map(|it| format!("{key}: {it}:example\n")).collect::<String>();
    let commit = Commit {
        id: oid("2"),
        tree: oid("3"),
        parents: vec![oid("1")],
        author: author.clone(),
        committer: author,
        committed: 0,
        signed: false,
        message: format!("{}\n\n{trailers}", example.name),
    };
    let paths = order::set(example.files.iter().map(|it| RepoPath::new(it.as_str())));
    let mut left = example.lines.unwrap_or(paths.len() as u64);
    let mut files_left = paths.len() as u64;
    let mut files = Vec::new();
    for path in paths {
        let lines = left.div_ceil(files_left);
        left -= lines;
        files_left -= 1;
        let added = if lines == 0 { Vec::new() } else { vec![LineRange { start: 1, end: lines }] };
        let new = Some(Entry { mode: 0o100_644, oid: oid("4") });
        files.push(FileChange { path, old: None, new, added, removed: 0, binary: false });
    }
    Change { base: oid("1"), head: oid("2"), head_tree: oid("3"), commits: vec![commit], files }
}

/// A person of the policy by their name or address; anybody else by the name alone.
fn identity(policy: &Policy, author: &str) -> Identity {
    let email = match policy.people.get(author) {
        Some(person) => person.emails.first().cloned().unwrap_or_default(),
        None if author.contains('@') => author.to_owned(),
        None => format!("{author}@nowhere.invalid"),
    };
    Identity { name: author.to_owned(), email }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&[&str]]) {
        let policy = Policy::parse(text, "countersign.toml").unwrap();
        let found = try_all(&policy).iter().map(Tried::differences).collect::<Vec<_>>();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_founding_scenarios_hold() {
        check(include_str!("../../policy.example.toml"), &[&[], &[], &[], &[], &[], &[]]);
    }

    #[test]
    fn an_example_that_does_not_hold_says_what_it_got() {
        check(
            r#"
            [[rule]]
            id = "no-agents"
            when = { agents = ["claude-code"] }
            deny = true
            [[example]]
            name = "denied"
            change = { files = ["a"], agents = ["claude-code"] }
            expect = { rules = [], verdict = "pass" }
            [[example]]
            name = "another agent"
            change = { files = ["a"], assisted = true }
            expect = { rules = ["no-agents"], verdict = "block" }
            [[example]]
            name = "as it is"
            change = { files = ["a"], agents = ["claude-code"] }
            expect = { rules = ["no-agents"], verdict = "block" }
            "#,
            &[
                &["expected the rules none, and `no-agents` apply", "expected pass, and it blocks"],
                &[
                    "expected the rules `no-agents`, and none apply",
                    "expected block, and it passes",
                ],
                &[],
            ],
        );
    }
}
