//! Where the log goes, and how it ends.

use std::time::Duration;

use tower_json_logging::{JsonLayer, PanicHook, Sink, SinkBuilder, SinkGuard};
use tower_metrics_exporter::SpanExemplarsLayer;
use tracing_subscriber::{
    EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// How long the log's last lines may take.
const LAST_LINES: Duration = Duration::from_secs(5);

/// Writes JSON lines to standard output until the guard is dropped: see [`install`].
///
/// # Errors
///
/// See [`install`].
pub fn to_stdout(default: &str) -> anyhow::Result<SinkGuard> {
    install(Sink::stdout(), default)
}

/// Writes JSON lines to standard error until the guard is dropped: see [`install`].
///
/// # Errors
///
/// See [`install`].
pub fn to_stderr(default: &str) -> anyhow::Result<SinkGuard> {
    install(Sink::stderr(), default)
}

/// Writes JSON lines to this sink, and panics among them; `RUST_LOG` chooses which lines, `default` if it
/// is not set. If lines were lost, standard error says so when the guard is dropped.
///
/// # Errors
///
/// If `RUST_LOG` cannot be read, the sink cannot be built, or the process logs already.
pub fn install(sink: SinkBuilder, default: &str) -> anyhow::Result<SinkGuard> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(text) => EnvFilter::try_new(&text).map_err(|error| {
            anyhow::anyhow!("RUST_LOG={text:?} is no filter ({error}); try RUST_LOG=info,sqlx=warn")
        })?,
        Err(_) => EnvFilter::new(default),
    };
    let sink = sink
        .close_timeout(LAST_LINES)
        .on_close(|report| {
            if !report.is_lossless() {
                eprintln!("log: {report}");
            }
        })
        .build()?;
    tracing_subscriber::registry()
        .with(SpanExemplarsLayer::new())
        .with(JsonLayer::to(sink.clone()).with_filter(filter))
        .try_init()?;
    PanicHook::new().flush(&sink).install();
    Ok(sink.guard())
}
