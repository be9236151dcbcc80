//! Which lines of a file an agent wrote, by the texts that it recorded.
//!
//! Lines that an edit's new text has over its old one are the agent's. Edits are
//! taken back, the newest first (`replay`); each line is matched to one line
//! of the file, so a second one of the same text is somebody else's. A line that
//! carries no meaning of its own (a bracket, a blank) follows the lines beside
//! it. What matches nothing is nobody's: unattributed.
//!
//! Of what was kept of a text only keys of its lines are known ([`match_keys`]):
//! then runs of lines come first, longest first.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::change::LineRange;
use super::trace::TracedEdit;

pub mod moved;
mod replay;

use replay::{Replay, Written};

/// The most places at which one text is looked for.
const PLACES: usize = 64;
/// The most places of a text that was replaced everywhere.
const EVERYWHERE: usize = 1000;
/// The most pairs of lines of one edit that are weighed.
const PAIRS: usize = 1 << 20;
/// The most lines, old and new, that are compared in order; beyond it every
/// line is new that the old text does not have.
const COMPARED: usize = 4000;

/// Lines of a file that one session wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchedRange {
    pub lines: LineRange,
    /// The agent's id in the catalogue.
    pub agent: String,
    pub session: String,
    pub model: Option<String>,
    /// The lines differ from the record in blanks or in a trailing comma or
    /// semicolon, or stand in another order.
    pub reformatted: bool,
}

/// Finds the added lines that these edits of the file wrote. `content` is the
/// whole new file, `added` its added lines; the edits are in order, the oldest
/// first. Line ends, also CRLF, and trailing blanks are no difference.
/// `formatted`: what a formatter did to them is none either.
pub fn match_lines(
    content: &[u8],
    added: &[LineRange],
    edits: &[&TracedEdit],
    formatted: bool,
) -> Vec<MatchedRange> {
    let text = String::from_utf8_lossy(content);
    let lines: Vec<&str> = text.lines().collect();
    let mut is_added = vec![false; lines.len()];
    for range in added {
        for number in range.start..=range.end {
            let index = usize::try_from(number).ok().and_then(|it| it.checked_sub(1));
            if let Some(flag) = index.and_then(|index| is_added.get_mut(index)) {
                *flag = true;
            }
        }
    }
    let mut written: Vec<Written<'_>> = edits.iter().map(|edit| Written::of(edit)).collect();
    forget_removed(&mut written);
    let mut owners: Vec<Option<Owner>> = vec![None; lines.len()];
    let mut replay = Replay::new(&lines, is_added, formatted);
    for (number, edit) in written.iter().enumerate().rev() {
        // What was replaced everywhere is taken back place by place.
        for _ in 0..if edit.everywhere { EVERYWHERE } else { 1 } {
            let claims = replay.take_back(edit);
            if claims.is_empty() {
                break;
            }
            for (at, reformatted) in claims {
                owners[at] = Some(Owner { edit: number, reformatted });
            }
        }
    }
    ranges(&owners, edits)
}

/// Finds in a file the lines of a text of which only keys are known. Each of
/// the text's lines is found once at most; `open` says which lines of the file
/// may be taken, `fits` which line of the text may stand for which of the file,
/// `places` where each line of the text stood: in which of several files, and
/// at which number there.
/// Returns for each line of the file the line of the text, both counted from 0.
pub fn match_keys(
    lines: &[&str],
    keys: &[u64],
    open: &[bool],
    text: &[u64],
    mut own: Vec<bool>,
    fits: &dyn Fn(usize, usize) -> bool,
    places: &[Option<(usize, u64)>],
) -> Vec<Option<usize>> {
    let page = Page { lines, keys, open };
    let mut owners: Vec<Option<usize>> = vec![None; lines.len()];
    take(&page, text, &mut own, fits, &mut |at, line| owners[at] = Some(line));
    take_near(&page, text, &mut own, fits, places, &mut owners);
    take_at_distance(&page, text, &own, fits, places, &mut owners);
    owners
}

