//! Lines of requests that differ from an earlier one in a few places only.
//!
//! The first line of a kind is written step by step, and where its variables are is noted. What is around
//! them is kept: a stencil, by which the next line of that kind is copied.

use std::ops::Range;

use crate::{
    access::{self, Request},
    format::{fields::Fields, line::Content, number, timestamp},
    schema::{Durations, Fact, Slot},
};

/// Something that differs from line to line of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variable {
    Timestamp,
    /// Where the request went, in its message.
    Place,
    /// An id that the request itself has.
    Id(Slot),
    /// What a field of the program's own says.
    Slot(Slot),
    Fact(Fact),
    /// The program's own fields; without the first comma if they are the first of their object.
    Fields {
        first: bool,
    },
}

impl Variable {
    /// Whether its quotes are a part of what is around it.
    const fn is_in_quotes(self) -> bool {
        matches!(
            self,
            Self::Timestamp | Self::Id(Slot::RequestId) | Self::Fact(Fact::Route | Fact::UserAgent)
        )
    }
}

/// Where a variable is in a line.
#[derive(Debug)]
pub(crate) struct Note {
    pub(crate) range: Range<usize>,
    pub(crate) variable: Variable,
}

/// All that is the same of the lines that have the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Which schema, limits and names: the number of a [`Core`](crate::format::core::Core).
    core: u64,
    bits: u64,
}

impl Kind {
    const FITS: () = assert!(access::KIND_BITS as usize + Fields::KIND_BITS <= 64);

    /// None if the line would say that something is cut.
    pub(crate) fn of(core: u64, request: Request<'_>, content: &Content<'_>) -> Option<Self> {
        let () = Self::FITS;
        let fields = content.fields.kind()?;
        let bits = access::kind(request) << Fields::KIND_BITS | fields;
        Some(Self { core, bits })
    }
}

/// A line without its variables.
#[derive(Debug, Default)]
pub(crate) struct Stencil {
    kind: Kind,
    /// What is around the variables, and a block of nothing behind it. All of it together: a request takes a server
    /// through more memory than is at hand.
    text: Vec<u8>,
    parts: Vec<Part>,
}

/// So many bytes of the text, and what comes after them.
///
/// They are copied as a block of one size: that takes no call, which would cost more than the copy.
#[derive(Clone, Copy, Debug)]
struct Part {
    len: u8,
    then: Step,
}

const BLOCK: usize = 64;

/// What comes after a part: what is on nearly every line has a step of its own.
#[derive(Clone, Copy, Debug)]
enum Step {
    Nothing,
    Timestamp,
    RequestId,
    Place,
    Route,
    Duration,
    TimeToHead,
    BytesOut,
    UserAgent,
    Other(Variable),
}

impl Part {
    #[expect(clippy::cast_possible_truncation, reason = "at most a block")]
    const fn new(len: usize, then: Step) -> Self {
        Self {
            len: len as u8,
            then,
        }
    }
}

impl Step {
    const fn of(variable: Variable) -> Self {
        match variable {
            Variable::Timestamp => Self::Timestamp,
            Variable::Id(Slot::RequestId) => Self::RequestId,
            Variable::Place => Self::Place,
            Variable::Fact(Fact::Route) => Self::Route,
            Variable::Fact(Fact::Duration) => Self::Duration,
            Variable::Fact(Fact::TimeToHead) => Self::TimeToHead,
            Variable::Fact(Fact::BytesOut) => Self::BytesOut,
            Variable::Fact(Fact::UserAgent) => Self::UserAgent,
            variable => Self::Other(variable),
        }
    }
}

