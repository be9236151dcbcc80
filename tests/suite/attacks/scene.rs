//! A shared repository with the server's hooks, and a clone that belongs to
//! somebody who wants a change in without its review. Whatever is forged is
//! forged with stock git and ssh-keygen, and pushed.

use std::path::PathBuf;

use countersign::gate::record::Record;
use countersign::gate::record::canonical::sha256;
use countersign::jobs::approve::Decision;
use serde_json::Value;

use crate::fixture::{TestRepo, feed};
use crate::shop::{Said, countersign, decide, key_of, make_key};

pub(crate) const LEDGER: &str = "refs/heads/countersign-ledger";
pub(crate) const APPROVE: Decision = Decision::Approve { rules: Vec::new(), note: None };

/// ana and bo are seniors, whose approval `/core` needs; chi is not.
pub(crate) const RULES: &str = r#"
[trust]
repo_id = "shop"
protect = ["refs/heads/main", "refs/heads/release/*"]
[groups]
senior = ["ana", "bo"]
[[rule]]
id = "core"
paths = ["/core/**"]
require.approvals = [{ from = ["senior"] }]
"#;

pub(crate) struct Hub {
    /// Chi's clone, without hooks; on `topic`, which begins at `main`.
    pub(crate) chi: TestRepo,
    pub(crate) bare: TestRepo,
}

/// A record as files: its bytes, and the armoured signature beside it.
#[derive(Clone)]
pub(crate) struct Forged {
    pub(crate) bytes: Vec<u8>,
    pub(crate) signature: Option<Vec<u8>>,
}

impl Hub {
    /// With one policy after the people's tables. `None` where ssh-keygen is absent.
    pub(crate) fn open(rules: &str) -> Option<Hub> {
        Hub::with(rules, |people| people)
    }

    /// The same with something changed in the people's tables.
    pub(crate) fn with(rules: &str, change: impl FnOnce(String) -> String) -> Option<Hub> {
        let chi = TestRepo::new();
        let mut people = String::new();
        for name in ["ana", "bo", "chi"] {
            let public = make_key(&chi, name)?;
            people.push_str(&format!(
                "[people.{name}]\nkind = \"human\"\nemails = [\"{name}@example.com\"]\nkeys = [{{ key = \"{public}\" }}]\n"
            ));
        }
        let people = change(people);
        chi.git(&["config", "user.name", "chi"]);
        chi.git(&["config", "user.email", "chi@example.com"]);
        chi.write("countersign.toml", format!("schema = 1\n{rules}\n{people}"));
        chi.commit_file("ana", "core/a.rs", "fn a() {}\n", "start");
        let bare = chi.bare_remote();
        chi.git(&["push", "-q", "-u", "origin", "main"]);
        chi.git(&["remote", "set-head", "origin", "main"]);
        let said = countersign(&bare, &["install", "--server"]);
        assert!(said.passes(), "{}", said.text);
        chi.git(&["checkout", "-q", "-b", "topic"]);
        Some(Hub { chi, bare })
    }

    /// Chi's change of a guarded file.
    pub(crate) fn work(&self) -> &Hub {
        self.chi.commit_file("chi", "core/a.rs", "fn a() { changed() }\n", "work");
        self
    }

    pub(crate) fn key(&self, person: &str) -> PathBuf {
        key_of(&self.chi, person)
    }

    /// A genuine record of a range by `person`, taken away from the clone's
    /// own ledger: nothing of it is published.
    pub(crate) fn genuine(&self, person: &str, range: &str) -> Forged {
        let id = decide(&self.chi, person, Some(range), &APPROVE);
        let files = self.chi.git(&["ls-tree", "-r", "--name-only", LEDGER]);
        let read = |end: &str| {
            let path = files.lines().find(|path| path.ends_with(&format!("{id}{end}"))).unwrap();
            let output = self.chi.git_command(&["cat-file", "blob", &format!("{LEDGER}:{path}")]);
            { output }.output().unwrap().stdout
        };
        let forged = Forged { bytes: read(".json"), signature: Some(read(".sig")) };
        self.forget();
        forged
    }

