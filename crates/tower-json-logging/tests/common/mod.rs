//! A log in memory, and a reader of it that forgives nothing.

use std::{
    fmt, io,
    sync::{Arc, Mutex},
};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};
use tower_json_logging::JsonLayer;
use tracing_subscriber::fmt::MakeWriter;

/// Keeps what is written, write by write.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Vec<u8>>>>);

impl Log {
    pub(crate) fn layer(&self) -> JsonLayer {
        JsonLayer::new(self.clone())
    }

    /// The writes, each of which has to be one line.
    pub(crate) fn raw(&self) -> Vec<String> {
        let writes = self.0.lock().unwrap().clone();
        let lines = writes
            .into_iter()
            .map(|line| String::from_utf8(line).unwrap());
        lines.inspect(|line| assert_one_line(line)).collect()
    }

    /// The lines, read strictly.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let read = |line: String| serde_json::from_str::<Strict>(&line).unwrap().0;
        self.raw().into_iter().map(read).collect()
    }

    /// The one line.
    pub(crate) fn line(&self) -> Value {
        let mut lines = self.lines();
        assert_eq!(lines.len(), 1, "{lines:#?}");
        lines.remove(0)
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn assert_one_line(line: &str) {
    let inside = line.strip_suffix('\n').unwrap();
    // What Python's `splitlines`, or a terminal, takes for more than a character.
    let control = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    assert!(!inside.contains(control), "{inside:?}");
}

/// JSON in which no object has a key twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without duplicate keys")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((key, Strict(value))) = entries.next_entry::<String, Strict>()? {
            if object.insert(key.clone(), value).is_some() {
                return Err(A::Error::custom(format_args!("duplicate key {key:?}")));
            }
        }
        Ok(Value::Object(object))
    }
}
