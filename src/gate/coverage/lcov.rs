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

    /// Takes the rows that `bytes` begin with as long as they are whole and plain,
    /// `DA:<line>,<count>` in digits: nearly all that a large report holds. Returns
    /// how many bytes and how many rows were taken; any other row is for [`Lcov::line`].
    pub(super) fn plain_rows(
        &self,
        bytes: &[u8],
        collector: &mut Collector,
    ) -> Result<(usize, u64), ParseError> {
        let Some(file) = self.file else { return Ok((0, 0)) };
        let (mut taken, mut rows) = (0, 0);
        let (mut chunk, mut measured, mut covered) = (0, 0_u64, 0_u64);
        while let Some((length, line, hit)) = plain_row(&bytes[taken..]) {
            taken += length;
            rows += 1;
            // Tools write 0 for code without a line of its own.
            if line == 0 {
                continue;
            }
            if line >> 6 != chunk {
                if measured != 0 {
                    collector.chunk(file, chunk, measured, covered)?;
                }
                (chunk, measured, covered) = (line >> 6, 0, 0);
            }
            let bit = 1 << (line & 63);
            measured |= bit;
            covered |= if hit { bit } else { 0 };
        }
        if measured != 0 {
            collector.chunk(file, chunk, measured, covered)?;
        }
        Ok((taken, rows))
    }

    pub(super) fn finish(self) -> Result<Format, ParseError> {
        if self.file.is_some() { Err(ParseError::Truncated) } else { Ok(Format::Lcov) }
    }
}

/// Reads a plain row at the beginning of `bytes`: its length with the line's
/// end, the line's number and whether it was executed. `None`: it is not plain.
fn plain_row(bytes: &[u8]) -> Option<(usize, u32, bool)> {
    if !bytes.starts_with(b"DA:") {
        return None;
    }
    let (mut at, mut line) = (3, 0);
    loop {
        match *bytes.get(at)? {
            // Seven digits are below every bound.
            digit @ b'0'..=b'9' if at < 10 => line = line * 10 + u32::from(digit - b'0'),
            b',' if at > 3 => break,
            _ => return None,
        }
        at += 1;
    }
    let (count, mut hit) = (at + 1, false);
    at = count;
    loop {
        match *bytes.get(at)? {
            b'0' => {}
            b'1'..=b'9' => hit = true,
            b'\n' if at > count => return Some((at + 1, line, hit)),
            _ => return None,
        }
        at += 1;
    }
}
