//! Disclosure: whether a commit's message says who assisted, and the trailer
//! that says so.

use super::policy::{Disclosure, DisclosureTrailer};
use super::signal::catalogue::UNKNOWN;
use super::signal::{Signal, SignalKind, Strength};
use super::trailer;

/// How a message stands to what the policy asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disclosed {
    /// Nothing is asked, or all that is asked is there.
    Yes,
    /// These agents assisted and the message does not name them.
    Missing { agents: Vec<String> },
    /// These marks stand there though the policy forbids them.
    Forbidden { marks: Vec<String> },
}

/// Judges one commit. `signals`: all that is known of it, from whatever source.
pub fn disclosed(disclosure: &Disclosure, message: &str, signals: &[Signal]) -> Disclosed {
    match disclosure.trailer {
        DisclosureTrailer::Allow => Disclosed::Yes,
        DisclosureTrailer::Require => {
            let agents = undisclosed(disclosure, message, signals);
            if agents.is_empty() { Disclosed::Yes } else { Disclosed::Missing { agents } }
        }
        DisclosureTrailer::Forbid => {
            let marks: Vec<String> = signals
                .iter()
                .filter(|it| it.strength == Strength::Declared)
                .filter(|it| matches!(it.kind, SignalKind::Trailer | SignalKind::Footer))
                .map(|it| it.value.clone())
                .collect();
            if marks.is_empty() { Disclosed::Yes } else { Disclosed::Forbidden { marks } }
        }
    }
}

/// Returns the message with a trailer for every agent that is known and not
/// named yet; `None` if nothing is to be written: the policy does not want it,
/// the message says it all, or there is no message (git then gives up anyway).
pub fn add(disclosure: &Disclosure, message: &str, signals: &[Signal]) -> Option<String> {
    let wanted = disclosure.write && disclosure.trailer != DisclosureTrailer::Forbid;
    if !wanted || is_empty(message) {
        return None;
    }
    let agents = undisclosed(disclosure, message, signals);
    let mut text = message.to_owned();
    for agent in &agents {
        text = trailer::append(&text, &disclosure.key, &value(agent, signals));
    }
    (text != message && !agents.is_empty()).then_some(text)
}

/// Where what git cuts off again begins: the scissors line of `commit -v` and
/// all below it, and the comments at the end. `comment` is what comments begin
/// with (`core.commentString`); `None`: git chose one character itself (`auto`).
pub fn end_of_text(message: &str, comment: Option<&str>) -> usize {
    const CUT: &str = " ------------------------ >8 ------------------------";
    let is_cut = |line: &str| {
        line.strip_suffix(CUT).is_some_and(|start| match comment {
            Some(comment) => start == comment,
            None => start.chars().count() == 1,
        })
    };
    let mut end = 0;
    let mut starts = None;
    for line in message.split_inclusive('\n') {
        if is_cut(line.trim_end_matches(['\n', '\r'])) {
            starts = Some(end);
            break;
        }
        end += line.len();
    }
    let mut end = starts.unwrap_or(message.len());
    let Some(comment) = comment.filter(|it| !it.is_empty()) else { return end };
    while let Some(line) = message[..end].split_inclusive('\n').next_back() {
        if !line.starts_with(comment) && !line.trim().is_empty() {
            break;
        }
        end -= line.len();
    }
    end
}

/// `AGENT:MODEL` as the kernel writes it; the agent alone where no model is known.
fn value(agent: &str, signals: &[Signal]) -> String {
    if agent == UNKNOWN {
        return "AI".to_owned();
    }
    let model = signals.iter().filter(|it| it.agent == agent).find_map(|it| it.model.as_deref());
    match model {
        // The kernel's form ends a model at the first blank.
        Some(model) => {
            format!("{agent}:{}", model.split_whitespace().collect::<Vec<_>>().join("-"))
        }
        None => agent.to_owned(),
    }
}

/// The agents that assisted, in order of appearance, and are not named as the policy wants.
fn undisclosed(disclosure: &Disclosure, message: &str, signals: &[Signal]) -> Vec<String> {
    let mut agents: Vec<String> = Vec::new();
    for signal in signals.iter().filter(|it| it.kind != SignalKind::Review) {
        if !agents.contains(&signal.agent) {
            agents.push(signal.agent.clone());
        }
    }
    // "Some agent" is answered by any agent's name.
    if agents.len() > 1 {
        agents.retain(|it| it != UNKNOWN);
    }
    let own: Vec<String> = trailer::block(message)
        .into_iter()
        .filter(|it| it.key.eq_ignore_ascii_case(&disclosure.key))
        .map(|it| it.value)
        .collect();
    agents.retain(|agent| !names(disclosure, &own, signals, agent));
    agents
}

fn names(disclosure: &Disclosure, own: &[String], signals: &[Signal], agent: &str) -> bool {
    let by_key = own.iter().any(|value| {
        let named = value.split([':', ' ']).next().unwrap_or_default();
        named.eq_ignore_ascii_case(agent) || (agent == UNKNOWN && !value.is_empty())
    });
    let declared = signals
        .iter()
        .filter(|it| it.agent == agent && it.strength == Strength::Declared)
        .any(|it| match it.kind {
            SignalKind::Trailer => !disclosure.strict || has_key(&it.value, &disclosure.key),
            SignalKind::Identity | SignalKind::Footer => !disclosure.strict,
            SignalKind::Branch
            | SignalKind::Environment
            | SignalKind::Process
            | SignalKind::Note
            | SignalKind::Session
            | SignalKind::Review => false,
        });
    by_key || declared
}

fn has_key(line: &str, key: &str) -> bool {
    trailer::split(line).is_some_and(|(own, _)| own.eq_ignore_ascii_case(key))
}

