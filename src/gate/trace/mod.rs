//! What an agent's own record says it wrote: bytes of a log in, edits out.

use super::time::Timestamp;

/// One edit that an agent recorded. The text stays in memory: only ids,
/// ranges and hashes of it are ever kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedEdit {
    /// The agent's id in the catalogue.
    pub agent: String,
    /// The agent's own name of the session or conversation.
    pub session: String,
    /// The model's name, where the record tells.
    pub model: Option<String>,
    /// When the edit was made; `None` where the record has no time.
    pub time: Option<Timestamp>,
    /// The working directory the record tells, as written there.
    pub cwd: Option<String>,
    /// The file, as written in the record: absolute, or relative to `cwd`.
    pub path: String,
    /// The replaced text; `None` where the whole file was written.
    pub old: Option<String>,
    /// The text that the agent put there.
    pub new: String,
}
