//! Over real connections, and from many threads at once.

use std::convert::Infallible;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use test_support::{body::ScriptBody, drive::bounded, serve};
use tower::{Layer as _, service_fn};
use tower_request_metrics::{Route, RouteTable};

use crate::common::{Scene, counted, finish};

async fn hello(request: Request<Incoming>) -> Result<Response<ScriptBody>, Infallible> {
    let mut response = Response::new(ScriptBody::of(["hello"]));
    match request.uri().path() {
        "/never" => std::future::pending().await,
        "/long" => *response.body_mut() = ScriptBody::of(["hello"]).stall(),
        "/upgrade" => {
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            response
                .headers_mut()
                .insert("upgrade", "echo".parse().unwrap());
            response
                .headers_mut()
                .insert("connection", "upgrade".parse().unwrap());
        }
        _ => {}
    }
    Ok(response)
}

fn scene() -> Scene {
    let table = RouteTable::new(["/hello", "/never", "/long", "/upgrade"]).unwrap();
    Scene::with(|builder| builder.routes(table))
}

async fn until_active(scene: &Scene, active: f64) {
    while (scene.sum("api_active_requests") - active).abs() > 0.0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn over_http1_clients_that_leave_before_and_in_the_body_are_counted_once_each() {
    bounded(async {
        let scene = scene();
        for _ in 0..20 {
            let mut wire = serve::http1(serve::tcp().await, scene.layer.layer(service_fn(hello)));
            wire.get("/never").await;
            until_active(&scene, 1.0).await;
            drop(wire.reset().await);
            let mut wire = serve::http1(serve::tcp().await, scene.layer.layer(service_fn(hello)));
            wire.get("/long").await;
            wire.until("hello").await;
            drop(wire.reset().await);
        }
        until_active(&scene, 0.0).await;
        assert_eq!(counted(&scene, "/never", 499), Some(20.0));
        assert_eq!(counted(&scene, "/long", 499), Some(20.0));
        assert_eq!(scene.sum("api_requests_total"), 40.0);
    })
    .await;
}

#[tokio::test]
async fn over_http2_clients_that_leave_before_and_in_the_body_are_counted_once_each() {
    bounded(async {
        let scene = scene();
        let service = scene.layer.layer(service_fn(hello));
        let mut client = serve::http2(serve::tcp().await, service).await;
        for _ in 0..20 {
            let call = client.get("/never");
            until_active(&scene, 1.0).await;
            drop(call);
            until_active(&scene, 0.0).await;
            let mut response = client.get("/long").await.unwrap();
            let frame = http_body_util::BodyExt::frame(response.body_mut()).await;
            assert!(frame.is_some());
            drop(response);
            until_active(&scene, 0.0).await;
        }
        assert_eq!(counted(&scene, "/never", 499), Some(20.0));
        assert_eq!(counted(&scene, "/long", 499), Some(20.0));
        assert_eq!(scene.sum("api_requests_total"), 40.0);
    })
    .await;
}

#[tokio::test]
async fn an_upgraded_connection_is_an_upgrade() {
    bounded(async {
        let scene = scene();
        let mut wire = serve::http1(serve::memory(), scene.layer.layer(service_fn(hello)));
        wire.send(
            "GET /upgrade HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n",
        )
        .await;
        assert!(wire.head().await.starts_with("HTTP/1.1 101"));
        drop(wire.close().await);
        assert_eq!(counted(&scene, "/upgrade", 101), Some(1.0));
        assert_eq!(scene.sum("api_upgrades_total"), 1.0);
        assert_eq!(
            scene.of("api_request_duration_seconds"),
            Vec::<String>::new()
        );
        assert_eq!(scene.sum("api_active_requests"), 0.0);
    })
    .await;
}

#[test]
fn what_many_threads_record_at_once_adds_up() {
    const THREADS: usize = 4;
    const REQUESTS: usize = 2000;
    let scene = Scene::with(|builder| builder.max_routes(64));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut service = scene.layer_over_anything();
                for number in 0..REQUESTS {
                    let route = Route::new(format!("/{}", number % 80));
                    let request = Request::builder().extension(route).body(()).unwrap();
                    finish(&mut service, request);
                }
            });
        }
    });
    assert_eq!(scene.sum("api_requests_total"), (THREADS * REQUESTS) as f64);
    assert_eq!(
        scene.sum("api_request_duration_seconds_count"),
        (THREADS * REQUESTS) as f64
    );
    assert_eq!(scene.sum("api_active_requests"), 0.0);
    let other = counted(&scene, "_OTHER", 200);
    assert_eq!(other, Some(scene.sum("api_label_overflow_total")));
    assert!(scene.of("api_requests_total").len() <= 65);
}
