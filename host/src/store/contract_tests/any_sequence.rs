//! Any sequence of commits, read back, is what a plain model says.

use proptest::prelude::*;
use tokio::runtime::Builder;

use super::*;

/// What is done to a store. Workers are named by numbers, modulo how many there are.
#[derive(Debug, Clone)]
enum Step {
    Create,
    Turn { worker: usize, text: String },
    Notices { worker: usize, count: usize, rests: bool },
    Open { worker: usize, pieces: Vec<String> },
    CompleteOpen { worker: usize },
    Trim { worker: usize, through: u64 },
    Delete { worker: usize },
    Gap { worker: usize },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let worker = 0..8_usize;
    prop_oneof![
        2 => Just(Step::Create),
        4 => (worker.clone(), ".{0,40}").prop_map(|(worker, text)| Step::Turn { worker, text }),
        3 => (worker.clone(), 1..5_usize, any::<bool>())
            .prop_map(|(worker, count, rests)| Step::Notices { worker, count, rests }),
        3 => (worker.clone(), prop::collection::vec(".{0,9}", 0..4))
            .prop_map(|(worker, pieces)| Step::Open { worker, pieces }),
        3 => worker.clone().prop_map(|worker| Step::CompleteOpen { worker }),
        3 => (worker.clone(), 0..40_u64)
            .prop_map(|(worker, through)| Step::Trim { worker, through }),
        1 => worker.clone().prop_map(|worker| Step::Delete { worker }),
        1 => worker.prop_map(|worker| Step::Gap { worker }),
        1 => Just(Step::Reopen),
    ]
}

#[derive(Debug, Default)]
struct Model {
    workers: Vec<ModelWorker>,
    feed: Vec<(u64, Event)>,
    head: u64,
}

#[derive(Debug)]
struct ModelWorker {
    worker: TestWorker,
    rest: Option<WorkerState>,
    active: bool,
    trimmed: u64,
    deleted: bool,
    open: BTreeMap<ItemId, String>,
}

impl Model {
    fn pick(&mut self, worker: usize) -> Option<&mut ModelWorker> {
        let count = self.workers.len().max(1);
        self.workers.get_mut(worker % count).filter(|worker| !worker.deleted)
    }

    /// Commits `bodies` to both, and keeps the feed.
    async fn commit(
        &mut self,
        store: &Store,
        worker: usize,
        (bodies, texts): (Vec<EventBody>, &[TextPiece]),
        rests: bool,
    ) {
        let index = worker % self.workers.len();
        let model = &mut self.workers[index];
        let events = model.worker.events(bodies);
        let rest = rests.then_some(&model.worker.state);
        let commit = Commit { rest, texts, ..commit(model.worker.id, &events) };
        store.append(commit).await.expect("a commit that follows");
        for event in &events {
            self.head += 1;
            self.feed.push((self.head, event.clone()));
        }
        if rests {
            model.rest = Some(model.worker.state.clone());
        }
        model.active = !rests;
    }

    async fn take(&mut self, store: &Store, step: Step) {
        match step {
            Step::Create => {
                self.workers.push(ModelWorker {
                    worker: TestWorker::new(),
                    rest: None,
                    active: false,
                    trimmed: 0,
                    deleted: false,
                    open: BTreeMap::new(),
                });
                let index = self.workers.len() - 1;
                self.commit(store, index, (vec![created()], &[]), true).await;
            }
            Step::Turn { worker, text } => {
                let Some(model) = self.pick(worker) else { return };
                let rests = model.open.is_empty();
                let bodies = model.worker.turn_bodies(&text);
                self.commit(store, worker, (bodies, &[]), rests).await;
            }
            Step::Notices { worker, count, rests } => {
                let Some(_) = self.pick(worker) else { return };
                self.commit(store, worker, (vec![notice("n"); count], &[]), rests).await;
            }
            Step::Open { worker, pieces } => {
                let Some(model) = self.pick(worker) else { return };
                let id = model.worker.next_item;
                model.worker.next_item += 1;
                let mut text = String::new();
                let mut texts = Vec::new();
                for part in pieces {
                    texts.push(piece(id, text.len() as u64, &part));
                    text.push_str(&part);
                }
                if !text.is_empty() {
                    model.open.insert(ItemId::new(id), text);
                }
                let bodies = vec![started(id, TurnId::new(99))];
                self.commit(store, worker, (bodies, &texts), false).await;
            }
            Step::CompleteOpen { worker } => {
                let Some(model) = self.pick(worker) else { return };
                let Some((id, text)) = model.open.pop_first() else { return };
                let rests = model.open.is_empty();
                let bodies = vec![completed(id.get(), TurnId::new(99), &text)];
                self.commit(store, worker, (bodies, &[]), rests).await;
            }
            Step::Trim { worker, through } => {
                let Some(model) = self.pick(worker) else { return };
                let rests = model.open.is_empty();
                let last = model.worker.last().get();
                let bodies = vec![EventBody::WorkerTrimmed { through: Seq::new(through) }];
                self.commit(store, worker, (bodies, &[]), rests).await;
                let Some(model) = self.pick(worker) else { return };
                let covered = model.rest.as_ref().map_or(0, |rest| rest.last_seq.get());
                let through = through.min(covered).min(last);
                if through > 1 {
                    model.trimmed = model.trimmed.max(through);
                }
                let id = model.worker.id;
                self.feed.retain(|(_, event)| {
                    let seq = event.seq.get();
                    event.worker_id != id
                        || seq == 1
                        || seq > through
                        || item_of(&event.body).is_some()
                });
            }
            Step::Delete { worker } => {
                let Some(_) = self.pick(worker) else { return };
                self.commit(store, worker, (vec![EventBody::WorkerDeleted], &[]), false).await;
                let Some(model) = self.pick(worker) else { return };
                model.deleted = true;
                model.trimmed = model.worker.last().get() - 1;
                let id = model.worker.id;
                let is_tombstone = |event: &Event| event.body == EventBody::WorkerDeleted;
                self.feed.retain(|(_, event)| event.worker_id != id || is_tombstone(event));
            }
            Step::Gap { worker } => {
                let Some(model) = self.pick(worker) else { return };
                let mut ahead = model.worker.clone();
                let events = ahead.events([notice("a"), notice("b")]);
                let refused = store.append(commit(ahead.id, &events[1..])).await;
                assert!(matches!(refused, Err(StoreError::Gap { .. })));
            }
            Step::Reopen => {}
        }
    }

