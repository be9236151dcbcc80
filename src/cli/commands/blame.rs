//! `countersign blame`.

use serde_json::{Value, json};

use crate::cli::args::{self, Format};
use crate::cli::exit::Exit;
use crate::cli::output::{Output, Style};
use crate::cli::{Context, unsupported};
use crate::gate::blame::Matched;
use crate::gate::change::{printable, unsafe_for_terminals};
use crate::gate::signal::Strength;
use crate::gate::time::Timestamp;
use crate::jobs::Error;
use crate::jobs::blame::{AnnotatedCommit, AnnotatedLine, Blame, Options, Row, blame};
use crate::jobs::world::World;

/// How much of a session's name is shown to people.
const SESSION: usize = 8;

/// Blames a file and prints it.
pub fn run(context: &Context, arguments: &args::Blame) -> Result<Exit, Error> {
    let output = &context.output;
    let format = if arguments.porcelain { Format::Porcelain } else { output.format };
    if !matches!(format, Format::Text | Format::Json | Format::Porcelain) {
        return Err(unsupported(format, "blame", "text, json and porcelain"));
    }
    let options = Options {
        file: arguments.file.clone(),
        revision: arguments.rev.clone(),
        lines: arguments.lines.clone(),
    };
    let blame = blame(&World::open(&context.env)?, &options)?;
    for note in blame.notes.iter().filter(|_| !output.quiet) {
        output.note(&format!("{} {note}", output.note_style(Style::Warning, "note:")));
    }
    match format {
        Format::Json => output.json(&format!("{:#}", document(&blame))),
        Format::Porcelain => output.bytes(&porcelain(&blame)),
        _ => text(output, &blame),
    }
    Ok(Exit::Passed)
}

/// Prints git's columns, and in further ones what is known of the line. A
/// column that no line of the file fills is left out.
fn text(output: &Output, blame: &Blame) {
    let cells: Vec<Vec<String>> = blame.rows.iter().map(cells).collect();
    let width = |at: usize| {
        cells.iter().filter_map(|it| it.get(at)).map(|it| it.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..4).map(width).collect();
    let names: Vec<String> = blame.annotated.lines.iter().map(|it| author(blame, it)).collect();
    let name_width = names.iter().map(|it| it.chars().count()).max().unwrap_or(0);
    let last = blame.annotated.lines.last().map_or(0, |it| it.number);
    let number_width = last.to_string().len();
    let mut page = String::new();
    let rows = blame.annotated.lines.iter().zip(&names).zip(blame.rows.iter().zip(&cells));
    for ((line, name), (row, cells)) in rows {
        let boundary = commit(blame, line).is_some_and(|it| it.boundary);
        let id = &line.commit.as_str()[..if boundary { 7 } else { 8 }];
        let id = format!("{}{id}", if boundary { "^" } else { "" });
        let place = format!(
            "({name:<name_width$} {} {:>number_width$})",
            date(commit(blame, line)),
            line.number
        );
        let mut known = String::new();
        for (cell, width) in cells.iter().zip(&widths).filter(|(_, width)| **width > 0) {
            known.push_str(&format!(" {cell:<width$}"));
        }
        let known = match &row.mark {
            Some(mark) if mark.strength == Strength::Declared => {
                output.style(Style::Command, &known)
            }
            Some(_) => output.style(Style::Warning, &known),
            None => known,
        };
        let place = output.style(Style::Faint, &place);
        let row = format!("{id} {place}{known} {}", shown(&line.text));
        page.push_str(row.trim_end_matches(' '));
        page.push('\n');
    }
    output.data(&page);
}

/// Agent, session, strength, approval.
fn cells(row: &Row) -> Vec<String> {
    let mark = row.mark.as_ref();
    let agent = mark.map(|it| printable(&it.agent)).unwrap_or_default();
    let session = mark.and_then(|it| it.session.as_deref()).unwrap_or_default();
    let session = printable(session).chars().take(SESSION).collect();
    let strength = mark.map(|it| strength(it.strength).to_owned()).unwrap_or_default();
    let people: Vec<&str> = row.approved.iter().map(String::as_str).collect();
    let approved = match people.is_empty() {
        true => String::new(),
        false => format!("approved:{}", printable(&people.join(","))),
    };
    vec![agent, session, strength, approved]
}

fn strength(strength: Strength) -> &'static str {
    match strength {
        Strength::Ambient => "ambient",
        Strength::Recorded => "recorded",
        Strength::Declared => "declared",
    }
}

fn commit<'a>(blame: &'a Blame, line: &AnnotatedLine) -> Option<&'a AnnotatedCommit> {
    blame.annotated.commits.get(&line.commit)
}

fn author(blame: &Blame, line: &AnnotatedLine) -> String {
    match line.commit.is_zero() {
        true => "Not Committed Yet".to_owned(),
        false => printable(commit(blame, line).map(|it| it.author.as_str()).unwrap_or_default()),
    }
}

