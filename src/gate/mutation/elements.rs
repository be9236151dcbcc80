//! The report of the Stryker family, which others write as well
//! (mutation-testing-elements' schema 1 and 2).

use serde_json::Value;

use super::{Fate, Mutant, lines, text};

/// Reads it; `None`: it is something else.
pub fn read(document: &Value) -> Option<Vec<Mutant>> {
    let files = document.get("files")?.as_object()?;
    let mut mutants = Vec::new();
    for (path, file) in files {
        for mutant in file.get("mutants")?.as_array()? {
            let fate = match mutant["status"].as_str()? {
                "Killed" => Fate::Killed,
                "Survived" | "NoCoverage" => Fate::Survived,
                "Timeout" => Fate::TimedOut,
                "Pending" => Fate::Untried,
                _ => Fate::Unusable,
            };
            let name = text(&mutant["mutatorName"]);
            let what = match mutant["replacement"].as_str() {
                Some(replacement) => format!("{name}: {replacement}"),
                None => name,
            };
            let location = &mutant["location"];
            let line = location["start"]["line"].as_u64()?;
            let place = lines(line, location["end"]["line"].as_u64());
            mutants.push(Mutant { file: path.clone(), place, what, fate });
        }
    }
    Some(mutants)
}
