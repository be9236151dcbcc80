//! A first policy, proposed from what a repository shows.

use super::change::{Commit, Identity, Oid, RepoPath, printable};
use super::policy::{FILE_NAME, Key, Presence};
use super::signal::catalogue::Catalogue;
use super::signal::detect;

/// What was seen in the repository and on this machine.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The full name of the branch on which changes land.
    pub target: String,
    /// Full names of branches, local and remote, as a remote would name them.
    pub branches: Vec<String>,
    /// What the repository is called.
    pub name: String,
    /// Who has committed, with their numbers of commits, most first.
    pub authors: Vec<(Identity, u64)>,
    /// Who commits here now.
    pub me: Identity,
    /// This person's own public keys, the best first; lines of `.pub` files.
    pub my_keys: Vec<String>,
    /// The lines of git's allowed-signers file.
    pub allowed_signers: String,
    /// The text of CODEOWNERS.
    pub code_owners: String,
    pub files: Vec<RepoPath>,
    pub package_json: String,
    pub makefile: String,
}

/// A policy that a person can still change before it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    pub target: String,
    /// Patterns of further protected refs.
    pub protect: Vec<String>,
    pub repo_id: String,
    pub people: Vec<ProposedPerson>,
    pub tests: Vec<ProposedTest>,
    /// Owners of CODEOWNERS whose addresses are not known.
    pub unknown_owners: Vec<String>,
    /// Folders of Terraform configurations.
    pub terraform: Vec<String>,
}

/// Somebody who may approve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProposedPerson {
    /// The name in the policy.
    pub id: String,
    /// As it stands in commits.
    pub name: String,
    pub emails: Vec<String>,
    /// Public keys in OpenSSH's one-line form, without comments.
    pub keys: Vec<String>,
}

/// A command that shows whether the code works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProposedTest {
    pub name: String,
    pub run: String,
    pub setup: Option<String>,
    pub setup_inputs: Vec<String>,
    /// Which file gave the idea.
    pub because: String,
}

/// More people are not proposed; whoever wants can add them.
const MOST_PEOPLE: usize = 8;

/// Proposes a policy.
pub fn propose(seen: &Seen) -> Proposal {
    let mut people = people(seen);
    give_keys(&mut people, seen);
    Proposal {
        target: seen.target.clone(),
        protect: protect(seen),
        repo_id: slug(&seen.name, "._-/").unwrap_or_else(|| "repository".to_owned()),
        unknown_owners: unknown_owners(&seen.code_owners),
        people,
        tests: tests(seen),
        terraform: terraform(&seen.files),
    }
}

impl Proposal {
    /// Whether one person is all there is.
    pub fn is_solo(&self) -> bool {
        self.people.len() == 1
    }

    /// Whether enough people have keys for somebody to approve every change.
    pub fn is_ready(&self) -> bool {
        let keyed = self.people.iter().filter(|person| !person.keys.is_empty()).count();
        keyed >= if self.is_solo() { 1 } else { 2 }
    }

    /// Those who cannot approve yet.
    pub fn without_keys(&self) -> impl Iterator<Item = &ProposedPerson> {
        self.people.iter().filter(|person| person.keys.is_empty())
    }

    /// Returns the text of `countersign.toml`.
    pub fn write(&self) -> String {
        let mut text = String::new();
        self.write_head(&mut text);
        self.write_people(&mut text);
        self.write_rules(&mut text);
        self.write_tests(&mut text);
        self.write_terraform(&mut text);
        text
    }

    fn write_head(&self, text: &mut String) {
        let mode = if self.is_ready() {
            "mode   = \"enforce\"   # \"observe\" would report everything and block nothing\n"
        } else {
            "mode   = \"observe\"   # reports everything, blocks nothing. Change it to \"enforce\" once two people have keys below\n"
        };
        text.push_str(
            "# What an AI-assisted change must show before it may land here.\n\
             # `countersign policy lint` checks this file, `countersign explain` shows it at work.\n\n\
             schema = 1\n",
        );
        text.push_str(if self.is_solo() && !self.is_ready() {
            "mode   = \"observe\"   # reports everything, blocks nothing. Change it to \"enforce\" once there is a key below\n"
        } else {
            mode
        });
        let protect = [vec![self.target.clone()], self.protect.clone()].concat();
        text.push_str(&format!(
            "\n[trust]\n\
             target  = {}   # this policy is read from the tip of this branch, never from the change under judgment\n\
             protect = {}\n\
             repo_id = {}   # stands in every approval; a fork with its own people must change it\n",
            quote(&self.target),
            list(&protect),
            quote(&self.repo_id),
        ));
        if self.is_solo() {
            text.push_str("solo    = true   # the only human may approve their own change; it is called self-attested, never reviewed\n");
        }
    }

