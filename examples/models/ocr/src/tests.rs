//! The graph with mocks in place of the models: what is said in which order, and what stops.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::{join_all, pending};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::*;

const PNG: &[u8] = include_bytes!("../../page.png");

/// `count` lines, one below the other.
fn boxes(count: usize) -> Vec<Corners> {
    let line = |n| Corners::upright(10.0, 20.0 * n as f32, 200.0, 20.0 * n as f32 + 15.0);
    (0..count).map(line).collect()
}

/// A detector that finds so many lines, and says the lowest first.
fn detector(count: usize) -> DetectMock {
    DetectMock::new()
        .lines(move |_: Page| async move { Ok(boxes(count).into_iter().rev().collect()) })
}

/// A strip whose width is the number of its line.
fn orienter() -> OrientMock {
    OrientMock::new().upright(|_: Page, corners: Corners| async move {
        let width = tensor::whole(corners.0[0][1]) / 20;
        Ok(Strip { width, pixels: Bytes::new(), turned: false })
    })
}

fn reading(line: usize) -> Reading {
    Reading { text: format!("line {line}"), confidence: 0.75 }
}

/// A runtime with the graph, and `recognise` in place of its last stage.
async fn running(lines: usize, recognise: RecogniseMock) -> Result<(MockRuntime, ReaderHandle)> {
    let mocks = MockRuntime::builder().mock(detector(lines)).mock(orienter()).mock(recognise);
    let runtime = mocks.start();
    let reader = runtime.run(ocr(Options::default())).await?;
    Ok((runtime, reader))
}