impl Stencil {
    /// Writes a line, with `other` for what has no step of its own, and tells where it ends. None if something is
    /// missing or does not fit: then it is no line.
    fn write(
        &self,
        line: &mut [u8],
        content: &Content<'_>,
        mut other: impl FnMut(&mut [u8], usize, Variable) -> Option<usize>,
    ) -> Option<usize> {
        let request = content.head.request?;
        let limits = content.limits;
        let route = request.facts.plain_route(limits.max_line() / 8);
        let agent = request.facts.plain_user_agent(limits.max_value());
        let in_millis = content.schema.durations == Durations::Milliseconds;
        let short = |duration| access::short_millis(duration).filter(|_| in_millis);
        let mut text = &*self.text;
        let mut at = 0;
        for part in &self.parts {
            let len = usize::from(part.len);
            put_block::<BLOCK>(line, at, text.first_chunk()?)?;
            at += len;
            text = text.get(len..)?;
            at = match part.then {
                Step::Nothing => at,
                Step::Timestamp => put_block(line, at, &timestamp::text(content.head.since_epoch))?,
                Step::RequestId => match request.context.request_id().made() {
                    Some(id) => put_block(line, at, id)?,
                    None => put(line, at, request.context.request_id().as_bytes())?,
                },
                Step::Place => match route {
                    Some(route) => put(line, at, route)?,
                    None => other(line, at, Variable::Place)?,
                },
                Step::Route => match route {
                    Some(route) => put(line, at, route)?,
                    None => other(line, at, Variable::Fact(Fact::Route))?,
                },
                Step::Duration => match short(request.ended.duration) {
                    Some(duration) => put_block(line, at, &duration)?,
                    None => other(line, at, Variable::Fact(Fact::Duration))?,
                },
                Step::TimeToHead => match request.ended.time_to_head.and_then(short) {
                    Some(duration) => put_block(line, at, &duration)?,
                    None => other(line, at, Variable::Fact(Fact::TimeToHead))?,
                },
                Step::BytesOut => match number::short(request.ended.bytes) {
                    Some((digits, len)) => {
                        put_block(line, at, &digits)?;
                        at + len
                    }
                    None => other(line, at, Variable::Fact(Fact::BytesOut))?,
                },
                Step::UserAgent => match agent {
                    Some(agent) => put(line, at, agent)?,
                    None => other(line, at, Variable::Fact(Fact::UserAgent))?,
                },
                Step::Other(variable) => other(line, at, variable)?,
            };
        }
        (at <= content.end()).then_some(at)
    }

    /// Takes over a line that was written.
    fn cut(&mut self, kind: Kind, line: &[u8], notes: &[Note]) {
        self.kind = kind;
        self.text.clear();
        self.parts.clear();
        let mut start = 0;
        for Note { range, variable } in notes {
            let quote = usize::from(variable.is_in_quotes());
            let text = line.get(start..range.start + quote);
            self.push(text, Step::of(*variable));
            start = range.end - quote;
        }
        self.push(line.get(start..), Step::Nothing);
        self.text.extend_from_slice(&[0; BLOCK]);
    }

    fn push(&mut self, text: Option<&[u8]>, then: Step) {
        let text = text.unwrap_or_default();
        self.text.extend_from_slice(text);
        let mut left = text.len();
        while left > BLOCK {
            self.parts.push(Part::new(BLOCK, Step::Nothing));
            left -= BLOCK;
        }
        self.parts.push(Part::new(left, then));
    }
}

/// Writes all of it there, and tells where it ends. None if it does not fit.
#[inline]
fn put_block<const N: usize>(line: &mut [u8], at: usize, block: &[u8; N]) -> Option<usize> {
    *line.get_mut(at..)?.first_chunk_mut()? = *block;
    Some(at + N)
}

/// As [`put_block`].
#[inline]
fn put(line: &mut [u8], at: usize, bytes: &[u8]) -> Option<usize> {
    let place = line.get_mut(at..)?.get_mut(..bytes.len())?;
    place.copy_from_slice(bytes);
    Some(at + bytes.len())
}

/// Those that a thread has used.
#[derive(Debug, Default)]
pub(crate) struct Stencils {
    all: Vec<Stencil>,
    line: Vec<u8>,
}

impl Stencils {
    /// A power of two.
    const PLACES: usize = 64;
    /// How many neighbours are tried.
    const TRIES: usize = 4;
    /// Longer lines are written step by step.
    const LONGEST_LINE: usize = 32 * 1024;

