//! From what was asked for to what is recorded.

use std::{borrow::Cow, sync::Arc};

use metrics::SharedString;
use tower_observe::{GrpcClassify, HttpClassify, Kind as MetricKind};

use super::{ClientGone, Protocol, RequestMetricsBuilder, StatusLabel};
use crate::{
    BuildError, Dimension, Instrument, Names, RequestMetrics,
    age::Age,
    config::{Config, From as Value, OwnLabel, Series},
    descriptor::{self, Methods as RpcMethods},
    error::Kind,
    instrument::Moment,
    key::{CUSTOM_LABELS, Field, Key},
    method::Methods,
    preset,
};

impl RequestMetricsBuilder {
    /// Builds the observer. Nothing is registered before the first request, or
    /// [`init`](RequestMetrics::init).
    ///
    /// # Errors
    ///
    /// If something that was given cannot be used: see [`BuildError`].
    pub fn build(self) -> Result<RequestMetrics, BuildError> {
        self.config().map(RequestMetrics::with)
    }

    /// For builders that cannot fail, as a test of them shows. Recording nothing is better than a panic.
    pub(crate) fn config_or_nothing(self) -> Config {
        self.clone().config().unwrap_or_else(|_| {
            let nothing = [const { None }; Instrument::ALL.len()];
            self.assemble(nothing, Methods::standard(), RpcMethods::new())
        })
    }

    fn config(self) -> Result<Config, BuildError> {
        if self.labels.len() > CUSTOM_LABELS {
            return Err(Kind::TooManyLabels(CUSTOM_LABELS).into());
        }
        let mut rpc_methods = RpcMethods::new();
        for set in &self.descriptors {
            descriptor::read(set, &mut rpc_methods)
                .map_err(|why| Kind::Descriptors(why.to_owned()))?;
        }
        let methods = match &self.methods {
            Some(methods) => Methods::own(methods)?,
            None => Methods::standard(),
        };
        let mut series = [const { None }; Instrument::ALL.len()];
        for (place, instrument) in series.iter_mut().zip(Instrument::ALL) {
            *place = self.series(instrument)?;
        }
        check_names(&series)?;
        Ok(self.assemble(series, methods, rpc_methods))
    }

    fn assemble(
        self,
        series: [Option<Series>; Instrument::ALL.len()],
        methods: Methods,
        rpc_methods: RpcMethods,
    ) -> Config {
        let labels = self.labels.iter();
        let labels = labels.map(|label| OwnLabel {
            label: label.clone(),
            values: label.values(),
        });
        let client_gone = self.client_gone.unwrap_or_else(|| match self.names {
            Names::OpenTelemetry => ClientGone::ErrorType,
            _ => ClientGone::default(),
        });
        let has_errors = series.iter().flatten().any(|series| {
            let error = Field::ErrorType;
            series.mask.get(error) == error.max()
        });
        let mut masks = [Key::EMPTY; Moment::COUNT];
        for instrument in Instrument::ALL {
            let series = series.get(instrument.index()).and_then(Option::as_ref);
            let mask = masks.get_mut(instrument.moment() as usize);
            if let (Some(series), Some(mask)) = (series, mask) {
                *mask = mask.union(series.mask);
            }
        }
        let classifies = has_errors || self.status == StatusLabel::Outcome;
        let has = |instrument: Instrument| {
            let series = series.get(instrument.index());
            series.is_some_and(Option::is_some)
        };
        let reads_heads = classifies || has(Instrument::TimeToHeaders) || !self.labels.is_empty();
        let looks_at_requests = has(Instrument::RequestSize)
            || self.counts_bodies
            || self.skip.is_some()
            || !self.labels.is_empty()
            || self.protocol != Protocol::Http;
        let max_idle = self.max_idle.map_or(Age::FOREVER, Age::of);
        Config {
            protocol: self.protocol,
            series,
            masks,
            classifies,
            looks_at_requests,
            reads_heads,
            methods,
            labels: labels.collect(),
            status: self.status,
            client_gone,
            classify: self
                .classify
                .clone()
                .unwrap_or_else(|| Arc::new(HttpClassify)),
            classify_rpc: self.classify.unwrap_or_else(|| Arc::new(GrpcClassify)),
            routes: self.routes,
            skip: self.skip,
            skipped_routes: self
                .skipped_routes
                .into_iter()
                .map(Cow::into_owned)
                .collect(),
            scheme: self.scheme,
            splits_streams: self.names.splits_streams(),
            omits_unmatched: self.names.omits_unmatched(),
            grpc_names: self.grpc_names,
            rpc_methods,
            counts_bodies: self.counts_bodies,
            max_routes: self.max_routes,
            max_idle,
            // A series that is in use is noted so often that it never seems idle.
            touch_after: Age(max_idle.0 / 3),
            target: self.target,
        }
    }

