//! The process of the HTTP clients: some are good, others leave, stall or send what is no request.
//!
//! It reads commands from its standard input, and answers `pause` with a [`ClientReport`] once all
//! its connections are closed.

use std::io::{self, BufRead as _, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use serve_core::Bytes;
use serve_core::futures::{SinkExt as _, StreamExt as _, future};
use tokio::sync::{RwLock, Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use crate::deployments::ASKED_FOR;
use crate::dice::Dice;
use crate::gauges::OVER_HTTP;
use crate::http::{Answer, Connection};
use crate::ledger::{LEDGER, Operation, Outcome, fault, take_faults};
use crate::server::ClientReport;

/// The number of clients.
const CLIENTS: u64 = 24;

/// After this time a request that should have an answer is a fault.
const PATIENCE: Duration = Duration::from_secs(45);

/// What the clients share.
struct Shared {
    address: SocketAddr,
    /// Each request reads; a pause writes.
    gate: RwLock<()>,
    /// True from the moment at which a pause is wanted.
    pausing: watch::Sender<bool>,
    /// The requests that were said not to have begun.
    not_begun: Mutex<Vec<u64>>,
    /// The clients that may stall until the load pauses. The others go on after a moment.
    patient: Semaphore,
}

/// The number of clients that stall until the server loses patience, or the load pauses.
const PATIENT: usize = 4;

pub fn main(address: SocketAddr, seed: u64) -> ExitCode {
    let (sender, commands) = mpsc::unbounded_channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
        // The other process is gone.
    });
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build();
    tokio.expect("tokio starts").block_on(obey(address, seed, commands));
    ExitCode::SUCCESS
}

async fn obey(address: SocketAddr, seed: u64, mut commands: mpsc::UnboundedReceiver<String>) {
    let shared = Arc::new(Shared {
        address,
        gate: RwLock::default(),
        pausing: watch::Sender::new(true),
        not_begun: Mutex::default(),
        patient: Semaphore::new(PATIENT),
    });
    let mut gate = Some(shared.gate.write().await);
    for client in 0..CLIENTS {
        let (shared, mut dice) = (Arc::clone(&shared), Dice::new(seed, 1_000 + client));
        tokio::spawn(async move {
            let mut kept = None;
            loop {
                if *shared.pausing.borrow() {
                    kept = None;
                }
                let _going = shared.gate.read().await;
                request(&shared, &mut dice, &mut kept).await;
                sleep(dice.up_to_ms(30)).await;
            }
        });
    }
    while let Some(command) = commands.recv().await {
        if command == "go" {
            shared.pausing.send_replace(false);
            drop(gate.take());
            continue;
        }
        shared.pausing.send_replace(true);
        if gate.is_none() {
            gate = Some(shared.gate.write().await);
        }
        // Each client drops its connection before it waits at the gate.
        tokio::task::yield_now().await;
        let report = ClientReport {
            rows: LEDGER.take(),
            not_begun: std::mem::take(&mut *shared.not_begun.lock()),
            faults: take_faults(),
        };
        let report = serde_json::to_string(&report).expect("a report is JSON");
        let _ = writeln!(io::stdout(), "{report}");
    }
}

/// The kinds of requests, each with how often it is made in comparison with the others.
const KINDS: [(&str, u64); 22] = [
    ("HTTP", 20),
    ("HTTP fails", 3),
    ("HTTP panics", 1),
    ("HTTP deadline", 3),
    ("HTTP chain", 8),
    ("HTTP blocking", 3),
    ("HTTP body", 4),
    ("HTTP upload", 4),
    ("HTTP upload stalls", 2),
    ("HTTP upload left", 2),
    ("HTTP events", 4),
    ("HTTP events left", 3),
    ("HTTP relayed", 4),
    ("HTTP left", 5),
    ("HTTP half a head", 2),
    ("HTTP flood stalls", 2),
    ("HTTP pipelined", 3),
    ("HTTP no request", 2),
    ("HTTP/2", 4),
    ("WebSocket", 4),
    ("HTTP scaled to zero", 3),
    ("HTTP comes and goes", 3),
];

