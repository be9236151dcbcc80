//! What is kept of the lines that agents recorded: who, which session, and a
//! hash for each line; no text.
//!
//! Lines are found again by content, wherever they stand in the file and
//! whatever became of their commit, so nothing has to follow a rebase, an
//! amended commit, a squash or a cherry-pick. In the ledger they are a record of
//! Agent Trace 0.1 (<https://agent-trace.dev>), with the hashes in its metadata.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::attribution::AttributedRange;
use super::change::{LineRange, Oid, RepoPath};
use super::matching::{MatchedRange, match_keys};
use super::narrow::Written;
use super::record::canonical::{digest, sha256};
use super::record::{AsItStands, Body};
use super::signal::Strength;
use super::time::Timestamp;

/// Where our part stands in a record's metadata.
const KEY: &str = "dev.countersign";

/// The most lines that one record tells of; more take more records.
const LINES: usize = 8192;

/// Lines of one file that one session of an agent wrote.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RecordedLines {
    /// The path, as [`RepoPath::to_text`] writes it.
    pub path: String,
    /// The agent's id in the catalogue.
    pub agent: String,
    pub session: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// They only came along when the file was moved, and were recorded under
    /// its old name before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub moved: bool,
    pub runs: Vec<Run>,
}

/// Lines that stood together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Run {
    /// The number of the first line, at the commit that brought them.
    pub start: u64,
    /// The lines differed from the agent's own record in form alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reformatted: bool,
    /// A hash for each line, see [`hash`].
    pub lines: Vec<String>,
}

/// The hash of a line: sixteen digits of SHA-256 of what is left of it without
/// blanks and without commas and semicolons at its end, so that it survives a
/// formatter.
pub fn hash(line: &str) -> String {
    format!("{:016x}", number_of_line(line))
}

/// The same as the number that the digits are.
fn number_of_line(line: &str) -> u64 {
    let line = line.trim_end().trim_end_matches([',', ';']);
    let [a, b, c, d, e, f, g, h, ..] = digest(line.split_whitespace().map(str::as_bytes));
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// What is kept of the lines that were matched in a file with this content.
pub fn keep(path: &RepoPath, content: &[u8], matches: &[MatchedRange]) -> Vec<RecordedLines> {
    let text = String::from_utf8_lossy(content);
    let lines: Vec<&str> = text.lines().collect();
    let mut kept: Vec<RecordedLines> = Vec::new();
    for range in matches {
        let place = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).min(lines.len());
        let run = Run {
            start: range.lines.start,
            reformatted: range.reformatted,
            lines: lines[place(range.lines.start.saturating_sub(1))..place(range.lines.end)]
                .iter()
                .map(|line| hash(line))
                .collect(),
        };
        let same = |it: &&mut RecordedLines| {
            it.agent == range.agent && it.session == range.session && it.model == range.model
        };
        match kept.iter_mut().find(same) {
            Some(of_session) => of_session.runs.push(run),
            None => kept.push(RecordedLines {
                path: path.to_text(),
                agent: range.agent.clone(),
                session: range.session.clone(),
                model: range.model.clone(),
                moved: false,
                runs: vec![run],
            }),
        }
    }
    kept
}

/// Leaves out what came along with a moved file, where what was recorded
/// under its old name is here as well.
pub fn without_moved<'a>(
    records: impl Iterator<Item = &'a RecordedLines> + Clone,
) -> impl Iterator<Item = &'a RecordedLines> {
    let first: HashSet<(&str, &str, &str)> = records
        .clone()
        .filter(|it| !it.moved)
        .map(|it| (it.agent.as_str(), it.session.as_str(), it.path.as_str()))
        .collect();
    records.filter(move |it| {
        let elsewhere = |(agent, session, path): &(&str, &str, &str)| {
            *agent == it.agent && *session == it.session && *path != it.path
        };
        !it.moved || !first.iter().any(elsewhere)
    })
}

