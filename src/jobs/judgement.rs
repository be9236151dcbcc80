//! The line that every verdict goes through: marks, attribution, obligations,
//! evidence, verdict. Only where the change comes from, and what is kept
//! afterwards, differ from job to job.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::adapters::git::{Detail, Git, Start};
use crate::gate::attribution::{
    Attribution, CommitAttribution, Mixture, Origins, attribute, attribute_staged, detect_all,
    mixture,
};
use crate::gate::change::{Change, Commit, Oid, RepoPath};
use crate::gate::evidence::{Deferred, Evidence};
use crate::gate::judge::{judge, with_findings};
use crate::gate::obligation::{
    Case, Obligation, asks_about_lines, asks_about_unattributed, needs, obligations,
};
use crate::gate::order;
use crate::gate::policy::{Policy, Stage};
use crate::gate::recorded::RecordedLines;
use crate::gate::shared_modules::{self, Modules};
use crate::gate::signal::catalogue::Catalogue;
use crate::gate::signal::{Signal, SignalKind};
use crate::gate::verdict::{Code, Finding, Level, Verdict};
use crate::gate::weakening::guard;

use super::trusted::{Trusted, Vantage, fetch_command};
use super::world::World;
use super::{Error, anchors, gather, narrow, noted, recorded};

/// The most files of which git is asked, line by line, where they come from;
/// beyond it a file that an assisted commit touched counts whole.
const BLAMED_FILES: usize = 200;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    pub trusted: &'a Trusted,
    pub stage: Stage,
    /// The full ref name that the change lands on.
    pub target: String,
    /// The range as a person would type it.
    pub range: String,
    pub server: bool,
    /// Whether the report shows lines; else they are counted only where a rule asks.
    pub lines: bool,
    pub pusher: Option<String>,
    /// The tests that a push leaves to the server.
    pub deferred: Deferred,
    /// From where the refs are seen.
    pub vantage: Vantage<'a>,
}

/// A judged change, with all that led to the verdict.
#[derive(Clone, Debug)]
pub struct Judgement {
    pub policy: Policy,
    pub change: Change,
    pub attribution: Attribution,
    pub evidence: Evidence,
    pub verdict: Verdict,
    pub stage: Stage,
    pub target: String,
    pub range: String,
    pub server: bool,
    pub pusher: Option<String>,
    pub sources: Vec<String>,
    pub now: crate::gate::time::Timestamp,
}

impl Judgement {
    /// The case that was judged, for those who explain it.
    pub fn case(&self) -> Case<'_> {
        Case {
            policy: &self.policy,
            change: &self.change,
            attribution: &self.attribution,
            stage: self.stage,
            target: &self.target,
            range: &self.range,
            server: self.server,
            now: self.now,
            pusher: self.pusher.as_deref(),
        }
    }
}

impl Judgement {
    /// The rules that apply, those that follow from modules among them.
    pub fn obligations(&self) -> Vec<Obligation<'_>> {
        let case = self.case();
        let mut obligations = obligations(&case);
        obligations.extend(shared_modules::obligations(
            &case,
            &obligations,
            &self.evidence.modules,
        ));
        obligations.extend(guard::obligation(&case, &self.evidence.losses));
        obligations
    }

    /// Whether what was judged as staged passes as this commit as well, by the
    /// evidence that is there: what was not looked up can only block.
    pub fn passes_as(&self, commit: Commit) -> bool {
        let mut attribution = self.attribution.clone();
        attribution.commits = vec![CommitAttribution {
            commit: commit.id.clone(),
            assisted: attribution.assisted(),
            signals: attribution.staged.clone(),
            narrowed_by: None,
        }];
        let change = Change { commits: vec![commit], ..self.change.clone() };
        let case = Case { change: &change, attribution: &attribution, ..self.case() };
        judge(&case, &obligations(&case), &self.evidence).passes()
    }
}

