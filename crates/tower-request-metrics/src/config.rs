//! What was built: which series there are, and what their labels say.

use std::{borrow::Cow, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, StatusCode, Version};
use metrics::{Key as MetricsKey, KeyName, Level, Metadata, Recorder, SharedString};
use tower_observe::{
    Class, Classify, Clock, End, Ending, Kind, RequestHead, ResponseHead, Spec, Unit, grpc::Code,
};

use crate::{
    age::Age,
    builder::{ClientGone, Protocol, StatusLabel},
    descriptor::Methods as RpcMethods,
    instrument::{Dimension, Instrument, Moment},
    key::{Field, Key},
    label::{Label, Source, Values},
    method::Methods,
    names::OTHER,
    preset::GrpcNames,
    recorder::Target,
    route::RouteTable,
    row::Row,
    slot::Handle,
};

pub(crate) type Skip = Arc<dyn Fn(&RequestHead<'_>) -> bool + Send + Sync>;

/// Everything that does not change after the build.
#[expect(clippy::struct_excessive_bools, reason = "switches, each on its own")]
pub(crate) struct Config {
    pub(crate) protocol: Protocol,
    pub(crate) series: [Option<Series>; Instrument::ALL.len()],
    /// The fields of a key that the labels of a moment's instruments need.
    pub(crate) masks: [Key; Moment::COUNT],
    pub(crate) methods: Methods,
    pub(crate) labels: Vec<OwnLabel>,
    pub(crate) status: StatusLabel,
    pub(crate) client_gone: ClientGone,
    pub(crate) classify: Arc<dyn Classify + Send + Sync>,
    pub(crate) classify_rpc: Arc<dyn Classify + Send + Sync>,
    pub(crate) routes: Option<RouteTable>,
    pub(crate) skip: Option<Skip>,
    pub(crate) skipped_routes: Vec<String>,
    pub(crate) scheme: SchemeId,
    pub(crate) splits_streams: bool,
    pub(crate) omits_unmatched: bool,
    /// Whether any label tells what went wrong, so that requests have to be classified.
    pub(crate) classifies: bool,
    /// Whether anything but the route is looked for in a request.
    pub(crate) looks_at_requests: bool,
    /// Whether anything but a stream is looked for in the head of a response.
    pub(crate) reads_heads: bool,
    pub(crate) grpc_names: GrpcNames,
    pub(crate) rpc_methods: RpcMethods,
    /// Whether a counter is left for a layer inside that counts request bodies.
    pub(crate) counts_bodies: bool,
    pub(crate) max_routes: usize,
    pub(crate) max_idle: Age,
    /// How old the note of a handle's last use may become.
    pub(crate) touch_after: Age,
    pub(crate) target: Target,
}

/// One instrument, as this layer records it.
pub(crate) struct Series {
    pub(crate) name: SharedString,
    pub(crate) labels: Vec<(From, SharedString)>,
    pub(crate) buckets: Vec<f64>,
    /// The fields of a key that the labels need.
    pub(crate) mask: Key,
}

/// What a label's value is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    Dimension(Dimension),
    /// The label of the user's own with this number.
    Own(usize),
}

pub(crate) struct OwnLabel {
    pub(crate) label: Label,
    pub(crate) values: Values,
}

impl OwnLabel {
    fn header(&self, headers: &HeaderMap, name: &HeaderName) -> u16 {
        headers.get(name).map_or(0, |value| {
            value
                .to_str()
                .map_or(Values::OVER, |text| self.values.id(text))
        })
    }

    fn value(&self, value: Option<Cow<'static, str>>) -> u16 {
        value.map_or(0, |text| self.values.id(&text))
    }
}

impl From {
    /// The field that tells its values apart, unless the row does.
    pub(crate) const fn field(self) -> Option<Field> {
        Some(match self {
            Self::Own(index) => Field::Custom(index),
            Self::Dimension(dimension) => match dimension {
                Dimension::Method => Field::Method,
                Dimension::Status => Field::Status,
                Dimension::ErrorType => Field::ErrorType,
                Dimension::Scheme => Field::Scheme,
                Dimension::ProtocolVersion => Field::Version,
                Dimension::Direction | Dimension::Label => Field::Detail,
                Dimension::RpcCode => Field::RpcCode,
                Dimension::Route
                | Dimension::RpcType
                | Dimension::RpcService
                | Dimension::RpcMethod
                | Dimension::RpcSystem => return None,
            },
        })
    }
}

