//! The catalogue of agents, as data, and the indexes that make it fast.

use std::sync::{LazyLock, OnceLock};

use fnv::FnvHashMap;
use serde::{Deserialize, Serialize};

use super::lexicon::{Class, Lexicon};

/// The catalogue, `agents.toml`, as JSON without its examples: build.rs writes
/// it, since every hook of a commit reads it.
const AGENTS: &str = include_str!(concat!(env!("OUT_DIR"), "/agents.json"));

/// The id of an agent that is not named ("Assisted-by: AI") or not known.
pub const UNKNOWN: &str = "unknown-ai";

/// One agent and the marks it leaves: a row of the built-in catalogue
/// (`agents.toml`), or an `[[agent]]` of a policy. All lists may be empty.
///
/// Patterns compare without regard to case, and `*` stands for any text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// Lower-case words joined by `-`. The id of a built-in row adds to that row.
    pub id: String,
    /// The product's name, for people.
    #[serde(default)]
    pub name: Option<String>,
    /// `NAME <ADDRESS>`, `<ADDRESS>` or `NAME`: who commits, or is credited in a trailer.
    #[serde(default)]
    pub identities: Vec<String>,
    /// As `identities`, but never for a committer.
    #[serde(default)]
    pub authors: Vec<String>,
    /// `Key: VALUE` patterns; `<ADDRESS>` is the same as in `identities`.
    #[serde(default)]
    pub trailers: Vec<String>,
    /// Patterns of whole lines, without decoration around them.
    #[serde(default)]
    pub footers: Vec<String>,
    /// Lines by which an agent says that it reviewed: never assistance.
    #[serde(default)]
    pub reviews: Vec<String>,
    /// Words by which a disclosure (`Assisted-by`, "Generated with …") names the tool.
    #[serde(default)]
    pub tools: Vec<String>,
    /// As `tools`, for words that people use too: they count only where
    /// nothing but agents, models and versions stands around them.
    #[serde(default)]
    pub names: Vec<String>,
    /// Words by which a disclosure names a model that points to this agent,
    /// unless the disclosure names a tool as well.
    #[serde(default)]
    pub models: Vec<String>,
    /// Prefixes of branch names.
    #[serde(default)]
    pub branches: Vec<String>,
    /// `NAME=VALUE` patterns that must all hold, joined by a blank; `!NAME` for a variable that must not be set.
    #[serde(default)]
    pub environment: Vec<String>,
    /// Exact names of executables.
    #[serde(default)]
    pub processes: Vec<String>,
    #[serde(default)]
    pub examples: Examples,
}

/// What a row must and must not match, each as `author: NAME <ADDRESS>`,
/// `committer: …`, `message: …`, `branch: …`, `variables: NAME=VALUE …` or
/// `process: …`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Examples {
    #[serde(default)]
    pub matching: Vec<String>,
    #[serde(default)]
    pub other: Vec<String>,
}

/// What is wrong with an agent's row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgentError {
    #[error("agent id `{0}` is not lower-case words joined by `-`")]
    Id(String),
    #[error("agent `{id}` has an empty or too wide pattern `{pattern}` in `{list}`")]
    Pattern { id: String, list: &'static str, pattern: String },
    #[error("agent `{id}` names no mark")]
    NoMarks { id: String },
}

impl Agent {
    /// Checks the row by itself: its id, that it names a mark at all, and that
    /// no pattern would match everything.
    pub fn validate(&self) -> Result<(), AgentError> {
        if !is_id(&self.id) {
            return Err(AgentError::Id(self.id.clone()));
        }
        let mut any = false;
        for (list, patterns) in self.lists() {
            for pattern in patterns {
                any = true;
                if pattern.chars().filter(|it| it.is_alphanumeric()).count() < 2 {
                    let pattern = pattern.clone();
                    return Err(AgentError::Pattern { id: self.id.clone(), list, pattern });
                }
            }
        }
        if any { Ok(()) } else { Err(AgentError::NoMarks { id: self.id.clone() }) }
    }

