//! Reports in XML: told apart by their root, and walked without a tree.

use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use super::{Collector, Format, ParseError, cobertura, jacoco, malformed, opencover};
use crate::gate::xml::{attribute, reference};

/// How deep elements may be nested.
const MAX_DEPTH: usize = 128;

/// What a walk meets.
pub(super) enum Node<'a> {
    Open(&'a str, &'a BytesStart<'a>),
    Close(&'a str),
    Text(&'a str),
}

/// A format in XML.
pub(super) trait Walk {
    fn node(&mut self, node: Node<'_>, collector: &mut Collector) -> Result<(), ParseError>;
}

/// Reads a report whose first character is `<`.
pub(super) fn parse(bytes: &[u8], collector: &mut Collector) -> Result<Format, ParseError> {
    let text = String::from_utf8_lossy(bytes);
    let mut reader = Reader::from_str(&text);
    let mut found: Option<(Format, Box<dyn Walk>)> = None;
    let mut depth = 0_usize;
    loop {
        let event = reader
            .read_event()
            .map_err(|error| malformed(&error.to_string(), byte(reader.error_position())))?;
        let (element, empty) = match &event {
            Event::Eof => break,
            Event::Start(element) => (element, false),
            Event::Empty(element) => (element, true),
            Event::End(element) => {
                depth = depth.saturating_sub(1);
                if let Some((_, walk)) = &mut found {
                    walk.node(Node::Close(element.local_name().as_ref()), collector)?;
                }
                continue;
            }
            Event::Text(text) => {
                if let Some((_, walk)) = &mut found {
                    walk.node(Node::Text(text.as_ref()), collector)?;
                }
                continue;
            }
            Event::CData(text) => {
                if let Some((_, walk)) = &mut found {
                    walk.node(Node::Text(text.as_ref()), collector)?;
                }
                continue;
            }
            Event::GeneralRef(it) => {
                if let Some((_, walk)) = &mut found {
                    walk.node(Node::Text(&reference(it)), collector)?;
                }
                continue;
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => continue,
        };
        depth += 1;
        if depth > MAX_DEPTH {
            return Err(malformed("elements are nested too deep", byte(reader.buffer_position())));
        }
        let name = element.local_name();
        let name = name.as_ref();
        if found.is_none() {
            found = Some(by_root(name)?);
        }
        if let Some((_, walk)) = &mut found {
            walk.node(Node::Open(name, element), collector)?;
            if empty {
                walk.node(Node::Close(name), collector)?;
            }
        }
        if empty {
            depth -= 1;
        }
    }
    match found {
        Some(_) if depth != 0 => Err(ParseError::Truncated),
        Some((format, _)) => Ok(format),
        None => Err(ParseError::Unknown),
    }
}

fn by_root(name: &str) -> Result<(Format, Box<dyn Walk>), ParseError> {
    Ok(match name {
        "coverage" => (Format::Cobertura, Box::new(cobertura::Cobertura::default())),
        "report" => (Format::Jacoco, Box::new(jacoco::Jacoco::default())),
        "CoverageSession" => (Format::OpenCover, Box::new(opencover::OpenCover::default())),
        _ => return Err(ParseError::Unknown),
    })
}

fn byte(at: u64) -> String {
    format!("byte {at}")
}

/// An attribute that is a number which must be there.
pub(super) fn number(element: &BytesStart<'_>, name: &str) -> Result<u64, ParseError> {
    attribute(element, name).and_then(|it| super::number(it.trim().as_bytes())).ok_or_else(|| {
        let element = element.local_name();
        malformed(&format!("`{name}` is no number"), format!("`<{}>`", element.as_ref()))
    })
}
