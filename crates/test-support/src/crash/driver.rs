//! The parent: it starts children, kills them, and checks what they leave.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use worker_runtime::{Damage, ReadStoreError, Store};

use super::{
    checker::{self, Complaint, Kind},
    history::{Exchange, History},
    random::Random,
    record::{Plan, Record, Reply, Request},
};

pub use super::tally::Tally;

/// Where the Runtime kills itself, if it is told to.
pub const FAILPOINTS: [&str; 7] = [
    "store::before_commit",
    "store::after_commit",
    "store::before_reply",
    CHECKPOINT,
    "supervisor::decided",
    "supervisor::committed",
    "supervisor::before_reply",
];

/// Reached once for hundreds of commits.
const CHECKPOINT: &str = "store::checkpoint";

/// Kills of one directory, before another is begun: what there is to check grows with each.
const KILLS_PER_ROUND: u64 = 16;
/// A life that does not reach its failpoint ends so.
const FAILPOINT_PATIENCE: Duration = Duration::from_secs(10);
/// A life that should end by itself has this long.
const PATIENCE: Duration = Duration::from_secs(60);
/// The most requests to make again in one life.
const AGAIN: usize = 24;

/// What to do.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// The program that is the child, with the arguments before the directory.
    pub child: Vec<PathBuf>,
    /// How many kills.
    pub kills: u64,
    /// Chooses everything that is chosen.
    pub seed: u64,
    /// Where rounds have their directories.
    pub directory: PathBuf,
}

/// When to kill a life.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// Some milliseconds after it was started.
    Started(u64),
    /// Some milliseconds after it showed what was there.
    Working(u64),
    /// Where it reaches a failpoint for so many times.
    Failpoint(&'static str, u64),
    /// Not at all.
    Never,
}

impl Campaign {
    /// Runs it.
    ///
    /// # Errors
    ///
    /// If a child cannot be started, or one that should end does not. What it leaves that it should
    /// not is no error, but stands in the tally.
    pub fn run(&self, mut progress: impl FnMut(&Tally)) -> Result<Tally> {
        let mut tally = Tally::default();
        let random = Random::new(self.seed);
        let mut moments = Moments { random: random.stream(u64::MAX), turn: 0 };
        while tally.total_kills() < self.kills {
            let round = tally.rounds;
            tally.rounds += 1;
            let kills = KILLS_PER_ROUND.min(self.kills - tally.total_kills());
            let directory = self.directory.join(format!("round-{round}"));
            std::fs::create_dir_all(&directory).context("cannot make a directory")?;
            let mut lives = Round {
                campaign: self,
                directory: &directory,
                random: random.stream(round),
                history: History::default(),
                life: 0,
                trims: round % 2 == 1,
            };
            let before = tally.total_kills();
            while tally.total_kills() < before + kills {
                lives.live(moments.next(), &mut tally)?;
            }
            lives.live(Moment::Never, &mut tally)?;
            let exchanges = lives.history.exchanges(lives.history.entries.len());
            tally.sent += exchanges.len() as u64;
            let unanswered = exchanges.iter().filter(|exchange| exchange.answered.is_none());
            tally.unanswered += unanswered.count() as u64;
            if tally.complaints.iter().all(|(of, _)| *of != round) {
                std::fs::remove_dir_all(&directory).context("cannot remove a directory")?;
            }
            progress(&tally);
        }
        let unreached = FAILPOINTS.iter().filter(|point| !tally.kills.contains_key(**point));
        tally.unreached = unreached.map(|point| (*point).to_owned()).collect();
        Ok(tally)
    }
}

/// Chooses when to kill: every other time at a failpoint, each in its turn.
struct Moments {
    random: Random,
    turn: usize,
}

