//! The pages of a review as lines of styled text, for any width.

use super::{Decision, Sitting};
use crate::gate::change::{Entry, FileStatus, printable};
use crate::gate::review::{FileBody, Hunk, Line, Mark, Review, ReviewedFile, Side, word};
use crate::gate::verdict::State;

/// What a part of a line means; how that looks, the terminal decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    #[default]
    Plain,
    Strong,
    Faint,
    Good,
    Bad,
    Warning,
    /// Words that differ.
    GoodWord,
    BadWord,
    /// The first and the last line of the screen.
    Bar,
}

/// A line of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    pub spans: Vec<(Tone, String)>,
    /// How far a continuation is indented, in columns.
    pub indent: usize,
    /// A hunk begins here.
    pub hunk: bool,
    /// It is a line of a file.
    pub code: bool,
}

impl Row {
    /// A line of one tone.
    pub fn new(tone: Tone, text: impl Into<String>) -> Row {
        Row { spans: vec![(tone, text.into())], indent: 2, hunk: false, code: false }
    }

    fn plain(text: impl Into<String>) -> Row {
        Row::new(Tone::Plain, text)
    }

    /// The same with more text.
    pub fn and(mut self, tone: Tone, text: impl Into<String>) -> Row {
        self.spans.push((tone, text.into()));
        self
    }

    /// The same with continuations indented by this many columns.
    pub fn indented(mut self, indent: usize) -> Row {
        self.indent = indent;
        self
    }

    /// Breaks the line into lines of at most `width` columns: between words, but
    /// for lines of code, which break where they have to. `measure` tells the
    /// columns of a character.
    pub fn wrapped(&self, width: usize, measure: fn(char) -> usize) -> Vec<Row> {
        // No character takes more columns than bytes.
        if self.spans.iter().map(|(_, text)| text.len()).sum::<usize>() <= width {
            return vec![self.clone()];
        }
        let spans = self.spans.iter();
        let characters: Vec<(Tone, char)> =
            spans.flat_map(|(tone, text)| text.chars().map(|it| (*tone, it))).collect();
        let indent = self.indent.min(width / 2);
        let mut rows = Vec::new();
        let mut rest = characters.as_slice();
        loop {
            let room = if rows.is_empty() { width } else { width - indent };
            let (line, after) = rest.split_at(self.breaking(rest, room, measure));
            let mut row = Row { hunk: self.hunk && rows.is_empty(), ..Row::default() };
            if !rows.is_empty() {
                row.spans.push((Tone::Plain, " ".repeat(indent)));
            }
            for (tone, character) in line {
                match row.spans.last_mut() {
                    Some((last, text)) if last == tone => text.push(*character),
                    Some(_) | None => row.spans.push((*tone, character.to_string())),
                }
            }
            rows.push(row);
            // The blank at which a text was broken is not missed.
            let blanks = if self.code { 0 } else { leading_blanks(after) };
            rest = &after[blanks..];
            if rest.is_empty() {
                return rows;
            }
        }
    }

    /// How many characters stand on the next line.
    fn breaking(&self, rest: &[(Tone, char)], room: usize, measure: fn(char) -> usize) -> usize {
        let mut columns = 0;
        let fits = |(_, character): &&(Tone, char)| {
            columns += measure(*character);
            columns <= room
        };
        let fitting = rest.iter().take_while(fits).count().max(1).min(rest.len());
        if fitting == rest.len() || self.code || rest[fitting].1 == ' ' {
            return fitting;
        }
        let lead = leading_blanks(rest);
        let blank = rest[lead..fitting].iter().rposition(|(_, it)| *it == ' ');
        blank.map_or(fitting, |place| lead + place + 1)
    }
}

fn leading_blanks(characters: &[(Tone, char)]) -> usize {
    characters.iter().take_while(|(_, it)| *it == ' ').count()
}

/// `1 file`, `2 files`.
pub fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// The first page: the change as a whole.
pub fn overview(sitting: &Sitting) -> Vec<Row> {
    let review = &sitting.review;
    let mut rows = vec![Row::plain(summary(review))];
    rows.push(Row::new(Tone::Strong, "commits"));
    for commit in &review.commits {
        let head = format!(
            "  {} {}: {}",
            commit.id.short(),
            printable(&commit.author),
            printable(&commit.subject)
        );
        let marks = commit.marks.iter().map(|it| format!("  * {}", printable(it)));
        rows.push(Row::plain(head).and(Tone::Warning, marks.collect::<String>()).indented(15));
    }
    if !review.rules.is_empty() {
        rows.push(Row::new(Tone::Strong, "rules"));
    }
    for rule in &review.rules {
        rows.push(Row::plain(format!("  {}", printable(&rule.id))));
        if let Some(why) = &rule.why {
            rows.push(Row::new(Tone::Faint, format!("    why: {}", printable(why))).indented(9));
        }
        for it in &rule.requirements {
            let text = format!("    {}: {}", it.requirement, printable(&it.detail));
            rows.push(Row::new(tone_of(it.state), text).indented(6));
        }
    }
    for preview in &review.previews {
        rows.push(Row::new(Tone::Strong, "preview"));
        let lines = preview.lines().map(|line| Row::plain(format!("  {line}")).indented(6));
        rows.extend(lines);
    }
    rows.push(Row::new(Tone::Strong, "files"));
    for (index, file) in review.files.iter().enumerate() {
        rows.push(listed(sitting, index, file));
        if let Some(comment) = &sitting.marks[index].comment {
            rows.push(Row::plain(format!("      “{}”", printable(comment))).indented(7));
        }
    }
    if review.files.is_empty() {
        rows.push(Row::plain("  none: an earlier approval covers all of them"));
    }
    if let Some(note) = &sitting.note {
        rows.push(Row::new(Tone::Strong, "note"));
        rows.push(Row::plain(format!("  {}", printable(note))));
    }
    rows
}