/// What an answer may be besides 200, and the failures that the load causes.
#[derive(Clone, Copy, Debug, Default)]
struct Terms {
    /// The status that was asked for.
    asks_for: Option<u16>,
    /// The application may be absent.
    absent: bool,
    /// The method passes on the failures of its callees.
    callees: bool,
}

/// Judges an answer whose text should be `expected`.
fn judge(
    shared: &Shared,
    op: &Operation,
    answer: &Answer,
    expected: &str,
    terms: Terms,
) -> Outcome {
    let Answer { status, body } = answer;
    let not_begun = body.contains("had not started") || body.contains("overloaded:");
    if not_begun && !terms.callees {
        shared.not_begun.lock().push(op.number);
    }
    match status {
        200 if body == expected && terms.asks_for.is_none_or(|asked| asked == 408) => {
            Outcome::Answered
        }
        503 if body.contains("overloaded:") => Outcome::Overloaded,
        503 if body.contains("became unavailable while") => Outcome::Died,
        503 => Outcome::NotStarted,
        408 if terms.asks_for == Some(408) => Outcome::Late,
        404 if terms.absent => Outcome::NotStarted,
        _ if Some(*status) == terms.asks_for => Outcome::Failed,
        // A callee's error whose status does not travel.
        500 if terms.callees => Outcome::Died,
        _ => wrong(op, &format!("{answer:?} in place of {expected}")),
    }
}

fn wrong(op: &Operation, what: &str) -> Outcome {
    fault(format!("{} {}: {what}", op.kind, op.number));
    Outcome::Wrong
}

/// Waits for something that has to come.
async fn patiently<T>(
    op: &Operation,
    awaited: impl Future<Output = io::Result<T>>,
) -> Result<T, Outcome> {
    match timeout(PATIENCE, awaited).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(wrong(op, &error.to_string())),
        Err(_) => Err(wrong(op, &format!("nothing within {PATIENCE:?}"))),
    }
}

/// Makes one request, or some together. `kept` is a connection from an earlier request.
async fn request(shared: &Shared, dice: &mut Dice, kept: &mut Option<Connection>) {
    let (kind, _) = KINDS[dice.weighted(KINDS.iter().map(|(_, weight)| *weight))];
    let op = LEDGER.send(kind);
    let outcome = match requested(shared, &op, dice, kept).await {
        Ok(outcome) | Err(outcome) => outcome,
    };
    LEDGER.end(op, outcome);
}

/// Sends a request and reads its answer, on a connection that is kept.
async fn exchange(
    shared: &Shared,
    op: &Operation,
    kept: &mut Option<Connection>,
    head: &str,
    body: &[u8],
) -> Result<Answer, Outcome> {
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => patiently(op, Connection::open(shared.address)).await?,
    };
    patiently(op, connection.request(head, body)).await?;
    let answer = patiently(op, connection.answer()).await?;
    *kept = connection.reusable.then_some(connection);
    Ok(answer)
}

