//! What the backend promises its users.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use companion_backend::Companions;
use llm_engine::{Models, OfflineModel};
use worker_runtime::worker_types::{
    CreateWorker, Grants, Preopen, RuntimeError, TranscriptQuery, WorkerQuery,
};

async fn open(data: &Path) -> Companions {
    let models = Models::none().with("default", Arc::new(OfflineModel::instant()));
    Companions::open(data, models).await.expect("the Companions")
}

#[tokio::test]
async fn a_companion_is_created_on_first_use_and_outlives_the_backend() {
    let data = tempfile::tempdir().expect("a directory");
    let companions = open(data.path()).await;
    let answer = companions.say("ada", "hello").await.expect("an answer");
    assert!(answer.contains("You have said 1 thing"), "{answer}");
    let ada = companions.of("ada").await.expect("her Companion");
    companions.runtime().shutdown(Duration::ZERO).await;
    drop(companions);

    let companions = open(data.path()).await;
    assert_eq!(companions.of("ada").await.expect("her Companion"), ada);
    let answer = companions.say("ada", "hello").await.expect("an answer");
    assert!(answer.contains("You have said 2 things"), "it remembers: {answer}");
    let page = companions.runtime().transcript(ada, TranscriptQuery::default()).await;
    assert_eq!(page.expect("a transcript").items.len(), 4);
}

#[tokio::test]
async fn each_user_has_one_companion_however_many_ask_at_once() {
    let data = tempfile::tempdir().expect("a directory");
    let companions = open(data.path()).await;
    let (one, same, other) =
        tokio::join!(companions.of("ada"), companions.of("ada"), companions.of("grace"));
    let one = one.expect("a Companion");
    assert_eq!(one, same.expect("the same"));
    assert_ne!(one, other.expect("another"));
    let all = companions.runtime().workers(&WorkerQuery::default()).expect("all");
    assert_eq!(all.workers.len(), 2);
}

#[tokio::test]
async fn no_companion_can_be_granted_more_than_a_model() {
    let data = tempfile::tempdir().expect("a directory");
    let companions = open(data.path()).await;
    let ada = companions.of("ada").await.expect("her Companion");
    let granted = companions.runtime().worker(ada).expect("a Worker").grants;
    assert_eq!(granted, Grants::none().with_llm(["default".parse().expect("an alias")]));

    let home = "home".parse().expect("a root");
    let files = Preopen::new(home, "/home".parse().expect("a path"));
    let greedy = Grants { preopens: vec![files], ..granted };
    let new = CreateWorker::profile("companion".parse().expect("a name")).grants(greedy);
    let refused = companions.runtime().create(new).await.expect_err("refused");
    assert!(matches!(refused, RuntimeError::GrantExceedsCeiling { .. }), "{refused}");
}

#[test]
fn the_documentation_shows_this_code() {
    let lines = |text: &str| text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>();
    let code = lines(include_str!("../src/lib.rs"));
    let documentation = include_str!("../../../docs/embedding.md");
    let shown: Vec<_> = documentation.split("```rust\n").skip(1).take(2).collect();
    assert_eq!(shown.len(), 2);
    for block in shown {
        let block = lines(block.split("```").next().expect("the block"));
        assert!(code.windows(block.len()).any(|part| part == block), "{block:#?}");
    }
}
