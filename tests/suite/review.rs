//! Reviews by real people at real terminals: keys in, signed records out.

use std::os::unix::fs::PermissionsExt;

use countersign::adapters::env::{self, Env};
use countersign::adapters::marks::Marks;
use countersign::adapters::store::Store;
use countersign::gate::review::ReviewedFile;
use countersign::gate::time::Timestamp;
use countersign::jobs::ambient::Surroundings;
use countersign::jobs::approve::Decision;
use countersign::jobs::world::World;
use countersign::jobs::{self, check};

use crate::fixture::TestRepo;
use crate::shop::{
    BY_CLAUDE, Said, Shop, commit_unwatched, countersign, decide, judged, key_of, redacted,
};
use crate::terminal::{Terminal, review};

/// Two rules, one of them about prompts alone.
const POLICY: &str = "[trust]\nrepo_id = \"shop\"\n[groups]\nsenior = [\"ana\", \"bo\"]\nml = [\"bo\", \"chi\"]\n\
[[rule]]\nid = \"code\"\nwhy = \"code is read by somebody who did not write it\"\npaths = [\"/src/**\"]\nrequire.approvals = [{ from = [\"senior\"] }]\n\
[[rule]]\nid = \"prompts\"\npaths = [\"/prompts/**\"]\nrequire.approvals = [{ from = [\"ml\"] }]\n";

/// Ana's change of two files of code and a prompt, on `topic`.
fn changed() -> Option<Shop> {
    let shop = Shop::open(POLICY)?;
    let ana = &shop.ana;
    ana.write("src/cart.rs", "fn total(prices: &[u64]) -> u64 {\n    prices.iter().sum()\n}\n");
    ana.write("src/tax.rs", "const RATE: u64 = 19;\n").write("prompts/tone.md", "Be brief.\n");
    commit_unwatched(ana, "start");
    ana.git(&["push", "-q", "origin", "main"]);
    ana.git(&["switch", "-q", "-c", "topic"]);
    ana.write(
        "src/cart.rs",
        "fn total(prices: &[u64]) -> u64 {\n    let sum = prices.iter().sum();\n    round(sum)\n}\n",
    );
    ana.write("prompts/tone.md", "Be brief and kind.\n");
    commit_unwatched(ana, &format!("Round totals{BY_CLAUDE}"));
    ana.write("src/tax.rs", "const RATE: u64 = 21;\n");
    commit_unwatched(ana, "Raise the tax");
    Some(shop)
}

/// Starts bo's review of the change in a terminal of the usual size.
#[track_caller]
fn bo(clone: &TestRepo, arguments: &[&str]) -> Terminal {
    let key = key_of(clone, "bo");
    let words = [&["--key", key.to_str().unwrap()], arguments].concat();
    Terminal::start(review(clone, &words), 80, 24)
}

/// What the newest record says, by its own words.
fn record(clone: &TestRepo) -> serde_json::Value {
    let tree = clone.git(&["ls-tree", "-r", "--name-only", "countersign-ledger"]);
    let mut records: Vec<serde_json::Value> = tree
        .lines()
        .filter(|path| path.ends_with(".json"))
        .map(|path| clone.git(&["show", &format!("countersign-ledger:{path}")]))
        .filter_map(|text| serde_json::from_str(&text).ok())
        .collect();
    records.sort_by_key(|it: &serde_json::Value| it["predicate"]["by"]["at"].to_string());
    records.pop().unwrap()
}

fn files(record: &serde_json::Value) -> Vec<&str> {
    let files = record["predicate"]["content"]["files"].as_array().unwrap();
    files.iter().map(|it| it["path"].as_str().unwrap()).collect()
}

