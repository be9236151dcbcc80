//! Go's cover profiles (`go test -coverprofile`; golang.org/x/tools/cover): a
//! `mode:` line, then `file:line.column,line.column statements count`.
//!
//! A block has data on each of its lines; one that several blocks share was
//! executed if any of them was. Profiles that were put together repeat `mode:`.

use super::{Collector, ParseError, is_hit, malformed, number};

/// The file of the last line, which is most often that of the next.
#[derive(Debug, Default)]
pub(super) struct Go {
    last: Option<(Vec<u8>, super::FileNumber)>,
}

impl Go {
    pub(super) fn line(
        &mut self,
        line: &[u8],
        at: u64,
        collector: &mut Collector,
    ) -> Result<(), ParseError> {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"mode:") {
            return Ok(());
        }
        let Some(block) = Block::parse(line) else {
            return Err(malformed("no block of a cover profile", format!("line {at}")));
        };
        // Nothing can be executed in an empty block.
        if block.statements == 0 {
            return Ok(());
        }
        let file = match &self.last {
            Some((name, file)) if name == block.file => *file,
            Some(_) | None => {
                let file = collector.file(block.file)?;
                self.last = Some((block.file.to_vec(), file));
                file
            }
        };
        collector.range(file, block.from, block.to, block.hit)
    }
}

struct Block<'a> {
    file: &'a [u8],
    from: u64,
    to: u64,
    statements: u64,
    hit: bool,
}

impl<'a> Block<'a> {
    fn parse(line: &'a [u8]) -> Option<Block<'a>> {
        let (rest, count) = split_last(line, b' ')?;
        let (rest, statements) = split_last(rest, b' ')?;
        let (file, place) = split_last(rest, b':')?;
        let (from, to) = split_last(place, b',')?;
        let line_of = |place: &[u8]| number(split_last(place, b'.')?.0);
        let (from, to) = (line_of(from)?, line_of(to)?);
        let well = !file.is_empty() && from >= 1 && from <= to;
        well.then_some(())?;
        Some(Block { file, from, to, statements: number(statements)?, hit: is_hit(count)? })
    }
}

fn split_last(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = memchr::memrchr(at, text)?;
    Some((&text[..place], &text[place + 1..]))
}
