//! The attribute macros of Serve. Use them through `serve_core`, which re-exports them.
//!
//! This crate handles syntax only: it parses, checks and names. The code that generated code
//! calls is in `serve_core::__private` and in the hidden `macro_rules!` of `serve_core`.
//!
//! Each macro parses its input into a plain model, signatures only: a body is one opaque
//! group, so an error in it is reported once, by the compiler. All faults are collected and
//! reported at their spans; the output always consists of the user's own tokens, the code
//! that could be generated, and the errors. A method's `cfg` is repeated on all code that is
//! generated for it.
//!
//! | module | owns |
//! |---|---|
//! | `errors`, `cfg`, `spelling`, `hygiene` | errors, conditions, near names and free ones |
//! | `options` | `name = value` lists and their values |
//! | `block` | an `impl` block, its bodies unread |
//! | `signature` | a method's parameters and what it returns |
//! | `endpoint`, `path` | how a method is reached over HTTP |
//! | `deployment`, `handle`, `application`, `task` | a macro each |

mod application;
mod autoscaling;
mod block;
mod cfg;
mod deployment;
mod endpoint;
mod errors;
mod handle;
mod hygiene;
mod options;
mod path;
mod signature;
#[cfg(test)]
mod snapshots;
mod spelling;
mod task;

use proc_macro::TokenStream;

