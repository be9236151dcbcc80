//! Two people and an agent play the three scenarios of policy.example.toml, in
//! clones of their own over a bare repository: chi has an agent write, somebody
//! else reviews at a terminal, chi rebases and goes on.

use crate::fixture::TestRepo;
use crate::outages::{REPLACED, blocked, ci, example, lands};
use crate::shop::{Said, Shop, commit_unwatched, countersign, judged, key_of, sync};
use crate::terminal::{Terminal, review};

/// The agent commits what it wrote, as chi, under the hooks of the clone: the
/// surroundings give it away, and the hook writes the disclosure.
#[track_caller]
fn the_agent_commits(shop: &Shop, files: &[(&str, &str)], message: &str) {
    for (path, content) in files {
        shop.ana.write(path, content);
    }
    shop.ana.git(&["add", "-A"]);
    let mut command = shop.ana.git_command(&["commit", "-q", "-m", message]);
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "chi");
        command.env(format!("GIT_{role}_EMAIL"), "chi@example.com");
    }
    let said = Said::new(&command.env("CLAUDECODE", "1").output().unwrap());
    assert!(said.passes(), "{}", said.text);
    let body = shop.ana.git(&["log", "-1", "--format=%B"]);
    assert!(body.contains("Assisted-by: claude-code"), "{body}");
}

/// The branch as reviewers get it.
fn offered(shop: &Shop) {
    shop.ana.git(&["push", "-q", "--no-verify", "-f", "origin", "topic"]);
}

/// Something else lands on `main` meanwhile.
fn main_moves(shop: &Shop, path: &str, content: &str) {
    let count = shop.hub.git(&["rev-list", "--count", "main"]);
    let other = shop.hub.clone_as(&format!("other-{count}"), &[]);
    other.write(path, content);
    commit_unwatched(&other, "beside");
    other.git(&["push", "-q", "origin", "main"]);
}

/// Chi rebases on it, and has nobody look.
fn chi_rebases(shop: &Shop) {
    shop.ana.git(&["fetch", "-q"]);
    let mut command = shop.ana.git_command(&["rebase", "-q", "origin/main"]);
    command.env("GIT_COMMITTER_NAME", "chi").env("GIT_COMMITTER_EMAIL", "chi@example.com");
    let said = Said::new(&command.output().unwrap());
    assert!(said.passes(), "{}", said.text);
    offered(shop);
}

/// A reviewer's own clone, up to date.
struct Reviewer {
    clone: TestRepo,
    name: &'static str,
}

impl Reviewer {
    fn of(shop: &Shop, name: &'static str) -> Reviewer {
        Reviewer { clone: shop.hub.clone_as(&format!("clone-of-{name}"), &[]), name }
    }

    /// Fetches, and sits down at a terminal.
    fn sits_down(&self, arguments: &[&str]) -> Terminal {
        self.clone.git(&["fetch", "-q"]);
        let key = key_of(&self.clone, self.name);
        let range = "origin/main..origin/topic";
        let words = [&[range, "--key", key.to_str().unwrap()], arguments].concat();
        Terminal::start(review(&self.clone, &words), 80, 24)
    }

    /// Says yes at the end, and publishes.
    #[track_caller]
    fn signs(&self, mut terminal: Terminal) {
        terminal.press("y");
        let (code, said) = terminal.end();
        assert_eq!(code, Some(0), "{said}");
        sync(&self.clone);
    }
}

#[track_caller]
fn approvals(shop: &Shop) -> Vec<String> {
    shop.ana.git(&["fetch", "-q"]);
    judged(&shop.ana, &[]).into_iter().filter(|row| row.contains(" approvals ")).collect()
}

const CART: &str = "services/checkout/src/cart.rs";
const ROUND: &str = "services/checkout/src/round.rs";

