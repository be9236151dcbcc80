//! Where agents keep their records, as a table: a new agent is a row here and,
//! if its files are of a new form, a file beside this one.

use super::Reader;
use super::claude_code::ClaudeCode;
use super::codex::Codex;
use super::copilot::Copilot;
use super::documents::{Document, Kind};
use super::gemini::Gemini;
use super::messages::Messages;
use super::stored::{OpenCode, Stored, Zed};
use super::windsurf::Windsurf;

/// One agent's records.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// The agent's id in the catalogue.
    pub agent: &'static str,
    /// Folders that hold them: `~` is the home, `$NAME` a variable; a folder
    /// whose variable is not set is left out; `{tree}` is every work tree's top.
    pub folders: &'static [&'static str],
    /// Files below a folder, part by part; `*` is any text within a part, and
    /// `{id}` the session's id (any text, where none is known).
    pub files: &'static [&'static str],
    /// The variable by which the agent tells its commands the session's id.
    pub session: Option<&'static str>,
    pub format: Format,
}

/// The form of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    ClaudeCode,
    Codex,
    Copilot,
    Gemini,
    /// `answers`: whether the file tells how calls ended.
    Messages {
        answers: bool,
    },
    Windsurf,
    /// A file is read whole, and anew when it changed.
    Document(Kind),
    /// A database, of which the newest rows are read when it changed.
    Database(Stored),
}

/// Where VS Code's extensions keep their files, and those of its Insiders.
const EXTENSIONS: &[&str] = &[
    "$XDG_CONFIG_HOME/Code/User/globalStorage",
    "~/.config/Code/User/globalStorage",
    "~/.config/Code - Insiders/User/globalStorage",
    "~/Library/Application Support/Code/User/globalStorage",
    "~/Library/Application Support/Code - Insiders/User/globalStorage",
    "$APPDATA/Code/User/globalStorage",
    "$APPDATA/Code - Insiders/User/globalStorage",
];

