//! What an agent's hook tells of one call: kept, so that the next commit knows
//! the lines. Nothing here may fail the agent: what goes wrong is counted.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use crate::adapters::env::Env;
use crate::adapters::fs;
use crate::adapters::git::{self, Git, Glance};
use crate::adapters::told::{Failures, Running, Snapshot, ToldStore};
use crate::gate::change::{Oid, RepoPath};
use crate::gate::told::command::{commands, program};
use crate::gate::told::guard::{self, Answer, Forbidden};
use crate::gate::told::lines::{
    Key, Lines, Told, adds, changes, counts, folded_path_key, forget_moved, keep_only, keys,
    keys_read, keys_written, path_key, written,
};
use crate::gate::told::payload::{self, Act, File, Form, Payload, Phase, Write};
use crate::gate::trace::place::{Places, is_absolute};
use crate::gate::verdict::State;

use super::Error;
use super::ambient::Surroundings;
use super::check::{Options, check};
use super::world::World;

/// The largest file whose lines are looked at, in bytes; and of one command,
/// how many files, of how many bytes together.
pub(super) const FILE_LIMIT: u64 = 4 << 20;
const FILES: usize = 2000;
const BYTES: u64 = 32 << 20;

/// The most bytes of one call's hashes that are kept.
const KEPT: usize = 16 << 20;

/// How long a command may run, in seconds, so that what changed meanwhile is
/// still taken for its work.
pub(super) const PATIENCE: i64 = 15 * 60;

/// The end of a transcript in which the model's name is looked for, in bytes.
const TRANSCRIPT: u64 = 64 << 10;

/// The longest payload, in bytes.
const PAYLOAD: u64 = 64 << 20;

/// Takes one call's payload from standard input, as [`record`] does.
pub fn run(env: &Env, agent: Option<&str>, guarded: bool) -> Option<Answer> {
    match fs::read_stdin(PAYLOAD) {
        Ok(input) => record(env, agent, guarded, &input),
        Err(error) => {
            Failures::count(env, &error.to_string());
            None
        }
    }
}

/// Takes one call's payload. `Some`: the agent is refused the call.
pub fn record(env: &Env, agent: Option<&str>, guarded: bool, input: &[u8]) -> Option<Answer> {
    let payload = match payload::read(agent, input) {
        Ok(payload) => payload?,
        Err(error) => {
            Failures::count(env, &error.to_string());
            return None;
        }
    };
    if guarded && let Some(answer) = refusal(env, &payload) {
        return Some(answer);
    }
    if let Err(error) = keep(env, &payload) {
        Failures::count(env, &error.chain());
    }
    None
}

/// The refusal of a command that an agent is not to run.
fn refusal(env: &Env, payload: &Payload) -> Option<Answer> {
    let Act::Shell(line) = &payload.act else { return None };
    if payload.phase == Phase::After {
        return None;
    }
    let allowed = |it: &Forbidden| match it {
        Forbidden::SkipHooks(_) | Forbidden::Sign(_) => false,
        // What cannot be looked at is not approved.
        Forbidden::Apply(_) => is_previewed(env, payload).unwrap_or(false),
    };
    let forbidden = guard::forbidden(line);
    let first = forbidden.iter().find(|it| !allowed(it))?;
    Some(guard::refuse(payload.form, &first.message()))
}

/// Whether the change at hand, all of it committed, has the previews that the
/// trusted policy asks for, and they satisfy it.
fn is_previewed(env: &Env, payload: &Payload) -> Result<bool, Error> {
    const SOURCES: [&str; 5] = [".tf", ".tofu", ".tfvars", ".hcl", ".json"];
    let mut env = env.clone();
    env.dir = folder(&env, payload);
    let Some((_, top)) = repository(&env, payload) else { return Ok(false) };
    let is_source = |it: &git::Dirty| {
        !it.new || SOURCES.iter().any(|end| it.path.as_bytes().ends_with(end.as_bytes()))
    };
    if git::dirty(&top)?.iter().any(is_source) {
        return Ok(false);
    }
    let world = World::open(&env)?;
    let judged = check(&world, &Options::default(), &Surroundings::read(&env))?;
    let mut previews =
        judged.verdict.obligations.iter().filter(|it| it.requirement == "preview").peekable();
    Ok(previews.peek().is_some() && previews.all(|it| it.state == State::Satisfied))
}

