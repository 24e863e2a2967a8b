//! Logging to stderr.
//!
//! At a terminal, the access log has one short line for each request. Elsewhere, where
//! programs read the log, each line has all its fields.

use std::env;
use std::io::{IsTerminal, stderr};

use serve_core::config::LogFormat;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, registry};

use crate::output::LogLines;

/// The target of the access log of `serve_core`.
const ACCESS: &str = "serve_core::access";

/// Starts to log what `filter` lets through.
///
/// Does nothing if the program has already set a `tracing` subscriber.
pub(super) fn start(filter: EnvFilter, format: LogFormat) {
    if format == LogFormat::Json {
        let layer = fmt::layer().json().flatten_event(true).with_writer(|| LogLines);
        let _ = registry().with(filter).with(layer).try_init();
        return;
    }
    let terminal = stderr().is_terminal();
    let colour = terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let _ = subscriber(filter, terminal, colour, || LogLines).try_init();
}

fn subscriber<W>(filter: EnvFilter, short: bool, colour: bool, writer: W) -> impl Subscriber
where
    W: for<'w> MakeWriter<'w> + Clone + Send + Sync + 'static,
{
    let shortened = move |metadata: &Metadata<'_>| short && metadata.target() == ACCESS;
    let message_alone = debug_fn(|writer, field, value| match field.name() {
        "message" => write!(writer, "{value:?}"),
        _ => Ok(()),
    });
    let access = fmt::layer().with_target(false).fmt_fields(message_alone);
    let access = access.with_ansi(colour).with_writer(writer.clone());
    let rest = fmt::layer().with_ansi(colour).with_writer(writer);
    registry()
        .with(filter)
        .with(access.with_filter(filter_fn(shortened)))
        .with(rest.with_filter(filter_fn(move |metadata| !shortened(metadata))))
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Logs two lines and returns them without their times.
    fn logged(short: bool) -> String {
        let written = Written::default();
        let writer = written.clone();
        let filter = EnvFilter::new("info");
        let subscriber = subscriber(filter, short, false, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: ACCESS, status = 200, "GET / 200");
            tracing::warn!(target: "model", size = 3, "it is small");
            tracing::debug!(target: "model", "not asked for");
        });
        let text = String::from_utf8(written.0.lock().clone()).expect("text");
        let lines = text.lines().map(|line| line.split_once("Z ").expect("a time").1.trim());
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_person_reads_a_line_without_fields() {
        assert_eq!(logged(true), "INFO GET / 200\nWARN model: it is small size=3");
    }

    #[test]
    fn a_program_reads_the_fields() {
        assert_eq!(
            logged(false),
            "INFO serve_core::access: GET / 200 status=200\nWARN model: it is small size=3"
        );
    }
}
