//! Advances the epochs of the engines every millisecond while a turn runs.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle, Thread},
    time::Duration,
};

use wasmtime::EngineWeak;

/// How often a spinning guest is made to yield. With 10 ms, eight spinning guests on two threads
/// made timers fire 589 ms late; with 1 ms, 1 ms.
const PERIOD: Duration = Duration::from_millis(1);

/// Idle periods after which the thread sleeps until the next turn. Waking it costs that turn some
/// microseconds, so it outlasts the pauses of a busy Runtime.
const LINGER: u32 = 50;

/// The thread that ticks. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    running_turns: AtomicUsize,
    parked: AtomicBool,
    stop: AtomicBool,
}

/// Keeps the ticker going.
#[derive(Debug)]
pub(crate) struct Ticking(Arc<Shared>);

impl Ticker {
    /// Starts the thread. Without it nothing would ever interrupt a guest, so a failure is one.
    pub(crate) fn start(engines: [EngineWeak; 2]) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = thread::Builder::new().name("epoch-ticker".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || run(&shared, &engines)
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    pub(crate) fn tick(&self) -> Ticking {
        self.shared.running_turns.fetch_add(1, Ordering::SeqCst);
        if self.shared.parked.load(Ordering::SeqCst)
            && let Some(thread) = self.thread.as_ref().map(JoinHandle::thread)
        {
            Thread::unpark(thread);
        }
        Ticking(Arc::clone(&self.shared))
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.0.running_turns.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It only sleeps and counts, so it ends within a period and cannot have panicked.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, engines: &[EngineWeak; 2]) {
    let mut idle = 0;
    while !shared.stop.load(Ordering::SeqCst) {
        if shared.running_turns.load(Ordering::SeqCst) > 0 {
            idle = 0;
            for engine in engines.iter().filter_map(EngineWeak::upgrade) {
                engine.increment_epoch();
            }
        } else {
            idle += 1;
        }
        if idle < LINGER {
            thread::sleep(PERIOD);
            continue;
        }
        // Set before the count is read again: a turn that starts now either is seen here or sees
        // the flag and unparks.
        shared.parked.store(true, Ordering::SeqCst);
        if shared.running_turns.load(Ordering::SeqCst) == 0 && !shared.stop.load(Ordering::SeqCst) {
            thread::park();
        }
        shared.parked.store(false, Ordering::SeqCst);
        idle = 0;
    }
}