#[test]
fn a_change_is_read_and_signed_at_a_terminal() {
    let Some(shop) = changed() else { return };
    let mut bo = bo(&shop.ana, &[]);
    bo.wait_for("enter begins");
    let prompt = bo.press_for("\r", "file 1 of 3");
    assert!(prompt.contains("prompts/tone.md"), "{prompt}");
    bo.press_for("cshorter?\r", "comment: shorter?");
    bo.press_for("a", "file 2 of 3");
    bo.press_for("\x1b[B", "src/cart.rs");
    bo.press_for("a", "src/tax.rs");
    // The screen follows the size of the window.
    bo.resize(60, 12);
    bo.wait_for("somebody who did not\n        write it");
    bo.resize(80, 24);
    let end = bo.press_for("a", "what will be signed");
    for line in [
        "an approval of exactly this content, 3 files:",
        "target  refs/heads/main of shop",
        "rules   every rule",
        "note    prompts/tone.md: shorter?",
        "code (2 of 2 files): approved by bo",
        "prompts (1 of 1 file): approved by bo",
    ] {
        assert!(end.contains(line), "{line}\n{end}");
    }
    for path in ["src/cart.rs", "src/tax.rs", "prompts/tone.md"] {
        let old = shop.ana.oid(&format!("main:{path}"));
        let new = shop.ana.oid(&format!("topic:{path}"));
        let line = format!("100644 {} → 100644 {} {path}", old.short(), new.short());
        assert!(end.contains(&line), "{line}\n{end}");
    }
    bo.press("y");
    let (code, said) = bo.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("approved 3 files for refs/heads/main\n  by      bo ("), "{said}");
    assert_eq!(
        judged(&shop.ana, &[]),
        ["pass", "code approvals satisfied", "prompts approvals satisfied"]
    );
    let record = record(&shop.ana);
    assert_eq!(record["predicate"]["note"], "prompts/tone.md: shorter?");
    assert_eq!(files(&record), ["prompts/tone.md", "src/cart.rs", "src/tax.rs"]);
}

#[test]
fn what_was_skipped_is_not_signed() {
    let Some(shop) = changed() else { return };
    let mut bo = bo(&shop.ana, &["-m", "only the code"]);
    bo.wait_for("enter begins");
    bo.press_for("\r", "file 1 of 3");
    bo.press_for("s", "file 2 of 3");
    bo.press_for("a", "file 3 of 3");
    let end = bo.press_for("a", "what will be signed");
    for line in [
        "2 files:",
        "note    only the code",
        "skipped: prompts/tone.md",
        "code (2 of 2 files): approved by bo",
        "prompts (0 of 1 file): needs 1 approval from ml, has none",
    ] {
        assert!(end.contains(line), "{line}\n{end}");
    }
    bo.press("y");
    assert_eq!(bo.end().0, Some(0));
    let record = record(&shop.ana);
    assert_eq!(files(&record), ["src/cart.rs", "src/tax.rs"]);
    // What was shown to bo is what is told of it: the prompt's line is not among them.
    assert_eq!(record["predicate"]["shown"]["added"], 3);
    assert_eq!(
        judged(&shop.ana, &[]),
        ["block", "code approvals satisfied", "prompts approvals missing"]
    );
}

#[test]
fn a_review_goes_on_where_it_was_left() {
    let Some(shop) = changed() else { return };
    let mut first = bo(&shop.ana, &[]);
    first.wait_for("enter begins");
    first.press_for("\r", "file 1 of 3");
    first.press_for("a", "file 2 of 3");
    first.press_for("cwhy?\r", "comment: why?");
    first.press("q");
    let (code, said) = first.end();
    assert_eq!(code, Some(1));
    assert!(said.contains("nothing was signed; `countersign review main..HEAD` goes on"), "{said}");
    // Another commit message, and one more line in a file that was decided on.
    shop.ana.write("src/tax.rs", "const RATE: u64 = 22;\n");
    commit_unwatched(&shop.ana, "Raise it more");
    let mut second = bo(&shop.ana, &[]);
    let page = second.wait_for("1 file decided in an earlier sitting");
    assert!(page.contains("[x] prompts/tone.md"), "{page}");
    let page = second.press_for("\r", "file 2 of 3");
    assert!(page.contains("comment: why?"), "{page}");
    second.press("\x03");
    assert_eq!(second.end().0, Some(130));
    shop.ana.write("prompts/tone.md", "Be kind.\n");
    commit_unwatched(&shop.ana, "Another tone");
    let mut third = bo(&shop.ana, &[]);
    let page = third.wait_for("enter begins");
    assert!(page.contains("[ ] prompts/tone.md"), "{page}");
    third.press("q");
    assert_eq!(third.end().0, Some(1));
    assert_eq!(judged(&shop.ana, &[])[0], "block");
}

