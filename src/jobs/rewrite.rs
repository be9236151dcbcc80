//! Rewrites of protected refs: only the old policy's consent to that very pair
//! of tips lets one through.

use crate::gate::change::printable;
use crate::gate::evidence::Need;
use crate::gate::obligation::{Obligation, POLICY_CHANGE, policy_change_rule};
use crate::gate::policy::ApprovalRule;
use crate::gate::requirement::{Requirement, approvals};
use crate::gate::verdict::{Code, Finding, State};

use super::judgement::Judgement;
use super::trusted::{Trusted, Vantage};
use super::world::World;
use super::{Error, gather};

/// Returns what blocks a push that rewinds a protected ref from the base to
/// the head of this judgement.
pub fn findings(
    world: &World,
    trusted: &Trusted,
    vantage: Vantage<'_>,
    judgement: &Judgement,
) -> Result<Vec<Finding>, Error> {
    let case = judgement.case();
    let rule = policy_change_rule(&judgement.policy);
    let files = judgement.change.files.iter().collect();
    let obligation = Obligation { rule: std::borrow::Cow::Borrowed(&rule), files };
    let obligations = std::slice::from_ref(&obligation);
    let needs = [Need::Records].into();
    let evidence = gather::gather(world, trusted, &case, vantage, &needs, obligations)?;
    let outcome = approvals::judge_pair_of_tips(&case, &obligation, &entries(&rule), &evidence);
    // Where both tips hold the same tree there is no file whose approval could be counted.
    if outcome.state == State::Satisfied && !judgement.change.files.is_empty() {
        return Ok(Vec::new());
    }
    let (base, head) = (judgement.change.base.short(), judgement.change.head.short());
    let target = printable(&judgement.target);
    // No approval can bind a pair of tips between which no file is different.
    let consent = match judgement.change.files.is_empty() {
        true => String::new(),
        false => format!(
            " ({}; `countersign approve {base}..{head} --rule {POLICY_CHANGE} --target {target}` consents to it)",
            outcome.detail
        ),
    };
    let message = format!(
        "the push rewinds {target}, which the policy protects: commits would be gone from it{consent}"
    );
    Ok(vec![
        Finding::block(Code::RefRewrite, message)
            .next("git fetch, then rebase or merge what the remote holds, and push without force"),
    ])
}

fn entries(rule: &crate::gate::policy::Rule) -> Vec<ApprovalRule> {
    let mut entries = Vec::new();
    for staged in &rule.require {
        if let Requirement::Approvals(rules) = &staged.requirement {
            entries.extend(rules.iter().cloned());
        }
    }
    entries
}
