//! Who wrote the lines of a file, as far as it is recorded or declared, and who
//! approved the content that brought them.
//!
//! A record names lines of the commit that brought them: those are known by
//! their numbers. What a rewrite carried into another commit is found by
//! content, each recorded line once at most. What is left of a declared commit
//! is declared; all else is unattributed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::change::{Oid, RepoPath};
use super::recorded::{RecordedLines, Texts, hash};
use super::signal::{Signal, Strength};

/// Where a line came from, as git tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// `None`: it is not committed.
    pub commit: Option<Oid>,
    /// The file there.
    pub path: RepoPath,
    /// The line's number there, counted from 1.
    pub number: u64,
}

/// Lines that a record tells of, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The commit that brought them, at which their numbers hold.
    pub commit: Option<Oid>,
    pub lines: RecordedLines,
    /// A note told it, and not the ledger.
    pub noted: bool,
}

/// What is known of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The agent's id in the catalogue.
    pub agent: String,
    pub session: Option<String>,
    pub model: Option<String>,
    pub strength: Strength,
    pub matched: Matched,
}

/// How a line was matched to what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Matched {
    /// The agent's own record has it, as it stands in the commit.
    Exact,
    /// The same, but for what a formatter changes.
    Reformatted,
    /// A record has it, of another commit: it was rewritten or moved since.
    Content,
    /// A note on the commit names the line.
    Note,
    /// The commit's own mark covers all its lines.
    Mark,
}

/// What git's history of the file tells: its commits and what they follow.
#[derive(Clone, Debug, Default)]
pub struct History {
    versions: Vec<Version>,
    index: HashMap<Oid, usize>,
}

/// One commit that touched the file, under any of its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub commit: Oid,
    /// Those that touched it before.
    pub parents: Vec<Oid>,
    /// What stood there, by name.
    pub blobs: BTreeMap<RepoPath, Oid>,
}

impl History {
    /// Takes the commits in any order.
    pub fn new(versions: Vec<Version>) -> History {
        let index = versions.iter().enumerate().map(|(at, it)| (it.commit.clone(), at)).collect();
        History { versions, index }
    }

    /// Which versions a commit stands on, itself with them.
    fn below(&self, from: usize) -> Vec<bool> {
        let mut reached = vec![false; self.versions.len()];
        let mut open = vec![from];
        while let Some(at) = open.pop() {
            if !std::mem::replace(&mut reached[at], true) {
                let parents = self.versions[at].parents.iter();
                open.extend(parents.filter_map(|parent| self.index.get(parent)).copied());
            }
        }
        reached
    }

    fn with_blob(&self, path: &RepoPath, blob: &Oid) -> Vec<usize> {
        let has = |it: &Version| it.blobs.get(path) == Some(blob);
        (0..self.versions.len()).filter(|at| has(&self.versions[*at])).collect()
    }
}

/// Says of each line of a file what is known; `texts` and `origins` are its lines.
pub fn marks(
    texts: &[&str],
    origins: &[Origin],
    known: &[Known],
    signals: &BTreeMap<Oid, Vec<Signal>>,
    history: &History,
) -> Vec<Option<Mark>> {
    let records: Vec<&RecordedLines> = known.iter().map(|it| &it.lines).collect();
    let recorded = Texts::of(&records);
    let mut marks: Vec<Option<Mark>> = vec![None; origins.len()];
    let mut used = vec![false; recorded.len()];
    by_number(texts, origins, known, &recorded, &mut used, &mut marks);
    by_content(texts, origins, known, &recorded, &used, history, &mut marks);
    for (origin, mark) in origins.iter().zip(&mut marks) {
        if let (None, Some(commit)) = (&mark, &origin.commit) {
            *mark = signals.get(commit).and_then(|it| strongest(it)).map(of_commit);
        }
    }
    marks
}

/// Lines whose own commit has a record of them.
fn by_number(
    texts: &[&str],
    origins: &[Origin],
    known: &[Known],
    recorded: &Texts,
    used: &mut [bool],
    marks: &mut [Option<Mark>],
) {
    let mut places: HashMap<(&Oid, String, u64), usize> = HashMap::new();
    for line in (0..recorded.len()).filter(|line| recorded.is_line(*line)) {
        let (record, run, at) = recorded.place(line);
        let Known { commit: Some(commit), lines, .. } = &known[record] else { continue };
        let number = lines.runs[run].start.saturating_add(at as u64);
        places.insert((commit, lines.path.clone(), number), line);
    }
    if places.is_empty() {
        return;
    }
    for ((origin, text), mark) in origins.iter().zip(texts).zip(marks) {
        let Some(commit) = &origin.commit else { continue };
        let Some(&line) = places.get(&(commit, origin.path.to_text(), origin.number)) else {
            continue;
        };
        let (record, run, at) = recorded.place(line);
        let known = &known[record];
        if known.lines.runs[run].lines[at] == hash(text) {
            used[line] = true;
            let matched = match (known.noted, known.lines.runs[run].reformatted) {
                (true, _) => Matched::Note,
                (false, true) => Matched::Reformatted,
                (false, false) => Matched::Exact,
            };
            *mark = Some(of_record(known, matched));
        }
    }
}

