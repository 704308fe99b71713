//! A short campaign of kills, and what only a crash shows.

use std::path::PathBuf;

use test_support::crash::driver::{Campaign, FAILPOINTS};

/// A round without retention, and some kills with it.
const KILLS: u64 = 24;

#[test]
fn nothing_acknowledged_is_lost_repeated_or_reordered_by_kills_at_every_failpoint() {
    let directory = tempfile::tempdir().expect("a directory");
    let campaign = Campaign {
        child: vec![PathBuf::from(env!("CARGO_BIN_EXE_yoi-crash")), PathBuf::from("child")],
        kills: KILLS,
        seed: 0x10c,
        directory: directory.path().to_owned(),
    };
    let tally = campaign.run(|_| {}).expect("a campaign");
    assert!(tally.is_good(), "{tally}");
    assert_eq!(tally.total_kills(), KILLS);
    assert!(tally.extent.trimmed > 0, "{tally}");
    for point in FAILPOINTS {
        assert!(tally.kills[point].0 >= 1, "{tally}");
    }
}
