//! Passwords that are none: how many of them an address may try, and how many are looked at at once.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use worker_types::RuntimeError;

/// How many passwords an address may try without a pause: for who mistypes.
const WITHOUT_PAUSE: u32 = 5;

/// The pause after the next one. Each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause: some hundred passwords a day, and a person who comes back after a coffee.
const LONGEST_PAUSE: Duration = Duration::from_secs(900);

/// How long after its last try, and the pause for it, an address begins anew.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3_600);

/// Addresses that are remembered. Beyond, the one is forgotten whose pause ends first.
const MOST_ADDRESSES: usize = 1_024;

/// Passwords of strangers that are compared at once: with 64 MiB each, and a processor.
const AT_ONCE: usize = 2;

/// Passwords that wait for that: a second or two of it. One more is told to come again.
const WAITING: usize = 14;

/// The same for networks from which somebody has signed in: however many strangers try, they have places.
const KNOWN_AT_ONCE: usize = 1;
const KNOWN_WAITING: usize = 3;

/// Networks from which somebody has signed in. Beyond, the one is forgotten whose last time is longest ago.
const MOST_KNOWN: usize = 64;

/// Who has tried passwords lately, and the right to have one compared.
#[derive(Debug)]
pub(crate) struct Attempts {
    tried: Mutex<HashMap<IpAddr, Tried>>,
    /// The latest is the last.
    known: Mutex<VecDeque<IpAddr>>,
    of_known: Queue,
    of_strangers: Queue,
}

/// Passwords that are compared, and those that wait for it.
#[derive(Debug)]
struct Queue {
    compared: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

#[derive(Debug, Clone, Copy)]
struct Tried {
    times: u32,
    /// When it may try again.
    again_at: Instant,
}

/// A place among the passwords that wait to be compared.
#[derive(Debug)]
pub(crate) struct Place {
    admitted: OwnedSemaphorePermit,
    compared: Arc<Semaphore>,
}

/// The right to have one password compared. It is to go where the password is compared: who goes away does not
/// free the processor.
#[derive(Debug)]
pub(crate) struct Comparison {
    _admitted: OwnedSemaphorePermit,
    _compared: OwnedSemaphorePermit,
}

impl Default for Attempts {
    fn default() -> Self {
        Self {
            tried: Mutex::default(),
            known: Mutex::default(),
            of_known: Queue::new(KNOWN_AT_ONCE, KNOWN_WAITING),
            of_strangers: Queue::new(AT_ONCE, WAITING),
        }
    }
}

impl Attempts {
    /// Counts a try of `address`, before it is known whether it is right: those that come at once are counted,
    /// too. Where the address has to wait, the try is none, and this says how long.
    pub(crate) fn count(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let network = network(address);
        if !tried.contains_key(&network) && tried.len() >= MOST_ADDRESSES {
            make_room(&mut tried, now);
        }
        let known = tried.entry(network).or_insert(Tried { times: 0, again_at: now });
        if now < known.again_at {
            return Err(known.again_at - now);
        }
        if now.duration_since(known.again_at) >= FORGOTTEN_AFTER {
            known.times = 0;
        }
        known.times = known.times.saturating_add(1);
        known.again_at = now + pause_after(known.times);
        Ok(())
    }

    /// Forgets the tries of `address`, and knows its network from now on: its last one was right.
    pub(crate) fn forgive(&self, address: IpAddr) {
        let network = network(address);
        self.tried.lock().unwrap_or_else(PoisonError::into_inner).remove(&network);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|one| *one != network);
        known.push_back(network);
        if known.len() > MOST_KNOWN {
            known.pop_front();
        }
    }

    /// A place for one more password, which comes from `address`.
    ///
    /// # Errors
    ///
    /// `Capacity`: all are taken.
    pub(crate) fn place(&self, address: Option<IpAddr>) -> Result<Place, RuntimeError> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = address.is_some_and(|address| known.contains(&network(address)));
        drop(known);
        if is_known { self.of_known.place() } else { self.of_strangers.place() }
    }
}

impl Queue {
    fn new(at_once: usize, waiting: usize) -> Self {
        let compared = Arc::new(Semaphore::new(at_once));
        Self { compared, admitted: Arc::new(Semaphore::new(at_once + waiting)) }
    }

    fn place(&self) -> Result<Place, RuntimeError> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| full())?;
        Ok(Place { admitted, compared: Arc::clone(&self.compared) })
    }
}

impl Place {
    /// Waits until the password may be compared.
    pub(crate) async fn turn(self) -> Result<Comparison, RuntimeError> {
        let compared = self.compared.acquire_owned().await.map_err(|_| full())?;
        Ok(Comparison { _admitted: self.admitted, _compared: compared })
    }
}

fn full() -> RuntimeError {
    let reason = "as many passwords are being compared as this server compares at once";
    RuntimeError::Capacity { reason: reason.to_owned() }
}

/// Who has a whole network of addresses tries no more for it: an IPv6 address counts by its first half, of which
/// every machine has all, and so does this machine.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) if address.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

