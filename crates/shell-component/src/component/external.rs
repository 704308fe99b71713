//! Commands that are components of their own: the host runs them, and this is what flows between them and
//! the script.

use std::{io, sync::Arc};

use super::bindings::yoi::shell::commands::{self, Piece, Running};
use crate::{
    command::{Command, Input, Invocation, Pending},
    reactor,
};

/// A command that there is, but that cannot be run.
const CANNOT_RUN: u8 = 126;

/// All that the host has, by name.
pub(super) fn all() -> impl Iterator<Item = (String, Arc<dyn Command>)> {
    let command = || -> Arc<dyn Command> { Arc::new(External) };
    commands::names().into_iter().map(move |name| (name, command()))
}

struct External;

impl Command for External {
    fn run<'a>(&'a self, mut invocation: Invocation<'a>) -> Pending<'a, io::Result<u8>> {
        Box::pin(async move {
            let environment = invocation.environment.iter();
            let started = commands::start(&commands::Invocation {
                name: invocation.name.to_owned(),
                arguments: invocation.arguments.to_vec(),
                environment: environment
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect(),
                directory: invocation.directory.to_string_lossy().into_owned(),
            });
            match started {
                Ok(running) => attend(&running, &mut invocation).await,
                Err(reason) => {
                    invocation.complain(reason).await?;
                    Ok(CANNOT_RUN)
                }
            }
        })
    }
}

/// Gives the command what it wants to read and takes what it writes, until its end. Dropping the future
/// ends the command, with the pipeline that it is a part of.
async fn attend(running: &Running, invocation: &mut Invocation<'_>) -> io::Result<u8> {
    let mut input = invocation.take_input();
    let mut fed = false;
    loop {
        tokio::select! {
            biased;
            () = reactor::ready(running.subscribe()) => {}
            result = feed(running, &mut input), if !fed => {
                fed = true;
                result?;
                continue;
            }
        }
        while let Some(piece) = running.next() {
            match piece {
                Piece::Stdout(bytes) => invocation.output.write(&bytes).await?,
                Piece::Stderr(bytes) => invocation.errors.write(&bytes).await?,
                Piece::Ended(code) => return Ok(code),
            }
        }
    }
}

/// Gives the command its input as it asks for it: what it does not read is left to who reads next. It may
/// be dropped while it waits, and begun again.
async fn feed(running: &Running, input: &mut Input) -> io::Result<()> {
    loop {
        reactor::ready(running.subscribe_write()).await;
        let chunk = input.chunk().await?;
        if chunk.is_empty() {
            running.close_stdin();
            return Ok(());
        }
        match running.write(&chunk) {
            Some(taken) => {
                let rest = usize::try_from(taken).unwrap_or(usize::MAX).min(chunk.len());
                input.put_back(&chunk[rest..]);
            }
            None => {
                input.put_back(&chunk);
                return Ok(());
            }
        }
    }
}
