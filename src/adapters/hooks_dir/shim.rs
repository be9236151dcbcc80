//! The shims: their text, and the same in one line of configuration.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::bytes::{find, os_bytes, os_string, replace};

/// A hook that we serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    PreCommit,
    CommitMsg,
    PreMergeCommit,
    PrePush,
    PostCommit,
    PreReceive,
    PostReceive,
}

impl Event {
    /// All of them.
    pub const ALL: [Event; 7] = [
        Event::PreCommit,
        Event::CommitMsg,
        Event::PreMergeCommit,
        Event::PrePush,
        Event::PostCommit,
        Event::PreReceive,
        Event::PostReceive,
    ];
    /// Those of a repository that people work in.
    pub const CLIENT: &[Event] = &[
        Event::PreCommit,
        Event::CommitMsg,
        Event::PreMergeCommit,
        Event::PrePush,
        Event::PostCommit,
    ];
    /// Those of a bare repository that people push to.
    pub const SERVER: &[Event] = &[Event::PreReceive, Event::PostReceive];

    /// git's name of the hook.
    pub fn name(self) -> &'static str {
        match self {
            Event::PreCommit => "pre-commit",
            Event::CommitMsg => "commit-msg",
            Event::PreMergeCommit => "pre-merge-commit",
            Event::PrePush => "pre-push",
            Event::PostCommit => "post-commit",
            Event::PreReceive => "pre-receive",
            Event::PostReceive => "post-receive",
        }
    }

    /// The shim as it stands in the source, with no program recorded.
    fn template(self) -> &'static str {
        match self {
            Event::PreCommit => include_str!("../../../hooks/pre-commit"),
            Event::CommitMsg => include_str!("../../../hooks/commit-msg"),
            Event::PreMergeCommit => include_str!("../../../hooks/pre-merge-commit"),
            Event::PrePush => include_str!("../../../hooks/pre-push"),
            Event::PostCommit => include_str!("../../../hooks/post-commit"),
            Event::PreReceive => include_str!("../../../hooks/pre-receive"),
            Event::PostReceive => include_str!("../../../hooks/post-receive"),
        }
    }

    /// The shim to write: the template with the program's path recorded.
    pub fn shim(self, program: Option<&Path>) -> Vec<u8> {
        let recorded = program.map(|path| shell_word(path.as_os_str())).unwrap_or_default();
        let (head, tail) =
            self.template().split_once(UNRECORDED).expect("every template has the line");
        [head.as_bytes(), b"\nrecorded='", &recorded, b"'\n", tail.as_bytes()].concat()
    }
}

const UNRECORDED: &str = "\nrecorded=''\n";
const MARKER: &str = "# countersign-shim 6f1e9c52 version ";
/// The version of the shims that this program writes.
pub const SHIM_VERSION: u32 = 2;

/// The command of a config hook: as the shim, in one line for `sh -c`.
pub fn config_command(event: Event, program: Option<&Path>) -> OsString {
    let recorded = program.map(|path| shell_word(path.as_os_str())).unwrap_or_default();
    let name = event.name();
    let rest = format!(
        "'; [ -x \"$p\" ] || p=countersign; command -v \"$p\" >/dev/null 2>&1 || {{ echo 'countersign: {name}: blocked, because \
         the countersign program was not found; install it again, then run countersign doctor.' >&2; exit 1; }}; \
         \"$p\" hook {name}"
    );
    os_string([b"p='", recorded.as_slice(), rest.as_bytes()].concat())
}

/// The settings' keys of a config hook: its command and its event.
pub fn config_keys(event: Event) -> (String, String) {
    let section = format!("hook.countersign-{}", event.name());
    (format!("{section}.command"), format!("{section}.event"))
}

/// Whether a file's text is our shim's, of any version.
pub fn is_shim(text: &[u8]) -> bool {
    shim_version(text).is_some()
}

pub(super) fn shim_version(text: &[u8]) -> Option<u32> {
    let line = text.split(|byte| *byte == b'\n').nth(1)?;
    let rest = std::str::from_utf8(line.strip_prefix(MARKER.as_bytes())?).ok()?;
    rest.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

pub(super) fn shim_program(text: &[u8]) -> Option<PathBuf> {
    let after = &text[find(text, b"\nrecorded='")? + b"\nrecorded='".len()..];
    let word = &after[..find(after, b"'\n")?];
    let plain = replace(word, b"'\\''", b"'");
    (!plain.is_empty()).then(|| PathBuf::from(os_string(plain)))
}

/// The inside of a single-quoted word of the shell.
fn shell_word(text: &OsStr) -> Vec<u8> {
    let bytes = os_bytes(text);
    let bytes = if cfg!(windows) { replace(&bytes, b"\\", b"/") } else { bytes };
    replace(&bytes, b"'", b"'\\''")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shim_is_a_shell_script_of_the_version_that_we_write() {
        for event in Event::ALL {
            let shim = event.shim(Some(Path::new("/opt/it's here/countersign")));
            let text = String::from_utf8(shim.clone()).unwrap();
            assert!(text.starts_with("#!/bin/sh\n"), "{text}");
            assert!(!text.contains('\r') && !text.contains("LEFTHOOK") && !text.contains("hk run"));
            assert_eq!(shim_version(&shim), Some(SHIM_VERSION));
            assert_eq!(shim_program(&shim), Some(PathBuf::from("/opt/it's here/countersign")));
            assert_eq!(event.shim(None), event.template().as_bytes());
            let handover = format!("exec countersign hook {} \"$@\"", event.name());
            assert!(text.contains(&handover), "{text}");
        }
    }
}
