//! Coverage reports: which lines the tests executed.
//!
//! A [`Reader`] takes a report's bytes and knows its format by its content. What
//! it answers is the report's own word: names of files as the tool wrote them,
//! and for each line with data whether it was executed. Where those names lie in
//! the repository is decided by [`place`]; what is kept of it stands in
//! [`measured`].

mod cobertura;
mod coverage_py;
mod coverlet;
mod go;
mod istanbul;
mod jacoco;
mod json;
mod lcov;
pub mod lines;
mod llvm;
pub mod measured;
mod opencover;
pub mod place;
mod simplecov;
mod xml;

use std::collections::HashMap;

use super::change::printable;
use lines::Lines;

/// How much of a report is looked at to know its format.
const PROBE: usize = 4 << 10;
/// A report that is not read line by line may have this many bytes.
pub const MAX_WHOLE: usize = 256 << 20;
/// How long one line of a report may be.
const MAX_LINE: usize = 1 << 20;
/// How many bytes the lines and names of one report may take.
const MAX_WEIGHT: usize = 96 << 20;
/// How many ranges of lines, weighed by their length, a report may mark.
const MAX_WORK: u64 = 2_000_000_000;

/// Why a report could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("it is empty")]
    Empty,
    #[error(
        "its format is not known (LCOV, Cobertura, JaCoCo, Go, coverage.py, llvm-cov, Istanbul, SimpleCov, OpenCover and Coverlet are)"
    )]
    Unknown,
    #[error("it is a {0}, which holds no lines that were executed")]
    NoLines(&'static str),
    #[error("{what} (near {place})")]
    Malformed { what: String, place: String },
    #[error("it ends in the middle")]
    Truncated,
    #[error("it is too large: {0}")]
    TooLarge(&'static str),
}

/// Which tool's form a report has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    Lcov,
    Cobertura,
    Jacoco,
    Go,
    CoveragePy,
    Llvm,
    Istanbul,
    SimpleCov,
    OpenCover,
    Coverlet,
}

impl Format {
    /// The word of records and messages.
    pub fn word(self) -> &'static str {
        match self {
            Format::Lcov => "lcov",
            Format::Cobertura => "cobertura",
            Format::Jacoco => "jacoco",
            Format::Go => "go",
            Format::CoveragePy => "coverage.py",
            Format::Llvm => "llvm-cov",
            Format::Istanbul => "istanbul",
            Format::SimpleCov => "simplecov",
            Format::OpenCover => "opencover",
            Format::Coverlet => "coverlet",
        }
    }
}

/// What a report says, in its own names.
#[derive(Debug)]
pub struct Report {
    pub format: Format,
    /// Each file once, in the report's order.
    pub files: Vec<(Vec<u8>, Lines)>,
    /// Folders that relative names may be relative to; empty: the report does not say.
    pub sources: Vec<Vec<u8>>,
}

/// Reads one report, piece by piece. LCOV and Go profiles are never held whole.
#[derive(Debug, Default)]
pub struct Reader {
    state: State,
    collector: Collector,
    any: bool,
}

#[derive(Debug)]
enum State {
    /// Not enough was seen to know the format.
    Unknown(Vec<u8>),
    /// A format of lines; the beginning of a line that is not complete, and its number.
    Lines(LineFormat, Vec<u8>, u64),
    Whole(Vec<u8>),
}

impl Default for State {
    fn default() -> State {
        State::Unknown(Vec::new())
    }
}

#[derive(Debug)]
enum LineFormat {
    Lcov(lcov::Lcov),
    Go(go::Go),
}

