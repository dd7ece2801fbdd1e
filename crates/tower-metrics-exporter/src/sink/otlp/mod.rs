mod answer;
mod encode;
mod environment;
mod exponential;
mod grpc;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderValue, Method, StatusCode, Uri,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};

use self::encode::{Limits, Requests};
use super::{
    DEFAULT_BUFFER, DEFAULT_TIMEOUT, Failure, Keeps, Payload, SendFuture, Sender, Sent, Sink,
    SinkError,
    http::{HttpClient, Length, Target, Verdict, http_settings},
};

/// Sends to an OpenTelemetry collector, or to what else takes OTLP, over HTTP or gRPC.
///
/// ```
/// use tower_metrics_exporter::{Exporter, Otlp, SinkError};
///
/// # fn start(exporter: &Exporter) -> Result<(), SinkError> {
/// let collector = Otlp::http("http://127.0.0.1:4318")?
///     .service_name("orders")
///     .resource("deployment.environment.name", "production");
/// let sinks = exporter.sinks().sink(collector).start()?;
/// # drop(sinks);
/// # Ok(())
/// # }
/// ```
///
/// | | |
/// |---|---|
/// | names, attributes | those of a page |
/// | counters | monotonic cumulative sums, whole numbers as such |
/// | histograms | cumulative: explicit ones, or exponential ones for those that are recorded [natively](crate::ExporterBuilder::native_histograms), in at most 160 buckets of each sign, coarser ones if need be; with exemplars |
/// | requests | of at most [2,000](Self::max_points) points and [4 MiB](Self::max_bytes) |
/// | start time | when the series was made; of a collector's counter, when the sink was |
/// | answers | over HTTP 429, 502, 503 and 504, over gRPC `UNAVAILABLE` and what else the protocol says may pass, are tried again, not before the time that `Retry-After` or `RetryInfo` says, up to five minutes; `RESOURCE_EXHAUSTED` only with a `RetryInfo`. Points that are rejected are counted as such, those of a partial success, too |
#[derive(Clone, Debug)]
#[must_use = "a sink does nothing until it is added to `Sinks`"]
pub struct Otlp {
    target: Target,
    protocol: Protocol,
    resource: Vec<(String, String)>,
    /// Of those that are not in `resource`.
    defaults: Vec<(String, String)>,
    max_points: usize,
    max_bytes: usize,
    gzip: bool,
    timeout: Duration,
    buffer: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Http,
    Grpc,
}

const DEFAULT_MAX_POINTS: usize = 2000;
const SERVICE_NAME: &str = "service.name";

impl Otlp {
    /// Sends as protobuf over HTTP, to the path `v1/metrics` below this address; port 4318 is usual.
    ///
    /// # Errors
    ///
    /// If it is no URL of http or https.
    pub fn http(url: &str) -> Result<Self, SinkError> {
        Self::http_at(&format!("{}/v1/metrics", url.trim_end_matches('/')))
    }

    /// Sends as protobuf over HTTP, to this very address.
    ///
    /// # Errors
    ///
    /// If it is no URL of http or https.
    pub fn http_at(url: &str) -> Result<Self, SinkError> {
        Self::new(url, Protocol::Http, HttpClient::plain())
    }

    /// Sends over gRPC; port 4317 is usual. A [client](Self::client) of one's own has to speak HTTP/2.
    ///
    /// # Errors
    ///
    /// If it is no URL of http or https.
    pub fn grpc(url: &str) -> Result<Self, SinkError> {
        let url = format!("{}{}", url.trim_end_matches('/'), grpc::EXPORT);
        Self::new(&url, Protocol::Grpc, HttpClient::plain_http2())
    }