/// Makes a struct a deployment, with a name, options and a typed client, `XHandle`.
///
/// ```
/// use serve_core::prelude::*;
///
/// #[deployment(num_replicas = 3, max_queued_requests = 100, request_timeout = "30s")]
/// pub struct Summarizer {
///     model: String,
/// }
/// # #[handle]
/// # impl Summarizer {
/// #     pub fn new(model: String) -> Self { Self { model } }
/// #     pub async fn summarize(&self, text: String) -> String { format!("{}: {text}", self.model) }
/// # }
/// ```
///
/// The methods of the deployment are those of the `impl` block marked [`macro@handle`].
///
/// # Options
/// Values are literals. Computed values are set on the `Bound` that `bind` returns, which has
/// a method for each option except `local` and `crate`:
/// `Summarizer::bind(..).num_replicas(n)`. Invalid values are refused: literals by the
/// compiler, values of a `Bound` before anything starts.
///
/// Durations are human-readable texts, such as `"500ms"`, `"30s"` or `"1m 30s"`. Sizes are
/// texts such as `"2GiB"` or `"500MB"`, or a whole number of bytes. Defaults are Ray Serve's
/// unless the table says otherwise.
///
/// | option | takes | default | effect |
/// |---|---|---|---|
/// | `name` | text, not empty, no `#` | the struct's name | its name in its application |
/// | `num_replicas` | count ≥ 1, or `"auto"` | 1 | how many replicas; `"auto"` is `autoscaling(max_replicas = 100)` |
/// | `autoscaling(..)` | [its own options](#autoscaling) | off | the number of replicas follows the load; excludes `num_replicas` |
/// | `max_ongoing_requests` | count ≥ 1 | 100 (Ray Serve: 5) | concurrent calls on each replica; never exceeded. With a `&mut self` method it is 1 |
/// | `max_queued_requests` | count | no limit | calls waiting for a replica, over the whole deployment; beyond it a call fails with `Overloaded`. 0: none waits |
/// | `request_timeout` | duration | none | the deadline of a call that brings none |
/// | `num_cpus` | number ≥ 0 | 0 (Ray Serve: 1) | CPUs reserved for each replica; rounded up, and at least 1, the number of its threads for `#[blocking]` methods |
/// | `num_gpus` | whole number, or a part of one | 0 | GPUs reserved for each replica; `replica_context()` names them |
/// | `memory` | size | 0 | memory reserved for each replica |
/// | `resources(npu = 1)` | number ≥ 0 each | none | other resources reserved for each replica |
/// | `max_replicas_per_node` | count ≥ 1 | no limit | replicas on one node |
/// | `health_check_period` | duration > 0 | `"10s"` | how often `#[check_health]` is called, give or take a tenth |
/// | `health_check_timeout` | duration > 0 | `"30s"` | how long one such call may take |
/// | `graceful_shutdown_timeout` | duration | `"20s"` | how long running calls may go on when a replica is stopped; an idle one stops at once |
/// | `max_constructor_retry_count` | count ≥ 1 | 20 | failed starts before a deploy fails; never more than three for each replica |
/// | `rolling_update_percentage` | number in (0, 1] | 0.2 | the part of the replicas that an update replaces at a time; at least one |
/// | `max_surge_percent` | number in \[0, 100\] | 0 | replicas that an update may start beyond the wanted number, in percent of it |
/// | `request_router` | a word or a type | `power_of_two_choices` | which replica gets a call: that, `round_robin`, `consistent_hash`, or a type of your own that implements `RequestRouter` and `Default` |
/// | `local` | nothing | off | calls stay in the process of their caller; arguments and results need not be serializable |
/// | `crate` | path | `::serve_core` | where `serve_core` is, if it has [another name](#another-name-of-serve_core) |
///
/// # Another name of `serve_core`
/// If `Cargo.toml` gives the dependency another name, such as
/// `serve = { package = "serve-core", .. }`, write `extern crate serve as serve_core;` once, at the
/// root of the crate. If `serve_core` is re-exported by another crate, every attribute needs its
/// path: `#[deployment(crate = other::serve_core)]`, `#[handle(crate = other::serve_core)]`, and the
/// same on `#[application]` and `#[task]`.
///
/// # Resources
/// Resources are reserved from those of the runtime: the CPUs of the machine, and the amounts
/// set with `Runtime::builder().num_gpus(..)` and similar methods. A replica waits until there
/// is room for it.
///
/// Two more options are set only on the `Bound`, where they can be any value: `user_config`,
/// for [`macro@reconfigure`], and `autoscaling_policy`, a custom policy.
///
/// # Autoscaling
/// An example is `autoscaling(min_replicas = 1, max_replicas = 10)`. The load is the number of
/// calls that run or wait, over the whole deployment.
///
/// | option | takes | default | effect |
/// |---|---|---|---|
/// | `min_replicas` | count | 1 | never fewer; 0 lets an idle deployment stop, and its next call starts it |
/// | `max_replicas` | count ≥ 1, ≥ `min_replicas` | 1 | never more |
/// | `initial_replicas` | count between the two | `min_replicas` | how many at the first deploy |
/// | `target_ongoing_requests` | number > 0 | 2 | calls, running and waiting, that each replica should have |
/// | `upscale_delay` | duration | `"30s"` | how long more must be wanted before some start |
/// | `downscale_delay` | duration | `"600s"` | how long fewer must be wanted before some stop |
/// | `downscale_to_zero_delay` | duration | `downscale_delay` | the same for the last one |
/// | `upscaling_factor` | number > 0 | 1 | which part of a wanted increase is made at once |
/// | `downscaling_factor` | number > 0 | 1 | which part of a wanted decrease is made at once |
/// | `look_back_period` | duration > 0 | `"30s"` | over how long the load is aggregated |
/// | `aggregation` | `mean`, `min` or `max` | `mean` | what counts of that period |
#[proc_macro_attribute]
pub fn deployment(options: TokenStream, item: TokenStream) -> TokenStream {
    deployment::expand(options.into(), &item.into()).into()
}

