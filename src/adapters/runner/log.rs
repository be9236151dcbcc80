//! What a command printed: its beginning and its end.

use std::collections::VecDeque;
use std::io::Write;

/// How much of a log's beginning is kept.
const LOG_HEAD: usize = 1 << 20;
/// How much of a log's end is kept.
const LOG_TAIL: usize = 256 << 10;
/// How much of a log's end is handed upwards.
const SHOWN_TAIL: usize = 4 << 10;

/// The output of a run: its beginning and its end, however much there is between.
pub(super) struct Log {
    file: std::fs::File,
    written: usize,
    /// What came after the beginning, the last of it.
    tail: VecDeque<u8>,
    dropped: u64,
    /// The very last bytes, for people.
    shown: VecDeque<u8>,
}

impl Log {
    pub(super) fn new(file: std::fs::File) -> Log {
        Log { file, written: 0, tail: VecDeque::new(), dropped: 0, shown: VecDeque::new() }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        keep(&mut self.shown, bytes, SHOWN_TAIL);
        let room = LOG_HEAD.saturating_sub(self.written).min(bytes.len());
        // A log that cannot be written, on a full disk say, does not decide a test.
        self.file.write_all(&bytes[..room]).ok();
        self.written += room;
        self.dropped += keep(&mut self.tail, &bytes[room..], LOG_TAIL);
    }

    /// Writes the end, and returns the last lines.
    pub(super) fn finish(&mut self) -> String {
        if self.dropped > 0 {
            let note = format!("\n[countersign left out {} bytes here]\n", self.dropped);
            self.file.write_all(note.as_bytes()).ok();
        }
        self.file.write_all(self.tail.make_contiguous()).ok();
        self.tail.clear();
        String::from_utf8_lossy(self.shown.make_contiguous()).into_owned()
    }
}

/// Appends to a buffer that keeps its last `limit` bytes; returns how many it lost.
fn keep(buffer: &mut VecDeque<u8>, bytes: &[u8], limit: usize) -> u64 {
    buffer.extend(bytes);
    let excess = buffer.len().saturating_sub(limit);
    buffer.drain(..excess);
    excess as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_keeps_its_beginning_and_its_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut log = Log::new(file.reopen().unwrap());
        log.write(&vec![b'a'; LOG_HEAD]);
        log.write(&vec![b'b'; LOG_TAIL]);
        log.write(b"the end");
        assert!(log.finish().ends_with("bthe end"));
        let text = std::io::read_to_string(file.reopen().unwrap()).unwrap();
        assert!(text.starts_with("aaa") && text.ends_with("bthe end"));
        assert!(text.contains("[countersign left out 7 bytes here]"));
        assert!(text.len() < LOG_HEAD + LOG_TAIL + 100);
    }
}
