use std::time::{Duration, SystemTime};

use crate::{ScanMeta, trace_parent::TraceParent};

/// A scan on its way through a queue that processes share: what the worker has to know of it beside the
/// job itself.
///
/// With the feature `serde` it serialises, as a map of `type`, `id`, `enqueued_at` (Unix time in
/// milliseconds), `attempt` and `traceparent`; what is not known is left out. What comes back from a queue
/// is read with care: an invalid `traceparent` is none, a time before 1970 or beyond the calendar an error,
/// a type or id of more than 256 bytes an error.
///
/// ```
/// # #[cfg(feature = "serde")] {
/// use std::time::{Duration, UNIX_EPOCH};
/// use tower_scan_lifecycle::Ticket;
///
/// let ticket = Ticket::new("model", UNIX_EPOCH + Duration::from_secs(1_800_000_000)).with_id("7d0f");
/// let text = serde_json::to_string(&ticket).unwrap();
/// assert_eq!(text, r#"{"type":"model","id":"7d0f","enqueued_at":1800000000000,"attempt":1}"#);
/// assert_eq!(serde_json::from_str::<Ticket>(&text).unwrap(), ticket);
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a ticket that nobody starts is a scan that nobody knows of"]
pub struct Ticket {
    pub(crate) scan_type: String,
    pub(crate) id: Option<String>,
    pub(crate) enqueued_at: SystemTime,
    pub(crate) attempt: u32,
    pub(crate) trace_parent: Option<TraceParent>,
}

impl Ticket {
    /// The ticket of a scan that waits since then. [`QueuedScan`](crate::QueuedScan) makes them, too.
    pub fn new(scan_type: impl Into<String>, enqueued_at: SystemTime) -> Self {
        Self {
            scan_type: scan_type.into(),
            id: None,
            enqueued_at,
            attempt: 1,
            trace_parent: None,
        }
    }

    /// Sets the scan's id.
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets which attempt comes next, from 1.
    pub const fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = if attempt == 0 { 1 } else { attempt };
        self
    }

    /// Sets where the scan was asked for; what is no valid `traceparent` is none.
    pub fn with_traceparent(mut self, value: &str) -> Self {
        self.trace_parent = TraceParent::parse(value);
        self
    }

    /// Counts the wait from later on, for a scan that is not to start before: the delay is meant, and is no
    /// time in the queue.
    pub fn delayed(mut self, by: Duration) -> Self {
        self.enqueued_at = self.enqueued_at.checked_add(by).unwrap_or(self.enqueued_at);
        self
    }

    /// The scan's type.
    pub fn scan_type(&self) -> &str {
        &self.scan_type
    }

    /// The scan's id.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Since when it waits.
    pub const fn enqueued_at(&self) -> SystemTime {
        self.enqueued_at
    }

    /// Which attempt comes next, from 1.
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Where it was asked for.
    pub fn traceparent(&self) -> Option<&str> {
        self.trace_parent.as_ref().map(TraceParent::as_str)
    }

    /// What is known of the scan, to be added to before it starts: a target, a deadline.
    pub fn into_meta(self) -> ScanMeta {
        ScanMeta {
            id: self.id.map(String::into_boxed_str),
            attempt: self.attempt,
            enqueued_at: Some(self.enqueued_at),
            trace_parent: self.trace_parent,
            ..ScanMeta::new(self.scan_type)
        }
    }

    pub(crate) fn of(meta: &ScanMeta, id: Option<&str>, enqueued_at: SystemTime) -> Self {
        Self {
            scan_type: meta.scan_type.clone().into_owned(),
            id: id.map(str::to_owned),
            enqueued_at,
            attempt: meta.attempt,
            trace_parent: meta.trace_parent,
        }
    }
}

#[cfg(feature = "serde")]
mod wire {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

    use super::Ticket;
    use crate::trace_parent::TraceParent;

    /// Longer than any sensible id; a queue's entry is not trusted to be sensible.
    const MOST_BYTES: usize = 256;

    #[derive(Serialize)]
    struct Out<'a> {
        #[serde(rename = "type")]
        scan_type: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        enqueued_at: u64,
        attempt: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        traceparent: Option<&'a str>,
    }

    impl Serialize for Ticket {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let since = self.enqueued_at.duration_since(UNIX_EPOCH);
            let since = since.map_err(|_| ser::Error::custom("enqueued_at is before 1970"))?;
            let millis = u64::try_from(since.as_millis());
            let millis = millis.map_err(|_| ser::Error::custom("enqueued_at is too late"))?;
            Out {
                scan_type: &self.scan_type,
                id: self.id.as_deref(),
                enqueued_at: millis,
                attempt: self.attempt,
                traceparent: self.traceparent(),
            }
            .serialize(serializer)
        }
    }

    #[derive(Deserialize)]
    struct In {
        #[serde(rename = "type")]
        scan_type: String,
        #[serde(default)]
        id: Option<String>,
        enqueued_at: u64,
        #[serde(default = "first")]
        attempt: u32,
        #[serde(default)]
        traceparent: Option<String>,
    }

    const fn first() -> u32 {
        1
    }

    impl<'de> Deserialize<'de> for Ticket {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let ticket = In::deserialize(deserializer)?;
            let too_long = |field, text: &str| {
                let bytes = text.len();
                (bytes > MOST_BYTES).then(|| {
                    de::Error::custom(format_args!(
                        "{field} has {bytes} bytes; at most {MOST_BYTES} are taken"
                    ))
                })
            };
            let id = ticket.id.as_deref().unwrap_or_default();
            if let Some(error) = too_long("type", &ticket.scan_type).or_else(|| too_long("id", id))
            {
                return Err(error);
            }
            let enqueued_at = SystemTime::UNIX_EPOCH
                .checked_add(Duration::from_millis(ticket.enqueued_at))
                .ok_or_else(|| de::Error::custom("enqueued_at is beyond this system's calendar"))?;
            let parse = |value: String| TraceParent::parse(&value);
            Ok(Self {
                trace_parent: ticket.traceparent.and_then(parse),
                id: ticket.id,
                ..Self::new(ticket.scan_type, enqueued_at).with_attempt(ticket.attempt)
            })
        }
    }
}