async fn requested(
    shared: &Shared,
    op: &Operation,
    dice: &mut Dice,
    kept: &mut Option<Connection>,
) -> Result<Outcome, Outcome> {
    let number = OVER_HTTP + op.number;
    let own = number.to_string();
    let time = dice.below(8);
    let get = |rest: String| format!("GET {rest} HTTP/1.1");
    match op.kind {
        "HTTP" | "HTTP fails" | "HTTP panics" | "HTTP deadline" => {
            let (end, asks_for) = match op.kind {
                "HTTP fails" => ("fail", Some(418)),
                "HTTP panics" => ("panic", Some(500)),
                "HTTP deadline" => ("answer", Some(408)),
                _ => ("answer", None),
            };
            let mut head = get(format!("/work?number={number}&time={time}&end={end}"));
            if op.kind == "HTTP deadline" {
                head = format!("{head}\r\nx-request-timeout-seconds: 0.00{}", 1 + dice.below(9));
            }
            let answer = exchange(shared, op, kept, &head, b"").await?;
            if answer.status == 418 && !answer.body.contains(ASKED_FOR) {
                return Err(wrong(op, &answer.body));
            }
            let terms = Terms { asks_for, ..Terms::default() };
            Ok(judge(shared, op, &answer, &own, terms))
        }
        "HTTP chain" => {
            let body = format!("{{\"number\": {number}, \"time\": {time}}}");
            let head = format!(
                "POST /chain HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: {}",
                body.len()
            );
            let answer = exchange(shared, op, kept, &head, body.as_bytes()).await?;
            Ok(judge(shared, op, &answer, &own, Terms { callees: true, ..Terms::default() }))
        }
        "HTTP blocking" => {
            let head = get(format!("/waits?number={number}"));
            let answer = exchange(shared, op, kept, &head, b"").await?;
            Ok(judge(shared, op, &answer, &own, Terms { callees: true, ..Terms::default() }))
        }
        "HTTP body" => {
            let body = vec![b'x'; usize::try_from(1 + dice.below(300_000)).expect("it is small")];
            let head =
                format!("PUT /bytes?number={number} HTTP/1.1\r\ncontent-length: {}", body.len());
            let answer = exchange(shared, op, kept, &head, &body).await?;
            Ok(judge(shared, op, &answer, &body.len().to_string(), Terms::default()))
        }
        "HTTP upload" | "HTTP upload stalls" | "HTTP upload left" => {
            upload(shared, op, number, dice).await
        }
        "HTTP events" | "HTTP events left" => events(shared, op, number, dice).await,
        "HTTP relayed" => relayed(shared, op, number, dice).await,
        "HTTP left" => {
            let mut connection = patiently(op, Connection::open(shared.address)).await?;
            let path =
                dice.one_of(&["/work?time=40&end=answer", "/waits?a", "/events?count=9&pause=5"]);
            patiently(op, connection.request(&get(format!("{path}&number={number}")), b"")).await?;
            sleep(dice.up_to_ms(10)).await;
            connection.leave(dice.percent(50));
            Ok(Outcome::GivenUp)
        }
        "HTTP half a head" => {
            let mut connection = patiently(op, Connection::open(shared.address)).await?;
            patiently(op, connection.send(b"GET /work?number=1 HTTP/1.1\r\nhost: so")).await?;
            stall(shared, dice, &mut connection).await;
            connection.leave(dice.percent(50));
            Ok(Outcome::GivenUp)
        }
        "HTTP flood stalls" => {
            let mut connection = patiently(op, Connection::open(shared.address)).await?;
            patiently(op, connection.request(&get(format!("/flood?number={number}")), b"")).await?;
            let head = patiently(op, connection.head()).await?;
            if head.status == 200 {
                // Without a look at what comes.
                pause(shared, dice).await;
                connection.leave(dice.percent(50));
                return Ok(Outcome::GivenUp);
            }
            let body = patiently(op, connection.body(&head)).await?;
            let answer = Answer { status: head.status, body };
            Ok(judge(shared, op, &answer, "", Terms::default()))
        }
        "HTTP pipelined" => {
            let together: Vec<_> = (0..dice.below(6)).map(|_| LEDGER.send(op.kind)).collect();
            let result = pipelined(shared, op, &together, dice).await;
            let mut outcomes = result.into_iter();
            let first = outcomes.next().unwrap_or(Outcome::Wrong);
            for op in together {
                LEDGER.end(op, outcomes.next().unwrap_or(Outcome::Wrong));
            }
            Ok(first)
        }
        "HTTP no request" => no_request(shared, op, number, dice).await,
        "HTTP/2" => {
            let together: Vec<_> = (0..dice.below(10)).map(|_| LEDGER.send(op.kind)).collect();
            let result = http2(shared, op, &together, dice).await;
            let ended = result.is_ok();
            let mut outcomes = result.unwrap_or_default().into_iter();
            let missing = if ended { Outcome::Wrong } else { Outcome::GivenUp };
            let first = outcomes.next().unwrap_or(missing);
            for op in together {
                LEDGER.end(op, outcomes.next().unwrap_or(missing));
            }
            Ok(first)
        }
        "WebSocket" => web_socket(shared, op, number, dice).await,
        "HTTP scaled to zero" => {
            let head = get(format!("/zero/nap?number={number}&time={time}"));
            let answer = exchange(shared, op, kept, &head, b"").await?;
            Ok(judge(shared, op, &answer, &own, Terms::default()))
        }
        _ => {
            let head = get(format!("/churn/work?number={number}&time={time}"));
            let answer = exchange(shared, op, kept, &head, b"").await?;
            // While the application is absent, the one at `/` answers: it has no such path.
            let terms = Terms { absent: true, callees: true, ..Terms::default() };
            Ok(judge(shared, op, &answer, &own, terms))
        }
    }
}

