//! The adapters, opened once.

use crate::adapters::env::Env;
use crate::adapters::git::Git;
use crate::adapters::marks::Marks;
use crate::adapters::store::Store;

use super::Error;

/// The outside, as every job sees it.
pub struct World {
    pub env: Env,
    pub git: Git,
    pub store: Store,
    pub marks: Marks,
}

impl World {
    /// Opens the repository that the working directory lies in.
    pub fn open(env: &Env) -> Result<World, Error> {
        Ok(World::around(env, Git::open(&env.dir)?))
    }

    /// Opens the repository from one of git's hooks.
    pub fn open_in_hook(env: &Env) -> Result<World, Error> {
        Ok(World::around(env, Git::open_in_hook(env)?))
    }

    fn around(env: &Env, git: Git) -> World {
        let layout = git.layout();
        let store = Store::new(&layout.common_dir);
        let marks = Marks::open(&layout.common_dir, &layout.git_dir);
        World { env: env.clone(), git, store, marks }
    }
}
