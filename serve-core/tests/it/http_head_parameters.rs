//! Parameters that are headers and cookies.
#![cfg(feature = "http")]

use serde_json::{Value, json};
use serve_core::http::{Cookie, Reply};
use serve_core::prelude::*;
use serve_core::testing::HttpResponse;

#[deployment]
#[derive(Default)]
struct Desk;

#[handle]
impl Desk {
    #[get("/who", header = user_agent, header("X-Api-Version") = version, cookie = session)]
    pub async fn who(
        &self,
        user_agent: String,
        version: Option<u8>,
        session: Option<String>,
        page: Option<u32>,
    ) -> Value {
        json!([user_agent, version, session, page])
    }

    #[post("/note", header = tag, cookie("__Host-id") = id)]
    pub async fn note(&self, text: String, tag: Vec<String>, id: u32) -> Value {
        json!([text, tag, id])
    }

    #[post("/raw", body = data, header = content_type)]
    pub async fn raw(&self, data: Bytes, content_type: Option<String>) -> Value {
        json!([data.len(), content_type])
    }

    #[post("/login")]
    pub async fn login(&self, name: String) -> Reply<()> {
        Reply::new(()).cookie(Cookie::new("session", name))
    }
}

async fn error(response: HttpResponse) -> Result<(u16, String, String, String)> {
    let status = response.status().as_u16();
    let body: Value = response.json().await?;
    let text = |name: &str| body["error"][name].as_str().unwrap_or_default().to_owned();
    Ok((status, text("in"), text("field"), text("message")))
}

#[tokio::test(start_paused = true)]
async fn headers_and_cookies_are_parameters() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let desk = runtime.run(Desk::bind()).await?;
    let http = runtime.http();
    let who = http.get("/who?page=2").header("user-agent", "curl").header("x-api-version", "3");
    let who = who.header("cookie", "a=b; session=x%20y");
    assert_eq!(who.await?.json::<Value>().await?, json!(["curl", 3, "x y", 2]));
    let who = http.get("/who").header("user-agent", "");
    assert_eq!(who.await?.json::<Value>().await?, json!(["", null, null, null]));
    let note =
        http.post("/note").json(json!({"text": "a"})).header("tag", "one").header("tag", "two");
    let note = note.header("cookie", "__Host-id=7");
    assert_eq!(note.await?.json::<Value>().await?, json!(["a", ["one", "two"], 7]));
    let raw = http.post("/raw").body("abc").header("content-type", "image/png");
    assert_eq!(raw.await?.json::<Value>().await?, json!([3, "image/png"]));
    // On the handle, they are parameters like any other.
    let note = desk.note("a".to_owned(), vec!["b".to_owned()], 1).await?;
    assert_eq!(note, json!(["a", ["b"], 1]));
    // What a reply sets comes back.
    let login = http.post("/login").json(json!({"name": "Dora; %20"})).await?;
    let cookie = login.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let who = http.get("/who").header("user-agent", "x").header("cookie", cookie.as_str());
    assert_eq!(who.await?.json::<Value>().await?[2], "Dora; %20");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_422_with_the_name_outside() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    runtime.run(Desk::bind()).await?;
    let http = runtime.http();
    let missing = error(http.get("/who").await?).await?;
    assert_eq!((missing.0, &*missing.1, &*missing.2), (422, "header", "user-agent"));
    assert_eq!(missing.3, "missing field `user-agent`, expected a string");
    let version = http.get("/who").header("user-agent", "x").header("x-api-version", "new");
    let version = error(version.await?).await?;
    assert_eq!((version.0, &*version.1, &*version.2), (422, "header", "x-api-version"));
    let twice = http.get("/who").header("user-agent", "x").header("user-agent", "y");
    assert!(error(twice.await?).await?.3.contains("given 2 times"));
    let id = http.post("/note").json(json!({"text": "a"})).header("tag", "t");
    let id = id.header("cookie", "__Host-id=x");
    let id = error(id.await?).await?;
    assert_eq!((id.0, &*id.1, &*id.2), (422, "cookie", "__Host-id"));
    let latin = serve_core::axum::http::HeaderValue::from_bytes(b"\xe4").unwrap();
    let latin = error(http.get("/who").header("user-agent", latin).await?).await?;
    assert_eq!((latin.0, &*latin.3), (422, "invalid value, expected UTF-8"));
    // A header is no field of the body.
    let field =
        http.post("/note").json(json!({"text": "a", "tag": "b"})).header("cookie", "__Host-id=1");
    assert!(error(field.await?).await?.3.contains("unknown field `tag`, expected `text`"));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_description_says_where_they_are() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    runtime.run(Desk::bind()).await?;
    let document: Value = runtime.http().get("/openapi.json").await?.json().await?;
    let places = |verb: &str, path: &str| -> Vec<String> {
        let all = document["paths"][path][verb]["parameters"].as_array().unwrap();
        all.iter().map(|one| format!("{} {} {}", one["in"], one["name"], one["required"])).collect()
    };
    assert_eq!(
        places("get", "/who"),
        [
            r#""header" "user-agent" true"#,
            r#""header" "x-api-version" false"#,
            r#""cookie" "session" false"#,
            r#""query" "page" false"#,
        ]
    );
    let note = &document["paths"]["/note"]["post"];
    let body = &note["requestBody"]["content"]["application/json"]["schema"]["properties"];
    assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["text"]);
    Ok(())
}
