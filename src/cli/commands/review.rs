//! `countersign review`: reads a change hunk by hunk, then signs what was
//! approved of it, through the same job as `approve`.

use std::collections::BTreeSet;

use crate::cli::args::{self, Format};
use crate::cli::exit::Exit;
use crate::cli::review::page::{Row, Tone, counted};
use crate::cli::review::{Decision, Effect, Sitting, markdown};
use crate::cli::terminal::{Event, Screen, columns_of};
use crate::cli::{Context, prompt, unsupported};
use crate::gate::change::{RepoPath, printable};
use crate::gate::order;
use crate::gate::record::canonical::sha256;
use crate::gate::review::{Review, ReviewedFile};
use crate::gate::verdict::{Judged, State};
use crate::jobs::ambient::Surroundings;
use crate::jobs::approve::{self, Draft, Options, prepare};
use crate::jobs::check::{self, check};
use crate::jobs::review::{Desk, Kept, KeptFile, KeptNote, edit, review};
use crate::jobs::world::World;
use crate::jobs::{Error, ErrorKind};

use super::signing;

/// Reviews in the terminal, or prints what would be shown there.
pub fn run(context: &Context, arguments: &args::Review) -> Result<Exit, Error> {
    run_in(context, arguments, &Surroundings::read(&context.env))
}

/// The same with the surroundings handed over as values.
pub fn run_in(
    context: &Context,
    arguments: &args::Review,
    surroundings: &Surroundings,
) -> Result<Exit, Error> {
    let world = World::open(&context.env)?;
    match context.output.format {
        Format::Text => at_the_terminal(context, &world, arguments, surroundings),
        Format::Markdown => {
            let review = to_print(&world, arguments, surroundings)?;
            context.output.data(&markdown::render(&review));
            Ok(Exit::Passed)
        }
        Format::Json => {
            let review = to_print(&world, arguments, surroundings)?;
            let document = serde_json::to_string_pretty(&review)
                .map_err(|error| Error::new(ErrorKind::Internal, error))?;
            context.output.json(&document);
            Ok(Exit::Passed)
        }
        format @ (Format::Sarif
        | Format::Junit
        | Format::Github
        | Format::Gitlab
        | Format::Porcelain
        | Format::AgentTrace
        | Format::GitAi
        | Format::Jsonl) => Err(unsupported(format, "review", "text, markdown and json")),
    }
}

/// What is shown to nobody in particular: no key is needed.
fn to_print(
    world: &World,
    arguments: &args::Review,
    surroundings: &Surroundings,
) -> Result<Review, Error> {
    let options = check::Options {
        range: arguments.range.range.clone(),
        target: arguments.range.target.clone(),
        policy_from: arguments.range.policy_from.clone(),
        lines: true,
        ..check::Options::default()
    };
    let judgement = check(world, &options, surroundings)?;
    approve::known_rules(&judgement, &arguments.rules)?;
    let review = review(world, &judgement, &arguments.rules, None)?;
    Ok(if arguments.since_approved { review.since_approved() } else { review })
}

fn at_the_terminal(
    context: &Context,
    world: &World,
    arguments: &args::Review,
    surroundings: &Surroundings,
) -> Result<Exit, Error> {
    let mut draft = draft(context, world, arguments, surroundings)?;
    let person = draft.hand.person.clone();
    let whole = review(world, &draft.judgement, &arguments.rules, Some(&person))?;
    // What one approved before and is not shown again stays a part of what one signs.
    let hidden: BTreeSet<RepoPath> = order::set(
        whole
            .files
            .iter()
            .filter(|file| arguments.since_approved && file.own)
            .map(|file| file.path.clone()),
    );
    let count = whole.files.len();
    let shown = if arguments.since_approved { whole.since_approved() } else { whole };
    if shown.files.is_empty() {
        let files = counted(count, "file");
        let why = if count == 0 {
            "no file of the change lies under these rules".to_owned()
        } else {
            format!("an earlier approval covers {files}: nothing is left to review")
        };
        context.output.say(&why);
        return Ok(Exit::Passed);
    }
    let desk = Desk::of(&draft.hand.fingerprint, &draft.judgement.target);
    let mut sitting = Sitting::new(shown, arguments.note.clone(), columns_of);
    resume(&mut sitting, &desk.read(world)?);
    let end = work(context, world, &mut sitting, &mut draft, &hidden, &desk)?;
    if end != Effect::Sign {
        let range = printable(&draft.judgement.range);
        context.output.note(&format!(
            "nothing was signed; `countersign review {range}` goes on where you stopped"
        ));
        return Ok(if end == Effect::Interrupt { Exit::Interrupted } else { Exit::Blocked });
    }
    let (person, fingerprint) = (draft.hand.person.clone(), draft.hand.fingerprint.clone());
    let signed = draft.sign(world)?;
    forget(world, &desk, &sitting.review)?;
    super::approve::print(context, &signed, &person, &fingerprint);
    Ok(Exit::Passed)
}

