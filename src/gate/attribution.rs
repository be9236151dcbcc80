//! Which part of a change was assisted, by whom, and how we know.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::change::{Change, Commit, FileChange, LineRange, Oid, RepoPath};
use super::signal::{Detector, Signal, Strength};
use crate::gate::order;

/// What is known about a whole change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attribution {
    /// A row a commit, in the change's order.
    pub commits: Vec<CommitAttribution>,
    /// A row for each file of the change.
    pub files: BTreeMap<RepoPath, FileAttribution>,
    /// Marks on the commit being made, which has no id yet.
    pub staged: Vec<Signal>,
}

/// What is known about one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitAttribution {
    pub commit: Oid,
    pub assisted: bool,
    pub signals: Vec<Signal>,
    /// On whose word its disclosure covers the recorded lines alone.
    pub narrowed_by: Option<String>,
}

/// What is known about one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileAttribution {
    /// An assisted commit touched it, whether or not a line of it is left.
    pub assisted: bool,
    /// A commit without a mark touched it, or could have.
    pub unattributed: bool,
    /// Agents whose commits touched it.
    pub agents: BTreeSet<String>,
    /// Assisted added lines, ascending, no overlap.
    pub ranges: Vec<AttributedRange>,
}

/// Added lines of one origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributedRange {
    pub lines: LineRange,
    pub agent: String,
    pub strength: Strength,
}

/// What one agent did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentShare {
    pub models: BTreeSet<String>,
    pub added: u64,
    pub commits: u64,
}

/// What git knows about where the change's lines come from. Only asked for
/// where commits with and without marks are mixed.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    /// Paths that each assisted commit touched.
    pub touched: BTreeMap<Oid, BTreeSet<RepoPath>>,
    /// Paths that commits without marks touched; `None`: nobody asked, so any may be.
    pub by_hand: Option<BTreeSet<RepoPath>>,
    /// The commit that each added line comes from. A file that is not here
    /// counts whole for the assisted commits that touched it.
    pub lines: BTreeMap<RepoPath, Vec<(LineRange, Oid)>>,
}

/// How far the marks alone decide, before git is asked about lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mixture {
    /// No commit is assisted.
    None,
    /// All are, by the same agents: every line of every file is theirs.
    Whole,
    /// Some are: [`Origins`] tells which lines.
    Mixed,
}

/// Says how far the marks alone decide.
pub fn mixture(signals: &[(Oid, Vec<Signal>)]) -> Mixture {
    let mut agents = signals.iter().map(|(_, signals)| assisting_agents(signals));
    let Some(first) = agents.next() else { return Mixture::None };
    if agents.all(|it| it == first) {
        return if first.is_empty() { Mixture::None } else { Mixture::Whole };
    }
    Mixture::Mixed
}

/// Attributes the commits of a range, given the marks on each.
pub fn attribute(
    change: &Change,
    signals: Vec<(Oid, Vec<Signal>)>,
    origins: &Origins,
) -> Attribution {
    let mixture = mixture(&signals);
    let by_commit: BTreeMap<&Oid, &[Signal]> =
        order::map(signals.iter().filter(|it| !it.1.is_empty()).map(|it| (&it.0, it.1.as_slice())));
    let all: Vec<&Signal> = signals.iter().flat_map(|(_, signals)| signals).collect();
    let touching = touching(&by_commit, origins);
    let files = change
        .files
        .iter()
        .map(|file| {
            let attribution = match mixture {
                Mixture::None => {
                    FileAttribution { unattributed: true, ..FileAttribution::default() }
                }
                Mixture::Whole => whole(&file.added, &all),
                Mixture::Mixed => {
                    let touching = touching.get(&file.path).map(Vec::as_slice);
                    mixed(file, touching.unwrap_or_default(), &by_commit, origins)
                }
            };
            (file.path.clone(), attribution)
        })
        .collect();
    let commits = signals
        .into_iter()
        .map(|(commit, signals)| CommitAttribution {
            commit,
            assisted: signals.iter().any(Signal::assists),
            signals,
            narrowed_by: None,
        })
        .collect();
    Attribution { commits, files, staged: Vec::new() }
}

