//! Sizes of bodies.

use http::{Method, Request, Response, Version, header};
use http_body_util::{BodyExt as _, Full};
use test_support::drive::ready;
use tower::{Layer as _, Service as _, service_fn};
use tower_request_metrics::{CountRequestBodyLayer, Instrument};

use crate::common::{Scene, finish};

fn response_sizes(path: &'static str) -> (Option<f64>, Option<f64>) {
    let scene = Scene::new();
    scene.run(Method::GET, path);
    let of = |what| {
        scene.value(&format!(
            r#"api_response_size_bytes_{what}{{endpoint="{path}"}}"#
        ))
    };
    (of("count"), of("sum"))
}

#[test]
fn four_chunks_of_ten_bytes_are_one_sample_of_forty() {
    assert_eq!(response_sizes("/chunks"), (Some(1.0), Some(40.0)));
}

#[test]
fn an_empty_body_is_one_sample_of_none() {
    assert_eq!(response_sizes("/empty"), (Some(1.0), Some(0.0)));
    assert_eq!(response_sizes("/204"), (Some(1.0), Some(0.0)));
}

#[test]
fn a_body_that_breaks_off_is_a_sample_of_what_was_sent() {
    assert_eq!(response_sizes("/body/error"), (Some(1.0), Some(5.0)));
    assert_eq!(response_sizes("/body/stall"), (Some(1.0), Some(5.0)));
}

#[test]
fn without_a_response_there_is_no_size() {
    assert_eq!(response_sizes("/error"), (None, None));
    assert_eq!(response_sizes("/never"), (None, None));
    assert_eq!(response_sizes("/upgrade"), (None, None));
}

fn request_size(request: http::request::Builder) -> (f64, f64) {
    let scene = Scene::with(|builder| builder.enable(Instrument::RequestSize));
    finish(
        &mut scene.behaving(),
        request.uri("/whole").body(()).unwrap(),
    );
    let of = |what: &str| scene.sum(&format!("api_request_size_bytes_{what}"));
    (of("count"), of("sum"))
}

#[test]
fn the_size_of_a_request_is_what_it_declares() {
    let post = || Request::builder().method(Method::POST);
    assert_eq!(
        request_size(post().header(header::CONTENT_LENGTH, "70")),
        (1.0, 70.0)
    );
    assert_eq!(
        request_size(post().header(header::CONTENT_LENGTH, "many")),
        (0.0, 0.0)
    );
    assert_eq!(
        request_size(post()),
        (1.0, 0.0),
        "HTTP/1 without a length has no body"
    );
    assert_eq!(request_size(Request::builder()), (1.0, 0.0));
}

#[test]
fn a_request_of_unknown_length_is_not_a_request_of_none() {
    let post = || Request::builder().method(Method::POST);
    let chunked = post().header(header::TRANSFER_ENCODING, "chunked");
    assert_eq!(request_size(chunked), (0.0, 0.0));
    assert_eq!(request_size(post().version(Version::HTTP_2)), (0.0, 0.0));
    let get = Request::builder().version(Version::HTTP_2);
    assert_eq!(request_size(get), (1.0, 0.0));
}

fn counting() -> Scene {
    Scene::with(|builder| {
        builder
            .enable(Instrument::RequestSize)
            .count_request_bodies()
    })
}

#[test]
fn the_size_of_a_request_is_what_was_counted_where_that_is_asked_for() {
    let scene = counting();
    let inner = service_fn(
        async |request: Request<tower_request_metrics::RequestBody<Full<bytes::Bytes>>>| {
            request.into_body().collect().await.unwrap();
            Ok::<_, std::convert::Infallible>(Response::new(Full::<bytes::Bytes>::from("done")))
        },
    );
    let mut service = scene.layer.layer(CountRequestBodyLayer::new().layer(inner));
    let request = Request::new(Full::<bytes::Bytes>::from("twelve bytes"));
    let mut future = Box::pin(service.call(request));
    let response = ready(&mut future).unwrap();
    drop(response);
    assert_eq!(scene.sum("api_request_size_bytes_count"), 1.0);
    assert_eq!(scene.sum("api_request_size_bytes_sum"), 12.0);
}

#[test]
fn where_nobody_counts_the_declared_size_stands() {
    let scene = counting();
    let request = Request::builder()
        .uri("/whole")
        .header(header::CONTENT_LENGTH, "70");
    finish(&mut scene.behaving(), request.body(()).unwrap());
    assert_eq!(scene.sum("api_request_size_bytes_sum"), 70.0);
}
