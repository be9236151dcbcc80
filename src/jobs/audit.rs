//! The evidence for a range: of the whole, or change by change as it landed.

use std::collections::BTreeMap;

use crate::adapters::git::Start;
use crate::adapters::ledger::{Wanted, Words};
use crate::gate::change::{Change, Oid};
use crate::gate::order;
use crate::gate::policy::Stage;
use crate::gate::record::SignedRecord;
use crate::gate::trail::{Trail, steps, trail};

use super::Error;
use super::check::change_range;
use super::judgement::{Judgement, Question};
use super::publish::ledger;
use super::trusted::{Trusted, Vantage, full_name};
use super::world::World;

/// The most changes into which a range is taken apart.
const MOST_CHANGES: usize = 500;

/// What to audit.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub range: Option<String>,
    pub target: Option<String>,
    pub policy_from: Option<String>,
}

/// The evidence for a range.
#[derive(Clone, Debug)]
pub struct Audit {
    /// The whole range, judged as one change.
    pub whole: Judgement,
    /// One trail where the evidence for the whole is complete, or where it is
    /// one change; else a trail for each change as it landed, the oldest first.
    pub changes: Vec<Trail>,
}

impl Audit {
    /// Whether everything that was asked of every change is there.
    pub fn is_complete(&self) -> bool {
        self.changes.iter().all(|it| it.complete)
    }
}

/// Collects the evidence, by the trusted policy as it stands now.
pub fn audit(world: &World, options: &Options) -> Result<Audit, Error> {
    let trusted = Trusted::read(world, options.policy_from.as_deref(), Vantage::Clone)?;
    let target =
        options.target.as_deref().map_or_else(|| trusted.policy.trust.target.clone(), full_name);
    let range = change_range(world, &trusted, options.range.as_deref(), &target)?;
    let question = Question {
        deferred: Default::default(),
        trusted: &trusted,
        stage: Stage::Merge,
        target,
        range: range.text,
        server: false,
        lines: true,
        pusher: None,
        vantage: Vantage::Clone,
    };
    let whole = question.judge_range(world, &range.start, &range.head)?;
    let records = records(world, &trusted, &whole.change)?;
    let one = trail_of(&whole, &records);
    let steps = steps(&chain(world, &whole.change), &records);
    if one.complete || steps.len() < 2 {
        return Ok(Audit { whole, changes: vec![one] });
    }
    if steps.len() > MOST_CHANGES {
        let message = format!("{} changes landed, more than {MOST_CHANGES}", steps.len());
        return Err(Error::usage(message).hint("audit them in parts: `countersign audit A..B`"));
    }
    let mut changes = Vec::with_capacity(steps.len());
    for (base, head) in steps {
        let text = format!("{}..{}", base.short(), head.short());
        let question = Question { range: text, ..question.clone() };
        let judgement = question.judge_range(world, &Start::at(base), &head)?;
        changes.push(trail_of(&judgement, &records));
    }
    Ok(Audit { whole, changes })
}

/// The first-parent history of a change, from where it begins to its head.
fn chain(world: &World, change: &Change) -> Vec<Oid> {
    let parents: BTreeMap<&Oid, Option<&Oid>> =
        order::map(change.commits.iter().map(|it| (&it.id, it.parents.first())));
    let mut chain = vec![change.head.clone()];
    while let Some(parent) = chain.last().and_then(|last| parents.get(last)) {
        chain.push(parent.cloned().unwrap_or_else(|| world.git.empty_tree()));
    }
    chain.reverse();
    chain
}

/// The records that may be about a part of a change.
fn records(world: &World, trusted: &Trusted, change: &Change) -> Result<Vec<SignedRecord>, Error> {
    let mut words = Words::default().id(change.head_tree.as_str());
    for commit in &change.commits {
        words = words.id(commit.id.as_str()).id(commit.tree.as_str());
    }
    let touched: Vec<Oid> = change.commits.iter().map(|it| it.id.clone()).collect();
    // A path that a later commit of the range put back is none of the net change.
    let touched = world.git.touched_by(&touched, &change.commits)?;
    let net = change.files.iter().map(|file| &file.path);
    for path in order::set(touched.values().flatten().chain(net)) {
        words = words.path(path);
    }
    Ok(ledger(world, trusted).read(&Wanted::About(words))?.records)
}

fn trail_of(judgement: &Judgement, records: &[SignedRecord]) -> Trail {
    trail(&judgement.case(), &judgement.evidence, &judgement.verdict, records)
}