    fn write_people(&self, text: &mut String) {
        text.push_str("\n# Only humans can approve, and only with their keys.\n");
        for person in &self.people {
            text.push_str(&format!(
                "\n[people.{}]   # {}\nkind   = \"human\"\nemails = {}\n",
                person.id,
                printable(&person.name),
                list(&person.emails)
            ));
            if person.keys.is_empty() {
                for line in person.key_instructions() {
                    text.push_str(&format!("# {line}\n"));
                }
            } else {
                let keys = person.keys.iter().map(|key| format!("{{ key = {} }}", quote(key)));
                text.push_str(&format!("keys   = [{}]\n", keys.collect::<Vec<_>>().join(", ")));
            }
        }
        if !self.unknown_owners.is_empty() {
            let owners =
                self.unknown_owners.iter().map(|it| printable(it)).collect::<Vec<_>>().join(", ");
            text.push_str(&format!(
                "\n# CODEOWNERS also names {owners}, whose addresses are not known.\n"
            ));
        }
        if !self.people.is_empty() {
            let ids = self.people.iter().map(|it| it.id.clone()).collect::<Vec<_>>();
            text.push_str(&format!("\n[groups]\nreviewers = {}\n", list(&ids)));
        }
    }

    fn write_rules(&self, text: &mut String) {
        text.push_str(
            "\n[disclosure]\n\
             trailer = \"require\"   # assisted commits name the agent\n\
             write   = true        # the commit hook adds the trailer where it knows better than the message\n\n\
             [[rule]]\n\
             id   = \"assisted-needs-review\"\n\
             why  = \"assisted changes need somebody who did not write or prompt them\"\n\
             when = { assisted = true }\n",
        );
        let from = if self.people.is_empty() { "" } else { ", from = [\"reviewers\"]" };
        text.push_str(&format!("require.approvals = [{{ count = 1{from} }}]\n"));
        if !self.tests.is_empty() {
            let names = self.tests.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
            text.push_str(&format!("require.tests     = {}\n", list(&names)));
        }
        text.push_str(&format!(
            "\n# Changes to the gate itself: this file, and the files that decide whether checks run.\n\
             [[rule]]\n\
             id    = \"policy-change\"\n\
             why   = \"nobody loosens the gate alone\"\n\
             paths = [\"/{FILE_NAME}\"]\n\
             require.approvals = [{{ count = 1{from} }}]\n"
        ));
    }

    fn write_tests(&self, text: &mut String) {
        for test in &self.tests {
            text.push_str(&format!(
                "\n[test.{}]   # because of {}\nrun     = {}\n",
                test.name,
                test.because,
                quote(&test.run)
            ));
            if let Some(setup) = &test.setup {
                text.push_str(&format!("setup   = {}\n", quote(setup)));
                text.push_str(&format!("setup_inputs = {}\n", list(&test.setup_inputs)));
            }
            text.push_str("timeout = \"20m\"\n");
        }
        if self.tests.is_empty() {
            text.push_str(
                "\n# No test command was found. Define one, and let the rule above require it:\n\
                 # [test.unit]\n# run = \"make test\"\n",
            );
        }
    }

    fn write_terraform(&self, text: &mut String) {
        for folder in self.terraform.iter().take(5) {
            let path = if folder.is_empty() { "." } else { folder };
            text.push_str(&format!(
                "\n# {} holds Terraform code. A rule can require a preview of it, made for exactly the tree that lands:\n\
                 # [preview.plan]\n# engine = \"terraform\"\n# root   = {}\n# run    = \"terraform plan -input=false -out={{out}}\"\n# limits = {{ deletes = 0, replaces = 0 }}\n",
                printable(path),
                printable(&quote(path)),
            ));
        }
    }
}

