//! From the policy as written to the policy that is judged by.
//!
//! Whatever could be misread stops here, with its place: a name that nobody
//! has, a pattern that cannot match, a threshold that assistance would lift.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;

use super::super::change::{Oid, RepoPath, printable};
use super::super::requirement::Requirement;
use super::super::time::parse_length;
use super::error::{PolicyError, Text};
use super::file::{self, Action, Engine, ExpectedVerdict, Word};
use super::key::{is_fingerprint, sha256_hex};
use super::*;
use crate::gate::order;

/// The version that `min_version` is compared with.
const OURS: &str = env!("CARGO_PKG_VERSION");

/// The most attempts after the first.
const MOST_RETRIES: usize = 5;

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

fn people(
    text: Text<'_>,
    written: BTreeMap<Word, file::PersonTable>,
) -> Result<BTreeMap<String, Person>, PolicyError> {
    let mut people = BTreeMap::new();
    for (word, table) in written {
        let name = name(text, &word, "a person")?;
        let mut keys = Vec::new();
        for row in table.keys {
            let key = Key::parse(row.key.get_ref(), row.presence)
                .map_err(|error| text.error(row.key.span(), error.to_string()))?;
            keys.push(Key { cert_authority: row.cert_authority, ..key });
        }
        let mut emails = Vec::new();
        for email in table.emails {
            let lower = email.get_ref().to_lowercase();
            let parts = lower.split_once('@');
            if parts.is_none_or(|(user, host)| user.is_empty() || host.is_empty())
                || lower.contains(|it: char| {
                    it.is_whitespace() || it.is_control() || it == '<' || it == '>'
                })
            {
                return Err(text.error(email.span(), "this is no e-mail address"));
            }
            emails.push(lower);
        }
        people.insert(name.clone(), Person { name, kind: table.kind, emails, keys });
    }
    Ok(people)
}

fn trust(text: Text<'_>, written: file::TrustTable) -> Result<Trust, PolicyError> {
    let target = match &written.target {
        Some(word) => branch(text, word)?,
        None => "refs/heads/main".to_owned(),
    };
    let ledger = match &written.ledger {
        Some(word) => branch(text, word)?,
        None => "refs/heads/countersign-ledger".to_owned(),
    };
    if let Some(word) =
        written.ledger.as_ref().or(written.target.as_ref()).filter(|_| ledger == target)
    {
        return Err(text.error(word.span(), "the ledger cannot be the target"));
    }
    let protect = match &written.protect {
        Some(words) if words.get_ref().is_empty() => {
            return Err(text.error(
                words.span(),
                "no ref would be protected; leave `protect` out for the target alone",
            ));
        }
        Some(words) => {
            for word in words.get_ref() {
                RefPatterns::new(&[word.get_ref().clone()])
                    .map_err(|error| text.error(word.span(), error.to_string()))?;
            }
            plain(words.get_ref())
        }
        None => vec![target.clone()],
    };
    let protect = RefPatterns::new(&protect)
        .map_err(|error| PolicyError::whole(text.from, error.to_string()))?;
    if let Some(words) = written.protect.as_ref().filter(|_| protect.matches(&ledger)) {
        return Err(text.error(
            words.span(),
            format!("`{ledger}` is the ledger, which guards itself; `protect` must not name it"),
        ));
    }
    let gate = match &written.gate {
        Some(words) => globs(text, words)?,
        None => Globs::new(&DEFAULT_GATE.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>())
            .expect("a test compiles the default patterns"),
    };
    for word in [&written.repo_id].into_iter().flatten() {
        let id = word.get_ref();
        if id.trim().is_empty() || id.len() > 200 || id.chars().any(char::is_control) {
            return Err(text.error(word.span(), "`repo_id` is one short line of text"));
        }
    }
    for word in [&written.pusher_env].into_iter().flatten() {
        variable(text, word)?;
    }
    Ok(Trust {
        target,
        protect,
        ledger,
        repo_id: written.repo_id.map(Spanned::into_inner),
        gate,
        solo: written.solo,
        narrow: written.narrow,
        reformatted: written.reformatted.unwrap_or(true),
        unverified_authors: written.unverified_authors,
        pusher_env: written.pusher_env.map(Spanned::into_inner),
    })
}

