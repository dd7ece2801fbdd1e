//! Which key says what, as data.

mod compiled;
mod fact;
mod presets;

use std::borrow::Cow;

pub use self::fact::Fact;
pub(crate) use self::{
    compiled::{Compiled, FieldKey, KeyId, Object, Step, What},
    fact::Slot,
};

/// Which keys a line has, in which order, and how they are written.
///
/// [`seed`](Self::seed) is the default, [`ecs`](Self::ecs) and [`open_telemetry`](Self::open_telemetry)
/// are what many readers know, and [`empty`](Self::empty) is where one of your own begins. All of them are
/// data of the same kind, and can be changed:
///
/// ```
/// use tower_json_logging::{Durations, Fact, Fields, JsonLayer, LevelNames, Schema};
///
/// let seed_for_python = Schema::seed()
///     .level_names(LevelNames::Python)
///     .constant("service", "scans");
///
/// // As Google Cloud's logging agents read it.
/// let google = Schema::empty()
///     .key(Fact::Timestamp, "time")
///     .key(Fact::Level, "severity")
///     .key(Fact::Message, "message")
///     .key(Fact::TraceId, "logging.googleapis.com/trace")
///     .within("logging.googleapis.com/sourceLocation")
///     .key(Fact::Function, "function")
///     .within("httpRequest")
///     .key(Fact::Method, "requestMethod")
///     .key(Fact::Status, "status")
///     .key(Fact::Duration, "latency")
///     .at_the_top()
///     .fields(Fields::Flat)
///     .durations(Durations::SecondsText)
///     .level_names(LevelNames::Custom(["DEBUG", "DEBUG", "INFO", "WARNING", "ERROR"]));
///
/// let layer = JsonLayer::stdout().schema(google);
/// # drop((layer, seed_for_python));
/// ```
///
/// No key is there twice: a key given to a second fact is taken from the first, and a key and an object that have the
/// same name from one another. An empty key is `_`.
#[derive(Clone, Debug)]
pub struct Schema {
    items: Vec<Item>,
    within: Option<Cow<'static, str>>,
    fields: Fields,
    level_names: LevelNames,
    durations: Durations,
    event: Cow<'static, str>,
    sources_as_text: bool,
}

/// One key of a line, or the place of many.
#[derive(Clone, Debug)]
struct Item {
    /// The object that it is in; none at the top.
    object: Option<Cow<'static, str>>,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Fact(Fact, Cow<'static, str>),
    /// A key and its value as JSON.
    Constant(Cow<'static, str>, String, When),
    /// Where the program's own fields go.
    Fields,
}

/// On which lines a constant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Always,
    /// Only on the lines of requests.
    OfRequests,
}

/// Under which keys a line has what the program records under names of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fields {
    /// Under their names. One that has the name of a key of the schema is put under `fields.<name>`.
    #[default]
    Flat,
    /// As strings, whatever was recorded, under `labels.<name>` with `_` for `.`, `*` and `\`: what the
    /// Elastic Common Schema has for fields that it does not know.
    Labels,
}

/// What the levels are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LevelNames {
    /// As in `tracing`: `TRACE`, `DEBUG`, `INFO`, `WARN`, `ERROR`.
    #[default]
    Tracing,
    /// As in Python's `logging`: `DEBUG` (also for `TRACE`), `INFO`, `WARNING`, `ERROR`.
    Python,
    /// These, from `TRACE` to `ERROR`.
    Custom([&'static str; 5]),
}

/// How durations are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durations {
    /// Milliseconds with three decimals: `12.345`.
    #[default]
    Milliseconds,
    /// Whole nanoseconds: `12345678`.
    Nanoseconds,
    /// Seconds with nine decimals: `0.012345678`.
    Seconds,
    /// A string of seconds, as in Protobuf's JSON form: `"0.012345678s"`.
    SecondsText,
}

impl Schema {
    /// No key at all; even [`fields`](Self::fields) of the program's own have no place.
    pub fn empty() -> Self {
        Self {
            items: Vec::new(),
            within: None,
            fields: Fields::Flat,
            level_names: LevelNames::Tracing,
            durations: Durations::Milliseconds,
            event: Cow::Borrowed("http_request"),
            sources_as_text: false,
        }
    }

    /// Says `fact` under `key`: after all that there is, or where the fact already was.
    #[must_use]
    pub fn key(mut self, fact: Fact, key: impl Into<Cow<'static, str>>) -> Self {
        let key = named(key.into());
        let is_same = |item: &Item| matches!(item.kind, Kind::Fact(other, _) if other == fact);
        let object = match self.items.iter().find(|item| is_same(item)) {
            Some(item) => item.object.clone(),
            // It ends the line.
            None if fact == Fact::Truncated => None,
            None => self.within.clone(),
        };
        self.items
            .retain(|item| is_same(item) || !item.has(object.as_deref(), &key));
        let kind = Kind::Fact(fact, key);
        match self.items.iter_mut().find(|item| is_same(item)) {
            Some(item) => item.kind = kind,
            None => self.items.push(Item { object, kind }),
        }
        self
    }

    /// Does not say `fact`.
    #[must_use]
    pub fn without(mut self, fact: Fact) -> Self {
        self.items
            .retain(|item| !matches!(item.kind, Kind::Fact(other, _) if other == fact));
        self
    }

