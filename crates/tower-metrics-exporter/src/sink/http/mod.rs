//! HTTP, as several sinks speak it.

mod answer;
mod credentials;

use std::{error::Error, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{AUTHORIZATION, USER_AGENT},
};
use http_body::Body;
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::timeout;
use tower_service::Service;

#[cfg(feature = "otlp")]
pub(super) use self::answer::Broken;
pub(super) use self::answer::excerpt;
use self::answer::retry_after;
pub(super) use self::{
    answer::{Answered, Length},
    credentials::{Credentials, Secret},
};
use super::{
    SinkError,
    failure::{Failure, Reason, Retry, chain},
};

type BoxError = Box<dyn Error + Send + Sync>;
type AnswerBody = UnsyncBoxBody<Bytes, BoxError>;
type Answer = Pin<Box<dyn Future<Output = Result<Response<AnswerBody>, BoxError>> + Send>>;

/// What sinks send HTTP requests with.
///
/// The default speaks plain HTTP. TLS needs the feature `rustls` and `HttpClient::rustls`, or a
/// [service](Self::from_service) of one's own.
#[derive(Clone)]
pub struct HttpClient {
    call: Arc<dyn Fn(Request<Full<Bytes>>) -> Answer + Send + Sync>,
    has_tls: bool,
}

impl HttpClient {
    /// Plain HTTP/1.1.
    pub fn plain() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self {
            has_tls: false,
            ..Self::from_service(builder().build::<_, Full<Bytes>>(connector))
        }
    }

    /// HTTP/2 without TLS, as servers of gRPC speak it.
    #[cfg(feature = "otlp")]
    pub(super) fn plain_http2() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = builder()
            .http2_only(true)
            .build::<_, Full<Bytes>>(connector);
        Self {
            has_tls: false,
            ..Self::from_service(client)
        }
    }

    /// HTTP/1.1, or with the feature `otlp` HTTP/2 where the server offers it, over TLS for `https`: with the
    /// provider and the certificates of this configuration.
    ///
    /// # Panics
    ///
    /// If the configuration has ALPN protocols: they are set here.
    #[cfg(feature = "rustls")]
    pub fn rustls(config: tokio_rustls::rustls::ClientConfig) -> Self {
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http1();
        #[cfg(feature = "otlp")]
        let connector = connector.enable_http2();
        let connector = connector.build();
        Self::from_service(builder().build::<_, Full<Bytes>>(connector))
    }

    /// Any client that is a `tower::Service`, cloned for each request.
    ///
    /// Its connections should have `TCP_NODELAY` set, as those of the other clients here: without it each request over
    /// HTTP/2 can wait 40 ms for an acknowledgement, so that more is read than can be sent at short intervals.
    pub fn from_service<S, B>(service: S) -> Self
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self {
            call: Arc::new(move |request| {
                let mut service = service.clone();
                Box::pin(async move {
                    std::future::poll_fn(|cx| service.poll_ready(cx))
                        .await
                        .map_err(Into::into)?;
                    let response = service.call(request).await.map_err(Into::into)?;
                    Ok(response.map(|body| body.map_err(Into::into).boxed_unsync()))
                })
            }),
            has_tls: true,
        }
    }
}

fn builder() -> hyper_util::client::legacy::Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(90))
        .pool_max_idle_per_host(1);
    builder
}

impl Default for HttpClient {
    fn default() -> Self {
        Self::plain()
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").finish_non_exhaustive()
    }
}

/// Where requests go, and who they come from.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) uri: Uri,
    pub(super) client: HttpClient,
    pub(super) headers: HeaderMap,
    pub(super) credentials: Option<Credentials>,
}

/// What a server means by a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Taken,
    Retry,
    Refused,
}

/// For a message: what stands before an `@` is nobody's to read.
pub(super) fn without_credentials(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, rest)) => format!("…@{rest}"),
        None => url.to_owned(),
    }
}

