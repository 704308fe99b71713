//! The world `shell`, as the host sees this crate.

use std::{
    io::{self, Write},
    sync::Arc,
};

use wasip2::io::streams::{InputStream, StreamError};

use crate::{
    bindings::exports::yoi::shell::interpreter,
    command::{Pending, Source},
    commands,
    engine::{self, Ending, Script, Sink, Streams},
    external,
    filesystem::World,
    reactor,
};

/// What this crate exports.
pub(crate) struct Shell;

impl interpreter::Guest for Shell {
    fn run(script: interpreter::Script) -> Result<interpreter::Ending, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .on_thread_park(reactor::park)
            .build()
            .map_err(|error| format!("cannot start: {error}"))?;
        let script = Script {
            text: script.text,
            name: script.name,
            arguments: script.arguments,
            environment: script.environment,
            directory: script.directory,
            state: script.state,
        };
        let streams = Streams {
            input: Box::new(StandardInput(None)),
            output: sink(io::stdout()),
            errors: sink(io::stderr()),
        };
        let world = Arc::new(World::preopened());
        // The host's come last, and so first: it may have better ones than these.
        let commands = commands::all().into_iter().chain(external::all()).collect();
        let ending = runtime.block_on(engine::run(script, world, commands, streams));
        let Ending { code, exited, directory, state } = ending.map_err(|error| chain(&error))?;
        Ok(interpreter::Ending { code, exited, directory, state })
    }
}

/// The whole of an error in one line: the host shows what it is told.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

fn sink(mut stream: impl Write + Send + 'static) -> Sink {
    Box::new(move |bytes| {
        stream.write_all(bytes)?;
        stream.flush()
    })
}

/// Opened when it is first read: a script that reads nothing takes nothing from the host.
struct StandardInput(Option<InputStream>);

/// As much as is read at once.
const CHUNK: u64 = 64 * 1024;

impl Source for StandardInput {
    fn read(&mut self) -> Pending<'_, io::Result<Vec<u8>>> {
        Box::pin(async move {
            let stream = self.0.get_or_insert_with(wasip2::cli::stdin::get_stdin);
            loop {
                match stream.read(CHUNK) {
                    Ok(bytes) if bytes.is_empty() => reactor::ready(stream.subscribe()).await,
                    Ok(bytes) => return Ok(bytes),
                    Err(StreamError::Closed) => return Ok(Vec::new()),
                    Err(StreamError::LastOperationFailed(error)) => {
                        return Err(io::Error::other(error.to_debug_string()));
                    }
                }
            }
        })
    }
}
