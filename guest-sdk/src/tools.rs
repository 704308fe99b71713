//! Tools for models, and for whoever else wants files read, found and changed: `read`, `write`,
//! `edit`, `glob`, `grep` and `shell`. With the feature `tools`.
//!
//! Every tool has a [`ToolSchema`], takes its arguments as JSON text, and answers
//! with bounded text that says what it left out and how to get the rest. Errors are written for a
//! model: they name what is wrong and what would be right. The tools on files are types of their
//! own that any guest can use without a model; they see the Worker's directories and nothing else.
//! A [`Toolbox`] puts tools together, the author's own among them:
//!
//! ```
//! use worker_guest::{
//!     Failure, ToolSchema, Turn, Worker, testing::TestTurn, tools::Toolbox, worker,
//! };
//!
//! struct Helper;
//!
//! worker!(Helper);
//!
//! impl Worker for Helper {
//!     fn run(turn: Turn) -> Result<(), Failure> {
//!         let mut toolbox = Toolbox::new("/workspace").files().shell().tool(
//!             ToolSchema::new(
//!                 "double",
//!                 "Doubles a whole number.",
//!                 r#"{"type":"object","properties":{"number":{"type":"integer"}},"required":["number"]}"#,
//!             ),
//!             |call| Ok(format!("{}", call.arguments.whole_number("number")? * 2)),
//!         );
//!         // A model would be shown `toolbox.schemas()`, and its requests go to `toolbox.answer`.
//!         let result = toolbox.call(&turn, "double", r#"{"number": 21}"#)?;
//!         Ok(turn.say(&result.text)?)
//!     }
//! }
//!
//! let outcome = TestTurn::text("").run::<Helper>();
//! assert_eq!(outcome.said, ["42"]);
//! assert_eq!(outcome.tool_calls[0].result, Some(Ok("42".to_owned())));
//! ```

mod arguments;
mod edit;
mod error;
mod files;
mod glob;
mod grep;
mod mismatch;
mod read;
mod shell;
mod text;
mod toolbox;
mod walk;
mod write;

pub use arguments::{ArgumentError, Arguments};
pub use edit::Edit;
pub use error::ToolError;
pub use files::Folder;
pub use glob::Glob;
pub use grep::{Grep, GrepMode};
pub use read::Read;
pub use shell::RunScript;
pub use toolbox::{Call, ToolResult, Toolbox};
pub use write::Write;

use crate::ToolSchema;

/// A tool that works on files.
pub trait FileTool: Sized {
    /// What a model calls it.
    const NAME: &'static str;

    /// What a model is told of it.
    fn schema() -> ToolSchema;

    /// Reads its arguments. Fails with what a model has to mend.
    fn from_arguments(arguments: &Arguments) -> Result<Self, ArgumentError>;

    /// Does it. Paths that are not absolute begin at `folder`.
    fn run(&self, folder: &Folder) -> Result<String, ToolError>;
}