/// `3 files, +120 -4; agents wrote 80 of the added lines: claude-code`
pub fn summary(review: &Review) -> String {
    let files = counted(review.files.len(), "file");
    let written = if review.agents.is_empty() {
        "no mark of an agent".to_owned()
    } else {
        let agents = printable(&review.agents.join(", "));
        format!("{} of the added lines by {agents}", review.assisted_added)
    };
    format!("{files}, +{} -{}; {written}", review.added, review.removed)
}

fn tone_of(state: State) -> Tone {
    match state {
        State::Satisfied => Tone::Good,
        State::Waived | State::Deferred => Tone::Warning,
        State::Missing | State::Failed | State::Unsatisfiable | State::Error => Tone::Bad,
    }
}

fn listed(sitting: &Sitting, index: usize, file: &ReviewedFile) -> Row {
    let (sign, tone) = match sitting.marks[index].decision {
        Some(Decision::Approved) => ("[x]", Tone::Good),
        Some(Decision::Skipped) => ("[-]", Tone::Warning),
        None => ("[ ]", Tone::Plain),
    };
    let rules: Vec<String> = file.rules.iter().map(|it| printable(&it.rule)).collect();
    let agents = if file.assisted {
        format!(", {} by an agent", file.assisted_added)
    } else {
        String::new()
    };
    let rest = format!(
        " {}  +{} -{}{agents}  {}",
        file.path.to_display(),
        file.added,
        file.removed,
        rules.join(", ")
    );
    let before = if sitting.marks[index].before { "  (approved before)" } else { "" };
    Row::new(tone, format!("  {sign}"))
        .and(Tone::Plain, rest.trim_end().to_owned())
        .and(Tone::Faint, before)
        .indented(6)
}

/// A file's page.
pub fn file(sitting: &Sitting, index: usize) -> Vec<Row> {
    let file = &sitting.review.files[index];
    let mut rows = heading(file);
    if let Some(comment) = &sitting.marks[index].comment {
        rows.push(Row::plain(format!("comment: {}", printable(comment))).indented(9));
    }
    match (&file.since, sitting.since) {
        (Some(since), true) => {
            let who = printable(&since.person);
            let text = format!("only what changed since {who} approved it (`v` shows all):");
            rows.push(Row::new(Tone::Warning, text));
            rows.extend(since.hunks.iter().flat_map(hunk));
        }
        (_, _) => match &file.body {
            FileBody::Hunks(hunks) => rows.extend(hunks.iter().flat_map(hunk)),
            FileBody::Note(why) => rows.push(Row::new(Tone::Warning, printable(why))),
        },
    }
    rows
}

fn heading(file: &ReviewedFile) -> Vec<Row> {
    let facts = format!("  {}  +{} -{}", status(file), file.added, file.removed);
    let mut rows = vec![Row::new(Tone::Strong, file.path.to_display()).and(Tone::Plain, facts)];
    if file.assisted {
        let agents = printable(&file.agents.join(", "));
        let text = format!("agents: {} of the added lines, by {agents}", file.assisted_added);
        rows.push(Row::new(Tone::Warning, text).indented(8));
    }
    for it in &file.rules {
        let pattern = it.pattern.as_ref().map(|it| format!(" ({})", printable(it)));
        let why = it.why.as_ref().map(|it| format!(": {}", printable(it)));
        let text = format!(
            "rule:   {}{}{}",
            printable(&it.rule),
            pattern.unwrap_or_default(),
            why.unwrap_or_default()
        );
        rows.push(Row::new(Tone::Plain, text).indented(8));
    }
    if file.rules.is_empty() {
        rows.push(Row::new(Tone::Faint, "rule:   none asks for anything here"));
    }
    for it in &file.earlier {
        let how = if it.carried {
            "approved it, and that merges cleanly into this"
        } else if it.covers {
            "approved exactly this"
        } else if file.since.as_ref().is_some_and(|since| since.person == it.person) {
            "approved it before it changed (`v` shows what changed since)"
        } else {
            "approved other content of it"
        };
        let id = it.record.get(..12).unwrap_or(&it.record);
        let text = format!("before: {} {how}, {} ({id})", printable(&it.person), it.at);
        rows.push(Row::new(if it.covers { Tone::Good } else { Tone::Plain }, text).indented(8));
    }
    rows
}

