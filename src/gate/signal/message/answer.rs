//! What a value says: yes, no, or something about work.

use super::people::lower_start;

/// Whether a statement says that no agent had a part.
pub(super) fn denies(value: &str) -> bool {
    const FIRST: &[&str] = &[
        "no", "none", "n/a", "na", "not", "never", "nope", "false", "0", "nil", "without",
        "nothing", "zero", "0%",
    ];
    const WITHIN: &[&str] = &[
        "no ai",
        "no llm",
        "not use",
        "not been use",
        "not generated",
        "not written",
        "without ai",
        "without the use",
        "without any",
        "wasn't",
        "weren't",
        "didn't",
        "did not",
        "was not used",
        "were not used",
        "not involve",
        "no use of",
    ];
    let lower = lower_start(value);
    let first = lower
        .split(|it: char| it.is_whitespace() || matches!(it, '.' | ',' | ';' | '!' | ':'))
        .next();
    first.is_none_or(|it| {
        FIRST.contains(&it) || it.is_empty() || it.chars().all(|it| !it.is_alphanumeric())
    }) || WITHIN.iter().any(|it| lower.contains(it))
}

pub(super) fn affirms(value: &str) -> bool {
    const FIRST: &[&str] = &[
        "yes",
        "y",
        "true",
        "1",
        "partially",
        "partly",
        "fully",
        "mostly",
        "entirely",
        "assisted",
        "generated",
        "significant",
        "substantial",
        "moderate",
        "minor",
        "minimal",
        "high",
        "low",
        "medium",
        "tool",
    ];
    let lower = lower_start(value);
    let first = lower.split(|it: char| !it.is_alphanumeric()).next().unwrap_or_default();
    FIRST.contains(&first) || lower.contains('%')
}

/// Whether a sentence tells who did the work.
pub(super) fn tells_of_work(value: &str) -> bool {
    const WORK: &[&str] = &[
        "written",
        "generated",
        "created",
        "assisted",
        "drafted",
        "authored",
        "help of",
        "i used",
        "made with",
        "used to",
        "wrote",
        "implemented by",
        "produced",
    ];
    let lower = value.to_lowercase();
    WORK.iter().any(|it| lower.contains(it))
}

pub(super) fn names_a_person(rest: &str) -> bool {
    rest.strip_prefix(' ').is_some_and(|it| it.starts_with(char::is_uppercase))
}
