//! From the policy as written to the policy that is judged by.
//!
//! Whatever could be misread stops here, with its place: a name that nobody
//! has, a pattern that cannot match, a threshold that assistance would lift.

mod preview;
mod rule;
mod test;
mod trust;
mod word;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;
use trust::{disclosure, people, revoked, trust};
use word::{globs, name};

use super::super::change::{RepoPath, printable};
use super::error::{PolicyError, Text};
use super::file::{self, ExpectedVerdict, Word};
use super::key::sha256_hex;
use super::*;
use crate::gate::order;

/// The version that `min_version` is compared with.
const OURS: &str = env!("CARGO_PKG_VERSION");
/// The name of every policy file.
pub const FILE_NAME: &str = "countersign.toml";

/// What `trust.gate` is unless the policy says otherwise: files that decide
/// whether checks run at all, of the usual CI systems and hook managers.
pub const DEFAULT_GATE: &[&str] = &[
    "/.github/workflows/**",
    "/.github/actions/**",
    "/.github/CODEOWNERS",
    "/CODEOWNERS",
    "/docs/CODEOWNERS",
    "/.gitlab-ci.yml",
    "/.gitlab/ci/**",
    "/.gitlab/CODEOWNERS",
    "/.gitea/workflows/**",
    "/.forgejo/workflows/**",
    "/.woodpecker.yml",
    "/.woodpecker/**",
    "/.circleci/**",
    "/.buildkite/**",
    "/.drone.yml",
    "/.travis.yml",
    "/.cirrus.yml",
    "/Jenkinsfile",
    "/azure-pipelines.yml",
    "/.azure-pipelines/**",
    "/bitbucket-pipelines.yml",
    "/.ci/**",
    "/.pre-commit-config.yaml",
    "/prek.toml",
    "/lefthook.y*ml",
    "/.lefthook.y*ml",
    "/lefthook.toml",
    "/lefthook.json",
    "/.husky/**",
    "/.githooks/**",
    "/hk.pkl",
];

impl Policy {
    /// Reads `countersign.toml`; `from` names it in errors and reports
    /// (`<commit>:countersign.toml`).
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn parse(text: &str, from: &str) -> Result<Policy, PolicyError> {
        let text = Text { from, text };
        let written = match file::read::<file::PolicyFile>(text) {
            Ok(written) => written,
            // A newer version's policy may hold keys that we do not know.
            Err(error) => {
                version(text, file::min_version(text.text).as_ref())?;
                return Err(error);
            }
        };
        schema(text, written.schema.as_ref())?;
        version(text, written.min_version.as_ref())?;
        root(text, written)
    }

    /// The policy of a repository without one: it observes, and asks for nothing.
    pub fn built_in() -> Policy {
        let none = Text { from: "built-in", text: "" };
        let mut policy = root(none, file::PolicyFile { mode: Mode::Observe, ..Default::default() })
            .expect("an empty policy has nothing that could be wrong");
        policy.source.sha256 = None;
        policy
    }

    /// The same, where changes land on this ref instead of the usual one.
    pub fn built_in_for(target: &str) -> Policy {
        let mut policy = Policy::built_in();
        target.clone_into(&mut policy.trust.target);
        // A name that is no pattern protects nothing; nothing is enforced here anyway.
        policy.trust.protect = RefPatterns::new(&[target.to_owned()]).unwrap_or_default();
        policy
    }

