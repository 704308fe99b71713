//! The seats of a server: one for each connection, and who gives up theirs when all are taken.
//!
//! Clients that ask for nothing, or for nothing that they may have, must not keep those out who do. So whoever
//! connects is accepted, and where no seat is left, a connection goes that has no request under way. A request
//! counts once it was let in and is there as a whole, and the connection goes whose last one is the longest ago.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::{AbortHandle, Id, JoinSet},
    time::{self, Instant},
};

use crate::{CallerName, NoShare, Share, Shares};

/// How long a connection keeps its seat that has just been accepted, or had a request: long enough to send
/// the head of the next one over a slow network.
const LEAST_IDLE: Duration = Duration::from_secs(1);

/// The connections of a server.
#[derive(Debug)]
pub(crate) struct Seats {
    most: usize,
    opened: Instant,
    connections: JoinSet<()>,
    /// Those that may be asked to go.
    taken: HashMap<Id, (AbortHandle, Seat)>,
}

impl Seats {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, opened: Instant::now(), connections: JoinSet::new(), taken: HashMap::new() }
    }

    /// Serves a connection, which has a seat until it ends.
    pub(crate) fn seat<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        serve: impl FnOnce(Seat) -> F,
    ) {
        let seat = Seat::new(self.opened);
        let handle = self.connections.spawn(serve(seat.clone()));
        self.taken.insert(handle.id(), (handle, seat));
    }

    /// Waits until a connection has ended; for ever where there is none.
    pub(crate) async fn ended(&mut self) {
        match self.connections.join_next_with_id().await {
            Some(Ok((id, ()))) => self.taken.remove(&id),
            Some(Err(error)) => self.taken.remove(&error.id()),
            None => std::future::pending().await,
        };
    }

    /// Waits until there is a seat for one more.
    pub(crate) async fn make_room(&mut self) {
        while self.connections.len() >= self.most {
            let wait = self.cut_longest_idle();
            // Where a connection was cut, that it ended comes at once.
            tokio::select! {
                biased;
                () = self.ended() => {}
                () = time::sleep(wait) => {}
            }
        }
    }

    /// Ends the connection that has been idle for longest. Returns after how long to look again.
    fn cut_longest_idle(&mut self) -> Duration {
        let idle = self.taken.iter().filter_map(|(id, (_, seat))| Some((seat.idle_since()?, *id)));
        let Some((since, id)) = idle.min() else { return LEAST_IDLE };
        let wait = (since + LEAST_IDLE).saturating_duration_since(Instant::now());
        if wait.is_zero() {
            self.cut(id, since);
        }
        wait
    }

    fn cut(&mut self, id: Id, idle_since: Instant) {
        if let Some((handle, seat)) = self.taken.remove(&id)
            && seat.give_up(idle_since)
        {
            handle.abort();
        }
    }

    /// Ends the connections that nobody waits at, and waits until the others have ended.
    pub(crate) async fn all_ended(mut self) {
        let idle = self.taken.iter().filter_map(|(id, (_, seat))| Some((seat.idle_since()?, *id)));
        for (since, id) in idle.collect::<Vec<_>>() {
            // What was just answered may be on its way.
            if since + LEAST_IDLE <= Instant::now() {
                self.cut(id, since);
            }
        }
        while self.connections.join_next().await.is_some() {}
    }
}

/// A request that was let in is under way.
const BUSY: u64 = u64::MAX;

/// The connection is to end.
const GIVEN_UP: u64 = u64::MAX - 1;

/// The seat of one connection, in the extensions of its requests. HTTP/1 has at most one of them under way.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    opened: Instant,
    /// Since when it has been idle, in microseconds since the server opened; or one of the two above.
    state: Arc<AtomicU64>,
    /// Whose it is, where no caller may have more than a share of all.
    owner: Arc<Mutex<Option<Share>>>,
}

impl Seat {
    fn new(opened: Instant) -> Self {
        let seat = Self { opened, state: Arc::default(), owner: Arc::default() };
        seat.state.store(seat.now(), Ordering::Release);
        seat
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_micros()).unwrap_or(0)
    }

    /// From here on it is one of `caller`'s, if it may have one more of the `connections`.
    pub(crate) fn belong_to(
        &self,
        caller: &CallerName,
        connections: &Shares,
    ) -> Result<(), NoShare> {
        let mut owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        if owner.as_ref().is_none_or(|share| share.caller() != caller) {
            // Where it was somebody else's, what that one gives back may be what is left.
            *owner = None;
            *owner = Some(connections.take(caller)?);
        }
        Ok(())
    }

    /// Its request was let in, and is there as a whole.
    pub(crate) fn keep(&self) {
        let keep = |state| (state != GIVEN_UP).then_some(BUSY);
        // Of a connection that is to end nobody awaits anything.
        let _ = self.state.try_update(Ordering::AcqRel, Ordering::Acquire, keep);
    }

    /// Its request has ended, if it had one that counts.
    fn rest(&self) {
        let now = self.now();
        let _ = self.state.compare_exchange(BUSY, now, Ordering::AcqRel, Ordering::Acquire);
    }

    fn idle_since(&self) -> Option<Instant> {
        match self.state.load(Ordering::Acquire) {
            BUSY | GIVEN_UP => None,
            since => Some(self.opened + Duration::from_micros(since)),
        }
    }

    /// Whether it has been idle since then, and has no request from now on.
    fn give_up(&self, idle_since: Instant) -> bool {
        let since = u64::try_from((idle_since - self.opened).as_micros()).unwrap_or(0);
        self.state.compare_exchange(since, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// A request on a seat, until this goes.
#[derive(Debug)]
pub(crate) struct Seated(pub(crate) Seat);

impl Drop for Seated {
    fn drop(&mut self) {
        self.0.rest();
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_connection_that_was_idle_for_longest_gives_up_its_seat() {
        let mut seats = Seats::new(2);
        let mut held = Vec::new();
        for _ in 0..2 {
            seats.seat(|seat| {
                held.push(seat);
                pending()
            });
            time::advance(Duration::from_millis(10)).await;
        }
        let before = Instant::now();
        seats.make_room().await;
        assert!(before.elapsed() < LEAST_IDLE, "the first had waited already");
        assert_eq!(seats.connections.len(), 1);
        assert_eq!(held[0].state.load(Ordering::Acquire), GIVEN_UP);
        assert!(held[1].idle_since().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_just_come_keeps_its_seat_for_a_while() {
        let mut seats = Seats::new(1);
        seats.seat(|_| pending());
        let before = Instant::now();
        seats.make_room().await;
        assert!(before.elapsed() >= LEAST_IDLE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_was_let_in_keeps_its_seat_and_others_do_not() {
        let mut seats = Seats::new(1);
        let mut request = None;
        seats.seat(|seat| {
            request = Some(Seated(seat));
            pending()
        });
        let seated = request.take().expect("a request");
        seated.0.keep();
        let room = time::timeout(Duration::from_secs(3600), seats.make_room()).await;
        assert!(room.is_err(), "there is none");
        let seat = seated.0.clone();
        drop(seated);
        let since = seat.idle_since().expect("it rests");
        // One that nobody let in is no reason to stay.
        drop(Seated(seat.clone()));
        assert_eq!(seat.idle_since(), Some(since));
        let room = time::timeout(LEAST_IDLE * 3, seats.make_room()).await;
        assert!(room.is_ok());
    }

    #[tokio::test]
    async fn a_connection_that_ended_leaves_its_seat() {
        let mut seats = Seats::new(1);
        seats.seat(|_| async {});
        seats.make_room().await;
        assert!(seats.taken.is_empty());
    }
}