    /// One instrument as it is to be recorded; `None` if it is not.
    fn series(&self, instrument: Instrument) -> Result<Option<Series>, BuildError> {
        let http = self.protocol != Protocol::Grpc;
        let rpc = self.protocol != Protocol::Http;
        let own = |rows: &'static [preset::Row], wanted: bool| {
            rows.iter()
                .find(|row| wanted && row.instrument == instrument)
        };
        let (row, preset_prefix) = match own(self.names.rows(), http) {
            Some(row) => (row, self.names.prefix()),
            None => match own(self.grpc_names.rows(), rpc) {
                Some(row) => (row, self.grpc_names.prefix()),
                None => return Ok(None),
            },
        };
        if !last(&self.switched, instrument).copied().unwrap_or(row.on) {
            return Ok(None);
        }
        let name = match last(&self.renamed, instrument) {
            Some(name) => name.to_string(),
            None => match (&self.prefix, row.name.strip_prefix(preset_prefix)) {
                (Some(prefix), Some(rest)) => format!("{prefix}{rest}"),
                _ => row.name.to_owned(),
            },
        };
        let mut labels: Vec<(Value, SharedString)> = match last(&self.dimensions, instrument) {
            None => row
                .labels
                .iter()
                .map(|(dimension, name)| named(*dimension, name))
                .collect(),
            Some(dimensions) => dimensions
                .iter()
                .map(|dimension| named(*dimension, self.label_name(*dimension)))
                .collect(),
        };
        for (index, label) in self.labels.iter().enumerate() {
            // A gauge is raised before there is a response.
            let known = instrument.kind() != MetricKind::Gauge || !label.is_of_response();
            if label.on.contains(&instrument) && known {
                let name = SharedString::from(label.name.clone().into_owned());
                labels.push((Value::Own(index), name));
            }
        }
        check_labels(&labels)?;
        let buckets = match last(&self.buckets, instrument) {
            Some(buckets) => check_buckets(instrument, buckets)?,
            None => row.buckets.to_vec(),
        };
        let fields = labels.iter().filter_map(|(value, _)| value.field());
        let mask = fields.fold(Key::default(), |mask, field| mask.with(field, field.max()));
        Ok(Some(Series {
            name: SharedString::from(name),
            labels,
            buckets,
            mask,
        }))
    }

    /// How the presets name a label that the instrument does not have by itself.
    fn label_name(&self, dimension: Dimension) -> &'static str {
        let rows = self.names.rows().iter().chain(self.grpc_names.rows());
        let mut labels = rows.flat_map(|row| row.labels);
        let found = labels.find(|(one, _)| *one == dimension);
        found.map_or_else(|| dimension.plain_name(), |(_, name)| name)
    }
}

fn named(dimension: Dimension, name: &'static str) -> (Value, SharedString) {
    (Value::Dimension(dimension), SharedString::const_str(name))
}

/// What was said last of an instrument.
fn last<T>(said: &[(Instrument, T)], instrument: Instrument) -> Option<&T> {
    said.iter()
        .rev()
        .find(|(one, _)| *one == instrument)
        .map(|(_, value)| value)
}

fn check_names(series: &[Option<Series>]) -> Result<(), BuildError> {
    let mut names: Vec<&str> = series
        .iter()
        .flatten()
        .map(|series| &*series.name)
        .collect();
    names.sort_unstable();
    let twice = names.windows(2).find_map(|pair| match pair {
        [one, two] => (one == two).then_some(*one),
        _ => None,
    });
    match names.iter().find(|name| name.is_empty()).copied().or(twice) {
        Some(name) => Err(Kind::Name(name.to_owned()).into()),
        None => Ok(()),
    }
}

fn check_labels(labels: &[(Value, SharedString)]) -> Result<(), BuildError> {
    for (index, (_, name)) in labels.iter().enumerate() {
        let earlier = labels.iter().take(index);
        if name.is_empty() || earlier.into_iter().any(|(_, other)| other == name) {
            return Err(Kind::Label(name.to_string()).into());
        }
    }
    Ok(())
}

fn check_buckets(instrument: Instrument, buckets: &[f64]) -> Result<Vec<f64>, BuildError> {
    let why = if buckets.is_empty() {
        "are empty"
    } else if !buckets.iter().all(|bound| bound.is_finite()) {
        "are not all finite"
    } else if !buckets.is_sorted_by(|lower, upper| lower < upper) {
        "do not ascend"
    } else {
        return Ok(buckets.to_vec());
    };
    Err(Kind::Buckets(instrument, why).into())
}
