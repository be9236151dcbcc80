//! The built-in rule that guards the tests: what an assisted change takes from
//! them needs a person's approval.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::{Kind, Sides, Weakened, weakened};
use crate::gate::change::{Entry, FileChange, LineRange, Oid, RepoPath};
use crate::gate::coverage::measured::kind_of;
use crate::gate::evidence::Answer;
use crate::gate::language::Languages;
use crate::gate::obligation::{Case, Match, MatchedFile, Obligation};
use crate::gate::order;
use crate::gate::policy::{
    ApprovalRule, Carry, Globs, Policy, Presence, Rule, Scope, Stage, StagedRequirement, When,
};
use crate::gate::requirement::Requirement;
use crate::gate::verdict::{Code, Finding, Level};

/// The id of the built-in rule.
pub const TEST_WEAKENED: &str = "test-weakened";

/// Of how many files the texts are read; beyond it a person has to look.
const MAX_FILES: usize = 2_000;
/// How many findings a change gets.
const MAX_FINDINGS: usize = 50;

/// The texts that have to be read: of the assisted files that are tests, that
/// may hold some, or that set thresholds. Nothing, where no rule of the policy
/// asks for a person's word or for tests.
pub fn texts(case: &Case<'_>) -> BTreeSet<Oid> {
    let files = looked_at(case);
    if !files.iter().any(|file| is_assisted(case, file)) {
        return BTreeSet::new();
    }
    let entries = files.into_iter().take(MAX_FILES).flat_map(|file| {
        let old = if only_adds(file) { &None } else { &file.old };
        [old, &file.new]
    });
    order::set(entries.flatten().filter(|it| is_regular(it)).map(|entry| entry.oid.clone()))
}

/// What the change takes from the tests.
pub fn losses(case: &Case<'_>, texts: &BTreeMap<Oid, Answer<String>>) -> Vec<Weakened> {
    let files = looked_at(case);
    if !files.iter().any(|file| is_assisted(case, file)) {
        return Vec::new();
    }
    let text = |entry: &Option<Entry>| -> Result<&str, String> {
        let Some(entry) = entry.as_ref().filter(|it| is_regular(it)) else { return Ok("") };
        match texts.get(&entry.oid) {
            Some(Ok(text)) => Ok(text),
            Some(Err(reason)) => Err(reason.clone()),
            None => Err("it was not read".to_owned()),
        }
    };
    let texts: Vec<Result<(Cow<'_, str>, &str), String>> = files
        .iter()
        .map(|file| {
            let new = text(&file.new)?;
            let old = match only_adds(file) {
                true => Cow::Owned(without(new, &file.added)),
                false => Cow::Borrowed(text(&file.old)?),
            };
            Ok((old, new))
        })
        .collect();
    let (mut sides, mut unread) = (Vec::new(), Vec::new());
    for (file, texts) in files.iter().zip(&texts) {
        let is_test = is_test(case.policy, &file.path);
        let known = case.attribution.files.get(&file.path);
        match texts {
            Ok((old, new)) => sides.push(Sides {
                path: &file.path,
                kind: kind_of(&file.path),
                is_test,
                is_assisted: is_assisted(case, file),
                assisted: known
                    .filter(|it| it.unattributed && !it.ranges.is_empty())
                    .map(|it| it.ranges.iter().map(|range| range.lines).collect()),
                old,
                new,
            }),
            // Tests stand in sources too: what was not read may have lost some.
            Err(reason) if is_assisted(case, file) => {
                let what = format!("whether it was weakened is not known: {reason}");
                unread.push(Weakened {
                    kind: Kind::Loss,
                    path: file.path.clone(),
                    line: None,
                    what,
                });
            }
            Err(_) => {}
        }
    }
    let mut found = weakened(&sides);
    found.extend(unread);
    found
}

/// The obligation that follows from losses, for the files that have some.
/// `None`: there is none, or nobody of the policy could be asked.
pub fn obligation<'a>(case: &Case<'a>, losses: &[Weakened]) -> Option<Obligation<'a>> {
    let losses = losses.iter().filter(|it| it.kind == Kind::Loss);
    let paths: BTreeSet<&RepoPath> = order::set(losses.map(|it| &it.path));
    if paths.is_empty() || !can_ask(case.policy) {
        return None;
    }
    let files = case.change.files.iter().filter(|file| paths.contains(&file.path)).collect();
    Some(Obligation { rule: Cow::Owned(rule(case.policy)), files })
}

/// The same as a match, for `explain`.
pub fn matched<'a>(obligation: Obligation<'a>) -> Match<'a> {
    let files = obligation.files.into_iter().map(|file| MatchedFile { file, pattern: None });
    Match { rule: obligation.rule, files: files.collect(), conditions: Vec::new() }
}

/// Losses as findings at this level.
pub fn findings(losses: &[Weakened], level: Level) -> Vec<Finding> {
    let losses = losses.iter().filter(|it| it.kind == Kind::Loss).take(MAX_FINDINGS);
    losses.map(|it| finding(it, Code::TestWeakened, level)).collect()
}

