use std::borrow::Cow;

use super::{Durations, Fact, Fields, Schema, When};

impl Schema {
    /// The default: flat, in snake case, `timestamp`, `level`, `message`, `module`, `function` and
    /// `scan_id` first. The [crate's documentation](crate#keys) lists the keys.
    pub fn seed() -> Self {
        let mut schema = Self::empty();
        for (fact, key) in [
            (Fact::Timestamp, "timestamp"),
            (Fact::Level, "level"),
            (Fact::Message, "message"),
            (Fact::Module, "module"),
            (Fact::Function, "function"),
            (Fact::ScanId, "scan_id"),
            (Fact::RequestId, "request_id"),
            (Fact::TraceId, "trace_id"),
            (Fact::SpanId, "span_id"),
            (Fact::Event, "event"),
            (Fact::Method, "method"),
            (Fact::MethodOriginal, "method_original"),
            (Fact::Route, "route"),
            (Fact::Path, "path"),
            (Fact::Query, "query"),
            (Fact::Status, "status"),
            (Fact::Outcome, "outcome"),
            (Fact::GrpcStatus, "grpc_status"),
            (Fact::Duration, "duration_ms"),
            (Fact::TimeToHead, "ttfb_ms"),
            (Fact::BytesIn, "bytes_in"),
            (Fact::BytesOut, "bytes_out"),
            (Fact::Protocol, "protocol"),
            (Fact::ClientIp, "client_ip"),
            (Fact::UserAgent, "user_agent"),
            (Fact::RequestHeaders, "request_headers"),
            (Fact::ResponseHeaders, "response_headers"),
            (Fact::SampleRate, "sample_rate"),
            (Fact::Error, "error"),
            (Fact::ErrorSources, "error_sources"),
        ] {
            schema = schema.key(fact, key);
        }
        schema
            .fields(Fields::Flat)
            .key(Fact::Truncated, "truncated")
    }

    /// The Elastic Common Schema 8, in the form of the ecs-logging specification: `@timestamp`,
    /// `log.level`, `message` and `ecs.version` first, all keys dotted at the top.
    ///
    /// What the schema does not know is `labels.<name>`, a string; so are `labels.scan_id` and
    /// `labels.outcome`. `service` is `service.name`.
    ///
    /// Source: elastic/ecs-logging `spec/spec.json`, and elastic/ecs 8.
    pub fn ecs(service: &str) -> Self {
        let mut schema = Self::empty()
            .key(Fact::Timestamp, "@timestamp")
            .key(Fact::Level, "log.level")
            .key(Fact::Message, "message")
            .constant("ecs.version", "8.11.0")
            .constant("service.name", service);
        for (fact, key) in [
            (Fact::Module, "log.logger"),
            (Fact::Function, "log.origin.function"),
            (Fact::File, "log.origin.file.name"),
            (Fact::Line, "log.origin.file.line"),
            (Fact::ScanId, "labels.scan_id"),
            (Fact::RequestId, "http.request.id"),
            (Fact::TraceId, "trace.id"),
            (Fact::SpanId, "span.id"),
            (Fact::Event, "event.action"),
            (Fact::EventOutcome, "event.outcome"),
            (Fact::Duration, "event.duration"),
            (Fact::Method, "http.request.method"),
            (Fact::MethodOriginal, "labels.method_original"),
            (Fact::Route, "labels.route"),
            (Fact::Path, "url.path"),
            (Fact::Query, "url.query"),
            (Fact::Scheme, "url.scheme"),
            (Fact::Status, "http.response.status_code"),
            (Fact::Outcome, "labels.outcome"),
            (Fact::BytesIn, "http.request.body.bytes"),
            (Fact::BytesOut, "http.response.body.bytes"),
            (Fact::ProtocolVersion, "http.version"),
            (Fact::ClientIp, "client.ip"),
            (Fact::UserAgent, "user_agent.original"),
            (Fact::Error, "error.message"),
            (Fact::ErrorSources, "error.stack_trace"),
        ] {
            schema = schema.key(fact, key);
        }
        let of_requests = |schema: Self, key: &'static str, json: &str| {
            schema.json(Cow::Borrowed(key), String::from(json), When::OfRequests)
        };
        schema = of_requests(schema, "event.kind", "\"event\"");
        schema = of_requests(schema, "event.category", "[\"web\"]");
        schema = of_requests(schema, "event.type", "[\"access\"]");
        schema
            .fields(Fields::Labels)
            .key(Fact::Truncated, "labels.truncated")
            .durations(Durations::Nanoseconds)
            .event("http-request")
            .sources_as_text()
    }

    /// OpenTelemetry's log data model as JSON lines, with the trace context as its specification for
    /// non-OTLP formats has it, and the semantic conventions' names for what a request is.
    ///
    /// What the program records is in `attributes`, with `scan.id` and `code.function.name`; `service` is
    /// `service.name` of `resource`.
    ///
    /// Source: OpenTelemetry's "Logs Data Model", "Trace Context in non-OTLP Log Formats", and the semantic
    /// conventions for HTTP, code and exceptions.
    pub fn open_telemetry(service: &str) -> Self {
        let mut schema = Self::empty()
            .key(Fact::Timestamp, "timestamp")
            .key(Fact::Level, "severity_text")
            .key(Fact::Severity, "severity_number")
            .key(Fact::Message, "body")
            .key(Fact::TraceId, "trace_id")
            .key(Fact::SpanId, "span_id")
            .key(Fact::TraceFlags, "trace_flags")
            .key(Fact::Event, "event_name")
            .within("scope")
            .key(Fact::Module, "name")
            .within("resource")
            .constant("service.name", service)
            .within("attributes");
        for (fact, key) in [
            (Fact::Function, "code.function.name"),
            (Fact::File, "code.file.path"),
            (Fact::Line, "code.line.number"),
            (Fact::ScanId, "scan.id"),
            (Fact::RequestId, "http.request.id"),
            (Fact::Method, "http.request.method"),
            (Fact::MethodOriginal, "http.request.method_original"),
            (Fact::Route, "http.route"),
            (Fact::Path, "url.path"),
            (Fact::Query, "url.query"),
            (Fact::Scheme, "url.scheme"),
            (Fact::Status, "http.response.status_code"),
            (Fact::Outcome, "http.response.outcome"),
            (Fact::ErrorType, "error.type"),
            (Fact::GrpcStatus, "rpc.grpc.status_code"),
            (Fact::Duration, "http.server.request.duration"),
            (Fact::TimeToHead, "http.server.request.time_to_head"),
            (Fact::BytesIn, "http.request.body.size"),
            (Fact::BytesOut, "http.response.body.size"),
            (Fact::ProtocolVersion, "network.protocol.version"),
            (Fact::ClientIp, "client.address"),
            (Fact::UserAgent, "user_agent.original"),
            (Fact::RequestHeaders, "http.request.header"),
            (Fact::ResponseHeaders, "http.response.header"),
            (Fact::SampleRate, "sample_rate"),
            (Fact::Error, "exception.message"),
            (Fact::ErrorSources, "exception.stacktrace"),
        ] {
            schema = schema.key(fact, key);
        }
        schema
            .fields(Fields::Flat)
            .at_the_top()
            .key(Fact::Truncated, "truncated")
            .durations(Durations::Seconds)
            .event("http.server.request")
            .sources_as_text()
    }
}
