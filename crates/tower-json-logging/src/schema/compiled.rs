use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use tracing_core::Level;

use crate::format::piece::Piece;

use super::{Durations, Fact, Fields, Item, Kind, Schema, Slot, When, string};

/// A schema made ready: what is written is bytes already.
#[derive(Debug)]
pub(crate) struct Compiled {
    /// Of lines that are no request's.
    pub(crate) steps: Box<[Step]>,
    /// Of the lines of requests.
    pub(crate) request_steps: Box<[Step]>,
    /// `,"name":{` of each object.
    objects: Box<[Box<[u8]>]>,
    /// `,"key":true`; empty if it is not to be said.
    pub(crate) truncated: Box<[u8]>,
    /// What the levels are called, from `TRACE` to `ERROR`. With its quotes.
    levels: [Box<[u8]>; 5],
    pub(crate) durations: Durations,
    /// With its quotes.
    pub(crate) event: Box<[u8]>,
    pub(crate) sources_as_text: bool,
    /// Keys before this one are those that the line of a request has beside the fields.
    pub(crate) first_free_of_requests: KeyId,
    slots: [bool; Slot::COUNT],
    style: Fields,
    has_fields: bool,
    fields_at_top: bool,
    reserved: HashSet<Box<str>>,
    /// Every key that a field was ever written under. Their names are in the program, so that they are few.
    keys: Mutex<HashMap<Box<str>, KeyId>>,
}

/// Which of the objects something is in, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Object(u16);

impl Object {
    pub(crate) const NONE: Self = Self(u16::MAX);

    fn new(at: usize) -> Self {
        u16::try_from(at).map_or(Self::NONE, Self)
    }
}

/// What is written next.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) object: Object,
    /// `,"key":`, and the value of what is constant.
    pub(crate) bytes: Piece,
    pub(crate) what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Fact(Fact),
    /// A fact that only the line of a request says.
    OfRequest(Fact),
    Slot(Slot),
    Constant,
    Fields,
}

/// Stands for the key of a field: equal where the keys are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyId(u32);

impl KeyId {
    pub(crate) const FIRST: Self = Self(0);

    /// The bits of all keys before it.
    pub(crate) const fn bits_before(self) -> u64 {
        match self.0 {
            64.. => u64::MAX,
            count => (1 << count) - 1,
        }
    }

    /// One bit of 64, so that most of what is not in a set is known by a mask.
    pub(crate) const fn bit(self) -> u64 {
        1 << (self.0 % 64)
    }
}

/// The key of a field.
#[derive(Clone, Debug)]
pub(crate) struct FieldKey {
    pub(crate) id: KeyId,
    /// `,"key":`
    pub(crate) bytes: Piece,
}

impl Compiled {
    pub(crate) fn new(schema: &Schema) -> Self {
        let mut objects: Vec<&Cow<'static, str>> = Vec::new();
        let mut items: Vec<&Item> = Vec::new();
        for item in &schema.items {
            match &item.object {
                None => items.push(item),
                Some(object) if objects.contains(&object) => {}
                Some(object) => {
                    objects.push(object);
                    let all = schema.items.iter();
                    items.extend(all.filter(|item| item.object.as_ref() == Some(object)));
                }
            }
        }

        let is_fields = |item: &&&Item| matches!(item.kind, Kind::Fields);
        let fields = items.iter().find(is_fields).map(|item| &item.object);
        let beside_fields = |item: &&&Item| fields == Some(&item.object);
        let mut reserved: HashSet<Box<str>> = HashSet::new();
        let mut of_requests = Vec::new();
        for item in items.iter().filter(beside_fields) {
            match &item.kind {
                Kind::Fact(fact, key) if fact.is_of_request() => of_requests.push(&**key),
                Kind::Constant(key, _, When::OfRequests) => of_requests.push(&**key),
                Kind::Fact(_, key) | Kind::Constant(key, _, When::Always) => {
                    reserved.insert(Box::from(&**key));
                }
                Kind::Fields => {}
            }
        }
        let fields_at_top = fields == Some(&None);
        if fields_at_top {
            reserved.extend(objects.iter().map(|name| Box::from(&***name)));
        }

        let truncated = schema.items.iter().find_map(|item| match &item.kind {
            Kind::Fact(Fact::Truncated, key) => Some(key),
            _ => None,
        });
        if let (Some(key), true) = (truncated, fields_at_top) {
            reserved.insert(Box::from(&**key));
        }
        let truncated = truncated.map(|key| {
            let value = match schema.fields {
                Fields::Flat => "true",
                Fields::Labels => "\"true\"",
            };
            let mut bytes = key_bytes(key);
            bytes.extend_from_slice(value.as_bytes());
            bytes
        });

        let step = |item: &&Item| {
            let object = item.object.as_ref();
            let object =
                object.and_then(|object| objects.iter().position(|other| *other == object));
            let object = object.map_or(Object::NONE, Object::new);
            let (bytes, what) = match &item.kind {
                Kind::Fact(Fact::Truncated, _) => return None,
                Kind::Fact(fact, key) => {
                    let what = match fact.slot() {
                        Some(slot) => What::Slot(slot),
                        None if fact.is_of_request() => What::OfRequest(*fact),
                        None => What::Fact(*fact),
                    };
                    (key_bytes(key), what)
                }
                Kind::Constant(key, value, _) => {
                    let mut bytes = key_bytes(key);
                    bytes.extend_from_slice(value.as_bytes());
                    (bytes, What::Constant)
                }
                Kind::Fields => (Vec::new(), What::Fields),
            };
            Some(Step {
                object,
                bytes: Piece::new(bytes),
                what,
            })
        };
        let always = |item: &&&Item| match &item.kind {
            Kind::Fact(fact, _) => !fact.is_of_request(),
            Kind::Constant(_, _, when) => *when == When::Always,
            Kind::Fields => true,
        };
        let of_slot = |slot: Slot| {
            let mut all = schema.items.iter();
            all.any(|item| matches!(item.kind, Kind::Fact(fact, _) if fact == slot.fact()))
        };

        let mut compiled = Self {
            steps: items.iter().filter(always).filter_map(step).collect(),
            request_steps: items.iter().filter_map(step).collect(),
            objects: objects
                .iter()
                .map(|name| {
                    let mut bytes = key_bytes(name);
                    bytes.push(b'{');
                    bytes.into_boxed_slice()
                })
                .collect(),
            truncated: truncated.unwrap_or_default().into_boxed_slice(),
            levels: schema
                .level_names
                .all()
                .map(|name| string(name).into_bytes().into_boxed_slice()),
            durations: schema.durations,
            event: string(&schema.event).into_bytes().into_boxed_slice(),
            sources_as_text: schema.sources_as_text,
            first_free_of_requests: KeyId::FIRST,
            slots: Slot::ALL.map(of_slot),
            style: schema.fields,
            has_fields: fields.is_some(),
            fields_at_top,
            reserved,
            keys: Mutex::default(),
        };
        for key in of_requests {
            let KeyId(id) = compiled.intern(key);
            compiled.first_free_of_requests = KeyId(id + 1);
        }
        compiled
    }

