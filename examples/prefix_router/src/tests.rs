use std::collections::BTreeSet;

use futures::future::join_all;
use tokio::time::sleep;

use super::*;

/// Ten blocks that all prompts of one kind begin with.
fn prompt(kind: char, question: u32) -> String {
    let system: String = std::iter::repeat_n(kind, 10 * BLOCK).collect();
    format!("{system} and question number {question:04}")
}

#[tokio::test(start_paused = true)]
async fn prompts_that_begin_alike_meet_on_one_replica() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let model = runtime.run(prefix_router()).await?;
    let mut ranks = BTreeSet::new();
    for kind in ['a', 'b', 'c'] {
        let first = model.complete(prompt(kind, 0)).await?;
        assert_eq!((first.blocks, first.reused), (11, 0));
        ranks.insert(first.rank);
    }
    assert_eq!(ranks.len(), 3, "what has nothing in common is spread");
    for question in 1..10 {
        let kinds = ['c', 'a', 'b'].map(|kind| model.complete(prompt(kind, question)));
        let answers: Vec<_> = join_all(kinds).await.into_iter().collect::<Result<_, _>>()?;
        assert!(answers.iter().all(|answer| answer.reused >= 10), "{answers:?}");
        assert_eq!(answers.iter().map(|answer| answer.rank).collect::<BTreeSet<_>>(), ranks);
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn others_help_where_many_begin_alike() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let model = runtime.run(prefix_router()).await?;
    let home = model.complete(prompt('a', 0)).await?.rank;
    let calls: Vec<_> = (1..20).map(|question| model.complete(prompt('a', question))).collect();
    let answers: Vec<_> = join_all(calls).await.into_iter().collect::<Result<_, _>>()?;
    let at_home = answers.iter().filter(|answer| answer.rank == home).count();
    assert!((5..=8).contains(&at_home), "{at_home} of 19 at home");
    assert!(answers.iter().any(|answer| answer.reused == 0), "another has read it now too");
    assert!(model.complete(prompt('a', 20)).await?.reused >= 10);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_a_replica_kept_is_gone_with_it() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let model = runtime.run(prefix_router()).await?;
    let home = model.complete(prompt('a', 0)).await?.rank;
    assert!(runtime.kill_replica::<Model>(home));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(model.complete(prompt('a', 1)).await?.reused, 0);
    assert!(model.complete(prompt('a', 2)).await?.reused >= 10);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn http_requests_are_routed_alike() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let _model = runtime.run(prefix_router()).await?;
    let mut answers = Vec::new();
    for question in 0..3 {
        let body = serde_json::json!({"prompt": prompt('a', question)});
        let answer: Completion = runtime.http().post("/").json(body).await?.json().await?;
        answers.push(answer);
    }
    assert_eq!(answers[0].reused, 0);
    assert!(answers[1..].iter().all(|one| one.reused >= 10 && one.rank == answers[0].rank));
    Ok(())
}

#[test]
fn the_oldest_blocks_are_forgotten() {
    let mut kept = Kept::default();
    let first = blocks(&prompt('a', 0));
    kept.keep(&first);
    assert_eq!(kept.shared(&first), 11);
    let many: Vec<u64> = (0..KEPT as u64).collect();
    kept.keep(&many);
    assert_eq!((kept.shared(&first), kept.blocks.len()), (0, KEPT));
}
