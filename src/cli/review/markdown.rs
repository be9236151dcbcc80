//! A review as markdown, for a comment on a pull request. What stands in the
//! repository is put into code, where it is neither markup nor a mention.

use std::fmt::Write;

use super::page::{summary, written};
use crate::cli::commands::explain::state;
use crate::gate::change::printable;
use crate::gate::review::{FileBody, Hunk, Review, ReviewedFile, Side};

/// How many lines of one file's hunks are shown.
const MOST_LINES: usize = 400;

/// How much is shown in all, in bytes: forges take a little more (GitHub
/// 65,536 characters).
const MOST_BYTES: usize = 60_000;

/// The whole page.
pub fn render(review: &Review) -> String {
    let mut text = String::new();
    let verdict = if review.passes { "passes" } else { "is blocked" };
    let _ = writeln!(
        text,
        "### {} for {} {verdict}\n\n{}\n",
        code(&review.range),
        code(&review.target),
        code(&summary(review))
    );
    for commit in &review.commits {
        let marks: Vec<String> = commit.marks.iter().map(|it| code(it)).collect();
        let marks =
            if marks.is_empty() { String::new() } else { format!(" by {}", marks.join(", ")) };
        let _ = writeln!(text, "- {} {}{marks}", commit.id.short(), code(&commit.subject));
    }
    if !review.rules.is_empty() {
        text.push_str("\n| rule | why | asks for | stands |\n|---|---|---|---|\n");
    }
    for rule in &review.rules {
        for it in &rule.requirements {
            let why = rule.why.as_deref().map(cell).unwrap_or_default();
            let stands = format!("{}: {}", state(it.state), cell(&it.detail));
            let _ =
                writeln!(text, "| {} | {why} | {} | {stands} |", cell(&rule.id), it.requirement);
        }
    }
    for preview in &review.previews {
        let _ = write!(text, "\n{}", fenced("text", preview));
    }
    let mut left = 0;
    for file in &review.files {
        let part = part(file);
        if text.len() + part.len() > MOST_BYTES {
            left += 1;
            let _ = writeln!(text, "\n#### {}\n\n{}", code(&file.path.to_display()), facts(file));
        } else {
            text.push_str(&part);
        }
    }
    if left > 0 {
        let _ = writeln!(text, "\nThe lines of {left} files are not shown here: too many.");
    }
    text
}

fn part(file: &ReviewedFile) -> String {
    let mut text = format!("\n#### {}\n\n{}", code(&file.path.to_display()), facts(file));
    let hunks = match (&file.since, &file.body) {
        (Some(since), _) => {
            let _ =
                writeln!(text, "- only what changed since {} approved it:", code(&since.person));
            &since.hunks
        }
        (None, FileBody::Hunks(hunks)) => hunks,
        (None, FileBody::Note(why)) => {
            let _ = writeln!(text, "- {}", code(why));
            return text;
        }
    };
    let lines: Vec<String> = hunks.iter().flat_map(lines).collect();
    let shown = &lines[..lines.len().min(MOST_LINES)];
    let _ = write!(text, "\n{}", fenced("diff", &(shown.join("\n") + "\n")));
    if lines.len() > shown.len() {
        let _ = writeln!(text, "\nand {} more lines", lines.len() - shown.len());
    }
    text
}

fn facts(file: &ReviewedFile) -> String {
    let mut text = String::new();
    let decided = if file.covered { "an earlier approval covers it" } else { "to be reviewed" };
    let _ = writeln!(text, "- +{} -{}, {decided}", file.added, file.removed);
    if file.assisted {
        let agents: Vec<String> = file.agents.iter().map(|it| code(it)).collect();
        let count = file.assisted_added;
        let _ = writeln!(text, "- {count} of the added lines by {}", agents.join(", "));
    }
    for it in &file.rules {
        let why = it.why.as_deref().map(|it| format!(": {}", code(it))).unwrap_or_default();
        let _ = writeln!(text, "- rule {}{why}", code(&it.rule));
    }
    for it in &file.earlier {
        let how = match (it.covers, it.carried) {
            (true, true) => "approved it, and that merges cleanly into this",
            (true, false) => "approved exactly this",
            (false, _) => "approved other content of it",
        };
        let _ = writeln!(text, "- {} {how}, {}", code(&it.person), it.at);
    }
    text
}

fn lines(hunk: &Hunk) -> Vec<String> {
    let written = written(hunk);
    let by = if written.is_empty() { written } else { format!(" {written}") };
    let mut lines = vec![format!("{}{by}", hunk.header())];
    for line in &hunk.lines {
        let sign = match line.side {
            Side::Kept => ' ',
            Side::Removed => '-',
            Side::Added => '+',
        };
        lines.push(format!("{sign}{}", line.text()));
        if line.unended {
            lines.push("\\ No newline at end of file".to_owned());
        }
    }
    lines
}

/// The longest run of back-ticks.
fn longest_run(text: &str) -> usize {
    text.split(|it| it != '`').map(str::len).max().unwrap_or(0)
}

/// Text as a span of code: no markup, no mention, no link.
fn code(text: &str) -> String {
    let text = printable(text);
    let fence = "`".repeat(longest_run(&text) + 1);
    let beside =
        if text.starts_with('`') || text.ends_with('`') || text.is_empty() { " " } else { "" };
    format!("{fence}{beside}{text}{beside}{fence}")
}

/// The same in a table, where a bar would end the cell even within code.
fn cell(text: &str) -> String {
    code(text).replace('|', "\\|")
}

/// Lines in a fence that none of them can end.
fn fenced(language: &str, text: &str) -> String {
    let fence = "`".repeat(longest_run(text).max(2) + 1);
    format!("{fence}{language}\n{text}{fence}\n")
}
