//! The statement around a predicate: canonical bytes and back.

use serde_json::Value;

use super::canonical::{self, NotCanonical, object, sha256, write_string, write_value};
use super::predicate::{self, Fields};
use super::{Body, Record, RecordType, as_it_stands};

/// The most bytes that a record may have: 4 MiB.
pub const MAX_BYTES: usize = 4 << 20;

/// The most files that a record may list.
pub const MAX_FILES: usize = 20_000;

pub(super) const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// Why bytes are no record, or a value cannot become one.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("the record has {0} bytes, more than {MAX_BYTES}")]
    TooLarge(usize),
    #[error("the record lists {0} files, more than {MAX_FILES}")]
    TooManyFiles(usize),
    #[error("the record is not JSON")]
    Json(#[source] serde_json::Error),
    #[error("the record is no in-toto statement v1")]
    NotAStatement,
    #[error("the predicate type `{0}` is not known")]
    UnknownType(String),
    #[error("`{field}` is not {expected}")]
    Field { field: String, expected: &'static str },
    #[error(transparent)]
    Number(#[from] NotCanonical),
    #[error("the bytes are not the canonical form of what they say")]
    NotCanonical,
}

impl Record {
    /// Returns the record of `body` and its canonical bytes, which are what is
    /// signed and kept. Fails if this would be nothing that
    /// [`Record::parse`] accepts.
    pub fn write(body: &Body) -> Result<(Record, Vec<u8>), RecordError> {
        let bytes = bytes_of(body)?;
        let record = Record::parse(&bytes)?;
        Ok((record, bytes))
    }

    /// Reads a record. Strict: only the canonical bytes of a record are one,
    /// so that unknown and repeated keys, other spellings of the same value
    /// and text behind the end are refused.
    pub fn parse(bytes: &[u8]) -> Result<Record, RecordError> {
        if bytes.len() > MAX_BYTES {
            return Err(RecordError::TooLarge(bytes.len()));
        }
        if let Some(attribution) = as_it_stands::attribution(bytes) {
            return Ok(Record { id: sha256(bytes), body: Body::Attribution(attribution) });
        }
        let statement: Value = serde_json::from_slice(bytes).map_err(RecordError::Json)?;
        let body = body_of(statement)?;
        if bytes_of(&body)? != bytes {
            return Err(RecordError::NotCanonical);
        }
        Ok(Record { id: sha256(bytes), body })
    }
}

fn bytes_of(body: &Body) -> Result<Vec<u8>, RecordError> {
    let predicate = predicate::write(body)?;
    // Canonical: these four names are sorted.
    let mut text = String::from("{\"_type\":");
    write_string(STATEMENT_TYPE, &mut text);
    text.push_str(",\"predicate\":");
    write_value(&predicate, &mut text)?;
    text.push_str(",\"predicateType\":");
    write_string(body.record_type().predicate_type(), &mut text);
    text.push_str(",\"subject\":");
    write_value(&subject(body, &predicate)?, &mut text)?;
    text.push_str("}\n");
    let bytes = text.into_bytes();
    if bytes.len() > MAX_BYTES {
        return Err(RecordError::TooLarge(bytes.len()));
    }
    Ok(bytes)
}

/// What the statement is about. It follows from the predicate, so that the
/// two can never disagree.
fn subject(body: &Body, predicate: &Value) -> Result<Value, RecordError> {
    let named = |name: &str, kind: &str, digest: &str| {
        object([("digest", object([(kind, digest.into())])), ("name", name.into())])
    };
    let subjects = match body {
        Body::Approval(_) | Body::Rejection(_) | Body::Waiver(_) => {
            let content = body.content().expect("these three have a content");
            let files = canonical::write(&predicate["content"]["files"])?;
            vec![
                named("commit", "gitCommit", content.head.as_str()),
                named("tree", "gitTree", content.head_tree.as_str()),
                named("files", "sha256", &sha256(&files)),
            ]
        }
        Body::Preview(preview) => vec![
            named("commit", "gitCommit", preview.commit.as_str()),
            named("tree", "gitTree", preview.tree.as_str()),
        ],
        Body::Run(run) => vec![
            named("commit", "gitCommit", run.commit.as_str()),
            named("tree", "gitTree", run.tree.as_str()),
        ],
        Body::Withdrawal(withdrawal) => vec![named("record", "sha256", &withdrawal.record)],
        Body::Attribution(_) | Body::Verdict(_) => {
            vec![named("predicate", "sha256", &sha256(&canonical::write(predicate)?))]
        }
    };
    Ok(subjects.into())
}

fn body_of(mut statement: Value) -> Result<Body, RecordError> {
    let fields = Fields::of(&statement, "the statement")?;
    if fields.text("_type").ok() != Some(STATEMENT_TYPE) {
        return Err(RecordError::NotAStatement);
    }
    let type_text = fields.text("predicateType")?;
    let record_type =
        RecordType::ALL
            .iter()
            .copied()
            .find(|it| it.predicate_type() == type_text)
            .ok_or_else(|| RecordError::UnknownType(type_text.chars().take(200).collect()))?;
    fields.value("predicate")?;
    predicate::read(record_type, statement["predicate"].take())
}
