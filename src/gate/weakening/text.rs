//! One side of a file, line by line: its tests, assertions, skips and silenced lints.

use std::collections::HashSet;

use super::Sides;
use super::strength::{self, Strength};
use crate::gate::language::{Language, Languages, Mark};

/// A line: its number from 1, and its text without the space around it.
pub type Line<'a> = (u64, &'a str);

/// A test: from the line that begins it to the next test.
#[derive(Clone, Debug)]
pub struct Test {
    pub name: String,
    pub line: u64,
}

/// A text, taken apart.
#[derive(Debug, Default)]
pub struct Text<'a> {
    pub tests: Vec<Test>,
    /// With the number of the test that each stands in.
    pub assertions: Vec<(Line<'a>, Option<usize>)>,
    pub skips: Vec<Line<'a>>,
    pub focus: Vec<Line<'a>>,
    pub lints: Vec<Line<'a>>,
    /// All lines, without the space around them.
    lines: Vec<&'a str>,
    /// Those of tests that are neither blank nor comments.
    code: Vec<Line<'a>>,
    language: Option<&'static Language>,
    before: bool,
}

impl<'a> Text<'a> {
    /// Takes a side of a file apart. In a file that is no test, tests begin
    /// with the first that is marked as one. `before`: it is the old side.
    pub fn read(sides: &Sides<'_>, text: &'a str, before: bool) -> Text<'a> {
        let Some(language) = Languages::built_in().of(&sides.kind) else { return Text::default() };
        let lines = text.lines().map(str::trim).collect();
        let mut read = Text { lines, language: Some(language), before, ..Text::default() };
        let marks = language.marks(text);
        let mut end: Option<&str> = None;
        for (number, line) in (1..).zip(&read.lines) {
            let line: &'a str = line;
            if line.is_empty() {
                continue;
            }
            let may_bear = marks.may_bear(line);
            let bears = |mark| may_bear && marks.bears(mark, line);
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
            if let Some((opening, closing)) = language.block(line).filter(|_| may_bear) {
                if !line[opening.len()..].contains(closing) {
                    end = Some(closing);
                }
                continue;
            }
            if may_bear && marks.is_comment(line) {
                continue;
            }
            if bears(Mark::Test) {
                let name = name(&read.lines, number as usize - 1);
                let repeated =
                    read.tests.last().is_some_and(|it| it.name == name && number < it.line + 6);
                if !repeated {
                    read.tests.push(Test { name, line: number });
                }
            }
            if !sides.is_test && read.tests.is_empty() {
                continue;
            }
            read.code.push((number, line));
            if bears(Mark::Assertion) {
                read.assertions.push(((number, line), read.tests.len().checked_sub(1)));
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

    /// How much the assertion on this line asks.
    pub fn strength(&self, line: u64) -> Option<Strength> {
        let whole = strength::whole(self.lines.get(line as usize - 1..)?);
        Some(strength::strength(self.language?, &whole, self.before))
    }

    /// The words of a test's lines, without those of its name.
    pub fn words(&self, test: &Test) -> HashSet<&'a str> {
        let end = self.tests.iter().map(|it| it.line).find(|it| *it > test.line);
        let from = self.code.partition_point(|it| it.0 < test.line);
        let to = self.code.partition_point(|it| end.is_none_or(|end| it.0 < end));
        let lines = self.code[from..to].iter();
        let words = lines.flat_map(|it| it.1.split(|it: char| !it.is_alphanumeric() && it != '_'));
        words
            .filter(|it| it.len() > 2 && *it != test.name)
            .filter(|it| !it.starts_with(|it: char| it.is_ascii_digit()))
            .collect()
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
