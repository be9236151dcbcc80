//! Path and ref patterns.
//!
//! The matcher is ours because the language is git's: `a**b`, classes such as
//! `[[:alpha:]]`, braces that mean nothing, and bytes that are not UTF-8
//! behave as in a `.gitignore` (the oracle in the tests is `git check-ignore`).
//! It walks components, so that its time is bounded by the lengths of pattern
//! and path, and compiling costs nothing worth a cache.

use super::super::change::RepoPath;

/// A set of gitignore-flavoured patterns: case-sensitive, anchored by a slash
/// at the start or in the middle, matching at any depth without one; a matched
/// folder covers everything below it, and there is no negation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Globs {
    /// As written.
    pub patterns: Vec<String>,
    /// The folder that the patterns are relative to, with its final slash; empty for the root.
    folder: String,
    compiled: Vec<Glob>,
}

/// A pattern that means nothing, or not what its author thinks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    #[error("the pattern is empty")]
    Empty,
    #[error("`{0}` is a negation, which patterns here do not have; use `except`")]
    Negation(String),
    #[error("`{0}` can never match: paths have no empty, `.` or `..` parts")]
    Component(String),
    #[error("`{0}` ends in the middle of an escape or a `[…]` class")]
    Unterminated(String),
    #[error("`{0}` is longer than 4096 bytes")]
    TooLong(String),
    #[error("`{0}` is no full ref name; write `refs/heads/{0}`")]
    ShortRef(String),
}

impl Globs {
    /// Compiles patterns that are relative to the repository's root.
    pub fn new(patterns: &[String]) -> Result<Globs, GlobError> {
        Globs::below("", patterns)
    }

    /// Compiles patterns that are relative to `folder` (with its final slash)
    /// and match nothing outside it.
    pub fn below(folder: &str, patterns: &[String]) -> Result<Globs, GlobError> {
        let compiled = patterns.iter().map(|it| Glob::path(it)).collect::<Result<_, _>>()?;
        Ok(Globs { patterns: patterns.to_vec(), folder: folder.to_owned(), compiled })
    }

    /// Whether any pattern matches the path or a folder above it.
    pub fn matches(&self, path: &RepoPath) -> bool {
        self.position(path).is_some()
    }

    /// Returns the first pattern, as written, that matches.
    pub fn which(&self, path: &RepoPath) -> Option<&str> {
        self.position(path).and_then(|at| self.patterns.get(at)).map(String::as_str)
    }

    /// Whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The beginnings of which every matching path has one; `None` where a match
    /// may begin with anything.
    pub fn beginnings(&self) -> Option<Vec<Vec<u8>>> {
        let beginning = |glob: &Glob| {
            let literal: &[u8] = match &glob.shape {
                Shape::Path(literal) => literal,
                Shape::Parts { start, .. } => start,
                Shape::Name(_) => b"",
            };
            let whole = [self.folder.as_bytes(), literal].concat();
            (!whole.is_empty()).then_some(whole)
        };
        self.compiled.iter().map(beginning).collect()
    }

    /// Returns the patterns, as written, that match none of the paths.
    pub fn idle<'a>(&'a self, paths: &[RepoPath]) -> Vec<&'a str> {
        let paths = paths
            .iter()
            .filter_map(|path| path.as_bytes().strip_prefix(self.folder.as_bytes()))
            .collect::<Vec<_>>();
        let idle = |glob: &Glob| !paths.iter().any(|path| glob.covers(path));
        self.patterns
            .iter()
            .zip(&self.compiled)
            .filter(|(_, glob)| idle(glob))
            .map(|(pattern, _)| pattern.as_str())
            .collect()
    }

    fn position(&self, path: &RepoPath) -> Option<usize> {
        let path = path.as_bytes().strip_prefix(self.folder.as_bytes())?;
        self.compiled.iter().position(|glob| glob.covers(path))
    }
}

/// Patterns over full ref names: `*` matches within one component, `**` any
/// number of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefPatterns {
    /// As written.
    pub patterns: Vec<String>,
    compiled: Vec<Glob>,
}

