//! Lines of one file, as sets of bits: a project of a million lines takes some
//! hundred kilobytes.

use crate::gate::change::LineRange;
use crate::gate::order;

/// The largest number of a line.
const MAX_LINE: u64 = 1 << 26;
/// How many chunks are put together at once.
const COMPACT: usize = 64;

/// Which lines of a file a report has data of, and which of them were executed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// Sorted, each number once, up to `sorted`; the others are added by [`Lines::compact`].
    chunks: Vec<Chunk>,
    /// The length from which on chunks are put together again.
    limit: usize,
    unsorted: bool,
}

/// Sixty-four lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chunk {
    number: u32,
    measured: u64,
    covered: u64,
}

impl Lines {
    /// Notes lines with data. A line that is covered once is covered. `false`:
    /// no file has such a line.
    pub fn mark(&mut self, from: u64, to: u64, covered: bool) -> bool {
        if to > MAX_LINE {
            return false;
        }
        let mut line = from;
        while line <= to {
            let end = (line | 63).min(to);
            let bits = (u64::MAX >> (63 - (end - line))) << (line & 63);
            self.add(Chunk {
                number: u32::try_from(line >> 6).unwrap_or(u32::MAX),
                measured: bits,
                covered: if covered { bits } else { 0 },
            });
            line = end + 1;
        }
        true
    }

    /// Notes some of the sixty-four lines from `64 * number` on, a bit a line;
    /// those that are covered are among those that are measured.
    pub(super) fn mark_chunk(&mut self, number: u32, measured: u64, covered: u64) {
        self.add(Chunk { number, measured, covered });
    }

    fn add(&mut self, chunk: Chunk) {
        match self.chunks.last_mut() {
            Some(last) if last.number == chunk.number => {
                last.measured |= chunk.measured;
                last.covered |= chunk.covered;
            }
            last => {
                self.unsorted |= last.is_some_and(|last| last.number > chunk.number);
                self.chunks.push(chunk);
                if self.unsorted && self.chunks.len() >= self.limit.max(COMPACT) {
                    self.compact();
                    self.limit = 2 * self.chunks.len();
                }
            }
        }
    }

    /// Adds what another report says of the same file.
    pub fn merge(&mut self, other: &Lines) {
        for chunk in &other.chunks {
            self.add(*chunk);
        }
        self.compact();
    }

    /// Puts the chunks in order, each once.
    pub(super) fn compact(&mut self) {
        if !self.unsorted {
            return;
        }
        order::sort_by_key(&mut self.chunks, |chunk| chunk.number);
        self.chunks.dedup_by(|later, earlier| {
            let same = later.number == earlier.number;
            if same {
                earlier.measured |= later.measured;
                earlier.covered |= later.covered;
            }
            same
        });
        self.unsorted = false;
    }

    /// How many bytes they take.
    pub(super) fn weight(&self) -> usize {
        self.chunks.len() * size_of::<Chunk>()
    }

    /// A number of ranges that [`Lines::covered`] and [`Lines::missed`] together
    /// have at least, told without making them.
    pub(super) fn least_ranges(&self) -> usize {
        let begins = |bits: u64| (bits & !(bits << 1)).count_ones() as usize;
        let begin = |chunk: &Chunk| begins(chunk.covered) + begins(chunk.measured & !chunk.covered);
        // One that goes on from the chunk before begins there.
        let all: usize = self.chunks.iter().map(begin).sum();
        all.saturating_sub(self.chunks.len())
    }

    /// Whether there is no line with data.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The lines that were executed, as ranges.
    pub fn covered(&self) -> Vec<LineRange> {
        self.ranges(|chunk| chunk.covered)
    }

    /// The lines with data that were not.
    pub fn missed(&self) -> Vec<LineRange> {
        self.ranges(|chunk| chunk.measured & !chunk.covered)
    }

    fn ranges(&self, bits: impl Fn(&Chunk) -> u64) -> Vec<LineRange> {
        let mut ranges: Vec<LineRange> = Vec::new();
        for chunk in &self.chunks {
            let mut left = bits(chunk);
            while left != 0 {
                let first = left.trailing_zeros();
                let length = (left >> first).trailing_ones();
                let start = (u64::from(chunk.number) << 6) + u64::from(first);
                let end = start + u64::from(length) - 1;
                match ranges.last_mut() {
                    Some(last) if last.end + 1 == start => last.end = end,
                    Some(_) | None => ranges.push(LineRange { start, end }),
                }
                left = if first + length >= 64 { 0 } else { left & (u64::MAX << (first + length)) };
            }
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    use super::*;

    fn expand(ranges: &[LineRange]) -> Vec<u64> {
        ranges.iter().flat_map(|it| it.start..=it.end).collect()
    }

    proptest! {
        #[test]
        fn bits_say_what_a_map_says(marks in proptest::collection::vec((1_u64..700, 0_u64..150, any::<bool>()), 0..300)) {
            let mut lines = Lines::default();
            let mut map = BTreeMap::<u64, bool>::new();
            for (from, length, covered) in marks {
                assert!(lines.mark(from, from + length, covered));
                for line in from..=from + length {
                    *map.entry(line).or_default() |= covered;
                }
            }
            lines.compact();
            let of = |wanted: bool| -> Vec<u64> {
                map.iter().filter(|(_, it)| **it == wanted).map(|(line, _)| *line).collect()
            };
            assert_eq!(expand(&lines.covered()), of(true));
            assert_eq!(expand(&lines.missed()), of(false));
            let ranges = lines.covered().len() + lines.missed().len();
            let chunks = lines.chunks.len();
            assert!((ranges.saturating_sub(chunks)..=ranges).contains(&lines.least_ranges()));
            let neighbours = |ranges: &[LineRange]| ranges.windows(2).all(|it| it[0].end + 1 < it[1].start);
            assert!(neighbours(&lines.covered()) && neighbours(&lines.missed()));
        }
    }

    #[test]
    fn no_file_has_a_line_beyond_all_bounds() {
        assert!(!Lines::default().mark(1, u64::MAX, true));
        assert!(Lines::default().mark(MAX_LINE, MAX_LINE, true));
    }
}
