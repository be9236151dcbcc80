//! Patches as agents write them for `apply_patch` (Codex, and others after it):
//! `*** Begin Patch`, then `*** Add File:`, `*** Update File:`, `*** Delete
//! File:`, `*** Move to:`, hunks of ` `, `-` and `+` lines below `@@`, and
//! `*** End Patch`. Source: openai/codex, codex-rs/apply-patch, its grammar.

use super::{EDITS, NAME, Texts};

const BEGIN: &str = "*** Begin Patch";
const END: &str = "*** End Patch";

/// A patch found in a command, and the folder it changes to before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch<'a> {
    /// As written after `cd`; `None` for the command's own folder.
    pub folder: Option<String>,
    pub text: &'a str,
}

/// The patches in a shell script: those that `apply_patch` is given, as a
/// heredoc or an argument. A script that merely speaks of patches has none.
pub fn in_script(script: &str) -> Vec<Patch<'_>> {
    let mut patches = Vec::new();
    let mut folder = None;
    let mut from = 0;
    while let Some(begin) = find(script, BEGIN, from) {
        from = begin + BEGIN.len();
        // Between the command and its patch stands at most a heredoc's opening.
        let before = window(script, begin, 96);
        let command = before.rfind("apply_patch").or_else(|| before.rfind("applypatch"));
        let Some((start, words)) = command.and_then(|at| before.split_at_checked(at)) else {
            continue;
        };
        if words.contains("&&") || words.matches('\n').count() > 1 {
            continue;
        }
        let start = begin - before.len() + start.len();
        folder = changed_to(window(script, start, 4 * 96)).or(folder);
        let end = find(script, END, from).unwrap_or(script.len());
        let text = script.get(from..end).unwrap_or_default();
        patches.push(Patch { folder: folder.clone(), text });
        if patches.len() >= EDITS {
            break;
        }
        from = end;
    }
    patches
}

fn find(text: &str, word: &str, from: usize) -> Option<usize> {
    text.get(from..)?.find(word).map(|at| from + at)
}

/// At most so many bytes that stand before this offset.
fn window(text: &str, end: usize, length: usize) -> &str {
    let mut start = end.saturating_sub(length);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text.get(start..end).unwrap_or_default()
}

/// The text between the markers of a whole patch, wherever it begins.
pub fn body(patch: &str) -> Option<&str> {
    let (_, body) = patch.split_once(BEGIN)?;
    Some(body.split_once(END).map_or(body, |it| it.0))
}

/// `cd FOLDER &&`, if it stands right before.
fn changed_to(before: &str) -> Option<String> {
    let line = before.trim_end().strip_suffix("&&")?.trim_end();
    let start = line.rfind(['\n', ';']).map_or(0, |at| at + 1);
    let folder = line.get(start..)?.trim().strip_prefix("cd ")?.trim();
    let bare = folder.trim_matches(['"', '\'']);
    (!bare.is_empty() && !bare.contains("&&")).then(|| bare.to_owned())
}

/// The edits of a patch's body. Deleted files hold no text and are left out; a
/// renamed file is named as it is called afterwards.
pub fn edits(body: &str) -> Vec<Texts> {
    let mut edits = Vec::new();
    let mut file = File::Other;
    for line in body.lines() {
        if edits.len() >= EDITS {
            break;
        }
        let marker = line.trim();
        if let Some(path) = marker.strip_prefix("*** Add File: ").filter(is_path) {
            file.end(&mut edits);
            file = File::Added { path: path.to_owned(), new: String::new() };
        } else if let Some(path) = marker.strip_prefix("*** Update File: ").filter(is_path) {
            file.end(&mut edits);
            file = File::Updated { path: path.to_owned(), hunk: Hunk::default() };
        } else if marker.starts_with("*** Delete File: ") {
            file.end(&mut edits);
            file = File::Other;
        } else {
            file.take(line, &mut edits);
        }
    }
    file.end(&mut edits);
    edits.truncate(EDITS);
    edits
}

/// The edits of a unified diff of one file; headers before the first hunk are
/// passed over.
pub fn hunks(path: &str, diff: &str) -> Vec<Texts> {
    let mut edits = Vec::new();
    let mut hunk = Hunk::default();
    let mut lines = diff.lines().skip_while(|line| !line.starts_with("@@"));
    let first = lines.next();
    for line in first.into_iter().chain(lines) {
        if edits.len() >= EDITS {
            break;
        }
        hunk.take(line, path, &mut edits);
    }
    hunk.end(path, &mut edits);
    edits
}

enum File {
    Added { path: String, new: String },
    Updated { path: String, hunk: Hunk },
    Other,
}

impl File {
    fn take(&mut self, line: &str, edits: &mut Vec<Texts>) {
        match self {
            File::Added { new, .. } => {
                if let Some(text) = line.strip_prefix('+') {
                    push(new, text);
                }
            }
            File::Updated { path, hunk } => {
                match line.strip_prefix("*** Move to: ").filter(is_path) {
                    Some(target) => {
                        let target = target.trim().to_owned();
                        edits.push(Texts::moved(std::mem::replace(path, target.clone()), target));
                    }
                    None => hunk.take(line, path, edits),
                }
            }
            File::Other => {}
        }
    }

