//! Thresholds of test tools (how much coverage is enough): which went down, or
//! are gone.

use std::collections::BTreeMap;

use super::{Kind, Sides, Weakened};
use crate::gate::language::Languages;

/// A setting of a file: the line it stands on, and its number in thousandths.
type Setting = (u64, u64);

/// What a text sets, by the word, in order.
type Settings = BTreeMap<&'static str, Vec<Setting>>;

/// The thresholds that ask for less than before.
pub fn loosened(files: &[&Sides<'_>]) -> Vec<Weakened> {
    let mut found: Vec<Weakened> = Vec::new();
    for (row, threshold) in Languages::built_in().thresholds().iter().enumerate() {
        let of_file: Vec<(&Sides<'_>, [Settings; 2])> = files
            .iter()
            .filter(|it| threshold.files.matches(it.path))
            .map(|it| (*it, [it.old, it.new].map(|text| settings(row, text))))
            .collect();
        // What moved from one file to another is not gone.
        let mut spare: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, [old, new]) in &of_file {
            for (word, now) in new {
                let before = old.get(word).map_or(0, Vec::len);
                *spare.entry(word).or_default() += now.len().saturating_sub(before);
            }
        }
        for (file, [old, new]) in of_file.iter().filter(|it| it.0.is_assisted) {
            for (word, before) in old {
                let now = new.get(word).map(Vec::as_slice).unwrap_or_default();
                for ((_, old), (line, new)) in before.iter().zip(now) {
                    let looser = if threshold.more { new > old } else { new < old };
                    if looser {
                        let what =
                            format!("`{word}` went from {} to {}", written(*old), written(*new));
                        push(
                            &mut found,
                            Weakened {
                                kind: Kind::Loss,
                                path: file.path.clone(),
                                line: Some(*line),
                                what,
                            },
                        );
                    }
                }
                let fewer = before.len().saturating_sub(now.len());
                let spare = spare.entry(word).or_default();
                if fewer > *spare {
                    let line = (!file.new.is_empty()).then_some(1);
                    let what = format!("`{word}` is set no more");
                    push(
                        &mut found,
                        Weakened { kind: Kind::Loss, path: file.path.clone(), line, what },
                    );
                }
                *spare = spare.saturating_sub(fewer);
            }
        }
    }
    found
}

/// Two rows may be about the same word of the same file.
fn push(found: &mut Vec<Weakened>, new: Weakened) {
    if !found.contains(&new) {
        found.push(new);
    }
}

fn settings(row: usize, text: &str) -> Settings {
    let mut settings = Settings::new();
    let threshold = &Languages::built_in().thresholds()[row];
    if !threshold.near.is_empty() && !threshold.near.iter().any(|it| text.contains(it.as_str())) {
        return settings;
    }
    for (number, line) in (1..).zip(text.lines()) {
        let trimmed = line.trim_start();
        if trimmed.starts_with('#') || trimmed.starts_with("//") || trimmed.starts_with("<!--") {
            continue;
        }
        for word in &threshold.words {
            for (at, _) in line.match_indices(word.as_str()) {
                let (before, after) = (&line[..at], &line[at + word.len()..]);
                let is_part =
                    |it: Option<char>| it.is_some_and(|it| it.is_alphanumeric() || it == '_');
                // `--x-y` is an option of its own, and no `y`.
                let is_longer = before.ends_with('-')
                    && is_part(before.trim_end_matches('-').chars().next_back())
                    && !before.ends_with("--");
                if is_longer || is_part(before.chars().next_back()) || is_part(after.chars().next())
                {
                    continue;
                }
                if let Some(value) = value(after) {
                    settings.entry(word).or_default().push((number, value));
                }
            }
        }
    }
    settings
}

/// The number that is given after a word, in thousandths.
fn value(text: &str) -> Option<u64> {
    let between = |it: char| it.is_whitespace() || "\"'`=:>({|,".contains(it);
    let number = text.trim_start_matches(between);
    let end = number.find(|it: char| !it.is_ascii_digit() && it != '.').unwrap_or(number.len());
    let (whole, part) = number[..end].split_once('.').unwrap_or((&number[..end], ""));
    let part: String = part.chars().chain("000".chars()).take(3).collect();
    let whole: u64 = whole.parse().ok()?;
    whole.checked_mul(1000)?.checked_add(part.parse().ok()?)
}

fn written(thousandths: u64) -> String {
    let (whole, part) = (thousandths / 1000, thousandths % 1000);
    if part == 0 {
        return whole.to_string();
    }
    format!("{whole}.{}", format!("{part:03}").trim_end_matches('0'))
}
