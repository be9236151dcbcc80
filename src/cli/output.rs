//! The one place that prints.

use std::io::Write;

use super::args::{Color, Format, Global};
use crate::gate::change::unsafe_for_terminals;
use crate::jobs::Env;

/// Where text goes and how it looks.
#[derive(Clone, Debug)]
pub struct Output {
    pub format: Format,
    pub quiet: bool,
    pub verbose: bool,
    /// Whether text for people may carry colours, on standard output and on standard error.
    stdout_colour: bool,
    stderr_colour: bool,
    /// In hooks, text for people goes to standard error.
    people_on_stderr: bool,
}

/// A meaning that a colour underlines; the text says it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Good,
    Bad,
    Warning,
    Strong,
    Faint,
    Command,
}

impl Output {
    /// Decides by the arguments, the terminals, `NO_COLOR`, `CLICOLOR_FORCE` and `TERM`.
    pub fn new(global: &Global, env: &Env, hook: bool) -> Output {
        let forced = env.get("CLICOLOR_FORCE").is_some_and(|value| value != "0");
        let refused = env.get("NO_COLOR").is_some() || env.get("TERM") == Some("dumb");
        let colour = |terminal: bool| match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => !refused && (terminal || forced),
        };
        Output {
            format: global.format,
            quiet: global.quiet,
            verbose: global.verbose,
            stdout_colour: colour(env.stdout_is_terminal),
            stderr_colour: colour(env.stderr_is_terminal),
            people_on_stderr: hook,
        }
    }

    /// Prints data alone, before anything is known of the surroundings.
    pub fn of_data(format: Format) -> Output {
        Output {
            format,
            quiet: true,
            verbose: false,
            stdout_colour: false,
            stderr_colour: false,
            people_on_stderr: false,
        }
    }

    /// Prints a line for people.
    pub fn say(&self, line: &str) {
        if self.people_on_stderr {
            self.note(line);
        } else {
            self.data(&format!("{line}\n"));
        }
    }

    /// Prints a line beside the result: progress, warnings, errors.
    pub fn note(&self, line: &str) {
        // Nothing can be said about a standard error that is gone.
        writeln!(std::io::stderr().lock(), "{line}").ok();
    }

    /// Prints data exactly as given. A reader that went away is no error.
    pub fn data(&self, text: &str) {
        std::io::stdout().lock().write_all(text.as_bytes()).ok();
    }

    /// Prints bytes exactly as given: what a format for programs holds.
    pub fn bytes(&self, bytes: &[u8]) {
        std::io::stdout().lock().write_all(bytes).ok();
    }

    /// Prints a JSON document and a line break. What a terminal would obey is
    /// escaped, which reads as the same text: JSON itself leaves C1 controls
    /// and bidirectional marks as they are.
    pub fn json(&self, document: &str) {
        let mut safe = String::with_capacity(document.len() + 1);
        for character in document.chars() {
            match character {
                '\n' => safe.push('\n'),
                it if unsafe_for_terminals(it) => {
                    safe.push_str(&format!("\\u{:04x}", u32::from(it)))
                }
                it => safe.push(it),
            }
        }
        self.data(&(safe + "\n"));
    }

    /// Dresses `text` for where [`Output::say`] prints it.
    pub fn style(&self, style: Style, text: &str) -> String {
        dress(
            if self.people_on_stderr { self.stderr_colour } else { self.stdout_colour },
            style,
            text,
        )
    }

    /// Whether standard error may carry colours.
    pub fn colours_notes(&self) -> bool {
        self.stderr_colour
    }

    /// Dresses `text` for where [`Output::note`] prints it.
    pub fn note_style(&self, style: Style, text: &str) -> String {
        dress(self.stderr_colour, style, text)
    }
}

fn dress(colour: bool, style: Style, text: &str) -> String {
    let code = match style {
        Style::Good => "32",
        Style::Bad => "1;31",
        Style::Warning => "33",
        Style::Strong => "1",
        Style::Faint => "2",
        Style::Command => "36",
    };
    if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}
