//! What is a record and what is not.

use super::super::change::LineRange;
use super::super::coverage::lines::Lines;
use super::super::coverage::measured::{Measured, MeasuredFile, Unclear};
use super::super::evidence::Answer;
use super::super::proof::{Proof, Result as ProofResult};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const OID: &str = "1111111111111111111111111111111111111111";
const OTHER: &str = "2222222222222222222222222222222222222222";

fn oid(text: &str) -> Oid {
    Oid::parse(text).expect("a full id")
}

fn signer() -> Signer {
    Signer {
        who: Some("ana".into()),
        key: Some("SHA256:abc".into()),
        at: Timestamp(1_795_421_000),
        ledger: None,
        nonce: "0123456789abcdef0123456789abcdef".into(),
    }
}

fn approval() -> Body {
    let side = |oid_text: &str, sha256: Option<&str>| {
        Some(Side { mode: 0o100_644, oid: oid(oid_text), sha256: sha256.map(str::to_owned) })
    };
    Body::Approval(Judgement {
        content: Content {
            repo: "shop".into(),
            target: "refs/heads/main".into(),
            base: oid(OID),
            head: oid(OTHER),
            head_tree: oid(OID),
            files: vec![
                FileDelta {
                    path: RepoPath::new("a.rs"),
                    old: side(OID, None),
                    new: side(OTHER, Some(&"ab".repeat(32))),
                },
                FileDelta {
                    path: RepoPath::new(b"b\xff".to_vec()),
                    old: side(OID, None),
                    new: None,
                },
            ],
        },
        rules: vec![],
        shown: Shown { assisted: true, added: 3, assisted_added: 2, ..Shown::default() },
        by: signer(),
        note: None,
    })
}

const APPROVAL: &str = concat!(
    r#"{"_type":"https://in-toto.io/Statement/v1","predicate":{"by":{"at":"2026-11-23T08:03:20Z","#,
    r#""key":"SHA256:abc","nonce":"0123456789abcdef0123456789abcdef","who":"ana"},"content":{"#,
    r#""base":"1111111111111111111111111111111111111111","files":[{"new":{"mode":"100644","#,
    r#""oid":"2222222222222222222222222222222222222222","sha256":"abababababababababababababababababababababababababababababababab"},"#,
    r#""old":{"mode":"100644","oid":"1111111111111111111111111111111111111111"},"path":"a.rs"},"#,
    r#"{"old":{"mode":"100644","oid":"1111111111111111111111111111111111111111"},"path":"\"b\\377\""}],"#,
    r#""head":"2222222222222222222222222222222222222222","head_tree":"1111111111111111111111111111111111111111","#,
    r#""repo":"shop","target":"refs/heads/main"},"rules":[],"shown":{"added":3,"agents":[],"assisted":true,"#,
    r#""assisted_added":2,"previews":[],"runs":[]}},"predicateType":"urn:countersign:approval:v1","#,
    r#""subject":[{"digest":{"gitCommit":"2222222222222222222222222222222222222222"},"name":"commit"},"#,
    r#"{"digest":{"gitTree":"1111111111111111111111111111111111111111"},"name":"tree"},"#,
    r#"{"digest":{"sha256":"abddbbac824be33a1bf33a40f2bb3726d55df8873f87740c083a1278f7b801f2"},"name":"files"}]}"#,
    "\n"
);

#[test]
fn an_approval_reads_as_an_in_toto_statement() {
    let (record, bytes) = Record::write(&approval()).expect("a valid approval");
    let text = String::from_utf8(bytes).expect("UTF-8");
    assert_eq!(text, APPROVAL);
    assert_eq!(record.id, canonical::sha256(text.as_bytes()));
    assert_eq!(record.ledger_path(), format!("records/2026/11/23/{}.json", record.id));
    assert_eq!(record.body, approval());
}

/// Changes the approval's text in one place; it must be refused for `reason`.
#[track_caller]
fn refuses(from: &str, to: &str, reason: &str) {
    let text = APPROVAL.replacen(from, to, 1);
    assert_ne!(text, APPROVAL, "the change changes something");
    let error = Record::parse(text.as_bytes()).expect_err("it is no record");
    assert_eq!(error.to_string(), reason);
}

const NOT_CANONICAL: &str = "the bytes are not the canonical form of what they say";

