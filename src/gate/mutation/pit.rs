//! PIT's `mutations.xml`.

use super::{Fate, Mutant, lines};

/// One `<mutation>`: its status, and what stands in its elements.
#[derive(Clone, Debug, Default)]
pub struct Row {
    pub status: String,
    pub source_file: String,
    pub class: String,
    pub line: String,
    pub description: String,
}

/// The mutant that a row tells of. The file is named without its source folder.
pub fn mutant(row: &Row) -> Option<Mutant> {
    let fate = match row.status.as_str() {
        "KILLED" | "MEMORY_ERROR" => Fate::Killed,
        "SURVIVED" | "NO_COVERAGE" => Fate::Survived,
        "TIMED_OUT" => Fate::TimedOut,
        "NOT_STARTED" | "STARTED" | "RUN_ERROR" => Fate::Untried,
        _ => Fate::Unusable,
    };
    let file = match row.class.rsplit_once('.') {
        Some((package, _)) => format!("{}/{}", package.replace('.', "/"), row.source_file),
        None => row.source_file.clone(),
    };
    let place = lines(row.line.trim().parse().ok()?, None);
    Some(Mutant { file, place, what: row.description.clone(), fate })
}
