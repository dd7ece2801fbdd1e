use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    thread::{self, ThreadId},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, sync::Notify};
use tower::{Service as _, service_fn};
use tower_metrics_exporter::{
    Exporter, Filter, Format, MetricsService, Samples, Source, collector_fn,
};

use crate::common::{ask, poll, request, scrape, serve, start, whole};

/// A page that takes until it is released.
#[derive(Default)]
struct Slow {
    released: Mutex<bool>,
    release: Condvar,
    renders: AtomicUsize,
    threads: Mutex<Vec<ThreadId>>,
}

impl Slow {
    fn release(&self) {
        *self.released.lock().unwrap() = true;
        self.release.notify_all();
    }

    fn renders(&self) -> usize {
        self.renders.load(Ordering::SeqCst)
    }
}

impl Source for Slow {
    fn formats(&self) -> &[Format] {
        &[Format::Text]
    }

    fn encode(&self, _: Format, _: &Filter, page: &mut Vec<u8>) {
        self.renders.fetch_add(1, Ordering::SeqCst);
        self.threads.lock().unwrap().push(thread::current().id());
        let released = self.released.lock().unwrap();
        // Not for ever, so that a test that fails comes to its end.
        let enough = Duration::from_secs(20);
        let waiting = |released: &mut bool| !*released;
        drop(self.release.wait_timeout_while(released, enough, waiting));
        page.extend(b"slow 1\n");
    }
}

#[tokio::test]
async fn scrapes_of_one_page_share_a_render_and_the_renders_are_bounded() {
    let source = Arc::new(Slow::default());
    let service = MetricsService::new(Arc::clone(&source)).max_in_flight(2);
    let mut shared = (0..10).map(|_| start(&service, "/")).collect::<Vec<_>>();
    let mut other = start(&service, "/?name[]=slow");
    assert!(shared.iter_mut().all(|scrape| poll(scrape).is_pending()));
    assert!(poll(&mut other).is_pending());
    let Poll::Ready(busy) = poll(&mut start(&service, "/?name[]=third")) else {
        panic!("no place was free");
    };
    assert_eq!(busy.status(), StatusCode::SERVICE_UNAVAILABLE);
    // Whoever began it goes away, and another.
    shared.drain(..2);

    source.release();
    let mut pages = Vec::new();
    for scrape in shared {
        let Ok(response) = scrape.await;
        assert_eq!(response.status(), StatusCode::OK);
        pages.push(whole(response).await.into_body());
    }
    assert!(pages.iter().all(|page| page == "slow 1\n"));
    assert!(pages.iter().all(|page| page.as_ptr() == pages[0].as_ptr()));
    let Ok(response) = other.await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(source.renders(), 2);
    let here = thread::current().id();
    assert!(!source.threads.lock().unwrap().contains(&here));
}

