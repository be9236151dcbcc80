//! Zstandard, read (RFC 8878, <https://www.rfc-editor.org/rfc/rfc8878>): frames
//! without a dictionary, whole, in memory that a limit bounds. Checksums are
//! passed over: what comes out is read as text and has to make sense there.

/// The most bytes that a block becomes.
const BLOCK: usize = 128 << 10;

/// Decompresses all frames; `None` for what is malformed, needs a dictionary,
/// or becomes more than `limit` bytes.
pub fn decode(bytes: &[u8], limit: usize) -> Option<Vec<u8>> {
    let mut input = Input(bytes);
    let mut output = Vec::new();
    while !input.0.is_empty() {
        match input.number(4)? {
            0xfd2f_b528 => frame(&mut input, &mut output, limit)?,
            // Somebody's own data.
            0x184d_2a50..=0x184d_2a5f => {
                let size = input.number(4)?;
                input.take(usize::try_from(size).ok()?)?;
            }
            _ => return None,
        }
    }
    Some(output)
}

/// Bytes that are taken from the front.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of at most eight bytes, the lowest first.
    fn number(&mut self, bytes: usize) -> Option<u64> {
        let taken = self.take(bytes)?;
        Some(taken.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }
}

fn frame(input: &mut Input<'_>, output: &mut Vec<u8>, limit: usize) -> Option<()> {
    let descriptor = input.byte()?;
    let single = descriptor & 0x20 != 0;
    if descriptor & 0x08 != 0 {
        return None;
    }
    if !single {
        input.byte()?;
    }
    let dictionary = input.number([0, 1, 2, 4][usize::from(descriptor & 3)])?;
    if dictionary != 0 {
        return None;
    }
    input.number([usize::from(single), 2, 4, 8][usize::from(descriptor >> 6)])?;
    let mut state = State {
        start: output.len(),
        offsets: [1, 4, 8],
        huffman: None,
        tables: [None, None, None],
    };
    loop {
        let header = input.number(3)?;
        let size = usize::try_from(header >> 3).ok()?;
        match header >> 1 & 3 {
            0 => output.extend(input.take(size)?),
            1 if size <= BLOCK => {
                let byte = input.byte()?;
                output.resize(output.len() + size, byte);
            }
            2 if size <= BLOCK => block(Input(input.take(size)?), &mut state, output)?,
            _ => return None,
        }
        if output.len() > limit {
            return None;
        }
        if header & 1 == 1 {
            break;
        }
    }
    if descriptor & 0x04 != 0 {
        input.take(4)?;
    }
    Some(())
}

/// What a block leaves for the next one of its frame.
struct State {
    /// Where the frame's output begins.
    start: usize,
    offsets: [usize; 3],
    huffman: Option<Huffman>,
    /// Of lengths of literals, offsets, lengths of matches.
    tables: [Option<Fse>; 3],
}

fn block(mut input: Input<'_>, state: &mut State, output: &mut Vec<u8>) -> Option<()> {
    let literals = literals(&mut input, state)?;
    let first = usize::from(input.byte()?);
    let count = match first {
        0..=127 => first,
        128..=254 => (first - 128) << 8 | usize::from(input.byte()?),
        _ => usize::try_from(input.number(2)?).ok()? + 0x7f00,
    };
    let begins = output.len();
    let mut literals = Input(&literals);
    if count > 0 {
        sequences(input, count, state, &mut literals, output, begins)?;
    } else if !input.0.is_empty() {
        return None;
    }
    output.extend(literals.0);
    (output.len() - begins <= BLOCK).then_some(())
}

