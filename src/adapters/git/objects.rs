//! Objects by id: read in process where `git2` can, else through `git cat-file`.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, Read};
use std::sync::Mutex;

use sha2::{Digest, Sha256};

use super::{Call, Git, GitError, Surroundings, unexpected};
use crate::gate::change::{Entry, Oid, RepoPath};
use crate::gate::order;

/// What stands directly in a folder, by name.
pub type Folder = Vec<(Vec<u8>, Entry)>;

/// What stands at a path of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub path: RepoPath,
    pub entry: Entry,
    /// In bytes; `None`: nobody asked, it is no blob, or it is not here.
    pub size: Option<u64>,
}

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Blob,
    Tree,
    Commit,
    Tag,
}

impl Kind {
    fn parse(text: &str) -> Option<Kind> {
        Some(match text {
            "blob" => Kind::Blob,
            "tree" => Kind::Tree,
            "commit" => Kind::Commit,
            "tag" => Kind::Tag,
            _ => return None,
        })
    }

    /// git's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Blob => "blob",
            Kind::Tree => "tree",
            Kind::Commit => "commit",
            Kind::Tag => "tag",
        }
    }

    fn of(kind: git2::ObjectType) -> Option<Kind> {
        match kind {
            git2::ObjectType::Blob => Some(Kind::Blob),
            git2::ObjectType::Tree => Some(Kind::Tree),
            git2::ObjectType::Commit => Some(Kind::Commit),
            git2::ObjectType::Tag => Some(Kind::Tag),
            git2::ObjectType::Any => None,
        }
    }

    pub(super) fn engine(self) -> git2::ObjectType {
        match self {
            Kind::Blob => git2::ObjectType::Blob,
            Kind::Tree => git2::ObjectType::Tree,
            Kind::Commit => git2::ObjectType::Commit,
            Kind::Tag => git2::ObjectType::Tag,
        }
    }
}

/// One object as `git cat-file --batch` prints it.
pub(super) struct Streamed<'a> {
    pub(super) oid: &'a Oid,
    pub(super) kind: Kind,
    pub(super) size: u64,
    /// Ends where the object ends.
    pub(super) content: &'a mut dyn Read,
}

/// Takes one object, or the id of one that is not here.
pub(super) type EachOfAny<'a> = dyn FnMut(&Oid, Option<Streamed<'_>>) -> Result<(), GitError> + 'a;

/// Commits, trees and tags that are read whole may be this large.
const OBJECT_LIMIT: u64 = 32 << 20;

/// As many bytes of paths go into one call.
const ARGUMENTS: usize = 64 << 10;

/// As many bytes of blobs are kept for who reads them next.
const KEPT: usize = 32 << 20;

/// Blobs that were read, and are read again by who comes next.
#[derive(Default)]
pub(super) struct Kept {
    blobs: HashMap<Oid, Vec<u8>>,
    bytes: usize,
}

impl Kept {
    fn take(&mut self, oid: &Oid) -> Option<Vec<u8>> {
        let bytes = self.blobs.remove(oid)?;
        self.bytes -= bytes.len();
        Some(bytes)
    }
}

