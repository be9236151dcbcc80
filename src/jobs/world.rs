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
        let git = Git::open(&env.dir)?;
        let layout = git.layout();
        let store = Store::new(&layout.common_dir);
        let marks = Marks::open(&layout.common_dir, &layout.git_dir);
        Ok(World { env: env.clone(), git, store, marks })
    }
}