fn literals(input: &mut Input<'_>, state: &mut State) -> Option<Vec<u8>> {
    let first = *input.0.first()?;
    let (kind, format) = (first & 3, first >> 2 & 3);
    if kind < 2 {
        let (bytes, shift) = [(1, 3), (2, 4), (1, 3), (3, 4)][usize::from(format)];
        let size = usize::try_from(input.number(bytes)? >> shift).ok()?;
        return Some(match kind {
            0 => input.take(size)?.to_vec(),
            _ if size <= BLOCK => vec![input.byte()?; size],
            _ => return None,
        });
    }
    let (bytes, bits) = [(3, 10), (3, 10), (4, 14), (5, 18)][usize::from(format)];
    let header = input.number(bytes)? >> 4;
    let mask = (1u64 << bits) - 1;
    let size = usize::try_from(header & mask).ok()?;
    let packed = usize::try_from(header >> bits & mask).ok()?;
    let mut packed = Input(input.take(packed)?);
    if size > BLOCK {
        return None;
    }
    if kind == 2 {
        state.huffman = Some(Huffman::read(&mut packed)?);
    }
    let huffman = state.huffman.as_ref()?;
    let mut literals = Vec::with_capacity(size);
    if format == 0 {
        huffman.decode(packed.0, size, &mut literals)?;
        return Some(literals);
    }
    let mut sizes = [0; 3];
    for size in &mut sizes {
        *size = usize::try_from(packed.number(2)?).ok()?;
    }
    let part = size.div_ceil(4);
    for stream in sizes {
        huffman.decode(packed.take(stream)?, part, &mut literals)?;
    }
    let rest = size.checked_sub(literals.len())?;
    huffman.decode(packed.0, rest, &mut literals)?;
    Some(literals)
}

/// Bits that are read from the end of their bytes towards the front.
struct Bits<'a> {
    bytes: &'a [u8],
    /// How many are left; below zero, bits were read that are not there.
    left: isize,
}

impl<'a> Bits<'a> {
    /// The last bit that is set only marks the end.
    fn new(bytes: &'a [u8]) -> Option<Bits<'a>> {
        let last = *bytes.last().filter(|it| **it != 0)?;
        let left = (bytes.len() - 1) * 8 + last.ilog2() as usize;
        Some(Bits { bytes, left: isize::try_from(left).ok()? })
    }

    /// The next bits, not taken yet; those that are not there are zeros.
    fn peek(&self, count: u32) -> u64 {
        let from = self.left - count as isize;
        let missing = u32::try_from(-from.min(0)).unwrap_or(count).min(count);
        let from = usize::try_from(from).unwrap_or(0);
        let bytes = self.bytes.get(from / 8..).unwrap_or_default().iter().take(8).rev();
        let word = bytes.fold(0u64, |word, byte| word << 8 | u64::from(*byte));
        (word >> (from % 8) & ((1 << (count - missing)) - 1)) << missing
    }

    fn take(&mut self, count: u32) -> u64 {
        let bits = self.peek(count);
        self.left -= count as isize;
        bits
    }
}

/// The longest code of a literal.
const LONGEST: u32 = 11;

/// Codes of literals: for each row of bits the literal and its code's length.
struct Huffman {
    bits: u32,
    rows: Vec<(u8, u8)>,
}

impl Huffman {
    fn read(input: &mut Input<'_>) -> Option<Huffman> {
        let first = usize::from(input.byte()?);
        let mut weights: Vec<u8> = match first.checked_sub(127) {
            Some(count) if first > 127 => {
                let bytes = input.take(count.div_ceil(2))?;
                bytes.iter().flat_map(|it| [it >> 4, it & 15]).take(count).collect()
            }
            Some(_) | None => weights(Input(input.take(first)?))?,
        };
        let mut sum: u32 = 0;
        for weight in &weights {
            sum += if *weight > 0 && u32::from(*weight) <= LONGEST { 1 << (weight - 1) } else { 0 };
        }
        if sum == 0 || weights.iter().any(|it| u32::from(*it) > LONGEST) || weights.len() > 255 {
            return None;
        }
        // The last literal's weight fills what is left.
        let bits = sum.ilog2() + 1;
        let rest = (1u32 << bits) - sum;
        if bits > LONGEST || !rest.is_power_of_two() {
            return None;
        }
        weights.push(u8::try_from(rest.ilog2() + 1).ok()?);
        let mut rows = Vec::with_capacity(1 << bits);
        for weight in 1..=bits {
            for (literal, of) in weights.iter().enumerate() {
                if u32::from(*of) == weight {
                    let row = (u8::try_from(literal).ok()?, u8::try_from(bits + 1 - weight).ok()?);
                    rows.extend(std::iter::repeat_n(row, 1 << (weight - 1)));
                }
            }
        }
        (rows.len() == 1 << bits).then_some(Huffman { bits, rows })
    }

