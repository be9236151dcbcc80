//! The weakening guard, from commit to push: what an agent takes from the tests
//! waits for a person.

use crate::shop::{BY_CLAUDE, Shop, approve, commit_unwatched, countersign, judged};

const POLICY: &str = r#"
[trust]
repo_id = "shop"
target = "refs/heads/main"

[[rule]]
id = "runs"
paths = ["src/**"]
require.tests = ["unit"]

[test.unit]
run = "true"
"#;

const TESTS: &str = "\
from shop import price


def test_price():
    assert price(2) == 24


def test_nothing():
    assert price(0) == 0
";

/// Tests on `main`, and a branch on which an agent changed them to this.
fn weakened(policy: &str, tests: &str, message: &str) -> Option<Shop> {
    let shop = Shop::installed(policy)?;
    shop.ana.git(&["switch", "-q", "main"]);
    shop.ana.write("tests/test_price.py", TESTS);
    commit_unwatched(&shop.ana, "tests");
    shop.ana.git(&["push", "-q", "--no-verify", "origin", "main"]);
    shop.ana.git(&["switch", "-q", "topic"]);
    shop.ana.git(&["reset", "-q", "--hard", "main"]);
    shop.ana.write("tests/test_price.py", tests);
    commit_unwatched(&shop.ana, message);
    Some(shop)
}

#[test]
fn what_an_agent_takes_from_the_tests_waits_for_a_person() {
    let fewer = TESTS.replace("    assert price(2) == 24\n", "    price(2)\n");
    let Some(shop) = weakened(POLICY, &fewer, &format!("tidy{BY_CLAUDE}")) else { return };
    let push = ["origin", "topic:main"];
    let said = shop.push(&push);
    assert!(!said.passes(), "{}", said.text);
    assert_eq!(said.codes(), ["test-weakened", "test-weakened"], "{}", said.text);
    for expected in [
        "tests/test_price.py:5",
        "1 assertion fewer: `assert price(2) == 24`",
        "needs 1 approval from any person of the policy",
        "countersign review",
    ] {
        assert!(said.text.contains(expected), "{expected}\n{}", said.text);
    }
    assert!(said.text.lines().count() <= 24, "{}", said.text);
    // A branch can be pushed, so that a reviewer can fetch it.
    assert!(shop.push(&["origin", "topic"]).passes());
    let explained = countersign(&shop.ana, &["explain", "--rule", "test-weakened"]);
    assert!(explained.text.contains("tests/test_price.py"), "{}", explained.text);
    // Whoever wrote it is not asked.
    approve(&shop.ana, "ana", None);
    assert_eq!(judged(&shop.ana, &[]), ["block", "test-weakened approvals missing"]);
    approve(&shop.ana, "bo", None);
    assert_eq!(judged(&shop.ana, &[]), ["pass", "test-weakened approvals satisfied"]);
    // What is taken after that was not approved.
    shop.ana.git(&["rm", "-q", "tests/test_price.py"]);
    commit_unwatched(&shop.ana, &format!("tidy more{BY_CLAUDE}"));
    assert_eq!(judged(&shop.ana, &[]), ["block", "test-weakened approvals missing"]);
    shop.ana.git(&["reset", "-q", "--hard", "HEAD~1"]);
    let said = shop.push(&push);
    assert!(said.passes(), "{}", said.text);
}

#[test]
fn who_is_asked_is_the_policys_to_say() {
    let rule = "[[rule]]\nid = \"test-weakened\"\npaths = [\"/nothing\"]\nrequire.approvals = [{ from = [\"chi\"] }]\n";
    let skipped = TESTS.replace("def test_p", "@pytest.mark.skip\ndef test_p");
    let policy = format!("{POLICY}\n{rule}");
    let Some(shop) = weakened(&policy, &skipped, &format!("tidy{BY_CLAUDE}")) else { return };
    approve(&shop.ana, "bo", None);
    assert_eq!(judged(&shop.ana, &[]), ["block", "test-weakened approvals missing"]);
    approve(&shop.ana, "chi", None);
    assert_eq!(judged(&shop.ana, &[]), ["pass", "test-weakened approvals satisfied"]);
}

/// A person may do with the tests what they want; another rule may ask.
#[test]
fn what_a_person_does_is_no_finding() {
    let fewer = TESTS.replace("    assert price(2) == 24\n", "    price(2)\n");
    let Some(shop) = weakened(POLICY, &fewer, "tidy") else { return };
    if crate::fixture::is_below_an_agent() {
        return crate::fixture::skipped("an agent runs this");
    }
    assert_eq!(judged(&shop.ana, &[]), ["pass"]);
    // An agent's commit beside it, in other files, changes nothing.
    shop.ana.write("notes.md", "notes\n");
    commit_unwatched(&shop.ana, &format!("notes{BY_CLAUDE}"));
    assert_eq!(judged(&shop.ana, &[]), ["pass"]);
}

