//! Judges a push before it leaves: every ref that git names, from objects only.

use std::ffi::OsString;

use crate::adapters::env::Env;
use crate::adapters::fs;
use crate::adapters::git::parse_pre_push;
use crate::gate::change::{Oid, printable};
use crate::gate::evidence::Deferred;
use crate::gate::policy::Mode;

use super::Error;
use super::judgement::Judgement;
use super::publish;
use super::ref_update::{JudgedRef, Receiver, RefUpdate};
use super::trusted::{Trusted, Vantage, full_name, trusted_remote};
use super::world::World;

/// What git tells a pre-push hook.
#[derive(Clone, Debug, Default)]
pub struct Push {
    /// The remote's name, or its URL where it has none.
    pub remote: String,
    pub url: String,
    pub updates: Vec<RefUpdate>,
    /// The hook manager that calls us shows only the first ref of a push.
    pub first_only: bool,
}

/// What came of the tests that a push runs by itself.
#[derive(Clone, Debug, Default)]
pub struct Tested {
    /// There are new records.
    pub recorded: bool,
    pub interrupted: bool,
    /// What there was no time for.
    pub deferred: Deferred,
}

/// A push, judged.
#[derive(Clone, Debug)]
pub struct JudgedPush {
    pub mode: Mode,
    pub refs: Vec<JudgedRef>,
    /// The push goes to the remote whose policy is believed.
    pub is_trusted: bool,
    pub trusted: Trusted,
}

impl JudgedPush {
    /// Whether nothing blocks.
    pub fn passes(&self) -> bool {
        self.refs.iter().all(JudgedRef::passes)
    }
}

impl Push {
    /// Reads what git (or a hook manager in its place) gives a pre-push hook:
    /// the remote's name and URL as arguments, the refs on standard input.
    pub fn read(env: &Env, arguments: &[OsString], input: &[u8]) -> Result<Push, Error> {
        let word = |at: usize| arguments.get(at).map(|it| it.to_string_lossy().into_owned());
        let updates: Vec<RefUpdate> = parse_pre_push(input)?
            .into_iter()
            .map(|line| RefUpdate { name: line.remote_ref, old: line.remote, new: line.local })
            .collect();
        if updates.is_empty() && arguments.is_empty() {
            return Ok(Push::from_manager(env)?.unwrap_or_default());
        }
        let remote = word(0).unwrap_or_default();
        Ok(Push {
            url: word(1).unwrap_or_else(|| remote.clone()),
            remote,
            updates,
            first_only: false,
        })
    }

    /// pre-commit and prek give no arguments and no input, but variables, and
    /// those only for the first ref.
    fn from_manager(env: &Env) -> Result<Option<Push>, Error> {
        let (Some(new), Some(name)) =
            (env.get("PRE_COMMIT_TO_REF"), env.get("PRE_COMMIT_REMOTE_BRANCH"))
        else {
            return Ok(None);
        };
        let Some(new) = Oid::parse(new) else {
            return Err(Error::usage("the hook manager names no commit that is pushed"));
        };
        let remote = env.get("PRE_COMMIT_REMOTE_NAME").unwrap_or_default().to_owned();
        let url = env.get("PRE_COMMIT_REMOTE_URL").unwrap_or(&remote).to_owned();
        let name = full_name(name);
        Ok(Some(Push {
            remote,
            url,
            updates: vec![RefUpdate { name, old: None, new: Some(new) }],
            first_only: true,
        }))
    }
}

/// Judges every ref of the push. `run_tests` runs what is missing where a hook
/// may, and says what came of it.
pub fn pre_push(
    world: &World,
    push: &mut Push,
    run_tests: &mut dyn FnMut(&Trusted, &Judgement) -> Result<Tested, Error>,
) -> Result<JudgedPush, Error> {
    let is_trusted = is_trusted(world, push)?;
    if push.first_only {
        believe_tracking_refs(world, push)?;
    }
    let vantage = Vantage::Push { updates: &push.updates, is_trusted };
    let trusted = match Trusted::read(world, None, vantage) {
        Ok(trusted) => trusted,
        Err(error) => return Err(moved(world, push)?.unwrap_or(error)),
    };
    let receiver = Receiver {
        deferred: None,
        world,
        trusted: &trusted,
        vantage,
        is_trusted,
        remote: &push.remote,
        server: false,
        pusher: None,
    };
    let mut refs = Vec::new();
    let mut looked = !is_trusted || trusted.absent || trusted.policy.mode != Mode::Enforce;
    for update in &push.updates {
        let mut judged = receiver.judge(update)?;
        // Somebody may have approved since this clone fetched last.
        if judged.awaits_records() && !std::mem::replace(&mut looked, true) {
            // What cannot be reached leaves what is known: the push is blocked.
            if publish::ledger(world, &trusted).refresh().unwrap_or(false) {
                judged = receiver.judge(update)?;
            }
        }
        if let Some(judgement) = &judged.judgement
            && trusted.policy.mode == Mode::Enforce
        {
            let tested = run_tests(&trusted, judgement)?;
            if tested.recorded || !tested.deferred.is_empty() {
                let deferred = Some(&tested.deferred);
                judged = Receiver { deferred, ..receiver }.judge(update)?;
            }
        }
        refs.push(judged);
    }
    Ok(JudgedPush { mode: trusted.policy.mode, refs, is_trusted, trusted })
}