    /// Adds `count` literals, for which the bytes are just enough.
    fn decode(&self, bytes: &[u8], count: usize, output: &mut Vec<u8>) -> Option<()> {
        let mut bits = Bits::new(bytes)?;
        for _ in 0..count {
            let row = usize::try_from(bits.peek(self.bits)).ok()?;
            let (literal, length) = *self.rows.get(row)?;
            bits.left -= isize::from(length);
            output.push(literal);
        }
        (bits.left == 0).then_some(())
    }
}

/// Weights that are compressed themselves, by two states in turn.
fn weights(mut input: Input<'_>) -> Option<Vec<u8>> {
    let table = Fse::read(&mut input, 6, 255)?;
    let mut bits = Bits::new(input.0)?;
    let mut states = [bits.take(table.bits), bits.take(table.bits)];
    let mut weights = Vec::new();
    for turn in 0..256 {
        let state = &mut states[turn % 2];
        let (symbol, count, base) = *table.rows.get(usize::try_from(*state).ok()?)?;
        weights.push(symbol);
        *state = u64::from(base) + bits.take(u32::from(count));
        if bits.left < 0 {
            let other = states[(turn + 1) % 2];
            weights.push(table.rows.get(usize::try_from(other).ok()?)?.0);
            return Some(weights);
        }
    }
    None
}

/// A table of finite-state entropy: for each state the symbol, how many bits
/// lead on, and to which state at least.
#[derive(Clone)]
struct Fse {
    bits: u32,
    rows: Vec<(u8, u8, u16)>,
}

impl Fse {
    /// Reads a table's description; `most`: the most bits, `last`: the last symbol.
    fn read(input: &mut Input<'_>, most: u32, last: usize) -> Option<Fse> {
        let bytes = input.0;
        let mut at = 0;
        let peek = |at: usize, count: u32| {
            let mut bits = 0u32;
            for bit in (at..at + count as usize).rev() {
                bits = bits << 1
                    | u32::from(bytes.get(bit / 8).copied().unwrap_or(0) >> (bit & 7) & 1);
            }
            bits
        };
        let bits = peek(0, 4) + 5;
        at += 4;
        if bits > most {
            return None;
        }
        let mut left: i32 = (1 << bits) + 1;
        let (mut threshold, mut width) = (1i32 << bits, bits + 1);
        let mut shares: Vec<i16> = Vec::new();
        while left > 1 {
            if shares.len() > last || at / 8 > bytes.len() {
                return None;
            }
            let small = 2 * threshold - 1 - left;
            let mut share = i32::try_from(peek(at, width)).ok()?;
            if share & (threshold - 1) < small {
                share &= threshold - 1;
                at += width as usize - 1;
            } else {
                if share >= threshold {
                    share -= small;
                }
                at += width as usize;
            }
            share -= 1;
            left -= share.abs();
            shares.push(i16::try_from(share).ok()?);
            if share == 0 {
                loop {
                    let zeros = peek(at, 2);
                    at += 2;
                    shares.extend(std::iter::repeat_n(0, zeros as usize));
                    if zeros != 3 || shares.len() > last {
                        break;
                    }
                }
            }
            while left < threshold && threshold > 1 {
                threshold >>= 1;
                width -= 1;
            }
        }
        input.take(at.div_ceil(8))?;
        if left != 1 || shares.len() > last + 1 {
            return None;
        }
        Fse::new(bits, &shares)
    }

    fn new(bits: u32, shares: &[i16]) -> Option<Fse> {
        let size = 1usize << bits;
        let mut symbols = vec![0u8; size];
        let mut end = size;
        let mut next = vec![0u32; shares.len()];
        for (symbol, share) in shares.iter().enumerate() {
            next[symbol] = u32::from(share.unsigned_abs());
            if *share == -1 {
                end = end.checked_sub(1)?;
                symbols[end] = u8::try_from(symbol).ok()?;
            }
        }
        let step = (size >> 1) + (size >> 3) + 3;
        let mut place = 0;
        for (symbol, share) in shares.iter().enumerate() {
            for _ in 0..(*share).max(0) {
                *symbols.get_mut(place)? = u8::try_from(symbol).ok()?;
                loop {
                    place = (place + step) & (size - 1);
                    if place < end || end == 0 {
                        break;
                    }
                }
            }
        }
        let row = |symbol: &u8| {
            let next = next.get_mut(usize::from(*symbol))?;
            let count = bits.checked_sub(next.checked_ilog2()?)?;
            let base = (*next << count).checked_sub(1 << bits)?;
            *next += 1;
            Some((*symbol, u8::try_from(count).ok()?, u16::try_from(base).ok()?))
        };
        Some(Fse { bits, rows: symbols.iter().map(row).collect::<Option<_>>()? })
    }

