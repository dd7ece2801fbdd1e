//! Among the layers of others, inside and outside of them.

use std::{convert::Infallible, future::Ready, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header::ACCEPT_ENCODING};
use http_body_util::{BodyExt, Full};
use test_support::{
    body::ScriptBody,
    drive::bounded,
    ends::Ends,
    shapes::{ShapeError, Shapes, infallible, response},
};
use tower::{
    Layer as _, Service, ServiceBuilder, ServiceExt as _,
    buffer::BufferLayer,
    retry::{Policy, RetryLayer},
    service_fn,
    util::BoxCloneSyncService,
};
use tower_http::{
    ServiceBuilderExt as _,
    compression::CompressionLayer,
    request_id::{MakeRequestId, RequestId},
    timeout::{ResponseBodyTimeoutLayer, TimeoutLayer},
    trace::TraceLayer,
};
use tower_observe::Ending::{
    BodyError, ClientGoneBeforeHead, ClientGoneInBody, Complete, ServiceError,
};

fn request(path: &str) -> Request<String> {
    Request::builder().uri(path).body(String::new()).unwrap()
}

fn timeout() -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::from_secs(5))
}

#[tokio::test(start_paused = true)]
async fn a_timeout_outside_looks_like_a_client_that_went_away() {
    let ends = Ends::new();
    let service = ServiceBuilder::new()
        .layer(timeout())
        .layer(ends.layer())
        .service(Shapes);
    let response = service.oneshot(request("/stall-before-head")).await;
    assert_eq!(response.unwrap().status(), 408);
    assert_eq!(ends.only().brief(), (ClientGoneBeforeHead, None, 0));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_inside_is_seen_as_the_answer_it_gives() {
    let ends = Ends::new();
    let service = ServiceBuilder::new()
        .layer(ends.layer())
        .layer(timeout())
        .service(Shapes);
    let response = service.oneshot(request("/stall-before-head")).await;
    let body = response.unwrap().into_body();
    body.collect().await.unwrap();
    assert_eq!(ends.only().brief(), (Complete, Some(408), 0));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_the_body_is_an_error_inside_and_a_client_gone_outside() {
    let timeout = || ResponseBodyTimeoutLayer::new(Duration::from_secs(5));
    let (outside, inside) = (Ends::new(), Ends::new());
    let service = ServiceBuilder::new()
        .layer(outside.layer())
        .layer(timeout())
        .layer(inside.layer())
        .service(Shapes);
    let response = service.oneshot(request("/stall")).await.unwrap();
    assert!(Box::pin(response.into_body()).collect().await.is_err());
    assert_eq!(outside.only().brief(), (BodyError, Some(200), 3));
    assert_eq!(inside.only().brief(), (ClientGoneInBody, Some(200), 3));
}

#[tokio::test]
async fn bytes_are_the_plain_ones_inside_of_a_compression_and_the_packed_ones_outside() {
    bounded(async {
        let text = "compressible ".repeat(1000);
        let plain = text.len() as u64;
        let (outside, inside) = (Ends::new(), Ends::new());
        let service = ServiceBuilder::new()
            .layer(outside.layer())
            .layer(CompressionLayer::new())
            .layer(inside.layer())
            .service(service_fn(|_: Request<String>| async {
                let body = Full::new(Bytes::from(text.clone()));
                Ok::<_, Infallible>(Response::new(body))
            }));
        let mut request = request("/");
        let gzip = HeaderValue::from_static("gzip");
        request.headers_mut().insert(ACCEPT_ENCODING, gzip);
        let response = service.oneshot(request).await.unwrap();
        assert_eq!(response.headers()["content-encoding"], "gzip");
        let body = response.into_body().collect().await.unwrap();
        let packed = body.to_bytes().len() as u64;
        assert!(0 < packed && packed < plain / 10, "{packed} of {plain}");
        assert_eq!(inside.only().brief(), (Complete, Some(200), plain));
        assert_eq!(outside.only().brief(), (Complete, Some(200), packed));
    })
    .await;
}

#[tokio::test]
async fn a_compressed_body_that_is_thrown_away_is_a_client_gone_on_both_sides() {
    bounded(async {
        let (outside, inside) = (Ends::new(), Ends::new());
        let service = ServiceBuilder::new()
            .layer(outside.layer())
            .layer(CompressionLayer::new())
            .layer(inside.layer())
            .service(Shapes);
        let mut request = request("/streamed");
        let gzip = HeaderValue::from_static("gzip");
        request.headers_mut().insert(ACCEPT_ENCODING, gzip);
        drop(service.oneshot(request).await.unwrap());
        for ends in [outside, inside] {
            assert_eq!(ends.only().brief(), (ClientGoneInBody, Some(200), 0));
        }
    })
    .await;
}

#[derive(Clone)]
struct Fixed;

impl MakeRequestId for Fixed {
    fn make_request_id<B>(&mut self, _: &Request<B>) -> Option<RequestId> {
        Some(RequestId::new(HeaderValue::from_static("seven")))
    }
}

#[tokio::test]
async fn request_ids_and_traces_pass_in_both_orders() {
    bounded(async {
        let ends = Ends::new();
        let outer = ServiceBuilder::new()
            .layer(ends.layer())
            .set_x_request_id(Fixed)
            .layer(TraceLayer::new_for_http())
            .propagate_x_request_id()
            .service(service_fn(infallible));
        let inner = ServiceBuilder::new()
            .set_x_request_id(Fixed)
            .layer(TraceLayer::new_for_http())
            .propagate_x_request_id()
            .layer(ends.layer())
            .service(service_fn(infallible));
        let one = outer.oneshot(request("/streamed")).await.unwrap();
        assert_eq!(one.headers()["x-request-id"], "seven");
        one.into_body().collect().await.unwrap();
        let two = inner.oneshot(request("/streamed")).await.unwrap();
        assert_eq!(two.headers()["x-request-id"], "seven");
        two.into_body().collect().await.unwrap();
        assert_eq!(ends.brief(), [(Complete, Some(200), 6); 2]);
    })
    .await;
}

/// Tries again as often as this, whatever the answer.
#[derive(Clone)]
struct Again(usize);

impl<R, E> Policy<Request<String>, R, E> for Again {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Request<String>, _: &mut Result<R, E>) -> Option<Ready<()>> {
        self.0 = self.0.checked_sub(1)?;
        Some(std::future::ready(()))
    }

    fn clone_request(&mut self, request: &Request<String>) -> Option<Request<String>> {
        Some(request.clone())
    }
}

#[tokio::test]
async fn a_retry_is_one_exchange_outside_and_one_for_each_attempt_inside() {
    bounded(async {
        for (path, attempt, last) in [
            ("/sized", ClientGoneInBody, Complete),
            ("/empty", Complete, Complete),
            ("/fails", ServiceError, ServiceError),
        ] {
            let (outside, inside) = (Ends::new(), Ends::new());
            let service = ServiceBuilder::new()
                .layer(outside.layer())
                .layer(RetryLayer::new(Again(2)))
                .layer(inside.layer())
                .service(Shapes);
            if let Ok(response) = service.oneshot(request(path)).await {
                response.into_body().collect().await.unwrap();
            }
            assert_eq!(outside.only().ending, last, "{path}");
            let attempts: Vec<_> = inside.all().iter().map(|end| end.ending).collect();
            assert_eq!(attempts, [attempt, attempt, last], "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_buffer_outside_or_inside_changes_no_end() {
    bounded(async {
        let (outside, inside) = (Ends::new(), Ends::new());
        let service = ServiceBuilder::new()
            .layer(outside.layer())
            .layer(BufferLayer::new(4))
            .layer(inside.layer())
            .service(Shapes);
        for path in ["/sized", "/streamed"] {
            let response = service.clone().oneshot(request(path)).await.unwrap();
            response.into_body().collect().await.unwrap();
        }
        assert!(service.clone().oneshot(request("/fails")).await.is_err());
        for ends in [&outside, &inside] {
            assert_eq!(
                ends.brief(),
                [
                    (Complete, Some(200), 5),
                    (Complete, Some(200), 6),
                    (ServiceError, None, 0)
                ]
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_boxed_service_is_observed_like_any_other() {
    bounded(async {
        let ends = Ends::new();
        let boxed = BoxCloneSyncService::new(ends.layer().layer(Shapes));
        let twice = BoxCloneSyncService::new(ends.layer().layer(boxed.clone()));
        drop(boxed.oneshot(request("/sized")).await.unwrap());
        assert_eq!(ends.ended(), 1);
        drop(twice.oneshot(request("/sized")).await.unwrap());
        assert_eq!(ends.brief(), [(ClientGoneInBody, Some(200), 0); 3]);
    })
    .await;
}

#[tokio::test]
async fn an_optional_layer_observes_only_if_it_is_there() {
    bounded(async {
        for (there, count) in [(true, 1), (false, 0)] {
            let ends = Ends::new();
            // An optional layer must not change the body's type: both sides are boxed.
            let boxed = |response: Response<ScriptBody>| response.map(BodyExt::boxed);
            let layer = ServiceBuilder::new()
                .map_response(|response: Response<_>| response.map(BodyExt::boxed))
                .layer(ends.layer())
                .into_inner();
            let service = ServiceBuilder::new()
                .option_layer(there.then_some(layer))
                .map_response(boxed)
                .service(Shapes);
            let response = service.oneshot(request("/sized")).await.unwrap();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, "hello");
            assert_eq!((ends.started(), ends.ended()), (count, count));
        }
    })
    .await;
}

#[tokio::test]
async fn an_optional_observer_observes_only_if_it_is_there() {
    bounded(async {
        for (there, count) in [(true, 1), (false, 0)] {
            let ends = Ends::new();
            let service = ends.layer_with(there.then(|| ends.clone())).layer(Shapes);
            let response = service.oneshot(request("/sized")).await.unwrap();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, "hello");
            assert_eq!((ends.started(), ends.ended()), (count, count));
        }
    })
    .await;
}

#[tokio::test]
async fn a_body_replaced_outside_leaves_the_inner_one_unsent() {
    bounded(async {
        let ends = Ends::new();
        let service = ServiceBuilder::new()
            .map_response(|_| response("/streamed"))
            .layer(ends.layer())
            .service(Shapes);
        let response: Response<ScriptBody> = service.oneshot(request("/sized")).await.unwrap();
        response.into_body().collect().await.unwrap();
        assert_eq!(ends.only().brief(), (ClientGoneInBody, Some(200), 0));
    })
    .await;
}

#[tokio::test]
async fn an_error_of_readiness_belongs_to_no_exchange() {
    #[derive(Debug)]
    struct NeverReady;
    impl Service<Request<String>> for NeverReady {
        type Response = Response<ScriptBody>;
        type Error = ShapeError;
        type Future = Ready<Result<Self::Response, ShapeError>>;
        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), ShapeError>> {
            std::task::Poll::Ready(Err(ShapeError))
        }
        fn call(&mut self, _: Request<String>) -> Self::Future {
            panic!("called though not ready");
        }
    }

    let ends = Ends::new();
    let service = ends.layer().layer(NeverReady);
    assert_eq!(service.oneshot(request("/")).await.err(), Some(ShapeError));
    assert_eq!((ends.started(), ends.ended()), (0, 0));
}
