//! Sessions that are one JSON document each, written anew as they go on:
//! - Cline and its kin (Roo Code, Kilo Code),
//!   `tasks/<task>/api_conversation_history.json`: a list of messages, with calls as
//!   `tool_use` blocks, or as XML in an assistant's text;
//! - Continue, `sessions/<id>.json`: `history` with `toolCallStates`;
//! - Amp, `threads/<id>.json`: `messages` with `tool_use` and `tool_result` blocks;
//! - OpenCode, before it kept a database, `storage/part/<message>/<part>.json`: one call each.
//! - Aider, `.aider.chat.history.md` in a work tree: Markdown, see [`aider`].
//!
//! Shapes as others published them of their own sessions; Amp's and Cline's are
//! the least sure.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::session::{End, Session};
use super::{Found, NAME, Reader, Skipped, aider, name, part, text, tool};
use crate::gate::time::Timestamp;

/// Reads one document, given whole as the line at offset 0.
#[derive(Debug)]
pub struct Document {
    agent: &'static str,
    /// The name that the session has where the document does not tell one.
    name: String,
    session: Session,
    kind: Kind,
}

/// Whose documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Cline,
    Continue,
    Amp,
    OpenCode,
    /// The name is the folder's in which the file stands.
    Aider,
}

/// What Cline and its kin write before the folder, into every request.
static FOLDERS: LazyLock<[Finder<'static>; 2]> = LazyLock::new(|| {
    ["Current Working Directory (", "Current Workspace Directory ("].map(Finder::new)
});

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(default, deserialize_with = "name")]
    role: Option<String>,
    #[serde(default, borrow)]
    content: Option<&'a RawValue>,
    #[serde(default, borrow)]
    ts: Option<&'a RawValue>,
    #[serde(rename = "modelInfo", default, borrow)]
    model: Option<&'a RawValue>,
    #[serde(default, borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(rename = "type", default, deserialize_with = "name")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "text")]
    text: Option<String>,
    #[serde(default, deserialize_with = "name")]
    id: Option<String>,
    #[serde(default, deserialize_with = "name")]
    name: Option<String>,
    #[serde(default, borrow)]
    input: Option<&'a RawValue>,
    #[serde(alias = "toolUseID", default, deserialize_with = "name")]
    tool_use_id: Option<String>,
    #[serde(default, borrow)]
    run: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Model {
    #[serde(alias = "modelId", default, deserialize_with = "name")]
    model: Option<String>,
    #[serde(default, deserialize_with = "name")]
    timestamp: Option<String>,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default, deserialize_with = "name")]
    status: Option<String>,
}

#[derive(Deserialize)]
struct Continue<'a> {
    #[serde(rename = "sessionId", default, deserialize_with = "name")]
    session: Option<String>,
    #[serde(rename = "workspaceDirectory", default, deserialize_with = "name")]
    folder: Option<String>,
    #[serde(default, borrow)]
    history: Option<&'a RawValue>,
    #[serde(rename = "chatModelTitle", default, deserialize_with = "name")]
    model: Option<String>,
}

#[derive(Deserialize)]
struct Turn<'a> {
    #[serde(default, borrow)]
    message: Option<&'a RawValue>,
    #[serde(rename = "toolCallStates", default, borrow)]
    states: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Calls<'a> {
    #[serde(rename = "toolCalls", default, borrow)]
    calls: Option<&'a RawValue>,
    #[serde(default, borrow)]
    usage: Option<&'a RawValue>,
}

/// A call as a message has it, or its state, which may hold that.
#[derive(Deserialize)]
struct State<'a> {
    #[serde(alias = "toolCallId", default, deserialize_with = "name")]
    id: Option<String>,
    #[serde(default, deserialize_with = "name")]
    status: Option<String>,
    #[serde(rename = "toolCall", default, borrow)]
    call: Option<&'a RawValue>,
    #[serde(default, borrow)]
    function: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(default, deserialize_with = "name")]
    name: Option<String>,
    #[serde(default, borrow)]
    arguments: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Thread<'a> {
    #[serde(default, deserialize_with = "name")]
    id: Option<String>,
    #[serde(default, borrow)]
    created: Option<&'a RawValue>,
    #[serde(default, borrow)]
    messages: Option<&'a RawValue>,
    #[serde(default, borrow)]
    env: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Environment {
    initial: Initial,
}

