use std::{borrow::Cow, fmt, sync::Arc, time::SystemTime};

use metrics::{Recorder, SharedString};
use tower_observe::Clock;

use crate::{
    BuildError, Names, ScanMetrics, StatusNames,
    error::Kind,
    instruments::{Instruments, Options},
    metrics::WallClock,
    names,
    recorder::Target,
};

/// Builds [`ScanMetrics`].
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct ScanMetricsBuilder {
    prefix: Cow<'static, str>,
    names: Names,
    status_names: StatusNames,
    types: Vec<Cow<'static, str>>,
    stages: Vec<Cow<'static, str>>,
    engines: Vec<Cow<'static, str>>,
    roles: Vec<Cow<'static, str>>,
    type_labels: bool,
    status_on_duration: bool,
    reason_on_blocked: bool,
    duration_buckets: Cow<'static, [f64]>,
    queue_buckets: Cow<'static, [f64]>,
    stage_buckets: Cow<'static, [f64]>,
    clock: Clock,
    wall: WallClock,
    target: Target,
}

impl Default for ScanMetricsBuilder {
    fn default() -> Self {
        Self {
            prefix: Cow::Borrowed(names::PREFIX),
            names: Names::default(),
            status_names: StatusNames::default(),
            types: Vec::new(),
            stages: Vec::new(),
            engines: Vec::new(),
            roles: Vec::new(),
            type_labels: false,
            status_on_duration: false,
            reason_on_blocked: false,
            duration_buckets: Cow::Borrowed(&names::SCAN_DURATION_BUCKETS),
            queue_buckets: Cow::Borrowed(&names::SCAN_QUEUE_BUCKETS),
            stage_buckets: Cow::Borrowed(&names::SCAN_STAGE_BUCKETS),
            clock: Clock::system(),
            wall: WallClock::system(),
            target: Target::default(),
        }
    }
}