    /// The line of a request, if one of its kind was [kept](Self::keep). What is in `scratch` is lost.
    pub(crate) fn write(
        &mut self,
        kind: Kind,
        content: &Content<'_>,
        scratch: &mut Vec<u8>,
    ) -> Option<&[u8]> {
        let stencil = places(kind)
            .filter_map(|place| self.all.get(place))
            .find(|stencil| stencil.kind == kind)?;
        let len = stencil.write(&mut self.line, content, |line, at, variable| {
            other(line, at, variable, content, scratch)
        })?;
        self.line.get(..len)
    }

    /// Keeps a line that was written, unless it is long, in place of one of another kind if there are many.
    #[cold]
    pub(crate) fn keep(&mut self, kind: Kind, line: &[u8], notes: &[Note]) {
        if line.len() + BLOCK > Self::LONGEST_LINE {
            return;
        }
        if self.all.is_empty() {
            self.all.resize_with(Self::PLACES, Stencil::default);
        }
        let find = |is_right: fn(&Stencil, Kind) -> bool| {
            let is_right =
                |place: &usize| self.all.get(*place).is_some_and(|at| is_right(at, kind));
            places(kind).find(is_right)
        };
        // One of this kind is there if a line did not fit: it is not to take its neighbours' places.
        let place = find(|stencil, kind| stencil.kind == kind)
            .or_else(|| find(|stencil, _| stencil.parts.is_empty()))
            .or_else(|| places(kind).next());
        if let Some(stencil) = place.and_then(|place| self.all.get_mut(place)) {
            stencil.cut(kind, line, notes);
        }
        // The next one may be longer.
        let room = (2 * (line.len() + BLOCK)).min(Self::LONGEST_LINE);
        if room > self.line.len() {
            self.line.resize(room, 0);
        }
    }
}

/// Writes what has no step of its own, or is not as short and plain as most of it is: as [`put`].
#[inline(never)]
fn other(
    line: &mut [u8],
    at: usize,
    variable: Variable,
    content: &Content<'_>,
    scratch: &mut Vec<u8>,
) -> Option<usize> {
    scratch.clear();
    let is_cut = content.variable(scratch, variable)?;
    // That a place is cut is no matter.
    if is_cut && variable != Variable::Place {
        return None;
    }
    let quote = usize::from(variable.is_in_quotes());
    let end = scratch.len().checked_sub(quote)?;
    put(line, at, scratch.get(quote..end)?)
}