impl Reader {
    /// Takes the next bytes of the report.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), ParseError> {
        self.any |= !bytes.is_empty();
        match &mut self.state {
            State::Unknown(seen) => {
                seen.extend_from_slice(bytes);
                if seen.len() >= PROBE { self.decide() } else { Ok(()) }
            }
            State::Lines(format, rest, number) => {
                each_line(bytes, rest, number, format, &mut self.collector)
            }
            State::Whole(whole) => {
                if whole.len() + bytes.len() > MAX_WHOLE {
                    return Err(ParseError::TooLarge("a report of this format is read whole"));
                }
                whole.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// Takes what was fed as the whole report.
    pub fn finish(mut self) -> Result<Report, ParseError> {
        if !self.any {
            return Err(ParseError::Empty);
        }
        if matches!(self.state, State::Unknown(_)) {
            self.decide()?;
        }
        let mut collector = self.collector;
        let format = match self.state {
            State::Unknown(_) => return Err(ParseError::Unknown),
            State::Lines(mut format, rest, number) => {
                if !rest.is_empty() {
                    format.line(&rest, number, &mut collector)?;
                }
                match format {
                    LineFormat::Lcov(lcov) => lcov.finish()?,
                    LineFormat::Go(_) => Format::Go,
                }
            }
            State::Whole(whole) => match without_mark(&whole).first() {
                Some(b'<') => xml::parse(&whole, &mut collector)?,
                Some(_) | None => json::parse(without_mark(&whole), &mut collector)?,
            },
        };
        Ok(collector.finish(format))
    }

    /// Chooses the format by what was seen so far.
    fn decide(&mut self) -> Result<(), ParseError> {
        let State::Unknown(seen) = &mut self.state else { return Ok(()) };
        let seen = std::mem::take(seen);
        let text = without_mark(&seen);
        let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let is_lcov = |line: &[u8]| line.starts_with(b"SF:") || line.starts_with(b"TN:");
        self.state = match text.first() {
            Some(b'{' | b'<') => State::Whole(Vec::new()),
            Some(_) if text.starts_with(b"mode:") => {
                State::Lines(LineFormat::Go(go::Go::default()), Vec::new(), 1)
            }
            Some(_) if lines.by_ref().take(32).any(is_lcov) => {
                State::Lines(LineFormat::Lcov(lcov::Lcov::default()), Vec::new(), 1)
            }
            Some(_) => return Err(ParseError::Unknown),
            None => return Err(ParseError::Empty),
        };
        self.feed(&seen)
    }
}

/// The bytes without a byte order mark and white space before them.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start()
}

/// Hands every complete line to the format; keeps the beginning of the last one.
fn each_line(
    mut bytes: &[u8],
    rest: &mut Vec<u8>,
    number: &mut u64,
    format: &mut LineFormat,
    collector: &mut Collector,
) -> Result<(), ParseError> {
    loop {
        if let (LineFormat::Lcov(lcov), true) = (&*format, rest.is_empty()) {
            let (taken, rows) = lcov.plain_rows(bytes, collector)?;
            bytes = &bytes[taken..];
            *number += rows;
        }
        let Some(end) = memchr::memchr(b'\n', bytes) else { break };
        if rest.is_empty() {
            format.line(&bytes[..end], *number, collector)?;
        } else {
            rest.extend_from_slice(&bytes[..end]);
            format.line(rest, *number, collector)?;
            rest.clear();
        }
        *number += 1;
        bytes = &bytes[end + 1..];
    }
    if rest.len() + bytes.len() > MAX_LINE {
        return Err(ParseError::TooLarge("one of its lines"));
    }
    rest.extend_from_slice(bytes);
    Ok(())
}

impl LineFormat {
    fn line(
        &mut self,
        line: &[u8],
        number: u64,
        collector: &mut Collector,
    ) -> Result<(), ParseError> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match self {
            LineFormat::Lcov(lcov) => lcov.line(line, number, collector),
            LineFormat::Go(go) => go.line(line, number, collector),
        }
    }
}

/// Gathers what a format finds, each file once, within bounds.
#[derive(Debug, Default)]
struct Collector {
    files: Vec<(Vec<u8>, Lines)>,
    index: HashMap<Vec<u8>, usize>,
    sources: Vec<Vec<u8>>,
    /// Bytes of names and lines.
    weight: usize,
    work: u64,
}

