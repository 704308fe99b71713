//! `yoi serve`: a Runtime over HTTP, for Backends and programs elsewhere.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use http_api::{ServeOptions, ServerTls};
use jiff::Timestamp;
use runtime_server::{NewToken, RuntimeServer, Scope, TokenFile};
use tokio_util::sync::CancellationToken;
use yoi_config::{Config, DEFAULT_RUNTIME_LISTEN};

use crate::{
    cli::{ServeArgs, own_name},
    commands::{
        host::{Listen, Prepared},
        tls::server_tls,
    },
    data_dir::{Token, write_private},
    exit::Exit,
    output::Output,
};

/// What a Runtime goes by that the operator gave no other name.
const RUNTIME: (&str, &str) = ("runtime", "Runtime");

/// How long running turns may take to end once the process is asked to. Nobody waits at a terminal, and what is cut
/// off here has to be done again.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(30);

/// The tokens of the Runtime in a data directory.
const TOKENS: &str = "tokens.json";

/// The first token, which is made where there is none, so that somebody can make the others count.
const FIRST_TOKEN: &str = "first-token";

/// The file of the tokens of the Runtime in `data_dir`.
pub(super) fn token_file(data_dir: &Path) -> TokenFile {
    TokenFile::new(data_dir.join(TOKENS))
}

/// What comes before there are threads.
pub(super) fn prepare(
    args: &ServeArgs,
    config: &Config,
    output: Output,
) -> anyhow::Result<(Prepared, Option<ServerTls>)> {
    let address = args.listen.or(config.server.listen).unwrap_or(DEFAULT_RUNTIME_LISTEN);
    // Before the process is confined: it opens neither file again.
    let tls = config.server.tls.as_ref().map(server_tls).transpose()?;
    let data_dir = args.data_dir.data_dir.as_deref();
    let listen = Listen { address, is_encrypted: tls.is_some() };
    Ok((Prepared::new(listen, data_dir, SHUTDOWN_GRACE, config, output)?, tls))
}

pub(super) async fn run(
    (prepared, tls): (Prepared, Option<ServerTls>),
    config: &Config,
    output: Output,
) -> anyhow::Result<Exit> {
    let (host, listener) = prepared.start(RUNTIME, config, output).await?;
    let address = listener.local_addr().context("failed to find out the port")?;
    let tokens = token_file(&host.dir);
    let is_local = address.ip().is_loopback();
    let (first, known) = tokio::task::block_in_place(|| {
        let first = is_local && first_token(&tokens, &host.dir)?;
        anyhow::Ok((first, tokens.list()?))
    })?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let names = config.server.names.iter().cloned().collect();
    let options = ServeOptions { tls, names, ..ServeOptions::default() };
    let server = RuntimeServer::new(host.runtime.clone(), tokens).with_serve_options(options);
    tokio::task::block_in_place(|| server.check(address)).with_context(|| {
        let (yoi, dir) = (own_name(), host.dir.display());
        format!("make a token first: `{yoi} token new --scope admin --data-dir {dir}`")
    })?;

    let url = format!("{scheme}://{address}");
    if output.is_json() {
        output.json(&serde_json::json!({ "url": url }))?;
    } else {
        output.line(&format!("yoi serves a Runtime: {url}"))?;
    }
    let yoi = own_name();
    let now = Timestamp::now();
    output.note(&if first {
        let file = host.dir.join(FIRST_TOKEN);
        format!("a token for everything is in {}; `{yoi} token new` makes others", file.display())
    } else if known.iter().all(|token| token.is_expired(now)) {
        format!("WARNING: no token lets anybody in; `{yoi} token new` makes one")
    } else {
        format!("`{yoi} token ls` lists who is let in")
    });
    output.note(&format!("conversations are kept in {}", host.lease.log_dir().display()));
    let stop = CancellationToken::new();
    host.serve(server.serve(listener, stop.clone()), stop, output).await
}

/// Makes a token where there is none, for whoever can read the data directory. Whether it did.
fn first_token(tokens: &TokenFile, dir: &Path) -> anyhow::Result<bool> {
    // Who removed the last one wants nobody in.
    if tokens.exists() {
        return Ok(false);
    }
    let new =
        NewToken { name: "first".to_owned(), scopes: [Scope::Admin].into(), ..NewToken::default() };
    // A token that nobody can be told of would be the only one for ever.
    write_private(dir, FIRST_TOKEN, b"")?;
    let (_, secret) = tokens.add(new)?;
    let token = Token::new(secret.reveal().to_owned());
    write_private(dir, FIRST_TOKEN, format!("{}\n", token.reveal()).as_bytes())?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command, RuntimeCli};

    /// The time to write out the log, on however slow a disk.
    const WRITING_OUT: Duration = Duration::from_secs(10);

    fn dist(file: &str) -> String {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../dist").join(file);
        fs::read_to_string(path).expect("a file of ours")
    }

    fn is_understood<'a>(line: impl IntoIterator<Item = &'a str>) {
        let cli = RuntimeCli::try_parse_from(line).expect("a command line");
        assert!(matches!(Cli::from(cli).command, Command::Serve(_)));
    }

    #[test]
    fn the_unit_starts_what_there_is_and_gives_it_time_to_end() {
        let unit = dist("worker-runtime.service");
        let value = |key: &str| {
            let mut values =
                unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            let value = values.next().unwrap_or_else(|| panic!("no {key}"));
            assert_eq!(values.next(), None, "{key} once");
            value
        };
        is_understood(value("ExecStart").split_ascii_whitespace());
        let stop = Duration::from_secs(value("TimeoutStopSec").parse().expect("seconds"));
        let serving = ServeOptions::default().drain_grace;
        assert!(stop >= SHUTDOWN_GRACE + serving + WRITING_OUT, "{stop:?}");
        assert_eq!(value("KillMode"), "mixed", "the launcher is needed to the end");
        assert_eq!(value("MemoryDenyWriteExecute"), "no", "compiled components are executed");
    }

    #[test]
    fn the_container_starts_what_there_is_and_is_told_to_end_in_good_order() {
        let file = dist("Containerfile");
        let words = |instruction: &str| -> Vec<String> {
            let mut lines = file.lines().filter_map(|line| line.strip_prefix(instruction));
            serde_json::from_str(lines.next().expect("the instruction")).expect("in exec form")
        };
        let line = [words("ENTRYPOINT "), words("CMD ")].concat();
        is_understood(line.iter().map(String::as_str));
        assert!(file.lines().any(|line| line == "STOPSIGNAL SIGTERM"));
        assert!(file.lines().any(|line| line.starts_with("USER ") && line != "USER 0"));
    }
}
