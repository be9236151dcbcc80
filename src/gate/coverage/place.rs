//! Which file of the repository a report's name means.
//!
//! Tools write absolute paths, paths relative to where they ran, paths relative
//! to a source folder, packages and imports. A name is only taken where one
//! reading is left: what could be two files is neither, since the coverage of
//! the wrong file would be worse than none.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::lines::Lines;
use super::{Format, Report};
use crate::gate::change::{Entry, RepoPath};
use crate::gate::order;

/// The tree that was tested, as far as names of files go.
#[derive(Debug)]
pub struct Tree<'a> {
    files: &'a BTreeMap<RepoPath, Entry>,
    /// The absolute path of the checkout, in every spelling, without a final slash.
    roots: Vec<Vec<u8>>,
    /// Folders with a `go.mod` (empty, or with a final slash), and the modules' paths.
    modules: Vec<(Vec<u8>, Vec<u8>)>,
    /// Files by their last name.
    by_name: OnceCell<HashMap<&'a [u8], Vec<&'a RepoPath>>>,
}

/// What a name means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placed {
    At(RepoPath),
    /// No file of the tree: a dependency, or a generated file.
    Outside,
    /// Which file it is cannot be told; the reason.
    Unclear(String),
}

/// What is read of a report's name.
enum Name {
    /// Below the checkout, or below the folder that the tool ran in.
    Inside(Vec<u8>),
    Relative(Vec<u8>),
    /// An absolute path elsewhere: another machine's, or a container's.
    Elsewhere(Vec<u8>),
}

impl<'a> Tree<'a> {
    /// The regular files of a tree, where they are checked out, and its Go
    /// modules (the path of each `go.mod` with its content).
    pub fn new(
        files: &'a BTreeMap<RepoPath, Entry>,
        roots: Vec<Vec<u8>>,
        go_mods: &[(RepoPath, Vec<u8>)],
    ) -> Tree<'a> {
        let module = |(path, content): &(RepoPath, Vec<u8>)| {
            let folder = path.as_bytes().strip_suffix(b"go.mod")?.to_vec();
            let name = content.split(|it| *it == b'\n').find_map(|line| {
                let line = line.trim_ascii().strip_prefix(b"module")?;
                let name = line.split(|it| it.is_ascii_whitespace()).find(|it| !it.is_empty())?;
                Some(name.iter().copied().filter(|it| !matches!(it, b'"' | b'`')).collect())
            })?;
            Some((folder, name))
        };
        let modules = go_mods.iter().filter_map(module).collect();
        let roots = roots.into_iter().map(|root| forward(&root)).collect();
        Tree { files, roots, modules, by_name: OnceCell::new() }
    }

    /// The file at a path, if it is a regular file of the tree.
    fn at(&self, path: &[u8]) -> Option<RepoPath> {
        let path = RepoPath::new(normal(path)?);
        self.files.get(&path).filter(|entry| entry.mode & 0o170_000 == 0o100_000)?;
        Some(path)
    }

    /// Files of the tree whose path ends with `name`, at a component's border.
    fn ending_with(&self, name: &[u8]) -> Vec<&'a RepoPath> {
        let Some(name) = normal(name) else { return Vec::new() };
        self.named(last_name(&name))
            .iter()
            .copied()
            .filter(|path| is_tail(path.as_bytes(), &name))
            .collect()
    }

    fn named(&self, last: &[u8]) -> &[&'a RepoPath] {
        let index = self.by_name.get_or_init(|| {
            let mut index: HashMap<&[u8], Vec<&RepoPath>> = HashMap::new();
            let regular = self.files.iter().filter(|(_, it)| it.mode & 0o170_000 == 0o100_000);
            for (path, _) in regular {
                index.entry(last_name(path.as_bytes())).or_default().push(path);
            }
            index
        });
        index.get(last).map(Vec::as_slice).unwrap_or_default()
    }

    /// The part of a path below the checkout.
    fn below_root(&self, path: &[u8]) -> Option<Vec<u8>> {
        self.roots.iter().find_map(|root| {
            let rest = path.strip_prefix(root.as_slice())?;
            if rest.is_empty() {
                return Some(Vec::new());
            }
            rest.strip_prefix(b"/").map(<[u8]>::to_vec)
        })
    }

    fn read(&self, name: &[u8]) -> Name {
        let name = if self.at(name).is_some() { name.to_vec() } else { forward(name) };
        match (is_absolute(&name), self.below_root(&name)) {
            (true, Some(inside)) => Name::Inside(inside),
            (true, None) => Name::Elsewhere(name),
            (false, _) => Name::Relative(name),
        }
    }
}

