//! Authority in plain words: what a Worker may do, one line for each grant.

use std::time::Duration;

use crate::{Access, Grants, ModelAlias, Preopen};

impl Grants {
    /// What they allow, each in a line that begins with `may`; nothing where they are none. `place` says
    /// which directory a preopen is, and `model` what stands behind an alias, where that is known.
    #[must_use]
    pub fn in_words(
        &self,
        place: impl Fn(&Preopen) -> String,
        model: impl Fn(&ModelAlias) -> Option<String>,
    ) -> Vec<String> {
        // Taken apart, so that the compiler points here when a grant is added.
        let Self { preopens, llm, shell } = self;
        let directories = preopens.iter().map(|preopen| {
            let what = match preopen.access {
                Access::ReadOnly => "read",
                Access::ReadWrite => "read and write",
            };
            let with = if preopen.shared { ", with others" } else { "" };
            format!("may {what} {} ({}{with})", preopen.guest_path, place(preopen))
        });
        let models = llm.iter().flat_map(|llm| &llm.models).map(|alias| match model(alias) {
            Some(model) => format!("may ask the model {alias} ({model})"),
            None => format!("may ask the model {alias}"),
        });
        let shell = shell.map(|shell| {
            let limit = Duration::from_millis(shell.timeout_ms);
            format!(
                "may run scripts on those directories, inside WebAssembly, each for at most {limit:?}"
            )
        });
        directories.chain(models).chain(shell).collect()
    }

    /// The same for who knows nothing but the grants.
    #[must_use]
    pub fn in_plain_words(&self) -> Vec<String> {
        self.in_words(Preopen::place, |_| None)
    }
}

impl Preopen {
    /// Which directory it is, by the names that grants use.
    #[must_use]
    pub fn place(&self) -> String {
        let Self { root, path, .. } = self;
        match (root.is_scratch(), path.is_root()) {
            (true, true) => "its own directory, which goes with it".to_owned(),
            (true, false) => format!("{path} of its own directory, which goes with it"),
            (false, true) => format!("root {root}"),
            (false, false) => format!("root {root}, {path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RootName, ShellGrant};

    #[test]
    fn every_grant_is_a_line_in_plain_words() {
        let preopen = |root: &str, at: &str| {
            Preopen::new(root.parse().expect("a name"), at.parse().expect("a path"))
        };
        let grants = Grants::none()
            .with_shell(ShellGrant::default())
            .with_llm(["default".parse().expect("an alias")])
            .with_preopen(preopen("docs", "/docs"))
            .with_preopen(
                preopen("project", "/workspace")
                    .path("services/api".parse().expect("a path"))
                    .access(Access::ReadWrite)
                    .shared(),
            )
            .with_preopen(preopen(RootName::SCRATCH, "/tmp").access(Access::ReadWrite));
        let expected = [
            "may read /docs (root docs)",
            "may read and write /workspace (root project, services/api, with others)",
            "may read and write /tmp (its own directory, which goes with it)",
            "may ask the model default",
            "may run scripts on those directories, inside WebAssembly, each for at most 120s",
        ];
        assert_eq!(grants.in_plain_words(), expected);
        assert!(Grants::none().in_plain_words().is_empty());
    }
}
