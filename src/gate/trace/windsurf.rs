//! Windsurf's transcripts: `transcripts/<trajectory>.jsonl`. A step of type
//! `code_action` holds a file before and after, and whether the person accepted
//! it. No line tells time, model or folder: paths are `file://` addresses.
//! Shape as others published it of their own sessions, in 2026.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::session::Session;
use super::{Found, Reader, Skipped, Texts, name, part, text};

/// Reads one transcript.
#[derive(Debug)]
pub struct Windsurf(Session);

static ACTION: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"code_action\""));

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(default, deserialize_with = "name")]
    status: Option<String>,
    #[serde(default, borrow)]
    code_action: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Action {
    #[serde(default, deserialize_with = "name")]
    acknowledgement_type: Option<String>,
    #[serde(default, deserialize_with = "name")]
    path: Option<String>,
    #[serde(default, deserialize_with = "text")]
    original_content: Option<String>,
    #[serde(default, deserialize_with = "text")]
    new_content: Option<String>,
}

impl Windsurf {
    /// A reader of one file of `agent`, whose name is the session's.
    pub fn new(agent: &'static str, session: &str) -> Windsurf {
        Windsurf(Session::new(agent, session))
    }
}

impl Reader for Windsurf {
    fn line(&mut self, at: u64, line: &[u8], found: &mut Vec<Found>) -> Result<(), Skipped> {
        if ACTION.find(line).is_none() {
            return Ok(());
        }
        let parsed: Line<'_> = serde_json::from_slice(line).map_err(|_| Skipped)?;
        let Some(action) = part::<Action>(parsed.code_action) else { return Ok(()) };
        let refused = matches!(
            action.acknowledgement_type.as_deref(),
            Some("ACKNOWLEDGEMENT_TYPE_REJECT" | "ACKNOWLEDGEMENT_TYPE_REJECTED")
        );
        let failed = matches!(parsed.status.as_deref(), Some("error" | "canceled" | "cancelled"));
        if let (Some(path), Some(new), false) = (action.path, action.new_content, refused || failed)
        {
            let texts =
                Texts { path, old: action.original_content, new, everywhere: false, from: None };
            self.0.call(None, at, None, vec![texts], found);
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
