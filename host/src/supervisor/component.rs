//! The component that the Worker goes by: loaded before a turn, and exchanged between turns.

use std::sync::Arc;

use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;
use worker_types::Upgraded;

use super::{Reply, Supervisor};
use crate::{
    journal::{Journal, Lost},
    runtime::{InstalledProfile, difference, store_error},
    worker::Command,
};

impl Supervisor {
    /// Moves the Worker to the component of `profile`, unless it needs more than the Worker has.
    pub(super) async fn upgrade(
        &mut self,
        journal: &mut Journal,
        profile: Arc<InstalledProfile>,
        reply: Reply<Upgraded>,
    ) -> Result<(), Lost> {
        let difference = match difference(&self.cell.authority(), &profile) {
            Ok(difference) => difference,
            Err(refused) => {
                let _ = reply.send(Err(refused));
                return Ok(());
            }
        };
        let command = Command::Upgrade {
            profile: Box::new(profile.profile.clone()),
            component: profile.digest,
        };
        let committed = journal.commit(vec![command]).await;
        if matches!(committed, Ok(Ok(()))) {
            self.cell.upgrade(profile);
        }
        let _ = reply.send(match &committed {
            Ok(decided) => decided.clone().map(|()| difference),
            Err(Lost(error)) => Err(store_error(error)),
        });
        committed.map(drop)
    }

    /// Whether the Worker's component can be instantiated; where it cannot, the Worker becomes
    /// unavailable. Compiling one may take a while: whoever wants an end is served meanwhile.
    pub(super) async fn component_is_ready(&mut self, journal: &mut Journal) -> Result<bool, Lost> {
        if !self.settle_scopes(journal).await {
            return Ok(false);
        }
        let profile = self.cell.authority().profile;
        if profile.loaded().is_some() {
            return Ok(true);
        }
        let runtime = Arc::clone(&self.runtime);
        let load = async move { profile.component(&runtime).await.map(drop) };
        let mut loading = AbortOnDropHandle::new(self.runtime.host.spawn(load.in_current_span()));
        let runtime = Arc::clone(&self.runtime);
        let loaded = loop {
            tokio::select! {
                biased;
                () = runtime.interrupt.cancelled() => return Ok(false),
                Some(request) = self.requests.recv() => {
                    self.dispatch(journal, request).await?;
                    if journal.state().is_deleted() {
                        return Ok(false);
                    }
                }
                loaded = &mut loading => break loaded,
            }
        };
        let reason = match loaded {
            Ok(Ok(())) => None,
            Ok(Err(reason)) => Some(reason),
            Err(_) => Some("loading its component failed".to_owned()),
        };
        let is_ready = reason.is_none();
        self.runtime.count(self.cell.set_unavailable(reason));
        if !is_ready {
            let error = self.unavailable();
            self.waiting.drain(..).for_each(|(_, reply)| drop(reply.send(Err(error.clone()))));
        }
        Ok(is_ready)
    }
}
