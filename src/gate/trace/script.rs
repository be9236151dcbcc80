//! What a shell's script puts into files by its own words: a heredoc that `cat`
//! or `tee` writes, what `echo` or `printf` writes into a file, and the files
//! that `mv` and `git mv` move.
//!
//! It is no shell. A text that a variable or a command would change stays as it
//! is written; then it does not stand in the file, and tells nothing.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::super::told::command::{commands, is_whole, program};
use super::{EDITS, NAME, Texts, below};

/// The most lines that a quote may hold.
const QUOTED: usize = 256;

/// As many bytes of a script are looked over again for the ends of quotes: one
/// that opens a quote in each line and closes none must not cost its square.
const AGAIN: usize = 2 << 20;

/// The edits of a script, with paths as seen from its own folder.
pub(super) fn written(script: &str) -> Vec<Texts> {
    let mut edits = Vec::new();
    if !script.contains('>') && !script.contains("tee ") && !script.contains("mv ") {
        return edits;
    }
    let mut lines = script.split('\n');
    let mut folder = String::new();
    let mut again = AGAIN;
    while let Some(line) = lines.next() {
        for words in commands(&whole(line.trim_end_matches('\r'), &mut lines, &mut again)) {
            if edits.len() >= EDITS {
                return edits;
            }
            if program(&words) == "cd" {
                match words.get(1).filter(|it| is_plain(it)) {
                    Some(to) => folder = below(&folder, to),
                    // Where it goes on is not known.
                    None => return edits,
                }
                continue;
            }
            for (from, to) in moves(&words) {
                edits.push(Texts::moved(below(&folder, &from), below(&folder, &to)));
            }
            let body = heredoc(&words).map(|(end, tabs)| body(&mut lines, end, tabs));
            let Some((path, appends)) = target(&words).filter(|(path, _)| is_plain(path)) else {
                continue;
            };
            if let Some(new) = text(&words, body) {
                let old = appends.then(String::new);
                edits.push(Texts {
                    path: below(&folder, path),
                    old,
                    new,
                    everywhere: false,
                    from: None,
                });
            }
        }
    }
    edits
}

static HEREDOC: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("<<"));
static ECHO: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("echo "));
static PRINTF: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("printf "));
static MOVE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("mv "));

/// Whether a line of a session's file may hold such a script.
pub(super) fn may_write(line: &[u8]) -> bool {
    HEREDOC.find(line).is_some()
        || MOVE.find(line).is_some()
        || (memchr::memchr(b'>', line).is_some()
            && (ECHO.find(line).is_some() || PRINTF.find(line).is_some()))
}

/// The line, with those below that a quote in it holds, as long as there is
/// something left of `again`.
fn whole<'a>(
    line: &str,
    lines: &mut (impl Iterator<Item = &'a str> + Clone),
    again: &mut usize,
) -> String {
    let mut text = line.to_owned();
    let mut further = lines.clone();
    for _ in 0..QUOTED {
        if is_whole(&text) {
            *lines = further;
            return text;
        }
        let Some(next) = further.next() else { break };
        text.push('\n');
        text.push_str(next);
        let Some(left) = again.checked_sub(text.len()) else { break };
        *again = left;
    }
    line.to_owned()
}

