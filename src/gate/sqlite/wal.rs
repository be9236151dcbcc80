//! The write-ahead log beside a database: pages that are newer than its own
//! (<https://www.sqlite.org/fileformat2.html#the_write_ahead_log>).

use super::word;

/// The size of the log's header.
pub const HEADER: usize = 32;
/// The size of a frame's header, which a page follows.
pub const FRAME: usize = 24;

/// The running check of a log that is read frame by frame.
#[derive(Clone, Debug)]
pub struct Wal {
    pub page_size: u32,
    big_endian: bool,
    salts: [u8; 8],
    sums: (u32, u32),
}

/// A frame that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    pub page: u32,
    /// It ends a transaction: what came before it counts as well.
    pub commits: bool,
}

impl Wal {
    /// Reads the header; `None` if it does not hold, and then the whole log does not.
    pub fn parse(header: &[u8]) -> Option<Wal> {
        let big_endian = match word(header, 0)? {
            0x377f_0682 => false,
            0x377f_0683 => true,
            _ => return None,
        };
        let sums = sum((0, 0), header.get(..24)?, big_endian)?;
        let holds = word(header, 4)? == 3_007_000 && (word(header, 24)?, word(header, 28)?) == sums;
        let page_size = word(header, 8)?;
        let salts = header.get(16..24)?.try_into().ok()?;
        holds.then_some(Wal { page_size, big_endian, salts, sums })
    }

    /// Takes the next frame; `None` if it does not hold: the log ends before it.
    pub fn frame(&mut self, header: &[u8], page: &[u8]) -> Option<Frame> {
        let sums = sum(self.sums, header.get(..8)?, self.big_endian)?;
        let sums = sum(sums, page, self.big_endian)?;
        let holds =
            header.get(8..16)? == self.salts && (word(header, 16)?, word(header, 20)?) == sums;
        let number = word(header, 0)?;
        if !holds || number == 0 {
            return None;
        }
        self.sums = sums;
        Some(Frame { page: number, commits: word(header, 4)? != 0 })
    }
}

/// The checksum of what was summed before and these bytes, eight at a time.
fn sum(before: (u32, u32), bytes: &[u8], big_endian: bool) -> Option<(u32, u32)> {
    let (pairs, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() {
        return None;
    }
    let (mut first, mut second) = before;
    for pair in pairs {
        let [a, b, c, d, e, f, g, h] = *pair;
        let read = if big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
        first = first.wrapping_add(read([a, b, c, d])).wrapping_add(second);
        second = second.wrapping_add(read([e, f, g, h])).wrapping_add(first);
    }
    Some((first, second))
}