/// The added lines of a file that these records of it tell of, ascending. A line
/// that means nothing by itself counts beside one that does, as it was recorded;
/// each recorded line is found once at most.
pub fn locate(
    content: &[u8],
    added: &[LineRange],
    records: &[&RecordedLines],
) -> Vec<AttributedRange> {
    let mut ranges: Vec<AttributedRange> = Vec::new();
    for (number, record) in find(content, added, records) {
        let agent = &records[record].agent;
        match ranges.last_mut() {
            Some(last) if last.lines.end + 1 == number && last.agent == *agent => {
                last.lines.end = number;
            }
            Some(_) | None => ranges.push(AttributedRange {
                lines: LineRange { start: number, end: number },
                agent: agent.clone(),
                strength: Strength::Recorded,
            }),
        }
    }
    ranges
}

/// The same lines as they are kept of a file with this content, under this path.
pub fn relocate(
    path: &RepoPath,
    content: &[u8],
    added: &[LineRange],
    records: &[&RecordedLines],
) -> Vec<RecordedLines> {
    let mut ranges: Vec<(usize, MatchedRange)> = Vec::new();
    for (number, record) in find(content, added, records) {
        match ranges.last_mut() {
            Some((last, range)) if *last == record && range.lines.end + 1 == number => {
                range.lines.end = number;
            }
            Some(_) | None => ranges.push((
                record,
                MatchedRange {
                    lines: LineRange { start: number, end: number },
                    agent: records[record].agent.clone(),
                    session: records[record].session.clone(),
                    model: records[record].model.clone(),
                    reformatted: false,
                },
            )),
        }
    }
    let ranges: Vec<MatchedRange> = ranges.into_iter().map(|(_, range)| range).collect();
    keep(path, content, &ranges)
}

/// The numbers of the lines, each with the record that tells of it.
fn find(content: &[u8], added: &[LineRange], records: &[&RecordedLines]) -> Vec<(u64, usize)> {
    let text = String::from_utf8_lossy(content);
    let lines: Vec<&str> = text.lines().collect();
    let mut open = vec![false; lines.len()];
    for range in added {
        let first = usize::try_from(range.start.saturating_sub(1)).unwrap_or(usize::MAX);
        let end = usize::try_from(range.end).unwrap_or(usize::MAX).min(lines.len());
        open.get_mut(first..end).unwrap_or_default().fill(true);
    }
    let recorded = Texts::of(records);
    let found = recorded.find(&lines, &open, |_| true, &|_, _| true);
    let line = |(number, line): (u64, Option<usize>)| Some((number, recorded.record(line?)));
    (1u64..).zip(found).filter_map(line).collect()
}

/// The lines of several records as one text, by their hashes.
pub struct Texts {
    keys: Vec<u64>,
    /// For each line the record, the run in it, and the line in that; `None`
    /// between two runs.
    places: Vec<Option<(usize, usize, usize)>>,
    /// For each line the record, and its number at the commit.
    numbers: Vec<Option<(usize, u64)>>,
}

impl Texts {
    /// Puts the runs one behind the other.
    pub fn of(records: &[&RecordedLines]) -> Texts {
        let mut texts = Texts { keys: Vec::new(), places: Vec::new(), numbers: Vec::new() };
        for (record, recorded) in records.iter().enumerate() {
            for (number, run) in recorded.runs.iter().enumerate() {
                for (at, hash) in run.lines.iter().enumerate() {
                    let hash = number_of(hash);
                    texts.keys.push(hash.unwrap_or_default());
                    texts.places.push(hash.map(|_| (record, number, at)));
                    texts.numbers.push(Some((record, run.start.saturating_add(at as u64))));
                }
                texts.keys.push(0);
                texts.places.push(None);
                texts.numbers.push(None);
            }
        }
        texts
    }

    /// The number of lines, with what stands between the runs.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no line.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether it is a line, and not what stands between two runs.
    pub fn is_line(&self, line: usize) -> bool {
        self.places.get(line).is_some_and(Option::is_some)
    }

    /// The record that a line of the text is of.
    pub fn record(&self, line: usize) -> usize {
        self.place(line).0
    }

    /// The record, the run in it, and the line in that, counted from 0.
    pub fn place(&self, line: usize) -> (usize, usize, usize) {
        self.places.get(line).copied().flatten().unwrap_or_default()
    }

