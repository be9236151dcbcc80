//! cargo-mutants' `outcomes.json` (version 24 and later; held to one of 27.1.0).

use serde_json::Value;

use super::{Fate, Mutant, lines, text};

/// Reads it; `None`: it is something else.
pub fn read(document: &Value) -> Option<Vec<Mutant>> {
    let outcomes = document.get("outcomes")?.as_array()?;
    let mutant = |outcome: &Value| {
        let mutant = outcome.get("scenario")?.get("Mutant")?;
        let name = text(&mutant["name"]);
        // Of a function whose body is replaced, all of it.
        let span = &mutant["span"];
        let line = span["start"]["line"].as_u64().or_else(|| mutant["line"].as_u64());
        let place = lines(line?, span["end"]["line"].as_u64());
        let fate = match outcome["summary"].as_str()? {
            "CaughtMutant" => Fate::Killed,
            "MissedMutant" => Fate::Survived,
            "Timeout" => Fate::TimedOut,
            "Unviable" => Fate::Unusable,
            _ => Fate::Untried,
        };
        // `src/lib.rs:2:5: replace …`
        let what = name.split_once(": ").map_or(name.as_str(), |it| it.1).to_owned();
        Some(Mutant { file: text(&mutant["file"]), place, what, fate })
    };
    Some(outcomes.iter().filter_map(mutant).collect())
}
