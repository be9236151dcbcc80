//! Puts together what a reviewer is shown, keeps what they decided until they
//! sign, and opens files in their editor.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::adapters::fs;
use crate::adapters::git::{GitError, hunks};
use crate::adapters::process::Call;
use crate::gate::change::{Entry, FileChange, Oid, RepoPath};
use crate::gate::order;
use crate::gate::record::canonical::sha256;
use crate::gate::review::{ApprovedContent, Contents, RawHunk, Review, approved_before, standing};
use crate::gate::time::Timestamp;

use super::judgement::Judgement;
use super::world::World;
use super::{Error, ErrorKind};

/// The largest text of which lines are shown, in bytes.
const FILE_LIMIT: u64 = 4 << 20;

/// How much text a review holds in all, in bytes; nobody reads more at once.
const REVIEW_LIMIT: usize = 64 << 20;

/// How long what was decided and never signed is kept, in seconds: 90 days.
const KEPT_FOR: i64 = 90 * 24 * 60 * 60;

/// Puts together what is shown of a judged change: the files under these
/// rules, or all if there are none; `person` is who reviews, if known.
pub fn review(
    world: &World,
    judgement: &Judgement,
    rules: &[String],
    person: Option<&str>,
) -> Result<Review, Error> {
    let case = judgement.case();
    let standing = standing(&case, &judgement.evidence, person);
    let mut contents = Contents::default();
    let mut room = REVIEW_LIMIT;
    for file in &judgement.change.files {
        let compared = if room == 0 {
            Err("the change is too large to be shown whole".to_owned())
        } else {
            compare(world, file.old.as_ref(), file.new.as_ref())?
        };
        if let Ok(hunks) = &compared {
            room = room.saturating_sub(size(hunks));
        }
        contents.files.insert(file.path.clone(), compared);
    }
    let news: BTreeMap<&RepoPath, &FileChange> =
        order::map(judgement.change.files.iter().map(|it| (&it.path, it)));
    for (path, (person, approved)) in approved_before(&standing, person) {
        let Some(file) = news.get(&path) else { continue };
        // An approved version that is not here (any more) costs only this view.
        match compare_since(world, &approved, file) {
            Ok(Some(hunks)) if !hunks.is_empty() => {
                contents.since.insert(path, (person, hunks));
            }
            Ok(_) | Err(_) => {}
        }
    }
    Ok(Review::new(&case, &judgement.evidence, &judgement.verdict, &standing, &contents, rules))
}

fn size(hunks: &[RawHunk]) -> usize {
    hunks.iter().flat_map(|it| &it.lines).map(|line| line.bytes.len() + 64).sum()
}

/// Compares what stands on both sides; the reason where there are no lines to show.
fn compare(
    world: &World,
    old: Option<&Entry>,
    new: Option<&Entry>,
) -> Result<Result<Vec<RawHunk>, String>, Error> {
    let is_submodule = |it: &&Entry| it.mode == 0o160_000;
    if [old, new].into_iter().flatten().any(|it| is_submodule(&it)) {
        let name = |it: Option<&Entry>| it.map_or("none", |it| it.oid.as_str()).to_owned();
        return Ok(Err(format!("submodule: from {} to {}", name(old), name(new))));
    }
    let (old, new) = match (text(world, old)?, text(world, new)?) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(why), _) | (_, Err(why)) => return Ok(Err(why)),
    };
    if old.contains(&0) || new.contains(&0) {
        let (old, new) = (old.len(), new.len());
        return Ok(Err(format!("binary: {old} bytes before, {new} bytes now")));
    }
    Ok(Ok(hunks(&old, &new)?))
}

/// Compares what was approved of a file with what it is now; `None`: there are no
/// lines to show. Where the file is another one on the target by now, the
/// approved change is merged into that first, so that what others did there is
/// not shown as new.
fn compare_since(
    world: &World,
    approved: &ApprovedContent,
    file: &FileChange,
) -> Result<Option<Vec<RawHunk>>, Error> {
    let Some(new) = &file.new else { return Ok(None) };
    let (Some(base), Some(target)) = (&approved.moved, &file.old) else {
        let approved = Entry { mode: new.mode, oid: approved.new.clone() };
        return Ok(compare(world, Some(&approved), Some(new))?.ok());
    };
    let merged = world.git.merge_texts(base, &approved.new, &target.oid)?;
    let (Some(merged), Ok(now)) = (merged, text(world, Some(new))?) else { return Ok(None) };
    if now.contains(&0) {
        return Ok(None);
    }
    Ok(Some(hunks(&merged, &now)?))
}

