//! What is decided once for each place that logs.

use std::{
    collections::HashMap,
    ops::Deref,
    sync::{Arc, OnceLock, PoisonError, RwLock},
};

use tracing_core::Metadata;

use crate::{
    access,
    format::escape,
    limit::Bucket,
    names::PANIC_TARGET,
    redact::Names,
    schema::{Compiled, FieldKey, Slot},
};

/// How an event or a span of one place in the code is written.
#[derive(Debug)]
pub(crate) struct Plan {
    fields: Box<[FieldPlan]>,
    /// Whether two of the fields may get one key.
    pub(crate) has_twins: bool,
    /// The path of its module, else its target.
    pub(crate) module: &'static str,
    /// The same as JSON.
    pub(crate) module_json: Box<[u8]>,
    /// What bounds how often it logs.
    pub(crate) bucket: Option<Bucket>,
}

/// How one field is written.
#[derive(Clone, Debug)]
pub(crate) struct FieldPlan {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    /// Whether the value is a string whatever was recorded: readers give a key one type.
    pub(crate) text: bool,
    /// Whether the value is not to be seen, not even to be formatted.
    pub(crate) secret: bool,
    /// Whether the text is searched for credentials.
    pub(crate) search: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Place {
    Nowhere,
    Slot(Slot),
    Own(FieldKey),
}

/// Where a field was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Event,
    /// An event that `tracing-log` made of a `log` record: what it is about is in fields.
    LogRecord,
    Span,
}

impl Origin {
    pub(crate) fn of(metadata: &Metadata<'_>) -> Self {
        let from_log = metadata.target() == "log"
            && metadata.name() == "log event"
            && metadata.module_path().is_none();
        if metadata.is_span() {
            Self::Span
        } else if from_log {
            Self::LogRecord
        } else {
            Self::Event
        }
    }
}

impl FieldPlan {
    pub(crate) fn new(
        name: &'static str,
        origin: Origin,
        schema: &Compiled,
        names: &Names,
    ) -> Self {
        let plain = name.strip_prefix("r#").unwrap_or(name);
        let place = if origin == Origin::LogRecord && plain.starts_with("log.") {
            match plain {
                "log.target" | "log.module_path" => Place::Slot(Slot::Module),
                "log.file" => Place::Slot(Slot::File),
                "log.line" => Place::Slot(Slot::Line),
                _ => Place::Nowhere,
            }
        } else {
            match Slot::of_name(plain, origin != Origin::Span) {
                Some(slot) if schema.has_slot(slot) => Place::Slot(slot),
                // Without a key it is not a field either: a message is no attribute.
                Some(Slot::Message) => Place::Nowhere,
                _ if schema.has_fields() => Place::Own(schema.field_key(plain, "")),
                _ => Place::Nowhere,
            }
        };
        let is_error = matches!(place, Place::Slot(Slot::Error));
        Self {
            name,
            text: match place {
                Place::Slot(slot) => slot != Slot::Line,
                _ => schema.fields_are_text(),
            },
            secret: matches!(place, Place::Own(_)) && names.is_secret(plain),
            search: is_error || names.searches_texts(),
            place,
        }
    }
}

impl Plan {
    pub(crate) fn new(
        metadata: &'static Metadata<'static>,
        schema: &Compiled,
        names: &Names,
        bucket: Option<Bucket>,
    ) -> Self {
        let origin = Origin::of(metadata);
        // What a panic says is often an error's text.
        let is_panic = metadata.target() == PANIC_TARGET;
        let fields: Box<[FieldPlan]> = metadata
            .fields()
            .iter()
            .map(|field| {
                let mut plan = FieldPlan::new(field.name(), origin, schema, names);
                plan.search |= is_panic;
                plan
            })
            .collect();
        let module = module(metadata);
        let mut module_json = Vec::new();
        escape::string(&mut module_json, usize::MAX, format_args!("{module}"));
        Self {
            has_twins: has_twins(&fields),
            fields,
            module,
            module_json: module_json.into_boxed_slice(),
            bucket,
        }
    }

    /// The plan of a field, by its place and its name.
    pub(crate) fn field(&self, index: usize, name: &str) -> Option<&FieldPlan> {
        let field = self.fields.get(index)?;
        std::ptr::eq(field.name, name).then_some(field)
    }
}

fn has_twins(fields: &[FieldPlan]) -> bool {
    let key = |field: &FieldPlan| match &field.place {
        Place::Own(key) => Some(key.id),
        _ => None,
    };
    fields.iter().enumerate().any(|(at, field)| {
        // It may meet what an error before it left.
        field.name.ends_with("_sources")
            || key(field).is_some_and(|id| {
                let mut earlier = fields.iter().take(at);
                earlier.any(|field| key(field) == Some(id))
            })
    })
}

/// The module of an event or span: the path of the module it is in, else its target.
pub(crate) fn module(metadata: &Metadata<'static>) -> &'static str {
    match metadata.module_path() {
        // What this crate writes about requests is nobody's module.
        Some(path) if !access::is_of_request(metadata) => path,
        _ => metadata.target(),
    }
}

/// All plans that were ever needed. To find one takes no lock.
#[derive(Debug)]
pub(crate) struct Plans {
    places: Box<[OnceLock<Known>]>,
    /// Of programs with more places that log than there are here.
    others: RwLock<HashMap<usize, Arc<Plan>>>,
}

#[derive(Debug)]
struct Known {
    /// Where the metadata is: it stays there as long as the process runs.
    address: usize,
    plan: Box<Plan>,
}

/// A plan that was found.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    Here(&'a Plan),
    There(Arc<Plan>),
}

impl Deref for Found<'_> {
    type Target = Plan;

    fn deref(&self) -> &Plan {
        match self {
            Self::Here(plan) => plan,
            Self::There(plan) => plan,
        }
    }
}

impl Plans {
    /// A power of two.
    const PLACES: usize = 2048;
    /// How many neighbours are tried.
    const TRIES: usize = 16;

    pub(crate) fn new() -> Self {
        Self {
            places: (0..Self::PLACES).map(|_| OnceLock::new()).collect(),
            others: RwLock::default(),
        }
    }

    /// The plan of `metadata`; `make` makes it once.
    pub(crate) fn get(
        &self,
        metadata: &'static Metadata<'static>,
        make: impl Fn() -> Plan,
    ) -> Found<'_> {
        let address = std::ptr::from_ref(metadata).addr();
        // Knuth's multiplicative hash: metadata lies close together.
        let first = address.wrapping_mul(2_654_435_761) >> 16;
        for next in first..first.saturating_add(Self::TRIES) {
            let Some(place) = self.places.get(next % Self::PLACES) else {
                break;
            };
            let known = place.get_or_init(|| Known {
                address,
                plan: Box::new(make()),
            });
            if known.address == address {
                return Found::Here(&known.plan);
            }
        }
        let others = self.others.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = others.get(&address) {
            return Found::There(Arc::clone(plan));
        }
        drop(others);
        let new = make();
        let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
        let plan = others.entry(address).or_insert_with(|| Arc::new(new));
        Found::There(Arc::clone(plan))
    }
}