impl RefPatterns {
    /// Compiles patterns, each of which begins with `refs/`.
    pub fn new(patterns: &[String]) -> Result<RefPatterns, GlobError> {
        let compiled = patterns.iter().map(|it| Glob::reference(it)).collect::<Result<_, _>>()?;
        Ok(RefPatterns { patterns: patterns.to_vec(), compiled })
    }

    /// Whether any pattern matches the whole name.
    pub fn matches(&self, name: &str) -> bool {
        self.compiled.iter().any(|glob| glob.is_whole(name.as_bytes()))
    }
}

/// One compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Glob {
    shape: Shape,
    /// How many components must remain below what the parts matched: one for
    /// a final slash or a final `**`, two for both.
    rest: usize,
}

/// The usual patterns are compared without any matching.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    /// An anchored path without wildcards.
    Path(Vec<u8>),
    /// One name at any depth.
    Name(Part),
    /// Anything else: the bytes that every match begins with, and the parts.
    Parts { start: Vec<u8>, parts: Vec<Part> },
}

/// One component of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// `**`: any number of components.
    Any,
    /// `*`: one component.
    One,
    Literal(Vec<u8>),
    /// `*` and a literal.
    Suffix(Vec<u8>),
    /// A literal and `*`.
    Prefix(Vec<u8>),
    Wild(Vec<Token>),
}

/// One piece of a component with wildcards.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Star,
    Question,
    Byte(u8),
    Class { negated: bool, ranges: Vec<(u8, u8)> },
}

const LONGEST: usize = 4096;

impl Glob {
    fn path(pattern: &str) -> Result<Glob, GlobError> {
        if pattern.starts_with('!') {
            return Err(GlobError::Negation(pattern.to_owned()));
        }
        let trimmed = pattern.strip_suffix('/').unwrap_or(pattern);
        let anchored = trimmed.contains('/');
        let trimmed = trimmed.strip_prefix('/').unwrap_or(trimmed);
        let mut parts = parts(pattern, trimmed)?;
        let mut rest = usize::from(pattern.ends_with('/'));
        if parts.last() == Some(&Part::Any) {
            parts.pop();
            rest += 1;
        }
        if !anchored && !parts.is_empty() {
            parts.insert(0, Part::Any);
        }
        Ok(Glob { shape: Shape::new(parts), rest })
    }

    fn reference(pattern: &str) -> Result<Glob, GlobError> {
        if !pattern.starts_with("refs/") {
            return Err(GlobError::ShortRef(pattern.to_owned()));
        }
        let parts = parts(pattern, pattern)?;
        Ok(Glob { shape: Shape::Parts { start: Vec::new(), parts }, rest: 0 })
    }

    /// Whether the path or a folder above it matches.
    fn covers(&self, path: &[u8]) -> bool {
        match &self.shape {
            Shape::Path(literal) => path
                .strip_prefix(literal.as_slice())
                .is_some_and(|below| is_below(below) && self.rest <= depth(below)),
            Shape::Name(part) => self.names(part, path),
            Shape::Parts { start, parts } => {
                path.starts_with(start) && walk(parts, path, |left| left >= self.rest)
            }
        }
    }

    fn names(&self, part: &Part, path: &[u8]) -> bool {
        if let (0, Part::Suffix(text)) = (self.rest, part) {
            let ends = |(at, &byte): (usize, &u8)| byte == b'/' && path[..at].ends_with(text);
            return path.ends_with(text) || path.iter().enumerate().any(ends);
        }
        let mut components = path.split(|&byte| byte == b'/');
        if self.rest == 0 {
            return components.any(|name| part.matches(name));
        }
        let last = components.clone().count().saturating_sub(self.rest);
        components.by_ref().take(last).any(|name| part.matches(name))
    }

    /// Whether the whole name matches.
    fn is_whole(&self, name: &[u8]) -> bool {
        match &self.shape {
            Shape::Parts { parts, .. } => walk(parts, name, |left| left == 0),
            Shape::Path(_) | Shape::Name(_) => false,
        }
    }
}