/// Values of [`Field::Detail`].
pub(crate) const SENT: u16 = 1;
pub(crate) const RECEIVED: u16 = 2;
pub(crate) const ENDPOINT_OVERFLOW: u16 = 3;
/// And this plus the number of a label of the user's own.
pub(crate) const OWN_OVERFLOW: u16 = 16;

/// Values of [`Field::ErrorType`] above those of [`Ending`]: a status, or a gRPC code and this.
const RPC_ERROR: u16 = 1000;

/// A value of [`Field::Scheme`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SchemeId {
    Http = 1,
    Https = 2,
    Other = 3,
}

const METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

impl Config {
    pub(crate) fn series(&self, instrument: Instrument) -> Option<&Series> {
        self.series.get(instrument.index())?.as_ref()
    }

    pub(crate) fn has(&self, instrument: Instrument) -> bool {
        self.series(instrument).is_some()
    }

    pub(crate) fn is_skipped(&self, name: &str) -> bool {
        self.skipped_routes.iter().any(|skipped| skipped == name)
    }

    /// Reads the labels of one's own from the request.
    #[inline]
    pub(crate) fn request_labels(
        &self,
        request: &RequestHead<'_>,
        key: &mut Key,
        other: &Row,
        now: Age,
    ) {
        for (index, own) in self.labels.iter().enumerate() {
            let id = match &own.label.source {
                Source::RequestHeader(name) => own.header(request.headers(), name),
                Source::Request(value) => own.value(value(request)),
                _ => continue,
            };
            set_own(index, own, id, key, other, now);
        }
    }

    /// Reads the labels of one's own from the response.
    #[inline]
    pub(crate) fn response_labels(
        &self,
        response: &ResponseHead<'_>,
        key: &mut Key,
        other: &Row,
        now: Age,
    ) {
        for (index, own) in self.labels.iter().enumerate() {
            let id = match &own.label.source {
                Source::ResponseHeader(name) => own.header(response.headers(), name),
                Source::Response(value) => own.value(value(response)),
                _ => continue,
            };
            set_own(index, own, id, key, other, now);
        }
    }

    /// Registers a series of `row`, with the recorder of the moment.
    #[cold]
    pub(crate) fn register(
        &self,
        instrument: Instrument,
        series: &Series,
        row: &Row,
        key: Key,
    ) -> Handle {
        let labels = series.labels.iter().filter_map(|(from, name)| {
            Some(metrics::Label::new(
                name.clone(),
                self.text(*from, row, key)?,
            ))
        });
        let key = MetricsKey::from_parts(series.name.clone(), labels.collect::<Vec<_>>());
        self.target.with(|recorder| match instrument.kind() {
            Kind::Counter => Handle::Counter(recorder.register_counter(&key, &METADATA)),
            Kind::Histogram => Handle::Histogram(recorder.register_histogram(&key, &METADATA)),
            _ => Handle::Gauge(recorder.register_gauge(&key, &METADATA)),
        })
    }

    pub(crate) fn describe(&self, recorder: &dyn Recorder) {
        for instrument in Instrument::ALL {
            let Some(series) = self.series(instrument) else {
                continue;
            };
            let name = KeyName::from(series.name.clone());
            let help = SharedString::const_str(instrument.help());
            let unit = instrument.unit().map(|unit| match unit {
                Unit::Bytes => metrics::Unit::Bytes,
                _ => metrics::Unit::Seconds,
            });
            match instrument.kind() {
                Kind::Counter => recorder.describe_counter(name, unit, help),
                Kind::Histogram => recorder.describe_histogram(name, unit, help),
                _ => recorder.describe_gauge(name, unit, help),
            }
        }
    }

    pub(crate) fn specs(&self) -> Vec<Spec> {
        let specs = Instrument::ALL.into_iter().filter_map(|instrument| {
            let series = self.series(instrument)?;
            let name = series.name.to_string();
            let help = instrument.help();
            let mut spec = match instrument.kind() {
                Kind::Counter => Spec::counter(name, help),
                Kind::Histogram => Spec::histogram(name, Unit::Seconds, help),
                _ => Spec::gauge(name, help),
            };
            spec.unit = instrument.unit();
            let labels = series.labels.iter().map(|(_, name)| name.to_string());
            let spec = spec.labels(labels).buckets(series.buckets.clone());
            Some(spec.max_series(self.max_series(series)))
        });
        specs.collect()
    }

