//! Marks in a commit message: trailers, trailer-shaped lines, footers.
//!
//! What is quoted, indented, fenced, back-ticked or part of a sentence is no
//! mark, nor is a denial. A message or body whose every line is indented, or that
//! holds literal `\n`, is put straight first: agents write such messages themselves.

mod answer;
mod claim;
mod layout;
mod people;

use std::ops::Range;

use answer::{affirms, denies, names_a_person, tells_of_work};
use claim::{Claim, claim, strip_words, unlinked};
use layout::{
    continuation, has_indented_body, holds_newlines, is_heading, is_indented, line_at, undecorated,
};
use people::{agent_and_model, by_credit, is_first_name, of_people, people};

use super::catalogue::Catalogue;
use super::lexicon::{Class, labelled_model};
use super::{Signal, SignalKind, Strength};
use crate::gate::trailer;

/// Finds the marks of a message.
pub(super) fn marks(catalogue: &Catalogue, message: &str, signals: &mut Vec<Signal>) {
    let mut scan = Scan { catalogue, message, block: None, signals };
    scan.run();
}

/// The agent that a person's name gives away by itself: "Codex Agent",
/// "Copilot", "Ana + Claude", never a first name alone.
pub(super) fn agent_by_name(catalogue: &Catalogue, name: &str) -> Option<usize> {
    let joint = name
        .rsplit_once(" + ")
        .map(|(_, second)| second)
        .or_else(|| name.strip_suffix(')').and_then(|it| it.rsplit_once(" (")).map(|(_, it)| it));
    let known = |agents: Vec<usize>| agents.into_iter().find(|it| *it != catalogue.unknown);
    let of_joint = joint.and_then(|joint| {
        let reading = catalogue.lexicon().read(joint).filter(|it| it.pure)?;
        known(reading.agents(catalogue.unknown)).filter(|agent| !of_people(catalogue, *agent))
    });
    of_joint.or_else(|| {
        let reading = catalogue.lexicon().read(name).filter(by_credit)?;
        // "AI" is part of names and logins; "AI Agent" and "GLM-5" are none.
        let lower = name.to_lowercase();
        let told =
            reading.has(Class::Model) || ["agent", "assistant"].iter().any(|it| lower.contains(it));
        reading.agents(catalogue.unknown).into_iter().find(|it| told || *it != catalogue.unknown)
    })
}

/// The model that a text names.
pub(super) fn model_of(catalogue: &Catalogue, text: &str) -> Option<String> {
    match catalogue.lexicon().read(text) {
        Some(reading) => reading.model(),
        None => labelled_model(text),
    }
}

/// Trailers that name whoever had a part in the change.
const CREDIT: &[&str] = &[
    "co-authored-by",
    "coauthored-by",
    "co-author",
    "coauthor",
    "co-developed-by",
    "signed-off-by",
    "authored-by",
    "paired-with",
    "pair-programmed-with",
];

/// Trailers that name a tool, and in some projects a person who helped.
const DISCLOSURE: &[&str] = &[
    "assisted-by",
    "generated-by",
    "commit-generated-by",
    "generated-with",
    "made-with",
    "created-by",
    "created-with",
    "written-by",
    "written-with",
    "implemented-by",
    "ai-assisted-by",
    "ai-generated-by",
    "ai-tools",
    "ai-tool",
    "ai-agent",
    "ai-model",
    "ai-assistant",
    "ai-co-author",
    "agent",
    "tool",
    "model",
    "ai-co-authored-by",
    "ai-coauthored-by",
    "co-generated-by",
    "llm-assisted-by",
];

/// Those that are words of other trades too.
const PLAIN: &[&str] = &["agent", "tool", "model"];

/// Trailers whose value says whether and how agents had a part.
const STATEMENT: &[&str] = &[
    "ai",
    "ai-assisted",
    "ai-assistance",
    "ai-generated",
    "ai-disclosure",
    "ai-usage",
    "ai-use",
    "ai-used",
    "ai-contribution",
    "llm-assisted",
    "llm-disclosure",
    "llm-usage",
    "disclosure",
];

