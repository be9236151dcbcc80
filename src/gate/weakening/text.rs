//! One side of a file, line by line: its tests, assertions, skips and silenced lints.

use std::collections::{HashMap, HashSet};

use super::Sides;
use super::strength::{self, Strength};
use crate::gate::language::{Languages, Mark};

/// A line: its number from 1, and its text without the space around it.
pub type Line<'a> = (u64, &'a str);

/// A test: from the line that begins it to the next test.
#[derive(Clone, Debug)]
pub struct Test<'a> {
    pub name: String,
    pub line: u64,
    /// The words of its lines, without those of its name.
    pub words: HashSet<&'a str>,
}

/// A text, taken apart.
#[derive(Debug, Default)]
pub struct Text<'a> {
    pub tests: Vec<Test<'a>>,
    /// With the name of the test that each stands in.
    pub assertions: Vec<(Line<'a>, Option<String>)>,
    /// How much each of them asks, by its line.
    pub strengths: HashMap<u64, Strength>,
    pub skips: Vec<Line<'a>>,
    pub focus: Vec<Line<'a>>,
    pub lints: Vec<Line<'a>>,
}

impl<'a> Text<'a> {
    /// Takes a side of a file apart. In a file that is no test, tests begin
    /// with the first that is marked as one. `before`: it is the old side.
    pub fn read(sides: &Sides<'_>, text: &'a str, before: bool) -> Text<'a> {
        let languages = Languages::built_in();
        let mut read = Text::default();
        let Some(language) = languages.of(&sides.kind) else { return read };
        let all: Vec<&'a str> = text.lines().map(str::trim).collect();
        let mut end: Option<&str> = None;
        for (number, line) in (1..).zip(&all) {
            let line: &'a str = line;
            let bears = |mark: Mark| language.bears(mark, line);
            if line.is_empty() {
                continue;
            }
            // Some silence a lint from within a comment.
            if bears(Mark::Lint) {
                read.lints.push((number, line));
            }
            if let Some(closing) = end {
                if line.contains(closing) {
                    end = None;
                }
                continue;
            }
            if let Some((opening, closing)) = language.block(line) {
                if !line[opening.len()..].contains(closing) {
                    end = Some(closing);
                }
                continue;
            }
            if language.is_comment(line) {
                continue;
            }
            if bears(Mark::Test) {
                let name = name(&all, number as usize - 1);
                let repeated =
                    read.tests.last().is_some_and(|it| it.name == name && number < it.line + 6);
                if !repeated {
                    read.tests.push(Test { name, line: number, words: HashSet::new() });
                }
            }
            if !sides.is_test && read.tests.is_empty() {
                continue;
            }
            if let Some(test) = read.tests.last_mut() {
                let words = line.split(|it: char| !it.is_alphanumeric() && it != '_');
                let words = words.filter(|it| it.len() > 2 && *it != test.name);
                test.words
                    .extend(words.filter(|it| !it.starts_with(|it: char| it.is_ascii_digit())));
            }
            if bears(Mark::Assertion) || languages.asserts_by_name(line) {
                let test = read.tests.last().map(|it| it.name.clone());
                read.assertions.push(((number, line), test));
                let whole = strength::whole(&all[number as usize - 1..]);
                read.strengths.insert(number, strength::strength(language, &whole, before));
            }
            if bears(Mark::Skip) {
                read.skips.push((number, line));
            }
            if bears(Mark::Focus) {
                read.focus.push((number, line));
            }
        }
        read
    }
}

/// The name of the test that begins at a line: what is quoted, else what stands
/// before the first parenthesis (of a macro in capitals: within it). Of
/// attributes alone, that of the line after them.
fn name(lines: &[&str], at: usize) -> String {
    let mut rest = "";
    for line in lines[at..].iter().take(12) {
        rest = without_attributes(line);
        if !rest.is_empty() {
            break;
        }
    }
    let quotes = ['"', '\'', '`'];
    if let Some(from) = rest.find(quotes) {
        let quote = &rest[from..from + 1];
        let quoted = &rest[from + 1..];
        return quoted[..quoted.find(quote).unwrap_or(quoted.len())].to_owned();
    }
    let (before, within) = rest.split_once('(').unwrap_or((rest, ""));
    let mut word = before.split(|it: char| !it.is_alphanumeric() && it != '_' && it != '$');
    let word = word.rfind(|it| !it.is_empty()).unwrap_or(before);
    let is_macro = !word.chars().any(char::is_lowercase) && !within.is_empty();
    if is_macro { within.trim_end_matches(['{', ' ', ')']).to_owned() } else { word.to_owned() }
}

/// A line without the attributes at its beginning.
fn without_attributes(line: &str) -> &str {
    let mut rest = line.trim();
    loop {
        let after = if let Some(rest) = rest.strip_prefix('@') {
            let word = rest.find(|it: char| !it.is_alphanumeric() && !matches!(it, '.' | '_'));
            let after = &rest[word.unwrap_or(rest.len())..];
            if after.starts_with('(') { past_closing(after) } else { after }
        } else if rest.starts_with("#[") || rest.starts_with('[') {
            past_closing(rest)
        } else {
            return rest;
        };
        rest = after.trim_start();
    }
}

/// What stands after the bracket that closes the first one.
fn past_closing(text: &str) -> &str {
    let mut depth = 0usize;
    for (at, character) in text.char_indices() {
        match character {
            '(' | '[' => depth += 1,
            ')' | ']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return &text[at + 1..];
                }
            }
            _ => {}
        }
    }
    ""
}
