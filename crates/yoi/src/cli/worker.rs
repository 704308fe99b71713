//! `yoi worker`: what can be written of Workers, and of who has them.

use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use worker_types::{
    ComponentRef, Cursor, Grant, IdempotencyKey, IfBusy, InvalidName, ItemId, ProfileName,
    RuntimeId, TurnId, WorkspaceName,
};

use super::{BackendArgs, idempotency_key, item, label, turn};

/// Whom to ask about Workers.
#[derive(Debug, Args)]
pub(crate) struct HostArgs {
    /// A Runtime: the id of one of the Backend's [default: all; for a new Worker the only one], or the address
    /// of a Runtime process to ask by itself, its token in YOI_TOKEN
    #[arg(long, value_name = "ID|URL")]
    pub(crate) runtime: Option<RuntimeArg>,
    #[command(flatten)]
    pub(crate) backend: BackendArgs,
}

impl HostArgs {
    /// The Runtime of the Backend that is named.
    pub(crate) fn runtime_id(&self) -> Option<&RuntimeId> {
        match &self.runtime {
            Some(RuntimeArg::Id(id)) => Some(id),
            Some(RuntimeArg::Url(_)) | None => None,
        }
    }
}

/// A Runtime as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RuntimeArg {
    Id(RuntimeId),
    Url(String),
}

impl FromStr for RuntimeArg {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text.contains("://") {
            Ok(Self::Url(text.to_owned()))
        } else {
            text.parse().map(Self::Id)
        }
    }
}

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  yoi worker create companion --name Ada \"hello\"
  yoi worker ls --status idle
  yoi worker send 1f8a3c02 \"and now?\"
  yoi worker attach 1f8a3c02
  yoi worker transcript 1f8a3c02
  yoi worker ls --runtime https://host.example:38800

