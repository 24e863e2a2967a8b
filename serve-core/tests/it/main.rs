//! The tests of the core, in one program: linking sixty programs would take as long as the tests.
//!
//! `cargo test -p serve-core --test it updates::` runs one file. `SERVE_TEST_CASES=10` multiplies the
//! cases of tests of random programs, as CI does. Helpers are in `support`. Tests that need their own
//! program are beside this one: `ui.rs` (compilers), `local_only.rs` (a counting allocator) and
//! `macro_hygiene.rs` (a crate without a prelude).
#![allow(unreachable_pub, reason = "a handle has the public methods, and a test no public face")]
#![allow(clippy::unwrap_used, reason = "a test")]

#[cfg(all(feature = "http", feature = "config"))]
mod admin;
mod admission;
mod architecture;
mod autoscaling;
mod autoscaling_day;
mod batch_order;
mod batch_results;
mod batching;
mod binding;
mod blocking_constructors;
mod blocking_streams;
mod blocking_threads;
mod by_name;
mod call_traces;
mod calls;
mod circles;
mod composition;
#[cfg(feature = "config")]
mod config;
#[cfg(all(feature = "http", feature = "config"))]
mod configuration;
mod deploys_at_random;
mod deploys_end;
mod endings;
mod errors;
mod faults;
mod fuzz_corpora;
mod health;
mod http_access_log;
mod http_clients;
mod http_compression;
mod http_cors;
mod http_errors;
mod http_events;
mod http_forms;
mod http_front_door;
mod http_grpc;
mod http_head_parameters;
mod http_heads;
mod http_inputs;
mod http_limits;
mod http_openapi;
mod http_options;
mod http_parameters;
mod http_proxy;
mod http_replies;
mod http_results;
mod http_results_broken;
mod http_routes;
mod http_shutdown;
mod http_stalls;
mod http_streams;
mod http_tls;
mod identity;
mod idle_replicas;
mod in_place;
mod in_place_attacks;
mod in_place_programs;
mod input_streams;
mod lifecycle;
mod macro_conditions;
mod macro_lints;
mod macro_names;
mod macro_paths;
mod mocks;
mod multiplexed;
mod object_refs;
mod option_table;
mod options;
mod resources;
mod retries;
mod routing;
mod runtime;
mod runtime_faults;
mod slots;
#[cfg(feature = "http")]
mod spawned;
mod start_failures;
mod statuses;
mod streams;
mod support;
mod troubleshooting;
mod updates;
#[cfg(feature = "http")]
mod websockets;
mod wire;