    /// Adds the policies of folders. They can only add: their rules reach only
    /// below their folder, and what they define is named `<folder>:<name>`.
    ///
    /// # Errors
    /// The first thing that is wrong in any of them.
    pub fn with_nested(mut self, files: &[(RepoPath, String)]) -> Result<Policy, PolicyError> {
        let mut files = files.iter().collect::<Vec<_>>();
        order::sort(&mut files);
        let mut sums = vec![(self.source.sha256.clone().unwrap_or_default(), FILE_NAME.to_owned())];
        for (path, text) in files {
            let from = path.to_display();
            if !self.is_nested_file(path) {
                let message = "this is no place for a nested policy; `nested.files` names them";
                return Err(PolicyError::whole(&from, message));
            }
            let name = path.to_text();
            let folder = name.strip_suffix(FILE_NAME).unwrap_or(&name).to_owned();
            nested(&mut self, Text { from: &from, text }, &folder)?;
            sums.push((sha256_hex(text.as_bytes()), name));
        }
        if sums.len() > 1 {
            let lines = sums.iter().map(|(sum, name)| format!("{sum}  {name}\n"));
            self.source.sha256 = Some(sha256_hex(lines.collect::<String>().as_bytes()));
        }
        Ok(self)
    }

    /// Whether a file of the repository is a nested policy under `nested.files`.
    pub fn is_nested_file(&self, path: &RepoPath) -> bool {
        let suffix = format!("/{FILE_NAME}");
        path.as_bytes().ends_with(suffix.as_bytes())
            && self.nested.as_ref().is_some_and(|globs| globs.matches(path))
    }
}

fn schema(text: Text<'_>, schema: Option<&Spanned<u64>>) -> Result<(), PolicyError> {
    match schema {
        Some(schema) if *schema.get_ref() != 1 => Err(text
            .error(schema.span(), format!("schema {} is not known", schema.get_ref()))
            .help("this version knows `schema = 1`")),
        Some(_) | None => Ok(()),
    }
}

fn version(text: Text<'_>, wanted: Option<&Word>) -> Result<(), PolicyError> {
    let Some(wanted) = wanted else { return Ok(()) };
    let Some(parsed) = parse_version(wanted.get_ref()) else {
        return Err(text.error(wanted.span(), "this is no version; write it as `0.1.0`"));
    };
    if Some(parsed) > parse_version(OURS) {
        let message = format!(
            "this policy needs countersign {} or newer, and this is {OURS}",
            printable(wanted.get_ref())
        );
        return Err(text.error(wanted.span(), message).help("update countersign"));
    }
    Ok(())
}

fn parse_version(text: &str) -> Option<Vec<u64>> {
    let mut numbers = text
        .split('.')
        .map(|it| it.bytes().all(|byte| byte.is_ascii_digit()).then(|| it.parse().ok())?)
        .collect::<Option<Vec<u64>>>()?;
    numbers.resize(3.max(numbers.len()), 0);
    (numbers.len() == 3).then_some(numbers)
}

fn root(text: Text<'_>, written: file::PolicyFile) -> Result<Policy, PolicyError> {
    let people = people(text, written.people)?;
    let mut policy = Policy {
        source: Source {
            from: text.from.to_owned(),
            sha256: Some(sha256_hex(text.text.as_bytes())),
        },
        mode: written.mode,
        trust: trust(text, written.trust)?,
        people,
        groups: BTreeMap::new(),
        revoked: written
            .revoked
            .into_iter()
            .map(|it| revoked(text, it))
            .collect::<Result<_, _>>()?,
        disclosure: disclosure(text, written.disclosure)?,
        rules: Vec::new(),
        tests: BTreeMap::new(),
        previews: BTreeMap::new(),
        waiver: None,
        nested: nested_files(text, written.nested)?,
        agents: Vec::new(),
        examples: Vec::new(),
    };
    for agent in written.agent {
        let span = agent.span();
        let agent = agent.into_inner();
        agent.validate().map_err(|error| text.error(span, error.to_string()))?;
        policy.agents.push(agent);
    }
    let reader = Reader { text, folder: "" };
    let written_in_both = Definitions {
        groups: written.groups,
        test: written.test,
        preview: written.preview,
        rule: written.rule,
    };
    reader.define(&mut policy, written_in_both)?;
    policy.waiver = written.waiver.map(|it| reader.waiver(&policy, it)).transpose()?;
    policy.examples =
        written.example.into_iter().map(|it| example(text, it)).collect::<Result<_, _>>()?;
    Ok(policy)
}

