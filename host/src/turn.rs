//! One turn: a fresh Store and instance, run within its limits, dropped afterwards whatever
//! happened. A Store that trapped or was cut off is never used again.

mod bounds;
mod limiter;
mod meter;

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
};

use fail::fail_point;
use wasmtime::{Store, Trap, component::ResourceTable};
use wasmtime_wasi::{I32Exit, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use worker_types::{FailureKind, Limits, LogStream, Outcome, RuntimeError};

use crate::{
    capability::{
        bindings::exports::yoi::worker::worker::Failure,
        filesystem::{FilesystemCtx, FilesystemView, HasFiles},
        llm::{LlmCtx, LlmView},
        session::{SessionCtx, SessionView},
        shell::{ShellCtx, ShellView},
        stdio::CapturedStream,
    },
    logs::OutputCapture,
    runtime::{TurnPreopens, internal},
};

pub(crate) use bounds::{Allowance, Share, bound, exceeded, table};
pub(crate) use limiter::{Refusal, Refused, TurnLimiter};
pub(crate) use meter::TurnMeter;

/// The most random bytes of one call: far more than any key or seed needs.
pub(crate) const MAX_RANDOM_BYTES: u64 = 64 << 10;

/// What a Store holds.
#[derive(Debug)]
pub(crate) struct TurnState {
    wasi: Wasi,
    filesystem: FilesystemCtx,
    table: ResourceTable,
    limiter: TurnLimiter,
    session: SessionCtx,
    llm: LlmCtx,
    shell: ShellCtx,
}

/// `WasiCtx` without its missing `Debug`.
struct Wasi(WasiCtx);

impl std::fmt::Debug for Wasi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WasiCtx")
    }
}

impl WasiView for TurnState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi.0, table: &mut self.table }
    }
}

impl HasFiles for TurnState {
    fn files(&mut self) -> FilesystemView<'_> {
        FilesystemView { ctx: &mut self.filesystem, table: &mut self.table }
    }
}

impl TurnState {
    pub(crate) fn session(&mut self) -> SessionView<'_> {
        SessionView { ctx: &mut self.session, table: &mut self.table }
    }

    pub(crate) fn shell(&mut self) -> ShellView<'_> {
        ShellView {
            ctx: &mut self.shell,
            session: &self.session,
            files: &self.filesystem,
            table: &mut self.table,
        }
    }

    pub(crate) fn llm(&mut self) -> LlmView<'_> {
        LlmView { ctx: &mut self.llm, session: &mut self.session, table: &mut self.table }
    }
}

/// Runs the turn of `session` to its end. Dropping the future drops the Store.
pub(crate) async fn run(session: SessionCtx, output: Arc<OutputCapture>) -> Outcome {
    let runtime = Arc::clone(&session.runtime);
    let cell = Arc::clone(&session.cell);
    let meter = Arc::clone(&session.meter);
    let ledger = session.ledger.clone();
    let authority = session.authority.clone();
    let profile = &authority.profile;

    // The Worker's task has loaded it.
    let Some(component) = profile.loaded() else {
        let message = "the Worker's component is not loaded".to_owned();
        return Outcome::Failed { kind: FailureKind::Internal, message };
    };
    // Checked at creation, and again here: nothing is instantiated without it.
    let pre = match component.admit(&authority) {
        Ok(pre) => pre,
        Err(error) => {
            let message = error.to_string();
            return Outcome::Failed { kind: FailureKind::MissingGrant, message };
        }
    };
    let preopens =
        match runtime.open_preopens(cell.id, &authority.grants, session.files.clone()).await {
            Ok(preopens) => preopens,
            Err(error) => {
                let message = error.to_string();
                return Outcome::Failed { kind: FailureKind::PreopenUnavailable, message };
            }
        };
    let _ticking = runtime.engines.tick();
    let mut store = new_store(pre.engine(), session, preopens, &output);
    let refusal = store.data().limiter.refusal();
    let mut call = pin!(async {
        let guest = pre.instantiate_async(&mut store).await?;
        guest.yoi_worker_worker().call_run(&mut store).await
    });
    let mut turnstile = runtime.threads.turnstile();
    let mut poll = |context: &mut Context<'_>| {
        meter.resume();
        // A host function that panics ends this turn, and nothing else.
        let poll = catch_unwind(AssertUnwindSafe(|| {
            fail_point!("turn::poll");
            call.as_mut().poll(context)
        }));
        meter.pause();
        let poll = poll.unwrap_or_else(|_| Poll::Ready(Err(internal(&HostPanicked).into())));
        if poll.is_pending() {
            ledger.hand_over();
        }
        poll
    };
    let result = poll_fn(|context| turnstile.poll(context, &mut poll)).await;
    outcome(result, &refusal, &output, &runtime.limits).bounded()
}