    fn lists(&self) -> [(&'static str, &Vec<String>); 11] {
        [
            ("identities", &self.identities),
            ("authors", &self.authors),
            ("trailers", &self.trailers),
            ("footers", &self.footers),
            ("reviews", &self.reviews),
            ("tools", &self.tools),
            ("names", &self.names),
            ("models", &self.models),
            ("branches", &self.branches),
            ("environment", &self.environment),
            ("processes", &self.processes),
        ]
    }
}

/// Agents with their marks, indexed.
#[derive(Clone, Debug)]
pub struct Catalogue {
    agents: Vec<Agent>,
    pub(super) unknown: usize,
    pub(super) branches: Vec<(String, usize)>,
    pub(super) environment: Vec<(Vec<Condition>, usize)>,
    pub(super) processes: FnvHashMap<String, usize>,
    /// Only who reads a commit needs it.
    texts: OnceLock<Texts>,
}

/// The marks that stand in commits.
#[derive(Clone, Debug, Default)]
struct Texts {
    /// By address, without the number before a forge's login.
    addresses: FnvHashMap<String, Vec<Holder>>,
    /// By whole name.
    names: FnvHashMap<String, Holder>,
    /// Patterns with a `*` in the address, or in a name without one.
    wide: Vec<(String, Option<String>, Holder)>,
    /// By lower-case key: the value's pattern, whose, and whether it is a review.
    keys: FnvHashMap<String, Vec<Line>>,
    /// By first byte, lower-cased.
    footers: FnvHashMap<u8, Vec<Line>>,
    links: Vec<(String, usize)>,
    lexicon: Lexicon,
}

/// Whose a name or an address is.
#[derive(Clone, Debug)]
struct Holder {
    name: Option<String>,
    agent: usize,
    authors_only: bool,
}

/// A pattern of a line or a value.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pattern: String,
    pub(super) agent: usize,
    pub(super) review: bool,
}

/// One part of an `environment` entry.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    Set { name: String, pattern: String },
    Unset { name: String },
}

impl Catalogue {
    /// The catalogue that is part of the binary.
    pub fn built_in() -> &'static Catalogue {
        static BUILT_IN: LazyLock<Catalogue> = LazyLock::new(|| {
            let agents = serde_json::from_str(AGENTS).expect("a test reads the same bytes");
            Catalogue::new(agents)
        });
        &BUILT_IN
    }

    /// The built-in rows as they are written, with their examples.
    pub fn rows() -> Vec<Agent> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            agent: Vec<Agent>,
        }
        let file: File =
            toml::from_str(include_str!("agents.toml")).expect("a test reads the same bytes");
        file.agent
    }

    /// The same, with a policy's agents; a row with a known id adds to it.
    pub fn extended(&self, extra: &[Agent]) -> Catalogue {
        let mut agents = self.agents.clone();
        for row in extra {
            match agents.iter_mut().find(|agent| agent.id == row.id) {
                Some(agent) => agent.add(row),
                None => agents.push(row.clone()),
            }
        }
        Catalogue::new(agents)
    }

    /// Whether an id is one of ours.
    pub fn knows(&self, agent: &str) -> bool {
        self.agents.iter().any(|row| row.id == agent)
    }

    /// The rows.
    pub fn agents(&self) -> &[Agent] {
        &self.agents
    }

    pub(super) fn number(&self, id: &str) -> Option<usize> {
        self.agents.iter().position(|row| row.id.eq_ignore_ascii_case(id))
    }

    pub(super) fn id(&self, agent: usize) -> &str {
        &self.agents[agent].id
    }

    fn new(agents: Vec<Agent>) -> Catalogue {
        let unknown = agents.iter().position(|agent| agent.id == UNKNOWN);
        let mut catalogue = Catalogue {
            unknown: unknown.expect("the built-in rows are always part, and a test finds this one"),
            branches: Vec::new(),
            environment: Vec::new(),
            processes: FnvHashMap::default(),
            texts: OnceLock::new(),
            agents: Vec::new(),
        };
        for (number, agent) in agents.iter().enumerate() {
            catalogue.index(number, agent);
        }
        catalogue.agents = agents;
        catalogue
    }

    fn texts(&self) -> &Texts {
        self.texts.get_or_init(|| {
            let mut texts = Texts::default();
            for (number, agent) in self.agents.iter().enumerate() {
                texts.index(number, agent);
            }
            texts
        })
    }

    pub(super) fn lexicon(&self) -> &Lexicon {
        &self.texts().lexicon
    }

    pub(super) fn links(&self) -> &[(String, usize)] {
        &self.texts().links
    }

    fn index(&mut self, number: usize, agent: &Agent) {
        for prefix in &agent.branches {
            self.branches.push((prefix.to_ascii_lowercase(), number));
        }
        for entry in &agent.environment {
            self.environment
                .push((entry.split_whitespace().map(Condition::parse).collect(), number));
        }
        for name in &agent.processes {
            self.processes.insert(name.clone(), number);
        }
    }

    /// Whose an identity is. `committer`: rows that only authors carry are left out.
    pub(super) fn holder(&self, name: &str, address: &str, committer: bool) -> Option<usize> {
        let address = address.to_ascii_lowercase();
        let fits = |it: &Holder| !(committer && it.authors_only);
        let texts = self.texts();
        let by_address = texts.addresses.get(without_number(&address)).and_then(|holders| {
            holders.iter().find(|it| it.name.as_ref().is_none_or(|own| glob(own, name)) && fits(it))
        });
        by_address
            .or_else(|| texts.names.get(&name.to_ascii_lowercase()).filter(|it| fits(it)))
            .or_else(|| {
                let wide = texts.wide.iter().find(|(own, pattern, it)| {
                    fits(it)
                        && glob(own, name)
                        && pattern.as_ref().is_none_or(|pattern| glob(pattern, &address))
                });
                wide.map(|(_, _, it)| it)
            })
            .map(|it| it.agent)
    }

    /// The patterns of a trailer's key.
    pub(super) fn key(&self, key: &str, value: &str) -> Option<&Line> {
        self.texts().keys.get(key)?.iter().find(|line| glob(&line.pattern, value))
    }

    /// The pattern that a whole line fits.
    pub(super) fn footer(&self, line: &str) -> Option<&Line> {
        let lines = self.texts().footers.get(&line.bytes().next()?.to_ascii_lowercase())?;
        lines.iter().find(|it| glob(&it.pattern, line))
    }
}

