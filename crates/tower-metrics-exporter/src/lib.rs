//! A /metrics endpoint for any hyper, axum or tonic service.
