//! The whole application over HTTP: what is asked is found.

use std::time::Duration;

use search::{Options, search};
use serde_json::{Value, json};
use serve_core::prelude::*;
use tokio::time::timeout;

#[tokio::test]
async fn the_corpus_answers_questions_and_grows() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    runtime.run(search(Options::default())).await?;
    let http = runtime.http();
    let first = async |question: &str| -> Result<Value> {
        let query = [("q", question), ("limit", "3")];
        let found: Value = http.get("/search").query(&query).await?.json().await?;
        assert_eq!(found.as_array().unwrap().len(), 3);
        Ok(found)
    };
    for (question, id) in [
        ("dropping pebbles into a jar to raise the water", "the-crow-and-the-pitcher"),
        ("slow and steady wins the race", "the-hare-and-the-tortoise"),
        ("the grapes are probably sour anyway", "the-fox-and-the-grapes"),
        ("nobody believes a liar", "the-shepherds-boy-and-the-wolf"),
        ("saving up food for the winter", "the-ants-and-the-grasshopper"),
        ("a wolf with a bone stuck in its throat", "the-wolf-and-the-crane"),
        ("persuasion works better than force", "the-north-wind-and-the-sun"),
        ("comparing someone to a summer day", "sonnet-18"),
        ("my mistress has eyes that are nothing like the sun", "sonnet-130"),
        ("falling down a rabbit hole", "alice-in-wonderland-i-down-the-rabbit-hole"),
        ("a tea party with a hatter and a dormouse", "alice-in-wonderland-vii-a-mad-tea-party"),
        (
            "what is treason and how is it punished",
            "constitution-of-the-united-states-article-iii-section-3",
        ),
        (
            "proposing amendments to this constitution",
            "constitution-of-the-united-states-article-v",
        ),
    ] {
        let found = first(question).await?;
        assert_eq!(found[0]["id"], id, "{question}: {found:#}");
        assert!(found[0]["score"].as_f64() >= found[1]["score"].as_f64());
    }

    let rust = json!({"id": "rust", "title": "Rust", "text":
        "The borrow checker refuses a program in which a reference outlives what it refers to."});
    assert_eq!(http.post("/documents").json(&rust).await?.status(), 200);
    assert_eq!(first("dangling pointers are a compile error").await?[0]["id"], "rust");
    assert_eq!(http.delete("/documents/rust").await?.status(), 200);
    assert_ne!(first("dangling pointers are a compile error").await?[0]["id"], "rust");

    // Many at a time, of which half go away before they are answered.
    let questions = (0..64).map(|n| {
        let question = http.get(format!("/search?q=question+number+{n}"));
        async move {
            let patience = if n % 2 == 0 { Duration::from_secs(600) } else { Duration::ZERO };
            timeout(patience, question).await
        }
    });
    let answers = serve_core::futures::future::join_all(questions).await;
    for answer in answers.into_iter().step_by(2) {
        assert_eq!(answer.expect("in time")?.status(), 200);
    }
    Ok(())
}
