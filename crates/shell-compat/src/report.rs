//! What a comparison found.

use std::fmt::Write as _;

use crate::expected::Answer;
use crate::run::{Failure, Outcome};

/// The share of all cases that have to be answered as bash does, in percent.
pub const THRESHOLD_TOTAL: usize = 97;

/// The same of each category: no part of the shell may be bad because the others are good.
pub const THRESHOLD_OF_A_CATEGORY: usize = 90;

/// How a category went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Score {
    /// Its name.
    pub category: String,
    /// How many cases it has.
    pub cases: usize,
    /// How many of them were answered as bash does.
    pub passed: usize,
}

/// How a comparison went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// One for each category, in the order of the corpus.
    pub scores: Vec<Score>,
    /// The cases that failed, in the order of the corpus.
    pub failures: Vec<Failure>,
}

impl Score {
    pub(crate) fn new(category: &str) -> Self {
        Self { category: category.to_owned(), cases: 0, passed: 0 }
    }

    fn reaches(&self, percent: usize) -> bool {
        self.passed * 100 >= self.cases * percent
    }

    fn row(&self) -> String {
        let percent = self.passed as f64 * 100.0 / self.cases.max(1) as f64;
        format!("{:<24} {:>5} {:>6} {percent:>6.1}", self.category, self.cases, self.passed)
    }
}

impl Report {
    /// The sum of the scores.
    #[must_use]
    pub fn total(&self) -> Score {
        let mut total = Score::new("total");
        for score in &self.scores {
            total.cases += score.cases;
            total.passed += score.passed;
        }
        total
    }

    /// A row for each category and one for their sum.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table = format!("{:<24} {:>5} {:>6} {:>6}\n", "category", "cases", "passed", "%");
        for score in self.scores.iter().chain([&self.total()]) {
            let _ = writeln!(table, "{}", score.row());
        }
        table
    }

    /// The categories below their threshold.
    fn shortfalls_of_categories(&self) -> Vec<String> {
        self.scores
            .iter()
            .filter(|score| !score.reaches(THRESHOLD_OF_A_CATEGORY))
            .map(|score| format!("{} is below {THRESHOLD_OF_A_CATEGORY} %", score.category))
            .collect()
    }

    /// What falls below the thresholds; nothing, if the shell is good enough.
    #[must_use]
    pub fn shortfalls(&self) -> Vec<String> {
        let mut shortfalls = self.shortfalls_of_categories();
        if !self.total().reaches(THRESHOLD_TOTAL) {
            shortfalls.push(format!("the total is below {THRESHOLD_TOTAL} %"));
        }
        shortfalls
    }

    /// The failures, each with its script and what differs.
    #[must_use]
    pub fn details(&self) -> String {
        self.failures.iter().map(details).collect()
    }
}

fn details(failure: &Failure) -> String {
    let mut text = format!("--- {}\n", failure.category);
    for (index, line) in failure.script.split('\n').enumerate() {
        let mark = if index == 0 { '$' } else { '>' };
        let _ = writeln!(text, "{mark} {line}");
    }
    let expected = lines(&failure.expected);
    let actual = match &failure.actual {
        Outcome::Ended(answer) => lines(answer),
        Outcome::TimedOut => vec!["[did not end in time]".to_owned()],
    };
    for (mark, line) in differences(&expected, &actual) {
        let _ = writeln!(text, "{mark} {line}");
    }
    text.push('\n');
    text
}

/// Of an answer that ran wild, enough to see what it is.
const SHOWN_LINES: usize = 200;

fn lines(answer: &Answer) -> Vec<String> {
    let text = String::from_utf8_lossy(&answer.stdout);
    let mut lines: Vec<_> = text
        .split_inclusive('\n')
        .take(SHOWN_LINES)
        .map(|line| match line.strip_suffix('\n') {
            Some(line) => line.escape_debug().to_string(),
            None => format!("{}[no line end]", line.escape_debug()),
        })
        .collect();
    lines.push(format!("[exit code {}]", answer.code));
    lines
}

/// The lines of both, marked with `-` if only the first has them and with `+` if only the second has:
/// along a longest common subsequence.
fn differences<'text>(old: &'text [String], new: &'text [String]) -> Vec<(char, &'text str)> {
    let width = new.len() + 1;
    let mut common = vec![0_usize; (old.len() + 1) * width];
    for row in (0..old.len()).rev() {
        for column in (0..new.len()).rev() {
            common[row * width + column] = if old[row] == new[column] {
                common[(row + 1) * width + column + 1] + 1
            } else {
                common[(row + 1) * width + column].max(common[row * width + column + 1])
            };
        }
    }
    let mut marked = Vec::new();
    let (mut row, mut column) = (0, 0);
    while row < old.len() || column < new.len() {
        let both = row < old.len() && column < new.len();
        if both && old[row] == new[column] {
            marked.push((' ', old[row].as_str()));
            row += 1;
            column += 1;
        } else if column == new.len()
            || both && common[(row + 1) * width + column] >= common[row * width + column + 1]
        {
            marked.push(('-', old[row].as_str()));
            row += 1;
        } else {
            marked.push(('+', new[column].as_str()));
            column += 1;
        }
    }
    marked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(category: &str, cases: usize, passed: usize) -> Score {
        Score { category: category.to_owned(), cases, passed }
    }

    #[test]
    fn both_thresholds_count() {
        let good =
            Report { scores: vec![score("a", 100, 97), score("b", 10, 10)], ..Report::default() };
        assert!(good.shortfalls().is_empty());
        let one_bad =
            Report { scores: vec![score("a", 900, 900), score("b", 10, 8)], ..Report::default() };
        assert_eq!(one_bad.shortfalls(), ["b is below 90 %"]);
        let all_middling = Report { scores: vec![score("a", 100, 96)], ..Report::default() };
        assert_eq!(all_middling.shortfalls(), ["the total is below 97 %"]);
    }

    #[test]
    fn details_show_what_differs() {
        let answer = |stdout: &str, code| Answer { stdout: stdout.into(), code };
        let failure = Failure {
            category: "x".into(),
            script: "one\ntwo".into(),
            expected: answer("a\nb\nc\n", 0),
            actual: Outcome::Ended(answer("a\nc\nd", 0)),
        };
        let expected = "--- x\n$ one\n> two\n  a\n- b\n  c\n+ d[no line end]\n  [exit code 0]\n\n";
        assert_eq!(details(&failure), expected);
    }
}
