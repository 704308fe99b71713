//! The browser that the console's tests drive.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::{debian, process};

/// Where the two programs are; the tests are told by the variables [`CHROMIUM`] and
/// [`CHROMEDRIVER`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Browser {
    /// Chromium, or a browser that is one.
    pub(crate) chromium: PathBuf,
    /// ChromeDriver, of the same version.
    pub(crate) chromedriver: PathBuf,
}

/// Names the browser, where the usual names on PATH are not it.
pub(crate) const CHROMIUM: &str = "CHROMIUM";
/// Names its driver.
pub(crate) const CHROMEDRIVER: &str = "CHROMEDRIVER";

const CHROMIUM_NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
const CHROMEDRIVER_NAMES: [&str; 1] = ["chromedriver"];

/// The browser and its driver; on Debian, root gets them installed.
pub(crate) fn ensure() -> Result<Browser> {
    let packages = match look()? {
        Found { chromium: Some(chromium), chromedriver: Some(chromedriver) } => {
            return Ok(Browser { chromium, chromedriver });
        }
        found => missing_packages(&found),
    };
    if !debian::install(&packages, "the browser tests")? {
        bail!("{}", advice(&packages));
    }
    match look()? {
        Found { chromium: Some(chromium), chromedriver: Some(chromedriver) } => {
            Ok(Browser { chromium, chromedriver })
        }
        found => bail!(
            "apt-get installed {}, but {} is still not on PATH",
            packages.join(" and "),
            missing_packages(&found).join(" and ")
        ),
    }
}

#[derive(Debug, Default)]
struct Found {
    chromium: Option<PathBuf>,
    chromedriver: Option<PathBuf>,
}

fn look() -> Result<Found> {
    Ok(Found {
        chromium: program(CHROMIUM, env::var_os(CHROMIUM), &CHROMIUM_NAMES)?,
        chromedriver: program(CHROMEDRIVER, env::var_os(CHROMEDRIVER), &CHROMEDRIVER_NAMES)?,
    })
}

/// The program that the variable names, or one with a usual name on PATH. What somebody named is
/// taken or refused, never replaced.
fn program(variable: &str, named: Option<OsString>, names: &[&str]) -> Result<Option<PathBuf>> {
    match named.filter(|named| !named.is_empty()).map(PathBuf::from) {
        Some(named) if process::is_program(&named) => Ok(Some(named)),
        Some(named) => bail!("{variable} is {}, which is not a program", named.display()),
        None => Ok(names.iter().find_map(|name| process::find_on_path(name))),
    }
}

/// The Debian packages of what was not found.
fn missing_packages(found: &Found) -> Vec<&'static str> {
    let mut packages = Vec::new();
    if found.chromium.is_none() {
        packages.push("chromium");
    }
    if found.chromedriver.is_none() {
        packages.push("chromium-driver");
    }
    packages
}

fn advice(packages: &[&'static str]) -> String {
    format!(
        "the browser tests need Chromium and ChromeDriver. On Debian:\n\n    {}\n\nElsewhere, name \
         the two programs in {CHROMIUM} and {CHROMEDRIVER}. `cargo xtask test --quick` runs the \
         tests that need no browser.",
        debian::line(packages)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_installed() {
        assert_eq!(missing_packages(&Found::default()), ["chromium", "chromium-driver"]);
        let found = Found { chromium: Some("/usr/bin/chromium".into()), chromedriver: None };
        assert_eq!(missing_packages(&found), ["chromium-driver"]);
    }

    #[test]
    fn a_named_program_is_taken_or_refused() {
        let this = env::current_exe().unwrap();
        let found = program(CHROMIUM, Some(this.clone().into_os_string()), &[]).unwrap();
        assert_eq!(found, Some(this));
        let error = program(CHROMIUM, Some("/no/such/browser".into()), &["sh"]).unwrap_err();
        assert_eq!(error.to_string(), "CHROMIUM is /no/such/browser, which is not a program");
        assert_eq!(program(CHROMIUM, Some(OsString::new()), &[]).unwrap(), None);
    }

    #[test]
    fn the_advice_is_one_line_to_paste() {
        let advice = advice(&["chromium", "chromium-driver"]);
        let line = "sudo apt-get update && sudo apt-get install -y --no-install-recommends \
                    chromium chromium-driver";
        assert!(advice.lines().any(|candidate| candidate.trim() == line), "{advice}");
    }
}
