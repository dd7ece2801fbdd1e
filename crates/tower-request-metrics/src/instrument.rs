use std::fmt;

use tower_observe::{Kind, Unit};

/// What is recorded. Each can be switched, renamed, and given labels and buckets of its own with
/// [`RequestMetricsBuilder`](crate::RequestMetricsBuilder).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Instrument {
    /// Counter: ended requests.
    Requests,
    /// Histogram, seconds: from the call of the service to the end of the response's body.
    Duration,
    /// Histogram, seconds: from the call of the service to the response's head.
    TimeToHeaders,
    /// Gauge: requests that have started and not yet ended.
    Active,
    /// Histogram, bytes: request bodies, as declared by `Content-Length`, or as counted by
    /// [`CountRequestBodyLayer`](crate::CountRequestBodyLayer).
    RequestSize,
    /// Histogram, bytes: response bodies, as sent.
    ResponseSize,
    /// Histogram, seconds: how long streams lasted.
    StreamDuration,
    /// Gauge: streams that are being sent.
    ActiveStreams,
    /// Counter: bytes of streams, as they go.
    StreamBytes,
    /// Counter: connections that switched protocols.
    Upgrades,
    /// Counter: label values over budget.
    LabelOverflow,
    /// Counter: gRPC calls that have started.
    RpcStarted,
    /// Counter: gRPC calls that have ended.
    RpcHandled,
    /// Counter: gRPC messages received; needs [`CountRequestBodyLayer`](crate::CountRequestBodyLayer).
    RpcReceived,
    /// Counter: gRPC messages sent.
    RpcSent,
    /// Histogram, seconds: from the call of the service to the end of a gRPC call.
    RpcDuration,
    /// Gauge: gRPC calls that have started and not yet ended.
    RpcInFlight,
}

impl Instrument {
    /// Every instrument.
    pub const ALL: [Self; 17] = [
        Self::Requests,
        Self::Duration,
        Self::TimeToHeaders,
        Self::Active,
        Self::RequestSize,
        Self::ResponseSize,
        Self::StreamDuration,
        Self::ActiveStreams,
        Self::StreamBytes,
        Self::Upgrades,
        Self::LabelOverflow,
        Self::RpcStarted,
        Self::RpcHandled,
        Self::RpcReceived,
        Self::RpcSent,
        Self::RpcDuration,
        Self::RpcInFlight,
    ];

    /// Counter, gauge or histogram.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Requests
            | Self::StreamBytes
            | Self::Upgrades
            | Self::LabelOverflow
            | Self::RpcStarted
            | Self::RpcHandled
            | Self::RpcReceived
            | Self::RpcSent => Kind::Counter,
            Self::Active | Self::ActiveStreams | Self::RpcInFlight => Kind::Gauge,
            Self::Duration
            | Self::TimeToHeaders
            | Self::RequestSize
            | Self::ResponseSize
            | Self::StreamDuration
            | Self::RpcDuration => Kind::Histogram,
        }
    }

    /// The unit of the values, where they have one.
    pub const fn unit(self) -> Option<Unit> {
        match self {
            Self::Duration | Self::TimeToHeaders | Self::StreamDuration | Self::RpcDuration => {
                Some(Unit::Seconds)
            }
            Self::RequestSize | Self::ResponseSize | Self::StreamBytes => Some(Unit::Bytes),
            _ => None,
        }
    }

    /// One sentence for people.
    pub const fn help(self) -> &'static str {
        match self {
            Self::Requests => "Requests that have ended, however they ended.",
            Self::Duration => "Time from the start of a request to the end of the response's body.",
            Self::TimeToHeaders => "Time from the start of a request to the response's head.",
            Self::Active => "Requests that have started and not yet ended.",
            Self::RequestSize => "Bytes of request bodies.",
            Self::ResponseSize => "Bytes of response bodies, as sent.",
            Self::StreamDuration => "Time from the start of a streaming request to its end.",
            Self::ActiveStreams => "Streams that are being sent.",
            Self::StreamBytes => "Bytes of streams, as they go.",
            Self::Upgrades => "Connections that switched protocols.",
            Self::LabelOverflow => "Label values over budget, recorded as _OTHER.",
            Self::RpcStarted => "RPCs started on the server.",
            Self::RpcHandled => "RPCs completed on the server, regardless of success or failure.",
            Self::RpcReceived => "RPC stream messages received on the server.",
            Self::RpcSent => "RPC stream messages sent by the server.",
            Self::RpcDuration => "Time that RPCs took until they were completed by the server.",
            Self::RpcInFlight => "RPCs that have started on the server and not yet completed.",
        }
    }

    /// When it is recorded, and so what with.
    pub(crate) const fn moment(self) -> Moment {
        self.place().0
    }

    /// The place among the instruments of its moment.
    pub(crate) const fn cell(self) -> usize {
        self.place().1
    }

    const fn place(self) -> (Moment, usize) {
        match self {
            Self::Active => (Moment::Start, 0),
            Self::RpcStarted => (Moment::Start, 1),
            Self::RpcInFlight => (Moment::Start, 2),
            Self::TimeToHeaders => (Moment::Head, 0),
            Self::ActiveStreams => (Moment::Head, 1),
            Self::StreamBytes => (Moment::Course, 0),
            Self::RpcReceived => (Moment::Course, 1),
            Self::RpcSent => (Moment::Course, 2),
            Self::LabelOverflow => (Moment::Course, 3),
            Self::Requests => (Moment::End, 0),
            Self::Duration => (Moment::End, 1),
            Self::ResponseSize => (Moment::End, 2),
            Self::RequestSize => (Moment::End, 3),
            Self::StreamDuration => (Moment::RareEnd, 0),
            Self::Upgrades => (Moment::RareEnd, 1),
            Self::RpcHandled => (Moment::RpcEnd, 0),
            Self::RpcDuration => (Moment::RpcEnd, 1),
        }
    }

    /// The place in a table with a row for each instrument.
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

