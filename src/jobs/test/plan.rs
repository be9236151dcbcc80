//! What is to be run of which tests, on which tree.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Error;
use super::super::inputs::{self, Depends, Head};
use super::super::judgement::Judgement;
use super::MAX_SOURCE;
use crate::adapters::git::Git;
use crate::gate::change::{Change, Oid, RepoPath, printable};
use crate::gate::evidence::{Evidence, MergeResult};
use crate::gate::packages::Affected;
use crate::gate::policy::{Policy, TestCommand};
use crate::gate::proof::{Source, subject};
use crate::gate::run;

/// What is to be run, on what.
#[derive(Clone, Debug)]
pub struct Plan {
    pub commit: Oid,
    pub tree: Oid,
    pub base: Oid,
    /// The change's files that stand at `commit`.
    pub files: Vec<RepoPath>,
    pub tests: Vec<Planned>,
    /// By a test's name what it has to notice: the digest, and the assisted hunks.
    pub proofs: BTreeMap<String, (String, Vec<Source>)>,
    /// By a test's name the packages that it runs for; absent: for all there are.
    pub packages: BTreeMap<String, Affected>,
    /// What is tested by tests that run on the result of a merge.
    pub merged: Option<MergeResult>,
    pub repo: Option<String>,
    /// SHA-256 of the policy's bytes.
    pub policy: Option<String>,
}

/// A test, and the key under which its results are recorded.
#[derive(Clone, Debug)]
pub struct Planned {
    pub test: TestCommand,
    pub key: String,
    /// The words of `run`, with the packages filled in.
    pub words: Vec<String>,
}

impl Plan {
    /// Plans the named tests of the policy for a change's head; fails on a name
    /// that the policy does not have. `evidence` holds the digests of inputs that
    /// were looked up already, and the result of the merge where one is tested.
    pub fn new(
        git: &Git,
        policy: &Policy,
        change: &Change,
        names: &BTreeSet<String>,
        evidence: &Evidence,
    ) -> Result<Plan, Error> {
        let mut tests = Vec::new();
        let merged = evidence.merge_result.as_ref();
        let merged_tree = merged.and_then(|it| it.as_ref().ok()).map(|it| &it.tree);
        let mut head = Head::new(git, change, &change.head_tree);
        let mut merge = Head::new(git, change, merged_tree.unwrap_or(&change.head_tree));
        let mut packages = BTreeMap::new();
        for name in names {
            let Some(test) = policy.tests.get(name) else {
                let known: Vec<_> = policy.tests.keys().map(String::as_str).collect();
                let error = Error::usage(format!("the policy has no test `{}`", printable(name)));
                return Err(error.hint(format!("it has: {}", printable(&known.join(", ")))));
            };
            let head = match (test.on_merge, merged) {
                (false, _) | (true, Some(Ok(_))) => {
                    if test.on_merge {
                        &mut merge
                    } else {
                        &mut head
                    }
                }
                (true, Some(Err(why))) => return Err(inputs::unknown(name, why)),
                (true, None) => {
                    let why =
                        "it runs on the result of a merge, and no rule asks this change for it";
                    return Err(inputs::unknown(name, why));
                }
            };
            let depends = match evidence.inputs.get(name) {
                Some(Ok(digest)) if test.packages.is_none() => {
                    Depends { digest: digest.clone(), packages: None }
                }
                Some(_) | None => head.depends(test).map_err(|why| inputs::unknown(name, &why))?,
            };
            let words = inputs::words(test, depends.packages.as_ref());
            packages.extend(depends.packages.map(|affected| (name.clone(), affected)));
            tests.push(Planned { key: run::key(test, &depends.digest), test: test.clone(), words });
        }
        let stands = |mode: u32| mode != 0o160_000;
        let files =
            change.files.iter().filter(|file| file.new.as_ref().is_some_and(|it| stands(it.mode)));
        Ok(Plan {
            commit: change.head.clone(),
            tree: change.head_tree.clone(),
            base: change.base.clone(),
            files: files.map(|file| file.path.clone()).collect(),
            tests,
            proofs: BTreeMap::new(),
            packages,
            merged: merged.and_then(|it| it.clone().ok()),
            repo: policy.trust.repo_id.clone(),
            policy: policy.source.sha256.clone(),
        })
    }

    /// Notes which hunks have to be taken out for which test.
    pub(super) fn prove(&mut self, git: &Git, judgement: &Judgement) -> Result<(), Error> {
        for planned in &self.tests {
            let test = &planned.test;
            let Some(subject) = subject(&judgement.change, &judgement.attribution, test) else {
                continue;
            };
            let mut sources = Vec::new();
            for file in &subject.files {
                let read = |oid: &Option<Oid>| {
                    oid.as_ref().map(|oid| git.blob(oid, MAX_SOURCE)).transpose()
                };
                sources.extend(Source::new(file, read(&file.old)?, read(&file.new)?));
            }
            self.proofs.insert(test.name.clone(), (subject.digest, sources));
        }
        Ok(())
    }

    /// The tree on which a test runs.
    pub(super) fn tree_of(&self, test: &TestCommand) -> &Oid {
        self.merge_of(test).map_or(&self.tree, |it| &it.tree)
    }

    /// The merge on whose result a test runs, if it does.
    pub(super) fn merge_of(&self, test: &TestCommand) -> Option<&MergeResult> {
        self.merged.as_ref().filter(|_| test.on_merge)
    }

    /// The packages that a test runs for; empty: for all there are.
    pub(super) fn packages_of(&self, test: &str) -> Vec<String> {
        let affected = self.packages.get(test);
        affected.into_iter().flat_map(Affected::names).map(str::to_owned).collect()
    }

    /// The matrix for CI's jobs.
    pub fn matrix(&self) -> serde_json::Value {
        let row = |planned: &Planned| {
            let mut row = serde_json::json!({
                "test": planned.test.name,
                "commit": self.commit.as_str(),
                "tree": self.tree_of(&planned.test).as_str(),
                "key": planned.key,
                "run": planned.words,
            });
            if let Some(affected) = self.packages.get(&planned.test.name) {
                row["packages"] = affected.names().collect();
            }
            row
        };
        serde_json::json!({ "include": self.tests.iter().map(row).collect::<Vec<_>>() })
    }
}
