//! Canonical JSON: one text for one value.
//!
//! Keys sorted by their bytes, no space between tokens, no floats, every
//! character as itself except those that JSON must escape, one final newline.
//! (RFC 8785 without its numbers: integers are all we write.)

use serde_json::Value;

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

/// SHA-256 of `bytes` in lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    let mut text = String::with_capacity(64);
    for byte in sha2::Sha256::digest(bytes) {
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
    Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

pub(super) fn write_value(value: &Value, text: &mut String) -> Result<(), NotCanonical> {
    match value {
        Value::Null | Value::Bool(_) => text.push_str(&value.to_string()),
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
            members.sort_by_key(|(key, _)| key.as_bytes());
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

    #[test]
    fn floats_have_none() {
        check("1.5", None);
        check("[1e2]", None);
        check("18446744073709551616", None);
    }
}
