//! The words of the trade: reads what a disclosure names.
//!
//! `Assisted-by` has no grammar: "Opus 4.7", "OpenCode (Claude Opus 4)",
//! "GLM-5 via Crush", and in older projects a person. A text names an agent
//! for certain if nothing but words of this trade stands in it.

use fnv::FnvHashMap;

use crate::gate::order;

/// How a word points to an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Tool,
    /// A word that people use too.
    Name,
    Model,
}

/// The words of every agent.
#[derive(Clone, Debug, Default)]
pub(super) struct Lexicon {
    /// By first word; the longest phrase first.
    phrases: FnvHashMap<String, Vec<Phrase>>,
    /// By the first letter of those words, a bit for each second letter: most
    /// texts are done with here.
    beginnings: [u32; 26],
}

#[derive(Clone, Debug)]
struct Phrase {
    rest: Vec<String>,
    agent: usize,
    class: Class,
}

/// One text, read.
#[derive(Debug)]
pub(super) struct Reading<'t> {
    text: &'t str,
    pub(super) hits: Vec<Hit>,
    /// Whether every word is of the trade.
    pub(super) pure: bool,
    /// Whether a version, or a word such as "agent", stands beside the names.
    pub(super) qualified: bool,
}

/// A named agent or model, with its place in the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hit {
    pub(super) agent: usize,
    pub(super) class: Class,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Words that may stand beside an agent's name.
const BESIDE: &[&str] = &[
    "a",
    "advanced",
    "aided",
    "alpha",
    "amazon",
    "an",
    "and",
    "apac",
    "app",
    "assist",
    "assistance",
    "assistant",
    "assisted",
    "auto",
    "autofix",
    "automated",
    "autonomous",
    "aws",
    "azure",
    "based",
    "bedrock",
    "beta",
    "by",
    "chat",
    "cloud",
    "code",
    "coder",
    "coding",
    "context",
    "desktop",
    "dev",
    "effort",
    "eu",
    "exp",
    "experimental",
    "extended",
    "fast",
    "flash",
    "for",
    "free",
    "from",
    "generic",
    "gh",
    "global",
    "google",
    "groq",
    "help",
    "high",
    "ide",
    "in",
    "instant",
    "instruct",
    "integration",
    "k",
    "large",
    "latest",
    "light",
    "lite",
    "local",
    "low",
    "m",
    "max",
    "medium",
    "meta",
    "microsoft",
    "mini",
    "mode",
    "model",
    "models",
    "moonshotai",
    "my",
    "nano",
    "o",
    "of",
    "ollama",
    "on",
    "openrouter",
    "opus",
    "oss",
    "plus",
    "powered",
    "preview",
    "pro",
    "r",
    "reasoning",
    "review",
    "reviewed",
    "small",
    "some",
    "supervised",
    "support",
    "swe",
    "the",
    "thinking",
    "through",
    "tool",
    "tools",
    "turbo",
    "ultra",
    "unknown",
    "us",
    "use",
    "used",
    "using",
    "v",
    "version",
    "vertex",
    "vertex_ai",
    "via",
    "vs",
    "vscode",
    "was",
    "were",
    "with",
    "workspace",
    "x",
    "xai",
    "xhigh",
    "z",
];

/// Words that make an agent of a name.
const QUALIFY: &[&str] =
    &["agent", "ai", "assistant", "cli", "code", "coder", "desktop", "ide", "llm", "model"];

/// Words that go on with a model's name.
const MODEL_PARTS: &[&str] = &[
    "chat", "code", "codex", "coder", "exp", "flash", "high", "instant", "instruct", "large",
    "lite", "low", "max", "medium", "mini", "nano", "oss", "plus", "preview", "pro", "small",
    "thinking", "turbo", "ultra", "xhigh",
];

