//! What the page shows of a Backend that went away, and of messages that wait.

use serde_json::{Value, json};

use crate::{Backend, Browser, Driver};

const ITEMS: &str = "document.querySelectorAll('.item').length";
const COMPLETED: &str = "document.querySelectorAll('.assistant[data-status=completed]').length";
const LIVE: &str = "document.getElementById('connection').dataset.state === 'live'";

impl Browser {
    async fn start(backend: &Backend, driver: &Driver) -> Self {
        let browser = Self::open(driver).await;
        browser.goto(&backend.link).await;
        browser.until("document.getElementById('model').dataset.offline === 'true'").await;
        browser
    }

    /// Sends an input to the open conversation as another program would.
    async fn post(&self, body: Value) {
        let post = "const [body, done] = arguments;
            const { runtimes } = await (await fetch('/api/runtimes')).json();
            const worker = `${runtimes[0].runtime_id}/workers/${location.hash.slice(1)}`;
            const { ok } = await fetch(`/api/runtimes/${worker}/input`, {
                method: 'POST',
                headers: { 'content-type': 'application/json' },
                body: JSON.stringify(body),
            });
            return ok;";
        let script = format!("return (async (...arguments) => {{ {post} }})(...arguments);");
        let ok = self.client.execute(&script, vec![body]).await.expect("an answer");
        assert_eq!(ok, json!(true));
    }

    async fn run(&self, script: &str) {
        self.client.execute(script, Vec::new()).await.expect("a script that works");
    }

    /// Leaves the conversation and opens it again.
    async fn reopen(&self) {
        let address = self.evaluate("location.hash").await;
        self.run("location.hash = 'new'").await;
        self.until(&format!("{ITEMS} === 0")).await;
        self.run(&format!("location.hash = {address}")).await;
    }

    /// What went wrong in the page's own code.
    async fn script_errors(&self) -> Vec<Value> {
        let errors = self.console_errors().await.expect("the console");
        errors.into_iter().filter(|entry| entry["source"] == "javascript").collect()
    }
}

#[tokio::test]
async fn a_conversation_is_there_once_after_a_crash_and_goes_on() {
    let (mut backend, driver) = tokio::join!(Backend::start(), Driver::start());
    let browser = Browser::start(&backend, &driver).await;
    // Quoted back word by word, this takes seconds.
    browser.say(&"again and ".repeat(180)).await;
    browser
        .until(
            "document.querySelector('.assistant[data-status=in_progress]')?.innerText.length > 40",
        )
        .await;
    backend.crash().await;
    browser.until("!document.getElementById('problem').hidden").await;

    // The page is reloaded; the cookie was the other process's.
    browser.client.refresh().await.expect("a reload");
    browser.until("document.body.innerText.includes('yoi url')").await;
    browser.goto(&backend.link).await;
    browser.until("document.querySelector('.outcome[data-outcome=interrupted]')").await;
    browser.until("document.querySelector('.assistant[data-status=incomplete]')").await;
    assert_eq!(browser.evaluate(ITEMS).await, json!(2));
    browser.until(LIVE).await;
    browser.say("hello").await;
    browser.until(&format!("{COMPLETED} === 1")).await;

    let before = browser.transcript().await;
    backend.crash().await;
    browser.goto(&backend.link).await;
    browser.until(&format!("{COMPLETED} === 1")).await;
    assert_eq!(browser.transcript().await, before);
    assert_eq!(browser.evaluate(ITEMS).await, json!(4));
    browser.until(LIVE).await;
    browser.say("And now?").await;
    browser.until(&format!("{COMPLETED} === 2")).await;
    assert_eq!(browser.evaluate(ITEMS).await, json!(6));
    assert_eq!(browser.script_errors().await, Vec::<Value>::new());
    browser.client.close().await.expect("the end");
}

