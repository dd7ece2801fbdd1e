//! How what is known of a request is written.

use std::{io::Write as _, ops::Range, time::Duration};

use http::{HeaderName, HeaderValue};

use super::facts::{LONGEST_PLACE, Request, lossy, start};
use crate::{
    format::{
        escape,
        line::{Content, quoted},
        number::{digits, number},
    },
    redact::{REDACTED, is_credential},
    schema::{Durations, Fact},
};

/// The most bytes of a header's value.
const LONGEST_HEADER: usize = 1024;

/// Writes [`Message`](super::facts::Message) as JSON, and tells where in it the [`place`] is, if it has
/// one.
pub(crate) fn message(
    out: &mut Vec<u8>,
    request: Request<'_>,
    content: &Content<'_>,
) -> Option<Range<usize>> {
    out.push(b'"');
    out.extend_from_slice(request.facts.method().as_bytes());
    out.push(b' ');
    let start = out.len();
    let place = place(out, content).map(|_| start..out.len());
    if place.is_some() {
        out.push(b' ');
    }
    number(out, request.ended.status);
    out.push(b'"');
    place
}

/// Writes where a request went, as its message has it, and tells whether it was cut.
pub(crate) fn place(out: &mut Vec<u8>, content: &Content<'_>) -> Option<bool> {
    let place = content.head.request?.facts.place()?;
    let mut escaper = escape::Escaper::new(out, content.limits.max_line() / 8);
    let start = start(place, LONGEST_PLACE);
    escaper.push(start);
    Some(escaper.is_cut() || start.len() < place.len())
}

/// Writes a fact of a request, and tells whether it was cut. None if there is no such fact: then nothing is
/// written.
pub(crate) fn fact(out: &mut Vec<u8>, fact: Fact, content: &Content<'_>) -> Option<bool> {
    let Content {
        head,
        schema,
        limits,
        ..
    } = content;
    let Request {
        context,
        facts,
        ended,
    } = head.request?;
    let room = limits.max_value();
    match fact {
        Fact::Event => out.extend_from_slice(&schema.event),
        Fact::Method => quoted(out, facts.method()),
        Fact::MethodOriginal => {
            return Some(escape::text(out, room, facts.method_original()?));
        }
        Fact::Route => {
            let route = facts.route()?;
            return Some(escape::text(out, limits.max_line() / 8, route));
        }
        Fact::Path => {
            return Some(escape::text(out, room, facts.path()?));
        }
        Fact::Query => {
            return Some(escape::text(out, room, facts.query()?));
        }
        Fact::Scheme => quoted(out, facts.scheme()?),
        Fact::Status => number(out, ended.status),
        Fact::Outcome => quoted(out, ended.ending.as_str()),
        Fact::EventOutcome => quoted(out, ended.event_outcome()),
        Fact::ErrorType if !ended.ending.is_whole() => quoted(out, ended.ending.as_str()),
        Fact::ErrorType if ended.status >= 500 => {
            out.push(b'"');
            number(out, ended.status);
            out.push(b'"');
        }
        Fact::GrpcStatus => number(out, ended.grpc? as u32),
        Fact::Duration => duration(out, ended.duration, schema.durations),
        Fact::TimeToHead => duration(out, ended.time_to_head?, schema.durations),
        Fact::BytesOut => number(out, ended.bytes),
        Fact::BytesIn => number(out, facts.bytes_in()?),
        Fact::Protocol => quoted(out, facts.protocol()),
        Fact::ProtocolVersion => quoted(out, facts.protocol_version()),
        Fact::ClientIp => {
            let ip = facts.client_ip()?;
            return Some(escape::string(out, room, format_args!("{ip}")));
        }
        Fact::UserAgent => return Some(escape::text(out, room, facts.user_agent()?)),
        Fact::RequestHeaders => return headers(out, facts.request_headers(), room),
        Fact::ResponseHeaders => return headers(out, context.response_headers(), room),
        Fact::SampleRate => {
            let rate = ended.sample_rate?;
            // Writing to memory does not fail.
            drop(write!(out, "{rate:?}"));
        }
        _ => return None,
    }
    Some(false)
}

