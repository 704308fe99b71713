//! What the child does until it is killed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::future::join_all;
use tokio::sync::mpsc::UnboundedSender;
use worker_runtime::Runtime;
use worker_types::{IfBusy, WorkerId, WorkerQuery};

use super::{
    child::Teller,
    perform::perform,
    random::Random,
    record::{LANE, Record, Reply, Request},
};

/// Workers of a lane that live at once.
const WORKERS: usize = 3;

/// What inputs say. Those that never end do so by a cancel, a stop or a crash.
const COMMANDS: [&str; 18] = [
    "hello",
    "utter: a|bc|def",
    "utter-many: 300",
    "utter-drop: half",
    "utter-hang",
    "tool: 1",
    "tool: {\"k\": [1, 2]}",
    "tool-fail: no",
    "tool-drop",
    "tool-trap",
    "state-set: k=TOKEN",
    "state-remove: k",
    "steering",
    "spin",
    "sleep: 20",
    "say: 30000",
    "say-many: 8",
    "fail: no",
];

/// One caller of many, and the Workers it commands.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) number: u64,
    pub(super) life: u64,
    pub(super) runtime: Runtime,
    pub(super) teller: Teller,
    pub(super) ops: Arc<AtomicU64>,
    pub(super) random: Random,
    /// Names what this lane sent.
    pub(super) sent: u64,
}

/// Makes requests for ever.
pub(super) async fn run(mut lane: Lane, new_workers: UnboundedSender<WorkerId>) {
    let label = [(LANE.to_owned(), lane.number.to_string())].into();
    let query = WorkerQuery { labels: label, ..Default::default() };
    let mut workers: Vec<WorkerId> = match lane.runtime.workers(&query) {
        Ok(page) => page.workers.iter().map(|view| view.worker_id).collect(),
        Err(_) => Vec::new(),
    };
    for id in &workers {
        // Everybody follows every Worker; one that is followed already stays so.
        let _ = new_workers.send(*id);
    }
    loop {
        if workers.is_empty() || workers.len() < WORKERS && lane.random.percent(20) {
            if let Some(id) = lane.create().await {
                let _ = new_workers.send(id);
                workers.push(id);
            }
            continue;
        }
        let worker_id = *lane.random.pick(&workers);
        match lane.random.below(100) {
            0..60 => lane.inputs(worker_id).await,
            60..82 => lane.cancel(worker_id).await,
            82..88 => drop(lane.ask(Request::Stop { worker_id }).await),
            88..96 => drop(lane.ask(Request::Start { worker_id }).await),
            _ => {
                lane.ask(Request::Stop { worker_id }).await;
                if lane.random.percent(50) {
                    let reply = lane.ask(Request::Delete { worker_id }).await;
                    if reply == Reply::Done {
                        workers.retain(|id| *id != worker_id);
                    }
                } else {
                    lane.ask(Request::Start { worker_id }).await;
                }
            }
        }
    }
}

impl Lane {
    fn token(&mut self) -> String {
        self.sent += 1;
        format!("{}-{}-{}", self.life, self.number, self.sent)
    }

    async fn create(&mut self) -> Option<WorkerId> {
        let token = self.token();
        let request = Request::Create {
            token,
            lane: self.number,
            resume: self.random.percent(40),
            text: self.random.percent(50).then(|| self.command("first")),
            keyed: self.random.percent(60),
        };
        match self.ask(request).await {
            Reply::Created(id) => Some(id),
            _ => None,
        }
    }

    fn command(&mut self, token: &str) -> String {
        self.random.pick(&COMMANDS).replace("TOKEN", token)
    }

    fn input(&mut self, worker_id: WorkerId) -> Request {
        let token = self.token();
        let text = self.command(&token);
        let modes = [IfBusy::Reject, IfBusy::Queue, IfBusy::Queue, IfBusy::Steer, IfBusy::Steer];
        let if_busy = *self.random.pick(&modes);
        let keyed = self.random.percent(60);
        Request::Input { worker_id, token, text, if_busy, keyed }
    }

    /// One input, or some at once; sometimes one waits for the end of its turn.
    async fn inputs(&mut self, worker_id: WorkerId) {
        let count = if self.random.percent(25) { 4 } else { 1 };
        let requests: Vec<Request> = (0..count).map(|_| self.input(worker_id)).collect();
        let wait = Duration::from_millis(self.random.below(30));
        let replies = join_all(requests.into_iter().map(|request| self.send(request))).await;
        if self.random.percent(50)
            && let Some(Reply::Accepted(accepted)) = replies.last()
        {
            let ended = self.runtime.outcome(worker_id, accepted.turn_id);
            // It need not end.
            let _ = tokio::time::timeout(wait, ended).await;
        }
    }

    async fn cancel(&mut self, worker_id: WorkerId) {
        let turn_id = if self.random.percent(70) {
            None
        } else {
            let newest = self
                .runtime
                .usage(worker_id, None, 1)
                .await
                .map(|usage| usage.turns.last().map_or(0, |turn| turn.turn_id.get()));
            let turn = newest.unwrap_or(0) + self.random.below(5);
            Some(worker_types::TurnId::new(turn))
        };
        self.ask(Request::Cancel { worker_id, turn_id }).await;
    }

    pub(super) async fn ask(&mut self, request: Request) -> Reply {
        self.send(request).await
    }

    /// Tells, asks, and tells the answer.
    async fn send(&self, request: Request) -> Reply {
        let op = self.ops.fetch_add(1, Relaxed);
        self.teller.tell(&Record::Sent { op, request: request.clone() });
        let reply = perform(&self.runtime, request).await;
        self.teller.tell(&Record::Answered { op, reply: reply.clone() });
        reply
    }
}
