//! The ledger, with real git: growth, replay, and everything that may stand in it.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use countersign::adapters::git::Git;
use countersign::adapters::ledger::{Ledger, LedgerError, Wanted};
use countersign::adapters::signature::{KeySource, allowed_signers, fingerprint_of, sign};
use countersign::adapters::store::{Store, Unpublished};
use countersign::gate::change::Oid;
use countersign::gate::policy::Policy;
use countersign::gate::record::{Body, Record, RecordType, SignatureState};
use countersign::gate::time::Timestamp;
use serde_json::json;

use crate::fixture::TestRepo;

const REFERENCE: &str = "refs/heads/countersign-ledger";
const TRACKING: &str = "refs/remotes/origin/countersign-ledger";
const NOW: Timestamp = Timestamp(1_795_421_000);

/// An unsigned record whose content no other has.
fn record(name: &str) -> Unpublished {
    let body = Body::Verdict(json!({ "at": "2026-11-23T08:00:00Z", "name": name }));
    let (record, bytes) = Record::write(&body).unwrap();
    Unpublished { id: record.id, bytes, signature: None }
}

/// A repository with its ledger; the store lies where the binary has it.
struct Clone {
    git: Git,
    store: Store,
    remote: Option<&'static str>,
}

impl Clone {
    fn of(repo: &TestRepo, remote: Option<&'static str>) -> Clone {
        let git = repo.open();
        let store = Store::new(&git.layout().common_dir);
        Clone { git, store, remote }
    }

    fn ledger(&self) -> Ledger<'_> {
        Ledger::new(&self.git, &self.store, REFERENCE, self.remote)
    }

    fn append(&self, names: &[&str]) {
        let records: Vec<_> = names.iter().map(|name| record(name)).collect();
        self.ledger().append(&records, NOW).unwrap();
    }

    /// The names of all records, as a read sees them.
    #[track_caller]
    fn names(&self) -> BTreeSet<String> {
        let view = self.ledger().read(&Wanted::All).unwrap_or_else(|error| panic!("{error}"));
        let names = view.records.iter().filter_map(|signed| match &signed.record.body {
            Body::Verdict(value) => value["name"].as_str().map(str::to_owned),
            _ => None,
        });
        names.collect()
    }

    #[track_caller]
    fn read_fails(&self) -> String {
        self.ledger().read(&Wanted::All).unwrap_err().to_string()
    }
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Two clones of one bare repository.
fn two_clones() -> (TestRepo, TestRepo, TestRepo) {
    let one = TestRepo::new();
    let bare = one.bare_remote();
    one.commit_file("ana", "a.rs", "1\n", "first");
    one.git(&["push", "-q", "origin", "main"]);
    let two = bare.clone_as("two", &[]);
    (one, two, bare)
}

#[test]
fn without_a_remote_the_local_branch_is_the_ledger() {
    let repo = TestRepo::new();
    repo.commit_file("ana", "a.rs", "1\n", "first");
    let clone = Clone::of(&repo, None);
    assert_eq!(clone.names(), set(&[]));
    clone.append(&["one"]);
    clone.append(&["two", "three"]);
    clone.append(&["one"]);
    assert_eq!(clone.names(), set(&["one", "two", "three"]));
    assert_eq!(repo.git(&["rev-list", "--count", REFERENCE]), "2");
    assert_eq!(clone.store.unpublished().unwrap(), []);
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
    let message = repo.git(&["log", "-1", "--format=%B", REFERENCE]);
    assert_eq!(message.trim_end(), "ledger: add 2 records\n\n[skip ci]");
    let id = record("one").id;
    assert_eq!(clone.ledger().find(&id[..10]).unwrap().signed.record.id, id);
    assert!(matches!(clone.ledger().find("zz"), Err(LedgerError::NoSuchRecord(_))));
    assert!(matches!(clone.ledger().find(""), Err(LedgerError::Ambiguous { count: 3, .. })));
}

