use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;

use crate::{
    format::{Labels, Number, UnixMillis, push_float},
    sink::{
        Encoder, Frame, Payload,
        frame::{Family, Histogram, Series, Value},
    },
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Statsd,
    DogStatsd,
}

/// Makes datagrams of frames.
pub(super) struct Lines {
    dialect: Dialect,
    prefix: String,
    max_length: usize,
    /// What was told of each counter, by its family and labels; a histogram has several.
    told: HashMap<Box<str>, HashMap<Labels, Told>>,
    /// What was made before is told from its second reading on.
    since: UnixMillis,
}

/// The last values of a series, and how many frames there were since it was in one.
#[derive(Debug, Default)]
struct Told {
    created: Option<UnixMillis>,
    values: Vec<Number>,
    gone: u32,
}

impl Told {
    /// A series that nothing was told of yet, as if this had been.
    fn settled(series: &Series) -> Self {
        let values = match &series.value {
            Value::Counter(value) => vec![*value],
            Value::Gauge(_) => Vec::new(),
            Value::Histogram(histogram) => {
                let counts = histogram.cumulative.iter();
                [
                    Number::Whole(histogram.count()),
                    Number::Float(histogram.sum),
                ]
                .into_iter()
                .chain(counts.map(|count| Number::Whole(*count)))
                .collect()
            }
        };
        Self {
            created: series.created,
            values,
            gone: 0,
        }
    }
}

/// For so many frames it is known what was told of a series that is gone: one that expired comes back with its
/// whole value, and what a collector could not read once is there again.
const REMEMBERED: u32 = 360;

impl Lines {
    pub(super) fn new(dialect: Dialect, prefix: String, max_length: usize) -> Self {
        Self {
            dialect,
            prefix,
            max_length,
            told: HashMap::new(),
            since: UnixMillis(0),
        }
    }
}

/// Whether what a series has when it is seen for the first time came since then. Of a counter whose beginning nobody
/// knows it is not taken to have, as OpenTelemetry's `cumulativetodelta` has it.
fn is_new(series: &Series, since: UnixMillis) -> bool {
    series.created.is_some_and(|created| created.0 >= since.0)
}

impl Encoder for Lines {
    fn tells_changes(&self) -> bool {
        true
    }

    fn begin(&mut self, frame: &Frame, is_first: bool) {
        if !is_first {
            self.since = frame.at();
        }
        for family in frame.families() {
            for series in &family.series {
                if !(is_first && is_new(series, self.since)) {
                    let told = self.told.entry(family.name.clone()).or_default();
                    told.insert(series.labels.clone(), Told::settled(series));
                }
            }
        }
    }

    fn encode(&mut self, frame: &Arc<Frame>) -> Vec<Payload> {
        let mut out = Datagrams {
            dialect: self.dialect,
            prefix: &self.prefix,
            max_length: self.max_length,
            line: Vec::new(),
            datagram: Vec::new(),
            points: 0,
            payloads: Vec::new(),
        };
        let since = self.since;
        for family in frame.families() {
            let told = self.told.entry(family.name.clone()).or_default();
            for series in &family.series {
                if let Value::Gauge(value) = &series.value {
                    out.gauge(&family.name, &series.labels, *value);
                    continue;
                }
                let told = told.entry(series.labels.clone()).or_insert_with(|| {
                    if is_new(series, since) {
                        Told::default()
                    } else {
                        Told::settled(series)
                    }
                });
                told.gone = 0;
                if told.created != series.created {
                    told.created = series.created;
                    told.values.clear();
                }
                let told = &mut told.values;
                match &series.value {
                    Value::Counter(value) => {
                        let delta = advance(told, 0, *value);
                        out.counter(&family.name, &series.labels, None, delta);
                    }
                    Value::Histogram(histogram) => out.histogram(family, series, histogram, told),
                    Value::Gauge(_) => {}
                }
            }
        }
        let since = &mut self.since;
        self.told.retain(|_, series| {
            series.retain(|_, told| {
                told.gone += 1;
                let is_remembered = told.gone <= REMEMBERED;
                if !is_remembered {
                    // Were it to come back, nobody would know that it had been told.
                    *since = frame.at();
                }
                is_remembered
            });
            !series.is_empty()
        });
        out.flush();
        out.payloads
    }
}

/// By how much a value differs from what was told; a counter that fell began anew.
fn advance(told: &mut Vec<Number>, at: usize, value: Number) -> Number {
    if told.len() <= at {
        told.resize(at + 1, Number::Whole(0));
    }
    let last = told.get_mut(at).map(|last| std::mem::replace(last, value));
    match (last, value) {
        (Some(Number::Whole(last)), Number::Whole(value)) => {
            Number::Whole(value.checked_sub(last).unwrap_or(value))
        }
        (last, value) => {
            let (last, value) = (last.map_or(0.0, Number::as_f64), value.as_f64());
            Number::Float(if value < last { value } else { value - last })
        }
    }
}