impl Git {
    /// The in-process engine; `None` where it cannot read this repository's objects.
    ///
    /// It sees objects alone: no configuration, ref, index or attribute is read.
    pub(super) fn engine(&self) -> Option<&Mutex<git2::Odb<'static>>> {
        self.objects.get_or_init(|| self.open_objects().map(Mutex::new)).as_ref()
    }

    fn open_objects(&self) -> Option<git2::Odb<'static>> {
        // git does not hash again what it reads either, and is asked where this fails.
        git2::opts::strict_hash_verification(false);
        // What is read once fills memory for nobody; bases of deltas are kept all the same.
        git2::opts::enable_caching(false);
        let objects = git2::Odb::new_ext(self.object_format()).ok()?;
        // A quarantine's objects are seen only from the environment.
        let (folder, alternates) = match self.surroundings {
            Surroundings::Inherited => (
                self.surroundings.variable("GIT_OBJECT_DIRECTORY"),
                self.surroundings.variable("GIT_ALTERNATE_OBJECT_DIRECTORIES"),
            ),
            Surroundings::Own(_) => (None, None),
        };
        let folder = match folder {
            Some(folder) => self.dir.join(folder),
            None => self.layout().common_dir.join("objects"),
        };
        objects.add_disk_alternate(folder.to_str()?).ok()?;
        let alternates = alternates.unwrap_or_default();
        // A path with the separator in it stands in quotes: git knows how to read it.
        let alternates = alternates.to_str().filter(|it| !it.contains('"'))?;
        for folder in std::env::split_paths(alternates).filter(|it| !it.as_os_str().is_empty()) {
            objects.add_disk_alternate(self.dir.join(folder).to_str()?).ok()?;
        }
        Some(objects)
    }

    pub(super) fn object_format(&self) -> git2::ObjectFormat {
        match self.layout().sha256 {
            true => git2::ObjectFormat::Sha256,
            false => git2::ObjectFormat::Sha1,
        }
    }

    pub(super) fn engine_id(&self, oid: &Oid) -> Option<git2::Oid> {
        git2::Oid::from_str_ext(oid.as_str(), self.object_format()).ok()
    }

    /// Returns an object's kind and bytes; an absent or larger one is an error that names it.
    pub fn object(&self, oid: &Oid, limit: u64) -> Result<(Kind, Vec<u8>), GitError> {
        match self.engine_object(oid, limit)? {
            Some(found) => Ok(found),
            None => self.plumbing_object(oid, limit),
        }
    }

    /// `None`: the engine does not know. It may not see every object that git sees.
    pub(super) fn engine_object(
        &self,
        oid: &Oid,
        limit: u64,
    ) -> Result<Option<(Kind, Vec<u8>)>, GitError> {
        self.engine_read(oid, limit, false)
    }

    /// The same; `small`: its size is known to be within the limit. In a pack that
    /// is as dear to look up as the object is to read.
    fn engine_read(
        &self,
        oid: &Oid,
        limit: u64,
        small: bool,
    ) -> Result<Option<(Kind, Vec<u8>)>, GitError> {
        let Some(Ok(objects)) = self.engine().map(Mutex::lock) else { return Ok(None) };
        let Some(id) = self.engine_id(oid) else { return Ok(None) };
        if !small {
            let Ok((size, _)) = objects.read_header(id) else { return Ok(None) };
            within(oid, size as u64, limit)?;
        }
        let Ok(object) = objects.read(id) else { return Ok(None) };
        within(oid, object.len() as u64, limit)?;
        Ok(Kind::of(object.kind()).map(|kind| (kind, object.data().to_vec())))
    }

    /// Whether the engine sees a commit under this id; "no" may be its ignorance.
    pub(super) fn is_commit(&self, oid: &Oid) -> bool {
        let Some(Ok(objects)) = self.engine().map(Mutex::lock) else { return false };
        let Some(id) = self.engine_id(oid) else { return false };
        objects.read_header(id).is_ok_and(|(_, kind)| kind == git2::ObjectType::Commit)
    }

    fn plumbing_object(&self, oid: &Oid, limit: u64) -> Result<(Kind, Vec<u8>), GitError> {
        let mut found = None;
        self.batch(std::slice::from_ref(oid), &mut |Streamed { oid, kind, size, content }| {
            within(oid, size, limit)?;
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes).map_err(|_| GitError::Missing(oid.to_string()))?;
            found = Some((kind, bytes));
            Ok(())
        })?;
        found.ok_or_else(|| GitError::Missing(oid.to_string()))
    }

    /// Returns a blob's bytes.
    pub fn blob(&self, oid: &Oid, limit: u64) -> Result<Vec<u8>, GitError> {
        match self.object(oid, limit)? {
            (Kind::Blob, bytes) => Ok(bytes),
            (kind, _) => Err(GitError::Unexpected {
                command: format!("git cat-file blob {oid}"),
                what: format!("a {}", kind.as_str()),
            }),
        }
    }

    /// Returns the blob that stands at a path of a commit or tree, with its id;
    /// `None` if no file stands there. A symlink's blob is its target.
    pub fn blob_at(
        &self,
        tree: &Oid,
        path: &RepoPath,
        limit: u64,
    ) -> Result<Option<(Oid, Vec<u8>)>, GitError> {
        match self.entry_at(tree, path)? {
            Some(entry) if matches!(entry.mode & 0o170000, 0o100000 | 0o120000) => {
                let bytes = self.blob(&entry.oid, limit)?;
                Ok(Some((entry.oid, bytes)))
            }
            Some(_) | None => Ok(None),
        }
    }

    /// Returns what stands at a path of a commit or tree.
    pub fn entry_at(&self, tree: &Oid, path: &RepoPath) -> Result<Option<Entry>, GitError> {
        let mut found = Some(Entry { mode: 0o040000, oid: self.tree_of(tree)? });
        for name in path.as_bytes().split(|&byte| byte == b'/') {
            found = match found {
                Some(entry) if entry.mode == 0o040000 => self
                    .tree_entries(&entry.oid)?
                    .into_iter()
                    .find_map(|(it, entry)| (it == name).then_some(entry)),
                Some(_) | None => return Ok(None),
            };
        }
        Ok(found)
    }

    /// Returns what stands directly in a folder of a commit or tree (the root's
    /// for an empty one), by name; folders have mode 0o040000. `None`: there is
    /// no such folder.
    pub fn folder(&self, tree: &Oid, folder: &RepoPath) -> Result<Option<Folder>, GitError> {
        if folder.as_bytes().is_empty() {
            return self.tree_entries(&self.tree_of(tree)?).map(Some);
        }
        match self.entry_at(tree, folder)? {
            Some(entry) if entry.mode == 0o040000 => self.tree_entries(&entry.oid).map(Some),
            Some(_) | None => Ok(None),
        }
    }

    /// Returns the tree of a commit, tag or tree.
    pub fn tree_of(&self, oid: &Oid) -> Result<Oid, GitError> {
        let mut oid = oid.clone();
        // A tag may stand on a tag, and so on; git itself stops nowhere.
        for _ in 0..32 {
            if oid == self.empty_tree() {
                return Ok(oid);
            }
            let (kind, bytes) = self.object(&oid, OBJECT_LIMIT)?;
            let header: &[u8] = match kind {
                Kind::Tree => return Ok(oid),
                Kind::Commit => b"tree ",
                Kind::Tag => b"object ",
                Kind::Blob => break,
            };
            let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
            let id = line.strip_prefix(header).and_then(|id| std::str::from_utf8(id).ok());
            match id.and_then(Oid::parse) {
                Some(next) => oid = next,
                None => break,
            }
        }
        Err(GitError::Unexpected {
            command: format!("git cat-file -p {oid}"),
            what: "no commit and no tree".to_owned(),
        })
    }

    /// Returns a tree's own entries, by name; folders have mode 0o040000.
    pub(super) fn tree_entries(&self, tree: &Oid) -> Result<Vec<(Vec<u8>, Entry)>, GitError> {
        if *tree == self.empty_tree() {
            return Ok(Vec::new());
        }
        let broken = || GitError::Unexpected {
            command: format!("git cat-file tree {tree}"),
            what: "a broken tree".to_owned(),
        };
        match self.object(tree, u64::from(u32::MAX))? {
            (Kind::Tree, bytes) => parse_tree(&bytes, self.layout().sha256).ok_or_else(broken),
            _ => Err(broken()),
        }
    }

    /// Returns what stands at each of the paths in a commit or tree: one
    /// process for all of them.
    pub fn entries(
        &self,
        tree: &Oid,
        paths: &[RepoPath],
    ) -> Result<BTreeMap<RepoPath, Option<Entry>>, GitError> {
        let mut found: BTreeMap<_, _> = order::map(paths.iter().map(|path| (path.clone(), None)));
        let mut rest = paths;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |path: &&RepoPath| {
                bytes += path.as_bytes().len() + 1;
                bytes <= ARGUMENTS
            };
            let (now, later) = rest.split_at(rest.iter().take_while(fits).count().max(1));
            let call = self.call().args(["ls-tree", "-z", "--full-tree", tree.as_str(), "--"]);
            let call = call.args(now.iter().map(|path| os_path(path.as_bytes())));
            for listed in self.list_entries(call)? {
                if let Some(place) = found.get_mut(&listed.path) {
                    *place = Some(listed.entry);
                }
            }
            rest = later;
        }
        Ok(found)
    }

    /// Returns every file, symlink and submodule of a commit or tree below a
    /// folder (no final `/`; all of them for an empty one), sorted as git sorts.
    pub fn list(&self, tree: &Oid, folder: &RepoPath) -> Result<Vec<(RepoPath, Entry)>, GitError> {
        let listed = self.list_by(&[], tree, folder)?;
        Ok(listed.into_iter().map(|it| (it.path, it.entry)).collect())
    }

    /// The same with the files' sizes, which saves [`Git::sized_blobs`] to look
    /// each up.
    pub fn list_sized(&self, tree: &Oid, folder: &RepoPath) -> Result<Vec<Listed>, GitError> {
        self.list_by(&["-l"], tree, folder)
    }

    fn list_by(
        &self,
        options: &[&str],
        tree: &Oid,
        folder: &RepoPath,
    ) -> Result<Vec<Listed>, GitError> {
        let call = self.call().args(["ls-tree", "-r", "-z", "--full-tree"]).args(options);
        let mut call = call.args([tree.as_str(), "--"]);
        if !folder.as_bytes().is_empty() {
            call = call.arg(os_path(&[folder.as_bytes(), b"/"].concat()));
        }
        self.list_entries(call)
    }

    fn list_entries(&self, call: Call) -> Result<Vec<Listed>, GitError> {
        let bytes = self.output(call.clone())?;
        let parse = |line: &[u8]| {
            let tab = line.iter().position(|&byte| byte == b'\t')?;
            let mut fields = std::str::from_utf8(&line[..tab]).ok()?.split_ascii_whitespace();
            let (mode, _, oid) = (fields.next()?, fields.next()?, fields.next()?);
            let entry = super::diff::entry(mode, oid)??;
            // Of what is not here git says `BAD`, and of a submodule `-`.
            let size = fields.next().and_then(|size| size.parse().ok());
            Some(Listed { path: RepoPath::new(&line[tab + 1..]), entry, size })
        };
        bytes
            .split(|&byte| byte == 0)
            .filter(|line| !line.is_empty())
            .map(|line| parse(line).ok_or_else(|| unexpected(&call, "a broken entry")))
            .collect()
    }

    /// Returns the SHA-256 of each blob's bytes, in lower-case hexadecimal: one
    /// process for all of them, and memory that does not grow with their size.
    pub fn sha256_of(&self, blobs: &[Oid]) -> Result<BTreeMap<Oid, String>, GitError> {
        let mut digests = BTreeMap::new();
        self.batch(blobs, &mut |Streamed { oid, kind, content, .. }| {
            if kind != Kind::Blob {
                return Err(GitError::Missing(oid.to_string()));
            }
            let mut digest = Sha256::new();
            let mut buffer = [0; 16 << 10];
            loop {
                match content.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(length) => digest.update(&buffer[..length]),
                    Err(_) => return Err(GitError::Missing(oid.to_string())),
                }
            }
            digests.insert(oid.clone(), hex(&digest.finalize()));
            Ok(())
        })?;
        Ok(digests)
    }

    /// Returns a blob's bytes, which [`Git::blobs`] need not read again then, as
    /// far as there is room to keep them.
    pub fn blob_kept(&self, oid: &Oid, limit: u64) -> Result<Vec<u8>, GitError> {
        match self.engine_blob(oid, limit, true)? {
            Some(bytes) => Ok(bytes),
            None => self.blob(oid, limit),
        }
    }

    /// The same in process; `None`: the engine does not know, or it is no blob.
    pub(super) fn engine_blob(
        &self,
        oid: &Oid,
        limit: u64,
        keep: bool,
    ) -> Result<Option<Vec<u8>>, GitError> {
        if let Some(bytes) = self.kept.lock().ok().and_then(|kept| kept.blobs.get(oid).cloned()) {
            within(oid, bytes.len() as u64, limit)?;
            return Ok(Some(bytes));
        }
        let Some((Kind::Blob, bytes)) = self.engine_object(oid, limit)? else { return Ok(None) };
        if let Ok(mut kept) = self.kept.lock()
            && keep
            && kept.bytes + bytes.len() <= KEPT
        {
            kept.bytes += bytes.len();
            kept.blobs.insert(oid.clone(), bytes.clone());
        }
        Ok(Some(bytes))
    }

    /// Hands over the bytes of blobs, in the order asked for. What is larger than
    /// `limit`, or no blob, is handed over as an error that costs only itself; an
    /// absent object ends the reading.
    pub fn blobs(
        &self,
        oids: &[Oid],
        limit: u64,
        each: &mut dyn FnMut(Result<Vec<u8>, GitError>),
    ) -> Result<(), GitError> {
        self.sized_blobs(oids, &[], limit, each)
    }

    /// The same, told the sizes of the blobs as far as they are known.
    pub fn sized_blobs(
        &self,
        oids: &[Oid],
        sizes: &[Option<u64>],
        limit: u64,
        each: &mut dyn FnMut(Result<Vec<u8>, GitError>),
    ) -> Result<(), GitError> {
        let of_kind = |oid: &Oid, (kind, bytes)| match kind {
            Kind::Blob => Ok(bytes),
            Kind::Tree | Kind::Commit | Kind::Tag => Err(GitError::Missing(oid.to_string())),
        };
        // Nothing has to be handed from process to process as long as the engine sees them.
        let mut rest = oids;
        while let [oid, others @ ..] = rest {
            let kept = self.kept.lock().ok().and_then(|mut kept| kept.take(oid));
            let size = sizes.get(oids.len() - rest.len()).copied().flatten();
            let read = || match size {
                Some(size) => {
                    within(oid, size, limit).and_then(|()| self.engine_read(oid, limit, true))
                }
                None => self.engine_object(oid, limit),
            };
            let found = match kept {
                Some(bytes) => within(oid, bytes.len() as u64, limit).map(|()| bytes),
                None => match read() {
                    Ok(Some(found)) => of_kind(oid, found),
                    Ok(None) => break,
                    Err(error) => Err(error),
                },
            };
            each(found);
            rest = others;
        }
        self.batch(rest, &mut |Streamed { oid, kind, size, content }| {
            if kind != Kind::Blob {
                each(Err(GitError::Missing(oid.to_string())));
            } else if let Err(error) = within(oid, size, limit) {
                each(Err(error));
            } else {
                // It is within the limit, and so is what is made ready for it.
                let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
                content.read_to_end(&mut bytes).map_err(|_| GitError::Missing(oid.to_string()))?;
                each(Ok(bytes));
            }
            Ok(())
        })
    }

    /// Hands over objects, in the order asked for, through one `git cat-file
    /// --batch`. The reader given ends where the object ends. An absent object
    /// is an error that names it.
    pub(super) fn batch(
        &self,
        oids: &[Oid],
        each: &mut dyn FnMut(Streamed<'_>) -> Result<(), GitError>,
    ) -> Result<(), GitError> {
        self.batch_of_any(oids, &mut |oid, streamed| match streamed {
            Some(streamed) => each(streamed),
            None => Err(GitError::Missing(oid.to_string())),
        })
    }

    /// The same, but an absent object is handed over as `None` and costs only itself.
    pub(super) fn batch_of_any(
        &self,
        oids: &[Oid],
        each: &mut EachOfAny<'_>,
    ) -> Result<(), GitError> {
        if oids.is_empty() {
            return Ok(());
        }
        let input: String = oids.iter().map(|oid| format!("{oid}\n")).collect();
        // Everything is asked at once, so that nobody waits for what stands in a buffer.
        let call = self.call().args(["cat-file", "--batch", "--buffer"]).stdin(input);
        self.stream(call.clone(), |reader| {
            for oid in oids {
                let mut header = Vec::new();
                (&mut *reader)
                    .take(256)
                    .read_until(b'\n', &mut header)
                    .map_err(|error| unexpected(&call, error.to_string()))?;
                let header = String::from_utf8_lossy(&header);
                let mut words = header.trim_end().split(' ');
                let (_, kind, size) = (words.next(), words.next(), words.next());
                let (Some(kind), Some(size)) =
                    (kind.and_then(Kind::parse), size.and_then(|size| size.parse::<u64>().ok()))
                else {
                    each(oid, None)?;
                    continue;
                };
                let mut content = (&mut *reader).take(size);
                each(oid, Some(Streamed { oid, kind, size, content: &mut content }))?;
                let mut end = Vec::new();
                let left = content.limit();
                if std::io::copy(&mut content, &mut std::io::sink()).ok() != Some(left)
                    || (&mut *reader).take(1).read_to_end(&mut end).is_err()
                    || end != b"\n"
                {
                    return Err(unexpected(&call, "an object that ends early"));
                }
            }
            Ok(())
        })
    }
}

