//! Metrics and log line of one exchange agree on how it ended.

use std::{
    future::{Future as _, pending},
    io,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Waker},
};

use axum::{Router, body::Body, response::IntoResponse as _, routing::get};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use serde_json::Value;
use tower::ServiceExt as _;
use tower_http::catch_panic::CatchPanicLayer;
use tower_json_logging::{JsonLayer, JsonLogging};
use tower_metrics_exporter::Exporter;
use tower_observe::ObserveLayer;
use tower_request_metrics::RequestMetrics;
use tracing_subscriber::layer::SubscriberExt as _;

/// What was written, line by line.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A service with both observers on one exchange, and what they recorded.
struct Observed {
    app: Router,
    exporter: Exporter,
    lines: Lines,
    _recorder: metrics::LocalRecorderGuard<'static>,
    _subscriber: tracing::subscriber::DefaultGuard,
}

fn observed() -> Observed {
    let metrics = RequestMetrics::new();
    let exporter = Exporter::builder().specs(metrics.specs()).build().unwrap();
    // Leaked, so that the guard can stand beside it: one small recorder a test.
    let recorder = Box::leak(Box::new(exporter.recorder()));
    let recorder = metrics::set_default_local_recorder(recorder);
    let lines = Lines::default();
    let writer = lines.clone();
    let layer = JsonLayer::new(move || writer.clone());
    let subscriber = tracing_subscriber::registry().with(layer);
    let subscriber = tracing::subscriber::set_default(subscriber);
    let app = Router::new()
        .route("/ok/{id}", get(async || "hello"))
        .route("/teapot", get(async || StatusCode::IM_A_TEAPOT))
        .route(
            "/panic",
            get(async || -> StatusCode { panic!("in the handler") }),
        )
        .route(
            "/caught",
            get(async || -> StatusCode { panic!("in the handler") }).layer(CatchPanicLayer::new()),
        )
        .route("/broken", get(broken))
        .route("/never", get(pending::<StatusCode>))
        .layer(ObserveLayer::new((metrics, JsonLogging::new())));
    Observed {
        app,
        exporter,
        lines,
        _recorder: recorder,
        _subscriber: subscriber,
    }
}

async fn broken() -> axum::response::Response {
    let frames = [
        Ok(http_body::Frame::data(Bytes::from("half"))),
        Err(io::Error::other("cut")),
    ];
    Body::new(StreamBody::new(tokio_stream::iter(frames))).into_response()
}

impl Observed {
    /// What the page says of requests, and what the one line says.
    #[track_caller]
    fn agree(&self, endpoint: &str, status: u16, outcome: &str) {
        let page = self.exporter.render();
        let series = format!(
            "api_requests_total{{endpoint=\"{endpoint}\",method=\"GET\",status=\"{status}\"}} 1"
        );
        assert!(
            page.lines().any(|line| line == series),
            "no {series} in\n{page}"
        );
        let active = format!("api_active_requests{{endpoint=\"{endpoint}\",method=\"GET\"}} 0");
        assert!(
            page.lines().any(|line| line == active),
            "no {active} in\n{page}"
        );

        let text = self
            .lines
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let lines: Vec<_> = lines
            .iter()
            .filter(|line| line["event"] == "http_request")
            .collect();
        assert_eq!(lines.len(), 1, "{text}");
        assert_eq!(lines[0]["status"], status);
        assert_eq!(lines[0]["outcome"], outcome);
    }

    async fn get(&self, path: &str) -> axum::response::Response {
        let request = Request::get(path).body(Body::empty()).unwrap();
        self.app.clone().oneshot(request).await.unwrap()
    }
}

#[tokio::test]
async fn a_whole_response_is_its_status() {
    let observed = observed();
    observed
        .get("/ok/7")
        .await
        .into_body()
        .collect()
        .await
        .unwrap();
    observed.agree("/ok/{id}", 200, "complete");
}

#[tokio::test]
async fn a_client_error_is_its_status() {
    let observed = observed();
    observed
        .get("/teapot")
        .await
        .into_body()
        .collect()
        .await
        .unwrap();
    observed.agree("/teapot", 418, "complete");
}

#[tokio::test]
async fn an_unmatched_path_is_no_label() {
    let observed = observed();
    observed
        .get("/no/such/page")
        .await
        .into_body()
        .collect()
        .await
        .unwrap();
    observed.agree("_OTHER", 404, "complete");
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_body_is_499() {
    let observed = observed();
    drop(observed.get("/ok/7").await);
    observed.agree("/ok/{id}", 499, "client_gone_in_body");
}

#[tokio::test]
async fn a_body_that_breaks_is_500() {
    let observed = observed();
    observed
        .get("/broken")
        .await
        .into_body()
        .collect()
        .await
        .unwrap_err();
    observed.agree("/broken", 500, "body_error");
}

#[tokio::test]
async fn a_panic_that_nobody_catches_is_500() {
    let observed = observed();
    let app = observed.app.clone();
    let request = Request::get("/panic").body(Body::empty()).unwrap();
    let unwound = tokio::task::LocalSet::new()
        .run_until(async { tokio::task::spawn_local(app.oneshot(request)).await })
        .await;
    assert!(unwound.is_err_and(|error| error.is_panic()));
    observed.agree("/panic", 500, "panic");
}

#[tokio::test]
async fn a_panic_that_is_caught_inside_is_what_the_catcher_answers() {
    let observed = observed();
    observed
        .get("/caught")
        .await
        .into_body()
        .collect()
        .await
        .unwrap();
    observed.agree("/caught", 500, "complete");
}

#[tokio::test]
async fn a_client_that_goes_away_before_the_head_is_499() {
    let observed = observed();
    let mut request = pin!(observed.get("/never"));
    let pending = request
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
        .is_pending();
    assert!(pending);
    request.set(observed.get("/never"));
    observed.agree("/never", 499, "client_gone_before_head");
}
