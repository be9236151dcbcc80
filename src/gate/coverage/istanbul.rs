//! Istanbul's JSON (`coverage-final.json` of nyc, c8, Jest and Vitest): a
//! statement's line is the one on which it begins, as Istanbul's own line
//! reports have it, and was executed if any statement on it was.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::json::{Members, read_at};
use super::{Collector, ParseError};

#[derive(Deserialize)]
struct File {
    path: Option<String>,
    #[serde(rename = "statementMap")]
    statements: BTreeMap<String, Statement>,
    #[serde(rename = "s")]
    counts: BTreeMap<String, Option<u64>>,
}

#[derive(Deserialize)]
struct Statement {
    start: Place,
}

#[derive(Deserialize)]
struct Place {
    line: Option<u64>,
}

/// Reads the files.
pub(super) fn parse(members: &Members<'_>, collector: &mut Collector) -> Result<(), ParseError> {
    for (name, value) in members {
        let file: File = read_at(value, name)?;
        let number = collector.file(file.path.as_deref().unwrap_or(name).as_bytes())?;
        for (id, statement) in &file.statements {
            let Some(line) = statement.start.line else { continue };
            let hit = file.counts.get(id).copied().flatten().is_some_and(|count| count > 0);
            collector.line(number, line, hit)?;
        }
    }
    Ok(())
}
