//! Ways to make a disclosure cover less than it says: `narrow = "signed"`
//! takes a person's word for it, and nobody else's, on exactly one commit.

use std::path::Path;

use countersign::jobs::ambient::Surroundings;
use countersign::jobs::narrow::{Signed, sign};
use serde_json::{Value, json};

use super::scene::{Forged, edited, files_of};
use crate::blame::record_claude_code;
use crate::fixture::{TestRepo, is_below_an_agent};
#[cfg(unix)]
use crate::security_key::{SecurityKey, StandIn, with_flags};
use crate::shop::{Said, countersign, key_of, make_key, sync, world};

const POLICY: &str = r#"
[trust]
repo_id = "lines"
narrow = "signed"
[disclosure]
trailer = "require"
write = true
[groups]
senior = ["bo"]
[[rule]]
id = "mostly"
when = { share = ">0.6" }
require.approvals = [{ from = ["senior"] }]
"#;

const BEFORE: &str = "fn first() {\n    one();\n}\n";
const AGENTS: &str = "fn agents() {\n    work_hard();\n    work_more();\n}\n";
const AFTER: &str = "fn people() {\n    think();\n}\n\nfn agents() {\n    work_hard();\n    work_more();\n}\nfn first() {\n    one();\n}\n";

const TRAILER: &str = "Assisted-by: claude-code:claude-opus-4-5";
const WHOLE: (&str, i32) = ("1-8 declared", 1);
const NARROW: (&str, i32) = ("5-8 recorded", 0);

/// A clone on `work`, one plain commit ahead of the remote's `main`; half of
/// its added lines are recorded for an agent, and our hook wrote the trailer.
/// ana and bo are people, `ci` a service and `robot` an agent.
struct Scene {
    ana: TestRepo,
    hub: TestRepo,
    /// The signed record, once there is one.
    genuine: Option<Forged>,
}

impl Scene {
    fn open(message: &str) -> Option<Scene> {
        Scene::open_with(message, &|it| it)
    }

    /// The same with something changed in the policy.
    fn open_with(message: &str, change: &dyn Fn(String) -> String) -> Option<Scene> {
        if is_below_an_agent() {
            return None;
        }
        let ana = TestRepo::new();
        let text = policy(&ana, change)?;
        ana.git(&["config", "user.name", "ana"]);
        ana.git(&["config", "user.email", "ana@example.com"]);
        ana.write("countersign.toml", text).write("src/a.rs", BEFORE).commit("ana", "begin");
        let hub = ana.bare_remote();
        ana.git(&["push", "-q", "-u", "origin", "main"]);
        ana.git(&["remote", "set-head", "origin", "main"]);
        ana.git(&["checkout", "-q", "-b", "work"]);
        assert!(ana.countersign(&["install"]).status.success());
        record_claude_code(
            &ana,
            "s1",
            "src/a.rs",
            "fn first() {\n",
            &format!("{AGENTS}fn first() {{\n"),
        );
        ana.write("src/a.rs", AFTER).git(&["add", "-A"]);
        ana.git(&["commit", "-q", "-m", message]);
        Some(Scene { ana, hub, genuine: None })
    }

    /// The same, signed by a person of the policy.
    fn signed_by(person: &str) -> Option<Scene> {
        let mut scene = Scene::open("Work")?;
        let signed = scene.sign(person);
        assert_eq!((signed.commits.len(), signed.left.len()), (1, 0), "{:?}", signed.left);
        scene.genuine = Some(scene.published());
        Some(scene)
    }

    fn sign(&self, person: &str) -> Signed {
        let signed =
            sign(&world(&self.ana), Some(&key_of(&self.ana, person)), &Surroundings::default());
        signed.unwrap_or_else(|error| panic!("{}", error.chain()))
    }

    /// The assisted lines and the exit status of a rule about their share.
    #[track_caller]
    fn check(&self, expected: (&str, i32)) -> &Scene {
        check(&self.ana, expected);
        self
    }

    fn record(&self) -> Forged {
        self.genuine.clone().unwrap()
    }

