//! The completion table's rows about the body, driven by hand, with exact times.

use std::task::Poll;

use http::{HeaderMap, HeaderValue, Method, Response, header::CONTENT_LENGTH};
use test_support::{
    body::{ScriptBody, ScriptError, Step, trailers},
    drive::{poll_frame, read},
    ends::{Ended, Ends},
    shapes,
};
use tower_observe::Ending;

use crate::{
    common::frame,
    completion_table::{Body, answer, ended},
};

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
fn a_length_that_is_more_than_digits_is_none() {
    // hyper refuses to send such a response; nothing of it was complete.
    for (length, script) in [
        ("+0", ScriptBody::new()),
        ("+6", ScriptBody::of(["onetwo"])),
        (" 6", ScriptBody::of(["onetwo"])),
        ("6, 6", ScriptBody::of(["onetwo"])),
    ] {
        let ends = Ends::new();
        let mut body = get_declared(&ends, Some(length), script);
        if length != "+0" {
            frame(&mut body);
        }
        drop(body);
        assert_eq!(ends.only().ending, Ending::ClientGoneInBody, "{length:?}");
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