const REVIEW: &[&str] = &["reviewed-by", "acked-by"];

/// What a heading or a label of a statement looks like ("**AI disclosure:** …").
const LABELS: &[&str] = &[
    "ai disclosure",
    "ai usage",
    "ai use",
    "ai assistance",
    "ai-assisted",
    "ai-generated",
    "ai disclaimer",
    "ai statement",
    "ai contribution",
    "ai tools used",
    "ai tools",
    "ai notice",
    "llm assistance",
    "llm disclaimer",
    "llm disclosure",
    "llm usage",
    "use of ai",
    "use of llms",
];

/// How tools that we do not know sign, after the manner of one that we do.
const UNNAMED: &str = "🤖 Generated with ";

struct Scan<'a> {
    catalogue: &'a Catalogue,
    message: &'a str,
    /// Git's trailer block, once asked for.
    block: Option<Range<usize>>,
    signals: &'a mut Vec<Signal>,
}

/// A line at column 0, and where it begins in the message, if it stands there as such.
#[derive(Clone, Copy)]
struct Place<'a> {
    text: &'a str,
    at: Option<usize>,
}

impl<'a> Scan<'a> {
    fn run(&mut self) {
        let message = self.message;
        let indented = is_indented(message) || has_indented_body(message);
        let one_line = !message.trim_end().contains('\n');
        let mut fenced = false;
        let mut subject = true;
        let mut heading = false;
        let mut at = 0;
        while at < message.len() {
            let start = at;
            let raw = line_at(message, at);
            at += raw.len();
            let mut line = raw.trim_end();
            if indented {
                line = line.trim_start();
            }
            // Boxes that a terminal drew around the agent's text.
            line = line.strip_prefix('│').map_or(line, str::trim_start);
            if line.is_empty() {
                continue;
            }
            if holds_newlines(line, one_line) {
                self.unescaped(line, subject);
                subject = false;
                continue;
            }
            if std::mem::take(&mut subject) {
                continue;
            }
            if line.starts_with("```") || line.starts_with("~~~") {
                fenced = !fenced;
                continue;
            }
            if line.starts_with([' ', '\t']) {
                continue;
            }
            let place = Place { text: line, at: Some(start) };
            if fenced && !self.in_block(place) {
                continue;
            }
            let continued = if indented { 0 } else { continuation(message, at) };
            if std::mem::take(&mut heading) && self.statement(line, line) {
                continue;
            }
            heading = is_heading(line);
            self.line(place, &message[at..at + continued]);
            at += continued;
        }
    }

    /// A line that holds literal `\n`.
    fn unescaped(&mut self, line: &str, subject: bool) {
        for piece in line.split("\\n").map(str::trim_end).skip(usize::from(subject)) {
            if !piece.is_empty() && !piece.starts_with([' ', '\t']) {
                self.line(Place { text: piece, at: None }, "");
            }
        }
    }

    fn line(&mut self, place: Place<'_>, continued: &str) {
        let line = place.text;
        if let Some((key, value)) = trailer::split(line) {
            let found = if continued.is_empty() {
                self.trailer(place, key, value, line)
            } else {
                let value = trailer::unfold(&format!("{value}\n{continued}"));
                let whole = format!("{key}: {value}");
                self.trailer(place, key, &value, &whole)
            };
            if found {
                return;
            }
        }
        let bare = undecorated(line);
        if bare.is_empty() || line.starts_with(['>', '|', '`', '"']) {
            return;
        }
        if self.footer(bare, line) || self.link(line) || self.label(bare, line) {
            return;
        }
        // A name has a word or two; automation that is no agent says what it did.
        let unnamed = line.strip_prefix(UNNAMED).is_some_and(|it| {
            it.contains("](") || it.contains("(http") || it.split_whitespace().count() <= 2
        });
        if !self.claim(bare, line) && unnamed {
            self.push_footer(
                vec![self.catalogue.unknown],
                model_of(self.catalogue, bare),
                line,
                false,
            );
        }
    }

