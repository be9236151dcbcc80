//! Names in a value, people's and agents'.

use super::super::catalogue::Catalogue;
use super::super::lexicon::{Class, Reading};

/// Whether a credit's name is an agent's: nothing but words of the trade, and
/// more than a word that could be a person's name.
pub(super) fn by_credit(reading: &Reading<'_>) -> bool {
    reading.pure
        && (reading.has(Class::Tool)
            || (reading.qualified && (reading.has(Class::Model) || reading.has(Class::Name))))
}

/// Agents whose name in brackets or behind a `+` may be a second person's, or
/// a nickname; and aider's brackets, which mean different things on authors and
/// committers.
pub(super) fn of_people(catalogue: &Catalogue, agent: usize) -> bool {
    is_first_name(catalogue, agent)
        || matches!(catalogue.id(agent), "aider" | "amp" | "cline" | "crush" | "mux" | "zed")
}

pub(super) fn is_first_name(catalogue: &Catalogue, agent: usize) -> bool {
    matches!(catalogue.id(agent), "devin" | "goose" | "jules" | "junie" | "kiro")
}

/// The people of a credit, with or without angle brackets; several may share a line.
pub(super) fn people(value: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = value;
    std::iter::from_fn(move || {
        let sign = rest.find('@')?;
        let edge = |it: char| it.is_whitespace() || matches!(it, '<' | '>' | ',' | ';' | '(' | ')');
        let start = rest[..sign]
            .rfind(edge)
            .map_or(0, |at| at + rest[at..].chars().next().map_or(1, char::len_utf8));
        let end = rest[sign..].find(edge).map_or(rest.len(), |at| sign + at);
        let name = rest[..start].trim_matches(|it: char| {
            it.is_whitespace() || matches!(it, '<' | '>' | '&' | ',' | ';')
        });
        let address = &rest[start..end];
        rest = &rest[end..];
        Some((name, address))
    })
}

/// The kernel's form, `AGENT:MODEL [TOOL…]`.
pub(super) fn agent_and_model(value: &str) -> Option<(&str, &str)> {
    let (agent, rest) = value.split_once(':')?;
    let plain = |it: char| it.is_alphanumeric() || matches!(it, ' ' | '.' | '_' | '-' | '/' | '+');
    let named = agent.starts_with(|it: char| it.is_alphabetic()) && agent.chars().all(plain);
    let short = agent.split_whitespace().count() <= 3;
    let first = rest.split_whitespace().next()?;
    let modelled = rest.starts_with(|it: char| it.is_alphanumeric())
        && first.chars().any(char::is_alphabetic) | first.contains('.')
        && !first.contains('@');
    if !(named && short && modelled) {
        return None;
    }
    // "Crush:AWS Claude Sonnet 4" names a model of several words.
    let whole = !first.contains(|it: char| it.is_ascii_digit())
        && rest.contains(|it: char| it.is_ascii_digit());
    Some((agent, if whole { rest.trim() } else { first }))
}

pub(super) fn lower_start(text: &str) -> String {
    text.chars().take(80).collect::<String>().to_lowercase()
}
