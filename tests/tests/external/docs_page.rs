//! The page at `/docs` of `examples/routes`, in a browser.

use std::net::SocketAddr;
use std::process::Command;

// The program that `cargo serve run` links knows the application by its name.
use routes as _;
use serde_json::{Value, json};
use serve_core::dynamic::registered;
use serve_core::prelude::*;
use serve_tests::request;

use crate::browser::Browser;

/// What the tests ask of the page: the card of an endpoint, its fields and its parts.
const PAGE: &str = r#"
    globalThis.card = (id) => document.getElementById(id);
    globalThis.field = (id, name) => [...card(id).querySelectorAll("label")]
        .find((label) => label.querySelector("code").textContent === name).querySelector("input");
    globalThis.button = (id, text) => [...card(id).querySelectorAll("button")]
        .find((button) => button.textContent === text);
    globalThis.fill = (input, value) => {
        input.value = value;
        input.dispatchEvent(new Event("input", { bubbles: true }));
    };
    globalThis.outcome = (id) => card(id).querySelector("form > p").textContent;
    globalThis.output = (id) => card(id).querySelector("form > pre").textContent;
    globalThis.shown = (selector) => [...document.querySelectorAll(selector)]
        .filter((element) => element.checkVisibility()).length;
"#;

/// The application as `cargo serve run` builds it, and a browser with its page.
async fn page() -> (Runtime, SocketAddr, Browser) {
    let runtime = Runtime::builder().http(([127, 0, 0, 1], 0)).start().await.expect("it starts");
    let known = registered().into_iter().find(|known| known.full_name() == "routes:routes");
    let application = known.expect("it is linked").build(serde_json::Map::new());
    runtime.run_any(application.expect("it takes nothing")).await.expect("it runs");
    let address = runtime.http_address().expect("the runtime listens");
    let mut browser = Browser::open(&format!("http://{address}/docs")).await;
    browser.until("document.querySelector('details.card')").await;
    browser.run(PAGE).await;
    browser.run("for (const card of document.querySelectorAll('details')) card.open = true").await;
    (runtime, address, browser)
}

impl Browser {
    /// Fills the fields of an endpoint, and its body if there is one.
    async fn fill(&mut self, endpoint: &str, fields: &[(&str, &str)], body: Option<Value>) {
        let id = json!(endpoint);
        for (name, value) in fields {
            let (name, value) = (json!(name), json!(value));
            self.run(&format!("fill(field({id}, {name}), {value})")).await;
        }
        if let Some(body) = body {
            let body = json!(body.to_string());
            self.run(&format!("fill(card({id}).querySelector('textarea'), {body})")).await;
        }
    }

    async fn click(&mut self, endpoint: &str, button: &str) {
        self.run(&format!("button({}, {}).click()", json!(endpoint), json!(button))).await;
    }

    /// Sends the request of an endpoint, and returns its status and what is shown of the answer.
    async fn send(&mut self, endpoint: &str) -> (String, String) {
        self.click(endpoint, "Send").await;
        let id = json!(endpoint);
        self.until(&format!("outcome({id}).includes('request ')")).await;
        let outcome = self.text(&format!("outcome({id})")).await;
        (outcome[..3].to_owned(), self.text(&format!("output({id})")).await)
    }

