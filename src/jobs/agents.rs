//! What agents keep on this machine.

use serde::Serialize;

use crate::adapters::env::Env;
use crate::adapters::{told, traces};
use crate::gate::signal::catalogue::Catalogue;
use crate::gate::time::Timestamp;

/// One agent's records in one folder. The shape of an entry of `agents list
/// --format json`.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The agent's id.
    pub id: String,
    /// The product's name, for people.
    pub name: String,
    /// Where the records are.
    pub folder: String,
    /// How many files of sessions there are.
    pub sessions: u64,
    pub bytes: u64,
    /// When the newest was written (RFC 3339).
    pub newest: Option<String>,
    /// Folders below that could not be listed.
    pub unreadable: u64,
}

/// How many calls of agents' hooks could not be kept. The shape of `failures` of
/// `agents list --format json`.
#[derive(Debug, Serialize)]
pub struct Failures {
    pub count: u64,
    /// When the last one was (RFC 3339).
    pub last: String,
    pub reason: String,
}

/// The calls that could not be kept; `None` if there were none.
pub fn failures(env: &Env) -> Option<Failures> {
    let told::Failures { count, last, reason } = told::Failures::read(env);
    (count > 0).then(|| Failures { count, last: Timestamp(last).to_string(), reason })
}

/// Looks at the folders of every agent that we can read. Files are counted and
/// not opened.
pub fn list(env: &Env) -> Vec<Row> {
    let catalogue = Catalogue::built_in();
    let name = |id: &str| {
        let row = catalogue.agents().iter().find(|row| row.id == id);
        row.and_then(|row| row.name.clone()).unwrap_or_else(|| id.to_owned())
    };
    let holdings = traces::holdings(env).into_iter();
    holdings
        .map(|it| Row {
            id: it.agent.to_owned(),
            name: name(it.agent),
            folder: it.folder.to_string_lossy().into_owned(),
            sessions: it.sessions,
            bytes: it.bytes,
            newest: it.newest.map(|time| time.to_string()),
            unreadable: it.unreadable,
        })
        .collect()
}
