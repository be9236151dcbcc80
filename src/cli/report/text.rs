//! A verdict for people: one screen, the verdict first, then what blocks,
//! where, by which rule, and the exact next command.

use super::Report;
use crate::cli::output::{Output, Style};
use crate::gate::change::{RepoPath, printable};
use crate::gate::order;
use crate::gate::policy::{Mode, Stage};
use crate::gate::verdict::{Code, Finding, Judged, Level, State};

/// How many findings and paths a screen holds before it says "and … more".
const MOST_FINDINGS: usize = 8;
const MOST_PATHS: usize = 4;
/// How many resources of infrastructure a finding names, and in how many columns.
const MOST_RESOURCES: usize = 6;
const MOST_COLUMNS: usize = 160;
/// How many lines of code, and how many of one place.
const MOST_LINES: usize = 14;
const MOST_OF_PLACE: usize = 6;

/// Prints the report. Where all is fine and `brief` is set, nothing is said.
pub fn print(output: &Output, report: &Report<'_>, brief: bool) {
    let verdict = report.verdict;
    let (places, shown): (Vec<&Finding>, Vec<&Finding>) =
        shown(output, report).into_iter().partition(|finding| finding.end_line.is_some());
    let only_notes = shown.iter().all(|finding| finding.level == Level::Note);
    if verdict.passes() && brief && only_notes && !output.verbose {
        return print_later(output, report);
    }
    output.say(&headline(output, report));
    output.say(&format!("  {}", summary(report)));
    let mut rule: Option<&str> = None;
    for finding in shown.iter().take(MOST_FINDINGS) {
        let again = rule.is_some() && rule == finding.rule.as_deref() && finding.path.is_none();
        print_finding(output, report, finding, again);
        if finding.path.is_none() {
            let of_rule = places
                .iter()
                .copied()
                .filter(|it| it.rule == finding.rule && is_about(finding.code, it.code));
            print_places(output, &of_rule.collect::<Vec<_>>());
        }
        rule = finding.rule.as_deref();
    }
    if shown.len() > MOST_FINDINGS {
        output.say(&format!("  … and {} more: `countersign explain`", shown.len() - MOST_FINDINGS));
    }
}

/// The headline of a verdict.
fn headline(output: &Output, report: &Report<'_>) -> String {
    let subject = printable(report.subject);
    let target = printable(report.target.strip_prefix("refs/heads/").unwrap_or(report.target));
    match (report.verdict.passes(), report.verdict.mode) {
        (true, _) => {
            format!("countersign: {} {subject} for {target}", output.style(Style::Good, "pass"))
        }
        (false, Mode::Enforce) => {
            format!("countersign: {} {subject} for {target}", output.style(Style::Bad, "BLOCKED"))
        }
        (false, Mode::Observe) => format!(
            "countersign: {} {subject} for {target} (the policy observes: nothing is enforced)",
            output.style(Style::Warning, "would block")
        ),
    }
}

/// How much of the change is assisted, and by which policy it was judged.
fn summary(report: &Report<'_>) -> String {
    let files = report.change.files.len();
    let agents = report.attribution.agents();
    let assisted = if report.attribution.assisted() {
        let names: Vec<String> = agents.keys().map(|name| printable(name)).collect();
        let count = report.attribution.files.values().filter(|file| file.assisted).count();
        format!("assisted by {} in {count} of {}", names.join(", "), counted(files, "file"))
    } else if files == 0 && report.change.commits.is_empty() {
        "the range is empty".to_owned()
    } else {
        format!("{}, no mark of an agent", counted(files, "file"))
    };
    format!("{assisted} · policy {}", printable(&short_policy(&report.policy.from)))
}

/// `<oid>:countersign.toml` with the id abbreviated.
fn short_policy(from: &str) -> String {
    match from.split_once(':') {
        Some((oid, path)) if oid.len() > 12 && oid.is_ascii() => format!("{}:{path}", &oid[..12]),
        Some(_) | None => from.to_owned(),
    }
}

/// `1 file`, `2 files`.
pub fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Findings by weight; notes only where they are asked for.
fn shown<'a>(output: &Output, report: &'a Report<'_>) -> Vec<&'a Finding> {
    let mut findings: Vec<&Finding> = report
        .verdict
        .findings
        .iter()
        .filter(|finding| finding.level > Level::Note || !output.quiet)
        .collect();
    order::sort_by_key(&mut findings, |finding| std::cmp::Reverse(finding.level));
    findings
}

/// What a passing change will be asked for later, in one line, and what the
/// first policy's author has to know.
fn print_later(output: &Output, report: &Report<'_>) {
    if output.quiet {
        return;
    }
    for finding in &report.verdict.findings {
        if finding.code == Code::PolicyFirst {
            output.say(&format!("countersign: {}", printable(&finding.message)));
        }
    }
    let later = report
        .verdict
        .obligations
        .iter()
        .filter(|judged| judged.state > State::Waived && judged.stage > report.verdict.stage);
    let mut asked: Vec<String> = Vec::new();
    for judged in later {
        let word = match judged.stage {
            Stage::Commit => "commit",
            Stage::Push => "push",
            Stage::Merge => "merge",
        };
        let text = format!("{} at {word} ({})", judged.requirement, printable(&judged.rule));
        if !asked.contains(&text) {
            asked.push(text);
        }
    }
    if !asked.is_empty() {
        let more = if asked.len() > MOST_FINDINGS { ", …" } else { "" };
        asked.truncate(MOST_FINDINGS);
        output.say(&format!("countersign: this change will need: {}{more}", asked.join(", ")));
    }
}

