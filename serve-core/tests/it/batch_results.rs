//! The results of batched methods: one row for each call, also over HTTP and from mocks.

use crate::support::clocks::ms;
use crate::support::runtimes;
use crate::support::status::total_load;

use std::fmt;
use std::time::Duration;

use futures::future::{join, join_all};
use futures::stream;
use serve_core::prelude::*;
use tokio::time::{Instant, sleep};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Odd(u64);

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is odd", self.0)
    }
}

/// An error that cannot be cloned.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Unique(u64);

impl fmt::Display for Unique {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is odd", self.0)
    }
}

/// One method for each kind of result.
#[deployment]
#[derive(Default)]
struct Kinds;

#[handle]
impl Kinds {
    #[batch]
    pub async fn halves(&self, items: Vec<u64>) -> Vec<Result<u64, Unique>> {
        let half =
            |item: u64| if item.is_multiple_of(2) { Ok(item / 2) } else { Err(Unique(item)) };
        items.into_iter().map(half).collect()
    }

    #[batch]
    pub async fn all_halves(&self, items: Vec<u64>) -> Result<Vec<u64>, Odd> {
        match items.iter().find(|item| !item.is_multiple_of(2)) {
            Some(odd) => Err(Odd(*odd)),
            None => Ok(items.into_iter().map(|item| item / 2).collect()),
        }
    }

    /// The result is an alias.
    #[batch]
    pub async fn by_alias(&self, items: Vec<u64>) -> serve_core::Result<Vec<u64>> {
        if items.len() > 2 {
            return Err(Error::msg("too many").with_status(429));
        }
        Ok(items)
    }

    /// Returns `n` results, however many items there are.
    #[batch(max_batch_size = 3)]
    pub async fn some(&self, n: Vec<usize>) -> Vec<usize> {
        vec![0; n[0]]
    }

    /// Neither async nor blocking.
    #[batch]
    pub fn inline(&self, left: Vec<u64>, right: Vec<String>, n: Vec<Option<u8>>) -> Vec<String> {
        let rows = left.into_iter().zip(right).zip(n);
        rows.map(|((left, right), n)| format!("{left} {right} {n:?}")).collect()
    }

    #[batch(max_batch_size = 2)]
    pub async fn panics(&self, items: Vec<u64>) -> Vec<u64> {
        sleep(ms(100)).await;
        assert!(!items.contains(&13), "there is a 13");
        items
    }

    #[batch(max_batch_size = 2)]
    #[blocking]
    pub fn compute(&self, items: Vec<u64>) -> Vec<u64> {
        assert!(!items.contains(&13), "there is a 13");
        let n = items.len() as u64;
        items.into_iter().map(|item| item * 10 + n).collect()
    }

    /// Counts from 1 up to each.
    #[batch]
    pub fn count(&self, to: Vec<u64>) -> impl Stream<Item = Vec<Option<u64>>> {
        let most = to.iter().copied().max().unwrap_or_default();
        stream::iter(1..=most).then(move |n| {
            let step = to.iter().map(|to| (n <= *to).then_some(n)).collect();
            async move {
                sleep(ms(10)).await;
                step
            }
        })
    }

    /// The same, and 3 cannot be counted.
    #[batch]
    pub fn count_fallibly(
        &self,
        to: Vec<u64>,
    ) -> impl Stream<Item = Vec<Option<Result<u64, Unique>>>> {
        let most = to.iter().copied().max().unwrap_or_default();
        let turn = |n| if n == 3 { Err(Unique(n)) } else { Ok(n) };
        stream::iter(1..=most)
            .map(move |n| to.iter().map(|to| (n <= *to).then(|| turn(n))).collect())
    }

    /// The first step is correct, the second is too short or panics.
    #[batch]
    pub fn breaks(&self, panics: Vec<bool>) -> impl Stream<Item = Vec<Option<u64>>> {
        stream::iter([1, 2]).map(move |n| {
            assert!(n == 1 || !panics[0], "told to");
            vec![Some(n); if n == 1 { panics.len() } else { 1 }]
        })
    }
}

