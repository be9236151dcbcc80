//! Approves, rejects or waives exactly the content of a change, with a person's key.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use crate::adapters::git::Start;
use crate::adapters::ledger::{Wanted, Words};
use crate::gate::change::{FileChange, RepoPath, printable};
use crate::gate::judge::judge as judge_case;
use crate::gate::obligation::POLICY_CHANGE;
use crate::gate::policy::Stage;
use crate::gate::record::{
    self, Body, Content, FileDelta, Record, RecordType, Shown, SignatureState, SignedRecord, Waiver,
};
use crate::gate::requirement::preview;
use crate::gate::time::{Timestamp, parse_length};
use crate::gate::verdict::Judged;

use super::ambient::Surroundings;
use super::check::change_range;
use super::judgement::{Judgement, Question};
use super::publish::ledger;
use super::range::Range;
use super::signing::{Hand, content};
use super::trusted::{Trusted, Vantage, full_name};
use super::world::World;
use super::{Error, ErrorKind};

/// Which change, and with which key.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub range: Option<String>,
    pub target: Option<String>,
    pub policy_from: Option<String>,
    pub key: Option<PathBuf>,
}

/// What is said about it.
#[derive(Clone, Debug)]
pub enum Decision {
    /// For these rules only; for all if there are none.
    Approve {
        rules: Vec<String>,
        note: Option<String>,
    },
    Reject {
        note: Option<String>,
    },
    Waive {
        rule: String,
        reason: String,
        expires: String,
    },
}

/// A record that is ready to be signed, and what the signer is shown first.
#[derive(Debug)]
pub struct Draft {
    pub judgement: Judgement,
    pub hand: Hand,
    body: Body,
    /// Every file of the change, whatever the body was narrowed to.
    whole: Vec<FileDelta>,
    trusted: Trusted,
    range: Range,
}

/// What was signed, and what it changes.
#[derive(Debug)]
pub struct Signed {
    pub id: String,
    pub record_type: RecordType,
    /// The files that it is about.
    pub files: Vec<RepoPath>,
    /// Judged again, with the record.
    pub judgement: Judgement,
    /// Whether the record still has to be published.
    pub unpublished: bool,
}

/// Prepares a record: judges the change, and binds its exact content.
pub fn prepare(
    world: &World,
    options: &Options,
    decision: &Decision,
    surroundings: &Surroundings,
) -> Result<Draft, Error> {
    let trusted = Trusted::read(world, options.policy_from.as_deref(), Vantage::Clone)?;
    if trusted.absent {
        let message = "there is no policy yet, so nobody's word would count";
        return Err(Error::new(ErrorKind::Policy, message)
            .hint("`countersign init` writes one; it takes effect once it is on the target"));
    }
    let hand = Hand::take(world, &trusted.policy, options.key.as_deref(), surroundings)?;
    let target =
        options.target.as_deref().map_or_else(|| trusted.policy.trust.target.clone(), full_name);
    let range = match rewrite(world, &trusted, options, decision, &target)? {
        Some(pair) => pair,
        None => change_range(world, &trusted, options.range.as_deref(), &target)?,
    };
    let judgement = judge(world, &trusted, target, &range)?;
    let body = body(world, &trusted, &judgement, decision, &hand)?;
    let whole = body.content().map(|content| content.files.clone()).unwrap_or_default();
    Ok(Draft { judgement, hand, body, whole, trusted, range })
}

impl Draft {
    /// What kind of record it will be.
    pub fn record_type(&self) -> RecordType {
        self.body.record_type()
    }

    /// The exact content that will be signed.
    pub fn content(&self) -> &Content {
        self.body.content().expect("approvals, rejections and waivers have one")
    }

    /// The rules that it will be for; none: for all.
    pub fn rules(&self) -> &[String] {
        match &self.body {
            Body::Approval(judgement) | Body::Rejection(judgement) => &judgement.rules,
            Body::Waiver(waiver) => std::slice::from_ref(&waiver.rule),
            _ => &[],
        }
    }

    /// What is said with it.
    pub fn note(&self) -> Option<&str> {
        match &self.body {
            Body::Approval(judgement) | Body::Rejection(judgement) => judgement.note.as_deref(),
            Body::Waiver(waiver) => Some(&waiver.reason),
            _ => None,
        }
    }

    /// Narrows an approval to the files that were approved, and says this with
    /// it. What was left out is neither listed nor counted as shown. May be
    /// called again with others.
    pub fn narrow(&mut self, files: &BTreeSet<RepoPath>, note: Option<String>) {
        let Body::Approval(approval) = &mut self.body else { return };
        let listed = self.whole.iter().filter(|file| files.contains(&file.path));
        approval.content.files = listed.cloned().collect();
        approval.note = note;
        let shown = assistance(&self.judgement, |path| files.contains(path));
        approval.shown = Shown {
            runs: std::mem::take(&mut approval.shown.runs),
            previews: std::mem::take(&mut approval.shown.previews),
            policy: approval.shown.policy.take(),
            ..shown
        };
    }

