use serde_json::{Value, json};
use serve_core::prelude::*;
use serve_core::testing::HttpClient;

use super::{Paper, routes};

/// A shelf with one paper, and the runtime that it lives in.
async fn shelf() -> Result<(MockRuntime, HttpClient)> {
    let runtime = MockRuntime::builder().start();
    runtime.run(routes()).await?;
    let http = runtime.http();
    let body = json!({"title": "Attention Is All You Need"});
    assert_eq!(http.post("/papers/7").json(body).await?.status(), 200);
    Ok((runtime, http))
}

#[tokio::test(start_paused = true)]
async fn parameters_come_from_path_query_and_body() -> Result<()> {
    let (_runtime, http) = shelf().await?;
    let paper: Paper = http.get("/papers/7").await?.json().await?;
    assert_eq!(paper.title, "Attention Is All You Need");
    let titles = http.get("/papers").query(&[("word", "All"), ("limit", "1")]).await?;
    assert_eq!(titles.json::<Vec<String>>().await?, ["Attention Is All You Need"]);
    let none = http.get("/papers?word=Nothing").await?;
    assert_eq!(none.text().await?, "[]");
    let new = json!({"title": "Deep Learning", "summary": "It works"});
    let old: Option<Paper> = http.put("/papers/7").json(&new).await?.json().await?;
    assert_eq!(old, Some(paper));
    assert_eq!(http.put("/papers/7?quiet").json(&new).await?.text().await?, "null");
    assert_eq!(http.delete("/papers/7").await?.json::<Value>().await?, new);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn errors_have_the_status_that_their_type_says() -> Result<()> {
    let (_runtime, http) = shelf().await?;
    let missing = http.get("/papers/8").header("accept", "text/plain").await?;
    assert_eq!(missing.status(), 404);
    assert_eq!(missing.text().await?, "there is no paper 8");
    assert_eq!(http.get("/papers/8/words").await?.status(), 404);
    let taken = http.post("/papers/7").json(json!({"title": "Another"})).await?;
    assert_eq!(taken.status(), 409);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn bad_input_is_named() -> Result<()> {
    let (_runtime, http) = shelf().await?;
    let requests = [
        (http.get("/papers/seven"), 422, "id"),
        (http.get("/papers"), 422, "word"),
        (http.post("/papers/8").json(json!({"title": 8})), 422, "title"),
        (http.post("/papers/8").json(json!({"title": "A", "titel": "B"})), 422, "titel"),
    ];
    for (request, status, field) in requests {
        let response = request.await?;
        assert_eq!(response.status(), status, "{field}");
        let body: Value = response.json().await?;
        assert_eq!(body["error"]["field"], field);
    }
    assert_eq!(http.post("/papers/8").body("no JSON").await?.status(), 400);
    assert_eq!(http.patch("/papers/8").await?.status(), 405);
    let large = "x".repeat(64 << 10);
    let large = http.put("/papers/8").json(json!({"title": large})).await?;
    assert_eq!(large.status(), 413);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_stream_comes_as_the_client_accepts_it() -> Result<()> {
    let (_runtime, http) = shelf().await?;
    let words = async |accept: &str| -> Result<String> {
        http.get("/papers/7/words").header("accept", accept).await?.text().await
    };
    let lines = words("*/*").await?;
    assert_eq!(lines.lines().next(), Some(r#"{"at":0,"text":"Attention"}"#));
    let events = words("text/event-stream").await?;
    assert!(events.ends_with("data: {\"at\":4,\"text\":\"Need\"}\n\n"), "{events}");
    let array: Vec<Value> = serde_json::from_str(&words("application/json").await?)?;
    assert_eq!(array.len(), 5);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_web_socket_is_answered_text_by_text() -> Result<()> {
    let (_runtime, http) = shelf().await?;
    for path in ["/summaries", "/old/summaries"] {
        let mut socket = http.websocket(path).await?;
        for (text, summary) in [
            ("Attention Is All You Need", "Attention Is All (and 2 more)"),
            ("Deep Learning", "Deep Learning"),
        ] {
            socket.send(text).await?;
            assert_eq!(socket.next_text().await?, summary);
        }
        assert_eq!(socket.close(1000, "done").await, 1000);
    }
    Ok(())
}
