//! Which records a question is about.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::gate::change::RepoPath;
use crate::gate::record::{Body, MAX_BYTES, Record, RecordError, RecordType};

/// Which records are wanted. A record that is not is never read, so that a
/// check of three files costs the same in a ledger of any size.
#[derive(Clone, Debug)]
pub enum Wanted {
    All,
    /// Those that name one of these words, and all withdrawals and waivers: a
    /// waiver's debt concerns everybody.
    About(Words),
    /// The same, but for attribution records: those that a change is judged by.
    Evidence(Words),
    /// Attribution records that name one of these words.
    Attributions(Words),
}

/// What records are asked about, as hashes: one that meets another by chance
/// only reads a record too many.
#[derive(Clone, Debug, Default)]
pub struct Words(BTreeSet<u64>);

impl Words {
    /// Adds a path: judgements and waivers that list it are wanted.
    pub fn path(mut self, path: &RepoPath) -> Words {
        self.0.insert(hash(b'p', path.as_bytes()));
        self
    }

    /// Adds an id: runs with this key, tree or commit, and what is kept as it
    /// stands about this `commit` or `tree`, are wanted.
    pub fn id(mut self, id: &str) -> Words {
        self.0.insert(hash(b'i', id.as_bytes()));
        self
    }
}

impl Wanted {
    /// Whether a record of this type can be wanted at all.
    pub(super) fn takes(&self, record_type: RecordType) -> bool {
        match self {
            Wanted::All | Wanted::About(_) => true,
            Wanted::Evidence(_) => record_type != RecordType::Attribution,
            Wanted::Attributions(_) => record_type == RecordType::Attribution,
        }
    }

    /// Whether a record with this word is wanted.
    pub(super) fn asks(&self, word: u64) -> bool {
        match self {
            Wanted::All => true,
            Wanted::About(asked) | Wanted::Evidence(asked) => {
                word == ALWAYS || asked.0.contains(&word)
            }
            Wanted::Attributions(asked) => asked.0.contains(&word),
        }
    }

    /// The words that are asked for; `None`: everything is.
    pub(super) fn words(&self) -> Option<&BTreeSet<u64>> {
        match self {
            Wanted::All => None,
            Wanted::About(asked) | Wanted::Evidence(asked) | Wanted::Attributions(asked) => {
                Some(&asked.0)
            }
        }
    }
}

/// The word of records that are wanted whatever is asked.
pub(super) const ALWAYS: u64 = 0;

/// The words that records of a type have beside their own.
pub(super) fn always(record_type: RecordType) -> &'static [u64] {
    match record_type {
        RecordType::Withdrawal | RecordType::Waiver => &[ALWAYS],
        RecordType::Approval
        | RecordType::Rejection
        | RecordType::Run
        | RecordType::Preview
        | RecordType::Attribution
        | RecordType::Verdict => &[],
    }
}

/// What a record is about, as [`Words`] ask for it.
pub(super) fn words_of(record: &Record) -> Vec<u64> {
    let id = |text: &str| hash(b'i', text.as_bytes());
    match &record.body {
        Body::Approval(_) | Body::Rejection(_) | Body::Waiver(_) => {
            let files = record.body.content().map(|it| it.files.as_slice()).unwrap_or_default();
            files.iter().map(|file| hash(b'p', file.path.as_bytes())).collect()
        }
        Body::Run(run) => vec![id(&run.key), id(run.tree.as_str()), id(run.commit.as_str())],
        Body::Withdrawal(_) => Vec::new(),
        Body::Preview(preview) => vec![id(preview.tree.as_str()), id(preview.commit.as_str())],
        Body::Attribution(it) => words_of_predicate(&it.value()),
        Body::Verdict(it) => words_of_predicate(it),
    }
}

fn words_of_predicate(predicate: &serde_json::Value) -> Vec<u64> {
    let text = |name: &str| predicate.get(name).and_then(serde_json::Value::as_str);
    let ids = ["commit", "tree"].into_iter().filter_map(text);
    let mut words: Vec<u64> = ids.map(|it| hash(b'i', it.as_bytes())).collect();
    let files = predicate.get("files").and_then(serde_json::Value::as_array);
    let path = |file: &serde_json::Value| {
        RepoPath::from_text(file.get("path")?.as_str()?).map(|path| hash(b'p', path.as_bytes()))
    };
    words.extend(files.into_iter().flatten().filter_map(path));
    words.dedup();
    words
}

/// Whether a record is wanted; what is none is not.
pub(super) fn wants(wanted: &Wanted, bytes: &[u8]) -> bool {
    let Ok((record_type, words)) = glance(bytes) else { return false };
    let asked = || words.iter().chain(always(record_type)).any(|word| wanted.asks(*word));
    wanted.takes(record_type) && (matches!(wanted, Wanted::All) || asked())
}

/// A record's type and words without parsing it whole: what is wanted is
/// parsed when it is read, and only then has to be canonical.
pub(super) fn glance(bytes: &[u8]) -> Result<(RecordType, Vec<u64>), RecordError> {
    if bytes.len() <= MAX_BYTES
        && let Some(found) = glance_at(bytes)
    {
        return Ok(found);
    }
    let record = Record::parse(bytes)?;
    Ok((record.record_type(), words_of(&record)))
}

/// As much of a statement as tells what it is about.
#[derive(Deserialize)]
struct Statement<'a> {
    #[serde(rename = "predicateType", borrow)]
    predicate_type: Cow<'a, str>,
    #[serde(borrow)]
    predicate: Predicate<'a>,
}

