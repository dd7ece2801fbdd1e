mod encode;
#[cfg(test)]
mod tests;

use std::time::Duration;

use http::{
    HeaderName, HeaderValue, Method,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};

use self::encode::Requests;
use super::{
    DEFAULT_BUFFER, DEFAULT_TIMEOUT, Keeps, Payload, SendFuture, Sender, Sent, Sink, SinkError,
    http::{Length, Target, http_settings, judge},
};
use crate::format::Labels;

/// Writes to Prometheus, or to what speaks its remote-write protocol 1.0: Mimir, Thanos, `VictoriaMetrics`, Cortex.
///
/// ```
/// use tower_metrics_exporter::{Exporter, RemoteWrite, SinkError};
///
/// # fn start(exporter: &Exporter) -> Result<(), SinkError> {
/// let prometheus = RemoteWrite::new("http://127.0.0.1:9090/api/v1/write")?
///     .label("job", "orders")
///     .label("instance", "host-1");
/// let sinks = exporter.sinks().sink(prometheus).start()?;
/// # drop(sinks);
/// # Ok(())
/// # }
/// ```
///
/// Nobody adds `job` and `instance` to what is not scraped: say them here, differently for each instance, or
/// their series are one.
///
/// | | |
/// |---|---|
/// | samples | those of a page, with the time at which all were read; in requests of [2,000](Self::max_samples) |
/// | histograms | as their classic series, or [native ones](Self::native_histograms) as such, with exemplars |
/// | series that are gone | are marked as stale, once |
/// | outages | what could not be sent is sent later, in order, as far as the [buffer](Self::buffer) goes; a server that has an attempt already takes it for the same |
/// | answers | 5xx and 429 are tried again, not before the time that `Retry-After` says; others are not, and their samples are counted as `rejected` |
#[derive(Clone, Debug)]
#[must_use = "a sink does nothing until it is added to `Sinks`"]
pub struct RemoteWrite {
    target: Target,
    labels: Vec<(String, String)>,
    max_samples: usize,
    natively: bool,
    timeout: Duration,
    buffer: usize,
}

const DEFAULT_MAX_SAMPLES: usize = 2000;

impl RemoteWrite {
    /// Writes to this address, such as `http://prometheus:9090/api/v1/write`.
    ///
    /// # Errors
    ///
    /// If it is no URL of http or https.
    pub fn new(url: &str) -> Result<Self, SinkError> {
        Ok(Self {
            target: Target::new("remote-write", url)?,
            labels: Vec::new(),
            max_samples: DEFAULT_MAX_SAMPLES,
            natively: false,
            timeout: DEFAULT_TIMEOUT,
            buffer: DEFAULT_BUFFER,
        })
    }

    /// Adds a label to every series that has none of this name. The name is made valid, as that of any
    /// label.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((name.into(), value.into()));
        self
    }

    /// Sets how many samples a request has at most: 2,000 unless set.
    pub const fn max_samples(mut self, samples: usize) -> Self {
        self.max_samples = samples;
        self
    }

    /// Writes histograms that are recorded [natively](crate::ExporterBuilder::native_histograms) as native histograms,
    /// in place of their classic series, as Prometheus takes them from a page. Not unless said so: Prometheus 2.53 and
    /// 3.5 take them only with `--enable-feature=native-histograms`, and without it answer 500 to all that is written.
    pub const fn native_histograms(mut self) -> Self {
        self.natively = true;
        self
    }

    http_settings!();
}

impl From<RemoteWrite> for Sink {
    fn from(sink: RemoteWrite) -> Self {
        let labels = sink.labels.iter();
        let (labels, _) = Labels::new(labels.map(|(name, value)| (&**name, &**value)));
        Self {
            name: "remote_write",
            keeps: Keeps::All,
            buffer: sink.buffer,
            timeout: sink.timeout,
            encoder: Box::new(Requests::new(labels, sink.max_samples, sink.natively)),
            sender: Box::new(Writer {
                target: sink.target,
            }),
        }
    }
}

struct Writer {
    target: Target,
}

impl Sender for Writer {
    fn send<'a>(&'a mut self, payload: &'a Payload) -> SendFuture<'a> {
        Box::pin(async {
            let uri = self.target.uri.clone();
            let mut request = self.target.request(Method::POST, uri).await?;
            let headers = request.headers_mut();
            for (name, value) in [
                (CONTENT_ENCODING, "snappy"),
                (CONTENT_TYPE, "application/x-protobuf"),
                (
                    HeaderName::from_static("x-prometheus-remote-write-version"),
                    "0.1.0",
                ),
            ] {
                headers.insert(name, HeaderValue::from_static(value));
            }
            let body = payload.body.clone();
            let length = Length::Short;
            self.target.call(request, body, judge, length).await?;
            Ok(Sent::default())
        })
    }

    fn check(&self) -> Result<(), SinkError> {
        self.target.check("remote-write")
    }
}
