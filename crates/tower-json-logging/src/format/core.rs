use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use tracing_core::{Level, Metadata};

use crate::{
    access::{self, Request},
    context::RequestContext,
    format::{
        Limits,
        fields::Fields,
        line::{self, Content, Head},
        output::{Immediate, Line, WriteLine},
        plan::{FieldPlan, Found, Origin, Place, Plan, Plans},
        scratch::Scratch,
        spans::Spans,
        stencil::Kind,
        value::Value,
        wall,
    },
    limit::RateLimit,
    redact::Names,
    schema::{Compiled, Schema, Slot},
};

/// How lines are made, as it was asked for.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) output: Arc<dyn WriteLine>,
    pub(crate) schema: Schema,
    pub(crate) limits: Limits,
    pub(crate) names: Names,
    pub(crate) rate_limit: Option<RateLimit>,
}

/// Makes lines: what a layer and a log without `tracing` share.
pub(crate) struct Core {
    /// No other has it.
    number: u64,
    config: Config,
    schema: Compiled,
    plans: Plans,
    /// Of fields that requests were given at run time.
    field_plans: RwLock<HashMap<&'static str, Arc<FieldPlan>>>,
    pub(crate) spans: Spans,
}

impl Core {
    pub(crate) fn new(config: Config) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);

        Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            schema: Compiled::new(&config.schema),
            config,
            plans: Plans::new(),
            field_plans: RwLock::default(),
            spans: Spans::new(),
        }
    }

    /// Makes lines that somebody else writes.
    pub(crate) fn of_schema(schema: Schema) -> Self {
        Self::new(Config {
            output: Arc::new(Immediate(io::sink)),
            schema,
            limits: Limits::new(),
            names: Names::default(),
            rate_limit: None,
        })
    }

    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    pub(crate) const fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) const fn limits(&self) -> &Limits {
        &self.config.limits
    }

    pub(crate) const fn schema(&self) -> &Compiled {
        &self.schema
    }

    pub(crate) fn plan(&self, metadata: &'static Metadata<'static>) -> Found<'_> {
        self.plans.get(metadata, || {
            let is_limited = metadata.is_event() && !access::is_of_request(metadata);
            let limit = self.config.rate_limit.filter(|_| is_limited);
            let bucket = limit.map(RateLimit::bucket);
            Plan::new(metadata, &self.schema, &self.config.names, bucket)
        })
    }

    pub(crate) fn field_plan(&self, name: &'static str, origin: Origin) -> FieldPlan {
        FieldPlan::new(name, origin, &self.schema, &self.config.names)
    }

    /// The plan of a field that a request was given.
    fn plan_of_context(&self, name: &'static str) -> Arc<FieldPlan> {
        let known = &self.field_plans;
        let plans = known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = plans.get(name) {
            return Arc::clone(plan);
        }
        drop(plans);
        let made = Arc::new(self.field_plan(name, Origin::Span));
        let mut plans = known.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(plans.entry(name).or_insert(made))
    }

    /// Adds what a request was given, where nothing says so yet.
    #[inline]
    pub(crate) fn merge_context(&self, fields: &mut Fields, context: &RequestContext) {
        if context.has_fields() {
            self.merge_fields(fields, context);
        }
    }

    #[inline(never)]
    fn merge_fields(&self, fields: &mut Fields, context: &RequestContext) {
        context.each(|name, value| {
            let plan = self.plan_of_context(name);
            let is_there = match &plan.place {
                Place::Nowhere => true,
                Place::Slot(slot) => fields.slot(*slot).is_some(),
                Place::Own(key) => fields.has(key.id),
            };
            if !is_there {
                value.write(&mut Value {
                    fields,
                    core: self,
                    plan: &plan,
                    has_twins: false,
                });
            }
        });
    }

    /// Whether a request says what the fields of its span do, and as they do.
    pub(crate) fn knows_fields_of_requests(&self) -> bool {
        let slots = [Slot::RequestId, Slot::TraceId];
        slots.iter().all(|slot| self.schema.has_slot(*slot)) && !self.config.names.searches_texts()
    }

    /// Writes the line of a request that is in no span.
    pub(crate) fn write_request(&self, request: Request<'_>) {
        let mut scratch = Scratch::take();
        let fields = &mut scratch.fields;
        fields.reserve(self.schema.first_free_of_requests);
        self.merge_context(fields, request.context);
        self.finish_request(&mut scratch, request, None);
        scratch.put_back();
    }

    /// Writes the line of a request with the fields that are there.
    pub(crate) fn finish_request(
        &self,
        scratch: &mut Scratch,
        request: Request<'_>,
        metadata: Option<&'static Metadata<'static>>,
    ) {
        let Scratch {
            line,
            fields,
            notes,
            stencils,
        } = scratch;
        let level = request.ended.level;
        let content = Content {
            head: Head {
                since_epoch: wall::at(request.ended.at),
                level,
                module: MODULE_OF_REQUESTS,
                function: Some("request"),
                file: None,
                line: None,
                request: Some(request),
            },
            fields,
            schema: &self.schema,
            limits: self.limits(),
        };
        let kind = Kind::of(self.number, request, &content);
        let give = |bytes: &[u8]| {
            let line = Line::new(bytes, level, true, metadata);
            self.config.output.write_line(line);
        };
        if let Some(kind) = kind {
            if let Some(bytes) = stencils.write(kind, &content, line) {
                return give(bytes);
            }
        }
        line.clear();
        notes.clear();
        let is_whole = line::write(line, &content, Some(notes));
        if let (Some(kind), true) = (kind, is_whole) {
            stencils.keep(kind, line, notes);
        }
        give(line);
    }

    /// Says that lines of a module were held back.
    pub(crate) fn write_held_back(&self, module: &[u8], count: u64) {
        let mut scratch = Scratch::take();
        let Scratch { line, fields, .. } = &mut *scratch;
        let count = [("suppressed", count)];
        self.make_notice(line, fields, b"\"lines were held back\"", module, count);
        let line = Line::new(line, Level::WARN, true, None);
        self.config.output.write_line(line);
        scratch.put_back();
    }

    /// Makes a line that says that lines were lost.
    pub(crate) fn make_lost(
        &self,
        line: &mut Vec<u8>,
        numbers: impl IntoIterator<Item = (&'static str, u64)>,
    ) {
        let module = b"\"tower_json_logging::sink\"";
        let message = b"\"log lines were lost\"";
        self.make_notice(line, &mut Fields::new(), message, module, numbers);
    }

    /// Makes a warning of the log about itself. Message and module are JSON.
    fn make_notice(
        &self,
        line: &mut Vec<u8>,
        fields: &mut Fields,
        message: &[u8],
        module: &[u8],
        numbers: impl IntoIterator<Item = (&'static str, u64)>,
    ) {
        fields.put_slot(Slot::Message, |out| {
            out.extend_from_slice(message);
            false
        });
        for (name, number) in numbers {
            let plan = self.plan_of_context(name);
            let mut value = Value {
                fields,
                core: self,
                plan: &plan,
                has_twins: false,
            };
            value.unsigned(number);
        }
        let head = Head {
            since_epoch: wall::now(),
            level: Level::WARN,
            module,
            function: None,
            file: None,
            line: None,
            request: None,
        };
        self.write(line, head, fields);
    }

    fn write(&self, line: &mut Vec<u8>, head: Head<'_>, fields: &Fields) {
        let content = Content {
            head,
            fields,
            schema: &self.schema,
            limits: self.limits(),
        };
        line::write(line, &content, None);
    }

    /// Writes the line of an event.
    pub(crate) fn finish_event(
        &self,
        line: &mut Vec<u8>,
        fields: &Fields,
        plan: &Plan,
        function: Option<&str>,
        metadata: &'static Metadata<'static>,
    ) {
        let level = *metadata.level();
        let head = Head {
            since_epoch: wall::now(),
            level,
            module: &plan.module_json,
            function,
            file: metadata.file(),
            line: metadata.line(),
            request: None,
        };
        self.write(line, head, fields);
        let is_important = level <= Level::WARN;
        let line = Line::new(line, level, is_important, Some(metadata));
        self.config.output.write_line(line);
    }
}

/// [`names::TARGET`] as JSON.
const MODULE_OF_REQUESTS: &[u8] = b"\"http.access\"";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names;

    #[test]
    fn requests_come_from_where_their_target_says() {
        assert_eq!(
            MODULE_OF_REQUESTS,
            format!("{:?}", names::TARGET).as_bytes()
        );
    }
}