    /// How many series an instrument can have: what its labels allow, the most usual statuses and errors
    /// taken for all. An exporter need not fear more, as no client chooses a value.
    fn max_series(&self, series: &Series) -> usize {
        const STATUSES: usize = 16;
        const ERRORS: usize = 8;
        const FEW: usize = 4;
        let values = series.labels.iter().map(|(from, _)| match from {
            From::Own(index) => self
                .labels
                .get(*index)
                .map_or(1, |own| own.values.most() + 1),
            From::Dimension(dimension) => match dimension {
                Dimension::Route | Dimension::RpcMethod => self.max_routes + 1,
                Dimension::Method => self.methods.count() + 1,
                Dimension::Status | Dimension::RpcCode => STATUSES,
                Dimension::ErrorType => ERRORS,
                // The method's own.
                Dimension::RpcService | Dimension::RpcType | Dimension::RpcSystem => 1,
                _ => FEW,
            },
        });
        values.fold(1, usize::saturating_mul)
    }

    /// What a label says; `None` leaves the label out.
    fn text(&self, from: From, row: &Row, key: Key) -> Option<SharedString> {
        let dimension = match from {
            From::Own(index) => {
                let id = key.get(Field::Custom(index));
                return (id != 0).then(|| self.labels.get(index).map(|own| own.values.text(id)))?;
            }
            From::Dimension(dimension) => dimension,
        };
        let fixed = |text| Some(SharedString::const_str(text));
        let value = |field| Some(key.get(field)).filter(|value| *value != 0);
        match dimension {
            Dimension::Method => value(Field::Method).map(|id| self.methods.text(id)),
            Dimension::Route if self.omits_unmatched && row.is_other() => None,
            Dimension::Route => Some(row.name().clone()),
            Dimension::Status => value(Field::Status).map(|id| self.status_text(id)),
            Dimension::ErrorType => value(Field::ErrorType).map(|id| self.error_text(id)),
            Dimension::Scheme => match key.get(Field::Scheme) {
                1 => fixed("http"),
                2 => fixed("https"),
                _ => fixed(OTHER),
            },
            Dimension::ProtocolVersion => match value(Field::Version)? {
                1 => fixed("0.9"),
                2 => fixed("1.0"),
                3 => fixed("1.1"),
                4 => fixed("2"),
                _ => fixed("3"),
            },
            Dimension::Direction => fixed(if key.get(Field::Detail) == SENT {
                "sent"
            } else {
                "received"
            }),
            Dimension::Label => match key.get(Field::Detail) {
                ENDPOINT_OVERFLOW => self.route_label(),
                own => {
                    let index = usize::from(own.checked_sub(OWN_OVERFLOW)?);
                    self.labels
                        .get(index)
                        .map(|own| SharedString::from(own.label.name.clone().into_owned()))
                }
            },
            Dimension::RpcSystem => fixed("grpc"),
            Dimension::RpcType => row.rpc_type().map(SharedString::const_str),
            Dimension::RpcService => Some(SharedString::from(row.rpc_names().0.to_owned())),
            Dimension::RpcMethod if self.grpc_names.joins_method() => Some(row.name().clone()),
            Dimension::RpcMethod => Some(SharedString::from(row.rpc_names().1.to_owned())),
            Dimension::RpcCode => {
                let code = Code::ALL.get(usize::from(value(Field::RpcCode)?.checked_sub(1)?))?;
                fixed(self.code_text(*code))
            }
        }
    }

    /// What the overflow of routes is called: the label that routes have in this layer's series.
    fn route_label(&self) -> Option<SharedString> {
        let labels = self
            .series
            .iter()
            .flatten()
            .flat_map(|series| &series.labels);
        let route = |from: From| {
            matches!(
                from,
                From::Dimension(Dimension::Route | Dimension::RpcMethod)
            )
        };
        labels
            .into_iter()
            .find(|(from, _)| route(*from))
            .map(|(_, name)| name.clone())
    }

