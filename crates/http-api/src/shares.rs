//! What a server has a number of, such as event streams, and how much of that one caller may take.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use worker_types::RuntimeError;

use crate::CallerName;

/// A number of something that takes long, of which no caller has more than a share. Clones count together.
#[derive(Debug, Clone)]
pub struct Shares {
    /// What there is a number of, as the end of a sentence.
    what: &'static str,
    at_once: usize,
    per_caller: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// Callers that have any.
    by: HashMap<CallerName, usize>,
}

/// One of them, until this goes.
#[derive(Debug)]
pub struct Share {
    caller: CallerName,
    of: Arc<Mutex<Taken>>,
}

/// Why a caller gets no more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoShare {
    /// None is left for anybody.
    #[error("this server has room for {at_once} {what}, and all are taken")]
    AllTaken {
        /// What there is a number of.
        what: &'static str,
        /// That number.
        at_once: usize,
    },
    /// It has all that one caller may have.
    #[error(
        "this caller has {per_caller} {what} already, of the {at_once} that this server has room for, and the \
         others are for other callers: end some of them first"
    )]
    OwnTaken {
        /// What there is a number of.
        what: &'static str,
        /// That number.
        at_once: usize,
        /// What one caller may have of it.
        per_caller: usize,
    },
}

impl Shares {
    /// So many of `what`, which is said in the plural, for whoever comes first.
    #[must_use]
    pub fn undivided(what: &'static str, at_once: usize) -> Self {
        Self { what, at_once, per_caller: at_once, taken: Arc::default() }
    }

    /// So many of `what`, and half of them at most for one caller: whoever takes all that it may leaves as much
    /// to all others together.
    #[must_use]
    pub fn halved(what: &'static str, at_once: usize) -> Self {
        Self { per_caller: at_once.div_ceil(2), ..Self::undivided(what, at_once) }
    }

    /// How many are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).all
    }

    /// One more of them, for `caller`.
    ///
    /// # Errors
    ///
    /// See [`NoShare`].
    pub fn take(&self, caller: &CallerName) -> Result<Share, NoShare> {
        let Self { what, at_once, per_caller, .. } = *self;
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        // First: it is the reason that the caller itself can do something about.
        if taken.by.get(caller).is_some_and(|own| *own >= per_caller) && per_caller < at_once {
            return Err(NoShare::OwnTaken { what, at_once, per_caller });
        }
        if taken.all >= at_once {
            return Err(NoShare::AllTaken { what, at_once });
        }
        taken.all += 1;
        *taken.by.entry(caller.clone()).or_default() += 1;
        Ok(Share { caller: caller.clone(), of: Arc::clone(&self.taken) })
    }
}

impl Share {
    /// Whose it is.
    pub(crate) fn caller(&self) -> &CallerName {
        &self.caller
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(1);
        let own = taken.by.get_mut(&self.caller).map(|own| {
            *own = own.saturating_sub(1);
            *own
        });
        if own == Some(0) {
            taken.by.remove(&self.caller);
        }
    }
}

impl From<NoShare> for RuntimeError {
    fn from(refused: NoShare) -> Self {
        Self::Capacity { reason: refused.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(name: &'static str) -> CallerName {
        CallerName(name.into())
    }

    #[test]
    fn a_caller_takes_its_share_and_leaves_the_rest_to_others() {
        let streams = Shares::halved("event streams", 4);
        let (greedy, other) = (caller("greedy"), caller("other"));
        let mut held: Vec<_> = (0..2).map(|_| streams.take(&greedy).expect("its share")).collect();
        let refused = streams.take(&greedy).expect_err("more than its share");
        assert_eq!(refused, NoShare::OwnTaken { what: "event streams", at_once: 4, per_caller: 2 });
        held.extend((0..2).map(|_| streams.take(&other).expect("the rest")));
        let third = streams.take(&caller("third")).expect_err("nothing is left");
        assert_eq!(third, NoShare::AllTaken { what: "event streams", at_once: 4 });
        drop(held.remove(0));
        assert_eq!(streams.taken(), 3);
        streams.take(&greedy).expect("it gave one back");
        drop(held);
        let taken = streams.taken.lock().expect("the lock");
        assert_eq!((taken.all, taken.by.len()), (0, 0), "nothing is kept of who has none");
    }

    #[test]
    fn what_is_undivided_is_for_whoever_comes_first() {
        let streams = Shares::undivided("event streams", 2);
        let only = caller("only");
        let _held = [(); 2].map(|()| streams.take(&only).expect("one of two"));
        let refused = RuntimeError::from(streams.take(&only).expect_err("both are taken"));
        assert!(
            matches!(&refused, RuntimeError::Capacity { reason } if reason.contains("all are taken"))
        );
        assert!(refused.is_retryable());
    }

    #[test]
    fn one_of_a_single_one_is_the_share_of_a_caller() {
        assert!(Shares::halved("event streams", 1).take(&caller("a")).is_ok());
    }
}
