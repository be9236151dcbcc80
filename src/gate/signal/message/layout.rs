//! The shape of a message: what is indented, folded, decorated or a heading.

use super::LABELS;
use super::claim::strip_words;

/// Takes emoji, bullets and emphasis from both ends of a line.
pub(super) fn undecorated(line: &str) -> &str {
    let start = line.trim_start_matches(|it: char| {
        !it.is_alphanumeric()
            && !matches!(it, '<' | '[' | '#' | '`' | '"' | '\'' | '>' | '|' | '(' | '@' | '$' | '/')
    });
    start.trim_end_matches(['*', '_', ' '])
}

pub(super) fn is_heading(line: &str) -> bool {
    let title = line.trim_start_matches('#');
    title.len() < line.len()
        && LABELS.iter().any(|label| {
            strip_words(title.trim().trim_matches('*'), label)
                .is_some_and(|rest| rest.trim_end_matches(':').is_empty())
        })
}

/// Whether a line holds literal `\n` that were meant as line breaks, and not as code.
pub(super) fn holds_newlines(line: &str, one_line: bool) -> bool {
    // Looking for one byte is much the fastest; almost every line ends here.
    let Some(at) = line.find('\\').and_then(|_| line.find("\\n")) else { return false };
    let paragraph = line.find("\\n\\n");
    let before = &line[..paragraph.unwrap_or(at)];
    one_line
        || (paragraph.is_some()
            && !line.contains('"')
            && before.matches('`').count().is_multiple_of(2))
}

/// Whether every line that is not blank is indented.
pub(super) fn is_indented(message: &str) -> bool {
    message.starts_with([' ', '\t'])
        && message.lines().all(|line| line.is_empty() || line.starts_with([' ', '\t']))
}

/// Whether every line after the subject is indented, over several paragraphs:
/// one alone may be shown by a person.
pub(super) fn has_indented_body(message: &str) -> bool {
    let mut lines = message.lines().skip_while(|line| line.trim().is_empty()).skip(1);
    let mut paragraphs = 0;
    let mut open = false;
    let indented = lines.all(|line| {
        let blank = line.trim().is_empty();
        paragraphs += usize::from(!blank && !open);
        open = !blank;
        blank || line.starts_with([' ', '\t'])
    });
    indented && paragraphs > 1
}

pub(super) fn line_at(message: &str, start: usize) -> &str {
    let rest = &message[start..];
    rest.find('\n').map_or(rest, |at| &rest[..=at])
}

/// The length of the continuation lines at `start`.
pub(super) fn continuation(message: &str, start: usize) -> usize {
    let mut at = start;
    while at < message.len() {
        let line = line_at(message, at);
        if !line.starts_with([' ', '\t']) || line.trim().is_empty() {
            break;
        }
        at += line.len();
    }
    at - start
}
