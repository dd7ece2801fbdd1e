//! As many series as a service may come to have: each route asked with each method and answered with each status,
//! through our layer and into a recorder.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use metrics::{Recorder, with_local_recorder};
use tower::{Layer as _, Service as _, service_fn};
use tower_metrics_exporter::Exporter;
use tower_observe::Spec;
use tower_request_metrics::{RequestMetrics, RequestMetricsLayer, Route, names::api};

use benches::route::now;

const METHODS: [Method; 2] = [Method::GET, Method::POST];
const STATUSES: [u16; 5] = [200, 201, 400, 404, 500];

/// The lines of a page for this many routes, without comments: a counter each for what is asked and answered, a gauge
/// each for what is asked, and a route's histograms.
pub fn lines(routes: usize) -> usize {
    let specs = histograms(routes).into_iter();
    // Their buckets, the one without bound, the sum and the count.
    let of_histograms: usize = specs.map(|spec| spec.buckets.len() + 3).sum();
    routes * (METHODS.len() * STATUSES.len() + METHODS.len() + of_histograms)
}

/// Those that these requests have.
pub fn histograms(routes: usize) -> Vec<Spec> {
    let specs = metrics(routes).specs().into_iter();
    specs
        .filter(|spec| {
            [api::REQUEST_DURATION_SECONDS, api::RESPONSE_SIZE_BYTES].contains(&&*spec.name)
        })
        .collect()
}

fn metrics(routes: usize) -> RequestMetrics {
    let builder = RequestMetrics::builder().max_routes(routes);
    builder.build().expect("the defaults can be built")
}

/// Where so many series find their place, as the layer's specifications say.
pub fn exporter(routes: usize) -> Exporter {
    Exporter::builder()
        .specs(metrics(routes).specs())
        .build()
        .expect("the names are unique")
}

/// Sends each request once.
pub fn fill(recorder: &impl Recorder, routes: usize) {
    let layer = RequestMetricsLayer::from(metrics(routes));
    let mut service = layer.layer(service_fn(async |request: Request<()>| {
        let mut response = Response::new(Full::new(Bytes::from_static(b"ok")));
        if let Some(status) = request.extensions().get::<StatusCode>() {
            *response.status_mut() = *status;
        }
        Ok::<_, Infallible>(response)
    }));
    with_local_recorder(recorder, || {
        for route in 0..routes {
            let route = Route::new(format!("/api/v1/projects{route}/scans/{{id}}"));
            for method in &METHODS {
                for status in STATUSES {
                    let mut request = Request::new(());
                    *request.method_mut() = method.clone();
                    request.extensions_mut().insert(route.clone());
                    let status = StatusCode::from_u16(status).expect("it is one");
                    request.extensions_mut().insert(status);
                    now(async {
                        let Ok(response) = service.call(request).await;
                        // An answer that nobody reads is one that the client did not wait for.
                        let Ok(_) = response.into_body().collect().await;
                    });
                }
            }
        }
    });
}