#[derive(Deserialize)]
struct Initial {
    trees: Vec<Tree>,
}

#[derive(Deserialize)]
struct Tree {
    uri: String,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(rename = "sessionID", default, deserialize_with = "name")]
    session: Option<String>,
    #[serde(default, deserialize_with = "name")]
    tool: Option<String>,
    #[serde(default, borrow)]
    state: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct PartState<'a> {
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

impl Document {
    /// A reader of one document of `agent`; `session` is the name it has where
    /// the document does not tell one.
    pub fn new(agent: &'static str, session: &str, kind: Kind) -> Document {
        let name = session.to_owned();
        Document { agent, name, session: Session::new(agent, session), kind }
    }

    fn aider(&mut self, bytes: &[u8], found: &mut Vec<Found>) {
        for chat in aider::chats(&String::from_utf8_lossy(bytes)) {
            self.session = Session::new(self.agent, &format!("chat of {}", chat.began));
            self.session.cwd = Some(self.name.clone());
            self.session.model = chat.model;
            self.session.call(None, 0, None, chat.edits, found);
        }
    }

    fn cline(&mut self, bytes: &[u8], found: &mut Vec<Found>) {
        self.session.cwd = folder_of_cline(bytes);
        let messages: Vec<Message<'_>> = serde_json::from_slice(bytes).unwrap_or_default();
        for message in messages.iter().filter(|it| it.role.as_deref() == Some("assistant")) {
            let time = milliseconds(message.ts);
            self.session.model = part::<Model>(message.model).and_then(|it| it.model);
            for block in part::<Vec<Block<'_>>>(message.content).unwrap_or_default() {
                let call = block.name.as_deref().zip(block.input);
                let mut edits =
                    call.map(|(tool, it)| tool::edits_and_commands(tool, it)).unwrap_or_default();
                edits.extend(block.text.as_deref().map(tool::in_text).unwrap_or_default());
                self.session.call(None, 0, time, edits, found);
            }
        }
    }

    fn continue_dev(&mut self, bytes: &[u8], found: &mut Vec<Found>) {
        let Ok(document) = serde_json::from_slice::<Continue<'_>>(bytes) else { return };
        self.session.begins(0, document.session, document.folder);
        for turn in part::<Vec<Turn<'_>>>(document.history).unwrap_or_default() {
            let message: Option<Calls<'_>> = part(turn.message);
            let usage = message.as_ref().and_then(|it| part::<Model>(it.usage));
            self.session.model = usage.and_then(|it| it.model).or(document.model.clone());
            for call in message.and_then(|it| part::<Vec<State<'_>>>(it.calls)).unwrap_or_default()
            {
                let function: Option<Function<'_>> = part(call.function);
                self.session.call(call.id, 0, None, of_function(function), found);
            }
            for state in part::<Vec<State<'_>>>(turn.states).unwrap_or_default() {
                let function = part::<State<'_>>(state.call).and_then(|it| part(it.function));
                let failed = state.status.as_deref().is_some_and(|it| it != "done");
                let changes = of_function(function);
                let id = state.id.unwrap_or_default();
                self.session.end(End { id: &id, at: 0, time: None, failed, changes }, found);
            }
        }
    }

    fn amp(&mut self, bytes: &[u8], found: &mut Vec<Found>) {
        let Ok(thread) = serde_json::from_slice::<Thread<'_>>(bytes) else { return };
        let created = milliseconds(thread.created);
        self.session.begins(0, thread.id, folder_of_amp(thread.env));
        for message in part::<Vec<Message<'_>>>(thread.messages).unwrap_or_default() {
            let usage: Option<Model> = part(message.usage);
            let time = usage.as_ref().and_then(|it| Timestamp::parse(it.timestamp.as_deref()?));
            let time = time.or(created);
            if let Some(model) = usage.and_then(|it| it.model) {
                self.session.model = Some(model);
            }
            for block in part::<Vec<Block<'_>>>(message.content).unwrap_or_default() {
                if block.kind.as_deref() == Some("tool_result") {
                    let status = part::<Status>(block.run).and_then(|it| it.status);
                    let failed = status.is_some_and(|it| it != "done");
                    let id = block.tool_use_id.unwrap_or_default();
                    let end = End { id: &id, at: 0, time: None, failed, changes: Vec::new() };
                    self.session.end(end, found);
                } else if let Some((tool, input)) = block.name.as_deref().zip(block.input) {
                    self.session.call(
                        block.id,
                        0,
                        time,
                        tool::edits_and_commands(tool, input),
                        found,
                    );
                }
            }
        }
    }

    fn open_code(&mut self, bytes: &[u8], found: &mut Vec<Found>) {
        let Ok(document) = serde_json::from_slice::<Part<'_>>(bytes) else { return };
        let Some(state) = part::<PartState<'_>>(document.state) else { return };
        self.session.begins(0, document.session, None);
        if state.status.as_deref() == Some("completed") {
            let call = document.tool.as_deref().zip(state.input);
            let edits =
                call.map(|(tool, it)| tool::edits_and_commands(tool, it)).unwrap_or_default();
            let time = part::<Span>(state.time).and_then(|it| seconds(it.end));
            self.session.call(None, 0, time, edits, found);
        }
    }
}

