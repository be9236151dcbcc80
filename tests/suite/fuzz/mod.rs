//! The parsers of hostile bytes, on mutated seeds: the bounded run of what
//! `fuzz/` runs for as long as one likes.

use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

mod entries;

/// One change of a seed.
#[derive(Clone, Debug)]
enum Mutation {
    /// Overwrites, inserts or removes at a place (in thousandths of the length).
    Set(u16, u8),
    Insert(u16, Vec<u8>),
    Remove(u16, u8),
    /// Repeats what stands there at another place.
    Copy(u16, u16, u8),
    Truncate(u16),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let place = || 0..=1000u16;
    // What has a meaning in one of the formats, and any bytes.
    let telling = proptest::sample::select(vec![
        "\"",
        "\\",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\n",
        "\r\n",
        "\0",
        "=",
        "#",
        "---\n",
        "\u{fffd}",
        "null",
        "-1",
        "1e999",
        "18446744073709551616",
        "\\u0000",
        "\\ud800",
        "\u{202e}",
        "..",
        "/",
    ]);
    let inserted = prop_oneof![
        telling.prop_map(|it| it.as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 1..9),
    ];
    prop_oneof![
        (place(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (place(), inserted).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        (place(), 1..40u8).prop_map(|(at, count)| Mutation::Remove(at, count)),
        (place(), place(), 1..80u8).prop_map(|(from, to, count)| Mutation::Copy(from, to, count)),
        place().prop_map(Mutation::Truncate),
    ]
}

fn mutated(seed: &[u8], mutations: &[Mutation]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for mutation in mutations {
        let at = |place: u16, length: usize| length * usize::from(place) / 1000;
        let length = bytes.len();
        match mutation {
            Mutation::Set(place, byte) => {
                if let Some(old) = bytes.get_mut(at(*place, length)) {
                    *old = *byte;
                }
            }
            Mutation::Insert(place, inserted) => {
                let at = at(*place, length);
                bytes.splice(at..at, inserted.iter().copied());
            }
            Mutation::Remove(place, count) => {
                let at = at(*place, length);
                bytes.drain(at..(at + usize::from(*count)).min(length));
            }
            Mutation::Copy(from, to, count) => {
                let from = at(*from, length);
                let part = bytes[from..(from + usize::from(*count)).min(length)].to_vec();
                let to = at(*to, length);
                bytes.splice(to..to, part);
            }
            Mutation::Truncate(place) => bytes.truncate(at(*place, length)),
        }
    }
    bytes
}

/// Runs an entry on every seed as it is, and on mutations of them.
#[track_caller]
fn check(folder: &str, cases: u32, entry: fn(&[u8])) {
    let mut paths: Vec<_> = std::fs::read_dir(Path::new("tests/fixtures").join(folder))
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    paths.sort();
    let seeds: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert!(!seeds.is_empty());
    seeds.iter().for_each(|seed| entry(seed));
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let strategy = (0..seeds.len(), proptest::collection::vec(mutation(), 1..8));
    let run = TestRunner::new(config).run(&strategy, |(seed, mutations)| {
        entry(&mutated(&seeds[seed], &mutations));
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn records() {
    check("fuzz/record", 400, entries::record);
}

#[test]
fn signatures() {
    check("fuzz/sshsig", 150, entries::sshsig);
}

#[test]
fn policies() {
    check("fuzz/policy", 200, entries::policy);
    check("policy", 60, entries::policy);
}

#[test]
fn trailers() {
    check("fuzz/trailer", 400, entries::trailer);
}

#[test]
fn notes() {
    check("fuzz/note", 400, entries::note);
}

#[test]
fn databases() {
    check("fuzz/database", 400, entries::database);
}

#[test]
fn sessions() {
    check("traces", 60, entries::session);
}

/// Every entry has its target in `fuzz/`, where that folder is (a package has none).
#[test]
fn every_entry_has_its_target() {
    let Ok(manifest) = std::fs::read_to_string("fuzz/Cargo.toml") else { return };
    let entries = std::fs::read_to_string("tests/suite/fuzz/entries.rs").unwrap();
    let names: Vec<&str> = entries
        .lines()
        .filter_map(|line| line.strip_prefix("pub(crate) fn ")?.split_once('('))
        .map(|(name, _)| name)
        .collect();
    assert!(names.len() >= 6);
    for name in names {
        let target = std::fs::read_to_string(format!("fuzz/targets/{name}.rs")).unwrap();
        assert!(target.contains(&format!("entries::{name}(")), "{name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
    }
}