/// The word that ends a command's heredoc, and whether tabs before its lines go.
fn heredoc(words: &[String]) -> Option<(&str, bool)> {
    let at = words.iter().position(|it| it.starts_with("<<") && !it.starts_with("<<<"))?;
    let rest = words[at].strip_prefix("<<")?;
    let (tabs, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let end = if rest.is_empty() { words.get(at + 1)?.as_str() } else { rest };
    Some((end.split('>').next().unwrap_or(end), tabs)).filter(|(end, _)| !end.is_empty())
}

fn body<'a>(lines: &mut impl Iterator<Item = &'a str>, end: &str, tabs: bool) -> String {
    let mut text = String::new();
    for line in lines {
        let line = if tabs { line.trim_start_matches('\t') } else { line };
        if line.trim_end_matches('\r') == end {
            break;
        }
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// The files and folders that a command moves, each with where to. That the
/// last of two is a folder that is there already is not known here.
fn moves(words: &[String]) -> Vec<(String, String)> {
    let words = match (program(words), words.get(1).map(String::as_str)) {
        ("mv", _) => words.get(1..),
        ("git", Some("mv")) => words.get(2..),
        _ => None,
    };
    let (mut paths, mut folder, mut options) = (Vec::new(), None, true);
    let mut words = words.unwrap_or_default().iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "--" => options = false,
            "-t" | "--target-directory" if options => folder = words.next(),
            _ if options && word.starts_with('-') => {
                folder = word.strip_prefix("--target-directory=").or(folder);
            }
            // Redirections stand last.
            _ if word
                .trim_start_matches(|it: char| it.is_ascii_digit())
                .starts_with(['>', '<', '&']) =>
            {
                break;
            }
            _ => paths.push(word),
        }
    }
    let into = |folder: &str, path: &str| {
        let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or(path);
        format!("{}/{name}", folder.trim_end_matches('/'))
    };
    let last = if folder.is_none() { paths.pop() } else { None };
    let Some(to) = folder.or(last).filter(|it| is_plain(it)) else { return Vec::new() };
    let is_folder = folder.is_some() || paths.len() > 1 || to.ends_with('/');
    let paths = paths.into_iter().filter(|it| is_plain(it));
    paths.map(|it| (it.to_owned(), if is_folder { into(to, it) } else { to.to_owned() })).collect()
}

/// The file that a command writes, and whether it appends to it.
fn target(words: &[String]) -> Option<(&str, bool)> {
    if program(words) == "tee" {
        let appends = words.iter().any(|it| matches!(it.as_str(), "-a" | "--append"));
        let mut paths = words.iter().skip(1).filter(|it| !it.starts_with(['-', '<', '>']));
        return paths.next().map(|path| (path.as_str(), appends));
    }
    words.iter().enumerate().find_map(|(at, word)| {
        // A heredoc's word may hold it as well: `<<EOF>file`.
        let operator = match word.strip_prefix("<<") {
            Some(rest) => rest.get(rest.find('>')?..)?,
            None => word.strip_prefix('1').filter(|it| it.starts_with('>')).unwrap_or(word),
        };
        let (rest, appends) = match operator.strip_prefix(">>") {
            Some(rest) => (rest, true),
            None => (operator.strip_prefix('>')?, false),
        };
        let rest = rest.strip_prefix('|').unwrap_or(rest);
        let path = if rest.is_empty() { words.get(at + 1)?.as_str() } else { rest };
        (!path.starts_with('&')).then_some((path, appends))
    })
}

