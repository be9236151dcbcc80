//! What files were called before they were moved, as agents' own commands tell.

use super::super::change::RepoPath;
use super::super::time::Timestamp;

/// The most names that one file is followed through.
const NAMES: usize = 32;

/// A file or folder that was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    pub from: RepoPath,
    pub to: RepoPath,
    pub time: Option<Timestamp>,
}

/// The names that a file may have had before these moves, which are in order,
/// the oldest first; with each, when it had that name no more. Whether `to` was
/// a folder that was there already is not known: then both names are meant.
pub fn names_before(path: &RepoPath, moves: &[Move]) -> Vec<(RepoPath, Option<Timestamp>)> {
    let mut names: Vec<(RepoPath, Option<Timestamp>)> = Vec::new();
    for one in moves.iter().rev() {
        let known = names.iter().map(|it| &it.0).chain([path]);
        let before: Vec<RepoPath> = known.flat_map(|name| before(name, one)).collect();
        for name in before {
            if names.len() < NAMES && name != *path && !names.iter().any(|it| it.0 == name) {
                names.push((name, one.time));
            }
        }
    }
    names
}

/// What a file of this name was called before one move, if the move made it.
fn before(name: &RepoPath, one: &Move) -> Vec<RepoPath> {
    let Some(rest) = below(name.as_bytes(), one.to.as_bytes()) else { return Vec::new() };
    let from = one.from.as_bytes();
    let joined = |rest: &[u8]| match rest.is_empty() {
        true => one.from.clone(),
        false => RepoPath::new([from, b"/", rest].concat()),
    };
    let last = from.rsplit(|it| *it == b'/').next().unwrap_or(from);
    let inside = below(rest, last).filter(|_| !rest.is_empty());
    [Some(rest), inside].into_iter().flatten().map(joined).collect()
}

/// What of a path stands behind a folder; nothing for the folder itself.
fn below<'a>(path: &'a [u8], folder: &[u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(folder)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(b"/") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `moves`: `from to`, a second after the other.
    #[track_caller]
    fn check(path: &str, moves: &[&str], expected: &[&str]) {
        let one = |(time, text): (i64, &&str)| {
            let (from, to) = text.split_once(' ').unwrap();
            let (from, to) = (RepoPath::new(from), RepoPath::new(to));
            Move { from, to, time: Some(Timestamp(time)) }
        };
        let moves: Vec<Move> = (1..).zip(moves).map(one).collect();
        let names = names_before(&RepoPath::new(path), &moves);
        let show = |(name, time): &(RepoPath, Option<Timestamp>)| {
            format!("{} {}", name.to_text(), time.unwrap().0)
        };
        assert_eq!(names.iter().map(show).collect::<Vec<_>>(), expected, "{path}");
    }

    #[test]
    fn a_file_is_followed_back() {
        check("b", &["a b"], &["a 1"]);
        check("c", &["a b", "b c"], &["b 2", "a 1"]);
        check("c", &["b c", "a b"], &["b 1"]);
        check("b", &["x y", "a bb", "b a"], &[]);
        check("b", &["b b"], &[]);
    }

    #[test]
    fn a_folder_is_followed_with_all_that_is_in_it() {
        check("src/new/x/y.rs", &["src/old src/new"], &["src/old/x/y.rs 1"]);
        check("lib/a.rs", &["src/a.rs lib"], &["src/a.rs/a.rs 1", "src/a.rs 1"]);
        check("lib/old/y.rs", &["src/old lib"], &["src/old/old/y.rs 1", "src/old/y.rs 1"]);
        check("src/newer/y.rs", &["src/old src/new"], &[]);
    }

    #[test]
    fn names_do_not_grow_without_end() {
        let back: Vec<String> = (0..1000).map(|it| format!("{it}/a lib")).collect();
        let back: Vec<&str> = back.iter().map(String::as_str).collect();
        let one = |text: &&str| {
            let (from, to) = text.split_once(' ').unwrap();
            Move { from: RepoPath::new(from), to: RepoPath::new(to), time: None }
        };
        let moves: Vec<Move> = back.iter().map(one).collect();
        assert_eq!(names_before(&RepoPath::new("lib/a"), &moves).len(), NAMES);
    }
}
