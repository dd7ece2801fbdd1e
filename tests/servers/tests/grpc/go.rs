//! The same calls to a server in Go, whose series come from go-grpc-prometheus, and to ours.

use std::collections::BTreeSet;

use server_tests::{Call, Etcd, GrpcClient, Kind, Outcome};
use tonic::Code;

use crate::{
    page::{Page, Series},
    server::{Answer, Server, has_method},
};

/// A field of a protobuf message: of bytes, by its number.
fn bytes(number: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).expect("a short value");
    assert!(number < 16 && length < 0x80, "one byte each");
    [&[number << 3 | 2, length], value].concat()
}

/// A field of a protobuf message: a small number.
fn number(number: u8, value: u8) -> Vec<u8> {
    assert!(number < 16 && value < 0x80, "one byte each");
    vec![number << 3, value]
}

fn call(method: &str, kind: Kind, request: Vec<u8>) -> Call {
    Call::new(&format!("/etcdserverpb.{method}"), kind, [request])
}

/// Calls of each kind, with every sort of end that etcd has for them.
fn calls() -> Vec<(Call, Code)> {
    let key = || bytes(1, b"key");
    let put = [key(), bytes(2, b"value")].concat();
    let watch = bytes(1, &key());
    vec![
        (call("KV/Put", Kind::Unary, put.clone()), Code::Ok),
        (call("KV/Put", Kind::Unary, put), Code::Ok),
        (call("KV/Range", Kind::Unary, key()), Code::Ok),
        (call("KV/Range", Kind::Unary, vec![]), Code::InvalidArgument),
        (
            call("KV/Compact", Kind::Unary, number(1, 99)),
            Code::OutOfRange,
        ),
        (
            call(
                "Lease/LeaseGrant",
                Kind::Unary,
                [number(1, 60), number(2, 7)].concat(),
            ),
            Code::Ok,
        ),
        (
            Call::new(
                "/etcdserverpb.Lease/LeaseKeepAlive",
                Kind::BidiStream,
                [number(1, 7), number(1, 7), number(1, 7)],
            ),
            Code::Ok,
        ),
        (
            call("Lease/LeaseRevoke", Kind::Unary, number(1, 7)),
            Code::Ok,
        ),
        (
            call("Lease/LeaseRevoke", Kind::Unary, number(1, 7)),
            Code::NotFound,
        ),
        (
            call("Watch/Watch", Kind::BidiStream, watch).cancel_after(1),
            Code::Cancelled,
        ),
        (
            call("Maintenance/Snapshot", Kind::ServerStream, vec![]),
            Code::Ok,
        ),
    ]
}

/// Whether it is of a method that both servers have.
fn shared(series: &Series) -> bool {
    let service = series.label("grpc_service");
    service.starts_with("etcdserverpb.") && has_method(service, series.label("grpc_method"))
}

/// The series of both, without those that only one can have, and without times.
fn comparable(page: &str) -> Page {
    Page::read(page).only(|series| {
        shared(series)
            // go-grpc-prometheus has no gauge.
            && series.name != "grpc_server_in_flight"
            && !series.name.ends_with("_sum")
            && (!series.name.ends_with("_bucket") || series.label("le") == "+Inf")
    })
}

/// The upper bounds of the buckets.
fn bounds(page: &str) -> BTreeSet<(Series, String)> {
    let page = Page::read(page);
    let bucket = |series: &Series| {
        let mut series = series.clone();
        let bound = series.labels.remove("le")?;
        shared(&series).then_some((series, bound))
    };
    page.samples.keys().filter_map(bucket).collect()
}

#[test]
fn the_series_are_those_of_a_go_server_for_the_same_calls() {
    let mut etcd = Etcd::start();
    let mut client_of_etcd = GrpcClient::start(etcd.address());
    let server = Server::start();
    server.init();
    let mut client = GrpcClient::start(&server.address());
    let calls = calls();
    for (call, code) in &calls {
        let outcome = client_of_etcd.call(call);
        assert_eq!(outcome.code, i32::from(*code), "{call:?}");
        let Outcome { sizes, .. } = outcome.clone();
        server.will(if call.gives_up() {
            Answer::endless(sizes)
        } else {
            Answer::new(sizes, *code)
        });
        assert_eq!(client.call(call), outcome, "{call:?}");
    }
    client_of_etcd.stop();
    client.stop();

    let of_ours = |page: &Page| {
        page.sum(|series| series.name == "grpc_server_handled_total" && shared(series))
    };
    let page_of_etcd = etcd.wait_for("end of all calls", |page| {
        #[expect(clippy::cast_precision_loss, reason = "a few")]
        let all = calls.len() as f64;
        (of_ours(&Page::read(page)) >= all).then(|| page.to_owned())
    });
    let page_of_ours = server.stop();

    let (theirs, ours) = (comparable(&page_of_etcd), comparable(&page_of_ours));
    // Counters at zero for each code of each method, and the calls.
    assert!(ours.samples.len() > 8 * 17, "{} series", ours.samples.len());
    let beyond = |one: &Page, other: &Page| {
        let samples = one.samples.iter();
        let differs = |(series, value): &(&Series, &f64)| other.samples.get(series) != Some(value);
        samples
            .filter(differs)
            .map(|sample| format!("{sample:?}"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(
        (beyond(&ours, &theirs), beyond(&theirs, &ours)),
        Default::default()
    );
    assert_eq!(ours.types, theirs.types);
    // Of a histogram without observations the facade's exporters show nothing.
    let (ours, theirs) = (bounds(&page_of_ours), bounds(&page_of_etcd));
    assert_eq!(ours.difference(&theirs).count(), 0);
}
