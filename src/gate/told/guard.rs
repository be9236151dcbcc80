//! Which commands an agent is refused in its own hook, and how it is told.
//!
//! A fence and no wall: a command line is split into words, and an alias, a
//! script or a variable passes it. What counts is judged again where the push
//! arrives. The fence saves an agent from doing what would be found there.

use serde_json::json;

use super::command::{commands, program};
use super::payload::Form;

/// What an agent is not to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forbidden {
    /// git, without its hooks: `git commit --no-verify`.
    SkipHooks(String),
    /// What only a person may sign: `countersign approve`.
    Sign(String),
    /// A change of infrastructure: `terraform apply`.
    Apply(String),
}

/// What in this command line an agent is not to do, in its order.
pub fn forbidden(line: &str) -> Vec<Forbidden> {
    commands(line).iter().filter_map(|words| of_command(words)).collect()
}

fn of_command(words: &[String]) -> Option<Forbidden> {
    let (name, rest) = (program(words), words.get(1..)?);
    match name {
        "git" => skips_hooks(rest),
        "countersign" => {
            let verb = verb(rest, &["-C", "--color", "--format"]).map(|(verb, _)| verb)?;
            let signs = matches!(verb, "approve" | "review" | "waive" | "withdraw");
            signs.then(|| Forbidden::Sign(format!("countersign {verb}")))
        }
        "terraform" | "tofu" => {
            let (verb, _) = verb(rest, &[])?;
            let applies = matches!(verb, "apply" | "destroy");
            applies.then(|| Forbidden::Apply(format!("{name} {verb}")))
        }
        _ => None,
    }
}

/// The first word that is no option, and those behind it. `taking`: options
/// whose value is the next word.
fn verb<'a>(words: &'a [String], taking: &[&str]) -> Option<(&'a str, &'a [String])> {
    let mut at = 0;
    while let Some(word) = words.get(at) {
        if !word.starts_with('-') {
            return Some((word, words.get(at + 1..).unwrap_or_default()));
        }
        at += if taking.contains(&word.as_str()) { 2 } else { 1 };
    }
    None
}

fn skips_hooks(words: &[String]) -> Option<Forbidden> {
    let taking =
        ["-C", "-c", "--git-dir", "--work-tree", "--namespace", "--exec-path", "--config-env"];
    let (verb, arguments) = verb(words, &taking)?;
    let has_hooks = matches!(verb, "commit" | "push" | "merge" | "am" | "rebase" | "pull");
    // git takes any beginning of an option that is no other's.
    let long = arguments.iter().take_while(|it| *it != "--").any(|it| it.starts_with("--no-veri"));
    let short =
        verb == "commit" && arguments.iter().take_while(|it| *it != "--").any(|it| short_n(it));
    let elsewhere = words
        .iter()
        .take_while(|it| *it != verb)
        .any(|it| it.to_ascii_lowercase().trim_start_matches("-c").starts_with("core.hookspath="));
    let what = match (long || short, elsewhere) {
        (true, _) => format!("git {verb} --no-verify"),
        (false, true) => format!("git -c core.hooksPath=… {verb}"),
        (false, false) => return None,
    };
    has_hooks.then_some(Forbidden::SkipHooks(what))
}

/// Whether short options of `git commit` hold `-n`: `-an`, but not `-mn`, whose
/// `n` is the message.
fn short_n(word: &str) -> bool {
    let Some(letters) = word.strip_prefix('-').filter(|it| !it.starts_with('-')) else {
        return false;
    };
    let own = letters.find(['m', 'F', 'C', 'c', 't', 'u', 'S', 'U']).unwrap_or(letters.len());
    letters.get(..own).is_some_and(|it| it.contains('n'))
}

impl Forbidden {
    /// What the agent is told: what it may not, why, and what it does instead.
    pub fn message(&self) -> String {
        match self {
            Forbidden::SkipHooks(what) => format!(
                "`{what}` is refused here: it would pass by the checks of this repository, and the change would be stopped where it is pushed. Run the command without it. If a check fails, read what it says (`countersign check --staged` before a commit, `countersign explain` after it), mend that, and ask the person you work for where you cannot."
            ),
            Forbidden::Sign(what) => format!(
                "`{what}` is refused here: only a person may sign it, with a key of their own. Say which change waits for a signature (`countersign explain` and `countersign who-can` tell), and let the person run it."
            ),
            Forbidden::Apply(what) => format!(
                "`{what}` is refused here: what it would do has no approved preview. Run `countersign preview` and show the person what it says; once the preview and the change are approved, it is theirs to apply."
            ),
        }
    }
}

