//! Every kind of call and of end, as the client sees it and as it is counted.

use std::{collections::BTreeMap, time::Duration};

use server_tests::{Call, GrpcClient, Kind, Outcome};
use tonic::Code;

use crate::{
    page::{Page, Series},
    server::{Answer, Server},
};

/// What is counted of one call.
struct Counted {
    kind: &'static str,
    method: &'static str,
    code: &'static str,
    received: u32,
    sent: u32,
}

/// Makes one call, waits for its end on the server, closes both, and compares every series but the
/// seconds.
#[track_caller]
fn one(call: &Call, answer: Option<Answer>, counted: &Counted) -> Outcome {
    let server = Server::start();
    let mut client = GrpcClient::start(&server.address());
    if let Some(answer) = answer {
        server.will(answer);
    }
    let outcome = client.call(call);
    client.wait_for("end of the call on the server", || {
        (Page::read(&server.page()).handled() >= 1.0).then_some(())
    });
    client.stop();
    let page = Page::read(&server.stop());
    let seconds = |series: &Series| {
        series.name.ends_with("_sum")
            || (series.name.ends_with("_bucket") && series.label("le") != "+Inf")
    };
    assert_eq!(
        page.only(|series| !seconds(series)).samples,
        expected(counted)
    );
    outcome
}

fn expected(counted: &Counted) -> BTreeMap<Series, f64> {
    let (service, method) = counted.method.split_once('/').expect("a service");
    let labels = [
        ("grpc_type", counted.kind),
        ("grpc_service", service),
        ("grpc_method", method),
    ];
    let series = |(name, more, value): (&str, Option<(&str, &str)>, u32)| {
        let labels = labels.into_iter().chain(more);
        // A type that is not known is no label.
        let labels = labels.filter(|(_, value)| !value.is_empty());
        let series = Series {
            name: format!("grpc_server_{name}"),
            labels: labels
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        };
        (series, f64::from(value))
    };
    let messages = [
        ("msg_received_total", None, counted.received),
        ("msg_sent_total", None, counted.sent),
    ];
    [
        ("started_total", None, 1),
        ("handled_total", Some(("grpc_code", counted.code)), 1),
        ("handling_seconds_count", None, 1),
        ("handling_seconds_bucket", Some(("le", "+Inf")), 1),
        ("in_flight", None, 0),
    ]
    .into_iter()
    // No message is no series.
    .chain(messages.into_iter().filter(|(_, _, value)| *value > 0))
    .map(series)
    .collect()
}

fn ended(code: Code, sizes: impl Into<Vec<usize>>) -> Outcome {
    Outcome {
        code: code.into(),
        sizes: sizes.into(),
    }
}

fn unary(request: impl Into<Vec<u8>>) -> Call {
    Call::new("/test.Calls/Unary", Kind::Unary, [request])
}

fn server_stream() -> Call {
    Call::new("/test.Calls/ServerStream", Kind::ServerStream, ["a"])
}

fn client_stream() -> Call {
    Call::new(
        "/test.Calls/ClientStream",
        Kind::ClientStream,
        ["a", "b", "c"],
    )
}

fn bidi_stream() -> Call {
    Call::new("/test.Calls/BidiStream", Kind::BidiStream, ["a", "b", "c"])
}

const UNARY: Counted = Counted {
    kind: "unary",
    method: "test.Calls/Unary",
    code: "OK",
    received: 1,
    sent: 1,
};

const SERVER_STREAM: Counted = Counted {
    kind: "server_stream",
    method: "test.Calls/ServerStream",
    code: "OK",
    received: 1,
    sent: 3,
};

const CLIENT_STREAM: Counted = Counted {
    kind: "client_stream",
    method: "test.Calls/ClientStream",
    code: "OK",
    received: 3,
    sent: 1,
};

const BIDI_STREAM: Counted = Counted {
    kind: "bidi_stream",
    method: "test.Calls/BidiStream",
    code: "OK",
    received: 3,
    sent: 3,
};

/// Long enough for the call to reach the server, whatever else the machine does.
const DEADLINE: Duration = Duration::from_secs(2);

#[test]
fn a_unary_call_is_counted_once() {
    let outcome = one(&unary("a"), Some(Answer::new([5], Code::Ok)), &UNARY);
    assert_eq!(outcome, ended(Code::Ok, [5]));
}

#[test]
fn a_stream_of_the_server_is_counted_once_with_its_messages() {
    let answer = Answer::new([1, 0, 3], Code::Ok);
    let outcome = one(&server_stream(), Some(answer), &SERVER_STREAM);
    assert_eq!(outcome, ended(Code::Ok, [1, 0, 3]));
}

#[test]
fn a_stream_of_the_client_is_counted_once_with_its_messages() {
    let outcome = one(
        &client_stream(),
        Some(Answer::new([5], Code::Ok)),
        &CLIENT_STREAM,
    );
    assert_eq!(outcome, ended(Code::Ok, [5]));
}

#[test]
fn a_stream_of_both_is_counted_once_with_its_messages() {
    let answer = Answer::new([1, 2, 3], Code::Ok);
    let outcome = one(&bidi_stream(), Some(answer), &BIDI_STREAM);
    assert_eq!(outcome, ended(Code::Ok, [1, 2, 3]));
}

