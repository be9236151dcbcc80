//! What a run's record keeps of a revert proof.

use serde_json::{Map, Value, json};

use super::super::change::{LineRange, RepoPath};
use super::super::coverage::measured::{read_ranges, write_ranges};
use super::super::proof::{Proof, Result as ProofResult};
use super::predicate::{Fields, is_repository_path};
use super::statement::RecordError;

/// Writes it.
pub(super) fn write(proof: &Proof) -> Value {
    let hunk = |(path, lines): &(RepoPath, LineRange)| json!({ "lines": write_ranges(&[*lines]), "path": path.to_text() });
    let mut members = Map::new();
    members.insert("attempts".into(), proof.attempts.into());
    members.insert("duration_ms".into(), proof.duration_ms.into());
    members.insert("hunks".into(), proof.hunks.iter().map(hunk).collect());
    members.insert("result".into(), proof.result.word().into());
    members.insert("subject".into(), proof.subject.as_str().into());
    members.insert("tests".into(), json!(proof.tests));
    if let Some(why) = &proof.why {
        members.insert("why".into(), why.as_str().into());
    }
    members.into()
}

/// Reads what [`write`] wrote.
pub(super) fn read(fields: &Fields<'_>) -> Result<Proof, RecordError> {
    let word = fields.text("result")?;
    let result = ProofResult::ALL.iter().find(|it| it.word() == word);
    let hunk = |it: &Fields<'_>| {
        let path = RepoPath::from_text(it.text("path")?)
            .filter(is_repository_path)
            .ok_or_else(|| it.wrong("path", "a path below the repository's root"))?;
        match read_ranges(it.text("lines")?).as_deref() {
            Some([lines]) => Ok((path, *lines)),
            Some(_) | None => Err(it.wrong("lines", "one range of lines")),
        }
    };
    Ok(Proof {
        subject: fields.sha256("subject")?,
        result: *result.ok_or_else(|| fields.wrong("result", "a result of a proof"))?,
        tests: fields.texts("tests")?,
        hunks: fields.objects("hunks")?.iter().map(hunk).collect::<Result<_, RecordError>>()?,
        why: fields.optional_text("why")?,
        attempts: fields.number("attempts")?,
        duration_ms: fields.number("duration_ms")?,
    })
}