impl Question<'_> {
    /// How much of the difference has to be read.
    pub fn detail(&self) -> Detail {
        if self.lines || asks_about_lines(&self.trusted.policy) {
            Detail::Lines
        } else {
            Detail::Files
        }
    }

    /// Judges what lies between the start and `head`, as a net change.
    pub fn judge_range(
        &self,
        world: &World,
        start: &Start,
        head: &Oid,
    ) -> Result<Judgement, Error> {
        let change = world.git.change(start, head, self.detail())?;
        let catalogue = catalogue(&self.trusted.policy);
        let mut signals = detect(&catalogue, &change.commits);
        let mut sources = vec!["commits".to_owned()];
        if !self.server && add_kept_marks(world, &mut signals)? {
            sources.push("environment".to_owned());
        }
        let names = recorded::old_names(world, &change)?;
        let recorded = gather::attributions(
            world,
            self.trusted,
            self.vantage,
            change.files.iter().map(|it| &it.path).chain(names.values().flatten()),
            // Whether lines of a commit are known, any record of it tells.
            signals.iter().filter(|(_, marks)| of_session(marks)).map(|(commit, _)| commit),
        )?;
        let known = recorded::of_ledger(&recorded.records);
        let commits = known.iter().filter_map(|it| it.commit.clone()).collect();
        let lines: Vec<RecordedLines> = known.into_iter().map(|it| it.lines).collect();
        // A commit whose lines are known is assisted in those; of one whose
        // lines were lost, all count.
        let narrowed =
            narrow::narrowed(world, self.trusted, self.vantage, &signals, &recorded.records)?;
        let of_sessions = take_marks_of_lines(&mut signals, &commits, &narrowed);
        if !lines.is_empty() || !of_sessions.is_empty() {
            sources.push("sessions".to_owned());
        }
        let by_hand = asks_about_unattributed(&self.trusted.policy);
        let origins = origins(&world.git, &change, &signals, self.detail(), by_hand)?;
        let mut attribution = attribute(&change, signals, &origins);
        attribution.add_marks(of_sessions);
        for row in &mut attribution.commits {
            row.narrowed_by = narrowed.get(&row.commit).cloned();
        }
        recorded::add(world, &change, &lines, &names, &mut attribution)?;
        let mut noted =
            recorded::of_notes(world, &change.commits.iter().map(|it| &it.id).collect())?;
        noted::add(world, &change.commits, &mut noted)?;
        if !noted.marks.is_empty() {
            sources.push("notes".to_owned());
        }
        attribution.add_marks(noted.marks);
        for (path, agent) in noted.touched {
            attribution.add_touched(&path, [agent].into());
        }
        let lines: Vec<RecordedLines> = noted.lines.into_iter().map(|(_, it)| it).collect();
        recorded::add(world, &change, &lines, &names, &mut attribution)?;
        self.judge_attributed(world, change, attribution, sources)
    }

    /// Judges the commit being made, with the marks that its surroundings and
    /// (once there is one) its message bear.
    pub fn judge_staged(
        &self,
        world: &World,
        change: Change,
        signals: Vec<Signal>,
        lines: &[RecordedLines],
    ) -> Result<Judgement, Error> {
        let mut attribution = attribute_staged(&change, signals);
        recorded::add(world, &change, lines, &recorded::OldNames::new(), &mut attribution)?;
        attribution.staged.extend(recorded::signals(lines));
        let sources = ["environment", "sessions"].map(str::to_owned).to_vec();
        self.judge_attributed(world, change, attribution, sources)
    }

    /// Judges a change whose attribution is known.
    pub fn judge_attributed(
        &self,
        world: &World,
        change: Change,
        attribution: Attribution,
        mut sources: Vec<String>,
    ) -> Result<Judgement, Error> {
        let mut judgement = Judgement {
            policy: self.trusted.policy.clone(),
            change,
            attribution,
            evidence: Evidence::default(),
            verdict: Verdict {
                mode: self.trusted.policy.mode,
                stage: self.stage,
                obligations: Vec::new(),
                findings: Vec::new(),
            },
            stage: self.stage,
            target: self.target.clone(),
            range: self.range.clone(),
            server: self.server,
            pusher: self.pusher.clone(),
            sources: Vec::new(),
            now: world.env.now,
        };
        let case = judgement.case();
        let mut obligations = obligations(&case);
        // Which roots use a module has to be known before it is clear what is asked.
        let modules = shared_modules::needs(&case, &obligations);
        let modules = if modules.is_empty() {
            Modules::new()
        } else {
            gather::gather(world, self.trusted, &case, self.vantage, &modules, &obligations)?
                .modules
        };
        obligations.extend(shared_modules::obligations(&case, &obligations, &modules));
        let losses = gather::losses(world, &case);
        obligations.extend(guard::obligation(&case, &losses));
        let mut evidence = gather::gather(
            world,
            self.trusted,
            &case,
            self.vantage,
            &needs(&case, &obligations),
            &obligations,
        )?;
        evidence.modules = modules;
        evidence.deferred = self.deferred.clone();
        evidence.losses = losses;
        if let Ok(ledger) = &evidence.ledger {
            sources.push(
                ledger.tip.as_ref().map_or("ledger:none".to_owned(), |tip| format!("ledger:{tip}")),
            );
        }
        let mut verdict = judge(&case, &obligations, &evidence);
        if let Some(remote) = &self.trusted.remote {
            let ledger = &self.trusted.policy.trust.ledger;
            let missing = |finding: &&mut Finding| finding.code == Code::LedgerMissing;
            for finding in verdict.findings.iter_mut().filter(missing) {
                finding.next = Some(fetch_command(&world.git, ledger, remote));
            }
        }
        let mut notes = self.notes(&case);
        notes.extend(narrowings(case.attribution));
        notes.extend(anchors::findings(world, self.trusted, &case, &evidence)?);
        if !self.server {
            notes.extend(unchecked(world, &case.change.commits)?);
        }
        judgement.evidence = evidence;
        judgement.verdict = with_findings(verdict, notes);
        judgement.sources = sources;
        Ok(judgement)
    }

    /// What has to be said about the policy itself.
    fn notes(&self, case: &Case<'_>) -> Vec<Finding> {
        if !self.trusted.absent {
            return Vec::new();
        }
        let brings = |name: &str| {
            case.change
                .files
                .iter()
                .any(|file| file.new.is_some() && file.path.as_bytes() == name.as_bytes())
        };
        if brings(crate::gate::obligation::POLICY_FILE) {
            let message = format!(
                "this change brings the first policy; it takes effect once it is on {}",
                case.target
            );
            return vec![Finding::block(Code::PolicyFirst, message).at(Level::Note)];
        }
        let message = format!(
            "the trusted ref {} holds no countersign.toml: nothing is enforced",
            case.target
        );
        vec![Finding::block(Code::PolicyAbsent, message).at(Level::Note).next("countersign init")]
    }
}

