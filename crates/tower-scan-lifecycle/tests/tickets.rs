//! What a queue that processes share carries.
#![cfg(feature = "serde")]

use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;
use serde_json::json;
use tower_scan_lifecycle::Ticket;

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn read(value: serde_json::Value) -> Result<Ticket, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

#[test]
fn a_ticket_has_five_fields() {
    let at = UNIX_EPOCH + Duration::from_millis(1_800_000_000_123);
    let ticket = Ticket::new("mcp", at)
        .with_id("7d0f")
        .with_attempt(3)
        .with_traceparent(TRACE);
    let value = serde_json::to_value(&ticket).unwrap();
    let expected = json!({
        "type": "mcp",
        "id": "7d0f",
        "enqueued_at": 1_800_000_000_123_u64,
        "attempt": 3,
        "traceparent": TRACE,
    });
    assert_eq!(value, expected);
    assert_eq!(read(value).unwrap(), ticket);
}

#[test]
fn what_is_left_out_is_the_default_and_what_is_new_is_passed_over() {
    let ticket = read(json!({"type": "mcp", "enqueued_at": 5, "later": {"a": 1}})).unwrap();
    assert_eq!((ticket.id(), ticket.attempt()), (None, 1));
    assert_eq!(ticket.traceparent(), None);
    assert_eq!(
        read(json!({"type": "", "enqueued_at": 5, "attempt": 0}))
            .unwrap()
            .attempt(),
        1
    );
}

#[test]
fn a_queue_is_not_trusted() {
    let traceparent = json!({"type": "mcp", "enqueued_at": 5, "traceparent": "00-zz"});
    assert_eq!(read(traceparent).unwrap().traceparent(), None);
    let long = "x".repeat(257);
    for (value, part) in [
        (
            json!({"type": long, "enqueued_at": 5}),
            "type has 257 bytes",
        ),
        (
            json!({"type": "mcp", "id": long, "enqueued_at": 5}),
            "id has 257 bytes",
        ),
        (json!({"type": "mcp", "enqueued_at": -1}), "invalid value"),
        (json!({"type": "mcp", "enqueued_at": 1.5}), "invalid type"),
        (json!({"type": "mcp"}), "missing field `enqueued_at`"),
        (
            json!({"type": "mcp", "enqueued_at": 5, "attempt": 1_u64 << 40}),
            "invalid value",
        ),
        (json!("mcp"), "invalid type"),
    ] {
        let error = read(value.clone()).unwrap_err();
        assert!(error.contains(part), "{value}: {error}");
    }
    // Beyond the calendar, where there is an end of it: an error, and no panic.
    drop(read(json!({"type": "mcp", "enqueued_at": u64::MAX})));
}

#[test]
fn a_time_before_1970_is_no_ticket() {
    let ticket = Ticket::new("mcp", UNIX_EPOCH - Duration::from_secs(1));
    let error = serde_json::to_string(&ticket).unwrap_err().to_string();
    assert!(error.contains("before 1970"), "{error}");
}

proptest! {
    #[test]
    fn a_ticket_comes_back_as_it_was_sent(
        scan_type in ".{0,20}",
        id in proptest::option::of(".{0,40}"),
        millis in 0..4_000_000_000_000_u64,
        attempt in 1..u32::MAX,
        trace in any::<bool>(),
    ) {
        let mut ticket = Ticket::new(scan_type, UNIX_EPOCH + Duration::from_millis(millis))
            .with_attempt(attempt);
        if let Some(id) = id {
            ticket = ticket.with_id(id);
        }
        if trace {
            ticket = ticket.with_traceparent(TRACE);
        }
        let text = serde_json::to_string(&ticket).unwrap();
        prop_assert_eq!(serde_json::from_str::<Ticket>(&text).unwrap(), ticket);
    }

    #[test]
    fn no_text_makes_reading_panic(text in ".{0,200}") {
        drop(serde_json::from_str::<Ticket>(&text));
    }
}
