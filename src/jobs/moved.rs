//! New files that agents wrote under other names: which those were, and which
//! were taken for one already, so that a copy of it is not taken for it as well.

use std::collections::BTreeMap;

use crate::adapters::fs;
use crate::adapters::git::GitError;
use crate::adapters::traces::Elsewhere;
use crate::gate::change::{Change, FileChange, RepoPath};
use crate::gate::matching::moved::{self, Gone, Keys, New};
use crate::gate::order;
use crate::gate::told::lines::Told;
use crate::gate::trace::TracedEdit;

use super::world::World;
use super::{Error, sessions};

/// The largest file that is looked for among those that are gone, in bytes; how
/// many of them are, and of how many bytes together.
const NEW_LIMIT: u64 = 1 << 20;
const NEW: usize = 512;
const NEW_BYTES: usize = 16 << 20;

/// What was written into new files under other names.
#[derive(Debug, Default)]
pub(super) struct Origins<'a> {
    pub(super) recorded: BTreeMap<&'a RepoPath, Vec<&'a TracedEdit>>,
    pub(super) told: BTreeMap<&'a RepoPath, Vec<Told>>,
}

/// A file's path and its content.
type Content<'a> = (&'a RepoPath, Vec<u8>);

/// The origins of staged files of which no record tells how they began.
pub(super) fn staged<'a>(
    world: &World,
    change: &'a Change,
    elsewhere: &'a Elsewhere,
    claims: &mut Claims,
    formatted: bool,
) -> Result<Origins<'a>, Error> {
    let mut origins = Origins::default();
    if elsewhere.unknown.is_empty() && elsewhere.renames.is_empty() {
        return Ok(origins);
    }
    for (from, to) in &elsewhere.renames {
        claims.take(claims.key(from), to);
    }
    let mut open: Vec<&RepoPath> = elsewhere.unknown.iter().collect();
    // Where only a part is staged, the whole of it says more.
    for whole in [false, true] {
        let mut gone = recorded_as_gone(world, elsewhere, &change.files, claims)?;
        gone.retain(|(path, _)| !claims.took(&claims.key(path), &origins.recorded));
        if gone.is_empty() {
            break;
        }
        let files =
            if whole { in_work_tree(world, &open) } else { contents(world, change, &open)? };
        for (path, from) in recognised(&files, &gone, formatted) {
            claims.take(claims.key(from.0), path);
            origins.recorded.insert(path, from.1.clone());
        }
        open.retain(|it| !origins.recorded.contains_key(*it));
    }
    let mut told = match open.is_empty() {
        true => BTreeMap::new(),
        false => sessions::told_of_gone(world, &change.files)?,
    };
    told.retain(|key, _| claims.is_free(key, &elsewhere.unknown));
    if !told.is_empty() {
        let told: Vec<(String, Vec<Told>)> = told.into_iter().collect();
        let gone = told.iter().map(|(_, it)| Gone::told(&it.iter().collect::<Vec<_>>()));
        let gone: Vec<Gone<'_>> = gone.collect();
        let files = contents(world, change, &open)?;
        for ((path, _), found) in files.iter().zip(moved::origins(&news(&files), &gone, Keys::Told))
        {
            let Some((key, edits)) = found.and_then(|it| told.get(it)) else { continue };
            claims.take(key.clone(), path);
            origins.told.insert(path, edits.clone());
        }
    }
    claims.keep(world);
    Ok(origins)
}

/// What was recorded of a new file of the work tree with this content, under
/// another name.
pub(super) fn of_work_tree<'a>(
    world: &World,
    elsewhere: &'a Elsewhere,
    content: &[u8],
    formatted: bool,
) -> Result<Vec<&'a TracedEdit>, Error> {
    let Some(path) = elsewhere.unknown.first() else { return Ok(Vec::new()) };
    let gone = recorded_as_gone(world, elsewhere, &[], &Claims::read(world)?)?;
    let found = recognised(&[(path, content.to_owned())], &gone, formatted);
    Ok(found.into_iter().flat_map(|(_, (_, edits))| edits.clone()).collect())
}

/// A file that stands nowhere, and what agents recorded of it.
type Recorded<'a> = (&'a RepoPath, Vec<&'a TracedEdit>);

/// The files that stand nowhere: not in the work tree, nor in the commit before,
/// nor are they changed now, nor was one taken for another already.
fn recorded_as_gone<'a>(
    world: &World,
    elsewhere: &'a Elsewhere,
    changed: &[FileChange],
    claims: &Claims,
) -> Result<Vec<Recorded<'a>>, Error> {
    let mut edits: BTreeMap<&RepoPath, Vec<&TracedEdit>> = BTreeMap::new();
    for recorded in &elsewhere.nowhere {
        edits.entry(&recorded.path).or_default().push(&recorded.edit);
    }
    let mut gone = Vec::new();
    for (path, edits) in edits {
        let known = changed.iter().any(|it| it.path == *path)
            || !claims.is_free(&claims.key(path), &elsewhere.unknown)
            || match &world.git.layout().head {
                Some(head) => world.git.entry_at(head, path)?.is_some(),
                None => false,
            };
        if !known {
            gone.push((path, edits));
        }
    }
    Ok(gone)
}

