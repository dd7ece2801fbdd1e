//! Which key a field is written under.

use tracing_core::Metadata;

use crate::observer;

/// What a key of the line is for. Only [`Own`](Role::Own) has more than one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Message,
    Module,
    Function,
    ScanId,
    RequestId,
    TraceId,
    SpanId,
    /// A field of the program's own.
    Own,
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
    pub(crate) fn of_event(metadata: &Metadata<'_>) -> Self {
        let from_log = metadata.target() == "log"
            && metadata.name() == "log event"
            && metadata.module_path().is_none();
        if from_log {
            Self::LogRecord
        } else {
            Self::Event
        }
    }
}

/// The key of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key<'a> {
    pub(crate) role: Role,
    pub(crate) prefix: &'static str,
    pub(crate) name: &'a str,
}

impl<'a> Key<'a> {
    /// The key for a field of this name; `None` for one that is not written.
    ///
    /// No two fields of different meaning get one key: a name of the schema fills its place if it may,
    /// else it is prefixed.
    pub(crate) fn of(name: &'a str, origin: Origin) -> Option<Self> {
        let name = name.strip_prefix("r#").unwrap_or(name);
        let of_event = origin != Origin::Span;
        let key = match name {
            "message" if of_event => Self::schema(Role::Message, "message"),
            "function" if of_event => Self::schema(Role::Function, "function"),
            "log.target" | "log.module_path" if origin == Origin::LogRecord => {
                Self::schema(Role::Module, "module")
            }
            "log.file" | "log.line" if origin == Origin::LogRecord => return None,
            "scan_id" => Self::schema(Role::ScanId, "scan_id"),
            "request_id" => Self::schema(Role::RequestId, "request_id"),
            "trace_id" => Self::schema(Role::TraceId, "trace_id"),
            "span_id" => Self::schema(Role::SpanId, "span_id"),
            // `target` and `@timestamp` are not ours, but readers take them for more than a field.
            "timestamp" | "level" | "message" | "module" | "function" | "target" | "truncated"
            | "@timestamp" => Self {
                prefix: "fields.",
                ..Self::own(name)
            },
            // Elasticsearch refuses a document with an empty key.
            "" => Self::own("_"),
            _ => Self::own(name),
        };
        Some(key)
    }

    /// The key of a program's own field, by a name that is no name of the schema.
    pub(crate) const fn own(name: &'a str) -> Self {
        Self::schema(Role::Own, name)
    }

    const fn schema(role: Role, name: &'a str) -> Self {
        Self {
            role,
            prefix: "",
            name,
        }
    }

    /// Whether the value is a string whatever was recorded: consumers give a key one type.
    pub(crate) fn is_text(&self) -> bool {
        self.role != Role::Own || self.name == "error"
    }
}

/// The module of an event or span: the path of the module it is in, else its target.
pub(crate) fn module<'a>(metadata: &Metadata<'a>) -> &'a str {
    match metadata.module_path() {
        // What this crate writes about requests is nobody's module.
        Some(path) if path != observer::MODULE => path,
        _ => metadata.target(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, origin: Origin) -> (Role, String) {
        let key = Key::of(name, origin).unwrap();
        (key.role, format!("{}{}", key.prefix, key.name))
    }

    #[test]
    fn names_of_the_schema_cannot_be_forged() {
        for name in ["timestamp", "level", "module", "target", "truncated"] {
            for origin in [Origin::Event, Origin::LogRecord, Origin::Span] {
                assert_eq!(key(name, origin), (Role::Own, format!("fields.{name}")));
            }
        }
        let renamed = (Role::Own, String::from("fields.message"));
        assert_eq!(key("message", Origin::Span), renamed);
        assert_eq!(key("r#level", Origin::Event).1, "fields.level");
    }

    #[test]
    fn places_of_the_schema_are_filled_by_name() {
        for origin in [Origin::Event, Origin::Span] {
            assert_eq!(key("scan_id", origin).0, Role::ScanId);
            assert_eq!(key("request_id", origin).0, Role::RequestId);
        }
        assert_eq!(key("function", Origin::Event).0, Role::Function);
    }

    #[test]
    fn odd_names_are_names() {
        let own = |name: &str| (Role::Own, String::from(name));
        assert_eq!(key("r#type", Origin::Event), own("type"));
        assert_eq!(key("", Origin::Event), own("_"));
        assert_eq!(key("user.name", Origin::Event), own("user.name"));
        assert_eq!(key("a\"b", Origin::Event), own("a\"b"));
    }

    #[test]
    fn only_a_record_of_log_says_its_module_in_a_field() {
        assert_eq!(key("log.target", Origin::Event).0, Role::Own);
        assert_eq!(key("log.target", Origin::LogRecord).0, Role::Module);
        assert_eq!(Key::of("log.line", Origin::LogRecord), None);
    }
}