impl Texts {
    fn index(&mut self, number: usize, agent: &Agent) {
        for pattern in &agent.identities {
            self.index_identity(pattern, number, false);
        }
        for pattern in &agent.authors {
            self.index_identity(pattern, number, true);
        }
        for (patterns, review) in
            [(&agent.trailers, false), (&agent.footers, false), (&agent.reviews, true)]
        {
            for pattern in patterns {
                self.index_line(pattern, number, review);
            }
        }
        for (words, class) in [
            (&agent.tools, Class::Tool),
            (&agent.names, Class::Name),
            (&agent.models, Class::Model),
        ] {
            words.iter().for_each(|word| self.lexicon.add(word, number, class));
        }
    }

    fn index_identity(&mut self, pattern: &str, agent: usize, authors_only: bool) {
        let (name, address) = parts(pattern);
        let holder =
            |name: Option<&str>| Holder { name: name.map(str::to_lowercase), agent, authors_only };
        match (name, address) {
            (name, Some(address)) if address.contains('*') => {
                let name = name.unwrap_or("*").to_lowercase();
                self.wide.push((name, Some(address.to_lowercase()), holder(None)));
            }
            (name, Some(address)) => {
                self.addresses.entry(address.to_lowercase()).or_default().push(holder(name));
            }
            (Some(name), None) if name.contains('*') => {
                self.wide.push((name.to_lowercase(), None, holder(None)));
            }
            (Some(name), None) => {
                self.names.insert(name.to_lowercase(), holder(None));
            }
            (None, None) => {}
        }
    }

    fn index_line(&mut self, pattern: &str, agent: usize, review: bool) {
        let line = |pattern: &str| Line { pattern: pattern.to_ascii_lowercase(), agent, review };
        if pattern.starts_with('<') && pattern.ends_with('>') && pattern.contains('@') {
            self.index_identity(pattern, agent, false);
        } else if pattern.starts_with("https://") {
            self.links.push((pattern.trim_end_matches('*').to_ascii_lowercase(), agent));
        } else if let Some((key, value)) = crate::gate::trailer::split(pattern) {
            self.keys.entry(key.to_ascii_lowercase()).or_default().push(line(value));
        } else if let Some(first) = pattern.bytes().next() {
            self.footers.entry(first.to_ascii_lowercase()).or_default().push(line(pattern));
        }
    }
}

