//! Plans as the engine itself writes them: bound to the tree by the sources
//! that they hold, and applied only if that very file was previewed and
//! approved. A stand-in plays `terraform`, which no test may fetch.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::shop::{Said, Shop, approve, commit_unwatched, countersign, judged};

const POLICY: &str = r#"
[trust]
repo_id = "shop"

[groups]
infra = ["ana", "bo"]

[[rule]]
id = "infra"
paths = ["/infra/**"]
require.approvals = [{ count = 1, from = ["infra"] }]
require.preview = ["plan"]

[preview.plan]
engine = "terraform"
root = "infra/prod"
generated = ["/infra/prod/backend.tf"]
limits = { deletes = 0 }
"#;

const ROOT: &str = "module \"edge\" {\n  source = \"../edge\"\n}\n";
const EDGE: &str = "# 8080 is not used any more\n";

/// What the stand-in prints of every plan: one deletion.
fn deletion() -> Value {
    json!({ "format_version": "1.2", "terraform_version": "1.9.0", "resource_changes": [{
        "address": "module.edge.aws_security_group_rule.in", "mode": "managed",
        "type": "aws_security_group_rule",
        "change": { "actions": ["delete"], "before": { "region": "eu-west-1" }, "after": null },
    }] })
}

/// A plan file of these sources, by module and name.
fn plan_file(sources: &[(&str, &str)]) -> Vec<u8> {
    let modules = r#"[{"Key":"","Dir":"."},{"Key":"edge","Source":"../edge","Dir":"../edge"}]"#;
    let mut parts = vec![
        ("tfplan".to_owned(), "\u{1}".to_owned()),
        (
            "tfstate".to_owned(),
            r#"{"version":4,"serial":7,"lineage":"3f","resources":[]}"#.to_owned(),
        ),
        ("tfconfig/modules.json".to_owned(), modules.to_owned()),
    ];
    parts.extend(
        sources.iter().map(|(path, text)| (format!("tfconfig/m-{path}"), (*text).to_owned())),
    );
    let mut bytes = Vec::new();
    let mut archive = rawzip::ZipArchiveWriter::new(&mut bytes);
    for (name, text) in parts {
        let method = rawzip::CompressionMethod::Deflate;
        let (mut entry, config) =
            archive.new_file(&name).compression_method(method).start().unwrap();
        let deflate =
            flate2::write::DeflateEncoder::new(&mut entry, flate2::Compression::default());
        let mut writer = config.wrap(deflate);
        writer.write_all(text.as_bytes()).unwrap();
        let (deflate, descriptor) = writer.finish().unwrap();
        deflate.finish().unwrap();
        entry.finish(descriptor).unwrap();
    }
    archive.finish().unwrap();
    bytes
}

/// Ana's clone with a change of the module and a stand-in for `terraform`;
/// plans stand in her home folder.
fn shop() -> Option<Shop> {
    shop_of(POLICY)
}

fn shop_of(policy: &str) -> Option<Shop> {
    let mut shop = Shop::installed(policy)?;
    let folder = shop.ana.home().join("bin");
    std::fs::create_dir_all(&folder).unwrap();
    let stand_in = folder.join("terraform");
    let script = "#!/bin/sh\n\
        case \"$1 $2\" in\n\
        'show -json') [ -f \"$3\" ] && cat \"$HOME/shown.json\" ;;\n\
        *) echo \"applied: $*\"; exit 7 ;;\n\
        esac\n";
    std::fs::write(&stand_in, script).unwrap();
    std::fs::set_permissions(&stand_in, PermissionsExt::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    shop.ana.set_variable("PATH", &format!("{}:{path}", folder.display()));
    std::fs::write(shop.ana.home().join("shown.json"), deletion().to_string()).unwrap();
    shop.ana.write("infra/prod/main.tf", ROOT).write("infra/edge/main.tf", EDGE);
    let mut command =
        shop.ana.git_command(&["-c", "core.hooksPath=/dev/null", "commit", "-qm", "drop"]);
    shop.ana.git(&["add", "-A"]);
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "chi");
        command.env(format!("GIT_{role}_EMAIL"), "chi@example.com");
    }
    assert!(command.status().unwrap().success());
    Some(shop)
}

fn keep(shop: &Shop, name: &str, plan: &[u8]) -> String {
    let path = shop.ana.home().join(name);
    std::fs::write(&path, plan).unwrap();
    path.to_str().unwrap().to_owned()
}

