//! Rules: when they apply, and what they require.

use std::collections::BTreeMap;

use toml::Spanned;

use super::super::error::PolicyError;
use super::super::file::{self, Word};
use super::super::*;
use super::Reader;
use super::word::plain;
use crate::gate::change::printable;
use crate::gate::requirement::Requirement;

impl Reader<'_> {
    pub(super) fn rule(
        self,
        policy: &Policy,
        id: String,
        table: file::RuleTable,
    ) -> Result<Rule, PolicyError> {
        if let Some(list) = table.paths.as_ref().filter(|it| it.get_ref().is_empty()) {
            let message = "a rule about no paths would never apply; leave `paths` out for all";
            return Err(self.error(list.span(), message));
        }
        let (deny, deny_stage) = match &table.deny {
            None => (false, Stage::Commit),
            Some(switch) => {
                (switch.on, switch.stage.as_ref().map_or(Stage::Commit, |it| *it.get_ref()))
            }
        };
        Ok(Rule {
            id,
            why: table.why,
            scope: Scope {
                folder: self.folder.to_owned(),
                paths: table.paths.map(|it| self.globs_below(it.get_ref())).transpose()?,
                except: self.globs_below(&table.except)?,
            },
            when: table.when.map(|it| self.when(it.into_inner())).transpose()?.unwrap_or_default(),
            unless: table
                .unless
                .map(|it| self.from(policy, &it.author).map(|author| Unless { author }))
                .transpose()?,
            require: self.require(policy, table.require, &table.id)?,
            deny,
            deny_stage,
        })
    }

    fn when(self, table: file::WhenTable) -> Result<When, PolicyError> {
        for word in [&table.assisted, &table.unattributed].into_iter().flatten() {
            if !word.get_ref() {
                let message = "this would let a mark lift the rule, and marks only ever raise what is required";
                return Err(self
                    .error(word.span(), message)
                    .help("leave the key out to match every change"));
            }
        }
        if let Some(list) = table.agents.as_ref().filter(|it| it.get_ref().is_empty()) {
            return Err(self.error(list.span(), "a rule about no agents would never apply"));
        }
        Ok(When {
            assisted: table.assisted.map(Spanned::into_inner),
            unattributed: table.unattributed.map(Spanned::into_inner),
            agents: table.agents.map(|it| plain(it.get_ref())),
            share: table.share.map(|it| self.comparison(&it, true)).transpose()?,
            lines: table.lines.map(|it| self.comparison(&it, false)).transpose()?,
            files: table.files.map(|it| self.comparison(&it, false)).transpose()?,
        })
    }

    /// Reads `">0.5"`; a share lies between 0 and 1, anything else is whole.
    fn comparison(self, word: &Word, share: bool) -> Result<Comparison, PolicyError> {
        let example = if share { "\">0.5\"" } else { "\">400\"" };
        let text = word.get_ref().trim();
        if text.starts_with('<') || text.starts_with('=') {
            let message = "more assistance or a bigger change would lift this rule";
            return Err(self
                .error(word.span(), message)
                .help(format!("write a bound that is exceeded, as {example}")));
        }
        let (or_equal, number) = match (text.strip_prefix(">="), text.strip_prefix('>')) {
            (Some(number), _) => (true, number),
            (None, Some(number)) => (false, number),
            (None, None) => return Err(self.no_comparison(word, example)),
        };
        let thousandths =
            thousandths(number.trim()).ok_or_else(|| self.no_comparison(word, example))?;
        let reachable = !share || thousandths < 1000 || or_equal && thousandths == 1000;
        if !reachable {
            return Err(
                self.error(word.span(), "a share lies between 0 and 1, so this is never reached")
            );
        }
        if !share && thousandths % 1000 != 0 {
            return Err(self.no_comparison(word, example));
        }
        Ok(Comparison { or_equal, thousandths })
    }

    fn no_comparison(self, word: &Word, example: &str) -> PolicyError {
        self.error(word.span(), format!("this is no bound; write it as {example}"))
    }

    fn require(
        self,
        policy: &Policy,
        table: file::RequireTable,
        id: &Word,
    ) -> Result<Vec<StagedRequirement>, PolicyError> {
        let mut require = Vec::new();
        if let Some(approvals) = &table.approvals {
            if approvals.get_ref().is_empty() {
                return Err(self.error(approvals.span(), "this asks for no approval"));
            }
            if policy.trust.repo_id.is_none() {
                return Err(self
                    .error(id.span(), "rules that ask for approvals need `repo_id` in `[trust]`")
                    .help("approvals name the repository they are for: add `repo_id = \"NAME\"` to `[trust]`"));
            }
            require.extend(self.approvals(policy, approvals.get_ref())?);
        }
        if let Some(names) = &table.tests {
            let found = self.names(names, "test", &policy.tests)?;
            require.push(self.staged(Requirement::Tests(found), names.get_ref().stage.as_ref())?);
        }
        if let Some(coverage) = &table.coverage {
            let min = *coverage.min.get_ref();
            if !(min > 0.0 && min <= 1.0) {
                return Err(self.error(
                    coverage.min.span(),
                    "`min` is a part of the lines, above 0 and at most 1",
                ));
            }
            let requirement = Requirement::Coverage(thousandths_of_part(min));
            require.push(self.staged(requirement, coverage.stage.as_ref())?);
        }
        if let Some(names) = &table.preview {
            let found = self.names(names, "preview", &policy.previews)?;
            require.push(self.staged(Requirement::Preview(found), names.get_ref().stage.as_ref())?);
        }
        if let Some(switch) = table.disclosure.as_ref().filter(|it| it.on) {
            require.push(self.staged(Requirement::Disclosure, switch.stage.as_ref())?);
        }
        Ok(require)
    }

    /// Approvals of one stage are one requirement.
    fn approvals(
        self,
        policy: &Policy,
        tables: &[file::ApprovalTable],
    ) -> Result<Vec<StagedRequirement>, PolicyError> {
        let mut stages = BTreeMap::<Stage, Vec<ApprovalRule>>::new();
        for table in tables {
            let rule = ApprovalRule {
                count: self.count(table.count.as_ref())?,
                from: table
                    .from
                    .as_ref()
                    .map(|it| self.from(policy, it))
                    .transpose()?
                    .unwrap_or_default(),
                presence: table.presence,
                carry: table.carry,
                max_age: table.max_age.as_ref().map(|it| self.length(it)).transpose()?,
            };
            let stage =
                self.staged(Requirement::Approvals(Vec::new()), table.stage.as_ref())?.stage;
            stages.entry(stage).or_default().push(rule);
        }
        let staged = |(stage, rules)| StagedRequirement {
            requirement: Requirement::Approvals(rules),
            stage,
        };
        Ok(stages.into_iter().map(staged).collect())
    }

    /// Puts a requirement at its stage. At `commit` nothing exists yet that
    /// could be approved, tested or previewed: reviewers could not fetch it.
    fn staged(
        self,
        requirement: Requirement,
        stage: Option<&Spanned<Stage>>,
    ) -> Result<StagedRequirement, PolicyError> {
        let chosen = stage.map_or(requirement.default_stage(), |it| *it.get_ref());
        match stage {
            Some(stage) if chosen == Stage::Commit && requirement != Requirement::Disclosure => {
                let message = format!(
                    "`{}` cannot be enforced at `commit`: what is judged is not there yet",
                    requirement.word()
                );
                Err(self.error(stage.span(), message).help("use `push` or `merge`"))
            }
            Some(_) | None => Ok(StagedRequirement { requirement, stage: chosen }),
        }
    }

    fn names<T>(
        self,
        names: &Spanned<file::Names>,
        what: &str,
        known: &BTreeMap<String, T>,
    ) -> Result<Vec<String>, PolicyError> {
        if names.get_ref().names.is_empty() {
            return Err(self.error(names.span(), format!("this names no {what}")));
        }
        let mut found = Vec::new();
        for word in &names.get_ref().names {
            let name = self.find(word, what, known).map_err(|error| match &error.help {
                Some(_) => error,
                None => {
                    error.help(format!("define it as `[{what}.{}]`", printable(word.get_ref())))
                }
            })?;
            if !found.iter().any(|it| it == name) {
                found.push(name.to_owned());
            }
        }
        Ok(found)
    }

    pub(super) fn waiver(
        self,
        policy: &Policy,
        table: file::WaiverTable,
    ) -> Result<WaiverRule, PolicyError> {
        Ok(WaiverRule {
            from: self.from(policy, &table.from)?,
            max: self.length(&table.max)?,
            review_within: table.review_within.as_ref().map(|it| self.length(it)).transpose()?,
            never: table.never,
        })
    }
}

/// Reads a decimal number of at most three places as thousandths.
fn thousandths(text: &str) -> Option<u64> {
    let (whole, places) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |it: &str| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(places) || places.len() > 3 {
        return None;
    }
    let padded = format!("{places:0<3}");
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(padded.parse().ok()?)
}

/// `part` lies between 0 and 1, so that its thousandths are a small number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the caller has checked the range"
)]
fn thousandths_of_part(part: f64) -> u64 {
    ((part * 1000.0).round() as u64).max(1)
}
