//! Sessions that stand in an SQLite database, a row a call:
//! - OpenCode, `opencode.db`: `part` holds the calls as JSON, `session` the
//!   folder, `message` the model;
//! - Zed, `threads.db`: a row of `threads` holds a whole conversation as JSON, in
//!   which the results of its editing tool hold both texts.
//!
//! An adapter reads the rows and hands each over as a line: a JSON object with
//! a member for each table, which holds the asked columns.

use serde_json::Value;
use serde_json::value::to_raw_value;

use super::session::Session;
use super::{EDITS, Found, NAME, Reader, Skipped, Texts, tool};
use crate::gate::time::Timestamp;

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    OpenCode,
    Zed,
}

/// Which rows are asked for, and what belongs to them.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    pub table: &'static str,
    /// One that is not there holds nothing. Text in a blob counts as text, also
    /// where it is compressed.
    pub columns: &'static [&'static str],
    /// When a row was changed last: milliseconds since the epoch, or RFC 3339.
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

const ZED: Query = Query {
    table: "threads",
    columns: &["id", "updated_at", "data", "folder_paths"],
    time: "updated_at",
    tells: ("data_type", ""),
    joins: &[],
};

impl Stored {
    /// What is asked of the database.
    pub fn query(self) -> &'static Query {
        match self {
            Stored::OpenCode => &OPEN_CODE,
            Stored::Zed => &ZED,
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

impl OpenCode {
    /// A reader of one database of `agent`.
    pub fn new(agent: &'static str) -> OpenCode {
        OpenCode { agent }
    }
}

/// The text that a member holds, one of another.
fn text<'v>(value: &'v Value, members: [&str; 2]) -> Option<&'v str> {
    value.get(members[0])?.get(members[1])?.as_str()
}

/// A member that is short enough to be a name.
fn name(value: &Value, member: &str) -> Option<String> {
    value.get(member)?.as_str().filter(|it| it.len() <= NAME).map(str::to_owned)
}

/// Older messages name the model beside its provider, newer ones with it.
fn model(data: &str) -> Option<String> {
    let message: Value = serde_json::from_str(data).ok()?;
    name(&message, "modelID").or_else(|| name(message.get("model")?, "modelID"))
}

