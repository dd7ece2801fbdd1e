use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tower_metrics_exporter::{Check, Exporter, HealthBuilder, HealthHandle};

/// A check that says what it is told to, and counts how often it was asked.
#[derive(Clone, Default)]
pub(crate) struct Told {
    error: Arc<Mutex<Option<&'static str>>>,
    hangs: Arc<AtomicBool>,
    panics: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Told {
    pub(crate) fn passes(&self) {
        self.hangs.store(false, Ordering::SeqCst);
        self.panics.store(false, Ordering::SeqCst);
        *self.error.lock().unwrap() = None;
    }

    pub(crate) fn fails(&self, error: &'static str) {
        *self.error.lock().unwrap() = Some(error);
    }

    pub(crate) fn hangs(&self) {
        self.hangs.store(true, Ordering::SeqCst);
    }

    pub(crate) fn panics(&self) {
        self.panics.store(true, Ordering::SeqCst);
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub(crate) fn check(&self, name: &str) -> Check {
        let told = self.clone();
        Check::new(name, move || {
            let told = told.clone();
            async move {
                told.asked.fetch_add(1, Ordering::SeqCst);
                assert!(!told.panics.load(Ordering::SeqCst), "as it should");
                if told.hangs.load(Ordering::SeqCst) {
                    std::future::pending::<()>().await;
                }
                told.error.lock().unwrap().map_or(Ok(()), Err)
            }
        })
    }
}

/// A handle of these checks, and what records it.
pub(crate) fn health(checks: impl IntoIterator<Item = Check>) -> (HealthHandle, Exporter) {
    let exporter = Exporter::builder().build().unwrap();
    let builder = HealthHandle::builder().recorder(exporter.recorder());
    let builder = checks.into_iter().fold(builder, HealthBuilder::check);
    (builder.build(), exporter)
}