    fn trailer(&mut self, place: Place<'_>, key: &str, value: &str, line: &str) -> bool {
        let lower = key.to_ascii_lowercase();
        let name = lower.as_str();
        if let Some(found) =
            self.catalogue.key(name, value).filter(|_| !value.is_empty() && !denies(value))
        {
            let (agent, review) = (found.agent, found.review);
            let reading = self.catalogue.lexicon().read(value);
            let agents = match &reading {
                Some(reading) if agent == self.catalogue.unknown => reading.agents(agent),
                Some(_) | None => vec![agent],
            };
            let model = reading.and_then(|it| it.model());
            return self.push_trailer(place, agents, model, line, review);
        }
        if REVIEW.contains(&name) {
            let agents = self.credited(value, false);
            return self.push_trailer(place, agents, None, line, true);
        }
        if CREDIT.contains(&name) {
            let agents = self.credited(value, !value.contains('@'));
            return self.push_trailer(place, agents, model_of(self.catalogue, value), line, false);
        }
        if DISCLOSURE.contains(&name) {
            // In the midst of other text these are figures and settings.
            if PLAIN.contains(&name) && !self.in_block(place) && !self.is_alone(place) {
                return false;
            }
            let (agents, model) = self.disclosed(name, value);
            return self.push_trailer(place, agents, model, line, false);
        }
        if STATEMENT.contains(&name) {
            let agents = self.stated(value, name);
            return self.push_trailer(place, agents, model_of(self.catalogue, value), line, false);
        }
        false
    }

    /// Whom a credit names: somebody of the identity table, or somebody whose
    /// name holds nothing but words of the trade.
    fn credited(&self, value: &str, no_address: bool) -> Vec<usize> {
        let mut agents: Vec<usize> = people(value)
            .filter_map(|(name, address)| {
                self.catalogue
                    .holder(name, address, false)
                    .or_else(|| agent_by_name(self.catalogue, name))
            })
            .collect();
        if no_address {
            agents.extend(self.credited_by_name(value));
        }
        agents.sort_unstable();
        agents.dedup();
        agents
    }

    /// Whom a credit without an address names: "Gemini", "Claude Opus <…>",
    /// "Codex (the tests)". A person would have an address or a second name.
    fn credited_by_name(&self, value: &str) -> Vec<usize> {
        let name = value.split(['<', '(']).next().unwrap_or_default().trim();
        if let Some(agent) = self.catalogue.holder(name, "", false) {
            return vec![agent];
        }
        let Some(reading) = self.catalogue.lexicon().read(value) else { return Vec::new() };
        let unknown = self.catalogue.unknown;
        let leads = reading.hits.first().is_some_and(|it| {
            it.start == 0
                && (it.class == Class::Tool || (it.agent == unknown && reading.has(Class::Tool)))
        });
        let named = self.catalogue.lexicon().read(name);
        let alone = named.is_some_and(|it| {
            let first_name = |agent: usize| is_first_name(self.catalogue, agent);
            by_credit(&it)
                || (it.pure
                    && it.has(Class::Name)
                    && !it.agents(unknown).into_iter().any(first_name))
        });
        if leads || alone || by_credit(&reading) { reading.agents(unknown) } else { Vec::new() }
    }