impl ProposedPerson {
    /// How this person gets a key, with the exact lines.
    pub fn key_instructions(&self) -> Vec<String> {
        let email = self.emails.first().map_or(self.id.as_str(), String::as_str);
        let comment =
            shlex::try_quote(email).map_or_else(|_| self.id.clone(), |it| it.into_owned());
        vec![
            format!(
                "{} has no key here yet: `ssh-keygen -t ed25519 -C {comment}` makes one; then stands in `[people.{}]`",
                self.id, self.id
            ),
            "keys = [{ key = \"ssh-ed25519 AAAA…\" }]   # the line of ~/.ssh/id_ed25519.pub"
                .to_owned(),
        ]
    }
}

/// Whether an identity belongs to a program, so that nobody is behind it who
/// could approve: an agent of the catalogue, or automation by its name.
fn is_program(identity: &Identity) -> bool {
    let catalogue = Catalogue::built_in();
    if !detect(catalogue, &commit_by(identity)).is_empty() {
        return true;
    }
    let (name, email) = (identity.name.to_lowercase(), identity.email.to_lowercase());
    let user = email.split('@').next().unwrap_or_default();
    name.ends_with("[bot]")
        || user.ends_with("[bot]")
        || matches!(user, "noreply" | "no-reply" | "bot" | "actions")
        || name.ends_with("-bot")
        || name.ends_with(" bot")
}

/// A commit of which nothing is known but its author.
fn commit_by(author: &Identity) -> Commit {
    let none = Oid::parse(&"0".repeat(40)).expect("40 digits are an id");
    Commit {
        id: none.clone(),
        tree: none,
        parents: Vec::new(),
        author: author.clone(),
        committer: Identity::default(),
        committed: 0,
        signed: false,
        message: String::new(),
    }
}

/// People are told apart by address and by name: one human often has several addresses.
fn people(seen: &Seen) -> Vec<ProposedPerson> {
    let me = std::iter::once((&seen.me, u64::MAX));
    let authors = seen.authors.iter().map(|(identity, commits)| (identity, *commits));
    let mut people = Vec::<ProposedPerson>::new();
    for (identity, _) in me.chain(authors) {
        let email = identity.email.trim().to_lowercase();
        if is_program(identity) || !is_address(&email) {
            continue;
        }
        let name = identity.name.trim().to_lowercase();
        let same = |it: &&mut ProposedPerson| {
            it.emails.contains(&email) || !name.is_empty() && it.name.to_lowercase() == name
        };
        if let Some(person) = people.iter_mut().find(same) {
            if !person.emails.contains(&email) {
                person.emails.push(email);
            }
        } else if people.len() < MOST_PEOPLE {
            let id = free_id(&identity.name, &email, &people);
            people.push(ProposedPerson {
                id,
                name: identity.name.trim().to_owned(),
                emails: vec![email],
                keys: Vec::new(),
            });
        }
    }
    for email in owners(&seen.code_owners).filter(|it| is_address(it)).map(str::to_lowercase) {
        if people.len() < MOST_PEOPLE && !people.iter().any(|it| it.emails.contains(&email)) {
            let id = free_id("", &email, &people);
            people.push(ProposedPerson {
                id,
                name: email.clone(),
                emails: vec![email],
                keys: Vec::new(),
            });
        }
    }
    people
}

fn is_address(text: &str) -> bool {
    text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty())
        && !text.contains(|it: char| it.is_whitespace() || it.is_control() || "<>\"\\".contains(it))
        && printable(text) == text
}

/// The first name, else the whole name, else the address, else a number.
fn free_id(name: &str, email: &str, people: &[ProposedPerson]) -> String {
    let taken = |id: &String| id == "reviewers" || people.iter().any(|it| it.id == *id);
    let first = name.split_whitespace().next().unwrap_or_default();
    let user = email.split('@').next().unwrap_or_default();
    [first, name, user, email]
        .into_iter()
        .filter_map(|text| slug(&text.to_lowercase(), "-_"))
        .find(|id| !taken(id))
        .unwrap_or_else(|| format!("person-{}", people.len() + 1))
}

