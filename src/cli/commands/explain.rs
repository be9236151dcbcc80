//! `countersign explain` and `countersign who-can`.

use std::collections::BTreeSet;

use serde_json::json;

use crate::cli::args::{self, Format};
use crate::cli::commands::check::{report, stage};
use crate::cli::exit::Exit;
use crate::cli::output::{Output, Style};
use crate::cli::report::json as json_report;
use crate::cli::{Context, unsupported};
use crate::gate::change::{LineRange, printable};
use crate::gate::coverage::measured::write_ranges;
use crate::gate::explain::{Explained, ExplainedRequirement, explain, who_can};
use crate::gate::order;
use crate::gate::requirement::coverage::FileNumbers;
use crate::gate::verdict::State;
use crate::jobs::Error;
use crate::jobs::ambient::Surroundings;
use crate::jobs::check::{Options, check};
use crate::jobs::world::World;

/// How many files a rule shows unless told to be verbose.
const MOST_FILES: usize = 5;

/// Judges the change and says why the verdict is what it is. The exit status
/// is 0 whatever the verdict: the question was why.
pub fn run(context: &Context, arguments: &args::Explain) -> Result<Exit, Error> {
    only_text_and_json(context, "explain")?;
    let world = World::open(&context.env)?;
    let options = Options {
        range: arguments.range.range.clone(),
        staged: arguments.staged,
        target: arguments.range.target.clone(),
        policy_from: arguments.range.policy_from.clone(),
        require_policy: false,
        stage: arguments.stage.map(stage),
        lines: true,
    };
    let judgement = check(&world, &options, &Surroundings::read(&context.env))?;
    let case = judgement.case();
    if let Some(rule) = &arguments.rule {
        let built_in = ["policy-change"]
            .into_iter()
            .chain(judgement.verdict.obligations.iter().map(|it| it.rule.as_str()));
        let known = case.policy.rules.iter().map(|it| it.id.as_str()).chain(built_in);
        let known: BTreeSet<&str> = order::set(known);
        if !known.contains(rule.as_str()) {
            let ids: Vec<&str> = known.into_iter().collect();
            return Err(Error::usage(format!("the policy has no rule `{}`", printable(rule)))
                .hint(format!("its rules are: {}", ids.join(", "))));
        }
    }
    let rules = explain(&case, &judgement.evidence, &judgement.verdict, arguments.rule.as_deref());
    if context.output.format == Format::Json {
        let mut document = json_report::render(&report(&judgement));
        document["schema"] = json!("countersign.explanation/1");
        document["rules"] = json!(rules);
        context.output.json(&format!("{document:#}"));
        return Ok(Exit::Passed);
    }
    crate::cli::report::text::print(&context.output, &report(&judgement), false);
    for rule in &rules {
        print_rule(&context.output, rule);
    }
    if rules.is_empty() {
        context.output.say("\n  the policy has no rules");
    }
    Ok(Exit::Passed)
}

/// Names the smallest sets of people who could satisfy what is missing.
pub fn who(context: &Context, arguments: &args::WhoCan) -> Result<Exit, Error> {
    only_text_and_json(context, "who-can")?;
    let world = World::open(&context.env)?;
    let options = Options {
        range: arguments.range.range.clone(),
        target: arguments.range.target.clone(),
        policy_from: arguments.range.policy_from.clone(),
        ..Options::default()
    };
    let judgement = check(&world, &options, &Surroundings::read(&context.env))?;
    let case = judgement.case();
    let (open, sets) = who_can(&case, &judgement.evidence, &judgement.obligations());
    if context.output.format == Format::Json {
        let document = json!({ "schema": "countersign.who-can/1", "missing": open, "sets": sets });
        context.output.json(&format!("{document:#}"));
        return Ok(Exit::Passed);
    }
    let output = &context.output;
    if open.is_empty() {
        output.say("no approval is missing");
        return Ok(Exit::Passed);
    }
    for it in &open {
        let rule = printable(&it.rule);
        output.say(&if it.people.is_empty() {
            format!("{rule}: {} more, and nobody could give it", it.needed)
        } else {
            format!("{rule}: {} more of: {}", it.needed, it.people.join(", "))
        });
    }
    match sets.as_slice() {
        [] => output
            .say("no set of people satisfies all of it; add people or keys to the policy's groups"),
        sets => {
            output.say("any of these is enough:");
            for set in sets {
                output.say(&format!("  {}", set.iter().cloned().collect::<Vec<_>>().join(" + ")));
            }
        }
    }
    Ok(Exit::Passed)
}