impl Target {
    pub(super) fn new(sink: &str, url: &str) -> Result<Self, SinkError> {
        let wrong = |why: &str| {
            SinkError::new(format!(
                "the address of {sink}, `{}`, {why}: give one such as http://host:9090/path",
                without_credentials(url)
            ))
        };
        let uri: Uri = url.parse().map_err(|_| wrong("is no URL"))?;
        match uri.scheme_str() {
            Some("http" | "https") => {}
            Some(_) => return Err(wrong("is neither of http nor of https")),
            None => return Err(wrong("has no scheme")),
        }
        if uri
            .authority()
            .is_none_or(|authority| authority.as_str().contains('@'))
        {
            return Err(wrong(
                "has no host, or credentials, which have a place of their own",
            ));
        }
        Ok(Self {
            uri,
            client: HttpClient::plain(),
            headers: HeaderMap::new(),
            credentials: None,
        })
    }

    pub(super) fn check(&self, sink: &str) -> Result<(), SinkError> {
        if self.uri.scheme_str() == Some("https") && !self.client.has_tls {
            return Err(SinkError::new(format!(
                "the address of {sink}, `{}`, is of https, and its client has no TLS: give it one, such as \
                 HttpClient::rustls with the feature `rustls`",
                self.uri
            )));
        }
        Ok(())
    }

    pub(super) fn header(&mut self, name: &str, value: &str) -> Result<(), SinkError> {
        let parsed = name
            .parse::<HeaderName>()
            .ok()
            .zip(value.parse::<HeaderValue>().ok());
        let Some((name, mut value)) = parsed else {
            return Err(SinkError::new(format!(
                "`{name}` with the value given is no header: give a name of letters, digits and `-`, and a value \
                 without control characters"
            )));
        };
        // What it is for is not known.
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(())
    }

    pub(super) async fn request(&self, method: Method, uri: Uri) -> Result<Request<()>, Failure> {
        let mut request = Request::new(());
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if let Some(credentials) = &self.credentials {
            headers.insert(AUTHORIZATION, credentials.header().await?);
        }
        headers.extend(self.headers.clone());
        Ok(request)
    }

    /// Sends a request, and gives the answer if the server took it, of which as much is read as `length` says.
    ///
    /// The status decides what becomes of it. What comes after the status, and does not come whole, is told of, but
    /// is not a failure of its own.
    pub(super) async fn call(
        &self,
        request: Request<()>,
        body: Bytes,
        judge: fn(StatusCode) -> Verdict,
        length: Length,
    ) -> Result<Answered, Failure> {
        let request = request.map(|()| Full::new(body));
        let response = (self.client.call)(request).await.map_err(|error| Failure {
            reason: Reason::Network,
            retry: Retry::Later,
            text: chain(&*error),
        })?;
        let (parts, body) = response.into_parts();
        let status = parts.status;
        let verdict = judge(status);
        let mut answered = Answered {
            headers: parts.headers,
            ..Answered::default()
        };
        match (verdict, length) {
            // The trailers have the verdict.
            (Verdict::Taken, Length::ToTrailers(_)) => answered.read(body, length).await,
            // For the message, or for how many were rejected, which are worth no more.
            _ => drop(timeout(PATIENCE, answered.read(body, Length::Short)).await),
        }
        if verdict == Verdict::Taken {
            return Ok(answered);
        }
        let retry = match (verdict, retry_after(&answered.headers)) {
            (Verdict::Refused, _) => Retry::Never,
            (_, Some(after)) => Retry::After(after),
            (_, None) => Retry::Later,
        };
        Err(Failure {
            reason: match verdict {
                Verdict::Refused => Reason::Refused,
                _ if status.is_server_error() => Reason::Server,
                _ => Reason::Throttled,
            },
            retry,
            text: format!("the server answered {status}: {}", excerpt(&answered.body)),
        })
    }
}

