//! Attacks by what git itself can be told: attributes, filters, replaced
//! objects, odd names, hooks that do not run.

use super::scene::{Hub, RULES};
use crate::shop::{Said, countersign};

const RANGE: &str = "origin/main..HEAD";

#[test]
fn attributes_and_filters_change_no_content() {
    for attributes in [
        "* -diff\n",
        "* binary\n",
        "*.rs merge=union\n",
        "*.rs filter=hide diff=hide\n",
        "*.rs export-ignore ident\n",
        "core/** linguist-generated\n",
    ] {
        let Some(hub) = Hub::open(RULES) else { return };
        for (key, value) in [
            ("filter.hide.clean", "cat /dev/null"),
            ("filter.hide.smudge", "cat /dev/null"),
            ("diff.hide.command", "true"),
            ("diff.hide.textconv", "true"),
            ("merge.union.driver", "true"),
        ] {
            hub.bare.git(&["config", key, value]);
        }
        hub.chi.write(".gitattributes", attributes).commit("chi", "attributes");
        hub.work();
        hub.bare.write("info/attributes", attributes);
        hub.refuses("needs 1 approval from senior, has none");
        for (key, value) in [("filter.hide.clean", "true"), ("diff.hide.command", "true")] {
            hub.chi.git(&["config", key, value]);
        }
        let said = countersign(&hub.chi, &["check", RANGE]);
        assert!(said.code == Some(1) && said.text.contains("[approval-missing]"), "{}", said.text);
    }
}

#[test]
fn replaced_objects_and_grafts_are_not_believed() {
    let Some(hub) = Hub::open(RULES) else { return };
    let before = hub.chi.oid("HEAD");
    hub.work();
    let head = hub.chi.oid("HEAD");
    let (old, new) = (hub.chi.oid("main:core/a.rs"), hub.chi.oid("HEAD:core/a.rs"));
    // On the server the change is said to be what stood before: its commit, its blob.
    for (what, instead) in [(&head, &before), (&new, &old)] {
        let push = format!("{instead}:refs/replace/{what}");
        hub.chi.git(&["push", "-q", "--no-verify", "origin", &push]);
    }
    hub.bare.write("info/grafts", format!("{head}\n"));
    hub.refuses("[approval-missing]");
    // And in the clone.
    for (what, instead) in [(&head, &before), (&new, &old)] {
        hub.chi.git(&["update-ref", &format!("refs/replace/{what}"), instead.as_str()]);
        let said = countersign(&hub.chi, &["check", RANGE]);
        assert!(said.code == Some(1) && said.text.contains("[approval-missing]"), "{}", said.text);
    }
}

#[test]
fn a_ref_named_like_an_option() {
    let Some(hub) = Hub::open(RULES) else { return };
    hub.work();
    let head = hub.chi.oid("HEAD");
    for name in ["--output=owned", "-x", "--upload-pack=touch owned"] {
        let full = format!("refs/heads/{name}");
        // git refuses the worst of them itself.
        let made = hub.chi.git_command(&["update-ref", &full, head.as_str()]).output().unwrap();
        if !made.status.success() {
            continue;
        }
        let push = format!("{full}:{full}");
        let said =
            Said::new(&hub.chi.git_command(&["push", "-q", "origin", &push]).output().unwrap());
        assert!(said.passes(), "a branch is pushable: {}", said.text);
        for words in [
            vec!["check".to_owned(), format!("origin/main..{full}")],
            vec!["check".to_owned(), format!("--target={full}"), RANGE.to_owned()],
            vec!["check".to_owned(), "--".to_owned(), name.to_owned()],
        ] {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let said = countersign(&hub.chi, &words);
            assert_ne!(said.code, Some(101), "{words:?}: {}", said.text);
            assert_ne!(said.code, Some(0), "{words:?}: {}", said.text);
        }
    }
    hub.refuses("[approval-missing]");
    for folder in [hub.chi.path(), hub.bare.path()] {
        assert!(!folder.join("owned").exists());
    }
}

#[test]
fn hooks_that_are_disabled_hold_nobody_back_on_the_server() {
    let Some(hub) = Hub::open(RULES) else { return };
    let said = countersign(&hub.chi, &["install"]);
    assert!(said.passes(), "{}", said.text);
    hub.work();
    let target = "HEAD:refs/heads/main";
    for words in [
        vec!["push", "-q", "--no-verify", "origin", target],
        vec!["-c", "core.hooksPath=/dev/null", "push", "-q", "origin", target],
        vec!["push", "-q", "--no-verify", "--force", "origin", target],
        vec!["send-pack", "../origin.git", target],
    ] {
        let said = Said::new(&hub.chi.git_command(&words).output().unwrap());
        assert!(!said.passes(), "{words:?}: {}", said.text);
        assert!(said.text.contains("[approval-missing]"), "{words:?}: {}", said.text);
    }
}

#[test]
fn a_second_remote_is_no_way_round() {
    let Some(hub) = Hub::open(RULES) else { return };
    let said = countersign(&hub.chi, &["install"]);
    assert!(said.passes(), "{}", said.text);
    hub.work();
    // Under another name, and by its bare path: the same place, the same stage.
    let path = hub.bare.path().to_str().unwrap().to_owned();
    hub.chi.git(&["remote", "add", "mirror", &format!("file://{path}")]);
    for remote in ["mirror", path.as_str(), "../origin.git"] {
        let words = ["push", "-q", remote, "HEAD:refs/heads/main"];
        let said = Said::new(&hub.chi.git_command(&words).output().unwrap());
        assert!(!said.passes(), "{remote}: {}", said.text);
        assert!(said.text.contains("[approval-missing]"), "{remote}: {}", said.text);
    }
    // So it is by the clone's own hook, where the server has none.
    let (hooks, aside) = (hub.bare.path().join("hooks"), hub.bare.path().join("aside"));
    std::fs::rename(&hooks, &aside).unwrap();
    for remote in ["mirror", path.as_str(), "../origin.git"] {
        let words = ["push", "-q", remote, ":refs/heads/main"];
        let said = Said::new(&hub.chi.git_command(&words).output().unwrap());
        assert!(said.text.contains("[ref-rewrite]"), "{remote}: {}", said.text);
    }
    std::fs::rename(&aside, &hooks).unwrap();
    // A remote with a policy of its own is not believed because it is pushed to.
    hub.chi.git(&["init", "-q", "--bare", "-b", "main", "../lax.git"]);
    hub.chi.git(&["remote", "add", "lax", "../lax.git"]);
    hub.chi.git(&["push", "-q", "--no-verify", "lax", "main"]);
    hub.chi.git(&["fetch", "-q", "lax"]);
    let said = countersign(&hub.chi, &["check", RANGE]);
    assert_eq!(said.code, Some(1), "{}", said.text);
    hub.refuses("[approval-missing]");
}
