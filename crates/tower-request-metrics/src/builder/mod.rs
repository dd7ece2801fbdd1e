mod build;

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use http::StatusCode;
use metrics::Recorder;
use tower_observe::{Classify, RequestHead};

use crate::{
    Dimension, GrpcNames, Instrument, Label, Names, RouteTable,
    config::{DEFAULT_MAX_IDLE, SchemeId, client_closed_request},
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

/// Builds [`RequestMetrics`](crate::RequestMetrics).
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

    /// What is an error. Default: [`HttpClassify`](tower_observe::HttpClassify), for gRPC calls
    /// [`GrpcClassify`](tower_observe::GrpcClassify).
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
    /// [initialised](crate::RequestMetrics::init_grpc).
    pub fn descriptors(mut self, file_descriptor_set: &[u8]) -> Self {
        self.descriptors.push(file_descriptor_set.to_vec());
        self
    }

    /// Records in this recorder. Default: the facade's, whichever it is when a request starts.
    pub fn recorder(mut self, recorder: Arc<dyn Recorder + Send + Sync>) -> Self {
        self.target = Target::given(recorder);
        self
    }

    /// Registers a series again if it was not used for so long, or for up to a third less (that it is used is
    /// noted no more often than that), as a recorder that forgets idle series
    /// would else not show what is recorded through its old handle. Should be well below the recorder's
    /// own time; `None` if the recorder forgets nothing, or, as tower-metrics-exporter's, brings a series
    /// back whose handle is used again. Default: 30 seconds. What was registered again is recorded through
    /// without an allocation, but with some atomic operations more.
    ///
    /// What remains: a series that the recorder forgets between this check and the record, or while a
    /// request holds a gauge up, misses that one record.
    pub const fn handle_max_idle(mut self, idle: Option<Duration>) -> Self {
        self.max_idle = idle;
        self
    }
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