#[derive(Deserialize)]
struct Predicate<'a> {
    #[serde(borrow)]
    content: Option<Content<'a>>,
    #[serde(borrow)]
    countersign: Option<Ran<'a>>,
    #[serde(borrow)]
    commit: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tree: Option<Cow<'a, str>>,
    /// A list in one type, a number in another.
    #[serde(borrow)]
    files: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    files: Vec<Listed<'a>>,
}

#[derive(Deserialize)]
struct Listed<'a> {
    #[serde(borrow)]
    path: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Ran<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    tree: Cow<'a, str>,
    #[serde(borrow)]
    commit: Cow<'a, str>,
}

/// `None`: it has to be parsed whole to be told.
fn glance_at(bytes: &[u8]) -> Option<(RecordType, Vec<u64>)> {
    let statement: Statement = serde_json::from_slice(bytes).ok()?;
    let record_type = RecordType::ALL
        .iter()
        .copied()
        .find(|it| it.predicate_type() == statement.predicate_type)?;
    let predicate = statement.predicate;
    let id = |text: &str| hash(b'i', text.as_bytes());
    let path = |file: &Listed| {
        let path = RepoPath::from_text(file.path.as_deref()?)?;
        Some(hash(b'p', path.as_bytes()))
    };
    let words = match record_type {
        RecordType::Approval | RecordType::Rejection | RecordType::Waiver => {
            predicate.content?.files.iter().map(path).collect::<Option<Vec<_>>>()?
        }
        RecordType::Run => {
            let run = predicate.countersign?;
            vec![id(&run.key), id(&run.tree), id(&run.commit)]
        }
        RecordType::Withdrawal => Vec::new(),
        RecordType::Preview => vec![id(&predicate.tree?), id(&predicate.commit?)],
        RecordType::Attribution | RecordType::Verdict => {
            let ids = [&predicate.commit, &predicate.tree];
            let mut words: Vec<u64> = ids.into_iter().flatten().map(|it| id(it)).collect();
            let files = predicate.files.map(RawValue::get).filter(|it| it.starts_with('['));
            if let Some(files) = files {
                let files: Vec<Listed> = serde_json::from_str(files).ok()?;
                words.extend(files.iter().filter_map(path));
            }
            words.dedup();
            words
        }
    };
    Some((record_type, words))
}

/// FNV-1a, 64 bits: stable across versions, and nothing rests on it.
fn hash(kind: u8, bytes: &[u8]) -> u64 {
    let mut value = 0xcbf2_9ce4_8422_2325u64;
    for byte in std::iter::once(&kind).chain(bytes) {
        value = (value ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    // `ALWAYS` is nobody's hash.
    value.max(1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::gate::change::Oid;
    use crate::gate::record::{
        AsItStands, Content, FileDelta, Judgement, Shown, Side, Signer, Waiver, Withdrawal,
    };
    use crate::gate::time::Timestamp;

    /// What a glance tells is what parsing tells.
    #[track_caller]
    fn check(body: &Body, count: usize) {
        let (record, bytes) = Record::write(body).expect("a record");
        let found = glance(&bytes).expect("a glance is enough");
        assert_eq!(found, (record.record_type(), words_of(&record)));
        assert_eq!(glance_at(&bytes), Some(found.clone()));
        assert_eq!(found.1.len(), count);
    }

    #[test]
    fn a_glance_tells_what_parsing_tells() {
        let oid = Oid::parse(&"a".repeat(40)).expect("an id");
        let by =
            Signer { who: None, key: None, at: Timestamp(0), ledger: None, nonce: "0".repeat(32) };
        let side = Side { mode: 0o100_644, oid: oid.clone(), sha256: None };
        let file = |path: &[u8]| FileDelta {
            path: RepoPath::new(path),
            old: Some(side.clone()),
            new: None,
        };
        let content = Content {
            repo: "shop \"quoted\"".into(),
            target: "refs/heads/main".into(),
            base: oid.clone(),
            head: oid.clone(),
            head_tree: oid,
            files: vec![file(b"a \xff\n.rs"), file("b/\u{e4}.rs".as_bytes())],
        };
        let judgement = Judgement {
            content: content.clone(),
            rules: vec!["files".into()],
            shown: Shown::default(),
            by: by.clone(),
            note: Some("{\"path\": \"x\"}".into()),
        };
        check(&Body::Approval(judgement.clone()), 2);
        check(&Body::Rejection(judgement), 2);
        let (rule, reason) = ("r".into(), "why".into());
        let expires = Timestamp(1);
        check(&Body::Waiver(Waiver { content, rule, reason, expires, by: by.clone() }), 2);
        let record = "0".repeat(64);
        check(&Body::Withdrawal(Withdrawal { repo: "r".into(), record, reason: None, by }), 0);
        let at = "2026-11-23T08:00:00Z";
        check(&Body::Verdict(json!({ "at": at, "commit": "c", "tree": "t", "files": 3 })), 2);
        let files = json!([{ "path": "a.rs", "ranges": [1] }, { "path": "\"\\377\"" }]);
        let written = json!({ "at": at, "commit": "c", "files": files });
        check(&Body::Attribution(AsItStands::of(&written).expect("no floats")), 3);
        // What cannot be told at a glance is parsed, and no record is an error.
        let odd = Body::Verdict(json!({ "at": at, "commit": 1, "tree": ["t"] }));
        let (record, bytes) = Record::write(&odd).expect("a record");
        assert_eq!(glance_at(&bytes), None);
        assert_eq!(glance(&bytes).expect("parsed").1, words_of(&record));
        assert!(glance(b"{}").is_err() && glance(b"").is_err());
    }
}
