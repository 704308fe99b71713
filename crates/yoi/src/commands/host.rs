//! What `yoi up` and `yoi serve` have in common: a confined process with a Runtime that keeps its logs, on an
//! address of this machine, until it is asked to end.

use std::{
    error::Error,
    io,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use worker_runtime::{OpenStoreError, Runtime, Store, error_chain};
use yoi_config::Config;
use yoi_workspace_server::LaunchPolicy;

use crate::{
    confine::{Confined, confine},
    data_dir::{DataDirLease, data_dir},
    exit::Exit,
    models,
    output::Output,
    runtime_setup::Setup,
    signals::EndSignals,
};

/// Where below its directory a host keeps compiled components.
const COMPONENTS: &str = "components";

/// The same for the private directories of Workers.
const SCRATCH: &str = "scratch";

/// Where a host listens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listen {
    pub(super) address: SocketAddr,
    /// Whether other machines may come.
    pub(super) is_encrypted: bool,
}

/// What a host has before it has threads.
#[derive(Debug)]
pub(super) struct Prepared {
    address: SocketAddr,
    dir: PathBuf,
    lease: DataDirLease,
    confined: Confined,
    grace: Duration,
}

/// A host that runs.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) runtime: Runtime,
    /// What Workers of each profile are granted.
    pub(super) policy: LaunchPolicy,
    pub(super) dir: PathBuf,
    /// It was taken first and goes last: whoever has the directory next finds the logs free.
    pub(super) lease: DataDirLease,
    signals: EndSignals,
    grace: Duration,
}

impl Prepared {
    /// Takes the data directory, and confines this process to what it needs from then on. Where nothing
    /// is encrypted, the address must be of this machine alone. Running turns get `grace` to end once the process is asked
    /// to, unless the configuration says otherwise.
    pub(super) fn new(
        Listen { address, is_encrypted }: Listen,
        data_dir_option: Option<&Path>,
        grace: Duration,
        config: &Config,
        output: Output,
    ) -> anyhow::Result<Self> {
        let dir = data_dir(data_dir_option, config)?;
        if !is_encrypted {
            refuse_open_address(address)?;
        }
        // Before the port: where yoi runs already, that is the reason why the port is taken.
        let lease = DataDirLease::take(&dir)?;
        let confined = confine(config, &dir, output)?;
        let grace = config.server.shutdown_grace_s.map_or(grace, Duration::from_secs);
        Ok(Self { address, dir, lease, confined, grace })
    }

    /// Starts the Runtime, which goes by this id and name unless the configuration says otherwise.
    pub(super) async fn start(
        self,
        name: (&str, &str),
        config: &Config,
        output: Output,
    ) -> anyhow::Result<(Host, TcpListener)> {
        let Self { address, dir, lease, confined, grace } = self;
        let listener = listen(address).await?;
        let signals = EndSignals::listen()?;
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
        let policy = setup.launch_policy();
        let store = open_store(lease.log_dir()).await?;
        let runtime = setup.store(store).build_as(name, models).await?;
        Ok((Host { runtime, policy, dir, lease, signals, grace }, listener))
    }
}

impl Host {
    /// Serves until somebody asks to end. Then no new work is taken, and turns get a grace to end while who
    /// watches them is still served; asking once more ends it at once. `stop` ends the serving.
    pub(super) async fn serve<E: Error + Send + Sync + 'static>(
        mut self,
        serving: impl Future<Output = Result<(), E>>,
        stop: CancellationToken,
        output: Output,
    ) -> anyhow::Result<Exit> {
        let mut serving = pin!(serving);
        tokio::select! {
            ended = &mut serving => {
                ended?;
                anyhow::bail!("the server stopped serving by itself");
            }
            () = self.signals.next() => output.note("ending; once more to end at once"),
        }
        let finish = async {
            let drain = async {
                self.runtime.shutdown(self.grace).await;
                stop.cancel();
            };
            tokio::join!(drain, &mut serving).1
        };
        tokio::select! {
            ended = finish => {
                ended?;
                Ok(Exit::Done)
            }
            () = self.signals.next() => Ok(Exit::Interrupted),
        }
    }
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
         an address of this machine such as 127.0.0.1:{}, and come from elsewhere through \
         `ssh -L`; or encrypt, with `tls` below [server]",
        address.port()
    );
    Ok(())
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => anyhow::anyhow!(taken(address)),
        _ => anyhow::Error::new(error).context(format!("failed to listen on {address}")),
    })
}

/// The ports that Linux gives to whoever asks for none in particular, unless it is told otherwise.
const EPHEMERAL_PORTS: RangeInclusive<u16> = 32_768..=60_999;

/// Why nobody can listen there, and what can be done about it.
fn taken(address: SocketAddr) -> String {
    let port = address.port();
    let by_chance = if cfg!(target_os = "linux") && EPHEMERAL_PORTS.contains(&port) {
        format!(
            "\n  Linux may have given the port to a connection by chance; \
             `sysctl -w net.ipv4.ip_local_reserved_ports={port}` keeps it from that, see docs/operations.md"
        )
    } else {
        String::new()
    };
    format!(
        "{address} is taken by another program, perhaps another yoi: name another address with --listen, such as \
         --listen {}:0 for any free port{by_chance}",
        written(address.ip())
    )
}

/// An address as it stands in a URL.
pub(super) fn written(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_and_an_open_address_are_refused_with_a_way_out() {
        let taken = listen(([127, 0, 0, 1], 0).into()).await.expect("a free port");
        let address = taken.local_addr().expect("an address");
        let error = listen(address).await.expect_err("taken").to_string();
        assert!(error.contains("--listen 127.0.0.1:0"), "{error}");
        assert_eq!(error, super::taken(address));
        let by_chance =
            |port| super::taken(([127, 0, 0, 1], port).into()).contains("reserved_ports=");
        assert_eq!(by_chance(38_800), cfg!(target_os = "linux"));
        assert!(!by_chance(8_900), "nobody is given that by chance");
        let open = ([0, 0, 0, 0], 0).into();
        let error = refuse_open_address(open).expect_err("open").to_string();
        assert!(error.contains("ssh -L"), "{error}");
    }
}