/// A full branch name, by git's rules for refs (`git check-ref-format`).
fn branch(text: Text<'_>, word: &Word) -> Result<String, PolicyError> {
    let name = word.get_ref();
    let Some(short) = name.strip_prefix("refs/heads/") else {
        let error =
            text.error(word.span(), format!("`{}` is no full branch name", printable(name)));
        return Err(if name.starts_with("refs/") {
            error.help("it must be a branch, below `refs/heads/`")
        } else {
            error.help(format!("write `refs/heads/{}`", printable(name)))
        });
    };
    let bad_part = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
    let bad_char = |it: char| it.is_control() || " ~^:?*[\\".contains(it);
    if short.split('/').any(bad_part)
        || short.contains(bad_char)
        || short.contains("..")
        || short.contains("@{")
        || short.ends_with('.')
    {
        return Err(text.error(word.span(), "git allows no branch of this name"));
    }
    Ok(name.clone())
}

fn revoked(text: Text<'_>, written: file::RevokedTable) -> Result<Revoked, PolicyError> {
    if !is_fingerprint(written.key.get_ref()) {
        return Err(text
            .error(written.key.span(), "this is no fingerprint of a key")
            .help("`ssh-keygen -lf KEY.pub` prints it: `SHA256:` and 43 characters"));
    }
    let after = match written.after {
        None => None,
        Some(word) => match word.get_ref().strip_prefix("ledger:").and_then(Oid::parse) {
            Some(oid) => Some(oid),
            None => {
                return Err(text
                    .error(word.span(), "this is no place in the ledger")
                    .help("write `ledger:` and the whole id of a commit of the ledger branch"));
            }
        },
    };
    Ok(Revoked { key: written.key.into_inner(), after, why: written.why })
}

