/// Something that a line may say under a key that the [`Schema`](crate::Schema) chooses.
///
/// What the program records under names of its own is no fact: see
/// [`Schema::fields`](crate::Schema::fields).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fact {
    /// When: RFC 3339, UTC, microseconds. A string.
    ///
    /// Of a request's line: when the request ended. In the ten milliseconds after the clock was set, or the
    /// machine slept, it may be off by that.
    Timestamp,
    /// The level by name: [`LevelNames`](crate::LevelNames). A string.
    Level,
    /// The level as OpenTelemetry's `SeverityNumber`: `TRACE` 1, `DEBUG` 5, `INFO` 9, `WARN` 13, `ERROR` 17.
    Severity,
    /// What happened. A string, maybe empty.
    Message,
    /// The path of the module that logged, else the target. A string.
    Module,
    /// The field `function` of an event, else the name of the nearest span of the same module. A string.
    Function,
    /// The file that logged, where it is known. A string.
    File,
    /// The line in that file, where it is known. A number.
    Line,
    /// The field `scan_id` of the event or of a span that it is in. A string.
    ScanId,
    /// As [`ScanId`](Self::ScanId), of `request_id`.
    RequestId,
    /// As [`ScanId`](Self::ScanId), of `trace_id`: 32 hexadecimal digits, where this crate sets it.
    TraceId,
    /// As [`ScanId`](Self::ScanId), of `span_id`: 16 hexadecimal digits, where this crate sets it.
    SpanId,
    /// As [`ScanId`](Self::ScanId), of `trace_flags`: 2 hexadecimal digits, where this crate sets it.
    TraceFlags,
    /// The field `error`. A string.
    Error,
    /// What led to the field `error`, where that was recorded as an error with sources: an array of
    /// strings, or a string, see [`Schema::sources_as_text`](crate::Schema::sources_as_text).
    ErrorSources,
    /// `true` on a line of which something was cut or left out. Always the last key, and in no object.
    Truncated,

    /// Of a request's line: `"http_request"`, or what [`Schema::event`](crate::Schema::event) chose.
    Event,
    /// Of a request's line: the method, if it is one of RFC 9110's, `PATCH` or `QUERY`, else `_OTHER`. A string.
    Method,
    /// Of a request's line: the first 32 characters of a method that is `_OTHER`. A string.
    MethodOriginal,
    /// Of a request's line: the route's template, where it is known. A string.
    Route,
    /// Of a request's line: the path, as [`PathPolicy`](crate::PathPolicy) has it. A string.
    Path,
    /// Of a request's line: the query, as [`QueryPolicy`](crate::QueryPolicy) has it. A string.
    Query,
    /// Of a request's line: `http` or `https`, where the request says it. A string.
    Scheme,
    /// Of a request's line: the [effective status](tower_observe::End::effective_status), as in the
    /// metrics. A number.
    Status,
    /// Of a request's line: [`Ending::as_str`](tower_observe::Ending::as_str). A string.
    Outcome,
    /// Of a request's line: `failure` if it was the server's, `unknown` if the client went away, else
    /// `success`. A string, the Elastic Common Schema's `event.outcome`.
    EventOutcome,
    /// Of a request's line that failed: the outcome, if it is neither `complete` nor `upgraded`, else the
    /// status, if it is 500 or above. A string, OpenTelemetry's `error.type`.
    ErrorType,
    /// Of a gRPC request's line: the code. A number.
    GrpcStatus,
    /// Of a request's line: from its start to its end, in the unit that
    /// [`Schema::durations`](crate::Schema::durations) chose.
    Duration,
    /// Of a request's line: from its start to the response's head, if there was one.
    TimeToHead,
    /// Of a request's line: bytes of the request's body, as its `Content-Length` declares them. A number.
    BytesIn,
    /// Of a request's line: bytes of the response's body. A number.
    BytesOut,
    /// Of a request's line: `HTTP/1.1`, `HTTP/2.0`, … A string.
    Protocol,
    /// Of a request's line: `1.1`, `2`, … A string.
    ProtocolVersion,
    /// Of a request's line: the client's address, where it is known. A string.
    ClientIp,
    /// Of a request's line: the first 256 characters of `User-Agent`. A string.
    UserAgent,
    /// Of a request's line: those of the request's headers that were asked for. An object of strings.
    RequestHeaders,
    /// Of a request's line: those of the response's headers that were asked for. An object of strings.
    ResponseHeaders,
    /// Of a request's line that [`Sample`](crate::Sample) let through by chance: how likely that was. A number.
    SampleRate,
}

impl Fact {
    /// Whether only the line of a request says it.
    pub(crate) const fn is_of_request(self) -> bool {
        self as usize >= Self::Event as usize
    }

    /// The place that fields of this name fill, whoever records them.
    pub(crate) fn slot(self) -> Option<Slot> {
        Slot::ALL.into_iter().find(|slot| slot.fact() == self)
    }
}

/// A fact that the program's own fields say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Message,
    Module,
    Function,
    ScanId,
    RequestId,
    TraceId,
    SpanId,
    TraceFlags,
    Error,
    /// Of the error beside it, and of no other.
    ErrorSources,
    /// Of a record of the `log` crate.
    File,
    /// As `File`.
    Line,
}

impl Slot {
    pub(crate) const COUNT: usize = 12;

    pub(crate) const ALL: [Self; Self::COUNT] = [
        Self::Message,
        Self::Module,
        Self::Function,
        Self::ScanId,
        Self::RequestId,
        Self::TraceId,
        Self::SpanId,
        Self::TraceFlags,
        Self::Error,
        Self::ErrorSources,
        Self::File,
        Self::Line,
    ];

    pub(crate) const fn fact(self) -> Fact {
        match self {
            Self::Message => Fact::Message,
            Self::Module => Fact::Module,
            Self::Function => Fact::Function,
            Self::ScanId => Fact::ScanId,
            Self::RequestId => Fact::RequestId,
            Self::TraceId => Fact::TraceId,
            Self::SpanId => Fact::SpanId,
            Self::TraceFlags => Fact::TraceFlags,
            Self::Error => Fact::Error,
            Self::ErrorSources => Fact::ErrorSources,
            Self::File => Fact::File,
            Self::Line => Fact::Line,
        }
    }

    /// The place for a field of this name, of an event or of a span.
    pub(crate) fn of_name(name: &str, of_event: bool) -> Option<Self> {
        match name {
            "message" if of_event => Some(Self::Message),
            "function" if of_event => Some(Self::Function),
            "scan_id" => Some(Self::ScanId),
            "request_id" => Some(Self::RequestId),
            "trace_id" => Some(Self::TraceId),
            "span_id" => Some(Self::SpanId),
            "trace_flags" => Some(Self::TraceFlags),
            "error" => Some(Self::Error),
            _ => None,
        }
    }
}
