//! Who gets what from the admin service and its listener, and how all of it ends.

#![cfg(feature = "admin")]
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "clippy knows tests, but not what they share; and servers are tasks"
)]

mod answers;
mod common;
mod credentials;
mod hostile;
mod shutdown;
#[cfg(feature = "admin-tls")]
mod tls;
