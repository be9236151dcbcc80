//! Aider's chat history, `.aider.chat.history.md` at the top of a work tree:
//! Markdown, in which an answer's edits stand as a path, `<<<<<<< SEARCH`, the old
//! text, `=======`, the new one and `>>>>>>> REPLACE`; lines of `> ` are Aider's own,
//! among them `> Applied edit to PATH` and `> Commit ID …`. Shape as Aider 0.86
//! writes it (its sources at 5dc9490); times are local and without a zone.

use super::{EDITS, NAME, Texts};

/// Edits of one chat that were applied, and that Aider did not commit itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chat {
    /// When it began, as written there.
    pub began: String,
    pub model: Option<String>,
    pub edits: Vec<Texts>,
}

/// Reads a history.
pub fn chats(text: &str) -> Vec<Chat> {
    let mut chats: Vec<Chat> = Vec::new();
    let mut proposed: Vec<Texts> = Vec::new();
    let mut path = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(began) = line.strip_prefix("# aider chat started at ") {
            proposed.clear();
            chats.push(Chat { began: began.trim().to_owned(), ..Chat::default() });
        } else if let Some(said) = line.strip_prefix("> ") {
            if let Some(chat) = chats.last_mut() {
                told(chat, &mut proposed, said.trim());
            }
            // What is committed is marked by its commit.
            if said.starts_with("Commit ") {
                chats.iter_mut().for_each(|chat| chat.edits.clear());
            }
        } else if is_marker(line, '<', "SEARCH") {
            let block = block(&path, &mut lines);
            proposed.extend(block.filter(|_| proposed.len() < EDITS));
        } else if !line.trim().is_empty() && !line.trim_start().starts_with("```") {
            path = name(line);
        }
    }
    chats.retain(|chat| !chat.edits.is_empty());
    chats
}

/// What Aider says of its own.
fn told(chat: &mut Chat, proposed: &mut Vec<Texts>, said: &str) {
    if let Some(path) = said.strip_prefix("Applied edit to ") {
        let (own, others) = proposed.drain(..).partition(|it| it.path == path);
        *proposed = others;
        chat.edits.extend::<Vec<Texts>>(own);
        chat.edits.truncate(EDITS);
    }
    let model = said.strip_prefix("Main model: ").or_else(|| said.strip_prefix("Model: "));
    if let Some(model) = model.and_then(|it| it.split_whitespace().next()) {
        chat.model = Some(model.to_owned()).filter(|it| it.len() <= NAME);
    }
}

/// A block's texts; `None` for one that does not end, or has no path.
fn block<'a>(path: &str, lines: &mut impl Iterator<Item = &'a str>) -> Option<Texts> {
    let (mut old, mut new) = (String::new(), String::new());
    let mut replaces = false;
    for line in lines {
        if is_marker(line, '>', "REPLACE") && replaces {
            let path = Some(path).filter(|it| (1..=NAME).contains(&it.len()))?;
            return Some(Texts {
                path: path.to_owned(),
                old: Some(old),
                new,
                everywhere: false,
                from: None,
            });
        }
        if is_marker(line, '=', "") && !replaces {
            replaces = true;
            continue;
        }
        let side = if replaces { &mut new } else { &mut old };
        side.push_str(line);
        side.push('\n');
    }
    None
}

/// Whether a line is five to nine of a sign and a word.
fn is_marker(line: &str, sign: char, word: &str) -> bool {
    let line = line.trim_end();
    let signs = line.len() - line.trim_start_matches(sign).len();
    (5..=9).contains(&signs) && line.get(signs..).unwrap_or_default().trim() == word
}

/// The path on the line before a block: models adorn it.
fn name(line: &str) -> String {
    line.trim().trim_end_matches(':').trim_matches(['`', '*', '#', ' ']).to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let one = |chat: Chat| {
            let Chat { began, model, edits } = chat;
            let edits: Vec<String> = edits
                .iter()
                .map(|it| {
                    format!("{} {:?} {:?}", it.path, it.old.as_deref().unwrap_or("-"), it.new)
                })
                .collect();
            format!("{began} {} {}", model.as_deref().unwrap_or("-"), edits.join(", "))
        };
        chats(text).into_iter().map(one).collect()
    }

    const ONE: &str = "\n# aider chat started at 2026-05-22 07:02:20\n\n> Main model: sonnet with diff edit format\n\n#### add a line\n\nHere it is:\n\n**src/a.rs**\n```rust\n<<<<<<< SEARCH\nx\n=======\nx\ny\n>>>>>>> REPLACE\n```\n\n> Tokens: 1k sent\n";

    #[test]
    fn what_was_applied_counts() {
        assert_eq!(shown(ONE), [""; 0]);
        let applied = format!("{ONE}> Applied edit to src/a.rs  \n");
        assert_eq!(shown(&applied), ["2026-05-22 07:02:20 sonnet src/a.rs \"x\\n\" \"x\\ny\\n\""]);
        assert_eq!(shown(&format!("{applied}> Commit a1b2c3d feat: x  \n")), [""; 0]);
        assert_eq!(shown(&format!("{ONE}> Applied edit to b.rs  \n")), [""; 0]);
        let later = applied.replace("07:02:20", "08:00:00");
        assert_eq!(shown(&format!("{applied}{later}")).len(), 2);
    }

    #[test]
    fn a_block_that_does_not_end_is_none() {
        let cut = ONE.replace(">>>>>>> REPLACE", "");
        assert_eq!(shown(&format!("{cut}> Applied edit to src/a.rs\n")), [""; 0]);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(<{5,7} SEARCH\n|={7}\n|>{7} REPLACE\n|a.rs\n|> Applied edit to a.rs\n|# aider chat started at x\n|```\n){0,12}") {
            chats(&text);
        }
    }
}