/// Which file each of a report's names means, in the report's order. `folder` is
/// the folder in which the report lay, below the repository's root; `None`: it
/// lay elsewhere.
pub fn place(report: &Report, folder: Option<&[u8]>, tree: &Tree<'_>) -> Vec<Placed> {
    let names = report.files.iter().map(|(name, _)| name.as_slice());
    match report.format {
        Format::Jacoco => names.map(|name| by_tail(tree, name)).collect(),
        Format::Go => names.map(|name| by_module(tree, name)).collect(),
        Format::Lcov
        | Format::Cobertura
        | Format::CoveragePy
        | Format::Llvm
        | Format::Istanbul
        | Format::SimpleCov
        | Format::OpenCover
        | Format::Coverlet => by_folders(report, folder, tree),
    }
}

/// Puts a report's lines together by file of the repository. The second part
/// names what could not be placed, with its reason.
pub fn placed(
    report: Report,
    folder: Option<&[u8]>,
    tree: &Tree<'_>,
    into: &mut BTreeMap<RepoPath, Lines>,
) -> Vec<(Vec<u8>, String)> {
    let places = place(&report, folder, tree);
    let mut unclear = Vec::new();
    for ((name, lines), place) in report.files.into_iter().zip(places) {
        match place {
            Placed::At(path) => match into.get_mut(&path) {
                Some(known) => known.merge(&lines),
                None => drop(into.insert(path, lines)),
            },
            Placed::Outside => {}
            Placed::Unclear(why) => unclear.push((name, why)),
        }
    }
    unclear
}

/// A package and a file: the only one that ends so.
fn by_tail(tree: &Tree<'_>, name: &[u8]) -> Placed {
    match tree.ending_with(&forward(name)).as_slice() {
        [] => Placed::Outside,
        [one] => Placed::At((*one).clone()),
        [one, other, ..] => Placed::Unclear(two_files(one, other)),
    }
}

/// An import path: the longest module that begins it.
fn by_module(tree: &Tree<'_>, name: &[u8]) -> Placed {
    let rest = |module: &[u8]| Some(name.strip_prefix(module)?.strip_prefix(b"/")?.to_vec());
    let modules = tree.modules.iter().filter_map(|(folder, module)| {
        Some((module.len(), [folder.as_slice(), &rest(module)?].concat()))
    });
    let longest = modules.clone().map(|(length, _)| length).max();
    let places: BTreeSet<RepoPath> = order::set(
        modules
            .filter(|(length, _)| Some(*length) == longest)
            .filter_map(|(_, path)| tree.at(&path)),
    );
    let mut places = places.into_iter();
    match (places.next(), places.next()) {
        (Some(one), Some(other)) => Placed::Unclear(two_files(&one, &other)),
        (Some(one), None) => Placed::At(one),
        (None, _) => match tree.read(name) {
            Name::Inside(path) | Name::Relative(path) => {
                tree.at(&path).map_or(Placed::Outside, Placed::At)
            }
            Name::Elsewhere(_) => Placed::Outside,
        },
    }
}

fn two_files(one: &RepoPath, other: &RepoPath) -> String {
    format!("it could be {} or {}", one.to_display(), other.to_display())
}

