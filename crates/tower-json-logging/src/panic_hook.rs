use std::{
    backtrace::{Backtrace, BacktraceStatus},
    panic::{self, PanicHookInfo},
    thread,
    time::Duration,
};

use tracing::field;

use crate::{Sink, names};

/// Logs panics as lines among the others, with what the spans they happen in know.
///
/// ```no_run
/// use tower_json_logging::{JsonLayer, PanicHook, Sink};
/// use tracing_subscriber::{layer::SubscriberExt as _, util::SubscriberInitExt as _};
///
/// let sink = Sink::stdout().build()?;
/// let _guard = sink.guard();
/// tracing_subscriber::registry().with(JsonLayer::to(sink.clone())).init();
/// PanicHook::new().flush(&sink).install();
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// The line is an event of `tracing` at `ERROR`, with the target [`panic`](names::PANIC_TARGET): filters
/// and formatters see it as any other. Beside what every line has, it has:
///
/// | key | type | when |
/// |---|---|---|
/// | `message` | string: what the panic says; `Box<dyn Any>` if it says something that is no text | always |
/// | `event` | `"panic"` | always |
/// | `location` | string: file, line and column, with colons | always |
/// | `thread` | string: the thread's name, `<unnamed>` if it has none | always |
/// | `backtrace` | string, cut to the formatter's limits | if asked for: see [`backtrace`](Self::backtrace) |
///
/// What it says is searched for credentials, as errors are: it is often an error's text. The hook that was
/// there before sees it as it is.
///
/// It is logged before the stack is unwound, so also if the process then aborts, and if something
/// catches the panic.
#[derive(Debug)]
#[must_use = "it does nothing until it is installed"]
pub struct PanicHook {
    sink: Option<Sink>,
    flush_timeout: Duration,
    backtrace: Option<bool>,
    previous: bool,
}

impl PanicHook {
    /// The defaults: nothing is flushed, the environment says whether there is a backtrace, and the hook
    /// that was there is called.
    pub const fn new() -> Self {
        Self {
            sink: None,
            flush_timeout: Duration::from_millis(100),
            backtrace: None,
            previous: true,
        }
    }

    /// Flushes this sink, so that the line is out if the process ends. Default: none.
    pub fn flush(mut self, sink: &Sink) -> Self {
        self.sink = Some(sink.clone());
        self
    }

    /// How long the thread that panics waits for the flush. Default: 100 ms.
    ///
    /// Who can make a service panic can make it wait for that long, while its log's output stalls.
    pub const fn flush_timeout(mut self, timeout: Duration) -> Self {
        self.flush_timeout = timeout;
        self
    }

    /// Whether there is a backtrace. Default: what `RUST_LIB_BACKTRACE` or else `RUST_BACKTRACE` says.
    pub const fn backtrace(mut self, backtrace: bool) -> Self {
        self.backtrace = Some(backtrace);
        self
    }

    /// Does not call the hook that was there. The standard library's writes lines of text to standard
    /// error, which who collects that stream as JSON cannot read. Default: it is called, after the line is
    /// logged.
    pub const fn replace_previous(mut self) -> Self {
        self.previous = false;
        self
    }

    /// Becomes the process's panic hook.
    ///
    /// # Panics
    ///
    /// On a thread that panics, as [`std::panic::set_hook`].
    pub fn install(self) {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            self.log(info);
            if self.previous {
                previous(info);
            }
        }));
    }

    fn log(&self, info: &PanicHookInfo<'_>) {
        let backtrace = match self.backtrace {
            Some(true) => Backtrace::force_capture(),
            Some(false) => Backtrace::disabled(),
            None => Backtrace::capture(),
        };
        let captured = backtrace.status() == BacktraceStatus::Captured;
        let thread = thread::current();
        tracing::error!(
            target: names::PANIC_TARGET,
            event = "panic",
            location = info.location().map(field::display),
            thread = thread.name().unwrap_or("<unnamed>"),
            backtrace = captured.then(|| field::display(&backtrace)),
            "{}",
            message(info),
        );
        if let Some(sink) = &self.sink {
            drop(sink.flush(self.flush_timeout));
        }
    }
}

impl Default for PanicHook {
    fn default() -> Self {
        Self::new()
    }
}

fn message<'a>(info: &'a PanicHookInfo<'_>) -> &'a str {
    let payload = info.payload();
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("Box<dyn Any>")
}