fn nested(policy: &mut Policy, text: Text<'_>, folder: &str) -> Result<(), PolicyError> {
    let written = match file::read::<file::NestedFile>(text) {
        Ok(written) => written,
        Err(error) => {
            version(text, file::min_version(text.text).as_ref())?;
            return Err(only_in_the_root(error));
        }
    };
    schema(text, written.schema.as_ref())?;
    version(text, written.min_version.as_ref())?;
    let written = Definitions {
        groups: written.groups,
        test: written.test,
        preview: written.preview,
        rule: written.rule,
    };
    Reader { text, folder }.define(policy, written)
}

/// A table of the root policy is no misspelling in a nested one.
fn only_in_the_root(error: PolicyError) -> PolicyError {
    const ONLY_IN_THE_ROOT: &[&str] = &[
        "mode",
        "trust",
        "people",
        "revoked",
        "disclosure",
        "waiver",
        "nested",
        "agent",
        "example",
    ];
    let table = ONLY_IN_THE_ROOT.iter().find(|it| error.message == format!("unknown key `{it}`"));
    match table {
        Some(table) => PolicyError {
            message: format!("a nested policy can only add, and has no `{table}`"),
            help: Some(format!("move `{table}` to the policy at the root")),
            ..error
        },
        None => error,
    }
}

fn nested_files(
    text: Text<'_>,
    written: Option<file::NestedTable>,
) -> Result<Option<Globs>, PolicyError> {
    let Some(table) = written else { return Ok(None) };
    for word in table.files.get_ref() {
        if word.get_ref() == FILE_NAME || !word.get_ref().ends_with(&format!("/{FILE_NAME}")) {
            return Err(text.error(word.span(), "nested policies are files in folders").help(
                format!("let the pattern end in `/{FILE_NAME}`, as in `services/*/{FILE_NAME}`"),
            ));
        }
    }
    globs(text, table.files.get_ref()).map(Some)
}

fn example(text: Text<'_>, written: file::ExampleTable) -> Result<Example, PolicyError> {
    let file::ExampleChange { files, assisted, agents, author, target, lines } = written.change;
    if files.get_ref().is_empty() {
        return Err(text.error(files.span(), "an example changes at least one file"));
    }
    let expect = written.expect.get_ref();
    if expect.rules.is_none() && expect.verdict.is_none() {
        return Err(text.error(written.expect.span(), "an example expects `rules` or a `verdict`"));
    }
    Ok(Example {
        name: written.name,
        files: files.into_inner(),
        assisted,
        agents,
        author,
        target,
        lines,
        expect_rules: expect.rules.clone().map(order::set),
        expect_block: expect.verdict.map(|it| it == ExpectedVerdict::Block),
    })
}

/// What a root policy and a nested one both define.
struct Definitions {
    groups: BTreeMap<Word, Vec<Word>>,
    test: BTreeMap<Word, file::TestTable>,
    preview: BTreeMap<Word, file::PreviewTable>,
    rule: Vec<file::RuleTable>,
}

/// Reads definitions, whose names are relative to `folder`.
#[derive(Clone, Copy)]
struct Reader<'a> {
    text: Text<'a>,
    /// With its final slash; empty for the root policy.
    folder: &'a str,
}

