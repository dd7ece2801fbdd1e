//! Where the route of a request comes from.

use std::convert::Infallible;

use axum::{Router, body::Body, routing::get};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use test_support::drive::ready;
use tower::{Layer as _, Service, ServiceExt as _, service_fn};
use tower_request_metrics::{Route, RouteTable, RouteTagLayer};

use crate::common::{Scene, finish};

async fn go<S, B>(service: S, path: &str)
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body,
{
    let request = Request::builder().uri(path).body(Body::empty()).unwrap();
    let response = service.oneshot(request).await.unwrap();
    let _ = response.into_body().collect().await;
}

/// What the requests so far were counted as: route, status, how many.
fn counted(scene: &Scene) -> Vec<String> {
    let lines = scene.of("api_requests_total");
    let brief = |line: &String| {
        line.replace(r#"api_requests_total{method="GET",endpoint=""#, "")
            .replace(r#"",status=""#, " ")
            .replace(r#""}"#, "")
    };
    assert_eq!(scene.sum("api_active_requests"), 0.0);
    lines.iter().map(brief).collect()
}

fn users() -> Router {
    Router::new().route("/users/{id}", get(async || "user"))
}

#[test]
fn a_route_in_the_extensions_names_it() {
    let scene = Scene::new();
    for template in [
        Route::new("/a/{b}"),
        Route::new("/a/{b}".to_owned()),
        Route::new("_OTHER"),
    ] {
        let request = Request::builder().uri("/a/1").extension(template);
        finish(&mut scene.layer_over_anything(), request.body(()).unwrap());
    }
    assert_eq!(counted(&scene), ["/a/{b} 200 2", "_OTHER 200 1"]);
}

#[tokio::test]
async fn in_a_router_the_matched_path_names_the_route_and_the_fallback_is_other() {
    let scene = Scene::new();
    let app = users().layer(scene.layer.clone());
    for path in ["/users/1", "/users/2", "/none", "/users"] {
        go(app.clone(), path).await;
    }
    assert_eq!(counted(&scene), ["/users/{id} 200 2", "_OTHER 404 2"]);
}

#[tokio::test]
async fn on_the_routes_of_a_router_only_those_are_seen() {
    let scene = Scene::new();
    let app = users().route_layer(scene.layer.clone());
    for path in ["/users/1", "/none"] {
        go(app.clone(), path).await;
    }
    assert_eq!(counted(&scene), ["/users/{id} 200 1"]);
}

#[tokio::test]
async fn nested_routers_give_the_whole_template() {
    let scene = Scene::new();
    let app = Router::new()
        .nest("/api/{version}", users())
        .layer(scene.layer.clone());
    go(app.clone(), "/api/v1/users/7").await;
    go(app, "/api/v1/none").await;
    assert_eq!(
        counted(&scene),
        ["/api/{version}/users/{id} 200 1", "_OTHER 404 1"]
    );
}

#[tokio::test]
async fn routers_that_share_a_route_or_make_its_path_anew_count_as_one() {
    let scene = Scene::new();
    let inner = || users().layer(scene.layer.clone());
    // A router that is mounted as a service joins the two paths for every request.
    let mounted = Router::new().nest_service("/api", inner());
    let nested = Router::new().nest("/api", inner());
    for _ in 0..5 {
        for app in [&mounted, &nested] {
            go(app.clone(), "/api/users/7").await;
        }
        go(inner(), "/users/7").await;
    }
    assert_eq!(
        counted(&scene),
        ["/api/users/{id} 200 10", "/users/{id} 200 5"]
    );
}

fn files()
-> impl Service<Request<Body>, Response = Response<Full<bytes::Bytes>>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ Sync
+ 'static {
    service_fn(|_: Request<Body>| {
        std::future::ready(Ok(Response::new(Full::<bytes::Bytes>::from("a file"))))
    })
}

#[tokio::test]
async fn a_mounted_service_is_named_by_the_table() {
    let table = RouteTable::new(["/static/{*path}"]).unwrap();
    let scene = Scene::with(|builder| builder.routes(table));
    let app = users()
        .nest_service("/static", files())
        .layer(scene.layer.clone());
    for path in ["/static/a.css", "/static/b/c.js", "/users/1"] {
        go(app.clone(), path).await;
    }
    assert_eq!(
        counted(&scene),
        ["/static/{*path} 200 2", "/users/{id} 200 1"]
    );

    let without = Scene::new();
    let app = Router::new()
        .nest_service("/static", files())
        .layer(without.layer.clone());
    go(app, "/static/a.css").await;
    assert_eq!(counted(&without), ["_OTHER 200 1"]);
}

#[tokio::test]
async fn outside_of_a_router_the_table_names_the_routes() {
    let table = RouteTable::new(["/users/{id}"]).unwrap();
    let scene = Scene::with(|builder| builder.routes(table));
    let app = scene.layer.layer(users());
    for path in ["/users/1", "/none"] {
        go(app.clone(), path).await;
    }
    assert_eq!(counted(&scene), ["/users/{id} 200 1", "_OTHER 404 1"]);
    let active = r#"api_active_requests{method="GET",endpoint="/users/{id}"}"#;
    assert_eq!(scene.value(active), Some(0.0));
}

#[tokio::test]
async fn a_tag_carries_the_route_out_of_the_router() {
    let scene = Scene::new();
    let inner = Router::new()
        .nest("/api", users())
        .merge(users())
        .route_layer(RouteTagLayer::new());
    let app = scene.layer.layer(inner);
    for path in ["/users/1", "/api/users/2", "/none"] {
        go(app.clone(), path).await;
    }
    assert_eq!(
        counted(&scene),
        ["/api/users/{id} 200 1", "/users/{id} 200 1", "_OTHER 404 1"]
    );
    // Active it was under the one name that was known at the start.
    assert_eq!(
        scene.of("api_active_requests"),
        [r#"api_active_requests{method="GET",endpoint="_OTHER"} 0"#]
    );
    let timed = r#"api_request_duration_seconds_count{endpoint="/users/{id}"}"#;
    assert_eq!(scene.value(timed), Some(1.0));
}

#[test]
fn a_tag_carries_a_route_and_leaves_one_that_is_there() {
    let scene = Scene::new();
    let own = service_fn(|request: Request<()>| {
        let mut response = Response::new(Full::<bytes::Bytes>::from("x"));
        if request.uri().path() == "/own" {
            response.extensions_mut().insert(Route::new("/its/own"));
        }
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let mut service = scene.layer.layer(tower::util::MapRequest::new(
        RouteTagLayer::new().layer(own),
        |mut request: Request<()>| {
            request.extensions_mut().insert(Route::new("/tagged"));
            request
        },
    ));
    for path in ["/own", "/other"] {
        let request = Request::builder().uri(path).body(()).unwrap();
        let response = ready(&mut service.call(request)).unwrap();
        assert_eq!(scene.sum("api_active_requests"), 1.0);
        drop(response);
    }
    assert_eq!(counted(&scene), ["/its/own 499 1", "/tagged 499 1"]);
}

#[test]
fn a_tag_passes_errors_and_responses_without_a_route() {
    let mut service = RouteTagLayer::new().layer(service_fn(|request: Request<()>| {
        std::future::ready(match request.uri().path() {
            "/error" => Err("no"),
            _ => Ok(Response::new(())),
        })
    }));
    let request = |path| Request::builder().uri(path).body(()).unwrap();
    assert_eq!(
        ready(&mut service.call(request("/error"))).unwrap_err(),
        "no"
    );
    let response = ready(&mut service.call(request("/"))).unwrap();
    assert!(response.extensions().is_empty());
}

#[tokio::test]
async fn a_route_is_carried_out_though_the_layer_is_gone_by_then() {
    let recorder = crate::common::recorder();
    let handle = recorder.handle();
    let metrics =
        tower_request_metrics::RequestMetrics::builder().recorder(std::sync::Arc::new(recorder));
    let layer = tower_request_metrics::RequestMetricsLayer::from(metrics.build().unwrap());
    let app = layer.layer(users().route_layer(RouteTagLayer::new()));
    drop(layer);
    // `oneshot` drops the service before it waits.
    go(app, "/users/1").await;
    let counted = r#"api_requests_total{method="GET",endpoint="/users/{id}",status="200"} 1"#;
    assert!(crate::common::lines(&handle).contains(&counted.to_owned()));
}