fn keep(env: &Env, payload: &Payload) -> Result<(), Error> {
    match (&payload.act, payload.phase) {
        (Act::Nothing, _) => Ok(()),
        (Act::Shell(line), Phase::Before) => before_command(env, payload, line),
        (Act::Shell(line), Phase::After) => after_command(env, payload, line),
        (Act::Edit(_) | Act::Files(_), Phase::Before) => before_edit(env, payload),
        (Act::Edit(writes), Phase::After) => after_edit(env, payload, writes),
        (Act::Files(files), Phase::After) => after_files(env, payload, files),
    }
}

/// A file in a repository.
struct Placed {
    common_dir: PathBuf,
    path: RepoPath,
    file: PathBuf,
}

/// The folder that relative paths start from.
fn folder(env: &Env, payload: &Payload) -> PathBuf {
    match payload.cwd.as_deref().map(Path::new).filter(|it| it.is_absolute()) {
        Some(folder) => folder.to_owned(),
        None => env.dir.clone(),
    }
}

/// Where a path leads; `None` if that is in no repository.
fn place(env: &Env, payload: &Payload, path: &str) -> Option<Placed> {
    let folder = folder(env, payload);
    if Path::new(path).is_absolute() || !is_absolute(path) {
        return place_here(&folder.join(path));
    }
    // As another system spells it, or as an address.
    let top = Glance::above(&fs::resolve(&folder).ok()?)?.1;
    let places = Places::new([top.to_str()?], false);
    let path = places.repo_path(payload.cwd.as_deref().or(folder.to_str()), path)?;
    place_here(&top.join(path.to_text()))
}

fn place_here(file: &Path) -> Option<Placed> {
    // A link's target is another file; the folders above it are resolved.
    let name = file.file_name()?;
    let above = nearest(file.parent()?)?;
    let file = above.join(name);
    let (glance, top) = Glance::above(file.parent()?)?;
    let path = file.strip_prefix(&top).ok()?.to_str()?.replace('\\', "/");
    let inner = !path.split('/').next().is_some_and(|it| it.eq_ignore_ascii_case(".git"));
    inner.then(|| Placed { common_dir: glance.common_dir, path: RepoPath::new(path), file })
}

/// The folder with its links resolved, as far as it is there.
fn nearest(folder: &Path) -> Option<PathBuf> {
    if let Ok(folder) = fs::resolve(folder) {
        return Some(folder);
    }
    Some(nearest(folder.parent()?)?.join(folder.file_name()?))
}

/// The keys of a file's lines; none for one that is not there, `None` for one
/// whose lines cannot be told.
fn lines_of(file: &Path, buffer: Option<&str>, room: &mut u64) -> Option<Vec<Key>> {
    if let Some(buffer) = buffer {
        return keys(buffer.as_bytes());
    }
    if !fs::stands(file) {
        return Some(Vec::new());
    }
    let bytes = fs::read_plain(file, FILE_LIMIT.min(*room)).ok()?;
    *room = room.saturating_sub(bytes.len() as u64);
    keys(&bytes)
}

/// The name under which the state before a call is kept.
fn call_key(payload: &Payload) -> String {
    // git-ai's form tells what stood there before without a session.
    if payload.form == Form::AgentV1 && matches!(payload.act, Act::Files(_)) {
        return path_key(b"agent-v1 files");
    }
    path_key(format!("{}\n{}\n{}", payload.agent, payload.session, payload.call).as_bytes())
}

/// The paths whose state before the call has to be known.
fn needed(payload: &Payload) -> Vec<File> {
    match &payload.act {
        Act::Edit(writes) => {
            let whole = writes.iter().filter(|it| it.everywhere || it.texts.old.is_none());
            let path = |it: &Write| File { path: it.texts.path.clone(), buffer: None };
            whole.map(path).collect()
        }
        Act::Files(files) => files.clone(),
        Act::Shell(_) | Act::Nothing => Vec::new(),
    }
}

fn before_edit(env: &Env, payload: &Payload) -> Result<(), Error> {
    let mut snapshots: BTreeMap<PathBuf, Snapshot> = BTreeMap::new();
    let mut room = BYTES;
    for File { path, buffer } in needed(payload) {
        let Some(placed) = place(env, payload, &path) else { continue };
        let keys = lines_of(&placed.file, buffer.as_deref(), &mut room);
        let empty = || Snapshot { time: env.now.0, ..Snapshot::default() };
        let snapshot = snapshots.entry(placed.common_dir).or_insert_with(empty);
        snapshot
            .files
            .insert(path_key(placed.path.as_bytes()), keys.map(|keys| keys_written(&keys)));
    }
    for (common_dir, snapshot) in snapshots {
        ToldStore::new(&common_dir).keep(&call_key(payload), &snapshot)?;
    }
    Ok(())
}

