//! Canonical JSON: one text for one value.
//!
//! Keys sorted by their bytes, no space between tokens, no floats, every
//! character as itself except those that JSON must escape, one final newline.
//! (RFC 8785 without its numbers: integers are all we write.)

use serde_json::Value;

use crate::gate::order;

/// A value that has no canonical text.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the number {0} is not an integer of 64 bits")]
pub struct NotCanonical(pub String);

/// Writes a value as canonical JSON with its final newline.
pub fn write(value: &Value) -> Result<Vec<u8>, NotCanonical> {
    let mut text = String::new();
    write_value(value, &mut text)?;
    text.push('\n');
    Ok(text.into_bytes())
}

/// SHA-256 of `parts`, one behind the other.
pub fn digest<'a>(parts: impl Iterator<Item = &'a [u8]>) -> [u8; 32] {
    use sha2::Digest;
    let mut digest = sha2::Sha256::new();
    parts.for_each(|part| digest.update(part));
    digest.finalize().into()
}

/// SHA-256 of `bytes` in lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    sha256_of(std::iter::once(bytes))
}

/// SHA-256 of `parts`, one behind the other, in lower-case hexadecimal.
pub fn sha256_of<'a>(parts: impl Iterator<Item = &'a [u8]>) -> String {
    let mut text = String::with_capacity(64);
    for byte in digest(parts) {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).expect("four bits are one digit"));
        }
    }
    text
}

/// Whether `text` is a SHA-256 as [`sha256`] writes it.
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && is_lower_hex(text)
}

/// Whether `text` holds lower-case hexadecimal digits only.
pub fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// A JSON object of these members, which are taken and not copied.
pub(super) fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(order::object(members.map(|(name, value)| (name.to_owned(), value))))
}

/// Whether `text` is what [`write()`] writes of some value, but for the newline;
/// the value itself is not needed to tell. `false` says nothing: strings with
/// escapes, long numbers and deep values are not looked at.
pub fn is_plainly_canonical(text: &str) -> bool {
    let mut rest = text.as_bytes();
    pass_value(&mut rest, 32).is_some() && rest.is_empty()
}

fn pass_value(rest: &mut &[u8], depth: usize) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    match rest.first()? {
        b'"' => pass_string(rest).map(|_| ()),
        b'{' => pass_members(rest, depth),
        b'[' => pass_items(rest, depth),
        b't' => pass(rest, b"true"),
        b'f' => pass(rest, b"false"),
        b'n' => pass(rest, b"null"),
        _ => pass_number(rest),
    }
}

fn pass(rest: &mut &[u8], token: &[u8]) -> Option<()> {
    *rest = rest.strip_prefix(token)?;
    Some(())
}

fn pass_members(rest: &mut &[u8], depth: usize) -> Option<()> {
    pass(rest, b"{")?;
    if pass(rest, b"}").is_some() {
        return Some(());
    }
    let mut last: Option<&[u8]> = None;
    loop {
        let key = pass_string(rest)?;
        if last.replace(key).is_some_and(|last| last >= key) {
            return None;
        }
        pass(rest, b":")?;
        pass_value(rest, depth)?;
        if pass(rest, b"}").is_some() {
            return Some(());
        }
        pass(rest, b",")?;
    }
}

fn pass_items(rest: &mut &[u8], depth: usize) -> Option<()> {
    pass(rest, b"[")?;
    if pass(rest, b"]").is_some() {
        return Some(());
    }
    loop {
        pass_value(rest, depth)?;
        if pass(rest, b"]").is_some() {
            return Some(());
        }
        pass(rest, b",")?;
    }
}

fn pass_string<'t>(rest: &mut &'t [u8]) -> Option<&'t [u8]> {
    let after = rest.strip_prefix(b"\"")?;
    let end = after.iter().position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\'))?;
    let (string, after) = after.split_at(end);
    *rest = after.strip_prefix(b"\"")?;
    Some(string)
}

fn pass_number(rest: &mut &[u8]) -> Option<()> {
    let digits = rest.strip_prefix(b"-").unwrap_or(rest);
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let begins_with_zero = digits.first() == Some(&b'0');
    // Zero has no sign, and no other number begins with it.
    let plain = if begins_with_zero { count == 1 && digits.len() == rest.len() } else { true };
    if !plain || !(1..=18).contains(&count) {
        return None;
    }
    *rest = &digits[count..];
    Some(())
}

