//! Our own row schema, for any program that can print it.
//!
//! ```json
//! {"schema": "countersign.preview/1", "complete": true, "rows": [
//!   {"engine": "helm", "address": "web/Service/api", "type": "v1/Service", "action": "delete", "place": "prod-eu"}]}
//! ```

use serde::Deserialize;

use super::{Action, Collector, Preview, PreviewError, Row, Spot, bounded};
use crate::gate::time::Timestamp;

/// The schema's name.
pub(super) const SCHEMA: &str = "countersign.preview/1";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    schema: String,
    /// Whether the rows show the whole change.
    complete: bool,
    version: Option<String>,
    timestamp: Option<String>,
    rows: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    engine: String,
    address: String,
    r#type: String,
    action: String,
    place: Option<String>,
    reason: Option<String>,
    #[serde(default)]
    paths: Vec<String>,
}

/// Reads the schema. Unknown members are refused: a misspelt one would hide something.
pub(super) fn parse(bytes: &[u8]) -> Result<Preview, PreviewError> {
    let document: Document = serde_json::from_slice(bytes).map_err(PreviewError::Json)?;
    if document.schema != SCHEMA {
        return Err(PreviewError::Schema(bounded(&document.schema)));
    }
    let mut collector = Collector::default();
    collector.preview.version = document.version.as_deref().map(bounded);
    collector.preview.format = Some(SCHEMA.to_owned());
    collector.preview.made = document.timestamp.as_deref().and_then(Timestamp::parse);
    if !document.complete {
        collector.partial("it says that it is not complete");
    }
    for written in &document.rows {
        let action = Action::of(&written.action)
            .ok_or_else(|| PreviewError::Action(bounded(&written.action)))?;
        let spot = match &written.place {
            Some(place) => Spot::Region { region: bounded(place), account: None },
            None => Spot::Key(written.engine.clone()),
        };
        let row = Row {
            action,
            address: bounded(&written.address),
            kind: bounded(&written.r#type),
            place: written.place.as_deref().map(bounded),
            reason: written.reason.as_deref().map(bounded),
            paths: written.paths.iter().take(20).map(|path| bounded(path)).collect(),
            uncertain: false,
        };
        collector.add(row, [spot]);
    }
    Ok(collector.finish())
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found = match parse(text.as_bytes()) {
            Ok(preview) => table("x", &preview, 9),
            Err(error) => error.to_string(),
        };
        assert_eq!(found.trim_end(), expected);
    }

    #[test]
    fn any_program_can_print_rows() {
        let row = |action: &str| {
            format!(
                r#"{{"engine":"helm","address":"web/api","type":"v1/Service","action":"{action}","place":"prod-eu"}}"#
            )
        };
        let document =
            |rows: &str| format!(r#"{{"schema":"{SCHEMA}","complete":true,"rows":[{rows}]}}"#);
        check(&document(""), "x: nothing would change");
        check(
            &document(&format!("{},{}", row("create"), row("delete"))),
            "x: 1 delete, 1 create in 1 place\n  delete  v1/Service  web/api  prod-eu\n  create  v1/Service  web/api  prod-eu",
        );
        check(
            &document(&row("explode")),
            "`explode` is no action: create, update, removal, replace, delete, forget or unknown",
        );
        check(
            r#"{"schema":"b","complete":true,"rows":[]}"#,
            "the preview has the schema `b`, not `countersign.preview/1`",
        );
        let no_json = "the preview is not the JSON of docs/previews.md";
        check(r#"{"schema":"countersign.preview/1","rows":[]}"#, no_json);
        check(&document(&row("delete").replace("place", "plaice")), no_json);
    }
}
