//! cargo-mutants' `outcomes.json` (version 24 and later).

use serde_json::Value;

use super::{Fate, Mutant, text};

/// Reads it; `None`: it is something else.
pub fn read(document: &Value) -> Option<Vec<Mutant>> {
    let outcomes = document.get("outcomes")?.as_array()?;
    let mutant = |outcome: &Value| {
        let mutant = outcome.get("scenario")?.get("Mutant")?;
        let name = text(&mutant["name"]);
        let line = mutant["span"]["start"]["line"].as_u64().or_else(|| mutant["line"].as_u64());
        let fate = match outcome["summary"].as_str()? {
            "CaughtMutant" => Fate::Killed,
            "MissedMutant" => Fate::Survived,
            "Timeout" => Fate::TimedOut,
            _ => Fate::Unusable,
        };
        // `src/lib.rs:2:5: replace …`
        let what = name.split_once(": ").map_or(name.as_str(), |it| it.1).to_owned();
        Some(Mutant { file: text(&mutant["file"]), line: line?, what, fate })
    };
    Some(outcomes.iter().filter_map(mutant).collect())
}
