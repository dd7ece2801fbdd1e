#![expect(
    clippy::inline_always,
    reason = "of what every request takes, parts that are called pass by memory what else stays in registers"
)]

use std::{
    fmt,
    ops::Deref,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use http::{Extensions, HeaderMap, Method, StatusCode, Uri, header::CONTENT_TYPE};
use tower_observe::{Observe, RequestHead, Spec, grpc::Code};

use crate::{
    Instrument, RequestMetricsBuilder,
    age::Age,
    builder::Protocol,
    cache::Cache,
    config::{Config, version_id},
    key::{Field, Key},
    recording::Recording,
    route::{Route, RouteTable},
    row::Row,
};

/// The observer behind [`RequestMetricsLayer`](crate::RequestMetricsLayer).
///
/// On its own it is for a tuple of observers in one [`ObserveLayer`](tower_observe::ObserveLayer),
/// which costs a request less than a layer for each. Clones share their handles.
#[derive(Clone)]
pub struct RequestMetrics {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    config: Arc<Config>,
    /// The handles of the first recorder, which is the only one of most processes: found without the
    /// count that `later` keeps.
    first: OnceLock<Cache>,
    /// Whether there was another one since. From then on `first` is not looked at: what has its address
    /// may be a third.
    changed: AtomicBool,
    /// Those of the one that came after it last.
    later: ArcSwapOption<Cache>,
    renewing: Mutex<()>,
}

/// The handles of the recorder of the moment.
enum Current<'a> {
    First(&'a Cache),
    Later(Arc<Cache>),
}

impl Deref for Current<'_> {
    type Target = Cache;

    fn deref(&self) -> &Cache {
        match self {
            Self::First(cache) => cache,
            Self::Later(cache) => cache,
        }
    }
}

impl RequestMetrics {
    /// HTTP requests, with the default names and labels.
    pub fn new() -> Self {
        Self::with(RequestMetricsBuilder::default().config_or_nothing())
    }

    /// gRPC calls, with the default names and labels.
    pub fn grpc() -> Self {
        Self::with(Self::builder().protocol(Protocol::Grpc).config_or_nothing())
    }

    /// HTTP requests and gRPC calls on one port, told apart by content type, with the default names and
    /// labels.
    pub fn auto() -> Self {
        Self::with(Self::builder().protocol(Protocol::Auto).config_or_nothing())
    }

    /// Starts building an observer of other names, labels, or another protocol.
    pub fn builder() -> RequestMetricsBuilder {
        RequestMetricsBuilder::default()
    }

    pub(crate) fn with(config: Config) -> Self {
        Self {
            shared: Arc::new(Shared {
                config: Arc::new(config),
                first: OnceLock::new(),
                changed: AtomicBool::new(false),
                later: ArcSwapOption::empty(),
                renewing: Mutex::new(()),
            }),
        }
    }

    /// What is recorded: names, labels, units, help texts and buckets, for the exporter.
    pub fn specs(&self) -> Vec<Spec> {
        self.shared.config.specs()
    }

    /// Creates the counters of these requests at zero, so that the first of them is seen as a rise, and
    /// gives their number.
    ///
    /// To be called once the recorder is installed; calling it again does no harm.
    ///
    /// ```
    /// use http::{Method, StatusCode};
    /// # let metrics = tower_request_metrics::RequestMetrics::new();
    /// metrics.init([(Method::GET, "/users/{id}", [StatusCode::OK, StatusCode::INTERNAL_SERVER_ERROR])]);
    /// ```
    pub fn init<R, S>(&self, requests: impl IntoIterator<Item = (Method, R, S)>) -> usize
    where
        R: AsRef<str>,
        S: IntoIterator<Item = StatusCode>,
    {
        let config = &self.shared.config;
        let cache = self.shared.cache();
        let mut series = 0;
        for (method, route, statuses) in requests {
            let row = cache.other().named(route.as_ref(), Age::START);
            let key = self.shared.key(&method);
            for status in statuses {
                let key = key.with(Field::Status, config.status_id_of(status));
                row.add(Instrument::Requests, key, Age::START, 0);
                series += 1;
            }
        }
        series
    }

