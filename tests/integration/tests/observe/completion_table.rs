//! The completion table's rows about the service and the head, driven by hand, with exact times.

use http::{Method, Request, Response, StatusCode};
use test_support::{
    body::ScriptBody,
    drive::{poll, poll_frame, read, ready},
    ends::{Ended, Ends},
    shapes::{self, ShapeError},
};
use tower::{Layer as _, Service as _, service_fn};
use tower_observe::{Ending, Observe, ResponseBody};

use crate::common::{Gate, duration};

pub type Body = ResponseBody<ScriptBody, <Ends as Observe>::Exchange>;

/// Called at second 1, answered at second 2.
pub fn answer(ends: &Ends, method: Method, response: Response<ScriptBody>) -> Response<Body> {
    ends.advance(1);
    let gate = Gate::default();
    let mut service = ends.layer().layer(gate.clone().answering(response));
    let request = Request::builder().method(method).body(()).unwrap();
    let mut future = service.call(request);
    assert!(poll(&mut future).is_pending());
    ends.advance(1);
    gate.open();
    ready(&mut future).unwrap()
}

/// Of an exchange that was answered with `200`, ended at second `at`, after as many bytes.
pub fn ended(ending: Ending, bytes: u64, at: u64) -> Ended {
    Ended {
        ending,
        status: Some(200),
        bytes,
        trailers: None,
        started: duration(1),
        head: None,
        ended: duration(at),
        path: "/".to_owned(),
        method: Method::GET,
    }
}

#[track_caller]
fn complete_at_head(method: Method, response: Response<ScriptBody>, ending: Ending) {
    let ends = Ends::new();
    let status = response.status().as_u16();
    let response = answer(&ends, method.clone(), response);
    let expected = Ended {
        status: Some(status),
        method,
        ..ended(ending, 0, 2)
    };
    assert_eq!(ends.only(), expected, "at the head");
    ends.advance(1);
    // What a server does with the body makes no difference any more.
    let mut body = response.into_body();
    let _ = poll_frame(&mut body);
    drop(body);
    assert_eq!(ends.only(), expected);
}

fn with_status(status: u16) -> Response<ScriptBody> {
    let mut response = Response::new(ScriptBody::of(["hello"]));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

#[test]
fn a_service_error_ends_when_the_future_gives_it() {
    let ends = Ends::new();
    let gate = Gate::default();
    let mut service = ends.layer().layer(gate.clone().failing(ShapeError));
    ends.advance(1);
    let mut future = service.call(Request::new(()));
    assert!(poll(&mut future).is_pending());
    ends.advance(2);
    gate.open();
    assert_eq!(ready(&mut future).err(), Some(ShapeError));
    let expected = Ended {
        status: None,
        ..ended(Ending::ServiceError, 0, 3)
    };
    assert_eq!(ends.only(), expected);
    ends.advance(1);
    drop(future);
    assert_eq!(ends.only(), expected);
}

#[test]
fn a_future_dropped_before_the_head_is_a_client_gone() {
    for polls in [0, 1, 3] {
        let ends = Ends::new();
        ends.advance(1);
        let mut service = ends.layer().layer(Gate::default().failing(ShapeError));
        let mut future = service.call(Request::new(()));
        for _ in 0..polls {
            assert!(poll(&mut future).is_pending());
        }
        ends.advance(4);
        assert_eq!(ends.ended(), 0);
        drop(future);
        let expected = Ended {
            status: None,
            ..ended(Ending::ClientGoneBeforeHead, 0, 5)
        };
        assert_eq!(ends.only(), expected);
    }
}

#[test]
fn a_head_request_ends_at_the_head_whatever_the_body_says() {
    for response in [
        shapes::response("/sized"),
        shapes::response("/streamed"),
        shapes::response("/declared"),
        shapes::response("/error"),
        shapes::response("/silent"),
    ] {
        complete_at_head(Method::HEAD, response, Ending::Complete);
    }
}

#[test]
fn a_status_without_a_body_ends_at_the_head_whatever_the_body_says() {
    for status in [100, 102, 103, 199, 204, 304] {
        complete_at_head(Method::GET, with_status(status), Ending::Complete);
    }
}

#[test]
fn a_switch_of_protocols_is_an_upgrade() {
    complete_at_head(Method::GET, with_status(101), Ending::Upgraded);
    complete_at_head(Method::CONNECT, with_status(101), Ending::Upgraded);
    // An upgrade, though HEAD and an ended body would be complete at the head.
    complete_at_head(Method::HEAD, with_status(101), Ending::Upgraded);
    let mut ended = with_status(101);
    *ended.body_mut() = ScriptBody::new().hinting_the_end();
    complete_at_head(Method::GET, ended, Ending::Upgraded);
}

#[test]
fn a_tunnel_is_an_upgrade_only_when_the_connect_was_granted() {
    for status in [200, 201, 299] {
        complete_at_head(Method::CONNECT, with_status(status), Ending::Upgraded);
    }
    for status in [301, 404, 407, 502] {
        let ends = Ends::new();
        let response = answer(&ends, Method::CONNECT, with_status(status));
        assert_eq!(ends.ended(), 0, "{status} has a body");
        read(&mut response.into_body()).unwrap();
        assert_eq!(ends.only().brief(), (Ending::Complete, Some(status), 5));
    }
}

#[test]
fn other_statuses_and_methods_wait_for_the_body() {
    for status in [200, 201, 203, 205, 206, 300, 301, 305, 400, 404, 500, 599] {
        let ends = Ends::new();
        let mut body = answer(&ends, Method::GET, with_status(status)).into_body();
        assert_eq!(ends.ended(), 0, "{status}");
        read(&mut body).unwrap();
        assert_eq!(ends.only().brief(), (Ending::Complete, Some(status), 5));
    }
    for method in ["GET", "POST", "OPTIONS", "DELETE", "TRACE", "head", "HEADS"] {
        let ends = Ends::new();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut body = answer(&ends, method.clone(), with_status(200)).into_body();
        assert_eq!(ends.ended(), 0, "{method}");
        read(&mut body).unwrap();
        assert_eq!(ends.only().brief(), (Ending::Complete, Some(200), 5));
    }
}

#[test]
fn a_body_that_has_ended_at_once_ends_at_the_head() {
    complete_at_head(Method::GET, shapes::response("/empty"), Ending::Complete);
    let mut failed = shapes::response("/empty");
    *failed.status_mut() = StatusCode::BAD_GATEWAY;
    complete_at_head(Method::POST, failed, Ending::Complete);
}

#[test]
fn the_time_of_the_head_is_known_only_if_asked_for() {
    let ends = Ends::new().asking_for_the_head();
    let response = Response::new(ScriptBody::of(["one"]));
    let mut body = answer(&ends, Method::GET, response).into_body();
    ends.advance(1);
    read(&mut body).unwrap();
    let expected = ended(Ending::Complete, 3, 3);
    let asked = Ended {
        head: Some(duration(2)),
        ..expected
    };
    assert_eq!(ends.only(), asked);
}

#[test]
fn the_clock_starts_when_the_service_is_called_not_when_it_is_polled() {
    let ends = Ends::new();
    let answer = service_fn(|_: Request<()>| async { Ok::<_, ShapeError>(with_status(200)) });
    let mut service = ends.layer().layer(answer);
    ends.advance(1);
    let mut future = Box::pin(service.call(Request::new(())));
    ends.advance(4);
    drop(ready(&mut future));
    assert_eq!(ends.only(), ended(Ending::ClientGoneInBody, 0, 5));
}
