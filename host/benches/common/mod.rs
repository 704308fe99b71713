//! What the whole-process benchmarks share.
#![allow(dead_code, unreachable_pub, reason = "each benchmark uses some of it")]

use std::{borrow::Cow, time::Duration};

use worker_runtime::{Runtime, RuntimeBuilder};
use worker_types::{ComponentRef, CreateWorker, Input, Profile, ProfileName, WorkerId};

fn name(text: &str) -> ProfileName {
    text.parse().expect("a valid name")
}

/// A Runtime with the product's profiles, and `hostile`: a guest that does what its input says.
pub fn builder() -> RuntimeBuilder {
    let component = ComponentRef::Builtin(name("hostile"));
    let profile = Profile {
        name: name("hostile"),
        description: String::new(),
        component: component.clone(),
        optional: Default::default(),
        resume: false,
        commands: Default::default(),
        config: Default::default(),
    };
    Runtime::builder("bench".parse().expect("a valid id"))
        .components(builtin_workers::components())
        .profiles(builtin_workers::profiles())
        .components([(component, Cow::Borrowed(test_guests::HOSTILE_BASE))])
        .profiles([profile])
}

/// A new Worker of `profile`, with `input` as its first turn.
pub async fn create(runtime: &Runtime, profile: &str, input: &str) -> WorkerId {
    let request = CreateWorker::profile(name(profile)).input(Input::text(input));
    runtime.create(request).await.expect("a Worker").worker_id
}

/// Times in the order of their length.
#[derive(Debug)]
pub struct Sorted(Vec<Duration>);

impl Sorted {
    pub fn new(mut times: Vec<Duration>) -> Self {
        times.sort();
        Self(times)
    }

    /// The time that this many of a thousand do not exceed, in milliseconds.
    pub fn at(&self, permille: usize) -> f64 {
        let index = (self.0.len() * permille).div_ceil(1_000).clamp(1, self.0.len()) - 1;
        self.0[index].as_secs_f64() * 1e3
    }
}