/// Makes the methods of a deployment callable through its handle.
///
/// ```
/// # use serve_core::prelude::*;
/// # #[deployment]
/// # pub struct Summarizer { model: String }
/// #[handle]
/// impl Summarizer {
///     pub async fn new(model: String) -> Result<Self> {
///         Ok(Self { model })
///     }
///
///     /// The gist of a text.
///     pub async fn summarize(&self, text: String) -> Result<String> {
///         Ok(format!("{} says: {text}", self.model))
///     }
///
///     #[blocking]
///     pub fn tokens(&self, text: String) -> usize {
///         text.split_whitespace().count()
///     }
///
///     pub fn words(&self, text: String) -> impl Stream<Item = String> {
///         let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
///         serve_core::futures::stream::iter(words)
///     }
/// }
/// ```
///
/// The block stays as it is: a plain struct with plain methods. The macro adds
/// - a method of `SummarizerHandle` for each `pub` method with `&self` or `&mut self`.
///   A parameter of type `T` becomes `impl IntoArg<T>`: a `T`, a response that has not been
///   awaited, or an `ObjectRef<T>`. Private and `pub(crate)` methods and associated functions
///   are not part of the handle. A method cannot be called `clone`, `options`, `deployment_name`
///   or `application_name`, which every handle has, nor `bind`;
/// - `Summarizer::bind(..)`, with the parameters of the constructor `new`, which may be
///   `async` or [`#[blocking]`](macro@blocking), and may return `Self` or a `Result` of it.
///   Without `new`, `Default` is used;
/// - `SummarizerMock`, whose methods take closures that answer calls in place of the real
///   methods. (A method called `new` or `named` is mocked by `mock_new` or `mock_named`.)
///
/// A deployment with a `&mut self` method, including methods such as `#[shutdown]`, runs one
/// call at a time, in order.
///
/// # Marks of methods
/// | mark | the method |
/// |---|---|
/// | [`#[get("/path")]`](macro@get), [`post`](macro@post), [`put`](macro@put), [`patch`](macro@patch), [`delete`](macro@delete) | is an HTTP endpoint, too |
/// | [`#[blocking]`](macro@blocking) | is a plain `fn` that computes, or blocks; it may return an iterator |
/// | [`#[batch]`](macro@batch) | takes many calls at a time |
/// | [`#[retry]`](macro@retry) | may run again if its replica dies |
/// | [`#[reconfigure]`](macro@reconfigure) | is called by the runtime, with the user config |
/// | [`#[check_health]`](macro@check_health) | is called by the runtime, on schedule |
/// | [`#[shutdown]`](macro@shutdown) | is called by the runtime, on the drained replica |
/// | [`#[routes]`](macro@routes) | returns an axum `Router` |
///
/// The methods of the last four marks are not methods of the handle, even if they are `pub`.
/// A deployment has at most one of each.
///
/// # Options
/// `crate = path`: the path of `serve_core`, if it has another name. See
/// [`deployment`](macro@deployment#another-name-of-serve_core).
#[proc_macro_attribute]
pub fn handle(options: TokenStream, item: TokenStream) -> TokenStream {
    handle::expand(options.into(), &item.into()).into()
}

/// Registers a function that binds a graph, so that `cargo serve run package:function`
/// finds it.
///
/// ```
/// # use serve_core::prelude::*;
/// # #[deployment]
/// # pub struct Summarizer { model: String }
/// # #[handle]
/// # impl Summarizer {
/// #     pub fn new(model: String) -> Self { Self { model } }
/// #     pub async fn model(&self) -> String { self.model.clone() }
/// # }
/// #[application]
/// pub fn summaries() -> Application<Summarizer> {
///     Summarizer::bind("small").into()
/// }
/// ```
///
/// The function returns an `Application<D>`, a `Bound<D>`, or a `Result` of either. It may take
/// one argument, a struct that implements `Deserialize` and `JsonSchema`. The command line fills its
/// fields by name.
/// Every node of a cluster calls the function, so the same argument must produce the same
/// graph.
///
/// # Options
/// `crate = path`: the path of `serve_core`, if it has another name. See
/// [`deployment`](macro@deployment#another-name-of-serve_core).
#[proc_macro_attribute]
pub fn application(options: TokenStream, item: TokenStream) -> TokenStream {
    application::expand(options.into(), &item.into()).into()
}

