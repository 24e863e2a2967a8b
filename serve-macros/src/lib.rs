//! The attribute macros of Serve. Use them through `serve_core`, which re-exports them.
//!
//! This crate is about syntax only: it parses, checks and names. What the generated code
//! does is in `serve_core::__private` and in the hidden `macro_rules!` of `serve_core`.
//!
//! Each macro reads its input into a plain model, signatures only: a body is one opaque
//! group, so an error in it is the compiler's own and nothing more. Every fault is
//! collected and put at its span; the output is always the user's own tokens, what could
//! be generated, and the errors. A method's `cfg` is repeated on all that comes of it.
//!
//! | module | owns |
//! |---|---|
//! | `errors`, `cfg`, `spelling`, `hygiene` | errors, conditions, near names and free ones |
//! | `options` | `name = value` lists and their values |
//! | `block` | an `impl` block, its bodies unread |
//! | `signature` | a method's parameters and what it returns |
//! | `endpoint` | how a method is reached over HTTP |
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
mod signature;
#[cfg(test)]
mod snapshots;
mod spelling;
mod task;

use proc_macro::TokenStream;

/// Makes a deployment of a struct: its name, its options, and `XHandle`, its typed client.
///
/// ```ignore
/// #[deployment(num_replicas = 3, max_queued_requests = 100, request_timeout = "30s")]
/// pub struct Summarizer {
///     model: Model,
/// }
/// ```
///
/// The methods are those of the `impl` block marked [`macro@handle`].
///
/// # Options
/// | option | default | meaning |
/// |---|---|---|
/// | `name = "..."` | the struct's name | unique in its application; not empty, no `#` |
/// | `num_replicas` | 1 | how many replicas, at least 1 |
/// | `max_ongoing_requests` | 100 | concurrent calls on each replica; never exceeded |
/// | `max_queued_requests` | no limit | calls waiting for a replica, over the whole deployment; beyond it a call fails with `Overloaded` |
/// | `request_timeout = "30s"` | none | the deadline of a call that brings none |
/// | `num_cpus` | 0 | CPUs of each replica; rounded up, the number of its threads for `#[blocking]` methods |
/// | `graceful_shutdown_timeout = "20s"` | 20 s | how long running calls may go on when a replica is stopped |
/// | `request_router = power_of_two_choices` | that one | how a replica is chosen |
/// | `local` | off | calls stay in the process of their caller; arguments and results need not be serializable |
/// | `crate = path` | `::serve_core` | where `serve_core` is, if it is re-exported under another name |
///
/// Durations are texts as people write them: `"500ms"`, `"30s"`, `"1m 30s"`. Values are
/// literals; computed ones are set on what `bind` returns: `X::bind().num_replicas(n)`.
#[proc_macro_attribute]
pub fn deployment(options: TokenStream, item: TokenStream) -> TokenStream {
    deployment::expand(options.into(), &item.into()).into()
}

/// Makes the methods of a deployment callable through its handle.
///
/// ```ignore
/// #[handle]
/// impl Summarizer {
///     pub async fn new(model: String) -> Result<Self> { .. }
///
///     /// The gist of a text.
///     pub async fn summarize(&self, text: String) -> Result<String> { .. }
///
///     #[blocking]
///     pub fn tokens(&self, text: String) -> usize { .. }
///
///     pub fn words(&self, text: String) -> impl Stream<Item = String> { .. }
/// }
/// ```
///
/// The block stays as it is: a plain struct with plain methods. Beside it come
/// - a method of `SummarizerHandle` for each `pub` method with `&self` or `&mut self`.
///   A parameter of type `T` becomes `impl IntoArg<T>`: a `T`, or a response that has not
///   been awaited, or an `ObjectRef<T>`. Private and `pub(crate)` methods and associated
///   functions are yours alone;
/// - `Summarizer::bind(..)`, from the parameters of the constructor `new`, which may be
///   `async` and may return `Self` or a `Result` of it. Without `new`, `Default` is used;
/// - `SummarizerMock`, whose methods take closures that answer for the real ones. (A
///   method called `new` or `named` is mocked by `mock_new` or `mock_named`.)
///
/// A deployment with a `&mut self` method, `#[shutdown]` included, runs one call at a
/// time, in order.
///
/// # Options
/// `crate = path`: where `serve_core` is, if it is re-exported under another name.
#[proc_macro_attribute]
pub fn handle(options: TokenStream, item: TokenStream) -> TokenStream {
    handle::expand(options.into(), &item.into()).into()
}

/// Registers a function that binds a graph, so that `cargo serve run package:function`
/// finds it.
///
/// ```ignore
/// #[application]
/// pub fn summaries() -> Application<Summarizer> {
///     Summarizer::bind("small").into()
/// }
/// ```
///
/// It returns an `Application<D>`, a `Bound<D>`, or a `Result` of either. It may take one
/// argument that implements `Deserialize` and `JsonSchema`; the command line fills it.
/// Every node of a cluster calls it, so the same argument must give the same graph.
///
/// # Options
/// `crate = path`: where `serve_core` is, if it is re-exported under another name.
#[proc_macro_attribute]
pub fn application(options: TokenStream, item: TokenStream) -> TokenStream {
    application::expand(options.into(), &item.into()).into()
}