    fn disclosed(&self, key: &str, value: &str) -> (Vec<usize>, Option<String>) {
        let unknown = self.catalogue.unknown;
        if value.is_empty() || denies(value) {
            return (Vec::new(), None);
        }
        let generic = matches!(
            key,
            "agent" | "tool" | "model" | "created-by" | "written-by" | "implemented-by"
        );
        // What we write ourselves: an id of the catalogue, with or without a model.
        let (head, model) = value.split_once(':').unwrap_or((value, ""));
        if let Some(agent) = self.catalogue.number(head).filter(|_| !generic) {
            let model = model.split_whitespace().next().map(str::to_owned);
            return (vec![agent], model);
        }
        if value.contains('@') {
            let agents = self.credited(value, false);
            if !agents.is_empty() {
                return (agents, model_of(self.catalogue, value));
            }
        }
        if let Some((agent, model)) = agent_and_model(value)
            && matches!(key, "assisted-by" | "generated-by" | "ai-assisted-by")
        {
            let agents = match self.catalogue.lexicon().read(agent) {
                Some(reading) => reading.agents(unknown),
                None => vec![unknown],
            };
            return (agents, Some(model.to_owned()));
        }
        if value.starts_with("https://") {
            let last = value.rsplit(['#', '/']).next().unwrap_or_default();
            let named = self.catalogue.lexicon().read(last);
            return (named.map(|it| it.agents(unknown)).unwrap_or_default(), None);
        }
        let Some(reading) = self.catalogue.lexicon().read(value) else { return (Vec::new(), None) };
        let named = reading.has(Class::Tool) || reading.has(Class::Model);
        let accepted = if value.contains('@') || generic {
            by_credit(&reading) || (generic && key == "agent" && reading.pure)
        } else {
            named || reading.pure
        };
        let agents = if accepted { reading.agents(unknown) } else { Vec::new() };
        (agents, reading.model())
    }

    /// What a statement about agents says; nothing if it denies.
    fn stated(&self, value: &str, label: &str) -> Vec<usize> {
        let unknown = self.catalogue.unknown;
        if value.is_empty() || denies(value) {
            return Vec::new();
        }
        let wide = matches!(label, "ai" | "disclosure");
        match self.catalogue.lexicon().read(value) {
            Some(reading) if !wide || reading.pure || tells_of_work(value) => {
                reading.agents(unknown)
            }
            Some(_) => Vec::new(),
            None if !wide && affirms(value) => vec![unknown],
            None => Vec::new(),
        }
    }

    fn statement(&mut self, value: &str, line: &str) -> bool {
        let agents = self.stated(undecorated(value), "heading");
        let model = model_of(self.catalogue, value);
        self.push_footer(agents, model, line, false)
    }

    /// "**AI disclosure:** …", "AI usage: …", "AI-assisted — …".
    fn label(&mut self, bare: &str, line: &str) -> bool {
        if !bare.starts_with(['a', 'A', 'l', 'L', 'u', 'U']) {
            return false;
        }
        let Some(rest) = LABELS.iter().find_map(|label| strip_words(bare, label)) else {
            return false;
        };
        let value = rest.trim_start_matches(|it: char| !it.is_alphanumeric());
        let separated =
            rest.trim_start_matches(['*', '_', ' ']).starts_with([':', '—', '–', '-', ';', '(']);
        separated && !value.is_empty() && self.statement(value, line)
    }

    fn footer(&mut self, bare: &str, line: &str) -> bool {
        let Some(found) = self.catalogue.footer(bare).or_else(|| self.catalogue.footer(line))
        else {
            return false;
        };
        let (agent, review) = (found.agent, found.review);
        self.push_footer(vec![agent], model_of(self.catalogue, bare), line, review)
    }

    /// A link to a session that is a line of its own, or ends a label.
    fn link(&mut self, line: &str) -> bool {
        let colon = line.match_indices("://").map(|(at, _)| at);
        let Some(at) = line
            .contains(':')
            .then_some(colon)
            .and_then(|mut it| it.find(|at| line[..*at].ends_with("https")))
            .map(|at| at - "https".len())
        else {
            return false;
        };
        let lower = line[at..].to_ascii_lowercase();
        let whole =
            lower.len() > 8 && !lower.trim_end_matches([')', '.', '>', ']']).contains([' ', '`']);
        let before = line[..at].trim_end();
        let label = before.is_empty()
            || before.ends_with([':', '(', '[', '<']) && before.split_whitespace().count() <= 5;
        if !whole || !label || before.contains(['`', '"']) {
            return false;
        }
        let found = self.catalogue.links().iter().find(|(prefix, _)| {
            lower.starts_with(prefix.as_str()) && lower.len() >= prefix.len() + 4
        });
        found.is_some_and(|(_, agent)| self.push_footer(vec![*agent], None, line, false))
    }

