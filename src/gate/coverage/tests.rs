use super::measured::write_ranges;
use super::*;

/// The report as text, a file a line: `name: covered / missed`.
fn show(report: &[u8], step: usize) -> String {
    let mut reader = Reader::default();
    for piece in report.chunks(step) {
        if let Err(error) = reader.feed(piece) {
            return format!("error: {error}");
        }
    }
    let report = match reader.finish() {
        Ok(report) => report,
        Err(error) => return format!("error: {error}"),
    };
    let mut text = report.format.word().to_owned();
    for (name, lines) in &report.files {
        text.push_str(&format!(
            "\n{}: {} / {}",
            String::from_utf8_lossy(name),
            write_ranges(&lines.covered()),
            write_ranges(&lines.missed())
        ));
    }
    text
}

/// However the bytes are cut, the report says the same.
#[track_caller]
fn check(report: &[u8], expected: &str) {
    for step in [1, 7, 4096, usize::MAX] {
        assert_eq!(show(report, step.min(report.len().max(1))), expected);
    }
}

#[test]
fn lcov_counts_each_line_once_by_its_data() {
    // llvm-cov's totals count a function's lines as often as it was compiled.
    let report = b"TN:\nSF:src/a.rs\nFN:1,f\nFNDA:0,f\nDA:1,1\nDA:2,0\nDA:2,3\nDA:4,0,checksum\r\nDA:5,-1\nDA:6,18446744073709551615\nLF:9\nLH:9\nend_of_record\nSF:src/b.rs\nend_of_record\nSF:src/a.rs\nDA:5,1\nend_of_record\n";
    check(report, "lcov\nsrc/a.rs: 1-2,5-6 / 4\nsrc/b.rs:  / ");
}

proptest::proptest! {
    /// Whole rows are read another way than rows that come in pieces.
    #[test]
    fn lcov_says_the_same_however_it_is_cut(
        rows in proptest::collection::vec((0_u32..900, 0_usize..24), 0..200), step in 1_usize..40
    ) {
        let mut report = format!("TN:{}\nSF:a\n", "x".repeat(PROBE));
        for (line, kind) in rows {
            report.push_str(&match kind {
                0 => format!("DA:{line},-1\n"),
                1 => format!("DA:{line},=====\n"),
                2 => format!("DA: {line} , 2\r\n"),
                3 => format!("DA:{line},0,checksum\n"),
                4 => format!("DA:{line},1e3\n"),
                5 => format!("BRDA:{line},0,0,1\n"),
                6 => format!("end_of_record\nSF:{}\n", line % 3),
                7 => format!("DA:{:012},1\n", line),
                8 => format!("DA:{line},{}\n", "0".repeat(30)),
                9 => format!("DA:{line},{}1\n", "0".repeat(30)),
                kind => format!("DA:{line},{}\n", kind % 3),
            });
        }
        report.push_str("end_of_record\n");
        let whole = show(report.as_bytes(), usize::MAX);
        proptest::prop_assert!(whole.starts_with("lcov\na: "), "{}", whole);
        proptest::prop_assert_eq!(show(report.as_bytes(), 1), whole.clone());
        proptest::prop_assert_eq!(show(report.as_bytes(), step), whole);
    }
}

#[test]
fn a_broken_lcov_is_no_report() {
    check(b"TN:\nSF:a\nDA:1,1\n", "error: it ends in the middle");
    check(b"TN:\nDA:1,1\n", "error: data before a file's name (near line 2)");
    check(
        b"SF:a\nDA:1\nend_of_record\n",
        "error: `DA` without a line's number and a count (near line 2)",
    );
    check(
        b"SF:a\nDA:x,1\nend_of_record\n",
        "error: `DA` without a line's number and a count (near line 2)",
    );
    for line in ["9999999", "67108864"] {
        let found = show(format!("SF:a\nDA:{line},1\nend_of_record\n").as_bytes(), 4096);
        assert_eq!(found, format!("lcov\na: {line} / "));
    }
    for line in ["67108865", "999999999"] {
        let report = format!("SF:a\nDA:{line},1\nend_of_record\n");
        check(report.as_bytes(), "error: it is too large: a line's number");
    }
    check(
        b"SF:a\nDA:1,1\nDA:2,\nend_of_record\n",
        "error: `DA` without a line's number and a count (near line 3)",
    );
}

