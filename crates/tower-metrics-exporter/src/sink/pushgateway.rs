use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderValue, Method, Uri, header::CONTENT_TYPE};

use super::{
    DEFAULT_BUFFER, DEFAULT_TIMEOUT, Encoder, Frame, Keeps, Payload, SendFuture, Sender, Sent,
    Sink, SinkError,
    http::{Length, Target, http_settings, judge},
};
use crate::{Format, format::Text};

/// Pushes to a Prometheus Pushgateway, which keeps the last push until it is asked for it.
///
/// It is made for jobs that end before they could be scraped; what runs on is better scraped.
///
/// ```
/// use tower_metrics_exporter::{Exporter, Pushgateway, SinkError};
///
/// # fn start(exporter: &Exporter) -> Result<(), SinkError> {
/// let gateway = Pushgateway::new("http://127.0.0.1:9091", "nightly-scan")?.group("instance", "host-1")?;
/// let sinks = exporter.sinks().sink(gateway).start()?;
/// # drop(sinks);
/// # Ok(())
/// # }
/// ```
///
/// A push replaces the whole group ([`Method::PUT`]), unless [`add`](Self::add) says otherwise. The last is made
/// at shutdown.
#[derive(Clone, Debug)]
#[must_use = "a sink does nothing until it is added to `Sinks`"]
pub struct Pushgateway {
    target: Target,
    group: Vec<(String, String)>,
    method: Method,
    deletes: bool,
    timeout: Duration,
    buffer: usize,
}

impl Pushgateway {
    /// Pushes to the gateway at this address, in the group of this job.
    ///
    /// # Errors
    ///
    /// If the address is no URL of http or https, or the job has no name.
    pub fn new(url: &str, job: impl Into<String>) -> Result<Self, SinkError> {
        let job = job.into();
        if job.is_empty() {
            return Err(SinkError::new(
                "the job of a Pushgateway is empty: give it a name",
            ));
        }
        Ok(Self {
            target: Target::new("the Pushgateway", url)?,
            group: vec![(String::from("job"), job)],
            method: Method::PUT,
            deletes: false,
            timeout: DEFAULT_TIMEOUT,
            buffer: DEFAULT_BUFFER,
        })
    }

