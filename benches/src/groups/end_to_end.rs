//! Whole servers under load, each a process on one processor, with the load on another: what a request
//! costs the server's process, and how many there are in a second.

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use benches::{
    callgrind::tools,
    report::{Row, Unit},
};
use clap::ValueEnum as _;

use crate::{
    harness::{Effort, Rows, quartiles},
    served::{Inner, Stack},
    versions,
};

const GROUP: &str = "end-to-end";

const STACKS: [Stack; 12] = [
    Stack::Bare,
    Stack::Floor,
    Stack::Least,
    Stack::LeastAndLine,
    Stack::Metrics,
    Stack::MetricsAndDirectLine,
    Stack::MetricsAndLine,
    Stack::Everything,
    Stack::AxumPrometheus,
    Stack::Opentelemetry,
    Stack::Trace,
    Stack::AxumPrometheusAndTrace,
];

/// Up to which the differences are small: those that have budgets, and what they are beside.
const FIRST: usize = 7;

const PLATFORM: [Stack; 6] = [
    Stack::Bare,
    Stack::Metrics,
    Stack::MetricsAndDirectLine,
    Stack::MetricsAndLine,
    Stack::Everything,
    Stack::AxumPrometheusAndTrace,
];

/// Compares.
pub fn run(effort: Effort, rows: &mut Rows) -> Result<()> {
    if effort.is_of_one() {
        return Ok(());
    }
    served(Inner::Route, &STACKS, effort, rows)?;
    served(Inner::Platform, &PLATFORM, effort, rows)
}

fn served(inner: Inner, stacks: &[Stack], effort: Effort, rows: &mut Rows) -> Result<()> {
    let loaders = match inner {
        Inner::Route => &LOADERS[..],
        Inner::Platform => &LOADERS[..2],
    };
    let generations = |loader| match loader {
        Loader::Wrk | Loader::H2load => effort.rounds.min(3),
        Loader::Slices => effort.rounds.min(30),
    };
    let mut all = vec![Vec::new(); loaders.len()];
    let most = loaders.iter().map(|loader| generations(*loader)).max();
    for generation in 0..most.unwrap_or_default() {
        // Each anew: where a process has its memory is luck, which it keeps for as long as it lives.
        let folder = tempfile::tempdir()?;
        let mut servers = Vec::new();
        let is_for_all = generation < generations(Loader::Wrk);
        let started = if is_for_all { stacks } else { &stacks[..FIRST] };
        for stack in started {
            let log = folder.path().join(format!("{stack:?}.log"));
            servers.push(Server::start(*stack, inner, &log)?);
        }
        if inner == Inner::Route && is_for_all {
            servers.extend([Server::python("bare")?, Server::python("metrics")?]);
        }
        for (loader, all) in loaders.iter().zip(&mut all) {
            if generation >= generations(*loader) {
                continue;
            }
            let servers = match loader {
                Loader::Wrk => &servers[..],
                // uvicorn speaks HTTP/1.1 only.
                Loader::H2load => &servers[..stacks.len()],
                Loader::Slices => &servers[..FIRST],
            };
            all.push(take_turns(servers, *loader)?);
        }
    }
    for (loader, all) in loaders.iter().copied().zip(&all) {
        let servers = all.first().map_or(0, Vec::len);
        let costs: Vec<_> = (0..servers).map(|at| Cost::typical(all, at)).collect();
        println!("\nend-to-end: {}, {}", inner.says(), loader.says());
        let names = stacks.iter().map(|stack| format!("{stack:?}"));
        let guide = ["FastAPI", "FastAPI, the guide's middleware"].map(str::to_owned);
        for (at, (name, cost)) in names.chain(guide).zip(&costs).enumerate() {
            let [low, middle, high] = Cost::more(all, at);
            println!(
                "  {name:<32} {:>8.0} ns of processor a request, {middle:.3} of bare in the middle generation ({low:.3} to {high:.3}), {:>8.0} requests/s",
                cost.nanos, cost.rate,
            );
        }
        let of = |stack| {
            let at = stacks.iter().position(|one| *one == stack);
            costs.get(at?).copied()
        };
        rows_of(inner, loader, of, rows);
        if let (Some([bare, theirs]), Some(floor), Some(ours)) = (
            costs.get(stacks.len()..),
            of(Stack::Bare),
            of(Stack::Metrics),
        ) {
            let case = "what metrics add to a route: processor time a request, HTTP/1.1 by wrk";
            let row = Row::new(GROUP, case, ours.nanos - floor.nanos).beside(
                "the guide's middleware in FastAPI",
                theirs.nanos - bare.nanos,
            );
            rows.add(row.headline());
        }
    }
    Ok(())
}