#[tokio::test(start_paused = true)]
async fn each_call_receives_its_own_row() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let kinds = runtime.run(Kinds::bind()).await?;

    let halves = join_all((2..6).map(|item| kinds.halves(item))).await;
    let expected = [Ok(1), Err(CallError::App(Unique(3))), Ok(2), Err(CallError::App(Unique(5)))];
    assert_eq!(halves, expected);

    let halves = join_all([2, 4].map(|item| kinds.all_halves(item))).await;
    assert_eq!(halves, [Ok(1), Ok(2)]);
    let halves = join_all([2, 3, 4].map(|item| kinds.all_halves(item))).await;
    assert_eq!(halves, [const { Err(CallError::App(Odd(3))) }; 3]);

    for answer in join_all((0..3).map(|item| kinds.by_alias(item))).await {
        let Err(CallError::App(error)) = answer else { panic!("three are too many") };
        assert_eq!((error.to_string().as_str(), error.status()), ("too many", Some(429)));
    }

    let row = kinds.inline(1, "a", None);
    let (row, other) = join(row, kinds.inline(2, "b", Some(7))).await;
    assert_eq!((row?.as_str(), other?.as_str()), ("1 a None", "2 b Some(7)"));

    let computed = join_all((1..4).map(|item| kinds.compute(item))).await;
    assert_eq!(computed, [Ok(12), Ok(22), Ok(31)]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_wrong_result_count_fails_the_whole_batch() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let kinds = runtime.run(Kinds::bind()).await?;
    for n in [0, 2, 4] {
        for answer in join_all((0..3).map(|_| kinds.some(n))).await {
            let Err(CallError::Panicked(said)) = answer else { panic!("{answer:?}") };
            assert!(said.contains(&format!("`some` was given a batch of 3 and returned {n}")));
        }
    }
    assert_eq!(join_all((0..3).map(|_| kinds.some(3_usize))).await, [Ok(0), Ok(0), Ok(0)]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_its_batch_only() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let kinds = runtime.run(Kinds::bind()).await?;
    let failed = Err(CallError::Panicked("there is a 13".to_owned()));
    let answers = join_all([1, 13, 3, 4].map(|item| kinds.panics(item))).await;
    assert_eq!(answers, [failed.clone(), failed.clone(), Ok(3), Ok(4)]);
    let answers = join_all([1, 13, 3, 4].map(|item| kinds.compute(item))).await;
    assert_eq!(answers, [failed.clone(), failed, Ok(32), Ok(42)]);
    assert_eq!(total_load(&runtime), (0, 0));
    Ok(())
}

/// Three batches in a row, not three calls of one.
#[tokio::test(start_paused = true)]
async fn a_batch_panic_counts_once_for_health() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let kinds = runtime.run(Kinds::bind()).await?;
    let replica = || {
        let deployments = runtime.status().applications.remove("default").unwrap().deployments;
        deployments["Kinds"].replicas.first().map(|replica| replica.replica_id.clone())
    };
    let first = replica();
    for _ in 0..2 {
        join_all([13, 13].map(|item| kinds.panics(item))).await;
    }
    sleep(Duration::from_secs(60)).await;
    assert_eq!(replica(), first);
    join_all([13, 13].map(|item| kinds.panics(item))).await;
    sleep(Duration::from_secs(60)).await;
    assert_ne!(replica(), first);
    assert_eq!(kinds.panics(1).await?, 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn batched_streams_end_independently() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let kinds = runtime.run(Kinds::bind()).await?;
    let began = Instant::now();
    let (one, three) = (kinds.count(1), kinds.count(3));
    let one = async { (one.try_collect::<Vec<_>>().await, began.elapsed()) };
    let three = async { (three.try_collect::<Vec<_>>().await, began.elapsed()) };
    let (one, three) = join(one, three).await;
    // 10 ms of waiting, then 10 ms a step; and the short one hears of its end in the
    // step after its last.
    assert_eq!((one.0?, one.1), (vec![1], ms(30)));
    assert_eq!((three.0?, three.1), (vec![1, 2, 3], ms(40)));

    let (two, four) = (kinds.count_fallibly(2), kinds.count_fallibly(4));
    let (two, four) = join(two.collect::<Vec<_>>(), four.collect::<Vec<_>>()).await;
    assert_eq!(two, [Ok(1), Ok(2)]);
    let failed = Err(CallError::App(Unique(3)));
    assert_eq!(four, [Ok(1), Ok(2), failed, Ok(4)]);
    assert_eq!(total_load(&runtime), (0, 0));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_bad_step_ends_every_stream_of_the_batch() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let kinds = runtime.run(Kinds::bind()).await?;
    for (panics, expected) in [(true, "told to"), (false, "a batch of 2 and returned 1")] {
        let calls = [kinds.breaks(panics), kinds.breaks(panics)];
        for items in join_all(calls.map(|call| call.collect::<Vec<_>>())).await {
            let [Ok(1), Err(CallError::Panicked(said))] = &items[..] else { panic!("{items:?}") };
            assert!(said.contains(expected), "{said}");
        }
    }
    assert_eq!(total_load(&runtime), (0, 0));
    Ok(())
}

/// Texts in, their lengths and the size of the batch out.
#[cfg(feature = "http")]
#[deployment]
#[derive(Default)]
struct Lengths;

#[cfg(feature = "http")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Length {
    text: usize,
    batch: usize,
}

