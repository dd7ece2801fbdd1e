//! Where the platform sends its series.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    process::Command,
    thread,
};

use platform_tests::{fixtures, program};

/// The body of the first request that comes, which is answered with nothing.
fn body(listener: &TcpListener) -> Vec<u8> {
    let (stream, _) = listener.accept().expect("somebody comes");
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    let mut line = String::new();
    while reader.read_line(&mut line).expect("a line") > 2 {
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a number");
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("all of it");
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    reader.get_mut().write_all(answer).expect("it waits");
    body
}

/// What one scan calls itself to an OpenTelemetry collector, with these variables: its name and its instance.
fn named(variables: &[(&str, &str)]) -> [String; 2] {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let body = thread::spawn(move || body(&listener));
    let output = Command::new(program())
        .current_dir(fixtures())
        .args(["scan", "mcp", "mcp/good.json", "--exporter"])
        .arg(format!("otlp=http://{address}"))
        .envs(variables.iter().copied())
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let body = body.join().expect("a request came");
    // An attribute is its name, and with four bytes between them its value, with its length before it.
    ["service.name", "service.instance.id"].map(|name| {
        let mut places = body.windows(name.len());
        let at = places.position(|place| place == name.as_bytes());
        let rest = &body[at.expect("it is there") + name.len() + 3..];
        String::from_utf8(rest[1..=usize::from(rest[0])].to_vec()).expect("it is text")
    })
}

#[test]
fn what_the_environment_calls_it_comes_before_what_it_calls_itself() {
    let attributes = "service.name=orders,service.instance.id=seven";
    let attributes = ("OTEL_RESOURCE_ATTRIBUTES", attributes);
    let service = ("OTEL_SERVICE_NAME", "scans");
    assert_eq!(named(&[])[0], "scan-platform");
    assert_eq!(named(&[attributes]), ["orders", "seven"]);
    assert_eq!(named(&[attributes, service]), ["scans", "seven"]);
}