    const fn code_text(&self, code: Code) -> &'static str {
        if self.grpc_names.go_codes() {
            code.as_go_str()
        } else {
            code.as_str()
        }
    }

    /// The value of [`Field::Status`] at the end of an exchange.
    pub(crate) fn status_id(&self, end: &End<'_>, class: Class) -> u16 {
        let status = match self.client_gone {
            ClientGone::Status(gone) if end.ending().is_client_gone() => Some(gone),
            ClientGone::Status(_) => Some(end.effective_status()),
            // Only a status that was sent, whatever came of the body.
            ClientGone::ErrorType => end.status(),
        };
        match self.status {
            StatusLabel::Code => status.map_or(0, |status| status.as_u16()),
            StatusLabel::Class => status.map_or(0, |status| status.as_u16() / 100),
            StatusLabel::Outcome => outcome_id(class),
        }
    }

    /// The same of a whole response with this status, where no requests are classified.
    #[inline]
    pub(crate) fn status_id_of_whole(&self, status: StatusCode) -> u16 {
        match self.status {
            StatusLabel::Class => status.as_u16() / 100,
            _ => status.as_u16(),
        }
    }

    /// The value of [`Field::Status`] of a whole response with this status.
    pub(crate) fn status_id_of(&self, status: StatusCode) -> u16 {
        let at = Clock::system().now();
        let end = End::new(Ending::Complete, at, at).with_status(Some(status));
        self.status_id(&end, self.classify.end(&end))
    }

    fn status_text(&self, id: u16) -> SharedString {
        match self.status {
            StatusLabel::Code => SharedString::from_owned(id.to_string()),
            StatusLabel::Class => SharedString::from_owned(format!("{id}xx")),
            StatusLabel::Outcome => SharedString::const_str(match id {
                1 => Class::Success.as_str(),
                2 => Class::ClientError.as_str(),
                _ => Class::ServerError.as_str(),
            }),
        }
    }

    /// The value of [`Field::ErrorType`]: `0` if nothing went wrong.
    pub(crate) fn error_id(end: &End<'_>, class: Class, code: Option<Code>) -> u16 {
        match (end.ending(), end.status(), code) {
            // Beside a code that is no error of the server's, not even if its client broke it off.
            (_, _, Some(_)) | (Ending::Complete | Ending::Upgraded, _, _)
                if class != Class::ServerError =>
            {
                0
            }
            (Ending::Complete | Ending::Upgraded, _, Some(code)) => RPC_ERROR + code as u16,
            (Ending::Complete | Ending::Upgraded, Some(status), None) => status.as_u16(),
            (ending, _, _) => {
                let index = Ending::ALL
                    .iter()
                    .position(|one| *one == ending)
                    .unwrap_or_default();
                u16::try_from(index + 1).unwrap_or_default()
            }
        }
    }

    fn error_text(&self, id: u16) -> SharedString {
        if id >= RPC_ERROR {
            let code = Code::ALL.get(usize::from(id - RPC_ERROR)).copied();
            return SharedString::const_str(self.code_text(code.unwrap_or(Code::Unknown)));
        }
        match Ending::ALL.get(usize::from(id).wrapping_sub(1)) {
            Some(ending) => SharedString::const_str(ending.as_str()),
            None => SharedString::from_owned(id.to_string()),
        }
    }
}

fn set_own(index: usize, own: &OwnLabel, id: u16, key: &mut Key, row: &Row, now: Age) {
    key.set(Field::Custom(index), id);
    if id == Values::OVER && own.values.counts_overflow() {
        let label = OWN_OVERFLOW + u16::try_from(index).unwrap_or_default();
        let label = Key::default().with(Field::Detail, label);
        row.add(Instrument::LabelOverflow, label, now, 1);
    }
}

const fn outcome_id(class: Class) -> u16 {
    match class {
        Class::Success => 1,
        Class::ClientError => 2,
        _ => 3,
    }
}

/// The value of [`Field::Version`].
pub(crate) fn version_id(version: Version) -> u16 {
    match version {
        Version::HTTP_09 => 1,
        Version::HTTP_10 => 2,
        Version::HTTP_11 => 3,
        Version::HTTP_2 => 4,
        Version::HTTP_3 => 5,
        _ => 0,
    }
}

/// `499`, as nginx names a request whose client went away.
pub(crate) fn client_closed_request() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST)
}

pub(crate) const DEFAULT_MAX_IDLE: Duration = Duration::from_secs(30);
