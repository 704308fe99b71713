//! `cargo xtask shell-compat`: the shell inside WebAssembly, compared with bash 5.2.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use shell_compat::{
    Answer, Corpus, Expected, KnownDifferences, Outcome, Program, Shell, clean_environment,
};

use crate::arguments::{ShellCompat, ShellCompatTask};
use crate::process;
use crate::toolchain::{self, Needs};
use crate::workspace::{self, Workspace};

/// Where the cases are.
const CORPUS: &str = "crates/shell-component/compat";

/// Where the known differences are told to people, between the two marks.
const DOCUMENT: &str = "docs/shell.md";
const BEGIN: &str = "<!-- `cargo xtask shell-compat --list --write` writes from here -->\n";
const END: &str = "<!-- to here -->\n";

/// Does what was asked for.
pub(crate) fn run(compat: &ShellCompat) -> Result<()> {
    let root = workspace::root();
    let corpus = load(root, &compat.categories)?;
    match &compat.what {
        ShellCompatTask::Compare => compare(&corpus, &yoi(&build_yoi(root)?), compat.verbose),
        ShellCompatTask::ComparePath(path) => {
            let path = fs::canonicalize(path)
                .with_context(|| format!("there is no {}", path.display()))?;
            compare(&corpus, &yoi(&path), compat.verbose)
        }
        ShellCompatTask::CompareNative => {
            compare(&corpus, &native(build_native(root)?), compat.verbose)
        }
        ShellCompatTask::Record => record(&corpus),
        ShellCompatTask::List => {
            println!("{}", KnownDifferences::load(&corpus.directory)?.list());
            Ok(())
        }
        ShellCompatTask::WriteList => write_list(root),
    }
}

fn load(root: &Path, categories: &[String]) -> Result<Corpus> {
    let mut corpus = Corpus::load(&root.join(CORPUS))?;
    let names: Vec<_> = corpus.categories.iter().map(|category| category.name.clone()).collect();
    if let Some(unknown) = categories.iter().find(|category| !names.contains(category)) {
        bail!("there is no category `{unknown}`, but {}", names.join(", "));
    }
    if !categories.is_empty() {
        corpus.categories.retain(|category| categories.contains(&category.name));
    }
    Ok(corpus)
}

fn compare(corpus: &Corpus, shell: &impl Shell, verbose: bool) -> Result<()> {
    let report = shell_compat::compare(corpus, shell)?;
    if verbose {
        println!("{}", report.details());
    }
    println!("{}", report.table());
    let known = KnownDifferences::load(&corpus.directory)?;
    let categories: Vec<_> =
        corpus.categories.iter().map(|category| category.name.as_str()).collect();
    let unexpected = known.unexpected(&categories, &report.failures);
    if !unexpected.is_empty() {
        println!("Not as {CORPUS}/known-differences.txt has it:\n\n{unexpected}");
    }
    let shortfalls = report.shortfalls();
    if !shortfalls.is_empty() {
        bail!("{}", shortfalls.join("\n       "));
    }
    Ok(())
}

/// The real thing: what a Worker's scripts run in.
fn yoi(path: &Path) -> Program {
    let mut arguments = ["shell", "--dir", "{}:/workspace:rw"].map(str::to_owned).to_vec();
    // Some cases make git directories.
    arguments.push("--expose-git".to_owned());
    // Of this machine's variables it sees none: these are what the others have.
    for (name, value) in shell_compat::clean_environment(Path::new("/workspace")) {
        if name != "HOME" {
            arguments.push("--env".to_owned());
            arguments.push(format!("{name}={}", value.to_string_lossy()));
        }
    }
    arguments.push("-c".to_owned());
    Program {
        path: path.to_owned(),
        arguments,
        // It has a cache to find; its guests see nothing of our environment.
        clean_environment: false,
        sees: Some("/workspace".to_owned()),
    }
}

fn build_yoi(root: &Path) -> Result<PathBuf> {
    toolchain::ensure(root, Needs::GuestTarget)?;
    process::run(process::cargo(root).args(["build", "--release", "--package", "yoi"]))?;
    Ok(Workspace::load()?.target.join("release/yoi"))
}

/// The engine alone: quick to build, and almost the same.
fn native(path: PathBuf) -> Program {
    Program { path, arguments: vec!["-c".to_owned()], clean_environment: true, sees: None }
}

fn build_native(root: &Path) -> Result<PathBuf> {
    let example = ["--package", "shell-component", "--example", "native-shell"];
    process::run(process::cargo(root).arg("build").args(example))?;
    Ok(Workspace::load()?.target.join("debug/examples/native-shell"))
}

