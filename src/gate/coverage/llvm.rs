//! llvm-cov's JSON (`llvm-cov export`, type `llvm.coverage.json.export`,
//! versions 2 and 3): places at which the count changes, `[line, column, count,
//! has_count, is_region_entry, is_gap_region]`, from which each line's count is
//! made as LLVM's own `LineCoverageStats` does.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::json::{Members, read};
use super::{Collector, ParseError, malformed};

#[derive(Deserialize)]
struct Export<'a> {
    #[serde(borrow, default)]
    files: Vec<File<'a>>,
}

#[derive(Deserialize)]
struct File<'a> {
    filename: String,
    #[serde(borrow)]
    segments: &'a RawValue,
}

/// Version 2.0.0 did not say which regions are gaps.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Written {
    Six(u64, IgnoredAny, f64, bool, bool, bool),
    Five(u64, IgnoredAny, f64, bool, bool),
}

#[derive(Clone, Copy)]
struct Segment {
    line: u64,
    hit: bool,
    has_count: bool,
    entry: bool,
    gap: bool,
}

impl From<Written> for Segment {
    fn from(written: Written) -> Segment {
        let (line, count, has_count, entry, gap) = match written {
            Written::Six(line, _, count, has_count, entry, gap) => {
                (line, count, has_count, entry, gap)
            }
            Written::Five(line, _, count, has_count, entry) => {
                (line, count, has_count, entry, false)
            }
        };
        Segment { line, hit: count > 0.0, has_count, entry, gap }
    }
}

impl Segment {
    fn starts_region(self) -> bool {
        !self.gap && self.has_count && self.entry
    }
}

/// Reads an export.
pub(super) fn parse(members: &Members<'_>, collector: &mut Collector) -> Result<(), ParseError> {
    let kind: String = read(members["type"])?;
    if kind != "llvm.coverage.json.export" {
        return Err(ParseError::Unknown);
    }
    for export in read::<Vec<Export<'_>>>(members["data"])? {
        for file in export.files {
            let number = collector.file(file.filename.as_bytes())?;
            let segments: Vec<Written> = read(file.segments)?;
            let segments: Vec<Segment> = segments.into_iter().map(Segment::from).collect();
            if !segments.is_sorted_by_key(|it| it.line) {
                return Err(malformed("segments that are not in order", "`segments`"));
            }
            lines(&segments, |from, to, hit| collector.range(number, from, to, hit))?;
        }
    }
    Ok(())
}

/// Tells the lines that have a count.
fn lines(
    segments: &[Segment],
    mut mark: impl FnMut(u64, u64, bool) -> Result<(), ParseError>,
) -> Result<(), ParseError> {
    let mut wrapped: Option<Segment> = None;
    let mut previous: Option<u64> = None;
    for here in segments.chunk_by(|one, other| one.line == other.line) {
        let line = here[0].line;
        // The lines between carry what was open before them.
        if let (Some(last), Some(open)) = (previous, wrapped.filter(|it| it.has_count)) {
            mark(last + 1, line.saturating_sub(1), open.hit)?;
        }
        let starts = here.iter().filter(|it| it.starts_region());
        let any = starts.clone().next().is_some();
        let skipped = !here[0].has_count && here[0].entry;
        let mapped = !skipped && (wrapped.is_some_and(|it| it.has_count) || any)
            || here.iter().any(|it| it.entry && it.has_count);
        if mapped {
            let hit = wrapped.is_some_and(|it| it.hit) || starts.clone().any(|it| it.hit);
            mark(line, line, hit)?;
        }
        wrapped = here.last().copied();
        previous = Some(line);
    }
    Ok(())
}