/// What the hook says, in the agent's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub stdout: Option<String>,
    pub stderr: Option<String>,
    /// Whether the hook's own status is the refusal.
    pub refuses: bool,
}

/// The refusal as the agent's hooks want it. Claude Code and most others take
/// status 2 and the text on standard error; some want an object as well.
pub fn refuse(form: Form, message: &str) -> Answer {
    let object = match form {
        Form::Common | Form::Windsurf | Form::AgentV1 => None,
        Form::Cursor => Some(json!({
            "permission": "deny",
            "user_message": message,
            "agent_message": message,
            "userMessage": message,
            "agentMessage": message,
        })),
        Form::Copilot => Some(json!({
            "permissionDecision": "deny",
            "permissionDecisionReason": message,
        })),
        Form::Cline => Some(json!({ "cancel": true, "errorMessage": message })),
    };
    match object {
        // An object is read only where the hook itself went well.
        Some(object) => Answer { stdout: Some(object.to_string()), stderr: None, refuses: false },
        None => Answer { stdout: None, stderr: Some(message.to_owned()), refuses: true },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &[&str]) {
        let found: Vec<String> = forbidden(line)
            .into_iter()
            .map(|it| match it {
                Forbidden::SkipHooks(what) | Forbidden::Sign(what) | Forbidden::Apply(what) => what,
            })
            .collect();
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn commands_that_pass_by_the_hooks_are_refused() {
        let commit: &[&str] = &["git commit --no-verify"];
        check("git commit --no-verify -m x", commit);
        check("git add -A && git commit -anm 'x'", commit);
        check("git -C sub -c a=b commit -m x -n", commit);
        check("FOO=1 /usr/bin/git commit --no-verif", commit);
        check("bash -c 'git commit -n -m x'", commit);
        check("git push --no-verify origin main", &["git push --no-verify"]);
        check(
            "git merge --no-verify x; git rebase --no-verify",
            &["git merge --no-verify", "git rebase --no-verify"],
        );
        check("git -c core.hooksPath=/dev/null commit -m x", &["git -c core.hooksPath=… commit"]);
        check("git -ccore.hookspath= push", &["git -c core.hooksPath=… push"]);
    }

    #[test]
    fn other_commands_are_not() {
        for line in [
            "git commit -m 'do not use --no-verify'",
            "git commit -mn",
            "git commit -m -- --no-verify",
            "git push -n",
            "git log -n 3",
            "echo git commit --no-verify",
            "git commit --no-edit --no-verbose",
            "rg -n 'countersign approve'",
            "countersign check",
            "countersign explain approve",
            "terraform plan -out=apply",
            "",
        ] {
            let found = forbidden(line);
            // A separate message of `-m` is told from options by git alone.
            assert!(found.is_empty(), "{line}: {found:?}");
        }
    }

    #[test]
    fn what_only_people_do_is_refused() {
        check("countersign approve", &["countersign approve"]);
        check("./target/countersign -C x review HEAD~1..HEAD", &["countersign review"]);
        check("countersign --format json waive --rule a", &["countersign waive"]);
        check("sudo countersign withdraw abc", &["countersign withdraw"]);
        check("terraform -chdir=infra apply -auto-approve", &["terraform apply"]);
        check("cd infra && tofu destroy", &["tofu destroy"]);
    }

    #[test]
    fn each_agent_is_told_in_its_own_way() {
        let said = |form| {
            let Answer { stdout, stderr, refuses } = refuse(form, "no");
            let code = if refuses { 2 } else { 0 };
            format!("{code} {} {}", stdout.unwrap_or_default(), stderr.unwrap_or_default())
        };
        assert_eq!(said(Form::Common), "2  no");
        assert_eq!(said(Form::Windsurf), "2  no");
        assert_eq!(said(Form::Cline), r#"0 {"cancel":true,"errorMessage":"no"} "#);
        assert_eq!(
            said(Form::Copilot),
            r#"0 {"permissionDecision":"deny","permissionDecisionReason":"no"} "#
        );
        assert!(
            said(Form::Cursor)
                .starts_with(r#"0 {"agentMessage":"no","agent_message":"no","permission":"deny""#)
        );
    }
}
