//! Commands that are components of their own, which the host runs.

use std::{io, sync::Arc};

use crate::{
    bindings::yoi::shell::commands::{self, Invocation as Start, Piece, Running},
    command::{Command, Input, Invocation, Output, Pending},
    reactor::ready,
};

/// A name that the host runs.
struct External;

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = (String, Arc<dyn Command>)> {
    commands::names().into_iter().map(|name| (name, Arc::new(External) as Arc<dyn Command>))
}

impl Command for External {
    fn run<'a>(&'a self, mut call: Invocation<'a>) -> Pending<'a, io::Result<u8>> {
        Box::pin(async move {
            let start = Start {
                name: call.name.to_owned(),
                arguments: call.arguments.to_vec(),
                environment: call
                    .environment
                    .iter()
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect(),
                directory: call.directory.to_string_lossy().into_owned(),
            };
            let running = match commands::start(&start) {
                Ok(running) => running,
                Err(message) => {
                    call.complain(message).await?;
                    return Ok(126);
                }
            };
            // Dropped with this future, it ends: when the pipeline is cancelled, or nobody reads.
            let mut input = call.take_input();
            tokio::select! {
                biased;
                code = listen(&running, &mut call.output, &mut call.errors) => code,
                error = feed(&running, &mut input) => Err(error),
            }
        })
    }
}

/// Passes on what the command writes, until it ends.
async fn listen(running: &Running, output: &mut Output, errors: &mut Output) -> io::Result<u8> {
    loop {
        match running.next() {
            Some(Piece::Stdout(bytes)) => output.write(&bytes).await?,
            Some(Piece::Stderr(bytes)) => errors.write(&bytes).await?,
            Some(Piece::Ended(code)) => return Ok(code),
            None => ready(running.subscribe()).await,
        }
    }
}

/// Gives the command what it can take. Only an error ends this.
async fn feed(running: &Running, input: &mut Input) -> io::Error {
    loop {
        // First, so that nothing is taken from the input for a command that takes nothing.
        ready(running.subscribe_write()).await;
        let chunk = match input.chunk().await {
            Ok(chunk) => chunk,
            Err(error) => return error,
        };
        if chunk.is_empty() {
            running.close_stdin();
            return std::future::pending().await;
        }
        let Some(taken) = running.write(&chunk) else {
            input.put_back(&chunk);
            return std::future::pending().await;
        };
        // Back, before anything is waited for: when the command ends, the rest is for the next one.
        let taken = usize::try_from(taken).unwrap_or(usize::MAX).min(chunk.len());
        input.put_back(&chunk[taken..]);
        if taken == 0 {
            // A host that is ready and takes nothing must not keep the others from running.
            tokio::task::yield_now().await;
        }
    }
}
