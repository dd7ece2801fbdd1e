use tower_observe::Spec;

pub(super) const REFUSED: &str = "exporter_admin_refused_total";

/// What is told of the admin service.
pub(crate) fn specs() -> [Spec; 1] {
    [
        Spec::counter(REFUSED, "Requests to the admin service that were refused.")
            .labels(["reason"]),
    ]
}
