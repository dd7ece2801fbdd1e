//! One right JSON line per request, and a JSON formatter for tracing.