impl Reader<'_> {
    fn define(self, policy: &mut Policy, written: Definitions) -> Result<(), PolicyError> {
        self.groups(policy, &written.groups)?;
        for (word, table) in written.test {
            let name = self.full(&name(self.text, &word, "a test")?);
            let test = self.test(name.clone(), table)?;
            policy.tests.insert(name, test);
        }
        for (word, table) in written.preview {
            let name = self.full(&name(self.text, &word, "a preview")?);
            let preview = self.preview(policy, name.clone(), table)?;
            policy.previews.insert(name, preview);
        }
        let mut ids = BTreeSet::new();
        for table in written.rule {
            let id = name(self.text, &table.id, "a rule")?;
            if !ids.insert(id.clone()) {
                return Err(self.error(table.id.span(), format!("there is another rule `{id}`")));
            }
            let rule = self.rule(policy, self.full(&id), table)?;
            policy.rules.push(rule);
        }
        Ok(())
    }

    fn error(self, span: Range<usize>, message: impl Into<String>) -> PolicyError {
        self.text.error(span, message)
    }

    /// The name under which the policy keeps what this file calls `name`.
    fn full(self, name: &str) -> String {
        match self.folder.strip_suffix('/') {
            None => name.to_owned(),
            Some(folder) => format!("{folder}:{name}"),
        }
    }

    /// Finds what a word names: this file's own first, then the root's.
    fn find<'p, T>(
        self,
        word: &Word,
        what: &str,
        known: &'p BTreeMap<String, T>,
    ) -> Result<&'p str, PolicyError> {
        let own = self.full(word.get_ref());
        let root = Some(word.get_ref()).filter(|it| !it.contains(':'));
        match known.get_key_value(&own).or_else(|| known.get_key_value(root?)) {
            Some((name, _)) => Ok(name),
            None => Err(self
                .error(word.span(), format!("there is no {what} `{}`", printable(word.get_ref())))
                .meant(word.get_ref(), known.keys().map(String::as_str))),
        }
    }

    /// Groups or people that a list names; never an empty list.
    fn from(self, policy: &Policy, list: &Spanned<Vec<Word>>) -> Result<Vec<String>, PolicyError> {
        if list.get_ref().is_empty() {
            return Err(self.error(list.span(), "this names nobody"));
        }
        list.get_ref().iter().map(|word| self.group_or_person(policy, word)).collect()
    }

    fn group_or_person(self, policy: &Policy, word: &Word) -> Result<String, PolicyError> {
        if policy.people.contains_key(word.get_ref()) {
            return Ok(word.get_ref().clone());
        }
        self.find(word, "group or person", &policy.groups).map(str::to_owned).map_err(|error| {
            let known = policy.groups.keys().chain(policy.people.keys()).map(String::as_str);
            PolicyError { help: None, ..error }.meant(word.get_ref(), known)
        })
    }

    /// Resolves groups of people and groups. The work is bounded, because
    /// groups of groups multiply.
    fn groups(
        self,
        policy: &mut Policy,
        written: &BTreeMap<Word, Vec<Word>>,
    ) -> Result<(), PolicyError> {
        const MOST_STEPS: usize = 1_000_000;
        let mut names = BTreeMap::new();
        for (word, members) in written {
            let short = name(self.text, word, "a group")?;
            if policy.people.contains_key(&short) {
                let message = format!("`{short}` is a person already; a group needs another name");
                return Err(self.error(word.span(), message));
            }
            names.insert(short, members);
        }
        let mut resolved = BTreeMap::new();
        let mut steps = 0;
        for (group, members) in &names {
            let mut people = BTreeSet::new();
            let mut seen = order::set([group.as_str()]);
            let mut left = members.iter().collect::<Vec<_>>();
            while let Some(word) = left.pop() {
                steps += 1;
                if steps > MOST_STEPS {
                    return Err(self.error(word.span(), "the groups of groups are too many"));
                }
                let member = word.get_ref();
                if policy.people.contains_key(member) {
                    people.insert(member.clone());
                } else if let Some((inner, members)) = names.get_key_value(member) {
                    if seen.insert(inner) {
                        left.extend(members.iter());
                    }
                } else if let Some(members) = policy.groups.get(member) {
                    people.extend(members.iter().cloned());
                } else {
                    let known = policy.people.keys().chain(names.keys()).map(String::as_str);
                    let message = format!("there is no person or group `{}`", printable(member));
                    return Err(self.error(word.span(), message).meant(member, known));
                }
            }
            resolved.insert(self.full(group), people);
        }
        policy.groups.extend(resolved);
        Ok(())
    }
}