/// The longest way, in lines, over which a line is found by its distance.
const DISTANCE: u64 = 24;

/// Takes brackets and blanks that stand as far from a line that is taken as
/// they stood from it before: what is between them is somebody else's.
fn take_at_distance(
    page: &Page<'_>,
    text: &[u64],
    own: &[bool],
    fits: &dyn Fn(usize, usize) -> bool,
    places: &[Option<(usize, u64)>],
    owners: &mut [Option<usize>],
) {
    if !own.contains(&true) {
        return;
    }
    let mut taken: BTreeMap<(usize, u64), usize> = BTreeMap::new();
    for (at, line) in owners.iter().enumerate() {
        if let Some(place) = line.and_then(|line| places.get(line).copied().flatten()) {
            taken.insert(place, at);
        }
    }
    for line in (0..text.len()).filter(|line| own[*line]) {
        let Some((file, number)) = places.get(line).copied().flatten() else { continue };
        let mut above = taken.range((file, number.saturating_sub(DISTANCE))..(file, number));
        let above = above
            .next_back()
            .and_then(|((_, it), at)| at.checked_add(usize::try_from(number - it).ok()?));
        let mut below = taken.range((file, number)..(file, number.saturating_add(DISTANCE)));
        let below = below
            .next()
            .and_then(|((_, it), at)| at.checked_sub(usize::try_from(it - number).ok()?));
        let free = |at: &usize| {
            owners.get(*at).is_some_and(Option::is_none)
                && page.open[*at]
                && page.keys[*at] == text[line]
                && fits(line, *at)
        };
        if let Some(at) = [above, below].into_iter().flatten().find(free) {
            owners[at] = Some(line);
        }
    }
}

/// Takes lines that stand where they stood: at their very numbers, or as far
/// from them as the lines above. Short ones (`x = 1`) are also found at the one
/// place around that has this text. Of a run of which less than half is there,
/// nothing is taken.
fn take_near(
    page: &Page<'_>,
    text: &[u64],
    own: &mut [bool],
    fits: &dyn Fn(usize, usize) -> bool,
    places: &[Option<(usize, u64)>],
    owners: &mut [Option<usize>],
) {
    let mut start = 0;
    while start < text.len() {
        let run = start..end_of_run(places, start);
        start = run.end;
        let Some((_, number)) = places.get(run.start).copied().flatten() else { continue };
        if !own.get(run.clone()).is_some_and(|own| own.iter().all(|own| *own)) {
            continue;
        }
        let free = |line: usize, at: usize| {
            page.keys.get(at) == Some(&text[line])
                && page.open[at]
                && owners[at].is_none()
                && page.lines[at].contains(char::is_alphanumeric)
                && fits(line, at)
        };
        let is_short = |at: usize| is_short(page.lines[at]) && !is_common(page.lines[at]);
        let found = near(run.clone(), number, &free, &is_short);
        if found.len() * 2 >= run.len() {
            for (line, at) in found {
                own[line] = false;
                owners[at] = Some(line);
            }
        }
    }
}

/// Where the lines end that stood one below the other, from this one on.
fn end_of_run(places: &[Option<(usize, u64)>], first: usize) -> usize {
    let mut end = first + 1;
    while let (Some(Some((file, number))), Some(Some(next))) =
        (places.get(end - 1).copied(), places.get(end).copied())
    {
        if next != (file, number.saturating_add(1)) {
            break;
        }
        end += 1;
    }
    end
}