/// Whether a push goes to the trusted remote, by its name or by its URL. In a
/// repository without remotes the only place that could be trusted is where it goes.
fn is_trusted(world: &World, push: &Push) -> Result<bool, Error> {
    let Some(remote) = trusted_remote(&world.git)? else { return Ok(false) };
    let config = world.git.config()?;
    let urls = ["url", "pushurl"].map(|key| format!("remote.{remote}.{key}"));
    // `url.*.insteadOf` changes the one, never the other.
    let places = [place(&push.remote), place(&push.url)];
    let same = |url: &str| places.contains(&place(url)) || is_one_folder(world, &push.url, url);
    Ok(push.remote == remote || urls.iter().any(|key| config.get_all(key).any(same)))
}

/// Whether two URLs lead to one folder of this machine, by way of links, `..`
/// or from where they are written.
fn is_one_folder(world: &World, one: &str, other: &str) -> bool {
    let layout = world.git.layout();
    let base = layout.toplevel.as_ref().unwrap_or(&layout.common_dir);
    let folders = |url: &str| {
        let place = place(url);
        let bare = format!("{place}.git");
        let at = [&place, &bare].map(|it| fs::resolve(&base.join(it)).ok());
        at.into_iter().flatten().collect::<Vec<_>>()
    };
    let own = folders(one);
    !own.is_empty() && folders(other).iter().any(|it| own.contains(it))
}

/// Where a URL leads, so that its other spellings are the same place: without the
/// way there (scheme, user, port), `.git` and slashes at the end, and with the host
/// in small letters (git-push(1), "GIT URLS"). Two places taken for one are only
/// judged more strictly.
fn place(url: &str) -> String {
    let path = |path: &str| {
        let path = path.trim_end_matches(['/', '\\']);
        path.strip_suffix(".git").unwrap_or(path).trim_end_matches(['/', '\\']).to_owned()
    };
    let hosted = |authority: &str, rest: &str| {
        let (_, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let host = host.split(':').next().unwrap_or(host).to_ascii_lowercase();
        format!("{host}:{}", path(rest.trim_start_matches('/')))
    };
    if let Some((scheme, rest)) = url.split_once("://") {
        let (authority, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        return match scheme.eq_ignore_ascii_case("file") {
            true => path(rest),
            false => hosted(authority, rest),
        };
    }
    // `host:path`, unless a slash stands before the colon or a drive's letter does.
    match url.split_once(':') {
        Some((host, rest)) if host.len() > 1 && !host.contains(['/', '\\']) => hosted(host, rest),
        _ => path(url),
    }
}

/// Why the policy could not be read, if that is because the remote's refs moved
/// on to commits that were never fetched.
fn moved(world: &World, push: &Push) -> Result<Option<Error>, Error> {
    for update in &push.updates {
        if let Some(old) = &update.old
            && world.git.resolve(&format!("{old}^{{object}}"))?.is_none()
        {
            let message = format!(
                "{} on the remote is at {}, which this clone does not have, so the policy there cannot be read",
                printable(&update.name),
                old.short()
            );
            let remote = printable(&push.remote);
            return Ok(Some(Error::repository(message).hint(format!("`git fetch {remote}`"))));
        }
    }
    Ok(None)
}

/// A manager does not say where the ref stands on the remote; what was fetched last does.
fn believe_tracking_refs(world: &World, push: &mut Push) -> Result<(), Error> {
    for update in &mut push.updates {
        if let Some(tracking) =
            super::trusted::tracking_ref(&world.git, &push.remote, &update.name)?
        {
            update.old = world.git.reference(&tracking)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn one_place_has_many_spellings() {
        for (expected, spellings) in [
            (
                "example.com:shop/app",
                &[
                    "https://example.com/shop/app.git",
                    "https://ana:pw@Example.com:8443/shop/app/",
                    "ssh://git@example.com:22/shop/app.git/",
                    "git@example.com:shop/app.git",
                    "example.com:/shop/app",
                ][..],
            ),
            ("/srv/app", &["/srv/app", "/srv/app/", "/srv/app.git", "file:///srv/app.git/"]),
            ("C:/srv/app", &["C:/srv/app.git"]),
            ("../app:2", &["../app:2"]),
            ("", &["", "/", ".git"]),
        ] {
            for spelling in spellings {
                assert_eq!(place(spelling), expected, "{spelling}");
            }
        }
        assert_ne!(place("https://example.com/shop/app"), place("https://example.com/shop/api"));
    }
}
