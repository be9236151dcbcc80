//! Reading policies: what they mean, and what is refused where.

use std::time::Duration;

use countersign::gate::change::RepoPath;
use countersign::gate::policy::lint::{LintCode, LintFinding, lint};
use countersign::gate::policy::resolved::outline;
use countersign::gate::policy::{
    Carry, Comparison, Mode, Narrow, Policy, PolicyError, Presence, Stage,
};
use countersign::gate::requirement::Requirement;

/// Every table and key that there is.
pub(crate) const FULL: &str = include_str!("../fixtures/policy/full.toml");

#[test]
fn every_table_and_key_is_understood() {
    let policy = Policy::parse(FULL, "countersign.toml").unwrap();
    assert_eq!(policy.people["ana"].emails, ["ana@example.com"]);
    assert_eq!(policy.people["ana"].keys[0].presence, Presence::Touch);
    assert_eq!(policy.owner(&policy.people["bo"].keys[0].fingerprint).unwrap().name, "bo");
    assert_eq!(policy.groups["everybody"].iter().collect::<Vec<_>>(), ["ana", "bo", "chi"]);
    assert_eq!(policy.disclosure.key, "Assisted-by");
    let rule = &policy.rules[0];
    assert_eq!(rule.when.share, Some(Comparison { or_equal: false, thousandths: 500 }));
    assert_eq!(rule.when.files, Some(Comparison { or_equal: true, thousandths: 30_000 }));
    let stages =
        rule.require.iter().map(|it| (it.requirement.word(), it.stage)).collect::<Vec<_>>();
    assert_eq!(
        stages,
        [
            ("approvals", Stage::Push),
            ("approvals", Stage::Merge),
            ("tests", Stage::Push),
            ("coverage", Stage::Push),
            ("preview", Stage::Push),
            ("disclosure", Stage::Commit),
        ]
    );
    let Requirement::Approvals(approvals) = &rule.require[1].requirement else { panic!() };
    assert_eq!(approvals[0].carry, Carry::CleanMerge);
    assert_eq!(approvals[0].max_age, Some(Duration::from_secs(30 * 86_400)));
    let test = &policy.tests["checkout-unit"];
    assert_eq!(test.run, ["cargo", "test", "-p", "check out"]);
    assert_eq!(test.reports.coverage, ["target/lcov.info"]);
    assert_eq!(policy.previews["plan-prod"].limits["places"], 1);
    assert_eq!(policy.waiver.unwrap().max, Duration::from_secs(4 * 3600));
    assert_eq!(policy.agents[0].id, "house-bot");
    assert_eq!(policy.examples[0].expect_block, Some(true));
}

#[test]
fn what_is_not_written_has_the_documented_default() {
    let policy = Policy::parse("[test.unit]\nrun = \"true\"", "countersign.toml").unwrap();
    assert_eq!(policy.mode, Mode::Enforce);
    assert_eq!(policy.trust.target, "refs/heads/main");
    assert_eq!(policy.trust.protect.patterns, ["refs/heads/main"]);
    assert_eq!(policy.trust.ledger, "refs/heads/countersign-ledger");
    assert_eq!(policy.trust.narrow, Narrow::Never);
    assert!(policy.trust.gate.matches(&RepoPath::new(".github/workflows/ci.yml")));
    assert!(policy.trust.repo_id.is_none() && policy.waiver.is_none() && !policy.disclosure.write);
    assert_eq!(policy.tests["unit"].timeout, Duration::from_secs(600));
    let built_in = Policy::built_in();
    assert_eq!((built_in.mode, built_in.rules.len()), (Mode::Observe, 0));
    assert_eq!((built_in.source.from.as_str(), built_in.source.sha256), ("built-in", None));
}