/// The places of a run's lines that are as far from their numbers as the line
/// above, or are the only ones around them. `number` is the first line's.
fn near(
    run: std::ops::Range<usize>,
    number: u64,
    free: &dyn Fn(usize, usize) -> bool,
    is_short: &dyn Fn(usize) -> bool,
) -> Vec<(usize, usize)> {
    let distance = usize::try_from(DISTANCE).unwrap_or_default();
    let mut found: Vec<(usize, usize)> = Vec::new();
    let mut moved = 0;
    for (line, stood) in run.zip(number.saturating_sub(1)..) {
        let Ok(stood) = usize::try_from(stood) else { break };
        let is = |at: usize| free(line, at) && !found.iter().any(|(_, other)| *other == at);
        let expected = stood.checked_add_signed(moved).filter(|at| is(*at));
        let at = expected.or_else(|| {
            let around = stood.saturating_sub(distance)..=stood.saturating_add(distance);
            let mut around = around.filter(|at| is(*at) && is_short(*at));
            around.next().filter(|_| around.next().is_none())
        });
        if let Some(at) = at {
            moved = at.cast_signed().wrapping_sub(stood.cast_signed());
            found.push((line, at));
        }
    }
    found
}

/// Whether a line means something by itself: four letters or digits, and not a
/// word that every program is full of.
pub fn is_telling(line: &str) -> bool {
    line.chars().filter(|it| it.is_alphanumeric()).take(4).count() == 4 && !is_common(line)
}

/// Whether a line says something, but too little to be told from others of its
/// kind wherever it stands: `x = 1`, `b`.
fn is_short(line: &str) -> bool {
    line.contains(char::is_alphanumeric) && !is_telling(line)
}

fn is_common(line: &str) -> bool {
    const COMMON: [&str; 14] = [
        "else", "break", "continue", "return", "pass", "done", "then", "begin", "endif", "default",
        "finally", "none", "true", "false",
    ];
    let word = line.trim().trim_end_matches([';', ':', ',', '{', '}', ')', ' ']);
    COMMON.iter().any(|common| word.eq_ignore_ascii_case(common))
}

/// What is left of a text without blanks, without a comma that closes a list,
/// and without commas and semicolons at its end.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars().filter(|it| !it.is_whitespace()) {
        if matches!(letter, ')' | ']' | '}') && plain.ends_with(',') {
            plain.pop();
        }
        plain.push(letter);
    }
    plain.truncate(plain.trim_end_matches([',', ';']).len());
    plain
}

/// What two lines have in common that count as the same.
pub fn key(line: &str, reformatted: bool) -> u64 {
    let mut hasher = DefaultHasher::new();
    let line = line.trim_end();
    if reformatted {
        let line = line.trim_end_matches([',', ';']);
        line.chars().filter(|it| !it.is_whitespace()).for_each(|it| it.hash(&mut hasher));
    } else {
        line.hash(&mut hasher);
    }
    hasher.finish()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner {
    edit: usize,
    reformatted: bool,
}

/// A line that a later edit took away again is no longer there to be matched.
fn forget_removed(written: &mut [Written<'_>]) {
    let mut places: HashMap<u64, Vec<(usize, usize)>> = HashMap::new();
    for number in 0..written.len() {
        for text in written[number].removed().collect::<Vec<u64>>() {
            if let Some((edit, line)) = places.get_mut(&text).and_then(Vec::pop) {
                written[edit].own[line] = false;
            }
        }
        // One that stands in several places is still there in the others.
        let everywhere = written[number].everywhere;
        for (index, text) in written[number].exact().iter().enumerate() {
            if written[number].own[index] && !everywhere {
                places.entry(*text).or_default().push((number, index));
            }
        }
    }
}

/// A file, with the lines of it that may still be given away.
struct Page<'a> {
    lines: &'a [&'a str],
    keys: &'a [u64],
    open: &'a [bool],
}

/// Finds a text's own lines in a file, and tells of each: first those that mean
/// something, then what stands beside them.
fn take(
    page: &Page<'_>,
    text: &[u64],
    own: &mut [bool],
    fits: &dyn Fn(usize, usize) -> bool,
    found: &mut dyn FnMut(usize, usize),
) {
    let mut taken = Taken { text, own, fits, found, file: vec![false; page.keys.len()] };
    let mut partners = pairs(page, text, taken.own, fits);
    partners.retain(|(line, at)| taken.pair(page, *line, *at));
    partners.sort_unstable();
    // What means nothing by itself follows its neighbour, in both directions.
    for partner in &partners {
        taken.spread(page, *partner, 1);
        taken.spread(page, *partner, -1);
    }
    if partners.is_empty() || !taken.own.contains(&true) {
        return;
    }
    let mut last = None;
    for (line, at) in partners {
        // Within a run the first one went all the way already.
        if last.replace((line + 1, at + 1)) != Some((line, at)) {
            taken.slide(page, (line, at), 1);
            taken.slide(page, (line, at), -1);
        }
    }
    taken.close_gaps(page);
}

