//! Reading, and atomic writing (`tempfile`). Every error names its path.

#![expect(clippy::disallowed_methods, reason = "this is the door")]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::gate::order;
use crate::gate::time::Timestamp;

/// What went wrong with which path.
#[derive(Debug, thiserror::Error)]
pub enum FsError {
    #[error("failed to {action} `{path}`")]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("`{path}` is larger than {limit} bytes")]
    TooLarge { path: PathBuf, limit: u64 },
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> FsError {
    let path = path.to_owned();
    move |source| FsError::Io { action, path, source }
}

/// The least that is made ready for a file's content, in bytes.
const LEAST_BUFFER: u64 = 4 << 10;

/// Reads a file of at most `limit` bytes; `None` if it is not there.
pub fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FsError> {
    let Some((file, length)) = open(path)? else { return Ok(None) };
    read_at_most(file, length, path, limit).map(Some)
}

/// Opens a file to be read piece by piece, and tells its length in bytes (0
/// where that is not known); `None` if it is not there.
pub fn open(path: &Path) -> Result<Option<(impl Read + use<>, u64)>, FsError> {
    match std::fs::File::open(path) {
        Ok(file) => {
            let length = file.metadata().map_or(0, |it| it.len());
            Ok(Some((file, length)))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Reads to the end, which is expected after `length` bytes.
fn read_at_most(from: impl Read, length: u64, path: &Path, limit: u64) -> Result<Vec<u8>, FsError> {
    // One byte more tells the end without a larger buffer; /proc tells no length.
    let length = length.clamp(LEAST_BUFFER, limit.max(LEAST_BUFFER));
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1);
    from.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed("read", path))?;
    if bytes.len() as u64 > limit {
        return Err(FsError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

/// Writes a file so that at every moment either the old or the new content
/// stands there, whole. `mode` is the Unix permission bits.
pub fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FsError> {
    put_in_place(path, bytes, mode, true)
}

fn put_in_place(path: &Path, bytes: &[u8], mode: u32, durable: bool) -> Result<(), FsError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".countersign-")
        .tempfile_in(folder)
        .map_err(failed("write below", folder))?;
    file.write_all(bytes).map_err(failed("write", path))?;
    set_mode(file.path(), mode)?;
    if durable {
        file.as_file().sync_data().map_err(failed("write", path))?;
    }
    file.persist(path).map_err(|error| failed("write", path)(error.error))?;
    Ok(())
}

/// A file's Unix permission bits; `None` if it is not there, and elsewhere.
pub fn mode(path: &Path) -> Option<u32> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        Some(std::fs::metadata(path).ok()?.permissions().mode() & 0o7777)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

/// Sets Unix permission bits; does nothing elsewhere.
pub fn set_mode(path: &Path, mode: u32) -> Result<(), FsError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
            .map_err(failed("set the mode of", path))?;
    }
    #[cfg(not(unix))]
    let _ = (path, mode);
    Ok(())
}

/// Creates a folder and those above it; it is no error if it is there.
pub fn create_folder(path: &Path) -> Result<(), FsError> {
    std::fs::create_dir_all(path).map_err(failed("create the folder", path))
}

/// Removes a file; it is no error if it is not there.
pub fn remove_file(path: &Path) -> Result<(), FsError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(failed("remove", path)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Creates a folder that only this user can read and that is removed when the value is dropped.
pub fn scratch_folder() -> Result<tempfile::TempDir, FsError> {
    tempfile::Builder::new()
        .prefix("countersign-")
        .tempdir()
        .map_err(failed("create a folder below", &std::env::temp_dir()))
}

/// Appends one line, whole, and keeps it through a crash. A reader skips what
/// a full disk may have cut off.
pub fn append_line(path: &Path, line: &str, mode: u32) -> Result<(), FsError> {
    let file = append_to(path, format!("{line}\n").as_bytes(), mode)?;
    file.sync_data().map_err(failed("append to", path))
}

fn append_to(path: &Path, bytes: &[u8], mode: u32) -> Result<std::fs::File, FsError> {
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = options.open(path).map_err(failed("append to", path))?;
    file.write_all(bytes).map_err(failed("append to", path))?;
    Ok(file)
}

/// Writes a file where it stands, or creates it with these permission bits. After
/// a crash a mixture of both contents may stand there, which is for the reader
/// to notice; it costs a fraction of [`replace`], for what each commit leaves.
pub fn overwrite(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FsError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = options.open(path).map_err(failed("write", path))?;
    let written = file.write_all(bytes).and_then(|()| file.set_len(bytes.len() as u64));
    written.map_err(failed("write", path))
}

/// Renames a file.
pub fn rename(from: &Path, to: &Path) -> Result<(), FsError> {
    std::fs::rename(from, to).map_err(failed("rename", from))
}

/// The names in a folder, sorted; empty if it is not there.
pub fn list(path: &Path) -> Result<Vec<PathBuf>, FsError> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("list", path)(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(failed("list", path))?.path());
    }
    order::sort(&mut paths);
    Ok(paths)
}

/// Whether a folder stands there, and no link to one.
pub fn is_folder_itself(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir())
}