impl Agent {
    fn add(&mut self, row: &Agent) {
        self.identities.extend_from_slice(&row.identities);
        self.authors.extend_from_slice(&row.authors);
        self.trailers.extend_from_slice(&row.trailers);
        self.footers.extend_from_slice(&row.footers);
        self.reviews.extend_from_slice(&row.reviews);
        self.tools.extend_from_slice(&row.tools);
        self.names.extend_from_slice(&row.names);
        self.models.extend_from_slice(&row.models);
        self.branches.extend_from_slice(&row.branches);
        self.environment.extend_from_slice(&row.environment);
        self.processes.extend_from_slice(&row.processes);
    }
}

impl Condition {
    fn parse(text: &str) -> Condition {
        match (text.strip_prefix('!'), text.split_once('=')) {
            (Some(name), _) => Condition::Unset { name: name.to_owned() },
            (None, Some((name, value))) => {
                Condition::Set { name: name.to_owned(), pattern: value.to_ascii_lowercase() }
            }
            (None, None) => Condition::Set { name: text.to_owned(), pattern: "*".to_owned() },
        }
    }
}

/// Whether a text fits a lower-case pattern, without regard to ASCII case; `*` is any text.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.as_bytes(), text.as_bytes());
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern.split_first(), text.split_first()) {
            (Some((b'*', rest)), _) => {
                retry = Some((rest, text));
                pattern = rest;
            }
            (Some((own, rest)), Some((byte, others))) if *own == byte.to_ascii_lowercase() => {
                pattern = rest;
                text = others;
            }
            (None, None) => return true,
            (Some(_) | None, _) => {
                let Some((rest, [_, others @ ..])) = retry else { return false };
                retry = Some((rest, others));
                pattern = rest;
                text = others;
            }
        }
    }
}

/// Splits `NAME <ADDRESS>`.
pub(super) fn parts(identity: &str) -> (Option<&str>, Option<&str>) {
    let (name, address) = match identity.split_once('<') {
        Some((name, rest)) => (name, Some(rest.trim_end_matches('>').trim())),
        None => (identity, None),
    };
    (Some(name.trim()).filter(|it| !it.is_empty()), address.filter(|it| !it.is_empty()))
}

/// `123+login@users.noreply.github.com` is `login@…`: a login can change, but a
/// number alone proves nothing.
fn without_number(address: &str) -> &str {
    match address.split_once('+') {
        Some((number, rest))
            if !number.is_empty()
                && number.bytes().all(|it| it.is_ascii_digit())
                && rest.contains("@users.noreply.") =>
        {
            rest
        }
        Some(_) | None => address,
    }
}

fn is_id(id: &str) -> bool {
    !id.is_empty()
        && id.split('-').all(|word| {
            !word.is_empty()
                && word.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit())
        })
}

#[cfg(test)]
mod tests {
    use super::super::{SignalKind, ambient, detect};
    use super::*;
    use crate::gate::change::{Commit, Identity, Oid};

