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
use benches::report::{Row, Unit};
use clap::ValueEnum as _;

use crate::{
    harness::{Effort, Rows},
    served::Stack,
    versions,
};

const GROUP: &str = "end-to-end";

const STACKS: [(Stack, &str); 9] = [
    (Stack::Bare, "bare"),
    (Stack::Metrics, "metrics"),
    (Stack::MetricsAndDirectLine, "metrics and a line, directly"),
    (Stack::MetricsAndLine, "metrics and a line, through tracing"),
    (
        Stack::Everything,
        "metrics, a line, a scan and request bodies",
    ),
    (Stack::AxumPrometheus, ""),
    (Stack::Opentelemetry, ""),
    (Stack::Trace, ""),
    (Stack::AxumPrometheusAndTrace, ""),
];

/// Compares.
pub fn run(effort: Effort, rows: &mut Rows) -> Result<()> {
    if effort.only.is_some() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let mut servers = Vec::new();
    for (stack, _) in STACKS {
        servers.push(Server::start(
            stack,
            &folder.path().join(format!("{stack:?}.log")),
        )?);
    }
    let bare = Server::python("bare")?;
    let measured = Server::python("metrics")?;
    servers.extend([bare, measured]);
    for loader in [Loader::Wrk, Loader::H2load] {
        // uvicorn speaks HTTP/1.1 only.
        let servers = match loader {
            Loader::Wrk => &servers[..],
            Loader::H2load => &servers[..STACKS.len()],
        };
        let mut costs = vec![Cost::default(); servers.len()];
        for round in 0..=effort.rounds.min(6) {
            for (server, cost) in servers.iter().zip(&mut costs) {
                let one = server.load(loader)?;
                // The first round is there to warm up.
                if round > 0 {
                    cost.add(one);
                }
                server.empty_log()?;
            }
        }
        rows_of(loader, &costs, rows);
    }
    Ok(())
}

fn rows_of(loader: Loader, costs: &[Cost], rows: &mut Rows) {
    let of = |stack| {
        let at = STACKS.iter().position(|(one, _)| *one == stack);
        costs[at.expect("all of them run")]
    };
    println!("\nend-to-end: {}", loader.says());
    for ((stack, _), cost) in STACKS.iter().zip(costs) {
        println!(
            "  {:<30} {:>8.0} ns of processor a request, {:>8.0} requests/s",
            format!("{stack:?}"),
            cost.nanos(),
            cost.rate(),
        );
    }
    let prometheus = versions::named("axum-prometheus");
    let opentelemetry = versions::named("opentelemetry-instrumentation-tower");
    let trace = versions::named("tower-http") + " Trace, tracing-subscriber json";
    let both = format!("{prometheus} and Trace, json");
    let http1 = matches!(loader, Loader::Wrk);
    for (stack, budget, peers) in [
        (
            Stack::Metrics,
            1.06,
            vec![
                (Stack::AxumPrometheus, prometheus),
                (Stack::Opentelemetry, opentelemetry),
            ],
        ),
        (Stack::MetricsAndDirectLine, 1.18, vec![]),
        (
            Stack::MetricsAndLine,
            1.27,
            vec![(Stack::Trace, trace), (Stack::AxumPrometheusAndTrace, both)],
        ),
        (Stack::Everything, 0.0, vec![]),
    ] {
        let (_, name) = STACKS
            .iter()
            .find(|(one, _)| *one == stack)
            .expect("it runs");
        let case = format!("{name}: processor time a request, {}", loader.says());
        let row = Row::new(GROUP, &case, of(stack).nanos())
            .beside("the bare route", of(Stack::Bare).nanos());
        rows.add(if budget > 0.0 && http1 {
            row.at_most(budget)
        } else {
            row
        });
        for (peer, called) in peers {
            let row = Row::new(GROUP, &case, of(stack).nanos());
            let row = row.beside(&called, of(peer).nanos());
            rows.add(if http1 { row.headline() } else { row });
        }
        let case = format!("{name}: throughput, {}", loader.says());
        let row = Row::new(GROUP, case, of(stack).rate())
            .beside("the bare route", of(Stack::Bare).rate());
        rows.add(Row {
            unit: Unit::RequestsPerSecond,
            ..row
        });
    }
}

#[derive(Clone, Copy, Debug)]
enum Loader {
    Wrk,
    H2load,
}

impl Loader {
    const fn says(self) -> &'static str {
        match self {
            Self::Wrk => "HTTP/1.1 by wrk",
            Self::H2load => "HTTP/2 by h2load",
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    requests: f64,
    seconds: f64,
    nanos: f64,
}

impl Cost {
    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.seconds += other.seconds;
        self.nanos += other.nanos;
    }

    fn nanos(&self) -> f64 {
        self.nanos / self.requests
    }

    fn rate(&self) -> f64 {
        self.requests / self.seconds
    }
}

/// A server in a process of its own, which ends with this.
struct Server {
    process: Child,
    url: String,
    log: PathBuf,
}

impl Server {
    fn start(stack: Stack, log: &Path) -> Result<Self> {
        let name = stack
            .to_possible_value()
            .context("every stack has a name")?;
        let mut command = pinned(0, env::current_exe()?.as_ref());
        command.args(["--serve", name.get_name(), "--log"]).arg(log);
        Self::of(command, log)
    }

    fn python(what: &str) -> Result<Self> {
        let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/app.py");
        let mut command = pinned(0, &tools().join("benches-python/bin/python"));
        command.arg(app).arg(what);
        Self::of(command, Path::new(""))
    }

    fn of(mut command: Command, log: &Path) -> Result<Self> {
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
        server.url = format!("http://{address}/api/v1/scans0/42");
        Ok(server)
    }

    /// A second of requests, or as many as come to that, by one thread on the other processor.
    fn load(&self, loader: Loader) -> Result<Cost> {
        let bin = tools().join("benches/usr/bin");
        let before = self.processor_time()?;
        let (program, arguments) = match loader {
            Loader::Wrk => ("wrk", ["-t1", "-c32", "-d1s"].as_slice()),
            Loader::H2load => ("h2load", ["-n50000", "-c8", "-m8", "-t1"].as_slice()),
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
        let nanos = self.processor_time()? - before;
        let said = String::from_utf8_lossy(&output.stdout);
        let counted = match loader {
            Loader::Wrk => of_wrk(&said),
            Loader::H2load => of_h2load(&said),
        };
        let (requests, seconds) = counted.with_context(|| format!("{program} said: {said}"))?;
        Ok(Cost {
            requests,
            seconds,
            nanos,
        })
    }

    /// Of all its threads, in nanoseconds.
    fn processor_time(&self) -> Result<f64> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process.id()))?;
        let mut sum = 0.0;
        for task in tasks {
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else {
                // The thread has just ended.
                continue;
            };
            let first = text.split(' ').next().unwrap_or_default();
            sum += first.parse::<f64>()?;
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

fn tools() -> PathBuf {
    env::var_os("OBSERVABILITY_TOOLS").map_or_else(|| "target/tools".into(), PathBuf::from)
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
