//! What readers of logs make of the lines: jq, Python, Node.js, lnav, and rsyslog on its way to Elasticsearch.

use std::{
    error::Error,
    fmt, fs,
    future::Future,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    pin::pin,
    process::Command,
    sync::{Arc, Mutex, PoisonError, mpsc},
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use platform_tests::Process;
use serde_json::Value;
use server_tests::{Suite, node, piped, python};
use tower::{Layer as _, Service as _, service_fn};
use tower_json_logging::{JsonLayer, JsonLogging, JsonLoggingLayer, PathPolicy, set};
use tower_observe::ManualClock;
use tracing_subscriber::layer::SubscriberExt as _;

/// What was written, line by line.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct Failed(&'static str, Option<Box<Self>>);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.1.as_deref()?)
    }
}

/// Texts that readers are known to stumble over.
const ODD: [&str; 14] = [
    "",
    "plain",
    "\"quoted\" and \\ and /",
    "one\ntwo\r\nthree\u{85}four\u{2028}five\u{2029}six\u{b}\u{c}\u{1c}\u{1d}\u{1e}",
    "\0\u{1}\u{1f}\u{7f}\u{80}\u{9f}",
    "\u{1b}[31mred\u{1b}[0m",
    "größe 界 😀 \u{202e}txt.exe\u{202c}",
    "\u{feff}bom",
    "\u{fffd}\u{ffff}\u{10ffff}",
    "{\"level\":\"FORGED\"}",
    "</script>%s%n${jndi:x}",
    "null",
    "2026-11-23T03:16:37.651503Z",
    "a\tb",
];

fn now<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}

/// Lines of all kinds, in which what was recorded is told a second time by what is expected.
fn corpus() -> String {
    let lines = Lines::default();
    let writer = lines.clone();
    let layer = JsonLayer::new(move || writer.clone());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        for odd in ODD {
            // Whole milliseconds: 1.000 is not 1 to every reader.
            let clock = ManualClock::new();
            let service = service_fn(|_: Request<()>| {
                clock.advance(Duration::from_millis(1));
                set("scan_id", "7d0f");
                let _span = tracing::info_span!("scan", odd, level = 98).entered();
                tracing::info!(odd, shown = %odd, "{odd}");
                let error = Failed("scan failed", Some(Box::new(Failed("disk\nfull", None))));
                let error: &(dyn Error + 'static) = &error;
                tracing::error!(
                    error,
                    most = i64::MAX,
                    // lnav 0.12 takes one less for too much.
                    least = i64::MIN + 1,
                    large = u64::MAX,
                    huge = u128::MAX,
                    float = 1e300,
                    nan = f64::NAN,
                    bytes = odd.as_bytes(),
                    "numbers"
                );
                tracing::warn!(long = odd.repeat(2000), "long");
                std::future::ready(Ok::<_, io::Error>(Response::new(Empty::<&[u8]>::new())))
            });
            let logging = JsonLogging::new().path(PathPolicy::raw());
            let layer = JsonLoggingLayer::from(logging).clock(clock.clock());
            let mut service = layer.layer(service);
            let mut request = Request::get("/scans/%0a?q=1").body(()).unwrap();
            if let Ok(value) = odd.parse() {
                request.headers_mut().insert("user-agent", value);
            }
            let response = now(service.call(request)).unwrap();
            now(response.into_body().collect()).unwrap();
        }
    });
    let text = lines.0.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8(text.clone()).unwrap()
}

/// The lines as serde_json reads them.
fn values(corpus: &str) -> Vec<Value> {
    let values: Vec<Value> = corpus
        .split_terminator('\n')
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(values.len(), ODD.len() * 4);
    for (line, odd) in values.iter().step_by(4).zip(ODD) {
        assert_eq!((&line["odd"], &line["message"]), (&odd.into(), &odd.into()));
        assert_eq!(line["level"], "INFO");
    }
    values
}

