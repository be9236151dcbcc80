//! What an agent's shell command wrote that commits in the same call: its hook
//! told how files stood before it, and how they stand after it would be told
//! too late.

use crate::adapters::git::GitError;
use crate::adapters::told::{Snapshot, ToldStore};
use crate::gate::change::{Change, Oid, RepoPath};
use crate::gate::signal::Signal;
use crate::gate::time::Timestamp;
use crate::gate::told::lines::{
    Key, Told, adds, changes, folded_path_key, keys, keys_read, path_key, written,
};

use super::Error;
use super::record::{FILE_LIMIT, PATIENCE};
use super::world::World;

/// What the commands under way wrote into staged files. `marks` are those of
/// the surroundings: a commit that nothing shows to be made by the command's
/// agent is somebody else's, who works beside it.
pub fn told(
    world: &World,
    change: &Change,
    marks: &[Signal],
) -> Result<Vec<(RepoPath, Told)>, Error> {
    let store = ToldStore::new(&world.git.layout().common_dir);
    let mut told = Vec::new();
    if marks.is_empty() {
        return Ok(told);
    }
    for snapshot in store.running(Timestamp(world.env.now.0 - PATIENCE)) {
        let Some(command) = &snapshot.command else { continue };
        if !marks.iter().any(|it| it.agent == command.agent) {
            continue;
        }
        for file in &change.files {
            let Some(new) = file.new.as_ref().filter(|it| it.mode & 0o170_000 == 0o100_000) else {
                continue;
            };
            let Some(old) = before(world, &snapshot, &file.path)? else { continue };
            let now = match world.git.blob(&new.oid, FILE_LIMIT) {
                Ok(content) => keys(&content),
                Err(GitError::TooLarge { .. }) => None,
                Err(error) => return Err(error.into()),
            };
            let Some(lines) = now.map(|now| changes(Some(&old), &now)).filter(|it| adds(it)) else {
                continue;
            };
            let edit = Told {
                folded: folded_path_key(file.path.as_bytes()),
                path: path_key(file.path.as_bytes()),
                time: world.env.now.0,
                agent: command.agent.clone(),
                session: command.session.clone(),
                model: command.model.clone(),
                call: None,
                lines: written(&lines),
            };
            told.push((file.path.clone(), edit));
        }
    }
    Ok(told)
}

/// The lines of a file before the command; `None` where they cannot be told.
fn before(world: &World, snapshot: &Snapshot, path: &RepoPath) -> Result<Option<Vec<Key>>, Error> {
    if let Some(kept) = snapshot.files.get(&path_key(path.as_bytes())) {
        return Ok(kept.as_deref().and_then(keys_read));
    }
    let Some(head) = snapshot.head.as_deref().and_then(Oid::parse) else {
        return Ok(Some(Vec::new()));
    };
    match world.git.blob_at(&head, path, FILE_LIMIT) {
        Ok(Some((_, content))) => Ok(keys(&content)),
        Ok(None) => Ok(Some(Vec::new())),
        Err(GitError::TooLarge { .. } | GitError::Missing(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
