//! Commands that the engine puts into scripts itself.

use std::sync::{Arc, Mutex, PoisonError};

use bashkit::{
    Builtin, BuiltinContext, BuiltinRegistry, ExecResult, ExecutionPlan, Result, SubCommand,
    async_trait,
};

/// In front of their names, which nobody else has.
const MARK: &str = "\u{2060}\u{2060}\u{2060}\u{2060}";

const STATUS: &str = "\u{2060}\u{2060}\u{2060}\u{2060}status";
const END: &str = "\u{2060}\u{2060}\u{2060}\u{2060}end";

/// Whether the script's end was reached, and with which code.
#[derive(Debug, Clone, Default)]
pub(super) struct Reached(Arc<Mutex<Option<u8>>>);

impl Reached {
    pub(super) fn code(&self) -> Option<u8> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Registers them; what it returns tells whether the script said `exit`.
pub(super) fn register(registry: &BuiltinRegistry) -> Reached {
    let reached = Reached::default();
    registry.insert(STATUS, Arc::new(Status(None)));
    registry.insert(END, Arc::new(Status(Some(reached.clone()))));
    reached
}

/// Does nothing but end with a code.
pub(super) fn plan_status(code: u8) -> ExecutionPlan {
    let command = SubCommand {
        name: STATUS.to_owned(),
        args: vec![code.to_string()],
        stdin: None,
        assignments: Vec::new(),
    };
    ExecutionPlan::Batch { commands: vec![command] }
}

/// A command line that ends with a code.
pub(super) fn status_line(code: i32) -> String {
    format!("{STATUS} {code}; ")
}

/// A command line that notes that the script reached it.
pub(super) fn end_line() -> String {
    format!("\n{END} $?")
}

/// The name of that command.
pub(super) fn is_end(name: &str) -> bool {
    name == END
}

/// Removes what `set -x` says about these commands.
pub(super) fn remove_traces(text: Vec<u8>) -> Vec<u8> {
    if memchr::memmem::find(&text, MARK.as_bytes()).is_none() {
        return text;
    }
    text.split_inclusive(|byte| *byte == b'\n')
        .filter(|line| memchr::memmem::find(line, MARK.as_bytes()).is_none())
        .flatten()
        .copied()
        .collect()
}

struct Status(Option<Reached>);

#[async_trait]
impl Builtin for Status {
    async fn execute(&self, context: BuiltinContext<'_>) -> Result<ExecResult> {
        let code: i32 = context.args.first().and_then(|code| code.parse().ok()).unwrap_or(0);
        if let Some(reached) = &self.0 {
            *reached.0.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(u8::try_from(code & 0xff).unwrap_or(0));
        }
        Ok(ExecResult::with_code("", code))
    }
}