fn disclosure(text: Text<'_>, written: file::DisclosureTable) -> Result<Disclosure, PolicyError> {
    let key = match written.key {
        None => "Assisted-by".to_owned(),
        Some(word) => {
            let is_token = |it: &str| {
                it.starts_with(|first: char| first.is_ascii_alphanumeric())
                    && it.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            };
            if !is_token(word.get_ref()) {
                return Err(
                    text.error(word.span(), "a trailer's key is made of letters, digits and `-`")
                );
            }
            word.into_inner()
        }
    };
    Ok(Disclosure { trailer: written.trailer, key, strict: written.strict, write: written.write })
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

    fn test(self, name: String, table: file::TestTable) -> Result<TestCommand, PolicyError> {
        if let Some(list) = table.inputs.as_ref().filter(|it| it.get_ref().is_empty()) {
            let message = "a test that depends on nothing proves nothing; leave `inputs` out for the whole tree";
            return Err(self.error(list.span(), message));
        }
        let inputs = table.inputs.map(|it| self.globs_below(it.get_ref())).transpose()?;
        let setup_inputs = table.setup_inputs.map(|it| self.globs_below(&it)).transpose()?;
        for variable_name in &table.env {
            variable(self.text, variable_name)?;
        }
        let mut test = TestCommand {
            name,
            run: self.words(&table.run)?,
            setup: table.setup.map(|it| self.words(&it)).transpose()?,
            setup_inputs,
            inputs,
            timeout: match &table.timeout {
                Some(word) => self.length(word)?,
                None => Duration::from_secs(600),
            },
            reports: Reports {
                junit: self.paths(&table.reports.junit)?,
                coverage: self.paths(&table.reports.coverage)?,
            },
            prove: None,
            mutate: None,
            tests: table.tests.map(|it| self.globs_below(it.get_ref())).transpose()?,
            on_merge: table.on.as_ref().is_some_and(|it| *it.get_ref() == file::OnWord::Merge),
            tier: table.tier,
            retries: self.retries(table.retries.as_ref())?,
            wrap: table.wrap.map(|it| self.words(&it)).transpose()?.unwrap_or_default(),
            network: table.network.unwrap_or(true),
            packages: None,
            accept: self.accept(table.accept.as_ref())?,
            env: plain(&table.env),
            not_evaluable: Vec::new(),
            digest: String::new(),
        };
        if let (Some(on), Some(_), true) = (&table.on, &table.prove, test.on_merge) {
            let message =
                "a proof takes lines out of the head, so `prove` goes with `on = \"head\"`";
            return Err(self.error(on.span(), message));
        }
        if let Some(prove) = &table.prove {
            let compares = *prove.get_ref() == file::ProveWord::Revert;
            if compares && test.reports.junit.is_empty() {
                let message =
                    "a proof compares tests by name, so `reports` has to name a JUnit file";
                return Err(self.error(prove.span(), message));
            }
            match prove.get_ref() {
                file::ProveWord::Revert => test.prove = Some(Prove::Revert),
                file::ProveWord::Mutate => test.prove = Some(Prove::Mutate),
            }
        }
        if let Some(mutate) = &table.mutate {
            if test.prove != Some(Prove::Mutate) {
                let message = "`mutate` says how, and `prove = \"mutate\"` that it is to be done";
                return Err(self.error(mutate.span(), message));
            }
            test.mutate = Some(self.mutation_tool(mutate.get_ref())?);
        }
        test.packages = self.packages(&test, table.run.span(), table.packages, table.workspace)?;
        test.digest = digest(self.folder, &test);
        Ok(test)
    }

    fn retries(self, number: Option<&Spanned<u64>>) -> Result<usize, PolicyError> {
        match number {
            None => Ok(0),
            Some(number) => usize::try_from(*number.get_ref())
                .ok()
                .filter(|it| *it <= MOST_RETRIES)
                .ok_or_else(|| {
                    let message = format!(
                        "a test that fails {MOST_RETRIES} times and passes once has failed"
                    );
                    self.error(number.span(), message)
                }),
        }
    }

    /// Of which packages a test runs those that the change affects.
    fn packages(
        self,
        test: &TestCommand,
        run: Range<usize>,
        word: Option<Spanned<file::PackagesWord>>,
        workspace: Option<Word>,
    ) -> Result<Option<Selection>, PolicyError> {
        let asks = |words: &[String]| words.iter().any(|it| packages::is_placeholder(it));
        if test.setup.as_deref().is_some_and(asks) || asks(&test.wrap) {
            let message = "`{packages}` belongs into `run` alone";
            return Err(self.error(run, message));
        }
        let ecosystem = match word.map(Spanned::into_inner) {
            Some(file::PackagesWord::Cargo) => Ecosystem::Cargo,
            Some(file::PackagesWord::Node) => Ecosystem::Node,
            Some(file::PackagesWord::Go) => Ecosystem::Go,
            Some(file::PackagesWord::Python) => Ecosystem::Python,
            None if asks(&test.run) => {
                let program = test.run.first().and_then(|it| Ecosystem::of_program(it));
                program.ok_or_else(|| {
                    let known = Ecosystem::ALL.map(|it| format!("\"{}\"", it.word())).join(", ");
                    let message = format!("whose packages `{{packages}}` names is not clear; write `packages` as one of {known}");
                    self.error(run.clone(), message)
                })?
            }
            None => {
                return match workspace {
                    Some(word) => {
                        let message =
                            "a test without `packages` or `{packages}` runs for all of them";
                        Err(self.error(word.span(), message))
                    }
                    None => Ok(None),
                };
            }
        };
        let root = workspace.as_ref().map(|it| self.path(it)).transpose()?.unwrap_or_default();
        Ok(Some(Selection { ecosystem, root: root.trim_matches('/').to_owned() }))
    }

    fn mutation_tool(self, table: &file::MutateTable) -> Result<MutationTool, PolicyError> {
        Ok(MutationTool {
            run: self.words(&table.run)?,
            report: self.path(&table.report)?,
            timeout: match &table.timeout {
                Some(word) => self.length(word)?,
                None => Duration::from_secs(1200),
            },
        })
    }

    fn preview(
        self,
        policy: &Policy,
        name: String,
        table: file::PreviewTable,
    ) -> Result<PreviewCommand, PolicyError> {
        let limits = &table.limits;
        let written_limits = [
            ("deletes", limits.deletes),
            ("replaces", limits.replaces),
            ("removals", limits.removals),
            ("forgets", limits.forgets),
            ("places", limits.places),
        ];
        Ok(PreviewCommand {
            name,
            engine: engine_word(table.engine).to_owned(),
            root: table.root.as_ref().map(|it| self.path(it)).transpose()?,
            run: table.run.map(|it| self.words_of_preview(&it)).transpose()?,
            max_age: table.max_age.as_ref().map(|it| self.length(it)).transpose()?,
            accept: self.accept(table.accept.as_ref())?,
            env: plain(&table.env),
            timeout: match &table.timeout {
                Some(word) => self.length(word)?,
                None => Duration::from_secs(600),
            },
            generated: self.globs_below(&table.generated)?,
            limits: written_limits
                .into_iter()
                .filter_map(|(name, limit)| Some((name.to_owned(), limit?)))
                .collect(),
            protect: table
                .protect
                .into_iter()
                .map(|it| self.protect(policy, it))
                .collect::<Result<_, _>>()?,
        })
    }

    fn protect(
        self,
        policy: &Policy,
        table: file::ProtectTable,
    ) -> Result<PreviewProtect, PolicyError> {
        if table.types.get_ref().is_empty() {
            return Err(self.error(table.types.span(), "no type would be protected"));
        }
        if table.actions.get_ref().is_empty() {
            return Err(self.error(table.actions.span(), "no action would be protected"));
        }
        Ok(PreviewProtect {
            types: plain(table.types.get_ref()),
            actions: table.actions.get_ref().iter().map(|it| action_word(*it).to_owned()).collect(),
            from: table.from.map(|it| self.from(policy, &it)).transpose()?.unwrap_or_default(),
            count: self.count(table.count.as_ref())?,
        })
    }

    fn rule(
        self,
        policy: &Policy,
        id: String,
        table: file::RuleTable,
    ) -> Result<Rule, PolicyError> {
        if let Some(list) = table.paths.as_ref().filter(|it| it.get_ref().is_empty()) {
            let message = "a rule about no paths would never apply; leave `paths` out for all";
            return Err(self.error(list.span(), message));
        }
        let (deny, deny_stage) = match &table.deny {
            None => (false, Stage::Commit),
            Some(switch) => {
                (switch.on, switch.stage.as_ref().map_or(Stage::Commit, |it| *it.get_ref()))
            }
        };
        Ok(Rule {
            id,
            why: table.why,
            scope: Scope {
                folder: self.folder.to_owned(),
                paths: table.paths.map(|it| self.globs_below(it.get_ref())).transpose()?,
                except: self.globs_below(&table.except)?,
            },
            when: table.when.map(|it| self.when(it.into_inner())).transpose()?.unwrap_or_default(),
            unless: table
                .unless
                .map(|it| self.from(policy, &it.author).map(|author| Unless { author }))
                .transpose()?,
            require: self.require(policy, table.require, &table.id)?,
            deny,
            deny_stage,
        })
    }

    fn when(self, table: file::WhenTable) -> Result<When, PolicyError> {
        for word in [&table.assisted, &table.unattributed].into_iter().flatten() {
            if !word.get_ref() {
                let message = "this would let a mark lift the rule, and marks only ever raise what is required";
                return Err(self
                    .error(word.span(), message)
                    .help("leave the key out to match every change"));
            }
        }
        if let Some(list) = table.agents.as_ref().filter(|it| it.get_ref().is_empty()) {
            return Err(self.error(list.span(), "a rule about no agents would never apply"));
        }
        Ok(When {
            assisted: table.assisted.map(Spanned::into_inner),
            unattributed: table.unattributed.map(Spanned::into_inner),
            agents: table.agents.map(|it| plain(it.get_ref())),
            share: table.share.map(|it| self.comparison(&it, true)).transpose()?,
            lines: table.lines.map(|it| self.comparison(&it, false)).transpose()?,
            files: table.files.map(|it| self.comparison(&it, false)).transpose()?,
        })
    }

    /// Reads `">0.5"`; a share lies between 0 and 1, anything else is whole.
    fn comparison(self, word: &Word, share: bool) -> Result<Comparison, PolicyError> {
        let example = if share { "\">0.5\"" } else { "\">400\"" };
        let text = word.get_ref().trim();
        if text.starts_with('<') || text.starts_with('=') {
            let message = "more assistance or a bigger change would lift this rule";
            return Err(self
                .error(word.span(), message)
                .help(format!("write a bound that is exceeded, as {example}")));
        }
        let (or_equal, number) = match (text.strip_prefix(">="), text.strip_prefix('>')) {
            (Some(number), _) => (true, number),
            (None, Some(number)) => (false, number),
            (None, None) => return Err(self.no_comparison(word, example)),
        };
        let thousandths =
            thousandths(number.trim()).ok_or_else(|| self.no_comparison(word, example))?;
        let reachable = !share || thousandths < 1000 || or_equal && thousandths == 1000;
        if !reachable {
            return Err(
                self.error(word.span(), "a share lies between 0 and 1, so this is never reached")
            );
        }
        if !share && thousandths % 1000 != 0 {
            return Err(self.no_comparison(word, example));
        }
        Ok(Comparison { or_equal, thousandths })
    }

    fn no_comparison(self, word: &Word, example: &str) -> PolicyError {
        self.error(word.span(), format!("this is no bound; write it as {example}"))
    }

    fn require(
        self,
        policy: &Policy,
        table: file::RequireTable,
        id: &Word,
    ) -> Result<Vec<StagedRequirement>, PolicyError> {
        let mut require = Vec::new();
        if let Some(approvals) = &table.approvals {
            if approvals.get_ref().is_empty() {
                return Err(self.error(approvals.span(), "this asks for no approval"));
            }
            if policy.trust.repo_id.is_none() {
                return Err(self
                    .error(id.span(), "rules that ask for approvals need `repo_id` in `[trust]`")
                    .help("approvals name the repository they are for: add `repo_id = \"NAME\"` to `[trust]`"));
            }
            require.extend(self.approvals(policy, approvals.get_ref())?);
        }
        if let Some(names) = &table.tests {
            let found = self.names(names, "test", &policy.tests)?;
            require.push(self.staged(Requirement::Tests(found), names.get_ref().stage.as_ref())?);
        }
        if let Some(coverage) = &table.coverage {
            let min = *coverage.min.get_ref();
            if !(min > 0.0 && min <= 1.0) {
                return Err(self.error(
                    coverage.min.span(),
                    "`min` is a part of the lines, above 0 and at most 1",
                ));
            }
            let requirement = Requirement::Coverage(thousandths_of_part(min));
            require.push(self.staged(requirement, coverage.stage.as_ref())?);
        }
        if let Some(names) = &table.preview {
            let found = self.names(names, "preview", &policy.previews)?;
            require.push(self.staged(Requirement::Preview(found), names.get_ref().stage.as_ref())?);
        }
        if let Some(switch) = table.disclosure.as_ref().filter(|it| it.on) {
            require.push(self.staged(Requirement::Disclosure, switch.stage.as_ref())?);
        }
        Ok(require)
    }

    /// Approvals of one stage are one requirement.
    fn approvals(
        self,
        policy: &Policy,
        tables: &[file::ApprovalTable],
    ) -> Result<Vec<StagedRequirement>, PolicyError> {
        let mut stages = BTreeMap::<Stage, Vec<ApprovalRule>>::new();
        for table in tables {
            let rule = ApprovalRule {
                count: self.count(table.count.as_ref())?,
                from: table
                    .from
                    .as_ref()
                    .map(|it| self.from(policy, it))
                    .transpose()?
                    .unwrap_or_default(),
                presence: table.presence,
                carry: table.carry,
                max_age: table.max_age.as_ref().map(|it| self.length(it)).transpose()?,
            };
            let stage =
                self.staged(Requirement::Approvals(Vec::new()), table.stage.as_ref())?.stage;
            stages.entry(stage).or_default().push(rule);
        }
        let staged = |(stage, rules)| StagedRequirement {
            requirement: Requirement::Approvals(rules),
            stage,
        };
        Ok(stages.into_iter().map(staged).collect())
    }

    /// Puts a requirement at its stage. At `commit` nothing exists yet that
    /// could be approved, tested or previewed: reviewers could not fetch it.
    fn staged(
        self,
        requirement: Requirement,
        stage: Option<&Spanned<Stage>>,
    ) -> Result<StagedRequirement, PolicyError> {
        let chosen = stage.map_or(requirement.default_stage(), |it| *it.get_ref());
        match stage {
            Some(stage) if chosen == Stage::Commit && requirement != Requirement::Disclosure => {
                let message = format!(
                    "`{}` cannot be enforced at `commit`: what is judged is not there yet",
                    requirement.word()
                );
                Err(self.error(stage.span(), message).help("use `push` or `merge`"))
            }
            Some(_) | None => Ok(StagedRequirement { requirement, stage: chosen }),
        }
    }

    fn names<T>(
        self,
        names: &Spanned<file::Names>,
        what: &str,
        known: &BTreeMap<String, T>,
    ) -> Result<Vec<String>, PolicyError> {
        if names.get_ref().names.is_empty() {
            return Err(self.error(names.span(), format!("this names no {what}")));
        }
        let mut found = Vec::new();
        for word in &names.get_ref().names {
            let name = self.find(word, what, known).map_err(|error| match &error.help {
                Some(_) => error,
                None => {
                    error.help(format!("define it as `[{what}.{}]`", printable(word.get_ref())))
                }
            })?;
            if !found.iter().any(|it| it == name) {
                found.push(name.to_owned());
            }
        }
        Ok(found)
    }

    fn waiver(self, policy: &Policy, table: file::WaiverTable) -> Result<WaiverRule, PolicyError> {
        Ok(WaiverRule {
            from: self.from(policy, &table.from)?,
            max: self.length(&table.max)?,
            review_within: table.review_within.as_ref().map(|it| self.length(it)).transpose()?,
            never: table.never,
        })
    }

    fn count(self, count: Option<&Spanned<u64>>) -> Result<usize, PolicyError> {
        let Some(count) = count else { return Ok(1) };
        match usize::try_from(*count.get_ref()) {
            Ok(number @ 1..=1000) => Ok(number),
            Ok(_) | Err(_) => {
                Err(self.error(count.span(), "`count` is at least 1 and at most 1000"))
            }
        }
    }

    fn accept(self, list: Option<&Spanned<Vec<Accept>>>) -> Result<BTreeSet<Accept>, PolicyError> {
        match list {
            Some(list) if list.get_ref().is_empty() => {
                Err(self.error(list.span(), "no result would ever count"))
            }
            Some(list) => Ok(order::set(list.get_ref().iter().copied())),
            None => Ok(BTreeSet::new()),
        }
    }

    fn length(self, word: &Word) -> Result<Duration, PolicyError> {
        match parse_length(word.get_ref()) {
            Some(length) if !length.is_zero() => Ok(length),
            Some(_) | None => Err(self
                .error(word.span(), "this is no length of time")
                .help("write it as `90s`, `10m`, `24h`, `30d` or `2w`")),
        }
    }

    fn words(self, words: &Spanned<file::Words>) -> Result<Vec<String>, PolicyError> {
        let list = match words.get_ref() {
            file::Words::List(list) => list.clone(),
            file::Words::Text(text) => shlex::split(text).ok_or_else(|| {
                self.error(words.span(), "a quotation in this command does not end")
            })?,
        };
        if list.first().is_none_or(String::is_empty) {
            return Err(self.error(words.span(), "this command has no program"));
        }
        if list.iter().any(|word| word.contains('\0')) {
            return Err(self.error(words.span(), "a command cannot hold a NUL character"));
        }
        Ok(list)
    }

    /// A dry run is about one root, whatever packages there are.
    fn words_of_preview(self, words: &Spanned<file::Words>) -> Result<Vec<String>, PolicyError> {
        let list = self.words(words)?;
        if list.iter().any(|it| packages::is_placeholder(it)) {
            return Err(self.error(words.span(), "a preview has no `{packages}`"));
        }
        Ok(list)
    }

    fn paths(self, paths: &file::Paths) -> Result<Vec<String>, PolicyError> {
        paths.0.iter().map(|it| self.path(it)).collect()
    }

    /// A path below the repository's root.
    fn path(self, word: &Word) -> Result<String, PolicyError> {
        let path = word.get_ref();
        let bad = |part: &str| matches!(part, "" | ".." | ".git");
        let trimmed = path.strip_suffix('/').unwrap_or(path);
        if trimmed.split('/').any(bad) || path.contains(['\0', '\\']) {
            let message = format!("`{}` is no path below the root", printable(path));
            return Err(self.error(word.span(), message));
        }
        Ok(trimmed.to_owned())
    }

    fn globs_below(self, words: &[Word]) -> Result<Globs, PolicyError> {
        globs(self.text, words)?;
        Globs::below(self.folder, &plain(words))
            .map_err(|error| PolicyError::whole(self.text.from, error.to_string()))
    }
}

