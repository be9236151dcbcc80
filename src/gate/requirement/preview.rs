//! The named previews were made for exactly this tree, show the whole change,
//! are fresh, and do no more than the policy lets pass; or people approved
//! exactly what they show.

use super::{Outcome, approvals};
use crate::gate::change::printable;
use crate::gate::evidence::{Evidence, LedgerView};
use crate::gate::obligation::{Case, Obligation};
use crate::gate::order;
use crate::gate::policy::{ApprovalRule, Carry, Policy, Presence, PreviewCommand, PreviewProtect};
use crate::gate::preview::{Action, Preview, Row, evaluable, matches_stars, summary};
use crate::gate::record::{Body, PreviewRecord};
use crate::gate::requirement::Requirement;
use crate::gate::run::{Counting, Kind, preview_definition, vouched};
use crate::gate::time::Timestamp;
use crate::gate::verdict::{Code, State};

/// How far a plan's clock may be ahead of ours, in seconds.
const CLOCK_SKEW: i64 = 600;
/// How many paths of a row are named.
const NAMED: usize = 3;

/// A recorded preview of this tree that counts.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'e> {
    pub id: &'e str,
    pub record: &'e PreviewRecord,
    pub kind: Kind,
}

/// Why a recorded preview of this tree does not count.
struct Refused {
    id: String,
    code: Code,
    why: String,
}

/// What a preview does beyond what the policy lets pass.
#[derive(Clone, Debug, Default)]
pub struct Excess<'p> {
    /// `deletes 3 (limit 0)`
    pub over: Vec<String>,
    /// Protected rows of the policy that are touched, and by how much.
    pub protected: Vec<(&'p PreviewProtect, String)>,
    /// How many protected resources are touched, as far as they are kept.
    touched: usize,
    /// What it does to which resource, a line each, safe to print: to the protected ones where
    /// there are any, else to all.
    pub resources: Vec<String>,
}

impl Excess<'_> {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.over.is_empty() && self.protected.is_empty()
    }

    /// Both, in one line; the resources are not named in it.
    pub fn describe(&self) -> String {
        let mut words = self.over.clone();
        match (self.protected.as_slice(), self.touched) {
            ([], _) => {}
            (_, 0) => words.push("perhaps protected resources, which are not kept".to_owned()),
            (_, 1) => words.push("1 protected resource".to_owned()),
            (_, touched) => words.push(format!("{touched} protected resources")),
        }
        words.join("; ")
    }
}

/// Compares a preview with the limits and the protected types of the policy.
pub fn excess<'p>(command: &'p PreviewCommand, preview: &Preview) -> Excess<'p> {
    let mut excess = Excess::default();
    for (name, limit) in &command.limits {
        let count = preview.counts.limited(name);
        if count > *limit {
            excess.over.push(format!("{name} {count} (limit {limit})"));
        }
    }
    for protect in &command.protect {
        let touched: Vec<&Row> = preview.rows.iter().filter(|row| touches(protect, row)).collect();
        // What is not kept row by row could be anything.
        let text = match touched.as_slice() {
            [] if preview.omitted == 0 => continue,
            [] => format!("any of {} that are not kept", preview.omitted),
            [only] => printable(&only.address),
            [first, ..] => format!("{}, first {}", touched.len(), printable(&first.address)),
        };
        excess.protected.push((protect, text));
    }
    if !excess.is_empty() {
        let protected = |row: &&Row| command.protect.iter().any(|it| touches(it, row));
        let mut rows: Vec<&Row> = preview.rows.iter().filter(protected).collect();
        excess.touched = rows.len();
        if rows.is_empty() {
            rows = preview.rows.iter().collect();
        }
        excess.resources = rows.into_iter().map(in_words).collect();
        if preview.omitted > 0 {
            excess.resources.push(format!("{} more that are not kept", preview.omitted));
        }
    }
    excess
}

/// Whether a row does something protected. What is not known could be that.
fn touches(protect: &PreviewProtect, row: &Row) -> bool {
    let is_type = protect.types.iter().any(|pattern| matches_stars(pattern, &row.kind));
    let is_action = row.uncertain
        || row.action == Action::Unknown
        || protect.actions.iter().any(|action| action == row.action.word());
    is_type && is_action
}

/// What a row does to which resource, and where.
fn in_words(row: &Row) -> String {
    let place = row.place.as_ref().map(|it| format!(" in {it}")).unwrap_or_default();
    let paths = match row.paths.split_at(NAMED.min(row.paths.len())) {
        ([], _) => String::new(),
        (paths, []) => format!(" ({})", paths.join(", ")),
        (paths, more) => format!(" ({} and {} more)", paths.join(", "), more.len()),
    };
    printable(&format!("{} {}{paths}{place}", row.action.word(), row.address))
}

