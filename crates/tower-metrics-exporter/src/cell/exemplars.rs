use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, TryLockError},
    time::{Duration, SystemTime},
};

use crate::format::{Exemplar, Labels, UnixMillis};

/// Tells in which trace the program is, if in any that is worth an exemplar.
#[derive(Clone)]
pub(crate) struct ExemplarSource(Arc<dyn Fn() -> Option<Arc<Labels>> + Send + Sync>);

impl ExemplarSource {
    pub(crate) fn new(source: impl Fn() -> Option<Arc<Labels>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(source))
    }
}

impl fmt::Debug for ExemplarSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExemplarSource").finish_non_exhaustive()
    }
}

/// An exemplar stays at least so long: taking the time of every observation would cost more than
/// recording it.
const MIN_AGE: Duration = Duration::from_secs(1);

/// The most that OpenMetrics allows for the names and values of an exemplar's labels, in characters.
const MAX_LABELS: usize = 128;

/// The last exemplar of each bucket.
#[derive(Debug)]
pub(crate) struct Exemplars {
    source: ExemplarSource,
    slots: Box<[Mutex<Option<Exemplar>>]>,
}

impl Exemplars {
    pub(crate) fn new(source: ExemplarSource, buckets: usize) -> Self {
        Self {
            source,
            slots: (0..buckets).map(|_| Mutex::new(None)).collect(),
        }
    }

    /// Keeps this observation as the bucket's exemplar, if it is made in a trace and its place is neither
    /// fresh nor in use.
    pub(crate) fn offer(&self, bucket: usize, value: f64) {
        let Some(labels) = (self.source.0)() else {
            return;
        };
        let length = labels
            .pairs()
            .map(|(name, value)| name.len() + value.chars().count());
        if length.sum::<usize>() > MAX_LABELS {
            return;
        }
        let mut slot = match self.slots.get(bucket).map(Mutex::try_lock) {
            Some(Ok(slot)) => slot,
            Some(Err(TryLockError::Poisoned(slot))) => slot.into_inner(),
            Some(Err(TryLockError::WouldBlock)) | None => return,
        };
        let at = UnixMillis::now();
        let is_fresh =
            |old: &Exemplar| u128::from(at.0.saturating_sub(old.at.0)) < MIN_AGE.as_millis();
        if !slot.as_ref().is_some_and(is_fresh) {
            let labels = Labels::clone(&labels);
            *slot = Some(Exemplar { labels, value, at });
        }
    }

    pub(crate) fn read(&self, exemplars: &mut Vec<Option<Exemplar>>) {
        let slots = self.slots.iter();
        exemplars
            .extend(slots.map(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner).clone()));
    }
}

impl UnixMillis {
    /// The system's time.
    pub(crate) fn now() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let millis = since.map_or(0, |since| since.as_millis());
        Self(u64::try_from(millis).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn the_first_of_a_second_is_kept_for_each_bucket() {
        let trace = Arc::new(AtomicU64::new(0));
        let source = {
            let trace = Arc::clone(&trace);
            ExemplarSource::new(move || {
                let id = trace.fetch_add(1, Ordering::Relaxed).to_string();
                // The first is not sampled.
                (id != "0").then(|| Arc::new(Labels::new([("trace_id", &*id)]).0))
            })
        };
        let exemplars = Exemplars::new(source, 2);
        for value in [0.1, 0.2, 0.3] {
            exemplars.offer(0, value);
        }
        exemplars.offer(7, 1.0);
        let mut read = Vec::new();
        exemplars.read(&mut read);
        let kept = read[0].as_ref().unwrap();
        assert_eq!((kept.labels.text(), kept.value), (r#"trace_id="1""#, 0.2));
        assert_eq!(read[1], None);
    }

    #[test]
    fn labels_longer_than_openmetrics_allows_are_left_out() {
        let long = "x".repeat(MAX_LABELS);
        let labels = Arc::new(Labels::new([("trace_id", &*long)]).0);
        let source = ExemplarSource::new(move || Some(Arc::clone(&labels)));
        let exemplars = Exemplars::new(source, 1);
        exemplars.offer(0, 1.0);
        let mut read = Vec::new();
        exemplars.read(&mut read);
        assert_eq!(read, [None]);
    }
}
