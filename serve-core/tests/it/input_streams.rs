//! Streams as arguments: client streams, and streams in both directions.

use crate::support::gauges::Gauge;
use crate::support::runtimes;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::{pending, ready};
use futures::stream;
use serve_core::prelude::*;
use tokio::time::{sleep, timeout};

/// What a response stream holds between its producer and its consumer, at most, and the one
/// item that a producer has made for it and cannot pass on.
const AHEAD: usize = 16 + 1;

#[derive(Clone, Default)]
struct Sources {
    /// Items that were made.
    made: Arc<AtomicUsize>,
    /// Sources that live.
    live: Gauge,
}

impl Sources {
    fn made(&self) -> usize {
        self.made.load(Ordering::SeqCst)
    }

    fn live(&self) -> usize {
        self.live.now()
    }

    /// The numbers from 0, counted as they are made.
    fn numbers(&self) -> impl Stream<Item = u64> + Send + 'static {
        let (made, living) = (Arc::clone(&self.made), self.live.enter());
        stream::iter(0..).inspect(move |_| {
            let _ = &living;
            made.fetch_add(1, Ordering::SeqCst);
        })
    }
}

#[deployment]
struct Source(Sources);

#[handle]
impl Source {
    fn new(sources: Sources) -> Self {
        Self(sources)
    }

    pub fn numbers(&self) -> impl Stream<Item = u64> {
        self.0.numbers()
    }

    /// The one that fails is not the last.
    pub fn fails_at(&self, at: u64) -> impl Stream<Item = Result<u64>> {
        self.0.numbers().take_while(move |number| ready(*number < at + 2)).map(move |number| {
            if number == at { Err(Error::msg(format!("no {at}"))) } else { Ok(number) }
        })
    }
}

#[deployment(max_ongoing_requests = 2)]
#[derive(Default)]
struct Sink;

#[handle]
impl Sink {
    pub async fn sum(&self, numbers: InputStream<u64>) -> Result<u64> {
        Ok(numbers.try_fold(0, |sum, number| async move { Ok(sum + number) }).await?)
    }

    /// The first few, one a second.
    pub async fn few(&self, numbers: InputStream<u64>, count: usize) -> Result<Vec<u64>> {
        let slowly = numbers.and_then(|number| async move {
            sleep(Duration::from_secs(1)).await;
            Ok(number)
        });
        Ok(slowly.take(count).try_collect().await?)
    }

    /// Takes one, drops the rest and goes on.
    pub async fn one_and_on(&self, mut numbers: InputStream<u64>) -> Option<u64> {
        let first = numbers.next().await.and_then(Result::ok);
        drop(numbers);
        sleep(Duration::from_secs(60)).await;
        first
    }

    /// Drops all of them and goes on.
    pub async fn none_and_on(&self, numbers: InputStream<u64>) {
        drop(numbers);
        sleep(Duration::from_secs(60)).await;
    }

    /// Holds them and reads none.
    pub async fn hold(&self, numbers: InputStream<u64>) {
        let _numbers = numbers;
        pending::<()>().await;
    }

    /// What came, up to the first failure.
    pub async fn transcript(&self, numbers: InputStream<u64>) -> Vec<Result<u64, String>> {
        let shown = |item: Result<u64, CallError>| item.map_err(|error| error.to_string());
        numbers.map(shown).collect().await
    }

    pub fn doubled(&self, numbers: InputStream<u64>) -> impl Stream<Item = Result<u64>> {
        numbers.map(|number| Ok(number? * 2))
    }

    #[blocking]
    pub fn sum_blocking(&self, numbers: InputStream<u64>) -> Result<u64> {
        let mut sum = 0;
        for number in numbers.blocking_iter() {
            sum += number?;
        }
        Ok(sum)
    }

    pub async fn blocks(&self, numbers: InputStream<u64>) -> Vec<Result<u64, String>> {
        let items = numbers.blocking_iter();
        items.map(|item| item.map_err(|error| error.to_string())).collect()
    }
}

#[deployment]
struct Pipe {
    source: SourceHandle,
    sink: SinkHandle,
}

#[handle]
impl Pipe {
    fn new(source: SourceHandle, sink: SinkHandle) -> Self {
        Self { source, sink }
    }

    /// Both ways at once: what the sink sends back goes to it again.
    pub fn doubled_twice(&self) -> impl Stream<Item = Result<u64>> {
        let doubled = self.sink.doubled(self.source.numbers());
        self.sink.doubled(doubled).map(|number| Ok(number?))
    }

    /// Passes on what it was given, untouched.
    pub async fn sum(&self, numbers: InputStream<u64>) -> Result<u64> {
        Ok(self.sink.sum(numbers).await?)
    }

    pub async fn hold(&self) -> Result<()> {
        Ok(self.sink.hold(self.source.numbers()).await?)
    }
}

