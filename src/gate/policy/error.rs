//! What is wrong with a policy file, and where.

use std::fmt;
use std::ops::Range;

use super::super::change::printable;
use super::super::similarity::nearest;

/// Why a policy file is refused: the file, the place with its line, and what
/// could be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// The file, as the caller named it.
    pub from: String,
    /// One line, lower case.
    pub message: String,
    /// `None` where the file as a whole is refused.
    pub place: Option<Place>,
    /// What to do about it, if there is something to say.
    pub help: Option<String>,
}

/// A place in a text, counted from 1; columns count characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    pub column: usize,
    /// The whole line, safe to print.
    pub text: String,
    /// Number of characters that are meant, at least 1.
    pub width: usize,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = printable(&self.from);
        match &self.place {
            None => write!(formatter, "{from}: {}", self.message)?,
            Some(place) => {
                let Place { line, column, text, width } = place;
                let margin = " ".repeat(line.to_string().len());
                let (indent, caret) = (" ".repeat(column - 1), "^".repeat(*width));
                write!(
                    formatter,
                    "{from}:{line}:{column}: {}\n{margin} |\n{line} | {text}\n{margin} | {indent}{caret}",
                    self.message
                )?;
            }
        }
        match &self.help {
            Some(help) => write!(formatter, "\nhint: {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for PolicyError {}

impl PolicyError {
    /// An error about the whole file.
    pub fn whole(from: &str, message: impl Into<String>) -> PolicyError {
        PolicyError { from: from.to_owned(), message: message.into(), place: None, help: None }
    }

    /// The same, with what to do about it.
    pub fn help(mut self, help: impl Into<String>) -> PolicyError {
        self.help = Some(help.into());
        self
    }

    /// The same, with the word that was probably meant.
    pub fn meant<'a>(
        self,
        word: &str,
        known: impl IntoIterator<Item = &'a str> + Clone,
    ) -> PolicyError {
        if let Some(near) = nearest(word, known.clone()) {
            return self.help(format!("did you mean `{}`?", printable(near)));
        }
        let known = known.into_iter().map(|it| format!("`{}`", printable(it))).collect::<Vec<_>>();
        match known.as_slice() {
            [] => self,
            some if some.len() <= 12 => self.help(format!("expected one of {}", some.join(", "))),
            _ => self,
        }
    }
}

/// The text under judgment, for saying where something stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    pub(super) from: &'a str,
    pub(super) text: &'a str,
}

impl Text<'_> {
    /// An error about a range of bytes.
    pub(super) fn error(self, span: Range<usize>, message: impl Into<String>) -> PolicyError {
        PolicyError { place: self.place(span), ..PolicyError::whole(self.from, message) }
    }

    /// Turns a message of the TOML parser or of serde into ours.
    pub(super) fn toml_error(self, error: &toml::de::Error) -> PolicyError {
        let message = error.message().trim_end().replace('\n', "; ");
        let place = error.span().and_then(|span| self.place(span));
        let words = ticked(&message);
        let unknown = |what: &str| message.starts_with(what) && words.len() > 1;
        let (plain, known) = if unknown("unknown field") {
            (format!("unknown key `{}`", printable(words[0])), &words[1..])
        } else if unknown("unknown variant") {
            (format!("unknown word `{}`", printable(words[0])), &words[1..])
        } else if let ("missing field", [field]) =
            (message.get(..13).unwrap_or(""), words.as_slice())
        {
            (format!("the key `{field}` is missing"), &words[..0])
        } else {
            (printable(&message), &words[..0])
        };
        let error = PolicyError { place, ..PolicyError::whole(self.from, plain) };
        match known {
            [] => error,
            [one] if words.len() == 2 => error.help(format!("expected `{one}`")),
            _ => error.meant(words[0], known.iter().copied()),
        }
    }

    fn place(self, span: Range<usize>) -> Option<Place> {
        let start = floor(self.text, span.start);
        let before = &self.text[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line_text = self.text[line_start..].lines().next().unwrap_or("");
        let end = floor(self.text, span.end)
            .clamp(start, line_start + line_text.len().max(start - line_start));
        // A very long line is cut, so that one error stays one screen.
        let text = line_text.chars().take(200).collect::<String>();
        let column = before[line_start..].chars().count() + 1;
        let width =
            self.text[start..end].chars().count().clamp(1, 201usize.saturating_sub(column).max(1));
        Some(Place {
            line: before.matches('\n').count() + 1,
            column,
            text: one_column_each(&text),
            width,
        })
    }
}

/// Replaces what a terminal must not see by one character each, so that the
/// caret stays below its word.
fn one_column_each(text: &str) -> String {
    let safe = |it: char| match it {
        '\t' => ' ',
        it if super::super::change::unsafe_for_terminals(it) => '\u{fffd}',
        it => it,
    };
    text.chars().map(safe).collect()
}

fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The words that stand in back-ticks.
fn ticked(message: &str) -> Vec<&str> {
    message.split('`').skip(1).step_by(2).collect()
}
