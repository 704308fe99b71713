//! Cases, and the files that they stand in.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::CorpusError;

/// A script that bash and another shell run, each in a fresh and empty directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The script, as for `bash -c`; without a line end.
    pub script: String,
}

/// The cases of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Category {
    /// The file's name without its extension.
    pub name: String,
    /// In the order of the file.
    pub cases: Vec<Case>,
}

/// All cases, and where their files are.
#[derive(Debug, Clone)]
pub struct Corpus {
    /// The directory of the files.
    pub directory: PathBuf,
    /// In the order of their names.
    pub categories: Vec<Category>,
}

/// The file in the corpus's directory that is not a category.
pub(crate) const KNOWN_DIFFERENCES: &str = "known-differences.txt";

impl Corpus {
    /// Reads every `*.txt` of a directory.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, or has the same case twice.
    pub fn load(directory: &Path) -> Result<Self, CorpusError> {
        let unreadable = |source| CorpusError::Read { path: directory.to_owned(), source };
        let mut categories = Vec::new();
        for entry in fs::read_dir(directory).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let is_category = path.extension().is_some_and(|extension| extension == "txt")
                && path.file_name().is_some_and(|name| name != KNOWN_DIFFERENCES);
            if is_category {
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                categories.push(Category::parse(name, &read(&path)?)?);
            }
        }
        categories.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Self { directory: directory.to_owned(), categories })
    }

    /// How many cases there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.categories.iter().map(|category| category.cases.len()).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Category {
    /// Cases are separated by empty lines: none has one within it.
    fn parse(name: String, text: &str) -> Result<Self, CorpusError> {
        let mut seen = BTreeSet::new();
        let mut cases = Vec::new();
        for (_, lines) in blocks(text) {
            let script = lines.join("\n");
            if !seen.insert(script.clone()) {
                return Err(CorpusError::Repeated { category: name, script });
            }
            cases.push(Case { script });
        }
        Ok(Self { name, cases })
    }
}

/// Reads a file of the corpus.
pub(crate) fn read(path: &Path) -> Result<String, CorpusError> {
    fs::read_to_string(path).map_err(|source| CorpusError::Read { path: path.to_owned(), source })
}

/// The runs of lines that are not empty, each with the number of its first line.
pub(crate) fn blocks(text: &str) -> Vec<(usize, Vec<&str>)> {
    let mut blocks: Vec<(usize, Vec<&str>)> = Vec::new();
    let mut within = false;
    for (index, line) in text.split('\n').enumerate() {
        if line.is_empty() {
            within = false;
            continue;
        }
        match blocks.last_mut().filter(|_| within) {
            Some((_, lines)) => lines.push(line),
            None => blocks.push((index + 1, vec![line])),
        }
        within = true;
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_separated_by_empty_lines() {
        let text = "echo one\n\n\ncat <<E\ntwo\nE\n\necho three";
        let category = Category::parse("x".into(), text).unwrap();
        let scripts: Vec<_> = category.cases.iter().map(|case| case.script.as_str()).collect();
        assert_eq!(scripts, ["echo one", "cat <<E\ntwo\nE", "echo three"]);
    }

    #[test]
    fn a_case_that_stands_twice_is_an_error() {
        let error = Category::parse("x".into(), "echo one\n\necho one\n").unwrap_err();
        assert!(matches!(error, CorpusError::Repeated { .. }), "{error}");
    }

    #[test]
    fn blocks_know_where_they_begin() {
        assert_eq!(blocks("\na\nb\n\nc\n"), [(2, vec!["a", "b"]), (5, vec!["c"])]);
    }
}