/// What a command writes; `None` where that is something else's output.
fn text(words: &[String], body: Option<String>) -> Option<String> {
    // Its own words: no redirections, and not where they lead.
    let mut own = Vec::new();
    let mut skip = false;
    for word in &words[1..] {
        let bare = word.strip_prefix('1').unwrap_or(word);
        if std::mem::take(&mut skip) {
            continue;
        }
        if bare.starts_with(['<', '>']) {
            skip = matches!(bare, ">" | ">>" | ">|" | "<" | "<<" | "<<-");
            continue;
        }
        own.push(word.as_str());
    }
    match program(words) {
        "cat" => body.filter(|_| own.iter().all(|it| *it == "-")),
        "tee" => body,
        "echo" if !own.first().is_some_and(|it| it.starts_with('-')) => {
            Some(format!("{}\n", own.join(" ")))
        }
        "printf" => match own[..] {
            [text] if !text.contains('%') => {
                Some(text.replace("\\n", "\n").replace("\\t", "\t").replace("\\\\", "\\"))
            }
            ["%s\\n", text] => Some(format!("{text}\n")),
            ["%s", text] => Some(text.to_owned()),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a path is one as it is written: no variable, no pattern, no device.
fn is_plain(path: &str) -> bool {
    (1..=NAME).contains(&path.len())
        && !path.starts_with(['-', '~'])
        && !path.starts_with("/dev/")
        && !path.contains(['$', '`', '*', '?', '\n'])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `expected`: `path|old|new` of each edit, `-` for a whole file.
    #[track_caller]
    fn check(script: &str, expected: &[&str]) {
        let found = written(script);
        let show = |it: &Texts| {
            let old = it.old.as_deref().unwrap_or("-");
            match &it.from {
                Some(from) => format!("{from} to {}", it.path),
                None => format!("{}|{old}|{}", it.path, it.new),
            }
        };
        assert_eq!(found.iter().map(show).collect::<Vec<_>>(), expected, "{script}");
    }

    #[test]
    fn a_heredoc_is_what_the_file_holds() {
        check("cat > a <<'EOF'\nx\n  y > z\n\nEOF\n", &["a|-|x\n  y > z\n\n"]);
        check("cat <<EOF >>b/c\nx\nEOF", &["b/c||x\n"]);
        check("mkdir -p b && cat >\"b/c d\" <<\"END\" && echo done\nx\nEND\nls", &["b/c d|-|x\n"]);
        check("cat <<-EOF>a\n\tx\n\tEOF\ncat <<'E' > b\ny\nE", &["a|-|x\n", "b|-|y\n"]);
        check("cd src\ncd ./in && tee -a a <<'X' >/dev/null\n1\nX", &["src/./in/a||1\n"]);
        check("sudo tee /etc/x <<X\n1\nX", &["/etc/x|-|1\n"]);
        check("cat > a << 'EOF'\nno end", &["a|-|no end\n"]);
        check("cat > a <<'EOF'\r\nx\r\nEOF\r\n", &["a|-|x\r\n"]);
    }

    #[test]
    fn what_is_said_into_a_file_is_read() {
        check("echo 'a  b' > a; echo c \"d\" >> 'b b'", &["a|-|a  b\n", "b b||c d\n"]);
        check("echo 'a\nb' > a\necho c > d", &["a|-|a\nb\n", "d|-|c\n"]);
        check("printf 'x\\n\\ty\\n' > a", &["a|-|x\n\ty\n"]);
        check("printf '%s\\n' 'x %' >> a", &["a||x %\n"]);
    }

    #[test]
    fn files_that_are_moved_are_named() {
        check("mv a b", &["a to b"]);
        check("cd src && git mv -f -- 'a b' ../c 2>/dev/null || true", &["src/a b to src/../c"]);
        check("mv a b/c ./d/", &["a to ./d/a", "b/c to ./d/c"]);
        check("mkdir d; mv -t d a b/", &["a to d/a", "b/ to d/b"]);
        check("mv --target-directory=d a", &["a to d/a"]);
        check("mv src/old src/new > log", &["src/old to src/new"]);
        check("mv a b c", &["a to c/a", "b to c/b"]);
        for script in
            ["mv a", "mv", "mv $a b", "mv *.rs lib", "git mv", "rm a b", "mv a $b", "mv -t"]
        {
            check(script, &[]);
        }
    }

    /// Each line opens a quote, and the next one's end is no end of it.
    #[test]
    fn quotes_without_end_are_followed_for_so_long_only() {
        let open = "y \"\\\n".repeat(300) + &"x\n".repeat(300);
        let quoted = "echo 'a\nb' > c\necho d > e\n";
        check(&format!("{open}{quoted}"), &["e|-|d\n"]);
        check(&format!("{}{quoted}", "x\n".repeat(600)), &["c|-|a\nb\n", "e|-|d\n"]);
    }

    #[test]
    fn what_a_program_makes_is_not_known() {
        for script in [
            "cat a > b",
            "cat a - > b <<EOF\nx\nEOF",
            "python3 - <<'EOF' > a\nprint(1)\nEOF",
            "sort <<EOF > a\nx\nEOF",
            "echo x",
            "echo x 2> a",
            "echo x >&2",
            "echo x > $HOME/a",
            "cd $DIR && echo x > a",
            "echo x > /dev/null",
            "printf '%d' 3 > a",
            "echo -e 'x\\ny' > a",
            "cat <<< x > a",
            "git commit -m 'a > b'",
            "cat <<EOF\necho x > a\nEOF",
        ] {
            check(script, &[]);
        }
    }
}
