//! Shows the steps of an installation as a diff.

use std::path::Path;

use crate::gate::change::printable;
use crate::gate::diff::unified;
use crate::jobs::install::Step;

/// The steps as people read changes: renames, unified diffs, settings.
pub(super) fn diff(steps: &[Step]) -> String {
    steps.iter().map(one).collect()
}

fn one(step: &Step) -> String {
    match step {
        Step::CreateFolder(path) => format!("create folder {}\n", shown(path)),
        Step::RemoveFolder(path) => format!("remove folder {} if it is empty\n", shown(path)),
        Step::Keep { hook, chained } => rename(hook, chained),
        Step::Restore { chained, hook } => rename(chained, hook),
        Step::Write { path, old, new, mode } => {
            let before = if old.is_empty() { "/dev/null".to_owned() } else { shown(path) };
            format!("mode {mode:04o} {}\n{}", shown(path), text(&before, old, &shown(path), new))
        }
        Step::Remove { path, old } => text(&shown(path), old, "/dev/null", b""),
        Step::Set { key, old: None, new } => {
            format!("git config: + {key} = {}\n", printable(&new.to_string_lossy()))
        }
        Step::Set { key, old: Some(old), new } => format!(
            "git config: - {key} = {}\ngit config: + {key} = {}\n",
            printable(&old.to_string_lossy()),
            printable(&new.to_string_lossy())
        ),
        Step::Unset { key, old } => {
            format!("git config: - {key} = {}\n", printable(&old.to_string_lossy()))
        }
    }
}

fn rename(from: &Path, to: &Path) -> String {
    format!("rename from {}\nrename to {}\n", shown(from), shown(to))
}

fn text(before: &str, old: &[u8], after: &str, new: &[u8]) -> String {
    let (old, new) = (lines(old), lines(new));
    let changed = unified(&old, &new);
    if changed.is_empty() { changed } else { format!("--- {before}\n+++ {after}\n{changed}") }
}

/// The text's lines, each safe for a terminal.
fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes).lines().map(printable).collect()
}

fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_read_as_a_diff() {
        let steps = [
            Step::Keep { hook: "h/pre-push".into(), chained: "h/pre-push.kept".into() },
            Step::Write {
                path: "h/pre-push".into(),
                old: Vec::new(),
                new: b"#!/bin/sh\nexit 0\n".to_vec(),
                mode: 0o755,
            },
            Step::Set {
                key: "countersign.mode".into(),
                old: Some("config".into()),
                new: "shim".into(),
            },
            Step::Remove { path: "h/old".into(), old: b"one\n".to_vec() },
        ];
        assert_eq!(
            diff(&steps),
            "rename from h/pre-push\nrename to h/pre-push.kept\n\
             mode 0755 h/pre-push\n--- /dev/null\n+++ h/pre-push\n@@ -0,0 +1,2 @@\n+#!/bin/sh\n+exit 0\n\
             git config: - countersign.mode = config\ngit config: + countersign.mode = shim\n\
             --- h/old\n+++ /dev/null\n@@ -1 +0,0 @@\n-one\n"
        );
    }
}
