//! How much an assertion asks, by its text; and whether two of them differ in the
//! expected value alone.

use std::collections::BTreeSet;

use crate::gate::language::{Language, Languages, Mark};

/// How many lines of one assertion are looked at.
const MAX_LINES: usize = 12;

/// How much an assertion asks, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// Nothing, or only that something is there.
    Loose,
    /// Whether something is true.
    Truth,
    /// What something is.
    Comparison,
}

/// The whole of the assertion that begins a text: its lines until its brackets
/// are closed, as far as brackets in texts leave that to be seen.
pub fn whole(lines: &[&str]) -> String {
    let mut text = String::new();
    let mut open = 0i64;
    for line in lines.iter().take(MAX_LINES) {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(line);
        for character in line.chars() {
            match character {
                '(' | '[' | '{' => open += 1,
                ')' | ']' | '}' => open -= 1,
                _ => {}
            }
        }
        if open <= 0 {
            break;
        }
    }
    text
}

/// How much it asks. Before a change a comparison with `true`, `0` or an empty
/// list asks no more than a truth, since it may be written as one; after it, it
/// is a comparison: what is not clear is no loss.
pub fn strength(language: &Language, text: &str, before: bool) -> Strength {
    let languages = Languages::built_in();
    let sides = sides(text);
    if language.bears(Mark::Loose, text) || sides.is_some_and(|(one, other)| one == other) {
        return Strength::Loose;
    }
    let is_truth = language.bears(Mark::Truth, text) && !languages.compares(text);
    let is_trivial =
        || sides.is_some_and(|it| languages.is_trivial(it.0) || languages.is_trivial(it.1));
    if is_truth || (before && is_trivial()) { Strength::Truth } else { Strength::Comparison }
}

/// What an assertion compares: what stands beside `==`, or the last two of a
/// call's arguments that could be meant.
fn sides(text: &str) -> Option<(&str, &str)> {
    let within = arguments(text);
    let inner = within.as_ref().map_or(text, |it| it.whole);
    for operator in ["===", "==", " is ", ".to eq(", ".toBe(", ".toEqual(", ".isEqualTo("] {
        let split = inner.split_once(operator).or_else(|| text.split_once(operator));
        if let Some((one, other)) = split {
            return Some((subject(one), operand(other)));
        }
    }
    let parts = within?.parts;
    // Of Go's, the first is the test itself.
    let parts = parts.strip_prefix(&["t"]).unwrap_or(&parts);
    match *parts {
        [one, other, ..] => Some((one, other)),
        _ => None,
    }
}

/// What stands at the beginning of a text, up to a comma or a bracket that closes
/// what it does not open.
fn operand(text: &str) -> &str {
    let mut depth = 0;
    let ends = |character: char| {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        depth < 0 || (depth == 0 && character == ',')
    };
    let end = text.find(ends).unwrap_or(text.len());
    text[..end].trim().trim_end_matches(';').trim_end()
}

/// What is asked about: without the word that asks.
fn subject(text: &str) -> &str {
    let text = text.trim();
    let text = text.strip_prefix("assert ").unwrap_or(text);
    let asked = ["expect(", "assertThat("].into_iter().find_map(|it| text.strip_prefix(it));
    asked.and_then(|it| it.strip_suffix(')')).unwrap_or(text).trim()
}

struct Arguments<'a> {
    whole: &'a str,
    parts: Vec<&'a str>,
}

/// The arguments of the first call.
fn arguments(text: &str) -> Option<Arguments<'_>> {
    let begin = text.find('(')? + 1;
    let (mut depth, mut from, mut parts) = (1, begin, Vec::new());
    let mut quote = None;
    for (at, character) in text.char_indices().skip_while(|(at, _)| *at < begin) {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '"' | '`') => quote = Some(character),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => {
                depth -= 1;
                if depth == 0 {
                    parts.push(text[from..at].trim());
                    return Some(Arguments { whole: &text[begin..at], parts });
                }
            }
            (None, ',') if depth == 1 => {
                parts.push(text[from..at].trim());
                from = at + 1;
            }
            (None, _) => {}
        }
    }
    None
}

/// Whether what one assertion asks about is, for the most part, what another does.
pub fn is_about_the_same(one: &str, other: &str) -> bool {
    let asked = words(one);
    let there = words(other);
    let shared = asked.iter().filter(|it| there.contains(*it)).count();
    asked.is_empty() || shared * 2 >= asked.len()
}

/// The words of what an assertion asks about: without numbers, and without its own.
fn words(text: &str) -> BTreeSet<&str> {
    let within = arguments(text).map(|it| it.whole);
    let parts = match (sides(text), within) {
        (Some((one, other)), _) => [one, other],
        (None, Some(within)) => [within, ""],
        (None, None) => [subject(text), ""],
    };
    let parts = parts.into_iter();
    let words = parts.flat_map(|it| it.split(|it: char| !it.is_alphanumeric() && it != '_'));
    words.filter(|it| !it.is_empty() && !it.starts_with(|it: char| it.is_ascii_digit())).collect()
}