/// Waits for a moment, or until the load pauses.
async fn pause(shared: &Shared, dice: &mut Dice) {
    let patient = if dice.percent(50) { shared.patient.try_acquire().ok() } else { None };
    let time = if patient.is_some() { Duration::from_secs(600) } else { dice.up_to_ms(2_000) };
    let mut pausing = shared.pausing.subscribe();
    let _ = timeout(time, pausing.wait_for(|pausing| *pausing)).await;
}

/// Does nothing on a connection, until the server closes it or the client loses patience.
async fn stall(shared: &Shared, dice: &mut Dice, connection: &mut Connection) {
    tokio::select! {
        () = pause(shared, dice) => {}
        _ = connection.end() => {}
    }
}

/// An upload in pieces; some stall in the middle, and some never end.
async fn upload(
    shared: &Shared,
    op: &Operation,
    number: u64,
    dice: &mut Dice,
) -> Result<Outcome, Outcome> {
    let mut connection = patiently(op, Connection::open(shared.address)).await?;
    let piece = vec![b'y'; usize::try_from(1 + dice.below(20_000)).expect("it is small")];
    let pieces = 2 + dice.below(10);
    let length = piece.len() as u64 * pieces;
    let head = format!("PUT /upload/{number} HTTP/1.1\r\ncontent-length: {length}");
    patiently(op, connection.request(&head, b"")).await?;
    for number in 0..pieces {
        if number == pieces / 2 {
            match op.kind {
                "HTTP upload stalls" => sleep(dice.up_to_ms(1_000)).await,
                "HTTP upload left" => {
                    stall(shared, dice, &mut connection).await;
                    connection.leave(dice.percent(50));
                    return Ok(Outcome::GivenUp);
                }
                _ => {}
            }
        }
        // An answer may come early, and the server may then close the connection.
        if connection.send(&piece).await.is_err() {
            break;
        }
    }
    match timeout(PATIENCE, connection.answer()).await {
        Ok(Ok(answer)) => Ok(judge(shared, op, &answer, &length.to_string(), Terms::default())),
        Ok(Err(error)) => Err(wrong(op, &error.to_string())),
        Err(_) => Err(wrong(op, "no answer to an upload")),
    }
}

/// A stream of server-sent events, read to its end or left in the middle.
async fn events(
    shared: &Shared,
    op: &Operation,
    number: u64,
    dice: &mut Dice,
) -> Result<Outcome, Outcome> {
    let mut connection = patiently(op, Connection::open(shared.address)).await?;
    let (count, pause) = (1 + dice.below(40), dice.below(3));
    let head = format!(
        "GET /events?number={number}&count={count}&pause={pause} HTTP/1.1\r\naccept: text/event-stream"
    );
    patiently(op, connection.request(&head, b"")).await?;
    let head = patiently(op, connection.head()).await?;
    if head.status != 200 {
        let answer =
            Answer { status: head.status, body: patiently(op, connection.body(&head)).await? };
        return Ok(judge(shared, op, &answer, "", Terms::default()));
    }
    let leaves_after = if op.kind == "HTTP events left" { dice.below(count) } else { u64::MAX };
    let (mut text, mut read) = (String::new(), 0);
    loop {
        if read >= leaves_after {
            connection.leave(dice.percent(50));
            return Ok(Outcome::GivenUp);
        }
        match patiently(op, connection.chunk()).await? {
            Some(chunk) => {
                read += 1;
                text.push_str(&String::from_utf8_lossy(&chunk));
            }
            None => break,
        }
    }
    if text.contains("event: error") {
        return Ok(Outcome::Died);
    }
    let whole: String = (0..count).map(|item| format!("data: {item}\n\n")).collect();
    if text == whole { Ok(Outcome::Answered) } else { Err(wrong(op, &format!("{text:?}"))) }
}

