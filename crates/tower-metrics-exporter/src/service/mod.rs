//! The service that answers scrapes.

mod body;
mod encoding;
mod future;
mod gate;
mod layer;
mod list;
mod metrics;
mod negotiate;
#[cfg(feature = "health")]
mod plain;
mod query;
mod refusal;
mod reply;
pub(crate) mod runtime;

use std::{
    convert::Infallible,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use http::{HeaderMap, Method, Request};
use tower_observe::Clock;
use tower_service::Service;

pub(crate) use self::metrics::{ScrapeMetrics, specs};
#[cfg(feature = "health")]
pub(crate) use self::plain::{method_not_allowed, plain};
pub use self::{
    body::{MetricsBody, RouteBody},
    future::{ResponseFuture, RouteFuture},
    layer::{MetricsLayer, RouteService},
};
use self::{
    encoding::{Encoding, Encodings},
    gate::{Gate, Key, Limits, Render, Ticket},
    metrics::Scrape,
    negotiate::negotiate,
    refusal::Refusal,
    reply::Reply,
    runtime::Deadline,
};
use crate::Source;

/// A render that took no longer is done on the spot the next time: it is over sooner than a worker of
/// the runtime notices, and than a thread for it is there.
const QUICK: Duration = Duration::from_micros(100);

/// Answers scrapes of a [`Source`], on every path: where it stands is the router's business. See
/// [`MetricsLayer`] for a service without one.
///
/// ```
/// use http::{Request, header::CONTENT_TYPE};
/// use http_body_util::BodyExt as _;
/// use tower::ServiceExt as _;
/// use tower_metrics_exporter::{Filter, Format, MetricsService, Source};
///
/// /// A source of one series.
/// struct Up;
///
/// impl Source for Up {
///     fn formats(&self) -> &[Format] {
///         &[Format::Text]
///     }
///
///     fn encode(&self, _: Format, _: &Filter, page: &mut Vec<u8>) {
///         page.extend(b"# TYPE up gauge\nup 1\n");
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let service = MetricsService::new(Up);
/// let Ok(response) = service.oneshot(Request::new(())).await;
///
/// assert_eq!(response.headers()[CONTENT_TYPE], "text/plain; version=0.0.4; charset=utf-8");
/// let page = response.into_body().collect().await.unwrap().to_bytes();
/// assert_eq!(page, "# TYPE up gauge\nup 1\n");
/// # }
/// ```
///
/// # Answers
///
/// | status | when |
/// |---|---|
/// | 200 | `GET` and `HEAD`: a page in the best format that `Accept` allows, compressed as `Accept-Encoding` allows, of the families that `name[]` asks for |
/// | 400 | more than 256 `name[]`, or one of more than 256 bytes |
/// | 405 | another method |
/// | 406 | no format, or no content coding, is acceptable; the body lists the formats |
/// | 500 | the source panicked |
/// | 503 | too many renders ([`max_in_flight`](Self::max_in_flight)) or too many pages that somebody still reads ([`max_pages`](Self::max_pages)), with `Retry-After`; or the page was not ready in time ([`timeout`](Self::timeout)) |
///
/// Who states no format, or takes any, gets [`Format::Text`](crate::Format::Text) if the source has it.
///
/// # Sharing
///
/// Scrapes that ask for the same page, in the same format, encoding and filter, while it is being
/// rendered, wait for that render and share its bytes. A render belongs to nobody: a client that goes
/// away takes nothing from the others. Clones of the service share their renders.
///
/// # Runtime
///
/// With the feature `tokio` and within a runtime, a page is rendered on a thread that may block
/// (`spawn_blocking`), unless the last whole page was ready within 100 µs and the source
/// [waits](Source::may_wait) for nothing: then it is rendered on the spot. Without the feature, or outside
/// of a runtime, every page is rendered on the spot, in [`call`](Service::call), and no timeout can be
/// kept. The service never fails, does not panic, and is always ready.
#[derive(Clone)]
pub struct MetricsService {
    source: Arc<dyn Source>,
    metrics: Arc<ScrapeMetrics>,
    gate: Arc<Gate>,
    learned: Arc<Learned>,
    options: Options,
}

#[derive(Clone, Copy, Debug)]
struct Options {
    limits: Limits,
    timeout: Duration,
    compression: bool,
    process_start: Option<SystemTime>,
}

/// What earlier scrapes have shown.
#[derive(Debug, Default)]
struct Learned {
    /// The last page with all families was rendered quickly.
    quick: AtomicBool,
    /// Its size.
    size: AtomicUsize,
    no_timers: AtomicBool,
}

impl MetricsService {
    /// Shows this source.
    pub fn new(source: impl Source) -> Self {
        Self::with_metrics(source, ScrapeMetrics::none())
    }

    /// Shows this source, and counts the scrapes.
    pub(crate) fn with_metrics(source: impl Source, metrics: ScrapeMetrics) -> Self {
        Self {
            source: Arc::new(source),
            metrics: Arc::new(metrics),
            gate: Arc::default(),
            learned: Arc::default(),
            options: Options {
                limits: Limits {
                    renders: 4,
                    pages: 64,
                },
                timeout: Duration::from_secs(10),
                compression: true,
                process_start: None,
            },
        }
    }

    /// Renders at most so many pages at a time; scrapes that share a page are one. A scrape that needs
    /// one more gets 503. Default: 4.
    #[must_use]
    pub const fn max_in_flight(mut self, renders: usize) -> Self {
        self.options.limits.renders = renders;
        self
    }

    /// Keeps at most so many pages in memory: those that are being rendered, and those that somebody still
    /// reads, as one does who stopped reading until the server gives it up. A scrape that needs one more
    /// gets 503. Scrapes that share a page are one. Default: 64.
    #[must_use]
    pub const fn max_pages(mut self, pages: usize) -> Self {
        self.options.limits.pages = pages;
        self
    }

    /// Answers 503 to a scrape whose page is not ready by then, or within nine tenths of what the
    /// scraper says in `X-Prometheus-Scrape-Timeout-Seconds`, if that is less. Needs the feature `tokio`
    /// and a runtime with timers. Default: 10 s.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// Whether pages of more than 1 KiB are compressed for who accepts that, with what the features
    /// `gzip` and `zstd` give. Default: yes.
    #[must_use]
    pub const fn compression(mut self, on: bool) -> Self {
        self.options.compression = on;
        self
    }

    /// States when the process started, in `Process-Start-Time-Unix`. Default: not stated.
    #[must_use]
    pub const fn process_start(mut self, at: SystemTime) -> Self {
        self.options.process_start = Some(at);
        self
    }

    fn answer<B>(&self, request: &Request<B>) -> ResponseFuture {
        let mut scrape = Scrape::start(&self.metrics);
        let is_head = *request.method() == Method::HEAD;
        let key = self.key(request);
        if let Ok(key) = &key {
            scrape.of(key.format);
        }
        let reply = Reply::new(scrape, is_head, self.options.process_start);
        let ticket = key.map(|key| {
            let format = key.format;
            let ticket = self.gate.enter(key, self.options.limits);
            (format, ticket)
        });
        let (format, wait) = match ticket {
            Err(refusal) => return ResponseFuture::done(reply.refusal(&refusal)),
            Ok((_, Ticket::TooManyRenders)) => {
                let Limits { renders, .. } = self.options.limits;
                return ResponseFuture::done(reply.refusal(&Refusal::Busy { renders }));
            }
            Ok((_, Ticket::TooManyPages)) => {
                let Limits { pages, .. } = self.options.limits;
                return ResponseFuture::done(reply.refusal(&Refusal::Held { pages }));
            }
            Ok((format, Ticket::Wait(wait))) => (format, wait),
            Ok((format, Ticket::Render(render))) => {
                let wait = render.wait();
                let job = self.job(render);
                let is_quick = self.learned.quick.load(Ordering::Relaxed);
                if runtime::is_there() && (!is_quick || self.source.may_wait()) {
                    runtime::spawn_blocking(|| job.run());
                } else {
                    job.run();
                }
                (format, wait)
            }
        };
        if let Some(outcome) = wait.outcome() {
            return ResponseFuture::done(reply.outcome(format, outcome));
        }
        let timeout = self.timeout_of(request.headers());
        let deadline = Deadline::after(timeout, &self.learned.no_timers);
        ResponseFuture::waiting(wait, timeout, deadline, format, reply)
    }

    /// Which page is asked for.
    fn key<B>(&self, request: &Request<B>) -> Result<Key, Refusal> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(Refusal::Method);
        }
        let formats = self.source.formats();
        Ok(Key {
            filter: query::filter(request.uri().query())?,
            format: negotiate(request.headers(), formats).ok_or_else(|| Refusal::NoFormat {
                offered: formats.to_vec(),
            })?,
            encodings: Encodings::negotiate(request.headers(), self.options.compression)
                .ok_or(Refusal::NoEncoding)?,
        })
    }

    /// A little less than what the scraper waits for, so that it gets an answer.
    fn timeout_of(&self, headers: &HeaderMap) -> Duration {
        headers
            .get("x-prometheus-scrape-timeout-seconds")
            .and_then(|seconds| seconds.to_str().ok()?.parse::<f64>().ok())
            .and_then(|seconds| Duration::try_from_secs_f64(seconds * 0.9).ok())
            .filter(|timeout| !timeout.is_zero())
            .map_or(self.options.timeout, |timeout| {
                timeout.min(self.options.timeout)
            })
    }

    fn job(&self, render: Render) -> Job {
        Job {
            source: Arc::clone(&self.source),
            metrics: Arc::clone(&self.metrics),
            learned: Arc::clone(&self.learned),
            render,
        }
    }
}