/// A draft for which somebody is at the terminal.
fn draft(
    context: &Context,
    world: &World,
    arguments: &args::Review,
    surroundings: &Surroundings,
) -> Result<Draft, Error> {
    let options = Options {
        range: arguments.range.range.clone(),
        target: arguments.range.target.clone(),
        policy_from: arguments.range.policy_from.clone(),
        key: arguments.key.clone(),
    };
    let decision =
        approve::Decision::Approve { rules: arguments.rules.clone(), note: arguments.note.clone() };
    let possible = prompt::is_possible(&context.env);
    let prints = "`countersign review --format markdown` prints what would be shown";
    let draft = prepare(world, &options, &decision, surroundings)
        .map_err(|error| if possible { error } else { error.hint(prints) })?;
    if !possible {
        let message = "there is no terminal here, so nothing can be shown and asked";
        return Err(Error::usage(message)
            .hint(prints)
            .hint("`countersign approve --key FILE` signs the whole change unseen"));
    }
    if context.env.get("TERM") == Some("dumb") {
        return Err(Error::usage("this terminal (TERM=dumb) has no screen").hint(prints));
    }
    Ok(draft)
}

/// Reads keys until the reviewer is done. Returns how it ended.
fn work(
    context: &Context,
    world: &World,
    sitting: &mut Sitting,
    draft: &mut Draft,
    hidden: &BTreeSet<RepoPath>,
    desk: &Desk,
) -> Result<Effect, Error> {
    let mut screen = Some(Screen::take(context.output.colours_notes())?);
    loop {
        let Some(taken) = &screen else { return Ok(Effect::Quit) };
        let size = taken.size();
        sitting.resize(size.0, size.1);
        taken.draw(&sitting.screen())?;
        let Event::Key(key) = taken.wait(size)? else { continue };
        match sitting.press(key) {
            Effect::None => {}
            Effect::Keep => keep(world, desk, sitting)?,
            Effect::Settle => {
                keep(world, desk, sitting)?;
                settle(sitting, draft, hidden)?;
            }
            Effect::Edit(index) => {
                // The editor has the terminal for itself.
                drop(screen.take());
                let opened = open(world, &sitting.review.files[index]);
                screen = Some(Screen::take(context.output.colours_notes())?);
                if let Err(error) = opened {
                    sitting.tell(error.chain());
                }
            }
            end @ (Effect::Sign | Effect::Quit | Effect::Interrupt) => {
                keep(world, desk, sitting)?;
                return Ok(end);
            }
        }
    }
}

fn open(world: &World, file: &ReviewedFile) -> Result<(), Error> {
    let is_blob = |it: &&crate::gate::change::Entry| it.mode != 0o160_000;
    match file.new.as_ref().or(file.old.as_ref()).filter(is_blob) {
        Some(entry) => edit(world, &file.path, &entry.oid),
        None => Err(Error::usage("a submodule has no text to open")),
    }
}

/// Works out what would be signed, and shows it.
fn settle(
    sitting: &mut Sitting,
    draft: &mut Draft,
    hidden: &BTreeSet<RepoPath>,
) -> Result<(), Error> {
    let mut files = hidden.clone();
    let approved = sitting.approved().map(|index| sitting.review.files[index].path.clone());
    files.extend(approved);
    draft.narrow(&files, note(sitting));
    let mut rows = Vec::new();
    if files.is_empty() {
        rows.push(Row::new(Tone::Warning, "nothing was approved, so there is nothing to sign"));
        sitting.settle(rows, false);
        return Ok(());
    }
    let count = counted(files.len(), "file");
    rows.push(Row::new(Tone::Strong, format!("an approval of exactly this content, {count}:")));
    rows.extend(signing::lines(draft, usize::MAX).into_iter().map(|it| text(Tone::Plain, it, 10)));
    rows.extend(left_out(sitting));
    rows.extend(consequences(&draft.outlook()?, &files));
    sitting.settle(rows, true);
    Ok(())
}

fn text(tone: Tone, text: String, indent: usize) -> Row {
    Row::new(tone, text).indented(indent)
}