/// Where a stencil may be.
fn places(kind: Kind) -> impl Iterator<Item = usize> {
    let hash = (kind.bits ^ kind.core.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let first = usize::try_from(hash >> 32).unwrap_or_default() % Stencils::PLACES;
    (first..first + Stencils::TRIES).map(|place| place % Stencils::PLACES)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderName, HeaderValue, Method, Version, uri::Scheme};
    use proptest::prelude::*;
    use tower_observe::{Clock, Ending, grpc::Code};
    use tracing_core::Level;

    use super::*;
    use crate::{
        Fields as Style, Schema,
        access::{Ended, Text},
        context::RequestContext,
        format::{
            Limits, escape,
            line::{self, Head},
        },
        schema::Compiled,
        trace_context::TraceContext,
    };

    /// What lines of one kind have in common, and which facts there are.
    #[derive(Clone, Debug)]
    struct Common {
        method: Method,
        version: Version,
        status: u16,
        ending: Ending,
        level: Level,
        scheme: Option<Scheme>,
        grpc: Option<Code>,
        there: [bool; 14],
    }

    fn common() -> impl Strategy<Value = Common> {
        let method = prop::sample::select(vec![Method::GET, Method::POST, Method::PATCH]);
        let versions = vec![Version::HTTP_11, Version::HTTP_2];
        let scheme = prop::sample::select(vec![Scheme::HTTP, Scheme::HTTPS]);
        (
            prop_oneof![method, Just("BREW".parse().unwrap())],
            prop::sample::select(versions),
            prop::sample::select(vec![200, 204, 404, 499, 500, 503]),
            prop::sample::select(Ending::ALL.to_vec()),
            prop::sample::select(vec![Level::INFO, Level::ERROR]),
            prop::option::of(scheme),
            prop::option::of(prop::sample::select(Code::ALL.to_vec())),
            prop::array::uniform14(any::<bool>()),
        )
            .prop_map(
                |(method, version, status, ending, level, scheme, grpc, there)| Common {
                    method,
                    version,
                    status,
                    ending,
                    level,
                    scheme,
                    grpc,
                    there,
                },
            )
    }

    /// As `one`, but for one thing that is as in `other`.
    fn mixed(one: &Common, other: &Common, which: usize) -> Common {
        let mut mixed = one.clone();
        match which {
            0 => mixed.method = other.method.clone(),
            1 => mixed.version = other.version,
            2 => mixed.status = other.status,
            3 => mixed.ending = other.ending,
            4 => mixed.level = other.level,
            5 => mixed.scheme.clone_from(&other.scheme),
            6 => mixed.grpc = other.grpc,
            there => mixed.there[there - 7] ^= true,
        }
        mixed
    }

    /// What differs between them.
    #[derive(Clone, Debug)]
    struct Own {
        text: String,
        number: u64,
        time: Duration,
    }

    fn own() -> impl Strategy<Value = Own> {
        let text = prop_oneof![".{0,20}", "[a-z/]{0,300}", "[a-z\"\\\\]{0,90}"];
        (text, any::<u64>(), 0..u64::MAX / 4).prop_map(|(text, number, nanos)| Own {
            text,
            number,
            time: Duration::from_nanos(nanos),
        })
    }

    struct Made {
        context: RequestContext,
        ended: Ended,
        fields: Fields,
        time: Duration,
    }

    fn made(common: &Common, own: &Own, schema: &Compiled, limits: &Limits) -> Made {
        let [
            trace,
            route,
            path,
            query,
            bytes_in,
            client_ip,
            user_agent,
            request_headers,
            response_headers,
            time_to_head,
            sample_rate,
            is_failure,
            scan_id,
            has_field,
        ] = common.there;
        let bytes: String = own.text.escape_default().collect();
        let header = || HeaderValue::from_str(&bytes).unwrap();
        let headers = || vec![(HeaderName::from_static("x-scan"), header())];
        let context = RequestContext::new(None, |id, place, facts| {
            id.make(&mut None);
            if trace {
                let id = own.number | 1;
                *place = TraceContext::parse(format!("00-{id:032x}-{id:016x}-01").as_bytes());
            }
            facts.set_method(&common.method);
            facts.set_version(common.version);
            if let Some(scheme) = &common.scheme {
                facts.set_scheme(scheme);
            }
            if route {
                facts.set_route(&own.text);
            }
            let edited = || Text::Edited(own.text.clone());
            facts.set_target(path.then(edited), query.then(edited));
            facts.set_bytes_in(bytes_in.then_some(own.number));
            facts.set_client_ip(client_ip.then(|| u128::from(own.number).to_be_bytes().into()));
            if user_agent {
                facts.set_user_agent(&header());
            }
            facts.set_request_headers(request_headers.then(headers).unwrap_or_default());
            true
        });
        if response_headers {
            context.set_response_headers(headers());
        }
        let mut fields = Fields::new();
        let written = |out: &mut Vec<u8>| escape::text(out, 1024, &own.text);
        if scan_id {
            fields.put_slot(Slot::ScanId, written);
        }
        if has_field {
            fields.put_new(&schema.field_key("tenant", ""), limits, written);
        }
        Made {
            context,
            ended: Ended {
                at: Clock::system().now(),
                level: common.level,
                ending: common.ending,
                status: common.status,
                is_failure,
                grpc: common.grpc,
                duration: own.time,
                time_to_head: time_to_head.then_some(own.time / 3),
                bytes: own.number,
                sample_rate: sample_rate.then_some(0.25),
            },
            fields,
            time: own.time,
        }
    }

    impl Made {
        fn with<R>(
            &self,
            schema: &Compiled,
            limits: &Limits,
            f: impl FnOnce(Request<'_>, &Content<'_>) -> R,
        ) -> R {
            let request = Request {
                context: &self.context,
                facts: self.context.facts().unwrap(),
                ended: &self.ended,
            };
            let head = Head {
                since_epoch: self.time,
                level: self.ended.level,
                module: b"\"http.access\"",
                function: Some("request"),
                file: None,
                line: None,
                request: Some(request),
            };
            let content = Content {
                head,
                fields: &self.fields,
                schema,
                limits,
            };
            f(request, &content)
        }
    }

    fn schema() -> impl Strategy<Value = Schema> {
        let fields_alone = Schema::seed().within("fields").fields(Style::Flat);
        prop::sample::select(vec![
            Schema::seed(),
            Schema::ecs("scans"),
            Schema::open_telemetry("scans"),
            fields_alone,
            Schema::empty().key(Fact::BytesOut, "n").fields(Style::Flat),
        ])
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_line_by_a_stencil_is_the_one_that_is_written_step_by_step(
            schema in schema(),
            most in prop::sample::select(vec![512, 1500, 16_000]),
            commons in prop::array::uniform2(common()),
            which in 0..21_usize,
            owns in prop::array::uniform3(own()),
        ) {
            let (schema, limits) = (Compiled::new(&schema), Limits::new().line(most));
            let [one, two] = &commons;
            let mixed = &mixed(one, two, which);
            let [a, b, c] = &owns;
            let requests = [(one, a), (one, b), (mixed, c)];
            let requests = requests.map(|(common, own)| made(common, own, &schema, &limits));
            for one in &requests {
                let mut stencil = Stencil::default();
                let mut line = Vec::new();
                let kind = one.with(&schema, &limits, |request, content| {
                    let mut notes = Vec::new();
                    let is_whole = line::write(&mut line, content, Some(&mut notes));
                    let kind = Kind::of(1, request, content).filter(|_| is_whole)?;
                    stencil.cut(kind, &line, &notes);
                    Some(kind)
                });
                for two in &requests {
                    two.with(&schema, &limits, |request, content| {
                        if kind.is_none() || Kind::of(1, request, content) != kind {
                            return;
                        }
                        let mut by_steps = Vec::new();
                        let is_whole = line::write(&mut by_steps, content, None);
                        let (mut line, mut scratch) = (vec![b'-'; most + 2 * BLOCK], Vec::new());
                        let len = stencil.write(&mut line, content, |line, at, variable| {
                            other(line, at, variable, content, &mut scratch)
                        });
                        if let Some(len) = len {
                            let text = |line: &[u8]| String::from_utf8(line.to_vec()).unwrap();
                            assert_eq!(text(&line[..len]), text(&by_steps));
                        } else {
                            assert!(!is_whole || by_steps.len() > content.end());
                        }
                    });
                }
            }
        }
    }

    fn usual(there: [bool; 14]) -> Common {
        Common {
            method: Method::GET,
            version: Version::HTTP_11,
            status: 200,
            ending: Ending::Complete,
            level: Level::INFO,
            scheme: None,
            grpc: None,
            there,
        }
    }

    #[test]
    fn requests_that_differ_in_their_values_are_of_one_kind() {
        let (schema, limits) = (Compiled::new(&Schema::seed()), Limits::new());
        let common = usual([true; 14]);
        let own = |text: &str, number| Own {
            text: text.to_owned(),
            number,
            time: Duration::from_nanos(number),
        };
        let [one, two] = [own("/scans/{id}", 7), own("/a\"b", 1 << 40)]
            .map(|own| made(&common, &own, &schema, &limits));
        let mut stencils = Stencils::default();
        let kind = one.with(&schema, &limits, |request, content| {
            let (mut line, mut notes) = (Vec::new(), Vec::new());
            assert!(line::write(&mut line, content, Some(&mut notes)));
            let kind = Kind::of(1, request, content).unwrap();
            stencils.keep(kind, &line, &notes);
            kind
        });
        two.with(&schema, &limits, |request, content| {
            assert_eq!(Kind::of(1, request, content), Some(kind));
            assert_ne!(Kind::of(2, request, content), Some(kind));
            let (mut line, mut scratch) = (Vec::new(), Vec::new());
            assert!(line::write(&mut line, content, None));
            assert_eq!(
                stencils.write(kind, content, &mut scratch),
                Some(line.as_slice())
            );
        });
    }

    /// Writes lines of one kind one after the other, and tells which of them a stencil wrote.
    fn by_stencil<const N: usize>(texts: [&str; N], limits: &Limits) -> [bool; N] {
        let schema = Compiled::new(&Schema::seed());
        // The path is as long as it is asked for.
        let common = usual(std::array::from_fn(|fact| fact == 2));
        let (mut stencils, mut scratch) = (Stencils::default(), Vec::new());
        texts.map(|text| {
            let own = Own {
                text: text.to_owned(),
                number: 7,
                time: Duration::from_millis(1),
            };
            made(&common, &own, &schema, limits).with(&schema, limits, |request, content| {
                let (mut line, mut notes) = (Vec::new(), Vec::new());
                assert!(line::write(&mut line, content, Some(&mut notes)));
                let kind = Kind::of(1, request, content).unwrap();
                if let Some(bytes) = stencils.write(kind, content, &mut scratch) {
                    assert_eq!(bytes, line);
                    return true;
                }
                stencils.keep(kind, &line, &notes);
                false
            })
        })
    }

    #[test]
    fn there_is_room_for_a_longer_line_after_the_first() {
        let limits = Limits::new().line(200_000).value(100_000);
        let long = "x".repeat(5000);
        let written = by_stencil(["x", "xy", &long, &long, "x", &long], &limits);
        assert_eq!(written, [false, true, false, true, true, true]);
    }

    #[test]
    fn a_line_that_is_long_leaves_the_stencil_to_the_others() {
        let limits = Limits::new().line(200_000).value(100_000);
        let long = "x".repeat(Stencils::LONGEST_LINE);
        let written = by_stencil(["x", &long, "xy", &long, "x"], &limits);
        assert_eq!(written, [false, false, true, false, true]);
    }

    #[test]
    fn a_line_that_is_long_is_not_kept() {
        let mut stencils = Stencils::default();
        let kind = Kind { core: 1, bits: 7 };
        let line = vec![b'x'; Stencils::LONGEST_LINE];
        let (short, _) = line.split_at(Stencils::LONGEST_LINE - BLOCK);
        stencils.keep(kind, &line, &[]);
        assert!(stencils.all.is_empty());
        stencils.keep(kind, short, &[]);
        assert!(!stencils.all.is_empty());
    }

    #[test]
    fn a_kind_that_is_kept_again_takes_no_other_place() {
        let mut stencils = Stencils::default();
        let kind = Kind { core: 1, bits: 7 };
        for _ in 0..Stencils::TRIES {
            stencils.keep(kind, b"{}\n", &[]);
        }
        let kept = stencils.all.iter().filter(|stencil| stencil.kind == kind);
        assert_eq!(kept.count(), 1);
    }

    #[test]
    fn many_kinds_take_no_more_places() {
        let mut stencils = Stencils::default();
        let kind = |bits| Kind { core: 1, bits };
        let is_kept = |stencils: &Stencils, bits| {
            stencils
                .all
                .iter()
                .any(|stencil| stencil.kind == kind(bits))
        };
        for bits in 0..10_000 {
            stencils.keep(kind(bits), b"{}\n", &[]);
            assert!(is_kept(&stencils, bits));
        }
        assert_eq!(stencils.all.len(), Stencils::PLACES);
        let kept = (0..10_000).filter(|bits| is_kept(&stencils, *bits));
        assert!(kept.count() <= Stencils::PLACES);
    }
}
