//! Which commits of a range touched which files, and where its lines came from.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead, Read};

use super::trees::Trees;
use super::{Call, Git, GitError, objects, unexpected};
use crate::gate::change::{Commit, LineRange, Oid, RepoPath};
use crate::gate::order;

/// The longest record that git prints here: a path of its own limit, quoted.
const RECORD_LIMIT: u64 = 256 << 10;

/// The files that each commit changed.
type Touched = BTreeMap<Oid, Vec<RepoPath>>;

/// A commit, and the trees of its one parent and its own where both are known.
type Asked<'a> = (&'a Oid, Trees<'a>);

/// Of as many commits git compares one half, while we compare the other.
const MANY: usize = 256;

impl Git {
    /// Returns the files that each of these commits changed, with one process at
    /// most for every half of them. A merge touches only what it has differently from every one of
    /// its parents; whatever equals one of them came with that parent's commits.
    /// `known` are commits that were read before: where they tell both trees, these
    /// are compared in process, and git need not read the commits again.
    pub fn touched_by(&self, commits: &[Oid], known: &[Commit]) -> Result<Touched, GitError> {
        let known: HashMap<&Oid, &Commit> = known.iter().map(|it| (&it.id, it)).collect();
        let asked: Vec<Asked<'_>> = commits.iter().map(|id| (id, trees(id, &known))).collect();
        if asked.len() < MANY {
            return self.touched_in_process(&asked);
        }
        let (here, there) = asked.split_at(asked.len() / 2);
        std::thread::scope(|scope| {
            let there = scope.spawn(|| self.touched_as_git_says(there));
            let mut touched = self.touched_in_process(here)?;
            touched.extend(there.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            Ok(touched)
        })
    }

    /// Whatever cannot be told in process, git is asked.
    fn touched_in_process(&self, asked: &[Asked<'_>]) -> Result<Touched, GitError> {
        let pairs: Vec<Trees<'_>> = asked.iter().map(|(_, trees)| *trees).collect();
        let (mut touched, mut left) = (Touched::new(), Vec::new());
        for (question, paths) in asked.iter().zip(self.paths_between(&pairs)) {
            match paths {
                Some(paths) => drop(touched.insert(question.0.clone(), paths)),
                None => left.push(*question),
            }
        }
        touched.extend(self.touched_as_git_says(&left)?);
        Ok(touched)
    }

    fn touched_as_git_says(&self, asked: &[Asked<'_>]) -> Result<Touched, GitError> {
        let mut touched = Touched::new();
        if asked.is_empty() {
            return Ok(touched);
        }
        let question = |(commit, trees): &Asked<'_>| match trees {
            Some((old, new)) => format!("{old} {new}\n"),
            None => format!("{commit}\n"),
        };
        let call = self
            .call()
            .args(["diff-tree", "--stdin", "-r", "-z", "-c", "--root", "--always", "--raw"])
            .args(["--no-renames", "--no-relative", "--no-color", "--ignore-submodules=none"])
            .stdin(asked.iter().map(question).collect::<String>());
        self.stream(call.clone(), |reader| {
            for it in asked {
                // Two trees are answered by a line, a commit by a word. What names
                // neither is left out by git without an error.
                let end = if it.1.is_some() { b'\n' } else { 0 };
                let answered = next_record(reader, end, &call)?;
                if answered.as_deref() != Some(question(it).trim_end().as_bytes()) {
                    return Err(unexpected(&call, format!("no answer for {}", it.0)));
                }
                touched.insert(it.0.clone(), next_paths(reader, &call)?);
            }
            match next_record(reader, 0, &call)? {
                Some(_) => Err(unexpected(&call, "more than was asked for")),
                None => Ok(()),
            }
        })?;
        Ok(touched)
    }

    /// Returns the files that each commit moved, as `(from, to)`: one process
    /// for all of them. Merges move nothing of their own.
    pub fn renames(
        &self,
        commits: &[Oid],
    ) -> Result<BTreeMap<Oid, Vec<(RepoPath, RepoPath)>>, GitError> {
        let mut renames: BTreeMap<Oid, Vec<_>> = BTreeMap::new();
        if commits.is_empty() {
            return Ok(renames);
        }
        let input: String = commits.iter().map(|commit| format!("{commit}\n")).collect();
        let call = self
            .call()
            .args(["diff-tree", "--stdin", "-r", "-z", "--raw", "-M", "--diff-filter=R"])
            .args(["--no-relative", "--no-color", "--ignore-submodules=none"])
            .stdin(input);
        self.stream(call.clone(), |reader| {
            let mut commit = None;
            // `<commit> NUL`, then for each file `:<modes, ids and status> NUL <from> NUL <to> NUL`.
            while let Some(record) = next_record(reader, 0, &call)? {
                if !record.starts_with(b":") {
                    commit = std::str::from_utf8(&record).ok().and_then(Oid::parse);
                    continue;
                }
                let (from, to) = (next_record(reader, 0, &call)?, next_record(reader, 0, &call)?);
                let (Some(commit), Some(from), Some(to)) = (&commit, from, to) else {
                    return Err(unexpected(&call, "a rename of no commit"));
                };
                let moved = (RepoPath::new(from), RepoPath::new(to));
                renames.entry(commit.clone()).or_default().push(moved);
            }
            Ok(())
        })?;
        Ok(renames)
    }

    /// Returns the files that the index has moved since HEAD, as `(from, to)`.
    pub fn staged_renames(&self) -> Result<Vec<(RepoPath, RepoPath)>, GitError> {
        let Some(head) = &self.layout().head else { return Ok(Vec::new()) };
        let call = self
            .call()
            .args(["diff-index", "--cached", "-z", "--raw", "-M", "--diff-filter=R"])
            .args(["--no-relative", "--no-color", "--ignore-submodules=none", head.as_str(), "--"]);
        let mut renames = Vec::new();
        self.stream(call.clone(), |reader| {
            while next_record(reader, 0, &call)?.is_some() {
                let (from, to) = (next_record(reader, 0, &call)?, next_record(reader, 0, &call)?);
                let (Some(from), Some(to)) = (from, to) else {
                    return Err(unexpected(&call, "a rename without its names"));
                };
                renames.push((RepoPath::new(from), RepoPath::new(to)));
            }
            Ok(())
        })?;
        Ok(renames)
    }

    /// Returns the lines of a file at `head` that came in with `base..head`
    /// (`base`: a commit, or the empty tree), each with the commit that brought
    /// it, ascending. Lines older than `base` are left out.
    pub fn blame(
        &self,
        path: &RepoPath,
        base: &Oid,
        head: &Oid,
    ) -> Result<Vec<(LineRange, Oid)>, GitError> {
        // An empty name clears the lists of commits to be ignored that
        // configuration may hold.
        let mut call = self
            .call()
            .args(["blame", "--incremental", "--root", "--no-textconv", "--no-progress"])
            .args(["--diff-algorithm=myers", "--ignore-revs-file="]);
        if *base != self.empty_tree() {
            call = call.arg(format!("^{base}"));
        }
        // git reads the path from where it was started.
        let from_here = [self.up.as_bytes(), path.as_bytes()].concat();
        let call = call.args([head.as_str(), "--"]).arg(objects::os_path(&from_here));
        let mut lines = Vec::new();
        self.stream(call.clone(), |reader| {
            // git tells of each commit once only whether it lies before the range.
            let mut before = BTreeSet::new();
            while let Some(origin) = next_origin(reader, &call)? {
                if origin.boundary {
                    before.insert(origin.commit.clone());
                }
                if !before.contains(&origin.commit) {
                    lines.push((origin.range, origin.commit));
                }
            }
            Ok(())
        })?;
        order::sort(&mut lines);
        Ok(lines)
    }
}

/// The trees of a commit's one parent and its own, where both are known.
fn trees<'k>(commit: &Oid, known: &HashMap<&Oid, &'k Commit>) -> Trees<'k> {
    let commit = known.get(commit)?;
    let [parent] = commit.parents.as_slice() else { return None };
    Some((&known.get(parent)?.tree, &commit.tree))
}