fn left_out(sitting: &Sitting) -> Vec<Row> {
    let files = sitting.review.files.iter().zip(&sitting.marks);
    let mut rows: Vec<Row> = files
        .filter(|(_, mark)| mark.decision != Some(Decision::Approved))
        .map(|(file, mark)| {
            let word = if mark.decision.is_some() { "skipped" } else { "undecided" };
            text(Tone::Warning, format!("  {word}: {}", file.path.to_display()), 4)
        })
        .collect();
    if !rows.is_empty() {
        rows.insert(0, Row::new(Tone::Strong, "not a part of it:"));
    }
    rows
}

/// Which rules the approval satisfies, as the gate would judge it, and of
/// which it covers a part.
fn consequences(outlook: &[Judged], files: &BTreeSet<RepoPath>) -> Vec<Row> {
    let mut rows = vec![Row::new(Tone::Strong, "with it:")];
    for judged in outlook.iter().filter(|it| it.requirement == "approvals") {
        let covered = judged.files.iter().filter(|path| files.contains(*path)).count();
        let tone = match judged.state {
            State::Satisfied | State::Waived => Tone::Good,
            State::Deferred
            | State::Missing
            | State::Failed
            | State::Unsatisfiable
            | State::Error => Tone::Warning,
        };
        let part = format!("{covered} of {}", counted(judged.files.len(), "file"));
        let (rule, detail) = (printable(&judged.rule), printable(&judged.detail));
        rows.push(text(tone, format!("  {rule} ({part}): {detail}"), 4));
    }
    if rows.len() == 1 {
        rows.push(Row::new(Tone::Faint, "  no rule asks for approvals of this change"));
    }
    rows
}

/// The note of the record: what was said of the whole, then file by file.
fn note(sitting: &Sitting) -> Option<String> {
    let files = sitting.review.files.iter().zip(&sitting.marks);
    let comments = files.filter_map(|(file, mark)| {
        Some(format!("{}: {}", file.path.to_display(), mark.comment.as_ref()?))
    });
    let parts: Vec<String> = sitting.note.iter().cloned().chain(comments).collect();
    (!parts.is_empty()).then(|| parts.join("\n"))
}

fn key_of_the_whole(review: &Review) -> String {
    let keys: Vec<String> = review.files.iter().map(ReviewedFile::key).collect();
    sha256(keys.join("\n").as_bytes())
}

/// Takes up what was decided about exactly this content and not signed yet.
fn resume(sitting: &mut Sitting, kept: &Kept) {
    let mut decided = 0;
    for (file, mark) in sitting.review.files.iter().zip(&mut sitting.marks) {
        let Some(kept) = kept.files.get(&file.key()) else { continue };
        mark.comment = kept.comment.clone();
        if let Some(approved) = kept.approved {
            mark.decision = Some(if approved { Decision::Approved } else { Decision::Skipped });
            mark.before = false;
            decided += 1;
        }
    }
    if sitting.note.is_none() {
        let key = key_of_the_whole(&sitting.review);
        sitting.note = kept.notes.get(&key).map(|it| it.text.clone());
    }
    if decided > 0 {
        let files = counted(decided, "file");
        sitting
            .tell(format!("{files} decided in an earlier sitting; `u` on a file opens it again"));
    }
}

fn keep(world: &World, desk: &Desk, sitting: &Sitting) -> Result<(), Error> {
    let mut kept = desk.read(world)?;
    let at = world.env.now.0;
    for (file, mark) in sitting.review.files.iter().zip(&sitting.marks) {
        let approved = mark.decision.filter(|_| !mark.before).map(|it| it == Decision::Approved);
        if approved.is_none() && mark.comment.is_none() {
            kept.files.remove(&file.key());
        } else {
            let comment = mark.comment.clone();
            kept.files.insert(file.key(), KeptFile { approved, comment, at });
        }
    }
    let key = key_of_the_whole(&sitting.review);
    match &sitting.note {
        Some(text) => kept.notes.insert(key, KeptNote { text: text.clone(), at }),
        None => kept.notes.remove(&key),
    };
    desk.write(world, kept)
}

/// Forgets what was signed: the record tells it from now on.
fn forget(world: &World, desk: &Desk, review: &Review) -> Result<(), Error> {
    let mut kept = desk.read(world)?;
    for file in &review.files {
        kept.files.remove(&file.key());
    }
    kept.notes.remove(&key_of_the_whole(review));
    desk.write(world, kept)
}