    /// The signed record as it stands in the ledger.
    fn published(&self) -> Forged {
        let read = |path: &str| {
            let name = format!("countersign-ledger:{path}");
            self.ana.git_command(&["cat-file", "blob", &name]).output().unwrap().stdout
        };
        let files = self.ana.git(&["ls-tree", "-r", "--name-only", "countersign-ledger"]);
        let signature = files.lines().find(|it| it.ends_with(".sig")).unwrap();
        let bytes = read(&signature.replace(".sig", ".json"));
        Forged { bytes, signature: Some(read(signature)) }
    }

    /// The signed record with something changed and signed again.
    fn resigned(&self, key: &str, change: impl FnOnce(&mut Value)) -> Forged {
        self.resigned_as(key, "countersign-attribution-v1", change)
    }

    fn resigned_as(&self, key: &str, namespace: &str, change: impl FnOnce(&mut Value)) -> Forged {
        let bytes = changed(&self.record().bytes, change);
        let signature = ssh_sign(&self.ana, &key_of(&self.ana, key), namespace, &bytes);
        Forged { bytes, signature: Some(signature) }
    }

    /// Puts this in place of the signed record: nothing else is in the ledger
    /// but what the hook kept.
    #[track_caller]
    fn replaced_by(&self, forged: &Forged, expected: (&str, i32)) {
        let kept = self.ana.path().join(".git/countersign/records");
        for name in ["refs/heads/countersign-ledger", "refs/countersign/seen"] {
            self.ana.git(&["update-ref", "-d", name]);
        }
        for (path, _) in files_of(self.genuine.as_ref().unwrap()) {
            std::fs::remove_file(kept.join(Path::new(&path).file_name().unwrap())).ok();
        }
        for (path, bytes) in files_of(forged) {
            let name = Path::new(&path).file_name().unwrap();
            std::fs::write(kept.join(name), bytes).unwrap();
        }
        self.check(expected);
        for (path, _) in files_of(forged) {
            std::fs::remove_file(kept.join(Path::new(&path).file_name().unwrap())).unwrap();
        }
    }
}

/// The policy with people's tables behind it, something changed in it.
fn policy(repo: &TestRepo, change: &dyn Fn(String) -> String) -> Option<String> {
    let mut people = String::new();
    for (name, kind) in [("ana", "human"), ("bo", "human"), ("ci", "service"), ("robot", "agent")] {
        let public = match std::fs::read_to_string(key_of(repo, name).with_extension("pub")) {
            Ok(public) => public.trim().to_owned(),
            Err(_) => make_key(repo, name)?,
        };
        people.push_str(&format!(
            "[people.{name}]\nkind = \"{kind}\"\nemails = [\"{name}@example.com\"]\nkeys = [{{ key = \"{public}\" }}]\n"
        ));
    }
    Some(change(format!("schema = 1\n{POLICY}\n{people}")))
}

fn changed(bytes: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    use countersign::gate::record::canonical;
    edited(bytes, |statement| {
        change(&mut statement["predicate"]);
        let digest = canonical::sha256(&canonical::write(&statement["predicate"]).unwrap());
        statement["subject"][0]["digest"]["sha256"] = digest.into();
    })
}

fn ssh_sign(repo: &TestRepo, key: &Path, namespace: &str, bytes: &[u8]) -> Vec<u8> {
    let mut command = repo.command("ssh-keygen");
    command.args(["-q", "-Y", "sign", "-n", namespace, "-f"]).arg(key);
    crate::fixture::feed(command, bytes).stdout
}

#[track_caller]
fn check(repo: &TestRepo, (lines, status): (&str, i32)) {
    let output = repo.countersign(&["check", "origin/main..work", "--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", Said::new(&output).text));
    let files = report["attribution"]["files"].as_array().unwrap();
    let file = files.iter().find(|it| it["path"] == "src/a.rs").unwrap();
    let ranges: Vec<String> = file["ranges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| format!("{}-{} {}", it["start"], it["end"], it["strength"].as_str().unwrap()))
        .collect();
    assert_eq!(
        (ranges.join(", ").as_str(), output.status.code()),
        (lines, Some(status)),
        "{report:#}"
    );
    let codes: Vec<&str> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|it| it["code"].as_str())
        .collect();
    assert_eq!(codes.contains(&"disclosure-narrowed"), status == 0, "{report:#}");
}

