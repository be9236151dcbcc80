//! The pictures of README.md beside the first one: each is what the program
//! says, as it is now.

use serde_json::{Value, json};

use crate::fixture::TestRepo;

const PEOPLE: &str = r#"
[trust]
repo_id = "shop"

[people.bo]
kind = "human"
emails = ["bo@example.com"]
keys = [{ key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC7J062zgmHM2YXh3jS24mLalUhck2f3FetsVJzDGtu4" }]
"#;

const INFRA: &str = r#"
[[rule]]
id = "infra"
paths = ["/infra/**"]
require.approvals = [{ from = ["bo"] }]
require.preview = ["plan-prod"]

[preview.plan-prod]
engine = "terraform"
root = "infra"
run = ["sh", "-c", "cp plan.json \"$COUNTERSIGN_OUT\""]
limits = { deletes = 0, places = 1 }
protect = [{ types = ["aws_security_group*"], actions = ["delete", "replace", "removal", "forget"], from = ["bo"] }]
"#;

const UNIT: &str = r#"
[[rule]]
id = "noticed"
when = { assisted = true }
require.tests = ["unit"]

[test.unit]
run = ["sh", "run.sh"]
reports = { junit = "junit.xml" }
prove = "revert"
"#;

/// A repository with this policy and these files on its branch, and an agent's
/// change of one more.
fn changed(policy: &str, before: &[(&str, &str)], after: &[(&str, &str)]) -> TestRepo {
    let repo = TestRepo::new();
    repo.write("countersign.toml", format!("schema = 1\n{PEOPLE}{policy}"));
    for (path, text) in before {
        repo.write(path, text);
    }
    repo.commit("ana", "before");
    repo.git(&["switch", "-q", "-c", "topic"]);
    for (path, text) in after {
        repo.write(path, text);
    }
    repo.commit("ana", "change\n\nCo-authored-by: Claude <noreply@anthropic.com>\n");
    assert!(repo.countersign(&["install"]).status.success());
    repo
}

/// What commands print, as somebody at a terminal sees it.
fn typed(repo: &TestRepo, commands: &[&str]) -> String {
    let mut screen = String::new();
    for command in commands {
        let words: Vec<&str> = command.split(' ').collect();
        let output = repo.countersign(&words);
        screen.push_str(&format!("$ countersign {}\n", command.trim_end_matches(" -q")));
        screen.push_str(&String::from_utf8_lossy(&output.stdout));
        screen.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    without_id(&screen)
}

/// The id of a record that was made just now, replaced by one of another day.
fn without_id(screen: &str) -> String {
    let Some(end) = screen.find(", local") else { return screen.to_owned() };
    format!("{}5d1c08a7e2b4{}", &screen[..end - 12], &screen[end..])
}

/// The block of the page that begins with this line.
#[track_caller]
fn shown(beginning: &str) -> String {
    let page = std::fs::read_to_string("README.md").unwrap();
    let mut blocks = page.split("```console\n").skip(1);
    let block = blocks.find(|it| it.starts_with(beginning)).unwrap_or_default();
    block.split("```").next().unwrap_or_default().to_owned()
}

/// A rule that a shared module drops is gone in three regions.
#[test]
fn the_readme_shows_the_incident() {
    let change = |region: &str| -> Value {
        json!({
            "address": format!("module.edge[\"{region}\"].aws_security_group_rule.in"),
            "mode": "managed", "type": "aws_security_group_rule",
            "change": { "actions": ["delete"], "before": { "region": region }, "after": null },
        })
    };
    let regions = ["ap-southeast-2", "eu-west-1", "us-east-1"];
    let changes: Vec<Value> = regions.iter().map(|it| change(it)).collect();
    let plan = json!({ "format_version": "1.2", "resource_changes": changes }).to_string();
    let before = [("infra/edge.tf", "# 8080\n")];
    let after = [("infra/edge.tf", "# none\n"), ("infra/plan.json", &plan)];
    let repo = changed(INFRA, &before, &after);
    let screen = typed(&repo, &["preview -q", "check"]);
    snapbox::assert_data_eq!(screen, shown("$ countersign preview\n"));
}

/// A test that asserts nothing passes without the lines that it should test.
#[test]
fn the_readme_shows_a_test_that_does_not_notice() {
    let run = "sh tests/price || exit 1\necho '<testsuite><testcase name=\"price\"/></testsuite>' >junit.xml\n";
    let before = [
        ("price.sh", "amount=100\necho $amount\n"),
        ("run.sh", run),
        ("tests/price", "sh price.sh\n"),
        (".gitignore", "junit.xml\n"),
    ];
    let after = [("price.sh", "amount=100\ntax=20\necho $((amount + tax))\n")];
    let repo = changed(UNIT, &before, &after);
    let screen = typed(&repo, &["test -q", "check --stage push"]);
    snapbox::assert_data_eq!(screen, shown("$ countersign test\n"));
}
