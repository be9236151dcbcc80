//! What Infection's logger `json` writes.

use serde_json::Value;

use super::{Fate, Mutant, lines, text};

/// Reads it; `None`: it is something else.
pub fn read(document: &Value) -> Option<Vec<Mutant>> {
    document.get("stats")?.as_object()?;
    document.get("escaped")?.as_array()?;
    let groups = [
        ("killed", Fate::Killed),
        ("killedByStaticAnalysis", Fate::Killed),
        ("escaped", Fate::Survived),
        ("uncovered", Fate::Survived),
        ("timeouted", Fate::TimedOut),
        ("errored", Fate::Unusable),
        ("syntaxErrors", Fate::Unusable),
        ("ignored", Fate::Unusable),
    ];
    let mut mutants = Vec::new();
    for (group, fate) in groups {
        for row in document[group].as_array().into_iter().flatten() {
            let mutator = &row["mutator"];
            mutants.push(Mutant {
                file: text(&mutator["originalFilePath"]),
                place: lines(mutator["originalStartLine"].as_u64()?, None),
                what: text(&mutator["mutatorName"]),
                fate,
            });
        }
    }
    Some(mutants)
}
