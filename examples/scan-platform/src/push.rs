//! Where series are sent to, beside the page that Prometheus scrapes.

use std::{env, str::FromStr, time::Duration};

use anyhow::Context as _;
use tower_metrics_exporter::{
    Exporter, Otlp, Pushgateway, RemoteWrite, Sink, SinkError, SinksHandle, Statsd,
};

/// What series are called after.
const NAME: &str = env!("CARGO_PKG_NAME");

/// Who gets the series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    kind: Kind,
    /// Where it is; the usual place unless said.
    address: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Scrapes by itself.
    Prometheus,
    Otlp,
    RemoteWrite,
    Statsd,
    Pushgateway,
}

impl FromStr for Backend {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, address) = match text.split_once('=') {
            Some((kind, address)) => (kind, Some(address.to_owned())),
            None => (text, None),
        };
        let kind = match kind {
            "prometheus" if address.is_none() => Kind::Prometheus,
            "otlp" => Kind::Otlp,
            "remote-write" => Kind::RemoteWrite,
            "statsd" => Kind::Statsd,
            "pushgateway" => Kind::Pushgateway,
            _ => {
                return Err(String::from(
                    "give prometheus, or otlp, remote-write, statsd or pushgateway, each with =ADDRESS if it \
                     is not in the usual place",
                ));
            }
        };
        Ok(Self { kind, address })
    }
}

impl Backend {
    fn address_or<'a>(&'a self, usual: &'a str) -> &'a str {
        self.address.as_deref().unwrap_or(usual)
    }

    /// `instance` tells this process' series from those of others of its kind.
    fn sink(&self, instance: &str) -> anyhow::Result<Option<Sink>> {
        Ok(Some(match self.kind {
            Kind::Prometheus => return Ok(None),
            Kind::Otlp => otlp(self.address.as_deref(), instance, |name| {
                env::var(name).ok()
            })?
            .into(),
            Kind::RemoteWrite => {
                RemoteWrite::new(self.address_or("http://127.0.0.1:9090/api/v1/write"))?
                    .label("job", NAME)
                    .label("instance", instance)
                    .into()
            }
            Kind::Statsd => Statsd::udp(self.address_or("127.0.0.1:8125"))?
                .dogstatsd()
                .into(),
            Kind::Pushgateway => Pushgateway::new(self.address_or("http://127.0.0.1:9091"), NAME)?
                .group("instance", instance)?
                .into(),
        }))
    }
}

/// As the environment says, but for what the command line does. What the program calls itself is only for who does
/// not say otherwise.
fn otlp(
    address: Option<&str>,
    instance: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Otlp, SinkError> {
    let sink = Otlp::from_env(|name| match (name, address) {
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", Some(_)) => None,
        ("OTEL_EXPORTER_OTLP_ENDPOINT", Some(address)) => Some(address.to_owned()),
        _ => variable(name),
    })?;
    Ok(sink
        .default_resource("service.name", NAME)
        .default_resource("service.instance.id", instance))
}

/// What is sent, and when.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Who gets the series.
    pub backends: Vec<Backend>,
    /// How often; by default as `OTEL_METRIC_EXPORT_INTERVAL` says, or every 15 seconds.
    pub interval: Option<Duration>,
}

impl Options {
    /// Whether anything is sent at all.
    pub fn is_some(&self) -> bool {
        self.backends
            .iter()
            .any(|backend| backend.kind != Kind::Prometheus)
    }
}

/// Starts to send.
///
/// # Errors
///
/// If an address or a variable of the environment cannot be used.
pub fn start(
    exporter: &Exporter,
    options: &Options,
    instance: &str,
) -> anyhow::Result<Option<SinksHandle>> {
    if !options.is_some() {
        return Ok(None);
    }
    let mut sinks = exporter
        .sinks()
        .interval_from_env(|name| env::var(name).ok())?;
    if let Some(interval) = options.interval {
        sinks = sinks.interval(interval);
    }
    for backend in &options.backends {
        if let Some(sink) = backend.sink(instance).context("--exporter")? {
            sinks = sinks.sink(sink);
        }
    }
    Ok(Some(sinks.start()?))
}

/// Sends once more, for no longer than this.
///
/// # Errors
///
/// If something was not sent.
pub async fn stop(sinks: Option<SinksHandle>, deadline: Duration) -> anyhow::Result<()> {
    match sinks {
        Some(sinks) => Ok(sinks.shutdown(deadline).await.into_result()?),
        None => Ok(()),
    }
}
