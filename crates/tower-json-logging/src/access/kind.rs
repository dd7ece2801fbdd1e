//! Which lines of requests say the same.

use http::Version;
use tracing_core::Level;

use super::facts::{Request, method_number, scheme};
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

/// Equal for requests that have the same facts, and whose facts differ only where they [vary](varies).
pub(crate) fn kind(request: Request<'_>) -> u64 {
    let Request {
        context,
        facts,
        ended,
    } = request;
    let there = [
        context.trace().is_some(),
        facts.route().is_some(),
        facts.path.is_some(),
        facts.query.is_some(),
        facts.bytes_in.is_some(),
        facts.client_ip.is_some(),
        facts.user_agent().is_some(),
        !facts.request_headers.is_empty(),
        !context.response_headers().is_empty(),
        ended.time_to_head.is_some(),
        ended.sample_rate.is_some(),
        ended.is_failure,
    ];
    let scheme = facts.scheme.as_ref().and_then(scheme);
    let mut kind = Bits(0);
    kind.push(10, ended.status);
    kind.push(6, ended.ending as u8);
    kind.push(3, level(ended.level));
    kind.push(4, method_number(&facts.method));
    kind.push(3, version(facts.version));
    kind.push(1, scheme.is_some());
    kind.push(1, scheme == Some("http"));
    kind.push(5, ended.grpc.map_or(0, |code| code as u8 + 1));
    for there in there {
        kind.push(1, there);
    }
    kind.0
}

struct Bits(u64);

impl Bits {
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

const fn version(version: Version) -> u8 {
    match version {
        Version::HTTP_09 => 0,
        Version::HTTP_10 => 1,
        Version::HTTP_2 => 2,
        Version::HTTP_3 => 3,
        _ => 4,
    }
}
