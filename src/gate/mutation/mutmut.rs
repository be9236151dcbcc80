//! What `mutmut junitxml` prints: a test case for each mutant, which fails where
//! the mutant survived.

use super::{Fate, Mutant};

/// One `<testcase>`: its attributes, and the message of what it holds.
#[derive(Clone, Debug, Default)]
pub struct Row {
    pub name: String,
    pub file: String,
    pub line: String,
    /// The element that it holds, and its message.
    pub outcome: Option<(String, String)>,
}

/// The mutant that a row tells of.
pub fn mutant(row: &Row) -> Option<Mutant> {
    let fate = match &row.outcome {
        None => Fate::Killed,
        Some((_, message)) if message.contains("timeout") => Fate::TimedOut,
        Some((element, _)) if element == "failure" => Fate::Survived,
        Some(_) => Fate::Unusable,
    };
    let line = row.line.parse().ok()?;
    Some(Mutant { file: row.file.clone(), line, what: row.name.clone(), fate })
}
