//! What other recorders say of commits without naming lines: they mark the
//! commit, and the files that they name.

use crate::adapters::git::GitError;
use crate::gate::change::{Commit, LineRange, Oid, RepoPath};
use crate::gate::matching::MatchedRange;
use crate::gate::recorded::{RecordedLines, keep, new_lines};
use crate::gate::signal::{Signal, SignalKind, Strength};
use crate::gate::trace::beside::{Checkpoint, checkpoint, checkpoints, shares};

use super::Error;
use super::recorded::{FILE_LIMIT, Noted};
use super::world::World;

/// The ref of Qwen Code's notes.
const QWEN_NOTES: &str = "refs/notes/ai-attribution";
const QWEN: &str = "qwen-code";

/// Entire's branch of checkpoints, here or as a remote has it, and its newer
/// refs, one a checkpoint.
const ENTIRE_BRANCH: &str = "entire/checkpoints/v1";
const ENTIRE_REFS: &str = "refs/entire/checkpoints";

/// The longest note or description of a checkpoint that is read, in bytes.
const LIMIT: u64 = 4 << 20;
/// The most sessions of one checkpoint.
const SESSIONS: usize = 16;

/// Adds what Qwen Code's notes and Entire's checkpoints say of these commits.
pub fn add(world: &World, commits: &[Commit], noted: &mut Noted) -> Result<(), Error> {
    qwen(world, commits, noted)?;
    entire(world, commits, noted)
}

fn mark(noted: &mut Noted, commit: &Oid, agent: &str, value: String) {
    let mark = Signal {
        agent: agent.to_owned(),
        kind: SignalKind::Note,
        strength: Strength::Recorded,
        value,
        model: None,
        in_trailer_block: None,
    };
    noted.marks.entry(commit.clone()).or_default().push(mark);
}

/// A note counts letters: where none are a person's, all lines that the commit
/// brings into the file are the agent's; else which ones is not known.
fn qwen(world: &World, commits: &[Commit], noted: &mut Noted) -> Result<(), Error> {
    let ids = commits.iter().map(|it| &it.id).collect();
    for (id, blob) in world.git.notes(QWEN_NOTES, &ids)? {
        let Some(commit) = commits.iter().find(|it| it.id == id) else { continue };
        let shares = match world.git.blob(&blob, LIMIT) {
            Ok(note) => shares(&note),
            Err(GitError::TooLarge { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        if !shares.is_empty() {
            mark(noted, &id, QWEN, format!("note {QWEN_NOTES}"));
        }
        for share in shares {
            match if share.whole { brought(world, commit, &share.path)? } else { None } {
                Some(kept) => noted.lines.extend(kept.into_iter().map(|it| (id.clone(), it))),
                None => noted.touched.push((share.path, QWEN.to_owned())),
            }
        }
    }
    Ok(())
}

/// The lines that are new in a file at a commit; `None` where it is not there,
/// or too large.
fn brought(
    world: &World,
    commit: &Commit,
    path: &RepoPath,
) -> Result<Option<Vec<RecordedLines>>, Error> {
    let at = |commit: &Oid| match world.git.blob_at(commit, path, FILE_LIMIT) {
        Ok(found) => Ok(found.map(|(_, content)| content)),
        Err(GitError::TooLarge { .. } | GitError::Missing(_)) => Ok(None),
        Err(error) => Err(Error::from(error)),
    };
    let Some(new) = at(&commit.id)? else { return Ok(None) };
    let old = match commit.parents.first() {
        Some(parent) => at(parent)?.unwrap_or_default(),
        None => Vec::new(),
    };
    let range = |lines: LineRange| MatchedRange {
        lines,
        agent: QWEN.to_owned(),
        session: "note".to_owned(),
        model: None,
        reformatted: false,
    };
    let ranges: Vec<MatchedRange> = new_lines(&old, &new).into_iter().map(range).collect();
    Ok(Some(keep(path, &new, &ranges)))
}

/// A checkpoint says that a session overlapped the commit, and which agent's.
fn entire(world: &World, commits: &[Commit], noted: &mut Noted) -> Result<(), Error> {
    let named: Vec<(&Commit, Vec<String>)> = commits
        .iter()
        .map(|it| (it, checkpoints(&it.message)))
        .filter(|(_, ids)| !ids.is_empty())
        .collect();
    if named.is_empty() {
        return Ok(());
    }
    let end = format!("/{ENTIRE_BRANCH}");
    let refs = world.git.refs(&["refs/heads/entire", "refs/remotes", ENTIRE_REFS])?;
    for (commit, ids) in named {
        for id in ids {
            let (first, rest) = id.split_at(2);
            let own = format!("{ENTIRE_REFS}/{}/{id}", &id[id.len() - 2..]);
            let places = refs.iter().filter_map(|(name, tip)| match name {
                name if *name == own => Some((tip, String::new())),
                name if name.ends_with(&end) => Some((tip, format!("{first}/{rest}/"))),
                _ => None,
            });
            let mut sessions: Vec<Checkpoint> = Vec::new();
            for (tip, folder) in places {
                for session in of_checkpoint(world, tip, &folder)? {
                    if !sessions.contains(&session) {
                        sessions.push(session);
                    }
                }
            }
            for session in sessions {
                let value = format!("checkpoint {id}, session {}", session.session);
                mark(noted, &commit.id, &session.agent, value);
                let touched = session.files.into_iter().map(|it| (it, session.agent.clone()));
                noted.touched.extend(touched);
            }
        }
    }
    Ok(())
}

/// The sessions of a checkpoint: each has a folder of its own, an older one none.
fn of_checkpoint(world: &World, tip: &Oid, folder: &str) -> Result<Vec<Checkpoint>, Error> {
    let mut found = Vec::new();
    let numbers = (0..SESSIONS).map(|it| format!("{it}/"));
    for part in std::iter::once(String::new()).chain(numbers) {
        let path = RepoPath::new(format!("{folder}{part}metadata.json"));
        match world.git.blob_at(tip, &path, LIMIT) {
            Ok(Some((_, metadata))) => found.extend(checkpoint(&metadata)),
            // The folders are numbered without a gap.
            Ok(None) if !part.is_empty() => break,
            Ok(None) | Err(GitError::TooLarge { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}