/// What the named previews that go beyond the limits, and that nobody let
/// pass, do to which resource: every one of them, a line each, safe to print.
pub fn resources(
    case: &Case<'_>,
    obligation: &Obligation<'_>,
    names: &[String],
    evidence: &Evidence,
) -> Vec<String> {
    let Ok(ledger) = &evidence.ledger else { return Vec::new() };
    let commands = names.iter().filter_map(|name| case.policy.previews.get(name));
    let open = commands
        .filter(|command| one(case, obligation, command, ledger, evidence).state > State::Waived);
    open.filter_map(|command| {
        let newest = standing(case, command, ledger, evidence).0.into_iter().next()?;
        Some(excess(command, &newest.record.preview).resources)
    })
    .flatten()
    .collect()
}

/// The newest preview of each name that counts: what an approver is shown, and
/// approves with the content.
pub fn shown<'e>(
    case: &Case<'_>,
    obligations: &[Obligation<'_>],
    evidence: &'e Evidence,
) -> Vec<Standing<'e>> {
    let Ok(ledger) = &evidence.ledger else { return Vec::new() };
    let mut names: Vec<&String> = obligations
        .iter()
        .flat_map(|obligation| &obligation.rule.require)
        .flat_map(|staged| match &staged.requirement {
            Requirement::Preview(names) => names.as_slice(),
            Requirement::Approvals(_)
            | Requirement::Tests(_)
            | Requirement::Coverage(_)
            | Requirement::Disclosure => &[],
        })
        .collect();
    order::sort(&mut names);
    names.dedup();
    let commands = names.into_iter().filter_map(|name| case.policy.previews.get(name));
    commands
        .filter_map(|command| standing(case, command, ledger, evidence).0.into_iter().next())
        .collect()
}

/// Why a plan is not to be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotApplied {
    /// One line, safe to print.
    pub why: String,
    /// The command that helps; `None`: none does.
    pub next: Option<String>,
}

