//! A WASI command that does what its first argument says, on its standard streams.
//!
//! `args`, `env`, `tty`, `cat`, `yes`, `exit CODE`, `fail`, `panic`, `spin`, `grow MIB`, `ls PATH`,
//! `read PATH`, `write PATH TEXT`, `fill PATH MIB`, `drain PATH`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::exit,
    reason = "this is a command, and tests look at what it prints and how it ends"
)]

use std::{
    env, fs,
    hint::black_box,
    io::{self, IsTerminal as _, Read as _, Write as _},
    process::{self, ExitCode},
};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tool: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> io::Result<()> {
    match arguments {
        [_, "args", ..] => println!("{arguments:?}"),
        [_, "env"] => println!("{:?}", env::vars().collect::<Vec<_>>()),
        [_, "tty"] => println!("{} {}", io::stdin().is_terminal(), io::stdout().is_terminal()),
        [_, "cat"] => {
            io::copy(&mut io::stdin().lock(), &mut io::stdout().lock())?;
        }
        [_, "yes"] => loop {
            // It would go on, whatever went wrong.
            let _ = io::stdout().write_all(b"y\n");
        },
        [_, "exit", code] => process::exit(code.parse().map_err(io::Error::other)?),
        [_, "fail"] => return Err(io::Error::other("as it was told")),
        [_, "panic"] => panic!("as it was told"),
        [_, "spin"] => {
            println!("spinning");
            loop {
                black_box(());
            }
        }
        [_, "grow", mib] => {
            let mib: usize = mib.parse().map_err(io::Error::other)?;
            let held: Vec<Vec<u8>> = (0..mib).map(|_| vec![1; 1 << 20]).collect();
            println!("{}", black_box(&held).len());
        }
        [_, "ls", path] => {
            let mut names: Vec<String> = fs::read_dir(path)?
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect::<io::Result<_>>()?;
            names.sort();
            println!("{names:?}");
        }
        [_, "read", path] => print!("{}", fs::read_to_string(path)?),
        [_, "write", path, text] => fs::write(path, text)?,
        [_, "fill", path, mib] => {
            let mib: usize = mib.parse().map_err(io::Error::other)?;
            let (mut file, chunk) = (fs::File::create(path)?, vec![b'x'; 64 << 10]);
            for _ in 0..mib * 16 {
                file.write_all(&chunk)?;
            }
        }
        [_, "drain", path] => {
            let (mut file, mut chunk) = (fs::File::open(path)?, vec![0; 64 << 10]);
            while file.read(&mut chunk)? > 0 {
                black_box(&chunk);
            }
        }
        _ => return Err(io::Error::other("unknown command")),
    }
    Ok(())
}