#[cfg(feature = "http")]
#[handle]
impl Lengths {
    /// How long a text is.
    #[post("/length")]
    #[batch]
    pub async fn length(&self, texts: Vec<String>) -> Vec<Result<Length>> {
        let batch = texts.len();
        let length = |text: String| match text.len() {
            0 => Err(Error::msg("there is not a string").with_status(422)),
            text => Ok(Length { text, batch }),
        };
        texts.into_iter().map(length).collect()
    }

    #[get("/repeat/{texts}")]
    #[batch]
    pub fn repeat(
        &self,
        texts: Vec<String>,
        times: Vec<Option<usize>>,
    ) -> impl Stream<Item = Vec<Option<String>>> {
        stream::iter(0..3).map(move |step| {
            let rows = texts.iter().zip(&times);
            rows.map(|(text, times)| (step < times.unwrap_or(2)).then(|| text.clone())).collect()
        })
    }
}

#[cfg(feature = "http")]
#[tokio::test(start_paused = true)]
async fn http_requests_share_batches() -> Result<()> {
    use serde_json::json;
    let runtime = MockRuntime::builder().start();
    runtime.run(Lengths::bind()).await?;
    let http = runtime.http();
    let requests = ["a", "", "abc"].map(|text| http.post("/length").json(json!({"texts": text})));
    let mut answers = join_all(requests.map(|request| request.send())).await.into_iter();
    let mut next = || answers.next().unwrap();
    assert_eq!(next()?.json::<Length>().await?, Length { text: 1, batch: 3 });
    let refused = next()?;
    assert_eq!(refused.status(), 422);
    assert!(refused.text().await?.contains("there is not a string"));
    assert_eq!(next()?.json::<Length>().await?, Length { text: 3, batch: 3 });

    // One item, not a list.
    let refused = http.post("/length").json(json!({"texts": ["a"]})).await?;
    assert_eq!(refused.status(), 422);

    let once = http.get("/repeat/a").query(&[("times", 1)]).send();
    let (once, twice) = join(once, http.get("/repeat/b").send()).await;
    assert_eq!((once?.text().await?, twice?.text().await?), ("a".to_owned(), "bb".to_owned()));

    let openapi: serde_json::Value = http.get("/openapi.json").await?.json().await?;
    let body = &openapi["paths"]["/length"]["post"]["requestBody"]["content"]["application/json"];
    let shown = serde_json::to_string(body)?;
    assert!(shown.contains("texts"), "{openapi:#}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn mocks_answer_calls_not_batches() -> Result<()> {
    let mock = KindsMock::new()
        .halves(|item: u64| async move { if item == 0 { Err(Unique(0)) } else { Ok(item + 1) } })
        .by_alias(|item: u64| async move { Ok(item + 2) })
        .inline(|left: u64, right: String, n: Option<u8>| async move {
            format!("{left}, {right}, {n:?}")
        })
        .count(|to: u64| stream::iter([to, to]));
    let runtime = MockRuntime::builder().mock(mock).start();
    let kinds = runtime.run(Kinds::bind()).await?;
    let began = Instant::now();
    assert_eq!(kinds.halves(4).await?, 5);
    assert_eq!(kinds.halves(0).await, Err(CallError::App(Unique(0))));
    assert_eq!(kinds.by_alias(4).await?, 6);
    assert_eq!(kinds.inline(1, "a", Some(2)).await?, "1, a, Some(2)");
    assert_eq!(kinds.count(3).try_collect::<Vec<_>>().await?, [3, 3]);
    assert_eq!(began.elapsed(), Duration::ZERO, "nothing waits for a batch");
    let calls = runtime.calls::<Kinds>();
    assert_eq!(format!("{:?}", calls[0]), "halves(items: 4)");
    Ok(())
}

/// A call joins its batch once its arguments have arrived.
#[tokio::test(start_paused = true)]
async fn responses_can_be_batched_arguments() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let kinds = runtime.run(Kinds::bind()).await?;
    let eight = kinds.all_halves(16);
    assert_eq!(kinds.halves(eight).await?, 4);
    Ok(())
}

