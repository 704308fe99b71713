//! The corpus that compares the shell with bash 5.2, run within this process.
//!
//! `cargo xtask shell-compat -v` shows how a case differs.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use shell_compat::{
    Answer, Corpus, KnownDifferences, Outcome, Shell, TIMEOUT, clean_environment, compare,
};
use shell_component::{
    command::{Pending, Source},
    commands,
    engine::{self, Script, Streams},
    filesystem::World,
};

/// The engine, as the component runs it.
struct Engine;

/// A standard input that is at its end.
struct Nothing;

impl Source for Nothing {
    fn read(&mut self) -> Pending<'_, io::Result<Vec<u8>>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

impl Shell for Engine {
    fn run(&self, script: &str, directory: &Path) -> io::Result<Outcome> {
        let environment = clean_environment(directory).into_iter();
        let environment = environment
            .map(|(name, value)| (name.to_owned(), value.to_string_lossy().into_owned()))
            .collect();
        let script = Script {
            text: script.to_owned(),
            name: "bash".to_owned(),
            environment,
            directory: Some(directory.to_string_lossy().into_owned()),
            ..Script::default()
        };
        let written = Arc::new(Mutex::new(Vec::new()));
        let output = Arc::clone(&written);
        let streams = Streams {
            input: Box::new(Nothing),
            output: Box::new(move |bytes| {
                output.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
                Ok(())
            }),
            errors: Box::new(|_| Ok(())),
        };
        let world = Arc::new(World::new([directory.to_owned(), std::env::temp_dir()]));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let ending = runtime.block_on(async {
            let run = engine::run(script, world, commands::all(), streams);
            tokio::time::timeout(TIMEOUT, run).await
        });
        let Ok(ending) = ending else { return Ok(Outcome::TimedOut) };
        let ending = ending.map_err(io::Error::other)?;
        let stdout = std::mem::take(&mut *written.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Outcome::Ended(Answer { stdout, code: ending.code.into() }))
    }
}

#[test]
fn the_shell_answers_as_bash_does_but_for_known_differences() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("compat");
    let corpus = Corpus::load(&directory).unwrap();
    let known = KnownDifferences::load(&directory).unwrap();
    let report = compare(&corpus, &Engine).unwrap();
    let categories: Vec<_> =
        corpus.categories.iter().map(|category| category.name.as_str()).collect();

    let unexpected = known.unexpected(&categories, &report.failures);
    assert!(unexpected.is_empty(), "{}\n{unexpected}", report.table());
    assert!(report.shortfalls().is_empty(), "{}", report.table());
}
