//! Progress while tests run (`indicatif` lives here).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::Context;
use super::output::Output;
use crate::gate::change::printable;
use crate::jobs::test::Event;

/// Shows which tests run: a spinner each on a terminal, else a line each.
pub struct Progress<'a> {
    output: &'a Output,
    spinners: Option<Mutex<Spinners>>,
}

#[derive(Default)]
struct Spinners {
    all: MultiProgress,
    running: BTreeMap<String, ProgressBar>,
}

impl<'a> Progress<'a> {
    /// Nothing is shown with `--quiet`, and nothing moves without a terminal.
    pub fn new(context: &'a Context) -> Progress<'a> {
        let moving = context.env.stderr_is_terminal && context.env.get("TERM") != Some("dumb");
        let spinners = moving.then(Mutex::default);
        Progress { output: &context.output, spinners }
    }

    /// Shows what happens.
    pub fn tell(&self, event: &Event) {
        if self.output.quiet {
            return;
        }
        match &self.spinners {
            Some(spinners) => {
                spinners.lock().unwrap_or_else(PoisonError::into_inner).tell(event);
            }
            None => {
                if let Event::Started { test } = event {
                    self.output.note(&format!("running {}", printable(test)));
                }
            }
        }
    }
}

impl Spinners {
    fn tell(&mut self, event: &Event) {
        match event {
            Event::Preparing { test } => self.show(test, "checking out"),
            Event::SettingUp { test } => self.show(test, "setting up"),
            Event::Started { test } => self.show(test, "running"),
            Event::Retrying { test, attempt, of, summary } => {
                self.show(test, &format!("failed ({summary}), attempt {attempt} of {of}"));
            }
            Event::Mutating { test } => self.show(test, "changing the assisted lines"),
            Event::Proving { test, attempt, of } => {
                self.show(test, &format!("running without the assisted lines, {attempt} of {of}"));
            }
            Event::Finished { test, .. } => {
                if let Some(spinner) = self.running.remove(test) {
                    spinner.finish_and_clear();
                }
            }
        }
    }

    fn show(&mut self, test: &str, doing: &str) {
        let all = &self.all;
        let spinner = self.running.entry(test.to_owned()).or_insert_with(|| {
            let spinner = all.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
                spinner.set_style(style);
            }
            spinner.enable_steady_tick(Duration::from_millis(120));
            spinner
        });
        spinner.set_message(format!("{doing} {}", printable(test)));
    }
}
