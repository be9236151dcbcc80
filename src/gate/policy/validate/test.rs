//! Tests: their words, retries, packages and tools.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;

use super::super::error::PolicyError;
use super::super::file::{self, Word};
use super::super::key::sha256_hex;
use super::super::*;
use super::Reader;
use super::word::{plain, variable};

/// The most attempts after the first.
const MOST_RETRIES: usize = 5;

impl Reader<'_> {
    pub(super) fn test(
        self,
        name: String,
        table: file::TestTable,
    ) -> Result<TestCommand, PolicyError> {
        if let Some(list) = table.inputs.as_ref().filter(|it| it.get_ref().is_empty()) {
            let message = "a test that depends on nothing proves nothing; leave `inputs` out for the whole tree";
            return Err(self.error(list.span(), message));
        }
        let inputs = table.inputs.map(|it| self.globs_below(it.get_ref())).transpose()?;
        let setup_inputs = table.setup_inputs.map(|it| self.globs_below(&it)).transpose()?;
        for variable_name in &table.env {
            variable(self.text, variable_name)?;
        }
        let mut test = TestCommand {
            name,
            run: self.words(&table.run)?,
            setup: table.setup.map(|it| self.words(&it)).transpose()?,
            setup_inputs,
            inputs,
            timeout: match &table.timeout {
                Some(word) => self.length(word)?,
                None => Duration::from_secs(600),
            },
            reports: Reports {
                junit: self.paths(&table.reports.junit)?,
                coverage: self.paths(&table.reports.coverage)?,
            },
            prove: None,
            mutate: None,
            tests: table.tests.map(|it| self.globs_below(it.get_ref())).transpose()?,
            on_merge: table.on.as_ref().is_some_and(|it| *it.get_ref() == file::OnWord::Merge),
            tier: table.tier,
            retries: self.retries(table.retries.as_ref())?,
            wrap: table.wrap.map(|it| self.words(&it)).transpose()?.unwrap_or_default(),
            network: table.network.unwrap_or(true),
            packages: None,
            accept: self.accept(table.accept.as_ref())?,
            env: plain(&table.env),
            not_evaluable: Vec::new(),
            digest: String::new(),
        };
        if let (Some(on), Some(_), true) = (&table.on, &table.prove, test.on_merge) {
            let message =
                "a proof takes lines out of the head, so `prove` goes with `on = \"head\"`";
            return Err(self.error(on.span(), message));
        }
        if let Some(prove) = &table.prove {
            let compares = *prove.get_ref() == file::ProveWord::Revert;
            if compares && test.reports.junit.is_empty() {
                let message =
                    "a proof compares tests by name, so `reports` has to name a JUnit file";
                return Err(self.error(prove.span(), message));
            }
            match prove.get_ref() {
                file::ProveWord::Revert => test.prove = Some(Prove::Revert),
                file::ProveWord::Mutate => test.prove = Some(Prove::Mutate),
            }
        }
        if let Some(mutate) = &table.mutate {
            if test.prove != Some(Prove::Mutate) {
                let message = "`mutate` says how, and `prove = \"mutate\"` that it is to be done";
                return Err(self.error(mutate.span(), message));
            }
            test.mutate = Some(self.mutation_tool(mutate.get_ref())?);
        }
        test.packages = self.packages(&test, table.run.span(), table.packages, table.workspace)?;
        test.digest = digest(self.folder, &test);
        Ok(test)
    }

    fn retries(self, number: Option<&Spanned<u64>>) -> Result<usize, PolicyError> {
        match number {
            None => Ok(0),
            Some(number) => usize::try_from(*number.get_ref())
                .ok()
                .filter(|it| *it <= MOST_RETRIES)
                .ok_or_else(|| {
                    let message = format!(
                        "a test that fails {MOST_RETRIES} times and passes once has failed"
                    );
                    self.error(number.span(), message)
                }),
        }
    }

    /// Of which packages a test runs those that the change affects.
    fn packages(
        self,
        test: &TestCommand,
        run: Range<usize>,
        word: Option<Spanned<file::PackagesWord>>,
        workspace: Option<Word>,
    ) -> Result<Option<Selection>, PolicyError> {
        let asks = |words: &[String]| words.iter().any(|it| packages::is_placeholder(it));
        if test.setup.as_deref().is_some_and(asks) || asks(&test.wrap) {
            let message = "`{packages}` belongs into `run` alone";
            return Err(self.error(run, message));
        }
        let ecosystem = match word.map(Spanned::into_inner) {
            Some(file::PackagesWord::Cargo) => Ecosystem::Cargo,
            Some(file::PackagesWord::Node) => Ecosystem::Node,
            Some(file::PackagesWord::Go) => Ecosystem::Go,
            Some(file::PackagesWord::Python) => Ecosystem::Python,
            None if asks(&test.run) => {
                let program = test.run.first().and_then(|it| Ecosystem::of_program(it));
                program.ok_or_else(|| {
                    let known = Ecosystem::ALL.map(|it| format!("\"{}\"", it.word())).join(", ");
                    let message = format!("whose packages `{{packages}}` names is not clear; write `packages` as one of {known}");
                    self.error(run.clone(), message)
                })?
            }
            None => {
                return match workspace {
                    Some(word) => {
                        let message =
                            "a test without `packages` or `{packages}` runs for all of them";
                        Err(self.error(word.span(), message))
                    }
                    None => Ok(None),
                };
            }
        };
        let root = workspace.as_ref().map(|it| self.path(it)).transpose()?.unwrap_or_default();
        Ok(Some(Selection { ecosystem, root: root.trim_matches('/').to_owned() }))
    }

    fn mutation_tool(self, table: &file::MutateTable) -> Result<MutationTool, PolicyError> {
        Ok(MutationTool {
            run: self.words(&table.run)?,
            report: self.path(&table.report)?,
            timeout: match &table.timeout {
                Some(word) => self.length(word)?,
                None => Duration::from_secs(1200),
            },
        })
    }
}

/// What a test's results depend on as far as the policy goes. Who may report
/// them (`accept`) is not part of it.
fn digest(folder: &str, test: &TestCommand) -> String {
    let patterns = |globs: &Option<Globs>| globs.as_ref().map(|it| it.patterns.clone());
    let mut definition = serde_json::json!({
        "coverage": test.reports.coverage,
        "env": test.env,
        "folder": folder,
        "inputs": patterns(&test.inputs),
        "junit": test.reports.junit,
        "run": test.run,
        "setup": test.setup,
        "setup_inputs": patterns(&test.setup_inputs),
        "timeout": test.timeout.as_secs(),
    });
    // What a table does not say leaves its digest as it was.
    if test.on_merge {
        definition["on"] = "merge".into();
    }
    if test.retries > 0 {
        definition["retries"] = test.retries.into();
    }
    if !test.wrap.is_empty() {
        definition["wrap"] = serde_json::json!(test.wrap);
    }
    if !test.network {
        definition["network"] = false.into();
    }
    if let Some(selection) = &test.packages {
        definition["packages"] = selection.ecosystem.word().into();
        definition["workspace"] = selection.root.as_str().into();
    }
    if let Some(tool) = &test.mutate {
        definition["mutate"] = serde_json::json!([tool.run, tool.report, tool.timeout.as_secs()]);
    }
    sha256_hex(definition.to_string().as_bytes())
}
