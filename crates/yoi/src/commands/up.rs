//! `yoi up`: the Backend with an embedded Runtime, the Browser API and the console.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;
use yoi_config::{Config, DEFAULT_LISTEN};
use yoi_workspace_server::{
    AccessToken, Backend, Registration, RemoteDefinitions, RuntimeRegistry, RuntimeSource,
};

use crate::{
    cli::{UpArgs, own_name},
    commands::host::{self, Listen, Prepared},
    data_dir::{BackendFile, Token},
    exit::Exit,
    output::Output,
    remotes,
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
    remotes: Vec<Registration>,
}

/// Reads what the confined process could not.
pub(super) fn prepare(
    args: &UpArgs,
    config: &Config,
    output: Output,
) -> anyhow::Result<PreparedBackend> {
    let remotes = remotes::registrations(config)?;
    let address = args.listen.or(config.server.listen).unwrap_or(DEFAULT_LISTEN);
    let data_dir = args.data_dir.data_dir.as_deref();
    let listen = Listen { address, is_encrypted: false };
    let host = Prepared::new(listen, data_dir, SHUTDOWN_GRACE, config, output)?;
    Ok(PreparedBackend { host, remotes })
}

pub(super) async fn run(
    PreparedBackend { host: prepared, remotes }: PreparedBackend,
    config: &Config,
    output: Output,
) -> anyhow::Result<Exit> {
    let (mut host, listener) = prepared.start(RUNTIME, config, output).await?;
    let registry = RuntimeRegistry::new();
    registry.register(Registration::new(RuntimeSource::embedded(host.runtime.clone())))?;
    for remote in remotes {
        registry.register(remote)?;
    }
    let token = AccessToken::generate();
    let kept = RemoteDefinitions::open(&host.dir)
        .context("failed to read remotes.json in the data directory")?;
    let backend = Backend::new(registry, host.policy.clone(), &token).with_remotes(kept);

    let address = listener.local_addr().context("failed to find out the port")?;
    let url = format!("http://{address}");
    host.lease.announce(&BackendFile {
        url: url.clone(),
        token: Token::new(token.reveal().to_owned()),
        pid: std::process::id(),
    })?;
    drop(token);
    announce(output, address, &format!("{url}{}", backend.login_link()))?;
    output.note(&format!("conversations are kept in {}", host.lease.log_dir().display()));
    let stop = CancellationToken::new();
    host.serve(backend.serve(listener, stop.clone()), stop, output).await
}

/// Says that the Backend is ready. Standard output gets one line, for programs that wait for it.
fn announce(output: Output, address: SocketAddr, link: &str) -> io::Result<()> {
    if output.is_json() {
        output.json(&serde_json::json!({ "url": link }))?;
    } else {
        output.line(&format!("yoi is ready: {link}"))?;
    }
    let yoi = own_name();
    output.note(&format!("the link signs one browser in, once; `{yoi} url` prints another"));
    if let Ok(connection) = std::env::var("SSH_CONNECTION")
        && let Some(command) = forwarding(&connection, address)
    {
        output.note(&format!("to open it on your own machine, run there: {command}"));
    }
    Ok(())
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
