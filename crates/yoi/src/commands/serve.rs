//! `yoi serve`: a Runtime over HTTP, for Backends and programs elsewhere.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use anyhow::Context as _;
use http_api::{ServeOptions, ServerTls};
use runtime_server::{NewToken, RuntimeServer, Scope, TokenFile};
use tokio_util::sync::CancellationToken;
use yoi_config::{Config, TlsConfig};

use crate::{
    cli::{ServeArgs, own_name},
    commands::host::Prepared,
    data_dir::{Token, write_private},
    exit::Exit,
    output::Output,
};

/// Where a Runtime is served that nobody gave another address.
const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 38_800);

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
) -> anyhow::Result<Prepared> {
    let address = args.listen.or(config.server.listen).unwrap_or(DEFAULT_LISTEN);
    // Before the process is confined: it opens neither file again.
    let tls = config.server.tls.as_ref().map(server_tls).transpose()?;
    let data_dir = args.data_dir.data_dir.as_deref();
    Prepared::new((address, tls), data_dir, SHUTDOWN_GRACE, config, output)
}

pub(super) async fn run(
    prepared: Prepared,
    config: &Config,
    output: Output,
) -> anyhow::Result<Exit> {
    let (tokens, tls) = (token_file(&prepared.dir), prepared.tls.clone());
    anyhow::ensure!(
        prepared.address.ip().is_loopback() || tokens.exists(),
        "{} can be reached from other machines, and there is no token yet: `{} token new` makes one",
        prepared.address,
        own_name()
    );
    let (host, listener) = prepared.start(RUNTIME, config, output).await?;
    let address = listener.local_addr().context("failed to find out the port")?;
    let first = tokio::task::block_in_place(|| first_token(&tokens, &host.dir))?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let names = config.server.names.iter().cloned().collect();
    let options = ServeOptions { tls, names, ..ServeOptions::default() };
    let server = RuntimeServer::new(host.runtime.clone(), tokens).with_serve_options(options);

    let url = format!("{scheme}://{address}");
    if output.is_json() {
        output.json(&serde_json::json!({ "url": url }))?;
    } else {
        output.line(&format!("yoi serves a Runtime: {url}"))?;
    }
    match first {
        true => output.note(&format!(
            "a token for everything is in {}; `{} token new` makes others",
            host.dir.join(FIRST_TOKEN).display(),
            own_name()
        )),
        false => output.note(&format!("`{} token ls` lists who is let in", own_name())),
    }
    output.note(&format!("conversations are kept in {}", host.lease.log_dir().display()));
    let stop = CancellationToken::new();
    host.serve(server.serve(listener, stop.clone()), stop, output).await
}

/// What the configured files have.
fn server_tls(files: &TlsConfig) -> anyhow::Result<ServerTls> {
    let read = |what: &str, path: &Path| {
        let contents = fs::read(path);
        contents.with_context(|| format!("failed to read the {what} in {}", path.display()))
    };
    let certificate = read("certificate", &files.certificate)?;
    let key = read("key", &files.key)?;
    #[cfg(unix)]
    refuse_open_key(&files.key)?;
    ServerTls::from_pem(&certificate, &key).with_context(|| {
        format!("{} and {} are not used", files.certificate.display(), files.key.display())
    })
}

/// A key that everybody on this machine can read proves nothing.
#[cfg(unix)]
fn refuse_open_key(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path)?.permissions().mode();
    anyhow::ensure!(
        mode & 0o007 == 0,
        "everybody on this machine can read or write the key in {file}: `chmod o= {file}`",
        file = path.display()
    );
    Ok(())
}

/// Makes a token where there is none, for whoever can read the data directory. Whether it did.
fn first_token(tokens: &TokenFile, dir: &Path) -> anyhow::Result<bool> {
    // Who removed the last one wants nobody in.
    if tokens.exists() {
        return Ok(false);
    }
    let new =
        NewToken { name: "first".to_owned(), scopes: [Scope::Admin].into(), ..NewToken::default() };
    let (_, secret) = tokens.add(new)?;
    let token = Token::new(secret.reveal().to_owned());
    write_private(dir, FIRST_TOKEN, format!("{}\n", token.reveal()).as_bytes())?;
    Ok(true)
}