/// Reads the files of one answer: for each, `:<modes and ids> NUL <path> NUL`.
fn next_paths(reader: &mut dyn BufRead, call: &Call) -> Result<Vec<RepoPath>, GitError> {
    let mut paths = Vec::new();
    loop {
        let next = reader.fill_buf().map_err(|error| unexpected(call, error.to_string()))?;
        if next.first() != Some(&b':') {
            return Ok(paths);
        }
        next_record(reader, 0, call)?;
        let path = next_record(reader, 0, call)?;
        let path = path.ok_or_else(|| unexpected(call, "a file without a path"))?;
        paths.push(RepoPath::new(path));
    }
}

/// Some lines and where they came from.
struct Origin {
    range: LineRange,
    commit: Oid,
    /// The commit lies before the range.
    boundary: bool,
}

/// Reads one origin: `<commit> <line there> <line here> <count>`, further
/// headers, and last `filename …`.
fn next_origin(reader: &mut dyn BufRead, call: &Call) -> Result<Option<Origin>, GitError> {
    let Some(line) = next_record(reader, b'\n', call)? else { return Ok(None) };
    let text = String::from_utf8_lossy(&line);
    let mut origin = parse_origin(&text).ok_or_else(|| unexpected(call, text.clone()))?;
    while let Some(header) = next_record(reader, b'\n', call)? {
        origin.boundary |= header == b"boundary";
        if header.starts_with(b"filename ") {
            return Ok(Some(origin));
        }
    }
    Err(unexpected(call, "an origin that ends early"))
}

fn parse_origin(line: &str) -> Option<Origin> {
    let mut words = line.split(' ');
    let commit = Oid::parse(words.next()?)?;
    words.next()?;
    let start: u64 = words.next()?.parse().ok()?;
    let count: u64 = words.next()?.parse().ok()?;
    let range = LineRange { start, end: start.checked_add(count)?.checked_sub(1)? };
    (start > 0 && count > 0).then_some(Origin { range, commit, boundary: false })
}

fn next_record(
    reader: &mut dyn BufRead,
    end: u8,
    call: &Call,
) -> Result<Option<Vec<u8>>, GitError> {
    let mut record = Vec::new();
    (&mut *reader)
        .take(RECORD_LIMIT)
        .read_until(end, &mut record)
        .map_err(|error| unexpected(call, error.to_string()))?;
    match record.pop() {
        None => Ok(None),
        Some(last) if last == end => Ok(Some(record)),
        Some(_) => Err(unexpected(call, "a record that ends early")),
    }
}
