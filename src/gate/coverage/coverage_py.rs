//! The JSON of coverage.py (`coverage json`, formats 1 to 3): executed and
//! missing lines by file; excluded ones have no data.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::{Members, read, read_at};
use super::{Collector, ParseError};

#[derive(Deserialize)]
struct File {
    executed_lines: Vec<u64>,
    missing_lines: Vec<u64>,
}

/// Reads the member `files`.
pub(super) fn parse(files: &RawValue, collector: &mut Collector) -> Result<(), ParseError> {
    for (name, value) in &read::<Members<'_>>(files)? {
        let lines: File = read_at(value, name)?;
        let file = collector.file(name.as_bytes())?;
        for line in lines.executed_lines {
            collector.line(file, line, true)?;
        }
        for line in lines.missing_lines {
            collector.line(file, line, false)?;
        }
    }
    Ok(())
}