/// `2026-11-23 08:00:00 +0200`, in the author's own zone.
fn date(commit: Option<&AnnotatedCommit>) -> String {
    let (time, zone) = commit.map_or((0, "+0000"), |it| (it.author_time, it.author_zone.as_str()));
    let local = Timestamp(time.saturating_add(offset(zone))).to_string();
    let local = local.trim_end_matches('Z').replace('T', " ");
    format!("{local} {}", printable(zone))
}

/// The seconds that a zone written as `+0530` is ahead.
fn offset(zone: &str) -> i64 {
    let Ok(number) = zone.parse::<i64>() else { return 0 };
    (number / 100 * 60 + number % 100) * 60
}

/// A line of the file, safe for a terminal; tabulators stay.
fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let text = text.strip_suffix('\r').unwrap_or(&text);
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' => safe.push('\t'),
            it if unsafe_for_terminals(it) => safe.extend(it.escape_unicode()),
            it => safe.push(it),
        }
    }
    safe
}

fn document(blame: &Blame) -> Value {
    let lines = blame.annotated.lines.iter().zip(&blame.rows);
    let lines: Vec<Value> = lines.map(|(line, row)| line_json(blame, line, row)).collect();
    json!({
        "schema": "countersign.blame/1",
        "file": blame.path.to_text(),
        "rev": blame.revision.as_ref().map(|it| it.as_str()),
        "lines": lines,
    })
}

fn line_json(blame: &Blame, line: &AnnotatedLine, row: &Row) -> Value {
    let of = commit(blame, line);
    let mark = row.mark.as_ref();
    json!({
        "line": line.number,
        "commit": (!line.commit.is_zero()).then(|| line.commit.as_str()),
        "author": author(blame, line),
        "email": of.map(|it| it.author_mail.trim_matches(['<', '>'])),
        "time": of.map(|it| Timestamp(it.author_time).to_string()),
        "summary": of.map(|it| it.summary.as_str()),
        "boundary": of.is_some_and(|it| it.boundary),
        "original": { "path": line.path.to_text(), "line": line.original },
        "agent": mark.map(|it| it.agent.as_str()),
        "session": mark.and_then(|it| it.session.as_deref()),
        "model": mark.and_then(|it| it.model.as_deref()),
        "strength": mark.map(|it| strength(it.strength)),
        "matched": mark.map(|it| it.matched),
        "approved": row.approved,
        "text": String::from_utf8_lossy(&line.text),
    })
}

/// git's own porcelain, with further headers before each line's text.
fn porcelain(blame: &Blame) -> Vec<u8> {
    let mut page = Vec::new();
    let mut told = std::collections::BTreeSet::new();
    for (line, row) in blame.annotated.lines.iter().zip(&blame.rows) {
        let place = format!("{} {} {}\n", line.commit, line.original, line.number);
        page.extend_from_slice(place.as_bytes());
        if told.insert(&line.commit) {
            for header in commit(blame, line).iter().flat_map(|it| &it.headers) {
                page.extend_from_slice(header);
                page.push(b'\n');
            }
        }
        page.extend_from_slice(format!("filename {}\n", line.path.to_display()).as_bytes());
        for (name, value) in headers(row) {
            page.extend_from_slice(
                format!("countersign-{name} {}\n", printable(&value)).as_bytes(),
            );
        }
        page.push(b'\t');
        page.extend_from_slice(&line.text);
        page.push(b'\n');
    }
    page
}

fn headers(row: &Row) -> Vec<(&'static str, String)> {
    let mut headers = Vec::new();
    if let Some(mark) = &row.mark {
        headers.push(("agent", mark.agent.clone()));
        headers.extend(mark.session.clone().map(|it| ("session", it)));
        headers.extend(mark.model.clone().map(|it| ("model", it)));
        headers.push(("strength", strength(mark.strength).to_owned()));
        headers.push(("matched", matched(mark.matched).to_owned()));
    }
    headers.extend(row.approved.iter().map(|it| ("approved", it.clone())));
    headers
}

fn matched(matched: Matched) -> &'static str {
    match matched {
        Matched::Exact => "exact",
        Matched::Reformatted => "reformatted",
        Matched::Content => "content",
        Matched::Note => "note",
        Matched::Mark => "mark",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_stand_in_the_authors_zone() {
        let of = |zone: &str| AnnotatedCommit {
            author_time: 1_760_000_000,
            author_zone: zone.to_owned(),
            ..AnnotatedCommit::default()
        };
        assert_eq!(date(Some(&of("+0000"))), "2025-10-09 08:53:20 +0000");
        assert_eq!(date(Some(&of("+0530"))), "2025-10-09 14:23:20 +0530");
        assert_eq!(date(Some(&of("-0330"))), "2025-10-09 05:23:20 -0330");
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown_and_not_obeyed() {
        assert_eq!(shown(b"\tlet a = 1;\r"), "\tlet a = 1;");
        assert_eq!(shown(b"\x1b[2Ja\xff"), "\\u{1b}[2Ja\u{fffd}");
        assert_eq!(shown("a\u{202e}b".as_bytes()), "a\\u{202e}b");
    }
}