/// What is said and asks for nothing.
pub fn notes(losses: &[Weakened]) -> Vec<Finding> {
    let rewritten = losses.iter().filter(|it| it.kind == Kind::Rewritten).take(MAX_FINDINGS);
    rewritten.map(|it| finding(it, Code::ExpectationsRewritten, Level::Note)).collect()
}

fn finding(weakened: &Weakened, code: Code, level: Level) -> Finding {
    let mut finding = Finding::block(code, weakened.what.clone())
        .at(level)
        .rule(TEST_WEAKENED)
        .path(weakened.path.clone());
    finding.line = weakened.line;
    finding
}

/// The rule: the approvals of the one with that id, else one from any person.
pub fn rule(policy: &Policy) -> Rule {
    let written = policy.rules.iter().find(|rule| rule.id == TEST_WEAKENED);
    let is_approvals =
        |it: &&StagedRequirement| matches!(it.requirement, Requirement::Approvals(_));
    let mut require: Vec<StagedRequirement> = written
        .map(|rule| rule.require.iter().filter(is_approvals).cloned().collect())
        .unwrap_or_default();
    if require.is_empty() {
        let anybody = ApprovalRule {
            count: 1,
            from: Vec::new(),
            presence: Presence::None,
            carry: Carry::CleanMerge,
            max_age: None,
        };
        require.push(StagedRequirement {
            requirement: Requirement::Approvals(vec![anybody]),
            stage: Stage::Merge,
        });
    }
    Rule {
        id: TEST_WEAKENED.to_owned(),
        why: Some("what an agent takes from the tests, a person has to have seen".to_owned()),
        scope: Scope { folder: String::new(), paths: None, except: Globs::default() },
        when: When::default(),
        unless: None,
        require,
        deny: false,
        deny_stage: Stage::Commit,
    }
}

/// Whether there is a person whose approval could be asked: a policy without
/// people has no approvals, and is only told.
pub fn can_ask(policy: &Policy) -> bool {
    policy.trust.repo_id.is_some()
        && policy.humans(&[]).iter().any(|name| !policy.people[*name].keys.is_empty())
}

/// The files of the change that could be about tests, in order.
fn looked_at<'a>(case: &Case<'a>) -> Vec<&'a FileChange> {
    let asks =
        case.policy.rules.iter().flat_map(|rule| &rule.require).any(|it| match it.requirement {
            Requirement::Approvals(_) | Requirement::Tests(_) | Requirement::Coverage(_) => true,
            Requirement::Preview(_) | Requirement::Disclosure => false,
        });
    // Where no agent had a part nothing is asked, and no table has to be read.
    if !asks || !case.change.files.iter().any(|file| is_assisted(case, file)) {
        return Vec::new();
    }
    let languages = Languages::built_in();
    let is_about = |file: &&FileChange| {
        !file.binary
            && (languages.of(&kind_of(&file.path)).is_some()
                || languages.is_snapshot(&file.path)
                || languages.thresholds().iter().any(|it| it.files.matches(&file.path)))
    };
    case.change.files.iter().filter(is_about).collect()
}

/// The most runs of added lines by which an old text is found from the new one.
const MAX_RUNS: usize = 1 << 10;

/// Whether the new text is the old one with lines put in, so that the old one
/// need not be read.
fn only_adds(file: &FileChange) -> bool {
    let both = [&file.old, &file.new].map(|it| it.as_ref().is_some_and(is_regular));
    both == [true, true]
        && file.removed == 0
        && !file.added.is_empty()
        && file.added.len() <= MAX_RUNS
}

/// A text without these lines of it.
fn without(text: &str, lines: &[LineRange]) -> String {
    let mut left = String::with_capacity(text.len());
    let mut lines = lines.iter().peekable();
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        while lines.next_if(|it| it.end < number).is_some() {}
        if lines.peek().is_none_or(|it| number < it.start) {
            left.push_str(line);
        }
    }
    left
}

fn is_assisted(case: &Case<'_>, file: &FileChange) -> bool {
    case.attribution.files.get(&file.path).is_some_and(|it| it.assisted)
}

fn is_test(policy: &Policy, path: &RepoPath) -> bool {
    Languages::built_in().tests().matches(path)
        || policy.tests.values().any(|test| test.is_test(path))
}

fn is_regular(entry: &Entry) -> bool {
    entry.mode & 0o170_000 == 0o100_000
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_old_text_is_found_without_the_added_lines(
            lines in prop::collection::vec(("[ab]{0,2}\r?", any::<bool>()), 0..20), ended in any::<bool>(),
        ) {
            let text = |all: bool| {
                let kept = lines.iter().filter(|it| all || !it.1);
                kept.map(|it| format!("{}\n", it.0)).collect::<String>()
            };
            let mut added: Vec<LineRange> = Vec::new();
            for (number, _) in (1..).zip(&lines).filter(|(_, it)| it.1) {
                match added.last_mut() {
                    Some(last) if last.end + 1 == number => last.end = number,
                    Some(_) | None => added.push(LineRange { start: number, end: number }),
                }
            }
            let (mut old, mut new) = (text(false), text(true));
            if !ended && lines.last().is_some_and(|it| !it.1) {
                old.pop();
                new.pop();
            }
            prop_assert_eq!(without(&new, &added), old);
        }
    }
}