/// The pairs of equal lines that mean something, the longest runs first; among
/// equals in the order of both texts.
fn pairs(
    page: &Page<'_>,
    text: &[u64],
    own: &[bool],
    fits: &dyn Fn(usize, usize) -> bool,
) -> Vec<(usize, usize)> {
    let telling = |at: &usize| page.open[*at] && is_telling(page.lines[*at]);
    let places = (0..page.keys.len()).filter(telling);
    let mut places: Vec<(u64, usize)> = places.map(|at| (page.keys[at], at)).collect();
    // Equal lines stand together then, in the order of the file.
    places.sort_unstable();
    let places = |key: u64| {
        let first = places.partition_point(|it| it.0 < key);
        let count = places[first..].iter().take(PLACES).take_while(|it| it.0 == key).count();
        &places[first..first + count]
    };
    // Runs are the same for all their pairs: each is measured once.
    let mut runs: HashMap<(usize, usize), usize> = HashMap::new();
    let mut pairs: Vec<(usize, usize, usize)> = Vec::new();
    for (line, key) in text.iter().enumerate().filter(|(line, _)| own[*line]) {
        let places = places(*key);
        for &(_, at) in places {
            if pairs.len() == PAIRS {
                break;
            }
            if fits(line, at) {
                let length = length_at(text, page.keys, (line, at), &mut runs);
                // What stands there more than once is not told apart by itself.
                if length > 1 || places.len() == 1 {
                    pairs.push((length, line, at));
                }
            }
        }
    }
    pairs.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
    pairs.into_iter().map(|(_, line, at)| (line, at)).collect()
}

/// How far a text's lines are given to a file's.
struct Taken<'a> {
    text: &'a [u64],
    own: &'a mut [bool],
    fits: &'a dyn Fn(usize, usize) -> bool,
    found: &'a mut dyn FnMut(usize, usize),
    /// Which lines of the file are taken now.
    file: Vec<bool>,
}