/// The SHA-256 of bytes, in lower-case hexadecimal.
pub(super) fn hex_sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(super) fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn within(oid: &Oid, size: u64, limit: u64) -> Result<(), GitError> {
    match size > limit {
        true => Err(GitError::TooLarge { what: format!("object `{oid}`"), limit }),
        false => Ok(()),
    }
}

/// Parses a tree: `<mode> SP <name> NUL <raw id>` for each entry.
fn parse_tree(mut bytes: &[u8], sha256: bool) -> Option<Vec<(Vec<u8>, Entry)>> {
    let hash = if sha256 { 32 } else { 20 };
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let space = bytes.iter().position(|&byte| byte == b' ')?;
        let nul = bytes.iter().position(|&byte| byte == 0)?;
        let mode = std::str::from_utf8(bytes.get(..space)?).ok()?;
        let name = bytes.get(space + 1..nul)?.to_vec();
        let id = bytes.get(nul + 1..nul + 1 + hash)?;
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let mode = u32::from_str_radix(mode, 8).ok()?;
        entries.push((name, Entry { mode, oid: Oid::parse(&id)? }));
        bytes = &bytes[nul + 1 + hash..];
    }
    Some(entries)
}

/// git's bytes as an argument.
#[cfg(unix)]
pub(super) fn os_path(bytes: &[u8]) -> std::ffi::OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec())
}

/// git's bytes as an argument: elsewhere git speaks UTF-8.
#[cfg(not(unix))]
pub(super) fn os_path(bytes: &[u8]) -> std::ffi::OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}
