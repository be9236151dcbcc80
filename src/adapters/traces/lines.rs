//! Long files of lines, in bounded memory.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::adapters::fs::FsError;

/// A line and its offset; `None` in place of a line that is too long.
type Line<'a> = (u64, Option<&'a [u8]>);

/// A file, line by line, in memory that a longest line bounds.
pub(super) struct Lines {
    path: PathBuf,
    file: std::fs::File,
    limit: usize,
    chunk: usize,
    buffer: Vec<u8>,
    /// What of the buffer is still to be handed out.
    start: usize,
    end: usize,
    /// The file's offset of `start`.
    at: u64,
    /// Where the line behind the last whole one begins.
    pub(super) whole: u64,
}

impl Lines {
    pub(super) fn new(path: &Path, file: std::fs::File, limit: usize, chunk: usize) -> Lines {
        let (path, buffer) = (path.to_owned(), Vec::new());
        Lines { path, file, limit, chunk, buffer, start: 0, end: 0, at: 0, whole: 0 }
    }

    /// Goes on at this offset, where a line begins.
    pub(super) fn go_to(&mut self, at: u64) -> Result<(), FsError> {
        let ahead = at.checked_sub(self.at).and_then(|it| usize::try_from(it).ok());
        if let Some(ahead) = ahead.filter(|ahead| *ahead <= self.end - self.start) {
            self.start += ahead;
        } else {
            self.file.seek(SeekFrom::Start(at)).map_err(|error| self.failed(error))?;
            (self.start, self.end) = (0, 0);
        }
        (self.at, self.whole) = (at, at);
        Ok(())
    }

    /// Goes on at the first line that begins behind this offset.
    pub(super) fn go_near(&mut self, at: u64) -> Result<(), FsError> {
        if at > self.whole {
            self.go_to(at)?;
            self.next()?;
        }
        Ok(())
    }

    /// The line that begins at this offset; `None` if none does, or it is too long.
    pub(super) fn line_at(&mut self, at: u64) -> Result<Option<&[u8]>, FsError> {
        match at.checked_sub(1) {
            Some(before) if at != self.whole => {
                self.go_to(before)?;
                if !matches!(self.next()?, Some((_, Some([])))) {
                    return Ok(None);
                }
            }
            Some(_) => {}
            None => self.go_to(at)?,
        }
        Ok(self.next()?.and_then(|(_, line)| line))
    }

    /// The next whole line and its offset; the line is `None` if it is too
    /// long. What is not ended by a line break is not there yet.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, FsError> {
        let begin = self.whole;
        let mut searched = 0;
        loop {
            let held = self.buffer.get(self.start..self.end).unwrap_or_default();
            let fresh = held.get(searched..).unwrap_or_default();
            if let Some(length) = memchr::memchr(b'\n', fresh).map(|it| it + searched) {
                let line = self.start..self.start + length;
                let whole = self.at == begin && length <= self.limit;
                self.start += length + 1;
                self.at += length as u64 + 1;
                self.whole = self.at;
                return Ok(Some((begin, self.buffer.get(line).filter(|_| whole))));
            }
            searched = held.len();
            if searched > self.limit {
                self.at += searched as u64;
                (self.start, self.end, searched) = (0, 0, 0);
            }
            if self.fill()? == 0 {
                return Ok(None);
            }
        }
    }

    /// Reads more; returns how much. Zero at the file's end.
    fn fill(&mut self) -> Result<usize, FsError> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.buffer.len() - self.end < self.chunk {
            let grown = (self.end * 2).clamp(self.end + self.chunk, self.end + (4 << 20));
            self.buffer.resize(grown, 0);
        }
        let free = self.buffer.get_mut(self.end..).unwrap_or_default();
        let read = match self.file.read(free) {
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return self.fill(),
            Err(error) => return Err(self.failed(error)),
        };
        self.end += read;
        Ok(read)
    }

    fn failed(&self, source: std::io::Error) -> FsError {
        FsError::Io { action: "read", path: self.path.clone(), source }
    }
}
