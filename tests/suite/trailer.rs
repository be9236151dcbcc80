//! Trailers against git's own parser.

use std::io::Write;
use std::process::{Command, Stdio};

use countersign::gate::trailer;
use proptest::prelude::*;

/// Each case starts git once (2 ms), so their number is bounded.
const CASES: u32 = 192;

fn git(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("git")
        .args(["interpret-trailers", "--no-divider"])
        .args(arguments)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("GIT_CEILING_DIRECTORIES", "/")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn printed(message: &str) -> String {
    trailer::block(message).iter().map(|it| format!("{}: {}\n", it.key, it.value)).collect()
}

/// Lines of every kind that the rules tell apart.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just(String::new()),
        4 => "(Co-authored-by|Assisted-by|Fixes|x)(: | :|:|\t: )[a-z<>@. ]{0,8}",
        1 => "Signed-off-by: [a-z]{1,5}",
        1 => Just("(cherry picked from commit 1)".to_owned()),
        2 => "[ \t]{1,2}[a-z:]{0,6}",
        2 => "[a-z]{1,5} [a-zäß:]{1,6}",
        1 => "#[a-z :]{0,6}",
        1 => Just("---".to_owned()),
        1 => Just("Conflicts:".to_owned()),
        1 => Just("# ------------------------ >8 ------------------------".to_owned()),
        1 => "[A-Za-z:\\-#> \t\r]{0,8}",
    ]
}

fn message() -> impl Strategy<Value = String> {
    (prop::collection::vec(line(), 0..12), any::<bool>(), prop::bool::weighted(0.1)).prop_map(
        |(lines, ends, carriage)| {
            let text = lines.join(if carriage { "\r\n" } else { "\n" });
            if ends { text + "\n" } else { text }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_block_is_what_git_parses(message in message()) {
        prop_assert_eq!(printed(&message), git(&["--parse"], &message));
    }

    #[test]
    fn a_trailer_is_put_where_git_puts_it(message in message(), value in "[a-z]{1,4}:[a-z0-9]{1,4}") {
        let added = trailer::append(&message, "Assisted-by", &value);
        let theirs = git(
            &["--if-exists", "addIfDifferent", "--trailer", &format!("Assisted-by: {value}")],
            &message,
        );
        prop_assert_eq!(&added, &theirs);
        // Behind a `Conflicts:` list git does not see its own trailer again either.
        if trailer::block(&added).iter().any(|it| it.value == value) {
            prop_assert_eq!(trailer::append(&added, "Assisted-by", &value), added);
        }
    }
}
