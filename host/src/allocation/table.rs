//! The scopes of one Runtime, and which of them overlap. No I/O.

use std::collections::{BTreeMap, HashMap};

use worker_types::{GuestPath, WorkerId};

use crate::grants::{Location, Scope};

/// Who holds what. Exclusive and shared scopes are apart, so that a look at either ends at the first
/// one of another Worker, however many there are.
#[derive(Debug, Default)]
pub(super) struct Table {
    held: HashMap<WorkerId, Vec<Scope>>,
    exclusive: Holders,
    shared: Holders,
}

/// Who holds the directories of one kind. A Worker that holds one twice is there twice.
#[derive(Debug, Default)]
struct Holders(BTreeMap<Location, Vec<WorkerId>>);

impl Holders {
    fn add(&mut self, location: &Location, worker: WorkerId) {
        let workers = self.0.entry(location.clone()).or_default();
        workers.insert(workers.partition_point(|other| *other < worker), worker);
    }

    fn remove(&mut self, location: &Location, worker: WorkerId) {
        let Some(workers) = self.0.get_mut(location) else { return };
        if let Ok(at) = workers.binary_search(&worker) {
            workers.remove(at);
        }
        if workers.is_empty() {
            self.0.remove(location);
        }
    }

    /// Somebody else who holds `location`, something in it, or something that it lies in.
    fn other_than(&self, worker: WorkerId, location: &Location) -> Option<WorkerId> {
        let other = |workers: &Vec<WorkerId>| workers.iter().copied().find(|id| *id != worker);
        let mut above = location.ancestors().filter_map(|above| self.0.get(&above));
        let mut below = self.0.range(location..).take_while(|(at, _)| at.is_within(location));
        above.find_map(other).or_else(|| below.find_map(|(_, workers)| other(workers)))
    }
}

impl Table {
    /// Gives `worker` all of `scopes`, or names the first that somebody else holds. Returns those
    /// that it did not hold yet.
    pub(super) fn claim(
        &mut self,
        worker: WorkerId,
        mut scopes: Vec<Scope>,
    ) -> Result<Vec<Scope>, (GuestPath, WorkerId)> {
        scopes.retain(|scope| self.held(worker).all(|held| held.guest_path != scope.guest_path));
        for scope in &scopes {
            let other_than = |location| {
                let other = self.exclusive.other_than(worker, location);
                match scope.shared {
                    true => other,
                    false => other.or_else(|| self.shared.other_than(worker, location)),
                }
            };
            if let Some(other) = scope.extent.locations().find_map(other_than) {
                return Err((scope.guest_path.clone(), other));
            }
        }
        if !scopes.is_empty() {
            for scope in &scopes {
                let holders = self.holders(scope);
                scope.extent.locations().for_each(|location| holders.add(location, worker));
            }
            self.held.entry(worker).or_default().extend(scopes.iter().cloned());
        }
        Ok(scopes)
    }

    pub(super) fn held(&self, worker: WorkerId) -> impl Iterator<Item = &Scope> {
        self.held.get(&worker).into_iter().flatten()
    }

    pub(super) fn release(&mut self, worker: WorkerId, guest_path: &GuestPath) -> Option<Scope> {
        let held = self.held.get_mut(&worker)?;
        let at = held.iter().position(|scope| scope.guest_path == *guest_path)?;
        let scope = held.swap_remove(at);
        if held.is_empty() {
            self.held.remove(&worker);
        }
        self.remove(&scope, worker);
        Some(scope)
    }

    pub(super) fn release_all(&mut self, worker: WorkerId) -> Vec<Scope> {
        let released = self.held.remove(&worker).unwrap_or_default();
        for scope in &released {
            self.remove(scope, worker);
        }
        released
    }

    fn remove(&mut self, scope: &Scope, worker: WorkerId) {
        let holders = self.holders(scope);
        scope.extent.locations().for_each(|location| holders.remove(location, worker));
    }

