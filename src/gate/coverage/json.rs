//! Reports in JSON: told apart by their members. The members are read one by
//! one, so that no report stands in memory as a tree.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::simplecov;
use super::{Collector, Format, ParseError, coverage_py, coverlet, istanbul, llvm, malformed};

/// The members of an object, as they stand.
pub(super) type Members<'a> = BTreeMap<String, &'a RawValue>;

/// Reads a report whose first character is no `<`.
pub(super) fn parse(bytes: &[u8], collector: &mut Collector) -> Result<Format, ParseError> {
    let members: Members<'_> = serde_json::from_slice(bytes).map_err(|error| whole(&error))?;
    let has = |name: &str| members.contains_key(name);
    if has("data") && has("type") {
        llvm::parse(&members, collector)?;
        return Ok(Format::Llvm);
    }
    if has("files") && has("meta") {
        coverage_py::parse(members["files"], collector)?;
        return Ok(Format::CoveragePy);
    }
    if has("coverage") && has("meta") {
        simplecov::files(members["coverage"], collector)?;
        return Ok(Format::SimpleCov);
    }
    let Some(first) = members.values().next() else { return Ok(Format::Istanbul) };
    let kind = read::<Kind>(first).map_err(|_| ParseError::Unknown)?;
    if kind.lines.is_some() && kind.statements.is_some() && kind.branches.is_some() {
        return Err(ParseError::NoLines("summary"));
    }
    if kind.statement_map.is_some() {
        istanbul::parse(&members, collector)?;
        Ok(Format::Istanbul)
    } else if kind.coverage.is_some() {
        simplecov::parse(&members, collector)?;
        Ok(Format::SimpleCov)
    } else {
        coverlet::parse(&members, collector)?;
        Ok(Format::Coverlet)
    }
}

/// What tells the formats apart whose members are names of files or modules.
#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "statementMap")]
    statement_map: Option<IgnoredAny>,
    coverage: Option<IgnoredAny>,
    lines: Option<IgnoredAny>,
    statements: Option<IgnoredAny>,
    branches: Option<IgnoredAny>,
}

/// Reads a member.
pub(super) fn read<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Result<T, ParseError> {
    serde_json::from_str(value.get()).map_err(|error| whole(&error))
}

/// The same of a member of which an error should say where.
pub(super) fn read_at<'a, T: Deserialize<'a>>(
    value: &'a RawValue,
    place: &str,
) -> Result<T, ParseError> {
    serde_json::from_str(value.get()).map_err(|error| {
        malformed(&error.to_string(), format!("`{}`", crate::gate::change::printable(place)))
    })
}

fn whole(error: &serde_json::Error) -> ParseError {
    if error.is_eof() {
        return ParseError::Truncated;
    }
    let place = format!("line {}", error.line());
    malformed(&error.to_string(), place)
}