impl Lexicon {
    pub(super) fn add(&mut self, phrase: &str, agent: usize, class: Class) {
        let mut words = words(phrase).map(|word| word.lower);
        let Some(first) = words.next() else { return };
        if let Some((letter, bit)) = beginning(first.as_bytes()) {
            self.beginnings[letter] |= bit;
        }
        let list = self.phrases.entry(first).or_default();
        list.push(Phrase { rest: words.collect(), agent, class });
        order::sort_by_key(list, |phrase| std::cmp::Reverse(phrase.rest.len()));
    }

    /// Reads a text; `None` if it names nothing.
    pub(super) fn read<'t>(&self, text: &'t str) -> Option<Reading<'t>> {
        if !self.may_name(text) {
            return None;
        }
        let words: Vec<Word> = words(text).collect();
        if !words.iter().any(|word| self.phrases.contains_key(stem(&word.lower))) {
            return None;
        }
        let mut reading = Reading { text, hits: Vec::new(), pure: true, qualified: false };
        let mut at = 0;
        while at < words.len() {
            if let Some(phrase) = self.phrase_at(&words[at..]) {
                let last = &words[at + phrase.rest.len()];
                let next = words.get(at + 1 + phrase.rest.len());
                reading.hits.push(Hit {
                    agent: phrase.agent,
                    class: phrase.class,
                    start: words[at].start,
                    end: last.start + last.len,
                });
                let named_model = phrase.class == Class::Name
                    && next.is_some_and(|next| last.is_apart(next) && self.goes_on(next));
                if let Some(hit) = reading.hits.last_mut().filter(|_| named_model) {
                    hit.class = Class::Model;
                    reading.qualified = true;
                }
                at += 1 + phrase.rest.len();
                continue;
            }
            let word = words[at].lower.as_str();
            let version = is_version(word);
            // "Codex 5" names a model, "codex5" may be how a person logs in.
            let glued = reading.hits.last().is_some_and(|hit| hit.end == words[at].start);
            reading.qualified |= (is_short(word) && !glued) || QUALIFY.contains(&word);
            reading.pure &= version || QUALIFY.contains(&word) || BESIDE.contains(&word);
            at += 1;
        }
        (!reading.hits.is_empty()).then_some(reading)
    }

    /// Whether a word of the text begins as one of ours does; it allocates nothing.
    fn may_name(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        let starts = |at: usize| at == 0 || !bytes[at - 1].is_ascii_alphabetic();
        (0..bytes.len()).filter(|at| bytes[*at].is_ascii_alphabetic() && starts(*at)).any(|at| {
            beginning(&bytes[at..]).is_some_and(|(letter, bit)| self.beginnings[letter] & bit != 0)
        })
    }

    fn phrase_at(&self, words: &[Word]) -> Option<&Phrase> {
        let first = words.first()?;
        let list = self.phrases.get(stem(&first.lower))?;
        list.iter().find(|phrase| {
            phrase.rest.len() < words.len()
                && phrase.rest.iter().zip(&words[1..]).all(|(own, word)| *own == word.lower)
        })
    }

    /// Whether a word after a name makes it a model's name: "Claude Opus", "gemini-2.5".
    fn goes_on(&self, next: &Word) -> bool {
        is_short(&next.lower)
            || matches!(next.lower.as_str(), "pro" | "flash")
            || self.phrases.get(next.lower.as_str()).is_some_and(|list| {
                list.iter().any(|it| it.rest.is_empty() && it.class == Class::Model)
            })
    }
}

