//! What a naming calls each series and label.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use tower_observe::Spec;
use tower_request_metrics::{
    GrpcNames, Names, Protocol, RequestMetrics, RequestMetricsBuilder, names::api,
};
use tower_scan_lifecycle::{
    Names as ScanNames, ScanMetrics, StatusNames,
    names::{PREFIX as SCANS_PREFIX, cicd},
};

use crate::{GrpcPreset, Options, Preset, ScanPreset, Statuses};

/// Series of scans and of the platform, as templates call them: the default names without their prefix.
const SCANS: &[&str] = &[
    "scans_total",
    "scan_duration_seconds",
    "active_scans",
    "findings_total",
    "scans_started_total",
    "scan_failures_total",
    "scans_rejected_total",
    "scan_retries_total",
    "scans_blocked_total",
    "baseline_drift_total",
    "queued_scans",
    "scan_queue_duration_seconds",
    "oldest_active_scan_age_seconds",
    "oldest_queued_scan_age_seconds",
    "scan_last_success_timestamp_seconds",
    "queue_depth",
    "scan_engine_runs_total",
    "engine_up",
    "api_key_uses_total",
    "db_query_duration_seconds",
    "db_query_errors_total",
    "db_pool_connections",
    "db_pool_connections_max",
];

/// Series of requests, as templates call them.
const REQUESTS: &[(&str, &str)] = &[
    ("requests_total", api::REQUESTS_TOTAL),
    ("request_duration_seconds", api::REQUEST_DURATION_SECONDS),
    ("active_requests", api::ACTIVE_REQUESTS),
    ("response_size_bytes", api::RESPONSE_SIZE_BYTES),
    ("stream_duration_seconds", api::STREAM_DURATION_SECONDS),
    ("active_streams", api::ACTIVE_STREAMS),
    ("stream_bytes_total", api::STREAM_BYTES_TOTAL),
    ("upgrades_total", api::UPGRADES_TOTAL),
    ("label_overflow_total", api::LABEL_OVERFLOW_TOTAL),
];

/// The words that a naming puts in the place of `<<…>>`.
#[derive(Clone, Debug)]
pub struct Naming {
    words: BTreeMap<String, Option<String>>,
}

impl Naming {
    /// The words for these options.
    ///
    /// # Errors
    ///
    /// If a prefix is no start of a series' name.
    pub fn new(options: &Options) -> Result<Self> {
        let prefix = &options.prefix;
        for word in [Some(prefix), options.requests_prefix.as_ref()]
            .into_iter()
            .flatten()
        {
            check_prefix(word)?;
        }
        let mut naming = Self {
            words: BTreeMap::new(),
        };
        let requests = options
            .requests_prefix
            .clone()
            .unwrap_or_else(|| String::from(options.requests.prefix()));
        let [method, endpoint, status] = options.requests.labels();
        for (word, text) in [
            ("prefix", prefix.as_str()),
            ("Prefix", &camel_case(prefix)),
            ("job", options.job.as_ref().unwrap_or(prefix)),
            ("requests", &format!("{requests}_requests")),
            ("method", method),
            ("endpoint", endpoint),
            ("status", status),
            ("unwatched", &options.unwatched_routes),
            ("long", &options.long_routes),
            ("runbook", &options.runbook_url),
            ("failures", options.statuses.failures()),
        ] {
            naming.set(word, Some(text.to_owned()));
        }
        for (word, text) in options
            .scans
            .words()
            .into_iter()
            .chain(options.grpc.words())
        {
            naming.set(word, text);
        }
        naming.scans(options)?;
        naming.requests(options)?;
        for name in [
            tower_json_logging::names::LINES_TOTAL,
            tower_json_logging::names::LINES_DROPPED_TOTAL,
            tower_json_logging::names::QUEUE_BYTES,
            tower_json_logging::names::QUEUE_CAPACITY_BYTES,
            tower_json_logging::names::WRITE_SECONDS,
        ] {
            naming.set(name, Some(name.to_owned()));
        }
        Ok(naming)
    }

    fn set(&mut self, word: &str, text: Option<String>) {
        self.words.insert(word.to_owned(), text);
    }

    fn scans(&mut self, options: &Options) -> Result<()> {
        let specs = scan_specs(options)?;
        for role in SCANS {
            let name = match options.scans.run(role) {
                Some(name) => scraped(name),
                None => format!("{}_{role}", options.prefix),
            };
            let there = specs.iter().any(|spec| spec.name == name);
            self.set(role, there.then_some(name));
        }
        Ok(())
    }