    /// Creates the counters of every gRPC method that [descriptors](RequestMetricsBuilder::descriptors)
    /// told of at zero, for every code, and gives their number.
    pub fn init_grpc(&self) -> usize {
        let cache = self.shared.cache();
        let mut series = 0;
        for name in self.shared.config.rpc_methods.keys() {
            let row = cache.other().named(name, Age::START);
            let key = Key::default();
            let once = [
                Instrument::RpcStarted,
                Instrument::RpcReceived,
                Instrument::RpcSent,
            ];
            for instrument in once {
                row.add(instrument, key, Age::START, 0);
            }
            for code in Code::ALL {
                let key = key.with(Field::RpcCode, code as u16 + 1);
                row.add(Instrument::RpcHandled, key, Age::START, 0);
            }
            series += once.len() + Code::ALL.len();
        }
        series
    }
}

impl Default for RequestMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RequestMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestMetrics")
            .field("protocol", &self.shared.config.protocol)
            .field("recorder", &self.shared.config.target)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn cache(&self) -> Current<'_> {
        self.first().map_or_else(|| self.later(), Current::First)
    }

    /// The handles of the first recorder, if it is that of the moment.
    #[inline]
    fn first(&self) -> Option<&Cache> {
        let recorder = self.config.target.id();
        let first = self.first.get()?;
        let is_current = first.recorder() == recorder && !self.changed.load(Ordering::Relaxed);
        is_current.then_some(first)
    }

    #[cold]
    fn later(&self) -> Current<'_> {
        let recorder = self.config.target.id();
        let known = || {
            self.later
                .load_full()
                .filter(|cache| cache.recorder() == recorder)
        };
        if let Some(later) = known() {
            return Current::Later(later);
        }
        let _one_at_a_time = self.renewing.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            self.config
                .target
                .with(|recorder| self.config.describe(recorder));
            Cache::new(recorder, &self.config)
        };
        if recorder.can_stay() && !self.changed.load(Ordering::Relaxed) {
            let first = self.first.get_or_init(make);
            if first.recorder() == recorder {
                return Current::First(first);
            }
            self.changed.store(true, Ordering::Relaxed);
        }
        Current::Later(known().unwrap_or_else(|| {
            let cache = Arc::new(make());
            self.later.store(Some(Arc::clone(&cache)));
            cache
        }))
    }

    /// The row of the route that a router set.
    #[inline]
    fn row_matched<'a>(
        cache: &'a Cache,
        extensions: &Extensions,
        now: Age,
    ) -> Option<&'a Arc<Row>> {
        if let Some(route) = Route::of(extensions) {
            return Some(cache.other().named(route.as_str(), now));
        }
        #[cfg(feature = "axum")]
        if let Some(path) = extensions.get::<axum::extract::MatchedPath>() {
            return Some(cache.of_path(path).unwrap_or_else(|| {
                let row = cache.other().named(path.as_str(), now);
                cache.keep_path(path, row);
                row
            }));
        }
        None
    }

    /// The row of the route that this path takes by the table.
    #[inline]
    fn row_of_table<'a>(
        cache: &'a Cache,
        routes: &RouteTable,
        path: &str,
        now: Age,
    ) -> &'a Arc<Row> {
        let Some(number) = routes.matched(path) else {
            return cache.other();
        };
        match cache.of_table(number) {
            Some(row) => row,
            None => Self::row_not_kept(cache, routes, number, now),
        }
    }

    /// The row of the table's template of this number, which is not kept yet.
    #[cold]
    fn row_not_kept<'a>(
        cache: &'a Cache,
        routes: &RouteTable,
        number: usize,
        now: Age,
    ) -> &'a Arc<Row> {
        let Some(template) = routes.numbered(number) else {
            return cache.other();
        };
        let row = cache.other().named(template, now);
        // Not if it is over budget: every request that is will be counted.
        if !row.is_other() {
            cache.keep(number, row);
        }
        row
    }

    /// The row of an HTTP request.
    #[inline(always)]
    fn row<'a>(
        &self,
        cache: &'a Cache,
        uri: &Uri,
        extensions: &Extensions,
        now: Age,
    ) -> &'a Arc<Row> {
        if let Some(row) = Self::row_matched(cache, extensions, now) {
            row
        } else if let Some(routes) = &self.config.routes {
            Self::row_of_table(cache, routes, uri.path(), now)
        } else {
            cache.other()
        }
    }

    /// What is known of every request of this method.
    #[inline(always)]
    fn key(&self, method: &Method) -> Key {
        Key::default()
            .with(Field::Method, self.config.methods.id(method))
            .with(Field::Scheme, self.config.scheme as u16)
    }
}

