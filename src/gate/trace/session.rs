//! What readers of session files have in common: who writes, and the calls
//! whose outcome is told later.

use super::{Found, Texts, TracedEdit, wait};
use crate::gate::time::Timestamp;

/// The most ids of calls that are remembered as dealt with.
const SETTLED: usize = 256;

/// One session, as far as its file was read.
#[derive(Debug)]
pub(super) struct Session {
    agent: &'static str,
    session: String,
    /// Whether a line named the session: later ones are copies of a parent's.
    named: bool,
    pub(super) model: Option<String>,
    pub(super) cwd: Option<String>,
    /// The lines that told the session, and the model and folder last.
    meta: Option<u64>,
    turn: Option<u64>,
    calls: Vec<Call>,
    settled: Vec<String>,
}

/// A call, or what it was found to have done.
#[derive(Debug)]
struct Call {
    id: String,
    lines: Vec<u64>,
    model: Option<String>,
    cwd: Option<String>,
    time: Option<Timestamp>,
    edits: Vec<Texts>,
}

/// How a call ended.
pub(super) struct End<'a> {
    pub(super) id: &'a str,
    pub(super) at: u64,
    pub(super) time: Option<Timestamp>,
    pub(super) failed: bool,
    /// What was changed, where the line says.
    pub(super) changes: Vec<Texts>,
}

impl Session {
    /// A session of `agent`; `session` is its name where no line tells one.
    pub(super) fn new(agent: &'static str, session: &str) -> Session {
        Session {
            agent,
            session: session.to_owned(),
            named: false,
            model: None,
            cwd: None,
            meta: None,
            turn: None,
            calls: Vec::new(),
            settled: Vec::new(),
        }
    }

    pub(super) fn is_named(&self) -> bool {
        self.named
    }

    /// Whether any call waits for its outcome.
    pub(super) fn waits(&self) -> bool {
        !self.calls.is_empty()
    }

    /// The line at this offset tells the session and where it began.
    pub(super) fn begins(&mut self, at: u64, session: Option<String>, cwd: Option<String>) {
        if !std::mem::replace(&mut self.named, true) {
            self.session = session.unwrap_or_else(|| std::mem::take(&mut self.session));
            self.meta = Some(at);
        }
        self.cwd = cwd.or(self.cwd.take());
    }

    /// The line at this offset tells the model or folder from here on.
    pub(super) fn turns(&mut self, at: u64, model: Option<String>, cwd: Option<String>) {
        self.turn = Some(at);
        self.model = model.or(self.model.take());
        self.cwd = cwd.or(self.cwd.take());
    }

    /// A call was made. One without an id is never answered, and counts as done.
    pub(super) fn call(
        &mut self,
        id: Option<String>,
        at: u64,
        time: Option<Timestamp>,
        edits: Vec<Texts>,
        found: &mut Vec<Found>,
    ) {
        if edits.is_empty() {
            return;
        }
        let call = self.made(id.clone().unwrap_or_default(), at, time, edits);
        match id {
            Some(_) => wait(&mut self.calls, call, |call| &call.edits),
            None => found.extend(call.edits.iter().map(|texts| self.found(&call, texts))),
        }
    }

    /// An output, or an event, says how a call ended.
    pub(super) fn end(&mut self, end: End<'_>, found: &mut Vec<Found>) {
        let End { id, at, time, failed, changes } = end;
        let call = self.answered(id);
        if (call.is_none() && changes.is_empty()) || self.settle(id).is_none() || failed {
            return;
        }
        let call = match call {
            Some(mut call) if changes.is_empty() => {
                call.lines.push(at);
                call.time = time.or(call.time);
                call
            }
            // What was changed says it all: the request is not needed.
            Some(_) | None => self.made(id.to_owned(), at, time, changes),
        };
        found.extend(call.edits.iter().map(|texts| self.found(&call, texts)));
    }

    /// The edits that were begun and whose outcome is not told yet.
    pub(super) fn open(&self) -> Vec<Found> {
        let of = |call: &Call| {
            call.edits.iter().map(|texts| self.found(call, texts)).collect::<Vec<_>>()
        };
        self.calls.iter().flat_map(of).collect()
    }

    /// See [`super::Reader::needs`].
    pub(super) fn needs(&self) -> Vec<u64> {
        let mut lines = self.context();
        lines.extend(self.calls.iter().flat_map(|call| call.lines.iter().copied()));
        lines.sort_unstable();
        lines.dedup();
        lines
    }

    fn context(&self) -> Vec<u64> {
        let mut lines: Vec<u64> = self.meta.into_iter().chain(self.turn).collect();
        lines.sort_unstable();
        lines.dedup();
        lines
    }

    fn made(&self, id: String, at: u64, time: Option<Timestamp>, edits: Vec<Texts>) -> Call {
        let mut lines = self.context();
        lines.push(at);
        lines.dedup();
        let (model, cwd) = (self.model.clone(), self.cwd.clone());
        Call { id, lines, model, cwd, time, edits }
    }

    fn found(&self, call: &Call, texts: &Texts) -> Found {
        let Texts { path, old, new, everywhere, from } = texts.clone();
        let edit = TracedEdit {
            agent: self.agent.to_owned(),
            session: self.session.clone(),
            model: call.model.clone(),
            time: call.time,
            cwd: call.cwd.clone(),
            path,
            old,
            new,
            everywhere,
            from,
        };
        Found { edit, lines: call.lines.clone() }
    }

    /// Remembers that the call is dealt with; `None` if it already was.
    fn settle(&mut self, id: &str) -> Option<()> {
        if !id.is_empty() {
            if self.settled.iter().any(|it| it == id) {
                return None;
            }
            if self.settled.len() >= SETTLED {
                self.settled.remove(0);
            }
            self.settled.push(id.to_owned());
        }
        Some(())
    }

    /// The call that waits under this id, which waits no more.
    fn answered(&mut self, id: &str) -> Option<Call> {
        let at = self.calls.iter().position(|call| call.id == id)?;
        Some(self.calls.remove(at))
    }
}
