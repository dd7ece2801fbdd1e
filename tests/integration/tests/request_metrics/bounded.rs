//! No client can add series.

use std::{borrow::Cow, convert::Infallible, future::ready};

use http::{HeaderName, Method, Request, Response, StatusCode};
use tower::{Layer as _, service_fn};
use tower_request_metrics::{Instrument, Label, Route, RouteTable};

use crate::common::{Scene, finish};

fn request(path: &str) -> http::request::Builder {
    Request::builder().uri(path)
}

#[test]
fn five_thousand_paths_are_one_route() {
    let table = RouteTable::new(["/whole"]).unwrap();
    let scene = Scene::with(|builder| builder.routes(table));
    let mut service = scene.layer_over_anything();
    finish(&mut service, request("/whole").body(()).unwrap());
    finish(&mut service, request("/random").body(()).unwrap());
    let before = scene.lines().len();
    for number in 0..5000 {
        let path = format!("/random/{number}");
        finish(&mut service, request(&path).body(()).unwrap());
    }
    assert_eq!(scene.lines().len(), before);
    let other = r#"api_requests_total{method="GET",endpoint="_OTHER",status="200"}"#;
    assert_eq!(scene.value(other), Some(5001.0));
    assert_eq!(
        scene.of("api_label_overflow"),
        Vec::<String>::new(),
        "unmatched is not over budget"
    );
}

#[test]
fn five_thousand_methods_are_one_method() {
    let scene = Scene::new();
    let mut service = scene.layer_over_anything();
    finish(&mut service, request("/").method("M").body(()).unwrap());
    let before = scene.lines().len();
    for number in 0..5000 {
        let method = Method::from_bytes(format!("M{number}").as_bytes()).unwrap();
        finish(&mut service, request("/").method(method).body(()).unwrap());
    }
    assert_eq!(scene.lines().len(), before);
    let other = r#"api_requests_total{method="_OTHER",endpoint="_OTHER",status="200"}"#;
    assert_eq!(scene.value(other), Some(5001.0));
}

#[test]
fn the_known_methods_can_be_replaced() {
    let scene = Scene::with(|builder| builder.methods(["GET", "PURGE"]));
    let mut service = scene.layer_over_anything();
    for method in ["GET", "PURGE", "POST", "get"] {
        finish(&mut service, request("/").method(method).body(()).unwrap());
    }
    let count = |method: &str| {
        scene.value(&format!(
            r#"api_requests_total{{method="{method}",endpoint="_OTHER",status="200"}}"#
        ))
    };
    assert_eq!(
        (count("GET"), count("PURGE"), count("_OTHER")),
        (Some(1.0), Some(1.0), Some(2.0))
    );
}

#[test]
fn routes_over_the_budget_are_other_and_counted() {
    let scene = Scene::with(|builder| builder.max_routes(2));
    let mut service = scene.layer_over_anything();
    for number in 0..10 {
        let route = Route::new(format!("/{number}"));
        finish(
            &mut service,
            request("/").extension(route).body(()).unwrap(),
        );
    }
    // One that is known stays known.
    finish(
        &mut service,
        request("/").extension(Route::new("/1")).body(()).unwrap(),
    );
    assert_eq!(
        scene.of("api_requests_total"),
        [
            r#"api_requests_total{method="GET",endpoint="/0",status="200"} 1"#,
            r#"api_requests_total{method="GET",endpoint="/1",status="200"} 2"#,
            r#"api_requests_total{method="GET",endpoint="_OTHER",status="200"} 8"#,
        ]
    );
    let overflow = r#"api_label_overflow_total{label="endpoint"}"#;
    assert_eq!(scene.value(overflow), Some(8.0));
    assert_eq!(scene.sum("api_active_requests"), 0.0);
}

fn tenant() -> Label {
    Label::request_header("tenant", HeaderName::from_static("x-tenant"))
}