/// The table: folders as tools that read such records name them; those of Qwen
/// Code, Roo Code and Kilo Code were confirmed nowhere else.
pub const SOURCES: &[Source] = &[
    Source {
        agent: "claude-code",
        folders: &[
            "$CLAUDE_CONFIG_DIR/projects",
            "~/.claude/projects",
            "$XDG_CONFIG_HOME/claude/projects",
            "~/.config/claude/projects",
        ],
        files: &["*/{id}.jsonl", "*/{id}/subagents/agent-*.jsonl"],
        session: Some("CLAUDE_CODE_SESSION_ID"),
        format: Format::ClaudeCode,
    },
    Source {
        agent: "codex",
        folders: &["$CODEX_HOME", "~/.codex"],
        files: &[
            "sessions/*/*/*/rollout-*{id}.jsonl",
            "sessions/rollout-*{id}.jsonl",
            "archived_sessions/rollout-*{id}.jsonl",
        ],
        session: Some("CODEX_THREAD_ID"),
        format: Format::Codex,
    },
    Source {
        agent: "github-copilot",
        folders: &["$COPILOT_HOME/session-state", "~/.copilot/session-state"],
        files: &["{id}/events.jsonl", "{id}.jsonl"],
        session: Some("COPILOT_AGENT_SESSION_ID"),
        format: Format::Copilot,
    },
    Source {
        agent: "github-copilot",
        folders: &[
            "$XDG_CONFIG_HOME/Code/User/workspaceStorage",
            "~/.config/Code/User/workspaceStorage",
            "~/.config/Code - Insiders/User/workspaceStorage",
            "~/Library/Application Support/Code/User/workspaceStorage",
            "~/Library/Application Support/Code - Insiders/User/workspaceStorage",
            "$APPDATA/Code/User/workspaceStorage",
            "$APPDATA/Code - Insiders/User/workspaceStorage",
        ],
        files: &["*/GitHub.copilot-chat/transcripts/{id}.jsonl"],
        session: None,
        format: Format::Copilot,
    },
    Source {
        agent: "cursor",
        folders: &["$CURSOR_CONFIG_DIR/projects", "~/.cursor/projects"],
        files: &[
            "*/agent-transcripts/{id}.jsonl",
            "*/agent-transcripts/*/{id}.jsonl",
            "*/agent-transcripts/*/subagents/{id}.jsonl",
        ],
        session: None,
        format: Format::Messages { answers: false },
    },
    Source {
        agent: "gemini-cli",
        folders: &["$GEMINI_CLI_HOME/.gemini/tmp", "~/.gemini/tmp"],
        files: &["*/chats/session-*.jsonl", "*/chats/*/*.jsonl"],
        session: None,
        format: Format::Gemini,
    },
    Source {
        agent: "qwen-code",
        folders: &["~/.qwen/projects"],
        files: &["*/chats/{id}.jsonl"],
        session: None,
        format: Format::Messages { answers: true },
    },
    Source {
        agent: "factory-droid",
        folders: &["~/.factory/sessions"],
        files: &["*/{id}.jsonl", "{id}.jsonl"],
        session: None,
        format: Format::Messages { answers: true },
    },
    Source {
        agent: "pi",
        folders: &["$PI_CODING_AGENT_DIR/sessions", "~/.pi/agent/sessions"],
        files: &["*/*{id}.jsonl"],
        session: None,
        format: Format::Messages { answers: true },
    },
    Source {
        agent: "windsurf",
        folders: &["~/.windsurf/transcripts"],
        files: &["{id}.jsonl"],
        session: None,
        format: Format::Windsurf,
    },
    Source {
        agent: "cline",
        folders: EXTENSIONS,
        files: &["saoudrizwan.claude-dev/tasks/{id}/api_conversation_history.json"],
        session: None,
        format: Format::Document(Kind::Cline),
    },
    Source {
        agent: "cline",
        folders: &["~/.cline/data/tasks"],
        files: &["{id}/api_conversation_history.json"],
        session: None,
        format: Format::Document(Kind::Cline),
    },
    Source {
        agent: "roo-code",
        folders: EXTENSIONS,
        files: &["rooveterinaryinc.roo-cline/tasks/{id}/api_conversation_history.json"],
        session: None,
        format: Format::Document(Kind::Cline),
    },
    Source {
        agent: "kilo-code",
        folders: EXTENSIONS,
        files: &["kilocode.kilo-code/tasks/{id}/api_conversation_history.json"],
        session: None,
        format: Format::Document(Kind::Cline),
    },
    Source {
        agent: "continue",
        folders: &["$CONTINUE_GLOBAL_DIR/sessions", "~/.continue/sessions"],
        files: &["{id}.json"],
        session: None,
        format: Format::Document(Kind::Continue),
    },
    Source {
        agent: "amp",
        folders: &[
            "$XDG_DATA_HOME/amp/threads",
            "~/.local/share/amp/threads",
            "$LOCALAPPDATA/amp/threads",
        ],
        files: &["{id}.json"],
        session: Some("AMP_CURRENT_THREAD_ID"),
        format: Format::Document(Kind::Amp),
    },
    Source {
        agent: "opencode",
        folders: &["$XDG_DATA_HOME/opencode/storage", "~/.local/share/opencode/storage"],
        files: &["part/*/{id}.json"],
        session: None,
        format: Format::Document(Kind::OpenCode),
    },
    Source {
        agent: "opencode",
        folders: &["$XDG_DATA_HOME/opencode", "~/.local/share/opencode"],
        files: &["opencode.db"],
        session: None,
        format: Format::Database(Stored::OpenCode),
    },
    Source {
        agent: "zed",
        folders: &[
            "$XDG_DATA_HOME/zed/threads",
            "~/.local/share/zed/threads",
            "~/Library/Application Support/Zed/threads",
            "$LOCALAPPDATA/Zed/threads",
        ],
        files: &["threads.db"],
        session: None,
        format: Format::Database(Stored::Zed),
    },
    Source {
        agent: "aider",
        folders: &["{tree}"],
        files: &[".aider.chat.history.md"],
        session: None,
        format: Format::Document(Kind::Aider),
    },
];

/// Where Cursor keeps its own count of what it wrote, see
/// [`CURSOR_MODELS`](super::stored::CURSOR_MODELS).
pub const CURSOR_TRACKING: Source = Source {
    agent: "cursor",
    folders: &["$CURSOR_CONFIG_DIR/ai-tracking", "~/.cursor/ai-tracking"],
    files: &["ai-code-tracking.db"],
    session: None,
    format: Format::Messages { answers: false },
};

impl Source {
    /// The files, all or those of one session.
    pub fn patterns(&self, id: Option<&str>) -> Vec<Pattern> {
        let pattern = |files: &&str| {
            let last = files.rsplit('/').next().unwrap_or_default();
            let parts = files.replace("{id}", id.unwrap_or("*"));
            Pattern {
                parts: parts.split('/').map(str::to_owned).collect(),
                named: last.contains(['*', '{']),
            }
        };
        self.files.iter().map(pattern).collect()
    }

