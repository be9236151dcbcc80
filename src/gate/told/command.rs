//! A shell's command line, split into the commands that it runs.
//!
//! Words are split by `shlex`; what stands between commands (`;`, `&&`, `|`, line
//! breaks, brackets, `$(…)`) is found outside quotes. It is no shell: variables
//! stay as they are written, and what a script or an alias does is not seen.

/// The most commands of one line, and how deep they may hide in one another.
const COMMANDS: usize = 256;
const DEPTH: usize = 4;

/// The commands of a line, as words, without what merely starts them (`sudo`,
/// `env A=1`, `sh -c`).
pub fn commands(line: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    add(line, 0, &mut found);
    found
}

/// Whether every quote that a line opens is closed in it.
pub fn is_whole(line: &str) -> bool {
    shlex::split(line).is_some()
}

/// The name of a command's program, without its folder and `.exe`.
pub fn program(words: &[String]) -> &str {
    let name = words.first().map_or("", String::as_str);
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
    name.strip_suffix(".exe").unwrap_or(name)
}

fn add(line: &str, depth: usize, found: &mut Vec<Vec<String>>) {
    let mut inner = Vec::new();
    for piece in pieces(line, &mut inner) {
        // A line that is no whole one (an open quote) is split at its blanks.
        let words = shlex::split(&piece)
            .unwrap_or_else(|| piece.split_whitespace().map(str::to_owned).collect());
        let words = stripped(words);
        if words.is_empty() || found.len() >= COMMANDS {
            continue;
        }
        if let Some(script) = script_of(&words).filter(|_| depth < DEPTH) {
            add(&script, depth + 1, found);
        }
        found.push(words);
    }
    for script in inner {
        if depth < DEPTH {
            add(&script, depth + 1, found);
        }
    }
}

/// The line's simple commands; what `$(…)` and backticks hold goes to `inner`.
fn pieces(line: &str, inner: &mut Vec<String>) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let characters: Vec<char> = line.chars().collect();
    let (mut at, mut quote) = (0, None);
    while let Some(&character) = characters.get(at) {
        at += 1;
        let current = pieces.last_mut().expect("there is always one");
        match (character, quote) {
            ('\\', None | Some('"')) => {
                // A line break behind it joins two lines.
                let next = characters.get(at).copied();
                if next != Some('\n') {
                    current.push(character);
                    current.extend(next);
                }
                at += 1;
            }
            ('\'' | '"', None) => {
                quote = Some(character);
                current.push(character);
            }
            (_, Some(open)) if character == open => {
                quote = None;
                current.push(character);
            }
            ('`', None | Some('"')) => {
                let end = characters[at..].iter().position(|it| *it == '`');
                let end = end.map_or(characters.len(), |end| at + end);
                inner.push(characters[at..end].iter().collect());
                current.push('_');
                at = (end + 1).min(characters.len());
            }
            ('$', None | Some('"')) if characters.get(at) == Some(&'(') => {
                let end = closing(&characters, at + 1);
                inner.push(characters[at + 1..end].iter().collect());
                current.push('_');
                at = (end + 1).min(characters.len());
            }
            (';' | '&' | '|' | '\n' | '(' | ')' | '{' | '}', None) => {
                // `2>&1` and `&>` are no ends of a command, `{}` is a word.
                let redirects = character == '&'
                    && (current.ends_with('>') || characters.get(at) == Some(&'>'));
                let brace = matches!(character, '{' | '}')
                    && !(current.trim().is_empty()
                        && characters.get(at).is_none_or(|it| it.is_whitespace()));
                if redirects || brace {
                    current.push(character);
                } else {
                    pieces.push(String::new());
                }
            }
            ('#', None) if current.is_empty() || current.ends_with(char::is_whitespace) => {
                while characters.get(at).is_some_and(|it| *it != '\n') {
                    at += 1;
                }
            }
            _ => current.push(character),
        }
    }
    pieces
}

/// Where the bracket closes that was opened just before `from`.
fn closing(characters: &[char], from: usize) -> usize {
    let mut depth = 1;
    for (at, character) in characters.iter().enumerate().skip(from) {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    characters.len()
}

/// The command without what stands before it: assignments, keywords, `sudo`.
fn stripped(mut words: Vec<String>) -> Vec<String> {
    const STARTERS: [&str; 21] = [
        "sudo", "doas", "env", "command", "builtin", "exec", "nohup", "time", "nice", "setsid",
        "stdbuf", "xargs", "timeout", "then", "do", "else", "if", "while", "until", "!", "winpty",
    ];
    loop {
        let Some(first) = words.first() else { return words };
        if is_assignment(first) {
            words.remove(0);
            continue;
        }
        if !STARTERS.contains(&program(&words)) {
            return words;
        }
        words.remove(0);
        // Its options, and the numbers that some of them take.
        while words.first().is_some_and(|it| {
            it.starts_with('-')
                || is_assignment(it)
                || it.starts_with(|it: char| it.is_ascii_digit())
        }) {
            words.remove(0);
        }
    }
}

fn is_assignment(word: &str) -> bool {
    let Some((name, _)) = word.split_once('=') else { return false };
    !name.is_empty()
        && name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_')
        && !name.starts_with(|it: char| it.is_ascii_digit())
}

/// The script that a command hands to a shell.
fn script_of(words: &[String]) -> Option<String> {
    match program(words) {
        "sh" | "bash" | "zsh" | "dash" | "ksh" | "fish" => {
            let at = words
                .iter()
                .position(|it| it.starts_with('-') && !it.starts_with("--") && it.ends_with('c'))?;
            words.get(at + 1).cloned()
        }
        "eval" => Some(words[1..].join(" ")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &[&str]) {
        let found: Vec<String> = commands(line).iter().map(|it| it.join(" ")).collect();
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn a_line_is_split_into_its_commands() {
        check("git add -A&&git commit -m 'a; b'", &["git add -A", "git commit -m a; b"]);
        check("a; b | c || d & e\nf", &["a", "b", "c", "d", "e", "f"]);
        check("make 2>&1 &> log", &["make 2>&1 &> log"]);
        check("(cd x; y)", &["cd x", "y"]);
        check("{ a; b; }", &["a", "b"]);
        check("find . -exec rm {} +", &["find . -exec rm {} +"]);
        check("a \\\n b # c; d\ne", &["a b", "e"]);
        check("echo \"$(git push)\" `x y`", &["echo _ _", "git push", "x y"]);
        check("echo '$(git push)'", &["echo $(git push)"]);
        check("A=1 B=2 sudo -E env C=3 timeout 10 git push", &["git push"]);
        check("bash -lc 'a && b'", &["a", "b", "bash -lc a && b"]);
        check("eval git push", &["git push", "eval git push"]);
        check("if true; then git push; fi", &["true", "git push", "fi"]);
        check("echo 'open", &["echo 'open"]);
        check("", &[]);
    }

    #[test]
    fn a_program_has_no_folder() {
        let name = |word: &str| program(&[word.to_owned()]).to_owned();
        assert_eq!(["/usr/bin/git", r"C:\bin\git.exe", "git"].map(name), ["git"; 3]);
    }

    proptest! {
        #[test]
        fn any_text_is_split(line in "[ab'\"`$(){};&|\\\\\n #=-]{0,60}") {
            commands(&line);
        }
    }
}
