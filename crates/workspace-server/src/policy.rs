//! What the Backend grants to Workers that a browser asks for.

use std::collections::BTreeMap;

use worker_types::{
    Access, Grants, GuestPath, Labels, Preopen, ProfileName, RootName, RuntimeError, WorkspaceName,
};

/// The label of Workers that were created in a workspace: its name.
pub const WORKSPACE_LABEL: &str = "workspace";

/// Where a Worker sees the directory of its workspace.
const WORKSPACE_PATH: &str = "/workspace";

/// Turns the names of a profile and a workspace into grants.
///
/// A browser names both and never grants: the operator decided here, once, what Workers of
/// each profile may do. The Runtime's ceiling bounds that decision again.
#[derive(Debug, Clone, Default)]
pub struct LaunchPolicy {
    profiles: BTreeMap<ProfileName, ProfilePolicy>,
    workspaces: BTreeMap<WorkspaceName, RootName>,
}

/// What Workers of one profile are granted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProfilePolicy {
    /// Wherever they are created.
    pub grants: Grants,
    /// What they may do with the directory of the workspace that they are created in; absent for nothing.
    pub workspace: Option<Access>,
}

/// What a new Worker gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// What it may do.
    pub grants: Grants,
    /// What it is filed under.
    pub labels: Labels,
}

impl LaunchPolicy {
    /// The policy that treats each profile as is said beside it, grants other profiles nothing, and knows
    /// these workspaces by the root of each.
    #[must_use]
    pub fn new(
        profiles: BTreeMap<ProfileName, ProfilePolicy>,
        workspaces: BTreeMap<WorkspaceName, RootName>,
    ) -> Self {
        Self { profiles, workspaces }
    }

    /// The workspaces.
    pub fn workspaces(&self) -> impl Iterator<Item = &WorkspaceName> {
        self.workspaces.keys()
    }

    /// What a new Worker of `profile` gets in `workspace`, or outside of all.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where there is no such workspace.
    pub fn launch(
        &self,
        profile: &ProfileName,
        workspace: Option<&WorkspaceName>,
    ) -> Result<Launch, RuntimeError> {
        let ProfilePolicy { mut grants, workspace: access } =
            self.profiles.get(profile).cloned().unwrap_or_default();
        let mut labels = Labels::new();
        if let Some(name) = workspace {
            let root = self.workspaces.get(name).ok_or_else(|| self.unknown(name))?;
            labels.insert(WORKSPACE_LABEL.to_owned(), name.to_string());
            if let Some(access) = access {
                let path = WORKSPACE_PATH
                    .parse::<GuestPath>()
                    .map_err(|error| RuntimeError::InvalidInput { reason: error.to_string() })?;
                grants = grants.with_preopen(Preopen::new(root.clone(), path).access(access));
            }
        }
        Ok(Launch { grants, labels })
    }

    fn unknown(&self, name: &WorkspaceName) -> RuntimeError {
        let known: Vec<&str> = self.workspaces.keys().map(WorkspaceName::as_str).collect();
        let reason = match &known[..] {
            [] => format!("there is no workspace `{name}`, and no other"),
            known => format!("there is no workspace `{name}`; there are: {}", known.join(", ")),
        };
        RuntimeError::InvalidInput { reason }
    }
}

impl From<Grants> for ProfilePolicy {
    fn from(grants: Grants) -> Self {
        Self { grants, workspace: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
        text.parse().expect("a name")
    }

    #[test]
    fn a_profile_gets_its_own_grants_and_an_unlisted_one_gets_none() {
        let llm = Grants::none().with_llm([name("default")]);
        let profiles = BTreeMap::from([(name("companion"), llm.clone().into())]);
        let policy = LaunchPolicy::new(profiles, BTreeMap::new());
        let grants = |profile| policy.launch(&name(profile), None).expect("a launch").grants;
        assert_eq!((grants("companion"), grants("coder")), (llm, Grants::none()));
    }

    #[test]
    fn a_workspace_is_its_root_for_those_whose_policy_says_so_and_a_label_for_all() {
        let coder =
            ProfilePolicy { workspace: Some(Access::ReadWrite), ..ProfilePolicy::default() };
        let policy = LaunchPolicy::new(
            BTreeMap::from([(name("coder"), coder)]),
            BTreeMap::from([(name("site"), name("project"))]),
        );
        let site = name("site");
        let launch = |profile| policy.launch(&name(profile), Some(&site)).expect("a launch");
        let words = launch("coder").grants.in_plain_words();
        assert_eq!(words, ["may read and write /workspace (root project)"]);
        assert_eq!(launch("companion").grants, Grants::none());
        let expected = Labels::from([("workspace".to_owned(), "site".to_owned())]);
        assert_eq!(
            (launch("coder").labels, launch("companion").labels),
            (expected.clone(), expected)
        );
    }

    #[test]
    fn an_unknown_workspace_is_refused_with_those_that_there_are() {
        let workspaces = BTreeMap::from([(name("site"), name("project"))]);
        let policy = LaunchPolicy::new(BTreeMap::new(), workspaces);
        let refused = policy.launch(&name("coder"), Some(&name("sight"))).expect_err("unknown");
        assert_eq!(
            refused.to_string(),
            "invalid input: there is no workspace `sight`; there are: site"
        );
    }
}