#[test]
fn go_blocks_have_data_on_each_line() {
    let report = b"mode: set\nexample.com/shop/a.go:3.20,5.2 2 1\nexample.com/shop/a.go:5.2,7.3 1 0\nexample.com/shop/a.go:9.1,9.2 0 0\nmode: set\nexample.com/shop/b.go:1.1,2.2 1 0\n";
    check(report, "go\nexample.com/shop/a.go: 3-5 / 6-7\nexample.com/shop/b.go:  / 1-2");
    check(b"mode: set\na.go:5.1,3.1 1 1\n", "error: no block of a cover profile (near line 2)");
}

#[test]
fn formats_are_known_by_their_content() {
    check(b"", "error: it is empty");
    for strange in ["hello", "PK\x03\x04", "<html></html>", "[]", "{\"a\":1}", "a,b\n1,2\n"] {
        let found = show(strange.as_bytes(), 1);
        assert!(found.starts_with("error: "), "{strange}: {found}");
    }
    check(
        b"<coverage generated=\"1\"><project/></coverage>",
        "error: it is a Clover report, which holds no lines that were executed",
    );
    check(
        br#"{"total":{"lines":{"total":1},"statements":{},"branches":{}}}"#,
        "error: it is a summary, which holds no lines that were executed",
    );
    check(b"\xef\xbb\xbf  {}", "istanbul");
}

#[test]
fn cobertura() {
    let report = br#"<?xml version="1.0"?><!DOCTYPE coverage SYSTEM "coverage-04.dtd">
<coverage><sources><source>/src</source></sources><packages><package name="a"><classes>
<class name="A" filename="a&amp;b.py"><methods><method><lines><line number="1" hits="1"/></lines></method></methods>
<lines><line number="1" hits="1" branch="true" condition-coverage="50% (1/2)"/><line number="2" hits="0"/></lines></class>
</classes></package></packages></coverage>"#;
    check(report, "cobertura\na&b.py: 1 / 2");
    check(
        br#"<coverage><class filename="a"><line number="1"/></class></coverage>"#,
        "error: `hits` is no count (near `<line>`)",
    );
    check(b"<coverage><packages>", "error: it ends in the middle");
}

/// The folders that a Cobertura report's files lie in, however they are written.
#[test]
fn references_in_xml_are_what_they_stand_for() {
    #[track_caller]
    fn check(source: &str, expected: &str) {
        let mut reader = Reader::default();
        let report = format!("<coverage><sources><source>{source}</source></sources></coverage>");
        reader.feed(report.as_bytes()).unwrap();
        let sources = reader.finish().unwrap().sources;
        assert_eq!(sources, [expected.as_bytes()]);
    }
    check("/a&amp;b", "/a&b");
    check("\n  /a &lt;&gt;&quot;&apos;b\n", "/a <>\"'b");
    check("/&#97;&#x2F;b&#xe9;", "/a/b\u{e9}");
    check("<![CDATA[/a&b]]>/c", "/a&b/c");
    check("/a&nbsp;b&#x110000;", "/a&nbsp;b&#x110000;");
}

#[test]
fn references_in_the_names_of_files() {
    check(
        br#"<report name="x"><package name="a&amp;b"><sourcefile name="&#67;.java"><line nr="1" mi="0" ci="1"/></sourcefile></package></report>"#,
        "jacoco\na&b/C.java: 1 / ",
    );
    check(
        br#"<coverage><class filename="a&#x26;b &lt;c&gt;.py"><line number="1" hits="1"/></class></coverage>"#,
        "cobertura\na&b <c>.py: 1 / ",
    );
}

