//! A service that answers with the response that a request's path names.

use std::{
    convert::Infallible,
    error::Error,
    fmt,
    future::{self, Ready},
    pin::Pin,
    task::{Context, Poll},
};

use http::{
    Method, Request, Response, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, TRAILER, UPGRADE},
};
use hyper_util::rt::TokioIo;
use tower::Service;

use crate::body::ScriptBody;

/// The response that `path` names, where one is given at once and to any request.
///
/// | path | response |
/// |---|---|
/// | `/sized` | `hello`, with an exact size and an end-of-stream hint, as a `Full` |
/// | `/sized-silent` | `hello`, with an exact size and no end-of-stream hint |
/// | `/streamed` | `one`, `two`, and nothing about them |
/// | `/hinted` | `one`, `two`, with an end-of-stream hint |
/// | `/pausing` | `one`, a pause, an empty frame, `two` |
/// | `/declared` | `one`, `two`, and `Content-Length: 6` |
/// | `/declared-zero` | nothing, without a hint, and `Content-Length: 0` |
/// | `/empty` | nothing, with an end-of-stream hint |
/// | `/silent` | nothing, without a hint |
/// | `/204`, `/304` | that status, with `hello` |
/// | `/trailers` | `one`, trailers `x-sum: 3` |
/// | `/error` | `one`, an error |
/// | `/stall` | `one`, and then nothing for ever |
/// | `/declared-stall` | `one`, `two`, nothing for ever, and `Content-Length: 6` |
/// | `/panic-in-body` | `one`, a panic |
pub fn response(path: &str) -> Response<ScriptBody> {
    let hello = || ScriptBody::new().data("hello").sized(5).hinting_the_end();
    let streamed = || ScriptBody::of(["one", "two"]);
    let mut response = Response::new(match path {
        "/sized" | "/204" | "/304" => hello(),
        "/sized-silent" => ScriptBody::new().data("hello").sized(5),
        "/streamed" | "/declared" => streamed(),
        "/hinted" => streamed().hinting_the_end(),
        "/pausing" => ScriptBody::of(["one"]).pending().data("").data("two"),
        "/empty" => ScriptBody::new().hinting_the_end(),
        "/declared-zero" | "/silent" => ScriptBody::new(),
        "/trailers" => ScriptBody::of(["one"]).trailers("x-sum", "3"),
        "/error" => ScriptBody::of(["one"]).pending().error(),
        "/stall" => ScriptBody::of(["one"]).stall(),
        "/declared-stall" => streamed().stall(),
        "/panic-in-body" => ScriptBody::of(["one"]).pending().panic(),
        _ => {
            let mut response = Response::new(hello());
            *response.status_mut() = StatusCode::NOT_FOUND;
            return response;
        }
    });
    match path {
        "/204" => *response.status_mut() = StatusCode::NO_CONTENT,
        "/304" => *response.status_mut() = StatusCode::NOT_MODIFIED,
        _ => {}
    }
    let header = match path {
        "/declared" | "/declared-stall" => Some((CONTENT_LENGTH, "6")),
        "/declared-zero" => Some((CONTENT_LENGTH, "0")),
        "/trailers" => Some((TRAILER, "x-sum")),
        _ => None,
    };
    if let Some((name, value)) = header {
        response
            .headers_mut()
            .insert(name, value.parse().expect("a value"));
    }
    response
}

/// Answers with [`response`], and also:
///
/// | request | what happens |
/// |---|---|
/// | `/stall-before-head` | no response, ever |
/// | `/fails` | the service's error |
/// | `/panic-in-call`, `/panic-in-poll` | a panic |
/// | `/upgrade` | `101`, then what comes is echoed |
/// | `CONNECT` to port 443 | `200`, then what comes is echoed |
/// | `CONNECT` to another | `404`, with `hello` |
#[derive(Clone, Copy, Debug, Default)]
pub struct Shapes;

impl<B> Service<Request<B>> for Shapes {
    type Response = Response<ScriptBody>;
    type Error = ShapeError;
    type Future = ShapeFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ShapeError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> ShapeFuture {
        let answer = |response| ShapeFuture::Ready(future::ready(Ok(response)));
        if *request.method() == Method::CONNECT && request.uri().port_u16() == Some(443) {
            echo(&mut request);
            return answer(Response::new(ScriptBody::new()));
        }
        match request.uri().path() {
            "/stall-before-head" => ShapeFuture::Stall,
            "/fails" => ShapeFuture::Ready(future::ready(Err(ShapeError))),
            "/panic-in-call" => panic!("asked to panic in call"),
            "/panic-in-poll" => ShapeFuture::Panic,
            "/upgrade" => {
                echo(&mut request);
                let response = Response::builder()
                    .status(StatusCode::SWITCHING_PROTOCOLS)
                    .header(CONNECTION, "upgrade")
                    .header(UPGRADE, "echo")
                    .body(ScriptBody::new());
                answer(response.expect("a response"))
            }
            path => answer(response(path)),
        }
    }
}

/// Answers as [`Shapes`] do, or not at all, but never fails.
pub async fn infallible<B>(request: Request<B>) -> Result<Response<ScriptBody>, Infallible> {
    Ok(Shapes
        .call(request)
        .await
        .unwrap_or_else(|_| response("/not-found")))
}

/// The response future of [`Shapes`].
#[derive(Debug)]
pub enum ShapeFuture {
    Ready(Ready<Result<Response<ScriptBody>, ShapeError>>),
    Stall,
    Panic,
}

impl Future for ShapeFuture {
    type Output = Result<Response<ScriptBody>, ShapeError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Ready(ready) => Pin::new(ready).poll(cx),
            Self::Stall => Poll::Pending,
            Self::Panic => panic!("asked to panic in poll"),
        }
    }
}

/// The error of [`Shapes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShapeError;

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("asked to fail")
    }
}

impl Error for ShapeError {}

// Echoes what comes after the upgrade, until the client has no more to say.
fn echo<B>(request: &mut Request<B>) {
    let upgraded = hyper::upgrade::on(request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgraded.await {
            let (mut read, mut write) = tokio::io::split(TokioIo::new(upgraded));
            let _ = tokio::io::copy(&mut read, &mut write).await;
            let _ = tokio::io::AsyncWriteExt::shutdown(&mut write).await;
        }
    });
}
