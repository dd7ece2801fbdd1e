use std::collections::BTreeMap;

use super::http::{http_config, set_http};
use crate::{RemoteWrite, SinkError};

http_config! {
    /// A [`RemoteWrite`].
    RemoteWriteConfig {
        /// Labels of every series that has none of the same name, such as `job` and `instance`.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        labels: BTreeMap<String, String>,
        /// How many samples a request has at most: 2,000 unless set.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_samples: Option<usize>,
        /// Whether native histograms are written as such; not unless set.
        #[serde(default, skip_serializing_if = "super::is_false")]
        native_histograms: bool,
    }
}

impl RemoteWriteConfig {
    /// What it describes.
    ///
    /// # Errors
    ///
    /// If it cannot be: the error names the key, what was given, and what would be right.
    pub fn sink(&self) -> Result<RemoteWrite, SinkError> {
        let mut sink = RemoteWrite::new(&self.url).map_err(|error| error.of("url"))?;
        for (name, value) in &self.labels {
            sink = sink.label(name, value);
        }
        if let Some(samples) = self.max_samples {
            sink = sink.max_samples(samples);
        }
        if self.native_histograms {
            sink = sink.native_histograms();
        }
        set_http!(self, sink);
        Ok(sink)
    }
}