#[test]
fn jacoco_and_opencover() {
    check(
        br#"<report name="x"><group name="g"><package name="com/example"><class name="com/example/A"><counter type="LINE" missed="1" covered="1"/></class><sourcefile name="A.java"><line nr="3" mi="0" ci="2" mb="0" cb="0"/><line nr="4" mi="2" ci="0" mb="0" cb="0"/></sourcefile></package></group></report>"#,
        "jacoco\ncom/example/A.java: 3 / 4",
    );
    check(
        br#"<CoverageSession><Modules><Module><Files><File uid="1" fullPath="C:\a.cs"/></Files><Classes><Class><Methods><Method><FileRef uid="1"/><SequencePoints><SequencePoint vc="2" sl="3" el="4"/><SequencePoint vc="0" sl="6" el="6" fileid="1"/><SequencePoint vc="0" sl="16707566" el="16707566"/></SequencePoints></Method></Methods></Class></Classes></Module></Modules></CoverageSession>"#,
        "opencover\nC:\\a.cs: 3-4 / 6",
    );
}

#[test]
fn json_formats() {
    check(
        br#"{"meta":{"format":3},"files":{"a.py":{"executed_lines":[1,3],"missing_lines":[4],"excluded_lines":[9],"summary":{}}},"totals":{}}"#,
        "coverage.py\na.py: 1,3 / 4",
    );
    check(
        br#"{"/r/a.js":{"path":"/r/a.js","statementMap":{"0":{"start":{"line":1,"column":0},"end":{"line":4,"column":1}},"1":{"start":{"line":2,"column":0},"end":{"line":2,"column":9}}},"fnMap":{},"branchMap":{},"s":{"0":1,"1":0},"f":{},"b":{}}}"#,
        "istanbul\n/r/a.js: 1 / 2",
    );
    check(
        br#"{"RSpec":{"coverage":{"/r/a.rb":{"lines":[1,null,0,"ignored"]},"/r/b.rb":[null,2]},"timestamp":1},"Minitest":{"coverage":{"/r/a.rb":{"lines":[0,null,3,null]}},"timestamp":1}}"#,
        "simplecov\n/r/a.rb: 1,3 / \n/r/b.rb: 2 / ",
    );
    check(
        br#"{"Shop.dll":{"/r/A.cs":{"Shop.A":{"System.Void Shop.A::F()":{"Lines":{"3":1,"4":0},"Branches":[]}}}}}"#,
        "coverlet\n/r/A.cs: 3 / 4",
    );
    check(
        br#"{"type":"llvm.coverage.json.export","version":"2.0.1","data":[{"files":[{"filename":"/r/a.rs","segments":[[1,10,1,true,true,false],[3,8,0,true,true,false],[5,6,1,true,false,false],[7,2,0,false,false,false]]}]}]}"#,
        "llvm-cov\n/r/a.rs: 1-3,6-7 / 4-5",
    );
    check(br#"{"meta":{},"files":{"a":{"executed_lines":[1]"#, "error: it ends in the middle");
}

#[test]
fn a_flood_of_lines_is_refused() {
    let mut reader = Reader::default();
    let mut result = reader.feed(b"TN:\n");
    for file in 0..300_000 {
        result = result.and_then(|()| {
            reader.feed(format!("SF:{file}\nDA:1,1\nDA:65,1\nDA:129,1\nDA:193,1\nDA:257,1\nDA:321,1\nDA:385,1\nDA:449,1\nDA:513,1\nDA:577,1\nDA:641,1\nDA:705,1\nDA:769,1\nDA:833,1\nDA:897,1\nend_of_record\n").as_bytes())
        });
    }
    assert_eq!(result, Err(ParseError::TooLarge("the number of its files and lines")));
}
