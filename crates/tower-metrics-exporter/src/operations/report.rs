use std::{fmt, time::Duration};

/// What a [shutdown](crate::Operations::shutdown) came to.
///
/// Shown, it is one line for the log.
#[derive(Clone, Debug)]
pub struct ShutdownReport {
    pub(super) took: Duration,
    pub(super) was_scraped: bool,
    pub(super) broken_off: usize,
    pub(super) flushes: Vec<FlushReport>,
    pub(super) stuck_collectors: Vec<String>,
}

/// What became of one thing that was to be flushed.
#[derive(Clone, Debug)]
pub struct FlushReport {
    pub(super) name: String,
    pub(super) failure: Option<String>,
}

impl FlushReport {
    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Why it was not flushed, or not whole; `None` if it was.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }
}

impl ShutdownReport {
    /// Whether nothing was broken off or lost, as far as is known.
    pub fn is_clean(&self) -> bool {
        self.broken_off == 0
            && self.stuck_collectors.is_empty()
            && self.flushes.iter().all(|flush| flush.failure.is_none())
    }

    /// How long it took.
    pub const fn took(&self) -> Duration {
        self.took
    }

    /// Whether a scrape came after readiness was off, and had its page. Only looked for if it was [waited
    /// for](crate::OperationsBuilder::linger).
    pub const fn was_scraped(&self) -> bool {
        self.was_scraped
    }

    /// How many connections of admin listeners were broken off, with an answer under way.
    pub const fn broken_off(&self) -> usize {
        self.broken_off
    }

    /// What became of each thing that was to be flushed, in the order in which they were added.
    pub fn flushes(&self) -> &[FlushReport] {
        &self.flushes
    }

    /// The collectors that were still being called.
    pub fn stuck_collectors(&self) -> &[String] {
        &self.stuck_collectors
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shut down in {:?}", self.took)?;
        if self.is_clean() {
            return f.write_str(", and nothing was left behind");
        }
        let mut before = ": ";
        let mut part = |part: fmt::Arguments<'_>| {
            f.write_str(std::mem::replace(&mut before, "; "))?;
            f.write_fmt(part)
        };
        if self.broken_off > 0 {
            part(format_args!(
                "admin connections broken off: {}",
                self.broken_off
            ))?;
        }
        for FlushReport { name, failure } in &self.flushes {
            if let Some(failure) = failure {
                part(format_args!("`{name}` was not flushed: {failure}"))?;
            }
        }
        for collector in &self.stuck_collectors {
            part(format_args!("the collector `{collector}` is stuck"))?;
        }
        Ok(())
    }
}