/// Makes a stateless function callable like a deployment's method.
///
/// ```
/// use serve_core::prelude::*;
///
/// #[task]
/// async fn say_hi(input: String) -> String {
///     format!("Hi, {input}!")
/// }
///
/// # #[tokio::main]
/// # async fn main() -> Result<()> {
/// // What has not been awaited is an argument, too.
/// let response = say_hi::remote(say_hi::remote("Dora"));
/// assert_eq!(response.await?, "Hi, Hi, Dora!!");
/// # Ok(())
/// # }
/// ```
///
/// The function stays as it is. The macro adds an empty type of the same name with the function
/// `remote`, which starts the task on the runtime of the current call, or else on the current
/// tokio runtime. Like a handle's method, `remote` takes responses and object refs as arguments.
///
/// # Options
/// `crate = path`: the path of `serve_core`, if it has another name. See
/// [`deployment`](macro@deployment#another-name-of-serve_core).
#[proc_macro_attribute]
pub fn task(options: TokenStream, item: TokenStream) -> TokenStream {
    task::expand(options.into(), &item.into()).into()
}

macro_rules! markers {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[proc_macro_attribute]
        pub fn $name(_: TokenStream, item: TokenStream) -> TokenStream {
            handle::outside(stringify!($name), &item.into()).into()
        }
    )*};
}

