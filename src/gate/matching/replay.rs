//! Edits taken back, the newest first.
//!
//! The file is what the edits left of it. Where an edit's new text stands in
//! it, the lines that the edit put there are the agent's, and its old text
//! takes their place: so the edit before finds the file as it left it. What
//! people changed since is in between, and then the text is aligned by the
//! lines that mean something.

use std::borrow::Cow;
use std::collections::HashMap;

use similar::DiffOp;

use super::super::diff;
use super::super::trace::TracedEdit;
use super::{
    COMPARED, PAIRS, PLACES, is_short, is_telling, key, length_of_run, plain, start_of_run,
};
use crate::gate::order;

/// The most lines that one line is wrapped into, or joined of.
const WRAPPED: usize = 24;
/// The shortest text, without blanks, that is looked for across lines.
const WRAPPED_LETTERS: usize = 12;
/// How many lines more than the file itself has may be put back into it.
const PUT_BACK: usize = 100_000;

/// A line of the file as it stood at one time.
struct Slot<'a> {
    text: Cow<'a, str>,
    exact: u64,
    loose: u64,
    /// The line of the file that it is; `None`: it is there no more.
    file: Option<usize>,
}

impl<'a> Slot<'a> {
    fn new(text: Cow<'a, str>, file: Option<usize>) -> Slot<'a> {
        Slot { exact: key(&text, false), loose: key(&text, true), text, file }
    }

    fn key(&self, loose: bool) -> u64 {
        if loose { self.loose } else { self.exact }
    }
}

/// An edit's new text, line by line.
pub(super) struct Written<'a> {
    lines: Vec<&'a str>,
    exact: Vec<u64>,
    loose: Vec<u64>,
    telling: Vec<bool>,
    /// No line means much: short ones stand for those that do, and the text
    /// has to stand there once.
    short: bool,
    /// Which lines the edit put there.
    new: Vec<bool>,
    /// Which of them no later edit took away.
    pub(super) own: Vec<bool>,
    /// What the edit took away, before each line and behind the last.
    removed: Vec<Vec<&'a str>>,
    /// The text may begin or end within a line.
    part: bool,
    /// It stands wherever its old text stood.
    pub(super) everywhere: bool,
}

impl<'a> Written<'a> {
    pub(super) fn of(edit: &'a TracedEdit) -> Written<'a> {
        let (old, lines) = match &edit.old {
            None => (None, edit.new.lines().map(str::trim_end).collect()),
            Some(old) => {
                let (old, new) = pieces(old, &edit.new);
                (Some(old), new)
            }
        };
        let lines: Vec<&str> = lines;
        let mut removed = vec![Vec::new(); lines.len() + 1];
        let new = match &old {
            None => vec![true; lines.len()],
            Some(old) => compare(old, &lines, &mut removed),
        };
        let short = !lines.iter().any(|line| is_telling(line));
        let telling = |line: &&str| if short { is_short(line) } else { is_telling(line) };
        Written {
            exact: lines.iter().map(|line| key(line, false)).collect(),
            loose: lines.iter().map(|line| key(line, true)).collect(),
            telling: lines.iter().map(telling).collect(),
            short,
            own: new.clone(),
            new,
            removed,
            part: old.is_some(),
            everywhere: edit.everywhere && old.is_some(),
            lines,
        }
    }

    /// The lines that the edit took away and that mean something: which of
    /// several brackets or blanks went cannot be told.
    pub(super) fn removed(&self) -> impl Iterator<Item = u64> {
        self.removed.iter().flatten().filter(|line| is_telling(line)).map(|line| key(line, false))
    }

    /// Whether it may be looked for within lines: not if it is but a letter.
    fn may_be_part(&self) -> bool {
        let letters = self.lines.iter().flat_map(|line| line.chars());
        self.part && letters.filter(|it| it.is_alphanumeric()).take(2).count() == 2
    }

    /// The lines that the edit put there and no later one took away.
    pub(super) fn own_lines(&self) -> impl Iterator<Item = &'a str> {
        self.lines.iter().zip(&self.own).filter_map(|(line, own)| own.then_some(*line))
    }

    pub(super) fn exact(&self) -> &[u64] {
        &self.exact
    }

    fn keys(&self, loose: bool) -> &[u64] {
        if loose { &self.loose } else { &self.exact }
    }
}