impl<B> Service<Request<B>> for MetricsService {
    type Response = http::Response<MetricsBody>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        self.answer(&request)
    }
}

// By hand: a source need not be `Debug`.
impl fmt::Debug for MetricsService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsService")
            .field("formats", &self.source.formats())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// The render of a page.
struct Job {
    source: Arc<dyn Source>,
    metrics: Arc<ScrapeMetrics>,
    learned: Arc<Learned>,
    render: Render,
}

impl Job {
    fn run(self) {
        let clock = Clock::system();
        let start = clock.now();
        let rendered = catch_unwind(AssertUnwindSafe(|| self.encode()));
        let took = clock.now().saturating_duration_since(start);
        let outcome = match rendered {
            Ok((page, encoding, size)) => {
                self.metrics.rendered(took, size);
                if self.render.key().filter.is_all() {
                    self.learned.quick.store(took <= QUICK, Ordering::Relaxed);
                    self.learned.size.store(size, Ordering::Relaxed);
                }
                Ok((page, encoding))
            }
            Err(_) => Err(Refusal::Panicked),
        };
        self.render.finish(outcome);
    }

    /// The page, and its size before compression.
    fn encode(&self) -> (Vec<u8>, Encoding, usize) {
        let Key {
            format,
            encodings,
            filter,
        } = self.render.key();
        // As large as the last, so that a page of megabytes is not moved again and again as it grows.
        let expected = if filter.is_all() {
            let last = self.learned.size.load(Ordering::Relaxed);
            last.saturating_add(last / 16)
        } else {
            0
        };
        let mut page = Vec::with_capacity(expected);
        self.source.encode(*format, filter, &mut page);
        let size = page.len();
        let (bytes, encoding) = encodings.encode(page);
        (bytes, encoding, size)
    }
}
