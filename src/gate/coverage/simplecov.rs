//! SimpleCov's JSON: `.resultset.json`, in which every command has its own
//! `coverage`, and `coverage.json` of simplecov-json. A file is an array with an
//! entry for each line: a count, or nothing where there is no code.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::json::{Members, read, read_at};
use super::{Collector, ParseError, malformed};

#[derive(Deserialize)]
struct Command<'a> {
    #[serde(borrow)]
    coverage: &'a RawValue,
}

/// The two forms of a file: SimpleCov before 0.18 wrote the array alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum File {
    Lines(Vec<Value>),
    Table { lines: Vec<Value> },
}

/// Reads a `.resultset.json`.
pub(super) fn parse(members: &Members<'_>, collector: &mut Collector) -> Result<(), ParseError> {
    for (name, value) in members {
        files(read_at::<Command<'_>>(value, name)?.coverage, collector)?;
    }
    Ok(())
}

/// Reads a member `coverage`.
pub(super) fn files(value: &RawValue, collector: &mut Collector) -> Result<(), ParseError> {
    for (name, value) in &read::<Members<'_>>(value)? {
        let (File::Lines(lines) | File::Table { lines }) = read_at(value, name)?;
        let file = collector.file(name.as_bytes())?;
        for (line, count) in (1..).zip(&lines) {
            match count {
                Value::Null | Value::String(_) => {}
                Value::Number(count) => {
                    collector.line(file, line, count.as_u64().is_some_and(|it| it > 0))?;
                }
                Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                    return Err(malformed("an entry that is no count", format!("line {line}")));
                }
            }
        }
    }
    Ok(())
}