/// A replaced text and the new one as lines. Both may begin and end within a
/// line; where both end with a line, nothing stands behind that.
fn pieces<'a>(old: &'a str, new: &'a str) -> (Vec<&'a str>, Vec<&'a str>) {
    let split = |text: &'a str| text.split('\n').map(str::trim_end).collect::<Vec<&str>>();
    let (mut old, mut new) = (split(old), split(new));
    let ended = |lines: &[&str]| lines.last().is_none_or(|it| it.is_empty());
    if ended(&old) && ended(&new) {
        old.pop();
        new.pop();
    }
    (old, new)
}

/// Which of the new lines an edit put there; fills in which old ones it took away.
fn compare<'a>(old: &[&'a str], new: &[&'a str], removed: &mut [Vec<&'a str>]) -> Vec<bool> {
    let mut own = vec![false; new.len()];
    if old.len() + new.len() <= COMPARED {
        for operation in diff::operations(old, new) {
            match operation {
                DiffOp::Equal { .. } => {}
                DiffOp::Delete { old_index, old_len, new_index } => {
                    removed[new_index].extend(&old[old_index..old_index + old_len]);
                }
                DiffOp::Insert { new_index, new_len, .. } => {
                    own[new_index..new_index + new_len].fill(true);
                }
                DiffOp::Replace { old_index, old_len, new_index, new_len } => {
                    removed[new_index].extend(&old[old_index..old_index + old_len]);
                    own[new_index..new_index + new_len].fill(true);
                }
            }
        }
        return own;
    }
    let mut left: HashMap<&str, usize> = HashMap::new();
    for line in old {
        *left.entry(line).or_default() += 1;
    }
    for (line, own) in new.iter().zip(&mut own) {
        match left.get_mut(line) {
            Some(count) if *count > 0 => *count -= 1,
            Some(_) | None => *own = true,
        }
    }
    for line in old {
        if let Some(count) = left.get_mut(line).filter(|count| **count > 0) {
            *count -= 1;
            removed[new.len()].push(line);
        }
    }
    own
}

/// How many of these numbers stand in order, at most.
pub(super) fn longest_row(numbers: &[usize]) -> usize {
    // For each length the row that ends first.
    let mut ends: Vec<usize> = Vec::new();
    for number in numbers {
        let length = ends.partition_point(|end| end < number);
        match ends.get_mut(length) {
            Some(end) => *end = *number,
            None => ends.push(*number),
        }
    }
    ends.len()
}

/// Which lines stand before or behind ones that they followed or led to: all
/// but those of a longest row that kept its order, as sorted imports.
fn out_of_order(found: &[Option<usize>]) -> Vec<bool> {
    let places: Vec<(usize, usize)> =
        found.iter().enumerate().filter_map(|(line, at)| Some((line, (*at)?))).collect();
    let mut moved = vec![false; found.len()];
    if places.is_sorted_by_key(|it| it.1) {
        return moved;
    }
    // For each length the row that ends first, and what came before its end.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = vec![None; places.len()];
    for (index, (_, at)) in places.iter().enumerate() {
        let length = ends.partition_point(|end| places[*end].1 < *at);
        before[index] = length.checked_sub(1).map(|it| ends[it]);
        match ends.get_mut(length) {
            Some(end) => *end = index,
            None => ends.push(index),
        }
    }
    places.iter().for_each(|(line, _)| moved[*line] = true);
    let mut next = ends.last().copied();
    while let Some(index) = next {
        moved[places[index].0] = false;
        next = before[index];
    }
    moved
}

/// The file, as far as the edits were taken back.
pub(super) struct Replay<'a> {
    slots: Vec<Slot<'a>>,
    /// Which lines of the file may still be given to somebody.
    open: Vec<bool>,
    /// The most lines that the file may have.
    limit: usize,
    formatted: bool,
}

/// A line of the file, and whether it differs in form from what was recorded.
pub(super) type Claim = (usize, bool);