    /// Finds lines of the text in a file: `open` says which of the file's may
    /// be taken, `wanted` which of the text's, `fits` (text, file) which pairs.
    pub fn find(
        &self,
        lines: &[&str],
        open: &[bool],
        wanted: impl Fn(usize) -> bool,
        fits: &dyn Fn(usize, usize) -> bool,
    ) -> Vec<Option<usize>> {
        // Only what may be taken, and what stands beside it, is hashed.
        let near = |at: usize| {
            let from = at.saturating_sub(1);
            open.get(from..(at + 2).min(open.len())).unwrap_or_default().contains(&true)
        };
        let key = |(at, line): (usize, &&str)| match near(at) {
            true => number_of_line(line),
            false => 1,
        };
        let keys: Vec<u64> = lines.iter().enumerate().map(key).collect();
        let own = (0..self.keys.len()).map(|it| self.places[it].is_some() && wanted(it)).collect();
        match_keys(lines, &keys, open, &self.keys, own, fits, &self.numbers)
    }
}

/// The number that a hash's digits are; `None` for what is no hash.
fn number_of(hash: &str) -> Option<u64> {
    (hash.len() == 16).then(|| u64::from_str_radix(hash, 16).ok()).flatten()
}

/// The lines of a file that an old version of it does not have: what is judged
/// where nobody asked git for lines.
pub fn new_lines(old: &[u8], new: &[u8]) -> Vec<LineRange> {
    let (old, new) = (String::from_utf8_lossy(old), String::from_utf8_lossy(new));
    let mut left: HashMap<&str, usize> = HashMap::new();
    for line in old.lines() {
        *left.entry(line).or_default() += 1;
    }
    let mut ranges: Vec<LineRange> = Vec::new();
    for (number, line) in (1u64..).zip(new.lines()) {
        match left.get_mut(line) {
            Some(count) if *count > 0 => *count -= 1,
            Some(_) | None => match ranges.last_mut() {
                Some(last) if last.end + 1 == number => last.end = number,
                Some(_) | None => ranges.push(LineRange { start: number, end: number }),
            },
        }
    }
    ranges
}

/// The records for the ledger of what was kept of a commit's lines, and of
/// what our hook `written` into its message: that stands in a record of all of
/// its lines, or nowhere, so that a record that is lost takes both away.
pub fn bodies(
    commit: &Oid,
    at: Timestamp,
    kept: &[RecordedLines],
    written: Option<&Written>,
) -> Vec<Body> {
    let mut bodies = Vec::new();
    let (mut part, mut lines) = (Vec::new(), 0);
    for of_session in kept {
        for run in of_session.runs.iter().flat_map(split) {
            if lines + run.lines.len() > LINES {
                bodies.push(body(commit, at, &std::mem::take(&mut part), None));
                lines = 0;
            }
            lines += run.lines.len();
            match part.last_mut() {
                Some(RecordedLines { path, session, agent, model, moved, runs })
                    if *path == of_session.path
                        && *session == of_session.session
                        && *agent == of_session.agent
                        && *model == of_session.model
                        && *moved == of_session.moved =>
                {
                    runs.push(run);
                }
                Some(_) | None => {
                    part.push(RecordedLines { runs: vec![run], ..of_session.clone() })
                }
            }
        }
    }
    if !part.is_empty() {
        let written = written.filter(|_| bodies.is_empty());
        bodies.push(body(commit, at, &part, written));
    }
    bodies
}

fn split(run: &Run) -> impl Iterator<Item = Run> {
    let reformatted = run.reformatted;
    let parts = (run.start..).step_by(LINES).zip(run.lines.chunks(LINES));
    parts.map(move |(start, lines)| Run { start, reformatted, lines: lines.to_vec() })
}

