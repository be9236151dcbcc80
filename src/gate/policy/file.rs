//! The policy as people write it: `countersign.toml`, before validation
//! (`toml` lives here). The types have the file's shape and nothing else;
//! what they mean is decided in `validate`.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor, value};
use toml::Spanned;

use super::super::signal::catalogue::Agent;
use super::error::{PolicyError, Text};
use super::{
    Accept, Carry, DisclosureTrailer, Mode, Narrow, PersonKind, Presence, Stage, Tier,
    UnverifiedAuthors,
};

/// A larger policy file is refused.
pub const LARGEST: usize = 1 << 20;

/// A word or text with its place.
pub(super) type Word = Spanned<String>;

/// The root policy.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyFile {
    pub(super) schema: Option<Spanned<u64>>,
    pub(super) min_version: Option<Word>,
    #[serde(default)]
    pub(super) mode: Mode,
    #[serde(default)]
    pub(super) trust: TrustTable,
    #[serde(default)]
    pub(super) people: BTreeMap<Word, PersonTable>,
    #[serde(default)]
    pub(super) groups: BTreeMap<Word, Vec<Word>>,
    #[serde(default)]
    pub(super) revoked: Vec<RevokedTable>,
    #[serde(default)]
    pub(super) disclosure: DisclosureTable,
    #[serde(default)]
    pub(super) rule: Vec<RuleTable>,
    #[serde(default)]
    pub(super) test: BTreeMap<Word, TestTable>,
    #[serde(default)]
    pub(super) preview: BTreeMap<Word, PreviewTable>,
    pub(super) waiver: Option<WaiverTable>,
    pub(super) nested: Option<NestedTable>,
    #[serde(default)]
    pub(super) agent: Vec<Spanned<Agent>>,
    #[serde(default)]
    pub(super) example: Vec<ExampleTable>,
}