    /// A preset's series is that with the default's help text, for the names say nothing of each other.
    fn requests(&mut self, options: &Options) -> Result<()> {
        let usual = RequestMetrics::new().specs();
        let specs = request_specs(options)?;
        let name_of = |default: &str| {
            let usual = usual.iter().find(|spec| spec.name == default)?;
            let spec = specs
                .iter()
                .find(|spec| spec.help == usual.help && spec.kind == usual.kind)?;
            Some(spec.name.to_string())
        };
        for (role, default) in REQUESTS {
            self.set(role, name_of(default));
        }
        if name_of(api::REQUESTS_TOTAL).is_none() {
            // Each request is one observation of its duration.
            let count = name_of(api::REQUEST_DURATION_SECONDS).map(|name| format!("{name}_count"));
            self.set("requests_total", count);
        }
        Ok(())
    }

    /// What `<<word>>` stands for; `None` if this naming has no such series.
    ///
    /// # Errors
    ///
    /// If no naming has it.
    pub fn word(&self, word: &str) -> Result<Option<&str>> {
        match self.words.get(word) {
            Some(text) => Ok(text.as_deref()),
            None => bail!("<<{word}>> stands for nothing in any naming"),
        }
    }
}

/// What the scan metrics and the platform record under these options, the prefix being both's.
pub(crate) fn scan_specs(options: &Options) -> Result<Vec<Spec>> {
    let scans = ScanMetrics::builder()
        .prefix(options.prefix.clone())
        .types(["mcp", "model"])
        // Without any there are no series of engines.
        .engines(["engine"])
        .names(options.scans.names())
        .status_names(options.statuses.names())
        .build()?;
    let platform = scan_platform::store::specs().into_iter().map(|mut spec| {
        if let Some(name) = spec.name.strip_prefix(SCANS_PREFIX) {
            spec.name = format!("{}{name}", options.prefix).into();
        }
        spec
    });
    Ok(as_scraped(scans.specs())
        .into_iter()
        .chain(platform)
        .collect())
}

/// What the request metrics record under these options, with names as they are scraped.
pub(crate) fn request_specs(options: &Options) -> Result<Vec<Spec>> {
    let builder = options.requests.builder();
    let builder = match &options.requests_prefix {
        Some(prefix) => builder.prefix(prefix.clone()),
        None => builder,
    };
    Ok(as_scraped(builder.build()?.specs()))
}

/// What is recorded of gRPC calls under these options, with names as they are scraped.
pub(crate) fn rpc_specs(options: &Options) -> Result<Vec<Spec>> {
    let builder = RequestMetrics::builder()
        .protocol(Protocol::Grpc)
        .grpc_names(options.grpc.names())
        .count_request_bodies();
    Ok(as_scraped(builder.build()?.specs()))
}

fn as_scraped(mut specs: Vec<Spec>) -> Vec<Spec> {
    for spec in &mut specs {
        spec.name = scraped(&spec.name).into();
        for label in &mut spec.labels {
            *label = scraped(label).into();
        }
    }
    specs
}

/// A name as the exporter writes it.
fn scraped(name: &str) -> String {
    name.replace('.', "_")
}

impl Preset {
    fn builder(self) -> RequestMetricsBuilder {
        RequestMetrics::builder().names(match self {
            Self::Api => Names::Api,
            Self::OpenTelemetry => Names::OpenTelemetry,
            Self::AxumPrometheus => Names::AxumPrometheus,
        })
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::OpenTelemetry => "http_server",
            Self::AxumPrometheus => "axum_http",
        }
    }

    /// The labels for the method, the route and the status.
    const fn labels(self) -> [&'static str; 3] {
        match self {
            Self::Api | Self::AxumPrometheus => ["method", "endpoint", "status"],
            Self::OpenTelemetry => [
                "http_request_method",
                "http_route",
                "http_response_status_code",
            ],
        }
    }
}

impl ScanPreset {
    const fn names(self) -> ScanNames {
        match self {
            Self::Scans => ScanNames::Scans,
            Self::OpenTelemetry => ScanNames::OpenTelemetryCicd,
        }
    }

    /// What a series is called that has a name of its own in this preset.
    fn run(self, role: &str) -> Option<&'static str> {
        match (self, role) {
            (Self::Scans, _) => None,
            (_, "scan_duration_seconds" | "scan_queue_duration_seconds") => {
                Some(cicd::RUN_DURATION)
            }
            (_, "active_scans" | "queued_scans") => Some(cicd::RUN_ACTIVE),
            (_, "scan_failures_total") => Some(cicd::RUN_ERRORS),
            _ => None,
        }
    }

    /// The labels of those, and what tells those apart that share a name.
    fn words(self) -> [(&'static str, Option<String>); 4] {
        let state = |state| Some(format!("{}=\"{state}\", ", scraped(cicd::RUN_STATE)));
        match self {
            Self::Scans => [
                ("run_type", Some(String::from("type"))),
                ("failure_reason", Some(String::from("reason"))),
                ("executing", Some(String::new())),
                ("pending", Some(String::new())),
            ],
            Self::OpenTelemetry => [
                ("run_type", Some(scraped(cicd::PIPELINE_NAME))),
                ("failure_reason", Some(scraped(cicd::ERROR_TYPE))),
                ("executing", state("executing")),
                ("pending", state("pending")),
            ],
        }
    }
}

