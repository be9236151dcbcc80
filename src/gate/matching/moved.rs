//! Which new file it is that an agent wrote under another name, where nothing
//! but the text tells.
//!
//! A file that is moved before its first commit leaves no rename behind: what
//! was recorded under its old name is of a file that stands nowhere. The new one
//! is recognised by its text, and by much of it: a handful of lines that any
//! file may have proves nothing, and of two that fit alike neither is taken.

use std::collections::{HashMap, HashSet};

use super::super::change::RepoPath;
use super::super::order;
use super::super::trace::TracedEdit;
use super::replay::{Written, longest_row};
use super::{forget_removed, is_telling, key};

/// So few lines are enough where both texts are the same from end to end.
const SAME: usize = 3;
/// So many there must be where they are not: two thirds of what the agent wrote,
/// and half of the new file.
const MOST: usize = 5;
/// With so many, nearly all of what the agent wrote is enough: the file was
/// somebody else's, and is longer.
const MANY: usize = 12;

/// As many lines are looked up.
const WORK: usize = 1 << 24;
/// The most pairs of files that are alike and are told apart.
const PAIRS: usize = 2048;

/// A new file.
#[derive(Clone, Copy, Debug)]
pub struct New<'a> {
    pub path: &'a RepoPath,
    pub content: &'a [u8],
}

/// A file that stands nowhere any more, and its edits, the oldest first.
#[derive(Clone, Debug)]
pub struct Gone<'a> {
    pub path: &'a RepoPath,
    pub edits: Vec<&'a TracedEdit>,
}

/// Finds for each new file the one that it was, by its number in `gone`; each is
/// the origin of one new file at most. `formatted`: see [`super::match_lines`].
pub fn origins(new: &[New<'_>], gone: &[Gone<'_>], formatted: bool) -> Vec<Option<usize>> {
    let known: Vec<Known> = gone.iter().map(|it| Known::of(&it.edits, formatted)).collect();
    let mut pairs = alike(new, gone, &known, formatted);
    order::sort_by_key(&mut pairs, |it| std::cmp::Reverse(it.rank()));
    pairs.truncate(PAIRS);
    let mut origins = vec![None; new.len()];
    let mut open_new = vec![true; new.len()];
    let mut open_gone = vec![true; gone.len()];
    for pair in &pairs {
        if !open_new[pair.new] || !open_gone[pair.gone] {
            continue;
        }
        let equal = |it: &&Pair| it.rank() == pair.rank() && open_new[it.new] && open_gone[it.gone];
        let equal: Vec<&Pair> = pairs.iter().filter(equal).collect();
        let rivals: Vec<&&Pair> = equal.iter().filter(|it| it.new == pair.new).collect();
        let claimants: Vec<usize> =
            equal.iter().filter(|it| it.gone == pair.gone).map(|it| it.new).collect();
        let say_the_same = rivals.iter().all(|it| known[it.gone].who == known[pair.gone].who);
        if !say_the_same || claimants.len() > rivals.len() {
            // Whose it is, or which of them it is, cannot be told.
            claimants.iter().for_each(|it| open_new[*it] = false);
            open_new[pair.new] = false;
            continue;
        }
        origins[pair.new] = Some(pair.gone);
        (open_new[pair.new], open_gone[pair.gone]) = (false, false);
    }
    origins
}

/// A new file and one that is gone, which are alike.
#[derive(Debug)]
struct Pair {
    new: usize,
    gone: usize,
    lines: usize,
    /// How many names at the ends of both paths are the same.
    names: usize,
}

impl Pair {
    fn rank(&self) -> (usize, usize) {
        (self.lines, self.names)
    }
}

