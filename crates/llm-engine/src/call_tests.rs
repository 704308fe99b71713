use futures_util::StreamExt as _;

use super::*;
use crate::{FinishReason, Models, ScriptedModel, Step};

type Item = Result<ModelEvent, ModelError>;

fn model(scripted: &ScriptedModel, limits: CallLimits) -> Model {
    let provider = Arc::new(scripted.clone());
    Models::none().with_limits("test", provider, limits).get("test").unwrap()
}

async fn seen(scripted: &ScriptedModel, limits: CallLimits) -> (Vec<Item>, Duration) {
    let begun = Instant::now();
    let items = model(scripted, limits).stream(ModelRequest::default()).collect().await;
    (items, begun.elapsed())
}

fn answer() -> Vec<Item> {
    vec![Ok(ModelEvent::Text("a".to_owned())), Ok(ModelEvent::Finish(FinishReason::Stop))]
}

fn unreachable() -> ModelError {
    ModelError::Unreachable { message: "nobody listens".to_owned() }
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_by_itself_is_tried_again_after_pauses_that_grow() {
    let scripted =
        ScriptedModel::new().fail(ModelError::Overloaded).fail(unreachable()).call([]).answer("a");
    let (items, took) = seen(&scripted, CallLimits::default()).await;
    assert_eq!(items, answer());
    assert_eq!(scripted.requests().len(), 4);
    // Half a second, one and two; from a half to the whole of each.
    assert!(
        took >= Duration::from_millis(1_750) && took <= Duration::from_millis(3_510),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn it_is_tried_as_often_as_said_and_the_last_failure_is_told() {
    let failing = ScriptedModel::new().otherwise([Step::Error(ModelError::Overloaded)]);
    for tries in [0, 1, 3] {
        let before = failing.requests().len();
        let limits = CallLimits { tries, ..CallLimits::default() };
        let (items, _) = seen(&failing, limits).await;
        assert_eq!(items, [Err(ModelError::Overloaded)]);
        assert_eq!(failing.requests().len() - before, tries.max(1) as usize);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_provider_asks_to_wait_is_waited_and_no_more_than_a_minute() {
    let limited =
        |seconds| ModelError::RateLimited { retry_after: Some(Duration::from_secs(seconds)) };
    let scripted = ScriptedModel::new().fail(limited(17)).answer("a");
    let (items, took) = seen(&scripted, CallLimits::default()).await;
    assert_eq!(items, answer());
    assert!(took >= Duration::from_secs(17) && took < Duration::from_secs(18), "{took:?}");

    let scripted = ScriptedModel::new().fail(limited(61)).answer("a");
    let (items, took) = seen(&scripted, CallLimits::default()).await;
    assert_eq!((items, took), (vec![Err(limited(61))], Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_tried_again_once_something_has_come_or_where_it_is_of_no_use() {
    let text = || Step::text("a");
    for (steps, failure) in [
        (vec![text(), Step::Error(ModelError::Overloaded)], ModelError::Overloaded),
        (vec![text()], ModelError::Incomplete),
        (vec![Step::Error(ModelError::Auth)], ModelError::Auth),
        (vec![Step::Error(ModelError::ContextOverflow)], ModelError::ContextOverflow),
        (vec![Step::Hang], ModelError::Stalled),
    ] {
        let scripted = ScriptedModel::new().call(steps).answer("again");
        let (items, _) = seen(&scripted, CallLimits::default()).await;
        assert_eq!(items.last(), Some(&Err(failure)));
        assert_eq!(scripted.requests().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_with_its_deadline_whatever_it_waits_for() {
    let limits = CallLimits { deadline: Duration::from_secs(5), ..CallLimits::default() };
    for begins in [vec![], vec![Step::text("a")]] {
        let hanging = ScriptedModel::new().call(begins.into_iter().chain([Step::Hang]));
        let (items, took) = seen(&hanging, limits).await;
        assert_eq!(items.last(), Some(&Err(ModelError::Deadline)));
        assert_eq!(took.as_secs(), 5);
    }

    // Waits that would end behind it are not begun.
    let asked = ModelError::RateLimited { retry_after: Some(Duration::from_secs(20)) };
    let (items, took) = seen(&ScriptedModel::new().fail(asked.clone()).answer("a"), limits).await;
    assert_eq!((items, took), (vec![Err(asked)], Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn as_many_calls_are_open_as_said_and_the_next_one_waits_for_a_place() {
    let limits =
        CallLimits { concurrent: 1, deadline: Duration::from_secs(5), ..CallLimits::default() };
    let scripted = ScriptedModel::new().call([Step::text("a"), Step::Hang]).answer("a").answer("a");
    let model = model(&scripted, limits);
    let mut held = model.stream(ModelRequest::default());
    assert!(held.next().await.is_some_and(|item| item.is_ok()));
    let waiting: Vec<Item> = model.stream(ModelRequest::default()).collect().await;
    assert_eq!(waiting, [Err(ModelError::Deadline)]);
    assert_eq!(scripted.requests().len(), 1, "it was not even asked");

    let next = model.stream(ModelRequest::default()).collect::<Vec<Item>>();
    let (next, ()) = tokio::join!(next, async { drop(held) });
    assert_eq!(next, answer());
    // An answer at its end has no place, whether or not its stream is kept.
    let mut ended = model.stream(ModelRequest::default());
    while ended.next().await.is_some() {}
    let one_more: Vec<Item> = model.stream(ModelRequest::default()).collect().await;
    assert!(matches!(&one_more[..], [Err(ModelError::Other { .. })]), "asked: {one_more:?}");
}

#[tokio::test(start_paused = true)]
async fn who_is_dropped_between_two_tries_asks_no_more() {
    let scripted = ScriptedModel::new().fail(ModelError::Overloaded).answer("a");
    let mut stream = model(&scripted, CallLimits::default()).stream(ModelRequest::default());
    assert!(futures_util::poll!(stream.next()).is_pending());
    drop(stream);
    sleep(LONGEST_PAUSE * 10).await;
    assert_eq!(scripted.requests().len(), 1);
    scripted.wait_for_open_streams(0).await;
}
