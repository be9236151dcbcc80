//! LCOV's trace files (`geninfo(1)` of LTP's lcov, versions 1 and 2), which many
//! tools of other languages write as well.
//!
//! Only `SF`, `DA` and `end_of_record` count. The totals `LF` and `LH` are left
//! alone: where a function is compiled several times they count its lines as
//! often (llvm-cov), and here each line counts once.

use super::{Collector, FileNumber, Format, ParseError, is_hit, malformed, number};

/// Where in a trace file we are.
#[derive(Debug, Default)]
pub(super) struct Lcov {
    file: Option<FileNumber>,
}

impl Lcov {
    pub(super) fn line(
        &mut self,
        line: &[u8],
        at: u64,
        collector: &mut Collector,
    ) -> Result<(), ParseError> {
        if let Some(data) = line.strip_prefix(b"DA:") {
            let place = || format!("line {at}");
            let file = self.file.ok_or_else(|| malformed("data before a file's name", place()))?;
            let mut fields = data.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            let line = fields.next().and_then(number);
            let hit = fields.next().and_then(is_hit);
            let (Some(line), Some(hit)) = (line, hit) else {
                return Err(malformed("`DA` without a line's number and a count", place()));
            };
            return collector.line(file, line, hit);
        }
        if let Some(name) = line.strip_prefix(b"SF:") {
            self.file = Some(collector.file(name.trim_ascii())?);
        } else if line.trim_ascii() == b"end_of_record" {
            self.file = None;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Format, ParseError> {
        if self.file.is_some() { Err(ParseError::Truncated) } else { Ok(Format::Lcov) }
    }
}
