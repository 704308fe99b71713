//! The console in a real browser: the real binary, Chromium, and a person's clicks and keys.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Stdio,
    str::FromStr,
    time::{Duration, Instant},
};

use fantoccini::{
    Client, ClientBuilder, Locator, error::CmdError, key::Key, wd::WebDriverCompatibleCommand,
};
use hyper_util::client::legacy::connect::HttpConnector;
use reqwest::{Method, Url};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::{Child, Command},
    time::{sleep, timeout},
};

#[path = "browser/durable.rs"]
mod durable;

/// Long enough for a machine under load; a test that waits this long has failed.
const DEADLINE: Duration = Duration::from_secs(60);

/// Between two looks at a condition in the page.
const LOOK: Duration = Duration::from_millis(20);

/// A Backend of its own for one test.
struct Backend {
    /// The one-time link it printed.
    link: String,
    child: Child,
    home: TempDir,
}

impl Backend {
    async fn start() -> Self {
        Self::with_config("").await
    }

    async fn with_config(config: &str) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        std::fs::write(config_in(home.path()), config).expect("a configuration");
        let (child, link) = launch(home.path(), "127.0.0.1:0").await;
        Self { link, child, home }
    }

    /// Kills it, and starts it again at the same address with what is on the disk.
    async fn crash(&mut self) {
        self.child.kill().await.expect("SIGKILL");
        let url: Url = self.link.parse().expect("a link");
        let address = format!("127.0.0.1:{}", url.port().expect("a port"));
        (self.child, self.link) = launch(self.home.path(), &address).await;
    }
}

fn config_in(home: &Path) -> PathBuf {
    home.join("backend.toml")
}

/// Starts a Backend; its process, and the link that it printed.
async fn launch(home: &Path, listen: &str) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_yoi"))
        .arg("--config")
        .arg(config_in(home))
        .args(["up", "--listen", listen, "--data-dir"])
        .arg(home.join("data"))
        // Nothing of this machine: no provider's key, so the offline model.
        .env_clear()
        .env("HOME", home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary starts");
    let line = line_with(child.stdout.take().expect("its output"), "http://").await;
    let link = line.split_whitespace().find(|word| word.starts_with("http://"));
    let link = link.expect("a link").to_owned();
    assert!(link.contains("/?token="), "{link}");
    (child, link)
}

/// Chromium's WebDriver.
struct Driver {
    port: u16,
    _child: Child,
}

impl Driver {
    async fn start() -> Self {
        let child = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let mut child = child.unwrap_or_else(|error| {
            panic!(
                "chromedriver does not start ({error}); install it with:\n    \
                 apt-get install --yes chromium chromium-driver"
            )
        });
        let output = child.stdout.take().expect("its output");
        let line = line_with(output, "started successfully on port").await;
        let port = line.trim_end_matches('.').rsplit(' ').next().expect("a port");
        Self { port: port.parse().expect("a number"), _child: child }
    }
}