/// What each of the servers of a generation cost, in all turns.
type Generation = Vec<Vec<Cost>>;

/// Loads the servers in turn.
fn take_turns(servers: &[Server], loader: Loader) -> Result<Generation> {
    // The first are there to warm up.
    let (warm, turns) = match loader {
        Loader::Wrk | Loader::H2load => (1, 3),
        Loader::Slices => (2, 8),
    };
    let mut all = vec![Vec::new(); servers.len()];
    for turn in 0..warm + turns {
        // There and back, so that no server always has the same neighbour.
        let mut order: Vec<_> = (0..servers.len()).collect();
        if turn % 2 == 1 {
            order.reverse();
        }
        for at in order {
            let cost = servers[at].load(loader)?;
            servers[at].empty_log()?;
            if turn >= warm {
                all[at].push(cost);
            }
        }
    }
    Ok(all)
}

impl Inner {
    const fn says(self) -> &'static str {
        match self {
            Self::Route => "a route of axum",
            Self::Platform => "the health of the scan platform",
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Route => "/api/v1/scans0/42",
            Self::Platform => "/api/v1/health",
        }
    }
}

/// The budgets are those of a route that does nothing, by HTTP/1.1.
const fn is_judged(inner: Inner, loader: Loader) -> bool {
    matches!((inner, loader), (Inner::Route, Loader::Slices))
}

fn rows_of(inner: Inner, loader: Loader, of: impl Fn(Stack) -> Option<Cost>, rows: &mut Rows) {
    let prometheus = versions::named("axum-prometheus");
    let opentelemetry = versions::named("opentelemetry-instrumentation-tower");
    let trace = versions::named("tower-http") + " Trace, tracing-subscriber json";
    let both = format!("{prometheus} and Trace, json");
    let is_judged = is_judged(inner, loader);
    let is_told = matches!(loader, Loader::Wrk);
    for (stack, name, budget, peers) in [
        (
            Stack::Floor,
            "a layer that does nothing, InFlightRequests",
            0.0,
            vec![],
        ),
        (
            Stack::Least,
            "the recordings alone, which count wrongly",
            0.0,
            vec![],
        ),
        (
            Stack::LeastAndLine,
            "the recordings alone and a line that was ready before",
            0.0,
            vec![],
        ),
        (
            Stack::Metrics,
            "metrics",
            1.06,
            vec![
                (Stack::AxumPrometheus, &prometheus),
                (Stack::Opentelemetry, &opentelemetry),
            ],
        ),
        (
            Stack::MetricsAndDirectLine,
            "metrics and a line, directly",
            1.18,
            vec![],
        ),
        (
            Stack::MetricsAndLine,
            "metrics and a line, through tracing",
            1.27,
            vec![
                (Stack::Trace, &trace),
                (Stack::AxumPrometheusAndTrace, &both),
            ],
        ),
        (
            Stack::Everything,
            "metrics, a line, a scan and request bodies",
            0.0,
            vec![],
        ),
    ] {
        let (Some(ours), Some(bare)) = (of(stack), of(Stack::Bare)) else {
            continue;
        };
        let on = match inner {
            Inner::Route => String::new(),
            Inner::Platform => format!(", {}", inner.says()),
        };
        let case = format!("{name}{on}: processor time a request, {}", loader.says());
        let time = || Row::new(GROUP, &case, ours.nanos);
        let row = time().beside("the bare route", bare.nanos);
        rows.add(match budget {
            budget if is_judged && budget > 0.0 => row.at_most(budget),
            _ if is_told => row.headline(),
            _ => row,
        });
        for (peer, called) in peers {
            let Some(peer) = of(peer) else { continue };
            let row = time().beside(called, peer.nanos);
            rows.add(if is_told { row.headline() } else { row });
        }
        if is_judged && ours.sink > 0.0 {
            let case = format!("{name}: of it the thread that writes, {}", loader.says());
            rows.add(Row::new(GROUP, case, ours.sink).beside("the bare route", bare.nanos));
        }
        let case = format!("{name}{on}: throughput, {}", loader.says());
        let row = Row::new(GROUP, case, ours.rate).beside("the bare route", bare.rate);
        rows.add(Row {
            unit: Unit::RequestsPerSecond,
            ..row
        });
    }
}