    async fn check(&self, store: &Store) {
        let mut feed = Vec::new();
        while let Some(event) = store
            .feed(feed.last().map_or(0, |(at, _)| *at), 7)
            .await
            .expect("a page")
            .into_iter()
            .next()
        {
            feed.push((event.position, event.event));
        }
        assert_eq!(feed, self.feed);
        let stored = all_workers(store).await;
        let stored: Vec<_> = stored.into_iter().map(|worker| worker.expect("it")).collect();
        let live = self.workers.iter().filter(|model| !model.deleted).map(|model| StoredWorker {
            worker_id: model.worker.id,
            created: model.worker.log[0].clone(),
            rest: model.rest.clone().filter(|_| !model.active),
        });
        assert_eq!(stored, live.collect::<Vec<_>>());
        for model in &self.workers {
            let (id, last) = (model.worker.id, model.worker.last());
            assert_eq!(store.last_seq(id).await.expect("it"), last);
            let from = model.trimmed as usize;
            let read = store.read(id, Seq::new(model.trimmed), last, usize::MAX).await;
            assert_eq!(read.expect("the log"), model.worker.log[from..]);
            if from > 0 {
                let read = store.read(id, Seq::new(model.trimmed - 1), last, 9).await;
                assert!(
                    matches!(read, Err(StoreError::Trimmed { through }) if through.get() == model.trimmed)
                );
            }
            let gone = model.deleted;
            let open = if gone { BTreeMap::new() } else { model.open.clone() };
            assert_eq!(store.texts(id).await.expect("texts"), open);
            let rest = model.rest.clone().filter(|_| !gone);
            assert_eq!(store.snapshot(id).await.expect("a snapshot"), rest);
            for until in [last, Seq::new(last.get() / 2)] {
                let mut newest = BTreeMap::new();
                let log = model.worker.log.iter().filter(|event| !gone && event.seq <= until);
                for item in log.filter_map(|event| item_of(&event.body)) {
                    newest.insert(item.id, item.clone());
                }
                let range = ItemRange::After(ItemId::ZERO);
                let items = store.items(id, range, until, 99, usize::MAX).await.expect("items");
                assert!(items.iter().eq(newest.values()), "{items:?}");
                let range = ItemRange::Before(ItemId::new(u64::MAX));
                let items = store.items(id, range, until, 99, usize::MAX).await.expect("items");
                assert!(items.iter().eq(newest.values().rev()), "{items:?}");
            }
            let ends = model.worker.log.iter().filter(|event| {
                !gone
                    && event.seq.get() > model.trimmed
                    && matches!(event.body, EventBody::TurnEnded { .. })
            });
            let stored = store.turn_ends(id, None, 99).await.expect("ends");
            assert!(stored.iter().eq(ends));
        }
    }
}

async fn run(mut store: Store, steps: Vec<Step>, reopen: impl Fn(Store) -> Store) {
    let mut model = Model::default();
    for step in steps {
        if matches!(step, Step::Reopen) {
            store = reopen(store);
        }
        model.take(&store, step).await;
    }
    model.check(&store).await;
    let store = reopen(store);
    model.check(&store).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn in_memory(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(run(Store::memory(), steps, |store| store));
    }

    #[cfg(feature = "sqlite")]
    #[test]
    fn on_disk(steps in prop::collection::vec(step(), 1..60)) {
        let directory = tempfile::tempdir().expect("a directory");
        let open = || Store::sqlite(directory.path()).expect("a store");
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(run(open(), steps, |store| {
            drop(store);
            open()
        }));
    }
}
