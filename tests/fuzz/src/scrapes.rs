//! Whatever is recorded and however it is asked for, an answer is what it says it is: a page in the format of its
//! content type, whole and well-formed, or a refusal.

use std::{collections::BTreeSet, io::Read as _};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri,
    header::{ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body_util::BodyExt as _;
use metrics::{Key, Label, Level, Metadata, Recorder as _};
use prometheus_client::{metrics::family::Family, registry::Registry};
use tower::Service as _;
use tower_metrics_exporter::{Exporter, MetricsService};

use crate::{input::Input, now::now, page};

/// Takes the data apart, records what it says, asks for it, and looks at the answer.
///
/// # Panics
///
/// If that is not what it has to be.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let request = request(&mut input);
    let is_foreign = input.byte() % 4 == 0;
    let service = if is_foreign {
        foreign(&mut input)
    } else {
        own(&mut input)
    };
    // More than once: a page that is known to be quick is made elsewhere.
    for _ in 0..2 {
        check(service.clone(), &request, is_foreign);
    }
}

const NAMES: [&str; 8] = [
    "a",
    "a_total",
    "a_bucket",
    "a_count",
    "a_seconds",
    "a.b",
    "a_created",
    "",
];
const LABELS: [&str; 6] = ["le", "quantile", "a", "__name__", "a.b", ""];

fn one_of<const N: usize>(known: [&str; N], input: &mut Input<'_>) -> String {
    match usize::from(input.byte()) {
        place if place < N * 16 => known[place / 16].to_owned(),
        _ => input.text(),
    }
}

fn labels(input: &mut Input<'_>) -> Vec<(String, String)> {
    (0..input.byte() % 4)
        .map(|_| (one_of(LABELS, input), input.text()))
        .collect()
}

/// A page of our own.
fn own(input: &mut Input<'_>) -> MetricsService {
    let mut builder = Exporter::builder();
    if input.byte().is_multiple_of(4) {
        builder = builder.exemplars(|| Some([("trace_id", "\\\"\n#} 1")]));
    }
    let exporter = builder.build().expect("nothing is set wrongly");
    let recorder = exporter.recorder();
    let metadata = Metadata::new("fuzz", Level::INFO, None);
    for _ in 0..input.byte() % 12 {
        let kind = input.byte() % 8;
        let name = one_of(NAMES, input);
        let labels = labels(input).into_iter();
        let labels: Vec<_> = labels
            .map(|(name, value)| Label::new(name, value))
            .collect();
        let key = Key::from_parts(name.clone(), labels);
        let number = input.number();
        let value = f64::from_bits(number);
        match kind {
            0 | 1 => recorder.register_counter(&key, &metadata).increment(number),
            2 => recorder.register_counter(&key, &metadata).absolute(number),
            3 => recorder.register_gauge(&key, &metadata).set(value),
            4 => recorder.register_gauge(&key, &metadata).increment(value),
            5 => recorder.describe_gauge(name.into(), None, input.text().into()),
            _ => recorder.register_histogram(&key, &metadata).record(value),
        }
    }
    exporter.service()
}

/// A page of another library, which is taken apart for those who ask for parts of it.
fn foreign(input: &mut Input<'_>) -> MetricsService {
    use prometheus_client::metrics::{counter::Counter, histogram::Histogram};

    let mut registry = Registry::default();
    for _ in 0..input.byte() % 6 {
        let (name, help) = (one_of(NAMES, input), input.text());
        if input.byte().is_multiple_of(2) {
            let family = Family::<Vec<(String, String)>, Counter>::default();
            family.get_or_create(&labels(input)).inc();
            registry.register(name, help, family);
        } else {
            let histogram = Histogram::new([0.5, 1.0]);
            histogram.observe(f64::from_bits(input.number()));
            registry.register(name, help, histogram);
        }
    }
    MetricsService::new(registry)
}

fn request(input: &mut Input<'_>) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = match input.byte() % 8 {
        0 => Method::HEAD,
        1 => Method::from_bytes(&input.bytes()).unwrap_or(Method::POST),
        _ => Method::GET,
    };
    let query = match input.byte() % 4 {
        0 => String::new(),
        1 => input.text(),
        _ => (0..input.byte() % 4)
            .map(|_| format!("name[]={}&", one_of(NAMES, input)))
            .collect(),
    };
    if let Ok(uri) = Uri::try_from(format!("/metrics?{query}")) {
        *request.uri_mut() = uri;
    }
    let timeout = HeaderName::from_static("x-prometheus-scrape-timeout-seconds");
    for name in [ACCEPT, ACCEPT, ACCEPT_ENCODING, timeout] {
        let value = input.bytes();
        if !value.is_empty()
            && let Ok(value) = HeaderValue::from_bytes(&value)
        {
            request.headers_mut().append(name, value);
        }
    }
    request
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    Some(headers.get(name)?.to_str().expect("ours are ASCII"))
}

fn check(mut service: MetricsService, request: &Request<()>, is_foreign: bool) {
    let Ok(response) = now(service.call(request.clone()));
    let (head, body) = response.into_parts();
    let body = now(body.collect()).expect("it never fails").to_bytes();
    let length = text(&head.headers, &CONTENT_LENGTH).map(|length| length.parse().ok());
    if *request.method() == Method::HEAD {
        assert!(body.is_empty());
    } else if let Some(length) = length {
        assert_eq!(length, Some(body.len()));
    }
    let kind = text(&head.headers, &CONTENT_TYPE).expect("it says what it is");
    match head.status.as_u16() {
        200 => {}
        405 => {
            assert!(!matches!(*request.method(), Method::GET | Method::HEAD));
            assert_eq!(text(&head.headers, &ALLOW), Some("GET, HEAD"));
            return;
        }
        400 | 406 | 415 => return,
        status => panic!("{status} for {request:?}"),
    }
    if *request.method() == Method::HEAD {
        return;
    }
    let accepted = request.headers();
    let page = match text(&head.headers, &CONTENT_ENCODING) {
        None => body.to_vec(),
        Some("gzip") => {
            assert!(accepted.contains_key(ACCEPT_ENCODING));
            let mut page = Vec::new();
            let mut decoder = flate2::read::MultiGzDecoder::new(&*body);
            decoder.read_to_end(&mut page).expect("gzip");
            page
        }
        Some(encoding) => panic!("{encoding} for {request:?}"),
    };
    if kind.starts_with("application/vnd.google.protobuf;") {
        assert!(accepted.contains_key(ACCEPT));
        return page::check_protobuf(&page);
    }
    let page = String::from_utf8(page).expect("UTF-8");
    // Another library writes its page as it likes.
    if is_foreign {
        return;
    }
    let is_open_metrics = kind.starts_with("application/openmetrics-text;");
    if is_open_metrics {
        assert!(page.ends_with("# EOF\n"), "{page}");
        assert_eq!(page.matches("# EOF\n").count(), 1, "{page}");
    } else {
        assert!(kind.starts_with("text/plain;"), "{kind}");
        assert!(!page.contains("# EOF\n"), "{page}");
    }
    let mut seen = BTreeSet::new();
    for sample in page::samples(&page, is_open_metrics) {
        assert!(seen.insert(sample), "twice: {page}");
    }
}
