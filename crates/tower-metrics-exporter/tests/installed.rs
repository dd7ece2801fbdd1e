//! The exporter of the process. Alone in its binary, as there is one of it.

#![allow(
    clippy::float_cmp,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its numbers are exact as floats"
)]

use metrics::counter;
use tower_metrics_exporter::Exporter;

#[test]
fn an_exporter_is_installed_once_and_found_again() {
    let first = Exporter::builder().get_or_install().unwrap();
    let again = Exporter::builder().get_or_install().unwrap();
    counter!("installed_total").increment(1);
    assert_eq!(first.value("installed_total", &[]), Some(1.0));
    assert_eq!(again.value("installed_total", &[]), Some(1.0));
    assert!(Exporter::builder().install().unwrap_err().is_installed());
}