#[test]
fn stock_git_and_ssh_keygen_verify_a_record() {
    let repo = TestRepo::new();
    repo.commit_file("ana", "a.rs", "1\n", "first");
    let key = repo.home().join("key");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&key)
        .stdin(Stdio::null())
        .status();
    if made.is_err() {
        std::io::Write::write_all(&mut std::io::stderr(), b"skipped: no ssh-keygen\n").unwrap();
        return;
    }
    let source = KeySource::File(key.clone());
    let mut signed = record("signed");
    let namespace = RecordType::Verdict.namespace();
    signed.signature = Some(sign(&signed.bytes, &namespace, &source, false).unwrap().into_bytes());
    let clone = Clone::of(&repo, None);
    clone.ledger().append(std::slice::from_ref(&signed), NOW).unwrap();

    let view = clone.ledger().read(&Wanted::All).unwrap();
    let SignatureState::Good(good) = &view.records[0].signature else { panic!() };
    assert_eq!(good.fingerprint, fingerprint_of(&source).unwrap());
    // The second read takes the verified signature from the index.
    let again = clone.ledger().read(&Wanted::All).unwrap();
    assert_eq!(again.records[0].signature, view.records[0].signature);

    let public = std::fs::read_to_string(repo.home().join("key.pub")).unwrap();
    let public: Vec<_> = public.split(' ').take(2).collect();
    let toml = format!(
        "schema = 1\n[people.ana]\nkind = \"human\"\nkeys = [{{ key = \"{}\" }}]\n",
        public.join(" ")
    );
    let policy = Policy::parse(&toml, "test").unwrap();
    repo.write("allowed_signers", allowed_signers(&policy));
    let path = format!("records/2026/11/23/{}", signed.id);
    let script = format!(
        "git show {REFERENCE}:{path}.json > r.json && git show {REFERENCE}:{path}.sig > r.sig && \
         ssh-keygen -Y verify -f allowed_signers -I ana -n {namespace} -s r.sig < r.json"
    );
    let output = repo.command("sh").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_is_not_published_is_read_and_published_later() {
    let (one, two, _bare) = two_clones();
    let (ana, bo) = (Clone::of(&one, Some("origin")), Clone::of(&two, Some("origin")));
    ana.append(&["a"]);
    bo.append(&["b"]);
    assert_eq!(ana.names(), set(&["a"]));
    assert_eq!(ana.ledger().pending_count().unwrap(), 1);
    assert_eq!(ana.ledger().sync(NOW).unwrap().published, 1);
    assert_eq!(ana.ledger().pending_count().unwrap(), 0);
    // bo's own first commit has no history in common with ana's: it is replayed.
    let synced = bo.ledger().sync(NOW).unwrap();
    assert_eq!((synced.published, synced.fetched), (1, true));
    assert_eq!(bo.names(), set(&["a", "b"]));
    // After a plain fetch no sync is needed.
    one.git(&["fetch", "-q", "origin"]);
    assert_eq!(ana.names(), set(&["a", "b"]));
    assert_eq!(ana.ledger().sync(NOW).unwrap().published, 0);
    assert_eq!(one.git(&["rev-list", "--merges", "--count", TRACKING]), "0");
    assert_eq!(one.git(&["rev-list", "--count", TRACKING]), "2");
    assert_eq!(ana.store.unpublished().unwrap(), []);
    assert_eq!(ana.ledger().verify().unwrap().problems, [""; 0]);
}