#[test]
fn the_checkout_is_reviewed_once_and_then_only_what_is_new() {
    let Some(shop) = example() else { return };
    let (cart, round) = ("fn total() { round() }\n", "fn round() {\n    half_up();\n}\n");
    the_agent_commits(&shop, &[(CART, cart), (ROUND, round)], "round totals");
    offered(&shop);
    blocked(&shop, &["approval-missing", "tests-missing"]);
    let bo = Reviewer::of(&shop, "bo");
    let mut terminal = bo.sits_down(&[]);
    terminal.wait_for("enter begins");
    let page = terminal.press_for("\r", "file 1 of 2");
    for line in [
        "agents: 1 of the added lines, by claude-code (declared)",
        "rule:   checkout-assisted (/services/checkout/**): assisted changes to the",
        "    1 *+ fn total() { round() }",
    ] {
        assert!(page.contains(line), "{line}\n{page}");
    }
    terminal.press_for("a", "file 2 of 2");
    let end = terminal.press_for("a", "what will be signed");
    assert!(end.contains("checkout-assisted (2 of 2 files): approved by bo"), "{end}");
    bo.signs(terminal);
    let satisfied = ["checkout-assisted approvals satisfied"];
    assert_eq!(approvals(&shop), satisfied);

    // Rebased: nobody is asked again.
    main_moves(&shop, "README.md", "the shop\n");
    chi_rebases(&shop);
    assert_eq!(approvals(&shop), satisfied);
    let (code, said) = bo.sits_down(&["--since-approved"]).end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("an earlier approval covers 2 files: nothing is left"), "{said}");

    // One line more: asked for that file, and that line, only.
    let round = "fn round() {\n    half_even();\n}\n";
    the_agent_commits(&shop, &[(ROUND, round)], "round half to even");
    offered(&shop);
    assert_eq!(approvals(&shop), ["checkout-assisted approvals missing"]);
    let mut terminal = bo.sits_down(&["--since-approved"]);
    terminal.wait_for("1 file, +");
    let page = terminal.press_for("\r", "file 1 of 1");
    for line in [
        ROUND,
        "only what changed since bo approved it",
        "    2  -     half_up();\n    2 *+     half_even();\n",
    ] {
        assert!(page.contains(line), "{line}\n{page}");
    }
    let end = terminal.press_for("a", "what will be signed");
    assert!(end.contains("checkout-assisted (2 of 2 files): approved by bo"), "{end}");
    bo.signs(terminal);
    assert_eq!(approvals(&shop), satisfied);
    ci(&shop, "checkout-unit");
    lands(&shop);
    verifies_without_us(&shop);
    tells_an_auditor(&shop);
}

/// Twenty lines of the cart, some of them replaced.
fn lines(replaced: &[(usize, &str)]) -> String {
    let line = |number: usize| {
        let other = replaced.iter().find(|(it, _)| *it == number);
        other.map_or(format!("// line {number}\n"), |(_, text)| format!("{text}\n"))
    };
    (1..=20).map(line).collect()
}

#[test]
fn who_rebases_over_the_same_file_is_not_asked_again() {
    let Some(shop) = example() else { return };
    main_moves(&shop, CART, &lines(&[]));
    chi_rebases(&shop);
    let round = "fn round() {}\n";
    let cart = lines(&[(10, "fn total() { round() }")]);
    the_agent_commits(&shop, &[(CART, &cart), (ROUND, round)], "round totals");
    offered(&shop);
    let bo = Reviewer::of(&shop, "bo");
    let mut terminal = bo.sits_down(&[]);
    terminal.wait_for("enter begins");
    terminal.press_for("\r", "file 1 of 2");
    terminal.press_for("a", "file 2 of 2");
    terminal.press_for("a", "what will be signed");
    bo.signs(terminal);
    let satisfied = ["checkout-assisted approvals satisfied"];
    assert_eq!(approvals(&shop), satisfied);

    // Somebody changed another place of the same file meanwhile.
    main_moves(&shop, CART, &lines(&[(2, "// on main")]));
    chi_rebases(&shop);
    assert_eq!(approvals(&shop), satisfied);
    let (code, said) = bo.sits_down(&["--since-approved"]).end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("an earlier approval covers 2 files: nothing is left"), "{said}");

    // One line more: asked for that file, and shown that line, not those of main.
    let cart = lines(&[(2, "// on main"), (10, "fn total() { round() }"), (18, "// more")]);
    the_agent_commits(&shop, &[(CART, &cart)], "say more");
    offered(&shop);
    assert_eq!(approvals(&shop), ["checkout-assisted approvals missing"]);
    let mut terminal = bo.sits_down(&["--since-approved"]);
    terminal.wait_for("1 file, +");
    let page = terminal.press_for("\r", "file 1 of 1");
    assert!(
        page.contains(CART) && page.contains("only what changed since bo approved it"),
        "{page}"
    );
    assert!(page.contains("- // line 18\n") && page.contains("+ // more\n"), "{page}");
    assert!(!page.contains("on main") && !page.contains("fn total"), "{page}");
    let end = terminal.press_for("a", "what will be signed");
    assert!(end.contains("checkout-assisted (2 of 2 files): approved by bo"), "{end}");
    bo.signs(terminal);
    assert_eq!(approvals(&shop), satisfied);
    ci(&shop, "checkout-unit");
    lands(&shop);
}

