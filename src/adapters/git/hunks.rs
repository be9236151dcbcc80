//! Two texts compared line by line, in process: by the same code as git's, and
//! by no attribute or configuration.

use git2::{DiffOptions, Patch};

use super::GitError;
use crate::gate::review::{RawHunk, RawLine, Side};

/// How many lines are shown around a change.
const CONTEXT: u32 = 3;

/// Compares two texts as `git diff` would: Myers' algorithm with the indent
/// heuristic, whole lines, blanks included.
pub fn hunks(old: &[u8], new: &[u8]) -> Result<Vec<RawHunk>, GitError> {
    let failed = |error: git2::Error| GitError::Unexpected {
        command: "the comparison of two texts".to_owned(),
        what: error.message().to_owned(),
    };
    let mut options = DiffOptions::new();
    options.force_text(true).context_lines(CONTEXT).interhunk_lines(0).indent_heuristic(true);
    let patch = Patch::from_buffers(old, None, new, None, Some(&mut options)).map_err(failed)?;
    let mut hunks = Vec::with_capacity(patch.num_hunks());
    for index in 0..patch.num_hunks() {
        let (header, count) = patch.hunk(index).map_err(failed)?;
        let (old_start, new_start) = (header.old_start().into(), header.new_start().into());
        let mut lines: Vec<RawLine> = Vec::with_capacity(count);
        for number in 0..count {
            let line = patch.line_in_hunk(index, number).map_err(failed)?;
            let side = match line.origin() {
                ' ' => Side::Kept,
                '+' => Side::Added,
                '-' => Side::Removed,
                // `\ No newline at end of file`, about the line before it.
                _ => {
                    if let Some(last) = lines.last_mut() {
                        last.unended = true;
                    }
                    continue;
                }
            };
            let bytes = line.content();
            let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes).to_vec();
            lines.push(RawLine { side, bytes, unended: false });
        }
        hunks.push(RawHunk { old_start, new_start, lines });
    }
    Ok(hunks)
}