    /// Has `value` under `key` on every line.
    #[must_use]
    pub fn constant(self, key: impl Into<Cow<'static, str>>, value: &str) -> Self {
        self.json(key.into(), string(value), When::Always)
    }

    /// Puts what follows into the object `name`.
    ///
    /// What one object holds is written together, where the first of it was put.
    #[must_use]
    pub fn within(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.within = Some(named(name.into()));
        self
    }

    /// Puts what follows beside the timestamp, and not into an object.
    #[must_use]
    pub fn at_the_top(mut self) -> Self {
        self.within = None;
        self
    }

    /// Puts what the program records under names of its own after all that there is.
    #[must_use]
    pub fn fields(mut self, fields: Fields) -> Self {
        let object = self.within.clone();
        self.items
            .retain(|item| !matches!(item.kind, Kind::Fields) && !item.is_named(object.as_deref()));
        let kind = Kind::Fields;
        self.items.push(Item { object, kind });
        self.fields = fields;
        self
    }

    /// Calls levels by these names. Default: [`LevelNames::Tracing`].
    #[must_use]
    pub const fn level_names(mut self, names: LevelNames) -> Self {
        self.level_names = names;
        self
    }

    /// Writes durations in this form. Default: [`Durations::Milliseconds`].
    #[must_use]
    pub const fn durations(mut self, durations: Durations) -> Self {
        self.durations = durations;
        self
    }

    /// What [`Fact::Event`] says. Default: `http_request`.
    #[must_use]
    pub fn event(mut self, event: impl Into<Cow<'static, str>>) -> Self {
        self.event = event.into();
        self
    }

    /// Writes the sources of errors as one string, a line for each, and not as an array.
    #[must_use]
    pub const fn sources_as_text(mut self) -> Self {
        self.sources_as_text = true;
        self
    }

    fn json(mut self, key: Cow<'static, str>, json: String, when: When) -> Self {
        let key = named(key);
        let object = self.within.clone();
        self.items.retain(|item| !item.has(object.as_deref(), &key));
        let kind = Kind::Constant(key, json, when);
        self.items.push(Item { object, kind });
        self
    }
}

/// [`Schema::seed`].
impl Default for Schema {
    fn default() -> Self {
        Self::seed()
    }
}

impl Item {
    /// Whether it cannot be there beside this key in this object.
    fn has(&self, object: Option<&str>, name: &str) -> bool {
        let is_key = self.object.as_deref() == object && self.key() == Some(name);
        let is_object = object.is_none() && self.object.as_deref() == Some(name);
        is_key || is_object || self.is_named(object)
    }

    /// Whether it is a key beside this object, and of its name.
    fn is_named(&self, object: Option<&str>) -> bool {
        self.object.is_none() && object.is_some() && self.key() == object
    }

    fn key(&self) -> Option<&str> {
        match &self.kind {
            Kind::Fact(_, key) | Kind::Constant(key, ..) => Some(key),
            Kind::Fields => None,
        }
    }
}

impl LevelNames {
    /// From trace to error.
    const fn all(self) -> [&'static str; 5] {
        match self {
            Self::Tracing => ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"],
            Self::Python => ["DEBUG", "DEBUG", "INFO", "WARNING", "ERROR"],
            Self::Custom(names) => names,
        }
    }
}

// Elasticsearch refuses a document with an empty key.
fn named(key: Cow<'static, str>) -> Cow<'static, str> {
    if key.is_empty() {
        Cow::Borrowed("_")
    } else {
        key
    }
}

/// The text as a JSON string.
fn string(text: &str) -> String {
    let mut out = Vec::new();
    crate::format::escape::string(&mut out, usize::MAX, format_args!("{text}"));
    String::from_utf8(out).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys at the top, objects among them, in order.
    fn top(schema: &Schema) -> Vec<&str> {
        let mut keys = Vec::new();
        for item in &schema.items {
            let key = item.object.as_deref().or_else(|| item.key());
            if let Some(key) = key {
                if item.object.is_none() || !keys.contains(&key) {
                    keys.push(key);
                }
            }
        }
        keys
    }

    #[test]
    fn a_key_and_an_object_of_its_name_are_not_both_there() {
        let flat = Schema::empty().key(Fact::Event, "event");
        let object = flat.clone().within("event").constant("dataset", "x");
        assert_eq!(top(&object), ["event"]);
        let fields = flat.within("event").fields(Fields::Labels);
        assert_eq!(top(&fields), ["event"]);
        let key = fields.at_the_top().constant("event", "x");
        assert_eq!(top(&key), ["event"]);
        let moved = Schema::empty()
            .constant("http", "x")
            .within("http")
            .key(Fact::Method, "method")
            .key(Fact::Status, "status");
        assert_eq!(top(&moved), ["http"]);
        assert_eq!(moved.items.len(), 2);
    }

    #[test]
    fn what_ends_the_line_is_at_the_top() {
        let schema = Schema::empty()
            .constant("cut", "x")
            .within("http")
            .key(Fact::Truncated, "cut")
            .key(Fact::Method, "cut");
        assert_eq!(top(&schema), ["cut", "http"]);
        assert_eq!(schema.items.len(), 2);
    }
}