struct Test {
    runtime: MockRuntime,
    pipe: PipeHandle,
    source: SourceHandle,
    sink: SinkHandle,
    sources: Sources,
}

async fn start() -> Result<Test> {
    let sources = Sources::default();
    let runtime = MockRuntime::builder().start();
    let pipe = runtime.run(Pipe::bind(Source::bind(sources.clone()), Sink::bind())).await?;
    let source = runtime.get_deployment_handle::<Source>("default", "Source")?;
    let sink = runtime.get_deployment_handle::<Sink>("default", "Sink")?;
    Ok(Test { runtime, pipe, source, sink, sources })
}

/// Waits until everything has come to rest.
async fn rest() {
    sleep(Duration::from_secs(10)).await;
}

#[tokio::test(start_paused = true)]
async fn streams_responses_and_inputs_are_arguments() -> Result<()> {
    let test = start().await?;
    assert_eq!(test.sink.sum(stream::iter([1, 2, 3])).await?, 6);
    assert_eq!(test.sink.sum(InputStream::new(stream::iter([4, 5]))).await?, 9);
    assert_eq!(test.sink.sum(stream::empty()).await?, 0);
    assert_eq!(test.sink.few(test.source.numbers(), 3).await?, [0, 1, 2]);
    assert_eq!(test.pipe.sum(stream::iter([1, 2, 3])).await?, 6, "passed on");
    // One that is not ready yet.
    let later = stream::once(async {
        sleep(Duration::from_secs(3_600)).await;
        7
    });
    assert_eq!(test.sink.sum(later).await?, 7);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn streams_are_pulled_as_they_are_read() -> Result<()> {
    let test = start().await?;
    assert_eq!(test.sink.few(test.sources.numbers(), 3).await?, [0, 1, 2]);
    assert_eq!(test.sources.made(), 3, "no more than was read");
    assert_eq!(test.sources.live(), 0);

    let call = test.sink.hold(test.sources.numbers());
    rest().await;
    assert_eq!(test.sources.made(), 3, "nobody reads");
    drop(call);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn slow_consumers_hold_back_all_producers() -> Result<()> {
    let test = start().await?;
    let mut numbers = test.pipe.doubled_twice();
    for expected in [0, 4, 8] {
        assert_eq!(numbers.next().await.expect("it has no end")?, expected);
    }
    rest().await;
    let made = test.sources.made();
    assert!((3..=3 + 4 * AHEAD).contains(&made), "{made} for three that were read");
    rest().await;
    assert_eq!(test.sources.made(), made, "it stands still");
    for _ in 0..100 {
        numbers.next().await.expect("it has no end")?;
    }
    rest().await;
    assert_eq!(test.sources.made(), made + 100, "one for one");
    drop(numbers);
    rest().await;
    assert_eq!(test.sources.live(), 0, "the end of it ended all of it");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_its_call() -> Result<()> {
    let test = start().await?;
    // Dropped.
    let call = test.sink.hold(test.source.numbers());
    rest().await;
    assert_eq!((test.sources.live(), test.sources.made()), (1, AHEAD));
    drop(call);
    rest().await;
    assert_eq!(test.sources.live(), 0);
    // Out of time.
    let hasty = test.sink.options(CallOptions::new().timeout(Duration::from_secs(1)));
    let late = hasty.hold(test.source.numbers()).await;
    assert_eq!(late, Err(CallError::DeadlineExceeded));
    rest().await;
    assert_eq!(test.sources.live(), 0);
    // Down a tree.
    let call = test.pipe.hold();
    rest().await;
    assert_eq!(test.sources.live(), 1);
    drop(call);
    rest().await;
    assert_eq!(test.sources.live(), 0);
    // Its replica died.
    let call = test.sink.hold(test.source.numbers());
    rest().await;
    assert!(test.runtime.kill_replica::<Sink>(0));
    let error = call.await.unwrap_err();
    assert!(matches!(error, CallError::Unavailable { started: true, .. }), "{error:?}");
    rest().await;
    assert_eq!(test.sources.live(), 0);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_stream_waits_and_leaves_with_its_call() -> Result<()> {
    let test = start().await?;
    let full = [test.sink.hold(stream::empty()), test.sink.hold(stream::empty())];
    let queued = test.sink.sum(test.source.numbers().take(20).map(|item| item.unwrap_or(0)));
    let passed = test.sink.sum(test.sources.numbers());
    let ahead = test.sink.sum(test.source.numbers());
    rest().await;
    assert_eq!(test.sources.made(), 2 * AHEAD, "two producers are ahead, and wait");
    drop((passed, ahead));
    rest().await;
    assert_eq!(test.sources.live(), 1);
    drop(full);
    assert_eq!(queued.await?, (0..20).sum::<u64>(), "none was lost");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn dropping_a_stream_stops_its_source() -> Result<()> {
    let test = start().await?;
    let call = test.sink.one_and_on(test.source.numbers());
    rest().await;
    assert_eq!(test.sources.live(), 0, "while the call still runs");
    assert!(test.sources.made() <= 1 + AHEAD);
    assert_eq!(call.await?, Some(0));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn source_failures_arrive_as_items() -> Result<()> {
    let test = start().await?;
    let transcript = test.sink.transcript(test.source.fails_at(2)).await?;
    let failed = Err("`Source.fails_at` failed: no 2".to_owned());
    assert_eq!(transcript, [Ok(0), Ok(1), failed, Ok(3)], "an item like others");
    let error = test.sink.sum(test.source.fails_at(2)).await.unwrap_err();
    let CallError::App(error) = error else { panic!("{error:?}") };
    assert_eq!(error.to_string(), "`Source.fails_at` failed: no 2");
    rest().await;
    assert_eq!(test.sources.live(), 0);

    // Its replica dies: what it had made still comes.
    let call = test.sink.few(test.source.numbers(), 1_000);
    sleep(Duration::from_millis(3_500)).await;
    assert!(test.runtime.kill_replica::<Source>(0));
    let error = call.await.unwrap_err();
    let CallError::App(error) = error else { panic!("{error:?}") };
    assert_eq!(error.status(), Some(503), "{error:#}");
    assert!(error.to_string().contains("`Source.numbers` failed"), "{error:#}");

    // One that was refused.
    test.runtime.fail_next::<Source>("numbers", CallError::Panicked("told to".to_owned()));
    let transcript = test.sink.transcript(test.source.numbers()).await?;
    assert_eq!(transcript.len(), 1);
    assert!(transcript[0].as_ref().is_err_and(|text| text.contains("told to")));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn blocking_methods_read_streams() -> Result<()> {
    let test = start().await?;
    assert_eq!(test.sink.sum_blocking(stream::iter(0..100)).await?, 4_950);
    let error = test.sink.sum_blocking(test.source.fails_at(50)).await.unwrap_err();
    assert!(error.to_string().contains("no 50"), "{error}");
    rest().await;
    assert_eq!(test.sources.live(), 0);
    // Elsewhere it would stop other calls, the source among them.
    let test = start().await?;
    let items = test.sink.blocks(test.source.numbers()).await?;
    assert_eq!(items, [Err(CallError::<Error>::BlockingInAsync.to_string())]);
    rest().await;
    assert_eq!(test.sources.live(), 0);
    Ok(())
}

#[tokio::test]
async fn blocking_methods_read_on_the_replicas_thread() -> Result<()> {
    let sources = Sources::default();
    let runtime = runtimes::by_environment().await?;
    let pipe = Pipe::bind(Source::bind(sources), Sink::bind());
    let _pipe = runtime.run(pipe).await?;
    let sink = runtime.get_deployment_handle::<Sink>("default", "Sink")?;
    assert_eq!(sink.sum_blocking(stream::iter(0..1_000)).await?, 499_500);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn dropping_an_unread_stream_stops_its_source() -> Result<()> {
    let test = start().await?;
    let calls = [
        test.sink.none_and_on(test.source.numbers()),
        test.sink.none_and_on(test.sources.numbers()),
    ];
    rest().await;
    assert_eq!(test.sources.live(), 0, "while the calls still run");
    for call in calls {
        call.await?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_stream_panic_ends_the_reading_call() -> Result<()> {
    for mode in [Mode::Local, Mode::Wire] {
        let runtime = MockRuntime::builder().mode(mode).start();
        let sink = runtime.run(Sink::bind()).await?;
        let numbers = stream::iter(0..3).map(|number| {
            assert!(number < 2, "no more than two");
            number
        });
        let ended = timeout(Duration::from_secs(60), sink.sum(numbers)).await;
        let error = ended.expect("it does not hang").unwrap_err();
        assert!(error.to_string().ends_with("no more than two"), "{mode:?}: {error}");
    }
    Ok(())
}

#[deployment(request_timeout = "5s")]
#[derive(Default)]
struct Stuck;

#[handle]
impl Stuck {
    pub async fn number(&self) -> u64 {
        pending().await
    }
}

/// Only a request from outside brings a timeout of its own.
#[tokio::test(start_paused = true)]
async fn a_streams_calls_have_the_callees_timeout() -> Result<()> {
    for mode in [Mode::Local, Mode::Wire] {
        let runtime = MockRuntime::builder().mode(mode).start();
        let sink = runtime.run(Sink::bind()).await?;
        let stuck = runtime.run(Application::new(Stuck::bind()).name("stuck")).await?;
        let late = stream::once(async move {
            u64::from(stuck.number().await == Err(CallError::DeadlineExceeded))
        });
        let ended = timeout(Duration::from_secs(60), sink.sum(late)).await;
        assert_eq!(ended.expect("it has a timeout")?, 1, "{mode:?}");
    }
    Ok(())
}
