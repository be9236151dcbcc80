//! Records of runs: found again, written and kept.

use std::time::Duration;

use super::super::{Error, ErrorKind};
use super::plan::{Plan, Planned};
use super::signing::{Signing, nobody, signer, signing_error};
use super::{Place, Report, client};
use crate::adapters::runner::{self, End, Order};
use crate::adapters::signature;
use crate::adapters::store::Unpublished;
use crate::gate::change::printable;
use crate::gate::proof::Source;
use crate::gate::record::{Body, Record, Run, SignedRecord};
use crate::gate::requirement::coverage::tells;
use crate::gate::run;

/// How long this clone's last run of a test took, proofs aside.
pub fn last_duration(records: &[SignedRecord], test: &str) -> Option<Duration> {
    let runs = records.iter().filter(|it| it.own).filter_map(as_run).filter(|it| it.test == test);
    runs.max_by_key(|run| run.by.at).map(|run| Duration::from_millis(run.duration_ms))
}

/// A pass that this clone recorded for the same inputs in the same surroundings.
pub(super) fn reusable<'a>(
    planned: &Planned,
    order: &Order<'_>,
    records: &'a [SignedRecord],
) -> Option<&'a SignedRecord> {
    let environment =
        runner::environment_digests(&runner::environment(order.variables, &planned.test));
    let wanted = run::reuse_key(
        &planned.key,
        &run::Surroundings {
            environment: &environment,
            platform: &runner::platform(),
            client: &client(),
            argv: &runner::recorded_words(&planned.test, order),
        },
    );
    let same = |run: &Run| {
        let surroundings = run::Surroundings {
            environment: &run.environment,
            platform: &run.platform,
            client: &run.client,
            argv: &run.argv,
        };
        run.passed
            && run.key == planned.key
            && run.sandbox.network == planned.test.network
            && tells(run.coverage.as_ref(), &planned.test, order.files)
            && is_proven(run, order.proofs.get(&planned.test.name))
            && run::reuse_key(&run.key, &surroundings) == wanted
    };
    let own = records.iter().filter(|record| record.own);
    // The signed one of two is worth more.
    own.filter(|record| as_run(record).is_some_and(same))
        .max_by_key(|record| as_run(record).map(|run| (run.by.key.is_some(), run.by.at)))
}

/// Whether a run says whether it notices what it has to.
pub(super) fn is_proven(run: &Run, wanted: Option<&(String, Vec<Source>)>) -> bool {
    let found = run.proof.as_ref().map(|it| &it.subject);
    wanted.is_none_or(|(subject, _)| found == Some(subject))
}

pub(super) fn as_run(record: &SignedRecord) -> Option<&Run> {
    match &record.record.body {
        Body::Run(run) => Some(run),
        Body::Approval(_)
        | Body::Rejection(_)
        | Body::Withdrawal(_)
        | Body::Waiver(_)
        | Body::Preview(_)
        | Body::Attribution(_)
        | Body::Verdict(_) => None,
    }
}

/// An earlier pass stands; where a signature is wanted and it has none, it is
/// recorded once more, signed.
pub(super) fn reuse(
    place: Place<'_>,
    record: &SignedRecord,
    signing: Option<&Signing>,
) -> Result<Report, Error> {
    let Some(run) = as_run(record) else {
        return Err(Error::new(ErrorKind::Internal, "a record that is no run was reused"));
    };
    let (id, result) = match signing {
        Some(signing) if run.by.key.is_none() => keep(place, run.clone(), Some(signing))?,
        Some(_) | None => (record.record.id.clone(), unsigned(run)?),
    };
    Ok(Report {
        test: run.test.clone(),
        end: End::Passed,
        summary: printable(&run.summary),
        duration: Duration::from_millis(run.duration_ms),
        retried: run.retried.clone(),
        reused: true,
        record: Some(id),
        log: None,
        tail: String::new(),
        result: Some(result),
    })
}

/// Records an outcome that says something about the tree.
pub(super) fn keep_outcome(
    place: Place<'_>,
    plan: &Plan,
    planned: &Planned,
    order: &Order<'_>,
    outcome: runner::Outcome,
    signing: Option<&Signing>,
) -> Result<Report, Error> {
    let mut retried = Vec::new();
    let (record, result) = match outcome.end {
        End::NotRun => (None, None),
        End::Passed | End::Failed => {
            let run = Run {
                repo: plan.repo.clone(),
                test: planned.test.name.clone(),
                key: planned.key.clone(),
                commit: plan.commit.clone(),
                tree: order.tree.clone(),
                merged: (order.commit != &plan.commit).then(|| Box::new(order.commit.clone())),
                passed: outcome.end == End::Passed,
                exit: outcome.exit,
                summary: outcome.summary.clone(),
                duration_ms: u64::try_from(outcome.duration.as_millis()).unwrap_or(u64::MAX),
                argv: runner::recorded_words(&planned.test, order),
                environment: outcome.environment,
                platform: runner::platform(),
                client: client(),
                policy: plan.policy.clone(),
                packages: plan.packages_of(&planned.test.name),
                retried: outcome.retried,
                sandbox: Box::new(outcome.sandbox),
                tests: outcome.counts,
                coverage: outcome.coverage,
                proof: outcome.proof.map(Box::new),
                by: nobody(),
            };
            retried = run.retried.clone();
            let (id, result) = keep(place, run, signing)?;
            (Some(id), Some(result))
        }
    };
    Ok(Report {
        test: outcome.test,
        end: outcome.end,
        summary: outcome.summary,
        duration: outcome.duration,
        retried,
        reused: false,
        record,
        log: outcome.log,
        tail: outcome.tail,
        result,
    })
}

/// Keeps a run as a record; returns its id, and the unsigned record's bytes.
pub(super) fn keep(
    place: Place<'_>,
    mut run: Run,
    signing: Option<&Signing>,
) -> Result<(String, Vec<u8>), Error> {
    let result = unsigned(&run)?;
    run.by = signer(signing);
    Ok((keep_body(place, &Body::Run(run), signing)?, result))
}

/// Keeps a record, signed if there is a key; returns its id.
pub(in crate::jobs) fn keep_body(
    place: Place<'_>,
    body: &Body,
    signing: Option<&Signing>,
) -> Result<String, Error> {
    let (record, bytes) = write(body)?;
    let signature = match signing {
        None => None,
        Some(signing) => {
            let namespace = record.record_type().namespace();
            let armoured = signature::sign(&bytes, &namespace, &signing.key, signing.terminal);
            Some(armoured.map_err(signing_error)?.into_bytes())
        }
    };
    place.store.keep(&Unpublished { id: record.id.clone(), bytes, signature })?;
    Ok(record.id)
}

fn unsigned(run: &Run) -> Result<Vec<u8>, Error> {
    write(&Body::Run(Run { by: nobody(), ..run.clone() })).map(|(_, bytes)| bytes)
}

fn write(body: &Body) -> Result<(Record, Vec<u8>), Error> {
    Record::write(body).map_err(|error| Error::new(ErrorKind::Internal, error))
}