fn take(shop: &Shop, plan: &str) -> Said {
    countersign(&shop.ana, &["preview", "--only", "plan", "--plan", plan])
}

const SAME: &[(&str, &str)] = &[("/main.tf", ROOT), ("edge/main.tf", EDGE)];

#[test]
fn a_plan_file_is_bound_to_the_tree_by_its_sources() {
    let Some(shop) = shop() else { return };
    let said = take(&shop, &keep(&shop, "tfplan", &plan_file(SAME)));
    assert_eq!(said.code, Some(1), "{}", said.text);
    assert!(said.text.contains("sources 2 modules, the commit's own files"), "{}", said.text);
    let with = |more: &[(&'static str, &'static str)]| plan_file(&[SAME, more].concat());
    let generated = with(&[("/backend.tf", "terraform {}\n")]);
    assert_eq!(take(&shop, &keep(&shop, "generated", &generated)).code, Some(1));

    let refused = |plan: &[u8], why: &str| {
        let said = take(&shop, &keep(&shop, "other", plan));
        assert_eq!(said.code, Some(2), "{}", said.text);
        assert!(said.text.contains(why), "{}", said.text);
    };
    let head = "not made: plan: the plan was not made from this commit's files: ";
    let turned = plan_file(&[("/main.tf", ROOT), ("edge/main.tf", "# kept\n")]);
    refused(&turned, &format!("{head}`infra/edge/main.tf` differs\n"));
    refused(
        &with(&[("/more.tf", "")]),
        &format!("{head}`infra/prod/more.tf` is not in the commit\n"),
    );
    refused(
        &plan_file(&SAME[..1]),
        &format!("{head}`infra/edge/main.tf` is in the commit and not in the plan\n"),
    );
    refused(b"PK", "the plan file is no readable zip");
    // Nothing was recorded of those: the accepted ones are all there is.
    let log = countersign(&shop.ana, &["check", "--format", "json"]);
    assert!(log.text.contains("preview-over-limit"), "{}", log.text);
}

/// What the policy's own command wrote is read as strictly, in the checkout as
/// elsewhere: a zip that is no plan, or holds other sources, is not let through.
#[test]
fn a_plan_of_ones_own_run_is_compared_as_well() {
    let run = "root = \"infra/prod\"\nrun = [\"cp\", \"PLAN\", \"{out}\"]";
    let made = |name: &str, plan: &[u8]| -> Option<Said> {
        let place = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        std::fs::write(&place, plan).unwrap();
        let run = run.replace("PLAN", place.to_str().unwrap());
        let shop = shop_of(&POLICY.replace("root = \"infra/prod\"", &run))?;
        let said = countersign(&shop.ana, &["preview", "--only", "plan"]);
        std::fs::remove_file(&place).unwrap();
        Some(said)
    };
    let Some(said) = made("same", &plan_file(SAME)) else { return };
    assert_eq!(said.code, Some(1), "{}", said.text);
    assert!(said.text.contains("sources 2 modules, the commit's own files"), "{}", said.text);
    let refused = |name: &str, plan: &[u8], why: &str| {
        let said = made(name, plan).unwrap();
        assert_eq!(said.code, Some(2), "{}", said.text);
        assert!(said.text.contains(why), "{}", said.text);
    };
    let turned = plan_file(&[("/main.tf", ROOT), ("edge/main.tf", "# kept\n")]);
    refused("turned", &turned, "`infra/edge/main.tf` differs");
    let twice = [SAME, &SAME[..1]].concat();
    refused("twice", &plan_file(&twice), "stands in it twice");
    // No zip at all is for the engine to tell.
    let said = made("no-zip", b"PK").unwrap();
    assert_eq!(said.code, Some(1), "{}", said.text);
    assert!(!said.text.contains("sources"), "{}", said.text);
}

#[test]
fn the_json_may_be_given_beside_the_plan_file() {
    let Some(shop) = shop() else { return };
    let plan = keep(&shop, "tfplan", &plan_file(SAME));
    let empty = json!({ "format_version": "1.2", "resource_changes": [] }).to_string();
    let given = keep(&shop, "given.json", empty.as_bytes());
    let words = ["preview", "--only", "plan", "--plan", &plan, "--plan-json", &given];
    let said = countersign(&shop.ana, &words);
    assert_eq!(said.code, Some(0), "{}", said.text);
    // A clone in which nobody said that commands may run does not run the engine either.
    assert!(countersign(&shop.ana, &["uninstall"]).passes());
    let said = take(&shop, &plan);
    assert_eq!(said.code, Some(2), "{}", said.text);
    assert!(said.text.contains("--plan-json plan.json"), "{}", said.text);
    assert_eq!(countersign(&shop.ana, &words).code, Some(0));
}