/// Edits of one call, by repository.
#[derive(Default)]
struct Edits(BTreeMap<PathBuf, Vec<Told>>);

impl Edits {
    fn add(
        &mut self,
        env: &Env,
        payload: &Payload,
        common_dir: &Path,
        path: &RepoPath,
        lines: &Lines,
    ) {
        if !adds(lines) {
            return;
        }
        let told = Told {
            folded: folded_path_key(path.as_bytes()),
            path: path_key(path.as_bytes()),
            time: env.now.0,
            agent: payload.agent.clone(),
            session: payload.session.clone(),
            model: payload.model.clone().or_else(|| model(payload)),
            call: payload.named.then(|| payload.call.clone()),
            lines: written(lines),
        };
        self.0.entry(common_dir.to_owned()).or_default().push(told);
    }

    fn keep(self) -> Result<(), Error> {
        for (common_dir, mut told) in self.0 {
            let mut room = KEPT;
            told.retain(|it| {
                let fits = room.checked_sub(it.lines.len() + 512);
                room = fits.unwrap_or(room);
                fits.is_some()
            });
            ToldStore::new(&common_dir).add(&told)?;
        }
        Ok(())
    }
}

/// The model that the session's transcript named last.
fn model(payload: &Payload) -> Option<String> {
    let path = payload.transcript.as_deref().map(Path::new).filter(|it| it.is_absolute())?;
    let end = fs::read_end(path, TRANSCRIPT).ok()?;
    let end = String::from_utf8_lossy(&end);
    let (_, rest) = end.rsplit_once("\"model\":\"")?;
    let name = rest.split('"').next()?;
    let plain = |it: u8| it.is_ascii_alphanumeric() || b"-_.:/@".contains(&it);
    ((1..=100).contains(&name.len()) && name.bytes().all(plain)).then(|| name.to_owned())
}

fn after_edit(env: &Env, payload: &Payload, writes: &[Write]) -> Result<(), Error> {
    let mut edits = Edits::default();
    let mut snapshots: HashMap<PathBuf, Option<Snapshot>> = HashMap::new();
    for Write { texts, everywhere } in writes {
        let Some(placed) = place(env, payload, &texts.path) else { continue };
        let lines = |text: &str| keys(text.as_bytes());
        let Some(new) = lines(&texts.new) else { continue };
        let mut before = || -> Option<Vec<Key>> {
            let known = snapshots.entry(placed.common_dir.clone()).or_insert_with(|| {
                ToldStore::new(&placed.common_dir).take(&call_key(payload)).ok().flatten()
            });
            let known = known.as_ref()?.files.get(&path_key(placed.path.as_bytes()))?;
            keys_read(known.as_deref()?)
        };
        let told = match &texts.old {
            Some(old) if *everywhere => before()
                .and_then(|before| {
                    let now = lines_of(&placed.file, None, &mut BYTES.clone())?;
                    let mut told = changes(Some(&before), &now);
                    keep_only(&mut told, &texts.new);
                    Some(told)
                })
                .unwrap_or_else(|| changes(lines(old).as_deref(), &new)),
            Some(old) => changes(lines(old).as_deref(), &new),
            None => changes(before().as_deref(), &new),
        };
        edits.add(env, payload, &placed.common_dir, &placed.path, &told);
    }
    edits.keep()
}

fn after_files(env: &Env, payload: &Payload, files: &[File]) -> Result<(), Error> {
    let mut edits = Edits::default();
    let mut snapshots: HashMap<PathBuf, Option<Snapshot>> = HashMap::new();
    let (mut room, mut unknown) = (BYTES, false);
    for File { path, buffer } in files {
        let Some(placed) = place(env, payload, path) else { continue };
        let store = ToldStore::new(&placed.common_dir);
        if !snapshots.contains_key(&placed.common_dir) {
            snapshots.insert(placed.common_dir.clone(), store.take(&call_key(payload))?);
        }
        let snapshot = snapshots.get(&placed.common_dir).and_then(Option::as_ref);
        let before = snapshot.and_then(|it| it.files.get(&path_key(placed.path.as_bytes())));
        let Some(before) = before else {
            unknown = true;
            continue;
        };
        let Some(before) = before.as_deref().and_then(keys_read) else { continue };
        let Some(now) = lines_of(&placed.file, buffer.as_deref(), &mut room) else { continue };
        edits.add(env, payload, &placed.common_dir, &placed.path, &changes(Some(&before), &now));
    }
    edits.keep()?;
    match unknown {
        true => Err(Error::usage("an edit was told whose beginning was not")),
        false => Ok(()),
    }
}

