//! Which records a question is about.

use std::collections::BTreeSet;

use crate::gate::change::RepoPath;
use crate::gate::record::{Body, Record, RecordType};

/// Which records are wanted. A record that is not is never read, so that a
/// check of three files costs the same in a ledger of any size.
#[derive(Clone, Debug)]
pub enum Wanted {
    All,
    /// Those that name one of these words, and all withdrawals and waivers: a
    /// waiver's debt concerns everybody.
    About(Words),
    /// Attribution records that name one of these words.
    Attributions(Words),
}

/// What records are asked about, as hashes: one that meets another by chance
/// only reads a record too many.
#[derive(Clone, Debug, Default)]
pub struct Words(BTreeSet<String>);

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
    /// Whether a record is wanted.
    pub fn wants(&self, record: &Record) -> bool {
        self.takes(record.record_type(), words_of(record).iter().map(String::as_str))
    }

    /// The same by the words alone, see [`words_of`].
    pub(super) fn takes<'w>(
        &self,
        record_type: RecordType,
        mut words: impl Iterator<Item = &'w str>,
    ) -> bool {
        match self {
            Wanted::All => true,
            Wanted::About(_)
                if matches!(record_type, RecordType::Withdrawal | RecordType::Waiver) =>
            {
                true
            }
            Wanted::Attributions(_) if record_type != RecordType::Attribution => false,
            Wanted::About(asked) | Wanted::Attributions(asked) => {
                words.any(|word| asked.0.contains(word))
            }
        }
    }
}

/// What a record is about, as [`Words`] ask for it.
pub(super) fn words_of(record: &Record) -> Vec<String> {
    let id = |text: &str| hash(b'i', text.as_bytes());
    match &record.body {
        Body::Approval(_) | Body::Rejection(_) | Body::Waiver(_) => {
            let files = record.body.content().map(|it| it.files.as_slice()).unwrap_or_default();
            files.iter().map(|file| hash(b'p', file.path.as_bytes())).collect()
        }
        Body::Run(run) => vec![id(&run.key), id(run.tree.as_str()), id(run.commit.as_str())],
        Body::Withdrawal(_) => Vec::new(),
        Body::Preview(preview) => vec![id(preview.tree.as_str()), id(preview.commit.as_str())],
        Body::Attribution(value) | Body::Verdict(value) => {
            let text = |name: &str| value.get(name).and_then(serde_json::Value::as_str);
            let mut words: Vec<String> =
                ["commit", "tree"].into_iter().filter_map(text).map(id).collect();
            let files = value.get("files").and_then(serde_json::Value::as_array);
            let path = |file: &serde_json::Value| {
                RepoPath::from_text(file.get("path")?.as_str()?)
                    .map(|path| hash(b'p', path.as_bytes()))
            };
            words.extend(files.into_iter().flatten().filter_map(path));
            words.dedup();
            words
        }
    }
}

/// FNV-1a, 64 bits, in hexadecimal: stable across versions, and nothing rests on it.
fn hash(kind: u8, bytes: &[u8]) -> String {
    let mut value = 0xcbf2_9ce4_8422_2325u64;
    for byte in std::iter::once(&kind).chain(bytes) {
        value = (value ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{value:016x}")
}
