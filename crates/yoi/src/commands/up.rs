//! `yoi up`: the Backend with an embedded Runtime, the Browser API and the console.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;
use yoi_config::{Config, DEFAULT_LISTEN};
use yoi_workspace_server::{
    AccessToken, Backend, BackendServeError, Registration, RemoteDefinitions, RuntimeRegistry,
    RuntimeSource, ServeOptions, ServerTls,
};

use crate::{
    cli::{UpArgs, own_name},
    commands::{
        host::{self, Listen, Prepared},
        password::password_file,
        tls::server_tls,
    },
    data_dir::{BackendFile, Token, data_dir},
    exit::Exit,
    output::Output,
    remotes::Remotes,
};

/// What the embedded Runtime goes by that the operator gave no other name.
const RUNTIME: (&str, &str) = ("backend-internal", "Backend");

/// How long running turns may take to end once the process is asked to: a model's answer is often
/// there by then, and whoever asked waits for it.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// What comes before there are threads.
#[derive(Debug)]
pub(super) struct PreparedBackend {
    host: Prepared,
    remotes: Remotes,
    tls: Option<ServerTls>,
}

/// Reads what the confined process could not.
pub(super) fn prepare(
    args: &UpArgs,
    config: &Config,
    output: Output,
) -> anyhow::Result<PreparedBackend> {
    let data_dir_option = args.data_dir.data_dir.as_deref();
    let remotes = Remotes::read(config, &data_dir(data_dir_option, config)?)?;
    let tls = config.server.tls.as_ref().map(server_tls).transpose()?;
    let address = args.listen.or(config.server.listen).unwrap_or(DEFAULT_LISTEN);
    let listen = Listen { address, is_encrypted: tls.is_some() };
    let host = Prepared::new(listen, data_dir_option, SHUTDOWN_GRACE, config, output)?;
    Ok(PreparedBackend { host, remotes, tls })
}

pub(super) async fn run(
    PreparedBackend { host: prepared, remotes, tls }: PreparedBackend,
    config: &Config,
    output: Output,
) -> anyhow::Result<Exit> {
    let (mut host, listener) = prepared.start(RUNTIME, config, output).await?;
    let registry = RuntimeRegistry::new();
    registry.register(Registration::new(RuntimeSource::embedded(host.runtime.clone())))?;
    for remote in remotes.registrations {
        registry.register(remote)?;
    }
    let token = AccessToken::generate();
    let kept = RemoteDefinitions::open(&host.dir)
        .context("failed to read remotes.json in the data directory")?
        .beside(remotes.definitions);
    let address = listener.local_addr().context("failed to find out the port")?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let fingerprint = tls.as_ref().map(|tls| tls.fingerprint().to_owned());
    let names = config.server.names.iter().cloned().collect();
    let backend = Backend::new(registry, host.policy.clone(), &token)
        .with_remotes(kept)
        .with_password(password_file(&host.dir))
        .with_serve_options(ServeOptions { tls, names, ..ServeOptions::default() });
    tokio::task::block_in_place(|| backend.check(address))
        .map_err(|error| unserved(error, &host.dir))?;

    host.lease.announce(&BackendFile {
        url: format!("{scheme}://{}", reached_here(address)),
        fingerprint,
        token: Token::new(token.reveal().to_owned()),
        pid: std::process::id(),
    })?;
    drop(token);
    if address.ip().is_loopback() {
        let link = format!("{scheme}://{address}{}", backend.login_link());
        announce(output, &link)?;
        say_how_to_sign_in(output, address);
    } else {
        let host = match config.server.names.first() {
            Some(name) => name.as_str().parse().map_or(name.to_string(), host::written),
            None => host::written(address.ip()),
        };
        announce(output, &format!("{scheme}://{host}:{}", address.port()))?;
        let yoi = own_name();
        output
            .note(&format!("browsers sign in with the password; `{yoi} password set` changes it"));
    }
    output.note(&format!("conversations are kept in {}", host.lease.log_dir().display()));
    let stop = CancellationToken::new();
    host.serve(backend.serve(listener, stop.clone()), stop, output).await
}

/// Why the Backend is not served, and what can be done about it from the command line.
fn unserved(error: BackendServeError, dir: &Path) -> anyhow::Error {
    let remedy = match error {
        BackendServeError::NoPassword { .. } => {
            format!("set one first: `{} password set --data-dir {}`", own_name(), dir.display())
        }
        _ => format!("the data directory {} is not used", dir.display()),
    };
    anyhow::Error::new(error).context(remedy)
}

/// Where programs of this machine reach it.
fn reached_here(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Says that the Backend is ready. Standard output gets one line, for programs that wait for it.
fn announce(output: Output, url: &str) -> io::Result<()> {
    if output.is_json() {
        output.json(&serde_json::json!({ "url": url }))
    } else {
        output.line(&format!("yoi is ready: {url}"))
    }
}

/// What can be done with a link.
fn say_how_to_sign_in(output: Output, address: SocketAddr) {
    let yoi = own_name();
    output.note(&format!("the link signs one browser in, once; `{yoi} url` prints another"));
    if let Ok(connection) = std::env::var("SSH_CONNECTION")
        && let Some(command) = forwarding(&connection, address)
    {
        output.note(&format!("to open it on your own machine, run there: {command}"));
    }
}

/// The command that makes the Backend reachable from where the SSH connection came from.
/// `connection` holds the client's address and port, then the server's.
fn forwarding(connection: &str, address: SocketAddr) -> Option<String> {
    let mut parts = connection.split_ascii_whitespace().skip(2);
    let server: IpAddr = parts.next()?.parse().ok()?;
    let ssh_port: u16 = parts.next()?.parse().ok()?;
    let login = match ssh_port {
        22 => server.to_string(),
        other => format!("-p {other} {server}"),
    };
    let port = address.port();
    Some(format!("ssh -L {port}:{}:{port} {login}", host::written(address.ip())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_this_machine_reach_what_listens_everywhere_by_loopback() {
        let reached =
            |address: &str| reached_here(address.parse().expect("an address")).to_string();
        assert_eq!(reached("0.0.0.0:8900"), "127.0.0.1:8900");
        assert_eq!(reached("[::]:8900"), "[::1]:8900");
        assert_eq!(reached("192.0.2.1:8900"), "192.0.2.1:8900");
    }

    #[test]
    fn the_forwarding_command_goes_back_the_way_the_connection_came() {
        let command = |connection| forwarding(connection, DEFAULT_LISTEN);
        assert_eq!(
            command("198.51.100.7 50000 192.0.2.1 22").as_deref(),
            Some("ssh -L 8900:127.0.0.1:8900 192.0.2.1")
        );
        assert_eq!(
            command("2001:db8::7 50000 2001:db8::1 2222").as_deref(),
            Some("ssh -L 8900:127.0.0.1:8900 -p 2222 2001:db8::1")
        );
        assert_eq!(command(""), None);
        assert_eq!(command("a b $(reboot) 22"), None);
    }
}
