//! A session of a person: a prompt with history and completion. Ctrl-C ends a command, and Ctrl-D the
//! session.

mod completion;
mod syntax;

use std::{
    borrow::Cow,
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use anyhow::Context as _;
use reedline::{
    ColumnarMenu, Emacs, FileBackedHistory, KeyCode, KeyModifiers, MenuBuilder as _, Prompt,
    PromptEditMode, PromptHistorySearch, PromptHistorySearchStatus, Reedline, ReedlineEvent,
    ReedlineMenu, Signal, ValidationResult, Validator, default_emacs_keybindings,
};
use tokio::{
    runtime::Handle,
    signal::unix::{SignalKind, signal},
};
use tokio_util::task::AbortOnDropHandle;
use worker_runtime::{Script, ShellSession};

use self::{completion::ShellCompleter, syntax::is_complete};
use crate::{
    commands::shell::script::{self, ScriptExit},
    data_dir::state_dir,
    output::Output,
    signals::EndSignals,
};

/// What shells give to a command that SIGINT ended.
const INTERRUPTED: u8 = 130;

/// Lines of history that are kept.
const HISTORY: usize = 10_000;

const MENU: &str = "completions";

/// Reads lines and runs them, until somebody leaves.
pub(super) async fn run(
    session: &Arc<ShellSession>,
    signals: &mut EndSignals,
    output: Output,
) -> anyhow::Result<ScriptExit> {
    let terminated = Terminated::listen()?;
    let mut editor = editor(session, &terminated)?;
    let mut code = 0;
    // As bash has it where somebody types.
    let aliases = Script { text: "shopt -s expand_aliases".to_owned(), ..Script::default() };
    script::run(session, aliases, signals, output).await?;
    loop {
        let prompt = ShellPrompt { directory: session.directory(), code };
        let line = tokio::task::block_in_place(|| editor.read_line(&prompt));
        match line.context("failed to read a line from the terminal")? {
            Signal::Success(line) if line.trim().is_empty() => {}
            Signal::Success(text) => {
                let script = Script { text, ..Script::default() };
                // One that came late was for what ran before.
                signals.forget_interrupts();
                match script::run(session, script, signals, output).await? {
                    left @ ScriptExit::Code { said_exit: true, .. } => return Ok(left),
                    ScriptExit::Code { code: last, said_exit: false } => code = last,
                    ScriptExit::Interrupted if terminated.is_set() => {
                        return Ok(ScriptExit::Interrupted);
                    }
                    ScriptExit::Interrupted => {
                        output.note("");
                        code = INTERRUPTED;
                    }
                }
            }
            Signal::CtrlC => code = INTERRUPTED,
            Signal::ExternalBreak(_) => return Ok(ScriptExit::Interrupted),
            _ => return Ok(ScriptExit::Code { code, said_exit: true }),
        }
    }
}

/// Whether this process was told to end: at a prompt, nobody waits for a signal.
struct Terminated {
    flag: Arc<AtomicBool>,
    _listening: AbortOnDropHandle<()>,
}

impl Terminated {
    fn listen() -> io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let flag = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&flag);
        let listening = Handle::current().spawn(async move {
            terminate.recv().await;
            told.store(true, Relaxed);
        });
        Ok(Self { flag, _listening: AbortOnDropHandle::new(listening) })
    }

    fn is_set(&self) -> bool {
        self.flag.load(Relaxed)
    }
}

fn editor(session: &Arc<ShellSession>, terminated: &Terminated) -> anyhow::Result<Reedline> {
    let mut keys = default_emacs_keybindings();
    let complete = ReedlineEvent::UntilFound(vec![
        ReedlineEvent::Menu(MENU.to_owned()),
        ReedlineEvent::MenuNext,
    ]);
    keys.add_binding(KeyModifiers::NONE, KeyCode::Tab, complete);
    keys.add_binding(KeyModifiers::SHIFT, KeyCode::BackTab, ReedlineEvent::MenuPrevious);
    let menu = Box::new(ColumnarMenu::default().with_name(MENU));
    let editor = Reedline::create()
        .with_edit_mode(Box::new(Emacs::new(keys)))
        .with_completer(Box::new(ShellCompleter::new(Arc::clone(session), Handle::current())))
        .with_menu(ReedlineMenu::EngineCompleter(menu))
        .with_quick_completions(true)
        .with_partial_completions(true)
        .with_validator(Box::new(WholeCommands))
        .with_history_exclusion_prefix(Some(" ".to_owned()))
        .with_ansi_colors(std::env::var_os("NO_COLOR").is_none())
        .with_break_signal(Arc::clone(&terminated.flag));
    let history = match history_file() {
        Some(file) => FileBackedHistory::with_file(HISTORY, file),
        None => FileBackedHistory::new(HISTORY),
    };
    Ok(editor.with_history(Box::new(history.context("failed to read the history")?)))
}

/// Where lines are kept, for this user alone: people type secrets.
fn history_file() -> Option<PathBuf> {
    let dir = state_dir()?;
    std::fs::create_dir_all(&dir).ok()?;
    let file = dir.join("shell-history");
    OpenOptions::new().append(true).create(true).mode(0o600).open(&file).ok()?;
    Some(file)
}

/// A line is a command once it is one: until then, Enter goes on in the next line.
struct WholeCommands;

impl Validator for WholeCommands {
    fn validate(&self, line: &str) -> ValidationResult {
        if is_complete(line) { ValidationResult::Complete } else { ValidationResult::Incomplete }
    }
}

/// Where the session is, and how the command before ended.
struct ShellPrompt {
    directory: String,
    code: u8,
}

impl Prompt for ShellPrompt {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        format!("yoi:{}", self.directory).into()
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        match self.code {
            0 => "".into(),
            code => format!("[{code}]").into(),
        }
    }

    fn render_prompt_indicator(&self, _: PromptEditMode) -> Cow<'_, str> {
        "$ ".into()
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        "> ".into()
    }

    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        let failing = match search.status {
            PromptHistorySearchStatus::Passing => "",
            PromptHistorySearchStatus::Failing => "failing ",
        };
        format!("({failing}reverse search: {}) ", search.term).into()
    }
}