impl ScanMetricsBuilder {
    /// The scan types there are; any other is recorded as `other`. Default: none.
    pub fn types<T: Into<Cow<'static, str>>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.types = types.into_iter().map(Into::into).collect();
        self
    }

    /// The parts of scans whose time is recorded; any other is recorded as `other`. Default: none, and
    /// [`SCAN_STAGE_DURATION_SECONDS`](names::SCAN_STAGE_DURATION_SECONDS) is off.
    pub fn stages<T: Into<Cow<'static, str>>>(
        mut self,
        stages: impl IntoIterator<Item = T>,
    ) -> Self {
        self.stages = stages.into_iter().map(Into::into).collect();
        self
    }

    /// The engines that do the scanning; any other is recorded as `other`. Default: none, and
    /// [`SCAN_ENGINE_RUNS_TOTAL`](names::SCAN_ENGINE_RUNS_TOTAL) and [`ENGINE_UP`](names::ENGINE_UP) are
    /// off.
    pub fn engines<T: Into<Cow<'static, str>>>(
        mut self,
        engines: impl IntoIterator<Item = T>,
    ) -> Self {
        self.engines = engines.into_iter().map(Into::into).collect();
        self
    }

    /// The roles that holders of API keys have; any other is recorded as `other`. Default: none, and
    /// [`API_KEY_USES_TOTAL`](names::API_KEY_USES_TOTAL) has no label `role`.
    pub fn roles<T: Into<Cow<'static, str>>>(mut self, roles: impl IntoIterator<Item = T>) -> Self {
        self.roles = roles.into_iter().map(Into::into).collect();
        self
    }

    /// The first word of each series' name. Default: `sentrascan`.
    pub fn prefix(mut self, prefix: impl Into<Cow<'static, str>>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How series are named. Default: [`Names::Scans`].
    pub const fn names(mut self, names: Names) -> Self {
        self.names = names;
        self
    }

    /// The words of the label `status`. Default: [`StatusNames::Lifecycle`].
    pub const fn status_names(mut self, names: StatusNames) -> Self {
        self.status_names = names;
        self
    }

    /// Gives active scans, queued scans and findings the label `type`, too. Default: off.
    pub const fn type_labels(mut self) -> Self {
        self.type_labels = true;
        self
    }

    /// Gives the duration the label `status`, so that those of completed scans can be told apart. Default:
    /// off.
    pub const fn status_on_duration(mut self) -> Self {
        self.status_on_duration = true;
        self
    }

    /// Gives blocked scans the label `reason`: a [`BlockReason`](crate::BlockReason). Default: off.
    pub const fn reason_on_blocked(mut self) -> Self {
        self.reason_on_blocked = true;
        self
    }

    /// Upper bounds of the duration's buckets, in seconds. Have one at each deadline and each promise.
    /// Default: [`SCAN_DURATION_BUCKETS`](names::SCAN_DURATION_BUCKETS).
    pub fn duration_buckets(mut self, bounds: impl Into<Cow<'static, [f64]>>) -> Self {
        self.duration_buckets = bounds.into();
        self
    }

    /// Upper bounds of the buckets of time in the queue, in seconds. Default:
    /// [`SCAN_QUEUE_BUCKETS`](names::SCAN_QUEUE_BUCKETS).
    pub fn queue_buckets(mut self, bounds: impl Into<Cow<'static, [f64]>>) -> Self {
        self.queue_buckets = bounds.into();
        self
    }

    /// Upper bounds of the buckets of stages, in seconds. Default:
    /// [`SCAN_STAGE_BUCKETS`](names::SCAN_STAGE_BUCKETS).
    pub fn stage_buckets(mut self, bounds: impl Into<Cow<'static, [f64]>>) -> Self {
        self.stage_buckets = bounds.into();
        self
    }

    /// Reads durations from `clock`. Default: [`Clock::system`].
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Reads the time of day from `now`: for tickets, and for the time of the last success. Default:
    /// [`SystemTime::now`].
    pub fn wall_clock(mut self, now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.wall = WallClock::of(now);
        self
    }

    /// Records with `recorder`. Default: the facade's recorder of the moment, which is looked for at each
    /// recording, so that it may be installed later.
    pub fn recorder(mut self, recorder: Arc<dyn Recorder + Send + Sync>) -> Self {
        self.target = Target::given(recorder);
        self
    }

    /// Builds the handle. Nothing is recorded yet.
    ///
    /// # Errors
    ///
    /// If the prefix is no start of a name, a type, stage, engine or role is empty or longer than 128 bytes,
    /// or bounds of buckets are none, not finite or not ascending.
    pub fn build(self) -> Result<ScanMetrics, BuildError> {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let starts = self
            .prefix
            .starts_with(|first: char| first.is_ascii_alphabetic());
        if !starts || !self.prefix.bytes().all(is_word) {
            return Err(Kind::Prefix(self.prefix.into_owned()).into());
        }
        let options = Options {
            prefix: self.prefix.into_owned(),
            names: self.names,
            status_names: self.status_names,
            types: closed(names::TYPE, self.types, &[names::OTHER])?,
            stages: opted(names::STAGE, self.stages, &[names::OTHER])?,
            engines: opted(names::ENGINE, self.engines, &[names::OTHER])?,
            roles: opted(names::ROLE, self.roles, &[names::NONE, names::OTHER])?,
            type_labels: self.type_labels,
            status_on_duration: self.status_on_duration,
            reason_on_blocked: self.reason_on_blocked,
            duration_buckets: bounds(names::SCAN_DURATION_SECONDS, &self.duration_buckets)?,
            queue_buckets: bounds(names::SCAN_QUEUE_DURATION_SECONDS, &self.queue_buckets)?,
            stage_buckets: bounds(names::SCAN_STAGE_DURATION_SECONDS, &self.stage_buckets)?,
        };
        let instruments = Instruments::new(&options);
        Ok(ScanMetrics::new(
            options,
            instruments,
            self.clock,
            self.wall,
            self.target,
        ))
    }
}

/// The values that were given, each once, and those that there are besides.
fn closed(
    label: &'static str,
    given: Vec<Cow<'static, str>>,
    besides: &[&'static str],
) -> Result<Vec<SharedString>, BuildError> {
    let mut values: Vec<SharedString> = Vec::with_capacity(given.len() + besides.len());
    for value in given {
        if value.is_empty() || value.len() > 128 {
            return Err(Kind::Value(label, value.into_owned()).into());
        }
        let is_new = values.iter().all(|known| known.as_ref() != value.as_ref());
        if is_new && !besides.contains(&value.as_ref()) {
            values.push(SharedString::from_shared(Arc::from(value.as_ref())));
        }
    }
    values.extend(besides.iter().map(|value| SharedString::const_str(value)));
    Ok(values)
}

/// The same of what is off unless values are given.
fn opted(
    label: &'static str,
    given: Vec<Cow<'static, str>>,
    besides: &[&'static str],
) -> Result<Vec<SharedString>, BuildError> {
    if given.is_empty() {
        return Ok(Vec::new());
    }
    closed(label, given, besides)
}

fn bounds(name: &'static str, bounds: &[f64]) -> Result<Vec<f64>, BuildError> {
    let ascending = bounds.is_sorted_by(|low, high| low < high);
    if bounds.is_empty() || !ascending || !bounds.iter().all(|bound| bound.is_finite()) {
        return Err(Kind::Buckets(name).into());
    }
    Ok(bounds.to_vec())
}

impl fmt::Debug for ScanMetricsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScanMetricsBuilder")
            .field("prefix", &self.prefix)
            .field("names", &self.names)
            .field("types", &self.types)
            .finish_non_exhaustive()
    }
}