/// Attributes the commit being made: here, and only here, a mark of the
/// surroundings is enough.
pub fn attribute_staged(change: &Change, signals: Vec<Signal>) -> Attribution {
    let marks: Vec<&Signal> = signals.iter().collect();
    let files = change
        .files
        .iter()
        .map(|file| {
            let attribution = if assisting(&marks, Strength::Ambient).is_empty() {
                FileAttribution { unattributed: true, ..FileAttribution::default() }
            } else {
                covered(&file.added, &assisting(&marks, Strength::Ambient))
            };
            (file.path.clone(), attribution)
        })
        .collect();
    Attribution { commits: Vec::new(), files, staged: signals }
}

impl Attribution {
    /// Adds lines of a file that agents recorded. `added` are the file's added
    /// lines as git tells them; where it was not asked, the file counts.
    pub fn add_recorded(
        &mut self,
        path: &RepoPath,
        added: &[LineRange],
        found: Vec<AttributedRange>,
    ) {
        if found.is_empty() {
            return;
        }
        let agents: BTreeSet<&String> = order::set(found.iter().map(|it| &it.agent));
        self.add_touched(path, order::set(agents.into_iter().cloned()));
        let Some(file) = self.files.get_mut(path).filter(|_| !added.is_empty()) else { return };
        // A line that a stronger mark covers stays with it.
        let known = std::mem::take(&mut file.ranges);
        let mut ranges: Vec<AttributedRange> = Vec::with_capacity(found.len() + known.len());
        for it in found {
            let left = without(it.lines, &known).into_iter();
            ranges.extend(left.map(|lines| AttributedRange { lines, ..it.clone() }));
        }
        ranges.extend(known);
        order::sort_by_key(&mut ranges, |range| range.lines);
        file.ranges = joined(ranges);
    }

    /// Says that these agents worked on a file.
    pub fn add_touched(&mut self, path: &RepoPath, agents: BTreeSet<String>) {
        if let Some(file) = self.files.get_mut(path) {
            file.assisted = true;
            file.agents.extend(agents);
        }
    }

    /// Adds marks to the commits that they were seen on; they cover no lines.
    pub fn add_marks(&mut self, mut marks: BTreeMap<Oid, Vec<Signal>>) {
        for row in &mut self.commits {
            let marks = marks.remove(&row.commit).unwrap_or_default();
            row.assisted |= marks.iter().any(Signal::assists);
            row.signals.extend(marks);
        }
    }

    /// Whether any part is assisted.
    pub fn assisted(&self) -> bool {
        self.commits.iter().any(|commit| commit.assisted)
            || self.files.values().any(|file| file.assisted)
            || self.staged.iter().any(|signal| signal.kind != super::signal::SignalKind::Review)
    }

    /// What is known about a file; nothing is known about one that is not of the change.
    pub fn file(&self, path: &RepoPath) -> FileAttribution {
        self.files.get(path).cloned().unwrap_or_default()
    }

    /// What each agent did, by id.
    pub fn agents(&self) -> BTreeMap<String, AgentShare> {
        let mut shares: BTreeMap<String, AgentShare> = BTreeMap::new();
        for commit in self.commits.iter().filter(|commit| commit.assisted) {
            for agent in assisting_agents(&commit.signals) {
                shares.entry(agent).or_default().commits += 1;
            }
        }
        let marks = self.commits.iter().flat_map(|commit| &commit.signals).chain(&self.staged);
        for signal in marks.filter(|signal| signal.kind != super::signal::SignalKind::Review) {
            let share = shares.entry(signal.agent.clone()).or_default();
            share.models.extend(signal.model.clone());
        }
        for range in self.files.values().flat_map(|file| &file.ranges) {
            shares.entry(range.agent.clone()).or_default().added += range.lines.lines();
        }
        shares
    }
}

impl FileAttribution {
    /// Number of assisted added lines.
    pub fn assisted_added(&self) -> u64 {
        self.ranges.iter().map(|range| range.lines.lines()).sum()
    }
}

fn assisting_agents(signals: &[Signal]) -> BTreeSet<String> {
    order::set(signals.iter().filter(|signal| signal.assists()).map(|signal| signal.agent.clone()))
}

/// The marks that make a change assisted, given how weak they may be.
fn assisting<'a>(signals: &[&'a Signal], weakest: Strength) -> Vec<&'a Signal> {
    signals
        .iter()
        .copied()
        .filter(|signal| {
            signal.kind != super::signal::SignalKind::Review && signal.strength >= weakest
        })
        .collect()
}