impl Reading<'_> {
    pub(super) fn has(&self, class: Class) -> bool {
        self.hits.iter().any(|hit| hit.class == class)
    }

    /// The agents meant: the tools named, else the names, else those of the
    /// models; an agent that is not known only if no other is named. "X via Y"
    /// means Y.
    pub(super) fn agents(&self, unknown: usize) -> Vec<usize> {
        let through = |hit: &&Hit| {
            hit.class != Class::Model
                && hit.agent != unknown
                && self.text[..hit.start].trim_end().to_ascii_lowercase().ends_with(" via")
        };
        if let Some(hit) = self.hits.iter().find(through) {
            return vec![hit.agent];
        }
        for class in [Class::Tool, Class::Name, Class::Model] {
            let mut agents: Vec<usize> =
                self.hits.iter().filter(|hit| hit.class == class).map(|hit| hit.agent).collect();
            agents.sort_unstable();
            agents.dedup();
            let known: Vec<usize> = agents.into_iter().filter(|it| *it != unknown).collect();
            if !known.is_empty() {
                return known;
            }
        }
        vec![unknown]
    }

    /// The model's name as it stands in the text.
    pub(super) fn model(&self) -> Option<String> {
        if let Some(model) = labelled_model(self.text) {
            return Some(model);
        }
        let hit = self.hits.iter().find(|hit| hit.class == Class::Model)?;
        let mut end = hit.end;
        let mut versioned = false;
        for word in words(&self.text[hit.end..]) {
            let gap = &self.text[end..hit.end + word.start];
            let glued = matches!(gap, "" | " " | "-" | "." | "/" | "_");
            let part = is_version(&word.lower)
                || MODEL_PARTS.contains(&word.lower.as_str())
                || self
                    .hits
                    .iter()
                    .any(|it| it.start == hit.end + word.start && it.class == Class::Model);
            if !glued || !part {
                break;
            }
            versioned = true;
            end = hit.end + word.start + word.len;
        }
        versioned.then(|| self.text[hit.start..end].to_owned())
    }
}

/// Returns what stands after `model:` or `model=`.
pub(super) fn labelled_model(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let at =
        ["model: ", "model:", "model="].iter().find_map(|it| Some(lower.find(it)? + it.len()))?;
    let value = text[at..].trim_start_matches([' ', '`', '*', '_']);
    let end = value.find([',', ';', ')', '`', ' ', '*']).unwrap_or(value.len());
    (end > 0).then(|| value[..end].to_owned())
}

struct Word {
    start: usize,
    len: usize,
    lower: String,
}

impl Word {
    /// Whether something stands between this word and the next.
    fn is_apart(&self, next: &Word) -> bool {
        self.start + self.len < next.start
    }
}

/// Splits a text into runs of letters and runs that begin with a digit
/// (`gpt4o` is `gpt` and `4o`); a `.` between digits belongs to a version.
fn words(text: &str) -> impl Iterator<Item = Word> {
    let mut rest = text.char_indices().peekable();
    std::iter::from_fn(move || {
        while rest.next_if(|(_, it)| !it.is_alphanumeric()).is_some() {}
        let (start, first) = rest.next()?;
        let number = first.is_ascii_digit();
        let mut end = start + first.len_utf8();
        let mut after_digit = number;
        while let Some((at, it)) = rest.next_if(|(at, it)| {
            let dot = *it == '.'
                && number
                && after_digit
                && text.as_bytes().get(at + 1).is_some_and(u8::is_ascii_digit);
            dot || (it.is_alphanumeric() && (number || !it.is_ascii_digit()))
        }) {
            after_digit = it.is_ascii_digit();
            end = at + it.len_utf8();
        }
        Some(Word { start, len: end - start, lower: text[start..end].to_lowercase() })
    })
}

/// The first letter of a word as a number, the second as a bit. Every word of
/// ours begins with two letters.
fn beginning(word: &[u8]) -> Option<(usize, u32)> {
    let letter = |at: usize| {
        let letter = word.get(at)?.to_ascii_lowercase().checked_sub(b'a')?;
        (letter < 26).then_some(letter)
    };
    Some((usize::from(letter(0)?), 1 << letter(1)?))
}

/// `ChatGPTv5` is `chatgptv` and `5`.
fn stem(word: &str) -> &str {
    if word == "chatgptv" { "chatgpt" } else { word }
}

fn is_version(word: &str) -> bool {
    word.starts_with(|it: char| it.is_ascii_digit())
        && word.chars().filter(|it| it.is_alphabetic()).count() <= 2
}

/// `5`, `4.6`, `4o` or `120b`: models are so named, and no year or number behind a login.
fn is_short(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    is_version(word) && (word.contains('.') || word.ends_with('b') || digits == 1)
}