#[test]
fn an_error_in_the_trailers_is_counted_with_its_code() {
    let answer = Answer::new([1, 2], Code::Aborted);
    let counted = Counted {
        code: "Aborted",
        sent: 2,
        ..SERVER_STREAM
    };
    let outcome = one(&server_stream(), Some(answer), &counted);
    assert_eq!(outcome, ended(Code::Aborted, [1, 2]));
}

#[test]
fn an_error_in_the_trailers_of_a_stream_of_both_is_counted_with_its_code() {
    let answer = Answer::new([1, 2], Code::DataLoss);
    let counted = Counted {
        code: "DataLoss",
        sent: 2,
        ..BIDI_STREAM
    };
    let outcome = one(&bidi_stream(), Some(answer), &counted);
    assert_eq!(outcome, ended(Code::DataLoss, [1, 2]));
}

#[test]
fn an_error_with_trailers_only_is_counted_with_its_code() {
    let counted = Counted {
        code: "NotFound",
        sent: 0,
        ..UNARY
    };
    let outcome = one(&unary("a"), Some(Answer::new([], Code::NotFound)), &counted);
    assert_eq!(outcome, ended(Code::NotFound, []));
}

#[test]
fn a_stream_that_is_refused_with_trailers_only_is_counted_with_its_code() {
    let counted = Counted {
        code: "FailedPrecondition",
        sent: 0,
        ..SERVER_STREAM
    };
    let answer = Answer::new([], Code::FailedPrecondition);
    let outcome = one(&server_stream(), Some(answer), &counted);
    assert_eq!(outcome, ended(Code::FailedPrecondition, []));
}

/// Whichever comes first, the client's reset or tonic's own timer (which stands outside of all layers),
/// the call is given up from outside, and the layer is not told why.
#[test]
fn a_deadline_that_passes_before_the_response_is_canceled_for_the_server() {
    let counted = Counted {
        code: "Canceled",
        sent: 0,
        ..UNARY
    };
    let call = unary("a").timeout(DEADLINE);
    let outcome = one(&call, Some(Answer::endless([])), &counted);
    assert_eq!(outcome, ended(Code::DeadlineExceeded, []));
}

#[test]
fn a_deadline_that_passes_in_a_stream_is_canceled_for_the_server() {
    let counted = Counted {
        code: "Canceled",
        sent: 2,
        ..SERVER_STREAM
    };
    let call = server_stream().timeout(DEADLINE);
    let outcome = one(&call, Some(Answer::endless([1, 2])), &counted);
    assert_eq!(outcome, ended(Code::DeadlineExceeded, [1, 2]));
}

#[test]
fn a_stream_of_the_server_that_the_client_cancels_is_canceled() {
    let counted = Counted {
        code: "Canceled",
        sent: 2,
        ..SERVER_STREAM
    };
    let call = server_stream().cancel_after(2);
    let outcome = one(&call, Some(Answer::endless([1, 2])), &counted);
    assert_eq!(outcome, ended(Code::Cancelled, [1, 2]));
}

#[test]
fn a_stream_of_both_that_the_client_cancels_is_canceled() {
    let counted = Counted {
        code: "Canceled",
        ..BIDI_STREAM
    };
    let call = bidi_stream().cancel_after(3);
    let outcome = one(&call, Some(Answer::endless([1, 2, 3])), &counted);
    assert_eq!(outcome, ended(Code::Cancelled, [1, 2, 3]));
}

#[test]
fn a_method_or_service_that_the_server_does_not_have_is_other() {
    let counted = Counted {
        kind: "",
        method: "_OTHER/_OTHER",
        code: "Unimplemented",
        received: 0,
        sent: 0,
    };
    for path in ["/test.Calls/None", "/test.None/None"] {
        let outcome = one(&Call::new(path, Kind::Unary, ["a"]), None, &counted);
        assert_eq!(outcome, ended(Code::Unimplemented, []), "{path}");
    }
}

#[test]
fn messages_of_many_frames_are_counted_once_each() {
    let large = 3 << 20;
    let answer = Answer::new([large], Code::Ok);
    let outcome = one(&unary(vec![b'a'; large]), Some(answer), &UNARY);
    assert_eq!(outcome, ended(Code::Ok, [large]));

    let requests = [large, 1, large].map(|size| vec![b'a'; size]);
    let call = Call::new("/test.Calls/BidiStream", Kind::BidiStream, requests);
    let answer = Answer::new([large, 1, large], Code::Ok);
    let outcome = one(&call, Some(answer), &BIDI_STREAM);
    assert_eq!(outcome, ended(Code::Ok, [large, 1, large]));
}

/// tonic's own limit, which nothing but its code tells.
#[test]
fn a_message_that_is_too_large_is_counted_with_the_code_of_its_refusal() {
    let counted = Counted {
        code: "OutOfRange",
        sent: 0,
        ..UNARY
    };
    let outcome = one(
        &unary(vec![b'a'; 5 << 20]),
        Some(Answer::new([1], Code::Ok)),
        &counted,
    );
    assert_eq!(outcome, ended(Code::OutOfRange, []));
}