fn body(commit: &Oid, at: Timestamp, part: &[RecordedLines], written: Option<&Written>) -> Body {
    let conversation = |it: &RecordedLines| {
        let ranges: Vec<Value> = it
            .runs
            .iter()
            .map(|run| {
                let end = run.start + (run.lines.len() as u64).saturating_sub(1);
                let hash = sha256(run.lines.join("\n").as_bytes());
                json!({ "start_line": run.start, "end_line": end, "content_hash": format!("sha256:{hash}") })
            })
            .collect();
        let contributor = match &it.model {
            Some(model) => {
                json!({ "type": "ai", "model_id": model.chars().take(250).collect::<String>() })
            }
            None => json!({ "type": "ai" }),
        };
        json!({ "path": it.path, "conversations": [{ "contributor": contributor, "ranges": ranges }] })
    };
    let files: Vec<Value> = part.iter().map(conversation).collect();
    let mut ours = json!({ "lines": part });
    if let Some(written) = written {
        ours["written"] = json!(written);
    }
    let digest = sha256(format!("{commit} {at} {ours}").as_bytes());
    let predicate = json!({
        "version": "0.1.0",
        "id": uuid(&digest),
        "timestamp": at.to_string(),
        "at": at.to_string(),
        "commit": commit.as_str(),
        "vcs": { "type": "git", "revision": commit.as_str() },
        "tool": { "name": "countersign", "version": env!("CARGO_PKG_VERSION") },
        "files": files,
        "metadata": { KEY: ours },
    });
    Body::Attribution(AsItStands::of(&predicate).expect("the numbers of lines are integers"))
}

/// A UUID of version 8 (RFC 9562): the digits of a hash, but for the version and the variant.
fn uuid(digest: &str) -> String {
    let part = |from: usize, to: usize| digest.get(from..to).unwrap_or_default();
    format!("{}-{}-8{}-8{}-{}", part(0, 8), part(8, 12), part(12, 15), part(15, 18), part(18, 30))
}

/// The commit that a record of the ledger is about, and the lines that it
/// tells of. Records of another form tell of none.
pub fn read(body: &Body) -> Option<(Option<Oid>, Vec<RecordedLines>)> {
    let Body::Attribution(predicate) = body else { return None };
    read_text(predicate.text())
}

/// The same by the predicate's JSON.
pub fn read_text(json: &str) -> Option<(Option<Oid>, Vec<RecordedLines>)> {
    let predicate: Predicate = serde_json::from_str(json).ok()?;
    let commit = predicate.commit.as_ref().and_then(Value::as_str).and_then(Oid::parse);
    Some((commit, predicate.metadata.ours.lines))
}

/// As much of a predicate as tells of lines.
#[derive(Deserialize)]
struct Predicate {
    commit: Option<Value>,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "dev.countersign")]
    ours: Ours,
}

#[derive(Deserialize)]
struct Ours {
    lines: Vec<RecordedLines>,
}

