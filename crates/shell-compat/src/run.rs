//! Running cases, several at a time.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{env, fs, io, process, thread};

use crate::report::{Report, Score};
use crate::{Answer, Case, Category, Corpus, CorpusError, Expected};

/// No case works for longer than some seconds, even in a debug build on a busy machine; a minute is enough
/// to know that one hangs.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// Something that runs scripts.
pub trait Shell: Sync {
    /// Runs a script in `directory`, which is empty, its own, and removed afterwards.
    ///
    /// # Errors
    ///
    /// If the shell cannot be started; what a script does wrong is an outcome.
    fn run(&self, script: &str, directory: &Path) -> io::Result<Outcome>;

    /// What the script sees as the path of its directory, if not the true one.
    fn sees(&self) -> Option<&str> {
        None
    }
}

/// How a script ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// By itself.
    Ended(Answer),
    /// It was ended after [`TIMEOUT`].
    TimedOut,
}

/// A case that was not answered as bash answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its category.
    pub category: String,
    /// Its script.
    pub script: String,
    /// What bash answered.
    pub expected: Answer,
    /// What the shell did.
    pub actual: Outcome,
}

/// What scripts that print their directory print, wherever it is.
const DIRECTORY: &str = "/workspace";

/// Runs the cases of the categories and compares the answers with those of bash.
///
/// # Errors
///
/// If bash's answers cannot be read, or the shell not be started.
pub fn compare(corpus: &Corpus, shell: &impl Shell) -> io::Result<Report> {
    let mut expected = Vec::new();
    for category in &corpus.categories {
        let recorded = Expected::load(corpus, category).map_err(io::Error::other::<CorpusError>)?;
        expected.extend(recorded.answers);
    }
    let mut pairs = cases(corpus).zip(expected).zip(answers(corpus, shell)?);
    let mut report = Report::default();
    for category in &corpus.categories {
        let mut score = Score::new(&category.name);
        for (((category, case), expected), actual) in pairs.by_ref().take(category.cases.len()) {
            score.cases += 1;
            if actual == Outcome::Ended(expected.clone()) {
                score.passed += 1;
                continue;
            }
            report.failures.push(Failure {
                category: category.name.clone(),
                script: case.script.clone(),
                expected,
                actual,
            });
        }
        report.scores.push(score);
    }
    Ok(report)
}

/// Runs every case, and returns what came of them in the order of the corpus.
///
/// # Errors
///
/// If the shell cannot be started.
pub fn answers(corpus: &Corpus, shell: &impl Shell) -> io::Result<Vec<Outcome>> {
    let cases: Vec<_> = cases(corpus).collect();
    let scratch = Scratch::new()?;
    let next = AtomicUsize::new(0);
    let outcomes: Mutex<Vec<_>> = Mutex::new((0..cases.len()).map(|_| None).collect());
    thread::scope(|scope| {
        for _ in 0..workers() {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some((_, case)) = cases.get(index) else { return };
                    let outcome = scratch.run(index, &case.script, shell);
                    if let Ok(mut outcomes) = outcomes.lock() {
                        outcomes[index] = Some(outcome);
                    }
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().map_err(|_| io::Error::other("a case panicked"))?;
    outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap_or_else(|| Err(io::Error::other("a case did not run"))))
        .collect()
}

/// Cases wait for processes and the disk as much as they work.
fn workers() -> usize {
    thread::available_parallelism().map_or(1, usize::from) * 2
}

fn cases(corpus: &Corpus) -> impl Iterator<Item = (&Category, &Case)> {
    corpus
        .categories
        .iter()
        .flat_map(|category| category.cases.iter().map(move |case| (category, case)))
}

/// Where the cases' directories are. It is removed when it is dropped.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn new() -> io::Result<Self> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("shell-compat-{}-{number}", process::id());
        let path = fs::canonicalize(env::temp_dir())?.join(name);
        fs::create_dir(&path)?;
        Ok(Self { path })
    }

    fn run(&self, index: usize, script: &str, shell: &impl Shell) -> io::Result<Outcome> {
        let directory = self.path.join(index.to_string());
        fs::create_dir(&directory)?;
        let outcome = shell.run(script, &directory)?;
        // A script that outlives its time may still write there; what it leaves goes with the rest.
        let _ = fs::remove_dir_all(&directory);
        let Outcome::Ended(answer) = outcome else { return Ok(outcome) };
        let seen = shell.sees().map(str::to_owned);
        let seen = seen.unwrap_or_else(|| directory.to_string_lossy().into_owned());
        let stdout = replaced(&answer.stdout, seen.as_bytes(), DIRECTORY.as_bytes());
        Ok(Outcome::Ended(Answer { stdout, ..answer }))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(from) {
            replaced.extend_from_slice(to);
            rest = after;
        } else {
            replaced.push(*first);
            rest = after;
        }
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers with its directory, or not at all.
    struct Echo;

    impl Shell for Echo {
        fn run(&self, script: &str, directory: &Path) -> io::Result<Outcome> {
            if script == "hang" {
                return Ok(Outcome::TimedOut);
            }
            assert_eq!(fs::read_dir(directory)?.count(), 0);
            fs::write(directory.join("left"), script)?;
            let stdout = format!("{script} in {}/x", directory.display()).into_bytes();
            Ok(Outcome::Ended(Answer { stdout, code: 0 }))
        }
    }

    fn corpus(scripts: &[&str]) -> Corpus {
        let cases = scripts.iter().map(|script| Case { script: (*script).to_owned() }).collect();
        let category = Category { name: "x".into(), cases };
        Corpus { directory: PathBuf::new(), categories: vec![category] }
    }

    #[test]
    fn every_case_has_an_empty_directory_that_looks_the_same() {
        let scripts: Vec<_> = (0..50).map(|number| number.to_string()).collect();
        let scripts: Vec<_> = scripts.iter().map(String::as_str).collect();
        let outcomes = answers(&corpus(&scripts), &Echo).unwrap();
        for (script, outcome) in scripts.iter().zip(outcomes) {
            let stdout = format!("{script} in /workspace/x").into_bytes();
            assert_eq!(outcome, Outcome::Ended(Answer { stdout, code: 0 }));
        }
    }

    #[test]
    fn a_case_that_hangs_is_an_outcome() {
        assert_eq!(answers(&corpus(&["hang"]), &Echo).unwrap(), [Outcome::TimedOut]);
    }
}