impl Taken<'_> {
    /// Pairs two lines, if both are still free.
    fn pair(&mut self, page: &Page<'_>, line: usize, at: usize) -> bool {
        let free = self.own[line] && page.open[at] && !self.file[at] && (self.fits)(line, at);
        if free {
            self.own[line] = false;
            self.file[at] = true;
            (self.found)(at, line);
        }
        free
    }

    fn is_same(&self, page: &Page<'_>, line: Option<usize>, at: Option<usize>) -> bool {
        match (line, at) {
            (Some(line), Some(at)) => {
                self.text.get(line).is_some_and(|key| page.keys.get(at) == Some(key))
            }
            _ => false,
        }
    }

    fn spread(&mut self, page: &Page<'_>, from: (usize, usize), step: isize) {
        let (mut line, mut at) = from;
        while let (Some(next_line), Some(next_at)) =
            (line.checked_add_signed(step), at.checked_add_signed(step))
        {
            (line, at) = (next_line, next_at);
            if !self.is_same(page, Some(line), Some(at)) || !self.pair(page, line, at) {
                return;
            }
        }
    }

    /// Goes on over lines without a meaning of their own that the text has, and
    /// the edit did not put there, as long as one of the same that it did put
    /// there is left: of the two brackets above and below a new block, either
    /// may be called the new one.
    fn slide(&mut self, page: &Page<'_>, from: (usize, usize), step: isize) {
        let (mut line, mut at) = from;
        while let (Some(next_line), Some(next_at)) =
            (line.checked_add_signed(step), at.checked_add_signed(step))
        {
            (line, at) = (next_line, next_at);
            if !self.is_same(page, Some(line), Some(at)) {
                return;
            }
            if self.file[at] {
                continue;
            }
            let spare = |other: &usize| self.own[*other] && self.text[*other] == self.text[line];
            if !page.open[at] || is_telling(page.lines[at]) || !(self.fits)(line, at) {
                return;
            }
            let Some(spare) = (0..self.text.len()).find(spare) else { return };
            self.own[spare] = false;
            self.file[at] = true;
            (self.found)(at, line);
        }
    }

    /// Takes those lines without a meaning of their own that stand beside one
    /// that is taken, with the same neighbour as in the text on the other side:
    /// the bracket that closes a block of which a part is not staged.
    fn close_gaps(&mut self, page: &Page<'_>) {
        let mut places: HashMap<u64, Vec<usize>> = HashMap::new();
        for (line, key) in self.text.iter().enumerate().filter(|(line, _)| self.own[*line]) {
            places.entry(*key).or_default().push(line);
        }
        for at in 0..page.keys.len() {
            if !page.open[at] || self.file[at] || is_telling(page.lines[at]) {
                continue;
            }
            let taken =
                |at: Option<usize>| at.and_then(|at| self.file.get(at)).is_some_and(|taken| *taken);
            let below = taken(at.checked_sub(1));
            let above = taken(at.checked_add(1));
            // Of two brackets one after the other, neither says whose the other is.
            let says = |at: Option<usize>| {
                taken(at)
                    || at.is_some_and(|at| page.lines.get(at).is_some_and(|it| is_telling(it)))
            };
            let (below, above) =
                (below && says(at.checked_add(1)), above && says(at.checked_sub(1)));
            let fits = |line: &usize| {
                self.own[*line]
                    && ((below && self.is_same(page, line.checked_add(1), at.checked_add(1)))
                        || (above && self.is_same(page, line.checked_sub(1), at.checked_sub(1))))
            };
            let line =
                places.get(&page.keys[at]).into_iter().flatten().copied().find(|it| fits(it));
            if let Some(line) = line {
                self.pair(page, line, at);
            }
        }
    }
}

/// How long the run is that a pair of equal lines stands in, from where
/// [`start_of_run`] sees it begin. `runs`: those that were measured, by their
/// first pairs, so that each is measured once.
fn length_at(
    text: &[u64],
    file: &[u64],
    (line, at): (usize, usize),
    runs: &mut HashMap<(usize, usize), usize>,
) -> usize {
    let start = start_of_run(text, file, line, at);
    if let Some(length) = runs.get(&start) {
        return *length;
    }
    let before = start.0.checked_sub(1).zip(start.1.checked_sub(1));
    let length = match before.and_then(|before| runs.get(&before)) {
        Some(length) => length - 1,
        None => length_of_run(text, file, start),
    };
    runs.insert(start, length);
    length
}

/// How far back a run of equal lines reaches, at most [`PLACES`] lines.
fn start_of_run(text: &[u64], file: &[u64], line: usize, at: usize) -> (usize, usize) {
    let same =
        (1..=line.min(at).min(PLACES)).take_while(|back| text[line - back] == file[at - back]);
    let back = same.last().unwrap_or(0);
    (line - back, at - back)
}

fn length_of_run(text: &[u64], file: &[u64], (line, at): (usize, usize)) -> usize {
    text[line..].iter().zip(&file[at..]).take_while(|(one, other)| one == other).count()
}

