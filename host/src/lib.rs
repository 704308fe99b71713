//! Runs AI workers as sandboxed WebAssembly components, each with a log of everything it did.
//!
//! A backend embeds a [`Runtime`], decides what its Workers may do, and talks to them:
//!
//! ```
//! # use std::sync::Arc;
//! # use llm_engine::{Models, OfflineModel};
//! # use worker_runtime::Runtime;
//! # use worker_types::{CreateWorker, Cursor, Grants, Input, InputOptions, LiveEvent};
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let llm = Grants::none().with_llm(["default".parse()?]);
//! let runtime = Runtime::builder("backend-internal".parse()?)
//!     .models(Models::none().with("default", Arc::new(OfflineModel::instant())))
//!     .components(builtin_workers::components())
//!     .profiles(builtin_workers::profiles())
//!     .ceiling(llm.clone())
//!     .build()
//!     .await?;
//!
//! let companion = CreateWorker::profile("companion".parse()?).grants(llm).label("user", "42");
//! let worker = runtime.create(companion).await?;
//! let turn = runtime.input(worker.worker_id, Input::text("hello"), InputOptions::default()).await?;
//!
//! let mut events = runtime.events(worker.worker_id, Cursor::START)?;
//! while let Some(event) = events.next().await {
//!     match event? {
//!         LiveEvent::Delta(delta) => print!("{}", delta.text),
//!         LiveEvent::Durable(event) if event.body.ends(turn.turn_id) => break,
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Every turn is a fresh wasmtime Store within [`Limits`](worker_types::Limits). A component's
//! imports are read before it is instantiated: what is not granted is refused by name. Guests run
//! on threads of their own, so one that spins does not delay the embedder.
//!
//! The library opens no socket and reads no environment. It starts no process but the compile
//! helper that its embedder names ([`Compiler::helper`]), and writes no file but in the directories
//! that its embedder names ([`Store::sqlite`], [`RuntimeBuilder::component_cache`],
//! [`RuntimeBuilder::scratch`], [`RuntimeBuilder::allocations`]) and where a grant lets a Worker write ([`RuntimeBuilder::root`]). It is built
//! inside a tokio runtime, where model calls are made; several Runtimes may live in one process.

mod allocation;
mod builder;
mod capability;
mod cell;
mod confinement;
mod engine;
mod error_chain;
mod events;
mod exec;
mod grants;
mod journal;
mod json_bounds;
#[cfg(target_os = "linux")]
mod launcher;
mod logs;
mod projection;
mod runtime;
mod sandbox;
mod shell;
mod spans;
mod store;
mod supervisor;
mod turn;
mod worker;

#[cfg(all(unix, feature = "sqlite"))]
pub use allocation::OpenAllocationsError;
pub use builder::{RuntimeBuildError, RuntimeBuilder};
pub use confinement::{AllowedPaths, Confinement, Enforcement};
pub use engine::{
    CompileError, Compiler, ComponentKind, Import, InspectError, Inspection, Takes, compile_helper,
    inspect_component,
};
pub use error_chain::error_chain;
pub use events::{Events, Feed};
pub use exec::{CommandRequest, Exec, ExecError};
pub use grants::Root;
#[cfg(target_os = "linux")]
pub use launcher::{Launcher, StartLauncherError, serve_launcher};
pub use runtime::{Runtime, RuntimeLoad};
pub use sandbox::CommandEnd;
pub use shell::{RunningScript, Script, ScriptEnd, ScriptPiece, Shell, ShellError, ShellSession};
pub use store::Store;
#[cfg(feature = "sqlite")]
pub use store::sqlite::{
    BackupProgress, BackupStoreError, CheckProgress, Damage, DamagedPart, OpenStoreError,
    ReadStoreError, StoreCheck, WorkerCheck,
};
pub use worker_types;