/// Compiles patterns; an error stands at the pattern that is wrong.
fn globs(text: Text<'_>, words: &[Word]) -> Result<Globs, PolicyError> {
    for word in words {
        Globs::new(std::slice::from_ref(word.get_ref()))
            .map_err(|error| text.error(word.span(), error.to_string()))?;
    }
    Globs::new(&plain(words)).map_err(|error| PolicyError::whole(text.from, error.to_string()))
}

fn plain(words: &[Word]) -> Vec<String> {
    words.iter().map(|it| it.get_ref().clone()).collect()
}

/// Names stand in reports, record files and commands, so they are one plain
/// word; `:` is kept for the names of nested policies.
fn name(text: Text<'_>, word: &Word, what: &str) -> Result<String, PolicyError> {
    let name = word.get_ref();
    let plain = |it: char| it.is_alphanumeric() || "._-+@".contains(it);
    if name.is_empty()
        || name.starts_with('-')
        || name.chars().count() > 100
        || !name.chars().all(plain)
    {
        let message = format!("{what} is named by letters, digits and `.`, `_`, `-`, `+`, `@`");
        return Err(text.error(word.span(), message));
    }
    Ok(name.clone())
}

fn variable(text: Text<'_>, word: &Word) -> Result<(), PolicyError> {
    let name = word.get_ref();
    let valid = |it: &str| {
        it.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && it.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if valid(name) { Ok(()) } else { Err(text.error(word.span(), "this is no name of a variable")) }
}

/// Reads a decimal number of at most three places as thousandths.
fn thousandths(text: &str) -> Option<u64> {
    let (whole, places) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |it: &str| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(places) || places.len() > 3 {
        return None;
    }
    let padded = format!("{places:0<3}");
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(padded.parse().ok()?)
}

/// `part` lies between 0 and 1, so that its thousandths are a small number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the caller has checked the range"
)]
fn thousandths_of_part(part: f64) -> u64 {
    ((part * 1000.0).round() as u64).max(1)
}