#[deployment]
#[derive(Default)]
struct Counts;

#[handle]
impl Counts {
    #[batch(max_batch_size = 2, batch_wait_timeout = "10ms")]
    pub fn up_to(&self, to: Vec<u64>) -> impl Stream<Item = Vec<Option<u64>>> {
        let most = to.iter().copied().max().unwrap_or_default();
        stream::iter(0..most).map(move |n| to.iter().map(|to| (n < *to).then_some(n)).collect())
    }
}

#[tokio::test(start_paused = true)]
async fn an_unread_batched_stream_ends_after_10_s() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let counts = runtime.run(Counts::bind()).await?;
    let began = Instant::now();
    let (unread, read) = (counts.up_to(100), counts.up_to(100));
    // In a batch of its own, for which that one has to end.
    let next = counts.up_to(3);
    assert_eq!(read.try_collect::<Vec<_>>().await?, (0..100).collect::<Vec<_>>());
    assert_eq!(next.try_collect::<Vec<_>>().await?, [0, 1, 2]);
    assert_eq!(began.elapsed(), Duration::from_secs(10));
    let items: Vec<_> = unread.collect().await;
    let (last, before) = items.split_last().unwrap();
    assert!(before.iter().all(Result::is_ok) && before.len() >= 16, "{items:?}");
    let Err(CallError::Unavailable { started: true, reason, .. }) = last else {
        panic!("{last:?}");
    };
    assert!(reason.contains("10 s"), "{reason}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_slowly_read_batched_stream_completes() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let counts = runtime.run(Counts::bind()).await?;
    let (slow, fast) = (counts.up_to(60), counts.up_to(60));
    let slowly = slow.then(|item| async {
        sleep(Duration::from_secs(9)).await;
        item
    });
    let (slow, fast) = join(slowly.try_collect::<Vec<_>>(), fast.try_collect::<Vec<_>>()).await;
    assert_eq!((slow?.len(), fast?.len()), (60, 60));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_batch_without_readers_ends() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let counts = runtime.run(Counts::bind()).await?;
    let unread = counts.up_to(u64::MAX);
    let other = counts.up_to(3);
    assert_eq!(other.try_collect::<Vec<_>>().await?, [0, 1, 2]);
    sleep(Duration::from_secs(11)).await;
    // If it ran still, there were no room for this one.
    assert_eq!(counts.up_to(1).try_collect::<Vec<_>>().await?, [0]);
    drop(unread);
    Ok(())
}
