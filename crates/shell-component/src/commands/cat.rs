//! `cat`.

use std::io::{self, Read};

use crate::{
    command::{Command, Invocation, Pending},
    engine::reason,
};

/// Writes files one after another.
#[derive(Debug)]
pub(super) struct Cat;

impl Command for Cat {
    fn run<'a>(&'a self, mut invocation: Invocation<'a>) -> Pending<'a, io::Result<u8>> {
        Box::pin(async move {
            let mut code = 0;
            let files: Vec<&str> = invocation.arguments.iter().map(String::as_str).collect();
            for name in if files.is_empty() { vec!["-"] } else { files } {
                if name == "-" {
                    loop {
                        let chunk = invocation.input.chunk().await?;
                        if chunk.is_empty() {
                            break;
                        }
                        invocation.output.write(&chunk).await?;
                    }
                    continue;
                }
                let opened = invocation.world.open(&invocation.path(name));
                let mut file = match opened {
                    Ok(file) => file,
                    Err(error) => {
                        invocation.complain(format!("{name}: {}", reason(&error))).await?;
                        code = 1;
                        continue;
                    }
                };
                let mut block = vec![0; 64 * 1024];
                loop {
                    let length = file.read(&mut block)?;
                    if length == 0 {
                        break;
                    }
                    invocation.output.write(&block[..length]).await?;
                }
            }
            Ok(code)
        })
    }
}
