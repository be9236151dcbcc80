//! A predicate that is kept as it stands, by its canonical text: it holds
//! thousands of hashes, and most who meet it ask for none of them.

use serde_json::Value;

use super::RecordType;
use super::canonical::{self, NotCanonical, sha256_of};
use super::statement::STATEMENT_TYPE;
use crate::gate::time::Timestamp;

/// The text of a JSON value, canonical but for the final newline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsItStands {
    text: String,
    at: Option<Timestamp>,
}

impl AsItStands {
    /// Writes a value. Fails for one with floats.
    pub fn of(value: &Value) -> Result<AsItStands, NotCanonical> {
        let mut bytes = canonical::write(value)?;
        bytes.pop();
        let at = value.get("at").and_then(Value::as_str).and_then(Timestamp::parse);
        Ok(AsItStands { text: String::from_utf8_lossy(&bytes).into_owned(), at })
    }

    /// The canonical text, without a newline.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The value that the text says.
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// When it says that it was made.
    pub fn at(&self) -> Option<Timestamp> {
        self.at
    }
}

/// What stands behind the digest in an attribution record.
const END: &str = "\"},\"name\":\"predicate\"}]}\n";

/// What stands around the predicate in an attribution record, up to its digest.
fn around() -> (String, String) {
    let predicate_type = RecordType::Attribution.predicate_type();
    (
        format!("{{\"_type\":\"{STATEMENT_TYPE}\",\"predicate\":"),
        format!(
            ",\"predicateType\":\"{predicate_type}\",\"subject\":[{{\"digest\":{{\"sha256\":\""
        ),
    )
}

/// Reads the attribution record that these bytes surely are. `None`: it has to
/// be taken apart to be told.
pub(super) fn attribution(bytes: &[u8]) -> Option<AsItStands> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, tail) = around();
    let rest = text.strip_suffix(END)?.strip_prefix(&head)?;
    let (rest, digest) = rest.split_at_checked(rest.len().checked_sub(64)?)?;
    // Told before anything is hashed: most records are of another type.
    let predicate = rest.strip_suffix(&tail)?;
    if sha256_of([predicate.as_bytes(), b"\n"].into_iter()) != digest
        || !canonical::is_plainly_canonical(predicate)
    {
        return None;
    }
    // Hardly any name sorts before it.
    let at = predicate.strip_prefix("{\"at\":\"")?.split('"').next()?;
    Some(AsItStands { text: predicate.to_owned(), at: Some(Timestamp::parse(at)?) })
}