    /// Whether the files stand in the work tree, and the folder names the session.
    pub fn is_in_tree(&self) -> bool {
        self.folders.contains(&"{tree}")
    }

    /// The database that the files are.
    pub fn database(&self) -> Option<Stored> {
        match self.format {
            Format::Database(stored) => Some(stored),
            Format::ClaudeCode
            | Format::Codex
            | Format::Copilot
            | Format::Gemini
            | Format::Messages { .. }
            | Format::Windsurf
            | Format::Document(_) => None,
        }
    }

    /// Whether files are never written to again, so that a folder in which none
    /// was made holds nothing new. There may be very many.
    pub fn is_written_once(&self) -> bool {
        self.format == Format::Document(Kind::OpenCode)
    }

    /// A reader of one file; `name` is the file's without its ending, or its
    /// folder's where all are named the same.
    pub fn reader(&self, name: &str) -> Box<dyn Reader> {
        match self.format {
            Format::ClaudeCode => Box::new(ClaudeCode::new(self.agent, name)),
            Format::Codex => Box::new(Codex::new(self.agent, name)),
            Format::Copilot => Box::new(Copilot::new(self.agent, name)),
            Format::Gemini => Box::new(Gemini::new(self.agent, name)),
            Format::Messages { answers } => Box::new(Messages::new(self.agent, name, answers)),
            Format::Windsurf => Box::new(Windsurf::new(self.agent, name)),
            Format::Document(kind) => Box::new(Document::new(self.agent, name, kind)),
            Format::Database(Stored::OpenCode) => Box::new(OpenCode::new(self.agent)),
            Format::Database(Stored::Zed) => Box::new(Zed::new(self.agent)),
        }
    }
}

/// One entry of [`Source::files`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// A part for each folder and, the last, for the file; `*` is any text.
    pub parts: Vec<String>,
    /// Whether the file's name tells the session; else its folder's does.
    pub named: bool,
}

/// Whether a session's id can stand in a file's name: no separator, no pattern.
pub fn is_session_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=128).contains(&text.len()) && text.bytes().all(plain)
}

/// Whether a name fits one part of [`Source::patterns`].
pub fn fits(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for piece in middle.split('*').filter(|it| !it.is_empty()) {
        let Some((_, behind)) = name.split_once(piece) else { return false };
        name = behind;
    }
    name.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::signal::catalogue::Catalogue;

    #[test]
    fn every_row_is_of_a_known_agent_and_a_form_of_its_own() {
        for source in SOURCES {
            assert!(Catalogue::built_in().knows(source.agent), "{}", source.agent);
            assert!(source.files.iter().all(|it| !it.contains("..") && !it.starts_with('/')));
            assert!(source.folders.iter().all(|it| it.starts_with(['~', '$']) || *it == "{tree}"));
        }
    }

    #[track_caller]
    fn check(pattern: &str, name: &str, expected: bool) {
        assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
    }

    #[test]
    fn names_fit_their_patterns() {
        check("a.jsonl", "a.jsonl", true);
        check("a.jsonl", "ba.jsonl", false);
        check("*.jsonl", "a.jsonl", true);
        check("rollout-*t-1.jsonl", "rollout-2026-t-1.jsonl", true);
        check("rollout-**.jsonl", "rollout-.jsonl", true);
        check("rollout-*t-1.jsonl", "rollout-2026-t-1.jsonl.bak", false);
        check("a*b*c", "a-b-c", true);
        check("a*b*c", "a-c", false);
        check("ab*bc", "abc", false);
        check("*", "anything", true);
        check("subagents", "subagents2", false);
        check("agent-*.jsonl", "agent-.json", false);
    }

    #[test]
    fn a_pattern_is_of_all_sessions_or_of_one() {
        let source = SOURCES.iter().find(|it| it.agent == "github-copilot").expect("a row");
        let parts = |id| source.patterns(id).into_iter().map(|it| it.parts.join("/"));
        assert!(parts(None).eq(["*/events.jsonl", "*.jsonl"]));
        assert!(parts(Some("a-1")).eq(["a-1/events.jsonl", "a-1.jsonl"]));
        assert_eq!(
            source.patterns(None).iter().map(|it| it.named).collect::<Vec<_>>(),
            [false, true]
        );
    }

    #[test]
    fn an_id_is_no_path() {
        let found = ["0192-af_x", "", "../x", "a/b", "a*", "a\\b", "{id}"].map(is_session_id);
        assert_eq!(found, [true, false, false, false, false, false, false]);
    }
}
