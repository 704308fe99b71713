//! Tools put together.

use std::fmt;

use super::{
    Arguments, Edit, FileTool, Folder, Glob, Grep, Read, RunScript, ToolError, Write,
    shell::LazyShell, text::cut,
};
use crate::{Error, Failure, ToolCall, ToolRequest, ToolSchema, Turn};

/// Bytes of a result, from an author's own tool as well. An item of the log has 1 MiB, and no model
/// makes use of more than this.
const MAX_RESULT_BYTES: usize = 256 << 10;

/// Tools that a model may be offered: built-in ones, and the author's own.
///
/// Of two tools with one name the later one counts.
#[derive(Debug)]
pub struct Toolbox {
    folder: Folder,
    tools: Vec<Tool>,
    shell: LazyShell,
}

/// A call of an author's tool.
#[derive(Debug)]
pub struct Call<'call> {
    /// The turn that it is made in.
    pub turn: &'call Turn,
    /// The directory that paths begin at.
    pub folder: &'call Folder,
    /// What the tool was given.
    pub arguments: &'call Arguments,
}

/// What a tool answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolResult {
    /// The answer, or why there is none. At most 256 KiB; a longer one says that it was cut.
    pub text: String,
    /// Whether the tool failed.
    pub is_error: bool,
}

struct Tool {
    schema: ToolSchema,
    run: Run,
}

type FileRun = fn(&Arguments, &Folder) -> Result<String, ToolError>;
type OwnRun = dyn FnMut(&Call<'_>) -> Result<String, Failure>;

enum Run {
    File(FileRun),
    Shell,
    Own(Box<OwnRun>),
}

impl fmt::Debug for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tool").field("name", &self.schema.name).finish_non_exhaustive()
    }
}

impl Toolbox {
    /// No tools yet. `directory` is where relative paths begin, absolute: the guest path of a
    /// granted directory, such as `/workspace`.
    #[must_use]
    pub fn new(directory: impl Into<std::path::PathBuf>) -> Self {
        Self { folder: Folder::new(directory), tools: Vec::new(), shell: LazyShell::default() }
    }

    /// With `read`, `write`, `edit`, `glob` and `grep`.
    #[must_use]
    pub fn files(self) -> Self {
        self.reading().file_tool::<Write>().file_tool::<Edit>()
    }

    /// With `read`, `glob` and `grep`, which change nothing.
    #[must_use]
    pub fn reading(self) -> Self {
        self.file_tool::<Read>().file_tool::<Glob>().file_tool::<Grep>()
    }

    /// With one tool on files.
    #[must_use]
    pub fn file_tool<T: FileTool>(self) -> Self {
        self.with(
            T::schema(),
            Run::File(|arguments, folder| T::from_arguments(arguments)?.run(folder)),
        )
    }

    /// With `shell`. All scripts run in one session, which opens with the first of them and begins
    /// in the toolbox's directory. Without the grant `shell` every call is answered so.
    #[must_use]
    pub fn shell(self) -> Self {
        self.with(RunScript::schema(), Run::Shell)
    }

    /// With a tool of the author's own. Any error in `run` is a result that says so, with its
    /// sources; the turn goes on.
    #[must_use]
    pub fn tool(
        self,
        schema: ToolSchema,
        run: impl FnMut(&Call<'_>) -> Result<String, Failure> + 'static,
    ) -> Self {
        self.with(schema, Run::Own(Box::new(run)))
    }

    fn with(mut self, schema: ToolSchema, run: Run) -> Self {
        self.tools.retain(|tool| tool.schema.name != schema.name);
        self.tools.push(Tool { schema, run });
        self
    }

    /// The tools as a model is told of them, in the order in which they were put in.
    #[must_use]
    pub fn schemas(&self) -> Vec<ToolSchema> {
        self.tools.iter().map(|tool| tool.schema.clone()).collect()
    }

    /// Runs a tool that a model asked for, and records its result. The host recorded the request
    /// when the model's answer finished. Fails if the host refuses that; that the tool failed is a
    /// result.
    pub fn answer(&mut self, turn: &Turn, request: &ToolRequest) -> Result<ToolResult, Error> {
        let call = turn.take_tool(&request.call_id)?;
        self.finish(turn, call, &request.name, &request.arguments)
    }

    /// Runs a tool that the Worker itself wants, and records the call before it and the result
    /// after it. Fails if the host refuses that; that the tool failed is a result.
    pub fn call(&mut self, turn: &Turn, name: &str, arguments: &str) -> Result<ToolResult, Error> {
        let call = turn.begin_tool(name, arguments)?;
        self.finish(turn, call, name, arguments)
    }

    fn finish(
        &mut self,
        turn: &Turn,
        call: ToolCall,
        name: &str,
        arguments: &str,
    ) -> Result<ToolResult, Error> {
        let result = self.run(turn, name, arguments);
        let text = result.text.as_str();
        call.end(if result.is_error { Err(text) } else { Ok(text) })?;
        Ok(result)
    }

    /// Runs a tool and records nothing. For a tool that is a part of another one.
    pub fn run(&mut self, turn: &Turn, name: &str, arguments: &str) -> ToolResult {
        let (text, is_error) = match self.try_run(turn, name, arguments) {
            Ok(text) => (text, false),
            Err(failure) => (failure.message().to_owned(), true),
        };
        ToolResult { text: bounded(text), is_error }
    }

    fn try_run(&mut self, turn: &Turn, name: &str, arguments: &str) -> Result<String, Failure> {
        let Some(index) = self.tools.iter().position(|tool| tool.schema.name == name) else {
            return Err(self.unknown(name));
        };
        let arguments = Arguments::parse(arguments).map_err(ToolError::from)?;
        let Self { folder, tools, shell } = self;
        match &mut tools[index].run {
            Run::File(run) => Ok(run(&arguments, folder)?),
            Run::Shell => {
                let script = RunScript::from_arguments(&arguments).map_err(ToolError::from)?;
                Ok(shell.run(turn, &folder.path().to_string_lossy(), script)?)
            }
            Run::Own(run) => run(&Call { turn, folder, arguments: &arguments }),
        }
    }

    fn unknown(&self, name: &str) -> Failure {
        let names: Vec<&str> = self.tools.iter().map(|tool| tool.schema.name.as_str()).collect();
        Failure::new(format!("there is no tool `{name}`; the tools are `{}`", names.join("`, `")))
    }
}

fn bounded(text: String) -> String {
    let (shown, more) = cut(&text, MAX_RESULT_BYTES);
    if more == 0 {
        return text;
    }
    format!("{shown}\n[{more} more bytes are cut]")
}