    fn new(url: &str, protocol: Protocol, client: HttpClient) -> Result<Self, SinkError> {
        let mut target = Target::new("OTLP", url)?;
        target.client = client;
        let own = [
            (SERVICE_NAME, "unknown_service"),
            ("telemetry.sdk.language", "rust"),
            ("telemetry.sdk.name", env!("CARGO_PKG_NAME")),
            ("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
        ];
        Ok(Self {
            target,
            protocol,
            resource: Vec::new(),
            defaults: own
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            max_points: DEFAULT_MAX_POINTS,
            max_bytes: grpc::LONGEST_MESSAGE,
            gzip: false,
            timeout: DEFAULT_TIMEOUT,
            buffer: DEFAULT_BUFFER,
        })
    }

    /// Sets the resource's `service.name`: `unknown_service` unless it is set so or by
    /// [default](Self::default_resource).
    pub fn service_name(self, name: impl Into<String>) -> Self {
        self.resource(SERVICE_NAME, name)
    }

    /// Sets an attribute of the resource, which tells what the series are of.
    pub fn resource(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        set(&mut self.resource, name.into(), value.into());
        self
    }

    /// Sets an attribute of the resource, unless [`from_env`](Self::from_env) or [`resource`](Self::resource) sets it:
    /// what a program calls itself if nobody calls it otherwise.
    pub fn default_resource(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        set(&mut self.defaults, name.into(), value.into());
        self
    }

    /// All attributes of the resource.
    fn attributes(&self) -> Vec<(String, String)> {
        let mut all = self.defaults.clone();
        for (name, value) in &self.resource {
            set(&mut all, name.clone(), value.clone());
        }
        all
    }

    /// Compresses requests.
    #[cfg(feature = "gzip")]
    pub const fn gzip(mut self) -> Self {
        self.gzip = true;
        self
    }

    /// Sets how many data points a request has at most: 2,000 unless set.
    pub const fn max_points(mut self, points: usize) -> Self {
        self.max_points = points;
        self
    }

    /// Sets how many bytes a request has at most, before it is compressed: 4 MiB unless set, which is what servers of
    /// gRPC take unless told otherwise.
    pub const fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    http_settings!();
}

fn set(attributes: &mut Vec<(String, String)>, name: String, value: String) {
    match attributes.iter_mut().find(|(other, _)| *other == name) {
        Some((_, other)) => *other = value,
        None => attributes.push((name, value)),
    }
}

impl From<Otlp> for Sink {
    fn from(sink: Otlp) -> Self {
        let resource = sink.attributes();
        let Otlp {
            target,
            protocol,
            max_points,
            max_bytes,
            gzip,
            timeout,
            buffer,
            ..
        } = sink;
        let frame = match protocol {
            Protocol::Http => encode::whole,
            Protocol::Grpc => grpc::message,
        };
        let limits = Limits {
            points: max_points,
            bytes: max_bytes,
        };
        Self {
            name: "otlp",
            keeps: Keeps::All,
            buffer,
            timeout,
            encoder: Box::new(Requests::new(&resource, limits, gzip, frame)),
            sender: match protocol {
                Protocol::Http => Box::new(Poster { target, gzip }),
                Protocol::Grpc => Box::new(grpc::Caller { target, gzip }),
            },
        }
    }
}

/// Over HTTP.
struct Poster {
    target: Target,
    gzip: bool,
}

impl Poster {
    async fn post(&self, body: Bytes) -> Result<Sent, Failure> {
        let uri: Uri = self.target.uri.clone();
        let mut request = self.target.request(Method::POST, uri).await?;
        let headers = request.headers_mut();
        let content_type = HeaderValue::from_static("application/x-protobuf");
        headers.insert(CONTENT_TYPE, content_type);
        if self.gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let length = Length::Short;
        let answered = self.target.call(request, body, judge, length).await?;
        Ok(answer::partial_success(&answered.body))
    }
}

impl Sender for Poster {
    fn send<'a>(&'a mut self, payload: &'a Payload) -> SendFuture<'a> {
        Box::pin(self.post(payload.body.clone()))
    }

    fn check(&self) -> Result<(), SinkError> {
        self.target.check("OTLP")
    }
}

/// As the protocol has it.
fn judge(status: StatusCode) -> Verdict {
    match status.as_u16() {
        200..=299 => Verdict::Taken,
        429 | 502..=504 => Verdict::Retry,
        _ => Verdict::Refused,
    }
}
