//! Questions over HTTP, and the page.

use serde_json::Value;

use super::*;

#[tokio::test(start_paused = true)]
async fn what_is_closest_comes_first() -> Result<()> {
    let bench = Bench::start(embed(), 100).await?;
    let found = bench.http.get("/search").query(&[("q", "sour grapes")]).await?;
    assert_eq!(found.status(), 200);
    let found: Value = found.json().await?;
    assert_eq!(found[0]["id"], "fox");
    assert_eq!(found[0]["title"], "Fox");
    assert_eq!(found[0]["passage"], "sour grapes on a vine");
    assert_eq!(found.as_array().unwrap().len(), 2);
    let scores = [found[0]["score"].as_f64(), found[1]["score"].as_f64()];
    assert!(scores[0] > scores[1] && scores[0] <= Some(1.001), "{scores:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_kept() -> Result<()> {
    let bench = Bench::start(embed(), 100).await?;
    for limit in [1, 2, 50] {
        let query = [("q", "a race".to_owned()), ("limit", limit.to_string())];
        let found: Vec<Value> = bench.http.get("/search").query(&query).await?.json().await?;
        assert_eq!(found.len(), limit.min(2));
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_question_goes_to_embed_as_it_is_and_its_direction_to_the_index() -> Result<()> {
    let bench = Bench::start(embed(), 100).await?;
    bench.http.get("/search?q=sour%20gr%C3%A4pes&limit=3").await?;
    let asked = bench.runtime.calls::<search::embed::Embed>();
    assert_eq!(asked.last().unwrap().arguments().unwrap()["texts"], "sour gräpes");
    let searched = bench.runtime.calls::<search::index::Index>();
    let arguments = searched.last().unwrap().arguments().unwrap();
    assert_eq!(arguments["limit"], 3);
    assert_eq!(arguments["question"].as_array().unwrap().len(), DIMENSIONS);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_question_that_cannot_be_embedded_fails_without_internals() -> Result<()> {
    let bench = Bench::start(embed(), 100).await?;
    bench.runtime.fail_next::<search::embed::Embed>("embed", CallError::DeadlineExceeded);
    assert_eq!(bench.http.get("/search?q=race").await?.status(), 408);
    bench.runtime.fail_next::<search::embed::Embed>("embed", CallError::Panicked("oh".into()));
    let failed = bench.http.get("/search?q=race").await?;
    assert_eq!(failed.status(), 500);
    assert!(!failed.text().await?.contains("oh"));
    assert_eq!(bench.http.get("/search?q=race").await?.status(), 200);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_page_is_there() -> Result<()> {
    let bench = Bench::start(embed(), 100).await?;
    let page = bench.http.get("/").await?;
    assert_eq!(page.status(), 200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let page = page.text().await?;
    assert!(
        page.contains("<input") && !page.contains("https://"),
        "it needs nothing from elsewhere"
    );
    Ok(())
}