impl Reader for Document {
    fn line(&mut self, _at: u64, line: &[u8], found: &mut Vec<Found>) -> Result<(), Skipped> {
        if self.kind != Kind::Aider {
            serde_json::from_slice::<&RawValue>(line).map_err(|_| Skipped)?;
        }
        match self.kind {
            Kind::Aider => self.aider(line, found),
            Kind::Cline => self.cline(line, found),
            Kind::Continue => self.continue_dev(line, found),
            Kind::Amp => self.amp(line, found),
            Kind::OpenCode => self.open_code(line, found),
        }
        found.iter_mut().for_each(|it| it.lines = vec![0]);
        Ok(())
    }

    fn open(&self) -> Vec<Found> {
        self.session.open()
    }

    fn needs(&self) -> Vec<u64> {
        Vec::new()
    }

    fn directory(&self, line: &[u8]) -> Option<String> {
        match self.kind {
            Kind::Cline => folder_of_cline(line),
            Kind::Continue => serde_json::from_slice::<Continue<'_>>(line).ok()?.folder,
            Kind::Amp => folder_of_amp(serde_json::from_slice::<Thread<'_>>(line).ok()?.env),
            Kind::OpenCode | Kind::Aider => None,
        }
    }
}

fn of_function(function: Option<Function<'_>>) -> Vec<super::Texts> {
    let Some(function) = function else { return Vec::new() };
    let call = function.name.as_deref().zip(function.arguments);
    call.map(|(tool, it)| tool::edits_and_commands(tool, it)).unwrap_or_default()
}

/// The first of the thread's trees; the files' own paths are absolute.
fn folder_of_amp(env: Option<&RawValue>) -> Option<String> {
    part::<Environment>(env)?.initial.trees.into_iter().next().map(|it| it.uri)
}

/// The folder that the text of a request names, in JSON's spelling.
fn folder_of_cline(bytes: &[u8]) -> Option<String> {
    let at = FOLDERS.iter().find_map(|it| Some(it.find(bytes)? + it.needle().len()))?;
    let rest = bytes.get(at..)?;
    let end = memchr::memchr(b')', rest.get(..NAME).unwrap_or(rest))?;
    let spelled = format!("\"{}\"", std::str::from_utf8(rest.get(..end)?).ok()?);
    serde_json::from_str(&spelled).ok()
}

/// A time in milliseconds since the epoch.
fn milliseconds(raw: Option<&RawValue>) -> Option<Timestamp> {
    seconds(part::<u64>(raw)?)
}

fn seconds(milliseconds: u64) -> Option<Timestamp> {
    i64::try_from(milliseconds / 1000).ok().map(Timestamp)
}