An ID is what `ls` prints, or any beginning or end of a Worker's id that only one has.")]
pub(crate) enum WorkerCommand {
    /// List Workers
    Ls {
        /// Only those in this state
        #[arg(long, value_name = "STATE", value_parser = STATES)]
        status: Option<String>,
        /// Only those with this label; may be repeated
        #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
        labels: Vec<(String, String)>,
        #[command(flatten)]
        host: HostArgs,
    },
    /// Create a Worker, and give it a first input if there is one
    #[command(after_help = "\
Without an input, the Worker's id goes to standard output. With one, the answer does, as it comes,
and the id goes to standard error, and so does what the Worker may do. Ctrl-C cancels the turn; the
Worker stays.")]
    Create {
        /// The profile: how it behaves. The Backend's policy decides what it may do
        profile: ProfileName,
        /// What to say to it first, if anything; `-` reads standard input
        input: Option<String>,
        /// A name for eyes
        #[arg(long)]
        name: Option<String>,
        /// The workspace of the Backend that it works in [default: none]
        #[arg(long, value_name = "NAME")]
        workspace: Option<WorkspaceName>,
        /// File it under a label; may be repeated
        #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
        labels: Vec<(String, String)>,
        #[command(flatten)]
        host: HostArgs,
    },
    /// Show one Worker
    Show {
        #[command(flatten)]
        worker: WorkerArgs,
        /// How many of its newest turns to list
        #[arg(long, value_name = "N", default_value_t = 5)]
        #[arg(value_parser = clap::value_parser!(u16).range(1..=1_000))]
        turns: u16,
    },
    /// Give a Worker an input, and print the answer as it comes
    #[command(after_help = "\
Ctrl-C cancels the turn.

With --idempotency-key the same line can be run again when it is not known whether it arrived: the
Worker gets the input once, and the same answer is printed.")]
    Send {
        #[command(flatten)]
        worker: WorkerArgs,
        /// What to say to it; `-` reads standard input
        input: String,
        /// What to do while another turn runs
        #[arg(long, value_name = "WHAT", value_enum, default_value_t = WhenBusy::Reject)]
        if_busy: WhenBusy,
        /// A name for this request, of your choice
        #[arg(long, value_name = "KEY", value_parser = idempotency_key)]
        idempotency_key: Option<IdempotencyKey>,
        /// Return once the input is accepted
        #[arg(long)]
        no_wait: bool,
    },
    /// Follow a Worker as it works, and talk to it
    #[command(after_help = "\
Examples:
  yoi worker attach 1f8a3c02
  yoi worker attach 1f8a3c02 --all < /dev/null > session.txt
  yoi --json worker attach 1f8a3c02 --from 0

It shows the end of the transcript, and then what the Worker says and does, as it comes. Every line that you
type is an input. Ctrl-C cancels the turn that runs; once more, or where none runs, it detaches, and so does
Ctrl-D. The Worker goes on. A connection that breaks is taken up again where it broke, also at a Backend
that was started anew.

Where standard input is no terminal, nothing is read from it: what the Worker does is shown until it is
stopped or deleted, or Ctrl-C. With --json the Worker's events are printed, one JSON object a line, those
from now on; a piece of an open item may come twice, as `offset` tells, and no other event does.")]
    Attach {
        #[command(flatten)]
        worker: WorkerArgs,
        #[command(flatten)]
        begin: BeginArgs,
        /// What to do with a line while another turn runs
        #[arg(long, value_name = "WHAT", value_enum, default_value_t = WhenBusy::Queue)]
        if_busy: WhenBusy,
    },
    /// Print what was said and done, and how a turn ended that did not complete
    #[command(after_help = "\
A long item is cut; the line after it has its number, and says how to see all of it. With --json
every item has its number, as `id`.")]
    Transcript {
        #[command(flatten)]
        worker: WorkerArgs,
        /// Only this item, all of it, by its number
        #[arg(long, value_name = "N", value_parser = item)]
        item: Option<ItemId>,
    },
    /// Print what the Worker's own code wrote to its standard output and error
    Logs {
        #[command(flatten)]
        worker: WorkerArgs,
        /// Only of this turn, by its number
        #[arg(long, value_name = "N", value_parser = turn)]
        turn: Option<TurnId>,
    },
    /// Cancel a Worker's running turn
    Cancel(WorkerArgs),
    /// Stop a Worker: its turn is cancelled, and no other begins
    Stop(WorkerArgs),
    /// Take grants away from a Worker, for ever
    #[command(after_help = "\
Examples:
  yoi worker revoke 1f8a3c02 preopen:/workspace
  yoi worker revoke 1f8a3c02 llm

`show` lists what a Worker is granted. A turn that runs is cancelled; later ones find the grant revoked.")]
    Revoke {
        #[command(flatten)]
        worker: WorkerArgs,
        /// What to take away: `llm`, or `preopen:` and the path where the Worker sees a directory
        #[arg(required = true, value_name = "GRANT")]
        grants: Vec<Grant>,
    },
    /// Move a Worker to another component, between turns
    #[command(after_help = "\
The Worker keeps its profile's settings, its grants, its transcript and its state. A component that
would need more than the Worker is granted is refused, with what it would need.")]
    Upgrade {
        #[command(flatten)]
        worker: WorkerArgs,
        /// The component: `builtin:NAME`, or `sha256:` and the digest of one that a profile names or that was pushed
        component: ComponentRef,
    },
    /// Start a stopped Worker
    Start(WorkerArgs),
    /// Delete a stopped Worker, with everything it said and did
    Rm(WorkerArgs),
}

/// The states that `ls` can look for.
const STATES: [&str; 4] = ["idle", "running", "stopped", "unavailable"];

/// What becomes of an input while another turn runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WhenBusy {
    /// Refuse it
    Reject,
    /// Give it a turn of its own, after those that wait already
    Queue,
    /// Give it to the running turn, or if that does not take it in, a turn of its own
    Steer,
}

impl From<WhenBusy> for IfBusy {
    fn from(when: WhenBusy) -> Self {
        match when {
            WhenBusy::Reject => Self::Reject,
            WhenBusy::Queue => Self::Queue,
            WhenBusy::Steer => Self::Steer,
        }
    }
}

/// Where to begin to look.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct BeginArgs {
    /// Begin with so many entries of the transcript [default: 20]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub(crate) last: Option<u32>,
    /// Begin with all of the transcript
    #[arg(long)]
    pub(crate) all: bool,
    /// Begin with the events after this one, by its `seq`, instead of the transcript
    #[arg(long, value_name = "SEQ")]
    pub(crate) from: Option<Cursor>,
}

#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    /// The Worker
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) host: HostArgs,
}