/// Paths: absolute ones below the checkout, relative ones below one of the
/// folders that the report names, or below the one folder that explains them all.
fn by_folders(report: &Report, folder: Option<&[u8]>, tree: &Tree<'_>) -> Vec<Placed> {
    let names: Vec<Name> = report.files.iter().map(|(name, _)| tree.read(name)).collect();
    let known = known_folders(report, folder, tree);
    // A report was written in one place, so what one folder explains wholly is
    // believed before what it explains in part.
    let guessed = report.sources.is_empty();
    let whole: Vec<&Vec<u8>> = known
        .iter()
        .filter(|base| {
            guessed
                && names.iter().all(|name| match name {
                    Name::Relative(path) => {
                        tree.at(&joined(base, path)).is_some()
                            || known.iter().all(|other| tree.at(&joined(other, path)).is_none())
                    }
                    Name::Inside(_) | Name::Elsewhere(_) => true,
                })
        })
        .collect();
    let mut places: Vec<Placed> = Vec::with_capacity(names.len());
    for name in &names {
        places.push(match name {
            Name::Inside(path) => tree.at(path).map_or(Placed::Outside, Placed::At),
            Name::Elsewhere(_) => Placed::Outside,
            Name::Relative(path) => below_one(tree, known.iter(), whole.iter().copied(), path),
        });
    }
    let any = places.iter().any(|it| matches!(it, Placed::At(_) | Placed::Unclear(_)));
    if !any {
        by_common_folder(tree, &names, &mut places);
    }
    places
}

/// The folders that relative names may lie below: what the report names, else
/// the folders around the report.
fn known_folders(report: &Report, folder: Option<&[u8]>, tree: &Tree<'_>) -> Vec<Vec<u8>> {
    let mut folders = Vec::new();
    for source in &report.sources {
        let source = forward(source);
        let inside = if is_absolute(&source) { tree.below_root(&source) } else { Some(source) };
        folders.extend(inside.and_then(|it| normal(&it)));
    }
    if folders.is_empty() {
        folders.push(Vec::new());
        let mut folder = folder.unwrap_or_default();
        while !folder.is_empty() {
            folders.push(folder.to_vec());
            folder = memchr::memrchr(b'/', folder).map_or(&[][..], |at| &folder[..at]);
        }
    } else if !folders.contains(&Vec::new()) && folders.iter().all(|it| !tree.has_any(it)) {
        folders.push(Vec::new());
    }
    order::sort(&mut folders);
    folders.dedup();
    folders
}

impl Tree<'_> {
    /// Whether any file lies below a folder.
    fn has_any(&self, folder: &[u8]) -> bool {
        let beginning = [folder, b"/"].concat();
        let from = RepoPath::new(beginning.clone());
        let next = self.files.range(from..).next();
        folder.is_empty() || next.is_some_and(|(path, _)| path.as_bytes().starts_with(&beginning))
    }
}

fn below_one<'f>(
    tree: &Tree<'_>,
    known: impl Iterator<Item = &'f Vec<u8>>,
    whole: impl Iterator<Item = &'f Vec<u8>>,
    path: &[u8],
) -> Placed {
    let found: BTreeSet<RepoPath> =
        order::set(known.filter_map(|base| tree.at(&joined(base, path))));
    let best: BTreeSet<RepoPath> =
        order::set(whole.filter_map(|base| tree.at(&joined(base, path))));
    let mut files = found.iter();
    match (files.next(), files.next(), best.len()) {
        (None, _, _) => Placed::Outside,
        (Some(one), None, _) => Placed::At(one.clone()),
        (Some(_), Some(_), 1) => best.into_iter().next().map_or(Placed::Outside, Placed::At),
        (Some(one), Some(other), _) => Placed::Unclear(two_files(one, other)),
    }
}

