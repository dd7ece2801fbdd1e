//! What a scraper gets from the service, whatever the source is.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "clippy knows tests, but not what they share; and servers are tasks"
)]

mod answers;
mod common;
mod hostile;
mod mounted;
#[cfg(feature = "tokio")]
mod off_the_workers;
mod renders;
mod servers;