/// Whether a symbolic link stands at the path.
pub fn is_link_itself(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink())
}

/// Whether something stands at the path; a symbolic link that leads nowhere does.
pub fn stands(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Whether the path leads to a file that may be run.
pub fn is_executable(path: &Path) -> bool {
    let Ok(metadata) = path.metadata() else { return false };
    #[cfg(unix)]
    let may_run = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o111 != 0;
    #[cfg(not(unix))]
    let may_run = true;
    metadata.is_file() && may_run
}

/// Whether two names are the same file, or hold the same bytes.
pub fn is_same_file(one: &Path, other: &Path) -> bool {
    const LIMIT: u64 = 16 << 20;
    matches!((read(one, LIMIT), read(other, LIMIT)), (Ok(Some(one)), Ok(Some(other))) if one == other)
}

/// Gives a file a second name, so that the first can be replaced while a file
/// stands there at every moment; renames it where the file system has no links.
pub fn keep_beside(path: &Path, other: &Path) -> Result<(), FsError> {
    match std::fs::hard_link(path, other) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(failed("keep a file at", other)(error))
        }
        Err(_) => rename(path, other),
    }
}

/// Removes a folder if it is empty; it is no error if it is not, or is not there.
pub fn remove_empty_folder(path: &Path) -> Result<(), FsError> {
    use std::io::ErrorKind::{DirectoryNotEmpty, NotFound};
    match std::fs::remove_dir(path) {
        Err(error) if !matches!(error.kind(), DirectoryNotEmpty | NotFound) => {
            Err(failed("remove the folder", path)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Removes a file, a link or a folder with all that is in it; links are not
/// followed, and it is no error if nothing is there.
pub fn remove_tree(path: &Path) -> Result<(), FsError> {
    let is_folder = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata.is_dir(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("look at", path)(error)),
    };
    if is_folder {
        std::fs::remove_dir_all(path).map_err(failed("remove", path))
    } else {
        remove_file(path)
    }
}

/// A lock that this process holds until the value is dropped, however it ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held open, never read")] std::fs::File);

/// Takes the lock of this file, which is created if needed; `None` if somebody
/// else holds it.
pub fn try_lock(path: &Path) -> Result<Option<Lock>, FsError> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(windows)]
    std::os::windows::fs::OpenOptionsExt::share_mode(&mut options, 0);
    let file = match options.open(path) {
        Ok(file) => file,
        // ERROR_SHARING_VIOLATION: somebody has it open.
        #[cfg(windows)]
        Err(error) if error.raw_os_error() == Some(32) => return Ok(None),
        Err(error) => return Err(failed("lock", path)(error)),
    };
    #[cfg(unix)]
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
        Err(error) => return Err(failed("lock", path)(error.into())),
    }
    Ok(Some(Lock(file)))
}

/// Writes a file in place, keeping its owner and mode: scratch of a checkout,
/// and files that git gave us to write, such as a commit's message.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), FsError> {
    std::fs::write(path, bytes).map_err(failed("write", path))
}

/// Creates a file to be written piece by piece; what stood there is gone.
pub fn create(path: &Path) -> Result<std::fs::File, FsError> {
    std::fs::File::create(path).map_err(failed("create", path))
}

/// When a file was last modified; `None` if it is not there.
pub fn modified(path: &Path) -> Result<Option<std::time::SystemTime>, FsError> {
    match std::fs::metadata(path) {
        Ok(metadata) => metadata.modified().map(Some).map_err(failed("look at", path)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("look at", path)(error)),
    }
}

/// Writes a file so that at every moment the old or the new content stands
/// there; after a power cut it may be gone. For what can be found out again.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FsError> {
    put_in_place(path, bytes, mode, false)
}

/// Appends to a file, in one write; creates it with these permission bits.
pub fn append(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FsError> {
    append_to(path, bytes, mode).map(drop)
}

/// What tells whether a file was written since: its place on the disk, size and
/// times. `None` if it is not there, or the system does not tell.
pub fn stamp(path: &Path) -> Option<String> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let it = std::fs::metadata(path).ok()?;
        let (modified, changed) = ((it.mtime(), it.mtime_nsec()), (it.ctime(), it.ctime_nsec()));
        Some(format!("{} {} {} {modified:?} {changed:?}", it.dev(), it.ino(), it.size()))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

/// Whether a file, or what its place says of it, changed later than this. What
/// is not there did not; what cannot be told did.
pub fn changed_since(path: &Path, at: Timestamp) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(path).is_ok_and(|it| it.mtime().max(it.ctime()) > at.0)
    }
    #[cfg(not(unix))]
    {
        let _ = (path, at);
        true
    }
}

/// Dates a file.
pub fn set_modified(path: &Path, at: std::time::SystemTime) -> Result<(), FsError> {
    let file = std::fs::File::options().write(true).open(path).map_err(failed("date", path))?;
    file.set_modified(at).map_err(failed("date", path))
}

/// The size of a file in bytes; 0 if it is not there.
pub fn size(path: &Path) -> Result<u64, FsError> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(failed("look at", path)(error)),
    }
}

