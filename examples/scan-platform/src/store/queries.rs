//! How long the database takes, by query.

use std::{future::Future, time::Instant};

use sqlx::AnyPool;
use tower_metrics_exporter::{Collector, collector_fn};
use tower_observe::{Spec, Unit};

/// How long a query took, the wait for a connection included. Label `query`.
pub const QUERY_DURATION: &str = "sentrascan_db_query_duration_seconds";
/// Queries that gave an error. Label `query`.
pub const QUERY_ERRORS: &str = "sentrascan_db_query_errors_total";
/// Open connections. Label `state`: `idle` or `used`.
pub const POOL_CONNECTIONS: &str = "sentrascan_db_pool_connections";
/// The most connections that may be open at once.
pub const POOL_CONNECTIONS_MAX: &str = "sentrascan_db_pool_connections_max";

const POOL_CONNECTIONS_HELP: &str = "Open connections to the database.";
const POOL_CONNECTIONS_MAX_HELP: &str =
    "The most connections to the database that may be open at once.";

/// From a row of a file on this machine to a server that is hardly there.
const BUCKETS: [f64; 13] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
];

macro_rules! queries {
    ($($(#[$doc:meta])* $query:ident => $name:literal,)*) => {
        /// What the database is asked for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Query {
            $($(#[$doc])* $query,)*
        }

        impl Query {
            const ALL: &'static [Self] = &[$(Self::$query,)*];

            const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$query => $name,)*
                }
            }
        }
    };
}

queries! {
    /// Whether it answers.
    Ping => "ping",
    /// Write the start of a scan.
    ScanStart => "scan_start",
    /// Write the end of a scan.
    ScanEnd => "scan_end",
    /// Read one scan.
    ScanGet => "scan_get",
    /// Find scans whose instance died.
    Abandoned => "abandoned",
    /// Read the latest scans.
    ScanList => "scan_list",
    /// Write a scan that waits.
    QueuePush => "queue_push",
    /// Take the scan that has waited longest.
    QueueClaim => "queue_claim",
    /// Let a scan wait again.
    QueueGiveBack => "queue_give_back",
    /// Count the scans that wait.
    QueueDepth => "queue_depth",
    /// Say that the instance lives, or that it has ended.
    Heartbeat => "heartbeat",
    /// Read a target's baseline.
    BaselineGet => "baseline_get",
    /// Write a target's baseline.
    BaselineSet => "baseline_set",
    /// Read the API key of a request.
    KeyGet => "key_get",
    /// Read all API keys.
    KeyList => "key_list",
    /// Write or revoke an API key.
    KeyWrite => "key_write",
}

/// The series of this module.
pub fn specs() -> Vec<Spec> {
    vec![
        Spec::histogram(
            QUERY_DURATION,
            Unit::Seconds,
            "How long queries of the database took, the wait for a connection included.",
        )
        .labels(["query"])
        .buckets(BUCKETS),
        Spec::counter(QUERY_ERRORS, "Queries of the database that gave an error.")
            .labels(["query"]),
        Spec::gauge(POOL_CONNECTIONS, POOL_CONNECTIONS_HELP).labels(["state"]),
        Spec::gauge(POOL_CONNECTIONS_MAX, POOL_CONNECTIONS_MAX_HELP),
    ]
}

/// Shows every series of queries from the start.
pub(super) fn register() {
    for query in Query::ALL {
        // A histogram is there once it is asked for.
        drop(metrics::histogram!(QUERY_DURATION, "query" => query.as_str()));
        metrics::counter!(QUERY_ERRORS, "query" => query.as_str()).increment(0);
    }
}

/// Records how long `work` takes, and whether it succeeds. Work that is dropped is not recorded.
pub(super) async fn timed<T, E>(
    query: Query,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let start = Instant::now();
    let result = work.await;
    let taken = start.elapsed();
    metrics::histogram!(QUERY_DURATION, "query" => query.as_str()).record(taken);
    if result.is_err() {
        metrics::counter!(QUERY_ERRORS, "query" => query.as_str()).increment(1);
    }
    result
}

/// Reads the pool at each scrape.
pub(super) fn collector(pool: AnyPool) -> impl Collector {
    collector_fn("database_pool", move |samples| {
        let open = pool.size();
        let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX).min(open);
        samples
            .gauge(POOL_CONNECTIONS, POOL_CONNECTIONS_HELP)
            .sample([("state", "idle")], idle)
            .sample([("state", "used")], open - idle);
        samples
            .gauge(POOL_CONNECTIONS_MAX, POOL_CONNECTIONS_MAX_HELP)
            .value(pool.options().get_max_connections());
    })
}
