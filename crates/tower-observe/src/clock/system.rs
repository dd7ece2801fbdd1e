//! The time of the system, for all layers of the process.

use std::{sync::OnceLock, time::Instant};

use super::Moment;
#[cfg(all(feature = "tsc", target_os = "linux", target_arch = "x86_64"))]
use super::tsc;

/// Moments count from here.
static FIRST: OnceLock<Instant> = OnceLock::new();

#[inline]
pub(super) fn now() -> Moment {
    #[cfg(all(feature = "tsc", target_os = "linux", target_arch = "x86_64"))]
    if let Some(nanos) = tsc::nanos(nanos) {
        return Moment::after_first(nanos);
    }
    kernels()
}

fn kernels() -> Moment {
    let nanos = nanos();
    #[cfg(all(feature = "tsc", target_os = "linux", target_arch = "x86_64"))]
    tsc::measure(nanos, self::nanos);
    Moment::after_first(nanos)
}

/// Nanoseconds since the first reading.
fn nanos() -> u64 {
    let first = *FIRST.get_or_init(instant);
    let nanos = instant().saturating_duration_since(first).as_nanos();
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the system's clock"
)]
pub(super) fn instant() -> Instant {
    Instant::now()
}