impl Shape {
    fn new(mut parts: Vec<Part>) -> Shape {
        if let [Part::Any, name] = parts.as_mut_slice() {
            return Shape::Name(std::mem::replace(name, Part::One));
        }
        let mut start = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            let separator: &[u8] = if at == 0 { b"" } else { b"/" };
            match part {
                Part::Literal(text) => start.extend([separator, text].concat()),
                Part::Prefix(text) => {
                    start.extend([separator, text].concat());
                    return Shape::Parts { start, parts };
                }
                Part::Any | Part::One | Part::Suffix(_) | Part::Wild(_) => {
                    return Shape::Parts { start, parts };
                }
            }
        }
        if start.is_empty() { Shape::Parts { start, parts } } else { Shape::Path(start) }
    }
}

/// Whether what follows a literal path is nothing or something below it.
fn is_below(rest: &[u8]) -> bool {
    rest.is_empty() || rest.starts_with(b"/")
}

fn depth(below: &[u8]) -> usize {
    below.iter().filter(|&&byte| byte == b'/').count()
}

/// Splits a pattern into parts; neighbouring `**` are one.
fn parts(pattern: &str, trimmed: &str) -> Result<Vec<Part>, GlobError> {
    if pattern.is_empty() {
        return Err(GlobError::Empty);
    }
    if pattern.len() > LONGEST {
        return Err(GlobError::TooLong(pattern.chars().take(40).collect::<String>() + "…"));
    }
    let mut parts = Vec::new();
    for text in trimmed.split('/') {
        if matches!(text, "" | "." | "..") {
            return Err(GlobError::Component(pattern.to_owned()));
        }
        let part = Part::parse(text).ok_or_else(|| GlobError::Unterminated(pattern.to_owned()))?;
        if part != Part::Any || parts.last() != Some(&Part::Any) {
            parts.push(part);
        }
    }
    Ok(parts)
}

/// Matches components from the first; once the parts are used up, `end` is
/// asked with the number of components that are left.
///
/// Only the last `**` is ever tried again: an earlier one that took fewer
/// components leaves the most to those after it.
fn walk(parts: &[Part], path: &[u8], end: impl Fn(usize) -> bool) -> bool {
    let components = path.split(|&byte| byte == b'/').collect::<Vec<_>>();
    let (mut part, mut at) = (0, 0);
    let mut retry = None;
    loop {
        let stuck = match parts.get(part) {
            None if end(components.len() - at) => return true,
            None => true,
            Some(Part::Any) => {
                part += 1;
                retry = Some((part, at));
                false
            }
            Some(single) => match components.get(at) {
                Some(name) if single.matches(name) => {
                    part += 1;
                    at += 1;
                    false
                }
                Some(_) | None => true,
            },
        };
        if stuck {
            let Some((after, from)) = retry.filter(|(_, from)| *from < components.len()) else {
                return false;
            };
            retry = Some((after, from + 1));
            (part, at) = (after, from + 1);
        }
    }
}

impl Part {
    /// Reads one component; `None` if an escape or a class does not end.
    fn parse(text: &str) -> Option<Part> {
        if text.len() > 1 && text.bytes().all(|byte| byte == b'*') {
            return Some(Part::Any);
        }
        let tokens = tokens(text.as_bytes())?;
        let literal = |tokens: &[Token]| {
            tokens
                .iter()
                .map(|token| match token {
                    Token::Byte(byte) => Some(*byte),
                    Token::Star | Token::Question | Token::Class { .. } => None,
                })
                .collect::<Option<Vec<u8>>>()
        };
        Some(match tokens.as_slice() {
            [Token::Star] => Part::One,
            all if literal(all).is_some() => Part::Literal(literal(all)?),
            [Token::Star, rest @ ..] if literal(rest).is_some() => Part::Suffix(literal(rest)?),
            [rest @ .., Token::Star] if literal(rest).is_some() => Part::Prefix(literal(rest)?),
            _ => Part::Wild(tokens),
        })
    }

    fn matches(&self, name: &[u8]) -> bool {
        match self {
            Part::Any | Part::One => true,
            Part::Literal(text) => name == text.as_slice(),
            Part::Suffix(text) => name.ends_with(text),
            Part::Prefix(text) => name.starts_with(text),
            Part::Wild(tokens) => wild(tokens, name),
        }
    }
}