    /// Puts a paper on the shelf.
    async fn add(&mut self, id: &str, title: &str) {
        self.fill("add", &[("id", id)], Some(json!({ "title": title }))).await;
        assert_eq!(self.send("add").await.0, "200");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium; .ci/run installs it"]
async fn a_form_sends_a_request_and_shows_the_answer() {
    let (_runtime, _, mut browser) = page().await;
    browser.add("7", "Attention Is All You Need").await;
    browser.fill("paper", &[("id", "7")], None).await;
    let (status, paper) = browser.send("paper").await;
    assert_eq!(status, "200");
    let paper: Value = serde_json::from_str(&paper).expect("JSON");
    assert_eq!(paper["title"], "Attention Is All You Need");
    browser.fill("paper", &[("id", "8")], None).await;
    let (status, error) = browser.send("paper").await;
    assert!(status == "404" && error.contains("there is no paper 8"), "{status} {error}");
    // A stream, as it is produced.
    browser.fill("words", &[("id", "7")], None).await;
    let (status, words) = browser.send("words").await;
    assert!(status == "200" && words.lines().count() == 5, "{status} {words}");
    browser.assert_content();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium; .ci/run installs it"]
async fn a_required_field_that_is_empty_is_marked_and_nothing_is_sent() {
    let (_runtime, _, mut browser) = page().await;
    for button in ["Send", "Copy as curl"] {
        browser.fill("paper", &[("id", "")], None).await;
        browser.click("paper", button).await;
        assert_eq!(browser.value("field('paper', 'id').matches(':user-invalid')").await, true);
        assert_eq!(browser.text("outcome('paper')").await, "");
    }
    let sent = "performance.getEntriesByType('resource').map((one) => one.name).join()";
    let sent = browser.text(sent).await;
    assert!(sent.ends_with("/openapi.json"), "{sent}");
    // The empty text is a value, and what is optional may be left out.
    browser.fill("find", &[("word", ""), ("limit", "")], None).await;
    assert_eq!(browser.send("find").await, ("200".to_owned(), "[]".to_owned()));
    browser.assert_content();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium; .ci/run installs it"]
async fn a_filter_hides_what_does_not_match_with_its_headings() {
    let (_runtime, _, mut browser) = page().await;
    let all = browser.value("shown('#endpoints > details')").await;
    assert_eq!(all, 7);
    for (filter, endpoints, headings) in [
        ("DELETE", 1, 1),
        ("paper", 6, 2),
        ("Error", 0, 1),
        ("nothing like this", 0, 0),
        ("", 7, 2),
    ] {
        browser.run(&format!("fill(document.getElementById('filter'), {})", json!(filter))).await;
        let found = browser.value("[shown('#endpoints > details'), shown('h2')]").await;
        assert_eq!(found, json!([endpoints, headings]), "{filter}");
        assert_eq!(browser.value("shown('#nothing')").await, u8::from(headings == 0), "{filter}");
    }
    browser.assert_content();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium and curl; .ci/run installs them"]
async fn a_request_is_copied_as_a_command_of_curl() {
    let (_runtime, address, mut browser) = page().await;
    browser.allow_clipboard().await;
    let copied = async |browser: &mut Browser, endpoint: &str| {
        browser.click(endpoint, "Copy as curl").await;
        browser.until(&format!("outcome({}) === 'Copied.'", json!(endpoint))).await;
        let command = browser.text("navigator.clipboard.readText()").await;
        assert_eq!(command, browser.text(&format!("output({})", json!(endpoint))).await);
        let ran = Command::new("sh").args(["-c", &command]).output().expect("a shell");
        assert!(ran.status.success(), "{command}\n{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).expect("text")
    };
    let title = "It's $HOME, \"quoted\" \\ `so` @ü\n%20";
    browser.fill("add", &[("id", "7")], Some(json!({ "title": title }))).await;
    assert_eq!(copied(&mut browser, "add").await, "");
    let there: Value =
        serde_json::from_str(&request(address, "GET", "/papers/7", "").body).expect("JSON");
    assert_eq!(there["title"], title);

    // A query, with the answer that the page shows.
    browser.fill("find", &[("word", "It's $HOME"), ("limit", "1")], None).await;
    let by_curl: Value = serde_json::from_str(&copied(&mut browser, "find").await).expect("JSON");
    let (_, by_page) = browser.send("find").await;
    let by_page: Value = serde_json::from_str(&by_page).expect("JSON");
    assert_eq!((&by_curl, &by_curl), (&by_page, &json!([title])));

    browser.fill("words", &[("id", "7")], None).await;
    let by_curl = copied(&mut browser, "words").await;
    assert_eq!(browser.send("words").await, ("200".to_owned(), by_curl));
    browser.assert_content();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium; .ci/run installs it"]
async fn a_web_socket_is_opened_and_answered() {
    let (_runtime, _, mut browser) = page().await;
    browser.click("summaries", "Connect").await;
    browser.until("outcome('summaries').startsWith('Open')").await;
    let said = "[...card('summaries').querySelectorAll('.log li')].map((one) => one.textContent)";
    for text in ["Attention Is All You Need", "Deep Learning"] {
        browser
            .run(&format!("fill(card('summaries').querySelector('textarea'), {})", json!(text)))
            .await;
        browser.click("summaries", "Send").await;
    }
    browser.until(&format!("{said}.length === 4")).await;
    let mut said_so_far: Vec<String> =
        serde_json::from_value(browser.value(said).await).expect("texts");
    said_so_far.sort();
    let expected = [
        "↑Attention Is All You Need",
        "↑Deep Learning",
        "↓Attention Is All (and 2 more)",
        "↓Deep Learning",
    ];
    assert_eq!(said_so_far, expected);
    browser.click("summaries", "Close").await;
    browser.until("outcome('summaries') === 'Closed with 1000'").await;
    browser.assert_content();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium; .ci/run installs it"]
async fn the_page_says_what_there_is_once_and_in_words() {
    let (_runtime, _, mut browser) = page().await;
    assert_eq!(
        browser.value("[document.title, card('title').textContent]").await,
        json!(["routes", "routes"])
    );
    let page = browser.text("document.body.innerText").await;
    assert!(!page.contains('`'), "{page}");
    assert!(page.contains("Other paths are served by #[routes]"), "{page}");
    assert_eq!(page.matches("Takes a paper off").count(), 1, "{page}");
    assert_eq!(page.matches("Puts a paper in the place of what was there").count(), 1, "{page}");
    assert!(page.contains("The whole body is the paper"), "{page}");
    // The statuses of its own error stand beside its result, and not among those of all methods.
    let own = "[...card('add').querySelectorAll('.body > div > table code')].map((one) => one.textContent)";
    let own: Vec<String> = serde_json::from_value(browser.value(own).await).expect("texts");
    assert!(
        ["200", "404", "409"].iter().all(|status| own.iter().any(|it| it == status)),
        "{own:?}"
    );
    assert!(!own.contains(&"413".to_owned()), "{own:?}");
    browser.assert_content();
}