/// Lines of other commits. Of its own commit a record tells all, so what it
/// does not name there is nobody's; and no record tells of an older commit.
fn by_content(
    texts: &[&str],
    origins: &[Origin],
    known: &[Known],
    recorded: &Texts,
    used: &[bool],
    history: &History,
    marks: &mut [Option<Mark>],
) {
    let open: Vec<bool> = origins
        .iter()
        .zip(&*marks)
        .map(|(origin, mark)| origin.commit.is_some() && mark.is_none())
        .collect();
    if recorded.is_empty() || !open.contains(&true) {
        return;
    }
    let at = |commit: &Option<Oid>| commit.as_ref().and_then(|it| history.index.get(it)).copied();
    let stands_on: HashMap<usize, Vec<bool>> = origins
        .iter()
        .zip(&open)
        .filter_map(|(origin, open)| at(&origin.commit).filter(|_| *open))
        .collect::<BTreeSet<usize>>()
        .into_iter()
        .map(|at| (at, history.below(at)))
        .collect();
    let records: Vec<Option<usize>> = known.iter().map(|it| at(&it.commit)).collect();
    let fits = |line: usize, number: usize| {
        let record = recorded.record(line);
        if known[record].commit == origins[number].commit {
            return false;
        }
        let below = at(&origins[number].commit).and_then(|at| stands_on.get(&at));
        match (records[record], below) {
            (Some(record), Some(below)) => below[record],
            (Some(_) | None, _) => true,
        }
    };
    let found = recorded.find(texts, &open, |line| !used[line], &fits);
    for (line, mark) in found.into_iter().zip(marks) {
        if let Some(line) = line {
            *mark = Some(of_record(&known[recorded.record(line)], Matched::Content));
        }
    }
}

fn of_record(known: &Known, matched: Matched) -> Mark {
    Mark {
        agent: known.lines.agent.clone(),
        session: Some(known.lines.session.clone()),
        model: known.lines.model.clone(),
        strength: Strength::Recorded,
        matched,
    }
}

fn strongest(signals: &[Signal]) -> Option<&Signal> {
    let assisting = signals.iter().filter(|signal| signal.assists());
    assisting.max_by(|a, b| a.strength.cmp(&b.strength).then(b.agent.cmp(&a.agent)))
}

fn of_commit(signal: &Signal) -> Mark {
    Mark {
        agent: signal.agent.clone(),
        session: None,
        model: signal.model.clone(),
        strength: signal.strength,
        matched: Matched::Mark,
    }
}

/// Somebody's approval of one file's change, as it counts by its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved {
    pub person: String,
    pub path: RepoPath,
    pub old: Option<Oid>,
    pub new: Oid,
}

/// Who approved the content that each commit brought: the approved change ends
/// in a version that stands on the commit, and begins before it.
pub fn approvers(history: &History, approvals: &[Approved]) -> BTreeMap<Oid, BTreeSet<String>> {
    let mut people: BTreeMap<Oid, BTreeSet<String>> = BTreeMap::new();
    for approved in approvals {
        for last in history.with_blob(&approved.path, &approved.new) {
            for at in brought(history, approved, last) {
                let commit = history.versions[at].commit.clone();
                people.entry(commit).or_default().insert(approved.person.clone());
            }
        }
    }
    people
}