    /// "🤖 Generated with X", "This change was written by X".
    fn claim(&mut self, bare: &str, line: &str) -> bool {
        let Some(Claim { named, whole }) = claim(bare) else { return false };
        let text = unlinked(named);
        let Some(reading) = self.catalogue.lexicon().read(&text) else { return false };
        let Some(first) = reading.hits.first().filter(|it| it.start <= 4) else { return false };
        let rest = &text[first.end..];
        let ends = [";", ",", "•", "|", "—", "–", "(", " <", ". ", ": "];
        let end = ends.iter().filter_map(|it| text.find(it)).min().unwrap_or(text.len());
        let clause = self.catalogue.lexicon().read(text[..end].trim()).filter(|it| it.pure);
        let accepted = if whole {
            clause.is_some()
        } else {
            first.class != Class::Name || !names_a_person(rest)
        };
        // "Generated with X • Model: Y" is X's.
        let unknown = self.catalogue.unknown;
        let agents = match clause.map(|it| it.agents(unknown)) {
            Some(agents) if agents != [unknown] => agents,
            Some(_) | None => reading.agents(unknown),
        };
        let model = reading.model();
        accepted && self.push_footer(agents, model, line, false)
    }

    fn in_block(&mut self, place: Place<'_>) -> bool {
        let message = self.message;
        let block = self.block.get_or_insert_with(|| trailer::block_range(message));
        place.at.is_some_and(|at| block.contains(&at)) && !place.text.starts_with('#')
    }

    /// Whether a line is a paragraph of its own.
    fn is_alone(&self, place: Place<'_>) -> bool {
        let blank = |line: Option<&str>| line.is_none_or(|it| it.trim().is_empty());
        place.at.is_none_or(|at| {
            let before = self.message[..at].lines().next_back();
            blank(before) && blank(self.message[at..].lines().nth(1))
        })
    }

    fn push_trailer(
        &mut self,
        place: Place<'_>,
        agents: Vec<usize>,
        model: Option<String>,
        line: &str,
        review: bool,
    ) -> bool {
        if agents.is_empty() {
            return false;
        }
        let in_block = self.in_block(place)
            && place.at.is_some_and(|at| {
                self.message[at..].starts_with(|it: char| it.is_ascii_alphanumeric() || it == '-')
            });
        let kind = if review { SignalKind::Review } else { SignalKind::Trailer };
        self.push(agents, kind, model, line, Some(in_block));
        true
    }

    fn push_footer(
        &mut self,
        agents: Vec<usize>,
        model: Option<String>,
        line: &str,
        review: bool,
    ) -> bool {
        let kind = if review { SignalKind::Review } else { SignalKind::Footer };
        let any = !agents.is_empty();
        self.push(agents, kind, model, line, None);
        any
    }

    fn push(
        &mut self,
        agents: Vec<usize>,
        kind: SignalKind,
        model: Option<String>,
        line: &str,
        in_trailer_block: Option<bool>,
    ) {
        for agent in agents {
            let signal = Signal {
                agent: self.catalogue.id(agent).to_owned(),
                kind,
                strength: Strength::Declared,
                value: line.to_owned(),
                model: model.clone(),
                in_trailer_block,
            };
            // The same line again, further down a squashed message.
            if !self.signals.contains(&signal) {
                self.signals.push(signal);
            }
        }
    }
}

#[cfg(test)]
mod tests;