/// How long the text of an answer is waited for whose status has told all.
const PATIENCE: Duration = Duration::from_secs(1);

const AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// As Prometheus' servers mean it: what is no success is for ever, unless it is a fault, or too much.
pub(super) fn judge(status: StatusCode) -> Verdict {
    if status.is_success() {
        Verdict::Taken
    } else if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        Verdict::Retry
    } else {
        Verdict::Refused
    }
}

/// The settings that every sink over HTTP has. It has a field `target: Target`, and `timeout` and `buffer`.
macro_rules! http_settings {
    () => {
        /// Sets what requests are sent with: plain HTTP unless set.
        pub fn client(mut self, client: $crate::HttpClient) -> Self {
            self.target.client = client;
            self
        }

        /// Sends this token as `Authorization: Bearer`.
        pub fn bearer(mut self, token: impl Into<String>) -> Self {
            let secret = $crate::sink::http::Secret::Known(token.into());
            self.target.credentials = Some($crate::sink::http::Credentials::Bearer(secret));
            self
        }

        /// Sends the token in this file, which is read anew each time, as `Authorization: Bearer`. While there is none
        /// in it, nothing is sent, and it is tried again.
        pub fn bearer_file(mut self, path: impl Into<std::path::PathBuf>) -> Self {
            let secret = $crate::sink::http::Secret::file(path.into());
            self.target.credentials = Some($crate::sink::http::Credentials::Bearer(secret));
            self
        }

        /// Sends a name, and the password in this file, which is read anew each time, as
        /// `Authorization: Basic`. The end of the line is not part of it. While there is none in it, nothing is sent, and
        /// it is tried again.
        pub fn basic_file(
            mut self,
            user: impl Into<String>,
            password: impl Into<std::path::PathBuf>,
        ) -> Self {
            let secret = $crate::sink::http::Secret::file(password.into());
            let credentials = $crate::sink::http::Credentials::Basic(user.into(), secret);
            self.target.credentials = Some(credentials);
            self
        }

        /// Adds a header to every request, such as that of a tenant.
        ///
        /// # Errors
        ///
        /// If the name or the value is none of a header.
        pub fn header(mut self, name: &str, value: &str) -> Result<Self, $crate::SinkError> {
            self.target.header(name, value)?;
            Ok(self)
        }

        /// Sets how long an attempt may take: 10 seconds unless set.
        pub const fn timeout(mut self, timeout: std::time::Duration) -> Self {
            self.timeout = timeout;
            self
        }

        /// Sets how many bytes may wait to be sent: 32 MiB unless set.
        pub const fn buffer(mut self, bytes: usize) -> Self {
            self.buffer = bytes;
            self
        }
    };
}
pub(super) use http_settings;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_cannot_be_is_an_error_that_says_so() {
        for (url, why) in [
            ("", "is no URL"),
            ("prometheus:9090", "has no scheme"),
            ("ftp://host/", "neither of http nor of https"),
            ("http://user:secret@host/", "credentials"),
            ("user:secret@host:9090", "…@host:9090"),
        ] {
            let error = Target::new("remote-write", url).unwrap_err().to_string();
            assert!(error.contains(why), "{url}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
        let target = Target::new("remote-write", "https://host/").unwrap();
        let error = target.check("remote-write").unwrap_err().to_string();
        assert!(error.contains("has no TLS"), "{error}");
        let credentials = Credentials::Bearer(Secret::Known(String::from("hunter2")));
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for (status, verdict) in [
            (200, Verdict::Taken),
            (204, Verdict::Taken),
            (302, Verdict::Refused),
            (400, Verdict::Refused),
            (401, Verdict::Refused),
            (429, Verdict::Retry),
            (500, Verdict::Retry),
            (503, Verdict::Retry),
        ] {
            assert_eq!(judge(StatusCode::from_u16(status).unwrap()), verdict);
        }
    }
}