impl Drop for Driver {
    /// Ends the browsers too, also when the test failed; killing the driver alone leaves them.
    fn drop(&mut self) {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return };
        let request = format!("GET /shutdown HTTP/1.0\r\nHost: 127.0.0.1:{}\r\n\r\n", self.port);
        // If it does not answer, killing it is all that is left, and that comes next.
        let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

/// The first line of a process's output that contains `needle`.
async fn line_with(output: impl AsyncRead + Unpin, needle: &str) -> String {
    let mut lines = BufReader::new(output).lines();
    let search = async {
        loop {
            let line = lines.next_line().await.expect("text").expect("the line before the end");
            if line.contains(needle) {
                return line;
            }
        }
    };
    timeout(DEADLINE, search).await.unwrap_or_else(|_| panic!("no line with {needle:?} in time"))
}

/// A browser with a profile of its own, and so without a cookie.
struct Browser {
    client: Client,
    _profile: TempDir,
}

impl Browser {
    async fn open(driver: &Driver) -> Self {
        let profile = tempfile::tempdir().expect("a directory");
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1200,900",
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        let capabilities = json!({
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let Value::Object(capabilities) = capabilities else { unreachable!("an object") };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{}", driver.port))
            .await
            .expect("a browser");
        Self { client, _profile: profile }
    }

    async fn goto(&self, url: &str) {
        self.client.goto(url).await.expect("a page");
    }

    async fn evaluate(&self, expression: &str) -> Value {
        let script = format!("return ({expression});");
        self.client.execute(&script, Vec::new()).await.expect("a value")
    }

    /// Waits until an expression is true in the page.
    async fn until(&self, condition: &str) {
        let start = Instant::now();
        while self.evaluate(&format!("Boolean({condition})")).await != json!(true) {
            if start.elapsed() > DEADLINE {
                let page = self.evaluate("document.body.innerText").await;
                panic!("not in time: {condition}\nThe page says: {page}");
            }
            sleep(LOOK).await;
        }
    }

    /// Types a message and sends it with the Enter key.
    async fn say(&self, text: &str) {
        let input = self.client.find(Locator::Id("input")).await.expect("the input box");
        let keys = format!("{text}{}", char::from(Key::Enter));
        input.send_keys(&keys).await.expect("typing");
    }

    async fn click(&self, selector: &str) {
        let click = async || {
            let found = self.client.find(Locator::Css(selector)).await.expect("something to click");
            found.click().await
        };
        let start = Instant::now();
        while let Err(error) = click().await {
            let error = format!("{error:?}");
            // It moves while text comes in, and something else is where it was.
            let has_moved = error.contains("ElementClickIntercepted");
            assert!(has_moved && start.elapsed() < DEADLINE, "a click: {error}");
            sleep(LOOK).await;
        }
    }

    async fn transcript(&self) -> Value {
        self.evaluate("document.getElementById('transcript').innerText").await
    }

    /// What the page reported to the console as an error.
    async fn console_errors(&self) -> Result<Vec<Value>, CmdError> {
        let log = self.client.issue_cmd(ConsoleLog).await?;
        let entries = log.as_array().cloned().unwrap_or_default();
        Ok(entries.into_iter().filter(|entry| entry["level"] == "SEVERE").collect())
    }
}

/// Chromium's own command for what stands in the console.
#[derive(Debug)]
struct ConsoleLog;

impl WebDriverCompatibleCommand for ConsoleLog {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, <Url as FromStr>::Err> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({ "type": "browser" }).to_string()))
    }
}

#[tokio::test]
async fn a_conversation_streams_and_is_the_same_after_a_reload() {
    let (backend, driver) = tokio::join!(Backend::start(), Driver::start());
    let browser = Browser::open(&driver).await;
    browser.goto(&backend.link).await;
    browser.until("document.getElementById('model').dataset.offline === 'true'").await;
    let address = browser.client.current_url().await.expect("an address");
    assert_eq!((address.path(), address.query()), ("/", None), "the token is gone from it");

    // Notes every length the answer has while it is on the screen.
    let note_lengths = "const seen = window.seen = [];
        new MutationObserver(() => {
            const answer = document.querySelector('.assistant .text');
            if (answer) seen.push(answer.textContent.length);
        }).observe(document.getElementById('transcript'),
            { subtree: true, childList: true, characterData: true });";
    browser.client.execute(note_lengths, Vec::new()).await.expect("an observer");
    browser.say("Tell me something long about rivers, mountains and the sea, please").await;
    browser.until("document.querySelector('.assistant[data-status=completed]')").await;
    browser.until("!document.getElementById('send').hidden").await;

    let lengths: Vec<u64> =
        serde_json::from_value(browser.evaluate("window.seen").await).expect("lengths");
    assert!(lengths.is_sorted(), "text only ever grows: {lengths:?}");
    let steps: BTreeSet<u64> = lengths.iter().copied().collect();
    assert!(steps.len() > 3, "it comes in pieces, not at once: {lengths:?}");
    let said = browser.evaluate("document.querySelector('.assistant .text').textContent").await;
    assert!(said.as_str().expect("text").starts_with("[offline model]"), "{said}");

    let before = browser.transcript().await;
    browser.client.refresh().await.expect("a reload");
    browser.until("document.querySelector('.assistant[data-status=completed]')").await;
    assert_eq!(browser.transcript().await, before);

    // The conversation goes on, and nothing of it is shown twice.
    browser.until("document.getElementById('connection').dataset.state === 'live'").await;
    browser.say("And now?").await;
    browser
        .until("document.querySelectorAll('.assistant[data-status=completed]').length === 2")
        .await;
    assert_eq!(browser.evaluate("document.querySelectorAll('.item').length").await, json!(4));
    assert_eq!(
        browser.evaluate("document.querySelectorAll('#conversations a').length").await,
        json!(1)
    );
    assert_eq!(browser.console_errors().await.expect("the console"), Vec::<Value>::new());
    browser.client.close().await.expect("the end");
}

