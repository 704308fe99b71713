//! The guests that ship with yoi, embedded with their digests.

use std::{borrow::Cow, collections::BTreeMap, collections::BTreeSet};

#[cfg(feature = "coder")]
use worker_types::Capability;
use worker_types::{ComponentDigest, ComponentRef, Profile, ProfileName};

/// The component of the Worker that says back what it was told.
pub const ECHO: &[u8] = include_bytes!(env!("GUEST_WORKER_ECHO"));

/// The component of the chat Worker.
pub const COMPANION: &[u8] = include_bytes!(env!("GUEST_WORKER_COMPANION"));

/// The component of the Worker that works on files.
#[cfg(feature = "coder")]
pub const CODER: &[u8] = include_bytes!(env!("GUEST_WORKER_CODER"));

/// The component of the Worker that runs the script it is told.
#[cfg(feature = "shell")]
pub const SHELL: &[u8] = include_bytes!(env!("GUEST_WORKER_SHELL"));

/// The component that runs scripts, for `worker_runtime::RuntimeBuilder::shell`. It is no Worker.
#[cfg(feature = "shell")]
pub const SHELL_COMPONENT: &[u8] = include_bytes!(env!("GUEST_SHELL_COMPONENT"));

/// The digest of [`ECHO`].
#[must_use]
pub const fn echo_digest() -> ComponentDigest {
    ComponentDigest::from_sha256(*include_bytes!(concat!(env!("OUT_DIR"), "/worker-echo.sha256")))
}

/// The digest of [`COMPANION`].
#[must_use]
pub const fn companion_digest() -> ComponentDigest {
    ComponentDigest::from_sha256(*include_bytes!(concat!(
        env!("OUT_DIR"),
        "/worker-companion.sha256"
    )))
}

/// The digest of [`CODER`].
#[cfg(feature = "coder")]
#[must_use]
pub const fn coder_digest() -> ComponentDigest {
    ComponentDigest::from_sha256(*include_bytes!(concat!(env!("OUT_DIR"), "/worker-coder.sha256")))
}

/// The digest of [`SHELL`].
#[cfg(feature = "shell")]
#[must_use]
pub const fn shell_digest() -> ComponentDigest {
    ComponentDigest::from_sha256(*include_bytes!(concat!(env!("OUT_DIR"), "/worker-shell.sha256")))
}

/// All components, under the names that profiles call them by.
#[must_use]
pub fn components() -> Vec<(ComponentRef, Cow<'static, [u8]>)> {
    vec![
        #[cfg(feature = "coder")]
        (ComponentRef::Builtin(name("coder")), Cow::Borrowed(CODER)),
        (ComponentRef::Builtin(name("companion")), Cow::Borrowed(COMPANION)),
        (ComponentRef::Builtin(name("echo")), Cow::Borrowed(ECHO)),
        #[cfg(feature = "shell")]
        (ComponentRef::Builtin(name("shell")), Cow::Borrowed(SHELL)),
    ]
}

/// A profile for each component. The first, `companion`, is the one to use by default.
#[must_use]
pub fn profiles() -> Vec<Profile> {
    vec![
        profile("companion", "Talks with you, and can do nothing else."),
        #[cfg(feature = "coder")]
        Profile {
            // Without it, it works on files with its own tools.
            optional: BTreeSet::from([Capability::Shell]),
            ..profile(
                "coder",
                "Works on the files of a directory, with a model and a sandboxed bash.",
            )
        },
        profile("echo", "Says back what it was told, without a model."),
        #[cfg(feature = "shell")]
        profile("shell", "Runs the script it is told, in a sandboxed bash, without a model."),
    ]
}

fn profile(called: &str, description: &str) -> Profile {
    Profile {
        name: name(called),
        description: description.to_owned(),
        component: ComponentRef::Builtin(name(called)),
        optional: BTreeSet::new(),
        resume: false,
        commands: BTreeMap::new(),
        config: BTreeMap::new(),
    }
}

fn name(text: &str) -> ProfileName {
    text.parse().expect("the names in this file are valid")
}

#[cfg(all(test, feature = "coder", feature = "shell"))]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_digests_are_those_of_the_bytes() {
        let components = [
            (CODER, coder_digest()),
            (COMPANION, companion_digest()),
            (ECHO, echo_digest()),
            (SHELL, shell_digest()),
        ];
        for (component, digest) in components {
            assert_eq!(ComponentDigest::from_sha256(Sha256::digest(component).into()), digest);
        }
    }

    #[test]
    fn every_profile_names_a_component() {
        let components = components();
        for profile in profiles() {
            assert!(components.iter().any(|(name, _)| *name == profile.component), "{profile:?}");
        }
        assert_eq!(profiles()[0].name.as_str(), "companion", "the default");
    }

    #[test]
    fn the_components_import_the_base_and_the_capabilities_they_need() {
        check(CODER, &["llm", "session", "shell"]);
        check(ECHO, &["session"]);
        check(COMPANION, &["llm", "session"]);
        check(SHELL, &["session", "shell"]);
    }

    #[test]
    fn the_shell_imports_the_base_and_the_commands_that_it_may_start() {
        let imports = test_guests::imports(SHELL_COMPONENT).expect("a component");
        let beyond_base = imports.iter().filter(|name| !test_guests::is_base_interface(name));
        let beyond_base: Vec<&String> = beyond_base.collect();
        assert_eq!(beyond_base, ["yoi:shell/commands@0.1.0"]);
    }

    #[track_caller]
    fn check(component: &[u8], capabilities: &[&str]) {
        let imports = test_guests::imports(component).expect("a component");
        let beyond_base: Vec<&str> = imports
            .iter()
            .map(String::as_str)
            .filter(|name| !test_guests::is_base_interface(name))
            // Types carry no authority.
            .filter(|name| *name != "yoi:worker/types@0.1.0")
            .collect();
        let mut expected: Vec<String> =
            capabilities.iter().map(|name| format!("yoi:worker/{name}@0.1.0")).collect();
        expected.sort();
        let mut found = beyond_base;
        found.sort_unstable();
        assert_eq!(found, expected);
    }
}
