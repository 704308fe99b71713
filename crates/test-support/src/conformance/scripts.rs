//! Scripts: what they write is said, and how they end is how the turn ends.

use worker_types::{
    Capability, FailureKind, Grants, Outcome, RuntimeError, ShellGrant, StopReason,
};

use super::{
    Setting,
    guest::{begin, of, run, said},
};
use crate::operations::Operations;

/// The host of these tests.
#[must_use]
pub fn setting() -> Setting {
    Setting { shell: true, ..Setting::default() }
}

fn shell() -> Grants {
    Grants::none().with_shell(ShellGrant::default())
}

/// The Worker that ships with the product.
pub async fn a_script_is_said_and_its_code_is_the_outcome(host: &impl Operations) {
    let id = host.create(of("shell").grants(shell())).await.expect("a Worker").worker_id;
    assert_eq!(run(host, id, "for i in 1 2; do echo $i; done | tac").await, Outcome::Completed);
    assert_eq!(said(host, id).await, ["2\n1\n"]);
    let outcome = run(host, id, "echo last; exit 3").await;
    let Outcome::Failed { kind: FailureKind::Guest, message } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(message, "the script exited with code 3");
    assert_eq!(said(host, id).await, ["2\n1\n", "last\n"]);
}

/// At its creation, and not in its first turn.
pub async fn without_the_grant_there_are_no_scripts(host: &impl Operations) {
    let refused = host.create(of("shell")).await.expect_err("not granted");
    let RuntimeError::MissingGrant { interface, capability, .. } = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(interface, "yoi:worker/shell@0.1.0");
    assert_eq!(capability, Some(Capability::Shell));
    let long = Grants::none().with_shell(ShellGrant { timeout_ms: u64::MAX });
    let refused = host.create(of("shell").grants(long)).await.expect_err("too long");
    assert!(matches!(refused, RuntimeError::GrantExceedsCeiling { .. }), "{refused:?}");
}

/// Whatever it does.
pub async fn a_cancel_ends_the_script(host: &impl Operations) {
    let id = host.create(of("shell").grants(shell())).await.expect("a Worker").worker_id;
    for script in ["sleep 600", "while :; do :; done", "yes > /dev/null"] {
        let turn_id = begin(host, id, script).await;
        host.cancel(id, Some(turn_id)).await.expect("cancelled");
        let cancelled = Outcome::Cancelled { reason: StopReason::Cancel };
        assert_eq!(host.outcome(id, turn_id).await, Ok(cancelled), "{script}");
        assert_eq!(run(host, id, "echo on").await, Outcome::Completed);
    }
}
