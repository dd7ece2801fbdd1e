use std::sync::{Arc, atomic::Ordering};

use http::StatusCode;
use tower_metrics_exporter::MetricsService;

use crate::common::{Panics, Series, poll, scrape, start};

#[tokio::test]
async fn a_panic_is_a_500_and_the_next_scrape_is_served() {
    let source = Arc::new(Panics::default());
    let service = MetricsService::new(Arc::clone(&source)).max_in_flight(1);
    // More than there are places, on the spot and off it.
    for _ in 0..3 {
        source.0.store(true, Ordering::SeqCst);
        let response = scrape(&service, &[]).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        source.0.store(false, Ordering::SeqCst);
        let response = scrape(&service, &[]).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.body(), "up 1\n");
    }
}

#[test]
fn outside_of_a_runtime_a_page_is_there_at_once() {
    let service = MetricsService::new(Series(1));
    for _ in 0..2 {
        assert!(poll(&mut start(&service, "/")).is_ready());
    }
}
