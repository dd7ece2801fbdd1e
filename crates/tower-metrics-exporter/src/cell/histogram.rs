use std::sync::{Arc, Mutex, PoisonError};

use super::{ExemplarSource, Exemplars, Native, NativeOptions, stripe::Stripes};
use crate::format::{Bounds, Exemplar, NativeView};

/// How the histograms of a family are kept.
#[derive(Clone, Debug)]
pub(crate) struct HistogramOptions {
    pub(crate) bounds: Arc<Bounds>,
    /// What a recorded value is multiplied with, to be in base units.
    pub(crate) scale: f64,
    pub(crate) native: Option<NativeOptions>,
    pub(crate) exemplars: Option<ExemplarSource>,
}

/// A histogram of fixed buckets, and of exponential ones if asked for. Of constant size, whoever reads it.
#[derive(Debug)]
pub(crate) struct Histogram {
    bounds: Arc<Bounds>,
    scale: f64,
    stripes: Stripes,
    native: Option<Mutex<Native>>,
    exemplars: Option<Exemplars>,
}

/// A histogram as it was read, in memory that is used again for the next.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) cumulative: Vec<u64>,
    pub(crate) sum: f64,
    pub(crate) native: Option<NativeView>,
    pub(crate) exemplars: Vec<Option<Exemplar>>,
}

impl Histogram {
    pub(crate) fn new(options: &HistogramOptions) -> Self {
        let bounds = Arc::clone(&options.bounds);
        let exemplars = options.exemplars.clone();
        Self {
            stripes: Stripes::new(bounds.buckets()),
            scale: options.scale,
            native: options
                .native
                .map(|options| Mutex::new(Native::new(options))),
            exemplars: exemplars.map(|source| Exemplars::new(source, bounds.buckets())),
            bounds,
        }
    }

    pub(crate) fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// Records so many observations of one value, if their sum is finite.
    pub(crate) fn record(&self, value: f64, count: u64) -> bool {
        let value = value * self.scale;
        #[expect(clippy::cast_precision_loss, reason = "the sum is a float anyway")]
        let sum = value * count as f64;
        if !sum.is_finite() {
            return false;
        }
        let bucket = self.bounds.bucket(value);
        self.stripes.record(bucket, count, sum);
        self.record_more(bucket, value, count);
        true
    }

    /// Records one observation, if that takes no more than it does of most: this thread has a stripe of its own by now,
    /// and nothing but fixed buckets are kept.
    #[inline]
    pub(crate) fn record_at_once(&self, value: f64) -> bool {
        let value = value * self.scale;
        let is_usual = self.native.is_none() && self.exemplars.is_none() && value.is_finite();
        let own = is_usual.then(|| self.stripes.own()).flatten();
        if let Some(own) = own {
            own.record(self.bounds.bucket(value), 1, value);
        }
        own.is_some()
    }

    fn record_more(&self, bucket: usize, value: f64, count: u64) {
        if let Some(native) = &self.native {
            let mut native = native.lock().unwrap_or_else(PoisonError::into_inner);
            native.record(value, count);
        }
        if let Some(exemplars) = &self.exemplars {
            exemplars.offer(bucket, value);
        }
    }

    pub(crate) fn read(&self, reading: &mut Reading) {
        reading.sum = self.stripes.read(&mut reading.cumulative);
        reading.native = self
            .native
            .as_ref()
            .map(|native| native.lock().unwrap_or_else(PoisonError::into_inner).view());
        reading.exemplars.clear();
        if let Some(exemplars) = &self.exemplars {
            exemplars.read(&mut reading.exemplars);
        }
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "sums of numbers that floats hold exactly")]
mod tests {
    use super::*;

    fn histogram(bounds: &[f64]) -> Histogram {
        Histogram::new(&HistogramOptions {
            bounds: Arc::new(Bounds::new(bounds)),
            scale: 1.0,
            native: None,
            exemplars: None,
        })
    }

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        for many in [0, 40] {
            let mut bounds = vec![-1.0, 0.0, 0.5, 1.0];
            bounds.extend((0..many).map(|at| 2.0 + f64::from(at)));
            let histogram = histogram(&bounds);
            for value in [-1.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1000.0] {
                assert!(histogram.record(value, 1));
            }
            let mut reading = Reading::default();
            histogram.read(&mut reading);
            assert_eq!(
                reading.cumulative[..5],
                [1, 2, 4, 7, if many > 0 { 7 } else { 8 }]
            );
            assert_eq!(reading.cumulative.last(), Some(&8));
            assert_eq!(reading.sum, 1002.5);
        }
    }

    #[test]
    fn many_of_one_value_are_recorded_at_once() {
        let histogram = histogram(&[1.0]);
        histogram.record(0.5, 1_000_000_000);
        let mut reading = Reading::default();
        histogram.read(&mut reading);
        assert_eq!(
            (reading.cumulative, reading.sum),
            (vec![1_000_000_000; 2], 5e8)
        );
    }

    #[test]
    fn what_is_not_finite_is_not_recorded() {
        let histogram = histogram(&[1.0]);
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(!histogram.record(value, 1));
        }
        assert!(!histogram.record(1e300, 1_000_000_000_000));
        let mut reading = Reading::default();
        histogram.read(&mut reading);
        assert_eq!((reading.cumulative, reading.sum), (vec![0, 0], 0.0));
    }

    #[test]
    fn values_are_scaled_before_they_are_sorted_into_buckets() {
        let histogram = Histogram::new(&HistogramOptions {
            bounds: Arc::new(Bounds::new([0.1])),
            scale: 0.001,
            native: None,
            exemplars: None,
        });
        histogram.record(50.0, 1);
        histogram.record(500.0, 1);
        let mut reading = Reading::default();
        histogram.read(&mut reading);
        assert_eq!(reading.cumulative, [1, 2]);
        assert!((reading.sum - 0.55).abs() < 1e-12);
    }
}