/// A file that a format is about to tell lines of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileNumber(usize);

impl Collector {
    /// The file of this name.
    fn file(&mut self, name: &[u8]) -> Result<FileNumber, ParseError> {
        if let Some(number) = self.index.get(name) {
            return Ok(FileNumber(*number));
        }
        self.grow(2 * name.len() + 64)?;
        self.index.insert(name.to_vec(), self.files.len());
        self.files.push((name.to_vec(), Lines::default()));
        Ok(FileNumber(self.files.len() - 1))
    }

    /// A line with data.
    fn line(&mut self, file: FileNumber, line: u64, covered: bool) -> Result<(), ParseError> {
        self.range(file, line, line, covered)
    }

    /// Lines with data, from the first to the last.
    fn range(
        &mut self,
        file: FileNumber,
        from: u64,
        to: u64,
        covered: bool,
    ) -> Result<(), ParseError> {
        // Tools write 0 for code without a line of its own.
        if to == 0 || from > to {
            return Ok(());
        }
        let lines = &mut self.files[file.0].1;
        let before = lines.weight();
        if !lines.mark(from.max(1), to, covered) {
            return Err(ParseError::TooLarge("a line's number"));
        }
        let after = lines.weight();
        self.weight = self.weight.saturating_sub(before);
        self.grow(after)?;
        self.work += 1 + (to - from) / 64;
        if self.work > MAX_WORK {
            return Err(ParseError::TooLarge("the number of its lines"));
        }
        Ok(())
    }

    /// Lines with data, as [`Lines::mark_chunk`] takes them.
    fn chunk(
        &mut self,
        file: FileNumber,
        number: u32,
        measured: u64,
        covered: u64,
    ) -> Result<(), ParseError> {
        let lines = &mut self.files[file.0].1;
        let before = lines.weight();
        lines.mark_chunk(number, measured, covered);
        let after = lines.weight();
        self.weight = self.weight.saturating_sub(before);
        self.grow(after)?;
        self.work += 1;
        if self.work > MAX_WORK {
            return Err(ParseError::TooLarge("the number of its lines"));
        }
        Ok(())
    }

    fn source(&mut self, folder: &[u8]) -> Result<(), ParseError> {
        self.grow(folder.len() + 64)?;
        self.sources.push(folder.to_vec());
        Ok(())
    }

    fn grow(&mut self, bytes: usize) -> Result<(), ParseError> {
        self.weight += bytes;
        if self.weight > MAX_WEIGHT {
            return Err(ParseError::TooLarge("the number of its files and lines"));
        }
        Ok(())
    }

    fn finish(mut self, format: Format) -> Report {
        for (_, lines) in &mut self.files {
            lines.compact();
        }
        Report { format, files: self.files, sources: self.sources }
    }
}

/// Something in a report that is not what its format says.
fn malformed(what: &str, place: impl Into<String>) -> ParseError {
    ParseError::Malformed { what: printable(what), place: place.into() }
}

/// A whole number in ASCII digits.
fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 {
        return None;
    }
    text.iter().try_fold(0_u64, |value, digit| {
        digit.is_ascii_digit().then(|| value * 10 + u64::from(digit - b'0'))
    })
}

/// Whether a count, as it is written, is above zero. Some tools write negative
/// counts after an overflow, and `-` or `=====` for code that was never reached;
/// counts of merged profiles can have a point or an exponent.
fn is_hit(count: &[u8]) -> Option<bool> {
    match count {
        [] => None,
        [b'-', ..] | [b'=', ..] | [b'#', ..] => Some(false),
        _ if count.iter().all(u8::is_ascii_digit) => Some(count.iter().any(|it| *it != b'0')),
        _ => std::str::from_utf8(count).ok()?.parse::<f64>().ok().map(|it| it > 0.0),
    }
}

#[cfg(test)]
mod tests;
