//! `yoi up`: the Backend with an embedded Runtime, the Browser API and the console.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use worker_runtime::{OpenStoreError, Runtime, Store, error_chain};
use yoi_config::{Config, DEFAULT_LISTEN};
use yoi_workspace_server::{AccessToken, Backend, LaunchPolicy, RuntimeRegistry, RuntimeSource};

use crate::{
    cli::{UpArgs, own_name},
    confine::{Confined, confine},
    data_dir::{BackendFile, DataDirLease, Token, data_dir},
    exit::Exit,
    models,
    output::Output,
    runtime_setup::Setup,
    signals::EndSignals,
};

/// Where below its directory the Backend keeps compiled components.
const COMPONENTS: &str = "components";

/// The same for the private directories of Workers.
const SCRATCH: &str = "scratch";

/// How long running turns may take to end once the Backend is asked to: a model's answer is often
/// there by then, and whoever asked waits for it.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// What a Backend has before it has threads.
#[derive(Debug)]
pub(crate) struct Prepared {
    address: SocketAddr,
    dir: PathBuf,
    lease: DataDirLease,
    confined: Confined,
}

/// Takes the data directory, and confines this process to what it needs from then on.
pub(crate) fn prepare(args: &UpArgs, config: &Config, output: Output) -> anyhow::Result<Prepared> {
    let address = args.listen.or(config.server.listen).unwrap_or(DEFAULT_LISTEN);
    let dir = data_dir(args.data_dir.data_dir.as_deref(), config)?;
    refuse_open_address(address)?;
    // Before the port: where yoi runs already, that is the reason why the port is taken.
    let lease = DataDirLease::take(&dir)?;
    let confined = confine(config, &dir, output)?;
    Ok(Prepared { address, dir, lease, confined })
}

pub(crate) async fn run(
    prepared: Prepared,
    config: &Config,
    output: Output,
) -> anyhow::Result<Exit> {
    let Prepared { address, dir, mut lease, confined } = prepared;
    let listener = listen(address).await?;
    let mut signals = EndSignals::listen()?;

    let setup = Setup::new(config)?
        .component_cache(dir.join(COMPONENTS))
        .scratch(dir.join(SCRATCH))
        .confined(confined);
    let models = models::models(config, &setup.granted_aliases()).await?;
    for model in models.iter() {
        let info = model.info();
        output.note(&format!("model {}: {}", model.alias(), models::describe(&info)));
        if models::is_offline(&info) {
            output.note(&format!("  for a real one, {}", models::HOW_TO_SET_A_MODEL));
        }
    }
    let policy = LaunchPolicy::new(setup.policy().clone());
    let store = open_store(lease.log_dir()).await?;
    let runtime = setup.store(store).build(models).await?;
    let registry = RuntimeRegistry::new();
    registry.register(RuntimeSource::embedded(runtime.clone()))?;
    let token = AccessToken::generate();
    let backend = Backend::new(registry, policy, &token);

    let address = listener.local_addr().context("failed to find out the port")?;
    let url = format!("http://{address}");
    lease.announce(&BackendFile {
        url: url.clone(),
        token: Token::new(token.reveal().to_owned()),
        pid: std::process::id(),
    })?;
    drop(token);
    announce(output, address, &format!("{url}{}", backend.login_link()))?;
    output.note(&format!("conversations are kept in {}", lease.log_dir().display()));

    // The lease was taken first and goes last: whoever has the directory next finds the logs free.
    serve(&backend, listener, &runtime, &mut signals, output).await
}

/// Opens the logs of Workers, which takes as long as the disk does.
async fn open_store(directory: PathBuf) -> anyhow::Result<Store> {
    let opened = tokio::task::spawn_blocking(move || Store::sqlite(directory)).await;
    opened.context("failed to open the logs")?.map_err(|error| unopened(&error))
}

/// Why the logs cannot be opened, and what can be done about it from the command line.
fn unopened(error: &OpenStoreError) -> anyhow::Error {
    anyhow::anyhow!(
        "{}\n  --data-dir names another directory, where yoi begins with no conversations",
        error_chain(error)
    )
}

fn refuse_open_address(address: SocketAddr) -> anyhow::Result<()> {
    anyhow::ensure!(
        address.ip().is_loopback(),
        "{address} can be reached from other machines, and nothing is encrypted here: listen on \
         an address of this machine such as {DEFAULT_LISTEN}, and come from elsewhere through \
         `ssh -L`"
    );
    Ok(())
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => anyhow::anyhow!(
            "{address} is taken by another program, perhaps another yoi: name another address with --listen, such as \
             --listen {}:0 for any free port",
            host(address.ip())
        ),
        _ => anyhow::Error::new(error).context(format!("failed to listen on {address}")),
    })
}

fn host(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
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
    Some(format!("ssh -L {port}:{}:{port} {login}", host(address.ip())))
}

async fn serve(
    backend: &Backend,
    listener: TcpListener,
    runtime: &Runtime,
    signals: &mut EndSignals,
    output: Output,
) -> anyhow::Result<Exit> {
    let stop = CancellationToken::new();
    let mut serving = std::pin::pin!(backend.serve(listener, stop.clone()));
    tokio::select! {
        ended = &mut serving => {
            ended?;
            anyhow::bail!("the Backend stopped serving by itself");
        }
        () = signals.next() => output.note("ending; once more to end at once"),
    }
    // Browsers stay connected while turns end, so that they see how.
    let finish = async {
        let drain = async {
            runtime.shutdown(SHUTDOWN_GRACE).await;
            stop.cancel();
        };
        tokio::join!(drain, &mut serving).1
    };
    tokio::select! {
        ended = finish => {
            ended?;
            Ok(Exit::Done)
        }
        () = signals.next() => Ok(Exit::Interrupted),
    }
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

    #[tokio::test]
    async fn a_taken_port_and_an_open_address_are_refused_with_a_way_out() {
        let taken = listen(([127, 0, 0, 1], 0).into()).await.expect("a free port");
        let address = taken.local_addr().expect("an address");
        let error = listen(address).await.expect_err("taken").to_string();
        assert!(error.contains("--listen 127.0.0.1:0"), "{error}");
        let open = ([0, 0, 0, 0], 0).into();
        let error = refuse_open_address(open).expect_err("open").to_string();
        assert!(error.contains("ssh -L"), "{error}");
    }
}
