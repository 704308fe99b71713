//! The process that is killed.

use std::{
    fs::File,
    io::{self, BufRead, Write},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::task::JoinSet;
use worker_runtime::{Runtime, Store};
use worker_types::{
    Cursor, FeedCursor, LiveEvent, Retention, RuntimeError, WorkerId, WorkerStatus,
};

use super::{
    random::Random,
    record::{Plan, RETAINED_EVENTS, Record, Request},
    show::{found, workers},
    workload::{self, Lane},
};
use crate::embedded;

/// Lanes of the workload, each with Workers of its own.
const LANES: u64 = 4;

/// Tells the parent. Every line is written as a whole, and before anything else is done.
#[derive(Debug, Clone)]
pub(super) struct Teller(Arc<Mutex<File>>);

impl Teller {
    /// The standard output, without a buffer.
    fn stdout() -> io::Result<Self> {
        let stdout = File::options().write(true).open("/proc/self/fd/1")?;
        Ok(Self(Arc::new(Mutex::new(stdout))))
    }

    /// Nobody may be listening any more: then there is nobody to tell.
    pub(super) fn tell(&self, record: &Record) {
        if let Ok(mut line) = serde_json::to_vec(record) {
            line.push(b'\n');
            let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line);
        }
    }
}

/// Lives one life over the store in `directory`, as the plan on the standard input says.
///
/// # Errors
///
/// If there is no plan, or the Runtime cannot be built.
pub fn run(directory: &Path) -> Result<()> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("cannot read the plan")?;
    let plan: Plan = serde_json::from_str(&line).context("cannot understand the plan")?;
    let teller = Teller::stdout()?;
    if let Some((point, hit)) = plan.failpoint.clone() {
        arm(teller.clone(), point, hit)?;
    }
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start threads")?;
    tokio.block_on(live(directory, &plan, &teller))
}

/// Kills this process when `point` is reached for the `hit`th time.
fn arm(teller: Teller, point: String, hit: u64) -> Result<()> {
    let hits = AtomicU64::new(0);
    let name = point.clone();
    let callback = move || {
        if hits.fetch_add(1, Relaxed) + 1 == hit {
            teller.tell(&Record::Fired { point: name.clone() });
            // Nothing after this runs.
            let _ = rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            );
        }
    };
    fail::cfg_callback(point, callback).map_err(anyhow::Error::msg)
}

async fn live(directory: &Path, plan: &Plan, teller: &Teller) -> Result<()> {
    let store = Store::sqlite(directory).context("cannot open the store")?;
    let retention =
        Retention { max_events: plan.trims.then_some(RETAINED_EVENTS), ..Retention::default() };
    let builder = embedded::builder(store).retention(retention);
    let runtime = builder.build().await.context("cannot build the Runtime")?;
    teller.tell(&Record::Ready);
    show(&runtime, teller, false).await?;

    let mut tasks = JoinSet::new();
    tasks.spawn(read_feed(runtime.clone(), plan.feed, teller.clone()));
    for (id, cursor) in &plan.cursors {
        tasks.spawn(read_events(runtime.clone(), *id, *cursor, teller.clone()));
    }
    let ops = Arc::new(AtomicU64::new(0));
    let random = Random::new(plan.seed).stream(plan.life);
    let lane = |number: u64| Lane {
        number,
        life: plan.life,
        runtime: runtime.clone(),
        teller: teller.clone(),
        ops: Arc::clone(&ops),
        random: random.stream(number + 1),
        sent: 0,
    };
    let mut again = lane(LANES);
    for request in &plan.again {
        again.ask(request.clone()).await;
    }
    for request in &plan.altered {
        again.ask(request.clone()).await;
    }
    if plan.last {
        finish(&runtime, &mut again).await?;
        show(&runtime, teller, true).await?;
        runtime.shutdown(Duration::ZERO).await;
        teller.tell(&Record::Done);
        return Ok(());
    }
    if plan.trims {
        tasks.spawn(trim(runtime.clone()));
    }
    let known: Vec<WorkerId> = plan.cursors.iter().map(|(id, _)| *id).collect();
    let (new_workers, mut to_follow) = tokio::sync::mpsc::unbounded_channel();
    for number in 0..LANES {
        tasks.spawn(workload::run(lane(number), new_workers.clone()));
    }
    while let Some(id) = to_follow.recv().await {
        if !known.contains(&id) {
            tasks.spawn(read_events(runtime.clone(), id, Cursor::START, teller.clone()));
        }
    }
    while tasks.join_next().await.is_some() {}
    Ok(())
}

