//! What is about to be signed, in the words of the record.

use crate::gate::change::{FileChange, printable};
use crate::gate::record::{FileDelta, Side};
use crate::jobs::approve::Draft;

/// The content, the rules, the note and the key, a line each; at most `most` files.
pub(super) fn lines(draft: &Draft, most: usize) -> Vec<String> {
    let content = draft.content();
    let mut lines: Vec<String> =
        content.files.iter().take(most).map(|file| listed(draft, file)).collect();
    if content.files.len() > most {
        let more = content.files.len() - most;
        lines.push(format!("  and {more} more files (--verbose shows all)"));
    }
    let rules = match draft.rules() {
        [] => "every rule".to_owned(),
        rules => printable(&rules.join(", ")),
    };
    lines.push(format!("  target  {} of {}", printable(&content.target), printable(&content.repo)));
    lines.push(format!("  rules   {rules}"));
    if let Some(note) = draft.note() {
        lines.push(format!("  note    {}", printable(note)));
    }
    lines.push(format!("  by      {} ({})", draft.hand.person, draft.hand.fingerprint));
    lines
}

/// `100644 1234567890ab → 100644 ba0987654321 src/a.rs (+1 -1, assisted)`
fn listed(draft: &Draft, file: &FileDelta) -> String {
    let side = |it: &Option<Side>| {
        it.as_ref().map_or("nothing".to_owned(), |it| format!("{:06o} {}", it.mode, it.oid.short()))
    };
    let is_this = |it: &&FileChange| it.path == file.path;
    let counts = draft.judgement.change.files.iter().find(is_this).map(|it| {
        let assisted = draft.judgement.attribution.file(&it.path).assisted;
        let mark = if assisted { ", assisted" } else { "" };
        format!(" (+{} -{}{mark})", it.added_lines(), it.removed)
    });
    let path = file.path.to_display();
    format!("  {} → {} {path}{}", side(&file.old), side(&file.new), counts.unwrap_or_default())
}
