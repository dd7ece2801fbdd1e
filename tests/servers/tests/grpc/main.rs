//! gRPC calls of a Python client, counted in a tonic server, and beside a server in Go; and gRPC health.

mod calls;
mod go;
mod health;
mod page;
mod server;
