//! Whether a person's word narrows a commit's disclosure to the lines that
//! agents recorded: `narrow = "signed"` under `[trust]`.
//!
//! A declared mark covers every added line of its commit. Where our own hook
//! wrote it, because an agent's records had some of the lines, it says more
//! than is known; a human of the policy who signs what was recorded of exactly
//! this commit takes the rest of its lines off it: those are then unattributed.
//! Whatever is missing, or is not as it has to be, narrows nothing. What
//! anybody else recorded of the commit still adds lines.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::approval::grants;
use super::change::Oid;
use super::policy::{Narrow, PersonKind, Policy};
use super::record::canonical::sha256;
use super::record::{SignatureState, SignedRecord};
use super::recorded::{self, RecordedLines, hash};
use super::signal::catalogue::UNKNOWN;
use super::signal::{Signal, SignalKind, Strength};
use crate::gate::order;

/// What our hook wrote into a commit's message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Who the commit is by and since when, see [`author`]: it stays the same
    /// when the commit is amended, moved or picked.
    pub author: String,
    /// The trailers, each as a mark's value says it.
    pub trailers: Vec<String>,
}

/// A hash of a commit's `author` line: name, address and time.
pub fn author(line: &[u8]) -> String {
    sha256(line).chars().take(32).collect()
}

/// The trailers that stand in a message only since the hook added to it.
pub fn added(before: &[Signal], after: &[Signal]) -> Vec<String> {
    let count = |marks: &[Signal], value: &str| {
        marks.iter().filter(|it| is_declared(it) && it.value == value).count()
    };
    let new = |value: &&str| count(before, value) == 0 && count(after, value) == 1;
    let values: BTreeSet<&str> =
        order::set(after.iter().filter(|it| is_declared(it)).map(|it| it.value.as_str()));
    values.into_iter().filter(new).map(str::to_owned).collect()
}

fn is_declared(mark: &Signal) -> bool {
    mark.assists() && mark.strength == Strength::Declared
}

/// Why a commit's disclosure stays as wide as the commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wide {
    #[error("it bears no declared mark")]
    NothingDeclared,
    #[error("a mark of it is no trailer that our hook wrote")]
    NotOurs,
    #[error("an agent made it")]
    MadeByAgent,
    #[error("no line of it is recorded for an agent that a trailer names")]
    NoLines,
}

/// Says whether the declared marks of a commit are all our hook's, each by an
/// agent of which lines were recorded.
pub fn may_narrow(
    marks: &[Signal],
    written: &[String],
    lines: &[RecordedLines],
) -> Result<(), Wide> {
    let declared: Vec<&Signal> = marks.iter().filter(|it| is_declared(it)).collect();
    if declared.is_empty() {
        return Err(Wide::NothingDeclared);
    }
    let ours = |mark: &&&Signal| {
        mark.kind == SignalKind::Trailer && mark.agent != UNKNOWN && written.contains(&mark.value)
    };
    let values: BTreeSet<&str> = order::set(declared.iter().map(|it| it.value.as_str()));
    // The same line twice was not written by the hook alone.
    if declared.iter().filter(ours).count() != declared.len() || values.len() != declared.len() {
        return Err(Wide::NotOurs);
    }
    if marks.iter().any(is_ambient) {
        return Err(Wide::MadeByAgent);
    }
    let has_lines = |agent: &str| {
        lines.iter().any(|it| it.agent == agent && it.runs.iter().any(|run| !run.lines.is_empty()))
    };
    match declared.iter().all(|mark| has_lines(&mark.agent)) {
        true => Ok(()),
        false => Err(Wide::NoLines),
    }
}

/// Whether a mark says that an agent ran where the commit was made.
pub fn is_ambient(mark: &Signal) -> bool {
    matches!(mark.kind, SignalKind::Environment | SignalKind::Process | SignalKind::Branch)
}

/// On whose word a record narrows the marks of a commit. `withdrawn`: ids of
/// records that were taken back; `content` gives a file as it stands in the
/// commit, by its path as records write it.
pub fn narrowed_by<'p>(
    policy: &'p Policy,
    commit: &Oid,
    marks: &[Signal],
    signed: &SignedRecord,
    withdrawn: &BTreeSet<String>,
    content: &mut dyn FnMut(&str) -> Option<Vec<u8>>,
) -> Option<&'p str> {
    let SignatureState::Good(signature) = &signed.signature else { return None };
    let person = grants(policy, signature).filter(|it| it.kind == PersonKind::Human)?;
    if policy.trust.narrow != Narrow::Signed || withdrawn.contains(&signed.record.id) {
        return None;
    }
    let (of, lines) = recorded::read(&signed.record.body)?;
    let written = recorded::written(&signed.record.body)?;
    let stands = of.as_ref() == Some(commit)
        && may_narrow(marks, &written.trailers, &lines).is_ok()
        && lines.iter().all(|it| stands_there(it, content));
    stands.then_some(person.name.as_str())
}

