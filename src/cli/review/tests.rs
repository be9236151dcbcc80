//! Whole screens, key by key.

use snapbox::IntoData;

use super::*;
use crate::gate::attribution::AttributedRange;
use crate::gate::change::{Entry, FileStatus, LineRange, Oid, RepoPath};
use crate::gate::review::FileBody;
use crate::gate::review::{
    Earlier, RawHunk, RawLine, ReviewedCommit, ReviewedRequirement, ReviewedRule, RuleBeside, Side,
    Since, shown,
};
use crate::gate::signal::Strength;
use crate::gate::time::Timestamp;
use crate::gate::verdict::State;

fn oid(digit: char) -> Oid {
    Oid::parse(&digit.to_string().repeat(40)).expect("forty digits")
}

fn hunk(start: u64, lines: &[&str]) -> RawHunk {
    let line = |text: &&str| RawLine {
        side: match text.as_bytes()[0] {
            b'+' => Side::Added,
            b'-' => Side::Removed,
            _ => Side::Kept,
        },
        bytes: text.as_bytes()[1..].to_vec(),
        unended: false,
    };
    RawHunk { old_start: start, new_start: start, lines: lines.iter().map(line).collect() }
}

fn file(path: &str, hunks: &[RawHunk]) -> ReviewedFile {
    let ranges = [AttributedRange {
        lines: LineRange { start: 2, end: 3 },
        agent: "claude-code".to_owned(),
        strength: Strength::Declared,
    }];
    ReviewedFile {
        path: RepoPath::new(path),
        status: FileStatus::Modified,
        old: Some(Entry { mode: 0o100_644, oid: oid('1') }),
        new: Some(Entry { mode: 0o100_644, oid: oid('2') }),
        added: 2,
        removed: 1,
        assisted: true,
        assisted_added: 2,
        agents: vec!["claude-code (declared)".to_owned()],
        rules: vec![RuleBeside {
            rule: "checkout-assisted".to_owned(),
            why: Some(
                "assisted changes to the checkout need a senior who did not write or prompt them"
                    .to_owned(),
            ),
            pattern: Some("/services/checkout/**".to_owned()),
        }],
        earlier: Vec::new(),
        wanted: true,
        covered: false,
        own: false,
        body: FileBody::Hunks(shown(hunks, &ranges)),
        since: None,
    }
}

fn cart() -> ReviewedFile {
    let hunks = [
        hunk(
            1,
            &[
                " fn total(prices: &[u64]) -> u64 {",
                "-    prices.iter().sum()",
                "+    let sum: u64 = prices.iter().sum();",
                "+    round(sum)",
                " }",
            ],
        ),
        hunk(
            40,
            &[
                " // the end",
                "+fn a_function_with_a_name_that_is_so_long_that_its_line_does_not_fit_on_the_screen() {}",
            ],
        ),
    ];
    file("services/checkout/src/cart.rs", &hunks)
}

/// The same file after bo had approved it once.
fn cart_again() -> ReviewedFile {
    let since = hunk(3, &["-    round(sum)", "+    round_up(sum)"]);
    ReviewedFile {
        earlier: vec![Earlier {
            person: "bo".to_owned(),
            record: "ab".repeat(32),
            at: Timestamp(1_795_421_000),
            covers: false,
            carried: false,
            approved: None,
        }],
        since: Some(Since { person: "bo".to_owned(), hunks: shown(&[since], &[]) }),
        ..cart()
    }
}

fn sitting(files: Vec<ReviewedFile>) -> Sitting {
    let review = Review {
        schema: "countersign.review/1",
        range: "main..topic".to_owned(),
        target: "refs/heads/main".to_owned(),
        base: oid('a'),
        head: oid('b'),
        passes: false,
        added: 4,
        removed: 2,
        assisted_added: 4,
        agents: vec!["claude-code".to_owned()],
        commits: vec![ReviewedCommit {
            id: oid('b'),
            author: "ana@example.com".to_owned(),
            subject: "Round totals \u{1b}[31m".to_owned(),
            marks: vec!["claude-code (declared)".to_owned()],
        }],
        rules: vec![ReviewedRule {
            id: "checkout-assisted".to_owned(),
            why: Some("somebody else looks".to_owned()),
            files: files.iter().map(|it| it.path.clone()).collect(),
            requirements: vec![
                ReviewedRequirement {
                    requirement: "approvals",
                    state: State::Missing,
                    detail: "needs 1 approval from senior, has none".to_owned(),
                },
                ReviewedRequirement {
                    requirement: "tests",
                    state: State::Satisfied,
                    detail: "checkout-unit passed on this tree".to_owned(),
                },
            ],
        }],
        previews: Vec::new(),
        files,
    };
    Sitting::new(review, None, |_| 1)
}

