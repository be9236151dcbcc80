//! Signatures over commits, taken apart exactly as git does, for verification
//! in process.

use std::collections::BTreeMap;

use super::objects::Streamed;
use super::{Git, GitError};
use crate::gate::change::Oid;

/// A signed commit: what was signed, and the armored signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitSignature {
    /// The commit's bytes without its signatures.
    pub payload: Vec<u8>,
    /// As it stands in the header, continuation lines unfolded: PGP, X.509 or
    /// SSH armor (the namespace of the latter is `git`).
    pub signature: Vec<u8>,
}

/// Commits may be this large.
const COMMIT_LIMIT: u64 = 32 << 20;

impl Git {
    /// Returns each commit's signature, `None` where it has none: one process
    /// for all of them.
    pub fn commit_signatures(
        &self,
        commits: &[Oid],
    ) -> Result<BTreeMap<Oid, Option<CommitSignature>>, GitError> {
        let header: &[u8] = if self.layout().sha256 { b"gpgsig-sha256 " } else { b"gpgsig " };
        let mut signatures = BTreeMap::new();
        self.batch(commits, &mut |Streamed { oid, size, content, .. }| {
            if size > COMMIT_LIMIT {
                let what = format!("commit `{oid}`");
                return Err(GitError::TooLarge { what, limit: COMMIT_LIMIT });
            }
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes).map_err(|_| GitError::Missing(oid.to_string()))?;
            signatures.insert(oid.clone(), split(&bytes, header));
            Ok(())
        })?;
        Ok(signatures)
    }
}

/// Separates a commit's signature from what it signs. The header of this
/// repository's hash is the signature; any other header that begins with
/// `gpgsig` (the other hash's) belongs to neither part. The message is signed as it is.
fn split(commit: &[u8], header: &[u8]) -> Option<CommitSignature> {
    let (mut payload, mut signature) = (Vec::with_capacity(commit.len()), Vec::new());
    let (mut in_signature, mut in_other) = (false, false);
    let mut rest = commit;
    while !rest.is_empty() {
        if rest[0] == b'\n' {
            payload.extend_from_slice(rest);
            break;
        }
        let end = rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |end| end + 1);
        let (line, after) = rest.split_at(end);
        rest = after;
        let part = match line {
            [b' ', part @ ..] if in_signature => Some(part),
            _ => line.strip_prefix(header),
        };
        in_other =
            part.is_none() && (line.starts_with(b"gpgsig") || (in_other && line.starts_with(b" ")));
        in_signature = part.is_some();
        match part {
            Some(part) => signature.extend_from_slice(part),
            None if in_other => {}
            None => payload.extend_from_slice(line),
        }
    }
    (!signature.is_empty()).then_some(CommitSignature { payload, signature })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(commit: &str, expected: Option<(&str, &str)>) {
        let found = split(commit.as_bytes(), b"gpgsig ");
        let found = found.map(|it| {
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            (text(it.payload), text(it.signature))
        });
        let expected =
            expected.map(|(payload, signature)| (payload.to_owned(), signature.to_owned()));
        assert_eq!(found, expected, "{commit}");
    }

    #[test]
    fn the_signature_leaves_the_header() {
        check("tree 1\n\ngpgsig no\n", None);
        check(
            "tree 1\ngpgsig A\n B\n \n C\nencoding x\n\nsubject\n gpgsig D\n",
            Some(("tree 1\nencoding x\n\nsubject\n gpgsig D\n", "A\nB\n\nC\n")),
        );
        check(
            "tree 1\ngpgsig-sha256 A\n B\nmergetag C\n D\ngpgsig E\n\nmessage",
            Some(("tree 1\nmergetag C\n D\n\nmessage", "E\n")),
        );
    }
}