fn pause_after(times: u32) -> Duration {
    match times.checked_sub(WITHOUT_PAUSE) {
        None | Some(0) => Duration::ZERO,
        Some(more) => {
            let doubled = 1_u32.checked_shl(more - 1).unwrap_or(u32::MAX);
            FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE)
        }
    }
}

fn make_room(tried: &mut HashMap<IpAddr, Tried>, now: Instant) {
    tried.retain(|_, known| now < known.again_at + FORGOTTEN_AFTER);
    if tried.len() < MOST_ADDRESSES {
        return;
    }
    let first = tried.iter().min_by_key(|(_, known)| known.again_at).map(|(network, _)| *network);
    if let Some(first) = first {
        tried.remove(&first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    /// Tries until it has to wait, then as soon as it may; the pauses.
    fn pauses(attempts: &Attempts, mut now: Instant, tries: usize) -> Vec<u64> {
        let mut pauses = Vec::new();
        for _ in 0..tries {
            while let Err(pause) = attempts.count(ONE, now) {
                pauses.push(pause.as_secs());
                now += pause;
            }
        }
        pauses
    }

    #[test]
    fn pauses_begin_after_five_tries_and_double_up_to_a_quarter_of_an_hour() {
        let attempts = Attempts::default();
        let now = Instant::now();
        let expected = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900];
        assert_eq!(pauses(&attempts, now, 6 + expected.len()), expected);
        assert_eq!(attempts.count(OTHER, now), Ok(()), "others are not held up");
    }

    #[test]
    fn tries_that_come_at_once_are_counted_each() {
        let attempts = Attempts::default();
        let now = Instant::now();
        let taken = (0..100).filter(|_| attempts.count(ONE, now).is_ok()).count();
        assert_eq!(taken, 6);
    }

    #[test]
    fn an_address_begins_anew_after_a_right_password_or_an_hour_of_nothing() {
        let now = Instant::now();
        for forgiven in [true, false] {
            let attempts = Attempts::default();
            while attempts.count(ONE, now).is_ok() {}
            let mut later = now + Duration::from_secs(1);
            if forgiven {
                attempts.forgive(ONE);
            } else {
                later += FORGOTTEN_AFTER;
            }
            let taken = (0..100).filter(|_| attempts.count(ONE, later).is_ok()).count();
            assert_eq!(taken, 6, "{forgiven}");
        }
    }

    #[test]
    fn all_addresses_of_an_ipv6_network_are_one() {
        let attempts = Attempts::default();
        let now = Instant::now();
        let of = |host: u16| -> IpAddr { Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host).into() };
        let taken = (0..100).filter(|host| attempts.count(of(*host), now).is_ok()).count();
        assert_eq!(taken, 6);
        let mapped = "::ffff:192.0.2.1".parse().expect("an address");
        assert_eq!(network(mapped), ONE, "a socket for both kinds shows old ones so");
        let here = |address: [u8; 4]| network(IpAddr::from(address));
        assert_eq!(here([127, 9, 9, 9]), here([127, 0, 0, 1]));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_goes_by_who_waits_longest() {
        let attempts = Attempts::default();
        let now = Instant::now();
        while attempts.count(ONE, now).is_ok() {}
        for number in 0..10_000_u32 {
            let _ = attempts.count(IpAddr::from(number.to_be_bytes()), now);
        }
        assert!(attempts.tried.lock().expect("a lock").len() <= MOST_ADDRESSES);
        assert!(attempts.count(ONE, now).is_err(), "nobody is pushed out of a pause by others");
    }

    #[tokio::test]
    async fn two_passwords_are_compared_at_once_some_wait_and_more_are_refused() {
        let attempts = Attempts::default();
        let place = || attempts.place(Some(OTHER)).expect("a place");
        let both = [place().turn().await, place().turn().await];
        assert!(both.iter().all(Result::is_ok));
        let mut waiting: Vec<_> = (0..WAITING).map(|_| Box::pin(place().turn())).collect();
        for one in &mut waiting {
            assert!(futures_util::poll!(one).is_pending());
        }
        let refused = attempts.place(Some(ONE)).expect_err("full");
        assert!(matches!(refused, RuntimeError::Capacity { .. }), "{refused:?}");
        // Who has signed in from there before does not wait for strangers.
        attempts.forgive(ONE);
        assert!(attempts.place(Some(ONE)).expect("a place").turn().await.is_ok());
        drop(both);
        assert!(futures_util::poll!(&mut waiting[0]).is_ready());
    }

    #[test]
    fn as_many_networks_are_known_as_said_and_the_latest_stay() {
        let attempts = Attempts::default();
        attempts.forgive(ONE);
        for number in 1..=MOST_KNOWN as u32 {
            attempts.forgive(IpAddr::from(number.to_be_bytes()));
            attempts.forgive(OTHER);
        }
        let known = attempts.known.lock().expect("a lock");
        assert!(known.len() == MOST_KNOWN && known.contains(&OTHER) && !known.contains(&ONE));
    }
}
