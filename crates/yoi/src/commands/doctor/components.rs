//! The components that the configuration names by their files: whether each can be had, by nobody else
//! be exchanged, and be run.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::Instant,
};

use worker_runtime::{ComponentKind, Exec, error_chain, inspect_component};
use yoi_config::Config;

use super::{Finding, GUEST_TARGET};
use crate::runtime_setup::{self, ComponentFile, ComponentUse, component_files, read_component};

/// Looks at each; `unreadable` says which of them a confined process could not read, by their places.
/// Takes those commands out of the configuration that no Runtime would start with.
pub(super) async fn look_at_components(
    config: &mut Config,
    unreadable: &BTreeMap<usize, String>,
) -> Vec<Finding> {
    let (mut findings, mut unusable) = (Vec::new(), Vec::new());
    for (place, file) in component_files(config).enumerate() {
        let finding = look_at(config, file, unreadable.get(&place)).await;
        if let (ComponentUse::Command(name), true) = (file.of, finding.is_failure()) {
            unusable.push(name.clone());
        }
        findings.push(finding);
    }
    config.commands.retain(|name, _| !unusable.contains(name));
    findings
}

async fn look_at(
    config: &Config,
    ComponentFile { of, path }: ComponentFile<'_>,
    unreadable: Option<&String>,
) -> Finding {
    let name = match of {
        ComponentUse::Profile(profile) => format!("profile {profile}"),
        ComponentUse::OwnCommand(profile, command) => format!("command {profile}/{command}"),
        ComponentUse::Command(command) => format!("command {command}"),
    };
    let shown = path.display();
    let rebuild = format!("rebuild it for {GUEST_TARGET}, or name another component");
    let bytes = match read_component(path, config.limits.component_bytes) {
        Ok(bytes) => bytes,
        Err(error) => {
            let remedy = "put it there, or mend the path in the configuration";
            return Finding::fail(&name, format!("{shown} cannot be read: {error}"), remedy);
        }
    };
    if let Some(error) = unreadable {
        let detail = format!("{shown} cannot be read by a process that is confined: {error}");
        return Finding::fail(&name, detail, "put it beside the configuration");
    }
    match writable_by_others(path) {
        Ok(None) => {}
        Ok(Some(at)) => {
            let detail = format!("{shown} could be exchanged by anybody on this machine");
            return Finding::fail(&name, detail, format!("run `chmod o-w {}`", at.display()));
        }
        Err(error) => {
            let detail = format!("failed to see who may write to {shown}: {error}");
            return Finding::fail(&name, detail, "put it beside the configuration");
        }
    }
    let size = bytes.len();
    // Those of profiles are compiled by the Runtime that is tried, if the rest of the configuration lets it start.
    if let ComponentUse::Profile(_) = of {
        return match inspect_component(&bytes, &config.limits) {
            Ok(found) if found.kind == ComponentKind::Worker => {
                Finding::ok(&name, format!("{shown}, {size} bytes, a Worker"))
            }
            Ok(found) => {
                let detail = format!("{shown} is no Worker, but {}", found.kind.words());
                Finding::fail(&name, detail, rebuild)
            }
            Err(error) => {
                Finding::fail(&name, format!("{shown}: {}", error_chain(&error)), rebuild)
            }
        };
    }
    let compiler = match runtime_setup::compiler() {
        Ok(compiler) => compiler,
        Err(error) => return Finding::fail(&name, format!("{error:#}"), "install yoi anew"),
    };
    let started = Instant::now();
    match Exec::new(config.limits.clone()).compiler(compiler).check(bytes).await {
        Ok(()) => {
            let took = started.elapsed().as_millis();
            Finding::ok(&name, format!("{shown}, {size} bytes, compiled in {took} ms"))
        }
        Err(error) => Finding::fail(&name, format!("{shown}: {}", error_chain(&error)), rebuild),
    }
}

/// What on the way to `path` everybody may write to, so that another file may stand there tomorrow. Of a
/// directory with the sticky bit, such as `/tmp`, nobody takes away what is another's.
#[cfg(unix)]
fn writable_by_others(path: &Path) -> io::Result<Option<PathBuf>> {
    use std::os::unix::fs::MetadataExt as _;

    const STICKY: u32 = 0o1000;
    // As it is written, and where its links lead.
    for path in [std::path::absolute(path)?, path.canonicalize()?] {
        for at in path.ancestors() {
            let found = at.metadata()?;
            let is_kept = found.is_dir() && found.mode() & STICKY != 0;
            if found.mode() & 0o002 != 0 && !is_kept {
                return Ok(Some(at.to_owned()));
            }
        }
    }
    Ok(None)
}

#[cfg(not(unix))]
fn writable_by_others(_path: &Path) -> io::Result<Option<PathBuf>> {
    Ok(None)
}

#[cfg(all(test, unix))]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn what_everybody_may_write_to_on_the_way_to_a_file_is_found() {
        let top = tempfile::tempdir().expect("a directory");
        let at = top.path().canonicalize().expect("its path");
        let (open, file) = (at.join("open"), at.join("open/below/tool.wasm"));
        fs::create_dir_all(open.join("below")).expect("directories");
        fs::write(&file, "").expect("a file");
        let link = at.join("link.wasm");
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its mode");
        };
        let both = || [&file, &link].map(|path| writable_by_others(path).expect("an answer"));
        assert_eq!(both(), [None, None]);
        mode(&open, 0o777);
        assert_eq!(both(), [Some(open.clone()), Some(open.clone())]);
        mode(&open, 0o1777);
        assert_eq!(both(), [None, None]);
        mode(&file, 0o666);
        assert_eq!(both(), [Some(file.clone()), Some(link.clone())]);
    }
}
