//! A Runtime in a process of its own, asked line by line: for tests that break what it stands on.

use std::{
    io::{self, BufRead, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};
use worker_runtime::{Runtime, Store, error_chain};
use worker_types::{
    Outcome, Retention, RuntimeError, RuntimeSummary, TurnId, WorkerId, WorkerView,
};

use crate::{
    crash::{
        perform::perform,
        record::{FoundWorker, Reply, Request},
        show::{found, workers},
    },
    embedded,
};

/// What can be asked for; one line on the standard input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
pub enum Call {
    /// A command.
    Ask {
        /// The command.
        request: Request,
    },
    /// The end of a turn, which is waited for.
    Outcome {
        /// The Worker.
        worker_id: WorkerId,
        /// Its turn.
        turn_id: TurnId,
    },
    /// How the Runtime fares.
    Summary,
    /// One Worker.
    Worker {
        /// Which.
        worker_id: WorkerId,
    },
    /// All that is there.
    Show {
        /// Whether with transcripts and usage.
        at_rest: bool,
    },
    /// What is old is removed.
    EnforceRetention,
    /// How often a file would have grown beyond what it may.
    FileLimitMet,
    /// An orderly end.
    Shutdown,
}

/// What is answered; one line on the standard output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "told", rename_all = "snake_case")]
pub enum Told {
    /// The Runtime is there; the first line.
    Opened,
    /// The store cannot be opened; the only line.
    Refused {
        /// Why.
        reason: String,
    },
    /// What became of a command.
    Reply {
        /// The answer.
        reply: Reply,
    },
    /// How a turn ended.
    Ended {
        /// How.
        outcome: Outcome,
    },
    /// How the Runtime fares.
    Summary {
        /// What it says of itself.
        summary: Box<RuntimeSummary>,
    },
    /// One Worker.
    Worker {
        /// How it is shown.
        view: Box<WorkerView>,
    },
    /// All that is there.
    Shown {
        /// The Workers.
        workers: Vec<FoundWorker>,
    },
    /// It is done.
    Done,
    /// How often a file would have grown beyond what it may.
    FileLimitMet {
        /// How often; many in a moment count as one.
        times: u64,
    },
    /// It could not be told.
    Failed {
        /// Why.
        error: RuntimeError,
    },
}

/// Serves the Runtime over the store in `directory` until the standard input ends. Events are kept
/// for `max_age_s`, or for ever.
///
/// # Errors
///
/// If nobody listens, or the Runtime cannot be built.
pub fn run(directory: &Path, max_age_s: Option<u64>) -> Result<()> {
    let store = match Store::sqlite(directory) {
        Ok(store) => store,
        Err(error) => return tell(&Told::Refused { reason: error_chain(&error) }),
    };
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start threads")?;
    tokio.block_on(async {
        let mut tasks = JoinSet::new();
        let met = FileLimit::watch(&mut tasks).context("cannot watch a signal")?;
        let retention = Retention { max_age_s, ..Retention::default() };
        let builder = embedded::builder(store).retention(retention);
        let runtime = builder.build().await.context("cannot build the Runtime")?;
        tell(&Told::Opened)?;
        for line in io::stdin().lock().lines() {
            let call = serde_json::from_str(&line.context("cannot read a call")?)
                .context("cannot understand a call")?;
            if call == Call::Shutdown {
                break;
            }
            tell(&answer(&runtime, &met, call).await)?;
        }
        runtime.shutdown(Duration::ZERO).await;
        Ok(())
    })
}

/// What the kernel says of files that may not grow: SIGXFSZ, which would end the process if nobody
/// took it. The write fails with EFBIG then.
struct FileLimit(Arc<AtomicU64>);

impl FileLimit {
    fn watch(tasks: &mut JoinSet<()>) -> io::Result<Self> {
        let met = Arc::new(AtomicU64::new(0));
        let mut signals = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?;
        let counted = Arc::clone(&met);
        tasks.spawn(async move {
            while signals.recv().await.is_some() {
                counted.fetch_add(1, Relaxed);
            }
        });
        Ok(Self(met))
    }
}

async fn answer(runtime: &Runtime, met: &FileLimit, call: Call) -> Told {
    let answer = match call {
        Call::Ask { request } => Ok(Told::Reply { reply: perform(runtime, request).await }),
        Call::Outcome { worker_id, turn_id } => {
            runtime.outcome(worker_id, turn_id).await.map(|outcome| Told::Ended { outcome })
        }
        Call::Summary | Call::Shutdown => {
            Ok(Told::Summary { summary: Box::new(runtime.summary()) })
        }
        Call::Worker { worker_id } => {
            runtime.worker(worker_id).map(|view| Told::Worker { view: Box::new(view) })
        }
        Call::EnforceRetention => runtime.enforce_retention().await.map(|()| Told::Done),
        Call::FileLimitMet => Ok(Told::FileLimitMet { times: met.0.load(Relaxed) }),
        Call::Show { at_rest } => shown(runtime, at_rest).await,
    };
    answer.unwrap_or_else(|error| Told::Failed { error })
}

async fn shown(runtime: &Runtime, at_rest: bool) -> Result<Told, RuntimeError> {
    let mut shown = Vec::new();
    for view in workers(runtime)? {
        shown.push(found(runtime, view, at_rest).await?);
    }
    Ok(Told::Shown { workers: shown })
}

fn tell(told: &Told) -> Result<()> {
    let mut line = serde_json::to_vec(told).context("an answer is JSON")?;
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(&line).context("nobody listens")?;
    stdout.flush().context("nobody listens")
}
