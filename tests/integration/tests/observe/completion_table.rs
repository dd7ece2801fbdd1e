//! Every row of the completion table, driven by hand, with exact times.

use std::task::Poll;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_LENGTH};
use test_support::{
    body::{ScriptBody, ScriptError, Step, trailers},
    drive::{poll, poll_frame, read, ready},
    ends::{Ended, Ends},
    shapes::{self, ShapeError},
};
use tower::{Layer as _, Service as _, service_fn};
use tower_observe::{Ending, Observe, ResponseBody};

use crate::common::{Gate, duration, frame};

type Body = ResponseBody<ScriptBody, <Ends as Observe>::Exchange>;

/// Called at second 1, answered at second 2.
fn answer(ends: &Ends, method: Method, response: Response<ScriptBody>) -> Response<Body> {
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

fn get(ends: &Ends, body: ScriptBody) -> Body {
    answer(ends, Method::GET, Response::new(body)).into_body()
}

/// A `GET`, the response with this `Content-Length`, if any.
fn get_declared(ends: &Ends, length: Option<&str>, body: ScriptBody) -> Body {
    let mut response = Response::new(body);
    if let Some(length) = length {
        let length = HeaderValue::from_str(length).unwrap();
        response.headers_mut().insert(CONTENT_LENGTH, length);
    }
    answer(ends, Method::GET, response).into_body()
}

/// Of an exchange that was answered with `200`, ended at second `at`, after as many bytes.
fn ended(ending: Ending, bytes: u64, at: u64) -> Ended {
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
fn a_body_ends_when_it_has_nothing_more() {
    let ends = Ends::new();
    let mut body = get(&ends, ScriptBody::of(["one", "three"]));
    for bytes in [3, 5] {
        ends.advance(1);
        assert_eq!(frame(&mut body), bytes);
    }
    assert_eq!(ends.ended(), 0, "it may go on");
    ends.advance(1);
    assert!(matches!(poll_frame(&mut body), Poll::Ready(None)));
    assert_eq!(ends.only(), ended(Ending::Complete, 8, 5));
    ends.advance(1);
    drop(body);
    assert_eq!(ends.only(), ended(Ending::Complete, 8, 5));
}

#[test]
fn a_body_ends_with_the_frame_after_which_it_says_so() {
    let ends = Ends::new();
    let mut body = get(&ends, ScriptBody::of(["one", "three"]).hinting_the_end());
    ends.advance(1);
    assert_eq!(frame(&mut body), 3);
    assert_eq!(ends.ended(), 0);
    ends.advance(1);
    assert_eq!(frame(&mut body), 5);
    assert_eq!(ends.only(), ended(Ending::Complete, 8, 4));
}

#[test]
fn a_last_frame_that_is_empty_ends_the_body_if_it_says_so() {
    let ends = Ends::new();
    let mut body = get(&ends, ScriptBody::of(["", ""]).hinting_the_end());
    assert_eq!(frame(&mut body), 0);
    assert_eq!(ends.ended(), 0, "an empty frame alone is no end");
    ends.advance(1);
    assert_eq!(frame(&mut body), 0);
    assert_eq!(ends.only(), ended(Ending::Complete, 0, 3));
}

#[test]
fn trailers_end_the_body_and_are_seen() {
    let ends = Ends::new();
    let mut body = get(&ends, ScriptBody::of(["one"]).trailers("x-sum", "3"));
    frame(&mut body);
    ends.advance(2);
    let Poll::Ready(Some(Ok(given))) = poll_frame(&mut body) else {
        panic!("a frame");
    };
    assert_eq!(given.into_trailers().unwrap(), trailers("x-sum", "3"));
    let expected = Ended {
        trailers: Some(trailers("x-sum", "3")),
        ..ended(Ending::Complete, 3, 4)
    };
    assert_eq!(ends.only(), expected);
    ends.advance(1);
    drop(body);
    assert_eq!(ends.only(), expected);
}

#[test]
fn empty_trailers_are_trailers() {
    let ends = Ends::new();
    let body = ScriptBody::new().step(Step::Trailers(HeaderMap::new()));
    let mut body = get(&ends, body);
    let _ = poll_frame(&mut body);
    assert_eq!(ends.only().trailers, Some(HeaderMap::new()));
}

#[test]
fn trailers_after_the_declared_length_are_still_delivered() {
    let script = || ScriptBody::of(["one"]).pending().trailers("x-sum", "3");
    for (length, script) in [(None, script().sized(3)), (Some("3"), script())] {
        let ends = Ends::new();
        let mut body = get_declared(&ends, length, script);
        ends.advance(1);
        frame(&mut body);
        assert_eq!(ends.ended(), 0, "{length:?}");
        assert!(poll_frame(&mut body).is_pending());
        ends.advance(1);
        let _ = poll_frame(&mut body);
        let expected = Ended {
            trailers: Some(trailers("x-sum", "3")),
            ..ended(Ending::Complete, 3, 4)
        };
        assert_eq!(ends.only(), expected);
    }
}

#[test]
fn a_body_error_ends_the_exchange_also_after_the_declared_length() {
    for (script, header, bytes) in [
        (ScriptBody::of(["one"]).error(), None, 3),
        (ScriptBody::new().error(), None, 0),
        (ScriptBody::of(["one"]).error(), Some("3"), 3),
        (ScriptBody::of(["one"]).sized(3).error(), None, 3),
        (ScriptBody::new().error(), Some("0"), 0),
    ] {
        let ends = Ends::new();
        let mut body = get_declared(&ends, header, script);
        ends.advance(1);
        assert_eq!(read(&mut body), Err(ScriptError));
        assert_eq!(ends.only(), ended(Ending::BodyError, bytes, 3));
        ends.advance(1);
        drop(body);
        assert_eq!(ends.only(), ended(Ending::BodyError, bytes, 3));
    }
}

#[test]
fn a_body_dropped_after_its_declared_length_ended_with_the_last_frame_needed() {
    let frames = || ScriptBody::of(["one", "", "two", ""]).stall();
    for (name, length, script) in [
        ("header", Some("6"), frames()),
        ("hint", None, frames().sized(6)),
        ("both: the hint counts", Some("60"), frames().sized(6)),
        ("less than is given", Some("4"), frames()),
    ] {
        let ends = Ends::new();
        let mut body = get_declared(&ends, length, script);
        for at in 3..=6 {
            assert_eq!(ends.ended(), 0, "{name}: not before second {at}");
            ends.advance(1);
            frame(&mut body);
        }
        assert!(poll_frame(&mut body).is_pending());
        ends.advance(10);
        assert_eq!(ends.ended(), 0, "{name}: trailers may follow");
        drop(body);
        assert_eq!(ends.only(), ended(Ending::Complete, 6, 5), "{name}");
    }
}

#[test]
fn a_body_dropped_before_its_declared_length_is_a_client_gone() {
    for (length, script) in [
        (Some("7"), ScriptBody::of(["one", "two"]).stall()),
        (None, ScriptBody::of(["one", "two"]).stall().sized(7)),
        // Without a declared length nobody knows that nothing more was owed.
        (None, ScriptBody::of(["one", "two"]).stall()),
        // What is no length declares none.
        (Some("six"), ScriptBody::of(["one", "two"]).stall()),
        (Some(""), ScriptBody::of(["one", "two"]).stall()),
        (Some("-6"), ScriptBody::of(["one", "two"]).stall()),
        (Some("99999999999999999999"), ScriptBody::of(["one", "two"])),
    ] {
        let ends = Ends::new();
        let mut body = get_declared(&ends, length, script);
        for _ in 0..2 {
            ends.advance(1);
            frame(&mut body);
        }
        ends.advance(3);
        drop(body);
        assert_eq!(
            ends.only(),
            ended(Ending::ClientGoneInBody, 6, 7),
            "{length:?}"
        );
    }
}

#[test]
fn a_body_dropped_unpolled_is_a_client_gone_unless_nothing_was_owed() {
    for (path, ending, at) in [
        ("/sized", Ending::ClientGoneInBody, 5),
        ("/streamed", Ending::ClientGoneInBody, 5),
        ("/declared", Ending::ClientGoneInBody, 5),
        ("/silent", Ending::ClientGoneInBody, 5),
        ("/declared-zero", Ending::Complete, 2),
    ] {
        let ends = Ends::new();
        let response = answer(&ends, Method::GET, shapes::response(path));
        assert_eq!(ends.ended(), 0, "{path}");
        ends.advance(3);
        drop(response);
        assert_eq!(ends.only(), ended(ending, 0, at), "{path}");
    }
}

#[test]
fn an_exact_size_of_zero_without_a_hint_of_the_end_owes_nothing() {
    let ends = Ends::new();
    let body = get(&ends, ScriptBody::new().stall().sized(0));
    assert_eq!(ends.ended(), 0, "trailers may follow");
    ends.advance(1);
    drop(body);
    assert_eq!(ends.only(), ended(Ending::Complete, 0, 2));
}

#[test]
fn the_declared_length_is_the_one_at_the_head() {
    // The size hint shrinks as the body is read; what was declared does not.
    let ends = Ends::new();
    let mut body = get(&ends, ScriptBody::of(["one", "two"]).stall().sized(6));
    frame(&mut body);
    drop(body);
    assert_eq!(ends.only(), ended(Ending::ClientGoneInBody, 3, 2));
}

#[test]
fn a_body_polled_again_after_its_end_changes_nothing() {
    for script in [
        ScriptBody::of(["one"]),
        ScriptBody::of(["one"]).trailers("x-sum", "3").data("more"),
        ScriptBody::of(["one"]).error().data("more").error(),
    ] {
        let ends = Ends::new();
        let mut body = get(&ends, script);
        let _ = read(&mut body);
        let _ = poll_frame(&mut body);
        let first = ends.only();
        ends.advance(1);
        for _ in 0..3 {
            let _ = poll_frame(&mut body);
        }
        drop(body);
        assert_eq!(ends.only(), first);
        assert_eq!(first.bytes, 3);
    }
}

#[test]
fn a_pending_body_is_not_an_end() {
    let ends = Ends::new();
    let mut body = get(&ends, ScriptBody::new().pending().data("one").pending());
    assert!(poll_frame(&mut body).is_pending());
    assert_eq!(frame(&mut body), 3);
    assert!(poll_frame(&mut body).is_pending());
    assert_eq!(ends.ended(), 0);
    assert_eq!(read(&mut body), Ok(0));
    assert_eq!(ends.only(), ended(Ending::Complete, 3, 2));
}

#[test]
fn the_time_of_the_head_is_known_only_if_asked_for() {
    let ends = Ends::new().asking_for_the_head();
    let mut body = get(&ends, ScriptBody::of(["one"]));
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