/// A regular file as it stands on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plain {
    pub size: u64,
    /// Nanoseconds since the Unix epoch.
    pub modified: i64,
    /// Device and number of the file; zeros where the system tells none.
    pub identity: (u64, u64),
}

impl Plain {
    fn of(metadata: &std::fs::Metadata) -> Plain {
        let since = metadata.modified().ok().and_then(|it| it.duration_since(UNIX_EPOCH).ok());
        let modified = since.map_or(0, |it| i64::try_from(it.as_nanos()).unwrap_or(i64::MAX));
        #[cfg(unix)]
        let identity = {
            use std::os::unix::fs::MetadataExt;
            (metadata.dev(), metadata.ino())
        };
        #[cfg(not(unix))]
        let identity = (0, 0);
        Plain { size: metadata.len(), modified, identity }
    }
}

/// Opens a regular file, and nothing else: no link at its end is followed, and
/// a pipe or a device is an error instead of a wait.
pub fn open_plain(path: &Path) -> Result<(std::fs::File, Plain), FsError> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let flags = i32::try_from(flags.bits()).unwrap_or_default();
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags);
    }
    let file = options.open(path).map_err(failed("read", path))?;
    let metadata = file.metadata().map_err(failed("look at", path))?;
    if !metadata.is_file() {
        let other = std::io::Error::other("it is no regular file");
        return Err(failed("read", path)(other));
    }
    Ok((file, Plain::of(&metadata)))
}

/// Reads a regular file of at most `limit` bytes, as [`open_plain`] opens it.
pub fn read_plain(path: &Path, limit: u64) -> Result<Vec<u8>, FsError> {
    let (file, plain) = open_plain(path)?;
    read_at_most(file, plain.size, path, limit)
}

/// Reads the last bytes of a regular file, as [`open_plain`] opens it.
pub fn read_end(path: &Path, bytes: u64) -> Result<Vec<u8>, FsError> {
    use std::io::{Seek, SeekFrom};
    let (mut file, plain) = open_plain(path)?;
    let from = plain.size.saturating_sub(bytes);
    file.seek(SeekFrom::Start(from)).map_err(failed("read", path))?;
    let mut end = Vec::new();
    file.take(bytes).read_to_end(&mut end).map_err(failed("read", path))?;
    Ok(end)
}

/// A file of which parts are read.
#[derive(Debug)]
pub struct Parts {
    file: std::fs::File,
    path: PathBuf,
    size: u64,
}

impl Parts {
    /// Opens a file; `None` if it is not there.
    pub fn open(path: &Path) -> Result<Option<Parts>, FsError> {
        let file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", path)(error)),
        };
        let size = file.metadata().map_err(failed("look at", path))?.len();
        Ok(Some(Parts { file, path: path.to_owned(), size }))
    }

    /// How many bytes it had when it was opened.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads `length` bytes from `at` on; fewer are an error.
    pub fn read(&self, at: u64, length: usize) -> Result<Vec<u8>, FsError> {
        use std::io::{Seek, SeekFrom};
        let mut file = &self.file;
        file.seek(SeekFrom::Start(at)).map_err(failed("read", &self.path))?;
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes).map_err(failed("read", &self.path))?;
        Ok(bytes)
    }
}

/// What stands in a folder: its name, and for a regular file its facts.
#[derive(Clone, Debug)]
pub enum Entry {
    Folder(String),
    File(String, Plain),
}

/// The folders and regular files in a folder, in no order. Links and names that
/// are not UTF-8 are left out; empty if the folder is not there.
pub fn entries(path: &Path) -> Result<Vec<Entry>, FsError> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(failed("list", path)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed("list", path))?;
        let (Ok(kind), Ok(name)) = (entry.file_type(), entry.file_name().into_string()) else {
            continue;
        };
        if kind.is_dir() {
            found.push(Entry::Folder(name));
        } else if kind.is_file() {
            // What is gone meanwhile is not there.
            found.extend(entry.metadata().ok().map(|it| Entry::File(name, Plain::of(&it))));
        }
    }
    Ok(found)
}

/// The folder or regular file of this name, as [`entries`] would list it.
pub fn entry(folder: &Path, name: &str) -> Option<Entry> {
    let metadata = std::fs::symlink_metadata(folder.join(name)).ok()?;
    if metadata.is_dir() {
        return Some(Entry::Folder(name.to_owned()));
    }
    metadata.is_file().then(|| Entry::File(name.to_owned(), Plain::of(&metadata)))
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

/// The path with every link resolved.
pub fn resolve(path: &Path) -> Result<PathBuf, FsError> {
    std::fs::canonicalize(path).map_err(failed("resolve", path))
}

/// Creates a folder (and those above it) that only its owner may enter.
pub fn create_private_folder(path: &Path) -> Result<(), FsError> {
    if !path.is_dir() {
        create_folder(path)?;
        set_mode(path, 0o700)?;
    }
    Ok(())
}

/// Reads standard input to its end, at most `limit` bytes.
pub fn read_stdin(limit: u64) -> Result<Vec<u8>, FsError> {
    read_at_most(std::io::stdin().lock(), 0, Path::new("standard input"), limit)
}
