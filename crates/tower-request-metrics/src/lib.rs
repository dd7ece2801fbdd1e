//! Request metrics for tower services (hyper, axum, tonic) on the metrics facade, right in every ending.
