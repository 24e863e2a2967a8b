//! Adding, replacing and removing documents.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use search::api::{Document, Documents, Size};
use search::embed::Embed;
use search::index::Index;
use serde_json::{Value, json};
use serve_core::futures::future::join_all;
use tokio::time::sleep;

use super::*;

fn document(id: &str, text: &str) -> Document {
    serde_json::from_value(json!({"id": id, "text": text})).unwrap()
}

#[tokio::test(start_paused = true)]
async fn one_document_or_many_are_added_and_found() -> Result<()> {
    let Bench { http, .. } = &Bench::start(embed(), 100).await?;
    let one = json!({"id": "crow", "title": "Crow", "text": "a pitcher of water"});
    let added: Value = http.post("/documents").json(&one).await?.json().await?;
    assert_eq!(added, json!([{"id": "crow", "passages": 1, "replaced": false}]));
    let many = json!([{"text": "pebbles"}, {"id": "crow", "text": "water"}, {"text": "pebbles"}]);
    let added: Value = http.post("/documents").json(&many).await?.json().await?;
    assert_eq!(added[1], json!({"id": "crow", "passages": 1, "replaced": true}));
    // Without an id the content is one: the same document is there once.
    assert_eq!(added[0]["id"], added[2]["id"]);
    assert_eq!(added[2]["replaced"], true);
    let found: Value = http.get("/search?q=pebbles&limit=1").await?.json().await?;
    assert_eq!(found[0]["id"], added[0]["id"]);
    let size: Value = http.get("/documents").await?.json().await?;
    assert_eq!(size, json!({"documents": 4, "passages": 4, "max_passages": 100}));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_document_is_read_replaced_and_removed() -> Result<()> {
    let Bench { http, .. } = &Bench::start(embed(), 100).await?;
    let kept: Value = http.get("/documents/fox").await?.json().await?;
    let fox = json!({"id": "fox", "title": "Fox", "passages": ["sour grapes on a vine"]});
    assert_eq!(kept, fox);
    http.post("/documents").json(json!({"id": "fox", "text": "a stork and a lamb"})).await?;
    let found: Value = http.get("/search?q=lamb").await?.json().await?;
    assert_eq!(found[0]["passage"], "a stork and a lamb");
    let removed: Value = http.delete("/documents/fox").await?.json().await?;
    assert_eq!(removed["passages"], json!(["a stork and a lamb"]));
    for request in [http.get("/documents/fox"), http.delete("/documents/fox")] {
        let response = request.header("accept", "text/plain").await?;
        assert_eq!(response.status(), 404);
        assert_eq!(response.text().await?, "there is no document `fox`");
    }
    let found: Value = http.get("/search?q=grapes").await?.json().await?;
    assert_eq!((found[0]["id"].as_str(), found.as_array().unwrap().len()), (Some("race"), 1));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_long_text_is_cut_and_each_passage_is_embedded_with_its_title() -> Result<()> {
    let Bench { http, runtime, .. } = &Bench::start(embed(), 100).await?;
    let text = "One sentence of seven words is here. ".repeat(60) + "At last a zebra.";
    let body = json!({"id": "long", "title": "Long", "text": text});
    let added: Value = http.post("/documents").json(body).await?.json().await?;
    let passages: usize = serde_json::from_value(added[0]["passages"].clone())?;
    assert!(passages > 5);
    let embedded = runtime.calls::<Embed>();
    let texts = embedded.iter().map(|call| call.arguments().unwrap()["texts"].as_str().unwrap());
    assert_eq!(texts.filter(|text| text.starts_with("Long\n")).count(), passages);
    let found: Value = http.get("/search?q=at+last+a+zebra.").await?.json().await?;
    assert_eq!(found[0]["id"], "long");
    assert!(found[0]["passage"].as_str().unwrap().ends_with("At last a zebra."));
    assert_eq!(found.as_array().unwrap().len(), 3, "each document is found once");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_refused_as_a_whole() -> Result<()> {
    let Bench { http, .. } = &Bench::start(embed(), 3).await?;
    let many = json!([{"id": "a", "text": "one"}, {"id": "b", "text": "two"}]);
    let full = http.post("/documents").header("accept", "text/plain").json(&many).await?;
    assert_eq!(full.status(), 507);
    assert_eq!(
        full.text().await?,
        "the index is full: it has 2 passages and may hold 3, and there are 2 more in these \
         documents. Delete some, or start it with a larger `max_passages`"
    );
    assert_eq!(http.get("/documents/a").await?.status(), 404);
    assert_eq!(http.delete("/documents/fox").await?.status(), 200);
    assert_eq!(http.post("/documents").json(&many).await?.status(), 200);
    Ok(())
}

/// Batches can only be full if so many calls are there at a time.
#[tokio::test(start_paused = true)]
async fn passages_are_with_embed_two_batches_at_a_time_over_all_documents() -> Result<()> {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = (Arc::clone(&now), Arc::clone(&most));
    let embed = EmbedMock::new().embed(move |text: String| {
        let (now, most) = counted.clone();
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sleep(Duration::from_millis(100)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(by_words(&text))
        }
    });
    let bench = Bench::start(embed, 10_000).await?;
    let long = "One sentence of seven words is here. ".repeat(300);
    let adds = (0..20).map(|n| bench.search.add(Documents::One(document(&n.to_string(), &long))));
    for added in join_all(adds).await {
        added?;
    }
    assert_eq!(most.load(Ordering::SeqCst), 16);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn concurrent_adds_and_searches_lose_nothing() -> Result<()> {
    let bench = Bench::start(embed(), 1_000).await?;
    let search = &bench.search;
    let work = (0..200).map(|n| async move {
        let word = format!("word{n}");
        search.add(Documents::One(document(&format!("d{n}"), &word))).await?;
        let found = search.search(question(&word), None).await?;
        assert_eq!(found[0].id.to_string(), format!("d{n}"), "what was added is found at once");
        if n % 4 == 0 {
            search.remove(found[0].id.clone()).await?;
        }
        Ok::<_, Error>(())
    });
    for done in join_all(work).await {
        done?;
    }
    let size = Size { documents: 152, passages: 152, max_passages: 1_000 };
    assert_eq!(search.size().await?, size);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_has_added_nothing() -> Result<()> {
    let bench = Bench::start(embed(), 100).await?;
    bench.runtime.delay::<Embed>("embed", Duration::from_secs(1));
    let adding = bench.search.add(Documents::One(document("late", "text")));
    sleep(Duration::from_millis(500)).await;
    drop(adding);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(bench.search.size().await?.documents, 2);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_new_replica_has_the_corpus_and_nothing_else() -> Result<()> {
    let bench = Bench::start(embed(), 100).await?;
    bench.search.add(Documents::One(document("mine", "text"))).await?;
    assert!(bench.runtime.kill_replica::<Index>(0));
    let size = Size { documents: 2, passages: 2, max_passages: 100 };
    assert_eq!(bench.search.size().await?, size);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_second_replica_is_refused_and_the_first_serves_on() -> Result<()> {
    let runtime = MockRuntime::builder().mock(embed()).start();
    let index = Index::bind(Embed::bind(), None, 100_000).num_replicas(2);
    let refused = runtime.run(index).await.map(drop).unwrap_err().to_string();
    assert!(refused.contains("two replicas would hold different ones"), "{refused}");
    let index = &runtime.status().applications["default"].deployments["Index"];
    assert_eq!(index.replicas.len(), 1);
    let reason = &index.recent_dead_replicas[0].reason;
    assert!(reason.contains("two replicas would hold different ones"), "{reason}");
    Ok(())
}

fn question(text: &str) -> search::api::Question {
    search::api::Question::try_from(text.to_owned()).unwrap()
}