/// `added 100644`, `modified 100644`, `modified 100644 → 100755`
fn status(file: &ReviewedFile) -> String {
    let word = match file.status {
        FileStatus::Added => "added",
        FileStatus::Deleted => "deleted",
        FileStatus::Modified => "modified",
        FileStatus::Typechange => "another kind of file",
    };
    let mode = |it: &Option<Entry>| it.as_ref().map(|it| it.mode);
    let modes = match (mode(&file.old), mode(&file.new)) {
        (Some(old), Some(new)) if old != new => format!("{old:06o} → {new:06o}"),
        (_, Some(mode)) | (Some(mode), None) => format!("{mode:06o}"),
        (None, None) => String::new(),
    };
    format!("{word} {modes}")
}

fn hunk(hunk: &Hunk) -> Vec<Row> {
    let header = Row { hunk: true, ..Row::new(Tone::Faint, hunk.header()) };
    let written = written(hunk);
    let written = if written.is_empty() { written } else { format!("  * {written}") };
    let mut rows = vec![header.and(Tone::Warning, written)];
    rows.extend(hunk.lines.iter().map(line));
    rows
}

/// Who wrote which lines: `claude-code (declared) 4-9, codex (recorded) 12`
pub fn written(hunk: &Hunk) -> String {
    let mut runs: Vec<(&Mark, u64, u64)> = Vec::new();
    for line in &hunk.lines {
        let (Some(mark), Some(number)) = (&line.mark, line.new) else { continue };
        match runs.last_mut() {
            Some((last, _, end)) if *last == mark && *end + 1 == number => *end = number,
            Some(_) | None => runs.push((mark, number, number)),
        }
    }
    let mut text = String::new();
    let mut last: Option<&Mark> = None;
    for (mark, start, end) in runs {
        let lines = if start == end { start.to_string() } else { format!("{start}-{end}") };
        let again = last == Some(mark);
        let separator = if text.is_empty() { "" } else { ", " };
        text.push_str(separator);
        if !again {
            text.push_str(&format!("{} ({}) ", mark.agent, word(mark.strength)));
        }
        text.push_str(&lines);
        last = Some(mark);
    }
    text
}

/// The columns before a line's text.
const GUTTER: usize = 9;

fn line(line: &Line) -> Row {
    let number = line.new.or(line.old).unwrap_or_default();
    let mark = if line.mark.is_some() { '*' } else { ' ' };
    let (sign, tone, word) = match line.side {
        Side::Kept => (' ', Tone::Plain, Tone::Plain),
        Side::Removed => ('-', Tone::Bad, Tone::BadWord),
        Side::Added => ('+', Tone::Good, Tone::GoodWord),
    };
    let mut row = Row::new(Tone::Faint, format!("{number:>5} "))
        .and(Tone::Warning, mark.to_string())
        .and(tone, format!("{sign} "));
    for piece in &line.pieces {
        row = row.and(if piece.differs { word } else { tone }, piece.text.clone());
    }
    if line.unended {
        row = row.and(Tone::Faint, "  (no line break at the end)");
    }
    Row { code: true, ..row.indented(GUTTER) }
}

/// What the keys do.
pub fn help() -> Vec<Row> {
    const KEYS: &[(&str, &str)] = &[
        ("a", "approve this file, and go to the next that is open"),
        ("s", "skip this file: it is not part of what you sign"),
        ("u", "open it again"),
        ("n  p", "next hunk, previous hunk"),
        ("]  [", "next file, previous file (also tab, shift-tab, → and ←)"),
        ("j  k", "one line down, up (also ↓ and ↑)"),
        ("space  b", "one screen down, up (also page down, page up)"),
        ("g  G", "to the beginning, to the end"),
        ("v", "only what changed since an earlier approval, and back"),
        ("e", "open a copy of the file in your editor (`git var GIT_EDITOR`)"),
        ("c", "comment on this file; comments go into the record's note"),
        ("m", "the note of the whole record"),
        ("o", "the change as a whole: commits, rules, tests, previews, files"),
        ("d", "done: show exactly what will be signed, and ask"),
        ("q", "stop; what you decided is kept, and `countersign review` goes on there"),
    ];
    let mut rows = vec![Row::new(Tone::Strong, "keys")];
    rows.extend(KEYS.iter().map(|(key, does)| {
        Row::new(Tone::Strong, format!("  {key:<10}")).and(Tone::Plain, *does).indented(12)
    }));
    rows.push(Row::plain(""));
    rows.push(Row::plain("In a hunk `*` marks the lines that an agent wrote; its first line says who, and how that is known: declared by the commit, or recorded by the agent.").indented(0));
    rows.push(Row::plain("`countersign reject` says no to the whole change. Nothing is signed before you say so at the end.").indented(0));
    rows
}