/// Says whether the engine's own plan with this digest may be applied: a
/// recorded preview of it counts, is of the judged tree, and keeps within the
/// limits, or was itself approved by those whom the rules name. Returns what it
/// does, in one line.
pub fn may_apply(
    case: &Case<'_>,
    obligations: &[Obligation<'_>],
    evidence: &Evidence,
    digest: &str,
) -> Result<String, NotApplied> {
    let not = |why: String, next: Option<String>| NotApplied { why: printable(&why), next };
    let ledger = evidence.ledger.as_ref().map_err(|why| not(why.clone(), None))?;
    let is_it = |record: &PreviewRecord| record.plan.as_deref() == Some(digest);
    let mut reason = None;
    for command in case.policy.previews.values() {
        let (standing, refused) = standing(case, command, ledger, evidence);
        if let Some(standing) = standing.iter().find(|it| is_it(it.record)) {
            return over_limits(case, obligations, command, standing, evidence);
        }
        let is_it = |refused: &&Refused| {
            ledger.records.iter().any(|signed| {
                signed.record.id == refused.id
                    && matches!(&signed.record.body, Body::Preview(record) if is_it(record))
            })
        };
        if let Some(refused) = refused.iter().find(is_it) {
            let why = format!("its preview `{}` does not count: {}", command.name, refused.why);
            reason = reason.or(Some((why, command.name.clone())));
        }
    }
    let again = |name: &str| format!("countersign preview --only {name} --plan PLAN");
    Err(match reason {
        Some((why, name)) => not(why, Some(again(&name))),
        None => not(
            format!(
                "no preview of this very plan is recorded for the tree {}",
                case.change.head_tree.short()
            ),
            Some(again("NAME")),
        ),
    })
}

/// Within the limits nothing more is asked; beyond them, everything that the
/// rules ask which require this preview.
fn over_limits(
    case: &Case<'_>,
    obligations: &[Obligation<'_>],
    command: &PreviewCommand,
    standing: &Standing<'_>,
    evidence: &Evidence,
) -> Result<String, NotApplied> {
    let excess = excess(command, &standing.record.preview);
    let text = format!("`{}`: {}", command.name, summary(&standing.record.preview));
    if excess.is_empty() {
        return Ok(text);
    }
    let asks = |obligation: &&Obligation<'_>| {
        obligation.rule.require.iter().any(|staged| match &staged.requirement {
            Requirement::Preview(names) => names.contains(&command.name),
            Requirement::Approvals(_)
            | Requirement::Tests(_)
            | Requirement::Coverage(_)
            | Requirement::Disclosure => false,
        })
    };
    let asking: Vec<&Obligation<'_>> = obligations.iter().filter(asks).collect();
    if asking.is_empty() {
        let why = format!(
            "{text}; {}; no rule asks for it in {}, so that nobody's approval is known to cover it",
            excess.describe(),
            case.range
        );
        let next = "countersign preview apply-guard BASE..HEAD -- COMMAND".to_owned();
        return Err(NotApplied { why: printable(&why), next: Some(next) });
    }
    for obligation in asking {
        let outcome = assess(case, obligation, command, standing, evidence);
        if outcome.state != State::Satisfied {
            return Err(NotApplied { why: printable(&outcome.detail), next: outcome.next });
        }
    }
    Ok(text)
}

/// Judges every named preview; the worst of them is the outcome.
pub fn judge(
    case: &Case<'_>,
    obligation: &Obligation<'_>,
    names: &[String],
    evidence: &Evidence,
) -> Outcome {
    let ledger = match &evidence.ledger {
        Ok(ledger) => ledger,
        Err(reason) => return Outcome::undecided(Code::PreviewMissing, reason),
    };
    let mut lines = Vec::new();
    let mut worst = Outcome::satisfied(String::new());
    for name in names {
        let outcome = match case.policy.previews.get(name) {
            Some(command) => one(case, obligation, command, ledger, evidence),
            None => {
                let reason = format!("the policy has no preview `{name}`");
                Outcome::undecided(Code::PreviewMissing, &reason)
            }
        };
        lines.push(outcome.detail.clone());
        if outcome.state > worst.state {
            worst = outcome;
        }
    }
    Outcome { detail: lines.join("; "), ..worst }
}

fn one(
    case: &Case<'_>,
    obligation: &Obligation<'_>,
    command: &PreviewCommand,
    ledger: &LedgerView,
    evidence: &Evidence,
) -> Outcome {
    if !evaluable(&command.engine) {
        let reason = format!(
            "`{}` is of the engine `{}`, whose previews this version cannot read",
            command.name, command.engine
        );
        return Outcome::undecided(Code::NotEvaluable, &reason);
    }
    let (standing, refused) = standing(case, command, ledger, evidence);
    let mut newest = None;
    // As with runs, one that satisfies is enough: then the loss of a record never lets a change
    // through.
    for preview in &standing {
        let mut outcome = assess(case, obligation, command, preview, evidence);
        if outcome.state == State::Satisfied {
            if newest.is_some() {
                outcome.detail.push_str("; a newer one of this tree goes beyond the limits");
            }
            return outcome;
        }
        newest = newest.or(Some(outcome));
    }
    newest.unwrap_or_else(|| missing(case, command, refused.first()))
}

fn missing(case: &Case<'_>, command: &PreviewCommand, refused: Option<&Refused>) -> Outcome {
    let name = &command.name;
    let (code, detail) = match refused {
        None => (Code::PreviewMissing, format!("`{name}` was not made for this tree")),
        Some(refused) => {
            let id = short(&refused.id);
            let detail = format!("`{name}` ({id}) of this tree does not count: {}", refused.why);
            (refused.code, detail)
        }
    };
    let next = Some(case.next("preview"));
    Outcome { state: State::Missing, code, detail, next, people: Vec::new() }
}

/// The recorded previews of this tree, newest first: those that count, and
/// those that do not.
fn standing<'e>(
    case: &Case<'_>,
    command: &PreviewCommand,
    ledger: &'e LedgerView,
    evidence: &Evidence,
) -> (Vec<Standing<'e>>, Vec<Refused>) {
    let counting =
        Counting { policy: case.policy, stage: case.stage, ledger_cuts: &evidence.ledger_cuts };
    let wanted = preview_definition(command);
    let (mut counted, mut refused) = (Vec::new(), Vec::new());
    for signed in &ledger.records {
        let Body::Preview(record) = &signed.record.body else { continue };
        if record.name != command.name || record.tree != case.change.head_tree {
            continue;
        }
        let id = signed.record.id.as_str();
        let mut refuse = |code, why: String| {
            refused.push((made(record), Refused { id: id.to_owned(), code, why }));
        };
        match vouched(signed, record.repo.as_deref(), &command.accept, &counting) {
            Err(refusal) => refuse(Code::PreviewMissing, refusal.to_string()),
            Ok(_) if record.definition != wanted || record.engine != command.engine => {
                refuse(
                    Code::PreviewMissing,
                    "its definition in the policy changed since".to_owned(),
                );
            }
            Ok(_) if !record.preview.partial.is_empty() => {
                let why = printable(&record.preview.partial.join("; "));
                refuse(Code::PreviewMissing, format!("it does not show the whole change: {why}"));
            }
            Ok(kind) => match fresh(record, command, case.now) {
                Err(why) => refuse(Code::PreviewStale, why),
                Ok(()) => counted.push(Standing { id, record, kind }),
            },
        }
    }
    order::sort_by_key(&mut counted, |it| {
        std::cmp::Reverse((made(it.record), it.record.by.at, it.id))
    });
    order::sort_by_key(&mut refused, |(at, _)| std::cmp::Reverse(*at));
    (counted, refused.into_iter().map(|(_, refused)| refused).collect())
}

