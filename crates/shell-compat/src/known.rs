//! The cases that are known to fail, and why.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::CorpusError;
use crate::case::{KNOWN_DIFFERENCES, blocks, read};
use crate::run::Failure;

/// A case that is known to fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its category.
    pub category: String,
    /// Why it fails.
    pub reason: String,
    /// Its script.
    pub script: String,
}

/// All of them. They are failures like any other, and count as such; they are only expected ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownDifferences {
    /// In the order of the file.
    pub differences: Vec<Difference>,
}

impl KnownDifferences {
    /// Reads the file of a corpus; there may be none.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is malformed.
    pub fn load(directory: &Path) -> Result<Self, CorpusError> {
        let path = directory.join(KNOWN_DIFFERENCES);
        if path.exists() { Self::parse(&path, &read(&path)?) } else { Ok(Self::default()) }
    }

    /// A block for each: `category: reason`, and below it the script, indented.
    fn parse(path: &Path, text: &str) -> Result<Self, CorpusError> {
        let mut differences = Vec::new();
        for (first, lines) in blocks(text) {
            if lines.iter().all(|line| line.starts_with('#')) {
                continue;
            }
            let malformed =
                |line, problem| CorpusError::Malformed { path: path.to_owned(), line, problem };
            let (category, reason) = lines[0]
                .split_once(": ")
                .ok_or_else(|| malformed(first, "a difference begins with `category: reason`"))?;
            let mut script = Vec::new();
            for (index, line) in lines.iter().enumerate().skip(1) {
                let line = line.strip_prefix(INDENT).ok_or_else(|| {
                    malformed(first + index, "the script is indented by four spaces")
                })?;
                script.push(line);
            }
            differences.push(Difference {
                category: category.to_owned(),
                reason: reason.to_owned(),
                script: script.join("\n"),
            });
        }
        Ok(Self { differences })
    }

    /// The failures that are not known, as one would add them to the file, and the known ones that are
    /// none any more, among the categories that ran. Empty if all is as it is known to be.
    #[must_use]
    pub fn unexpected(&self, categories: &[&str], failures: &[Failure]) -> String {
        let is = |failure: &Failure, known: &Difference| {
            failure.category == known.category && failure.script == known.script
        };
        let mut text = String::new();
        for failure in failures {
            if !self.differences.iter().any(|known| is(failure, known)) {
                let _ = writeln!(text, "fails, and is not known to:\n{}", entry(failure));
            }
        }
        for known in &self.differences {
            let ran = categories.contains(&known.category.as_str());
            if ran && !failures.iter().any(|failure| is(failure, known)) {
                let script = indented(&known.script);
                let _ = writeln!(
                    text,
                    "is known to fail ({}: {}), and does not:\n{script}",
                    known.category, known.reason
                );
            }
        }
        text
    }

    /// The list for people: each reason once, with the categories and the number of the cases.
    #[must_use]
    pub fn list(&self) -> String {
        let mut by_reason: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
        for known in &self.differences {
            *by_reason.entry(&known.reason).or_default().entry(&known.category).or_default() += 1;
        }
        let mut text = String::new();
        for (reason, categories) in by_reason {
            let categories: Vec<_> = categories
                .iter()
                .map(|(category, cases)| match cases {
                    1 => (*category).to_owned(),
                    _ => format!("{category}, {cases} cases"),
                })
                .collect();
            let _ = writeln!(text, "- {reason} ({})", categories.join("; "));
        }
        text
    }
}

const INDENT: &str = "    ";

fn indented(script: &str) -> String {
    script.split('\n').map(|line| format!("{INDENT}{line}\n")).collect()
}

fn entry(failure: &Failure) -> String {
    format!("{}: ?\n{}", failure.category, indented(&failure.script))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Outcome;

    const TEXT: &str =
        "# why\n\njobs: no processes\n    sleep 1 &\n    wait\n\nsed: no `e`\n    sed e\n";

    fn known() -> KnownDifferences {
        KnownDifferences::parse(Path::new("k"), TEXT).unwrap()
    }

    fn failure(category: &str, script: &str) -> Failure {
        Failure {
            category: category.to_owned(),
            script: script.to_owned(),
            expected: crate::Answer { stdout: Vec::new(), code: 0 },
            actual: Outcome::TimedOut,
        }
    }

    #[test]
    fn a_difference_has_a_category_a_reason_and_a_script() {
        let known = known();
        assert_eq!(known.differences.len(), 2);
        assert_eq!(known.differences[0].script, "sleep 1 &\nwait");
        assert_eq!(known.list(), "- no `e` (sed)\n- no processes (jobs)\n");
    }

    #[test]
    fn both_new_failures_and_mended_ones_are_unexpected() {
        let failures = [failure("jobs", "sleep 1 &\nwait"), failure("sed", "sed e")];
        assert_eq!(known().unexpected(&["jobs", "sed"], &failures), "");
        let mended = known().unexpected(&["jobs", "sed"], &failures[..1]);
        assert!(mended.contains("does not:\n    sed e"), "{mended}");
        assert_eq!(known().unexpected(&["jobs"], &failures[..1]), "");
        let new = known().unexpected(&["awk"], &[failure("awk", "awk 1\nx")]);
        assert!(new.contains("awk: ?\n    awk 1\n    x\n"), "{new}");
    }
}