/// An assertion with `_` for each number and quoted text: what it asks about.
pub fn without_values(text: &str) -> String {
    let mut shape = String::new();
    let mut characters = text.chars().peekable();
    let mut in_word = false;
    while let Some(character) = characters.next() {
        if matches!(character, '"' | '\'' | '`') && !in_word {
            let mut escaped = false;
            for it in characters.by_ref() {
                if it == character && !escaped {
                    break;
                }
                escaped = it == '\\' && !escaped;
            }
            shape.push('_');
        } else if character.is_ascii_digit() && !in_word {
            while characters
                .next_if(|it| it.is_ascii_alphanumeric() || matches!(it, '.' | '_'))
                .is_some()
            {}
            shape.push('_');
        } else {
            shape.push(character);
        }
        in_word = character.is_alphanumeric() || character == '_';
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: &str, text: &str, before: bool, expected: Strength) {
        let language = Languages::built_in().of(kind).unwrap();
        assert_eq!(strength(language, text, before), expected, "{text}");
    }

    #[test]
    fn what_assertions_ask() {
        use Strength::{Comparison, Loose, Truth};
        for (kind, text, before, after) in [
            ("py", "assert f(x) == 3", Comparison, Comparison),
            ("py", "assert f(x)", Truth, Truth),
            ("py", "assert not f(x)", Truth, Truth),
            ("py", "assert f(x) == []", Truth, Comparison),
            ("py", "assert f(x) is None", Truth, Comparison),
            ("py", "assert f(x) is not None", Loose, Loose),
            ("py", "assert f(x) == f(x)", Loose, Loose),
            ("py", "assert f(x) == f(x, 1)", Comparison, Comparison),
            ("py", "assert x in (1, 2)", Comparison, Comparison),
            ("py", "self.assertEqual(f(x), 3)", Comparison, Comparison),
            ("py", "self.assertTrue(f(x))", Truth, Truth),
            ("py", "self.assertTrue(f(x) > 2)", Comparison, Comparison),
            ("rs", "assert_eq!(f(x), 3);", Comparison, Comparison),
            ("rs", "assert_eq!(f(x), f(x));", Loose, Loose),
            ("rs", "assert_eq!(f(x, 1), g(\"a, b\"), \"why\");", Comparison, Comparison),
            ("rs", "assert_eq!(a.is_empty(), true);", Truth, Comparison),
            ("rs", "assert!(f(x));", Truth, Truth),
            ("rs", "assert!(f(x) == 3);", Comparison, Comparison),
            ("rs", "assert!(matches!(f(x), Some(3)));", Comparison, Comparison),
            ("rs", "assert!(f(x).is_ok());", Loose, Loose),
            ("rs", "assert_snapshot!(f(x));", Comparison, Comparison),
            ("ts", "expect(f(x)).toBe(3);", Comparison, Comparison),
            ("ts", "expect(f(x)).toBeTruthy();", Loose, Loose),
            ("ts", "expect(f(x)).toBe(f(x));", Loose, Loose),
            ("ts", "expect(f(x)).toBe(true);", Truth, Comparison),
            ("ts", "assert.equal(f(x), 3);", Comparison, Comparison),
            ("ts", "assert.ok(f(x));", Truth, Truth),
            ("go", "require.Equal(t, 3, f(x))", Comparison, Comparison),
            ("go", "require.Equal(t, f(x), f(x))", Loose, Loose),
            ("go", "require.NoError(t, err)", Truth, Truth),
            ("java", "assertEquals(3, f(x));", Comparison, Comparison),
            ("java", "assertTrue(f(x));", Truth, Truth),
            ("java", "assertTrue(a.equals(b));", Comparison, Comparison),
            ("java", "assertThat(f(x)).isEqualTo(3);", Comparison, Comparison),
            ("java", "assertThat(f(x)).isTrue();", Truth, Truth),
            ("c", "assert(f(x) == 3);", Comparison, Comparison),
            ("c", "assert(f(x));", Truth, Truth),
            ("cs", "Assert.Equal(3, F(x));", Comparison, Comparison),
            ("cs", "Assert.True(F(x));", Truth, Truth),
        ] {
            check(kind, text, true, before);
            check(kind, text, false, after);
        }
    }

    #[test]
    fn what_assertions_are_about() {
        for (one, other, same) in [
            ("assert cart.total() == 3", "assert basket.total() == 4", true),
            ("assert cart.total() == 3", "assert name == 'x'", false),
            ("expect(cart.total()).toBe(3);", "expect(name).toBe('x');", false),
            ("expect(cart.total()).toBe(3);", "expect(total).toEqual(4);", true),
            ("assert_eq!(cart.total(), 3);", "assert_eq!(cart.name(), \"x\");", true),
            ("assert_eq!(total(cart), 3);", "assert!(log.is_empty());", false),
            ("assertEquals(3, total);", "assertEquals(4, total);", true),
            ("t.Errorf(\"total\")", "t.Fatal(\"no name\")", false),
            ("assert 3", "assert x", true),
        ] {
            assert_eq!(is_about_the_same(one, other), same, "{one} {other}");
        }
    }

    #[test]
    fn an_assertion_ends_where_its_brackets_do() {
        let check = |lines: &[&str], expected: &str| assert_eq!(whole(lines), expected);
        check(&["assert_eq!(", "f(x),", "3", ");", "g();"], "assert_eq!( f(x), 3 );");
        check(&["assert f(x) == 3", "g()"], "assert f(x) == 3");
        check(&["expect(f(x)", "  .toBe(3)"], "expect(f(x)   .toBe(3)");
    }

    #[test]
    fn values_are_numbers_and_texts() {
        let check = |text: &str, expected: &str| assert_eq!(without_values(text), expected);
        check("assert_eq!(f1(x, 2), 3.5);", "assert_eq!(f1(x, _), _);");
        check("assert f('it\\'s') == \"b\"", "assert f(_) == _");
        check("expect(f).toBe(`x`);", "expect(f).toBe(_);");
    }
}