/// A report of which no name could be placed was written elsewhere: in a
/// container, or below a folder that it does not name. Where one folder there
/// stands for one folder here, whatever name is asked, it is that one.
fn by_common_folder(tree: &Tree<'_>, names: &[Name], places: &mut [Placed]) {
    /// What the names begin with there, and with what they begin here instead.
    type Mapping = (Vec<u8>, Vec<u8>);
    let mut common: Option<BTreeSet<Mapping>> = None;
    let mut mapped: Vec<(usize, BTreeSet<Mapping>)> = Vec::new();
    for (number, name) in names.iter().enumerate() {
        let (path, mappings): (&[u8], BTreeSet<Mapping>) = match name {
            Name::Inside(_) => continue,
            // A shorter name here: what is in front of it there is taken away.
            Name::Elsewhere(path) => {
                let tails = (1..path.len()).filter(|at| path[at - 1] == b'/');
                let mappings = tails.filter(|at| tree.at(&path[*at..]).is_some());
                (path, mappings.map(|at| (path[..at].to_vec(), Vec::new())).collect())
            }
            // A longer name here.
            Name::Relative(path) => {
                let fits = tree.ending_with(path);
                let length = normal(path).unwrap_or_default().len();
                let front = |it: &&RepoPath| it.as_bytes()[..it.as_bytes().len() - length].to_vec();
                (path, fits.iter().map(|it| (Vec::new(), front(it))).collect())
            }
        };
        if mappings.is_empty() || path.is_empty() {
            continue;
        }
        common = Some(match common {
            None => mappings.clone(),
            Some(common) => common.intersection(&mappings).cloned().collect(),
        });
        mapped.push((number, mappings));
    }
    let common: Vec<Mapping> = common.unwrap_or_default().into_iter().collect();
    for (number, mappings) in mapped {
        let path = match &names[number] {
            Name::Inside(path) | Name::Relative(path) | Name::Elsewhere(path) => path,
        };
        places[number] = match common.as_slice() {
            [(there, here)] => {
                let rest = normal(&path[there.len()..]).unwrap_or_default();
                tree.at(&[here.as_slice(), &rest].concat()).map_or(Placed::Outside, Placed::At)
            }
            _ => Placed::Unclear(format!(
                "it lies outside the checkout, and could be {} of its files",
                mappings.len()
            )),
        };
    }
}

fn joined(base: &[u8], path: &[u8]) -> Vec<u8> {
    if base.is_empty() { path.to_vec() } else { [base, b"/", path].concat() }
}

/// A path without `.`, `..` and empty components; `None`: it leads outside.
fn normal(path: &[u8]) -> Option<Vec<u8>> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join(&b'/'))
}

/// Windows' separators as git's.
fn forward(path: &[u8]) -> Vec<u8> {
    path.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect()
}

fn is_absolute(path: &[u8]) -> bool {
    match path {
        [b'/', ..] => true,
        [drive, b':', b'/', ..] => drive.is_ascii_alphabetic(),
        _ => false,
    }
}

fn last_name(path: &[u8]) -> &[u8] {
    memchr::memrchr(b'/', path).map_or(path, |at| &path[at + 1..])
}