fn tokens(text: &[u8]) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'*' if tokens.last() == Some(&Token::Star) => {}
            b'*' => tokens.push(Token::Star),
            b'?' => tokens.push(Token::Question),
            b'\\' => {
                let (&escaped, after) = rest.split_first()?;
                tokens.push(Token::Byte(escaped));
                rest = after;
            }
            b'[' => {
                let (class, after) = class(rest)?;
                tokens.push(class);
                rest = after;
            }
            _ => tokens.push(Token::Byte(byte)),
        }
    }
    Some(tokens)
}

/// Reads a class after its `[`, as git's wildmatch does: `]` first is itself,
/// `!` or `^` negates, `\` escapes, `[:name:]` is a POSIX class.
fn class(text: &[u8]) -> Option<(Token, &[u8])> {
    let negated = matches!(text.first(), Some(b'!' | b'^'));
    let mut rest = if negated { &text[1..] } else { text };
    let mut ranges = Vec::new();
    let mut first = true;
    loop {
        let (&byte, after) = rest.split_first()?;
        match byte {
            b']' if !first => return Some((Token::Class { negated, ranges }, after)),
            b'[' if after.first() == Some(&b':') && after[1..].contains(&b']') => {
                let end = after.iter().position(|&it| it == b']')?;
                if end >= 2 && after[end - 1] == b':' {
                    ranges.extend(posix(&after[1..end - 1])?);
                    rest = &after[end + 1..];
                } else {
                    ranges.push((b'[', b'['));
                    rest = after;
                }
            }
            _ => {
                let (low, after) = escaped(rest)?;
                rest = after;
                let mut high = low;
                if let [b'-', next, ..] = rest
                    && *next != b']'
                {
                    (high, rest) = escaped(&rest[1..])?;
                }
                ranges.push((low, high));
            }
        }
        first = false;
    }
}

fn escaped(text: &[u8]) -> Option<(u8, &[u8])> {
    match text {
        [b'\\', byte, rest @ ..] => Some((*byte, rest)),
        [b'\\'] | [] => None,
        [byte, rest @ ..] => Some((*byte, rest)),
    }
}

fn posix(name: &[u8]) -> Option<Vec<(u8, u8)>> {
    Some(match name {
        b"alnum" => vec![(b'0', b'9'), (b'A', b'Z'), (b'a', b'z')],
        b"alpha" => vec![(b'A', b'Z'), (b'a', b'z')],
        b"blank" => vec![(b' ', b' '), (b'\t', b'\t')],
        b"cntrl" => vec![(0, 0x1f), (0x7f, 0x7f)],
        b"digit" => vec![(b'0', b'9')],
        b"graph" => vec![(0x21, 0x7e)],
        b"lower" => vec![(b'a', b'z')],
        b"print" => vec![(0x20, 0x7e)],
        b"punct" => vec![(0x21, 0x2f), (0x3a, 0x40), (0x5b, 0x60), (0x7b, 0x7e)],
        b"space" => vec![(b'\t', b'\r'), (b' ', b' ')],
        b"upper" => vec![(b'A', b'Z')],
        b"xdigit" => vec![(b'0', b'9'), (b'A', b'F'), (b'a', b'f')],
        _ => return None,
    })
}

