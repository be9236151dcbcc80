//! OpenCover's XML, which Coverlet writes as well: `File` elements give each
//! path a number within its module, `SequencePoint`s refer to it.

use std::collections::HashMap;

use super::xml::{Node, Walk, number};
use super::{Collector, FileNumber, ParseError, malformed};
use crate::gate::xml::attribute;

/// The line that compilers give to code that nobody wrote.
const HIDDEN: u64 = 0xfe_efee;

/// Where in a report we are.
#[derive(Default)]
pub(super) struct OpenCover {
    files: HashMap<String, FileNumber>,
    /// The file of the method we are in.
    method: Option<FileNumber>,
}

impl Walk for OpenCover {
    fn node(&mut self, node: Node<'_>, collector: &mut Collector) -> Result<(), ParseError> {
        match node {
            Node::Open("File", element) => {
                let uid = attribute(element, "uid").unwrap_or_default();
                let path = attribute(element, "fullPath").unwrap_or_default();
                let file = collector.file(path.as_bytes())?;
                self.files.insert(uid, file);
            }
            Node::Open("FileRef", element) => {
                let uid = attribute(element, "uid").unwrap_or_default();
                self.method = self.files.get(&uid).copied();
            }
            Node::Open("SequencePoint", element) => {
                let own = attribute(element, "fileid");
                let file = own.and_then(|it| self.files.get(&it).copied()).or(self.method);
                let (from, to) = (number(element, "sl")?, number(element, "el")?);
                let covered = number(element, "vc")? > 0;
                if from == HIDDEN {
                    return Ok(());
                }
                let file = file.ok_or_else(|| malformed("a point of no file", "`<SequencePoint>`"));
                collector.range(file?, from, to, covered)?;
            }
            Node::Close("Method") => self.method = None,
            Node::Close("Module") => self.files.clear(),
            Node::Open(..) | Node::Close(_) | Node::Text(_) => {}
        }
        Ok(())
    }
}
