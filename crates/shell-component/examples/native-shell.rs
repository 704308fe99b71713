//! Runs a script in this crate's shell, natively: `native-shell -c SCRIPT [NAME ARGUMENT…]`.
//!
//! For the comparison with bash and for measurements. The script sees the current directory and
//! `/tmp`; nothing confines it, so it is no tool for scripts that one does not trust.

use std::{
    env,
    io::{self, Read, Write},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    thread,
};

use shell_component::{
    command::{Pending, Source},
    commands,
    engine::{self, Script, Sink, Streams},
    filesystem::World,
};
use tokio::sync::mpsc;

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let (Some("-c"), Some(text)) = (arguments.next().as_deref(), arguments.next()) else {
        let _ = writeln!(io::stderr(), "usage: native-shell -c SCRIPT [NAME ARGUMENT...]");
        return ExitCode::from(2);
    };
    match run(text, arguments.next(), arguments.collect()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let _ = writeln!(io::stderr(), "native-shell: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(
    text: String,
    name: Option<String>,
    arguments: Vec<String>,
) -> Result<u8, Box<dyn std::error::Error>> {
    let directory = env::current_dir()?;
    let script = Script {
        text,
        name: name.unwrap_or_else(|| "bash".to_owned()),
        arguments,
        environment: env::vars().collect(),
        directory: Some(directory.to_string_lossy().into_owned()),
        state: None,
    };
    let streams = Streams {
        input: Box::new(StandardInput(None)),
        output: sink(io::stdout()),
        errors: sink(io::stderr()),
    };
    let world = Arc::new(World::new([directory, PathBuf::from("/tmp")]));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let ending = runtime.block_on(engine::run(script, world, commands::all(), streams))?;
    // A thread may still wait for standard input.
    runtime.shutdown_background();
    Ok(ending.code)
}

fn sink(mut stream: impl Write + Send + 'static) -> Sink {
    Box::new(move |bytes| {
        stream.write_all(bytes)?;
        stream.flush()
    })
}

/// A thread reads, from the first time on that somebody wants it.
struct StandardInput(Option<mpsc::Receiver<io::Result<Vec<u8>>>>);

impl Source for StandardInput {
    fn read(&mut self) -> Pending<'_, io::Result<Vec<u8>>> {
        Box::pin(async move {
            let chunks = self.0.get_or_insert_with(|| {
                let (sender, receiver) = mpsc::channel(1);
                thread::spawn(move || {
                    let mut block = vec![0; 64 * 1024];
                    loop {
                        let read =
                            io::stdin().read(&mut block).map(|length| block[..length].to_vec());
                        let ended = !matches!(&read, Ok(bytes) if !bytes.is_empty());
                        if sender.blocking_send(read).is_err() || ended {
                            break;
                        }
                    }
                });
                receiver
            });
            chunks.recv().await.unwrap_or_else(|| Ok(Vec::new()))
        })
    }
}
