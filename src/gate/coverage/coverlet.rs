//! Coverlet's own JSON: modules, in them documents, in them classes, in them
//! methods with `Lines`, a count by line.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::json::{Members, read_at};
use super::{Collector, ParseError, malformed};

#[derive(Deserialize)]
struct Method {
    #[serde(rename = "Lines")]
    lines: BTreeMap<String, i64>,
}

/// Reads the modules.
pub(super) fn parse(members: &Members<'_>, collector: &mut Collector) -> Result<(), ParseError> {
    for (module, value) in members {
        let documents: Members<'_> = read_at(value, module).map_err(|_| ParseError::Unknown)?;
        for (name, value) in &documents {
            let classes: BTreeMap<String, BTreeMap<String, Method>> =
                read_at(value, name).map_err(|_| ParseError::Unknown)?;
            let file = collector.file(name.as_bytes())?;
            for (line, count) in
                classes.values().flat_map(BTreeMap::values).flat_map(|it| &it.lines)
            {
                let line = super::number(line.as_bytes())
                    .ok_or_else(|| malformed("a line that is no number", "`Lines`"))?;
                collector.line(file, line, *count > 0)?;
            }
        }
    }
    Ok(())
}