#[tokio::test]
async fn an_answer_can_be_cancelled_and_the_reason_stays() {
    // The operator called the Runtime something else, and the page finds it.
    let config = "[runtime]\nid = \"mine\"\n";
    let (backend, driver) = tokio::join!(Backend::with_config(config), Driver::start());
    let browser = Browser::open(&driver).await;
    browser.goto(&backend.link).await;
    browser.until("document.getElementById('model').dataset.offline === 'true'").await;
    // Quoted back word by word, this takes seconds.
    browser.say(&"again and ".repeat(180)).await;
    browser.until("document.querySelector('.assistant[data-status=in_progress]')").await;
    browser.click("#cancel").await;
    browser.until("document.querySelector('.outcome[data-outcome=cancelled]')").await;
    browser.until("document.querySelector('.assistant[data-status=incomplete]')").await;
    browser.client.refresh().await.expect("a reload");
    browser.until("document.querySelector('.outcome[data-outcome=cancelled]')").await;
    // The Worker takes the next message.
    browser.until("document.getElementById('connection').dataset.state === 'live'").await;
    browser.say("hello").await;
    browser.until("document.querySelector('.assistant[data-status=completed]')").await;
    assert_eq!(browser.console_errors().await.expect("the console"), Vec::<Value>::new());
    browser.client.close().await.expect("the end");
}

#[tokio::test]
async fn what_was_said_in_another_tab_is_shown_once() {
    let (backend, driver) = tokio::join!(Backend::start(), Driver::start());
    let browser = Browser::open(&driver).await;
    browser.goto(&backend.link).await;
    browser.until("document.getElementById('model').dataset.offline === 'true'").await;
    browser.say("Tell me about rivers").await;
    let answers = "document.querySelectorAll('.assistant[data-status=completed]').length";
    browser.until(&format!("{answers} === 1")).await;

    // The tab that is left behind lets go of its connection.
    let first = browser.client.window().await.expect("a tab");
    let address = browser.client.current_url().await.expect("an address");
    let second = browser.client.new_window(true).await.expect("another tab");
    browser.client.switch_to_window(second.handle).await.expect("a switch");
    browser.goto(address.as_str()).await;
    browser.until(&format!("{answers} === 1")).await;
    browser.say("And about the sea").await;
    browser.until(&format!("{answers} === 2")).await;
    let expected = browser.transcript().await;

    browser.client.switch_to_window(first).await.expect("a switch");
    browser.until(&format!("{answers} === 2")).await;
    assert_eq!(browser.transcript().await, expected);
    assert_eq!(browser.evaluate("document.querySelectorAll('.item').length").await, json!(4));
    assert_eq!(browser.console_errors().await.expect("the console"), Vec::<Value>::new());
    browser.client.close().await.expect("the end");
}

#[tokio::test]
async fn a_used_link_opens_nothing_in_another_browser() {
    let (backend, driver) = tokio::join!(Backend::start(), Driver::start());
    let first = Browser::open(&driver).await;
    first.goto(&backend.link).await;
    first.until("document.getElementById('composer')").await;
    let second = Browser::open(&driver).await;
    second.goto(&backend.link).await;
    second.until("document.body.innerText.includes('yoi url')").await;
    assert_eq!(second.evaluate("document.getElementById('composer')").await, Value::Null);
    for browser in [first, second] {
        browser.client.close().await.expect("the end");
    }
}

