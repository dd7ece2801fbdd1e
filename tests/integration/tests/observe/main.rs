//! What tower-observe says about an exchange, by hand, over real servers, and among other layers.

mod auto_traits;
mod axum_router;
mod common;
mod completion_of_bodies;
mod completion_table;
mod compose;
mod http1;
mod http2;
mod invisible;
mod layers;
mod observers;
mod panics;
mod properties;
mod tonic_grpc;
