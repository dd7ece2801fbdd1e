//! gRPC calls of a Python client, counted in a tonic server, and beside a server in Go.

mod calls;
mod go;
mod page;
mod server;
