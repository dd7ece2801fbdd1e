//! Time, as numbers that atomics hold.

use std::time::Duration;

use tower_observe::{Clock, Moment};

/// Nanoseconds since the origin of moments, or a span of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Age(pub(crate) u64);

impl Age {
    /// Before any request.
    pub(crate) const START: Self = Self(0);
    pub(crate) const FOREVER: Self = Self(u64::MAX);

    pub(crate) fn of(span: Duration) -> Self {
        Self(
            span.as_secs()
                .saturating_mul(1_000_000_000)
                .saturating_add(u64::from(span.subsec_nanos())),
        )
    }

    /// Whether what was used then was not for longer than so long.
    pub(crate) const fn is_idle(self, now: Self, max_idle: Self) -> bool {
        now.0.saturating_sub(self.0) > max_idle.0
    }

    /// In seconds, from `earlier` to this.
    #[expect(
        clippy::cast_precision_loss,
        reason = "spans past 100 days may be off by a nanosecond"
    )]
    pub(crate) const fn seconds_since(self, earlier: Self) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 / 1e9
    }

    pub(crate) const fn at(moment: Moment) -> Self {
        Self(moment.as_nanos())
    }

    /// Now, within an exchange that began at `started`: nobody tells the time of what happens there.
    pub(crate) fn within(started: Self) -> Self {
        Self::at(Clock::system().now()).max(started)
    }
}
