//! A preview as people see it: what disappears, where, first.

use std::fmt::Write;

use super::{Action, Preview, Row};
use crate::gate::change::printable;

/// How many rows with the same action, type and attributes stand on a line of their own.
const ALIKE: usize = 6;

/// One line: `3 deletes, 1 create in 3 places`. Safe to print.
pub fn summary(preview: &Preview) -> String {
    let counts = &preview.counts;
    let mut parts = Vec::new();
    for action in Action::ALL {
        let count = counts.of(*action);
        if count > 0 {
            let plural = if count == 1 || *action == Action::Unknown { "" } else { "s" };
            parts.push(format!("{count} {}{plural}", action.word()));
        }
    }
    if counts.uncertain > 0 {
        parts.push(format!("{} of them with a result not known before", counts.uncertain));
    }
    if parts.is_empty() {
        return "nothing would change".to_owned();
    }
    let places = if counts.places == 1 { "place" } else { "places" };
    let mut text = format!("{} in {} {places}", parts.join(", "), counts.places);
    if preview.rows.iter().any(|row| row.place.is_none()) {
        text.push_str(" (not all named by the plan)");
    }
    text
}

/// Rows to show, at most `most`: what disappears first, and of many alike a few.
fn shown(preview: &Preview, most: usize) -> (Vec<&Row>, u64) {
    let mut rows = Vec::new();
    let mut alike: Option<(&Row, usize)> = None;
    for row in &preview.rows {
        let same = |other: &Row| other.action == row.action && other.kind == row.kind;
        alike = match alike {
            Some((first, count)) if same(first) => Some((first, count + 1)),
            Some(_) | None => Some((row, 1)),
        };
        let few = alike.is_none_or(|(_, count)| count <= ALIKE) || preview.rows.len() <= most;
        if few && rows.len() < most {
            rows.push(row);
        }
    }
    let hidden = preview.omitted + (preview.rows.len() - rows.len()) as u64;
    (rows, hidden)
}

/// The table of a terminal, without colours: the summary, then at most `most`
/// rows. Safe to print.
pub fn table(name: &str, preview: &Preview, most: usize) -> String {
    let mut text = format!("{}: {}\n", printable(name), summary(preview));
    for why in &preview.partial {
        let _ = writeln!(text, "  NOT THE WHOLE CHANGE: {}", printable(why));
    }
    let (rows, hidden) = shown(preview, most);
    let width = |of: fn(&Row) -> &str| {
        rows.iter().map(|row| printable(of(row)).chars().count()).max().unwrap_or(0)
    };
    let (kinds, addresses) = (width(|row| &row.kind), width(|row| &row.address));
    let words = rows.iter().map(|row| row.action.word().len()).max().unwrap_or(0);
    for row in &rows {
        let line = format!(
            "  {:words$}  {:kinds$}  {:addresses$}  {}{}",
            row.action.word(),
            printable(&row.kind),
            printable(&row.address),
            printable(row.place.as_deref().unwrap_or("(place not named)")),
            printable(&aside(row)),
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    if hidden > 0 {
        let _ = writeln!(text, "  and {hidden} more");
    }
    for (what, addresses) in notes(preview) {
        let _ = writeln!(text, "  {}", printable(&format!("{what}, not counted: {addresses}")));
    }
    text
}

/// The same for a pull request.
pub fn markdown(name: &str, preview: &Preview, most: usize) -> String {
    let mut text = format!("**{}**: {}\n", cell(name), cell(&summary(preview)));
    for why in &preview.partial {
        let _ = writeln!(text, "\n**Not the whole change:** {}", cell(why));
    }
    let (rows, hidden) = shown(preview, most);
    if !rows.is_empty() {
        text.push_str("\n| action | type | address | place |\n|---|---|---|---|\n");
    }
    for row in rows {
        let action = match row.action {
            Action::Delete
            | Action::Replace
            | Action::Forget
            | Action::Unknown
            | Action::Removal => {
                format!("**{}**", row.action.word())
            }
            Action::Update | Action::Create => row.action.word().to_owned(),
        };
        let place = row.place.as_deref().unwrap_or("not named");
        let _ = writeln!(
            text,
            "| {action}{} | {} | {} | {} |",
            cell(&aside(row)),
            cell(&row.kind),
            cell(&row.address),
            cell(place)
        );
    }
    if hidden > 0 {
        let _ = writeln!(text, "\nand {hidden} more");
    }
    for (what, addresses) in notes(preview) {
        let _ = writeln!(text, "\n{}, not counted: {}", cell(what), cell(&addresses));
    }
    text
}

fn aside(row: &Row) -> String {
    let mut parts = row.paths.clone();
    parts.extend(row.reason.clone());
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}

/// Drift, moves and imports, each with the first few addresses.
fn notes(preview: &Preview) -> Vec<(&str, String)> {
    let mut kinds: Vec<&str> = preview.notes.iter().map(|note| note.what.as_str()).collect();
    kinds.dedup();
    kinds.sort_unstable();
    kinds.dedup();
    let line = |what: &'_ str| {
        let of: Vec<&str> = preview
            .notes
            .iter()
            .filter(|note| note.what == what)
            .map(|note| note.address.as_str())
            .collect();
        let mut text = of.iter().take(3).copied().collect::<Vec<_>>().join(", ");
        if of.len() > 3 {
            let _ = write!(text, " and {} more", of.len() - 3);
        }
        text
    };
    kinds.into_iter().map(|what| (what, line(what))).collect()
}

/// Text of an engine's output in a table of markdown: nothing in it is markup.
fn cell(text: &str) -> String {
    let mut escaped = String::new();
    for character in printable(text).chars() {
        if character.is_ascii_punctuation() && !matches!(character, '.' | ',' | '-' | ':' | '/') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}
