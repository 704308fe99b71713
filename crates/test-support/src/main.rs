//! `yoi-crash`: kills a Runtime again and again, and checks what it leaves.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool prints")]

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use test_support::{
    crash::{
        child,
        driver::{Campaign, Tally},
    },
    serve,
};

const HELP: &str = "\
Kills a Runtime with a store on disk, at random times and at its failpoints, starts it again, and
checks what it left of what it had acknowledged.

  yoi-crash [--kills N] [--seed S] [--keep DIR]

  --kills N   how many kills (100)
  --seed S    repeats the choices of another run
  --keep DIR  make stores here, and keep those in which something is wrong";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["child", directory] => child::run(Path::new(directory)).map(|()| true),
        ["serve", directory] => serve::run(Path::new(directory), None).map(|()| true),
        ["serve", directory, max_age_s] => {
            let max_age_s = max_age_s.parse().context("an age is a number of seconds");
            max_age_s.and_then(|age| serve::run(Path::new(directory), Some(age))).map(|()| true)
        }
        ["help" | "--help" | "-h", ..] => {
            println!("{HELP}");
            Ok(true)
        }
        options => Options::parse(options).and_then(|options| options.run()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

#[derive(Debug)]
struct Options {
    kills: u64,
    seed: u64,
    keep: Option<PathBuf>,
}

impl Options {
    fn parse(arguments: &[&str]) -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let mut options = Self { kills: 100, seed: u64::from(now.subsec_nanos()), keep: None };
        let mut arguments = arguments.iter();
        while let Some(name) = arguments.next() {
            let value = arguments.next().with_context(|| format!("`{name}` needs a value"))?;
            match *name {
                "--kills" => options.kills = value.parse().context("`--kills` needs a number")?,
                "--seed" => options.seed = value.parse().context("`--seed` needs a number")?,
                "--keep" => options.keep = Some(PathBuf::from(value)),
                other => bail!("there is no option `{other}`\n\n{HELP}"),
            }
        }
        Ok(options)
    }

    /// Whether nothing was wrong.
    fn run(self) -> Result<bool> {
        let temporary = tempfile::tempdir().context("cannot make a directory")?;
        let directory = self.keep.clone().unwrap_or_else(|| temporary.path().to_owned());
        let program = std::env::current_exe().context("cannot find this program")?;
        let campaign = Campaign {
            child: vec![program, PathBuf::from("child")],
            kills: self.kills,
            seed: self.seed,
            directory,
        };
        let started = Instant::now();
        println!("{} kills with seed {}", self.kills, self.seed);
        let tally: Tally = campaign.run(|tally| {
            eprintln!(
                "{:>6} kills, {} complaints, {:.0} s",
                tally.total_kills(),
                tally.complaints.len(),
                started.elapsed().as_secs_f64()
            );
        })?;
        println!("{tally}");
        if !tally.is_good() {
            println!("to try again: cargo xtask crash --kills {} --seed {}", self.kills, self.seed);
        }
        Ok(tally.is_good())
    }
}
