//! Authority as data. Absent means not granted.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use crate::ModelAlias;

/// What a Worker may do beyond computing and answering.
///
/// [`Grants::within`] is a partial order: whether one set of grants asks for no more than another.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grants {
    /// Calls to models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub llm: Option<LlmGrant>,
}

/// Which models may be called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LlmGrant {
    /// The aliases; what stands behind them is the operator's choice.
    pub models: BTreeSet<ModelAlias>,
}

/// A WIT interface that a grant links into a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Calls to models: `yoi:worker/llm`.
    Llm,
}

impl Capability {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::Llm];

    /// The word for it in grants, config and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Llm => "llm",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The first thing by which a request exceeds a ceiling.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Exceeds {
    /// The ceiling does not have this capability.
    #[error("`{0}` is not within the ceiling")]
    Capability(Capability),
    /// The ceiling does not have this model.
    #[error("model `{0}` is not within the ceiling")]
    Model(ModelAlias),
}

impl Grants {
    /// No authority at all.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// These grants, and calls to `models`.
    #[must_use]
    pub fn with_llm(mut self, models: impl IntoIterator<Item = ModelAlias>) -> Self {
        let granted = self.llm.get_or_insert_with(|| LlmGrant { models: BTreeSet::new() });
        granted.models.extend(models);
        self
    }

    /// Whether `capability` is granted.
    #[must_use]
    pub fn has(&self, capability: Capability) -> bool {
        match capability {
            Capability::Llm => self.llm.is_some(),
        }
    }

    /// The capabilities that are granted.
    pub fn capabilities(&self) -> impl Iterator<Item = Capability> {
        Capability::ALL.into_iter().filter(|capability| self.has(*capability))
    }

    /// What both these grants and `other` allow: the most that is within either.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        let llm = self.llm.as_ref().zip(other.llm.as_ref()).map(|(own, other)| LlmGrant {
            models: own.models.intersection(&other.models).cloned().collect(),
        });
        Self { llm }
    }

    /// Fails with the first thing that these grants have and `ceiling` has not.
    pub fn within(&self, ceiling: &Self) -> Result<(), Exceeds> {
        // Taken apart, so that a grant added later is missed by the compiler and not by us.
        let Self { llm } = self;
        llm_within(llm.as_ref(), ceiling.llm.as_ref())
    }
}

fn llm_within(asked: Option<&LlmGrant>, ceiling: Option<&LlmGrant>) -> Result<(), Exceeds> {
    let Some(asked) = asked else { return Ok(()) };
    let Some(ceiling) = ceiling else { return Err(Exceeds::Capability(Capability::Llm)) };
    match asked.models.difference(&ceiling.models).next() {
        Some(model) => Err(Exceeds::Model(model.clone())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn grants() -> impl Strategy<Value = Grants> {
        let models = prop::collection::btree_set(
            prop::sample::select(vec!["a", "b", "c"])
                .prop_map(|name| name.parse().expect("a valid alias")),
            0..3,
        );
        prop::option::of(models)
            .prop_map(|models| Grants { llm: models.map(|models| LlmGrant { models }) })
    }

    proptest! {
        #[test]
        fn within_is_a_partial_order(a in grants(), b in grants(), c in grants()) {
            prop_assert!(a.within(&a).is_ok());
            prop_assert!(Grants::none().within(&a).is_ok());
            if a.within(&b).is_ok() && b.within(&a).is_ok() {
                prop_assert_eq!(&a, &b);
            }
            if a.within(&b).is_ok() && b.within(&c).is_ok() {
                prop_assert!(a.within(&c).is_ok());
            }
        }
    }

    proptest! {
        #[test]
        fn the_meet_is_the_most_that_is_within_both(a in grants(), b in grants(), c in grants()) {
            let meet = a.meet(&b);
            prop_assert!(meet.within(&a).is_ok() && meet.within(&b).is_ok());
            prop_assert_eq!(&meet, &b.meet(&a));
            if c.within(&a).is_ok() && c.within(&b).is_ok() {
                prop_assert!(c.within(&meet).is_ok());
            }
        }
    }

    #[test]
    fn a_refusal_names_the_first_thing_that_exceeds() {
        let model = |name: &str| name.parse::<ModelAlias>().expect("a valid alias");
        let asked = Grants::none().with_llm([model("cheap"), model("dear")]);
        assert_eq!(
            asked.within(&Grants::none()).map_err(|e| e.to_string()),
            Err("`llm` is not within the ceiling".into())
        );
        assert_eq!(
            asked.within(&Grants::none().with_llm([model("cheap")])),
            Err(Exceeds::Model(model("dear")))
        );
    }

    #[test]
    fn an_unknown_grant_is_an_error_not_a_silence() {
        assert!(serde_json::from_str::<Grants>(r#"{"lmm":{"models":[]}}"#).is_err());
    }
}