/// Asks bash twice: what it answers differently is no case.
fn record(corpus: &Corpus) -> Result<()> {
    let with = versions()?;
    println!("{} cases, with {with}", corpus.len());
    let bash = native("bash".into());
    let mut first = shell_compat::answers(corpus, &bash)?.into_iter();
    let mut second = shell_compat::answers(corpus, &bash)?.into_iter();
    let mut problems = Vec::new();
    for category in &corpus.categories {
        let mut expected = Expected { answers: Vec::new() };
        for case in &category.cases {
            let both = (first.next(), second.next());
            match both {
                (Some(Outcome::Ended(one)), Some(Outcome::Ended(other))) if one == other => {
                    expected.answers.push(one);
                }
                _ => {
                    problems.push(format!("{}: {}", category.name, case.script));
                    expected.answers.push(Answer { stdout: Vec::new(), code: -1 });
                }
            }
        }
        if problems.is_empty() {
            expected.store(corpus, category, &with)?;
        }
    }
    if !problems.is_empty() {
        bail!("bash hangs in these cases, or answers now so and now so:\n{}", problems.join("\n"));
    }
    Ok(())
}

/// The programs that answer, as they name themselves; an error if one is missing or another version
/// than that of Debian 12.
fn versions() -> Result<String> {
    const PROGRAMS: [(&str, &str); 11] = [
        ("bash", "5.2"),
        ("ls", "9.1"),
        ("grep", "3.8"),
        ("sed", "4.9"),
        ("awk", "GNU Awk 5.2"),
        ("find", "4.9"),
        ("tar", "1.34"),
        ("diff", "3.8"),
        ("patch", "2.7"),
        ("jq", "1.6"),
        ("bc", "1.07"),
    ];
    let mut versions = Vec::new();
    for (program, wanted) in PROGRAMS {
        let answer = process::probe(
            Command::new(program)
                .arg("--version")
                .env_clear()
                .envs(clean_environment(Path::new("/"))),
        );
        let first = answer.as_deref().and_then(|answer| answer.lines().next());
        match first {
            Some(first) if first.contains(wanted) => versions.push(format!("{program} {wanted}")),
            Some(first) => bail!("`{program}` should be {wanted}, and is `{first}`"),
            None => bail!("there is no `{program}` {wanted}, which bash would be asked with"),
        }
    }
    Ok(versions.join(", "))
}

fn write_list(root: &Path) -> Result<()> {
    let path = root.join(DOCUMENT);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {DOCUMENT}"))?;
    let list = KnownDifferences::load(&root.join(CORPUS))?.list();
    fs::write(&path, with_list(&text, &list)?).with_context(|| format!("cannot write {DOCUMENT}"))
}

/// The document with this list between its marks.
fn with_list(document: &str, list: &str) -> Result<String> {
    let marked = || {
        let (before, rest) = document.split_once(BEGIN)?;
        let (_, after) = rest.split_once(END)?;
        Some(format!("{before}{BEGIN}{list}{END}{after}"))
    };
    marked().with_context(|| format!("{DOCUMENT} has no place for the list: {BEGIN}{END}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpus_can_be_read_and_has_its_answers() {
        let corpus = load(workspace::root(), &[]).unwrap();
        let document = fs::read_to_string(workspace::root().join(DOCUMENT)).unwrap();
        let (thousands, rest) = (corpus.len() / 1000, corpus.len() % 1000);
        assert!(document.contains(&format!("{thousands},{rest:03} things")), "{}", corpus.len());
        for category in &corpus.categories {
            Expected::load(&corpus, category).unwrap();
        }
    }

    #[test]
    fn known_differences_are_of_the_corpus() {
        let corpus = load(workspace::root(), &[]).unwrap();
        for known in KnownDifferences::load(&corpus.directory).unwrap().differences {
            let category = corpus.categories.iter().find(|other| other.name == known.category);
            let found = category.is_some_and(|category| {
                category.cases.iter().any(|case| case.script == known.script)
            });
            assert!(found, "{}: {}", known.category, known.script);
        }
    }

    #[test]
    fn the_list_takes_the_place_of_the_one_before() {
        let document = format!("# Shell\n{BEGIN}- old\n{END}more\n");
        let written = with_list(&document, "- new\n").unwrap();
        assert_eq!(written, format!("# Shell\n{BEGIN}- new\n{END}more\n"));
        assert!(with_list("# Shell\n", "").is_err());
    }

    #[test]
    fn the_document_tells_the_known_differences() {
        let root = workspace::root();
        let document = fs::read_to_string(root.join(DOCUMENT)).unwrap();
        let list = KnownDifferences::load(&root.join(CORPUS)).unwrap().list();
        assert_eq!(with_list(&document, &list).unwrap(), document);
    }

    #[test]
    fn an_unknown_category_is_an_error() {
        assert!(load(workspace::root(), &["cobol".to_owned()]).is_err());
    }
}
