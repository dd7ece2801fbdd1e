use std::time::Duration;

use tracing_core::Level;

use crate::{access::Ended, context::RequestContext};

/// Which requests have a line, where not all are to have one.
///
/// Errors always have one: requests whose line is at `WARN` or `ERROR`. Which of the rest do is decided by
/// the id of their trace, else their own, so that services which sample alike write of the same requests.
/// A line that chance let through has a `sample_rate`, by which counts can be weighted; one that it did
/// not is counted as `sampled`.
///
/// ```
/// use std::time::Duration;
/// use tower_json_logging::{JsonLogging, Sample};
///
/// let logging = JsonLogging::new()
///     .sample(Sample::one_in(10).keep_slower_than(Duration::from_millis(500)));
/// # drop(logging);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// As a part of 2⁶⁴.
    part: u64,
    rate: f64,
    slow: Option<Duration>,
}

impl Sample {
    /// One of so many, errors apart. 0 is taken for 1: all.
    pub fn one_in(count: u32) -> Self {
        let count = count.max(1);
        Self {
            part: u64::MAX / u64::from(count),
            rate: 1.0 / f64::from(count),
            slow: None,
        }
    }

    /// Also those that took longer. Default: no matter how long.
    #[must_use]
    pub const fn keep_slower_than(mut self, duration: Duration) -> Self {
        self.slow = Some(duration);
        self
    }

    /// Whether a request has a line.
    pub(crate) fn decide(&self, context: &RequestContext, ended: &Ended) -> Decision {
        if ended.level <= Level::WARN || self.slow.is_some_and(|slow| ended.duration > slow) {
            return Decision::Kept;
        }
        let id = context
            .trace_id()
            .unwrap_or_else(|| context.request_id().as_str());
        if hash(id) <= self.part {
            Decision::Drawn(self.rate)
        } else {
            Decision::Dropped
        }
    }
}

/// Whether a request has a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Decision {
    /// Chance had no part in it.
    Kept,
    /// By chance; how likely that was.
    Drawn(f64),
    Dropped,
}

/// FNV-1a, and its bits mixed: the same in every process.
fn hash(text: &str) -> u64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use tower_observe::Ending;

    use super::*;

    fn made() -> RequestContext {
        RequestContext::new(None, |id, _, _| {
            id.make(&mut None);
            false
        })
    }

    fn ended(level: Level, millis: u64) -> Ended {
        Ended {
            at: tower_observe::Clock::system().now(),
            level,
            ending: Ending::Complete,
            status: 200,
            is_failure: false,
            grpc: None,
            duration: Duration::from_millis(millis),
            time_to_head: None,
            bytes: 0,
            sample_rate: None,
        }
    }

    #[test]
    fn about_as_many_as_asked_for_are_kept_and_always_the_same() {
        let sample = Sample::one_in(10);
        let contexts: Vec<_> = (0..10_000).map(|_| made()).collect();
        let kept = || {
            let ended = ended(Level::INFO, 1);
            let contexts = contexts.iter();
            contexts
                .map(|context| sample.decide(context, &ended))
                .collect::<Vec<_>>()
        };
        assert_eq!(kept(), kept());
        let drawn = kept()
            .into_iter()
            .filter(|kept| *kept == Decision::Drawn(0.1));
        let count = drawn.count();
        assert!((800..1200).contains(&count), "{count}");
    }

    #[test]
    fn errors_and_slow_ones_are_kept() {
        let sample = Sample::one_in(u32::MAX).keep_slower_than(Duration::from_millis(500));
        let context = made();
        let decide = |level, millis| sample.decide(&context, &ended(level, millis));
        assert_eq!(decide(Level::INFO, 500), Decision::Dropped);
        assert_eq!(decide(Level::INFO, 501), Decision::Kept);
        assert_eq!(decide(Level::ERROR, 1), Decision::Kept);
        assert_eq!(decide(Level::WARN, 1), Decision::Kept);
    }
}