fn recognised<'a, 'g, 'e>(
    files: &[Content<'a>],
    gone: &'g [Recorded<'e>],
    formatted: bool,
) -> Vec<(&'a RepoPath, &'g Recorded<'e>)> {
    let keys = if formatted { Keys::Formatted } else { Keys::Exact };
    let known: Vec<Gone<'_>> =
        gone.iter().map(|(path, edits)| Gone::recorded(path, edits, keys)).collect();
    let origins = moved::origins(&news(files), &known, keys);
    files.iter().zip(origins).filter_map(|((path, _), it)| Some((*path, gone.get(it?)?))).collect()
}

fn news<'a>(files: &'a [Content<'a>]) -> Vec<New<'a>> {
    files.iter().map(|(path, content)| New { path, content }).collect()
}

/// The contents of these staged files, as far as there is room.
fn contents<'a>(
    world: &World,
    change: &'a Change,
    paths: &[&RepoPath],
) -> Result<Vec<Content<'a>>, Error> {
    let (mut files, mut bytes) = (Vec::new(), 0);
    for file in change.files.iter().filter(|it| paths.contains(&&it.path)).take(NEW) {
        let Some(new) = file.new.as_ref().filter(|_| bytes < NEW_BYTES) else { continue };
        match world.git.blob(&new.oid, NEW_LIMIT) {
            Ok(content) => {
                bytes += content.len();
                files.push((&file.path, content));
            }
            Err(GitError::TooLarge { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(files)
}

/// The same files as they stand in the work tree; what cannot be read is left out.
fn in_work_tree<'a>(world: &World, paths: &[&'a RepoPath]) -> Vec<Content<'a>> {
    let Some(top) = &world.git.layout().toplevel else { return Vec::new() };
    let read = |path: &RepoPath| fs::read_plain(&top.join(path.to_text()), NEW_LIMIT).ok();
    let (mut files, mut bytes) = (Vec::new(), 0);
    for path in paths.iter().take(NEW) {
        if bytes < NEW_BYTES
            && let Some(content) = read(path)
        {
            bytes += content.len();
            files.push((*path, content));
        }
    }
    files
}

/// The cache's name in the store.
const CLAIMS: &str = "moved";
/// The most claims that are kept; beyond it those that do not hold now are forgotten.
const MOST: usize = 4096;

/// Which new file each one that is gone was taken for, by the key of its path.
/// It holds for as long as the new one stands. Losing it costs no line: a copy
/// may then be taken for the file that it is a copy of.
pub(super) struct Claims {
    known: BTreeMap<String, String>,
    changed: bool,
    top: Option<std::path::PathBuf>,
    ignore_case: bool,
}

impl Claims {
    pub(super) fn read(world: &World) -> Result<Claims, Error> {
        let bytes = world.store.cache(CLAIMS)?.unwrap_or_default();
        let known = serde_json::from_slice(&bytes).unwrap_or_default();
        let top = world.git.layout().toplevel.clone();
        Ok(Claims { known, changed: false, top, ignore_case: sessions::ignores_case(world)? })
    }

    /// The names, by their keys, under which more may be recorded of these
    /// files: of one that was committed in part, the rest.
    pub(super) fn of(&self, files: &[FileChange]) -> Vec<(String, RepoPath)> {
        if self.known.is_empty() {
            return Vec::new();
        }
        let paths: BTreeMap<String, &RepoPath> =
            order::map(files.iter().map(|it| (it.path.to_text(), &it.path)));
        let of = |(key, path): (&String, &String)| Some((key.clone(), (*paths.get(path)?).clone()));
        self.known.iter().filter_map(of).collect()
    }

    fn key(&self, path: &RepoPath) -> String {
        sessions::name_key(path, self.ignore_case)
    }

    /// Whether a file was taken for one of these.
    fn took(&self, gone: &str, new: &BTreeMap<&RepoPath, Vec<&TracedEdit>>) -> bool {
        self.known.get(gone).is_some_and(|path| new.keys().any(|it| it.to_text() == *path))
    }

    /// Whether a file was not taken yet for one that still stands and is none
    /// of these.
    fn is_free(&self, gone: &str, new: &[RepoPath]) -> bool {
        let Some(path) = self.known.get(gone) else { return true };
        new.iter().any(|it| it.to_text() == *path) || !self.stands(path)
    }

    fn stands(&self, path: &str) -> bool {
        self.top.as_ref().is_some_and(|top| fs::stands(&top.join(path)))
    }

    fn take(&mut self, gone: String, path: &RepoPath) {
        let path = path.to_text();
        if self.known.get(&gone) != Some(&path) {
            self.known.insert(gone, path);
            self.changed = true;
        }
    }

    fn keep(&mut self, world: &World) {
        if !self.changed {
            return;
        }
        if self.known.len() > MOST {
            let known = std::mem::take(&mut self.known);
            self.known = order::map(known.into_iter().filter(|(_, path)| self.stands(path)));
        }
        if let Ok(bytes) = serde_json::to_vec(&self.known) {
            world.store.replace_cache(CLAIMS, &bytes).ok();
        }
    }
}