markers! {
    /// Serves a method of a `#[handle]` block at `GET` and a path.
    ///
    /// ```
    /// # use serve_core::prelude::*;
    /// # #[deployment]
    /// # #[derive(Default)]
    /// # pub struct Summarizer { threshold: f32 }
    /// # #[handle]
    /// # impl Summarizer {
    /// #[get("/papers/{id}")]
    /// pub async fn paper(&self, id: u64, page: Option<u32>) -> String {
    ///     format!("paper {id}, page {}", page.unwrap_or(1))
    /// }
    /// # }
    /// ```
    ///
    /// A parameter that the path names is read from the path, other parameters from the query.
    /// See [`macro@post`] for the rest.
    ///
    /// # Paths
    /// A path starts with `/`. `{id}` is one segment, `{*rest}` is the rest of the path; each is the
    /// name of a parameter of the method. Text in a path is written as clients send it, which is
    /// percent-encoded where necessary: `"/caf%C3%A9"`. A path that no request can reach is refused
    /// by the compiler, and so are two endpoints that requests cannot tell apart. Paths below `/-/`
    /// are reserved for the runtime.
    get;
    /// Serves a method of a `#[handle]` block at `POST` and a path.
    ///
    /// ```
    /// # use serve_core::prelude::*;
    /// # #[deployment]
    /// # #[derive(Default)]
    /// # pub struct Summarizer { threshold: f32 }
    /// # #[handle]
    /// # impl Summarizer {
    /// #[post("/summaries", max_body = "32MiB")]
    /// pub async fn summarize(&self, text: String, words: Option<usize>) -> String {
    ///     text.split_whitespace().take(words.unwrap_or(10)).collect::<Vec<_>>().join(" ")
    /// }
    /// # }
    /// ```
    ///
    /// A parameter that the path names is read from the path, other parameters are keys of the
    /// JSON object in the body. With `body = parameter`, the whole body is that parameter (JSON,
    /// or raw bytes if its type is `Bytes`), and the others are read from the query.
    /// `max_body = "32MiB"` limits the size of the body; the default is 2 MiB.
    ///
    /// | option | meaning |
    /// |---|---|
    /// | `header = user_agent`, `header("X-Tag") = tag` | the parameter is the header `user-agent`, or `x-tag` |
    /// | `cookie = session`, `cookie("__Host-id") = id` | the parameter is the cookie |
    /// | `form`, `multipart` | the parameters are fields of a form in the body, and not of JSON |
    /// | `status = 201` | the status of a result |
    ///
    /// The method is still an ordinary method of the handle. Its return type determines the
    /// response: text, JSON, bytes or a stream. The status of an error is that of its
    /// `HttpStatus`, or else 500.
    post;
    /// Serves a method of a `#[handle]` block at `PUT` and a path. See [`macro@post`].
    put;
    /// Serves a method of a `#[handle]` block at `PATCH` and a path. See [`macro@post`].
    patch;
    /// Serves a method of a `#[handle]` block at `DELETE` and a path. Parameters that the path
    /// does not name are read from the query. See [`macro@post`] for the rest.
    delete;
    /// Serves a method of a `#[handle]` block with a WebSocket at a path.
    ///
    /// ```
    /// use serve_core::http::{WebSocket, WebSocketError};
    /// # use serve_core::prelude::*;
    ///
    /// # #[deployment]
    /// # #[derive(Default)]
    /// # pub struct Rooms;
    /// #[derive(Deserialize, JsonSchema)]
    /// struct Said {
    ///     text: String,
    /// }
    ///
    /// #[handle]
    /// impl Rooms {
    ///     #[websocket("/rooms/{room}")]
    ///     async fn chat(
    ///         &self,
    ///         room: String,
    ///         mut socket: WebSocket<Said, String>,
    ///     ) -> Result<(), WebSocketError> {
    ///         while let Some(said) = socket.next().await {
    ///             socket.send(format!("{room}: {}", said?.text)).await?;
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// ```
    ///
    /// One parameter is a `WebSocket<In, Out>`: a stream of what the client sends, with a method `send`.
    /// `String` is text, `Bytes` is binary, and all other types are JSON in text messages. The other
    /// parameters are read from the path and the query, as with [`macro@get`]; a request that does not fit
    /// is answered with 422 instead of a WebSocket.
    ///
    /// The method is async, takes `&self`, and returns nothing or a `Result<(), E>` with an `E` that can
    /// be displayed. It is not a method of the handle, and need not be `pub`. When it returns, the socket
    /// is closed: with code 1000, or with 1011 for an error or a panic. When the client leaves, the method
    /// sees the end of the stream, and may go on for at most 1 s; if it waits for something other than the
    /// socket, it is dropped at once, with the calls that it has made.
    ///
    /// WebSockets do not count in `max_ongoing_requests`. Their own limits are options of HTTP:
    /// `max_websockets` (1,000 for each replica), `max_websocket_message` (1 MiB, otherwise 1009),
    /// `websocket_ping_interval` (20 s) and `websocket_idle_timeout` (60 s). When a replica or the
    /// process stops, its sockets are closed with 1001 at once, and the methods may go on for at most
    /// `graceful_shutdown_timeout`.
    websocket;
    /// Runs a synchronous method of a `#[handle]` block on the replica's own threads, never on
    /// the threads that run async code. The number of threads is `num_cpus`, rounded up, and at
    /// least 1.
    ///
    /// ```
    /// # use serve_core::prelude::*;
    /// # #[deployment]
    /// # #[derive(Default)]
    /// # pub struct Summarizer { threshold: f32 }
    /// # #[handle]
    /// # impl Summarizer {
    /// #[blocking]
    /// pub fn tokens(&self, text: String) -> usize {
    ///     text.split_whitespace().count()
    /// }
    /// # }
    /// ```
    ///
    /// The method is a plain `fn`. It cannot be interrupted: a cancelled call keeps its slot
    /// until the method returns.
    ///
    /// # Iterators
    /// The method returns one value or an iterator: `impl Iterator<Item = T>`, also with items
    /// of `Result<T, E>`, or a `Result` of such an iterator. For an iterator, the handle returns
    /// a stream, bounded like other streams. The method and each `next()` run on one thread, so
    /// the iterator may borrow `self` and need not be `Send`. If the stream is no longer read
    /// (it is dropped or cancelled, its deadline has passed, or the replica has ended), the
    /// iterator stops at the next item; it is dropped, and then its slot is free. A panic is the
    /// last item.
    ///
    /// ```
    /// # use serve_core::prelude::*;
    /// # #[deployment]
    /// # pub struct Generator { words: Vec<String> }
    /// # #[handle]
    /// # impl Generator {
    /// #[blocking]
    /// pub fn new() -> Self {
    ///     Self { words: vec!["one".to_owned(), "two".to_owned()] }
    /// }
    ///
    /// #[blocking]
    /// pub fn generate(&self, most: usize) -> impl Iterator<Item = String> {
    ///     self.words.iter().take(most).cloned()
    /// }
    /// # }
    /// ```
    ///
    /// # Constructors
    /// A `new` that loads for more than a moment should be marked, too: it then runs on a thread
    /// of its own and does not block async code. `replica_context()` and handles are available
    /// as in other constructors. A start that is given up does not wait for the constructor.
    blocking;
    /// Calls a method of a `#[handle]` block on the drained replica, before it is dropped.
    ///
    /// ```
    /// # use serve_core::prelude::*;
    /// # #[deployment]
    /// # #[derive(Default)]
    /// # pub struct Summarizer { threshold: f32 }
    /// # #[handle]
    /// # impl Summarizer {
    /// #[shutdown]
    /// async fn close(&self) -> Result<()> {
    ///     std::fs::remove_file("/tmp/scratch")?;
    ///     Ok(())
    /// }
    /// # }
    /// ```
    ///
    /// The method takes no parameters and returns nothing or a `Result<(), E>` with an `E` that
    /// can be displayed. An error is logged. The method may take the part of
    /// `graceful_shutdown_timeout` that is left after the calls have ended. It is not called on
    /// a replica that dies, because such a replica is not drained.
    shutdown;
    /// Serves an axum `Router` inside the replica, from a `#[handle]` block.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use serve_core::axum;
    /// # use serve_core::prelude::*;
    /// # #[deployment]
    /// # #[derive(Default)]
    /// # pub struct Summarizer { threshold: f32 }
    /// # #[handle]
    /// # impl Summarizer {
    /// #[routes]
    /// pub fn routes(self: Arc<Self>) -> axum::Router {
    ///     axum::Router::new().route("/threshold", axum::routing::get(async move || self.threshold.to_string()))
    /// }
    /// # }
    /// ```
    ///
    /// Use it for WebSockets, uploads, middleware and all other features of axum. A routed
    /// request takes a slot like a call.
    routes;
    /// Runs the calls of a method of a `#[handle]` block in batches: the method takes and
    /// returns many items at a time, and the handle's method one.
    ///
    /// ```
    /// # use serve_core::prelude::*;
    /// # #[deployment]
    /// # #[derive(Default)]
    /// # pub struct Summarizer { threshold: f32 }
    /// # #[handle]
    /// # impl Summarizer {
    /// #[batch(max_batch_size = 32, batch_wait_timeout = "0ms")]
    /// pub async fn lengths(&self, texts: Vec<String>) -> Vec<usize> {
    ///     texts.iter().map(String::len).collect()
    /// }
    /// # }
    /// ```
    ///
    /// | option | default | effect |
    /// |---|---|---|
    /// | `max_batch_size` | 8 (Ray Serve: 10) | the most items, or the most weight, of a batch |
    /// | `batch_wait_timeout` | `"10ms"` | how long the first item of a batch waits for others |
    /// | `max_concurrent_batches` | 1 | batches that run at a time on each replica |
    /// | `batch_size_fn = weigh` | each weighs 1 | `fn(&T, ..) -> usize`, the weight of an item |
    ///
    /// # Batching
    /// * The method takes `&self`, and is async, plain or `#[blocking]`.
    /// * The method returns one result for each item, in the same order: `Vec<R>`;
    ///   `Vec<Result<R, E>>`, where each call has its own error; `Result<Vec<R>, E>`, where
    ///   `E` is `Clone` and is returned to all calls; or `impl Stream<Item = Vec<Option<R>>>`,
    ///   where each step has an item for each call, or `None` for a call whose stream has ended.
    ///   Another number of results fails every call of the batch with `Panicked`, and so does a
    ///   panic. A panic of `batch_size_fn`, or a weight above `max_batch_size`, fails only that
    ///   call.
    /// * A batch closes only when it can run, so batches grow while others run. Calls are
    ///   batched in the order in which they arrive; no call is overtaken by a lighter one.
    /// * Set `batch_wait_timeout = "0ms"` for a method that computes on this machine: under
    ///   load, batches grow by themselves, and a single call would wait for the whole timeout
    ///   while the replica is idle.
    /// * A waiting call holds a slot of its replica, so `max_ongoing_requests` must be at least
    ///   `max_batch_size` times `max_concurrent_batches`. Otherwise batches are never full, and
    ///   the deploy logs a warning.
    /// * Dropping the response of a waiting call removes the call. A call in a running batch is
    ///   computed with the others; the batch is dropped when the last of its callers is gone,
    ///   unless the method is `#[blocking]`.
    batch;
    /// Passes the user config, set with `X::bind(..).user_config(..)`, to a method of a
    /// `#[handle]` block.
    ///
    /// ```
    /// # use serve_core::prelude::*;
    /// # #[deployment]
    /// # #[derive(Default)]
    /// # pub struct Summarizer { threshold: f32 }
    /// #[derive(Serialize, Deserialize)]
    /// struct Settings {
    ///     threshold: f32,
    /// }
    ///
    /// #[handle]
    /// impl Summarizer {
    ///     #[reconfigure]
    ///     async fn reconfigure(&mut self, settings: Settings) {
    ///         self.threshold = settings.threshold;
    ///     }
    /// }
    ///
    /// let bound = Summarizer::bind().user_config(Settings { threshold: 0.5 });
    /// # let _ = bound;
    /// ```
    ///
    /// The method takes one parameter of a type that implements `Deserialize`, and returns
    /// nothing or a `Result<(), E>` with an `E` that can be displayed. It is called on each
    /// replica before the first call, and again, without a restart, whenever a redeploy changes
    /// the config. It is not called if there is no config. With `&self` the method runs
    /// concurrently with calls, with `&mut self` between them.
    ///
    /// A config that does not match the type is refused before anything is deployed. If the
    /// method fails, a new replica does not start; running replicas get the previous config
    /// again, and the deploy fails.
    reconfigure;
    /// Asks a method of a `#[handle]` block whether its replica is healthy.
    ///
    /// ```
    /// # use serve_core::prelude::*;
    /// # #[deployment]
    /// # #[derive(Default)]
    /// # pub struct Summarizer { threshold: f32 }
    /// # #[handle]
    /// # impl Summarizer {
    /// #[check_health]
    /// async fn healthy(&self) -> Result<()> {
    ///     match self.threshold.is_nan() {
    ///         true => Err(Error::msg("the threshold is not a number")),
    ///         false => Ok(()),
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// The method takes no parameters and returns nothing or a `Result<(), E>` with an `E` that
    /// can be displayed. It is called before the first call, and then every
    /// `health_check_period`. An error, a panic, or no answer within `health_check_timeout` is a
    /// failure. After three failures in a row the replica is replaced: its running calls may
    /// end, and the status states the reason. Without such a method, a replica is healthy as
    /// long as it runs. In either case, three calls in a row that panic replace the replica, too.
    check_health;
    /// Retries a call of a method of a `#[handle]` block if its replica dies after the method
    /// started.
    ///
    /// ```
    /// # use serve_core::prelude::*;
    /// # #[deployment]
    /// # #[derive(Default)]
    /// # pub struct Summarizer { threshold: f32 }
    /// # #[handle]
    /// # impl Summarizer {
    /// #[retry(max = 3)]
    /// pub async fn summarize(&self, text: String) -> String {
    ///     text.chars().take(10).collect()
    /// }
    /// # }
    /// ```
    ///
    /// Use it for methods that may run twice without harm. `max` is the maximum number of
    /// retries; the default is 2. The parameters of the method are `Clone`, and it returns one
    /// value. A call whose method returns, even an error, is never retried, nor is a call whose
    /// deadline has passed. The retries of a deployment are limited, so that they add little to
    /// a load that fails: to ten a second, plus one for every five calls. A call that has not
    /// started goes to another replica in any case.
    retry;
}
