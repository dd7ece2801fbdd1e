//! Sinks as a file describes them.

#[cfg(feature = "_http")]
mod http;
#[cfg(feature = "otlp")]
mod otlp;
#[cfg(feature = "pushgateway")]
mod pushgateway;
#[cfg(feature = "remote-write")]
mod remote_write;
#[cfg(feature = "statsd")]
mod statsd;
mod time;

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

#[cfg(feature = "_http")]
pub use self::http::{BasicConfig, HeadersConfig};
#[cfg(feature = "otlp")]
pub use self::otlp::{OtlpCompression, OtlpConfig, OtlpProtocol};
#[cfg(feature = "pushgateway")]
pub use self::pushgateway::PushgatewayConfig;
#[cfg(feature = "remote-write")]
pub use self::remote_write::RemoteWriteConfig;
#[cfg(feature = "statsd")]
pub use self::statsd::{StatsdConfig, StatsdDialect};
use super::{SinkError, Sinks};

/// Any number of sinks, as a file describes them: TOML, JSON, YAML, or what else serde reads and writes.
///
/// ```
/// use tower_metrics_exporter::{Exporter, SinksConfig};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let file = r#"
///     interval = "10s"
///
///     [[remote_write]]
///     url = "http://prometheus:9090/api/v1/write"
///     labels = { job = "orders", instance = "host-1" }
///     bearer_file = "/run/secrets/prometheus"
///
///     [[statsd]]
///     address = "127.0.0.1:8125"
///     dialect = "dogstatsd"
/// "#;
/// let config = SinksConfig::read(toml::Deserializer::new(file))?;
/// let exporter = Exporter::builder().build()?;
/// let sinks = config.add_to(exporter.sinks())?.start()?;
/// # drop(sinks);
///
/// let error = SinksConfig::read(toml::Deserializer::new("interval = '10 parsecs'")).unwrap_err();
/// assert!(error.to_string().starts_with("interval: "));
/// # Ok(())
/// # }
/// ```
///
/// What is left out is as it is by default. A key that is not known is an error, and so is one of a sink whose feature
/// is off. Durations are text with units, such as `"10s"`, `"500ms"` or `"1m 30s"`; sizes are numbers of bytes.
/// Secrets are in files, of which the path is given, and read anew each time; only headers may have some, which are not
/// shown by `Debug`. TLS is the program's own: each sink's `sink` gives what a
/// [client](crate::RemoteWrite::client) can be set of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SinksConfig {
    /// How often series are sent: [15 seconds](Sinks::interval) unless set.
    #[serde(with = "time", skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
    /// OpenTelemetry collectors.
    #[cfg(feature = "otlp")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub otlp: Vec<OtlpConfig>,
    /// Prometheus, and what speaks its remote-write protocol.
    #[cfg(feature = "remote-write")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remote_write: Vec<RemoteWriteConfig>,
    /// Pushgateways.
    #[cfg(feature = "pushgateway")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pushgateway: Vec<PushgatewayConfig>,
    /// `StatsD` and `DogStatsD` agents.
    #[cfg(feature = "statsd")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub statsd: Vec<StatsdConfig>,
}

impl SinksConfig {
    /// Reads it, and tells the key of what is wrong, which a format's own errors may not.
    ///
    /// # Errors
    ///
    /// If it is no such configuration: the error names the key, such as `otlp[0].timeout`, what was given, and what
    /// would be right.
    pub fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, SinkError> {
        serde_path_to_error::deserialize(deserializer)
            .map_err(|error| SinkError::new(error.to_string()))
    }

    /// Adds them all.
    ///
    /// # Errors
    ///
    /// If one of them cannot be as it is described: the error names the key, what was given, and what would be right.
    pub fn add_to(&self, mut sinks: Sinks) -> Result<Sinks, SinkError> {
        if let Some(interval) = self.interval {
            sinks = sinks.interval(interval);
        }
        macro_rules! add {
            ($($kind:ident: $feature:literal),*) => {$(
                #[cfg(feature = $feature)]
                for (at, config) in self.$kind.iter().enumerate() {
                    let named = |error: SinkError| {
                        SinkError::new(format!("{}[{at}].{error}", stringify!($kind)))
                    };
                    sinks = sinks.sink(config.sink().map_err(named)?);
                }
            )*};
        }
        add!(otlp: "otlp", remote_write: "remote-write", pushgateway: "pushgateway", statsd: "statsd");
        Ok(sinks)
    }
}

impl SinkError {
    /// The same, of this key.
    fn of(self, key: &str) -> Self {
        Self::new(format!("{key}: {self}"))
    }
}

#[cfg(any(feature = "pushgateway", feature = "remote-write"))]
#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}