/// What landed is shown to be complete, in any clone; what landed past the
/// gate is shown not to be, and that change alone.
#[track_caller]
fn tells_an_auditor(shop: &Shop) {
    let auditor = shop.hub.clone_as("second-auditor", &[]);
    let start = auditor.git(&["rev-list", "--max-parents=0", "origin/main"]);
    let reviewed = format!("{start}..origin/main");
    let said = countersign(&auditor, &["audit", &reviewed]);
    assert!(said.passes(), "{}", said.text);
    let evidence = [
        format!("evidence for {reviewed} on refs/heads/main: complete\n"),
        "chi@example.com: round totals  * claude-code\n".to_owned(),
        "  checkout-assisted approvals satisfied: approved by bo\n".to_owned(),
        "  checkout-assisted tests satisfied: ".to_owned(),
        " approval by bo, ".to_owned(),
        " run by ci, ".to_owned(),
    ];
    for line in evidence {
        assert!(said.text.contains(&line), "{line}\n{}", said.text);
    }
    auditor.write(CART, "fn total() { panic!() }\n");
    commit_unwatched(&auditor, &format!("quickly{}", crate::shop::BY_CLAUDE));
    let said = countersign(&auditor, &["audit", "--format", "json", &format!("{start}..HEAD")]);
    assert_eq!(said.code, Some(1), "{}", said.text);
    let audit: serde_json::Value = serde_json::from_str(&said.text).unwrap();
    assert_eq!(
        (&audit["schema"], &audit["complete"]),
        (&"countersign.audit/1".into(), &false.into())
    );
    let changes = audit["changes"].as_array().unwrap();
    let open: Vec<&serde_json::Value> =
        changes.iter().filter(|it| it["complete"] == false).collect();
    assert_eq!(open.len(), 1, "{}", said.text);
    assert_eq!(open[0]["commits"][0]["subject"], "quickly");
    assert_eq!(open[0]["head"], auditor.oid("HEAD").as_str());
}

#[test]
fn a_prompt_is_reviewed_by_whoever_knows_models() {
    let Some(shop) = example() else { return };
    the_agent_commits(&shop, &[("models/ranker/tuning.toml", "temperature = 1.2\n")], "warmer");
    offered(&shop);
    blocked(&shop, &["approval-missing", "tests-missing"]);
    // A senior reads it, and is told that it takes somebody else.
    let ana = Reviewer::of(&shop, "ana");
    let mut terminal = ana.sits_down(&[]);
    terminal.wait_for("enter begins");
    terminal.press_for("\r", "file 1 of 1");
    let end = terminal.press_for("a", "what will be signed");
    assert!(end.contains("needs 1 approval from ml-senior, has none"), "{end}");
    terminal.press("q");
    assert_eq!(terminal.end().0, Some(1));
    let bo = Reviewer::of(&shop, "bo");
    let mut terminal = bo.sits_down(&["-m", "tried on the evaluation set"]);
    terminal.wait_for("enter begins");
    let page = terminal.press_for("\r", "file 1 of 1");
    assert!(page.contains("- temperature = 0.2\n    1 *+ temperature = 1.2\n"), "{page}");
    let end = terminal.press_for("a", "what will be signed");
    assert!(end.contains("note    tried on the evaluation set"), "{end}");
    bo.signs(terminal);
    main_moves(&shop, "README.md", "the shop\n");
    chi_rebases(&shop);
    assert_eq!(approvals(&shop), ["prompts-and-tuning approvals satisfied"]);
    ci(&shop, "prompt-evals");
    lands(&shop);
}

