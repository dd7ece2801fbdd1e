//! Among layers that end a request in their own way, inside of ours and outside.

use std::{convert::Infallible, time::Duration};

use axum::{Router, routing::get};
use http::StatusCode;
use test_support::{
    drive::bounded,
    serve,
    shapes::{self, Shapes},
};
use tower::{Layer as _, service_fn};
use tower_http::{
    catch_panic::CatchPanicLayer,
    timeout::{ResponseBodyTimeoutLayer, TimeoutLayer},
};

use super::{MODES, Scene, brief, counted};

#[tokio::test]
async fn a_panic_that_a_layer_inside_makes_an_answer_is_a_complete_answer() {
    bounded(async {
        for mode in MODES {
            for path in ["/panic-in-call", "/panic-in-poll"] {
                let scene = Scene::new(mode);
                let service = scene.service(CatchPanicLayer::new().layer(Shapes));
                let mut wire = serve::http1(serve::tcp().await, service);
                wire.get(path).await;
                let mut response = wire.head().await;
                response += &wire.until("Service panicked").await;
                let line = scene.line().await;
                let expected = ("complete", 500, counted(&response), "ERROR");
                assert_eq!(brief(&line), expected, "{mode:?} {path}");
                wire.close().await.unwrap().unwrap();
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_panic_that_a_layer_outside_makes_an_answer_is_a_panic() {
    bounded(async {
        for mode in MODES {
            for path in ["/panic-in-call", "/panic-in-poll"] {
                let scene = Scene::new(mode);
                let service = CatchPanicLayer::new().layer(scene.service(Shapes));
                let mut wire = serve::http1(serve::tcp().await, service);
                wire.get(path).await;
                let head = wire.head().await;
                assert!(head.starts_with("HTTP/1.1 500 "), "{head}");
                wire.until("Service panicked").await;
                let line = scene.line().await;
                // What the client got is not this layer's.
                assert_eq!(brief(&line), ("panic", 500, 0, "ERROR"), "{mode:?} {path}");
                wire.close().await.unwrap().unwrap();
            }
        }
    })
    .await;
}

/// It is over before the handler is, which never is.
fn timeout() -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::from_millis(1))
}

#[tokio::test]
async fn a_timeout_inside_is_a_complete_answer_and_one_outside_is_a_client_that_goes() {
    bounded(async {
        for mode in MODES {
            let router = |layer: bool| {
                let router = Router::new().route("/slow", get(std::future::pending::<()>));
                if layer {
                    router.layer(timeout())
                } else {
                    router
                }
            };
            let scene = Scene::new(mode);
            let mut wire = serve::http1(serve::tcp().await, scene.service(router(true)));
            wire.get("/slow").await;
            let head = wire.head().await;
            assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
            let expected = ("complete", 408, counted(&head), "INFO");
            assert_eq!(brief(&scene.line().await), expected, "{mode:?}");
            wire.close().await.unwrap().unwrap();

            let scene = Scene::new(mode);
            let service = timeout().layer(scene.service(router(false)));
            let mut wire = serve::http1(serve::tcp().await, service);
            wire.get("/slow").await;
            let head = wire.head().await;
            assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
            let expected = ("client_gone_before_head", 499, 0, "INFO");
            assert_eq!(brief(&scene.line().await), expected, "{mode:?}");
            wire.close().await.unwrap().unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_body_that_times_out_is_one_with_an_error() {
    bounded(async {
        for mode in MODES {
            let scene = Scene::new(mode);
            let stalls = service_fn(|_| async { Ok::<_, Infallible>(shapes::response("/stall")) });
            let layer = ResponseBodyTimeoutLayer::new(Duration::from_millis(1));
            let service = scene.service(layer.layer(stalls));
            let mut wire = serve::http1(serve::tcp().await, service);
            wire.get("/stall").await;
            let response = wire.rest().await;
            assert!(response.ends_with("3\r\none\r\n"), "{response}");
            let expected = ("body_error", 500, counted(&response), "ERROR");
            assert_eq!(brief(&scene.line().await), expected, "{mode:?}");
            drop(wire.served().await);
        }
    })
    .await;
}
