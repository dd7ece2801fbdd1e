//! What the builder refuses, and how it says so.

use http::header::USER_AGENT;
use tower_request_metrics::{
    BuildError, Dimension, Instrument, Label, Protocol, RequestMetrics, RequestMetricsBuilder,
    RouteTable,
};

fn refused(build: impl FnOnce(RequestMetricsBuilder) -> RequestMetricsBuilder) -> BuildError {
    build(RequestMetrics::builder()).build().unwrap_err()
}

#[track_caller]
fn names(error: &BuildError, is: fn(&BuildError) -> bool, input: &str) {
    assert!(is(error), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(input), "{text:?} should name {input:?}");
    let questions = [
        error.is_buckets(),
        error.is_name(),
        error.is_label(),
        error.is_route(),
        error.is_method(),
        error.is_descriptors(),
    ];
    assert_eq!(questions.into_iter().filter(|yes| *yes).count(), 1);
}

#[test]
fn buckets_that_cannot_be_used_are_refused() {
    for buckets in [
        vec![],
        vec![2.0, 1.0],
        vec![1.0, 1.0],
        vec![1.0, f64::INFINITY],
        vec![f64::NAN],
    ] {
        let error = refused(|builder| builder.buckets(Instrument::Duration, buckets));
        names(&error, BuildError::is_buckets, "Duration");
    }
}

#[test]
fn two_series_of_one_name_and_a_series_without_one_are_refused() {
    let twice = refused(|builder| builder.rename(Instrument::Requests, "api_active_requests"));
    names(&twice, BuildError::is_name, "api_active_requests");
    let empty = refused(|builder| builder.rename(Instrument::Requests, ""));
    names(&empty, BuildError::is_name, "\"\"");
}

#[test]
fn labels_without_a_name_twice_or_too_many_are_refused() {
    let label = |name: &'static str| Label::request_header(name, USER_AGENT);
    names(
        &refused(|builder| builder.label(label(""))),
        BuildError::is_label,
        "\"\"",
    );
    let twice = refused(|builder| builder.label(label("status")));
    names(&twice, BuildError::is_label, "status");
    let dimensions = [Dimension::Route, Dimension::Route];
    let twice = refused(|builder| builder.labels(Instrument::Active, dimensions));
    names(&twice, BuildError::is_label, "endpoint");
    let five = ["a", "b", "c", "d", "e"];
    let many = refused(|builder| {
        five.into_iter()
            .fold(builder, |builder, name| builder.label(label(name)))
    });
    names(&many, BuildError::is_label, "4");
    let four = five[..4]
        .iter()
        .fold(RequestMetrics::builder(), |builder, name| {
            builder.label(label(name))
        });
    assert!(four.build().is_ok());
}

#[test]
fn route_templates_that_cannot_be_used_are_refused() {
    let error = RouteTable::new(["/a/{b"]).unwrap_err();
    names(&error, BuildError::is_route, "/a/{b");
    let error = RouteTable::new(["/a/{b}", "/a/{c}"]).unwrap_err();
    names(&error, BuildError::is_route, "/a/{c}");
}

#[test]
fn methods_that_are_none_are_refused() {
    let error = refused(|builder| builder.methods(["GET", "NO SPACES"]));
    names(&error, BuildError::is_method, "NO SPACES");
}

#[test]
fn descriptors_that_cannot_be_read_are_refused() {
    let error = refused(|builder| {
        builder
            .protocol(Protocol::Grpc)
            .descriptors(b"syntax = \"proto3\";")
    });
    names(&error, BuildError::is_descriptors, "FileDescriptorSet");
}

#[test]
fn an_error_is_one_that_can_be_sent_around() {
    fn is_error<E: std::error::Error + Send + Sync + 'static>() {}
    is_error::<BuildError>();
}
