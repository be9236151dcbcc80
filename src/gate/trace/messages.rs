//! Session files that hold a model's messages as they were, one a line:
//! - Cursor, `agent-transcripts/<id>/<id>.jsonl`: `tool_use` blocks without
//!   results, times, models and folders;
//! - Factory's Droid, `sessions/<folder>/<id>.jsonl`: `session_start`, then
//!   `tool_use` and `tool_result` blocks;
//! - Pi, `sessions/<folder>/<time>_<id>.jsonl`: `session`, then `toolCall` blocks
//!   and messages of the role `toolResult`;
//! - Qwen Code, `projects/<folder>/chats/<id>.jsonl`: `functionCall` parts and
//!   lines with `toolCallResult`.
//!
//! Shapes as others published them of their own sessions, in 2025 and 2026.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::session::{End, Session};
use super::{Found, Reader, Skipped, flag, name, part, tool};
use crate::gate::time::Timestamp;

/// Reads one session file.
#[derive(Debug)]
pub struct Messages {
    session: Session,
    /// Whether the file tells how calls ended.
    answers: bool,
}

static TOOL: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("tool"));
static FUNCTION: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"function"));
static SESSION: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"session"));
static CWD: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"cwd\""));

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type", default, deserialize_with = "name")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "name")]
    id: Option<String>,
    #[serde(rename = "sessionId", default, deserialize_with = "name")]
    session: Option<String>,
    #[serde(default, deserialize_with = "name")]
    timestamp: Option<String>,
    #[serde(default, deserialize_with = "name")]
    cwd: Option<String>,
    #[serde(default, deserialize_with = "name")]
    model: Option<String>,
    #[serde(default, borrow)]
    message: Option<&'a RawValue>,
    #[serde(rename = "toolCallResult", default, borrow)]
    result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(default, deserialize_with = "name")]
    role: Option<String>,
    #[serde(default, deserialize_with = "name")]
    model: Option<String>,
    #[serde(default, borrow)]
    content: Option<&'a RawValue>,
    #[serde(default, borrow)]
    parts: Option<&'a RawValue>,
    #[serde(rename = "toolCallId", default, deserialize_with = "name")]
    call: Option<String>,
    #[serde(rename = "isError", default, deserialize_with = "flag")]
    failed: Option<bool>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(rename = "type", default, deserialize_with = "name")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "name")]
    id: Option<String>,
    #[serde(default, deserialize_with = "name")]
    name: Option<String>,
    #[serde(default, borrow)]
    input: Option<&'a RawValue>,
    #[serde(default, borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(default, borrow)]
    args: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "name")]
    tool_use_id: Option<String>,
    #[serde(default, deserialize_with = "flag")]
    is_error: Option<bool>,
    #[serde(rename = "functionCall", default, borrow)]
    function: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Outcome {
    #[serde(rename = "callId", default, deserialize_with = "name")]
    id: Option<String>,
    #[serde(default, deserialize_with = "name")]
    status: Option<String>,
}

impl Messages {
    /// A reader of one file of `agent`; `session` is the name it has where no
    /// line tells one, `answers` whether the agent writes results of calls.
    pub fn new(agent: &'static str, session: &str, answers: bool) -> Messages {
        Messages { session: Session::new(agent, session), answers }
    }

    fn block(
        &mut self,
        at: u64,
        time: Option<Timestamp>,
        block: Block<'_>,
        found: &mut Vec<Found>,
    ) {
        match block.kind.as_deref() {
            Some("tool_use" | "toolCall") | None => {
                let block = part::<Block<'_>>(block.function).unwrap_or(block);
                let arguments = block.input.or(block.arguments).or(block.args);
                let call = block.name.as_deref().zip(arguments);
                let edits =
                    call.map(|(tool, it)| tool::edits_and_commands(tool, it)).unwrap_or_default();
                let id = block.id.filter(|_| self.answers);
                self.session.call(id, at, time, edits, found);
            }
            Some("tool_result") => {
                let id = block.tool_use_id.unwrap_or_default();
                self.answer(at, time, &id, block.is_error == Some(true), found);
            }
            Some(_) => {}
        }
    }

    fn answer(
        &mut self,
        at: u64,
        time: Option<Timestamp>,
        id: &str,
        failed: bool,
        found: &mut Vec<Found>,
    ) {
        self.session.end(End { id, at, time, failed, changes: Vec::new() }, found);
    }
}

impl Reader for Messages {
    fn line(&mut self, at: u64, line: &[u8], found: &mut Vec<Found>) -> Result<(), Skipped> {
        let has = |finder: &Finder<'_>| finder.find(line).is_some();
        if !has(&TOOL) && !has(&FUNCTION) && (self.session.is_named() || !has(&SESSION)) {
            return Ok(());
        }
        let parsed: Line<'_> = serde_json::from_slice(line).map_err(|_| Skipped)?;
        let time = parsed.timestamp.as_deref().and_then(Timestamp::parse);
        if matches!(parsed.kind.as_deref(), Some("session" | "session_start")) {
            self.session.begins(at, parsed.id, parsed.cwd);
            return Ok(());
        }
        if let Some(outcome) = part::<Outcome>(parsed.result) {
            let failed = outcome.status.is_some_and(|it| it != "success");
            self.answer(at, time, &outcome.id.unwrap_or_default(), failed, found);
            return Ok(());
        }
        let Some(message) = part::<Message<'_>>(parsed.message) else { return Ok(()) };
        if message.role.as_deref() == Some("toolResult") {
            let id = message.call.unwrap_or_default();
            self.answer(at, time, &id, message.failed == Some(true), found);
            return Ok(());
        }
        if parsed.session.is_some() && !self.session.is_named() {
            self.session.begins(at, parsed.session, None);
        }
        self.session.model = message.model.or(parsed.model);
        self.session.cwd = parsed.cwd.or(self.session.cwd.take());
        let blocks = message.content.or(message.parts);
        for block in part::<Vec<Block<'_>>>(blocks).unwrap_or_default() {
            self.block(at, time, block, found);
        }
        Ok(())
    }

    fn open(&self) -> Vec<Found> {
        self.session.open()
    }

    fn needs(&self) -> Vec<u64> {
        self.session.needs()
    }

    fn directory(&self, line: &[u8]) -> Option<String> {
        CWD.find(line)?;
        serde_json::from_slice::<Line<'_>>(line).ok()?.cwd
    }
}