/// The built-in catalogue and the agents that the policy adds.
pub fn catalogue(policy: &Policy) -> std::borrow::Cow<'static, Catalogue> {
    let built_in = Catalogue::built_in();
    if policy.agents.is_empty() {
        std::borrow::Cow::Borrowed(built_in)
    } else {
        std::borrow::Cow::Owned(built_in.extended(&policy.agents))
    }
}

/// As many commits are worth a second thread.
const MANY: usize = 1000;

/// The marks on each commit of a change, in its order.
fn detect(catalogue: &Catalogue, commits: &[Commit]) -> Vec<(Oid, Vec<Signal>)> {
    if commits.len() < MANY {
        return detect_all(catalogue, commits);
    }
    let (here, there) = commits.split_at(commits.len() / 2);
    std::thread::scope(|scope| {
        let there = scope.spawn(|| detect_all(catalogue, there));
        let mut signals = detect_all(catalogue, here);
        signals.extend(there.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        signals
    })
}

fn of_session(marks: &[Signal]) -> bool {
    marks.iter().any(|it| it.kind == SignalKind::Session)
}

/// Takes away the marks of sessions on commits whose lines are known, and the
/// trailers of those that are narrowed to them.
fn take_marks_of_lines(
    signals: &mut [(Oid, Vec<Signal>)],
    known: &BTreeSet<Oid>,
    narrowed: &BTreeMap<Oid, String>,
) -> BTreeMap<Oid, Vec<Signal>> {
    let mut taken = BTreeMap::new();
    for (commit, marks) in signals.iter_mut().filter(|(commit, _)| known.contains(commit)) {
        let trailers = narrowed.contains_key(commit);
        let (of_lines, others): (Vec<Signal>, _) =
            std::mem::take(marks).into_iter().partition(|it| {
                it.kind == SignalKind::Session || (trailers && it.kind == SignalKind::Trailer)
            });
        *marks = others;
        if !of_lines.is_empty() {
            taken.insert(commit.clone(), of_lines);
        }
    }
    taken
}

/// Says on whose word a disclosure covers less than its commit.
fn narrowings(attribution: &Attribution) -> Option<Finding> {
    let words: BTreeSet<&str> =
        order::set(attribution.commits.iter().filter_map(|it| it.narrowed_by.as_deref()));
    let count = attribution.commits.iter().filter(|it| it.narrowed_by.is_some()).count();
    let commits = match count {
        0 => return None,
        1 => "1 commit".to_owned(),
        more => format!("{more} commits"),
    };
    let people = words.into_iter().collect::<Vec<_>>().join(", ");
    let message =
        format!("the disclosure of {commits} covers the recorded lines alone, as {people} signed");
    Some(Finding::block(Code::DisclosureNarrowed, message).at(Level::Note))
}

/// Adds the marks that this clone saw when the commits were made. Returns
/// whether there were any.
fn add_kept_marks(world: &World, signals: &mut [(Oid, Vec<Signal>)]) -> Result<bool, Error> {
    let kept = world.marks.by_commit()?;
    let mut any = false;
    for (commit, marks) in signals.iter_mut() {
        for mark in kept.get(commit).into_iter().flatten() {
            any = true;
            if !marks.iter().any(|it| it.agent == mark.agent && it.assists()) {
                marks.push(mark.clone());
            }
        }
    }
    Ok(any)
}

/// A file that was moved stays a file that the assisted commits touched, so
/// that no later commit can carry it away from them. `commits` are in order,
/// the oldest first.
fn follow_renames(
    commits: &[Oid],
    renames: &BTreeMap<Oid, Vec<(RepoPath, RepoPath)>>,
    touched: &mut BTreeMap<Oid, BTreeSet<RepoPath>>,
) {
    let mut holders: BTreeMap<RepoPath, BTreeSet<Oid>> = BTreeMap::new();
    for commit in commits {
        for (from, to) in renames.get(commit).into_iter().flatten() {
            let earlier = holders.get(from).cloned().unwrap_or_default();
            for holder in &earlier {
                touched.entry(holder.clone()).or_default().insert(to.clone());
            }
            holders.entry(to.clone()).or_default().extend(earlier);
        }
        for path in touched.get(commit).into_iter().flatten() {
            holders.entry(path.clone()).or_default().insert(commit.clone());
        }
    }
}

/// Notes which commits were made without the commit hooks: nothing is wrong
/// with them that this judgement would not find, but people should know.
fn unchecked(world: &World, commits: &[Commit]) -> Result<Option<Finding>, Error> {
    if commits.is_empty() {
        return Ok(None);
    }
    let unchecked = world.marks.unchecked()?;
    let count = commits.iter().filter(|commit| unchecked.contains(&commit.id)).count();
    let message = match count {
        0 => return Ok(None),
        1 => "1 commit was made without the commit hooks, and is judged only now".to_owned(),
        more => {
            format!("{more} commits were made without the commit hooks, and are judged only now")
        }
    };
    Ok(Some(Finding::block(Code::Unchecked, message).at(Level::Note)))
}

/// Asks git about lines where commits with and without marks are mixed.
fn origins(
    git: &Git,
    change: &Change,
    signals: &[(Oid, Vec<Signal>)],
    detail: Detail,
    by_hand: bool,
) -> Result<Origins, Error> {
    if mixture(signals) != Mixture::Mixed {
        return Ok(Origins::default());
    }
    let assists = |signals: &[Signal]| signals.iter().any(Signal::assists);
    let asked: Vec<Oid> = signals
        .iter()
        .filter(|(_, signals)| by_hand || assists(signals))
        .map(|(commit, _)| commit.clone())
        .collect();
    let mut touched: BTreeMap<Oid, BTreeSet<_>> = order::map(
        git.touched_by(&asked, &change.commits)?
            .into_iter()
            .map(|(commit, paths)| (commit, paths.into_iter().collect())),
    );
    let stands: BTreeSet<_> =
        order::set(change.files.iter().filter(|file| file.new.is_some()).map(|file| &file.path));
    // Only where a file that one of them touched is gone can it have been moved.
    if touched.values().flatten().any(|path| !stands.contains(path)) {
        let commits: Vec<Oid> = signals.iter().map(|(commit, _)| commit.clone()).collect();
        follow_renames(&commits, &git.renames(&commits)?, &mut touched);
    }
    let assisted: BTreeSet<&Oid> =
        order::set(signals.iter().filter(|(_, it)| assists(it)).map(|(commit, _)| commit));
    let (touched, rest): (BTreeMap<_, _>, BTreeMap<_, _>) =
        touched.into_iter().partition(|(commit, _)| assisted.contains(commit));
    let by_hand = by_hand.then(|| rest.into_values().flatten().collect());
    let mut lines = BTreeMap::new();
    if detail == Detail::Lines {
        let by_any: HashSet<&RepoPath> = touched.values().flatten().collect();
        let mixed: Vec<_> = change
            .files
            .iter()
            .filter(|file| !file.added.is_empty() && !file.binary)
            .filter(|file| by_any.contains(&file.path))
            .collect();
        if mixed.len() <= BLAMED_FILES {
            for file in mixed {
                lines.insert(file.path.clone(), git.blame(&file.path, &change.base, &change.head)?);
            }
        }
    }
    Ok(Origins { touched, by_hand, lines })
}
