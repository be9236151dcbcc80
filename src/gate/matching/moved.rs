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
use super::super::told::{
    self,
    lines::{Mark, Told},
};
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

/// What a line is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Its text.
    Exact,
    /// Its text but for its form, see [`super::match_lines`].
    Formatted,
    /// What is kept of it where a hook told of it.
    Told,
}

impl Keys {
    fn of(self, line: &str) -> u64 {
        match self {
            Keys::Exact => key(line, false),
            Keys::Formatted => key(line, true),
            Keys::Told => told::lines::Key::of(line).loose(),
        }
    }
}

/// A file that stands nowhere any more: what an agent left in it.
#[derive(Clone, Debug)]
pub struct Gone<'a> {
    /// Its name, where that is known.
    path: Option<&'a RepoPath>,
    /// The keys of the agent's own lines, text by text.
    texts: Vec<Vec<u64>>,
    /// How many they are.
    count: usize,
    /// Agents, sessions and models.
    who: Vec<(&'a str, &'a str, Option<&'a str>)>,
}

/// Finds for each new file the one that it was, by its number in `gone`; each is
/// the origin of one new file at most. All are known by the same `keys`.
pub fn origins(new: &[New<'_>], gone: &[Gone<'_>], keys: Keys) -> Vec<Option<usize>> {
    let mut pairs = alike(new, gone, keys);
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
        let say_the_same = rivals.iter().all(|it| gone[it.gone].who == gone[pair.gone].who);
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
fn alike(new: &[New<'_>], gone: &[Gone<'_>], keys: Keys) -> Vec<Pair> {
    let mut pairs = Vec::new();
    let mut work = WORK;
    for (at, file) in new.iter().enumerate() {
        let text = String::from_utf8_lossy(file.content);
        let mut places = HashMap::new();
        let telling = single(text.lines(), keys);
        for (place, key) in telling.iter().enumerate() {
            places.insert(*key, place);
        }
        for (number, gone) in gone.iter().enumerate() {
            let Some(left) = work.checked_sub(gone.count + 1) else { return pairs };
            work = left;
            let in_order = |keys: &Vec<u64>| {
                let found: Vec<usize> =
                    keys.iter().filter_map(|it| places.get(it).copied()).collect();
                longest_row(&found)
            };
            let lines = gone.texts.iter().map(in_order).sum();
            if proves(lines, gone.count, telling.len()) {
                let names = gone.path.map_or(0, |path| same_names(file.path, path));
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

impl<'a> Gone<'a> {
    /// A file of which agents' own records tell: its edits, the oldest first.
    pub fn recorded(path: &'a RepoPath, edits: &[&'a TracedEdit], keys: Keys) -> Gone<'a> {
        // What stood there before it was written whole is there no more.
        let whole = edits.iter().rposition(|it| it.old.is_none()).unwrap_or(0);
        let edits = edits.get(whole..).unwrap_or_default();
        let mut written: Vec<Written<'_>> = edits.iter().map(|it| Written::of(it)).collect();
        forget_removed(&mut written);
        let once: HashSet<u64> =
            single(written.iter().flat_map(Written::own_lines), keys).into_iter().collect();
        let keys = |it: &Written<'_>| {
            let keys = it.own_lines().map(|line| keys.of(line));
            keys.filter(|it| once.contains(it)).collect::<Vec<u64>>()
        };
        let texts = written.iter().map(keys).collect();
        let who = edits.iter().map(|it| (&*it.agent, &*it.session, it.model.as_deref()));
        Gone { path: Some(path), texts, count: once.len(), who: distinct(who.collect()) }
    }

    /// A file of which hooks told: its edits, the oldest first. Which of its
    /// lines prove something is not known, so all that stand there once count.
    pub fn told(edits: &[&'a Told]) -> Gone<'a> {
        let mut texts: Vec<Vec<u64>> = Vec::new();
        // What a later edit has, or took away, is no longer the earlier one's.
        let mut later: HashSet<u64> = HashSet::new();
        for edit in edits.iter().rev() {
            let lines = told::lines::read(&edit.lines).unwrap_or_default();
            let of =
                |wanted: Mark| lines.iter().filter(move |it| it.0 == wanted).map(|it| it.1.loose());
            let once = only_once(of(Mark::Added).collect());
            texts.push(once.into_iter().filter(|it| !later.contains(it)).collect());
            later.extend(of(Mark::Added).chain(of(Mark::Removed)));
        }
        let count = texts.iter().map(Vec::len).sum();
        let who = edits.iter().map(|it| (&*it.agent, &*it.session, it.model.as_deref()));
        Gone { path: None, texts, count, who: distinct(who.collect()) }
    }
}

fn distinct<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    order::sort(&mut items);
    items.dedup();
    items
}

/// The keys of the lines that prove something and stand there once, in order.
fn single<'a>(lines: impl Iterator<Item = &'a str>, keys: Keys) -> Vec<u64> {
    only_once(lines.filter(|it| proves_something(it)).map(|it| keys.of(it)).collect())
}

fn only_once(keys: Vec<u64>) -> Vec<u64> {
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

    fn gone_of<'a>(path: &'a RepoPath, edits: &'a [TracedEdit]) -> Gone<'a> {
        Gone::recorded(path, &edits.iter().collect::<Vec<_>>(), Keys::Formatted)
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
        let gone: Vec<Gone<'_>> =
            old.iter().zip(gone).map(|(path, (_, edits))| gone_of(path, edits)).collect();
        let found = origins(&files, &gone, Keys::Formatted);
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
    fn what_hooks_told_is_known_by_hashes() {
        use told::lines::{Key, changes, written};
        let keys = |text: &str| text.lines().map(Key::of).collect::<Vec<Key>>();
        let told = |old: Option<&str>, new: &str| Told {
            folded: String::new(),
            path: String::new(),
            time: 0,
            agent: "codex".to_owned(),
            session: "s".to_owned(),
            model: None,
            call: None,
            lines: written(&changes(old.map(keys).as_deref(), &keys(new))),
        };
        #[track_caller]
        fn check(content: &str, edits: &[Told], expected: Option<usize>) {
            let path = RepoPath::new("b");
            let new = [New { path: &path, content: content.as_bytes() }];
            let edits: Vec<&Told> = edits.iter().collect();
            assert_eq!(origins(&new, &[Gone::told(&edits)], Keys::Told), [expected], "{content}");
        }
        let (text, hers) = (lines("one", 0..10), lines("hers", 0..10));
        let (first, last) = (lines("one", 0..5), lines("one", 5..10));
        check(&text, &[told(None, &text)], Some(0));
        check(&text.replace("let", "  let"), &[told(None, &text)], Some(0));
        check(&text, &[told(None, &first), told(Some(&first), &text)], Some(0));
        check(&text, &[told(None, &format!("{hers}{last}")), told(Some(&hers), &first)], Some(0));
        check(&hers, &[told(None, &text)], None);
        check(&format!("{first}{hers}"), &[told(None, &text)], None);
        check(&hers, &[told(None, &hers), told(Some(&hers), &text)], None);
        check(&text, &[Told { lines: "no lines".to_owned(), ..told(None, "") }], None);
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
        let gone: Vec<Gone<'_>> =
            paths.iter().zip(&gone).map(|(path, (_, edits))| gone_of(path, edits)).collect();
        assert_eq!(origins(&new, &gone, Keys::Formatted).len(), 40);
    }
}
