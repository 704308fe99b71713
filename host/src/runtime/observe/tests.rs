use worker_types::CreateWorker;

use super::*;

#[tokio::test]
async fn a_search_that_finds_little_gives_short_pages_that_lead_to_the_end() {
    let runtime = Runtime::builder("test".parse().expect("a valid id"))
        .components(builtin_workers::components())
        .profiles(builtin_workers::profiles())
        .build()
        .await
        .expect("a Runtime");
    let echo: ProfileName = "echo".parse().expect("a valid name");
    let mut rare = Vec::new();
    for n in 0..10 {
        let request = CreateWorker::profile(echo.clone()).label("rare", (n % 5 == 4).to_string());
        let created = runtime.create(request).await.expect("a Worker").worker_id;
        if n % 5 == 4 {
            rare.push(created);
        }
    }
    let labels = [("rare".to_owned(), "true".to_owned())].into();
    let mut query = WorkerQuery { labels, limit: Some(2), ..WorkerQuery::default() };
    let mut pages = Vec::new();
    loop {
        let page = runtime.0.worker_page(&query, 3);
        pages.push(page.workers.iter().map(|view| view.worker_id).collect::<Vec<_>>());
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(pages.concat(), rare);
    let found: Vec<_> = pages.iter().map(Vec::len).collect();
    assert_eq!(found, [0, 1, 0, 1], "each looks at three Workers, and the last at one");
}
