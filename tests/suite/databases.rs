//! SQLite's files as SQLite itself reads them (oracle: Python's `sqlite3`), and
//! the sessions that agents keep in them.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};

use countersign::adapters::sqlite;
use countersign::gate::sqlite::Value;
use countersign::gate::zstd;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use crate::fixture::{TestRepo, skipped};

/// Runs a Python program that has `sqlite3` and the file's name as `path`;
/// `None` where Python or its module is absent.
pub(crate) fn python(path: &Path, program: &str) -> Option<String> {
    let text = format!("import sqlite3, sys\npath = sys.argv[1]\n{program}\n");
    let output = Command::new("python3")
        .args(["-c", &text])
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .ok()
        .filter(|it| !String::from_utf8_lossy(&it.stderr).contains("No module named"));
    let Some(output) = output else {
        missing("python3 and its module sqlite3 are not here");
        return None;
    };
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// Says what cannot be tried here; where the oracles have to be here, it fails.
fn missing(what: &str) {
    assert!(std::env::var_os("COUNTERSIGN_TEST_SQLITE").is_none(), "{what}");
    skipped(what);
}

/// What our reader says of a table: a row a line, the lowest row id first.
fn ours(path: &Path, table: &str, columns: &[&str]) -> String {
    let (text, _) = sqlite::read(path, 1 << 30, |database| {
        let table = database.table(table).expect("the table");
        let columns: Vec<usize> = columns.iter().map(|it| table.column(it).unwrap()).collect();
        let mut rows = Vec::new();
        database
            .newest_first(&table, &columns, &mut |id, row| {
                rows.push((id, row));
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(database.skipped, 0);
        // Each row is also found by its id.
        for (id, row) in rows.iter().step_by(7) {
            assert_eq!(database.row(&table, *id, &columns).unwrap().as_ref(), Some(row));
        }
        assert_eq!(database.row(&table, i64::MAX, &columns), Ok(None));
        let line = |(id, row): &(i64, Vec<Value>)| {
            let cells: Vec<String> = row.iter().map(shown).collect();
            format!("{id} {}\n", cells.join(" "))
        };
        rows.iter().rev().map(line).collect::<String>()
    })
    .unwrap();
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Integer(number) => format!("i{number}"),
        Value::Real(number) => format!("r{}", hex(&number.to_be_bytes())),
        Value::Text(text) => format!("t{}", hex(text.as_bytes())),
        Value::Blob(bytes) => format!("b{}", hex(bytes)),
    }
}

/// Prints the table the same way.
const THEIRS: &str = r#"
import struct
def shown(v):
    if v is None: return "-"
    if isinstance(v, int): return "i%d" % v
    if isinstance(v, float): return "r" + struct.pack(">d", v).hex()
    if isinstance(v, str): return "t" + v.encode().hex()
    return "b" + v.hex()
def dump(c):
    for row in c.execute("SELECT rowid, id, a, b, c FROM t ORDER BY rowid"):
        print(row[0], " ".join(shown(v) for v in row[1:]))
"#;

/// Builds a table by these steps: kind, a key, a size.
const BUILD: &str = r#"
import os, random
page, encoding, mode, steps, seed = PLAN
c = sqlite3.connect(path, isolation_level=None)
c.execute("PRAGMA page_size = %d" % page)
c.execute("PRAGMA encoding = '%s'" % encoding)
c.execute("PRAGMA journal_mode = %s" % mode)
c.execute("PRAGMA wal_autocheckpoint = 20")
c.execute("CREATE TABLE other (x); ")
c.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a, \"b\" TEXT DEFAULT 'x, (', PRIMARY_ INT)")
c.execute("CREATE INDEX i ON t (a)")
r = random.Random(seed)
def value(size):
    kind = r.randrange(6)
    if kind == 0: return None
    if kind == 1: return r.choice([0, 1, -1, 127, 128, -32768, 1 << 23, -(1 << 31), 1 << 40, (1 << 63) - 1, -(1 << 63)])
    if kind == 2: return r.random() * 1e9
    if kind == 3: return "ä€𝄞x"[r.randrange(4):] * (size // 4) + "text"
    if kind == 4: return bytes(r.randrange(256) for _ in range(min(size, 3000)))
    return "y" * size
for kind, key, size in steps:
    if kind == 0:
        c.execute("BEGIN")
        for n in range(key % 40): c.execute("INSERT INTO t (a, b) VALUES (?, ?)", (value(size), value(size % 77)))
        c.execute("COMMIT" if size % 5 else "ROLLBACK")
    elif kind == 1: c.execute("INSERT OR REPLACE INTO t (id, a, b) VALUES (?, ?, ?)", (key * key * key - 500, value(size), value(7)))
    elif kind == 2: c.execute("DELETE FROM t WHERE id % 7 = ?", (key % 7,))
    elif kind == 3: c.execute("UPDATE t SET a = ? WHERE id % 11 = ?", (value(size), key % 11))
    elif kind == 4: c.execute("DELETE FROM t WHERE id BETWEEN ? AND ?", (key, key + size // 50))
    elif kind == 5 and mode == "wal": c.execute("PRAGMA wal_checkpoint(%s)" % ["PASSIVE", "FULL", "RESTART", "TRUNCATE"][key % 4])
    elif kind == 6 and mode != "wal": c.execute("VACUUM")
c.execute("ALTER TABLE t ADD COLUMN c")
c.execute("INSERT INTO t (a, b, c) VALUES ('last', 'row', 5)")
c.execute("INSERT INTO other VALUES (1)")
sys.stdout.flush()
"#;

#[test]
fn random_databases_read_as_sqlite_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    if python(&folder.path().join("probe"), "pass").is_none() {
        return;
    }
    let plan = (
        prop::sample::select(vec![512u32, 1024, 4096, 65536]),
        prop::sample::select(vec!["UTF-8", "UTF-16le", "UTF-16be"]),
        prop::sample::select(vec!["delete", "wal", "wal", "truncate"]),
        prop::collection::vec(
            (
                0..7u32,
                0..60i64,
                prop::sample::select(vec![0u32, 3, 60, 480, 500, 1000, 4080, 20_000, 200_000]),
            ),
            1..30,
        ),
        any::<u32>(),
    );
    let mut runner =
        TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
    let count = std::cell::Cell::new(0);
    runner
        .run(&plan, |(page, encoding, mode, steps, seed)| {
            count.set(count.get() + 1);
            let path = folder.path().join(format!("{}.db", count.get()));
            let steps: Vec<String> =
                steps.iter().map(|(kind, key, size)| format!("({kind},{key},{size})")).collect();
            let build = format!(
                "PLAN = ({page}, {encoding:?}, {mode:?}, [{}], {seed})\n{BUILD}",
                steps.join(",")
            );
            // Killed, so that a log stays as it is: what is committed counts.
            let theirs = python(
                &path,
                &format!("{build}\n{THEIRS}\ndump(c)\nsys.stdout.flush()\nos._exit(0)"),
            )
            .unwrap();
            let read = ours(&path, "t", &["id", "a", "b", "c"]);
            prop_assert_eq!(read, theirs);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn what_is_not_committed_is_not_read_and_a_half_written_database_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wal.db");
    // The cache is small, so that pages are written to the log before the commit.
    let program = r#"
import os
c = sqlite3.connect(path, isolation_level=None)
c.execute("PRAGMA journal_mode = MODE")
c.execute("PRAGMA cache_size = 2")
c.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a, b, c)")
c.execute("INSERT INTO t (a) VALUES ('committed')")
c.execute("BEGIN")
for n in range(500): c.execute("INSERT INTO t (a) VALUES (?)", ("x" * 1000,))
os._exit(0)
"#;
    if python(&path, &program.replace("MODE", "wal")).is_none() {
        return;
    }
    assert!(std::fs::metadata(folder.path().join("wal.db-wal")).unwrap().len() > 100_000);
    assert_eq!(ours(&path, "t", &["a"]), format!("1 t{}\n", hex(b"committed")));
    // A log whose last transaction lost its end, or of which a byte was changed.
    let log = folder.path().join("wal.db-wal");
    let whole = std::fs::read(&log).unwrap();
    std::fs::write(&log, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(ours(&path, "t", &["a"]), format!("1 t{}\n", hex(b"committed")));
    // With a journal that was not played back, nothing is known.
    let path = folder.path().join("journal.db");
    python(&path, &program.replace("MODE", "delete")).unwrap();
    assert!(folder.path().join("journal.db-journal").exists());
    assert!(sqlite::read(&path, 1 << 30, |_| ()).is_err());
    // Nor of one that goes on changing.
    let path = folder.path().join("busy.db");
    python(&path, "c = sqlite3.connect(path)\nc.execute('CREATE TABLE t (a, b)')\nc.commit()")
        .unwrap();
    let mut calls = 0;
    let busy = sqlite::read(&path, 1 << 30, |_| {
        calls += 1;
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[27] = bytes[27].wrapping_add(1);
        std::fs::write(&path, bytes).unwrap();
    });
    assert!(busy.is_err() && calls == 3);
    let mut calls = 0;
    let settled = sqlite::read(&path, 1 << 30, |database| {
        calls += 1;
        if calls == 1 {
            std::fs::OpenOptions::new().append(true).open(&path).unwrap().set_len(1 << 16).unwrap();
        }
        database.table("t").is_some()
    });
    assert!(settled.unwrap().0 && calls == 2);
    for bytes in [&b""[..], b"SQLite format 3\0", &[0; 200]] {
        std::fs::write(&path, bytes).unwrap();
        assert!(sqlite::read(&path, 1 << 30, |_| ()).is_err());
    }
    // Nothing was written, nothing is locked.
    assert!(!folder.path().join("busy.db-shm").exists());
}

/// Writes OpenCode's database: one completed call that edits a file of `repo`.
pub(crate) fn open_code(
    repo: &TestRepo,
    session: &str,
    edits: &[(&str, &str, &str)],
) -> Option<()> {
    let folder = repo.home().join(".local/share/opencode");
    std::fs::create_dir_all(&folder).unwrap();
    let time = 1_779_440_000_000i64;
    let parts: Vec<String> = edits
        .iter()
        .enumerate()
        .map(|(at, (path, old, new))| {
            let part = json!({ "type": "tool", "tool": "edit", "callID": format!("c{at}"), "state": {
                "status": "completed",
                "input": { "filePath": repo.path().join(path), "oldString": old, "newString": new },
                "output": "x".repeat(9000),
                "time": { "start": time, "end": time + 1000 } } });
            part.to_string()
        })
        .collect();
    let data = json!({ "directory": repo.path(), "session": session, "parts": parts, "time": time,
        "message": json!({ "role": "assistant", "modelID": "claude-sonnet-4-5", "providerID": "anthropic" }).to_string() });
    let file = folder.join("plan.json");
    std::fs::write(&file, data.to_string()).unwrap();
    let program = r#"
import json, os
plan = json.load(open(os.path.join(os.path.dirname(path), "plan.json")))
c = sqlite3.connect(path, isolation_level=None)
c.execute("PRAGMA journal_mode = wal")
c.execute("CREATE TABLE session (id text PRIMARY KEY, project_id text NOT NULL, parent_id text, slug text NOT NULL, directory text NOT NULL, title text NOT NULL, version text NOT NULL, time_created integer NOT NULL, time_updated integer NOT NULL)")
c.execute("CREATE TABLE message (id text PRIMARY KEY, session_id text NOT NULL, time_created integer NOT NULL, time_updated integer NOT NULL, data text NOT NULL, CONSTRAINT fk FOREIGN KEY (session_id) REFERENCES session(id) ON DELETE CASCADE)")
c.execute("CREATE TABLE part (id text PRIMARY KEY, message_id text NOT NULL, session_id text NOT NULL, time_created integer NOT NULL, time_updated integer NOT NULL, data text NOT NULL)")
t, s = plan["time"], plan["session"]
c.execute("INSERT INTO session VALUES (?, 'p', NULL, 'slug', ?, 'title', '1.2', ?, ?)", (s, plan["directory"], t, t))
c.execute("INSERT INTO message VALUES ('m1', ?, ?, ?, ?)", (s, t, t, plan["message"]))
c.execute("INSERT INTO part VALUES ('p0', 'm1', ?, ?, ?, ?)", (s, t, t, json.dumps({"type": "text", "text": "a secret"})))
for n, part in enumerate(plan["parts"]):
    c.execute("INSERT INTO part VALUES (?, 'm1', ?, ?, ?, ?)", ("q%d" % n, s, t + n, t + n, part))
c.execute("INSERT INTO part VALUES ('z', 'm1', ?, ?, ?, '{\"type\":\"tool\"')", (s, t, t))
sys.stdout.flush()
os._exit(0)
"#;
    let said = python(&folder.join("opencode.db"), program);
    std::fs::remove_file(&file).unwrap();
    said.map(drop)
}

#[test]
fn opencodes_database_tells_its_edits() {
    let repo = TestRepo::new();
    repo.write("a.ts", "a\n").commit("ana", "begin");
    if open_code(&repo, "ses_1", &[("a.ts", "a", "b\nc"), ("../elsewhere.ts", "a", "b")]).is_none()
    {
        return;
    }
    repo.write("a.ts", "b\nc\n");
    let rows = || {
        let output = repo.countersign(&["scan", "--sessions", "--format", "json"]);
        String::from_utf8(output.stdout).unwrap()
    };
    let expected = "{\"path\":\"a.ts\",\"staged\":false,\"agent\":\"opencode\",\"session\":\"ses_1\",\"model\":\"claude-sonnet-4-5\",\"time\":\"2026-05-22T08:53:21Z\",\"lines\":2}\n";
    assert_eq!(rows(), expected);
    // Once more, from what is remembered; and after a row was added in the log alone.
    assert_eq!(rows(), expected);
    let database = repo.home().join(".local/share/opencode/opencode.db");
    let before = std::fs::read(&database).unwrap();
    python(&database, "import os\nc = sqlite3.connect(path, isolation_level=None)\nc.execute(\"INSERT INTO part SELECT 'more', message_id, session_id, time_created, time_updated, replace(data, '\\\"b\\\\nc\\\"', '\\\"d\\\"') FROM part WHERE id = 'q0'\")\nos._exit(0)").unwrap();
    assert_eq!(std::fs::read(&database).unwrap(), before, "the log has it");
    assert_eq!(rows().lines().count(), 2);
    let list = repo.countersign(&["agents", "list"]);
    assert!(String::from_utf8_lossy(&list.stdout).contains("opencode"), "{list:?}");
    let notes = repo.countersign(&["-v", "scan", "--sessions"]);
    let notes = String::from_utf8_lossy(&notes.stderr).into_owned();
    assert!(!notes.contains("secret"), "{notes}");
}

#[test]
fn what_zstd_compresses_is_read_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, packed) = (folder.path().join("plain"), folder.path().join("packed"));
    let compress = |level: u32, text: &[u8]| -> Option<Vec<u8>> {
        std::fs::write(&plain, text).unwrap();
        let level = format!("-{level}");
        let status = Command::new("zstd")
            .args(["-q", "-f", &level])
            .arg(&plain)
            .arg("-o")
            .arg(&packed)
            .status()
            .ok()?;
        assert!(status.success());
        Some(std::fs::read(&packed).unwrap())
    };
    if compress(3, b"probe").is_none() {
        return missing("zstd is not here");
    }
    let word = prop_oneof![
        4 => "[a-z]{1,9}",
        1 => "[ -~]{1,40}",
        1 => Just("{\"type\":\"tool\",\"state\":{\"status\":\"completed\"".to_owned()),
        1 => "[ä-€]{1,3}",
    ];
    let plan = (1..19u32, prop::collection::vec((word, 1..40usize), 0..60), 1..80usize);
    let mut runner =
        TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() });
    runner
        .run(&plan, |(level, words, times)| {
            let text: String = words.iter().map(|(word, count)| word.repeat(*count)).collect();
            // Beyond one block, and beyond one window of small levels.
            let text = (0..times).map(|it| format!("{it} {text}")).collect::<String>().into_bytes();
            let packed = compress(level, &text).unwrap();
            prop_assert!(zstd::decode(&packed, 64 << 20).is_some_and(|it| it == text));
            prop_assert_eq!(
                zstd::decode(&packed, text.len().saturating_sub(1 << 18)).is_some(),
                text.is_empty()
            );
            prop_assert_eq!(zstd::decode(&packed[..packed.len() - 5], 64 << 20), None);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    // What does not compress, and what is all the same.
    let noise: Vec<u8> =
        (0..300_000u32).map(|it| (it.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for text in [noise, vec![7; 1 << 20], Vec::new()] {
        for level in [1, 19] {
            assert_eq!(
                zstd::decode(&compress(level, &text).unwrap(), 64 << 20).as_ref(),
                Some(&text)
            );
        }
    }
}

/// Text as a frame of Zstandard that leaves it as it is.
fn stored(text: &str) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58];
    frame.extend(&((text.len() as u32) << 3 | 1).to_le_bytes()[..3]);
    [frame, text.as_bytes().to_vec()].concat()
}

/// Writes Zed's database: one conversation that edits a file of `repo`.
pub(crate) fn zed(repo: &TestRepo, path: &str, old: &str, new: &str) -> Option<()> {
    let folder = repo.home().join(".local/share/zed/threads");
    std::fs::create_dir_all(&folder).unwrap();
    let name = repo.path().file_name().unwrap().to_str().unwrap();
    let output = json!({ "input_path": format!("{name}/{path}"), "new_text": new, "old_text": old, "diff": "" });
    let result = json!({ "tool_use_id": "c1", "tool_name": "edit_file", "is_error": false, "content": "Edited", "output": output });
    let thread = json!({ "version": "0.3.0", "title": "t", "updated_at": "2026-05-22T09:00:00Z", "model": { "provider": "anthropic", "model": "claude-sonnet-4-5" },
        "messages": [{ "User": { "id": "u", "content": [{ "Text": "a prompt with a password" }] } }, { "Agent": { "content": [], "tool_results": { "c1": result } } }] });
    let data = json!({ "folder": repo.path(), "hex": hex(&stored(&thread.to_string())) });
    let file = folder.join("plan.json");
    std::fs::write(&file, data.to_string()).unwrap();
    let program = r#"
import json, os
plan = json.load(open(os.path.join(os.path.dirname(path), "plan.json")))
c = sqlite3.connect(path)
c.execute("CREATE TABLE threads (id TEXT PRIMARY KEY, summary TEXT NOT NULL, updated_at TEXT NOT NULL, data_type TEXT NOT NULL, data BLOB NOT NULL)")
c.execute("ALTER TABLE threads ADD COLUMN parent_id TEXT")
c.execute("ALTER TABLE threads ADD COLUMN folder_paths TEXT")
c.execute("INSERT INTO threads VALUES ('z1', 's', '2026-05-22T09:00:00+00:00', 'zstd', ?, NULL, ?)", (bytes.fromhex(plan["hex"]), plan["folder"]))
c.execute("INSERT INTO threads VALUES ('z2', 's', '2026-05-22T09:00:00+00:00', 'zstd', ?, NULL, NULL)", (b"\x28\xb5\x2f\xfd\x00",))
c.commit()
"#;
    let said = python(&folder.join("threads.db"), program);
    std::fs::remove_file(&file).unwrap();
    said.map(drop)
}

#[test]
fn cursors_count_names_the_model_of_a_conversation() {
    let repo = TestRepo::new();
    repo.write("a.ts", "a\n").commit("ana", "begin");
    let folder = repo.home().join(".cursor/projects/shop/agent-transcripts/conv-1");
    std::fs::create_dir_all(&folder).unwrap();
    let call = json!({ "role": "assistant", "message": { "content": [{ "type": "tool_use", "name": "Write", "input": { "path": repo.path().join("a.ts"), "contents": "b\n" } }] } });
    std::fs::write(folder.join("conv-1.jsonl"), format!("{call}\n")).unwrap();
    let tracking = repo.home().join(".cursor/ai-tracking");
    std::fs::create_dir_all(&tracking).unwrap();
    let program = r#"
c = sqlite3.connect(path)
c.execute("CREATE TABLE ai_code_hashes (hash TEXT PRIMARY KEY, source TEXT NOT NULL, fileExtension TEXT, fileName TEXT, requestId TEXT, conversationId TEXT, timestamp INTEGER, model TEXT, createdAt INTEGER NOT NULL)")
for n, (conversation, model) in enumerate([("conv-1", "older"), ("conv-1", "claude-4.5-sonnet"), ("conv-2", "other"), ("conv-1", None)]):
    c.execute("INSERT INTO ai_code_hashes VALUES (?, 'composer', 'ts', 'a.ts', 'r', ?, ?, ?, ?)", (str(n), conversation, 1779440000000 + n, model, 1779440000000 + n))
c.commit()
"#;
    if python(&tracking.join("ai-code-tracking.db"), program).is_none() {
        return;
    }
    repo.write("a.ts", "b\n");
    let output = repo.countersign(&["scan", "--sessions", "--format", "json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\"session\":\"conv-1\",\"model\":\"claude-4.5-sonnet\""), "{text}");
}
