//! A sentence that says who wrote something: "written with …", "made by …".

pub(super) struct Claim<'t> {
    /// From the agent's name on.
    pub(super) named: &'t str,
    /// Whether the line says nothing else, so that all of it must be an agent's name.
    pub(super) whole: bool,
}

/// Reads "[this change was] [mostly] written [with the help of] X".
pub(super) fn claim(bare: &str) -> Option<Claim<'_>> {
    const OBJECTS: &[&str] = &[
        "pr",
        "mr",
        "commit",
        "change",
        "changes",
        "patch",
        "patchset",
        "series",
        "code",
        "addition",
        "fix",
        "feature",
        "implementation",
        "file",
        "test",
        "tests",
        "message",
        "description",
        "work",
        "draft",
        "request",
        "refactor",
        "refactoring",
        "documentation",
        "script",
        "function",
    ];
    const VERBS: &[&str] = &[
        "generated",
        "written",
        "created",
        "authored",
        "co-authored",
        "coauthored",
        "made",
        "built",
        "implemented",
        "developed",
        "produced",
        "assisted",
        "drafted",
        "prepared",
        "coded",
        "vibe-coded",
        "vibecoded",
        "prototyped",
        "done",
        "ai-assisted",
        "ai-generated",
    ];
    const BY: &[&str] = &["with", "by", "using", "via"];
    const SKIPPED: &[&str] = &[
        "the",
        "some",
        "help",
        "helped",
        "assistance",
        "aid",
        "support",
        "of",
        "from",
        "by",
        "a",
        "an",
        "in",
        "collaboration",
        "part",
        "and",
        "with",
        "using",
    ];
    const ADVERBS: &[&str] = &[
        "mostly",
        "largely",
        "partly",
        "partially",
        "entirely",
        "fully",
        "completely",
        "primarily",
        "also",
        "initially",
        "first",
        "originally",
        "automatically",
        "100%",
        "heavily",
        "all",
        "been",
        "then",
        "mainly",
    ];
    const LEADS: &[&str] =
        &["this", "these", "the", "all", "most", "some", "code", "parts", "part", "it", "entire"];
    if !bare.starts_with(char::is_uppercase) {
        return None;
    }
    let head = bare.split(char::is_whitespace).next().unwrap_or_default();
    let is = |word: &&str| head.eq_ignore_ascii_case(word);
    if !["with", "vibe"].iter().chain(VERBS).chain(LEADS).chain(ADVERBS).any(is) {
        return None;
    }
    let mut words = Words { rest: bare };
    let first = words.peek()?;
    let mut whole = true;
    if first == "with" {
        words.next();
        let help = ["the", "some"].contains(&words.peek()?.as_str());
        if help {
            words.next();
        }
        if !["help", "assistance", "aid", "support"].contains(&words.next()?.as_str()) {
            return None;
        }
    } else {
        let verb = first == "vibe" || VERBS.contains(&first.as_str());
        if !verb && (LEADS.contains(&first.as_str()) || !words.skip(ADVERBS)?) {
            whole = false;
            if !LEADS.contains(&first.as_str()) {
                return None;
            }
            let mut object = false;
            let mut count = 0;
            loop {
                let word = words.next()?;
                object |= OBJECTS.contains(&word.as_str()) || word == "this";
                if matches!(word.as_str(), "was" | "were" | "is" | "are" | "has" | "have") {
                    break;
                }
                count += 1;
                if count > 6 {
                    return None;
                }
            }
            if !object {
                return None;
            }
            words.skip(ADVERBS)?;
        }
        let verb = words.next()?;
        let known = VERBS.contains(&verb.as_str()) || (verb == "vibe" && words.next()? == "coded");
        if !known {
            return None;
        }
        words.skip(ADVERBS)?;
        if !BY.contains(&words.next()?.as_str()) {
            return None;
        }
    }
    words.skip(SKIPPED)?;
    Some(Claim { named: words.rest.trim_start(), whole })
}

struct Words<'t> {
    rest: &'t str,
}

impl Words<'_> {
    fn peek(&self) -> Option<String> {
        let rest = self.rest.trim_start();
        let word = rest.split_whitespace().next()?;
        Some(word.trim_matches(['*', '_', ',', ':']).to_lowercase())
    }

    /// Leaves out the words of a list; `None` if nothing follows.
    fn skip(&mut self, list: &[&str]) -> Option<bool> {
        let mut any = false;
        while list.contains(&self.peek()?.as_str()) {
            self.next();
            any = true;
        }
        Some(any)
    }

    fn next(&mut self) -> Option<String> {
        let word = self.peek()?;
        let rest = self.rest.trim_start();
        self.rest = &rest[rest.find(char::is_whitespace).unwrap_or(rest.len())..];
        Some(word)
    }
}

/// Takes Markdown's links and emphasis, and addresses in brackets, out of a text.
pub(super) fn unlinked(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("](").or_else(|| rest.find("(http")) {
        let open = at + usize::from(rest[at..].starts_with("]("));
        plain.push_str(&rest[..at]);
        plain.push(' ');
        match rest[open..].find(')') {
            Some(end) => rest = &rest[open + end + 1..],
            None => rest = "",
        }
    }
    plain.push_str(rest);
    plain.replace(['[', ']', '*', '_', '`'], "").trim().trim_end_matches('.').to_owned()
}

pub(super) fn strip_words<'t>(text: &'t str, words: &str) -> Option<&'t str> {
    let head = text.get(..words.len())?;
    let rest = &text[words.len()..];
    (head.eq_ignore_ascii_case(words) && !rest.starts_with(char::is_alphanumeric)).then_some(rest)
}
