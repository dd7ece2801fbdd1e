//! Exports of a sink that runs: all series are read, encoded and sent to a server on loopback that swallows them.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
    time::Duration,
};

use metrics::{Counter, Key, Label, Level, Metadata, Recorder};
use test_support::alloc::{self, Allocations};
use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
};
use tower_metrics_exporter::{
    Exporter, ExporterBuilder, Matcher, Otlp, Pushgateway, RemoteWrite, Samples, Sink, SinkError,
    SinksHandle, Statsd, collector_fn,
};

const METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// The upper bounds of the histograms' buckets.
pub const BUCKETS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// What is exported. The numbers are the same wherever they are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counters,
    Histograms,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counters => "api_requests_total",
            Self::Histograms => "api_request_duration_seconds",
        }
    }

    /// The labels of a series, of which one tells it apart.
    pub fn labels(at: usize) -> [(&'static str, String); 3] {
        [
            ("method", String::from("GET")),
            ("endpoint", format!("/api/v1/things/{at}")),
            ("status", String::from("200")),
        ]
    }

    /// What a counter counts.
    pub const fn count(at: usize) -> u64 {
        at as u64 % 1_000 + 1
    }

    /// What a histogram is told, once.
    pub fn value(at: usize) -> f64 {
        (at % 1_024) as f64 / 128.0
    }

    /// The key of a series.
    pub fn key(self, at: usize) -> Key {
        let labels = Self::labels(at).map(|(name, value)| Label::new(name, value));
        Key::from_parts(self.name(), labels.to_vec())
    }

    /// Records this many series.
    pub fn record(self, recorder: &dyn Recorder, series: usize) {
        for at in 0..series {
            let key = self.key(at);
            match self {
                Self::Counters => recorder
                    .register_counter(&key, &METADATA)
                    .increment(Self::count(at)),
                Self::Histograms => recorder
                    .register_histogram(&key, &METADATA)
                    .record(Self::value(at)),
            }
        }
    }

    /// An exporter with this many series.
    pub fn exporter(self, series: usize) -> Exporter {
        self.built(builder(), series)
    }

    fn built(self, builder: ExporterBuilder, series: usize) -> Exporter {
        let exporter = builder.build().expect("the buckets can be used");
        self.record(&exporter.recorder(), series);
        exporter
    }
}

fn builder() -> ExporterBuilder {
    Exporter::builder()
        .limit(Matcher::Any, 1_000_000)
        .buckets(Matcher::Any, BUCKETS)
}

/// Where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    Otlp,
    RemoteWrite,
    Pushgateway,
    DogStatsd,
}

impl To {
    /// The label of its sink.
    const fn name(self) -> &'static str {
        match self {
            Self::Otlp => "otlp",
            Self::RemoteWrite => "remote_write",
            Self::Pushgateway => "pushgateway",
            Self::DogStatsd => "statsd",
        }
    }

    fn server(self) -> Server {
        let server = match self {
            Self::DogStatsd => Server::udp(),
            _ => Server::http(),
        };
        server.expect("loopback has a free port")
    }

    fn sink(self, address: SocketAddr) -> Result<Sink, SinkError> {
        let url = format!("http://{address}");
        Ok(match self {
            Self::Otlp => Otlp::http(&url)?.into(),
            Self::RemoteWrite => RemoteWrite::new(&url)?.into(),
            Self::Pushgateway => Pushgateway::new(&url, "benches")?.into(),
            // Nobody is there to be flooded.
            Self::DogStatsd => Statsd::udp(address.to_string())?
                .dogstatsd()
                .pause(Duration::ZERO)
                .into(),
        })
    }
}

/// A sink that runs, but only while it is waited for.
pub struct Exports {
    exporter: Exporter,
    to: To,
    gate: Arc<Gate>,
    /// How far it is.
    progress: watch::Receiver<Progress>,
    runtime: Runtime,
    _sinks: SinksHandle,
}

/// What the thread tells that reads and encodes, before each time it reads.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// Exports that were read and encoded, once it is there.
    exports: Option<u64>,
    /// What that thread has allocated so far.
    allocations: Allocations,
}

/// Where series are not read before somebody waits for it: else there would be one more export now and then, or a part
/// of one.
#[derive(Debug, Default)]
struct Gate {
    state: Mutex<Turns>,
    opened: Condvar,
}

#[derive(Debug, Default)]
struct Turns {
    /// How often series were let be read.
    let_through: u64,
    /// How often they may be.
    allowed: u64,
    is_over: bool,
}

impl Gate {
    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until series may be read once more.
    fn pass(&self) {
        let is_shut = |turns: &mut Turns| turns.let_through == turns.allowed && !turns.is_over;
        let turns = self.opened.wait_while(self.turns(), is_shut);
        turns.unwrap_or_else(PoisonError::into_inner).let_through += 1;
    }

    /// Lets them be read so many times more, and tells how often that is in all.
    fn open(&self, times: u64) -> u64 {
        let mut turns = self.turns();
        turns.allowed += times;
        self.opened.notify_all();
        turns.allowed
    }
}

