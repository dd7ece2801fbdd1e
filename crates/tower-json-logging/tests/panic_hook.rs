//! Panics as lines. The hook and the subscriber are the process's, so this test is alone in its binary.

use std::{
    io::{self, Write},
    panic,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::Value;
use tower_json_logging::{JsonLayer, PanicHook, Sink};
use tracing_subscriber::layer::SubscriberExt as _;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

#[cfg(test)]
impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
impl Log {
    /// The one line since the last time; the hook has flushed it.
    fn line(&self) -> Value {
        serde_json::from_slice(&std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

/// A value whose `Debug` panics while it is logged.
#[derive(Clone, Copy)]
struct Panics;

#[cfg(test)]
impl std::fmt::Debug for Panics {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("in Debug")
    }
}

#[test]
fn a_panic_is_a_line_and_goes_on_to_the_hook_before() {
    static BEFORE: AtomicUsize = AtomicUsize::new(0);
    panic::set_hook(Box::new(|_| {
        BEFORE.fetch_add(1, Ordering::Relaxed);
    }));

    let log = Log::default();
    let sink = Sink::writer(log.clone()).build().unwrap();
    let subscriber = tracing_subscriber::registry().with(JsonLayer::to(sink.clone()));
    tracing::subscriber::set_global_default(subscriber).unwrap();
    PanicHook::new()
        .flush(&sink)
        .flush_timeout(Duration::from_secs(60))
        .backtrace(false)
        .install();

    let panicking = thread::Builder::new().name("worker-7".to_owned());
    let line = line!() + 3;
    let panicking = panicking.spawn(|| {
        let _scan = tracing::error_span!("scan", scan_id = "7d0f").entered();
        panic!("it is {}", 7)
    });
    assert!(panicking.unwrap().join().is_err());
    let logged = log.line();
    assert_eq!(logged["level"], "ERROR");
    assert_eq!(logged["message"], "it is 7");
    assert_eq!(logged["event"], "panic");
    assert_eq!(logged["thread"], "worker-7");
    assert_eq!(logged["scan_id"], "7d0f");
    assert_eq!(logged.get("backtrace"), None);
    let location = logged["location"].as_str().unwrap();
    assert!(
        location.starts_with(&format!("{}:{line}:", file!())),
        "{location}"
    );
    assert_eq!(BEFORE.load(Ordering::Relaxed), 1);

    assert!(panic::catch_unwind(|| panic!("a literal")).is_err());
    assert_eq!(log.line()["message"], "a literal");
    assert!(panic::catch_unwind(|| panic::panic_any(7)).is_err());
    assert_eq!(log.line()["message"], "Box<dyn Any>");

    assert!(panic::catch_unwind(|| tracing::info!(value = ?Panics, "lost")).is_err());
    assert_eq!(log.line()["message"], "in Debug");
    assert_eq!(BEFORE.load(Ordering::Relaxed), 4);

    PanicHook::new()
        .flush(&sink)
        .flush_timeout(Duration::from_secs(60))
        .backtrace(true)
        .replace_previous()
        .install();
    // Its previous hook is the other one, which is not called.
    assert!(panic::catch_unwind(|| panic!("again")).is_err());
    let logged = log.line();
    assert_eq!(logged["message"], "again");
    let backtrace = logged["backtrace"].as_str().unwrap();
    assert!(backtrace.contains("panic_hook"), "{backtrace}");
    assert_eq!(BEFORE.load(Ordering::Relaxed), 4);
}
