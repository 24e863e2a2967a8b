//! What clients get wrong is told to them, and changes nothing.

use serde_json::{Value, json};
use serve_core::testing::HttpRequest;

use super::*;

async fn refused(request: HttpRequest, status: u16, field: &str, says: &str) -> Result<()> {
    let response = request.await?;
    let found = response.status();
    let body: Value = response.json().await?;
    assert_eq!(found, status, "{field}: {body}");
    let error = &body["error"];
    assert_eq!(error["field"].as_str().unwrap_or_default(), field, "{body}");
    assert!(error["message"].as_str().unwrap().contains(says), "{body}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_question_that_cannot_be_asked_is_refused() -> Result<()> {
    let Bench { http, runtime, .. } = &Bench::start(embed(), 100).await?;
    let asked = runtime.calls::<search::embed::Embed>().len();
    let long = "x".repeat(1_001);
    for (query, field, says) in [
        (vec![], "q", "missing"),
        (vec![("q", "")], "q", "the question is empty"),
        (vec![("q", " \t\u{3000}")], "q", "the question is empty"),
        (vec![("q", &long[..])], "q", "at most 1000 characters, this has 1001"),
        (vec![("q", "a"), ("limit", "0")], "limit", "only 1 to 50"),
        (vec![("q", "a"), ("limit", "51")], "limit", "51 documents cannot be asked for"),
        (vec![("q", "a"), ("limit", "-1")], "limit", ""),
        (vec![("q", "a"), ("limit", "99999999999999999999999")], "limit", ""),
        (vec![("q", "a"), ("limit", "ten")], "limit", ""),
        (vec![("q", "a"), ("limit", "")], "limit", ""),
    ] {
        refused(http.get("/search").query(&query), 422, field, says).await?;
    }
    assert_eq!(runtime.calls::<search::embed::Embed>().len(), asked, "none was embedded");
    refused(http.get("/search?q=%FF%FE"), 422, "q", "UTF-8").await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_document_that_cannot_be_indexed_is_refused() -> Result<()> {
    let Bench { http, runtime, search, .. } = &Bench::start(embed(), 100).await?;
    let asked = runtime.calls::<search::embed::Embed>().len();
    let words = "word ".repeat(100_000);
    let many = vec![json!({"text": "x"}); 201];
    for (body, field, says) in [
        (json!({}), "documents.text", "missing"),
        (json!({"text": ""}), "documents.text", "the text is empty"),
        (json!({"text": " \n\t"}), "documents.text", "the text is empty"),
        (json!({"text": 7}), "documents.text", "string"),
        (json!({"text": words}), "documents.text", "a document at most 262144; send its chapters"),
        (json!([{"text": "x"}, {"text": ""}]), "documents[1].text", "the text is empty"),
        (json!([]), "documents", "these are 0 documents"),
        (json!(many), "documents", "these are 201 documents"),
        (json!({"text": "x", "id": ""}), "documents.id", "the id is empty"),
        (json!({"text": "x", "id": "a/b"}), "documents.id", "and not '/'"),
        (json!({"text": "x", "id": "x".repeat(201)}), "documents.id", "at most 200"),
        (json!({"text": "x", "title": "x".repeat(201)}), "documents.title", "at most 200"),
        (json!({"text": "x", "titel": "y"}), "documents.titel", "unknown"),
        (json!("text"), "documents", "a document, or a list of documents"),
        (json!(null), "documents", ""),
    ] {
        refused(http.post("/documents").json(&body), 422, field, says).await?;
    }
    refused(http.post("/documents"), 422, "documents", "missing").await?;
    for body in ["{", "text", "{\"text\": \"\u{0}\"}"] {
        refused(http.post("/documents").body(body), 400, "", "").await?;
    }
    let invalid = http.post("/documents").body(&b"{\"text\": \"\xFF\xFE\"}"[..]).await?;
    assert!(invalid.status().is_client_error(), "{}", invalid.status());
    let large = format!("{{\"text\": \"{}\"}}", "x".repeat(10 << 20));
    refused(http.post("/documents").body(large), 413, "", "larger than 2097152 bytes").await?;
    let form = http.post("/documents").header("content-type", "text/plain").body("text").await?;
    assert_eq!(form.status(), 415);

    assert_eq!(search.size().await?.documents, 2);
    assert_eq!(runtime.calls::<search::embed::Embed>().len(), asked, "none was embedded");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_id_that_cannot_be_is_refused_and_one_that_is_not_is_missing() -> Result<()> {
    let Bench { http, .. } = &Bench::start(embed(), 100).await?;
    for path in ["/documents/a%20b", "/documents/%2e%2e%2f"] {
        refused(http.get(path), 422, "id", "letters, digits").await?;
        refused(http.delete(path), 422, "id", "letters, digits").await?;
    }
    let long = format!("/documents/{}", "x".repeat(201));
    refused(http.get(long), 422, "id", "at most 200").await?;
    assert_eq!(http.get("/documents/größe.7_b-1").await?.status(), 404);
    assert_eq!(http.post("/search").await?.status(), 405);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_corpus_that_is_not_there_fails_the_deploy_and_names_it() -> Result<()> {
    let runtime = MockRuntime::builder().mock(embed()).start();
    let options = Options { corpus: Some("/no/such/corpus".into()), max_passages: None };
    let error = runtime.run(search(options)).await.unwrap_err().to_string();
    assert!(error.contains("`corpus`: cannot read /no/such/corpus: No such file"), "{error}");
    let options = Options { corpus: None, max_passages: Some(10) };
    let error = runtime.run(search(options)).await.unwrap_err().to_string();
    assert!(error.contains("the index is full") && error.contains("hold 10"), "{error}");
    Ok(())
}
