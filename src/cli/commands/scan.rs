//! Prints what the commits of a range say about themselves.

use super::sessions;
use crate::cli::args::{Format, Scan};
use crate::cli::exit::Exit;
use crate::cli::output::{Output, Style};
use crate::cli::{Context, unsupported};
use crate::gate::change::printable;
use crate::gate::order;
use crate::jobs::scan::{self, Row, Summary, Which};
use crate::jobs::{Error, ErrorKind};

/// Lines are printed together once there are this many bytes of them.
const CHUNK: usize = 64 << 10;

/// Scans; a commit a row, then (as text) a summary. Never blocks.
pub fn run(context: &Context, arguments: &Scan) -> Result<Exit, Error> {
    if arguments.sessions {
        return sessions::run(context);
    }
    let which = match (&arguments.range, arguments.all) {
        (_, true) => Which::All,
        (Some(range), false) => Which::Range(range.clone()),
        (None, false) => Which::Head,
    };
    match context.output.format {
        Format::Text => text(context, &which)?,
        Format::Json => json(context, &which)?,
        Format::Sarif
        | Format::Junit
        | Format::Github
        | Format::Gitlab
        | Format::Markdown
        | Format::Porcelain
        | Format::AgentTrace
        | Format::GitAi
        | Format::Jsonl => {
            return Err(unsupported(context.output.format, "scan", "text and json"));
        }
    }
    Ok(Exit::Passed)
}

fn json(context: &Context, which: &Which) -> Result<(), Error> {
    let mut lines = String::new();
    let mut failure = None;
    scan::run(&context.env, which, &mut |row| match serde_json::to_string(&row) {
        Ok(line) => {
            lines.push_str(&line);
            lines.push('\n');
            flush(&context.output, &mut lines, CHUNK);
        }
        Err(error) => failure = Some(error),
    })?;
    flush(&context.output, &mut lines, 0);
    failure.map_or(Ok(()), |error| Err(Error::new(ErrorKind::Internal, error)))
}

fn text(context: &Context, which: &Which) -> Result<(), Error> {
    let output = &context.output;
    let mut lines = String::new();
    let summary = scan::run(&context.env, which, &mut |row| {
        if !output.quiet {
            row_text(output, &row, &mut lines);
            flush(output, &mut lines, CHUNK);
        }
    })?;
    flush(output, &mut lines, 0);
    summarise(output, &summary);
    Ok(())
}

fn flush(output: &Output, lines: &mut String, at: usize) {
    if lines.len() > at {
        output.data(lines);
        lines.clear();
    }
}

fn row_text(output: &Output, row: &Row, lines: &mut String) {
    let (year, month, day) = row.committed.date();
    let agents = if row.agents.is_empty() { "-".to_owned() } else { row.agents.join(",") };
    let agents = format!("{agents:<16}");
    let agents = if row.assisted { output.style(Style::Warning, &agents) } else { agents };
    let subject: String = printable(&row.subject).chars().take(72).collect();
    lines.push_str(&format!(
        "{} {year:04}-{month:02}-{day:02} {agents} {subject}\n",
        &row.commit[..12]
    ));
    if output.verbose {
        for signal in &row.signals {
            let kind = format!("{:?}", signal.kind).to_lowercase();
            let missed = match signal.in_trailer_block {
                Some(false) => " (git sees no trailer there)",
                Some(true) | None => "",
            };
            let value = printable(&signal.value);
            lines.push_str(&format!("    {} {kind}: {value}{missed}\n", signal.agent));
        }
    }
}

fn summarise(output: &Output, summary: &Summary) {
    let Summary { commits, assisted, agents, months } = summary;
    if !output.quiet && *commits > 0 {
        output.say("");
    }
    let noun = if *commits == 1 { "commit" } else { "commits" };
    let total = format!("{commits} {noun}, {assisted} assisted ({})", percent(*assisted, *commits));
    output.say(&output.style(Style::Strong, &total));
    if *commits > *assisted {
        output.say("The others are unattributed: that a mark is absent proves nothing.");
    }
    if *assisted == 0 {
        return;
    }
    output.say("\nagent               commits");
    let mut agents: Vec<_> = agents.iter().collect();
    order::sort_by_key(&mut agents, |(_, count)| std::cmp::Reverse(**count));
    for (agent, count) in agents {
        output.say(&format!("{agent:<18} {count:>8}"));
    }
    output.say("\nmonth    commits  assisted");
    for ((year, month), (all, assisted)) in months {
        let share = percent(*assisted, *all);
        output.say(&format!("{year:04}-{month:02} {all:>8} {assisted:>9}  {share:>6}"));
    }
}

/// A share to a tenth of a percent.
fn percent(part: u64, whole: u64) -> String {
    let thousandths = (part * 1000 + whole / 2).checked_div(whole).unwrap_or(0);
    format!("{}.{} %", thousandths / 10, thousandths % 10)
}
