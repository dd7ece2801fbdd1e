use percent_encoding::percent_decode_str;

use super::{Otlp, Protocol, SERVICE_NAME};
use crate::sink::{
    SinkError,
    environment::{Environment, wrong},
    http::without_credentials,
};

const HEADERS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
    "OTEL_EXPORTER_OTLP_HEADERS",
];
const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// What is not taken from the environment, and what to do instead.
const NOT_TAKEN: [(&str, &str); 6] = [
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", TLS),
    ("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", TLS),
    ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", TLS),
    ("OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE", TLS),
    ("OTEL_EXPORTER_OTLP_CLIENT_KEY", TLS),
    ("OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY", TLS),
];
const TLS: &str = "certificates are those of the program's own client: unset it";

impl Otlp {
    /// As OpenTelemetry's conventional variables say. `variable` looks one up:
    /// `|name| std::env::var(name).ok()`.
    ///
    /// | `OTEL_EXPORTER_OTLP_…`, or first `OTEL_EXPORTER_OTLP_METRICS_…` | |
    /// |---|---|
    /// | `PROTOCOL` | `http/protobuf`, or `grpc`; the former unless set |
    /// | `ENDPOINT` | `http://localhost:4318`, or of gRPC `http://localhost:4317`, unless set; that of metrics alone is the very address over HTTP |
    /// | `HEADERS` | `name=value,…`, values percent-encoded |
    /// | `TIMEOUT` | of an attempt, in milliseconds |
    /// | `COMPRESSION` | `gzip` or `none` |
    /// | `METRICS_TEMPORALITY_PREFERENCE` | `cumulative` is all there is |
    ///
    /// `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` (`name=value,…`) tell of the resource. Certificates
    /// are an error: they are those of [`client`](Self::client).
    ///
    /// ```
    /// use tower_metrics_exporter::Otlp;
    ///
    /// let variable = |name: &str| (name == "OTEL_EXPORTER_OTLP_PROTOCOL").then(|| String::from("http/json"));
    /// let error = Otlp::from_env(variable).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "OTEL_EXPORTER_OTLP_PROTOCOL is `http/json`: give http/protobuf or grpc"
    /// );
    /// ```
    ///
    /// # Errors
    ///
    /// If a variable is set to what it cannot be; the error names the variable, the value (but for headers),
    /// and what would be right.
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Result<Self, SinkError> {
        let environment = Environment(&variable);
        for (name, instead) in NOT_TAKEN {
            if let Some((name, value)) = environment.first(&[name]) {
                return Err(wrong(name, &value, instead));
            }
        }
        let mut sink = endpoint(&environment, protocol(&environment)?)?;
        if let Some((name, value)) = environment.first(&HEADERS) {
            let is_wrong = || {
                SinkError::new(format!(
                    "{name} (not shown) is no list of headers: give `name=value,…`, values percent-encoded"
                ))
            };
            for (header, value) in pairs(&value).ok_or_else(is_wrong)? {
                sink = sink.header(&header, &value).map_err(|_| is_wrong())?;
            }
        }
        let timeout = environment.millis(&[
            "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
            "OTEL_EXPORTER_OTLP_TIMEOUT",
        ])?;
        if let Some(timeout) = timeout {
            sink = sink.timeout(timeout);
        }
        sink.gzip = gzip(&environment)?;
        let temporality = environment.first(&["OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"]);
        match temporality {
            Some((name, value)) if !value.eq_ignore_ascii_case("cumulative") => {
                let right = "give cumulative, which is all there is";
                return Err(wrong(name, &value, right));
            }
            _ => {}
        }
        resource(&environment, sink)
    }
}

fn protocol(environment: &Environment<'_>) -> Result<Protocol, SinkError> {
    let set = environment.first(&[
        "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
    ]);
    match set.as_ref().map(|(name, value)| (*name, value.as_str())) {
        None | Some((_, "http/protobuf")) => Ok(Protocol::Http),
        Some((_, "grpc")) => Ok(Protocol::Grpc),
        Some((name, value)) => Err(wrong(name, value, "give http/protobuf or grpc")),
    }
}

fn endpoint(environment: &Environment<'_>, protocol: Protocol) -> Result<Otlp, SinkError> {
    const OF_METRICS: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";
    let set = environment.first(&[OF_METRICS, "OTEL_EXPORTER_OTLP_ENDPOINT"]);
    let (sink, set) = match (protocol, set) {
        (Protocol::Http, None) => (Otlp::http("http://localhost:4318"), None),
        (Protocol::Grpc, None) => (Otlp::grpc("http://localhost:4317"), None),
        (Protocol::Http, Some((OF_METRICS, url))) => (Otlp::http_at(&url), Some((OF_METRICS, url))),
        (Protocol::Http, Some((name, url))) => (Otlp::http(&url), Some((name, url))),
        (Protocol::Grpc, Some((name, url))) => (Otlp::grpc(&url), Some((name, url))),
    };
    match set {
        Some((name, url)) => {
            let right =
                "give a URL of http or https without credentials, such as http://localhost:4318";
            sink.map_err(|_| wrong(name, &without_credentials(&url), right))
        }
        None => sink,
    }
}