#[tokio::test(start_paused = true)]
async fn lines_come_in_reading_order_whichever_is_done_first() -> Result<()> {
    let recognise = RecogniseMock::new().read(|strip: Strip| async move {
        // The first takes longest.
        sleep(Duration::from_secs(100 - strip.width as u64)).await;
        Ok(reading(strip.width))
    });
    let (runtime, reader) = running(50, recognise).await?;
    let lines: Vec<Line> = reader.read(Bytes::from_static(PNG)).try_collect().await?;
    let expected: Vec<_> = (0..50)
        .zip(boxes(50))
        .map(|(line, corners)| Line { text: reading(line).text, confidence: 0.75, corners })
        .collect();
    assert_eq!(lines, expected);
    assert_eq!(runtime.calls::<Recognise>().len(), 50);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn each_line_is_sent_as_soon_as_those_before_it_are() -> Result<()> {
    let recognise = RecogniseMock::new().read(|strip: Strip| async move {
        sleep(Duration::from_secs(strip.width as u64)).await;
        Ok(reading(strip.width))
    });
    let (_runtime, reader) = running(3, recognise).await?;
    let (began, mut lines) = (Instant::now(), reader.read(Bytes::from_static(PNG)));
    for second in 0..3 {
        assert_eq!(lines.next().await.expect("a line")?.text, reading(second).text);
        assert_eq!(began.elapsed().as_secs(), second as u64);
    }
    assert!(lines.next().await.is_none());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn it_is_sent_as_a_list_or_as_lines() -> Result<()> {
    let recognise =
        RecogniseMock::new().read(|strip: Strip| async move { Ok(reading(strip.width)) });
    let (runtime, _) = running(2, recognise).await?;
    let post = || runtime.http().post("/read").body(PNG);
    let line = |line: usize| {
        let corners = boxes(2)[line].0;
        json!({"text": format!("line {line}"), "confidence": 0.75, "box": corners})
    };

    let list = post().header("accept", "application/json").await?;
    assert_eq!(list.json::<Value>().await?, json!([line(0), line(1)]));
    // As curl sends it.
    let form = post().header("content-type", "application/x-www-form-urlencoded").await?;
    assert_eq!(form.header("content-type"), Some("application/x-ndjson"));
    let text = form.text().await?;
    let lines: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
    assert_eq!(lines?, [line(0), line(1)]);
    let events = post().header("accept", "text/event-stream").await?.text().await?;
    assert_eq!(events.matches("data: {").count(), 2);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn specks_are_left_out() -> Result<()> {
    let recognise = RecogniseMock::new().read(|strip: Strip| async move {
        let [text, confidence] = [["", "1"], ["?", "0.4"], ["a", "0.5"]][strip.width];
        Ok(Reading { text: text.to_owned(), confidence: confidence.parse()? })
    });
    let (_runtime, reader) = running(3, recognise).await?;
    let lines: Vec<Line> = reader.read(Bytes::from_static(PNG)).try_collect().await?;
    assert_eq!(lines.iter().map(|line| &line.text[..]).collect::<Vec<_>>(), ["a"]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn with_its_client_a_page_goes_away() -> Result<()> {
    /// Counts itself as long as it lives.
    struct Alive(Arc<AtomicUsize>);
    impl Drop for Alive {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
    let alive = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&alive);
    let recognise = RecogniseMock::new().read(move |strip: Strip| {
        count.fetch_add(1, Ordering::SeqCst);
        let alive = Alive(Arc::clone(&count));
        async move {
            if strip.width > 0 {
                let _alive = alive;
                pending::<()>().await;
            }
            Ok(reading(strip.width))
        }
    });
    let (runtime, _) = running(50, recognise).await?;
    let response = runtime.http().post("/read").body(PNG).await?;
    let mut chunks = response.chunks();
    assert!(chunks.next().await.is_some());
    sleep(Duration::from_secs(1)).await;
    assert!(alive.load(Ordering::SeqCst) > 20);
    drop(chunks);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(alive.load(Ordering::SeqCst), 0);
    // What had not been asked for yet never is.
    assert!(runtime.calls::<Recognise>().len() < 50);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_line_that_fails_fails_its_page() -> Result<()> {
    let recognise = RecogniseMock::new().read(|strip: Strip| async move {
        if strip.width == 1 { Err(Error::msg("out of ink")) } else { Ok(reading(strip.width)) }
    });
    let (runtime, _) = running(3, recognise).await?;
    let post = || runtime.http().post("/read").body(PNG);
    let list = post().header("accept", "application/json").await?;
    assert_eq!(list.status(), 500);
    let error: serde_json::Value = list.json().await?;
    assert_eq!(error["error"]["message"], "a line of the page could not be read");
    let text = post().await?.text().await?;
    let lines: Vec<_> = text.lines().collect();
    assert!(lines.len() == 2 && lines[0].contains("line 0"), "{text}");
    assert!(lines[1].contains("a line of the page could not be read"), "{text}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn more_pages_than_there_is_room_for_are_told_to_come_back() -> Result<()> {
    let recognise = RecogniseMock::new().read(|strip: Strip| async move {
        sleep(Duration::from_secs(1)).await;
        Ok(reading(strip.width))
    });
    let (runtime, _) = running(1, recognise).await?;
    let http = runtime.http();
    let pages = (0..20).map(|_| http.post("/read").body(PNG).send());
    let answers = join_all(pages).await.into_iter().collect::<Result<Vec<_>>>()?;
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status() == 503).collect();
    assert_eq!((answers.len(), refused.len()), (20, 4));
    for answer in refused {
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_deadline_holds_for_the_whole_page() -> Result<()> {
    let recognise = RecogniseMock::new().read(|_: Strip| pending());
    let (runtime, _) = running(3, recognise).await?;
    let answer =
        runtime.http().post("/read").body(PNG).header("x-request-timeout-seconds", "0.5").await?;
    assert_eq!(answer.status(), 408);
    // After a second, the head of the stream is on its way, and the error is its last line.
    let late = runtime.http().post("/read").body(PNG).await?;
    assert_eq!(late.status(), 200);
    let lines = late.text().await?;
    assert!(lines.lines().last().is_some_and(|line| line.contains("408")), "{lines}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn bad_pages_are_refused_by_a_sentence() -> Result<()> {
    let recognise = RecogniseMock::new();
    let (runtime, _) = running(0, recognise).await?;
    let jpeg = &b"\xFF\xD8\xFF\xE0"[..];
    for (body, status, said) in [
        (&b""[..], 400, "the body is empty"),
        (b"garbage", 415, "as a PNG"),
        (jpeg, 415, "a JPEG"),
        (&PNG[..PNG.len() / 2], 422, "send the whole file"),
    ] {
        for accept in ["application/json", "*/*"] {
            let answer = runtime.http().post("/read").body(body).header("accept", accept).await?;
            assert_eq!(answer.status(), status);
            let text = answer.text().await?;
            assert!(text.contains(said), "{text}");
        }
    }
    let large = vec![0; 32 * 1024 * 1024 + 1];
    assert_eq!(runtime.http().post("/read").body(large).await?.status(), 413);
    assert!(runtime.calls::<Detect>().is_empty());
    // A page without text is fine.
    let list = runtime.http().post("/read").body(PNG).header("accept", "application/json").await?;
    assert_eq!(list.text().await?, "[]");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_web_page_is_served() -> Result<()> {
    let (runtime, _) = running(0, RecogniseMock::new()).await?;
    let page = runtime.http().get("/").await?;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.text().await?.contains("Drop a PNG here"));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_is_said_between_the_stages_survives_a_wire() -> Result<()> {
    let recognise =
        RecogniseMock::new().read(|strip: Strip| async move { Ok(reading(strip.width)) });
    let mocks = MockRuntime::builder().mock(detector(3)).mock(orienter()).mock(recognise);
    let runtime = mocks.mode(Mode::Wire).start();
    let reader = runtime.run(ocr(Options::default())).await?;
    let lines: Vec<Line> = reader.read(Bytes::from_static(PNG)).try_collect().await?;
    assert_eq!(lines.len(), 3);
    let error = reader.read(Bytes::from_static(b"GIF89a")).next().await.expect("an item");
    assert!(error.expect_err("no page").to_string().contains("a GIF"));
    Ok(())
}