/// When the plan was made, as it says; else when it was recorded.
fn made(record: &PreviewRecord) -> Timestamp {
    record.preview.made.unwrap_or(record.by.at)
}

/// Whether a preview is not older than the policy allows; the error says since when.
pub fn fresh(
    record: &PreviewRecord,
    command: &PreviewCommand,
    now: Timestamp,
) -> Result<(), String> {
    let made = made(record);
    let Some(until) = Policy::age_limit(made, command.max_age) else { return Ok(()) };
    if made.0 > now.0.saturating_add(CLOCK_SKEW) {
        return Err(format!("it says that it was made at {made}, which is yet to come"));
    }
    if now > until {
        return Err(format!("it is from {made}, older than the policy allows"));
    }
    Ok(())
}

/// Judges what one preview shows.
fn assess(
    case: &Case<'_>,
    obligation: &Obligation<'_>,
    command: &PreviewCommand,
    standing: &Standing<'_>,
    evidence: &Evidence,
) -> Outcome {
    let preview = &standing.record.preview;
    let mut detail = format!(
        "`{}` ({}, {}): {}",
        command.name,
        short(standing.id),
        standing.kind.describe(),
        summary(preview)
    );
    let excess = excess(command, preview);
    if excess.is_empty() {
        return Outcome::satisfied(detail);
    }
    detail.push_str(&format!("; {}", excess.describe()));
    // An obligation that follows from a module alone asks for the preview, and not for the
    // approvals that its rule asks for in its own paths; over a limit they are what counts.
    let written = case.policy.rules.iter().find(|rule| rule.id == obligation.rule.id);
    let own: Vec<ApprovalRule> = written
        .unwrap_or(&obligation.rule)
        .require
        .iter()
        .flat_map(|staged| match &staged.requirement {
            Requirement::Approvals(rules) => rules.clone(),
            Requirement::Tests(_)
            | Requirement::Coverage(_)
            | Requirement::Preview(_)
            | Requirement::Disclosure => Vec::new(),
        })
        .collect();
    if !excess.over.is_empty() && own.is_empty() {
        detail.push_str("; the rule asks for no approvals, so nobody can let that pass");
        return Outcome {
            state: State::Unsatisfiable,
            code: Code::PreviewOverLimit,
            detail,
            next: None,
            people: Vec::new(),
        };
    }
    let protectors: Vec<ApprovalRule> =
        excess.protected.iter().map(|(protect, _)| protector(protect)).collect();
    let over = if excess.over.is_empty() { Vec::new() } else { own };
    let asked = [(Code::PreviewOverLimit, over), (Code::PreviewProtected, protectors)];
    let (mut worst, mut words) = (None::<Outcome>, Vec::new());
    for (code, rules) in asked.iter().filter(|(_, rules)| !rules.is_empty()) {
        let outcome = approvals::judge_over_preview(case, obligation, rules, evidence, standing.id);
        if !words.contains(&outcome.detail) {
            words.push(outcome.detail.clone());
        }
        if outcome.state > State::Waived && worst.as_ref().is_none_or(|it| outcome.state > it.state)
        {
            let code = if outcome.code == Code::Rejected { Code::Rejected } else { *code };
            worst = Some(Outcome { code, ..outcome });
        }
    }
    detail.push_str(&format!("; this very preview {}", words.join("; ")));
    match worst {
        None => Outcome::satisfied(detail),
        Some(outcome) => {
            // The preview is there, and says no.
            let state = if outcome.state == State::Missing { State::Failed } else { outcome.state };
            Outcome { state, detail, ..outcome }
        }
    }
}

/// What a protected row asks for.
fn protector(protect: &PreviewProtect) -> ApprovalRule {
    ApprovalRule {
        count: protect.count,
        from: protect.from.clone(),
        presence: Presence::None,
        carry: Carry::Exact,
        max_age: None,
    }
}

fn short(id: &str) -> &str {
    &id[..12.min(id.len())]
}
