//! Writes a first policy.

use crate::cli::Context;
use crate::cli::args::Init;
use crate::cli::exit::Exit;
use crate::cli::output::Style;
use crate::cli::prompt;
use crate::gate::change::printable;
use crate::gate::policy::{FILE_NAME, Policy};
use crate::gate::proposal::Proposal;
use crate::jobs::Error;
use crate::jobs::init::{Prospect, look, write};

/// Proposes, asks where somebody is there to answer, and writes.
pub fn run(context: &Context, arguments: &Init) -> Result<Exit, Error> {
    let mut prospect = look(&context.env)?;
    if !arguments.yes && prompt::is_possible(&context.env) {
        ask(&mut prospect.proposal)?;
        if !prompt::confirm(&format!("Write {FILE_NAME}?"))? {
            context.output.say("nothing was written");
            return Ok(Exit::Blocked);
        }
    }
    write(&prospect)?;
    report(context, &prospect);
    Ok(Exit::Passed)
}

fn ask(proposal: &mut Proposal) -> Result<(), Error> {
    let target = |answer: &str| one_line(&format!("[trust]\ntarget = {}", quote(answer)));
    proposal.target = prompt::text("Branch on which changes land", &proposal.target, target)?;
    let repo_id = |answer: &str| one_line(&format!("[trust]\nrepo_id = {}", quote(answer)));
    proposal.repo_id =
        prompt::text("Name of the repository in approvals", &proposal.repo_id, repo_id)?;
    if !proposal.people.is_empty() {
        let shown = proposal.people.iter().map(|it| {
            let keys = if it.keys.is_empty() { "no key yet" } else { "has a key" };
            printable(&format!("{} <{}> ({keys})", it.name, it.emails.join(", ")))
        });
        let kept = prompt::choose("Who may approve", &shown.collect::<Vec<_>>())?;
        keep(&mut proposal.people, &kept);
    }
    if !proposal.tests.is_empty() {
        let shown =
            proposal.tests.iter().map(|it| printable(&format!("{} ({})", it.run, it.because)));
        let kept =
            prompt::choose("Tests that assisted changes must pass", &shown.collect::<Vec<_>>())?;
        keep(&mut proposal.tests, &kept);
    }
    Ok(())
}

fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Lets the policy's own parser judge an answer.
fn one_line(text: &str) -> Result<(), String> {
    Policy::parse(text, FILE_NAME).map(|_| ()).map_err(|error| match error.help {
        Some(help) => format!("{}; {help}", error.message),
        None => error.message,
    })
}

fn keep<T>(items: &mut Vec<T>, kept: &[usize]) {
    let mut position = 0;
    items.retain(|_| {
        position += 1;
        kept.contains(&(position - 1))
    });
}

fn report(context: &Context, prospect: &Prospect) {
    let output = &context.output;
    let proposal = &prospect.proposal;
    output.say(&format!(
        "{} {}",
        output.style(Style::Good, "countersign: wrote"),
        printable(&prospect.path.to_string_lossy())
    ));
    if output.quiet {
        return;
    }
    let people = proposal.people.iter().map(|it| it.id.as_str()).collect::<Vec<_>>().join(", ");
    let tests = proposal.tests.iter().map(|it| it.run.as_str()).collect::<Vec<_>>().join(", ");
    let or_none = |text: String| if text.is_empty() { "none found".to_owned() } else { text };
    let solo = if proposal.is_solo() { " (solo: self-attested)" } else { "" };
    output.say(&format!("  target   {}", printable(&proposal.target)));
    output.say(&format!("  people   {}{solo}", or_none(people)));
    output.say(&format!("  tests    {}", or_none(tests)));
    let mode =
        if proposal.is_ready() { "enforce" } else { "observe, until enough people have keys" };
    output.say(&format!("  mode     {mode}"));
    // The file itself says it for each of them.
    let mut without_keys = proposal.without_keys();
    if let Some(person) = without_keys.next() {
        output.say("");
        for line in person.key_instructions() {
            output.say(&format!("  {line}"));
        }
        let others: Vec<&str> = without_keys.map(|it| it.id.as_str()).collect();
        if !others.is_empty() {
            output.say(&format!("  likewise {}", printable(&others.join(", "))));
        }
    }
    output.say("\nRead it, then:");
    for command in prospect.next() {
        output.say(&format!("  {}", output.style(Style::Command, &printable(&command))));
    }
    if !prospect.is_on_target() {
        output.say(&format!("It takes effect once it is on {}.", printable(&proposal.target)));
    }
}
