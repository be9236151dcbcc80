//! Assisted commits say so in their messages.

use super::Outcome;
use crate::gate::attribution::CommitAttribution;
use crate::gate::change::{Commit, printable};
use crate::gate::disclosure::{Disclosed, disclosed};
use crate::gate::obligation::{Case, Obligation};
use crate::gate::policy::{Disclosure, DisclosureTrailer, Stage};
use crate::gate::signal::catalogue::UNKNOWN;
use crate::gate::verdict::{Code, Finding, Judged, State, Verdict};

/// The id under which the whole change's disclosure is reported.
const RULE: &str = "disclosure";

/// Judges the assisted commits of the change. Before there is a message there
/// is nothing to judge; commit-msg asks again.
pub fn judge(case: &Case<'_>, _obligation: &Obligation<'_>) -> Outcome {
    // A rule may ask where `[disclosure]` does not.
    let asked =
        Disclosure { trailer: DisclosureTrailer::Require, ..case.policy.disclosure.clone() };
    let mut silent: Vec<&Commit> = Vec::new();
    let mut unnamed = std::collections::BTreeSet::new();
    for (commit, marks) in commits(case).filter(|(_, marks)| marks.assisted) {
        if let Disclosed::Missing { agents } = disclosed(&asked, &commit.message, &marks.signals) {
            silent.push(commit);
            unnamed.extend(agents);
        }
    }
    let Some(first) = silent.first() else {
        return Outcome::satisfied("every assisted commit says so".to_owned());
    };
    // The one agent that is known by name is what the trailer has to say.
    let agent = match unnamed.pop_first() {
        Some(agent) if unnamed.is_empty() && agent != UNKNOWN => agent,
        Some(_) | None => "AGENT:MODEL".to_owned(),
    };
    Outcome {
        state: State::Missing,
        code: Code::DisclosureMissing,
        detail: format!("{} does not say which agent assisted it", named(first, silent.len())),
        next: Some(remedy(case, &silent, &agent)),
        people: Vec::new(),
    }
}

/// Judges `[disclosure]`, which asks of every commit, whatever its files.
pub fn whole_change(case: &Case<'_>, verdict: &mut Verdict) {
    match case.policy.disclosure.trailer {
        DisclosureTrailer::Allow => {}
        DisclosureTrailer::Require => require(case, verdict),
        DisclosureTrailer::Forbid => forbid(case, verdict),
    }
}

fn require(case: &Case<'_>, verdict: &mut Verdict) {
    if !case.attribution.assisted() || case.change.commits.is_empty() {
        return;
    }
    let none = Obligation { rule: std::borrow::Cow::Owned(rule()), files: Vec::new() };
    let outcome = judge(case, &none);
    if outcome.state == State::Missing {
        let mut finding = Finding::block(outcome.code, outcome.detail.clone());
        finding.next = outcome.next.clone();
        verdict.findings.push(finding);
    }
    verdict.obligations.push(Judged {
        rule: RULE.to_owned(),
        requirement: "disclosure",
        state: outcome.state,
        stage: Stage::Commit,
        files: Vec::new(),
        detail: outcome.detail,
        next: outcome.next,
        why: None,
        people: Vec::new(),
        resources: Vec::new(),
    });
}

fn forbid(case: &Case<'_>, verdict: &mut Verdict) {
    for (commit, marks) in commits(case) {
        let answer = disclosed(&case.policy.disclosure, &commit.message, &marks.signals);
        if let Disclosed::Forbidden { marks } = answer {
            let first = marks.first().map(|mark| printable(mark)).unwrap_or_default();
            let message = format!(
                "{} carries `{first}`, and the policy forbids disclosure trailers",
                named(commit, 1)
            );
            verdict.findings.push(Finding::block(Code::DisclosureForbidden, message));
        }
    }
}

fn commits<'a>(case: &Case<'a>) -> impl Iterator<Item = (&'a Commit, &'a CommitAttribution)> {
    case.change.commits.iter().zip(&case.attribution.commits)
}

fn named(commit: &Commit, count: usize) -> String {
    let subject = printable(commit.message.lines().next().unwrap_or_default());
    let first = if commit.id.is_zero() {
        "the commit being made".to_owned()
    } else {
        format!("{} ({subject})", commit.id.short())
    };
    if count > 1 { format!("{first} and {} more", count - 1) } else { first }
}

/// What the author does next: the message of a commit that was refused, or of
/// the tip, is quickly changed; others have to be reworded one by one.
fn remedy(case: &Case<'_>, silent: &[&Commit], agent: &str) -> String {
    let trailer = format!("{}: {agent}", case.policy.disclosure.key);
    match silent {
        [only] if only.id.is_zero() => format!("git commit --trailer \"{trailer}\""),
        [only] if only.id == case.change.head => {
            format!("git commit --amend --no-edit --trailer \"{trailer}\"")
        }
        _ => format!("git rebase -i {}, and reword: add \"{trailer}\"", case.change.base.short()),
    }
}

/// A rule without paths, for what is asked of the whole change.
fn rule() -> crate::gate::policy::Rule {
    crate::gate::policy::Rule {
        id: RULE.to_owned(),
        why: None,
        scope: crate::gate::policy::Scope {
            folder: String::new(),
            paths: None,
            except: crate::gate::policy::Globs::default(),
        },
        when: crate::gate::policy::When::default(),
        unless: None,
        require: Vec::new(),
        deny: false,
        deny_stage: Stage::Commit,
    }
}
