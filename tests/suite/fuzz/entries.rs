//! What is fuzzed, one function a parser of bytes that somebody else wrote:
//! called by the tests beside this file and by the targets in `fuzz/`. Each
//! takes any bytes; it fails by panicking.

use std::ops::ControlFlow;

use countersign::adapters::signature;
use countersign::gate::change::{Commit, Identity, Oid};
use countersign::gate::policy::Policy;
use countersign::gate::record::{Record, RecordType, SignatureState};
use countersign::gate::signal::{catalogue::Catalogue, detect};
use countersign::gate::sqlite::{Database, Header, Pages};
use countersign::gate::trace::{git_ai, source::SOURCES};
use countersign::gate::trailer;
use countersign::gate::zstd;

/// What is read as a record is the canonical bytes of what it says.
pub(crate) fn record(bytes: &[u8]) {
    if let Ok(record) = Record::parse(bytes) {
        let (again, written) = Record::write(&record.body).expect("what was read can be written");
        assert_eq!(again.id, record.id);
        assert_eq!(written, bytes);
        assert!(record.ledger_path().ends_with(&format!("/{}.json", record.id)));
    }
}

/// Nothing that was made for other bytes is a good signature over these.
pub(crate) fn sshsig(bytes: &[u8]) {
    for record_type in RecordType::ALL {
        let namespace = record_type.namespace();
        signature::well_formed(bytes, &namespace).ok();
        let state = signature::verify(b"bytes that nobody signed", bytes, &namespace);
        assert!(!matches!(state, SignatureState::Good(_)));
    }
    signature::verify_commit(b"tree 0\n", bytes);
}

/// What is a policy can be shown, compared with itself, and linted.
pub(crate) fn policy(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Policy::parse(text, "fuzz") {
        Ok(policy) => {
            let shown = countersign::gate::policy::resolved::outline(&policy);
            assert!(!shown.contains('\u{1b}'));
            assert_eq!(countersign::gate::policy::compare::compare(&policy, &policy), []);
            countersign::gate::policy::lint::lint(&policy, &[]);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A trailer block lies in its message, and what is appended is found again.
pub(crate) fn trailer(bytes: &[u8]) {
    let message = String::from_utf8_lossy(bytes);
    let range = trailer::block_range(&message);
    assert!(message.get(range).is_some());
    trailer::block(&message);
    let longer = trailer::append(&message, "Assisted-by", "claude-code:x");
    if !message.contains('\0') {
        assert!(
            trailer::block(&longer).iter().any(|it| it.key.eq_ignore_ascii_case("assisted-by")),
            "{longer:?}"
        );
    }
    let nobody = Identity { name: String::new(), email: String::new() };
    let zero = Oid::parse(&"0".repeat(40)).expect("an id");
    detect(
        Catalogue::built_in(),
        &Commit {
            id: zero.clone(),
            tree: zero,
            parents: Vec::new(),
            author: nobody.clone(),
            committer: nobody,
            committed: 0,
            signed: false,
            message: message.into_owned(),
        },
    );
}

/// A note's ranges lie in order.
pub(crate) fn note(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for noted in git_ai::read(&text) {
        assert!(noted.ranges.iter().all(|range| 1 <= range.start && range.start <= range.end));
    }
}

/// A database's pages, one behind the other.
struct Slice<'a>(&'a [u8]);

impl Pages for Slice<'_> {
    fn page(&mut self, number: u32) -> Option<Vec<u8>> {
        let size = Header::parse(self.0).map_or(512, |it| it.page_size as usize);
        let start = (number as usize).checked_sub(1)?.checked_mul(size)?;
        Some(self.0.get(start..start.checked_add(size)?)?.to_vec())
    }
}

/// A database of any bytes is read to an end; each row is found by its id, or
/// not at all. What is compressed in it stays within its limit.
pub(crate) fn database(bytes: &[u8]) {
    let text = zstd::decode(bytes, 1 << 20);
    assert!(text.is_none_or(|it| it.len() <= 1 << 20));
    let mut pages = Slice(bytes);
    let Ok(mut database) = Database::open(&mut pages) else { return };
    let Some(table) = database.table("t") else { return };
    let mut ids = Vec::new();
    database
        .newest_first(&table, &[0, 1, 2], &mut |id, row| {
            assert_eq!(row.len(), 3);
            ids.push(id);
            ControlFlow::Continue(())
        })
        .ok();
    for id in ids {
        database.row(&table, id, &[2, 0]).ok();
    }
}

/// Every reader takes any file, line by line.
pub(crate) fn session(bytes: &[u8]) {
    for source in SOURCES {
        let mut reader = source.reader("0190aaaa-bbbb-cccc-dddd-eeeeffff0000");
        let (mut at, mut found) = (0, Vec::new());
        for line in bytes.split(|&byte| byte == b'\n') {
            reader.line(at, line, &mut found).ok();
            reader.directory(line);
            at += line.len() as u64 + 1;
        }
        let needs = reader.needs();
        assert!(needs.is_sorted() && needs.iter().all(|need| *need < at));
        reader.open();
    }
}
