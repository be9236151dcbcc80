//! What is a loss, and what is none, language by language.

use super::super::coverage::measured::kind_of;
use super::super::verdict::Level;
use super::*;

/// Files as path, before, after; all lines are an agent's.
#[track_caller]
fn check(files: &[(&str, &str, &str)], expected: &[&str]) {
    check_assisted(files, &|_| (true, None), expected);
}

/// Whether a file is assisted, and which of its lines.
type Whose = (bool, Option<Vec<LineRange>>);

#[track_caller]
fn check_assisted(files: &[(&str, &str, &str)], whose: &dyn Fn(&str) -> Whose, expected: &[&str]) {
    let paths: Vec<RepoPath> = files.iter().map(|(path, _, _)| RepoPath::new(*path)).collect();
    let sides: Vec<Sides<'_>> = files
        .iter()
        .zip(&paths)
        .map(|((name, old, new), path)| Sides {
            path,
            kind: kind_of(path),
            is_test: Languages::built_in().tests().matches(path),
            is_assisted: whose(name).0,
            assisted: whose(name).1,
            old,
            new,
        })
        .collect();
    let found: Vec<String> = weakened(&sides)
        .iter()
        .map(|it| match it.line {
            Some(line) => format!("{}:{line}: {}", it.path.to_text(), it.what),
            None => format!("{}: {}", it.path.to_text(), it.what),
        })
        .collect();
    assert_eq!(found, expected);
}