#[test]
fn infrastructure_is_reviewed_with_what_its_plan_does() {
    let Some(shop) = example() else { return };
    let database = "resource \"aws_db_instance\" \"db\" {}\n";
    the_agent_commits(&shop, &[("infra/prod/database.tf", database)], "rename the database");
    offered(&shop);
    blocked(&shop, &["approval-missing", "preview-missing"]);
    let plan = shop.ana.home().join("plan.json");
    std::fs::write(&plan, REPLACED).unwrap();
    let signer = shop.hub.clone_as("signer", &["--branch", "topic"]);
    let (plan, key) = (plan.to_str().unwrap(), key_of(&signer, "ci"));
    let words = ["preview", "--only", "plan-prod", "--plan", plan, "--key", key.to_str().unwrap()];
    let said = countersign(&signer, &words);
    assert_eq!(said.code, Some(1), "{}", said.text);
    sync(&signer);
    // What reads like a rename stands on the first page as what it is.
    let ana = Reviewer::of(&shop, "ana");
    let mut terminal = ana.sits_down(&[]);
    let page = terminal.wait_for("enter begins");
    assert!(page.contains("plan-prod: 1 replace in 1 place"), "{page}");
    assert!(page.contains("replace  aws_db_instance  aws_db_instance.db"), "{page}");
    terminal.press_for("\r", "file 1 of 1");
    let end = terminal.press_for("a", "what will be signed");
    assert!(end.contains("infra-preview (1 of 1 file): approved by ana"), "{end}");
    ana.signs(terminal);
    assert_eq!(approvals(&shop), ["infra-preview approvals satisfied"]);
    lands(&shop);
}

/// Stock git and ssh-keygen alone verify an approval, by the commands that
/// docs/threat-model.md gives.
#[track_caller]
fn verifies_without_us(shop: &Shop) {
    let page = std::fs::read_to_string("docs/threat-model.md").unwrap();
    let section = page.split("\n## A record without countersign\n").nth(1).unwrap();
    let script = section.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let clone = shop.hub.clone_as("auditor", &[]);
    let tree = clone.git(&["ls-tree", "-r", "--name-only", "origin/countersign-ledger"]);
    let text = |path: &str| clone.git(&["show", &format!("origin/countersign-ledger:{path}")]);
    let is_approval =
        |path: &&str| path.ends_with(".json") && text(path).contains("countersign:approval:v1");
    let approvals: Vec<&str> = tree.lines().filter(is_approval).collect();
    assert_eq!(approvals.len(), 2, "{tree}");
    let key = std::fs::read_to_string(clone.home().join("bo.pub")).unwrap();
    let run = |script: &str| {
        let mut command = clone.command("sh");
        command.args(["-e", "-c", script]);
        command.env("RECORD", approvals[0]).env("WHO", "bo").env("KEY", key.trim());
        Said::new(&command.output().unwrap())
    };
    let said = run(script);
    assert!(
        said.passes() && said.text.contains("Good \"countersign-approval-v1\" signature for bo"),
        "{}",
        said.text
    );
    assert!(said.text.starts_with(&tree), "{}", said.text);
    // One byte more, and it does not hold.
    let said = run(&script
        .replace("< record.json", "< record.json2")
        .replace("ssh-keygen -Y", "(cat record.json; echo) > record.json2\nssh-keygen -Y"));
    assert!(!said.passes(), "{}", said.text);
    // The record names the very objects that landed.
    let record: serde_json::Value = serde_json::from_str(&text(approvals[0])).unwrap();
    let files = record["predicate"]["content"]["files"].as_array().unwrap();
    let cart = files.iter().find(|it| it["path"] == CART).unwrap();
    assert_eq!(cart["new"]["oid"], clone.oid(&format!("origin/main:{CART}")).as_str());
}
