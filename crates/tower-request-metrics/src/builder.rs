use std::{
    borrow::Cow,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use http::StatusCode;
use metrics::{Recorder, SharedString};
use tower_observe::{Classify, Clock, GrpcClassify, HttpClassify, Kind as MetricKind, RequestHead};

use crate::{
    BuildError, Dimension, GrpcNames, Instrument, Label, Names, RequestMetrics, RouteTable,
    cache::Age,
    config::{
        Config, DEFAULT_MAX_IDLE, From as Value, OwnLabel, SchemeId, Series, client_closed_request,
    },
    descriptor::{self, Methods as RpcMethods},
    error::Kind,
    key::{CUSTOM_LABELS, Key},
    method::Methods,
    preset,
    recorder::Target,
};

/// Which protocol a layer sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// Every request is HTTP.
    #[default]
    Http,
    /// Every request is a gRPC call.
    Grpc,
    /// Both on one port: a request whose content type begins with `application/grpc` is a gRPC call.
    Auto,
}

/// What the label of [`Dimension::Status`] says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StatusLabel {
    /// The code: `200`.
    #[default]
    Code,
    /// Its class: `2xx`.
    Class,
    /// What the classifier makes of it: `success`, `client_error`, `server_error`.
    Outcome,
}

/// What the label of [`Dimension::Status`] says of a request that did not end whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientGone {
    /// This status if the client went away, before or in the body; `500` for a service error, a panic,
    /// or an error in the body.
    Status(StatusCode),
    /// The status that was sent, none if none was: [`Dimension::ErrorType`] says what went wrong.
    ErrorType,
}

impl Default for ClientGone {
    /// `499`.
    fn default() -> Self {
        Self::Status(client_closed_request())
    }
}

