//! Reads the coverage reports that a run left in its checkout.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::checkout::{CheckoutError, Slot};
use super::fs;
use crate::gate::change::{Entry, RepoPath, printable};
use crate::gate::coverage::Reader;
use crate::gate::coverage::lines::Lines;
use crate::gate::coverage::measured::Measured;
use crate::gate::coverage::place::{Tree, placed};
use crate::gate::order;

/// A report with more bytes is not read.
const MAX_REPORT: u64 = 1 << 30;
/// A `go.mod` with more bytes names no module.
const MAX_GO_MOD: u64 = 1 << 20;
/// How many bytes are read at once.
const PIECE: usize = 256 << 10;

/// What the reports say of the files that are checked out; the reason, if one of
/// them cannot be read. `change` are the files whose lines are kept first.
pub fn read(
    slot: &Slot,
    reports: &[PathBuf],
    change: &[RepoPath],
) -> Result<Result<Measured, String>, CheckoutError> {
    let files = slot.entries(|_| true)?;
    let checkout = slot.checkout();
    let mut roots = vec![bytes_of(&checkout)];
    roots.extend(fs::resolve(&checkout).ok().map(|it| bytes_of(&it)));
    let tree = Tree::new(&files, roots, &go_mods(&checkout, &files)?);
    let mut lines: BTreeMap<RepoPath, Lines> = BTreeMap::new();
    let mut unclear = Vec::new();
    let mut formats = BTreeSet::new();
    for path in reports {
        let name = path.strip_prefix(&checkout).unwrap_or(path);
        let report = match report(path) {
            Ok(report) => report,
            Err(why) => return Ok(Err(format!("`{}`: {why}", printable(&name.to_string_lossy())))),
        };
        formats.insert(report.format.word().to_owned());
        let folder = path.strip_prefix(&checkout).ok().and_then(Path::parent).map(bytes_of);
        unclear.extend(placed(report, folder.as_deref(), &tree, &mut lines));
    }
    let change: BTreeSet<&RepoPath> = order::set(change.iter());
    let mut measured = Measured::keep(&lines, &files, &change);
    measured.formats = formats;
    measured.add_unclear(unclear);
    Ok(Ok(measured))
}

/// Reads one report, piece by piece.
fn report(path: &Path) -> Result<crate::gate::coverage::Report, String> {
    let place = fs::resolve(path).map_err(|error| error.to_string())?;
    let (file, plain) = fs::open_plain(&place).map_err(|error| error.to_string())?;
    if plain.size > MAX_REPORT {
        return Err(format!("it has more than {MAX_REPORT} bytes"));
    }
    let mut file = file.take(MAX_REPORT);
    let mut reader = Reader::default();
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return reader.finish().map_err(|error| error.to_string()),
            Ok(length) => reader.feed(&piece[..length]).map_err(|error| error.to_string())?,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// The Go modules of the tree.
fn go_mods(
    checkout: &Path,
    files: &BTreeMap<RepoPath, Entry>,
) -> Result<Vec<(RepoPath, Vec<u8>)>, CheckoutError> {
    let is_module =
        |path: &RepoPath| path.as_bytes() == b"go.mod" || path.as_bytes().ends_with(b"/go.mod");
    let regular = files.iter().filter(|(_, entry)| entry.mode & 0o170_000 == 0o100_000);
    let mut modules = Vec::new();
    for (path, _) in regular.filter(|(path, _)| is_module(path)) {
        let Ok(below) = std::str::from_utf8(path.as_bytes()) else { continue };
        let bytes = fs::read(&checkout.join(below), MAX_GO_MOD)?;
        modules.push((path.clone(), bytes.unwrap_or_default()));
    }
    Ok(modules)
}

fn bytes_of(path: &Path) -> Vec<u8> {
    path.as_os_str().as_encoded_bytes().to_vec()
}
