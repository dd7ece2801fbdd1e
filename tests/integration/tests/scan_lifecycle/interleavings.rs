//! Whatever happens in whatever order, the books are right.

use std::{
    convert::Infallible,
    future::pending,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    time::{Duration, UNIX_EPOCH},
};

use http::{Method, Request, Response};
use proptest::{collection::vec, prelude::*};
use test_support::drive::poll;
use tower::{Layer as _, Service as _, service_fn};
use tower_scan_lifecycle::{
    ActiveScan, CurrentScan, FailureReason, HttpScanLayer, QueuedScan, RejectReason, ScanMeta,
    ScanReport, Severity, Ticket,
};

use crate::common::{Scene, runtimes};

const TYPES: [&str; 3] = ["mcp", "model", "other"];
const DEADLINE: u64 = 100;

/// What may happen next. Numbers choose a type, or one of those that there are.
#[derive(Clone, Debug)]
enum Step {
    Queue(usize),
    StartQueued(usize),
    ToTicket(usize),
    RejectQueued(usize),
    DropQueued(usize),
    Start(usize, bool),
    StartTicket(usize),
    LoseTicket(usize),
    Complete(usize, u64),
    Report(usize, u64),
    Fail(usize),
    TimeOut(usize),
    Cancel(usize),
    Retry(usize),
    Reject(usize),
    Drop(usize),
    PanicHolding(usize),
    PanicInScope(usize),
    Abort(usize),
    Request(usize, Handler),
    RejectUnstarted(usize),
    Abandon(usize, u64),
    Advance(u64),
    SetClock(u64),
    Refresh,
}

/// What the handler of a request does.
#[derive(Clone, Debug)]
enum Handler {
    Answers(u16),
    Detaches,
    Hangs,
    Panics,
}

fn step() -> impl Strategy<Value = Step> {
    let which = || 0..8_usize;
    let handler = prop_oneof![
        prop::sample::select(vec![200_u16, 400, 403, 408, 500]).prop_map(Handler::Answers),
        Just(Handler::Detaches),
        Just(Handler::Hangs),
        Just(Handler::Panics),
    ];
    prop_oneof![
        3 => which().prop_map(Step::Queue),
        3 => which().prop_map(Step::StartQueued),
        2 => which().prop_map(Step::ToTicket),
        1 => which().prop_map(Step::RejectQueued),
        1 => which().prop_map(Step::DropQueued),
        5 => (which(), any::<bool>()).prop_map(|(n, deadline)| Step::Start(n, deadline)),
        2 => which().prop_map(Step::StartTicket),
        1 => which().prop_map(Step::LoseTicket),
        3 => (which(), 0..5_u64).prop_map(|(n, found)| Step::Complete(n, found)),
        2 => (which(), 0..5_u64).prop_map(|(n, found)| Step::Report(n, found)),
        1 => which().prop_map(Step::Fail),
        1 => which().prop_map(Step::TimeOut),
        1 => which().prop_map(Step::Cancel),
        2 => which().prop_map(Step::Retry),
        1 => which().prop_map(Step::Reject),
        2 => which().prop_map(Step::Drop),
        1 => which().prop_map(Step::PanicHolding),
        1 => which().prop_map(Step::PanicInScope),
        1 => which().prop_map(Step::Abort),
        3 => (which(), handler).prop_map(|(n, handler)| Step::Request(n, handler)),
        1 => which().prop_map(Step::RejectUnstarted),
        1 => (which(), 0..4_u64).prop_map(|(n, scans)| Step::Abandon(n, scans)),
        2 => (0..70_u64).prop_map(Step::Advance),
        1 => (0..4_000_000_000_u64).prop_map(Step::SetClock),
        1 => Just(Step::Refresh),
    ]
}

/// A scan that runs, and what is known of it.
struct Run {
    scan: ActiveScan,
    row: usize,
    started: u64,
    deadline: bool,
    /// What was reported through its context.
    found: u64,
    /// Never seen from inside.
    fresh: bool,
}

/// What should have been counted.
#[derive(Clone, Debug, Default, PartialEq)]
struct Counted {
    started: f64,
    completed: f64,
    failed: f64,
    timed_out: f64,
    cancelled: f64,
    rejected: f64,
    retries: f64,
}