/// A stream of lines, read to its end.
async fn relayed(
    shared: &Shared,
    op: &Operation,
    number: u64,
    dice: &mut Dice,
) -> Result<Outcome, Outcome> {
    let mut connection = patiently(op, Connection::open(shared.address)).await?;
    let count = dice.below(40);
    let head = format!("GET /relayed?number={number}&count={count} HTTP/1.1");
    patiently(op, connection.request(&head, b"")).await?;
    let answer = patiently(op, connection.answer()).await?;
    if answer.status == 200 && answer.body.contains("{\"error\"") {
        return Ok(Outcome::Died);
    }
    let whole: String = (0..count).map(|item| format!("{item}\n")).collect();
    Ok(judge(shared, op, &answer, &whole, Terms { callees: true, ..Terms::default() }))
}

/// Several requests at once on one connection, which are answered in order.
async fn pipelined(
    shared: &Shared,
    first: &Operation,
    others: &[Operation],
    dice: &mut Dice,
) -> Vec<Outcome> {
    let all: Vec<_> = std::iter::once(first).chain(others).collect();
    let numbers = all.iter().map(|op| OVER_HTTP + op.number);
    let requests: String = numbers
        .map(|number| {
            let time = dice.below(4);
            format!("GET /work?number={number}&time={time} HTTP/1.1\r\nhost: soak\r\n\r\n")
        })
        .collect();
    let mut connection = match patiently(first, Connection::open(shared.address)).await {
        Ok(connection) => connection,
        Err(outcome) => return vec![outcome],
    };
    if let Err(outcome) = patiently(first, connection.send(requests.as_bytes())).await {
        return vec![outcome];
    }
    let leaves_after = if dice.percent(30) { dice.below(all.len() as u64) } else { u64::MAX };
    let mut outcomes = Vec::new();
    for (index, op) in (0..).zip(&all) {
        if index >= leaves_after {
            outcomes.resize(all.len(), Outcome::GivenUp);
            return outcomes;
        }
        let outcome = match patiently(op, connection.answer()).await {
            Ok(answer) => {
                let own = (OVER_HTTP + op.number).to_string();
                judge(shared, op, &answer, &own, Terms::default())
            }
            Err(outcome) => outcome,
        };
        outcomes.push(outcome);
    }
    outcomes
}

/// Bad requests, each of which has an answer.
async fn no_request(
    shared: &Shared,
    op: &Operation,
    number: u64,
    dice: &mut Dice,
) -> Result<Outcome, Outcome> {
    let (text, status) = match dice.below(5) {
        0 => ("\0\0\0\0\r\n\r\n".to_owned(), 400),
        1 => ("GET /work?number=x&time=1 HTTP/1.1\r\nhost: soak\r\n\r\n".to_owned(), 422),
        2 => ("GET /nowhere HTTP/1.1\r\nhost: soak\r\n\r\n".to_owned(), 404),
        3 => ("DELETE /work HTTP/1.1\r\nhost: soak\r\n\r\n".to_owned(), 405),
        _ => {
            let head = format!("PUT /bytes?number={number} HTTP/1.1\r\nhost: soak\r\n");
            (format!("{head}content-length: 9999999\r\n\r\n"), 413)
        }
    };
    let mut connection = patiently(op, Connection::open(shared.address)).await?;
    patiently(op, connection.send(text.as_bytes())).await?;
    let answer = patiently(op, connection.answer()).await?;
    Ok(judge(shared, op, &answer, "", Terms { asks_for: Some(status), ..Terms::default() }))
}