impl GrpcPreset {
    const fn names(self) -> GrpcNames {
        match self {
            Self::GoGrpc => GrpcNames::GoGrpc,
            Self::OpenTelemetry => GrpcNames::OpenTelemetry,
        }
    }

    /// The series of calls and their labels, and what a method is called in a legend.
    fn words(self) -> [(&'static str, Option<String>); 8] {
        let words: [(_, Option<&str>); 8] = match self {
            Self::GoGrpc => [
                ("rpc_handled_total", Some("grpc_server_handled_total")),
                ("rpc_duration_seconds", Some("grpc_server_handling_seconds")),
                ("rpc_in_flight", Some("grpc_server_in_flight")),
                ("rpc_received_total", Some("grpc_server_msg_received_total")),
                ("rpc_sent_total", Some("grpc_server_msg_sent_total")),
                ("rpc_method", Some("grpc_service, grpc_method")),
                ("rpc_name", Some("{{grpc_service}}/{{grpc_method}}")),
                ("rpc_code", Some("grpc_code")),
            ],
            Self::OpenTelemetry => [
                // Each call is one observation of its duration.
                ("rpc_handled_total", Some("rpc_server_call_duration_count")),
                ("rpc_duration_seconds", Some("rpc_server_call_duration")),
                ("rpc_in_flight", None),
                ("rpc_received_total", None),
                ("rpc_sent_total", None),
                ("rpc_method", Some("rpc_method")),
                ("rpc_name", Some("{{rpc_method}}")),
                ("rpc_code", Some("rpc_response_status_code")),
            ],
        };
        words.map(|(word, text)| (word, text.map(str::to_owned)))
    }
}

impl Statuses {
    const fn names(self) -> StatusNames {
        match self {
            Self::Lifecycle => StatusNames::Lifecycle,
            Self::Sentrascan => StatusNames::SentraScan,
        }
    }

    /// The statuses of scans that did not do what they were to. `aborted` says nothing of who aborted.
    const fn failures(self) -> &'static str {
        match self {
            Self::Lifecycle => "failed|timed_out",
            Self::Sentrascan => "failed|aborted",
        }
    }
}

fn check_prefix(prefix: &str) -> Result<()> {
    let mut bytes = prefix.bytes();
    let starts = bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if starts
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    {
        return Ok(());
    }
    bail!(
        "the prefix {prefix:?} must be lower-case letters, digits and _, and not begin with a digit"
    )
}

/// `acme_scans` as the start of an alert's name: `AcmeScans`.
fn camel_case(prefix: &str) -> String {
    prefix
        .split('_')
        .map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            first.to_ascii_uppercase() + rest
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(options: &Options, word: &str) -> Option<String> {
        Naming::new(options)
            .unwrap()
            .word(word)
            .unwrap()
            .map(str::to_owned)
    }

    #[test]
    fn a_prefix_is_in_the_names_of_scans_alerts_and_job() {
        let options = Options {
            prefix: String::from("acme_code"),
            ..Options::default()
        };
        assert_eq!(
            word(&options, "scans_total").unwrap(),
            "acme_code_scans_total"
        );
        assert_eq!(word(&options, "Prefix").unwrap(), "AcmeCode");
        assert_eq!(word(&options, "job").unwrap(), "acme_code");
        assert_eq!(
            word(&options, "requests_total").unwrap(),
            "api_requests_total"
        );
    }

    #[test]
    fn a_preset_has_other_names_for_the_same() {
        let options = Options {
            requests: Preset::OpenTelemetry,
            ..Options::default()
        };
        assert_eq!(
            word(&options, "requests_total").unwrap(),
            "http_server_request_duration_count"
        );
        assert_eq!(
            word(&options, "request_duration_seconds").unwrap(),
            "http_server_request_duration"
        );
        assert_eq!(word(&options, "endpoint").unwrap(), "http_route");
        assert_eq!(word(&options, "upgrades_total"), None);
        let options = Options {
            requests: Preset::AxumPrometheus,
            requests_prefix: Some(String::from("shop")),
            ..Options::default()
        };
        assert_eq!(
            word(&options, "requests_total").unwrap(),
            "shop_requests_total"
        );
    }

    #[test]
    fn a_word_that_no_naming_has_is_an_error() {
        let naming = Naming::new(&Options::default()).unwrap();
        assert!(naming.word("scan_total").is_err());
    }

    #[test]
    fn a_prefix_that_cannot_start_a_name_is_an_error() {
        for prefix in ["", "9a", "a-b", "a.b", "Ä", "Acme"] {
            let options = Options {
                prefix: prefix.to_owned(),
                ..Options::default()
            };
            assert!(Naming::new(&options).is_err(), "{prefix}");
        }
    }
}