impl Observe for RequestMetrics {
    type Exchange = Recording;

    // Where the type of the request is known: there its head need not be asked by way of a table.
    #[inline(always)]
    fn start(&self, request: &mut RequestHead<'_>) -> Recording {
        let config = &*self.shared.config;
        // All of it before anybody else sees the head, who may keep it for all that the compiler knows: what is
        // behind it would have to be asked for once more.
        let (method, version) = (request.method(), request.version());
        let (uri, extensions) = (request.uri(), request.extensions());
        let (is_head, key) = (*method == Method::HEAD, self.shared.key(method));
        let key = key.with(Field::Version, version_id(version));
        let cache = self.shared.first().filter(|_| !config.looks_at_requests);
        let Some(cache) = cache else {
            // Not what it returns as it is: that would be written to memory, and moved from there, for all
            // other requests as well.
            return match self.start_otherwise(key, is_head, request) {
                Some(recording) => recording,
                None => Recording::none(),
            };
        };
        let now = Age::at(request.started());
        let row = self.shared.row(cache, uri, extensions, now);
        if row.is_skipped() {
            return Recording::none();
        }
        Recording::http(row, key, now, is_head)
    }
}

impl RequestMetrics {
    /// With another recorder than the first, or where more of a request is looked at than its route.
    #[inline(never)]
    fn start_otherwise(
        &self,
        key: Key,
        is_head: bool,
        request: &mut RequestHead<'_>,
    ) -> Option<Recording> {
        let config = &*self.shared.config;
        if config.skip.as_ref().is_some_and(|skip| skip(request)) {
            return None;
        }
        let cache = self.shared.cache();
        let mut key = key;
        let now = Age::at(request.started());
        config.request_labels(request, &mut key, cache.other(), now);
        let is_rpc = match config.protocol {
            Protocol::Http => false,
            Protocol::Grpc => true,
            Protocol::Auto => is_grpc(request.headers()),
        };
        if is_rpc {
            return self.start_rpc(request, &cache, key, now);
        }
        let row = self
            .shared
            .row(&cache, request.uri(), request.extensions(), now);
        if row.is_skipped() {
            return None;
        }
        let mut recording = Recording::http(row, key, now, is_head);
        recording.look_at_request(row.config(), request);
        Some(recording)
    }

    #[inline(never)]
    fn start_rpc(
        &self,
        request: &mut RequestHead<'_>,
        cache: &Cache,
        key: Key,
        now: Age,
    ) -> Option<Recording> {
        let config = &*self.shared.config;
        let name = rpc_name(request.uri().path());
        let other = cache.other();
        let known = name.and_then(|name| {
            let described = || {
                config
                    .rpc_methods
                    .contains_key(name)
                    .then(|| other.named(name, now))
            };
            other.get(name).or_else(described)
        });
        let row = known.unwrap_or(other);
        if row.is_skipped() || name.is_some_and(|name| config.is_skipped(name)) {
            return None;
        }
        // A method that is not known yet may turn out to be one: a client alone does not make it so.
        let unknown = name.filter(|_| known.is_none());
        let unknown = unknown.map(Box::from);
        Some(Recording::rpc(row, unknown, key, now, request))
    }
}

/// `package.Service/Method`, if the path is one.
fn rpc_name(path: &str) -> Option<&str> {
    let name = path.strip_prefix('/').filter(|name| name.len() <= 256)?;
    let (service, method) = name.split_once('/')?;
    (!service.is_empty() && !method.is_empty() && !method.contains('/')).then_some(name)
}

const GRPC: &[u8] = b"application/grpc";

pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.as_bytes().get(..GRPC.len()))
        .is_some_and(|start| start.eq_ignore_ascii_case(GRPC))
}