/// Matches one component; only the last star is ever tried again.
fn wild(tokens: &[Token], name: &[u8]) -> bool {
    let (mut token, mut at) = (0, 0);
    let mut retry = None;
    loop {
        let fits = match (tokens.get(token), name.get(at)) {
            (None, None) => return true,
            (Some(Token::Star), _) => {
                token += 1;
                retry = Some((token, at));
                continue;
            }
            (Some(Token::Question), Some(_)) => true,
            (Some(Token::Byte(wanted)), Some(byte)) => wanted == byte,
            (Some(Token::Class { negated, ranges }), Some(byte)) => {
                ranges.iter().any(|(low, high)| (low..=high).contains(&byte)) != *negated
            }
            (None, Some(_)) | (Some(_), None) => false,
        };
        if fits {
            token += 1;
            at += 1;
            continue;
        }
        let Some((after, from)) = retry.filter(|(_, from)| *from < name.len()) else {
            return false;
        };
        retry = Some((after, from + 1));
        (token, at) = (after, from + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, matching: &[&str], other: &[&str]) {
        let globs = Globs::new(&[pattern.to_owned()]).unwrap();
        for path in matching {
            assert!(globs.matches(&RepoPath::new(*path)), "{pattern} does not match {path}");
        }
        for path in other {
            assert!(!globs.matches(&RepoPath::new(*path)), "{pattern} matches {path}");
        }
    }

    #[test]
    fn patterns_read_as_in_a_gitignore() {
        check("*.md", &["a.md", "x/y/a.md", "x.md/b"], &["a.mdx", "md"]);
        check("/*.md", &["a.md"], &["x/a.md"]);
        check(
            "services/checkout/**",
            &["services/checkout/a"],
            &["services/checkout", "x/services/checkout/a"],
        );
        check(
            "services/checkout",
            &["services/checkout", "services/checkout/a/b"],
            &["services/checkout2", "x/services/checkout"],
        );
        check("**/*.tf", &["a.tf", "x/y/a.tf"], &["a.tfvars"]);
        check("a/**/b", &["a/b", "a/x/b", "a/x/y/b/c"], &["a/xb", "b"]);
        check("prompts/", &["prompts/a", "x/prompts/a"], &["prompts"]);
        check("Cargo.*", &["Cargo.toml", "x/Cargo.lock"], &["cargo.toml"]);
        check("x/[a-c]?.r[!s]", &["x/bz.rb"], &["x/bz.rs", "x/dz.rb", "x/b/.rb"]);
        check("a{b,c}", &["a{b,c}"], &["ab"]);
        check("\\!important", &["!important"], &["important"]);
    }

    #[test]
    fn patterns_below_a_folder_reach_nothing_outside() {
        let globs =
            Globs::below("services/checkout/", &["*.rs".to_owned(), "/a".to_owned()]).unwrap();
        for (path, expected) in [
            ("services/checkout/x/b.rs", Some("*.rs")),
            ("services/checkout/a/b", Some("/a")),
            ("services/other/b.rs", None),
            ("a", None),
        ] {
            assert_eq!(globs.which(&RepoPath::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn patterns_that_mean_nothing_are_refused() {
        for (pattern, expected) in [
            ("", "the pattern is empty"),
            ("!a", "`!a` is a negation, which patterns here do not have; use `except`"),
            ("./a", "`./a` can never match: paths have no empty, `.` or `..` parts"),
            ("/", "`/` can never match: paths have no empty, `.` or `..` parts"),
            ("a//b", "`a//b` can never match: paths have no empty, `.` or `..` parts"),
            ("a\\", "`a\\` ends in the middle of an escape or a `[…]` class"),
            ("[ab", "`[ab` ends in the middle of an escape or a `[…]` class"),
        ] {
            let error = Globs::new(&[pattern.to_owned()]).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn a_hostile_pattern_costs_no_more_than_its_length() {
        let stars = "*a".repeat(1_000);
        let path = format!("{}b", "a".repeat(4_000));
        check(&stars, &[], &[&path]);
        check(&"**/a/".repeat(400), &[], &[&"a/".repeat(300)]);
    }

    #[test]
    fn ref_patterns_match_whole_names() {
        let patterns = |text: &str| RefPatterns::new(&[text.to_owned()]);
        for (pattern, name, expected) in [
            ("refs/heads/main", "refs/heads/main", true),
            ("refs/heads/main", "refs/heads/main/x", false),
            ("refs/heads/release/*", "refs/heads/release/1.0", true),
            ("refs/heads/release/*", "refs/heads/release/1.0/fix", false),
            ("refs/heads/release/**", "refs/heads/release/1.0/fix", true),
            ("refs/heads/v*.x", "refs/heads/v1.x", true),
            ("refs/**", "refs/tags/v1", true),
        ] {
            assert_eq!(patterns(pattern).unwrap().matches(name), expected, "{pattern} {name}");
        }
        assert_eq!(
            patterns("main").unwrap_err().to_string(),
            "`main` is no full ref name; write `refs/heads/main`"
        );
    }
}