fn ranges(owners: &[Option<Owner>], edits: &[&TracedEdit]) -> Vec<MatchedRange> {
    let mut ranges: Vec<MatchedRange> = Vec::new();
    for (number, owner) in (1u64..).zip(owners) {
        let Some(owner) = owner else { continue };
        let Some(edit) = edits.get(owner.edit) else { continue };
        match ranges.last_mut() {
            Some(last)
                if last.lines.end + 1 == number
                    && last.agent == edit.agent
                    && last.session == edit.session
                    && last.model == edit.model
                    && last.reformatted == owner.reformatted =>
            {
                last.lines.end = number;
            }
            Some(_) | None => ranges.push(MatchedRange {
                lines: LineRange { start: number, end: number },
                agent: edit.agent.clone(),
                session: edit.session.clone(),
                model: edit.model.clone(),
                reformatted: owner.reformatted,
            }),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn edit(session: &str, old: Option<&str>, new: &str) -> TracedEdit {
        TracedEdit {
            agent: "claude-code".to_owned(),
            session: session.to_owned(),
            model: None,
            time: None,
            cwd: None,
            path: "a".to_owned(),
            old: old.map(str::to_owned),
            new: new.to_owned(),
            everywhere: false,
            from: None,
        }
    }

    /// `expected`: for every line of the file the session that wrote it, in
    /// capitals where it was reformatted, or `.`; `+` in `added` are added lines.
    #[track_caller]
    fn check(file: &str, added: &str, edits: &[TracedEdit], expected: &str) {
        let ranges: Vec<LineRange> = (1u64..)
            .zip(added.chars())
            .filter(|(_, mark)| *mark == '+')
            .map(|(number, _)| LineRange { start: number, end: number })
            .collect();
        let edits: Vec<&TracedEdit> = edits.iter().collect();
        let mut marks = vec!['.'; file.lines().count()];
        for range in match_lines(file.as_bytes(), &ranges, &edits, true) {
            for number in range.lines.start..=range.lines.end {
                let mark = range.session.chars().next().unwrap();
                marks[number as usize - 1] =
                    if range.reformatted { mark.to_ascii_uppercase() } else { mark };
            }
        }
        assert_eq!(marks.into_iter().collect::<String>(), expected, "{file}");
    }

    #[test]
    fn what_an_edit_adds_over_the_old_text_is_the_agents() {
        let one = edit("x", Some("let first = 1;\n"), "let first = 1;\nlet second = 2;\n");
        check("let first = 1;\nlet second = 2;\n", "++", std::slice::from_ref(&one), ".x");
        check("let first = 1;\r\nlet second = 2;  \r\n", "++", std::slice::from_ref(&one), ".x");
        check("let first = 1;\nlet second = 2;\n", "+.", &[one], "..");
        check("whole file\nof text\n", "++", &[edit("x", None, "whole file\nof text")], "xx");
    }

    #[test]
    fn short_lines_are_found_where_they_can_only_be_the_agents() {
        check("a\nB\nc\n", ".+.", &[edit("x", Some("b\n"), "B\n")], ".x.");
        check("x = 10\ny\n", "+.", &[edit("x", Some("x = 1"), "x = 10")], "x.");
        check("p(x = 10)\n", "+", &[edit("x", Some("x = 1"), "x = 10")], "x");
        check("1\n2\n3\n", "+++", &[edit("x", None, "1\n2\n3\n")], "xxx");
        check("1\n2\nhuman\n3\n", "++++", &[edit("x", None, "1\n2\n3\n")], "xx.x");
        check("- \u{3042}\n", "+", &[edit("x", Some("- \u{3044}"), "- \u{3042}")], "x");
        check("y\nreturn\n", "++", &[edit("x", Some("y\n"), "y\nreturn\n")], ".x");
        check("if x {\n  break;\n}\n", ".+.", &[edit("x", Some("pass;"), "break;")], ".X.");
        // Which of two it is, or whose a letter within a line, cannot be told.
        check("x = 10\nx = 10\n", "++", &[edit("x", Some("x = 1"), "x = 10")], "..");
        check("f(B)\n", "+", &[edit("x", Some("b"), "B")], ".");
        check("}\n", "+", &[edit("x", None, "}\n")], ".");
    }

    #[test]
    fn what_was_replaced_everywhere_is_the_agents_everywhere() {
        let everywhere =
            |old: &str, new: &str| TracedEdit { everywhere: true, ..edit("x", Some(old), new) };
        let file = "named(1, named);\nother\nlet b = named(2);\nlet unnamed = 3;\n";
        check(file, "+.++", &[everywhere("called", "named")], "x.x.");
        check("b\nc\nb\n", "+++", &[everywhere("a", "b")], "x.x");
        check("text one\nhers\ntext one\n", "++.", &[everywhere("text", "text one")], "x..");
        let edits = [everywhere("a", "text"), edit("y", Some("text\n"), "more\n")];
        check("more\ntext\n", "++", &edits, "yx");
    }

    #[test]
    fn a_second_line_of_the_same_text_is_somebody_elses() {
        let one = edit("x", Some(""), "open(file);\nprint(total);\nclose(file);\n");
        let file = "print(total);\nother();\nopen(file);\nprint(total);\nclose(file);\n";
        check(file, "+++++", &[one], "..xxx");
    }

    #[test]
    fn a_bracket_follows_the_line_beside_it() {
        let one = edit("x", Some(""), "fn agent() {\n}\n\n");
        check("fn human() {\n}\nfn agent() {\n}\n\n", "+++++", std::slice::from_ref(&one), "..xxx");
        check("fn human() {\n}\n", "++", &[one], "..");
    }

    #[test]
    fn a_bracket_closes_a_block_of_which_a_part_is_missing() {
        let one = edit(
            "x",
            Some("fn first() {\n"),
            "fn agent() {\n  work();\n  more();\n}\nfn first() {\n",
        );
        check(
            "fn agent() {\n  work();\n}\nfn first() {\n",
            "+++.",
            std::slice::from_ref(&one),
            "xxx.",
        );
        check("fn human() {\n  rest();\n}\nfn first() {\n", "+++.", &[one], "....");
    }

    #[test]
    fn a_line_that_the_agent_took_away_again_is_not_its() {
        let edits = [
            edit("x", Some(""), "keep_this();\ndrop_this();\n"),
            edit("x", Some("drop_this();\n"), "instead();\n"),
        ];
        check("keep_this();\ninstead();\ndrop_this();\n", "+++", &edits, "xx.");
    }

    #[test]
    fn formatting_and_edits_within_a_run() {
        let one = edit("x", Some(""), "call(\n  alpha,\n  beta\n)\nlet gamma = delta\n");
        let file = "    call(\n        alpha,\n        beta,\n    )\nlet human = 1;\n    let gamma = delta;\n";
        check(file, "++++++", &[one], "XXXX.X");
    }

    #[test]
    fn the_newest_session_that_wrote_a_line_has_it() {
        let edits = [edit("x", Some(""), "same_text();\n"), edit("y", Some(""), "same_text();\n")];
        check("same_text();\n", "+", &edits, "y");
        check("same_text();\nsame_text();\n", "++", &edits, "yx");
    }

    #[test]
    fn a_later_edit_within_a_block_leaves_its_brackets_to_it() {
        let edits = [
            edit("x", Some("call();\n"), "call();\nfn one() {\n  first();\n}\n\n"),
            edit("y", Some("  first();\n}\n"), "  first();\nfn two() {\n  second();\n}\n\n}\n"),
        ];
        let file = "call();\nfn one() {\n  first();\nfn two() {\n  second();\n}\n\n}\n\n";
        check(file, ".++++++++", &edits, ".xxyyyyxx");
    }

    #[test]
    fn a_person_within_a_block_leaves_its_brackets_to_it() {
        let one = edit("x", Some("rest(1);\n"), "fn one() {\n  first();\n}\n\nrest(1);\n");
        let file = "fn one() {\n  first();\nfn hers() {\n  second();\n}\n\n}\n\nrest(1);\n";
        check(file, "++++++++.", &[one], "xx....xx.");
    }

    #[test]
    fn a_repeated_line_is_not_told_apart_without_its_neighbours() {
        let one = edit("x", Some("a_b_c_d(1);\n"), "a_b_c_d(1);\nlog(enter);\nleave(2);\n");
        let file = "hers(1);\nlog(enter);\nmore(2);\nlog(enter);\nrest(3);\n";
        check(file, "+++++", &[one], ".....");
    }

    #[test]
    fn an_edit_within_a_line_makes_it_the_agents() {
        let one = edit("x", Some("compute(1"), "compute(2");
        check("let a = 1;\nlet b = compute(2, 3);\n", "++", std::slice::from_ref(&one), ".x");
        check("let a = 1;\nlet b = compute(3, 3);\n", "++", &[one], "..");
        // What follows the end of the text is not of it.
        let end = edit("x", Some("first();"), "first();\nsecond();\n");
        check("first();\nsecond();\nhers();\n", "+++", &[end], ".x.");
    }

    #[test]
    fn a_call_that_a_formatter_wrapped_or_joined_is_still_the_agents() {
        let one = edit("x", Some(""), "let wide = call(alpha, beta);\nother(gamma);\n");
        let file = "let wide = call(\n    alpha,\n    beta,\n);\nhers();\nother(gamma);\n";
        check(file, "++++++", &[one], "XXXX.x");
        let one = edit("x", Some(""), "call(\n  alpha,\n  beta,\n)\nother(gamma);\n");
        check("call(alpha, beta)\nhers();\nother(gamma);\n", "+++", &[one], "X.x");
    }

    #[test]
    fn sorted_imports_are_still_the_agents() {
        let one = edit("x", Some("use m::n;\n"), "use m::n;\nuse z::last;\nuse b::first;\n");
        check("use b::first;\nuse k::hers;\nuse m::n;\nuse z::last;\n", "++.+", &[one], "X..x");
    }

    fn line() -> impl Strategy<Value = String> {
        prop_oneof![
            3 => "[a-c]{4,6}\\(\\);",
            1 => Just("}".to_owned()),
            1 => Just(String::new()),
        ]
    }

    proptest! {
        #[test]
        fn only_added_lines_that_were_written_are_matched_and_each_once(
            before in prop::collection::vec(line(), 0..12),
            new in prop::collection::vec(line(), 0..12),
            file in prop::collection::vec(line(), 0..24),
            flags in prop::collection::vec(any::<bool>(), 24),
        ) {
            let one = edit("x", Some(&before.join("\n")), &new.join("\n"));
            let added: Vec<LineRange> = (1u64..)
                .zip(flags.iter().take(file.len()))
                .filter(|(_, flag)| **flag)
                .map(|(number, _)| LineRange { start: number, end: number })
                .collect();
            let found = match_lines(file.join("\n").as_bytes(), &added, &[&one], true);
            let mut taken: BTreeMap<u64, usize> = BTreeMap::new();
            for range in &found {
                for number in range.lines.start..=range.lines.end {
                    prop_assert!(flags[number as usize - 1]);
                    *taken.entry(key(&file[number as usize - 1], true)).or_default() += 1;
                }
            }
            for (text, count) in taken {
                let written = new.iter().filter(|line| key(line, true) == text).count();
                prop_assert!(count <= written);
            }
        }

        #[test]
        fn an_agents_block_among_unique_lines_is_found_whole(
            above in 0usize..6, block in 1usize..8, below in 0usize..6, indent in 0usize..3,
        ) {
            let text = |who: &str, count: usize| -> Vec<String> {
                (0..count).map(|at| format!("{who}_line({at});")).collect()
            };
            let agents = text("agent", block);
            let one = edit("x", Some(""), &agents.join("\n"));
            let moved: Vec<String> =
                agents.iter().map(|it| format!("{}{it}", "  ".repeat(indent))).collect();
            let file = [text("above", above), moved, text("below", below)].concat();
            let whole = [LineRange { start: 1, end: file.len() as u64 }];
            let found = match_lines(file.join("\n").as_bytes(), &whole, &[&one], true);
            let lines = LineRange { start: above as u64 + 1, end: (above + block) as u64 };
            prop_assert_eq!(found.len(), 1);
            prop_assert_eq!(found[0].lines, lines);
            prop_assert_eq!(found[0].reformatted, indent > 0);
        }
    }
}
