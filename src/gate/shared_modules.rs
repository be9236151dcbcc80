//! A module of Terraform or OpenTofu that several roots use changes each of
//! them: the previews of all those roots are asked for, wherever the rules'
//! own paths end.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::change::{FileChange, RepoPath};
use super::evidence::{Answer, Need};
use super::obligation::{Case, Obligation};
use super::policy::{Globs, Rule, StagedRequirement};
use super::preview::is_source;
use super::requirement::Requirement;
use crate::gate::order;

/// The folders of local modules that a root uses, by root.
pub type Modules = BTreeMap<String, Answer<BTreeSet<String>>>;

/// The roots whose modules have to be known before it is clear which rules
/// apply: of previews that no obligation asks for, where the change could
/// touch a module at all.
pub fn needs(case: &Case<'_>, obligations: &[Obligation<'_>]) -> BTreeSet<Need> {
    if !case.change.files.iter().any(|file| could_be_part(&file.path)) {
        return BTreeSet::new();
    }
    let rules = case.policy.rules.iter().filter(|rule| !applies(rule, obligations));
    order::set(
        rules
            .flat_map(|rule| previews(case, rule))
            .map(|(_, _, root)| Need::Modules(root.to_owned())),
    )
}

/// The obligations that follow from modules alone: each asks for the previews
/// of one rule, whose roots use a module that the change touches.
pub fn obligations<'a>(
    case: &Case<'a>,
    known: &[Obligation<'a>],
    modules: &Modules,
) -> Vec<Obligation<'a>> {
    let mut further = Vec::new();
    for rule in case.policy.rules.iter().filter(|rule| !applies(rule, known)) {
        let mut files: BTreeMap<&RepoPath, &FileChange> = BTreeMap::new();
        let mut require: Vec<StagedRequirement> = Vec::new();
        for (staged, name, root) in previews(case, rule) {
            let Some(answer) = modules.get(root) else { continue };
            let touched: Vec<&FileChange> = case
                .change
                .files
                .iter()
                .filter(|file| !rule.scope.except.matches(&file.path))
                .filter(|file| is_part(&file.path, answer))
                .collect();
            if !touched.is_empty() {
                files.extend(touched.into_iter().map(|file| (&file.path, file)));
                require.push(StagedRequirement {
                    requirement: Requirement::Preview(vec![name.to_owned()]),
                    stage: staged.stage,
                });
            }
        }
        if require.is_empty() {
            continue;
        }
        let patterns: Vec<String> = files.keys().map(|path| pattern(path)).collect();
        let mut derived = Rule { require, deny: false, ..rule.clone() };
        // A pattern that cannot be written widens the rule, and never narrows it.
        derived.scope.paths = Globs::new(&patterns).ok();
        derived.scope.folder = String::new();
        let files = files.into_values().collect();
        let further_one = Obligation { rule: Cow::Owned(derived), files };
        if super::obligation::holds(case, &rule.when, &further_one.files) {
            further.push(further_one);
        }
    }
    further
}

fn applies(rule: &Rule, obligations: &[Obligation<'_>]) -> bool {
    obligations.iter().any(|it| it.rule.id == rule.id)
}

/// The previews of a rule that are asked for at this stage and have a root of
/// modules: requirement, name, root.
fn previews<'a>(case: &Case<'a>, rule: &'a Rule) -> Vec<(&'a StagedRequirement, &'a str, &'a str)> {
    let mut found = Vec::new();
    for staged in rule.require.iter().filter(|staged| staged.stage <= case.stage) {
        let names = match &staged.requirement {
            Requirement::Preview(names) => names.as_slice(),
            Requirement::Approvals(_)
            | Requirement::Tests(_)
            | Requirement::Coverage(_)
            | Requirement::Disclosure => &[],
        };
        for name in names {
            let command = case.policy.previews.get(name);
            let command =
                command.filter(|it| matches!(it.engine.as_str(), "terraform" | "opentofu"));
            if let Some(root) = command.and_then(|it| it.root.as_deref()) {
                found.push((staged, name.as_str(), root));
            }
        }
    }
    found
}

/// Whether a file can be a part of a module: prose and hidden files are none.
fn could_be_part(path: &RepoPath) -> bool {
    let name = path.as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    !name.starts_with(b".") && !name.ends_with(b".md")
}

/// Whether a file is a part of one of the modules: a source in its folder, or
/// anything else in or below it. What could not be looked up is.
fn is_part(path: &RepoPath, modules: &Answer<BTreeSet<String>>) -> bool {
    let text = String::from_utf8_lossy(path.as_bytes());
    let (folder, name) = text.rsplit_once('/').unwrap_or(("", &text));
    let Ok(modules) = modules else { return is_source(name) };
    if is_source(name) || folder.is_empty() {
        return modules.contains(folder) && could_be_part(path);
    }
    let below = |module: &String| {
        !module.is_empty()
            && folder
                .strip_prefix(module.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    could_be_part(path) && modules.iter().any(below)
}

/// The pattern that this path alone matches.
fn pattern(path: &RepoPath) -> String {
    let mut pattern = "/".to_owned();
    for character in String::from_utf8_lossy(path.as_bytes()).chars() {
        if matches!(character, '\\' | '*' | '?' | '[' | ']' | ' ') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: bool) {
        let modules = Ok(BTreeSet::from(["modules/edge".to_owned(), "".to_owned()]));
        assert_eq!(is_part(&RepoPath::new(path), &modules), expected, "{path}");
    }

    #[test]
    fn files_of_a_module_are_told_from_those_beside_it() {
        check("modules/edge/main.tf", true);
        check("modules/edge/templates/a.tpl", true);
        check("modules/edge/examples/a/main.tf", false);
        check("modules/edge/README.md", false);
        check("modules/edge/.gitignore", false);
        check("modules/edges/main.tf", false);
        check("main.tf", true);
        check("src/main.rs", false);
        let unknown = Err("broken".to_owned());
        assert!(is_part(&RepoPath::new("a/b.tf"), &unknown));
        assert!(!is_part(&RepoPath::new("a/b.rs"), &unknown));
    }

    #[test]
    fn a_pattern_matches_its_path_alone() {
        for path in ["modules/edge/main.tf", "a b/[x]*.tf", "a/ö?.tf"] {
            let globs = Globs::new(&[pattern(&RepoPath::new(path))]).unwrap();
            assert!(globs.matches(&RepoPath::new(path)), "{path}");
            assert!(!globs.matches(&RepoPath::new("a/x.tf")), "{path}");
        }
    }
}
