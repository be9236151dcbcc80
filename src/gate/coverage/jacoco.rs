//! JaCoCo's XML (`report.dtd`, 1.1): `package` and `sourcefile` together name a
//! file below some source folder; a `line` was executed if it has covered
//! instructions (`ci`).

use super::xml::{Node, Walk, number};
use super::{Collector, FileNumber, ParseError};
use crate::gate::xml::attribute;

/// Where in a report we are.
#[derive(Default)]
pub(super) struct Jacoco {
    package: String,
    file: Option<FileNumber>,
}

impl Walk for Jacoco {
    fn node(&mut self, node: Node<'_>, collector: &mut Collector) -> Result<(), ParseError> {
        match node {
            Node::Open(name, element) => match (name, self.file) {
                ("package", _) => self.package = attribute(element, "name").unwrap_or_default(),
                ("sourcefile", _) => {
                    let name = attribute(element, "name").unwrap_or_default();
                    let path = if self.package.is_empty() {
                        name
                    } else {
                        format!("{}/{name}", self.package)
                    };
                    self.file = Some(collector.file(path.as_bytes())?);
                }
                ("line", Some(file)) => {
                    let covered = number(element, "ci")? > 0;
                    collector.line(file, number(element, "nr")?, covered)?;
                }
                (_, Some(_) | None) => {}
            },
            Node::Close("sourcefile") => self.file = None,
            Node::Close("package") => self.package.clear(),
            Node::Close(_) | Node::Text(_) => {}
        }
        Ok(())
    }
}