/// What a program writes that is given the lines, as values.
fn read_by(command: &mut Command, lines: &str) -> Vec<Value> {
    let output = piped(command, lines);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_terminator('\n')
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn jq_reads_the_same_values() {
    let corpus = corpus();
    let mut jq = Suite::Trixie.with_libraries("usr/bin/jq");
    let read = read_by(jq.args(["--compact-output", "."]), &corpus);
    assert_eq!(read, values(&corpus));
}

#[test]
fn python_reads_the_same_values_from_as_many_lines() {
    const PROGRAM: &str = r#"
import json, sys

def unique(pairs):
    keys = [key for key, _ in pairs]
    assert len(keys) == len(set(keys)), keys
    return dict(pairs)

def constant(name):
    raise ValueError(name)

text = sys.stdin.buffer.read().decode()
assert len(text.splitlines()) == text.count("\n"), "a line has more lines within"
for line in text.splitlines():
    value = json.loads(line, object_pairs_hook=unique, parse_constant=constant)
    print(json.dumps(value))
"#;
    let corpus = corpus();
    let read = read_by(Command::new(python()).args(["-I", "-c", PROGRAM]), &corpus);
    assert_eq!(read, values(&corpus));
}

#[test]
fn node_reads_the_same_values_from_as_many_lines() {
    // Its numbers are floats: of those that it would write otherwise, as 1 for 1.000, the text is kept.
    const PROGRAM: &str = r"
const lines = require('node:readline').createInterface({ input: process.stdin });
lines.on('line', (line) => {
    const value = JSON.parse(line, (key, value, { source }) => {
        const changed = typeof value === 'number' && JSON.stringify(value) !== source;
        return changed ? JSON.rawJSON(source) : value;
    });
    console.log(JSON.stringify(value));
});
";
    let corpus = corpus();
    let read = read_by(Command::new(node()).args(["-e", PROGRAM]), &corpus);
    assert_eq!(read, values(&corpus));
}

#[test]
fn lnav_knows_every_line_by_the_format_that_is_shipped() {
    let home = tempfile::tempdir().unwrap();
    let formats = home.path().join(".lnav/formats/installed");
    fs::create_dir_all(&formats).unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../monitoring/elastic/lnav/tower_json_logging.json");
    fs::copy(shipped, formats.join("tower_json_logging.json")).unwrap();
    let corpus = corpus();
    let log = home.path().join("service.log");
    fs::write(&log, &corpus).unwrap();

    let query = ";select log_line, log_level, scan_id, module, log_body, status, outcome, duration_ms \
                 from tower_json_logging";
    let read = Suite::Trixie
        .with_libraries("usr/bin/lnav")
        .env("HOME", home.path())
        .env("TERM", "dumb")
        .env("TZ", "UTC")
        .args(["-n", "-c", query, "-c", ":write-json-to -"])
        .arg(&log)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&read.stderr);
    assert!(read.status.success(), "{said}");
    let read: Vec<Value> = serde_json::from_slice(&read.stdout).unwrap();
    let values = values(&corpus);
    assert_eq!(read.len(), values.len(), "{said}");
    for (read, value) in read.iter().zip(&values) {
        let level = match value["level"].as_str().unwrap() {
            "WARN" => "warning",
            level => &level.to_lowercase(),
        };
        assert_eq!(read["log_level"], level, "{value}");
        for key in ["scan_id", "module", "outcome", "status"] {
            let expected = value.get(key).unwrap_or(&Value::Null);
            assert_eq!(&read[key], expected, "{key} of {value}");
        }
    }
}

/// Answers bulk requests as Elasticsearch does, and gives what was to be indexed.
fn elasticsearch(listener: TcpListener, documents: mpsc::Sender<String>) {
    for connection in listener.incoming().flatten() {
        let documents = documents.clone();
        thread::spawn(move || answer(connection, &documents));
    }
}

fn answer(mut connection: TcpStream, documents: &mpsc::Sender<String>) -> io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.parse().ok())?
        });
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body)?;
        let body = String::from_utf8(body).unwrap();
        let items: Vec<_> = body
            .lines()
            .skip(1)
            .step_by(2)
            .map(|document| {
                let _ = documents.send(document.to_owned());
                r#"{"index":{"status":201}}"#
            })
            .collect();
        let answer = format!(r#"{{"errors":false,"items":[{}]}}"#, items.join(","));
        write!(
            connection,
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{answer}",
            answer.len()
        )?;
    }
}

#[test]
fn rsyslog_reads_every_line_and_posts_it_in_bulk() {
    let corpus = corpus();
    let values = values(&corpus);
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().display();
    fs::write(home.path().join("service.log"), &corpus).unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, documents) = mpsc::channel();
    thread::spawn(move || elasticsearch(listener, sender));

    let configuration = format!(
        r#"
global(workDirectory="{folder}" maxMessageSize="64k")
module(load="imfile")
module(load="mmjsonparse")
module(load="omelasticsearch")
template(name="document" type="string" string="%$!all-json%")
input(type="imfile" File="{folder}/service.log" Tag="service" addMetadata="off" ruleset="lines")
ruleset(name="lines") {{
  action(type="mmjsonparse" cookie="")
  if $parsesuccess == "OK" then {{
    action(type="omelasticsearch" server="127.0.0.1" serverport="{port}" template="document"
           searchIndex="logs" bulkmode="on")
  }}
}}
"#
    );
    let file = home.path().join("rsyslog.conf");
    fs::write(&file, configuration).unwrap();
    let mut command = Suite::Trixie.with_libraries("usr/sbin/rsyslogd");
    command
        .arg("-n")
        .arg("-f")
        .arg(&file)
        .arg("-i")
        .arg(home.path().join("pid"))
        .arg("-M")
        .arg(Suite::Trixie.library_folder("rsyslog"));
    let _rsyslog = Process::start("rsyslogd", &mut command);

    for value in &values {
        let document = documents.recv_timeout(std::time::Duration::from_secs(30));
        let document = document.unwrap_or_else(|_| panic!("rsyslog did not post {value}"));
        let document: Value = serde_json::from_str(&document).unwrap();
        assert_eq!(document, as_c_strings(value));
    }
}

/// The value as rsyslog keeps it: a text ends where it has a zero.
fn as_c_strings(value: &Value) -> Value {
    match value {
        Value::String(text) => text.split('\0').next().unwrap_or_default().into(),
        Value::Array(values) => values.iter().map(as_c_strings).collect(),
        Value::Object(object) => {
            let object = object.iter();
            let entries = object.map(|(key, value)| (key.clone(), as_c_strings(value)));
            Value::Object(entries.collect())
        }
        _ => value.clone(),
    }
}
