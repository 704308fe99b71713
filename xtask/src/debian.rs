//! What checks need of a Debian, installed for root.

use anyhow::Result;

use crate::process;

/// Installs `packages` for `purpose`, where we may; tells whether we did.
pub(crate) fn install(packages: &[&str], purpose: &str) -> Result<bool> {
    if !(is_root() && process::find_on_path("apt-get").is_some()) {
        return Ok(false);
    }
    eprintln!("==> installing {} for {purpose}", packages.join(" and "));
    for arguments in apt_get(packages) {
        let mut apt_get = process::command("apt-get");
        process::run(apt_get.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))?;
    }
    Ok(true)
}

/// The line that installs `packages`, to paste.
pub(crate) fn line(packages: &[&str]) -> String {
    apt_get(packages).map(|arguments| format!("sudo apt-get {}", arguments.join(" "))).join(" && ")
}

/// The arguments of the two calls of apt-get.
fn apt_get<'a>(packages: &[&'a str]) -> [Vec<&'a str>; 2] {
    let mut install = vec!["install", "-y", "--no-install-recommends"];
    install.extend(packages);
    [vec!["update"], install]
}

/// Whether we may install packages. `id` is on every Unix; where it is not, there is no apt-get.
fn is_root() -> bool {
    process::probe(process::command("id").arg("-u")).is_some_and(|uid| uid.trim() == "0")
}
