//! Merge commits that only merged (nobody wrote anything in them), and merges
//! of a file's blobs that prove that an approval carries over.
//!
//! A merge is done on blobs, file by file, without attributes, drivers,
//! renames or configuration: a `merge=union` in the repository must not make a
//! merge look clean that a person resolved.

use std::collections::{BTreeMap, BTreeSet};

use super::objects::{Kind, Streamed, hex_sha256};
use super::tree::NewCommit;
use super::{Detail, Git, GitError};
use crate::adapters::fs;
use crate::gate::change::{Commit, Entry, FileChange, Oid, RepoPath};
use crate::gate::evidence::{Answer, BlobMerge, MergeResult, Merged};
use crate::gate::order;
use crate::gate::time::Timestamp;

/// The largest blob that is merged, in bytes. A merge with a larger one in dispute is not proven clean.
const BLOB_LIMIT: u64 = 8 << 20;

/// How many files in conflict are named.
const SHOWN_CONFLICTS: usize = 5;

/// The most merges that are looked at; the rest are not proven clean.
const MOST_MERGES: usize = 64;

/// Since which version git can be told to take no attributes from the trees that
/// it merges (`GIT_ATTR_SOURCE`, 2.41's release notes). An older one would leave
/// the merge to what the change itself says in `.gitattributes`.
const ATTRIBUTE_SOURCE: (u32, u32) = (2, 41);

impl Git {
    /// Returns those of the merge commits whose tree is exactly what a
    /// driver-free merge of their two parents gives. What cannot be shown to be
    /// clean is left out.
    pub fn clean_merges(&self, commits: &[Commit]) -> Result<BTreeSet<Oid>, GitError> {
        let merges = commits.iter().filter(|commit| commit.parents.len() == 2).take(MOST_MERGES);
        let mut clean = BTreeSet::new();
        for commit in merges {
            if self.is_clean_merge(commit)? {
                clean.insert(commit.id.clone());
            }
        }
        Ok(clean)
    }