/// Whether the recorded lines are those of the commit, each at its number.
pub fn stands_there(
    recorded: &RecordedLines,
    content: &mut dyn FnMut(&str) -> Option<Vec<u8>>,
) -> bool {
    let Some(bytes) = content(&recorded.path) else { return false };
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    recorded.runs.iter().all(|run| {
        let first = usize::try_from(run.start.saturating_sub(1)).unwrap_or(usize::MAX);
        let there = first.checked_add(run.lines.len()).and_then(|end| lines.get(first..end));
        run.start > 0
            && there.is_some_and(|there| {
                there.iter().zip(&run.lines).all(|(line, expected)| hash(line) == *expected)
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::recorded::Run;

    fn mark(agent: &str, kind: SignalKind, value: &str) -> Signal {
        let strength = match kind {
            SignalKind::Session | SignalKind::Environment => Strength::Recorded,
            SignalKind::Identity
            | SignalKind::Trailer
            | SignalKind::Footer
            | SignalKind::Branch
            | SignalKind::Process
            | SignalKind::Note
            | SignalKind::Review => Strength::Declared,
        };
        let (agent, value) = (agent.to_owned(), value.to_owned());
        Signal { agent, kind, strength, value, model: None, in_trailer_block: None }
    }

    fn lines(agent: &str) -> RecordedLines {
        let run = Run { start: 2, reformatted: false, lines: vec![hash("two"), hash("three")] };
        let (path, session) = ("a".to_owned(), "s".to_owned());
        let agent = agent.to_owned();
        RecordedLines { path, agent, session, model: None, moved: false, runs: vec![run] }
    }

    #[track_caller]
    fn check(marks: &[Signal], written: &[&str], agents: &[&str], expected: Result<(), Wide>) {
        let written: Vec<String> = written.iter().map(|it| (*it).to_owned()).collect();
        let lines: Vec<RecordedLines> = agents.iter().map(|it| lines(it)).collect();
        assert_eq!(may_narrow(marks, &written, &lines), expected);
    }

    #[test]
    fn only_what_our_hook_wrote_of_agents_with_lines_may_be_narrowed() {
        const OURS: &str = "Assisted-by: codex";
        let ours = || mark("codex", SignalKind::Trailer, OURS);
        let session = mark("codex", SignalKind::Session, "session s");
        check(&[ours()], &[OURS], &["codex"], Ok(()));
        check(&[ours(), session.clone()], &[OURS], &["codex", "cursor"], Ok(()));
        check(&[ours()], &[], &["codex"], Err(Wide::NotOurs));
        check(&[ours(), ours()], &[OURS], &["codex"], Err(Wide::NotOurs));
        check(&[ours()], &[OURS], &["cursor"], Err(Wide::NoLines));
        check(&[session], &[OURS], &["codex"], Err(Wide::NothingDeclared));
        let more = |kind, value| [ours(), mark("codex", kind, value)];
        check(&more(SignalKind::Identity, "Codex"), &[OURS], &["codex"], Err(Wide::NotOurs));
        check(&more(SignalKind::Footer, OURS), &[OURS], &["codex"], Err(Wide::NotOurs));
        check(&more(SignalKind::Trailer, "AI: yes"), &[OURS], &["codex"], Err(Wide::NotOurs));
        check(&more(SignalKind::Environment, "A=1"), &[OURS], &["codex"], Err(Wide::MadeByAgent));
        let unknown = mark(UNKNOWN, SignalKind::Trailer, "Assisted-by: AI");
        check(&[unknown], &["Assisted-by: AI"], &[UNKNOWN], Err(Wide::NotOurs));
    }

    #[test]
    fn a_trailer_is_the_hooks_if_it_was_not_there_before() {
        let one = mark("codex", SignalKind::Trailer, "Assisted-by: codex");
        let other = mark("cursor", SignalKind::Trailer, "Assisted-by: cursor");
        let both = [one.clone(), other.clone()];
        assert_eq!(added(&[], &both), ["Assisted-by: codex", "Assisted-by: cursor"]);
        assert_eq!(added(&[one], &both), ["Assisted-by: cursor"]);
        assert_eq!(added(&both, &both), [""; 0]);
        assert_eq!(added(&[], &[other.clone(), other]), [""; 0]);
    }

    #[test]
    fn recorded_lines_stand_where_they_were_recorded() {
        let check = |content: Option<&str>, expected| {
            let mut read = |_: &str| content.map(|it| it.as_bytes().to_vec());
            assert_eq!(stands_there(&lines("codex"), &mut read), expected, "{content:?}");
        };
        check(Some("one\ntwo\n three,\n"), true);
        check(Some("two\nthree\n"), false);
        check(Some("one\ntwo\n"), false);
        check(None, false);
    }
}
