//! The browser that the console is tested in.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::{debian, process};

/// Names the browser, where the usual names on PATH are not it.
const VARIABLE: &str = "CHROMIUM";

const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

const DEBIAN_PACKAGES: [&str; 1] = ["chromium"];

/// Chromium, or a browser that is one; on Debian, root gets it installed.
pub(crate) fn ensure() -> Result<PathBuf> {
    if let Some(found) = look()? {
        return Ok(found);
    }
    if !debian::install(&DEBIAN_PACKAGES, "the browser tests")? {
        bail!("{}", advice());
    }
    match look()? {
        Some(found) => Ok(found),
        None => bail!("apt-get installed chromium, but it is still not on PATH"),
    }
}

fn look() -> Result<Option<PathBuf>> {
    program(env::var_os(VARIABLE), &NAMES)
}

/// The program that the variable names, or one with a usual name on PATH. What somebody named is
/// taken or refused, never replaced.
fn program(named: Option<OsString>, names: &[&str]) -> Result<Option<PathBuf>> {
    match named.filter(|named| !named.is_empty()).map(PathBuf::from) {
        Some(named) if process::is_program(&named) => Ok(Some(named)),
        Some(named) => bail!("{VARIABLE} is {}, which is not a program", named.display()),
        None => Ok(names.iter().find_map(|name| process::find_on_path(name))),
    }
}

fn advice() -> String {
    format!(
        "the browser tests need Chromium. On Debian:\n\n    {}\n\nElsewhere, name the program in \
         {VARIABLE}. `cargo xtask test --quick` runs the tests that need no browser.",
        debian::line(&DEBIAN_PACKAGES)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_program_is_taken_or_refused() {
        let this = env::current_exe().unwrap();
        let found = program(Some(this.clone().into_os_string()), &[]).unwrap();
        assert_eq!(found, Some(this));
        let error = program(Some("/no/such/browser".into()), &["sh"]).unwrap_err();
        assert_eq!(error.to_string(), "CHROMIUM is /no/such/browser, which is not a program");
        assert_eq!(program(Some(OsString::new()), &[]).unwrap(), None);
    }

    #[test]
    fn the_advice_is_one_line_to_paste() {
        let advice = advice();
        let line =
            "sudo apt-get update && sudo apt-get install -y --no-install-recommends chromium";
        assert!(advice.lines().any(|candidate| candidate.trim() == line), "{advice}");
    }
}