#[test]
fn only_what_no_approval_covers_is_shown_again() {
    let Some(shop) = changed() else { return };
    crate::shop::approve(&shop.ana, "bo", None);
    let said = {
        let bo = bo(&shop.ana, &["--since-approved"]);
        bo.end()
    };
    assert_eq!(said.0, Some(0), "{}", said.1);
    assert!(said.1.contains("an earlier approval covers 3 files: nothing is left to review"));
    shop.ana.write("src/tax.rs", "const RATE: u64 = 20;\n");
    commit_unwatched(&shop.ana, "Raise it less");
    let mut bo = bo(&shop.ana, &["--since-approved"]);
    bo.wait_for("1 file, +1 -1;");
    let page = bo.press_for("\r", "file 1 of 1");
    for line in [
        "only what changed since bo approved it",
        "    1  - const RATE: u64 = 21;\n    1  + const RATE: u64 = 20;\n",
    ] {
        assert!(page.contains(line), "{line}\n{page}");
    }
    let end = bo.press_for("a", "what will be signed");
    // The new record is the whole of what bo approved, so that it stands alone.
    assert!(end.contains("3 files:"), "{end}");
    bo.press("y");
    assert_eq!(bo.end().0, Some(0));
    assert_eq!(judged(&shop.ana, &[])[0], "pass");
}

/// Somebody else is still to approve: who did so already reads nothing twice,
/// not even after a rebase over other lines of the same file.
#[test]
fn what_carries_over_a_rebase_is_not_read_again() {
    let policy = POLICY.replace(
        "{ from = [\"senior\"] }",
        "{ from = [\"senior\", \"ml\"], count = 2, carry = \"clean-merge\" }",
    );
    let Some(shop) = Shop::open(&policy) else { return };
    let ana = &shop.ana;
    let lines = |second: &str, tenth: &str| {
        let line = |number: usize| match number {
            2 => format!("{second}\n"),
            10 => format!("{tenth}\n"),
            number => format!("line {number}\n"),
        };
        (1..=20).map(line).collect::<String>()
    };
    ana.write("src/a.rs", lines("two", "ten"));
    commit_unwatched(ana, "start");
    ana.git(&["push", "-q", "origin", "main"]);
    ana.git(&["switch", "-q", "-c", "topic"]);
    ana.write("src/a.rs", lines("two", "dix")).write("src/b.rs", "b\n");
    commit_unwatched(ana, "dix");
    crate::shop::approve(ana, "bo", None);
    ana.git(&["switch", "-q", "main"]);
    ana.write("src/a.rs", lines("deux", "ten"));
    commit_unwatched(ana, "deux");
    ana.git(&["push", "-q", "origin", "main"]);
    ana.git(&["switch", "-q", "topic"]);
    ana.git(&["-c", "core.hooksPath=/dev/null", "rebase", "-q", "main"]);
    assert_eq!(judged(ana, &[])[1], "code approvals missing");
    let (code, said) = bo(ana, &["--since-approved"]).end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("an earlier approval covers 2 files: nothing is left"), "{said}");
    let said = countersign(ana, &["review", "--format", "markdown"]);
    assert!(
        said.text.contains("- `bo` approved it, and that merges cleanly into this, "),
        "{}",
        said.text
    );
    // Another line of it, and what was approved of it is shown as known.
    ana.write("src/a.rs", lines("deux", "dix").replace("line 18", "dix-huit"));
    commit_unwatched(ana, "dix-huit");
    let mut bo = bo(ana, &["--since-approved"]);
    bo.wait_for("1 file, +");
    let page = bo.press_for("\r", "file 1 of 1");
    assert!(page.contains("only what changed since bo approved it"), "{page}");
    assert!(page.contains("- line 18\n") && !page.contains("deux"), "{page}");
    bo.press("q");
    assert_eq!(bo.end().0, Some(1));
}