/// What stands on the screen, without its colours.
fn seen(sitting: &mut Sitting) -> String {
    let rows = sitting.screen();
    let text = |row: &Row| row.spans.iter().map(|(_, text)| text.as_str()).collect::<String>();
    assert!(rows.iter().all(|row| text(row).chars().count() <= sitting.size.0));
    assert_eq!(rows.len(), sitting.size.1);
    rows.iter().map(|row| format!("{}\n", text(row).trim_end())).collect()
}

fn press(sitting: &mut Sitting, keys: &str) -> Vec<Effect> {
    let mut effects = Vec::new();
    for key in keys.chars() {
        let key = match key {
            '⏎' => Key::Enter,
            '⌫' => Key::Backspace,
            it => Key::Char(it),
        };
        effects.push(sitting.press(key));
        sitting.screen();
    }
    effects.retain(|it| *it != Effect::None);
    effects
}

#[test]
fn the_change_stands_on_the_first_page() {
    let mut sitting = sitting(vec![cart(), file("a\u{202e}b", &[])]);
    snapbox::assert_data_eq!(
        seen(&mut sitting),
        snapbox::str![[r#"
review main..topic for main                                             2 files
2 files, +4 -2; 4 of the added lines by claude-code
commits
  bbbbbbbbbbbb ana@example.com: Round totals \u{1b}[31m  * claude-code
               (declared)
rules
  checkout-assisted
    why: somebody else looks
    approvals: needs 1 approval from senior, has none
    tests: checkout-unit passed on this tree
files
  [ ] services/checkout/src/cart.rs  +2 -1, 2 by an agent  checkout-assisted
  [ ] "a\342\200\256b"  +2 -1, 2 by an agent  checkout-assisted










enter begins · ] file · m note · d done · ? help · q quit

"#]]
        .raw()
    );
}

#[test]
fn a_file_is_shown_with_its_rule_and_its_marks() {
    let mut sitting = sitting(vec![cart()]);
    press(&mut sitting, "⏎");
    snapbox::assert_data_eq!(
        seen(&mut sitting),
        snapbox::str![[r#"
review main..topic for main                                         file 1 of 1
services/checkout/src/cart.rs  modified 100644  +2 -1
agents: 2 of the added lines, by claude-code (declared)
rule:   checkout-assisted (/services/checkout/**): assisted changes to the
        checkout need a senior who did not write or prompt them
@@ -1,3 +1,4 @@  * claude-code (declared) 2-3
    1    fn total(prices: &[u64]) -> u64 {
    2  -     prices.iter().sum()
    2 *+     let sum: u64 = prices.iter().sum();
    3 *+     round(sum)
    4    }
@@ -40 +40,2 @@
   40    // the end
   41  + fn a_function_with_a_name_that_is_so_long_that_its_line_does_not_fit_on
         _the_screen() {}








open: a approve · s skip · n hunk · ] file · c comment · d done · ? help

"#]]
        .raw()
    );
}

#[test]
fn what_changed_since_an_approval_is_shown_first() {
    let mut sitting = sitting(vec![cart_again()]);
    press(&mut sitting, "⏎");
    snapbox::assert_data_eq!(
        seen(&mut sitting),
        snapbox::str![[r#"
review main..topic for main                                         file 1 of 1
services/checkout/src/cart.rs  modified 100644  +2 -1
agents: 2 of the added lines, by claude-code (declared)
rule:   checkout-assisted (/services/checkout/**): assisted changes to the
        checkout need a senior who did not write or prompt them
before: bo approved it before it changed (`v` shows what changed since),
        2026-11-23T08:03:20Z (abababababab)
only what changed since bo approved it (`v` shows all):
@@ -3 +3 @@
    3  -     round(sum)
    3  +     round_up(sum)












open: a approve · s skip · n hunk · ] file · c comment · d done · ? help

"#]]
        .raw()
    );
    press(&mut sitting, "v");
    assert!(seen(&mut sitting).contains("@@ -1,3 +1,4 @@"));
}

#[test]
fn approving_leads_from_file_to_file_and_to_the_end() {
    let mut sitting = sitting(vec![cart(), cart(), cart()]);
    assert_eq!(press(&mut sitting, "⏎asa"), [Effect::Keep, Effect::Keep, Effect::Settle]);
    assert_eq!(sitting.approved().collect::<Vec<_>>(), [0, 2]);
    sitting.settle(vec![Row::new(Tone::Plain, "this")], true);
    sitting.screen();
    assert_eq!(press(&mut sitting, "n"), []);
    assert_eq!(press(&mut sitting, "]u"), [Effect::Keep]);
    assert_eq!(sitting.approved().collect::<Vec<_>>(), [2]);
    assert_eq!(press(&mut sitting, "d"), [Effect::Settle]);
    sitting.settle(vec![Row::new(Tone::Plain, "this")], true);
    sitting.screen();
    assert_eq!(press(&mut sitting, "y"), [Effect::Sign]);
}

#[test]
fn what_was_not_on_the_screen_takes_a_second_word() {
    let lines: Vec<String> = (0..60).map(|it| format!("+line {it}")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let long = || file("long", &[hunk(1, &lines)]);
    let mut first = sitting(vec![long()]);
    assert_eq!(press(&mut first, "⏎a"), []);
    assert!(seen(&mut first).contains(" lines below were not on the screen"));
    assert_eq!(press(&mut first, "a"), [Effect::Settle]);
    // Whoever went to the end has seen all of it.
    let mut second = sitting(vec![long()]);
    assert_eq!(press(&mut second, "⏎   a"), [Effect::Settle]);
    // Nor is more signed than was shown.
    let many = (0..60).map(|it| Row::new(Tone::Plain, format!("file {it}"))).collect();
    second.settle(many, true);
    second.screen();
    assert_eq!(press(&mut second, "y"), []);
    assert_eq!(press(&mut second, "y"), [Effect::Sign]);
    second.settle(Vec::new(), false);
    second.screen();
    assert_eq!(press(&mut second, "yy"), []);
}

#[test]
fn comments_and_the_note_are_typed() {
    let mut sitting = sitting(vec![cart()]);
    assert_eq!(press(&mut sitting, "⏎cwhy q and aa⌫?"), []);
    assert!(seen(&mut sitting).contains("comment: why q and a?_"));
    assert_eq!(press(&mut sitting, "⏎"), [Effect::Keep]);
    assert_eq!(sitting.marks[0].comment.as_deref(), Some("why q and a?"));
    assert_eq!(press(&mut sitting, "mfine⏎"), [Effect::Keep]);
    assert_eq!(sitting.note.as_deref(), Some("fine"));
    press(&mut sitting, "cnever mind");
    sitting.press(Key::Escape);
    assert_eq!(sitting.marks[0].comment.as_deref(), Some("why q and a?"));
}

#[test]
fn hunks_and_files_are_walked_and_any_size_is_drawn() {
    let mut sitting = sitting(vec![cart(), cart()]);
    sitting.resize(30, 8);
    press(&mut sitting, "⏎n");
    assert!(seen(&mut sitting).contains("@@ -1,3 +1,4 @@"));
    press(&mut sitting, "n");
    assert!(seen(&mut sitting).contains("@@ -40 +40,2 @@"));
    press(&mut sitting, "p");
    assert!(seen(&mut sitting).contains("@@ -1,3 +1,4 @@"));
    press(&mut sitting, "nnn");
    assert!(seen(&mut sitting).contains("file 2 of 2"));
    press(&mut sitting, "[");
    assert!(seen(&mut sitting).contains("file 1 of 2"));
    for (columns, rows) in [(1, 1), (20, 5), (200, 60), (80, 24)] {
        sitting.resize(columns, rows);
        for key in "?jG g]ok".chars() {
            press(&mut sitting, &key.to_string());
            seen(&mut sitting);
        }
    }
}
