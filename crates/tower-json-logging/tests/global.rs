//! A value that logs while it is logged: only the process's subscriber takes such events, so this test is
//! alone in its binary.

#[cfg(test)]
mod common;

use std::fmt;

use common::Log;
use tracing::field;
use tracing_subscriber::layer::SubscriberExt as _;

struct Logging;

impl fmt::Debug for Logging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tracing::info!("inner");
        f.write_str("value")
    }
}

#[test]
fn a_debug_that_logs_neither_blocks_nor_mixes_lines() {
    let log = Log::default();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::set_global_default(subscriber).unwrap();

    tracing::info!("before");
    assert_eq!(log.line()["message"], "before");

    let span = tracing::info_span!("s", a = ?Logging, b = field::Empty).entered();
    span.record("b", field::debug(Logging)); // into the span that the inner event is in
    tracing::info!(c = ?Logging, d = 1, "outer {:?}", Logging);
    tracing::info!("after");

    let lines = log.lines();
    let messages: Vec<_> = lines
        .iter()
        .map(|line| line["message"].as_str().unwrap())
        .collect();
    let expected = ["inner", "inner", "inner", "inner", "outer value", "after"];
    assert_eq!(messages[1..], expected);
    for (key, value) in [("a", "value"), ("b", "value"), ("c", "value")] {
        assert_eq!(lines[5][key], value);
    }
    assert_eq!(lines[3].get("c"), None);
}
