//! Words, lists and patterns, wherever they stand.

use std::collections::BTreeSet;
use std::time::Duration;

use toml::Spanned;

use super::super::error::{PolicyError, Text};
use super::super::file::{self, Word};
use super::super::*;
use super::Reader;
use crate::gate::change::printable;
use crate::gate::order;
use crate::gate::time::parse_length;

impl Reader<'_> {
    pub(super) fn count(self, count: Option<&Spanned<u64>>) -> Result<usize, PolicyError> {
        let Some(count) = count else { return Ok(1) };
        match usize::try_from(*count.get_ref()) {
            Ok(number @ 1..=1000) => Ok(number),
            Ok(_) | Err(_) => {
                Err(self.error(count.span(), "`count` is at least 1 and at most 1000"))
            }
        }
    }

    pub(super) fn accept(
        self,
        list: Option<&Spanned<Vec<Accept>>>,
    ) -> Result<BTreeSet<Accept>, PolicyError> {
        match list {
            Some(list) if list.get_ref().is_empty() => {
                Err(self.error(list.span(), "no result would ever count"))
            }
            Some(list) => Ok(order::set(list.get_ref().iter().copied())),
            None => Ok(BTreeSet::new()),
        }
    }

    pub(super) fn length(self, word: &Word) -> Result<Duration, PolicyError> {
        match parse_length(word.get_ref()) {
            Some(length) if !length.is_zero() => Ok(length),
            Some(_) | None => Err(self
                .error(word.span(), "this is no length of time")
                .help("write it as `90s`, `10m`, `24h`, `30d` or `2w`")),
        }
    }

    pub(super) fn words(self, words: &Spanned<file::Words>) -> Result<Vec<String>, PolicyError> {
        let list = match words.get_ref() {
            file::Words::List(list) => list.clone(),
            file::Words::Text(text) => shlex::split(text).ok_or_else(|| {
                self.error(words.span(), "a quotation in this command does not end")
            })?,
        };
        if list.first().is_none_or(String::is_empty) {
            return Err(self.error(words.span(), "this command has no program"));
        }
        if list.iter().any(|word| word.contains('\0')) {
            return Err(self.error(words.span(), "a command cannot hold a NUL character"));
        }
        Ok(list)
    }

    /// A dry run is about one root, whatever packages there are.
    pub(super) fn words_of_preview(
        self,
        words: &Spanned<file::Words>,
    ) -> Result<Vec<String>, PolicyError> {
        let list = self.words(words)?;
        if list.iter().any(|it| packages::is_placeholder(it)) {
            return Err(self.error(words.span(), "a preview has no `{packages}`"));
        }
        Ok(list)
    }

    pub(super) fn paths(self, paths: &file::Paths) -> Result<Vec<String>, PolicyError> {
        paths.0.iter().map(|it| self.path(it)).collect()
    }

    /// A path below the repository's root.
    pub(super) fn path(self, word: &Word) -> Result<String, PolicyError> {
        let path = word.get_ref();
        let bad = |part: &str| matches!(part, "" | ".." | ".git");
        let trimmed = path.strip_suffix('/').unwrap_or(path);
        if trimmed.split('/').any(bad) || path.contains(['\0', '\\']) {
            let message = format!("`{}` is no path below the root", printable(path));
            return Err(self.error(word.span(), message));
        }
        Ok(trimmed.to_owned())
    }

    pub(super) fn globs_below(self, words: &[Word]) -> Result<Globs, PolicyError> {
        globs(self.text, words)?;
        Globs::below(self.folder, &plain(words))
            .map_err(|error| PolicyError::whole(self.text.from, error.to_string()))
    }
}

/// Compiles patterns; an error stands at the pattern that is wrong.
pub(super) fn globs(text: Text<'_>, words: &[Word]) -> Result<Globs, PolicyError> {
    for word in words {
        Globs::new(std::slice::from_ref(word.get_ref()))
            .map_err(|error| text.error(word.span(), error.to_string()))?;
    }
    Globs::new(&plain(words)).map_err(|error| PolicyError::whole(text.from, error.to_string()))
}

pub(super) fn plain(words: &[Word]) -> Vec<String> {
    words.iter().map(|it| it.get_ref().clone()).collect()
}

/// Names stand in reports, record files and commands, so they are one plain
/// word; `:` is kept for the names of nested policies.
pub(super) fn name(text: Text<'_>, word: &Word, what: &str) -> Result<String, PolicyError> {
    let name = word.get_ref();
    let plain = |it: char| it.is_alphanumeric() || "._-+@".contains(it);
    if name.is_empty()
        || name.starts_with('-')
        || name.chars().count() > 100
        || !name.chars().all(plain)
    {
        let message = format!("{what} is named by letters, digits and `.`, `_`, `-`, `+`, `@`");
        return Err(text.error(word.span(), message));
    }
    Ok(name.clone())
}

pub(super) fn variable(text: Text<'_>, word: &Word) -> Result<(), PolicyError> {
    let name = word.get_ref();
    let valid = |it: &str| {
        it.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && it.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if valid(name) { Ok(()) } else { Err(text.error(word.span(), "this is no name of a variable")) }
}
