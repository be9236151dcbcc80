//! Mistakes in a policy that is valid: what could never be met, never apply
//! or never match.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::super::change::{RepoPath, printable};
use super::super::requirement::Requirement;
use super::super::signal::catalogue::Catalogue;
use super::super::verdict::Level;
use super::*;

/// One thing that the policy's author should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LintFinding {
    pub code: LintCode,
    /// `block`: whatever it is about can only block; `warn`: probably a mistake; `note`: good to know.
    pub level: Level,
    /// The table it is about: `rule NAME`, `people.NAME`, `test.NAME`, …
    pub place: String,
    pub message: String,
}

/// Declares [`LintCode`] with one description each.
macro_rules! lint_codes {
    ($($variant:ident = $code:literal: $description:literal,)*) => {
        /// What kind of mistake it is. The text is stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        pub enum LintCode { $(#[doc = $description] #[serde(rename = $code)] $variant,)* }

        impl LintCode {
            /// Every code.
            pub const ALL: &[LintCode] = &[$(LintCode::$variant,)*];

            /// The stable kebab-case text.
            pub fn as_str(self) -> &'static str {
                match self { $(LintCode::$variant => $code,)* }
            }

            /// One line that says what the code means.
            pub fn description(self) -> &'static str {
                match self { $(LintCode::$variant => $description,)* }
            }
        }
    };
}

lint_codes! {
    DuplicateKey = "duplicate-key": "Two people have the same key, so it proves neither of them.",
    DuplicateEmail = "duplicate-email": "Two people have the same address, so a commit of one is one of both.",
    PersonWithoutEmail = "person-without-email": "A human has no address, so their own commits are not known as theirs.",
    OwnerWithoutKey = "owner-without-key": "Somebody whose approval a rule asks for has no key to give it with.",
    NotHuman = "not-human": "An agent or a service is among those whose approval a rule asks for, and never counts.",
    EmptyGroup = "empty-group": "A group has no members.",
    GroupTooSmall = "group-too-small": "Too few people could give the approvals that a rule asks for.",
    PresenceWithoutHardware = "presence-without-hardware": "A key that no security key holds cannot show presence.",
    GlobMatchesNothing = "glob-matches-nothing": "A pattern matches no tracked file.",
    RuleNeverApplies = "rule-never-applies": "A rule applies to no tracked file.",
    RuleAsksNothing = "rule-asks-nothing": "A rule neither requires nor denies anything.",
    UnknownAgent = "unknown-agent": "A rule names an agent that neither the catalogue nor the policy knows.",
    UnknownRule = "unknown-rule": "A rule's id is named, and no rule has it.",
    TestUnused = "test-unused": "No rule requires a test.",
    PreviewUnused = "preview-unused": "No rule requires a preview.",
    NoService = "no-service": "Only CI's results would count, and no service could sign them.",
    PushWaitsForCi = "push-waits-for-ci": "A push waits for what only CI could say, and CI sees the change after the push.",
    TargetUnprotected = "target-unprotected": "The target is not among the protected refs.",
    NothingMeasures = "nothing-measures": "A rule asks for coverage, and no test leaves a report of it.",
    NotEvaluable = "not-evaluable": "This version cannot evaluate what is asked, and blocks wherever it applies.",
}

/// Looks for mistakes. `tracked` are the repository's files; where it is
/// empty, patterns are not judged.
pub fn lint(policy: &Policy, tracked: &[RepoPath]) -> Vec<LintFinding> {
    let mut lint = Lint { policy, tracked, findings: Vec::new() };
    lint.people();
    lint.groups();
    lint.trust();
    for rule in &policy.rules {
        lint.rule(rule);
    }
    lint.policy_change();
    lint.commands();
    lint.names_of_rules();
    lint.findings
}

struct Lint<'a> {
    policy: &'a Policy,
    tracked: &'a [RepoPath],
    findings: Vec<LintFinding>,
}

