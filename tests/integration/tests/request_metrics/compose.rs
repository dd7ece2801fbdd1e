//! Among other layers.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{Router, body::Body, routing::get};
use http::{Method, Request, Response, StatusCode, header::ACCEPT_ENCODING};
use http_body_util::{BodyExt as _, Full};
use test_support::drive::bounded;
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt as _, service_fn, util::BoxCloneSyncService,
};
use tower_http::{
    catch_panic::CatchPanicLayer, compression::CompressionLayer, timeout::TimeoutLayer,
    trace::TraceLayer,
};
use tower_observe::ObserveLayer;
use tower_request_metrics::{RequestMetrics, Route};

use crate::common::Scene;

type Answer = Response<Full<bytes::Bytes>>;

async fn hello(request: Request<Body>) -> Result<Answer, Infallible> {
    match request.uri().path() {
        "/never" => std::future::pending().await,
        "/panic" => panic!("as asked"),
        _ => Ok(Response::new(Full::from("hello ".repeat(100)))),
    }
}

fn request(path: &'static str) -> Request<Body> {
    let request = Request::builder().uri(path).extension(Route::new(path));
    request
        .header(ACCEPT_ENCODING, "gzip")
        .body(Body::empty())
        .unwrap()
}

/// Serves one request to its end; gives the status.
async fn status<S, B>(service: S, path: &'static str) -> StatusCode
where
    S: Service<Request<Body>, Response = Response<B>, Error: std::fmt::Debug>,
    B: http_body::Body<Error: std::fmt::Debug>,
{
    let response = service.oneshot(request(path)).await.unwrap();
    let status = response.status();
    response.into_body().collect().await.unwrap();
    status
}

fn counted(scene: &Scene, path: &str, status: u16) -> Option<f64> {
    assert_eq!(scene.sum("api_active_requests"), 0.0);
    scene.value(&format!(
        r#"api_requests_total{{method="GET",endpoint="{path}",status="{status}"}}"#
    ))
}

#[tokio::test(start_paused = true)]
async fn outside_of_a_timeout_its_answer_is_seen_and_inside_a_client_gone() {
    let timeout =
        || TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(1));
    let scene = Scene::new();
    let service = scene.layer.layer(timeout().layer(service_fn(hello)));
    assert_eq!(status(service, "/never").await, 504);
    assert_eq!(counted(&scene, "/never", 504), Some(1.0));

    let scene = Scene::new();
    let service = timeout().layer(scene.layer.layer(service_fn(hello)));
    assert_eq!(status(service, "/never").await, 504);
    assert_eq!(counted(&scene, "/never", 499), Some(1.0));
}

#[tokio::test]
async fn a_panic_is_counted_on_both_sides_of_what_catches_it() {
    let scene = Scene::new();
    let service = scene
        .layer
        .layer(CatchPanicLayer::new().layer(service_fn(hello)));
    assert_eq!(status(service, "/panic").await, 500);
    assert_eq!(counted(&scene, "/panic", 500), Some(1.0));
    let scene = Scene::new();
    let service = CatchPanicLayer::new().layer(scene.layer.layer(service_fn(hello)));
    assert_eq!(status(service, "/panic").await, 500);
    assert_eq!(counted(&scene, "/panic", 500), Some(1.0));
}

#[tokio::test]
async fn sizes_are_those_of_the_layer_s_own_side_of_a_compression() {
    let size = |scene: &Scene| scene.sum("api_response_size_bytes_sum");
    let scene = Scene::new();
    let service = CompressionLayer::new().layer(scene.layer.layer(service_fn(hello)));
    assert_eq!(status(service, "/").await, 200);
    assert_eq!(
        (counted(&scene, "/", 200), size(&scene)),
        (Some(1.0), 600.0)
    );
    let scene = Scene::new();
    let service = scene
        .layer
        .layer(CompressionLayer::new().layer(service_fn(hello)));
    assert_eq!(status(service, "/").await, 200);
    assert_eq!(counted(&scene, "/", 200), Some(1.0));
    assert!(size(&scene) < 100.0);
}