    fn is_clean_merge(&self, commit: &Commit) -> Result<bool, GitError> {
        let [ours, theirs] = commit.parents.as_slice() else { return Ok(false) };
        let Some(base) = self.only_merge_base(ours, theirs)? else { return Ok(false) };
        let by_path = |files: Vec<FileChange>| -> BTreeMap<RepoPath, FileChange> {
            order::map(files.into_iter().map(|file| (file.path.clone(), file)))
        };
        let our_side = by_path(self.differences(&base, ours, Detail::Files)?);
        let their_side = by_path(self.differences(&base, theirs, Detail::Files)?);
        let result = by_path(self.differences(&base, &commit.tree, Detail::Files)?);
        let paths: BTreeSet<&RepoPath> =
            order::set(our_side.keys().chain(their_side.keys()).chain(result.keys()));
        for path in paths {
            let sides = (our_side.get(path), their_side.get(path));
            if !self.merges_to(sides, result.get(path))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a file's two sides merge to what the commit holds. `None`: as at the base.
    fn merges_to(
        &self,
        sides: (Option<&FileChange>, Option<&FileChange>),
        result: Option<&FileChange>,
    ) -> Result<bool, GitError> {
        let new = |file: Option<&FileChange>| file.map(|file| file.new.clone());
        match sides {
            (None, None) => Ok(result.is_none()),
            (Some(side), None) | (None, Some(side)) => Ok(new(result) == Some(side.new.clone())),
            (Some(ours), Some(theirs)) if ours.new == theirs.new => {
                Ok(new(result) == Some(ours.new.clone()))
            }
            (Some(ours), Some(theirs)) => {
                let entries =
                    (&ours.old, &ours.new, &theirs.new, result.and_then(|it| it.new.as_ref()));
                let (Some(base), Some(one), Some(other), Some(merged)) = entries else {
                    return Ok(false);
                };
                self.blobs_merge_to(base, one, other, merged)
            }
        }
    }

    fn blobs_merge_to(
        &self,
        base: &Entry,
        ours: &Entry,
        theirs: &Entry,
        merged: &Entry,
    ) -> Result<bool, GitError> {
        let regular = [base, ours, theirs, merged].iter().all(|it| it.mode & 0o170000 == 0o100000);
        let mode = if ours.mode == base.mode { theirs.mode } else { ours.mode };
        if !regular || merged.mode != mode {
            return Ok(false);
        }
        let blob = |entry: &Entry| match self.blob(&entry.oid, BLOB_LIMIT) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(GitError::TooLarge { .. }) => Ok(None),
            Err(error) => Err(error),
        };
        let (Some(base), Some(ours)) = (blob(base)?, blob(ours)?) else { return Ok(false) };
        let (Some(theirs), Some(merged)) = (blob(theirs)?, blob(merged)?) else { return Ok(false) };
        Ok(merge(&base, &ours, &theirs).is_some_and(|bytes| bytes == merged))
    }

    /// Returns what each merge of blobs gives. A blob that is not here costs
    /// only the merges that need it; those that the engine does not find are
    /// asked for together, in one process.
    pub fn merge_blobs(
        &self,
        merges: &BTreeSet<BlobMerge>,
    ) -> Result<BTreeMap<BlobMerge, Answer<Merged>>, GitError> {
        let mut answers = BTreeMap::new();
        let mut elsewhere = Vec::new();
        for merge in merges {
            match self.engine_blobs(merge)? {
                Some(blobs) => drop(answers.insert(merge.clone(), Ok(merged(&blobs)))),
                None => elsewhere.push(merge),
            }
        }
        let oids: Vec<Oid> = elsewhere.iter().flat_map(|merge| four(merge)).cloned().collect();
        let mut blobs: Vec<Answer<Blob>> = Vec::new();
        let mut merges = elsewhere.into_iter();
        self.batch_of_any(&oids, &mut |oid, streamed| {
            blobs.push(read(oid, streamed)?);
            if blobs.len() == 4
                && let Some(merge) = merges.next()
            {
                let four: Answer<Vec<Blob>> = blobs.drain(..).collect();
                answers.insert(merge.clone(), four.map(|four| merged(&four)));
            }
            Ok(())
        })?;
        Ok(answers)
    }

    /// Returns what a three-way merge of these blobs gives; `None` where they
    /// conflict, are no text, or too large.
    pub fn merge_texts(
        &self,
        base: &Oid,
        ours: &Oid,
        theirs: &Oid,
    ) -> Result<Option<Vec<u8>>, GitError> {
        let mut texts = Vec::with_capacity(3);
        for oid in [base, ours, theirs] {
            match self.blob(oid, BLOB_LIMIT) {
                Ok(bytes) => texts.push(bytes),
                Err(GitError::TooLarge { .. }) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(merge(&texts[0], &texts[1], &texts[2]))
    }

    /// `None` where the engine does not find one of them, or no blob there.
    fn engine_blobs(&self, merge: &BlobMerge) -> Result<Option<Vec<Blob>>, GitError> {
        let mut blobs = Vec::with_capacity(4);
        for oid in four(merge) {
            match self.engine_object(oid, BLOB_LIMIT) {
                Ok(Some((Kind::Blob, bytes))) => blobs.push(Blob::Bytes(bytes)),
                Err(GitError::TooLarge { .. }) => blobs.push(Blob::TooLarge),
                Ok(Some(_) | None) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(blobs))
    }

    /// Merges `head` into `tip` as git does, without attributes, so without
    /// drivers, without anybody's configuration, and without a work tree; the answer
    /// names the files in conflict otherwise. The objects are written, as unreachable ones that git clears
    /// away in time; the commit is the same whenever it is made.
    pub fn merge_result(&self, tip: &Oid, head: &Oid) -> Result<Answer<MergeResult>, GitError> {
        self.knows_attribute_source()?;
        let plain = self.plain_repository()?;
        let objects = self.surroundings.variable("GIT_OBJECT_DIRECTORY");
        let objects = objects.unwrap_or_else(|| self.layout().common_dir.join("objects").into());
        let call = ["GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_CONFIG", "GIT_CONFIG_PARAMETERS"]
            .iter()
            .fold(self.call(), |call, name| call.env_remove(name))
            .env("GIT_DIR", plain.as_ref())
            .env("GIT_OBJECT_DIRECTORY", objects)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_COUNT", "0")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_ATTR_SOURCE", self.empty_tree().as_str());
        let call = call.args(["merge-tree", "--write-tree", "-z", "--name-only", "--no-messages"]);
        let call = call.args(["--end-of-options", tip.as_str(), head.as_str()]);
        let output = call.run()?;
        let mut parts = output.stdout.split(|byte| *byte == 0).filter(|part| !part.is_empty());
        let tree = parts.next().and_then(|it| Oid::parse(std::str::from_utf8(it).ok()?));
        match (output.code, tree) {
            (Some(0), Some(tree)) => {
                let commit = NewCommit {
                    tree: tree.clone(),
                    parents: vec![tip.clone(), head.clone()],
                    message: "the result of a merge, to be tested\n".to_owned(),
                    at: Timestamp(0),
                };
                let commit = self.write_commit(&commit)?;
                Ok(Ok(MergeResult { onto: tip.clone(), commit, tree }))
            }
            (Some(1), Some(_)) => {
                let mut names: Vec<String> =
                    parts.map(|path| format!("`{}`", RepoPath::new(path).to_display())).collect();
                let more = names.len().saturating_sub(SHOWN_CONFLICTS);
                names.truncate(SHOWN_CONFLICTS);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                Ok(Err(format!("it conflicts in {}{more}", names.join(", "))))
            }
            _ => Err(super::failed(&call, &output.complaint())),
        }
    }

    fn knows_attribute_source(&self) -> Result<(), GitError> {
        let printed = self.output(self.call().args(["version"]))?;
        let printed = String::from_utf8_lossy(&printed).trim().to_owned();
        match version(&printed) {
            Some(version) if version >= ATTRIBUTE_SOURCE => Ok(()),
            Some(_) | None => {
                let (major, minor) = ATTRIBUTE_SOURCE;
                let what = "to merge without the change's own attributes";
                Err(GitError::TooOld { what, needs: format!("{major}.{minor}"), printed })
            }
        }
    }

    /// An empty repository without attributes and configuration, for a call that
    /// takes its objects from this one.
    fn plain_repository(&self) -> Result<impl AsRef<std::path::Path> + use<>, GitError> {
        let folder = fs::scratch_folder()?;
        let format = match self.layout().sha256 {
            true => "repositoryformatversion = 1\n[extensions]\nobjectFormat = sha256\n",
            false => "repositoryformatversion = 0\n",
        };
        let config = format!("[core]\nbare = true\nattributesFile = /dev/null\n{format}");
        fs::create_folder(&folder.path().join("refs"))?;
        fs::write(&folder.path().join("HEAD"), b"ref: refs/heads/main\n")?;
        fs::write(&folder.path().join("config"), config.as_bytes())?;
        Ok(folder)
    }

    /// The merge base, if there is exactly one: a criss-cross is not proven clean.
    fn only_merge_base(&self, one: &Oid, other: &Oid) -> Result<Option<Oid>, GitError> {
        Ok(match self.merge_bases(one, other) {
            Ok(bases) => <[Oid; 1]>::try_from(bases).ok().map(|[base]| base),
            Err(GitError::Shallow(_)) => None,
            Err(error) => return Err(error),
        })
    }
}

/// The first two numbers of what `git version` prints: `git version 2.39.5 (Apple Git-154)`.
fn version(printed: &str) -> Option<(u32, u32)> {
    let mut numbers = printed.strip_prefix("git version ")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

enum Blob {
    Bytes(Vec<u8>),
    TooLarge,
}

fn four(merge: &BlobMerge) -> [&Oid; 4] {
    [&merge.base, &merge.ours, &merge.theirs, &merge.result]
}

fn read(oid: &Oid, streamed: Option<Streamed<'_>>) -> Result<Answer<Blob>, GitError> {
    let missing = || GitError::Missing(oid.to_string());
    let Some(Streamed { kind: Kind::Blob, size, content, .. }) = streamed else {
        return Ok(Err(missing().to_string()));
    };
    if size > BLOB_LIMIT {
        return Ok(Ok(Blob::TooLarge));
    }
    let mut bytes = Vec::new();
    content.read_to_end(&mut bytes).map_err(|_| missing())?;
    Ok(Ok(Blob::Bytes(bytes)))
}

/// Judges the merge of base, ours and theirs by the result.
fn merged(four: &[Blob]) -> Merged {
    let [Blob::Bytes(base), Blob::Bytes(ours), Blob::Bytes(theirs), Blob::Bytes(result)] = four
    else {
        return Merged::TooLarge;
    };
    if [base, ours, theirs, result].iter().any(|bytes| bytes.contains(&0)) {
        return Merged::Binary;
    }
    match merge(base, ours, theirs) {
        None => Merged::Conflict,
        Some(bytes) if bytes == *result => Merged::Equal { ours_sha256: hex_sha256(ours) },
        Some(_) => Merged::Differs,
    }
}

/// Merges three versions of a file; `None` where they conflict or hold NUL bytes.
fn merge(base: &[u8], ours: &[u8], theirs: &[u8]) -> Option<Vec<u8>> {
    if [base, ours, theirs].iter().any(|bytes| bytes.contains(&0)) {
        return None;
    }
    // Where only one side changed, or both alike, there is nothing to merge.
    if ours == base || ours == theirs {
        return Some(theirs.to_vec());
    }
    if theirs == base {
        return Some(ours.to_vec());
    }
    // One side took away all that the other changed: a conflict. What is left
    // cannot merge to nothing, to which libgit2 would have no pointer.
    if ours.is_empty() || theirs.is_empty() {
        return None;
    }
    let mut inputs = [base, ours, theirs].map(|bytes| {
        let mut input = git2::MergeFileInput::new();
        input.content(bytes);
        input
    });
    let [base, ours, theirs] = &mut inputs;
    // libgit2 merges only once it is initialised, and this call alone does not do that.
    git2::Config::new().ok()?;
    let result = git2::merge_file(base, ours, theirs, None).ok()?;
    result.is_automergeable().then(|| result.content().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(base: &str, ours: &str, theirs: &str, expected: Option<&str>) {
        let merged = merge(base.as_bytes(), ours.as_bytes(), theirs.as_bytes());
        assert_eq!(merged.as_deref(), expected.map(str::as_bytes));
    }

    #[test]
    fn versions_of_git() {
        let check = |printed: &str, new: bool| {
            assert_eq!(version(printed).is_some_and(|it| it >= ATTRIBUTE_SOURCE), new, "{printed}");
        };
        check("git version 2.41.0", true);
        check("git version 2.45.1.windows.1", true);
        check("git version 3.0.0", true);
        check("git version 2.40.1", false);
        check("git version 2.39.5 (Apple Git-154)", false);
        check("git version unknown", false);
        check("hub version 2.41", false);
    }

    #[test]
    fn only_what_does_not_overlap_merges() {
        check("a\nb\nc\nd\n", "A\nb\nc\nd\n", "a\nb\nc\nD\n", Some("A\nb\nc\nD\n"));
        check("a\nb\n", "x\nb\n", "y\nb\n", None);
        check("a\0\n", "b\0\n", "a\0c\n", None);
        check("", "a\n", "", Some("a\n"));
        check("a\n", "", "a\n", Some(""));
        check("a\n", "", "", Some(""));
        check("a\n", "", "a\nb\n", None);
        check("a\nb\n", "a\n", "b\n", None);
        check("a\nb\na\n", "a\n", "a\n", Some("a\n"));
    }
}