const LOADERS: [Loader; 3] = [Loader::Wrk, Loader::H2load, Loader::Slices];

#[derive(Clone, Copy, Debug)]
enum Loader {
    /// A second of HTTP/1.1, the least that it takes.
    Wrk,
    /// HTTP/2.
    H2load,
    /// HTTP/1.1 in slices of less than a tenth of a second: what else runs on the machine is the same for two that
    /// follow each other, and there are many.
    Slices,
}

impl Loader {
    const fn says(self) -> &'static str {
        match self {
            Self::Wrk => "HTTP/1.1 by wrk",
            Self::H2load => "HTTP/2 by h2load",
            Self::Slices => "HTTP/1.1 by h2load",
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Cost {
    /// Nanoseconds of processor a request.
    nanos: f64,
    /// Of these, of the thread that writes the log.
    sink: f64,
    /// Requests a second.
    rate: f64,
}

impl Cost {
    /// What the server at this place comes to: the mean of its generations.
    fn typical(all: &[Generation], at: usize) -> Self {
        let of = |value: fn(&Self) -> f64| {
            let quiet = all.iter().map(|servers| Self::quiet(&servers[at], value));
            quiet.sum::<f64>() / all.len() as f64
        };
        Self {
            nanos: of(|cost| cost.nanos),
            sink: of(|cost| cost.sink),
            rate: 1e9 / of(|cost| 1e9 / cost.rate),
        }
    }

    /// How much more it takes than the bare route, which is the first, in each generation: the quartiles.
    fn more(all: &[Generation], at: usize) -> [f64; 3] {
        let more = all.iter().map(|servers| {
            let [own, bare] = [at, 0].map(|at| Self::quiet(&servers[at], |cost| cost.nanos));
            own / bare
        });
        quartiles(more.collect())
    }

    /// The lower quartile of its turns: what else runs on the machine only adds, and adds to some of them.
    fn quiet(turns: &[Self], value: fn(&Self) -> f64) -> f64 {
        quartiles(turns.iter().map(value).collect())[0]
    }
}

/// A server in a process of its own, which ends with this.
struct Server {
    process: Child,
    url: String,
    log: PathBuf,
}

impl Server {
    fn start(stack: Stack, inner: Inner, log: &Path) -> Result<Self> {
        let stack = stack.to_possible_value().context("it has a name")?;
        let name = inner.to_possible_value().context("it has a name")?;
        let program = match (inner, env::var_os("BENCHES_PLATFORM")) {
            (Inner::Platform, Some(program)) => program.into(),
            _ => env::current_exe()?,
        };
        let mut command = pinned(0, &program);
        command
            .args(["--serve", stack.get_name(), "--inner", name.get_name()])
            .arg("--log")
            .arg(log);
        Self::of(command, inner, log)
    }

    fn python(what: &str) -> Result<Self> {
        let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/app.py");
        let mut command = pinned(0, &tools().join("benches-python/bin/python"));
        command.arg(app).arg(what);
        Self::of(command, Inner::Route, Path::new(""))
    }

    fn of(mut command: Command, inner: Inner, log: &Path) -> Result<Self> {
        let mut process = command
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{command:?} cannot be started"))?;
        let said = process.stdout.take().context("its output is piped")?;
        // It is ended if anything goes wrong from here on.
        let mut server = Self {
            process,
            url: String::new(),
            log: log.to_owned(),
        };
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line)?;
        let address = line.trim();
        ensure!(!address.is_empty(), "{command:?} did not start");
        server.url = format!("http://{address}{}", inner.path());
        Ok(server)
    }

    /// Requests by one thread on the other processor.
    fn load(&self, loader: Loader) -> Result<Cost> {
        let bin = tools().join("benches/usr/bin");
        let before = self.processor_time()?;
        let (program, arguments) = match loader {
            Loader::Wrk => ("wrk", ["-t1", "-c32", "-d1s"].as_slice()),
            Loader::H2load => ("h2load", ["-n50000", "-c8", "-m8", "-t1"].as_slice()),
            Loader::Slices => ("h2load", ["--h1", "-n10000", "-c32", "-t1"].as_slice()),
        };
        let output = pinned(1, &bin.join(program))
            .args(arguments)
            .arg(&self.url)
            .output()
            .with_context(|| {
                format!("{program} cannot be started: `cargo xtask tools --only benches`")
            })?;
        // What is on its way to the log is a cost, too.
        thread::sleep(Duration::from_millis(20));
        let after = self.processor_time()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let counted = match loader {
            Loader::Wrk => of_wrk(&said),
            Loader::H2load | Loader::Slices => of_h2load(&said),
        };
        let (requests, seconds) = counted.with_context(|| format!("{program} said: {said}"))?;
        Ok(Cost {
            nanos: (after[0] - before[0]) / requests,
            sink: (after[1] - before[1]) / requests,
            rate: requests / seconds,
        })
    }

    /// Of all its threads, and of that which writes the log, in nanoseconds.
    fn processor_time(&self) -> Result<[f64; 2]> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process.id()))?;
        let mut sum = [0.0, 0.0];
        for task in tasks {
            let task = task?.path();
            let read = |name| fs::read_to_string(task.join(name));
            let (Ok(text), Ok(name)) = (read("schedstat"), read("comm")) else {
                // The thread has just ended.
                continue;
            };
            let nanos: f64 = text.split(' ').next().unwrap_or_default().parse()?;
            sum[0] += nanos;
            if name.trim() == "json-log-sink" {
                sum[1] += nanos;
            }
        }
        Ok(sum)
    }

    fn empty_log(&self) -> Result<()> {
        if self.log.exists() {
            fs::OpenOptions::new()
                .write(true)
                .open(&self.log)?
                .set_len(0)?;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn pinned(processor: usize, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &processor.to_string()]).arg(program);
    command
}

