use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use platform_tests::Process;
use serde_json::Value;

/// A message that arrived.
#[derive(Clone, Debug)]
pub struct Message {
    /// The path it was posted to.
    pub path: String,
    /// Its body.
    pub body: Value,
}

/// Takes what is posted to it, in the place of Slack and PagerDuty.
pub struct Mailbox {
    address: String,
    messages: Arc<Mutex<Vec<Message>>>,
}

impl Mailbox {
    /// Opens one on a free port, until the process ends.
    pub fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener
            .local_addr()
            .expect("it has an address")
            .to_string();
        let messages = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&messages);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let message = take(&stream.expect("who connects is there"));
                taken.lock().expect("no thread panicked").push(message);
            }
        });
        Self { address, messages }
    }

    /// `address:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Waits for a message that is wanted, as long as `process` lives.
    pub fn wait_for(
        &self,
        process: &mut Process,
        what: &str,
        wanted: impl Fn(&Message) -> bool,
    ) -> Message {
        process.wait_for(what, || {
            let messages = self.messages.lock().expect("no thread panicked");
            messages.iter().find(|message| wanted(message)).cloned()
        })
    }

    /// Everything that has arrived.
    pub fn messages(&self) -> Vec<Message> {
        self.messages.lock().expect("no thread panicked").clone()
    }
}

/// Reads one request and answers it.
fn take(mut stream: &TcpStream) -> Message {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).expect("a request line");
    let path = line.split(' ').nth(1).expect("it has a path").to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).expect("a header");
        let header = header.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().expect("it is a number");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("the body");
    // As each of them answers.
    let (status, kind, answer) = if path == "/slack" {
        ("200 OK", "text/plain", "ok")
    } else {
        (
            "202 Accepted",
            "application/json",
            r#"{"status":"success"}"#,
        )
    };
    let length = answer.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}"
    )
    .expect("the client reads");
    Message {
        path,
        body: serde_json::from_slice(&body).expect("it is JSON"),
    }
}
