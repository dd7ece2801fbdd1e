use tower_observe::{Spec, Unit};

pub(super) const PROBE_UP: &str = "health_probe_up";
pub(super) const CHECK_UP: &str = "health_check_up";
pub(super) const CHECKS: &str = "health_checks_total";
pub(super) const DURATION: &str = "health_check_duration_seconds";

/// What is told of health.
pub(crate) fn specs() -> [Spec; 4] {
    [
        Spec::gauge(
            PROBE_UP,
            "1 if a probe (startup, live, ready) would pass by what its checks said last.",
        )
        .labels(["probe"]),
        Spec::gauge(
            CHECK_UP,
            "1 if a health check passed the last time; 0 before the first, too.",
        )
        .labels(["check", "probe"]),
        Spec::counter(CHECKS, "Runs of health checks by how they ended.")
            .labels(["check", "outcome"]),
        Spec::gauge(DURATION, "Time that the last run of a health check took.")
            .unit(Unit::Seconds)
            .labels(["check"]),
    ]
}