/// Whether a message holds nothing but blank lines and comments.
fn is_empty(message: &str) -> bool {
    message.lines().all(|line| line.starts_with('#') || line.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::signal::catalogue::Catalogue;
    use super::super::signal::{ambient, detect};
    use super::*;
    use crate::gate::change::{Commit, Identity, Oid};

    fn policy(trailer: DisclosureTrailer, strict: bool) -> Disclosure {
        Disclosure { trailer, key: "Assisted-by".to_owned(), strict, write: true }
    }

    #[test]
    fn what_git_cuts_off_again_is_not_the_text() {
        let cut = "------------------------ >8 ------------------------";
        let check = |message: String, comment: Option<&str>, expected: &str| {
            assert_eq!(&message[..end_of_text(&message, comment)], expected, "{message}");
        };
        check(format!("Title\n\n; Please\n;\n; {cut}\ndiff\n"), Some(";"), "Title\n");
        check(format!("Title\n# no comment\n; {cut}\ndiff\n"), Some(";"), "Title\n# no comment\n");
        check(format!("Title\n# {cut}\nmore\n"), Some(";"), &format!("Title\n# {cut}\nmore\n"));
        check(format!("Title\n% {cut}\ndiff\n"), None, "Title\n");
        check("// only\n\n// comments\n".to_owned(), Some("//"), "");
        check("Title".to_owned(), Some(";"), "Title");
        check(String::new(), None, "");
    }

    /// What is known while an agent's shell commits with this message.
    fn signals(message: &str, variable: Option<(&str, &str)>) -> Vec<Signal> {
        let ana = Identity { name: "Ana".to_owned(), email: "ana@example.com".to_owned() };
        let commit = Commit {
            id: Oid::parse(&"1".repeat(40)).unwrap(),
            tree: Oid::parse(&"2".repeat(40)).unwrap(),
            parents: Vec::new(),
            author: ana.clone(),
            committer: ana,
            committed: 0,
            signed: false,
            message: message.to_owned(),
        };
        let mut signals = detect(Catalogue::built_in(), &commit);
        let variables: Vec<_> = variable
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        signals.extend(ambient(Catalogue::built_in(), &variables, &[], None));
        signals
    }

    #[track_caller]
    fn check_added(message: &str, strict: bool, expected: Option<&str>) {
        let signals = signals(message, Some(("CLAUDE_CODE_CHILD_SESSION", "1")));
        let added = add(&policy(DisclosureTrailer::Require, strict), message, &signals);
        assert_eq!(added.as_deref(), expected);
        let after = added.unwrap_or_else(|| message.to_owned());
        if !is_empty(&after) {
            let signals = self::signals(&after, Some(("CLAUDE_CODE_CHILD_SESSION", "1")));
            let policy = policy(DisclosureTrailer::Require, strict);
            assert_eq!(disclosed(&policy, &after, &signals), Disclosed::Yes);
            assert_eq!(add(&policy, &after, &signals), None);
        }
    }

    #[test]
    fn the_trailer_is_written_once_and_where_git_puts_it() {
        check_added("a\n", false, Some("a\n\nAssisted-by: claude-code\n"));
        check_added(
            "a\n\nSigned-off-by: Ana <ana@example.com>\n# Please enter a message\n",
            false,
            Some(
                "a\n\nSigned-off-by: Ana <ana@example.com>\nAssisted-by: claude-code\n# Please enter a message\n",
            ),
        );
        check_added("a\n\nAssisted-by: Claude:opus-4\n", true, None);
        check_added("a\n\nCo-authored-by: Claude <noreply@anthropic.com>\n", false, None);
        check_added(
            "a\n\nCo-authored-by: Claude Opus 4.6 <noreply@anthropic.com>\n",
            true,
            Some(
                "a\n\nCo-authored-by: Claude Opus 4.6 <noreply@anthropic.com>\nAssisted-by: claude-code:Claude-Opus-4.6\n",
            ),
        );
        check_added("# only a comment\n\n", false, None);
    }

    #[test]
    fn what_the_policy_asks_decides() {
        let ambient = signals("a\n", Some(("CURSOR_AGENT", "1")));
        let missing = Disclosed::Missing { agents: vec!["cursor".to_owned()] };
        assert_eq!(disclosed(&policy(DisclosureTrailer::Require, false), "a\n", &ambient), missing);
        assert_eq!(
            disclosed(&policy(DisclosureTrailer::Allow, true), "a\n", &ambient),
            Disclosed::Yes
        );
        let message = "a\n\nMade-with: Cursor\n";
        let declared = signals(message, None);
        let forbidden = Disclosed::Forbidden { marks: vec!["Made-with: Cursor".to_owned()] };
        assert_eq!(
            disclosed(&policy(DisclosureTrailer::Forbid, false), message, &declared),
            forbidden
        );
        assert_eq!(add(&policy(DisclosureTrailer::Forbid, false), "a\n", &ambient), None);
        let review = signals("a\n\nReviewed-by: Claude <noreply@anthropic.com>\n", None);
        assert_eq!(
            disclosed(&policy(DisclosureTrailer::Require, true), "a\n", &review),
            Disclosed::Yes
        );
    }

    #[test]
    fn every_agent_that_is_written_is_found_again() {
        for agent in Catalogue::built_in().agents() {
            let message = format!("a\n\nAssisted-by: {}\n", value(&agent.id, &[]));
            let found: Vec<String> =
                signals(&message, None).into_iter().map(|it| it.agent).collect();
            assert_eq!(found, [agent.id.as_str()]);
            let message = format!("a\n\nAssisted-by: {}:some-model\n", agent.id);
            let found: Vec<String> =
                signals(&message, None).into_iter().map(|it| it.agent).collect();
            assert_eq!(found, [agent.id.as_str()]);
        }
    }
}