/// What is recorded together, from the same labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Start,
    Head,
    Course,
    End,
    /// That of streams and upgrades.
    RareEnd,
    RpcEnd,
}

impl Moment {
    pub(crate) const COUNT: usize = Self::RpcEnd as usize + 1;

    /// How many instruments it has at most.
    pub(crate) const CELLS: usize = 4;
}

impl fmt::Display for Instrument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What a label can say of a request.
///
/// Which of them an instrument has is the preset's choice, and
/// [`RequestMetricsBuilder::labels`](crate::RequestMetricsBuilder::labels)'s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dimension {
    /// The method, or `_OTHER`.
    Method,
    /// The route's template, or `_OTHER`; left out where a preset leaves unmatched routes out.
    Route,
    /// The status: see [`StatusLabel`](crate::StatusLabel).
    Status,
    /// What went wrong, left out if nothing did: `client_gone_before_head`, `client_gone_in_body`,
    /// `service_error`, `body_error`, `panic`, or a status that is a server error.
    ErrorType,
    /// `http`, `https` or `_OTHER`, as [`scheme`](crate::RequestMetricsBuilder::scheme) says.
    Scheme,
    /// `0.9`, `1.0`, `1.1`, `2`, `3`.
    ProtocolVersion,
    /// `sent` or `received`, of stream bytes.
    Direction,
    /// The label that was over budget, of label overflow.
    Label,
    /// `unary`, `client_stream`, `server_stream`, `bidi_stream`; left out where it is not known.
    RpcType,
    /// The gRPC service with its package, or `_OTHER`.
    RpcService,
    /// The gRPC method, or `_OTHER`. In OpenTelemetry's names, service and method.
    RpcMethod,
    /// The gRPC status code.
    RpcCode,
    /// Always `grpc`.
    RpcSystem,
}

impl Dimension {
    /// Its name where no preset gives one.
    pub(crate) const fn plain_name(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Route => "endpoint",
            Self::Status => "status",
            Self::ErrorType => "error_type",
            Self::Scheme => "scheme",
            Self::ProtocolVersion => "protocol_version",
            Self::Direction => "direction",
            Self::Label => "label",
            Self::RpcType => "grpc_type",
            Self::RpcService => "grpc_service",
            Self::RpcMethod => "grpc_method",
            Self::RpcCode => "grpc_code",
            Self::RpcSystem => "rpc_system",
        }
    }
}
