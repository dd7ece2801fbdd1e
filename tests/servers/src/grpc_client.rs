use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use platform_tests::Process;
use serde_json::{Value, json};

use crate::tools::python;

/// How many messages the two sides of a method send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One each.
    Unary,
    /// One request, any number of responses.
    ServerStream,
    /// Any number of requests, one response.
    ClientStream,
    /// Any number each.
    BidiStream,
}

/// A call to be made.
#[derive(Clone, Debug)]
pub struct Call {
    path: String,
    kind: Kind,
    requests: Vec<Vec<u8>>,
    timeout: Option<Duration>,
    cancel_after: Option<usize>,
}

impl Call {
    /// A call of `/package.Service/Method` with these messages, as they are on the wire.
    pub fn new<R: Into<Vec<u8>>>(
        path: &str,
        kind: Kind,
        requests: impl IntoIterator<Item = R>,
    ) -> Self {
        Self {
            path: path.to_owned(),
            kind,
            requests: requests.into_iter().map(Into::into).collect(),
            timeout: None,
            cancel_after: None,
        }
    }

    /// Gives up after this time.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Cancels once there were so many responses.
    pub fn cancel_after(mut self, responses: usize) -> Self {
        self.cancel_after = Some(responses);
        self
    }

    /// Whether the client ends it, not the server.
    pub fn gives_up(&self) -> bool {
        self.timeout.is_some() || self.cancel_after.is_some()
    }
}

/// How the client saw a call end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The number of the gRPC status.
    pub code: i32,
    /// The bytes of each response.
    pub sizes: Vec<usize>,
}

/// A running gRPC client in Python, of grpcio, with one channel.
pub struct GrpcClient {
    process: Process,
    orders: ChildStdin,
    outcomes: BufReader<ChildStdout>,
}

impl GrpcClient {
    /// Starts one that calls the server at this address.
    pub fn start(address: &str) -> Self {
        let mut command = Command::new(python());
        command
            .args(["-I", "-c", include_str!("grpc_client.py"), address])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = Process::start("the gRPC client", &mut command);
        let orders = process.child().stdin.take().expect("it is piped");
        let outcomes = process.child().stdout.take().expect("it is piped");
        Self {
            process,
            orders,
            outcomes: BufReader::new(outcomes),
        }
    }

    /// Makes a call, and waits for its end.
    pub fn call(&mut self, call: &Call) -> Outcome {
        let kind = match call.kind {
            Kind::Unary => "unary_unary",
            Kind::ServerStream => "unary_stream",
            Kind::ClientStream => "stream_unary",
            Kind::BidiStream => "stream_stream",
        };
        // Each byte as the character of that number, since JSON has no bytes.
        let text = |request: &Vec<u8>| request.iter().copied().map(char::from).collect::<String>();
        let order = json!({
            "path": call.path,
            "kind": kind,
            "requests": call.requests.iter().map(text).collect::<Vec<_>>(),
            "timeout": call.timeout.map(|timeout| timeout.as_secs_f64()),
            "cancel_after": call.cancel_after,
            "gives_up": call.gives_up(),
        });
        writeln!(self.orders, "{order}").expect("the client reads");
        let mut line = String::new();
        self.outcomes.read_line(&mut line).expect("it writes UTF-8");
        let outcome: Value = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{error}: the client said {line:?} to {call:?}"));
        let number = |value: &Value| value.as_i64().expect("a number");
        let sizes = outcome["sizes"].as_array().expect("a list").iter();
        Outcome {
            code: number(&outcome["code"]).try_into().expect("a code"),
            sizes: sizes
                .map(|size| number(size).try_into().expect("a size"))
                .collect(),
        }
    }

    /// Asks until there is an answer: see [`Process::wait_for`].
    pub fn wait_for<T>(&mut self, what: &str, ask: impl FnMut() -> Option<T>) -> T {
        self.process.wait_for(what, ask)
    }

    /// Closes the channel, and waits for the client to end.
    pub fn stop(self) {
        let Self {
            mut process,
            orders,
            ..
        } = self;
        drop(orders);
        let status = process.child().wait().expect("it ends");
        assert!(status.success(), "the gRPC client ended with {status}");
    }
}