const RUST: &str = "\
#[test]
fn totals_are_rounded() {
    let cart = Cart::with(&[\"tea\"]);
    assert_eq!(cart.total(), 12);
    assert!(cart.is_open());
}

#[tokio::test]
async fn orders_are_refused() {
    let order = order(0).await;
    assert_eq!(order.refused(), \"nothing in it\");
}
";

#[test]
fn tests_that_are_gone() {
    let first = RUST.split("\n#[tokio").next().unwrap_or_default();
    check(&[("tests/a.rs", RUST, first)], &["tests/a.rs:6: a test is gone: `orders_are_refused`"]);
    check(
        &[("tests/a.rs", RUST, "")],
        &[
            "tests/a.rs: 2 tests are gone with their file: `totals_are_rounded`, `orders_are_refused`",
        ],
    );
    check(
        &[(
            "test_a.py",
            "def test_a():\n    assert f() == 1\n\n\ndef test_b():\n    assert g() == 2\n",
            "def test_a():\n    assert f() == 1\n",
        )],
        &["test_a.py:2: a test is gone: `test_b`"],
    );
    check(
        &[(
            "a.test.ts",
            "it('adds', () => {\n  expect(add(1, 2)).toBe(3);\n});\nit('subtracts', () => {\n  expect(sub(1, 2)).toBe(-1);\n});\n",
            "it('adds', () => {\n  expect(add(1, 2)).toBe(3);\n});\n",
        )],
        &["a.test.ts:3: a test is gone: `subtracts`"],
    );
    check(
        &[(
            "a_test.go",
            "func TestAdd(t *testing.T) {\n\tif add(1) != 2 {\n\t\tt.Fatal(1)\n\t}\n}\n",
            "",
        )],
        &["a_test.go: a test is gone with its file: `TestAdd`"],
    );
    check(
        &[(
            "src/test/java/ATest.java",
            "class ATest {\n  @Test\n  void adds() {\n    assertEquals(3, add(1, 2));\n  }\n  @Test void subtracts() {\n    assertEquals(1, sub(3, 2));\n  }\n}\n",
            "class ATest {\n  @Test\n  void adds() {\n    assertEquals(3, add(1, 2));\n  }\n}\n",
        )],
        &["src/test/java/ATest.java:6: a test is gone: `subtracts`"],
    );
    check(
        &[(
            "tests/a.cc",
            "TEST(Cart, Adds) {\n  EXPECT_EQ(add(1), 2);\n}\nTEST(Cart, Subtracts) {\n  EXPECT_EQ(sub(1), 0);\n}\n",
            "TEST(Cart, Adds) {\n  EXPECT_EQ(add(1), 2);\n}\n",
        )],
        &["tests/a.cc:3: a test is gone: `Cart, Subtracts`"],
    );
    // Whoever comments a test out removes it.
    let commented = RUST.replace("#[tokio::test]\nasync", "// #[tokio::test]\n// async");
    check(
        &[("tests/a.rs", RUST, &commented)],
        &["tests/a.rs:8: a test is gone: `orders_are_refused`"],
    );
    check(
        &[("tests/a.rs", RUST, &format!("/*\n{RUST}*/\n"))],
        &["tests/a.rs:1: 2 tests are gone: `totals_are_rounded`, `orders_are_refused`"],
    );
}

#[test]
fn tests_that_moved_or_were_renamed_split_or_merged() {
    check(&[("tests/a.rs", RUST, ""), ("tests/b.rs", "", RUST)], &[]);
    check(&[("tests/a.rs", RUST, &RUST.replace("orders_are_refused", "refusals"))], &[]);
    let moved = RUST.replace("totals_are_rounded", "it_rounds").replace("12", "13");
    check(&[("tests/a.rs", RUST, ""), ("tests/b.rs", "", &moved)], &[]);
    // Somebody else put it elsewhere.
    check_assisted(
        &[("tests/a.rs", RUST, ""), ("tests/b.rs", "", RUST)],
        &|name| (name == "tests/a.rs", None),
        &[],
    );
    let one = "def test_cart():\n    cart = Cart()\n    assert cart.total() == 1\n    assert cart.count() == 2\n";
    let two = "def test_total():\n    cart = Cart()\n    assert cart.total() == 1\n\ndef test_count():\n    cart = Cart()\n    assert cart.count() == 2\n";
    check(&[("test_a.py", one, two)], &[]);
    check(&[("test_a.py", two, one)], &[]);
    let table = "@pytest.mark.parametrize(\"given, total\", [(1, 2), (2, 3)])\ndef test_add(given, total):\n    assert add(given) == total\n";
    let single = "def test_add_one():\n    assert add(1) == 2\n\ndef test_add_two():\n    assert add(2) == 3\n";
    check(&[("test_a.py", single, table)], &[]);
}

#[test]
fn assertions_that_are_gone_or_ask_less() {
    check(
        &[("tests/a.rs", RUST, &RUST.replace("    assert!(cart.is_open());\n", ""))],
        &["tests/a.rs:5: 1 assertion fewer: `assert!(cart.is_open());`"],
    );
    check(
        &[("tests/a.rs", RUST, &RUST.replace("    assert!(cart", "    // assert!(cart"))],
        &["tests/a.rs:5: 1 assertion fewer: `assert!(cart.is_open());`"],
    );
    check(
        &[("tests/a.rs", RUST, &RUST.replace("assert_eq!(cart.total(), 12)", "assert!(true)"))],
        &["tests/a.rs:4: an assertion asks less: `assert!(true);`"],
    );
    check(
        &[(
            "a.test.js",
            "it('a', () => {\n  expect(f()).toEqual({ a: 1 });\n});\n",
            "it('a', () => {\n  expect(f()).toBeDefined();\n});\n",
        )],
        &["a.test.js:2: an assertion asks less: `expect(f()).toBeDefined();`"],
    );
    check(
        &[(
            "test_a.py",
            "class A(TestCase):\n    def test_a(self):\n        self.assertEqual(f(), 1)\n",
            "class A(TestCase):\n    def test_a(self):\n        self.assertIsNotNone(f())\n",
        )],
        &["test_a.py:3: an assertion asks less: `self.assertIsNotNone(f())`"],
    );
    for (path, begin, assertion, end) in [
        ("a_test.go", "func TestA(t *testing.T) {", "require.Equal(t, 1, f())", "}"),
        ("ATest.java", "@Test void a() {", "assertThat(f()).isEqualTo(1);", "}"),
        ("ATest.kt", "@Test fun a() {", "assertEquals(1, f())", "}"),
        ("a_test.go", "func TestA(t *testing.T) {\nx := f()", "t.Fatalf(\"got %v\", x)", "}"),
        ("tests/a.c", "static void test_a(void) {", "assert(f() == 1);", "}"),
        ("tests/a.c", "static void test_a(void) {", "CU_ASSERT_EQUAL(f(), 1);", "}"),
        ("tests/a.c", "static void test_a(void) {", "g_assert(f() == 1);", "}"),
        ("tests/a.c", "static void test_a(void) {", "g_assert_cmpint(f(), ==, 1);", "}"),
        ("tests/a.cc", "TEST(Cart, Adds) {", "EXPECT_EQ(f(), 1);", "}"),
        ("tests/a.cc", "TEST(Cart, Adds) {", "ASSERT_TRUE(f() == 1);", "}"),
        ("spec/a_spec.rb", "it 'adds' do", "expect(f).to eq(1)", "end"),
        ("ATests.cs", "[Fact]\npublic void A() {", "Assert.Equal(1, F());", "}"),
        ("tests/ATest.php", "public function testA() {", "$this->assertSame(1, f());", "}"),
        ("ATests.swift", "func testA() {", "XCTAssertEqual(f(), 1)", "}"),
        ("test/a_test.exs", "test \"adds\" do", "assert f() == 1", "end"),
        ("test/a_test.dart", "test('adds', () {", "expect(f(), 1);", "});"),
        ("tests/a.bats", "@test \"adds\" {", "[ \"$(f)\" = 1 ]", "}"),
    ] {
        let (old, new) =
            (format!("{begin}\n{assertion}\n{end}\n"), format!("{begin}\nf();\n{end}\n"));
        let line = begin.lines().count() + 1;
        check(
            &[(path, &old, &new)],
            &[&format!("{path}:{line}: 1 assertion fewer: `{assertion}`")],
        );
    }
}

/// An assertion for another does not make up for one that is gone.
#[test]
fn assertions_that_are_gone_from_one_test_while_another_gets_some() {
    let test = |name: &str, lines: &[&str]| {
        let lines: String = lines.iter().map(|it| format!("    {it}\n")).collect();
        format!("def test_{name}():\n{lines}\n\n")
    };
    let file = |tests: &[(&str, &[&str])]| -> String {
        tests.iter().map(|(name, lines)| test(name, lines)).collect()
    };
    let (total, count) = ("assert cart.total() == 1", "assert cart.count() == 2");
    let (open, stock) = ("assert shop.is_open()", "assert stock('tea') == 3");
    let old = file(&[("cart", &[total, count]), ("shop", &[open])]);
    #[track_caller]
    fn expect(old: &str, new: &str, expected: &[&str]) {
        check(&[("test_a.py", old, new)], expected);
    }
    // Into a test that is there, and into a new one.
    let gone = "test_a.py:1: `test_cart` has an assertion fewer: `assert cart.total() == 1`";
    expect(&old, &file(&[("cart", &[count]), ("shop", &[open, stock])]), &[gone]);
    expect(&old, &file(&[("cart", &[count]), ("shop", &[open]), ("stock", &[stock])]), &[gone]);
    // It moved, with another value or name, or was taken for another in its place.
    for new in [
        file(&[("cart", &[count]), ("shop", &[total, open])]),
        file(&[("cart", &[count]), ("shop", &["assert cart.total() == 7", open])]),
        file(&[("cart", &[count]), ("total", &["assert basket.total() == 7"]), ("shop", &[open])]),
        file(&[("cart", &[stock, count]), ("shop", &[open])]),
        file(&[("shop", &[open]), ("cart", &[count, total])]),
        file(&[("cart_count", &[count]), ("shop", &[open, stock])]),
    ] {
        expect(&old, &new, &[]);
    }
    // What asked nothing is no loss beside others.
    let asks_nothing = file(&[("cart", &[count, "assert cart is not None"]), ("shop", &[open])]);
    expect(&asks_nothing, &file(&[("cart", &[count]), ("shop", &[open, stock])]), &[]);
    check(
        &[(
            "a_test.go",
            "func TestA(t *testing.T) {\n\tif total() != 12 {\n\t\tt.Errorf(\"total %d\", total())\n\t}\n}\nfunc TestB(t *testing.T) {\n\trun()\n}\n",
            "func TestA(t *testing.T) {\n\ttotal()\n}\nfunc TestB(t *testing.T) {\n\tif err := run(); err != nil {\n\t\tt.Fatal(err)\n\t}\n}\n",
        )],
        &["a_test.go:1: `TestA` has an assertion fewer: `t.Errorf(\"total %d\", total())`"],
    );
}

/// A test of one assertion, in the way of each language.
const BODIES: [(&str, &str, &str); 12] = [
    ("tests/a.rs", "#[test]\nfn a() {\n", "\n}\n"),
    ("test_a.py", "def test_a():\n    ", "\n"),
    ("a.test.ts", "it('a', () => {\n", "\n});\n"),
    ("a_test.go", "func TestA(t *testing.T) {\n", "\n}\n"),
    ("ATest.java", "class ATest {\n@Test void a() {\n", "\n}\n}\n"),
    ("tests/a.c", "static void test_a(void)\n{\n", "\n}\n"),
    ("tests/a.cc", "TEST(A, B) {\n", "\n}\n"),
    ("spec/a_spec.rb", "it 'a' do\n", "\nend\n"),
    ("ATests.cs", "[Fact]\npublic void A() {\n", "\n}\n"),
    ("tests/ATest.php", "public function testA() {\n", "\n}\n"),
    ("ATests.swift", "func testA() {\n", "\n}\n"),
    ("test/a_test.dart", "test('a', () {\n", "\n});\n"),
];

/// The findings of one assertion become another, without their places.
fn became(path: &str, old: &str, new: &str) -> Vec<String> {
    let (_, begin, end) = BODIES.iter().find(|it| it.0 == path).unwrap();
    let (old, new) = (format!("{begin}{old}{end}"), format!("{begin}{new}{end}"));
    let name = RepoPath::new(path);
    let sides = Sides {
        path: &name,
        kind: kind_of(&name),
        is_test: true,
        is_assisted: true,
        assisted: None,
        old: &old,
        new: &new,
    };
    weakened(&[sides]).into_iter().map(|it| it.what).collect()
}

#[test]
fn comparisons_that_become_truths() {
    for (path, old, new) in [
        ("test_a.py", "assert f(x) == 3", "assert f(x)"),
        ("test_a.py", "assert f(x) == 3", "assert f(x) == f(x)"),
        ("test_a.py", "self.assertEqual(f(x), 3)", "self.assertTrue(f(x))"),
        ("test_a.py", "mock.assert_called_with(3)", "mock.assert_called()"),
        ("a.test.ts", "expect(f(x)).toBe(3);", "expect(f(x)).toBeTruthy();"),
        ("a.test.ts", "expect(f(x)).toBe(3);", "expect(f(x)).toBe(f(x));"),
        ("a.test.ts", "assert.equal(f(x), 3);", "assert.ok(f(x));"),
        ("a.test.ts", "expect(f).toHaveBeenCalledWith(3);", "expect(f).toHaveBeenCalled();"),
        (
            "a.test.ts",
            "expect(f()).toMatchInlineSnapshot(`3`);",
            "expect(f()).toMatchInlineSnapshot();",
        ),
        ("tests/a.rs", "assert_eq!(f(x), 3);", "assert!(f(x).is_positive());"),
        ("tests/a.rs", "assert_eq!(f(x), 3);", "assert_eq!(f(x), f(x));"),
        ("tests/a.rs", "assert_eq!(\nf(x),\n3\n);", "assert!(\nf(x).is_positive()\n);"),
        ("a_test.go", "require.Equal(t, 3, f(x))", "require.True(t, f(x))"),
        ("a_test.go", "assert.Equal(t, 3, f(x))", "assert.NotZero(t, f(x))"),
        ("ATest.java", "assertEquals(3, f(x));", "assertTrue(f(x));"),
        ("ATest.java", "assertThat(f(x)).isEqualTo(3);", "assertThat(f(x)).isTrue();"),
        ("tests/a.c", "assert(f(x) == 3);", "assert(f(x));"),
        ("tests/a.cc", "EXPECT_EQ(f(x), 3);", "EXPECT_TRUE(f(x));"),
        ("spec/a_spec.rb", "expect(f(x)).to eq(3)", "expect(f(x)).to be_truthy"),
        ("ATests.cs", "Assert.Equal(3, F(x));", "Assert.True(F(x));"),
        ("tests/ATest.php", "$this->assertSame(3, f($x));", "$this->assertTrue(f($x));"),
        ("ATests.swift", "XCTAssertEqual(f(x), 3)", "XCTAssertTrue(f(x))"),
        ("test/a_test.dart", "expect(f(x), 3);", "expect(f(x), isTrue);"),
    ] {
        let first = new.lines().next().unwrap();
        assert_eq!(became(path, old, new), [format!("an assertion asks less: `{first}`")], "{old}");
        // The other way round nothing is lost.
        assert_eq!(became(path, new, old), [""; 0], "{new}");
    }
}

/// A new test makes up for nothing in another; a renamed one is the same test.
#[test]
fn another_test_makes_up_for_nothing() {
    let old = "def test_a():\n    assert f() == 1\n";
    let new = "def test_a():\n    assert f()\n\ndef test_b():\n    assert g() == 2\n";
    check(&[("test_a.py", old, new)], &["test_a.py:2: an assertion asks less: `assert f()`"]);
    let renamed = "def test_f():\n    assert f()\n";
    check(&[("test_a.py", old, renamed)], &["test_a.py:2: an assertion asks less: `assert f()`"]);
}

#[test]
fn comparisons_in_other_words() {
    for (path, old, new) in [
        ("test_a.py", "assert f(x) == 3", "self.assertEqual(f(x), 3)"),
        ("test_a.py", "assert f(x) == 3", "assert 3 == f(x)"),
        ("test_a.py", "assert f(x) == 3", "assert f(x) >= 3"),
        ("test_a.py", "assert f(x) == []", "assert not f(x)"),
        ("test_a.py", "assert len(f(x)) == 0", "assert not f(x)"),
        ("test_a.py", "assert f(x) is True", "assert f(x)"),
        ("test_a.py", "self.assertEqual(f(x), True)", "self.assertTrue(f(x))"),
        ("test_a.py", "assert f(x) == 3", "assert math.isclose(f(x), 3)"),
        ("tests/a.rs", "assert_eq!(f(x), 3);", "assert!(f(x) == 3);"),
        ("tests/a.rs", "assert_eq!(f(x), 3);", "assert!((f(x) - 3.0).abs() < 0.1);"),
        ("tests/a.rs", "assert_eq!(f(x), Some(3));", "assert!(matches!(f(x), Some(3)));"),
        ("tests/a.rs", "assert_eq!(f(x).is_empty(), true);", "assert!(f(x).is_empty());"),
        ("tests/a.rs", "assert_eq!(f(x).len(), 0);", "assert!(f(x).is_empty());"),
        ("tests/a.rs", "assert_eq!(f(x), None);", "assert!(f(x).is_none());"),
        ("tests/a.rs", "assert!(f(x) == 3, \"why\");", "assert!(\nf(x) == 3,\n\"why\"\n);"),
        ("a.test.ts", "expect(f(x)).toBe(3);", "assert.equal(f(x), 3);"),
        ("a.test.ts", "expect(f(x)).toBe(3);", "expect(f(x)).toEqual(3);"),
        ("a_test.go", "require.Equal(t, 3, f(x))", "require.True(t, f(x) == 3)"),
        ("ATest.java", "assertEquals(a, b);", "assertTrue(a.equals(b));"),
        ("ATest.java", "assertEquals(true, f(x));", "assertTrue(f(x));"),
        ("tests/a.c", "assert(f(x) == 3);", "assert(strcmp(f(x), \"3\") == 0);"),
        ("tests/a.cc", "EXPECT_EQ(f(x), nullptr);", "EXPECT_FALSE(f(x));"),
        ("ATests.cs", "Assert.Equal(3, F(x));", "Assert.True(F(x) == 3);"),
    ] {
        assert_eq!(became(path, old, new), [""; 0], "{old} {new}");
    }
}

/// In a file of several hands, what a person put in another's place is theirs.
#[test]
fn only_what_agents_took_away_counts_where_lines_are_known() {
    let old = "def test_a():\n    assert f() == 1\n\n\ndef test_b():\n    assert g() == 2\n";
    let new = "def test_a():\n    assert f()\n\n\ndef test_b():\n    assert g()\n";
    let lines = |line: u64| (true, Some(vec![LineRange { start: line, end: line }]));
    let path = "test_a.py";
    check_assisted(
        &[(path, old, new)],
        &|_| lines(6),
        &["test_a.py:6: an assertion asks less: `assert g()`"],
    );
    check_assisted(
        &[(path, old, new)],
        &|_| lines(2),
        &["test_a.py:2: an assertion asks less: `assert f()`"],
    );
    check_assisted(&[(path, old, new)], &|_| lines(1), &[]);
    // Nobody knows whose it is where nothing stands in its place.
    let gone = old.replace("    assert g() == 2\n", "");
    check_assisted(
        &[(path, old, &gone)],
        &|_| lines(1),
        &["test_a.py:5: 1 assertion fewer: `assert g() == 2`"],
    );
    // Nor where no line is known: then all of it is the agent's.
    check(
        &[(path, old, new)],
        &[
            "test_a.py:2: an assertion asks less: `assert f()`",
            "test_a.py:6: an assertion asks less: `assert g()`",
        ],
    );
}

#[test]
fn expected_values_that_are_rewritten_with_the_code() {
    let code = ("src/a.rs", "fn total() -> u32 {\n    12\n}\n", "fn total() -> u32 {\n    13\n}\n");
    let said = "tests/a.rs:4: a test expects something else: `assert_eq!(cart.total(), 13);`, before `assert_eq!(cart.total(), 12);`";
    let other = RUST.replace("12", "13");
    check(&[code, ("tests/a.rs", RUST, &other)], &[said]);
    let more = other.replace("nothing in it", "empty");
    check(&[code, ("tests/a.rs", RUST, &more)], &[&format!("{said}, and 1 more")]);
    // Not by whoever changed no code, or another test.
    check(&[("tests/a.rs", RUST, &other)], &[]);
    check(&[("docs/a.md", "12\n", "13\n"), ("tests/a.rs", RUST, &other)], &[]);
    check_assisted(&[code, ("tests/a.rs", RUST, &other)], &|name| (name == "src/a.rs", None), &[]);
    let asks_another = RUST.replace("cart.total(), 12", "cart.sum(), 13");
    check(&[code, ("tests/a.rs", RUST, &asks_another)], &[]);
    // It only is said.
    let path = RepoPath::new("tests/a.rs");
    let noted = Weakened { kind: Kind::Rewritten, path, line: Some(4), what: String::new() };
    assert!(guard::findings(std::slice::from_ref(&noted), Level::Block).is_empty());
    assert_eq!(guard::notes(&[noted])[0].level, Level::Note);
}

#[test]
fn assertions_that_ask_as_much_elsewhere_or_in_other_words() {
    check(&[("tests/a.rs", RUST, &RUST.replace("12", "13"))], &[]);
    let wrapped = RUST.replace(
        "assert_eq!(cart.total(), 12);",
        "assert_eq!(\n        cart.total(),\n        12\n    );",
    );
    check(&[("tests/a.rs", RUST, &wrapped)], &[]);
    check(&[("tests/a.rs", &wrapped, RUST)], &[]);
    check(&[("tests/a.rs", RUST, &RUST.replace("    ", "\t"))], &[]);
    // From something to more of it.
    check(&[("tests/a.rs", &RUST.replace("cart.is_open()", "cart.open().is_ok()"), RUST)], &[]);
    let plain = "fn checks() {}\n#[test]\nfn a() {\n    assert_eq!(f(1), 2);\n    assert_eq!(f(2), 3);\n}\n";
    let helped = "fn check(given: u32, expected: u32) {\n    assert_eq!(f(given), expected);\n}\n#[test]\nfn a() {\n    check(1, 2);\n    check(2, 3);\n}\n";
    check(&[("tests/a.rs", plain, helped)], &[]);
    // What a program asserts of itself is no test.
    check(&[("src/a.rs", "fn f() {\n    assert!(x);\n}\n", "fn f() {\n}\n")], &[]);
    let inline = format!("fn f() {{\n    assert!(x);\n}}\n{RUST}");
    check(
        &[("src/a.rs", &inline, &inline.replace("    assert!(cart.is_open());\n", ""))],
        &["src/a.rs:8: 1 assertion fewer: `assert!(cart.is_open());`"],
    );
    // What stands in a comment never asserted anything.
    check(
        &[(
            "test_a.py",
            "def test_a():\n    \"\"\"\n    assert this\n    \"\"\"\n    assert f()\n",
            "def test_a():\n    assert f()\n",
        )],
        &[],
    );
}

#[test]
fn tests_that_are_skipped() {
    let jest = "it('adds', () => {\n  expect(add(1)).toBe(2);\n});\n";
    for (path, old, from, to, expected) in [
        (
            "tests/a.rs",
            RUST,
            "fn totals",
            "#[ignore]\nfn totals",
            ":2: a test is skipped: `#[ignore]`",
        ),
        ("a.test.ts", jest, "it(", "it.skip(", ":1: a test is skipped: `it.skip('adds', () => {`"),
        ("a.test.ts", jest, "it(", "xit(", ":1: a test is skipped: `xit('adds', () => {`"),
        (
            "a.test.ts",
            jest,
            "it(",
            "it.only(",
            ":1: all other tests are skipped: `it.only('adds', () => {`",
        ),
        (
            "test_a.py",
            "def test_a():\n    assert f()\n",
            "def",
            "@pytest.mark.skip\ndef",
            ":1: a test is skipped: `@pytest.mark.skip`",
        ),
        (
            "test_a.py",
            "def test_a():\n    assert f()\n",
            "    assert",
            "    pytest.skip('later')\n    assert",
            ":2: a test is skipped: `pytest.skip('later')`",
        ),
        (
            "a_test.go",
            "func TestA(t *testing.T) {\n\tt.Fatal()\n}\n",
            "\tt.Fatal",
            "\tt.Skip(\"flaky\")\n\tt.Fatal",
            ":2: a test is skipped: `t.Skip(\"flaky\")`",
        ),
        (
            "ATest.java",
            "@Test\nvoid a() {\n  assertEquals(1, f());\n}\n",
            "void",
            "@Disabled\nvoid",
            ":2: a test is skipped: `@Disabled`",
        ),
        (
            "tests/a.cc",
            "TEST(A, B) {\n  EXPECT_EQ(1, f());\n}\n",
            "  EXPECT",
            "  GTEST_SKIP();\n  EXPECT",
            ":2: a test is skipped: `GTEST_SKIP();`",
        ),
        (
            "spec/a_spec.rb",
            "it 'adds' do\n  expect(f).to eq(1)\nend\n",
            "it 'adds'",
            "xit 'adds'",
            ":1: a test is skipped: `xit 'adds' do`",
        ),
        (
            "ATests.cs",
            "[Fact]\npublic void A() {\n  Assert.Equal(1, F());\n}\n",
            "[Fact]",
            "[Fact(Skip = \"x\")]",
            ":1: a test is skipped: `[Fact(Skip = \"x\")]`",
        ),
        (
            "tests/ATest.php",
            "function testA() {\n  $this->assertSame(1, f());\n}\n",
            "  $this",
            "  $this->markTestSkipped();\n  $this",
            ":2: a test is skipped: `$this->markTestSkipped();`",
        ),
        (
            "ATests.swift",
            "func testA() throws {\n  XCTAssertEqual(f(), 1)\n}\n",
            "  XCT",
            "  throw XCTSkip()\n  XCT",
            ":2: a test is skipped: `throw XCTSkip()`",
        ),
    ] {
        check(&[(path, old, &old.replacen(from, to, 1))], &[&format!("{path}{expected}")]);
    }
    // A test that is new takes nothing away, and what runs again gives.
    let more =
        format!("{RUST}\n#[test]\n#[ignore]\nfn it_is_slow() {{\n    assert!(slow());\n}}\n");
    check(&[("tests/a.rs", RUST, &more)], &[]);
    check(&[("tests/a.rs", &RUST.replace("fn totals", "#[ignore]\nfn totals"), RUST)], &[]);
    check(&[("tests/a.rs", "", &more)], &[]);
}

#[test]
fn lints_that_are_silenced() {
    for (path, line) in [
        ("src/a.rs", "#[allow(dead_code)]"),
        ("src/a.py", "import os  # noqa: F401"),
        ("src/a.py", "x = f()  # type: ignore[call-arg]"),
        ("src/a.ts", "// eslint-disable-next-line no-console"),
        ("src/a.ts", "// @ts-ignore"),
        ("src/a.go", "f() //nolint:errcheck"),
        ("src/A.java", "@SuppressWarnings(\"unchecked\")"),
        ("src/a.cc", "int x; // NOLINT(misc)"),
        ("src/a.rb", "f # rubocop:disable Style/X"),
        ("src/A.cs", "#pragma warning disable CS0168"),
        ("src/A.php", "f(); // @phpstan-ignore-line"),
        ("src/A.swift", "// swiftlint:disable all"),
        ("src/a.sh", "# shellcheck disable=SC2086"),
    ] {
        check(
            &[(path, "x\n", &format!("x\n{line}\n"))],
            &[&format!("{path}:2: a lint is silenced: `{line}`")],
        );
        check(&[(path, &format!("x\n{line}\n"), &format!("{line}\n\nx\n"))], &[]);
        check(
            &[
                (path, &format!("{line}\n"), ""),
                (&format!("src/b/{}", &path[4..]), "", &format!("{line}\n")),
            ],
            &[],
        );
    }
    // Another reason for the same silence, or a line of somebody else.
    check(&[("src/a.rs", "#[allow(dead_code)]\n", "#[allow(unused)]\n")], &[]);
    let two = "#[allow(dead_code)]\nfn f() {}\n#[allow(unused)]\nfn g() {}\n";
    check_assisted(
        &[("src/a.rs", "fn f() {}\nfn g() {}\n", two)],
        &|_| (true, Some(vec![LineRange { start: 3, end: 3 }])),
        &["src/a.rs:3: a lint is silenced: `#[allow(unused)]`"],
    );
    check_assisted(&[("src/a.rs", "fn f() {}\n", two)], &|_| (false, None), &[]);
    check_assisted(&[("tests/a.rs", RUST, "")], &|_| (false, None), &[]);
}

#[test]
fn snapshots_that_are_gone() {
    let jest = "exports[`a 1`] = `1`;\n\nexports[`b 1`] = `2`;\n";
    let path = "src/__snapshots__/a.test.ts.snap";
    check(&[(path, jest, "exports[`a 1`] = `1`;\n")], &[&format!("{path}:1: a snapshot is gone")]);
    check(&[(path, jest, "")], &[&format!("{path}: 2 snapshots are gone")]);
    check(&[(path, jest, &jest.replace("`2`", "`3`"))], &[]);
    check(&[(path, jest, ""), ("src/b/__snapshots__/a.test.ts.snap", "", jest)], &[]);
    check(
        &[("tests/snapshots/a.snap", "---\nsource: a\n---\n1\n", "")],
        &["tests/snapshots/a.snap: a snapshot is gone"],
    );
}

#[test]
fn thresholds_that_are_lower() {
    for (path, old, new, expected) in [
        (
            "pyproject.toml",
            "fail_under = 90\n",
            "fail_under = 70.5\n",
            Some(":1: `fail_under` went from 90 to 70.5"),
        ),
        ("pyproject.toml", "fail_under = 70\n", "fail_under = 90\n", None),
        (
            "pyproject.toml",
            "[tool]\nfail_under = 70\n",
            "[tool]\n",
            Some(":1: `fail_under` is set no more"),
        ),
        (
            "jest.config.js",
            "coverageThreshold: { global: {\n  branches: 80,\n  lines: 90,\n} }\n",
            "coverageThreshold: { global: {\n  branches: 80,\n  lines: 60,\n} }\n",
            Some(":3: `lines` went from 90 to 60"),
        ),
        ("package.json", "{ \"lines\": 5 }\n", "{ \"lines\": 4 }\n", None),
        (
            ".nycrc.json",
            "{ \"check-coverage\": true,\n\"branches\": 80 }\n",
            "{ \"check-coverage\": true,\n\"branches\": 8 }\n",
            Some(":2: `branches` went from 80 to 8"),
        ),
        (
            "infection.json5",
            "{ minMsi: 80 }\n",
            "{ minMsi: 8 }\n",
            Some(":1: `minMsi` went from 80 to 8"),
        ),
        (
            "playwright.config.ts",
            "toHaveScreenshot: { maxDiffPixels: 10 }\n",
            "toHaveScreenshot: { maxDiffPixels: 9000 }\n",
            Some(":1: `maxDiffPixels` went from 10 to 9000"),
        ),
        (
            "codecov.yml",
            "    threshold: 1%\n",
            "    threshold: 10%\n",
            Some(":1: `threshold` went from 1 to 10"),
        ),
        (
            "pom.xml",
            "jacoco\n<minimum>0.80</minimum>\n",
            "jacoco\n<minimum>0.5</minimum>\n",
            Some(":2: `minimum` went from 0.8 to 0.5"),
        ),
        (
            "ci/test.yml",
            "run: pytest --cov-fail-under=90\n",
            "run: pytest --cov-fail-under=50\n",
            Some(":1: `cov-fail-under` went from 90 to 50"),
        ),
        (
            "package.json",
            "\"lint\": \"eslint --max-warnings=0 .\"\n",
            "\"lint\": \"eslint --max-warnings=99 .\"\n",
            Some(":1: `max-warnings` went from 0 to 99"),
        ),
    ] {
        let expected: Vec<String> = expected.iter().map(|it| format!("{path}{it}")).collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        check(&[(path, old, new)], &expected);
    }
    check(
        &[(".coveragerc", "fail_under = 90\n", ""), ("pyproject.toml", "", "fail_under = 90\n")],
        &[],
    );
}
