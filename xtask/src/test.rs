//! `cargo xtask test`.

use std::env;
use std::ffi::OsStr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::arguments::Test;
use crate::gates::{GATES, Gate, Setting, TESTS};
use crate::toolchain::{self, Needs};
use crate::workspace::{self, Workspace};
use crate::{chromium, console::Console, schemathesis, tools};

/// Sets up what the checks need, then runs them until one fails.
pub(crate) fn run(test: &Test) -> Result<()> {
    let started = Instant::now();
    toolchain::ensure(workspace::root(), Needs::GuestTargetAndLints)?;
    let workspace = Workspace::load()?;
    let scope = Scope::of(test);
    let complete = scope == Scope::Everything;
    let setting = Setting {
        nextest: tools::NEXTEST.ensure(&workspace)?,
        deny: complete.then(|| tools::DENY.ensure(&workspace)).transpose()?,
        ripgrep: tools::ensure_ripgrep(&workspace)?,
        schemathesis: complete.then(|| schemathesis::ensure(&workspace)).transpose()?,
        console: match scope {
            Scope::Everything => Some((Console::ensure(&workspace)?, chromium::ensure()?)),
            Scope::Quick | Scope::Filtered => None,
        },
        profile: profile(env::var_os("CI").as_deref()),
        filters: test.filters.clone(),
        workspace,
    };

    let gates = scope.gates();
    for (number, gate) in gates.iter().enumerate() {
        eprintln!("\n==> [{}/{}] {}", number + 1, gates.len(), gate.title);
        let gate_started = Instant::now();
        (gate.check)(&setting).with_context(|| format!("check failed: {}", gate.title))?;
        eprintln!("    {}", seconds(gate_started.elapsed()));
    }
    eprintln!("\n{} ({})", scope.summary(), seconds(started.elapsed()));
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Everything,
    Quick,
    Filtered,
}

impl Scope {
    fn of(test: &Test) -> Self {
        if !test.filters.is_empty() {
            Self::Filtered
        } else if test.quick {
            Self::Quick
        } else {
            Self::Everything
        }
    }

    fn gates(self) -> Vec<Gate> {
        match self {
            Self::Everything => GATES.into(),
            Self::Quick => GATES.into_iter().filter(|gate| gate.quick).collect(),
            Self::Filtered => vec![TESTS],
        }
    }

    fn summary(self) -> String {
        match self {
            Self::Everything => format!("All {} checks passed.", GATES.len()),
            Self::Quick => {
                let left_out: Vec<_> =
                    GATES.iter().filter(|gate| !gate.quick).map(|gate| gate.title).collect();
                format!("The quick checks passed. Left out: {}.", left_out.join(", "))
            }
            Self::Filtered => "The tests that the filter chose passed; nothing else ran.".into(),
        }
    }
}

/// The profile of `.config/nextest.toml`.
fn profile(ci: Option<&OsStr>) -> &'static str {
    // Set to anything but a no: every CI service sets it, not every one to `true`.
    let in_ci = ci.is_some_and(|value| !["", "0", "false"].iter().any(|no| value == *no));
    if in_ci { "ci" } else { "default" }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(test: &Test) -> Vec<&'static str> {
        Scope::of(test).gates().iter().map(|gate| gate.title).collect()
    }

    #[test]
    fn everything_ends_with_the_tests() {
        let titles = titles(&Test::default());
        assert_eq!(titles.len(), GATES.len());
        assert_eq!(titles.last(), Some(&"tests"));
    }

    #[test]
    fn quick_says_what_it_left_out() {
        let test = Test { quick: true, filters: Vec::new() };
        let ran = titles(&test);
        let summary = Scope::of(&test).summary();
        for gate in GATES {
            assert!(ran.contains(&gate.title) != summary.contains(gate.title) || gate.quick);
        }
        assert!(summary.contains("licences"), "{summary}");
    }

    #[test]
    fn a_filter_runs_only_tests() {
        let test = Test { quick: false, filters: vec!["grants".to_owned()] };
        assert_eq!(titles(&test), ["tests"]);
    }

    #[test]
    fn the_profile_follows_the_place() {
        assert_eq!(profile(None), "default");
        assert_eq!(profile(Some(OsStr::new("true"))), "ci");
        assert_eq!(profile(Some(OsStr::new("1"))), "ci");
        assert_eq!(profile(Some(OsStr::new("false"))), "default");
    }

    #[test]
    fn every_profile_is_configured() {
        let configuration = include_str!("../../.config/nextest.toml");
        for profile in ["default", "ci"] {
            assert!(configuration.contains(&format!("[profile.{profile}]")), "{profile}");
        }
    }
}