    fn agent(text: &str) -> Agent {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_row_names_a_mark_and_never_everything() {
        let house = "id = \"house-bot\"\ntrailers = [\"<house-bot@example.com>\"]";
        assert_eq!(agent(house).validate(), Ok(()));
        assert!(matches!(agent("id = \"House Bot\"").validate(), Err(AgentError::Id(_))));
        assert!(matches!(agent("id = \"house\"").validate(), Err(AgentError::NoMarks { .. })));
        let wide = "id = \"house\"\nidentities = [\"*\"]";
        assert!(matches!(agent(wide).validate(), Err(AgentError::Pattern { .. })));
    }

    /// The agents that a row's example gives, and whether each is a review.
    fn found(example: &str) -> Vec<(String, bool)> {
        let (kind, text) = example.split_once(": ").unwrap();
        let catalogue = Catalogue::built_in();
        let identity = |text: &str| {
            let (name, address) = parts(text);
            let owned = |it: Option<&str>| it.unwrap_or_default().to_owned();
            Identity { name: owned(name), email: owned(address) }
        };
        let person = identity("Ana <ana@example.com>");
        let commit = |author: Identity, committer: Identity, message: String| Commit {
            id: Oid::parse(&"1".repeat(40)).unwrap(),
            tree: Oid::parse(&"2".repeat(40)).unwrap(),
            parents: Vec::new(),
            author,
            committer,
            committed: 0,
            signed: false,
            message,
        };
        let message = || "Tidy the parser\n\nSplit the loop.\n".to_owned();
        let signals = match kind {
            "author" => detect(catalogue, &commit(identity(text), person, message())),
            "committer" => detect(catalogue, &commit(person, identity(text), message())),
            "message" => {
                detect(catalogue, &commit(person.clone(), person, message() + "\n" + text + "\n"))
            }
            "branch" => ambient(catalogue, &[], &[], Some(text)),
            "process" => ambient(catalogue, &[], &[text.to_owned()], None),
            "variables" => {
                let pair = |it: &str| it.split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned()));
                let variables: Vec<_> = text.split(' ').filter_map(pair).collect();
                ambient(catalogue, &variables, &[], None)
            }
            kind => panic!("no such kind of example: {kind}"),
        };
        signals.into_iter().map(|it| (it.agent, it.kind == SignalKind::Review)).collect()
    }

    #[test]
    fn every_row_matches_its_examples_and_no_other_row_does() {
        let mut wrong = Vec::new();
        for agent in &Catalogue::rows() {
            assert_eq!(agent.validate(), Ok(()));
            assert!(!agent.examples.matching.is_empty() && !agent.examples.other.is_empty());
            for example in &agent.examples.matching {
                let found = found(example);
                if found.is_empty() || found.iter().any(|(id, review)| *id != agent.id || *review) {
                    wrong.push(format!("{}: `{example}` gave {found:?}", agent.id));
                }
            }
            for example in &agent.examples.other {
                let found = found(example);
                if found.iter().any(|(_, review)| !review) {
                    wrong.push(format!("{}: not `{example}`, but it gave {found:?}", agent.id));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn what_is_built_in_is_what_is_written() {
        let plain = |row| Agent { examples: Examples::default(), ..row };
        let rows: Vec<Agent> = Catalogue::rows().into_iter().map(plain).collect();
        assert_eq!(Catalogue::built_in().agents(), rows);
    }

    #[test]
    fn a_policy_adds_agents_and_marks() {
        let house = agent(
            "id = \"house-bot\"\ntrailers = [\"<house-bot@example.com>\", \"House-Run: *\"]\nenvironment = [\"HOUSE=1\"]",
        );
        let more = agent("id = \"cursor\"\nidentities = [\"<cursor@example.com>\"]");
        let catalogue = Catalogue::built_in().extended(&[house, more]);
        assert!(catalogue.knows("house-bot") && catalogue.knows("claude-code"));
        assert!(!Catalogue::built_in().knows("house-bot"));
        let id = |address: &str| {
            catalogue.holder("Anybody", address, true).map(|number| catalogue.id(number).to_owned())
        };
        assert_eq!(id("house-bot@example.com").as_deref(), Some("house-bot"));
        assert_eq!(id("Cursor@example.com").as_deref(), Some("cursor"));
        assert_eq!(id("cursoragent@cursor.com").as_deref(), Some("cursor"));
        assert_eq!(id("ana@example.com"), None);
        let variables = [("HOUSE".to_owned(), "1".to_owned())];
        let found = ambient(&catalogue, &variables, &[], Some("refs/heads/ana/work"));
        let found: Vec<&str> = found.iter().map(|it| it.agent.as_str()).collect();
        assert_eq!(found, ["house-bot"]);
    }

    #[test]
    fn patterns_fit_whole_texts() {
        for (pattern, text) in
            [("a*c", "abC"), ("*", ""), ("*b*", "abc"), ("a", "A"), ("a*b*b", "a b c b")]
        {
            assert!(glob(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a", "ab"), ("a*c", "acb"), ("", "a"), ("*x", "a")] {
            assert!(!glob(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_misspelt_key_is_an_error() {
        assert!(toml::from_str::<Agent>("id = \"a\"\ntrailer = []").is_err());
    }
}