/// The pairs that are so much alike that one was the other.
fn alike(new: &[New<'_>], gone: &[Gone<'_>], known: &[Known], formatted: bool) -> Vec<Pair> {
    let mut pairs = Vec::new();
    let mut work = WORK;
    for (at, file) in new.iter().enumerate() {
        let text = String::from_utf8_lossy(file.content);
        let mut places = HashMap::new();
        let telling = single(text.lines(), formatted);
        for (place, key) in telling.iter().enumerate() {
            places.insert(*key, place);
        }
        for (number, known) in known.iter().enumerate() {
            let Some(left) = work.checked_sub(known.count + 1) else { return pairs };
            work = left;
            let in_order = |keys: &Vec<u64>| {
                let found: Vec<usize> =
                    keys.iter().filter_map(|it| places.get(it).copied()).collect();
                longest_row(&found)
            };
            let lines = known.texts.iter().map(in_order).sum();
            if proves(lines, known.count, telling.len()) {
                let names = same_names(file.path, gone[number].path);
                pairs.push(Pair { new: at, gone: number, lines, names });
            }
        }
    }
    pairs
}

/// Whether so many lines, in order, of those that the agent wrote and of those
/// that the new file has prove that it is the agent's.
fn proves(lines: usize, of_agent: usize, of_file: usize) -> bool {
    (lines >= SAME && lines == of_agent && lines == of_file)
        || (lines >= MOST && lines * 3 >= of_agent * 2 && lines * 2 >= of_file)
        || (lines >= MANY && lines * 10 >= of_agent * 9)
}

/// What an agent left in a file that is gone.
#[derive(Debug)]
struct Known {
    /// The keys of its own lines, text by text.
    texts: Vec<Vec<u64>>,
    /// How many they are.
    count: usize,
    /// Agents, sessions and models.
    who: Vec<(String, String, Option<String>)>,
}

impl Known {
    fn of(edits: &[&TracedEdit], formatted: bool) -> Known {
        // What stood there before it was written whole is there no more.
        let whole = edits.iter().rposition(|it| it.old.is_none()).unwrap_or(0);
        let edits = edits.get(whole..).unwrap_or_default();
        let mut written: Vec<Written<'_>> = edits.iter().map(|it| Written::of(it)).collect();
        forget_removed(&mut written);
        let once: HashSet<u64> =
            single(written.iter().flat_map(Written::own_lines), formatted).into_iter().collect();
        let keys = |it: &Written<'_>| {
            let keys = it.own_lines().map(|line| key(line, formatted));
            keys.filter(|it| once.contains(it)).collect::<Vec<u64>>()
        };
        let mut who: Vec<(String, String, Option<String>)> = edits
            .iter()
            .map(|it| (it.agent.clone(), it.session.clone(), it.model.clone()))
            .collect();
        order::sort(&mut who);
        who.dedup();
        Known { texts: written.iter().map(keys).collect(), count: once.len(), who }
    }
}

/// The keys of the lines that prove something and stand there once, in order.
fn single<'a>(lines: impl Iterator<Item = &'a str>, formatted: bool) -> Vec<u64> {
    let keys: Vec<u64> =
        lines.filter(|it| proves_something(it)).map(|it| key(it, formatted)).collect();
    let mut counts: HashMap<u64, usize> = HashMap::new();
    for key in &keys {
        *counts.entry(*key).or_default() += 1;
    }
    keys.into_iter().filter(|it| counts.get(it) == Some(&1)).collect()
}

/// Whether a line is more than what files of a kind begin with: comments,
/// licences, imports.
fn proves_something(line: &str) -> bool {
    const COMMON: [&str; 15] = [
        "//",
        "/*",
        "*",
        "#",
        "--",
        ";",
        "%",
        "<!--",
        "use ",
        "import ",
        "from ",
        "package ",
        "using ",
        "require",
        "namespace ",
    ];
    let line = line.trim_start();
    is_telling(line) && !COMMON.iter().any(|it| line.starts_with(it))
}

