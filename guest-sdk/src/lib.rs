//! Write yoi Workers in Rust: implement [`Worker`], name it in [`worker!`], and build a `cdylib` for
//! `wasm32-wasip2`.
//!
//! ```
//! use worker_guest::{Failure, Request, Turn, Worker, testing::TestTurn, worker};
//!
//! /// Answers with a model, and counts the questions.
//! struct Companion;
//!
//! worker!(Companion);
//!
//! impl Worker for Companion {
//!     fn run(turn: Turn) -> Result<(), Failure> {
//!         let asked: u64 = turn.state_get("asked")?.map_or(Ok(0), |count| count.parse())?;
//!         turn.state_set("asked", &(asked + 1).to_string())?;
//!
//!         // The host records the answer as it comes: there is nothing to say here.
//!         for event in turn.complete(Request::history("default").system("Be brief."))? {
//!             event?;
//!         }
//!         Ok(())
//!     }
//! }
//!
//! // The test needs no component and no model: natively, a Worker runs on a scripted host.
//! let outcome = TestTurn::text("hello")
//!     .grant("llm")
//!     .state("asked", "1")
//!     .model_says(["Good ", "morning."])
//!     .run::<Companion>();
//! assert_eq!(outcome.result, Ok(()));
//! assert_eq!(outcome.answers[0].text, "Good morning.");
//! assert_eq!(outcome.state["asked"], "2");
//! ```
//!
//! [`shell`] runs scripts on the Worker's directories. With the feature `tools` there is a module
//! `tools` with what a model needs to work on files, and a toolbox that takes an author's own tools; and a
//! module `agent` with the loop in which a model works with them.
//!
//! The author's crate says `crate-type = ["cdylib"]` in `[lib]`, and
//! `cargo build --release --target wasm32-wasip2` writes the component.

#[cfg(feature = "tools")]
pub mod agent;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod bindings;
mod config;
mod error;
mod host;
mod message;
mod model;
pub mod shell;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
#[cfg(feature = "tools")]
pub mod tools;
mod turn;

pub use config::{ConfigValue, FromConfig};
pub use error::{ConfigError, Error, Failure, LlmError};
pub use message::{
    AssistantMessage, Entry, HistoryPage, Image, Message, Part, ToolRequest, ToolResponse,
};
pub use model::{
    Completion, CompletionEvent, Context, FinishReason, Request, ToolRequestPiece, ToolSchema,
    Usage,
};
pub use turn::{ToolCall, Turn, Utterance};

/// The logic of a Worker.
pub trait Worker {
    /// Runs one turn in a fresh instance: nothing in memory outlives it.
    fn run(turn: Turn) -> Result<(), Failure>;
}

/// Makes a [`Worker`] the one that this component runs. Natively it only checks the type.
#[cfg(not(target_arch = "wasm32"))]
#[macro_export]
macro_rules! worker {
    ($worker:ty) => {
        const _: fn($crate::Turn) -> ::core::result::Result<(), $crate::Failure> =
            <$worker as $crate::Worker>::run;
    };
}

/// Makes a [`Worker`] the one that this component runs. Natively it only checks the type.
#[cfg(target_arch = "wasm32")]
#[macro_export]
macro_rules! worker {
    ($worker:ty) => {
        const _: () = {
            type Export = $crate::Export<$worker>;
    $crate::bindings::__export_worker!(Export with_types_in $crate::bindings);
        };
    };
}

/// What [`worker!`] exports in place of the Worker, whose trait knows nothing of the contract.
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
#[derive(Debug)]
pub struct Export<W>(core::marker::PhantomData<W>);

#[cfg(target_arch = "wasm32")]
impl<W: Worker> bindings::exports::yoi::worker::worker::Guest for Export<W> {
    fn run() -> Result<(), bindings::exports::yoi::worker::worker::Failure> {
        W::run(Turn::new()).map_err(|failure| bindings::exports::yoi::worker::worker::Failure {
            message: failure.message().to_owned(),
        })
    }
}
