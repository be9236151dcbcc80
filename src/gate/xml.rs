//! What reports in XML have in common: values of attributes, and references in
//! texts, which the reader hands over by themselves.

use quick_xml::events::{BytesRef, BytesStart};

/// An attribute's value; what cannot be unescaped is taken as it stands.
pub(super) fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = element.try_get_attribute(name).ok().flatten()?;
    let value = attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0);
    Some(value.unwrap_or(attribute.value).into_owned())
}

/// The text that a reference stands for (XML 1.0, 4.1 and 4.6): a character by
/// its number, or one of the five that have names; any other as it stands.
pub(super) fn reference(reference: &BytesRef<'_>) -> String {
    if let Ok(Some(character)) = reference.resolve_char_ref() {
        return character.to_string();
    }
    match quick_xml::escape::resolve_predefined_entity(reference.as_ref()) {
        Some(text) => text.to_owned(),
        None => format!("&{};", reference.as_ref() as &str),
    }
}
