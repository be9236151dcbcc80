//! Gemini CLI's session files: `tmp/<project>/chats/session-*.jsonl`. The first
//! line names the session; a line of type `gemini` holds the model and the calls
//! of one answer, each with its outcome. An answer is written again as its calls
//! go on, under the same ids. No line tells the folder: paths are absolute.
//! Shapes as others published them of their own sessions, in 2026.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::session::{End, Session};
use super::{Found, Reader, Skipped, name, part, tool};
use crate::gate::time::Timestamp;

/// Reads one session file.
#[derive(Debug)]
pub struct Gemini(Session);

static CALLS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"toolCalls\""));

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "sessionId", default, deserialize_with = "name")]
    session: Option<String>,
    #[serde(default, deserialize_with = "name")]
    timestamp: Option<String>,
    #[serde(default, deserialize_with = "name")]
    model: Option<String>,
    #[serde(rename = "toolCalls", default, borrow)]
    calls: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(default, deserialize_with = "name")]
    id: Option<String>,
    #[serde(default, deserialize_with = "name")]
    name: Option<String>,
    #[serde(default, borrow)]
    args: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "name")]
    status: Option<String>,
    #[serde(default, deserialize_with = "name")]
    timestamp: Option<String>,
}

impl Gemini {
    /// A reader of one file of `agent`; `session` is the name it has where no
    /// line tells one.
    pub fn new(agent: &'static str, session: &str) -> Gemini {
        Gemini(Session::new(agent, session))
    }
}

impl Reader for Gemini {
    fn line(&mut self, at: u64, line: &[u8], found: &mut Vec<Found>) -> Result<(), Skipped> {
        if at > 0 && CALLS.find(line).is_none() {
            return Ok(());
        }
        let parsed: Line<'_> = serde_json::from_slice(line).map_err(|_| Skipped)?;
        if at == 0 {
            self.0.begins(at, parsed.session, None);
        }
        self.0.model = parsed.model;
        for call in part::<Vec<Call<'_>>>(parsed.calls).unwrap_or_default() {
            let done = matches!(call.status.as_deref(), None | Some("success"));
            let arguments = call.name.as_deref().zip(call.args).filter(|_| done);
            let changes =
                arguments.map(|(tool, it)| tool::edits_and_commands(tool, it)).unwrap_or_default();
            let time = call.timestamp.as_deref().or(parsed.timestamp.as_deref());
            let time = time.and_then(Timestamp::parse);
            let id = call.id.unwrap_or_default();
            self.0.end(End { id: &id, at, time, failed: false, changes }, found);
        }
        Ok(())
    }

    fn open(&self) -> Vec<Found> {
        self.0.open()
    }

    fn needs(&self) -> Vec<u64> {
        self.0.needs()
    }

    fn directory(&self, _line: &[u8]) -> Option<String> {
        None
    }
}
