//! What `mutmut show` of mutmut 3 prints of one mutant after the other: its name
//! and what came of it, and a diff of the function that it is in. The diff's line
//! numbers are the function's own. Held to reports of 3.8.1.

use super::{Fate, KNOWN, Mutant, Passage, Place};

/// Reads it.
pub fn read(text: &str) -> Result<Vec<Mutant>, String> {
    let mut mutants = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let header = line.strip_prefix("# ").and_then(|it| it.rsplit_once(": "));
        let Some((name, word)) = header else { continue };
        let mut diff = Vec::new();
        while let Some(line) = lines.next_if(|it| !it.starts_with("# ")) {
            diff.push(line);
        }
        mutants.extend(mutant(name, word.trim(), &diff));
    }
    if mutants.is_empty() { Err(format!("it is none of {KNOWN}")) } else { Ok(mutants) }
}

/// The words are mutmut's own for how the tests ended.
fn fate(word: &str) -> Fate {
    match word {
        "killed" | "caught by type check" => Fate::Killed,
        "survived" | "no tests" => Fate::Survived,
        "timeout" => Fate::TimedOut,
        "skipped" | "suspicious" | "segfault" => Fate::Unusable,
        _ => Fate::Untried,
    }
}

fn mutant(name: &str, word: &str, diff: &[&str]) -> Option<Mutant> {
    let mut diff = diff.iter();
    let file = diff.find_map(|it| it.strip_prefix("--- "))?;
    let first = diff.find_map(|it| it.strip_prefix("@@ -"))?;
    let first = first.split([',', ' ']).next()?.parse().ok()?;
    let (mut lines, mut changed, mut what) = (Vec::new(), Vec::new(), String::new());
    for line in diff.take_while(|it| !it.starts_with("@@ ")) {
        let (sign, rest) = line.split_at_checked(1).unwrap_or((" ", ""));
        match sign {
            "+" if what.is_empty() => rest.trim().clone_into(&mut what),
            "+" => {}
            _ => {
                if sign == "-" {
                    changed.push(lines.len());
                }
                lines.push(rest.trim().to_owned());
            }
        }
    }
    let function = function(name)?.to_owned();
    let changed = *changed.first()?..=*changed.last()?;
    let place = Place::Passage(Passage { function, first, lines, changed });
    Some(Mutant { file: file.to_owned(), place, what, fate: fate(word) })
}

/// `add` of `shop.cart.xǁCartǁadd__mutmut_7`, `total` of `shop.cart.x_total__mutmut_1`.
fn function(name: &str) -> Option<&str> {
    let (_, last) = name.rsplit_once('.').unwrap_or(("", name));
    let (mangled, _) = last.rsplit_once("__mutmut_")?;
    mangled.rsplit_once('ǁ').map(|it| it.1).or_else(|| mangled.strip_prefix("x_"))
}