#[test]
fn clones_that_publish_at_once_lose_nothing() {
    let (one, _, bare) = two_clones();
    let clones: Vec<TestRepo> =
        (0..4).map(|number| bare.clone_as(&format!("clone{number}"), &[])).collect();
    let clones: Vec<Clone> = clones.iter().map(|repo| Clone::of(repo, Some("origin"))).collect();
    std::thread::scope(|scope| {
        for (number, clone) in clones.iter().enumerate() {
            scope.spawn(move || {
                for round in 0..3 {
                    clone.append(&[&format!("{number}-{round}")]);
                    // One that gives up for now has lost nothing either.
                    match clone.ledger().sync(NOW) {
                        Ok(_) | Err(LedgerError::TooBusy { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    for clone in &clones {
        clone.ledger().sync(NOW).unwrap();
    }
    let reader = Clone::of(&one, Some("origin"));
    reader.ledger().sync(NOW).unwrap();
    assert_eq!(reader.names().len(), 12);
    assert_eq!(one.git(&["rev-list", "--merges", "--count", TRACKING]), "0");
    assert_eq!(reader.ledger().verify().unwrap().records, 12);
}

#[test]
fn a_ledger_that_shrinks_is_an_error() {
    let (one, two, bare) = two_clones();
    let (ana, bo) = (Clone::of(&one, Some("origin")), Clone::of(&two, Some("origin")));
    ana.append(&["a"]);
    ana.ledger().sync(NOW).unwrap();
    let first = one.git(&["rev-parse", TRACKING]);
    ana.append(&["b"]);
    ana.ledger().sync(NOW).unwrap();
    bo.ledger().sync(NOW).unwrap();
    let second = one.git(&["rev-parse", TRACKING]);

    // Rewound on the remote, and fetched by force as git's default refspec does.
    bare.git(&["update-ref", REFERENCE, &first]);
    two.git(&["fetch", "-q", "origin"]);
    let rewound = format!(
        "the ledger was rewound: `{first}` does not descend from `{second}`, which was read before"
    );
    assert_eq!(bo.read_fails(), rewound);
    assert_eq!(ana.ledger().sync(NOW).unwrap_err().to_string(), rewound);

    // Grown in commits, shrunk in content.
    bare.git(&["update-ref", REFERENCE, &second]);
    two.git(&["fetch", "-q", "origin"]);
    assert_eq!(bo.names(), set(&["a", "b"]));
    let path = format!("records/2026/11/23/{}.json", record("a").id);
    let script = format!(
        "GIT_INDEX_FILE=x git read-tree {second} && GIT_INDEX_FILE=x git rm -q --cached {path} && \
         git commit-tree -p {second} -m less $(GIT_INDEX_FILE=x git write-tree)"
    );
    let output = two.command("sh").args(["-c", &script]).output().unwrap();
    let less = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let less = Oid::parse(&less).unwrap();
    two.git(&["push", "-q", "origin", &format!("{less}:{REFERENCE}")]);
    assert_eq!(
        bo.read_fails(),
        format!("the ledger lost or changed `{path}`, which was read before")
    );
    let second = Oid::parse(&second).unwrap();
    let problems = bo.ledger().check_push(Some(&second), &less).unwrap();
    assert_eq!(problems, [format!("`{path}` is removed")]);

    // Gone altogether: read fails, and sync puts back what this clone saw.
    bare.git(&["update-ref", "-d", REFERENCE]);
    one.git(&["update-ref", "-d", TRACKING]);
    one.git(&["update-ref", "-d", REFERENCE]);
    assert_eq!(ana.read_fails(), format!("the ledger is gone; `{second}` was read before"));
    ana.ledger().sync(NOW).unwrap();
    assert_eq!(ana.names(), set(&["a", "b"]));
    assert_eq!(bare.git(&["rev-parse", REFERENCE]), second.as_str());
}

#[test]
fn a_malformed_record_costs_only_itself() {
    let (one, two, _bare) = two_clones();
    let (ana, bo) = (Clone::of(&one, Some("origin")), Clone::of(&two, Some("origin")));
    ana.append(&["good"]);
    ana.ledger().sync(NOW).unwrap();
    let misnamed = format!("records/2026/11/23/{}.json", "0".repeat(64));
    let broken = format!("records/2026/11/24/{}.json", "1".repeat(64));
    let lone = format!("records/2026/11/24/{}.sig", "2".repeat(64));
    two.git(&["fetch", "-q", "origin"]);
    two.git(&["checkout", "-q", "-b", "x", "origin/countersign-ledger"]);
    two.write(&misnamed, record("other").bytes)
        .write(&broken, "{")
        .write(&lone, "")
        .write("records/x", "");
    let head = two.commit("bo", "more");
    let old = Oid::parse(&two.git(&["rev-parse", "HEAD~1"])).unwrap();
    let zeros = "0".repeat(64);
    let ones = "1".repeat(64);
    let twos = "2".repeat(64);
    assert_eq!(
        bo.ledger().check_push(Some(&old), &head).unwrap(),
        [
            "`records/x` is no record file".to_owned(),
            format!("signature `{twos}` has no record"),
            format!("record `{zeros}`: its name does not follow from its bytes"),
            format!("record `{ones}`: the record is not JSON"),
        ]
    );
    two.git(&["push", "-q", "origin", &format!("x:{REFERENCE}")]);
    two.git(&["fetch", "-q", "origin"]);
    assert_eq!(bo.names(), set(&["good"]));
    assert_eq!(bo.ledger().verify().unwrap().problems.len(), 4);
    assert_eq!(bo.ledger().read(&Wanted::All).unwrap().unreadable.len(), 4);
}

/// The index of a clone that reads as the ledger grows says what that of a
/// clone says which reads it whole.
#[test]
fn an_index_that_grew_is_the_one_that_is_made_at_once() {
    let (one, two, bare) = two_clones();
    let (ana, bo) = (Clone::of(&one, Some("origin")), Clone::of(&two, Some("origin")));
    let numbered = |from: usize, to: usize| (from..to).map(|it| it.to_string()).collect::<Vec<_>>();
    let mut expected = BTreeSet::new();
    // Beyond a thousand, what was added is put to the rest.
    for (from, to) in [(0, 3), (3, 4), (4, 900), (900, 1_200), (1_200, 1_201)] {
        let names = numbered(from, to);
        ana.append(&names.iter().map(String::as_str).collect::<Vec<_>>());
        ana.ledger().sync(NOW).unwrap();
        expected.extend(names);
        two.git(&["fetch", "-q", "origin"]);
        assert_eq!(bo.names(), expected);
        assert_eq!(ana.names(), expected);
    }
    // What only this clone has stands beside it, and goes over into it.
    bo.append(&["own"]);
    expected.insert("own".to_owned());
    assert_eq!(bo.names(), expected);
    bo.ledger().sync(NOW).unwrap();
    assert_eq!(bo.names(), expected);
    let whole = bare.clone_as("whole", &[]);
    assert_eq!(Clone::of(&whole, Some("origin")).names(), expected);
    // A cache that is cut off, or whose other half is another's, is made anew.
    let cache = two.path().join(".git/countersign/cache");
    for name in ["ledger-4", "ledger-4-added"] {
        let bytes = std::fs::read(cache.join(name)).unwrap();
        std::fs::write(cache.join(name), &bytes[..bytes.len() - 1]).unwrap();
        assert_eq!(bo.names(), expected, "{name}");
        std::fs::remove_file(cache.join(name)).unwrap();
        assert_eq!(bo.names(), expected, "{name}");
    }
}

#[test]
fn a_push_may_only_add_records() {
    let repo = TestRepo::new();
    let first = repo.commit_file("ana", "a.rs", "1\n", "first");
    let clone = Clone::of(&repo, None);
    clone.append(&["one"]);
    let one = repo.oid(REFERENCE);
    clone.append(&["two"]);
    let two = repo.oid(REFERENCE);
    let problems = |old: Option<&Oid>, new: &Oid| clone.ledger().check_push(old, new).unwrap();
    assert_eq!(problems(Some(&one), &two), [""; 0]);
    assert_eq!(problems(None, &two), [""; 0]);
    assert_eq!(problems(None, &first), ["`a.rs` is no record file"]);
    let back = problems(Some(&two), &one);
    assert_eq!(back[0], format!("`{one}` does not descend from `{two}`"));
    assert_eq!(clone.ledger().at(&one).unwrap(), [record("one").id].into());
    assert!(clone.ledger().at(&Oid::parse(&"9".repeat(40)).unwrap()).is_err());
}

#[test]
fn sha256_repositories_have_ledgers_too() {
    let Ok(repo) = TestRepo::try_init(&["--object-format=sha256"]) else { return };
    repo.commit_file("ana", "a.rs", "1\n", "first");
    let clone = Clone::of(&repo, None);
    clone.append(&["one"]);
    clone.append(&["two"]);
    assert_eq!(clone.names(), set(&["one", "two"]));
}