/// Builds [`RequestMetrics`].
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct RequestMetricsBuilder {
    protocol: Protocol,
    names: Names,
    grpc_names: GrpcNames,
    prefix: Option<Cow<'static, str>>,
    renamed: Vec<(Instrument, Cow<'static, str>)>,
    switched: Vec<(Instrument, bool)>,
    dimensions: Vec<(Instrument, Vec<Dimension>)>,
    buckets: Vec<(Instrument, Vec<f64>)>,
    labels: Vec<Label>,
    methods: Option<Vec<Cow<'static, str>>>,
    status: StatusLabel,
    client_gone: Option<ClientGone>,
    classify: Option<Arc<dyn Classify + Send + Sync>>,
    scheme: SchemeId,
    routes: Option<RouteTable>,
    max_routes: usize,
    counts_bodies: bool,
    skip: Option<crate::config::Skip>,
    skipped_routes: Vec<Cow<'static, str>>,
    descriptors: Vec<Vec<u8>>,
    target: Target,
    max_idle: Option<Duration>,
}

impl Default for RequestMetricsBuilder {
    fn default() -> Self {
        Self {
            protocol: Protocol::Http,
            names: Names::Api,
            grpc_names: GrpcNames::GoGrpc,
            prefix: None,
            renamed: Vec::new(),
            switched: Vec::new(),
            dimensions: Vec::new(),
            buckets: Vec::new(),
            labels: Vec::new(),
            methods: None,
            status: StatusLabel::Code,
            client_gone: None,
            classify: None,
            scheme: SchemeId::Http,
            routes: None,
            max_routes: 512,
            counts_bodies: false,
            skip: None,
            skipped_routes: Vec::new(),
            descriptors: Vec::new(),
            target: Target::default(),
            max_idle: Some(DEFAULT_MAX_IDLE),
        }
    }
}

impl RequestMetricsBuilder {
    /// Which protocol the layer sees. Default: [`Protocol::Http`].
    pub const fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// How the series of HTTP requests are named and labelled. Default: [`Names::Api`].
    pub const fn names(mut self, names: Names) -> Self {
        self.names = names;
        self
    }

    /// How the series of gRPC calls are named and labelled. Default: [`GrpcNames::GoGrpc`].
    pub const fn grpc_names(mut self, names: GrpcNames) -> Self {
        self.grpc_names = names;
        self
    }

    /// Replaces the first word of each name: with `shop`, `api_requests_total` is `shop_requests_total`.
    /// Default: the preset's, `api`, `axum_http`, `http.server`, `grpc_server`, `rpc.server`.
    pub fn prefix(mut self, prefix: impl Into<Cow<'static, str>>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Gives one instrument a name of its own, prefix included.
    pub fn rename(mut self, instrument: Instrument, name: impl Into<Cow<'static, str>>) -> Self {
        self.renamed.push((instrument, name.into()));
        self
    }

    /// Records this instrument, where the preset has it.
    pub fn enable(mut self, instrument: Instrument) -> Self {
        self.switched.push((instrument, true));
        self
    }

    /// Does not record this instrument.
    pub fn disable(mut self, instrument: Instrument) -> Self {
        self.switched.push((instrument, false));
        self
    }

    /// Gives one instrument these labels instead of the preset's, in this order. They are named as the
    /// preset names them.
    pub fn labels(
        mut self,
        instrument: Instrument,
        dimensions: impl IntoIterator<Item = Dimension>,
    ) -> Self {
        self.dimensions
            .push((instrument, dimensions.into_iter().collect()));
        self
    }

    /// Gives one histogram these upper bounds of buckets, ascending, without `+Inf`.
    pub fn buckets(mut self, instrument: Instrument, buckets: impl Into<Vec<f64>>) -> Self {
        self.buckets.push((instrument, buckets.into()));
        self
    }

    /// Adds a label of your own, up to four.
    pub fn label(mut self, label: Label) -> Self {
        self.labels.push(label);
        self
    }

    /// The methods that are told apart; any other is `_OTHER`. Default: RFC 9110's, `PATCH` and `QUERY`.
    pub fn methods<M: Into<Cow<'static, str>>>(
        mut self,
        methods: impl IntoIterator<Item = M>,
    ) -> Self {
        self.methods = Some(methods.into_iter().map(Into::into).collect());
        self
    }

    /// What the status label says. Default: [`StatusLabel::Code`].
    pub const fn status(mut self, status: StatusLabel) -> Self {
        self.status = status;
        self
    }

    /// What the status label says of a request that did not end whole. Default: `499` and `500`, in
    /// OpenTelemetry's names the status that was sent.
    pub const fn client_gone(mut self, client_gone: ClientGone) -> Self {
        self.client_gone = Some(client_gone);
        self
    }

    /// What is an error. Default: [`HttpClassify`], for gRPC calls [`GrpcClassify`].
    pub fn classify(mut self, classify: impl Classify + Send + Sync + 'static) -> Self {
        self.classify = Some(Arc::new(classify));
        self
    }

    /// What [`Dimension::Scheme`] says: `http`, `https`, or else `_OTHER`. A server does not see it, and what
    /// a client says of it is not believed. Default: `http`.
    pub fn scheme(mut self, scheme: &str) -> Self {
        self.scheme = match scheme {
            "http" => SchemeId::Http,
            "https" => SchemeId::Https,
            _ => SchemeId::Other,
        };
        self
    }

    /// Matches paths with these templates where no router says which route a request took.
    pub fn routes(mut self, routes: RouteTable) -> Self {
        self.routes = Some(routes);
        self
    }

    /// Tells at most so many routes (and gRPC methods) apart; any other is `_OTHER`, and counted by
    /// [`Instrument::LabelOverflow`]. Default: 512.
    pub const fn max_routes(mut self, routes: usize) -> Self {
        self.max_routes = routes;
        self
    }

    /// Takes what a [`CountRequestBodyLayer`](crate::CountRequestBodyLayer) inside of this layer counts. It
    /// costs a request three allocations, and up to two for its extensions. Default: not.
    pub const fn count_request_bodies(mut self) -> Self {
        self.counts_bodies = true;
        self
    }

    /// Records nothing of requests of which `skip` says so.
    pub fn skip<F>(mut self, skip: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> bool + Send + Sync + 'static,
    {
        self.skip = Some(Arc::new(skip));
        self
    }

    /// Records nothing of requests to these routes, by template; a gRPC method is `package.Service/Method`.
    ///
    /// The route must be known when the request starts.
    pub fn skip_routes<R: Into<Cow<'static, str>>>(
        mut self,
        templates: impl IntoIterator<Item = R>,
    ) -> Self {
        self.skipped_routes
            .extend(templates.into_iter().map(Into::into));
        self
    }

    /// Takes services, methods and their types from an encoded `FileDescriptorSet`, such as prost and tonic
    /// generate. May be called for each.
    ///
    /// Only then has a series a `grpc_type`, and only these methods can be
    /// [initialised](RequestMetrics::init).
    pub fn descriptors(mut self, file_descriptor_set: &[u8]) -> Self {
        self.descriptors.push(file_descriptor_set.to_vec());
        self
    }

    /// Records in this recorder. Default: the facade's, whichever it is when a request starts.
    pub fn recorder(mut self, recorder: Arc<dyn Recorder + Send + Sync>) -> Self {
        self.target = Target::given(recorder);
        self
    }

    /// Registers a series again if it was not used for so long, as a recorder that forgets idle series
    /// would else not show what is recorded through its old handle. Should be well below the recorder's
    /// own time; `None` if the recorder forgets nothing. Default: 30 seconds.
    ///
    /// What remains: a series that the recorder forgets between this check and the record, or while a
    /// request holds a gauge up, misses that one record.
    pub const fn handle_max_idle(mut self, idle: Option<Duration>) -> Self {
        self.max_idle = idle;
        self
    }
}

impl RequestMetricsBuilder {
    /// Builds the observer. Nothing is registered before the first request, or
    /// [`init`](RequestMetrics::init).
    ///
    /// # Errors
    ///
    /// If something that was given cannot be used: see [`BuildError`].
    pub fn build(self) -> Result<RequestMetrics, BuildError> {
        self.config().map(RequestMetrics::with)
    }

    /// For builders that cannot fail, as a test of them shows. Recording nothing is better than a panic.
    pub(crate) fn config_or_nothing(self) -> Config {
        self.clone().config().unwrap_or_else(|_| {
            let nothing = [const { None }; Instrument::ALL.len()];
            self.assemble(nothing, Methods::standard(), RpcMethods::new())
        })
    }

    fn config(self) -> Result<Config, BuildError> {
        if self.labels.len() > CUSTOM_LABELS {
            return Err(Kind::TooManyLabels(CUSTOM_LABELS).into());
        }
        let mut rpc_methods = RpcMethods::new();
        for set in &self.descriptors {
            descriptor::read(set, &mut rpc_methods)
                .map_err(|why| Kind::Descriptors(why.to_owned()))?;
        }
        let methods = match &self.methods {
            Some(methods) => Methods::own(methods)?,
            None => Methods::standard(),
        };
        let mut series = [const { None }; Instrument::ALL.len()];
        for (place, instrument) in series.iter_mut().zip(Instrument::ALL) {
            *place = self.series(instrument)?;
        }
        check_names(&series)?;
        Ok(self.assemble(series, methods, rpc_methods))
    }

    fn assemble(
        self,
        series: [Option<Series>; Instrument::ALL.len()],
        methods: Methods,
        rpc_methods: RpcMethods,
    ) -> Config {
        let labels = self.labels.iter();
        let labels = labels.map(|label| OwnLabel {
            label: label.clone(),
            values: label.values(),
        });
        let client_gone = self.client_gone.unwrap_or_else(|| match self.names {
            Names::OpenTelemetry => ClientGone::ErrorType,
            _ => ClientGone::default(),
        });
        Config {
            protocol: self.protocol,
            series,
            methods,
            labels: labels.collect(),
            status: self.status,
            client_gone,
            classify: self
                .classify
                .clone()
                .unwrap_or_else(|| Arc::new(HttpClassify)),
            classify_rpc: self.classify.unwrap_or_else(|| Arc::new(GrpcClassify)),
            routes: self.routes,
            skip: self.skip,
            skipped_routes: self
                .skipped_routes
                .into_iter()
                .map(Cow::into_owned)
                .collect(),
            scheme: self.scheme,
            splits_streams: self.names.splits_streams(),
            omits_unmatched: self.names.omits_unmatched(),
            grpc_names: self.grpc_names,
            rpc_methods,
            counts_bodies: self.counts_bodies,
            max_routes: self.max_routes,
            max_idle: self.max_idle.map_or(Age::FOREVER, Age::of),
            origin: origin(),
            target: self.target,
        }
    }

    /// One instrument as it is to be recorded; `None` if it is not.
    fn series(&self, instrument: Instrument) -> Result<Option<Series>, BuildError> {
        let http = self.protocol != Protocol::Grpc;
        let rpc = self.protocol != Protocol::Http;
        let own = |rows: &'static [preset::Row], wanted: bool| {
            rows.iter()
                .find(|row| wanted && row.instrument == instrument)
        };
        let (row, preset_prefix) = match own(self.names.rows(), http) {
            Some(row) => (row, self.names.prefix()),
            None => match own(self.grpc_names.rows(), rpc) {
                Some(row) => (row, self.grpc_names.prefix()),
                None => return Ok(None),
            },
        };
        if !last(&self.switched, instrument).copied().unwrap_or(row.on) {
            return Ok(None);
        }
        let name = match last(&self.renamed, instrument) {
            Some(name) => name.to_string(),
            None => match (&self.prefix, row.name.strip_prefix(preset_prefix)) {
                (Some(prefix), Some(rest)) => format!("{prefix}{rest}"),
                _ => row.name.to_owned(),
            },
        };
        let mut labels: Vec<(Value, SharedString)> = match last(&self.dimensions, instrument) {
            None => row
                .labels
                .iter()
                .map(|(dimension, name)| named(*dimension, name))
                .collect(),
            Some(dimensions) => dimensions
                .iter()
                .map(|dimension| named(*dimension, self.label_name(*dimension)))
                .collect(),
        };
        for (index, label) in self.labels.iter().enumerate() {
            // A gauge is raised before there is a response.
            let known = instrument.kind() != MetricKind::Gauge || !label.is_of_response();
            if label.on.contains(&instrument) && known {
                let name = SharedString::from(label.name.clone().into_owned());
                labels.push((Value::Own(index), name));
            }
        }
        check_labels(&labels)?;
        let buckets = match last(&self.buckets, instrument) {
            Some(buckets) => check_buckets(instrument, buckets)?,
            None => row.buckets.to_vec(),
        };
        let fields = labels.iter().filter_map(|(value, _)| value.field());
        let mask = fields.fold(Key::default(), |mask, field| mask.with(field, field.max()));
        Ok(Some(Series {
            name: SharedString::from(name),
            labels,
            buckets,
            mask,
        }))
    }

    /// How the presets name a label that the instrument does not have by itself.
    fn label_name(&self, dimension: Dimension) -> &'static str {
        let rows = self.names.rows().iter().chain(self.grpc_names.rows());
        let mut labels = rows.flat_map(|row| row.labels);
        let found = labels.find(|(one, _)| *one == dimension);
        found.map_or_else(|| dimension.plain_name(), |(_, name)| name)
    }
}