    /// Forgets what this clone wrote and saw of the ledger.
    pub(crate) fn forget(&self) {
        for name in [LEDGER, "refs/countersign/seen"] {
            self.chi.git(&["update-ref", "-d", name]);
        }
        std::fs::remove_dir_all(self.chi.path().join(".git/countersign")).ok();
    }

    /// A signature by ssh-keygen over any bytes, in any namespace.
    pub(crate) fn sign(&self, bytes: &[u8], person: &str, namespace: &str) -> Option<Vec<u8>> {
        let mut command = self.chi.command("ssh-keygen");
        command.args(["-Y", "sign", "-n", namespace, "-f"]).arg(self.key(person));
        let output = feed(command, bytes);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(output.stdout)
    }

    /// Another text of a record, signed anew.
    pub(crate) fn resigned(
        &self,
        record: &Forged,
        person: &str,
        change: impl FnOnce(&mut Value),
    ) -> Forged {
        let bytes = edited(&record.bytes, change);
        let signature = self.sign(&bytes, person, "countersign-approval-v1");
        Forged { bytes, signature }
    }

    /// A record like this one over what stands at HEAD now, signed by somebody
    /// whose key our own commands would not take.
    pub(crate) fn over_head(&self, record: &Forged, person: &str) -> Forged {
        let base = self.chi.git(&["merge-base", "origin/main", "HEAD"]);
        let listing = self.chi.git(&["diff-tree", "-r", "--no-renames", &base, "HEAD"]);
        let side = |mode: &str, oid: &str| match mode {
            ":000000" | "000000" => Value::Null,
            mode => {
                let mode = u64::from_str_radix(mode.trim_start_matches(':'), 8).unwrap();
                serde_json::json!({ "mode": mode, "oid": oid })
            }
        };
        let template: Value = serde_json::from_slice(&record.bytes).unwrap();
        let shape = &template["predicate"]["content"]["files"][0]["new"];
        let files: Vec<Value> = listing
            .lines()
            .map(|line| {
                let (header, path) = line.split_once('\t').unwrap();
                let words: Vec<&str> = header.split(' ').collect();
                let mut new = side(words[1], words[3]);
                if new.is_object() && !shape["sha256"].is_null() {
                    let blob = self.chi.git_command(&["cat-file", "blob", words[3]]);
                    new["sha256"] = sha256(&{ blob }.output().unwrap().stdout).into();
                }
                // Modes are written as the record writes them.
                for key in ["mode"] {
                    if shape[key].is_string() && new.is_object() {
                        new[key] = words[1].into();
                    }
                }
                let mut old = side(words[0], words[2]);
                if shape["mode"].is_string() && old.is_object() {
                    old["mode"] = words[0].trim_start_matches(':').into();
                }
                serde_json::json!({ "path": path, "old": old, "new": new })
            })
            .collect();
        let [head, tree] = ["HEAD", "HEAD^{tree}"].map(|it| self.chi.oid(it).to_string());
        self.resigned(record, person, |statement| {
            let content = &mut statement["predicate"]["content"];
            content["base"] = base.into();
            content["head"] = head.clone().into();
            content["head_tree"] = tree.clone().into();
            content["files"] = files.into();
            statement["subject"][0]["digest"]["gitCommit"] = head.into();
            statement["subject"][1]["digest"]["gitTree"] = tree.into();
        })
    }