    /// The one symbol, without any bits.
    fn only(symbol: u8) -> Fse {
        Fse { bits: 0, rows: vec![(symbol, 0, 0)] }
    }
}

/// The tables that everybody knows, and the most bits and the last symbol of others.
const LITERALS: (u32, &[i16], u32, usize) = (
    6,
    &[
        4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1,
        1, 1, -1, -1, -1, -1,
    ],
    9,
    35,
);
const OFFSETS: (u32, &[i16], u32, usize) = (
    5,
    &[1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1],
    8,
    31,
);
const MATCHES: (u32, &[i16], u32, usize) = (
    6,
    &[
        1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
    ],
    9,
    52,
);

/// How many bits follow the longer codes of lengths.
const LITERAL_BITS: [u8; 20] = [1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
const MATCH_BITS: [u8; 21] = [1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

/// The length that a code and its bits say: codes below `plain` are lengths
/// themselves, each longer one begins where the one before ends.
fn length(code: u8, plain: u8, longer: &[u8], bits: &mut Bits<'_>) -> Option<usize> {
    let Some(at) = code.checked_sub(plain) else { return Some(usize::from(code)) };
    let below = longer.get(..usize::from(at))?.iter().map(|it| 1usize << it).sum::<usize>();
    let further = bits.take(u32::from(*longer.get(usize::from(at))?));
    let base = usize::from(plain) + below;
    Some(base + usize::try_from(further).ok()?)
}

fn sequences(
    mut input: Input<'_>,
    count: usize,
    state: &mut State,
    literals: &mut Input<'_>,
    output: &mut Vec<u8>,
    begins: usize,
) -> Option<()> {
    let modes = input.byte()?;
    if modes & 3 != 0 {
        return None;
    }
    for (place, (bits, shares, most, last)) in [LITERALS, OFFSETS, MATCHES].into_iter().enumerate()
    {
        match modes >> (6 - 2 * place) & 3 {
            0 => state.tables[place] = Some(Fse::new(bits, shares)?),
            1 => state.tables[place] = Some(Fse::only(input.byte()?)),
            2 => state.tables[place] = Some(Fse::read(&mut input, most, last)?),
            _ => {}
        }
    }
    let [Some(of_literals), Some(of_offsets), Some(of_matches)] = &state.tables else {
        return None;
    };
    let tables = [of_literals, of_offsets, of_matches];
    let mut bits = Bits::new(input.0)?;
    let mut states = tables.map(|table| bits.take(table.bits));
    for number in 0..count {
        let mut rows = [(0, 0, 0); 3];
        for (row, (table, state)) in rows.iter_mut().zip(tables.iter().zip(states)) {
            *row = *table.rows.get(usize::try_from(state).ok()?)?;
        }
        let [(literal, ..), (offset, ..), (matched, ..)] = rows;
        if offset > 31 {
            return None;
        }
        let offset = (1usize << offset) + usize::try_from(bits.take(u32::from(offset))).ok()?;
        let matched = length(matched, 32, &MATCH_BITS, &mut bits)? + 3;
        let literal = length(literal, 16, &LITERAL_BITS, &mut bits)?;
        let offset = repeated(&mut state.offsets, offset, literal == 0)?;
        if number + 1 < count {
            for place in [0, 2, 1] {
                states[place] = u64::from(rows[place].2) + bits.take(u32::from(rows[place].1));
            }
        }
        if bits.left < 0 {
            return None;
        }
        output.extend(literals.take(literal)?);
        let from = output.len().checked_sub(offset).filter(|it| *it >= state.start)?;
        if output.len() - begins + matched > BLOCK {
            return None;
        }
        // It may reach into what it brings itself.
        for at in from..from + matched {
            output.push(*output.get(at)?);
        }
    }
    (bits.left == 0).then_some(())
}

/// The offset that a value says: the three first mean ones that were used before.
fn repeated(offsets: &mut [usize; 3], value: usize, no_literals: bool) -> Option<usize> {
    let [first, second, third] = *offsets;
    let offset = match value.checked_sub(4) {
        Some(offset) => offset + 1,
        None => match value + usize::from(no_literals) {
            1 => return Some(first),
            2 => {
                *offsets = [second, first, third];
                return Some(second);
            }
            3 => third,
            _ => first - 1,
        },
    };
    *offsets = [offset, first, second];
    (offset > 0).then_some(offset)
}
