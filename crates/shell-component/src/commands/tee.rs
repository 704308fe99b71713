//! `tee`.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use super::options::{Argument, Line, Options, Value};
use crate::{
    command::{Command, Invocation, Pending, is_descriptor},
    engine::{is_fatal, reason},
};

const OPTIONS: &Options = &[
    ('a', "append", Value::None),
    ('i', "ignore-interrupts", Value::None),
    ('p', "p", Value::None),
    ('\u{10}', "output-error", Value::Optional),
];

/// Writes its input to files and on.
#[derive(Debug)]
pub(super) struct Tee;

impl Command for Tee {
    fn run<'a>(&'a self, mut call: Invocation<'a>) -> Pending<'a, io::Result<u8>> {
        Box::pin(async move {
            let parsed = match call.line(OPTIONS, 1).await? {
                Line::Run(parsed) => parsed,
                Line::Done(code) => return Ok(code),
            };
            let append = parsed.contains(&Argument::Option('a', None));
            let mut code = 0;
            let mut targets = Vec::new();
            for argument in parsed {
                let Argument::Operand(name) = argument else { continue };
                let path = call.path(name);
                let target = match name {
                    "/dev/stdout" | "/dev/fd/1" => Ok(Target::Output),
                    "/dev/stderr" | "/dev/fd/2" => Ok(Target::Errors),
                    _ if is_descriptor(&path) => Ok(Target::Descriptor(path)),
                    _ => call.world.create(&path, append).map(Target::File),
                };
                match target {
                    Ok(target) => targets.push((name, target)),
                    Err(error) => {
                        call.complain(format!("{name}: {}", reason(&error))).await?;
                        code = 1;
                    }
                }
            }
            let mut to_output = true;
            loop {
                let chunk = call.input.chunk().await?;
                if chunk.is_empty() {
                    break;
                }
                let mut index = 0;
                while let Some((name, target)) = targets.get_mut(index) {
                    match target.write(&mut call, &chunk).await {
                        Ok(()) => index += 1,
                        Err(error) if is_fatal(&error) => return Err(error),
                        Err(error) => {
                            call.complain(format!("{name}: {}", reason(&error))).await?;
                            targets.remove(index);
                            code = 1;
                        }
                    }
                }
                if to_output {
                    match call.output.write(&chunk).await {
                        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                            if targets.is_empty() {
                                return Err(error);
                            }
                            to_output = false;
                        }
                        result => result?,
                    }
                }
            }
            Ok(code)
        })
    }
}

/// Where the input goes besides standard output.
enum Target {
    File(Box<dyn Write + Send>),
    Descriptor(PathBuf),
    Output,
    Errors,
}

impl Target {
    async fn write(&mut self, call: &mut Invocation<'_>, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::File(file) => {
                file.write_all(bytes)?;
                file.flush()
            }
            Self::Descriptor(path) => call.descriptors.append(path, bytes).await,
            Self::Output => call.output.write(bytes).await,
            Self::Errors => call.errors.write(bytes).await,
        }
    }
}