/// Several requests at once over HTTP/2, some of which are reset.
async fn http2(
    shared: &Shared,
    first: &Operation,
    others: &[Operation],
    dice: &mut Dice,
) -> Result<Vec<Outcome>, Outcome> {
    let connection = patiently(first, Connection::open(shared.address)).await?;
    let stream = TokioIo::new(connection.into_stream());
    let handshake = http2::handshake::<_, _, Empty<Bytes>>(TokioExecutor::new(), stream);
    let shaken = patiently(first, async { handshake.await.map_err(io::Error::other) }).await?;
    let (sender, connection) = shaken;
    let driving = tokio::spawn(connection);
    let leaves = dice.percent(20);
    let mut plans = Vec::new();
    for op in std::iter::once(first).chain(others) {
        let limit = if dice.percent(30) { Some(dice.up_to_ms(8)) } else { None };
        let stream = dice.percent(20);
        plans.push((op, limit, stream, dice.below(8)));
    }
    let requests = plans.into_iter().map(|(op, limit, stream, time)| {
        let mut sender = sender.clone();
        async move {
            let number = OVER_HTTP + op.number;
            let path = match stream {
                true => format!("/events?number={number}&count=5&pause={time}"),
                false => format!("/work?number={number}&time={time}"),
            };
            let uri = format!("http://soak{path}");
            let request = Request::get(uri).body(Empty::new()).expect("a request");
            let exchange = async {
                let answer = sender.send_request(request).await.map_err(io::Error::other)?;
                let status = answer.status().as_u16();
                let body = answer.into_body().collect().await.map_err(io::Error::other)?;
                let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
                Ok::<_, io::Error>(Answer { status, body })
            };
            let answer = match limit {
                Some(limit) => match timeout(limit, exchange).await {
                    Ok(Ok(answer)) => answer,
                    Ok(Err(error)) => return wrong(op, &error.to_string()),
                    Err(_) => return Outcome::GivenUp,
                },
                None => match patiently(op, exchange).await {
                    Ok(answer) => answer,
                    Err(outcome) => return outcome,
                },
            };
            if stream && answer.status == 200 && answer.body.contains("{\"error\"") {
                return Outcome::Died;
            }
            let own = if stream { "0\n1\n2\n3\n4\n".to_owned() } else { number.to_string() };
            judge(shared, op, &answer, &own, Terms::default())
        }
    });
    let requests: Vec<_> = requests.collect();
    let all = future::join_all(requests);
    let outcomes = match leaves {
        // The whole connection goes.
        true => timeout(dice.up_to_ms(6), all).await.map_err(|_| Outcome::GivenUp),
        false => Ok(all.await),
    };
    driving.abort();
    let _ = driving.await;
    outcomes
}

/// A WebSocket whose messages are echoed, and which is closed or left.
async fn web_socket(
    shared: &Shared,
    op: &Operation,
    number: u64,
    dice: &mut Dice,
) -> Result<Outcome, Outcome> {
    let connection = patiently(op, Connection::open(shared.address)).await?;
    let url = format!("ws://soak/socket/{number}");
    let shaken = timeout(PATIENCE, client_async(url, connection.into_stream())).await;
    let mut socket = match shaken {
        Ok(Ok((socket, _))) => socket,
        // The upgrade is a request like any other: it may find no slot.
        Ok(Err(tokio_tungstenite::tungstenite::Error::Http(answer))) => {
            let body = answer.body().clone().unwrap_or_default();
            let body = String::from_utf8_lossy(&body).into_owned();
            let answer = Answer { status: answer.status().as_u16(), body };
            return Ok(judge(shared, op, &answer, "", Terms::default()));
        }
        Ok(Err(error)) => return Err(wrong(op, &error.to_string())),
        Err(_) => return Err(wrong(op, "no answer to an upgrade")),
    };
    for message in 0..dice.below(10) {
        let text = format!("{number}: {message}");
        if socket.send(Message::text(text.clone())).await.is_err() {
            return Ok(Outcome::Died);
        }
        match timeout(PATIENCE, socket.next()).await {
            Ok(Some(Ok(Message::Text(answer)))) if answer == text => {}
            // The call within the socket failed.
            Ok(Some(Ok(Message::Text(answer)))) if answer.starts_with("error: ") => {}
            // The replica that had the socket ended.
            Ok(None | Some(Ok(Message::Close(_)) | Err(_))) => return Ok(Outcome::Died),
            Ok(Some(Ok(other))) => return Err(wrong(op, &format!("{other:?}"))),
            Err(_) => return Err(wrong(op, "a WebSocket does not answer")),
        }
    }
    match dice.below(4) {
        0 => {
            let _ = timeout(PATIENCE, socket.close(None)).await;
            Ok(Outcome::Answered)
        }
        1 => {
            // It only stands there.
            let mut pausing = shared.pausing.subscribe();
            let time = dice.up_to_ms(2_000);
            tokio::select! {
                _ = timeout(time, pausing.wait_for(|pausing| *pausing)) => {}
                _ = socket.next() => {}
            }
            Ok(Outcome::GivenUp)
        }
        _ => Ok(Outcome::GivenUp),
    }
}