/// A policy in a folder: it can only add.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NestedFile {
    pub(super) schema: Option<Spanned<u64>>,
    pub(super) min_version: Option<Word>,
    #[serde(default)]
    pub(super) groups: BTreeMap<Word, Vec<Word>>,
    #[serde(default)]
    pub(super) rule: Vec<RuleTable>,
    #[serde(default)]
    pub(super) test: BTreeMap<Word, TestTable>,
    #[serde(default)]
    pub(super) preview: BTreeMap<Word, PreviewTable>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrustTable {
    pub(super) target: Option<Word>,
    pub(super) protect: Option<Spanned<Vec<Word>>>,
    pub(super) ledger: Option<Word>,
    pub(super) repo_id: Option<Word>,
    pub(super) gate: Option<Vec<Word>>,
    #[serde(default)]
    pub(super) solo: bool,
    #[serde(default)]
    pub(super) narrow: Narrow,
    pub(super) reformatted: Option<bool>,
    #[serde(default)]
    pub(super) unverified_authors: UnverifiedAuthors,
    pub(super) pusher_env: Option<Word>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PersonTable {
    pub(super) kind: PersonKind,
    #[serde(default)]
    pub(super) emails: Vec<Word>,
    #[serde(default)]
    pub(super) keys: Vec<KeyTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyTable {
    pub(super) key: Word,
    #[serde(default)]
    pub(super) presence: Presence,
    #[serde(default)]
    pub(super) cert_authority: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RevokedTable {
    pub(super) key: Word,
    pub(super) after: Option<Word>,
    pub(super) why: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DisclosureTable {
    #[serde(default)]
    pub(super) trailer: DisclosureTrailer,
    pub(super) key: Option<Word>,
    #[serde(default)]
    pub(super) strict: bool,
    #[serde(default)]
    pub(super) write: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleTable {
    pub(super) id: Word,
    pub(super) why: Option<String>,
    pub(super) paths: Option<Spanned<Vec<Word>>>,
    #[serde(default)]
    pub(super) except: Vec<Word>,
    pub(super) when: Option<Spanned<WhenTable>>,
    pub(super) unless: Option<UnlessTable>,
    #[serde(default)]
    pub(super) require: RequireTable,
    #[serde(default)]
    pub(super) deny: Option<Switch>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WhenTable {
    pub(super) assisted: Option<Spanned<bool>>,
    pub(super) unattributed: Option<Spanned<bool>>,
    pub(super) agents: Option<Spanned<Vec<Word>>>,
    pub(super) share: Option<Word>,
    pub(super) lines: Option<Word>,
    pub(super) files: Option<Word>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnlessTable {
    pub(super) author: Spanned<Vec<Word>>,
}

/// `require.*`: one key a requirement.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RequireTable {
    pub(super) approvals: Option<Spanned<Vec<ApprovalTable>>>,
    pub(super) tests: Option<Spanned<Names>>,
    pub(super) coverage: Option<CoverageTable>,
    pub(super) preview: Option<Spanned<Names>>,
    pub(super) disclosure: Option<Switch>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ApprovalTable {
    pub(super) count: Option<Spanned<u64>>,
    pub(super) from: Option<Spanned<Vec<Word>>>,
    #[serde(default)]
    pub(super) presence: Presence,
    #[serde(default)]
    pub(super) carry: Carry,
    pub(super) max_age: Option<Word>,
    pub(super) stage: Option<Spanned<Stage>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CoverageTable {
    pub(super) min: Spanned<f64>,
    pub(super) stage: Option<Spanned<Stage>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TestTable {
    pub(super) run: Spanned<Words>,
    pub(super) setup: Option<Spanned<Words>>,
    pub(super) setup_inputs: Option<Vec<Word>>,
    pub(super) inputs: Option<Spanned<Vec<Word>>>,
    pub(super) timeout: Option<Word>,
    #[serde(default)]
    pub(super) reports: ReportsTable,
    pub(super) tests: Option<Spanned<Vec<Word>>>,
    pub(super) prove: Option<Spanned<ProveWord>>,
    pub(super) on: Option<Spanned<OnWord>>,
    #[serde(default)]
    pub(super) tier: Tier,
    pub(super) retries: Option<Spanned<u64>>,
    pub(super) wrap: Option<Spanned<Words>>,
    pub(super) network: Option<bool>,
    pub(super) mutate: Option<Spanned<MutateTable>>,
    pub(super) packages: Option<Spanned<PackagesWord>>,
    pub(super) workspace: Option<Word>,
    pub(super) accept: Option<Spanned<Vec<Accept>>>,
    #[serde(default)]
    pub(super) env: Vec<Word>,
}

/// `mutate = { … }`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MutateTable {
    pub(super) run: Spanned<Words>,
    pub(super) report: Word,
    pub(super) timeout: Option<Word>,
}

/// How a test shows that it notices the assisted lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ProveWord {
    Revert,
    Mutate,
}

/// Which tree a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum OnWord {
    Head,
    Merge,
}

/// Whose packages `{packages}` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum PackagesWord {
    Cargo,
    Node,
    Go,
    Python,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportsTable {
    #[serde(default)]
    pub(super) junit: Paths,
    #[serde(default)]
    pub(super) coverage: Paths,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PreviewTable {
    pub(super) engine: Engine,
    pub(super) root: Option<Word>,
    pub(super) run: Option<Spanned<Words>>,
    pub(super) max_age: Option<Word>,
    pub(super) accept: Option<Spanned<Vec<Accept>>>,
    #[serde(default)]
    pub(super) env: Vec<Word>,
    pub(super) timeout: Option<Word>,
    #[serde(default)]
    pub(super) generated: Vec<Word>,
    #[serde(default)]
    pub(super) limits: LimitsTable,
    #[serde(default)]
    pub(super) protect: Vec<ProtectTable>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Engine {
    Terraform,
    Opentofu,
    Cloudformation,
    Pulumi,
    Kubernetes,
    Json,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsTable {
    pub(super) deletes: Option<u64>,
    pub(super) replaces: Option<u64>,
    pub(super) removals: Option<u64>,
    pub(super) forgets: Option<u64>,
    pub(super) places: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProtectTable {
    pub(super) types: Spanned<Vec<Word>>,
    pub(super) actions: Spanned<Vec<Action>>,
    pub(super) from: Option<Spanned<Vec<Word>>>,
    pub(super) count: Option<Spanned<u64>>,
}

/// What a preview can do to a resource.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Action {
    Create,
    Update,
    Delete,
    Replace,
    Removal,
    Forget,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WaiverTable {
    pub(super) from: Spanned<Vec<Word>>,
    pub(super) max: Word,
    pub(super) review_within: Option<Word>,
    #[serde(default)]
    pub(super) never: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NestedTable {
    pub(super) files: Spanned<Vec<Word>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExampleTable {
    pub(super) name: String,
    pub(super) change: ExampleChange,
    pub(super) expect: Spanned<ExampleExpect>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExampleChange {
    pub(super) files: Spanned<Vec<String>>,
    #[serde(default)]
    pub(super) assisted: bool,
    #[serde(default)]
    pub(super) agents: Vec<String>,
    pub(super) author: Option<String>,
    pub(super) target: Option<String>,
    pub(super) lines: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExampleExpect {
    pub(super) rules: Option<Vec<String>>,
    pub(super) verdict: Option<ExpectedVerdict>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ExpectedVerdict {
    Pass,
    Block,
}

/// A command: a text to split into words, or the words.
#[derive(Debug)]
pub(super) enum Words {
    Text(String),
    List(Vec<String>),
}

/// One path, or several.
#[derive(Debug, Default)]
pub(super) struct Paths(pub(super) Vec<Word>);

/// Names, or `{ names = […], stage = "…" }`.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) names: Vec<Word>,
    pub(super) stage: Option<Spanned<Stage>>,
}

/// `true`, `false`, or `{ stage = "…" }`, which means `true` at that stage.
#[derive(Debug)]
pub(super) struct Switch {
    pub(super) on: bool,
    pub(super) stage: Option<Spanned<Stage>>,
}

/// Reads a file of one of the two shapes.
pub(super) fn read<'a, T: Deserialize<'a>>(text: Text<'a>) -> Result<T, PolicyError> {
    if text.text.len() > LARGEST {
        let message =
            format!("a policy file of {} bytes is larger than {LARGEST}", text.text.len());
        return Err(PolicyError::whole(text.from, message));
    }
    toml::from_str(text.text).map_err(|error| text.toml_error(&error))
}

/// Reads `min_version` alone, however strange the rest of the file may be.
pub(super) fn min_version(text: &str) -> Option<Word> {
    #[derive(Deserialize)]
    struct Only {
        min_version: Option<Word>,
    }
    toml::from_str::<Only>(text).ok()?.min_version
}

// The four types below have two forms each. They are read by hand rather than
// as untagged enums, which lose the place and the reason of an error.

/// Reads a text, a list or a table, whichever of them the type allows.
struct Forms<T>(PhantomData<T>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Words, D::Error> {
        deserializer.deserialize_any(Forms::<Words>(PhantomData))
    }
}

impl<'de> Visitor<'de> for Forms<Words> {
    type Value = Words;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a command, or an array of its words")
    }

    fn visit_str<E>(self, text: &str) -> Result<Words, E> {
        Ok(Words::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Words, A::Error> {
        Deserialize::deserialize(value::SeqAccessDeserializer::new(list)).map(Words::List)
    }
}

impl<'de> Deserialize<'de> for Paths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Paths, D::Error> {
        // The place of a single path comes from the value as a whole.
        let one_or_more = Spanned::<OneOrMore>::deserialize(deserializer)?;
        let span = one_or_more.span();
        Ok(Paths(match one_or_more.into_inner() {
            OneOrMore::One(text) => vec![Spanned::new(span, text)],
            OneOrMore::More(list) => list,
        }))
    }
}

enum OneOrMore {
    One(String),
    More(Vec<Word>),
}

impl<'de> Deserialize<'de> for OneOrMore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OneOrMore, D::Error> {
        deserializer.deserialize_any(Forms::<OneOrMore>(PhantomData))
    }
}

impl<'de> Visitor<'de> for Forms<OneOrMore> {
    type Value = OneOrMore;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a path, or an array of paths")
    }

    fn visit_str<E>(self, text: &str) -> Result<OneOrMore, E> {
        Ok(OneOrMore::One(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<OneOrMore, A::Error> {
        Deserialize::deserialize(value::SeqAccessDeserializer::new(list)).map(OneOrMore::More)
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Names, D::Error> {
        deserializer.deserialize_any(Forms::<Names>(PhantomData))
    }
}

impl<'de> Visitor<'de> for Forms<Names> {
    type Value = Names;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of names, or a table with `names` and `stage`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Names, A::Error> {
        let names = Deserialize::deserialize(value::SeqAccessDeserializer::new(list))?;
        Ok(Names { names, stage: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Names, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            names: Vec<Word>,
            stage: Option<Spanned<Stage>>,
        }
        let table = Table::deserialize(value::MapAccessDeserializer::new(map))?;
        Ok(Names { names: table.names, stage: table.stage })
    }
}

impl<'de> Deserialize<'de> for Switch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Switch, D::Error> {
        deserializer.deserialize_any(Forms::<Switch>(PhantomData))
    }
}

impl<'de> Visitor<'de> for Forms<Switch> {
    type Value = Switch;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("`true`, `false`, or a table with `stage`")
    }

    fn visit_bool<E>(self, on: bool) -> Result<Switch, E> {
        Ok(Switch { on, stage: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Switch, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            stage: Spanned<Stage>,
        }
        let table = Table::deserialize(value::MapAccessDeserializer::new(map))?;
        Ok(Switch { on: true, stage: Some(table.stage) })
    }
}