/// A duration of less than ten milliseconds, in milliseconds: `0.048`.
#[inline]
pub(crate) fn short_millis(duration: Duration) -> Option<[u8; 5]> {
    let micros = (u64::from(duration.subsec_nanos()) + 500) / 1000;
    if duration.as_secs() > 0 || micros > 9999 {
        return None;
    }
    let [whole, a, b, c] = digits(micros);
    Some([whole, b'.', a, b, c])
}

/// Writes a duration as the schema has it.
fn duration(out: &mut Vec<u8>, duration: Duration, form: Durations) {
    // Most are short.
    if let (Durations::Milliseconds, Some(short)) = (form, short_millis(duration)) {
        return out.extend_from_slice(&short);
    }
    let nanos = duration
        .as_secs()
        .saturating_mul(1_000_000_000)
        .saturating_add(duration.subsec_nanos().into())
        .min(i64::MAX.unsigned_abs());
    match form {
        Durations::Milliseconds => {
            let micros = nanos.saturating_add(500) / 1000;
            number(out, micros / 1000);
            let [a, b, c] = digits(micros % 1000);
            out.extend_from_slice(&[b'.', a, b, c]);
        }
        Durations::Nanoseconds => number(out, nanos),
        Durations::Seconds => seconds(out, duration),
        Durations::SecondsText => {
            out.push(b'"');
            seconds(out, duration);
            out.extend_from_slice(b"s\"");
        }
    }
}

fn seconds(out: &mut Vec<u8>, duration: Duration) {
    number(out, duration.as_secs());
    out.push(b'.');
    out.extend_from_slice(&digits::<9>(duration.subsec_nanos().into()));
}

/// An object of headers, those of one name as one; nothing without any.
fn headers(out: &mut Vec<u8>, headers: &[(HeaderName, HeaderValue)], room: usize) -> Option<bool> {
    if headers.is_empty() {
        return None;
    }
    let end = out.len().saturating_add(room);
    let mut cut = false;
    out.push(b'{');
    for (at, (name, value)) in headers.iter().enumerate() {
        let start = out.len();
        if at > 0 && out.last() != Some(&b'{') {
            out.push(b',');
        }
        cut |= escape::text(out, usize::MAX, name.as_str());
        out.push(b':');
        if is_credential(name, value) {
            quoted(out, REDACTED);
        } else {
            // One character more than there is room for: then it is seen that something is cut.
            cut |= escape::text(out, LONGEST_HEADER, &lossy(value, LONGEST_HEADER + 1));
        }
        if out.len() >= end {
            out.truncate(start);
            cut = true;
            break;
        }
    }
    out.push(b'}');
    Some(cut)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Durations::{Milliseconds, Nanoseconds, Seconds, SecondsText};

    #[test]
    fn durations_have_the_form_of_the_schema() {
        let with = |form, nanos| {
            let mut out = Vec::new();
            duration(&mut out, Duration::from_nanos(nanos), form);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(with(Milliseconds, 12_345_678), "12.346");
        assert_eq!(with(Milliseconds, 86_400_000_000_000), "86400000.000");
        assert_eq!(with(Milliseconds, 0), "0.000");
        assert_eq!(with(Milliseconds, 9_999_499), "9.999");
        assert_eq!(with(Milliseconds, 9_999_500), "10.000");
        assert_eq!(with(Milliseconds, 999_999_499), "999.999");
        assert_eq!(with(Milliseconds, 999_999_500), "1000.000");
        assert_eq!(with(Milliseconds, 1_000_000_499), "1000.000");
        assert_eq!(with(Nanoseconds, 12_345_678), "12345678");
        assert_eq!(with(Seconds, 12_345_678), "0.012345678");
        assert_eq!(with(SecondsText, 3_012_345_678), "\"3.012345678s\"");
    }
}