/// Where ages are counted from: before any clock that a test may have made before the layer.
fn origin() -> Instant {
    let now = Clock::system().now();
    now.checked_sub(Duration::from_secs(3600)).unwrap_or(now)
}

fn named(dimension: Dimension, name: &'static str) -> (Value, SharedString) {
    (Value::Dimension(dimension), SharedString::const_str(name))
}

/// What was said last of an instrument.
fn last<T>(said: &[(Instrument, T)], instrument: Instrument) -> Option<&T> {
    said.iter()
        .rev()
        .find(|(one, _)| *one == instrument)
        .map(|(_, value)| value)
}

fn check_names(series: &[Option<Series>]) -> Result<(), BuildError> {
    let mut names: Vec<&str> = series
        .iter()
        .flatten()
        .map(|series| &*series.name)
        .collect();
    names.sort_unstable();
    let twice = names.windows(2).find_map(|pair| match pair {
        [one, two] => (one == two).then_some(*one),
        _ => None,
    });
    match names.iter().find(|name| name.is_empty()).copied().or(twice) {
        Some(name) => Err(Kind::Name(name.to_owned()).into()),
        None => Ok(()),
    }
}

fn check_labels(labels: &[(Value, SharedString)]) -> Result<(), BuildError> {
    for (index, (_, name)) in labels.iter().enumerate() {
        let earlier = labels.iter().take(index);
        if name.is_empty() || earlier.into_iter().any(|(_, other)| other == name) {
            return Err(Kind::Label(name.to_string()).into());
        }
    }
    Ok(())
}

fn check_buckets(instrument: Instrument, buckets: &[f64]) -> Result<Vec<f64>, BuildError> {
    let why = if buckets.is_empty() {
        "are empty"
    } else if !buckets.iter().all(|bound| bound.is_finite()) {
        "are not all finite"
    } else if !buckets.is_sorted_by(|lower, upper| lower < upper) {
        "do not ascend"
    } else {
        return Ok(buckets.to_vec());
    };
    Err(Kind::Buckets(instrument, why).into())
}

impl fmt::Debug for RequestMetricsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestMetricsBuilder")
            .field("protocol", &self.protocol)
            .field("names", &self.names)
            .field("grpc_names", &self.grpc_names)
            .finish_non_exhaustive()
    }
}
