//! Results with a status, headers and cookies of their own.
#![cfg(feature = "http")]

use std::time::Duration;

use serde_json::{Value, json};
use serve_core::futures::stream;
use serve_core::http::{Cookie, Reply};
use serve_core::prelude::*;

#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
struct Paper {
    id: u32,
}

#[deployment]
#[derive(Default)]
struct Shelf;

#[handle]
impl Shelf {
    #[post("/papers", status = 201)]
    pub async fn add(&self, status: Option<u16>) -> Reply<Paper> {
        let reply = Reply::new(Paper { id: 7 }).header("location", "/papers/7");
        match status {
            Some(status) => reply.status(status),
            None => reply,
        }
    }

    #[post("/plain", status = 202)]
    pub async fn plain(&self, fail: bool) -> Result<String> {
        if fail { Err(Error::msg("no").with_status(409)) } else { Ok("later".to_owned()) }
    }

    #[delete("/papers", status = 204)]
    pub async fn clear(&self) {}

    #[get("/page")]
    pub async fn page(&self) -> Result<Reply<String>> {
        Ok(Reply::new("<p>".to_owned())
            .header("content-type", "text/html")
            .cookie(Cookie::new("a", "1 ;").max_age(Duration::from_secs(5)))
            .cookie(Cookie::removal("b")))
    }

    #[get("/raw")]
    pub async fn raw(&self) -> Reply<Bytes> {
        Reply::new(Bytes::from_static(b"\0")).header("etag", "\"x\"")
    }

    #[get("/bad")]
    pub async fn bad(&self, name: String, value: String, status: u16) -> Reply<()> {
        Reply::new(()).header(name, value).status(status)
    }

    #[get("/stream", status = 206)]
    pub fn stream(&self) -> impl Stream<Item = u32> {
        stream::iter([1, 2])
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_decides_status_and_headers() -> Result<()> {
    for mode in [Mode::Local, Mode::Wire] {
        let runtime = MockRuntime::builder().mode(mode).start();
        let shelf = runtime.run(Shelf::bind()).await?;
        let http = runtime.http();
        let added = http.post("/papers").await?;
        assert_eq!((added.status().as_u16(), added.header("location")), (201, Some("/papers/7")));
        assert_eq!(added.header("content-type"), Some("application/json"));
        assert_eq!(added.json::<Paper>().await?, Paper { id: 7 });
        for status in [200, 303] {
            let other = http.post("/papers").json(json!({"status": status})).await?;
            assert_eq!(other.status(), status);
        }
        let bare = http.post("/papers").json(json!({"status": 204})).await?;
        assert_eq!((bare.header("content-type"), bare.header("location").is_some()), (None, true));
        assert_eq!(bare.text().await?, "");
        assert_eq!(shelf.add(None).await?.into_value(), Paper { id: 7 });
        assert_eq!(http.post("/plain").json(json!({"fail": false})).await?.status(), 202);
        assert_eq!(http.post("/plain").json(json!({"fail": true})).await?.status(), 409);
        let cleared = http.delete("/papers").await?;
        assert_eq!((cleared.status().as_u16(), cleared.header("content-type")), (204, None));
        assert_eq!(http.get("/stream").await?.status(), 206);
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn content_type_is_replaced_and_cookies_add_up() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    runtime.run(Shelf::bind()).await?;
    let http = runtime.http();
    let page = http.get("/page").await?;
    let all = |name: &str| -> Vec<String> {
        let values = page.headers().get_all(name).iter();
        values.map(|value| value.to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(all("content-type"), ["text/html"]);
    assert_eq!(
        all("set-cookie"),
        [
            "a=1%20%3B; Path=/; Max-Age=5; HttpOnly; SameSite=Lax",
            "b=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax",
        ]
    );
    let raw = http.get("/raw").await?;
    assert_eq!(raw.header("content-type"), Some("application/octet-stream"));
    assert_eq!(raw.header("etag"), Some("\"x\""));
    let document: Value = http.get("/openapi.json").await?.json().await?;
    let added = &document["paths"]["/papers"]["post"]["responses"]["201"]["content"];
    assert_eq!(added["application/json"]["schema"]["$ref"], "#/components/schemas/Paper");
    let page = &document["paths"]["/page"]["get"]["responses"]["200"]["content"];
    assert!(page["text/plain; charset=utf-8"].is_object(), "{page}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_cannot_be_sent_is_500() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    runtime.run(Shelf::bind()).await?;
    let http = runtime.http();
    for (name, value, status) in [
        ("a b", "c", "200"),
        ("", "c", "200"),
        ("a", "c\nd: e", "200"),
        ("a", "c", "101"),
        ("a", "c", "1000"),
    ] {
        let pairs = [("name", name), ("value", value), ("status", status)];
        let bad = http.get("/bad").query(&pairs).await?;
        assert_eq!(bad.status(), 500, "{name} {value} {status}");
        assert!(bad.header("a").is_none() && bad.header("d").is_none());
    }
    Ok(())
}