fn print_finding(output: &Output, report: &Report<'_>, finding: &Finding, again: bool) {
    let (word, style) = match finding.level {
        Level::Block => ("✗", Style::Bad),
        Level::Warn => ("!", Style::Warning),
        Level::Note => ("·", Style::Faint),
    };
    let rule =
        finding.rule.as_ref().map(|rule| format!("{}: ", printable(rule))).unwrap_or_default();
    output.say(&format!(
        "{}  {} {}{}  [{}]",
        if again { "" } else { "\n" },
        output.style(style, word),
        output.style(Style::Strong, &rule),
        printable(&finding.message),
        finding.code.as_str()
    ));
    if !again {
        if let Some(files) = files(report, finding) {
            output.say(&format!("      files: {files}"));
        }
        if let Some(why) = why(report, finding) {
            output.say(&format!("      why:   {why}"));
        }
    }
    print_resources(output, report, finding);
    if let Some(people) = people(report, finding) {
        output.say(&format!("      who:   {people}"));
    }
    if let Some(next) = &finding.next {
        output.say(&format!("      next:  {}", output.style(Style::Command, &printable(next))));
    }
}

/// What a preview does to which resource, one below the other.
fn print_resources(output: &Output, report: &Report<'_>, finding: &Finding) {
    if !matches!(finding.code, Code::PreviewOverLimit | Code::PreviewProtected) {
        return;
    }
    let of_it = |it: &&Judged| {
        Some(it.rule.as_str()) == finding.rule.as_deref() && !it.resources.is_empty()
    };
    let Some(judged) = report.verdict.obligations.iter().find(of_it) else { return };
    for (number, resource) in judged.resources.iter().take(MOST_RESOURCES).enumerate() {
        let label = if number == 0 { "does: " } else { "      " };
        let mut line: String = resource.chars().take(MOST_COLUMNS).collect();
        if line.len() < resource.len() {
            line.push('…');
        }
        output.say(&format!("      {label} {}", printable(&line)));
    }
    if judged.resources.len() > MOST_RESOURCES {
        let more = judged.resources.len() - MOST_RESOURCES;
        output.say(&format!("             … and {more} more: `countersign check --format json`"));
    }
}

/// Whether places of one code belong to a finding of another.
fn is_about(finding: Code, place: Code) -> bool {
    let coverage = |it: Code| matches!(it, Code::CoverageLow | Code::CoverageUnmeasured);
    finding == place || (coverage(finding) && coverage(place))
}

/// Lines of files as a difference shows them: those that no test executes, and
/// those that nothing measures.
fn print_places(output: &Output, places: &[&Finding]) {
    let mut left = MOST_LINES;
    let mut path: Option<&RepoPath> = None;
    for (number, place) in places.iter().enumerate() {
        if left == 0 {
            let more = places.len() - number;
            output.say(&format!("      … and {} more", counted(more, "place")));
            return;
        }
        if path != place.path.as_ref() {
            path = place.path.as_ref();
            let name = path.map(RepoPath::to_display).unwrap_or_default();
            output.say(&format!("      {}", output.style(Style::Strong, &name)));
        }
        let (start, end) = (place.line.unwrap_or(1), place.end_line.unwrap_or(1));
        let mark = if place.code == Code::CoverageUnmeasured { '?' } else { '-' };
        let room = left.min(MOST_OF_PLACE).min(place.excerpt.len());
        for (line, text) in (start..=end).zip(&place.excerpt).take(room) {
            let text = printable(text);
            output.say(&format!(
                "      {line:>6} {} {text}",
                output.style(Style::Bad, &mark.to_string())
            ));
        }
        let hidden = (end + 1).saturating_sub(start + room as u64);
        if hidden > 0 {
            let from = start + room as u64;
            output.say(&format!("      {from:>6} {mark} … to line {end}"));
        }
        left = left.saturating_sub(room.max(1));
    }
}

fn files(report: &Report<'_>, finding: &Finding) -> Option<String> {
    if let Some(path) = &finding.path {
        let line = finding.line.map(|line| format!(":{line}")).unwrap_or_default();
        return Some(format!("{}{line}", path.to_display()));
    }
    let rule = finding.rule.as_ref()?;
    let judged = report.verdict.obligations.iter().find(|it| &it.rule == rule)?;
    let mut names: Vec<String> =
        judged.files.iter().take(MOST_PATHS).map(RepoPath::to_display).collect();
    if judged.files.len() > MOST_PATHS {
        names.push(format!("and {} more", judged.files.len() - MOST_PATHS));
    }
    (!names.is_empty()).then(|| names.join(", "))
}

fn why(report: &Report<'_>, finding: &Finding) -> Option<String> {
    let rule = finding.rule.as_ref()?;
    let judged = report.verdict.obligations.iter().find(|it| &it.rule == rule)?;
    judged.why.as_ref().map(|why| printable(why))
}

fn people(report: &Report<'_>, finding: &Finding) -> Option<String> {
    let rule = finding.rule.as_ref()?;
    let missing =
        |it: &&Judged| &it.rule == rule && it.state == State::Missing && !it.people.is_empty();
    let judged = report.verdict.obligations.iter().find(missing)?;
    let asks = matches!(finding.code, Code::ApprovalMissing | Code::PolicyChange);
    (finding.level == Level::Block && asks).then(|| judged.people.join(", "))
}