#[tokio::test]
async fn messages_that_wait_say_so_and_a_cut_one_can_be_seen_whole() {
    let (backend, driver) = tokio::join!(Backend::start(), Driver::start());
    let browser = Browser::start(&backend, &driver).await;
    browser.say("hello").await;
    browser.until(&format!("{COMPLETED} === 1 && {LIVE}")).await;
    let long = "again and ".repeat(10 << 10);
    browser.post(json!({ "text": long })).await;
    browser.until("document.querySelector('.assistant[data-status=in_progress]')").await;
    browser.post(json!({ "text": "later", "if_busy": "queue" })).await;
    browser.post(json!({ "text": "meanwhile", "if_busy": "steer" })).await;
    let waiting = |how: &str, text: &str| {
        format!("document.querySelector('[data-waiting={how}]')?.innerText.includes('{text}')")
    };
    let both = format!("{} && {}", waiting("queued", "later"), waiting("steered", "meanwhile"));
    browser.until(&both).await;
    browser.client.refresh().await.expect("a reload");
    browser.until(&both).await;

    let shown = "document.querySelectorAll('.user.item .text')[1].textContent.length";
    assert_eq!(browser.evaluate(shown).await, json!(64 << 10));
    browser.click(".user .more").await;
    browser.until(&format!("{shown} === {}", long.len())).await;
    browser.until("!document.querySelector('.user .more')").await;

    // What the turn did not take in before it was cancelled has a turn of its own.
    browser.until("!document.getElementById('cancel').hidden").await;
    browser.click("#cancel").await;
    browser.until(&format!("{COMPLETED} === 3")).await;
    browser.until("!document.querySelector('[data-waiting]')").await;
    browser.until("document.getElementById('send').innerText === 'Send'").await;
    assert_eq!(browser.evaluate(ITEMS).await, json!(8));
    let last = "[...document.querySelectorAll('.user.item .text')].at(-1).textContent";
    assert_eq!(browser.evaluate(last).await, json!("meanwhile"));
    assert_eq!(browser.console_errors().await.expect("the console"), Vec::<Value>::new());
    browser.client.close().await.expect("the end");
}

#[tokio::test]
async fn a_gap_in_the_log_leads_to_a_fresh_transcript_and_the_unknown_to_nothing() {
    let (backend, driver) = tokio::join!(Backend::start(), Driver::start());
    let browser = Browser::start(&backend, &driver).await;
    browser.say("hello").await;
    browser.until(&format!("{COMPLETED} === 1 && {LIVE}")).await;
    let before = browser.transcript().await;
    browser
        .run(
            "window.sources = [];
            window.EventSource = class extends EventSource {
                constructor(address) {
                    super(address);
                    window.sources.push(this);
                }
            };
            window.says = (type, body) => window.sources.at(-1).dispatchEvent(
                new MessageEvent(type, { data: JSON.stringify(body), lastEventId: 'x.9' }));",
        )
        .await;
    browser.reopen().await;
    browser.until("window.sources.length === 1 && window.sources[0].readyState === 1").await;
    browser
        .run(
            "says('worker.painted', { seq: 900, type: 'worker.painted', colour: 'red' });
            says('problem', { type: 'about:blank', status: 410, code: 'cursor_gap', oldest: 'x.9' });",
        )
        .await;
    browser.until("window.sources.length === 2 && window.sources[1].readyState === 1").await;
    assert_eq!(browser.evaluate("window.sources[0].readyState").await, json!(2), "closed");
    assert_eq!(browser.transcript().await, before);
    assert_eq!(browser.evaluate("document.getElementById('problem').hidden").await, json!(true));
    browser.say("And now?").await;
    browser.until(&format!("{COMPLETED} === 2")).await;
    assert_eq!(browser.evaluate(ITEMS).await, json!(4));

    // A Worker that cannot be loaded is said to be, and takes no messages.
    browser
        .run(
            "const real = window.fetch;
            const refusal = { code: 'worker_unavailable', detail: 'its log is damaged' };
            window.fetch = (path, init) => path.includes('/transcript')
                ? Promise.resolve(new Response(JSON.stringify(refusal), { status: 503 }))
                : real(path, init);",
        )
        .await;
    browser.reopen().await;
    browser.until("document.getElementById('unavailable').innerText.includes('damaged')").await;
    browser.until("document.getElementById('input').disabled").await;
    assert_eq!(browser.script_errors().await, Vec::<Value>::new());
    browser.client.close().await.expect("the end");
}
