//! `countersign approve`, `reject`, `waive` and `withdraw`: a person's word,
//! signed.

use serde_json::json;

use super::signing;
use crate::cli::args::{self, Format};
use crate::cli::exit::Exit;
use crate::cli::output::Style;
use crate::cli::{Context, unsupported};
use crate::gate::change::{RepoPath, printable};
use crate::gate::preview::table;
use crate::gate::record::RecordType;
use crate::gate::verdict::State;
use crate::jobs::Error;
use crate::jobs::ambient::Surroundings;
use crate::jobs::approve::{Decision, Draft, Options, Signed, prepare, previews};
use crate::jobs::withdraw::{self, withdraw as take_back};
use crate::jobs::world::World;

/// How many files are shown before signing.
const MOST_FILES: usize = 20;

/// Approves exactly this content.
pub fn approve(context: &Context, arguments: &args::Approve) -> Result<Exit, Error> {
    let decision =
        Decision::Approve { rules: arguments.rules.clone(), note: arguments.note.clone() };
    decide(context, "approve", &options(&arguments.range, arguments.key.as_ref()), &decision)
}

/// Rejects exactly this content.
pub fn reject(context: &Context, arguments: &args::Reject) -> Result<Exit, Error> {
    let decision = Decision::Reject { note: arguments.note.clone() };
    decide(context, "reject", &options(&arguments.range, arguments.key.as_ref()), &decision)
}

/// Waives one rule for exactly this content.
pub fn waive(context: &Context, arguments: &args::Waive) -> Result<Exit, Error> {
    let decision = Decision::Waive {
        rule: arguments.rule.clone(),
        reason: arguments.reason.clone(),
        expires: arguments.expires.clone(),
    };
    decide(context, "waive", &options(&arguments.range, arguments.key.as_ref()), &decision)
}

/// Takes back a record.
pub fn withdraw(context: &Context, arguments: &args::Withdraw) -> Result<Exit, Error> {
    only_text_and_json(context, "withdraw")?;
    let world = World::open(&context.env)?;
    let options = withdraw::Options {
        record: arguments.record.clone(),
        key: arguments.key.clone(),
        reason: arguments.note.clone(),
    };
    let withdrawn = take_back(&world, &options, &Surroundings::read(&context.env))?;
    if context.output.format == Format::Json {
        let document = json!({
            "schema": "countersign.signed/1",
            "type": RecordType::Withdrawal.word(),
            "record": withdrawn.id,
            "withdraws": withdrawn.record,
            "person": withdrawn.person,
        });
        context.output.json(&format!("{document:#}"));
        return Ok(Exit::Passed);
    }
    let output = &context.output;
    output.say(&format!("{} {}", output.style(Style::Good, "withdrew"), withdrawn.record));
    output.say(&format!("  by      {}", withdrawn.person));
    output.say(&format!("  record  {}", withdrawn.id));
    say_next(context, withdrawn.unpublished);
    Ok(Exit::Passed)
}

fn options(range: &args::RangeArguments, key: Option<&std::path::PathBuf>) -> Options {
    Options {
        range: range.range.clone(),
        target: range.target.clone(),
        policy_from: range.policy_from.clone(),
        key: key.cloned(),
    }
}

fn decide(
    context: &Context,
    command: &str,
    options: &Options,
    decision: &Decision,
) -> Result<Exit, Error> {
    only_text_and_json(context, command)?;
    let world = World::open(&context.env)?;
    let draft = prepare(&world, options, decision, &Surroundings::read(&context.env))?;
    if context.output.format == Format::Text && !context.output.quiet {
        show(context, &draft);
    }
    let (person, fingerprint) = (draft.hand.person.clone(), draft.hand.fingerprint.clone());
    let signed = draft.sign(&world)?;
    if context.output.format == Format::Json {
        print_json(context, &signed, &person, &fingerprint);
    } else {
        print(context, &signed, &person, &fingerprint);
    }
    Ok(Exit::Passed)
}

