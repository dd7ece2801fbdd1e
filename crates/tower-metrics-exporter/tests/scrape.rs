//! What a scraper gets.

use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use metrics::with_local_recorder;
use tower::ServiceExt as _;
use tower_metrics_exporter::Exporter;
use tower_observe::{Spec, Unit};

fn specs() -> [Spec; 3] {
    [
        Spec::counter("jobs_total", "Jobs that ended.").labels(["kind"]),
        Spec::gauge("queue_bytes", "Bytes in the queue.").unit(Unit::Bytes),
        Spec::histogram("job_seconds", Unit::Seconds, "Time of jobs.").buckets([1.0, 60.0]),
    ]
}

#[tokio::test]
async fn a_scrape_has_help_type_and_the_buckets_of_the_spec() {
    let (recorder, exporter) = Exporter::builder().specs(specs()).build().unwrap();
    with_local_recorder(&recorder, || {
        metrics::counter!("jobs_total", "kind" => "a").increment(3);
        metrics::gauge!("queue_bytes").set(7.0);
        metrics::histogram!("job_seconds").record(2.0);
        metrics::histogram!("unspecified_seconds").record(0.02);
    });

    let response = exporter.service().oneshot(Request::new(())).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(
        response.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let page = response.into_body().collect().await.unwrap().to_bytes();
    let page = std::str::from_utf8(&page).unwrap();
    for line in [
        "# HELP jobs_total Jobs that ended.",
        "# TYPE jobs_total counter",
        "jobs_total{kind=\"a\"} 3",
        "# TYPE queue_bytes gauge",
        "queue_bytes 7",
        "# TYPE job_seconds histogram",
        "job_seconds_bucket{le=\"1\"} 0",
        "job_seconds_bucket{le=\"60\"} 1",
        "job_seconds_bucket{le=\"+Inf\"} 1",
        "job_seconds_count 1",
        "# TYPE unspecified_seconds histogram",
        "unspecified_seconds_bucket{le=\"0.025\"} 1",
    ] {
        assert!(
            page.lines().any(|found| found == line),
            "no line {line:?} in\n{page}"
        );
    }
    assert!(!page.contains("summary"), "{page}");
}

#[tokio::test]
async fn head_is_answered_and_other_methods_are_refused() {
    let (recorder, exporter) = Exporter::builder().build().unwrap();
    with_local_recorder(&recorder, || metrics::counter!("a_total").increment(1));
    let ask = |method| {
        exporter
            .service()
            .oneshot(Request::builder().method(method).body(()).unwrap())
    };

    let head = ask(Method::HEAD).await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    let get = ask(Method::GET).await.unwrap();
    assert_eq!(head.headers(), get.headers());
    let page = get.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(head.headers()["content-length"], page.len().to_string());
    assert!(
        head.into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .is_empty()
    );

    let post = ask(Method::POST).await.unwrap();
    assert_eq!(post.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(post.headers()["allow"], "GET, HEAD");
}

#[test]
fn unusable_buckets_are_an_error_that_names_the_series() {
    for (buckets, why) in [
        (vec![], "are empty"),
        (vec![2.0, 1.0], "do not ascend"),
        (vec![1.0, 1.0], "do not ascend"),
        (vec![1.0, f64::INFINITY], "are not all finite"),
        (vec![f64::NAN], "are not all finite"),
    ] {
        let spec = Spec::histogram("job_seconds", Unit::Seconds, "").buckets(buckets);
        let Err(error) = Exporter::builder().specs([spec]).build() else {
            panic!("built with buckets that {why}");
        };
        assert!(error.is_buckets());
        assert!(error.to_string().contains("`job_seconds`"), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn a_second_installation_is_an_error() {
    let first = Exporter::builder().install();
    let second = Exporter::builder().install();
    assert!(first.is_ok());
    assert!(second.is_err_and(|error| error.is_installed()));
}