pub(super) fn write_value(value: &Value, text: &mut String) -> Result<(), NotCanonical> {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(flag) => text.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) if number.is_i64() || number.is_u64() => {
            text.push_str(&number.to_string());
        }
        Value::Number(number) => return Err(NotCanonical(number.to_string())),
        Value::String(string) => write_string(string, text),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_value(item, text)?;
            }
            text.push(']');
        }
        // The map's own order depends on how serde_json was built.
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            order::sort_by_key(&mut members, |(key, _)| key.as_bytes());
            text.push('{');
            for (index, (key, member)) in members.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_string(key, text);
                text.push(':');
                write_value(member, text)?;
            }
            text.push('}');
        }
    }
    Ok(())
}

pub(super) fn write_string(string: &str, text: &mut String) {
    // What JSON escapes is rare, and then its own writer knows how.
    if string.bytes().any(|byte| byte < b' ' || matches!(byte, b'"' | b'\\')) {
        text.push_str(&Value::from(string).to_string());
        return;
    }
    text.push('"');
    text.push_str(string);
    text.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(json: &str, canonical: Option<&str>) {
        let value: Value = serde_json::from_str(json).expect("the test's own JSON");
        let written = write(&value).ok().map(|bytes| String::from_utf8(bytes).expect("UTF-8"));
        assert_eq!(written.as_deref(), canonical);
    }

    #[test]
    fn one_value_has_one_text() {
        check(r#"{ "b": 1, "a": [true, null] }"#, Some("{\"a\":[true,null],\"b\":1}\n"));
        check(
            r#"{"z":{"y":-1,"x":"\u00e4\u0007\/"}}"#,
            Some("{\"z\":{\"x\":\"ä\\u0007/\",\"y\":-1}}\n"),
        );
        check("18446744073709551615", Some("18446744073709551615\n"));
        check(r#""\u007f\u2028/ \u001f""#, Some("\"\u{7f}\u{2028}/ \\u001f\"\n"));
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-20i64..20).prop_map(Value::from),
            "[a-c\u{e4}]{0,3}".prop_map(Value::from),
            ".{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("[a-c]{0,2}", inner), 0..4)
                    .prop_map(|it| Value::Object(it.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_told_to_be_canonical_is(value in json(), at in 0usize..80, byte in 0x20u8..0x7f) {
            let mut text = String::new();
            write_value(&value, &mut text).expect("no floats");
            if !text.contains('\\') && !text.bytes().any(|it| it.is_ascii_digit()) {
                prop_assert!(is_plainly_canonical(&text), "{}", text);
            }
            // With a byte changed, put in or left out it is canonical or not told to be.
            for (from, to) in [(at, at + 1), (at, at)] {
                for with in [&[byte][..], &[]] {
                    let mut bytes = text.clone().into_bytes();
                    if to <= bytes.len() {
                        bytes.splice(from..to, with.iter().copied());
                    }
                    let Ok(changed) = String::from_utf8(bytes) else { continue };
                    if is_plainly_canonical(&changed) {
                        let value = serde_json::from_str(&changed).expect("it is JSON");
                        prop_assert_eq!(write(&value), Ok((changed + "\n").into_bytes()));
                    }
                }
            }
        }
    }

    #[test]
    fn numbers_are_told_to_be_canonical() {
        for (text, expected) in [
            ("0", true),
            ("-1", true),
            ("120", true),
            ("-0", false),
            ("01", false),
            ("-01", false),
            ("-", false),
            ("1.5", false),
            ("1e2", false),
            ("9999999999999999999999", false),
            ("{\"a\":1,\"a\":2}", false),
            ("{\"b\":1,\"a\":2}", false),
            ("{\"a\":[],\"b\":{}}", true),
            ("[1, 2]", false),
            ("[1,]", false),
            ("", false),
        ] {
            assert_eq!(is_plainly_canonical(text), expected, "{text}");
        }
    }

    #[test]
    fn floats_have_none() {
        check("1.5", None);
        check("[1e2]", None);
        check("18446744073709551616", None);
    }
}
