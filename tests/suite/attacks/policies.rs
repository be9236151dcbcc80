//! Attacks on the policy, pushed together with what it would have stopped.

use super::scene::{Hub, RULES};

/// A change of the policy beside a change of the guarded file does not land.
#[track_caller]
fn check(change: impl FnOnce(&Hub)) {
    let Some(hub) = Hub::open(RULES) else { return };
    hub.work();
    change(&hub);
    hub.chi.commit("chi", "and the policy");
    hub.refuses("[policy-change]").refuses("[approval-missing]");
    // Nor does the policy alone, so that the change could follow.
    hub.chi.git(&["checkout", "-q", "HEAD~2", "--", "core"]);
    hub.chi.commit("chi", "the policy first");
    hub.refuses("[policy-change]");
}

#[test]
fn weakened_in_the_same_push() {
    let edit = |from: &'static str, to: &'static str| {
        move |hub: &Hub| {
            let path = hub.chi.path().join("countersign.toml");
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains(from));
            std::fs::write(path, text.replace(from, to)).unwrap();
        }
    };
    check(edit("schema = 1", "schema = 1\nmode = \"observe\""));
    check(edit("[\"ana\", \"bo\"]", "[\"ana\", \"bo\", \"chi\"]"));
    check(edit("/core/**", "/none/**"));
    check(edit("refs/heads/main", "refs/heads/other"));
    check(edit("chi@example.com", "nobody@example.com"));
}

#[test]
fn moved_renamed_or_removed() {
    check(|hub| {
        hub.chi.git(&["mv", "countersign.toml", "docs.toml"]);
    });
    check(|hub| {
        hub.chi.git(&["rm", "-q", "countersign.toml"]);
    });
}

#[test]
fn replaced_by_a_symlink_a_folder_or_another_case() {
    check(|hub| {
        let path = hub.chi.path().join("countersign.toml");
        std::fs::rename(&path, hub.chi.path().join("other.toml")).unwrap();
        std::os::unix::fs::symlink("other.toml", &path).unwrap();
    });
    check(|hub| {
        std::fs::remove_file(hub.chi.path().join("countersign.toml")).unwrap();
        hub.chi.write("countersign.toml/countersign.toml", "schema = 1\n");
    });
    // On a file system that ignores case this would be the policy.
    check(|hub| {
        hub.chi.write("Countersign.toml", "schema = 1\nmode = \"observe\"\n");
    });
}

#[test]
fn a_nested_policy_that_loosens() {
    let rules = format!("{RULES}[nested]\nfiles = [\"core/countersign.toml\"]\n");
    let Some(hub) = Hub::open(&rules) else { return };
    hub.work();
    hub.chi.write("core/countersign.toml", "schema = 1\n[groups]\nsenior = [\"chi\"]\n");
    hub.chi.commit("chi", "a policy of our own");
    hub.refuses("[policy-change]").refuses("[approval-missing]");
}

/// The nested policy asks for bo's approval of everything below `core`; whatever
/// is done to its file, or to its folder, is asked for by the old one.
#[test]
fn a_nested_policy_moved_removed_or_replaced() {
    let nested = "schema = 1\n[[rule]]\nid = \"deep\"\nrequire.approvals = [{ from = [\"bo\"] }]\n";
    let cases: [fn(&Hub); 6] = [
        |hub| drop(hub.chi.git(&["mv", "core/countersign.toml", "core/other.toml"])),
        |hub| drop(hub.chi.git(&["mv", "core", "moved"])),
        |hub| drop(hub.chi.git(&["rm", "-q", "core/countersign.toml"])),
        |hub| {
            let path = hub.chi.path().join("core/countersign.toml");
            std::fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink("a.rs", &path).unwrap();
        },
        |hub| {
            std::fs::remove_file(hub.chi.path().join("core/countersign.toml")).unwrap();
            hub.chi.write("core/countersign.toml/x", "x\n");
        },
        |hub| {
            hub.chi.write("core/Countersign.toml", "schema = 1\n");
        },
    ];
    for (number, attack) in cases.into_iter().enumerate() {
        let rules = "[trust]\nrepo_id = \"shop\"\n[nested]\nfiles = [\"*/countersign.toml\"]\n";
        let Some(hub) = Hub::open(rules) else { return };
        hub.chi.git(&["checkout", "-q", "main"]);
        hub.chi.write("core/countersign.toml", nested);
        let main = hub.chi.commit("ana", "a nested policy");
        let path = hub.bare.path().to_str().unwrap().to_owned();
        hub.chi.git(&["push", "-q", &path, "main:refs/heads/new"]);
        hub.bare.git(&["update-ref", "refs/heads/main", main.as_str()]);
        hub.chi.git(&["fetch", "-q", "origin"]);
        hub.chi.git(&["checkout", "-q", "-B", "topic", "main"]);
        attack(&hub);
        hub.chi.git(&["add", "-A"]);
        hub.chi.commit("chi", &format!("attack {number}"));
        hub.refuses("[policy-change]");
        // What it asked for is still asked for.
        if number != 1 {
            hub.chi.git(&["reset", "-q", "--hard", "main"]);
            attack(&hub);
            hub.chi.write("core/a.rs", "fn a() { changed() }\n").git(&["add", "-A"]);
            hub.chi.commit("chi", "and the change");
            hub.refuses("core:deep");
        }
    }
}

#[test]
fn the_workflow_that_runs_the_gate_is_changed() {
    for path in [".github/workflows/ci.yml", ".gitlab-ci.yml", "lefthook.yml"] {
        let Some(hub) = Hub::open(RULES) else { return };
        hub.chi.commit_file("chi", path, "on: []\n", "no more checks");
        hub.refuses("[policy-change]");
    }
}