/// Removes old events again and again.
async fn trim(runtime: Runtime) {
    loop {
        // Where the store fails, others say so.
        let _ = runtime.enforce_retention().await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Ends what would run for ever, and waits until nothing is left to do.
async fn finish(runtime: &Runtime, lane: &mut Lane) -> Result<()> {
    loop {
        let running: Vec<_> = workers(runtime)?
            .into_iter()
            .filter_map(|view| match view.status {
                WorkerStatus::Running { turn_id } => Some((view.worker_id, turn_id)),
                _ => None,
            })
            .collect();
        if running.is_empty() {
            return Ok(());
        }
        for (worker_id, turn_id) in running {
            // What ends by itself does so in this time.
            let ended = runtime.outcome(worker_id, turn_id);
            if tokio::time::timeout(Duration::from_millis(100), ended).await.is_err() {
                lane.ask(Request::Cancel { worker_id, turn_id: Some(turn_id) }).await;
            }
        }
    }
}

/// Shows everything that is there.
async fn show(runtime: &Runtime, teller: &Teller, at_rest: bool) -> Result<()> {
    for view in workers(runtime)? {
        let worker = Box::new(found(runtime, view, at_rest).await?);
        teller.tell(&Record::Found { worker });
    }
    teller.tell(&Record::FoundAll { at_rest });
    Ok(())
}

async fn read_feed(runtime: Runtime, after: FeedCursor, teller: Teller) {
    let broken = |error: RuntimeError| Record::Broken { what: format!("the feed: {error}") };
    let mut feed = match runtime.feed(after) {
        Ok(feed) => feed,
        Err(error) => return teller.tell(&broken(error)),
    };
    while let Some(event) = feed.next().await {
        match event {
            Ok(event) => {
                let (worker_id, seq, cursor) = (event.worker_id, event.seq, feed.cursor());
                teller.tell(&Record::Fed { worker_id, seq, cursor });
            }
            Err(error) => return teller.tell(&broken(error)),
        }
    }
}

async fn read_events(runtime: Runtime, worker_id: WorkerId, after: Cursor, teller: Teller) {
    let mut after = after;
    // Behind a gap a reader goes on.
    while let Some(oldest) = follow(&runtime, worker_id, after, &teller).await {
        teller.tell(&Record::Gap { worker_id, through: oldest.seq });
        after = oldest;
    }
}

/// Tells what a reader is given; where it has fallen behind what is kept, the oldest place.
async fn follow(
    runtime: &Runtime,
    worker_id: WorkerId,
    after: Cursor,
    teller: &Teller,
) -> Option<Cursor> {
    let broken = |error: RuntimeError| {
        teller.tell(&Record::Broken { what: format!("events of {worker_id}: {error}") });
        None
    };
    let mut events = match runtime.events(worker_id, after) {
        Ok(events) => events,
        Err(RuntimeError::CursorGap { oldest }) => return Some(oldest),
        // It was deleted meanwhile, which the checker knows of.
        Err(RuntimeError::UnknownWorker { .. }) => return None,
        Err(error) => return broken(error),
    };
    while let Some(event) = events.next().await {
        teller.tell(&match event {
            Ok(LiveEvent::Durable(event)) => Record::Published { event, cursor: events.cursor() },
            Ok(LiveEvent::Delta(delta)) => Record::Text {
                worker_id,
                item_id: delta.item_id,
                offset: delta.offset,
                text: delta.text,
            },
            Ok(LiveEvent::Snapshot(snapshot)) => Record::Text {
                worker_id,
                item_id: snapshot.item_id,
                offset: 0,
                text: snapshot.text,
            },
            Err(RuntimeError::CursorGap { oldest }) => return Some(oldest),
            Err(RuntimeError::UnknownWorker { .. }) => return None,
            Err(error) => return broken(error),
        });
    }
    None
}
