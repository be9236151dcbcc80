//! Previews: their engines, limits and what is protected.

use std::time::Duration;

use super::super::error::PolicyError;
use super::super::file::{self, Action, Engine};
use super::super::*;
use super::Reader;
use super::word::plain;

impl Reader<'_> {
    pub(super) fn preview(
        self,
        policy: &Policy,
        name: String,
        table: file::PreviewTable,
    ) -> Result<PreviewCommand, PolicyError> {
        let limits = &table.limits;
        let written_limits = [
            ("deletes", limits.deletes),
            ("replaces", limits.replaces),
            ("removals", limits.removals),
            ("forgets", limits.forgets),
            ("places", limits.places),
        ];
        Ok(PreviewCommand {
            name,
            engine: engine_word(table.engine).to_owned(),
            root: table.root.as_ref().map(|it| self.path(it)).transpose()?,
            run: table.run.map(|it| self.words_of_preview(&it)).transpose()?,
            max_age: table.max_age.as_ref().map(|it| self.length(it)).transpose()?,
            accept: self.accept(table.accept.as_ref())?,
            env: plain(&table.env),
            timeout: match &table.timeout {
                Some(word) => self.length(word)?,
                None => Duration::from_secs(600),
            },
            generated: self.globs_below(&table.generated)?,
            limits: written_limits
                .into_iter()
                .filter_map(|(name, limit)| Some((name.to_owned(), limit?)))
                .collect(),
            protect: table
                .protect
                .into_iter()
                .map(|it| self.protect(policy, it))
                .collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn protect(
        self,
        policy: &Policy,
        table: file::ProtectTable,
    ) -> Result<PreviewProtect, PolicyError> {
        if table.types.get_ref().is_empty() {
            return Err(self.error(table.types.span(), "no type would be protected"));
        }
        if table.actions.get_ref().is_empty() {
            return Err(self.error(table.actions.span(), "no action would be protected"));
        }
        Ok(PreviewProtect {
            types: plain(table.types.get_ref()),
            actions: table.actions.get_ref().iter().map(|it| action_word(*it).to_owned()).collect(),
            from: table.from.map(|it| self.from(policy, &it)).transpose()?.unwrap_or_default(),
            count: self.count(table.count.as_ref())?,
        })
    }
}

fn engine_word(engine: Engine) -> &'static str {
    match engine {
        Engine::Terraform => "terraform",
        Engine::Opentofu => "opentofu",
        Engine::Cloudformation => "cloudformation",
        Engine::Pulumi => "pulumi",
        Engine::Kubernetes => "kubernetes",
        Engine::Json => "json",
    }
}

fn action_word(action: Action) -> &'static str {
    match action {
        Action::Create => "create",
        Action::Update => "update",
        Action::Delete => "delete",
        Action::Replace => "replace",
        Action::Removal => "removal",
        Action::Forget => "forget",
    }
}