#[test]
fn the_genuine_one_narrows_on_every_machine() {
    let Some(scene) = Scene::open("Work") else { return };
    assert!(scene.ana.git(&["log", "-1", "--format=%B"]).contains(TRAILER));
    scene.check(WHOLE);
    let signed = scene.sign("ana");
    assert_eq!(signed.person.as_deref(), Some("ana"));
    scene.check(NARROW);
    assert_eq!(scene.sign("bo").commits, [], "it stands already");
    let said = countersign(&scene.ana, &["blame", "--porcelain", "src/a.rs"]);
    assert_eq!(said.text.matches("claude-code").count(), 4, "{}", said.text);
    scene.ana.git(&["push", "-q", "origin", "work"]);
    sync(&scene.ana);
    std::fs::remove_dir_all(scene.ana.home().join(".claude")).unwrap();
    let other = scene.hub.clone_as("other", &["-b", "work"]);
    check(&other, NARROW);
    // Stock ssh-keygen agrees.
    let record = scene.published();
    let (sig, people) = (scene.ana.path().join("r.sig"), scene.ana.path().join("people"));
    std::fs::write(&sig, record.signature.as_ref().unwrap()).unwrap();
    let public = std::fs::read_to_string(key_of(&scene.ana, "ana").with_extension("pub")).unwrap();
    std::fs::write(&people, format!("ana {public}")).unwrap();
    let mut verify = scene.ana.command("ssh-keygen");
    verify.args(["-Y", "verify", "-I", "ana", "-n", "countersign-attribution-v1", "-f"]);
    verify.arg(&people).arg("-s").arg(&sig);
    assert!(crate::fixture::feed(verify, &record.bytes).status.success());
    let text = String::from_utf8(record.bytes).unwrap();
    assert!(!text.contains("work_hard") && !text.contains("example.com"), "{text}");
}

#[test]
fn a_key_that_is_configured_signs_at_once_and_after_every_rewrite() {
    let Some(scene) = Scene::open("Work") else { return };
    let ana = &scene.ana;
    let key = key_of(ana, "ana");
    ana.git(&["config", "user.signingkey", key.to_str().unwrap()]);
    ana.git(&["config", "countersign.signAttribution", "true"]);
    ana.git(&["commit", "-q", "--amend", "-m", &format!("Reworded\n\n{TRAILER}")]);
    scene.check(NARROW);
    // Moved onto another commit; git runs the hook for each commit it makes.
    ana.git(&["checkout", "-q", "-b", "base", "origin/main"]);
    ana.write("b", "1\n").commit("bo", "Elsewhere");
    ana.git(&["rebase", "-q", "base", "work"]);
    assert_eq!(scene.sign("ana").left, []);
    scene.check(NARROW);
    // Under an agent, nothing is signed.
    ana.git(&["commit", "-q", "--amend", "-m", &format!("Again\n\n{TRAILER}")]);
    scene.check(NARROW);
    let mut agents = ana.git_command(&["commit", "-q", "--amend", "--reset-author", "--no-edit"]);
    assert!(agents.env("CLAUDE_CODE_CHILD_SESSION", "1").status().unwrap().success());
    scene.check(WHOLE);
    assert_eq!(scene.sign("ana").left.len(), 1);
    said_as_json();
}

#[test]
fn nobody_but_a_person_of_the_policy_narrows() {
    let Some(scene) = Scene::signed_by("ana") else { return };
    scene.replaced_by(&scene.record(), NARROW);
    let unchanged = |key: &str| scene.resigned(key, |_| {});
    scene.replaced_by(&Forged { signature: None, ..scene.record() }, WHOLE);
    for key in ["ci", "robot"] {
        scene.replaced_by(&unchanged(key), WHOLE);
    }
    make_key(&scene.ana, "stranger");
    scene.replaced_by(&unchanged("stranger"), WHOLE);
    scene.replaced_by(&unchanged("bo"), NARROW);
    let other = scene.resigned_as("ana", "countersign-approval-v1", |_| {});
    scene.replaced_by(&other, WHOLE);
    // What a service or an agent asks for is refused before it is signed.
    let Some(scene) = Scene::open("Work") else { return };
    for person in ["ci", "robot"] {
        let key = key_of(&scene.ana, person);
        let refused = sign(&world(&scene.ana), Some(&key), &Surroundings::default());
        assert!(refused.unwrap_err().chain().contains("who is no human"));
    }
    let variables = vec![("CLAUDE_CODE_CHILD_SESSION".to_owned(), "1".to_owned())];
    let agents = Surroundings { variables, ..Surroundings::default() };
    let refused = sign(&world(&scene.ana), Some(&key_of(&scene.ana, "ana")), &agents);
    assert!(refused.unwrap_err().chain().contains("only a person can countersign"));
}