#[test]
fn only_canonical_bytes_are_a_record() {
    refuses("\n", "", NOT_CANONICAL);
    refuses("\n", "\n\n", NOT_CANONICAL);
    refuses("\n", "\n{}", "the record is not JSON");
    refuses(r#"{"_type""#, r#"{ "_type""#, NOT_CANONICAL);
    refuses(r#""rules":[]"#, r#""rules":[],"rules":[]"#, NOT_CANONICAL);
    refuses(r#""who":"ana""#, r#""who":"bo","who":"ana""#, NOT_CANONICAL);
    refuses(r#""who":"ana""#, r#""who":"\u0061na""#, NOT_CANONICAL);
    refuses(r#""who":"ana""#, r#""unknown":1,"who":"ana""#, NOT_CANONICAL);
    refuses(r#""who":"ana""#, r#""who":null"#, "`predicate.by.who` is not text");
    refuses("2026-11-23T08:03:20Z", "2026-11-23T09:03:20+01:00", NOT_CANONICAL);
    refuses("2026-11-23T08:03:20Z", "2026-11-23T08:03:20.5Z", NOT_CANONICAL);
    refuses(r#""added":3"#, r#""added":3.0"#, "`predicate.shown.added` is not a number");
    // The subject is not taken from the bytes: it follows from the predicate.
    refuses(
        r#"{"gitCommit":"2222222222222222222222222222222222222222"}"#,
        r#"{"gitCommit":"1111111111111111111111111111111111111111"}"#,
        NOT_CANONICAL,
    );
}

#[test]
fn a_record_says_what_it_must() {
    refuses("Statement/v1", "Statement/v2", "the record is no in-toto statement v1");
    refuses(
        "urn:countersign:approval:v1",
        "urn:countersign:approval:v2",
        "the predicate type `urn:countersign:approval:v2` is not known",
    );
    refuses(
        r#""path":"a.rs""#,
        r#""path":"/a.rs""#,
        "`content.files[].path` is not a path below the repository's root",
    );
    refuses(
        r#""path":"a.rs""#,
        r#""path":"x/../a.rs""#,
        "`content.files[].path` is not a path below the repository's root",
    );
    refuses(
        r#""path":"a.rs""#,
        r#""path":"c.rs""#,
        "`predicate.content.files` is not sorted by path, each path once",
    );
    refuses(
        r#""mode":"100644""#,
        r#""mode":"100664""#,
        "`content.files[].new.mode` is not a mode of git's",
    );
    refuses(
        r#""base":"1111"#,
        r#""base":"111"#,
        "`predicate.content.base` is not a full object id",
    );
    refuses("refs/heads/main", "main", "`predicate.content.target` is not a full ref name");
    refuses(
        "0123456789abcdef0123456789abcdef",
        "0123",
        "`predicate.by.nonce` is not 128 bits in lower-case hexadecimal",
    );
    refuses("SHA256:abc", "MD5:abc", "`predicate.by.key` is not a fingerprint (`SHA256:…`)");
    refuses("abababab", "ABABABAB", "`content.files[].new.sha256` is not a SHA-256");
    // An approval's bytes are no other type's: the shapes differ, and so do the namespaces.
    refuses(
        "urn:countersign:approval:v1",
        "urn:countersign:waiver:v1",
        "`predicate.rule` is not there",
    );
}

#[test]
fn hostile_bytes_cost_only_themselves() {
    let deep = "[".repeat(100_000);
    for bytes in [&b""[..], b"\xff", b"null", b"[]", b"{}", deep.as_bytes()] {
        assert!(Record::parse(bytes).is_err());
    }
    let huge = vec![b' '; MAX_BYTES + 1];
    assert!(matches!(Record::parse(&huge), Err(RecordError::TooLarge(_))));
}

#[test]
fn what_is_kept_as_it_stands_needs_a_time_and_no_floats() {
    let write = |predicate: Value| Record::write(&Body::Verdict(predicate));
    let (record, _) =
        write(json!({ "at": "2026-11-23T08:00:00Z", "verdict": "pass" })).expect("a verdict");
    assert!(record.ledger_path().starts_with("records/2026/11/23/"));
    assert!(write(json!({ "verdict": "pass" })).is_err());
    assert!(write(json!({ "at": "2026-11-23T08:00:00Z", "share": 0.5 })).is_err());
    assert!(write(json!("pass")).is_err());
}

#[test]
fn too_many_files_are_refused_before_they_are_written() {
    let mut body = approval();
    if let Body::Approval(judgement) = &mut body {
        let file = judgement.content.files[0].clone();
        judgement.content.files = vec![file; MAX_FILES + 1];
    }
    assert!(matches!(Record::write(&body), Err(RecordError::TooManyFiles(_))));
}

#[test]
fn words_and_types_are_distinct() {
    let words: std::collections::BTreeSet<_> = RecordType::ALL.iter().map(|it| it.word()).collect();
    let types: std::collections::BTreeSet<_> =
        RecordType::ALL.iter().map(|it| it.predicate_type()).collect();
    assert_eq!((words.len(), types.len()), (8, 8));
    assert_eq!(RecordType::Approval.namespace(), "countersign-approval-v1");
}

fn any_oid() -> impl Strategy<Value = Oid> {
    prop_oneof!["[0-9a-f]{40}", "[0-9a-f]{64}"].prop_map(|text| oid(&text))
}

fn any_path() -> impl Strategy<Value = RepoPath> {
    let byte = any::<u8>().prop_filter("no separator", |byte| !matches!(byte, 0 | b'/' | b'.'));
    prop::collection::vec(prop::collection::vec(byte, 1..6), 1..4)
        .prop_map(|components| RepoPath::new(components.join(&b'/')))
}

fn any_side(with_sha256: bool) -> impl Strategy<Value = Side> {
    let mode = prop::sample::select(vec![0o100_644, 0o100_755, 0o120_000, 0o160_000]);
    let sha256 = prop::option::of("[0-9a-f]{64}");
    (mode, any_oid(), sha256).prop_map(move |(mode, oid, sha256)| Side {
        mode,
        oid,
        sha256: sha256.filter(|_| with_sha256),
    })
}

fn any_content() -> impl Strategy<Value = Content> {
    let sides = (prop::option::of(any_side(false)), prop::option::of(any_side(true))).prop_filter(
        "a change",
        |(old, new)| {
            old.as_ref().map(|it| (it.mode, &it.oid)) != new.as_ref().map(|it| (it.mode, &it.oid))
        },
    );
    let files = prop::collection::btree_map(any_path(), sides, 0..5);
    (".*", "refs/.*", any_oid(), any_oid(), any_oid(), files).prop_map(
        |(repo, target, base, head, head_tree, files)| Content {
            repo,
            target,
            base,
            head,
            head_tree,
            files: files
                .into_iter()
                .map(|(path, (old, new))| FileDelta { path, old, new })
                .collect(),
        },
    )
}

fn any_signer() -> impl Strategy<Value = Signer> {
    let key = prop::option::of("SHA256:[A-Za-z0-9+/]{43}");
    (prop::option::of(".*"), key, 0i64..4_000_000_000, prop::option::of(any_oid()), "[0-9a-f]{32}")
        .prop_map(|(who, key, at, ledger, nonce)| Signer {
            who,
            key,
            at: Timestamp(at),
            ledger,
            nonce,
        })
}

fn any_coverage() -> impl Strategy<Value = Option<Answer<Measured>>> {
    let file = (any_oid(), prop::collection::btree_map(1_u64..400, any::<bool>(), 0..20)).prop_map(
        |(blob, marks)| {
            let mut lines = Lines::default();
            marks.iter().for_each(|(line, covered)| assert!(lines.mark(*line, *line, *covered)));
            MeasuredFile { blob, covered: lines.covered(), missed: lines.missed() }
        },
    );
    let path = "[a-z]{1,8}(/[a-z]{1,8}){0,2}".prop_map(RepoPath::new);
    let words = || prop::collection::btree_set("[a-z.]{0,5}", 0..3);
    let unclear = (".*", ".*").prop_map(|(name, why)| Unclear { name, why });
    let measured = (
        prop::collection::btree_map(path, file, 0..4),
        words(),
        words(),
        any::<u64>(),
        prop::collection::vec(unclear, 0..2),
    )
        .prop_map(|(files, kinds, formats, omitted, unclear)| {
            Ok(Measured { files, kinds, formats, omitted, unclear })
        });
    prop::option::of(prop_oneof![measured, ".*".prop_map(Err)])
}

fn any_proof() -> impl Strategy<Value = Option<Box<Proof>>> {
    let lines =
        (1_u64..900, 0_u64..9).prop_map(|(start, more)| LineRange { start, end: start + more });
    let path = "[a-z]{1,8}(/[a-z]{1,8}){0,2}".prop_map(RepoPath::new);
    let proof =
        (
            "[0-9a-f]{64}",
            prop::sample::select(ProofResult::ALL),
            prop::collection::vec(".*", 0..3),
            prop::collection::vec((path, lines), 0..3),
            prop::option::of(".*"),
            any::<(u64, u64)>(),
        )
            .prop_map(|(subject, result, tests, hunks, why, (attempts, duration_ms))| {
                Proof { subject, result, tests, hunks, why, attempts, duration_ms }
            });
    prop::option::of(proof.prop_map(Box::new))
}

fn any_body() -> impl Strategy<Value = Body> {
    let texts = || prop::collection::vec(".*", 0..3);
    let judgement = (
        any_content(),
        texts(),
        any::<(bool, u64, u64)>(),
        texts(),
        any_signer(),
        prop::option::of(".*"),
    )
        .prop_map(|(content, rules, (assisted, added, assisted_added), agents, by, note)| {
            Judgement {
                content,
                rules,
                shown: Shown { assisted, added, assisted_added, agents, ..Shown::default() },
                by,
                note,
            }
        })
        .boxed();
    let run = (
        (any_oid(), any_oid(), any::<bool>(), prop::option::of(any::<i32>()), any::<u64>()),
        (".*", ".*", texts(), prop::collection::vec((".*", ".*"), 0..3)),
        (
            prop::option::of("[0-9a-f]{64}"),
            prop::option::of(any::<(u64, u64, u64)>()),
            texts(),
            any_signer(),
        ),
        any_coverage(),
        any_proof(),
    )
        .prop_map(
            |(
                (commit, tree, passed, exit, duration_ms),
                (test, key, argv, environment),
                (policy, tests, failures, by),
                coverage,
                proof,
            )| {
                Body::Run(Run {
                    repo: None,
                    test,
                    key,
                    commit,
                    tree,
                    passed,
                    exit,
                    summary: "12 tests passed".into(),
                    duration_ms,
                    merged: passed.then(|| Box::new(oid(OID))),
                    packages: argv.iter().take(1).cloned().collect(),
                    retried: argv.iter().skip(1).cloned().collect(),
                    sandbox: Box::new(Sandbox { network: passed, wrap: argv.clone() }),
                    argv,
                    environment,
                    platform: "linux x86_64".into(),
                    client: "countersign 0.1.0".into(),
                    policy,
                    tests: tests.map(|(passed, failed, skipped)| TestCounts {
                        passed,
                        failed,
                        skipped,
                        failures,
                    }),
                    coverage,
                    proof,
                    by,
                })
            },
        );
    prop_oneof![
        judgement.clone().prop_map(Body::Approval),
        judgement.prop_map(Body::Rejection),
        run,
        (any_content(), ".*", ".*", 0i64..4_000_000_000, any_signer()).prop_map(
            |(content, rule, reason, expires, by)| Body::Waiver(Waiver {
                content,
                rule,
                reason,
                expires: Timestamp(expires),
                by
            })
        ),
        (".*", "[0-9a-f]{64}", prop::option::of(".*"), any_signer()).prop_map(
            |(repo, record, reason, by)| Body::Withdrawal(Withdrawal { repo, record, reason, by })
        ),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn what_is_written_reads_back(body in any_body()) {
        let (record, bytes) = Record::write(&body).expect("a valid body");
        prop_assert_eq!(&record.body, &body);
        prop_assert_eq!(Record::parse(&bytes).expect("its own bytes"), record);
    }

    #[test]
    fn one_changed_byte_is_another_record_or_none(at in 0usize..APPROVAL.len(), byte in any::<u8>()) {
        let mut bytes = APPROVAL.as_bytes().to_vec();
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        if let Ok(record) = Record::parse(&bytes) {
            prop_assert_ne!(record.body, approval());
        }
    }
}
