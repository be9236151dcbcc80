//! What `mutmut junitxml` of mutmut 2 prints: a test case for each mutant, which
//! fails where the mutant survived. Asked with `--untested-policy=error`; otherwise
//! a mutant that was never tried looks like a killed one.

use super::{Fate, Mutant, lines};

/// One `<testcase>`: its attributes, and the message of what it holds.
#[derive(Clone, Debug, Default)]
pub struct Row {
    pub name: String,
    pub file: String,
    pub line: String,
    /// The element that it holds, and its message.
    pub outcome: Option<(String, String)>,
    /// What stands in it: the mutant as a diff.
    pub text: String,
}

/// The mutant that a row tells of.
pub fn mutant(row: &Row) -> Option<Mutant> {
    let fate = match &row.outcome {
        None => Fate::Killed,
        Some((_, message)) if message.contains("timeout") => Fate::TimedOut,
        Some((_, message)) if message.contains("untested") => Fate::Untried,
        Some((element, _)) if element == "failure" => Fate::Survived,
        Some(_) => Fate::Unusable,
    };
    let place = lines(row.line.parse().ok()?, None);
    // The diff tells more than the number.
    let added =
        row.text.lines().find_map(|it| it.strip_prefix('+').filter(|it| !it.starts_with("++")));
    let what = added.map_or_else(|| row.name.clone(), |it| it.trim().to_owned());
    Some(Mutant { file: row.file.clone(), place, what, fate })
}
