//! What to add to another hook manager, so that it runs ours.

use crate::adapters::hooks_dir::{Event, Manager};

/// The file to change and the text to put there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// The manager's name, for people.
    pub manager: &'static str,
    pub text: String,
    /// What this manager cannot do for us.
    pub limits: &'static str,
}

/// What to add, for the manager that owns the hooks; for any other, the plain
/// lines of a hook script.
pub fn for_manager(manager: Option<Manager>, events: &[Event]) -> Snippet {
    let (text, limits) = match manager {
        Some(Manager::PreCommit | Manager::Prek) => (
            PRE_COMMIT.to_owned(),
            "it shows a hook only the first pushed ref, and says nothing of a hook that passed; the server's check sees all",
        ),
        Some(Manager::Lefthook) => (
            LEFTHOOK.to_owned(),
            "a `run:` job would be skipped for every pushed branch but the one checked out, therefore a script",
        ),
        Some(Manager::Husky) => (
            husky(events),
            "put it first: a line above that reads standard input would leave nothing for pre-push",
        ),
        Some(Manager::Hk) => (HK.to_owned(), "written after hk's documentation, not tried"),
        Some(Manager::GitLfs) => (
            lines_with(events, |event| {
                format!("{}\n{}", ours(event), "git lfs HOOK \"$@\"").replace("HOOK", event.name())
            }),
            "both read standard input in pre-push: `countersign install --mode shim` keeps git-lfs' hook and feeds both",
        ),
        Some(Manager::Tracked) | None => (
            lines_with(events, ours),
            "put it first: a line above that reads standard input would leave nothing for pre-push",
        ),
    };
    Snippet { manager: manager.map_or("hook scripts", Manager::name), text, limits }
}

fn ours(event: Event) -> String {
    format!("countersign hook {} \"$@\" || exit 1", event.name())
}

fn lines_with(events: &[Event], line: impl Fn(Event) -> String) -> String {
    events.iter().map(|event| format!("# {}\n{}\n", event.name(), line(*event))).collect()
}

fn husky(events: &[Event]) -> String {
    events.iter().map(|event| format!("# .husky/{}\n{}\n", event.name(), ours(*event))).collect()
}

const PRE_COMMIT: &str = r#"# .pre-commit-config.yaml
default_install_hook_types: [pre-commit, pre-merge-commit, commit-msg, pre-push]
repos:
  - repo: local
    hooks:
      - {id: countersign-staged, name: countersign (staged), entry: countersign hook pre-commit, language: system, stages: [pre-commit, pre-merge-commit], always_run: true, pass_filenames: false, require_serial: true, verbose: true}
      - {id: countersign-message, name: countersign (message), entry: countersign hook commit-msg, language: system, stages: [commit-msg], verbose: true}
      - {id: countersign-push, name: countersign (push), entry: countersign hook pre-push, language: system, stages: [pre-push], always_run: true, pass_filenames: false, require_serial: true, verbose: true}
"#;

const LEFTHOOK: &str = r#"# lefthook.yml
assert_lefthook_installed: true
pre-commit: {jobs: [{script: countersign.sh, runner: sh}]}
commit-msg: {jobs: [{script: countersign.sh, runner: sh}]}
pre-push:   {jobs: [{script: countersign.sh, runner: sh, use_stdin: true}]}

# .lefthook/pre-commit/countersign.sh
exec countersign hook pre-commit "$@"
# .lefthook/commit-msg/countersign.sh
exec countersign hook commit-msg "$@"
# .lefthook/pre-push/countersign.sh
exec countersign hook pre-push "$@"
"#;

const HK: &str = r#"// hk.pkl, in hooks
["pre-commit"] { steps { ["countersign"] { check = "countersign hook pre-commit" } } }
["commit-msg"] { steps { ["countersign"] { check = "countersign hook commit-msg {{ commit_msg_file }}" } } }
["pre-push"] { steps { ["countersign"] { check = "countersign hook pre-push {{ hook_args }}"; stdin = "{{ hook_stdin }}" } } }
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_manager_is_told_of_the_push() {
        for manager in [
            Manager::Husky,
            Manager::Lefthook,
            Manager::PreCommit,
            Manager::Prek,
            Manager::Hk,
            Manager::GitLfs,
            Manager::Tracked,
        ] {
            let snippet = for_manager(Some(manager), Event::CLIENT);
            assert!(snippet.text.contains("countersign hook pre-push"), "{}", snippet.text);
        }
    }

    #[test]
    fn husky_gets_one_line_a_hook() {
        assert_eq!(
            for_manager(Some(Manager::Husky), &[Event::PreCommit, Event::PrePush]).text,
            "# .husky/pre-commit\ncountersign hook pre-commit \"$@\" || exit 1\n\
             # .husky/pre-push\ncountersign hook pre-push \"$@\" || exit 1\n"
        );
    }
}