    /// Where the requirements would stand with this record, as the gate would
    /// judge it: so that nobody signs for nothing.
    pub fn outlook(&self) -> Result<Vec<Judged>, Error> {
        let internal = |error| Error::new(ErrorKind::Internal, error);
        let (record, _) = Record::write(&self.body).map_err(internal)?;
        let signature = SignatureState::Good(self.hand.signature.clone());
        let mut evidence = self.judgement.evidence.clone();
        if let Ok(ledger) = &mut evidence.ledger {
            let is_approval = |it: &SignedRecord| matches!(it.record.body, Body::Approval(_));
            // Where there was no approval yet, nobody asked how old one is.
            if !ledger.records.iter().any(is_approval) {
                evidence.times = Ok(evidence.times.unwrap_or_default());
            }
            ledger.records.push(SignedRecord { record, signature, own: true });
        }
        // Nobody asked yet what became of files that nobody had approved; once it is signed, it is asked.
        let since = evidence.history.entry(self.content().base.clone());
        if let Ok(known) = since.or_insert_with(|| Ok(BTreeMap::new())) {
            for file in &self.content().files {
                known.entry(file.path.clone()).or_default();
            }
        }
        let case = self.judgement.case();
        Ok(judge_case(&case, &self.judgement.obligations(), &evidence).obligations)
    }

    /// Signs and keeps the record, and judges the change again.
    pub fn sign(self, world: &World) -> Result<Signed, Error> {
        let files = self.content().files.iter().map(|file| file.path.clone()).collect();
        let id = self.hand.sign(world, &self.trusted, &self.body)?;
        let judgement = judge(world, &self.trusted, self.judgement.target, &self.range)?;
        Ok(Signed {
            id,
            record_type: self.body.record_type(),
            files,
            judgement,
            unpublished: self.trusted.remote.is_some(),
        })
    }
}

/// The pair of tips that a rewrite of a protected ref is about: asked for by
/// the rule that guards the policy alone, from where the ref stands to what
/// does not descend from it. It is bound tree to tree, as it would be judged.
fn rewrite(
    world: &World,
    trusted: &Trusted,
    options: &Options,
    decision: &Decision,
    target: &str,
) -> Result<Option<Range>, Error> {
    let (Decision::Approve { rules, .. }, Some(word)) = (decision, &options.range) else {
        return Ok(None);
    };
    let (Some((from, to)), [rule]) = (word.split_once(".."), rules.as_slice()) else {
        return Ok(None);
    };
    let (Some(base), Some(head)) = (world.git.resolve_commit(from)?, world.git.resolve_commit(to)?)
    else {
        return Ok(None);
    };
    let stands = trusted.tip(world, target, Vantage::Clone)? == Some(base.clone());
    if rule != POLICY_CHANGE || !stands || world.git.is_ancestor(&base, &head)? {
        return Ok(None);
    }
    Ok(Some(Range { start: Start::at(base), head, text: word.clone() }))
}

fn judge(
    world: &World,
    trusted: &Trusted,
    target: String,
    range: &Range,
) -> Result<Judgement, Error> {
    let question = Question {
        deferred: Default::default(),
        trusted,
        stage: Stage::Merge,
        target,
        range: range.text.clone(),
        server: false,
        lines: true,
        pusher: None,
        vantage: Vantage::Clone,
    };
    question.judge_range(world, &range.start, &range.head)
}

fn body(
    world: &World,
    trusted: &Trusted,
    judgement: &Judgement,
    decision: &Decision,
    hand: &Hand,
) -> Result<Body, Error> {
    let policy = &trusted.policy;
    let content = content(world, policy, &judgement.change, &judgement.target)?;
    let words = Words::default().id(judgement.change.head_tree.as_str());
    let view = ledger(world, trusted).read(&Wanted::About(words))?;
    let by = hand.signer(world, view.shared.clone());
    let shown = || shown(judgement, &view.records);
    Ok(match decision {
        Decision::Approve { rules, note } => {
            known_rules(judgement, rules)?;
            let (rules, note) = (rules.clone(), note.clone());
            Body::Approval(record::Judgement { content, rules, shown: shown(), by, note })
        }
        Decision::Reject { note } => {
            let note = note.clone();
            Body::Rejection(record::Judgement {
                content,
                rules: Vec::new(),
                shown: shown(),
                by,
                note,
            })
        }
        Decision::Waive { rule, reason, expires } => {
            known_rule(judgement, rule)?;
            let expires = waivable(judgement, rule, reason, expires, &hand.person, world.env.now)?;
            let (rule, reason) = (rule.clone(), reason.clone());
            Body::Waiver(Waiver { content, rule, reason, expires, by })
        }
    })
}

