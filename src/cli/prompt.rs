//! Questions to the person at the terminal (`dialoguer` lives here).

use dialoguer::{Confirm, Input, MultiSelect};

use crate::jobs::{Env, Error, ErrorKind};

/// Whether somebody is there to be asked.
pub fn is_possible(env: &Env) -> bool {
    env.stdin_is_terminal && env.stderr_is_terminal
}

/// Asks for leave; no is proposed.
pub fn allow(question: &str) -> Result<bool, Error> {
    let asked = Confirm::new().with_prompt(question).default(false).interact();
    asked.map_err(|error| Error::new(ErrorKind::Usage, error))
}

/// Asks for a text; `valid` says what is wrong with an answer.
pub fn text(
    question: &str,
    proposal: &str,
    valid: impl Fn(&str) -> Result<(), String>,
) -> Result<String, Error> {
    Input::<String>::new()
        .with_prompt(question)
        .with_initial_text(proposal)
        .validate_with(|answer: &String| valid(answer))
        .interact_text()
        .map_err(failed)
}

/// Asks which of the items to take; all are proposed. Returns their positions.
pub fn choose(question: &str, items: &[String]) -> Result<Vec<usize>, Error> {
    let all = vec![true; items.len()];
    MultiSelect::new()
        .with_prompt(format!("{question} (space changes, enter goes on)"))
        .items(items)
        .defaults(&all)
        .interact()
        .map_err(failed)
}

/// Asks yes or no.
pub fn confirm(question: &str) -> Result<bool, Error> {
    Confirm::new().with_prompt(question).default(true).interact().map_err(failed)
}

fn failed(error: dialoguer::Error) -> Error {
    Error::new(ErrorKind::Usage, error).hint("`--yes` takes the proposals without asking")
}
