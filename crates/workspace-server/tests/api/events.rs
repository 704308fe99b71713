//! A Worker's events, in pages and as a stream.

use http::{Method, header};
use llm_engine::{Gate, ScriptedModel, Step};
use serde_json::{Value, json};

use crate::support::{Bench, Message, bare};

fn names(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.name.as_str()).collect()
}

#[tokio::test]
async fn pages_of_events_go_on_where_the_last_one_ended() {
    let bench = Bench::start().await;
    let worker = bench.companion().await;
    bench.say(&worker, "hello").await;
    let all = bench.get(&format!("{worker}/events?limit=1000")).await.ok();
    let all = all["events"].as_array().expect("events");
    let seqs: Vec<u64> = all.iter().map(|event| event["seq"].as_u64().expect("a seq")).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    assert_eq!(all[0]["type"], "worker.created");

    let (mut seen, mut after) = (Vec::new(), "0".to_owned());
    loop {
        let page = bench.get(&format!("{worker}/events?limit=2&after={after}")).await.ok();
        let events = page["events"].as_array().expect("events");
        assert!(events.len() <= 2);
        if events.is_empty() {
            break;
        }
        seen.extend(events.iter().cloned());
        after = page["next"].as_str().expect("a cursor").to_owned();
    }
    assert_eq!(&seen, all);
}

#[tokio::test]
async fn a_stream_replays_the_log_with_a_cursor_on_every_event() {
    let bench = Bench::start().await;
    let worker = bench.companion().await;
    bench.say(&worker, "hello").await;
    let events = format!("{worker}/events");
    let log = bench.get(&events).await.ok()["events"].as_array().expect("events").clone();

    let replayed = bench.stream(&events, None).await.until("turn.ended").await;
    assert_eq!(replayed.iter().map(|message| message.data.clone()).collect::<Vec<_>>(), log);
    for message in &replayed {
        assert_eq!(message.data["type"], message.name.as_str());
        assert!(message.id.is_some(), "{message:?}");
    }

    // From any of the cursors the stream goes on with the event after it.
    for (place, message) in replayed.iter().enumerate().take(replayed.len() - 1) {
        let id = message.id.as_deref().expect("a cursor");
        let mut after = bench.stream(&format!("{events}?after={id}"), None).await;
        assert_eq!(after.next().await.as_ref(), Some(&replayed[place + 1]));
        // What a browser saw last counts for more than the address it first asked for.
        let mut again = bench.stream(&format!("{events}?after=0"), Some(id)).await;
        assert_eq!(again.next().await.as_ref(), Some(&replayed[place + 1]));
    }
    let mut unset = bench.stream(&format!("{events}?after=1"), Some("")).await;
    assert_eq!(unset.next().await.as_ref(), Some(&replayed[1]));
}

#[tokio::test]
async fn text_is_streamed_while_it_is_written() {
    let gate = Gate::closed();
    let model = ScriptedModel::new().call([
        Step::text("Grüße, "),
        Step::Gate(gate.clone()),
        Step::text("Welt"),
        Step::stop(),
    ]);
    let bench = Bench::with_model(model).await;
    let worker = bench.companion().await;
    let mut events = bench.stream(&format!("{worker}/events"), None).await;
    bench.post(&format!("{worker}/input"), r#"{"text":"hi"}"#).await;

    // The gate is closed: this text comes before the answer is whole, or the test ends here.
    let begun = events.until("item.delta").await;
    assert_eq!(
        names(&begun),
        ["worker.created", "input.accepted", "turn.started", "item.started", "item.delta"]
    );
    let delta = begun.last().expect("a delta");
    assert_eq!(delta.id, None, "a piece is no place in the log");
    assert_eq!(delta.data["offset"], 0);

    // Who comes now gets what there is of the item so far.
    let mut late = bench.stream(&format!("{worker}/events?after=4"), None).await;
    let snapshot = late.until("item.snapshot").await.pop().expect("a snapshot");
    assert_eq!(snapshot.id, None);
    assert_eq!(snapshot.data["text"], "Grüße, ");

    gate.open();
    for reader in [&mut events, &mut late] {
        let rest = reader.until("turn.ended").await;
        let completed = rest.iter().find(|message| message.name == "item.completed");
        assert_eq!(completed.expect("the answer").data["item"]["text"], "Grüße, Welt");
        let ended = rest.last().expect("the end");
        assert_eq!(ended.data["outcome"]["status"], "completed");
        assert_eq!(ended.data["turn_id"], Value::from(1));
    }
}

#[tokio::test]
async fn a_stream_beyond_the_bound_is_refused_until_another_ends() {
    let bench = Bench::start().await.with_event_streams(2);
    let worker = bench.companion().await;
    let events = format!("{worker}/events");
    let ask = async || {
        let request =
            bench.request(Method::GET, &events).header(header::ACCEPT, "text/event-stream");
        bench.ask(bare(request)).await
    };
    let first = bench.stream(&events, None).await;
    let mut second = bench.stream(&events, None).await;
    let refused = ask().await;
    refused.problem(503, "capacity");
    assert_eq!(refused.headers[header::RETRY_AFTER], "1");
    // Pages are no streams, and commands are none either.
    bench.get(&events).await.ok();
    bench.say(&worker, "hello").await;
    second.until("turn.ended").await;

    drop(first);
    let mut third = bench.stream(&events, None).await;
    third.until("turn.ended").await;
    ask().await.problem(503, "capacity");
}

#[tokio::test]
async fn a_stream_lets_others_run_while_it_replays_a_long_log() {
    let bench = Bench::with_model(ScriptedModel::new().otherwise([Step::stop()])).await;
    let worker = bench.companion().await;
    let long = "x".repeat(100 << 10);
    for _ in 0..3 {
        let input = json!({ "text": long }).to_string();
        bench.post(&format!("{worker}/input?wait_ms=60000"), input).await.ok();
    }
    let mut events = bench.stream(&format!("{worker}/events"), None).await;
    let (mut sent, mut turns_of_others) = (0, 0);
    // On this one thread, another task runs only where the stream lets it.
    let others = async {
        loop {
            turns_of_others += 1;
            tokio::task::yield_now().await;
        }
    };
    let reading = async {
        while sent < 3 * long.len() {
            sent += events.raw().await.len();
        }
    };
    tokio::select! {
        biased;
        () = reading => {}
        () = others => {}
    }
    assert!(turns_of_others >= 2, "{turns_of_others}");
}

#[tokio::test]
async fn a_stream_ends_with_the_server() {
    let bench = Bench::start().await;
    let worker = bench.companion().await;
    let mut events = bench.stream(&format!("{worker}/events"), None).await;
    events.until("worker.created").await;
    bench.shutdown.cancel();
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn a_silent_stream_says_that_it_lives() {
    let bench = Bench::start().await;
    let worker = bench.companion().await;
    let mut events = bench.stream(&format!("{worker}/events"), None).await;
    events.until("worker.created").await;
    tokio::time::pause();
    assert_eq!(events.raw().await, ": heartbeat\n\n");
    // From the first one on, since before it some time passed that nobody had stopped.
    let begun = tokio::time::Instant::now();
    assert_eq!(events.raw().await, ": heartbeat\n\n");
    assert_eq!(begun.elapsed().as_secs(), 15);
}
