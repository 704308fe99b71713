//! Tokens that are none: how many of them an address may try.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How many wrong tokens an address may show in a row. A token of 256 random bits is not guessed: this bounds
/// what trying takes of the log and of the processor.
const IN_A_ROW: u32 = 10;

/// How long it takes until it may show one more.
const PER_TRY: Duration = Duration::from_secs(6);

/// Addresses that are remembered. Beyond, those are forgotten that have made up for it most.
const MOST_ADDRESSES: usize = 1_024;

/// Who has shown wrong tokens lately. Right ones always count.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    made_up: Mutex<HashMap<IpAddr, Instant>>,
    refused: AtomicU64,
}

impl Failures {
    /// Notes a request without a token that counts, for an operator's figures.
    pub(crate) fn note(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// How many requests had no token that counts.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Counts a failure of `address`; how long it has to wait where it has failed too often, else nothing.
    pub(crate) fn count(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let mut made_up = self.made_up.lock().unwrap_or_else(PoisonError::into_inner);
        if made_up.len() >= MOST_ADDRESSES {
            made_up.retain(|_, at| *at > now);
        }
        if made_up.len() >= MOST_ADDRESSES
            && let Some(soonest) = made_up.iter().min_by_key(|(_, at)| **at).map(|(ip, _)| *ip)
        {
            made_up.remove(&soonest);
        }
        // When it will have made up for all of its failures.
        let at = made_up.entry(address).or_insert(now);
        let then = (*at).max(now) + PER_TRY;
        if then > now + PER_TRY * IN_A_ROW {
            return Some(then - now - PER_TRY * IN_A_ROW);
        }
        *at = then;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_fails_ten_times_and_then_as_often_as_it_makes_up_for() {
        let failures = Failures::default();
        let (one, other) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let now = Instant::now();
        for _ in 0..IN_A_ROW {
            assert_eq!(failures.count(one, now), None);
        }
        assert_eq!(failures.count(one, now), Some(PER_TRY));
        assert_eq!(failures.count(other, now), None);
        assert_eq!(failures.count(one, now + PER_TRY), None);
        assert!(failures.count(one, now + PER_TRY).is_some());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let failures = Failures::default();
        let now = Instant::now();
        for number in 0..10_000_u32 {
            failures.count(IpAddr::from(number.to_be_bytes()), now);
        }
        assert!(failures.made_up.lock().expect("a lock").len() <= MOST_ADDRESSES);
    }
}
