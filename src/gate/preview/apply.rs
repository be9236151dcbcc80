//! Which plan a command of Terraform or OpenTofu would apply
//! (<https://developer.hashicorp.com/terraform/cli/commands/apply>). What is not
//! known for certain is refused.

/// Options of `apply` whose value may stand in the next word.
const WITH_VALUE: &[&str] = &[
    "backup",
    "lock-timeout",
    "parallelism",
    "replace",
    "state",
    "state-out",
    "target",
    "exclude",
    "target-file",
    "exclude-file",
    "var",
    "var-file",
];

/// Options of `apply` that stand alone, or with `=true` or `=false`.
const ALONE: &[&str] = &[
    "auto-approve",
    "compact-warnings",
    "concise",
    "consolidate-errors",
    "consolidate-warnings",
    "destroy",
    "input",
    "json",
    "lock",
    "no-color",
    "refresh",
    "refresh-only",
    "show-sensitive",
    "suppress-forget-errors",
];

/// What a command applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The plan file, as the command names it.
    pub plan: String,
    /// The folder into which the program goes first (`-chdir`).
    pub folder: Option<String>,
}

/// Why a command is not let through, whatever was approved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    #[error("there is no command after `--`")]
    Empty,
    #[error("`{0}` is neither terraform nor tofu, and it is not known what it would apply")]
    Program(String),
    #[error("`{0}` is not `apply`: only the apply of a plan file is let through")]
    NotApply(String),
    #[error("without a plan file it would make a plan of its own, which nobody saw")]
    NoPlan,
    #[error("`{0}` stands after the plan file")]
    Further(String),
    #[error("the option `{0}` is not known, so that it cannot be told which plan is meant")]
    Option(String),
    #[error(
        "`{variable}` adds `{word}` to the command, so that it cannot be told which plan is meant"
    )]
    Variable { variable: &'static str, word: String },
}

/// Returns the plan that a command would apply. `variables` looks up the
/// environment's, by which words are added to the command.
pub fn applied(
    words: &[String],
    variables: &dyn Fn(&str) -> Option<String>,
) -> Result<Applied, ApplyError> {
    let (program, words) = words.split_first().ok_or(ApplyError::Empty)?;
    let name = program.rsplit(['/', '\\']).next().unwrap_or(program);
    if !matches!(name.strip_suffix(".exe").unwrap_or(name), "terraform" | "tofu") {
        return Err(ApplyError::Program(program.clone()));
    }
    added(variables)?;
    let mut words = words.iter();
    let mut folder = None;
    loop {
        let word = words.next().ok_or_else(|| ApplyError::NotApply(program.clone()))?;
        match option(word) {
            Some(("chdir", Some(value))) => folder = Some(value.to_owned()),
            Some(_) => return Err(ApplyError::Option(word.clone())),
            None if word == "apply" => break,
            None => return Err(ApplyError::NotApply(word.clone())),
        }
    }
    // Words after the first that is no option are never options.
    let plan = loop {
        let word = words.next().ok_or(ApplyError::NoPlan)?;
        if word == "--" {
            break words.next().ok_or(ApplyError::NoPlan)?;
        }
        match option(word) {
            None => break word,
            Some((name, Some(_))) if WITH_VALUE.contains(&name) || ALONE.contains(&name) => {}
            Some((name, None)) if ALONE.contains(&name) => {}
            Some((name, None)) if WITH_VALUE.contains(&name) => {
                words.next();
            }
            Some(_) => return Err(ApplyError::Option(word.clone())),
        }
    };
    match words.next() {
        None => Ok(Applied { plan: plan.clone(), folder }),
        Some(further) => Err(ApplyError::Further(further.clone())),
    }
}

/// Words that the environment adds must be options that stand alone.
fn added(variables: &dyn Fn(&str) -> Option<String>) -> Result<(), ApplyError> {
    for variable in ["TF_CLI_ARGS", "TF_CLI_ARGS_apply"] {
        let text = variables(variable).unwrap_or_default();
        let known = |word: &str| match option(word) {
            Some((name, Some(_))) => WITH_VALUE.contains(&name) || ALONE.contains(&name),
            Some((name, None)) => ALONE.contains(&name),
            None => false,
        };
        if let Some(word) = text.split_whitespace().find(|word| !known(word)) {
            return Err(ApplyError::Variable { variable, word: word.to_owned() });
        }
    }
    Ok(())
}

/// `-name`, `--name`, `-name=value`; `None`: no option.
fn option(word: &str) -> Option<(&str, Option<&str>)> {
    let body = word.strip_prefix('-').filter(|it| !it.is_empty())?;
    let body = body.strip_prefix('-').unwrap_or(body);
    Some(match body.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (body, None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(command: &str, expected: &str) {
        check_with(command, "", expected);
    }

    #[track_caller]
    fn check_with(command: &str, variable: &str, expected: &str) {
        let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
        let found =
            applied(&words, &|name| (name == "TF_CLI_ARGS_apply").then(|| variable.to_owned()));
        let found = match found {
            Ok(Applied { plan, folder: None }) => plan,
            Ok(Applied { plan, folder: Some(folder) }) => format!("{plan} in {folder}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn the_plan_of_an_apply_is_found() {
        check("terraform apply tfplan", "tfplan");
        check(
            "/usr/bin/tofu -chdir=infra/prod apply -auto-approve -input=false plan",
            "plan in infra/prod",
        );
        check("terraform.exe apply -parallelism 4 --lock-timeout=3m -- tfplan", "tfplan");
        check_with("terraform apply tfplan", "-no-color -parallelism=2", "tfplan");
    }

    #[test]
    fn what_could_apply_anything_else_is_refused() {
        let no_plan = "without a plan file it would make a plan of its own, which nobody saw";
        check("terraform apply", no_plan);
        check("terraform apply -auto-approve", no_plan);
        check("terraform apply -var x=1", no_plan);
        check("terraform apply -target aws_a.b -auto-approve --", no_plan);
        check("terraform apply a b", "`b` stands after the plan file");
        check("terraform apply a -auto-approve", "`-auto-approve` stands after the plan file");
        let unknown = |option: &str| {
            format!(
                "the option `{option}` is not known, so that it cannot be told which plan is meant"
            )
        };
        check("terraform apply -new tfplan", &unknown("-new"));
        check("terraform -chdir infra apply tfplan", &unknown("-chdir"));
        check(
            "terraform destroy",
            "`destroy` is not `apply`: only the apply of a plan file is let through",
        );
        check(
            "sh -c x",
            "`sh` is neither terraform nor tofu, and it is not known what it would apply",
        );
        for added in ["other.tfplan", "-var x=1"] {
            let word = added.split(' ').next().unwrap();
            check_with(
                "terraform apply tfplan",
                added,
                &format!(
                    "`TF_CLI_ARGS_apply` adds `{word}` to the command, so that it cannot be told which plan is meant"
                ),
            );
        }
    }
}
