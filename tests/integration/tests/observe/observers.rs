//! What observers see and change.

use std::sync::Arc;

use http::{HeaderValue, Method, Request, Version};
use test_support::{
    drive::{bounded, poll_frame, read, ready},
    ends::Ends,
    serve,
    shapes::{self, ShapeError, Shapes},
};
use tower::{Layer as _, Service as _, service_fn};
use tower_observe::{End, Exchange, Moment, Observe, ObserveLayer, RequestHead, ResponseHead};

fn request(path: &str) -> Request<()> {
    Request::builder().uri(path).body(()).unwrap()
}

#[test]
fn a_closure_observes_and_so_does_what_it_returns() {
    let ends = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&ends);
    let observer = move |request: &mut RequestHead<'_>| {
        let (seen, path) = (Arc::clone(&seen), request.uri().path().to_owned());
        move |end: &End<'_>| {
            let mut seen = seen.lock().unwrap();
            seen.push((path.clone(), end.ending().as_str()));
        }
    };
    let mut service = ObserveLayer::new(observer).layer(Shapes);
    drop(service.call(request("/sized")));
    assert!(ready(&mut service.call(request("/fails"))).is_err());
    assert_eq!(
        *ends.lock().unwrap(),
        [
            ("/sized".to_owned(), "client_gone_before_head"),
            ("/fails".to_owned(), "service_error"),
        ]
    );
}

#[derive(Clone, Debug, PartialEq)]
struct Token(u8);

/// Hands a token to the service, and changes headers on the way in and out.
#[derive(Clone)]
struct Meddling;

impl Observe for Meddling {
    type Exchange = Self;

    fn start(&self, request: &mut RequestHead<'_>) -> Self {
        request.extensions_mut().insert(Token(7));
        let value = HeaderValue::from_static("in");
        request.headers_mut().insert("x-in", value);
        Self
    }
}

impl Exchange for Meddling {
    fn head(&mut self, response: &mut ResponseHead<'_>) {
        assert_eq!(response.status(), 200);
        assert_eq!(response.extensions_mut().remove::<Token>(), Some(Token(8)));
        let value = HeaderValue::from_static("out");
        response.headers_mut().insert("x-out", value);
    }

    fn end(&self, _: &End<'_>) {}
}

#[test]
fn what_an_observer_puts_into_a_request_or_a_response_arrives() {
    let ends = Ends::new();
    let service = service_fn(|request: Request<()>| async move {
        assert_eq!(request.extensions().get(), Some(&Token(7)));
        assert_eq!(request.headers()["x-in"], "in");
        let mut response = shapes::response("/sized");
        response.extensions_mut().insert(Token(8));
        Ok::<_, ShapeError>(response)
    });
    let mut service = ends.layer_with((Meddling, ends.clone())).layer(service);
    let response = ready(&mut Box::pin(service.call(request("/")))).unwrap();
    assert_eq!(response.headers()["x-out"], "out");
    assert_eq!(response.extensions().get::<Token>(), None);
}

#[tokio::test]
async fn a_header_set_by_an_observer_is_sent() {
    struct Naming;
    impl Exchange for Naming {
        fn head(&mut self, response: &mut ResponseHead<'_>) {
            let value = HeaderValue::from_static("seven");
            response.headers_mut().insert("x-request-id", value);
        }
        fn end(&self, _: &End<'_>) {}
    }

    bounded(async {
        let naming = |_: &mut RequestHead<'_>| Naming;
        let service = ObserveLayer::new(naming).layer(Shapes);
        let mut wire = serve::http1(serve::tcp().await, service);
        wire.get("/sized").await;
        assert!(wire.head().await.contains("x-request-id: seven\r\n"));
    })
    .await;
}

#[test]
fn a_content_length_set_by_an_observer_declares_the_length() {
    struct Declares;
    impl Observe for Declares {
        type Exchange = Self;
        fn start(&self, _: &mut RequestHead<'_>) -> Self {
            Self
        }
    }
    impl Exchange for Declares {
        fn head(&mut self, response: &mut ResponseHead<'_>) {
            let value = HeaderValue::from_static("6");
            response.headers_mut().insert("content-length", value);
        }
        fn end(&self, _: &End<'_>) {}
    }

    let ends = Ends::new();
    let mut service = ends.layer_with((Declares, ends.clone())).layer(Shapes);
    let mut body = ready(&mut service.call(request("/streamed")))
        .unwrap()
        .into_body();
    let _ = (poll_frame(&mut body), poll_frame(&mut body));
    drop(body);
    assert!(ends.only().ending.is_whole());
}

#[test]
fn all_observers_see_one_time_of_the_head() {
    let one = Ends::new().asking_for_the_head();
    let two = Ends::new();
    let mut service = one.layer_with((one.clone(), two.clone())).layer(Shapes);
    drop(ready(&mut service.call(request("/sized"))));
    assert!(one.only().head.is_some());
    assert!(two.only().head.is_some(), "as the other one asked");
}

#[test]
fn heads_are_seen_as_they_are() {
    struct Seeing(Moment);
    impl Exchange for Seeing {
        fn head(&mut self, response: &mut ResponseHead<'_>) {
            assert_eq!(response.status(), 404);
            assert_eq!(response.version(), Version::HTTP_11);
            assert!(response.headers().is_empty());
            assert!(response.extensions().is_empty());
            assert!(format!("{response:?}").contains("404"));
            assert_eq!(response.at(), response.at());
        }
        fn end(&self, end: &End<'_>) {
            assert_eq!(end.started(), self.0);
            assert_eq!(end.time_to_head().unwrap().as_secs(), 0);
            assert_eq!(end.duration().as_secs(), 2);
        }
    }

    let ends = Ends::new();
    let seeing = |request: &mut RequestHead<'_>| {
        assert_eq!(*request.method(), Method::PUT);
        assert_eq!(request.uri(), "/a?b=c");
        assert_eq!(request.version(), Version::HTTP_2);
        assert_eq!(request.headers()["x-a"], "1");
        assert!(request.extensions().is_empty());
        assert!(format!("{request:?}").contains("/a?b=c"));
        Seeing(request.started())
    };
    let mut service = ends.layer_with((seeing, ends.clone())).layer(Shapes);
    let request = Request::put("/a?b=c").version(Version::HTTP_2);
    let request = request.header("x-a", "1").body(()).unwrap();
    let mut body = ready(&mut service.call(request)).unwrap().into_body();
    ends.advance(2);
    read(&mut body).unwrap();
    assert_eq!(ends.only().brief().1, Some(404));
}