/// Keeps what a bare TOML key may hold (and `more`), joined by `-`.
fn slug(text: &str, more: &str) -> Option<String> {
    let kept = |it: char| it.is_ascii_alphanumeric() || more.contains(it);
    let words = text.split(|it| !kept(it)).filter(|it| !it.is_empty()).collect::<Vec<_>>();
    let slug = words.join("-").trim_matches(['-', '/', '.']).chars().take(60).collect::<String>();
    (!slug.is_empty()).then_some(slug)
}

fn give_keys(people: &mut [ProposedPerson], seen: &Seen) {
    let mine = seen.me.email.to_lowercase();
    for person in people.iter_mut() {
        if person.emails.contains(&mine) {
            person.keys.extend(seen.my_keys.iter().find_map(|line| public_key(line)));
        }
    }
    for line in seen.allowed_signers.lines().map(str::trim).filter(|it| !it.starts_with('#')) {
        let Some((principals, rest)) = line.split_once([' ', '\t']) else { continue };
        if rest.contains("cert-authority") {
            continue;
        }
        // Options may stand between the principals and the key.
        let starts = rest.match_indices("s").map(|(at, _)| at);
        let key = starts
            .chain(rest.match_indices("ecdsa-").map(|(at, _)| at))
            .find_map(|at| public_key(&rest[at..]));
        let Some(key) = key else { continue };
        let known = people.iter().any(|it| it.keys.contains(&key));
        let owner = people.iter_mut().find(|it| {
            principals
                .split(',')
                .any(|principal| it.emails.contains(&principal.trim_matches('"').to_lowercase()))
        });
        if let (Some(owner), false) = (owner, known) {
            owner.keys.push(key);
        }
    }
}

fn public_key(line: &str) -> Option<String> {
    Key::parse(line, Presence::None).ok().map(|key| key.openssh)
}

fn protect(seen: &Seen) -> Vec<String> {
    let folders = ["refs/heads/release/", "refs/heads/releases/"];
    let used = |folder: &&&str| seen.branches.iter().any(|name| name.starts_with(**folder));
    folders.iter().filter(used).map(|folder| format!("{folder}*")).collect()
}

/// The owners that CODEOWNERS names, in its order, once each line.
fn owners(code_owners: &str) -> impl Iterator<Item = &str> {
    code_owners
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .flat_map(|line| line.split_whitespace().skip(1))
}

fn unknown_owners(code_owners: &str) -> Vec<String> {
    let mut unknown = Vec::new();
    for owner in owners(code_owners).filter(|it| it.starts_with('@')) {
        if !unknown.iter().any(|it| it == owner) && unknown.len() < 20 {
            unknown.push(owner.to_owned());
        }
    }
    unknown
}

fn tests(seen: &Seen) -> Vec<ProposedTest> {
    let has = |name: &str| seen.files.iter().any(|path| path.as_bytes() == name.as_bytes());
    let test = |name: &str, run: &str, because: &str| ProposedTest {
        name: name.to_owned(),
        run: run.to_owned(),
        setup: None,
        setup_inputs: Vec::new(),
        because: because.to_owned(),
    };
    let mut tests = Vec::new();
    if has("Cargo.toml") {
        let run = if has("Cargo.lock") { "cargo test --locked" } else { "cargo test" };
        tests.push(test("cargo", run, "Cargo.toml"));
    }
    tests.extend(node(seen, &has));
    if has("go.mod") {
        tests.push(test("go", "go test ./...", "go.mod"));
    }
    if has("MODULE.bazel") || has("WORKSPACE") || has("WORKSPACE.bazel") {
        tests.push(test("bazel", "bazel test //...", "Bazel's workspace file"));
    }
    if has("pyproject.toml") && seen.files.iter().any(is_python_test) {
        let run = match () {
            () if has("uv.lock") => "uv run pytest",
            () if has("poetry.lock") => "poetry run pytest",
            () => "python3 -m pytest",
        };
        tests.push(test("pytest", run, "pyproject.toml"));
    }
    if seen.files.iter().any(|it| it.as_bytes().ends_with(b".tf")) {
        tests.push(test(
            "terraform-format",
            "terraform fmt -check -recursive",
            "Terraform's files",
        ));
    }
    if tests.is_empty() && seen.makefile.lines().any(|line| line.starts_with("test:")) {
        tests.push(test("make", "make test", "the Makefile"));
    }
    tests
}

