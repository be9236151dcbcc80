//! GitHub Copilot's session files: the command line's
//! `session-state/<session>/events.jsonl`, and the transcripts that Copilot in VS
//! Code keeps in a workspace's storage. One event a line: `{"type", "data",
//! "timestamp"}`.
//!
//! `session.start` names the session and its folder, `session.model_change` the
//! model; `tool.execution_start` holds a call's tool and arguments,
//! `tool.execution_complete` whether it succeeded.
//! Shapes as others published them of their own sessions, in 2026.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::session::{End, Session};
use super::{Found, Reader, Skipped, flag, name, part, tool};
use crate::gate::time::Timestamp;

/// Reads one session file.
#[derive(Debug)]
pub struct Copilot(Session);

static EXECUTION: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"tool.execution_"));
static SESSION: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"session."));

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type", default, deserialize_with = "name")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "name")]
    timestamp: Option<String>,
    #[serde(default, borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(rename = "sessionId", default, deserialize_with = "name")]
    session: Option<String>,
    #[serde(default, borrow)]
    context: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "name")]
    model: Option<String>,
    #[serde(rename = "newModel", default, deserialize_with = "name")]
    new_model: Option<String>,
    #[serde(rename = "selectedModel", default, deserialize_with = "name")]
    selected_model: Option<String>,
    #[serde(rename = "toolCallId", default, deserialize_with = "name")]
    call: Option<String>,
    #[serde(rename = "toolName", default, deserialize_with = "name")]
    tool: Option<String>,
    #[serde(default, borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "flag")]
    success: Option<bool>,
}

#[derive(Deserialize)]
struct Context {
    #[serde(default, deserialize_with = "name")]
    cwd: Option<String>,
}

impl Copilot {
    /// A reader of one file of `agent`; `session` is the name it has where no
    /// line tells one.
    pub fn new(agent: &'static str, session: &str) -> Copilot {
        Copilot(Session::new(agent, session))
    }
}

impl Reader for Copilot {
    fn line(&mut self, at: u64, line: &[u8], found: &mut Vec<Found>) -> Result<(), Skipped> {
        if EXECUTION.find(line).is_none() && SESSION.find(line).is_none() {
            return Ok(());
        }
        let parsed: Line<'_> = serde_json::from_slice(line).map_err(|_| Skipped)?;
        let Some(data) = part::<Data<'_>>(parsed.data) else { return Ok(()) };
        let time = parsed.timestamp.as_deref().and_then(Timestamp::parse);
        match parsed.kind.as_deref() {
            Some("session.start" | "session.resume") => {
                let cwd = part::<Context>(data.context).and_then(|it| it.cwd);
                self.0.begins(at, data.session, cwd);
                if data.selected_model.is_some() {
                    self.0.turns(at, data.selected_model, None);
                }
            }
            Some("session.model_change") => self.0.turns(at, data.new_model, None),
            Some("tool.execution_start") => {
                let arguments = data.tool.as_deref().zip(data.arguments);
                let edits = arguments
                    .map(|(tool, it)| tool::edits_and_commands(tool, it))
                    .unwrap_or_default();
                let before = self.0.model.clone();
                self.0.model = data.model.or(before.clone());
                self.0.call(data.call, at, time, edits, found);
                self.0.model = before;
            }
            Some("tool.execution_complete") => {
                let id = data.call.unwrap_or_default();
                let failed = data.success == Some(false);
                self.0.end(End { id: &id, at, time, failed, changes: Vec::new() }, found);
            }
            _ => {}
        }
        Ok(())
    }

    fn open(&self) -> Vec<Found> {
        self.0.open()
    }

    fn needs(&self) -> Vec<u64> {
        self.0.needs()
    }

    fn directory(&self, line: &[u8]) -> Option<String> {
        SESSION.find(line)?;
        let parsed: Line<'_> = serde_json::from_slice(line).ok()?;
        part::<Context>(part::<Data<'_>>(parsed.data)?.context)?.cwd
    }
}