/// The versions of a change that ends at `last`.
fn brought(history: &History, approved: &Approved, last: usize) -> Vec<usize> {
    let mut all = history.below(last);
    if let Some(old) = &approved.old {
        let before: Vec<usize> = history.with_blob(&approved.path, old);
        let before = before.into_iter().filter(|at| *at != last && all[*at]).collect::<Vec<_>>();
        // Where it began is not to be seen: only the last one is certain.
        if before.is_empty() {
            return vec![last];
        }
        for at in before {
            let below = history.below(at);
            all.iter_mut().zip(below).for_each(|(it, below)| *it &= !below);
        }
    }
    (0..all.len()).filter(|at| all[*at]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::recorded::Run;
    use crate::gate::signal::SignalKind;

    fn oid(digit: char) -> Oid {
        Oid::parse(&digit.to_string().repeat(40)).unwrap()
    }

    fn known(commit: Option<char>, start: u64, lines: &[&str]) -> Known {
        let run =
            Run { start, reformatted: false, lines: lines.iter().map(|it| hash(it)).collect() };
        let lines = RecordedLines {
            path: "a".to_owned(),
            agent: "codex".to_owned(),
            session: "s".to_owned(),
            model: None,
            moved: false,
            runs: vec![run],
        };
        Known { commit: commit.map(oid), lines, noted: false }
    }

    /// a ← b ← c, each with a version of its own.
    fn history() -> History {
        let version = |commit, parents: &[char], blob| Version {
            commit: oid(commit),
            parents: parents.iter().map(|it| oid(*it)).collect(),
            blobs: [(RepoPath::new("a"), oid(blob))].into(),
        };
        History::new(vec![
            version('c', &['b'], '3'),
            version('b', &['a'], '2'),
            version('a', &[], '1'),
        ])
    }

    /// `file`: lines with the commit each is from and its number there;
    /// `expected`: `.` for nothing, else the way it was matched.
    #[track_caller]
    fn check(file: &[(&str, char, u64)], known: &[Known], declared: &[char], expected: &str) {
        let texts: Vec<&str> = file.iter().map(|it| it.0).collect();
        let origins: Vec<Origin> = file
            .iter()
            .map(|(_, commit, number)| Origin {
                commit: Some(oid(*commit)),
                path: RepoPath::new("a"),
                number: *number,
            })
            .collect();
        let signal = Signal {
            agent: "aider".to_owned(),
            kind: SignalKind::Trailer,
            strength: Strength::Declared,
            value: String::new(),
            model: None,
            in_trailer_block: None,
        };
        let signals = declared.iter().map(|it| (oid(*it), vec![signal.clone()])).collect();
        let found: String = marks(&texts, &origins, known, &signals, &history())
            .iter()
            .map(|mark| match mark.as_ref().map(|it| it.matched) {
                None => '.',
                Some(Matched::Exact) => 'x',
                Some(Matched::Reformatted) => 'r',
                Some(Matched::Content) => 'c',
                Some(Matched::Note) => 'n',
                Some(Matched::Mark) => 'm',
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_record_names_lines_of_its_commit_and_the_same_text_elsewhere_is_nobodys() {
        let record = known(Some('b'), 2, &["agent_call();"]);
        check(
            &[("agent_call();", 'a', 1), ("agent_call();", 'b', 2), ("agent_call();", 'b', 3)],
            std::slice::from_ref(&record),
            &[],
            ".x.",
        );
        // The line itself is gone: an older one of the same text is not it, a younger one is.
        check(&[("agent_call();", 'a', 1)], std::slice::from_ref(&record), &[], ".");
        check(&[("agent_call();", 'c', 1)], std::slice::from_ref(&record), &[], "c");
        // Of a commit that is not in this history, it may be any.
        check(&[("agent_call();", 'a', 7)], &[known(Some('f'), 2, &["agent_call();"])], &[], "c");
        check(&[("agent_call();", 'a', 7)], &[known(None, 2, &["agent_call();"])], &[], "c");
    }

    #[test]
    fn the_finer_lines_show_under_a_declared_mark() {
        let record = known(Some('b'), 1, &["agent_call();", "}"]);
        let file = [("agent_call();", 'b', 1), ("}", 'b', 2), ("}", 'b', 3), ("other();", 'a', 4)];
        check(&file, std::slice::from_ref(&record), &['b'], "xxm.");
        // Numbers that a hostile record makes up name nothing.
        let false_record = known(Some('b'), 3, &["agent_call();", "else_where();"]);
        check(&file, &[false_record], &[], "....");
    }

    #[track_caller]
    fn check_approved(old: Option<char>, new: char, expected: &str) {
        let approved = Approved {
            person: "bo".to_owned(),
            path: RepoPath::new("a"),
            old: old.map(oid),
            new: oid(new),
        };
        let found: String = approvers(&history(), &[approved])
            .keys()
            .map(|commit| commit.as_str().chars().next().unwrap())
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn an_approval_covers_what_came_between_its_two_versions() {
        check_approved(Some('1'), '3', "bc");
        check_approved(Some('2'), '3', "c");
        check_approved(None, '2', "ab");
        check_approved(Some('9'), '3', "c");
        check_approved(Some('1'), '9', "");
    }
}