fn gzip(environment: &Environment<'_>) -> Result<bool, SinkError> {
    let set = environment.first(&[
        "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION",
        "OTEL_EXPORTER_OTLP_COMPRESSION",
    ]);
    match set.as_ref().map(|(name, value)| (*name, value.as_str())) {
        None | Some((_, "none")) => Ok(false),
        Some((_, "gzip")) if cfg!(feature = "gzip") => Ok(true),
        Some((name, value)) => {
            let right = if cfg!(feature = "gzip") {
                "give gzip or none"
            } else {
                "give none, as the program was built without the feature `gzip`"
            };
            Err(wrong(name, value, right))
        }
    }
}

fn resource(environment: &Environment<'_>, mut sink: Otlp) -> Result<Otlp, SinkError> {
    if let Some((name, value)) = environment.first(&[ATTRIBUTES]) {
        let right = "give `name=value,…`, values percent-encoded";
        let pairs = pairs(&value).ok_or_else(|| wrong(name, &value, right))?;
        for (name, value) in pairs {
            sink = sink.resource(name, value);
        }
    }
    // It has the last word.
    if let Some((_, service)) = environment.first(&["OTEL_SERVICE_NAME"]) {
        sink = sink.resource(SERVICE_NAME, service);
    }
    Ok(sink)
}

/// `name=value,…`, with values percent-encoded.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let parts = text.split(',').filter(|part| !part.trim().is_empty());
    let pair = |part: &str| {
        let (name, value) = part.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        let name = name.trim();
        (!name.is_empty()).then(|| (name.to_owned(), value.into_owned()))
    };
    parts.map(pair).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn sink(variables: &[(&str, &str)]) -> Result<Otlp, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Otlp::from_env(variable).map_err(|error| error.to_string())
    }

    fn address(variables: &[(&str, &str)]) -> String {
        sink(variables).unwrap().target.uri.to_string()
    }

    #[test]
    fn the_address_is_as_the_convention_has_it() {
        let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:1/base/");
        let metrics = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m:2/own");
        assert_eq!(address(&[]), "http://localhost:4318/v1/metrics");
        assert_eq!(address(&[all]), "http://c:1/base/v1/metrics");
        assert_eq!(address(&[all, metrics]), "http://m:2/own");
        let export = super::super::grpc::EXPORT;
        assert_eq!(address(&[grpc]), format!("http://localhost:4317{export}"));
        // Empty is as if it were not set.
        let empty = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", " ");
        assert_eq!(address(&[all, empty]), "http://c:1/base/v1/metrics");
    }

    #[test]
    fn what_is_of_metrics_comes_before_what_is_of_all() {
        let sink = sink(&[
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20all"),
            (
                "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
                "authorization=Bearer%20mine, x-tenant = 7",
            ),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "5000"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,team=a%2Cb"),
            ("OTEL_SERVICE_NAME", "orders"),
        ]);
        let sink = sink.unwrap();
        assert_eq!(sink.target.headers["authorization"], "Bearer mine");
        assert_eq!(sink.target.headers["x-tenant"], "7");
        assert_eq!((sink.timeout, sink.gzip), (Duration::from_secs(5), false));
        let attribute = |name: &str| {
            let found = sink.resource.iter().find(|(other, _)| other == name);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(attribute("service.name"), Some("orders"));
        assert_eq!(attribute("team"), Some("a,b"));
    }

    #[test]
    fn what_a_program_calls_itself_is_what_nobody_calls_it_otherwise() {
        let named = |variables: &[(&str, &str)]| {
            let sink = sink(variables).unwrap();
            let sink = sink.default_resource("service.name", "program");
            let sink = sink.default_resource("service.instance.id", "1");
            let attributes = sink.attributes();
            let attribute = |name: &str| {
                let mut found = attributes.iter().filter(|(other, _)| other == name);
                let value = found.next().unwrap().1.clone();
                assert_eq!(found.next(), None);
                value
            };
            (attribute("service.name"), attribute("service.instance.id"))
        };
        let expected = |name: &str, instance: &str| (name.to_owned(), instance.to_owned());
        let attributes = (
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.name=a,service.instance.id=2",
        );
        assert_eq!(named(&[]), expected("program", "1"));
        assert_eq!(named(&[attributes]), expected("a", "2"));
        let service = ("OTEL_SERVICE_NAME", "b");
        assert_eq!(named(&[service]), expected("b", "1"));
        assert_eq!(named(&[attributes, service]), expected("b", "2"));
    }

    #[test]
    fn a_wrong_value_is_named_with_its_variable_and_what_would_be_right() {
        for (name, value, right) in [
            (
                "OTEL_EXPORTER_OTLP_PROTOCOL",
                "http/json",
                "http/protobuf or grpc",
            ),
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "collector:4318",
                "a URL of http or https",
            ),
            (
                "OTEL_EXPORTER_OTLP_TIMEOUT",
                "10s",
                "milliseconds above zero",
            ),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0", "milliseconds above zero"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "none"),
            ("OTEL_RESOURCE_ATTRIBUTES", "team", "`name=value,…`"),
            (
                "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
                "delta",
                "cumulative",
            ),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem", "unset it"),
        ] {
            let error = sink(&[(name, value)]).unwrap_err();
            assert!(
                error.starts_with(&format!("{name} is `{value}`: ")),
                "{error}"
            );
            assert!(error.contains(right), "{error}");
        }
        // Of headers all but the value: it may be a secret.
        let error = sink(&[("OTEL_EXPORTER_OTLP_HEADERS", "hunter2")]).unwrap_err();
        assert!(
            error.contains("OTEL_EXPORTER_OTLP_HEADERS") && !error.contains("hunter2"),
            "{error}"
        );
    }
}