#[test]
fn an_author_learns_that_signing_would_not_count() {
    let Some(shop) = changed() else { return };
    let key = key_of(&shop.ana, "ana");
    let mut ana = Terminal::start(
        review(&shop.ana, &["--key", key.to_str().unwrap(), "--rule", "code"]),
        80,
        24,
    );
    ana.wait_for("2 files");
    ana.press_for("\r", "file 1 of 2");
    ana.press_for("a", "file 2 of 2");
    let end = ana.press_for("a", "what will be signed");
    assert!(end.contains("rules   code\n"), "{end}");
    assert!(end.contains("ana is the author of"), "{end}");
    ana.press("q");
    assert_eq!(ana.end().0, Some(1));
}

#[test]
fn a_file_is_opened_in_gits_editor_and_nothing_of_it_is_obeyed() {
    let Some(mut shop) = Shop::open(POLICY) else { return };
    let hostile = "src/$(touch pwned);\u{1b}]0;x\u{7}.rs";
    shop.ana.git(&["switch", "-q", "-c", "topic"]);
    shop.ana.write(hostile, "fine\n\u{1b}[2Jgone\u{202e}\n");
    commit_unwatched(&shop.ana, "evil \u{1b}]0;title\u{7}");
    shop.ana.write(
        "../home/editor",
        "#!/bin/sh\nprintf '%s\\n' \"$#\" \"$@\" >~/edited\ncat \"$2\" >>~/edited\n",
    );
    let editor = shop.ana.home().join("editor");
    std::fs::set_permissions(&editor, std::fs::Permissions::from_mode(0o755)).unwrap();
    shop.ana.set_variable("GIT_EDITOR", &format!("{} --wait", editor.display()));
    let mut bo = bo(&shop.ana, &[]);
    bo.wait_for("enter begins");
    let page = bo.press_for("\r", "file 1 of 1");
    assert!(page.contains("+ \\u{1b}[2Jgone\\u{202e}"), "{page}");
    bo.press("e");
    bo.press_for("j", "file 1 of 1");
    bo.press("q");
    let text = String::from_utf8_lossy(bo.bytes()).into_owned();
    assert!(!text.contains("\u{1b}]") && !text.contains("\u{1b}[2J") && !text.contains('\u{202e}'));
    assert_eq!(bo.end().0, Some(1));
    let edited = std::fs::read_to_string(shop.ana.home().join("edited")).unwrap();
    let mut lines = edited.lines();
    assert_eq!((lines.next(), lines.next()), (Some("2"), Some("--wait")));
    let path = std::path::Path::new(lines.next().unwrap()).file_name().unwrap().to_owned();
    assert_eq!(path.to_str().unwrap(), "review-__touch_pwned____0_x_.rs");
    assert_eq!(lines.next(), Some("fine"));
    assert!(!shop.ana.path().join("pwned").exists());
}

#[test]
fn an_agent_is_refused_and_nobody_signs_without_a_terminal() {
    let Some(shop) = changed() else { return };
    let key = key_of(&shop.ana, "bo");
    let key = key.to_str().unwrap();
    let mut command = shop.ana.countersign_command(&["review", "--key", key]);
    command.env("CLAUDECODE", "1");
    let (code, said) = Terminal::start(command, 80, 24).end();
    assert_eq!(code, Some(2));
    assert!(
        said.contains("`claude-code` seems to be asking; only a person can countersign"),
        "{said}"
    );
    let mut command = review(&shop.ana, &["--key", key]);
    let said = Said::new(&command.output().unwrap());
    assert!(said.text.contains("there is no terminal here"), "{}", said.text);
    assert_eq!(judged(&shop.ana, &[])[0], "block");
}