#[tokio::test]
async fn a_render_goes_on_without_anybody_and_makes_room_at_its_end() {
    let source = Arc::new(Slow::default());
    let service = MetricsService::new(Arc::clone(&source)).max_in_flight(1);
    drop(start(&service, "/"));
    let busy = ask(&service, request(Method::GET, "/?name[]=slow", &[])).await;
    assert_eq!(busy.status(), StatusCode::SERVICE_UNAVAILABLE);
    source.release();
    // It joins the first render, or begins one after that.
    assert_eq!(scrape(&service, &[]).await.status(), StatusCode::OK);
    let room = ask(&service, request(Method::GET, "/?name[]=slow", &[])).await;
    assert_eq!(room.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_scraper_is_told_before_it_gives_up() {
    let source = Arc::new(Slow::default());
    let service = MetricsService::new(Arc::clone(&source));
    let timeout = "x-prometheus-scrape-timeout-seconds";
    let late = scrape(&service, &[(timeout, "0.01")]).await;
    assert_eq!(late.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(late.body(), "the page was not ready within 9ms\n");
    // The service's own is shorter.
    let service = service.timeout(Duration::from_millis(2));
    for seconds in ["10", "1e300", "nan", "-1", "0", "soon"] {
        let late = scrape(&service, &[(timeout, seconds)]).await;
        assert_eq!(late.body(), "the page was not ready within 2ms\n");
    }
    // They all asked for the same page.
    assert!(source.renders() <= 1);
    source.release();
    let service = service.timeout(Duration::MAX);
    let response = scrape(&service, &[(timeout, "1e300")]).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[test]
fn a_runtime_without_timers_has_pages_all_the_same() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let source = Arc::new(Slow::default());
    let service = MetricsService::new(Arc::clone(&source));
    runtime.block_on(async {
        let first = start(&service, "/");
        let second = start(&service, "/");
        source.release();
        let (Ok(first), Ok(second)) = (first.await, second.await);
        assert_eq!(first.status(), StatusCode::OK);
        assert_eq!(second.status(), StatusCode::OK);
    });
}

#[test]
fn a_runtime_that_is_gone_gives_up_the_render() {
    let source = Arc::new(Slow::default());
    let service = MetricsService::new(Arc::clone(&source));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let handle = runtime.handle().clone();
    runtime.shutdown_background();
    let _entered = handle.enter();
    let Poll::Ready(response) = poll(&mut start(&service, "/")) else {
        panic!("it waits for a render that never comes");
    };
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(source.renders(), 0);
}

#[tokio::test]
async fn a_thousand_parallel_scrapes_are_one_render() {
    const CONNECTIONS: usize = 10;
    const STREAMS: usize = 100;

    let source = Arc::new(Slow::default());
    let service = MetricsService::new(Arc::clone(&source)).max_in_flight(1);
    let entered = Arc::new((AtomicUsize::new(0), Notify::new()));
    let all_in = Arc::clone(&entered);
    let address = serve(service_fn(move |request| {
        let scrape = service.clone().call(request);
        let (count, all) = &*entered;
        if count.fetch_add(1, Ordering::SeqCst) + 1 == CONNECTIONS * STREAMS {
            all.notify_one();
        }
        scrape
    }))
    .await;

    let mut scrapes = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let connection = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let client = hyper::client::conn::http2::handshake(TokioExecutor::new(), connection);
        let (client, connection) = client.await.unwrap();
        tokio::spawn(connection);
        for _ in 0..STREAMS {
            let mut client = client.clone();
            scrapes.spawn(async move {
                let request = Request::get("http://localhost/metrics");
                let request = request.body(Empty::<Bytes>::new()).unwrap();
                let response = client.send_request(request).await.unwrap();
                assert_eq!(response.status(), StatusCode::OK);
                response.into_body().collect().await.unwrap().to_bytes()
            });
        }
    }
    all_in.1.notified().await;
    source.release();
    let pages = scrapes.join_all().await;
    assert_eq!(pages.len(), CONNECTIONS * STREAMS);
    assert!(pages.iter().all(|page| page == "slow 1\n"));
    assert_eq!(source.renders(), 1);
}

/// Tells where it is rendered.
struct Where {
    may_wait: bool,
    threads: Mutex<Vec<ThreadId>>,
}

impl Source for Where {
    fn formats(&self) -> &[Format] {
        &[Format::Text]
    }

    fn may_wait(&self) -> bool {
        self.may_wait
    }

    fn encode(&self, _: Format, _: &Filter, page: &mut Vec<u8>) {
        self.threads.lock().unwrap().push(thread::current().id());
        page.extend(b"up 1\n");
    }
}

#[tokio::test]
async fn what_may_wait_is_never_rendered_where_other_tasks_run() {
    let blocks = collector_fn("c", |_: &mut Samples| {}).blocking();
    let exporter = Exporter::builder().collector(blocks).build().unwrap();
    assert!(exporter.may_wait());
    let quick = collector_fn("c", |_: &mut Samples| {});
    let exporter = Exporter::builder().collector(quick).build().unwrap();
    assert!(!exporter.may_wait());

    for may_wait in [true, false] {
        let source = Arc::new(Where {
            may_wait,
            threads: Mutex::default(),
        });
        let service = MetricsService::new(Arc::clone(&source));
        let here = thread::current().id();
        // The first is off the worker always; some of so many that follow it are as quick as can be.
        for _ in 0..200 {
            assert_eq!(scrape(&service, &[]).await.status(), StatusCode::OK);
        }
        let is_here = source.threads.lock().unwrap().contains(&here);
        assert_eq!(is_here, !may_wait);
    }
}