#[derive(Debug, thiserror::Error)]
#[error("a host function panicked")]
struct HostPanicked;

fn new_store(
    engine: &wasmtime::Engine,
    session: SessionCtx,
    preopens: TurnPreopens,
    output: &Arc<OutputCapture>,
) -> Store<TurnState> {
    let runtime = Arc::clone(&session.runtime);
    let meter = Arc::clone(&session.meter);
    let limits = &runtime.limits;
    let mut store = Store::new(
        engine,
        TurnState {
            wasi: Wasi(wasi(output)),
            filesystem: FilesystemCtx::new(preopens, &meter, limits, &runtime.open_files),
            table: table(limits),
            limiter: TurnLimiter::new(limits, Share::All, Arc::clone(&meter)),
            llm: LlmCtx::new(runtime.host.clone()),
            shell: ShellCtx::new(&session),
            session,
        },
    );
    bound(&mut store, limits, whole(limits), meter, |state| &mut state.limiter);
    store
}

/// No arguments, no environment, no network, and no file system, which is ours; output goes to the logs.
fn wasi(output: &Arc<OutputCapture>) -> WasiCtx {
    let captured = |stream| CapturedStream { output: Arc::clone(output), stream };
    WasiCtxBuilder::new()
        .stdout(captured(LogStream::Stdout))
        .stderr(captured(LogStream::Stderr))
        .max_random_size(MAX_RANDOM_BYTES)
        .allow_tcp(false)
        .allow_udp(false)
        .build()
}

/// All the time that a turn has.
fn whole(limits: &Limits) -> Allowance {
    Allowance::of(limits.turn_cpu_ms)
}

fn outcome(
    result: wasmtime::Result<Result<(), Failure>>,
    refusal: &Refusal,
    output: &OutputCapture,
    limits: &Limits,
) -> Outcome {
    let error = match result {
        Ok(Ok(())) => return Outcome::Completed,
        Ok(Err(failure)) => {
            return Outcome::Failed { kind: FailureKind::Guest, message: failure.message };
        }
        Err(error) => error,
    };
    if let Some(error) = error.downcast_ref::<RuntimeError>() {
        return Outcome::Failed { kind: FailureKind::Internal, message: error.to_string() };
    }
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        let message = format!("the guest exited with code {} instead of returning", exit.0);
        return Outcome::Failed { kind: FailureKind::Guest, message };
    }
    let trap = error.downcast_ref::<Trap>().copied();
    let panic = output.panic_message();
    // A guest that is refused memory either copes, or aborts without a panic, or could not even be
    // instantiated.
    let refused = refusal
        .get()
        .filter(|_| panic.is_none() && matches!(trap, None | Some(Trap::UnreachableCodeReached)));
    if let Some(message) = exceeded("the guest", (Share::All, whole(limits)), trap, refused, limits)
    {
        return Outcome::Failed { kind: FailureKind::Limit, message };
    }
    let message = match panic {
        Some(panic) => format!("the guest panicked at {panic}"),
        None => format!("the guest trapped: {}", error.root_cause()),
    };
    Outcome::Failed { kind: FailureKind::Trap, message }
}