fn shown(judgement: &Judgement, records: &[record::SignedRecord]) -> Shown {
    let head_tree = &judgement.change.head_tree;
    let of_this_tree = |signed: &&record::SignedRecord| matches!(&signed.record.body, Body::Run(run) if run.tree == *head_tree);
    Shown {
        runs: records.iter().filter(of_this_tree).map(|it| it.record.id.clone()).collect(),
        previews: previews(judgement).into_iter().map(|(id, _)| id.to_owned()).collect(),
        policy: judgement.policy.source.sha256.clone(),
        ..assistance(judgement, |_| true)
    }
}

/// How much of these files agents wrote.
fn assistance(judgement: &Judgement, is_shown: impl Fn(&RepoPath) -> bool) -> Shown {
    let attribution = &judgement.attribution;
    let all = judgement.change.files.iter().all(|file| is_shown(&file.path));
    let files: Vec<&FileChange> =
        judgement.change.files.iter().filter(|file| is_shown(&file.path)).collect();
    let of_files = files.iter().filter_map(|file| attribution.files.get(&file.path));
    let agents: BTreeSet<String> = match all {
        true => attribution.agents().into_keys().collect(),
        false => of_files.clone().flat_map(|file| file.agents.iter().cloned()).collect(),
    };
    Shown {
        assisted: if all { attribution.assisted() } else { of_files.clone().any(|it| it.assisted) },
        added: files.iter().map(|file| file.added_lines()).sum(),
        assisted_added: of_files.map(|file| file.assisted_added()).sum(),
        agents: agents.into_iter().collect(),
        ..Shown::default()
    }
}

/// The previews that an approver is shown, and whose ids the approval carries.
pub fn previews(judgement: &Judgement) -> Vec<(&str, &record::PreviewRecord)> {
    let case = judgement.case();
    let shown = preview::shown(&case, &judgement.obligations(), &judgement.evidence);
    shown.into_iter().map(|it| (it.id, it.record)).collect()
}

/// Refuses a rule that the policy does not have.
pub fn known_rules(judgement: &Judgement, rules: &[String]) -> Result<(), Error> {
    rules.iter().try_for_each(|rule| known_rule(judgement, rule))
}

/// A misspelt rule would make a record that never counts.
fn known_rule(judgement: &Judgement, rule: &str) -> Result<(), Error> {
    let in_policy = judgement.policy.rules.iter().map(|it| it.id.as_str());
    let applying = judgement.verdict.obligations.iter().map(|it| it.rule.as_str());
    let known: std::collections::BTreeSet<&str> =
        in_policy.chain(applying).chain(["policy-change"]).collect();
    if known.contains(rule) {
        return Ok(());
    }
    let known: Vec<&str> = known.into_iter().collect();
    let error = Error::usage(format!("the policy has no rule `{}`", printable(rule)));
    Err(error.hint(format!("it has: {}", printable(&known.join(", ")))))
}

/// Whether the policy lets this person waive the rule until then.
fn waivable(
    judgement: &Judgement,
    rule: &str,
    reason: &str,
    expires: &str,
    person: &str,
    now: Timestamp,
) -> Result<Timestamp, Error> {
    let policy = &judgement.policy;
    let no = |message: String| Err(Error::new(ErrorKind::Policy, message));
    let Some(waiver) = &policy.waiver else {
        return no("the policy has no [waiver] table, so nobody can waive a rule".to_owned());
    };
    if rule == POLICY_CHANGE || waiver.never.iter().any(|it| it == rule) {
        return no(format!("the policy never lets `{}` be waived", printable(rule)));
    }
    if policy.rules.iter().any(|it| it.id == rule && it.deny) {
        return no(format!("the rule `{}` denies, and no waiver lifts that", printable(rule)));
    }
    if !judgement.verdict.obligations.iter().any(|it| it.rule == rule) {
        return no(format!(
            "the rule `{}` does not apply to this change, so there is nothing to waive",
            printable(rule)
        ));
    }
    if !waiver.from.iter().any(|group| policy.is_member(person, group)) {
        let from = waiver.from.join(", ");
        return no(format!("only {from} can waive a rule; {person} is not in it"));
    }
    if reason.trim().is_empty() {
        return Err(Error::usage("a waiver needs a reason"));
    }
    let until = parse_length(expires).map(|length: Duration| now.plus(length));
    let Some(until) = until.or_else(|| Timestamp::parse(expires)) else {
        let error = Error::usage(format!("`{}` is no length and no time", printable(expires)));
        return Err(error.hint("`--expires 4h`, or `--expires 2026-11-23T18:00:00Z`"));
    };
    if until <= now {
        return Err(Error::usage(format!("{until} is over already")));
    }
    if until > now.plus(waiver.max) {
        let max = crate::gate::time::write_length(waiver.max);
        return no(format!("the policy lets a waiver last {max} at most"));
    }
    Ok(until)
}