fn only_text_and_json(context: &Context, command: &str) -> Result<(), Error> {
    match context.output.format {
        Format::Text | Format::Json => Ok(()),
        Format::Sarif
        | Format::Junit
        | Format::Github
        | Format::Gitlab
        | Format::Markdown
        | Format::Porcelain
        | Format::AgentTrace
        | Format::GitAi
        | Format::Jsonl => Err(unsupported(context.output.format, command, "text and json")),
    }
}

fn print_rule(output: &Output, rule: &Explained) {
    let (word, style) =
        if rule.applies { ("applies", Style::Strong) } else { ("does not apply", Style::Faint) };
    output.say(&format!(
        "\nrule {} {}: {}",
        output.style(Style::Strong, &printable(&rule.rule)),
        output.style(style, word),
        printable(&rule.because)
    ));
    if let Some(why) = rule.why.as_ref().filter(|_| rule.applies) {
        output.say(&format!("  why: {}", printable(why)));
    }
    let shown = if output.verbose { usize::MAX } else { MOST_FILES };
    for file in rule.files.iter().take(shown) {
        let pattern = file
            .pattern
            .as_ref()
            .map_or("every path".to_owned(), |it| format!("`{}`", printable(it)));
        output.say(&format!("  file {} ← {pattern}", printable(&file.path)));
    }
    if rule.files.len() > shown {
        output
            .say(&format!("  … and {} more files (--verbose shows all)", rule.files.len() - shown));
    }
    for condition in &rule.conditions {
        let mark = if condition.holds { "holds" } else { "does not hold" };
        output.say(&format!(
            "  when {} {mark}: {}",
            printable(&condition.condition),
            printable(&condition.met)
        ));
    }
    for requirement in &rule.requirements {
        print_requirement(output, requirement);
    }
}

fn print_requirement(output: &Output, requirement: &ExplainedRequirement) {
    let style = match requirement.state {
        State::Satisfied => Style::Good,
        State::Waived | State::Deferred => Style::Warning,
        State::Missing | State::Failed | State::Unsatisfiable | State::Error => Style::Bad,
    };
    let state = output.style(style, state(requirement.state));
    output.say(&format!(
        "  {}: {state}: {}",
        requirement.requirement,
        printable(&requirement.detail)
    ));
    for record in &requirement.records {
        let counts = if record.counts { "counts" } else { "does not count" };
        let reason =
            record.reason.as_ref().map(|it| format!(": {}", printable(it))).unwrap_or_default();
        let id = record.id.get(..12).unwrap_or(&record.id);
        output.say(&format!("    record {id} by {} {counts}{reason}", printable(&record.by)));
    }
    for file in &requirement.coverage {
        output.say(&format!("    {}", coverage(file)));
    }
    if let Some(next) = requirement.next.as_ref().filter(|_| requirement.state > State::Waived) {
        output.say(&format!("    next: {}", output.style(Style::Command, &printable(next))));
    }
}

/// The assisted lines of one file: how many are executed, and which are not.
fn coverage(file: &FileNumbers) -> String {
    let missed: u64 = file.missed.iter().map(LineRange::lines).sum();
    let unmeasured: u64 = file.unmeasured.iter().map(LineRange::lines).sum();
    let mut text = format!(
        "{}: {} covered, {missed} missed, {unmeasured} unmeasured, {} without code",
        file.path.to_display(),
        file.covered,
        file.excluded
    );
    if missed > 0 {
        text.push_str(&format!("; missed: {}", write_ranges(&file.missed)));
    }
    if unmeasured > 0 {
        text.push_str(&format!("; unmeasured: {}", write_ranges(&file.unmeasured)));
    }
    if let Some(reason) = &file.reason {
        text.push_str(&format!(" ({})", printable(reason)));
    }
    text
}

/// The word of a state, as reports have it.
pub fn state(state: State) -> &'static str {
    match state {
        State::Satisfied => "satisfied",
        State::Waived => "waived",
        State::Deferred => "deferred",
        State::Missing => "missing",
        State::Failed => "failed",
        State::Unsatisfiable => "unsatisfiable",
        State::Error => "error",
    }
}
