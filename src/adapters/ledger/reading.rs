//! Records read and worked on at once: one thread reads, the other parses and
//! verifies, and the first helps where it is ahead. What a record is worth
//! follows from its bytes alone, so that nobody sees who did it.

use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use crate::adapters::git::{Git, GitError};
use crate::gate::change::Oid;
use crate::gate::record::MAX_BYTES;

/// Fewer records than these are not worth a thread.
const MANY: usize = 128;
/// As many records are handed from thread to thread at once.
const BATCH: usize = 64;
/// ... or as many bytes: some batches are in memory.
const BATCH_BYTES: usize = 4 << 20;

/// The blobs of a record.
pub(super) struct Blobs {
    pub(super) record: Oid,
    /// The record's size in bytes, where it is known.
    pub(super) size: Option<u64>,
    pub(super) signature: Option<Oid>,
}

/// What was read of them.
pub(super) struct Read {
    pub(super) record: Result<Vec<u8>, String>,
    /// An unreadable blob is bytes that are no signature.
    pub(super) signature: Option<Vec<u8>>,
}

/// Reads records, does the work on each (`work` is told its place), and hands
/// over in order what came of it.
pub(super) fn read<T: Send>(
    git: &Git,
    records: &[Blobs],
    work: &(dyn Fn(usize, Read) -> T + Sync),
    each: &mut dyn FnMut(T),
) -> Result<(), GitError> {
    if records.len() < MANY {
        let mut places = 0..;
        return read_in_order(git, records, &mut |read| {
            each(work(places.next().unwrap_or_default(), read));
        });
    }
    std::thread::scope(|scope| {
        let (sender, batches) = sync_channel(1);
        let reader = scope.spawn(move || read_in_batches(git, records, work, &sender));
        for batch in batches {
            match batch {
                Batch::Read(first, reads) => {
                    work_on(first, reads, work).into_iter().for_each(&mut *each);
                }
                Batch::Done(done) => done.into_iter().for_each(&mut *each),
            }
        }
        reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// What the reader hands over.
enum Batch<T> {
    /// With the place of the first.
    Read(usize, Vec<Read>),
    Done(Vec<T>),
}

/// Reads, and works on what it read as long as the other thread has enough to do.
fn read_in_batches<T: Send>(
    git: &Git,
    records: &[Blobs],
    work: &(dyn Fn(usize, Read) -> T + Sync),
    sender: &SyncSender<Batch<T>>,
) -> Result<(), GitError> {
    let (mut batch, mut bytes, mut first) = (Vec::with_capacity(BATCH), 0, 0);
    let result = read_in_order(git, records, &mut |read| {
        bytes += read.record.as_ref().map_or(0, Vec::len);
        bytes += read.signature.as_ref().map_or(0, Vec::len);
        batch.push(read);
        if batch.len() >= BATCH || bytes >= BATCH_BYTES {
            let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
            let next = first + full.len();
            match sender.try_send(Batch::Read(first, full)) {
                Err(TrySendError::Full(Batch::Read(first, full))) => {
                    hand_over(sender, Batch::Done(work_on(first, full, work)));
                }
                Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
            }
            (bytes, first) = (0, next);
        }
    });
    hand_over(sender, Batch::Read(first, batch));
    result
}

/// Nobody takes it any more only after a panic, which is told at the end.
fn hand_over<T>(sender: &SyncSender<Batch<T>>, batch: Batch<T>) {
    sender.send(batch).ok();
}

/// Works on a batch whose first record has the place `first`.
fn work_on<T>(first: usize, reads: Vec<Read>, work: &(dyn Fn(usize, Read) -> T + Sync)) -> Vec<T> {
    reads.into_iter().zip(first..).map(|(read, place)| work(place, read)).collect()
}

/// One process for all of them, if any.
fn read_in_order(git: &Git, records: &[Blobs], each: &mut dyn FnMut(Read)) -> Result<(), GitError> {
    let blobs = records.iter().flat_map(|it| std::iter::once(&it.record).chain(&it.signature));
    let blobs: Vec<Oid> = blobs.cloned().collect();
    let sizes = records
        .iter()
        .flat_map(|it| std::iter::once(it.size).chain(it.signature.as_ref().map(|_| None)));
    let sizes: Vec<Option<u64>> = sizes.collect();
    let mut rest = records.iter();
    let mut open: Option<Result<Vec<u8>, String>> = None;
    git.sized_blobs(&blobs, &sizes, MAX_BYTES as u64, &mut |bytes| {
        let bytes = bytes.map_err(|error| error.to_string());
        match open.take() {
            Some(record) => each(Read { record, signature: Some(bytes.unwrap_or_default()) }),
            None => match rest.next() {
                Some(it) if it.signature.is_some() => open = Some(bytes),
                Some(_) => each(Read { record: bytes, signature: None }),
                None => {}
            },
        }
    })
}
