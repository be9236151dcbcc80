//! Cobertura's XML (`coverage-04.dtd`), as coverage.py, gcovr, Coverlet, PHPUnit
//! and many others write it: `class` elements name a file relative to one of
//! `sources`, and hold `line` elements with `number` and `hits`.

use super::xml::{Node, Walk, number};
use super::{Collector, FileNumber, ParseError, is_hit, malformed};
use crate::gate::xml::attribute;

/// Where in a report we are.
#[derive(Default)]
pub(super) struct Cobertura {
    depth: usize,
    file: Option<FileNumber>,
    source: Option<String>,
}

impl Walk for Cobertura {
    fn node(&mut self, node: Node<'_>, collector: &mut Collector) -> Result<(), ParseError> {
        match node {
            Node::Open(name, element) => {
                self.depth += 1;
                match (name, self.file) {
                    // Clover's root has the same name.
                    ("project", None) if self.depth == 2 => {
                        return Err(ParseError::NoLines("Clover report"));
                    }
                    ("source", None) => self.source = Some(String::new()),
                    ("class", _) => {
                        let name = attribute(element, "filename")
                            .ok_or_else(|| malformed("a class without `filename`", "`<class>`"))?;
                        self.file = Some(collector.file(name.as_bytes())?);
                    }
                    ("line", Some(file)) => {
                        let hits = attribute(element, "hits");
                        let hits = hits.and_then(|it| is_hit(it.trim().as_bytes()));
                        let hits = hits.ok_or_else(|| malformed("`hits` is no count", "`<line>`"));
                        collector.line(file, number(element, "number")?, hits?)?;
                    }
                    (_, Some(_) | None) => {}
                }
            }
            Node::Close(name) => {
                self.depth = self.depth.saturating_sub(1);
                match name {
                    "class" => self.file = None,
                    "source" => {
                        if let Some(source) = self.source.take() {
                            collector.source(source.trim().as_bytes())?;
                        }
                    }
                    _ => {}
                }
            }
            Node::Text(text) => {
                if let Some(source) = &mut self.source {
                    source.push_str(text);
                }
            }
        }
        Ok(())
    }
}