#[test]
fn a_label_takes_its_first_values_and_counts_the_rest() {
    let scene = Scene::with(|builder| builder.label(tenant().max_values(2)));
    let mut service = scene.layer_over_anything();
    for number in 0..100 {
        let request = request("/").header("x-tenant", format!("t{number}"));
        finish(&mut service, request.body(()).unwrap());
    }
    let count = |tenant: &str| {
        scene.value(&format!(
            r#"api_requests_total{{method="GET",endpoint="_OTHER",status="200",tenant="{tenant}"}}"#
        ))
    };
    assert_eq!(
        (count("t0"), count("t1"), count("_OTHER")),
        (Some(1.0), Some(1.0), Some(98.0))
    );
    assert_eq!(
        scene.value(r#"api_label_overflow_total{label="tenant"}"#),
        Some(98.0)
    );
    assert_eq!(scene.of("api_requests_total").len(), 3);
}

#[test]
fn a_label_with_a_list_takes_only_what_is_on_it() {
    let long = "x".repeat(200);
    let scene =
        Scene::with(|builder| builder.label(tenant().allow(["a".to_owned(), long.clone()])));
    let mut service = scene.layer_over_anything();
    for tenant in ["a", "b", "c", &long] {
        finish(
            &mut service,
            request("/").header("x-tenant", tenant).body(()).unwrap(),
        );
    }
    let count = |tenant: &str| {
        scene.value(&format!(
            r#"api_requests_total{{method="GET",endpoint="_OTHER",status="200",tenant="{tenant}"}}"#
        ))
    };
    assert_eq!(
        (count("a"), count("_OTHER"), count(&long)),
        (Some(1.0), Some(2.0), Some(1.0))
    );
    assert_eq!(scene.of("api_label_overflow"), Vec::<String>::new());
}

#[test]
fn a_request_without_a_value_has_no_such_label() {
    let scene = Scene::with(|builder| builder.label(tenant()));
    finish(
        &mut scene.layer_over_anything(),
        request("/").body(()).unwrap(),
    );
    assert_eq!(
        scene.of("api_requests_total"),
        [r#"api_requests_total{method="GET",endpoint="_OTHER",status="200"} 1"#]
    );
}

#[derive(Clone)]
struct Plan(&'static str);

#[test]
fn labels_come_from_extensions_functions_and_responses() {
    let plan = Label::request("plan", |request| {
        Some(Cow::Borrowed(request.extensions().get::<Plan>()?.0))
    });
    let cache = Label::response_header("cache", HeaderName::from_static("x-cache"));
    let kind = Label::response("kind", |response| {
        Some(
            if response.status().is_success() {
                "good"
            } else {
                "bad"
            }
            .into(),
        )
    })
    .on([
        Instrument::Duration,
        Instrument::Requests,
        Instrument::Active,
    ]);
    let scene = Scene::with(|builder| builder.label(plan).label(cache).label(kind));
    finish(
        &mut scene.layer_over_anything(),
        request("/").extension(Plan("gold")).body(()).unwrap(),
    );
    let labels =
        r#"{method="GET",endpoint="_OTHER",status="200",plan="gold",cache="hit",kind="good"}"#;
    assert_eq!(
        scene.of("api_requests_total"),
        [format!("api_requests_total{labels} 1")]
    );
    let timed = r#"api_request_duration_seconds_count{endpoint="_OTHER",kind="good"}"#;
    assert_eq!(scene.value(timed), Some(1.0));
    assert_eq!(
        scene.of("api_active_requests"),
        [r#"api_active_requests{method="GET",endpoint="_OTHER"} 0"#]
    );
}

#[test]
fn what_is_skipped_leaves_no_series() {
    let scene = Scene::with(|builder| {
        builder
            .skip(|request| request.uri().path() == "/health")
            .skip_routes(["/metrics"])
    });
    let mut service = scene.layer_over_anything();
    finish(&mut service, request("/health").body(()).unwrap());
    let metrics = request("/metrics").extension(Route::new("/metrics"));
    finish(&mut service, metrics.body(()).unwrap());
    assert_eq!(scene.lines(), Vec::<String>::new());
    finish(&mut service, request("/metrics").body(()).unwrap());
    assert_eq!(scene.sum("api_requests_total"), 1.0);
    // Also once there are series.
    finish(&mut service, request("/health").body(()).unwrap());
    assert_eq!(scene.sum("api_requests_total"), 1.0);
}

#[test]
fn templates_of_a_table_over_the_budget_are_counted_every_time() {
    let table = RouteTable::new(["/a", "/b", "/c"]).unwrap();
    let scene = Scene::with(|builder| builder.routes(table).max_routes(1));
    let mut service = scene.layer_over_anything();
    for path in ["/b", "/a", "/b", "/c", "/a"] {
        finish(&mut service, request(path).body(()).unwrap());
    }
    assert_eq!(
        scene.of("api_requests_total"),
        [
            r#"api_requests_total{method="GET",endpoint="/b",status="200"} 2"#,
            r#"api_requests_total{method="GET",endpoint="_OTHER",status="200"} 3"#,
        ]
    );
    let overflow = r#"api_label_overflow_total{label="endpoint"}"#;
    assert_eq!(scene.value(overflow), Some(3.0));
}

#[test]
fn many_methods_and_statuses_of_one_route_are_told_apart() {
    const STATUSES: [u16; 12] = [200, 201, 202, 203, 206, 300, 301, 400, 404, 422, 500, 503];
    let methods: Vec<_> = (0..30).map(|number| format!("M{number}")).collect();
    let scene = Scene::with(|builder| builder.methods(methods.clone()));
    let mut service = scene.layer.layer(service_fn(|request: Request<()>| {
        let mut response = Response::new(String::new());
        *response.status_mut() = *request.extensions().get().expect("a status");
        ready(Ok::<_, Infallible>(response))
    }));
    for turn in 1..=3 {
        for method in &methods {
            for status in STATUSES {
                let status = StatusCode::from_u16(status).unwrap();
                let request = request("/").method(&**method).extension(status);
                let request = request.extension(Route::new("/one"));
                finish(&mut service, request.body(()).unwrap());
            }
        }
        let lines = scene.of("api_requests_total");
        assert_eq!(lines.len(), methods.len() * STATUSES.len());
        let count = format!(" {turn}");
        assert!(lines.iter().all(|line| line.ends_with(&count)), "{lines:?}");
        let active = scene.of("api_active_requests");
        assert_eq!(active.len(), methods.len());
        assert!(active.iter().all(|line| line.ends_with(" 0")), "{active:?}");
    }
}

#[test]
fn an_exporter_is_told_how_many_series_there_may_be() {
    let scene = Scene::with(|builder| builder.max_routes(100));
    let specs = scene.layer.specs();
    let most = |name: &str| {
        let spec = specs.iter().find(|spec| spec.name == name);
        spec.unwrap().max_series
    };
    // Routes and `_OTHER`; methods and `_OTHER`; statuses.
    assert_eq!(most("api_requests_total"), Some(101 * 11 * 16));
    assert_eq!(most("api_request_duration_seconds"), Some(101));
}

/// The formula of the crate's documentation, with buckets of two bounds.
#[test]
fn series_are_as_many_as_the_formula_says() {
    let (methods, statuses) = ([Method::GET, Method::PUT], [200, 404, 503]);
    for routes in [1, 7] {
        let scene = Scene::new();
        let mut service = scene.layer.layer(service_fn(|request: Request<()>| {
            let mut response = Response::new(String::from("body"));
            *response.status_mut() = *request.extensions().get::<StatusCode>().unwrap();
            ready(Ok::<_, Infallible>(response))
        }));
        for route in 0..routes {
            for method in &methods {
                for status in statuses {
                    let request = request("/")
                        .method(method)
                        .extension(Route::new(format!("/route{route}")))
                        .extension(StatusCode::from_u16(status).unwrap());
                    finish(&mut service, request.body(()).unwrap());
                }
            }
        }
        let histograms = 2 * (2 + 3);
        let counted = methods.len() * statuses.len() + methods.len() + histograms;
        assert_eq!(scene.of("api_").len(), routes * counted);
    }
}