impl Exports {
    /// Starts it, for this many series.
    pub fn new(kind: Kind, series: usize, to: To) -> Self {
        let (told, progress) = watch::channel(Progress::default());
        let gate = Arc::<Gate>::default();
        let counters = Arc::<OnceLock<Vec<Counter>>>::default();
        let (read, passing) = (Arc::clone(&counters), Arc::clone(&gate));
        let collector = collector_fn("reads", move |_: &mut Samples| {
            told.send_replace(Progress {
                exports: Some(passing.turns().let_through),
                allocations: alloc::so_far(),
            });
            passing.pass();
            // Of counters that stand still nothing is sent.
            for counter in read.get().into_iter().flatten() {
                counter.increment(1);
            }
        });
        let exporter = kind.built(builder().collector(collector), series);
        let interval = match to {
            To::DogStatsd => {
                let recorder = exporter.recorder();
                let held =
                    (0..series).map(|at| recorder.register_counter(&kind.key(at), &METADATA));
                counters.get_or_init(|| held.collect());
                // Datagrams are a millisecond apart at least.
                Duration::from_millis(100 + series as u64 / 10)
            }
            _ => Duration::from_millis(5),
        };
        // One thread that may block: what it allocates can be told.
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .thread_keep_alive(Duration::from_secs(3_600))
            .build();
        let runtime = runtime.expect("the runtime starts");
        let server = to.server();
        let sinks = runtime.block_on(async {
            let sink = to.sink(server.address).expect("it is an address");
            exporter.sinks().interval(interval).sink(sink).start()
        });
        Self {
            exporter,
            to,
            gate,
            progress,
            runtime,
            _sinks: sinks.expect("it can be started"),
        }
    }

    /// What it exports.
    pub const fn exporter(&self) -> &Exporter {
        &self.exporter
    }

    /// Waits for this many exports. What another thread allocates for them is counted on this one.
    pub fn run(&self, exports: usize) {
        let before = self.after(self.gate.open(0));
        let after = self.after(self.gate.open(exports as u64));
        alloc::add(after.since(before));
        let lost = self.exporter.value(
            "exporter_sink_lost_points_total",
            &[("sink", self.to.name()), ("reason", "buffer_full")],
        );
        assert_eq!(lost, Some(0.0), "{:?}", self.to);
    }

    /// What the thread has allocated that reads and encodes, when it has done so this many times.
    fn after(&self, exports: u64) -> Allocations {
        let mut progress = self.progress.clone();
        let done = progress.wait_for(|progress| progress.exports == Some(exports));
        let done = self.runtime.block_on(done);
        done.expect("the exporter is there").allocations
    }

    /// What arrives when a sink is started and ended: the bodies of requests, or datagrams.
    pub fn once(exporter: &Exporter, to: To) -> Vec<Vec<u8>> {
        let server = to.server();
        server.keep(true);
        let runtime = Builder::new_current_thread().enable_all().build();
        runtime.expect("the runtime starts").block_on(async {
            let sink = to.sink(server.address).expect("it is an address");
            let sinks = exporter.sinks().sink(sink).start();
            let sinks = sinks.expect("it can be started");
            let report = sinks.shutdown(Duration::from_secs(60)).await;
            assert!(report.is_complete(), "{report:?}");
        });
        server.keep(false)
    }
}

impl Drop for Exports {
    fn drop(&mut self) {
        self.gate.turns().is_over = true;
        self.gate.open(0);
    }
}

/// What the servers' threads are called.
pub const SERVER: &str = "swallows";

/// What arrived, if it is kept.
type Kept = Arc<Mutex<Option<Vec<Vec<u8>>>>>;

/// Swallows what it is sent, on threads of its own.
#[derive(Debug)]
pub struct Server {
    pub address: SocketAddr,
    kept: Kept,
}

impl Server {
    /// Answers every request with 200 and nothing.
    pub fn http() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let this = Self {
            address: listener.local_addr()?,
            kept: Kept::default(),
        };
        let kept = Arc::clone(&this.kept);
        spawn(move || {
            let mut buffer = vec![0; 1 << 20];
            for stream in listener.incoming().flatten() {
                // One after the other: a client that goes is no fault.
                drop(swallow(stream, &mut buffer, &kept));
            }
        })?;
        Ok(this)
    }

    /// Takes datagrams.
    pub fn udp() -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let this = Self {
            address: socket.local_addr()?,
            kept: Kept::default(),
        };
        let kept = Arc::clone(&this.kept);
        spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(length) = socket.recv(&mut buffer) {
                keep(&kept, &buffer[..length]);
            }
        })?;
        Ok(this)
    }

    /// Keeps what arrives from now on, or no longer, and gives what was kept.
    pub fn keep(&self, keep: bool) -> Vec<Vec<u8>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let before = kept.take();
        *kept = keep.then(Vec::new);
        before.unwrap_or_default()
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new().name(SERVER.to_owned());
    thread.spawn(work).map(drop)
}

fn keep(kept: &Kept, body: &[u8]) {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(kept) = kept.as_mut() {
        kept.push(body.to_vec());
    }
}

/// Reads requests, whole, until the connection ends.
fn swallow(mut stream: TcpStream, buffer: &mut Vec<u8>, kept: &Kept) -> io::Result<()> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..])?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        let Some(head) = buffer[..filled]
            .windows(4)
            .position(|end| end == b"\r\n\r\n")
        else {
            continue;
        };
        let body = head + 4;
        let end = body + length(&buffer[..head]);
        if buffer.len() < end {
            buffer.resize(end, 0);
        }
        while filled < end {
            let read = stream.read(&mut buffer[filled..end])?;
            if read == 0 {
                return Ok(());
            }
            filled += read;
        }
        keep(kept, &buffer[body..end]);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
        // Nobody sends the next before the answer to the last.
        filled = 0;
    }
}

/// What the header says that the body has.
fn length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    length
        .and_then(|length| length.trim().parse().ok())
        .expect("the client says how long it is")
}