#[test]
fn a_policy_that_says_otherwise_or_without_the_person_narrows_nothing() {
    type Change<'a> = &'a dyn Fn(String) -> String;
    let never: Change = &|it| it.replace("narrow = \"signed\"", "narrow = \"never\"");
    let gone: Change = &|it| {
        let (before, rest) = it.split_once("[people.ana]").unwrap();
        format!("{before}[people.bo]{}", rest.split_once("[people.bo]").unwrap().1)
    };
    for change in [never, gone] {
        let Some(scene) = Scene::signed_by("ana") else { return };
        let text = policy(&scene.ana, change).unwrap();
        land(&scene, &text);
        scene.check(WHOLE);
    }
    let Some(scene) = Scene::signed_by("ana") else { return };
    let output = scene
        .ana
        .command("ssh-keygen")
        .args(["-lf"])
        .arg(key_of(&scene.ana, "ana"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let fingerprint = text.split(' ').nth(1).unwrap();
    let revoked = format!("[[revoked]]\nkey = \"{fingerprint}\"\nwhy = \"laptop stolen\"\n");
    land(&scene, &policy(&scene.ana, &|it| format!("{it}\n{revoked}")).unwrap());
    scene.check(WHOLE);
}

/// Brings a policy onto `main`, past all hooks.
fn land(scene: &Scene, text: &str) {
    let ana = &scene.ana;
    ana.git(&["checkout", "-q", "-b", "policy", "origin/main"]);
    ana.write("countersign.toml", text).commit("ana", "policy");
    ana.git(&["push", "-q", "--no-verify", "origin", "policy:main"]);
    ana.git(&["checkout", "-q", "work"]);
}

#[test]
fn a_record_of_something_else_or_edited_narrows_nothing() {
    let Some(scene) = Scene::signed_by("ana") else { return };
    let edit = changed(&scene.record().bytes, |it| it["metadata"]["more"] = json!(1));
    scene.replaced_by(&Forged { bytes: edit, ..scene.record() }, WHOLE);
    let ours = |it: &mut Value, name: &str, value: Value| {
        it["metadata"]["dev.countersign"][name] = value;
    };
    let check = |change: &dyn Fn(&mut Value), expected| {
        scene.replaced_by(&scene.resigned("ana", change), expected);
    };
    check(&|it| it["commit"] = scene.ana.oid("HEAD~1").as_str().into(), WHOLE);
    check(&|it| drop(it.as_object_mut().unwrap().remove("commit")), WHOLE);
    check(&|it| ours(it, "written", json!({ "author": "", "trailers": [] })), WHOLE);
    check(
        &|it| ours(it, "written", json!({ "author": "", "trailers": ["Assisted-by: codex"] })),
        WHOLE,
    );
    check(&|it| ours(it, "written", json!(TRAILER)), WHOLE);
    check(&|it| ours(it, "lines", json!([])), WHOLE);
    // Lines that are not the commit's, at these numbers.
    let line = |it: &mut Value, name: &str, value: Value| {
        it["metadata"]["dev.countersign"]["lines"][0]["runs"][0][name] = value;
    };
    check(&|it| line(it, "start", 4.into()), WHOLE);
    check(&|it| line(it, "start", 0.into()), WHOLE);
    check(&|it| line(it, "lines", json!(["0123456789abcdef"])), WHOLE);
    check(&|it| line(it, "lines", json!([])), WHOLE);
    let of_other = |it: &mut Value| {
        it["metadata"]["dev.countersign"]["lines"][0]["agent"] = "codex".into();
    };
    check(&of_other, WHOLE);
    let elsewhere = |it: &mut Value| {
        it["metadata"]["dev.countersign"]["lines"][0]["path"] = "src/none.rs".into();
    };
    check(&elsewhere, WHOLE);
    check(&|_| {}, NARROW);
}

#[test]
fn a_trailer_of_the_author_or_an_agent_stays_as_wide_as_it_is() {
    // The author wrote it: the hook has nothing to add.
    let Some(scene) = Scene::open(&format!("Work\n\n{TRAILER}")) else { return };
    let left = scene.sign("ana").left;
    assert!(left[0].1.contains("no trailer that our hook wrote"), "{left:?}");
    scene.check(WHOLE);
    // An agent's own stands beside ours.
    let own = "Work\n\nCo-authored-by: Codex <noreply@openai.com>";
    let Some(scene) = Scene::open(own) else { return };
    assert!(scene.ana.git(&["log", "-1", "--format=%B"]).contains(TRAILER));
    assert_eq!(scene.sign("ana").left.len(), 1);
    scene.check(WHOLE);
    // Edited after it was signed: another commit, and another mark.
    let Some(scene) = Scene::signed_by("ana") else { return };
    for more in [TRAILER, "Assisted-by: codex", "Co-authored-by: Claude <noreply@anthropic.com>"] {
        let message = format!("Work\n\n{TRAILER}\n{more}\n");
        scene.ana.git(&["commit", "-q", "--no-verify", "--amend", "-m", &message]);
        scene.check(WHOLE);
        if more != TRAILER {
            assert_eq!(scene.sign("ana").left.len(), 1, "{more}");
            scene.check(WHOLE);
        }
    }
}

#[test]
fn what_is_amended_has_to_be_signed_again_and_what_is_withdrawn_is_gone() {
    let Some(scene) = Scene::signed_by("ana") else { return };
    let ana = &scene.ana;
    ana.write("src/a.rs", format!("// of a person\n{AFTER}"));
    ana.git(&["commit", "-q", "-a", "--amend", "--no-edit"]);
    scene.check(("1-9 declared", 1));
    assert_eq!(scene.sign("ana").commits, [ana.oid("HEAD")]);
    scene.check(("6-9 recorded", 0));
    let files = ana.git(&["ls-tree", "-r", "--name-only", "countersign-ledger"]);
    for path in files.lines().filter(|it| it.ends_with(".sig")) {
        let id = Path::new(path).file_stem().unwrap().to_str().unwrap().to_owned();
        let options = countersign::jobs::withdraw::Options {
            record: id,
            key: Some(key_of(ana, "ana")),
            reason: None,
        };
        let withdrawn =
            countersign::jobs::withdraw::withdraw(&world(ana), &options, &Surroundings::default());
        withdrawn.unwrap_or_else(|error| panic!("{}", error.chain()));
    }
    scene.check(("1-9 declared", 1));
}

/// What was signed before it is shared is said as JSON, too.
fn said_as_json() {
    let Some(scene) = Scene::open("Work") else { return };
    let key = key_of(&scene.ana, "ana");
    let words = ["ledger", "sync", "--sign", "--format", "json", "--key", key.to_str().unwrap()];
    let output = scene.ana.countersign(&words);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let commit = scene.ana.git(&["rev-parse", "work"]);
    assert_eq!(said["signed"], json!({"person": "ana", "commits": [commit], "left": []}));
    let without = scene.ana.countersign(&["ledger", "sync", "--format", "json"]);
    let said: Value = serde_json::from_slice(&without.stdout).unwrap();
    assert_eq!(said.get("signed"), None);
}

/// The scene where ana's one key is a security key; `promise` is what the
/// policy says of it.
#[cfg(unix)]
fn with_security_key(promise: &str) -> Option<Scene> {
    let line = SecurityKey::ed25519().public_line();
    let row = format!("keys = [{{ key = \"{}\"{promise} }}]", line.trim());
    Scene::open_with("Work", &|text| {
        let start = text.find("[people.ana]").unwrap();
        let start = start + text[start..].find("keys = ").unwrap();
        let end = start + text[start..].find('\n').unwrap();
        format!("{}{row}{}", &text[..start], &text[end..])
    })
}

/// Signs with the stand-in, and tells what was said.
#[cfg(unix)]
fn sync_signed(scene: &Scene, stand_in: &StandIn) -> Said {
    let words = ["ledger", "sync", "--sign", "--key", &stand_in.key()];
    let mut command = scene.ana.countersign_command(&words);
    Said::new(&command.env("PATH", stand_in.path()).output().unwrap())
}

#[test]
#[cfg(unix)]
fn a_security_key_narrows_with_the_presence_that_the_policy_says_it_shows() {
    const TOUCH: &str = ", presence = \"touch\"";
    const PIN: &str = ", presence = \"pin\"";
    for (promise, flags, refused) in [
        ("", 0x00, None),
        (PIN, 0x05, None),
        (TOUCH, 0x00, Some("it is signed without a touch of a security key")),
        (PIN, 0x01, Some("it is signed without a security key's PIN or fingerprint")),
    ] {
        let Some(scene) = with_security_key(promise) else { return };
        let said = sync_signed(&scene, &StandIn::new(flags));
        assert_eq!(said.passes(), refused.is_none(), "{}", said.text);
        assert!(said.text.contains(refused.unwrap_or_default()), "{}", said.text);
        scene.check(if refused.is_some() { WHOLE } else { NARROW });
    }
    let Some(mut scene) = with_security_key(TOUCH) else { return };
    let stand_in = StandIn::new(0x01);
    let said = sync_signed(&scene, &stand_in);
    assert!(said.passes(), "{}", said.text);
    scene.check(NARROW);
    scene.genuine = Some(scene.published());
    scene.ana.git(&["update-ref", "-d", "refs/remotes/origin/countersign-ledger"]);
    // Past our own program: not touched, and flags that the key did not sign.
    let record = scene.record();
    let key = SecurityKey::ed25519();
    let of = |flags| key.sign(flags, 9, "countersign-attribution-v1", &record.bytes);
    let forged = |text: String| Forged { signature: Some(text.into_bytes()), ..record.clone() };
    scene.replaced_by(&forged(of(0x01)), NARROW);
    scene.replaced_by(&forged(of(0x00)), WHOLE);
    scene.replaced_by(&forged(with_flags(&of(0x00), 0x01)), WHOLE);
    // Stock ssh-keygen agrees that it is ana's.
    let (sig, people) = (scene.ana.path().join("r.sig"), scene.ana.path().join("people"));
    std::fs::write(&sig, record.signature.as_ref().unwrap()).unwrap();
    std::fs::write(&people, format!("ana {}", key.public_line())).unwrap();
    let mut verify = scene.ana.command("ssh-keygen");
    verify.args(["-Y", "verify", "-I", "ana", "-n", "countersign-attribution-v1", "-f"]);
    verify.arg(&people).arg("-s").arg(&sig);
    assert!(crate::fixture::feed(verify, &record.bytes).status.success());
}

#[test]
#[cfg(unix)]
fn a_hook_waits_for_no_touch_that_nobody_is_told_of() {
    let Some(scene) = with_security_key(", presence = \"touch\"") else { return };
    let (ana, stand_in) = (&scene.ana, StandIn::new(0x01));
    ana.git(&["config", "user.signingkey", &stand_in.key()]);
    ana.git(&["config", "countersign.signAttribution", "true"]);
    let git = |words: &[&str]| {
        let mut command = ana.git_command(words);
        command.env("PATH", stand_in.path());
        command
    };
    let message = format!("Reworded\n\n{TRAILER}");
    let amend = ["commit", "-q", "--amend", "-m", &message];
    let said = Said::new(&git(&amend).output().unwrap());
    assert!(said.passes(), "{}", said.text);
    let note = "which lines an agent wrote was not signed (a security key would have to be touched, and nobody is there to be told); again: `countersign ledger sync --sign`";
    assert!(said.text.contains(note), "{}", said.text);
    scene.check(WHOLE);
    let pushed = Said::new(&git(&["push", "-q", "origin", "work"]).output().unwrap());
    assert!(pushed.passes(), "{}", pushed.text);
    assert_eq!(stand_in.calls(), "");

    // Where somebody reads it they are told, and the key is touched.
    let (status, text) = crate::terminal::Terminal::start(git(&amend), 100, 30).end();
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("touch your security key"), "{text}");
    scene.check(NARROW);
    assert!(stand_in.calls().contains("<-P><>"), "{}", stand_in.calls());
    assert_eq!(stand_in.calls().matches("<sign>").count(), 1);
    // git makes commits in a row: no touch for each.
    ana.git(&["checkout", "-q", "-b", "base", "origin/main"]);
    ana.write("b", "1\n").commit("bo", "Elsewhere");
    let rebase = git(&["rebase", "-q", "base", "work"]);
    let (status, text) = crate::terminal::Terminal::start(rebase, 100, 30).end();
    assert_eq!(status, Some(0), "{text}");
    assert_eq!(stand_in.calls().matches("<sign>").count(), 1);
    scene.check(WHOLE);
}