impl<'a> Replay<'a> {
    /// `formatted`: lines also count that differ from the record in form alone.
    pub(super) fn new(lines: &[&'a str], open: Vec<bool>, formatted: bool) -> Replay<'a> {
        let slot =
            |(at, line): (usize, &&'a str)| Slot::new(Cow::Borrowed(line.trim_end()), Some(at));
        let slots: Vec<Slot<'a>> = lines.iter().enumerate().map(slot).collect();
        let limit = slots.len().saturating_add(PUT_BACK);
        Replay { slots, open, limit, formatted }
    }

    /// Takes an edit back. Returns the lines of the file that it wrote.
    pub(super) fn take_back(&mut self, edit: &Written<'a>) -> Vec<Claim> {
        if !edit.telling.contains(&true) {
            return Vec::new();
        }
        let forms: &[bool] = if self.formatted { &[false, true] } else { &[false] };
        let whole = forms
            .iter()
            .find_map(|loose| self.find(edit, *loose, false))
            .or_else(|| edit.may_be_part().then(|| self.find(edit, false, true)).flatten());
        let mut found = match whole {
            Some(start) => (start..start + edit.lines.len()).map(Some).collect(),
            None => self.align(edit, forms),
        };
        // Where the text ends within a line, nothing of that line was written.
        for (place, line) in found.iter_mut().zip(&edit.lines) {
            *place = place.filter(|at| !line.is_empty() || self.slots[*at].text.is_empty());
        }
        if !found.iter().any(Option::is_some) {
            return Vec::new();
        }
        self.shift(edit, &mut found);
        let mut claims = Vec::new();
        let moved = out_of_order(&found);
        for (line, at) in found.iter().enumerate() {
            if let Some(at) = at.filter(|_| edit.own[line]) {
                let slot = &self.slots[at];
                let other_form = moved[line]
                    || slot.exact != edit.exact[line]
                        && (slot.loose == edit.loose[line]
                            || !self.fits(edit, line, at, false, true));
                self.claim(at, other_form, &mut claims);
            }
        }
        let wrapped = if self.formatted && whole.is_none() {
            self.wrapped(edit, &mut found, &mut claims)
        } else {
            Vec::new()
        };
        self.restore(edit, &found, &wrapped);
        claims
    }

    fn claim(&mut self, at: usize, reformatted: bool, claims: &mut Vec<Claim>) {
        if let Some(file) = self.slots[at].file.filter(|file| self.open[*file]) {
            self.open[file] = false;
            claims.push((file, reformatted));
        }
    }

    fn is_open(&self, at: usize) -> bool {
        self.slots.get(at).and_then(|it| it.file).is_some_and(|file| self.open[file])
    }

    /// Where the text stands whole; of several places the one with the most
    /// lines that may be given away. `part`: its ends may stand within a line,
    /// and then it has to stand there once.
    fn find(&self, edit: &Written<'_>, loose: bool, part: bool) -> Option<usize> {
        let keys = edit.keys(loose);
        let probe = edit.telling.iter().position(|it| *it)?;
        let inner = |line: usize| !part || (line > 0 && line + 1 < keys.len());
        let probe = (0..keys.len()).find(|it| edit.telling[*it] && inner(*it)).unwrap_or(probe);
        let mut best: Option<(usize, usize)> = None;
        let (mut times, mut free) = (0, 0);
        for at in probe..self.slots.len() {
            let start = at - probe;
            if start + keys.len() > self.slots.len() {
                break;
            }
            if inner(probe) && self.slots[at].key(loose) != keys[probe] {
                continue;
            }
            if !(0..keys.len()).all(|line| self.fits(edit, line, start + line, loose, part)) {
                continue;
            }
            times += 1;
            let count = (0..keys.len()).filter(|it| edit.own[*it] && self.is_open(start + it));
            let count = count.count();
            free += usize::from(count > 0);
            if best.is_none_or(|(most, _)| count > most) {
                best = Some((count, start));
            }
        }
        let certain = edit.everywhere || ((!part || times == 1) && (!edit.short || free == 1));
        best.filter(|_| certain).map(|(_, start)| start)
    }

    /// Whether a line of the text stands there; `part`: the first and the last
    /// may be a part of it, in whole words.
    fn fits(&self, edit: &Written<'_>, line: usize, at: usize, loose: bool, part: bool) -> bool {
        let slot = &self.slots[at];
        if slot.key(loose) == edit.keys(loose)[line] {
            return true;
        }
        if !part || !edit.part || loose {
            return false;
        }
        let piece = edit.lines[line];
        match (line == 0, line + 1 == edit.lines.len()) {
            (true, true) => {
                let place = slot.text.find(piece);
                place.is_some_and(|at| is_in_words(&slot.text, at, piece.len()))
            }
            (true, false) => {
                slot.text.ends_with(piece)
                    && is_in_words(&slot.text, slot.text.len() - piece.len(), piece.len())
            }
            (false, true) => {
                slot.text.starts_with(piece) && is_in_words(&slot.text, 0, piece.len())
            }
            (false, false) => false,
        }
    }

    /// Finds for each line of the text the one it became, as far as that is certain.
    fn align(&self, edit: &Written<'_>, forms: &[bool]) -> Vec<Option<usize>> {
        let mut found = vec![None; edit.lines.len()];
        let mut taken = vec![false; self.slots.len()];
        for loose in forms {
            self.anchor(edit, *loose, &mut found, &mut taken);
        }
        let loose = forms.len() > 1;
        for line in 0..found.len() {
            if found[line].is_some() && edit.telling[line] {
                self.spread(edit, line, 1, loose, &mut found, &mut taken);
                self.spread(edit, line, -1, loose, &mut found, &mut taken);
            }
        }
        self.fill(edit, loose, &mut found, &mut taken);
        // A bracket alone is nobody's, whatever stands around it.
        if !(0..found.len()).any(|it| edit.new[it] && edit.telling[it] && found[it].is_some()) {
            for (place, new) in found.iter_mut().zip(&edit.new) {
                *place = place.filter(|_| !new);
            }
        }
        found
    }

    /// A line that the edit put there stands where one was added, or one that
    /// a later edit took away.
    fn may_be(&self, edit: &Written<'_>, line: usize, at: usize) -> bool {
        !edit.new[line] || self.slots[at].file.is_none_or(|file| self.open[file])
    }

    /// Lines that mean something, in the longest runs first. What stands there
    /// more than once is only taken beside what is certain.
    fn anchor(
        &self,
        edit: &Written<'_>,
        loose: bool,
        found: &mut [Option<usize>],
        taken: &mut [bool],
    ) {
        let file: Vec<u64> = self.slots.iter().map(|it| it.key(loose)).collect();
        let text = edit.keys(loose);
        let mut places: HashMap<u64, Vec<usize>> = HashMap::new();
        let telling = (0..text.len()).filter(|it| edit.telling[*it]);
        let mut times: HashMap<u64, usize> = HashMap::new();
        for line in telling {
            places.entry(text[line]).or_default();
            *times.entry(text[line]).or_default() += 1;
        }
        for (at, key) in file.iter().enumerate() {
            if let Some(places) = places.get_mut(key).filter(|it| it.len() <= PLACES) {
                places.push(at);
            }
        }
        let unique = |line: usize| {
            edit.telling[line]
                && times.get(&text[line]) == Some(&1)
                && places.get(&text[line]).is_some_and(|it| it.len() == 1)
        };
        // Runs are the same for all their pairs: each is measured once.
        let mut runs: HashMap<(usize, usize), (usize, bool)> = HashMap::new();
        let mut pairs: Vec<(usize, bool, usize, usize)> = Vec::new();
        for line in (0..text.len()).filter(|it| edit.telling[*it] && found[*it].is_none()) {
            for &at in places.get(&text[line]).into_iter().flatten() {
                if pairs.len() == PAIRS {
                    break;
                }
                let start = start_of_run(text, &file, line, at);
                let (length, certain) = *runs.entry(start).or_insert_with(|| {
                    let length = length_of_run(text, &file, start);
                    let lines = start.0..start.0 + length;
                    let telling = lines.clone().filter(|it| edit.telling[*it]).count();
                    (length, telling > 2 || lines.clone().any(unique))
                });
                pairs.push((length, certain, line, at));
            }
        }
        order::sort_by(&mut pairs, |a, b| b.0.cmp(&a.0).then(a.2.cmp(&b.2)).then(a.3.cmp(&b.3)));
        for sure in [true, false] {
            for (_, certain, line, at) in &pairs {
                let free = found[*line].is_none() && !taken[*at] && self.may_be(edit, *line, *at);
                if !free || *certain != sure || !(sure || is_between(found, *line, *at)) {
                    continue;
                }
                found[*line] = Some(*at);
                taken[*at] = true;
            }
        }
    }

    /// Goes on over equal lines.
    fn spread(
        &self,
        edit: &Written<'_>,
        from: usize,
        step: isize,
        loose: bool,
        found: &mut [Option<usize>],
        taken: &mut [bool],
    ) {
        let (mut line, Some(mut at)) = (from, found[from]) else { return };
        while let (Some(next), Some(next_at)) =
            (line.checked_add_signed(step), at.checked_add_signed(step))
        {
            (line, at) = (next, next_at);
            let same = edit
                .keys(loose)
                .get(line)
                .is_some_and(|key| self.slots.get(at).is_some_and(|slot| slot.key(loose) == *key));
            if !same || found[line].is_some() || taken[at] || !self.may_be(edit, line, at) {
                return;
            }
            found[line] = Some(at);
            taken[at] = true;
        }
    }

    /// What is left between two lines that are certain.
    fn fill(
        &self,
        edit: &Written<'_>,
        loose: bool,
        found: &mut [Option<usize>],
        taken: &mut [bool],
    ) {
        let known: Vec<(usize, usize)> =
            (0..found.len()).filter_map(|line| Some((line, found[line]?))).collect();
        for pair in known.windows(2) {
            let ((line, at), (end, end_at)) = (pair[0], pair[1]);
            let lines = line + 1..end;
            if lines.is_empty() || at >= end_at || end_at - at > 64 + 8 * (end - line) {
                continue;
            }
            let text = &edit.keys(loose)[lines.clone()];
            let free: Vec<usize> = (at + 1..end_at).filter(|it| !taken[*it]).collect();
            let file: Vec<u64> = free.iter().map(|it| self.slots[*it].key(loose)).collect();
            // The end of what was put between comes last, so equal ends go first.
            let back: Vec<u64> = file.iter().rev().copied().collect();
            let text: Vec<u64> = text.iter().rev().copied().collect();
            for operation in diff::operations(&text, &back) {
                let DiffOp::Equal { old_index, new_index, len } = operation else { continue };
                for step in 0..len {
                    let line = end - 1 - (old_index + step);
                    let at = free[free.len() - 1 - (new_index + step)];
                    if self.may_be(edit, line, at) {
                        found[line] = Some(at);
                        taken[at] = true;
                    }
                }
            }
        }
    }

    /// Of the equal lines above and below what was put there, either may be
    /// called the new one: those count that git calls so.
    fn shift(&self, edit: &Written<'_>, found: &mut [Option<usize>]) {
        let mut line = 0;
        while line < found.len() {
            let start = line;
            let run = |line: usize| {
                edit.new[line]
                    && found[line].is_some()
                    && (line == start || found[line] == found[line - 1].map(|it| it + 1))
            };
            while line < found.len() && run(line) {
                line += 1;
            }
            if line == start {
                line += 1;
                continue;
            }
            let Some(first) = found[start] else { continue };
            let length = line - start;
            let open = |from: usize| (from..from + length).filter(|at| self.is_open(*at)).count();
            let same = |one: usize, other: usize| {
                self.slots.get(one).is_some_and(|it| {
                    self.slots.get(other).is_some_and(|other| it.loose == other.loose)
                })
            };
            let (mut best, mut up, mut down) = (first, first, first);
            while up > 0 && same(up - 1, up + length - 1) {
                up -= 1;
                best = if open(up) > open(best) { up } else { best };
            }
            while same(down, down + length) {
                down += 1;
                best = if open(down) > open(best) { down } else { best };
            }
            if best != first {
                // The texts of a shifted run are the same, turned around.
                for (step, place) in found[start..line].iter_mut().enumerate() {
                    *place = Some(best + step);
                }
            }
        }
    }

    /// Lines that a formatter made of one, or one that it made of several.
    /// Returns the places of what it made.
    fn wrapped(
        &mut self,
        edit: &Written<'_>,
        found: &mut [Option<usize>],
        claims: &mut Vec<Claim>,
    ) -> Vec<usize> {
        let mut places = Vec::new();
        let missing =
            |found: &[Option<usize>], line: usize| edit.own[line] && found[line].is_none();
        let mut line = 0;
        while line < found.len() {
            let first = line;
            line += 1;
            if !missing(found, first) {
                continue;
            }
            let mut text = String::new();
            for end in first..found.len().min(first + WRAPPED) {
                if !missing(found, end) {
                    break;
                }
                text.push_str(edit.lines[end]);
                let wanted = plain(&text);
                if wanted.chars().count() < WRAPPED_LETTERS {
                    continue;
                }
                if let Some(run) = self.run_of(&wanted) {
                    for at in run {
                        // No line of the text is this one, so its form is another.
                        self.claim(at, true, claims);
                        places.push(at);
                    }
                    line = end + 1;
                    break;
                }
            }
        }
        places
    }

    /// Lines one after the other that may be given away and have this text
    /// together, which stands there once.
    fn run_of(&self, wanted: &str) -> Option<std::ops::Range<usize>> {
        let mut only = None;
        for start in 0..self.slots.len() {
            let mut text = String::new();
            for end in start..self.slots.len().min(start + WRAPPED) {
                if !self.is_open(end) {
                    break;
                }
                text.push_str(&self.slots[end].text);
                let plain = plain(&text);
                if plain == wanted {
                    if only.is_some() {
                        return None;
                    }
                    only = Some(start..end + 1);
                    break;
                }
                let begun = plain.trim_end_matches([',', ';']);
                if begun.is_empty() || !wanted.starts_with(begun) {
                    break;
                }
            }
        }
        only
    }

    /// Puts the edit's old text in the place of its new one.
    fn restore(&mut self, edit: &Written<'a>, found: &[Option<usize>], wrapped: &[usize]) {
        let mut drop = vec![false; self.slots.len()];
        for (line, at) in found.iter().enumerate() {
            if let Some(at) = at.filter(|_| edit.new[line]) {
                drop[at] = true;
            }
        }
        wrapped.iter().for_each(|at| drop[*at] = true);
        let mut back: HashMap<usize, Vec<Slot<'a>>> = HashMap::new();
        let mut count = self.slots.len();
        for (line, removed) in edit.removed.iter().enumerate().filter(|(_, it)| !it.is_empty()) {
            let below = found.get(line).copied().flatten();
            let above = line.checked_sub(1).and_then(|it| found[it]).map(|it| it + 1);
            let Some(place) = below.or(above).filter(|_| count + removed.len() <= self.limit)
            else {
                continue;
            };
            count += removed.len();
            let text = |(number, text): (usize, &&'a str)| {
                let text = match below.filter(|_| removed.len() == 1 && number == 0) {
                    Some(at) => self.in_line(edit, line, at, text),
                    None => Cow::Borrowed(*text),
                };
                Slot::new(text, None)
            };
            back.entry(place).or_default().extend(removed.iter().enumerate().map(text));
        }
        let mut slots = Vec::with_capacity(count);
        for (at, slot) in std::mem::take(&mut self.slots).into_iter().enumerate() {
            slots.extend(back.remove(&at).unwrap_or_default());
            if !drop[at] {
                slots.push(slot);
            }
        }
        slots.extend(back.into_values().flatten());
        self.slots = slots;
    }

    /// A replaced text that was part of a line, with the rest of that line.
    fn in_line(&self, edit: &Written<'a>, line: usize, at: usize, old: &'a str) -> Cow<'a, str> {
        let (piece, whole) = (edit.lines[line], &self.slots[at].text);
        if !edit.part || !edit.new[line] || piece.is_empty() || *whole == piece {
            return Cow::Borrowed(old);
        }
        match (line == 0, line + 1 == edit.lines.len()) {
            (true, _) | (_, true) => Cow::Owned(whole.replacen(piece, old, 1)),
            (false, false) => Cow::Borrowed(old),
        }
    }
}

/// Whether a part of a text begins and ends with whole words.
fn is_in_words(text: &str, at: usize, length: usize) -> bool {
    let (Some(before), Some(rest)) = (text.get(..at), text.get(at..)) else { return false };
    let (Some(part), Some(after)) = (rest.get(..length), rest.get(length..)) else { return false };
    let word = |it: Option<char>| it.is_some_and(|it| it.is_alphanumeric() || it == '_');
    let split =
        |one: &str, other: &str| word(one.chars().next_back()) && word(other.chars().next());
    !split(before, part) && !split(part, after)
}

/// Whether a place is in order with, and near to, the lines next to it that are found.
fn is_between(found: &[Option<usize>], line: usize, at: usize) -> bool {
    let near = |line: usize, other: usize, at: usize, place: usize| {
        place.abs_diff(at) <= 4 + 4 * line.abs_diff(other)
    };
    let above = (0..line).rev().find_map(|it| Some((it, found[it]?)));
    let below = (line + 1..found.len()).find_map(|it| Some((it, found[it]?)));
    let above_fits = above.map(|(it, place)| place < at && near(line, it, at, place));
    let below_fits = below.map(|(it, place)| place > at && near(line, it, at, place));
    match (above_fits, below_fits) {
        (Some(above), Some(below)) => above && below,
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => false,
    }
}