fn text(world: &World, entry: Option<&Entry>) -> Result<Result<Vec<u8>, String>, Error> {
    let Some(entry) = entry else { return Ok(Ok(Vec::new())) };
    match world.git.blob(&entry.oid, FILE_LIMIT) {
        Ok(bytes) => Ok(Ok(bytes)),
        Err(GitError::TooLarge { limit, .. }) => {
            Ok(Err(format!("larger than {} MiB: its lines are not shown", limit >> 20)))
        }
        Err(error) => Err(error.into()),
    }
}

/// What a reviewer decided and did not sign yet, by content: a file that was
/// edited since is open again, and one that was only rebased is not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// By the key of a file's content, see `ReviewedFile::key`.
    #[serde(default)]
    pub files: BTreeMap<String, KeptFile>,
    /// By the key of the whole change.
    #[serde(default)]
    pub notes: BTreeMap<String, KeptNote>,
}

/// What was decided about one file's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptFile {
    /// `None`: only a comment was made.
    pub approved: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Seconds since the epoch.
    pub at: i64,
}

/// What was said about a whole change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptNote {
    pub text: String,
    /// Seconds since the epoch.
    pub at: i64,
}

/// Whose decisions, and where the change is to land.
#[derive(Clone, Debug)]
pub struct Desk {
    name: String,
}

impl Desk {
    /// The decisions of the owner of a key (`SHA256:…`) about changes for a ref.
    pub fn of(fingerprint: &str, target: &str) -> Desk {
        let digest = sha256(format!("{fingerprint}\n{target}").as_bytes());
        Desk { name: format!("{}.json", &digest[..32]) }
    }

    /// Reads what was kept. What cannot be read as such was not decided.
    pub fn read(&self, world: &World) -> Result<Kept, Error> {
        let bytes = world.store.review(&self.name)?.unwrap_or_default();
        Ok(serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// Keeps what was decided so far, and forgets what is too old.
    pub fn write(&self, world: &World, mut kept: Kept) -> Result<(), Error> {
        let Timestamp(now) = world.env.now;
        kept.files.retain(|_, it| now - it.at <= KEPT_FOR);
        kept.notes.retain(|_, it| now - it.at <= KEPT_FOR);
        let bytes =
            serde_json::to_vec(&kept).map_err(|error| Error::new(ErrorKind::Internal, error))?;
        Ok(world.store.write_review(&self.name, &bytes)?)
    }
}

/// Opens a copy of a file in the reviewer's editor, as git would open one: the
/// editor is git's word alone, and what it is given is a path of ours.
pub fn edit(world: &World, path: &RepoPath, blob: &Oid) -> Result<(), Error> {
    let editor = world.git.output(world.git.call().args(["var", "GIT_EDITOR"]))?;
    let editor = String::from_utf8_lossy(&editor).trim_end_matches('\n').to_owned();
    let bytes = world.git.blob(blob, 64 << 20)?;
    let folder = fs::scratch_folder()?;
    let copy = folder.path().join(plain_name(path));
    fs::write(&copy, &bytes)?;
    fs::set_mode(&copy, 0o400)?;
    // The words of the editor are the user's, and a shell reads them as git's
    // own does; the path is an argument and never a part of the command.
    let call = Call::new("sh", world.git.dir())
        .args(["-c", &format!("{editor} \"$@\""), &editor])
        .arg(&copy);
    match call.run_interactively()? {
        Some(0) => Ok(()),
        _ => Err(Error::usage(format!("the editor `{editor}` failed"))
            .hint("`git var GIT_EDITOR` says which one git starts")),
    }
}

/// A file's own name, so that an editor knows its language, and nothing in it
/// that an editor or a shell could take for more than a name.
fn plain_name(path: &RepoPath) -> String {
    let text = path.to_text();
    let name = text.rsplit('/').next().unwrap_or_default();
    let plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '_' | '-');
    let name: String = name.chars().map(|it| if plain(it) { it } else { '_' }).collect();
    let end = name.len().saturating_sub(100);
    format!("review-{}", &name[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_editor_is_given_a_plain_name() {
        let check = |path: &[u8], name: &str| assert_eq!(plain_name(&RepoPath::new(path)), name);
        check(b"src/cart.rs", "review-cart.rs");
        check(b"a/$(touch x);.sh", "review-__touch_x__.sh");
        check(b"a/-c\n:!x", "review--c___x");
        check("ä".as_bytes(), "review-_");
    }
}
