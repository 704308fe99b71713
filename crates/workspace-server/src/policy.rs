//! What the Backend grants to Workers that a browser asks for.

use std::collections::BTreeMap;

use worker_types::{Grants, ProfileName};

/// Turns the name of a profile into grants.
///
/// A browser names a profile and never grants: the operator decided here, once, what Workers of
/// each profile may do. The Runtime's ceiling bounds that decision again.
#[derive(Debug, Clone, Default)]
pub struct LaunchPolicy {
    grants: BTreeMap<ProfileName, Grants>,
}

impl LaunchPolicy {
    /// The policy that gives each profile the grants beside it, and every other profile none.
    #[must_use]
    pub fn new(grants: BTreeMap<ProfileName, Grants>) -> Self {
        Self { grants }
    }

    /// What a new Worker of `profile` is granted.
    #[must_use]
    pub fn grants_for(&self, profile: &ProfileName) -> Grants {
        self.grants.get(profile).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_gets_its_own_grants_and_an_unlisted_one_gets_none() {
        let llm = Grants::none().with_llm(["default".parse().expect("an alias")]);
        let companion: ProfileName = "companion".parse().expect("a name");
        let policy = LaunchPolicy::new(BTreeMap::from([(companion.clone(), llm.clone())]));
        assert_eq!(policy.grants_for(&companion), llm);
        assert_eq!(policy.grants_for(&"coder".parse().expect("a name")), Grants::none());
    }
}