    /// A commit of the ledger that adds these files to what stands at `parent`.
    pub(crate) fn ledger_commit(
        &self,
        parent: Option<&str>,
        files: &[(String, Vec<u8>)],
    ) -> String {
        let index = self.chi.path().join(".git/forged-index");
        std::fs::remove_file(&index).ok();
        let git = |arguments: &[&str], input: &[u8]| {
            let mut command = self.chi.git_command(arguments);
            command.env("GIT_INDEX_FILE", &index);
            let output = feed(command, input);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        if let Some(parent) = parent {
            git(&["read-tree", parent], b"");
        }
        for (path, bytes) in files {
            let blob = git(&["hash-object", "-w", "--stdin"], bytes);
            git(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},{path}")], b"");
        }
        let tree = git(&["write-tree"], b"");
        let parents = parent.map(|it| ["-p", it]).into_iter().flatten();
        let words: Vec<&str> =
            ["commit-tree", &tree, "-m", "ledger"].into_iter().chain(parents).collect();
        git(&words, b"")
    }

    /// The ledger's tip on the server.
    pub(crate) fn ledger_tip(&self) -> Option<String> {
        let tip = self.bare.git(&["for-each-ref", "--format=%(objectname)", LEDGER]);
        (!tip.is_empty()).then_some(tip)
    }

    /// Pushes a record to the shared ledger with stock git.
    pub(crate) fn push_record(&self, record: &Forged) -> Said {
        self.fetch_ledger();
        let commit = self.ledger_commit(self.ledger_tip().as_deref(), &files_of(record));
        Said::new(
            &self
                .chi
                .git_command(&["push", "-q", "origin", &format!("{commit}:{LEDGER}")])
                .output()
                .unwrap(),
        )
    }

    /// The same, which the server takes.
    #[track_caller]
    pub(crate) fn plant(&self, record: &Forged) -> &Hub {
        let said = self.push_record(record);
        assert!(said.passes(), "{}", said.text);
        self
    }

    /// Puts files into the shared ledger behind the server's back, as somebody
    /// does who can write its disk.
    pub(crate) fn smuggle(&self, files: &[(String, Vec<u8>)]) -> &Hub {
        self.fetch_ledger();
        let commit = self.ledger_commit(self.ledger_tip().as_deref(), files);
        let path = self.bare.path().to_str().unwrap().to_owned();
        let push = format!("{commit}:refs/heads/smuggled");
        self.chi.git(&["push", "-q", &path, &push]);
        self.bare.git(&["update-ref", LEDGER, &commit]);
        self.bare.git(&["update-ref", "-d", "refs/heads/smuggled"]);
        self
    }

    fn fetch_ledger(&self) {
        if self.ledger_tip().is_some() {
            let refspec = format!("+{LEDGER}:refs/remotes/origin/countersign-ledger");
            self.chi.git(&["fetch", "-q", "origin", &refspec]);
        }
    }

    /// The change does not land, and both the server and a check in the clone
    /// give this reason.
    #[track_caller]
    pub(crate) fn refuses(&self, reason: &str) -> &Hub {
        let before = self.bare.git(&["for-each-ref", "refs/heads/main"]);
        let pushed = self.lands();
        assert!(!pushed.passes(), "it landed: {}", pushed.text);
        // The terminal's width is no reason: lines are joined again.
        let joined = |text: &str| {
            let words = text.replace("remote:", " ");
            words.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert!(joined(&pushed.text).contains(reason), "{}", pushed.text);
        assert_eq!(self.bare.git(&["for-each-ref", "refs/heads/main"]), before);
        self.fetch_ledger();
        let checked = countersign(&self.chi, &["check", "origin/main..HEAD"]);
        assert_ne!(checked.code, Some(0), "{}", checked.text);
        assert!(joined(&checked.text).contains(reason), "{}", checked.text);
        self
    }

    /// Pushes HEAD to `main`, past whatever hooks this clone has.
    pub(crate) fn lands(&self) -> Said {
        let words = ["push", "-q", "--no-verify", "origin", "HEAD:refs/heads/main"];
        Said::new(&self.chi.git_command(&words).output().unwrap())
    }
}

/// A record's bytes with something changed, in canonical form.
pub(crate) fn edited(bytes: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut statement: Value = serde_json::from_slice(bytes).unwrap();
    change(&mut statement);
    let files = statement["predicate"]["content"]["files"].clone();
    if !files.is_null() {
        let digest = sha256(&countersign::gate::record::canonical::write(&files).unwrap());
        statement["subject"][2]["digest"]["sha256"] = digest.into();
    }
    countersign::gate::record::canonical::write(&statement).unwrap()
}

/// Where a record's files stand: under the name that follows from its bytes,
/// and on the day that it claims if it can be read.
pub(crate) fn files_of(record: &Forged) -> Vec<(String, Vec<u8>)> {
    let path = match Record::parse(&record.bytes) {
        Ok(parsed) => parsed.ledger_path(),
        Err(_) => format!("records/2026/11/23/{}.json", sha256(&record.bytes)),
    };
    let signature = record.signature.clone();
    let signature = signature.map(|bytes| (path.replace(".json", ".sig"), bytes));
    std::iter::once((path, record.bytes.clone())).chain(signature).collect()
}