/// Where the policy knows nobody who could be asked, it is said and does not block.
#[test]
fn a_policy_without_people_is_told() {
    let Some(shop) = Shop::open(POLICY) else { return };
    let policy = POLICY.split("[[rule]]").collect::<Vec<_>>();
    let policy = format!("schema = 1\n[[rule]]{}", policy[1]);
    shop.ana.write("countersign.toml", policy).write("tests/test_price.py", TESTS);
    commit_unwatched(&shop.ana, "alone");
    shop.ana.git(&["push", "-q", "--no-verify", "origin", "main"]);
    shop.ana.git(&["switch", "-q", "-c", "topic"]);
    shop.ana.git(&["rm", "-q", "tests/test_price.py"]);
    commit_unwatched(&shop.ana, &format!("tidy{BY_CLAUDE}"));
    assert_eq!(judged(&shop.ana, &[]), ["pass"]);
    let said = countersign(&shop.ana, &["check"]);
    assert!(said.text.contains("2 tests are gone with their file"), "{}", said.text);
}

#[test]
fn a_source_that_cannot_be_read_may_have_lost_tests() {
    let Some(shop) = Shop::installed(POLICY) else { return };
    let large = format!("#[test]\nfn holds() {{}}\n{}", "// line\n".repeat(600_000));
    shop.ana.git(&["switch", "-q", "main"]);
    shop.ana.write("src/lib.rs", large);
    commit_unwatched(&shop.ana, "tests in a source");
    shop.ana.git(&["push", "-q", "--no-verify", "origin", "main"]);
    shop.ana.git(&["switch", "-q", "topic"]);
    shop.ana.git(&["reset", "-q", "--hard", "main"]);
    shop.ana.write("src/lib.rs", "// line\n");
    commit_unwatched(&shop.ana, &format!("tidy{BY_CLAUDE}"));
    let said = shop.push(&["origin", "topic:main"]);
    assert!(!said.passes(), "{}", said.text);
    assert!(said.text.contains("whether it was weakened is not known"), "{}", said.text);
}

/// What every change of behaviour looks like is said where somebody asks, and asks for nothing.
#[test]
fn rewritten_expectations_are_a_note() {
    let Some(shop) = weakened(POLICY, TESTS, "tests") else { return };
    let other = TESTS.replace("24", "25");
    shop.ana.write("shop.py", "def price(count):\n    return 25 if count else 0\n");
    shop.ana.write("tests/test_price.py", other);
    commit_unwatched(&shop.ana, &format!("dearer{BY_CLAUDE}"));
    let said = countersign(&shop.ana, &["check"]);
    assert!(said.passes(), "{}", said.text);
    let note =
        "a test expects something else: `assert price(2) == 25`, before `assert price(2) == 24`";
    assert!(said.text.contains(note), "{}", said.text);
    assert!(said.text.contains("[expectations-rewritten]"), "{}", said.text);
    let said = shop.push(&["origin", "topic:main"]);
    assert!(said.passes() && !said.text.contains("expects something else"), "{}", said.text);
}

/// A person and an agent changed the same tests: each by their own lines.
#[test]
fn in_a_file_of_several_hands_an_agents_lines_count() {
    if crate::fixture::is_below_an_agent() {
        return;
    }
    let Some(shop) = weakened(POLICY, TESTS, "nothing") else { return };
    shop.ana.write("tests/test_price.py", TESTS.replace("price(2) == 24", "price(2)"));
    commit_unwatched(&shop.ana, "ana asks less");
    let more = format!("{TESTS}\n\ndef test_three():\n    assert price(3) == 36\n");
    shop.ana.write("tests/test_price.py", more.replace("price(2) == 24", "price(2)"));
    commit_unwatched(&shop.ana, &format!("one more{BY_CLAUDE}"));
    assert_eq!(judged(&shop.ana, &[]), ["pass"]);
    let less = more.replace("price(2) == 24", "price(2) is not None");
    shop.ana.write("tests/test_price.py", less);
    commit_unwatched(&shop.ana, &format!("less{BY_CLAUDE}"));
    assert_eq!(judged(&shop.ana, &[]), ["block", "test-weakened approvals missing"]);
}