impl Lint<'_> {
    fn find(&mut self, code: LintCode, level: Level, place: &str, message: impl Into<String>) {
        self.findings.push(LintFinding {
            code,
            level,
            place: place.to_owned(),
            message: message.into(),
        });
    }

    fn people(&mut self) {
        let mut keys = BTreeMap::<&str, BTreeSet<&str>>::new();
        let mut emails = BTreeMap::<&str, BTreeSet<&str>>::new();
        for person in self.policy.people.values() {
            // Whom an authority speaks for, its certificates say.
            for key in person.keys.iter().filter(|key| !key.cert_authority) {
                keys.entry(&key.fingerprint).or_default().insert(&person.name);
            }
            for email in &person.emails {
                emails.entry(email).or_default().insert(&person.name);
            }
        }
        for (key, names) in keys.iter().filter(|(_, names)| names.len() > 1) {
            let place = format!("people.{}", last(names));
            let message = format!(
                "the key `{key}` stands at {} and proves none of them",
                list(&Vec::from_iter(names))
            );
            self.find(LintCode::DuplicateKey, Level::Block, &place, message);
        }
        for (email, names) in emails.iter().filter(|(_, names)| names.len() > 1) {
            let place = format!("people.{}", last(names));
            let message = format!(
                "the address `{}` stands at {}",
                printable(email),
                list(&Vec::from_iter(names))
            );
            self.find(LintCode::DuplicateEmail, Level::Warn, &place, message);
        }
        for person in self.policy.people.values() {
            let place = format!("people.{}", person.name);
            if person.kind == PersonKind::Human && person.emails.is_empty() {
                let message = "without `emails`, commits of this person are not known as theirs, and they could approve them";
                self.find(LintCode::PersonWithoutEmail, Level::Warn, &place, message);
            }
            for key in person.keys.iter().filter(|key| {
                key.presence > Presence::None && !key.is_hardware() && !key.cert_authority
            }) {
                let message = format!(
                    "`{}` is no security key, and its signatures show no presence",
                    key.fingerprint
                );
                self.find(LintCode::PresenceWithoutHardware, Level::Warn, &place, message);
            }
        }
    }

    fn groups(&mut self) {
        for (name, _) in self.policy.groups.iter().filter(|(_, members)| members.is_empty()) {
            self.find(
                LintCode::EmptyGroup,
                Level::Warn,
                &format!("groups.{name}"),
                "this group has no members",
            );
        }
    }

    fn trust(&mut self) {
        let trust = &self.policy.trust;
        if !trust.protect.matches(&trust.target) {
            let message = format!("`protect` does not name the target, `{}`", trust.target);
            self.find(LintCode::TargetUnprotected, Level::Warn, "trust", message);
        }
    }

    fn rule(&mut self, rule: &Rule) {
        let place = format!("rule {}", rule.id);
        if rule.require.is_empty() && !rule.deny {
            self.find(
                LintCode::RuleAsksNothing,
                Level::Warn,
                &place,
                "this rule neither requires nor denies anything",
            );
        }
        self.scope(rule, &place);
        self.agents(rule, &place);
        for staged in &rule.require {
            match &staged.requirement {
                Requirement::Approvals(approvals) => {
                    for approval in approvals {
                        self.approval(approval, &place);
                    }
                }
                Requirement::Coverage(_) => self.coverage(&place),
                Requirement::Tests(_) | Requirement::Preview(_) | Requirement::Disclosure => {}
            }
            if staged.stage < Stage::Merge {
                self.asked_too_early(&staged.requirement, &place);
            }
        }
    }

    /// Coverage is what reports say: without one, nothing ever satisfies the rule.
    fn coverage(&mut self, place: &str) {
        if self.policy.tests.values().all(|test| test.reports.coverage.is_empty()) {
            let message = "no test names a coverage report (`reports = { coverage = … }`), so this rule blocks whatever it is about";
            self.find(LintCode::NothingMeasures, Level::Warn, place, message);
        }
    }

    /// Whether a push is asked for what nobody can say before it.
    fn asked_too_early(&mut self, requirement: &Requirement, place: &str) {
        let names = |names: &[String]| {
            let quoted: Vec<String> = names.iter().map(|it| format!("\"{it}\"")).collect();
            format!("{{ names = [{}], stage = \"merge\" }}", quoted.join(", "))
        };
        let policy = self.policy;
        let ci_alone = |accept: Option<&BTreeSet<Accept>>| accept.is_some_and(only_ci);
        let (waits, words) = match requirement {
            Requirement::Tests(tests) => {
                let of = |it: &&String| ci_alone(policy.tests.get(*it).map(|it| &it.accept));
                (tests.iter().filter(of).cloned().collect(), names(tests))
            }
            Requirement::Preview(previews) => {
                let of = |it: &&String| ci_alone(policy.previews.get(*it).map(|it| &it.accept));
                (previews.iter().filter(of).cloned().collect(), names(previews))
            }
            // Any test that measures may satisfy it.
            Requirement::Coverage(least) => {
                let measures = |it: &&TestCommand| !it.reports.coverage.is_empty();
                let tests: Vec<&TestCommand> = policy.tests.values().filter(measures).collect();
                let all = tests.iter().all(|it| only_ci(&it.accept));
                let waits: Vec<String> = match all {
                    true => tests.iter().map(|it| it.name.clone()).collect(),
                    false => Vec::new(),
                };
                (waits, format!("{{ min = {}, stage = \"merge\" }}", share(*least)))
            }
            Requirement::Approvals(_) | Requirement::Disclosure => return,
        };
        if !waits.is_empty() {
            let waits: Vec<&str> = waits.iter().map(String::as_str).collect();
            let message = format!(
                "of {} only CI's results count, and a push asks for them before CI has seen the change: write `require.{} = {words}`",
                list(&waits),
                requirement.word()
            );
            self.find(LintCode::PushWaitsForCi, Level::Warn, place, message);
        }
    }

    fn scope(&mut self, rule: &Rule, place: &str) {
        let below = |path: &&RepoPath| path.as_bytes().starts_with(rule.scope.folder.as_bytes());
        let files = self.tracked.iter().filter(below).cloned().collect::<Vec<_>>();
        if self.tracked.is_empty() {
            return;
        }
        let idle = rule
            .scope
            .paths
            .iter()
            .chain([&rule.scope.except])
            .flat_map(|globs| globs.idle(&files));
        for pattern in idle.map(str::to_owned).collect::<Vec<_>>() {
            let message = format!("the pattern `{}` matches no tracked file", printable(&pattern));
            self.find(LintCode::GlobMatchesNothing, Level::Warn, place, message);
        }
        let in_paths =
            |path: &&RepoPath| rule.scope.paths.as_ref().is_none_or(|it| it.matches(path));
        let mut matched = files.iter().filter(in_paths).peekable();
        if matched.peek().is_some() && matched.all(|path| rule.scope.except.matches(path)) {
            let message = "`except` takes away every tracked file that `paths` matches";
            self.find(LintCode::RuleNeverApplies, Level::Warn, place, message);
        }
    }

    fn agents(&mut self, rule: &Rule, place: &str) {
        let Some(agents) = &rule.when.agents else { return };
        let catalogue = Catalogue::built_in().extended(&self.policy.agents);
        for id in agents.iter().filter(|id| !catalogue.knows(id)) {
            let message = format!("no agent has the id `{}`", printable(id));
            self.find(LintCode::UnknownAgent, Level::Warn, place, message);
        }
    }

    fn approval(&mut self, approval: &ApprovalRule, place: &str) {
        self.enough(approval, place);
        let mut without_keys = Vec::new();
        for person in self.policy.people.values() {
            let asked = approval.from.iter().any(|it| self.policy.is_member(&person.name, it));
            if asked && person.kind != PersonKind::Human {
                let message = format!("`{}` is no human, and never counts", person.name);
                self.find(LintCode::NotHuman, Level::Warn, place, message);
            } else if asked && self.usable_keys(person, Presence::None) == 0 {
                without_keys.push(person.name.as_str());
            }
        }
        if !without_keys.is_empty() {
            let verb = if without_keys.len() == 1 { "has" } else { "have" };
            let message = format!("{} {verb} no key to approve with", list(&without_keys));
            let level = self.unless_observing(Level::Warn);
            self.find(LintCode::OwnerWithoutKey, level, place, message);
        }
    }

    /// Whether enough people are left when one of them is the author.
    fn enough(&mut self, approval: &ApprovalRule, place: &str) {
        let able = self.able(approval);
        let from =
            if approval.from.is_empty() { "all people".to_owned() } else { list(&approval.from) };
        let whom = match approval.presence {
            Presence::None => "with a key",
            Presence::Touch | Presence::Pin => "with a security key",
        };
        let ApprovalRule { count, .. } = approval;
        if able < *count {
            let message = format!(
                "{count} approval(s) of {from} are asked for, and {able} of them are humans {whom}: nobody could satisfy it"
            );
            let level = self.unless_observing(Level::Block);
            self.find(LintCode::GroupTooSmall, level, place, message);
        } else if able == *count && !self.policy.trust.solo {
            let message = format!(
                "{count} approval(s) of {from} are asked for, and {able} of them are humans {whom}: none of them could be the author"
            );
            let level = self.unless_observing(Level::Warn);
            self.find(LintCode::GroupTooSmall, level, place, message);
        }
    }

    /// A policy observes while its people still collect their keys.
    fn unless_observing(&self, level: Level) -> Level {
        match self.policy.mode {
            Mode::Enforce => level,
            Mode::Observe => Level::Note,
        }
    }

    fn able(&self, approval: &ApprovalRule) -> usize {
        let humans = self.policy.humans(&approval.from);
        let person = |name: &&&str| self.policy.people.get(**name);
        humans
            .iter()
            .filter(|it| person(it).is_some_and(|it| self.usable_keys(it, approval.presence) > 0))
            .count()
    }

    /// Number of keys that prove this person and are not revoked.
    fn usable_keys(&self, person: &Person, presence: Presence) -> usize {
        let usable = |key: &&Key| {
            let proves = match key.cert_authority {
                true => !person.emails.is_empty(),
                false => {
                    (presence == Presence::None || key.is_hardware())
                        && self.policy.owner(&key.fingerprint).is_some()
                }
            };
            proves && !self.policy.revoked.iter().any(|it| it.key == key.fingerprint)
        };
        person.keys.iter().filter(usable).count()
    }

    /// The protection that is built in, where no rule spells it out.
    fn policy_change(&mut self) {
        let mut groups = BTreeSet::new();
        for rule in &self.policy.rules {
            if rule.id == "policy-change" {
                return;
            }
            for staged in &rule.require {
                if let Requirement::Approvals(approvals) = &staged.requirement {
                    groups.extend(approvals.iter().flat_map(|it| it.from.iter().cloned()));
                }
            }
        }
        let one = |from| ApprovalRule {
            count: 1,
            from,
            presence: Presence::None,
            carry: Carry::Exact,
            max_age: None,
        };
        let place = "rule policy-change (built in)";
        for group in groups {
            self.enough(&one(vec![group]), place);
        }
    }

    fn commands(&mut self) {
        let mut tests = BTreeSet::new();
        let mut previews = BTreeSet::new();
        for staged in self.policy.rules.iter().flat_map(|rule| &rule.require) {
            match &staged.requirement {
                Requirement::Tests(names) => tests.extend(names.iter().cloned()),
                Requirement::Preview(names) => previews.extend(names.iter().cloned()),
                Requirement::Approvals(_) | Requirement::Coverage(_) | Requirement::Disclosure => {}
            }
        }
        for test in self.policy.tests.values() {
            let place = format!("test.{}", test.name);
            if !tests.contains(&test.name) {
                self.find(LintCode::TestUnused, Level::Note, &place, "no rule requires this test");
            }
            self.accepted(&test.accept, &place);
            if !self.tracked.is_empty() {
                let globs = test.inputs.iter().chain(&test.setup_inputs);
                for pattern in globs
                    .flat_map(|it| it.idle(self.tracked))
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
                {
                    let message =
                        format!("the pattern `{}` matches no tracked file", printable(&pattern));
                    self.find(LintCode::GlobMatchesNothing, Level::Warn, &place, message);
                }
            }
        }
        for preview in self.policy.previews.values() {
            let place = format!("preview.{}", preview.name);
            if !previews.contains(&preview.name) {
                self.find(
                    LintCode::PreviewUnused,
                    Level::Note,
                    &place,
                    "no rule requires this preview",
                );
            }
            self.accepted(&preview.accept, &place);
            if !super::super::preview::evaluable(&preview.engine) {
                let message = format!(
                    "this version cannot read previews of `{}`, and blocks where a rule requires one",
                    preview.engine
                );
                self.find(LintCode::NotEvaluable, Level::Note, &place, message);
            }
        }
    }

    fn accepted(&mut self, accept: &BTreeSet<Accept>, place: &str) {
        if only_ci(accept) && !self.policy.has_service() {
            let message = "`accept = [\"ci\"]` counts what a person of `kind = \"service\"` signed, and there is none";
            self.find(LintCode::NoService, Level::Block, place, message);
        }
    }

    fn names_of_rules(&mut self) {
        let known =
            |id: &str| id == "policy-change" || self.policy.rules.iter().any(|rule| rule.id == id);
        let mut unknown = Vec::new();
        for id in self.policy.waiver.iter().flat_map(|it| &it.never).filter(|it| !known(it)) {
            unknown.push(("waiver".to_owned(), id.clone()));
        }
        for example in &self.policy.examples {
            for id in example.expect_rules.iter().flatten().filter(|it| !known(it)) {
                unknown.push((format!("example {}", printable(&example.name)), id.clone()));
            }
        }
        for (place, id) in unknown {
            let message = format!("no rule has the id `{}`", printable(&id));
            self.find(LintCode::UnknownRule, Level::Warn, &place, message);
        }
    }
}

fn only_ci(accept: &BTreeSet<Accept>) -> bool {
    accept.contains(&Accept::Ci) && !accept.contains(&Accept::Local)
}

/// Thousandths as a policy writes them.
fn share(thousandths: u64) -> String {
    let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
    let text = text.trim_end_matches('0');
    if text.ends_with('.') { format!("{text}0") } else { text.to_owned() }
}

fn last<'a>(names: &BTreeSet<&'a str>) -> &'a str {
    names.last().copied().unwrap_or_default()
}

fn list<S: AsRef<str>>(names: &[S]) -> String {
    names.iter().map(|it| format!("`{}`", it.as_ref())).collect::<Vec<_>>().join(", ")
}