/// `text` may hold a rule alone: two people, a group, a test and a `[trust]` stand behind it.
fn parse(text: &str) -> Result<Policy, PolicyError> {
    const BEHIND: &str = "\n[people.ana]\nkind = \"human\"\n[people.bo]\nkind = \"human\"\n[groups]\nsenior = [\"ana\"]\n[test.unit]\nrun = \"true\"\n[trust]\nrepo_id = \"r\"\n";
    let whole =
        if text.starts_with("[[rule]]") { format!("{text}{BEHIND}") } else { text.to_owned() };
    Policy::parse(&whole, "countersign.toml")
}

#[track_caller]
fn refused(text: &str, expected: snapbox::data::Inline) {
    let error = parse(text).expect_err("refused").to_string();
    snapbox::assert_data_eq!(format!("{error}\n"), expected);
}

#[test]
fn a_mistake_is_shown_where_it_stands() {
    use snapbox::str;
    refused(
        "[[rule]]\nid = \"a\"\nrequire.aprovals = [{ count = 1 }]",
        str![[r#"
countersign.toml:3:9: unknown key `aprovals`
  |
3 | require.aprovals = [{ count = 1 }]
  |         ^^^^^^^^
hint: did you mean `approvals`?

"#]],
    );
    refused(
        "[people.ana]\nkind = \"humen\"",
        str![[r#"
countersign.toml:2:8: unknown word `humen`
  |
2 | kind = "humen"
  |        ^^^^^^^
hint: did you mean `human`?

"#]],
    );
    refused(
        "[people.ana]\nemails = []",
        str![[r#"
countersign.toml:1:1: the key `kind` is missing
  |
1 | [people.ana]
  | ^^^^^^^^^^^^

"#]],
    );
    refused(
        "mode = ",
        str![[r#"
countersign.toml:1:8: string values must be quoted, expected literal string
  |
1 | mode = 
  |        ^

"#]],
    );
    refused(
        "schema = 2",
        str![[r#"
countersign.toml:1:10: schema 2 is not known
  |
1 | schema = 2
  |          ^
hint: this version knows `schema = 1`

"#]],
    );
    refused(
        "min_version = \"99.0\"\n[later]\nthing = 1",
        str![[r#"
countersign.toml:1:15: this policy needs countersign 99.0 or newer, and this is 0.1.0
  |
1 | min_version = "99.0"
  |               ^^^^^^
hint: update countersign

"#]],
    );
    refused(
        "[[rule]]\nid = \"a\"\nrequire.approvals = [{ from = [\"seniors\"] }]",
        str![[r#"
countersign.toml:3:32: there is no group or person `seniors`
  |
3 | require.approvals = [{ from = ["seniors"] }]
  |                                ^^^^^^^^^
hint: did you mean `senior`?

"#]],
    );
    refused(
        "[[rule]]\nid = \"a\"\nrequire.tests = [\"unti\"]",
        str![[r#"
countersign.toml:3:18: there is no test `unti`
  |
3 | require.tests = ["unti"]
  |                  ^^^^^^
hint: did you mean `unit`?

"#]],
    );
    refused(
        "[[rule]]\nid = \"a\"\nrequire.preview = [\"plan\"]",
        str![[r#"
countersign.toml:3:20: there is no preview `plan`
  |
3 | require.preview = ["plan"]
  |                    ^^^^^^
hint: define it as `[preview.plan]`

"#]],
    );
    refused(
        "[[rule]]\nid = \"a\"\nrequire.tests = { names = [\"unit\"], stage = \"commit\" }",
        str![[r#"
countersign.toml:3:45: `tests` cannot be enforced at `commit`: what is judged is not there yet
  |
3 | require.tests = { names = ["unit"], stage = "commit" }
  |                                             ^^^^^^^^
hint: use `push` or `merge`

"#]],
    );
    refused(
        "[[rule]]\nid = \"a\"\nrequire.tests = { name = [\"unit\"] }",
        str![[r#"
countersign.toml:3:19: unknown key `name`
  |
3 | require.tests = { name = ["unit"] }
  |                   ^^^^
hint: did you mean `names`?

"#]],
    );
    refused(
        "[[rule]]\nid = \"a\"\npaths = [\"!x\"]",
        str![[r#"
countersign.toml:3:10: `!x` is a negation, which patterns here do not have; use `except`
  |
3 | paths = ["!x"]
  |          ^^^^

"#]],
    );
    refused(
        "[[rule]]\nid = \"a\"\n[[rule]]\nid = \"a\"",
        str![[r#"
countersign.toml:4:6: there is another rule `a`
  |
4 | id = "a"
  |      ^^^

"#]],
    );
    refused(
        "[[rule]]\nid = \"a\"\nwhen = { assisted = false }",
        str![[r#"
countersign.toml:3:21: this would let a mark lift the rule, and marks only ever raise what is required
  |
3 | when = { assisted = false }
  |                     ^^^^^
hint: leave the key out to match every change

"#]],
    );
    refused(
        "[[rule]]\nid = \"a\"\nwhen = { share = \"<0.5\" }",
        str![[r#"
countersign.toml:3:18: more assistance or a bigger change would lift this rule
  |
3 | when = { share = "<0.5" }
  |                  ^^^^^^
hint: write a bound that is exceeded, as ">0.5"

"#]],
    );
    refused(
        "[[rule]]\nid = \"a\"\nwhen = { lines = \"many\" }",
        str![[r#"
countersign.toml:3:18: this is no bound; write it as ">400"
  |
3 | when = { lines = "many" }
  |                  ^^^^^^

"#]],
    );
    refused(
        "[[rule]]\nid = \"a\"\nwhen = { share = \">1\" }",
        str![[r#"
countersign.toml:3:18: a share lies between 0 and 1, so this is never reached
  |
3 | when = { share = ">1" }
  |                  ^^^^

"#]],
    );
    refused(
        "[people.ana]\nkind = \"human\"\nkeys = [{ key = \"ssh-ed25519 AAAA…\" }]",
        str![[r#"
countersign.toml:3:17: the key's base64 is damaged or cut short
  |
3 | keys = [{ key = "ssh-ed25519 AAAA…" }]
  |                 ^^^^^^^^^^^^^^^^^^^

"#]],
    );
    refused(
        "[people.a]\nkind = \"human\"\n[[rule]]\nid = \"x\"\nrequire.approvals = [{}]",
        str![[r#"
countersign.toml:4:6: rules that ask for approvals need `repo_id` in `[trust]`
  |
4 | id = "x"
  |      ^^^
hint: approvals name the repository they are for: add `repo_id = "NAME"` to `[trust]`

"#]],
    );
    refused(
        "[trust]\ntarget = \"main\"",
        str![[r#"
countersign.toml:2:10: `main` is no full branch name
  |
2 | target = "main"
  |          ^^^^^^
hint: write `refs/heads/main`

"#]],
    );
    refused(
        "[trust]\nprotect = [\"main\"]",
        str![[r#"
countersign.toml:2:12: `main` is no full ref name; write `refs/heads/main`
  |
2 | protect = ["main"]
  |            ^^^^^^

"#]],
    );
    refused(
        "[groups]\nsenior = [\"ana\"]",
        str![[r#"
countersign.toml:2:11: there is no person or group `ana`
  |
2 | senior = ["ana"]
  |           ^^^^^
hint: expected one of `senior`

"#]],
    );
    refused(
        "[test.unit]\nrun = \"echo 'a\"",
        str![[r#"
countersign.toml:2:7: a quotation in this command does not end
  |
2 | run = "echo 'a"
  |       ^^^^^^^^^

"#]],
    );
    refused(
        "[test.unit]\nrun = \"true\"\nprove = \"fail-on-base\"",
        str![[r#"
countersign.toml:3:9: unknown word `fail-on-base`
  |
3 | prove = "fail-on-base"
  |         ^^^^^^^^^^^^^^
hint: expected one of `revert`, `mutate`

"#]],
    );
    refused(
        "[test.unit]\nrun = \"true\"\ntimeout = \"10\"",
        str![[r#"
countersign.toml:3:11: this is no length of time
  |
3 | timeout = "10"
  |           ^^^^
hint: write it as `90s`, `10m`, `24h`, `30d` or `2w`

"#]],
    );
    refused(
        "[test.unit]\nrun = \"true\"\nreports = { junit = \"../x\" }",
        str![[r#"
countersign.toml:3:21: `../x` is no path below the root
  |
3 | reports = { junit = "../x" }
  |                     ^^^^^^

"#]],
    );
    refused(
        "[[revoked]]\nkey = \"SHA256:abc\"",
        str![[r#"
countersign.toml:2:7: this is no fingerprint of a key
  |
2 | key = "SHA256:abc"
  |       ^^^^^^^^^^^^
hint: `ssh-keygen -lf KEY.pub` prints it: `SHA256:` and 43 characters

"#]],
    );
    refused(
        "[nested]\nfiles = [\"services/*\"]",
        str![[r#"
countersign.toml:2:10: nested policies are files in folders
  |
2 | files = ["services/*"]
  |          ^^^^^^^^^^^^
hint: let the pattern end in `/countersign.toml`, as in `services/*/countersign.toml`

"#]],
    );
}

#[test]
fn a_policy_that_is_too_large_is_refused() {
    let error = parse(&format!("#{}", " ".repeat(1 << 20))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "countersign.toml: a policy file of 1048577 bytes is larger than 1048576"
    );
}

const NESTED: &str = r#"
[groups]
team = ["ana", "senior"]
[test.unit]
run = "make"
inputs = ["*.rs"]
[[rule]]
id = "ours"
paths = ["/src/**"]
require.approvals = [{ from = ["team"] }, { from = ["senior"] }]
require.tests = ["unit"]
"#;

fn nested(text: &str) -> Result<Policy, PolicyError> {
    let root = Policy::parse(FULL, "countersign.toml").unwrap();
    root.with_nested(&[(RepoPath::new("services/checkout/countersign.toml"), text.to_owned())])
}

#[test]
fn a_nested_policy_adds_below_its_folder() {
    let policy = nested(NESTED).unwrap();
    let rule = policy.rules.last().unwrap();
    assert_eq!(rule.id, "services/checkout:ours");
    assert_eq!(rule.scope.folder, "services/checkout/");
    let under = |path: &str| rule.scope.pattern(&RepoPath::new(path)).is_some();
    assert!(under("services/checkout/src/a.rs"));
    assert!(!under("src/a.rs") && !under("services/checkout/a.rs"));
    let Requirement::Approvals(approvals) = &rule.require[0].requirement else { panic!() };
    assert_eq!(approvals[0].from, ["services/checkout:team"]);
    assert_eq!(approvals[1].from, ["senior"]);
    assert_eq!(policy.groups["services/checkout:team"].iter().collect::<Vec<_>>(), ["ana", "bo"]);
    let inputs = policy.tests["services/checkout:unit"].inputs.as_ref().unwrap();
    assert!(inputs.matches(&RepoPath::new("services/checkout/a/b.rs")));
    assert!(!inputs.matches(&RepoPath::new("services/b.rs")));
    let root = Policy::parse(FULL, "countersign.toml").unwrap();
    assert_ne!(policy.source.sha256, root.source.sha256);
    assert_eq!(policy.tests["checkout-unit"].digest, root.tests["checkout-unit"].digest);
}

#[test]
fn a_nested_policy_cannot_do_more() {
    use snapbox::str;
    let check = |text: &str, expected: snapbox::data::Inline| {
        let error = nested(text).expect_err("refused").to_string();
        snapbox::assert_data_eq!(format!("{error}\n"), expected);
    };
    check(
        "[people.eve]\nkind = \"human\"",
        str![[r#"
services/checkout/countersign.toml:1:2: a nested policy can only add, and has no `people`
  |
1 | [people.eve]
  |  ^^^^^^
hint: move `people` to the policy at the root

"#]],
    );
    check(
        "mode = \"observe\"",
        str![[r#"
services/checkout/countersign.toml:1:1: a nested policy can only add, and has no `mode`
  |
1 | mode = "observe"
  | ^^^^
hint: move `mode` to the policy at the root

"#]],
    );
    check(
        "[[rules]]\nid = \"a\"",
        str![[r#"
services/checkout/countersign.toml:1:3: unknown key `rules`
  |
1 | [[rules]]
  |   ^^^^^
hint: did you mean `rule`?

"#]],
    );
    check(
        "[groups]\nana = [\"bo\"]",
        str![[r#"
services/checkout/countersign.toml:2:1: `ana` is a person already; a group needs another name
  |
2 | ana = ["bo"]
  | ^^^

"#]],
    );
    let root = Policy::parse(FULL, "countersign.toml").unwrap();
    let elsewhere = [(RepoPath::new("tools/countersign.toml"), NESTED.to_owned())];
    let error = root.with_nested(&elsewhere).unwrap_err().to_string();
    snapbox::assert_data_eq!(
        format!("{error}\n"),
        str![[r#"
tools/countersign.toml: this is no place for a nested policy; `nested.files` names them

"#]]
    );
}

#[test]
fn a_key_of_two_people_proves_neither() {
    let shared = FULL.replace(
        "[people.chi]\nkind = \"human\"",
        &format!(
            "[people.chi]\nkind = \"human\"\nkeys = [{{ key = \"{}\" }}]",
            Policy::parse(FULL, "x").unwrap().people["bo"].keys[0].openssh
        ),
    );
    let policy = Policy::parse(&shared, "countersign.toml").unwrap();
    assert!(policy.owner(&policy.people["bo"].keys[0].fingerprint).is_none());
    assert_eq!(policy.owner(&policy.people["ana"].keys[0].fingerprint).unwrap().name, "ana");
}

/// The three scenarios, as people are told to copy them.
pub(crate) const EXAMPLE: &str = include_str!("../../policy.example.toml");

/// What a repository holds for which the example was written.
const SHOP: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "countersign.toml",
    "services/checkout/src/cart.rs",
    "services/checkout/README.md",
    "services/search/rank.prompt.md",
    "prompts/system.txt",
    "models/rank/tuning.toml",
    "evals/rank.py",
    "infra/prod/main.tf",
    "infra/prod/README.md",
    "infra/modules/net/main.tf",
];

fn lint_text(text: &str, tracked: &[&str]) -> String {
    let policy = Policy::parse(text, "countersign.toml").unwrap();
    let tracked = tracked.iter().map(|it| RepoPath::new(*it)).collect::<Vec<_>>();
    let line = |it: LintFinding| {
        format!("{:?} {} {}: {}\n", it.level, it.code.as_str(), it.place, it.message)
    };
    lint(&policy, &tracked).into_iter().map(line).collect()
}

#[test]
fn the_example_is_clean() {
    snapbox::assert_data_eq!(lint_text(EXAMPLE, SHOP), snapbox::str![""]);
}

#[test]
fn mistakes_that_are_valid_are_found() {
    snapbox::assert_data_eq!(
        lint_text(FULL, &["services/checkout/a.md", "b"]),
        snapbox::str![[r#"
Warn presence-without-hardware people.ana: `SHA256:hKO/G/jhx3LI8vyXvRXWTfrrArgfnZCVvS2HR/HMpd4` is no security key, and its signatures show no presence
Warn person-without-email people.chi: without `emails`, commits of this person are not known as theirs, and they could approve them
Warn rule-never-applies rule assisted-needs-senior: `except` takes away every tracked file that `paths` matches
Warn glob-matches-nothing rule no-agents-in-billing: the pattern `billing/` matches no tracked file
Warn glob-matches-nothing test.checkout-unit: the pattern `Cargo.*` matches no tracked file
Warn glob-matches-nothing test.checkout-unit: the pattern `package-lock.json` matches no tracked file

"#]]
    );
    let ana = Policy::parse(FULL, "x").unwrap().people["ana"].keys[0].openssh.clone();
    let text = format!(
        r#"
[trust]
repo_id = "r"
protect = ["refs/heads/release/*"]
narrow = "signed"
[people.ana]
kind = "human"
emails = ["ana@example.com"]
keys = [{{ key = "{ana}" }}]
[people.bo]
kind = "human"
emails = ["ANA@example.com"]
keys = [{{ key = "{ana}" }}]
[people.helper]
kind = "agent"
[groups]
senior = ["ana", "bo", "helper"]
nobody = []
[[rule]]
id = "nothing"
when = {{ agents = ["claude-code", "klaude"] }}
[[rule]]
id = "many"
require.approvals = [{{ count = 3, from = ["senior"] }}]
[test.unit]
run = "true"
accept = ["ci"]
inputs = ["*.rs"]
[waiver]
from = ["senior"]
max = "4h"
never = ["may"]
"#
    );
    snapbox::assert_data_eq!(
        lint_text(&text, &["a.md"]),
        snapbox::str![[r#"
Block duplicate-key people.bo: the key `SHA256:hKO/G/jhx3LI8vyXvRXWTfrrArgfnZCVvS2HR/HMpd4` stands at `ana`, `bo` and proves none of them
Warn duplicate-email people.bo: the address `ana@example.com` stands at `ana`, `bo`
Warn empty-group groups.nobody: this group has no members
Warn target-unprotected trust: `protect` does not name the target, `refs/heads/main`
Warn rule-asks-nothing rule nothing: this rule neither requires nor denies anything
Warn unknown-agent rule nothing: no agent has the id `klaude`
Block group-too-small rule many: 3 approval(s) of `senior` are asked for, and 0 of them are humans with a key: nobody could satisfy it
Warn not-human rule many: `helper` is no human, and never counts
Warn owner-without-key rule many: `ana`, `bo` have no key to approve with
Block group-too-small rule policy-change (built in): 1 approval(s) of `senior` are asked for, and 0 of them are humans with a key: nobody could satisfy it
Note test-unused test.unit: no rule requires this test
Block no-service test.unit: `accept = ["ci"]` counts what a person of `kind = "service"` signed, and there is none
Warn glob-matches-nothing test.unit: the pattern `*.rs` matches no tracked file
Warn unknown-rule waiver: no rule has the id `may`

"#]]
    );
}

#[test]
fn the_only_other_person_cannot_be_the_author() {
    let ana = Policy::parse(FULL, "x").unwrap().people["ana"].keys[0].openssh.clone();
    let solo = |solo: bool| {
        format!(
            "[trust]\nrepo_id = \"r\"\nsolo = {solo}\n[people.ana]\nkind = \"human\"\nemails = [\"ana@example.com\"]\nkeys = [{{ key = \"{ana}\" }}]\n[[rule]]\nid = \"a\"\nrequire.approvals = [{{}}]\n"
        )
    };
    snapbox::assert_data_eq!(
        lint_text(&solo(false), &[]),
        snapbox::str![[r#"
Warn group-too-small rule a: 1 approval(s) of all people are asked for, and 1 of them are humans with a key: none of them could be the author

"#]]
    );
    snapbox::assert_data_eq!(lint_text(&solo(true), &[]), snapbox::str![]);
}

#[test]
fn a_push_that_waits_for_ci_is_found_with_the_words_that_help() {
    let policy = |stage: &str, accept: &str| {
        format!(
            "[people.ci]\nkind = \"service\"\n[[rule]]\nid = \"tested\"\n\
             require.tests = {{ names = [\"unit\", \"lint\"]{stage} }}\nrequire.coverage = {{ min = 0.85{stage} }}\n\
             require.preview = [\"plan\"]\n[test.lint]\nrun = \"true\"\n\
             [test.unit]\nrun = \"true\"\naccept = {accept}\nreports = {{ coverage = \"lcov.info\" }}\n\
             [preview.plan]\nengine = \"terraform\"\nrun = \"true\"\naccept = [\"ci\"]\n"
        )
    };
    let found = |text: &str| {
        let text = lint_text(text, &[]);
        let lines = text.lines().filter(|line| line.contains("push-waits-for-ci"));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    snapbox::assert_data_eq!(
        found(&policy("", "[\"ci\"]")),
        snapbox::str![[r#"
Warn push-waits-for-ci rule tested: of `unit` only CI's results count, and a push asks for them before CI has seen the change: write `require.tests = { names = ["unit", "lint"], stage = "merge" }`
Warn push-waits-for-ci rule tested: of `unit` only CI's results count, and a push asks for them before CI has seen the change: write `require.coverage = { min = 0.85, stage = "merge" }`

"#]]
    );
    // What it says to write helps, and where people's own runs count there is nothing to find.
    assert_eq!(found(&policy(", stage = \"merge\"", "[\"ci\"]")), "");
    assert_eq!(found(&policy("", "[\"local\", \"ci\"]")), "");
    let early = policy("", "[\"local\"]").replace(
        "require.preview = [\"plan\"]",
        "require.preview = { names = [\"plan\"], stage = \"push\" }",
    );
    assert!(found(&early).contains("`plan`"), "{}", found(&early));
}

#[test]
fn lint_codes_are_unique_words() {
    let words =
        LintCode::ALL.iter().map(|it| it.as_str()).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(words.len(), LintCode::ALL.len());
    assert!(
        words.iter().all(|it| it.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'))
    );
    assert!(LintCode::ALL.iter().all(|it| it.description().ends_with('.')));
}

#[test]
fn the_resolved_policy_is_shown_whole() {
    let policy = nested(NESTED).unwrap();
    snapbox::assert_data_eq!(
        outline(&policy),
        snapbox::str![[r#"
source
  from: countersign.toml
  sha256: 061ccd11d52dbba2343315fa74a3f309d53fa267974557347ec6c08f3572e0ca
mode: enforce
trust
  gate: /.github/workflows/**
  ledger: refs/heads/countersign-ledger
  narrow: never
  protect: refs/heads/main, refs/heads/release/*
  pusher_env: GL_USERNAME
  reformatted: true
  repo_id: shop-monorepo
  solo: false
  target: refs/heads/main
  unverified_authors: one
disclosure
  key: Assisted-by
  strict: false
  trailer: require
  write: true
people
  ana
    emails: ana@example.com
    keys ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINb5Tc5HURPZ9A7QuBYTFAqmLEuaA405SvlxB3UliVuZ
      fingerprint: SHA256:hKO/G/jhx3LI8vyXvRXWTfrrArgfnZCVvS2HR/HMpd4
      key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINb5Tc5HURPZ9A7QuBYTFAqmLEuaA405SvlxB3UliVuZ
      presence: touch
    kind: human
  bo
    emails: bo@example.com
    keys ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC7J062zgmHM2YXh3jS24mLalUhck2f3FetsVJzDGtu4
      fingerprint: SHA256:rYVmAuSvUBjR9orulcLTYhsTOaJHMFC8i/bcmEvWDa8
      key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC7J062zgmHM2YXh3jS24mLalUhck2f3FetsVJzDGtu4
      presence: none
    kind: human
  chi
    kind: human
  ci
    keys ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIYQEf4EjOtmGiRsbPATI+lNmTaX1YZRjSduqaVWKP9q
      fingerprint: SHA256:dL+UQpnsPA7UdGzvvnQLtvmjz9w4ctMs0+bcX9BUmVc
      key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIYQEf4EjOtmGiRsbPATI+lNmTaX1YZRjSduqaVWKP9q
      presence: none
    kind: service
groups
  everybody: ana, bo, chi
  ml-senior: chi
  senior: ana, bo
  services/checkout:team: ana, bo
revoked SHA256:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxw
  after: ledger:0123456789abcdef0123456789abcdef01234567
  key: SHA256:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxw
  why: laptop stolen
rules assisted-needs-senior
  except: **/*.md
  id: assisted-needs-senior
  paths: services/checkout/**
  require approvals
    asked 1
      carry: exact
      count: 1
      presence: none
    name: approvals
    stage: push
  require approvals
    asked 1
      carry: clean-merge
      count: 1
      from: senior
      max_age: 30d
      presence: none
    name: approvals
    stage: merge
  require tests
    asked: checkout-unit
    name: tests
    stage: push
  require coverage
    asked
      min_thousandths: 800
    name: coverage
    stage: push
  require preview
    asked: plan-prod
    name: preview
    stage: push
  require disclosure
    asked: true
    name: disclosure
    stage: commit
  unless
    author: senior
  when
    agents: claude-code
    assisted: true
    files: >=30
    lines: >400
    share: >0.5
    unattributed: true
  why: assisted changes to checkout need a senior who did not write or prompt them
rules no-agents-in-billing
  deny
    stage: commit
  id: no-agents-in-billing
  paths: billing/
  when
    assisted: true
rules services/checkout:ours
  folder: services/checkout/
  id: services/checkout:ours
  paths: /src/**
  require approvals
    asked 1
      carry: exact
      count: 1
      from: services/checkout:team
      presence: none
    asked 2
      carry: exact
      count: 1
      from: senior
      presence: none
    name: approvals
    stage: merge
  require tests
    asked: services/checkout:unit
    name: tests
    stage: push
tests
  checkout-unit
    accept: local, ci
    digest: 8de1182922cc2e612d3357cfb1c438d95ebb90fbe2cc2dfe630cfae52ac8151c
    inputs: services/checkout/**, Cargo.*
    network: true
    on: head
    reports
      coverage: target/lcov.info
      junit: target/junit.xml
    retries: 0
    run: cargo, test, -p, check out
    setup: npm, ci
    setup_inputs: package-lock.json
    tier: normal
    timeout: 10m
  services/checkout:unit
    digest: 86c758369a14ed8081eb0d66802828a51882b014910ace9fc207ce842415c9e1
    inputs: *.rs
    network: true
    on: head
    retries: 0
    run: make
    tier: normal
    timeout: 10m
previews
  plan-prod
    accept: local, ci
    engine: terraform
    limits
      deletes: 0
      forgets: 0
      places: 1
      removals: 0
      replaces: 0
    max_age: 1d
    protect 1
      actions: delete, replace, removal, forget
      count: 1
      from: senior
      types: aws_security_group*, aws_iam_*
    root: infra/prod
    run: terraform, plan, -out={out}
    timeout: 10m
waiver
  from: senior
  max: 4h
  never: policy-change
  review_within: 2d
nested
  files: services/*/countersign.toml
agents house-bot
  id: house-bot
  trailers: <house-bot@example.com>
examples assisted change in checkout
  change
    assisted: true
    author: eve
    files: services/checkout/a.rs
  expect
    rules: assisted-needs-senior
    verdict: block
  name: assisted change in checkout

"#]]
    );
}

#[test]
fn what_a_test_cannot_be_is_refused() {
    for (table, part) in [
        ("run = \"make {packages}\"", "whose packages `{packages}` names is not clear"),
        ("run = \"make\"\nworkspace = \"web\"", "runs for all of them"),
        ("run = \"cargo test\"\nsetup = \"cargo fetch {packages}\"", "belongs into `run` alone"),
        ("run = \"cargo test -p {packages}\"\nworkspace = \"../web\"", "no path below the root"),
        ("run = \"make\"\nretries = 6", "has failed"),
        (
            "run = \"make\"\non = \"merge\"\nprove = \"revert\"\nreports = { junit = \"x.xml\" }",
            "`prove` goes with `on = \"head\"`",
        ),
        ("run = \"make\"\ntier = \"slowest\"", "slowest"),
    ] {
        let error = parse(&format!("[test.unit]\n{table}\n")).expect_err(table).to_string();
        assert!(error.contains(part), "{table}: {error}");
    }
    let preview = "[preview.plan]\nengine = \"json\"\nrun = \"plan {packages}\"\n";
    assert!(parse(preview).unwrap_err().to_string().contains("a preview has no `{packages}`"));
    parse("[test.unit]\nrun = \"cargo test -p {packages}\"\nworkspace = \"rust\"\n").unwrap();
}