impl Reader for OpenCode {
    fn line(&mut self, at: u64, line: &[u8], found: &mut Vec<Found>) -> Result<(), Skipped> {
        let row: Value = serde_json::from_slice(line).map_err(|_| Skipped)?;
        let data = text(&row, ["part", "data"]).ok_or(Skipped)?;
        let call: Value = serde_json::from_str(data).map_err(|_| Skipped)?;
        let (Some(tool), Some(state)) = (name(&call, "tool"), call.get("state")) else {
            return Ok(());
        };
        if state.get("status").and_then(Value::as_str) != Some("completed") {
            return Ok(());
        }
        let id = row.get("part").and_then(|it| name(it, "session_id"));
        let mut session = Session::new(self.agent, id.as_deref().unwrap_or("-"));
        session.cwd = row.get("session").and_then(|it| name(it, "directory"));
        session.model = text(&row, ["message", "data"]).and_then(model);
        let end = state.get("time").and_then(|it| it.get("end")).and_then(Value::as_i64);
        let input = state.get("input").and_then(|it| to_raw_value(it).ok());
        let edits = input.map(|it| tool::edits_and_commands(&tool, &it)).unwrap_or_default();
        session.call(None, at, end.map(|it| Timestamp(it / 1000)), edits, found);
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

/// Reads rows of Zed's `threads`.
pub struct Zed {
    agent: &'static str,
}

impl Zed {
    /// A reader of one database of `agent`.
    pub fn new(agent: &'static str) -> Zed {
        Zed { agent }
    }
}

/// The folders that a conversation is about: one a line, or as they were when
/// it began.
fn roots(row: &Value, thread: &Value) -> Vec<String> {
    let listed = row.get("folder_paths").and_then(Value::as_str).unwrap_or_default();
    let listed: Vec<String> =
        listed.lines().filter(|it| !it.is_empty()).map(str::to_owned).collect();
    if !listed.is_empty() {
        return listed;
    }
    let snapshot = thread.get("initial_project_snapshot");
    let trees = snapshot.and_then(|it| it.get("worktree_snapshots")).and_then(Value::as_array);
    let path = |tree: &Value| tree.get("worktree_path")?.as_str().map(str::to_owned);
    trees.into_iter().flatten().filter_map(path).collect()
}

/// A file as the tool names it: below the name of one of the folders.
fn below(roots: &[String], path: &str) -> String {
    let named = path.split_once(['/', '\\']);
    let root = named.and_then(|(first, rest)| {
        let ends = |root: &&String| root.rsplit(['/', '\\']).next() == Some(first);
        Some((roots.iter().find(ends)?, rest))
    });
    match (root, roots) {
        (Some((root, rest)), _) => format!("{root}/{rest}"),
        (None, [root]) if !path.starts_with('/') => format!("{root}/{path}"),
        (None, _) => path.to_owned(),
    }
}

/// What the result of a call put where, if it is one of the editing tool.
fn edit_of(result: &Value, roots: &[String]) -> Option<Texts> {
    if result.get("is_error").and_then(Value::as_bool) == Some(true) {
        return None;
    }
    let output = result.get("output")?;
    let text = |name: &str| output.get(name).and_then(Value::as_str);
    let path = text("input_path").or_else(|| text("original_path"))?;
    (path.len() <= NAME).then_some(())?;
    Some(Texts {
        path: below(roots, path),
        old: text("old_text").map(str::to_owned),
        new: text("new_text")?.to_owned(),
        everywhere: false,
        from: None,
    })
}

impl Reader for Zed {
    fn line(&mut self, at: u64, line: &[u8], found: &mut Vec<Found>) -> Result<(), Skipped> {
        let row: Value = serde_json::from_slice(line).map_err(|_| Skipped)?;
        let row = row.get("threads").ok_or(Skipped)?;
        let column = |name: &str| row.get(name).and_then(Value::as_str);
        let data = column("data").ok_or(Skipped)?;
        let thread: Value = serde_json::from_str(data).map_err(|_| Skipped)?;
        let roots = roots(row, &thread);
        let id = column("id").filter(|it| it.len() <= NAME).unwrap_or("-");
        let mut session = Session::new(self.agent, id);
        session.cwd = roots.first().cloned();
        let model = thread.get("model").and_then(|it| it.get("model")).and_then(Value::as_str);
        session.model = model.filter(|it| it.len() <= NAME).map(str::to_owned);
        let time = column("updated_at").and_then(Timestamp::parse);
        let messages = thread.get("messages").and_then(Value::as_array);
        let mut edits = Vec::new();
        for message in messages.into_iter().flatten() {
            // Older conversations list the results, newer ones name each by its call.
            let results = message.get("Agent").unwrap_or(message).get("tool_results");
            let listed = results.and_then(Value::as_array).into_iter().flatten();
            let named = results.and_then(Value::as_object).into_iter().flatten().map(|it| it.1);
            edits.extend(listed.chain(named).filter_map(|it| edit_of(it, &roots)));
        }
        for edit in edits.into_iter().take(EDITS) {
            session.call(None, at, time, vec![edit], found);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(roots: &[&str], path: &str, expected: &str) {
        let roots: Vec<String> = roots.iter().map(|it| (*it).to_owned()).collect();
        assert_eq!(below(&roots, path), expected);
    }

    #[test]
    fn a_file_stands_below_the_folder_that_its_path_names() {
        check(&["/home/ana/shop", "/home/ana/lib"], "lib/a.rs", "/home/ana/lib/a.rs");
        check(&["/home/ana/shop"], "src/a.rs", "/home/ana/shop/src/a.rs");
        check(&["/home/ana/shop"], "/tmp/a.rs", "/tmp/a.rs");
        check(&["C:\\work\\shop"], "shop/a.rs", "C:\\work\\shop/a.rs");
        check(&[], "src/a.rs", "src/a.rs");
    }

    #[test]
    fn conversations_of_zed_are_read_in_their_old_and_new_form() {
        let result = r#"{"tool_name":"edit_file","is_error":false,"output":{"original_path":"shop/a.rs","old_text":"a","new_text":"b"}}"#;
        let read = |thread: &str| {
            let row = serde_json::json!({ "threads": { "id": "t", "updated_at": "2026-05-22T09:00:00Z", "data": thread, "folder_paths": "/home/ana/shop" } });
            let mut found = Vec::new();
            let read = Zed::new("zed").line(3, row.to_string().as_bytes(), &mut found);
            let edits: Vec<String> = found
                .iter()
                .map(|it| format!("{} {:?} {}", it.edit.path, it.edit.model, it.edit.new))
                .collect();
            (read, edits.join(", "))
        };
        let expected = (Ok(()), "/home/ana/shop/a.rs Some(\"m\") b".to_owned());
        let model = r#""model":{"provider":"p","model":"m"}"#;
        let new = format!(
            r#"{{"messages":[{{"User":{{"content":[]}}}},"Resume",{{"Agent":{{"content":[],"tool_results":{{"c1":{result}}}}}}}],{model}}}"#
        );
        assert_eq!(read(&new), expected);
        let old = format!(
            r#"{{"version":"0.2.0","messages":[{{"role":"assistant","tool_results":[{result}]}}],{model}}}"#
        );
        assert_eq!(read(&old), expected);
        let failed = new.replace("\"is_error\":false", "\"is_error\":true");
        assert_eq!(read(&failed), (Ok(()), String::new()));
        assert_eq!(read("{"), (Err(Skipped), String::new()));
    }
}