/// What is about to be signed, before a key is touched.
fn show(context: &Context, draft: &Draft) {
    let output = &context.output;
    let judgement = &draft.judgement;
    let change = &judgement.change;
    let verb = match draft.record_type() {
        RecordType::Rejection => "rejecting",
        RecordType::Waiver => "waiving a rule for",
        RecordType::Approval
        | RecordType::Withdrawal
        | RecordType::Run
        | RecordType::Preview
        | RecordType::Attribution
        | RecordType::Verdict => "approving",
    };
    let head = change.head.short();
    output.note(&format!("{verb} {} ({head}) for {}", judgement.range, judgement.target));
    for commit in change.commits.iter().rev().take(MOST_FILES) {
        let subject = commit.message.lines().next().unwrap_or_default();
        let (id, author) = (commit.id.short(), printable(&commit.author.email));
        output.note(&format!("  {id} {author}: {}", printable(subject)));
    }
    let most = if output.verbose { usize::MAX } else { MOST_FILES };
    for line in signing::lines(draft, most) {
        output.note(&line);
    }
    for (_, record) in previews(judgement) {
        output.note(table(&record.name, &record.preview, super::preview::SHOWN_ROWS).trim_end());
    }
}

/// Says what was signed, what it changes, and what comes next.
pub fn print(context: &Context, signed: &Signed, person: &str, fingerprint: &str) {
    for line in summary(context, signed, person, fingerprint) {
        context.output.say(&line);
    }
    say_next(context, signed.unpublished);
}

/// What was signed, by whom, and what it changes.
pub fn summary(context: &Context, signed: &Signed, person: &str, fingerprint: &str) -> Vec<String> {
    let output = &context.output;
    let done = match signed.record_type {
        RecordType::Rejection => "rejected",
        RecordType::Waiver => "waived",
        RecordType::Approval
        | RecordType::Withdrawal
        | RecordType::Run
        | RecordType::Preview
        | RecordType::Attribution
        | RecordType::Verdict => "approved",
    };
    let files = signed.files.len();
    let noun = if files == 1 { "file" } else { "files" };
    let target = &signed.judgement.target;
    let mut lines = vec![
        format!("{} {files} {noun} for {target}", output.style(Style::Good, done)),
        format!("  by      {person} ({fingerprint})"),
        format!("  record  {}", signed.id),
    ];
    for judged in &signed.judgement.verdict.obligations {
        if judged.requirement != "approvals" {
            continue;
        }
        let style = match judged.state {
            State::Satisfied | State::Waived => Style::Good,
            State::Deferred
            | State::Missing
            | State::Failed
            | State::Unsatisfiable
            | State::Error => Style::Warning,
        };
        let rule = printable(&judged.rule);
        lines.push(format!("  {} {}", output.style(style, &rule), printable(&judged.detail)));
    }
    lines
}

fn print_json(context: &Context, signed: &Signed, person: &str, fingerprint: &str) {
    let judgement = &signed.judgement;
    let approvals = judgement.verdict.obligations.iter().filter(|it| it.requirement == "approvals");
    let rules: Vec<_> = approvals
        .map(|it| json!({ "rule": it.rule, "state": it.state, "detail": it.detail }))
        .collect();
    let document = json!({
        "schema": "countersign.signed/1",
        "type": signed.record_type.word(),
        "record": signed.id,
        "person": person,
        "key": fingerprint,
        "target": judgement.target,
        "range": { "base": judgement.change.base.as_str(), "head": judgement.change.head.as_str() },
        "files": signed.files.iter().map(RepoPath::to_text).collect::<Vec<_>>(),
        "approvals": rules,
    });
    context.output.json(&format!("{document:#}"));
}

fn say_next(context: &Context, unpublished: bool) {
    if unpublished {
        let command = context.output.style(Style::Command, "countersign ledger sync");
        context.output.say(&format!("  next    {command}  (a push publishes it as well)"));
    }
}

fn only_text_and_json(context: &Context, command: &str) -> Result<(), Error> {
    match context.output.format {
        Format::Text | Format::Json => Ok(()),
        format @ (Format::Sarif
        | Format::Junit
        | Format::Github
        | Format::Gitlab
        | Format::Markdown
        | Format::Porcelain
        | Format::AgentTrace
        | Format::GitAi
        | Format::Jsonl) => Err(unsupported(format, command, "text and json")),
    }
}