/// The datagrams of one frame.
struct Datagrams<'a> {
    dialect: Dialect,
    prefix: &'a str,
    max_length: usize,
    line: Vec<u8>,
    datagram: Vec<u8>,
    points: u64,
    payloads: Vec<Payload>,
}

impl Datagrams<'_> {
    fn counter(&mut self, name: &str, labels: &Labels, le: Option<&str>, delta: Number) {
        if delta.as_f64() == 0.0 {
            return;
        }
        self.sample(name, labels, le, delta, "c");
        self.end_line();
    }

    fn gauge(&mut self, name: &str, labels: &Labels, value: f64) {
        if !value.is_finite() {
            return;
        }
        // There, a sign in front is a change by so much.
        if value.is_sign_negative() && self.dialect == Dialect::Statsd {
            self.sample(name, labels, None, Number::Whole(0), "g");
            if value != 0.0 {
                self.line.push(b'\n');
                self.sample(name, labels, None, Number::Float(value), "g");
            }
        } else {
            self.sample(name, labels, None, Number::Float(value), "g");
        }
        self.end_line();
    }

    fn histogram(
        &mut self,
        family: &Family,
        series: &Series,
        histogram: &Histogram,
        told: &mut Vec<Number>,
    ) {
        let name = |part: &str| format!("{}{part}", family.name);
        let labels = &series.labels;
        // A sum may fall without having begun anew, so it is asked of the count.
        let count = Number::Whole(histogram.count());
        let is_new = told
            .first()
            .is_none_or(|last| last.as_f64() > count.as_f64());
        if is_new {
            told.clear();
        }
        let delta = advance(told, 0, count);
        self.counter(&name("_count"), labels, None, delta);
        let last = told.get(1).map_or(0.0, |last| last.as_f64());
        advance(told, 1, Number::Float(histogram.sum));
        let delta = Number::Float(histogram.sum - last);
        self.counter(&name("_sum"), labels, None, delta);
        let bucket = name("_bucket");
        for (at, (le, count)) in histogram.bounds.le().zip(&histogram.cumulative).enumerate() {
            let delta = advance(told, at + 2, Number::Whole(*count));
            self.counter(&bucket, labels, Some(le), delta);
        }
    }

    /// `name:value|type`, with labels as tags or in the name.
    fn sample(&mut self, name: &str, labels: &Labels, le: Option<&str>, value: Number, kind: &str) {
        self.line.extend_from_slice(self.prefix.as_bytes());
        // A colon ends the name.
        self.line.extend(
            name.bytes()
                .map(|byte| if byte == b':' { b'_' } else { byte }),
        );
        let pairs: Vec<_> = labels.pairs().collect();
        let pairs = pairs.iter().map(|(name, value)| (*name, &**value));
        let pairs = pairs.chain(le.map(|le| ("le", le)));
        if self.dialect == Dialect::Statsd {
            for (name, value) in pairs.clone() {
                for part in [name, value] {
                    self.line.push(b'.');
                    clean(&mut self.line, part, |character| {
                        character.is_alphanumeric() || "-_+".contains(character)
                    });
                }
            }
        }
        self.line.push(b':');
        match value {
            Number::Float(value) => push_float(&mut self.line, value),
            whole @ Number::Whole(_) => whole.push(&mut self.line),
        }
        self.line.push(b'|');
        self.line.extend_from_slice(kind.as_bytes());
        if self.dialect == Dialect::DogStatsd {
            for (at, (name, value)) in pairs.enumerate() {
                self.line
                    .extend_from_slice(if at == 0 { b"|#" } else { b"," });
                self.line.extend_from_slice(name.as_bytes());
                self.line.push(b':');
                clean(&mut self.line, value, |character| {
                    !character.is_control() && !",|#".contains(character)
                });
            }
        }
    }

    /// Puts the line into the datagram, or the next if there is no room.
    fn end_line(&mut self) {
        if !self.datagram.is_empty() {
            if self.datagram.len() + 1 + self.line.len() > self.max_length {
                self.flush();
            } else {
                self.datagram.push(b'\n');
            }
        }
        self.datagram.append(&mut self.line);
        self.points += 1;
    }

    fn flush(&mut self) {
        let body = std::mem::take(&mut self.datagram);
        let points = std::mem::take(&mut self.points);
        if points > 0 {
            self.payloads.push(Payload {
                body: Bytes::from(body),
                points,
            });
        }
    }
}

fn clean(line: &mut Vec<u8>, text: &str, stays: impl Fn(char) -> bool) {
    let mut buffer = [0; 4];
    for character in text.chars() {
        let character = if stays(character) { character } else { '_' };
        line.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
    }
}