fn node(seen: &Seen, has: &impl Fn(&str) -> bool) -> Option<ProposedTest> {
    let package = serde_json::from_str::<serde_json::Value>(&seen.package_json).ok()?;
    let script = package["scripts"]["test"].as_str()?;
    if script.contains("no test specified") {
        return None;
    }
    let managers = [
        ("pnpm-lock.yaml", "pnpm test", "pnpm install --frozen-lockfile"),
        ("yarn.lock", "yarn test", "yarn install --frozen-lockfile"),
        ("bun.lock", "bun run test", "bun install --frozen-lockfile"),
        ("package-lock.json", "npm test", "npm ci"),
    ];
    let found = managers.into_iter().find(|(lock, ..)| has(lock));
    Some(ProposedTest {
        name: "node".to_owned(),
        run: found.map_or("npm test", |(_, run, _)| run).to_owned(),
        setup: found.map(|(.., setup)| setup.to_owned()),
        setup_inputs: found
            .iter()
            .flat_map(|(lock, ..)| [format!("/{lock}"), "/package.json".to_owned()])
            .collect(),
        because: "package.json".to_owned(),
    })
}

fn is_python_test(path: &RepoPath) -> bool {
    let name = path.as_bytes().rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    name.ends_with(b".py") && (name.starts_with(b"test_") || name.ends_with(b"_test.py"))
}

/// Folders that hold a Terraform configuration of their own, modules excepted.
fn terraform(files: &[RepoPath]) -> Vec<String> {
    let mut folders = Vec::new();
    for path in files.iter().filter(|it| it.as_bytes().ends_with(b".tf")) {
        let text = path.to_text();
        let folder = text.rsplit_once('/').map_or("", |(folder, _)| folder);
        let is_module = folder.split('/').any(|part| part == "modules");
        if !is_module && !text.starts_with('"') && !folders.iter().any(|it| it == folder) {
            folders.push(folder.to_owned());
        }
    }
    folders
}

