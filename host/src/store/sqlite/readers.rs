//! The threads that read. Each has a connection of its own, and none waits for the writer, except
//! while the store is reopened after a failure.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread::{self, JoinHandle},
};

use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot};

use super::{
    database::{self, Files},
    failure::ReadError,
};

/// Reads run on this many threads: one that takes long leaves the other to the rest.
const THREADS: usize = 2;
/// Reads that wait or run at once; each may hold a page of about a mebibyte. More wait before they
/// are queued.
const READS: usize = 64;

type Read = Box<dyn FnOnce(Result<&Connection, ReadError>) + Send>;

#[derive(Debug)]
pub(super) struct Readers {
    reads: Option<mpsc::Sender<Read>>,
    permits: Semaphore,
    threads: Vec<JoinHandle<()>>,
}

/// Whether readers may have connections. The writer decides.
#[derive(Debug)]
pub(super) struct Gate {
    files: Files,
    state: Mutex<GateState>,
    changed: Condvar,
    slots: [Mutex<Option<Connection>>; THREADS],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GateState {
    /// What is there is durable.
    Open,
    /// The store is being reopened: readers wait.
    Waiting,
    /// Reopening failed before what is there was known to be durable: readers are refused.
    Shut,
}

impl Gate {
    pub(super) fn new(files: Files) -> Self {
        Self {
            files,
            state: Mutex::new(GateState::Open),
            changed: Condvar::new(),
            slots: Default::default(),
        }
    }

    /// Closes all connections, when the reads that run are done. Reads wait from now on; those that
    /// were refused still are.
    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        if *state == GateState::Open {
            *state = GateState::Waiting;
        }
        drop(state);
        for slot in &self.slots {
            *lock(slot) = None;
        }
    }

    /// Lets reads go on.
    pub(super) fn open(&self) {
        self.set(GateState::Open);
    }

    /// Refuses reads.
    pub(super) fn shut(&self) {
        self.set(GateState::Shut);
    }

    fn set(&self, state: GateState) {
        *lock(&self.state) = state;
        self.changed.notify_all();
    }

    /// Runs `read` with the connection of a thread.
    fn run(&self, slot: &Mutex<Option<Connection>>, read: Read) {
        let mut connection = loop {
            let mut state = lock(&self.state);
            while *state == GateState::Waiting {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if *state == GateState::Shut {
                return read(Err(ReadError::Closed));
            }
            drop(state);
            // The writer may have begun to close in between; it takes the slots after the state.
            let connection = lock(slot);
            if *lock(&self.state) == GateState::Open {
                break connection;
            }
        };
        if connection.is_none() {
            match database::open_reader(&self.files) {
                Ok(opened) => *connection = Some(opened),
                Err(error) => return read(Err(ReadError::Sqlite(error))),
            }
        }
        let Some(open) = connection.as_ref() else { return };
        if catch_unwind(AssertUnwindSafe(|| read(Ok(open)))).is_err() {
            tracing::error!("a read of the store panicked");
            *connection = None;
        }
    }
}

impl Readers {
    pub(super) fn start(gate: &Arc<Gate>) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel::<Read>();
        let receiver = Arc::new(Mutex::new(receiver));
        let threads = (0..THREADS).map(|index| {
            let (gate, receiver) = (Arc::clone(gate), Arc::clone(&receiver));
            thread::Builder::new().name(format!("store-reader-{index}")).spawn(move || {
                loop {
                    // Held while waiting: the others wait for the lock instead of the channel.
                    let read = lock(&receiver).recv();
                    match read {
                        Ok(read) => gate.run(&gate.slots[index], read),
                        Err(mpsc::RecvError) => break,
                    }
                }
            })
        });
        let threads = threads.collect::<Result<_, _>>()?;
        Ok(Self { reads: Some(sender), permits: Semaphore::new(READS), threads })
    }

    /// Runs `read` on one of the threads, in a transaction: what it sees is of one moment.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let _permit = self.permits.acquire().await.map_err(|_| ReadError::Gone)?;
        let (answer, answered) = oneshot::channel();
        let read = move |connection: Result<&Connection, ReadError>| {
            // Nobody waits any more.
            if answer.is_closed() {
                return;
            }
            let result = connection.and_then(|connection| {
                let _transaction = connection.unchecked_transaction()?;
                read(connection)
            });
            // The same: the caller went away.
            let _ = answer.send(result);
        };
        let reads = self.reads.as_ref().ok_or(ReadError::Gone)?;
        reads.send(Box::new(read)).map_err(|_| ReadError::Gone)?;
        answered.await.map_err(|_| ReadError::Gone)?
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.reads = None;
        for thread in self.threads.drain(..) {
            // A panic was logged where it happened.
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A read that panics is caught while the lock is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
