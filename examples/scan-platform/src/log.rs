//! Where the log goes, and how it ends.

use std::{path::Path, sync::Arc, time::Duration};

use tower_json_logging::{JsonLayer, Levels, PanicHook, Sink, SinkBuilder, SinkGuard};
use tower_metrics_exporter::SpanExemplarsLayer;
use tracing_subscriber::{Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// How long the log's last lines may take.
const LAST_LINES: Duration = Duration::from_secs(5);

/// The log of the process: closed once the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Log {
    levels: Levels,
    sink: Sink,
    _guard: Arc<SinkGuard>,
}

impl Log {
    /// What it says, which can be changed.
    pub const fn levels(&self) -> &Levels {
        &self.levels
    }

    /// Where it goes.
    pub const fn sink(&self) -> &Sink {
        &self.sink
    }
}

/// Writes JSON lines to standard output until the log is dropped: see [`install`].
///
/// # Errors
///
/// See [`install`].
pub fn to_stdout(default: &str) -> anyhow::Result<Log> {
    install(Sink::stdout(), default)
}

/// Writes JSON lines to standard error until the log is dropped: see [`install`].
///
/// # Errors
///
/// See [`install`].
pub fn to_stderr(default: &str) -> anyhow::Result<Log> {
    install(Sink::stderr(), default)
}

/// Appends JSON lines to this file until the log is dropped: see [`install`].
///
/// # Errors
///
/// See [`install`].
pub fn to_file(path: &Path, default: &str) -> anyhow::Result<Log> {
    install(Sink::file(path), default)
}

/// Writes JSON lines to this sink, and panics among them; `RUST_LOG` chooses which lines, `default` if it
/// is not set. If lines were lost, standard error says so when the log is dropped.
///
/// # Errors
///
/// If `RUST_LOG` cannot be read, the sink cannot be built, or the process logs already.
pub fn install(sink: SinkBuilder, default: &str) -> anyhow::Result<Log> {
    let levels = match std::env::var("RUST_LOG") {
        Ok(text) => Levels::new(&text).map_err(|error| {
            anyhow::anyhow!("RUST_LOG={text:?} is no filter ({error}); try RUST_LOG=info,sqlx=warn")
        })?,
        Err(_) => Levels::new(default)?,
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
        .with(JsonLayer::to(sink.clone()).with_filter(levels.clone()))
        .try_init()?;
    PanicHook::new().flush(&sink).install();
    let guard = Arc::new(sink.guard());
    Ok(Log {
        levels,
        sink,
        _guard: guard,
    })
}
