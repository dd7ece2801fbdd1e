//! Follows one HTTP or gRPC exchange to its one end: the shared heart of observability layers for tower services.