#[tokio::test]
async fn a_long_conversation_has_one_scrollbar_and_stays_at_its_end() {
    let (backend, driver) = tokio::join!(Backend::start(), Driver::start());
    let browser = Browser::open(&driver).await;
    browser.goto(&backend.link).await;
    browser.until("document.getElementById('model').dataset.offline === 'true'").await;
    // Wrapped text makes the box grow, though it has no line break; and only so far.
    let height = "document.getElementById('input').clientHeight";
    let empty = browser.evaluate(height).await.as_f64().expect("a number");
    let fill = "const input = document.getElementById('input');
        input.value = arguments[0];
        input.dispatchEvent(new Event('input'));";
    browser.client.execute(fill, vec![json!("word ".repeat(60))]).await.expect("a long line");
    browser.until(&format!("{height} > 2 * {empty}")).await;
    browser
        .client
        .execute(fill, vec![json!("line of text\n".repeat(120))])
        .await
        .expect("many lines");
    browser.until(&format!("{height} < innerHeight / 2")).await;
    browser.say("the end").await;
    browser.until("document.querySelector('.assistant[data-status=in_progress]')").await;

    // What is sent while the answer comes waits for its turn, as the button says.
    browser.until("document.getElementById('send').innerText === 'Queue'").await;
    browser.say("too early").await;
    browser
        .until("document.querySelector('[data-waiting=queued]')?.innerText.includes('too early')")
        .await;
    browser.until("document.getElementById('input').value === ''").await;
    browser.click("#cancel").await;
    browser.until("document.querySelector('.outcome[data-outcome=cancelled]')").await;
    browser.until("document.getElementById('send').innerText === 'Send'").await;
    let last = "[...document.querySelectorAll('.user.item .text')].at(-1).textContent";
    assert_eq!(browser.evaluate(last).await, json!("too early"));

    let sizes = "[document.documentElement.scrollHeight, innerHeight]";
    let one_scrollbar = |sizes: Value| assert_eq!(sizes[0], sizes[1], "only the scroller scrolls");
    let long = "document.getElementById('scroller').scrollHeight > 2 * innerHeight";
    assert_eq!(browser.evaluate(long).await, json!(true));
    one_scrollbar(browser.evaluate(sizes).await);
    let at_end = "(({ scrollHeight, scrollTop, clientHeight }) =>
        scrollHeight - scrollTop - clientHeight < 2)(document.getElementById('scroller'))";
    browser.until(at_end).await;
    // Neither a smaller window nor a banner takes the end out of sight.
    browser.client.set_window_size(600, 600).await.expect("a smaller window");
    browser.until(&format!("innerWidth <= 600 && {at_end}")).await;
    one_scrollbar(browser.evaluate(sizes).await);
    let banner = "document.getElementById('problem-text').textContent = 'No! '.repeat(200);
        document.getElementById('problem').hidden = false;";
    browser.client.execute(banner, Vec::new()).await.expect("a banner");
    browser.until(at_end).await;
    assert_eq!(browser.console_errors().await.expect("the console"), Vec::<Value>::new());
    browser.client.close().await.expect("the end");
}

#[tokio::test]
async fn an_address_of_no_conversation_leads_to_a_new_one() {
    let (backend, driver) = tokio::join!(Backend::start(), Driver::start());
    let browser = Browser::open(&driver).await;
    browser.goto(&backend.link).await;
    browser.until("document.getElementById('model').dataset.offline === 'true'").await;
    for missing in ["01890a5d-ac96-774b-bcce-b302099a8057", "no-id", ".."] {
        let leave = format!("location.hash = '{missing}'");
        browser.client.execute(&leave, Vec::new()).await.expect("another address");
        browser.until("location.hash === '#new'").await;
        browser.until("!document.getElementById('problem').hidden").await;
    }
    browser.say("hello").await;
    browser.until("document.querySelector('.assistant[data-status=completed]')").await;
    browser.until("document.getElementById('problem').hidden").await;
    assert_ne!(browser.evaluate("location.hash").await, json!("#new"));

    // One that was made without a name is told by its time.
    let nameless = "fetch('/api/runtimes').then((answer) => answer.json()).then(({ runtimes }) =>
        fetch(`/api/runtimes/${runtimes[0].runtime_id}/workers`, {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify({ profile: 'companion' }),
        })).then(({ ok }) => ok)";
    assert_eq!(browser.evaluate(nameless).await, json!(true));
    browser.client.refresh().await.expect("a reload");
    browser
        .until("/^Untitled, \\d/.test(document.querySelector('#conversations a')?.textContent)")
        .await;
    browser.client.close().await.expect("the end");
}
