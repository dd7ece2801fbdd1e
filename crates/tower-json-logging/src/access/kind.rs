//! Which lines of requests say the same.

use tracing_core::Level;

use super::facts::{Facts, Request};
use crate::schema::Fact;

/// Whether a fact differs between requests of one [`kind`].
pub(crate) const fn varies(fact: Fact) -> bool {
    matches!(
        fact,
        Fact::MethodOriginal
            | Fact::Route
            | Fact::Path
            | Fact::Query
            | Fact::Duration
            | Fact::TimeToHead
            | Fact::BytesIn
            | Fact::BytesOut
            | Fact::ClientIp
            | Fact::UserAgent
            | Fact::RequestHeaders
            | Fact::ResponseHeaders
            | Fact::SampleRate
    )
}

/// How many bits [`kind`] has.
pub(crate) const KIND_BITS: u32 = 10 + 6 + 3 + 5 + 5 + Facts::KIND_BITS;

/// Equal for requests that have the same facts, and whose facts differ only where they [vary](varies).
pub(crate) fn kind(request: Request<'_>) -> u64 {
    let Request {
        context,
        facts,
        ended,
    } = request;
    let there = [
        context.trace().is_some(),
        !context.response_headers().is_empty(),
        ended.time_to_head.is_some(),
        ended.sample_rate.is_some(),
        ended.is_failure,
    ];
    let mut kind = Pushed(0);
    kind.push(10, ended.status);
    kind.push(6, ended.ending as u8);
    kind.push(3, level(ended.level));
    kind.push(5, ended.grpc.map_or(0, |code| code as u8 + 1));
    for there in there {
        kind.push(1, there);
    }
    kind.push(Facts::KIND_BITS, facts.kind());
    kind.0
}

struct Pushed(u64);

impl Pushed {
    fn push(&mut self, bits: u32, value: impl Into<u64>) {
        self.0 = self.0 << bits | value.into();
    }
}

const fn level(level: Level) -> u8 {
    match level {
        Level::ERROR => 0,
        Level::WARN => 1,
        Level::INFO => 2,
        Level::DEBUG => 3,
        Level::TRACE => 4,
    }
}
