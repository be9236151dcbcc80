//! Checks and shows policies.

use crate::cli::Context;
use crate::cli::args::{Format, Policy as Arguments, PolicyFile};
use crate::cli::exit::Exit;
use crate::cli::output::Style;
use crate::gate::change::printable;
use crate::gate::examples::{Tried, try_all};
use crate::gate::policy::compare::{Direction, compare};
use crate::gate::policy::lint::LintFinding;
use crate::gate::policy::{resolved, schema};
use crate::gate::verdict::Level;
use crate::jobs::policy::{Source, allowed_signers, check, read};
use crate::jobs::{Error, ErrorKind};

/// Runs one of the `policy` commands.
pub fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Error> {
    match arguments {
        Arguments::Lint(file) => lint(context, file),
        Arguments::Show { file, allowed_signers: true } => {
            let text = allowed_signers(&context.env, &source(file))?;
            context.output.data(&text);
            Ok(Exit::Passed)
        }
        Arguments::Show { file, allowed_signers: false } => show(context, file),
        Arguments::Schema => {
            context.output.data(&pretty(&schema::schema())?);
            Ok(Exit::Passed)
        }
        Arguments::Test(file) => test(context, file),
        Arguments::Diff { old, new } => diff(context, old, new),
    }
}

/// Says what changed between two revisions of the policy. The exit status is 0
/// whatever it is: whether a loosening may land, `check` decides.
fn diff(context: &Context, old: &str, new: &str) -> Result<Exit, Error> {
    let at = |revision: &str| read(&context.env, &Source::Revision(revision.to_owned()));
    let differences = compare(&at(old)?.policy, &at(new)?.policy);
    let output = &context.output;
    if output.format == Format::Json {
        let report = serde_json::json!({ "schema": "countersign.policy-diff/1", "differences": differences });
        output.data(&pretty(&report)?);
        return Ok(Exit::Passed);
    }
    for it in &differences {
        let (style, word) = match it.direction {
            Direction::Tightened => (Style::Good, "tightened"),
            Direction::Loosened => (Style::Bad, "loosened"),
            Direction::CannotTell => (Style::Warning, "cannot tell (counts as loosened)"),
        };
        output.say(&format!(
            "{}: {}: {}",
            printable(&it.what),
            output.style(style, word),
            it.detail
        ));
    }
    if differences.is_empty() {
        output.say("nothing that decides is different");
    }
    Ok(Exit::Passed)
}

fn source(file: &PolicyFile) -> Source {
    match (&file.file, &file.policy_from) {
        (Some(path), _) => Source::File(path.clone()),
        (None, Some(revision)) => Source::Revision(revision.clone()),
        (None, None) => Source::WorkTree,
    }
}

fn lint(context: &Context, file: &PolicyFile) -> Result<Exit, Error> {
    let (policy, findings) = check(&context.env, &source(file))?;
    let wrong = findings.iter().filter(|it| it.level > Level::Note).count();
    let output = &context.output;
    if output.format == Format::Json {
        let report = serde_json::json!({
            "schema": "countersign.lint/1",
            "policy": { "from": policy.source.from, "sha256": policy.source.sha256 },
            "findings": findings,
        });
        output.data(&pretty(&report)?);
    } else {
        let shown = |it: &&LintFinding| !output.quiet || it.level > Level::Note;
        for finding in findings.iter().filter(shown) {
            let (style, word) = match finding.level {
                Level::Note => (Style::Faint, "note"),
                Level::Warn => (Style::Warning, "warning"),
                Level::Block => (Style::Bad, "error"),
            };
            let head = output.style(style, &format!("{word}[{}]", finding.code.as_str()));
            output.say(&format!("{head} {}: {}", printable(&finding.place), finding.message));
        }
        if !output.quiet {
            output.say(&summary(&policy.source.from, wrong));
        }
    }
    Ok(if wrong == 0 { Exit::Passed } else { Exit::Blocked })
}

fn summary(from: &str, wrong: usize) -> String {
    let from = printable(from);
    match wrong {
        0 => format!("{from}: no mistakes found"),
        1 => format!("{from}: 1 mistake"),
        several => format!("{from}: {several} mistakes"),
    }
}

fn show(context: &Context, file: &PolicyFile) -> Result<Exit, Error> {
    let policy = read(&context.env, &source(file))?.policy;
    if context.output.format == Format::Json {
        context.output.data(&pretty(&resolved::resolved(&policy))?);
    } else {
        context.output.data(&resolved::outline(&policy));
    }
    Ok(Exit::Passed)
}

fn test(context: &Context, file: &PolicyFile) -> Result<Exit, Error> {
    let policy = read(&context.env, &source(file))?.policy;
    let tried = try_all(&policy);
    let wrong = tried.iter().filter(|it| !it.differences().is_empty()).count();
    let output = &context.output;
    if output.format == Format::Json {
        let rows = tried.iter().map(|it| {
            serde_json::json!({
                "name": it.example.name,
                "rules": it.rules,
                "verdict": if it.blocked { "block" } else { "pass" },
                "differences": it.differences(),
            })
        });
        let report = serde_json::json!({
            "schema": "countersign.examples/1",
            "policy": { "from": policy.source.from, "sha256": policy.source.sha256 },
            "examples": rows.collect::<Vec<_>>(),
        });
        output.data(&pretty(&report)?);
    } else {
        for it in &tried {
            report_example(context, it);
        }
        if !output.quiet {
            let from = printable(&policy.source.from);
            output.say(&format!(
                "{from}: {} of {} examples hold",
                tried.len() - wrong,
                tried.len()
            ));
        }
    }
    Ok(if wrong == 0 { Exit::Passed } else { Exit::Blocked })
}

fn report_example(context: &Context, tried: &Tried<'_>) {
    let output = &context.output;
    let name = printable(&tried.example.name);
    let differences = tried.differences();
    if differences.is_empty() {
        if !output.quiet {
            output.say(&format!("{} {name}", output.style(Style::Good, "holds")));
        }
        return;
    }
    output.say(&format!("{} {name}", output.style(Style::Bad, "fails")));
    for difference in differences {
        output.say(&format!("      {}", printable(&difference)));
    }
}

fn pretty(value: &serde_json::Value) -> Result<String, Error> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|error| Error::new(ErrorKind::Internal, error))
}