    /// Adds a label to the grouping key, which tells pushes of one job apart. The value may be anything.
    ///
    /// # Errors
    ///
    /// If it is no name of a label, or one that is there already.
    pub fn group(
        mut self,
        label: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Self, SinkError> {
        let label = label.into();
        if !is_label(&label) || self.group.iter().any(|(other, _)| *other == label) {
            return Err(SinkError::new(format!(
                "`{label}` cannot be a label of a Pushgateway's group: give letters, digits and `_` that no \
                 digit and no `__` leads, once"
            )));
        }
        self.group.push((label, value.into()));
        Ok(self)
    }

    /// Replaces only families of the same names in the group ([`Method::POST`]), so that several programs
    /// can share one.
    pub fn add(mut self) -> Self {
        self.method = Method::POST;
        self
    }

    /// Deletes the group at shutdown, after the last push. It is kept unless said so.
    pub const fn delete_on_exit(mut self) -> Self {
        self.deletes = true;
        self
    }

    http_settings!();

    fn uri(&self) -> Result<Uri, SinkError> {
        let base = self.target.uri.to_string();
        let mut path = String::from(base.trim_end_matches('/'));
        path.push_str("/metrics");
        for (label, value) in &self.group {
            path.push('/');
            path.push_str(label);
            if is_plain(value) {
                path.push('/');
                path.push_str(value);
            } else {
                path.push_str("@base64/");
                path.push_str(&encode(value));
            }
        }
        path.parse()
            .map_err(|_| SinkError::new(format!("`{path}` is no URL: shorten the group")))
    }
}

fn is_label(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = bytes.next();
    first.is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with("__")
}

/// Whether a value can stand in a path as it is. A dot alone would be a step in it.
fn is_plain(value: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_~.".contains(&byte);
    !value.is_empty() && value.bytes().all(is_plain) && !value.starts_with('.')
}

fn encode(value: &str) -> String {
    match URL_SAFE_NO_PAD.encode(value) {
        // A path cannot have an empty part, so the gateway takes padding for nothing.
        empty if empty.is_empty() => String::from("="),
        text => text,
    }
}

impl From<Pushgateway> for Sink {
    fn from(gateway: Pushgateway) -> Self {
        Self {
            name: "pushgateway",
            keeps: Keeps::Latest,
            buffer: gateway.buffer,
            timeout: gateway.timeout,
            encoder: Box::new(Pages),
            sender: Box::new(Pusher {
                uri: gateway.uri().map_err(|error| error.to_string()),
                gateway,
            }),
        }
    }
}

struct Pages;

impl Encoder for Pages {
    fn encode(&mut self, frame: &Arc<Frame>) -> Vec<Payload> {
        let mut page = Vec::new();
        frame.encode(&mut Text::prometheus(&mut page));
        let points = frame.families().iter().map(|family| family.series.len());
        let points = points.sum::<usize>() as u64;
        vec![Payload {
            body: Bytes::from(page),
            points,
        }]
    }
}

struct Pusher {
    gateway: Pushgateway,
    uri: Result<Uri, String>,
}

impl Pusher {
    async fn call(&self, method: Method, body: Bytes) -> Result<Sent, super::Failure> {
        let target = &self.gateway.target;
        // It was checked.
        let uri = self.uri.clone().unwrap_or_default();
        let mut request = target.request(method, uri).await?;
        request.headers_mut().insert(
            CONTENT_TYPE,
            HeaderValue::from_static(Format::Text.content_type()),
        );
        target.call(request, body, judge, Length::Short).await?;
        Ok(Sent::default())
    }
}

impl Sender for Pusher {
    fn send<'a>(&'a mut self, payload: &'a Payload) -> SendFuture<'a> {
        let method = self.gateway.method.clone();
        Box::pin(self.call(method, payload.body.clone()))
    }

    fn close(&mut self) -> SendFuture<'_> {
        if !self.gateway.deletes {
            return Box::pin(async { Ok(Sent::default()) });
        }
        Box::pin(self.call(Method::DELETE, Bytes::new()))
    }

    fn check(&self) -> Result<(), SinkError> {
        if let Err(error) = &self.uri {
            return Err(SinkError::new(error.clone()));
        }
        self.gateway.target.check("the Pushgateway")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_no_path_can_have_are_encoded() {
        let gateway = Pushgateway::new("http://gateway:9091/prefix/", "nightly").unwrap();
        let group = |value: &str| {
            let gateway = gateway.clone().group("path", value).unwrap();
            let uri = gateway.uri().unwrap().to_string();
            uri.strip_prefix("http://gateway:9091/prefix/metrics/job/nightly/")
                .unwrap()
                .to_owned()
        };
        assert_eq!(group("host-1"), "path/host-1");
        // The gateway's own examples.
        assert_eq!(group("/var/tmp"), "path@base64/L3Zhci90bXA");
        assert_eq!(group(""), "path@base64/=");
        assert_eq!(group("Προμηθεύς"), "path@base64/zqDPgc6_zrzOt864zrXPjc-C");
        assert_eq!(group(".."), "path@base64/Li4");
        assert_eq!(group("a b?"), "path@base64/YSBiPw");
    }

    #[test]
    fn a_group_that_the_gateway_would_refuse_is_an_error() {
        assert!(Pushgateway::new("http://gateway", "").is_err());
        let gateway = || Pushgateway::new("http://gateway", "job").unwrap();
        for label in ["", "1st", "a-b", "__meta", "job"] {
            let error = gateway().group(label, "x").unwrap_err().to_string();
            assert!(error.contains(&format!("`{label}`")), "{error}");
        }
    }
}