    fn holders(&mut self, scope: &Scope) -> &mut Holders {
        if scope.shared { &mut self.shared } else { &mut self.exclusive }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn worker(number: u8) -> WorkerId {
        WorkerId::from_bytes([number; 16])
    }

    fn scope(guest_path: usize, device: u64, path: &str, shared: bool) -> Scope {
        let guest_path = format!("/{guest_path}").parse().expect("a guest path");
        Scope { guest_path, extent: Location::new(device, path.as_bytes()).into(), shared }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Claim(u8, Vec<(usize, u64, String, bool)>),
        Release(u8, usize),
        ReleaseAll(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        let path = prop::collection::vec("[ab]", 0..4).prop_map(|names| names.join("/"));
        let scopes = prop::collection::vec((0..4_usize, 1..3_u64, path, any::<bool>()), 0..4);
        prop_oneof![
            4 => (0..6_u8, scopes).prop_map(|(worker, scopes)| Step::Claim(worker, scopes)),
            1 => (0..6_u8, 0..4_usize).prop_map(|(worker, path)| Step::Release(worker, path)),
            1 => (0..6_u8).prop_map(Step::ReleaseAll),
        ]
    }

    /// What holds, word for word.
    #[derive(Debug, Default)]
    struct Naive(Vec<(WorkerId, Scope)>);

    impl Naive {
        fn claim(&mut self, worker: WorkerId, scopes: &[Scope]) -> bool {
            let is_new = |scope: &&Scope| {
                !self
                    .0
                    .iter()
                    .any(|(id, held)| *id == worker && held.guest_path == scope.guest_path)
            };
            let scopes: Vec<Scope> = scopes.iter().filter(is_new).cloned().collect();
            let overlap = |one: &Location, two: &Location| one.is_within(two) || two.is_within(one);
            let is_free = |scope: &Scope| {
                self.0.iter().all(|(id, held)| {
                    *id == worker
                        || (held.shared && scope.shared)
                        || !overlap(&held.extent.location, &scope.extent.location)
                })
            };
            let all = scopes.iter().all(is_free);
            if all {
                self.0.extend(scopes.into_iter().map(|scope| (worker, scope)));
            }
            all
        }
    }

    proptest! {
        #[test]
        fn the_table_decides_as_the_definition_does(steps in prop::collection::vec(step(), 0..40)) {
            let (mut table, mut naive) = (Table::default(), Naive::default());
            for step in steps {
                match step {
                    Step::Claim(id, scopes) => {
                        let mut scopes: Vec<Scope> = scopes
                            .into_iter()
                            .map(|(at, device, path, shared)| scope(at, device, &path, shared))
                            .collect();
                        scopes.sort_by(|one, two| one.guest_path.cmp(&two.guest_path));
                        scopes.dedup_by(|one, two| one.guest_path == two.guest_path);
                        let free = naive.claim(worker(id), &scopes);
                        match table.claim(worker(id), scopes.clone()) {
                            Ok(_) => prop_assert!(free),
                            Err((at, holder)) => {
                                prop_assert!(!free && holder != worker(id));
                                let at = scopes.iter().find(|scope| scope.guest_path == at);
                                let at = &at.expect("one of them").extent.location;
                                let mut held = table.held(holder).map(|held| &held.extent.location);
                                prop_assert!(held.any(|other| at.is_within(other) || other.is_within(at)));
                            }
                        }
                    }
                    Step::Release(id, at) => {
                        let at = format!("/{at}").parse::<GuestPath>().expect("a guest path");
                        table.release(worker(id), &at);
                        naive.0.retain(|(holder, scope)| *holder != worker(id) || scope.guest_path != at);
                    }
                    Step::ReleaseAll(id) => {
                        table.release_all(worker(id));
                        naive.0.retain(|(holder, _)| *holder != worker(id));
                    }
                }
                let places = |holders: &Holders| holders.0.values().map(Vec::len).sum::<usize>();
                prop_assert_eq!(places(&table.exclusive) + places(&table.shared), naive.0.len());
                prop_assert!(table.held.values().all(|held| !held.is_empty()));
            }
        }
    }

    #[test]
    fn a_worker_may_hold_a_directory_twice_and_loses_one_at_a_time() {
        let mut table = Table::default();
        let twice = vec![scope(1, 1, "a", false), scope(2, 1, "a", false)];
        assert_eq!(table.claim(worker(1), twice).map(|added| added.len()), Ok(2));
        table.release(worker(1), &"/1".parse().expect("a guest path"));
        assert!(table.claim(worker(2), vec![scope(1, 1, "a/b", true)]).is_err());
        table.release(worker(1), &"/2".parse().expect("a guest path"));
        assert!(table.claim(worker(2), vec![scope(1, 1, "a/b", true)]).is_ok());
    }
}