/// The repository in which a command runs.
fn repository(env: &Env, payload: &Payload) -> Option<(Glance, PathBuf)> {
    Glance::above(&fs::resolve(&folder(env, payload)).ok()?)
}

fn before_command(env: &Env, payload: &Payload, line: &str) -> Result<(), Error> {
    let Some((glance, top)) = repository(env, payload) else { return Ok(()) };
    let mut snapshot = Snapshot {
        time: env.now.0,
        head: glance.head().map(|it| it.to_string()),
        command: (!moves_only(line)).then(|| Running {
            agent: payload.agent.clone(),
            session: payload.session.clone(),
            model: payload.model.clone().or_else(|| model(payload)),
        }),
        files: BTreeMap::new(),
    };
    let mut room = BYTES;
    for (number, dirty) in git::dirty(&top)?.into_iter().enumerate() {
        let file = dirty.file(&top);
        let keys = (number < FILES).then(|| lines_of(&file, None, &mut room)).flatten();
        let keys = keys.map(|keys| keys_written(&keys));
        snapshot.files.insert(path_key(dirty.path.as_bytes()), keys);
    }
    Ok(ToldStore::new(&glance.common_dir).keep(&call_key(payload), &snapshot)?)
}

/// What a command wrote: how files stood before it, and how they stand now.
fn after_command(env: &Env, payload: &Payload, line: &str) -> Result<(), Error> {
    let Some((glance, top)) = repository(env, payload) else { return Ok(()) };
    let Some(before) = ToldStore::new(&glance.common_dir).take(&call_key(payload))? else {
        return Err(Error::usage("a command was told whose beginning was not"));
    };
    if env.now.0 - before.time > PATIENCE || moves_only(line) {
        return Ok(());
    }
    let committed = Committed::new(&top, before.head.as_deref().and_then(Oid::parse));
    let (mut room, mut elsewhere) = (BYTES, HashMap::new());
    let mut changed: Vec<(RepoPath, Lines)> = Vec::new();
    for dirty in git::dirty(&top)?.into_iter().take(FILES) {
        let old = match before.files.get(&path_key(dirty.path.as_bytes())) {
            Some(keys) => keys.as_deref().and_then(keys_read),
            None => committed.keys(&dirty.path)?,
        };
        let Some(old) = old else { continue };
        if dirty.gone {
            for (key, count) in counts(&old) {
                *elsewhere.entry(key).or_default() += count;
            }
            continue;
        }
        let file = dirty.file(&top);
        let Some(now) = lines_of(&file, None, &mut room) else { continue };
        if old != now {
            changed.push((dirty.path, changes(Some(&old), &now)));
        }
    }
    let mut edits = Edits::default();
    for (path, mut lines) in changed {
        forget_moved(&mut lines, &mut elsewhere);
        edits.add(env, payload, &glance.common_dir, &path, &lines);
    }
    edits.keep()
}

/// Whether a command line only moves what others wrote: git's own commands
/// bring files of other commits, and write nothing.
fn moves_only(line: &str) -> bool {
    const WRITES: [&str; 2] = ["apply", "am"];
    let all = commands(line);
    !all.is_empty()
        && all.iter().all(|words| {
            let writes = words.iter().any(|word| WRITES.contains(&word.as_str()));
            match program(words) {
                "git" => !writes,
                "cd" | "pwd" | "true" => true,
                _ => false,
            }
        })
}

/// The files of a commit, read where they are asked for.
struct Committed<'a> {
    top: &'a Path,
    head: Option<Oid>,
    git: std::cell::OnceCell<Option<Git>>,
}

impl<'a> Committed<'a> {
    fn new(top: &'a Path, head: Option<Oid>) -> Committed<'a> {
        Committed { top, head, git: std::cell::OnceCell::new() }
    }

    /// The keys of a file's lines; none where it is in no commit yet.
    fn keys(&self, path: &RepoPath) -> Result<Option<Vec<Key>>, Error> {
        let Some(head) = &self.head else { return Ok(Some(Vec::new())) };
        let open = || Git::open_elsewhere(self.top, []).ok();
        let Some(git) = self.git.get_or_init(open) else {
            return Err(Error::usage("the repository could not be opened"));
        };
        match git.blob_at(head, path, FILE_LIMIT) {
            Ok(Some((_, content))) => Ok(keys(&content)),
            Ok(None) => Ok(Some(Vec::new())),
            Err(git::GitError::TooLarge { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
