//! Components in Stores of their own that are no turn: scripts of the shell, and WASI commands. What they
//! take counts for the turn that started them, or for the process that runs one.

pub(crate) mod pipe;
mod process;

use std::{
    fmt,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use wasmtime::{Engine, Store, Trap, component::ResourceTable};
use wasmtime_wasi::{I32Exit, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use worker_types::Limits;

use self::pipe::OutputLimit;
use crate::{
    capability::filesystem::{FilesystemCtx, FilesystemView, HasFiles},
    engine::LoadedCommand,
    exec::ReaderGone,
    runtime::Turnstile,
    turn::{
        Allowance, MAX_RANDOM_BYTES, Refusal, Share, TurnLimiter, TurnMeter, bound, exceeded, table,
    },
};

pub(crate) use process::Process;

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommandEnd {
    /// By itself, with this code.
    Exited(u8),
    /// It wrote to a standard stream that nobody reads any more.
    ReaderGone,
    /// It did what no program may; the words say what.
    Trapped(String),
    /// It took more than it may; the words say of what.
    Limit(String),
}

/// What the Stores of one turn take from, together. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    pub(crate) meter: Arc<TurnMeter>,
    pub(crate) limits: Arc<Limits>,
    share: Share,
    /// How long what runs may compute.
    allowance: Allowance,
    /// Stores that may be there at once.
    stores: Arc<Semaphore>,
}

/// The right to have a Store.
#[derive(Debug)]
pub(crate) struct StorePermit {
    _of_turn: OwnedSemaphorePermit,
    _of_runtime: OwnedSemaphorePermit,
}

/// Too many Stores are there already.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoRoom {
    #[error("more than {0} scripts and commands of one turn would run at once")]
    OfTurn(u64),
    #[error("as many scripts and commands run as this Runtime may run at once: try again later")]
    OfRuntime,
}

impl Budget {
    /// What scripts and commands may take, beside the guest that starts them or without one.
    pub(crate) fn new(limits: Arc<Limits>, share: Share, meter: Arc<TurnMeter>) -> Self {
        let stores = Arc::new(Semaphore::new(permits(limits.turn_commands)));
        let allowance = share.allowance(&limits, &meter);
        Self { meter, limits, share, allowance, stores }
    }

    /// The same for a script that begins now, and the commands that it starts.
    pub(crate) fn for_script(&self) -> Self {
        Self { allowance: self.share.allowance(&self.limits, &self.meter), ..self.clone() }
    }

    /// The right to one more Store, of all that `live` allows.
    pub(crate) fn admit(&self, live: &Arc<Semaphore>) -> Result<StorePermit, NoRoom> {
        let of_turn = Arc::clone(&self.stores).try_acquire_owned();
        let of_turn =
            of_turn.map_err(|_: TryAcquireError| NoRoom::OfTurn(self.limits.turn_commands))?;
        let of_runtime = Arc::clone(live).try_acquire_owned().map_err(|_| NoRoom::OfRuntime)?;
        Ok(StorePermit { _of_turn: of_turn, _of_runtime: of_runtime })
    }
}

/// A limit as a semaphore takes it.
pub(crate) fn permits(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS)
}

/// What the Store of a command holds: the base of WASI, and files.
pub(crate) struct SandboxState {
    wasi: WasiCtx,
    filesystem: FilesystemCtx,
    pub(crate) table: ResourceTable,
    limiter: TurnLimiter,
}

impl fmt::Debug for SandboxState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxState").field("limiter", &self.limiter).finish_non_exhaustive()
    }
}

/// What a Store holds that holds a [`SandboxState`].
pub(crate) trait Sandboxed: Send + 'static {
    fn sandbox(&mut self) -> &mut SandboxState;
}

impl Sandboxed for SandboxState {
    fn sandbox(&mut self) -> &mut SandboxState {
        self
    }
}

impl WasiView for SandboxState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl HasFiles for SandboxState {
    fn files(&mut self) -> FilesystemView<'_> {
        FilesystemView { ctx: &mut self.filesystem, table: &mut self.table }
    }
}

impl SandboxState {
    /// The arguments, variables and standard streams are those of `wasi`; there is never a network.
    pub(crate) fn new(
        wasi: &mut WasiCtxBuilder,
        filesystem: FilesystemCtx,
        budget: &Budget,
    ) -> Self {
        let wasi = wasi.max_random_size(MAX_RANDOM_BYTES).allow_tcp(false).allow_udp(false).build();
        Self {
            wasi,
            filesystem,
            table: table(&budget.limits),
            limiter: TurnLimiter::new(&budget.limits, budget.share, Arc::clone(&budget.meter)),
        }
    }

    /// The files it sees.
    pub(crate) fn filesystem(&self) -> &FilesystemCtx {
        &self.filesystem
    }
}

/// Runs `call` in a Store of its own, within `budget`. Dropping the future drops the Store, which is never
/// used twice. `who` is what runs, in words.
pub(crate) async fn run<S: Sandboxed, T>(
    who: &str,
    (engine, mut turnstile): (&Engine, Turnstile),
    mut state: S,
    budget: &Budget,
    call: impl AsyncFnOnce(&mut Store<S>) -> wasmtime::Result<T>,
) -> Result<T, CommandEnd> {
    let Budget { meter, limits, share, allowance, .. } = budget;
    let refusal = state.sandbox().limiter.refusal();
    let mut store = Store::new(engine, state);
    bound(&mut store, limits, *allowance, Arc::clone(meter), |state| &mut state.sandbox().limiter);
    let mut call = pin!(call(&mut store));
    let called = poll_fn(|context| {
        turnstile.poll(context, |context| {
            meter.resume();
            // A host function that panics ends this call, and nothing else.
            let poll = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context)));
            meter.pause();
            poll.unwrap_or_else(|_| {
                Poll::Ready(Err(wasmtime::Error::msg("a host function panicked")))
            })
        })
    });
    called.await.map_err(|error| end(who, &error, (*share, *allowance), &refusal, limits))
}

/// How something ended that did not return.
fn end(
    who: &str,
    error: &wasmtime::Error,
    allowed: (Share, Allowance),
    refusal: &Refusal,
    limits: &Limits,
) -> CommandEnd {
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        // More than a process can say is still no success.
        return CommandEnd::Exited(u8::try_from(exit.0).unwrap_or(u8::MAX));
    }
    if error.downcast_ref::<ReaderGone>().is_some() {
        return CommandEnd::ReaderGone;
    }
    if let Some(limit) = error.downcast_ref::<OutputLimit>() {
        return CommandEnd::Limit(limit.to_string());
    }
    let trap = error.downcast_ref::<Trap>().copied();
    let aborted = matches!(trap, None | Some(Trap::UnreachableCodeReached));
    let refused = refusal.get().filter(|_| aborted);
    match exceeded(who, allowed, trap, refused, limits) {
        Some(limit) => CommandEnd::Limit(limit),
        None => CommandEnd::Trapped(error.root_cause().to_string()),
    }
}

/// Runs a command to its end.
pub(crate) async fn run_command(
    command: &LoadedCommand,
    state: SandboxState,
    budget: &Budget,
    turnstile: Turnstile,
) -> CommandEnd {
    let pre = command.pre();
    let call = async |store: &mut Store<SandboxState>| {
        let guest = pre.instantiate_async(&mut *store).await?;
        guest.wasi_cli_run().call_run(store).await
    };
    match run("the command", (pre.engine(), turnstile), state, budget, call).await {
        Ok(Ok(())) => CommandEnd::Exited(0),
        Ok(Err(())) => CommandEnd::Exited(1),
        Err(end) => end,
    }
}