/// What our hook wrote into the message of the commit that a record of the
/// ledger is about, if the record says so.
pub fn written(body: &Body) -> Option<Written> {
    let Body::Attribution(predicate) = body else { return None };
    let predicate = predicate.value();
    Deserialize::deserialize(predicate.get("metadata")?.get(KEY)?.get("written")?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::record::Record;

    fn kept(content: &str, start: u64, end: u64) -> Vec<RecordedLines> {
        let range = MatchedRange {
            lines: LineRange { start, end },
            agent: "codex".to_owned(),
            session: "s1".to_owned(),
            model: Some("gpt-5-codex".to_owned()),
            reformatted: false,
        };
        keep(&RepoPath::new("src/a.rs"), content.as_bytes(), &[range])
    }

    const WRITTEN: &str = "fn human() {\n}\nfn agent() {\n    work();\n}\n\n";

    /// `expected`: `x` for every line of the file that is found.
    #[track_caller]
    fn check(file: &str, added: (u64, u64), expected: &str) {
        check_of(&kept(WRITTEN, 3, 6), file, added, expected);
    }

    #[track_caller]
    fn check_of(kept: &[RecordedLines], file: &str, added: (u64, u64), expected: &str) {
        let records: Vec<&RecordedLines> = kept.iter().collect();
        let mut marks = vec!['.'; file.lines().count()];
        for range in
            locate(file.as_bytes(), &[LineRange { start: added.0, end: added.1 }], &records)
        {
            for number in range.lines.start..=range.lines.end {
                marks[number as usize - 1] = 'x';
            }
        }
        assert_eq!(marks.into_iter().collect::<String>(), expected, "{file}");
    }

    #[test]
    fn lines_are_found_by_content_wherever_they_stand() {
        check(WRITTEN, (1, 6), "..xxxx");
        check(WRITTEN, (1, 3), "..x...");
        check("fn agent() {\n\twork()\n}\nfn human() {\n}\n\n", (1, 6), "xxx...");
        check("fn human() {\n}\n\nwork();\n", (1, 4), "...x");
        check("fn other() {\n}\n", (1, 9), "..");
        check("}\n", (5, 9), ".");
    }

    #[test]
    fn short_lines_are_found_near_to_where_they_stood() {
        let kept = kept("one\nb = 1\n}\nc = 2\n", 2, 4);
        check_of(&kept, "one\nb = 1\n}\nc = 2\n", (1, 4), ".xxx");
        check_of(&kept, "zero\none\nb = 1\n}\nc = 2\n", (1, 5), "..xxx");
        check_of(&kept, "b = 1\nb = 1\nd\nc = 2\n", (1, 4), ".x.x");
        check_of(&kept, "one\nhers\n}\nc = 2\n", (1, 4), "....");
        check_of(&kept, "b = 1\n}\nb = 1\n}\n", (1, 1), "....");
        // What means more, but stands there twice, is found at its number alone.
        let twice = super::tests::kept("one\nprint(x)\n", 2, 2);
        check_of(&twice, "one\nprint(x)\nprint(x)\n", (1, 3), ".x.");
        check_of(&twice, "print(x)\none\nprint(x)\n", (1, 3), "...");
        let far = format!("{}b = 1\n}}\nc = 2\n", "hers\n".repeat(40));
        check_of(&kept, &far, (1, 99), &".".repeat(43));
    }

    #[test]
    fn a_hash_is_of_what_a_formatter_leaves() {
        let of = |text: &str| sha256(text.as_bytes())[..16].to_owned();
        assert_eq!(hash("  let a\t= [1, 2],;  "), of("leta=[1,2]"));
        assert_eq!(hash("\u{a0}\u{3000}\u{e4} \u{2028}b ; ;"), of("\u{e4}b;"));
        assert_eq!(hash(" ;, "), of(""));
        assert_eq!(number_of(&hash("}")), Some(number_of_line("}")));
    }

    #[test]
    fn only_what_an_old_version_lacks_is_new() {
        let range = |start, end| LineRange { start, end };
        assert_eq!(new_lines(b"a\nb\n", b"a\nx\ny\nb\nb\n"), [range(2, 3), range(5, 5)]);
        assert_eq!(new_lines(b"a\n", b"a\n"), []);
    }

    #[test]
    fn a_record_tells_the_same_lines_and_no_text() {
        let commit = Oid::parse(&"a".repeat(40)).unwrap();
        let kept = kept(WRITTEN, 3, 6);
        let bodies = bodies(&commit, Timestamp(1_800_000_000), &kept, None);
        let [body] = &bodies[..] else { panic!("{bodies:?}") };
        let (record, bytes) = Record::write(body).unwrap();
        assert_eq!(read(&record.body), Some((Some(commit), kept)));
        let text = String::from_utf8(bytes).unwrap();
        assert!(!text.contains("work"), "{text}");
        assert!(text.contains("\"start_line\":3") && text.contains("\"end_line\":6"), "{text}");
    }

    #[test]
    fn many_lines_take_many_records() {
        let content: String = (0..20_000).map(|it| format!("line_number({it});\n")).collect();
        let kept = kept(&content, 1, 20_000);
        let written = Written { author: String::new(), trailers: Vec::new() };
        let commit = Oid::parse(&"a".repeat(40)).unwrap();
        let bodies = bodies(&commit, Timestamp(0), &kept, Some(&written));
        assert!(bodies.iter().all(|body| super::written(body).is_none()));
        assert_eq!(bodies.len(), 3);
        let read: Vec<RecordedLines> = bodies
            .iter()
            .flat_map(|body| read(&Record::write(body).unwrap().0.body).unwrap().1)
            .collect();
        let records: Vec<&RecordedLines> = read.iter().collect();
        let whole = [LineRange { start: 1, end: 20_000 }];
        let [range] = &locate(content.as_bytes(), &whole, &records)[..] else { panic!() };
        assert_eq!(range.lines, whole[0]);
    }
}
