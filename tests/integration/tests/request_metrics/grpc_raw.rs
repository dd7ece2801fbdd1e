//! gRPC calls, by hand: statuses, names of methods, messages.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header::CONTENT_TYPE};
use test_support::{
    body::{ScriptBody, Step},
    drive::{poll, poll_frame, ready},
};
use tower::{Layer as _, Service as _, service_fn};
use tower_request_metrics::{CountRequestBodyLayer, GrpcNames, Protocol, RequestBody};

use crate::common::{Scene, finish};

fn scene() -> Scene {
    Scene::with(|builder| builder.protocol(Protocol::Grpc))
}

fn message(flags: u8, content: &[u8]) -> Step {
    let mut message = vec![flags];
    message.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
    message.extend(content);
    Step::Data(Bytes::from(message))
}

fn messages(count: usize) -> ScriptBody {
    (0..count).fold(ScriptBody::new(), |body, _| body.step(message(0, b"text")))
}

fn response(body: ScriptBody) -> Response<ScriptBody> {
    let response = Response::builder().header(CONTENT_TYPE, "application/grpc");
    response.body(body).unwrap()
}

fn in_headers(code: &'static str) -> Response<ScriptBody> {
    let mut response = response(ScriptBody::new().hinting_the_end());
    response
        .headers_mut()
        .insert("grpc-status", code.parse().unwrap());
    response
}

fn request(path: &str) -> Request<()> {
    let request = Request::builder().method("POST").uri(path);
    request
        .header(CONTENT_TYPE, "application/grpc")
        .body(())
        .unwrap()
}

/// One call of a method with this answer.
fn call(scene: &Scene, path: &str, answer: Response<ScriptBody>) {
    let mut service = scene.layer.layer(service_fn(|_: Request<()>| {
        std::future::ready(Ok::<_, Infallible>(answer.clone()))
    }));
    finish(&mut service, request(path));
}

/// The handled series, as `service method code count`.
fn handled(scene: &Scene) -> Vec<String> {
    assert_eq!(scene.sum("grpc_server_in_flight"), 0.0);
    let (started, handled) = ("grpc_server_started_total", "grpc_server_handled_total");
    assert_eq!(scene.sum(started), scene.sum(handled));
    assert_eq!(
        scene.sum("grpc_server_handling_seconds_count"),
        scene.sum(handled)
    );
    let brief = |line: String| {
        line.replace("grpc_server_handled_total{grpc_service=\"", "")
            .replace("\",grpc_method=\"", " ")
            .replace("\",grpc_code=\"", " ")
            .replace("\"}", "")
    };
    scene.of(handled).into_iter().map(brief).collect()
}

#[test]
fn a_status_in_the_headers_is_the_code_in_go_s_spelling() {
    let scene = scene();
    call(&scene, "/pkg.Svc/Get", in_headers("5"));
    call(&scene, "/pkg.Svc/Get", in_headers("0"));
    call(&scene, "/pkg.Svc/Get", in_headers("9"));
    assert_eq!(
        handled(&scene),
        [
            "pkg.Svc Get FailedPrecondition 1",
            "pkg.Svc Get NotFound 1",
            "pkg.Svc Get OK 1"
        ]
    );
}

#[test]
fn a_status_in_the_trailers_after_messages_is_the_code() {
    let scene = scene();
    let answer = |code| response(messages(2).trailers("grpc-status", code));
    call(&scene, "/pkg.Svc/List", answer("13"));
    call(&scene, "/pkg.Svc/List", answer("0"));
    assert_eq!(
        handled(&scene),
        ["pkg.Svc List Internal 1", "pkg.Svc List OK 1"]
    );
    let sent = r#"grpc_server_msg_sent_total{grpc_service="pkg.Svc",grpc_method="List"}"#;
    assert_eq!(scene.value(sent), Some(4.0));
}

#[test]
fn a_response_without_a_status_is_unknown() {
    let scene = scene();
    call(&scene, "/pkg.Svc/Get", response(messages(1)));
    assert_eq!(handled(&scene), ["pkg.Svc Get Unknown 1"]);
}

#[test]
fn a_call_that_breaks_has_the_code_that_its_client_sees() {
    let scene = scene();
    call(&scene, "/pkg.Svc/Get", response(messages(1).error()));
    let mut failing = scene.layer.layer(service_fn(|_: Request<()>| {
        std::future::ready(Err::<Response<ScriptBody>, _>("broken"))
    }));
    finish(&mut failing, request("/pkg.Svc/Get"));
    assert_eq!(
        handled(&scene),
        ["pkg.Svc Get Internal 1", "pkg.Svc Get Unknown 1"]
    );
}