fn is_tail(path: &[u8], tail: &[u8]) -> bool {
    path.strip_suffix(tail).is_some_and(|front| front.is_empty() || front.ends_with(b"/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::change::Oid;

    fn tree(paths: &[&str]) -> BTreeMap<RepoPath, Entry> {
        let entry = Entry { mode: 0o100_644, oid: Oid::parse(&"1".repeat(40)).unwrap() };
        paths.iter().map(|path| (RepoPath::new(*path), entry.clone())).collect()
    }

    /// Each name and what it means: a path, `-` for none, `?` for unclear.
    #[track_caller]
    fn check(
        format: Format,
        (paths, sources, folder): (&[&str], &[&str], Option<&str>),
        expected: &[(&str, &str)],
    ) {
        let files = tree(paths);
        let go_mods = [
            (RepoPath::new("go.mod"), b"// x\nmodule example.com/shop // the shop\n".to_vec()),
            (RepoPath::new("tools/go.mod"), b"module \"example.com/shop/tools\"\n".to_vec()),
        ];
        let roots = vec![b"/home/ana/co".to_vec(), b"C:\\co".to_vec()];
        let tree = Tree::new(&files, roots, &go_mods);
        let names = expected.iter().map(|(name, _)| (name.as_bytes().to_vec(), Lines::default()));
        let sources = sources.iter().map(|it| it.as_bytes().to_vec()).collect();
        let report = Report { format, files: names.collect(), sources };
        let found = place(&report, folder.map(str::as_bytes), &tree);
        let found: Vec<(&str, String)> = expected
            .iter()
            .zip(found)
            .map(|((name, _), place)| match place {
                Placed::At(path) => (*name, path.to_text()),
                Placed::Outside => (*name, "-".to_owned()),
                Placed::Unclear(_) => (*name, "?".to_owned()),
            })
            .collect();
        let found: Vec<(&str, &str)> = found.iter().map(|(a, b)| (*a, b.as_str())).collect();
        assert_eq!(found, expected);
    }

    const SHOP: &[&str] =
        &["src/a.py", "src/b/a.py", "b.py", "pkg/src/a.py", "pkg/c.py", "tools/m/x.go", "m/x.go"];

    #[test]
    fn absolute_paths_lie_below_the_checkout() {
        check(
            Format::Lcov,
            (SHOP, &[], None),
            &[
                ("/home/ana/co/src/a.py", "src/a.py"),
                ("/home/ana/co/src/../b.py", "b.py"),
                ("C:\\co\\pkg\\c.py", "pkg/c.py"),
                ("/home/ana/co/gen/z.py", "-"),
                ("/home/ana/co2/src/a.py", "-"),
                ("/home/ana/co", "-"),
                ("/usr/lib/b.py", "-"),
            ],
        );
    }

    #[test]
    fn relative_paths_lie_below_the_sources() {
        let names = [("a.py", "src/a.py"), ("b/a.py", "src/b/a.py"), ("c.py", "-")];
        check(Format::Cobertura, (SHOP, &["/home/ana/co/src"], None), &names);
        let both = [("a.py", "?"), ("b/a.py", "src/b/a.py")];
        check(Format::Cobertura, (SHOP, &["/home/ana/co/src", "pkg/src", "pkg"], None), &both);
    }

    #[test]
    fn relative_paths_lie_around_the_report() {
        check(
            Format::Lcov,
            (SHOP, &[], Some("pkg/coverage")),
            &[("src/a.py", "pkg/src/a.py"), ("c.py", "pkg/c.py")],
        );
        check(Format::Lcov, (SHOP, &[], Some("pkg/coverage")), &[("src/a.py", "?")]);
        check(Format::Lcov, (SHOP, &[], Some("coverage")), &[("./src/a.py", "src/a.py")]);
    }

    #[test]
    fn a_container_s_folder_is_found_where_it_is_the_only_one() {
        let names = [("/app/src/a.py", "src/a.py"), ("/app/b.py", "b.py"), ("/lib/z.py", "-")];
        check(Format::Lcov, (SHOP, &[], None), &names);
        check(Format::Lcov, (&["src/a.py", "a.py"], &[], None), &[("/app/src/a.py", "?")]);
        // What is inside speaks for the others as well.
        let names = [("src/a.py", "src/a.py"), ("/app/b.py", "-")];
        check(Format::Lcov, (SHOP, &[], None), &names);
        check(Format::Cobertura, (SHOP, &["/app"], None), &[("b/a.py", "src/b/a.py")]);
    }

    #[test]
    fn packages_and_imports() {
        let java = ["core/src/main/java/x/A.java", "web/src/main/java/x/B.java", "w/x/B.java"];
        let names = [
            ("x/A.java", "core/src/main/java/x/A.java"),
            ("x/B.java", "?"),
            ("A.java", "core/src/main/java/x/A.java"),
        ];
        check(Format::Jacoco, (&java, &[], None), &names);
        check(
            Format::Go,
            (SHOP, &[], None),
            &[
                ("example.com/shop/m/x.go", "m/x.go"),
                ("example.com/shop/tools/m/x.go", "tools/m/x.go"),
                ("example.com/shops/m/x.go", "-"),
                ("/home/ana/co/m/x.go", "m/x.go"),
            ],
        );
    }
}
