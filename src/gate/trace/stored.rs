//! Sessions that stand in an SQLite database, a row a call:
//! - OpenCode, `opencode.db`: `part` holds the calls as JSON, `session` the
//!   folder, `message` the model.
//!
//! An adapter reads the rows and hands each over as a line: a JSON object with
//! a member for each table, which holds the asked columns.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::session::Session;
use super::{Found, Reader, Skipped, name, part, text, tool};
use crate::gate::time::Timestamp;

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    OpenCode,
}

/// Which rows are asked for, and what belongs to them.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    pub table: &'static str,
    pub columns: &'static [&'static str],
    /// When a row was changed last, in milliseconds since the epoch.
    pub time: &'static str,
    /// A column, and a text without which it tells of no call.
    pub tells: (&'static str, &'static str),
    pub joins: &'static [Join],
}

/// A row of another table that belongs to a row.
#[derive(Clone, Copy, Debug)]
pub struct Join {
    pub table: &'static str,
    /// Its column that names it.
    pub key: &'static str,
    /// The column of the row that holds that name.
    pub by: &'static str,
    pub column: &'static str,
}

const OPEN_CODE: Query = Query {
    table: "part",
    columns: &["session_id", "message_id", "data"],
    time: "time_updated",
    tells: ("data", "\"tool\""),
    joins: &[
        Join { table: "session", key: "id", by: "session_id", column: "directory" },
        Join { table: "message", key: "id", by: "message_id", column: "data" },
    ],
};

impl Stored {
    /// What is asked of the database.
    pub fn query(self) -> &'static Query {
        match self {
            Stored::OpenCode => &OPEN_CODE,
        }
    }
}

/// Cursor's own count of what it wrote, which holds no text of lines: by it a
/// conversation's model is known, which its transcript does not tell.
pub const CURSOR_MODELS: Query = Query {
    table: "ai_code_hashes",
    columns: &["conversationId", "model"],
    time: "createdAt",
    tells: ("model", ""),
    joins: &[],
};

/// Reads rows of OpenCode's `part`.
pub struct OpenCode {
    agent: &'static str,
}

#[derive(Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    part: Part<'a>,
    #[serde(default, borrow)]
    session: Option<Folder<'a>>,
    #[serde(default, borrow)]
    message: Option<Data<'a>>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(default, deserialize_with = "name")]
    session_id: Option<String>,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Folder<'a> {
    #[serde(default, borrow)]
    directory: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(default, deserialize_with = "name")]
    tool: Option<String>,
    #[serde(default, borrow)]
    state: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct State<'a> {
    #[serde(default, deserialize_with = "name")]
    status: Option<String>,
    #[serde(default, borrow)]
    input: Option<&'a RawValue>,
    #[serde(default, borrow)]
    time: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Span {
    end: u64,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(rename = "modelID", default, deserialize_with = "name")]
    id: Option<String>,
    #[serde(default, borrow)]
    model: Option<&'a RawValue>,
}

impl OpenCode {
    /// A reader of one database of `agent`.
    pub fn new(agent: &'static str) -> OpenCode {
        OpenCode { agent }
    }
}

/// The text that a column holds.
fn column(raw: &RawValue) -> Option<String> {
    text(raw).ok().flatten()
}

/// Older messages name the model beside its provider, newer ones with it.
fn model(data: &str) -> Option<String> {
    let message: Message<'_> = serde_json::from_str(data).ok()?;
    message.id.or_else(|| part::<Message<'_>>(message.model)?.id)
}

impl Reader for OpenCode {
    fn line(&mut self, at: u64, line: &[u8], found: &mut Vec<Found>) -> Result<(), Skipped> {
        let row: Row<'_> = serde_json::from_slice(line).map_err(|_| Skipped)?;
        let data = column(row.part.data).ok_or(Skipped)?;
        let call: Call<'_> = serde_json::from_str(&data).map_err(|_| Skipped)?;
        let (Some(tool), Some(state)) = (call.tool, part::<State<'_>>(call.state)) else {
            return Ok(());
        };
        if state.status.as_deref() != Some("completed") {
            return Ok(());
        }
        let mut session = Session::new(self.agent, row.part.session_id.as_deref().unwrap_or("-"));
        session.cwd = row.session.and_then(|it| column(it.directory?));
        session.model = row.message.and_then(|it| model(&column(it.data)?));
        let time = part::<Span>(state.time).and_then(|it| i64::try_from(it.end / 1000).ok());
        let edits = state.input.map(|it| tool::edits(&tool, it)).unwrap_or_default();
        session.call(None, at, time.map(Timestamp), edits, found);
        Ok(())
    }

    fn open(&self) -> Vec<Found> {
        Vec::new()
    }

    fn needs(&self) -> Vec<u64> {
        Vec::new()
    }

    fn directory(&self, _line: &[u8]) -> Option<String> {
        None
    }
}