fn same_names(one: &RepoPath, other: &RepoPath) -> usize {
    let names = |path: &'_ RepoPath| {
        path.as_bytes().rsplit(|it| *it == b'/').map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    names(one).iter().zip(&names(other)).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(session: &str, old: Option<&str>, new: &str) -> TracedEdit {
        TracedEdit {
            agent: "claude-code".to_owned(),
            session: session.to_owned(),
            model: None,
            time: None,
            cwd: None,
            path: String::new(),
            old: old.map(str::to_owned),
            new: new.to_owned(),
            everywhere: false,
            from: None,
        }
    }

    fn lines(name: &str, numbers: std::ops::Range<usize>) -> String {
        numbers.map(|at| format!("let {name}_{at} = 1;\n")).collect()
    }

    /// `gone`: path, and edits; `expected`: for each new file the path of the one
    /// that it was, or `-`.
    #[track_caller]
    fn check(new: &[(&str, String)], gone: &[(&str, Vec<TracedEdit>)], expected: &str) {
        let paths: Vec<RepoPath> = new.iter().map(|it| RepoPath::new(it.0)).collect();
        let files: Vec<New<'_>> = paths
            .iter()
            .zip(new)
            .map(|(path, (_, content))| New { path, content: content.as_bytes() })
            .collect();
        let old: Vec<RepoPath> = gone.iter().map(|it| RepoPath::new(it.0)).collect();
        let gone: Vec<Gone<'_>> = old
            .iter()
            .zip(gone)
            .map(|(path, (_, edits))| Gone { path, edits: edits.iter().collect() })
            .collect();
        let found = origins(&files, &gone, true);
        let name = |it: &Option<usize>| it.map_or("-".to_owned(), |it| old[it].to_text());
        assert_eq!(found.iter().map(name).collect::<Vec<_>>().join(" "), expected);
    }

    /// One new file `b` and one that is gone, `a`.
    #[track_caller]
    fn check_one(content: &str, edits: Vec<TracedEdit>, expected: bool) {
        let expected = if expected { "a" } else { "-" };
        check(&[("b", content.to_owned())], &[("a", edits)], expected);
    }

    fn wrote(text: &str) -> Vec<TracedEdit> {
        vec![edit("s", None, text)]
    }

    #[test]
    fn a_file_is_known_by_its_text() {
        let text = lines("one", 0..10);
        check_one(&text, wrote(&text), true);
        // A person's lines within, some of the agent's taken away, a formatter.
        let more = text.replace("let one_3", "hers();\n    let one_3").replace("= 1;", "= 1,");
        check_one(&more, wrote(&text), true);
        check_one(&format!("{}{}", lines("one", 2..10), lines("hers", 0..8)), wrote(&text), true);
        // Three lines are enough where they are all that there is.
        check_one(&lines("one", 0..3), wrote(&lines("one", 0..3)), true);
    }

    #[test]
    fn what_any_file_may_have_proves_nothing() {
        let text = lines("one", 0..10);
        // One line; a handful among others; in another order; half of the text.
        check_one(&format!("{}{}", lines("one", 0..1), lines("hers", 0..9)), wrote(&text), false);
        check_one(&format!("{}{}", lines("one", 0..7), lines("hers", 0..8)), wrote(&text), false);
        check_one(&lines("one", 0..6), wrote(&text), false);
        let back: Vec<&str> = text.lines().rev().collect();
        check_one(&back.join("\n"), wrote(&text), false);
        // So little that two may write it.
        check_one(&lines("one", 0..2), wrote(&lines("one", 0..2)), false);
        check_one(&lines("one", 0..4), wrote(&lines("one", 0..5)), false);
        for common in
            ["", "}\n\n}\n", "// a licence of so many words\n", "import os, sys\n", "mod tests;\n"]
        {
            check_one(&common.repeat(20), wrote(&common.repeat(20)), false);
        }
        let licence: String = (0..20).map(|at| format!("// {at} of the licence\n")).collect();
        let hers = format!("{licence}{}", lines("hers", 0..4));
        check_one(&hers, wrote(&format!("{licence}{}", lines("one", 0..4))), false);
        // The same line again and again.
        check_one(&"call_it(1);\n".repeat(30), wrote(&"call_it(1);\n".repeat(30)), false);
        check_one(&text, Vec::new(), false);
    }

    #[test]
    fn what_the_agent_left_counts() {
        let text = lines("one", 0..10);
        let edits = vec![
            edit("s", None, "let first_draft = 0;\nlet other_draft = 0;\n"),
            edit("s", None, &format!("{text}let gone_again = 1;\n")),
            edit("s", Some("let gone_again = 1;\n"), "let instead_of = 2;\n"),
        ];
        check_one(&format!("{text}let instead_of = 2;\n"), edits, true);
        // A person's file, in which the agent wrote much.
        let within =
            vec![edit("s", Some("hers(1);\n"), &format!("hers(1);\n{}", lines("one", 0..14)))];
        let file = format!("{}{}", lines("hers", 0..60), lines("one", 0..14));
        check_one(&file, within.clone(), true);
        check_one(&file.replace("one_3", "two_3").replace("one_4", "two_4"), within, false);
    }

    #[test]
    fn of_two_that_fit_alike_neither_is_taken() {
        let text = lines("one", 0..10);
        let of = |session: &str| vec![edit(session, None, &text)];
        let file = |path: &'static str| (path, text.clone());
        check(&[file("b")], &[("x", of("s")), ("y", of("t"))], "-");
        // The same name says which; and of one session they say the same.
        check(&[file("lib/y")], &[("src/x", of("s")), ("src/y", of("t"))], "src/y");
        check(&[file("b")], &[("x", of("s")), ("y", of("s"))], "x");
        // A copy, and which of them it is.
        check(&[file("b"), file("c")], &[("a", of("s"))], "- -");
        check(&[file("b"), file("lib/a")], &[("a", of("s"))], "- a");
        check(&[file("b"), file("c")], &[("x", of("s")), ("y", of("s"))], "x y");
        // More of the text is better.
        let more = format!("{text}{}", lines("more", 0..3));
        check(&[("b", more.clone())], &[("x", of("s")), ("y", vec![edit("t", None, &more)])], "y");
    }

    #[test]
    fn a_whole_folder_is_known_file_by_file() {
        let name = |folder: &str, at: usize| format!("{folder}/file_{at}.rs");
        let text = |at: usize| format!("{}let own_{at} = {at};\n", lines("same", 0..8));
        let names: Vec<(String, String)> =
            (0..10).map(|at| (name("src/new", at), name("src/old", at))).collect();
        let new: Vec<(&str, String)> =
            names.iter().enumerate().map(|(at, (new, _))| (new.as_str(), text(at))).collect();
        let gone: Vec<(&str, Vec<TracedEdit>)> = names
            .iter()
            .enumerate()
            .map(|(at, (_, old))| (old.as_str(), vec![edit(&at.to_string(), None, &text(at))]))
            .collect();
        let expected: Vec<&str> = names.iter().map(|(_, old)| old.as_str()).collect();
        check(&new, &gone, &expected.join(" "));
    }

    #[test]
    fn hostile_sizes_end() {
        let text = lines("one", 0..40_000);
        let files: Vec<(String, String)> =
            (0..40).map(|at| (format!("n{at}"), text.clone())).collect();
        let new: Vec<(&str, String)> =
            files.iter().map(|(path, text)| (path.as_str(), text.clone())).collect();
        let gone: Vec<(&str, Vec<TracedEdit>)> =
            files.iter().take(20).map(|(path, text)| (path.as_str(), wrote(text))).collect();
        let paths: Vec<RepoPath> = new.iter().map(|it| RepoPath::new(it.0)).collect();
        let new: Vec<New<'_>> = paths
            .iter()
            .zip(&new)
            .map(|(path, (_, text))| New { path, content: text.as_bytes() })
            .collect();
        let gone: Vec<Gone<'_>> = paths
            .iter()
            .zip(&gone)
            .map(|(path, (_, edits))| Gone { path, edits: edits.iter().collect() })
            .collect();
        assert_eq!(origins(&new, &gone, false).len(), 40);
    }
}