#[test]
fn a_client_that_leaves_is_canceled() {
    let scene = scene();
    call(&scene, "/pkg.Svc/Watch", response(messages(1).stall()));
    let mut never = scene.layer.layer(service_fn(|_: Request<()>| {
        std::future::pending::<Result<Response<ScriptBody>, Infallible>>()
    }));
    let mut future = Box::pin(never.call(request("/pkg.Svc/Watch")));
    assert!(poll(&mut future).is_pending());
    assert_eq!(scene.sum("grpc_server_in_flight"), 1.0);
    drop(future);
    assert_eq!(handled(&scene), ["pkg.Svc Watch Canceled 2"]);
    finish(&mut never, request("/pkg.Svc/Unheard"));
    assert_eq!(
        handled(&scene),
        ["_OTHER _OTHER Canceled 1", "pkg.Svc Watch Canceled 2"]
    );
}

#[test]
fn methods_that_only_clients_know_are_one_method() {
    let scene = scene();
    let not_found = || {
        let mut answer = Response::new(ScriptBody::new());
        *answer.status_mut() = StatusCode::NOT_FOUND;
        answer
    };
    for number in 0..1000 {
        let path = format!("/pkg.Svc/M{number}");
        call(&scene, &path, in_headers("12"));
        // A guard before the methods, and no gRPC at all.
        call(&scene, &path, in_headers("16"));
        call(&scene, &path, not_found());
    }
    for path in ["/", "/a", "//a", "/a/", "/a/b/c", "*"] {
        call(&scene, path, in_headers("0"));
    }
    assert_eq!(
        handled(&scene),
        [
            "_OTHER _OTHER OK 6",
            "_OTHER _OTHER Unauthenticated 1000",
            "_OTHER _OTHER Unimplemented 2000"
        ]
    );
}

#[test]
fn a_method_that_answered_once_is_known_from_then_on() {
    let scene = scene();
    call(
        &scene,
        "/pkg.Svc/Get",
        response(messages(1).trailers("grpc-status", "0")),
    );
    call(&scene, "/pkg.Svc/Get", in_headers("12"));
    assert_eq!(
        handled(&scene),
        ["pkg.Svc Get OK 1", "pkg.Svc Get Unimplemented 1"]
    );
}

#[test]
fn methods_over_the_budget_are_other_and_counted() {
    let scene = Scene::with(|builder| builder.protocol(Protocol::Grpc).max_routes(1));
    call(&scene, "/pkg.Svc/One", in_headers("0"));
    call(&scene, "/pkg.Svc/Two", in_headers("0"));
    assert_eq!(handled(&scene), ["_OTHER _OTHER OK 1", "pkg.Svc One OK 1"]);
    assert_eq!(scene.sum("grpc_server_label_overflow_total"), 1.0);
}

#[test]
fn a_skipped_method_leaves_no_series() {
    let scene = Scene::with(|builder| {
        builder
            .protocol(Protocol::Grpc)
            .skip_routes(["pkg.Svc/Ping"])
    });
    call(&scene, "/pkg.Svc/Ping", in_headers("0"));
    assert_eq!(scene.lines(), Vec::<String>::new());
}