/// What a test's results depend on as far as the policy goes. Who may report
/// them (`accept`) is not part of it.
fn digest(folder: &str, test: &TestCommand) -> String {
    let patterns = |globs: &Option<Globs>| globs.as_ref().map(|it| it.patterns.clone());
    let mut definition = serde_json::json!({
        "coverage": test.reports.coverage,
        "env": test.env,
        "folder": folder,
        "inputs": patterns(&test.inputs),
        "junit": test.reports.junit,
        "run": test.run,
        "setup": test.setup,
        "setup_inputs": patterns(&test.setup_inputs),
        "timeout": test.timeout.as_secs(),
    });
    // What a table does not say leaves its digest as it was.
    if test.on_merge {
        definition["on"] = "merge".into();
    }
    if test.retries > 0 {
        definition["retries"] = test.retries.into();
    }
    if !test.wrap.is_empty() {
        definition["wrap"] = serde_json::json!(test.wrap);
    }
    if !test.network {
        definition["network"] = false.into();
    }
    if let Some(selection) = &test.packages {
        definition["packages"] = selection.ecosystem.word().into();
        definition["workspace"] = selection.root.as_str().into();
    }
    if let Some(tool) = &test.mutate {
        definition["mutate"] = serde_json::json!([tool.run, tool.report, tool.timeout.as_secs()]);
    }
    sha256_hex(definition.to_string().as_bytes())
}

fn engine_word(engine: Engine) -> &'static str {
    match engine {
        Engine::Terraform => "terraform",
        Engine::Opentofu => "opentofu",
        Engine::Cloudformation => "cloudformation",
        Engine::Pulumi => "pulumi",
        Engine::Kubernetes => "kubernetes",
        Engine::Json => "json",
    }
}

fn action_word(action: Action) -> &'static str {
    match action {
        Action::Create => "create",
        Action::Update => "update",
        Action::Delete => "delete",
        Action::Replace => "replace",
        Action::Removal => "removal",
        Action::Forget => "forget",
    }
}