#[test]
fn the_same_is_printed_for_a_pull_request() {
    let Some(shop) = changed() else { return };
    crate::shop::approve(&shop.ana, "bo", None);
    shop.ana.write("src/tax.rs", "const RATE: u64 = 20; // `a` @bo | ```\n");
    commit_unwatched(&shop.ana, "Less | tax for @everybody");
    let said = countersign(&shop.ana, &["review", "--since-approved", "--format", "markdown"]);
    assert!(said.passes(), "{}", said.text);
    let log = shop.ana.git(&["log", "--format=%H", "main..topic"]);
    let commits: Vec<&str> = log.lines().map(|it| &it[..12]).collect();
    let names = [(commits[2], "FIRST"), (commits[1], "SECOND"), (commits[0], "THIRD")];
    snapbox::assert_data_eq!(
        redacted(&said.text, &names),
        snapbox::str![[r#"
### `main..HEAD` for `refs/heads/main` is blocked

`1 file, +1 -1; 0 of the added lines by claude-code`

- FIRST `Round totals` by `claude-code (declared)`
- SECOND `Raise the tax`
- THIRD `Less | tax for @everybody`

| rule | why | asks for | stands |
|---|---|---|---|
| `code` | `code is read by somebody who did not write it` | approvals | missing: ``needs 1 approval from senior, has none; the approval [..] does not count: `src/tax.rs` is not as it was approved`` |
| `prompts` |  | approvals | satisfied: `approved by bo` |

#### `src/tax.rs`

- +1 -1, to be reviewed
- rule `code`: `code is read by somebody who did not write it`
- `bo` approved other content of it, [..]
- only what changed since `bo` approved it:

````diff
@@ -1 +1 @@
-const RATE: u64 = 21;
+const RATE: u64 = 20; // `a` @bo | ```
````

"#]]
    );
    let said = countersign(&shop.ana, &["review", "--format", "json"]);
    let review: serde_json::Value = serde_json::from_str(&said.text).unwrap();
    assert_eq!(review["schema"], "countersign.review/1");
    assert_eq!(review["files"][2]["covered"], false);
    assert_eq!(review["files"][1]["body"]["hunks"][0]["lines"][2]["mark"]["agent"], "claude-code");
    let said = countersign(&shop.ana, &["review", "--format", "sarif"]);
    assert_eq!(said.code, Some(2));
}

/// A page with its blocks of this kind replaced, in order.
fn with_blocks(page: &str, blocks: &[String]) -> String {
    let mut blocks = blocks.iter();
    let mut text = String::new();
    let mut inside = false;
    for line in page.lines() {
        match (inside, line) {
            (false, "```console") => {
                inside = true;
                text.push_str(&format!("{line}\n{}\n", blocks.next().unwrap().trim_end()));
            }
            (true, "```") => inside = false,
            (true, _) => continue,
            (false, _) => {}
        }
        if line != "```console" {
            text.push_str(&format!("{line}\n"));
        }
    }
    text
}

/// The pictures of docs/review.md are what the program draws.
#[test]
fn the_page_shows_real_screens() {
    let policy = POLICY.replace("/src/**", "/services/checkout/**");
    let Some(shop) = Shop::open(&policy) else { return };
    let ana = &shop.ana;
    ana.write(
        "services/checkout/cart.rs",
        "pub fn total(prices: &[u64]) -> u64 {\n    prices.iter().sum()\n}\n",
    );
    ana.commit("ana", "checkout: add the cart");
    ana.git(&["push", "-q", "origin", "main"]);
    ana.git(&["switch", "-q", "-c", "topic"]);
    ana.write(
        "services/checkout/cart.rs",
        "pub fn total(prices: &[u64]) -> u64 {\n    // Totals are whole cents.\n    round(prices.iter().sum())\n}\n",
    );
    ana.write("services/checkout/README.md", "# The cart\n");
    ana.commit("ana", "checkout: round totals\n\nAssisted-by: claude-code\n");
    let mut bo =
        Terminal::start(review(ana, &["--key", key_of(ana, "bo").to_str().unwrap()]), 80, 18);
    bo.wait_for("enter begins");
    bo.press_for("\r", "file 1 of 2");
    let file = bo.press_for("s", "file 2 of 2");
    let end = bo.press_for("a", "what will be signed");
    bo.press("q");
    assert_eq!(bo.end().0, Some(1));
    let key = end.lines().find_map(|line| line.split_once("(SHA256:")).unwrap().1;
    let key = key.split(')').next().unwrap();
    let end = end.replace(key, "dqX9h5ou3yB4vDtxRhO5qZr5Q3bL3mYkB7HqVwRk1cE");
    let page = std::fs::read_to_string("docs/review.md").unwrap();
    let kept = snapbox::Data::read_from(std::path::Path::new("docs/review.md"), None).raw();
    snapbox::assert_data_eq!(with_blocks(&page, &[file, end]), kept);
}

/// Where each file stands for a person, some seconds from now:
/// `path: own|covered|open`, and whether a rule misses somebody.
#[track_caller]
fn standing_for(clone: &TestRepo, person: Option<&str>, later: i64) -> Vec<String> {
    let git = clone.open();
    let layout = git.layout();
    let store = Store::new(&layout.common_dir);
    let marks = Marks::open(&layout.common_dir, &layout.git_dir);
    let env = Env {
        dir: clone.path().to_owned(),
        variables: Vec::new(),
        now: Timestamp(env::now().0 + later),
        stdin_is_terminal: false,
        stdout_is_terminal: false,
        stderr_is_terminal: false,
        executable: None,
    };
    let world = World { env, git, store, marks };
    let options = check::Options { lines: true, ..check::Options::default() };
    let judgement = check::check(&world, &options, &Surroundings::default())
        .unwrap_or_else(|error| panic!("{}", error.chain()));
    let review = jobs::review::review(&world, &judgement, &[], person)
        .unwrap_or_else(|error| panic!("{}", error.chain()));
    let row = |file: &ReviewedFile| {
        let word = match (file.own, file.covered) {
            (true, _) => "own",
            (false, true) => "covered",
            (false, false) => "open",
        };
        let wanted = if file.wanted { ", wanted" } else { "" };
        format!("{}: {word}{wanted}", file.path.to_display())
    };
    review.files.iter().map(row).collect()
}

#[test]
fn an_earlier_approval_covers_what_nobody_has_to_see_again() {
    let two = POLICY.replace("{ from = [\"senior\"] }", "{ count = 2, max_age = \"1h\" }");
    let Some(shop) = Shop::open(&two) else { return };
    let ana = &shop.ana;
    ana.git(&["switch", "-q", "-c", "topic"]);
    ana.write("prompts/tone.md", "Be kind.\n").write("src/a.rs", "a\n");
    commit_unwatched(ana, "change");
    let open = ["prompts/tone.md: open, wanted", "src/a.rs: open, wanted"];
    assert_eq!(standing_for(ana, Some("bo"), 0), open);
    // For one rule only: it says nothing about the other's files.
    let rules = vec!["prompts".to_owned()];
    decide(ana, "bo", None, &Decision::Approve { rules, note: None });
    assert_eq!(
        standing_for(ana, Some("bo"), 0),
        ["prompts/tone.md: own", "src/a.rs: open, wanted"]
    );
    let half = ["prompts/tone.md: covered", "src/a.rs: open, wanted"];
    assert_eq!(standing_for(ana, Some("chi"), 0), half);
    // Of two who are asked, the second still looks; the first does not again.
    crate::shop::approve(ana, "bo", None);
    assert_eq!(standing_for(ana, Some("bo"), 0), ["prompts/tone.md: own", "src/a.rs: own, wanted"]);
    assert_eq!(standing_for(ana, Some("chi"), 0), half);
    assert_eq!(standing_for(ana, None, 0), ["prompts/tone.md: own", "src/a.rs: own, wanted"]);
    crate::shop::approve(ana, "chi", None);
    let all = ["prompts/tone.md: covered", "src/a.rs: covered"];
    assert_eq!(standing_for(ana, Some("ana"), 0), all);
    // An hour later the rule's approvals are too old, one's own as well.
    assert_eq!(
        standing_for(ana, Some("bo"), 2 * 60 * 60),
        ["prompts/tone.md: own", "src/a.rs: open, wanted"]
    );
    // Other content is open again, to everybody.
    ana.write("src/a.rs", "b\n");
    commit_unwatched(ana, "more");
    assert_eq!(
        standing_for(ana, Some("bo"), 0),
        ["prompts/tone.md: own", "src/a.rs: open, wanted"]
    );
}
