//! The comparison of the shell with bash 5.2: a corpus of short scripts, what bash answered to each,
//! and what another shell answers.
//!
//! The corpus lies in `crates/shell-component/compat`: `<category>.txt` has the cases and
//! `<category>.expected` the answers of bash, so that a comparison needs no bash. `cargo xtask
//! shell-compat` runs it through a program, and the tests of `shell-component` within their process.

mod case;
mod expected;
mod known;
mod program;
mod report;
mod run;

use std::path::PathBuf;
use std::{fmt, io};

pub use case::{Case, Category, Corpus};
pub use expected::{Answer, Expected};
pub use known::{Difference, KnownDifferences};
pub use program::{Program, clean_environment};
pub use report::{Report, Score, THRESHOLD_OF_A_CATEGORY, THRESHOLD_TOTAL};
pub use run::{Failure, Outcome, Shell, TIMEOUT, answers, compare};

/// Why a file of the corpus cannot be used.
#[derive(Debug)]
pub enum CorpusError {
    /// It cannot be read.
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It can be read, and does not have the form that it should have.
    Malformed {
        /// Which.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong there.
        problem: &'static str,
    },
    /// The same script stands twice in a category.
    Repeated {
        /// The category.
        category: String,
        /// The script.
        script: String,
    },
    /// The answers of bash are not those to the cases.
    NotRecorded {
        /// The category.
        category: String,
        /// The first script without an answer, or the first answer without a script.
        script: String,
    },
}

impl fmt::Display for CorpusError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, .. } => write!(formatter, "cannot read {}", path.display()),
            Self::Malformed { path, line, problem } => {
                write!(formatter, "{}:{line}: {problem}", path.display())
            }
            Self::Repeated { category, script } => {
                write!(formatter, "{category} has this case twice: {script}")
            }
            Self::NotRecorded { category, script } => write!(
                formatter,
                "the answers in {category}.expected are not those to {category}.txt, from this case \
                 on (`cargo xtask shell-compat --record`): {script}"
            ),
        }
    }
}

impl std::error::Error for CorpusError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            Self::Malformed { .. } | Self::Repeated { .. } | Self::NotRecorded { .. } => None,
        }
    }
}