struct World {
    scene: Scene,
    now: u64,
    queued: Vec<(QueuedScan, usize)>,
    tickets: Vec<(Ticket, usize)>,
    runs: Vec<Run>,
    counted: [Counted; 3],
    findings: f64,
    unknown: u64,
}

fn taken<T>(all: &mut Vec<T>, which: usize) -> Option<T> {
    (!all.is_empty()).then(|| all.swap_remove(which % all.len()))
}

fn quietly<R>(work: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

impl World {
    fn new(scene: Scene) -> Self {
        Self {
            scene,
            now: 0,
            queued: Vec::new(),
            tickets: Vec::new(),
            runs: Vec::new(),
            counted: Default::default(),
            findings: 0.0,
            unknown: 0,
        }
    }

    fn meta(row: usize) -> ScanMeta {
        ScanMeta::new(["mcp", "model", "surprise"][row])
    }

    fn began(&mut self, scan: ActiveScan, row: usize, deadline: bool) {
        self.counted[row].started += 1.0;
        self.runs.push(Run {
            scan,
            row,
            started: self.now,
            deadline,
            found: 0,
            fresh: true,
        });
    }

    /// Nobody said how it ends.
    fn unfinished(&mut self, run: &Run) {
        let late = run.deadline && self.now - run.started >= DEADLINE;
        let counted = &mut self.counted[run.row];
        if late {
            counted.timed_out += 1.0;
        } else {
            counted.cancelled += 1.0;
        }
    }

    fn take(&mut self, step: Step) {
        let scans = self.scene.scans.clone();
        match step {
            Step::Queue(n) => {
                let row = n % TYPES.len();
                self.queued.push((scans.queue(Self::meta(row)), row));
            }
            Step::StartQueued(n) => {
                if let Some((queued, row)) = taken(&mut self.queued, n) {
                    self.began(queued.start(), row, false);
                }
            }
            Step::ToTicket(n) => {
                if let Some((queued, row)) = taken(&mut self.queued, n) {
                    self.tickets.push((queued.into_ticket(), row));
                }
            }
            Step::RejectQueued(n) => {
                if let Some((queued, row)) = taken(&mut self.queued, n) {
                    queued.reject(RejectReason::QueueFull);
                    self.counted[row].started += 1.0;
                    self.counted[row].rejected += 1.0;
                }
            }
            Step::DropQueued(n) => {
                if let Some((queued, row)) = taken(&mut self.queued, n) {
                    drop(queued);
                    self.counted[row].started += 1.0;
                    self.counted[row].rejected += 1.0;
                }
            }
            Step::Start(n, deadline) => {
                let row = n % TYPES.len();
                let mut meta = Self::meta(row);
                if deadline {
                    meta = meta.deadline(Duration::from_secs(DEADLINE));
                }
                self.began(scans.start(meta), row, deadline);
            }
            Step::StartTicket(n) => {
                if let Some((ticket, row)) = taken(&mut self.tickets, n) {
                    self.began(scans.start_ticket(ticket), row, false);
                }
            }
            Step::LoseTicket(n) => drop(taken(&mut self.tickets, n)),
            Step::Report(n, found) => {
                let count = self.runs.len();
                if let Some(run) = self.runs.get_mut(n % count.max(1)) {
                    run.scan.context().findings(Severity::High, found);
                    run.found += found;
                }
            }
            Step::Complete(n, found) => {
                if let Some(run) = taken(&mut self.runs, n) {
                    run.scan
                        .complete(ScanReport::new().findings(Severity::High, found));
                    self.counted[run.row].completed += 1.0;
                    self.findings += (found + run.found) as f64;
                }
            }
            Step::Fail(n) => {
                if let Some(run) = taken(&mut self.runs, n) {
                    run.scan
                        .fail(FailureReason::ALL[n % FailureReason::ALL.len()]);
                    let counted = &mut self.counted[run.row];
                    match FailureReason::ALL[n % FailureReason::ALL.len()] {
                        FailureReason::Timeout => counted.timed_out += 1.0,
                        FailureReason::Cancelled => counted.cancelled += 1.0,
                        _ => counted.failed += 1.0,
                    }
                }
            }
            Step::TimeOut(n) => {
                if let Some(run) = taken(&mut self.runs, n) {
                    run.scan.time_out();
                    self.counted[run.row].timed_out += 1.0;
                }
            }
            Step::Cancel(n) => {
                if let Some(run) = taken(&mut self.runs, n) {
                    run.scan.cancel();
                    self.counted[run.row].cancelled += 1.0;
                }
            }
            Step::Retry(n) => {
                if let Some(run) = taken(&mut self.runs, n) {
                    self.tickets.push((run.scan.retry(), run.row));
                    self.counted[run.row].retries += 1.0;
                }
            }
            Step::Reject(n) => {
                if let Some(run) = taken(&mut self.runs, n) {
                    run.scan.reject(RejectReason::Invalid);
                    self.counted[run.row].rejected += 1.0;
                }
            }
            Step::Drop(n) => {
                if let Some(run) = taken(&mut self.runs, n) {
                    self.unfinished(&run);
                    drop(run);
                }
            }
            Step::PanicHolding(n) => {
                if let Some(run) = taken(&mut self.runs, n) {
                    // Once its code was seen to return, its holder's panic is another's.
                    if run.fresh {
                        self.counted[run.row].failed += 1.0;
                    } else {
                        self.unfinished(&run);
                    }
                    let held = move || {
                        let _run = run;
                        panic!("holding a scan");
                    };
                    assert!(quietly(held).is_none());
                }
            }
            Step::PanicInScope(n) => {
                if let Some(run) = taken(&mut self.runs, n) {
                    let mut inside = Box::pin(run.scan.scope(async { panic!("in a scan") }));
                    assert!(quietly(|| poll(&mut inside)).is_none());
                    drop(inside);
                    drop(run.scan);
                    self.counted[run.row].failed += 1.0;
                }
            }
            Step::Abort(n) => {
                if let Some(mut run) = taken(&mut self.runs, n) {
                    let mut inside = Box::pin(run.scan.scope(pending::<()>()));
                    assert!(poll(&mut inside).is_pending());
                    drop(inside);
                    run.fresh = false;
                    // Some go on, as those whose scope was one branch of a select.
                    if n % 2 == 0 {
                        self.runs.push(run);
                    } else {
                        self.unfinished(&run);
                        drop(run);
                    }
                }
            }
            Step::Request(n, handler) => self.request(n % TYPES.len(), &handler),
            Step::RejectUnstarted(n) => {
                let row = n % TYPES.len();
                scans.reject(TYPES[row], RejectReason::Forbidden);
                self.counted[row].started += 1.0;
                self.counted[row].rejected += 1.0;
            }
            Step::Abandon(n, count) => {
                let row = n % TYPES.len();
                scans.abandoned(TYPES[row], count);
                self.counted[row].started += count as f64;
                self.counted[row].failed += count as f64;
                self.unknown += count;
            }
            Step::Advance(seconds) => {
                self.scene.clock.advance(Duration::from_secs(seconds));
                self.now += seconds;
            }
            Step::SetClock(seconds) => {
                *self.scene.wall.lock().unwrap() = UNIX_EPOCH + Duration::from_secs(seconds);
            }
            Step::Refresh => scans.refresh(),
        }
    }

    /// A request on its own way through the layer.
    fn request(&mut self, row: usize, handler: &Handler) {
        type Answer = Pin<Box<dyn Future<Output = Result<Response<String>, Infallible>>>>;
        let (send, detached) = std::sync::mpsc::channel();
        let what = handler.clone();
        let service = service_fn(move |request: Request<()>| -> Answer {
            let scan = request
                .extensions()
                .get::<CurrentScan>()
                .expect("a scan")
                .clone();
            match what {
                Handler::Answers(status) => Box::pin(async move {
                    Ok(Response::builder()
                        .status(status)
                        .body(String::new())
                        .unwrap())
                }),
                Handler::Detaches => {
                    send.send(scan.detach().expect("still there")).unwrap();
                    Box::pin(async { Ok(Response::new(String::new())) })
                }
                Handler::Hangs => Box::pin(pending()),
                Handler::Panics => Box::pin(async { panic!("in a handler") }),
            }
        });
        let meta = Self::meta(row);
        let layer = HttpScanLayer::new(self.scene.scans.clone())
            .classify(move |request| (request.method() == Method::POST).then(|| meta.clone()));
        let request = Request::post("/scans").body(()).unwrap();
        let mut call = Box::pin(layer.layer(service).call(request));
        let polled = quietly(|| poll(&mut call));
        drop((polled, call));
        if let Ok(scan) = detached.try_recv() {
            return self.began(scan, row, false);
        }
        let counted = &mut self.counted[row];
        counted.started += 1.0;
        match handler {
            Handler::Answers(200) => counted.completed += 1.0,
            Handler::Answers(400 | 403) => counted.rejected += 1.0,
            Handler::Answers(408) => counted.timed_out += 1.0,
            Handler::Answers(_) | Handler::Panics => counted.failed += 1.0,
            Handler::Hangs => counted.cancelled += 1.0,
            Handler::Detaches => unreachable!("it has its scan"),
        }
    }

    fn check(&self) {
        let scene = &self.scene;
        scene.scans.refresh();
        scene.check(self.unknown);
        let samples = scene.samples();
        let value = |series: &str| {
            let series = format!("sentrascan_{series}");
            samples.get(&series).copied().unwrap_or(0.0)
        };
        for (row, (scan_type, expected)) in TYPES.into_iter().zip(&self.counted).enumerate() {
            let ended = |status: &str| {
                value(&format!(
                    "scans_total{{type=\"{scan_type}\",status=\"{status}\"}}"
                ))
            };
            let rejected = RejectReason::ALL.map(|reason| {
                value(&format!(
                    "scans_rejected_total{{type=\"{scan_type}\",reason=\"{reason}\"}}"
                ))
            });
            let of = |name: &str| value(&format!("{name}{{type=\"{scan_type}\"}}"));
            let counted = Counted {
                started: of("scans_started_total"),
                completed: ended("completed"),
                failed: ended("failed"),
                timed_out: ended("timed_out"),
                cancelled: ended("cancelled"),
                rejected: rejected.iter().sum(),
                retries: of("scan_retries_total"),
            };
            assert_eq!(&counted, expected, "{scan_type}");
            let runs = self.runs.iter().filter(|run| run.row == row);
            let oldest = runs.map(|run| self.now - run.started).max().unwrap_or(0);
            assert_eq!(of("oldest_active_scan_age_seconds"), oldest as f64);
        }
        assert_eq!(value("active_scans"), self.runs.len() as f64);
        assert_eq!(value("queued_scans"), self.queued.len() as f64);
        assert_eq!(value("findings_total{severity=\"high\"}"), self.findings);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn after_any_steps_everything_is_counted_once(steps in vec(step(), 1..60)) {
        std::panic::set_hook(Box::new(|_| {}));
        let mut world = World::new(Scene::new());
        for (at, step) in steps.into_iter().enumerate() {
            world.take(step);
            if at % 8 == 0 {
                world.check();
            }
        }
        world.check();
        for run in std::mem::take(&mut world.runs) {
            world.unfinished(&run);
        }
        world.check();
    }

    #[test]
    fn tasks_that_interleave_keep_the_identities(scripts in vec(vec(step(), 1..40), 2..5)) {
        std::panic::set_hook(Box::new(|_| {}));
        for (_, runtime) in runtimes() {
            let scene = Scene::new();
            let unknown = runtime.block_on(async {
                let tasks: Vec<_> = scripts.iter().cloned().map(|script| {
                    let mut world = World::new(scene.clone());
                    tokio::spawn(async move {
                        for step in script {
                            // Time is everybody's.
                            if !matches!(step, Step::Advance(_)) {
                                world.take(step);
                            }
                            tokio::task::yield_now().await;
                        }
                        let (left, waiting) = (world.runs.len(), world.queued.len());
                        assert!(world.scene.scans.active() >= left as u64);
                        assert!(world.scene.scans.queued() >= waiting as u64);
                        world.unknown
                    })
                }).collect();
                let mut unknown = 0;
                for task in tasks {
                    unknown += task.await.expect("a script runs to its end");
                }
                unknown
            });
            scene.check(unknown);
            prop_assert_eq!(scene.active(), 0.0);
            prop_assert_eq!(scene.value("queued_scans"), 0.0);
        }
    }
}