/// Quotes a text without control characters for TOML; JSON's escapes are among TOML's.
fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn list(items: &[String]) -> String {
    format!("[{}]", items.iter().map(|it| quote(it)).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::policy::lint::lint;
    use super::super::policy::{Mode, Policy};
    use super::super::verdict::Level;
    use super::*;

    const ANA: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINb5Tc5HURPZ9A7QuBYTFAqmLEuaA405SvlxB3UliVuZ";
    const BO: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC7J062zgmHM2YXh3jS24mLalUhck2f3FetsVJzDGtu4";

    fn identity(name: &str, email: &str) -> Identity {
        Identity { name: name.to_owned(), email: email.to_owned() }
    }

    fn seen(files: &[&str]) -> Seen {
        Seen {
            target: "refs/heads/main".to_owned(),
            name: "shop".to_owned(),
            me: identity("Ana", "ana@example.com"),
            my_keys: vec![format!("{ANA} ana@laptop")],
            authors: vec![
                (identity("Bo", "bo@example.com"), 9),
                (identity("ANA", "ana@work.example.com"), 5),
                (identity("Claude", "noreply@anthropic.com"), 4),
                (identity("Cursor Agent", "cursoragent@cursor.com"), 4),
                (identity("release[bot]", "1+release[bot]@example.com"), 3),
            ],
            files: files.iter().map(|it| RepoPath::new(*it)).collect(),
            ..Seen::default()
        }
    }

    /// What is written must be valid and clean, whatever was seen.
    #[track_caller]
    fn written(seen: &Seen) -> (String, Policy) {
        let text = propose(seen).write();
        let policy =
            Policy::parse(&text, FILE_NAME).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let wrong = lint(&policy, &seen.files).into_iter().filter(|it| it.level > Level::Note);
        assert_eq!(wrong.collect::<Vec<_>>(), [], "{text}");
        (text, policy)
    }

    #[test]
    fn two_people_of_whom_one_has_a_key_observe() {
        let (text, policy) = written(&seen(&[FILE_NAME, "Cargo.toml", "Cargo.lock"]));
        assert_eq!(policy.mode, Mode::Observe);
        assert_eq!(policy.people["ana"].emails, ["ana@example.com", "ana@work.example.com"]);
        assert!(
            text.contains("# bo has no key here yet: `ssh-keygen -t ed25519 -C bo@example.com`"),
            "{text}"
        );
        assert_eq!(policy.people.len(), 2, "agents and robots approve nothing");
        assert_eq!(policy.groups["reviewers"].len(), 2);
        assert_eq!(policy.tests["cargo"].run, ["cargo", "test", "--locked"]);
    }

    #[test]
    fn two_people_with_keys_enforce() {
        let mut seen = seen(&[FILE_NAME]);
        seen.allowed_signers = format!("# git's\nbo@example.com namespaces=\"git\" {BO} bo\n");
        let (_, policy) = written(&seen);
        assert_eq!(policy.mode, Mode::Enforce);
        assert_eq!(policy.people["bo"].keys[0].openssh, BO);
    }

    #[test]
    fn one_person_is_solo() {
        let mut seen = seen(&[FILE_NAME]);
        seen.authors.clear();
        let (_, policy) = written(&seen);
        assert_eq!((policy.mode, policy.trust.solo), (Mode::Enforce, true));
        seen.my_keys.clear();
        assert_eq!(written(&seen).1.mode, Mode::Observe);
    }

    #[test]
    fn hostile_names_and_nobody_at_all_give_a_valid_policy() {
        let mut seen = seen(&[FILE_NAME, "infra/prod/main.tf", "infra/modules/net/main.tf"]);
        seen.me = identity("\"]\n[trust]\u{202e}", "a\"]@x");
        seen.authors = vec![(identity("]\u{1b}[31m\ntarget = 1", "x@example.com"), 1)];
        seen.name = "\"\n../..".to_owned();
        seen.code_owners = "* @org/team zoe@example.com # all\n/a @org/team\n".to_owned();
        let (text, policy) = written(&seen);
        assert!(policy.people.contains_key("zoe"));
        assert!(text.contains("CODEOWNERS also names @org/team"));
        assert!(text.contains("# infra/prod holds Terraform code"));
        let nobody = Seen { target: "refs/heads/trunk".to_owned(), ..Seen::default() };
        assert_eq!(written(&nobody).1.trust.target, "refs/heads/trunk");
    }

    #[track_caller]
    fn check_tests(files: &[&str], package_json: &str, expected: &[(&str, Option<&str>)]) {
        let mut seen = seen(files);
        seen.files.push(RepoPath::new(FILE_NAME));
        seen.package_json = package_json.to_owned();
        seen.makefile = "all:\ntest: all\n".to_owned();
        written(&seen);
        let found = propose(&seen).tests;
        let found =
            found.iter().map(|it| (it.run.as_str(), it.setup.as_deref())).collect::<Vec<_>>();
        assert_eq!(found, expected);
    }

    #[test]
    fn tests_come_from_what_the_repository_shows() {
        let package = r#"{"scripts":{"test":"jest"}}"#;
        check_tests(
            &["package.json", "package-lock.json"],
            package,
            &[("npm test", Some("npm ci"))],
        );
        check_tests(
            &["package.json", "yarn.lock"],
            package,
            &[("yarn test", Some("yarn install --frozen-lockfile"))],
        );
        check_tests(
            &["package.json"],
            r#"{"scripts":{"test":"echo \"Error: no test specified\""}}"#,
            &[("make test", None)],
        );
        check_tests(
            &["go.mod", "MODULE.bazel"],
            "",
            &[("go test ./...", None), ("bazel test //...", None)],
        );
        check_tests(&["pyproject.toml", "a/test_b.py", "uv.lock"], "", &[("uv run pytest", None)]);
        check_tests(&["pyproject.toml"], "{", &[("make test", None)]);
        check_tests(&["main.tf"], "", &[("terraform fmt -check -recursive", None)]);
    }
}
