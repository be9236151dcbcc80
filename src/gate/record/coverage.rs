//! What a run's record keeps of coverage reports.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::change::{LineRange, RepoPath};
use super::super::coverage::measured::{
    Measured, MeasuredFile, Unclear, read_ranges, write_ranges,
};
use super::super::evidence::Answer;
use super::canonical::object;
use super::predicate::{Fields, is_repository_path};
use super::statement::{MAX_FILES, RecordError};
use crate::gate::order;

/// Writes it; what could not be read says why.
pub(super) fn write(coverage: &Answer<Measured>) -> Value {
    let measured = match coverage {
        Ok(measured) => measured,
        Err(why) => return json!({ "error": why }),
    };
    let file = |(path, file): (&RepoPath, &MeasuredFile)| {
        object([
            ("blob", file.blob.as_str().into()),
            ("covered", write_ranges(&file.covered).into()),
            ("missed", write_ranges(&file.missed).into()),
            ("path", path.to_text().into()),
        ])
    };
    let unclear = |it: &Unclear| json!({ "name": it.name, "why": it.why });
    object([
        ("files", measured.files.iter().map(file).collect()),
        ("formats", json!(measured.formats)),
        ("kinds", json!(measured.kinds)),
        ("omitted", measured.omitted.into()),
        ("unclear", measured.unclear.iter().map(unclear).collect()),
    ])
}

/// Reads what [`write`] wrote.
pub(super) fn read(fields: &Fields<'_>) -> Result<Answer<Measured>, RecordError> {
    if let Some(why) = fields.optional_text("error")? {
        return Ok(Err(why));
    }
    let listed = fields.objects("files")?;
    if listed.len() > MAX_FILES {
        return Err(RecordError::TooManyFiles(listed.len()));
    }
    let mut files = BTreeMap::new();
    for file in &listed {
        let path = RepoPath::from_text(file.text("path")?)
            .filter(is_repository_path)
            .ok_or_else(|| file.wrong("path", "a path below the repository's root"))?;
        let (covered, missed) = (ranges(file, "covered")?, ranges(file, "missed")?);
        if overlap(&covered, &missed) {
            return Err(file.wrong("missed", "without a line that is covered"));
        }
        files.insert(path, MeasuredFile { blob: file.oid("blob")?, covered, missed });
    }
    let unclear = |it: &Fields<'_>| Ok(Unclear { name: it.owned("name")?, why: it.owned("why")? });
    let set = |name| fields.texts(name).map(order::set);
    Ok(Ok(Measured {
        files,
        kinds: set("kinds")?,
        formats: set("formats")?,
        omitted: fields.number("omitted")?,
        unclear: fields
            .objects("unclear")?
            .iter()
            .map(unclear)
            .collect::<Result<_, RecordError>>()?,
    }))
}

fn ranges(fields: &Fields<'_>, name: &str) -> Result<Vec<LineRange>, RecordError> {
    read_ranges(fields.text(name)?).ok_or_else(|| fields.wrong(name, "ranges of lines"))
}

fn overlap(one: &[LineRange], other: &[LineRange]) -> bool {
    // Both ascend, so that the next one of either is the next one of all.
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    let mut end = 0;
    while let Some(next) = match (one.peek(), other.peek()) {
        (Some(a), Some(b)) if b.start < a.start => other.next(),
        (Some(_), _) => one.next(),
        (None, _) => other.next(),
    } {
        if next.start <= end {
            return true;
        }
        end = next.end;
    }
    false
}