    fn end(&mut self, edits: &mut Vec<Texts>) {
        match std::mem::replace(self, File::Other) {
            File::Added { path, new } => {
                edits.push(Texts { path, old: None, new, everywhere: false, from: None })
            }
            File::Updated { path, mut hunk } => hunk.end(&path, edits),
            File::Other => {}
        }
    }
}

/// One hunk: unchanged lines stand on both sides.
#[derive(Default)]
struct Hunk {
    old: String,
    new: String,
    adds: bool,
}

impl Hunk {
    fn take(&mut self, line: &str, path: &str, edits: &mut Vec<Texts>) {
        if line.starts_with("@@") {
            self.end(path, edits);
        } else if let Some(text) = line.strip_prefix('+') {
            self.adds = true;
            push(&mut self.new, text);
        } else if let Some(text) = line.strip_prefix('-') {
            push(&mut self.old, text);
        } else if let Some(text) = line.strip_prefix(' ') {
            push(&mut self.old, text);
            push(&mut self.new, text);
        } else if line.is_empty() {
            push(&mut self.old, "");
            push(&mut self.new, "");
        }
    }

    fn end(&mut self, path: &str, edits: &mut Vec<Texts>) {
        let Hunk { old, new, adds } = std::mem::take(self);
        if adds {
            edits.push(Texts {
                path: path.to_owned(),
                old: Some(old),
                new,
                everywhere: false,
                from: None,
            });
        }
    }
}

fn is_path(path: &&str) -> bool {
    path.len() <= NAME
}

fn push(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: &[(&str, Option<&str>, &str)]) {
        let found = edits(body);
        let found: Vec<_> =
            found.iter().map(|it| (it.path.as_str(), it.old.as_deref(), it.new.as_str())).collect();
        assert_eq!(found, expected, "{body}");
    }

    #[test]
    fn every_kind_of_file_is_read() {
        check("\n*** Add File: a.rs\n+one\n+\n+two\n", &[("a.rs", None, "one\n\ntwo\n")]);
        check(
            "*** Update File: a.rs\n@@ fn main\n a\n-b\n+c\n@@\n-d\n+e\n*** End of File\n",
            &[("a.rs", Some("a\nb\n"), "a\nc\n"), ("a.rs", Some("d\n"), "e\n")],
        );
        check(
            "*** Update File: a.rs\n*** Move to: b/c.rs\n@@\n-b\n+c\n",
            &[("b/c.rs", Some(""), ""), ("b/c.rs", Some("b\n"), "c\n")],
        );
        let moved = "*** Update File: a.rs\n*** Move to: b.rs\n*** Delete File: c.rs\n";
        check(moved, &[("b.rs", Some(""), "")]);
        assert_eq!(edits(moved)[0].from.as_deref(), Some("a.rs"));
        check("*** Delete File: a\n+no\n*** Add File: b\n+yes", &[("b", None, "yes\n")]);
        check("  *** Update File: a\n\n+b\n-\n", &[("a", Some("\n\n"), "\nb\n")]);
        check("+nothing\n", &[]);
        check("*** Update File: a.rs\n@@\n-only removed\n", &[]);
    }

    #[test]
    fn a_script_shows_the_patches_it_applies() {
        let patch = "*** Begin Patch\n*** Add File: a\n+b\n*** End Patch";
        let found = |script: &str| {
            let patches = in_script(script);
            patches.into_iter().map(|it| (it.folder, edits(it.text).len())).collect::<Vec<_>>()
        };
        assert_eq!(found(&format!("apply_patch <<'EOF'\n{patch}\nEOF")), [(None, 1)]);
        assert_eq!(found(&format!("applypatch '{patch}'")), [(None, 1)]);
        assert_eq!(found(patch), []);
        assert_eq!(
            found(&format!("cd \"sub dir\" && apply_patch <<EOF\n{patch}\nEOF\n")),
            [(Some("sub dir".to_owned()), 1)]
        );
        assert_eq!(
            found(&format!(
                "set -e\napply_patch <<A\n{patch}\nA\ncd x && apply_patch <<B\n{patch}\nB"
            )),
            [(None, 1), (Some("x".to_owned()), 1)]
        );
        assert_eq!(found(&format!("rg apply_patch .\n\ncat <<A\n{patch}\nA")), []);
        assert_eq!(found(&format!("cat apply_patch && echo '{patch}'")), []);
        assert_eq!(found("apply_patch"), []);
    }

    #[test]
    fn a_unified_diff_is_read_by_hunks() {
        let diff = "--- a\n+++ b\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n@@ -9 +9,2 @@ fn x\n+d\n\\ No newline at end of file\n";
        let found = hunks("x", diff);
        let expected = [("a\nb\n", "a\nc\n"), ("", "d\n")].map(|(old, new)| Texts {
            path: "x".to_owned(),
            old: Some(old.to_owned()),
            new: new.to_owned(),
            everywhere: false,
            from: None,
        });
        assert_eq!(found, expected);
    }
}
