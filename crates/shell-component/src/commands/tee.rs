//! `tee`.

use std::io::{self, Write};

use super::options::{Argument, Line, Options, Value};
use crate::{
    command::{Command, Invocation, Pending},
    engine::reason,
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
            let mut files = Vec::new();
            for argument in parsed {
                let Argument::Operand(name) = argument else { continue };
                match call.world.create(&call.path(name), append) {
                    Ok(file) => files.push((name, file)),
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
                let mut failed = Vec::new();
                for (index, (name, file)) in files.iter_mut().enumerate() {
                    if let Err(error) = file.write_all(&chunk) {
                        failed.push((index, format!("{name}: {}", reason(&error))));
                    }
                }
                for (index, message) in failed.into_iter().rev() {
                    files.remove(index);
                    call.complain(message).await?;
                    code = 1;
                }
                if to_output {
                    match call.output.write(&chunk).await {
                        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                            if files.is_empty() {
                                return Err(error);
                            }
                            to_output = false;
                        }
                        result => result?,
                    }
                }
            }
            for (_, file) in &mut files {
                file.flush()?;
            }
            Ok(code)
        })
    }
}