#[tokio::test]
async fn a_trace_layer_may_stand_on_either_side() {
    let scene = Scene::new();
    let service = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http())
        .layer(scene.layer.clone())
        .layer(TraceLayer::new_for_http())
        .service_fn(hello);
    assert_eq!(status(service, "/").await, 200);
    assert_eq!(counted(&scene, "/", 200), Some(1.0));
}

#[derive(Clone)]
struct Twice(usize);

impl<E> tower::retry::Policy<Request<()>, Response<ScriptedBody>, E> for Twice {
    type Future = std::future::Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<()>,
        result: &mut Result<Response<ScriptedBody>, E>,
    ) -> Option<Self::Future> {
        let failed = result
            .as_ref()
            .is_ok_and(|response| response.status().is_server_error());
        self.0 = self.0.checked_sub(usize::from(failed))?;
        failed.then(|| std::future::ready(()))
    }

    fn clone_request(&mut self, request: &Request<()>) -> Option<Request<()>> {
        Some(request.clone())
    }
}

type ScriptedBody =
    tower_observe::ResponseBody<Full<bytes::Bytes>, tower_request_metrics::Recording>;

#[tokio::test]
async fn inside_of_a_retry_each_attempt_is_counted() {
    let scene = Scene::new();
    let attempts = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let flaky = service_fn(move |_: Request<()>| {
        let attempt = attempts.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let mut response = Answer::new(Full::default());
        if attempt < 2 {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let service = tower::retry::Retry::new(Twice(5), scene.layer.layer(flaky));
    let request = Request::builder()
        .extension(Route::new("/"))
        .body(())
        .unwrap();
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    drop(response);
    assert_eq!(counted(&scene, "/", 503), Some(2.0));
    assert_eq!(counted(&scene, "/", 200), Some(1.0));
}

#[tokio::test]
async fn buffers_and_boxes_may_stand_on_either_side() {
    bounded(async {
        let scene = Scene::new();
        let inner = BoxCloneSyncService::new(service_fn(hello));
        let service = scene.layer.layer(tower::buffer::Buffer::new(inner, 4));
        let service = BoxCloneSyncService::new(service);
        let service = tower::buffer::Buffer::new(service, 4);
        assert_eq!(status(service.clone(), "/").await, 200);
        assert_eq!(status(service, "/").await, 200);
        assert_eq!(counted(&scene, "/", 200), Some(2.0));
    })
    .await;
}

#[tokio::test]
async fn on_an_axum_route_and_around_a_whole_router_it_may_stand_twice() {
    let (inner, outer) = (Scene::new(), Scene::new());
    let app = Router::new()
        .route("/a", get(async || "a").layer(inner.layer.clone()))
        .layer(outer.layer.clone());
    let request = Request::builder()
        .method(Method::GET)
        .uri("/a")
        .body(Body::empty())
        .unwrap();
    app.oneshot(request)
        .await
        .unwrap()
        .into_body()
        .collect()
        .await
        .unwrap();
    for scene in [inner, outer] {
        assert_eq!(counted(&scene, "/a", 200), Some(1.0));
    }
}

#[tokio::test]
async fn in_a_tuple_of_observers_it_records_the_same() {
    let (recorder, other) = (Arc::new(crate::common::recorder()), Scene::new());
    let handle = recorder.handle();
    let metrics = RequestMetrics::builder()
        .recorder(recorder)
        .build()
        .unwrap();
    let both = (metrics, (), Some(other.layer.metrics().clone()));
    let service = ObserveLayer::new(both).layer(service_fn(hello));
    assert_eq!(status(service, "/").await, 200);
    let without_time = |mut lines: Vec<String>| {
        lines.retain(|line| !line.contains("_sum{") || line.contains("bytes"));
        lines
    };
    assert_eq!(
        without_time(crate::common::lines(&handle)),
        without_time(other.lines())
    );
    assert_eq!(counted(&other, "/", 200), Some(1.0));
}