/// Makes a stateless function callable like a deployment's method.
///
/// ```ignore
/// #[task]
/// async fn say_hi(input: String) -> String { format!("Hi, {input}!") }
///
/// let response = say_hi::remote(handle.name());
/// ```
///
/// The function stays as it is. An empty type of its name carries `remote`, which starts
/// it on the runtime of the current call, or else on the current tokio runtime, and takes
/// responses and object refs as arguments like any handle's method.
///
/// # Options
/// `crate = path`: where `serve_core` is, if it is re-exported under another name.
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
    /// Serves a method of a `#[handle]` block at `GET` and a path: `#[get("/papers/{id}")]`.
    ///
    /// A parameter named in the path comes from there, others from the query. See
    /// [`macro@post`] for the rest.
    get;
    /// Serves a method of a `#[handle]` block at `POST` and a path: `#[post("/")]`.
    ///
    /// A parameter named in the path comes from there, the others are keys of the JSON
    /// object in the body. `body = parameter` takes the whole body as one parameter (JSON,
    /// or raw bytes if its type is `Bytes`); the others then come from the query.
    /// `max_body = "32MiB"` bounds the body, 2 MiB if not given.
    ///
    /// The method stays an ordinary method of the handle. What it returns decides the
    /// response: text, JSON, bytes or a stream; an error's status is what its
    /// `HttpStatus` says, else 500.
    post;
    /// Serves a method of a `#[handle]` block at `PUT` and a path. See [`macro@post`].
    put;
    /// Serves a method of a `#[handle]` block at `PATCH` and a path. See [`macro@post`].
    patch;
    /// Serves a method of a `#[handle]` block at `DELETE` and a path: parameters that the
    /// path does not name come from the query. See [`macro@post`] for the rest.
    delete;
    /// Runs a synchronous method of a `#[handle]` block on the replica's own threads, never
    /// on those that drive async code. `num_cpus`, rounded up, is how many there are.
    ///
    /// Such a method cannot be interrupted: cancelled, it keeps its slot until it returns.
    blocking;
    /// Calls a method of a `#[handle]` block on the drained replica, before it is dropped.
    ///
    /// It takes no parameters and returns nothing or a `Result<(), E>`.
    shutdown;
    /// Serves an axum `Router` inside the replica:
    /// `#[routes] pub fn routes(self: Arc<Self>) -> axum::Router` in a `#[handle]` block.
    ///
    /// For WebSockets, uploads, middleware and all else that axum can do. A routed request
    /// takes a slot like any call.
    routes;
    /// Runs the calls of a method of a `#[handle]` block in batches:
    /// `#[batch(max_batch_size = 32, batch_wait_timeout = "5ms")]`.
    ///
    /// The method takes a `Vec<T>` for each parameter, and its handle one `T`: the method
    /// sees the arguments of many calls at once, and each call gets its part of what it
    /// returns.
    ///
    /// ```ignore
    /// #[batch(max_batch_size = 32)]
    /// pub async fn embed(&self, texts: Vec<String>) -> Vec<Embedding> { .. }
    ///
    /// let embedding: Embedding = embedder.embed("one text").await?;
    /// ```
    ///
    /// # Options
    /// * `max_batch_size`: the most that the items of a batch may weigh; 8 if not given.
    /// * `batch_wait_timeout`: how long the first item of a batch waits for others; `"10ms"`.
    /// * `max_concurrent_batches`: batches that run at a time on a replica; 1.
    /// * `batch_size_fn = weigh`: a function that is given a reference to each argument of a
    ///   call and gives its weight as a `usize`; without it each call weighs 1.
    ///
    /// # Batching
    /// * It takes `&self`, and is async, plain or `#[blocking]`.
    /// * It returns as many results as it was given items, in their order: `Vec<R>`;
    ///   `Vec<Result<R, E>>`, where each call has its own error; `Result<Vec<R>, E>`, where
    ///   `E` is `Clone` and all calls get it; or `impl Stream<Item = Vec<Option<R>>>`, where
    ///   each step has an item for each call, or `None` for one whose stream has ended.
    ///   Another number fails every call of the batch with `Panicked`, and so does a panic.
    ///   A panic of `batch_size_fn`, or a weight above `max_batch_size`, fails that call
    ///   alone.
    /// * A batch closes only when it can run, so batches grow while others run. Calls leave
    ///   in the order in which they came; none is overtaken by a lighter one.
    /// * A call that waits holds a slot of its replica, so `max_ongoing_requests` must be at
    ///   least `max_batch_size` times `max_concurrent_batches`, or batches are never full:
    ///   the deploy warns of that.
    /// * Dropping the response of a call that waits takes it out. One in a running batch is
    ///   computed with the others; when the last of their callers is gone the batch is
    ///   dropped, unless it is `#[blocking]`.
    batch;
    /// Gives a method of a `#[handle]` block the user config. Not built yet in this version
    /// of Serve.
    reconfigure;
    /// Asks a method of a `#[handle]` block whether its replica is healthy. Not built yet
    /// in this version of Serve.
    check_health;
    /// Lets a method of a `#[handle]` block run again, on another replica, if the one that
    /// ran it dies: `#[retry(max = 2)]`, the default. Its parameters are `Clone`, because each
    /// call keeps a copy of them. The method's own errors, its panics and its deadline are
    /// never a reason to run it again. Not for streams.
    retry;
}