/// `  97531 requests in 0.50s, …`, and nothing of errors.
fn of_wrk(said: &str) -> Result<(f64, f64)> {
    for trouble in ["Non-2xx", "Socket errors"] {
        ensure!(!said.contains(trouble), "{trouble}");
    }
    let line = said.lines().find(|line| line.contains(" requests in "));
    let (requests, rest) = line
        .and_then(|line| line.split_once(" requests in "))
        .context("no number of requests")?;
    Ok((requests.trim().parse()?, duration(rest)?))
}

/// `finished in 512.34ms, 97531.12 req/s, …` and `status codes: 50000 2xx, 0 3xx, …`.
fn of_h2load(said: &str) -> Result<(f64, f64)> {
    let after = |start: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(start));
        line.with_context(|| format!("no line {start:?}"))
    };
    let seconds = duration(after("finished in ")?)?;
    let (right, rest) = after("status codes: ")?
        .split_once(" 2xx, ")
        .context("no status codes")?;
    ensure!(rest.starts_with("0 3xx, 0 4xx, 0 5xx"), "{rest}");
    Ok((right.parse()?, seconds))
}

fn duration(text: &str) -> Result<f64> {
    let word = text.split(',').next().unwrap_or_default();
    for (unit, seconds) in [("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0)] {
        if let Some(number) = word.strip_suffix(unit) {
            return Ok(number.parse::<f64>()? * seconds);
        }
    }
    bail!("{word:?} is no duration")
}