fn whole(added: &[LineRange], signals: &[&Signal]) -> FileAttribution {
    covered(added, &assisting(signals, Strength::Recorded))
}

/// A file of which every added line carries these marks; the strongest names the agent.
fn covered(added: &[LineRange], signals: &[&Signal]) -> FileAttribution {
    let strongest =
        signals.iter().max_by(|a, b| a.strength.cmp(&b.strength).then(b.agent.cmp(&a.agent)));
    let ranges = strongest
        .map(|signal| {
            let range = |&lines| AttributedRange {
                lines,
                agent: signal.agent.clone(),
                strength: signal.strength,
            };
            added.iter().map(range).collect()
        })
        .unwrap_or_default();
    FileAttribution {
        assisted: !signals.is_empty(),
        unattributed: false,
        agents: order::set(signals.iter().map(|signal| signal.agent.clone())),
        ranges,
    }
}

/// For each path the marks of the assisted commits that touched it, in the
/// order of their ids.
fn touching<'a>(
    by_commit: &BTreeMap<&Oid, &'a [Signal]>,
    origins: &'a Origins,
) -> HashMap<&'a RepoPath, Vec<&'a Signal>> {
    let mut touching: HashMap<&RepoPath, Vec<&Signal>> = HashMap::new();
    for (commit, paths) in &origins.touched {
        let signals = by_commit.get(commit).copied().unwrap_or_default();
        for path in paths {
            touching.entry(path).or_default().extend(signals.iter().filter(|it| it.assists()));
        }
    }
    touching
}

fn mixed(
    file: &FileChange,
    touching: &[&Signal],
    by_commit: &BTreeMap<&Oid, &[Signal]>,
    origins: &Origins,
) -> FileAttribution {
    let added = &file.added;
    if touching.is_empty() {
        return FileAttribution { unattributed: true, ..FileAttribution::default() };
    }
    let unattributed = origins.by_hand.as_ref().is_none_or(|paths| paths.contains(&file.path));
    let Some(lines) = origins.lines.get(&file.path) else {
        return FileAttribution { unattributed, ..covered(added, touching) };
    };
    let mut file = FileAttribution {
        assisted: true,
        unattributed,
        agents: order::set(touching.iter().map(|signal| signal.agent.clone())),
        ranges: Vec::new(),
    };
    for (range, commit) in lines {
        let marks: Vec<&Signal> =
            by_commit.get(commit).map(|it| it.iter().collect()).unwrap_or_default();
        for part in added.iter().filter_map(|run| overlap(run, range)) {
            file.ranges.extend(whole(&[part], &marks).ranges);
        }
    }
    order::sort_by_key(&mut file.ranges, |range| range.lines);
    file.ranges = joined(file.ranges);
    file
}

fn overlap(left: &LineRange, right: &LineRange) -> Option<LineRange> {
    let (start, end) = (left.start.max(right.start), left.end.min(right.end));
    (start <= end).then_some(LineRange { start, end })
}

/// What of these lines none of the ranges, which are ascending, covers.
fn without(lines: LineRange, ranges: &[AttributedRange]) -> Vec<LineRange> {
    let mut left = Vec::new();
    let mut start = lines.start;
    let first = ranges.partition_point(|it| it.lines.end < lines.start);
    for range in ranges[first..].iter().take_while(|it| it.lines.start <= lines.end) {
        if start < range.lines.start {
            left.push(LineRange { start, end: range.lines.start - 1 });
        }
        start = range.lines.end + 1;
    }
    if start <= lines.end {
        left.push(LineRange { start, end: lines.end });
    }
    left
}

fn joined(ranges: Vec<AttributedRange>) -> Vec<AttributedRange> {
    let mut result: Vec<AttributedRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match result.last_mut() {
            Some(last)
                if last.lines.end + 1 == range.lines.start
                    && last.agent == range.agent
                    && last.strength == range.strength =>
            {
                last.lines.end = range.lines.end;
            }
            Some(_) | None => result.push(range),
        }
    }
    result
}

/// The marks on each commit of a change, in its order.
pub fn detect_all(
    catalogue: &super::signal::catalogue::Catalogue,
    commits: &[Commit],
) -> Vec<(Oid, Vec<Signal>)> {
    let mut detector = Detector::new(catalogue);
    commits.iter().map(|commit| (commit.id.clone(), detector.detect(commit))).collect()
}
