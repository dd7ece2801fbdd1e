//! A request's line allocates nothing, through `tracing` and directly.

use std::{
    convert::Infallible,
    io,
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Full};
use test_support::alloc::{self, CountingAllocator};
use tower::{Layer as _, Service, service_fn};
use tower_json_logging::{JsonLayer, JsonLogging, JsonLoggingLayer, Sample};
use tracing_subscriber::layer::SubscriberExt as _;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

async fn hello(_: Request<()>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::from("hello"));
    let text = HeaderValue::from_static("text/plain");
    response.headers_mut().insert(CONTENT_TYPE, text);
    Ok(response)
}

/// Allocations of a thousand requests.
fn allocations<S, B>(mut service: S) -> u64
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body<Error = Infallible>,
{
    let mut send = || {
        let exchange = async {
            let response = service.call(Request::new(())).await.unwrap();
            drop(response.into_body().collect().await);
        };
        let polled = pin!(exchange).poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Ready(()));
    };
    (0..5000).for_each(|_| send());
    alloc::count(|| (0..1000).for_each(|_| send())).allocations
}

#[test]
fn a_line_allocates_nothing_but_ids_many_at_once() {
    let bare = allocations(service_fn(hello));

    let layer = JsonLayer::new(io::sink);
    let direct = JsonLoggingLayer::from(JsonLogging::new().direct(&layer));
    let direct = allocations(direct.layer(service_fn(hello)));

    let subscriber = tracing_subscriber::registry().with(JsonLayer::new(io::sink));
    let through = tracing::subscriber::with_default(subscriber, || {
        allocations(JsonLoggingLayer::new().layer(service_fn(hello)))
    });

    // What a request began goes on after it, as a scan behind a 202.
    let subscriber = tracing_subscriber::registry().with(JsonLayer::new(io::sink));
    let outlived = tracing::subscriber::with_default(subscriber, || {
        let mut last = tracing::Span::none();
        let service = service_fn(|request| {
            last = tracing::error_span!("scan");
            hello(request)
        });
        allocations(JsonLoggingLayer::new().layer(service))
    });

    let sampled = JsonLogging::new().sample(Sample::one_in(u32::MAX));
    let sampled = allocations(JsonLoggingLayer::from(sampled).layer(service_fn(hello)));

    // Two for each 64 ids.
    let most = bare + 1000 / 32 + 2;
    assert!(direct <= most, "{direct} of {bare}");
    assert!(through <= most, "{through} of {bare}");
    assert!(outlived <= most, "{outlived} of {bare}");
    assert!(sampled <= most, "{sampled} of {bare}");
}