#[test]
fn descriptors_tell_the_types_and_every_code_starts_at_zero() {
    let scene = Scene::with(|builder| {
        builder
            .protocol(Protocol::Grpc)
            .descriptors(tonic_health::pb::FILE_DESCRIPTOR_SET)
    });
    let made = scene.layer.metrics().init_grpc();
    assert_eq!(made, scene.lines().len());
    let health = r#"grpc_service="grpc.health.v1.Health""#;
    let series = |kind: &str, method: &str, code: &str| {
        format!(
            r#"grpc_server_handled_total{{grpc_type="{kind}",{health},grpc_method="{method}",grpc_code="{code}"}}"#
        )
    };
    for code in ["OK", "Canceled", "Unauthenticated", "DeadlineExceeded"] {
        assert_eq!(scene.value(&series("unary", "Check", code)), Some(0.0));
        assert_eq!(
            scene.value(&series("server_stream", "Watch", code)),
            Some(0.0)
        );
    }
    // Known before it answered.
    call(&scene, "/grpc.health.v1.Health/Check", in_headers("14"));
    assert_eq!(
        scene.value(&series("unary", "Check", "Unavailable")),
        Some(1.0)
    );
    let started =
        format!(r#"grpc_server_started_total{{grpc_type="unary",{health},grpc_method="Check"}}"#);
    assert_eq!(scene.value(&started), Some(1.0));
}

#[test]
fn on_one_port_the_content_type_tells_calls_from_requests() {
    let scene = Scene::with(|builder| builder.protocol(Protocol::Auto));
    for kind in [
        "application/grpc",
        "application/grpc+proto",
        "Application/gRPC",
        "application/grpc-web",
    ] {
        let mut service = scene.layer.layer(service_fn(|_: Request<()>| {
            std::future::ready(Ok::<_, Infallible>(in_headers("0")))
        }));
        let mut request = request("/pkg.Svc/Get");
        request
            .headers_mut()
            .insert(CONTENT_TYPE, kind.parse().unwrap());
        finish(&mut service, request);
    }
    let mut service = scene.layer_over_anything();
    for kind in ["application/json", "application/gr"] {
        let mut request = request("/pkg.Svc/Get");
        request
            .headers_mut()
            .insert(CONTENT_TYPE, kind.parse().unwrap());
        finish(&mut service, request);
    }
    assert_eq!(handled(&scene), ["pkg.Svc Get OK 4"]);
    assert_eq!(
        scene.of("api_requests_total"),
        [r#"api_requests_total{method="POST",endpoint="_OTHER",status="200"} 2"#]
    );
}

#[test]
fn the_trailers_of_grpc_web_are_in_the_body() {
    let web = |code: &str| {
        let trailers = format!("grpc-status: {code}\r\ngrpc-message: x\r\n");
        let body = messages(1).step(message(0x80, trailers.as_bytes()));
        response(body)
    };
    let scene = scene();
    call(&scene, "/pkg.Svc/Get", web("0"));
    call(&scene, "/pkg.Svc/Get", web("5"));
    assert_eq!(
        handled(&scene),
        ["pkg.Svc Get NotFound 1", "pkg.Svc Get OK 1"]
    );
    let sent = r#"grpc_server_msg_sent_total{grpc_service="pkg.Svc",grpc_method="Get"}"#;
    assert_eq!(scene.value(sent), Some(2.0), "trailers are no message");

    // And they say whether it was an error.
    let scene = Scene::with(|builder| {
        builder
            .protocol(Protocol::Grpc)
            .grpc_names(GrpcNames::OpenTelemetry)
    });
    call(&scene, "/pkg.Svc/Get", web("0"));
    call(&scene, "/pkg.Svc/Get", web("13"));
    let counts = scene.of("rpc_server_call_duration_count");
    assert_eq!(
        counts,
        [
            r#"rpc_server_call_duration_count{rpc_system_name="grpc",rpc_method="pkg.Svc/Get",rpc_response_status_code="INTERNAL",error_type="INTERNAL"} 1"#,
            r#"rpc_server_call_duration_count{rpc_system_name="grpc",rpc_method="pkg.Svc/Get",rpc_response_status_code="OK"} 1"#,
        ]
    );
}

#[test]
fn messages_are_counted_as_they_come_in_both_directions() {
    let scene = Scene::with(|builder| builder.protocol(Protocol::Grpc).count_request_bodies());
    let echo = service_fn(|request: Request<RequestBody<ScriptBody>>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(request.into_body())))
    });
    let mut service = scene.layer.layer(CountRequestBodyLayer::new().layer(echo));
    let mut request = request("/pkg.Svc/Chat").map(|()| messages(3));
    // Two messages in one frame, and one in two.
    let Step::Data(one) = message(0, b"abc") else {
        unreachable!()
    };
    *request.body_mut() = messages(1)
        .step(Step::Data([one.clone(), one.clone()].concat().into()))
        .step(Step::Data(one.slice(..3)))
        .step(Step::Data(one.slice(3..)));
    let mut body = ready(&mut service.call(request)).unwrap().into_body();
    for total in [1.0, 3.0, 3.0, 4.0] {
        assert!(poll_frame(&mut body).is_ready());
        assert_eq!(scene.sum("grpc_server_msg_received_total"), total);
        assert_eq!(scene.sum("grpc_server_msg_sent_total"), total);
    }
}

#[test]
fn grpc_web_in_text_is_read_like_grpc_web() {
    let scene = Scene::with(|builder| builder.protocol(Protocol::Auto));
    // A message "one"; then, padded on its own, "two!" and the trailers.
    let body = ScriptBody::of(["AAAAAANvbmU=AAAA", "AAR0d28hgAAAAA5ncnBjLXN0YXR1czogNQ=="]);
    let mut answer = response(body);
    let kind = http::HeaderValue::from_static("application/grpc-web-text");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    call(&scene, "/pkg.Svc/Get", answer);
    assert_eq!(handled(&scene), ["pkg.Svc Get NotFound 1"]);
    assert_eq!(scene.sum("grpc_server_msg_sent_total"), 2.0);
}

#[test]
fn the_specs_name_what_is_rendered() {
    for names in [GrpcNames::GoGrpc, GrpcNames::OpenTelemetry] {
        let scene = Scene::with(|builder| {
            builder
                .protocol(Protocol::Grpc)
                .grpc_names(names)
                .descriptors(tonic_health::pb::FILE_DESCRIPTOR_SET)
        });
        scene.layer.metrics().init_grpc();
        let answer = response(messages(1).trailers("grpc-status", "13"));
        call(&scene, "/grpc.health.v1.Health/Check", answer);
        let specs = scene.layer.specs();
        for line in scene.lines() {
            let (name, labels) = line.split_once('{').unwrap();
            let suffixes = ["_bucket", "_sum", "_count"];
            let name = suffixes
                .iter()
                .find_map(|suffix| name.strip_suffix(suffix))
                .unwrap_or(name);
            let spec = specs
                .iter()
                .find(|spec| spec.name.replace('.', "_") == name);
            let spec = spec.unwrap_or_else(|| panic!("no spec of {name}"));
            for label in labels.split_once('}').unwrap().0.split("\",") {
                let label = label.split('=').next().unwrap();
                let known = spec
                    .labels
                    .iter()
                    .any(|known| known.replace('.', "_") == label);
                assert!(known || label == "le", "{name} {label}");
            }
        }
    }
}