    /// `,"name":{` of an object.
    pub(crate) fn object(&self, Object(at): Object) -> Option<&[u8]> {
        self.objects.get(usize::from(at)).map(AsRef::as_ref)
    }

    /// What a level is called, with its quotes.
    pub(crate) fn level(&self, level: Level) -> &[u8] {
        let [trace, debug, info, warn, error] = &self.levels;
        match level {
            Level::TRACE => trace,
            Level::DEBUG => debug,
            Level::INFO => info,
            Level::WARN => warn,
            Level::ERROR => error,
        }
    }

    /// Whether fields of the program's own have a place.
    pub(crate) const fn has_fields(&self) -> bool {
        self.has_fields
    }

    /// Whether the schema has a key for what `slot` holds.
    pub(crate) fn has_slot(&self, slot: Slot) -> bool {
        self.slots.get(slot as usize) == Some(&true)
    }

    /// Whether the program's fields are strings whatever was recorded.
    pub(crate) fn fields_are_text(&self) -> bool {
        self.style == Fields::Labels
    }

    /// The key for a field of the program's own.
    ///
    /// No two fields of different meaning get one key: one that has the name of a key of the schema is
    /// prefixed.
    pub(crate) fn field_key(&self, name: &str, suffix: &str) -> FieldKey {
        let key = match self.style {
            Fields::Flat => {
                // Elasticsearch refuses a document with an empty key.
                let name = if name.is_empty() { "_" } else { name };
                let mut key = format!("{name}{suffix}");
                // These two are not ours, but readers take them for more than a field.
                let is_reserved = |key: &str| {
                    self.reserved.contains(key)
                        || (self.fields_at_top && matches!(key, "target" | "@timestamp"))
                };
                while is_reserved(&key) {
                    key.insert_str(0, "fields.");
                }
                key
            }
            Fields::Labels => {
                let name = if name.is_empty() { "_" } else { name };
                let name = name.replace(['.', '*', '\\'], "_");
                let mut key = format!("labels.{name}{suffix}");
                while self.reserved.contains(&*key) {
                    key.insert_str("labels.".len(), "fields_");
                }
                key
            }
        };
        FieldKey {
            id: self.intern(&key),
            bytes: Piece::new(key_bytes(&key)),
        }
    }

    fn intern(&self, key: &str) -> KeyId {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = keys.get(key) {
            return *known;
        }
        let id = KeyId(u32::try_from(keys.len()).unwrap_or(u32::MAX));
        keys.insert(Box::from(key), id);
        id
    }
}

fn key_bytes(key: &str) -> Vec<u8> {
    let mut bytes = vec![b','];
    bytes.extend_from_slice(string(key).as_bytes());
    bytes.push(b':');
    bytes
}
