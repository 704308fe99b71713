//! A session: what bash keeps between one script and the next.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{Script, ScriptEnd, bindings::exports::yoi::shell::interpreter};

/// `$0` of a script without a name.
const NAME: &str = "bash";

/// Another script of the session runs.
#[derive(Debug, thiserror::Error)]
#[error("another script of this session runs: wait for its end, or open another session")]
pub(crate) struct SessionBusy;

/// Scripts that run after each other. Clones are the same session.
#[derive(Debug, Clone)]
pub(crate) struct Session(Arc<Mutex<SessionState>>);

#[derive(Debug)]
struct SessionState {
    /// What the last script that ended by itself left.
    saved: Option<Bytes>,
    /// Variables of the first script.
    environment: Vec<(String, String)>,
    directory: String,
    busy: bool,
}

impl Session {
    /// A session that begins in `directory`, with these variables.
    pub(crate) fn new(directory: String, environment: Vec<(String, String)>) -> Self {
        let state = SessionState { saved: None, environment, directory, busy: false };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Where the next script begins.
    pub(crate) fn directory(&self) -> String {
        self.lock().directory.clone()
    }

    /// Another session that begins as this one is now.
    pub(super) fn fork(&self) -> Self {
        let SessionState { saved, environment, directory, busy: _ } = &*self.lock();
        let (saved, environment) = (saved.clone(), environment.clone());
        let state = SessionState { saved, environment, directory: directory.clone(), busy: false };
        Self(Arc::new(Mutex::new(state)))
    }

    /// The right to run a script.
    pub(super) fn lease(&self) -> Result<Lease, SessionBusy> {
        match std::mem::replace(&mut self.lock().busy, true) {
            false => Ok(Lease(self.clone())),
            true => Err(SessionBusy),
        }
    }

    fn lock(&self) -> MutexGuard<'_, SessionState> {
        // Nothing panics between a lock and the end of its change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to run a script of a session, until it is dropped.
#[derive(Debug)]
pub(super) struct Lease(Session);

impl Lease {
    /// The script as the shell component takes it.
    pub(super) fn script(&self, script: Script) -> interpreter::Script {
        let Script { text, name, arguments, environment, directory, timeout: _ } = script;
        let state = self.0.lock();
        // What was saved has them already, as the scripts since then left them.
        let first = state.environment.iter().filter(|_| state.saved.is_none()).cloned();
        interpreter::Script {
            text,
            name: if name.is_empty() { NAME.to_owned() } else { name },
            arguments,
            environment: first.chain(environment).collect(),
            directory: Some(directory.unwrap_or_else(|| state.directory.clone())),
            state: state.saved.as_ref().map(|saved| saved.to_vec()),
        }
    }

    /// Keeps what a script left that ended by itself.
    pub(super) fn keep(&self, ending: interpreter::Ending) -> ScriptEnd {
        let interpreter::Ending { code, exited, directory, state } = ending;
        let mut kept = self.0.lock();
        if let Some(state) = state {
            kept.saved = Some(state.into());
            kept.directory = directory;
        }
        ScriptEnd::Exited { code, said_exit: exited }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.lock().busy = false;
    }
}
