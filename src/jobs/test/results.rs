//! Results that were made elsewhere: written to a file, read, and taken in.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::Error;
use super::keeping::keep;
use super::plan::Plan;
use super::signing::Signing;
use super::{Place, Report};
use crate::adapters::env::Env;
use crate::adapters::fs;
use crate::adapters::runner::End;
use crate::gate::change::printable;
use crate::gate::junit;
use crate::gate::record::{Body, Record, Run};

/// The most bytes of a file of results.
const MAX_RESULTS: u64 = 64 << 20;

/// Takes results that another job wrote, after comparing each with the plan:
/// the test is one of the policy's, and commit, tree and key are those of this
/// change as this clone sees it. Nothing of the change is run or checked out.
/// All of them hold, or none is taken.
pub fn import(
    place: Place<'_>,
    plan: &Plan,
    results: &[u8],
    signing: &Signing,
) -> Result<Vec<Report>, Error> {
    let lines = results.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut runs: Vec<Run> = Vec::new();
    for line in lines {
        let run = parse_result(line).and_then(|run| matching(plan, run).map_err(Error::usage))?;
        if runs.iter().any(|it| it.test == run.test) {
            return Err(Error::usage(format!(
                "there are two results of `{}`",
                printable(&run.test)
            )));
        }
        runs.push(run);
    }
    if runs.is_empty() && !plan.tests.is_empty() {
        return Err(Error::usage("there is no result to import")
            .hint("`countersign test --output FILE` writes one"));
    }
    let mut reports = Vec::new();
    for run in runs {
        let mut report = Report {
            test: run.test.clone(),
            end: if run.passed { End::Passed } else { End::Failed },
            summary: printable(&run.summary),
            duration: Duration::from_millis(run.duration_ms),
            retried: run.retried.clone(),
            reused: false,
            record: None,
            log: None,
            tail: String::new(),
            result: None,
        };
        report.record = Some(keep(place, run, Some(signing))?.0);
        reports.push(report);
    }
    Ok(reports)
}

/// Reads files that [`write_results`] wrote, or folders of such files.
pub fn read_results(env: &Env, places: &[PathBuf]) -> Result<Vec<u8>, Error> {
    let mut results = Vec::new();
    for place in places {
        let place = env.dir.join(place);
        let files = if place.is_dir() { fs::list(&place)? } else { vec![place] };
        for path in files {
            // Another job made them: a link or a pipe is not followed.
            if path.symlink_metadata().is_ok_and(|it| !it.is_file()) {
                return Err(Error::usage(format!("`{}` is no regular file", path.display())));
            }
            let Some(bytes) = fs::read(&path, MAX_RESULTS)? else {
                return Err(Error::usage(format!("there is no file `{}`", path.display())));
            };
            results.extend(bytes);
            if results.len() as u64 > MAX_RESULTS {
                return Err(Error::usage(format!("the results exceed {MAX_RESULTS} bytes")));
            }
        }
    }
    Ok(results)
}

/// Writes the unsigned results, a record a line, for a job that imports them.
pub fn write_results(env: &Env, file: &Path, reports: &[Report]) -> Result<(), Error> {
    let results = reports.iter().filter_map(|report| report.result.as_deref());
    Ok(fs::write_atomically(&env.dir.join(file), &results.collect::<Vec<_>>().concat(), 0o644)?)
}

fn parse_result(line: &[u8]) -> Result<Run, Error> {
    let record = Record::parse(&[line, b"\n"].concat()).map_err(Error::usage)?;
    match record.body {
        Body::Run(run) => Ok(run),
        Body::Approval(_)
        | Body::Rejection(_)
        | Body::Withdrawal(_)
        | Body::Waiver(_)
        | Body::Preview(_)
        | Body::Attribution(_)
        | Body::Verdict(_) => Err(Error::usage("the file holds a record that is no test result")),
    }
}

/// The run, if it is about what the plan asks and does not contradict itself.
fn matching(plan: &Plan, run: Run) -> Result<Run, String> {
    let name = printable(&run.test);
    let Some(planned) = plan.tests.iter().find(|it| it.test.name == run.test) else {
        return Err(format!("the result of `{name}` is about no test that this change needs"));
    };
    let differs = |what: &str, found: &str, wanted: &str| {
        Err(format!("the result of `{name}` is about {what} {}, not {wanted}", printable(found)))
    };
    if run.commit != plan.commit {
        return differs("commit", run.commit.as_str(), plan.commit.as_str());
    }
    let tree = plan.tree_of(&planned.test);
    if run.tree != *tree {
        return differs("tree", run.tree.as_str(), tree.as_str());
    }
    if run.key != planned.key {
        return differs("key", &run.key, &planned.key);
    }
    let packages = plan.packages_of(&run.test);
    if run.packages != packages {
        return differs("packages", &run.packages.join(" "), &packages.join(" "));
    }
    if run.repo != plan.repo {
        let word = |repo: &Option<String>| repo.clone().unwrap_or_else(|| "none".to_owned());
        return differs("repository", &word(&run.repo), &word(&plan.repo));
    }
    let failed = run.tests.as_ref().is_some_and(|it| it.failed > 0 || junit::nothing_ran(it));
    let reported = planned.test.reports.junit.is_empty() || run.tests.is_some();
    let proof = run.proof.as_ref().map(|it| it.subject.as_str());
    if let (Some(found), Some((wanted, _))) = (proof, plan.proofs.get(&run.test))
        && found != wanted
    {
        return differs("assisted lines", found, wanted);
    }
    if run.passed && (run.exit != Some(0) || failed || !reported) {
        return Err(format!(
            "the result of `{name}` says that it passed, and its own figures say no"
        ));
    }
    Ok(run)
}