impl Moments {
    fn next(&mut self) -> Moment {
        self.turn += 1;
        if self.turn.is_multiple_of(2) {
            let point = FAILPOINTS[self.turn / 2 % FAILPOINTS.len()];
            // The first times are in the recovery from the crash before.
            let hits: &[u64] =
                if point == CHECKPOINT { &[1, 1, 2] } else { &[1, 1, 2, 3, 7, 25, 60] };
            return Moment::Failpoint(point, *self.random.pick(hits));
        }
        match self.random.below(10) {
            0..2 => Moment::Started(self.random.below(400)),
            2..9 => Moment::Working(self.random.below(250)),
            _ => Moment::Working(2_000 + self.random.below(500)),
        }
    }
}

/// One directory and the lives over it.
struct Round<'a> {
    campaign: &'a Campaign,
    directory: &'a Path,
    random: Random,
    history: History,
    life: u64,
    /// Whether old events are removed meanwhile.
    trims: bool,
}

impl Round<'_> {
    /// Starts a child, kills it, and checks what it showed.
    fn live(&mut self, moment: Moment, tally: &mut Tally) -> Result<()> {
        self.life += 1;
        tally.lives += 1;
        let plan = self.plan(moment);
        tally.again += (plan.again.len() + plan.altered.len()) as u64;
        let mut process = self.start(&plan)?;
        let lines = read_lines(&mut process)?;
        let begun = self.history.entries.len();
        let started = Instant::now();
        let mut deadline = match moment {
            Moment::Started(ms) => Some(started + Duration::from_millis(ms)),
            Moment::Failpoint(..) => Some(started + FAILPOINT_PATIENCE),
            Moment::Working(_) | Moment::Never => Some(started + PATIENCE),
        };
        let mut killed = false;
        loop {
            let wait = deadline.map_or(PATIENCE, |at| at.saturating_duration_since(Instant::now()));
            match lines.recv_timeout(wait) {
                Ok((at, line)) => {
                    let at_ms = at.saturating_duration_since(started).as_millis();
                    let at_ms = u64::try_from(at_ms).unwrap_or(u64::MAX);
                    // A line that was cut by the kill was not told.
                    let Ok(record) = serde_json::from_slice::<Record>(&line) else { continue };
                    if let (Moment::Working(ms), Record::FoundAll { .. }) = (moment, &record) {
                        deadline = Some(Instant::now() + Duration::from_millis(ms));
                    }
                    self.history.push(self.life, at_ms, record);
                }
                Err(RecvTimeoutError::Timeout) if !killed => {
                    process.kill().context("cannot kill the child")?;
                    killed = true;
                    deadline = None;
                }
                Err(RecvTimeoutError::Timeout) => bail!("a killed child does not end"),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let status = process.wait().context("cannot wait for the child")?;
        let damage = self.damage()?;
        self.note(damage, tally);
        let told = &self.history.entries[begun..];
        let fired = told.iter().find_map(|entry| match &entry.record {
            Record::Fired { point } => Some(point.clone()),
            _ => None,
        });
        let worked = told.iter().any(|entry| matches!(entry.record, Record::FoundAll { .. }));
        let done = told.iter().any(|entry| entry.record == Record::Done);
        let what = match (fired, moment) {
            (Some(point), _) => point,
            (None, Moment::Never) => {
                if killed || !status.success() || !done {
                    bail!("the last life of a round did not end well: {status}");
                }
                String::new()
            }
            (None, _) if killed && worked => "at random times".to_owned(),
            (None, _) if killed => "while starting".to_owned(),
            (None, _) => bail!("a child ended by itself: {status}"),
        };
        if !what.is_empty() {
            let (kills, in_recovery) = tally.kills.entry(what).or_default();
            *kills += 1;
            *in_recovery += u64::from(!worked);
        }
        if worked {
            let (complaints, extent) = checker::check(&self.history);
            tally.add(extent);
            self.note(complaints, tally);
        }
        Ok(())
    }

    /// What a check says of the store that a life left, as it left it.
    fn damage(&self) -> Result<Vec<Complaint>> {
        let found = match Store::check(self.directory, |_| {}) {
            // It was killed before it had one.
            Err(ReadStoreError::Missing { .. }) => return Ok(Vec::new()),
            found => found.context("cannot check the store")?,
        };
        let complaint = |of: String, damage: &Damage| {
            let detail = format!("{of} is damaged: {}: {}", damage.part, damage.reason);
            Complaint { kind: Kind::Broken, detail }
        };
        let shared = found.damage.iter().map(|damage| complaint("the store".to_owned(), damage));
        let workers = found.damaged_workers().flat_map(|worker| {
            let of = format!("Worker {}", worker.worker_id);
            worker.damage.iter().map(move |damage| complaint(of.clone(), damage))
        });
        Ok(shared.chain(workers).collect())
    }

    /// Keeps each complaint once: what is wrong stays so for all lives that follow.
    fn note(&self, complaints: Vec<Complaint>, tally: &mut Tally) {
        let round = tally.rounds - 1;
        for complaint in complaints {
            if !tally.complaints.iter().any(|(_, known)| *known == complaint) {
                tally.complaints.push((round, complaint));
            }
        }
    }

    /// What the next life does; some of what was asked with a key before, it asks again.
    fn plan(&mut self, moment: Moment) -> Plan {
        let exchanges = self.history.exchanges(self.history.entries.len());
        let keyed: Vec<&Exchange> = exchanges
            .iter()
            .filter(|exchange| {
                matches!(
                    exchange.request,
                    Request::Create { keyed: true, .. } | Request::Input { keyed: true, .. }
                ) && !matches!(&exchange.answered, Some((_, Reply::Refused(_))))
            })
            .collect();
        let mut known = BTreeSet::new();
        let (mut again, mut altered) = (Vec::new(), Vec::new());
        // Those that the crash left without an answer first.
        let doubtful = keyed.iter().rev().filter(|exchange| exchange.answered.is_none());
        let answered = keyed.iter().rev().filter(|exchange| exchange.answered.is_some());
        for exchange in doubtful.chain(answered) {
            let request = &exchange.request;
            let (Request::Create { token, .. } | Request::Input { token, .. }) = request else {
                continue;
            };
            if again.len() >= AGAIN || !known.insert(token) {
                continue;
            }
            if exchange.answered.is_some() && self.random.percent(20) {
                altered.push(request.clone().altered());
            }
            again.push(request.clone());
        }
        Plan {
            seed: self.random.below(u64::MAX),
            life: self.life,
            failpoint: match moment {
                Moment::Failpoint(point, hit) => Some((point.to_owned(), hit)),
                _ => None,
            },
            feed: self.history.feed_cursor(),
            cursors: self.history.cursors(),
            again,
            altered,
            trims: self.trims,
            last: matches!(moment, Moment::Never),
        }
    }

    fn start(&self, plan: &Plan) -> Result<Child> {
        let [program, arguments @ ..] = self.campaign.child.as_slice() else {
            bail!("there is no program to start");
        };
        let mut child = Command::new(program)
            .args(arguments)
            .arg(self.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the child")?;
        let mut line = serde_json::to_vec(plan).context("a plan is JSON")?;
        line.push(b'\n');
        if let Some(mut stdin) = child.stdin.take() {
            // A child that is gone already is found so below.
            let _ = stdin.write_all(&line);
        }
        Ok(child)
    }
}

/// Reads what the child tells as soon as it does, so that it never waits for us.
fn read_lines(child: &mut Child) -> Result<Receiver<(Instant, Vec<u8>)>> {
    let stdout = child.stdout.take().context("the child has no output")?;
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut reader = BufReader::with_capacity(1 << 20, stdout);
        loop {
            let mut line = Vec::new();
            match reader.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {
                    if sender.send((Instant::now(), line)).is_err() {
                        return;
                    }
                }
            }
        }
    });
    Ok(receiver)
}