#[test]
fn a_change_of_a_shared_module_asks_for_the_previews_of_its_roots() {
    let policy = POLICY.replace("/infra/**", "/infra/prod/**");
    let Some(shop) = shop_of(&policy) else { return };
    assert!(shop.push(&["origin", "topic:main", "--no-verify"]).passes());
    shop.ana.git(&["fetch", "-q"]);
    let change = |path: &str, text: &str| {
        shop.ana.write(path, text);
        commit_unwatched(&shop.ana, "change");
        let lines = judged(&shop.ana, &[]);
        shop.ana.git(&["reset", "-q", "--hard", "HEAD^"]);
        lines
    };
    let asked = ["block", "infra preview missing"];
    assert_eq!(change("infra/edge/main.tf", "# 8080 again\n"), asked);
    assert_eq!(change("infra/edge/rules.json", "{}"), asked);
    assert_eq!(change("infra/edge/README.md", "prose\n"), ["pass"]);
    assert_eq!(change("infra/other/main.tf", "# unused\n"), ["pass"]);
    // What cannot be read could use anything.
    let broken = ["block", "infra approvals missing", "infra preview missing"];
    assert_eq!(change("infra/prod/main.tf", "module {"), broken);
    // The plan is taken as ever, and over the limit the rule's own approvals count.
    shop.ana.write("infra/edge/main.tf", "# 8080 again\n");
    commit_unwatched(&shop.ana, "change");
    let sources = [SAME[0], ("edge/main.tf", "# 8080 again\n")];
    assert_eq!(take(&shop, &keep(&shop, "tfplan", &plan_file(&sources))).code, Some(1));
    assert_eq!(judged(&shop.ana, &[]), ["block", "infra preview failed"]);
    approve(&shop.ana, "bo", None);
    assert_eq!(judged(&shop.ana, &[]), ["pass", "infra preview satisfied"]);
}

#[track_caller]
fn apply(shop: &Shop, plan: &str, code: i32, text: &str) {
    let words = ["preview", "apply-guard", "--", "terraform", "apply", "-input=false", plan];
    let said = countersign(&shop.ana, &words);
    assert_eq!(said.code, Some(code), "{}", said.text);
    assert!(said.text.contains(text), "{}", said.text);
    assert_eq!(code == 7, said.text.contains("applied:"), "{}", said.text);
}

#[test]
fn only_an_approved_plan_is_applied() {
    let Some(shop) = shop() else { return };
    let plan = keep(&shop, "tfplan", &plan_file(SAME));
    apply(&shop, &plan, 1, "no preview of this very plan is recorded for the tree");
    approve(&shop.ana, "ana", None);
    take(&shop, &plan);
    apply(&shop, &plan, 1, "deletes 1 (limit 0)");
    approve(&shop.ana, "ana", None);
    let applied = format!("applied: apply -input=false {plan}\n");
    apply(&shop, &plan, 7, &applied);
    assert_eq!(judged(&shop.ana, &[])[0], "pass");

    // The same sources, planned once more: another file, which nobody saw.
    let with = [SAME, &[("/backend.tf", "terraform {}\n")]].concat();
    let again = keep(&shop, "again", &plan_file(&with));
    apply(&shop, &again, 1, "no preview of this very plan is recorded");
    let words = ["preview", "apply-guard", "--", "terraform", "apply", "-auto-approve"];
    let said = countersign(&shop.ana, &words);
    assert_eq!(said.code, Some(1), "{}", said.text);
    assert!(said.text.contains("without a plan file"), "{}", said.text);

    // Once it has landed, the newest change of the target is what is judged.
    assert!(shop.push(&["origin", "topic:main"]).passes());
    shop.ana.git(&["fetch", "-q"]);
    apply(&shop, &plan, 7, &applied);
    // Another tree has not been previewed at all.
    shop.ana.write("infra/edge/main.tf", "# more\n");
    commit_unwatched(&shop.ana, "more");
    apply(&shop, &plan, 1, "no preview of this very plan is recorded");
}
